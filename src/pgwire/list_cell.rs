//! Cells that hold arrays, and the vectors of PostgreSQL's catalogs: written
//! element by element, each as a cell of its own column would be.

use datafusion::arrow::array::{ArrayRef, AsArray, ListArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::error::ArrowError;
use pgwire::api::Type;
use pgwire::api::results::{FieldFormat, FieldInfo};
use pgwire::error::PgWireResult;

use super::arrays::element_of;
use super::cell::Column;

/// Arrays of one dimension.
pub struct Lists {
    lists: ListArray,
    elements: Column,
    element: Type,
    text: bool,
    /// `1 2` instead of `{1,2}`, counted from 0.
    vector: bool,
    cell: Vec<u8>,
}

/// The type of the elements of an array or a vector.
fn elements(pg_type: &Type) -> Option<Type> {
    match *pg_type {
        Type::INT2_VECTOR => Some(Type::INT2),
        Type::OID_VECTOR => Some(Type::OID),
        _ => element_of(pg_type),
    }
}

impl Lists {
    /// `None` where it is not a column of arrays.
    pub fn new(
        array: &ArrayRef,
        field: &Field,
        info: &FieldInfo,
    ) -> Result<Option<Self>, ArrowError> {
        let (DataType::List(item), Some(element)) = (field.data_type(), elements(info.datatype()))
        else {
            return Ok(None);
        };
        let Some(lists) = array.as_list_opt::<i32>() else { return Ok(None) };
        let format = info.format();
        let told = FieldInfo::new(String::new(), None, None, element.clone(), format);
        let elements = Column::new(lists.values(), item, &told)?;
        Ok(Some(Self {
            lists: lists.clone(),
            elements,
            element,
            text: format == FieldFormat::Text,
            vector: matches!(*info.datatype(), Type::INT2_VECTOR | Type::OID_VECTOR),
            cell: Vec::new(),
        }))
    }

    /// Writes an array that is not null.
    pub fn write(&mut self, row: usize, out: &mut Vec<u8>) -> PgWireResult<()> {
        let offsets = self.lists.value_offsets();
        let at = |offset: i32| usize::try_from(offset).unwrap_or_default();
        let (start, end) = (at(offsets[row]), at(offsets[row + 1]));
        if self.text { self.text(start, end, out) } else { self.binary(start, end, out) }
    }

    fn text(&mut self, start: usize, end: usize, out: &mut Vec<u8>) -> PgWireResult<()> {
        if !self.vector {
            out.push(b'{');
        }
        for at in start..end {
            if at > start {
                out.push(if self.vector { b' ' } else { b',' });
            }
            self.cell.clear();
            if self.elements.write(at, &mut self.cell)? {
                quote(&self.cell, out);
            } else {
                out.extend(b"NULL");
            }
        }
        if !self.vector {
            out.push(b'}');
        }
        Ok(())
    }

    fn binary(&mut self, start: usize, end: usize, out: &mut Vec<u8>) -> PgWireResult<()> {
        let count = end - start;
        let head = out.len();
        let dimensions = i32::from(count > 0 || self.vector);
        out.extend([dimensions, 0].iter().flat_map(|word| word.to_be_bytes()));
        out.extend(self.element.oid().to_be_bytes());
        if dimensions > 0 {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            out.extend([count, i32::from(!self.vector)].iter().flat_map(|w| w.to_be_bytes()));
        }
        for at in start..end {
            self.cell.clear();
            if self.elements.write(at, &mut self.cell)? {
                let length = i32::try_from(self.cell.len()).unwrap_or(i32::MAX);
                out.extend(length.to_be_bytes());
                out.extend_from_slice(&self.cell);
            } else {
                out.extend((-1_i32).to_be_bytes());
                // The flags say whether there are nulls.
                out[head + 7] = 1;
            }
        }
        Ok(())
    }
}

/// An element as PostgreSQL writes it: in quotes where it could be mistaken.
fn quote(element: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| br#"{}",\"#.contains(byte) || byte.is_ascii_whitespace();
    let plain = !element.is_empty()
        && !element.iter().any(special)
        && !element.eq_ignore_ascii_case(b"null");
    if plain {
        out.extend_from_slice(element);
        return;
    }
    out.push(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        FixedSizeBinaryArray, Int32Builder, ListBuilder, StringViewBuilder,
    };
    use datafusion::arrow::buffer::OffsetBuffer;

    use super::*;

    fn cell(array: ArrayRef, pg_type: Type, format: FieldFormat) -> Vec<u8> {
        let field = Field::new("x", array.data_type().clone(), true);
        let info = FieldInfo::new("x".into(), None, None, pg_type, format);
        let mut column = Column::new(&array, &field, &info).expect("readable");
        let mut out = Vec::new();
        assert!(column.write(0, &mut out).expect("written"));
        out
    }

    #[test]
    fn text_is_quoted_where_it_could_be_mistaken() {
        let mut builder = ListBuilder::new(StringViewBuilder::new());
        let texts = [Some("a"), Some("b c"), Some(""), None, Some("NULL"), Some(r#"\"{"#)];
        builder.append_value(texts);
        let found = cell(Arc::new(builder.finish()), Type::TEXT_ARRAY, FieldFormat::Text);
        let expected = r#"{a,"b c","",NULL,"NULL","\\\"{"}"#;
        assert_eq!(String::from_utf8_lossy(&found), expected);
    }

    #[test]
    fn binary_arrays_have_a_head_and_vectors_count_from_zero() {
        let mut builder = ListBuilder::new(Int32Builder::new());
        builder.append_value([Some(7), None]);
        let array: ArrayRef = Arc::new(builder.finish());
        let words = |words: &[i32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        let found = cell(array.clone(), Type::INT4_ARRAY, FieldFormat::Binary);
        assert_eq!(found, words(&[1, 1, 23, 2, 1, 4, 7, -1]));
        let found = cell(array.clone(), Type::OID_VECTOR, FieldFormat::Binary);
        assert_eq!(found, words(&[1, 1, 26, 2, 0, 4, 7, -1]));
        assert_eq!(cell(array, Type::OID_VECTOR, FieldFormat::Text), b"7 NULL");
        let mut builder = ListBuilder::new(Int32Builder::new());
        builder.append_value([]);
        let empty: ArrayRef = Arc::new(builder.finish());
        assert_eq!(cell(empty.clone(), Type::INT4_ARRAY, FieldFormat::Text), b"{}");
        assert_eq!(cell(empty, Type::INT4_ARRAY, FieldFormat::Binary), words(&[0, 0, 23]));
    }

    #[test]
    fn guids_have_arrays_too() {
        let ids = FixedSizeBinaryArray::try_from_iter([[0x11; 16]].into_iter()).expect("16 bytes");
        let item = Arc::new(Field::new_list_field(DataType::FixedSizeBinary(16), true));
        let offsets = OffsetBuffer::from_lengths([1]);
        let array = ListArray::try_new(item, offsets, Arc::new(ids), None).expect("a list");
        let found = cell(Arc::new(array), Type::UUID_ARRAY, FieldFormat::Text);
        assert_eq!(found, b"{11111111-1111-1111-1111-111111111111}");
    }
}
