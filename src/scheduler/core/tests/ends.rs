//! What the ends of attempts make of their jobs, and what was asked of them.

use super::*;

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
        let told_to = if action == Action::Cancel {
            super::super::Told::Cancel
        } else {
            super::super::Told::Pause
        };
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
