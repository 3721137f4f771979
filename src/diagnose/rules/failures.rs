//! Jobs that fail, or are tried again and again.

use serde_json::json;

use crate::diagnose::Severity;
use crate::diagnose::rule::{
    Cells, Row, Rule, Trouble, act, definition, definition_name, error_code, figures, jobs, kind,
    kind_name, list, of_definition, postpone, time,
};

pub const RULES: &[Rule] = &[
    Rule {
        id: "failure-rate",
        sql: RATE,
        judge: rate,
        meaning: "A large share of the jobs of one kind end as Failed (3/31). Failures of one \
                  kind point at its code, or at a system that it calls.",
    },
    Rule {
        id: "failure-group",
        sql: GROUP,
        judge: groups,
        meaning: "Many jobs of one workflow or step fail in the same way. Microsoft reads many \
                  failures of one extension as an error in its code. A failing workflow is \
                  suspended (1/10) and can be resumed; a failing plug-in has failed for good.",
    },
    Rule {
        id: "retry-storm",
        sql: RETRIES,
        judge: retries,
        meaning: "Many jobs have failed for reasons that pass (a busy server, SQL, the network) \
                  and are tried again, up to ten times each. All these attempts come on top of \
                  the work that is new.",
    },
];

/// Shares of failed jobs, of at least so many that ended.
const FAILED_WARNING_PERCENT: f64 = 10.0;
const FAILED_CRITICAL_PERCENT: f64 = 50.0;
const ENDED_JOBS: i64 = 20;

/// The day before the latest end: a table that stands still is judged like one that lives.
const RATE: &str = "\
SELECT operationtype
      ,operationtypename
      ,COUNT(*) AS ended
      ,SUM(CASE WHEN statuscode = 31 THEN 1 ELSE 0 END) AS failed
      ,ROUND(100.0 * SUM(CASE WHEN statuscode = 31 THEN 1 ELSE 0 END) / COUNT(*), 1) AS failed_percent
      ,MIN(CASE WHEN statuscode = 31 THEN completedon END) AS first
FROM asyncoperation
WHERE statecode = 3
  AND completedon <= GETUTCDATE()
  AND completedon > DATEADD(day, -1, (SELECT MAX(completedon) FROM asyncoperation WHERE completedon <= GETUTCDATE()))
GROUP BY operationtype, operationtypename
ORDER BY failed_percent DESC";

fn rate(rows: &[Row]) -> Vec<Trouble> {
    let trouble = |row: &Row| {
        let percent = row.number("failed_percent");
        let severity = match percent {
            _ if row.integer("ended") < ENDED_JOBS => return None,
            p if p >= FAILED_CRITICAL_PERCENT => Severity::Critical,
            p if p >= FAILED_WARNING_PERCENT => Severity::Warning,
            _ => return None,
        };
        let of = match row.get("operationtype") {
            Some(code) if !code.is_null() => format!("operationtype = {code}"),
            _ => "operationtype IS NULL".into(),
        };
        Some(Trouble {
            severity,
            headline: format!(
                "{percent} % of the {} of type {} that ended in the last day have failed",
                jobs(row.integer("ended")),
                kind_name(row)
            ),
            subject: kind(row),
            since: time(row, "first"),
            figures: figures(row, &["ended", "failed", "failed_percent"]),
            rows: vec![row.clone()],
            remedy: vec![
                format!(
                    "sysjob query -e \"SELECT TOP (10) errorcode, friendlymessage, COUNT(*) AS jobs FROM asyncoperation WHERE statuscode = 31 AND {of} GROUP BY errorcode, friendlymessage ORDER BY jobs DESC\""
                ),
                list(&format!("statuscode = 31 AND {of}")),
            ],
        })
    };
    rows.iter().filter_map(trouble).collect()
}

/// Failures of one kind that are a pattern, and of such a share of its definition's jobs.
const GROUP_JOBS: i64 = 10;
const GROUP_PERCENT: i64 = 5;
const GROUP_CRITICAL: i64 = 1000;

/// A suspended workflow has an error code and no time at which it goes on.
const GROUP: &str = "\
SELECT TOP (20) bad.operationtype
      ,bad.operationtypename
      ,bad.owningextensionid
      ,bad.owningextensiontypecode
      ,bad.owningextensionidname
      ,bad.name
      ,bad.errorcode
      ,bad.failed
      ,bad.suspended
      ,bad.first
      ,bad.friendlymessage
      ,whole.ended
FROM (SELECT operationtype, operationtypename, owningextensionid, owningextensiontypecode, owningextensionidname, errorcode
            ,MAX(name) AS name
            ,MAX(friendlymessage) AS friendlymessage
            ,MIN(modifiedon) AS first
            ,SUM(CASE WHEN statecode = 3 THEN 1 ELSE 0 END) AS failed
            ,SUM(CASE WHEN statecode = 1 THEN 1 ELSE 0 END) AS suspended
      FROM asyncoperation
      WHERE (statuscode = 31 AND completedon > DATEADD(day, -1, (SELECT MAX(completedon) FROM asyncoperation WHERE completedon <= GETUTCDATE())))
         OR (statecode = 1 AND errorcode IS NOT NULL AND postponeuntil IS NULL)
      GROUP BY operationtype, operationtypename, owningextensionid, owningextensiontypecode, owningextensionidname, errorcode
      HAVING COUNT(*) >= 10) AS bad
LEFT JOIN (SELECT operationtype, owningextensionid, COUNT(*) AS ended
      FROM asyncoperation
      WHERE statecode = 3
        AND completedon > DATEADD(day, -1, (SELECT MAX(completedon) FROM asyncoperation WHERE completedon <= GETUTCDATE()))
      GROUP BY operationtype, owningextensionid) AS whole
  ON whole.operationtype = bad.operationtype
 AND (whole.owningextensionid = bad.owningextensionid
   OR (whole.owningextensionid IS NULL AND bad.owningextensionid IS NULL))
ORDER BY bad.failed + bad.suspended DESC";

fn groups(rows: &[Row]) -> Vec<Trouble> {
    let trouble = |row: &Row| {
        let [failed, suspended, ended] =
            ["failed", "suspended", "ended"].map(|column| row.integer(column));
        let bad = failed + suspended;
        if bad < GROUP_JOBS || 100 * bad < GROUP_PERCENT * (ended + suspended) {
            return None;
        }
        let code = match row.get("errorcode") {
            Some(code) if !code.is_null() => format!("errorcode = {code}"),
            _ => "errorcode IS NULL".into(),
        };
        let of = format!("{code} AND {}", of_definition(row));
        let said = row.text("friendlymessage").map(first_line);
        let said = said.map(|text| format!(": {text}")).unwrap_or_default();
        let mut remedy = vec![list(&format!("statuscode = 31 AND {of}"))];
        if suspended > 0 {
            let suspended = format!("statecode = 1 AND {of}");
            remedy = vec![list(&suspended), act("resume", &suspended)];
        }
        if let Some(id) = row.text("owningextensionid")
            && row.text("owningextensiontypecode") == Some("workflow")
        {
            remedy.push(format!("sysjob workflows deactivate {id}"));
        }
        Some(Trouble {
            severity: Severity::critical_if(bad >= GROUP_CRITICAL),
            headline: format!(
                "{} of {} failed with {}{said}",
                jobs(bad),
                definition_name(row),
                error_code(row)
            ),
            subject: definition(row),
            since: time(row, "first"),
            figures: json!({
                "failed": failed,
                "suspended": suspended,
                "ended": ended,
                "errorcode": row.cell("errorcode"),
            }),
            rows: vec![row.clone()],
            remedy,
        })
    };
    rows.iter().filter_map(trouble).collect()
}

/// Enough of a message for a headline.
const SAID_MAX: usize = 120;

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(SAID_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Jobs that are to be tried again, and retries that they have had.
const RETRY_JOBS: i64 = 20;
const RETRY_SUM: i64 = 50;
const RETRY_CRITICAL: i64 = 1000;

const RETRIES: &str = "\
SELECT TOP (10) operationtype
      ,operationtypename
      ,owningextensionid
      ,owningextensiontypecode
      ,owningextensionidname
      ,MAX(name) AS name
      ,COUNT(*) AS jobs
      ,SUM(retrycount) AS retries
      ,MAX(retrycount) AS most
      ,MAX(errorcode) AS errorcode
      ,MIN(createdon) AS first
FROM asyncoperation
WHERE statecode < 3 AND retrycount > 0
GROUP BY operationtype, operationtypename, owningextensionid, owningextensiontypecode, owningextensionidname
ORDER BY retries DESC";

fn retries(rows: &[Row]) -> Vec<Trouble> {
    let storms =
        |row: &&Row| row.integer("jobs") >= RETRY_JOBS && row.integer("retries") >= RETRY_SUM;
    let trouble = |row: &Row| {
        let number = row.integer("jobs");
        let waiting = format!("statecode < 2 AND retrycount > 0 AND {}", of_definition(row));
        Trouble {
            severity: Severity::critical_if(number >= RETRY_CRITICAL),
            headline: format!(
                "{} of {} are being tried again, {} times so far, for {}",
                jobs(number),
                definition_name(row),
                row.integer("retries"),
                error_code(row)
            ),
            subject: definition(row),
            since: time(row, "first"),
            figures: figures(row, &["jobs", "retries", "most", "errorcode"]),
            rows: vec![row.clone()],
            remedy: vec![
                list(&waiting),
                postpone(
                    "1h",
                    &format!("statecode = 0 AND retrycount > 0 AND {}", of_definition(row)),
                ),
            ],
        }
    };
    rows.iter().filter(storms).map(trouble).collect()
}
