//! How text compares, in every dialect: case and accents do not matter, nor do
//! trailing spaces; LIKE has SQL Server's wildcards. The one implementation of
//! the default Dataverse collation (CI_AI).

mod pattern;

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewArray, make_view};
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

pub use self::pattern::{Pattern, like};

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
        let mut folded = String::with_capacity(text.len());
        for c in plain.flat_map(char::to_lowercase) {
            match letters(c) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(c),
            }
        }
        return Cow::Owned(folded);
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Borrowed(text)
}

/// The two letters that a lower-case ligature stands for.
fn letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => return None,
    })
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
    if wanted.is_empty() {
        return None;
    }
    // Half of a ligature is no place of its own.
    let starts = |at: usize| at == 0 || at >= places.len() || places[at - 1].1 != places[at].1;
    let found = (0..places.len().saturating_sub(wanted.len().saturating_sub(1))).find(|at| {
        let part = &places[*at..*at + wanted.len()];
        starts(*at)
            && starts(*at + wanted.len())
            && part.iter().zip(&wanted).all(|((c, _), wanted)| c == wanted)
    })?;
    let end = places.get(found + wanted.len()).map_or(text.len(), |(_, at)| *at);
    Some((places[found].1, end))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_accents_and_trailing_spaces() {
        assert_eq!(key("Søk  Émile  "), key("søk  emile"));
        assert_eq!(key("ABC"), "abc");
        assert_eq!(key("Straße Æsir ŒUVRE ẞ"), "strasse aesir oeuvre ss");
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
    fn searches_ignore_case_and_accents_and_name_bytes_of_the_text() {
        assert_eq!(find("Naïve", "IV"), Some((2, 5)));
        assert_eq!(find("xe\u{301}y", "E"), Some((1, 4)));
        assert_eq!(find("abc", "abcd"), None);
        assert_eq!(find("Straße", "SS"), Some((4, 6)));
        assert_eq!(find("Straße", "se"), None);
    }
}
