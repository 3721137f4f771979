//! Functions, casts and operators: the value that T-SQL gives.

use super::{rows, value};

fn check(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(value(expression), *expected, "{expression}");
    }
}

#[test]
fn datediff_counts_boundaries() {
    check(&[
        ("DATEDIFF(day, '2024-02-29T23:59:59', '2024-03-01T00:00:01')", "1"),
        ("DATEDIFF(dd, '20240301', '20240229')", "-1"),
        ("DATEDIFF(year, '2023-12-31', '2024-01-01')", "1"),
        ("DATEDIFF(qq, '2024-03-31', '2024-04-01')", "1"),
        ("DATEDIFF(m, '2024-01-31', '2024-03-01')", "2"),
        ("DATEDIFF(week, '2024-05-04', '2024-05-05')", "1"),
        ("DATEDIFF(wk, '2024-05-05', '2024-05-11')", "0"),
        ("DATEDIFF(hour, '2024-05-05T10:59:59', '2024-05-05T11:00:00')", "1"),
        ("DATEDIFF(n, '1969-12-31T23:59:30', '1970-01-01T00:00:30')", "1"),
        ("DATEDIFF(ms, '2024-01-01', '2024-01-01T00:00:01.5')", "1500"),
        ("DATEDIFF_BIG(mcs, '2000-01-01', '2024-01-01')", "757382400000000"),
        ("DATEDIFF(day, 0, '1900-01-02')", "1"),
        ("DATEDIFF(day, NULL, '1900-01-02')", "NULL"),
        ("DATEADD(day, DATEDIFF(day, 0, '2024-05-05T10:11:12'), 0)", "2024-05-05T00:00:00"),
    ]);
    let overflow = value("DATEDIFF(second, '1900-01-01', '2024-01-01')");
    assert!(overflow.contains("Msg 535"), "{overflow}");
    let text = value("DATEDIFF(day, 'tomorrow', '2024-01-01')");
    assert!(text.contains("'tomorrow' (Msg 241)"), "{text}");
}

#[test]
fn dateadd_stops_at_the_end_of_the_month() {
    check(&[
        ("DATEADD(month, 1, '2024-01-31')", "2024-02-29T00:00:00"),
        ("DATEADD(yy, 1, '2024-02-29T10:00:00')", "2025-02-28T10:00:00"),
        ("DATEADD(quarter, -1, '2024-05-31')", "2024-02-29T00:00:00"),
        ("DATEADD(wk, 2, '2024-05-31')", "2024-06-14T00:00:00"),
        ("DATEADD(n, -90, '2024-05-31')", "2024-05-30T22:30:00"),
        ("DATEADD(ms, 1, '2024-05-31')", "2024-05-31T00:00:00"),
        ("DATEADD(day, 1, CAST('2024-02-28' AS date))", "2024-02-29"),
        ("DATEADD(day, 1.9, '2024-02-28')", "2024-02-29T00:00:00"),
    ]);
    assert!(value("DATEADD(year, 8000, '2024-01-01')").contains("Msg 517"));
    assert!(value("DATEADD(hour, 1, CAST('2024-02-28' AS date))").contains("Msg 9810"));
}

#[test]
fn parts_of_a_date() {
    check(&[
        ("DATEPART(weekday, '2024-05-05')", "1"),
        ("DATEPART(dw, '2024-05-04')", "7"),
        ("DATEPART(week, '2024-01-06')", "1"),
        ("DATEPART(week, '2024-01-07')", "2"),
        ("DATEPART(iso_week, '2024-12-30')", "1"),
        ("DATEPART(iso_week, '2021-01-03')", "53"),
        ("DATEPART(y, '2024-12-31')", "366"),
        ("DATEPART(ns, '2024-12-31T00:00:00.5')", "500000000"),
        ("DATENAME(month, '2024-05-05')", "May"),
        ("DATENAME(dw, '2024-05-05')", "Sunday"),
        ("DATENAME(year, '2024-05-05') + '!'", "2024!"),
        ("YEAR('2024-05-06')", "2024"),
        ("MONTH('2024-05-06')", "5"),
        ("DAY('2024-05-06')", "6"),
        ("EOMONTH('2024-02-10')", "2024-02-29"),
        ("EOMONTH('2024-01-31', -2)", "2023-11-30"),
        ("DATETRUNC(quarter, '2024-06-30T10:00:00')", "2024-04-01T00:00:00"),
        ("DATETRUNC(week, '2024-05-11')", "2024-05-05T00:00:00"),
        ("DATETRUNC(iso_week, '2024-05-12')", "2024-05-06T00:00:00"),
        ("DATETRUNC(hour, '2024-05-11T10:59:59.9')", "2024-05-11T10:00:00"),
    ]);
}

#[test]
fn now_is_one_value_in_a_statement() {
    check(&[
        ("DATEDIFF(ms, GETDATE(), SYSUTCDATETIME())", "0"),
        ("IIF(GETUTCDATE() = CURRENT_TIMESTAMP AND SYSDATETIME() = getdate(), 1, 0)", "1"),
        ("IIF(GETDATE() > '2024-01-01', 'past', 'future')", "past"),
    ]);
}

#[test]
fn columns_go_through_the_functions() {
    let lines = rows(
        "SELECT DATEDIFF(minute, StartedOn, CompletedOn) AS m, DATENAME(month, CreatedOn) AS n, \
         LEN(Message) AS l, ISNULL(Name, 'none') AS name, LEFT(name, 4) AS four, \
         CONVERT(varchar(10), createdon, 120) AS d \
         FROM AsyncOperation WHERE CreatedOn < DATEADD(day, -1, GETDATE()) ORDER BY CreatedOn",
    );
    assert_eq!(
        lines.expect("rows"),
        [
            "m | n | l | name | four | d",
            "10 | February | NULL | Send mail | Send | 2024-02-29",
            "4320 | December | 6 | Import | Impo | 2024-12-30",
            "NULL | January | NULL | none | NULL | 2025-01-05",
        ]
    );
}

#[test]
fn texts() {
    check(&[
        ("LEN('abc  ')", "3"),
        ("LEN(' ')", "0"),
        ("CHARINDEX('B', 'abcb')", "2"),
        ("CHARINDEX('b', 'abcb', 3)", "4"),
        ("CHARINDEX('', 'abc')", "0"),
        ("CHARINDEX('é', 'naïv É')", "6"),
        ("REPLACE('naïve', 'I', 'y')", "nayve"),
        ("LEFT('äbc', 2)", "äb"),
        ("LEFT('abc', 9)", "abc"),
        ("RIGHT('äbç', 2)", "bç"),
        ("SUBSTRING('abc', 0, 2)", "a"),
        ("SUBSTRING('abc', 2, 9)", "bc"),
        ("SUBSTRING('abc', -5, 2)", ""),
        ("REPLACE('aBcAb', 'AB', 'x')", "xcx"),
        ("REPLACE('abc', '', 'x')", "abc"),
        ("REPLACE('abc', NULL, 'x')", "NULL"),
        ("UPPER('a') + lower('B') + N'c'", "Abc"),
        ("'a' + NULL", "NULL"),
        ("CONCAT('a', NULL, 1)", "a1"),
        ("LTRIM('  a ') + RTRIM(' b  ') + TRIM(' c ')", "a  bc"),
        ("REPLICATE('ab', 2)", "abab"),
        ("1 + 2 + 3", "6"),
    ]);
    assert!(value("LEFT('abc', -1)").contains("Msg 537"));
    assert!(value("SUBSTRING('abc', 1, -1)").contains("Msg 537"));
    let joined =
        rows("SELECT name + ' (' + message + ')' AS v FROM asyncoperation WHERE statuscode = 31");
    assert_eq!(joined.expect("rows"), ["v", "Import (Broken  )"]);
}

#[test]
fn conditions_and_nulls() {
    check(&[
        ("ISNULL(NULL, 5)", "5"),
        ("ISNULL('a', 5)", "a"),
        ("ISNULL(CAST(NULL AS int), 1.9)", "1"),
        ("COALESCE(NULL, NULL, 'x')", "x"),
        ("NULLIF(1, 1)", "NULL"),
        ("IIF(1 > 2, 'a', 'b')", "b"),
        ("CHOOSE(2, 'a', 'b')", "b"),
        ("CHOOSE(3, 'a', 'b')", "NULL"),
        ("CASE WHEN 1 = 1 THEN 'yes' END", "yes"),
    ]);
}

#[test]
fn conversions() {
    check(&[
        ("CAST('12' AS int)", "12"),
        ("TRY_CAST('x' AS int)", "NULL"),
        ("TRY_CONVERT(int, '7')", "7"),
        ("CAST(1 AS bit)", "true"),
        ("CAST(7 AS varchar)", "7"),
        ("CAST('abcdef' AS varchar(3))", "abc"),
        ("CONVERT(nvarchar(max), 1.5)", "1.5"),
        ("CAST('20240501' AS date)", "2024-05-01"),
        ("CAST('2024-05-01 10:11' AS datetime)", "2024-05-01T10:11:00"),
        ("CAST('2024-05-01T10:11:12Z' AS datetime2(7))", "2024-05-01T10:11:12"),
        ("TRY_CAST('soon' AS datetime)", "NULL"),
        ("CONVERT(varchar, CAST('2024-05-01 13:11' AS datetime))", "May  1 2024  1:11PM"),
        ("CONVERT(varchar(16), CAST('2024-05-01 13:11:12' AS datetime), 120)", "2024-05-01 13:11"),
        ("CONVERT(char(8), CAST('2024-05-01' AS datetime), 112)", "20240501"),
        ("CONVERT(varchar(30), CAST('2024-05-01' AS date), 126)", "2024-05-01"),
        ("CONVERT(datetime, '2024-05-01T10:00:00', 126)", "2024-05-01T10:00:00"),
        ("CONVERT(date, '2024-05-01T10:00:00')", "2024-05-01"),
        (
            "CAST(CAST('{0a0b0c0d-0000-0000-0000-00000000000f}' AS uniqueidentifier) AS varchar(36))",
            "0A0B0C0D-0000-0000-0000-00000000000F",
        ),
        ("TRY_CAST('no guid' AS uniqueidentifier)", "NULL"),
        ("CAST(5 AS decimal(9,2))", "5.00"),
        ("CAST(2.5 AS float)", "2.5"),
        ("CAST(2 AS money)", "2.0000"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7 % 3", "1"),
        ("$1.50 * 2", "3.0000"),
    ]);
    assert!(value("CAST('no guid' AS uniqueidentifier)").contains("Msg 8169"));
}

#[test]
fn numbers() {
    check(&[
        ("ABS(-2)", "2"),
        ("ROUND(2.5e0, 0)", "3.0"),
        ("ROUND(-2.555e0, 2)", "-2.56"),
        ("ROUND(2.59e0, 1, 1)", "2.5"),
        ("ROUND(2.59e0, 1, 0)", "2.6"),
        ("CEILING(1.2e0)", "2.0"),
        ("FLOOR(1.8e0)", "1.0"),
        ("POWER(2.0e0, 3)", "8.0"),
        ("SQRT(9.0)", "3.0"),
        ("SIGN(-4.0e0)", "-1.0"),
        ("LOG(8, 2)", "3.0"),
        ("LOG(1.0)", "0.0"),
    ]);
}

#[test]
fn aggregates() {
    let lines = rows(
        "SELECT COUNT_BIG(*) AS n, COUNT(DISTINCT operationtype) AS kinds, STDEV(statuscode) AS s, \
         PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY StatusCode) AS p, \
         STRING_AGG(Name, ', ') WITHIN GROUP (ORDER BY name DESC) AS names FROM AsyncOperation",
    );
    let lines = lines.expect("rows");
    assert_eq!(lines[0], "n | kinds | s | p | names");
    assert!(lines[1].starts_with("3 | 2 | 17.6"), "{}", lines[1]);
    assert!(lines[1].ends_with(" | 30.0 | Send mail, Import"), "{}", lines[1]);
    let lines = rows(
        "SELECT name, ROW_NUMBER() OVER (PARTITION BY StateCode ORDER BY CreatedOn DESC) AS r \
         FROM AsyncOperation WHERE Name IS NOT NULL ORDER BY R",
    );
    assert_eq!(lines.expect("rows"), ["name | r", "Import | 1", "Send mail | 2"]);
}
