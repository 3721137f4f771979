//! Values and the parts of bound queries as texts that all printers need.

use chrono::{DateTime, SecondsFormat};
use datafusion::arrow::datatypes::DataType;

use crate::catalog::{self, ColumnKind, Table};
use crate::query::Function;
use crate::query::bound::{BoundQuery, Column, Output, OutputRole, Scalar};
use crate::query::functions::{ARITHMETIC, CALLS};
use crate::value::{Value, date_text, guid_text};

/// A value without quotes; times in UTC with a `Z`.
pub fn bare(value: &Value, data_type: &DataType) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Boolean(v) => v.to_string(),
        Value::Int32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::Float64(v) => float(*v),
        Value::Decimal(v) => decimal(*v, data_type),
        Value::Guid(v) => guid_text(v),
        Value::Text(v) => v.clone(),
        Value::Time(v) => time(*v),
        Value::Date(v) => date_text(*v),
    }
}

/// A time to the microsecond.
pub fn time(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Very large and very small numbers would be rows of zeros.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e15).contains(&size) {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

fn decimal(unscaled: i128, data_type: &DataType) -> String {
    let scale = match data_type {
        DataType::Decimal128(_, scale) => usize::try_from(*scale).unwrap_or(0),
        _ => 0,
    };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// How OData spells a function.
pub fn spelling(function: Function) -> &'static str {
    let known = CALLS.iter().chain(ARITHMETIC).find(|s| s.function == function);
    match (known, function) {
        (Some(spelling), _) => spelling.name,
        (None, Function::Eq) => "eq",
        (None, Function::Ne) => "ne",
        (None, Function::Gt) => "gt",
        (None, Function::Ge) => "ge",
        (None, Function::Lt) => "lt",
        (None, Function::Le) => "le",
        (None, Function::In) => "in",
        (None, Function::And) => "and",
        (None, Function::Or) => "or",
        (None, Function::Not) => "not",
        _ => "-",
    }
}

impl BoundQuery {
    /// The table of a source.
    pub(super) fn table_of(&self, source: usize) -> &Table {
        match source.checked_sub(1) {
            None => &self.root,
            Some(join) => &self.joins[join].table,
        }
    }

    pub(super) fn facts(&self, column: Column) -> &catalog::Column {
        &self.table_of(column.source).columns[column.column]
    }

    /// A value as a text, typed as a column.
    pub(super) fn text_of(&self, value: &Value, column: Column) -> String {
        bare(value, self.table_of(column.source).schema().field(column.column).data_type())
    }

    /// What a column of the root is computed by.
    pub(super) fn computed_by(&self, column: Column) -> Option<&Scalar> {
        let first = self.root.columns.len() - self.computed.len();
        let index = column.column.checked_sub(first).filter(|_| column.source == 0)?;
        self.computed.get(index)
    }

    /// The visible outputs.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter().filter(|output| !output.hidden)
    }

    /// Whether the columns of a source are what a query that names none asks for.
    pub(super) fn shows_all(&self, source: usize) -> bool {
        let plain =
            |o: &&Output| o.column.source == source && o.role == OutputRole::Plain && !o.aliased;
        let shown: Vec<usize> = self.shown().filter(plain).map(|o| o.column.column).collect();
        let columns = self.table_of(source).columns.iter().enumerate();
        let all = columns.filter(|(_, c)| c.read && c.kind == ColumnKind::Stored);
        !self.aggregate && !self.distinct && all.map(|(index, _)| index).eq(shown)
    }

    /// The lookup whose name, or the choice whose label, a column is.
    pub(super) fn text_for(&self, column: Column) -> Option<Column> {
        let (ColumnKind::LookupName(of) | ColumnKind::ChoiceLabel(of)) = self.facts(column).kind
        else {
            return None;
        };
        let table = self.table_of(column.source);
        let named = format!("{}name", table.columns[of].logical_name);
        (named == table.columns[column.column].logical_name)
            .then_some(Column { source: column.source, column: of })
    }

    /// The rows left out and the most rows given, pages included.
    pub(super) fn range(&self) -> (u64, Option<u64>) {
        let Some(page) = self.page else { return (self.skip, self.top) };
        let skip = page.number.saturating_sub(1).saturating_mul(page.size);
        let rows = self.top.map_or(page.size, |top| page.size.min(top.saturating_sub(skip)));
        (self.skip.saturating_add(skip), Some(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_they_were() {
        let decimals = DataType::Decimal128(38, 4);
        for (text, data_type) in [
            ("-1.5", &decimals),
            ("0.0001", &decimals),
            ("12", &decimals),
            ("1e-9", &DataType::Float64),
            ("-2.5e300", &DataType::Float64),
            ("0.25", &DataType::Float64),
            ("9007199254740993", &DataType::Int64),
        ] {
            let value = Value::parse(text, data_type).expect(text);
            assert_eq!(bare(&value, data_type), text);
        }
        assert_eq!(time(1_500_000), "1970-01-01T00:00:01.500Z");
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
    }
}
