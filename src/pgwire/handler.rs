//! What a connection's requests come to: statements run, and rows sent.
//!
//! Rows go to the client as they come; a portal that is fetched in parts keeps
//! its stream, never its rows. After an error the connection goes on.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{Sink, SinkExt, StreamExt};
use pgwire::api::portal::{Format, Portal, PortalExecutionState};
use pgwire::api::results::{DataRowEncoder, FieldInfo, QueryResponse, SendableRowStream, Tag};
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, Type};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::RowDescription;
use pgwire::messages::extendedquery::{Execute, PortalSuspended};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, NoticeResponse, TransactionStatus,
};
use pgwire::messages::startup::ParameterStatus;

use super::command::Command;
use super::encode;
use super::error::{plain, state};
use super::params::Parameters;
use super::planner::{Planner, Progress, Query, Running, Work, single};
use super::session::{Effect, Session};
use crate::dialect::tsql::Script;
use crate::script::Run;

/// Answers the queries of every connection.
pub struct Handler {
    pub(super) planner: Arc<Planner>,
}

/// A prepared statement.
pub struct Prepared {
    work: Work,
    text: Arc<str>,
    /// `None`: it does not answer with rows.
    pub columns: Option<SchemaRef>,
    pub parameters: Parameters,
}

/// What a statement came to.
pub enum Answer {
    Rows { fields: Arc<Vec<FieldInfo>>, rows: SendableRowStream, tag: String },
    Done { tag: String },
}

/// The bounds that the protocol's traits put on a connection.
pub trait Client:
    ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync
{
}
impl<C> Client for C where
    C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync
{
}

impl Handler {
    pub fn new(planner: Arc<Planner>) -> Self {
        Self { planner }
    }

    /// Runs the statements of a request and sends what they answer.
    pub async fn simple<C>(&self, client: &mut C, text: &str) -> PgWireResult<()>
    where
        C: Client,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = Session::of(client)?;
        session.forget_variables();
        let work = self.planner.parse(text, &session)?;
        if work.is_empty() {
            client
                .feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))
                .await?;
        }
        let text: Arc<str> = text.into();
        for work in work {
            match work {
                Work::Script(script) => {
                    allowed(client, None)?;
                    let mut run = Run::new(script);
                    let mut sql = session.sql();
                    sql.dollars = true;
                    while let Some(progress) =
                        self.planner.progress(&mut run, &mut sql, &session, &text).await?
                    {
                        session.keep_sql(sql);
                        match progress {
                            Progress::Work(work) => {
                                self.perform(client, &session, work, &text).await?;
                            }
                            Progress::Notice(text) => {
                                notice(client, "INFO", "00000", text).await?;
                                complete(client, "PRINT", None).await?;
                            }
                            Progress::Done(tag) => complete(client, tag, None).await?,
                        }
                        sql = session.sql();
                    }
                    session.keep_sql(sql);
                }
                work => self.perform(client, &session, work, &text).await?,
            }
        }
        session.forget_variables();
        Ok(())
    }

    /// Runs one statement and sends what it answers.
    async fn perform<C>(
        &self,
        client: &mut C,
        session: &Session,
        work: Work,
        text: &Arc<str>,
    ) -> PgWireResult<()>
    where
        C: Client,
        C::PortalStore: PortalStore,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let answer = match work {
            Work::Refused(error) => {
                allowed(client, None)?;
                return Err(error);
            }
            Work::Session(command) => {
                self.command(client, session, &command, &Format::UnifiedText).await?
            }
            Work::Query(query) => {
                allowed(client, None)?;
                let running = self.planner.run(&query, None, session, text).await?;
                let fields = Arc::new(encode::fields(&running.schema, &Format::UnifiedText)?);
                let schema = running.schema;
                let rows = encode::rows(running.batches, schema, fields.clone(), text.clone());
                Answer::Rows { fields, rows: Box::pin(rows), tag: query.tag().to_owned() }
            }
            Work::Script(_) => return Err(plain(state::SYNTAX, "a script within a script")),
        };
        match answer {
            Answer::Done { tag } => complete(client, &tag, None).await,
            Answer::Rows { fields, mut rows, tag } => {
                let description = RowDescription::new(fields.iter().map(Into::into).collect());
                client.feed(PgWireBackendMessage::RowDescription(description)).await?;
                let (count, _) = send_rows(client, &mut rows, 0).await?;
                session.answered(count);
                complete(client, &tag, Some(count)).await
            }
        }
    }

    async fn command<C>(
        &self,
        client: &mut C,
        session: &Session,
        command: &Command,
        format: &Format,
    ) -> PgWireResult<Answer>
    where
        C: Client,
        C::PortalStore: PortalStore,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        allowed(client, Some(command))?;
        let status = client.transaction_status();
        let tag = match session.apply(command, status, &self.planner.service.store)? {
            Effect::Done(tag) => tag,
            Effect::Warned(tag, code, message) => {
                notice(client, "WARNING", code, message.into()).await?;
                tag
            }
            Effect::Status(tag, status) => {
                client.set_transaction_status(status);
                if status == TransactionStatus::Idle {
                    client.portal_store().clear_portals();
                }
                tag
            }
            Effect::Report(tag, changes) => {
                report(client, changes).await?;
                tag
            }
            Effect::Forget(tag, name) => {
                forget(client, session, name);
                tag
            }
            Effect::Clear(changes) => {
                forget(client, session, None);
                client.portal_store().clear_portals();
                report(client, changes).await?;
                "DISCARD ALL"
            }
            Effect::Rows(rows) => {
                let schema = text_schema(command).unwrap_or_else(|| Arc::new(Schema::empty()));
                let fields = Arc::new(encode::fields(&schema, format)?);
                let rows = text_rows(&fields, &rows)?;
                return Ok(Answer::Rows { fields, rows, tag: "SHOW".to_owned() });
            }
        };
        Ok(Answer::Done { tag: tag.to_owned() })
    }

    /// Parses and describes a statement; `None` when there is none.
    pub async fn prepare<C>(
        &self,
        client: &C,
        text: &str,
        named: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let session = Session::of(client)?;
        let Some(work) = single(self.planner.parse(text, &session)?)? else { return Ok(None) };
        let (columns, parameters) = match &work {
            Work::Session(command) => {
                allowed(client, Some(command))?;
                (text_schema(command), Parameters::default())
            }
            Work::Query(query) => {
                allowed(client, None)?;
                let described = self.planner.describe(query, named, &session, text).await?;
                (Some(described.0), described.1)
            }
            Work::Script(script) => {
                allowed(client, None)?;
                self.planner.describe_script(script, named, &session, text).await?
            }
            Work::Refused(_) => return Ok(None),
        };
        Ok(Some(Prepared { work, text: text.into(), columns, parameters }))
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
        let format = &portal.result_column_format;
        let (running, tag) = match &prepared.work {
            Work::Session(command) => {
                return self.command(client, &session, command, format).await;
            }
            Work::Query(query) => {
                allowed(client, None)?;
                (self.bound(query, portal, &session).await?, query.tag().to_owned())
            }
            Work::Script(script) => {
                allowed(client, None)?;
                match self.script(client, script, portal, &session).await? {
                    (Some(running), tag) => (running, tag),
                    (None, tag) => return Ok(Answer::Done { tag }),
                }
            }
            Work::Refused(_) => return Err(plain(state::UNKNOWN_STATEMENT, "refused before")),
        };
        // The client was told the columns of the description, so it gets those.
        let schema = prepared.columns.clone().unwrap_or(running.schema);
        let fields = Arc::new(encode::fields(&schema, format)?);
        let text = prepared.text.clone();
        let rows = encode::rows(running.batches, schema, fields.clone(), text);
        Ok(Answer::Rows { fields, rows: Box::pin(rows), tag })
    }

    /// Starts a query with a portal's parameters.
    async fn bound(
        &self,
        query: &Query,
        portal: &Portal<Arc<Prepared>>,
        session: &Session,
    ) -> PgWireResult<Running> {
        let prepared = &portal.statement.statement;
        let values = match query {
            Query::Sql(_) | Query::Explain { .. } => prepared.parameters.values(|at| {
                (portal.parameters[at].as_deref(), portal.parameter_format.is_binary(at))
            })?,
            // Catalog queries also take arrays, which job tables have no use for.
            Query::Catalog(_) => {
                let types: Vec<_> = prepared.parameters.types.iter().map(Some).collect();
                let targets = prepared.parameters.targets();
                deserialize_parameters_with_server_types(portal, &targets, &types)?
            }
        };
        self.planner.run(query, Some(&values), session, &prepared.text).await
    }

    /// Runs all of a prepared script; its one query is only started.
    async fn script<C>(
        &self,
        client: &mut C,
        script: &Arc<Script>,
        portal: &Portal<Arc<Prepared>>,
        session: &Session,
    ) -> PgWireResult<(Option<Running>, String)>
    where
        C: Client,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let text = &portal.statement.statement.text;
        let mut run = Run::new(script.clone());
        let mut sql = session.sql();
        let (mut running, mut tag) = (None, "SELECT");
        while let Some(progress) = self.planner.progress(&mut run, &mut sql, session, text).await? {
            session.keep_sql(sql);
            match progress {
                Progress::Work(Work::Query(query)) => {
                    running = Some(self.bound(&query, portal, session).await?);
                }
                Progress::Notice(text) => notice(client, "INFO", "00000", text).await?,
                Progress::Done(done) => tag = done,
                // Told apart when it was prepared.
                Progress::Work(_) => {}
            }
            sql = session.sql();
        }
        session.keep_sql(sql);
        let tag = if running.is_some() { "SELECT" } else { tag };
        Ok((running, tag.to_owned()))
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
            None => return Err(PgWireError::PortalNotFound(name.to_owned())),
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
                Answer::Rows { fields, rows, tag } => {
                    let mut response = QueryResponse::new(fields, rows);
                    response.set_command_tag(&tag);
                    *state = PortalExecutionState::Suspended(response);
                }
            }
        }
        let PortalExecutionState::Suspended(response) = &mut *state else {
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
        complete(client, &tag, Some(count)).await
    }
}

/// In a failed transaction only its end is accepted.
fn allowed<C: ClientInfo + ?Sized>(client: &C, command: Option<&Command>) -> PgWireResult<()> {
    let failed = client.transaction_status() == TransactionStatus::Error;
    if failed && !command.is_some_and(Command::ends_failure) {
        let message =
            "current transaction is aborted, commands ignored until end of transaction block";
        return Err(plain(state::FAILED_TRANSACTION, message));
    }
    Ok(())
}

/// Sends rows, at most `limit` of them unless it is 0; how many, and whether
/// more may follow.
async fn send_rows<C>(
    client: &mut C,
    rows: &mut SendableRowStream,
    limit: usize,
) -> PgWireResult<(usize, bool)>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let mut count = 0;
    while limit == 0 || count < limit {
        let Some(row) = rows.next().await else { return Ok((count, false)) };
        client.feed(PgWireBackendMessage::DataRow(row?)).await?;
        count += 1;
    }
    Ok((count, true))
}

async fn complete<C>(client: &mut C, tag: &str, rows: Option<usize>) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let tag = match rows {
        Some(rows) if tag == "SELECT" => Tag::new(tag).with_rows(rows),
        _ => Tag::new(tag),
    };
    let complete = CommandComplete::from(tag);
    Ok(client.feed(PgWireBackendMessage::CommandComplete(complete)).await?)
}

async fn notice<C>(client: &mut C, severity: &str, state: &str, message: String) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let notice = ErrorInfo::new(severity.into(), state.into(), message);
    let notice = NoticeResponse::from(notice);
    Ok(client.feed(PgWireBackendMessage::NoticeResponse(notice)).await?)
}

async fn report<C>(client: &mut C, changes: Vec<(String, String)>) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    for (name, value) in changes {
        let status = ParameterStatus::new(name, value);
        client.feed(PgWireBackendMessage::ParameterStatus(status)).await?;
    }
    Ok(())
}

/// Drops prepared statements: the named one, or all.
fn forget<C>(client: &C, session: &Session, name: Option<String>)
where
    C: ClientPortalStore,
    C::PortalStore: PortalStore,
{
    let mut prepared = session.prepared.lock();
    let names = match name {
        Some(name) => prepared.take(&name).into_iter().collect(),
        None => std::mem::take(&mut *prepared),
    };
    names.iter().for_each(|name| client.portal_store().rm_statement(name));
}

fn text_schema(command: &Command) -> Option<SchemaRef> {
    let fields = command.columns()?.into_iter().map(|n| Field::new(n, DataType::Utf8, false));
    Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn text_rows(
    fields: &Arc<Vec<FieldInfo>>,
    rows: &[Vec<String>],
) -> PgWireResult<SendableRowStream> {
    let mut encoder = DataRowEncoder::new(fields.clone());
    let mut encoded = Vec::with_capacity(rows.len());
    for row in rows {
        for value in row {
            encoder.encode_field(value)?;
        }
        encoded.push(Ok(encoder.take_row()));
    }
    Ok(Box::pin(futures::stream::iter(encoded)))
}
