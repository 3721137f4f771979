//! How text compares, in every dialect: case and accents do not matter, nor do
//! trailing spaces; LIKE has SQL Server's wildcards. The one implementation of
//! the default Dataverse collation (CI_AI).

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, StringViewArray, make_view,
};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The text that two strings have in common when they compare equal.
pub fn key(text: &str) -> Cow<'_, str> {
    match fold(text) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(' ')),
        Cow::Owned(text) => Cow::Owned(text.trim_end_matches(' ').to_owned()),
    }
}

/// Lower case without accents; trailing spaces stay, as LIKE needs them.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        let plain = text.nfd().filter(|c| !is_combining_mark(*c));
        return Cow::Owned(plain.flat_map(char::to_lowercase).collect());
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Borrowed(text)
}

/// The folded characters of a text, each with the byte where its source starts.
fn folded_places(text: &str) -> Vec<(char, usize)> {
    let sources = text.char_indices().map(|(at, c)| (at, &text[at..at + c.len_utf8()]));
    sources.flat_map(|(at, c)| fold(c).chars().map(move |c| (c, at)).collect::<Vec<_>>()).collect()
}

/// Where a text that is not empty first occurs in another: from which byte, up
/// to which.
pub(super) fn find(text: &str, wanted: &str) -> Option<(usize, usize)> {
    if text.is_ascii() && wanted.is_ascii() {
        let mut windows = text.as_bytes().windows(wanted.len().max(1));
        let at = windows.position(|part| part.eq_ignore_ascii_case(wanted.as_bytes()))?;
        return Some((at, at + wanted.len()));
    }
    let places = folded_places(text);
    let wanted: Vec<char> = fold(wanted).chars().collect();
    let found = places.windows(wanted.len().max(1)).position(|part| {
        part.len() == wanted.len() && part.iter().zip(&wanted).all(|((c, _), wanted)| c == wanted)
    })?;
    let end = places.get(found + wanted.len()).map_or(text.len(), |(_, at)| *at);
    Some((places[found].1, end))
}

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
    pub(super) fn find(&self, text: &str) -> Option<usize> {
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

/// The [`key`] of a text expression.
pub fn collation_key(text: Expr) -> Expr {
    if is_collation_key(&text) {
        return text;
    }
    ScalarUDF::from(CollationKey::default()).call(vec![text])
}

fn is_collation_key(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if f.func.name() == "collation_key")
}

/// `text LIKE pattern` by [`Pattern`].
pub fn like(text: Expr, pattern: Expr, escape: Option<char>) -> Expr {
    let mut arguments = vec![text, pattern];
    if let Some(escape) = escape {
        arguments.push(Expr::Literal(ScalarValue::Utf8View(Some(escape.to_string())), None));
    }
    ScalarUDF::from(CollationLike::default()).call(arguments)
}

fn text_signature(counts: &[usize]) -> Signature {
    let one = |n: usize| {
        let of = |t: DataType| TypeSignature::Exact(vec![t; n]);
        [of(DataType::Utf8View), of(DataType::Utf8)]
    };
    Signature::one_of(counts.iter().flat_map(|n| one(*n)).collect(), Volatility::Immutable)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CollationKey {
    signature: Signature,
}

impl Default for CollationKey {
    fn default() -> Self {
        Self { signature: text_signature(&[1]) }
    }
}

impl ScalarUDFImpl for CollationKey {
    fn name(&self) -> &str {
        "collation_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Scalar(scalar) => {
                let text = scalar.try_as_str().flatten().map(|text| key(text).into_owned());
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(text)))
            }
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(keys(array)?)),
        }
    }
}

/// Keys of a whole array. Texts that are their own key stay where they are.
///
/// Names repeat, and equal texts mostly have equal views: short ones stand in them,
/// long ones were read from one dictionary. So each row asks first for a view met
/// before, in a table with one place for each of the lower bits of a hash.
fn keys(array: &ArrayRef) -> Result<ArrayRef> {
    const PLACES: usize = 1024;
    let array = cast(array, &DataType::Utf8View)?;
    let texts = array.as_string_view();
    // An empty text is its own key, and its view is zero.
    let mut met = vec![(0_u128, 0_u128); PLACES];
    let mut made = Made { buffers: texts.data_buffers().to_vec(), ..Made::default() };
    let mut keys = Vec::with_capacity(texts.len());
    let mut same = true;
    for (row, view) in texts.views().iter().enumerate() {
        if texts.is_null(row) {
            keys.push(0);
            continue;
        }
        let known = &mut met[place_of(*view) % PLACES];
        if known.0 != *view {
            let text = texts.value(row);
            let key = match key(text) {
                Cow::Borrowed(key) if key.len() == text.len() => *view,
                key => made.view(&key),
            };
            *known = (*view, key);
        }
        same &= known.1 == *view;
        keys.push(known.1);
    }
    if same {
        return Ok(array);
    }
    let keys = StringViewArray::new(keys.into(), made.finish(), texts.nulls().cloned());
    Ok(Arc::new(keys))
}

fn place_of(view: u128) -> usize {
    let mixed = (view as u64) ^ ((view >> 64) as u64).rotate_left(32);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
}

/// The bytes of texts that an array of views did not have.
#[derive(Default)]
struct Made {
    buffers: Vec<Buffer>,
    bytes: Vec<u8>,
}

impl Made {
    fn view(&mut self, text: &str) -> u128 {
        const INLINE_MAX: usize = 12;
        // Offsets in a buffer are 32 bits, signed in other implementations of Arrow.
        if self.bytes.len() + text.len() > i32::MAX as usize {
            self.buffers.push(std::mem::take(&mut self.bytes).into());
        }
        let at = self.bytes.len();
        if text.len() > INLINE_MAX {
            self.bytes.extend_from_slice(text.as_bytes());
        }
        make_view(text.as_bytes(), self.buffers.len() as u32, at as u32)
    }

    fn finish(mut self) -> Vec<Buffer> {
        self.buffers.push(self.bytes.into());
        self.buffers
    }
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
    fn keys_ignore_case_accents_and_trailing_spaces() {
        assert_eq!(key("Søk  Émile  "), key("søk  emile"));
        assert_eq!(key("ABC"), "abc");
        assert_ne!(key(" abc"), key("abc"));
        assert_ne!(key("a b"), key("ab"));
    }

    #[test]
    fn an_array_has_the_keys_of_its_texts() {
        let long = "A text that is too long for a view  ";
        let own = "a text that is too long for a view";
        let texts = [Some("ABC "), None, Some(""), Some(long), Some(own), Some("abc"), Some("Ø")];
        let texts: Vec<Option<&str>> = texts.into_iter().cycle().take(4096).collect();
        let many: Vec<String> = (0..5000).map(|n| format!("Definition NUMBER {n}")).collect();
        let texts: Vec<Option<&str>> =
            texts.into_iter().chain(many.iter().map(|text| Some(text.as_str()))).collect();
        let array: ArrayRef = Arc::new(StringViewArray::from(texts.clone()));
        for from in [0, 3] {
            let keys = keys(&array.slice(from, array.len() - from)).expect("texts");
            let keys: Vec<Option<&str>> = keys.as_string_view().iter().collect();
            let expected: Vec<_> = texts[from..].iter().map(|text| text.map(key)).collect();
            assert_eq!(keys, expected.iter().map(Option::as_deref).collect::<Vec<_>>());
        }
    }

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
    fn searches_ignore_case_and_accents_and_name_bytes_of_the_text() {
        assert_eq!(find("Naïve", "IV"), Some((2, 5)));
        assert_eq!(find("xe\u{301}y", "E"), Some((1, 4)));
        assert_eq!(find("abc", "abcd"), None);
        let find = |pattern: &str, text: &str| Pattern::new(pattern, None).find(text);
        assert_eq!(find("%[0-9]%", "Æb7"), Some(3));
        assert_eq!(find("%b", "aBb"), Some(2));
        assert_eq!(find("b%", "abb"), None);
        assert_eq!(find("a%", "Abb"), Some(0));
        assert_eq!(find("%", "abc"), Some(0));
    }
}
