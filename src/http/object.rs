//! A JSON object written member by member.

use super::negotiate::Metadata;
use super::request::Call;
use crate::encode::json_text;

/// An object in the making.
pub struct Object(Vec<u8>);

impl Object {
    pub fn new() -> Self {
        Self(b"{".to_vec())
    }

    /// The object of an answer, with its context where the client wants it.
    pub fn of(call: &Call, fragment: &str) -> Self {
        let mut object = Self::new();
        if call.wanted.metadata != Metadata::None {
            object.text("@odata.context", &format!("{}$metadata{fragment}", call.base));
        }
        object
    }

    /// A member whose value is text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        json_text(value, &mut self.0);
    }

    /// A member whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: impl AsRef<[u8]>) {
        self.name(name);
        self.0.extend_from_slice(json.as_ref());
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty() {
            self.0.push(b',');
        }
        json_text(name, &mut self.0);
        self.0.push(b':');
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// The object so far, ready for a further member.
    pub fn open(mut self) -> Vec<u8> {
        if !self.is_empty() {
            self.0.push(b',');
        }
        self.0
    }

    /// The object without its closing brace.
    pub fn unclosed(self) -> Vec<u8> {
        self.0
    }

    pub fn close(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
