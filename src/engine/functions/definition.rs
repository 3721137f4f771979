//! A scalar function as a row of a table: its name, its arguments, what it
//! gives and how it computes a column of it.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StringViewArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::arguments::{self, Kind, Rows, Texts, Values};
use super::convert::{self, Request};
use super::{DatePart, SqlType};
use crate::error::{Error, codes};

/// What a function gives.
pub(super) enum Gives {
    This(DataType),
    /// Depends on the types of the arguments, or on those that are literals.
    By(fn(&ReturnFieldArgs) -> Result<DataType>),
    /// What the first argument is.
    First,
    /// The type of an argument that is a time; text and numbers become `datetime`.
    TimeOf(usize),
}

/// Text, as all functions give it.
pub(super) const TEXT: Gives = Gives::This(DataType::Utf8View);
/// A whole number.
pub(super) const INT: Gives = Gives::This(DataType::Int32);
pub(super) const FLOAT: Gives = Gives::This(DataType::Float64);

/// A function.
pub(super) struct Definition {
    pub name: &'static str,
    /// The last stands for all further ones.
    pub arguments: &'static [Kind],
    pub least: usize,
    pub most: usize,
    pub gives: Gives,
    pub compute: fn(&Call) -> Result<ArrayRef>,
}

/// As many arguments as the call has.
pub(super) const MANY: usize = usize::MAX;

/// A definition as DataFusion wants it.
#[derive(Debug)]
pub(super) struct Defined {
    definition: &'static Definition,
    signature: Signature,
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Defined {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name
    }
}

impl Eq for Defined {}

impl Hash for Defined {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

/// The functions of a table.
pub(super) fn defined(table: &'static [Definition]) -> impl Iterator<Item = ScalarUDF> {
    table.iter().map(|definition| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Defined { definition, signature })
    })
}

impl ScalarUDFImpl for Defined {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let Definition { arguments, least, most, .. } = self.definition;
        let name = shown(self.definition.name);
        if !(*least..=*most).contains(&given.len()) {
            return plan_err!("The {name} function requires {least} argument(s) (Msg 174)");
        }
        let kinds = arguments.iter().chain(arguments.last().into_iter().cycle());
        let numbered = kinds.zip(given).enumerate();
        numbered.map(|(i, (kind, t))| arguments::coerced_at(name, i + 1, *kind, t)).collect()
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        internal_err!("{} answers through return_field_from_args", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let data_type = match &self.definition.gives {
            Gives::This(data_type) => data_type.clone(),
            Gives::By(decide) => {
                let data_type = decide(&args)?;
                // What has the type of the money it is given is money.
                let money = matches!(
                    args.arg_fields.first().map(|field| SqlType::of(field)),
                    Some(SqlType::Money | SqlType::SmallMoney)
                );
                if money && data_type == SqlType::Money.arrow() {
                    return Ok(SqlType::Money.field(self.name()));
                }
                data_type
            }
            Gives::First => return Ok(args.arg_fields[0].clone()),
            Gives::TimeOf(argument) => {
                let given = &args.arg_fields[*argument];
                let field = match SqlType::of(given) {
                    kind if kind.is_temporal() => kind.field(self.name()),
                    _ => return Ok(SqlType::DateTime.field(self.name())),
                };
                return Ok(Arc::new(
                    field.as_ref().clone().with_data_type(given.data_type().clone()),
                ));
            }
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = Rows::of(&args);
        let call = Call { name: shown(self.definition.name), args: &args, rows: rows.count };
        rows.answer((self.definition.compute)(&call)?)
    }
}

/// The name as people write it.
fn shown(name: &'static str) -> &'static str {
    name.trim_start_matches("sql_").trim_start_matches("pg_")
}

/// A call of a function on a batch of rows.
pub(super) struct Call<'a> {
    pub name: &'static str,
    args: &'a ScalarFunctionArgs,
    rows: usize,
}

impl Call<'_> {
    pub fn rows(&self) -> Range<usize> {
        0..self.rows
    }

    /// The number of arguments.
    pub fn count(&self) -> usize {
        self.args.args.len()
    }

    /// The type of an argument.
    pub fn type_of(&self, argument: usize) -> DataType {
        self.args.args[argument].data_type()
    }

    /// The type of an argument, as SQL Server has it.
    pub fn sql_type(&self, argument: usize) -> SqlType {
        SqlType::of(&self.args.arg_fields[argument])
    }

    pub fn return_type(&self) -> &DataType {
        self.args.return_field.data_type()
    }

    pub fn value(&self, argument: usize) -> &ColumnarValue {
        &self.args.args[argument]
    }

    /// An argument as a column.
    pub fn array(&self, argument: usize) -> Result<ArrayRef> {
        self.args.args[argument].to_array(self.rows)
    }

    /// An argument as text; what is none is converted as `CAST` does.
    pub fn texts(&self, argument: usize) -> Result<Texts> {
        let value = self.value(argument);
        if value.data_type() == DataType::Utf8View {
            return Texts::of(value);
        }
        Texts::of(&as_text(value, &self.args.arg_fields[argument])?)
    }

    /// An argument that may be left out, as text.
    pub fn texts_if(&self, argument: usize) -> Result<Option<Texts>> {
        (argument < self.count()).then(|| self.texts(argument)).transpose()
    }

    pub fn integers(&self, argument: usize) -> Result<Values<i64>> {
        let value = self.value(argument);
        if value.data_type() == DataType::Int64 {
            return arguments::integers(value);
        }
        arguments::integers(&value.cast_to(&DataType::Int64, None)?)
    }

    /// An argument that may be left out, and its value then.
    pub fn integers_or(&self, argument: usize, default: i64) -> Result<Values<i64>> {
        if argument < self.count() {
            return self.integers(argument);
        }
        Ok(Values::One(Some(default)))
    }

    pub fn floats(&self, argument: usize) -> Result<Values<f64>> {
        let array = match self.value(argument) {
            ColumnarValue::Array(array) => array.clone(),
            ColumnarValue::Scalar(scalar) => {
                let one = scalar.to_array()?;
                let one = one.as_primitive::<Float64Type>();
                return Ok(Values::One(one.is_valid(0).then(|| one.value(0))));
            }
        };
        Ok(Values::Many(array.as_primitive::<Float64Type>().iter().collect()))
    }

    /// The literal date part in front.
    pub fn part(&self) -> Result<DatePart> {
        arguments::part(self.name, self.args)
    }

    /// The one value of a text argument that is the same for all rows.
    pub fn constant(&self, argument: usize) -> Option<&str> {
        match self.args.args.get(argument)? {
            ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
            ColumnarValue::Array(_) => None,
        }
    }

    /// A column of texts by row.
    pub fn text<T: AsRef<str>>(
        &self,
        each: impl FnMut(usize) -> Result<Option<T>>,
    ) -> Result<ArrayRef> {
        Ok(Arc::new(self.rows().map(each).collect::<Result<StringViewArray>>()?))
    }

    pub fn int(&self, each: impl FnMut(usize) -> Result<Option<i32>>) -> Result<ArrayRef> {
        Ok(Arc::new(self.rows().map(each).collect::<Result<Int32Array>>()?))
    }

    pub fn bigint(&self, each: impl FnMut(usize) -> Result<Option<i64>>) -> Result<ArrayRef> {
        Ok(Arc::new(self.rows().map(each).collect::<Result<Int64Array>>()?))
    }

    pub fn float(&self, each: impl FnMut(usize) -> Result<Option<f64>>) -> Result<ArrayRef> {
        Ok(Arc::new(self.rows().map(each).collect::<Result<Float64Array>>()?))
    }
}

/// A value of any type as text, by the conversion that `CAST` uses.
fn as_text(value: &ColumnarValue, field: &Field) -> Result<ColumnarValue> {
    let from = SqlType::of(field);
    let request = Request { from, to: SqlType::Varchar(None), style: None, tries: false };
    let converted = |values: ArrayRef| convert::array(&cast(&values, &from.arrow())?, &request);
    Ok(match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(converted(values.clone())?),
        ColumnarValue::Scalar(scalar) => {
            let text = converted(scalar.to_array()?)?;
            ColumnarValue::Scalar(ScalarValue::try_from_array(&text, 0)?)
        }
    })
}

/// The error of a value that a function cannot take, with its SQLSTATE.
pub(super) fn refused(state: &'static str, message: impl Into<String>) -> DataFusionError {
    let error = Error::invalid(codes::INVALID_ARGUMENT, message).sqlstate(state);
    DataFusionError::External(Box::new(error))
}

/// A number that is too large for its type.
pub(super) fn overflow(to: &str) -> DataFusionError {
    let message =
        format!("Arithmetic overflow error converting expression to data type {to} (Msg 8115)");
    let error = Error::invalid(codes::OVERFLOW, message).sqlstate("22003");
    DataFusionError::External(Box::new(error))
}
