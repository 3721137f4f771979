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
    assert_eq!(count(&format!("name <> ALL {names}")), "1");
    assert_eq!(count(&format!("name > ANY {names}")), "1");
    assert_eq!(count("statecode IN (SELECT 3)"), "2");
}

/// The table name behind a stored code, wherever text is wanted.
#[test]
fn table_names_are_text_in_expressions() {
    for (expression, expected) in [
        ("MIN(owneridtype)", "systemuser"),
        ("MAX(UPPER(owneridtype))", "SYSTEMUSER"),
        ("MIN('a ' + owneridtype)", "a systemuser"),
        ("MIN(owneridtype || '!')", "systemuser!"),
        ("MIN(CASE WHEN 1 = 1 THEN owneridtype ELSE 'none' END)", "systemuser"),
        ("SUM(CASE owneridtype WHEN 'SystemUser' THEN 1 ELSE 0 END)", "1"),
        ("MIN(ISNULL(owneridtype, 'none'))", "none"),
        ("MIN(CAST(j.owneridtype AS varchar(4)))", "syst"),
        ("COUNT(DISTINCT owneridtype)", "1"),
    ] {
        let text = format!("SELECT {expression} AS v FROM asyncoperation j");
        assert_eq!(rows(&text).map(|lines| lines[1].clone()), Ok(expected.into()), "{text}");
    }
    assert_eq!(count("owneridtype LIKE 'SYSTEM%'"), "1");
    assert_eq!(count("owneridtype NOT LIKE 'SYSTEM%'"), "0");
    assert_eq!(count("owneridtype = LOWER('SYSTEMUSER') + ' '"), "1");
    assert_eq!(count("owneridtype = 'systemuser' AND owneridtype = 8"), "1");
    let derived = "SELECT MIN(t) AS v FROM (SELECT owneridtype AS t FROM asyncoperation) q";
    assert_eq!(rows(derived).map(|lines| lines[1].clone()), Ok("systemuser".into()));
}
