//! One value of a row with its annotations. What is the same in all rows is
//! written to bytes once.

use std::collections::HashMap;

use chrono_tz::Tz;

use crate::catalog::{Column, ColumnType};
use crate::encode::annotations::{Annotations, terms};
use crate::encode::cells::{Cells, json_text};
use crate::encode::formatted::{DEFAULT_DIGITS, formatted};
use crate::query::bound::{BoundQuery, Output, OutputRole};
use crate::query::context::FiscalPeriod;
use crate::query::fiscal::{Period, year_label};
use crate::query::{Aggregate, DatePart, Style};

/// What the texts of values depend on.
pub struct Locale {
    pub style: Style,
    pub timezone: Tz,
    pub fiscal_period: FiscalPeriod,
}

impl Locale {
    /// As a query was bound.
    pub fn of(query: &BoundQuery) -> Self {
        let fiscal_period = query.calendar.fiscal_period;
        Self { style: query.style, timezone: query.timezone, fiscal_period }
    }
}

pub struct Property {
    pub output: usize,
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
        timezone: Tz,
    },
    /// A part of a date: no separators.
    Digits,
    FiscalYear,
    FiscalPeriod(FiscalPeriod),
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

impl Property {
    pub fn new(index: usize, output: &Output, locale: &Locale, annotations: &Annotations) -> Self {
        let name = output.name.as_str();
        let facts = output.facts();
        let annotation = |term: &str| annotations.wants(term).then(|| annotation_key(name, term));
        // The alias of an OData aggregate stands for an expression, not a column.
        let renamed = output.aliased || output.column.source != 0;
        let told = renamed && locale.style == Style::FetchXml;
        let attribute_name = annotation(terms::ATTRIBUTE_NAME).filter(|_| told);
        Self {
            output: index,
            key: key_of(name),
            attribute_name: attribute_name.map(|mut text| {
                json_text(&facts.logical_name, &mut text);
                text
            }),
            display: annotation(terms::FORMATTED_VALUE).zip(Display::of(output, locale)),
            lookup: (facts.is_lookup() && holds_column_values(output))
                .then(|| Lookup::new(output, annotation))
                .filter(|l| l.logical_name_key.is_some() || l.navigation_key.is_some())
                .map(Box::new),
        }
    }

    pub fn json(
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
    fn of(output: &Output, locale: &Locale) -> Option<Self> {
        let facts = output.facts();
        let timezone = locale.timezone;
        match output.role {
            OutputRole::Group(Some(grouping)) => {
                return Some(match grouping.part {
                    DatePart::FiscalYear => Self::FiscalYear,
                    DatePart::FiscalPeriod => Self::FiscalPeriod(locale.fiscal_period),
                    _ => Self::Digits,
                });
            }
            OutputRole::Aggregate(Aggregate::Count | Aggregate::CountColumn { .. })
            | OutputRole::CountChildren => {
                return Some(Self::Number { digits: 0, timezone });
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
            | ColumnType::DateTime => Some(Self::Number { digits: digits(facts), timezone }),
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
            Self::FiscalYear => {
                if let Some(year) = cells.integer(row).and_then(|year| year.try_into().ok()) {
                    member(key, first, out);
                    json_text(&year_label(year), out);
                }
            }
            Self::FiscalPeriod(length) => {
                if let Some(period) = cells.integer(row).and_then(Period::from_code) {
                    member(key, first, out);
                    json_text(&length.label(period), out);
                }
            }
            Self::Number { digits, timezone } => {
                if let Some(text) = formatted(cells, row, *digits, *timezone) {
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

/// Whether an output's values are values of its column.
fn holds_column_values(output: &Output) -> bool {
    matches!(
        output.role,
        OutputRole::Plain
            | OutputRole::Group(None)
            | OutputRole::Aggregate(Aggregate::Min | Aggregate::Max)
    )
}

pub fn holds_entity_name(output: &Output) -> bool {
    output.facts().column_type == ColumnType::EntityName && holds_column_values(output)
}

/// Digits after the point in a formatted value.
fn digits(column: &Column) -> u8 {
    column.precision.unwrap_or(DEFAULT_DIGITS)
}

/// `"name":`
pub fn key_of(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 3);
    json_text(name, &mut key);
    key.push(b':');
    key
}

fn annotation_key(name: &str, term: &str) -> Vec<u8> {
    key_of(&format!("{name}@{term}"))
}

pub fn member(key: &[u8], first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    out.extend_from_slice(key);
}
