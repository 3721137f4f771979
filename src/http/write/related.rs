//! Links between rows: `set(key)/navigation/$ref`.

use axum::http::{HeaderMap, Method};
use serde_json::Value as Json;

use super::Staged;
use super::stage::number;
use crate::catalog::{Catalog, Table};
use crate::dialect::odata::decode_options;
use crate::error::{Error, Place, codes};
use crate::http::body;
use crate::http::error::{Failure, Result};
use crate::http::request::Call;
use crate::value::{Guid, guid_text};
use crate::write::{Object, Reference, Transaction};

/// The row and the navigation property that a path names.
pub struct Link<'a> {
    pub table: &'a Table,
    /// Number of the table and primary key.
    pub parent: (usize, Guid),
    pub navigation: &'a str,
    /// The row of the collection in the path.
    pub member: Option<Guid>,
}

/// Links or unlinks rows.
pub fn stage(
    transaction: &mut Transaction,
    catalog: &Catalog,
    call: &Call,
    link: &Link<'_>,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Staged> {
    let name = link.navigation;
    let unlink = call.method == Method::DELETE;
    if link.table.navigation(name).is_some() {
        if call.method == Method::POST {
            let message = format!("'{name}' holds one row; it is set with PUT");
            return Err(Failure::method(message, "GET, PUT, DELETE"));
        }
        let address = if unlink { Json::Null } else { address(headers, bytes)? };
        let (table, id) = link.parent;
        transaction.update(table, id, &bind(name, address))?;
        return Ok(Staged::Silent);
    }
    if call.method == Method::PUT {
        let message = format!("'{name}' is a collection; a row is added with POST");
        return Err(Failure::method(message, "GET, POST, DELETE"));
    }
    // A row is in a collection because its own lookup points here.
    let relation = link.table.one_to_many.iter().find(|r| r.navigation_property == name);
    let other = relation.and_then(|r| {
        let table = catalog.table(&r.target)?;
        let back = table
            .many_to_one
            .iter()
            .find(|m| m.column == r.target_column && m.target == link.table.logical_name)?;
        Some((table, back.navigation_property.as_str()))
    });
    let Some((other, back)) = other else {
        let message = format!("rows of '{name}' are not served, and so cannot be linked");
        return Err(Error::unsupported(message).into());
    };
    let reference = match (link.member, unlink) {
        (Some(id), _) => address_of(other, id),
        (None, true) => id_option(call)?,
        (None, false) => match address(headers, bytes)? {
            Json::String(text) => text,
            _ => return Err(no_address()),
        },
    };
    let reference = Reference::read(&reference, catalog)?;
    let child = number(catalog, other)?;
    if reference.table != Some(child) {
        let message = format!("'{}' is not the entity set of '{name}'", reference.set);
        return Err(Error::invalid(codes::ODATA, message).into());
    }
    let id = transaction.find(&reference)?;
    let parent = address_of(link.table, link.parent.1);
    let value = if unlink {
        transaction.expect_link(child, id, back, link.parent.1)?;
        Json::Null
    } else {
        Json::String(parent)
    };
    transaction.update(child, id, &bind(back, value))?;
    Ok(Staged::Silent)
}

fn bind(navigation: &str, address: Json) -> Object {
    Object::from_iter([(format!("{navigation}@odata.bind"), address)])
}

fn address_of(table: &Table, id: Guid) -> String {
    format!("/{}({})", table.entity_set_name, guid_text(&id))
}

/// The address in `{"@odata.id": …}`.
fn address(headers: &HeaderMap, bytes: &[u8]) -> Result<Json> {
    let object = body::required(headers, bytes)?;
    object.get("@odata.id").filter(|id| id.is_string()).cloned().ok_or_else(no_address)
}

/// The address in the query option `$id`.
fn id_option(call: &Call) -> Result<String> {
    let options = decode_options(&call.query)?;
    let id = options.into_iter().find(|(name, _)| name == "$id");
    id.map(|(_, address)| address).ok_or_else(|| {
        let message = "a row leaves a collection by …/collection(<guid>)/$ref or …/collection/$ref?$id=<address>";
        Error::invalid(codes::ODATA, message).into()
    })
}

fn no_address() -> Failure {
    let error = Error::invalid(codes::ODATA, "a link is made with {\"@odata.id\": \"<address>\"}");
    error.at(Place::Part("request body".into())).into()
}
