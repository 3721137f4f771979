//! What is asked: the eight documented diagnostics and six more. PostgreSQL and DuckDB
//! get the same text; sysjob gets the documented ones as they are documented.

use ::sysjob::diagnose::DOCUMENTED;
use ::sysjob::value::{guid_text, time_text};

use super::generator;

pub struct Question {
    pub name: &'static str,
    pub sysjob: String,
    pub peers: String,
    /// Reads much on most systems, hence is repeated less.
    pub heavy: bool,
}

/// The documented questions without what only T-SQL or Dataverse has.
const DOCUMENTED_ELSEWHERE: [(&str, &str); 8] = [
    (
        "jobs-by-state-status-type",
        "SELECT statecode, statuscode, operationtype, COUNT(*) AS count FROM asyncoperation \
         GROUP BY statecode, statuscode, operationtype ORDER BY count DESC",
    ),
    (
        "suspended-jobs",
        "SELECT statecode, statuscode, operationtype, COUNT(*) AS count FROM asyncoperation \
         WHERE statecode = 1 \
         GROUP BY statecode, statuscode, operationtype ORDER BY count DESC",
    ),
    (
        "workflows",
        "SELECT statecode, statuscode, operationtype, COUNT(*) AS count FROM asyncoperation \
         WHERE operationtype = 10 \
         GROUP BY statecode, statuscode, operationtype ORDER BY count DESC",
    ),
    (
        "waiting-for-resources",
        "SELECT statecode, statuscode, operationtype, COUNT(*) AS count FROM asyncoperation \
         WHERE statecode = 0 AND statuscode = 0 \
         GROUP BY statecode, statuscode, operationtype ORDER BY count DESC",
    ),
    ("file-storage-count", "SELECT COUNT(*) FROM asyncoperation WHERE datablobid IS NOT NULL"),
    ("not-in-blob-storage", "SELECT COUNT(*) FROM asyncoperation WHERE datablobid IS NULL"),
    (
        "names-using-file-storage",
        "SELECT operationtype, name, friendlymessage, COUNT(*) AS jobs FROM asyncoperation \
         WHERE datablobid IS NOT NULL \
         GROUP BY operationtype, name, friendlymessage ORDER BY jobs DESC",
    ),
    (
        "file-size-and-record-count",
        "SELECT COUNT(*) AS recordcount, SUM(filesizeinbytes) AS totalsize, owningextensionid, \
         statecode, statuscode, operationtype FROM fileattachment \
         JOIN asyncoperation ON fileattachment.fileattachmentid = asyncoperation.datablobid \
         WHERE fileattachment.objectidtypecode = 4700 \
         GROUP BY owningextensionid, statecode, statuscode, operationtype \
         ORDER BY totalsize DESC",
    ),
];

/// Six more, in words that all three understand.
const FURTHER: [(&str, &str, bool); 6] = [
    (
        "failure-rate-by-extension",
        "SELECT owningextensionid, COUNT(*) AS jobs, \
         SUM(CASE WHEN statuscode = 31 THEN 1 ELSE 0 END) AS failed \
         FROM asyncoperation GROUP BY owningextensionid ORDER BY failed DESC",
        false,
    ),
    (
        "p95-duration-by-type",
        "SELECT operationtype, PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY executiontimespan) \
         AS p95 FROM asyncoperation WHERE statecode = 3 GROUP BY operationtype",
        true,
    ),
    (
        "top-errors-of-the-last-day",
        "SELECT errorcode, message, COUNT(*) AS jobs FROM asyncoperation \
         WHERE statuscode = 31 AND completedon >= '{since}' \
         GROUP BY errorcode, message ORDER BY jobs DESC LIMIT 10",
        false,
    ),
    (
        "newest-thousand-jobs",
        "SELECT asyncoperationid, name, statecode, statuscode, operationtype, ownerid, \
         owningextensionid, datablobid, createdon, startedon, completedon, executiontimespan, \
         errorcode, message, friendlymessage, sequence \
         FROM asyncoperation ORDER BY createdon DESC LIMIT 1000",
        false,
    ),
    (
        "one-job-by-id",
        "SELECT asyncoperationid, name, statecode, statuscode, createdon FROM asyncoperation \
         WHERE asyncoperationid = '{id}'",
        false,
    ),
    (
        "counts-by-hour",
        "SELECT date_trunc('hour', createdon) AS hour, COUNT(*) AS jobs FROM asyncoperation \
         GROUP BY date_trunc('hour', createdon) ORDER BY hour",
        false,
    ),
];

/// The id of the job in the middle.
pub fn some_id(jobs: usize) -> String {
    guid_text(&generator::guid(1, jobs as u64 / 2))
}

/// All fourteen, about a table with so many jobs.
pub fn all(jobs: usize) -> Vec<Question> {
    const DAY: i64 = 86_400_000_000;
    let since = time_text(generator::created(jobs as u64) - DAY);
    let since = since.trim_end_matches('Z').to_owned();
    let documented = DOCUMENTED.iter().zip(DOCUMENTED_ELSEWHERE).map(|(question, elsewhere)| {
        assert_eq!(question.name, elsewhere.0, "the same questions in the same order");
        let (sysjob, peers) = (question.sql.to_owned(), elsewhere.1.to_owned());
        Question { name: elsewhere.0, sysjob, peers, heavy: false }
    });
    let further = FURTHER.iter().map(|(name, text, heavy)| {
        let text = text.replace("{since}", &since).replace("{id}", &some_id(jobs));
        Question { name, sysjob: text.clone(), peers: text, heavy: *heavy }
    });
    documented.chain(further).collect()
}
