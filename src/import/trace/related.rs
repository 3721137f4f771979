//! The rows that a trace's jobs point to: the organization and its business
//! unit, users, workflows and plug-in steps.

use crate::catalog::{Catalog, entity_code};
use crate::value::{Guid, Value};

use super::Trace;
use super::jobs::{Row, Values};
use super::read::{SYSTEM, id};

/// Name of the organization and of its one business unit.
const ORGANIZATION: &str = "Job trace";

pub fn business_unit() -> Guid {
    id("businessunit", ORGANIZATION)
}

/// Rows by table, each made at `created`.
pub fn rows(trace: &Trace, catalog: &Catalog, created: i64) -> Vec<(usize, Vec<Values>)> {
    let maker = Maker { catalog, created };
    let steps = trace.definitions.iter().filter(|d| !d.is_workflow);
    let workflows = trace.definitions.iter().filter(|d| d.is_workflow);
    vec![
        maker.table("organization", [maker.organization()]),
        maker.table("businessunit", [maker.business_unit()]),
        maker.table("systemuser", trace.users.iter().map(|u| maker.user(u.id, &u.name))),
        maker.table("workflow", workflows.map(|d| maker.workflow(d.id, &d.name))),
        maker.table("sdkmessageprocessingstep", steps.map(|d| maker.step(d.id, &d.name))),
    ]
}

struct Maker<'a> {
    catalog: &'a Catalog,
    created: i64,
}

impl<'a> Maker<'a> {
    fn table(&self, name: &str, rows: impl IntoIterator<Item = Values>) -> (usize, Vec<Values>) {
        let table = self.catalog.table_index(name).expect("a built-in table");
        (table, rows.into_iter().collect())
    }

    /// A row with its key, and with who made and changed it when.
    fn row(&self, table: &str, key: Guid) -> Row<'a> {
        let table = self.catalog.table(table).expect("a built-in table");
        let mut row = Row::of(table);
        let system = Value::Guid(id("user", SYSTEM));
        row.set(&table.primary_id, Value::Guid(key))
            .set("createdon", Value::Time(self.created))
            .set("modifiedon", Value::Time(self.created))
            .set("createdby", system.clone())
            .set("modifiedby", system);
        row
    }

    fn organization(&self) -> Values {
        let mut row = self.row("organization", id("organization", ORGANIZATION));
        row.text("name", ORGANIZATION)
            .set("organizationstate", Value::Int32(3))
            .set("isdisabled", Value::Boolean(false));
        row.into_values()
    }

    fn business_unit(&self) -> Values {
        let mut row = self.row("businessunit", business_unit());
        row.text("name", ORGANIZATION)
            .set("organizationid", Value::Guid(id("organization", ORGANIZATION)))
            .set("isdisabled", Value::Boolean(false));
        row.into_values()
    }

    fn user(&self, key: Guid, name: &str) -> Values {
        let mut row = self.row("systemuser", key);
        // The domain is reserved: no such address can belong to anybody.
        let address = format!("{}@trace.invalid", name.to_lowercase());
        row.text("fullname", name)
            .text("lastname", name)
            .text("domainname", &address)
            .text("internalemailaddress", &address)
            .set("businessunitid", Value::Guid(business_unit()))
            .set("organizationid", Value::Guid(id("organization", ORGANIZATION)))
            .set("accessmode", Value::Int32(0))
            .set("isdisabled", Value::Boolean(false));
        row.into_values()
    }

    /// An activated background workflow.
    fn workflow(&self, key: Guid, name: &str) -> Values {
        let mut row = self.row("workflow", key);
        let system = Value::Guid(id("user", SYSTEM));
        row.text("name", name)
            .set("category", Value::Int32(0))
            .set("type", Value::Int32(1))
            .set("mode", Value::Int32(0))
            .set("scope", Value::Int32(4))
            .set("statecode", Value::Int32(1))
            .set("statuscode", Value::Int32(2))
            .set("primaryentity", Value::Int32(entity_code("account")))
            .set("triggeroncreate", Value::Boolean(true))
            .set("asyncautodelete", Value::Boolean(false))
            .set("ownerid", system.clone())
            .set("owneridtype", Value::Int32(entity_code("systemuser")))
            .set("owninguser", system)
            .set("owningbusinessunit", Value::Guid(business_unit()));
        row.into_values()
    }

    /// An enabled asynchronous step after the operation.
    fn step(&self, key: Guid, name: &str) -> Values {
        let mut row = self.row("sdkmessageprocessingstep", key);
        row.text("name", name)
            .set("mode", Value::Int32(1))
            .set("stage", Value::Int32(40))
            .set("rank", Value::Int32(1))
            .set("statecode", Value::Int32(0))
            .set("statuscode", Value::Int32(1))
            .set("asyncautodelete", Value::Boolean(false))
            .set("organizationid", Value::Guid(id("organization", ORGANIZATION)));
        row.into_values()
    }
}
