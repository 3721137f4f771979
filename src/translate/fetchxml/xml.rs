//! Elements as text, one a line.

use std::fmt::{self, Display, Formatter, Write as _};

use super::cannot_say;
use crate::error::Result;

/// An element with its attributes, its text and what is inside.
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    pub fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), text: String::new(), children: Vec::new() }
    }

    pub fn with(mut self, attribute: &'static str, value: &str) -> Result<Self> {
        self.set(attribute, value)?;
        Ok(self)
    }

    pub fn set(&mut self, attribute: &'static str, value: &str) -> Result<()> {
        self.attributes.push((attribute, escaped(value)?));
        Ok(())
    }

    pub fn push(&mut self, child: Self) {
        self.children.push(child);
    }

    /// An element with a text and nothing else.
    pub fn holding(name: &'static str, text: &str) -> Result<Self> {
        Ok(Self { text: escaped(text)?, ..Self::new(name) })
    }

    fn write(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        let name = self.name;
        out.push_str(&indent);
        let _ = write!(out, "<{name}");
        for (attribute, value) in &self.attributes {
            let _ = write!(out, " {attribute}='{value}'");
        }
        if self.children.is_empty() && name != "value" {
            out.push_str(" />\n");
            return;
        }
        out.push('>');
        out.push_str(&self.text);
        if !self.children.is_empty() {
            out.push('\n');
            for child in &self.children {
                child.write(depth + 1, out);
            }
            out.push_str(&indent);
        }
        let _ = writeln!(out, "</{name}>");
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(0, &mut text);
        f.write_str(text.trim_end())
    }
}

/// A text as XML holds it, in attributes and between elements.
fn escaped(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            // White space in an attribute would become blanks.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                let part = format!("the character U+{:04X}", u32::from(c));
                return Err(cannot_say(part));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}
