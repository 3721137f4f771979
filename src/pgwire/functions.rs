//! Functions of PostgreSQL that tools call about the catalogs, the server and
//! the session, beyond those that come with `datafusion-pg-catalog`.
//!
//! There are no comments, user functions, views or partitions to describe, so
//! most of them always give the same answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::prelude::SessionContext;

use super::lists;
use super::metadata::{DATABASE, SCHEMA};
use super::settings::{SERVER_VERSION, Settings};
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

/// Registers what depends on the session.
pub fn register_session(state: &mut SessionState, settings: &Settings) {
    let user = settings.get("session_authorization").unwrap_or_default();
    let user = || ScalarValue::Utf8(Some(user.to_owned()));
    let functions = ["current_user", "session_user", "current_role", "user", "pg_get_userbyid"]
        .map(|name| constant(name, user()))
        .into_iter()
        .chain([ScalarUDF::from(CurrentSetting::new(settings))]);
    for function in functions {
        // Registering can only replace here; there is nothing to fail.
        let _ = state.register_udf(Arc::new(function));
    }
}

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

/// `current_setting(name [, missing_ok])`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentSetting {
    values: BTreeMap<String, String>,
    signature: Signature,
}

impl CurrentSetting {
    fn new(settings: &Settings) -> Self {
        let either = vec![TypeSignature::Any(1), TypeSignature::Any(2)];
        // Of one statement: arguments of table functions have to be constant.
        let signature = Signature::one_of(either, Volatility::Immutable);
        Self { values: settings.all().clone(), signature }
    }
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let names = cast(&arrays[0], &DataType::Utf8)?;
        let missing_ok = match arrays.get(1) {
            Some(flag) if *flag.data_type() == DataType::Boolean => {
                !flag.is_empty() && flag.as_boolean().value(0)
            }
            _ => false,
        };
        let value = |name: Option<&str>| match name {
            None => Ok(None),
            Some(name) => match self.values.get(&name.to_lowercase()) {
                None if !missing_ok => Err(DataFusionError::Configuration(format!(
                    "unrecognized configuration parameter \"{name}\""
                ))),
                value => Ok(value.map(String::as_str)),
            },
        };
        let values: Vec<Option<&str>> =
            names.as_string::<i32>().iter().map(value).collect::<Result<_>>()?;
        let array: ArrayRef = Arc::new(StringArray::from(values));
        Ok(ColumnarValue::Array(array))
    }
}
