//! What is known of a chunk's column without reading it, with values as numbers
//! of one type, whose order is that of the values.

use datafusion::scalar::ScalarValue;

use crate::store::Chunk;
use crate::value::{Guid, Value};

/// The values of a column in one chunk; deleted rows are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// How many cells are null, if that is known.
    pub nulls: Option<usize>,
    /// Ranks between which all values lie, if that is known.
    pub range: Option<(i128, i128)>,
}

impl Zone {
    /// What is known of a column.
    pub fn of(chunk: &Chunk, column: usize) -> Self {
        let Some(known) = chunk.statistics(column) else { return Self::default() };
        let ends = known.min.as_ref().zip(known.max.as_ref());
        let range = ends.and_then(|(min, max)| Some((rank_of(min)?, rank_of(max)?)));
        Self { nulls: known.null_count, range }
    }

    /// Whether no cell of the chunk has a value.
    pub fn is_empty(&self, chunk: &Chunk) -> bool {
        self.nulls == Some(chunk.rows())
    }

    /// Whether the chunk may have a value between two ranks.
    pub fn may_hold(&self, chunk: &Chunk, from: i128, to: i128) -> bool {
        !self.is_empty(chunk) && self.range.is_none_or(|(least, most)| from <= most && least <= to)
    }
}

/// The rank of a value.
fn rank_of(value: &Value) -> Option<i128> {
    Some(match value {
        Value::Boolean(v) => i128::from(*v),
        Value::Int32(v) | Value::Date(v) => i128::from(*v),
        Value::Int64(v) | Value::Time(v) => i128::from(*v),
        Value::Decimal(v) => *v,
        Value::Guid(v) => rank_of_guid(*v),
        Value::Null | Value::Float64(_) | Value::Text(_) => return None,
    })
}

/// The rank of a value in a plan; its type has to be the column's.
pub fn rank(value: &ScalarValue) -> Option<i128> {
    Some(match value {
        ScalarValue::Boolean(Some(v)) => i128::from(*v),
        ScalarValue::Int32(Some(v)) | ScalarValue::Date32(Some(v)) => i128::from(*v),
        ScalarValue::Int64(Some(v)) | ScalarValue::TimestampMicrosecond(Some(v), _) => {
            i128::from(*v)
        }
        ScalarValue::Decimal128(Some(v), ..) => *v,
        ScalarValue::FixedSizeBinary(16, Some(bytes)) => {
            rank_of_guid(bytes.as_slice().try_into().ok()?)
        }
        _ => return None,
    })
}

/// GUIDs in the order of their bytes.
fn rank_of_guid(guid: Guid) -> i128 {
    (u128::from_be_bytes(guid) ^ (1 << 127)).cast_signed()
}

/// The GUID of a rank.
pub fn guid_of(rank: i128) -> Guid {
    (rank.cast_unsigned() ^ (1 << 127)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_have_the_order_of_their_values() {
        let guids = [[0; 16], [1; 16], [127; 16], [128; 16], [255; 16]];
        assert!(guids.map(rank_of_guid).is_sorted_by(|a, b| a < b));
        assert_eq!(guids.map(|guid| guid_of(rank_of_guid(guid))), guids);
        let scalar = ScalarValue::TimestampMicrosecond(Some(-5), None);
        assert_eq!(rank(&scalar), rank_of(&Value::Time(-5)));
        assert_eq!(rank_of(&Value::Float64(1.0)), None);
    }
}
