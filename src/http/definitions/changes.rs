//! `RetrieveMetadataChanges`: definitions that satisfy a query given as JSON.
//!
//! The catalog is fixed while the service runs, so the version stamp stands for
//! the catalog: who has the current one is told of no change.

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::filter::{Comparison, Filter};
use super::item::{Item, NAMESPACE, Navigation, Type};
use super::options::{Options, unknown_property};
use super::parts::metadata_id;
use super::respond;
use crate::catalog::Catalog;
use crate::error::{Error, Place, Result, codes};
use crate::http::csdl::csdl;
use crate::http::error::Result as HttpResult;
use crate::http::request::Call;
use crate::http::resource::{split, unquoted};
use crate::query::Name;

/// A stamp of metadata that is no longer kept.
const EXPIRED_VERSION_STAMP: u32 = 0x8004_4352;

/// `EntityQueryExpression`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    #[serde(default)]
    properties: Option<Properties>,
    #[serde(default)]
    criteria: Option<Criteria>,
    #[serde(default)]
    attribute_query: Option<Part>,
    #[serde(default)]
    relationship_query: Option<Part>,
    #[serde(default)]
    key_query: Option<Part>,
}

/// The query of what belongs to a table.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    #[serde(default)]
    properties: Option<Properties>,
    #[serde(default)]
    criteria: Option<Criteria>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    /// A text in what PowerShell writes.
    #[serde(default)]
    all_properties: Json,
    #[serde(default)]
    property_names: Vec<String>,
}

/// `MetadataFilterExpression`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Criteria {
    #[serde(default)]
    filter_operator: Option<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    filters: Vec<Criteria>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    property_name: String,
    condition_operator: String,
    #[serde(default)]
    value: Json,
}

/// `GET RetrieveMetadataChanges(Query=@p1)?@p1={…}`.
pub fn retrieve_metadata_changes(
    call: &Call,
    catalog: &Catalog,
    parameters: Option<&str>,
) -> HttpResult<Response> {
    let options = call.options()?;
    let parameter = |wanted: &str| {
        split(parameters.unwrap_or_default(), ',').into_iter().find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = value.trim();
            let given = options.iter().find(|(alias, _)| alias == value).map(|(_, v)| v.as_str());
            (name.trim() == wanted).then(|| given.unwrap_or(value).to_owned())
        })
    };
    let stamp = metadata_id(&["stamp", &csdl(catalog)]);
    let known = parameter("ClientVersionStamp").map(|text| unquoted(&text));
    if known.as_ref().is_some_and(|known| *known != stamp) {
        let message = "the ClientVersionStamp is of other metadata; retrieve everything without it";
        return Err(Error::invalid(EXPIRED_VERSION_STAMP, message).into());
    }
    let query = match parameter("Query") {
        Some(text) => serde_json::from_str(&text).map_err(|e| {
            invalid("Query", format!("not an EntityQueryExpression in JSON: {e}")).caused_by(e)
        })?,
        None => return Err(invalid("Query", "the parameter is missing").into()),
    };
    let found = if known.is_some() { Vec::new() } else { tables(catalog, &query)? };
    let mut members = Map::new();
    let context = format!("{}$metadata#{NAMESPACE}RetrieveMetadataChangesResponse", call.base);
    members.insert("@odata.context".into(), context.into());
    members.insert("ServerVersionStamp".into(), stamp.into());
    members.insert("DeletedMetadata".into(), json!({ "Count": 0, "Keys": [], "Values": [] }));
    members.insert("EntityMetadata".into(), found.into());
    respond(call, members)
}

fn tables(catalog: &Catalog, query: &Query) -> Result<Vec<Json>> {
    let filter = filter(query.criteria.as_ref(), Type::Entity)?;
    let wanted = wanted(query.properties.as_ref(), Type::Entity);
    let parts = [
        ("Attributes", Type::Attribute, query.attribute_query.as_ref()),
        ("OneToManyRelationships", Type::OneToMany, query.relationship_query.as_ref()),
        ("ManyToOneRelationships", Type::OneToMany, query.relationship_query.as_ref()),
        ("ManyToManyRelationships", Type::ManyToMany, query.relationship_query.as_ref()),
        ("Keys", Type::Key, query.key_query.as_ref()),
    ];
    let mut found = Vec::new();
    for table in catalog.tables() {
        let item = Item::Table(table);
        if !filter.holds(item)? {
            continue;
        }
        let mut document = document(catalog, item, &wanted, Type::Entity)?;
        for (name, of, part) in parts {
            if !wanted.iter().any(|w| w == name) {
                continue;
            }
            document.insert(name.into(), members_of(catalog, item, name, of, part)?);
        }
        found.push(Json::Object(document));
    }
    Ok(found)
}

/// The columns, relationships or keys of a table that are asked for.
fn members_of(
    catalog: &Catalog,
    item: Item<'_>,
    name: &str,
    of: Type,
    part: Option<&Part>,
) -> Result<Json> {
    let everything = Part::default();
    let part = part.unwrap_or(&everything);
    let filter = filter(part.criteria.as_ref(), of)?;
    let Navigation::Many(items) = item.navigate(catalog, name) else { return Ok(Json::Null) };
    let mut found = Vec::new();
    for item in items {
        if filter.holds(item)? {
            let wanted = wanted(part.properties.as_ref(), item.type_of());
            found.push(Json::Object(document(catalog, item, &wanted, of)?));
        }
    }
    Ok(found.into())
}

/// The names of the properties that are asked for; without any word, all.
fn wanted(properties: Option<&Properties>, of: Type) -> Vec<String> {
    let all = |p: &Properties| match &p.all_properties {
        Json::Bool(all) => *all,
        Json::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    match properties {
        Some(properties) if !all(properties) => properties.property_names.clone(),
        _ => {
            let navigations = of.navigations().into_iter().map(|(name, _)| name);
            of.properties().into_iter().chain(navigations).map(str::to_owned).collect()
        }
    }
}

/// A definition with the properties asked for. Names of other types are no
/// error, since one list serves all types of columns.
fn document(
    catalog: &Catalog,
    item: Item<'_>,
    wanted: &[String],
    expected: Type,
) -> Result<Map<String, Json>> {
    let of = item.type_of();
    let mut members = Map::new();
    if of.name() != expected.name() {
        members.insert("@odata.type".into(), format!("#{NAMESPACE}Complex{}", of.name()).into());
    }
    for name in ["MetadataId", "HasChanged", "LogicalName"] {
        if of.properties().contains(&name) {
            members.insert(name.into(), item.property(name));
        }
    }
    for name in wanted {
        if of.properties().contains(&name.as_str()) {
            members.insert(name.clone(), item.property(name));
        }
        if name.ends_with("OptionSet")
            && let Some((_, of)) = of.navigations().into_iter().find(|(n, _)| n == name)
        {
            let value = match item.navigate(catalog, name) {
                Navigation::One(Some(set)) => {
                    Json::Object(Options::default().document(catalog, set, of)?)
                }
                _ => Json::Null,
            };
            members.insert(name.clone(), value);
        }
    }
    Ok(members)
}

fn filter(criteria: Option<&Criteria>, of: Type) -> Result<Filter> {
    let Some(criteria) = criteria else { return Ok(Filter::All(Vec::new())) };
    let mut filters = Vec::new();
    for condition in &criteria.conditions {
        filters.push(condition.filter(of)?);
    }
    for criteria in &criteria.filters {
        filters.push(filter(Some(criteria), of)?);
    }
    match criteria.filter_operator.as_deref() {
        None | Some("And") => Ok(Filter::All(filters)),
        Some("Or") if filters.is_empty() => Ok(Filter::All(filters)),
        Some("Or") => Ok(Filter::Any(filters)),
        Some(other) => {
            Err(invalid("FilterOperator", format!("'{other}' is neither 'And' nor 'Or'")))
        }
    }
}

impl Condition {
    fn filter(&self, of: Type) -> Result<Filter> {
        let at = Place::Part("Query".to_owned());
        let name = Name { text: self.property_name.clone(), at };
        // Columns are filtered by what only some of their types have, too.
        let known = of.all_properties().contains(&name.text.as_str());
        if !known {
            return Err(unknown_property(&name, of));
        }
        let path = vec![name];
        let compare = |comparison| Ok(Filter::Compare(path.clone(), comparison, self.literal()?));
        match self.condition_operator.as_str() {
            "Equals" => compare(Comparison::Equal),
            "NotEquals" => compare(Comparison::NotEqual),
            "GreaterThan" => compare(Comparison::Greater),
            "LessThan" => compare(Comparison::Less),
            "In" => Ok(Filter::OneOf(path, self.literals()?)),
            "NotIn" => Ok(Filter::Not(Box::new(Filter::OneOf(path, self.literals()?)))),
            other => Err(invalid("ConditionOperator", format!("'{other}' is not an operator"))),
        }
    }

    /// The type's name and the value itself, which is a text mostly.
    fn parts(&self) -> (&str, &Json) {
        match self.value.as_object() {
            Some(object) => (
                object.get("Type").and_then(Json::as_str).unwrap_or_default(),
                object.get("Value").unwrap_or(&Json::Null),
            ),
            None => ("", &self.value),
        }
    }

    fn literal(&self) -> Result<Json> {
        let (kind, value) = self.parts();
        typed(kind, value)
    }

    /// The values of a list: `['a','b']` as a text, or an array.
    fn literals(&self) -> Result<Vec<Json>> {
        let (kind, value) = self.parts();
        let kind = kind.trim_end_matches("[]");
        match value {
            Json::Array(values) => values.iter().map(|value| typed(kind, value)).collect(),
            Json::String(text) => {
                let inner = text.trim().strip_prefix('[').and_then(|t| t.strip_suffix(']'));
                let inner = inner.ok_or_else(|| {
                    invalid("Value", format!("'{text}' is not a list such as ['a','b']"))
                })?;
                let plain = |item: &str| unquoted(item.trim().trim_matches('"'));
                split(inner, ',')
                    .into_iter()
                    .filter(|item| !item.trim().is_empty())
                    .map(|item| typed(kind, &plain(item).into()))
                    .collect()
            }
            _ => Err(invalid("Value", "expected a list")),
        }
    }
}

/// A value as the type named beside it has it.
fn typed(kind: &str, value: &Json) -> Result<Json> {
    let Json::String(text) = value else { return Ok(value.clone()) };
    let wrong = || invalid("Value", format!("'{text}' is not a {kind}"));
    match kind {
        "System.Boolean" => text.to_ascii_lowercase().parse().map(Json::Bool).map_err(|_| wrong()),
        "System.Int32" | "System.Int64" => text.parse::<i64>().map(Json::from).map_err(|_| wrong()),
        "System.Guid" => Ok(text.to_lowercase().into()),
        _ => Ok(value.clone()),
    }
}

fn invalid(part: &str, message: impl Into<String>) -> Error {
    Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(part.to_owned()))
}
