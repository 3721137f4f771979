//! Functions of PostgreSQL that tools call about the catalogs, the server and
//! the session, beyond those that come with `datafusion-pg-catalog`.
//!
//! There are no comments, user functions, views or partitions to describe, so
//! most of them always give the same answer.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::prelude::SessionContext;

use super::lists;
use super::metadata::{DATABASE, SCHEMA};
use super::settings::SERVER_VERSION;
use super::texts;

/// Registers what is the same for every session.
pub fn register(context: &SessionContext) {
    let null = || ScalarValue::Utf8(None);
    let text = |value: &str| ScalarValue::Utf8(Some(value.to_owned()));
    let version = format!("PostgreSQL {SERVER_VERSION} on {}", std::env::consts::ARCH);
    for (name, value) in [
        ("version", text(&version)),
        ("current_schema", text(SCHEMA)),
        ("current_catalog", text(DATABASE)),
        ("shobj_description", null()),
        ("pg_get_viewdef", null()),
        ("pg_get_ruledef", null()),
        ("pg_get_triggerdef", null()),
        ("pg_get_serial_sequence", null()),
        ("pg_get_function_result", null()),
        ("pg_get_function_arguments", text("")),
        ("pg_get_function_identity_arguments", text("")),
        ("pg_function_is_visible", ScalarValue::Boolean(Some(true))),
        ("pg_type_is_visible", ScalarValue::Boolean(Some(true))),
        ("pg_opclass_is_visible", ScalarValue::Boolean(Some(true))),
        ("pg_operator_is_visible", ScalarValue::Boolean(Some(true))),
        ("pg_collation_is_visible", ScalarValue::Boolean(Some(true))),
        ("pg_is_in_recovery", ScalarValue::Boolean(Some(false))),
        ("pg_is_other_temp_schema", ScalarValue::Boolean(Some(false))),
        ("pg_advisory_unlock_all", text("")),
        ("pg_my_temp_schema", ScalarValue::Int32(Some(0))),
        ("pg_tablespace_location", text("")),
        ("pg_size_pretty", null()),
        ("pg_database_size", ScalarValue::Int64(None)),
        ("pg_table_size", ScalarValue::Int64(None)),
        ("pg_relation_size", ScalarValue::Int64(None)),
        ("pg_total_relation_size", ScalarValue::Int64(None)),
        ("pg_stat_get_numscans", ScalarValue::Int64(Some(0))),
        ("pg_relation_is_publishable", ScalarValue::Boolean(Some(false))),
        ("pg_get_statisticsobjdef_columns", null()),
        ("pg_get_partkeydef", null()),
        ("pg_encoding_to_char", text("UTF8")),
        ("pg_indexes_size", ScalarValue::Int64(None)),
        ("inet_server_addr", null()),
        ("inet_client_addr", null()),
        ("inet_server_port", ScalarValue::Int32(None)),
        ("inet_client_port", ScalarValue::Int32(None)),
        ("txid_current", ScalarValue::Int64(Some(0))),
    ] {
        context.register_udf(constant(name, value));
    }
    for name in PRIVILEGES {
        context.register_udf(constant(name, ScalarValue::Boolean(Some(true))));
    }
    for function in lists::functions().into_iter().chain(texts::functions()) {
        context.register_udf(function);
    }
    let of_both = ["pg_typeof", "quote_literal", "quote_nullable"];
    for function in crate::engine::functions::all() {
        if of_both.contains(&function.name()) {
            context.register_udf(Arc::unwrap_or_clone(function));
        }
    }
}

/// Whoever is let in may read everything.
const PRIVILEGES: &[&str] = &[
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_function_privilege",
    "has_language_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_server_privilege",
    "has_table_privilege",
    "has_tablespace_privilege",
    "has_type_privilege",
    "pg_has_role",
];

/// A function that always gives the same answer.
pub fn constant(name: &str, value: ScalarValue) -> ScalarUDF {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    ScalarUDF::from(Constant {
        name: name.to_owned(),
        value,
        signature: Signature::one_of(any, Volatility::Stable),
    })
}

/// A function that answers the same, whatever its arguments.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: String,
    value: ScalarValue,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}
