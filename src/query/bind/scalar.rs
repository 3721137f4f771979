//! Values made of columns, literals and functions: every part gets a type, and
//! what does not fit together is refused by name.

use datafusion::arrow::datatypes::DataType;

use super::Binder;
use super::call::{
    Call, DATE, DECIMAL, INSTANT, NUMBER, TEXT, TIME, Term, WHOLE, YES_NO, is_number, null, typed,
    word,
};
use super::sources::Scope;
use crate::catalog::{self, ColumnType};
use crate::error::{Error, Place, Result, codes};
use crate::query::bound::{BoundShare, Scalar};
use crate::query::{Computed, Expression, Function, LiteralKind, Share};
use crate::value::Value;

/// Expressions inside expressions; parsers have bounds of their own.
const DEPTH_MAX: usize = 256;

/// The first and the last time that OData's functions know.
const TIME_MIN: i64 = -62_135_596_800_000_000;
const TIME_MAX: i64 = 253_402_300_799_999_999;

impl Binder<'_> {
    /// The values of `compute`, which become the root's last columns. Later ones
    /// know those before them.
    pub(super) fn compute(&mut self, list: &[Computed]) -> Result<Vec<Scalar>> {
        let mut values = Vec::with_capacity(list.len());
        for computed in list {
            let (value, data_type) = self.scalar(&computed.value, self.root_scope())?;
            let name = &computed.alias;
            let root = &self.sources[0].table;
            let taken = root.column_index(&name.text).is_some()
                || root.navigation(&name.text).is_some()
                || root.columns.iter().any(|c| c.property_name() == name.text);
            if taken {
                let message = format!(
                    "'{}' is a property of '{}' already; a computed value needs another name",
                    name.text, root.logical_name
                );
                return Err(Error::invalid(codes::ODATA, message).at(name.at.clone()));
            }
            self.sources[0].table = root.with_column(column_of(&name.text, &data_type)).into();
            values.push(value);
        }
        Ok(values)
    }

    /// `topsum` and its like.
    pub(super) fn share(&mut self, share: &Share) -> Result<BoundShare> {
        let by = self.reference(&share.by, self.root_scope(), codes::CONDITION_ALIAS_UNKNOWN)?;
        let field = self.sources[by.source].table.schema().field(by.column).clone();
        let bad = |message: String| {
            Err(Error::invalid(codes::ODATA, message).at(share.by.name.at.clone()))
        };
        if !is_number(field.data_type()) {
            let given = word(field.data_type());
            return bad(format!("'{}' is {given}; only numbers have a sum", share.by.name.text));
        }
        if self.aggregate || self.distinct {
            return bad("a part of a sum is taken before rows are aggregated".into());
        }
        let &Share { amount, percent, bottom, .. } = share;
        Ok(BoundShare { by, amount, percent, bottom })
    }

    /// An expression and its type.
    pub(super) fn scalar(
        &mut self,
        expression: &Expression,
        scope: Scope,
    ) -> Result<(Scalar, DataType)> {
        let term = self.term(expression, scope, 0)?;
        match term {
            Term::Null => Ok((null(DataType::Utf8View), DataType::Utf8View)),
            term => typed(term),
        }
    }

    /// An expression that is true or false.
    pub(super) fn yes_or_no(&mut self, expression: &Expression, scope: Scope) -> Result<Scalar> {
        match self.term(expression, scope, 0)? {
            Term::Null => Ok(null(DataType::Boolean)),
            term => match typed(term)? {
                (scalar, DataType::Boolean) => Ok(scalar),
                (_, other) => {
                    let message = format!("a condition is true or false, not {}", word(&other));
                    let error = Error::invalid(codes::ODATA, message);
                    Err(match place(expression) {
                        Some(at) => error.at(at),
                        None => error,
                    })
                }
            },
        }
    }

    fn term<'e>(
        &mut self,
        expression: &'e Expression,
        scope: Scope,
        depth: usize,
    ) -> Result<Term<'e>> {
        if depth > DEPTH_MAX {
            let message = format!("expressions are nested deeper than {DEPTH_MAX}");
            return Err(Error::invalid(codes::ODATA, message));
        }
        match expression {
            Expression::Column(column) => {
                let found = self.reference(column, scope, codes::CONDITION_ALIAS_UNKNOWN)?;
                let table = &self.sources[found.source].table;
                let data_type = table.schema().field(found.column).data_type().clone();
                Ok(Term::Typed(Scalar::Column(found), data_type))
            }
            Expression::Literal(literal) => Ok(Term::Literal(literal)),
            Expression::Null(_) => Ok(Term::Null),
            Expression::Call { function, arguments, at } => {
                let terms = arguments
                    .iter()
                    .map(|argument| self.term(argument, scope, depth + 1))
                    .collect::<Result<Vec<_>>>()?;
                let call = Call { function: *function, at };
                let (scalar, data_type) = self.call(&call, terms)?;
                Ok(Term::Typed(scalar, data_type))
            }
        }
    }

    fn call(&self, call: &Call<'_>, terms: Vec<Term<'_>>) -> Result<(Scalar, DataType)> {
        use Function::{
            Add, And, Ceiling, Concat, Contains, Date, Day, Div, DivBy, EndsWith, Eq, Floor,
            FractionalSeconds, Ge, Gt, Hour, In, IndexOf, Le, Length, Lt, MatchesPattern,
            MaxDateTime, MinDateTime, Minute, Mod, Month, Mul, Ne, Negate, Not, Now, Or, Round,
            Second, StartsWith, Sub, Substring, Time, ToLower, ToUpper, TotalOffsetMinutes, Trim,
            Year,
        };
        let text = DataType::Utf8View;
        match call.function {
            Add | Sub | Mul | Div | DivBy | Mod | Negate => call.arithmetic(terms),
            Round | Floor | Ceiling => {
                let [(value, data_type)] = call.all_of(terms, &NUMBER)?;
                Ok(match data_type {
                    DataType::Int32 | DataType::Int64 => (value, data_type),
                    _ => (call.with(vec![value], data_type.clone()), data_type),
                })
            }
            Eq | Ne | Gt | Ge | Lt | Le | In => Ok((call.comparison(terms)?, DataType::Boolean)),
            And | Or | Not => {
                let arguments = call.each(terms, &YES_NO)?;
                Ok((call.with(arguments, DataType::Boolean), DataType::Boolean))
            }
            Contains | StartsWith | EndsWith => {
                let arguments = call.each(terms, &TEXT)?;
                Ok((call.with(arguments, DataType::Boolean), DataType::Boolean))
            }
            MatchesPattern => {
                if !matches!(terms.get(1), Some(Term::Literal(l)) if l.kind == LiteralKind::Text) {
                    return call.bad("the pattern is a text in quotes".into());
                }
                let arguments = call.each(terms, &TEXT)?;
                Ok((call.with(arguments, DataType::Boolean), DataType::Boolean))
            }
            Concat | ToLower | ToUpper | Trim => {
                let arguments = call.each(terms, &TEXT)?;
                Ok((call.with(arguments, text.clone()), text))
            }
            Length | IndexOf => {
                let arguments = call.each(terms, &TEXT)?;
                Ok((call.with(arguments, DataType::Int32), DataType::Int32))
            }
            Substring => {
                let mut terms = terms;
                let numbers = terms.split_off(terms.len().min(1));
                let mut arguments = call.each(terms, &TEXT)?;
                arguments.extend(call.each(numbers, &WHOLE)?);
                Ok((call.with(arguments, text.clone()), text))
            }
            Year | Month | Day => {
                let arguments = call.each(terms, &DATE)?;
                Ok((call.with(arguments, DataType::Int32), DataType::Int32))
            }
            Hour | Minute | Second | TotalOffsetMinutes => {
                let arguments = call.each(terms, &INSTANT)?;
                Ok((call.with(arguments, DataType::Int32), DataType::Int32))
            }
            FractionalSeconds => {
                let arguments = call.each(terms, &INSTANT)?;
                Ok((call.with(arguments, DECIMAL), DECIMAL))
            }
            Date => {
                let arguments = call.each(terms, &DATE)?;
                Ok((call.with(arguments, DataType::Date32), DataType::Date32))
            }
            Time => {
                let arguments = call.each(terms, &INSTANT)?;
                Ok((call.with(arguments, text.clone()), text))
            }
            Now => Ok(moment(self.context.now)),
            MinDateTime => Ok(moment(TIME_MIN)),
            MaxDateTime => Ok(moment(TIME_MAX)),
        }
    }
}

fn moment(micros: i64) -> (Scalar, DataType) {
    (Scalar::Literal { value: Value::Time(micros), data_type: TIME }, TIME)
}

/// Where an expression stands.
fn place(expression: &Expression) -> Option<Place> {
    Some(match expression {
        Expression::Column(column) => column.name.at.clone(),
        Expression::Literal(literal) => literal.at.clone(),
        Expression::Null(at) | Expression::Call { at, .. } => at.clone(),
    })
}

/// A column that holds values of a type, as the catalog describes columns.
pub(super) fn column_of(name: &str, data_type: &DataType) -> catalog::Column {
    let (column_type, format) = match data_type {
        DataType::Boolean => (ColumnType::Boolean, None),
        DataType::Int32 => (ColumnType::Integer, None),
        DataType::Int64 => (ColumnType::BigInt, None),
        DataType::Float64 => (ColumnType::Double, None),
        DataType::Decimal128(_, 4) => (ColumnType::Money, None),
        DataType::Decimal128(..) => (ColumnType::Decimal, None),
        DataType::FixedSizeBinary(_) => (ColumnType::Uniqueidentifier, None),
        DataType::Date32 => (ColumnType::DateTime, Some("DateOnly")),
        DataType::Timestamp(..) => (ColumnType::DateTime, None),
        _ => (ColumnType::String, None),
    };
    catalog::Column::computed(name, column_type, format)
}
