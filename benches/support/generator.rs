//! Made-up jobs for the benches, the same in every run. The shape: 80 % succeeded,
//! 10 % failed, the rest over the other states; 20 operation types, 500 names with a
//! skew, 3,000 owners, 2 % with a file. A job is created every tenth of a second.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryBuilder, Float64Array, Int32Array, Int64Array, StringViewArray,
    TimestampMicrosecondArray,
};
use sysjob::store::ROWS_MAX;

/// When the first job was created: 2026-01-01.
const START: i64 = 1_767_225_600_000_000;
const BETWEEN_JOBS: i64 = 100_000;

/// Error codes of failed jobs, the first of them most often.
const ERRORS: [i32; 8] = [
    -2_147_220_891,
    -2_147_204_784,
    -2_147_220_970,
    -2_147_187_407,
    -2_147_204_783,
    -2_147_220_937,
    -2_147_180_286,
    -2_147_088_227,
];

/// Columns by name.
pub type Columns = Vec<(&'static str, ArrayRef)>;

/// Some rows of both tables.
pub struct Part {
    pub jobs: Columns,
    pub files: Columns,
}

/// Makes jobs, a full chunk at a time.
pub struct Generator {
    random: Random,
    next: usize,
    count: usize,
}

/// A small generator with good enough numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// The `n`th GUID of a kind.
pub fn guid(kind: u8, n: u64) -> [u8; 16] {
    let mut id = [kind; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id[8..].copy_from_slice(&n.to_be_bytes());
    id
}

/// When the `n`th job was created.
pub fn created(n: u64) -> i64 {
    START + n as i64 * BETWEEN_JOBS
}

fn guids(ids: impl Iterator<Item = Option<[u8; 16]>>) -> ArrayRef {
    let mut array = FixedSizeBinaryBuilder::new(16);
    for id in ids {
        match id {
            Some(id) => array.append_value(id).expect("16 bytes"),
            None => array.append_null(),
        }
    }
    Arc::new(array.finish())
}

fn times(times: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter(times))
}

fn texts(texts: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter(texts))
}

/// What is drawn of one job.
struct Job {
    status: i32,
    operationtype: i32,
    definition: u64,
    owner: u64,
    has_file: bool,
    waited_ms: i64,
    took_ms: i64,
    error: Option<(i32, u64)>,
}

impl Job {
    fn draw(random: &mut Random) -> Self {
        let other = [0, 10, 20, 21, 22, 32][random.below(6) as usize];
        let status = match random.below(10) {
            0..8 => 30,
            8 => 31,
            _ => other,
        };
        let operationtype = 1 + random.below(20) as i32;
        // The product of two numbers leans to the small ones.
        let definition = random.below(500) * random.below(500) / 500;
        let owner = random.below(3000);
        let has_file = random.below(50) == 0;
        let waited_ms = random.below(2_000) as i64;
        let took_ms = (random.below(300) * random.below(300)) as i64;
        let error = ERRORS[(random.below(8) * random.below(8) / 8) as usize];
        let error = (status == 31).then(|| (error, random.below(200)));
        Self { status, operationtype, definition, owner, has_file, waited_ms, took_ms, error }
    }

    fn started(&self, created: i64) -> Option<i64> {
        (self.status >= 20).then(|| created + self.waited_ms * 1000)
    }

    fn completed(&self, created: i64) -> Option<i64> {
        let started = self.started(created).filter(|_| self.status >= 30)?;
        Some(started + self.took_ms * 1000)
    }
}

impl Generator {
    pub fn new(count: usize) -> Self {
        Self { random: Random(42), next: 0, count }
    }
}

impl Iterator for Generator {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let first = self.next;
        let count = ROWS_MAX.min(self.count - first);
        if count == 0 {
            return None;
        }
        self.next += count;
        let jobs: Vec<Job> = (0..count).map(|_| Job::draw(&mut self.random)).collect();
        let rows = || jobs.iter().enumerate().map(|(row, job)| ((first + row) as u64, job));
        let file = |(number, job): (u64, &Job)| job.has_file.then(|| guid(3, number));
        let ints = |value: fn(&Job) -> Option<i32>| -> ArrayRef {
            Arc::new(Int32Array::from_iter(jobs.iter().map(value)))
        };
        let jobs: Columns = vec![
            ("asyncoperationid", guids(rows().map(|(number, _)| Some(guid(1, number))))),
            ("name", texts(rows().map(|(_, job)| Some(format!("Definition {}", job.definition))))),
            ("statecode", ints(|job| Some(job.status / 10))),
            ("statuscode", ints(|job| Some(job.status))),
            ("operationtype", ints(|job| Some(job.operationtype))),
            ("ownerid", guids(rows().map(|(_, job)| Some(guid(2, job.owner))))),
            ("owningextensionid", guids(rows().map(|(_, job)| Some(guid(4, job.definition))))),
            ("datablobid", guids(rows().map(file))),
            ("createdon", times(rows().map(|(n, _)| Some(created(n))))),
            ("startedon", times(rows().map(|(n, job)| job.started(created(n))))),
            ("completedon", times(rows().map(|(n, job)| job.completed(created(n))))),
            (
                "executiontimespan",
                Arc::new(Float64Array::from_iter(
                    rows()
                        .map(|(_, job)| (job.status >= 30).then_some(job.took_ms as f64 / 1000.0)),
                )),
            ),
            ("errorcode", ints(|job| job.error.map(|(code, _)| code))),
            (
                "message",
                texts(rows().map(|(_, job)| {
                    let (_, n) = job.error?;
                    Some(format!("The plug-in failed at step {n}: the record is locked"))
                })),
            ),
            (
                "friendlymessage",
                texts(rows().map(|(_, job)| {
                    job.error.map(|(_, n)| format!("An error occurred ({})", n % 20))
                })),
            ),
            (
                "sequence",
                Arc::new(Int64Array::from_iter_values(rows().map(|(number, _)| number as i64))),
            ),
        ];
        let ids = || rows().filter_map(file);
        let files = ids().count();
        let files: Columns = vec![
            ("fileattachmentid", guids(ids().map(Some))),
            ("objectidtypecode", Arc::new(Int32Array::from(vec![4700; files]))),
            (
                "filesizeinbytes",
                Arc::new(Int64Array::from_iter_values((0..files as i64).map(|n| 5_000_000 + n))),
            ),
        ];
        Some(Part { jobs, files })
    }
}
