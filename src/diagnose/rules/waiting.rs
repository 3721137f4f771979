//! Jobs that wait for something that does not come.

use serde_json::{Value, json};

use crate::diagnose::Severity;
use crate::diagnose::rule::{
    Cells, Row, Rule, Trouble, act, definition, definition_name, duration, error_code, figures,
    job, jobs, list, of_definition, time, why,
};

pub const RULES: &[Rule] = &[
    Rule {
        id: "blocked-token",
        sql: BLOCKED,
        judge: blocked,
        meaning: "Jobs with the same dependency token run one after another in the order of \
                  their creation. The first one is suspended, and holds back all behind it.",
    },
    Rule {
        id: "suspended-forever",
        sql: SUSPENDED,
        judge: suspended,
        meaning: "Suspended jobs (1/10) without a time wait until somebody resumes them. \
                  Microsoft reads many of them over a long time as a sign of a bottleneck: a \
                  dependency, an error, or a resume that nobody did.",
    },
    Rule {
        id: "recurrence-late",
        sql: RECURRENCE,
        judge: late,
        meaning: "A recurring job did not start when its pattern says. Occurrences that are \
                  missed collapse into one, so what it does is done less often than asked.",
    },
];

/// A head that goes on within this time is no obstacle.
const BLOCKED_S: i64 = 15 * 60;
const BLOCKED_CRITICAL: i64 = 100;

const BLOCKED: &str = "\
SELECT TOP (20) head.asyncoperationid
      ,head.name
      ,head.operationtype
      ,head.operationtypename
      ,head.dependencytoken
      ,head.errorcode
      ,head.postponeuntil
      ,head.modifiedon
      ,chain.jobs - 1 AS blocked
      ,DATEDIFF(second, GETUTCDATE(), head.postponeuntil) AS goes_on_s
FROM (SELECT dependencytoken, COUNT(*) AS jobs, MIN(sequence) AS head
      FROM asyncoperation
      WHERE statecode < 3 AND dependencytoken IS NOT NULL AND (operationtype <> 1 OR operationtype IS NULL)
      GROUP BY dependencytoken
      HAVING COUNT(*) > 1) AS chain
JOIN asyncoperation AS head
  ON head.dependencytoken = chain.dependencytoken AND head.sequence = chain.head
WHERE head.statecode = 1
ORDER BY blocked DESC";

fn blocked(rows: &[Row]) -> Vec<Trouble> {
    let holds = |row: &&Row| match row.get("goes_on_s") {
        Some(Value::Number(_)) => row.integer("goes_on_s") >= BLOCKED_S,
        _ => true,
    };
    let trouble = |row: &Row| {
        let number = row.integer("blocked");
        let until = match row.text("postponeuntil") {
            Some(until) => format!("is postponed until {until}"),
            None if row.get("errorcode").is_some_and(|code| !code.is_null()) => {
                format!("is suspended because of an error, {}", error_code(row))
            }
            None => "is suspended until somebody resumes it".into(),
        };
        let id = row.text("asyncoperationid").unwrap_or_default();
        Trouble {
            severity: Severity::critical_if(number >= BLOCKED_CRITICAL),
            headline: format!(
                "'{}' {until} and holds back {} with the dependency token '{}'",
                row.text("name").unwrap_or_default(),
                jobs(number),
                row.text("dependencytoken").unwrap_or_default()
            ),
            subject: job(row),
            since: time(row, "modifiedon"),
            figures: figures(row, &["blocked", "goes_on_s"]),
            rows: vec![row.clone()],
            remedy: vec![
                why(row),
                format!("sysjob jobs resume {id}"),
                format!("sysjob jobs cancel {id}"),
            ],
        }
    };
    rows.iter().filter(holds).map(trouble).collect()
}

/// Somebody should have looked at a suspended job within a day, within a month at one that
/// waits for an event: what it waits for may be gone.
const SUSPENDED_S: i64 = 24 * 60 * 60;
const EVENT_S: i64 = 30 * 24 * 60 * 60;
const SUSPENDED_CRITICAL: i64 = 10_000;

const SUSPENDED: &str = "\
SELECT TOP (20) operationtype
      ,operationtypename
      ,owningextensionid
      ,owningextensiontypecode
      ,owningextensionidname
      ,errorcode
      ,CASE WHEN iswaitingforevent = 1 THEN 1 ELSE 0 END AS for_event
      ,MAX(name) AS name
      ,COUNT(*) AS jobs
      ,MIN(COALESCE(modifiedon, createdon)) AS oldest
      ,DATEDIFF(second, MIN(COALESCE(modifiedon, createdon)), GETUTCDATE()) AS suspended_s
FROM asyncoperation
WHERE statecode = 1
  AND (postponeuntil IS NULL OR postponeuntil > DATEADD(year, 1, GETUTCDATE()))
  AND COALESCE(modifiedon, createdon) <= DATEADD(day, -1, GETUTCDATE())
GROUP BY operationtype, operationtypename, owningextensionid, owningextensiontypecode, owningextensionidname, errorcode, CASE WHEN iswaitingforevent = 1 THEN 1 ELSE 0 END
ORDER BY jobs DESC";

fn suspended(rows: &[Row]) -> Vec<Trouble> {
    let waits = |row: &Row| row.integer("for_event") != 0;
    let forever = |row: &&Row| {
        let longest = if waits(row) { EVENT_S } else { SUSPENDED_S };
        row.integer("suspended_s") >= longest
    };
    let trouble = |row: &Row| {
        let number = row.integer("jobs");
        let because = match row.get("errorcode") {
            _ if waits(row) => "for an event".to_owned(),
            Some(code) if !code.is_null() => format!("with {}", error_code(row)),
            _ => "until somebody resumes them".to_owned(),
        };
        let of = format!("statecode = 1 AND postponeuntil IS NULL AND {}", of_definition(row));
        Trouble {
            severity: Severity::critical_if(number >= SUSPENDED_CRITICAL),
            headline: format!(
                "{} of {} wait {because}, the oldest for {}",
                jobs(number),
                definition_name(row),
                duration(row.number("suspended_s"))
            ),
            subject: definition(row),
            since: time(row, "oldest"),
            figures: figures(row, &["jobs", "suspended_s", "errorcode"]),
            rows: vec![row.clone()],
            remedy: vec![list(&of), act("resume", &of), act("cancel", &of)],
        }
    };
    rows.iter().filter(forever).map(trouble).collect()
}

/// A scheduler that lives starts what is due within seconds.
const LATE_S: i64 = 15 * 60;
const LATE_CRITICAL_S: i64 = 24 * 60 * 60;

const RECURRENCE: &str = "\
SELECT TOP (20) asyncoperationid
      ,name
      ,operationtype
      ,operationtypename
      ,recurrencepattern
      ,statecode
      ,COALESCE(postponeuntil, modifiedon, createdon) AS due
      ,DATEDIFF(second, COALESCE(postponeuntil, modifiedon, createdon), GETUTCDATE()) AS late_s
FROM asyncoperation
WHERE recurrencepattern IS NOT NULL AND recurrencepattern <> ''
  AND (statecode = 0 OR (statecode = 1 AND postponeuntil IS NOT NULL))
  AND COALESCE(postponeuntil, modifiedon, createdon) <= GETUTCDATE()
ORDER BY late_s DESC";

fn late(rows: &[Row]) -> Vec<Trouble> {
    let is_late = |row: &&Row| row.integer("late_s") >= LATE_S;
    let trouble = |row: &Row| {
        let seconds = row.integer("late_s");
        let mut remedy = vec![why(row)];
        if row.integer("statecode") == 1 {
            let id = row.text("asyncoperationid").unwrap_or_default();
            remedy.push(format!("sysjob jobs resume {id}"));
        }
        Trouble {
            severity: Severity::critical_if(seconds >= LATE_CRITICAL_S),
            headline: format!(
                "'{}' ({}) should have started {} ago",
                row.text("name").unwrap_or_default(),
                row.text("recurrencepattern").unwrap_or_default(),
                duration(seconds as f64)
            ),
            subject: job(row),
            since: time(row, "due"),
            figures: json!({ "late_s": seconds }),
            rows: vec![row.clone()],
            remedy,
        }
    };
    rows.iter().filter(is_late).map(trouble).collect()
}
