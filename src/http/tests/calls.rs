//! Golden scripts of the calls about jobs: what clients, workers and time do, `----`,
//! and what each call answers. `UPDATE_GOLDEN=1` writes the answers anew, for review
//! with `git diff`.
//!
//! ```text
//! frozen                            no scheduler runs; else four jobs of a type at once
//! jobs in every state               eight jobs of type 54, named for their status
//! POST /sysjob/claim {…}            a call; below the Web API's base without a leading /
//! wait 60                           seconds go by
//! states, history                   of all jobs; of the history what is new
//! sql SELECT …                      rows of a query
//! ```
//!
//! `{Name}` is the id of the job with that name, in calls and in answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Answer, Server, each_golden_file, start_as, stored};
use crate::clock::{Clock, ManualClock};
use crate::job::{Handler, JobColumns};
use crate::messages;
use crate::scheduler::Policies;
use crate::scheduler::policy::{RateGuard, RepeatedFailure, Retry};
use crate::store::Change;
use crate::value::{Guid, Value, guid_text, parse_time};

const SECOND: i64 = 1_000_000;

#[test]
fn calls() {
    each_golden_file("calls", check);
}

/// Runs every script of a file; where one went otherwise, how.
fn check(path: &Path) -> Option<String> {
    let golden = std::fs::read_to_string(path).expect("a text");
    let mut actual = Vec::new();
    for record in golden.trim_end().split("\n====\n") {
        let (script, _) = record.split_once("\n----\n").unwrap_or((record, ""));
        assert!(script.starts_with("# "), "a script starts with a title: {script}");
        actual.push(format!("{script}\n----\n{}", World::run(script)));
    }
    let actual = actual.join("\n====\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &actual).expect("the golden file is writable");
        return None;
    }
    let mut records = golden.split("\n====\n").zip(actual.split("\n====\n"));
    let found = records.find(|(golden, actual)| golden != actual);
    found.map(|(golden, actual)| format!("{} has\n{golden}\nand it is\n{actual}\n", path.display()))
}

/// Four at once, definitions in trouble after two failures, the rate guard at once.
fn policies() -> Policies {
    Policies {
        retry: Retry { jitter: 0.0, ..Retry::default() },
        repeated_failure: RepeatedFailure {
            after: 2,
            first: 300 * SECOND,
            longest: 3_600 * SECOND,
        },
        rate_guard: RateGuard {
            window: 60 * SECOND,
            windows: 1,
            backlog: 2,
            suspend: true,
            canaries: 1,
        },
        ..Policies::with_concurrency(4)
    }
}

/// A service, what is known of its jobs, and what was said of it.
struct World {
    server: Server,
    clock: Arc<ManualClock>,
    live: bool,
    ids: BTreeMap<String, String>,
    /// The last row of history that was told.
    told: i64,
    out: Vec<String>,
}

impl World {
    fn run(script: &str) -> String {
        let mut lines = script.lines().skip(1).filter(|line| !line.is_empty()).peekable();
        let live = lines.next_if(|line| *line == "frozen").is_none();
        let (dir, store) = stored(0);
        messages::register(&store).expect("the messages are there");
        let c = JobColumns::of(store.catalog());
        let facts = &store.catalog().tables()[c.table];
        let name = facts.column_index("name").expect("documented");
        // An export has such rows: a workflow waits for its event.
        let event = vec![
            (c.asyncoperationid, Value::Guid(key(0xe))),
            (name, Value::Text("Event".into())),
            (c.operationtype, Value::Int32(10)),
            (c.createdon, Value::Time(0)),
            (c.sequence, Value::Int64(0)),
            (c.statecode, Value::Int32(1)),
            (c.statuscode, Value::Int32(10)),
            (c.iswaitingforevent, Value::Boolean(true)),
            (c.handler, Value::Text(Handler::Worker {}.to_json())),
        ];
        let change = Change::Insert { table: c.table, values: event };
        store.commit_blocking(vec![change]).expect("durable");
        let now = parse_time("2024-05-01T10:15:00Z").expect("a time");
        let clock = Arc::new(ManualClock::at(now));
        let ticks = clock.clone();
        let server = start_as(dir, store, live.then(policies), move |service| {
            service.clock = ticks;
        });
        let ids = BTreeMap::from([("Event".to_owned(), guid_text(&key(0xe)))]);
        let mut world = Self { server, clock, live, ids, told: 0, out: Vec::new() };
        world.settle();
        if !live {
            world.out.push("frozen".into());
        }
        for line in lines {
            world.out.push(line.to_owned());
            world.carry_out(line);
        }
        world.out.join("\n")
    }

    fn carry_out(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "#" => {}
            "jobs" => self.jobs_in_every_state(),
            "wait" => {
                let seconds: i64 = rest.parse().expect("seconds");
                self.clock.set(self.clock.now() + seconds * SECOND);
                self.settle();
            }
            "states" => self.rows(
                "SELECT name, statecode, statuscode, retrycount, waitreason FROM asyncoperation \
                 ORDER BY createdon, sequence",
                |row| {
                    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
                    format!(
                        "{} {}/{} {}",
                        text("name"),
                        row["statecode"],
                        row["statuscode"],
                        text("waitreason")
                    )
                },
            ),
            "history" => self.history(),
            "sql" => self.rows(rest, Json::to_string),
            method => {
                let (path, body) = rest.split_once(" {").map_or_else(
                    || {
                        rest.split_once(" [")
                            .map_or((rest, String::new()), |(p, b)| (p, format!("[{b}")))
                    },
                    |(path, body)| (path, format!("{{{body}")),
                );
                let answer = self.call(method, path, &body);
                self.say(&answer);
                self.settle();
            }
        }
    }

    /// Lets the scheduler do what can be done now: work that takes no time ends one
    /// round after it was picked.
    fn settle(&mut self) {
        for _ in 0..if self.live { 4 } else { 0 } {
            assert_eq!(self.call("POST", "/sysjob/heartbeat", "[]").status, 200);
        }
    }

    fn call(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let (path, body) = (self.with_ids(path), self.with_ids(body));
        let path = match path.starts_with('/') {
            true => path,
            false => format!("/api/data/v9.2/{path}"),
        };
        let headers = [("Content-Type", "application/json"), ("If-Match", "*")];
        let headers = if method == "PATCH" { &headers[..] } else { &headers[..1] };
        self.server.send(method, &path.replace(' ', "%20"), headers, &body)
    }

    /// Puts ids in the place of `{Name}`.
    fn with_ids(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, after) = rest.split_at(start);
            out.push_str(before);
            let name = after[1..].split_once('}').map(|(name, _)| name).filter(|name| {
                name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphanumeric)
            });
            match name {
                Some(name) => {
                    let next = u8::try_from(self.ids.len()).expect("few jobs");
                    let id =
                        self.ids.entry(name.to_owned()).or_insert_with(|| guid_text(&key(next)));
                    out.push_str(id);
                    rest = &after[name.len() + 2..];
                }
                None => {
                    out.push('{');
                    rest = &after[1..];
                }
            }
        }
        out + rest
    }

    /// Status and body, where each element of an array has a line.
    fn say(&mut self, answer: &Answer) {
        let mut body: Json = serde_json::from_str(&answer.text).unwrap_or(Json::Null);
        if let Some(object) = body.as_object_mut() {
            object.retain(|name, _| !name.starts_with("@odata."));
        }
        let lines: Vec<String> = match &body {
            Json::Null => vec![answer.status.to_string()],
            Json::Array(items) => [answer.status.to_string()]
                .into_iter()
                .chain(items.iter().map(|item| format!("  {item}")))
                .collect(),
            _ => vec![format!("{} {body}", answer.status)],
        };
        lines.into_iter().for_each(|line| self.tell(&line));
    }

    /// A line of an answer, with the names of jobs.
    fn tell(&mut self, line: &str) {
        let mut line = super::golden::without_random_ids(line);
        for (name, id) in &self.ids {
            line = line.replace(id, &format!("{{{name}}}"));
        }
        self.out.push(format!("  {line}"));
    }

    fn rows(&mut self, text: &str, line: impl Fn(&Json) -> String) {
        let question = json!({"dialect": "sql", "text": text, "format": "json"});
        let answer = self.call("POST", "/sysjob/query", &question.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text);
        let lines: Vec<String> = answer.json().as_array().expect("rows").iter().map(line).collect();
        lines.iter().for_each(|line| self.tell(line));
    }

    fn history(&mut self) {
        let text = format!(
            "SELECT jobhistoryid, asyncoperationid, fromstatuscode, tostatuscode, attempt, actor, \
             reason FROM jobhistory WHERE jobhistoryid > {} ORDER BY jobhistoryid",
            self.told
        );
        let last = std::cell::Cell::new(self.told);
        self.rows(&text, |row| {
            last.set(row["jobhistoryid"].as_i64().expect("a number"));
            let shown = |name: &str, none: &str| match &row[name] {
                Json::Null => none.to_owned(),
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            format!(
                "{} {} -> {}, {}: {}",
                shown("asyncoperationid", ""),
                shown("fromstatuscode", "new"),
                shown("tostatuscode", "gone"),
                shown("actor", ""),
                shown("reason", "")
            )
        });
        self.told = last.get();
    }

    fn jobs_in_every_state(&mut self) {
        let names = [
            "Running",
            "Pausing",
            "Canceling",
            "Succeeded",
            "Failed",
            "Canceled",
            "Ready",
            "Waiting",
        ];
        for name in names {
            let until = if name == "Waiting" { r#","postponeuntil":"2024-06-01""# } else { "" };
            let body = format!(
                r#"{{"asyncoperationid":"{{{name}}}","name":"{name}","operationtype":54,"handler":{{"worker":{{}}}}{until}}}"#
            );
            assert_eq!(self.call("POST", "/sysjob/jobs", &body).status, 201, "{body}");
            let mut ok = |call: &str, body: &str| {
                let answer = self.call("POST", &format!("/sysjob/{call}"), body);
                assert_eq!(answer.status, 200, "{body}: {}", answer.text);
            };
            let act = |action: &str| format!(r#"{{"action":"{action}","ids":["{{{name}}}"]}}"#);
            let end = |outcome: &str| {
                format!(r#"{{"asyncoperationid":"{{{name}}}","attempt":1,"outcome":"{outcome}"}}"#)
            };
            if !matches!(name, "Ready" | "Waiting" | "Canceled") {
                ok("claim", r#"{"worker":"w","lease_s":3600}"#);
            }
            match name {
                "Pausing" => ok("actions", &act("pause")),
                "Canceling" => ok("actions", &act("cancel")),
                "Succeeded" => ok("complete", &end("succeeded")),
                "Failed" => ok("complete", &end("failed")),
                "Canceled" => ok("actions", &act("cancel")),
                _ => {}
            }
        }
        // Nobody asks what came before.
        self.told = i64::MAX;
        let last = "SELECT MAX(jobhistoryid) AS last FROM jobhistory";
        let question = json!({"dialect": "sql", "text": last, "format": "json"});
        let answer = self.call("POST", "/sysjob/query", &question.to_string()).json();
        self.told = answer[0]["last"].as_i64().expect("a number");
    }
}

fn key(n: u8) -> Guid {
    let mut id = [0; 16];
    id[15] = n;
    id
}
