//! A data folder belongs to one process: a lock file that names its holder.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result, codes};

/// Whether there is a data folder.
pub fn expect(dir: &Path) -> Result<()> {
    if dir.join("journal").is_dir() {
        return Ok(());
    }
    let message = format!("'{}' is not a data folder: it has no journal", dir.display());
    Err(Error::new(ErrorKind::NotFound, codes::UNEXPECTED, message))
}

/// The lock, given back when it is dropped.
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder if it is missing and takes it, or says who has it.
    pub fn take(dir: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| {
            Error::data(format!("the data folder '{}' cannot be opened: {e}", dir.display()))
                .caused_by(e)
        };
        fs::create_dir_all(dir).map_err(failed)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("LOCK"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(failed)?;
                return Err(Error::new(
                    ErrorKind::Conflict,
                    codes::UNEXPECTED,
                    format!(
                        "the data folder '{}' is in use by {}; talk to that service with --url",
                        dir.display(),
                        holder.trim()
                    ),
                ));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "process {}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
