//! Record batches as PostgreSQL rows.
//!
//! What Arrow and PostgreSQL understand differently is settled here, on the
//! schema ([`fields`]) and on each batch ([`presented`]), before `arrow-pg`
//! writes the values: GUIDs are `uuid`, table-name columns are text, times and
//! decimals look as PostgreSQL prints them.

use std::sync::Arc;

use arrow_pg::datatypes::{encode_recordbatch, field_into_pg_type};
use chrono::{DateTime, Timelike};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Field, Int32Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, StreamExt, stream};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldFormat, FieldInfo};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::data::DataRow;

use super::error::{from_datafusion, plain, state, to_wire};
use crate::catalog::{entity_name, is_code_in_sql, is_entity_name, is_guid};
use crate::value::{Guid, guid_text};

/// Whether a column of object type codes is answered with table names.
pub fn is_named(field: &Field) -> bool {
    is_entity_name(field) && !is_code_in_sql(field.name()) && *field.data_type() == DataType::Int32
}

/// The PostgreSQL type of a column.
pub fn wire_type(field: &Field) -> PgWireResult<Type> {
    if is_guid(field) {
        Ok(Type::UUID)
    } else if is_named(field) {
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
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::UUID => 16,
        _ => -1,
    }
}

/// The rows of a stream of batches; `schema` is the one the client was told.
pub fn rows(
    batches: SendableRecordBatchStream,
    schema: SchemaRef,
    fields: Arc<Vec<FieldInfo>>,
    text: Arc<str>,
) -> impl Stream<Item = PgWireResult<DataRow>> + Send + 'static {
    let to_rows = move |batch| {
        let encoded = match batch {
            Ok(batch) => presented(&batch, &schema, &fields)
                .map(|batch| encode_recordbatch(fields.clone(), batch))
                .map_err(|e| to_wire(&from_datafusion(e.into()), &text)),
            Err(error) => Err(to_wire(&from_datafusion(error), &text)),
        };
        match encoded {
            Ok(rows) => stream::iter(rows).left_stream(),
            Err(error) => stream::once(async { Err::<DataRow, PgWireError>(error) }).right_stream(),
        }
    };
    batches.flat_map(to_rows)
}

/// The batch with the columns that `arrow-pg` does not write as PostgreSQL does
/// replaced by ones it does.
fn presented(
    batch: &RecordBatch,
    schema: &Schema,
    fields: &[FieldInfo],
) -> Result<RecordBatch, ArrowError> {
    let mut columns = Vec::with_capacity(fields.len());
    let mut described = Vec::with_capacity(fields.len());
    for ((column, field), info) in batch.columns().iter().zip(schema.fields()).zip(fields) {
        let column = presented_column(column, field, info.format())?;
        let data_type = column.data_type().clone();
        described.push(
            Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone()),
        );
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(described)), columns)
}

fn presented_column(
    column: &ArrayRef,
    field: &Field,
    format: FieldFormat,
) -> Result<ArrayRef, ArrowError> {
    // An optimizer may give text in another of Arrow's layouts than it planned.
    let column = match (column.data_type(), field.data_type()) {
        (have, want) if have == want => column.clone(),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => column.clone(),
        (_, want) => cast(column, want)?,
    };
    let as_text = format == FieldFormat::Text;
    let array: ArrayRef = match column.data_type() {
        DataType::FixedSizeBinary(16) if as_text => {
            let guids = column.as_fixed_size_binary().iter();
            strings(guids.map(|v| v.and_then(|v| Guid::try_from(v).ok()).map(|v| guid_text(&v))))
        }
        DataType::FixedSizeBinary(_) => cast(&column, &DataType::Binary)?,
        DataType::Int32 if is_named(field) => {
            let codes = column.as_primitive::<Int32Type>().iter();
            strings(codes.map(|v| v.map(|code| entity_name(code).unwrap_or(code.to_string()))))
        }
        DataType::Timestamp(_, None) if as_text => {
            let times = cast(&column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let times = times.as_primitive::<TimestampMicrosecondType>();
            strings(times.iter().map(|v| v.and_then(time_text)))
        }
        DataType::Decimal128(..) if as_text => {
            let decimals = column.as_primitive::<Decimal128Type>();
            let text = |row| decimals.is_valid(row).then(|| decimals.value_as_string(row));
            strings((0..decimals.len()).map(text))
        }
        _ => column,
    };
    Ok(array)
}

fn strings(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// `2024-05-01 10:00:00.25`: as many digits of the second as there are.
fn time_text(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    let mut text = time.format("%Y-%m-%d %H:%M:%S").to_string();
    let micros = time.nanosecond() / 1_000;
    if micros > 0 {
        let digits = format!("{micros:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Int32Array, TimestampMicrosecondArray};

    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn text_looks_as_postgresql_prints_it() {
        let second = 1_714_557_600_000_000;
        assert_eq!(time_text(second).as_deref(), Some("2024-05-01 10:00:00"));
        assert_eq!(time_text(second + 250_000).as_deref(), Some("2024-05-01 10:00:00.25"));
        assert_eq!(time_text(second + 1).as_deref(), Some("2024-05-01 10:00:00.000001"));
        assert_eq!(time_text(-1).as_deref(), Some("1969-12-31 23:59:59.999999"));
        let text = |array: ArrayRef| {
            let field = Field::new("x", array.data_type().clone(), true);
            let shown = presented_column(&array, &field, FieldFormat::Text).expect("shown");
            shown.as_string::<i32>().iter().map(|v| v.map(String::from)).collect::<Vec<_>>()
        };
        let huge = Decimal128Array::from(vec![Some(10_i128.pow(37)), None])
            .with_precision_and_scale(38, 2)
            .expect("valid");
        assert_eq!(text(Arc::new(huge)), [Some(format!("1{}.00", "0".repeat(35))), None]);
        let times = TimestampMicrosecondArray::from(vec![None, Some(0)]);
        assert_eq!(text(Arc::new(times)), [None, Some("1970-01-01 00:00:00".to_owned())]);
    }

    #[test]
    fn table_name_columns_are_named_except_on_file_attachments() {
        let catalog = Catalog::built_in();
        let field = |table: &str, column: &str| {
            let table = catalog.table(table).expect("built in");
            table.schema().field_with_name(column).expect("documented").clone()
        };
        let jobs = field("asyncoperation", "regardingobjecttypecode");
        assert_eq!(wire_type(&jobs).expect("typed"), Type::TEXT);
        let codes: ArrayRef = Arc::new(Int32Array::from(vec![Some(4700), None, Some(-5)]));
        let shown = presented_column(&codes, &jobs, FieldFormat::Binary).expect("shown");
        let shown: Vec<_> = shown.as_string::<i32>().iter().collect();
        assert_eq!(shown, [Some("asyncoperation"), None, Some("-5")]);
        let files = field("fileattachment", "objectidtypecode");
        assert_eq!(wire_type(&files).expect("typed"), Type::INT4);
        assert_eq!(&presented_column(&codes, &files, FieldFormat::Text).expect("shown"), &codes);
    }

    #[test]
    fn formats_must_match_the_columns() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
        assert!(fields(&schema, &Format::Individual(vec![0, 1])).is_err());
        assert!(fields(&schema, &Format::Individual(vec![1])).is_ok());
    }
}
