//! The store against a plain model: random commits, some at the same time and
//! some impossible, bulk appends to the journal and to chunk files, sealing, and
//! closing and reopening in between, with much memory and with hardly any. After each step the
//! store shows what the model says, also in answer to a question, and snapshots taken before
//! still show what they showed.

mod backup;
mod crash;
mod damage;
mod folder;
mod model;
mod questions;

use std::path::PathBuf;
use std::sync::Arc;

use futures::executor::block_on;
use futures::future::join_all;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use sysjob::catalog::{Catalog, entity_code};
use sysjob::job::LIFECYCLE_COLUMNS;
use sysjob::store::{Change, Snapshot, Store};
use sysjob::value::{Guid, Value};

use self::model::{Cells, Model, assert_same, batch, open};

/// Tables under test: jobs have lifecycle columns, accounts have none, but
/// decimals and dates.
const TABLES: [&str; 2] = ["asyncoperation", "account"];

/// Few keys, so that changes meet each other.
const KEYS: u32 = 12;

/// One change of a commit, before it is known which table it is for.
#[derive(Clone, Debug)]
enum Op {
    Insert { table: usize, key: u32, cells: Cells },
    InsertWithoutKey { table: usize, cells: Cells },
    Update { table: usize, key: u32, cells: Cells },
    Delete { table: usize, key: u32 },
}

#[derive(Clone, Debug)]
enum Step {
    /// Commits that reach the writer together.
    Commits(Vec<Vec<Op>>),
    /// A bulk append: keys in order, cells by turns; rows before `skip` are cut
    /// off, as by a caller that hands on a slice.
    Append { table: usize, keys: Vec<u32>, cells: Vec<Cells>, skip: usize },
    /// Keeps a snapshot until the end.
    Remember,
    /// Ends all jobs and seals whatever has rows.
    Seal,
    /// Writes worn and small chunks anew.
    Compact,
    /// With memory for sealed columns, or for none.
    Reopen(usize),
}

fn guid(key: u32) -> Guid {
    let mut id = [0xA5; 16];
    id[..4].copy_from_slice(&key.to_be_bytes());
    id
}

/// Names of columns of all types, by table.
fn column_names(table: usize) -> &'static [&'static str] {
    match table {
        0 => &[
            "name",
            "message",
            "statecode",
            "statuscode",
            "sequence",
            "createdon",
            "postponeuntil",
            "executiontimespan",
            "iswaitingforevent",
            "retainjobhistory",
            "regardingobjecttypecode",
            "regardingobjectid",
            "regardingobjectidname",
            "retrycount",
            "hostid",
            "operationtype",
            "datablobid",
            "owningextensionid",
            "owningextensionidname",
            "completedon",
        ],
        _ => &["name", "revenue", "exchangerate", "creditonhold", "overriddencreatedon"],
    }
}

fn value(name: &str) -> BoxedStrategy<Value> {
    match name {
        // Short texts stand in the views of a column, longer ones in its buffers.
        "name" | "message" | "hostid" | "regardingobjectidname" => {
            prop_oneof!["[a-zø]{0,6}", "[a-z 🦀]{13,40}"].prop_map(Value::Text).boxed()
        }
        "sequence" => any::<i64>().prop_map(Value::Int64).boxed(),
        "createdon" | "postponeuntil" => any::<i64>().prop_map(Value::Time).boxed(),
        "executiontimespan" => (-1e9..1e9).prop_map(Value::Float64).boxed(),
        "iswaitingforevent" | "retainjobhistory" | "creditonhold" => {
            any::<bool>().prop_map(Value::Boolean).boxed()
        }
        "regardingobjecttypecode" => {
            let names = prop::sample::select(vec!["account", "model_gadget", "model_gizmo"]);
            names.prop_map(|name| Value::Int32(entity_code(name))).boxed()
        }
        "regardingobjectid" | "datablobid" => any::<Guid>().prop_map(Value::Guid).boxed(),
        "owningextensionid" => (0..3u8).prop_map(|n| Value::Guid([n; 16])).boxed(),
        "owningextensionidname" => "[ab]".prop_map(Value::Text).boxed(),
        "completedon" => (0..7_200_000_000i64).prop_map(Value::Time).boxed(),
        "revenue" | "exchangerate" => {
            any::<i64>().prop_map(|v| Value::Decimal(i128::from(v) * 1_000)).boxed()
        }
        "overriddencreatedon" => any::<i32>().prop_map(Value::Date).boxed(),
        _ => (0..40).prop_map(Value::Int32).boxed(),
    }
}

/// Some cells of a table, nulls among them, without the primary key.
fn cells(table: usize, names: Vec<&'static str>) -> BoxedStrategy<Cells> {
    let catalog = Catalog::built_in();
    let facts = catalog.table(TABLES[table]).expect("built in").clone();
    let cell = prop::sample::select(names).prop_flat_map(move |name| {
        let column = facts.column_index(name).expect("a column of the table");
        let value = prop_oneof![1 => Just(Value::Null), 4 => value(name)];
        (Just(column), value)
    });
    vec(cell, 1..6).prop_map(|cells| cells.into_iter().collect()).boxed()
}

fn any_cells(table: usize) -> BoxedStrategy<Cells> {
    cells(table, column_names(table).to_vec())
}

fn op() -> impl Strategy<Value = Op> {
    let lifecycle: Vec<&str> =
        column_names(0).iter().copied().filter(|name| LIFECYCLE_COLUMNS.contains(name)).collect();
    let update = |table, cells: BoxedStrategy<Cells>| {
        (0..KEYS, cells).prop_map(move |(key, cells)| Op::Update { table, key, cells })
    };
    let insert = (0..2_usize)
        .prop_flat_map(|table| (Just(table), 0..KEYS, any_cells(table)))
        .prop_map(|(table, key, cells)| Op::Insert { table, key, cells });
    prop_oneof![
        80 => insert,
        40 => update(0, cells(0, lifecycle)),
        40 => update(0, any_cells(0)),
        30 => update(1, any_cells(1)),
        30 => (0..2_usize, 0..KEYS).prop_map(|(table, key)| Op::Delete { table, key }),
        1 => any_cells(0).prop_map(|cells| Op::InsertWithoutKey { table: 0, cells }),
    ]
}

fn append(rows: std::ops::Range<usize>) -> impl Strategy<Value = Step> {
    (0..2_usize, rows).prop_flat_map(|(table, rows)| {
        // Keys mostly rise; some repeat, some are those of single rows.
        let keys = btree_map(0..rows, 0..KEYS * 4, 0..8).prop_map(move |again| {
            (0..rows).map(|row| again.get(&row).copied().unwrap_or(row as u32)).collect()
        });
        (Just(table), keys, vec(any_cells(table), 1..5), 0..5_usize)
            .prop_map(|(table, keys, cells, skip)| Step::Append { table, keys, cells, skip })
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => vec(vec(op(), 1..5), 1..12).prop_map(Step::Commits),
        2 => append(6..20),
        1 => append(1_030..1_100),
        2 => Just(Step::Remember),
        2 => Just(Step::Seal),
        2 => Just(Step::Compact),
        2 => prop::sample::select(vec![0, 1 << 30]).prop_map(Step::Reopen),
    ]
}

/// The store, the model, and the snapshots kept with what they showed.
struct Run {
    /// Goes away with this, if it was made for it.
    _temporary: Option<tempfile::TempDir>,
    folder: PathBuf,
    store: Option<Store>,
    catalog: Arc<Catalog>,
    tables: Vec<usize>,
    model: Model,
    kept: Vec<(Arc<Snapshot>, Model)>,
}

impl Run {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let run = Self::at(temporary.path().to_owned());
        Self { _temporary: Some(temporary), ..run }
    }

    fn at(folder: PathBuf) -> Self {
        let store = open(&folder);
        let catalog = store.catalog().clone();
        let tables =
            TABLES.iter().map(|name| catalog.table_index(name).expect("built in")).collect();
        let (model, kept) = (Model::default(), Vec::new());
        Self { _temporary: None, folder, store: Some(store), catalog, tables, model, kept }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open between steps")
    }

    fn with_key(&self, table: usize, key: u32, mut cells: Cells) -> Cells {
        let column = self.catalog.tables()[self.tables[table]].primary_id_index();
        cells.insert(column, Value::Guid(guid(key)));
        cells
    }

    fn change(&self, op: Op) -> Change {
        match op {
            Op::Insert { table, key, cells } => Change::Insert {
                table: self.tables[table],
                values: self.with_key(table, key, cells).into_iter().collect(),
            },
            Op::InsertWithoutKey { table, cells } => {
                Change::Insert { table: self.tables[table], values: cells.into_iter().collect() }
            }
            Op::Update { table, key, cells } => Change::Update {
                table: self.tables[table],
                id: guid(key),
                values: cells.into_iter().collect(),
            },
            Op::Delete { table, key } => {
                Change::Delete { table: self.tables[table], id: guid(key) }
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Commits(commits) => {
                let commits: Vec<Vec<Change>> = commits
                    .into_iter()
                    .map(|ops| ops.into_iter().map(|op| self.change(op)).collect())
                    .collect();
                let store = self.store();
                // Polled in this order, they reach the queue in this order.
                let answers =
                    block_on(join_all(commits.iter().map(|changes| store.commit(changes.clone()))));
                for (changes, answer) in commits.iter().zip(answers) {
                    let expected = self.model.commit(&self.catalog, changes);
                    assert_eq!(answer.map_err(|e| e.kind), expected, "{changes:?}");
                }
            }
            Step::Append { table, keys, cells, skip } => {
                let rows: Vec<Cells> = keys
                    .iter()
                    .zip(cells.iter().cycle())
                    .map(|(key, cells)| self.with_key(table, *key, cells.clone()))
                    .collect();
                let index = self.tables[table];
                let whole = batch(&self.catalog.tables()[index], &rows);
                let part = whole.slice(skip, rows.len() - skip);
                let answer = self.store().append(index, &part).expect("the append goes through");
                let expected = self.model.append(&self.catalog, index, &rows[skip..]);
                assert_eq!(answer, expected, "an append of {} rows", rows.len() - skip);
            }
            Step::Remember => self.kept.push((self.store().snapshot(), self.model.clone())),
            Step::Seal => {
                let jobs = self.tables[0];
                let state = self.catalog.tables()[jobs].column_index("statecode");
                let ended = vec![(state.expect("a column of jobs"), Value::Int32(3))];
                let rows = self.model.tables.get(&jobs);
                let changes: Vec<Change> = rows
                    .into_iter()
                    .flat_map(|rows| rows.keys())
                    .map(|id| Change::Update { table: jobs, id: *id, values: ended.clone() })
                    .collect();
                let answer = self.store().commit_blocking(changes.clone());
                answer.expect("the commit goes through");
                self.model.commit(&self.catalog, &changes).expect("the rows are there");
                self.store().seal().expect("the chunks are sealed");
                let snapshot = self.store().snapshot();
                for table in &self.tables {
                    let chunks = snapshot.table(*table).chunks();
                    let open = chunks.iter().find(|c| c.file().is_none() && c.live() > 0);
                    assert!(open.is_none(), "a chunk is not sealed");
                }
            }
            Step::Compact => _ = self.store().compact().expect("the chunks are written"),
            Step::Reopen(memory) => {
                self.store = None;
                let store = Store::open_within(&self.folder, self.catalog.clone(), memory);
                self.store = Some(store.expect("the folder opens"));
            }
        }
    }

    fn ask(&self, question: &questions::Question, when: &str) {
        let (jobs, none) = (self.tables[0], model::Rows::new());
        let rows = self.model.tables.get(&jobs).unwrap_or(&none);
        let asked = questions::Asked { table: &self.catalog.tables()[jobs], rows };
        questions::check(question, &asked, &self.store().snapshot(), when);
    }

    fn check(&self, when: &str) {
        assert_same(&self.store().snapshot(), &self.model, when);
        for (place, table) in self.tables.iter().enumerate() {
            for key in 0..KEYS {
                let expected =
                    self.model.tables.get(table).is_some_and(|rows| rows.contains_key(&guid(key)));
                let shown = self.store().contains(*table, &guid(key));
                assert_eq!(shown, expected, "{when}: key {key} of {}", TABLES[place]);
                let found = self.store().table(*table).find(&guid(key)).expect("readable");
                assert_eq!(found.is_some(), expected, "{when}: key {key} of {}", TABLES[place]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_store_does_what_the_model_does(
        steps in vec((step(), prop::option::weighted(0.4, questions::question())), 1..14),
        last in questions::question(),
    ) {
        let mut run = Run::new();
        let steps = steps.into_iter().chain([(Step::Reopen(1 << 30), Some(last))]);
        for (number, (step, question)) in steps.enumerate() {
            run.take(step);
            let when = format!("after step {number}");
            run.check(&when);
            question.iter().for_each(|question| run.ask(question, &when));
        }
        for (snapshot, model) in &run.kept {
            assert_same(snapshot, model, "a snapshot taken before");
        }
    }
}

/// More rows than a chunk takes, one by one and in bulk: open chunks fill up and
/// are merged, an append is cut into several files, and a key that stands in
/// two parts of it is one row.
#[test]
fn tables_of_several_full_chunks_keep_every_row() {
    let mut run = Run::new();
    let (jobs, accounts) = (run.tables[0], run.tables[1]);
    let column = |table: usize, name: &str| {
        run.catalog.tables()[table].column_index(name).expect("a column of the table")
    };
    let (sequence, retries) = (column(jobs, "sequence"), column(jobs, "retrycount"));
    let name = column(accounts, "name");

    let commit_rows = 4_000;
    for first in (0..68_000).step_by(commit_rows) {
        let mut changes: Vec<Change> = (first..first + commit_rows as u32)
            .map(|key| {
                let cells = Cells::from([(sequence, Value::Int64(i64::from(key)))]);
                let values = run.with_key(0, key, cells).into_iter().collect();
                Change::Insert { table: jobs, values }
            })
            .collect();
        // One row of each earlier commit changes and one goes.
        for key in (0..first).step_by(commit_rows) {
            let values = vec![(retries, Value::Int32(first as i32))];
            changes.push(Change::Update { table: jobs, id: guid(key + 1), values });
            if key + commit_rows as u32 == first {
                changes.push(Change::Delete { table: jobs, id: guid(key) });
            }
        }
        let answer = run.store().commit_blocking(changes.clone()).expect("the commit goes through");
        let catalog = run.catalog.clone();
        assert_eq!(Ok(answer), run.model.commit(&catalog, &changes));
        if first == 32_000 {
            run.take(Step::Remember);
        }
    }
    run.take(Step::Compact);
    let chunks = run.store().snapshot().table(jobs).chunks().len();
    assert!(chunks < 17, "small chunks are merged: {chunks}");

    let mut keys: Vec<u32> = (0..66_000).collect();
    keys[65_900] = 5;
    let cells = vec![
        Cells::from([(name, Value::Text("first".into()))]),
        Cells::from([(name, Value::Text("the second of three names".into()))]),
        Cells::new(),
    ];
    run.take(Step::Append { table: 1, keys, cells, skip: 0 });
    run.check("before sealing");
    run.take(Step::Seal);
    run.check("before the reopen");
    run.take(Step::Reopen(1 << 30));
    run.check("after the reopen");
    for (snapshot, model) in &run.kept {
        assert_same(snapshot, model, "a snapshot taken before");
    }
}
