//! Scans that leave chunks out, look primary keys up or stop early give the rows
//! of a scan that reads everything: random rows in many chunks, with changes and
//! deletions, and random conditions and orders.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value as Json;
use sysjob::ask;
use sysjob::catalog::{Catalog, Table};
use sysjob::dialect::Dialect;
use sysjob::engine::Engine;
use sysjob::query::Context;
use sysjob::store::{Change, Snapshot, Store};
use sysjob::value::{Guid, Value, guid_text};

use crate::support;

/// More than what a store writes row by row, so that each part is a chunk.
const CHUNK: usize = 1_100;
const CHUNKS: usize = 5;
const HOUR: i64 = 3_600_000_000;
const START: i64 = 490_000 * HOUR;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }
}

fn id(n: usize) -> Guid {
    let mut id = [0x5A; 16];
    id[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id
}

fn batch(table: &Table, rows: usize, columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let schema = table.schema();
    let column = |field: &Arc<datafusion::arrow::datatypes::Field>| {
        let given = columns.iter().find(|(name, _)| name == field.name());
        given.map_or_else(|| new_null_array(field.data_type(), rows), |(_, array)| array.clone())
    };
    let arrays = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(schema.clone(), arrays).expect("the columns fit")
}

fn guids(ids: impl Iterator<Item = Option<Guid>>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 16).expect("16 bytes"))
}

/// Chunks follow each other in time, roughly; some columns are null in some.
fn fill(store: &Store) {
    let catalog = store.catalog().clone();
    let index = |name: &str| catalog.table_index(name).expect("built in");
    let (jobs, deletions) = (index("asyncoperation"), index("bulkdeleteoperation"));
    let mut random = Random(7);
    for part in 0..CHUNKS {
        let first = part * CHUNK;
        let mut some = |share: u64, below: u64| -> Vec<Option<i64>> {
            let value = |_| (random.below(100) < share).then(|| random.below(below) as i64);
            (0..CHUNK).map(value).collect()
        };
        let (state, retries) = (some(100, 4), some(if part == 2 { 0 } else { 70 }, 6));
        let (late, done, span) = (some(100, 90), some(20 * part as u64, 300), some(60, 9));
        let (name, flag) = (some(90, 12), some(80, 2));
        let created = |row: usize| START + (part as i64 * 60 + late[row].unwrap_or(0)) * HOUR;
        let int = |values: &[Option<i64>]| -> ArrayRef {
            Arc::new(values.iter().map(|v| v.map(|v| v as i32)).collect::<Int32Array>())
        };
        let times = |values: Vec<Option<i64>>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(values))
        };
        let names = ["alpha", "Beta", "beta", "gamma "];
        let name = name.iter().map(|n| n.map(|n| format!("{}{}", names[n as usize % 4], n / 4)));
        let flag: BooleanArray = flag.iter().map(|v| v.map(|v| v == 1)).collect();
        let span: Float64Array = span.iter().map(|v| v.map(|v| v as f64 / 2.0 - 1.0)).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("asyncoperationid", guids((0..CHUNK).map(|row| Some(id(first + row))))),
            ("statecode", int(&state)),
            ("statuscode", int(&state.iter().map(|s| s.map(|s| s * 10)).collect::<Vec<_>>())),
            ("retrycount", int(&retries)),
            ("name", Arc::new(name.collect::<StringViewArray>())),
            ("iswaitingforevent", Arc::new(flag)),
            ("executiontimespan", Arc::new(span)),
            ("createdon", times((0..CHUNK).map(|row| Some(created(row))).collect())),
            (
                "completedon",
                times((0..CHUNK).map(|row| done[row].map(|d| created(row) + d * HOUR)).collect()),
            ),
            ("ownerid", guids((0..CHUNK).map(|row| Some(id(row % 7))))),
        ];
        let batch = batch(&catalog.tables()[jobs], CHUNK, columns);
        store.append(jobs, &batch).expect("appended");
    }
    let table = &catalog.tables()[jobs];
    let column = |name: &str| table.column_index(name).expect("a column");
    let changes = (0..60).map(|n| {
        let job = id(random.below((CHUNK * CHUNKS) as u64) as usize);
        if n % 3 == 0 {
            return Change::Delete { table: jobs, id: job };
        }
        let created = START + random.below(600) as i64 * HOUR;
        let values = vec![
            (column("createdon"), Value::Time(created)),
            (column("retrycount"), Value::Int32(n)),
        ];
        Change::Update { table: jobs, id: job, values }
    });
    let mut seen = std::collections::HashSet::new();
    let once = changes.filter(|change| match change {
        Change::Delete { id, .. } | Change::Update { id, .. } => seen.insert(*id),
        Change::Insert { .. } | Change::Append { .. } => true,
    });
    store.commit_blocking(once.collect()).expect("committed");
    let table = &catalog.tables()[deletions];
    let column = |name: &str| table.column_index(name).expect("a column");
    let rows = (0..40).map(|n| Change::Insert {
        table: deletions,
        values: vec![
            (column("bulkdeleteoperationid"), Value::Guid([n as u8 + 1; 16])),
            (column("asyncoperationid"), Value::Guid(id(n * 137))),
            (column("failurecount"), Value::Int32(n as i32 % 5)),
        ],
    });
    store.commit_blocking(rows.collect()).expect("committed");
}

fn ask(engine: &Engine, snapshot: &Arc<Snapshot>, text: &str) -> support::Rows {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let rows = support::answer(engine, snapshot, Dialect::Sql, text);
    runtime.expect("a runtime").block_on(rows).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn physical(engine: &Engine, snapshot: &Arc<Snapshot>, text: &str) -> String {
    let plan = ask::plan(engine, snapshot, Some(Dialect::Sql), text, Context::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let shown = engine.explain(plan.expect("a plan"), true, false);
    runtime.expect("a runtime").block_on(shown).expect("a physical plan")
}

fn time() -> impl Strategy<Value = String> {
    (0..420_i64, 0..3_i64).prop_map(|(hours, seconds)| {
        let at = START + hours * HOUR + (seconds - 1) * 1_000_000;
        let at = chrono::DateTime::from_timestamp_micros(at).expect("a time");
        format!("'{}'", at.format("%Y-%m-%dT%H:%M:%S"))
    })
}

fn comparison() -> impl Strategy<Value = String> {
    let op = || select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let times = || select(vec!["createdon", "completedon"]);
    let key = (0..CHUNK * CHUNKS + 50).prop_map(|n| format!("'{}'", guid_text(&id(n))));
    let list = |items: BoxedStrategy<String>| {
        proptest::collection::vec(items, 1..5).prop_map(|items| items.join(", "))
    };
    prop_oneof![
        3 => (times(), op(), time()).prop_map(|(c, op, t)| format!("{c} {op} {t}")),
        1 => (time(), op(), times()).prop_map(|(t, op, c)| format!("{t} {op} {c}")),
        1 => (times(), time(), time())
            .prop_map(|(c, a, b)| format!("{c} BETWEEN {a} AND {b}")),
        2 => (op(), -1..60_i32).prop_map(|(op, n)| format!("retrycount {op} {n}")),
        1 => (op(), -3..8_i32).prop_map(|(op, n)| format!("executiontimespan {op} {n}")),
        1 => (op(), 0..5_i32).prop_map(|(op, n)| format!("statecode {op} {n}")),
        2 => list(key.boxed()).prop_map(|ids| format!("asyncoperationid IN ({ids})")),
        1 => list((0..70_i32).prop_map(|n| n.to_string()).boxed())
            .prop_map(|ns| format!("retrycount NOT IN ({ns})")),
        1 => (0..9_usize).prop_map(|n| format!("ownerid = '{}'", guid_text(&id(n)))),
        1 => select(vec!["iswaitingforevent = 'true'", "iswaitingforevent <> 'true'", "name = 'beta1'",
            "name LIKE '%a1'", "statecodename = 'Ready'", "1 = 1", "retrycount = NULL"])
            .prop_map(str::to_owned),
        1 => (times(), select(vec!["", "NOT "])).prop_map(|(c, n)| format!("{c} IS {n}NULL")),
        1 => select(vec!["retrycount IS NULL", "retrycount IS NOT NULL"]).prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    comparison().prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

fn order() -> impl Strategy<Value = String> {
    let key = select(vec![
        "createdon",
        "completedon",
        "retrycount",
        "name",
        "executiontimespan",
        "statecode",
        "statecodename",
        "iswaitingforevent",
        "DATEDIFF(hour, createdon, completedon)",
    ]);
    let key = (key, select(vec!["", " DESC"])).prop_map(|(key, way)| format!("{key}{way}"));
    proptest::collection::vec(key, 1..3).prop_map(|mut keys| {
        keys.sort();
        keys.dedup_by_key(|key| key.trim_end_matches(" DESC").to_owned());
        format!("{}, asyncoperationid", keys.join(", "))
    })
}

const SHOWN: &str = "asyncoperationid, name, createdon, statecodename, retrycount AS tries";

/// The rows for which a condition is true, found without it.
fn all_rows(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    condition: &str,
    order: &str,
) -> support::Rows {
    let flag = format!("CASE WHEN {condition} THEN 1 ELSE 0 END AS flag");
    let text = format!("SELECT {SHOWN}, {flag} FROM asyncoperation ORDER BY {order}");
    let mut rows = ask(engine, snapshot, &text);
    rows.retain_mut(|row| row.remove("flag") == Some(Json::from(1)));
    rows
}

#[test]
fn pruned_scans_give_the_rows_of_full_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    fill(&store);
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let asked = (condition(), order(), 0..1_500_usize, 0..20_usize);
    let config = ProptestConfig { cases: 60, ..ProptestConfig::default() };
    proptest!(config, |((condition, order, top, skip) in asked)| {
        let expected = all_rows(&engine, &snapshot, &condition, &order);
        let all = format!("SELECT {SHOWN} FROM asyncoperation WHERE {condition} ORDER BY {order}");
        prop_assert_eq!(&ask(&engine, &snapshot, &all), &expected, "{}", all);
        let text = format!("{all} OFFSET {skip} ROWS FETCH NEXT {top} ROWS ONLY");
        let page: Vec<_> = expected.iter().skip(skip).take(top).cloned().collect();
        prop_assert_eq!(&ask(&engine, &snapshot, &text), &page, "{}", text);
        let ends = "SELECT COUNT(*) AS n, MIN(createdon) AS a, MAX(createdon) AS b, \
                    MIN(retrycount) AS c, COUNT(retrycount) AS d FROM asyncoperation";
        let flagged = format!("{ends} WHERE CASE WHEN {condition} THEN 1 ELSE 0 END = 1");
        let ends = format!("{ends} WHERE {condition}");
        prop_assert_eq!(ask(&engine, &snapshot, &ends), ask(&engine, &snapshot, &flagged));
    });
}

#[test]
fn joins_by_key_look_up_the_rows_of_the_other_side() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    fill(&store);
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let join = "FROM bulkdeleteoperation b JOIN asyncoperation a \
                ON a.asyncoperationid = b.asyncoperationid";
    for failures in 0..6 {
        let text = format!(
            "SELECT a.asyncoperationid AS id, a.name {join} WHERE b.failurecount = {failures}"
        );
        let mut found: Vec<String> = ask(&engine, &snapshot, &text)
            .iter()
            .map(|row| row["id"].as_str().expect("an id").to_owned())
            .collect();
        let jobs = ask(&engine, &snapshot, "SELECT asyncoperationid AS id FROM asyncoperation");
        let there: std::collections::HashSet<String> =
            jobs.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect();
        let pointed = (0..40).filter(|n| n % 5 == failures).map(|n| guid_text(&id(n * 137)));
        let mut expected: Vec<String> = pointed.filter(|id| there.contains(id)).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
    let newest = format!("SELECT TOP 3 a.name, b.failurecount {join} ORDER BY a.createdon DESC");
    assert_eq!(ask(&engine, &snapshot, &newest).len(), 3);
}

#[test]
fn plans_show_what_is_left_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    fill(&store);
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let key = guid_text(&id(2_345));
    let text = format!("SELECT name FROM asyncoperation WHERE asyncoperationid = '{key}'");
    let plan = physical(&engine, &snapshot, &text);
    assert!(plan.contains("chunks=1 of 5") && plan.contains("by primary key, rows=1"), "{plan}");
    let first =
        "SELECT TOP 10 name AS n, statecodename FROM asyncoperation ORDER BY createdon DESC";
    let plan = physical(&engine, &snapshot, first);
    assert!(plan.contains("TopRowsExec: table=asyncoperation, chunks=5, first=10"), "{plan}");
    let never = "SELECT name FROM asyncoperation WHERE createdon < '1999-01-01'";
    let plan = physical(&engine, &snapshot, never);
    assert!(plan.contains("chunks=0 of 5"), "{plan}");
}

#[test]
fn rows_in_a_query_look_for_each_of_its_keys_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    fill(&store);
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let plan = |text: &str| {
        let plan = ask::plan(&engine, &snapshot, Some(Dialect::Sql), text, Context::default());
        engine.optimized(plan.expect("a plan")).expect("optimized").display_indent().to_string()
    };
    let count = |condition: &str| {
        let text = format!("SELECT COUNT(*) AS n FROM asyncoperation WHERE {condition}");
        ask(&engine, &snapshot, &text)[0]["n"].as_i64().expect("a number")
    };
    let states = "SELECT statecode FROM asyncoperation WHERE retrycount = 3";
    let names = "SELECT UPPER(name) FROM asyncoperation WHERE retrycount = 3";
    for (condition, same) in [
        (
            format!("statecode IN ({states})"),
            "statecode = ANY (SELECT DISTINCT statecode FROM asyncoperation WHERE retrycount = 3)",
        ),
        (format!("name IN ({names})"), "name IN (SELECT name FROM asyncoperation WHERE retrycount = 3 GROUP BY name)"),
        (
            "EXISTS (SELECT 1 FROM asyncoperation o WHERE o.retrycount = 3 AND o.statecode = asyncoperation.statecode)".into(),
            "statecode IN (SELECT statecode FROM asyncoperation WHERE retrycount = 3 GROUP BY statecode)",
        ),
    ] {
        let shown = plan(&format!("SELECT COUNT(*) AS n FROM asyncoperation WHERE {condition}"));
        let (_, below) = shown.split_once("LeftSemi Join").unwrap_or_else(|| panic!("{shown}"));
        assert!(below.contains("Aggregate: groupBy="), "{shown}");
        assert_eq!(count(&condition), count(same), "{condition}");
        let all = count("1 = 1");
        let without = format!("NOT ({condition})");
        let null = count("name IS NULL") * i64::from(condition.starts_with("name"));
        assert_eq!(count(&condition) + count(&without) + null, all, "{condition}");
    }
    // A key of the other table is there once anyway.
    let by_key = plan(
        "SELECT name FROM bulkdeleteoperation WHERE asyncoperationid IN \
         (SELECT asyncoperationid FROM asyncoperation WHERE retrycount = 3)",
    );
    assert!(!by_key.contains("Aggregate"), "{by_key}");
}
