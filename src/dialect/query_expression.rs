//! The queries that actions such as `BulkDelete` take → [`query::Select`](crate::query::Select):
//! the SDK's `QueryExpression` as JSON, or FetchXML. Only the keys of the rows are selected.

use serde_json::{Map, Value as Json};

use super::fetchxml;
use crate::catalog::{Catalog, nearest};
use crate::error::{Error, Place, Result, codes};
use crate::query::operators::{Arguments, ConditionOperator, Meaning, OPERATORS, Operator};
use crate::query::{
    Column, ColumnRef, Columns, Condition, Filter, Link, LinkType, Literal, LiteralKind, Name,
    Operand, Order, OrderBy, Path, Role, Select, Style, Test,
};

type Object = Map<String, Json>;

/// Names of the `ConditionOperator` enumeration that are not those of a query
/// function, with the operator of FetchXML that means the same.
const OPERATOR_NAMES: &[(&str, &str)] = &[
    ("Equal", "eq"),
    ("NotEqual", "ne"),
    ("GreaterThan", "gt"),
    ("GreaterEqual", "ge"),
    ("LessThan", "lt"),
    ("LessEqual", "le"),
    ("Like", "like"),
    ("NotLike", "not-like"),
    ("Null", "null"),
    ("NotNull", "not-null"),
    ("BeginsWith", "begins-with"),
    ("DoesNotBeginWith", "not-begin-with"),
    ("EndsWith", "ends-with"),
    ("DoesNotEndWith", "not-end-with"),
];

/// Operators that are no operator of FetchXML, with the one that they are made of.
const DERIVED_NAMES: &[(&str, &str, Derived)] = &[
    ("Contains", "like", Derived::Within),
    ("DoesNotContain", "not-like", Derived::Within),
    ("NotOn", "on", Derived::Not),
];

/// How an operator is made of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derived {
    /// The value stands anywhere in the text. Dataverse does this only in columns with a
    /// full-text index; no other column would have a meaning there.
    Within,
    /// Rows for which the other does not hold, also those without a value.
    Not,
}

/// Names of the enumeration that Microsoft's reference keeps for internal use.
const INTERNAL_NAMES: [&str; 5] =
    ["ChildOf", "EqualRoleBusinessId", "Mask", "MasksSelect", "NotMask"];

const JOINS: &[(&str, LinkType)] = &[
    ("Inner", LinkType::Inner),
    ("LeftOuter", LinkType::Outer),
    ("Exists", LinkType::Exists),
    ("In", LinkType::Exists),
    ("MatchFirstRowUsingCrossApply", LinkType::First),
];

/// Asks for the keys of the rows and for nothing else.
fn select_key(select: &mut Select, reader: &Reader, catalog: &Catalog) {
    if let Some(table) = catalog.table(&select.table.text) {
        let name = Name { text: table.primary_id.clone(), at: reader.at() };
        let column = ColumnRef { path: Path::Here, name };
        select.columns = Columns::List(vec![Column { column, alias: None, role: Role::Plain }]);
    }
}

/// The rows that a fetch finds.
fn fetch(text: &str, reader: &Reader, catalog: &Catalog) -> Result<Select> {
    let mut select = fetchxml::parse(text)?;
    let refused = [
        (select.aggregate, "aggregates have no rows"),
        (select.page.is_some() || select.turns_pages, "all rows are taken, not a page of them"),
    ];
    if let Some((_, why)) = refused.iter().find(|(is_so, _)| *is_so) {
        return Err(reader.wrong(format!("this fetch cannot be used here: {why}")));
    }
    select_key(&mut select, reader, catalog);
    without_columns(&mut select.links);
    Ok(select)
}

/// Links only choose rows.
fn without_columns(links: &mut [Link]) {
    for link in links {
        link.columns = Columns::List(Vec::new());
        without_columns(&mut link.links);
    }
}

/// Reads a query; `place` is where it stands in the request. FetchXML is a text, or a
/// `FetchExpression`.
pub fn parse(json: &Json, place: &str, catalog: &Catalog) -> Result<Select> {
    let reader = Reader { place: place.to_owned() };
    if let Json::String(text) = json {
        return fetch(text, &reader, catalog);
    }
    let object = reader.object(json)?;
    let kind = object.get("@odata.type").and_then(Json::as_str).unwrap_or_default();
    if kind.ends_with(".FetchExpression") || object.contains_key("Query") {
        reader.only(object, &["Query"])?;
        let text = object.get("Query").and_then(Json::as_str);
        let text = text.ok_or_else(|| reader.wrong("'Query' is the text of a fetch"))?;
        return fetch(text, &reader, catalog);
    }
    reader.only(
        object,
        &[
            "EntityName",
            "ColumnSet",
            "Criteria",
            "LinkEntities",
            "Orders",
            "PageInfo",
            "Distinct",
            "TopCount",
            "NoLock",
            "DataSource",
        ],
    )?;
    let table = reader.name(object, "EntityName")?;
    let mut select = Select::of(Style::FetchXml, table);
    select_key(&mut select, &reader, catalog);
    select.filter = reader.filter(object, "Criteria")?;
    select.links = reader.links(object)?;
    select.order = reader.orders(object)?;
    select.top = match object.get("TopCount") {
        None | Some(Json::Null) => None,
        Some(json) => Some(json.as_u64().filter(|n| *n > 0).ok_or_else(|| {
            reader.wrong(format!("'TopCount' is a whole number above 0, not {json}"))
        })?),
    };
    Ok(select)
}

/// The LIKE pattern of texts that hold a text; nothing in it is a wildcard.
fn within(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        match c {
            '%' | '_' | '[' => pattern.extend(['[', c, ']']),
            _ => pattern.push(c),
        }
    }
    pattern.push('%');
    pattern
}

struct Reader {
    place: String,
}

impl Reader {
    fn at(&self) -> Place {
        Place::Part(self.place.clone())
    }

    fn below(&self, name: &str) -> Self {
        Self { place: format!("{}.{name}", self.place) }
    }

    fn wrong(&self, message: impl Into<String>) -> Error {
        Error::invalid(codes::INVALID_ARGUMENT, message).at(self.at())
    }

    fn object<'a>(&self, json: &'a Json) -> Result<&'a Object> {
        json.as_object().ok_or_else(|| self.wrong("a JSON object is expected"))
    }

    /// Refuses members that mean nothing here.
    fn only(&self, object: &Object, known: &[&str]) -> Result<()> {
        let unknown = object.keys().find(|n| !n.contains('@') && !known.contains(&n.as_str()));
        let Some(unknown) = unknown else { return Ok(()) };
        let near = nearest(unknown, known.iter().copied());
        let hint = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        Err(self.wrong(format!("'{unknown}' is not known here{hint}")))
    }

    fn optional(&self, object: &Object, name: &str) -> Result<Option<Name>> {
        match object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) if text.is_empty() => Ok(None),
            Some(Json::String(text)) => Ok(Some(Name { text: text.clone(), at: self.at() })),
            Some(other) => Err(self.wrong(format!("'{name}' is a name, not {other}"))),
        }
    }

    fn name(&self, object: &Object, name: &str) -> Result<Name> {
        self.optional(object, name)?.ok_or_else(|| self.wrong(format!("'{name}' is missing")))
    }

    /// The members of a list, each with the place it stands at.
    fn list<'a>(&self, object: &'a Object, name: &str) -> Result<Vec<(Self, &'a Json)>> {
        match object.get(name) {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::Array(items)) => {
                let at = |i: usize| self.below(&format!("{name}[{i}]"));
                Ok(items.iter().enumerate().map(|(i, item)| (at(i), item)).collect())
            }
            Some(_) => Err(self.wrong(format!("'{name}' is a list"))),
        }
    }

    /// One of the names of an enumeration.
    fn one_of<T: Copy>(&self, object: &Object, name: &str, names: &[(&str, T)]) -> Result<T> {
        let given = match object.get(name) {
            None | Some(Json::Null) => return Ok(names[0].1),
            Some(given) => given,
        };
        let found = names.iter().find(|(known, _)| given.as_str() == Some(known));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
            self.wrong(format!("'{name}' is one of {}, not {given}", known.join(", ")))
        })
    }

    /// A `FilterExpression`; an empty one restricts nothing.
    fn filter(&self, object: &Object, name: &str) -> Result<Option<Filter>> {
        match object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(json) => self.below(name).expression(json),
        }
    }

    fn expression(&self, json: &Json) -> Result<Option<Filter>> {
        let object = self.object(json)?;
        self.only(
            object,
            &["FilterOperator", "Conditions", "Filters", "FilterHint", "IsQuickFindFilter"],
        )?;
        let any = self.one_of(object, "FilterOperator", &[("And", false), ("Or", true)])?;
        let mut parts = Vec::new();
        for (at, condition) in self.list(object, "Conditions")? {
            parts.push(at.condition(condition)?);
        }
        for (at, filter) in self.list(object, "Filters")? {
            parts.extend(at.expression(filter)?);
        }
        Ok(match parts.len() {
            0 => None,
            1 => parts.pop(),
            _ if any => Some(Filter::Or(parts)),
            _ => Some(Filter::And(parts)),
        })
    }

    fn condition(&self, json: &Json) -> Result<Filter> {
        let object = self.object(json)?;
        self.only(
            object,
            &["EntityName", "AttributeName", "Operator", "Values", "CompareColumns"],
        )?;
        if object.get("CompareColumns") == Some(&Json::Bool(true)) {
            let message = "comparing two columns is not offered in a QueryExpression";
            return Err(Error::unsupported(message).at(self.at()));
        }
        let path = self.optional(object, "EntityName")?.map_or(Path::Here, Path::Alias);
        let column = ColumnRef { path, name: self.name(object, "AttributeName")? };
        let (operator, derived) = self.operator(&self.name(object, "Operator")?.text)?;
        let mut operands = Vec::new();
        for (at, value) in self.list(object, "Values")? {
            let value = match value {
                Json::Object(typed) => typed.get("Value").unwrap_or(&Json::Null),
                plain => plain,
            };
            let text = match value {
                Json::String(text) => text.clone(),
                Json::Number(_) | Json::Bool(_) => value.to_string(),
                _ => {
                    return Err(
                        at.wrong(format!("a value is text, a number or yes/no, not {value}"))
                    );
                }
            };
            let text = match operator.meaning {
                Meaning::Pattern { .. } if derived == Some(Derived::Within) => within(&text),
                Meaning::Pattern { before, after, .. } => format!("{before}{text}{after}"),
                Meaning::Test(_) => text,
            };
            operands.push(Operand::Value(Literal {
                kind: LiteralKind::Untyped,
                text,
                at: at.at(),
            }));
        }
        let (least, most) = match operator.arguments {
            Arguments::None => (0, 0),
            Arguments::One => (1, 1),
            Arguments::Two => (2, 2),
            Arguments::Many => (1, usize::MAX),
        };
        if operands.len() < least || operands.len() > most {
            let message = format!(
                "the operator '{}' on '{}' takes another number of values than {}",
                operator.name,
                column.name.text,
                operands.len()
            );
            return Err(self.wrong(message));
        }
        let test = match operator.meaning {
            Meaning::Test(test) => test,
            Meaning::Pattern { operator, .. } => Test::Compare(operator),
        };
        let condition = Condition { column, test, operands, at: self.at() };
        if derived != Some(Derived::Not) {
            return Ok(Filter::Condition(condition));
        }
        let nothing = Condition {
            test: Test::Compare(Operator::Null),
            operands: Vec::new(),
            ..condition.clone()
        };
        let not = Filter::Not(Box::new(Filter::Condition(condition)));
        Ok(Filter::Or(vec![not, Filter::Condition(nothing)]))
    }

    fn operator(&self, name: &str) -> Result<(&'static ConditionOperator, Option<Derived>)> {
        if INTERNAL_NAMES.contains(&name) {
            let message =
                format!("the condition operator '{name}' is for internal use of Dataverse only");
            return Err(Error::unsupported(message).at(self.at()));
        }
        let plain = OPERATOR_NAMES.iter().find(|(known, _)| *known == name);
        let derived = DERIVED_NAMES.iter().find(|(known, ..)| *known == name);
        let fetchxml = plain.map(|(_, of)| *of).or(derived.map(|(_, of, _)| *of));
        let found = OPERATORS.iter().find(|o| match fetchxml {
            Some(fetchxml) => o.name == fetchxml,
            None => o.query_function == Some(name),
        });
        let found = found.map(|operator| (operator, derived.map(|(.., how)| *how)));
        found.ok_or_else(|| {
            let functions = OPERATORS.iter().filter_map(|o| o.query_function);
            let derived = DERIVED_NAMES.iter().map(|(known, ..)| *known);
            let plain = OPERATOR_NAMES.iter().map(|(known, _)| *known);
            let known = plain.chain(derived).chain(functions);
            let hint = nearest(name, known).map(|n| format!("; did you mean '{n}'?"));
            let message =
                format!("unknown condition operator '{name}'{}", hint.unwrap_or_default());
            Error::invalid(codes::UNKNOWN_OPERATOR, message).at(self.at())
        })
    }

    fn links(&self, object: &Object) -> Result<Vec<Link>> {
        let mut links = Vec::new();
        for (at, json) in self.list(object, "LinkEntities")? {
            let link = at.object(json)?;
            at.only(
                link,
                &[
                    "LinkFromEntityName",
                    "LinkFromAttributeName",
                    "LinkToEntityName",
                    "LinkToAttributeName",
                    "JoinOperator",
                    "EntityAlias",
                    "Columns",
                    "LinkCriteria",
                    "LinkEntities",
                    "Orders",
                ],
            )?;
            links.push(Link {
                link_type: at.one_of(link, "JoinOperator", JOINS)?,
                table: at.name(link, "LinkToEntityName")?,
                from: at.optional(link, "LinkToAttributeName")?,
                to: at.optional(link, "LinkFromAttributeName")?,
                alias: at.optional(link, "EntityAlias")?,
                columns: Columns::List(Vec::new()),
                filter: at.filter(link, "LinkCriteria")?,
                links: at.links(link)?,
                order: Vec::new(),
            });
        }
        Ok(links)
    }

    fn orders(&self, object: &Object) -> Result<Vec<Order>> {
        let mut orders = Vec::new();
        for (at, json) in self.list(object, "Orders")? {
            let order = at.object(json)?;
            at.only(order, &["AttributeName", "OrderType", "Alias", "EntityName"])?;
            let name = at.name(order, "AttributeName")?;
            let types = [("Ascending", false), ("Descending", true)];
            let descending = at.one_of(order, "OrderType", &types)?;
            let path = at.optional(order, "EntityName")?.map_or(Path::Here, Path::Alias);
            orders.push(Order { by: OrderBy::Column(ColumnRef { path, name }), descending });
        }
        Ok(orders)
    }
}

#[cfg(test)]
mod tests;
