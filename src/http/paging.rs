//! Pages and the tokens that lead to the next one. Both tokens are the cookie
//! element that Dataverse clients know how to unpack:
//!
//! `<cookie pagenumber="NEXT" pagingcookie="INNER" istracking="False" />`
//!
//! where INNER is, percent-encoded twice, `<cookie page="THIS"><KEY last="{GUID}"
//! first="{GUID}" /></cookie>`. In a skip token the inner element also carries
//! `count`, the page size, so that a link keeps its meaning when the client
//! forgets to repeat its preference.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::prefer::PAGE_SIZE_MAX;
use crate::error::{Error, Place, Result};
use crate::query::Page;
use crate::value::{Guid, guid_text};

/// The paging cookie holds an invalid value.
const BAD_COOKIE: u32 = 0x8004_112A;

/// What may stand in the value of a query option as it is.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b',')
    .remove(b'(')
    .remove(b')')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'@')
    .remove(b'!');

/// The primary keys of the first and the last row of a page.
pub type Ends = Option<(Guid, Guid)>;

/// The value of the annotation `fetchxmlpagingcookie` after a page.
pub fn fetchxml_cookie(page: Page, ends: Ends, primary_id: &str) -> String {
    outer(page.number, &inner(page.number, "", ends, primary_id))
}

/// The decoded value of `$skiptoken` that leads to the page after this one.
pub fn skip_token(page: Page, ends: Ends, primary_id: &str) -> String {
    let count = format!(" count=\"{}\"", page.size);
    outer(page.number, &inner(page.number, &count, ends, primary_id))
}

/// The page that a skip token leads to. The token must be one made here.
pub fn read_skip_token(token: &str) -> Result<Page> {
    page_of(token).ok_or_else(|| {
        Error::invalid(
            BAD_COOKIE,
            "the token is not one this service made; follow '@odata.nextLink' unchanged",
        )
        .at(Place::Part("$skiptoken".into()))
    })
}

/// An address with query options, for a link.
pub fn link(address: &str, options: &[(String, String)]) -> String {
    let mut link = address.to_owned();
    for (i, (name, value)) in options.iter().enumerate() {
        link.push(if i == 0 { '?' } else { '&' });
        link.extend(utf8_percent_encode(name, VALUE));
        link.push('=');
        link.extend(utf8_percent_encode(value, VALUE));
    }
    link
}

fn outer(number: u64, inner: &str) -> String {
    let once = utf8_percent_encode(inner, NON_ALPHANUMERIC).to_string();
    let twice = utf8_percent_encode(&once, NON_ALPHANUMERIC);
    let next = number + 1;
    format!("<cookie pagenumber=\"{next}\" pagingcookie=\"{twice}\" istracking=\"False\" />")
}

fn inner(number: u64, count: &str, ends: Ends, primary_id: &str) -> String {
    let ends = ends.map(|(first, last)| {
        let text = |id| guid_text(&id).to_uppercase();
        format!("<{primary_id} last=\"{{{}}}\" first=\"{{{}}}\" />", text(last), text(first))
    });
    format!("<cookie page=\"{number}\"{count}>{}</cookie>", ends.unwrap_or_default())
}

fn page_of(token: &str) -> Option<Page> {
    let next: u32 = attribute(token, "pagenumber")?.parse().ok()?;
    let encoded = attribute(token, "pagingcookie")?;
    let once = percent_decode_str(&encoded).decode_utf8().ok()?;
    let inner = percent_decode_str(&once).decode_utf8().ok()?;
    let this: u32 = attribute(&inner, "page")?.parse().ok()?;
    let size: u64 = attribute(&inner, "count")?.parse().ok()?;
    let sound =
        this > 0 && this.checked_add(1) == Some(next) && (1..=PAGE_SIZE_MAX).contains(&size);
    sound.then_some(Page { size, number: next.into() })
}

/// An attribute of the first element, which must be a `cookie`.
fn attribute(xml: &str, name: &str) -> Option<String> {
    let first: BytesStart<'_> = match Reader::from_str(xml).read_event().ok()? {
        Event::Start(element) | Event::Empty(element) => element,
        _ => return None,
    };
    if first.name().as_ref() != "cookie" {
        return None;
    }
    let attribute = first.attributes().flatten().find(|a| a.key.as_ref() == name)?;
    Some(attribute.value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page { size: 3, number: 2 };
    const ENDS: Ends = Some(([0xab; 16], [0x11; 16]));

    #[test]
    fn a_skip_token_leads_to_the_next_page() {
        let token = skip_token(PAGE, ENDS, "asyncoperationid");
        assert_eq!(read_skip_token(&token).expect("own token"), Page { size: 3, number: 3 });
        // One client appends a slash to the links it follows.
        assert!(read_skip_token(&format!("{token}/")).is_ok());
        assert!(read_skip_token(&skip_token(PAGE, None, "x")).is_ok());
    }

    #[test]
    fn foreign_tokens_are_refused() {
        let token = skip_token(PAGE, ENDS, "asyncoperationid");
        for bad in [
            "",
            "3",
            "<cookie pagenumber=\"3\" />",
            &token.replace("cookie", "biscuit"),
            &token.replace("pagenumber=\"3\"", "pagenumber=\"4\""),
            &skip_token(Page { size: 5001, number: 1 }, None, "x"),
            &skip_token(Page { size: 1, number: 0 }, None, "x"),
            &fetchxml_cookie(PAGE, ENDS, "asyncoperationid"),
        ] {
            let error = read_skip_token(bad).expect_err(bad);
            assert!(error.to_string().starts_with("$skiptoken: "), "{error}");
        }
    }

    #[test]
    fn clients_unpack_the_fetchxml_cookie_by_decoding_twice() {
        let cookie = fetchxml_cookie(PAGE, ENDS, "asyncoperationid");
        assert!(cookie.starts_with("<cookie pagenumber=\"3\" pagingcookie=\"%253Ccookie%2520page"));
        assert!(cookie.ends_with("\" istracking=\"False\" />"));
        let once = percent_decode_str(&cookie).decode_utf8_lossy().into_owned();
        let twice = percent_decode_str(&once).decode_utf8_lossy().into_owned();
        assert!(
            twice.contains(concat!(
                "pagingcookie=\"<cookie page=\"2\"><asyncoperationid ",
                "last=\"{11111111-1111-1111-1111-111111111111}\" ",
                "first=\"{ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB}\" /></cookie>\""
            )),
            "{twice}"
        );
    }

    #[test]
    fn links_encode_what_a_query_string_cannot_hold() {
        let options = [("$filter", "name eq 'a&b+c'"), ("$top", "1")];
        let options = options.map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(
            link("http://h/s", &options),
            "http://h/s?$filter=name%20eq%20'a%26b%2Bc'&$top=1"
        );
    }
}
