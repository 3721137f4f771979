//! The stable printed form of a bound query, for golden tests and logs: one
//! line a part, columns as `source.column`, values as people write them.

use std::fmt::{self, Display, Formatter};

use chrono_tz::Tz;

use super::bound::{BoundQuery, Column, Join, OrderTarget, OutputRole, Predicate, Scalar};
use super::{Aggregate, LinkType, Operator};
use crate::value::{Value, date_text, guid_text, time_text};

impl Display for BoundQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.root.logical_name)?;
        for stage in &self.input {
            let inner = stage.query.to_string().replace('\n', "\n  ");
            write!(f, "\nmade by\n  {inner}")?;
        }
        for (index, join) in self.joins.iter().enumerate() {
            if self.in_predicate(index + 1).is_none() {
                write!(f, "\n{} {}", link_word(join.link_type), self.join(join))?;
            }
        }
        let first = self.root.columns.len() - self.computed.len();
        for (index, value) in self.computed.iter().enumerate() {
            let name = &self.root.columns[first + index].logical_name;
            write!(f, "\ncompute {name}: {}", self.scalar(value))?;
        }
        if let Some(filter) = &self.filter {
            write!(f, "\nwhere {}", self.predicate(filter))?;
        }
        if self.distinct {
            write!(f, "\ndistinct")?;
        }
        for (index, output) in self.outputs.iter().enumerate() {
            let column = self.named(output.column);
            let shown = if output.hidden { "hidden" } else { "column" };
            write!(f, "\n{shown} {index} ")?;
            if let Some(nested) = &output.nested {
                write!(f, "{nested}/")?;
            }
            write!(f, "{}: {}", output.name, role(output.role, &column))?;
            if let OutputRole::Group(Some(grouping)) = output.role
                && grouping.local
                && self.timezone != Tz::UTC
            {
                write!(f, " in {}", self.timezone)?;
            }
            for (word, other) in [("name", output.name_output), ("table", output.type_output)] {
                if let Some(other) = other {
                    write!(f, ", {word} in {other}")?;
                }
            }
        }
        for key in &self.order {
            let by = match &key.by {
                OrderTarget::Scalar(scalar) => self.scalar(scalar),
                OrderTarget::Column(column) => self.named(*column),
                OrderTarget::Output(output) => format!("column {output}"),
            };
            write!(f, "\norder {by}{}", if key.descending { " descending" } else { "" })?;
        }
        if let Some(share) = self.share {
            let end = if share.bottom { "bottom" } else { "top" };
            let unit = if share.percent { " percent" } else { "" };
            write!(f, "\n{end} {}{unit} of {}", share.amount, self.named(share.by))?;
        }
        if self.skip > 0 {
            write!(f, "\nskip {}", self.skip)?;
        }
        if let Some(limit) = self.aggregate_limit {
            write!(f, "\nat most {limit} rows aggregated")?;
        }
        if let Some(top) = self.top {
            write!(f, "\ntop {top}")?;
        }
        if let Some(page) = self.page {
            write!(f, "\npage {} of {} rows", page.number, page.size)?;
        }
        if let Some(after) = &self.after {
            let values: Vec<String> = after.values.iter().map(value).collect();
            write!(f, "\nafter {} on page {}", values.join(", "), after.page)?;
        }
        if self.count {
            write!(f, "\ncount")?;
        }
        Ok(())
    }
}

impl BoundQuery {
    /// `table as alias on parent = column and filter`
    fn join(&self, join: &Join) -> String {
        let table = &join.table.logical_name;
        let from = &join.table.columns[join.from].logical_name;
        let alias = &join.alias;
        let mut text = format!("{table} as {alias} on {} = {alias}.{from}", self.named(join.to));
        if let Some(filter) = &join.filter {
            text.push_str(&format!(" and {}", self.predicate(filter)));
        }
        text
    }

    /// A source that a predicate looks at, with what is joined to it.
    fn tested(&self, source: usize) -> String {
        let mut text = self.join(&self.joins[source - 1]);
        for join in &self.joins {
            if !join.in_predicate && self.in_predicate(join.to.source) == Some(source) {
                text.push_str(&format!(", {} {}", link_word(join.link_type), self.join(join)));
            }
        }
        text
    }

    /// `source.column`, the root by its table's name.
    fn named(&self, column: Column) -> String {
        let (source, table) = match column.source.checked_sub(1).map(|i| &self.joins[i]) {
            Some(join) => (&join.alias, &join.table),
            None => (&self.root.logical_name, &self.root),
        };
        format!("{source}.{}", table.columns[column.column].logical_name)
    }

    fn scalar(&self, scalar: &Scalar) -> String {
        match scalar {
            Scalar::Column(column) => self.named(*column),
            Scalar::Literal { value: literal, .. } => value(literal),
            Scalar::Cast(inner, data_type) => format!("{} as {data_type}", self.scalar(inner)),
            Scalar::Call { function, arguments, .. } => {
                let arguments: Vec<String> = arguments.iter().map(|a| self.scalar(a)).collect();
                format!("{function:?}({})", arguments.join(", "))
            }
        }
    }

    fn predicate(&self, predicate: &Predicate) -> String {
        let list = |parts: &[Predicate], word: &str| {
            let parts: Vec<String> = parts.iter().map(|p| self.predicate(p)).collect();
            format!("({})", parts.join(word))
        };
        match predicate {
            Predicate::And(parts) if parts.is_empty() => "true".into(),
            Predicate::Or(parts) if parts.is_empty() => "false".into(),
            Predicate::And(parts) => list(parts, " and "),
            Predicate::Or(parts) => list(parts, " or "),
            Predicate::Not(part) => format!("not {}", self.predicate(part)),
            Predicate::Holds(scalar) => self.scalar(scalar),
            Predicate::Operator { means, .. } => self.predicate(means),
            Predicate::NotTrue(part) => format!("not true {}", self.predicate(part)),
            Predicate::Exists(source) => format!("exists ({})", self.tested(*source)),
            Predicate::Compare { column, operator, operands } => {
                let mut text = format!("{} {}", self.named(*column), operator_word(*operator));
                for operand in operands {
                    text.push(' ');
                    text.push_str(&value(operand));
                }
                text
            }
            Predicate::FiscalPeriod { column, number } => {
                format!("{} in-fiscal-period {number}", self.named(*column))
            }
            Predicate::CompareColumns { left, operator, right } => {
                format!("{} {} {}", self.named(*left), operator_word(*operator), self.named(*right))
            }
        }
    }
}

fn link_word(link_type: LinkType) -> &'static str {
    match link_type {
        LinkType::Inner => "inner",
        LinkType::Outer => "outer",
        LinkType::Exists => "exists",
        LinkType::First => "first",
    }
}

fn role(role: OutputRole, column: &str) -> String {
    match role {
        OutputRole::Plain => column.to_owned(),
        OutputRole::CountChildren => format!("children of {column}"),
        OutputRole::Group(None) => format!("group {column}"),
        OutputRole::Group(Some(grouping)) => {
            let part = grouping.part.word();
            format!("group {part} of {column}")
        }
        OutputRole::Aggregate(aggregate) => {
            let function = match aggregate {
                Aggregate::Count => return "count rows".into(),
                Aggregate::CountColumn { distinct: false } => "count",
                Aggregate::CountColumn { distinct: true } => "count distinct",
                Aggregate::Sum => "sum",
                Aggregate::Avg => "avg",
                Aggregate::Min => "min",
                Aggregate::Max => "max",
            };
            format!("{function} {column}")
        }
    }
}

fn operator_word(operator: Operator) -> &'static str {
    match operator {
        Operator::Eq => "eq",
        Operator::Ne => "ne",
        Operator::Gt => "gt",
        Operator::Ge => "ge",
        Operator::Lt => "lt",
        Operator::Le => "le",
        Operator::Like => "like",
        Operator::NotLike => "not-like",
        Operator::In => "in",
        Operator::NotIn => "not-in",
        Operator::Between => "between",
        Operator::NotBetween => "not-between",
        Operator::Null => "null",
        Operator::NotNull => "not-null",
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Boolean(v) => v.to_string(),
        Value::Int32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::Float64(v) => v.to_string(),
        Value::Decimal(v) => format!("{v} (unscaled)"),
        Value::Guid(v) => guid_text(v),
        Value::Text(v) => format!("{v:?}"),
        Value::Time(v) => time_text(*v),
        Value::Date(v) => date_text(*v),
    }
}
