//! What one connection remembers, and the session commands that change it.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use pgwire::api::ClientInfo;
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::response::TransactionStatus;

use super::command::{Command, Discard};
use super::error::{plain, state, to_wire};
use super::settings::Settings;
use crate::dialect::tsql;
use crate::store::{Snapshot, Store};

/// The state of one connection.
pub struct Session {
    pub settings: Mutex<Settings>,
    /// Held from `BEGIN` to the end of the transaction.
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    savepoints: Mutex<Vec<String>>,
    /// Names of prepared statements, which the protocol's store does not list.
    pub prepared: Mutex<HashSet<String>>,
    /// What T-SQL remembers: variables, options, who asks.
    sql: Mutex<tsql::Session>,
}

/// What a session command asks of the connection.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// The command tag.
    Done(&'static str),
    /// The tag, after a warning with its SQLSTATE.
    Warned(&'static str, &'static str, &'static str),
    /// The tag; the transaction begins, and so on.
    Status(&'static str, TransactionStatus),
    /// The tag; settings the client has to know.
    Report(&'static str, Vec<(String, String)>),
    /// Rows of text.
    Rows(Vec<Vec<String>>),
    /// The tag; `None` for all.
    Forget(&'static str, Option<String>),
    /// Everything back to how the connection began.
    Clear(Vec<(String, String)>),
}

impl Session {
    pub fn new(settings: Settings, process: i32) -> Self {
        let setting = |name| settings.get(name).ok().filter(|v| !v.is_empty()).map(str::to_owned);
        let client = tsql::Client {
            login: setting("session_authorization").unwrap_or_default(),
            program: setting("application_name"),
            // Half of the number is enough to tell sessions apart.
            process: i16::try_from(process & 0x7fff).unwrap_or(i16::MAX),
            ..tsql::Client::default()
        };
        Self {
            sql: Mutex::new(tsql::Session::of(client)),
            settings: Mutex::new(settings),
            snapshot: Mutex::new(None),
            savepoints: Mutex::new(Vec::new()),
            prepared: Mutex::new(HashSet::new()),
        }
    }

    /// The session of a connection.
    pub fn of<C: ClientInfo + ?Sized>(client: &C) -> PgWireResult<Arc<Self>> {
        let missing = || plain(state::PROTOCOL_VIOLATION, "the connection was not started");
        client.session_extensions().get::<Self>().ok_or_else(missing)
    }

    /// The tables as the current transaction sees them, or as they are now.
    pub fn snapshot(&self, store: &Store) -> Arc<Snapshot> {
        self.snapshot.lock().clone().unwrap_or_else(|| store.snapshot())
    }

    /// The state of T-SQL as it is now.
    pub fn sql(&self) -> tsql::Session {
        let mut sql = self.sql.lock().clone();
        sql.client.transactions = i32::from(self.snapshot.lock().is_some());
        sql
    }

    /// Keeps what statements have changed.
    pub fn keep_sql(&self, sql: tsql::Session) {
        *self.sql.lock() = sql;
    }

    /// The rows of the last query, for `@@ROWCOUNT`.
    pub fn answered(&self, rows: usize) {
        self.sql.lock().rows = i64::try_from(rows).unwrap_or(i64::MAX);
    }

    /// Variables end with their batch.
    pub fn forget_variables(&self) {
        self.sql.lock().forget_variables();
    }

    /// Carries out a command as far as it concerns the session itself.
    pub fn apply(
        &self,
        command: &Command,
        status: TransactionStatus,
        store: &Store,
    ) -> PgWireResult<Effect> {
        let idle = status == TransactionStatus::Idle;
        let failed = status == TransactionStatus::Error;
        Ok(match command {
            Command::Begin if idle => {
                *self.snapshot.lock() = Some(store.snapshot());
                Effect::Status("BEGIN", TransactionStatus::Transaction)
            }
            Command::Begin => {
                Effect::Warned("BEGIN", "25001", "there is already a transaction in progress")
            }
            Command::Commit | Command::Rollback => {
                *self.snapshot.lock() = None;
                self.savepoints.lock().clear();
                let rollback = failed || *command == Command::Rollback;
                let tag = if rollback { "ROLLBACK" } else { "COMMIT" };
                if idle {
                    Effect::Warned(
                        tag,
                        state::NO_TRANSACTION,
                        "there is no transaction in progress",
                    )
                } else {
                    Effect::Status(tag, TransactionStatus::Idle)
                }
            }
            Command::Savepoint(_) | Command::Release(_) | Command::RollbackTo(_) if idle => {
                let message = "savepoints can only be used in transaction blocks";
                return Err(plain(state::NO_TRANSACTION, message));
            }
            Command::Savepoint(name) => {
                self.savepoints.lock().push(name.clone());
                Effect::Done("SAVEPOINT")
            }
            Command::Release(name) => {
                let at = self.savepoint(name)?;
                self.savepoints.lock().truncate(at);
                Effect::Done("RELEASE")
            }
            Command::RollbackTo(name) => {
                let at = self.savepoint(name)?;
                self.savepoints.lock().truncate(at + 1);
                Effect::Status("ROLLBACK", TransactionStatus::Transaction)
            }
            Command::Set(name, value) => {
                let change = self.settings.lock().set(name, value.as_deref())?;
                Effect::Report("SET", change.into_iter().collect())
            }
            Command::Reset(Some(name)) => {
                let change = self.settings.lock().set(name, None)?;
                Effect::Report("RESET", change.into_iter().collect())
            }
            Command::Option(name, value) => {
                let mut sql = self.sql.lock();
                sql.set(name, value).map_err(|e| to_wire(&e, ""))?;
                Effect::Done("SET")
            }
            Command::Reset(None) => {
                self.sql.lock().options = tsql::Options::default();
                Effect::Report("RESET", self.settings.lock().reset())
            }
            Command::Accepted(tag) => Effect::Done(tag),
            Command::Show(name) => {
                Effect::Rows(vec![vec![self.settings.lock().get(name)?.to_owned()]])
            }
            Command::ShowAll => {
                let settings = self.settings.lock();
                let row = |(k, v): (&String, &String)| vec![k.clone(), v.clone(), String::new()];
                Effect::Rows(settings.all().iter().map(row).collect())
            }
            Command::Discard(Discard::All) if !idle => {
                let message = "DISCARD ALL cannot run inside a transaction block";
                return Err(plain("25001", message));
            }
            Command::Discard(Discard::All) => {
                let mut sql = self.sql.lock();
                sql.options = tsql::Options::default();
                sql.forget_variables();
                Effect::Clear(self.settings.lock().reset())
            }
            Command::Discard(Discard::Nothing(tag)) => Effect::Done(tag),
            Command::Deallocate(None) => Effect::Forget("DEALLOCATE ALL", None),
            Command::Deallocate(Some(name)) => {
                if !self.prepared.lock().contains(name) {
                    let message = format!("prepared statement \"{name}\" does not exist");
                    return Err(plain(state::UNKNOWN_STATEMENT, message));
                }
                Effect::Forget("DEALLOCATE", Some(name.clone()))
            }
            // Portals end with their transaction; there are no other cursors.
            Command::Close(None) => Effect::Done("CLOSE CURSOR ALL"),
            Command::Close(Some(name)) => {
                let message = format!("cursor \"{name}\" does not exist");
                return Err(plain(state::UNKNOWN_CURSOR, message));
            }
        })
    }

    fn savepoint(&self, name: &str) -> Result<usize, PgWireError> {
        let message = || format!("savepoint \"{name}\" does not exist");
        self.savepoints
            .lock()
            .iter()
            .rposition(|s| s == name)
            .ok_or_else(|| plain(state::UNKNOWN_SAVEPOINT, message()))
    }
}
