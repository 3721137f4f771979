//! `$1`, `$id`: the row that an earlier request of the batch made, by that
//! request's id, in addresses and in the bodies that point to rows.

use std::collections::HashMap;

use axum::body::Bytes;
use serde_json::Value as Json;

/// Addresses of rows by the ids of the requests that made them.
#[derive(Default)]
pub struct References {
    rows: HashMap<String, String>,
}

impl References {
    pub fn insert(&mut self, id: String, address: String) {
        self.rows.insert(id, address);
    }

    /// An address that may begin with a reference.
    pub fn in_target(&self, target: &str) -> String {
        self.resolved(target).unwrap_or_else(|| target.to_owned())
    }

    /// A JSON body whose pointers to rows may be references.
    pub fn in_body(&self, body: Bytes) -> Bytes {
        let refers = |b: &[u8]| b.windows(2).any(|w| w == b"\"$");
        if self.rows.is_empty() || !refers(&body) {
            return body;
        }
        // What is not JSON is judged by who takes it.
        let Ok(mut json) = serde_json::from_slice::<Json>(&body) else { return body };
        self.replace(&mut json, false);
        Bytes::from(json.to_string())
    }

    fn replace(&self, json: &mut Json, points: bool) {
        match json {
            Json::Object(members) => {
                for (name, value) in members {
                    let points = name.ends_with("@odata.bind") || name.ends_with("@odata.id");
                    self.replace(value, points);
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.replace(item, points)),
            Json::String(text) if points => {
                if let Some(address) = self.resolved(text.trim_start_matches('/')) {
                    *text = address;
                }
            }
            _ => {}
        }
    }

    /// `$id` or `$id/…` with the address in its place.
    fn resolved(&self, text: &str) -> Option<String> {
        let rest = text.strip_prefix('$')?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (id, after) = rest.split_at(end);
        self.rows.get(id).map(|address| format!("{address}{after}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_for_addresses_where_rows_are_pointed_to() {
        let mut references = References::default();
        references.insert("1".into(), "http://h/accounts(a)".into());
        for (text, expected) in [
            ("$1", "http://h/accounts(a)"),
            ("$1/contacts", "http://h/accounts(a)/contacts"),
            ("$1?$select=name", "http://h/accounts(a)?$select=name"),
            ("$12", "$12"),
            ("$metadata", "$metadata"),
            ("accounts?$top=1", "accounts?$top=1"),
        ] {
            assert_eq!(references.in_target(text), expected);
        }
        let body = r#"{"name":"$1","x@odata.bind":"$1","y@odata.bind":["/$1","/z(1)"]}"#;
        let replaced: Json =
            serde_json::from_slice(&references.in_body(body.into())).expect("still JSON");
        assert_eq!(replaced["name"], "$1", "text is text");
        assert_eq!(replaced["x@odata.bind"], "http://h/accounts(a)");
        assert_eq!(replaced["y@odata.bind"][0], "http://h/accounts(a)");
        assert_eq!(replaced["y@odata.bind"][1], "/z(1)");
        assert_eq!(references.in_body("not \"$1".into()), "not \"$1");
    }
}
