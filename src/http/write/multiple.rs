//! Bulk messages: `CreateMultiple`, `UpdateMultiple`, `UpsertMultiple` and
//! `DeleteMultiple`, bound to a set. All targets are one commit.

use std::sync::Arc;

use serde_json::Value as Json;

use super::stage::{key_members, number};
use super::{Staged, at_index};
use crate::catalog::{Catalog, Table};
use crate::error::{Error, codes};
use crate::http::error::{Failure, Result};
use crate::value::{Guid, parse_guid};
use crate::write::{Key, Object, Precondition, Reference, Transaction};

const CREATE: &str = "CreateMultiple";
const UPDATE: &str = "UpdateMultiple";
const UPSERT: &str = "UpsertMultiple";
const DELETE: &str = "DeleteMultiple";

/// Whether an action is one of these.
pub fn is_action(name: &str) -> bool {
    [CREATE, UPDATE, UPSERT, DELETE].contains(&name)
}

/// Does for each target what the action says.
pub fn stage(
    transaction: &mut Transaction,
    catalog: &Catalog,
    action: &str,
    table: &Arc<Table>,
    object: &Object,
) -> Result<Staged> {
    let targets = targets(object)?;
    let of = number(catalog, table)?;
    let mut ids = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        let mut one = || -> Result<(), Error> {
            let Json::Object(target) = target else {
                return Err(Error::invalid(codes::ODATA, "a target is a JSON object"));
            };
            check_type(table, target)?;
            if action == CREATE {
                ids.push(transaction.create(of, target)?);
                return Ok(());
            }
            let mut target = target.clone();
            let id = match addressed(transaction, catalog, of, table, &mut target) {
                // The row does not exist, and its alternate key is in the target now.
                Err(error) if action == UPSERT && error.code == codes::KEY_NOT_FOUND => {
                    transaction.create(of, &target)?;
                    return Ok(());
                }
                found => found?,
            };
            match (action, id) {
                (UPDATE, Some(id)) => transaction.update(of, id, &target),
                (UPSERT, Some(id)) => {
                    transaction.upsert(of, id, &target, &Precondition::None).map(|_| ())
                }
                (UPSERT, None) => transaction.create(of, &target).map(|_| ()),
                (_, Some(id)) => transaction.delete(of, id),
                (_, None) => {
                    let message =
                        format!("a target names its row by '{}' or '@odata.id'", table.primary_id);
                    Err(Error::invalid(codes::INVALID_ARGUMENT, message))
                }
            }
        };
        one().map_err(|error| at_index(index, error))?;
    }
    match action {
        CREATE => Ok(Staged::Ids { action: CREATE, ids }),
        _ => Ok(Staged::Silent),
    }
}

fn targets(object: &Object) -> Result<&Vec<Json>> {
    let other = object.keys().find(|name| *name != "Targets" && !name.contains('@'));
    if let Some(other) = other {
        let message = format!("the parameter '{other}' is unknown; the action takes 'Targets'");
        return Err(Error::invalid(codes::ODATA, message).into());
    }
    match object.get("Targets") {
        Some(Json::Array(targets)) if !targets.is_empty() => Ok(targets),
        Some(Json::Array(_)) => {
            Err(Failure::from(Error::invalid(codes::INVALID_ARGUMENT, "'Targets' is empty")))
        }
        _ => {
            let message = "'Targets' is required and is an array of rows";
            Err(Error::invalid(codes::INVALID_ARGUMENT, message).into())
        }
    }
}

/// `@odata.type`, where it is given, names the table of the set.
fn check_type(table: &Table, target: &Object) -> Result<(), Error> {
    let Some(json) = target.get("@odata.type") else { return Ok(()) };
    let name = json.as_str().unwrap_or_default().trim_start_matches('#');
    let name = name.strip_prefix("Microsoft.Dynamics.CRM.").or_else(|| name.strip_prefix("mscrm."));
    if name == Some(table.logical_name.as_str()) {
        return Ok(());
    }
    let message = format!(
        "the '@odata.type' of a row of '{}' is 'Microsoft.Dynamics.CRM.{}', not {json}",
        table.entity_set_name, table.logical_name
    );
    Err(Error::invalid(codes::ODATA, message))
}

/// The row that a target names, by its primary key or its address. An alternate
/// key that no row has is taken into the target.
fn addressed(
    transaction: &Transaction,
    catalog: &Catalog,
    of: usize,
    table: &Table,
    target: &mut Object,
) -> Result<Option<Guid>, Error> {
    if let Some(address) = target.get("@odata.id").and_then(Json::as_str) {
        let reference = Reference::read(address, catalog)?;
        if reference.table != Some(of) {
            let message = format!("'{address}' is not a row of '{}'", table.entity_set_name);
            return Err(Error::invalid(codes::ODATA, message));
        }
        return match &reference.key {
            Key::Id(id) => Ok(Some(*id)),
            Key::Columns(pairs) => transaction.find(&reference).map(Some).inspect_err(|_| {
                key_members(table, pairs, target);
            }),
        };
    }
    match target.get(&table.primary_id) {
        None | Some(Json::Null) => Ok(None),
        Some(json) => {
            let id = json.as_str().and_then(parse_guid).ok_or_else(|| {
                let message = format!("'{}' is not a GUID: {json}", table.primary_id);
                Error::invalid(codes::ODATA, message)
            })?;
            Ok(Some(id))
        }
    }
}
