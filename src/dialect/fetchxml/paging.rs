//! Which rows of the answer are wanted: `top`, or a page.

use super::reader::{Attribute, Element};
use super::vocabulary::is_set;
use crate::error::{Error, Result, codes};
use crate::query::{After, Cookie, Page};

/// Rows on a page, unless the query says less; more are not given.
const PAGE_ROWS_MAX: u64 = 5000;

/// What `top` cannot stand beside.
const PAGING: [&str; 4] = ["page", "count", "paging-cookie", "returntotalrecordcount"];

/// What a `fetch` element says about the rows it wants.
pub struct Rows {
    pub top: Option<u64>,
    pub page: Option<Page>,
    /// The number of a page or a paging cookie stands there.
    pub turns_pages: bool,
    pub after: Option<After>,
    /// The total is wanted too.
    pub count: bool,
}

pub fn rows(fetch: &Element) -> Result<Rows> {
    let top = positive(fetch, "top")?;
    let count = is_set(fetch, "returntotalrecordcount");
    if let Some(top) = fetch.attribute("top") {
        let is_there = |name: &&str| match *name {
            "returntotalrecordcount" => count,
            "paging-cookie" => cookie_text(fetch).is_some(),
            name => fetch.get(name).is_some(),
        };
        if let Some(name) = PAGING.into_iter().find(is_there) {
            let message =
                format!("The top attribute can't be specified with paging attribute {name}");
            return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(top.at.clone()));
        }
    }
    let after = after(fetch)?;
    let turns_pages = after.is_some() || fetch.get("page").is_some();
    Ok(Rows { top, page: page(fetch, after.as_ref())?, turns_pages, after, count })
}

/// The page asked for; after a cookie the one that follows, unless another is named.
fn page(fetch: &Element, after: Option<&After>) -> Result<Option<Page>> {
    let (count, number) = (positive(fetch, "count")?, positive(fetch, "page")?);
    let number = number.or(after.map(|after| after.cookie.page + 1));
    if count.is_none() && number.is_none() {
        return Ok(None);
    }
    let size = count.unwrap_or(PAGE_ROWS_MAX).min(PAGE_ROWS_MAX);
    Ok(Some(Page { size, number: number.unwrap_or(1) }))
}

fn after(fetch: &Element) -> Result<Option<After>> {
    let Some(attribute) = cookie_text(fetch) else { return Ok(None) };
    let at = attribute.value_at.clone();
    let cookie = Cookie::read(&attribute.value).map_err(|error| error.at(at.clone()))?;
    Ok(Some(After { cookie, at }))
}

/// The paging cookie; an empty one is what some clients send with the first page.
fn cookie_text(fetch: &Element) -> Option<&Attribute> {
    fetch.attribute("paging-cookie").filter(|a| !a.value.trim().is_empty())
}

/// A whole number from 1, where the attribute is there.
pub fn positive(element: &Element, name: &str) -> Result<Option<u64>> {
    let Some(attribute) = element.attribute(name) else {
        return Ok(None);
    };
    let text = attribute.value.trim();
    // Small enough that page times size cannot overflow.
    match text.parse::<i64>() {
        Ok(number) if (1..=i64::from(i32::MAX)).contains(&number) => {
            Ok(Some(number.unsigned_abs()))
        }
        Ok(number) if number < 1 => {
            let message = format!("'{name}' is {number}; it must be greater than 0");
            Err(Error::invalid(codes::VALUE_MUST_BE_POSITIVE, message).at(attribute.at.clone()))
        }
        _ => {
            let message = format!("'{name}' is '{text}'; it must be a whole number");
            Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(attribute.at.clone()))
        }
    }
}
