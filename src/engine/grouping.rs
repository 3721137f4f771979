//! Rows of a chunk that stand for all rows with the same values in some columns, and
//! how many those are. Columns of a sealed chunk are kept as narrow numbers, so rows
//! are told apart by numbers, whatever the columns hold.

use datafusion::arrow::array::types::{
    ArrowPrimitiveType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use datafusion::arrow::compute::{max, take};
use datafusion::arrow::datatypes::{ArrowNativeType, DataType};
use datafusion::common::{DataFusionError, Result};

use crate::error::Error;
use crate::store::Chunk;

/// Combinations of values, for each row, that are kept apart by their place in a table.
const PLACES: usize = 4;

/// A row for each group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// The columns whose values make a group.
    pub by: Vec<usize>,
    /// The time by which the oldest row of a group stands for it; the first row
    /// otherwise.
    pub oldest: Option<usize>,
}

/// Rows that stand for groups, rising, and the number of rows of each.
pub struct Representatives {
    pub rows: UInt32Array,
    pub counts: Int64Array,
}

impl Grouping {
    /// The groups of some rows of a chunk, or of all; nothing if they cannot be told
    /// apart by narrow numbers or are hardly fewer than the rows.
    pub fn representatives(
        &self,
        chunk: &Chunk,
        rows: Option<&UInt32Array>,
    ) -> Result<Option<Representatives>> {
        let length = rows.map_or(chunk.rows(), UInt32Array::len);
        let of = |array: &ArrayRef| match rows {
            Some(rows) => take(array, rows, None),
            None => Ok(array.clone()),
        };
        let damaged = |e: Error| DataFusionError::External(Box::new(e));
        let mut groups = Groups { of: vec![0; length], count: 1 };
        for column in &self.by {
            let Some(encoded) = chunk.encoded(*column).map_err(damaged)? else { continue };
            let Some(codes) = encoded.codes() else { return Ok(None) };
            if !groups.split(&of(&codes)?) {
                return Ok(None);
            }
        }
        groups.number();
        if groups.count * 2 > length {
            return Ok(None);
        }
        let mut ages = None;
        if let Some(column) = self.oldest
            && let Some(encoded) = chunk.encoded(column).map_err(damaged)?
        {
            let Some(ranks) = encoded.ranks() else { return Ok(None) };
            ages = Some(ages_of(&of(ranks)?));
        }
        let found = groups.representatives(ages.as_deref());
        let row = |place: u32| rows.map_or(place, |rows| rows.value(place as usize));
        Ok(Some(Representatives {
            rows: found.iter().map(|(place, _)| row(*place)).collect::<Vec<_>>().into(),
            counts: found.iter().map(|(_, count)| *count).collect::<Vec<_>>().into(),
        }))
    }
}

/// The group of each row.
struct Groups {
    of: Vec<u32>,
    /// Groups are below this.
    count: usize,
}

impl Groups {
    /// Splits groups by the values of one more column; whether there is room for them.
    fn split(&mut self, codes: &ArrayRef) -> bool {
        match codes.data_type() {
            DataType::UInt8 => self.split_by::<UInt8Type>(codes),
            _ => self.split_by::<UInt16Type>(codes),
        }
    }

    fn split_by<T: ArrowPrimitiveType>(&mut self, codes: &ArrayRef) -> bool {
        let codes = codes.as_primitive::<T>();
        let Some(most) = max(codes) else { return true };
        // One more for null.
        let null = most.as_usize() + 1;
        let width = null + usize::from(codes.null_count() > 0);
        let most = self.of.len() * PLACES;
        if self.count * width > most {
            self.number();
            if self.count * width > most {
                return false;
            }
        }
        let rows = self.of.iter_mut().zip(codes.values());
        if codes.null_count() == 0 {
            rows.for_each(|(group, code)| *group = *group * width as u32 + code.as_usize() as u32);
        } else {
            for (row, (group, code)) in rows.enumerate() {
                let code = if codes.is_null(row) { null } else { code.as_usize() };
                *group = *group * width as u32 + code as u32;
            }
        }
        self.count *= width;
        true
    }

    /// Numbers the groups that there are, in the order of their first rows.
    fn number(&mut self) {
        const NONE: u32 = u32::MAX;
        let mut numbers = vec![NONE; self.count];
        let mut next = 0;
        for group in &mut self.of {
            let number = &mut numbers[*group as usize];
            if *number == NONE {
                *number = next;
                next += 1;
            }
            *group = *number;
        }
        self.count = next as usize;
    }

    /// The row that stands for each group, and the number of its rows. Groups are
    /// numbered.
    fn representatives(&self, ages: Option<&[u64]>) -> Vec<(u32, i64)> {
        let mut found: Vec<(u32, i64)> = Vec::with_capacity(self.count);
        for (row, group) in self.of.iter().enumerate() {
            match found.get_mut(*group as usize) {
                None => found.push((row as u32, 1)),
                Some((stands, count)) => {
                    *count += 1;
                    if ages.is_some_and(|ages| ages[row] < ages[*stands as usize]) {
                        *stands = row as u32;
                    }
                }
            }
        }
        if ages.is_some() {
            found.sort_unstable();
        }
        found
    }
}

/// Numbers in the order of times, null being the last.
fn ages_of(ranks: &ArrayRef) -> Vec<u64> {
    fn of<T: ArrowPrimitiveType>(ranks: &ArrayRef) -> Vec<u64> {
        let ranks = ranks.as_primitive::<T>();
        let age = |rank: Option<T::Native>| rank.map_or(u64::MAX, |rank| rank.as_usize() as u64);
        match ranks.null_count() {
            0 => ranks.values().iter().map(|rank| rank.as_usize() as u64).collect(),
            _ => ranks.iter().map(age).collect(),
        }
    }
    match ranks.data_type() {
        DataType::UInt8 => of::<UInt8Type>(ranks),
        DataType::UInt16 => of::<UInt16Type>(ranks),
        DataType::UInt32 => of::<UInt32Type>(ranks),
        _ => of::<UInt64Type>(ranks),
    }
}
