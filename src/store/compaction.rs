//! Which chunks become others: small ones in memory one full one, full ones that are
//! not sealed a file, and sealed ones that are small or have lost or changed many rows
//! another file.

use std::sync::Arc;

use super::chunk::{Chunk, OPEN_ROWS_MAX, ROWS_MAX};

/// One row in so many that is no longer as the file has it: the chunk is written anew.
const WORN: usize = 4;

/// So many small neighbours become one, also when they do not make half a chunk.
const SMALL_MAX: usize = 8;

/// Chunks that take no new rows and are not sealed, with at least so many rows. Small
/// chunks are merged in memory first; what a restart has left of them is not.
pub fn sealable(closed: &[Arc<Chunk>], rows_min: usize) -> impl Iterator<Item = &Arc<Chunk>> {
    closed.iter().filter(move |chunk| {
        chunk.file().is_none()
            && chunk.live() > 0
            && chunk.rows() >= rows_min
            && chunk.rows() != OPEN_ROWS_MAX
    })
}

/// Neighbours in memory, each full, that make one full chunk.
pub fn mergeable(closed: &[Arc<Chunk>]) -> Vec<&[Arc<Chunk>]> {
    let is_small = |chunk: &Arc<Chunk>| chunk.file().is_none() && chunk.rows() == OPEN_ROWS_MAX;
    closed
        .chunk_by(|a, b| is_small(a) && is_small(b))
        .flat_map(|run| run.chunks_exact(ROWS_MAX / OPEN_ROWS_MAX))
        .collect()
}

/// Neighbours that should become one sealed chunk, or none where no row is left.
pub fn compactable(closed: &[Arc<Chunk>]) -> Vec<&[Arc<Chunk>]> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < closed.len() {
        let chunk = &closed[start];
        let small = closed[start..].iter().take_while(|chunk| is_small(chunk));
        let mut rows = 0;
        let run = small.take_while(|chunk| {
            rows += chunk.live();
            rows <= ROWS_MAX
        });
        let run = &closed[start..start + run.count()];
        let rows: usize = run.iter().map(|chunk| chunk.live()).sum();
        if run.len() > 1 && (rows >= ROWS_MAX / 2 || run.len() >= SMALL_MAX) {
            found.push(run);
        } else {
            found.extend(run.iter().filter(|chunk| is_worn(chunk)).map(std::slice::from_ref));
            if run.is_empty() && is_worn(chunk) {
                found.push(std::slice::from_ref(chunk));
            }
        }
        start += run.len().max(1);
    }
    found
}

fn is_small(chunk: &Chunk) -> bool {
    chunk.file().is_some() && chunk.live() < ROWS_MAX / 2
}

fn is_worn(chunk: &Chunk) -> bool {
    chunk.live() == 0 || (chunk.file().is_some() && chunk.left_file() * WORN >= chunk.rows())
}
