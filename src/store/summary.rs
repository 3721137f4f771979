//! What a service knows of a sealed chunk before it reads any column: where the
//! columns stand in the file, their statistics, the pre-aggregates of the rows,
//! and the filter of their keys. It is a file beside the chunk's, with a checksum
//! in the journal; a damaged one is made anew from the chunk.
//!
//! Numbers are little-endian; texts and lists have their length (u32) in front.

use super::filter::{Filter, WORDS};
use super::statistics::ColumnStatistics;
use crate::error::{Error, Result};
use crate::value::Value;

/// Bytes of a chunk's file, and their CRC-32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub offset: u64,
    pub length: u32,
    pub checksum: u32,
}

/// A column of a chunk's file.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryColumn {
    pub name: String,
    pub part: Part,
    pub statistics: ColumnStatistics,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Parquet's metadata.
    pub footer: Part,
    /// In the order of the file.
    pub columns: Vec<SummaryColumn>,
    /// By pre-aggregate of the table: groups as an Arrow stream.
    pub counts: Vec<Vec<u8>>,
    /// Of chunks with many rows.
    pub filter: Option<Filter>,
}

impl Summary {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_part(&mut out, self.footer);
        put_length(&mut out, self.columns.len());
        for column in &self.columns {
            put_bytes(&mut out, column.name.as_bytes());
            put_part(&mut out, column.part);
            let known = column.statistics.null_count.map_or(-1, |nulls| nulls as i64);
            out.extend_from_slice(&known.to_le_bytes());
            put_value(&mut out, column.statistics.min.as_ref());
            put_value(&mut out, column.statistics.max.as_ref());
        }
        put_length(&mut out, self.counts.len());
        self.counts.iter().for_each(|counts| put_bytes(&mut out, counts));
        let words = self.filter.as_deref().unwrap_or_default();
        put_length(&mut out, words.len());
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut input = Input(bytes);
        let footer = input.part()?;
        let columns = (0..input.length()?)
            .map(|_| {
                let name = String::from_utf8(input.bytes()?.to_vec())
                    .map_err(|e| Error::data("a column's name is not UTF-8").caused_by(e))?;
                let part = input.part()?;
                let null_count = usize::try_from(i64::from_le_bytes(input.take()?)).ok();
                let (min, max) = (input.value()?, input.value()?);
                let statistics = ColumnStatistics { min, max, null_count };
                Ok(SummaryColumn { name, part, statistics })
            })
            .collect::<Result<_>>()?;
        let counts =
            (0..input.length()?).map(|_| Ok(input.bytes()?.to_vec())).collect::<Result<_>>()?;
        let filter = match input.length()? {
            0 => None,
            WORDS => {
                let words = (0..WORDS).map(|_| Ok(u64::from_le_bytes(input.take()?)));
                Some(words.collect::<Result<_>>()?)
            }
            other => return Err(Error::data(format!("a filter has {other} words"))),
        };
        Ok(Self { footer, columns, counts, filter })
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("a summary is small");
    out.extend_from_slice(&length.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_part(out: &mut Vec<u8>, part: Part) {
    out.extend_from_slice(&part.offset.to_le_bytes());
    out.extend_from_slice(&part.length.to_le_bytes());
    out.extend_from_slice(&part.checksum.to_le_bytes());
}

/// A kind, and sixteen bytes that hold every bound.
fn put_value(out: &mut Vec<u8>, value: Option<&Value>) {
    let (kind, bytes) = match value {
        Some(Value::Boolean(v)) => (1u8, i128::from(*v).to_le_bytes()),
        Some(Value::Int32(v)) => (2, i128::from(*v).to_le_bytes()),
        Some(Value::Int64(v)) => (3, i128::from(*v).to_le_bytes()),
        Some(Value::Decimal(v)) => (4, v.to_le_bytes()),
        Some(Value::Guid(v)) => (5, *v),
        Some(Value::Time(v)) => (6, i128::from(*v).to_le_bytes()),
        Some(Value::Date(v)) => (7, i128::from(*v).to_le_bytes()),
        _ => (0, [0; 16]),
    };
    out.push(kind);
    out.extend_from_slice(&bytes);
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8]> {
        let short = || Error::data("it ends too early");
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(short)?;
        self.0 = tail;
        Ok(head)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.slice(N)?.try_into().expect("the slice has the length asked for"))
    }

    fn length(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.slice(length)
    }

    fn part(&mut self) -> Result<Part> {
        Ok(Part {
            offset: u64::from_le_bytes(self.take()?),
            length: u32::from_le_bytes(self.take()?),
            checksum: u32::from_le_bytes(self.take()?),
        })
    }

    fn value(&mut self) -> Result<Option<Value>> {
        let [kind] = self.take()?;
        let bytes: [u8; 16] = self.take()?;
        let number = i128::from_le_bytes(bytes);
        Ok(Some(match kind {
            0 => return Ok(None),
            1 => Value::Boolean(number != 0),
            2 => Value::Int32(number as i32),
            3 => Value::Int64(number as i64),
            4 => Value::Decimal(number),
            5 => Value::Guid(bytes),
            6 => Value::Time(number as i64),
            7 => Value::Date(number as i32),
            other => return Err(Error::data(format!("a bound has the kind {other}"))),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::filter;
    use super::*;

    #[test]
    fn a_summary_comes_back_and_cuts_are_noticed() {
        let part = |offset| Part { offset, length: 9, checksum: 0xdead_beef };
        let column = |name: &str, bound: Option<Value>, null_count| SummaryColumn {
            name: name.into(),
            part: part(4),
            statistics: ColumnStatistics { min: bound.clone(), max: bound, null_count },
        };
        let summary = Summary {
            footer: part(1 << 40),
            columns: vec![
                column("a", Some(Value::Int32(-3)), Some(7)),
                column("b", Some(Value::Time(i64::MIN)), None),
                column("c", Some(Value::Guid([9; 16])), Some(0)),
                column("d", None, Some(1)),
            ],
            counts: vec![vec![1, 2], vec![]],
            filter: Some(filter([[1; 16], [2; 16]].into_iter())),
        };
        let bytes = summary.to_bytes();
        assert_eq!(Summary::from_bytes(&bytes).expect("whole"), summary);
        for cut in [0, 5, 40, bytes.len() - 1] {
            assert!(Summary::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
