//! Questions that people ask of a job table when something is wrong, in the
//! T-SQL they would write; each runs and gives these rows.

use super::rows;

fn answers(text: &str, expected: &[&str]) {
    let lines = rows(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
    assert_eq!(lines, expected, "{text}");
}

#[test]
fn share_of_each_state() {
    answers(
        "SELECT StateCode, COUNT(*) AS Jobs, COUNT(*) * 100.0 / SUM(COUNT(*)) OVER () AS pct \
         FROM AsyncOperation WITH (NOLOCK) GROUP BY StateCode HAVING COUNT(*) > 0 \
         ORDER BY COUNT(*) DESC, statecode",
        &["statecode | Jobs | pct", "3 | 2 | 66.666666666666", "0 | 1 | 33.333333333333"],
    );
}

#[test]
fn failures_by_day() {
    answers(
        "SELECT CONVERT(date, CompletedOn) AS [Day], SUM(CASE WHEN StatusCode = 31 THEN 1 ELSE 0 END) \
         AS Failed, COUNT_BIG(*) AS [All] FROM dbo.AsyncOperation WHERE StateCode = 3 \
         GROUP BY CONVERT(date, CompletedOn) ORDER BY [day]",
        &["Day | Failed | All", "2024-03-01 | 0 | 1", "2025-01-02 | 1 | 1"],
    );
}

#[test]
fn by_hour() {
    answers(
        "SELECT DATEPART(hour, CreatedOn), COUNT(*) FROM AsyncOperation \
         GROUP BY DATEPART(hour, CreatedOn) ORDER BY 1",
        &["datepart | count", "0 | 1", "12 | 1", "23 | 1"],
    );
}

#[test]
fn slowest_types() {
    answers(
        "SELECT TOP (5) OperationType, AVG(DATEDIFF(second, StartedOn, CompletedOn)) AS AvgSeconds, \
         MAX(DATEDIFF(SECOND, startedon, completedon)) AS MaxSeconds, \
         PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY DATEDIFF(second, StartedOn, CompletedOn)) AS p95 \
         FROM AsyncOperation WHERE CompletedOn IS NOT NULL AND StartedOn >= DATEADD(year, -30, GETUTCDATE()) \
         GROUP BY OperationType ORDER BY AvgSeconds DESC",
        &[
            "operationtype | AvgSeconds | MaxSeconds | p95",
            "5 | 259170 | 259170 | 259170.0",
            "10 | 600 | 600 | 600.0",
        ],
    );
}

#[test]
fn waiting_longest() {
    answers(
        "SELECT TOP 1 ISNULL(j.Name, '(none)') AS Name, \
         IIF(DATEDIFF(hour, j.CreatedOn, GETDATE()) > 24, 'late', 'fine') AS Verdict, \
         (SELECT COUNT(*) FROM AsyncOperation o WHERE o.OperationType = j.OperationType) AS OfKind \
         FROM AsyncOperation j LEFT OUTER JOIN Workflow w ON w.WorkflowId = j.OwningExtensionId \
         WHERE j.StateCode NOT IN (2, 3) AND w.Name IS NULL ORDER BY j.CreatedOn",
        &["Name | Verdict | OfKind", "(none) | late | 2"],
    );
}

#[test]
fn the_latest_of_each_kind() {
    answers(
        "WITH Ranked AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY OperationType \
         ORDER BY CreatedOn DESC) AS Place FROM AsyncOperation) \
         SELECT OperationType, CONVERT(char(10), CreatedOn, 23) AS D FROM Ranked \
         WHERE place = 1 AND createdon BETWEEN '2024-01-01' AND '2030-01-01' ORDER BY 1",
        &["operationtype | D", "5 | 2024-12-30", "10 | 2025-01-05"],
    );
}

#[test]
fn in_postgresql_terms() {
    answers(
        "SELECT date_trunc('month', createdon) AS m, extract(dow FROM createdon) AS d, count(*) n \
         FROM asyncoperation WHERE createdon < now() - interval '1 day' GROUP BY m, 2 ORDER BY m LIMIT 1",
        &["m | d | n", "2024-02-01T00:00:00 | 4 | 1"],
    );
}

#[test]
fn distinct_in_a_derived_table() {
    answers(
        "SELECT COUNT(*) AS n FROM (SELECT DISTINCT StateCode, StatusCode FROM AsyncOperation) AS d",
        &["n", "3"],
    );
}

#[test]
fn text_compares_as_in_dataverse() {
    answers(
        "SELECT Name FROM AsyncOperation WHERE name = 'SEND MAIL ' OR message LIKE '[a-c]rök%' \
         OR AsyncOperationId = '{00000000-0000-0000-0000-00000000000B}' ORDER BY NAME",
        &["name", "Import", "Send mail"],
    );
}
