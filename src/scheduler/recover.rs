//! The jobs that earlier runs of the service left unfinished.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::array::types::Int32Type;

use super::core::Job;
use super::rows::job;
use crate::job::{JobColumns, Status};
use crate::store::Snapshot;
use crate::value::Value;

/// All jobs that are not completed, oldest first.
pub fn unfinished(snapshot: &Snapshot, columns: &JobColumns) -> Vec<Job> {
    let table = snapshot.table(columns.table);
    let schema = table.table().schema();
    let mut jobs = Vec::new();
    let ended = Value::Int32(Status::Succeeded.statecode());
    for chunk in table.chunks() {
        // Where all jobs have ended, no column need be read.
        if chunk.statistics(columns.statecode).is_some_and(|s| s.min.as_ref() == Some(&ended)) {
            continue;
        }
        let Some(states) = chunk.loaded(columns.statecode) else { continue };
        let states = states.as_primitive::<Int32Type>();
        for row in 0..chunk.rows() {
            let alive = chunk.alive().is_none_or(|alive| alive.value(row));
            if alive && states.value(row) != Status::Succeeded.statecode() {
                jobs.push(job(|column| chunk.value(row, column, schema), columns));
            }
        }
    }
    jobs.sort_by_key(|job| (job.createdon, job.sequence, job.id));
    jobs
}
