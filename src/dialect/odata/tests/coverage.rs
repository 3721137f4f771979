//! Every documented row has a golden case: `tests/golden/ROWS.md` lists the rows and
//! where their cases are, and the tables of operators and functions list themselves.

use std::path::{Path, PathBuf};

use crate::query::functions::CALLS;
use crate::query::operators::OPERATORS;

/// A question and its answer.
struct Record {
    file: String,
    question: String,
    answer: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// All records below a folder; files are named from `tests/golden`.
fn collect(folder: &Path, into: &mut Vec<Record>) {
    for entry in std::fs::read_dir(folder).expect("a folder of golden files") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read_to_string(&path).expect("a text");
            let file = path.strip_prefix(self::folder()).expect("below it").to_string_lossy();
            into.extend(text.split_terminator("\n====\n").map(|record| {
                let (question, answer) = record.split_once("\n----\n").unwrap_or((record, ""));
                Record {
                    file: file.clone().into(),
                    question: question.into(),
                    answer: answer.into(),
                }
            }));
        }
    }
}

fn records() -> Vec<Record> {
    let mut records = Vec::new();
    collect(&folder(), &mut records);
    records
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_documented_row_has_a_golden_case() {
    let records = records();
    let rows = std::fs::read_to_string(folder().join("ROWS.md")).expect("the list of rows");
    let mut missing = Vec::new();
    let mut checked = 0;
    for line in rows.lines().filter(|line| line.starts_with("| ")) {
        let line = line.replace("\\|", "\u{1}");
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, file, question, answer] = cells[..] else { panic!("four cells: {line}") };
        if row == "row" {
            continue;
        }
        checked += 1;
        let has = |text: &str, cell| {
            quoted(cell).iter().all(|part| text.contains(&part.replace('\u{1}', "|")))
        };
        assert!(quoted(question).len() + quoted(answer).len() > 0, "nothing to look for: {line}");
        let found = records.iter().any(|record| {
            record.file.starts_with(file)
                && has(&record.question, question)
                && has(&record.answer, answer)
        });
        if !found {
            missing.push(format!("{row}: no record of {file} has {question} and {answer}"));
        }
    }
    assert!(checked > 600, "only {checked} rows were read");
    assert!(missing.is_empty(), "{}", missing.join("\n").replace('\u{1}', "|"));
}

#[test]
fn every_operator_and_function_has_a_golden_case() {
    let records = records();
    let asked = |folder: &str, text: &str| {
        records.iter().any(|r| r.file.starts_with(folder) && r.question.contains(text))
    };
    let operators = OPERATORS.iter().map(|o| ("fetchxml", format!("operator='{}'", o.name)));
    let query_functions = OPERATORS
        .iter()
        .filter_map(|o| o.query_function)
        .map(|name| ("odata", format!("Microsoft.Dynamics.CRM.{name}(")));
    let calls = CALLS.iter().map(|call| ("odata", format!("{}(", call.name)));
    let missing: Vec<String> = operators
        .chain(query_functions)
        .chain(calls)
        .filter(|(folder, text)| !asked(folder, text))
        .map(|(folder, text)| format!("{folder}: {text}"))
        .collect();
    assert!(missing.is_empty(), "no golden case has\n{}", missing.join("\n"));
}
