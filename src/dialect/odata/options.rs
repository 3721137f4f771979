//! The query options of a request, sorted: which are read, which are refused by
//! name, which do not exist.

use super::aliases::Aliases;
use super::lexer::excerpt;
use crate::catalog::nearest;
use crate::error::{Error, Place, Result, codes};

/// The options that are read here.
pub(super) const OFFERED: [&str; 9] =
    ["$select", "$filter", "$orderby", "$top", "$skip", "$count", "$expand", "$apply", "$compute"];

/// Options of OData and of the Web API that are not offered, or not here.
const REFUSED: [&str; 9] = [
    "$search",
    "$levels",
    "$index",
    "$schemaversion",
    "$deltatoken",
    "$format",
    "savedQuery",
    "userQuery",
    "api-version",
];

/// Options with which a request asks in another language.
pub(super) const LANGUAGES: [&str; 2] = ["fetchXml", "sql"];

/// Passes a value to plug-ins in Dataverse; no query depends on it.
const TAG: &str = "tag";

/// The options of one request.
#[derive(Default)]
pub(super) struct Options<'a> {
    values: [Option<&'a str>; OFFERED.len()],
    pub aliases: Aliases,
}

impl<'a> Options<'a> {
    /// Sorts decoded options. Of several mistakes the first is described and the
    /// others are named.
    pub fn read(options: &'a [(String, String)]) -> Result<Self> {
        let mut sorted = Self::default();
        let mut mistakes: Vec<(Error, &str)> = Vec::new();
        for (name, value) in options {
            if let Err(error) = sorted.take(name, value) {
                mistakes.push((error, name));
            }
        }
        let mut mistakes = mistakes.into_iter();
        let Some((mut first, _)) = mistakes.next() else { return Ok(sorted) };
        let others: Vec<String> =
            mistakes.map(|(_, name)| format!("'{}'", excerpt(name))).collect();
        if !others.is_empty() {
            first.message.push_str(&format!(" (wrong too: {})", others.join(", ")));
        }
        Err(first)
    }

    fn take(&mut self, name: &str, value: &'a str) -> Result<()> {
        if let Some(i) = OFFERED.iter().position(|offered| *offered == name) {
            return match self.values[i].replace(value) {
                None => Ok(()),
                Some(_) => Err(twice(name)),
            };
        }
        match name.strip_prefix('@') {
            Some(alias) if is_identifier(alias) => {
                if self.aliases.insert(name, value) {
                    Ok(())
                } else {
                    Err(twice(name))
                }
            }
            _ if name == TAG => Ok(()),
            _ => Err(refused(name)),
        }
    }

    pub fn value(&self, name: &str) -> Option<&'a str> {
        let i = OFFERED.iter().position(|offered| *offered == name)?;
        self.values[i]
    }
}

/// Checks what stands beside a query in another language: only what `allowed`
/// names, and `tag`.
pub(super) fn alone(options: &[(String, String)], language: usize, allowed: &[&str]) -> Result<()> {
    let name = &options[language].0;
    for (i, (other, _)) in options.iter().enumerate() {
        if i == language || other == TAG {
            continue;
        }
        if other == name {
            return Err(twice(name));
        }
        if !allowed.contains(&other.as_str()) {
            let shown = excerpt(other);
            let message = format!("option '{shown}' cannot be combined with {name}");
            return Err(Error::invalid(codes::ODATA, message).at(query()));
        }
    }
    Ok(())
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn refused(name: &str) -> Error {
    let shown = excerpt(name);
    if name == "$skiptoken" {
        let message = "$skiptoken is taken from an @odata.nextLink of this server only";
        return Error::invalid(codes::ODATA, message).at(query());
    }
    if REFUSED.contains(&name) {
        return Error::unsupported(format!("option '{shown}' is not supported")).at(query());
    }
    if name.starts_with('@') {
        let message = format!("'{shown}' is no name of a parameter alias, such as @p1");
        return Error::invalid(codes::ODATA, message).at(query());
    }
    let known = OFFERED.into_iter().chain(LANGUAGES);
    let message = match nearest(name, known) {
        Some(near) => format!("option '{shown}' does not exist; did you mean '{near}'?"),
        None => format!("option '{shown}' does not exist"),
    };
    Error::invalid(codes::ODATA, message).at(query())
}

pub(super) fn twice(name: &str) -> Error {
    let message = format!("option '{}' is given twice", excerpt(name));
    Error::invalid(codes::ODATA, message).at(query())
}

fn query() -> Place {
    Place::Part("OData query".into())
}
