//! No text makes the T-SQL dialect panic: reading it, settling its names, or
//! planning its queries, whichever of them would be run.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sysjob::catalog::Catalog;
use sysjob::dialect::tsql::{Script, Session, Statement, Step};
use sysjob::engine::Engine;
use sysjob::script::plan;
use sysjob::store::{Snapshot, Store};

/// Empty tables: plans do not depend on rows.
static WORLD: LazyLock<(Engine, Arc<Snapshot>)> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("sysjob-fuzz-{}", std::process::id()));
    let store = Store::open(&folder, Arc::new(Catalog::built_in())).expect("a store");
    let snapshot = store.snapshot();
    drop(store);
    let _ = std::fs::remove_dir_all(&folder);
    (Engine::new(), snapshot)
});

fuzz_target!(|text: &str| {
    let (engine, snapshot) = &*WORLD;
    // A refusal is as good as an answer.
    let Ok(script) = Script::parse(text, std::iter::empty()) else { return };
    let mut session = Session::default();
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
                let planned = plan(query, engine, snapshot, &session);
                let _ = planned.and_then(|plan| engine.optimized(plan));
            }
            _ => {}
        }
    }
});
