//! One million jobs for the benches. The table has a fixed seed and a documented
//! shape: 80 % succeeded, 10 % failed, the rest over the other states; 20
//! operation types, 500 names with a skew, 3,000 owners, 2 % with a file.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryBuilder, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use sysjob::catalog::Table;
use sysjob::store::{ROWS_MAX, Store};

pub const JOBS: usize = 1_000_000;

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

fn guid(kind: u8, n: u64) -> [u8; 16] {
    let mut id = [kind; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id[8..].copy_from_slice(&n.to_be_bytes());
    id
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

fn batch(table: &Table, rows: usize, columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let schema = table.schema();
    let arrays = schema
        .fields()
        .iter()
        .map(|field| {
            let given = columns.iter().find(|(name, _)| name == field.name());
            given.map_or_else(|| new_null_array(field.data_type(), rows), |(_, a)| a.clone())
        })
        .collect();
    RecordBatch::try_new(schema.clone(), arrays).expect("the columns fit the schema")
}

/// Puts all of them into a store.
pub fn fill(store: &Store) {
    let catalog = store.catalog().clone();
    let index = |name| catalog.table_index(name).expect("built in");
    let (jobs, files) = (index("asyncoperation"), index("fileattachment"));
    let mut random = Random(42);
    let start: i64 = 1_767_225_600_000_000;
    for first in (0..JOBS).step_by(ROWS_MAX) {
        let rows = ROWS_MAX.min(JOBS - first);
        let (mut status, mut kind, mut name, mut owner, mut file) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows {
            let other = [0, 10, 20, 21, 22, 32][random.below(6) as usize];
            status.push(match random.below(10) {
                0..8 => 30,
                8 => 31,
                _ => other,
            });
            kind.push(1 + random.below(20) as i32);
            // The product of two numbers leans to the small ones.
            name.push(format!("Definition {}", random.below(500) * random.below(500) / 500));
            owner.push(guid(2, random.below(3000)));
            file.push((random.below(50) == 0).then(|| guid(3, (first + row) as u64)));
        }
        let number = |row: usize| (first + row) as i64;
        let created = (0..rows).map(|row| start + number(row) * 100_000);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("asyncoperationid", guids((0..rows).map(|row| Some(guid(1, number(row) as u64))))),
            ("statecode", Arc::new(Int32Array::from_iter_values(status.iter().map(|s| s / 10)))),
            ("statuscode", Arc::new(Int32Array::from(status))),
            ("operationtype", Arc::new(Int32Array::from(kind))),
            ("name", Arc::new(StringViewArray::from_iter_values(&name))),
            ("ownerid", guids(owner.into_iter().map(Some))),
            ("owningextensionid", guids(name.iter().map(|n| Some(guid(4, n.len() as u64))))),
            ("datablobid", guids(file.iter().copied())),
            ("createdon", Arc::new(TimestampMicrosecondArray::from_iter_values(created))),
            (
                "executiontimespan",
                Arc::new(Float64Array::from_iter_values((0..rows).map(|r| r as f64))),
            ),
            ("sequence", Arc::new(Int64Array::from_iter_values((0..rows).map(number)))),
        ];
        store.append(jobs, &batch(&catalog.tables()[jobs], rows, columns)).expect("appended");
        let ids: Vec<[u8; 16]> = file.into_iter().flatten().collect();
        let n = ids.len();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("fileattachmentid", guids(ids.into_iter().map(Some))),
            ("objectidtypecode", Arc::new(Int32Array::from(vec![4700; n]))),
            (
                "filesizeinbytes",
                Arc::new(Int64Array::from_iter_values((0..n as i64).map(|i| 5_000_000 + i))),
            ),
        ];
        store.append(files, &batch(&catalog.tables()[files], n, columns)).expect("appended");
    }
}
