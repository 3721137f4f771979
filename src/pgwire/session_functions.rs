//! Functions of PostgreSQL about the session that calls them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int32Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use pgwire::error::ErrorInfo;

use super::functions::constant;
use super::settings::Settings;
use super::shared::Shared;
use super::view::View;

/// Registers the functions for a statement of a session.
pub fn register(state: &mut SessionState, view: &Arc<View>) {
    let user = view.settings.get("session_authorization").unwrap_or_default();
    let user = || ScalarValue::Utf8(Some(user.to_owned()));
    let waiting = |kind| {
        let signature = Signature::any(1, Volatility::Volatile);
        let waiting = Waiting { kind, view: Shared(view.clone()), signature };
        AsyncScalarUDF::new(Arc::new(waiting)).into_scalar_udf()
    };
    let functions = ["current_user", "session_user", "current_role", "user", "pg_get_userbyid"]
        .map(|name| constant(name, user()))
        .into_iter()
        .chain([
            constant("pg_backend_pid", ScalarValue::Int32(Some(view.process))),
            ScalarUDF::from(CurrentSetting::new(&view.settings)),
            ScalarUDF::from(SetConfig {
                view: Shared(view.clone()),
                signature: Signature::any(3, Volatility::Volatile),
            }),
            waiting(Kind::Sleep),
            waiting(Kind::Cancel),
        ]);
    for function in functions {
        // Registering can only replace here; there is nothing to fail.
        let _ = state.register_udf(Arc::new(function));
    }
}

/// `set_config(name, value, is_local)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SetConfig {
    view: Shared<View>,
    signature: Signature,
}

impl ScalarUDFImpl for SetConfig {
    fn name(&self) -> &str {
        "set_config"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [names, values, local] = arrays.as_slice() else {
            return exec_err!("set_config takes three arguments");
        };
        let (names, values) = (cast(names, &DataType::Utf8)?, cast(values, &DataType::Utf8)?);
        let local = cast(local, &DataType::Boolean)?;
        let (names, values) = (names.as_string::<i32>(), values.as_string::<i32>());
        let mut kept = self.view.0.kept.lock();
        let mut set = Vec::with_capacity(names.len());
        for ((name, value), local) in names.iter().zip(values).zip(local.as_boolean()) {
            let Some(name) = name else { return exec_err!("the name of a setting is null") };
            let change = match local {
                Some(true) => kept.set_local(name, value),
                _ => kept.set(name, value),
            };
            let refused = |e| DataFusionError::Configuration(ErrorInfo::from(e).message);
            kept.note(change.map_err(refused)?);
            let now = kept.get(name).map_err(refused)?;
            set.push(Some(now.to_owned()));
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(set))))
    }
}

/// Functions that wait for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Sleep,
    Cancel,
}

/// `pg_sleep(seconds)`, `pg_cancel_backend(pid)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Waiting {
    kind: Kind,
    view: Shared<View>,
    signature: Signature,
}

impl ScalarUDFImpl for Waiting {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Sleep => "pg_sleep",
            Kind::Cancel => "pg_cancel_backend",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Sleep => DataType::Utf8,
            Kind::Cancel => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} can only be called where it may wait", self.name())
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Waiting {
    async fn invoke_async_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [argument] = arrays.as_slice() else {
            return exec_err!("{} takes one argument", self.name());
        };
        Ok(ColumnarValue::Array(match self.kind {
            Kind::Sleep => {
                let seconds = cast(argument, &DataType::Float64)?;
                for seconds in seconds.as_primitive::<Float64Type>().iter().flatten() {
                    // Longer than anybody waits.
                    let time = Duration::try_from_secs_f64(seconds.max(0.0));
                    tokio::time::sleep(time.unwrap_or(Duration::MAX)).await;
                }
                Arc::new(StringArray::from(vec![Some(""); argument.len()]))
            }
            Kind::Cancel => {
                let user = self.view.0.settings.get("session_authorization").unwrap_or_default();
                let processes = cast(argument, &DataType::Int32)?;
                let mut canceled = Vec::with_capacity(processes.len());
                for process in processes.as_primitive::<Int32Type>() {
                    canceled.push(match process {
                        Some(process) => Some(self.view.0.sessions.cancel(process, user).await),
                        None => None,
                    });
                }
                Arc::new(BooleanArray::from(canceled))
            }
        }))
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
