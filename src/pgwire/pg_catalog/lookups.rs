//! Functions that answer from the catalogs: names behind numbers, numbers behind
//! names, definitions and comments.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::relations::{Relations, quoted};
use super::types::{self, Listed};
use super::{ids, server};
use crate::error::{Error, codes};
use crate::pgwire::shared::Shared;

/// The types that hold numbers of objects under their names: the type, the
/// function from a name, the function to it, what a missing object is called.
pub const NUMBERED: &[(&str, &str, &str, &str)] = &[
    ("regclass", "regclassin", "regclassout", "relation"),
    ("regtype", "regtypein", "regtypeout", "type"),
    ("regproc", "regprocin", "regprocout", "function"),
    ("regprocedure", "regprocedurein", "regprocedureout", "function"),
    ("regnamespace", "regnamespacein", "regnamespaceout", "schema"),
    ("regrole", "regrolein", "regroleout", "role"),
    ("regcollation", "regcollationin", "regcollationout", "collation"),
    ("regconfig", "regconfigin", "regconfigout", "text search configuration"),
    ("regdictionary", "regdictionaryin", "regdictionaryout", "text search dictionary"),
    ("regoper", "regoperin", "regoperout", "operator"),
    ("regoperator", "regoperatorin", "regoperatorout", "operator"),
];

/// The functions, and what those of PostgreSQL that are not offered would return.
#[derive(Debug)]
pub struct Lookups {
    pub functions: Vec<ScalarUDF>,
    pub listed: HashMap<String, DataType>,
}

type Texts = HashMap<(i64, i64), String>;

impl Lookups {
    pub(super) fn new(
        relations: &Relations<'_>,
        pg_type: &HashMap<i64, Listed>,
        tables: &HashMap<String, RecordBatch>,
    ) -> Result<Self> {
        let mut functions = vec![ScalarUDF::from(FormatType {
            types: Shared(Arc::new(pg_type.clone())),
            signature: any(),
        })];
        let descriptions = relations.descriptions();
        let tables_only = descriptions.iter().filter(|((_, column), _)| *column == 0);
        let tables_only: Texts = tables_only.map(|(k, v)| (*k, v.clone())).collect();
        for (name, texts, second) in [
            ("obj_description", tables_only, false),
            ("col_description", descriptions, true),
            ("pg_get_constraintdef", relations.constraint_definitions(), false),
            ("pg_get_indexdef", relations.index_definitions(), true),
        ] {
            functions.push(texts_of(name, texts, second));
        }
        let hidden = relations.system.iter().filter(|r| r.schema == "information_schema");
        functions.push(ScalarUDF::from(Visible {
            hidden: Shared(Arc::new(hidden.map(|r| r.oid.into()).collect())),
            signature: any(),
        }));
        functions.push(ScalarUDF::from(KeyColumns {
            names: Shared(Arc::new(relations.column_names())),
            signature: any(),
        }));
        for (kind, from, to, what) in NUMBERED {
            let (names, texts) = named(kind, relations, pg_type, tables)?;
            let names = Shared(Arc::new(names));
            let input = |name: String, required| {
                ScalarUDF::from(NumberOf {
                    name,
                    names: names.clone(),
                    what,
                    required,
                    signature: any(),
                })
            };
            functions.push(input((*from).to_owned(), true));
            functions.push(input(format!("to_{kind}"), false));
            functions.push(texts_of(to, texts, false));
        }
        Ok(Self { functions, listed: listed(&tables["pg_proc"])? })
    }
}

/// The numbers of names and the names of numbers of a type.
fn named(
    kind: &str,
    relations: &Relations<'_>,
    pg_type: &HashMap<i64, Listed>,
    tables: &HashMap<String, RecordBatch>,
) -> Result<(HashMap<String, i32>, Texts)> {
    let mut numbers = HashMap::new();
    let mut texts = Texts::new();
    match kind {
        "regclass" => {
            for (schema, name, number) in relations.names() {
                let shown = match schema {
                    "information_schema" => format!("{schema}.{}", quoted(&name)),
                    _ => quoted(&name),
                };
                if schema == super::super::metadata::SCHEMA {
                    numbers.insert(format!("dbo.{name}"), number);
                }
                numbers.insert(format!("{schema}.{name}"), number);
                if schema != "information_schema" {
                    numbers.entry(name).or_insert(number);
                }
                texts.insert((number.into(), 0), shown);
            }
        }
        "regtype" => {
            for (number, listed) in pg_type {
                let formatted = types::format_type(pg_type, *number, None);
                let Ok(number) = i32::try_from(*number) else { continue };
                numbers.insert(listed.name.clone(), number);
                numbers.insert(format!("pg_catalog.{}", listed.name), number);
                texts.insert((number.into(), 0), formatted.clone());
                numbers.insert(formatted, number);
            }
            for (alias, of) in [("int", 23), ("decimal", 1700), ("float", 701), ("dec", 1700)] {
                numbers.insert(alias.into(), of);
            }
        }
        "regnamespace" => {
            for schema in server::SCHEMAS {
                numbers.insert(schema.into(), super::relations::namespace(schema));
            }
        }
        "regproc" | "regprocedure" => {
            numbers = ids(&tables["pg_proc"], "proname")?;
            let names = super::column(&tables["pg_proc"], "proname")?.as_string::<i32>();
            for (name, number) in names.iter().zip(super::numbers(&tables["pg_proc"], "oid")?) {
                if let (Some(name), Some(number)) = (name, number) {
                    texts.insert((number.into(), 0), name.to_owned());
                }
            }
            texts.insert((0, 0), "-".into());
        }
        "regcollation" => numbers = ids(&tables["pg_collation"], "collname")?,
        "regconfig" => numbers = ids(&tables["pg_ts_config"], "cfgname")?,
        "regdictionary" => numbers = ids(&tables["pg_ts_dict"], "dictname")?,
        _ => {}
    }
    if texts.is_empty() {
        texts = numbers.iter().map(|(n, id)| ((i64::from(*id), 0), quoted(n))).collect();
    }
    Ok((numbers, texts))
}

/// The functions of `pg_proc` with the types they return.
fn listed(pg_proc: &RecordBatch) -> Result<HashMap<String, DataType>> {
    let names = super::column(pg_proc, "proname")?.as_string::<i32>();
    let returns = super::numbers(pg_proc, "prorettype")?;
    let data_type = |oid: i32| match oid {
        16 => DataType::Boolean,
        20 => DataType::Int64,
        21 | 23 | 26 => DataType::Int32,
        700 | 701 => DataType::Float64,
        _ => DataType::Utf8,
    };
    let pairs = names.iter().flatten().zip(returns.values());
    Ok(pairs.map(|(name, returns)| (name.to_owned(), data_type(*returns))).collect())
}

fn any() -> Signature {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    Signature::one_of(any, Volatility::Stable)
}

/// An argument as whole numbers; what is none is null.
fn whole(arguments: &[ArrayRef], at: usize) -> Result<Option<Int64Array>> {
    let Some(argument) = arguments.get(at) else { return Ok(None) };
    let numbers = cast(argument, &DataType::Int64)?;
    Ok(Some(numbers.as_primitive::<Int64Type>().clone()))
}

fn texts_of(name: &'static str, texts: Texts, second: bool) -> ScalarUDF {
    ScalarUDF::from(TextOf { name, texts: Shared(Arc::new(texts)), second, signature: any() })
}

/// `f(number [, number])`: a text, or null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextOf {
    name: &'static str,
    texts: Shared<Texts>,
    /// Whether the second argument tells texts apart.
    second: bool,
    signature: Signature,
}

impl ScalarUDFImpl for TextOf {
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
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(first) = whole(&arrays, 0)? else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
        };
        let second = if self.second { whole(&arrays, 1)? } else { None };
        let text = |row: usize| {
            let number = first.is_valid(row).then(|| first.value(row))?;
            let part = match &second {
                Some(second) if second.is_valid(row) => second.value(row),
                Some(_) => return None,
                None => 0,
            };
            self.texts.0.get(&(number, part)).cloned()
        };
        let texts: StringArray = (0..first.len()).map(text).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

/// `regclassin(name or number)` and its like; `to_regclass(name)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NumberOf {
    name: String,
    names: Shared<HashMap<String, i32>>,
    what: &'static str,
    /// Whether an unknown name is an error.
    required: bool,
    signature: Signature,
}

impl NumberOf {
    fn number(&self, text: &str) -> Result<Option<i32>> {
        if let Ok(number) = text.trim().parse() {
            return Ok(Some(number));
        }
        let folded = folded(text);
        let unmodified = folded.split('(').next().unwrap_or_default().trim();
        let plain = unmodified.strip_prefix("pg_catalog.").unwrap_or(unmodified);
        let names = [folded.as_str(), unmodified, plain];
        let found = names.into_iter().find_map(|name| self.names.0.get(name));
        match found {
            None if self.required && folded != "-" => {
                let message = format!("{} \"{text}\" does not exist", self.what);
                let error = Error::invalid(codes::INVALID_ARGUMENT, message);
                let state = if self.what == "relation" { "42P01" } else { "42704" };
                Err(DataFusionError::External(Box::new(error.sqlstate(state))))
            }
            None if folded == "-" => Ok(Some(0)),
            found => Ok(found.copied()),
        }
    }
}

/// A name as it is compared: what is not in quotes in lower case, without quotes.
fn folded(text: &str) -> String {
    let mut out = String::new();
    let mut in_quotes = false;
    for c in text.trim().chars() {
        match c {
            '"' => in_quotes = !in_quotes,
            c if in_quotes => out.push(c),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

impl ScalarUDFImpl for NumberOf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(first) = arrays.first() else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Int32(None)));
        };
        if first.data_type().is_integer() {
            return Ok(ColumnarValue::Array(cast(first, &DataType::Int32)?));
        }
        let names = cast(first, &DataType::Utf8)?;
        let number = |name: Option<&str>| name.map_or(Ok(None), |name| self.number(name));
        let numbers = names.as_string::<i32>().iter().map(number);
        let numbers: Int32Array = numbers.collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}

/// `format_type(oid, modifier)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FormatType {
    types: Shared<HashMap<i64, Listed>>,
    signature: Signature,
}

impl ScalarUDFImpl for FormatType {
    fn name(&self) -> &str {
        "format_type"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(oids) = whole(&arrays, 0)? else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
        };
        let modifiers = whole(&arrays, 1)?;
        let text = |row: usize| {
            let oid = oids.is_valid(row).then(|| oids.value(row))?;
            let modifier = modifiers.as_ref().filter(|m| m.is_valid(row)).map(|m| m.value(row));
            Some(types::format_type(&self.types.0, oid, modifier))
        };
        let texts: StringArray = (0..oids.len()).map(text).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

/// `pg_key_columns(relation, positions)`: the names of columns.
#[derive(Debug, PartialEq, Eq, Hash)]
struct KeyColumns {
    names: Shared<Texts>,
    signature: Signature,
}

impl ScalarUDFImpl for KeyColumns {
    fn name(&self) -> &str {
        "pg_key_columns"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut names = ListBuilder::new(StringBuilder::new());
        if let (Some(relations), Some(lists)) = (whole(&arrays, 0)?, arrays.get(1)) {
            let as_list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
            let lists = cast(lists, &as_list)?;
            for (relation, list) in relations.iter().zip(lists.as_list::<i32>().iter()) {
                let (Some(relation), Some(list)) = (relation, list) else {
                    names.append_null();
                    continue;
                };
                let positions = list.as_primitive::<Int64Type>().iter();
                let name = |p: Option<i64>| p.and_then(|p| self.names.0.get(&(relation, p)));
                names.append_value(positions.map(name));
            }
        }
        Ok(ColumnarValue::Array(Arc::new(names.finish())))
    }
}

/// `pg_table_is_visible(oid)`: whether a relation is found without its schema.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Visible {
    hidden: Shared<HashSet<i64>>,
    signature: Signature,
}

impl ScalarUDFImpl for Visible {
    fn name(&self) -> &str {
        "pg_table_is_visible"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(numbers) = whole(&arrays, 0)? else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
        };
        let visible = numbers.iter().map(|n| n.map(|n| !self.hidden.0.contains(&n)));
        Ok(ColumnarValue::Array(Arc::new(visible.collect::<BooleanArray>())))
    }
}
