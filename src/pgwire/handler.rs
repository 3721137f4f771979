//! What a connection's requests come to: statements run, and rows sent.
//!
//! Rows go to the client as they come; a portal that is fetched in parts keeps
//! its stream, never its rows. After an error the connection goes on.

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use futures::{Sink, SinkExt, StreamExt};
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldInfo, SendableRowStream};
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::RowDescription;
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};

use super::command::Command;
use super::copy_out::CopyOut;
use super::cursor::Open;
use super::encode;
use super::error::{from_datafusion, plain, state, to_wire};
use super::interrupt::timed;
use super::planner::{Planner, Progress, Query, Running, Work};
use super::prepared::{keep, stored};
use super::scan;
use super::send::{
    complete, notice, report, rows, send_copy, send_rows, text_rows, text_schema, told,
};
use super::session::{Effect, Session};
use crate::dialect::tsql::Script;
use crate::script::{Arguments, Run};

/// Answers the queries of every connection.
pub struct Handler {
    pub(super) planner: Arc<Planner>,
}

/// What a statement came to.
pub enum Answer {
    Rows { fields: Arc<Vec<FieldInfo>>, rows: SendableRowStream, tag: String },
    Copy(Box<CopyOut>),
    Done { tag: String },
}

/// What a statement is run with, beside its text.
pub(super) struct Given<'a> {
    pub values: Option<ParamValues>,
    /// The columns the client was told, if it was.
    pub columns: Option<SchemaRef>,
    pub format: &'a Format,
    pub text: &'a Arc<str>,
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

    /// The time, in microseconds.
    pub fn now(&self) -> i64 {
        self.planner.service.clock.now()
    }

    /// Runs the statements of a request and sends what they answer. A mistake ends
    /// its batch, not those behind the next `GO`, as in SQL Server's tools. A request
    /// has one error, which is its last message: the first one. The others are notices.
    pub async fn simple<C>(&self, client: &mut C, text: &str) -> PgWireResult<()>
    where
        C: Client,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = Session::of(client)?;
        let whole: Arc<str> = text.into();
        session.runs(&whole, self.now());
        let batches = scan::batches(text);
        session.begin_request(batches.len() > 1);
        let (mut empty, mut failed) = (true, None);
        for batch in batches {
            let error = match self.batch(client, &session, &batch, &whole).await {
                Ok(none) => {
                    empty &= none;
                    continue;
                }
                Err(error) => error,
            };
            if ends_request(client, &error) {
                return Err(error);
            }
            match failed {
                None => failed = Some(error),
                Some(_) => {
                    let ErrorInfo { code, message, .. } = error.into();
                    notice(client, "WARNING", &code, message).await?;
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if empty {
            nothing(client).await?;
        }
        Ok(())
    }

    /// Runs the statements of a batch; whether there were none. `whole` is the
    /// request that it is a part of.
    async fn batch<C>(
        &self,
        client: &mut C,
        session: &Session,
        batch: &str,
        whole: &Arc<str>,
    ) -> PgWireResult<bool>
    where
        C: Client,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        session.forget_variables();
        let work = self.planner.parse(batch, session)?;
        let empty = work.is_empty();
        let script = work.iter().any(|work| matches!(work, Work::Script(_)));
        if script || work.len() > 1 {
            session.begin_request(true);
        }
        for work in work {
            // A limit that was just set holds for the statements behind it.
            let limit = session.settings.lock().statement_timeout();
            match work {
                Work::Script(script) => {
                    timed(limit, self.script(client, session, script, whole)).await?;
                }
                work => timed(limit, self.one(client, session, work, whole)).await?,
            }
        }
        session.forget_variables();
        Ok(empty)
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
        let mut answered = false;
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
                // Clients wait for an answer, even where nothing was to be done.
                None if !answered => return nothing(client).await,
                None => return Ok(()),
            }
            answered = true;
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
                told(client, session).await?;
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
        if let Some(values) = &values {
            run.arguments = Arguments::Given(values.clone());
        }
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
    pub(super) async fn start<C>(
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
                let (declaration, now) = (declaration.clone(), self.now());
                let memory = planner.service.engine.reservation("a cursor");
                let cursor = Open::new(declaration, schema, batches, text.clone(), now, memory);
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
                let prepared = self.prepare(client, text, types, true).await?.map(Arc::new);
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
}

/// Says that there was nothing to be done.
async fn nothing<C>(client: &mut C) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let empty = EmptyQueryResponse::new();
    Ok(client.feed(PgWireBackendMessage::EmptyQueryResponse(empty)).await?)
}

/// Whether what is wrong with a batch leaves nothing to go on with: the time is over,
/// the connection is gone, or a transaction has failed.
fn ends_request<C: ClientInfo + ?Sized>(client: &C, error: &PgWireError) -> bool {
    let timed_out = |info: &ErrorInfo| info.code == state::CANCELED;
    let mistake = matches!(error, PgWireError::UserError(info) if !timed_out(info));
    !mistake || client.transaction_status() != TransactionStatus::Idle
}

/// In a failed transaction only its end is accepted.
pub(super) fn allowed<C: ClientInfo + ?Sized>(
    client: &C,
    command: Option<&Command>,
) -> PgWireResult<()> {
    let failed = client.transaction_status() == TransactionStatus::Error;
    if failed && !command.is_some_and(Command::ends_failure) {
        let message =
            "current transaction is aborted, commands ignored until end of transaction block";
        return Err(plain(state::FAILED_TRANSACTION, message));
    }
    Ok(())
}
