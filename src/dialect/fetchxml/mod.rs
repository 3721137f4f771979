//! FetchXML text → [`query::Select`](crate::query::Select).
//!
//! The text is read into a tree ([`reader`]), the tree checked against the
//! vocabulary of the language ([`vocabulary`]), then put into the common form.
//! Names of tables and columns are not judged here; `query::bind` does that.

mod filter;
mod operators;
mod paging;
mod reader;
mod vocabulary;

#[cfg(test)]
pub(super) mod tests;

use self::paging::{Rows, positive};
use self::reader::{Attribute, Element};
use self::vocabulary::{hint, is_set};
use crate::error::{Error, Result, codes};
use crate::query::{
    Aggregate, Column, ColumnRef, Columns, DateGrouping, DatePart, Filter, Link, LinkType, Order,
    OrderBy, Path, Role, Select, Style,
};

/// Parses one `fetch` element.
pub fn parse(text: &str) -> Result<Select> {
    let fetch = reader::read(text)?;
    vocabulary::check(&fetch)?;
    Parser { aggregate: is_set(&fetch, "aggregate"), distinct: is_set(&fetch, "distinct") }
        .select(&fetch)
}

/// What the `fetch` element says about all elements inside.
struct Parser {
    aggregate: bool,
    distinct: bool,
}

impl Parser {
    fn select(&self, fetch: &Element) -> Result<Select> {
        if let Some(mapping) = fetch.attribute("mapping")
            && !matches!(mapping.value.as_str(), "logical" | "internal")
        {
            let message = format!("'mapping' is 'logical', not '{}'", mapping.value);
            return Err(Error::invalid(codes::BAD_MAPPING, message).at(mapping.at.clone()));
        }
        let Rows { top, page, turns_pages, after, count } = paging::rows(fetch)?;
        let retained = is_retained(fetch)?;
        let entity = only_entity(fetch)?;
        let mut order = Vec::new();
        for parent in [fetch, entity] {
            order.extend(self.orders(parent)?);
        }
        Ok(Select {
            columns: self.columns(entity, true)?,
            links: self.links(entity)?,
            filter: if retained { Some(no_rows()) } else { filter::filters(self, entity)? },
            aggregate: self.aggregate,
            distinct: self.distinct,
            order,
            raw_order: is_set(fetch, "useraworderby"),
            aggregate_limit: positive(fetch, "aggregatelimit")?,
            top,
            page,
            turns_pages,
            after,
            count,
            ..Select::of(Style::FetchXml, entity.required("name")?)
        })
    }

    /// The columns of the entity or of a link. Without any word about them the
    /// entity gives all, a link none.
    fn columns(&self, parent: &Element, root: bool) -> Result<Columns> {
        let attributes: Vec<&Element> = parent.children_named("attribute").collect();
        if let Some(none) = parent.children_named("no-attrs").next() {
            let (code, message) = if self.distinct {
                (codes::NO_ATTRS_DISTINCT, "'no-attrs' leaves nothing to tell rows apart by")
            } else if parent.children_named("all-attributes").next().is_some()
                || !attributes.is_empty()
            {
                (codes::INVALID_NODE, "'no-attrs' stands beside other attributes")
            } else {
                return Ok(Columns::List(Vec::new()));
            };
            return Err(Error::invalid(code, message).at(none.at.clone()));
        }
        if let Some(all) = parent.children_named("all-attributes").next() {
            if self.aggregate {
                let message = "'all-attributes' cannot stand in an aggregate query";
                return Err(
                    Error::invalid(codes::PLAIN_ATTRIBUTE_IN_AGGREGATE, message).at(all.at.clone())
                );
            }
            // Those without an alias are among all attributes.
            let listed = attributes.into_iter().map(column).collect::<Result<Vec<_>>>()?;
            let named: Vec<_> = listed.into_iter().filter(|c| c.alias.is_some()).collect();
            return Ok(if named.is_empty() { Columns::All } else { Columns::AllAnd(named) });
        }
        if attributes.is_empty() && root && !self.aggregate {
            return Ok(Columns::All);
        }
        attributes.into_iter().map(column).collect::<Result<_>>().map(Columns::List)
    }

    fn links(&self, parent: &Element) -> Result<Vec<Link>> {
        parent.children_named("link-entity").map(|element| self.link(element)).collect()
    }

    fn link(&self, element: &Element) -> Result<Link> {
        self.link_of(element, link_type(element)?)
    }

    fn link_of(&self, element: &Element, link_type: LinkType) -> Result<Link> {
        Ok(Link {
            link_type,
            table: element.required("name")?,
            from: element.name_of("from").filter(|n| !n.text.is_empty()),
            to: element.name_of("to").filter(|n| !n.text.is_empty()),
            alias: element.name_of("alias").filter(|a| !a.text.is_empty()),
            columns: self.columns(element, false)?,
            filter: filter::filters(self, element)?,
            links: self.links(element)?,
            order: self.orders(element)?,
        })
    }

    fn orders(&self, parent: &Element) -> Result<Vec<Order>> {
        parent.children_named("order").map(|element| self.order(element)).collect()
    }

    /// An aggregate query is sorted by aliases, any other by columns.
    fn order(&self, element: &Element) -> Result<Order> {
        let (attribute, alias) = (element.name_of("attribute"), element.name_of("alias"));
        let bad = |code, message: &str| Err(Error::invalid(code, message).at(element.at.clone()));
        let by = match (self.aggregate, attribute, alias) {
            (true, Some(_), _) => {
                return bad(
                    codes::ORDER_ATTRIBUTE_IN_AGGREGATE,
                    "an aggregate query is ordered by 'alias', not by 'attribute'",
                );
            }
            (true, None, None) => {
                return bad(codes::ORDER_WITHOUT_ALIAS, "'order' needs the attribute 'alias'");
            }
            (true, None, Some(alias)) => OrderBy::Alias(alias),
            (false, _, Some(_)) => {
                return bad(
                    codes::ORDER_ALIAS_IN_PLAIN,
                    "only an aggregate query is ordered by 'alias'; use 'attribute'",
                );
            }
            (false, None, None) => {
                return bad(
                    codes::ORDER_WITHOUT_ATTRIBUTE,
                    "'order' needs the attribute 'attribute'",
                );
            }
            (false, Some(name), None) => {
                let path = element.name_of("entityname").map_or(Path::Here, Path::Alias);
                OrderBy::Column(ColumnRef { path, name })
            }
        };
        Ok(Order { by, descending: is_set(element, "descending") })
    }
}

/// Whether only rows under long-term retention are asked for.
fn is_retained(fetch: &Element) -> Result<bool> {
    match fetch.attribute("datasource") {
        None => Ok(false),
        Some(source) if source.value == "retained" => Ok(true),
        Some(source) => {
            let message = format!("'datasource' is 'retained', not '{}'", source.value);
            Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(source.at.clone()))
        }
    }
}

/// Nothing is moved to long-term retention here.
fn no_rows() -> Filter {
    Filter::Or(Vec::new())
}

fn only_entity(fetch: &Element) -> Result<&Element> {
    let mut entities = fetch.children_named("entity");
    let entity = entities.next().ok_or_else(|| {
        Error::invalid(codes::MISSING_ELEMENT, "'fetch' needs an 'entity' element")
            .at(fetch.at.clone())
    })?;
    match entities.next() {
        Some(second) => {
            Err(Error::invalid(codes::INVALID_NODE, "'fetch' has more than one 'entity'")
                .at(second.at.clone()))
        }
        None => Ok(entity),
    }
}

fn link_type(element: &Element) -> Result<LinkType> {
    let Some(attribute) = element.attribute("link-type") else {
        return Ok(LinkType::Inner);
    };
    let value = attribute.value.as_str();
    match value {
        "inner" | "natural" => Ok(LinkType::Inner),
        "outer" => Ok(LinkType::Outer),
        "exists" | "in" => Ok(LinkType::Exists),
        "matchfirstrowusingcrossapply" => Ok(LinkType::First),
        "any" | "not any" | "all" | "not all" => {
            let message = format!("a link of type '{value}' belongs inside a filter");
            Err(Error::invalid(codes::BAD_LINK_TYPE, message).at(attribute.at.clone()))
        }
        _ => {
            let known =
                ["inner", "outer", "natural", "exists", "in", "matchfirstrowusingcrossapply"];
            let hint = hint(value, known.into_iter());
            let message = format!("there is no link-type '{value}'{hint}");
            Err(Error::invalid(codes::BAD_LINK_TYPE, message).at(attribute.at.clone()))
        }
    }
}

fn column(element: &Element) -> Result<Column> {
    let name = element.required("name")?;
    Ok(Column {
        column: ColumnRef { path: Path::Here, name },
        alias: element.name_of("alias").filter(|a| !a.text.is_empty()),
        role: role(element)?,
    })
}

fn role(element: &Element) -> Result<Role> {
    if let Some(function) = element.attribute("rowaggregate") {
        return row_aggregate(element, function);
    }
    let group = is_set(element, "groupby");
    let date_part = date_part(element)?;
    if let Some(dategrouping) = element.attribute("dategrouping")
        && !group
    {
        let message = "'dategrouping' needs groupby='true'";
        return Err(Error::invalid(codes::BAD_DATEGROUPING, message).at(dategrouping.at.clone()));
    }
    let distinct = is_set(element, "distinct");
    if distinct && element.get("aggregate") != Some("countcolumn") {
        let message = "'distinct' of an attribute needs aggregate='countcolumn'";
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(element.at.clone()));
    }
    let Some(aggregate) = element.attribute("aggregate") else {
        return Ok(if group { Role::Group(date_part) } else { Role::Plain });
    };
    if group {
        let message = "an attribute is either grouped or aggregated, not both";
        return Err(Error::invalid(codes::AGGREGATE_AND_GROUPBY, message).at(aggregate.at.clone()));
    }
    Ok(Role::Aggregate(match aggregate.value.as_str() {
        "count" => Aggregate::Count,
        "countcolumn" => Aggregate::CountColumn { distinct },
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        other => {
            let known = ["count", "countcolumn", "sum", "avg", "min", "max"];
            let hint = hint(other, known.into_iter());
            let message = format!("there is no aggregate '{other}'{hint}");
            return Err(Error::invalid(codes::BAD_AGGREGATE, message).at(aggregate.at.clone()));
        }
    }))
}

fn row_aggregate(element: &Element, function: &Attribute) -> Result<Role> {
    let bad = |code, message: String| Err(Error::invalid(code, message).at(function.at.clone()));
    if function.value != "CountChildren" {
        let message = format!("'rowaggregate' is 'CountChildren', not '{}'", function.value);
        return bad(codes::BAD_AGGREGATE, message);
    }
    if let Some(other) = ["aggregate", "groupby"].into_iter().find(|o| element.get(o).is_some()) {
        return bad(codes::BAD_AGGREGATE, format!("'rowaggregate' stands beside '{other}'"));
    }
    if element.get("alias").is_none_or(|alias| alias.trim().is_empty()) {
        return bad(codes::MISSING_ATTRIBUTE, "'rowaggregate' needs an alias".into());
    }
    Ok(Role::CountChildren)
}

fn date_part(element: &Element) -> Result<Option<DateGrouping>> {
    let Some(attribute) = element.attribute("dategrouping") else {
        return Ok(None);
    };
    // Times are grouped in the caller's zone unless the query says otherwise.
    let local = element.get("usertimezone").is_none_or(|_| is_set(element, "usertimezone"));
    let part = match attribute.value.as_str() {
        "day" => DatePart::Day,
        "week" => DatePart::Week,
        "month" => DatePart::Month,
        "quarter" => DatePart::Quarter,
        "year" => DatePart::Year,
        "fiscal-period" => DatePart::FiscalPeriod,
        "fiscal-year" => DatePart::FiscalYear,
        other => {
            let known = ["day", "week", "month", "quarter", "year", "fiscal-period", "fiscal-year"];
            let hint = hint(other, known.into_iter());
            let message = format!("there is no dategrouping '{other}'{hint}");
            return Err(Error::invalid(codes::BAD_DATEGROUPING, message).at(attribute.at.clone()));
        }
    };
    Ok(Some(DateGrouping { part, local }))
}
