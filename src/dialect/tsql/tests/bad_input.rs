//! What is wrong is named, with its place and the nearest right name.

use proptest::prelude::*;

use super::{CATALOG, error, parse};

/// Wrong texts; after each, behind `=>`, the SQLSTATE and the whole message.
const MESSAGES: &str = include_str!("messages.txt");

#[test]
fn messages() {
    let blocks: Vec<&str> = MESSAGES.trim_end().split("\n\n").collect();
    assert!(blocks.len() > 100);
    for block in blocks {
        let (text, expected) = block.rsplit_once("\n=> ").expect("a text and its message");
        let (message, state) = error(text);
        assert_eq!(format!("{state} {message}"), expected, "{text}");
    }
}

fn or_chain(terms: usize) -> String {
    let terms = vec!["statecode = 1"; terms].join(" OR ");
    format!("SELECT name FROM asyncoperation WHERE {terms}")
}

#[test]
fn long_chains_are_limited() {
    assert!(parse(&or_chain(1_000), &CATALOG).is_ok());
    assert_eq!(error(&or_chain(1_001)).1, "54001");
}

#[test]
fn long_sums_need_no_deep_stack() {
    assert!(parse(&format!("SELECT {} AS v", ["'a'"; 1_000].join(" + ")), &CATALOG).is_ok());
}

#[test]
fn long_postfix_chains_need_no_deep_stack() {
    assert!(parse(&format!("SELECT 1{} AS v", " IS NULL".repeat(1_000)), &CATALOG).is_ok());
}

#[test]
fn long_unions_need_no_deep_stack() {
    assert!(parse(&["SELECT 1 AS a"; 1_000].join(" UNION ALL "), &CATALOG).is_ok());
}

#[test]
fn deep_nesting_is_a_limit() {
    assert_eq!(error(&format!("SELECT {}1", "(".repeat(5_000))).1, "54001");
}

#[test]
fn long_lists_are_fine() {
    let list = vec!["1"; 50_000].join(", ");
    let text = format!("SELECT name FROM asyncoperation WHERE statecode IN ({list})");
    assert!(parse(&text, &CATALOG).is_ok());
}

/// Fragments that make near-queries.
const FRAGMENTS: &[&str] = &[
    "SELECT",
    "TOP",
    "(",
    ")",
    ",",
    "*",
    "FROM",
    "asyncoperation",
    "dbo.",
    "a",
    "AS",
    "[Count]",
    "WITH",
    "(NOLOCK)",
    "WHERE",
    "statecode",
    "=",
    "3",
    "'text'",
    "N'é'",
    "GROUP BY",
    "ORDER BY",
    "count(*)",
    "DATEDIFF(day,",
    "createdon",
    "+",
    "-",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "JOIN",
    "ON",
    "UNION ALL",
    "IN",
    "EXISTS",
    "OVER",
    "PARTITION BY",
    ";",
    "GO",
    "\n",
    "--",
    "/*",
    "*/",
    "OPTION (",
    "CAST(",
    "CONVERT(varchar(10),",
    "BEGIN",
    "SET",
    "@x",
    "$1",
    "::",
    "DISTINCT",
    "NULL",
    "IS",
    "NOT",
    "LIKE",
    "VALUES",
    "\"q\"",
    "OFFSET 1 ROWS",
    "FETCH NEXT",
    "HAVING",
    ".",
    "x.*",
    "EXPLAIN",
];

proptest! {
    #[test]
    fn any_text_is_an_answer_or_an_error(text in any::<String>()) {
        let _ = parse(&text, &CATALOG);
    }

    #[test]
    fn any_sequence_of_fragments_is_an_answer_or_an_error(
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..40)
    ) {
        let _ = parse(&fragments.join(" "), &CATALOG);
        let _ = super::super::is_system_query(&fragments.join(" "));
    }
}

#[test]
fn wrong_types_are_named_as_sql_calls_them() {
    for (expression, expected) in [
        (
            "SUM(name)",
            "SQL line 1, column 8: Operand data type nvarchar is invalid for sum operator (Msg 8117)",
        ),
        (
            "AVG(createdon)",
            "SQL line 1, column 8: Operand data type datetime is invalid for avg operator (Msg 8117)",
        ),
        (
            "initcap(ownerid)",
            "SQL line 1, column 8: The function 'initcap' does not take the type uniqueidentifier (Msg 8116)",
        ),
        (
            "CAST(createdon AS uniqueidentifier)",
            "SQL line 1, column 13: Explicit conversion from data type datetime to uniqueidentifier is not allowed (Msg 529)",
        ),
        (
            "CAST(name AS int)",
            "Conversion failed when converting the varchar value 'Send mail' to data type int (Msg 245)",
        ),
    ] {
        let text = format!("SELECT {expression} FROM asyncoperation");
        assert_eq!(super::rows(&text), Err(expected.to_owned()), "{text}");
    }
}
