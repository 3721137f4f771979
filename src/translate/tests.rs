//! Translations are right when the new text has the plan of the old one.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::diagnose::DOCUMENTED;

const ALL: [Dialect; 3] = [Dialect::Sql, Dialect::FetchXml, Dialect::OData];

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);
static SNAPSHOT: LazyLock<Arc<Snapshot>> =
    LazyLock::new(|| Arc::new(Snapshot::empty(Arc::new(Catalog::built_in()))));

/// Noon on a Wednesday.
fn context() -> Context {
    Context { now: 1_717_588_800_000_000, ..Context::default() }
}

fn said(from: Dialect, text: &str, to: Dialect) -> Result<Translation> {
    translate(&ENGINE, &SNAPSHOT, Some(from), text, to, &context())
}

/// The optimized plan below the columns shown and their order.
fn plan(dialect: Dialect, text: &str) -> String {
    let plan = ask::plan(&ENGINE, &SNAPSHOT, Some(dialect), text, context()).expect(text);
    let plan = ENGINE.optimized(plan).expect(text).display_indent().to_string();
    let shown = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("Sort:") || line.starts_with("Projection:")
    };
    let lines = plan.lines().skip_while(shown).map(str::trim_start);
    // Ids sort otherwise in SQL.
    lines.collect::<Vec<_>>().join("\n").replace("sql_guid_order", "")
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The questions of a golden file, with their titles.
fn questions(golden: &str) -> Vec<(&str, &str)> {
    let records = golden.split("\n====\n").filter(|record| !record.trim().is_empty());
    records
        .map(|record| {
            let question = record.split_once("\n----\n").map_or(record, |(question, _)| question);
            question.split_once('\n').expect("a title line, then the question")
        })
        .collect()
}

#[test]
fn questions_in_all_dialects() {
    for file in ["sql.txt", "fetchxml.txt", "odata.txt"] {
        let path = folder().join("translate").join(file);
        let golden = std::fs::read_to_string(&path).expect("the golden file is readable");
        let from = match file {
            "sql.txt" => Dialect::Sql,
            "fetchxml.txt" => Dialect::FetchXml,
            _ => Dialect::OData,
        };
        let mut actual = String::new();
        for (title, text) in questions(&golden) {
            assert!(title.starts_with("# "), "{file}: a record starts with a title: {title}");
            let _ = write!(actual, "{title}\n{text}\n----\n");
            for to in ALL {
                let _ = writeln!(actual, "{}:", to.word());
                match said(from, text, to) {
                    Ok(made) => {
                        let _ = writeln!(actual, "{}", made.text);
                        for note in made.notes {
                            let _ = writeln!(actual, "note: {note}");
                        }
                    }
                    Err(error) => {
                        let _ = writeln!(actual, "{:?}: {error}", error.kind);
                    }
                }
            }
            actual.push_str("====\n");
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &actual).expect("the golden file is writable");
            continue;
        }
        for (golden, actual) in golden.split("\n====\n").zip(actual.split("\n====\n")) {
            assert_eq!(golden, actual, "\n{actual}\n");
        }
        assert_eq!(golden, actual, "{file} ends differently");
    }
}

#[test]
fn documented_questions_have_the_same_plan_in_every_dialect() {
    let mut wrong = String::new();
    for question in &DOCUMENTED {
        let mut texts = vec![(Dialect::Sql, question.sql)];
        texts.extend(question.fetchxml.map(|text| (Dialect::FetchXml, text)));
        texts.extend(question.odata.map(|text| (Dialect::OData, text)));
        for (from, text) in texts {
            let expected = plan(from, text);
            for to in ALL {
                match said(from, text, to) {
                    Ok(made) => {
                        let actual = plan(to, &made.text);
                        // Navigation properties give tables other names.
                        let renamed = question.name == "file-size-and-record-count";
                        if actual != expected && !(renamed && to == Dialect::OData) {
                            let name = question.name;
                            let _ = writeln!(
                                wrong,
                                "{name} from {from:?}:\n{}\n{expected}\n-- became --\n{actual}\n",
                                made.text
                            );
                        }
                    }
                    Err(error) => {
                        let _ = writeln!(wrong, "{} {from:?} to {to:?}: {error}", question.name);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every text that the tests of a dialect read is said in the others, or refused by
/// the name of a part.
fn said_or_refused(file: &str, from: Dialect, whole: fn(&str) -> String) -> String {
    let path = folder().join(file);
    let golden = std::fs::read_to_string(&path).expect("the golden file is readable");
    let mut wrong = String::new();
    for (title, text) in questions(&golden) {
        let text = whole(text);
        if ask::plan(&ENGINE, &SNAPSHOT, Some(from), &text, context()).is_err() {
            continue;
        }
        for to in ALL {
            match said(from, &text, to) {
                Ok(made) => {
                    // The clock of SQL cannot be set.
                    if made.text.contains("GETUTCDATE") {
                        continue;
                    }
                    let (expected, actual) = (plan(from, &text), plan(to, &made.text));
                    // Tables go by other names where navigation properties lead to them,
                    // links of some types and counts of children are other joins, parts
                    // of dates are other functions, and `*` has other columns.
                    let same = ["link-entity", "rowaggregate", "dategrouping", "page="];
                    let same = !same.iter().any(|word| text.contains(word));
                    let own = to == from || (to == Dialect::Sql && !made.text.contains('*'));
                    let odata = from == Dialect::OData || to == Dialect::OData;
                    if expected != actual && own && same && !odata {
                        let _ = writeln!(
                            wrong,
                            "{file} {title} to {to:?}:\n{}\n{expected}\n-- became --\n{actual}\n",
                            made.text
                        );
                    }
                }
                Err(error) => {
                    let named = error.message.contains("cannot say")
                        && !error.message.contains("this question");
                    if !named {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        let _ = writeln!(wrong, "{file} {title} to {to:?}: {error} {cause:?}");
                    }
                }
            }
        }
    }
    wrong
}

#[test]
fn the_texts_of_fetchxml_are_said_or_refused() {
    let mut wrong = String::new();
    for file in std::fs::read_dir(folder().join("fetchxml")).expect("the folder is there") {
        let name = file.expect("a file").file_name().to_string_lossy().into_owned();
        let file = format!("fetchxml/{name}");
        wrong += &said_or_refused(&file, Dialect::FetchXml, str::to_owned);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_texts_of_odata_are_said_or_refused() {
    let mut wrong = String::new();
    for file in std::fs::read_dir(folder().join("odata")).expect("the folder is there") {
        let name = file.expect("a file").file_name().to_string_lossy().into_owned();
        let file = format!("odata/{name}");
        let whole = |text: &str| format!("asyncoperations?{}", text.replace('\n', ""));
        wrong += &said_or_refused(&file, Dialect::OData, whole);
    }
    assert!(wrong.is_empty(), "{wrong}");
}
