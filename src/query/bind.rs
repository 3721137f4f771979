//! Names → catalog tables, columns, types and values; all validation.

use super::Select;
use super::bound::BoundQuery;
use crate::catalog::Catalog;
use crate::error::{Error, Result};

/// What the answer needs beside the columns asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct BindOptions {
    /// Fetch the names and tables of lookups too, for annotations.
    pub annotations: bool,
}

/// Settles every name of a query, or says which one is wrong and where.
pub fn bind(_select: &Select, _catalog: &Catalog, _options: BindOptions) -> Result<BoundQuery> {
    Err(Error::internal("not yet"))
}
