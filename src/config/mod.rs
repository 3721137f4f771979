//! How the scheduler and the handlers are set up: a TOML file, environment variables
//! and options, which say the same keys and override each other in this order.
//!
//! Parts: [`keys`] all keys as one table, [`value`] what stands behind them.

mod keys;
mod value;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use self::keys::{KEYS, Key, Names};
pub use self::value::Value;

use crate::catalog::{Catalog, nearest};
use crate::error::{Error, Place, Result, codes};
use crate::handlers::{self, Retention};
use crate::job;
use crate::scheduler::Policies;
use crate::scheduler::policy::PoolPolicy;

/// How the scheduler and the handlers are set up.
#[derive(Clone, Debug)]
pub struct Config {
    pub policies: Policies,
    pub handlers: handlers::Settings,
    /// How long running jobs may take to end when the service stops.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let (policies, handlers) = (Policies::default(), handlers::Settings::default());
        Self { policies, handlers, grace: Duration::from_secs(10) }
    }
}

/// One key with its value, and where it was set.
pub struct Setting {
    key: &'static Key,
    /// What stands for the `*` of its path.
    name: String,
    value: Value,
    place: String,
}

impl Setting {
    /// A key that is no part of a file.
    pub fn given(key: &'static Key, name: &str, value: &str, place: String) -> Self {
        Self { key, name: name.to_owned(), value: Value::Given(value.to_owned()), place }
    }

    /// A setting by its path with dots.
    pub fn at_path(path: &str, value: &str, place: String) -> Result<Self> {
        let segments: Vec<&str> = path.split('.').collect();
        match find(&segments) {
            Found::Key(key, name) => Ok(Self::given(key, &name, value, place)),
            Found::Table => Err(wrong(&place, format!("'{path}' is a table, not a key"))),
            Found::Nothing => Err(wrong(&place, unknown(&segments))),
        }
    }
}

/// What a file says.
#[derive(Default)]
pub struct File {
    settings: Vec<Setting>,
    /// A table `[retention]` is there, if only as a heading.
    retention: bool,
}

impl File {
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|e| {
            let message = format!("'{name}' cannot be read: {e}");
            Error::invalid(codes::INVALID_ARGUMENT, message).caused_by(e)
        })?;
        Self::parse(&text, &name)
    }

    /// Reads the text of a file of that name.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let line = |start: usize| {
            let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
            format!("{name} line {line}")
        };
        let document = DeTable::parse(text).map_err(|e| {
            wrong(&line(e.span().map_or(0, |span| span.start)), e.message().to_owned())
        })?;
        let mut file = Self::default();
        file.table(document.get_ref(), &mut Vec::new(), &line)?;
        Ok(file)
    }

    fn table<'a>(
        &mut self,
        table: &'a DeTable<'_>,
        path: &mut Vec<&'a str>,
        line: &impl Fn(usize) -> String,
    ) -> Result<()> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            path.push(key.get_ref());
            self.entry(key.span().start, value, path, line)?;
            path.pop();
        }
        Ok(())
    }

    fn entry<'a>(
        &mut self,
        start: usize,
        value: &'a Spanned<DeValue<'_>>,
        path: &mut Vec<&'a str>,
        line: &impl Fn(usize) -> String,
    ) -> Result<()> {
        match (find(path), value.get_ref()) {
            (Found::Key(key, name), value) => {
                let value = Value::from_toml(value);
                self.settings.push(Setting { key, name, value, place: line(start) });
                Ok(())
            }
            (Found::Table, DeValue::Table(table)) => {
                self.retention |= path.as_slice() == ["retention"];
                self.table(table, path, line)
            }
            (Found::Table, _) => {
                let message = format!("'{}' is a table: [{0}]", path.join("."));
                Err(wrong(&line(start), message))
            }
            (Found::Nothing, _) => Err(wrong(&line(start), unknown(path))),
        }
    }
}

impl Config {
    /// The same with what a file says and what overrides it, the strongest last.
    pub fn with(mut self, file: File, overrides: Vec<Setting>) -> Result<Self> {
        if file.retention {
            self.handlers.retention.get_or_insert_with(Retention::default);
        }
        let settings: Vec<Setting> = file.settings.into_iter().chain(overrides).collect();
        // What is set for a type begins with what is set for all.
        let (named, plain): (Vec<_>, Vec<_>) = settings.iter().partition(|s| s.key.is_named());
        for setting in plain.into_iter().chain(named) {
            (setting.key.set)(&mut self, &setting.name, &setting.value).map_err(|message| {
                let path = setting.key.path.replacen('*', &setting.name, 1);
                wrong(&setting.place, format!("'{path}': {message}"))
            })?;
        }
        if let Some(pool) = self.policies.pools.iter().find(|p| p.operationtypes.is_empty()) {
            let path = format!("pools.{}", pool.name);
            let of_it = |s: &&Setting| s.key.path.starts_with("pools.") && s.name == pool.name;
            let place = settings.iter().find(of_it).map(|s| s.place.clone()).unwrap_or_default();
            return Err(wrong(&place, format!("'{path}': operationtypes is missing")));
        }
        Ok(self)
    }
}

fn wrong(place: &str, message: String) -> Error {
    Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(place.to_owned()))
}

/// What stands at a path.
enum Found {
    /// With the name that the path has for its `*`.
    Key(&'static Key, String),
    Table,
    Nothing,
}

fn find(path: &[&str]) -> Found {
    let mut found = Found::Nothing;
    for Names { key, .. } in KEYS.iter() {
        let mut name = String::new();
        let mut segments = key.path.split('.');
        let agrees = path.iter().all(|given| match segments.next() {
            Some("*") if !given.is_empty() => {
                name = (*given).to_owned();
                true
            }
            segment => segment == Some(given),
        });
        match (agrees, segments.next()) {
            (true, None) => return Found::Key(key, name),
            (true, Some(_)) => found = Found::Table,
            _ => {}
        }
    }
    found
}

/// The message for a path where nothing stands: the first part that is not known, and
/// the nearest one that is.
fn unknown(path: &[&str]) -> String {
    let known = (0..path.len()).take_while(|n| matches!(find(&path[..*n]), Found::Table)).count();
    let known = known.saturating_sub(1);
    let (before, word) = (&path[..known], path[known]);
    let siblings = KEYS.iter().filter_map(|names| {
        let segments: Vec<&str> = names.key.path.split('.').collect();
        let agrees = before
            .iter()
            .enumerate()
            .all(|(i, given)| matches!(segments[i], s if s == *given || s == "*"));
        segments.get(known).copied().filter(|_| agrees && segments.len() > known)
    });
    let near = nearest(word, siblings.filter(|segment| *segment != "*"));
    let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
    match before {
        [] => format!("unknown key '{word}'{hint}"),
        _ => format!("unknown key '{word}' in [{}]{hint}", before.join(".")),
    }
}

/// The number of an operation type that jobs may have.
fn known_type(name: &str) -> std::result::Result<i32, String> {
    static TYPES: LazyLock<Vec<i32>> = LazyLock::new(|| {
        let catalog = Catalog::built_in();
        let column = catalog.table(job::TABLE).and_then(|jobs| jobs.column("operationtype"));
        column.iter().flat_map(|column| &column.options).map(|option| option.value).collect()
    });
    let known = name.trim().parse().ok().filter(|code| TYPES.contains(code));
    known.ok_or_else(|| format!("'{name}' is not the number of an operation type"))
}

/// A pool by its name; a new one has as many places as a type in no pool.
fn pool<'a>(config: &'a mut Config, name: &str) -> &'a mut PoolPolicy {
    let policies = &mut config.policies;
    let there = policies.pools.iter().position(|pool| pool.name == name);
    let place = there.unwrap_or_else(|| {
        let (operationtypes, concurrency) = (Vec::new(), policies.concurrency);
        policies.pools.push(PoolPolicy { name: name.to_owned(), operationtypes, concurrency });
        policies.pools.len() - 1
    });
    &mut policies.pools[place]
}
