//! The made-up jobs as files that every system can load: CSV and Parquet, GUIDs as
//! text, as exports have them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::ArrowWriter;
use sysjob::value::guid_text;

use super::generator::{Columns, Generator};

/// Tables, their columns, and the types by which PostgreSQL and DuckDB know them.
pub const TABLES: [(&str, &[(&str, &str)]); 2] = [
    (
        "asyncoperation",
        &[
            ("asyncoperationid", "uuid"),
            ("name", "varchar"),
            ("statecode", "int"),
            ("statuscode", "int"),
            ("operationtype", "int"),
            ("ownerid", "uuid"),
            ("owningextensionid", "uuid"),
            ("datablobid", "uuid"),
            ("createdon", "timestamp"),
            ("startedon", "timestamp"),
            ("completedon", "timestamp"),
            ("executiontimespan", "float8"),
            ("errorcode", "int"),
            ("message", "varchar"),
            ("friendlymessage", "varchar"),
            ("sequence", "bigint"),
        ],
    ),
    (
        "fileattachment",
        &[("fileattachmentid", "uuid"), ("objectidtypecode", "int"), ("filesizeinbytes", "bigint")],
    ),
];

/// The statement that makes a table; `key` is what stands behind its first column.
pub fn create(table: usize, key: &str) -> String {
    let (name, columns) = TABLES[table];
    let columns: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, (name, kind))| format!("{name} {kind} {}", if index == 0 { key } else { "" }))
        .collect();
    format!("CREATE TABLE {name} ({})", columns.join(", "))
}

/// Files of both tables.
pub struct Dataset {
    pub jobs: usize,
    folder: PathBuf,
}

impl Dataset {
    /// Writes the files.
    pub fn write(folder: &Path, jobs: usize) -> Self {
        let dataset = Self { jobs, folder: folder.to_owned() };
        let mut writers: [Option<Writers>; 2] = [None, None];
        for part in Generator::new(jobs) {
            for (table, columns) in [&part.jobs, &part.files].into_iter().enumerate() {
                let batch = texts(columns);
                let writers = writers[table].get_or_insert_with(|| {
                    Writers::create(&dataset.csv(table), &dataset.parquet(table), &batch)
                });
                writers.write(&batch);
            }
        }
        writers.into_iter().flatten().for_each(Writers::close);
        dataset
    }

    pub fn csv(&self, table: usize) -> PathBuf {
        self.folder.join(format!("{}.csv", TABLES[table].0))
    }

    pub fn parquet(&self, table: usize) -> PathBuf {
        self.folder.join(format!("{}.parquet", TABLES[table].0))
    }

    pub fn bytes(&self) -> (u64, u64) {
        let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |m| m.len());
        (length(self.csv(0)), length(self.parquet(0)))
    }
}

/// The columns with their GUIDs as text.
fn texts(columns: &Columns) -> RecordBatch {
    let columns = columns.iter().map(|(name, array)| {
        let array: ArrayRef = match array.data_type() {
            DataType::FixedSizeBinary(_) => {
                let ids = array.as_fixed_size_binary().iter();
                let text = |id: &[u8]| guid_text(&id.try_into().expect("16 bytes"));
                Arc::new(StringViewArray::from_iter(ids.map(|id| id.map(text))))
            }
            _ => array.clone(),
        };
        (*name, array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

/// Both files of a table.
struct Writers {
    csv: BufWriter<File>,
    parquet: ArrowWriter<File>,
}

impl Writers {
    fn create(csv: &Path, parquet: &Path, batch: &RecordBatch) -> Self {
        let mut csv = BufWriter::with_capacity(1 << 20, File::create(csv).expect("a new file"));
        let names: Vec<&str> =
            batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        writeln!(csv, "{}", names.join(",")).expect("written");
        let parquet = File::create(parquet).expect("a new file");
        let parquet = ArrowWriter::try_new(parquet, batch.schema(), None).expect("a Parquet file");
        Self { csv, parquet }
    }

    fn write(&mut self, batch: &RecordBatch) {
        self.parquet.write(batch).expect("written");
        let options = FormatOptions::default();
        let cells: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|array| ArrayFormatter::try_new(array, &options).expect("types with a text"))
            .collect();
        // No text has a comma, a quote or a line end.
        for row in 0..batch.num_rows() {
            for (column, cell) in cells.iter().enumerate() {
                let comma = if column > 0 { "," } else { "" };
                write!(self.csv, "{comma}{}", cell.value(row)).expect("written");
            }
            writeln!(self.csv).expect("written");
        }
    }

    fn close(mut self) {
        self.csv.flush().expect("written");
        self.parquet.close().expect("written");
    }
}
