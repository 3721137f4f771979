//! The tables.

use std::sync::Arc;

use crate::catalog::{Catalog, entity_code};
use crate::diagnose::{Finding, Local, Source, findings};
use crate::engine::Engine;
use crate::error::Result;
use crate::store::{Change, Store};
use crate::value::{Guid, Value, parse_time};

/// When the tables are judged.
pub const NOW: &str = "2026-05-10T12:00:00";

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// A table with one trouble, and one that nearly has it.
pub struct Sample {
    pub id: &'static str,
    pub trouble: fn(&mut World),
    pub nearly: fn(&mut World),
}

/// Rows to be.
#[derive(Default)]
pub struct World {
    rows: Vec<(&'static str, Vec<(&'static str, Value)>)>,
    jobs: u64,
}

fn id(kind: u8, number: u64) -> Guid {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// The workflow of some jobs.
fn workflow() -> Vec<(&'static str, Value)> {
    vec![
        ("owningextensionid", Value::Guid(id(7, 1))),
        ("owningextensiontypecode", Value::Int32(entity_code("workflow"))),
        ("operationtype", Value::Int32(10)),
        ("name", text("Renew <contracts>")),
    ]
}

/// So many seconds before the time of judgement.
fn ago(seconds: i64) -> Value {
    Value::Time(parse_time(&format!("{NOW}Z")).expect("a time") - seconds * 1_000_000)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

impl World {
    fn row(&mut self, table: &'static str, cells: Vec<(&'static str, Value)>) {
        self.rows.push((table, cells));
    }

    /// A job that came so many seconds ago.
    fn job(&mut self, statuscode: i32, came: i64, more: Vec<(&'static str, Value)>) {
        self.jobs += 1;
        let defaults = [
            ("asyncoperationid", Value::Guid(id(1, self.jobs))),
            ("name", text("Sync")),
            ("operationtype", Value::Int32(54)),
            ("statecode", Value::Int32(statuscode / 10)),
            ("statuscode", Value::Int32(statuscode)),
            ("createdon", ago(came)),
            ("modifiedon", ago(came)),
            ("sequence", Value::Int64(i64::try_from(self.jobs).expect("few"))),
            ("retrycount", Value::Int32(0)),
            ("depth", Value::Int32(1)),
        ];
        let given = |name: &str| more.iter().any(|(given, _)| *given == name);
        let mut cells: Vec<(&'static str, Value)> =
            defaults.into_iter().filter(|(name, _)| !given(name)).collect();
        cells.extend(more);
        self.row("asyncoperation", cells);
    }

    /// Jobs that ended a second ago.
    fn ended(&mut self, number: usize, statuscode: i32, more: &[(&'static str, Value)]) {
        for _ in 0..number {
            let mut cells = vec![
                ("startedon", ago(2)),
                ("completedon", ago(1)),
                ("executiontimespan", Value::Float64(60.0)),
            ];
            cells.extend(more.iter().cloned());
            self.job(statuscode, 5, cells);
        }
    }

    fn ready(&mut self, number: usize, came: i64, more: &[(&'static str, Value)]) {
        for _ in 0..number {
            self.job(0, came, more.to_vec());
        }
    }

    fn running(&mut self, since: i64, more: &[(&'static str, Value)]) {
        let mut cells = vec![("startedon", ago(since))];
        cells.extend(more.iter().cloned());
        self.job(20, since, cells);
    }

    /// Asks something of a store with these rows.
    pub fn ask<T>(&self, question: impl FnOnce(&dyn Source) -> T) -> T {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = Arc::new(Catalog::built_in());
        let store = Store::open(folder.path(), catalog.clone()).expect("the folder opens");
        let changes = self.rows.iter().map(|(name, cells)| {
            let table = catalog.table_index(name).expect("a table");
            let facts = &catalog.tables()[table];
            let cell = |(column, value): &(&str, Value)| {
                (facts.column_index(column).expect(column), value.clone())
            };
            Change::Insert { table, values: cells.iter().map(cell).collect() }
        });
        let changes: Vec<Change> = changes.collect();
        if !changes.is_empty() {
            store.commit_blocking(changes).expect("durable");
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (engine, snapshot) = (Engine::new(), store.snapshot());
        question(&Local { engine: &engine, snapshot, runtime: runtime.handle().clone() })
    }

    /// What is wrong with it.
    pub fn findings(&self) -> Vec<Finding> {
        let found: Result<Vec<Finding>> = self.ask(|source| findings(source, Some(NOW)));
        found.expect("every question is answered")
    }
}

/// A table in which things are as they should be, with a little of everything.
pub fn healthy(world: &mut World) {
    world.row("workflow", vec![("workflowid", Value::Guid(id(7, 1))), ("name", text("Renew"))]);
    world.ended(200, 30, &workflow());
    world.ended(3, 31, &[("errorcode", Value::Int32(-7))]);
    world.ended(100, 30, &[]);
    world.ready(20, 30, &workflow());
    world.running(10, &[]);
    let token = ("dependencytoken", text("T"));
    world.job(10, HOUR, vec![token.clone(), ("postponeuntil", ago(-5 * MINUTE))]);
    world.ready(3, 60, &[token]);
    let waits = [("iswaitingforevent", Value::Boolean(true))];
    world.job(10, 20 * DAY, [workflow(), waits.to_vec()].concat());
    let recurring = ("recurrencepattern", text("FREQ=DAILY;"));
    world.job(10, 9 * DAY, vec![recurring, ("postponeuntil", ago(-HOUR))]);
    world.job(30, 20 * DAY, vec![("completedon", ago(20 * DAY))]);
    let retry = [("retrycount", Value::Int32(1)), ("postponeuntil", ago(-MINUTE))];
    world.job(10, MINUTE, retry.to_vec());
}

/// A loop that was stopped.
pub fn loop_stopped(world: &mut World) {
    let stopped = [
        ("depth", Value::Int32(9)),
        ("errorcode", Value::Int32(0x8004_4182_u32 as i32)),
        ("completedon", ago(HOUR)),
    ];
    world.job(31, HOUR, [workflow(), stopped.to_vec()].concat());
}

fn deep(world: &mut World, depth: i32) {
    let cells = vec![("depth", Value::Int32(depth)), ("completedon", ago(HOUR))];
    world.job(30, HOUR, [workflow(), cells].concat());
}

fn plug_in_runs(world: &mut World, seconds: i64) {
    world.running(seconds, &[("operationtype", Value::Int32(1))]);
}

fn runs_beside_others(world: &mut World, seconds: i64) {
    world.ended(20, 30, &[]);
    world.running(seconds, &[]);
}

fn full_pool(world: &mut World, waiting: usize) {
    world.running(MINUTE, &[]);
    world.ready(waiting, 6 * MINUTE, &[]);
}

fn calls(world: &mut World, millis: i32) {
    for n in 0..10 {
        let cells = vec![
            ("plugintracelogid", Value::Guid(id(3, n))),
            ("typename", text("Post to ERP")),
            ("pluginstepid", Value::Guid(id(4, 1))),
            ("performanceexecutionduration", Value::Int32(millis)),
            ("createdon", ago(HOUR)),
        ];
        world.row("plugintracelog", cells);
    }
}

fn time_outs(world: &mut World, number: usize) {
    for _ in 0..number {
        let cells = vec![
            ("errorcode", Value::Int32(0x8005_0202_u32 as i32)),
            ("retrycount", Value::Int32(1)),
            ("postponeuntil", ago(-MINUTE)),
        ];
        world.job(10, 10 * MINUTE, cells);
    }
}

fn failed_of_type(world: &mut World, failed: usize) {
    world.ended(20 - failed, 30, &[]);
    world.ended(failed, 31, &[]);
}

fn failed_of_workflow(world: &mut World, failed: usize) {
    world.ended(190, 30, &workflow());
    let code = [("errorcode", Value::Int32(-7)), ("friendlymessage", text("No such account"))];
    world.ended(failed, 31, &[workflow(), code.to_vec()].concat());
}

fn retrying(world: &mut World, number: usize) {
    for _ in 0..number {
        let cells = vec![("retrycount", Value::Int32(2)), ("postponeuntil", ago(-MINUTE))];
        world.job(10, HOUR, cells);
    }
}

fn chain(world: &mut World, head: Vec<(&'static str, Value)>) {
    let token = ("dependencytoken", text("account 7"));
    world.job(10, HOUR, [vec![token.clone()], head].concat());
    world.ready(1, MINUTE, &[token]);
}

fn old(world: &mut World, number: usize) {
    for _ in 0..number {
        world.job(30, 40 * DAY, vec![("completedon", ago(40 * DAY))]);
    }
}

fn stored(world: &mut World, bytes: i64) {
    let file = Value::Guid(id(9, 1));
    world.ended(1, 30, &[("datablobid", file.clone())]);
    let cells = vec![
        ("fileattachmentid", file),
        ("objectidtypecode", Value::Int32(4700)),
        ("filesizeinbytes", Value::Int64(bytes)),
    ];
    world.row("fileattachment", cells);
}

fn recurring(world: &mut World, late: i64) {
    let pattern = ("recurrencepattern", text("FREQ=DAILY;"));
    world.job(10, DAY, vec![pattern, ("postponeuntil", ago(late))]);
}

fn deletion(world: &mut World, failed: i32) {
    let operation = Value::Guid(id(6, 1));
    let cells = vec![
        ("bulkdeleteoperationid", operation.clone()),
        ("name", text("Old accounts")),
        ("statuscode", Value::Int32(30)),
        ("successcount", Value::Int32(5)),
        ("failurecount", Value::Int32(failed)),
        ("createdon", ago(DAY)),
        ("modifiedon", ago(DAY)),
    ];
    world.row("bulkdeleteoperation", cells);
    if failed > 0 {
        let cells = vec![
            ("bulkdeletefailureid", Value::Guid(id(8, 1))),
            ("bulkdeleteoperationid", operation),
            ("errornumber", Value::Int32(-7)),
            ("errordescription", text("a rule protects it")),
        ];
        world.row("bulkdeletefailure", cells);
    }
}

/// A hundred jobs that wait, some of them one after another, and twenty like them that
/// have taken a minute each.
pub fn queue(world: &mut World, chained: usize) {
    world.ended(20, 30, &[]);
    world.ready(100 - chained, 2 * HOUR, &[]);
    world.ready(chained, 2 * HOUR, &[("dependencytoken", text("T"))]);
}

/// One job that waits.
pub fn waiting(world: &mut World) {
    world.ready(1, MINUTE, &[]);
}

/// One or more for each rule.
pub const SAMPLES: &[Sample] = &[
    Sample {
        id: "backlog-not-draining",
        trouble: |world| world.ready(100, 10 * MINUTE, &[]),
        nearly: |world| world.ready(99, 10 * MINUTE, &[]),
    },
    Sample {
        id: "oldest-claimable",
        trouble: |world| world.ready(1, 15 * MINUTE, &[]),
        nearly: |world| world.ready(1, 15 * MINUTE - 1, &[]),
    },
    Sample {
        id: "pool-saturated",
        trouble: |world| full_pool(world, 10),
        nearly: |world| full_pool(world, 9),
    },
    Sample {
        id: "runaway-definition",
        trouble: |world| world.ready(100, 4 * MINUTE, &workflow()),
        nearly: |world| world.ready(99, 4 * MINUTE, &workflow()),
    },
    Sample { id: "loop", trouble: |world| deep(world, 7), nearly: |world| deep(world, 6) },
    Sample { id: "loop", trouble: loop_stopped, nearly: |world| deep(world, 1) },
    Sample {
        id: "stuck-in-progress",
        trouble: |world| plug_in_runs(world, 5 * MINUTE),
        nearly: |world| plug_in_runs(world, 5 * MINUTE - 1),
    },
    Sample {
        id: "stuck-in-progress",
        trouble: |world| runs_beside_others(world, 10 * MINUTE + 1),
        nearly: |world| runs_beside_others(world, 10 * MINUTE),
    },
    Sample {
        id: "stuck-in-progress",
        trouble: |world| world.running(6 * HOUR, &[]),
        nearly: |world| world.running(6 * HOUR - 1, &[]),
    },
    Sample {
        id: "slow-external",
        trouble: |world| calls(world, 10_000),
        nearly: |world| calls(world, 9_999),
    },
    Sample {
        id: "slow-external",
        trouble: |world| time_outs(world, 10),
        nearly: |world| time_outs(world, 9),
    },
    Sample {
        id: "failure-rate",
        trouble: |world| failed_of_type(world, 2),
        nearly: |world| failed_of_type(world, 1),
    },
    Sample {
        id: "failure-group",
        trouble: |world| failed_of_workflow(world, 10),
        nearly: |world| failed_of_workflow(world, 9),
    },
    Sample {
        id: "retry-storm",
        trouble: |world| retrying(world, 25),
        nearly: |world| retrying(world, 24),
    },
    Sample {
        id: "blocked-token",
        trouble: |world| chain(world, Vec::new()),
        nearly: |world| chain(world, vec![("postponeuntil", ago(-10 * MINUTE))]),
    },
    Sample {
        id: "suspended-forever",
        trouble: |world| world.job(10, 25 * HOUR, Vec::new()),
        nearly: |world| world.job(10, 23 * HOUR, Vec::new()),
    },
    Sample {
        id: "cleanup-overdue",
        trouble: |world| old(world, 100),
        nearly: |world| old(world, 99),
    },
    Sample {
        id: "storage-heavy",
        trouble: |world| stored(world, 1 << 30),
        nearly: |world| stored(world, (1 << 30) - 1),
    },
    Sample {
        id: "recurrence-late",
        trouble: |world| recurring(world, 15 * MINUTE),
        nearly: |world| recurring(world, 15 * MINUTE - 1),
    },
    Sample {
        id: "bulk-delete-failing",
        trouble: |world| deletion(world, 1),
        nearly: |world| deletion(world, 0),
    },
];
