//! Definitions in trouble, and what they do to their jobs.

use super::*;

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
