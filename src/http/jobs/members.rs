//! The members of a JSON object, read by their types. Errors name the member, and
//! the place of the object in the body.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::catalog::nearest;
use crate::error::{Error, Place, Result, codes};
use crate::value::{Guid, parse_guid, parse_time};

/// An object and where it stands.
pub struct Members<'a> {
    object: &'a Map<String, Json>,
    place: &'a str,
}

/// An error at a place of the body.
pub fn wrong(place: &str, message: impl Into<String>) -> Error {
    Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(place.to_owned()))
}

impl<'a> Members<'a> {
    /// `place` is what errors call the object.
    pub fn of(json: &'a Json, place: &'a str) -> Result<Self> {
        match json {
            Json::Object(object) => Ok(Self::new(object, place)),
            other => Err(wrong(place, format!("a JSON object is expected, not {}", kind(other)))),
        }
    }

    pub fn new(object: &'a Map<String, Json>, place: &'a str) -> Self {
        Self { object, place }
    }

    /// Refuses members with other names.
    pub fn known(&self, names: &[&str]) -> Result<()> {
        let Some(unknown) = self.object.keys().find(|name| !names.contains(&name.as_str())) else {
            return Ok(());
        };
        let hint = match nearest(unknown, names.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are {}", list(names)),
        };
        Err(wrong(self.place, format!("'{unknown}' is no member of this object; {hint}")))
    }

    /// A member that is there and not null.
    pub fn get(&self, name: &str) -> Option<&'a Json> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub fn keys(&self) -> impl Iterator<Item = &'a String> {
        self.object.keys()
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.read(name, "a text is expected", Json::as_str)
    }

    /// A text that says something.
    pub fn required_text(&self, name: &str) -> Result<&'a str> {
        let text = self.text(name)?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| self.wrong(name, "a text is required"))
    }

    pub fn object(&self, name: &str) -> Result<Option<&'a Map<String, Json>>> {
        self.read(name, "a JSON object is expected", Json::as_object)
    }

    /// One of some words.
    pub fn word(&self, name: &str, words: &[&'static str]) -> Result<&'static str> {
        let word = self.required_text(name)?;
        words.iter().find(|known| **known == word).copied().ok_or_else(|| {
            let near = nearest(word, words.iter().copied());
            let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
            self.wrong(name, format!("'{word}' is none of {}{hint}", list(words)))
        })
    }

    pub fn flag(&self, name: &str) -> Result<bool> {
        let flag = self.read(name, "true or false is expected", Json::as_bool)?;
        Ok(flag.unwrap_or(false))
    }

    /// A whole number from `least` on.
    pub fn int(&self, name: &str, least: i32) -> Result<Option<i32>> {
        let int = |json: &Json| json.as_i64().and_then(|n| i32::try_from(n).ok());
        let message = format!("a whole number from {least} to {} is expected", i32::MAX);
        self.read(name, &message, |json| int(json).filter(|n| *n >= least))
    }

    /// A number of things, at least one.
    pub fn count(&self, name: &str, most: usize) -> Result<Option<usize>> {
        let range = match most {
            usize::MAX => "from 1".to_owned(),
            _ => format!("from 1 to {most}"),
        };
        let message = format!("a whole number {range} is expected");
        let count = |json: &Json| json.as_u64().and_then(|n| usize::try_from(n).ok());
        self.read(name, &message, |json| count(json).filter(|n| (1..=most).contains(n)))
    }

    /// A number of seconds, perhaps with a fraction.
    pub fn seconds(&self, name: &str, least: f64, most: f64) -> Result<Option<Duration>> {
        let message = format!("a number of seconds from {least} to {most} is expected");
        let seconds = |json: &Json| json.as_f64().filter(|n| (least..=most).contains(n));
        self.read(name, &message, |json| seconds(json).map(Duration::from_secs_f64))
    }

    pub fn guid(&self, name: &str) -> Result<Option<Guid>> {
        self.read(name, "a GUID is expected", |json| parse_guid(json.as_str()?.trim()))
    }

    pub fn required_guid(&self, name: &str) -> Result<Guid> {
        self.guid(name)?.ok_or_else(|| self.wrong(name, "a GUID is required"))
    }

    pub fn time(&self, name: &str) -> Result<Option<i64>> {
        let message = "a date and time such as 2026-05-01T10:00:00Z is expected";
        self.read(name, message, |json| parse_time(json.as_str()?.trim()))
    }

    /// An error code: a signed number of 32 bits, or hexadecimal digits after `0x`.
    pub fn error_code(&self, name: &str) -> Result<Option<i32>> {
        let message =
            "a signed 32-bit number, or hexadecimal text such as \"0x80040265\", is expected";
        self.read(name, message, |json| match json {
            Json::String(text) => {
                let text = text.trim();
                let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
                let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| plain)?;
                Some(code.cast_signed())
            }
            json => json.as_i64().and_then(|n| i32::try_from(n).ok()),
        })
    }

    /// An error about a member.
    pub fn wrong(&self, name: &str, message: impl Into<String>) -> Error {
        wrong(&self.place_of(name), message)
    }

    /// What errors call a member.
    pub fn place_of(&self, name: &str) -> String {
        match self.place {
            "request body" => name.to_owned(),
            place => format!("{place}.{name}"),
        }
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Json) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(json) = self.get(name) else { return Ok(None) };
        let found = || {
            let text = json.to_string();
            match text.len() > 60 {
                true => kind(json).to_owned(),
                false => text,
            }
        };
        let value =
            read(json).ok_or_else(|| self.wrong(name, format!("{expected}, not {}", found())));
        value.map(Some)
    }
}

/// `'a', 'b' and 'c'`.
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => "none".into(),
    }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a yes/no value",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T>(json: &Json, read: impl FnOnce(&Members) -> Result<T>) -> Result<T, String> {
        Members::of(json, "jobs[2]").and_then(|m| read(&m)).map_err(|e| e.to_string())
    }

    #[test]
    fn error_codes_come_in_two_forms() {
        for (given, code) in [
            (json!(-2_147_220_891), Ok(Some(-2_147_220_891))),
            (json!("0x80040265"), Ok(Some(-2_147_220_891))),
            (json!("0X80040265"), Ok(Some(-2_147_220_891))),
            (json!("0x1"), Ok(Some(1))),
            (json!(null), Ok(None)),
            (json!(0), Ok(Some(0))),
        ] {
            let object = json!({ "errorcode": given });
            assert_eq!(read(&object, |m| m.error_code("errorcode")), code, "{given}");
        }
        for given in [
            json!(2_147_746_405_u32),
            json!(1.5),
            json!("80040265"),
            json!("0x"),
            json!("0x+1"),
            json!("0x1800402650"),
            json!(true),
        ] {
            let object = json!({ "errorcode": given });
            let refused = read(&object, |m| m.error_code("errorcode")).expect_err("refused");
            assert!(refused.starts_with("jobs[2].errorcode: a signed 32-bit number"), "{refused}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let object = json!({"nam": "x", "n": 0, "s": -1, "w": "cancle", "g": "x", "t": "soon"});
        let text = read(&object, |m| m.known(&["name", "n"])).expect_err("refused");
        assert_eq!(text, "jobs[2]: 'nam' is no member of this object; did you mean 'name'?");
        let text = read(&object, |m| m.count("n", 10)).expect_err("refused");
        assert_eq!(text, "jobs[2].n: a whole number from 1 to 10 is expected, not 0");
        let text = read(&object, |m| m.seconds("s", 0.0, 5.0)).expect_err("refused");
        assert_eq!(text, "jobs[2].s: a number of seconds from 0 to 5 is expected, not -1");
        let text = read(&object, |m| m.word("w", &["cancel", "pause"])).expect_err("refused");
        assert_eq!(
            text,
            "jobs[2].w: 'cancle' is none of 'cancel' and 'pause'; did you mean 'cancel'?"
        );
        let text = read(&object, |m| m.guid("g")).expect_err("refused");
        assert_eq!(text, "jobs[2].g: a GUID is expected, not \"x\"");
        assert!(read(&object, |m| m.time("t")).is_err());
        assert!(read(&object, |m| m.required_text("x").map(str::to_owned)).is_err());
        let text = read(&json!([1]), |m| m.flag("x")).expect_err("refused");
        assert_eq!(text, "jobs[2]: a JSON object is expected, not an array");
    }
}
