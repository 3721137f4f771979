//! The text that a group of texts shows: that of its oldest row.

use std::sync::Arc;

use datafusion::arrow::array::types::TimestampMicrosecondType;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature,
    Volatility,
};

use super::each_group::{passes, states_of_rows};

/// Its name in plans.
pub const OLDEST_TEXT: &str = "oldest_text";

const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// The text of the row with the earliest time; of several such rows, the first one
/// met. Rows without a time are the youngest.
pub fn oldest_text(text: Expr, time: Expr) -> Expr {
    let signature = Signature::exact(vec![DataType::Utf8View, TIME], Volatility::Immutable);
    AggregateUDF::from(OldestText { signature }).call(vec![text, time])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OldestText {
    signature: Signature,
}

impl AggregateUDFImpl for OldestText {
    fn name(&self) -> &str {
        OLDEST_TEXT
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    /// The text keeps what is known of it, such as its collation.
    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let field = Field::new(self.name(), DataType::Utf8View, true);
        Ok(field.with_metadata(fields[0].metadata().clone()).into())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(Oldest::default())))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Oldest::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field =
            |name, data_type| Field::new(format_state_name(args.name, name), data_type, true);
        Ok(vec![field("text", DataType::Utf8View).into(), field("time", TIME).into()])
    }
}

/// The oldest row of each group so far.
#[derive(Debug, Default)]
struct Oldest {
    /// No row yet is later than any.
    times: Vec<Option<i64>>,
    texts: Vec<Option<Box<str>>>,
    /// Bytes of the texts.
    bytes: usize,
}

/// The time of a row without one.
const NEVER: i64 = i64::MAX;

impl Oldest {
    fn update(
        &mut self,
        rows: &[ArrayRef],
        group_of: impl Fn(usize) -> usize,
        passes: impl Fn(usize) -> bool,
        total: usize,
    ) {
        self.times.resize(total, None);
        self.texts.resize(total, None);
        let texts = rows[0].as_string_view();
        let times = rows[1].as_primitive::<TimestampMicrosecondType>();
        for row in (0..texts.len()).filter(|row| passes(*row)) {
            let time = if times.is_null(row) { NEVER } else { times.value(row) };
            let group = group_of(row);
            if self.times[group].is_some_and(|oldest| oldest <= time) {
                continue;
            }
            self.times[group] = Some(time);
            let text = texts.is_valid(row).then(|| texts.value(row));
            let kept = &mut self.texts[group];
            if kept.as_deref() != text {
                let length = |text: Option<&str>| text.map_or(0, str::len);
                self.bytes = self.bytes + length(text) - length(kept.as_deref());
                *kept = text.map(Into::into);
            }
        }
    }

    /// The texts of some groups and their times; a group without rows has neither.
    fn taken(&mut self, emit_to: EmitTo) -> (StringViewArray, Vec<Option<i64>>) {
        let texts = emit_to.take_needed(&mut self.texts);
        self.bytes -= texts.iter().flatten().map(|text| text.len()).sum::<usize>();
        (texts.into_iter().collect(), emit_to.take_needed(&mut self.times))
    }
}

impl GroupsAccumulator for Oldest {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let passes = passes(filter);
        self.update(values, |row| groups[row], passes, total);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        // A group of which no row has passed a filter has no time.
        let times = &states[1];
        self.update(states, |row| groups[row], |row| times.is_valid(row), total);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.taken(emit_to).0))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (texts, times) = self.taken(emit_to);
        Ok(vec![Arc::new(texts), Arc::new(TimestampMicrosecondArray::from(times))])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        states_of_rows(Self::default(), values, filter)
    }

    fn size(&self) -> usize {
        self.bytes
            + self.times.capacity() * size_of::<Option<i64>>()
            + self.texts.capacity() * size_of::<Option<Box<str>>>()
    }
}

/// All rows as one group.
#[derive(Debug)]
struct One(Oldest);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(values, |_| 0, |_| true, 1);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.update(states, |_| 0, |row| states[1].is_valid(row), 1);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let text = self.0.texts.first().cloned().flatten();
        let time = self.0.times.first().copied().flatten();
        Ok(vec![
            ScalarValue::Utf8View(text.map(String::from)),
            ScalarValue::TimestampMicrosecond(time, None),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let text = self.0.texts.first().cloned().flatten();
        Ok(ScalarValue::Utf8View(text.map(String::from)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + GroupsAccumulator::size(&self.0)
    }
}
