//! Aggregates of the values that differ: `SUM(DISTINCT x)`, `AVG(DISTINCT x)`.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;

/// An aggregate of all values as one of those that differ, if that is asked for.
pub fn accumulator(inner: Box<dyn Accumulator>, args: &AccumulatorArgs) -> Box<dyn Accumulator> {
    if !args.is_distinct {
        return inner;
    }
    let kind = args.expr_fields[0].data_type().clone();
    Box::new(Distinct { seen: HashSet::new(), kind, inner })
}

/// What such an aggregate keeps between its steps; none if all values count.
pub fn state_fields(args: &StateFieldsArgs) -> Option<Vec<FieldRef>> {
    if !args.is_distinct {
        return None;
    }
    let item = Field::new_list_field(args.input_fields[0].data_type().clone(), true);
    let name = format_state_name(args.name, "distinct");
    Some(vec![Field::new(name, DataType::List(Arc::new(item)), true).into()])
}

#[derive(Debug)]
struct Distinct {
    seen: HashSet<ScalarValue>,
    kind: DataType,
    inner: Box<dyn Accumulator>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in 0..values[0].len() {
            if values[0].is_valid(row) {
                self.seen.insert(ScalarValue::try_from_array(&values[0], row)?);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0].as_list::<i32>();
        lists.iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.seen.drain().collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.kind))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if !self.seen.is_empty() {
            let values = ScalarValue::iter_to_array(self.seen.drain())?;
            self.inner.update_batch(&[values])?;
        }
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.seen.capacity() * size_of::<ScalarValue>() + self.inner.size()
    }
}
