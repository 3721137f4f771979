//! The settings there are, and the values that they take.

use pgwire::error::PgWireError;

use super::super::error::{plain, state};
use super::SERVER_VERSION;

/// What values a setting takes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Accepts {
    /// Nothing depends on it.
    Anything,
    /// Cannot be changed.
    Fixed,
    /// Only what it is: other values are not offered.
    Only(&'static str),
    Encoding,
    DateStyle,
    TimeZone,
    Isolation,
    Timeout,
}

pub(super) struct Known {
    pub name: &'static str,
    pub default: &'static str,
    pub accepts: Accepts,
    /// The client is told when it changes.
    pub reported: bool,
}

const fn known(name: &'static str, default: &'static str, accepts: Accepts) -> Known {
    Known { name, default, accepts, reported: false }
}

const fn reported(name: &'static str, default: &'static str, accepts: Accepts) -> Known {
    Known { name, default, accepts, reported: true }
}

/// All settings.
pub(super) const KNOWN: &[Known] = &[
    reported("application_name", "", Accepts::Anything),
    known("backslash_quote", "safe_encoding", Accepts::Anything),
    known("bytea_output", "hex", Accepts::Only("hex")),
    known("check_function_bodies", "on", Accepts::Anything),
    reported("client_encoding", "UTF8", Accepts::Encoding),
    known("client_min_messages", "notice", Accepts::Anything),
    known("constraint_exclusion", "partition", Accepts::Anything),
    known("cursor_tuple_fraction", "0.1", Accepts::Anything),
    reported("DateStyle", "ISO, MDY", Accepts::DateStyle),
    known("default_table_access_method", "heap", Accepts::Fixed),
    known("default_tablespace", "", Accepts::Anything),
    known("default_text_search_config", "pg_catalog.simple", Accepts::Anything),
    known("default_transaction_deferrable", "off", Accepts::Anything),
    known("default_transaction_isolation", "repeatable read", Accepts::Isolation),
    reported("default_transaction_read_only", "on", Accepts::Anything),
    known("enable_hashjoin", "on", Accepts::Anything),
    known("enable_mergejoin", "on", Accepts::Anything),
    known("enable_nestloop", "on", Accepts::Anything),
    known("enable_seqscan", "on", Accepts::Anything),
    known("escape_string_warning", "on", Accepts::Anything),
    known("extra_float_digits", "1", Accepts::Anything),
    known("geqo", "on", Accepts::Anything),
    known("idle_in_transaction_session_timeout", "0", Accepts::Timeout),
    known("idle_session_timeout", "0", Accepts::Timeout),
    reported("in_hot_standby", "off", Accepts::Fixed),
    reported("integer_datetimes", "on", Accepts::Fixed),
    reported("IntervalStyle", "postgres", Accepts::Only("postgres")),
    reported("is_superuser", "off", Accepts::Fixed),
    known("jit", "off", Accepts::Anything),
    known("lc_collate", "C", Accepts::Fixed),
    known("lc_ctype", "C", Accepts::Fixed),
    known("lc_messages", "C", Accepts::Anything),
    known("lc_monetary", "C", Accepts::Anything),
    known("lc_numeric", "C", Accepts::Anything),
    known("lc_time", "C", Accepts::Anything),
    known("lock_timeout", "0", Accepts::Timeout),
    known("log_min_duration_statement", "-1", Accepts::Anything),
    known("log_statement", "none", Accepts::Anything),
    known("max_connections", "100", Accepts::Fixed),
    known("max_identifier_length", "63", Accepts::Fixed),
    known("max_index_keys", "32", Accepts::Fixed),
    known("max_parallel_workers_per_gather", "2", Accepts::Anything),
    known("plan_cache_mode", "auto", Accepts::Anything),
    known("quote_all_identifiers", "off", Accepts::Anything),
    known("row_security", "on", Accepts::Anything),
    reported("search_path", "public, dbo", Accepts::Anything),
    reported("server_encoding", "UTF8", Accepts::Fixed),
    reported("server_version", SERVER_VERSION, Accepts::Fixed),
    known("password_encryption", "scram-sha-256", Accepts::Only("scram-sha-256")),
    known("server_version_num", "150008", Accepts::Fixed),
    reported("session_authorization", "", Accepts::Fixed),
    known("ssl", "off", Accepts::Fixed),
    reported("standard_conforming_strings", "on", Accepts::Only("on")),
    known("statement_timeout", "0", Accepts::Timeout),
    known("synchronize_seqscans", "on", Accepts::Anything),
    known("synchronous_commit", "on", Accepts::Anything),
    reported("TimeZone", "UTC", Accepts::TimeZone),
    known("transaction_deferrable", "off", Accepts::Anything),
    known("transaction_isolation", "repeatable read", Accepts::Isolation),
    known("transaction_read_only", "on", Accepts::Anything),
    known("work_mem", "4MB", Accepts::Anything),
    known("xmloption", "content", Accepts::Anything),
];

const LEVELS: [&str; 4] = ["read uncommitted", "read committed", "repeatable read", "serializable"];

/// A value as it is kept.
pub(super) fn checked(known: &Known, value: &str) -> Result<String, PgWireError> {
    let lower = value.to_lowercase();
    let refused = |state: &str, reason: &str| {
        Err(plain(state, format!("{} cannot be '{value}': {reason}", known.name)))
    };
    match known.accepts {
        Accepts::Anything => Ok(value.to_owned()),
        Accepts::Fixed => {
            Err(plain("55P02", format!("parameter \"{}\" cannot be changed", known.name)))
        }
        Accepts::Only(only) if lower == only || (only == "on" && lower == "true") => {
            Ok(only.to_owned())
        }
        Accepts::Only(only) => refused(state::NOT_SUPPORTED, &format!("only '{only}' is offered")),
        Accepts::Encoding => {
            let name: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
            match name.as_str() {
                "utf8" | "unicode" => Ok("UTF8".to_owned()),
                _ => refused(state::INVALID_PARAMETER, "only UTF8 is offered"),
            }
        }
        Accepts::DateStyle => {
            let mut order = "MDY";
            for part in lower.split(',').map(str::trim) {
                match part {
                    "iso" => {}
                    "mdy" | "us" => order = "MDY",
                    "dmy" | "european" => order = "DMY",
                    "ymd" => order = "YMD",
                    _ => return refused(state::NOT_SUPPORTED, "only ISO dates are offered"),
                }
            }
            Ok(format!("ISO, {order}"))
        }
        Accepts::TimeZone => match time_zone(value) {
            Some(zone) => Ok(zone),
            None => refused(state::INVALID_PARAMETER, "there is no such time zone"),
        },
        // All of them see one snapshot, which is more than some ask for.
        Accepts::Isolation => match LEVELS.iter().find(|level| **level == lower) {
            Some(level) => Ok((*level).to_owned()),
            None => refused(state::INVALID_PARAMETER, "there is no such isolation level"),
        },
        Accepts::Timeout => match milliseconds(value) {
            Some(limit) if limit <= i32::MAX.unsigned_abs().into() => Ok(time_text(limit)),
            _ => refused(state::INVALID_PARAMETER, "not a time such as '5s'"),
        },
    }
}

/// A time zone by its name in the tz database, or an offset in hours.
fn time_zone(value: &str) -> Option<String> {
    let hours = value.strip_prefix(['+', '-']).unwrap_or(value);
    if value.parse::<f64>().is_ok_and(|h| h.abs() < 24.0) {
        let sign = if value.starts_with('-') { '+' } else { '-' };
        return Some(if value == "0" { "UTC".into() } else { format!("Etc/GMT{sign}{hours}") });
    }
    if ["default", "local"].contains(&value.to_lowercase().as_str()) {
        return Some("UTC".to_owned());
    }
    let zone = chrono_tz::TZ_VARIANTS.iter().find(|z| z.name().eq_ignore_ascii_case(value));
    // `GMT+02:00` and its like, as Java calls zones without a name.
    let posix = || (value.len() > 3 && value[..3].eq_ignore_ascii_case("gmt")).then_some(value);
    zone.map(|zone| zone.name()).or_else(posix).map(str::to_owned)
}

/// Units of time, the largest first, and how many milliseconds they have.
const UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// A time as PostgreSQL writes it: `250`, `250ms`, `5s`, `1min`.
pub(super) fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let unit = match value[digits..].trim() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    value[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// A time in the largest unit that shows it whole.
fn time_text(milliseconds: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| milliseconds.is_multiple_of(*unit);
    match UNITS.iter().find(fits) {
        Some((name, unit)) if milliseconds > 0 => format!("{}{name}", milliseconds / unit),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_have_names() {
        for (given, expected) in [
            ("europe/berlin", Some("Europe/Berlin")),
            ("utc", Some("UTC")),
            ("GMT+02:00", Some("GMT+02:00")),
            ("2", Some("Etc/GMT-2")),
            ("Nowhere/Else", None),
        ] {
            assert_eq!(time_zone(given).as_deref(), expected, "{given}");
        }
    }
}
