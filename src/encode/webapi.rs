//! Rows as the Dataverse Web API writes them. What can be said once (keys,
//! labels, navigation names) is written to bytes when the encoder is made; a
//! row is then a walk over the columns that appends to the buffer.
//!
//! Nulls are printed for OData `$select` queries and left out of `$apply` and
//! FetchXML results. Hidden outputs feed annotations and never show themselves.

use std::collections::HashMap;

use datafusion::arrow::array::RecordBatch;

use super::annotations::{Annotations, terms};
use super::cells::{Cells, Precision, json_text};
use super::formatted::{DEFAULT_DIGITS, formatted};
use crate::catalog::{Column, ColumnType};
use crate::error::{Error, Result};
use crate::query::bound::{BoundQuery, Output, OutputRole};
use crate::query::{Aggregate, Style};
use crate::value::{Guid, guid_text};

/// Encodes the rows of one query, batch by batch.
pub struct WebApiEncoder {
    members: Vec<Member>,
    /// For each output: whether its integers are object type codes.
    entity_names: Vec<bool>,
    nulls: bool,
    /// The service's address, before the names of entity sets.
    base: String,
    /// The output with the row version.
    version: Option<usize>,
    primary_id: Option<usize>,
    rows: u64,
    ends: Option<(Guid, Guid)>,
}

/// A member of a row's object, in the order of the outputs.
enum Member {
    Value(Property),
    Nested(Nested),
}

/// An expanded row.
struct Nested {
    navigation: String,
    key: Vec<u8>,
    primary_id: Option<usize>,
    /// Only the row's address is wanted; the name of its entity set.
    reference: Option<String>,
    members: Vec<Member>,
}

struct Property {
    output: usize,
    key: Vec<u8>,
    /// An annotation that is the same in all rows, whole.
    attribute_name: Option<Vec<u8>>,
    display: Option<(Vec<u8>, Display)>,
    lookup: Option<Box<Lookup>>,
}

/// Where a formatted value comes from.
enum Display {
    /// An option set's labels, as JSON.
    Labels(HashMap<i64, Vec<u8>>),
    /// The output that holds the name of a lookup.
    Name(usize),
    Number {
        digits: u8,
    },
    /// A part of a date: no separators.
    Digits,
}

struct Lookup {
    logical_name_key: Option<Vec<u8>>,
    navigation_key: Option<Vec<u8>>,
    /// The output that holds the row's target table.
    type_output: Option<usize>,
    /// The target where rows do not tell.
    only_target: Option<String>,
    /// Target table → navigation property.
    navigations: HashMap<String, String>,
    /// The navigation property that stands for all targets.
    only_navigation: Option<String>,
}

impl WebApiEncoder {
    pub fn new(query: &BoundQuery, annotations: &Annotations) -> Self {
        let mut members: Vec<Member> = Vec::new();
        for (i, output) in query.outputs.iter().enumerate() {
            let Some(nested) = nested(&mut members, &output.nested) else {
                if !output.hidden {
                    members.push(Member::Value(Property::new(i, output, query.style, annotations)));
                }
                continue;
            };
            if output.role == OutputRole::Plain && is_primary_id(output) {
                nested.primary_id = Some(i);
            }
            if output.reference {
                nested.reference = Some(output.table.entity_set_name.clone());
            } else if !output.hidden {
                let property = Property::new(i, output, query.style, annotations);
                nested.members.push(Member::Value(property));
            }
        }
        let root = |test: &dyn Fn(&Output) -> bool| {
            query.outputs.iter().position(|o| {
                o.nested.is_empty()
                    && o.column.source == 0
                    && o.role == OutputRole::Plain
                    && !query.distinct
                    && test(o)
            })
        };
        Self {
            entity_names: query.outputs.iter().map(holds_entity_name).collect(),
            nulls: query.style == Style::OData
                && !query.aggregate
                && !query.distinct
                && query.input.is_empty(),
            base: String::new(),
            version: root(&|o| o.facts().logical_name == "versionnumber"),
            primary_id: root(&is_primary_id),
            members,
            rows: 0,
            ends: None,
        }
    }

    /// With the service's address, which references to rows begin with.
    pub fn with_base(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The primary keys of the first and the last row, where rows have one.
    pub fn ends(&self) -> Option<(Guid, Guid)> {
        self.ends
    }

    /// Appends a batch's rows as objects, commas between them.
    pub fn rows_json(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let columns = self.columns(batch)?;
        for row in 0..batch.num_rows() {
            if self.rows > 0 {
                out.push(b',');
            }
            out.push(b'{');
            self.members_json(&columns, row, true, out);
            out.push(b'}');
            self.rows += 1;
        }
        if let Some(ids) = self.primary_id.map(|i| &columns[i])
            && let Some(last) = batch.num_rows().checked_sub(1)
            && let (Some(first), Some(last)) = (ids.guid(0), ids.guid(last))
        {
            self.ends = Some((self.ends.map_or(first, |(first, _)| first), last));
        }
        Ok(())
    }

    /// Appends the members of one row, without braces, to an object that has
    /// members already.
    pub fn row_members(&self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        self.members_json(&self.columns(batch)?, row, false, out);
        Ok(())
    }

    fn columns(&self, batch: &RecordBatch) -> Result<Vec<Cells>> {
        if batch.num_columns() != self.entity_names.len() {
            return Err(Error::internal("the plan's columns are not the query's outputs"));
        }
        let columns = batch.columns().iter().zip(&self.entity_names);
        columns.map(|(array, name)| Cells::new(array, *name, Precision::Seconds)).collect()
    }

    fn members_json(&self, columns: &[Cells], row: usize, mut first: bool, out: &mut Vec<u8>) {
        if let Some(version) = self.version.and_then(|i| columns[i].integer(row)) {
            member(br#""@odata.etag":"#, &mut first, out);
            json_text(&format!("W/\"{version}\""), out);
        }
        self.items_json(&self.members, columns, row, &mut first, out);
    }

    fn items_json(
        &self,
        members: &[Member],
        columns: &[Cells],
        row: usize,
        first: &mut bool,
        out: &mut Vec<u8>,
    ) {
        for item in members {
            let nested = match item {
                Member::Value(property) => {
                    property.json(columns, row, self.nulls, first, out);
                    continue;
                }
                Member::Nested(nested) => nested,
            };
            let missing = nested.is_missing(columns, row);
            if missing && !self.nulls {
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
                    json_text(&format!("{}{set}({})", self.base, guid_text(&id)), out);
                }
                _ => self.items_json(&nested.members, columns, row, &mut true, out),
            }
            out.push(b'}');
        }
    }
}

impl Nested {
    /// Whether the navigation leads nowhere.
    fn is_missing(&self, columns: &[Cells], row: usize) -> bool {
        match self.primary_id {
            Some(id) => columns[id].is_null(row),
            None => self.members.iter().all(|item| match item {
                Member::Value(property) => columns[property.output].is_null(row),
                Member::Nested(nested) => nested.is_missing(columns, row),
            }),
        }
    }
}

/// The member for the row behind a path of navigation properties; nothing for
/// the row itself.
fn nested<'m>(members: &'m mut Vec<Member>, path: &[String]) -> Option<&'m mut Nested> {
    let (first, rest) = path.split_first()?;
    let known = members
        .iter()
        .position(|item| matches!(item, Member::Nested(nested) if nested.navigation == *first));
    let at = known.unwrap_or_else(|| {
        members.push(Member::Nested(Nested {
            navigation: first.clone(),
            key: key_of(first),
            primary_id: None,
            reference: None,
            members: Vec::new(),
        }));
        members.len() - 1
    });
    let Member::Nested(found) = &mut members[at] else {
        unreachable!("the position of a nested member");
    };
    if rest.is_empty() { Some(found) } else { nested(&mut found.members, rest) }
}

impl Property {
    fn new(index: usize, output: &Output, style: Style, annotations: &Annotations) -> Self {
        let name = output.name.as_str();
        let facts = output.facts();
        let annotation = |term: &str| annotations.wants(term).then(|| annotation_key(name, term));
        // The alias of an OData aggregate stands for an expression, not a column.
        let told = output.aliased && style == Style::FetchXml;
        let attribute_name = annotation(terms::ATTRIBUTE_NAME).filter(|_| told);
        Self {
            output: index,
            key: key_of(name),
            attribute_name: attribute_name.map(|mut text| {
                json_text(&facts.logical_name, &mut text);
                text
            }),
            display: annotation(terms::FORMATTED_VALUE).zip(Display::of(output)),
            lookup: (facts.is_lookup() && holds_column_values(output))
                .then(|| Lookup::new(output, annotation))
                .filter(|l| l.logical_name_key.is_some() || l.navigation_key.is_some())
                .map(Box::new),
        }
    }

    fn json(
        &self,
        columns: &[Cells],
        row: usize,
        nulls: bool,
        first: &mut bool,
        out: &mut Vec<u8>,
    ) {
        let cells = &columns[self.output];
        if cells.is_null(row) {
            if nulls {
                member(&self.key, first, out);
                out.extend_from_slice(b"null");
            }
            return;
        }
        if let Some(text) = &self.attribute_name {
            member(text, first, out);
        }
        if let Some((key, display)) = &self.display {
            display.json(cells, columns, row, key, first, out);
        }
        if let Some(lookup) = &self.lookup {
            lookup.json(columns, row, first, out);
        }
        member(&self.key, first, out);
        cells.json(row, out);
    }
}

impl Display {
    fn of(output: &Output) -> Option<Self> {
        let facts = output.facts();
        match output.role {
            OutputRole::Group(Some(_)) => return Some(Self::Digits),
            OutputRole::Aggregate(Aggregate::Count | Aggregate::CountColumn { .. })
            | OutputRole::CountChildren => {
                return Some(Self::Number { digits: 0 });
            }
            _ => {}
        }
        match facts.column_type {
            ColumnType::Picklist | ColumnType::State | ColumnType::Status | ColumnType::Boolean => {
                let labels = facts.options.iter().map(|choice| {
                    let mut label = Vec::new();
                    json_text(&choice.label, &mut label);
                    (choice.value.into(), label)
                });
                Some(Self::Labels(labels.collect()))
            }
            ColumnType::Lookup | ColumnType::Owner | ColumnType::Customer => {
                output.name_output.map(Self::Name)
            }
            ColumnType::Integer
            | ColumnType::BigInt
            | ColumnType::Double
            | ColumnType::Decimal
            | ColumnType::Money
            | ColumnType::DateTime => Some(Self::Number { digits: digits(facts) }),
            ColumnType::Uniqueidentifier
            | ColumnType::String
            | ColumnType::Memo
            | ColumnType::EntityName
            | ColumnType::Virtual => None,
        }
    }

    fn json(
        &self,
        cells: &Cells,
        columns: &[Cells],
        row: usize,
        key: &[u8],
        first: &mut bool,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Labels(labels) => {
                if let Some(label) = cells.integer(row).and_then(|value| labels.get(&value)) {
                    member(key, first, out);
                    out.extend_from_slice(label);
                }
            }
            Self::Name(name) => {
                if !columns[*name].is_null(row) {
                    member(key, first, out);
                    columns[*name].json(row, out);
                }
            }
            Self::Number { digits } => {
                if let Some(text) = formatted(cells, row, *digits) {
                    member(key, first, out);
                    json_text(&text, out);
                }
            }
            Self::Digits => {
                member(key, first, out);
                out.push(b'"');
                cells.text(row, out);
                out.push(b'"');
            }
        }
    }
}

impl Lookup {
    fn new(output: &Output, annotation: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let facts = output.facts();
        let relations =
            || output.table.many_to_one.iter().filter(|r| r.column == facts.logical_name);
        let only = |mut found: Box<dyn Iterator<Item = String> + '_>| {
            found.next().filter(|_| found.next().is_none())
        };
        Self {
            logical_name_key: annotation(terms::LOOKUP_LOGICAL_NAME),
            navigation_key: annotation(terms::ASSOCIATED_NAVIGATION_PROPERTY),
            type_output: output.type_output,
            only_target: only(Box::new(facts.targets.iter().cloned())),
            navigations: relations()
                .map(|r| (r.target.clone(), r.navigation_property.clone()))
                .collect(),
            only_navigation: only(Box::new(relations().map(|r| r.navigation_property.clone()))),
        }
    }

    fn json(&self, columns: &[Cells], row: usize, first: &mut bool, out: &mut Vec<u8>) {
        let told = self.type_output.filter(|i| !columns[*i].is_null(row)).map(|i| {
            let mut text = Vec::new();
            columns[i].text(row, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let target = told.as_ref().or(self.only_target.as_ref());
        if let (Some(key), Some(target)) = (&self.logical_name_key, target) {
            member(key, first, out);
            json_text(target, out);
        }
        let navigation = target.and_then(|t| self.navigations.get(t));
        if let (Some(key), Some(navigation)) =
            (&self.navigation_key, navigation.or(self.only_navigation.as_ref()))
        {
            member(key, first, out);
            json_text(navigation, out);
        }
    }
}

fn is_primary_id(output: &Output) -> bool {
    output.table.primary_key() == Some(output.column.column)
}

/// Whether an output's values are values of its column.
fn holds_column_values(output: &Output) -> bool {
    matches!(
        output.role,
        OutputRole::Plain
            | OutputRole::Group(None)
            | OutputRole::Aggregate(Aggregate::Min | Aggregate::Max)
    )
}

fn holds_entity_name(output: &Output) -> bool {
    output.facts().column_type == ColumnType::EntityName && holds_column_values(output)
}

/// Digits after the point in a formatted value.
fn digits(column: &Column) -> u8 {
    column.precision.unwrap_or(DEFAULT_DIGITS)
}

/// `"name":`
fn key_of(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 3);
    json_text(name, &mut key);
    key.push(b':');
    key
}

fn annotation_key(name: &str, term: &str) -> Vec<u8> {
    key_of(&format!("{name}@{term}"))
}

fn member(key: &[u8], first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    out.extend_from_slice(key);
}

#[cfg(test)]
mod tests;
