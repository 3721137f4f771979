//! Looks through the journal's write-ahead files before fjall reads them.
//!
//! fjall cuts a file off at the first entry that it cannot read. That is right for
//! the last batch, which a crash may have left unfinished, and it would be a silent
//! loss if a byte in the middle has changed. What fjall checks itself, the checksum
//! of each batch, is left to it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a complete batch ends with.
const TRAILER: &[u8] = b"FJL\x03";

/// Tags of entries.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// What disks write at once. After a loss of power a batch that was not synced may
/// lack some in the middle.
const SECTOR: usize = 512;

/// Refuses a journal of which fjall would silently drop more than an unfinished batch.
pub fn check(journal: &Path) -> Result<()> {
    let mut sequence = None;
    for path in files(journal)? {
        let name = path.display();
        let unreadable = |e| Error::data(format!("'{name}' cannot be read: {e}")).caused_by(e);
        let bytes = fs::read(&path).map_err(unreadable)?;
        if let Err(at) = whole(&bytes, &mut sequence) {
            let message = format!("'{name}' is damaged: the batch at byte {at} is unreadable");
            return Err(Error::data(message));
        }
    }
    Ok(())
}

/// The files in the order in which they were written.
pub fn files(journal: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| {
        Error::data(format!("'{}' cannot be listed: {e}", journal.display())).caused_by(e)
    };
    if !journal.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(journal).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let (Some(number), Some("jnl")) = (number, path.extension().and_then(|e| e.to_str())) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// Where a file is damaged, if it is. `sequence` is the number of the batch before.
fn whole(bytes: &[u8], sequence: &mut Option<u64>) -> Result<(), usize> {
    // Files are made longer than what is in them.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut at = 0;
    while at < end {
        let mut input = Input { bytes: &bytes[at..] };
        match input.batch() {
            Some((number, TRAILER)) if sequence.is_none_or(|before| before < number) => {
                *sequence = Some(number);
                at = bytes.len() - input.bytes.len();
            }
            Some((_, trailer)) if is_trailer_with_a_change(trailer) => return Err(at),
            _ if is_unfinished(&bytes[..end], at) => return Ok(()),
            _ => return Err(at),
        }
    }
    Ok(())
}

fn is_trailer_with_a_change(trailer: &[u8]) -> bool {
    let changed = trailer.iter().zip(TRAILER).filter(|(a, b)| a != b).count();
    changed == 1 && trailer.last() != Some(&0)
}

/// Whether what begins there can be a batch that was cut off while it was written.
fn is_unfinished(bytes: &[u8], at: usize) -> bool {
    let rest = &bytes[at..];
    match rest.windows(TRAILER.len()).position(|window| window == TRAILER) {
        None => true,
        Some(place) if place + TRAILER.len() == rest.len() => {
            let mut sectors = bytes.chunks(SECTOR).skip(at.div_ceil(SECTOR));
            sectors.any(|sector| sector.len() == SECTOR && sector.iter().all(|byte| *byte == 0))
        }
        Some(_) => false,
    }
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(length)?;
        self.bytes = tail;
        Some(head)
    }

    /// A little-endian number.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.slice(bytes)?);
        Some(u64::from_le_bytes(number))
    }

    fn tag(&mut self) -> Option<u8> {
        self.slice(1).map(|tag| tag[0])
    }

    /// A batch: its number, and what stands where its trailer should.
    fn batch(&mut self) -> Option<(u64, &'a [u8])> {
        if self.tag()? != START {
            return None;
        }
        let (items, number) = (self.number(4)?, self.number(8)?);
        for _ in 0..items {
            match self.tag()? {
                ITEM => self.item()?,
                CLEAR => _ = self.number(8)?,
                _ => return None,
            }
        }
        if self.tag()? != END {
            return None;
        }
        self.number(8)?;
        Some((number, self.slice(TRAILER.len())?))
    }

    fn item(&mut self) -> Option<()> {
        let kind = self.tag()?;
        let packed = self.tag()?;
        self.number(8)?;
        let (key, length, stored) =
            (self.number(2)? as usize, self.number(4)? as usize, self.number(4)? as usize);
        // Nothing is packed.
        if packed != 0 || length != stored || !matches!(kind, 0 | 1 | 2 | 4) {
            return None;
        }
        self.slice(key)?;
        self.slice(stored).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use fjall::{KeyspaceCreateOptions, PersistMode};

    use super::*;
    use crate::store::journal::database;

    /// A database with some batches that hold a large value each, and where they begin.
    fn folder(large: &[u8]) -> (tempfile::TempDir, PathBuf, Vec<usize>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = database(folder.path()).expect("opens");
        let space = database.keyspace("space", KeyspaceCreateOptions::default).expect("opens");
        let path = files(folder.path()).expect("listed").remove(0);
        let mut begins = Vec::new();
        for n in 0..4u8 {
            let bytes = fs::read(&path).expect("readable");
            begins.push(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(&space, [n], [n + 7; 20]);
            batch.insert(&space, [n, n], large);
            batch.remove(&space, [n + 1]);
            batch.commit().expect("commits");
        }
        drop((space, database));
        (folder, path, begins)
    }

    /// A copy of a folder in which one file has other bytes.
    fn with(folder: &Path, path: &Path, bytes: &[u8]) -> tempfile::TempDir {
        fn copy(from: &Path, to: &Path) {
            for entry in fs::read_dir(from).expect("listed") {
                let path = entry.expect("an entry").path();
                let target = to.join(path.file_name().expect("a name"));
                if path.is_dir() {
                    fs::create_dir(&target).expect("made");
                    copy(&path, &target);
                } else {
                    fs::copy(&path, &target).expect("copied");
                }
            }
        }
        let other = tempfile::tempdir().expect("a temporary folder");
        copy(folder, other.path());
        let name = path.strip_prefix(folder).expect("inside");
        fs::write(other.path().join(name), bytes).expect("writes");
        other
    }

    fn rows(folder: &Path) -> Option<usize> {
        let space =
            database(folder).ok()?.keyspace("space", KeyspaceCreateOptions::default).ok()?;
        Some(space.iter().count())
    }

    #[test]
    fn a_flipped_byte_is_noticed_and_an_unfinished_batch_is_not_damage() {
        let (folder, path, begins) = folder(&[9; 300]);
        let whole = fs::read(&path).expect("readable");
        assert!(check(folder.path()).is_ok());
        let end = whole.iter().rposition(|byte| *byte != 0).expect("written") + 1;
        for at in (0..end).step_by(7) {
            let mut bytes = whole[..end + 100].to_vec();
            bytes[at] ^= 0x55;
            let damaged = with(folder.path(), &path, &bytes);
            if let Err(e) = check(damaged.path()) {
                assert!(e.message.contains(".jnl"), "{e}");
                continue;
            }
            let kept = rows(damaged.path());
            assert!(kept.is_none_or(|rows| rows == 8), "byte {at}: {kept:?} rows");
        }
        let last = *begins.last().expect("some");
        // Not between two lengths of an entry, where a debug build of fjall panics.
        for cut in [last, last + 1, last + 20, last + 45, end - 5, end - 1] {
            let mut bytes = whole.clone();
            bytes[cut..].fill(0);
            let cut_off = with(folder.path(), &path, &bytes);
            assert!(check(cut_off.path()).is_ok(), "cut at {cut} of {end}");
            assert_eq!(rows(cut_off.path()), Some(6), "cut at {cut} of {end}");
        }
    }

    #[test]
    fn a_sector_missing_in_the_last_batch_is_no_damage() {
        let (_folder, path, begins) = folder(&[9; 4_000]);
        let bytes = fs::read(&path).expect("readable");
        for (batch, harmless) in [(3, true), (1, false)] {
            let mut torn = bytes.clone();
            let sector = (begins[batch].div_ceil(SECTOR) + 1) * SECTOR;
            torn[sector..sector + SECTOR].fill(0);
            torn[begins[batch] + 13] = 0;
            assert_eq!(whole(&torn, &mut None).is_ok(), harmless, "batch {batch}");
        }
    }
}
