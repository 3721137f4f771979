//! What a column heading or JSON key of a file means: a column of the table, a
//! part of a lookup that Web API answers carry as an annotation, or nothing.
//!
//! Headings are resolved once per file. A heading that is no column is refused
//! by name, because a column dropped in silence is data lost in silence; only
//! annotations (`@…`) and texts derived from other columns are passed over.

use std::collections::HashMap;

use crate::catalog::{ColumnKind, ColumnType, Table};
use crate::error::{Error, codes};

/// Where the values under a heading go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Column(usize),
    /// An annotation without a column, or a derived text.
    Nowhere,
}

/// The headings of one file, each resolved when first met.
#[derive(Default)]
pub struct Headings {
    known: HashMap<String, Option<Target>>,
}

impl Headings {
    /// The target of a heading; `None` if the table has no such column.
    pub fn resolve(&mut self, table: &Table, heading: &str) -> Option<Target> {
        if let Some(target) = self.known.get(heading) {
            return *target;
        }
        let target = resolve(table, heading);
        self.known.insert(heading.to_owned(), target);
        target
    }
}

/// The target of a heading; `None` if the table has no such column.
pub fn resolve(table: &Table, heading: &str) -> Option<Target> {
    let heading = heading.trim();
    if heading.starts_with('@') {
        return Some(Target::Nowhere);
    }
    let (property, annotation) = match heading.split_once('@') {
        Some((property, annotation)) => (property, Some(annotation)),
        None => (heading, None),
    };
    let column = column(table, property)?;
    let Some(annotation) = annotation else {
        return Some(match table.columns[column].kind {
            ColumnKind::Stored | ColumnKind::LookupName(_) => Target::Column(column),
            ColumnKind::ChoiceLabel(_) | ColumnKind::EntityLabel(_) | ColumnKind::WaitReason => {
                Target::Nowhere
            }
        });
    };
    let annotated = match annotation {
        "OData.Community.Display.V1.FormattedValue" => name_of(table, column),
        "Microsoft.Dynamics.CRM.lookuplogicalname" => type_of(table, column),
        _ => None,
    };
    Some(annotated.map_or(Target::Nowhere, Target::Column))
}

/// A column by logical name in any case, or by a lookup's `_x_value`.
fn column(table: &Table, property: &str) -> Option<usize> {
    table.column_index_any_case(property).or_else(|| {
        let inner = property.strip_prefix('_')?.strip_suffix("_value")?;
        table.column_index_any_case(inner).filter(|c| table.columns[*c].is_lookup())
    })
}

/// The name column of a lookup or file: `owneridname`, not `owneridyominame`.
fn name_of(table: &Table, lookup: usize) -> Option<usize> {
    let of = &table.columns[lookup].logical_name;
    [format!("{of}name"), format!("{of}_name")]
        .iter()
        .filter_map(|name| table.column_index(name))
        .find(|c| table.columns[*c].kind == ColumnKind::LookupName(lookup))
}

/// The column that tells which table a lookup points to.
pub fn type_of(table: &Table, lookup: usize) -> Option<usize> {
    let of = &table.columns[lookup].logical_name;
    table.columns.iter().position(|c| {
        c.column_type == ColumnType::EntityName && c.attribute_of.as_ref() == Some(of)
    })
}

/// The error for a heading that is no column of the table.
pub fn unknown(table: &Table, heading: &str) -> Error {
    let message = if table.navigation(heading).is_some()
        || table.one_to_many.iter().any(|r| r.navigation_property == heading)
    {
        format!(
            "'{heading}' holds expanded rows of another table; \
             import '{}' without it and the other table from a file of its own",
            table.logical_name
        )
    } else {
        let hint = table
            .nearest_column(heading)
            .map(|n| format!("; did you mean '{n}'?"))
            .unwrap_or_default();
        format!("column '{heading}' does not exist on '{}'{hint}", table.logical_name)
    };
    Error::invalid(codes::UNKNOWN_ATTRIBUTE, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn headings_find_their_columns() {
        let catalog = Catalog::built_in();
        let jobs = catalog.table("asyncoperation").expect("built in");
        let cases = [
            ("statuscode", Some("statuscode")),
            ("StatusCode", Some("statuscode")),
            ("_ownerid_value", Some("ownerid")),
            ("_name_value", None),
            ("_ownerid_value@OData.Community.Display.V1.FormattedValue", Some("owneridname")),
            ("ownerid@OData.Community.Display.V1.FormattedValue", Some("owneridname")),
            ("_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname", Some("owneridtype")),
            (
                "_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname",
                Some("regardingobjecttypecode"),
            ),
            ("datablobid@OData.Community.Display.V1.FormattedValue", Some("datablobid_name")),
            ("owningextensionidname", Some("owningextensionidname")),
            ("owneridyominame", Some("owneridyominame")),
        ];
        for (heading, expected) in cases {
            let found = resolve(jobs, heading).and_then(|t| match t {
                Target::Column(c) => Some(jobs.columns[c].logical_name.as_str()),
                Target::Nowhere => None,
            });
            assert_eq!(found, expected, "{heading}");
        }
    }

    #[test]
    fn annotations_and_derived_texts_go_nowhere() {
        let catalog = Catalog::built_in();
        let jobs = catalog.table("asyncoperation").expect("built in");
        for heading in [
            "@odata.etag",
            "statecode@OData.Community.Display.V1.FormattedValue",
            "_ownerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty",
            "statecodename",
        ] {
            assert_eq!(resolve(jobs, heading), Some(Target::Nowhere), "{heading}");
        }
        assert_eq!(resolve(jobs, "statuscod@OData.Community.Display.V1.FormattedValue"), None);
    }

    #[test]
    fn an_unknown_heading_gets_the_nearest_column() {
        let catalog = Catalog::built_in();
        let jobs = catalog.table("asyncoperation").expect("built in");
        assert_eq!(
            unknown(jobs, "statuscod").to_string(),
            "column 'statuscod' does not exist on 'asyncoperation'; did you mean 'statuscode'?"
        );
    }
}
