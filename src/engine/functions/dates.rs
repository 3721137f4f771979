//! SQL Server's date functions. `DATEDIFF` counts the boundaries crossed, not
//! the units elapsed; weeks turn on Sunday; adding months stops at the month's
//! last day; what leaves the years 1 to 9999 is an error.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Date32Array, Int32Array, Int64Array, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::DatePart;
use super::arguments::{self, Kind, Rows, TIME};
use super::calendar::{
    self, Date, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    Diff,
    DiffBig,
    Add,
    Part,
    Name,
    Trunc,
    EndOfMonth,
}

/// One of the date functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateFunction {
    name: &'static str,
    function: Function,
    arguments: &'static [Kind],
    /// Arguments that must be given.
    least: usize,
    signature: Signature,
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = DateFunction> {
    use Kind::{Int, Part, Time};
    let functions: [(&'static str, Function, &'static [Kind], usize); 7] = [
        ("datediff", Function::Diff, &[Part, Time, Time], 3),
        ("datediff_big", Function::DiffBig, &[Part, Time, Time], 3),
        ("dateadd", Function::Add, &[Part, Int, Time], 3),
        ("datepart", Function::Part, &[Part, Time], 2),
        ("datename", Function::Name, &[Part, Time], 2),
        ("datetrunc", Function::Trunc, &[Part, Time], 2),
        ("eomonth", Function::EndOfMonth, &[Time, Int], 1),
    ];
    functions.into_iter().map(|(name, function, arguments, least)| DateFunction {
        name,
        function,
        arguments,
        least,
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

impl ScalarUDFImpl for DateFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if !(self.least..=self.arguments.len()).contains(&given.len()) {
            return exec_err!("{} requires {} argument(s) (Msg 174)", self.name, self.least);
        }
        let kinds = self.arguments.iter();
        kinds.zip(given).map(|(kind, t)| arguments::coerced(self.name, *kind, t)).collect()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::Diff | Function::Part => DataType::Int32,
            Function::DiffBig => DataType::Int64,
            Function::Name => DataType::Utf8View,
            Function::EndOfMonth => DataType::Date32,
            Function::Add | Function::Trunc => match arguments.last() {
                Some(DataType::Date32) => DataType::Date32,
                _ => TIME,
            },
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = Rows::of(&args);
        let answer: ArrayRef = match self.function {
            Function::Diff | Function::DiffBig => self.difference(&args, &rows)?,
            Function::Add => self.add(&args, &rows)?,
            Function::Part => {
                let part = arguments::part(self.name, &args)?;
                let times = arguments::times(&args.args[1])?;
                let values = (0..rows.count).map(|i| times.get(i).map(|t| value(part, t) as i32));
                Arc::new(values.collect::<Int32Array>())
            }
            Function::Name => {
                let part = arguments::part(self.name, &args)?;
                let times = arguments::times(&args.args[1])?;
                let names = (0..rows.count).map(|i| times.get(i).map(|t| name(part, t)));
                Arc::new(names.collect::<StringViewArray>())
            }
            Function::Trunc => {
                let part = arguments::part(self.name, &args)?;
                let times = arguments::times(&args.args[1])?;
                let starts = (0..rows.count).map(|i| {
                    times
                        .get(i)
                        .map(|t| truncated(part, t).ok_or_else(|| self.refused(part)))
                        .transpose()
                });
                as_type(&args, starts)?
            }
            Function::EndOfMonth => {
                let times = arguments::times(&args.args[0])?;
                let months = args.args.get(1).map(arguments::integers).transpose()?;
                let ends = (0..rows.count).map(|i| {
                    let months = months.as_ref().map_or(Some(0), |months| months.get(i));
                    let (Some(time), Some(months)) = (times.get(i), months) else {
                        return Ok(None);
                    };
                    let Date { year, month, .. } = calendar::date(day_of(time));
                    add_months(year, month, months)
                        .map(|(year, month)| {
                            let last = calendar::days_in_month(year, month);
                            Some(calendar::day(year, month, last) as i32)
                        })
                        .ok_or_else(|| self.overflow())
                });
                Arc::new(ends.collect::<Result<Date32Array>>()?)
            }
        };
        rows.answer(answer)
    }
}

impl DateFunction {
    fn difference(&self, args: &ScalarFunctionArgs, rows: &Rows) -> Result<ArrayRef> {
        let part = arguments::part(self.name, args)?;
        if part == DatePart::IsoWeek {
            return Err(self.refused(part));
        }
        let (from, to) = (arguments::times(&args.args[1])?, arguments::times(&args.args[2])?);
        let differences = (0..rows.count).map(|i| {
            let (from, to) = (from.get(i)?, to.get(i)?);
            Some(boundary(part, to).checked_sub(boundary(part, from)))
        });
        let overflow = || {
            exec_datafusion_err!(
                "{}: the number of {}s between the two dates is too large (Msg 535); \
                 use a larger date part or DATEDIFF_BIG",
                self.name,
                part.name()
            )
        };
        if self.function == Function::DiffBig {
            let checked = differences.map(|d| d.map(|d| d.ok_or_else(overflow)).transpose());
            return Ok(Arc::new(checked.collect::<Result<Int64Array>>()?));
        }
        let checked = differences.map(|d| {
            d.map(|d| d.and_then(|d| i32::try_from(d).ok()).ok_or_else(overflow)).transpose()
        });
        Ok(Arc::new(checked.collect::<Result<Int32Array>>()?))
    }

    fn add(&self, args: &ScalarFunctionArgs, rows: &Rows) -> Result<ArrayRef> {
        let part = arguments::part(self.name, args)?;
        if part == DatePart::IsoWeek
            || args.return_field.data_type() == &DataType::Date32 && is_time_of_day(part)
        {
            return Err(self.refused(part));
        }
        let (numbers, times) =
            (arguments::integers(&args.args[1])?, arguments::times(&args.args[2])?);
        let sums = (0..rows.count).map(|i| {
            let (Some(number), Some(time)) = (numbers.get(i), times.get(i)) else {
                return Ok(None);
            };
            added(part, number, time).map(Some).ok_or_else(|| self.overflow())
        });
        as_type(args, sums)
    }

    fn overflow(&self) -> datafusion::common::DataFusionError {
        exec_datafusion_err!(
            "{}: adding a value to a datetime column caused an overflow (Msg 517)",
            self.name
        )
    }

    fn refused(&self, part: DatePart) -> datafusion::common::DataFusionError {
        exec_datafusion_err!(
            "The datepart {} is not supported by {} for this data type (Msg 9810)",
            part.name(),
            self.name
        )
    }
}

/// Microseconds as the function's return type: a time, or a date.
fn as_type(
    args: &ScalarFunctionArgs,
    micros: impl Iterator<Item = Result<Option<i64>>>,
) -> Result<ArrayRef> {
    if args.return_field.data_type() == &DataType::Date32 {
        let days = micros.map(|m| m.map(|m| m.map(|m| day_of(m) as i32)));
        return Ok(Arc::new(days.collect::<Result<Date32Array>>()?));
    }
    Ok(Arc::new(arguments::time_array(micros)?))
}

fn is_time_of_day(part: DatePart) -> bool {
    use DatePart::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
    matches!(part, Hour | Minute | Second | Millisecond | Microsecond | Nanosecond)
}

/// How many boundaries of a part lie before an instant.
fn boundary(part: DatePart, time: i64) -> i64 {
    let day = day_of(time);
    match part {
        DatePart::Year => calendar::date(day).year,
        DatePart::Quarter => {
            let Date { year, month, .. } = calendar::date(day);
            year * 4 + (month - 1) / 3
        }
        DatePart::Month => {
            let Date { year, month, .. } = calendar::date(day);
            year * 12 + month
        }
        DatePart::Day | DatePart::DayOfYear | DatePart::Weekday => day,
        DatePart::Week | DatePart::IsoWeek => calendar::week(day),
        DatePart::Hour => time.div_euclid(MICROS_PER_HOUR),
        DatePart::Minute => time.div_euclid(MICROS_PER_MINUTE),
        DatePart::Second => time.div_euclid(MICROS_PER_SECOND),
        DatePart::Millisecond => time.div_euclid(1_000),
        DatePart::Microsecond => time,
        DatePart::Nanosecond => time.saturating_mul(1_000),
    }
}

/// Year and month so many months later, within the years 1 to 9999.
fn add_months(year: i64, month: i64, months: i64) -> Option<(i64, i64)> {
    let index = (year * 12 + month - 1).checked_add(months)?;
    let year = index.div_euclid(12);
    (1..=9999).contains(&year).then(|| (year, index.rem_euclid(12) + 1))
}

fn added(part: DatePart, number: i64, time: i64) -> Option<i64> {
    let number = i64::from(i32::try_from(number).ok()?);
    let months = match part {
        DatePart::Year => number.checked_mul(12)?,
        DatePart::Quarter => number.checked_mul(3)?,
        DatePart::Month => number,
        _ => {
            let unit = match part {
                DatePart::Week | DatePart::IsoWeek => 7 * MICROS_PER_DAY,
                DatePart::Hour => MICROS_PER_HOUR,
                DatePart::Minute => MICROS_PER_MINUTE,
                DatePart::Second => MICROS_PER_SECOND,
                DatePart::Millisecond => 1_000,
                DatePart::Microsecond => 1,
                DatePart::Nanosecond => {
                    return Some(time.checked_add(number / 1_000)?)
                        .filter(|time| calendar::in_range(*time));
                }
                _ => MICROS_PER_DAY,
            };
            let sum = time.checked_add(number.checked_mul(unit)?)?;
            return Some(sum).filter(|time| calendar::in_range(*time));
        }
    };
    let Date { year, month, day } = calendar::date(day_of(time));
    let (year, month) = add_months(year, month, months)?;
    let day = day.min(calendar::days_in_month(year, month));
    Some(calendar::day(year, month, day) * MICROS_PER_DAY + time.rem_euclid(MICROS_PER_DAY))
}

/// `DATEPART`.
fn value(part: DatePart, time: i64) -> i64 {
    let day = day_of(time);
    let Date { year, month, day: of_month } = calendar::date(day);
    let first = calendar::day(year, 1, 1);
    let of_day = time.rem_euclid(MICROS_PER_DAY);
    let of_second = time.rem_euclid(MICROS_PER_SECOND);
    match part {
        DatePart::Year => year,
        DatePart::Quarter => (month - 1) / 3 + 1,
        DatePart::Month => month,
        DatePart::DayOfYear => day - first + 1,
        DatePart::Day => of_month,
        DatePart::Week => calendar::week(day) - calendar::week(first) + 1,
        DatePart::IsoWeek => iso_week(day),
        DatePart::Weekday => calendar::weekday(day) + 1,
        DatePart::Hour => of_day / MICROS_PER_HOUR,
        DatePart::Minute => of_day / MICROS_PER_MINUTE % 60,
        DatePart::Second => of_day / MICROS_PER_SECOND % 60,
        DatePart::Millisecond => of_second / 1_000,
        DatePart::Microsecond => of_second,
        DatePart::Nanosecond => of_second * 1_000,
    }
}

/// The ISO 8601 week: that of the week's Thursday in its year.
fn iso_week(day: i64) -> i64 {
    let monday = monday_of(day);
    let thursday = monday + 3;
    let first = calendar::day(calendar::date(thursday).year, 1, 1);
    (thursday - first) / 7 + 1
}

fn monday_of(day: i64) -> i64 {
    day - (calendar::weekday(day) + 6) % 7
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// `DATENAME`.
fn name(part: DatePart, time: i64) -> String {
    let value = value(part, time);
    let named = match part {
        DatePart::Month => MONTHS.get(value as usize - 1),
        DatePart::Weekday => WEEKDAYS.get(value as usize - 1),
        _ => None,
    };
    named.map_or_else(|| value.to_string(), ToString::to_string)
}

/// `DATETRUNC`: the start of the part that holds an instant.
fn truncated(part: DatePart, time: i64) -> Option<i64> {
    let day = day_of(time);
    let Date { year, month, .. } = calendar::date(day);
    let start = match part {
        DatePart::Year => calendar::day(year, 1, 1),
        DatePart::Quarter => calendar::day(year, (month - 1) / 3 * 3 + 1, 1),
        DatePart::Month => calendar::day(year, month, 1),
        DatePart::Day | DatePart::DayOfYear => day,
        DatePart::Week => day - calendar::weekday(day),
        DatePart::IsoWeek => monday_of(day),
        DatePart::Weekday | DatePart::Nanosecond => return None,
        DatePart::Hour => return Some(floor(time, MICROS_PER_HOUR)),
        DatePart::Minute => return Some(floor(time, MICROS_PER_MINUTE)),
        DatePart::Second => return Some(floor(time, MICROS_PER_SECOND)),
        DatePart::Millisecond => return Some(floor(time, 1_000)),
        DatePart::Microsecond => return Some(time),
    };
    Some(start.saturating_mul(MICROS_PER_DAY))
}

fn floor(time: i64, unit: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(unit))
}
