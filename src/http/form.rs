//! How rows are bound and written for one client: annotations, metadata, the
//! address it knows the service by.

use std::sync::Arc;

use super::negotiate::Metadata;
use super::request::Call;
use crate::catalog::{Catalog, Table};
use crate::encode::{Annotations, WebApiEncoder};
use crate::error::{Place, Result};
use crate::query::bind::{BindOptions, bind};
use crate::query::bound::BoundQuery;
use crate::query::{
    ColumnRef, Condition, Filter, Literal, LiteralKind, Name, Operand, Operator, Path, Select, Test,
};
use crate::service::Service;
use crate::store::Snapshot;
use crate::value::{Guid, guid_text};

/// What all rows of an answer have in common.
#[derive(Clone)]
pub struct Form {
    /// The address of the Web API, as the client sees it.
    pub base: String,
    annotations: Annotations,
    metadata: Metadata,
    options: BindOptions,
}

/// A query with settled names, and what writes its rows.
pub struct BoundAnswer {
    pub query: BoundQuery,
    pub encoder: WebApiEncoder,
}

impl Form {
    pub fn of(service: &Service, snapshot: &Arc<Snapshot>, call: &Call) -> Self {
        let annotations = call.prefer.annotations.clone();
        let metadata = call.wanted.metadata;
        let options = BindOptions {
            annotations: annotations.wants_values(),
            version: metadata != Metadata::None,
            context: service.context(snapshot, &call.caller, call.prefer.timezone),
        };
        Self { base: call.base.clone(), annotations, metadata, options }
    }

    /// Settles the names of a query.
    pub fn bind(&self, select: &Select, catalog: &Catalog) -> Result<BoundAnswer> {
        let mut select = std::borrow::Cow::Borrowed(select);
        if select.expand.iter().any(|e| e.reference) {
            // Its key is all that a reference needs of a row.
            let referred = select.to_mut().expand.iter_mut().filter(|e| e.reference);
            referred.for_each(|e| e.select = Some(Vec::new()));
        }
        let query = bind(&select, catalog, &self.options)?;
        let mut encoder = WebApiEncoder::new(&query, &self.annotations);
        match self.metadata {
            Metadata::None => encoder = encoder.without_versions(),
            Metadata::Minimal => {}
            Metadata::Full => encoder = encoder.with_identity(&query, &self.base),
        }
        for expand in select.expand.iter().filter(|e| e.reference) {
            let navigation = expand.navigation.text.as_str();
            let target = query.root.navigation(navigation).and_then(|r| catalog.table(&r.target));
            if let Some(target) = target {
                let address = format!("{}{}", self.base, target.entity_set_name);
                encoder.refer(navigation, address);
            }
        }
        Ok(BoundAnswer { query, encoder })
    }
}

/// `column eq guid or …`
pub fn one_of(table: &Table, column: usize, ids: &[Guid]) -> Filter {
    let at = || Place::Part(table.entity_set_name.clone());
    let operand = |id: &Guid| {
        Operand::Value(Literal { kind: LiteralKind::Guid, text: guid_text(id), at: at() })
    };
    let text = table.columns[column].property_name();
    Filter::Condition(Condition {
        column: ColumnRef { path: Path::Here, name: Name { text, at: at() } },
        test: Test::Compare(if ids.len() == 1 { Operator::Eq } else { Operator::In }),
        operands: ids.iter().map(operand).collect(),
        at: at(),
    })
}
