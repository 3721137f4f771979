//! Aggregates answered from counts give what the rows give: random aggregates
//! over random rows, and the questions that have to be answered without rows.

use std::sync::Arc;

use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sysjob::ask;
use sysjob::catalog::Catalog;
use sysjob::dialect::Dialect;
use sysjob::encode::{Format, RowWriter};
use sysjob::engine::{Engine, QueryLimits};
use sysjob::query::Context;
use sysjob::store::{Change, Snapshot, Store};
use sysjob::value::{Guid, Value};

use crate::support;

const JOBS: usize = 700;
const MINUTE: i64 = 60_000_000;
/// 2026-03-28T20:00:00Z, a few hours before clocks change in Europe.
const START: i64 = 1_774_728_000_000_000;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 20) % n) as i64
    }
}

fn id(kind: u8, n: usize) -> Guid {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

/// Nothing but the keys of small chunks is read at the start, and nothing to count rows,
/// whether they have changed since they were sealed or not.
#[tokio::test]
async fn counts_after_a_restart_read_no_column() {
    let (folder, store) = store();
    let catalog = store.catalog().clone();
    let jobs = catalog.table_index("asyncoperation").expect("built in");
    let column = |name: &str| catalog.tables()[jobs].column_index(name).expect("a column");
    let texts = [
        "SELECT statecode, statuscode, operationtype, COUNT(*) AS jobs FROM asyncoperation \
         GROUP BY statecode, statuscode, operationtype",
        "SELECT COUNT(*) AS jobs FROM asyncoperation WHERE datablobid IS NULL",
    ];
    let engine = Engine::new();
    let ended = vec![(column("statecode"), Value::Int32(3))];
    let end = (0..JOBS).filter(|n| store.contains(jobs, &id(1, *n)));
    let end = end.map(|n| Change::Update { table: jobs, id: id(1, n), values: ended.clone() });
    store.commit_blocking(end.collect()).expect("commits");
    store.seal().expect("seals");
    let there: Vec<usize> = (0..JOBS).filter(|n| store.contains(jobs, &id(1, *n))).collect();
    let status = |n: usize| {
        let values = vec![(column("statuscode"), Value::Int32(32))];
        Change::Update { table: jobs, id: id(1, n), values }
    };
    let changes = vec![
        status(there[0]),
        status(there[1]),
        Change::Delete { table: jobs, id: id(1, there[2]) },
        Change::Delete { table: jobs, id: id(1, there[1]) },
        Change::Insert {
            table: jobs,
            values: vec![
                (column("asyncoperationid"), Value::Guid(id(1, there[3]))),
                (column("statuscode"), Value::Int32(10)),
            ],
        },
    ];
    store.commit_blocking(changes).expect("commits");
    let mut expected = Vec::new();
    for text in texts {
        expected.push(
            support::rows(&engine, &store.snapshot(), Dialect::Sql, text).await.expect("rows"),
        );
    }
    drop(store);
    // Without memory for columns none is read ahead.
    let store = Store::open_within(folder.path(), catalog.clone(), 0).expect("opens");
    let snapshot = store.snapshot();
    let tables = (0..catalog.tables().len()).map(|table| snapshot.table(table));
    let sealed = tables.flat_map(|t| t.chunks()).filter(|chunk| chunk.file().is_some()).count();
    assert!(sealed > 0);
    assert_eq!(store.columns_read(), sealed);
    for (text, expected) in texts.iter().zip(expected) {
        let found =
            support::answer(&engine, &store.snapshot(), Dialect::Sql, text).await.expect("rows");
        let sorted = |rows: support::Rows| {
            let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(found), sorted(expected), "{text}");
    }
    assert_eq!(store.columns_read(), sealed);
}

/// Jobs of which some changed and some were deleted, and half of the workflows
/// they point to.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let catalog = store.catalog().clone();
    let index = |name: &str| catalog.table_index(name).expect("built in");
    let (jobs, workflows) = (index("asyncoperation"), index("workflow"));
    let job = |name: &str| catalog.tables()[jobs].column_index(name).expect("a column");
    let workflow = |name: &str| catalog.tables()[workflows].column_index(name).expect("a column");
    let mut random = Random(11);
    let mut changes: Vec<Change> = (0..4)
        .map(|n| Change::Insert {
            table: workflows,
            values: vec![
                (workflow("workflowid"), Value::Guid(id(9, n))),
                (workflow("name"), Value::Text(format!("Flow {}", n % 3))),
                (workflow("statecode"), Value::Int32(n as i32 % 2)),
            ],
        })
        .collect();
    let state = |random: &mut Random| [0, 10, 20, 21, 22, 30, 31, 32][random.below(8) as usize];
    for n in 0..JOBS {
        let status = state(&mut random);
        let mut created = START + random.below(60 * 60) * MINUTE + random.below(3) * 1_000_000;
        // A group shows the text of its oldest row, so there has to be one.
        let name = format!("Job {}", random.below(5));
        let name = if n % 2 == 0 { name } else { name.to_uppercase() };
        created += if n % 2 == 0 { 0 } else { n as i64 };
        let mut values = vec![
            (job("asyncoperationid"), Value::Guid(id(1, n))),
            (job("statuscode"), Value::Int32(status)),
            (job("createdon"), Value::Time(created)),
        ];
        if random.below(20) > 0 {
            values.push((job("statecode"), Value::Int32(status / 10)));
        }
        if random.below(9) > 0 {
            values.push((job("name"), Value::Text(name)));
        }
        if random.below(15) > 0 {
            values.push((job("operationtype"), Value::Int32(1 + random.below(6) as i32)));
        }
        if random.below(4) == 0 {
            values.push((job("datablobid"), Value::Guid(id(3, n))));
        }
        if random.below(3) > 0 {
            let ended = created + random.below(300) * MINUTE;
            values.push((job("completedon"), Value::Time(ended)));
        }
        if random.below(5) > 0 {
            let extension = random.below(8) as usize;
            values.push((job("owningextensionid"), Value::Guid(id(9, extension))));
            if extension > 5 {
                let name = format!("Imported {extension}");
                values.push((job("owningextensionidname"), Value::Text(name)));
            }
        }
        changes.push(Change::Insert { table: jobs, values });
    }
    store.commit_blocking(changes).expect("committed");
    let changed = (0..JOBS).step_by(9).map(|n| match n % 2 {
        0 => Change::Delete { table: jobs, id: id(1, n) },
        _ => Change::Update {
            table: jobs,
            id: id(1, n),
            values: vec![
                (job("statuscode"), Value::Int32(state(&mut random))),
                (job("completedon"), Value::Null),
                (job("owningextensionid"), Value::Null),
                (job("name"), Value::Text("job 9".into())),
            ],
        },
    });
    store.commit_blocking(changed.collect()).expect("committed");
    (folder, store)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Asks and compares with the answer of the rows.
fn compared(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    dialect: Dialect,
    text: &str,
) -> support::Rows {
    run(support::rows(engine, snapshot, dialect, text)).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn plan(engine: &Engine, snapshot: &Arc<Snapshot>, dialect: Dialect, text: &str) -> String {
    let plan = ask::plan(engine, snapshot, Some(dialect), text, Context::default());
    let plan = plan.unwrap_or_else(|e| panic!("{text}: {e}"));
    run(engine.explain(plan, true, false)).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn time() -> impl Strategy<Value = String> {
    (0..70_i64, select(vec![0_i64, 0, 17, 3599])).prop_map(|(hours, seconds)| {
        let at = START + hours * 60 * MINUTE + seconds * 1_000_000;
        let at = chrono::DateTime::from_timestamp_micros(at).expect("a time");
        format!("'{}'", at.format("%Y-%m-%dT%H:%M:%S"))
    })
}

fn condition() -> impl Strategy<Value = String> {
    let fixed = select(vec![
        "statecode = 3",
        "statuscode IN (30, 31, 10)",
        "statuscode NOT IN (30, 32)",
        "statecode IS NULL",
        "NOT (statecode < 2)",
        "operationtype BETWEEN 2 AND 4",
        "datablobid IS NOT NULL",
        "datablobid IS NULL",
        "name = 'job 1'",
        "name LIKE '%[13]'",
        "name IS NULL",
        "name > 'job 2' AND statecode = 3",
        "statuscodename = 'Failed'",
        "statuscodename LIKE 'Wait%'",
        "owningextensionid IS NULL",
        "operationtype <> 1",
        "owningextensionidname = 'flow 1'",
        "DATEPART(hour, createdon) < 6",
        "completedon IS NULL",
        "CAST(createdon AS date) = '2026-03-29'",
    ]);
    let op = || select(vec!["<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        4 => fixed.prop_map(str::to_owned),
        2 => (op(), time()).prop_map(|(op, at)| format!("createdon {op} {at}")),
        1 => (op(), time()).prop_map(|(op, at)| format!("{at} {op} createdon")),
        1 => (time(), time()).prop_map(|(a, b)| format!("createdon BETWEEN {a} AND {b}")),
        1 => (op(), time()).prop_map(|(op, at)| format!("completedon {op} {at}")),
    ];
    leaf.prop_recursive(2, 5, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
            1 => inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

const GROUPS: [&str; 16] = [
    "name",
    "UPPER(name)",
    "statecode",
    "statuscode",
    "operationtype",
    "statecodename",
    "statuscodename",
    "owningextensionid",
    "owningextensionidname",
    "CAST(createdon AS date)",
    "DATEPART(hour, createdon)",
    "DATETRUNC(month, createdon)",
    "DATEADD(hour, DATEDIFF(hour, 0, createdon), 0)",
    "DATEPART(weekday, completedon)",
    "CASE WHEN datablobid IS NULL THEN 'no' ELSE 'yes' END",
    "DATEPART(minute, createdon)",
];

const AGGREGATES: [&str; 18] = [
    // Of texts that collate alike, any is the least.
    "MIN(UPPER(name))",
    "COUNT(DISTINCT name)",
    "PERCENTILE_CONT(0.3) WITHIN GROUP (ORDER BY statuscode)",
    "COUNT(*)",
    "COUNT(datablobid)",
    "COUNT(completedon)",
    "COUNT(statecode)",
    "SUM(CASE WHEN statecode = 3 THEN 1 ELSE 0 END)",
    "AVG(CASE WHEN statuscode = 31 THEN 1.0 ELSE 0 END)",
    "SUM(CASE WHEN statuscode = 31 THEN 0.25 END)",
    "AVG(operationtype)",
    "SUM(statuscode)",
    "MIN(statuscode)",
    "MAX(operationtype)",
    "MIN(statecodename)",
    "COUNT(DISTINCT operationtype)",
    "COUNT(CASE WHEN statuscode = 30 THEN 1 END)",
    "COUNT(*) FILTER (WHERE operationtype > 2)",
];

fn question() -> impl Strategy<Value = String> {
    let groups = subsequence(GROUPS.to_vec(), 0..3);
    let aggregates = subsequence(AGGREGATES.to_vec(), 1..4);
    let having = select(vec!["", "", " HAVING COUNT(*) > 3"]);
    let ways = select(vec!["", "", "", "ROLLUP", "CUBE"]);
    (groups, aggregates, proptest::option::weighted(0.7, condition()), having, ways).prop_map(
        |(groups, aggregates, condition, having, way)| {
            let condition = condition.map_or(String::new(), |c| format!(" WHERE {c}"));
            let shown: Vec<String> = groups
                .iter()
                .chain(&aggregates)
                .enumerate()
                .map(|(n, expr)| format!("{expr} AS c{n}"))
                .collect();
            // Grouping sets are of columns.
            let way = if groups.iter().any(|group| group.contains([' ', '('])) { "" } else { way };
            let groups = match (groups.is_empty(), way) {
                (true, _) => String::new(),
                (false, "") => format!(" GROUP BY {}", groups.join(", ")),
                (false, way) => format!(" GROUP BY {way}({})", groups.join(", ")),
            };
            format!("SELECT {} FROM asyncoperation{condition}{groups}{having}", shown.join(", "))
        },
    )
}

#[test]
fn random_aggregates_are_those_of_the_rows() {
    let (_folder, store) = store();
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let config = ProptestConfig { cases: 150, ..ProptestConfig::default() };
    proptest!(config, |(text in question())| {
        compared(&engine, &snapshot, Dialect::Sql, &text);
    });
    let groups = Engine::scanning(QueryLimits::default()).expect("no limits");
    store.seal().expect("seals");
    let sealed = store.snapshot();
    let config = ProptestConfig { cases: 150, ..ProptestConfig::default() };
    proptest!(config, |(text in question())| {
        compared(&groups, &snapshot, Dialect::Sql, &text);
        compared(&groups, &sealed, Dialect::Sql, &text);
    });
}

#[test]
fn these_questions_read_no_rows() {
    let (_folder, store) = store();
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let of_jobs = [
        "SELECT statecode, COUNT(*) FROM asyncoperation GROUP BY statecode",
        "SELECT statecodename, statuscodename, COUNT(*) AS n FROM asyncoperation \
         GROUP BY statecodename, statuscodename HAVING COUNT(*) > 2 ORDER BY n DESC",
        "SELECT TOP 3 operationtype, COUNT(*) AS n FROM asyncoperation WHERE statecode = 3 \
         GROUP BY operationtype ORDER BY n DESC",
        "SELECT COUNT(datablobid), COUNT(*) FROM asyncoperation",
        "SELECT SUM(CASE WHEN statecode = 3 THEN 1 ELSE 0 END), COUNT(CASE WHEN statuscode = 31 \
         THEN 1 END), AVG(CASE WHEN statuscode = 31 THEN 1.0 ELSE 0 END) FROM asyncoperation",
        "SELECT MIN(statuscode), MAX(statecodename), COUNT(DISTINCT operationtype) \
         FROM asyncoperation WHERE datablobid IS NULL",
        "SELECT owningextensionid, owningextensionidname, COUNT(*) FROM asyncoperation \
         WHERE owningextensionid IS NOT NULL GROUP BY owningextensionid, owningextensionidname",
        "SELECT CAST(createdon AS date) AS d, COUNT(*) FROM asyncoperation \
         GROUP BY CAST(createdon AS date)",
        "SELECT DATEADD(hour, DATEDIFF(hour, 0, completedon), 0) AS h, COUNT(*) \
         FROM asyncoperation WHERE statuscode = 31 \
         GROUP BY DATEADD(hour, DATEDIFF(hour, 0, completedon), 0)",
        "SELECT YEAR(createdon) AS y, MONTH(createdon) AS m, DAY(createdon) AS d, COUNT(*) \
         FROM asyncoperation GROUP BY YEAR(createdon), MONTH(createdon), DAY(createdon)",
        "SELECT statecode, statuscode, COUNT(*) FROM asyncoperation \
         GROUP BY ROLLUP(statecode, statuscode)",
    ];
    for text in of_jobs {
        compared(&engine, &snapshot, Dialect::Sql, text);
        let plan = plan(&engine, &snapshot, Dialect::Sql, text);
        assert!(plan.contains("CountsExec") && !plan.contains("ScanExec"), "{text}\n{plan}");
    }
    let joined = "SELECT w.name, w.statecode, COUNT(*) AS n, SUM(a.statuscode) AS s \
                  FROM asyncoperation a JOIN workflow w ON w.workflowid = a.owningextensionid \
                  WHERE a.statecode = 3 GROUP BY w.name, w.statecode";
    let outer = "SELECT w.name, COUNT(*) AS n, COUNT(w.name) AS m \
                 FROM asyncoperation a LEFT JOIN workflow w ON w.workflowid = a.owningextensionid \
                 GROUP BY w.name";
    for text in [joined, outer] {
        let rows = compared(&engine, &snapshot, Dialect::Sql, text);
        assert!(rows.len() > 2, "{rows:?}");
        let plan = plan(&engine, &snapshot, Dialect::Sql, text);
        assert!(plan.contains("CountsExec"), "{text}\n{plan}");
        assert!(!plan.contains("ScanExec: table=asyncoperation"), "{text}\n{plan}");
    }
}

#[test]
fn hours_that_are_cut_through_are_read() {
    let (_folder, store) = store();
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let text = "SELECT statuscode, COUNT(*) AS n FROM asyncoperation \
                WHERE createdon >= '2026-03-29T03:30:00' AND createdon < '2026-03-30T08:20:10' \
                AND statecode IS NOT NULL GROUP BY statuscode";
    compared(&engine, &snapshot, Dialect::Sql, text);
    let shown = plan(&engine, &snapshot, Dialect::Sql, text);
    assert!(shown.contains("CountsExec") && shown.contains("UnionExec"), "{shown}");
    let recent = "SELECT COUNT(*) AS n FROM asyncoperation \
                  WHERE createdon >= DATEADD(year, -100, GETUTCDATE())";
    let shown = plan(&engine, &snapshot, Dialect::Sql, recent);
    assert!(shown.contains("CountsExec"), "{shown}");
    let all =
        compared(&engine, &snapshot, Dialect::Sql, "SELECT COUNT(*) AS n FROM asyncoperation");
    assert_eq!(compared(&engine, &snapshot, Dialect::Sql, recent), all);
}

#[test]
fn dates_are_grouped_in_the_callers_zone_where_its_hours_are_hours() {
    let (_folder, store) = store();
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    let scanning = Engine::scanning(QueryLimits::default()).expect("no limits");
    let texts = [(
        Dialect::FetchXml,
        "<fetch aggregate='true'><entity name='asyncoperation'>\
             <attribute name='createdon' groupby='true' dategrouping='day' alias='day'/>\
             <attribute name='asyncoperationid' aggregate='count' alias='n'/>\
             </entity></fetch>",
    )];
    let zones = [("UTC", true), ("Europe/Oslo", true), ("Asia/Kolkata", false)];
    for (dialect, text) in texts {
        for (zone, counted) in zones {
            let context = || {
                let zone: Tz = zone.parse().expect("a zone");
                Context { timezone: zone, ..Context::default() }
            };
            let rows = |engine: &Engine| {
                let plan = ask::plan(engine, &snapshot, Some(dialect), text, context());
                let plan = plan.expect("a plan");
                let schema = engine.schema(plan.clone()).expect("columns");
                let mut lines = RowWriter::new(Format::Jsonl, &schema, Vec::new()).expect("writes");
                for batch in run(engine.collect(plan)).expect("rows") {
                    lines.write(&batch).expect("writes");
                }
                let lines = String::from_utf8(lines.finish().expect("writes")).expect("text");
                let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(rows(&engine), rows(&scanning), "{zone} {text}");
            let plan = ask::plan(&engine, &snapshot, Some(dialect), text, context());
            let shown = run(engine.explain(plan.expect("a plan"), true, false)).expect("a plan");
            assert_eq!(shown.contains("CountsExec"), counted, "{zone} {text}\n{shown}");
        }
    }
}
