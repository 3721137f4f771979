//! Tables attached from Parquet files: read-only, for SQL, beside the stored
//! tables. What their columns are is read from the files' footers once, when they
//! are attached; rows are read by queries.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::file::is_table_name;
use super::{Catalog, Column, ColumnType, Table, nearest};
use crate::error::{Error, Place, Result, codes};

/// The digits after the point that a decimal column has here.
const DECIMAL_SCALE: i8 = 10;

/// A file, or a folder of files, under the name it shall have as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub name: String,
    pub path: PathBuf,
}

impl std::str::FromStr for Attachment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.trim().to_owned(), path: path.into() })
            }
            _ => Err("it is written name=path, such as old=/exports/jobs.parquet".to_owned()),
        }
    }
}

/// One file of an attached table, as it was when it was attached.
#[derive(Debug)]
pub struct AttachedFile {
    /// Absolute, without links.
    pub path: PathBuf,
    pub size: u64,
    pub modified: SystemTime,
    pub rows: u64,
}

impl AttachedFile {
    /// An error if the file is no longer the one that was attached.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| {
            let place = Place::Part(self.path.display().to_string());
            Error::data(what).at(place)
        };
        let now = fs::metadata(&self.path)
            .and_then(|now| Ok((now.len(), now.modified()?)))
            .map_err(|e| wrong(format!("the attached file cannot be read: {e}")).caused_by(e))?;
        match now == (self.size, self.modified) {
            true => Ok(()),
            false => Err(wrong(
                "the file has changed since it was attached; start the service again to read it \
                 as it is now"
                    .to_owned(),
            )),
        }
    }
}

/// An attached table.
#[derive(Debug)]
pub struct Attached {
    pub table: Arc<Table>,
    pub files: Vec<AttachedFile>,
}

impl Attached {
    /// Reads the footers of the files.
    pub fn open(attachment: &Attachment) -> Result<Self> {
        let origin = Origin(attachment);
        if !is_table_name(&attachment.name) {
            return Err(origin.error(
                "the name of a table is lower-case letters, digits and '_', begins with a \
                 letter, and not with 'pg_'",
            ));
        }
        let mut files = Vec::new();
        let mut first: Option<Vec<Column>> = None;
        for path in origin.paths()? {
            let (file, schema) = origin.footer(path)?;
            let columns = origin.columns(&file.path, &schema)?;
            match &first {
                None => first = Some(columns),
                Some(first) => origin.same_columns(&file.path, first, &columns)?,
            }
            files.push(file);
        }
        let mut table = Table::listed(&attachment.name, first.unwrap_or_default());
        table.description = format!("Attached from {}", attachment.path.display());
        Ok(Self { table: Arc::new(table), files })
    }

    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Columns of types that no query can read, with the types.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        let unread = self.table.columns.iter().filter(|column| !column.read);
        unread.map(|column| (column.logical_name.as_str(), column.description.as_str()))
    }
}

/// What is being attached, for errors.
struct Origin<'a>(&'a Attachment);

impl Origin<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        let place = format!("--attach {}={}", self.0.name, self.0.path.display());
        Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(place))
    }

    fn unreadable(&self, path: &Path, e: std::io::Error) -> Error {
        self.error(format!("'{}' cannot be read: {e}", path.display())).caused_by(e)
    }

    /// The files in the order of their names.
    fn paths(&self) -> Result<Vec<PathBuf>> {
        let path = self.0.path.canonicalize().map_err(|e| self.unreadable(&self.0.path, e))?;
        if !path.is_dir() {
            return Ok(vec![path]);
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(&path).map_err(|e| self.unreadable(&path, e))? {
            let path = entry.map_err(|e| self.unreadable(&path, e))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            // What the programs that write such folders put beside the rows.
            if name.starts_with(['.', '_']) {
                continue;
            }
            if path.is_dir() {
                let message = format!(
                    "'{}' is a folder in the folder; attach the folders with the files one by one",
                    path.display()
                );
                return Err(self.error(message));
            }
            if name.ends_with(".parquet") {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(self.error("the folder holds no file named *.parquet"));
        }
        paths.sort();
        Ok(paths)
    }

    fn footer(&self, path: PathBuf) -> Result<(AttachedFile, Arc<Schema>)> {
        let file = File::open(&path).map_err(|e| self.unreadable(&path, e))?;
        let attributes = |about: Metadata| Ok((about.len(), about.modified()?));
        let (size, modified) =
            file.metadata().and_then(attributes).map_err(|e| self.unreadable(&path, e))?;
        let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| {
            let message = format!("'{}' cannot be read as a Parquet file: {e}", path.display());
            self.error(message).caused_by(e)
        })?;
        let rows = u64::try_from(footer.metadata().file_metadata().num_rows()).unwrap_or_default();
        Ok((AttachedFile { path, size, modified, rows }, footer.schema().clone()))
    }

    /// The columns of a file as queries see them.
    fn columns(&self, path: &Path, schema: &Schema) -> Result<Vec<Column>> {
        let mut names: HashMap<String, &str> = HashMap::new();
        for field in schema.fields() {
            let name = field.name();
            if name.is_empty() {
                let message = format!("'{}' has a column without a name", path.display());
                return Err(self.error(message));
            }
            if let Some(other) = names.insert(name.to_lowercase(), name) {
                return Err(self.error(format!(
                    "'{}' has the columns '{other}' and '{name}', which are one name in SQL",
                    path.display()
                )));
            }
        }
        if names.is_empty() {
            return Err(self.error(format!("'{}' has no columns", path.display())));
        }
        Ok(schema.fields().iter().map(|field| column(field)).collect())
    }

    /// An error if a file has other columns than the first one.
    fn same_columns(&self, path: &Path, first: &[Column], columns: &[Column]) -> Result<()> {
        let path = path.display();
        let find = |columns: &[Column], name: &str| {
            columns.iter().find(|c| c.logical_name == name).map(Column::data_type)
        };
        for Column { logical_name: name, .. } in first.iter().chain(columns) {
            match (find(first, name), find(columns, name)) {
                (Some(first), Some(here)) if first == here => {}
                (Some(first), Some(here)) => {
                    return Err(self.error(format!(
                        "column '{name}' of '{path}' is {here}, and {first} in the files before"
                    )));
                }
                (Some(_), None) => {
                    return Err(self.error(format!(
                        "'{path}' has no column '{name}', which the files before have"
                    )));
                }
                _ => {
                    return Err(self.error(format!(
                        "'{path}' has the column '{name}', which the files before do not have"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// A column of a file as a column of a table.
fn column(field: &Field) -> Column {
    match kind(field.data_type()) {
        Some((column_type, format)) => Column {
            description: String::new(),
            ..Column::computed(field.name(), column_type, format)
        },
        None => Column {
            description: field.data_type().to_string(),
            read: false,
            ..Column::computed(field.name(), ColumnType::String, None)
        },
    }
}

/// The type that values of an Arrow type have in queries, with the format of the
/// column; nothing if there is none.
fn kind(of: &DataType) -> Option<(ColumnType, Option<&'static str>)> {
    let plain = match of {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            ColumnType::String
        }
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            ColumnType::Integer
        }
        DataType::Int64 | DataType::UInt32 => ColumnType::BigInt,
        DataType::UInt64 => ColumnType::Decimal,
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if *scale <= DECIMAL_SCALE =>
        {
            ColumnType::Decimal
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Double,
        DataType::Timestamp(..) => ColumnType::DateTime,
        DataType::Date32 | DataType::Date64 => {
            return Some((ColumnType::DateTime, Some("DateOnly")));
        }
        DataType::FixedSizeBinary(16) => ColumnType::Uniqueidentifier,
        DataType::Dictionary(_, values) => return kind(values),
        _ => return None,
    };
    Some((plain, None))
}

impl Catalog {
    /// This catalog with attached tables beside its own.
    pub fn attach(mut self, attachments: &[Attachment]) -> Result<Self> {
        for attachment in attachments {
            let attached = Attached::open(attachment)?;
            let name = &attached.table.logical_name;
            if self.any_table(name).is_some() {
                return Err(Origin(attachment).error("there is a table of this name already"));
            }
            self.attached.push(Arc::new(attached));
        }
        Ok(Self::numbered(self.tables, self.attached))
    }

    /// The attached tables.
    pub fn attached(&self) -> &[Arc<Attached>] {
        &self.attached
    }

    /// An attached table by its name, exact spelling.
    pub fn attached_table(&self, name: &str) -> Option<&Arc<Attached>> {
        self.attached.iter().find(|attached| attached.table.logical_name == name)
    }

    /// All that SQL knows as tables: those of the catalog, then the attached ones,
    /// which have neither keys nor relationships.
    pub fn all_tables(&self) -> impl Iterator<Item = &Arc<Table>> + Clone {
        self.tables.iter().chain(self.attached.iter().map(|attached| &attached.table))
    }

    /// A table of the catalog or an attached one by its name, exact spelling.
    pub fn any_table(&self, name: &str) -> Option<&Arc<Table>> {
        self.table(name).or_else(|| self.attached_table(name).map(|attached| &attached.table))
    }

    /// The name nearest to a misspelt one among all that SQL knows as tables.
    pub fn nearest_of_all_tables(&self, name: &str) -> Option<&str> {
        nearest(name, self.all_tables().map(|table| table.logical_name.as_str()))
    }
}
