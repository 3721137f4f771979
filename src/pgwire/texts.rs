//! PostgreSQL's functions that put texts together in catalog queries.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::pg_catalog::quoted;

/// The functions of this module.
pub fn functions() -> [ScalarUDF; 3] {
    ["format", "json_build_object", "pg_size_pretty"].map(|name| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        ScalarUDF::from(Texts { name, signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Texts {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Texts {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays: Vec<ArrayRef> =
            arguments.args.into_iter().map(|a| a.into_array(rows)).collect::<Result<_>>()?;
        let is_text: Vec<bool> = arrays.iter().map(|a| a.data_type().is_string()).collect();
        let arrays: Vec<ArrayRef> =
            arrays.iter().map(|a| cast(a, &DataType::Utf8)).collect::<Result<_, _>>()?;
        let texts: Vec<&StringArray> = arrays.iter().map(|a| a.as_string::<i32>()).collect();
        let row = |row: usize| {
            let values: Vec<Option<&str>> =
                texts.iter().map(|t| t.is_valid(row).then(|| t.value(row))).collect();
            match self.name {
                "format" => format(&values),
                "json_build_object" => object(&values, &is_text),
                _ => Ok(size(&values)),
            }
        };
        let written: StringArray = (0..rows).map(row).collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(written)))
    }
}

/// `format('%s %I %L', …)`.
fn format(values: &[Option<&str>]) -> Result<Option<String>> {
    let Some((Some(pattern), mut rest)) = values.split_first() else { return Ok(None) };
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let kind = chars.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        let Some((value, others)) = rest.split_first() else {
            return exec_err!("too few arguments for format()");
        };
        rest = others;
        match (kind, value) {
            (Some('s'), value) => out.push_str(value.unwrap_or_default()),
            (Some('I'), Some(value)) => out.push_str(&quoted(value)),
            (Some('L'), Some(value)) => out.push_str(&format!("'{}'", value.replace('\'', "''"))),
            (Some('L'), None) => out.push_str("NULL"),
            _ => return exec_err!("unrecognized format() type specifier"),
        }
    }
    Ok(Some(out))
}

/// `json_build_object(name, value, …)`.
fn object(values: &[Option<&str>], is_text: &[bool]) -> Result<Option<String>> {
    let mut members = Vec::new();
    for (pair, kinds) in values.chunks(2).zip(is_text.chunks(2)) {
        let [Some(name), value] = pair else {
            return exec_err!("json_build_object takes names and values in turn");
        };
        let name = serde_json::Value::from(*name);
        let value = match value {
            None => "null".to_owned(),
            Some(text) if kinds.last() == Some(&true) => serde_json::Value::from(*text).to_string(),
            Some(text) => (*text).to_owned(),
        };
        members.push(format!("{name} : {value}"));
    }
    Ok(Some(format!("{{{}}}", members.join(", "))))
}

/// `pg_size_pretty(bytes)`.
fn size(values: &[Option<&str>]) -> Option<String> {
    let mut size: i64 = values.first().copied().flatten()?.parse().ok()?;
    // Each unit serves up to 10,239 of it.
    let mut units = ["bytes", "kB", "MB", "GB", "TB", "PB"].iter().peekable();
    while let Some(unit) = units.next() {
        if size.abs() < 10 * 1024 || units.peek().is_none() {
            return Some(format!("{size} {unit}"));
        }
        size = (size + 512) / 1024;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_postgresql() {
        let formatted = format(&[Some("%I.%s %L %%"), Some("A b"), Some("t"), Some("o'c")]);
        assert_eq!(formatted.expect("valid").as_deref(), Some("\"A b\".t 'o''c' %"));
        assert!(format(&[Some("%s")]).is_err());
        let built =
            object(&[Some("a"), Some("1"), Some("b"), Some("x")], &[true, false, true, true]);
        assert_eq!(built.expect("pairs").as_deref(), Some(r#"{"a" : 1, "b" : "x"}"#));
        for (bytes, text) in [("0", "0 bytes"), ("10239", "10239 bytes"), ("10240", "10 kB")] {
            assert_eq!(size(&[Some(bytes)]).as_deref(), Some(text));
        }
    }
}
