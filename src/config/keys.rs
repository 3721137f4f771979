//! The keys of the configuration: where each stands in the file, what its option and
//! its environment variable are called, and what it sets.

use std::sync::LazyLock;

use super::value::{Read, Value};
use super::{Config, known_type, pool};
use crate::handlers::Retention;
use crate::job::Status;
use crate::scheduler::policy::Retry;

/// One key. A `*` in its path stands for a name that the user gives: a pool's, or the
/// number of an operation type.
pub struct Key {
    /// Where it stands in the file, with dots.
    pub path: &'static str,
    /// What it sets, for the help of its option.
    pub help: &'static str,
    /// As the help shows it.
    pub default: &'static str,
    /// Gets the name at the place of the `*`.
    pub(super) set: fn(&mut Config, &str, &Value) -> Read<()>,
}

/// The names of a key outside the file.
pub struct Names {
    pub key: &'static Key,
    /// `retry-max`.
    pub option: String,
    /// `SYSJOB_RETRY_MAX`.
    pub variable: String,
}

impl Key {
    /// Whether a name is part of its path, so that it cannot have an option of its own.
    pub fn is_named(&self) -> bool {
        self.path.contains('*')
    }
}

/// All keys with their names.
pub static KEYS: LazyLock<Vec<Names>> = LazyLock::new(|| {
    let names = |key: &'static Key| Names {
        key,
        option: key.path.replace(['.', '_'], "-"),
        variable: format!("SYSJOB_{}", key.path.replace('.', "_").to_uppercase()),
    };
    TABLE.iter().map(names).collect()
});

const fn key(
    path: &'static str,
    default: &'static str,
    help: &'static str,
    set: fn(&mut Config, &str, &Value) -> Read<()>,
) -> Key {
    Key { path, help, default, set }
}

const TABLE: &[Key] = &[
    key("capacity", "64", "Jobs at once of one operation type that is in no pool", |c, _, v| {
        c.policies.concurrency = v.whole(1)?;
        Ok(())
    }),
    key("max_depth", "8", "Jobs deeper in a chain of jobs fail", |c, _, v| {
        c.policies.depth_max = v.whole(1)?;
        Ok(())
    }),
    key(
        "grace_s",
        "10",
        "Seconds that running jobs have to end when the service stops",
        |c, _, v| {
            c.grace = v.seconds()?;
            Ok(())
        },
    ),
    key("retry.max", "10", "Retries of a job after transient failures, at most", |c, _, v| {
        retry_max(&mut c.policies.retry, v)
    }),
    key(
        "retry.first_s",
        "60",
        "Seconds before the first retry; they double with each",
        |c, _, v| retry_first(&mut c.policies.retry, v),
    ),
    key("retry.max_s", "3600", "Seconds before a retry, at most", |c, _, v| {
        retry_longest(&mut c.policies.retry, v)
    }),
    key("retry.jitter", "0.1", "Part of that time by which it varies", |c, _, v| {
        retry_jitter(&mut c.policies.retry, v)
    }),
    key("retry.types.*.max", "", "For an operation type", |c, name, v| {
        retry_max(retry_of(c, name)?, v)
    }),
    key("retry.types.*.first_s", "", "For an operation type", |c, name, v| {
        retry_first(retry_of(c, name)?, v)
    }),
    key("retry.types.*.max_s", "", "For an operation type", |c, name, v| {
        retry_longest(retry_of(c, name)?, v)
    }),
    key("retry.types.*.jitter", "", "For an operation type", |c, name, v| {
        retry_jitter(retry_of(c, name)?, v)
    }),
    key(
        "repeated_failure.after",
        "5",
        "Failures in a row after which the jobs of a definition are postponed",
        |c, _, v| {
            c.policies.repeated_failure.after = v.whole(1)?;
            Ok(())
        },
    ),
    key(
        "repeated_failure.first_s",
        "300",
        "Seconds of the first such postponement; they double with each",
        |c, _, v| {
            c.policies.repeated_failure.first = v.micros_above_zero()?;
            Ok(())
        },
    ),
    key("repeated_failure.max_s", "86400", "Seconds of such a postponement, at most", |c, _, v| {
        c.policies.repeated_failure.longest = v.micros_above_zero()?;
        Ok(())
    }),
    key(
        "rate_guard.window_s",
        "60",
        "Seconds over which the jobs of a definition are counted",
        |c, _, v| {
            c.policies.rate_guard.window = v.micros_above_zero()?;
            Ok(())
        },
    ),
    key(
        "rate_guard.windows",
        "3",
        "Times in a row that more jobs have come than ended before a definition is reported",
        |c, _, v| {
            c.policies.rate_guard.windows = v.whole(1)?;
            Ok(())
        },
    ),
    key(
        "rate_guard.backlog",
        "1000",
        "Waiting jobs of a definition before it is reported",
        |c, _, v| {
            c.policies.rate_guard.backlog = v.whole(0)?;
            Ok(())
        },
    ),
    key("rate_guard.suspend", "false", "Hold the jobs of a reported definition", |c, _, v| {
        c.policies.rate_guard.suspend = v.flag()?;
        Ok(())
    }),
    key("rate_guard.canaries", "1", "Jobs at once of a definition that is held", |c, _, v| {
        c.policies.rate_guard.canaries = v.whole(1)?;
        Ok(())
    }),
    key(
        "webhook.allow_hosts",
        "127.0.0.1",
        "Hosts, or hosts with ports, that webhooks may post to over http",
        |c, _, v| {
            c.handlers.webhook.allow_hosts = v.texts()?;
            Ok(())
        },
    ),
    key("webhook.timeout_s", "60", "Seconds that a webhook may take to answer", |c, _, v| {
        v.micros_above_zero()?;
        c.handlers.webhook.timeout = v.seconds()?;
        Ok(())
    }),
    key("retention.every_s", "86400", "Seconds between clean-ups of completed jobs", |c, _, v| {
        v.micros_above_zero()?;
        retention(c).every = v.seconds()?;
        Ok(())
    }),
    key(
        "retention.completed_days",
        "30",
        "Days that completed jobs stay; for ever, if nothing of the retention is set",
        |c, _, v| {
            retention(c).completed_days = v.days()?;
            Ok(())
        },
    ),
    key("retention.types.*.completed_days", "", "For an operation type", |c, name, v| {
        let code = known_type(name)?;
        let days = v.days()?;
        retention(c).days_by_type.insert(code, days);
        Ok(())
    }),
    key(
        "retention.statuses.*.completed_days",
        "",
        "For a status reason: 30, 31 or 32",
        |c, name, v| {
            let code = completed_status(name)?;
            let days = v.days()?;
            retention(c).days_by_status.insert(code, days);
            Ok(())
        },
    ),
    key("history.kept_days", "30", "Days that rows of jobhistory stay", |c, _, v| {
        c.policies.history_kept = (v.days()? * 86_400e6) as i64;
        Ok(())
    }),
    key("history.every_s", "3600", "Seconds between clean-ups of jobhistory", |c, _, v| {
        c.policies.history_every = v.micros_above_zero()?;
        Ok(())
    }),
    key(
        "time_limits_s.*",
        "",
        "Seconds that an attempt of an operation type may take; 0 is no limit",
        |c, name, v| {
            let (code, limit) = (known_type(name)?, v.micros()?);
            match limit {
                0 => c.policies.time_limits.remove(&code),
                _ => c.policies.time_limits.insert(code, limit),
            };
            Ok(())
        },
    ),
    key(
        "pools.*.operationtypes",
        "",
        "The operation types that share the places of a pool",
        |c, name, v| {
            let types = v.wholes()?;
            if types.is_empty() {
                return Err("a pool has at least one operation type".into());
            }
            for code in &types {
                known_type(&code.to_string())?;
                let other = c.policies.pools.iter().find(|p| p.operationtypes.contains(code));
                if let Some(other) = other.filter(|other| other.name != name) {
                    return Err(format!(
                        "operation type {code} is in pool '{}' already",
                        other.name
                    ));
                }
            }
            pool(c, name).operationtypes = types;
            Ok(())
        },
    ),
    key("pools.*.concurrency", "", "Jobs at once of a pool", |c, name, v| {
        let concurrency = v.whole(1)?;
        pool(c, name).concurrency = concurrency;
        Ok(())
    }),
];

fn retry_max(retry: &mut Retry, value: &Value) -> Read<()> {
    retry.max = value.whole(0)?;
    Ok(())
}

fn retry_first(retry: &mut Retry, value: &Value) -> Read<()> {
    retry.first = value.micros()?;
    Ok(())
}

fn retry_longest(retry: &mut Retry, value: &Value) -> Read<()> {
    retry.longest = value.micros()?;
    Ok(())
}

fn retry_jitter(retry: &mut Retry, value: &Value) -> Read<()> {
    retry.jitter = value.within(0.0, 1.0)?;
    Ok(())
}

/// The retries of an operation type, which begin as those of all types.
fn retry_of<'a>(config: &'a mut Config, name: &str) -> Read<&'a mut Retry> {
    let code = known_type(name)?;
    let all = config.policies.retry;
    Ok(config.policies.retry_by_type.entry(code).or_insert(all))
}

fn retention(config: &mut Config) -> &mut Retention {
    config.handlers.retention.get_or_insert_with(Retention::default)
}

fn completed_status(name: &str) -> Read<i32> {
    let status = name.parse().ok().and_then(Status::from_statuscode);
    let ended = status.filter(|status| status.statecode() == Status::Succeeded.statecode());
    let code = ended.map(Status::statuscode);
    code.ok_or_else(|| format!("'{name}' is no status reason of a completed job: 30, 31 or 32"))
}
