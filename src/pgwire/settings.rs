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
    TimeZone,
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
    known("default_transaction_isolation", "repeatable read", Accepts::Anything),
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
    known("server_version_num", "150008", Accepts::Fixed),
    reported("session_authorization", "", Accepts::Fixed),
    known("ssl", "off", Accepts::Fixed),
    reported("standard_conforming_strings", "on", Accepts::Only("on")),
    known("statement_timeout", "0", Accepts::Timeout),
    known("synchronize_seqscans", "on", Accepts::Anything),
    known("synchronous_commit", "on", Accepts::Anything),
    reported("TimeZone", "UTC", Accepts::TimeZone),
    known("transaction_deferrable", "off", Accepts::Anything),
    known("transaction_isolation", "repeatable read", Accepts::Anything),
    known("transaction_read_only", "on", Accepts::Anything),
    known("work_mem", "4MB", Accepts::Anything),
    known("xmloption", "content", Accepts::Anything),
];

/// How a setting's name is written, by its name in lower case.
pub fn canonical(name: &str) -> &str {
    KNOWN.iter().find(|k| k.name.eq_ignore_ascii_case(name)).map_or(name, |k| k.name)
}

/// Values by name in lower case.
type Values = BTreeMap<String, String>;

/// The settings of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As of the start of the session; what `RESET` goes back to.
    initial: Values,
    values: Values,
    transaction: Option<Transaction>,
}

/// What becomes of the settings at the end of a transaction.
#[derive(Clone, Debug)]
struct Transaction {
    before: Values,
    /// Without what was set for the transaction only.
    kept: Values,
}

impl Settings {
    /// The defaults, and what the client asked for when it connected. Options of
    /// the connection that are not settings are none of the client's errors.
    pub fn new<'a>(user: &str, asked: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let defaults = KNOWN.iter().map(|k| (k.name.to_lowercase(), k.default.to_owned()));
        let values = defaults.collect();
        let mut settings = Self { initial: BTreeMap::new(), values, transaction: None };
        settings.values.insert("session_authorization".into(), user.to_owned());
        for (name, value) in asked {
            // An unsupported value leaves the default, which the client is told.
            let _ = settings.set(name, Some(value));
        }
        settings.initial = settings.values.clone();
        settings
    }

    /// Sets what the client's `options` ask for: `-c name=value --name=value`.
    pub fn set_options(&mut self, options: &str) -> Result<(), PgWireError> {
        let mut words = words_of(options).into_iter();
        while let Some(word) = words.next() {
            let setting = match word.strip_prefix("-c") {
                Some("") => words.next(),
                Some(setting) => Some(setting.to_owned()),
                None => word.strip_prefix("--").map(|s| s.replacen('-', "_", s.len())),
            };
            let setting = setting.as_deref().and_then(|s| s.split_once('='));
            let Some((name, value)) = setting else {
                let message = format!("invalid command-line argument for server process: {word}");
                return Err(plain(state::SYNTAX, message));
            };
            self.set(name, Some(value))?;
        }
        self.initial = self.values.clone();
        Ok(())
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
        let (key, value, told) = self.checked(name, value)?;
        if let Some(transaction) = &mut self.transaction {
            transaction.kept.insert(key.clone(), value.clone());
        }
        self.values.insert(key, value);
        Ok(told)
    }

    /// Changes a setting until the end of the transaction.
    pub fn set_local(
        &mut self,
        name: &str,
        value: Option<&str>,
    ) -> Result<Option<(String, String)>, PgWireError> {
        let (key, value, told) = self.checked(name, value)?;
        self.values.insert(key, value);
        Ok(told)
    }

    /// The key and value of a setting, and what the client is told of it.
    #[expect(clippy::type_complexity, reason = "three things that belong together once")]
    fn checked(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<(String, String, Option<(String, String)>), PgWireError> {
        let key = name.to_lowercase();
        // Names with a dot belong to the client.
        if key.contains('.') {
            return Ok((key, value.unwrap_or_default().to_owned(), None));
        }
        let known = KNOWN.iter().find(|k| k.name.eq_ignore_ascii_case(name));
        let known = known.ok_or_else(|| unknown(name))?;
        let value = match value {
            Some(value) => checked(known, value)?,
            None => self.initial.get(&key).map_or(known.default, String::as_str).to_owned(),
        };
        let told = known.reported.then(|| (known.name.to_owned(), value.clone()));
        Ok((key, value, told))
    }

    /// A transaction begins.
    pub fn begin(&mut self) {
        let (before, kept) = (self.values.clone(), self.values.clone());
        self.transaction = Some(Transaction { before, kept });
    }

    /// A transaction ends; what to report to the client.
    pub fn end(&mut self, committed: bool) -> Vec<(String, String)> {
        match self.transaction.take() {
            Some(transaction) if committed => self.switch_to(transaction.kept),
            Some(transaction) => self.switch_to(transaction.before),
            None => Vec::new(),
        }
    }

    /// Back to the start; what to report to the client.
    pub fn reset(&mut self) -> Vec<(String, String)> {
        if let Some(transaction) = &mut self.transaction {
            transaction.kept = self.initial.clone();
        }
        self.switch_to(self.initial.clone())
    }

    fn switch_to(&mut self, values: Values) -> Vec<(String, String)> {
        let before = std::mem::replace(&mut self.values, values);
        let changed = |k: &Known| {
            before.get(&k.name.to_lowercase()) != self.values.get(&k.name.to_lowercase())
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
        self.timeout("statement_timeout")
    }

    /// How long the client may be silent, in a transaction or outside of one.
    pub fn idle_timeout(&self, in_transaction: bool) -> Option<Duration> {
        self.timeout(match in_transaction {
            true => "idle_in_transaction_session_timeout",
            false => "idle_session_timeout",
        })
    }

    fn timeout(&self, name: &str) -> Option<Duration> {
        milliseconds(self.values.get(name)?).filter(|ms| *ms > 0).map(Duration::from_millis)
    }
}

/// Words between spaces; a backslash takes the meaning from the one after it.
fn words_of(options: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
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
fn milliseconds(value: &str) -> Option<u64> {
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
    #[test]
    fn a_transaction_takes_its_settings_with_it() {
        let mut settings = Settings::new("me", std::iter::empty());
        let value = |settings: &Settings, name| settings.get(name).expect("known").to_owned();
        settings.begin();
        settings.set("application_name", Some("kept")).expect("offered");
        settings.set_local("application_name", Some("local")).expect("offered");
        assert_eq!(value(&settings, "application_name"), "local");
        assert_eq!(settings.end(true), [("application_name".to_owned(), "kept".to_owned())]);
        settings.begin();
        settings.set("jit", Some("on")).expect("offered");
        assert!(settings.end(false).is_empty());
        assert_eq!(value(&settings, "jit"), "off");
    }

    #[test]
    fn options_of_the_start_are_settings() {
        let mut settings = Settings::new("me", std::iter::empty());
        let options = "-c statement_timeout=90000 -cjit=on --search-path=a\\ b";
        settings.set_options(options).expect("offered");
        assert_eq!(settings.get("statement_timeout").ok(), Some("90s"));
        assert_eq!(settings.get("jit").ok(), Some("on"));
        assert_eq!(settings.get("search_path").ok(), Some("a b"));
        settings.set("jit", None).expect("offered");
        assert_eq!(settings.get("jit").ok(), Some("on"));
        for options in ["-c", "-c jit", "-x", "-c statement_timeout=soon", "-c nosuch=1"] {
            assert!(settings.set_options(options).is_err(), "{options}");
        }
    }

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
