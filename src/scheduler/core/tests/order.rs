//! Which job is picked when.

use super::*;

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
fn a_chain_that_is_too_deep_fails() {
    let mut told = Told::new(Policies::default());
    told.create(Job { depth: 8, ..job(1) });
    told.create(Job { depth: 9, ..job(2) });
    assert_eq!((told.status(1), told.status(2)), (Status::InProgress, Status::Failed));
    let report = told.last.jobs().find_map(|change| change.set.report.clone());
    assert_eq!(report.and_then(|r| r.errorcode), Some(0x8004_4182_u32 as i32));
}

#[test]
fn a_wait_of_the_work_gives_the_place_back() {
    let mut told = Told::one_at_a_time();
    told.create(job(1));
    told.create(Job { regarding: Some(id(100)), ..job(2) });
    told.end(1, 1, Outcome::Waits { until: Some(told.now + 60 * SECOND) });
    assert_eq!(told.started, [(1, 1), (2, 1)]);
    assert_eq!(told.get(1).retrycount, 0);
    told.end(2, 1, Outcome::Waits { until: None });
    assert_eq!(told.why(2).verdict, "waiting-for-event");
    told.step(Event::Happened { record: id(101) });
    assert_eq!(told.status(2), Status::Waiting, "another record");
    told.step(Event::Happened { record: id(100) });
    told.pass(60);
    assert_eq!(told.started[2..], [(2, 2)]);
}

#[test]
fn a_worker_who_asks_is_not_starved_by_handlers_inside() {
    let at_work = |told: &mut Told| {
        for n in 1..=2 {
            told.create(job(n));
        }
        for n in [3, 5] {
            told.create(Job { handler: remote(), ..job(n) });
        }
        for n in [4, 6, 7] {
            told.create(job(n));
        }
    };
    // Nobody asks: jobs for workers hold nobody up.
    let mut told = Told::new(Policies::with_concurrency(2));
    at_work(&mut told);
    told.end(1, 1, Outcome::Succeeded);
    assert_eq!(told.started, [(1, 1), (2, 1), (4, 1)]);
    // A worker has asked when there was no place: the next one is for the older job.
    let mut told = Told::new(Policies::with_concurrency(2));
    at_work(&mut told);
    assert_eq!(told.claim(1, 60), []);
    told.want(1, 10);
    told.end(1, 1, Outcome::Succeeded);
    assert_eq!(told.started, [(1, 1), (2, 1)], "the place is kept");
    assert_eq!(told.claim(1, 60), [(3, 1)]);
    // Served, it is waited for no more; the next place is for the next in line.
    told.end(2, 1, Outcome::Succeeded);
    assert_eq!(told.started[2..], [(4, 1)]);
    // An older job inside goes before a younger one of a worker.
    told.want(5, 10);
    told.end(4, 1, Outcome::Succeeded);
    assert_eq!(told.claim(5, 60), [(5, 1)], "6 is younger");
    told.end(3, 1, Outcome::Succeeded);
    assert_eq!(told.started[3..], [(6, 1)]);
}

#[test]
fn a_place_is_not_kept_for_ever() {
    let mut told = Told::one_at_a_time();
    told.create(job(1));
    told.create(Job { handler: remote(), ..job(2) });
    told.create(Job { handler: remote(), ..job(3) });
    told.create(job(4));
    told.want(1, 10);
    told.end(1, 1, Outcome::Succeeded);
    assert_eq!(told.started, [(1, 1)]);
    assert_eq!(told.core.next_wake(), Some(told.now + 10 * SECOND));
    told.pass(10);
    assert_eq!(told.started[1..], [(4, 1)], "the worker did not come back");
    // Nor for a job that is gone.
    told.create(job(5));
    told.want(1, 10);
    assert_eq!(told.act(2, Action::Cancel), None);
    told.end(4, 1, Outcome::Succeeded);
    assert_eq!(told.started[2..], [], "3 is older than 5 too");
    assert_eq!(told.act(3, Action::Cancel), None);
    assert_eq!(told.started[2..], [(5, 1)]);
}
