//! Every construct that compares compares alike: text without regard to case,
//! accents and trailing spaces, GUIDs and times with their text.

use super::rows;

fn count(condition: &str) -> String {
    let text = format!("SELECT COUNT(*) AS n FROM asyncoperation WHERE {condition}");
    rows(&text).map_or_else(|error| error, |lines| lines[1].clone())
}

#[test]
fn a_simple_case_compares_as_equality_does() {
    assert_eq!(count("CASE name WHEN 'IMPORT ' THEN 1 ELSE 0 END = 1"), "1");
    assert_eq!(count("CASE name WHEN 'x' THEN 1 WHEN 'send MAIL' THEN 2 END = 2"), "1");
    assert_eq!(count("CASE createdon WHEN '20250105' THEN 1 END = 1"), "1");
    let id = "'{00000000-0000-0000-0000-00000000000A}'";
    assert_eq!(count(&format!("CASE asyncoperationid WHEN {id} THEN 1 END = 1")), "1");
    assert_eq!(count("CASE statecode WHEN 3 THEN 1 ELSE 0 END = 1"), "2");
}

#[test]
fn nullif_compares_as_equality_does() {
    assert_eq!(count("NULLIF(name, 'IMPORT ') IS NULL"), "2");
    assert_eq!(count("NULLIF(statecode, 3) IS NULL"), "2");
}

#[test]
fn a_list_from_a_query_compares_as_equality_does() {
    let names = "(SELECT UPPER(name) + ' ' FROM asyncoperation WHERE name = 'import')";
    assert_eq!(count(&format!("name IN {names}")), "1");
    assert_eq!(count(&format!("name NOT IN {names}")), "1");
    assert_eq!(count(&format!("name = ANY {names}")), "1");
    assert_eq!(count("statecode IN (SELECT 3)"), "2");
}
