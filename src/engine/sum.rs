//! Sums that are errors where they do not fit, as SQL Server and FetchXML have it,
//! rather than wrong numbers: of whole numbers of 64 bits and of money.

use std::sync::Arc;

use datafusion::arrow::array::types::{Decimal128Type, Int64Type};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::sum_checked;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::distinct;
use super::each_group::{passes, states_of_rows};
use super::functions::SqlType;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WholeSum {
    /// Whether the sum has to fit the type `int`.
    int: bool,
    signature: Signature,
}

impl WholeSum {
    /// The sum of `int` and smaller, which is an `int` in T-SQL.
    pub fn of_int() -> Self {
        Self { int: true, ..Self::default() }
    }

    /// Whether the sum is an `int`.
    pub fn is_int(&self) -> bool {
        self.int
    }
}

impl Default for WholeSum {
    fn default() -> Self {
        let signature = Signature::exact(vec![DataType::Int64], Volatility::Immutable);
        Self { int: false, signature }
    }
}

impl AggregateUDFImpl for WholeSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(distinct::accumulator(Box::new(Total { sum: None, int: self.int }), &args))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct && sum_udaf().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match self.int {
            true => Box::new(IntTotals(sum_udaf().create_groups_accumulator(args)?)),
            false => Box::new(Totals::of(None)),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if let Some(fields) = distinct::state_fields(&args) {
            return Ok(fields);
        }
        let name = format_state_name(args.name, "sum");
        Ok(vec![Field::new(name, DataType::Int64, true).into()])
    }
}

/// The sum so far; none of nothing.
#[derive(Debug)]
struct Total {
    sum: Option<i64>,
    int: bool,
}

/// The error of a sum that its type cannot hold.
pub(super) fn overflow(int: bool) -> DataFusionError {
    let name = if int { "int" } else { "bigint" };
    exec_datafusion_err!(
        "Arithmetic overflow error converting expression to data type {name} (Msg 8115)"
    )
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let overflow = || overflow(self.int);
        let values = values[0].as_primitive::<Int64Type>();
        let Some(sum) = sum_checked(values).map_err(|_| overflow())? else { return Ok(()) };
        self.sum = Some(self.sum.unwrap_or(0).checked_add(sum).ok_or_else(overflow)?);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(self.sum)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.int && self.sum.is_some_and(|sum| i32::try_from(sum).is_err()) {
            return Err(overflow(true));
        }
        Ok(ScalarValue::Int64(self.sum))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Sums of many groups at once, where every sum fits in 64 bits anyway.
struct IntTotals(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for IntTotals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.0.update_batch(values, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.0.evaluate(emit_to)?;
        let wide = |sum: i64| i32::try_from(sum).is_err();
        match sums.as_primitive::<Int64Type>().iter().flatten().any(wide) {
            true => Err(overflow(true)),
            false => Ok(sums),
        }
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.0.merge_batch(values, groups, total)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// Sums of many groups at once, any of which may be too great.
#[derive(Debug)]
pub(super) struct Totals {
    sums: Vec<Option<i64>>,
    of_nothing: Option<i64>,
}

impl Totals {
    /// Without groups yet.
    pub(super) fn of(of_nothing: Option<i64>) -> Self {
        Self { sums: Vec::new(), of_nothing }
    }
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.sums.resize(total, self.of_nothing);
        let values = values[0].as_primitive::<Int64Type>();
        let passes = passes(filter);
        for (row, group) in groups.iter().enumerate() {
            if values.is_valid(row) && passes(row) {
                let sum = self.sums[*group].unwrap_or(0).checked_add(values.value(row));
                self.sums[*group] = Some(sum.ok_or_else(|| overflow(false))?);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(states, groups, None, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(emit_to.take_needed(&mut self.sums))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        states_of_rows(Self::of(self.of_nothing), values, filter)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Option<i64>>()
    }
}

/// The digits of an amount of money.
const MONEY_DIGITS: u8 = 19;
const MONEY: DataType = DataType::Decimal128(MONEY_DIGITS, 4);

/// The sum of amounts of money, which is one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct MoneySum {
    signature: Signature,
}

impl Default for MoneySum {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![MONEY], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for MoneySum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(MONEY)
    }

    fn return_field(&self, _: &[FieldRef]) -> Result<FieldRef> {
        Ok(SqlType::Money.field(self.name()))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(distinct::accumulator(Box::new(Amount::default()), &args))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if let Some(fields) = distinct::state_fields(&args) {
            return Ok(fields);
        }
        Ok(vec![Field::new(format_state_name(args.name, "sum"), MONEY, true).into()])
    }
}

/// Amounts have so few digits that no sum of them fills 128 bits.
#[derive(Debug, Default)]
struct Amount {
    sum: i128,
    /// The amounts in the sum.
    count: usize,
}

impl Accumulator for Amount {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum += value;
            self.count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum -= value;
            self.count -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.sum.unsigned_abs() >= 10_u128.pow(u32::from(MONEY_DIGITS)) {
            return exec_err!(
                "Arithmetic overflow error converting expression to data type money (Msg 8115)"
            );
        }
        let sum = (self.count > 0).then_some(self.sum);
        Ok(ScalarValue::Decimal128(sum, MONEY_DIGITS, 4))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
