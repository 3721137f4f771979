//! The work of a bulk deletion: batch by batch, each its own commit, for as long
//! as nobody cancels or pauses the job.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Array, AsArray};
use futures::StreamExt;

use super::{OPERATION_TABLE, Request, begin, of, owned_by};
use crate::catalog::{Table, entity_code};
use crate::engine::failure;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::identity::Caller;
use crate::job::{JobColumns, Outcome, Report, Status};
use crate::query::bind::{BindOptions, bind};
use crate::query::bound::BoundQuery;
use crate::query::{
    ColumnRef, Condition, Context, Filter, Literal, LiteralKind, Name, Operand, Operator, Path,
    Select, Test,
};
use crate::scheduler::core::Cells;
use crate::scheduler::frozen::Frozen;
use crate::service::Service;
use crate::store::Change;
use crate::value::{Guid, Value};
use crate::write::Transaction;

/// Rows of one commit.
const BATCH_ROWS: usize = 500;
/// Rows that an immediate deletion takes at most.
const IMMEDIATE_MAX: usize = 1_000_000;

/// One bulk deletion.
pub struct Run {
    service: Arc<Service>,
    caller: Caller,
    job: Guid,
    operation: Guid,
    queries: Vec<BoundQuery>,
    begins: i64,
    immediate: bool,
    succeeded: i32,
    failed: i32,
    /// Rows beyond what one immediate deletion takes.
    left: usize,
}

impl Run {
    /// Binds the queries, so that what is wrong in them is told at once.
    pub fn new(
        service: Arc<Service>,
        caller: Caller,
        job: Guid,
        operation: Guid,
        request: &Request,
        begins: i64,
    ) -> Result<Self> {
        let catalog = service.store.catalog();
        let context = service.context(&service.store.snapshot(), &caller, None);
        let context = Context { now: begins, ..context };
        let options = BindOptions { context, ..BindOptions::default() };
        let mut queries = Vec::new();
        for select in &request.queries {
            // The query itself first: its errors are not about what is added.
            let bound = bind(select, catalog, &options)?;
            let narrowed = narrowed(select.clone(), &bound.root, begins, request.immediate);
            queries.push(bind(&narrowed, catalog, &options)?);
        }
        let immediate = request.immediate;
        let (succeeded, failed, left) = (0, 0, 0);
        Ok(Self {
            service,
            caller,
            job,
            operation,
            queries,
            begins,
            immediate,
            succeeded,
            failed,
            left,
        })
    }

    /// Waits for the job's time, and begins if it still waits then.
    pub async fn wait_and_perform(self, later: bool) -> Result<()> {
        if later {
            loop {
                let micros = self.begins - self.service.clock.now();
                match u64::try_from(micros) {
                    Ok(micros) if micros > 0 => {
                        tokio::time::sleep(Duration::from_micros(micros)).await;
                    }
                    _ => break,
                }
            }
            let mut transaction = begin(&self.service, self.caller).await;
            if self.status() != Some(Status::Waiting) {
                return Ok(());
            }
            let set = Cells { postponeuntil: Some(None), ..Cells::default() };
            self.change_job(&mut transaction, Status::InProgress, set, "picked");
            transaction.commit().await?;
        }
        self.perform().await
    }

    /// Deletes the rows for an attempt of the job; `next` is its next occurrence.
    pub async fn work(mut self, next: Option<i64>) -> Report {
        (self.succeeded, self.failed) = self.counts();
        let outcome = self.delete_all().await;
        let (status, report) = match (outcome, self.status()) {
            (Err(error), _) => {
                let code = Some(error.code.cast_signed());
                (Status::Failed, Report::failed(code, Some(error.to_string())))
            }
            (Ok(()), Some(Status::InProgress)) => {
                let friendlymessage = Some(self.summary());
                let report = Report { friendlymessage, ..Report::of(Outcome::Succeeded) };
                (Status::Succeeded, report)
            }
            (Ok(()), Some(Status::Pausing)) => (Status::Waiting, Report::of(Outcome::Suspended)),
            (Ok(()), _) => (Status::Canceled, Report::of(Outcome::Canceled)),
        };
        let mut transaction = begin(&self.service, self.caller).await;
        self.show_progress(&mut transaction, status, self.service.clock.now());
        self.show_next(&mut transaction, next);
        match transaction.commit().await {
            Ok(()) => report,
            Err(error) => Report::failed(Some(error.code.cast_signed()), Some(error.to_string())),
        }
    }

    /// What the row of the operation counts already: a part that an attempt before
    /// this one has done.
    fn counts(&self) -> (i32, i32) {
        let catalog = self.service.store.catalog();
        let count = |name: &str| {
            let table = catalog.table_index(OPERATION_TABLE)?;
            let column = catalog.tables()[table].column_index(name)?;
            match self.service.store.value(table, &self.operation, column)? {
                Value::Int32(count) => Some(count),
                _ => None,
            }
        };
        // Rows that stayed are met again, and counted again.
        (count("successcount").unwrap_or(0), 0)
    }

    fn show_next(&self, transaction: &mut Transaction, next: Option<i64>) {
        let catalog = self.service.store.catalog();
        let table = catalog.table_index(OPERATION_TABLE);
        let known = |table: &usize| self.service.store.contains(*table, &self.operation);
        if let (Some(table), Some(next)) = (table.filter(known), next) {
            let values = of(&catalog.tables()[table], vec![("nextrun", Value::Time(next))]);
            transaction.record(Change::Update { table, id: self.operation, values });
        }
    }

    fn summary(&self) -> String {
        let mut text = format!("{} rows deleted, {} failed", self.succeeded, self.failed);
        if self.left > 0 {
            text.push_str(&format!(", {} left for another deletion", self.left));
        }
        text
    }

    /// Deletes the rows and completes the job.
    pub async fn perform(mut self) -> Result<()> {
        let started = self.service.clock.now();
        let outcome = self.delete_all().await;
        let mut transaction = begin(&self.service, self.caller).await;
        if self.status() != Some(Status::InProgress) {
            return outcome;
        }
        let now = self.service.clock.now();
        let (status, report, reason) = match &outcome {
            Ok(()) => {
                let friendlymessage = Some(self.summary());
                let report = Report { friendlymessage, ..Report::of(Outcome::Succeeded) };
                (Status::Succeeded, report, "succeeded")
            }
            Err(error) => {
                let code = Some(error.code.cast_signed());
                (Status::Failed, Report::failed(code, Some(error.to_string())), "failed")
            }
        };
        let executed = Some((now - started).max(0) as f64 / 1e6);
        let set = Cells { executed, report: Some(report), ..Cells::default() };
        self.change_job(&mut transaction, status, set, reason);
        self.show_progress(&mut transaction, status, now);
        transaction.commit().await?;
        outcome
    }

    async fn delete_all(&mut self) -> Result<()> {
        for index in 0..self.queries.len() {
            let mut ids = matching(&self.service, &self.queries[index], self.job).await?;
            if self.immediate {
                let done = usize::try_from(self.succeeded + self.failed).unwrap_or(IMMEDIATE_MAX);
                let room = IMMEDIATE_MAX.saturating_sub(done);
                self.left += ids.len().saturating_sub(room);
                ids.truncate(room);
            }
            for batch in ids.chunks(BATCH_ROWS) {
                if !self.delete(index, batch).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Deletes some rows; false when the job is no longer to go on.
    async fn delete(&mut self, query: usize, ids: &[Guid]) -> Result<bool> {
        let counts = (self.succeeded, self.failed);
        for _ in ids {
            match self.try_delete(query, ids).await {
                // A job has gone since it was looked at: the others are tried again.
                Err(error) if error.kind == ErrorKind::NotFound => {
                    (self.succeeded, self.failed) = counts;
                }
                outcome => return outcome,
            }
        }
        self.try_delete(query, ids).await
    }

    /// Deletes them in one commit, or none.
    async fn try_delete(&mut self, query: usize, ids: &[Guid]) -> Result<bool> {
        let mut transaction = begin(&self.service, self.caller).await;
        if self.status() != Some(Status::InProgress) {
            return Ok(false);
        }
        let now = self.service.clock.now();
        let root = self.queries[query].root.clone();
        let catalog = self.service.store.catalog();
        let Some(table) = catalog.table_index(&root.logical_name) else { return Ok(true) };
        for id in ids {
            match transaction.delete(table, *id) {
                Ok(()) => self.succeeded += 1,
                // Somebody else has deleted it since.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => {
                    self.failed += 1;
                    self.show_failure(&mut transaction, query, &root, *id, &error);
                }
            }
        }
        self.show_progress(&mut transaction, Status::InProgress, now);
        transaction.commit().await?;
        Ok(true)
    }

    fn show_failure(
        &self,
        transaction: &mut Transaction,
        query: usize,
        root: &Table,
        id: Guid,
        error: &Error,
    ) {
        let catalog = self.service.store.catalog();
        let Some(table) = catalog.table_index("bulkdeletefailure") else { return };
        let mut cells = vec![
            ("bulkdeletefailureid", Value::Guid(uuid::Uuid::new_v4().into_bytes())),
            ("asyncoperationid", Value::Guid(self.job)),
            ("bulkdeleteoperationid", Value::Guid(self.operation)),
            ("errornumber", Value::Int32(error.code.cast_signed())),
            ("errordescription", Value::Text(error.to_string())),
            ("orderedqueryindex", i32::try_from(query).map_or(Value::Null, Value::Int32)),
            ("regardingobjectid", Value::Guid(id)),
            ("regardingobjecttypecode", Value::Int32(entity_code(&root.logical_name))),
        ];
        cells.extend(owned_by(self.caller, self.service.clock.now()));
        let values = of(&catalog.tables()[table], cells);
        transaction.record(Change::Insert { table, values });
    }

    /// The counts, and the state of the work.
    fn show_progress(&self, transaction: &mut Transaction, status: Status, now: i64) {
        let catalog = self.service.store.catalog();
        let Some(table) = catalog.table_index(OPERATION_TABLE) else { return };
        // A client may have deleted the row while the job goes on.
        if !self.service.store.contains(table, &self.operation) {
            return;
        }
        let cells = vec![
            ("successcount", Value::Int32(self.succeeded)),
            ("failurecount", Value::Int32(self.failed)),
            ("statecode", Value::Int32(status.statecode())),
            ("statuscode", Value::Int32(status.statuscode())),
            ("modifiedon", Value::Time(now)),
        ];
        let values = of(&catalog.tables()[table], cells);
        transaction.record(Change::Update { table, id: self.operation, values });
    }

    /// Changes the status of the job where no scheduler does.
    fn change_job(
        &self,
        transaction: &mut Transaction,
        status: Status,
        set: Cells,
        reason: &'static str,
    ) {
        let store = &self.service.store;
        let Some(row) = store.row(self.columns().table, &self.job) else { return };
        let now = self.service.clock.now();
        let changes = Frozen::new(store).change(&row, status, set, reason, now);
        changes.into_iter().for_each(|change| transaction.record(change));
    }

    fn columns(&self) -> JobColumns {
        JobColumns::of(self.service.store.catalog())
    }

    /// What the job's row says; nothing when somebody has deleted it.
    fn status(&self) -> Option<Status> {
        let columns = self.columns();
        let row = self.service.store.row(columns.table, &self.job)?;
        match row[columns.statuscode] {
            Value::Int32(code) => Status::from_statuscode(code),
            _ => None,
        }
    }
}

/// The keys of the rows that a query finds, without the job that asks.
pub async fn matching(service: &Service, query: &BoundQuery, job: Guid) -> Result<Vec<Guid>> {
    let engine = &service.engine;
    let key = query.outputs.iter().position(|output| output.name == query.root.primary_id);
    let key = key.ok_or_else(|| Error::internal("the query of a job has no key"))?;
    let plan = engine.plan(query, &service.store.snapshot())?;
    let mut rows = engine.run(plan).await?;
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(failure)?;
        let keys = batch.column(key).as_fixed_size_binary();
        for row in (0..keys.len()).filter(|row| keys.is_valid(*row)) {
            if let Ok(id) = Guid::try_from(keys.value(row))
                && id != job
                && seen.insert(id)
            {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

/// Only rows that were there before the deletion began; an immediate one takes
/// only jobs that are completed.
fn narrowed(mut select: Select, table: &Table, begins: i64, immediate: bool) -> Select {
    let condition = |column: &str, operator: Operator, text: String| {
        let at = || Place::Part("BulkDelete".into());
        Filter::Condition(Condition {
            column: ColumnRef {
                path: Path::Here,
                name: Name { text: column.to_owned(), at: at() },
            },
            test: Test::Compare(operator),
            operands: vec![Operand::Value(Literal { kind: LiteralKind::Untyped, text, at: at() })],
            at: at(),
        })
    };
    let mut parts: Vec<Filter> = select.filter.take().into_iter().collect();
    let moment = chrono::DateTime::from_timestamp_micros(begins);
    if let (Some(moment), true) = (moment, table.column("createdon").is_some_and(|c| c.read)) {
        parts.push(condition("createdon", Operator::Lt, moment.to_rfc3339()));
    }
    if immediate {
        let completed = Status::Succeeded.statecode().to_string();
        parts.push(condition("statecode", Operator::Eq, completed));
    }
    select.filter = (!parts.is_empty()).then_some(Filter::And(parts));
    select
}
