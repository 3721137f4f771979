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

use super::error::{REQUEST_ID, log, new_request_id};
use super::expand::Expansions;
use crate::encode::WebApiEncoder;
use crate::engine::failure;
use crate::error::Result;
use crate::query::cookie::CookieKey;

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
#[derive(Clone, Debug)]
pub struct End {
    /// There are rows beyond the page.
    pub more: bool,
    /// The sort keys of the page's first and last row.
    pub keys: Vec<CookieKey>,
}

/// The rows of an answer, and what stands around them.
pub struct Collection {
    pub rows: SendableRecordBatchStream,
    pub encoder: WebApiEncoder,
    /// Collections that hang on the rows.
    pub expansions: Option<Expansions>,
    /// Rows a page; a row beyond is not shown and tells that there is more.
    pub page_size: Option<u64>,
    /// The members before `value`, from the opening brace on, each with a comma
    /// after it.
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
        // The client and the log name a broken answer alike.
        let id = new_request_id();
        let header = HeaderValue::from_str(&id).ok();
        let rest = futures::stream::try_unfold((writer, id), |(mut writer, id)| async move {
            if writer.done {
                return Ok(None);
            }
            match writer.piece().await {
                Ok(piece) => Ok(Some((Bytes::from(piece), (writer, id)))),
                Err(error) => {
                    log(&error, &id);
                    Err(error)
                }
            }
        });
        let first = futures::stream::once(async { Ok(Bytes::from(first)) });
        let mut response = json(StatusCode::OK, Body::from_stream(first.chain(rest)));
        if let Some(header) = header {
            response.headers_mut().insert(REQUEST_ID, header);
        }
        Ok(response)
    }
}

struct Writer {
    rows: SendableRecordBatchStream,
    encoder: WebApiEncoder,
    expansions: Option<Expansions>,
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
            expansions: collection.expansions,
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
            let rows = batch.slice(at, step);
            let more = match &self.expansions {
                Some(expansions) => expansions.members(&self.encoder, &rows).await?,
                None => Vec::new(),
            };
            self.encoder.rows_json(&rows, &more, &mut self.buffer)?;
            if step < left {
                self.current = Some((batch, at + step));
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    fn end(&mut self, more: bool) {
        self.buffer.push(b']');
        if let Some(tail) = self.tail.take() {
            let end = End { more, keys: self.encoder.cookie_keys() };
            self.buffer.extend_from_slice(&tail(end));
        }
        self.buffer.push(b'}');
        self.done = true;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::StringViewArray;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::error::DataFusionError;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    use super::*;
    use crate::catalog::Catalog;
    use crate::dialect::odata;
    use crate::encode::Annotations;
    use crate::query::bind::{BindOptions, bind};

    /// One text column, the given numbers of rows a batch; then perhaps an error.
    fn collection(batches: &[usize], fails: bool, page_size: Option<u64>) -> Collection {
        let catalog = Catalog::built_in();
        let users = catalog.table("systemuser").expect("built in");
        let options = [("$select".to_owned(), "fullname".to_owned())];
        let select = odata::parse(users, &options).expect("valid");
        let mut query = bind(&select, &catalog, &BindOptions::default()).expect("valid");
        query.outputs.retain(|o| o.name == "fullname");
        let schema = Arc::new(Schema::new(vec![Field::new("fullname", DataType::Utf8View, true)]));
        let batch = |rows: &usize| {
            let names = StringViewArray::from_iter_values(vec!["x"; *rows]);
            Ok(RecordBatch::try_new(schema.clone(), vec![Arc::new(names)])?)
        };
        let end = fails.then(|| Err(DataFusionError::Internal("broken".into())));
        let items: Vec<_> = batches.iter().map(batch).chain(end).collect();
        let rows = RecordBatchStreamAdapter::new(schema.clone(), futures::stream::iter(items));
        Collection {
            rows: Box::pin(rows),
            encoder: WebApiEncoder::new(&query, &Annotations::default()),
            expansions: None,
            page_size,
            head: b"{".to_vec(),
            tail: Box::new(|end| format!(",\"more\":{}", end.more).into_bytes()),
        }
    }

    async fn body(collection: Collection) -> String {
        let body = collection.respond().await.expect("no error").into_body();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
        String::from_utf8(bytes.into()).expect("JSON is UTF-8")
    }

    #[tokio::test]
    async fn pages_end_at_their_size_across_batches() {
        let row = r#"{"fullname":"x"}"#;
        for (batches, size, rows, more) in [
            (&[1, 1][..], Some(2), 2, false),
            (&[1, 1, 1], Some(2), 2, true),
            (&[3], Some(2), 2, true),
            (&[2, 0], Some(2), 2, false),
            (&[0, 2], None, 2, false),
            (&[], Some(2), 0, false),
        ] {
            let expected = format!(r#"{{"value":[{}],"more":{more}}}"#, vec![row; rows].join(","));
            assert_eq!(body(collection(batches, false, size)).await, expected, "{batches:?}");
        }
        let long = body(collection(&[10_000, 1], false, Some(10_000))).await;
        assert_eq!(long.matches("fullname").count(), 10_000);
        assert!(long.ends_with(r#"],"more":true}"#));
    }

    #[tokio::test]
    async fn an_early_error_is_an_answer_and_a_late_one_breaks_off() {
        assert!(collection(&[10], true, None).respond().await.is_err());
        let late = collection(&[10_000], true, None).respond().await.expect("begins well");
        assert!(late.headers().contains_key(REQUEST_ID));
        let whole = axum::body::to_bytes(late.into_body(), usize::MAX).await;
        assert!(whole.is_err(), "a client must not take half an answer for a whole one");
    }
}
