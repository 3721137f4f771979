//! Job traces: logs of real job systems in one neutral CSV form, told as the
//! rows that Dataverse would hold had the jobs been system jobs.
//!
//! The mapping is fixed and free of chance, so a trace gives the same rows with
//! the same ids wherever it is read: ids are UUIDs of version 5 over the
//! source's own ids. `data/README.md` has the mapping in full.

mod arrivals;
mod history;
mod jobs;
mod read;
mod related;
mod replay;

use std::path::Path;

use crate::error::{Error, Result, codes};
use crate::value::Guid;

pub use self::arrivals::{Arrival, Outcome};
pub use self::history::Loaded;
pub(super) use self::history::import;
pub(super) use self::read::is_heading;
pub use self::read::read;
pub use self::replay::Submission;

/// The bundled trace: task attempts of a Google cluster, May 2011, gzipped.
/// Google's ClusterData2011_2, licensed CC BY 4.0; changes are described in
/// `data/README.md`.
pub fn bundled() -> &'static [u8] {
    include_bytes!("../../../data/google-2011-task-attempts.csv.gz")
}

/// Reads the bundled trace.
pub fn read_bundled() -> Result<Trace> {
    read(flate2::bufread::MultiGzDecoder::new(bundled()))
}

/// Reads a trace from a file, `.csv` or `.csv.gz`.
pub fn read_file(path: &Path) -> Result<Trace> {
    let unreadable = |e: std::io::Error| {
        Error::invalid(codes::INVALID_ARGUMENT, format!("'{}' cannot be read: {e}", path.display()))
            .caused_by(e)
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let file = std::io::BufReader::with_capacity(256 * 1024, file);
    match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz")) {
        true => read(flate2::bufread::MultiGzDecoder::new(file)),
        false => read(file),
    }
}

/// A whole trace: its attempts in the order of their submission.
#[derive(Debug)]
pub struct Trace {
    attempts: Vec<Attempt>,
    users: Vec<Named>,
    groups: Vec<Named>,
    definitions: Vec<Definition>,
    queues: Vec<Queue>,
}

impl Trace {
    /// Attempts in the trace.
    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// The first and last submission, in microseconds since 1970-01-01 UTC.
    pub fn span(&self) -> Option<(i64, i64)> {
        Some((self.attempts.first()?.submitted, self.attempts.last()?.submitted))
    }
}

/// One attempt of one task. Users, groups, definitions and queues are numbers
/// into the trace's lists.
#[derive(Debug)]
struct Attempt {
    job: Box<str>,
    number: i32,
    submitted: i64,
    started: Option<i64>,
    end: Option<End>,
    user: usize,
    group: Option<usize>,
    definition: usize,
    queue: usize,
}

#[derive(Clone, Copy, Debug)]
struct End {
    at: i64,
    how: How,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Succeeded,
    Failed,
    /// Failed because the system took its machine away; trying again helps.
    Evicted,
    Canceled,
}

/// Something that the source knows by an id text.
#[derive(Debug)]
struct Named {
    id: Guid,
    name: Box<str>,
}

/// What jobs are instances of: the application, or the queue where the source
/// has no applications.
#[derive(Debug)]
struct Definition {
    id: Guid,
    name: Box<str>,
    /// A workflow; else a plug-in step.
    is_workflow: bool,
}

#[derive(Debug)]
struct Queue {
    name: Box<str>,
    operation_type: i32,
}
