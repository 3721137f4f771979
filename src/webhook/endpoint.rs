//! Where a webhook goes, and how it shows where it comes from: the authentication
//! options of the page "Register a webhook".

use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use reqwest::header::{HeaderName, HeaderValue};

use crate::error::{Error, Result, codes};

/// `authtype` of a service endpoint.
const WEBHOOK_KEY: i32 = 4;
const HTTP_HEADER: i32 = 5;
const HTTP_QUERY_STRING: i32 = 6;

/// The query parameter of a webhook key, as Azure Functions expects it.
const KEY_PARAMETER: &str = "code";

/// The address of a webhook with its authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    pub url: String,
    pub authentication: Authentication,
}

/// What goes with each request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    #[default]
    None,
    /// Headers.
    Header(Vec<(String, String)>),
    /// The query parameter `code`.
    Key(String),
    /// Query parameters.
    Query(Vec<(String, String)>),
}

impl Authentication {
    /// Reads `authtype` and `authvalue` of a service endpoint. Pairs come as
    /// `<settings><setting name="…" value="…"/></settings>`.
    pub fn read(authtype: Option<i32>, authvalue: Option<&str>) -> Result<Self> {
        let value = authvalue.unwrap_or_default();
        match authtype {
            Some(WEBHOOK_KEY) => Ok(Self::Key(value.to_owned())),
            Some(HTTP_HEADER) => settings(value, codes::WEBHOOK_HEADERS).map(Self::Header),
            Some(HTTP_QUERY_STRING) => settings(value, codes::WEBHOOK_QUERY).map(Self::Query),
            _ => Ok(Self::None),
        }
    }
}

impl Endpoint {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), authentication: Authentication::None }
    }

    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let Authentication::Header(pairs) = &self.authentication else { return Ok(Vec::new()) };
        let wrong = |name: &str| {
            let message = format!("webhook '{}': '{name}' and its value are no header", self.url);
            Error::invalid(codes::WEBHOOK_HEADERS, message)
        };
        let headers = pairs.iter().map(|(name, value)| {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(name))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong(name))?;
            value.set_sensitive(true);
            Ok((header, value))
        });
        headers.collect()
    }

    pub(super) fn query(&self) -> Vec<(&str, &str)> {
        match &self.authentication {
            Authentication::Key(key) => vec![(KEY_PARAMETER, key)],
            Authentication::Query(pairs) => {
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
            Authentication::None | Authentication::Header(_) => Vec::new(),
        }
    }
}

fn settings(text: &str, code: u32) -> Result<Vec<(String, String)>> {
    // The value itself is a secret and stays out of the message.
    let wrong = |why: &str| {
        let message = format!(
            "the authentication value of a webhook is not <settings><setting name=\"…\" value=\"…\"/></settings>: {why}"
        );
        Error::invalid(code, message)
    };
    let mut reader = Reader::from_str(text);
    let mut pairs = Vec::new();
    loop {
        match reader.read_event().map_err(|e| wrong(&e.to_string()))? {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) if tag.name().as_ref() == "setting" => {
                let attribute = |name: &str| -> Result<String> {
                    let found = tag.try_get_attribute(name).map_err(|e| wrong(&e.to_string()))?;
                    let found = found.ok_or_else(|| wrong(&format!("a setting has no {name}")))?;
                    let value = found
                        .normalized_value(XmlVersion::Implicit1_0)
                        .map_err(|e| wrong(&e.to_string()))?;
                    Ok(value.into_owned())
                };
                pairs.push((attribute("name")?, attribute("value")?));
            }
            _ => {}
        }
    }
    if pairs.is_empty() {
        return Err(wrong("it has no setting"));
    }
    Ok(pairs)
}
