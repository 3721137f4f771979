//! Whole files through [`import_file`](super::import_file), and the traces
//! against their published figures.

mod formats;
mod rejections;
mod traces;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::util::display::array_value_to_string;
use tempfile::TempDir;

use super::{Report, Sink, import_file};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::store::Appended;
use crate::value::{Guid, guid_text};

/// A store that keeps the batches it is given.
struct Kept {
    catalog: Catalog,
    batches: Vec<(usize, RecordBatch)>,
    keys: HashSet<(usize, Guid)>,
}

impl Kept {
    fn new() -> Self {
        Self { catalog: Catalog::built_in(), batches: Vec::new(), keys: HashSet::new() }
    }

    fn batches(&self, table: &str) -> impl Iterator<Item = &RecordBatch> {
        let table = self.catalog.table_index(table).expect("a built-in table");
        self.batches.iter().filter(move |(t, _)| *t == table).map(|(_, batch)| batch)
    }

    fn rows(&self, table: &str) -> usize {
        self.batches(table).map(RecordBatch::num_rows).sum()
    }

    /// A column as text, `-` for null.
    fn column(&self, table: &str, column: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for batch in self.batches(table) {
            let array = batch.column_by_name(column).expect("the batch has every column");
            texts.extend((0..array.len()).map(|row| {
                if array.is_null(row) {
                    return "-".to_owned();
                }
                match array.as_fixed_size_binary_opt() {
                    Some(guids) => guid_text(guids.value(row).try_into().expect("16 bytes")),
                    None => array_value_to_string(array, row).expect("printable"),
                }
            }));
        }
        texts
    }
}

impl Sink for Kept {
    fn append(&mut self, table: usize, batch: RecordBatch) -> Result<Appended> {
        let facts = &self.catalog.tables()[table];
        assert_eq!(batch.schema_ref(), facts.schema());
        let ids = batch.column(facts.primary_id_index()).as_fixed_size_binary();
        let mut appended = Appended::default();
        for row in 0..batch.num_rows() {
            let id = ids.value(row).try_into().expect("16 bytes");
            match self.keys.insert((table, id)) {
                true => appended.inserted += 1,
                false => appended.replaced += 1,
            }
        }
        self.batches.push((table, batch));
        Ok(appended)
    }
}

/// A folder for the files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        let plain = if name.ends_with(".gz") { gzip(content) } else { content.to_vec() };
        std::fs::write(&path, plain).expect("writable");
        path
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(content).expect("memory");
    out.finish().expect("memory")
}

fn import(path: &Path, table: Option<&str>) -> Result<(Kept, Report)> {
    let mut kept = Kept::new();
    let report = import_file(path, table, &Catalog::built_in(), &mut kept, &mut |_| {})?;
    assert_eq!(report.read, report.loaded + report.rejected);
    Ok((kept, report))
}

/// Imports a file that must be accepted.
fn imported(name: &str, content: &[u8]) -> (Kept, Report) {
    import(&Files::new().file(name, content), None).expect("imports")
}

/// Imports a file that must be refused as a whole.
fn refused(name: &str, content: &[u8]) -> String {
    match import(&Files::new().file(name, content), None) {
        Err(error) => error.to_string(),
        Ok((_, report)) => panic!("accepted: {report:?}"),
    }
}

const ID1: &str = "00000000-0000-0000-0000-000000000001";
const ID2: &str = "00000000-0000-0000-0000-000000000002";
const OWNER: &str = "00000000-0000-0000-0000-0000000000aa";
