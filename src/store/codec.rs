//! The bytes of a row in the journal.
//!
//! A row is a list of cells: column number (u16), kind (u8), payload. Numbers
//! and times are little-endian, text has a u32 length in front, GUIDs are 16
//! bytes. Column numbers are the data folder's own ([`Numbering`]), so that a
//! catalog with more columns still reads old rows. Entity names are written as
//! text: their codes beyond the documented ones belong to a process.

use datafusion::arrow::datatypes::DataType;

use super::numbering::TableNumbering;
use crate::catalog::{ColumnType, Table, entity_code, entity_name};
use crate::error::{Error, Result};
use crate::value::Value;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT32: u8 = 3;
const INT64: u8 = 4;
const FLOAT64: u8 = 5;
const DECIMAL: u8 = 6;
const GUID: u8 = 7;
const TEXT: u8 = 8;
const TIME: u8 = 9;
const DATE: u8 = 10;

/// The bytes of some cells of a row: pairs of catalog column and value.
pub fn encode(cells: &[(usize, Value)], table: &Table, numbering: &TableNumbering) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(cells.len() * 12);
    for (column, value) in cells {
        bytes.extend_from_slice(&numbering.number(*column).to_le_bytes());
        let is_name = table.columns[*column].column_type == ColumnType::EntityName;
        match value {
            Value::Int32(code) if is_name => match entity_name(*code) {
                Some(name) => put_text(&mut bytes, &name),
                None => put(&mut bytes, INT32, &code.to_le_bytes()),
            },
            Value::Null => bytes.push(NULL),
            Value::Boolean(v) => bytes.push(if *v { TRUE } else { FALSE }),
            Value::Int32(v) => put(&mut bytes, INT32, &v.to_le_bytes()),
            Value::Int64(v) => put(&mut bytes, INT64, &v.to_le_bytes()),
            Value::Float64(v) => put(&mut bytes, FLOAT64, &v.to_le_bytes()),
            Value::Decimal(v) => put(&mut bytes, DECIMAL, &v.to_le_bytes()),
            Value::Guid(v) => put(&mut bytes, GUID, v),
            Value::Text(v) => put_text(&mut bytes, v),
            Value::Time(v) => put(&mut bytes, TIME, &v.to_le_bytes()),
            Value::Date(v) => put(&mut bytes, DATE, &v.to_le_bytes()),
        }
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(payload);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(TEXT);
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// The cells of a row; columns the catalog no longer has are left out.
pub fn decode(
    bytes: &[u8],
    table: &Table,
    numbering: &TableNumbering,
) -> Result<Vec<(usize, Value)>> {
    let mut reader = Reader { bytes };
    let mut cells = Vec::new();
    while !reader.bytes.is_empty() {
        let number = u16::from_le_bytes(reader.take()?);
        let value = reader.value()?;
        let Some(column) = numbering.column(number) else { continue };
        let value = match value {
            Value::Text(name) if table.columns[column].column_type == ColumnType::EntityName => {
                Value::Int32(entity_code(&name))
            }
            value if fits(&value, table.schema().field(column).data_type()) => value,
            _ => {
                return Err(Error::data(format!(
                    "rows of '{}' were stored when the column '{}' had another type than the catalog says now",
                    table.logical_name, table.columns[column].logical_name
                )));
            }
        };
        cells.push((column, value));
    }
    Ok(cells)
}

/// Whether a column of this type can hold the value.
fn fits(value: &Value, data_type: &DataType) -> bool {
    match value {
        Value::Null => true,
        Value::Boolean(_) => *data_type == DataType::Boolean,
        Value::Int32(_) => *data_type == DataType::Int32,
        Value::Int64(_) => *data_type == DataType::Int64,
        Value::Float64(_) => *data_type == DataType::Float64,
        Value::Decimal(_) => matches!(data_type, DataType::Decimal128(_, _)),
        Value::Guid(_) => matches!(data_type, DataType::FixedSizeBinary(16)),
        Value::Text(_) => *data_type == DataType::Utf8View,
        Value::Time(_) => matches!(data_type, DataType::Timestamp(_, _)),
        Value::Date(_) => *data_type == DataType::Date32,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn slice(&mut self, len: usize) -> Result<&[u8]> {
        let (head, tail) = self
            .bytes
            .split_at_checked(len)
            .ok_or_else(|| Error::data("a row in the journal ends too early"))?;
        self.bytes = tail;
        Ok(head)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.slice(N)?.try_into().expect("the slice has the length asked for"))
    }

    fn value(&mut self) -> Result<Value> {
        let [kind] = self.take()?;
        Ok(match kind {
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            INT32 => Value::Int32(i32::from_le_bytes(self.take()?)),
            INT64 => Value::Int64(i64::from_le_bytes(self.take()?)),
            FLOAT64 => Value::Float64(f64::from_le_bytes(self.take()?)),
            DECIMAL => Value::Decimal(i128::from_le_bytes(self.take()?)),
            GUID => Value::Guid(self.take()?),
            TEXT => {
                let len = u32::from_le_bytes(self.take()?) as usize;
                let text = std::str::from_utf8(self.slice(len)?)
                    .map_err(|e| Error::data("a text in the journal is not UTF-8").caused_by(e))?;
                Value::Text(text.to_owned())
            }
            TIME => Value::Time(i64::from_le_bytes(self.take()?)),
            DATE => Value::Date(i32::from_le_bytes(self.take()?)),
            other => {
                return Err(Error::data(format!(
                    "a row in the journal has a cell of kind {other}"
                )));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::store::numbering::Numbering;

    #[test]
    fn cells_of_every_kind_come_back_and_cuts_are_noticed() {
        let catalog = Catalog::built_in();
        let index = catalog.table_index("asyncoperation").expect("built in");
        let table = &catalog.tables()[index];
        let numbering = Numbering::of(&catalog);
        let numbering = numbering.table(index);
        let at = |name: &str| table.column_index(name).expect("documented column");
        let cells = vec![
            (at("asyncoperationid"), Value::Guid([3; 16])),
            (at("name"), Value::Text("a job".into())),
            (at("statecode"), Value::Int32(3)),
            (at("sequence"), Value::Int64(-9)),
            (at("executiontimespan"), Value::Float64(0.25)),
            (at("createdon"), Value::Time(1_300_000_000_000_001)),
            (at("iswaitingforevent"), Value::Boolean(true)),
            (at("regardingobjecttypecode"), Value::Int32(entity_code("new_widget"))),
            (at("message"), Value::Null),
        ];
        let bytes = encode(&cells, table, numbering);
        assert_eq!(decode(&bytes, table, numbering).expect("whole"), cells);
        assert!(decode(&bytes[..bytes.len() - 2], table, numbering).is_err());
    }
}
