//! What is known of a chunk without reading its rows: the least and the greatest
//! value of a column, its nulls, and where a GUID stands.
//!
//! It is made when it is first asked for and kept until the column changes.
//! Deleted rows are still counted in, so a zone may be wider than what is there.

use std::sync::OnceLock;

use datafusion::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;

use super::column::Column;
use crate::value::Guid;

/// Chunks with fewer rows are searched from end to end.
const INDEXED_ROWS: usize = 8 * 1024;

/// Rows that share an entry of the index, on average.
const BUCKET_ROWS: usize = 4;

/// The values of a column in one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    pub nulls: usize,
    /// The ranks of the least and the greatest value; nothing where there are no
    /// values or they have no [`rank`].
    pub range: Option<(i128, i128)>,
    /// Whether values of the column's type have a rank.
    pub ranked: bool,
}

/// The zones of a chunk's columns, and the index of one of them.
#[derive(Clone, Debug)]
pub struct Zones {
    columns: Vec<OnceLock<Zone>>,
    index: OnceLock<Index>,
}

/// Where the GUIDs of a column stand: rows by a part of the hash, with another
/// part beside each, so that few GUIDs are compared.
#[derive(Clone, Debug)]
struct Index {
    column: usize,
    /// Where the rows of a bucket begin.
    starts: Vec<u32>,
    tags: Vec<u8>,
    rows: Vec<u16>,
}

/// A number whose order is that of the values of its type.
pub fn rank(value: &ScalarValue) -> Option<i128> {
    Some(match value {
        ScalarValue::Boolean(Some(v)) => i128::from(*v),
        ScalarValue::Int32(Some(v)) | ScalarValue::Date32(Some(v)) => i128::from(*v),
        ScalarValue::Int64(Some(v)) | ScalarValue::TimestampMicrosecond(Some(v), _) => {
            i128::from(*v)
        }
        ScalarValue::Decimal128(Some(v), ..) => *v,
        ScalarValue::Float64(Some(v)) => rank_of_float(*v),
        ScalarValue::FixedSizeBinary(16, Some(bytes)) => {
            rank_of_guid(bytes.as_slice().try_into().ok()?)
        }
        _ => return None,
    })
}

/// The value of a type that has a rank.
pub fn value_of(rank: i128, data_type: &DataType) -> Option<ScalarValue> {
    let narrow = |rank: i128| i64::try_from(rank).ok();
    Some(match data_type {
        DataType::Boolean => ScalarValue::Boolean(Some(rank != 0)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(rank).ok()?)),
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(rank).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(narrow(rank)?)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(narrow(rank)?), zone.clone())
        }
        _ => return None,
    })
}

/// Floats in the total order that comparisons of arrays use.
fn rank_of_float(value: f64) -> i128 {
    let bits = value.to_bits().cast_signed();
    i128::from(bits ^ (((bits >> 63).cast_unsigned() >> 1).cast_signed()))
}

/// GUIDs in the order of their bytes.
fn rank_of_guid(guid: Guid) -> i128 {
    (u128::from_be_bytes(guid) ^ (1 << 127)).cast_signed()
}

impl Zones {
    pub fn new(columns: usize) -> Self {
        Self { columns: vec![OnceLock::new(); columns], index: OnceLock::new() }
    }

    /// Forgets what was known of a column, because it changes.
    pub fn forget(&mut self, column: usize) {
        self.columns[column] = OnceLock::new();
        if self.index.get().is_some_and(|index| index.column == column) {
            self.index = OnceLock::new();
        }
    }

    /// The zone of a column with so many rows.
    pub fn zone(&self, index: usize, column: &Column, rows: usize) -> Zone {
        match column {
            None => Zone { nulls: rows, range: None, ranked: true },
            Some(array) => *self.columns[index].get_or_init(|| Zone::of(array)),
        }
    }

    /// Calls back with the rows of a column of GUIDs that have a value.
    pub fn find(&self, index: usize, column: &Column, guid: &Guid, mut found: impl FnMut(usize)) {
        let Some(array) = column else { return };
        let guids = array.as_fixed_size_binary();
        let is = |row: usize| guids.value(row) == guid && guids.is_valid(row);
        if array.len() < INDEXED_ROWS || array.len() > usize::from(u16::MAX) + 1 {
            return (0..array.len()).filter(|row| is(*row)).for_each(found);
        }
        let known = self.index.get_or_init(|| Index::of(index, array));
        if known.column != index {
            return (0..array.len()).filter(|row| is(*row)).for_each(found);
        }
        known.candidates(guid).filter(|row| is(*row)).for_each(&mut found);
    }
}

impl Zone {
    fn of(array: &ArrayRef) -> Self {
        let (ranked, range) = match array.data_type() {
            DataType::Boolean => {
                let mut values = array.as_boolean().iter().flatten();
                let first = values.next().map(|first| (first, first));
                let range = values.fold(first, |range, v| range.map(|(a, b)| (a & v, b | v)));
                (true, range.map(|(a, b)| (i128::from(a), i128::from(b))))
            }
            DataType::Int32 => (true, range::<Int32Type, _>(array, |v| i128::from(*v))),
            DataType::Int64 => (true, range::<Int64Type, _>(array, |v| i128::from(*v))),
            DataType::Date32 => (true, range::<Date32Type, _>(array, |v| i128::from(*v))),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                (true, range::<TimestampMicrosecondType, _>(array, |v| i128::from(*v)))
            }
            DataType::Decimal128(..) => (true, range::<Decimal128Type, _>(array, |v| *v)),
            DataType::Float64 => (true, range::<Float64Type, _>(array, |v| rank_of_float(*v))),
            DataType::FixedSizeBinary(16) => {
                let guids = array.as_fixed_size_binary().iter().flatten();
                let ranks = guids.filter_map(|v| Some(rank_of_guid(v.try_into().ok()?)));
                (true, ends(ranks))
            }
            _ => (false, None),
        };
        Self { nulls: array.null_count(), range, ranked }
    }
}

fn ends<T: Copy + Ord>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(a, b), v| (a.min(v), b.max(v))))
}

fn range<T: ArrowPrimitiveType, R: Copy + Ord>(
    array: &ArrayRef,
    rank: impl Fn(&T::Native) -> R,
) -> Option<(R, R)> {
    let array = array.as_primitive::<T>();
    match array.null_count() {
        0 => ends(array.values().iter().map(rank)),
        _ => ends(array.iter().flatten().map(|v| rank(&v))),
    }
}

impl Index {
    fn of(column: usize, array: &ArrayRef) -> Self {
        let guids = array.as_fixed_size_binary();
        let buckets = (array.len() / BUCKET_ROWS).max(1);
        let there = || (0..array.len()).filter(|row| guids.is_valid(*row));
        let hash = |row: usize| hash(guids.value(row));
        let mut starts = vec![0_u32; buckets + 1];
        there().for_each(|row| starts[bucket(hash(row), buckets) + 1] += 1);
        for bucket in 0..buckets {
            starts[bucket + 1] += starts[bucket];
        }
        let mut next = starts.clone();
        let (mut tags, mut rows) = (vec![0; array.len()], vec![0; array.len()]);
        for row in there() {
            let hash = hash(row);
            let place = &mut next[bucket(hash, buckets)];
            tags[*place as usize] = tag(hash);
            rows[*place as usize] = u16::try_from(row).expect("a chunk is small");
            *place += 1;
        }
        Self { column, starts, tags, rows }
    }

    fn candidates(&self, guid: &Guid) -> impl Iterator<Item = usize> {
        let hash = hash(guid);
        let bucket = bucket(hash, self.starts.len() - 1);
        let places = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        let same = places.filter(move |place| self.tags[*place] == tag(hash));
        same.map(|place| usize::from(self.rows[place]))
    }
}

/// Mixes both halves: some makers of GUIDs let only one of them vary.
fn hash(guid: &[u8]) -> u64 {
    let half = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let mixed = (half(&guid[..8]) ^ half(&guid[8..]).rotate_left(32))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 29
}

fn bucket(hash: u64, buckets: usize) -> usize {
    // The high half of the hash, scaled to the number of buckets.
    ((hash >> 32) as usize * buckets) >> 32
}

fn tag(hash: u64) -> u8 {
    hash as u8
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, StringViewArray,
    };

    use super::*;

    fn zone(array: ArrayRef) -> Zone {
        let rows = array.len();
        Zones::new(1).zone(0, &Some(array), rows)
    }

    #[test]
    fn a_zone_has_the_ends_and_the_nulls_of_a_column() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None, Some(-3)]));
        assert_eq!(zone(numbers), Zone { nulls: 1, range: Some((-3, 7)), ranked: true });
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, true]));
        assert_eq!(zone(flags).range, Some((1, 1)));
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["a"]));
        assert!(!zone(texts).ranked);
        let nothing = Zones::new(1).zone(0, &None, 5);
        assert_eq!(nothing, Zone { nulls: 5, range: None, ranked: true });
    }

    #[test]
    fn ranks_have_the_order_of_their_values() {
        let floats = [f64::NEG_INFINITY, -2.5, -0.0, 0.0, 1e-300, 3.0, f64::INFINITY];
        let ranks: Vec<_> = floats.iter().map(|v| rank(&ScalarValue::Float64(Some(*v)))).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        let guids = [[0; 16], [1; 16], [127; 16], [128; 16], [255; 16]].map(rank_of_guid);
        assert!(guids.is_sorted_by(|a, b| a < b));
        let array: ArrayRef = Arc::new(Float64Array::from(vec![2.0, -1.5]));
        let range = (rank_of_float(-1.5), rank_of_float(2.0));
        assert_eq!(zone(array).range, Some(range));
    }

    #[test]
    fn guids_are_found_in_small_and_in_large_chunks() {
        for rows in [5_usize, INDEXED_ROWS, 65_536] {
            let guid = |n: usize| (n as u128 * 7).to_be_bytes();
            // The last row repeats the first, one in ten is null.
            let value = |n: usize| (n % 10 != 3).then(|| guid(if n == rows - 1 { 0 } else { n }));
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                (0..rows).map(value),
                16,
            );
            let column: Column = Some(Arc::new(array.expect("16 bytes each")));
            let zones = Zones::new(1);
            let find = |guid: Guid| {
                let mut found = Vec::new();
                zones.find(0, &column, &guid, |row| found.push(row));
                found
            };
            assert_eq!(find(guid(2)), [2]);
            assert_eq!(find(guid(0)), [0, rows - 1]);
            assert!(find(guid(3)).is_empty(), "null");
            assert!(find([9; 16]).is_empty());
        }
    }

    #[test]
    fn a_changed_column_is_looked_at_again() {
        let column = |last: i32| -> Column { Some(Arc::new(Int32Array::from(vec![1, last]))) };
        let mut zones = Zones::new(1);
        assert_eq!(zones.zone(0, &column(2), 2).range, Some((1, 2)));
        assert_eq!(zones.zone(0, &column(9), 2).range, Some((1, 2)), "kept");
        zones.forget(0);
        assert_eq!(zones.zone(0, &column(9), 2).range, Some((1, 9)));
    }
}
