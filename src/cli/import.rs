//! `sysjob import`: files into a data folder, with a bar and an account.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use datafusion::arrow::array::RecordBatch;

use super::CatalogFiles;
use crate::error::Result;
use crate::import::{Report, Sink, import_file, progress_bar};
use crate::store::{Appended, Store};

#[derive(Args)]
pub struct Import {
    /// The data folder; made if it is missing
    #[arg(long, env = "SYSJOB_DATA_DIR", default_value = "sysjob-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    catalog: CatalogFiles,
    /// The table, if neither the file's content nor its name tells
    #[arg(long)]
    table: Option<String>,
    /// .csv, .json, .jsonl (each also .gz) and .parquet files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// A store that takes imported batches.
pub struct StoreSink<'a>(pub &'a Store);

impl Sink for StoreSink<'_> {
    fn append(&mut self, table: usize, batch: RecordBatch) -> Result<Appended> {
        self.0.append(table, &batch)
    }
}

impl Import {
    pub fn run(self) -> Result<ExitCode> {
        let store = Store::open(&self.data_dir, self.catalog.load()?)?;
        for file in &self.files {
            let name = file.display().to_string();
            let mut sink = StoreSink(&store);
            let mut progress = progress_bar(&name);
            let table = self.table.as_deref();
            let report = import_file(file, table, store.catalog(), &mut sink, &mut progress)?;
            print(&name, &report);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(name: &str, report: &Report) {
    for warning in &report.warnings {
        eprintln!("{name}: {warning}");
    }
    println!(
        "{name}: {}: {} rows read, {} loaded ({} replaced), {} rejected",
        report.table, report.read, report.loaded, report.replaced, report.rejected
    );
    for (table, rows) in &report.related {
        println!("{name}: {table}: {rows} rows came with it");
    }
    for rejection in &report.first_rejections {
        println!("  line {}: {}", rejection.line, rejection.reason);
    }
    if let Some(file) = &report.rejected_file {
        println!("  rejected rows are in {}", file.display());
    }
}
