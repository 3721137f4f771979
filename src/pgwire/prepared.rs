//! Prepared statements and portals: described once, run as often as asked.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use futures::{Sink, SinkExt};
use pgwire::api::portal::{Portal, PortalExecutionState};
use pgwire::api::results::QueryResponse;
use pgwire::api::stmt::StoredStatement;
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, DEFAULT_NAME, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::{Execute, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;

use super::error::{plain, state};
use super::handler::{Answer, Client, Given, Handler, allowed};
use super::params::Parameters;
use super::planner::{Work, single};
use super::send::{complete, send_copy, send_rows, text_schema, told};
use super::session::{Session, unknown_statement};

/// A prepared statement.
pub struct Prepared {
    pub work: Work,
    pub text: Arc<str>,
    /// `None`: it does not answer with rows.
    pub columns: Option<SchemaRef>,
    pub parameters: Parameters,
    /// Whether `PREPARE` made it.
    pub from_sql: bool,
    /// When, in microseconds.
    pub at: i64,
}

impl Handler {
    /// Parses and describes a statement; `None` when there is none.
    pub async fn prepare<C>(
        &self,
        client: &C,
        text: &str,
        named: &[Option<Type>],
        from_sql: bool,
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let session = Session::of(client)?;
        let Some(work) = single(self.planner.parse(text, &session)?)? else { return Ok(None) };
        let text: Arc<str> = text.into();
        let command = match &work {
            Work::Session(command) => Some(command),
            _ => None,
        };
        allowed(client, command)?;
        let (columns, parameters) = match &work {
            Work::Session(command) => (text_schema(command), Parameters::default()),
            Work::Query(query) => {
                let described = self.planner.describe(query, named, &session, &text).await?;
                (Some(described.0), described.1)
            }
            Work::Script(script) => {
                self.planner.describe_script(script, named, &session, &text).await?
            }
            Work::Declare { query, .. } => {
                let described = self.planner.describe(query, named, &session, &text).await?;
                (None, described.1)
            }
            // What they answer with is what they go back to.
            Work::Fetch(fetch) if !fetch.passes => {
                (session.cursor(&fetch.name).ok().map(|c| c.schema), Parameters::default())
            }
            Work::Execute { name, .. } => {
                let prepared = stored(&session, name).ok().flatten();
                (prepared.and_then(|p| p.columns.clone()), Parameters::default())
            }
            Work::Fetch(_) | Work::Copy { .. } | Work::Prepare { .. } | Work::Refused(_) => {
                (None, Parameters::default())
            }
        };
        Ok(Some(Prepared { work, text, columns, parameters, from_sql, at: self.now() }))
    }

    /// Starts the statement of a portal.
    pub async fn answer<C>(
        &self,
        client: &mut C,
        portal: &Portal<Arc<Prepared>>,
    ) -> PgWireResult<Answer>
    where
        C: Client,
        C::PortalStore: PortalStore<Statement = Arc<Prepared>>,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &portal.statement.statement;
        let session = Session::of(client)?;
        let values = match &prepared.work {
            Work::Script(_) | Work::Query(_) | Work::Declare { .. } => {
                Some(prepared.parameters.values(|at| {
                    (portal.parameters[at].as_deref(), portal.parameter_format.is_binary(at))
                })?)
            }
            _ => None,
        };
        session.runs(&prepared.text, self.now());
        // The client was told the columns of the description, so it gets those.
        let columns = prepared.columns.clone();
        let (format, text) = (&portal.result_column_format, &prepared.text);
        self.start(client, &session, &prepared.work, Given { values, columns, format, text }).await
    }

    /// Runs or goes on with a portal and sends the next rows of it.
    pub async fn execute<C>(&self, client: &mut C, message: &Execute) -> PgWireResult<()>
    where
        C: Client,
        C::PortalStore: PortalStore<Statement = Arc<Prepared>>,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let portal = match client.portal_store().get_portal(name) {
            Some(Entry::Value(portal)) => portal,
            Some(Entry::Empty) => {
                client
                    .feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))
                    .await?;
                return Ok(());
            }
            None => return Err(unknown_portal(name)),
        };
        let limit = usize::try_from(message.max_rows).unwrap_or(0);
        let portal_state = portal.state();
        let mut state = portal_state.lock().await;
        if matches!(*state, PortalExecutionState::Initial) {
            match self.answer(client, &portal).await? {
                Answer::Done { tag } => {
                    *state = PortalExecutionState::Finished;
                    return complete(client, &tag, None).await;
                }
                Answer::Copy(copy) => {
                    *state = PortalExecutionState::Finished;
                    return send_copy(client, *copy).await;
                }
                Answer::Rows { fields, rows, tag } => {
                    let mut response = QueryResponse::new(fields, rows);
                    response.set_command_tag(&tag);
                    *state = PortalExecutionState::Suspended(response);
                }
            }
        }
        let PortalExecutionState::Suspended(response) = &mut *state else {
            if portal.statement.statement.columns.is_none() {
                let message = format!("portal \"{}\" cannot be run", shown(name));
                return Err(plain("55000", message));
            }
            return complete(client, "SELECT", Some(0)).await;
        };
        let tag = response.command_tag().to_owned();
        let (count, more) = send_rows(client, response.data_rows(), limit).await?;
        if more {
            let suspended = PgWireBackendMessage::PortalSuspended(PortalSuspended::new());
            client.feed(suspended).await?;
            return Ok(());
        }
        *state = PortalExecutionState::Finished;
        let session = Session::of(client)?;
        told(client, &session).await?;
        complete(client, &tag, Some(count)).await
    }
}

/// The name of a statement or portal as its client knows it.
pub fn shown(name: &str) -> &str {
    if name == DEFAULT_NAME { "" } else { name }
}

pub fn unknown_portal(name: &str) -> PgWireError {
    plain(state::UNKNOWN_CURSOR, format!("portal \"{}\" does not exist", shown(name)))
}

/// Keeps a prepared statement; only the unnamed one is replaced.
pub fn keep(session: &Session, name: &str, prepared: Option<Arc<Prepared>>) -> PgWireResult<()> {
    let entry = match prepared {
        Some(prepared) => {
            let types = prepared.parameters.types.iter().cloned().map(Some).collect();
            Entry::Value(Arc::new(StoredStatement::new(name.to_owned(), prepared, types)))
        }
        None => Entry::Empty,
    };
    let mut statements = session.statements.lock();
    if name != DEFAULT_NAME && statements.contains_key(name) {
        let message = format!("prepared statement \"{name}\" already exists");
        return Err(plain(state::DUPLICATE_STATEMENT, message));
    }
    statements.insert(name.to_owned(), entry);
    Ok(())
}

/// A prepared statement; `None` inside when it is empty.
pub fn stored(session: &Session, name: &str) -> PgWireResult<Option<Arc<Prepared>>> {
    let entry = session.statements.lock().get(name).cloned();
    let entry = entry.ok_or_else(|| unknown_statement(name))?;
    Ok(entry.value().map(|stored| stored.statement.clone()))
}
