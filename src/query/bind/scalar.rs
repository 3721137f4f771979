//! Values made of columns, literals and functions: every part gets a type, and
//! what does not fit together is refused by name.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use super::Binder;
use super::sources::Scope;
use crate::catalog::{self, ColumnType};
use crate::error::{Error, Place, Result, codes};
use crate::query::bound::{BoundShare, Scalar};
use crate::query::functions::{ARITHMETIC, CALLS};
use crate::query::{Computed, Expression, Function, Literal, LiteralKind, Share};
use crate::value::Value;

/// Expressions inside expressions; parsers have bounds of their own.
const DEPTH_MAX: usize = 256;

/// The type of fractions, as a decimal column has it.
const DECIMAL: DataType = DataType::Decimal128(38, 10);
const MONEY: DataType = DataType::Decimal128(38, 4);
/// Whole numbers of 64 bits and what their sums and products need.
const WIDE: DataType = DataType::Decimal128(20, 0);
const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// The first and the last time that OData's functions know.
const TIME_MIN: i64 = -62_135_596_800_000_000;
const TIME_MAX: i64 = 253_402_300_799_999_999;

/// An argument whose type may still depend on what stands beside it.
enum Term<'e> {
    Typed(Scalar, DataType),
    Literal(&'e Literal),
    Null,
}

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

/// A function where it is called.
struct Call<'e> {
    function: Function,
    at: &'e Place,
}

/// What an argument has to be, in words and as types; a literal is read as the
/// first that it fits.
struct Kind {
    word: &'static str,
    is: fn(&DataType) -> bool,
}

const NUMBER: Kind = Kind { word: "a number", is: is_number };
const WHOLE: Kind = Kind { word: "a whole number", is: is_whole };
const TEXT: Kind = Kind { word: "a text", is: |t| *t == DataType::Utf8View };
const YES_NO: Kind = Kind { word: "true or false", is: |t| *t == DataType::Boolean };
const INSTANT: Kind =
    Kind { word: "a date and time", is: |t| matches!(t, DataType::Timestamp(..)) };
const DATE: Kind =
    Kind { word: "a date", is: |t| matches!(t, DataType::Timestamp(..) | DataType::Date32) };

impl Call<'_> {
    fn name(&self) -> &'static str {
        let spelling = CALLS.iter().chain(ARITHMETIC).find(|s| s.function == self.function);
        spelling.map_or_else(|| operator_name(self.function), |s| s.name)
    }

    fn bad<T>(&self, message: String) -> Result<T> {
        let message = format!("'{}': {message}", self.name());
        Err(Error::invalid(codes::ODATA, message).at(self.at.clone()))
    }

    fn with(&self, arguments: Vec<Scalar>, data_type: DataType) -> Scalar {
        Scalar::Call { function: self.function, arguments, data_type }
    }

    /// Arguments of one kind, with their types; nulls have the type of the others.
    fn kinds(&self, terms: Vec<Term<'_>>, kind: &Kind) -> Result<Vec<(Scalar, DataType)>> {
        let mut arguments: Vec<Option<(Scalar, DataType)>> = Vec::new();
        for term in terms {
            arguments.push(match term {
                Term::Null => None,
                term => {
                    let (scalar, data_type) = typed(term)?;
                    if !(kind.is)(&data_type) {
                        let given = word(&data_type);
                        return self.bad(format!("takes {}, not {given}", kind.word));
                    }
                    Some((scalar, data_type))
                }
            });
        }
        let known = arguments.iter().flatten().next().map(|(_, t)| t.clone());
        let other = known.unwrap_or_else(|| {
            let candidates = [DataType::Int32, DataType::Utf8View, DataType::Boolean, TIME];
            candidates.into_iter().find(|t| (kind.is)(t)).unwrap_or(DataType::Utf8View)
        });
        Ok(arguments
            .into_iter()
            .map(|a| a.unwrap_or_else(|| (null(other.clone()), other.clone())))
            .collect())
    }

    fn each(&self, terms: Vec<Term<'_>>, kind: &Kind) -> Result<Vec<Scalar>> {
        Ok(self.kinds(terms, kind)?.into_iter().map(|(scalar, _)| scalar).collect())
    }

    fn all_of<const N: usize>(
        &self,
        terms: Vec<Term<'_>>,
        kind: &Kind,
    ) -> Result<[(Scalar, DataType); N]> {
        let arguments = self.kinds(terms, kind)?;
        match arguments.try_into() {
            Ok(arguments) => Ok(arguments),
            Err(_) => self.bad("has the wrong number of arguments".into()),
        }
    }

    /// Whole numbers are calculated in 64 bits or more, so that nothing is lost.
    fn arithmetic(&self, terms: Vec<Term<'_>>) -> Result<(Scalar, DataType)> {
        let arguments = self.kinds(terms, &NUMBER)?;
        let types: Vec<&DataType> = arguments.iter().map(|(_, t)| t).collect();
        let any = |wanted: &DataType| types.contains(&wanted);
        let decimal = types.iter().any(|t| matches!(t, DataType::Decimal128(..)));
        let additive = matches!(self.function, Function::Add | Function::Sub | Function::Negate);
        let (working, result) = if any(&DataType::Float64) {
            (DataType::Float64, DataType::Float64)
        } else if decimal {
            // Sums of money are money, and so are its multiples.
            let all_money = types.iter().all(|t| **t == MONEY || is_whole(t));
            let times = self.function == Function::Mul
                && types.iter().filter(|t| **t == &MONEY).count() == 1;
            let money = all_money && (additive || times);
            (if money && additive { MONEY } else { DECIMAL }, if money { MONEY } else { DECIMAL })
        } else if self.function == Function::DivBy {
            (DECIMAL, DECIMAL)
        } else if any(&DataType::Int64) && !matches!(self.function, Function::Div | Function::Mod) {
            (WIDE, DataType::Int64)
        } else {
            (DataType::Int64, DataType::Int64)
        };
        let convert = |(scalar, data_type): (Scalar, DataType)| match data_type == working {
            true => scalar,
            false => Scalar::Cast(Box::new(scalar), working.clone()),
        };
        let arguments = arguments.into_iter().map(convert).collect();
        Ok((self.with(arguments, result.clone()), result))
    }

    /// Both sides as values that compare. Null on one side tests for it.
    fn comparison(&self, terms: Vec<Term<'_>>) -> Result<Scalar> {
        let subject = terms.iter().find_map(|term| match term {
            Term::Typed(scalar, data_type) => Some((scalar.clone(), data_type.clone())),
            Term::Literal(_) | Term::Null => None,
        });
        let subject = match subject {
            Some(subject) => Some(subject),
            None => match terms.iter().find_map(|term| match term {
                Term::Literal(literal) => Some(*literal),
                _ => None,
            }) {
                Some(literal) => Some(typed(Term::Literal(literal))?),
                None => None,
            },
        };
        let Some((first, beside)) = subject else {
            // `null eq null`
            let same = matches!(self.function, Function::Eq | Function::In);
            return Ok(Scalar::Literal {
                value: Value::Boolean(same),
                data_type: DataType::Boolean,
            });
        };
        let mut arguments = Vec::with_capacity(terms.len());
        for term in terms {
            arguments.push(match term {
                Term::Null => null(beside.clone()),
                Term::Literal(literal) => self.literal_beside(literal, &first, &beside)?,
                Term::Typed(scalar, data_type) => {
                    let time = |t: &DataType| (DATE.is)(t);
                    let fine = data_type == beside
                        || (is_number(&data_type) && is_number(&beside))
                        || (time(&data_type) && time(&beside));
                    if !fine {
                        let (left, right) = (word(&beside), word(&data_type));
                        return self.bad(format!("{left} cannot be compared with {right}"));
                    }
                    scalar
                }
            });
        }
        let ordered = !matches!(self.function, Function::Eq | Function::Ne | Function::In);
        if ordered && matches!(beside, DataType::Boolean | DataType::FixedSizeBinary(_)) {
            return self.bad(format!("{} has no order", word(&beside)));
        }
        Ok(self.with(arguments, DataType::Boolean))
    }

    /// A literal as a value of the type of what it is compared with.
    fn literal_beside(
        &self,
        literal: &Literal,
        subject: &Scalar,
        beside: &DataType,
    ) -> Result<Scalar> {
        // A table's name beside its object type code is the comparison's business.
        let code = matches!(subject, Scalar::Column(_)) && *beside == DataType::Int32;
        let fits = match literal.kind {
            LiteralKind::Untyped => true,
            LiteralKind::Text if code => true,
            LiteralKind::Text => {
                matches!(beside, DataType::Utf8View | DataType::FixedSizeBinary(_))
            }
            LiteralKind::Number => is_number(beside),
            LiteralKind::Boolean => *beside == DataType::Boolean,
            LiteralKind::Guid => matches!(beside, DataType::FixedSizeBinary(_)),
            LiteralKind::DateTime => (DATE.is)(beside),
        };
        if !fits {
            let message = format!("{} cannot be compared with '{}'", word(beside), literal.text);
            return self.bad(message);
        }
        if is_number(beside) {
            return Ok(typed(Term::Literal(literal))?.0);
        }
        // A date and time beside a date counts with its time.
        let data_type = match beside {
            DataType::Date32 if literal.text.contains('T') => &TIME,
            other => other,
        };
        match Value::parse(&literal.text, data_type) {
            Ok(value) => Ok(Scalar::Literal { value, data_type: data_type.clone() }),
            Err(expected) => self.bad(format!("'{}' is not {expected}", literal.text)),
        }
    }
}

/// The value and type of a term; a literal's type follows from how it is written.
fn typed(term: Term<'_>) -> Result<(Scalar, DataType)> {
    let literal = match term {
        Term::Typed(scalar, data_type) => return Ok((scalar, data_type)),
        Term::Null => return Ok((null(DataType::Utf8View), DataType::Utf8View)),
        Term::Literal(literal) => literal,
    };
    let candidates: &[DataType] = match literal.kind {
        LiteralKind::Untyped | LiteralKind::Text => &[DataType::Utf8View],
        LiteralKind::Number => &[DataType::Int32, DataType::Int64, DECIMAL, DataType::Float64],
        LiteralKind::Boolean => &[DataType::Boolean],
        LiteralKind::Guid => &[DataType::FixedSizeBinary(16)],
        LiteralKind::DateTime => &[TIME],
    };
    for data_type in candidates {
        if let Ok(value) = Value::parse(&literal.text, data_type) {
            return Ok((
                Scalar::Literal { value, data_type: data_type.clone() },
                data_type.clone(),
            ));
        }
    }
    let message = format!("'{}' is not {}", literal.text, word(&candidates[0]));
    Err(Error::invalid(codes::ODATA, message).at(literal.at.clone()))
}

fn null(data_type: DataType) -> Scalar {
    Scalar::Literal { value: Value::Null, data_type }
}

fn moment(micros: i64) -> (Scalar, DataType) {
    (Scalar::Literal { value: Value::Time(micros), data_type: TIME }, TIME)
}

fn is_whole(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64)
}

fn is_number(data_type: &DataType) -> bool {
    is_whole(data_type) || matches!(data_type, DataType::Float64 | DataType::Decimal128(..))
}

/// A type in words.
pub(super) fn word(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "a yes/no value",
        DataType::FixedSizeBinary(_) => "a GUID",
        DataType::Timestamp(..) => "a date and time",
        DataType::Date32 => "a date",
        DataType::Utf8View => "a text",
        DataType::Int32 | DataType::Int64 => "a whole number",
        DataType::Decimal128(..) => "a decimal number",
        _ => "a number",
    }
}

fn operator_name(function: Function) -> &'static str {
    match function {
        Function::Eq => "eq",
        Function::Ne => "ne",
        Function::Gt => "gt",
        Function::Ge => "ge",
        Function::Lt => "lt",
        Function::Le => "le",
        Function::In => "in",
        Function::And => "and",
        Function::Or => "or",
        Function::Not => "not",
        _ => "-",
    }
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
