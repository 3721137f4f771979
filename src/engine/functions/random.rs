//! `RAND`, `NEWID` and PostgreSQL's `random()`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, FixedSizeBinaryBuilder, Float64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use uuid::Uuid;

use super::arguments::Kind::Int;
use super::definition::{Call, Definition, FLOAT};

pub(super) static FUNCTIONS: &[Definition] = &[Definition {
    name: "seeded_rand",
    arguments: &[Int],
    least: 1,
    most: 1,
    gives: FLOAT,
    compute: seeded,
}];

/// `RAND(seed)`: the first number of the combined generator of L'Ecuyer that
/// SQL Server uses, so that a seed gives the number that it gives there.
fn seeded(call: &Call) -> Result<ArrayRef> {
    let seed = call.integers(0)?;
    call.float(|i| Ok(seed.get(i).map(from_seed)))
}

fn from_seed(seed: i64) -> f64 {
    const MODULI: [i64; 2] = [2_147_483_563, 2_147_483_399];
    let seed = if seed == 0 { 12_345 } else { seed.unsigned_abs() as i64 & i64::from(u32::MAX) };
    let first = 40_014 * seed % MODULI[0];
    let second = 40_692 * 67_890 % MODULI[1];
    let difference = first - second;
    let number = if difference < 1 { difference + MODULI[0] - 1 } else { difference };
    number as f64 * 4.656_613e-10
}

/// A number from 0 up to 1 from the bits of a random GUID.
fn random() -> f64 {
    let bits = Uuid::new_v4().as_u128() >> 64;
    // The lowest 16 of these bits hold the version.
    (bits >> 16) as f64 / (1_u64 << 48) as f64
}

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    /// One value a query.
    Rand,
    /// One value a row.
    Random,
    NewId,
}

/// A function without arguments whose values nobody can foretell.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Unforeseen {
    name: &'static str,
    function: Function,
    signature: Signature,
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Unforeseen> {
    [
        ("rand", Function::Rand, Volatility::Stable),
        ("random", Function::Random, Volatility::Volatile),
        ("newid", Function::NewId, Volatility::Volatile),
    ]
    .into_iter()
    .map(|(name, function, volatility)| Unforeseen {
        name,
        function,
        signature: Signature::nullary(volatility),
    })
}

impl ScalarUDFImpl for Unforeseen {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::Rand | Function::Random => DataType::Float64,
            Function::NewId => DataType::FixedSizeBinary(16),
        })
    }

    /// The plan gets the number of `RAND` as a literal, so that all rows have it.
    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if self.function != Function::Rand {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let number = ScalarValue::Float64(Some(random()));
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(number, None)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = 0..args.number_rows;
        let array: ArrayRef = match self.function {
            Function::Rand => return internal_err!("rand is a literal before it runs"),
            Function::Random => Arc::new(Float64Array::from_iter_values(rows.map(|_| random()))),
            Function::NewId => {
                let mut ids = FixedSizeBinaryBuilder::with_capacity(args.number_rows, 16);
                for _ in rows {
                    ids.append_value(Uuid::new_v4().as_bytes())?;
                }
                Arc::new(ids.finish())
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_the_documented_number() {
        assert!((from_seed(100) - 0.715_436_657_367_485).abs() < 1e-14);
        assert_eq!(from_seed(-1), from_seed(1));
        assert!((0..1_000).map(|_| random()).all(|n| (0.0..1.0).contains(&n)));
    }
}
