//! `PERCENTILE_CONT` of many groups at once.

use std::sync::Arc;

use datafusion::arrow::array::types::Float64Type;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::each_group::{passes, states_of_rows};
use super::percentile::{between, share_in};

/// The values of each group that are not null, and what is asked of them.
#[derive(Debug, Default)]
pub struct PercentileGroups {
    values: Vec<Vec<f64>>,
    share: Option<f64>,
    descending: bool,
    /// Bytes that the values take.
    bytes: usize,
}

impl PercentileGroups {
    fn push(&mut self, group: usize, values: &[f64]) {
        let kept = &mut self.values[group];
        let before = kept.capacity();
        kept.extend_from_slice(values);
        self.bytes += (kept.capacity() - before) * size_of::<f64>();
    }

    /// The values of some groups, which are given up.
    fn taken(&mut self, emit_to: EmitTo) -> Vec<Vec<f64>> {
        let taken = emit_to.take_needed(&mut self.values);
        let given: usize = taken.iter().map(Vec::capacity).sum();
        self.bytes = self.bytes.saturating_sub(given * size_of::<f64>());
        taken
    }
}

impl GroupsAccumulator for PercentileGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.values.resize_with(total, Vec::new);
        self.share = share_in(&values[1])?.or(self.share);
        let descending = values[2].as_boolean();
        self.descending = descending.iter().flatten().next().unwrap_or(self.descending);
        let numbers = cast(&values[0], &DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        let passes = passes(filter);
        for (row, group) in groups.iter().enumerate() {
            if numbers.is_valid(row) && passes(row) {
                self.push(*group, &[numbers.value(row)]);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.values.resize_with(total, Vec::new);
        let lists: &ListArray = states[0].as_list();
        let numbers = lists.values().as_primitive::<Float64Type>().values();
        for (list, group) in lists.value_offsets().windows(2).zip(groups) {
            self.push(*group, &numbers[list[0] as usize..list[1] as usize]);
        }
        let shares = states[1].as_primitive::<Float64Type>();
        self.share = shares.iter().flatten().next().or(self.share);
        let descending = states[2].as_boolean();
        self.descending |= descending.iter().flatten().any(|d| d);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (share, descending) = (self.share, self.descending);
        let value = |mut values: Vec<f64>| match share {
            Some(share) if !values.is_empty() => Some(between(&mut values, share, descending)),
            _ => None,
        };
        let values: Float64Array = self.taken(emit_to).into_iter().map(value).collect();
        Ok(Arc::new(values))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.taken(emit_to);
        let offsets = OffsetBuffer::from_lengths(groups.iter().map(Vec::len));
        let mut all = Vec::with_capacity(groups.iter().map(Vec::len).sum());
        groups.into_iter().for_each(|values| all.extend_from_slice(&values));
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        let lists = ListArray::try_new(field, offsets, Arc::new(Float64Array::from(all)), None)?;
        let shares = Float64Array::from(vec![self.share; lists.len()]);
        let descending = BooleanArray::from(vec![self.descending; lists.len()]);
        Ok(vec![Arc::new(lists), Arc::new(shares), Arc::new(descending)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        states_of_rows(Self::default(), values, filter)
    }

    fn size(&self) -> usize {
        self.bytes + self.values.capacity() * size_of::<Vec<f64>>()
    }
}
