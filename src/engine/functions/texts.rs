//! SQL Server's text functions where DataFusion's differ: positions from 1,
//! negative lengths are errors, searches ignore case as comparisons do.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::arguments::{self, Kind, Rows, Texts};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    CharIndex,
    Left,
    Right,
    Substring,
    Replace,
}

/// One of the text functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TextFunction {
    name: &'static str,
    function: Function,
    arguments: &'static [Kind],
    /// Arguments that must be given.
    least: usize,
    signature: Signature,
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = TextFunction> {
    use Kind::{Int, Text};
    let functions: [(&'static str, Function, &'static [Kind], usize); 5] = [
        ("charindex", Function::CharIndex, &[Text, Text, Int], 2),
        ("sql_left", Function::Left, &[Text, Int], 2),
        ("sql_right", Function::Right, &[Text, Int], 2),
        ("sql_substring", Function::Substring, &[Text, Int, Int], 2),
        ("sql_replace", Function::Replace, &[Text, Text, Text], 3),
    ];
    functions.into_iter().map(|(name, function, arguments, least)| TextFunction {
        name,
        function,
        arguments,
        least,
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if !(self.least..=self.arguments.len()).contains(&given.len()) {
            return plan_err!("{} requires {} argument(s) (Msg 174)", self.name, self.least);
        }
        let kinds = self.arguments.iter();
        kinds.zip(given).map(|(kind, t)| arguments::coerced(self.name, *kind, t)).collect()
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::CharIndex => DataType::Int32,
            _ => DataType::Utf8View,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = Rows::of(&args);
        let answer: ArrayRef = match self.function {
            Function::CharIndex => {
                let (find, text) = (Texts::of(&args.args[0])?, Texts::of(&args.args[1])?);
                let start = args.args.get(2).map(arguments::integers).transpose()?;
                let places = (0..rows.count).map(|i| {
                    let start = start.as_ref().map_or(Some(1), |start| start.get(i));
                    Some(position(find.get(i)?, text.get(i)?, start?))
                });
                Arc::new(places.collect::<Int32Array>())
            }
            Function::Left | Function::Right => {
                let (text, count) =
                    (Texts::of(&args.args[0])?, arguments::integers(&args.args[1])?);
                let parts = (0..rows.count).map(|i| match (text.get(i), count.get(i)) {
                    (Some(text), Some(count)) => self.end(text, count).map(Some),
                    _ => Ok(None),
                });
                Arc::new(parts.collect::<Result<StringViewArray>>()?)
            }
            Function::Substring => {
                let (text, start) =
                    (Texts::of(&args.args[0])?, arguments::integers(&args.args[1])?);
                let count = args.args.get(2).map(arguments::integers).transpose()?;
                let parts = (0..rows.count).map(|i| {
                    let count = count.as_ref().map_or(Some(i64::MAX), |count| count.get(i));
                    match (text.get(i), start.get(i), count) {
                        (Some(text), Some(start), Some(count)) => {
                            middle(text, start, count).map(Some)
                        }
                        _ => Ok(None),
                    }
                });
                Arc::new(parts.collect::<Result<StringViewArray>>()?)
            }
            Function::Replace => {
                let text = Texts::of(&args.args[0])?;
                let (find, put) = (Texts::of(&args.args[1])?, Texts::of(&args.args[2])?);
                let replaced = (0..rows.count)
                    .map(|i| Some(replaced(text.get(i)?, find.get(i)?, put.get(i)?)));
                Arc::new(replaced.collect::<StringViewArray>())
            }
        };
        rows.answer(answer)
    }
}

impl TextFunction {
    /// The first or the last so many characters.
    fn end<'t>(&self, text: &'t str, count: i64) -> Result<&'t str> {
        let Ok(count) = usize::try_from(count) else {
            return exec_err!(
                "Invalid length parameter passed to the {} function: {count} (Msg 536)",
                self.name.trim_start_matches("sql_")
            );
        };
        Ok(if self.function == Function::Left {
            &text[..byte_of(text, count)]
        } else {
            let skipped = text.chars().count().saturating_sub(count);
            &text[byte_of(text, skipped)..]
        })
    }
}

/// The byte at which the character of this index starts, or the end.
fn byte_of(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

/// `SUBSTRING`: positions before the text use up the length.
fn middle(text: &str, start: i64, count: i64) -> Result<&str> {
    if count < 0 {
        return exec_err!(
            "Invalid length parameter passed to the substring function: {count} (Msg 537)"
        );
    }
    let end = (start - 1).saturating_add(count).max(0);
    let start = (start - 1).max(0);
    let index = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
    let (start, end) = (byte_of(text, index(start)), byte_of(text, index(end)));
    Ok(&text[start..end.max(start)])
}

/// A character as comparisons see it: without case and accents, where that
/// leaves one character.
fn folded(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let base = c.nfd().filter(|part| !is_combining_mark(*part));
    let mut folded = base.flat_map(char::to_lowercase);
    match (folded.next(), folded.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// Whether the text goes on with these characters; how many bytes they take.
fn starts_with(text: &str, find: &[char]) -> Option<usize> {
    let mut chars = text.char_indices();
    for wanted in find {
        let (_, c) = chars.next()?;
        if folded(c) != *wanted {
            return None;
        }
    }
    Some(chars.next().map_or(text.len(), |(byte, _)| byte))
}

/// `CHARINDEX`: the position of a text in another from 1, or 0.
fn position(find: &str, text: &str, start: i64) -> i32 {
    let find: Vec<char> = find.chars().map(folded).collect();
    if find.is_empty() {
        return 0;
    }
    let skipped = usize::try_from(start - 1).unwrap_or(0);
    text.char_indices()
        .enumerate()
        .skip(skipped)
        .find(|(_, (byte, _))| starts_with(&text[*byte..], &find).is_some())
        .and_then(|(index, _)| i32::try_from(index + 1).ok())
        .unwrap_or(0)
}

/// `REPLACE`: all occurrences, from the left.
fn replaced(text: &str, find: &str, put: &str) -> String {
    let find: Vec<char> = find.chars().map(folded).collect();
    let mut answer = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if find.is_empty() { None } else { starts_with(rest, &find) };
        match length {
            Some(length) => {
                answer.push_str(put);
                rest = &rest[length..];
            }
            None => {
                answer.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    answer
}
