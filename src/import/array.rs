//! The elements of a JSON array, one at a time: of a bare array, or of `value`
//! in a Web API answer.
//!
//! Only the outline is followed here (strings, brackets, commas), so the
//! document is never held whole, an element keeps its text and line, and one
//! that is no valid JSON costs only itself.

use std::io::{self, BufRead};
use std::path::Path;

use crate::error::{Error, Place, codes};

use super::source;

/// One element of the array.
#[derive(Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The line where it begins, from 1.
    pub line: u64,
    pub text: &'a [u8],
    /// The file ended before the element did.
    pub cut_short: bool,
}

/// Why a document has no elements to read.
#[derive(Debug)]
pub enum Trouble {
    Read(io::Error),
    Shape(String),
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        Self::Read(e)
    }
}

impl Trouble {
    pub fn into_error(self, path: &Path, place: Place) -> Error {
        match self {
            Self::Read(cause) => source::unreadable(path, cause),
            Self::Shape(message) => Error::invalid(codes::INVALID_ARGUMENT, message).at(place),
        }
    }
}

pub struct Elements<R> {
    reader: R,
    line: u64,
    text: Vec<u8>,
    /// In a Web API answer, which has members around the array.
    in_answer: bool,
    context: Option<String>,
    has_next_page: bool,
    cut_short: bool,
    done: bool,
}

impl<R: BufRead> Elements<R> {
    /// Reads up to the array.
    pub fn open(reader: R) -> Result<Self, Trouble> {
        let mut elements = Self {
            reader,
            line: 1,
            text: Vec::new(),
            in_answer: false,
            context: None,
            has_next_page: false,
            cut_short: false,
            done: false,
        };
        elements.skip(b"")?;
        match elements.peek()? {
            Some(b'[') => {
                elements.consume()?;
                Ok(elements)
            }
            Some(b'{') => {
                elements.consume()?;
                elements.in_answer = true;
                if elements.members(true)? {
                    return Ok(elements);
                }
                Err(Trouble::Shape(
                    "no array 'value' in it; JSON with one row a line is read from .jsonl".into(),
                ))
            }
            _ => Err(Trouble::Shape("neither a Web API answer nor an array of rows".into())),
        }
    }

    /// The answer's `@odata.context`, where it came before the rows.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    pub fn next(&mut self) -> io::Result<Option<Element<'_>>> {
        if self.done {
            return Ok(None);
        }
        self.skip(b",")?;
        match self.peek()? {
            Some(b']') => {
                self.done = true;
                self.consume()?;
                if self.in_answer {
                    self.cut_short = match self.members(false) {
                        Ok(closed) => !closed,
                        Err(Trouble::Read(e)) => return Err(e),
                        Err(Trouble::Shape(_)) => true,
                    };
                }
                Ok(None)
            }
            None => {
                self.done = true;
                self.cut_short = true;
                Ok(None)
            }
            Some(_) => {
                let line = self.line;
                let complete = self.value()?;
                Ok(Some(Element { line, text: &self.text, cut_short: !complete }))
            }
        }
    }

    /// What the document as a whole gives reason to say, after its last element.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.has_next_page {
            warnings.push("the answer has an @odata.nextLink: it is one page of several".into());
        }
        if self.cut_short {
            warnings.push("the file ends before its JSON does: it may have been cut short".into());
        }
        warnings
    }

    /// Reads members of the answer. Before the rows: true once inside the
    /// array `value`. After them: true at the closing brace.
    fn members(&mut self, before: bool) -> Result<bool, Trouble> {
        loop {
            self.skip(b",")?;
            match self.peek()? {
                Some(b'"') => {}
                Some(b'}') => {
                    self.consume()?;
                    return Ok(!before);
                }
                _ => return Ok(false),
            }
            let line = self.line;
            let key = if self.value()? { self.parsed::<String>() } else { None };
            self.skip(b"")?;
            let (Some(key), Some(b':')) = (key, self.peek()?) else {
                return Err(Trouble::Shape(format!("line {line} is not valid JSON")));
            };
            self.consume()?;
            self.skip(b"")?;
            if before && key == "value" && self.peek()? == Some(b'[') {
                self.consume()?;
                return Ok(true);
            }
            if !self.value()? {
                return Ok(false);
            }
            match key.as_str() {
                "@odata.context" => self.context = self.parsed(),
                "@odata.nextLink" => self.has_next_page = true,
                "error" if before => {
                    let message = self
                        .parsed::<serde_json::Value>()
                        .and_then(|e| e.get("message")?.as_str().map(str::to_owned))
                        .unwrap_or_default();
                    return Err(Trouble::Shape(format!("an error answer, not rows: {message}")));
                }
                _ => {}
            }
        }
    }

    /// The last read value.
    fn parsed<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.text).ok()
    }

    /// Reads the text of one value; false if the file ends inside it.
    fn value(&mut self) -> io::Result<bool> {
        self.text.clear();
        let mut outline = Outline::default();
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                // A number has no end of its own, but the array must go on.
                return Ok(false);
            }
            let mut used = 0;
            let mut complete = false;
            for byte in buffer {
                match outline.step(*byte) {
                    Step::Inside => used += 1,
                    Step::Last => {
                        used += 1;
                        complete = true;
                        break;
                    }
                    Step::Beyond => {
                        complete = true;
                        break;
                    }
                }
            }
            let taken = &buffer[..used];
            self.line += taken.iter().filter(|b| **b == b'\n').count() as u64;
            self.text.extend_from_slice(taken);
            self.reader.consume(used);
            if complete {
                return Ok(true);
            }
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    fn consume(&mut self) -> io::Result<()> {
        self.reader.consume(1);
        Ok(())
    }

    /// Passes over white space and the given bytes.
    fn skip(&mut self, also: &[u8]) -> io::Result<()> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() && !also.contains(&byte) {
                break;
            }
            self.line += u64::from(byte == b'\n');
            self.reader.consume(1);
        }
        Ok(())
    }
}

enum Step {
    Inside,
    /// The value's last byte.
    Last,
    /// The first byte after the value.
    Beyond,
}

/// Finds the end of a value without understanding it.
#[derive(Default)]
struct Outline {
    begun: bool,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Outline {
    fn step(&mut self, byte: u8) -> Step {
        // The first byte belongs to the value whatever it is, so that stray
        // punctuation cannot stop the reader for ever.
        let first = !std::mem::replace(&mut self.begun, true);
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    if self.depth == 0 {
                        return Step::Last;
                    }
                }
                _ => {}
            }
            return Step::Inside;
        }
        match byte {
            b'"' | b'{' | b'[' if self.depth == 0 && !first => return Step::Beyond,
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                if self.depth == 0 {
                    return Step::Last;
                }
            }
            b'}' | b':' if first => return Step::Last,
            b',' | b']' | b'}' | b':' if self.depth == 0 && !first => return Step::Beyond,
            b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return Step::Beyond,
            _ => {}
        }
        Step::Inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, text and whether it is cut short.
    type Found = Vec<(u64, String, bool)>;

    /// The elements, the warnings and the context.
    fn all(text: &str) -> (Found, Vec<String>, Option<String>) {
        // A tiny buffer: every value is met in pieces.
        let reader = io::BufReader::with_capacity(3, text.as_bytes());
        let mut elements = Elements::open(reader).expect("an array");
        let context = elements.context().map(str::to_owned);
        let mut found = Vec::new();
        while let Some(e) = elements.next().expect("readable") {
            found.push((e.line, String::from_utf8_lossy(e.text).into_owned(), e.cut_short));
        }
        (found, elements.warnings(), context)
    }

    fn texts(text: &str) -> Vec<String> {
        all(text).0.into_iter().map(|(_, text, _)| text).collect()
    }

    #[test]
    fn elements_of_an_array_and_of_an_answer() {
        assert_eq!(
            texts(r#"[{"a":"]}\""} , {"b":[1,{}]}]"#),
            [r#"{"a":"]}\""}"#, r#"{"b":[1,{}]}"#]
        );
        let (found, warnings, context) = all(
            "{\"@odata.context\":\"x$metadata#accounts\",\n \"n\":[1,2],\n \"value\": [\n{\"a\":1},\n{\n\"a\":2}]\n, \"@odata.nextLink\":\"y\"}",
        );
        assert_eq!(context.as_deref(), Some("x$metadata#accounts"));
        assert_eq!(
            found,
            [(4, "{\"a\":1}".to_owned(), false), (5, "{\n\"a\":2}".to_owned(), false)]
        );
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("nextLink"));
        assert!(texts("[]").is_empty());
    }

    #[test]
    fn broken_elements_cost_only_themselves() {
        assert_eq!(
            texts(r#"[1 2,}:{"a":1}{"b":2}3[4]"x" ]"#),
            ["1", "2", "}", ":", r#"{"a":1}"#, r#"{"b":2}"#, "3", "[4]", "\"x\""]
        );
    }

    #[test]
    fn a_file_that_ends_early_is_told() {
        let (found, warnings, _) = all(r#"[{"a":1},{"b":"#);
        assert_eq!(found.last(), Some(&(1, r#"{"b":"#.to_owned(), true)));
        assert_eq!(warnings.len(), 1);
        let (_, warnings, _) = all(r#"{"value":[{"a":1}]"#);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn documents_without_rows_are_refused() {
        let refused = |text: &str| match Elements::open(text.as_bytes()) {
            Err(Trouble::Shape(message)) => message,
            _ => panic!("{text} was accepted"),
        };
        assert!(refused("{\"a\":1}\n{\"a\":2}").contains(".jsonl"));
        assert!(refused(r#"{"value":5}"#).contains("no array"));
        assert!(
            refused(r#"{"error":{"code":"0x0","message":"no such set"}}"#).contains("no such set")
        );
        assert!(refused("a,b").contains("neither"));
        assert!(refused("").contains("neither"));
        assert!(refused("{a:1}").contains("no array"));
    }
}
