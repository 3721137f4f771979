//! Attempts that take too long.

use serde_json::json;

use crate::diagnose::rule::{
    Cells, Row, Rule, Trouble, counted, definition, definition_name, duration, figures, job, jobs,
    list, of_definition, postpone, time, why,
};
use crate::diagnose::{Rows, Severity};

pub const RULES: &[Rule] = &[
    Rule {
        id: "stuck-in-progress",
        sql: STUCK,
        judge: stuck,
        meaning: "A job In Progress (2/20) for much longer than its kind takes holds its place \
                  for nothing, and with a dependency token all jobs behind it. Plug-ins may \
                  take two minutes.",
    },
    Rule { id: "slow-external", sql: SLOW, judge: slow, meaning: EXTERNAL },
    Rule { id: "slow-external", sql: TIMED_OUT, judge: timed_out, meaning: EXTERNAL },
];

/// A shorter run is not worth a look, whatever its kind usually takes.
const STUCK_S: i64 = 5 * 60;
/// A job that runs so many times longer than 95 % of its kind is stuck.
const STUCK_TIMES: f64 = 10.0;
/// Of fewer ended jobs nobody can say what is usual.
const USUAL_JOBS: i64 = 20;
/// A job whose kind is not known that well is stuck after so long.
const UNKNOWN_S: i64 = 6 * 60 * 60;
/// Plug-ins, whose time is limited.
const PLUGIN: i64 = 1;

/// What is usual is asked only of types with a job that has run for some time.
const STUCK: &str = "\
SELECT TOP (20) job.asyncoperationid
      ,job.name
      ,job.operationtype
      ,job.operationtypename
      ,job.statuscodename
      ,job.hostid
      ,job.startedon
      ,DATEDIFF(second, job.startedon, GETUTCDATE()) AS running_s
      ,usual.ended
      ,usual.p95_s
FROM asyncoperation AS job
LEFT JOIN (SELECT operationtype
                 ,COUNT(*) AS ended
                 ,PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY executiontimespan) AS p95_s
           FROM asyncoperation
           WHERE statecode = 3 AND executiontimespan IS NOT NULL
             AND operationtype IN (SELECT operationtype FROM asyncoperation
                                   WHERE statecode = 2 AND startedon <= DATEADD(minute, -5, GETUTCDATE())
                                   GROUP BY operationtype)
           GROUP BY operationtype) AS usual
  ON usual.operationtype = job.operationtype
WHERE job.statecode = 2 AND job.startedon <= DATEADD(minute, -5, GETUTCDATE())
ORDER BY running_s DESC";

fn stuck(rows: &[Row]) -> Vec<Trouble> {
    let is_stuck = |row: &&Row| {
        let running = row.integer("running_s");
        let known = row.integer("ended") >= USUAL_JOBS;
        running >= STUCK_S
            && (row.integer("operationtype") == PLUGIN
                || (known && running as f64 > STUCK_TIMES * row.number("p95_s"))
                || (!known && running >= UNKNOWN_S))
    };
    let stuck: Rows = rows.iter().filter(is_stuck).cloned().collect();
    let Some(worst) = stuck.first() else { return Vec::new() };
    let running = worst.number("running_s");
    let usual = match worst.integer("ended") {
        n if n >= USUAL_JOBS => {
            format!("; 95 % of its kind end within {}", duration(worst.number("p95_s")))
        }
        _ => String::new(),
    };
    let others = match stuck.len() {
        1 => String::new(),
        n => format!(", and {} more", counted(n as i64 - 1, "job", "jobs")),
    };
    let id = worst.text("asyncoperationid").unwrap_or_default();
    vec![Trouble {
        severity: Severity::Warning,
        headline: format!(
            "'{}' has been in progress for {}{usual}{others}",
            worst.text("name").unwrap_or_default(),
            duration(running)
        ),
        subject: job(worst),
        since: time(worst, "startedon"),
        figures: json!({
            "jobs": stuck.len(),
            "running_s": running,
            "p95_s": worst.cell("p95_s"),
        }),
        remedy: vec![why(worst), format!("sysjob jobs cancel {id}")],
        rows: stuck,
    }]
}

const EXTERNAL: &str = "Jobs wait for a system that they call. A webhook has 60 seconds, then the \
                        attempt fails with 0x80050202 and is retried; meanwhile it holds its \
                        place in the pool.";

/// Of fewer calls one slow answer makes the mean.
const CALLS: i64 = 10;
/// A sixth of what a webhook may take, and half of it.
const SLOW_MS: f64 = 10_000.0;
const SLOW_CRITICAL_MS: f64 = 30_000.0;

const SLOW: &str = "\
SELECT TOP (10) pluginstepid
      ,typename
      ,COUNT(*) AS calls
      ,AVG(CAST(performanceexecutionduration AS float)) AS mean_ms
      ,MAX(performanceexecutionduration) AS longest_ms
      ,SUM(CASE WHEN exceptiondetails IS NULL THEN 0 ELSE 1 END) AS failed
      ,MIN(createdon) AS first
FROM plugintracelog
WHERE createdon > DATEADD(day, -1, GETUTCDATE())
GROUP BY pluginstepid, typename
ORDER BY mean_ms DESC";

fn slow(rows: &[Row]) -> Vec<Trouble> {
    let is_slow = |row: &&Row| row.integer("calls") >= CALLS && row.number("mean_ms") >= SLOW_MS;
    let trouble = |row: &Row| {
        let mean = row.number("mean_ms");
        let severe = mean >= SLOW_CRITICAL_MS;
        let step = row.text("pluginstepid");
        let of = match step {
            Some(id) => format!("owningextensionid = '{id}'"),
            None => "operationtype = 1".into(),
        };
        Trouble {
            severity: Severity::critical_if(severe),
            headline: format!(
                "step '{}' took {} on average in {} of the last day",
                row.text("typename").unwrap_or_default(),
                duration(mean / 1000.0),
                counted(row.integer("calls"), "call", "calls")
            ),
            subject: json!({
                "kind": "sdkmessageprocessingstep",
                "id": step,
                "name": row.cell("typename"),
            }),
            since: time(row, "first"),
            figures: figures(row, &["calls", "mean_ms", "longest_ms", "failed"]),
            rows: vec![row.clone()],
            remedy: vec![
                list(&format!("statecode < 3 AND {of}")),
                postpone("30m", &format!("statecode = 0 AND {of}")),
            ],
        }
    };
    rows.iter().filter(is_slow).map(trouble).collect()
}

/// Jobs whose last attempt was given up.
const TIME_OUTS: i64 = 10;
const TIME_OUTS_CRITICAL: i64 = 1000;

/// -2147155454 is 0x80050202, the time-out of a webhook.
const TIMED_OUT: &str = "\
SELECT TOP (10) owningextensionid
      ,owningextensiontypecode
      ,owningextensionidname
      ,operationtype
      ,operationtypename
      ,MAX(name) AS name
      ,COUNT(*) AS timed_out
      ,SUM(retrycount) AS retries
      ,MIN(modifiedon) AS first
FROM asyncoperation
WHERE errorcode = -2147155454
  AND (statecode < 3 OR completedon > DATEADD(day, -1, GETUTCDATE()))
GROUP BY owningextensionid, owningextensiontypecode, owningextensionidname, operationtype, operationtypename
ORDER BY timed_out DESC";

fn timed_out(rows: &[Row]) -> Vec<Trouble> {
    let many = |row: &&Row| row.integer("timed_out") >= TIME_OUTS;
    let trouble = |row: &Row| {
        let number = row.integer("timed_out");
        let of = format!("errorcode = -2147155454 AND {}", of_definition(row));
        Trouble {
            severity: Severity::critical_if(number >= TIME_OUTS_CRITICAL),
            headline: format!(
                "{} of {} got no answer within the 60 s of a webhook",
                jobs(number),
                definition_name(row)
            ),
            subject: definition(row),
            since: time(row, "first"),
            figures: figures(row, &["timed_out", "retries"]),
            rows: vec![row.clone()],
            remedy: vec![
                list(&of),
                postpone("30m", &format!("statecode = 0 AND {}", of_definition(row))),
            ],
        }
    };
    rows.iter().filter(many).map(trouble).collect()
}
