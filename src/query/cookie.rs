//! The paging cookie of Dataverse: where a page ended, in the form that clients
//! hand back.
//!
//! `<cookie page="2"><createdon last="…" first="…" /><asyncoperationid
//! last="{GUID}" first="{GUID}" /></cookie>`: one element for each sort key in
//! order, the primary key last. `lastnull="1"` stands for a key that is null.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::error::{Error, Result, codes};

/// Keys with more text than this are not carried: the next page is then found by
/// its number. Encoded as a link needs it, a byte may become seven, and servers
/// and browsers take some 32,000 bytes of address.
const TEXT_BYTES_MAX: usize = 2000;

/// Elements that more than one order could not need.
const KEYS_MAX: usize = 1000;

/// Encodings around a cookie: twice by percent, as an attribute, and once more
/// by a client that takes it as it came.
const LAYERS_MAX: usize = 6;

/// Where a page ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cookie {
    /// The number of that page, from 1.
    pub page: u64,
    /// Rows a page, in links that have to keep it.
    pub size: Option<u64>,
    /// Nothing where rows have no keys: pages are then found by their number.
    pub keys: Vec<CookieKey>,
}

/// A sort key's values in the first and the last row of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct CookieKey {
    pub name: String,
    /// `None`: null.
    pub last: Option<String>,
    pub first: Option<String>,
}

impl Cookie {
    /// The element as text.
    pub fn text(&self) -> String {
        let mut text = format!("<cookie page=\"{}\"", self.page);
        if let Some(size) = self.size {
            let _ = write!(text, " count=\"{size}\"");
        }
        text.push('>');
        let texts = || self.keys.iter().flat_map(|k| [&k.last, &k.first]).flatten();
        let bytes: usize = texts().map(String::len).sum();
        // XML has no way to say the character NUL.
        if bytes <= TEXT_BYTES_MAX && !texts().any(|t| t.contains('\0')) {
            for key in &self.keys {
                let _ = write!(text, "<{}", key.name);
                for (end, value) in [("last", &key.last), ("first", &key.first)] {
                    let _ = match value {
                        Some(value) => write!(text, " {end}=\"{}\"", Escaped(value)),
                        None => write!(text, " {end}null=\"1\""),
                    };
                }
                text.push_str(" />");
            }
        }
        text.push_str("</cookie>");
        text
    }

    /// Reads a cookie, plain or with the encodings and the outer element that
    /// answers have around it.
    pub fn read(text: &str) -> Result<Self> {
        let inner = unwrapped(text).ok_or_else(|| malformed("it is no 'cookie' element"))?;
        let mut reader = Reader::from_str(&inner);
        let (mut cookie, mut open) = match reader.read_event().map_err(not_xml)? {
            Event::Start(tag) => (start(&tag)?, true),
            Event::Empty(tag) => (start(&tag)?, false),
            _ => return Err(malformed("it is no 'cookie' element")),
        };
        let mut inside_key = false;
        while open {
            match reader.read_event().map_err(not_xml)? {
                Event::Start(tag) if !inside_key => {
                    cookie.keys.push(key(&tag)?);
                    inside_key = true;
                }
                Event::Empty(tag) if !inside_key => cookie.keys.push(key(&tag)?),
                Event::End(_) if inside_key => inside_key = false,
                Event::End(_) => open = false,
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Eof => return Err(malformed("its end is missing")),
                _ => return Err(malformed("it holds something else than sort keys")),
            }
            if cookie.keys.len() > KEYS_MAX {
                return Err(malformed("it has too many sort keys"));
            }
        }
        Ok(cookie)
    }
}

/// A value as it stands in a quoted attribute, control characters kept.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&apos;")?,
                c if c.is_control() => write!(f, "&#{};", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The inner element without what stands around it.
fn unwrapped(text: &str) -> Option<String> {
    let mut text = Cow::Borrowed(text.trim());
    for _ in 0..LAYERS_MAX {
        text = if text.starts_with('<') {
            match pagingcookie(&text)? {
                Some(inner) => inner.into(),
                None => return Some(text.into_owned()),
            }
        } else if text.starts_with('%') {
            percent_decode_str(&text).decode_utf8().ok()?.into_owned().into()
        } else if text.starts_with("&lt;") {
            unescape(&text).ok()?.into_owned().into()
        } else {
            return None;
        };
    }
    None
}

/// What the outer element carries; nothing inside if it is the inner one.
fn pagingcookie(xml: &str) -> Option<Option<String>> {
    let first = match Reader::from_str(xml).read_event().ok()? {
        Event::Start(element) | Event::Empty(element) => element.into_owned(),
        _ => return None,
    };
    (first.name().as_ref() == "cookie").then_some(())?;
    attribute(&first, "pagingcookie").ok()
}

fn start(tag: &BytesStart<'_>) -> Result<Cookie> {
    let number = |name: &str| {
        let bad = |text: &str| {
            let message = format!("the paging cookie's '{name}' is '{text}', not a number from 1");
            Error::invalid(codes::BAD_COOKIE, message)
        };
        let text = attribute(tag, name)?;
        // Small enough that page times size cannot overflow.
        let number =
            |text: &String| text.parse::<u32>().ok().filter(|n| (1..i32::MAX as u32).contains(n));
        text.map(|t| number(&t).map(u64::from).ok_or_else(|| bad(&t))).transpose()
    };
    let page = number("page")?.ok_or_else(|| malformed("it names no page"))?;
    Ok(Cookie { page, size: number("count")?, keys: Vec::new() })
}

fn key(tag: &BytesStart<'_>) -> Result<CookieKey> {
    let name = tag.name().as_ref().to_owned();
    let end = |end: &str| -> Result<Option<Option<String>>> {
        let null = attribute(tag, &format!("{end}null"))?;
        if null.is_some_and(|null| matches!(null.as_str(), "1" | "true")) {
            return Ok(Some(None));
        }
        Ok(attribute(tag, end)?.map(Some))
    };
    let last = end("last")?.ok_or_else(|| malformed(&format!("'{name}' has no 'last'")))?;
    Ok(CookieKey { last, first: end("first")?.flatten(), name })
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(not_xml)?;
        if attribute.key.as_ref() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

fn malformed(what: &str) -> Error {
    let message = format!(
        "the paging cookie is malformed: {what}; hand back the one that came with the page before"
    );
    Error::invalid(codes::BAD_COOKIE, message)
}

fn not_xml(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    malformed(&error.to_string()).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, last: Option<&str>, first: Option<&str>) -> CookieKey {
        let text = |t: Option<&str>| t.map(str::to_owned);
        CookieKey { name: name.into(), last: text(last), first: text(first) }
    }

    #[test]
    fn what_is_written_is_read() {
        let cookie = Cookie {
            page: 2,
            size: Some(50),
            keys: vec![
                key("name", Some("a <b> & 'c' \"d\"\r\n\t\u{1}ø 50%25"), Some("")),
                key("a.message", None, Some("x")),
                key("asyncoperationid", Some("{AB}"), None),
            ],
        };
        assert_eq!(Cookie::read(&cookie.text()).expect("its own"), cookie);
        assert!(cookie.text().contains("<a.message lastnull=\"1\" first=\"x\" />"));
    }

    #[test]
    fn long_keys_are_left_out() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        for text in [long.as_str(), "a\0b"] {
            let cookie = Cookie { page: 1, size: None, keys: vec![key("data", Some(text), None)] };
            assert_eq!(cookie.text(), "<cookie page=\"1\"></cookie>");
        }
    }

    #[test]
    fn all_forms_in_which_clients_send_it() {
        let expected = Cookie {
            page: 2,
            size: None,
            keys: vec![key("asyncoperationid", Some("{AB}"), Some("{12}"))],
        };
        for text in [
            "<cookie page=\"2\"><asyncoperationid last=\"{AB}\" first=\"{12}\" /></cookie>",
            " <cookie page='2'>\n <asyncoperationid first='{12}' last='{AB}'></asyncoperationid></cookie>/",
            "&lt;cookie page=&quot;2&quot;&gt;&lt;asyncoperationid last=&quot;{AB}&quot; first=&quot;{12}&quot; /&gt;&lt;/cookie&gt;",
            "%3Ccookie%20page=%222%22%3E%3Casyncoperationid%20last=%22{AB}%22%20first=%22{12}%22/%3E%3C/cookie%3E",
            "<cookie pagenumber='3' pagingcookie='%253Ccookie%2520page%253D%25222%2522%253E%253Casyncoperationid%2520last%253D%2522%257BAB%257D%2522%2520first%253D%2522%257B12%257D%2522%2520%252F%253E%253C%252Fcookie%253E' istracking='False' />",
        ] {
            assert_eq!(Cookie::read(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_cookie_is_refused() {
        for (text, part) in [
            ("", "no 'cookie' element"),
            ("3", "no 'cookie' element"),
            ("<biscuit page='1'/>", "no 'cookie' element"),
            ("<cookie/>", "names no page"),
            ("<cookie page='0'/>", "'page' is '0'"),
            ("<cookie page='x'/>", "'page' is 'x'"),
            ("<cookie page='99999999999'/>", "not a number"),
            ("<cookie page='1'><a/></cookie>", "'a' has no 'last'"),
            ("<cookie page='1'><a last='x'/>", "its end is missing"),
            ("<cookie page='1'><a last='x'><b last='x'/></a></cookie>", "something else"),
            ("<cookie page='1'>text</cookie>", "something else"),
            ("<cookie page='1'><a last='&x;'/></cookie>", "malformed"),
            ("<cookie page='1'><a last=x/></cookie>", "malformed"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><cookie page='1'/>", "no 'cookie' element"),
        ] {
            let error = Cookie::read(text).expect_err(text);
            assert_eq!(error.code, codes::BAD_COOKIE, "{text}");
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
    }
}
