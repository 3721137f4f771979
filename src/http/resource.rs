//! The path below `/api/data/v9.x/` → the resource it names.

use std::sync::Arc;

use super::error::{Failure, Result};
use crate::catalog::{Catalog, Table};
use crate::error::{Error, codes};
use crate::value::{Guid, parse_guid};

/// What a Web API path names.
#[derive(Clone, Debug)]
pub enum Resource {
    ServiceDocument,
    Metadata,
    Batch,
    /// `set`
    Collection(Arc<Table>),
    /// `set/$count`
    Count(Arc<Table>),
    /// `set/$query`
    Query(Arc<Table>),
    /// `set(key)`
    Row(Arc<Table>, Key),
    /// `set(key)/column`, `set(key)/column/$value`
    Property {
        table: Arc<Table>,
        key: Key,
        column: usize,
        raw: bool,
    },
    /// `set(key)/navigation`, perhaps with a key and a tail of its own
    Related {
        table: Arc<Table>,
        key: Key,
        navigation: String,
        member: Option<Guid>,
        tail: Tail,
    },
    /// A path that begins with one of [`DEFINITIONS`], segment by segment.
    Definitions(Vec<Segment>),
    /// A function or action, perhaps bound to a set or a row.
    Operation {
        name: String,
        parameters: Option<String>,
        bound: Option<(Arc<Table>, Option<Key>)>,
    },
}

/// How a row is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Id(Guid),
    /// Columns with their values, quotes taken off.
    Alternate(Vec<(String, String)>),
}

/// What follows a navigation property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    Rows,
    Count,
    Ref,
    /// A column of the row that a lookup points to, perhaps `/$value`.
    Column {
        column: usize,
        raw: bool,
    },
}

/// `name` or `name(argument)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub name: String,
    pub argument: Option<String>,
}

/// Collections of metadata.
pub const DEFINITIONS: [&str; 3] =
    ["EntityDefinitions", "RelationshipDefinitions", "GlobalOptionSetDefinitions"];

/// Functions and actions that belong to no set, by name.
const OPERATIONS: &[&str] = &[
    "WhoAmI",
    "RetrieveVersion",
    "RetrieveCurrentOrganization",
    "RetrieveTotalRecordCount",
    "RetrieveMetadataChanges",
    "RetrieveAvailableLanguages",
    "BulkDelete",
    "BulkDetectDuplicates",
];

/// What bound functions and actions are qualified with.
const NAMESPACE: &str = "Microsoft.Dynamics.CRM.";

/// What sysjob's own are qualified with.
const OWN_NAMESPACE: &str = "sysjob.";

impl Resource {
    /// Reads a decoded path without its leading slash.
    pub fn parse(path: &str, catalog: &Catalog) -> Result<Self> {
        let path = path.trim_end_matches('/');
        let segments: Vec<Segment> = split(path, '/').into_iter().map(Segment::read).collect();
        let [first, rest @ ..] = segments.as_slice() else {
            return Ok(Self::ServiceDocument);
        };
        match (first.name.as_str(), first.argument.as_deref(), rest) {
            ("", None, []) => return Ok(Self::ServiceDocument),
            ("$metadata", None, []) => return Ok(Self::Metadata),
            ("$batch", None, []) => return Ok(Self::Batch),
            (name, _, _) if DEFINITIONS.contains(&name) => return Ok(Self::Definitions(segments)),
            (name, parameters, []) if OPERATIONS.contains(&name) => {
                let parameters = parameters.map(str::to_owned);
                return Ok(Self::Operation { name: name.to_owned(), parameters, bound: None });
            }
            _ => {}
        }
        let name = first.name.as_str();
        let table = catalog.entity_set(name).ok_or_else(|| unknown(name, catalog))?.clone();
        match &first.argument {
            None => Self::of_set(table, rest),
            Some(argument) => {
                let key = Key::read(argument, &table)?;
                Self::of_row(table, key, rest, catalog)
            }
        }
    }

    fn of_set(table: Arc<Table>, rest: &[Segment]) -> Result<Self> {
        let [segment, after @ ..] = rest else { return Ok(Self::Collection(table)) };
        match (segment.name.as_str(), after) {
            ("$count", []) => Ok(Self::Count(table)),
            ("$query", []) => Ok(Self::Query(table)),
            (name, []) if name.starts_with(NAMESPACE) => Ok(Self::bound(segment, (table, None))),
            (name, _) => Err(no_segment(name, &table)),
        }
    }

    fn of_row(table: Arc<Table>, key: Key, rest: &[Segment], catalog: &Catalog) -> Result<Self> {
        let [segment, after @ ..] = rest else { return Ok(Self::Row(table, key)) };
        let name = segment.name.as_str();
        if (name.starts_with(NAMESPACE) || name.starts_with(OWN_NAMESPACE)) && after.is_empty() {
            return Ok(Self::bound(segment, (table, Some(key))));
        }
        let tail: Vec<&str> = after.iter().map(|s| s.name.as_str()).collect();
        let column = readable(&table, name);
        if let (Some(column), None) = (column, &segment.argument) {
            return match tail.as_slice() {
                [] => Ok(Self::Property { table, key, column, raw: false }),
                ["$value"] => Ok(Self::Property { table, key, column, raw: true }),
                [other, ..] => Err(no_segment(other, &table)),
            };
        }
        let single = table.many_to_one.iter().find(|r| r.navigation_property == name);
        let target = single.and_then(|r| catalog.table(&r.target));
        let many = table.one_to_many.iter().any(|r| r.navigation_property == name);
        if single.is_none() && !many {
            return Err(no_segment(name, &table));
        }
        let member = match &segment.argument {
            None => None,
            Some(id) => Some(parse_guid(id.trim()).ok_or_else(|| {
                Error::invalid(codes::ODATA, format!("'{id}' after '{name}' is not a GUID"))
            })?),
        };
        let tail = match tail.as_slice() {
            [] => Tail::Rows,
            ["$count"] if many => Tail::Count,
            ["$ref"] => Tail::Ref,
            [other, after @ ..] => {
                let column = target.and_then(|target| readable(target, other));
                match (column, after) {
                    (Some(column), []) => Tail::Column { column, raw: false },
                    (Some(column), ["$value"]) => Tail::Column { column, raw: true },
                    _ => return Err(no_segment(other, target.unwrap_or(&table))),
                }
            }
        };
        Ok(Self::Related { key, navigation: name.to_owned(), member, tail, table })
    }

    fn bound(segment: &Segment, to: (Arc<Table>, Option<Key>)) -> Self {
        let name = segment.name.strip_prefix(NAMESPACE).unwrap_or(&segment.name).to_owned();
        Self::Operation { name, parameters: segment.argument.clone(), bound: Some(to) }
    }
}

impl Segment {
    fn read(text: &str) -> Self {
        match text.strip_suffix(')').and_then(|t| t.split_once('(')) {
            Some((name, argument)) => {
                Self { name: name.to_owned(), argument: Some(argument.to_owned()) }
            }
            None => Self { name: text.to_owned(), argument: None },
        }
    }
}

impl Key {
    /// `guid`, `primarykey=guid`, or `column='value',other=1`.
    fn read(text: &str, table: &Table) -> Result<Self> {
        let id = |value: &str| {
            parse_guid(value.trim()).map(Self::Id).ok_or_else(|| {
                let set = &table.entity_set_name;
                let message =
                    format!("'{text}' is not a GUID; a row is addressed as {set}(<guid>)");
                Failure::from(Error::invalid(codes::ODATA, message))
            })
        };
        let mut pairs = Vec::new();
        for part in split(text, ',') {
            let Some((name, value)) = part.split_once('=') else { return id(text) };
            pairs.push((name.trim().to_owned(), unquoted(value.trim())));
        }
        match pairs.as_slice() {
            [(name, value)] if *name == table.primary_id => id(value),
            _ => Ok(Self::Alternate(pairs)),
        }
    }
}

/// A key's value without its quotes.
pub fn unquoted(value: &str) -> String {
    match value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
        Some(text) => text.replace("''", "'"),
        None => value.to_owned(),
    }
}

/// Splits outside quotes, parentheses and lists.
pub fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut depth) = (false, 0_usize);
    text.split(move |c| {
        match c {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == separator && !quoted && depth == 0
    })
    .collect()
}

/// The column that a property of a path names.
fn readable(table: &Table, property: &str) -> Option<usize> {
    table.columns.iter().position(|c| c.read && c.property_name() == property)
}

fn unknown(name: &str, catalog: &Catalog) -> Failure {
    let nearest = catalog.nearest_entity_set(name).or_else(|| {
        // Clients often take the logical name of a table for its set.
        catalog.table(name).map(|t| t.entity_set_name.as_str())
    });
    let hint = nearest.map(|n| format!(" Did you mean '{n}'?")).unwrap_or_default();
    Failure::segment(format!("Resource not found for the segment '{name}'.{hint}"))
}

fn no_segment(segment: &str, table: &Table) -> Failure {
    Failure::segment(format!(
        "Resource not found for the segment '{segment}' of '{}'.",
        table.entity_set_name
    ))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn parse(path: &str) -> Result<Resource> {
        Resource::parse(path, &Catalog::built_in())
    }

    #[test]
    fn paths_name_resources() {
        let id = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
        assert!(matches!(parse(""), Ok(Resource::ServiceDocument)));
        let operation = parse("WhoAmI()");
        assert!(matches!(operation, Ok(Resource::Operation { ref name, .. }) if name == "WhoAmI"));
        assert!(matches!(parse("asyncoperations/"), Ok(Resource::Collection(_))));
        assert!(matches!(parse("asyncoperations/$count"), Ok(Resource::Count(_))));
        for key in [id.to_owned(), id.to_lowercase(), format!("asyncoperationid={id}")] {
            let row = parse(&format!("asyncoperations({key})"));
            let Ok(Resource::Row(table, Key::Id(guid))) = row else { panic!("{key}: {row:?}") };
            assert_eq!(table.logical_name, "asyncoperation");
            assert_eq!(crate::value::guid_text(&guid), id.to_lowercase());
        }
        let Ok(Resource::Row(_, Key::Alternate(pairs))) =
            parse("accounts(name='a/b, ''c''d',accountnumber=1)")
        else {
            panic!("an alternate key");
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("name", "a/b, 'c'd"), pair("accountnumber", "1")]);
    }

    #[test]
    fn paths_lead_into_rows() {
        let row = "asyncoperations(6f9619ff-8b86-d011-b42d-00c04fc964ff)";
        for (path, raw) in [("/name", false), ("/name/$value", true)] {
            let property = parse(&format!("{row}{path}"));
            assert!(matches!(property, Ok(Resource::Property { raw: r, .. }) if r == raw));
        }
        for (path, tail) in [
            ("/ownerid", Tail::Rows),
            ("/ownerid/$ref", Tail::Ref),
            ("/AsyncOperation_BulkDeleteOperation", Tail::Rows),
            ("/AsyncOperation_BulkDeleteOperation/$count", Tail::Count),
        ] {
            let related = parse(&format!("{row}{path}"));
            assert!(
                matches!(related, Ok(Resource::Related { tail: t, .. }) if t == tail),
                "{path}: {related:?}"
            );
        }
        let bound = parse(&format!("{row}/Microsoft.Dynamics.CRM.X(a=1)"));
        assert!(matches!(bound, Ok(Resource::Operation { bound: Some((_, Some(_))), .. })));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let id = "(6f9619ff-8b86-d011-b42d-00c04fc964ff)";
        for (path, status, part) in [
            ("asyncoperation", 404, "Did you mean 'asyncoperations'?"),
            ("AsyncOperations", 404, "Did you mean 'asyncoperations'?"),
            ("asyncoperations/x", 404, "segment 'x'"),
            ("asyncoperations(12)", 400, "'12' is not a GUID"),
            (&format!("asyncoperations{id}/nam"), 404, "segment 'nam'"),
            (&format!("asyncoperations{id}/name/x"), 404, "segment 'x'"),
        ] {
            let failure = parse(path).expect_err(path);
            assert!(format!("{failure:?}").contains(part), "{path}: {failure:?}");
            assert_eq!(failure.into_response().status().as_u16(), status, "{path}");
        }
    }
}
