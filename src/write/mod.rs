//! Writes of rows: what a client may change, with which values, and what the
//! platform fills in. A [`Transaction`] gathers the changes of one request, or of
//! one change set, and commits them together: all of them or none.
//!
//! Parts: [`rules`] which tables, [`cells`], [`value`] and [`reference`] from JSON
//! to typed cells, [`defaults`] what is filled in, [`deletion`] what goes along,
//! [`event`] what a write raises.

mod cells;
mod defaults;
mod deletion;
mod event;
mod jobs;
mod reference;
mod rules;
mod value;
mod workflow;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

pub use self::cells::Object;
pub use self::reference::{Key, Reference};
pub use self::rules::{Operation, check};
pub use self::value::read as cell;

use crate::catalog::{Catalog, Table};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::events::{self, Chain, Raised, RecordChange};
use crate::identity::{Caller, Role};
use crate::job::{self, ActionRequest};
use crate::scheduler::Handle;
use crate::scheduler::frozen::Frozen;
use crate::store::{Change, Store};
use crate::value::{Guid, Value, guid_text};

/// Cells to set, by column.
type Cells = BTreeMap<usize, Value>;

/// What a client expects of a row it writes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    #[default]
    None,
    /// The row exists (`If-Match: *`).
    Exists,
    /// No such row exists (`If-None-Match: *`).
    Absent,
    /// The row has one of these versions (`If-Match: W/"n"`).
    Version(Vec<i64>),
}

/// What a write did to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Created,
    Updated,
}

/// Changes that are made together. While it lives no other transaction reads or
/// writes, so that what it has checked still holds when it commits.
pub struct Transaction {
    store: Arc<Store>,
    /// Jobs are acted on through the scheduler, where one runs.
    scheduler: Option<Handle>,
    caller: Caller,
    now: i64,
    turn: OwnedMutexGuard<()>,
    /// Rows as this transaction leaves them; nothing for a deleted one.
    rows: HashMap<(usize, Guid), Option<Vec<Value>>>,
    changes: Vec<Change>,
    /// Decides for jobs where no scheduler runs.
    frozen: Option<Frozen>,
    actions: Vec<ActionRequest>,
    /// What has happened to records, in order.
    events: Vec<RecordChange>,
    /// Records of which somebody tells.
    told: Vec<Guid>,
    /// Jobs beside those that the events raise.
    jobs: Vec<Raised>,
    chain: Chain,
}

impl Transaction {
    /// Waits for the transactions under way.
    pub async fn begin(
        store: &Arc<Store>,
        scheduler: Option<&Handle>,
        caller: Caller,
        now: i64,
    ) -> Self {
        Self {
            turn: store.turn().await,
            store: store.clone(),
            scheduler: scheduler.cloned(),
            caller,
            now,
            rows: HashMap::new(),
            changes: Vec::new(),
            frozen: None,
            actions: Vec::new(),
            events: Vec::new(),
            told: Vec::new(),
            jobs: Vec::new(),
            chain: Chain::of_request(),
        }
    }

    /// The writes are the work of a job, in a chain that goes on here.
    #[must_use]
    pub fn in_chain(self, chain: Chain) -> Self {
        Self { chain, ..self }
    }

    /// A change that the platform makes beside those that are asked for.
    pub fn record(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Whoever makes the writes that follow.
    pub fn act_as(&mut self, caller: Caller) {
        self.caller = caller;
    }

    /// Makes all of it durable, or nothing. It goes on to its end even when the
    /// caller no longer waits.
    pub async fn commit(mut self) -> Result<()> {
        let happened = self.awaited();
        let raised = self.raised();
        let Self { store, scheduler, now, turn, mut changes, frozen, actions, .. } = self;
        let mut jobs = Vec::with_capacity(raised.len());
        for job in raised {
            jobs.push(job.cells);
            changes.extend(job.with);
        }
        let work = async move {
            let _turn = turn;
            match scheduler {
                Some(scheduler)
                    if !(jobs.is_empty() && actions.is_empty() && happened.is_empty()) =>
                {
                    scheduler.commit(jobs, actions, happened, changes).await
                }
                _ => {
                    if !jobs.is_empty() {
                        let mut frozen = frozen.unwrap_or_else(|| Frozen::new(&store));
                        changes.extend(frozen.create(jobs, now)?);
                    }
                    match changes.is_empty() {
                        true => Ok(()),
                        false => store.commit(changes).await.map(|_| ()),
                    }
                }
            }
        };
        let ended = tokio::spawn(work).await;
        ended.map_err(|e| Error::internal("a commit ended early").caused_by(e))?
    }

    /// A new row; its primary key.
    pub fn create(&mut self, table: usize, body: &Object) -> Result<Guid> {
        let facts = self.facts(table);
        check(&facts, Operation::Create)?;
        self.may(Role::Administrator, "create", &facts)?;
        let mut cells = self.cells(&facts, body, cells::Purpose::Create)?;
        let key = facts.primary_id_index();
        let id = match cells.get(&key) {
            Some(Value::Guid(id)) if *id != Guid::default() => *id,
            _ => uuid::Uuid::new_v4().into_bytes(),
        };
        if self.row(table, &id).is_some() {
            let message = format!(
                "A record with matching key values already exists: {} {}",
                facts.logical_name,
                guid_text(&id)
            );
            return Err(Error::new(ErrorKind::Conflict, codes::DUPLICATE_RECORD, message));
        }
        cells.insert(key, Value::Guid(id));
        self.complete(&facts, &mut cells)?;
        let mut row = vec![Value::Null; facts.columns.len()];
        for (column, value) in &cells {
            row[*column] = value.clone();
        }
        self.happened(events::CREATE, &facts, id, &row, &cells);
        self.rows.insert((table, id), Some(row));
        let values = cells.into_iter().filter(|(_, value)| *value != Value::Null).collect();
        self.changes.push(Change::Insert { table, values });
        Ok(id)
    }

    /// Changes a row that exists.
    pub fn update(&mut self, table: usize, id: Guid, body: &Object) -> Result<()> {
        let facts = self.facts(table);
        check(&facts, Operation::Update)?;
        if facts.logical_name == job::TABLE {
            return self.update_job(&facts, id, body);
        }
        self.may(Role::Administrator, "change", &facts)?;
        let row = self.existing(table, &id)?;
        let mut cells = self.cells(&facts, body, cells::Purpose::Update)?;
        if let Some(Value::Guid(other)) = cells.remove(&facts.primary_id_index())
            && other != id
        {
            let message = format!(
                "'{}' in the body is not the row's own: the primary key cannot be changed",
                facts.primary_id
            );
            return Err(Error::invalid(codes::INVALID_ARGUMENT, message));
        }
        self.settle_update(&facts, &row, &mut cells)?;
        self.happened(events::UPDATE, &facts, id, &row, &cells);
        self.set(table, id, row, cells);
        Ok(())
    }

    /// Changes a row, or creates it where there is none and the client allows it.
    pub fn upsert(
        &mut self,
        table: usize,
        id: Guid,
        body: &Object,
        precondition: &Precondition,
    ) -> Result<Done> {
        let facts = self.facts(table);
        let there = self.row(table, &id).is_some();
        match precondition {
            Precondition::Absent if there => {
                let message = format!(
                    "{} With Id = {} exists, and If-None-Match: * asks to create it only",
                    facts.schema_name,
                    guid_text(&id)
                );
                Err(Error::new(ErrorKind::Conflict, codes::VERSION_MISMATCH, message))
            }
            Precondition::None | Precondition::Absent if !there => {
                if check(&facts, Operation::Create).is_err() {
                    return Err(missing(&facts, &id));
                }
                let mut body = body.clone();
                let key = body.entry(facts.primary_id.clone());
                let text = serde_json::Value::String(guid_text(&id));
                let given = key.or_insert_with(|| text.clone());
                if given.as_str().and_then(crate::value::parse_guid) != Some(id) {
                    let message =
                        format!("'{}' in the body is not the row's own", facts.primary_id);
                    return Err(Error::invalid(codes::INVALID_ARGUMENT, message));
                }
                self.create(table, &body)?;
                Ok(Done::Created)
            }
            _ => {
                self.expect(table, &id, precondition)?;
                self.update(table, id, body)?;
                Ok(Done::Updated)
            }
        }
    }

    /// Whether a row that is to be changed is as the client expects it.
    pub fn expect(&self, table: usize, id: &Guid, precondition: &Precondition) -> Result<()> {
        let row = self.existing(table, id)?;
        let Precondition::Version(versions) = precondition else { return Ok(()) };
        let facts = self.facts(table);
        let version = facts.column_index("versionnumber").map(|column| &row[column]);
        if matches!(version, Some(Value::Int64(version)) if versions.contains(version)) {
            return Ok(());
        }
        let message =
            "The version of the existing record doesn't match the RowVersion property provided.";
        Err(Error::new(ErrorKind::Conflict, codes::VERSION_MISMATCH, message))
    }

    /// Whether a lookup of a row points to another row, before it is cleared.
    pub fn expect_link(&self, table: usize, id: Guid, navigation: &str, to: Guid) -> Result<()> {
        let facts = self.facts(table);
        let row = self.existing(table, &id)?;
        let column = facts.navigation(navigation).and_then(|r| facts.column_index(&r.column));
        if column.is_some_and(|column| row[column] == Value::Guid(to)) {
            return Ok(());
        }
        let message = format!(
            "{} With Id = {} is not linked by '{navigation}' to {}",
            facts.schema_name,
            guid_text(&id),
            guid_text(&to)
        );
        Err(Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message))
    }

    /// The primary key of the row that an address names.
    pub fn find(&self, reference: &Reference) -> Result<Guid> {
        reference.find(self)
    }

    fn facts(&self, table: usize) -> Arc<Table> {
        self.catalog().tables()[table].clone()
    }

    fn catalog(&self) -> &Arc<Catalog> {
        self.store.catalog()
    }

    /// A row as this transaction has left it so far.
    fn row(&self, table: usize, id: &Guid) -> Option<Vec<Value>> {
        match self.rows.get(&(table, *id)) {
            Some(row) => row.clone(),
            None => self.store.row(table, id),
        }
    }

    fn existing(&self, table: usize, id: &Guid) -> Result<Vec<Value>> {
        self.row(table, id).ok_or_else(|| missing(&self.catalog().tables()[table], id))
    }

    /// Sets cells of a row that exists.
    fn set(&mut self, table: usize, id: Guid, mut row: Vec<Value>, cells: Cells) {
        for (column, value) in &cells {
            row[*column] = value.clone();
        }
        self.rows.insert((table, id), Some(row));
        self.changes.push(Change::Update { table, id, values: cells.into_iter().collect() });
    }

    /// Whether the caller's role reaches to what is asked for.
    fn may(&self, role: Role, what: &str, table: &Table) -> Result<()> {
        if self.caller.role >= role {
            return Ok(());
        }
        let message = format!(
            "Principal user (Id={}, type=8) lacks the privilege to {what} rows of '{}': it takes the role {}",
            guid_text(&self.caller.user),
            table.logical_name,
            format!("{role:?}").to_lowercase()
        );
        Err(Error::invalid(codes::PRIVILEGE_DENIED, message))
    }
}

/// The complaint about a row that is not there.
fn missing(table: &Table, id: &Guid) -> Error {
    let message = format!("{} With Id = {} Does Not Exist", table.schema_name, guid_text(id));
    Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message)
}
