//! Random rows: jobs, the users who own them, and bulk delete operations that
//! belong to them. Values come from small pools, so that conditions meet them.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sysjob::catalog::{Catalog, Table};
use sysjob::store::{Change, Store};
use sysjob::value::{Guid, Value};

pub const TEXTS: [&str; 9] =
    ["alpha", "Alpha", "ÁLPHA  ", "beta", "b%ta", "[beta]", "gam_ma", "gamma", "100%"];

/// Seconds since 1970 of the first job.
const START: i64 = 1_777_600_000;

#[derive(Clone, Debug)]
pub struct Job {
    pub id: Guid,
    pub name: Option<String>,
    pub message: Option<String>,
    pub statecode: i64,
    pub operationtype: Option<i64>,
    pub retrycount: Option<i64>,
    pub span: Option<f64>,
    /// Microseconds since 1970; different for every job.
    pub createdon: i64,
    pub completedon: Option<i64>,
    /// The last user has no row.
    pub owner: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct User {
    pub id: Guid,
    pub fullname: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Child {
    pub id: Guid,
    /// The place of its job; nothing where it belongs to none.
    pub job: Option<usize>,
    pub failurecount: Option<i64>,
}

/// All rows; the user after the last one is pointed to and not there.
#[derive(Clone, Debug)]
pub struct World {
    pub jobs: Vec<Job>,
    pub users: Vec<User>,
    pub children: Vec<Child>,
}

pub fn user_id(n: usize) -> Guid {
    [0x20 + n as u8; 16]
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.8, prop::sample::select(&TEXTS[..]).prop_map(str::to_owned))
}

fn job() -> impl Strategy<Value = Job> {
    (
        (text(), text(), 0..4_i64),
        option::weighted(0.9, prop::sample::select(vec![1_i64, 10, 13, 31])),
        option::weighted(0.7, -2..5_i64),
        option::weighted(0.7, prop::sample::select(vec![0.5, 1.0, 2.25, -1.0])),
        (0..40_i64, option::weighted(0.5, 0..40_i64)),
        option::weighted(0.8, 0..4_usize),
    )
        .prop_map(
            |((name, message, statecode), operationtype, retrycount, span, times, owner)| Job {
                id: [0; 16],
                name,
                message,
                statecode,
                operationtype,
                retrycount,
                span,
                createdon: times.0,
                completedon: times.1.map(|hours| (START + hours * 3600) * 1_000_000),
                owner,
            },
        )
}

pub fn world() -> impl Strategy<Value = World> {
    let users = vec(text(), 3);
    let children =
        vec((option::weighted(0.9, 0..25_usize), option::weighted(0.8, 0..4_i64)), 0..20);
    (vec(job(), 1..25), users, children).prop_map(|(mut jobs, users, children)| {
        for (n, job) in jobs.iter_mut().enumerate() {
            job.id = [0x80 + n as u8; 16];
            job.createdon = (START + job.createdon * 3600 + n as i64) * 1_000_000;
        }
        let users = users.into_iter().enumerate();
        let count = jobs.len();
        let children = children.into_iter().enumerate();
        World {
            users: users.map(|(n, fullname)| User { id: user_id(n), fullname }).collect(),
            children: children
                .map(|(n, (job, failurecount))| Child {
                    id: [0x40 + n as u8; 16],
                    job: job.filter(|job| *job < count),
                    failurecount,
                })
                .collect(),
            jobs,
        }
    })
}

/// A store with these rows.
pub fn store(world: &World) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let catalog = store.catalog().clone();
    let mut changes = Vec::new();
    let mut insert = |name: &str, cells: Vec<(&str, Value)>| {
        let table = catalog.table_index(name).expect("built in");
        let facts: &Table = &catalog.tables()[table];
        let at = |column: &str| facts.column_index(column).expect("a column");
        let values = cells.into_iter().map(|(column, value)| (at(column), value)).collect();
        changes.push(Change::Insert { table, values });
    };
    let text = |v: &Option<String>| v.clone().map_or(Value::Null, Value::Text);
    let int = |v: Option<i64>| v.map_or(Value::Null, |v| Value::Int32(v as i32));
    for job in &world.jobs {
        insert(
            "asyncoperation",
            vec![
                ("asyncoperationid", Value::Guid(job.id)),
                ("name", text(&job.name)),
                ("message", text(&job.message)),
                ("statecode", int(Some(job.statecode))),
                ("operationtype", int(job.operationtype)),
                ("retrycount", int(job.retrycount)),
                ("executiontimespan", job.span.map_or(Value::Null, Value::Float64)),
                ("createdon", Value::Time(job.createdon)),
                ("completedon", job.completedon.map_or(Value::Null, Value::Time)),
                ("owninguser", job.owner.map_or(Value::Null, |n| Value::Guid(user_id(n)))),
            ],
        );
    }
    for user in &world.users {
        let cells =
            vec![("systemuserid", Value::Guid(user.id)), ("fullname", text(&user.fullname))];
        insert("systemuser", cells);
    }
    for child in &world.children {
        insert(
            "bulkdeleteoperation",
            vec![
                ("bulkdeleteoperationid", Value::Guid(child.id)),
                ("failurecount", int(child.failurecount)),
                (
                    "asyncoperationid",
                    child.job.map_or(Value::Null, |n| Value::Guid(world.jobs[n].id)),
                ),
            ],
        );
    }
    store.commit_blocking(changes).expect("durable");
    (folder, store)
}
