//! Attempts that do not end by themselves: leases, limits, crashes, stops.

use super::*;

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
    assert_eq!(told.last.beat, Some(Beat::Told(super::super::Told::Cancel)));
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
