//! Column names on a table, by the rules of each dialect: FetchXML knows
//! logical names, OData property names (`_ownerid_value`); the derived name and
//! label columns (`statecodename`) resolve in both.

use super::Binder;
use super::sources::Scope;
use crate::catalog::{ColumnKind, Table, nearest};
use crate::error::{Error, Result, codes};
use crate::query::bound::Column;
use crate::query::{ColumnRef, Name, Path, Style};

impl Binder<'_> {
    /// A column a condition, a sort key or a group names.
    pub(super) fn reference(
        &mut self,
        column: &ColumnRef,
        scope: Scope,
        unknown_alias: u32,
    ) -> Result<Column> {
        let found = self.attribute(column, scope, unknown_alias)?;
        let facts = &self.sources[found.source].table.columns[found.column];
        if self.style == Style::OData && facts.is_lookup() && column.name.text == facts.logical_name
        {
            let message = format!(
                "'{}' is a navigation property and has no value of its own; did you mean '{}'?",
                facts.logical_name,
                facts.property_name()
            );
            return Err(Error::invalid(codes::ODATA, message).at(column.name.at.clone()));
        }
        Ok(found)
    }

    /// A column that a query function names: a lookup goes by its logical name too.
    pub(super) fn attribute(
        &mut self,
        column: &ColumnRef,
        scope: Scope,
        unknown_alias: u32,
    ) -> Result<Column> {
        // A column that an earlier transformation brought along keeps its path.
        if let Path::Navigation(names) = &column.path {
            let path: String = names.iter().flat_map(|n| [n.text.as_str(), "/"]).collect();
            let path = format!("{path}{}", column.name.text);
            if let Some((_, index)) = self.paths.iter().find(|(known, _)| *known == path) {
                return Ok(Column { source: 0, column: *index });
            }
        }
        let source = self
            .source(&column.path, scope, unknown_alias)
            .map_err(|error| error.at(column.name.at.clone()))?;
        let table = self.sources[source].table.clone();
        let index = self.column(&table, &column.name)?;
        Ok(Column { source, column: index })
    }

    /// A readable column by its name. OData's bare lookup names are taken too,
    /// as `$select` has them.
    pub(super) fn column(&self, table: &Table, name: &Name) -> Result<usize> {
        let index = table.column_index(&name.text).or_else(|| match self.style {
            Style::FetchXml => None,
            Style::OData => lookup_value(table, &name.text),
        });
        let Some(index) = index else {
            return Err(self.unknown_column(table, name));
        };
        if !table.columns[index].read {
            let message = format!(
                "{} '{}' of '{}' cannot be read",
                self.word(),
                name.text,
                table.logical_name
            );
            let code = self.code(codes::INVALID_ARGUMENT);
            return Err(Error::invalid(code, message).at(name.at.clone()));
        }
        Ok(index)
    }

    fn unknown_column(&self, table: &Table, name: &Name) -> Error {
        let text = name.text.as_str();
        match self.style {
            Style::FetchXml => {
                // The Web API's name of a lookup is a common slip.
                let lookup = lookup_value(table, text).map(|i| &table.columns[i].logical_name);
                let near = lookup.map(String::as_str).or_else(|| table.nearest_column(text));
                let message = format!(
                    "attribute '{text}' does not exist on '{}'{}",
                    table.logical_name,
                    hint(near)
                );
                Error::invalid(codes::UNKNOWN_ATTRIBUTE, message).at(name.at.clone())
            }
            Style::OData => {
                let known: Vec<String> =
                    table.columns.iter().filter(|c| c.read).map(|c| c.property_name()).collect();
                let near = nearest(text, known.iter().map(String::as_str)).map(str::to_owned);
                let near = near.or_else(|| {
                    let column = table.column(table.nearest_column(text)?)?;
                    Some(column.property_name())
                });
                let message = format!(
                    "Could not find a property named '{text}' on type \
                     'Microsoft.Dynamics.CRM.{}'{}",
                    table.logical_name,
                    hint(near.as_deref())
                );
                Error::invalid(codes::ODATA, message).at(name.at.clone())
            }
        }
    }
}

/// `; did you mean 'x'?`, where something is near.
pub(super) fn hint(near: Option<&str>) -> String {
    near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default()
}

/// The lookup column that `_x_value` stands for.
fn lookup_value(table: &Table, property: &str) -> Option<usize> {
    let name = property.strip_prefix('_')?.strip_suffix("_value")?;
    table.column_index(name).filter(|i| table.columns[*i].is_lookup())
}

/// The column that holds a lookup's name.
pub(super) fn name_column(table: &Table, lookup: usize) -> Option<usize> {
    text_column(table, lookup, ColumnKind::LookupName(lookup))
}

/// The column that holds a choice's label.
pub(super) fn label_column(table: &Table, choice: usize) -> Option<usize> {
    text_column(table, choice, ColumnKind::ChoiceLabel(choice))
}

/// A column may have further texts, such as phonetic names; `<column>name` is the one meant.
fn text_column(table: &Table, of: usize, kind: ColumnKind) -> Option<usize> {
    let name = format!("{}name", table.columns[of].logical_name);
    table.column_index(&name).filter(|i| table.columns[*i].kind == kind)
}

/// The column that holds the table a lookup with several targets points to.
pub(super) fn type_column(table: &Table, lookup: usize) -> Option<usize> {
    if table.columns[lookup].targets.len() == 1 {
        return None;
    }
    table.type_column(lookup).filter(|column| table.columns[*column].read)
}
