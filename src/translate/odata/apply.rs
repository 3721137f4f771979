//! Groups, distinct rows and what is computed, as `$apply` has them.

use super::path::Paths;
use super::{Printer, cannot_say};
use crate::error::Result;
use crate::query::bound::{Output, OutputRole, PLACE};
use crate::query::{Aggregate, DateGrouping, DatePart};

impl Printer<'_> {
    /// The transformations of the query, those of the queries inside first.
    pub(super) fn apply(&mut self) -> Result<String> {
        let query = self.query;
        let mut steps = Vec::new();
        match query.input.as_slice() {
            [] => {}
            [stage] => {
                let inner = &stage.query;
                if inner.skip > 0 || inner.top.is_some() || query.root.column_index(PLACE).is_some()
                {
                    return Err(cannot_say("a query of a part of the rows"));
                }
                let paths = Paths::new(inner);
                let mut printer = Printer { query: inner, paths, notes: Vec::new() };
                steps.push(printer.apply()?);
                self.notes.append(&mut printer.notes);
            }
            _ => return Err(cannot_say("this 'concat'")),
        }
        if query.share.is_some() {
            return Err(cannot_say("this part of a sum"));
        }
        let condition = self.rows_wanted(0, query.filter.as_ref())?;
        if !condition.is_every_row() {
            steps.push(format!("filter(({}))", self.filter(&condition)?));
        }
        let mut computed = Vec::new();
        let first = query.root.columns.len() - query.computed.len();
        for (index, value) in query.computed.iter().enumerate() {
            let name = &query.root.columns[first + index].logical_name;
            if name.starts_with('$') {
                return Err(cannot_say("this aggregate of an expression"));
            }
            computed.push(format!("{} as {name}", self.scalar(value)?));
        }
        let mut groups = Vec::new();
        let mut aggregates = Vec::new();
        for output in query.shown() {
            match output.role {
                OutputRole::Aggregate(function) => {
                    aggregates.push(self.aggregate(output, function)?);
                }
                OutputRole::Group(Some(part)) => {
                    computed.push(self.date_part(output, part)?);
                    groups.push(output.name.clone());
                }
                OutputRole::CountChildren => return Err(cannot_say("'CountChildren'")),
                OutputRole::Plain | OutputRole::Group(None)
                    if query.aggregate || query.distinct =>
                {
                    let name = self.column(output.column)?;
                    self.name_of(output, &name);
                    if !groups.contains(&name) {
                        groups.push(name);
                    }
                }
                OutputRole::Plain | OutputRole::Group(None) => {}
            }
        }
        if !computed.is_empty() {
            steps.push(format!("compute({})", computed.join(",")));
        }
        let aggregate = format!("aggregate({})", aggregates.join(","));
        match (groups.is_empty(), aggregates.is_empty()) {
            (false, false) => steps.push(format!("groupby(({}),{aggregate})", groups.join(","))),
            (false, true) => steps.push(format!("groupby(({}))", groups.join(","))),
            (true, false) => steps.push(aggregate),
            (true, true) => {}
        }
        Ok(match steps.is_empty() {
            true => "identity".into(),
            false => steps.join("/"),
        })
    }

    /// A group goes by its column, behind a navigation property also by its table.
    fn name_of(&mut self, output: &Output, name: &str) {
        let own = match output.column.source {
            0 => name.to_owned(),
            _ => format!("{}_{}", output.table.logical_name, output.facts().property_name()),
        };
        if output.aliased && output.name != own && output.name != output.facts().logical_name {
            self.rename(&output.name, &own);
        }
    }

    fn aggregate(&self, output: &Output, function: Aggregate) -> Result<String> {
        let method = match function {
            Aggregate::Count => return Ok(format!("$count as {}", output.name)),
            Aggregate::CountColumn { distinct: true } => "countdistinct",
            Aggregate::CountColumn { distinct: false } => {
                let name = &output.facts().logical_name;
                return Err(cannot_say(format!("how many values '{name}' has that are not null")));
            }
            Aggregate::Sum => "sum",
            Aggregate::Avg => "average",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
        };
        Ok(format!("{} with {method} as {}", self.column(output.column)?, output.name))
    }

    fn date_part(&self, output: &Output, grouping: DateGrouping) -> Result<String> {
        let name = &output.facts().logical_name;
        let timezone = self.query.timezone;
        if grouping.local && timezone != chrono_tz::Tz::UTC {
            return Err(cannot_say(format!("parts of '{name}' in the time zone {timezone}")));
        }
        let column = self.column(output.column)?;
        let part = match grouping.part {
            DatePart::Day => format!("day({column})"),
            DatePart::Month => format!("month({column})"),
            DatePart::Year => format!("year({column})"),
            DatePart::Quarter => format!("(month({column}) add 2) div 3"),
            DatePart::Week => return Err(cannot_say(format!("the week of '{name}'"))),
            DatePart::FiscalPeriod | DatePart::FiscalYear => {
                return Err(cannot_say(format!("the fiscal period of '{name}'")));
            }
        };
        Ok(format!("{part} as {}", output.name))
    }
}
