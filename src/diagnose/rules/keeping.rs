//! What is kept for too long, and does not go.

use serde_json::json;

use crate::diagnose::rule::{
    Cells, Row, Rule, Trouble, act, counted, definition, definition_name, figures, jobs, list, time,
};
use crate::diagnose::{DOCUMENTED, Rows, Severity};

pub const RULES: &[Rule] = &[
    Rule {
        id: "cleanup-overdue",
        sql: OVERDUE,
        judge: overdue,
        meaning: "Nobody needs most of the jobs that ended long ago, and the table grows with \
                  them. Microsoft's advice: delete completed jobs of any type that are older \
                  than 30 days, 7 where space is short, with a recurring bulk deletion.",
    },
    Rule {
        id: "storage-heavy",
        sql: DOCUMENTED[7].sql,
        judge: storage,
        meaning: "Large payloads of jobs are in file storage. Files cannot be deleted by \
                  themselves: they go with their jobs.",
    },
    Rule {
        id: "bulk-delete-failing",
        sql: DELETIONS,
        judge: deletions,
        meaning: "A bulk deletion could not delete all it has found. Nothing is rolled back; \
                  the rows that stay are in bulkdeletefailure, with the reason.",
    },
];

/// A daily clean-up after 30 days leaves a day more; fewer jobs are not worth the trouble.
const OVERDUE_JOBS: i64 = 100;
const OVERDUE_WARNING: i64 = 1_000_000;

const OVERDUE: &str = "\
SELECT operationtype
      ,operationtypename
      ,statuscode
      ,statuscodename
      ,COUNT(*) AS jobs
      ,MIN(completedon) AS oldest
FROM asyncoperation
WHERE statecode = 3 AND completedon <= DATEADD(day, -32, GETUTCDATE())
GROUP BY operationtype, operationtypename, statuscode, statuscodename
ORDER BY jobs DESC";

fn overdue(rows: &[Row]) -> Vec<Trouble> {
    let number: i64 = rows.iter().map(|row| row.integer("jobs")).sum();
    if number < OVERDUE_JOBS {
        return Vec::new();
    }
    let oldest = rows.iter().filter_map(|row| time(row, "oldest")).min();
    vec![Trouble {
        severity: if number >= OVERDUE_WARNING { Severity::Warning } else { Severity::Info },
        headline: format!("{} ended more than 30 days ago", jobs(number)),
        subject: json!({ "kind": "table", "id": null, "name": "asyncoperation" }),
        since: oldest,
        figures: json!({ "jobs": number }),
        rows: rows.to_vec(),
        remedy: vec![
            "sysjob serve --retention-completed-days 30".into(),
            act("delete", "statecode = 3 AND completedon < DATEADD(day, -30, GETUTCDATE())"),
        ],
    }]
}

/// File storage of ended jobs beyond this is worth a clean-up.
const STORAGE_BYTES: i64 = 1024 * 1024 * 1024;

fn storage(rows: &[Row]) -> Vec<Trouble> {
    let ended: Rows = rows.iter().filter(|row| row.integer("statecode") == 3).cloned().collect();
    let bytes: i64 = ended.iter().map(|row| row.integer("TotalSize")).sum();
    let files: i64 = ended.iter().map(|row| row.integer("RecordCount")).sum();
    let Some(worst) = ended.first().filter(|_| bytes >= STORAGE_BYTES).cloned() else {
        return Vec::new();
    };
    let share = 100 * worst.integer("TotalSize") / bytes;
    vec![Trouble {
        severity: Severity::Info,
        headline: format!(
            "ended jobs hold {:.1} GiB in {}, {share} % of it of {}",
            bytes as f64 / STORAGE_BYTES as f64,
            counted(files, "file", "files"),
            definition_name(&worst)
        ),
        subject: definition(&worst),
        since: None,
        figures: json!({ "bytes": bytes, "files": files }),
        rows: ended,
        remedy: vec![
            list("datablobid IS NOT NULL AND statecode = 3"),
            act(
                "delete",
                "datablobid IS NOT NULL AND statecode = 3 AND completedon < DATEADD(day, -7, GETUTCDATE())",
            ),
        ],
    }]
}

/// Deletions with so many failures, and none that succeeded, do nothing at all.
const DELETIONS_CRITICAL: i64 = 1000;

const DELETIONS: &str = "\
SELECT TOP (20) op.bulkdeleteoperationid
      ,op.name
      ,op.asyncoperationid
      ,op.statuscode
      ,op.successcount
      ,op.failurecount
      ,op.isrecurring
      ,op.createdon
      ,op.modifiedon
      ,why.failures
      ,why.errornumber
      ,why.errordescription
FROM bulkdeleteoperation AS op
LEFT JOIN (SELECT bulkdeleteoperationid, COUNT(*) AS failures, MAX(errornumber) AS errornumber, MAX(errordescription) AS errordescription
           FROM bulkdeletefailure
           GROUP BY bulkdeleteoperationid) AS why
  ON why.bulkdeleteoperationid = op.bulkdeleteoperationid
WHERE (op.failurecount > 0 OR why.failures > 0 OR op.statuscode = 31)
  AND COALESCE(op.modifiedon, op.createdon, GETUTCDATE()) > DATEADD(day, -30, GETUTCDATE())
ORDER BY op.failurecount DESC";

fn deletions(rows: &[Row]) -> Vec<Trouble> {
    let trouble = |row: &Row| {
        let failed = row.integer("failurecount").max(row.integer("failures"));
        let succeeded = row.integer("successcount");
        let id = row.text("bulkdeleteoperationid").unwrap_or_default();
        let because = row.text("errordescription").map(|text| format!(": {text}"));
        let mut remedy = vec![format!(
            "sysjob query -e \"SELECT TOP (20) regardingobjectid, errornumber, errordescription FROM bulkdeletefailure WHERE bulkdeleteoperationid = '{id}'\""
        )];
        if let Some(job) = row.text("asyncoperationid") {
            remedy.push(format!("sysjob jobs show {job}"));
        }
        let severe = succeeded == 0 && failed >= DELETIONS_CRITICAL;
        let name = row.text("name").unwrap_or_default();
        let headline = match failed {
            0 => format!("the bulk deletion '{name}' has failed"),
            _ => format!(
                "the bulk deletion '{name}' could not delete {} of {}{}",
                counted(failed, "row", "rows"),
                failed + succeeded,
                because.unwrap_or_default()
            ),
        };
        Trouble {
            severity: Severity::critical_if(severe),
            headline,
            subject: json!({ "kind": "bulkdeleteoperation", "id": id, "name": name }),
            since: time(row, "createdon"),
            figures: figures(row, &["successcount", "failurecount"]),
            rows: vec![row.clone()],
            remedy,
        }
    };
    rows.iter().map(trouble).collect()
}
