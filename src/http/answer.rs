//! Responses: small JSON documents, and collections streamed from a plan.
//!
//! A collection is encoded while it is read. What fits into one piece is sent
//! whole with its length; a longer one goes out piece by piece, and the next
//! piece is made when the client has taken the last. An error before the first
//! piece gets a proper status; a later one ends the connection, so that no
//! client takes half an answer for a whole one.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::error::{log, new_request_id};
use super::paging::Ends;
use crate::encode::WebApiEncoder;
use crate::engine::failure;
use crate::error::Result;

pub const JSON: &str = "application/json; odata.metadata=minimal";

/// A piece of a body is sent when it reaches this size.
const PIECE_BYTES: usize = 64 * 1024;
/// Rows encoded between two looks at the size of the piece.
const ROWS_A_STEP: usize = 256;

/// A JSON document.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let kind = HeaderValue::from_static(JSON);
    (status, [(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// How the rows of a collection ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// There are rows beyond the page.
    pub more: bool,
    pub ends: Ends,
}

/// The rows of an answer, and what stands around them.
pub struct Collection {
    pub rows: SendableRecordBatchStream,
    pub encoder: WebApiEncoder,
    /// Rows a page; a row beyond is not shown and tells that there is more.
    pub page_size: Option<u64>,
    /// The members before `value`, from the opening brace to a comma.
    pub head: Vec<u8>,
    /// Makes the members after `value`, each with a comma before it.
    pub tail: Box<dyn FnOnce(End) -> Vec<u8> + Send>,
}

impl Collection {
    /// The response; streams when the answer is long.
    pub async fn respond(self) -> Result<Response> {
        let mut writer = Writer::new(self);
        let first = writer.piece().await?;
        if writer.done {
            return Ok(json(StatusCode::OK, first));
        }
        let rest = futures::stream::try_unfold(writer, async |mut writer: Writer| {
            if writer.done {
                return Ok(None);
            }
            match writer.piece().await {
                Ok(piece) => Ok(Some((Bytes::from(piece), writer))),
                Err(error) => {
                    log(&error, &new_request_id());
                    Err(error)
                }
            }
        });
        let first = futures::stream::once(async { Ok(Bytes::from(first)) });
        Ok(json(StatusCode::OK, Body::from_stream(first.chain(rest))))
    }
}

struct Writer {
    rows: SendableRecordBatchStream,
    encoder: WebApiEncoder,
    page_size: Option<u64>,
    buffer: Vec<u8>,
    tail: Option<Box<dyn FnOnce(End) -> Vec<u8> + Send>>,
    /// The batch being encoded, and its rows that are done.
    current: Option<(RecordBatch, usize)>,
    done: bool,
}

impl Writer {
    fn new(collection: Collection) -> Self {
        let mut buffer = collection.head;
        buffer.extend_from_slice(br#""value":["#);
        Self {
            rows: collection.rows,
            encoder: collection.encoder,
            page_size: collection.page_size,
            buffer,
            tail: Some(collection.tail),
            current: None,
            done: false,
        }
    }

    /// The next piece of the body; sets `done` with the last one.
    async fn piece(&mut self) -> Result<Vec<u8>> {
        while self.buffer.len() < PIECE_BYTES && !self.done {
            let (batch, at) = match self.current.take() {
                Some(current) => current,
                None => match self.rows.next().await {
                    Some(batch) => (batch.map_err(failure)?, 0),
                    None => {
                        self.end(false);
                        break;
                    }
                },
            };
            let left = batch.num_rows() - at;
            let room = self.page_size.map_or(u64::MAX, |size| size - self.encoder.rows());
            if room == 0 && left > 0 {
                self.end(true);
                break;
            }
            let step = left.min(ROWS_A_STEP).min(usize::try_from(room).unwrap_or(usize::MAX));
            self.encoder.rows_json(&batch.slice(at, step), &mut self.buffer)?;
            if step < left {
                self.current = Some((batch, at + step));
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    fn end(&mut self, more: bool) {
        self.buffer.push(b']');
        if let Some(tail) = self.tail.take() {
            let end = End { more, ends: self.encoder.ends() };
            self.buffer.extend_from_slice(&tail(end));
        }
        self.buffer.push(b'}');
        self.done = true;
    }
}
