//! `sysjob backup` and `sysjob restore`: everything in a data folder as one file, also
//! of a running service, and a new folder made of one.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::check::report;
use super::remote::Remote;
use super::{CatalogFiles, Target};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::store::{self, BackedUp, Store};

#[derive(Args)]
pub struct Backup {
    #[command(flatten)]
    target: Target,
    /// The file to write; it may not be there yet
    file: PathBuf,
}

#[derive(Args)]
pub struct Restore {
    /// The data folder to make; it may not hold anything yet
    #[arg(long, env = "SYSJOB_DATA_DIR", default_value = "sysjob-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    catalog: CatalogFiles,
    /// The backup
    file: PathBuf,
}

impl Backup {
    pub fn run(self) -> Result<ExitCode> {
        let file = &self.file;
        if file.exists() {
            let message = format!("'{}' is there already", file.display());
            return Err(Error::new(ErrorKind::Conflict, codes::UNEXPECTED, message));
        }
        // It gets its name when it is whole.
        let mut partial = file.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let done = self.write(&partial);
        if done.is_err() && partial.exists() {
            fs::remove_file(&partial).map_err(failed(&partial))?;
        }
        let done = done?;
        fs::rename(&partial, file).map_err(failed(file))?;
        println!("{}: {}", file.display(), said(done));
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, file: &Path) -> Result<BackedUp> {
        let Target { data_dir, url, catalog, connection } = &self.target;
        let mut out = BufWriter::new(File::create(file).map_err(failed(file))?);
        let done = match url {
            Some(url) => {
                let mut stream = Remote::new(url, connection)?.download("/sysjob/backup")?;
                store::copy_backup(&mut stream, &mut out)?
            }
            None => Store::open_existing(data_dir, catalog.load()?)?.backup(&mut out)?,
        };
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed(file))?;
        Ok(done)
    }
}

impl Restore {
    pub fn run(self) -> Result<ExitCode> {
        let input = File::open(&self.file).map_err(failed(&self.file))?;
        let catalog = self.catalog.load()?;
        let done = store::restore(&self.data_dir, &mut BufReader::new(input));
        let done = done.map_err(|mut e| {
            e.message = format!("'{}': {}", self.file.display(), e.message);
            e
        })?;
        println!("{}: {}", self.data_dir.display(), said(done));
        Ok(report(&self.data_dir, &store::check(&self.data_dir, &catalog)?))
    }
}

fn failed(file: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |e| Error::data(format!("'{}': {e}", file.display())).caused_by(e)
}

fn said(done: BackedUp) -> String {
    let BackedUp { chunks, entries, bytes } = done;
    format!("{chunks} sealed chunks and {entries} entries of the journal, {bytes} bytes")
}
