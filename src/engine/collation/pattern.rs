//! LIKE: SQL Server's wildcards over folded text.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::{fold, folded_places, text_signature};

/// A LIKE pattern: `%` any text, `_` one character, `[a-f]` and `[^a-f]` one of
/// a set. A bracket quotes a wildcard: `[%]`.
#[derive(Debug, PartialEq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Any,
    One,
    Char(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    /// Reads a pattern; `escape` makes the next character plain (SQL's ESCAPE).
    pub fn new(pattern: &str, escape: Option<char>) -> Self {
        let folded = fold(pattern);
        let mut chars = folded.chars().peekable();
        let mut parts = Vec::new();
        while let Some(c) = chars.next() {
            let part = match c {
                c if Some(c) == escape => match chars.next() {
                    Some(plain) => Part::Char(plain),
                    None => break,
                },
                '%' if parts.last() == Some(&Part::Any) => continue,
                '%' => Part::Any,
                '_' => Part::One,
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut members = Vec::new();
                    let mut closed = false;
                    for member in chars.by_ref() {
                        // `[]...]` has the bracket itself as a member only in front.
                        if member == ']' && !(members.is_empty() && negated) {
                            closed = true;
                            break;
                        }
                        members.push(member);
                    }
                    if !closed {
                        // SQL Server: a bracket that never closes matches nothing.
                        return Self {
                            parts: vec![Part::Set { negated: false, ranges: Vec::new() }],
                        };
                    }
                    Part::Set { negated, ranges: ranges(&members) }
                }
                c => Part::Char(c),
            };
            parts.push(part);
        }
        Self { parts }
    }

    /// Whether a text matches.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = fold(text).chars().collect();
        matches(&self.parts, &text)
    }

    /// The byte from which what follows a leading `%` first matches; without a
    /// `%` in front only the whole text can match.
    pub(in crate::engine) fn find(&self, text: &str) -> Option<usize> {
        let (chars, places): (Vec<char>, Vec<usize>) = folded_places(text).into_iter().unzip();
        let Some((Part::Any, rest)) = self.parts.split_first() else {
            return matches(&self.parts, &chars).then_some(0);
        };
        // A last `%` matches from the start.
        if rest.is_empty() {
            return Some(0);
        }
        let may_start = |at: usize| match rest.first() {
            Some(Part::Char(first)) => chars.get(at) == Some(first),
            _ => true,
        };
        let start = (0..=chars.len()).find(|at| may_start(*at) && matches(rest, &chars[*at..]))?;
        Some(places.get(start).copied().unwrap_or(text.len()))
    }
}

/// Whether folded text matches the parts of a pattern.
fn matches(parts: &[Part], text: &[char]) -> bool {
    let (mut part, mut at) = (0, 0);
    // The last `%` and the text position it was tried with.
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        let step = match parts.get(part) {
            Some(Part::Any) => {
                back = Some((part, at));
                part += 1;
                continue;
            }
            Some(Part::One) => true,
            Some(Part::Char(c)) => *c == text[at],
            Some(Part::Set { negated, ranges }) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&text[at])) != *negated
            }
            None => false,
        };
        if step {
            part += 1;
            at += 1;
        } else if let Some((any, from)) = back {
            back = Some((any, from + 1));
            part = any + 1;
            at = from + 1;
        } else {
            return false;
        }
    }
    parts[part..].iter().all(|p| *p == Part::Any)
}

fn ranges(members: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    let mut rest = members;
    loop {
        match rest {
            [from, '-', to, tail @ ..] => {
                ranges.push((*from, *to));
                rest = tail;
            }
            [one, tail @ ..] => {
                ranges.push((*one, *one));
                rest = tail;
            }
            [] => return ranges,
        }
    }
}

/// `text LIKE pattern` by [`Pattern`].
pub fn like(text: Expr, pattern: Expr, escape: Option<char>) -> Expr {
    let mut arguments = vec![text, pattern];
    if let Some(escape) = escape {
        arguments.push(Expr::Literal(ScalarValue::Utf8View(Some(escape.to_string())), None));
    }
    ScalarUDF::from(CollationLike::default()).call(arguments)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CollationLike {
    signature: Signature,
}

impl Default for CollationLike {
    fn default() -> Self {
        Self { signature: text_signature(&[2, 3]) }
    }
}

impl ScalarUDFImpl for CollationLike {
    fn name(&self) -> &str {
        "collation_like"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let escape = match args.args.get(2) {
            Some(ColumnarValue::Scalar(s)) => {
                s.try_as_str().flatten().and_then(|s| s.chars().next())
            }
            _ => None,
        };
        let constant = match &args.args[1] {
            ColumnarValue::Scalar(s) => {
                Some(s.try_as_str().flatten().map(|p| Pattern::new(p, escape)))
            }
            ColumnarValue::Array(_) => None,
        };
        let rows = args.number_rows;
        let texts = cast(&args.args[0].to_array(rows)?, &DataType::Utf8View)?;
        let patterns = match constant {
            Some(_) => None,
            None => Some(cast(&args.args[1].to_array(rows)?, &DataType::Utf8View)?),
        };
        let mut matches = BooleanBuilder::with_capacity(rows);
        for (row, text) in texts.as_string_view().iter().enumerate() {
            let own = patterns
                .as_ref()
                .map(|patterns| patterns.as_string_view())
                .and_then(|p| p.is_valid(row).then(|| Pattern::new(p.value(row), escape)));
            let pattern = constant.as_ref().map_or(own.as_ref(), Option::as_ref);
            matches.append_option(text.zip(pattern).map(|(text, pattern)| pattern.matches(text)));
        }
        Ok(ColumnarValue::Array(Arc::new(matches.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_sql_server_does() {
        let like = |pattern: &str, text: &str| Pattern::new(pattern, None).matches(text);
        assert!(like("%log%", "Workflow LOG entry"));
        assert!(like("a_c", "ABC"));
        assert!(!like("a_c", "ac"));
        assert!(like("[a-c]%", "beta"));
        assert!(!like("[^a-c]%", "beta"));
        assert!(like("100[%]", "100%"));
        assert!(!like("100[%]", "1000"));
        assert!(like("[[]x]", "[x]"));
        assert!(!like("abc", "abc "), "trailing spaces of the text count");
        assert!(like("%", ""));
        assert!(!like("[abc", "a"), "an open bracket matches nothing");
        assert!(like("caf_", "Café"));
        assert!(Pattern::new("50!%", Some('!')).matches("50%"));
        assert!(like("%ab%ab", "abxab"));
    }

    #[test]
    fn places_of_patterns_are_bytes_of_the_text() {
        let find = |pattern: &str, text: &str| Pattern::new(pattern, None).find(text);
        assert_eq!(find("%[0-9]%", "Æb7"), Some(3));
        assert_eq!(find("%b", "aBb"), Some(2));
        assert_eq!(find("b%", "abb"), None);
        assert_eq!(find("a%", "Abb"), Some(0));
        assert_eq!(find("%", "abc"), Some(0));
    }
}
