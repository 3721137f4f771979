//! XML text → a tree of elements that know their line and column.
//!
//! Rule: nothing in the text can make this expensive. The size and the depth
//! are bounded, a DOCTYPE is refused, and only the five predefined entities
//! and character references are resolved.

use std::cell::Cell;

use quick_xml::XmlVersion;
use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use crate::error::{Error, ErrorKind, Place, Result, codes};
use crate::query::Name;

/// Room for a condition with some ten thousand GUIDs.
pub const BYTES_MAX: usize = 1 << 20;

/// Elements inside elements; four times what 15 nested links with filters need.
pub const DEPTH_MAX: usize = 64;

/// An element with its place in the text.
#[derive(Debug)]
pub struct Element {
    pub name: String,
    pub at: Place,
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
    /// The text directly inside, entities resolved.
    pub text: String,
}

#[derive(Debug)]
pub struct Attribute {
    pub name: String,
    /// Entities resolved.
    pub value: String,
    /// Where the attribute's name starts.
    pub at: Place,
    /// Where its value starts, after the quote.
    pub value_at: Place,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attribute(name).map(|a| a.value.as_str())
    }

    /// An attribute's value as a name with its place; surrounding blanks do not count.
    pub fn name_of(&self, attribute: &str) -> Option<Name> {
        self.attribute(attribute)
            .map(|a| Name { text: a.value.trim().to_owned(), at: a.value_at.clone() })
    }

    /// The same, where the element makes no sense without it.
    pub fn required(&self, attribute: &str) -> Result<Name> {
        self.name_of(attribute).filter(|n| !n.text.is_empty()).ok_or_else(|| {
            let message = format!("'{}' needs the attribute '{attribute}'", self.name);
            Error::invalid(codes::MISSING_ATTRIBUTE, message).at(self.at.clone())
        })
    }

    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.name == name)
    }
}

/// Reads a whole document and gives its root element.
pub fn read(text: &str) -> Result<Element> {
    if text.len() > BYTES_MAX {
        let message = format!("the query has {} bytes; at most {BYTES_MAX} are read", text.len());
        return Err(Error::new(ErrorKind::Limit, codes::MALFORMED_FETCHXML, message));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Error::invalid(codes::EMPTY_XML, "the query is empty"));
    }
    let builder = TreeBuilder { places: Places::new(text), open: Vec::new(), root: None };
    if let Some((offset, character)) = text.char_indices().find(|(_, c)| !is_xml_char(*c)) {
        let message = format!("the character {character:?} is not allowed in XML");
        let at = builder.places.at_offset(offset);
        return Err(Error::invalid(codes::INVALID_XML, message).at(at));
    }
    builder.read()
}

/// XML 1.0, production 2.
fn is_xml_char(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => other >= ' ',
    }
}

struct TreeBuilder<'a> {
    places: Places<'a>,
    open: Vec<Element>,
    root: Option<Element>,
}

impl<'a> TreeBuilder<'a> {
    fn read(mut self) -> Result<Element> {
        let mut reader = Reader::from_str(self.places.text);
        reader.config_mut().enable_all_checks(true);
        loop {
            let event = reader.read_event().map_err(|error| {
                let offset = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                self.malformed(&error).at(self.places.at_offset(offset))
            })?;
            match event {
                Event::Start(tag) => {
                    let element = self.element(&tag)?;
                    self.open.push(element);
                }
                Event::Empty(tag) => {
                    let element = self.element(&tag)?;
                    self.close(element)?;
                }
                Event::End(_) => {
                    let element = self.open.pop().expect("the reader matches end tags");
                    self.close(element)?;
                }
                Event::Text(text) => self.text(&text.xml10_content(), self.places.of(&text))?,
                Event::CData(text) => self.text(&text.xml10_content(), self.places.of(&text))?,
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::DocType(doctype) => {
                    let message = "a DOCTYPE is not allowed in a query";
                    return Err(
                        Error::invalid(codes::INVALID_XML, message).at(self.places.of(&doctype))
                    );
                }
                Event::Decl(declaration) if !self.open.is_empty() || self.root.is_some() => {
                    let message = "an XML declaration stands before everything else";
                    let at = self.places.of(&declaration);
                    return Err(Error::invalid(codes::INVALID_XML, message).at(at));
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if let Some(open) = self.open.last() {
            let message = format!("'{}' is not closed", open.name);
            return Err(Error::invalid(codes::INVALID_XML, message).at(open.at.clone()));
        }
        self.root.ok_or_else(|| {
            Error::invalid(codes::NO_DOCUMENT_ELEMENT, "the query has no 'fetch' element")
        })
    }

    fn element(&self, tag: &BytesStart<'_>) -> Result<Element> {
        let at = self.places.of(tag);
        if self.open.len() >= DEPTH_MAX {
            let message = format!("elements are nested deeper than {DEPTH_MAX}");
            return Err(Error::new(ErrorKind::Limit, codes::MALFORMED_FETCHXML, message).at(at));
        }
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| self.bad_attribute(&error, tag))?;
            let name = attribute.key.as_ref();
            let at = self.places.of(name);
            let malformed = |error: &str| {
                let message = format!("the value of '{name}' is malformed: {error}");
                Error::invalid(codes::INVALID_XML, message).at(at.clone())
            };
            if attribute.value.contains('<') {
                return Err(malformed("'<' is written '&lt;'"));
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| malformed(&error.to_string()))?;
            if value.chars().any(|character| !is_xml_char(character)) {
                return Err(malformed("it refers to a character that XML does not allow"));
            }
            let value_at = self.places.of(&attribute.value);
            attributes.push(Attribute {
                name: name.to_owned(),
                value: value.into_owned(),
                at,
                value_at,
            });
        }
        let name = tag.name().as_ref().to_owned();
        Ok(Element { name, at, attributes, children: Vec::new(), text: String::new() })
    }

    fn close(&mut self, element: Element) -> Result<()> {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None if self.root.is_none() => self.root = Some(element),
            None => {
                let message = format!("'{}' stands after the end of the query", element.name);
                return Err(Error::invalid(codes::INVALID_XML, message).at(element.at));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str, at: Place) -> Result<()> {
        match self.open.last_mut() {
            Some(parent) => parent.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => {
                let message = "there is text outside the 'fetch' element";
                return Err(Error::invalid(codes::INVALID_XML, message).at(at));
            }
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<()> {
        let at = self.places.of(reference);
        let unknown = || {
            let message = format!("the entity '&{};' is not known", &**reference);
            Error::invalid(codes::INVALID_XML, message).at(at.clone())
        };
        let character = reference.resolve_char_ref().map_err(|_| unknown())?;
        if let Some(character) = character.filter(|c| is_xml_char(*c)) {
            return self.text(character.encode_utf8(&mut [0; 4]), at.clone());
        }
        let text = resolve_predefined_entity(reference).ok_or_else(unknown)?;
        self.text(text, at.clone())
    }

    fn malformed(&self, error: &XmlError) -> Error {
        let message = match error {
            XmlError::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
                format!("'{expected}' is open here, but '</{found}>' follows")
            }
            XmlError::IllFormed(IllFormedError::UnmatchedEndTag(found)) => {
                format!("'</{found}>' closes an element that is not open")
            }
            XmlError::Syntax(error) => error.to_string(),
            other => other.to_string(),
        };
        Error::invalid(codes::INVALID_XML, message)
    }

    fn bad_attribute(&self, error: &AttrError, tag: &BytesStart<'_>) -> Error {
        let (message, position) = match *error {
            AttrError::Duplicated(position, _) => ("an attribute stands twice", position),
            AttrError::ExpectedEq(position) => ("an attribute has no '='", position),
            AttrError::ExpectedValue(position) => ("an attribute has no value", position),
            AttrError::UnquotedValue(position) => ("an attribute's value needs quotes", position),
            AttrError::ExpectedQuote(position, _) => {
                ("an attribute's value has no closing quote", position)
            }
        };
        let name = tag.name();
        let message = format!("{message} in '{}'", name.as_ref());
        let offset = self.places.offset_of(tag) + position;
        Error::invalid(codes::INVALID_XML, message).at(self.places.at_offset(offset))
    }
}

/// Turns positions in the text into lines and columns. Places are asked for
/// from front to back, so it goes on from the last one: a long text costs no
/// more than one walk.
struct Places<'a> {
    text: &'a str,
    last: Cell<Position>,
}

#[derive(Clone, Copy)]
struct Position {
    offset: usize,
    line: u32,
    column: u32,
}

impl<'a> Places<'a> {
    const START: Position = Position { offset: 0, line: 1, column: 1 };

    fn new(text: &'a str) -> Self {
        Self { text, last: Cell::new(Self::START) }
    }

    /// The place of a slice of the text. The events borrow from it, so the
    /// distance of the two starts is the offset.
    fn of(&self, part: &str) -> Place {
        self.at_offset(self.offset_of(part))
    }

    fn offset_of(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    fn at_offset(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let mut position = self.last.get();
        if position.offset > offset {
            position = Self::START;
        }
        for character in self.text[position.offset..].chars() {
            if position.offset + character.len_utf8() > offset {
                break;
            }
            position.offset += character.len_utf8();
            if character == '\n' {
                position.line += 1;
                position.column = 1;
            } else {
                position.column += 1;
            }
        }
        self.last.set(position);
        Place::Line { dialect: "FetchXML", line: position.line, column: position.column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_attributes_know_their_place() {
        let root =
            read("<fetch>\n  <entity\n    name='ä' id='b'/>\n</fetch>").expect("well formed");
        let entity = &root.children[0];
        let place = |line, column| Place::Line { dialect: "FetchXML", line, column };
        assert_eq!(entity.at, place(2, 4));
        assert_eq!(entity.attributes[0].at, place(3, 5));
        assert_eq!(entity.attributes[1].at, place(3, 14));
        assert_eq!(entity.attributes[1].value_at, place(3, 18));
    }

    #[test]
    fn entities_are_resolved_in_values_and_text() {
        let root =
            read("<v a='&lt;&#65;&amp;'>x&gt;&#x42;<![CDATA[<&]]></v>").expect("well formed");
        assert_eq!(root.get("a"), Some("<A&"));
        assert_eq!(root.text, "x>B<&");
    }

    #[test]
    fn what_xml_does_not_allow_is_refused() {
        for text in [
            "<a b='1<2'/>",
            "<a b='&#1;'/>",
            "<a>&#x1f;</a>",
            "<a b='\u{1}'/>",
            "<a>\u{ffff}</a>",
            "<!-- a -- b --><a/>",
            "<a><?xml version='1.0'?></a>",
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.code, codes::INVALID_XML, "{text}: {error}");
        }
        let place = |line, column| Place::Line { dialect: "FetchXML", line, column };
        assert_eq!(read("<a>\n<b c='1<2'/></a>").expect_err("'<'").place, Some(place(2, 4)));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{}{}", "<a>".repeat(DEPTH_MAX + 1), "</a>".repeat(DEPTH_MAX + 1));
        assert_eq!(read(&deep).expect_err("too deep").kind, ErrorKind::Limit);
        let long = format!("<a>{}</a>", " ".repeat(BYTES_MAX));
        assert_eq!(read(&long).expect_err("too long").kind, ErrorKind::Limit);
    }
}
