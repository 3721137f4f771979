//! Parameter aliases: `$filter=name eq @n&@n='x'`. Their values may stand in
//! `$filter`, `$orderby`, `$apply`, `$compute` and the parameters of query
//! functions. An alias without a value is null.

use std::cell::Cell;

use super::cursor::Cursor;
use super::lexer::OPTION_LENGTH_MAX;
use crate::error::{Error, ErrorKind, Place, Result, codes};

/// The aliases of one request.
#[derive(Default)]
pub struct Aliases {
    /// Names with their `@`, and values.
    values: Vec<(String, String)>,
    /// How much text uses of aliases have been replaced by, in bytes.
    used: Cell<usize>,
}

impl Aliases {
    /// Whether the alias had no value before.
    pub fn insert(&mut self, name: &str, value: &str) -> bool {
        let new = !self.values.iter().any(|(known, _)| known == name);
        self.values.push((name.to_owned(), value.to_owned()));
        new
    }

    /// A cursor over the value of an alias used at a place. Other aliases are not
    /// known in it.
    pub fn value(&self, name: &str, at: Place) -> Result<Option<Cursor<'_>>> {
        let Some((name, value)) = self.values.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        // A long value that is used often must not become a query beyond all bounds.
        self.used.set(self.used.get() + value.len());
        if self.used.get() > OPTION_LENGTH_MAX {
            let message =
                format!("the values of aliases are longer than {OPTION_LENGTH_MAX} characters");
            return Err(Error::new(ErrorKind::Limit, codes::ODATA, message).at(at));
        }
        Cursor::new(name, value).map(Some)
    }
}
