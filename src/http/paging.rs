//! Pages and the tokens that lead to the next one. Both tokens are the cookie
//! element that Dataverse clients know how to unpack:
//!
//! `<cookie pagenumber="NEXT" pagingcookie="INNER" istracking="False" />`
//!
//! where INNER is, percent-encoded twice, the cookie of
//! [`query::cookie`](crate::query::cookie). In a skip token the inner element
//! also carries `count`, the page size, so that a link keeps its meaning when the
//! client forgets to repeat its preference.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::prefer::PAGE_SIZE_MAX;
use crate::error::{Error, Place, Result, codes};
use crate::query::cookie::{Cookie, CookieKey};
use crate::query::{After, Page};

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

/// The value of the annotation `fetchxmlpagingcookie` after a page.
pub fn fetchxml_cookie(page: Page, keys: Vec<CookieKey>) -> String {
    outer(&Cookie { page: page.number, size: None, keys })
}

/// The decoded value of `$skiptoken` that leads to the page after this one.
pub fn skip_token(page: Page, keys: Vec<CookieKey>) -> String {
    outer(&Cookie { page: page.number, size: Some(page.size), keys })
}

/// The page that a skip token leads to. The token must be one made here.
pub fn read_skip_token(token: &str) -> Result<(Page, After)> {
    let at = Place::Part("$skiptoken".into());
    let foreign = || {
        let message = "the token is not one this service made; follow '@odata.nextLink' unchanged";
        Error::invalid(codes::BAD_COOKIE, message).at(at.clone())
    };
    let cookie = Cookie::read(token).map_err(|error| foreign().caused_by(error))?;
    let size = cookie.size.filter(|size| *size <= PAGE_SIZE_MAX).ok_or_else(foreign)?;
    Ok((Page { size, number: cookie.page + 1 }, After { cookie, at }))
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

fn outer(cookie: &Cookie) -> String {
    let once = utf8_percent_encode(&cookie.text(), NON_ALPHANUMERIC).to_string();
    let twice = utf8_percent_encode(&once, NON_ALPHANUMERIC);
    let next = cookie.page + 1;
    format!("<cookie pagenumber=\"{next}\" pagingcookie=\"{twice}\" istracking=\"False\" />")
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;

    use super::*;

    const PAGE: Page = Page { size: 3, number: 2 };

    fn keys() -> Vec<CookieKey> {
        let id = |digit: &str| Some(format!("{{{}}}", digit.repeat(8)));
        vec![CookieKey { name: "asyncoperationid".into(), last: id("1"), first: id("A") }]
    }

    #[test]
    fn a_skip_token_leads_to_the_next_page() {
        let token = skip_token(PAGE, keys());
        let (page, after) = read_skip_token(&token).expect("own token");
        assert_eq!(page, Page { size: 3, number: 3 });
        assert_eq!(after.cookie, Cookie { page: 2, size: Some(3), keys: keys() });
        // One client appends a slash to the links it follows.
        assert!(read_skip_token(&format!("{token}/")).is_ok());
        assert!(read_skip_token(&skip_token(PAGE, Vec::new())).is_ok());
    }

    #[test]
    fn foreign_tokens_are_refused() {
        let token = skip_token(PAGE, keys());
        for bad in [
            "",
            "3",
            "<cookie pagenumber=\"3\" />",
            &token.replace("cookie", "biscuit"),
            &skip_token(Page { size: 5001, number: 1 }, Vec::new()),
            &skip_token(Page { size: 1, number: 0 }, Vec::new()),
            &fetchxml_cookie(PAGE, keys()),
        ] {
            let error = read_skip_token(bad).expect_err(bad);
            assert!(error.to_string().starts_with("$skiptoken: "), "{error}");
        }
    }

    #[test]
    fn clients_unpack_the_fetchxml_cookie_by_decoding_twice() {
        let cookie = fetchxml_cookie(PAGE, keys());
        assert!(cookie.starts_with("<cookie pagenumber=\"3\" pagingcookie=\"%253Ccookie%2520page"));
        assert!(cookie.ends_with("\" istracking=\"False\" />"));
        let once = percent_decode_str(&cookie).decode_utf8_lossy().into_owned();
        let twice = percent_decode_str(&once).decode_utf8_lossy().into_owned();
        assert!(
            twice.contains(concat!(
                "pagingcookie=\"<cookie page=\"2\"><asyncoperationid ",
                "last=\"{11111111}\" first=\"{AAAAAAAA}\" /></cookie>\""
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
