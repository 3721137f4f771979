//! Workflows: the steps of a job, one after another. After each step the place in
//! the list, and what the step has changed, are durable together.

mod log;
mod steps;

use std::time::Duration;

use self::log::{Entry, Status};
use self::steps::{Progress, Step, Update, Wait, Waiting};
use super::job::JobRow;
use super::{Asked, Shared, as_asked, asked_for, failed, interruptible};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::events;
use crate::job::handler::Simulation;
use crate::job::{JobColumns, Outcome, Report};
use crate::store::Change;
use crate::value::{Guid, Value, guid_text, parse_guid};
use crate::webhook::Endpoint;
use crate::write::Transaction;

/// Does the steps of a job from where it has stopped.
pub async fn run(shared: &Shared, job: &JobRow, asked: &mut Asked) -> Report {
    let mut run = match Run::begin(shared, job) {
        Ok(run) => run,
        Err(error) => return failed(&error),
    };
    let report = match run.steps(asked).await {
        Ok(report) => report,
        Err(error) => failed(&error),
    };
    // Where the job has stopped is part of its end.
    Report {
        workflowstate: Some(run.progress.to_text()),
        workflowstagename: Some(run.progress.stage()),
        ..report
    }
}

struct Run<'a> {
    shared: &'a Shared,
    job: &'a JobRow,
    progress: Progress,
}

impl<'a> Run<'a> {
    fn begin(shared: &'a Shared, job: &'a JobRow) -> Result<Self> {
        let store = &shared.service.store;
        let catalog = store.catalog();
        if let Some(progress) = job.text("workflowstate").and_then(Progress::read) {
            return Ok(Self { shared, job, progress });
        }
        let logic = job.guid("owningextensionid").and_then(|id| {
            let table = catalog.table_index("workflow")?;
            let column = catalog.tables()[table].column_index("clientdata")?;
            store.value(table, &id, column)
        });
        let Some(Value::Text(logic)) = logic else {
            let message = "the workflow of the job, or its logic, is not there any more";
            return Err(Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message));
        };
        Ok(Self { shared, job, progress: Progress::begin(&logic)? })
    }

    fn now(&self) -> i64 {
        self.shared.service.clock.now()
    }

    async fn steps(&mut self, asked: &mut Asked) -> Result<Report> {
        self.expect_record()?;
        if let Some(wait) = self.progress.wait.clone() {
            if let Some(until) = wait.until.filter(|until| self.now() < *until) {
                return Ok(Report::of(Outcome::Waits { until: Some(until) }));
            }
            self.end_of_wait(&wait).await?;
        }
        while let Some(step) = self.progress.current().cloned() {
            if let Some(told) = *asked.borrow() {
                return Ok(as_asked(told));
            }
            let (stage, started) = (self.progress.stage(), self.now());
            let report = match &step {
                Step::Wait(wait) => return self.wait(wait, started, &stage).await,
                Step::Webhook(webhook) => {
                    let endpoint = Endpoint::new(&webhook.url);
                    interruptible(asked, self.shared.post(self.job, &endpoint)).await
                }
                Step::Update(update) => match self.update(update, &stage, started).await {
                    Ok(()) => continue,
                    Err(error) => failed(&error),
                },
                Step::Fail(fail) => Report::failed(fail.errorcode, fail.message.clone()),
                Step::Stop(_) => Report::of(Outcome::Succeeded),
                Step::Simulate(simulation) => self.simulate(simulation, asked).await,
            };
            let succeeded = report.outcome == Outcome::Succeeded;
            match &step {
                _ if !succeeded => {}
                Step::Stop(_) => self.progress.stop(),
                _ => self.progress.advance(),
            }
            if succeeded || report.errorcode.is_some() || report.outcome == Outcome::Failed {
                let changes = self.done(&step, &stage, started, &report);
                self.shared.service.store.commit(changes).await?;
            }
            if !succeeded {
                return Ok(report);
            }
        }
        Ok(Report::of(Outcome::Succeeded))
    }

    /// A workflow on a record that is gone waits for a person, unless the deletion is
    /// what has started it.
    fn expect_record(&self) -> Result<()> {
        let store = &self.shared.service.store;
        let deleted = self.job.text("messagename") == Some(events::DELETE);
        let table = self.job.table("regardingobjecttypecode");
        let served = table.as_deref().and_then(|table| store.catalog().table_index(table));
        if let (Some(number), Some(id), false) =
            (served, self.job.guid("regardingobjectid"), deleted)
            && !store.contains(number, &id)
        {
            let name = &store.catalog().tables()[number].schema_name;
            let message = format!("{name} With Id = {} Does Not Exist", guid_text(&id));
            return Err(Error::invalid(codes::WORKFLOW_RECORD_MISSING, message));
        }
        Ok(())
    }

    /// Gives the job's place back until a time, or until something happens to its
    /// record. A wait for an event begins with the end of the attempt: one that is cut
    /// off before begins it again.
    async fn wait(&mut self, wait: &Wait, since: i64, stage: &str) -> Result<Report> {
        let (store, catalog) =
            (&self.shared.service.store, self.shared.service.store.catalog().clone());
        let until = match wait {
            Wait::Seconds(seconds) => Some(since.saturating_add((seconds.max(0.0) * 1e6) as i64)),
            Wait::Event(_) => {
                self.listen().await?;
                None
            }
        };
        let name = format!("{} {stage}", guid_text(&self.job.id));
        let log = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).into_bytes();
        let entry = Entry {
            id: log,
            stage,
            step: "wait",
            status: Status::Waiting,
            errorcode: None,
            message: None,
            started: since,
            now: since,
        };
        let row = entry.row(&catalog, self.job);
        let waiting = Waiting { until, since, log: guid_text(&log) };
        let changes = match until {
            Some(_) => {
                self.progress.wait = Some(waiting);
                self.with_place(row)
            }
            None => {
                let changes = self.with_place(row);
                self.progress.wait = Some(waiting);
                changes
            }
        };
        store.commit(changes).await?;
        Ok(Report::of(Outcome::Waits { until }))
    }

    /// From here on nothing that happens to the job's record is missed.
    async fn listen(&self) -> Result<()> {
        let service = &self.shared.service;
        if self.job.guid("regardingobjectid").is_none() {
            let message = "the step 'wait' waits for an event, and the job is about no record";
            return Err(Error::invalid(codes::INVALID_ARGUMENT, message));
        }
        if let Some(scheduler) = &service.scheduler {
            let attempt = self.job.int("sysjob_attempt").unwrap_or(1);
            scheduler.listen(self.job.id, attempt).await?;
            // Writes that began before this was known have ended.
            drop(service.store.turn().await);
        }
        Ok(())
    }

    async fn end_of_wait(&mut self, wait: &Waiting) -> Result<()> {
        let stage = self.progress.stage();
        self.progress.wait = None;
        self.progress.advance();
        let entry = Entry {
            id: parse_guid(&wait.log).unwrap_or_else(|| uuid::Uuid::new_v4().into_bytes()),
            stage: &stage,
            step: "wait",
            status: Status::Succeeded,
            errorcode: None,
            message: None,
            started: wait.since,
            now: self.now(),
        };
        let changes = self.with_place(entry.row(self.shared.service.store.catalog(), self.job));
        self.shared.service.store.commit(changes).await.map(|_| ())
    }

    /// Changes a record, and goes to the next step in the same commit.
    async fn update(&mut self, update: &Update, stage: &str, started: i64) -> Result<()> {
        let service = &self.shared.service;
        let catalog = service.store.catalog().clone();
        let own = self.job.table("regardingobjecttypecode");
        let name = update.table.as_ref().or(own.as_ref());
        let wrong = |message: String| Error::invalid(codes::INVALID_ARGUMENT, message);
        let name = name.ok_or_else(|| wrong("the step 'update' names no table".into()))?;
        let table = catalog.table_index(&name.to_lowercase());
        let table = table.ok_or_else(|| {
            Error::invalid(codes::UNKNOWN_ENTITY, format!("the table '{name}' does not exist"))
        })?;
        let id: Guid = match &update.id {
            Some(text) => {
                parse_guid(text).ok_or_else(|| wrong(format!("'{text}' is not a GUID")))?
            }
            None => self.job.guid("regardingobjectid").ok_or_else(|| {
                wrong("the step 'update' names no row, and the job is about none".into())
            })?,
        };
        let scheduler = service.scheduler.as_ref();
        let now = self.now();
        let mut transaction = Transaction::begin(&service.store, scheduler, self.job.caller(), now)
            .await
            .in_chain(self.job.chain(now));
        transaction.update(table, id, &update.attributes)?;
        let before = self.progress.clone();
        self.progress.advance();
        let report = Report::of(Outcome::Succeeded);
        for change in self.done(&Step::Update(update.clone()), stage, started, &report) {
            transaction.record(change);
        }
        transaction.commit().await.inspect_err(|_| self.progress = before)
    }

    async fn simulate(&self, simulation: &Simulation, asked: &mut Asked) -> Report {
        let attempt = self.job.int("sysjob_attempt").unwrap_or(1);
        let Some(report) = simulation.end(attempt) else {
            return as_asked(asked_for(asked).await);
        };
        let duration = Duration::from_secs_f64(simulation.duration_ms.clamp(0.0, 1e12) / 1000.0);
        let work = async {
            tokio::time::sleep(duration).await;
            report
        };
        interruptible(asked, work).await
    }

    /// What is written of a step that has ended.
    fn done(&self, step: &Step, stage: &str, started: i64, report: &Report) -> Vec<Change> {
        let succeeded = report.outcome == Outcome::Succeeded;
        let entry = Entry {
            id: uuid::Uuid::new_v4().into_bytes(),
            stage,
            step: step.name(),
            status: if succeeded { Status::Succeeded } else { Status::Failed },
            errorcode: report.errorcode,
            message: report.message.as_deref(),
            started,
            now: self.now(),
        };
        self.with_place(entry.row(self.shared.service.store.catalog(), self.job))
    }

    /// Changes with the place in the list. They fail when the job is gone.
    fn with_place(&self, row: Option<Change>) -> Vec<Change> {
        let columns = JobColumns::of(self.shared.service.store.catalog());
        let values = vec![
            (columns.workflowstate, Value::Text(self.progress.to_text())),
            (columns.workflowstagename, Value::Text(self.progress.stage())),
        ];
        let place = Change::Update { table: columns.table, id: self.job.id, values };
        row.into_iter().chain([place]).collect()
    }
}
