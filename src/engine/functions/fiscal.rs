//! `fiscal_year(time)`, `fiscal_period(time)` and `fiscal_period_in_year(time)`
//! by the organization's calendar.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use datafusion::arrow::array::{AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Int32Type, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::TIME;
use super::calendar::day_of;
use crate::query::context::Calendar;

/// Which number a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Number {
    Year,
    /// The period with its year.
    Period,
    /// The period's place in its year.
    PeriodInYear,
}

/// The fiscal year or period that holds a local time.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Fiscal {
    signature: Signature,
    number: Number,
    calendar: Calendar,
}

impl Fiscal {
    pub fn new(number: Number, calendar: Calendar) -> Self {
        let signature = Signature::exact(vec![TIME], Volatility::Immutable);
        Self { signature, number, calendar }
    }

    fn of(&self, day: i64) -> Option<i32> {
        let seconds = day.checked_mul(86_400)?;
        let day: NaiveDate = DateTime::from_timestamp(seconds, 0)?.date_naive();
        let period = self.calendar.period_of(day);
        match self.number {
            Number::Year => Some(period.year),
            Number::Period => period.code(),
            Number::PeriodInYear => i32::try_from(period.number).ok(),
        }
    }
}

impl ScalarUDFImpl for Fiscal {
    fn name(&self) -> &str {
        match self.number {
            Number::Year => "fiscal_year",
            Number::Period => "fiscal_period",
            Number::PeriodInYear => "fiscal_period_in_year",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = args.args[0].to_array(args.number_rows)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        // Neighbours are mostly of the same day.
        let mut last: Option<(i64, Option<i32>)> = None;
        let numbers: PrimitiveArray<Int32Type> = times
            .iter()
            .map(|time| {
                let day = day_of(time?);
                match last {
                    Some((known, number)) if known == day => number,
                    _ => {
                        let number = self.of(day);
                        last = Some((day, number));
                        number
                    }
                }
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::context::FiscalPeriod;

    #[test]
    fn years_and_periods_of_days() {
        let calendar = Calendar {
            fiscal_start: (7, 1),
            fiscal_period: FiscalPeriod::Quarterly,
            ..Calendar::default()
        };
        let day = |text: &str| day_of(crate::value::parse_time(text).expect("a time"));
        let number = |number, text| Fiscal::new(number, calendar).of(day(text));
        assert_eq!(number(Number::Year, "2023-06-30"), Some(2022));
        assert_eq!(number(Number::Year, "2023-07-01"), Some(2023));
        assert_eq!(number(Number::Period, "2023-06-30T23:59:59Z"), Some(202_204));
        assert_eq!(number(Number::Period, "2024-01-01"), Some(202_303));
        assert_eq!(number(Number::PeriodInYear, "2024-01-01"), Some(3));
    }
}
