//! The settings of a session that `SET`, `SHOW` and `current_setting` know.
//!
//! Most of them change nothing here and exist because drivers set them on
//! connecting. A value that would change what the client gets, and that is not
//! offered, is refused by name.

mod known;

use std::collections::BTreeMap;
use std::time::Duration;

use pgwire::error::PgWireError;

use self::known::{Accepts, KNOWN, Known, checked, milliseconds};
use super::error::{plain, state};

/// What `server_version` says: the PostgreSQL whose catalogs clients will ask for.
pub const SERVER_VERSION: &str = concat!("15.8 (sysjob ", env!("CARGO_PKG_VERSION"), ")");

/// How a setting's name is written, by its name in lower case.
pub fn canonical(name: &str) -> &str {
    KNOWN.iter().find(|k| k.name.eq_ignore_ascii_case(name)).map_or(name, |k| k.name)
}

/// Values by name in lower case.
type Values = BTreeMap<String, String>;

/// The settings of one session.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// As of the start of the session; what `RESET` goes back to.
    initial: Values,
    values: Values,
    transaction: Option<Transaction>,
    /// What functions have changed and the client has to be told.
    noted: Vec<(String, String)>,
}

/// A setting as `pg_settings` has it: times are numbers of milliseconds.
pub struct Listed<'a> {
    pub name: &'a str,
    pub value: String,
    pub initial: String,
    pub default: String,
    pub unit: Option<&'static str>,
    pub fixed: bool,
    pub kind: &'static str,
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
        let mut settings =
            Self { initial: BTreeMap::new(), values, transaction: None, noted: Vec::new() };
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

    /// All settings as `pg_settings` lists them.
    pub fn listed(&self) -> Vec<Listed<'_>> {
        self.values.iter().map(|(name, value)| self.one_listed(name, value)).collect()
    }

    fn one_listed<'a>(&self, name: &'a str, value: &str) -> Listed<'a> {
        let known = KNOWN.iter().find(|k| k.name.eq_ignore_ascii_case(name));
        let accepts = known.map_or(Accepts::Anything, |k| k.accepts);
        let shown = |value: &str| match (accepts, milliseconds(value)) {
            (Accepts::Timeout, Some(limit)) => limit.to_string(),
            _ => value.to_owned(),
        };
        Listed {
            name: known.map_or(name, |k| k.name),
            value: shown(value),
            initial: shown(self.initial.get(name).map_or("", String::as_str)),
            default: shown(known.map_or("", |k| k.default)),
            unit: (accepts == Accepts::Timeout).then_some("ms"),
            fixed: accepts == Accepts::Fixed,
            kind: match value {
                "on" | "off" => "bool",
                _ if accepts == Accepts::Timeout || value.parse::<i64>().is_ok() => "integer",
                _ => "string",
            },
        }
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
        match &mut self.transaction {
            Some(transaction) => {
                transaction.kept.insert(key.clone(), value.clone());
            }
            None if key == "default_transaction_isolation" => {
                self.values.insert("transaction_isolation".into(), value.clone());
            }
            None => {}
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

    /// Keeps a change until the client can be told.
    pub fn note(&mut self, change: Option<(String, String)>) {
        self.noted.extend(change);
    }

    /// The changes that the client was not told of yet.
    pub fn take_noted(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.noted)
    }

    /// A transaction begins.
    pub fn begin(&mut self) {
        if let Some(level) = self.values.get("default_transaction_isolation").cloned() {
            self.values.insert("transaction_isolation".into(), level);
        }
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
    fn isolation_levels_are_kept_as_they_are_asked_for() {
        let mut settings = Settings::new("me", std::iter::empty());
        let level = |settings: &Settings| settings.get("transaction_isolation").map(str::to_owned);
        settings.set("default_transaction_isolation", Some("Read Committed")).expect("offered");
        assert_eq!(level(&settings).ok().as_deref(), Some("read committed"));
        settings.begin();
        settings.set_local("transaction_isolation", Some("serializable")).expect("offered");
        assert_eq!(level(&settings).ok().as_deref(), Some("serializable"));
        settings.end(true);
        assert_eq!(level(&settings).ok().as_deref(), Some("read committed"));
        assert!(settings.set("transaction_isolation", Some("chaos")).is_err());
    }

    #[test]
    fn times_are_listed_in_milliseconds() {
        let mut settings = Settings::new("me", std::iter::empty());
        settings.set("statement_timeout", Some("5s")).expect("offered");
        let listed = settings.listed();
        let timeout = listed.iter().find(|s| s.name == "statement_timeout").expect("listed");
        assert_eq!((timeout.value.as_str(), timeout.unit), ("5000", Some("ms")));
        assert!(listed.iter().any(|s| s.name == "DateStyle" && s.kind == "string"));
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
}
