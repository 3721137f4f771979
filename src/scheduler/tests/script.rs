//! Reads a script and carries it out. A line is a command, its names, and options
//! `key=value`; a value with blanks stands in quotes. Times are `+60` or `-60`,
//! seconds from now, or written out.
//!
//! ```text
//! policy concurrency=1            retry, repeated-failure, rate-guard, pool, time-limit, depth
//! workflow W active               draft, deleted; step S enabled; autodelete
//! create A B type=10 token=t      handler=work|worker|none definition=W createdon=-60 …
//! jobs in every state type=10     eight jobs, named for their status
//! end A succeeded                 failed|retry|suspended|canceled|waits code=0x80040265
//! cancel A because="too late"     pause, resume, postpone A until=+60, delete
//! claim w max=1 lease=30          beat A lease=30
//! listens A, happens R, wait 60, crash, stop, why A, show A
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::{SECOND, START, World};
use crate::job::handler::{SimulatedOutcome, Simulation};
use crate::job::report::WORKFLOW;
use crate::job::{Action, Handler, Outcome, Report, Status};
use crate::scheduler::core::{Actor, Core, Definition, Event};
use crate::scheduler::policy::PoolPolicy;
use crate::value::{Value, parse_time};

/// Who acts in scripts.
const OPERATOR: &str = "Ann";

/// What a script says, after each of its lines.
pub fn run(script: &str, shown: &mut BTreeSet<String>) -> String {
    let mut world = World::new();
    for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        world.say(line);
        Command::read(line).carry_out(&mut world);
    }
    shown.append(&mut world.shown);
    world.out.join("\n")
}

struct Command {
    line: String,
    name: String,
    words: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Command {
    fn read(line: &str) -> Self {
        let mut parts = Vec::new();
        let mut quoted = false;
        let mut part = String::new();
        for letter in line.chars().chain([' ']) {
            match letter {
                '"' => quoted = !quoted,
                ' ' if !quoted => {
                    parts.extend((!part.is_empty()).then(|| std::mem::take(&mut part)))
                }
                _ => part.push(letter),
            }
        }
        let mut words = Vec::new();
        let mut options = BTreeMap::new();
        for part in parts {
            match part.split_once('=') {
                Some((key, value)) => {
                    options.insert(key.to_owned(), value.to_owned());
                }
                None => words.push(part),
            }
        }
        let name = words.remove(0);
        Self { line: line.to_owned(), name, words, options }
    }

    fn wrong(&self) -> ! {
        panic!("no such command: {}", self.line)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        let read = |text: &str| text.parse().ok();
        self.text(key).map(|text| read(text).unwrap_or_else(|| self.wrong()))
    }

    fn micros(&self, key: &str) -> Option<i64> {
        self.number::<i64>(key).map(|seconds| seconds * SECOND)
    }

    fn time(&self, key: &str, now: i64) -> Option<i64> {
        let text = self.text(key)?;
        let seconds = text.strip_prefix('+').unwrap_or(text).parse::<i64>().ok();
        let written = || parse_time(text).unwrap_or_else(|| self.wrong());
        Some(seconds.map_or_else(written, |seconds| now + seconds * SECOND))
    }

    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or_else(|| self.wrong(), String::as_str)
    }

    fn carry_out(&self, world: &mut World) {
        match self.name.as_str() {
            "policy" => self.policy(world),
            "workflow" | "step" => self.define(world),
            "create" => {
                for name in &self.words {
                    self.create(name, world);
                }
            }
            "jobs" => self.jobs_in_every_state(world),
            "end" => self.end(world),
            "cancel" | "pause" | "resume" | "postpone" | "delete" => {
                for name in &self.words {
                    self.act(name, world);
                }
            }
            "claim" => {
                let types = self.text("types");
                let operationtypes = types.map(|types| {
                    types.split(',').map(|code| code.parse().expect("a type")).collect()
                });
                world.step(Event::Claim {
                    worker: Arc::from(self.word(0)),
                    operationtypes,
                    max: self.number("max").unwrap_or(1),
                    lease: self.micros("lease").unwrap_or(30 * SECOND),
                });
            }
            "beat" => {
                let id = world.id(self.word(0));
                let attempt = self.attempt(world);
                let lease = self.micros("lease").unwrap_or(30 * SECOND);
                world.step(Event::Heartbeat { id, attempt, lease });
            }
            "happens" => {
                let record = world.id(self.word(0));
                world.step(Event::Happened { record });
            }
            "listens" => {
                let (id, attempt) = (world.id(self.word(0)), self.attempt(world));
                world.step(Event::Listens { id, attempt });
            }
            "wait" => {
                let seconds: i64 = self.word(0).parse().expect("seconds");
                world.pass(world.now + seconds * SECOND);
            }
            "clock" => world.now = self.time("at", world.now).expect("a time"),
            "crash" => world.restart(),
            "stop" => {
                world.step(Event::Drain);
                world.step(Event::Stop);
            }
            "start" => world.restart(),
            "why" => self.why(world),
            "show" => self.show(world),
            _ => self.wrong(),
        }
    }

    fn policy(&self, world: &mut World) {
        let policies = &mut world.policies;
        let what = self.words.first().map(String::as_str);
        match what {
            Some("pool") => policies.pools.push(PoolPolicy {
                name: self.word(1).into(),
                operationtypes: self.text("types").map_or_else(Vec::new, |types| {
                    types.split(',').map(|code| code.parse().expect("a type")).collect()
                }),
                concurrency: self.number("concurrency").expect("a number"),
            }),
            Some("retry") => {
                let mut retry = policies.retry;
                retry.max = self.number("max").unwrap_or(retry.max);
                retry.first = self.micros("first").unwrap_or(retry.first);
                retry.longest = self.micros("longest").unwrap_or(retry.longest);
                retry.jitter = self.number("jitter").unwrap_or(0.0);
                match self.number("type") {
                    Some(code) => {
                        policies.retry_by_type.insert(code, retry);
                    }
                    None => policies.retry = retry,
                }
            }
            Some("repeated-failure") => {
                let rule = &mut policies.repeated_failure;
                rule.after = self.number("after").unwrap_or(rule.after);
                rule.first = self.micros("first").unwrap_or(rule.first);
                rule.longest = self.micros("longest").unwrap_or(rule.longest);
            }
            Some("rate-guard") => {
                let rule = &mut policies.rate_guard;
                rule.window = self.micros("window").unwrap_or(rule.window);
                rule.windows = self.number("windows").unwrap_or(rule.windows);
                rule.backlog = self.number("backlog").unwrap_or(rule.backlog);
                rule.suspend = self.number("suspend").unwrap_or(rule.suspend);
                rule.canaries = self.number("canaries").unwrap_or(rule.canaries);
            }
            Some("time-limit") => {
                let code = self.number("type").expect("a type");
                policies.time_limits.insert(code, self.micros("seconds").expect("seconds"));
            }
            Some("depth") => policies.depth_max = self.number("max").expect("a number"),
            None => policies.concurrency = self.number("concurrency").expect("a number"),
            Some(_) => self.wrong(),
        }
        world.core = Core::new(world.policies.clone());
    }

    fn define(&self, world: &mut World) {
        let id = world.id(self.word(0));
        let workflow = self.name == "workflow";
        let autodelete = self.words.iter().any(|word| word == "autodelete");
        let definition = |active| Some(Definition { workflow, active, autodelete });
        let definition = match self.word(1) {
            "active" | "enabled" => definition(true),
            "draft" | "disabled" => definition(false),
            "deleted" => None,
            _ => self.wrong(),
        };
        world.step(Event::Defined { id, definition });
    }

    fn create(&self, name: &str, world: &mut World) {
        let c = world.columns();
        let code = self.number("type").unwrap_or(54);
        let handler = match self.text("handler") {
            None | Some("work") => {
                Some(Handler::simulate(Simulation::new(1.0, SimulatedOutcome::Succeed)))
            }
            Some("worker") => Some(Handler::Worker {}),
            Some("none") => None,
            Some(_) => self.wrong(),
        };
        let now = world.now;
        let time = |key| self.time(key, now).map_or(Value::Null, Value::Time);
        let text = |key| self.text(key).map_or(Value::Null, |text| Value::Text(text.to_owned()));
        let mut cells = vec![
            (c.asyncoperationid, Value::Guid(world.id(name))),
            (c.operationtype, Value::Int32(code)),
            (c.handler, handler.map_or(Value::Null, |handler| Value::Text(handler.to_json()))),
            (c.createdon, time("createdon")),
            (c.postponeuntil, time("postponeuntil")),
            (c.recurrencestarttime, time("start")),
            (c.dependencytoken, text("token")),
            (c.recurrencepattern, text("pattern")),
            (c.depth, self.number("depth").map_or(Value::Null, Value::Int32)),
            (c.retainjobhistory, self.number("retain").map_or(Value::Null, Value::Boolean)),
        ];
        for (key, column) in [
            ("definition", c.owningextensionid),
            ("regarding", c.regardingobjectid),
            ("by", c.createdby),
        ] {
            let id = self.text(key).map(|name| world.id(name));
            cells.extend(id.map(|id| (column, Value::Guid(id))));
        }
        let by = self.text("by").map_or(Actor::Scheduler, |name| Actor::User(world.id(name)));
        match world.create(cells) {
            Ok((job, _)) => {
                world.step(Event::Created { job, actor: by });
            }
            Err(error) => world.say(format!("  refused with 0x{:08X}: {error}", error.code)),
        }
    }

    /// Three of them take the places of the pool, so that one is ready and waits.
    fn jobs_in_every_state(&self, world: &mut World) {
        let quiet = world.out.len();
        world.policies.concurrency = 3;
        world.core = Core::new(world.policies.clone());
        let code = self.text("type").unwrap_or("54").to_owned();
        let carry_out = |world: &mut World, text: &str| Self::read(text).carry_out(world);
        for (name, then) in [
            ("Succeeded", vec!["end Succeeded succeeded"]),
            ("Failed", vec!["end Failed failed code=0x80040265"]),
            ("Canceled", vec!["end Canceled canceled"]),
            ("Waiting", vec!["end Waiting suspended"]),
            ("Running", vec![]),
            ("Pausing", vec!["pause Pausing"]),
            ("Canceling", vec!["cancel Canceling"]),
            ("Ready", vec![]),
        ] {
            carry_out(world, &format!("create {name} type={code}"));
            for line in then {
                carry_out(world, line);
            }
        }
        world.now += 5 * SECOND;
        world.out.truncate(quiet);
    }

    /// The attempt that is named, else the latest.
    fn attempt(&self, world: &mut World) -> i32 {
        let id = world.id(self.word(0));
        let latest = world.job(&id).map_or(0, |job| job.attempt);
        self.number("attempt").unwrap_or(latest)
    }

    fn end(&self, world: &mut World) {
        let id = world.id(self.word(0));
        let attempt = self.attempt(world);
        let until = self.time("until", world.now);
        let outcome = match self.word(1) {
            "succeeded" => Outcome::Succeeded,
            "failed" => Outcome::Failed,
            "retry" => Outcome::Retry,
            "suspended" => Outcome::Suspended,
            "canceled" => Outcome::Canceled,
            "waits" => Outcome::Waits { until },
            _ => self.wrong(),
        };
        let code = self.text("code").map(|code| {
            let digits = code.strip_prefix("0x").unwrap_or_else(|| self.wrong());
            u32::from_str_radix(digits, 16).expect("a code") as i32
        });
        let text = |key| self.text(key).map(str::to_owned);
        let report = Report {
            errorcode: code,
            message: text("message"),
            friendlymessage: text("friendlymessage").or(text("message")),
            workflowstate: text("state"),
            workflowstagename: text("stage"),
            ..Report::of(outcome)
        };
        if let Some(job) = world.job(&id) {
            let workflow = job.operationtype == Some(WORKFLOW);
            let of = if workflow { "workflow" } else { "other" };
            let code = code.map_or("none".into(), |code| format!("0x{code:08X}"));
            if outcome == Outcome::Failed {
                world.shown.insert(format!("error {code} {of}"));
            }
            world.shown.insert(format!("{} at {}", self.word(1), job.status.statuscode()));
        }
        world.step(Event::Ended { id, attempt, report });
    }

    fn act(&self, name: &str, world: &mut World) {
        let (id, by) = (world.id(name), world.id(OPERATOR));
        let action = match self.name.as_str() {
            "cancel" => Action::Cancel,
            "pause" => Action::Pause,
            "resume" => Action::Resume,
            "postpone" => Action::Postpone(self.time("until", world.now).expect("a time")),
            _ => Action::Delete,
        };
        let Some(job) = world.job(&id) else { panic!("no job {name}: {}", self.line) };
        let platform = if job.operationtype == Some(16) { " of the platform" } else { "" };
        let status: Status = job.status;
        world.shown.insert(format!("{} {}{platform}", self.name, status.statuscode()));
        let reason = self.text("because").map(str::to_owned);
        world.step(Event::Action { job, action, by, reason });
    }

    fn why(&self, world: &mut World) {
        for name in &self.words {
            let id = world.id(name);
            let Some(job) = world.job(&id) else { panic!("no job: {}", self.line) };
            let why = world.core.why(&job, world.now);
            world.shown.insert(format!("why {}", why.verdict));
            let text = world.value(&Value::Text(why.text));
            let causes: Vec<&str> = why.chain.iter().map(|link| link.cause).collect();
            world.say(format!("  {}: {}", causes.join(", "), text.trim_matches('"')));
        }
    }

    /// All cells of a row.
    fn show(&self, world: &mut World) {
        let id = world.id(self.word(0));
        let facts = world.catalog.tables()[world.columns().table].clone();
        let row = world.table[&id].clone();
        let (mut filled, mut empty) = (Vec::new(), Vec::new());
        for (column, facts) in facts.columns.iter().enumerate() {
            let name = facts.logical_name.as_str();
            if name.starts_with("sysjob_") {
                continue;
            }
            match row.get(&column).filter(|value| **value != Value::Null) {
                Some(value) => {
                    world.shown.insert(format!("{name} shown"));
                    filled.push(format!("  {name}: {}", world.value(value)));
                }
                // Names, versions and reasons are not written with the row.
                None if facts.attribute_of.is_some() => {}
                None if ["versionnumber", "waitreason"].contains(&name) => {}
                None => empty.push(name.to_owned()),
            }
        }
        filled.sort();
        empty.sort();
        world.out.extend(filled);
        world.say(format!("  empty: {}", empty.join(", ")));
    }
}

#[test]
fn a_script_begins_on_a_monday() {
    assert_eq!(parse_time("2026-01-05T12:00:00Z"), Some(START));
    let command = Command::read("cancel A because=\"too late\" until=+5");
    assert_eq!((command.name.as_str(), command.word(0)), ("cancel", "A"));
    assert_eq!(command.text("because"), Some("too late"));
    assert_eq!(command.time("until", 7), Some(5 * SECOND + 7));
}
