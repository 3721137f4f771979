//! Tables of the catalogs written down: their columns as one text, their rows as
//! the cells that differ from the columns' defaults.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{
    DataType, Field, Int16Type, Int32Type, Schema, SchemaRef, TimeUnit,
};
use datafusion::arrow::error::ArrowError;

/// Field metadata that makes a number of `arrow-pg` an `oid`.
const OID_KEY: &str = "pg.oid_alias";

/// Field metadata that makes a list one of PostgreSQL's vectors: of what.
pub const VECTOR_KEY: &str = "sysjob.vector";

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Bool(bool),
    Text(String),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        i64::try_from(value).map_or(Self::Null, Self::Int)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<Vec<i64>> for Cell {
    fn from(value: Vec<i64>) -> Self {
        Self::Ints(value)
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Name,
    Int,
    Small,
    Big,
    Bool,
    Time,
    Oid,
    Float,
    Smalls,
    Ints,
    Texts,
    /// `int2vector` and `oidvector`.
    SmallVector,
    OidVector,
}

/// The letters of [`Shape::new`].
const KINDS: &[(&str, Kind)] = &[
    ("s", Kind::Text),
    ("n", Kind::Name),
    ("i", Kind::Int),
    ("h", Kind::Small),
    ("l", Kind::Big),
    ("b", Kind::Bool),
    ("t", Kind::Time),
    ("o", Kind::Oid),
    ("f", Kind::Float),
    ("h[]", Kind::Smalls),
    ("i[]", Kind::Ints),
    ("s[]", Kind::Texts),
    ("hv", Kind::SmallVector),
    ("ov", Kind::OidVector),
];

/// A column of a [`Shape`].
#[derive(Clone, Debug)]
pub struct Shaped {
    pub name: &'static str,
    pub kind: Kind,
    default: Cell,
}

/// The columns of a table.
#[derive(Clone, Debug)]
pub struct Shape {
    pub columns: Vec<Shaped>,
}

impl Shape {
    /// Reads `name:kind` or `name:kind=default` for each column; without a default
    /// it is null. The kinds are the letters of `KINDS`.
    ///
    /// # Panics
    /// If the text, which is part of the program, is not like that.
    pub fn new(text: &'static str) -> Self {
        let column = |word: &'static str| {
            let (name, rest) = word.split_once(':').expect("a column has a kind");
            let (letter, default) = rest.split_once('=').unwrap_or((rest, ""));
            let kind = KINDS.iter().find(|(l, _)| *l == letter).expect("a known kind").1;
            let default = match kind {
                _ if !rest.contains('=') => Cell::Null,
                Kind::Text | Kind::Name => Cell::Text(default.to_owned()),
                Kind::Bool => Cell::Bool(default == "1"),
                _ => Cell::Int(default.parse().expect("a number")),
            };
            Shaped { name, kind, default }
        };
        Self { columns: text.split_whitespace().map(column).collect() }
    }

    /// The Arrow schema. `views`: text as the engine's tables have it.
    pub fn schema(&self, views: bool) -> SchemaRef {
        let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
        let marked = |field: Field, key: &str, value: &str| {
            field.with_metadata(HashMap::from([(key.to_owned(), value.to_owned())]))
        };
        let field = |column: &Shaped| {
            let data_type = match column.kind {
                Kind::Text | Kind::Name if views => DataType::Utf8View,
                Kind::Text | Kind::Name => DataType::Utf8,
                Kind::Int | Kind::Oid => DataType::Int32,
                Kind::Small => DataType::Int16,
                Kind::Big => DataType::Int64,
                Kind::Bool => DataType::Boolean,
                Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
                Kind::Float => DataType::Float32,
                Kind::Smalls | Kind::SmallVector => list(DataType::Int16),
                Kind::Ints | Kind::OidVector => list(DataType::Int32),
                Kind::Texts => list(DataType::Utf8),
            };
            let field = Field::new(column.name, data_type, true);
            match column.kind {
                Kind::Oid => marked(field, OID_KEY, "oid"),
                Kind::OidVector => marked(field, VECTOR_KEY, "oid"),
                Kind::SmallVector => marked(field, VECTOR_KEY, "int2"),
                _ => field,
            }
        };
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// The rows as a batch.
    pub fn batch(&self, rows: &[Row], views: bool) -> Result<RecordBatch, ArrowError> {
        let schema = self.schema(views);
        let columns = self.columns.iter().map(|column| column.array(rows, views)).collect();
        RecordBatch::try_new(schema, columns)
    }
}

impl Shaped {
    fn array(&self, rows: &[Row], views: bool) -> ArrayRef {
        let cells = rows.iter().map(|row| row.get(self.name).unwrap_or(&self.default));
        let ints = || {
            cells.clone().map(|cell| match cell {
                Cell::Int(value) => Some(*value),
                _ => None,
            })
        };
        let lists = || {
            cells.clone().map(|cell| match cell {
                Cell::Ints(values) => Some(values.clone()),
                _ => None,
            })
        };
        match self.kind {
            Kind::Text | Kind::Name => {
                let texts = cells.map(|cell| match cell {
                    Cell::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                if views {
                    Arc::new(texts.collect::<StringViewArray>())
                } else {
                    Arc::new(texts.collect::<StringArray>())
                }
            }
            Kind::Int | Kind::Oid => {
                let narrow = |v: Option<i64>| v.and_then(|v| i32::try_from(v).ok());
                Arc::new(ints().map(narrow).collect::<Int32Array>())
            }
            Kind::Small => {
                let narrow = |v: Option<i64>| v.and_then(|v| i16::try_from(v).ok());
                Arc::new(ints().map(narrow).collect::<Int16Array>())
            }
            Kind::Big => Arc::new(ints().collect::<Int64Array>()),
            Kind::Time => Arc::new(ints().collect::<TimestampMicrosecondArray>()),
            // The few of these are counts or -1.
            Kind::Float => Arc::new(ints().map(|v| v.map(|v| v as f32)).collect::<Float32Array>()),
            Kind::Bool => Arc::new(
                cells
                    .map(|cell| match cell {
                        Cell::Bool(value) => Some(*value),
                        _ => None,
                    })
                    .collect::<BooleanArray>(),
            ),
            Kind::Smalls | Kind::SmallVector => {
                let narrow = |list: Vec<i64>| list.into_iter().map(|v| i16::try_from(v).ok());
                Arc::new(ListArray::from_iter_primitive::<Int16Type, _, _>(
                    lists().map(|list| list.map(narrow)),
                ))
            }
            Kind::Ints | Kind::OidVector => {
                let narrow = |list: Vec<i64>| list.into_iter().map(|v| i32::try_from(v).ok());
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
                    lists().map(|list| list.map(narrow)),
                ))
            }
            Kind::Texts => {
                let mut builder = datafusion::arrow::array::ListBuilder::new(
                    datafusion::arrow::array::StringBuilder::new(),
                );
                for cell in cells {
                    match cell {
                        Cell::Texts(texts) => builder.append_value(texts.iter().map(Some)),
                        _ => builder.append_null(),
                    }
                }
                Arc::new(builder.finish())
            }
        }
    }
}

/// The cells of a row that are not their columns' defaults, by name.
#[derive(Clone, Debug, Default)]
pub struct Row(HashMap<&'static str, Cell>);

impl Row {
    pub fn new() -> Self {
        Self::default()
    }

    /// This row with one more cell.
    pub fn with(mut self, name: &'static str, value: impl Into<Cell>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    /// The cell of a column, where it is not the default.
    pub fn get(&self, name: &str) -> Option<&Cell> {
        self.0.get(name)
    }
}
