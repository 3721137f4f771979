//! `PERCENTILE_CONT` and `PERCENTILE_DISC` of a group or of a window, and
//! PostgreSQL's `mode()`: exact, of the values that are not null.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, StringViewArray, UInt32Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{
    SortOptions, cast, concat, filter, is_not_null, partition, sort_to_indices, take,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::collation;
use super::percentile_groups::PercentileGroups;

/// The functions of this file.
pub fn all() -> impl Iterator<Item = Arc<AggregateUDF>> {
    [Kind::Between, Kind::There, Kind::MostFrequent].into_iter().map(|kind| {
        let signature = Signature::any(3, Volatility::Immutable);
        Arc::new(AggregateUDF::from(Percentile { kind, signature }))
    })
}

/// Which value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// One between two, if the share falls there.
    Between,
    /// One that is there.
    There,
    /// The one that is there most often; the share does not matter.
    MostFrequent,
}

/// `f(value, share, descending)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Percentile {
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Percentile {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Between => "sql_percentile_cont",
            Kind::There => "sql_percentile_disc",
            Kind::MostFrequent => "sql_mode",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if self.kind != Kind::Between {
            return Ok(types[0].clone());
        }
        if !types[0].is_numeric() && types[0] != DataType::Null {
            return datafusion::common::plan_err!(
                "Operand data type is invalid for PERCENTILE_CONT: it takes numbers (Msg 8117)"
            );
        }
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let values = Values {
            kind: self.kind,
            data_type: args.return_field.data_type().clone(),
            parts: Vec::new(),
            share: None,
            descending: false,
        };
        Ok(Box::new(values))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.kind == Kind::Between && !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(PercentileGroups::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let data_type = match self.kind {
            Kind::Between => DataType::Float64,
            Kind::There | Kind::MostFrequent => args.input_fields[0].data_type().clone(),
        };
        let list = DataType::List(Arc::new(Field::new_list_field(data_type, true)));
        let field =
            |name: &str, kind| Field::new(format_state_name(args.name, name), kind, true).into();
        Ok(vec![
            field("values", list),
            field("share", DataType::Float64),
            field("descending", DataType::Boolean),
        ])
    }
}

/// The share that is asked for, which is the same in all rows.
pub fn share_in(shares: &ArrayRef) -> Result<Option<f64>> {
    let shares = cast(shares, &DataType::Float64)?;
    let share = shares.as_primitive::<Float64Type>().iter().flatten().next();
    if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return exec_err!("The percentile value must be between 0 and 1 (Msg 10756)");
    }
    Ok(share)
}

/// The value at a share of numbers in their order, between the two next to it. There
/// is at least one number; they are put in another order.
pub fn between(numbers: &mut [f64], share: f64, descending: bool) -> f64 {
    let place = share * (numbers.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    let compare = |a: &f64, b: &f64| match descending {
        true => b.total_cmp(a),
        false => a.total_cmp(b),
    };
    let (_, below, after) = numbers.select_nth_unstable_by(low, compare);
    let below = *below;
    let above = match high == low {
        true => below,
        // What comes after is in no order; the next one is the first of it.
        false => after.iter().copied().min_by(compare).unwrap_or(below),
    };
    below + (place - low as f64) * (above - below)
}

/// The bytes of the values of an array, which may be a part of a larger one.
fn bytes_of(part: &ArrayRef) -> usize {
    part.to_data().get_slice_memory_size().unwrap_or_else(|_| part.get_array_memory_size())
}

#[derive(Debug)]
struct Values {
    kind: Kind,
    data_type: DataType,
    parts: Vec<ArrayRef>,
    share: Option<f64>,
    descending: bool,
}

impl Values {
    fn all(&self) -> Result<ArrayRef> {
        if self.parts.is_empty() {
            return Ok(datafusion::arrow::array::new_empty_array(&self.data_type));
        }
        let parts: Vec<&dyn Array> = self.parts.iter().map(AsRef::as_ref).collect();
        Ok(concat(&parts)?)
    }

    fn sorted(&self, values: &ArrayRef) -> Result<UInt32Array> {
        let options = SortOptions { descending: self.descending, nulls_first: false };
        Ok(sort_to_indices(&self.keys(values)?, Some(options), None)?)
    }

    /// What the values compare by.
    fn keys(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if !matches!(self.data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) {
            return Ok(values.clone());
        }
        let texts = cast(values, &DataType::Utf8View)?;
        let texts = texts.as_string_view();
        let keys: StringViewArray = texts.iter().map(|t| t.map(collation::key)).collect();
        Ok(Arc::new(keys))
    }

    /// The first of the longest row of equal values.
    fn most_frequent(&self, values: &ArrayRef, order: &UInt32Array) -> Result<ScalarValue> {
        let keys = take(&self.keys(values)?, order, None)?;
        let runs = partition(&[keys])?.ranges();
        let longest = runs.into_iter().rev().max_by_key(ExactSizeIterator::len);
        let first = longest.map_or(0, |run| order.value(run.start) as usize);
        ScalarValue::try_from_array(values, first)
    }
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.share = share_in(&values[1])?.or(self.share);
        let descending = values[2].as_boolean();
        self.descending = descending.iter().flatten().next().unwrap_or(self.descending);
        let present = filter(&values[0], &is_not_null(&values[0])?)?;
        if !present.is_empty() {
            self.parts.push(cast(&present, &self.data_type)?);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists: &ListArray = states[0].as_list();
        for list in lists.iter().flatten().filter(|list| !list.is_empty()) {
            self.parts.push(list);
        }
        let shares = states[1].as_primitive::<Float64Type>();
        self.share = shares.iter().flatten().next().or(self.share);
        let descending: &BooleanArray = states[2].as_boolean();
        self.descending = descending.iter().flatten().any(|d| d) || self.descending;
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = self.all()?;
        let field = Arc::new(Field::new_list_field(self.data_type.clone(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let list = ListArray::try_new(field, offsets, values, None)?;
        Ok(vec![
            ScalarValue::List(Arc::new(list)),
            ScalarValue::Float64(self.share),
            ScalarValue::Boolean(Some(self.descending)),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = self.all()?;
        let (Some(share), false) = (self.share, values.is_empty()) else {
            return ScalarValue::try_from(&self.data_type);
        };
        let count = values.len();
        if self.kind == Kind::Between {
            let mut numbers = values.as_primitive::<Float64Type>().values().to_vec();
            let value = between(&mut numbers, share, self.descending);
            return Ok(ScalarValue::Float64(Some(value)));
        }
        let order = self.sorted(&values)?;
        if self.kind == Kind::MostFrequent {
            return self.most_frequent(&values, &order);
        }
        // The first value whose share of rows up to it is large enough.
        let place = (share * count as f64).ceil().max(1.0) as usize;
        let index = order.value(place.min(count) - 1) as usize;
        ScalarValue::try_from_array(&values, index)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.parts.iter().map(bytes_of).sum::<usize>()
    }
}
