//! The `Prefer` request headers. Unknown preferences are ignored, as HTTP asks;
//! the honoured ones are echoed in `Preference-Applied`.

use axum::http::{HeaderMap, HeaderValue};
use chrono_tz::Tz;

use crate::encode::Annotations;
use crate::error::{Error, Place, Result, codes};
use crate::query::context;

/// The most rows a page can have.
pub const PAGE_SIZE_MAX: u64 = 5000;

/// What a client asked for beside the query.
#[derive(Clone, Debug, Default)]
pub struct Prefer {
    pub max_page_size: Option<u64>,
    /// The caller's time zone.
    pub timezone: Option<Tz>,
    pub annotations: Annotations,
    /// Writes answer the row they leave.
    pub representation: bool,
    annotations_text: Option<String>,
}

impl Prefer {
    pub fn read(headers: &HeaderMap) -> Result<Self> {
        let mut prefer = Self::default();
        let mut unquoted_list = false;
        let values = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
        for item in values.flat_map(split) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match name.strip_prefix("odata.").unwrap_or(&name) {
                "return" => prefer.representation = value == "representation",
                "maxpagesize" => prefer.max_page_size = Some(page_size(value)?),
                "timezone" => prefer.timezone = Some(timezone(value)?),
                "include-annotations" => {
                    unquoted_list = !value.starts_with('"');
                    prefer.annotations_text = Some(value.trim_matches('"').to_owned());
                    continue;
                }
                // A list without quotes falls apart at its commas.
                _ if unquoted_list && is_term(item) => {
                    let list = prefer.annotations_text.get_or_insert_default();
                    list.push(',');
                    list.push_str(item);
                    continue;
                }
                _ => {}
            }
            unquoted_list = false;
        }
        if let Some(list) = &prefer.annotations_text {
            prefer.annotations = Annotations::parse(list);
        }
        Ok(prefer)
    }

    /// The value of `Preference-Applied`. `paged`: the page size was honoured.
    pub fn applied(&self, paged: bool) -> Option<HeaderValue> {
        let size = self.max_page_size.filter(|_| paged).map(|n| format!("odata.maxpagesize={n}"));
        let list = self.annotations_text.as_ref();
        let list = list.map(|list| format!("odata.include-annotations=\"{list}\""));
        let zone = self.timezone.map(|zone| format!("odata.timezone=\"{}\"", zone.name()));
        let applied: Vec<String> = size.into_iter().chain(list).chain(zone).collect();
        if applied.is_empty() {
            return None;
        }
        HeaderValue::from_str(&applied.join(",")).ok()
    }
}

fn timezone(value: &str) -> Result<Tz> {
    context::timezone(value.trim_matches('"'))
        .map_err(|error| error.at(Place::Part("Prefer header".into())))
}

/// Larger pages than the service makes are cut to its size, not refused.
fn page_size(value: &str) -> Result<u64> {
    match value.trim_matches('"').parse::<u64>() {
        Ok(size) if size > 0 => Ok(size.min(PAGE_SIZE_MAX)),
        _ => Err(Error::invalid(
            codes::INVALID_ARGUMENT,
            format!(
                "odata.maxpagesize must be a whole number from 1 to {PAGE_SIZE_MAX}, not '{value}'"
            ),
        )
        .at(Place::Part("Prefer header".into()))),
    }
}

fn is_term(item: &str) -> bool {
    !item.contains('=')
        && (item.contains('.') || item.ends_with('*'))
        && !item.starts_with("odata.")
}

/// Splits at commas outside quotes.
fn split(header: &str) -> Vec<&str> {
    let mut quoted = false;
    header
        .split(move |c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::terms;

    fn read(values: &[&'static str]) -> Result<Prefer> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("Prefer", HeaderValue::from_static(value));
        }
        Prefer::read(&headers)
    }

    #[test]
    fn one_header_or_several_quoted_or_not() {
        for values in [
            &["odata.maxpagesize=3,odata.include-annotations=\"a.b,Microsoft.Dynamics.CRM.*\""][..],
            &["odata.include-annotations=a.b,Microsoft.Dynamics.CRM.*,odata.maxpagesize=3"],
            &[
                "return=representation, odata.maxpagesize=3",
                "odata.include-annotations=\"a.b,Microsoft.Dynamics.CRM.*\"",
            ],
        ] {
            let prefer = read(values).expect("well formed");
            assert_eq!(prefer.max_page_size, Some(3), "{values:?}");
            assert!(prefer.annotations.wants(terms::MORE_RECORDS), "{values:?}");
            assert!(prefer.annotations.wants("a.b"), "{values:?}");
            assert!(!prefer.annotations.wants(terms::FORMATTED_VALUE), "{values:?}");
            assert_eq!(
                prefer.applied(true).expect("both honoured"),
                "odata.maxpagesize=3,odata.include-annotations=\"a.b,Microsoft.Dynamics.CRM.*\""
            );
        }
        assert!(read(&["odata.include-annotations=*"]).expect("fine").annotations.wants("any"));
        assert!(read(&["respond-async"]).expect("ignored").applied(true).is_none());
    }

    #[test]
    fn a_time_zone_is_known_and_said_to_be_applied() {
        for value in ["odata.timezone=\"Europe/Oslo\"", "timezone=europe/oslo"] {
            let prefer = read(&[value]).expect("well formed");
            assert_eq!(prefer.timezone, Some(Tz::Europe__Oslo), "{value}");
            let applied = prefer.applied(false).expect("honoured");
            assert_eq!(applied, "odata.timezone=\"Europe/Oslo\"");
        }
        let error = read(&["odata.timezone=\"Europe/Olso\""]).expect_err("is refused");
        assert_eq!(
            error.to_string(),
            "Prefer header: 'Europe/Olso' is not a time zone; did you mean 'Europe/Oslo'?"
        );
    }

    #[test]
    fn page_sizes_are_checked() {
        assert_eq!(read(&["odata.maxpagesize=9999"]).expect("cut").max_page_size, Some(5000));
        for bad in ["odata.maxpagesize=0", "odata.maxpagesize=x", "odata.maxpagesize"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
    }
}
