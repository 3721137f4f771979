//! Operators that are more than a comparison: dates, the caller, hierarchies.
//! What they mean at this moment for this caller is worked out here; a
//! comparison, a range or a list is left.

use datafusion::arrow::datatypes::DataType;

use super::Binder;
use super::literal::{self, date_value};
use super::sources::Scope;
use crate::catalog::{ColumnType, Table};
use crate::error::{Error, Result, codes};
use crate::query::bound::{Column, Predicate};
use crate::query::dates::{self, Bound, Given, Range};
use crate::query::fiscal::Period;
use crate::query::operators::{Arguments, Caller, Dates, Hierarchy, Unit};
use crate::query::{Condition, Literal, Operand, Operator, Style, Test};
use crate::value::{Guid, Value};

/// The language of a user who has chosen none: English (United States).
const LANGUAGE: i32 = 1033;
/// A row for users of any language.
const ANY_LANGUAGE: i32 = -1;
/// Later fiscal years are a slip.
const FISCAL_YEAR_MAX: i32 = 9998;

/// A condition whose column is settled.
struct Subject<'a> {
    condition: &'a Condition,
    column: Column,
    table: &'a Table,
    data_type: &'a DataType,
}

impl Subject<'_> {
    fn name(&self) -> &str {
        &self.condition.column.name.text
    }

    fn facts(&self) -> &crate::catalog::Column {
        &self.table.columns[self.column.column]
    }

    fn compare(&self, operator: Operator, operands: Vec<Value>) -> Predicate {
        Predicate::Compare { column: self.column, operator, operands }
    }

    /// The column is one of the rows; nothing is one of none.
    fn one_of(&self, ids: impl IntoIterator<Item = Guid>) -> Predicate {
        let ids: Vec<Value> = ids.into_iter().map(Value::Guid).collect();
        if ids.is_empty() {
            return Predicate::Or(Vec::new());
        }
        self.compare(Operator::In, ids)
    }
}

impl Binder<'_> {
    /// A test other than a comparison.
    pub(super) fn operator_test(
        &mut self,
        condition: &Condition,
        scope: Scope,
    ) -> Result<Predicate> {
        let column = self.attribute(&condition.column, scope, codes::CONDITION_ALIAS_UNKNOWN)?;
        let table = self.sources[column.source].table.clone();
        let data_type = table.schema().field(column.column).data_type();
        let subject = Subject { condition, column, table: &table, data_type };
        let values = self.values(&subject)?;
        let means = match condition.test {
            Test::Dates(test) => self.dates(&subject, test, &values)?,
            Test::Caller(test) => self.caller(&subject, test)?,
            Test::Hierarchy(test) => self.hierarchy(&subject, test, &values)?,
            // No table has a choice of several values.
            Test::Values { .. } | Test::Compare(_) => return Err(self.not_valid(&subject)),
        };
        let values = values.into_iter().map(|value| value.text.clone()).collect();
        Ok(Predicate::Operator { column, test: condition.test, values, means: Box::new(means) })
    }

    /// The operator as the dialect spells it.
    fn spelling(&self, condition: &Condition) -> &'static str {
        let operator = condition.test.operator();
        let name = match self.style {
            Style::FetchXml => operator.map(|o| o.name),
            Style::OData => operator.and_then(|o| o.query_function),
        };
        name.unwrap_or("the operator")
    }

    /// The operator does not go with the column. Query functions of the Web API
    /// are refused like the operators they stand for.
    fn not_valid(&self, subject: &Subject<'_>) -> Error {
        let message = format!(
            "'{}' cannot be used on '{}', which holds {}",
            self.spelling(subject.condition),
            subject.name(),
            literal::kind_of(subject.facts(), subject.data_type)
        );
        Error::invalid(codes::OPERATOR_NOT_VALID, message).at(subject.condition.at.clone())
    }

    /// The values, as many as the operator takes.
    fn values<'a>(&self, subject: &Subject<'a>) -> Result<Vec<&'a Literal>> {
        let condition = subject.condition;
        let bad = |message: String| {
            Error::invalid(self.code(codes::BAD_CONDITION), message).at(condition.at.clone())
        };
        let spelling = self.spelling(condition);
        let mut values = Vec::with_capacity(condition.operands.len());
        for operand in &condition.operands {
            match operand {
                Operand::Value(literal) => values.push(literal),
                Operand::Column(other) => {
                    let (name, other) = (subject.name(), &other.name.text);
                    return Err(bad(format!(
                        "'{spelling}' cannot compare '{name}' with the column '{other}'"
                    )));
                }
            }
        }
        let (given, name) = (values.len(), subject.name());
        let fits = match condition.test.operator().map(|o| o.arguments) {
            Some(Arguments::None) | None => given == 0,
            Some(Arguments::One) => given == 1,
            Some(Arguments::Two) => given == 2,
            Some(Arguments::Many) => given > 0,
        };
        if !fits {
            return Err(bad(format!("'{spelling}' on '{name}' does not take {given} values")));
        }
        Ok(values)
    }

    fn dates(&self, subject: &Subject<'_>, test: Dates, values: &[&Literal]) -> Result<Predicate> {
        match subject.data_type {
            DataType::Timestamp(..) => {}
            DataType::Date32 if !has_clock_units(test) => {}
            _ => return Err(self.not_valid(subject)),
        }
        let given = match (test, values) {
            (Dates::On | Dates::OnOrAfter | Dates::OnOrBefore, [day]) => {
                literal::not_empty(day, subject.name())?;
                let read = dates::read_day(&day.text, self.context.timezone);
                Given::Day(read.ok_or_else(|| {
                    literal::misfit(day, subject.name(), subject.facts(), &DataType::Date32)
                })?)
            }
            (Dates::InFiscalYear, [year]) => Given::Number(self.fiscal_year(subject, year)?),
            (Dates::InFiscalPeriod, [number]) => {
                let (column, number) = (subject.column, self.fiscal_period(subject, number)?);
                return Ok(Predicate::FiscalPeriod { column, number });
            }
            (_, [number, year]) => {
                let number = self.fiscal_period(subject, number)?;
                Given::Period(Period { year: self.fiscal_year(subject, year)?, number })
            }
            (_, [count]) => Given::Number(positive(subject, count)?),
            _ => Given::Nothing,
        };
        let range = dates::range(test, given, self.context)
            .ok_or_else(|| Error::internal("a date operator without a range"))?;
        Ok(self.within(subject, range))
    }

    fn fiscal_year(&self, subject: &Subject<'_>, literal: &Literal) -> Result<i32> {
        let year = positive(subject, literal)?;
        if year <= FISCAL_YEAR_MAX {
            return Ok(year);
        }
        let message = format!("{year} is no fiscal year; they go to {FISCAL_YEAR_MAX}");
        Err(Error::invalid(codes::INVALID_VALUE, message).at(literal.at.clone()))
    }

    fn fiscal_period(&self, subject: &Subject<'_>, literal: &Literal) -> Result<u32> {
        let (number, count) = (
            positive(subject, literal)?.unsigned_abs(),
            self.context.calendar.fiscal_period.count(),
        );
        if number <= count {
            return Ok(number);
        }
        let message = format!("there is no fiscal period {number}; a fiscal year has {count}");
        Err(Error::invalid(codes::INVALID_VALUE, message).at(literal.at.clone()))
    }

    /// A range as comparisons with values of the column's type.
    fn within(&self, subject: &Subject<'_>, range: Range) -> Predicate {
        let timezone = self.context.timezone;
        // A column of dates has no time of day: what begins now begins today,
        // and what ends now ends after today.
        let value = |bound: Bound, days_after_now: i64| match (bound, subject.data_type) {
            (Bound::Day(day), DataType::Date32) => date_value(day),
            (Bound::Day(day), _) => Value::Time(dates::start_of(day, timezone)),
            (Bound::Instant(micros), DataType::Date32) => {
                let day = dates::day_of(micros, timezone);
                let after = day.checked_add_signed(chrono::TimeDelta::days(days_after_now));
                date_value(after.unwrap_or(day))
            }
            (Bound::Instant(micros), _) => Value::Time(micros),
        };
        let from = range.from.map(|from| subject.compare(Operator::Ge, vec![value(from, 0)]));
        let until = range.until.map(|until| subject.compare(Operator::Lt, vec![value(until, 1)]));
        match (from, until) {
            (Some(from), Some(until)) => Predicate::And(vec![from, until]),
            (from, until) => from.or(until).unwrap_or(Predicate::And(Vec::new())),
        }
    }

    fn caller(&self, subject: &Subject<'_>, test: Caller) -> Result<Predicate> {
        let context = self.context;
        let (user, unit) = (context.user, context.business_unit);
        if test == Caller::IsLanguage {
            if subject.facts().column_type != ColumnType::Integer {
                return Err(self.not_valid(subject));
            }
            let languages = [LANGUAGE, ANY_LANGUAGE].map(Value::Int32).to_vec();
            return Ok(subject.compare(Operator::In, languages));
        }
        if !matches!(subject.data_type, DataType::FixedSizeBinary(_)) {
            return Err(self.not_valid(subject));
        }
        let is = |operator, id| subject.compare(operator, vec![Value::Guid(id)]);
        let relations = &context.relations;
        let below = || {
            let mut users = vec![user];
            users.extend(relations.subordinates(user));
            users
        };
        Ok(match test {
            Caller::IsUser => is(Operator::Eq, user),
            Caller::IsNotUser => is(Operator::Ne, user),
            Caller::IsBusinessUnit => is(Operator::Eq, unit),
            Caller::IsNotBusinessUnit => is(Operator::Ne, unit),
            Caller::InTeams => subject.one_of(relations.teams_of(&[user])),
            Caller::IsUserOrInTeams => {
                subject.one_of([user].into_iter().chain(relations.teams_of(&[user])))
            }
            Caller::InHierarchy => subject.one_of(below()),
            Caller::InHierarchyOrTeams => {
                let users = below();
                let teams = relations.teams_of(&users);
                subject.one_of(users.into_iter().chain(teams))
            }
            Caller::IsLanguage => return Err(self.not_valid(subject)),
        })
    }

    fn hierarchy(
        &self,
        subject: &Subject<'_>,
        test: Hierarchy,
        values: &[&Literal],
    ) -> Result<Predicate> {
        let table = subject.table;
        let column = subject.column.column;
        let parent = table
            .parent_index()
            .filter(|parent| *parent == column || column == table.primary_id_index());
        let Some(parent) = parent else {
            let message = format!(
                "'{}' needs the primary key or the parent of a table with a hierarchy; \
                 '{}' of '{}' is neither",
                self.spelling(subject.condition),
                subject.name(),
                table.logical_name
            );
            let error = Error::invalid(codes::OPERATOR_NOT_VALID, message);
            return Err(error.at(subject.condition.at.clone()));
        };
        let [of] = values else { return Err(self.not_valid(subject)) };
        let (name, zone) = (subject.name(), self.context.timezone);
        let id = match literal::value(of, name, subject.facts(), subject.data_type, zone)? {
            Value::Guid(id) => id,
            _ => return Err(self.not_valid(subject)),
        };
        let relations = &self.context.relations;
        let (table, parent) = (table.logical_name.as_str(), &table.columns[parent].logical_name);
        let with_itself = |rows: Vec<Guid>| [id].into_iter().chain(rows);
        Ok(match test {
            Hierarchy::Above => subject.one_of(relations.ancestors(table, parent, id)),
            Hierarchy::AboveOrEqual => {
                subject.one_of(with_itself(relations.ancestors(table, parent, id)))
            }
            Hierarchy::Under => subject.one_of(relations.descendants(table, parent, id)),
            Hierarchy::UnderOrEqual => {
                subject.one_of(with_itself(relations.descendants(table, parent, id)))
            }
            Hierarchy::NotUnder => {
                let below = with_itself(relations.descendants(table, parent, id));
                subject.compare(Operator::NotIn, below.map(Value::Guid).collect())
            }
        })
    }
}

/// Whether an operator counts hours or minutes.
fn has_clock_units(test: Dates) -> bool {
    match test {
        Dates::Unit { unit, .. }
        | Dates::Last { unit, .. }
        | Dates::Next { unit, .. }
        | Dates::OlderThan(unit) => matches!(unit, Unit::Minute | Unit::Hour),
        _ => false,
    }
}

/// A whole number above 0.
fn positive(subject: &Subject<'_>, literal: &Literal) -> Result<i32> {
    literal::not_empty(literal, subject.name())?;
    match literal.text.trim().parse::<i32>() {
        Ok(number) if number > 0 => Ok(number),
        _ => {
            let message = format!(
                "the value '{}' of the condition on '{}' must be a whole number from 1 to {}",
                literal::shown(&literal.text),
                subject.name(),
                i32::MAX
            );
            Err(Error::invalid(codes::VALUE_MUST_BE_POSITIVE, message).at(literal.at.clone()))
        }
    }
}
