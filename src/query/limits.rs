//! The limits of Dataverse itself, for those who want to see what their queries
//! would do there. They are kept only if the service is set up so; see
//! "Query limits" in Microsoft's developer documentation.

use super::{Condition, Filter, Link, Page, Select, Style};
use crate::error::{Error, ErrorKind, Result, codes};

/// Rows on a page, and the most that `top` gives.
pub const ROWS_MAX: u64 = 5000;
/// What a count goes up to.
pub const COUNT_MAX: u64 = 5000;
/// Rows that an aggregate query reads.
pub const AGGREGATE_ROWS_MAX: u64 = 50_000;
/// Rows that pages found by their number go up to.
const PAGED_ROWS_MAX: u64 = 50_000;
const LINKS_MAX: usize = 15;
const CONDITIONS_MAX: usize = 500;
/// Dataverse has such a limit and does not publish the number.
const VALUES_MAX: usize = 2000;

/// Conditions of a query, with Dataverse's limits or without them: planning goes as
/// deep as there are conditions in a row, and the stack has an end.
const CONDITIONS_MOST: usize = 5000;

/// Refuses a query that is too large to be planned.
pub fn check_size(select: &Select) -> Result<()> {
    let mut counts = Counts::default();
    counts.links(&select.links);
    select.filter.iter().for_each(|f| counts.filter(f));
    if counts.conditions > CONDITIONS_MOST {
        let message = format!(
            "the query has {} conditions; the limit is {CONDITIONS_MOST}, and a list of values for 'in' is one condition",
            counts.conditions
        );
        return Err(limit(codes::TOO_MANY_CONDITIONS, message, select));
    }
    Ok(())
}

/// Refuses a query that Dataverse would not run.
pub fn check(select: &Select) -> Result<()> {
    let mut counts = Counts::default();
    counts.links(&select.links);
    select.filter.iter().for_each(|f| counts.filter(f));
    if counts.links > LINKS_MAX {
        let message = format!(
            "the query has {} link-entity elements; the limit is {LINKS_MAX}",
            counts.links
        );
        return Err(limit(codes::TOO_MANY_LINKS, message, select));
    }
    if counts.links + counts.conditions > CONDITIONS_MAX {
        let message = format!(
            "the query has {} conditions and link-entity elements; the limit is {CONDITIONS_MAX}",
            counts.links + counts.conditions
        );
        return Err(limit(codes::TOO_MANY_CONDITIONS, message, select));
    }
    if let Some(condition) = counts.too_many_values {
        let message = format!(
            "the condition on '{}' has {} values; the limit is {VALUES_MAX}",
            condition.column.name.text,
            condition.operands.len()
        );
        return Err(
            Error::new(ErrorKind::Limit, codes::TOO_MANY_VALUES, message).at(condition.at.clone())
        );
    }
    let by_number = select.after.as_ref().is_none_or(|after| after.cookie.keys.is_empty());
    if let Some(Page { size, number }) = select.page
        && select.style == Style::FetchXml
        && by_number
        && size.saturating_mul(number) > PAGED_ROWS_MAX
    {
        let message = format!(
            "page {number} of {size} rows lies beyond {PAGED_ROWS_MAX} rows, which is as far as \
             pages go without a paging cookie"
        );
        return Err(limit(codes::PAGED_TOO_FAR, message, select));
    }
    Ok(())
}

/// What a count says, and whether there are more rows than it says.
pub fn counted(rows: u64, dataverse_limits: bool) -> (u64, bool) {
    if dataverse_limits && rows > COUNT_MAX { (COUNT_MAX, true) } else { (rows, false) }
}

fn limit(code: u32, message: String, select: &Select) -> Error {
    Error::new(ErrorKind::Limit, code, message).at(select.table.at.clone())
}

#[derive(Default)]
struct Counts<'a> {
    links: usize,
    conditions: usize,
    too_many_values: Option<&'a Condition>,
}

impl<'a> Counts<'a> {
    fn links(&mut self, links: &'a [Link]) {
        for link in links {
            self.links += 1;
            link.filter.iter().for_each(|f| self.filter(f));
            self.links(&link.links);
        }
    }

    fn filter(&mut self, filter: &'a Filter) {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|f| self.filter(f)),
            Filter::Not(part) => self.filter(part),
            Filter::Condition(condition) => {
                self.conditions += 1;
                if condition.operands.len() > VALUES_MAX {
                    self.too_many_values.get_or_insert(condition);
                }
            }
            Filter::Related(related) => self.links(std::slice::from_ref(&related.link)),
            Filter::Lambda(lambda) => {
                self.links += 1;
                lambda.filter.iter().for_each(|f| self.filter(f));
            }
            Filter::Expression(_) => self.conditions += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;
    use crate::query::cookie::CookieKey;
    use crate::query::{
        After, ColumnRef, Cookie, LinkType, Literal, LiteralKind, Name, Operand, Operator, Path,
        Test,
    };

    fn at() -> Place {
        Place::Part("here".into())
    }

    fn name(text: &str) -> Name {
        Name { text: text.into(), at: at() }
    }

    fn select() -> Select {
        Select::of(Style::FetchXml, name("asyncoperation"))
    }

    fn condition(values: usize) -> Filter {
        let value = Literal { kind: LiteralKind::Untyped, text: "1".into(), at: at() };
        Filter::Condition(Condition {
            column: ColumnRef { path: Path::Here, name: name("statecode") },
            test: Test::Compare(Operator::In),
            operands: vec![Operand::Value(value); values],
            at: at(),
        })
    }

    fn link(links: Vec<Link>) -> Link {
        Link {
            link_type: LinkType::Inner,
            table: name("systemuser"),
            from: Some(name("systemuserid")),
            to: Some(name("ownerid")),
            alias: None,
            columns: crate::query::Columns::List(Vec::new()),
            filter: None,
            links,
            order: Vec::new(),
        }
    }

    fn code(select: &Select) -> u32 {
        check(select).err().map_or(0, |error| error.code)
    }

    #[test]
    fn links_conditions_and_values() {
        let nested = (0..LINKS_MAX).fold(Vec::new(), |links, _| vec![link(links)]);
        let query = Select { links: nested.clone(), ..select() };
        assert_eq!(code(&query), 0);
        let query = Select { links: vec![link(nested)], ..select() };
        assert_eq!(code(&query), codes::TOO_MANY_LINKS);
        let filter = |conditions| Some(Filter::Or(vec![condition(1); conditions]));
        for (conditions, fits) in [(CONDITIONS_MOST, true), (CONDITIONS_MOST + 1, false)] {
            let query = Select { filter: filter(conditions), ..select() };
            assert_eq!(check_size(&query).is_ok(), fits, "{conditions}");
        }
        assert_eq!(code(&Select { filter: filter(CONDITIONS_MAX), ..select() }), 0);
        let links = vec![link(Vec::new())];
        let query = Select { filter: filter(CONDITIONS_MAX), links, ..select() };
        assert_eq!(code(&query), codes::TOO_MANY_CONDITIONS);
        assert_eq!(code(&Select { filter: Some(condition(VALUES_MAX)), ..select() }), 0);
        let query = Select { filter: Some(condition(VALUES_MAX + 1)), ..select() };
        assert_eq!(code(&query), codes::TOO_MANY_VALUES);
    }

    #[test]
    fn pages_by_number_end_where_those_after_a_row_go_on() {
        let page = |number| Some(Page { size: 5000, number });
        assert_eq!(code(&Select { page: page(10), ..select() }), 0);
        let mut query = Select { page: page(11), ..select() };
        assert_eq!(code(&query), codes::PAGED_TOO_FAR);
        let key = CookieKey { name: "asyncoperationid".into(), last: None, first: None };
        let cookie = Cookie { page: 10, size: None, keys: vec![key] };
        query.after = Some(After { cookie, at: at() });
        assert_eq!(code(&query), 0);
    }

    #[test]
    fn counts_stop_only_where_dataverse_is_followed() {
        assert_eq!(counted(5001, false), (5001, false));
        assert_eq!(counted(5001, true), (5000, true));
        assert_eq!(counted(5000, true), (5000, false));
    }
}
