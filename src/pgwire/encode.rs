//! Record batches as PostgreSQL rows: what the client is told of the columns,
//! and the stream of rows that follows.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow_pg::datatypes::field_into_pg_type;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldInfo;
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::data::DataRow;

use super::arrays::{array_of, list_element};
use super::cell::Column;
use super::error::{from_datafusion, plain, state, to_wire};
use crate::catalog::views::shape::VECTOR_KEY;
use crate::catalog::{is_code_in_sql, is_entity_name, is_guid};

/// The batches of a result as they come.
pub type Batches = BoxStream<'static, Result<RecordBatch, DataFusionError>>;

/// Whether a column of object type codes is answered with table names.
pub fn is_named(field: &Field) -> bool {
    is_entity_name(field) && !is_code_in_sql(field.name()) && *field.data_type() == DataType::Int32
}

/// The PostgreSQL type of a column.
pub fn wire_type(field: &Field) -> PgWireResult<Type> {
    if let Some(kind) = field.metadata().get(VECTOR_KEY) {
        Ok(if kind == "oid" { Type::OID_VECTOR } else { Type::INT2_VECTOR })
    } else if let Some(array) =
        list_element(field.data_type()).and_then(|element| array_of(&wire_type(element).ok()?))
    {
        Ok(array)
    } else if is_guid(field) {
        Ok(Type::UUID)
    } else if is_named(field) || *field.data_type() == DataType::Null {
        // As in PostgreSQL, a column of nothing but NULL is text.
        Ok(Type::TEXT)
    } else {
        field_into_pg_type(&Arc::new(field.clone()))
    }
}

/// The row description of a result.
pub fn fields(schema: &Schema, format: &Format) -> PgWireResult<Vec<FieldInfo>> {
    let columns = schema.fields().len();
    if let Format::Individual(codes) = format
        && codes.len() != columns
    {
        let message = format!("{} result formats were given for {columns} columns", codes.len());
        return Err(plain(state::PROTOCOL_VIOLATION, message));
    }
    let field = |(at, field): (usize, &Arc<Field>)| {
        let pg_type = wire_type(field)?;
        let size = type_size(&pg_type);
        let info = FieldInfo::new(field.name().clone(), None, None, pg_type, format.format_for(at));
        Ok(info.with_type_size(size))
    };
    schema.fields().iter().enumerate().map(field).collect()
}

fn type_size(pg_type: &Type) -> i16 {
    match *pg_type {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE | Type::REGROLE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::UUID | Type::INTERVAL => 16,
        Type::NAME => 64,
        _ => -1,
    }
}

/// A batch whose columns are ready to be written.
pub struct Table {
    columns: Vec<Column>,
    rows: usize,
}

impl Table {
    /// `schema` is the one the client was told.
    pub fn new(
        batch: &RecordBatch,
        schema: &Schema,
        fields: &[FieldInfo],
        text: &str,
    ) -> PgWireResult<Self> {
        let columns = batch.columns().iter().zip(schema.fields()).zip(fields);
        let columns: Result<_, _> =
            columns.map(|((array, field), info)| Column::new(array, field, info)).collect();
        let columns = columns.map_err(|e| to_wire(&from_datafusion(e.into()), text))?;
        Ok(Self { columns, rows: batch.num_rows() })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// Writes a row as both `DataRow` and binary `COPY` have it: each value
    /// behind its length, which is -1 for null.
    pub fn write(&mut self, row: usize, out: &mut Vec<u8>) -> PgWireResult<()> {
        for column in &mut self.columns {
            let start = out.len();
            out.extend((-1_i32).to_be_bytes());
            if column.write(row, out)? {
                let length = out.len() - start - 4;
                let length = i32::try_from(length)
                    .map_err(|_| plain("54000", "a value is longer than the protocol allows"))?;
                out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(())
    }
}

/// The rows of a stream of batches. A batch is asked for when the rows of the
/// one before have been taken.
pub struct Rows {
    batches: Batches,
    schema: SchemaRef,
    fields: Arc<Vec<FieldInfo>>,
    /// The request, for the places of errors.
    text: Arc<str>,
    table: Option<Table>,
    at: usize,
    row: Vec<u8>,
    /// Rows are cut off from the memory that this has.
    pool: DataRow,
}

impl Rows {
    pub fn new(
        batches: Batches,
        schema: SchemaRef,
        fields: Arc<Vec<FieldInfo>>,
        text: Arc<str>,
    ) -> Self {
        let (row, pool) = (Vec::new(), DataRow::default());
        Self { batches, schema, fields, text, table: None, at: 0, row, pool }
    }
}

impl Stream for Rows {
    type Item = PgWireResult<DataRow>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(table) = &mut this.table {
                if this.at < table.rows {
                    this.row.clear();
                    let written = table.write(this.at, &mut this.row);
                    this.at += 1;
                    return Poll::Ready(Some(written.map(|()| {
                        this.pool.data.extend_from_slice(&this.row);
                        DataRow::new(this.pool.data.split(), this.fields.len() as i16)
                    })));
                }
                this.table = None;
            }
            let batch = match ready!(this.batches.poll_next_unpin(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let error: PgWireError = to_wire(&from_datafusion(error), &this.text);
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(batch)) => batch,
            };
            match Table::new(&batch, &this.schema, &this.fields, &this.text) {
                Ok(table) => (this.table, this.at) = (Some(table), 0),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, AsArray, Int32Array};
    use datafusion::arrow::datatypes::Int32Type;
    use pgwire::api::results::FieldFormat;

    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn table_name_columns_are_named_except_on_file_attachments() {
        let catalog = Catalog::built_in();
        let field = |table: &str, column: &str| {
            let table = catalog.table(table).expect("built in");
            table.schema().field_with_name(column).expect("documented").clone()
        };
        let codes: ArrayRef = Arc::new(Int32Array::from(vec![Some(4700), None, Some(-5)]));
        let shown = |field: &Field, format| {
            let info = FieldInfo::new("x".into(), None, None, Type::TEXT, format);
            let mut column = Column::new(&codes, field, &info).expect("readable");
            let cell = |row| {
                let mut out = Vec::new();
                column.write(row, &mut out).expect("written").then_some(out)
            };
            (0..3).map(cell).collect::<Vec<_>>()
        };
        let jobs = field("asyncoperation", "regardingobjecttypecode");
        assert_eq!(wire_type(&jobs).expect("typed"), Type::TEXT);
        for format in [FieldFormat::Text, FieldFormat::Binary] {
            let expected = [Some(b"asyncoperation".to_vec()), None, Some(b"-5".to_vec())];
            assert_eq!(shown(&jobs, format), expected);
        }
        let files = field("fileattachment", "objectidtypecode");
        assert_eq!(wire_type(&files).expect("typed"), Type::INT4);
        let code = codes.as_primitive::<Int32Type>().value(0);
        assert_eq!(shown(&files, FieldFormat::Text)[0], Some(code.to_string().into_bytes()));
    }

    #[test]
    fn formats_must_match_the_columns() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
        assert!(fields(&schema, &Format::Individual(vec![0, 1])).is_err());
        assert!(fields(&schema, &Format::Individual(vec![1])).is_ok());
    }
}
