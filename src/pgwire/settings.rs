//! The settings of a session that `SET`, `SHOW` and `current_setting` know.
//!
//! Most of them change nothing here and exist because drivers set them on
//! connecting. A value that would change what the client gets, and that is not
//! offered, is refused by name.

use std::collections::BTreeMap;
use std::time::Duration;

use pgwire::error::PgWireError;

use super::error::{plain, state};

/// What `server_version` says: the PostgreSQL whose catalogs clients will ask for.
pub const SERVER_VERSION: &str = concat!("15.8 (sysjob ", env!("CARGO_PKG_VERSION"), ")");

/// What values a setting takes.
#[derive(Clone, Copy, PartialEq)]
enum Accepts {
    /// Nothing depends on it.
    Anything,
    /// Cannot be changed.
    Fixed,
    /// Only what it is: other values are not offered.
    Only(&'static str),
    Encoding,
    DateStyle,
    Timeout,
}

struct Known {
    name: &'static str,
    default: &'static str,
    accepts: Accepts,
    /// The client is told when it changes.
    reported: bool,
}

const fn known(name: &'static str, default: &'static str, accepts: Accepts) -> Known {
    Known { name, default, accepts, reported: false }
}

const fn reported(name: &'static str, default: &'static str, accepts: Accepts) -> Known {
    Known { name, default, accepts, reported: true }
}

const KNOWN: &[Known] = &[
    reported("application_name", "", Accepts::Anything),
    known("bytea_output", "hex", Accepts::Only("hex")),
    reported("client_encoding", "UTF8", Accepts::Encoding),
    known("client_min_messages", "notice", Accepts::Anything),
    reported("DateStyle", "ISO, MDY", Accepts::DateStyle),
    known("default_table_access_method", "heap", Accepts::Fixed),
    known("default_tablespace", "", Accepts::Anything),
    known("default_transaction_isolation", "repeatable read", Accepts::Anything),
    reported("default_transaction_read_only", "on", Accepts::Anything),
    known("extra_float_digits", "1", Accepts::Anything),
    known("idle_in_transaction_session_timeout", "0", Accepts::Anything),
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
    known("lock_timeout", "0", Accepts::Anything),
    known("max_identifier_length", "63", Accepts::Fixed),
    known("max_index_keys", "32", Accepts::Fixed),
    known("row_security", "on", Accepts::Anything),
    reported("search_path", "public, dbo", Accepts::Anything),
    reported("server_encoding", "UTF8", Accepts::Fixed),
    reported("server_version", SERVER_VERSION, Accepts::Fixed),
    known("server_version_num", "150008", Accepts::Fixed),
    reported("session_authorization", "", Accepts::Fixed),
    reported("standard_conforming_strings", "on", Accepts::Only("on")),
    known("statement_timeout", "0", Accepts::Timeout),
    known("synchronous_commit", "on", Accepts::Anything),
    reported("TimeZone", "UTC", Accepts::Anything),
    known("transaction_isolation", "repeatable read", Accepts::Anything),
    known("transaction_read_only", "on", Accepts::Anything),
];

/// The settings of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As of the start of the session; what `RESET` goes back to.
    initial: BTreeMap<String, String>,
    /// By name in lower case.
    values: BTreeMap<String, String>,
}

impl Settings {
    /// The defaults, and what the client asked for when it connected. Options of
    /// the connection that are not settings are none of the client's errors.
    pub fn new<'a>(user: &str, asked: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let defaults = KNOWN.iter().map(|k| (k.name.to_lowercase(), k.default.to_owned()));
        let mut settings = Self { initial: BTreeMap::new(), values: defaults.collect() };
        settings.values.insert("session_authorization".into(), user.to_owned());
        for (name, value) in asked {
            // An unsupported value leaves the default, which the client is told.
            let _ = settings.set(name, Some(value));
        }
        settings.initial = settings.values.clone();
        settings
    }

    /// A value by name.
    pub fn get(&self, name: &str) -> Result<&str, PgWireError> {
        self.values.get(&name.to_lowercase()).map(String::as_str).ok_or_else(|| unknown(name))
    }

    /// All values by name.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// Changes a setting (`None`: back to the default); the name and value to
    /// report to the client, where it has to know.
    pub fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
    ) -> Result<Option<(String, String)>, PgWireError> {
        let key = name.to_lowercase();
        // Names with a dot belong to the client.
        if key.contains('.') {
            self.values.insert(key, value.unwrap_or_default().to_owned());
            return Ok(None);
        }
        let known = KNOWN.iter().find(|k| k.name.eq_ignore_ascii_case(name));
        let known = known.ok_or_else(|| unknown(name))?;
        let value = match value {
            Some(value) => checked(known, value)?,
            None => self.initial.get(&key).map_or(known.default, String::as_str).to_owned(),
        };
        self.values.insert(key, value.clone());
        Ok(known.reported.then(|| (known.name.to_owned(), value)))
    }

    /// Back to the start; what to report to the client.
    pub fn reset(&mut self) -> Vec<(String, String)> {
        let before = std::mem::replace(&mut self.values, self.initial.clone());
        let changed = |k: &&Known| {
            before.get(&k.name.to_lowercase()) != self.initial.get(&k.name.to_lowercase())
        };
        self.reported()
            .filter(|(k, _)| changed(k))
            .map(|(k, v)| (k.name.into(), v.into()))
            .collect()
    }

    /// What the client is told when it connects.
    pub fn report(&self) -> Vec<(String, String)> {
        self.reported().map(|(k, v)| (k.name.into(), v.into())).collect()
    }

    fn reported(&self) -> impl Iterator<Item = (&'static Known, &str)> {
        let value = |k: &Known| self.values.get(&k.name.to_lowercase()).map_or("", String::as_str);
        KNOWN.iter().filter(|k| k.reported).map(move |k| (k, value(k)))
    }

    /// How long a statement may run.
    pub fn statement_timeout(&self) -> Option<Duration> {
        milliseconds(self.values.get("statement_timeout")?)
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis)
    }
}

fn unknown(name: &str) -> PgWireError {
    plain(state::UNKNOWN_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

fn checked(known: &Known, value: &str) -> Result<String, PgWireError> {
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
                _ => refused(state::NOT_SUPPORTED, "only UTF8 is offered"),
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
        Accepts::Timeout if milliseconds(value).is_some() => Ok(value.to_owned()),
        Accepts::Timeout => refused(state::INVALID_PARAMETER, "not a time such as '5s'"),
    }
}

/// A time as PostgreSQL writes it: `250`, `250ms`, `5s`, `1min`.
fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let unit = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    value[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_normalized_reported_and_reset() {
        let asked = [("client_encoding", "'utf-8'"), ("options", "x"), ("DateStyle", "German")];
        let mut settings = Settings::new("me", asked.into_iter());
        assert_eq!(settings.get("datestyle").ok(), Some("ISO, MDY"));
        assert_eq!(settings.get("session_authorization").ok(), Some("me"));
        let change = settings.set("datestyle", Some("iso, dmy")).expect("offered");
        assert_eq!(change, Some(("DateStyle".into(), "ISO, DMY".into())));
        settings.set("jit", Some("on")).expect("offered");
        assert_eq!(settings.reset(), [("DateStyle".to_owned(), "ISO, MDY".to_owned())]);
        assert_eq!(settings.get("JIT").ok(), Some("off"));
    }

    #[test]
    fn values_with_an_effect_that_is_not_offered_are_refused() {
        let mut settings = Settings::new("me", std::iter::empty());
        for (name, value) in [
            ("client_encoding", "LATIN1"),
            ("standard_conforming_strings", "off"),
            ("server_version", "9.0"),
            ("statement_timeout", "soon"),
            ("nosuchsetting", "1"),
        ] {
            assert!(settings.set(name, Some(value)).is_err(), "{name}");
        }
        settings.set("statement_timeout", Some("2s")).expect("offered");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(2)));
    }
}
