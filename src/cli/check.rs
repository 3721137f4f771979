//! `sysjob check`: reads everything in a data folder and says whether it is sound.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::CatalogFiles;
use crate::error::Result;
use crate::store;

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
        for problem in &checked.problems {
            println!("{problem}");
        }
        let folder = self.data_dir.display();
        let (rows, chunks) = (checked.rows, checked.chunks);
        if checked.problems.is_empty() {
            println!("{folder}: sound: {rows} rows, {chunks} sealed chunks");
            return Ok(ExitCode::SUCCESS);
        }
        println!("{folder}: {} problems", checked.problems.len());
        Ok(ExitCode::from(DAMAGED))
    }
}
