//! The file that names the users:
//!
//! ```toml
//! [[users]]
//! name = "grafana"
//! role = "reader"                  # reader, operator or administrator
//! password = "…"                   # for SQL
//! tokens = ["…"]                   # bearer tokens
//! client_id = "…"                  # OAuth 2.0 client credentials
//! client_secret = "…"
//! systemuserid = "…"               # the systemuser this user acts as
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::{Credentials, User};
use crate::error::{Error, Place, Result, codes};
use crate::identity::Role;
use crate::value::parse_guid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    users: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    role: RoleName,
    password: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    systemuserid: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    Reader,
    Operator,
    Administrator,
}

impl Credentials {
    /// Reads the users from a file.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|e| {
            let message = format!("'{name}' cannot be read: {e}");
            Error::invalid(codes::INVALID_ARGUMENT, message).caused_by(e)
        })?;
        if others_can_read(file) {
            eprintln!("warning: '{name}' can be read by other users of this machine; chmod 600 it");
        }
        Self::parse(&text, &name)
    }

    /// Reads the users from the text of a file.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        // The text itself is not shown: it holds secrets.
        let at = |start: usize, message: String| {
            let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
            let place = Place::Part(format!("{file} line {line}"));
            Error::invalid(codes::INVALID_ARGUMENT, message).at(place)
        };
        let parsed: File = toml::from_str(text).map_err(|e| {
            let start = e.span().map_or(0, |span| span.start);
            at(start, e.message().to_owned())
        })?;
        let mut taken = HashMap::new();
        let mut users = Vec::new();
        for entry in parsed.users {
            let (start, name) = (entry.name.span().start, entry.name.get_ref().clone());
            let refused = |what: String| at(start, format!("user '{name}': {what}"));
            let mut unique = |kind: &'static str, value: &str| {
                if value.is_empty() {
                    return Err(refused(format!("an empty {kind}")));
                }
                match taken.insert((kind, value.to_owned()), name.clone()) {
                    Some(other) if kind == "name" || other == name => {
                        Err(refused(format!("this {kind} is given twice")))
                    }
                    Some(other) => {
                        Err(refused(format!("this {kind} belongs to user '{other}' already")))
                    }
                    None => Ok(()),
                }
            };
            unique("name", &name)?;
            for token in &entry.tokens {
                unique("token", token)?;
            }
            let client = match (entry.client_id, entry.client_secret) {
                (Some(id), Some(secret)) => {
                    unique("client_id", &id)?;
                    Some((id, secret))
                }
                (None, None) => None,
                (Some(_), None) => return Err(refused("client_id without client_secret".into())),
                (None, Some(_)) => return Err(refused("client_secret without client_id".into())),
            };
            for (kind, value) in
                [("password", &entry.password), ("client_secret", &client.clone().map(|c| c.1))]
            {
                if value.as_ref().is_some_and(String::is_empty) {
                    return Err(refused(format!("an empty {kind}")));
                }
            }
            if entry.password.is_none() && entry.tokens.is_empty() && client.is_none() {
                let message = "it needs a password, tokens, or client_id and client_secret";
                return Err(refused(message.into()));
            }
            let systemuserid = match &entry.systemuserid {
                None => None,
                Some(text) => Some(
                    parse_guid(text)
                        .ok_or_else(|| refused(format!("systemuserid '{text}' is not a GUID")))?,
                ),
            };
            let role = match entry.role {
                RoleName::Reader => Role::Reader,
                RoleName::Operator => Role::Operator,
                RoleName::Administrator => Role::Administrator,
            };
            let (password, tokens) = (entry.password, entry.tokens);
            users.push(User { name, role, systemuserid, password, tokens, client });
        }
        if users.is_empty() {
            return Err(at(0, "there are no users".into()));
        }
        Ok(Self::new(users))
    }
}

#[cfg(unix)]
fn others_can_read(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_: &Path) -> bool {
    false
}
