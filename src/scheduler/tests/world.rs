//! A core, the rows of its jobs in memory, and a time that stands until it is set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::job::{JobColumns, Status};
use crate::scheduler::core::{
    Beat, Change as CoreChange, Core, Effect, Event, Guard, Job, JobChange, Step, Told,
};
use crate::scheduler::rows::{Cells, Rows, job};
use crate::scheduler::{NewJob, Policies};
use crate::store::{Change, Snapshot};
use crate::value::{Guid, Value, guid_text, time_text};

pub const SECOND: i64 = 1_000_000;

/// 2026-01-05T12:00:00Z, a Monday.
pub const START: i64 = 1_767_614_400 * SECOND;

/// Columns whose change every line shows, or that are sysjob's own.
const IMPLIED: [&str; 7] = [
    "statecode",
    "statuscode",
    "modifiedon",
    "sysjob_attempt",
    "sysjob_handler",
    "sysjob_leaseuntil",
    "sysjob_waitcause",
];

pub struct World {
    pub catalog: Arc<Catalog>,
    pub policies: Policies,
    pub core: Core,
    pub rows: Rows,
    pub table: BTreeMap<Guid, BTreeMap<usize, Value>>,
    pub names: BTreeMap<Guid, String>,
    pub now: i64,
    pub out: Vec<String>,
    /// What the scripts have shown, for [`super::coverage`].
    pub shown: BTreeSet<String>,
}

impl World {
    pub fn new() -> Self {
        let catalog = Arc::new(Catalog::built_in());
        let snapshot = Arc::new(Snapshot::empty(catalog.clone()));
        let mut rows = Rows::new(&snapshot, &catalog);
        rows.host = "host".into();
        Self {
            policies: Policies::default(),
            core: Core::new(Policies::default()),
            rows,
            catalog,
            table: BTreeMap::new(),
            names: BTreeMap::new(),
            now: START,
            out: Vec::new(),
            shown: BTreeSet::new(),
        }
    }

    pub fn columns(&self) -> JobColumns {
        *self.rows.columns()
    }

    /// The id of something with a name: the name's letters.
    pub fn id(&mut self, name: &str) -> Guid {
        let mut id = [0; 16];
        for (byte, letter) in id.iter_mut().zip(name.bytes()) {
            *byte = letter;
        }
        self.names.insert(id, name.to_owned());
        id
    }

    /// A text with names in the place of ids.
    fn named(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (id, name)| text.replace(&guid_text(id), name))
    }

    /// A time, without the date on the first day.
    pub fn time(at: i64) -> String {
        let text = time_text(at);
        text.strip_prefix("2026-01-05T").map_or(text.clone(), str::to_owned).replace('Z', "")
    }

    pub fn value(&self, value: &Value) -> String {
        match value {
            Value::Null => "nothing".into(),
            Value::Boolean(value) => value.to_string(),
            Value::Int32(value) if *value < -1_000_000 => format!("0x{value:08X}"),
            Value::Int32(value) => value.to_string(),
            Value::Int64(value) => value.to_string(),
            Value::Float64(value) => value.to_string(),
            Value::Decimal(value) => value.to_string(),
            Value::Guid(id) => self.named(&guid_text(id)),
            Value::Text(text) => format!("\"{}\"", self.named(text)),
            Value::Time(at) => Self::time(*at),
            Value::Date(days) => days.to_string(),
        }
    }

    pub fn say(&mut self, line: impl Into<String>) {
        self.out.push(line.into());
    }

    pub fn job(&self, id: &Guid) -> Option<Job> {
        let row = || {
            let row = self.table.get(id)?;
            Some(job(|column| row.get(&column).cloned().unwrap_or(Value::Null), &self.columns()))
        };
        self.core.job(id).cloned().or_else(row)
    }

    pub fn create(&mut self, cells: NewJob) -> Result<(Job, Cells), crate::error::Error> {
        let (cells, job) = self.rows.create(cells, self.now)?;
        self.table.insert(job.id, cells.iter().cloned().collect());
        Ok((job, cells))
    }

    /// One event, and what it does.
    pub fn step(&mut self, event: Event) -> Step {
        let step = self.core.step(event, self.now);
        for change in &step.changes {
            let mut written = Vec::new();
            self.rows.write(change, &mut written);
            match change {
                CoreChange::Job(change) => self.job_changes(change, written),
                CoreChange::Lease { id, until } => {
                    self.update(*id, &written);
                    self.say(format!("  {} lease until {}", self.names[id], Self::time(*until)));
                }
                CoreChange::Definition(state) => {
                    let name = self.names[&state.id].clone();
                    let mut text = format!("  {name}: {} failures", state.failures);
                    if let Some((_, until)) = state.postponed {
                        text.push_str(&format!(", its jobs postponed until {}", Self::time(until)));
                    }
                    match state.guard {
                        Guard::Quiet => {}
                        Guard::Reported => text.push_str(", raises jobs faster than they end"),
                        Guard::Suspended => text.push_str(", its jobs held for their rate"),
                    }
                    text.push_str(if state.deleted { ", deleted" } else { "" });
                    self.say(text);
                }
            }
        }
        for effect in &step.effects {
            let line = match effect {
                Effect::Start { id, attempt, .. } => {
                    format!("  start attempt {attempt} of {}", self.names[id])
                }
                Effect::Tell { id, attempt, told } => {
                    let what = if *told == Told::Pause { "pause" } else { "cancel" };
                    format!("  tell attempt {attempt} of {} to {what}", self.names[id])
                }
                Effect::Abandon { id, attempt } => {
                    format!("  abandon attempt {attempt} of {}", self.names[id])
                }
            };
            self.say(line);
        }
        for claimed in &step.claimed {
            let name = self.names[&claimed.id].clone();
            self.say(format!("  claimed: attempt {} of {name}", claimed.attempt));
        }
        if let Some(beat) = step.beat {
            self.say(match beat {
                Beat::Continue => "  go on",
                Beat::Told(Told::Pause) => "  pause",
                Beat::Told(Told::Cancel) => "  cancel",
                Beat::Lost => "  lost",
            });
        }
        if let Some(refusal) = step.refused {
            self.say(format!("  refused with 0x{:08X}: {refusal}", refusal.code));
        }
        if step.late {
            self.say("  refused: no longer the current attempt");
        }
        step
    }

    /// A line of the history, and the columns that change with it.
    fn job_changes(&mut self, change: &JobChange, written: Vec<Change>) {
        let code = |status: Option<Status>| {
            status.map(|status| format!("{}/{}", status.statecode(), status.statuscode()))
        };
        let (from, to) = (code(change.from), code(change.to));
        let step =
            format!("{} -> {}", from.as_deref().unwrap_or("new"), to.as_deref().unwrap_or("gone"));
        self.shown.insert(format!("history {step}"));
        let Some(Change::Append { values, .. }) = written.first() else { panic!("a line") };
        self.history(&step, values);
        let changed = self.update(change.id, &written[1..]);
        for (column, _) in &changed {
            self.shown.insert(format!("{column} at {step}"));
        }
        if !changed.is_empty() {
            let cells: Vec<String> =
                changed.into_iter().map(|(column, value)| format!("{column}={value}")).collect();
            self.say(format!("      {}", cells.join(" ")));
        }
        if change.to.is_none() {
            self.table.remove(&change.id);
        }
    }

    /// A row of `jobhistory` as it is stored.
    fn history(&mut self, step: &str, values: &[(usize, Value)]) {
        let facts = self.catalog.table("jobhistory").expect("a table").clone();
        let cell = |name: &str| {
            let column = facts.column_index(name).expect("a column");
            let value = values.iter().find(|(at, _)| *at == column).map(|(_, value)| value);
            value.map(|value| self.value(value).trim_matches('"').to_owned())
        };
        let known = |name: &str| cell(name).unwrap_or_default();
        let (job, actor, reason) = (known("asyncoperationid"), known("actor"), known("reason"));
        let mut line = format!("  {} {job} {step}, {actor}: {reason}", known("createdon"));
        if let Some(attempt) = cell("attempt") {
            line.push_str(&format!("; attempt {attempt}"));
        }
        if let Some(millis) = cell("durationms").filter(|millis| millis != "0") {
            line.push_str(&format!("; after {millis} ms"));
        }
        self.say(line);
    }

    /// Changes the row of a job; the columns that differ, sorted by name.
    fn update(&mut self, id: Guid, changes: &[Change]) -> Vec<(String, String)> {
        let table = self.columns().table;
        let mut differ = Vec::new();
        for change in changes {
            let Change::Update { table: changed, values, .. } = change else { continue };
            assert_eq!(*changed, table);
            for (column, value) in values {
                let row = self.table.get_mut(&id).expect("a row");
                let before = row.insert(*column, value.clone()).unwrap_or(Value::Null);
                let name = self.catalog.tables()[table].columns[*column].logical_name.clone();
                if before != *value && !IMPLIED.contains(&name.as_str()) {
                    differ.push((name, self.value(value)));
                }
            }
        }
        differ.sort();
        differ
    }

    /// Time goes on to a point, and everything that time does happens in between.
    pub fn pass(&mut self, until: i64) {
        loop {
            let next = self.core.next_wake().filter(|at| *at <= until).map(|at| at.max(self.now));
            self.now = next.unwrap_or(until);
            self.step(Event::Tick);
            if next.is_none() {
                return;
            }
        }
    }

    /// The service starts over its rows.
    pub fn restart(&mut self) {
        let definitions: Vec<_> =
            self.names.keys().filter_map(|id| self.core.definition(id)).collect();
        self.core = Core::new(self.policies.clone());
        for state in definitions {
            self.step(Event::Remembered(state));
        }
        let ids: Vec<Guid> = self.table.keys().copied().collect();
        let mut jobs: Vec<Job> = ids.iter().filter_map(|id| self.job(id)).collect();
        jobs.retain(|job| job.status.statecode() != Status::Succeeded.statecode());
        jobs.sort_by_key(Job::place);
        for job in jobs {
            self.step(Event::Recovered(job));
        }
    }
}
