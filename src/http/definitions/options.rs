//! The query options of a read of definitions, and what they make of it.

use serde_json::{Map, Value as Json};

use super::filter::{self, Aliases, Filter};
use super::item::{Item, NAMESPACE, Navigation, Type};
use super::parts::LANGUAGE;
use crate::catalog::{Catalog, nearest};
use crate::dialect::odata::{Cursor, TokenKind};
use crate::error::{Error, Place, Result, codes};
use crate::query::Name;

/// What is wanted of one collection or definition.
#[derive(Default)]
pub struct Options {
    /// Nothing: all properties.
    pub select: Option<Vec<Name>>,
    pub expand: Vec<(Name, Type, Options)>,
    pub filter: Option<Filter>,
    pub top: Option<usize>,
    pub count: bool,
}

impl Options {
    /// Reads the decoded options of a request on definitions of a type.
    pub fn read(options: &[(String, String)], of: Type) -> Result<Self> {
        let mut read = Self::default();
        for (i, (name, value)) in options.iter().enumerate() {
            if options[..i].iter().any(|(other, _)| other == name) {
                return Err(invalid(name, "the option is given twice"));
            }
            match name.as_str() {
                alias if alias.starts_with('@') => {}
                // Clients without a preference send it too.
                "LabelLanguages" => {
                    let known = LANGUAGE.to_string();
                    if !value.split(',').any(|language| language.trim() == known) {
                        let message = format!("labels are kept in language {known} only");
                        return Err(invalid(name, message));
                    }
                }
                name => {
                    let mut cursor = Cursor::new(name, value)?;
                    read.option(name, &mut cursor, of, options)?;
                    cursor.require_end("the end")?;
                }
            }
        }
        Ok(read)
    }

    fn option(
        &mut self,
        name: &str,
        cursor: &mut Cursor<'_>,
        of: Type,
        aliases: Aliases<'_>,
    ) -> Result<()> {
        match name {
            "$select" if cursor.take_symbol('*') => self.select = None,
            "$select" => {
                let mut names: Vec<Name> = Vec::new();
                loop {
                    let name = cursor.require_name("a property")?;
                    if !of.properties().contains(&name.text.as_str()) {
                        return Err(unknown_property(&name, of));
                    }
                    if !names.iter().any(|n| n.text == name.text) {
                        names.push(name);
                    }
                    if !cursor.take_symbol(',') {
                        break;
                    }
                }
                self.select = Some(names);
            }
            "$filter" => self.filter = Some(filter::parse(cursor, of, aliases)?),
            "$expand" => loop {
                let item = expand(cursor, of, aliases)?;
                self.expand.retain(|(name, _, _)| name.text != item.0.text);
                self.expand.push(item);
                if !cursor.take_symbol(',') {
                    break;
                }
            },
            "$top" => {
                let token = cursor.advance();
                let number = (token.kind == TokenKind::Number).then(|| token.text.parse().ok());
                let wrong = || cursor.error_at(token.position, "expected a whole number");
                self.top = Some(number.flatten().ok_or_else(wrong)?);
            }
            "$count" => {
                self.count = cursor.take_word("true");
                if !self.count {
                    cursor.require_word("false")?;
                }
            }
            name => {
                let message = format!("the query option '{name}' is not supported on definitions");
                return Err(Error::unsupported(message).at(Place::Part(name.to_owned())));
            }
        }
        Ok(())
    }

    /// The definitions of a collection that are wanted, and their number before
    /// `$top`.
    pub fn rows<'a>(
        &self,
        catalog: &'a Catalog,
        items: Vec<Item<'a>>,
        of: Type,
    ) -> Result<(Vec<Json>, usize)> {
        let mut rows = Vec::new();
        let mut count = 0;
        for item in items {
            if let Some(filter) = &self.filter
                && !filter.holds(item)?
            {
                continue;
            }
            count += 1;
            if self.top.is_none_or(|top| rows.len() < top) {
                rows.push(Json::Object(self.document(catalog, item, of)?));
            }
        }
        Ok((rows, count))
    }

    /// A definition as it is answered where this type is expected.
    pub fn document(
        &self,
        catalog: &Catalog,
        item: Item<'_>,
        expected: Type,
    ) -> Result<Map<String, Json>> {
        let of = item.type_of();
        let mut members = Map::new();
        if of.name() != expected.name() {
            let name = format!("#{NAMESPACE}{}", of.name());
            members.insert("@odata.type".into(), name.into());
        }
        match &self.select {
            Some(names) => {
                for name in names {
                    members.insert(name.text.clone(), item.property(&name.text));
                }
                // The key is part of every answer.
                members.insert("MetadataId".into(), item.property("MetadataId"));
            }
            None => {
                for name in of.properties() {
                    members.insert(name.to_owned(), item.property(name));
                }
            }
        }
        for (name, of, options) in &self.expand {
            let value = match item.navigate(catalog, &name.text) {
                Navigation::One(None) => Json::Null,
                Navigation::One(Some(item)) => Json::Object(options.document(catalog, item, *of)?),
                Navigation::Many(items) => options.rows(catalog, items, *of)?.0.into(),
            };
            members.insert(name.text.clone(), value);
        }
        Ok(members)
    }

    /// The part of the context address that says what was selected.
    pub fn projection(&self) -> String {
        let selected = self.select.iter().flatten().map(|name| name.text.clone());
        let expanded = self
            .expand
            .iter()
            .map(|(name, _, options)| format!("{}{}", name.text, options.projection_or_empty()));
        let parts: Vec<String> = selected.chain(expanded).collect();
        if parts.is_empty() { String::new() } else { format!("({})", parts.join(",")) }
    }

    fn projection_or_empty(&self) -> String {
        let projection = self.projection();
        if projection.is_empty() { "()".into() } else { projection }
    }
}

/// `navigation` or `navigation($select=…;$filter=…)`.
fn expand(
    cursor: &mut Cursor<'_>,
    of: Type,
    aliases: Aliases<'_>,
) -> Result<(Name, Type, Options)> {
    let name = cursor.require_name("a navigation property")?;
    let navigations = of.navigations();
    let Some((_, target)) = navigations.iter().find(|(n, _)| *n == name.text) else {
        let names = navigations.iter().map(|(n, _)| *n);
        let message = format!(
            "Could not find a property named '{}' on type '{NAMESPACE}{}'.{}",
            name.text,
            of.name(),
            did_you_mean(&name.text, names)
        );
        return Err(Error::invalid(codes::ODATA, message).at(name.at));
    };
    let mut options = Options::default();
    if cursor.take_symbol('(') && !cursor.take_symbol(')') {
        loop {
            let option = cursor.advance();
            cursor.require_symbol('=')?;
            cursor.nested(|c| options.option(&option.text, c, *target, aliases))?;
            if !cursor.take_symbol(';') {
                break;
            }
        }
        cursor.require_symbol(')')?;
    }
    Ok((name, *target, options))
}

/// A property that a type does not have.
pub fn unknown_property(name: &Name, of: Type) -> Error {
    let message = format!(
        "Could not find a property named '{}' on type '{NAMESPACE}{}'.{}",
        name.text,
        of.name(),
        did_you_mean(&name.text, of.properties().into_iter())
    );
    Error::invalid(codes::ODATA, message).at(name.at.clone())
}

fn did_you_mean(name: &str, names: impl Iterator<Item = &'static str>) -> String {
    nearest(name, names).map(|n| format!(" Did you mean '{n}'?")).unwrap_or_default()
}

fn invalid(option: &str, message: impl Into<String>) -> Error {
    Error::invalid(codes::ODATA, message).at(Place::Part(option.to_owned()))
}
