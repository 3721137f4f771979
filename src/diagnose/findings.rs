//! What is wrong, worst first, in the shape that scripts read.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{DOCUMENTED, FURTHER, Question, Rows, Source, as_of};
use crate::error::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub id: &'static str,
    pub severity: Severity,
    pub headline: String,
    pub subject: Value,
    pub since: Option<String>,
    pub figures: Value,
    pub evidence: Vec<Value>,
    pub meaning: &'static str,
    pub remedy: Vec<String>,
}

/// A queue whose head has waited so long does not drain.
const WAITING_WARNING_S: i64 = 15 * 60;
const WAITING_CRITICAL_S: i64 = 60 * 60;
/// A job that runs so many times longer than 95 % of its kind is stuck.
const STUCK_TIMES: f64 = 10.0;
/// Shares of failed jobs, of at least so many that ended.
const FAILED_WARNING_PERCENT: f64 = 10.0;
const FAILED_CRITICAL_PERCENT: f64 = 50.0;
const FAILED_JOBS_MIN: i64 = 20;

/// Everything wrong with the jobs of a source, worst first.
pub fn findings(source: &dyn Source, now: Option<&str>) -> Result<Vec<Finding>> {
    let [oldest, long_running, failure_rate, _] = &FURTHER;
    let mut found = Vec::new();
    let (sql, rows) = answer(source, oldest, now)?;
    found.extend(oldest_claimable(sql, rows));
    let (sql, rows) = answer(source, long_running, now)?;
    found.extend(stuck_in_progress(sql, rows));
    let (sql, rows) = answer(source, failure_rate, now)?;
    found.extend(failure_rates(&sql, rows));
    let (sql, rows) = answer(source, &DOCUMENTED[7], now)?;
    found.extend(storage_heavy(sql, rows));
    found.sort_by_key(|finding| finding.severity);
    Ok(found)
}

fn answer(source: &dyn Source, question: &Question, now: Option<&str>) -> Result<(String, Rows)> {
    let sql = as_of(question.sql, now);
    let rows = source.rows(&sql)?;
    Ok((sql, rows))
}

fn integer(row: &Map<String, Value>, column: &str) -> i64 {
    row.get(column).and_then(Value::as_i64).unwrap_or(0)
}

fn number(row: &Map<String, Value>, column: &str) -> f64 {
    row.get(column).and_then(Value::as_f64).unwrap_or(0.0)
}

fn text(row: &Map<String, Value>, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn evidence(sql: String, rows: Rows) -> Vec<Value> {
    vec![json!({ "dialect": "sql", "text": sql, "rows": rows })]
}

fn job_subject(row: &Map<String, Value>) -> Value {
    json!({ "kind": "asyncoperation", "id": text(row, "asyncoperationid"), "name": text(row, "name") })
}

fn oldest_claimable(sql: String, rows: Rows) -> Option<Finding> {
    let head = rows.first()?.clone();
    let waiting = integer(&head, "waiting_s");
    let severity = match waiting {
        w if w >= WAITING_CRITICAL_S => Severity::Critical,
        w if w >= WAITING_WARNING_S => Severity::Warning,
        _ => return None,
    };
    Some(Finding {
        id: "oldest-claimable",
        severity,
        headline: format!("the oldest ready job has waited {}", duration(waiting as f64)),
        subject: job_subject(&head),
        since: Some(text(&head, "createdon")),
        figures: json!({ "waiting_s": waiting }),
        evidence: evidence(sql, rows),
        meaning: "Jobs arrive faster than they are worked off, or nothing works at all.",
        remedy: vec!["sysjob query -e \"SELECT operationtypename, COUNT(*) AS jobs FROM asyncoperation WHERE statecode = 0 GROUP BY operationtypename ORDER BY jobs DESC\"".into()],
    })
}

fn stuck_in_progress(sql: String, mut rows: Rows) -> Option<Finding> {
    rows.retain(|row| number(row, "running_s") > STUCK_TIMES * number(row, "p95_s"));
    let worst = rows.first()?.clone();
    let (running, usual) = (number(&worst, "running_s"), number(&worst, "p95_s"));
    Some(Finding {
        id: "stuck-in-progress",
        severity: Severity::Warning,
        headline: format!(
            "'{}' has been in progress for {}; 95 % of its kind end within {}",
            text(&worst, "name"),
            duration(running),
            duration(usual)
        ),
        subject: job_subject(&worst),
        since: Some(text(&worst, "startedon")),
        figures: json!({ "jobs": rows.len(), "running_s": running, "p95_s": usual }),
        evidence: evidence(sql, rows),
        meaning: "A job that runs many times longer than its kind usually does holds its place for nothing.",
        remedy: vec!["sysjob query -e \"SELECT * FROM asyncoperation WHERE statecode = 2 ORDER BY startedon\"".into()],
    })
}

fn failure_rates(sql: &str, rows: Rows) -> Vec<Finding> {
    let failing = rows.into_iter().filter_map(|row| {
        let percent = number(&row, "failed_percent");
        let severity = match percent {
            _ if integer(&row, "ended") < FAILED_JOBS_MIN => return None,
            p if p >= FAILED_CRITICAL_PERCENT => Severity::Critical,
            p if p >= FAILED_WARNING_PERCENT => Severity::Warning,
            _ => return None,
        };
        let kind = text(&row, "operationtypename");
        Some(Finding {
            id: "failure-rate",
            severity,
            headline: format!("{percent} % of the jobs of type '{kind}' have failed"),
            subject: json!({ "kind": "operationtype", "id": null, "name": kind }),
            since: None,
            figures: json!({
                "ended": integer(&row, "ended"),
                "failed": integer(&row, "failed"),
                "failed_percent": percent,
            }),
            evidence: evidence(sql.to_owned(), vec![row]),
            meaning: "Failures of one kind point at its code or at a system that it calls.",
            remedy: vec![format!(
                "sysjob query -e \"SELECT TOP (10) errorcode, friendlymessage, COUNT(*) AS jobs FROM asyncoperation WHERE statuscode = 31 AND operationtypename = '{}' GROUP BY errorcode, friendlymessage ORDER BY jobs DESC\"",
                kind.replace('\'', "''")
            )],
        })
    });
    failing.collect()
}

/// File storage of ended jobs beyond this is worth a clean-up.
const STORAGE_BYTES: i64 = 1024 * 1024 * 1024;

fn storage_heavy(sql: String, rows: Rows) -> Option<Finding> {
    let ended: Rows = rows.into_iter().filter(|row| integer(row, "statecode") == 3).collect();
    let bytes: i64 = ended.iter().map(|row| integer(row, "TotalSize")).sum();
    let worst = ended.first().filter(|_| bytes >= STORAGE_BYTES)?.clone();
    Some(Finding {
        id: "storage-heavy",
        severity: Severity::Info,
        headline: format!("ended jobs hold {:.1} GiB of files", bytes as f64 / STORAGE_BYTES as f64),
        subject: json!({
            "kind": "owningextension",
            "id": text(&worst, "owningextensionid"),
            "name": text(&worst, "owningextensionidname"),
        }),
        since: None,
        figures: json!({ "bytes": bytes }),
        evidence: evidence(sql, ended),
        meaning: "Files go only with their jobs; nobody needs most of those that ended long ago.",
        remedy: vec!["sysjob query -e \"SELECT name, COUNT(*) AS jobs FROM asyncoperation WHERE datablobid IS NOT NULL AND statecode = 3 GROUP BY name ORDER BY jobs DESC\"".into()],
    })
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}
