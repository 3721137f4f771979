//! Backups: everything in a data folder as of one commit, in one stream, taken while
//! the writer goes on; and a new folder made of one.
//!
//! A stream begins with [`MAGIC`]. Sections follow: a kind (u8), the lengths of name
//! and data (u32 each), name, data, and the CRC-32 of all that. The last section says
//! how many came before it, so that a stream that was cut off is no backup.
//!
//! | kind | name | data |
//! |---|---|---|
//! | `F` | of a file in `chunks/` | its bytes |
//! | `J` | of a keyspace of the journal | entries: lengths of key and value (u32 each), key, value |
//! | `E` | empty | number of sections before (u64) |
//!
//! Numbers are little-endian.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::Crc;

use super::chunk::Chunk;
use super::chunk_file::{ChunkFiles, summary_name};
use super::folder::FolderLock;
use super::journal::{JournalSnapshot, Restoring};
use crate::error::{Error, ErrorKind, Result, codes};

/// The format of backups; another one is refused.
const MAGIC: &[u8] = b"sysjob backup 1\n";

const CHUNK_FILE: u8 = b'F';
const JOURNAL: u8 = b'J';
const END: u8 = b'E';

/// Bytes of entries that go into one section.
const SECTION: usize = 1 << 20;

/// A longer section is none of ours.
const SECTION_MAX: usize = 1 << 31;

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Sealed chunks.
    pub chunks: u64,
    /// Entries of the journal.
    pub entries: u64,
    pub bytes: u64,
}

/// A data folder at one commit.
pub struct Source {
    journal: JournalSnapshot,
    files: Arc<ChunkFiles>,
    /// Who holds chunks keeps their files.
    _chunks: Vec<Arc<Chunk>>,
}

impl Source {
    pub fn new(journal: JournalSnapshot, files: Arc<ChunkFiles>, chunks: Vec<Arc<Chunk>>) -> Self {
        Self { journal, files, _chunks: chunks }
    }

    /// Writes the backup. Nobody waits for it.
    pub fn write(&self, out: &mut dyn Write) -> Result<BackedUp> {
        let mut out = Out { out, done: BackedUp::default(), sections: 0 };
        out.put(MAGIC)?;
        for entry in self.journal.chunk_entries()? {
            for name in [entry.file.name.clone(), summary_name(&entry.file.name)] {
                out.section(CHUNK_FILE, &name, &self.files.sound(&name, &entry.file)?)?;
            }
            out.done.chunks += 1;
        }
        self.journal.for_each_keyspace(|name, entries| {
            let mut data = Vec::new();
            for entry in entries {
                let (key, value) = entry?;
                for length in [key.len(), value.len()] {
                    data.extend_from_slice(&(length as u32).to_le_bytes());
                }
                data.extend_from_slice(&key);
                data.extend_from_slice(&value);
                out.done.entries += 1;
                if data.len() >= SECTION {
                    out.section(JOURNAL, name, &data)?;
                    data.clear();
                }
            }
            out.section(JOURNAL, name, &data)
        })?;
        let sections = out.sections;
        out.section(END, "", &sections.to_le_bytes())?;
        out.out.flush().map_err(unwritten)?;
        Ok(out.done)
    }
}

fn unwritten(e: std::io::Error) -> Error {
    Error::data(format!("the backup cannot be written: {e}")).caused_by(e)
}

struct Out<'a> {
    out: &'a mut dyn Write,
    done: BackedUp,
    sections: u64,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.done.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(unwritten)
    }

    fn section(&mut self, kind: u8, name: &str, data: &[u8]) -> Result<()> {
        let mut head = vec![kind];
        for length in [name.len(), data.len()] {
            head.extend_from_slice(&(length as u32).to_le_bytes());
        }
        head.extend_from_slice(name.as_bytes());
        let mut crc = Crc::new();
        crc.update(&head);
        crc.update(data);
        self.put(&head)?;
        self.put(data)?;
        self.put(&crc.sum().to_le_bytes())?;
        self.sections += 1;
        Ok(())
    }
}

/// Reads a backup, checks all of it, and hands it on as it is.
pub fn copy(input: &mut dyn Read, out: &mut dyn Write) -> Result<BackedUp> {
    out.write_all(MAGIC).map_err(unwritten)?;
    read(input, |section| out.write_all(&section.bytes).map_err(unwritten))
}

/// A section with everything that belongs to it.
struct Section {
    kind: u8,
    name: String,
    bytes: Vec<u8>,
    data: std::ops::Range<usize>,
}

impl Section {
    fn data(&self) -> &[u8] {
        &self.bytes[self.data.clone()]
    }

    /// The keys and values of a part of the journal.
    fn entries(&self) -> Option<Vec<(&[u8], &[u8])>> {
        let mut rest = self.data();
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (lengths, tail) = rest.split_at_checked(8)?;
            let length = |at: usize| lengths[at..at + 4].try_into().map(u32::from_le_bytes);
            let (key, tail) = tail.split_at_checked(length(0).ok()? as usize)?;
            let (value, tail) = tail.split_at_checked(length(4).ok()? as usize)?;
            entries.push((key, value));
            rest = tail;
        }
        Some(entries)
    }
}

fn read(input: &mut dyn Read, mut see: impl FnMut(&Section) -> Result<()>) -> Result<BackedUp> {
    let mut done = BackedUp::default();
    let mut magic = [0; MAGIC.len()];
    let got = fill(input, &mut magic)?;
    if magic != MAGIC {
        let what = if got < MAGIC.len() { "it is too short" } else { "it begins differently" };
        return Err(Error::data(format!("this is no backup of this version of sysjob: {what}")));
    }
    done.bytes += MAGIC.len() as u64;
    for number in 0u64.. {
        let at = done.bytes;
        let damaged = move |what: &str| {
            Error::data(format!("the backup is damaged: the section at byte {at} {what}"))
        };
        let section = section(input, &damaged)?;
        done.bytes += section.bytes.len() as u64;
        match section.kind {
            CHUNK_FILE if section.name.ends_with(".parquet") => done.chunks += 1,
            CHUNK_FILE => {}
            JOURNAL => {
                let entries = section.entries().ok_or_else(|| damaged("has no whole entries"))?;
                done.entries += entries.len() as u64;
            }
            END if section.data() == number.to_le_bytes() => {
                see(&section)?;
                return match fill(input, &mut [0])? {
                    0 => Ok(done),
                    _ => Err(damaged("is the last one, and more follows")),
                };
            }
            _ => return Err(damaged("is of an unknown kind")),
        }
        see(&section)?;
    }
    unreachable!("every backup ends")
}

fn section(input: &mut dyn Read, damaged: &dyn Fn(&str) -> Error) -> Result<Section> {
    let mut head = [0; 9];
    if fill(input, &mut head)? < head.len() {
        return Err(damaged("is missing: the backup was cut off"));
    }
    let length = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| head[at + n])) as usize;
    let (name, data) = (length(1), length(5));
    if name.max(data) > SECTION_MAX {
        return Err(damaged("has a wrong length"));
    }
    let mut bytes = head.to_vec();
    let whole = head.len() + name + data + 4;
    let read = input.take((whole - head.len()) as u64).read_to_end(&mut bytes).map_err(unread)?;
    if read + head.len() < whole {
        return Err(damaged("is cut off"));
    }
    let (content, sum) = bytes.split_at(whole - 4);
    let mut crc = Crc::new();
    crc.update(content);
    if crc.sum().to_le_bytes() != sum {
        return Err(damaged("has changed"));
    }
    let start = head.len() + name;
    let name = String::from_utf8(bytes[head.len()..start].to_vec());
    let name = name.map_err(|_| damaged("has an unreadable name"))?;
    Ok(Section { kind: head[0], name, bytes, data: start..start + data })
}

fn unread(e: std::io::Error) -> Error {
    Error::data(format!("the backup cannot be read: {e}")).caused_by(e)
}

/// Reads until the buffer is full or nothing is left.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unread(e)),
        }
    }
    Ok(filled)
}

/// Makes a data folder of a backup. The folder may not hold anything yet; it is empty
/// again if the backup turns out to be damaged.
pub fn restore(dir: &Path, input: &mut dyn Read) -> Result<BackedUp> {
    let failed = |e: std::io::Error| {
        Error::data(format!("the data folder '{}' cannot be made: {e}", dir.display())).caused_by(e)
    };
    fs::create_dir_all(dir).map_err(failed)?;
    if fs::read_dir(dir).map_err(failed)?.next().is_some() {
        let message =
            format!("'{}' is not empty: a backup is restored to a new folder", dir.display());
        return Err(Error::new(ErrorKind::Conflict, codes::UNEXPECTED, message));
    }
    let lock = FolderLock::take(dir)?;
    let done = fill_folder(dir, input);
    if done.is_err() {
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_dir = entry.file_type().map_err(failed)?.is_dir();
            let remove = if is_dir { fs::remove_dir_all } else { fs::remove_file };
            remove(&entry.path()).map_err(failed)?;
        }
    }
    drop(lock);
    done
}

/// The journal gets its name last: a folder without it is no data folder.
fn fill_folder(dir: &Path, input: &mut dyn Read) -> Result<BackedUp> {
    let files = ChunkFiles::open(dir)?;
    let partial = dir.join("journal.partial");
    let mut journal = Restoring::begin(&partial)?;
    let done = read(input, |section| match section.kind {
        CHUNK_FILE => files.put_new(&section.name, section.data()),
        JOURNAL => {
            let entries = section.entries().unwrap_or_default();
            journal.put(&section.name, &entries)
        }
        _ => Ok(()),
    })?;
    journal.finish()?;
    let failed = |e: std::io::Error| {
        Error::data(format!("the data folder '{}' cannot be made: {e}", dir.display())).caused_by(e)
    };
    fs::rename(&partial, dir.join("journal")).map_err(failed)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(done)
}
