//! PostgreSQL's arrays as they are written: `ARRAY[…]` with a type, `'{…}'`.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Value,
};

use super::{convert, functions};

/// An array cast to a type of arrays, its elements cast; `None` for anything else.
pub(super) fn cast(array: &mut Expr, to: &ArrayElemTypeDef, kind: &CastKind) -> Option<Expr> {
    let element = element_of(to)?;
    let elements = match array {
        Expr::Array(array) => std::mem::take(&mut array.elem),
        other => match written(other)? {
            Expr::Array(array) => array.elem,
            _ => return None,
        },
    };
    let cast = |expr| Expr::Cast {
        kind: kind.clone(),
        expr: Box::new(expr),
        data_type: element.clone(),
        array: false,
        format: None,
    };
    Some(array_of(elements.into_iter().map(cast).collect()))
}

/// The engine's type of an array that comes as a parameter.
pub(super) fn engine_type(array: &DataType) -> Option<DataType> {
    let DataType::Array(of) = array else { return None };
    let element = match element_of(of)? {
        DataType::Uuid => DataType::Uuid,
        other => convert::engine_type(other)?,
    };
    Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None)))
}

/// The elements of a literal such as `'{a,b}'`.
pub(super) fn written(expr: &Expr) -> Option<Expr> {
    let Expr::Value(value) = expr else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let element = |element: Option<String>| match element {
        Some(text) => functions::text(&text),
        None => Expr::value(Value::Null),
    };
    Some(array_of(split(text)?.into_iter().map(element).collect()))
}

/// `array[lower:upper]`. Elements are counted from 1, so bounds below that are no places
/// from the end, as they are to the engine.
pub(super) fn slice(array: Expr, lower: Option<Expr>, upper: Option<Expr>) -> Expr {
    let number = |n: u32| Expr::value(Value::Number(n.to_string(), false));
    let below_one = |bound: &Expr| Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(bound.clone()))),
        op: BinaryOperator::Lt,
        right: Box::new(number(1)),
    };
    let case = |condition: Expr, result: Expr, otherwise: Expr| Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: Some(Box::new(otherwise)),
    };
    let mut from = match lower {
        Some(lower) => case(below_one(&lower), number(1), lower),
        None => number(1),
    };
    let to = match upper {
        Some(upper) => {
            // Nothing lies between 2 and 1.
            from = case(below_one(&upper), number(2), from);
            case(below_one(&upper), number(1), upper)
        }
        None => number(i32::MAX.unsigned_abs()),
    };
    functions::call("array_slice", vec![array, from, to])
}

fn array_of(elem: Vec<Expr>) -> Expr {
    Expr::Array(Array { elem, named: true })
}

fn element_of(array: &ArrayElemTypeDef) -> Option<&DataType> {
    match array {
        ArrayElemTypeDef::SquareBracket(element, _)
        | ArrayElemTypeDef::AngleBracket(element)
        | ArrayElemTypeDef::Parenthesis(element) => Some(element),
        ArrayElemTypeDef::None => None,
    }
}

/// The elements of `{a,"b c",NULL}`; `None` if it is malformed.
pub fn split(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut elements = Vec::new();
    let mut chars = inner.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'"').is_some();
        let mut element = String::new();
        loop {
            match chars.peek() {
                Some(',') | None if !quoted => break,
                Some('"') if quoted => break,
                Some('{' | '}' | '"') if !quoted => return None,
                _ => match chars.next()? {
                    '\\' => element.push(chars.next()?),
                    c => element.push(c),
                },
            }
        }
        if quoted {
            chars.next();
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            elements.push(Some(element));
        } else {
            let bare = element.trim_end();
            if bare.is_empty() {
                return None;
            }
            elements.push((!bare.eq_ignore_ascii_case("null")).then(|| bare.to_owned()));
        }
        match chars.next() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_taken_apart() {
        let some = |v: &str| Some(v.to_owned());
        for (text, expected) in [
            ("{}", Some(vec![])),
            ("{1, 2}", Some(vec![some("1"), some("2")])),
            (
                r#"{a,"b, \"c\"",NULL,"NULL",""}"#,
                Some(vec![some("a"), some("b, \"c\""), None, some("NULL"), some("")]),
            ),
            ("{1,}", None),
            ("{{1},{2}}", None),
            ("1,2", None),
            ("{\"a}", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
