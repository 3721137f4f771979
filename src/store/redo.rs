//! What each group of commits does to rows that no chunk file has, as one entry of the
//! journal.
//!
//! Such rows are read again only after a restart, and soon stand in chunk files. So
//! they need no key of their own: the entries are replayed in their order, and the
//! oldest go when their rows have other places.
//!
//! An entry is a list of records: kind (u8), table (u16), row (u64), and but for a row
//! that is gone the length of its cells (u32) and these; numbers are little-endian.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::journal::RowKey;
use crate::error::{Error, Result};

const ROW: u8 = 0;
const CHANGE: u8 = 1;
const GONE: u8 = 2;

/// Bytes beyond which another entry begins: lengths have to fit into 32 bits.
const ENTRY: usize = 64 << 20;

/// Row numbers that lie no farther apart count as one range.
const GAP: u64 = 64;

/// The oldest entries go when no more than one row in so many has no other place yet.
const SPARSE: u64 = 8;

/// So many rows are given another place at once for that.
const MOVED_MAX: u64 = 4096;

/// Rows of a table with neighbouring numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    pub table: u16,
    pub numbers: Range<u64>,
}

/// What one group of commits does: an entry, or several if it is very large.
#[derive(Default)]
pub struct Records {
    entries: Vec<(Vec<u8>, Vec<Rows>)>,
}

impl Records {
    /// The whole row; what was said of it before no longer counts.
    pub fn put_row(&mut self, row: RowKey, cells: &[u8]) {
        self.put(ROW, row, cells);
    }

    /// Some of its columns, which take the place of those of earlier changes.
    pub fn put_change(&mut self, row: RowKey, cells: &[u8]) {
        self.put(CHANGE, row, cells);
    }

    pub fn delete(&mut self, (table, number): RowKey) {
        self.head(GONE, (table, number));
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn put(&mut self, kind: u8, row: RowKey, cells: &[u8]) {
        let bytes = self.head(kind, row);
        bytes.extend_from_slice(&(cells.len() as u32).to_le_bytes());
        bytes.extend_from_slice(cells);
    }

    fn head(&mut self, kind: u8, (table, number): RowKey) -> &mut Vec<u8> {
        if self.entries.last().is_none_or(|(bytes, _)| bytes.len() > ENTRY) {
            self.entries.push((Vec::new(), Vec::new()));
        }
        let last = self.entries.len() - 1;
        let (bytes, rows) = &mut self.entries[last];
        bytes.push(kind);
        bytes.extend_from_slice(&table.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
        note(rows, (table, number));
        bytes
    }
}

fn note(rows: &mut Vec<Rows>, (table, number): RowKey) {
    match rows.last_mut() {
        Some(Rows { table: last, numbers })
            if *last == table && numbers.start <= number && number < numbers.end + GAP =>
        {
            numbers.end = numbers.end.max(number + 1);
        }
        _ => rows.push(Rows { table, numbers: number..number + 1 }),
    }
}

/// What the entries say of a row.
#[derive(Default)]
pub struct Replayed {
    /// The whole row; nothing where they say nothing of it.
    pub row: Option<Outcome>,
    /// Its columns that have changed since.
    pub change: Option<Vec<u8>>,
}

/// What became of a row.
pub enum Outcome {
    Cells(Vec<u8>),
    Gone,
}

/// The rows that entries say something of.
pub type ReplayedRows = BTreeMap<RowKey, Replayed>;

/// An entry of the journal.
struct Entry {
    number: u64,
    bytes: usize,
    rows: Vec<Rows>,
}

/// The entries of a journal, oldest first.
#[derive(Default)]
pub struct Redo {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the first one of the last group, which may be on its way to the
    /// disk.
    last: u64,
    /// The number of the next one.
    next: u64,
}

impl Redo {
    /// Takes in an entry that the journal has, and replays it.
    pub fn replay(&mut self, number: u64, bytes: &[u8], rows: &mut ReplayedRows) -> Result<()> {
        let mut input = Input(bytes);
        let mut seen = Vec::new();
        while !input.0.is_empty() {
            let unreadable = || Error::data("a row in the journal is unreadable");
            let (kind, key, cells) = input.record().ok_or_else(unreadable)?;
            note(&mut seen, key);
            let row = rows.entry(key).or_default();
            match kind {
                CHANGE => row.change = Some(cells.to_vec()),
                ROW => *row = Replayed { row: Some(Outcome::Cells(cells.to_vec())), change: None },
                _ => *row = Replayed { row: Some(Outcome::Gone), change: None },
            }
        }
        self.last = number;
        self.push(number, bytes.len(), seen);
        Ok(())
    }

    /// Adds the entries of a group; their numbers and bytes.
    pub fn add(&mut self, records: Records) -> Vec<(u64, Vec<u8>)> {
        if !records.is_empty() {
            self.last = self.next;
        }
        let numbered = records.entries.into_iter().map(|(bytes, rows)| {
            let number = self.next;
            self.push(number, bytes.len(), rows);
            (number, bytes)
        });
        numbered.collect()
    }

    fn push(&mut self, number: u64, bytes: usize, rows: Vec<Rows>) {
        self.entries.push_back(Entry { number, bytes, rows });
        self.bytes += bytes;
        self.next = number + 1;
    }

    /// Those that are durable.
    fn durable(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().take_while(|entry| entry.number < self.last)
    }

    /// How many of the oldest entries there are beyond so many bytes.
    pub fn beyond(&self, max: usize) -> usize {
        let mut left = self.bytes;
        let beyond = self.durable().take_while(|entry| {
            let is = left > max;
            left -= entry.bytes;
            is
        });
        beyond.count()
    }

    /// How many of the oldest entries say hardly anything of open rows.
    pub fn sparse(&self, is_open: impl Fn(&Rows) -> bool) -> usize {
        let (mut open, mut all, mut found) = (0, 0, 0);
        for (index, entry) in self.durable().enumerate() {
            for rows in &entry.rows {
                let count = rows.numbers.end - rows.numbers.start;
                all += count;
                open += if is_open(rows) { count } else { 0 };
            }
            if open > MOVED_MAX {
                break;
            }
            if open * SPARSE <= all {
                found = index + 1;
            }
        }
        found
    }

    /// Takes out the oldest entry: its number and its rows.
    pub fn take_oldest(&mut self) -> Option<(u64, Vec<Rows>)> {
        let Entry { number, bytes, rows } = self.entries.pop_front()?;
        self.bytes -= bytes;
        Some((number, rows))
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    fn record(&mut self) -> Option<(u8, RowKey, &'a [u8])> {
        let [kind] = self.array()?;
        let key = (u16::from_le_bytes(self.array()?), u64::from_le_bytes(self.array()?));
        let length = match kind {
            ROW | CHANGE => u32::from_le_bytes(self.array()?) as usize,
            GONE => 0,
            _ => return None,
        };
        let (cells, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((kind, key, cells))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: impl IntoIterator<Item = u64>) -> Records {
        let mut records = Records::default();
        numbers.into_iter().for_each(|number| records.put_row((7, number), &[1]));
        records
    }

    #[test]
    fn the_last_word_counts() {
        let mut records = Records::default();
        records.put_row((7, 1), b"row");
        records.put_change((7, 1), b"first");
        records.put_change((7, 1), b"second");
        records.put_row((7, 2), b"row");
        records.delete((7, 2));
        records.put_change((7, 3), b"changed");
        records.put_row((7, 3), b"anew");
        records.put_change((8, 3), b"elsewhere");
        let mut replayed = ReplayedRows::new();
        for (number, bytes) in Redo::default().add(records) {
            Redo::default().replay(number, &bytes, &mut replayed).expect("readable");
        }
        let said: Vec<_> = replayed
            .into_iter()
            .map(|(key, said)| {
                let row = match said.row {
                    Some(Outcome::Cells(cells)) => Some(String::from_utf8(cells).expect("text")),
                    Some(Outcome::Gone) => Some("gone".to_owned()),
                    None => None,
                };
                (key, row, said.change.map(|cells| String::from_utf8(cells).expect("text")))
            })
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            said,
            [
                ((7, 1), text("row"), text("second")),
                ((7, 2), text("gone"), None),
                ((7, 3), text("anew"), None),
                ((8, 3), None, text("elsewhere")),
            ]
        );
    }

    #[test]
    fn every_cut_is_noticed_but_between_records() {
        let (_, bytes) = Redo::default().add(rows([1, 2])).remove(0);
        for cut in 1..bytes.len() {
            let replayed = Redo::default().replay(0, &bytes[..cut], &mut ReplayedRows::new());
            assert_eq!(replayed.is_ok(), cut == bytes.len() / 2, "{cut}");
        }
    }

    #[test]
    fn a_large_group_has_several_entries_none_of_which_goes_before_it_is_durable() {
        let (mut redo, mut large) = (Redo::default(), Records::default());
        redo.add(rows([0]));
        let cells = vec![0; ENTRY / 2 + 1];
        (1..=5).for_each(|number| large.put_row((7, number), &cells));
        let numbers: Vec<u64> = redo.add(large).iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!((redo.beyond(0), redo.sparse(|_| false)), (1, 1));
        redo.add(rows([6]));
        assert_eq!((redo.beyond(0), redo.sparse(|_| false)), (4, 4));
    }

    #[test]
    fn old_entries_go_when_few_of_their_rows_are_open() {
        let mut redo = Redo::default();
        for entry in [0..100, 100..120, 120..500, 500..600] {
            redo.add(rows(entry));
        }
        let open = |from: u64| move |rows: &Rows| rows.numbers.end > from;
        assert_eq!(redo.sparse(open(0)), 0);
        // Twenty of the first 120.
        assert_eq!(redo.sparse(open(110)), 1);
        assert_eq!(redo.sparse(|rows| rows.numbers.start == 100), 3);
        // Never the last one.
        assert_eq!(redo.sparse(|_| false), 3);
        assert_eq!(redo.take_oldest(), Some((0, vec![Rows { table: 7, numbers: 0..100 }])));
    }
}
