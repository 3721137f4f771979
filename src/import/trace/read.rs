//! The neutral CSV form of a trace: its columns, and what must hold of a line.
//!
//! A trace is read whole or not at all. Its rows lean on each other (attempts
//! of a task, the kind of an application), so a line that cannot be right is
//! an error with its number, not a row to leave out.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use csv::{ByteRecord, Reader};
use uuid::Uuid;

use crate::error::{Error, Place, Result, codes};
use crate::value::{Guid, parse_time};

use super::super::csv::reader;
use super::{Attempt, Definition, End, How, Named, Queue, Trace};

/// All columns of the form. Not all of them have a use here.
const COLUMNS: [&str; 14] = [
    "job_id",
    "submit_time",
    "start_time",
    "end_time",
    "status",
    "user_id",
    "group_id",
    "app_id",
    "queue",
    "requested_seconds",
    "preceding_job_id",
    "think_seconds",
    "attempt",
    "source_status",
];

/// The owner of jobs whose user the source does not know.
pub const SYSTEM: &str = "SYSTEM";

/// The operation type of the Workflow.
const WORKFLOW: i32 = 10;

/// Queues and the operation types that stand for them. Types that refuse to be
/// canceled and types that come with rows of their own (Bulk Delete) are left
/// out.
const QUEUES: &[(&str, i32)] = &[
    // Google's priorities, lowest first.
    ("prio0", 1),    // System Event
    ("prio1", 8),    // Bulk Duplicate Detection
    ("prio2", 10),   // Workflow
    ("prio3", 2),    // Bulk Email
    ("prio4", 57),   // Calculate Rollup Field
    ("prio5", 6),    // Activity Propagation
    ("prio6", 40),   // Goal Roll Up
    ("prio7", 11),   // Quick Campaign
    ("prio8", 5),    // Import
    ("prio9", 58),   // Mass Calculate Rollup Field
    ("prio10", 202), // Export Solution Async Operation
    ("prio11", 203), // Import Solution Async Operation
    // LPC's classes of run time.
    ("test", 1),      // System Event
    ("short", 10),    // Workflow
    ("long", 8),      // Bulk Duplicate Detection
    ("day", 5),       // Import
    ("infinite", 58), // Mass Calculate Rollup Field
    ("batch", 2),     // Bulk Email
];

const UNNAMED_QUEUE: &str = "unnamed";

/// The type of queues beyond the table: Execute Async Request.
const OTHER_QUEUES: i32 = 54;

/// Whether the headings are those of a trace.
pub fn is_heading(headings: &ByteRecord) -> bool {
    headings.iter().take(2).eq(COLUMNS[..2].iter().map(|c| c.as_bytes()))
}

/// Reads a trace from CSV text.
pub fn read(text: impl Read) -> Result<Trace> {
    let mut reader = reader(BufReader::with_capacity(256 * 1024, text));
    let mut headings = ByteRecord::new();
    reader.read_byte_record(&mut headings).map_err(|e| unreadable(1, e))?;
    read_after(&mut reader, &headings, &mut |_| {})
}

/// Reads a trace whose headings were read already; `tell` hears the number of
/// lines now and then.
pub fn read_after<R: Read>(
    reader: &mut Reader<R>,
    headings: &ByteRecord,
    tell: &mut dyn FnMut(u64),
) -> Result<Trace> {
    if !headings.iter().eq(COLUMNS.iter().map(|c| c.as_bytes())) {
        return Err(Error::invalid(
            codes::INVALID_ARGUMENT,
            format!("the headings of a job trace are: {}", COLUMNS.join(",")),
        )
        .at(place(1)));
    }
    let mut reading = Reading::default();
    let mut record = ByteRecord::new();
    let mut line = 1;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(reading.finish()),
            Err(e) => return Err(unreadable(line + 1, e)),
        }
        line = record.position().map_or(line + 1, csv::Position::line);
        reading
            .line(&record)
            .map_err(|message| Error::invalid(codes::INVALID_ARGUMENT, message).at(place(line)))?;
        if line % 8_192 == 0 {
            tell(line);
        }
    }
}

fn place(line: u64) -> Place {
    Place::Part(format!("trace line {line}"))
}

fn unreadable(line: u64, cause: csv::Error) -> Error {
    Error::data(format!("the trace cannot be read on: {cause}")).at(place(line)).caused_by(cause)
}

/// Ids of a trace live in a namespace of their own.
pub fn id(kind: &str, name: &str) -> Guid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x6a1f_5c0e_3b52_4d0a_9e7c_0f3d_2b86_41d5);
    Uuid::new_v5(&NAMESPACE, format!("{kind}:{name}").as_bytes()).into_bytes()
}

/// Lists of the things that lines name, each once, in order of appearance.
#[derive(Default)]
struct Numbers(HashMap<Box<str>, usize>);

impl Numbers {
    /// The number of a name, and whether it is new.
    fn of(&mut self, name: &str) -> (usize, bool) {
        if let Some(number) = self.0.get(name) {
            return (*number, false);
        }
        let number = self.0.len();
        self.0.insert(name.into(), number);
        (number, true)
    }
}

#[derive(Default)]
struct Reading {
    attempts: Vec<Attempt>,
    users: Vec<Named>,
    user_numbers: Numbers,
    groups: Vec<Named>,
    group_numbers: Numbers,
    definitions: Vec<Definition>,
    definition_numbers: Numbers,
    queues: Vec<Queue>,
    queue_numbers: Numbers,
}

impl Reading {
    fn line(&mut self, record: &ByteRecord) -> Result<(), String> {
        if record.len() != COLUMNS.len() {
            return Err(format!(
                "{} fields where the headings are {}",
                record.len(),
                COLUMNS.len()
            ));
        }
        let mut fields = [""; COLUMNS.len()];
        for ((field, bytes), name) in fields.iter_mut().zip(record).zip(COLUMNS) {
            *field = std::str::from_utf8(bytes).map_err(|_| format!("{name}: not valid UTF-8"))?;
        }
        let [job, submit, start, end, status, user, group, app, queue, _, _, _, attempt, source] =
            fields;
        if job.is_empty() {
            return Err("job_id: missing".into());
        }
        let queue = self.queue(queue);
        let attempt = Attempt {
            job: job.into(),
            number: number(attempt)?,
            submitted: time("submit_time", submit)?.ok_or("submit_time: missing")?,
            started: time("start_time", start)?,
            end: ending(time("end_time", end)?, status, source)?,
            user: self.user(user),
            group: (!group.is_empty()).then(|| self.group(group)),
            definition: self.definition(app, queue),
            queue,
        };
        let times = [Some(attempt.submitted), attempt.started, attempt.end.map(|e| e.at)];
        if !times.iter().flatten().is_sorted() {
            return Err("submit_time, start_time and end_time are not in this order".into());
        }
        self.attempts.push(attempt);
        Ok(())
    }

    fn user(&mut self, name: &str) -> usize {
        let name = if name.is_empty() { SYSTEM } else { name };
        let (number, new) = self.user_numbers.of(name);
        if new {
            self.users.push(Named { id: id("user", name), name: name.into() });
        }
        number
    }

    fn group(&mut self, name: &str) -> usize {
        let (number, new) = self.group_numbers.of(name);
        if new {
            self.groups.push(Named { id: id("group", name), name: name.into() });
        }
        number
    }

    fn queue(&mut self, name: &str) -> usize {
        let name = if name.is_empty() { UNNAMED_QUEUE } else { name };
        let (number, new) = self.queue_numbers.of(name);
        if new {
            let known = QUEUES.iter().find(|(queue, _)| *queue == name);
            let operation_type = known.map_or(OTHER_QUEUES, |(_, operation_type)| *operation_type);
            self.queues.push(Queue { name: name.into(), operation_type });
        }
        number
    }

    /// The definition of an application, or of the queue where there is none.
    /// What it is, its first job decides.
    fn definition(&mut self, app: &str, queue: usize) -> usize {
        let Queue { name: queue_name, operation_type } = &self.queues[queue];
        let name = if app.is_empty() { queue_name } else { app };
        let (number, new) = self.definition_numbers.of(name);
        if new {
            self.definitions.push(Definition {
                id: id("definition", name),
                name: name.into(),
                is_workflow: *operation_type == WORKFLOW,
            });
        }
        number
    }

    fn finish(mut self) -> Trace {
        // Jobs are numbered and replayed by this order; equal times keep the file's.
        self.attempts.sort_by_key(|a| a.submitted);
        // The service's own user is always there: it made the definitions.
        self.user(SYSTEM);
        Trace {
            attempts: self.attempts,
            users: self.users,
            groups: self.groups,
            definitions: self.definitions,
            queues: self.queues,
        }
    }
}

fn number(attempt: &str) -> Result<i32, String> {
    match attempt.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err(format!("attempt: '{attempt}' is not a number from 1")),
    }
}

fn time(column: &str, text: &str) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match parse_time(text) {
        Some(time) => Ok(Some(time)),
        None => Err(format!("{column}: '{text}' is not a date and time")),
    }
}

fn ending(at: Option<i64>, status: &str, source: &str) -> Result<Option<End>, String> {
    let how = match (status, source) {
        ("succeeded", _) => Some(How::Succeeded),
        ("failed", "evict") => Some(How::Evicted),
        ("failed", _) => Some(How::Failed),
        ("cancelled", _) => Some(How::Canceled),
        ("", _) => None,
        _ => return Err(format!("status: '{status}' is not succeeded, failed or cancelled")),
    };
    match (at, how) {
        (Some(at), Some(how)) => Ok(Some(End { at, how })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(format!("status '{status}' needs an end_time")),
        (Some(_), None) => Err("end_time needs a status".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn the_published_mapping_of_queues_is_the_one_in_use() {
        let published = include_str!("../../../data/README.md");
        let catalog = Catalog::built_in();
        let jobs = catalog.table("asyncoperation").expect("built in");
        let types = jobs.column("operationtype").expect("documented column");
        let label = |value| types.label(value).expect("a documented type");
        for (queue, value) in QUEUES {
            let row = format!("| `{queue}` | {value} {} |", label(*value));
            assert!(published.contains(&row), "{row}");
        }
        let others = format!("| any other | {OTHER_QUEUES} {} |", label(OTHER_QUEUES));
        assert!(published.contains(&others), "{others}");
    }

    #[test]
    fn ids_are_the_published_ones() {
        // Python: uuid.uuid5(uuid.UUID("6a1f5c0e-3b52-4d0a-9e7c-0f3d2b8641d5"), "user:u468")
        let published = "e0970a6f-d272-539f-baf9-123a27dc5230";
        assert_eq!(crate::value::guid_text(&id("user", "u468")), published);
    }
}
