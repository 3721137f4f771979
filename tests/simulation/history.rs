//! The history of jobs as people ask for it: the same rows in the three dialects.

#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use sysjob::clock::ManualClock;
use sysjob::dialect::Dialect;
use sysjob::engine::Engine;
use sysjob::job::handler::SimulatedOutcome::{Hang, Succeed};
use sysjob::job::{Action, ActionRequest, Status};

use crate::driver::{Live, START, id, with};

const SECOND: i64 = 1_000_000;

const COLUMNS: [&str; 9] = [
    "jobhistoryid",
    "fromstatecode",
    "fromstatuscode",
    "tostatecode",
    "tostatuscode",
    "attempt",
    "actor",
    "reason",
    "durationms",
];

/// The rows of a job in a dialect, in order, as arrays of [`COLUMNS`].
async fn asked(live: &Live, dialect: Dialect, number: u8) -> Vec<Json> {
    let job = sysjob::value::guid_text(&id(number));
    let listed = COLUMNS.join(", ");
    let text = match dialect {
        Dialect::Sql => format!(
            "SELECT {listed} FROM jobhistory WHERE asyncoperationid = '{job}' ORDER BY jobhistoryid"
        ),
        Dialect::OData => format!(
            "jobhistories?$select={}&$filter=asyncoperationid eq {job}&$orderby=jobhistoryid",
            COLUMNS.join(",")
        ),
        Dialect::FetchXml => {
            let attributes = COLUMNS.map(|name| format!("<attribute name='{name}'/>")).concat();
            format!(
                "<fetch><entity name='jobhistory'>{attributes}<filter><condition attribute='asyncoperationid' operator='eq' value='{job}'/></filter><order attribute='jobhistoryid'/></entity></fetch>"
            )
        }
    };
    let engine = Engine::new();
    let rows = support::answer(&engine, &live.store.snapshot(), dialect, &text).await;
    let cells = |row: serde_json::Map<String, Json>| {
        COLUMNS.map(|name| row.get(name).cloned().unwrap_or(Json::Null))
    };
    rows.expect("an answer").into_iter().map(|row| json!(cells(row))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_reads_the_same_in_every_dialect() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 1);
    live.submit([live.new_job(1, Some((0.0, Hang))), live.new_job(2, Some((5.0, Succeed)))]).await;
    let request = |action, reason: Option<&str>| ActionRequest {
        id: id(1),
        action,
        by: [7; 16],
        reason: reason.map(str::to_owned),
    };
    clock.set(START + 3 * SECOND);
    live.jobs.act(vec![request(Action::Pause, Some("for lunch"))]).await.expect("an answer");
    live.until("the pause", |rows| with(rows, Status::Waiting) == [1]).await;
    clock.set(START + 4 * SECOND);
    live.until("the end of the second", |rows| with(rows, Status::Succeeded) == [2]).await;
    live.jobs.act(vec![request(Action::Cancel, None)]).await.expect("an answer");
    live.jobs.act(vec![request(Action::Delete, None)]).await.expect("an answer");

    let system = sysjob::value::guid_text(&sysjob::identity::SYSTEM_USER);
    let ann = "07070707-0707-0707-0707-070707070707";
    let first = [
        json!([1, null, null, 0, 0, null, system, "created", null]),
        json!([2, 0, 0, 2, 20, 1, "scheduler", "picked", 0]),
        json!([4, 2, 20, 2, 21, 1, ann, "for lunch", 3000]),
        json!([5, 2, 21, 1, 10, 1, "scheduler", "paused as asked", 0]),
        json!([8, 1, 10, 3, 32, 1, ann, "canceled", 1000]),
        json!([9, 3, 32, null, null, 1, ann, "deleted", 0]),
    ];
    let second = [
        json!([3, null, null, 0, 0, null, system, "created", null]),
        json!([6, 0, 0, 2, 20, 1, "scheduler", "picked", 3000]),
        json!([7, 2, 20, 3, 30, 1, "scheduler", "succeeded", 1000]),
    ];
    for dialect in [Dialect::Sql, Dialect::OData, Dialect::FetchXml] {
        let numbered = |mut rows: Vec<Json>| {
            // SQL and the Web API may write a bigint as text or as a number.
            for row in &mut rows {
                for cell in row.as_array_mut().into_iter().flatten() {
                    if let Some(number) = cell.as_str().and_then(|text| text.parse::<i64>().ok()) {
                        *cell = json!(number);
                    }
                }
            }
            rows
        };
        assert_eq!(numbered(asked(&live, dialect, 1).await), first, "{dialect:?}");
        assert_eq!(numbered(asked(&live, dialect, 2).await), second, "{dialect:?}");
    }
    live.stop().await;
}
