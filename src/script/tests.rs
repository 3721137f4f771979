//! Mutations of good questions, and writes in disguises: no text makes the way
//! from a text to a plan panic, and none comes to a plan that writes.

use std::sync::{Arc, LazyLock};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use proptest::prelude::*;

use super::plan;
use crate::catalog::Catalog;
use crate::dialect::tsql::{Script, Session, Statement, Step};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::store::{Snapshot, Store};

static WORLD: LazyLock<(Engine, Arc<Snapshot>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a store");
    (Engine::new(), store.snapshot())
});

/// The questions of all golden files.
static QUESTIONS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = format!("{}/tests/golden/tsql", env!("CARGO_MANIFEST_DIR"));
    let mut questions = Vec::new();
    for file in std::fs::read_dir(folder).expect("the folder is there") {
        let path = file.expect("readable").path();
        if path.extension().is_none_or(|e| e != "txt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a golden file");
        for record in text.split("\n====\n") {
            let question = record.split("\n----").next().unwrap_or_default();
            questions.extend(question.split_once('\n').map(|(_, question)| question.to_owned()));
        }
    }
    questions.sort();
    questions
});

/// The plans of all statements of a text, whichever would be run.
fn plans(text: &str) -> Result<Vec<LogicalPlan>> {
    let (engine, snapshot) = &*WORLD;
    let script = Script::parse(text, std::iter::empty())?;
    let mut session = Session::default();
    let mut plans = Vec::new();
    for step in script.steps() {
        match step {
            Step::StartBatch(variables) => {
                for (name, data_type) in variables {
                    session.declare(name, data_type.clone());
                }
            }
            Step::EndBatch { .. } => session.forget_variables(),
            Step::Do(
                Statement::Query(query)
                | Statement::Fetch { query, .. }
                | Statement::Assign { query, .. }
                | Statement::Print(query)
                | Statement::Explain { query, .. },
            )
            | Step::Unless { condition: query, .. } => {
                let planned = plan(query, engine, snapshot, &session)?;
                plans.push(engine.optimized(planned)?);
            }
            _ => {}
        }
    }
    Ok(plans)
}

/// Whether a plan does anything but read.
fn writes(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        let reads = !matches!(
            node,
            LogicalPlan::Dml(_)
                | LogicalPlan::Ddl(_)
                | LogicalPlan::Copy(_)
                | LogicalPlan::Statement(_)
        );
        found |= !reads;
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_err() || found
}

fn is_told(error: &Error) {
    assert!(!error.message.trim().is_empty(), "an error without a message: {error:?}");
}

/// Pieces that are put in the place of others.
const PIECES: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "(",
    ")",
    ",",
    ";",
    "'",
    "\"",
    "[",
    "]",
    "/*",
    "*/",
    "--",
    "@a",
    "@@ROWCOUNT",
    "NULL",
    "0",
    "-1",
    "1e400",
    "99999999999999999999",
    "''",
    "N'é'",
    "0x",
    "$1",
    "\nGO\n",
    "IF",
    "ELSE",
    "BEGIN",
    "END",
    "WHILE",
    "DECLARE",
    "SET",
    "CASE",
    "WHEN",
    "TOP",
    "PERCENT",
    "ORDER BY",
    "GROUP BY",
    "OVER (",
    "UNION",
    "CAST(",
    "AS int",
    "*",
    ".",
    "+",
    "=",
    "!<",
    "IN",
    "LIKE",
    "EXISTS",
    "INTO t",
    "DELETE FROM asyncoperation",
    "asyncoperation",
    "statecode",
    "\u{a0}",
    "\u{feff}",
    "💥",
];

#[derive(Clone, Debug)]
enum Mutation {
    Remove(prop::sample::Index),
    Double(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Replace(prop::sample::Index, &'static str),
    Insert(prop::sample::Index, &'static str),
    Cut(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let piece = || prop::sample::select(PIECES);
    prop_oneof![
        index().prop_map(Mutation::Remove),
        index().prop_map(Mutation::Double),
        (index(), index()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        (index(), piece()).prop_map(|(at, piece)| Mutation::Replace(at, piece)),
        (index(), piece()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        index().prop_map(Mutation::Cut),
    ]
}

fn mutated(text: &str, mutations: Vec<Mutation>) -> String {
    let mut words: Vec<&str> = text.split_inclusive([' ', '\n', '(', ')', ',', '.']).collect();
    for mutation in mutations {
        let count = words.len();
        if count == 0 {
            break;
        }
        match mutation {
            Mutation::Remove(at) => {
                words.remove(at.index(count));
            }
            Mutation::Double(at) => words.insert(at.index(count), words[at.index(count)]),
            Mutation::Swap(a, b) => words.swap(a.index(count), b.index(count)),
            Mutation::Replace(at, piece) => words[at.index(count)] = piece,
            Mutation::Insert(at, piece) => words.insert(at.index(count), piece),
            Mutation::Cut(at) => words.truncate(at.index(count)),
        }
    }
    words.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn mutated_questions_are_planned_or_refused(
        question in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let text = mutated(question.get(&QUESTIONS[..]).as_str(), mutations);
        match plans(&text) {
            Ok(plans) => prop_assert!(!plans.iter().any(writes), "{text}"),
            Err(error) => is_told(&error),
        }
    }
}

#[test]
fn writes_are_refused_before_anything_is_planned() {
    const WRITES: &[&str] = &[
        "INSERT INTO asyncoperation (name) VALUES ('x')",
        "INSERT asyncoperation DEFAULT VALUES",
        "UPDATE asyncoperation SET name = 'x'",
        "DELETE FROM asyncoperation",
        "DELETE asyncoperation WHERE 1 = 1",
        "MERGE asyncoperation USING workflow ON 1 = 1 WHEN MATCHED THEN DELETE",
        "TRUNCATE TABLE asyncoperation",
        "DROP TABLE asyncoperation",
        "CREATE TABLE t (a int)",
        "CREATE VIEW v AS SELECT 1 AS a",
        "ALTER TABLE asyncoperation ADD a int",
        "SELECT name INTO t FROM asyncoperation",
        "COPY asyncoperation FROM STDIN",
        "COPY asyncoperation TO '/tmp/x'",
        "GRANT SELECT ON asyncoperation TO public",
        "EXEC ('DELETE FROM asyncoperation')",
        "VACUUM",
    ];
    const DISGUISES: &[&str] = &[
        "{}",
        "{};",
        "SELECT 1 AS a; {}",
        "SELECT 1 AS a\n{}",
        "/* x */ -- y\n{}",
        "IF 1 = 1 {}",
        "IF 1 = 0 SELECT 1 AS a ELSE {}",
        "BEGIN {} END",
        "BEGIN TRANSACTION; {}; COMMIT",
        "WHILE 1 = 0 {}",
        "DECLARE @a int = 1 {}",
        "SELECT 1 AS a\nGO\n{}",
        "EXPLAIN {}",
        "EXPLAIN ANALYZE {}",
        "WITH x AS (SELECT 1 AS a) {}",
        "WITH x AS ({}) SELECT * FROM x",
        "SELECT * FROM ({}) AS x",
        "({})",
        "PREPARE p AS {}",
    ];
    for write in WRITES {
        for disguise in DISGUISES {
            let text = disguise.replace("{}", write);
            match plans(&text) {
                Ok(_) => panic!("not refused: {text}"),
                Err(error) => {
                    let known = ["25006", "0A000", "42601"];
                    let state = error.sqlstate.unwrap_or_default();
                    assert!(known.contains(&state), "{text}: {state} {error}");
                }
            }
        }
    }
}
