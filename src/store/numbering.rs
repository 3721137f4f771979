//! The data folder's own numbers for tables and columns.
//!
//! They are given once, in order of appearance, and kept in the folder, so that
//! a later catalog with other tables or columns reads what an earlier one wrote.

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::error::{Error, Result};

/// Names in order of their number.
#[derive(Default, Serialize, Deserialize)]
struct Names {
    tables: Vec<TableNames>,
}

#[derive(Serialize, Deserialize)]
struct TableNames {
    logical_name: String,
    columns: Vec<String>,
}

/// Numbers of all tables of a catalog.
pub struct Numbering {
    names: Names,
    tables: Vec<TableNumbering>,
}

/// Numbers of one table and its columns.
pub struct TableNumbering {
    table: u16,
    numbers: Vec<u16>,
    columns: Vec<Option<usize>>,
}

impl Numbering {
    /// Numbers for a new folder.
    pub fn of(catalog: &Catalog) -> Self {
        Self::extended(Names::default(), catalog)
    }

    /// Numbers kept by a folder, with new tables and columns added.
    pub fn from_json(text: &[u8], catalog: &Catalog) -> Result<Self> {
        let names = serde_json::from_slice(text).map_err(|e| {
            Error::data("the data folder's table numbers are unreadable").caused_by(e)
        })?;
        Ok(Self::extended(names, catalog))
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.names).expect("names are plain text")
    }

    /// The numbers of the table at a catalog index.
    pub fn table(&self, index: usize) -> &TableNumbering {
        &self.tables[index]
    }

    /// The catalog index of the table with a number, if the catalog still has it.
    pub fn index(&self, number: u16) -> Option<usize> {
        self.tables.iter().position(|table| table.table == number)
    }

    fn extended(mut names: Names, catalog: &Catalog) -> Self {
        let tables = catalog
            .tables()
            .iter()
            .map(|table| {
                let number = names
                    .tables
                    .iter()
                    .position(|t| t.logical_name == table.logical_name)
                    .unwrap_or_else(|| {
                        let logical_name = table.logical_name.clone();
                        names.tables.push(TableNames { logical_name, columns: Vec::new() });
                        names.tables.len() - 1
                    });
                let known = &mut names.tables[number].columns;
                let numbers = table
                    .columns
                    .iter()
                    .map(|column| {
                        let number = known
                            .iter()
                            .position(|name| *name == column.logical_name)
                            .unwrap_or_else(|| {
                                known.push(column.logical_name.clone());
                                known.len() - 1
                            });
                        number as u16
                    })
                    .collect();
                let columns = known.iter().map(|name| table.column_index(name)).collect();
                TableNumbering { table: number as u16, numbers, columns }
            })
            .collect();
        Self { names, tables }
    }
}

impl TableNumbering {
    /// The table's number.
    pub fn table(&self) -> u16 {
        self.table
    }

    /// The number of a catalog column.
    pub fn number(&self, column: usize) -> u16 {
        self.numbers[column]
    }

    /// The catalog column of a number, if the catalog still has it.
    pub fn column(&self, number: u16) -> Option<usize> {
        self.columns.get(usize::from(number)).copied().flatten()
    }
}
