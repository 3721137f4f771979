//! The rules of the core, one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::job::handler::{SimulatedOutcome, Simulation};
use crate::job::{Handler, Outcome, Recurrence, Report};
use crate::scheduler::policy::{PoolPolicy, RateGuard, Retry};

const SECOND: i64 = 1_000_000;

/// A core and what its steps have said.
struct Told {
    core: Core,
    now: i64,
    started: Vec<(u8, i32)>,
    statuses: BTreeMap<u8, Status>,
    last: Step,
    reasons: Vec<(u8, String)>,
}

fn id(n: u8) -> Guid {
    [n; 16]
}

fn simulated() -> Option<Arc<Handler>> {
    Some(Arc::new(Handler::simulate(Simulation::new(1.0, SimulatedOutcome::Succeed))))
}

fn remote() -> Option<Arc<Handler>> {
    Some(Arc::new(Handler::Worker {}))
}

fn job(n: u8) -> Job {
    Job {
        handler: simulated(),
        operationtype: Some(54),
        ..Job::new(id(n), i64::from(n), i64::from(n))
    }
}

impl Told {
    fn new(policies: Policies) -> Self {
        Self {
            core: Core::new(policies),
            now: 1_000 * SECOND,
            started: Vec::new(),
            statuses: BTreeMap::new(),
            last: Step::default(),
            reasons: Vec::new(),
        }
    }

    fn one_at_a_time() -> Self {
        Self::new(Policies::with_concurrency(1))
    }

    fn step(&mut self, event: Event) -> &Step {
        self.last = self.core.step(event, self.now);
        for change in self.last.jobs() {
            self.reasons.push((change.id[0], change.reason.to_string()));
            match change.to {
                Some(status) => self.statuses.insert(change.id[0], status),
                None => self.statuses.remove(&change.id[0]),
            };
        }
        for effect in &self.last.effects {
            if let Effect::Start { id, attempt, .. } = effect {
                self.started.push((id[0], *attempt));
            }
        }
        &self.last
    }

    fn create(&mut self, job: Job) {
        self.step(Event::Created { job, actor: Actor::Scheduler });
    }

    fn end(&mut self, n: u8, attempt: i32, outcome: Outcome) {
        self.report(n, attempt, Report::of(outcome));
    }

    fn report(&mut self, n: u8, attempt: i32, report: Report) {
        self.step(Event::Ended { id: id(n), attempt, report });
    }

    fn act(&mut self, n: u8, action: Action) -> Option<u32> {
        let job = self.core.job(&id(n)).cloned().unwrap_or_else(|| job(n));
        self.step(Event::Action { job, action, by: id(200), reason: None });
        self.last.refused.map(|refusal| refusal.code & 0xFFFF)
    }

    fn pass(&mut self, seconds: i64) {
        self.now += seconds * SECOND;
        self.step(Event::Tick);
    }

    fn claim(&mut self, max: usize, lease: i64) -> Vec<(u8, i32)> {
        let (operationtypes, lease) = (Some(vec![54]), lease * SECOND);
        self.step(Event::Claim { worker: "w".into(), operationtypes, max, lease });
        self.last.claimed.iter().map(|claimed| (claimed.id[0], claimed.attempt)).collect()
    }

    fn status(&self, n: u8) -> Status {
        self.statuses[&n]
    }

    fn get(&self, n: u8) -> &Job {
        self.core.job(&id(n)).expect("a known job")
    }

    fn reason(&self, n: u8) -> &str {
        let of = |(job, _): &&(u8, String)| *job == n;
        &self.reasons.iter().rev().find(of).expect("it has changed").1
    }

    fn why(&self, n: u8) -> Why {
        self.core.why(self.get(n), self.now)
    }
}

#[test]
fn the_oldest_starts_first_within_each_pool() {
    let pool = PoolPolicy { name: "both".into(), operationtypes: vec![10, 11], concurrency: 1 };
    let mut told = Told::new(Policies { pools: vec![pool], concurrency: 2, ..Policies::default() });
    for (n, operationtype) in [(1, 10), (2, 11), (3, 10), (4, 54), (5, 54), (6, 54)] {
        told.create(Job { operationtype: Some(operationtype), ..job(n) });
    }
    assert_eq!(told.started, [(1, 1), (4, 1), (5, 1)]);
    told.end(1, 1, Outcome::Succeeded);
    told.end(5, 1, Outcome::Succeeded);
    assert_eq!(told.started[3..], [(2, 1), (6, 1)]);
    assert_eq!(
        told.why(3).chain[0].pool.as_ref().map(|p| (p.name.as_str(), p.position)),
        Some(("both", 1))
    );
}

#[test]
fn jobs_of_a_token_run_one_after_another_through_everything() {
    let mut told = Told::new(Policies::default());
    let with = |n, token: &str| Job { token: Some(token.into()), ..job(n) };
    for n in 1..=4 {
        told.create(with(n, "a"));
    }
    told.create(with(5, "b"));
    assert_eq!(told.started, [(1, 1), (5, 1)], "each token has one");
    // A retry holds the chain.
    told.end(1, 1, Outcome::Retry);
    assert_eq!(told.status(1), Status::Waiting);
    assert_eq!(told.started.len(), 2);
    let why = told.why(3);
    assert_eq!(why.verdict, "token");
    let causes: Vec<&str> = why.chain.iter().map(|link| link.cause).collect();
    assert_eq!(causes, ["token", "retry"]);
    assert_eq!(why.chain[0].job, Some(id(1)));
    // A failure lets the next one go.
    told.pass(100);
    told.report(1, 2, Report::failed(None, None));
    assert_eq!(told.started[2..], [(1, 2), (2, 1)]);
    // A pause holds it, also while the handler is told.
    assert_eq!(told.act(2, Action::Pause), None);
    assert_eq!(told.status(2), Status::Pausing);
    told.end(2, 1, Outcome::Suspended);
    assert_eq!(told.status(2), Status::Waiting);
    assert_eq!(told.started.len(), 4);
    assert_eq!(told.why(2).verdict, "paused");
    // A deleted one leaves it.
    assert_eq!(told.act(2, Action::Delete), None);
    assert_eq!(told.started[4..], [(3, 1)]);
    // One that was postponed holds it too, until its time.
    let until = told.now + 10 * SECOND;
    assert_eq!(told.act(3, Action::Postpone(until)), None);
    told.end(3, 1, Outcome::Canceled);
    assert_eq!(told.get(3).postponeuntil, Some(until));
    told.pass(9);
    assert_eq!(told.started.len(), 5);
    told.pass(1);
    assert_eq!(told.started[5..], [(3, 2)]);
    told.end(3, 2, Outcome::Succeeded);
    assert_eq!(told.started[6..], [(4, 1)]);
}

#[test]
fn somebody_older_comes_before_the_head_but_not_beside_it() {
    let mut told = Told::new(Policies::default());
    let with = |n| Job { token: Some("a".into()), ..job(n) };
    told.create(with(5));
    told.create(with(3));
    assert_eq!(told.started, [(5, 1)], "never two at once");
    told.create(with(4));
    told.end(5, 1, Outcome::Succeeded);
    assert_eq!(told.started[1..], [(3, 1)]);
    // Waiting for a place, the offered one gives way.
    let mut told = Told::one_at_a_time();
    told.create(job(1));
    told.create(with(5));
    told.create(with(3));
    told.end(1, 1, Outcome::Succeeded);
    assert_eq!(told.started[1..], [(3, 1)]);
}

#[test]
fn plug_ins_have_no_token() {
    let mut told = Told::new(Policies::default());
    for n in 1..=2 {
        told.create(Job { operationtype: Some(1), token: Some("a".into()), ..job(n) });
    }
    assert_eq!(told.started, [(1, 1), (2, 1)]);
}

#[test]
fn a_job_without_a_handler_never_runs_and_holds_its_token() {
    let mut told = Told::new(Policies::default());
    told.create(Job { handler: None, token: Some("a".into()), ..job(1) });
    told.create(Job { token: Some("a".into()), ..job(2) });
    assert_eq!(told.started, []);
    let causes: Vec<&str> = told.why(2).chain.iter().map(|link| link.cause).collect();
    assert_eq!(causes, ["token", "no-handler"]);
    assert_eq!(told.act(1, Action::Cancel), None);
    assert_eq!(told.started, [(2, 1)]);
}

#[test]
fn late_reports_change_nothing() {
    let mut told = Told::new(Policies::default());
    told.create(job(1));
    told.end(1, 1, Outcome::Retry);
    told.pass(100);
    assert_eq!(told.started, [(1, 1), (1, 2)]);
    let before = told.get(1).clone();
    told.end(1, 1, Outcome::Succeeded);
    assert!(told.last.late && told.last.changes.is_empty());
    assert_eq!(*told.get(1), before);
    told.end(1, 2, Outcome::Succeeded);
    told.end(1, 2, Outcome::Succeeded);
    assert!(told.last.late);
    assert_eq!(told.status(1), Status::Succeeded);
}

#[test]
fn retries_wait_longer_and_longer_and_end() {
    let retry = Retry { max: 3, first: 10 * SECOND, longest: 30 * SECOND, jitter: 0.0 };
    for (operationtype, end) in [(54, Status::Failed), (10, Status::Waiting)] {
        let mut told = Told::new(Policies { retry, ..Policies::default() });
        told.create(Job { operationtype: Some(operationtype), ..job(1) });
        for (attempt, wait) in [(1, 10), (2, 20), (3, 30)] {
            told.report(1, attempt, Report::failed(Some(0x8004_A001_u32 as i32), None));
            let job = told.get(1);
            assert_eq!((job.retrycount, job.cause), (attempt, Cause::Retry));
            assert_eq!(job.postponeuntil, Some(told.now + wait * SECOND));
            told.pass(wait);
        }
        told.pass(5);
        told.end(1, 4, Outcome::Retry);
        assert_eq!(told.status(1), end);
        assert!(told.reason(1).ends_with("after 3 retries"), "{}", told.reason(1));
    }
}

#[test]
fn a_failure_ends_as_the_table_of_errors_says() {
    let code = |code: u32| Some(code as i32);
    for (operationtype, errorcode, status, cause) in [
        (54, None, Status::Failed, None),
        (10, None, Status::Waiting, Some(Cause::Error)),
        (10, code(0x8004_0265), Status::Failed, None),
        (1, code(0x8004_4306), Status::Waiting, Some(Cause::Retry)),
        (10, code(0x8004_5031), Status::Waiting, Some(Cause::Error)),
    ] {
        let mut told = Told::new(Policies::default());
        told.create(Job { operationtype: Some(operationtype), ..job(1) });
        told.report(1, 1, Report::failed(errorcode, Some("no".into())));
        assert_eq!(told.status(1), status, "{operationtype} {errorcode:?}");
        assert_eq!(told.core.job(&id(1)).map(|job| job.cause), cause);
    }
}

#[test]
fn what_was_asked_of_a_running_job_is_decided_by_its_end() {
    let until = 2_000 * SECOND;
    let postpone = Action::Postpone(until);
    for (action, outcome, status, at) in [
        (Action::Cancel, Outcome::Succeeded, Status::Succeeded, None),
        (Action::Cancel, Outcome::Failed, Status::Failed, None),
        (Action::Cancel, Outcome::Retry, Status::Canceled, None),
        (Action::Cancel, Outcome::Suspended, Status::Canceled, None),
        (Action::Cancel, Outcome::Canceled, Status::Canceled, None),
        (Action::Pause, Outcome::Succeeded, Status::Succeeded, None),
        (Action::Pause, Outcome::Failed, Status::Failed, None),
        (Action::Pause, Outcome::Retry, Status::Waiting, None),
        (Action::Pause, Outcome::Canceled, Status::Waiting, None),
        (postpone, Outcome::Suspended, Status::Waiting, Some(until)),
        (postpone, Outcome::Waits { until: None }, Status::Waiting, Some(until)),
    ] {
        let mut told = Told::new(Policies::default());
        told.create(Job { operationtype: Some(10), ..job(1) });
        assert_eq!(told.act(1, action), None);
        let told_to =
            if action == Action::Cancel { super::Told::Cancel } else { super::Told::Pause };
        let effect = Effect::Tell { id: id(1), attempt: 1, told: told_to };
        assert_eq!(told.last.effects, [effect]);
        // Only a cancel is still allowed, of what is not being canceled.
        assert_eq!(told.act(1, Action::Resume), Some(0x4162));
        assert_eq!(told.act(1, Action::Pause), Some(0x4162));
        told.report(1, 1, Report::of(outcome));
        assert_eq!(told.status(1), status, "{action:?} {outcome:?}");
        let left = told.core.job(&id(1));
        assert_eq!(left.and_then(|job| job.postponeuntil), at, "{action:?} {outcome:?}");
        let ended = matches!(outcome, Outcome::Succeeded | Outcome::Failed);
        assert_eq!(told.reason(1).ends_with("came too late"), ended, "{}", told.reason(1));
    }
}

#[test]
fn cancel_wins_over_pause_and_deletion_over_both() {
    let mut told = Told::new(Policies::default());
    told.create(job(1));
    assert_eq!(told.act(1, Action::Pause), None);
    assert_eq!(told.act(1, Action::Cancel), None);
    assert_eq!(told.act(1, Action::Cancel), Some(0x4162));
    assert_eq!(told.status(1), Status::Canceling);
    assert_eq!(told.act(1, Action::Delete), None);
    assert_eq!(told.last.effects, [Effect::Abandon { id: id(1), attempt: 1 }]);
    told.end(1, 1, Outcome::Succeeded);
    assert!(told.last.late && told.core.job(&id(1)).is_none());
}

#[test]
fn a_resumed_job_keeps_its_place_and_its_retries() {
    let mut told = Told::one_at_a_time();
    told.create(job(1));
    told.create(job(2));
    told.create(job(3));
    told.end(1, 1, Outcome::Retry);
    assert_eq!(told.started, [(1, 1), (2, 1)]);
    assert_eq!(told.act(1, Action::Resume), None);
    let job = told.get(1);
    assert_eq!((job.status, job.postponeuntil), (Status::WaitingForResources, None));
    assert_eq!(job.retrycount, 1);
    told.end(2, 1, Outcome::Succeeded);
    assert_eq!(told.started[2..], [(1, 2)], "before the younger one");
}

#[test]
fn leases_run_on_and_end() {
    let mut told = Told::new(Policies::with_concurrency(2));
    for n in 1..=3 {
        told.create(Job { handler: remote(), ..job(n) });
    }
    assert_eq!(told.started, [], "remote jobs wait for a claim");
    assert_eq!(told.claim(5, 30), [(1, 1), (2, 1)], "claims keep to the pool's places");
    assert_eq!(told.get(1).worker.as_deref(), Some("w"));
    told.pass(20);
    told.step(Event::Heartbeat { id: id(1), attempt: 1, lease: 30 * SECOND });
    assert_eq!(told.last.beat, Some(Beat::Continue));
    told.pass(20);
    assert_eq!(told.status(1), Status::InProgress);
    assert_eq!(told.status(2), Status::WaitingForResources);
    assert_eq!(told.get(2).retrycount, 1);
    told.end(2, 1, Outcome::Succeeded);
    assert!(told.last.late, "its lease has ended");
    assert_eq!(told.claim(5, 30), [(2, 2)]);
    // A worker learns of a cancel by its heartbeat.
    assert_eq!(told.act(2, Action::Cancel), None);
    assert_eq!(told.last.effects, []);
    told.step(Event::Heartbeat { id: id(2), attempt: 2, lease: 30 * SECOND });
    assert_eq!(told.last.beat, Some(Beat::Told(super::Told::Cancel)));
    told.step(Event::Heartbeat { id: id(2), attempt: 1, lease: 30 * SECOND });
    assert_eq!(told.last.beat, Some(Beat::Lost));
    told.pass(31);
    assert_eq!(told.status(2), Status::Canceled, "a cancel is not lost with its worker");
}

#[test]
fn an_attempt_may_take_the_time_of_its_type() {
    let mut told = Told::new(Policies::default());
    told.create(Job { operationtype: Some(1), ..job(1) });
    told.create(Job { operationtype: Some(54), ..job(2) });
    told.pass(120);
    assert_eq!((told.status(1), told.status(2)), (Status::Failed, Status::InProgress));
    let report = told.last.jobs().find_map(|change| change.set.report.clone());
    assert_eq!(report.and_then(|r| r.errorcode), Some(0x8004_4171_u32 as i32));
    assert_eq!(told.last.effects, [Effect::Abandon { id: id(1), attempt: 1 }]);
}

#[test]
fn after_a_crash_attempts_inside_are_repeated_and_leases_go_on() {
    let running = |n, status, handler| Job {
        status,
        attempt: 3,
        startedon: Some(5),
        handler,
        retrycount: 1,
        ..job(n)
    };
    let mut told = Told::new(Policies::default());
    let lease = Some(told.now + 60 * SECOND);
    let postponed =
        Job { postponeuntil: Some(told.now + SECOND), ..running(3, Status::Pausing, simulated()) };
    for job in [
        running(1, Status::InProgress, simulated()),
        running(2, Status::Pausing, simulated()),
        postponed,
        running(4, Status::Canceling, simulated()),
        Job { lease, worker: Some("w".into()), ..running(5, Status::InProgress, remote()) },
        Job { lease, worker: Some("w".into()), ..running(6, Status::Canceling, remote()) },
        running(7, Status::InProgress, None),
    ] {
        told.step(Event::Recovered(job));
    }
    assert_eq!(told.started, [(1, 4)]);
    assert_eq!(told.get(1).retrycount, 2);
    assert_eq!((told.status(2), told.status(3)), (Status::Waiting, Status::Waiting));
    assert_eq!((told.get(2).cause, told.get(3).cause), (Cause::Paused, Cause::Postponed));
    assert_eq!(told.status(4), Status::Canceled);
    assert_eq!(told.get(5).status, Status::InProgress);
    assert!(!told.statuses.contains_key(&7), "what nobody runs here is left alone");
    told.end(5, 3, Outcome::Succeeded);
    assert_eq!(told.status(5), Status::Succeeded);
    told.pass(60);
    assert_eq!(told.status(6), Status::Canceled);
}

#[test]
fn an_orderly_stop_counts_no_retry() {
    let mut told = Told::new(Policies::default());
    for n in 1..=4 {
        told.create(job(n));
    }
    told.create(Job { handler: remote(), ..job(5) });
    told.claim(1, 60);
    told.act(2, Action::Pause);
    told.act(3, Action::Cancel);
    told.pass(7);
    told.step(Event::Drain);
    told.create(job(6));
    told.step(Event::Stop);
    assert_eq!(told.status(1), Status::WaitingForResources);
    assert_eq!((told.get(1).retrycount, told.get(1).executed), (0, 7.0));
    assert_eq!((told.status(2), told.status(3)), (Status::Waiting, Status::Canceled));
    assert_eq!(told.status(5), Status::InProgress, "leases run on");
    assert_eq!(told.started.len(), 4, "nothing starts any more");
}

fn of_definition(n: u8, definition: u8) -> Job {
    Job { definition: Some(id(definition)), ..job(n) }
}

#[test]
fn a_definition_that_fails_repeatedly_is_postponed_longer_and_longer() {
    let mut told = Told::one_at_a_time();
    for n in 1..=12 {
        told.create(of_definition(n, 100));
    }
    for n in 1..=5 {
        told.report(n, 1, Report::failed(None, None));
    }
    // All that wait are postponed by five minutes.
    let until = told.now + 300 * SECOND;
    for n in 6..=12 {
        assert_eq!(told.get(n).postponeuntil, Some(until), "{n}");
        assert_eq!(told.get(n).cause, Cause::RepeatedFailure);
    }
    assert_eq!(told.why(7).verdict, "repeated-failure");
    assert!(told.why(7).text.contains("failed 5 times"), "{}", told.why(7).text);
    // Others of another definition go on.
    told.create(of_definition(50, 101));
    assert_eq!(told.started.last(), Some(&(50, 1)));
    told.end(50, 1, Outcome::Succeeded);
    told.pass(300);
    told.report(6, 1, Report::failed(None, None));
    assert_eq!(told.get(7).postponeuntil, Some(told.now + 600 * SECOND), "twice as long");
    told.pass(600);
    told.end(7, 1, Outcome::Succeeded);
    assert_eq!(told.core.definition(&id(100)).map(|state| state.failures), Some(0));
    assert_eq!(told.started.last(), Some(&(8, 1)), "a success lets all go on");
    for n in 9..=12 {
        assert_eq!(told.status(n), Status::WaitingForResources);
    }
}

#[test]
fn a_success_releases_at_once_and_leaves_what_people_have_postponed() {
    let mut told = Told::new(Policies::with_concurrency(6));
    for n in 1..=12 {
        told.create(of_definition(n, 100));
    }
    for n in 1..=5 {
        told.report(n, 1, Report::failed(None, None));
    }
    let until = told.now + 50_000 * SECOND;
    told.create(Job {
        status: Status::Waiting,
        cause: Cause::Postponed,
        postponeuntil: Some(until),
        ..of_definition(20, 100)
    });
    assert_eq!(told.get(11).cause, Cause::RepeatedFailure);
    told.end(6, 1, Outcome::Succeeded);
    assert_eq!((told.status(11), told.status(12)), (Status::InProgress, Status::InProgress));
    assert_eq!(told.get(20).postponeuntil, Some(until));
}

#[test]
fn a_deactivated_workflow_cancels_its_jobs_when_they_are_picked() {
    let mut told = Told::one_at_a_time();
    let row = |active| Some(Definition { workflow: true, active, autodelete: false });
    told.step(Event::Defined { id: id(100), definition: row(true) });
    for n in 1..=3 {
        told.create(of_definition(n, 100));
    }
    told.step(Event::Defined { id: id(100), definition: row(false) });
    assert_eq!(told.status(2), Status::WaitingForResources);
    assert_eq!(told.why(2).verdict, "definition-deactivated");
    told.end(1, 1, Outcome::Succeeded);
    assert_eq!(told.status(1), Status::Succeeded, "what runs ends");
    assert_eq!((told.status(2), told.status(3)), (Status::Canceled, Status::Canceled));
    // A deleted one does too, also after a restart that no longer finds its row.
    told.step(Event::Defined { id: id(101), definition: row(true) });
    told.create(job(9));
    told.create(of_definition(10, 101));
    told.step(Event::Defined { id: id(101), definition: None });
    let kept = told.core.definition(&id(101)).expect("known");
    assert!(kept.deleted);
    let mut again = Told::new(Policies::default());
    again.step(Event::Remembered(kept));
    again.step(Event::Recovered(of_definition(10, 101)));
    assert_eq!(again.status(10), Status::Canceled);
    // Nothing is known of definitions that are not stored; their jobs run.
    again.create(of_definition(11, 102));
    assert_eq!(again.started, [(11, 1)]);
}

#[test]
fn a_succeeded_job_is_deleted_if_its_definition_says_so() {
    let mut told = Told::new(Policies::default());
    let row = Definition { workflow: false, active: true, autodelete: true };
    told.step(Event::Defined { id: id(100), definition: Some(row) });
    told.create(of_definition(1, 100));
    told.create(of_definition(2, 100));
    told.create(Job { retained: true, ..of_definition(3, 100) });
    told.end(1, 1, Outcome::Succeeded);
    assert!(!told.statuses.contains_key(&1));
    told.report(2, 1, Report::failed(None, None));
    told.end(3, 1, Outcome::Succeeded);
    assert_eq!((told.status(2), told.status(3)), (Status::Failed, Status::Succeeded));
}

#[test]
fn a_chain_that_is_too_deep_fails() {
    let mut told = Told::new(Policies::default());
    told.create(Job { depth: 8, ..job(1) });
    told.create(Job { depth: 9, ..job(2) });
    assert_eq!((told.status(1), told.status(2)), (Status::InProgress, Status::Failed));
    let report = told.last.jobs().find_map(|change| change.set.report.clone());
    assert_eq!(report.and_then(|r| r.errorcode), Some(0x8004_4182_u32 as i32));
}

#[test]
fn a_recurring_job_waits_for_its_next_occurrence() {
    let mut told = Told::new(Policies::default());
    let rule = Recurrence::read("FREQ=HOURLY;COUNT=5").expect("read").expect("a rule");
    let start = told.now;
    let recurring = Some(Box::new(Recurring { rule, start }));
    told.create(Job { recurring, ..job(1) });
    told.pass(10);
    told.end(1, 1, Outcome::Succeeded);
    assert_eq!(told.status(1), Status::Waiting);
    assert_eq!(told.get(1).postponeuntil, Some(start + 3600 * SECOND));
    assert_eq!(told.get(1).cause, Cause::Recurrence);
    // Two are missed; they count with the one that runs.
    told.pass(3 * 3600);
    assert_eq!(told.started, [(1, 1), (1, 2)]);
    assert!(told.reasons.iter().any(|(_, reason)| reason.contains("2 missed ones")));
    told.report(1, 2, Report::failed(None, None));
    assert_eq!(told.get(1).postponeuntil, Some(start + 4 * 3600 * SECOND));
    told.pass(3600);
    told.report(1, 3, Report::failed(None, None));
    assert_eq!(told.status(1), Status::Failed, "no occurrence is left");
}

#[test]
fn a_wait_of_the_work_gives_the_place_back() {
    let mut told = Told::one_at_a_time();
    told.create(job(1));
    told.create(job(2));
    told.end(1, 1, Outcome::Waits { until: Some(told.now + 60 * SECOND) });
    assert_eq!(told.started, [(1, 1), (2, 1)]);
    assert_eq!(told.get(1).retrycount, 0);
    told.end(2, 1, Outcome::Waits { until: None });
    assert_eq!(told.why(2).verdict, "waiting-for-event");
    told.step(Event::Signal { id: id(2) });
    told.pass(60);
    assert_eq!(told.started[2..], [(2, 2)]);
}

#[test]
fn the_rate_guard_reports_and_holds_all_but_a_few() {
    for suspend in [false, true] {
        let rate_guard =
            RateGuard { window: 60 * SECOND, windows: 2, backlog: 5, suspend, canaries: 1 };
        let mut told = Told::new(Policies { rate_guard, concurrency: 3, ..Policies::default() });
        for n in 0..40_u8 {
            told.create(of_definition(n, 100));
            told.pass(10);
        }
        let guard = told.core.definition(&id(100)).expect("known").guard;
        assert_eq!(guard, if suspend { Guard::Suspended } else { Guard::Reported });
        for (n, attempt) in told.started.clone() {
            told.end(n, attempt, Outcome::Succeeded);
        }
        let running = told.core.running();
        assert_eq!(running, if suspend { 1 } else { 3 }, "canaries go on");
        if suspend {
            assert_eq!(told.why(20).verdict, "rate-guard");
        }
        // No more come: calm returns, and with it all places.
        told.pass(60);
        told.pass(60);
        told.pass(60);
        assert_eq!(told.core.definition(&id(100)).expect("known").guard, Guard::Quiet);
        assert_eq!(told.core.running(), 3);
    }
}

#[test]
fn platform_jobs_refuse() {
    let mut told = Told::new(Policies::default());
    told.create(Job { operationtype: Some(16), ..job(1) });
    assert_eq!(told.act(1, Action::Cancel), Some(0x4F00));
    assert_eq!(told.act(1, Action::Pause), Some(0x4F01));
    assert_eq!(told.act(1, Action::Postpone(told.now + 5)), None);
    told.end(1, 1, Outcome::Canceled);
    assert_eq!(told.act(1, Action::Resume), Some(0x4166));
    assert_eq!(told.act(1, Action::Delete), None);
}

#[test]
fn everything_that_waits_says_why() {
    let mut told = Told::one_at_a_time();
    for n in 1..=4 {
        told.create(job(n));
    }
    let waits = told.core.waits(told.now);
    assert_eq!(waits.len(), 3, "the running one does not wait");
    assert!(waits[&id(4)].contains("1 of 1 running, position 3"), "{}", waits[&id(4)]);
    assert_eq!(waits[&id(4)], told.why(4).text);
}
