//! Which methods a resource takes, and what each of them does to rows.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, header};
use serde_json::Value as Json;

use super::actions::Action;
use super::{Staged, multiple, related};
use crate::catalog::{Catalog, ColumnType, Table};
use crate::error::{Error, Place, codes};
use crate::http::body;
use crate::http::error::{Failure, Result};
use crate::http::functions;
use crate::http::request::Call;
use crate::http::resource::{Key, Resource, Tail};
use crate::value::Guid;
use crate::write::{self, Done, Object, Operation, Precondition, Reference, Transaction};

/// Refuses a method that a resource does not take, and what no client may do to
/// rows of a table.
pub fn methods(method: &Method, resource: &Resource, path: &str) -> Result<()> {
    let name = method.as_str();
    let (taken, allow): (&[&str], &'static str) = match resource {
        Resource::Collection(table) => match write::check(table, Operation::Create) {
            Err(error) if name == "POST" => {
                return Err(Failure::method(error.message, "GET"));
            }
            Ok(()) => (&["POST"], "GET, POST"),
            Err(_) => (&[], "GET"),
        },
        Resource::Row(table, _) => {
            let allowed = |operation| write::check(table, operation);
            let refused = match name {
                // An upsert of a row that is not there says so.
                "PATCH" => allowed(Operation::Update).err(),
                "DELETE" => allowed(Operation::Delete).err(),
                _ => None,
            };
            if let Some(error) = refused {
                return Err(Failure::method(error.message, "GET"));
            }
            (&["PATCH", "DELETE"], "GET, PATCH, DELETE")
        }
        Resource::Property { raw: false, .. } => (&["PUT", "DELETE"], "GET, PUT, DELETE"),
        Resource::Related { tail: Tail::Ref, .. } => {
            (&["POST", "PUT", "DELETE"], "GET, POST, PUT, DELETE")
        }
        operation if is_action(operation) => (&["POST"], "POST"),
        Resource::Operation { name, bound: None, .. } if functions::is_function(name) => {
            (&[], "GET")
        }
        Resource::Operation { name: action, .. } => {
            return Err(Failure::not_implemented(format!("'{action}' is not offered")));
        }
        Resource::Query(_) => (&[], "POST"),
        _ => (&[], "GET"),
    };
    if taken.contains(&name) {
        return Ok(());
    }
    Err(Failure::method(format!("'{path}' does not take {method}"), allow))
}

/// Whether a path names an action, which only `POST` calls.
pub fn is_action(resource: &Resource) -> bool {
    match resource {
        Resource::Operation { bound: Some((_, None)), name, .. } if multiple::is_action(name) => {
            true
        }
        other => Action::of(other).is_some(),
    }
}

/// Takes what a request asks for into a transaction. It is not done before the
/// transaction is committed; later requests in it see it.
pub fn stage(
    transaction: &mut Transaction,
    catalog: &Catalog,
    call: &Call,
    resource: &Resource,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Staged> {
    methods(&call.method, resource, &call.path)?;
    match resource {
        Resource::Collection(table) => {
            let object = body::required(headers, bytes)?;
            let id = transaction.create(number(catalog, table)?, &object)?;
            Ok(Staged::Row { table: table.clone(), id, done: Done::Created })
        }
        Resource::Row(table, key) if call.method == Method::PATCH => {
            patch(transaction, catalog, table, key, headers, body::required(headers, bytes)?)
        }
        Resource::Row(table, key) => {
            let (number, id) = row(transaction, catalog, table, key)?;
            transaction.expect(number, &id, &precondition(headers)?)?;
            transaction.delete(number, id)?;
            Ok(Staged::Silent)
        }
        Resource::Property { table, key, column, .. } => {
            let (number, id) = row(transaction, catalog, table, key)?;
            transaction.expect(number, &id, &precondition(headers)?)?;
            let value = match call.method {
                Method::DELETE => Json::Null,
                _ => property_value(body::required(headers, bytes)?)?,
            };
            let facts = &table.columns[*column];
            if !facts.update || facts.is_lookup() {
                let message = match facts.is_lookup() {
                    true => format!(
                        "'{}' is set through its navigation property: PUT …/<navigation>/$ref",
                        facts.property_name()
                    ),
                    false => format!("'{}' cannot be updated", facts.logical_name),
                };
                return Err(Error::invalid(codes::INVALID_ARGUMENT, message).into());
            }
            let object = Object::from_iter([(facts.logical_name.clone(), value)]);
            transaction.update(number, id, &object)?;
            Ok(Staged::Silent)
        }
        Resource::Related { table, key, navigation, member, .. } => {
            let parent = row(transaction, catalog, table, key)?;
            let link = related::Link { table, parent, navigation, member: *member };
            related::stage(transaction, catalog, call, &link, headers, bytes)
        }
        Resource::Operation { name, bound: Some((table, None)), .. } => {
            let object = body::required(headers, bytes)?;
            multiple::stage(transaction, catalog, name, table, &object)
        }
        _ => {
            let message = format!("'{}' does not go into a change set", call.path);
            Err(Failure::not_implemented(message))
        }
    }
}

fn patch(
    transaction: &mut Transaction,
    catalog: &Catalog,
    table: &Arc<Table>,
    key: &Key,
    headers: &HeaderMap,
    mut object: Object,
) -> Result<Staged> {
    let precondition = precondition(headers)?;
    let number = number(catalog, table)?;
    let (id, done) = match row(transaction, catalog, table, key) {
        Ok((_, id)) => (id, transaction.upsert(number, id, &object, &precondition)?),
        // A row that its alternate key does not find is created with that key.
        Err(missing) => match (key, precondition) {
            (Key::Alternate(pairs), Precondition::None | Precondition::Absent)
                if missing.code() == codes::KEY_NOT_FOUND
                    && write::check(table, Operation::Create).is_ok() =>
            {
                key_members(table, pairs, &mut object);
                (transaction.create(number, &object)?, Done::Created)
            }
            _ => return Err(missing),
        },
    };
    Ok(Staged::Row { table: table.clone(), id, done })
}

/// The values of an alternate key as members of the body; the body's own count.
pub fn key_members(table: &Table, pairs: &[(String, String)], object: &mut Object) {
    for (name, text) in pairs {
        let is_text = table.column(name).is_none_or(|c| {
            !matches!(
                c.column_type,
                ColumnType::Integer
                    | ColumnType::BigInt
                    | ColumnType::Picklist
                    | ColumnType::State
                    | ColumnType::Status
                    | ColumnType::Boolean
                    | ColumnType::Double
            )
        });
        let literal = if is_text { None } else { serde_json::from_str(text).ok() };
        object.entry(name.as_str()).or_insert(literal.unwrap_or(Json::String(text.clone())));
    }
}

/// What `If-Match` and `If-None-Match` ask for. Some clients send the word `null`,
/// to keep caches away.
fn precondition(headers: &HeaderMap) -> Result<Precondition> {
    let read = |name| {
        let text = headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
        text.filter(|text| !text.is_empty() && *text != "null")
    };
    match (read(header::IF_MATCH), read(header::IF_NONE_MATCH)) {
        (Some("*"), _) => Ok(Precondition::Exists),
        (Some(tags), _) => {
            let versions = tags.split(',').map(|tag| {
                let tag = tag.trim();
                let tag = tag.strip_prefix("W/").unwrap_or(tag);
                let quoted = tag.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
                quoted.and_then(|number| number.parse::<i64>().ok())
            });
            let versions: Option<Vec<i64>> = versions.collect();
            versions.map(Precondition::Version).ok_or_else(|| {
                let message = format!("'{tags}' is neither * nor a row version such as W/\"1234\"");
                let error = Error::invalid(codes::INVALID_ARGUMENT, message);
                error.at(Place::Part("If-Match header".into())).into()
            })
        }
        (None, Some("*")) => Ok(Precondition::Absent),
        (None, _) => Ok(Precondition::None),
    }
}

/// The value in `{"value": …}`.
fn property_value(mut object: Object) -> Result<Json> {
    object.retain(|name, _| !name.contains('@'));
    match (object.remove("value"), object.keys().next()) {
        (Some(value), None) => Ok(value),
        (_, other) => {
            let but = other.map(|o| format!(", not '{o}'")).unwrap_or_default();
            let message = format!("a property is set with {{\"value\": …}}{but}");
            let error = Error::invalid(codes::ODATA, message);
            Err(error.at(Place::Part("request body".into())).into())
        }
    }
}

/// The number of a table in the catalog.
pub fn number(catalog: &Catalog, table: &Table) -> Result<usize> {
    catalog
        .table_index(&table.logical_name)
        .ok_or_else(|| Error::internal("a resource names a table of the catalog").into())
}

/// Table and primary key of an addressed row. A row addressed by its primary key
/// need not be there.
fn row(
    transaction: &Transaction,
    catalog: &Catalog,
    table: &Table,
    key: &Key,
) -> Result<(usize, Guid)> {
    let number = number(catalog, table)?;
    let pairs = match key {
        Key::Id(id) => return Ok((number, *id)),
        Key::Alternate(pairs) => pairs.clone(),
    };
    let set = table.entity_set_name.clone();
    let reference = Reference { set, table: Some(number), key: write::Key::Columns(pairs) };
    Ok((number, transaction.find(&reference)?))
}
