//! What a connection's requests come to: statements run, and rows sent.
//!
//! Rows go to the client as they come; a portal that is fetched in parts keeps
//! its stream, never its rows. After an error the connection goes on.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use futures::{Sink, SinkExt, StreamExt};
use pgwire::api::portal::{Format, Portal, PortalExecutionState};
use pgwire::api::results::{DataRowEncoder, FieldInfo, QueryResponse, SendableRowStream, Tag};
use pgwire::api::stmt::StoredStatement;
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, Type};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyDone;
use pgwire::messages::data::RowDescription;
use pgwire::messages::extendedquery::{Execute, PortalSuspended};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, NoticeResponse, TransactionStatus,
};
use pgwire::messages::startup::ParameterStatus;

use super::command::Command;
use super::copy_out::CopyOut;
use super::cursor::Open;
use super::encode::{self, Rows};
use super::error::{from_datafusion, plain, state, to_wire};
use super::interrupt::timed;
use super::params::Parameters;
use super::planner::{Planner, Progress, Query, Running, Work, single};
use super::session::{Effect, Session, unknown_statement};
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
    Copy(Box<CopyOut>),
    Done { tag: String },
}

/// What a statement is run with, beside its text.
struct Given<'a> {
    values: Option<ParamValues>,
    /// The columns the client was told, if it was.
    columns: Option<SchemaRef>,
    format: &'a Format,
    text: &'a Arc<str>,
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
        let script = work.iter().any(|work| matches!(work, Work::Script(_)));
        session.begin_request(script || work.len() > 1);
        let text: Arc<str> = text.into();
        for work in work {
            // A limit that was just set holds for the statements behind it.
            let limit = session.settings.lock().statement_timeout();
            match work {
                Work::Script(script) => {
                    timed(limit, self.script(client, &session, script, &text)).await?;
                }
                work => timed(limit, self.one(client, &session, work, &text)).await?,
            }
        }
        session.forget_variables();
        Ok(())
    }

    /// Runs a script and sends what its statements answer.
    async fn script<C>(
        &self,
        client: &mut C,
        session: &Session,
        script: Arc<Script>,
        text: &Arc<str>,
    ) -> PgWireResult<()>
    where
        C: Client,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        allowed(client, None)?;
        let mut run = Run::new(script);
        loop {
            let mut sql = session.sql();
            sql.dollars = true;
            let snapshot = session.snapshot(&self.planner.service.store);
            let progress = self.planner.progress(&mut run, &mut sql, &snapshot, text).await;
            session.keep_sql(sql);
            match progress? {
                Some(Progress::Work(work)) => self.one(client, session, work, text).await?,
                Some(Progress::Notice(text)) => {
                    notice(client, "INFO", "00000", text).await?;
                    complete(client, "PRINT", None).await?;
                }
                Some(Progress::Done(tag)) => complete(client, tag, None).await?,
                None => return Ok(()),
            }
        }
    }

    async fn one<C>(
        &self,
        client: &mut C,
        session: &Session,
        work: Work,
        text: &Arc<str>,
    ) -> PgWireResult<()>
    where
        C: Client,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if let Work::Refused(error) = work {
            allowed(client, None)?;
            return Err(error);
        }
        let given = Given { values: None, columns: None, format: &Format::UnifiedText, text };
        match self.start(client, session, &work, given).await? {
            Answer::Done { tag } => complete(client, &tag, None).await,
            Answer::Copy(copy) => send_copy(client, *copy).await,
            Answer::Rows { fields, mut rows, tag } => {
                let description = RowDescription::new(fields.iter().map(Into::into).collect());
                client.feed(PgWireBackendMessage::RowDescription(description)).await?;
                let (count, _) = send_rows(client, &mut rows, 0).await?;
                session.answered(count);
                complete(client, &tag, Some(count)).await
            }
        }
    }

    /// Runs all of a prepared script; its one query is only started.
    async fn started<C>(
        &self,
        client: &mut C,
        session: &Session,
        script: &Arc<Script>,
        given: Given<'_>,
    ) -> PgWireResult<Answer>
    where
        C: Client,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let Given { values, columns, format, text } = given;
        let mut run = Run::new(script.clone());
        let (mut running, mut tag) = (None, "SELECT");
        loop {
            let mut sql = session.sql();
            let snapshot = session.snapshot(&self.planner.service.store);
            let progress = self.planner.progress(&mut run, &mut sql, &snapshot, text).await;
            session.keep_sql(sql);
            match progress? {
                Some(Progress::Work(Work::Query(query))) => {
                    let (values, columns) = (values.clone(), columns.clone());
                    running = Some(self.planner.run(&query, values, columns, session, text).await?);
                }
                Some(Progress::Notice(text)) => notice(client, "INFO", "00000", text).await?,
                Some(Progress::Done(done)) => tag = done,
                // Told apart when it was prepared.
                Some(Progress::Work(_)) => {}
                None => break,
            }
        }
        match running {
            Some(running) => rows(running, format, text, "SELECT"),
            None => Ok(Answer::Done { tag: tag.to_owned() }),
        }
    }

    /// Starts a statement.
    async fn start<C>(
        &self,
        client: &mut C,
        session: &Session,
        work: &Work,
        given: Given<'_>,
    ) -> PgWireResult<Answer>
    where
        C: Client,
        C::PortalStore: PortalStore,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if let Work::Session(command) = work {
            return self.command(client, session, command, given.format).await;
        }
        allowed(client, None)?;
        if let Work::Script(script) = work {
            return self.started(client, session, script, given).await;
        }
        let Given { values, columns, format, text } = given;
        let status = client.transaction_status();
        let planner = &self.planner;
        Ok(match work {
            // Handled where they can be given away.
            Work::Session(_) | Work::Script(_) | Work::Refused(_) => {
                Answer::Done { tag: String::new() }
            }
            Work::Query(query) => {
                let running = planner.run(query, values, columns, session, text).await?;
                rows(running, format, text, query.tag())?
            }
            Work::Copy { query, options } => {
                let Running { schema, batches } =
                    planner.run(query, None, None, session, text).await?;
                let format = match options.binary() {
                    true => Format::UnifiedBinary,
                    false => Format::UnifiedText,
                };
                let fields = encode::fields(&schema, &format)?;
                let copy = CopyOut::new(batches, schema, fields, text.clone(), options.clone())?;
                Answer::Copy(Box::new(copy))
            }
            Work::Declare { declaration, query } => {
                session.may_open(&declaration.name, declaration.hold, status)?;
                let running = planner.run(query, values, None, session, text).await?;
                let Running { schema, batches } = running;
                let cursor = Open::new(declaration.clone(), schema, batches, text.clone());
                session.open(cursor, status)?;
                Answer::Done { tag: "DECLARE CURSOR".to_owned() }
            }
            Work::Fetch(fetch) => {
                let cursor = session.cursor(&fetch.name)?;
                if fetch.passes {
                    let passed = cursor.pass(fetch.direction).await?;
                    return Ok(Answer::Done { tag: format!("MOVE {passed}") });
                }
                let batches = cursor.fetch(fetch.direction).await?;
                let binary = Format::UnifiedBinary;
                let format = if cursor.declaration.binary { &binary } else { format };
                rows(Running { schema: cursor.schema, batches }, format, &cursor.text, "FETCH")?
            }
            Work::Prepare { name, types, text } => {
                let prepared = self.prepare(client, text, types).await?.map(Arc::new);
                keep(session, name, prepared)?;
                Answer::Done { tag: "PREPARE".to_owned() }
            }
            Work::Execute { name, arguments } => {
                let prepared = stored(session, name)?;
                let values = match arguments {
                    Some(query) => self.arguments(query, session).await?,
                    None => Vec::new(),
                };
                let Some(prepared) = prepared else {
                    return Ok(Answer::Done { tag: "EXECUTE".to_owned() });
                };
                let expected = prepared.parameters.types.len();
                if values.len() != expected {
                    let message = format!(
                        "wrong number of parameters for prepared statement \"{name}\": \
                         expected {expected} but got {}",
                        values.len()
                    );
                    return Err(plain(state::SYNTAX, message));
                }
                let values = Some(prepared.parameters.given(values)?);
                let (columns, text) = (prepared.columns.clone(), &prepared.text);
                let given = Given { values, columns, format, text };
                Box::pin(self.start(client, session, &prepared.work, given)).await?
            }
        })
    }

    /// The values of the arguments of an `EXECUTE`.
    async fn arguments(
        &self,
        query: &Arc<Query>,
        session: &Session,
    ) -> PgWireResult<Vec<ScalarValue>> {
        let text = "".into();
        let mut running = self.planner.run(query, None, None, session, &text).await?;
        let failed = |error| to_wire(&from_datafusion(error), &text);
        let mut values = Vec::new();
        while let Some(batch) = running.batches.next().await {
            let batch = batch.map_err(failed)?;
            if batch.num_rows() > 0 {
                for column in batch.columns() {
                    values.push(ScalarValue::try_from_array(column, 0).map_err(failed)?);
                }
            }
        }
        Ok(values)
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
            Effect::Status(tag, status, changes) => {
                client.set_transaction_status(status);
                // With a chained transaction, too, those of the one before end.
                if matches!(tag, "COMMIT" | "ROLLBACK") && !command.goes_back() {
                    client.portal_store().clear_portals();
                }
                report(client, changes).await?;
                tag
            }
            Effect::Report(tag, changes) => {
                report(client, changes).await?;
                tag
            }
            Effect::Clear(changes) => {
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
        Ok(Some(Prepared { work, text, columns, parameters }))
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
        let query = match &prepared.work {
            Work::Query(query) | Work::Declare { query, .. } => Some(query.as_ref()),
            _ => None,
        };
        let values = match (&prepared.work, query) {
            (Work::Script(_), _) | (_, Some(Query::Sql(_) | Query::Explain { .. })) => {
                Some(prepared.parameters.values(|at| {
                    (portal.parameters[at].as_deref(), portal.parameter_format.is_binary(at))
                })?)
            }
            (_, Some(Query::Catalog(_))) => {
                let types: Vec<_> = prepared.parameters.types.iter().map(Some).collect();
                let targets = prepared.parameters.targets();
                Some(deserialize_parameters_with_server_types(portal, &targets, &types)?)
            }
            (_, None) => None,
        };
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
        complete(client, &tag, Some(count)).await
    }
}

/// The rows of a running query for a client.
fn rows(running: Running, format: &Format, text: &Arc<str>, tag: &str) -> PgWireResult<Answer> {
    let Running { schema, batches } = running;
    let fields = Arc::new(encode::fields(&schema, format)?);
    let rows = Rows::new(batches, schema, fields.clone(), text.clone());
    Ok(Answer::Rows { fields, rows: Box::pin(rows), tag: tag.to_owned() })
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
fn stored(session: &Session, name: &str) -> PgWireResult<Option<Arc<Prepared>>> {
    let entry = session.statements.lock().get(name).cloned();
    let entry = entry.ok_or_else(|| unknown_statement(name))?;
    Ok(entry.value().map(|stored| stored.statement.clone()))
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
pub async fn send_rows<C>(
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

/// Sends the messages of a `COPY`, a row each.
async fn send_copy<C>(client: &mut C, mut copy: CopyOut) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    client.feed(PgWireBackendMessage::CopyOutResponse(copy.response())).await?;
    while let Some(message) = copy.next().await? {
        client.feed(PgWireBackendMessage::CopyData(message)).await?;
    }
    client.feed(PgWireBackendMessage::CopyDone(CopyDone::new())).await?;
    complete(client, "COPY", Some(copy.rows())).await
}

async fn complete<C>(client: &mut C, tag: &str, rows: Option<usize>) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let tag = match rows {
        Some(rows) if matches!(tag, "SELECT" | "FETCH" | "COPY") => Tag::new(tag).with_rows(rows),
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
    let notice = NoticeResponse::from(ErrorInfo::new(severity.into(), state.into(), message));
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
