//! What the catalogs tell of sessions: settings, who is connected and what runs,
//! cursors and prepared statements. A statement sees them as they are when it
//! begins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pgwire::api::ConnectionHandle;

use super::session::Session;
use super::settings::Settings;

/// The sessions of a server, by process number.
#[derive(Default)]
pub struct Sessions(Mutex<BTreeMap<i32, Connected>>);

struct Connected {
    session: Weak<Session>,
    handle: Arc<ConnectionHandle>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sessions").field(&self.0.lock().len()).finish()
    }
}

impl Sessions {
    pub fn add(&self, process: i32, session: &Arc<Session>, handle: Arc<ConnectionHandle>) {
        let session = Arc::downgrade(session);
        self.0.lock().insert(process, Connected { session, handle });
    }

    /// What the sessions of now do.
    fn activities(&self) -> Vec<Activity> {
        let mut all = self.0.lock();
        all.retain(|_, connected| connected.session.strong_count() > 0);
        all.values().filter_map(|c| c.session.upgrade()).map(|s| s.activity()).collect()
    }

    /// Cancels what a session of this user runs; whether there is such a session.
    pub async fn cancel(&self, process: i32, user: &str) -> bool {
        let handle = {
            let all = self.0.lock();
            let connected = all.get(&process);
            let session = connected.and_then(|c| c.session.upgrade());
            let theirs = session.is_some_and(|session| session.activity().user == user);
            connected.filter(|_| theirs).map(|c| c.handle.clone())
        };
        match handle {
            Some(handle) => {
                // With nothing to cancel the signal is lost, as in PostgreSQL.
                handle.cancel().await;
                true
            }
            None => false,
        }
    }
}

/// A session as `pg_stat_activity` shows it; times are in microseconds.
#[derive(Clone, Debug)]
pub struct Activity {
    pub process: i32,
    pub user: String,
    pub application: String,
    pub address: Option<SocketAddr>,
    pub started: i64,
    pub transaction: Option<i64>,
    pub asked: Option<i64>,
    pub changed: i64,
    pub state: &'static str,
    pub text: Arc<str>,
}

/// A row of `pg_cursors`.
#[derive(Clone, Debug)]
pub struct Cursor {
    pub name: String,
    pub text: Arc<str>,
    pub hold: bool,
    pub binary: bool,
    pub opened: i64,
}

/// A row of `pg_prepared_statements`.
#[derive(Clone, Debug)]
pub struct Statement {
    pub name: String,
    pub text: Arc<str>,
    pub types: Vec<String>,
    pub from_sql: bool,
    pub prepared: i64,
}

/// What a statement sees of the sessions.
#[derive(Debug, Default)]
pub struct View {
    /// As they are when the statement begins.
    pub settings: Settings,
    /// As they are kept, for `set_config`.
    pub kept: Arc<Mutex<Settings>>,
    pub process: i32,
    pub cursors: Vec<Cursor>,
    pub statements: Vec<Statement>,
    pub activities: Vec<Activity>,
    pub sessions: Arc<Sessions>,
}

impl View {
    pub fn new(session: &Session, sessions: &Arc<Sessions>) -> Self {
        // The lock must be free again when the session is asked what it does.
        let settings = session.settings.lock().clone();
        Self {
            settings,
            kept: session.settings.clone(),
            process: session.process(),
            cursors: session.cursors(),
            statements: session.prepared(),
            activities: sessions.activities(),
            sessions: sessions.clone(),
        }
    }

    /// Of nobody's session.
    #[cfg(test)]
    pub fn of(settings: Settings) -> Self {
        Self {
            kept: Arc::new(Mutex::new(settings.clone())),
            settings,
            process: 1,
            cursors: Vec::new(),
            statements: Vec::new(),
            activities: Vec::new(),
            sessions: Arc::default(),
        }
    }
}
