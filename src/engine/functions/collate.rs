//! `COLLATE name`: text that compares otherwise than by the collation of the
//! database. The text stays as it is; its field carries the collation's name, and
//! comparisons, groups and sorts take the key of that collation.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::engine::collation;

/// Field metadata key; its value is the name of a collation.
const COLLATION: &str = "sysjob.collation";

/// What a collation tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) enum Collation {
    /// By code points.
    Binary,
    Linguistic {
        case: bool,
        accents: bool,
    },
}

impl Collation {
    /// The collation of a name: `Latin1_General_CS_AS`, PostgreSQL's `C`.
    fn parse(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let of_database = Self::Linguistic { case: false, accents: false };
        match upper.as_str() {
            "C" | "POSIX" | "UCS_BASIC" => return Some(Self::Binary),
            "DEFAULT" | "DATABASE_DEFAULT" | "CATALOG_DEFAULT" | "EN_US" | "EN-US-X-ICU" => {
                return Some(of_database);
            }
            _ => {}
        }
        let parts: Vec<&str> = upper.split('_').collect();
        let has = |part: &str| parts.contains(&part);
        if has("BIN") || has("BIN2") {
            return Some(Self::Binary);
        }
        let pair = |yes: &str, no: &str| match (has(yes), has(no)) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
        let known = upper.starts_with("SQL_") || parts.len() > 2;
        let (case, accents) = (pair("CS", "CI")?, pair("AS", "AI")?);
        known.then_some(Self::Linguistic { case, accents })
    }

    /// The text that decides how a text compares: equal ones have the same.
    fn key(self, text: &str) -> Cow<'_, str> {
        let text = text.trim_end_matches(' ');
        let Self::Linguistic { case, accents } = self else { return Cow::Borrowed(text) };
        if !case && !accents {
            return collation::key(text);
        }
        let mut key = collation::key(text).into_owned();
        // What is told apart decides only among texts that are otherwise alike.
        key.push('\0');
        let kept = text.nfd().filter(|c| accents || !is_combining_mark(*c));
        if case {
            // Small letters come before capitals.
            key.extend(kept.map(swapped));
        } else {
            key.extend(kept.flat_map(char::to_lowercase));
        }
        Cow::Owned(key)
    }

    /// A text whose characters differ even where the default collation does not
    /// tell them apart, so that its patterns can be used.
    fn distinct(self, text: &str) -> String {
        let (case, accents) = match self {
            Self::Binary => (true, true),
            Self::Linguistic { case, accents } => (case, accents),
        };
        let apart = |base: u32, c: char| char::from_u32(base + u32::from(c)).unwrap_or(c);
        let place = |c: char| match c {
            c if c.is_ascii_uppercase() && case => apart(0xE000, c),
            c if !c.is_ascii() && (c as u32) < 0xE000 && accents => {
                let small = if case { c } else { c.to_lowercase().next().unwrap_or(c) };
                // Most take one unit of UTF-16 there too, so that places stay.
                apart(if (small as u32) < 0x1800 { 0xE080 } else { 0xF_0000 }, small)
            }
            c => c,
        };
        match accents {
            true => text.nfc().map(place).collect(),
            false => text.nfd().filter(|c| !is_combining_mark(*c)).map(place).collect(),
        }
    }
}

fn swapped(c: char) -> char {
    match c {
        c if c.is_ascii_uppercase() => c.to_ascii_lowercase(),
        c => c.to_ascii_uppercase(),
    }
}

/// Whether there is a collation of this name.
pub fn is_collation(name: &str) -> bool {
    Collation::parse(name).is_some()
}

/// Whether texts of a collation are equal only if they are the same.
pub(in crate::engine) fn is_exact(name: &str) -> bool {
    matches!(
        Collation::parse(name),
        Some(Collation::Binary | Collation::Linguistic { case: true, accents: true })
    )
}

/// The collation that an expression was given.
pub(in crate::engine) fn collation_of(expr: &Expr, schema: &DFSchema) -> Option<String> {
    let (_, field) = expr.to_field(schema).ok()?;
    field.metadata().get(COLLATION).cloned()
}

/// The key of a text in a collation.
pub(in crate::engine) fn collated_key(text: Expr, name: &str) -> Expr {
    match Collation::parse(name) {
        Some(Collation::Linguistic { case: false, accents: false }) | None => {
            collation::collation_key(text)
        }
        Some(collation) => {
            ScalarUDF::new_from_impl(Collated::new(Form::Key, collation)).call(vec![text])
        }
    }
}

/// Text and pattern of a `LIKE` in a collation.
pub(in crate::engine) fn collated_pattern(text: Expr, pattern: Expr, name: &str) -> (Expr, Expr) {
    match Collation::parse(name) {
        Some(Collation::Linguistic { case: false, accents: false }) | None => (text, pattern),
        Some(collation) => {
            let function = ScalarUDF::new_from_impl(Collated::new(Form::Distinct, collation));
            (function.call(vec![text]), function.call(vec![pattern]))
        }
    }
}

/// What is made of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Key,
    Distinct,
}

/// A text in a form of a collation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Collated {
    form: Form,
    collation: Collation,
    signature: Signature,
}

impl Collated {
    fn new(form: Form, collation: Collation) -> Self {
        let signature =
            Signature::uniform(1, vec![DataType::Utf8View, DataType::Utf8], Volatility::Immutable);
        Self { form, collation, signature }
    }

    fn of(&self, text: &str) -> String {
        match self.form {
            Form::Key => self.collation.key(text).into_owned(),
            Form::Distinct => self.collation.distinct(text),
        }
    }
}

impl ScalarUDFImpl for Collated {
    fn name(&self) -> &str {
        match self.form {
            Form::Key => "collation_key",
            Form::Distinct => "collation_text",
        }
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
                let text = scalar.try_as_str().flatten().map(|text| self.of(text));
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(text)))
            }
            ColumnarValue::Array(array) => {
                let texts: ArrayRef = cast(array, &DataType::Utf8View)?;
                let mut answer = StringViewBuilder::with_capacity(texts.len());
                let texts = texts.as_string_view().iter();
                texts.for_each(|text| answer.append_option(text.map(|text| self.of(text))));
                Ok(ColumnarValue::Array(Arc::new(answer.finish())))
            }
        }
    }
}

/// `sql_collate(text, name)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Collate {
    signature: Signature,
}

impl Collate {
    pub fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Collate {
    fn name(&self) -> &str {
        "sql_collate"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [text, _] if text.is_string() || text.is_null() => {
                Ok(vec![DataType::Utf8View, DataType::Utf8])
            }
            _ => plan_err!("Expression type is invalid for COLLATE clause (Msg 447)"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let name = args.scalar_arguments.get(1).copied().flatten();
        let name = name.and_then(|name| name.try_as_str().flatten()).unwrap_or_default();
        let field = Field::new(self.name(), DataType::Utf8View, true);
        Ok(field.with_metadata([(COLLATION.to_owned(), name.to_owned())].into()).into())
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collation(name: &str) -> Collation {
        Collation::parse(name).unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn names_say_what_is_told_apart() {
        for name in ["Latin1_General_BIN", "Latin1_General_100_BIN2", "C"] {
            assert_eq!(collation(name), Collation::Binary, "{name}");
        }
        for (name, case, accents) in [
            ("SQL_Latin1_General_CP1_CI_AS", false, true),
            ("Latin1_General_CS_AS", true, true),
            ("latin1_general_ci_ai", false, false),
            ("Danish_Norwegian_CS_AI", true, false),
            ("default", false, false),
        ] {
            assert_eq!(collation(name), Collation::Linguistic { case, accents }, "{name}");
        }
        for name in ["nonsense", "Latin1_General", "CS_AS", ""] {
            assert!(!is_collation(name), "{name}");
        }
    }

    #[test]
    fn keys_tell_apart_what_the_collation_does() {
        let same = |name: &str, a: &str, b: &str| {
            let collation = collation(name);
            collation.key(a) == collation.key(b)
        };
        assert!(!same("Latin1_General_CS_AS", "a", "A"));
        assert!(!same("Latin1_General_CS_AS", "e", "é"));
        assert!(same("Latin1_General_CS_AI", "e", "é"));
        assert!(same("Latin1_General_CI_AS", "É", "é"));
        assert!(!same("Latin1_General_CI_AS", "e", "é"));
        assert!(same("Latin1_General_BIN", "a", "a  "));
        let cs = collation("Latin1_General_CS_AS");
        let mut texts = ["b", "A", "a", "B"];
        texts.sort_by_key(|text| cs.key(text).into_owned());
        assert_eq!(texts, ["a", "A", "b", "B"]);
    }
}
