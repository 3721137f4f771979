//! Jobs that could run, and do not.

use serde_json::json;

use crate::diagnose::Severity;
use crate::diagnose::rule::{
    Cells, Row, Rule, Trouble, duration, figures, job, jobs, kind, kind_name, list, of_kind,
    postpone, time, why,
};

pub const RULES: &[Rule] = &[
    Rule {
        id: "backlog-not-draining",
        sql: BACKLOG,
        judge: backlog,
        meaning: "Jobs Waiting For Resources (0/0) grow in number while fewer of their kind end: \
                  Microsoft reads that as a lack of capacity, or as jobs that block each other.",
    },
    Rule {
        id: "oldest-claimable",
        sql: OLDEST,
        judge: oldest,
        meaning: "The first job in the queue could run and does not: jobs come faster than they \
                  are worked off, no worker asks for its type, or nothing works at all.",
    },
    Rule {
        id: "pool-saturated",
        sql: SATURATED,
        judge: saturated,
        meaning: "Every operation type draws on a pool of its own size. All places of this one \
                  are taken by attempts that end more slowly than others come.",
    },
];

/// A queue that is shorter than this drains with the next lull.
const BACKLOG_JOBS: i64 = 100;
/// Waits that are shorter than this are a burst, not a backlog.
const BACKLOG_S: i64 = 5 * 60;
/// More queued jobs than this usually hurt, says Microsoft of the expander's; also, counts
/// in FetchXML and OData fail above it.
const BACKLOG_CRITICAL: i64 = 50_000;

const BACKLOG: &str = "\
SELECT operationtype
      ,operationtypename
      ,SUM(CASE WHEN statecode = 0 AND (postponeuntil IS NULL OR postponeuntil <= GETUTCDATE()) THEN 1 ELSE 0 END) AS queued
      ,SUM(CASE WHEN createdon > DATEADD(hour, -1, GETUTCDATE()) THEN 1 ELSE 0 END) AS came_1h
      ,SUM(CASE WHEN completedon > DATEADD(hour, -1, GETUTCDATE()) THEN 1 ELSE 0 END) AS ended_1h
      ,MIN(CASE WHEN statecode = 0 AND (postponeuntil IS NULL OR postponeuntil <= GETUTCDATE()) THEN createdon END) AS oldest
      ,DATEDIFF(second, MIN(CASE WHEN statecode = 0 AND (postponeuntil IS NULL OR postponeuntil <= GETUTCDATE()) THEN createdon END), GETUTCDATE()) AS waiting_s
FROM asyncoperation
WHERE statecode = 0
   OR createdon > DATEADD(hour, -1, GETUTCDATE())
   OR completedon > DATEADD(hour, -1, GETUTCDATE())
GROUP BY operationtype, operationtypename
ORDER BY queued DESC";

fn backlog(rows: &[Row]) -> Vec<Trouble> {
    let grows = |row: &&Row| {
        let (came, ended) = (row.integer("came_1h"), row.integer("ended_1h"));
        row.integer("queued") >= BACKLOG_JOBS
            && row.integer("waiting_s") >= BACKLOG_S
            && (came > ended || ended == 0)
    };
    let trouble = |row: &Row| {
        let [queued, came, ended] = ["queued", "came_1h", "ended_1h"].map(|c| row.integer(c));
        let severe = ended == 0 || queued >= BACKLOG_CRITICAL;
        let of = of_kind(row);
        Trouble {
            severity: Severity::critical_if(severe),
            headline: format!(
                "{} of type {} wait; in the last hour {came} came and {ended} ended",
                jobs(queued),
                kind_name(row)
            ),
            subject: kind(row),
            since: time(row, "oldest"),
            figures: figures(row, &["queued", "came_1h", "ended_1h", "waiting_s"]),
            rows: vec![row.clone()],
            remedy: vec![
                format!(
                    "sysjob query -e \"SELECT TOP (10) name, COUNT(*) AS jobs FROM asyncoperation WHERE statecode = 0 AND {of} GROUP BY name ORDER BY jobs DESC\""
                ),
                postpone("1h", &format!("statecode = 0 AND {of}")),
            ],
        }
    };
    rows.iter().filter(grows).map(trouble).collect()
}

/// A queue whose head has waited so long is not worked off.
const WAITING_S: i64 = 15 * 60;
const WAITING_CRITICAL_S: i64 = 60 * 60;

/// A job that was postponed or retried waits since it is ready again, and one behind
/// others with its token since it is their head.
const OLDEST: &str = "\
SELECT TOP (10) job.name
      ,job.operationtype
      ,job.operationtypename
      ,job.createdon
      ,CASE WHEN job.modifiedon > job.createdon THEN job.modifiedon ELSE job.createdon END AS ready
      ,DATEDIFF(second, CASE WHEN job.modifiedon > job.createdon THEN job.modifiedon ELSE job.createdon END, GETUTCDATE()) AS waiting_s
      ,job.asyncoperationid
FROM asyncoperation AS job
LEFT JOIN (SELECT dependencytoken, MIN(sequence) AS head
           FROM asyncoperation
           WHERE statecode < 3 AND dependencytoken IS NOT NULL
           GROUP BY dependencytoken) AS chain
  ON chain.dependencytoken = job.dependencytoken
WHERE job.statecode = 0
  AND (job.postponeuntil IS NULL OR job.postponeuntil <= GETUTCDATE())
  AND (chain.head IS NULL OR chain.head >= job.sequence OR job.operationtype = 1)
ORDER BY waiting_s DESC, job.createdon, job.sequence";

fn oldest(rows: &[Row]) -> Vec<Trouble> {
    let Some(head) = rows.first() else { return Vec::new() };
    let waiting = head.integer("waiting_s");
    let severity = match waiting {
        w if w >= WAITING_CRITICAL_S => Severity::Critical,
        w if w >= WAITING_S => Severity::Warning,
        _ => return Vec::new(),
    };
    let name = head.text("name").unwrap_or_default();
    vec![Trouble {
        severity,
        headline: format!(
            "'{name}' of type {} could have run for {} and waits",
            kind_name(head),
            duration(waiting as f64)
        ),
        subject: job(head),
        since: time(head, "ready"),
        figures: figures(head, &["waiting_s"]),
        rows: rows.to_vec(),
        remedy: vec![why(head), list("statecode = 0")],
    }]
}

/// So many jobs wait for each that runs: the last of them waits for ten others to end.
const QUEUED_TO_RUNNING: i64 = 10;
const SATURATED_S: i64 = 5 * 60;
const SATURATED_CRITICAL_S: i64 = 60 * 60;

const SATURATED: &str = "\
SELECT operationtype
      ,operationtypename
      ,SUM(CASE WHEN statecode = 2 THEN 1 ELSE 0 END) AS running
      ,SUM(CASE WHEN statecode = 0 THEN 1 ELSE 0 END) AS queued
      ,MIN(CASE WHEN statecode = 2 THEN startedon END) AS longest
      ,MIN(CASE WHEN statecode = 0 THEN createdon END) AS oldest
      ,DATEDIFF(second, MIN(CASE WHEN statecode = 0 THEN createdon END), GETUTCDATE()) AS waiting_s
FROM asyncoperation
WHERE statecode = 2
   OR (statecode = 0 AND (postponeuntil IS NULL OR postponeuntil <= GETUTCDATE()))
GROUP BY operationtype, operationtypename
ORDER BY queued DESC";

fn saturated(rows: &[Row]) -> Vec<Trouble> {
    let full = |row: &&Row| {
        let running = row.integer("running");
        running > 0
            && row.integer("queued") >= QUEUED_TO_RUNNING * running
            && row.integer("waiting_s") >= SATURATED_S
    };
    let trouble = |row: &Row| {
        let [running, queued, waiting] =
            ["running", "queued", "waiting_s"].map(|column| row.integer(column));
        let severe = waiting >= SATURATED_CRITICAL_S;
        let code = row.cell("operationtype");
        Trouble {
            severity: Severity::critical_if(severe),
            headline: format!(
                "the pool of type {} is full: {running} run and {} wait, the oldest for {}",
                kind_name(row),
                jobs(queued),
                duration(waiting as f64)
            ),
            subject: kind(row),
            since: time(row, "oldest"),
            figures: json!({ "running": running, "queued": queued, "waiting_s": waiting }),
            rows: vec![row.clone()],
            remedy: vec![
                list(&format!("statecode = 2 AND operationtype = {code}")),
                // Of a type in no pool; a configured pool has its own number.
                format!("sysjob serve --capacity {}", 2 * running),
            ],
        }
    };
    rows.iter().filter(full).map(trouble).collect()
}
