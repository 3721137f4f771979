//! Golden files: a query, `----`, and what it means or how it is refused.
//! `UPDATE_GOLDEN=1` writes the answers anew, for review with `git diff`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use chrono_tz::Tz;

use super::parse;
use crate::catalog::Catalog;
use crate::error::{Error, Place};
use crate::query::Context;
use crate::query::bind::{BindOptions, bind};
use crate::query::context::Relations;
use crate::value::{Guid, parse_time};

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::built_in);

/// What the golden files say about a query.
fn answer(text: &str, options: &BindOptions) -> String {
    match parse(text).and_then(|select| bind(&select, &CATALOG, options)) {
        Ok(query) => query.to_string(),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &Error) -> String {
    let column = match error.place {
        Some(Place::Line { column, .. }) => format!(" column {column}"),
        _ => String::new(),
    };
    format!("{:?} 0x{:08X}{column}\n{error}", error.kind, error.code)
}

fn golden_path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// Runs every record of a file and compares.
fn check(file: &str, options: &BindOptions) {
    let path = golden_path(file);
    let golden = std::fs::read_to_string(&path).expect("the golden file is readable");
    let mut actual = String::new();
    for record in golden.split_inclusive("\n====\n") {
        let record = record.strip_suffix("\n====\n").unwrap_or(record);
        let (question, _) = record.split_once("\n----\n").unwrap_or((record, ""));
        let (title, text) = question.split_once('\n').expect("a title line, then the query");
        assert!(title.starts_with("# "), "{file}: a record starts with a title: {title}");
        let _ = write!(actual, "{title}\n{text}\n----\n{}\n====\n", answer(text, options));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &actual).expect("the golden file is writable");
        return;
    }
    for (golden, actual) in golden.split("\n====\n").zip(actual.split("\n====\n")) {
        assert_eq!(golden, actual, "\n{actual}\n");
    }
    assert_eq!(golden, actual, "{file} ends differently");
}

/// A Friday morning in Oslo, with relations that show who was asked for.
pub(in crate::dialect) fn in_oslo() -> BindOptions {
    let context = Context {
        now: parse_time("2024-03-15T10:34:56Z").expect("a time"),
        timezone: Tz::Europe__Oslo,
        relations: Arc::new(Neighbours),
        ..Context::default()
    };
    BindOptions { context, ..BindOptions::default() }
}

/// Everyone has one team, one subordinate, one row above and two below.
#[derive(Debug)]
struct Neighbours;

fn beside(id: Guid, last: u8) -> Guid {
    let mut beside = id;
    beside[15] = last;
    beside
}

impl Relations for Neighbours {
    fn teams_of(&self, users: &[Guid]) -> Vec<Guid> {
        users.iter().map(|user| beside(*user, user[15] | 0xd0)).collect()
    }

    fn subordinates(&self, user: Guid) -> Vec<Guid> {
        vec![beside(user, 0x02)]
    }

    fn ancestors(&self, _: &str, _: &str, id: Guid) -> Vec<Guid> {
        vec![beside(id, 0xaa)]
    }

    fn descendants(&self, _: &str, _: &str, id: Guid) -> Vec<Guid> {
        vec![beside(id, 0xb1), beside(id, 0xb2)]
    }
}

const OPERATOR_FILES: [&str; 4] = [
    "fetchxml/operators-compare.txt",
    "fetchxml/operators-dates.txt",
    "fetchxml/operators-caller.txt",
    "fetchxml/operators-refused.txt",
];

#[test]
fn operators() {
    for file in OPERATOR_FILES {
        check(file, &in_oslo());
    }
}

#[test]
fn parts_of_dates() {
    check("fetchxml/dategrouping.txt", &in_oslo());
}

#[test]
fn documented_queries() {
    check("fetchxml/documented.txt", &BindOptions::default());
}

#[test]
fn columns_and_their_names() {
    check("fetchxml/columns.txt", &BindOptions::default());
}

#[test]
fn conditions() {
    check("fetchxml/conditions.txt", &BindOptions::default());
}

#[test]
fn links() {
    check("fetchxml/links.txt", &BindOptions::default());
}

#[test]
fn aggregates_and_order() {
    check("fetchxml/aggregates.txt", &BindOptions::default());
}

#[test]
fn paging_and_fetch_attributes() {
    check("fetchxml/fetch.txt", &BindOptions::default());
}

#[test]
fn annotations() {
    check("fetchxml/annotations.txt", &BindOptions { annotations: true, ..BindOptions::default() });
}

#[test]
fn refusals() {
    check("errors/fetchxml.txt", &BindOptions::default());
}

/// Cut off anywhere, a query is refused in words. Only the end of the text can
/// go missing unnoticed.
#[test]
fn a_query_cut_short_is_refused() {
    let path = golden_path("fetchxml/links.txt");
    let golden = std::fs::read_to_string(path).expect("the golden file is readable");
    for record in golden.split_terminator("\n====\n") {
        let start = record.find("<fetch").expect("a record has a query");
        let end = record.find("</fetch>").expect("its query ends");
        for cut in start..end {
            assert!(parse(&record[start..cut]).is_err(), "{}", &record[start..cut]);
        }
    }
}

/// Nothing a text can hold makes reading it expensive.
#[test]
fn hostile_texts_are_refused() {
    let refused = |text: &str, part: &str| {
        let error = parse(text).expect_err("hostile").to_string();
        assert!(error.contains(part), "{error}");
    };
    let mut laughs = String::from("<!DOCTYPE fetch [<!ENTITY a0 'ha'>");
    for i in 1..20 {
        let _ = write!(laughs, "<!ENTITY a{i} '{}'>", format!("&a{};", i - 1).repeat(10));
    }
    laughs.push_str("]><fetch><entity name='&a19;'/></fetch>");
    refused(&laughs, "DOCTYPE");
    refused("<!DOCTYPE fetch SYSTEM 'file:///etc/passwd'><fetch/>", "DOCTYPE");
    for inside in ["filter", "link-entity"] {
        let open = format!("<{inside}>").repeat(10_000);
        let close = format!("</{inside}>").repeat(10_000);
        let text = format!("<fetch><entity name='account'>{open}{close}</entity></fetch>");
        refused(&text, "deeper than");
    }
    refused(&"<fetch>".repeat(100_000), "deeper than");
    refused(&" ".repeat(2 << 20), "at most");
    refused("<fetch>\u{0}</fetch>", "is not allowed in XML");
    // Many mistakes are counted, the first ones told.
    let many = "<atribute/>".repeat(1000);
    let error = parse(&format!("<fetch><entity name='account'>{many}</entity></fetch>"));
    let error = error.expect_err("no such element").to_string();
    assert!(error.contains("(and 999 more: line 1: ") && error.len() < 2000, "{error}");
}

#[test]
fn limits_of_dataverse() {
    let context = Context { dataverse_limits: true, ..Context::default() };
    check("errors/limits.txt", &BindOptions { context, ..BindOptions::default() });
}
