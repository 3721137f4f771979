//! `$expand`: `nav`, `nav($select=a,b;$filter=…;$expand=…)`, `nav/$ref`.
//!
//! Whether a property of the root table leads to one row or to a collection is
//! known here; further down binding knows.

use super::cursor::Cursor;
use super::lexer::{TokenKind, excerpt};
use super::{filter, lists};
use crate::catalog::{Table, nearest};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::query::{Expand, Name};

/// The most navigation properties one `$expand` may name, as in Dataverse; those
/// inside others count too.
pub const EXPAND_MAX: usize = 15;

/// The options that OData allows within `$expand`.
const OPTIONS: [&str; 10] = [
    "$select", "$expand", "$filter", "$orderby", "$top", "$count", "$skip", "$search", "$levels",
    "$compute",
];

/// The first of them are offered.
const OFFERED: usize = 6;

/// What Dataverse says to options that only a collection right under the root
/// can have.
const ONLY_SELECT_AND_FILTER: &str = "Only $select and $filter clause can be provided while doing \
                                      $expand on many-to-one relationship or nested one-to-many \
                                      relationship.";

/// Reads a whole `$expand` of a table.
pub(super) fn parse(table: &Table, text: &str) -> Result<Vec<Expand>> {
    let mut parser = Parser { cursor: Cursor::new("$expand", text)?, items: 0, limited: None };
    let items = parser.items(Some(table))?;
    parser.cursor.require_end("',' or the end")?;
    if let Some(error) = parser.limited
        && items.iter().any(|item| !item.expand.is_empty())
    {
        return Err(error);
    }
    Ok(items)
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    items: usize,
    /// The error for the first `$top` or `$orderby`, in case that anything is nested.
    limited: Option<Error>,
}

impl Parser<'_> {
    /// A list of items; the table is known for those of the root.
    fn items(&mut self, table: Option<&Table>) -> Result<Vec<Expand>> {
        let mut items: Vec<Expand> = Vec::new();
        loop {
            let item = self.item(table)?;
            if items.iter().any(|i| i.navigation.text == item.navigation.text) {
                let message = format!("'{}' is expanded twice", excerpt(&item.navigation.text));
                return Err(Error::invalid(codes::ODATA, message).at(item.navigation.at));
            }
            items.push(item);
            if !self.cursor.take_symbol(',') {
                return Ok(items);
            }
        }
    }

    fn item(&mut self, table: Option<&Table>) -> Result<Expand> {
        let cursor = &mut self.cursor;
        if cursor.at_symbol('*') {
            return Err(cursor.unsupported("'*' in $expand"));
        }
        let navigation = cursor.require_name("a navigation property")?;
        self.items += 1;
        if self.items > EXPAND_MAX {
            let message = format!("more than {EXPAND_MAX} navigation properties");
            return Err(Error::new(ErrorKind::Limit, codes::ODATA, message).at(navigation.at));
        }
        let single = table.is_some_and(|t| t.navigation(&navigation.text).is_some());
        let reference = cursor.at_symbol('/');
        if reference {
            self.reference(table, &navigation)?;
        }
        let mut item = Expand {
            navigation,
            select: None,
            filter: None,
            order: Vec::new(),
            top: None,
            count: false,
            expand: Vec::new(),
            reference,
        };
        if self.cursor.at_symbol('(') {
            if reference {
                return Err(self.cursor.unsupported("options after '/$ref' in $expand"));
            }
            self.options(&mut item, single)?;
        }
        Ok(item)
    }

    /// `/$ref` after a navigation property.
    fn reference(&mut self, table: Option<&Table>, navigation: &Name) -> Result<()> {
        let shown = excerpt(&navigation.text);
        let segment = self.cursor.peek_second();
        if segment.text != "$ref" {
            let what = match segment.kind {
                TokenKind::Word => format!("'{shown}/{}' in $expand", excerpt(&segment.text)),
                _ => format!("a path after '{shown}' in $expand"),
            };
            return Err(self.cursor.unsupported(&what));
        }
        let collection =
            |t: &Table| t.one_to_many.iter().any(|r| r.navigation_property == navigation.text);
        if table.is_some_and(collection) {
            let message = "Expand with $ref is only supported on lookup type navigation property.";
            return Err(self.cursor.error(message));
        }
        self.cursor.advance();
        self.cursor.advance();
        Ok(())
    }

    /// `($select=…;$filter=…)`.
    fn options(&mut self, item: &mut Expand, single: bool) -> Result<()> {
        self.cursor.advance();
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let start = self.cursor.position();
            let option = self.option()?;
            if seen.contains(&option) {
                return Err(self.cursor.error_at(start, format!("{option} is given twice")));
            }
            seen.push(option);
            if single && !matches!(option, "$select" | "$expand") {
                return Err(match option {
                    "$filter" => {
                        let shown = excerpt(&item.navigation.text);
                        let what = format!("$filter within $expand of the single row '{shown}'");
                        self.cursor.unsupported_at(start, &what)
                    }
                    _ => self.cursor.error_at(start, ONLY_SELECT_AND_FILTER),
                });
            }
            if matches!(option, "$top" | "$orderby") && self.limited.is_none() {
                self.limited = Some(self.cursor.error_at(start, ONLY_SELECT_AND_FILTER));
            }
            let cursor = &mut self.cursor;
            match option {
                "$select" => item.select = lists::select_items(cursor)?,
                "$filter" => item.filter = Some(filter::until(cursor, "';' or ')'", at_end)?),
                "$orderby" => item.order = lists::order_items(cursor, "';' or ')'", at_end)?,
                "$top" => item.top = Some(lists::row_count(cursor)?),
                "$count" => {
                    let Some(count) = lists::truth(&cursor.peek().text) else {
                        return Err(cursor.expected("'true' or 'false'"));
                    };
                    cursor.advance();
                    item.count = count;
                }
                // The number of items bounds how deep they go.
                _ => item.expand = self.items(None)?,
            }
            if !self.cursor.take_symbol(';') {
                break;
            }
        }
        if !self.cursor.take_symbol(')') {
            return Err(self.cursor.expected("';' or ')'"));
        }
        Ok(())
    }

    /// Takes an option's name and `=`; one that is not offered is refused.
    fn option(&mut self) -> Result<&'static str> {
        let cursor = &mut self.cursor;
        let token = cursor.peek();
        let name = token.text.as_str();
        let known = OPTIONS.iter().position(|option| *option == name);
        match known {
            Some(i) if i < OFFERED => {
                cursor.advance();
                cursor.require_symbol('=')?;
                Ok(OPTIONS[i])
            }
            Some(_) => Err(cursor.unsupported(&format!("{name} within $expand"))),
            None => {
                let near = nearest(name, OPTIONS.into_iter().take(OFFERED));
                match near.filter(|_| token.kind == TokenKind::Word) {
                    Some(near) => {
                        let shown = excerpt(name);
                        let message =
                            format!("option '{shown}' does not exist; did you mean '{near}'?");
                        Err(cursor.error(message))
                    }
                    None => Err(cursor.expected("an option such as $select")),
                }
            }
        }
    }
}

/// Where an option within `$expand` ends.
fn at_end(cursor: &Cursor<'_>) -> bool {
    cursor.at_symbol(';') || cursor.at_symbol(')')
}
