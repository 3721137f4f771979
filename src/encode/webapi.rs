//! Rows as the Dataverse Web API writes them. What can be said once (keys,
//! labels, navigation names) is written to bytes when the encoder is made; a
//! row is then a walk over the columns that appends to the buffer.
//!
//! Nulls are printed for OData `$select` queries and left out of `$apply` and
//! FetchXML results. Hidden outputs feed annotations and never show themselves.

mod property;

use datafusion::arrow::array::RecordBatch;

pub use self::property::Locale;
use self::property::{Property, holds_entity_name, key_of, member};
use super::annotations::Annotations;
use super::cells::{Cells, Precision, json_text};
use crate::error::{Error, Result};
use crate::query::Style;
use crate::query::bound::{BoundQuery, Output, OutputRole, PageKey};
use crate::query::cookie::CookieKey;
use crate::value::{Guid, guid_text};

/// Encodes the rows of one query, batch by batch.
pub struct WebApiEncoder {
    members: Vec<Member>,
    /// For each output: whether its integers are object type codes.
    entity_names: Vec<bool>,
    nulls: bool,
    /// The output with the row version.
    version: Option<usize>,
    primary_id: Option<usize>,
    identity: Option<Identity>,
    page_keys: Vec<PageKey>,
    rows: u64,
    /// The values of the page keys in the first row and the last.
    ends: Option<(KeyTexts, KeyTexts)>,
}

/// A batch that is ready to be written row by row.
pub struct Prepared(Vec<Cells>);

/// What says which resource a row is (`odata.metadata=full`).
struct Identity {
    /// The address of the Web API.
    base: String,
    set: String,
    /// `"#Microsoft.Dynamics.CRM.…"` as JSON.
    type_name: Vec<u8>,
}

/// The values of the sort keys in one row, as text.
type KeyTexts = Vec<Option<String>>;

/// A member of a row's object, in the order of the outputs.
enum Member {
    Value(Property),
    /// An expanded row.
    Nested(Nested),
}

struct Nested {
    /// The navigation properties from the root, with `/` between them.
    path: String,
    key: Vec<u8>,
    primary_id: Option<usize>,
    members: Vec<Member>,
    /// Only the address of the row is shown: that of its set.
    reference: Option<String>,
}

impl WebApiEncoder {
    pub fn new(query: &BoundQuery, annotations: &Annotations) -> Self {
        let mut encoder = Self::of(&query.outputs, &Locale::of(query), query.distinct, annotations);
        encoder.page_keys.clone_from(&query.page_keys);
        // Rows that are made of an answer are like the groups of one.
        if !query.input.is_empty() {
            return encoder.without_versions();
        }
        match query.style == Style::OData && !query.aggregate && !query.distinct {
            true => encoder.with_nulls(),
            false => encoder,
        }
    }

    /// Encodes rows with these columns; nulls are left out.
    pub fn of(
        outputs: &[Output],
        locale: &Locale,
        distinct: bool,
        annotations: &Annotations,
    ) -> Self {
        let mut members: Vec<Member> = Vec::new();
        for (i, output) in outputs.iter().enumerate() {
            let mut here = &mut members;
            if let Some(path) = output.nested.as_deref() {
                let nested = nested(here, path);
                if output.role == OutputRole::Plain && is_primary_id(output) {
                    nested.primary_id = Some(i);
                }
                here = &mut nested.members;
            }
            if !output.hidden {
                here.push(Member::Value(Property::new(i, output, locale, annotations)));
            }
        }
        let root = |test: &dyn Fn(&Output) -> bool| {
            outputs.iter().position(|o| {
                o.nested.is_none()
                    && o.column.source == 0
                    && o.role == OutputRole::Plain
                    && !distinct
                    && test(o)
            })
        };
        Self {
            entity_names: outputs.iter().map(holds_entity_name).collect(),
            nulls: false,
            version: root(&|o| o.table.version_key() == Some(o.column.column)),
            primary_id: root(&is_primary_id),
            identity: None,
            page_keys: Vec::new(),
            members,
            rows: 0,
            ends: None,
        }
    }

    /// Shows nulls.
    pub fn with_nulls(mut self) -> Self {
        self.nulls = true;
        self
    }

    /// Leaves versions out (`odata.metadata=none`).
    pub fn without_versions(mut self) -> Self {
        self.version = None;
        self
    }

    /// Says type and address of every row (`odata.metadata=full`).
    pub fn with_identity(mut self, query: &BoundQuery, base: &str) -> Self {
        let mut type_name = Vec::new();
        let name = &query.root.logical_name;
        json_text(&format!("#Microsoft.Dynamics.CRM.{name}"), &mut type_name);
        let set = query.root.entity_set_name.clone();
        self.identity = Some(Identity { base: base.to_owned(), set, type_name });
        self
    }

    /// Shows only the address of an expanded row, which is in this set.
    pub fn refer(&mut self, navigation: &str, set: String) {
        nested(&mut self.members, navigation).reference = Some(set);
    }

    /// The primary keys of a batch's rows.
    pub fn primary_keys(&self, batch: &RecordBatch) -> Result<Vec<Option<Guid>>> {
        let output = self
            .primary_id
            .ok_or_else(|| Error::internal("rows with collections have a primary key"))?;
        let prepared = self.prepare(batch)?;
        Ok((0..batch.num_rows()).map(|row| prepared.guid(output, row)).collect())
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The sort keys of the first and the last row, for the paging cookie.
    pub fn cookie_keys(&self) -> Vec<CookieKey> {
        let Some((first, last)) = self.ends.clone() else { return Vec::new() };
        let names = self.page_keys.iter().map(|key| key.name.clone());
        let ends = first.into_iter().zip(last);
        names.zip(ends).map(|(name, (first, last))| CookieKey { name, last, first }).collect()
    }

    /// Appends a batch's rows as objects, commas between them. `more` holds
    /// further members for each row, each with a comma before it.
    pub fn rows_json(
        &mut self,
        batch: &RecordBatch,
        more: &[Vec<u8>],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let prepared = self.prepare(batch)?;
        for row in 0..batch.num_rows() {
            if self.rows > 0 {
                out.push(b',');
            }
            self.row_json(&prepared, row, more.get(row).map_or(&[], Vec::as_slice), out);
            self.rows += 1;
        }
        if let Some(last) = batch.num_rows().checked_sub(1)
            && !self.page_keys.is_empty()
        {
            let first = match self.ends.take() {
                Some((first, _)) => first,
                None => self.key_texts(batch, 0)?,
            };
            self.ends = Some((first, self.key_texts(batch, last)?));
        }
        Ok(())
    }

    /// Appends one row as an object with further members.
    pub fn row_json(&self, prepared: &Prepared, row: usize, more: &[u8], out: &mut Vec<u8>) {
        out.push(b'{');
        self.members_json(&prepared.0, row, true, out);
        out.extend_from_slice(more);
        out.push(b'}');
    }

    /// The sort keys of a row, exact enough to find the next row by.
    fn key_texts(&self, batch: &RecordBatch, row: usize) -> Result<KeyTexts> {
        let text = |key: &PageKey| {
            let value = batch.column(key.output).slice(row, 1);
            let cells = Cells::new(&value, false, Precision::Micros)?;
            if cells.is_null(0) {
                return Ok(None);
            }
            if let Some(id) = cells.guid(0) {
                return Ok(Some(format!("{{{}}}", guid_text(&id).to_uppercase())));
            }
            let mut text = Vec::new();
            cells.text(0, &mut text);
            Ok(Some(String::from_utf8_lossy(&text).into_owned()))
        };
        self.page_keys.iter().map(text).collect()
    }

    /// Appends the members of one row, without braces, to an object that has
    /// members already or not.
    pub fn row_members(&self, prepared: &Prepared, row: usize, first: bool, out: &mut Vec<u8>) {
        self.members_json(&prepared.0, row, first, out);
    }

    /// The version of a row, where the query has it.
    pub fn version(&self, prepared: &Prepared, row: usize) -> Option<i64> {
        self.version.and_then(|i| prepared.0[i].integer(row))
    }

    pub fn prepare(&self, batch: &RecordBatch) -> Result<Prepared> {
        if batch.num_columns() != self.entity_names.len() {
            return Err(Error::internal("the plan's columns are not the query's outputs"));
        }
        let columns = batch.columns().iter().zip(&self.entity_names);
        let cells = columns.map(|(array, name)| Cells::new(array, *name, Precision::Seconds));
        Ok(Prepared(cells.collect::<Result<_>>()?))
    }

    fn members_json(&self, columns: &[Cells], row: usize, mut first: bool, out: &mut Vec<u8>) {
        if let Some(identity) = &self.identity
            && let Some(id) = self.primary_id.and_then(|i| columns[i].guid(row))
        {
            member(br#""@odata.type":"#, &mut first, out);
            out.extend_from_slice(&identity.type_name);
            let address = format!("{}({})", identity.set, guid_text(&id));
            member(br#""@odata.id":"#, &mut first, out);
            json_text(&format!("{}{address}", identity.base), out);
            member(br#""@odata.editLink":"#, &mut first, out);
            json_text(&address, out);
        }
        if let Some(version) = self.version.and_then(|i| columns[i].integer(row)) {
            member(br#""@odata.etag":"#, &mut first, out);
            json_text(&format!("W/\"{version}\""), out);
        }
        write_members(&self.members, columns, row, self.nulls, &mut first, out);
    }
}

impl Prepared {
    /// A cell as JSON, or nothing where it is null.
    pub fn json(&self, output: usize, row: usize) -> Option<Vec<u8>> {
        self.written(output, row, Cells::json)
    }

    /// A cell as plain text, or nothing where it is null.
    pub fn text(&self, output: usize, row: usize) -> Option<Vec<u8>> {
        self.written(output, row, Cells::text)
    }

    fn written(
        &self,
        output: usize,
        row: usize,
        write: fn(&Cells, usize, &mut Vec<u8>),
    ) -> Option<Vec<u8>> {
        let cells = &self.0[output];
        let mut out = Vec::new();
        (!cells.is_null(row)).then(|| write(cells, row, &mut out)).map(|()| out)
    }

    /// A cell that holds a GUID.
    pub fn guid(&self, output: usize, row: usize) -> Option<Guid> {
        self.0[output].guid(row)
    }
}

/// The expanded row at a path, made if it is not there yet.
fn nested<'m>(members: &'m mut Vec<Member>, path: &str) -> &'m mut Nested {
    let (members, name) = match path.rsplit_once('/') {
        Some((before, name)) => (&mut nested(members, before).members, name),
        None => (members, path),
    };
    let is_it = |m: &Member| matches!(m, Member::Nested(n) if n.path == path);
    let at = members.iter().position(is_it).unwrap_or_else(|| {
        members.push(Member::Nested(Nested {
            path: path.to_owned(),
            key: key_of(name),
            primary_id: None,
            members: Vec::new(),
            reference: None,
        }));
        members.len() - 1
    });
    match &mut members[at] {
        Member::Nested(nested) => nested,
        Member::Value(_) => unreachable!("the index is that of a nested member"),
    }
}

fn write_members(
    members: &[Member],
    columns: &[Cells],
    row: usize,
    nulls: bool,
    first: &mut bool,
    out: &mut Vec<u8>,
) {
    for item in members {
        match item {
            Member::Value(property) => property.json(columns, row, nulls, first, out),
            Member::Nested(nested) => {
                let missing = nested.is_missing(columns, row);
                if missing && !nulls {
                    continue;
                }
                member(&nested.key, first, out);
                if missing {
                    out.extend_from_slice(b"null");
                    continue;
                }
                out.push(b'{');
                let id = nested.primary_id.and_then(|i| columns[i].guid(row));
                match (&nested.reference, id) {
                    (Some(set), Some(id)) => {
                        out.extend_from_slice(br#""@odata.id":"#);
                        json_text(&format!("{set}({})", guid_text(&id)), out);
                    }
                    _ => write_members(&nested.members, columns, row, nulls, &mut true, out),
                }
                out.push(b'}');
            }
        }
    }
}

impl Nested {
    /// Nothing is behind the navigation property.
    fn is_missing(&self, columns: &[Cells], row: usize) -> bool {
        match self.primary_id {
            Some(id) => columns[id].is_null(row),
            None => self.members.iter().all(|m| match m {
                Member::Value(property) => columns[property.output].is_null(row),
                Member::Nested(nested) => nested.is_missing(columns, row),
            }),
        }
    }
}

fn is_primary_id(output: &Output) -> bool {
    output.table.primary_key() == Some(output.column.column)
}

#[cfg(test)]
mod tests;
