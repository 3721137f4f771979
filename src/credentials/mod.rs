//! Who may use a service: users with a role, and what they prove themselves
//! with. A TOML file names them; tokens issued to OAuth clients live in memory.

mod file;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::identity::Role;
use crate::value::Guid;

/// How long an issued token is valid, in seconds.
pub const TOKEN_SECONDS: i64 = 3599;
/// Issued tokens kept at once; the oldest go first.
const TOKENS_MAX: usize = 10_000;

/// A user of the service.
#[derive(Debug)]
pub struct User {
    pub name: String,
    pub role: Role,
    /// The row of `systemuser` that the user acts as.
    pub systemuserid: Option<Guid>,
    /// For SQL.
    pub password: Option<String>,
    tokens: Vec<String>,
    /// Id and secret of OAuth 2.0 client credentials.
    client: Option<(String, String)>,
}

/// The users of a service.
#[derive(Debug)]
pub struct Credentials {
    users: Vec<User>,
    issued: Mutex<HashMap<String, Issued>>,
}

#[derive(Debug)]
struct Issued {
    user: usize,
    /// In microseconds since 1970.
    expires: i64,
}

impl Credentials {
    fn new(users: Vec<User>) -> Self {
        Self { users, issued: Mutex::default() }
    }

    /// The user a bearer token belongs to at a time.
    pub fn bearer(&self, token: &str, now: i64) -> Option<&User> {
        let mut found = None;
        // All are compared, lest the time tells which came near.
        for user in &self.users {
            for own in &user.tokens {
                if same(own, token) {
                    found = Some(user);
                }
            }
        }
        found.or_else(|| {
            let issued = self.issued.lock();
            let issued = issued.get(token).filter(|issued| issued.expires > now)?;
            Some(&self.users[issued.user])
        })
    }

    /// A new token for the OAuth client with this id and secret.
    pub fn issue(&self, id: &str, secret: &str, now: i64) -> Option<String> {
        let mut found = None;
        for (at, user) in self.users.iter().enumerate() {
            if let Some((own_id, own_secret)) = &user.client
                && same(own_id, id) & same(own_secret, secret)
            {
                found = Some(at);
            }
        }
        let user = found?;
        let token = new_token();
        let mut issued = self.issued.lock();
        issued.retain(|_, issued| issued.expires > now);
        if issued.len() >= TOKENS_MAX
            && let Some(oldest) = issued.iter().min_by_key(|(_, i)| i.expires).map(|(t, _)| t)
        {
            let oldest = oldest.clone();
            issued.remove(&oldest);
        }
        issued.insert(token.clone(), Issued { user, expires: now + TOKEN_SECONDS * 1_000_000 });
        Some(token)
    }

    /// The user with a name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }
}

/// A token that nobody can guess.
pub fn new_token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
