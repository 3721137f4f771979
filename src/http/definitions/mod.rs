//! Metadata over the Web API: `EntityDefinitions`, `RelationshipDefinitions`,
//! `GlobalOptionSetDefinitions` and `RetrieveMetadataChanges`.
//!
//! Everything is computed from the catalog. `item.rs` knows the types and where
//! they lead, `table.rs`, `attribute.rs` and `relation.rs` list their
//! properties, `options.rs` and `filter.rs` apply query options; this file walks
//! the path. Answers are never paged, as in Dataverse.

mod attribute;
mod changes;
mod filter;
mod item;
mod options;
mod parts;
mod relation;
mod table;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json};

pub use self::changes::retrieve_metadata_changes;
pub use self::item::{MetadataType, metadata_types};

use self::item::{Item, NAMESPACE, Navigation, Type};
use self::options::Options;
use super::answer::json;
use super::error::{Failure, Result};
use super::negotiate::Metadata;
use super::query::finish;
use super::request::Call;
use super::resource::{Segment, unquoted};
use crate::catalog::{Catalog, nearest};
use crate::error::{Error, ErrorKind, codes};
use crate::value::{guid_text, parse_guid};

/// The collections, and the types they are of.
pub const METADATA_SETS: [(&str, &str); 3] = [
    ("EntityDefinitions", "EntityMetadata"),
    ("RelationshipDefinitions", "RelationshipMetadataBase"),
    ("GlobalOptionSetDefinitions", "OptionSetMetadataBase"),
];

/// Properties a definition is addressed by.
const KEYS: [&str; 4] = ["MetadataId", "LogicalName", "SchemaName", "Name"];

/// Where a path has led so far.
enum Found<'a> {
    Many(Vec<Item<'a>>),
    One(Item<'a>),
    /// A navigation property without a target.
    Nothing,
    Value(Json),
    Count(Vec<Item<'a>>),
}

/// `GET` of a path into definitions.
pub fn answer(call: &Call, catalog: &Catalog, segments: &[Segment]) -> Result<Response> {
    let walk = Walk::along(catalog, segments)?;
    let options = Options::read(&call.options()?, walk.of)?;
    let projection = options.projection();
    let context = |tail: &str| -> Json {
        format!("{}$metadata#{}{projection}{tail}", call.base, walk.path).into()
    };
    let mut members = Map::new();
    match walk.found {
        Found::Nothing => return Ok(StatusCode::NO_CONTENT.into_response()),
        Found::Count(items) => {
            let (_, count) = options.rows(catalog, items, walk.of)?;
            let kind = HeaderValue::from_static("text/plain");
            return Ok(([(header::CONTENT_TYPE, kind)], count.to_string()).into_response());
        }
        Found::Value(value) => {
            members.insert("@odata.context".into(), context(""));
            members.insert("value".into(), value);
        }
        Found::One(item) => {
            members.insert("@odata.context".into(), context("/$entity"));
            members.append(&mut options.document(catalog, item, walk.of)?);
        }
        Found::Many(items) => {
            let (rows, count) = options.rows(catalog, items, walk.of)?;
            members.insert("@odata.context".into(), context(""));
            if options.count {
                members.insert("@odata.count".into(), count.into());
            }
            members.insert("value".into(), rows.into());
        }
    }
    respond(call, members)
}

fn respond(call: &Call, mut members: Map<String, Json>) -> Result<Response> {
    if call.wanted.metadata == Metadata::None {
        members.shift_remove("@odata.context");
    }
    let body = serde_json::to_vec(&members)
        .map_err(|e| Error::internal("a definition is not JSON").caused_by(e))?;
    let mut response = json(StatusCode::OK, body);
    finish(call, false, &mut response);
    Ok(response)
}

/// A way through definitions, segment by segment.
struct Walk<'a> {
    catalog: &'a Catalog,
    found: Found<'a>,
    /// The type expected where the walk stands.
    of: Type,
    /// The path as the context address has it.
    path: String,
}

impl<'a> Walk<'a> {
    fn along(catalog: &'a Catalog, segments: &[Segment]) -> Result<Self> {
        let [first, rest @ ..] = segments else {
            return Err(Failure::segment("the path is empty"));
        };
        let (items, of) = match first.name.as_str() {
            "EntityDefinitions" => {
                (catalog.tables().iter().map(|t| Item::Table(t)).collect(), Type::Entity)
            }
            "RelationshipDefinitions" => {
                (relation::all(catalog).map(Item::Relation).collect(), Type::Relationship)
            }
            // No option set is shared between columns.
            _ => (Vec::new(), Type::OptionSetBase),
        };
        let path = first.name.clone();
        let mut walk = Self { catalog, found: Found::Many(items), of, path };
        walk.key(first.argument.as_deref(), rest.is_empty())?;
        for (i, segment) in rest.iter().enumerate() {
            walk.step(segment, i + 1 == rest.len())?;
        }
        Ok(walk)
    }

    fn step(&mut self, segment: &Segment, last: bool) -> Result<()> {
        let name = segment.name.as_str();
        if let Some(derived) = name.strip_prefix(NAMESPACE) {
            self.cast(derived)?;
        } else if name == "$count" && last && segment.argument.is_none() {
            match std::mem::replace(&mut self.found, Found::Nothing) {
                Found::Many(items) => self.found = Found::Count(items),
                _ => return Err(self.no_segment(name)),
            }
            return Ok(());
        } else {
            self.into(name)?;
        }
        self.path.push('/');
        self.path.push_str(name);
        self.key(segment.argument.as_deref(), last)
    }

    /// Narrows to a derived type. One definition of another type is not found; a
    /// collection keeps what is of the type, which may be nothing.
    fn cast(&mut self, derived: &str) -> Result<()> {
        let of = self.of.derived(derived).ok_or_else(|| {
            let message = format!(
                "The type '{NAMESPACE}{derived}' is not derived from '{NAMESPACE}{}'.",
                self.of.name()
            );
            Failure::from(Error::invalid(codes::ODATA, message))
        })?;
        match &mut self.found {
            Found::Many(items) => items.retain(|item| item.is(of)),
            Found::One(item) if item.is(of) => {}
            Found::One(item) => {
                let name = item.property("LogicalName");
                let is = item.type_of().name();
                return Err(not_found(format!("{name} is a {is}, not a {derived}")));
            }
            _ => return Err(self.no_segment(derived)),
        }
        self.of = of;
        Ok(())
    }

    /// Follows a navigation property, or takes the value of another one.
    fn into(&mut self, name: &str) -> Result<()> {
        let Found::One(item) = self.found else { return Err(self.no_segment(name)) };
        if let Some((_, to)) = self.of.navigations().into_iter().find(|(n, _)| *n == name) {
            self.of = to;
            self.found = match item.navigate(self.catalog, name) {
                Navigation::One(None) => Found::Nothing,
                Navigation::One(Some(item)) => Found::One(item),
                Navigation::Many(items) => Found::Many(items),
            };
            return Ok(());
        }
        if !self.of.properties().contains(&name) {
            return Err(self.no_segment(name));
        }
        self.found = Found::Value(item.property(name));
        Ok(())
    }

    /// Picks the definition that a key names.
    fn key(&mut self, argument: Option<&str>, last: bool) -> Result<()> {
        let Some(argument) = argument else { return Ok(()) };
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.trim(), unquoted(value.trim())),
            None => ("MetadataId", argument.trim().to_owned()),
        };
        if !KEYS.contains(&name) || !self.of.properties().contains(&name) {
            let message = format!("'{name}' is no key of '{NAMESPACE}{}'", self.of.name());
            return Err(Error::invalid(codes::ODATA, message).into());
        }
        let value = match parse_guid(&value) {
            Some(id) if name == "MetadataId" => guid_text(&id),
            None if name == "MetadataId" => {
                let message = format!("'{value}' is not a GUID; address it as (LogicalName='…')");
                return Err(Error::invalid(codes::ODATA, message).into());
            }
            _ => value,
        };
        let Found::Many(items) = &self.found else {
            return Err(self.no_segment(&format!("({argument})")));
        };
        let Some(item) = items.iter().find(|item| item.property(name) == value.as_str()) else {
            let names: Vec<Json> = items.iter().map(|item| item.property(name)).collect();
            let near = match name {
                "MetadataId" => None,
                _ => nearest(&value, names.iter().filter_map(Json::as_str)),
            };
            let hint = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
            return Err(not_found(format!(
                "Could not find an entity with specified entity key: {} with {name} '{value}' does not exist in {}{hint}",
                self.of.name(),
                self.path
            )));
        };
        let name = item.property(if matches!(item, Item::Relation(_)) {
            "SchemaName"
        } else {
            "LogicalName"
        });
        self.found = Found::One(*item);
        if !last {
            self.path.push_str(&format!("('{}')", name.as_str().unwrap_or_default()));
        }
        Ok(())
    }

    fn no_segment(&self, segment: &str) -> Failure {
        Failure::segment(format!(
            "Resource not found for the segment '{segment}' of '{}'.",
            self.path
        ))
    }
}

fn not_found(message: String) -> Failure {
    Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message).into()
}
