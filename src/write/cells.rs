//! A JSON body → cells of a row: names by the rules of the Web API, values by the
//! column. What a client may not set is left out, as Dataverse does; what does not
//! exist is refused.

use serde_json::Value as Json;

use super::reference::Reference;
use super::{Cells, Transaction, value};
use crate::catalog::{ColumnKind, ColumnType, ManyToOne, Table, entity_code, nearest};
use crate::error::{Error, Result, codes};
use crate::value::{Guid, Value};

/// A JSON object.
pub type Object = serde_json::Map<String, Json>;

/// What the cells are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Create,
    Update,
}

impl Transaction {
    /// The cells that a body sets.
    pub(super) fn cells(&self, facts: &Table, body: &Object, purpose: Purpose) -> Result<Cells> {
        let mut cells = Cells::new();
        for (name, json) in body {
            match name.split_once('@') {
                Some((property, "odata.bind")) if !property.is_empty() => {
                    self.bind(facts, property, json, &mut cells)?;
                }
                // Other annotations come back from answers; they say nothing new.
                Some(_) => {}
                None => property(facts, name, json, purpose, &mut cells)?,
            }
        }
        Ok(cells)
    }

    /// `"navigation@odata.bind": "/set(guid)"`, or null.
    fn bind(&self, facts: &Table, name: &str, json: &Json, cells: &mut Cells) -> Result<()> {
        let (relation, column) = navigation(facts, name)?;
        let address = match json {
            Json::Null => {
                clear(facts, column, cells);
                return Ok(());
            }
            Json::String(address) => address,
            _ => {
                let message = format!(
                    "'{name}@odata.bind' takes the address of a row, such as \"/accounts(<guid>)\", or null"
                );
                return Err(Error::invalid(codes::ODATA, message));
            }
        };
        let reference = Reference::read(address, self.catalog())?;
        let targets = match relation.target.as_str() {
            // The owner is a user or a team.
            "owner" => facts.columns[column].targets.as_slice(),
            _ => std::slice::from_ref(&relation.target),
        };
        let served = reference.table.map(|t| self.catalog().tables()[t].logical_name.as_str());
        let target = match served {
            Some(table) => targets.iter().find(|t| *t == table),
            // The set of a table that is not served is not known by name.
            None => targets.iter().find(|t| self.catalog().table(t).is_none()),
        };
        let Some(target) = target else {
            let message = format!(
                "'{name}@odata.bind': '{address}' is not a row of {}",
                targets.iter().map(|t| format!("'{t}'")).collect::<Vec<_>>().join(" or ")
            );
            return Err(Error::invalid(codes::ODATA, message));
        };
        let id = self.find(&reference)?;
        if facts.columns[column].column_type == ColumnType::Owner {
            self.set_owner(facts, target, id, cells);
            return Ok(());
        }
        cells.insert(column, Value::Guid(id));
        if let Some(of) = facts.type_column(column) {
            cells.insert(of, Value::Int32(entity_code(target)));
        }
        Ok(())
    }

    /// Sets the owner and what follows from it.
    pub(super) fn set_owner(&self, facts: &Table, table: &str, id: Guid, cells: &mut Cells) {
        let is_user = table == "systemuser";
        let unit = self.catalog().table_index(table).and_then(|number| {
            let row = self.row(number, &id)?;
            let unit = self.catalog().tables()[number].column_index("businessunitid")?;
            Some(row[unit].clone()).filter(|unit| *unit != Value::Null)
        });
        let unit = unit.unwrap_or(Value::Guid(self.caller.business_unit));
        let when = |wanted: bool| if wanted { Value::Guid(id) } else { Value::Null };
        for (name, value) in [
            ("ownerid", Value::Guid(id)),
            ("owneridtype", Value::Int32(entity_code(table))),
            ("owninguser", when(is_user)),
            ("owningteam", when(!is_user)),
            ("owningbusinessunit", unit),
        ] {
            if let Some(column) = facts.column_index(name) {
                cells.insert(column, value);
            }
        }
    }
}

/// `"name": value`.
fn property(
    facts: &Table,
    name: &str,
    json: &Json,
    purpose: Purpose,
    cells: &mut Cells,
) -> Result<()> {
    let index = facts.column_index(name).filter(|i| {
        let column = &facts.columns[*i];
        column.kind == ColumnKind::Stored && !column.is_lookup()
    });
    let Some(index) = index else { return other(facts, name, json, cells) };
    let column = &facts.columns[index];
    let settable = match purpose {
        // A row may be created in any of its states.
        Purpose::Create => column.create || column.column_type == ColumnType::State,
        Purpose::Update => column.update || name == facts.primary_id,
    };
    // The table of a lookup is set together with the lookup.
    if settable && column.attribute_of.is_none() {
        cells.insert(index, value::read(facts, index, json)?);
    }
    Ok(())
}

/// A name that is no plain column.
fn other(facts: &Table, name: &str, json: &Json, cells: &mut Cells) -> Result<()> {
    let lookup = name.strip_prefix('_').and_then(|n| n.strip_suffix("_value"));
    if let Some(column) = lookup.and_then(|n| facts.column(n)).filter(|c| c.is_lookup()) {
        let navigation = facts.many_to_one.iter().find(|r| r.column == column.logical_name);
        let navigation = navigation.map_or("navigation", |r| &r.navigation_property);
        let message = format!(
            "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead: '{navigation}@odata.bind' for '{name}'"
        );
        return Err(Error::invalid(codes::ODATA, message));
    }
    if facts.one_to_many.iter().any(|r| r.navigation_property == name) {
        return Err(nested(name));
    }
    match (navigation(facts, name), json) {
        (Ok((_, column)), Json::Null) => {
            clear(facts, column, cells);
            Ok(())
        }
        (Ok(_), Json::Object(_)) => Err(nested(name)),
        (Ok(_), _) => {
            let message = format!(
                "'{name}' is a navigation property and has no value of its own; did you mean '{name}@odata.bind'?"
            );
            Err(Error::invalid(codes::ODATA, message))
        }
        (Err(error), _) => Err(error),
    }
}

fn nested(name: &str) -> Error {
    Error::unsupported(format!(
        "'{name}': rows inside the body of another are not offered; create them first and bind them"
    ))
}

/// The relationship behind a single-valued navigation property, and its column.
fn navigation<'a>(facts: &'a Table, name: &str) -> Result<(&'a ManyToOne, usize)> {
    let found = facts.navigation(name).and_then(|r| Some((r, facts.column_index(&r.column)?)));
    found.ok_or_else(|| {
        let plain = facts
            .columns
            .iter()
            .filter(|c| c.kind == ColumnKind::Stored && !c.is_lookup() && (c.create || c.update));
        let plain = plain.map(|c| c.logical_name.as_str());
        let navigation = facts.many_to_one.iter().map(|r| r.navigation_property.as_str());
        let near = nearest(name, plain.chain(navigation));
        let hint = near.map(|n| format!(" Did you mean '{n}'?")).unwrap_or_default();
        let message = format!(
            "Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{}'.{hint}",
            facts.logical_name
        );
        Error::invalid(codes::ODATA, message)
    })
}

/// Sets a lookup to null, with the table it points to.
pub fn clear(facts: &Table, column: usize, cells: &mut Cells) {
    cells.insert(column, Value::Null);
    if let Some(of) = facts.type_column(column) {
        cells.insert(of, Value::Null);
    }
}
