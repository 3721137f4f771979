//! In which form the client wants its answer: the `Accept` header, the option
//! `$format`, the protocol versions it names.

use axum::http::{HeaderMap, StatusCode, header};

use super::error::{Failure, Result};
use crate::encode::Format;
use crate::error::{Error, Place, codes};

/// How much an answer says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metadata {
    None,
    #[default]
    Minimal,
    Full,
}

impl Metadata {
    /// The type of a JSON answer.
    pub fn json(self) -> &'static str {
        match self {
            Self::None => "application/json; odata.metadata=none",
            Self::Minimal => "application/json; odata.metadata=minimal",
            Self::Full => "application/json; odata.metadata=full",
        }
    }
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub metadata: Metadata,
    /// Rows in another form than JSON.
    pub rows: Option<Format>,
}

/// Types of answers that some resource has.
const KNOWN: [&str; 9] = [
    "*/*",
    "application/*",
    "text/*",
    "text/plain",
    "text/xml",
    "application/xml",
    "application/octet-stream",
    "multipart/mixed",
    "multipart/*",
];

impl Wanted {
    /// What the headers ask, or the option `$format`, which goes before them.
    pub fn read(headers: &HeaderMap, format: Option<&str>) -> Result<Self> {
        if let Some(format) = format {
            return Self::of_format(format);
        }
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        let accept = values.collect::<Vec<_>>().join(",");
        if accept.trim().is_empty() {
            return Ok(Self::default());
        }
        accept.split(',').find_map(Self::of_type).ok_or_else(|| {
            let message = "A supported MIME type could not be found that matches the acceptable MIME types for the request.";
            let at = Place::Part(format!("Accept '{accept}'"));
            let error = Error::invalid(codes::ODATA, message).at(at);
            Failure::new(StatusCode::NOT_ACCEPTABLE, error)
        })
    }

    fn of_format(format: &str) -> Result<Self> {
        let rows = |format| Self { rows: Some(format), ..Self::default() };
        match format.trim().to_ascii_lowercase().as_str() {
            "json" => Ok(Self::default()),
            "csv" => Ok(rows(Format::Csv)),
            "arrow" => Ok(rows(Format::Arrow)),
            other => {
                let media = Some(other).filter(|o| o.contains('/')).and_then(Self::of_type);
                media.ok_or_else(|| {
                    let message =
                        format!("'{format}' is not supported; there are json, csv and arrow");
                    Error::unsupported(message).at(Place::Part("$format".into())).into()
                })
            }
        }
    }

    /// What a media type with parameters asks, if it can be had.
    fn of_type(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(|p| p.trim().to_ascii_lowercase());
        let kind = parts.next()?;
        let mut metadata = Metadata::default();
        for parameter in parts {
            match parameter.split_once('=')? {
                ("odata.metadata" | "metadata", "none") => metadata = Metadata::None,
                ("odata.metadata" | "metadata", "full") => metadata = Metadata::Full,
                ("q", "0" | "0.0" | "0.00" | "0.000") => return None,
                _ => {}
            }
        }
        match kind.as_str() {
            "application/json" => Some(Self { metadata, rows: None }),
            "text/csv" => Some(Self { rows: Some(Format::Csv), ..Self::default() }),
            "application/vnd.apache.arrow.file" => {
                Some(Self { rows: Some(Format::Arrow), ..Self::default() })
            }
            kind => KNOWN.contains(&kind).then(Self::default),
        }
    }
}

/// Refuses protocol versions that are not spoken here.
pub fn check_versions(headers: &HeaderMap) -> Result<()> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let refused = |name: &str, value: &str| {
        let message = format!("the version '{value}' is not supported; use 4.0");
        Err(Error::invalid(codes::ODATA, message).at(Place::Part(name.into())).into())
    };
    if let Some(version) = text("odata-version").filter(|v| !matches!(*v, "4.0" | "4.01")) {
        return refused("OData-Version", version);
    }
    match text("odata-maxversion") {
        // A client that also reads later versions reads this one.
        Some(most) if most.parse::<f64>().is_ok_and(|most| most >= 4.0) => Ok(()),
        Some(most) => refused("OData-MaxVersion", most),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accept(value: &'static str) -> Result<Wanted> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(value));
        Wanted::read(&headers, None)
    }

    #[test]
    fn the_first_type_that_can_be_had_is_taken() {
        for (value, metadata, rows) in [
            ("", Metadata::Minimal, None),
            ("*/*", Metadata::Minimal, None),
            ("application/json", Metadata::Minimal, None),
            ("application/json;odata.metadata=none", Metadata::None, None),
            ("image/png, application/json; odata.metadata=full;q=0.5", Metadata::Full, None),
            ("text/csv", Metadata::Minimal, Some(Format::Csv)),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Metadata::Minimal, None),
        ] {
            let wanted = accept(value).unwrap_or_else(|e| panic!("{value}: {e:?}"));
            assert_eq!(wanted, Wanted { metadata, rows }, "{value}");
        }
        assert!(accept("image/png").is_err());
        assert!(accept("application/json;q=0").is_err());
    }

    #[test]
    fn format_goes_before_the_header() {
        let read = |format| Wanted::read(&HeaderMap::new(), Some(format));
        assert_eq!(read("CSV").expect("known").rows, Some(Format::Csv));
        let none = read("application/json;odata.metadata=none").expect("known");
        assert_eq!(none.metadata, Metadata::None);
        assert!(read("atom").is_err());
    }

    #[test]
    fn versions_are_checked() {
        for (name, value, fine) in [
            ("odata-version", "4.0", true),
            ("odata-version", "4.01", true),
            ("odata-version", "5.0", false),
            ("odata-maxversion", "4.0", true),
            ("odata-maxversion", "5.0", true),
            ("odata-maxversion", "3.0", false),
            ("odata-maxversion", "x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(check_versions(&headers).is_ok(), fine, "{name} {value}");
        }
    }
}
