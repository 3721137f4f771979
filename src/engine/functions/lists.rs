//! The lists whose items table functions give as rows.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, Decimal128Builder, Int32Builder, Int64Builder,
    ListArray, ListBuilder, StringViewBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, Int32Type, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::definition::refused;

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// The functions of this file.
pub(super) fn all() -> impl Iterator<Item = Lists> {
    [Kind::Split, Kind::Series, Kind::Ordinals]
        .into_iter()
        .map(|kind| Lists { kind, signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// The parts of a text between separators.
    Split,
    /// The whole numbers from one to another.
    Series,
    /// The places of a list's items, from 1.
    Ordinals,
}

/// A function that makes a list.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Lists {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Lists {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Split => "sql_string_split",
            Kind::Series => "sql_generate_series",
            Kind::Ordinals => "sql_ordinals",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(list_of(match self.kind {
            Kind::Split => DataType::Utf8View,
            Kind::Ordinals => DataType::Int64,
            Kind::Series if types.iter().all(is_int) => DataType::Int32,
            Kind::Series if types.iter().any(DataType::is_temporal) => {
                return plan_err!(
                    "A series of times needs an interval as its third argument (Msg 8116)"
                );
            }
            Kind::Series if types.iter().any(DataType::is_decimal) => decimal_of(types),
            Kind::Series => DataType::Int64,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let list = match self.kind {
            Kind::Split => split(&columns)?,
            Kind::Series => {
                let item = match args.return_type() {
                    DataType::List(item) => item.data_type().clone(),
                    other => other.clone(),
                };
                match item {
                    DataType::Decimal128(..) => decimal_series(&columns, &item)?,
                    _ => cast(&series(&columns)?, &list_of(item))?,
                }
            }
            Kind::Ordinals => ordinals(&columns[0])?,
        };
        // A constant list of one row is taken apart as a scalar.
        Ok(ColumnarValue::Array(list))
    }
}

fn is_int(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Int32 | DataType::Int16 | DataType::Int8 | DataType::UInt8 | DataType::Null
    )
}

/// `STRING_SPLIT`: no rows of a null, one empty text of an empty text.
fn split(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = cast(&columns[0], &DataType::Utf8View)?;
    let separators = cast(&columns[1], &DataType::Utf8View)?;
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    let pairs = texts.as_string_view().iter().zip(separators.as_string_view().iter());
    for (text, separator) in pairs {
        let mut chars = separator.unwrap_or_default().chars();
        let (Some(separator), None) = (chars.next(), chars.next()) else {
            return exec_err!(
                "Procedure expects parameter 'separator' of type 'nchar(1)/nvarchar(1)' (Msg 214)"
            );
        };
        if let Some(text) = text {
            text.split(separator).for_each(|part| lists.values().append_value(part));
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

fn too_long() -> DataFusionError {
    refused("54000", format!("a series has {LENGTH_MAX} numbers at most"))
}

/// How many numbers the series of a batch of rows may have: they are made at once.
const LENGTH_MAX: usize = 20_000_000;

const ZERO_STEP: &str =
    "Argument value 0 is invalid for argument 3 of generate_series function (Msg 4199)";

/// `GENERATE_SERIES`: up by one, or down where the end is before the start.
fn series(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let numbers = columns
        .iter()
        .map(|column| cast(column, &DataType::Int64))
        .collect::<Result<Vec<_>, _>>()?;
    let value = |column: usize, row: usize| {
        let column = numbers.get(column)?.as_primitive::<Int64Type>();
        column.is_valid(row).then(|| i128::from(column.value(row)))
    };
    let mut lists = ListBuilder::new(Int64Builder::new());
    step_through(&mut lists, columns, 1, value, |list, n| {
        // It is between two numbers of 64 bits.
        list.append_value(n as i64);
    })?;
    Ok(Arc::new(lists.finish()))
}

/// Makes the series of each row: `unit` is the step where none is given.
fn step_through<B: ArrayBuilder>(
    lists: &mut ListBuilder<B>,
    columns: &[ArrayRef],
    unit: i128,
    value: impl Fn(usize, usize) -> Option<i128>,
    append: impl Fn(&mut B, i128),
) -> Result<()> {
    for row in 0..columns[0].len() {
        let (start, stop) = (value(0, row), value(1, row));
        let step = match columns.len() {
            2 => start.zip(stop).map(|(start, stop)| if start <= stop { unit } else { -unit }),
            _ => value(2, row),
        };
        if step == Some(0) {
            return exec_err!("{ZERO_STEP}");
        }
        if let (Some(start), Some(stop), Some(step)) = (start, stop, step) {
            let mut next = Some(start);
            while let Some(n) = next.filter(|n| if step > 0 { *n <= stop } else { *n >= stop }) {
                if lists.values().len() == LENGTH_MAX {
                    return Err(too_long());
                }
                append(lists.values(), n);
                next = n.checked_add(step);
            }
        }
        lists.append(true);
    }
    Ok(())
}

/// The decimal that holds all numbers of these types.
fn decimal_of(types: &[DataType]) -> DataType {
    let digits = types.iter().map(|kind| match kind {
        DataType::Decimal128(precision, scale) => {
            (i16::from(*precision) - i16::from(*scale), i16::from(*scale))
        }
        kind if is_int(kind) => (10, 0),
        _ => (19, 0),
    });
    let (whole, scale) = digits.fold((0, 0), |(a, b), (c, d)| (a.max(c), b.max(d)));
    let precision = u8::try_from((whole + scale).clamp(1, 38)).unwrap_or(38);
    DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(0))
}

/// The same with decimals.
fn decimal_series(columns: &[ArrayRef], item: &DataType) -> Result<ArrayRef> {
    let numbers = columns.iter().map(|column| cast(column, item)).collect::<Result<Vec<_>, _>>()?;
    let value = |column: usize, row: usize| {
        let column = numbers.get(column)?.as_primitive::<Decimal128Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let unit = match item {
        DataType::Decimal128(_, scale) => 10_i128.pow(u32::try_from(*scale).unwrap_or(0)),
        _ => 1,
    };
    let builder = Decimal128Builder::new().with_data_type(item.clone());
    let mut lists = ListBuilder::new(builder);
    step_through(&mut lists, columns, unit, value, |list, n| list.append_value(n))?;
    Ok(Arc::new(lists.finish()))
}

fn ordinals(lists: &ArrayRef) -> Result<ArrayRef> {
    let lists: &ListArray = lists.as_list();
    let mut places = ListBuilder::new(Int64Builder::new());
    for row in 0..lists.len() {
        let count = if lists.is_valid(row) { lists.value_length(row) } else { 0 };
        (1..=i64::from(count)).for_each(|place| places.values().append_value(place));
        places.append(true);
    }
    Ok(Arc::new(places.finish()))
}

/// The column of a recursive query that counts levels.
pub const RECURSION_LEVEL: &str = "recursion level";

/// The level of a row that a recursive query makes of the row before.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RecursionLevel {
    signature: Signature,
}

impl RecursionLevel {
    pub fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RecursionLevel {
    fn name(&self) -> &str {
        "recursion_level"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = args.return_type().clone();
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let levels = cast(&columns[0], &DataType::Int32)?;
        let limits = cast(&columns[1], &DataType::Int32)?;
        let mut next = Int32Builder::with_capacity(levels.len());
        let pairs = levels
            .as_primitive::<Int32Type>()
            .iter()
            .zip(limits.as_primitive::<Int32Type>().iter());
        for (level, limit) in pairs {
            let (level, limit) = (level.unwrap_or(0).saturating_add(1), limit.unwrap_or(0));
            if limit > 0 && level > limit {
                return exec_err!(
                    "The statement terminated. The maximum recursion {limit} has been exhausted \
                     before statement completion (Msg 530)"
                );
            }
            next.append_value(level);
        }
        Ok(ColumnarValue::Array(cast(&next.finish(), &kind)?))
    }
}
