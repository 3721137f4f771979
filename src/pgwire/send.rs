//! What is sent to a client: rows as they come, `COPY`, messages and tags.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{Sink, SinkExt, StreamExt};
use pgwire::api::portal::Format;
use pgwire::api::results::{DataRowEncoder, FieldInfo, SendableRowStream, Tag};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyDone;
use pgwire::messages::response::{CommandComplete, NoticeResponse};
use pgwire::messages::startup::ParameterStatus;

use super::command::Command;
use super::copy_out::CopyOut;
use super::encode::{self, Rows};
use super::handler::{Answer, Client};
use super::planner::Running;
use super::session::Session;

/// The rows of a running query for a client.
pub fn rows(running: Running, format: &Format, text: &Arc<str>, tag: &str) -> PgWireResult<Answer> {
    let Running { schema, batches } = running;
    let fields = Arc::new(encode::fields(&schema, format)?);
    let rows = Rows::new(batches, schema, fields.clone(), text.clone());
    Ok(Answer::Rows { fields, rows: Box::pin(rows), tag: tag.to_owned() })
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
pub async fn send_copy<C>(client: &mut C, mut copy: CopyOut) -> PgWireResult<()>
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

/// Says that a statement is done.
pub async fn complete<C>(client: &mut C, tag: &str, rows: Option<usize>) -> PgWireResult<()>
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

/// Sends a message that is no error.
pub async fn notice<C>(
    client: &mut C,
    severity: &str,
    state: &str,
    message: String,
) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let notice = NoticeResponse::from(ErrorInfo::new(severity.into(), state.into(), message));
    Ok(client.feed(PgWireBackendMessage::NoticeResponse(notice)).await?)
}

/// Tells of settings that functions have changed.
pub async fn told<C>(client: &mut C, session: &Session) -> PgWireResult<()>
where
    C: Client,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let changes = session.settings.lock().take_noted();
    report(client, changes).await
}

/// Tells of settings that have changed.
pub async fn report<C>(client: &mut C, changes: Vec<(String, String)>) -> PgWireResult<()>
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

/// The columns of a command that answers with rows of text.
pub fn text_schema(command: &Command) -> Option<SchemaRef> {
    let fields = command.columns()?.into_iter().map(|n| Field::new(n, DataType::Utf8, false));
    Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// Rows of text.
pub fn text_rows(
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
