//! Golden files: the options of a request on `asyncoperations`, `----`, and what
//! they are read as or how they are refused. `UPDATE_GOLDEN=1` writes the answers
//! anew, for review with `git diff`.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::dialect::fetchxml::tests::in_oslo;
use crate::query::bind::{BindOptions, bind};

/// Several lines of a record are one request: each but the first goes on with `&`.
fn request(question: &str) -> Result<Query> {
    let table = CATALOG.table("asyncoperation").expect("built in");
    parse_query(table, &decode_options(&question.replace('\n', ""))?)
}

/// What was read, names still text.
fn read_as(question: &str) -> String {
    match request(question) {
        Ok(Query::Select(select)) => printed::query(&select),
        Ok(other) => format!("{other:?}"),
        Err(error) => refusal(&error),
    }
}

/// The query with its names settled.
fn bound(question: &str) -> String {
    bound_as(question, &BindOptions::default())
}

/// The same for a caller in Oslo on a Friday morning.
fn bound_in_oslo(question: &str) -> String {
    bound_as(question, &in_oslo())
}

fn bound_as(question: &str, options: &BindOptions) -> String {
    let bound = match request(question) {
        Ok(Query::Select(select)) => bind(&select, &CATALOG, options),
        Ok(other) => return format!("{other:?}"),
        Err(error) => Err(error),
    };
    bound.map_or_else(|error| refusal(&error), |query| query.to_string())
}

fn refusal(error: &Error) -> String {
    format!("{:?} 0x{:08X}\n{error}", error.kind, error.code)
}

/// Runs every record of a file and compares.
fn check(file: &str, answer: fn(&str) -> String) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(file);
    let golden = std::fs::read_to_string(&path).expect("the golden file is readable");
    let mut actual = String::new();
    for record in golden.split_inclusive("\n====\n") {
        let record = record.strip_suffix("\n====\n").unwrap_or(record);
        let (question, _) = record.split_once("\n----\n").unwrap_or((record, ""));
        let (title, text) = question.split_once('\n').expect("a title line, then the options");
        assert!(title.starts_with("# "), "{file}: a record starts with a title: {title}");
        let _ = write!(actual, "{title}\n{text}\n----\n{}\n====\n", answer(text));
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

#[test]
fn filters() {
    check("odata/filter.txt", read_as);
}

#[test]
fn functions() {
    check("odata/functions.txt", read_as);
}

#[test]
fn lambda_expressions() {
    check("odata/lambda.txt", read_as);
}

#[test]
fn query_functions() {
    check("odata/query_functions.txt", read_as);
}

#[test]
fn every_query_function() {
    check("odata/operators.txt", bound_in_oslo);
}

#[test]
fn names_of_results() {
    check("odata/names.txt", bound);
}

#[test]
fn parameter_aliases() {
    check("odata/aliases.txt", read_as);
}

#[test]
fn select_order_and_other_lists() {
    check("odata/lists.txt", read_as);
}

#[test]
fn expand() {
    check("odata/expand.txt", read_as);
}

#[test]
fn apply() {
    check("odata/apply.txt", read_as);
}

#[test]
fn queries_with_their_names_settled() {
    check("odata/bound.txt", bound);
}

#[test]
fn refusals() {
    check("errors/odata.txt", read_as);
    check("errors/odata-names.txt", bound);
}
