//! Functions and the types of their arguments. A literal takes the type of what
//! stands beside it.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::error::{Error, Place, Result, codes};
use crate::query::bound::Scalar;
use crate::query::functions::{ARITHMETIC, CALLS};
use crate::query::{Function, Literal, LiteralKind};
use crate::value::Value;

/// The type of fractions, as a decimal column has it.
pub(super) const DECIMAL: DataType = DataType::Decimal128(38, 10);
const MONEY: DataType = DataType::Decimal128(38, 4);
/// Whole numbers of 64 bits and what their sums and products need.
const WIDE: DataType = DataType::Decimal128(20, 0);
pub(super) const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// An argument whose type may still depend on what stands beside it.
pub(super) enum Term<'e> {
    Typed(Scalar, DataType),
    Literal(&'e Literal),
    Null,
}

/// A function where it is called.
pub(super) struct Call<'e> {
    pub function: Function,
    pub at: &'e Place,
}

/// What an argument has to be, in words and as types; a literal is read as the
/// first that it fits.
pub(super) struct Kind {
    word: &'static str,
    is: fn(&DataType) -> bool,
}

pub(super) const NUMBER: Kind = Kind { word: "a number", is: is_number };
pub(super) const WHOLE: Kind = Kind { word: "a whole number", is: is_whole };
pub(super) const TEXT: Kind = Kind { word: "a text", is: |t| *t == DataType::Utf8View };
pub(super) const YES_NO: Kind = Kind { word: "true or false", is: |t| *t == DataType::Boolean };
pub(super) const INSTANT: Kind =
    Kind { word: "a date and time", is: |t| matches!(t, DataType::Timestamp(..)) };
pub(super) const DATE: Kind =
    Kind { word: "a date", is: |t| matches!(t, DataType::Timestamp(..) | DataType::Date32) };

impl Call<'_> {
    fn name(&self) -> &'static str {
        let spelling = CALLS.iter().chain(ARITHMETIC).find(|s| s.function == self.function);
        spelling.map_or_else(|| operator_name(self.function), |s| s.name)
    }

    pub(super) fn bad<T>(&self, message: String) -> Result<T> {
        let message = format!("'{}': {message}", self.name());
        Err(Error::invalid(codes::ODATA, message).at(self.at.clone()))
    }

    pub(super) fn with(&self, arguments: Vec<Scalar>, data_type: DataType) -> Scalar {
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

    pub(super) fn each(&self, terms: Vec<Term<'_>>, kind: &Kind) -> Result<Vec<Scalar>> {
        Ok(self.kinds(terms, kind)?.into_iter().map(|(scalar, _)| scalar).collect())
    }

    pub(super) fn all_of<const N: usize>(
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
    pub(super) fn arithmetic(&self, terms: Vec<Term<'_>>) -> Result<(Scalar, DataType)> {
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
    pub(super) fn comparison(&self, terms: Vec<Term<'_>>) -> Result<Scalar> {
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
pub(super) fn typed(term: Term<'_>) -> Result<(Scalar, DataType)> {
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

pub(super) fn null(data_type: DataType) -> Scalar {
    Scalar::Literal { value: Value::Null, data_type }
}

fn is_whole(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64)
}

pub(super) fn is_number(data_type: &DataType) -> bool {
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
