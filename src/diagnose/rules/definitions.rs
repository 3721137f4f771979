//! Workflows and steps that raise too many jobs.

use serde_json::{Value, json};

use crate::diagnose::Severity;
use crate::diagnose::rule::{
    Cells, Row, Rule, Trouble, act, definition, definition_name, figures, jobs, list,
    of_definition, time,
};

pub const RULES: &[Rule] = &[
    Rule {
        id: "runaway-definition",
        sql: RUNAWAY,
        judge: runaway,
        meaning: "One workflow or step is fired in bulk, or fires itself, and floods the queue, \
                  which slows jobs of every kind. Microsoft's advice: deactivate it; its queued \
                  jobs are then canceled when they are picked. Clean up afterwards.",
    },
    Rule {
        id: "loop",
        sql: LOOP,
        judge: looping,
        meaning: "A chain of jobs calls itself: each raises the next, one deeper, with the same \
                  correlation. At a depth of more than 8 the service stops it with 0x80044182.",
    },
];

/// A definition with fewer jobs in the queue holds nobody up.
const RUNAWAY_QUEUED: i64 = 100;
/// It raises so many times more jobs than end.
const RUNAWAY_TIMES: i64 = 2;
/// With more, counts in FetchXML and OData fail, and the queue stands.
const RUNAWAY_CRITICAL: i64 = 10_000;

const RUNAWAY: &str = "\
SELECT TOP (10) job.owningextensionid
      ,job.owningextensiontypecode
      ,job.owningextensionidname
      ,MAX(job.name) AS name
      ,SUM(CASE WHEN job.statecode = 0 THEN 1 ELSE 0 END) AS queued
      ,SUM(CASE WHEN job.createdon > DATEADD(hour, -1, GETUTCDATE()) THEN 1 ELSE 0 END) AS came_1h
      ,SUM(CASE WHEN job.completedon > DATEADD(hour, -1, GETUTCDATE()) THEN 1 ELSE 0 END) AS ended_1h
      ,MIN(CASE WHEN job.statecode = 0 THEN job.createdon END) AS oldest
      ,MAX(guard.guardstate) AS guardstate
      ,(SELECT COUNT(*) FROM asyncoperation WHERE statecode = 0) AS queued_in_all
FROM asyncoperation AS job
LEFT JOIN jobdefinition AS guard ON guard.jobdefinitionid = job.owningextensionid
WHERE job.owningextensionid IS NOT NULL
  AND (job.statecode = 0
    OR job.createdon > DATEADD(hour, -1, GETUTCDATE())
    OR job.completedon > DATEADD(hour, -1, GETUTCDATE()))
GROUP BY job.owningextensionid, job.owningextensiontypecode, job.owningextensionidname
ORDER BY queued DESC";

fn runaway(rows: &[Row]) -> Vec<Trouble> {
    let runs_away = |row: &&Row| {
        let [queued, came, ended] = ["queued", "came_1h", "ended_1h"].map(|c| row.integer(c));
        let floods = queued >= RUNAWAY_QUEUED
            && came >= RUNAWAY_QUEUED
            && came >= RUNAWAY_TIMES * ended
            // Most of what waits is its own.
            && 2 * queued >= row.integer("queued_in_all");
        floods || row.integer("guardstate") > 0
    };
    let trouble = |row: &Row| {
        let [queued, came, ended] = ["queued", "came_1h", "ended_1h"].map(|c| row.integer(c));
        let severe = queued >= RUNAWAY_CRITICAL;
        let workflow = row.text("owningextensiontypecode") == Some("workflow");
        let id = row.text("owningextensionid").unwrap_or_default();
        let waiting = format!("statecode = 0 AND {}", of_definition(row));
        let mut remedy = vec![act("cancel", &waiting)];
        if workflow {
            remedy.insert(0, format!("sysjob workflows deactivate {id}"));
        }
        Trouble {
            severity: Severity::critical_if(severe),
            headline: format!(
                "{} has raised {} in the last hour, of which {ended} ended; {queued} wait",
                definition_name(row),
                jobs(came)
            ),
            subject: definition(row),
            since: time(row, "oldest"),
            figures: figures(
                row,
                &["queued", "queued_in_all", "came_1h", "ended_1h", "guardstate"],
            ),
            rows: vec![row.clone()],
            remedy,
        }
    };
    rows.iter().filter(runs_away).map(trouble).collect()
}

/// Jobs so deep are two steps from the limit of 8; what people build on purpose is not.
const DEPTH: i64 = 7;

/// -2147204734 is 0x80044182.
const LOOP: &str = "\
SELECT TOP (10) owningextensionid
      ,owningextensiontypecode
      ,owningextensionidname
      ,operationtype
      ,operationtypename
      ,MAX(name) AS name
      ,COUNT(*) AS jobs
      ,COUNT(DISTINCT correlationid) AS chains
      ,MAX(depth) AS deepest
      ,SUM(CASE WHEN errorcode = -2147204734 THEN 1 ELSE 0 END) AS stopped
      ,MIN(createdon) AS first
FROM asyncoperation
WHERE (depth >= 7 OR errorcode = -2147204734)
  AND createdon > DATEADD(day, -1, GETUTCDATE())
GROUP BY owningextensionid, owningextensiontypecode, owningextensionidname, operationtype, operationtypename
ORDER BY stopped DESC, jobs DESC";

fn looping(rows: &[Row]) -> Vec<Trouble> {
    let loops = |row: &&Row| row.integer("stopped") > 0 || row.integer("deepest") >= DEPTH;
    let trouble = |row: &Row| {
        let [found, stopped, deepest] = ["jobs", "stopped", "deepest"].map(|c| row.integer(c));
        let id = row.text("owningextensionid");
        let workflow = row.text("owningextensiontypecode") == Some("workflow");
        let said = match stopped {
            0 => format!("has {} of depth {deepest}, close to the limit of 8", jobs(found)),
            _ => format!("is part of a loop: {} stopped at depth {deepest}", jobs(stopped)),
        };
        let mut remedy = vec![list(&format!("depth >= {DEPTH} AND {}", of_definition(row)))];
        if let Some(id) = id.filter(|_| workflow) {
            remedy.push(format!("sysjob workflows deactivate {id}"));
        }
        Trouble {
            severity: Severity::critical_if(stopped > 0),
            headline: format!("{} {said}", definition_name(row)),
            subject: definition(row),
            since: time(row, "first"),
            figures: json!({
                "jobs": found,
                "stopped": stopped,
                "deepest": deepest,
                "chains": row.get("chains").cloned().unwrap_or(Value::Null),
            }),
            rows: vec![row.clone()],
            remedy,
        }
    };
    rows.iter().filter(loops).map(trouble).collect()
}
