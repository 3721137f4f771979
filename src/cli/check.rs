//! `sysjob check`: reads everything in a data folder and says whether it is sound.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::CatalogFiles;
use crate::error::Result;
use crate::store::{self, Checked};

/// The exit code for a folder with damage; one that cannot be looked at is 1.
const DAMAGED: u8 = 3;

#[derive(Args)]
pub struct Check {
    /// The data folder; no service may have it
    #[arg(long, env = "SYSJOB_DATA_DIR", default_value = "sysjob-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    catalog: CatalogFiles,
}

impl Check {
    pub fn run(self) -> Result<ExitCode> {
        let checked = store::check(&self.data_dir, &self.catalog.load()?)?;
        Ok(report(&self.data_dir, &checked))
    }
}

/// Says what a check has found.
pub fn report(folder: &Path, checked: &Checked) -> ExitCode {
    for problem in &checked.problems {
        println!("{problem}");
    }
    let folder = folder.display();
    let (rows, chunks) = (checked.rows, checked.chunks);
    if checked.problems.is_empty() {
        println!("{folder}: sound: {rows} rows, {chunks} sealed chunks");
        return ExitCode::SUCCESS;
    }
    println!("{folder}: {} problems", checked.problems.len());
    ExitCode::from(DAMAGED)
}
