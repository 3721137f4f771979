//! Conversions that SQL Server does differently: anything to text, text and
//! numbers to times, text to GUIDs. The `sql_try_` forms give null where the
//! others fail.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{self, Kind, Rows, TIME, Texts};
use super::styles;
use crate::value;

const GUID: DataType = DataType::FixedSizeBinary(16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    Text,
    Time,
    Guid,
}

/// One of the conversions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Conversion {
    name: &'static str,
    function: Function,
    /// Null instead of an error.
    tries: bool,
    signature: Signature,
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Conversion> {
    [
        ("sql_text", Function::Text, false),
        ("sql_datetime", Function::Time, false),
        ("sql_try_datetime", Function::Time, true),
        ("sql_guid", Function::Guid, false),
        ("sql_try_guid", Function::Guid, true),
    ]
    .into_iter()
    .map(|(name, function, tries)| Conversion {
        name,
        function,
        tries,
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

impl ScalarUDFImpl for Conversion {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let Some((from, rest)) = given.split_first() else {
            return plan_err!("{} requires an argument (Msg 174)", self.name);
        };
        let from = match self.function {
            Function::Text if matches!(from, DataType::Timestamp(..)) => TIME,
            Function::Text if from.is_string() || from.is_null() => DataType::Utf8View,
            Function::Text => arguments::coerced(self.name, Kind::Any, from)?,
            Function::Time => arguments::coerced(self.name, Kind::Time, from)?,
            Function::Guid if *from == GUID => GUID,
            Function::Guid if from.is_string() || from.is_null() => DataType::Utf8View,
            Function::Guid => {
                return plan_err!(
                    "Explicit conversion from {from} to uniqueidentifier is not allowed (Msg 529)"
                );
            }
        };
        let style = rest.iter().map(|_| DataType::Int64);
        Ok(std::iter::once(from).chain(style).collect())
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::Text => DataType::Utf8View,
            Function::Time => TIME,
            Function::Guid => GUID,
        })
    }

    /// What has the type already stays as it is, and so can be pushed down.
    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let given = info.get_data_type(&args[0])?;
        if given == self.return_type(&[])? {
            return Ok(ExprSimplifyResult::Simplified(args.swap_remove(0)));
        }
        Ok(ExprSimplifyResult::Original(args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = Rows::of(&args);
        let answer = match self.function {
            Function::Text => text(&args)?,
            Function::Time => self.times(&args, &rows)?,
            Function::Guid => self.guids(&args, &rows)?,
        };
        rows.answer(answer)
    }
}

impl Conversion {
    fn times(&self, args: &ScalarFunctionArgs, rows: &Rows) -> Result<ArrayRef> {
        if !self.tries || args.args[0].data_type() != DataType::Utf8View {
            let times = arguments::times(&args.args[0])?;
            let times = (0..rows.count).map(|i| Ok(times.get(i)));
            return Ok(Arc::new(arguments::time_array(times)?));
        }
        let texts = Texts::of(&args.args[0])?;
        let times = (0..rows.count).map(|i| Ok(texts.get(i).and_then(|t| styles::read(t).ok())));
        Ok(Arc::new(arguments::time_array(times)?))
    }

    fn guids(&self, args: &ScalarFunctionArgs, rows: &Rows) -> Result<ArrayRef> {
        if args.args[0].data_type() == GUID {
            return args.args[0].to_array(rows.count);
        }
        let texts = Texts::of(&args.args[0])?;
        let mut guids = FixedSizeBinaryBuilder::with_capacity(rows.count, 16);
        for row in 0..rows.count {
            let text = texts.get(row);
            match text.and_then(guid) {
                Some(guid) => guids.append_value(guid)?,
                None if text.is_none() || self.tries => guids.append_null(),
                None => {
                    return exec_err!(
                        "Conversion failed when converting '{}' to uniqueidentifier (Msg 8169)",
                        text.unwrap_or_default()
                    );
                }
            }
        }
        Ok(Arc::new(guids.finish()))
    }
}

/// A GUID from text; SQL Server ignores what follows its 36 characters.
fn guid(text: &str) -> Option<value::Guid> {
    let text = text.trim_start_matches('{');
    value::parse_guid(text.get(..36)?)
}

/// Anything as text: GUIDs in upper case, bits as `0` and `1`, times by style.
fn text(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let style = match args.args.get(1) {
        None => None,
        Some(style) => {
            let number = arguments::integers(style)?.get(0);
            let style = number.and_then(|n| u32::try_from(n).ok()).filter(|s| styles::is_style(*s));
            Some(style.ok_or_else(|| {
                exec_datafusion_err!("{number:?} is not a valid style number (Msg 281)")
            })?)
        }
    };
    let array = match &args.args[0] {
        ColumnarValue::Array(array) => array.clone(),
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
    };
    let rows = array.len();
    let texts: StringViewArray = match array.data_type() {
        DataType::Timestamp(..) | DataType::Date32 => {
            let default = if array.data_type() == &DataType::Date32 { 23 } else { 0 };
            let style = style.unwrap_or(default);
            let times = arguments::times(&ColumnarValue::Array(array))?;
            (0..rows).map(|i| times.get(i).map(|t| styles::write(t, style))).collect()
        }
        DataType::FixedSizeBinary(16) => array
            .as_fixed_size_binary()
            .iter()
            .map(|bytes| {
                let guid = value::Guid::try_from(bytes?).ok()?;
                Some(value::guid_text(&guid).to_uppercase())
            })
            .collect(),
        DataType::Boolean => array
            .as_boolean()
            .iter()
            .map(|bit| bit.map(|bit| if bit { "1" } else { "0" }))
            .collect(),
        _ => return Ok(cast(&array, &DataType::Utf8View)?),
    };
    Ok(Arc::new(texts))
}
