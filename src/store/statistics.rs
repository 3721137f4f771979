//! Zone maps: what is known of a chunk's column without reading it.

use std::cmp::Ordering;

use datafusion::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::value::Value;

/// Bounds of a column of a chunk, over all its rows, the deleted ones too.
///
/// Every value that is not null lies between `min` and `max`; they need not be
/// values of the column. Of texts and floating-point numbers no bounds are kept,
/// as they are not compared byte by byte. GUIDs are ordered by their bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnStatistics {
    pub min: Option<Value>,
    pub max: Option<Value>,
    /// How many cells are null, if that is known.
    pub null_count: Option<usize>,
}

impl ColumnStatistics {
    /// The statistics of a whole column.
    pub fn of(array: &ArrayRef) -> Self {
        let bounds = bounds(array);
        let null_count = Some(array.null_count());
        match bounds {
            Some((min, max)) => Self { min: Some(min), max: Some(max), null_count },
            None => Self { null_count, ..Self::default() },
        }
    }

    /// Of a column of which every cell is null.
    pub fn all_null(rows: usize) -> Self {
        Self { null_count: Some(rows), ..Self::default() }
    }

    /// What still holds when a cell has been set to a value.
    pub fn widen(&mut self, rows: usize, value: &Value) {
        let was_empty = self.null_count == Some(rows);
        self.null_count = None;
        if *value == Value::Null {
            return;
        }
        if was_empty && is_bounded(value) {
            (self.min, self.max) = (Some(value.clone()), Some(value.clone()));
            return;
        }
        if self.min.as_ref().is_some_and(|min| compare(value, min) == Some(Ordering::Less)) {
            self.min = Some(value.clone());
        }
        if self.max.as_ref().is_some_and(|max| compare(value, max) == Some(Ordering::Greater)) {
            self.max = Some(value.clone());
        }
    }

    /// Of all rows of two chunks; `rows` are theirs.
    pub fn union(&self, other: &Self, rows: (usize, usize)) -> Self {
        let null_count = self.null_count.zip(other.null_count).map(|(a, b)| a + b);
        if self.null_count == Some(rows.0) {
            return Self { null_count, ..other.clone() };
        }
        if other.null_count == Some(rows.1) {
            return Self { null_count, ..self.clone() };
        }
        let pick = |a: &Option<Value>, b: &Option<Value>, wanted| {
            let (a, b) = (a.as_ref()?, b.as_ref()?);
            Some(if compare(a, b)? == wanted { a.clone() } else { b.clone() })
        };
        Self {
            min: pick(&self.min, &other.min, Ordering::Less),
            max: pick(&self.max, &other.max, Ordering::Greater),
            null_count,
        }
    }
}

fn is_bounded(value: &Value) -> bool {
    compare(value, value).is_some()
}

/// The order of two values of a type of which bounds are kept.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    Some(match (a, b) {
        (Value::Int32(a), Value::Int32(b)) | (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Int64(a), Value::Int64(b)) | (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Guid(a), Value::Guid(b)) => a.cmp(b),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        _ => return None,
    })
}

fn bounds(array: &ArrayRef) -> Option<(Value, Value)> {
    fn of<T: ArrowPrimitiveType>(
        array: &ArrayRef,
        value: impl Fn(T::Native) -> Value,
    ) -> Option<(Value, Value)>
    where
        T::Native: datafusion::arrow::array::ArrowNativeTypeOp,
    {
        let array = array.as_primitive::<T>();
        Some((value(compute::min(array)?), value(compute::max(array)?)))
    }
    match array.data_type() {
        DataType::Int32 => of::<Int32Type>(array, Value::Int32),
        DataType::Int64 => of::<Int64Type>(array, Value::Int64),
        DataType::Date32 => of::<Date32Type>(array, Value::Date),
        DataType::Decimal128(..) => of::<Decimal128Type>(array, Value::Decimal),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            of::<TimestampMicrosecondType>(array, Value::Time)
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            let (min, max) = (compute::min_boolean(array)?, compute::max_boolean(array)?);
            Some((Value::Boolean(min), Value::Boolean(max)))
        }
        DataType::FixedSizeBinary(16) => {
            let array = array.as_fixed_size_binary();
            let guid = |bytes: &[u8]| Some(Value::Guid(bytes.try_into().ok()?));
            let min = compute::min_fixed_size_binary(array).and_then(guid)?;
            let max = compute::max_fixed_size_binary(array).and_then(guid)?;
            Some((min, max))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int32Array, StringViewArray};

    use super::*;

    #[test]
    fn bounds_hold_after_changes() {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None, Some(7)]));
        let mut statistics = ColumnStatistics::of(&array);
        assert_eq!(statistics.min, Some(Value::Int32(5)));
        assert_eq!(statistics.max, Some(Value::Int32(7)));
        assert_eq!(statistics.null_count, Some(1));
        statistics.widen(3, &Value::Int32(9));
        assert_eq!(statistics.min, Some(Value::Int32(5)));
        assert_eq!(statistics.max, Some(Value::Int32(9)));
        assert_eq!(statistics.null_count, None);
        let mut empty = ColumnStatistics::all_null(2);
        empty.widen(2, &Value::Int32(-1));
        let both = statistics.union(&empty, (3, 2));
        assert_eq!((both.min, both.max), (Some(Value::Int32(-1)), Some(Value::Int32(9))));
    }

    #[test]
    fn texts_have_a_null_count_only() {
        let array: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let mut statistics = ColumnStatistics::of(&array);
        statistics.widen(2, &Value::Text("b".into()));
        assert_eq!(statistics, ColumnStatistics::default());
        let mut none = ColumnStatistics::all_null(2);
        none.widen(2, &Value::Text("b".into()));
        none.widen(2, &Value::Text("c".into()));
        assert_eq!(none, ColumnStatistics::default());
    }
}
