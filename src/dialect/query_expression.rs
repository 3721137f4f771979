//! The queries that actions such as `BulkDelete` take → [`query::Select`](crate::query::Select):
//! the SDK's `QueryExpression` as JSON, or FetchXML. Only the keys of the rows are selected.

use serde_json::{Map, Value as Json};

use super::fetchxml;
use crate::catalog::{Catalog, nearest};
use crate::error::{Error, Place, Result, codes};
use crate::query::operators::{Arguments, ConditionOperator, Meaning, OPERATORS};
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
            parts.push(Filter::Condition(at.condition(condition)?));
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

    fn condition(&self, json: &Json) -> Result<Condition> {
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
        let operator = self.operator(&self.name(object, "Operator")?.text)?;
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
        Ok(Condition { column, test, operands, at: self.at() })
    }

    fn operator(&self, name: &str) -> Result<&'static ConditionOperator> {
        let plain = OPERATOR_NAMES.iter().find(|(known, _)| *known == name);
        let found = OPERATORS.iter().find(|o| match plain {
            Some((_, fetchxml)) => o.name == *fetchxml,
            None => o.query_function == Some(name),
        });
        found.ok_or_else(|| {
            let functions = OPERATORS.iter().filter_map(|o| o.query_function);
            let known = OPERATOR_NAMES.iter().map(|(known, _)| *known).chain(functions);
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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::query::bind::{BindOptions, bind};

    fn bound(json: &Json) -> Result<String> {
        let catalog = Catalog::built_in();
        let select = parse(json, "QuerySet[0]", &catalog)?;
        Ok(bind(&select, &catalog, &BindOptions::default())?.to_string())
    }

    #[test]
    fn it_means_what_the_same_fetchxml_means() {
        let query = json!({
            "@odata.type": "Microsoft.Dynamics.CRM.QueryExpression",
            "EntityName": "asyncoperation",
            "ColumnSet": {"AllColumns": false, "Columns": []},
            "Criteria": {"FilterOperator": "And", "Conditions": [
                {"AttributeName": "operationtype", "Operator": "Equal",
                 "Values": [{"Value": "10", "Type": "System.Int32"}]},
                {"AttributeName": "asyncoperationid", "Operator": "In",
                 "Values": [{"Value": "6f9619ff-8b86-d011-b42d-00c04fc964ff", "Type": "System.Guid"}]},
            ], "Filters": [{"FilterOperator": "Or", "Conditions": [
                {"AttributeName": "name", "Operator": "BeginsWith", "Values": ["a"]},
                {"AttributeName": "statecode", "Operator": "NotEqual", "Values": [3]},
            ]}]},
            "LinkEntities": [{"LinkFromAttributeName": "ownerid", "LinkToEntityName": "systemuser",
                "LinkToAttributeName": "systemuserid", "EntityAlias": "u", "LinkCriteria":
                {"Conditions": [{"AttributeName": "isdisabled", "Operator": "Equal", "Values": [true]}]}}],
            "Orders": [{"AttributeName": "createdon", "OrderType": "Descending"}],
            "TopCount": 5,
        });
        let fetchxml = "<fetch top='5'><entity name='asyncoperation'>\
            <attribute name='asyncoperationid'/><filter>\
            <condition attribute='operationtype' operator='eq' value='10'/>\
            <condition attribute='asyncoperationid' operator='in'>\
            <value>6f9619ff-8b86-d011-b42d-00c04fc964ff</value></condition>\
            <filter type='or'><condition attribute='name' operator='begins-with' value='a'/>\
            <condition attribute='statecode' operator='ne' value='3'/></filter></filter>\
            <order attribute='createdon' descending='true'/>\
            <link-entity name='systemuser' from='systemuserid' to='ownerid' alias='u'><filter>\
            <condition attribute='isdisabled' operator='eq' value='true'/></filter></link-entity>\
            </entity></fetch>";
        let catalog = Catalog::built_in();
        let select = crate::dialect::fetchxml::parse(fetchxml).expect("valid");
        let expected = bind(&select, &catalog, &BindOptions::default()).expect("valid").to_string();
        assert_eq!(bound(&query).expect("valid"), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let one = |condition: Json| json!({"EntityName": "asyncoperation", "Criteria": {"Conditions": [condition]}});
        for (query, part) in [
            (json!({}), "QuerySet[0]: 'EntityName' is missing"),
            (json!([]), "a JSON object"),
            (json!({"EntityName": "account", "Criterias": {}}), "did you mean 'Criteria'?"),
            (json!({"EntityName": "accoun"}), "account"),
            (json!({"EntityName": "account", "TopCount": 0}), "'TopCount'"),
            (one(json!({"Operator": "Equal"})), "Criteria.Conditions[0]: 'AttributeName'"),
            (
                one(json!({"AttributeName": "name", "Operator": "Equals", "Values": ["a"]})),
                "did you mean 'Equal'?",
            ),
            (one(json!({"AttributeName": "name", "Operator": "Equal"})), "number of values"),
            (one(json!({"AttributeName": "nam", "Operator": "Null"})), "'nam'"),
            (
                one(json!({"AttributeName": "statecode", "Operator": "Equal", "Values": ["x"]})),
                "'x'",
            ),
            (
                one(json!({"AttributeName": "name", "Operator": "Equal", "Values": [null]})),
                "Values[0]",
            ),
        ] {
            let error = bound(&query).expect_err(part).to_string();
            assert!(error.contains(part), "'{part}' is not in: {error}");
        }
    }
}
