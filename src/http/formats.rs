//! Rows in the formats of the command line, sent while they are read.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parking_lot::Mutex;

use super::error::{log, new_request_id};
use crate::encode::{Format, RowWriter};
use crate::engine::failure;
use crate::error::Error;

/// All rows in a format.
pub async fn rows(format: Format, mut rows: SendableRecordBatchStream) -> Result<Response, Error> {
    let buffer = Buffer::default();
    let writer = RowWriter::new(format, &rows.schema(), buffer.clone())?;
    // A query that fails at once still gets a status of its own.
    let first = rows.next().await.transpose().map_err(failure)?;
    let rows = futures::stream::iter(first.map(Ok)).chain(rows);
    let pieces = futures::stream::try_unfold(Some((rows, writer, buffer)), |state| async move {
        let Some((mut rows, mut writer, buffer)) = state else { return Ok(None) };
        let written = match rows.next().await {
            Some(Ok(batch)) => writer.write(&batch).map(|()| Some((rows, writer, buffer.clone()))),
            Some(Err(e)) => Err(failure(e)),
            None => writer.finish().map(|_| None),
        };
        match written {
            Ok(state) => Ok(Some((buffer.take(), state))),
            Err(error) => {
                // The status is on its way; a broken body tells the client.
                log(&error, &new_request_id());
                Err(error)
            }
        }
    });
    let kind = match format {
        Format::Table => "text/plain; charset=utf-8",
        Format::Csv => "text/csv; charset=utf-8",
        Format::Json => "application/json",
        Format::Jsonl => "application/jsonl",
        Format::Parquet => "application/vnd.apache.parquet",
        Format::Arrow => "application/vnd.apache.arrow.file",
    };
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response())
}

/// What a writer has written and the client has not got yet.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock()).into()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
