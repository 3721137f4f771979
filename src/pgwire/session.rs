//! What one connection remembers, and the session commands that change it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pgwire::api::stmt::StoredStatement;
use pgwire::api::store::Entry;
use pgwire::api::{ClientInfo, DEFAULT_NAME};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::response::TransactionStatus;

use super::command::{Command, Discard};
use super::cursor::Open;
use super::error::{plain, state, to_wire};
use super::prepared::Prepared;
use super::settings::{Settings, canonical};
use super::view::{self, Activity};
use crate::dialect::tsql;
use crate::store::{Snapshot, Store};

/// The setting of a transaction's isolation.
const ISOLATION: &str = "transaction_isolation";

/// The state of one connection.
pub struct Session {
    pub settings: Arc<Mutex<Settings>>,
    process: i32,
    activity: Mutex<Activity>,
    /// Held from `BEGIN` to the end of the transaction.
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// Held from the first statement of a request to its end: several
    /// statements sent as one are one transaction.
    request: Mutex<Option<Arc<Snapshot>>>,
    /// Whether the request at hand has several statements.
    several: AtomicBool,
    savepoints: Mutex<Vec<String>>,
    /// Prepared statements by name, of the protocol and of `PREPARE`.
    pub statements: Mutex<HashMap<String, Entry<StoredStatement<Arc<Prepared>>>>>,
    cursors: Mutex<HashMap<String, Open>>,
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
    /// The tag; the transaction begins or ends, and settings go back with it.
    Status(&'static str, TransactionStatus, Vec<(String, String)>),
    /// The tag; settings the client has to know.
    Report(&'static str, Vec<(String, String)>),
    /// Rows of text.
    Rows(Vec<Vec<String>>),
    /// Everything back to how the connection began.
    Clear(Vec<(String, String)>),
}

impl Session {
    /// A session that begins at a time, in microseconds.
    pub fn new(settings: Settings, process: i32, address: SocketAddr, now: i64) -> Self {
        let setting = |name| settings.get(name).ok().filter(|v| !v.is_empty()).map(str::to_owned);
        let client = tsql::Client {
            login: setting("session_authorization").unwrap_or_default(),
            program: setting("application_name"),
            // Half of the number is enough to tell sessions apart.
            process: i16::try_from(process & 0x7fff).unwrap_or(i16::MAX),
            ..tsql::Client::default()
        };
        let activity = Activity {
            process,
            user: client.login.clone(),
            application: String::new(),
            address: Some(address),
            started: now,
            transaction: None,
            asked: None,
            changed: now,
            state: "idle",
            text: "".into(),
        };
        Self {
            sql: Mutex::new(tsql::Session::of(client)),
            settings: Arc::new(Mutex::new(settings)),
            process,
            activity: Mutex::new(activity),
            snapshot: Mutex::new(None),
            request: Mutex::new(None),
            several: AtomicBool::new(false),
            savepoints: Mutex::new(Vec::new()),
            statements: Mutex::new(HashMap::new()),
            cursors: Mutex::new(HashMap::new()),
        }
    }

    /// The session of a connection.
    pub fn of<C: ClientInfo + ?Sized>(client: &C) -> PgWireResult<Arc<Self>> {
        let missing = || plain(state::PROTOCOL_VIOLATION, "the connection was not started");
        client.session_extensions().get::<Self>().ok_or_else(missing)
    }

    pub fn process(&self) -> i32 {
        self.process
    }

    /// What the session does.
    pub fn activity(&self) -> Activity {
        let application = self.settings.lock().get("application_name").unwrap_or_default().into();
        Activity { application, ..self.activity.lock().clone() }
    }

    /// A text begins to be run.
    pub fn runs(&self, text: &Arc<str>, now: i64) {
        let mut activity = self.activity.lock();
        (activity.state, activity.text) = ("active", text.clone());
        (activity.asked, activity.changed) = (Some(now), now);
        activity.transaction.get_or_insert(now);
    }

    /// The session waits for the client.
    fn waits(&self, status: TransactionStatus, now: i64) {
        let mut activity = self.activity.lock();
        activity.changed = now;
        activity.state = match status {
            TransactionStatus::Idle => "idle",
            TransactionStatus::Transaction => "idle in transaction",
            TransactionStatus::Error => "idle in transaction (aborted)",
        };
        if status == TransactionStatus::Idle {
            activity.transaction = None;
        }
    }

    /// The cursors that are open.
    pub fn cursors(&self) -> Vec<view::Cursor> {
        let cursors = self.cursors.lock();
        let row = |open: &Open| view::Cursor {
            name: open.declaration.name.clone(),
            text: open.text.clone(),
            hold: open.declaration.hold,
            binary: open.declaration.binary,
            opened: open.opened,
        };
        cursors.values().map(row).collect()
    }

    /// The prepared statements that have names.
    pub fn prepared(&self) -> Vec<view::Statement> {
        let statements = self.statements.lock();
        let row = |(name, entry): (&String, &Entry<StoredStatement<Arc<Prepared>>>)| {
            let prepared = &entry.value()?.statement;
            Some(view::Statement {
                name: name.clone(),
                text: prepared.text.clone(),
                types: prepared.parameters.types.iter().map(|t| t.name().to_owned()).collect(),
                from_sql: prepared.from_sql,
                prepared: prepared.at,
            })
        };
        statements.iter().filter(|(name, _)| *name != DEFAULT_NAME).filter_map(row).collect()
    }

    /// The tables for a statement that is run: as its transaction sees them.
    pub fn snapshot(&self, store: &Store) -> Arc<Snapshot> {
        let held = self.snapshot.lock().clone();
        held.unwrap_or_else(|| self.request.lock().get_or_insert_with(|| store.snapshot()).clone())
    }

    /// The tables for a statement that is only described, maybe long before it runs.
    pub fn view(&self, store: &Store) -> Arc<Snapshot> {
        let held = self.snapshot.lock().clone().or_else(|| self.request.lock().clone());
        held.unwrap_or_else(|| store.snapshot())
    }

    /// A request begins that has several statements, or one.
    pub fn begin_request(&self, several: bool) {
        self.several.store(several, Ordering::Relaxed);
    }

    /// The request is over, and with it the transaction that it was.
    pub fn end_request(&self, status: TransactionStatus, now: i64) {
        self.waits(status, now);
        self.several.store(false, Ordering::Relaxed);
        self.request.lock().take();
        if status == TransactionStatus::Idle {
            self.close_cursors(false);
        }
    }

    /// Keeps a cursor.
    pub fn open(&self, cursor: Open, status: TransactionStatus) -> PgWireResult<()> {
        self.may_open(&cursor.declaration.name, cursor.declaration.hold, status)?;
        self.cursors.lock().insert(cursor.declaration.name.clone(), cursor);
        Ok(())
    }

    /// Whether a cursor of this name may be opened.
    pub fn may_open(&self, name: &str, hold: bool, status: TransactionStatus) -> PgWireResult<()> {
        let block = status != TransactionStatus::Idle || self.several.load(Ordering::Relaxed);
        if !hold && !block {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(plain(state::NO_TRANSACTION, message));
        }
        if self.cursors.lock().contains_key(name) {
            return Err(plain(
                state::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            ));
        }
        Ok(())
    }

    /// A cursor by name.
    pub fn cursor(&self, name: &str) -> PgWireResult<Open> {
        let missing = || plain(state::UNKNOWN_CURSOR, format!("cursor \"{name}\" does not exist"));
        self.cursors.lock().get(name).cloned().ok_or_else(missing)
    }

    /// Closes a cursor; whether there was one.
    pub fn close(&self, name: &str) -> bool {
        self.cursors.lock().remove(name).is_some()
    }

    /// Cursors end with their transaction, but those `WITH HOLD`, unless it is rolled
    /// back that declared them.
    fn close_cursors(&self, rollback: bool) {
        self.cursors.lock().retain(|_, cursor| {
            let stays = cursor.held || cursor.declaration.hold && !rollback;
            cursor.held = stays;
            stays
        });
    }

    /// What only one request may use.
    pub fn forget_unnamed(&self) {
        self.statements.lock().remove(DEFAULT_NAME);
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
            Command::Begin(begin) if idle => {
                // The statements before it in the request are part of it.
                let snapshot = self.request.lock().take().unwrap_or_else(|| store.snapshot());
                *self.snapshot.lock() = Some(snapshot);
                let mut settings = self.settings.lock();
                settings.begin();
                if let Some(level) = &begin.modes.isolation {
                    settings.set_local(ISOLATION, Some(level))?;
                }
                Effect::Status(begin.tag(), TransactionStatus::Transaction, Vec::new())
            }
            Command::Begin(begin) => {
                let message = "there is already a transaction in progress";
                Effect::Warned(begin.tag(), "25001", message)
            }
            Command::Commit { chain: true } | Command::Rollback { chain: true } if idle => {
                let message = "AND CHAIN can only be used in transaction blocks";
                return Err(plain(state::NO_TRANSACTION, message));
            }
            Command::Commit { chain } | Command::Rollback { chain } => {
                let rollback = failed || matches!(command, Command::Rollback { .. });
                let tag = if rollback { "ROLLBACK" } else { "COMMIT" };
                if idle {
                    let message = "there is no transaction in progress";
                    return Ok(Effect::Warned(tag, state::NO_TRANSACTION, message));
                }
                self.savepoints.lock().clear();
                self.close_cursors(rollback);
                let mut settings = self.settings.lock();
                let changes = settings.end(!rollback);
                if *chain {
                    settings.begin();
                }
                *self.snapshot.lock() = chain.then(|| store.snapshot());
                let status = match chain {
                    true => TransactionStatus::Transaction,
                    false => TransactionStatus::Idle,
                };
                Effect::Status(tag, status, changes)
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
                Effect::Status("ROLLBACK", TransactionStatus::Transaction, Vec::new())
            }
            Command::Set(name, value) => {
                let change = self.settings.lock().set(name, value.as_deref())?;
                Effect::Report("SET", change.into_iter().collect())
            }
            Command::SetTransaction(_) if idle => {
                let message = "SET TRANSACTION can only be used in transaction blocks";
                Effect::Warned("SET", state::NO_TRANSACTION, message)
            }
            Command::SetTransaction(modes) => {
                if let Some(level) = &modes.isolation {
                    self.settings.lock().set_local(ISOLATION, Some(level))?;
                }
                Effect::Done("SET")
            }
            Command::SetCharacteristics(modes) => {
                if let Some(level) = &modes.isolation {
                    self.settings.lock().set("default_transaction_isolation", Some(level))?;
                }
                Effect::Done("SET")
            }
            Command::SetLocal(..) if idle => {
                let message = "SET LOCAL can only be used in transaction blocks";
                Effect::Warned("SET", state::NO_TRANSACTION, message)
            }
            Command::SetLocal(name, value) => {
                let change = self.settings.lock().set_local(name, value.as_deref())?;
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
                let row = |(name, value): (&String, &String)| {
                    vec![canonical(name).to_owned(), value.clone(), String::new()]
                };
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
                self.statements.lock().clear();
                self.cursors.lock().clear();
                Effect::Clear(self.settings.lock().reset())
            }
            Command::Discard(Discard::Nothing(tag)) => Effect::Done(tag),
            Command::Deallocate(None) => {
                self.statements.lock().clear();
                Effect::Done("DEALLOCATE ALL")
            }
            Command::Deallocate(Some(name)) => {
                if self.statements.lock().remove(name).is_none() {
                    return Err(unknown_statement(name));
                }
                Effect::Done("DEALLOCATE")
            }
            Command::Close(None) => {
                self.cursors.lock().clear();
                Effect::Done("CLOSE CURSOR ALL")
            }
            Command::Close(Some(name)) => {
                if !self.close(name) {
                    let message = format!("cursor \"{name}\" does not exist");
                    return Err(plain(state::UNKNOWN_CURSOR, message));
                }
                Effect::Done("CLOSE CURSOR")
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

/// A prepared statement that is not there.
pub fn unknown_statement(name: &str) -> PgWireError {
    let message = format!("prepared statement \"{name}\" does not exist");
    plain(state::UNKNOWN_STATEMENT, message)
}
