//! Names: what a word refers to, and how it is written afterwards.

use super::{CATALOG, Statement, parse, plan, rewritten, rows};

/// A text and what it is rewritten to; both are known to plan.
fn becomes(text: &str, expected: &str) {
    assert_eq!(rewritten(text), expected, "{text}");
    plan(text);
}

#[test]
fn tables_in_all_spellings() {
    for from in [
        "AsyncOperation",
        "[asyncoperation]",
        "\"AsyncOperation\"",
        "dbo.AsyncOperation",
        "[dbo].[AsyncOperation]",
        "public.asyncoperation",
        "sysjob.dbo.AsyncOperation",
        "SysJob..AsyncOperation",
        "AsyncOperation WITH (NOLOCK)",
        "AsyncOperation with (nolock, INDEX(ix_a), forceseek)",
        "AsyncOperation WITH (INDEX = 1)",
        "AsyncOperation (NOLOCK)",
        "dbo.AsyncOperation (nolock)",
    ] {
        let text = format!("SELECT Name FROM {from} WHERE StateCode = 3");
        becomes(
            &text,
            "SELECT asyncoperation.name FROM asyncoperation WHERE asyncoperation.statecode = 3",
        );
    }
    for from in ["AsyncOperation A (NOLOCK)", "AsyncOperation AS A WITH (READPAST, ROWLOCK)"] {
        let text = format!("SELECT a.Name FROM {from}");
        assert!(rewritten(&text).starts_with("SELECT A.name FROM asyncoperation"), "{from}");
        plan(&text);
    }
}

#[test]
fn qualified_columns() {
    becomes(
        "SELECT dbo.AsyncOperation.[Name], sysjob.dbo.asyncoperation.STATECODE FROM dbo.AsyncOperation",
        "SELECT asyncoperation.name, asyncoperation.statecode FROM asyncoperation",
    );
    becomes(
        "SELECT J.Name, f.FileSizeInBytes FROM AsyncOperation j JOIN fileattachment F \
         ON f.FileAttachmentId = J.DataBlobId",
        "SELECT j.name, F.filesizeinbytes FROM asyncoperation j JOIN fileattachment F \
         ON F.fileattachmentid = j.datablobid",
    );
}

#[test]
fn a_column_hides_an_alias_except_in_order_by() {
    // GROUP BY means the column, ORDER BY the alias.
    let lines = rows(
        "SELECT retrycount + 1 AS statecode, count(*) AS n FROM asyncoperation \
         GROUP BY retrycount, statecode ORDER BY StateCode DESC",
    )
    .expect("rows");
    assert_eq!(lines[0], "statecode | n");
    assert_eq!(lines.len(), 4);
    let lines = rows(
        "SELECT -statuscode AS statuscode FROM asyncoperation WHERE statuscode > 0 \
         ORDER BY statuscode",
    )
    .expect("rows");
    assert_eq!(lines, ["statuscode", "-31", "-30"]);
}

#[test]
fn aliases_in_all_forms() {
    for select in ["Kind = OperationType", "OperationType AS Kind", "OperationType [Kind]"] {
        let lines = rows(&format!(
            "SELECT {select} FROM AsyncOperation GROUP BY OperationType ORDER BY kind"
        ))
        .expect("rows");
        assert_eq!(lines, ["Kind", "5", "10"], "{select}");
    }
    let lines = rows("SELECT statecode 'The State' FROM asyncoperation ORDER BY [the state]");
    assert_eq!(lines.expect("rows")[0], "The State");
    let lines = rows(
        "SELECT YEAR(createdon) AS y, count(*) AS n FROM asyncoperation \
         GROUP BY Y HAVING count(*) > 1",
    );
    assert_eq!(lines.expect("rows"), ["y | n", "2024 | 2"]);
}

#[test]
fn headings_without_alias() {
    let lines = rows(
        "SELECT Count(*), MAX(StateCode), StateCode, statecode, 1 FROM AsyncOperation \
         GROUP BY statecode ORDER BY 3",
    );
    assert_eq!(lines.expect("rows")[0], "count | max | statecode | statecode_1 | ?column?");
}

#[test]
fn wildcards_are_the_readable_columns() {
    let jobs = CATALOG.table("asyncoperation").expect("built in");
    let readable = jobs.columns.iter().filter(|c| c.is_listed()).count();
    assert!(readable < jobs.columns.len());
    let headings = &rows("SELECT * FROM AsyncOperation").expect("rows")[0];
    assert_eq!(headings.split(" | ").count(), readable);
    assert!(!headings.contains("workflowisblocked"));
    let lines = rows(
        "SELECT J.*, f.* FROM (SELECT name, statecode FROM asyncoperation) AS j \
         LEFT JOIN (SELECT name FROM workflow) AS F ON f.NAME = j.name",
    );
    assert_eq!(lines.expect("rows")[0], "name | statecode | name");
}

#[test]
fn derived_tables_and_common_table_expressions() {
    let lines = rows(
        ";WITH Done (Kind, Jobs) AS (SELECT OperationType, Count(*) FROM AsyncOperation \
         WHERE StateCode = 3 GROUP BY OperationType), \
         asyncoperation AS (SELECT KIND, jobs AS N FROM done) \
         SELECT d.kind, A.n FROM DONE d JOIN AsyncOperation a ON A.Kind = d.KIND ORDER BY 1",
    );
    assert_eq!(lines.expect("rows"), ["Kind | N", "5 | 1", "10 | 1"]);
    let lines = rows(
        "SELECT T.label, count(*) AS [count(*)] FROM (SELECT CASE WHEN statecode = 3 THEN 'done' \
         ELSE 'open' END AS Label FROM AsyncOperation) t GROUP BY LABEL ORDER BY label",
    );
    assert_eq!(lines.expect("rows"), ["Label | count(*)", "done | 2", "open | 1"]);
    let lines = rows("SELECT V.A, v.b FROM (VALUES (1, 'x'), (2, 'y')) AS v (a, B) ORDER BY A");
    assert_eq!(lines.expect("rows"), ["a | B", "1 | x", "2 | y"]);
}

#[test]
fn subqueries_see_the_tables_around_them() {
    let lines = rows(
        "SELECT Name FROM AsyncOperation o WHERE EXISTS (SELECT * FROM AsyncOperation \
         WHERE OperationType = O.OperationType AND asyncoperation.AsyncOperationId <> o.asyncoperationid) \
         AND StateCode IN (SELECT max(statecode) FROM asyncoperation)",
    );
    assert_eq!(lines.expect("rows"), ["name", "Send mail"]);
}

#[test]
fn unions_take_the_names_of_the_first_query() {
    let lines = rows(
        "SELECT TOP 1 'job' AS Kind, StateCode AS S FROM AsyncOperation WHERE statecode = 3 \
         UNION ALL SELECT 'none', StateCode + 10 FROM asyncoperation WHERE StateCode = 0 \
         ORDER BY s DESC",
    );
    assert_eq!(lines.expect("rows"), ["Kind | S", "none | 10", "job | 3"]);
}

#[test]
fn rows_are_bounded_in_all_forms() {
    for (select, end) in [
        ("TOP 1", ""),
        ("TOP (1)", ""),
        ("TOP ((1))", ""),
        ("", "OFFSET 0 ROWS FETCH NEXT 1 ROW ONLY"),
        ("", "LIMIT 1"),
        ("", "LIMIT 1 OFFSET 0"),
        ("DISTINCT TOP (1)", ""),
    ] {
        let text = format!(
            "SELECT {select} StatusCode FROM AsyncOperation ORDER BY StatusCode DESC {end}"
        );
        assert_eq!(rows(&text).expect("rows"), ["statuscode", "31"], "{text}");
    }
    let lines = rows(
        "SELECT statuscode FROM asyncoperation ORDER BY statuscode OFFSET (1) ROWS \
         FETCH NEXT 1 ROWS ONLY OPTION (RECOMPILE, MAXDOP 1)",
    );
    assert_eq!(lines.expect("rows"), ["statuscode", "30"]);
    assert_eq!(rows("SELECT TOP 0 name FROM asyncoperation").expect("rows"), ["name"]);
}

#[test]
fn postgresql_syntax_where_it_does_not_conflict() {
    for (text, expected) in [
        ("SELECT statecode::bigint AS v FROM asyncoperation WHERE name ILIKE 'send%'", "3"),
        ("SELECT count(*) AS v FROM asyncoperation WHERE true", "3"),
        ("SELECT count(*) AS v FROM asyncoperation WHERE iswaitingforevent = false", "0"),
        (
            "SELECT DISTINCT ON (statecode) statecode AS v FROM asyncoperation ORDER BY 1 LIMIT 1",
            "0",
        ),
        ("SELECT count(*) FILTER (WHERE statecode = 3) AS v FROM asyncoperation", "2"),
        ("SELECT date '2024-05-01' AS v", "2024-05-01"),
        ("SELECT E'a\\'b' AS v", "a'b"),
    ] {
        assert_eq!(rows(text).expect("rows")[1], expected, "{text}");
    }
    assert_eq!(
        rewritten("SELECT name FROM asyncoperation WHERE statecode = $1 AND createdon > $2"),
        "SELECT asyncoperation.name FROM asyncoperation \
         WHERE asyncoperation.statecode = $1 AND asyncoperation.createdon > $2"
    );
}

#[test]
fn scripts_as_tools_send_them() {
    let script = "SET NOCOUNT ON\nSET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;\nUSE [sysjob]\nGO\n\
                  SELECT 1 AS go -- not a batch\ngo 1 -- a batch\n/* a /* nested */ comment */\n\
                  BEGIN TRANSACTION; SELECT 'GO\nGO' AS t; COMMIT TRAN\nGO\n\
                  EXPLAIN ANALYZE SELECT 1 AS a; SHOW server_version; DISCARD ALL";
    let statements = parse(script, &CATALOG).expect("statements");
    let tags: Vec<_> = statements.iter().map(Statement::tag).collect();
    assert_eq!(
        tags,
        [
            "SET",
            "SET",
            "USE",
            "SELECT",
            "BEGIN",
            "SELECT",
            "COMMIT",
            "EXPLAIN",
            "SHOW",
            "DISCARD ALL"
        ]
    );
    assert_eq!(statements[0], Statement::Set { name: "nocount".into(), value: "ON".into() });
    assert!(matches!(statements[7], Statement::Explain { analyze: true, verbose: false, .. }));
    assert_eq!(parse("", &CATALOG).expect("nothing"), []);
    assert_eq!(parse(" ;; -- nothing\n", &CATALOG).expect("nothing"), []);
}

#[test]
fn sessions_of_postgresql_clients() {
    for text in [
        "SET client_encoding = 'UTF8'",
        "SET extra_float_digits TO 3",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET TIME ZONE 'UTC'",
        "SET TimeZone = 'utc'",
        "SET NAMES 'utf8'",
        "RESET ALL",
        "START TRANSACTION READ ONLY",
        "ROLLBACK",
        "BEGIN",
        "EXPLAIN (ANALYZE, VERBOSE false) SELECT 1 AS a",
    ] {
        parse(text, &CATALOG).unwrap_or_else(|e| panic!("{text}\n{e}"));
    }
}

#[test]
fn joins_of_tables_with_hints() {
    let lines = rows(
        "SELECT count(*) AS n FROM AsyncOperation a WITH (NOLOCK) \
         LEFT HASH JOIN (fileattachment f INNER JOIN systemuser u ON u.fullname = f.filename) \
         ON f.fileattachmentid = a.datablobid CROSS JOIN (SELECT 1 AS one) x",
    );
    assert_eq!(lines.expect("rows"), ["n", "3"]);
}
