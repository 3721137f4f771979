//! Files as users write them, right and wrong.

use std::time::Duration;

use super::*;
use crate::scheduler::policy::Retry;

fn read(text: &str) -> Result<Config> {
    Config::default().with(File::parse(text, "sysjob.toml")?, Vec::new())
}

#[test]
fn every_key_of_a_file_is_taken() {
    let config = read(
        r#"
capacity = 8
max_depth = 4
grace_s = 2.5
[pools.workflows]
operationtypes = [10]
concurrency = 20
[pools.mail]
operationtypes = [2, 6]
[retry]
max = 3
first_s = 0.5
max_s = 10
jitter = 0
[retry.types.10]
max = 1
[repeated_failure]
after = 2
first_s = 1
max_s = 8
[webhook]
allow_hosts = ["127.0.0.1", "hooks.example:8000"]
timeout_s = 0.25
[retention]
every_s = 0.5
completed_days = 0.001
[retention.types.13]
completed_days = 7
[retention.statuses.31]
completed_days = 14
[history]
kept_days = 90
every_s = 60
[rate_guard]
window_s = 10
windows = 2
backlog = 50
suspend = true
canaries = 3
[time_limits_s]
1 = 0
10 = 30
"#,
    )
    .expect("a file without mistakes");
    let policies = &config.policies;
    assert_eq!(policies.concurrency, 8);
    assert_eq!(policies.depth_max, 4);
    assert_eq!(config.grace, Duration::from_millis(2500));
    let pool = |name: &str| policies.pools.iter().find(|p| p.name == name).expect("a pool");
    assert_eq!(pool("workflows").concurrency, 20);
    assert_eq!(pool("workflows").operationtypes, [10]);
    assert_eq!(pool("mail").concurrency, 8, "that of types in no pool");
    let all = Retry { max: 3, first: 500_000, longest: 10_000_000, jitter: 0.0 };
    assert_eq!(policies.retry(Some(1)), all);
    assert_eq!(policies.retry(Some(10)), Retry { max: 1, ..all });
    assert_eq!(policies.repeated_failure.after, 2);
    assert_eq!(policies.repeated_failure.longest, 8_000_000);
    assert_eq!(config.handlers.webhook.allow_hosts, ["127.0.0.1", "hooks.example:8000"]);
    assert_eq!(config.handlers.webhook.timeout, Duration::from_millis(250));
    let retention = config.handlers.retention.expect("a retention");
    assert_eq!(retention.every, Duration::from_millis(500));
    assert!((retention.completed_days - 0.001).abs() < 1e-12);
    assert_eq!(retention.days_by_type[&13], 7.0);
    assert_eq!(retention.days_by_status[&31], 14.0);
    assert_eq!(policies.history_kept, 90 * 86_400_000_000);
    assert_eq!(policies.history_every, 60_000_000);
    assert!(policies.rate_guard.suspend);
    assert_eq!(policies.rate_guard.canaries, 3);
    assert_eq!(policies.time_limit(Some(1)), None);
    assert_eq!(policies.time_limit(Some(10)), Some(30_000_000));
}

#[test]
fn an_empty_file_changes_nothing_and_a_bare_retention_is_the_documented_one() {
    let config = read("# nothing\n").expect("an empty file");
    assert_eq!(config.policies, Policies::default());
    assert_eq!(config.handlers.retention, None);
    let config = read("[retention]\n").expect("a heading");
    assert_eq!(config.handlers.retention, Some(Retention::default()));
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (text, message) in [
        (
            "[retry]\nmaxx = 3",
            "sysjob.toml line 2: unknown key 'maxx' in [retry]; did you mean 'max'?",
        ),
        ("[retri]\nmax = 3", "sysjob.toml line 1: unknown key 'retri'; did you mean 'retry'?"),
        (
            "[retry.types.10]\nfirst = 3",
            "sysjob.toml line 2: unknown key 'first' in [retry.types.10]; did you mean 'first_s'?",
        ),
        ("colour = 1", "sysjob.toml line 1: unknown key 'colour'"),
        ("retry = 3", "sysjob.toml line 1: 'retry' is a table: [retry]"),
        (
            "[retry]\nmax = \"3\"",
            "sysjob.toml line 2: 'retry.max': a whole number of at least 0 is expected, not '3'",
        ),
        (
            "[retry]\njitter = 1.5",
            "sysjob.toml line 2: 'retry.jitter': a number from 0 to 1 is expected, not 1.5",
        ),
        (
            "[pools.a]\noperationtypes = [10]\nconcurrency = 0",
            "sysjob.toml line 3: 'pools.a.concurrency': a whole number of at least 1 is expected, not 0",
        ),
        (
            "[pools.a]\noperationtypes = [10]\n\n[pools.b]\noperationtypes = [1, 10]",
            "sysjob.toml line 5: 'pools.b.operationtypes': operation type 10 is in pool 'a' already",
        ),
        (
            "[pools.a]\noperationtypes = [33]",
            "sysjob.toml line 2: 'pools.a.operationtypes': '33' is not the number of an operation type",
        ),
        (
            "[pools.a]\noperationtypes = []",
            "sysjob.toml line 2: 'pools.a.operationtypes': a pool has at least one operation type",
        ),
        ("[pools.a]\nconcurrency = 3", "sysjob.toml line 2: 'pools.a': operationtypes is missing"),
        (
            "[retry.types.workflow]\nmax = 1",
            "sysjob.toml line 2: 'retry.types.workflow.max': 'workflow' is not the number of an operation type",
        ),
        (
            "[retention.statuses.20]\ncompleted_days = 1",
            "sysjob.toml line 2: 'retention.statuses.20.completed_days': '20' is no status reason of a completed job: 30, 31 or 32",
        ),
        (
            "[webhook]\nallow_hosts = \"127.0.0.1\"",
            "sysjob.toml line 2: 'webhook.allow_hosts': an array of texts is expected, not '127.0.0.1'",
        ),
        (
            "[webhook]\ntimeout_s = 0",
            "sysjob.toml line 2: 'webhook.timeout_s': a number of seconds above 0 is expected, not 0",
        ),
        (
            "[retention]\ncompleted_days = -1",
            "sysjob.toml line 2: 'retention.completed_days': a number from 0 to 3650 is expected, not -1",
        ),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
    let error = read("[retry\nmax = 1").expect_err("no TOML");
    assert!(error.to_string().starts_with("sysjob.toml line 1: "), "{error}");
    let error = read("[retry]\nmax = 1\nmax = 2").expect_err("a key twice");
    assert!(error.to_string().starts_with("sysjob.toml line 3: "), "{error}");
}

#[test]
fn the_readme_lists_every_key_with_its_default() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    for Names { key, .. } in KEYS.iter() {
        let row = match (key.default, key.path.starts_with("pools.")) {
            // The further keys of a type's retries are told beside the first.
            _ if key.path.starts_with("retry.types.") => "| `retry.types.N.max` |".to_owned(),
            ("", true) => format!("| `{}` |", key.path.replace('*', "NAME")),
            ("", false) => format!("| `{}` |", key.path.replace('*', "N")),
            (default, _) => format!("| `{}` | {default} |", key.path),
        };
        assert!(readme.contains(&row), "README.md has no row '{row}'");
    }
}
