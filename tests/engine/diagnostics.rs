//! The documented diagnostics: the same plan and the same answer in every
//! dialect, on a real trace.

use std::collections::BTreeSet;
use std::sync::Arc;

use sysjob::ask;
use sysjob::catalog::Catalog;
use sysjob::diagnose::{DOCUMENTED, FURTHER, Question};
use sysjob::dialect::Dialect;
use sysjob::engine::{Engine, QueryLimits};
use sysjob::query::Context;
use sysjob::store::{Snapshot, Store};

use crate::support::{answer, rows, trace_store};

/// The optimized plan, without what one published text asks and another does
/// not: OData's missing sort, and the top projection with its names and order.
async fn core_plan(engine: &Engine, snapshot: &Arc<Snapshot>, d: Dialect, text: &str) -> String {
    let plan = ask::plan(engine, snapshot, Some(d), text, Context::default()).expect("a plan");
    let text = engine.explain(plan, false, false).await.expect("explained");
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| {
            let line = line.trim_start();
            line.starts_with("Sort:") || line.starts_with("Projection:")
        })
        .map(str::trim_start)
        .collect();
    lines.join("\n")
}

fn folder(name: &str, file: &str) -> String {
    let path = format!("{}/queries/{name}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn texts(question: &Question) -> Vec<(Dialect, &'static str)> {
    let mut texts = vec![(Dialect::Sql, question.sql)];
    texts.extend(question.fetchxml.map(|text| (Dialect::FetchXml, text)));
    texts.extend(question.odata.map(|text| (Dialect::OData, text)));
    texts
}

#[tokio::test]
async fn three_dialects_have_one_plan() {
    let snapshot = Arc::new(Snapshot::empty(Arc::new(Catalog::built_in())));
    let engine = Engine::new();
    for question in &DOCUMENTED {
        // Two SQL forms also group by names, which the others do not ask for.
        let named = ["names-using-file-storage", "file-size-and-record-count"];
        let mut plans = BTreeSet::new();
        for (dialect, text) in texts(question) {
            let mut plan = core_plan(&engine, &snapshot, dialect, text).await;
            if named.contains(&question.name) {
                plan = without_names(&plan);
            }
            plans.insert(plan);
        }
        assert_eq!(plans.len(), 1, "{}: {plans:#?}", question.name);
    }
}

/// A plan's lines without the columns that only a SQL form asks for.
fn without_names(plan: &str) -> String {
    let extra = [
        "operationtypename",
        "owningextensionidname",
        // What stands for the name column in the other dialects.
        "asyncoperation.operationtype, ",
        "asyncoperation.operationtype]",
        "operationtype",
        // Which row's text a group shows.
        "createdon",
    ];
    plan.lines()
        .map(|line| {
            let mut items: Vec<&str> = line
                .split([',', '[', ']'])
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .filter(|item| {
                    !extra.iter().any(|e| item.contains(e.trim_end_matches([',', ' ', ']'])))
                })
                .collect();
            items.sort_unstable();
            items.join(", ")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_dialects_have_one_answer_on_the_trace() {
    let (_folder, store) = trace_store();
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    for question in &DOCUMENTED {
        let mut answers = BTreeSet::new();
        for (dialect, text) in texts(question) {
            let mut lines: Vec<String> = rows(&engine, &snapshot, dialect, text)
                .await
                .unwrap_or_else(|e| panic!("{} {dialect:?}: {e}", question.name))
                .into_iter()
                .map(|row| {
                    // Column names and their order differ between the texts, and a
                    // type stands as its number or its label.
                    let mut cells: Vec<String> = row
                        .iter()
                        .filter(|(name, _)| !name.starts_with("operationtype"))
                        .filter(|(name, _)| *name != "owningextensionidname")
                        .map(|(_, value)| value.to_string())
                        .collect();
                    cells.sort_unstable();
                    cells.join(" | ")
                })
                .collect();
            lines.sort_unstable();
            // Nothing in the trace was ever suspended.
            let empty = question.name == "suspended-jobs";
            assert_eq!(lines.is_empty(), empty, "{} {dialect:?}", question.name);
            answers.insert(lines.join("\n"));
        }
        assert_eq!(answers.len(), 1, "{}: {answers:#?}", question.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_answers_in_every_dialect_it_is_written_in() {
    let (_folder, store) = trace_store();
    let (engine, snapshot) = (Engine::new(), store.snapshot());
    for question in &FURTHER {
        for (dialect, text) in texts(question) {
            rows(&engine, &snapshot, dialect, text)
                .await
                .unwrap_or_else(|e| panic!("{} {dialect:?}: {e}", question.name));
        }
    }
    for (name, expected) in [("retrieve-jobs", 1000), ("failures", 30_226)] {
        for (dialect, file) in [
            (Dialect::Sql, "query.sql"),
            (Dialect::FetchXml, "fetch.xml"),
            (Dialect::OData, "odata.txt"),
        ] {
            let text = folder(name, file);
            // Every column of thirty thousand rows is more than this needs.
            let plan = ask::plan(&engine, &snapshot, Some(dialect), &text, Context::default())
                .expect("a plan");
            let batches = engine.collect(plan).await.expect(name);
            let rows: usize = batches.iter().map(|b| b.num_rows()).sum();
            assert_eq!(rows, expected, "{name} {dialect:?}");
        }
    }
}

/// Columns are read from their files again and again; the answers are the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_larger_than_memory_answers_everything() {
    let (folder, store) = trace_store();
    let catalog = store.catalog().clone();
    let questions = DOCUMENTED.iter().chain(&FURTHER).map(|question| question.sql);
    let texts: Vec<&str> = questions.filter(|text| !text.contains("GETUTCDATE")).collect();
    let ask_all = async |engine: &Engine, snapshot: &Arc<Snapshot>| {
        let mut answers = Vec::new();
        for text in &texts {
            let mut rows = answer(engine, snapshot, Dialect::Sql, text).await.expect(text);
            rows.sort_by_key(|row| format!("{row:?}"));
            answers.push(rows);
        }
        answers
    };
    let scanning = Engine::scanning(QueryLimits::default()).expect("no limits");
    let expected = ask_all(&scanning, &store.snapshot()).await;
    let whole = store.resident_bytes();
    drop(store);

    let store = Store::open_within(folder.path(), catalog, whole / 2).expect("opens");
    let snapshot = store.snapshot();
    for ((text, found), expected) in
        texts.iter().zip(ask_all(&scanning, &snapshot).await).zip(expected)
    {
        assert!(found == expected, "{text}");
        assert!(store.resident_bytes() <= whole / 2, "{text}");
    }
}

/// What sorts, groups and joins gather of a table goes to disk where it does not fit in
/// memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_queries_gather_beyond_memory_goes_to_disk() {
    let (_folder, store) = trace_store();
    let snapshot = store.snapshot();
    let rows = 2 * snapshot.table_named("asyncoperation").expect("built in").rows();
    let jobs = "asyncoperation AS a CROSS JOIN (VALUES (1), (2)) AS copies(n)";
    let sort = format!(
        "SELECT MAX(place) AS n FROM (SELECT ROW_NUMBER() OVER (ORDER BY a.message, copies.n, \
         a.name, a.asyncoperationid) AS place FROM {jobs}) AS sorted"
    );
    let group = format!(
        "SELECT COUNT(*) AS n FROM (SELECT a.asyncoperationid, MAX(a.name) AS name FROM {jobs} \
         GROUP BY a.asyncoperationid, copies.n) AS grouped WHERE name IS NOT NULL"
    );
    let join = format!(
        "SELECT MAX(place) AS n FROM (SELECT ROW_NUMBER() OVER (ORDER BY w.name, a.name, \
         copies.n, a.asyncoperationid) AS place FROM {jobs} \
         LEFT JOIN workflow w ON w.workflowid = a.owningextensionid) AS sorted"
    );
    let within = |memory: usize| {
        let limits = QueryLimits { memory: Some(memory), ..QueryLimits::default() };
        Engine::scanning(limits).expect("limits")
    };
    let engine = within(24 << 20);
    for (engine, text) in
        [(&engine, &sort), (&engine, &group), (&engine, &join), (&within(64 << 20), &join)]
    {
        let found = answer(engine, &snapshot, Dialect::Sql, text).await;
        let found = found.unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(found[0]["n"].as_u64(), u64::try_from(rows).ok(), "{text}");
    }
    let plan = ask::plan(&engine, &snapshot, Some(Dialect::Sql), &sort, Context::default());
    let plan = engine.explain(plan.expect("a plan"), true, true).await.expect("explained");
    let spilled = plan.split("spill_count=").skip(1).any(|rest| !rest.starts_with('0'));
    assert!(spilled, "{plan}");
}

#[test]
fn every_folder_of_questions_is_complete() {
    let root = format!("{}/queries", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let about = std::fs::read_to_string(path.join("README.md")).expect("a README");
        assert_eq!(about.lines().count(), 2, "{} has two lines", path.display());
        assert!(path.join("query.sql").exists(), "{}", path.display());
    }
}
