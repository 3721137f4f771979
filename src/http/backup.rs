//! `GET /sysjob/backup`: everything as of the last commit, in one stream, while the
//! service goes on. What `sysjob backup --url` asks for.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::error::{log, new_request_id};
use crate::service::Service;

/// Bytes that are sent at once.
const PIECE: usize = 256 * 1024;

/// Pieces that wait for the client.
const PIECES_MAX: usize = 4;

pub async fn backup(State(service): State<Arc<Service>>) -> Response {
    let (sender, mut pieces) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces { sender, piece: Vec::with_capacity(PIECE) };
        if let Err(error) = service.store.backup(&mut out) {
            // The status is on its way; a broken body tells the client.
            log(&error, &new_request_id());
            let _ = out.sender.blocking_send(Err(error));
        }
    });
    let pieces = futures::stream::poll_fn(move |context| pieces.poll_recv(context));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sysjob.backup\""),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

/// What is written goes to the client piece by piece.
struct Pieces {
    sender: mpsc::Sender<Result<Bytes, crate::error::Error>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone");
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}
