//! Every SQL text of the published documentation, exactly as printed, with its
//! tabs, odd spaces and spellings; each plans and runs.

use super::{error, parse, plan, query, rows};
use crate::dialect::tsql::Statement;

const PUBLISHED: &[&str] = &[
    "SELECT TOP (1000) asyncoperationid
      ,completedon
      ,createdon
      ,data
      ,dependencytoken
      ,depth
      ,errorcode
      ,executiontimespan
      ,friendlymessage
      ,iswaitingforevent
      ,message
      ,messagename
      ,modifiedon
      ,name
      ,operationtype
      ,operationtypename
      ,ownerid
      ,postponeuntil
      ,recurrencepattern
      ,recurrencestarttime
      ,regardingobjectid
      ,regardingobjectidname
      ,retrycount
      ,sequence
      ,startedon
      ,statecode
      ,utcconversiontimezonecode
      ,workflowstagename
  FROM asyncoperation",
    "SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
GROUP BY  statecode,
      statuscode,
      operationtype
ORDER BY Count DESC",
    "SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
WHERE statecode = 1
GROUP BY  statecode,
      statuscode,
      operationtype
ORDER BY Count DESC",
    "SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
WHERE operationtype = 10
GROUP BY  statecode,
      statuscode,
      operationtype
ORDER BY Count DESC",
    "SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
WHERE statecode = 0 AND statuscode = 0
GROUP BY  statecode,
      statuscode,
     operationtype
ORDER BY Count DESC",
    "SELECT count(*) AS FileStorageCount 
FROM asyncoperation  
WHERE  datablobid IS NOT NULL",
    "SELECT count(*)  AS DBCount  
FROM asyncoperation 
WHERE datablobid IS NULL",
    "SELECT operationtypename
      ,name
      ,friendlymessage
      ,count(*) AS Jobs  
FROM asyncoperation
WHERE datablobid IS NOT NULL 
GROUP BY operationtypename, name, friendlymessage
ORDER BY Jobs DESC",
    "SELECT count(*) as RecordCount
   ,sum(filesizeinbytes) as TotalSize
   ,owningextensionid
   ,owningextensionidname
   ,statecode
   ,statuscode
   ,operationtype from fileattachment
 join asyncoperation on fileattachment.fileattachmentid =  asyncoperation.datablobid
 where fileattachment.objectidtypecode = 4700
 group by  owningextensionid, owningextensionidname, statecode, statuscode, operationtype
 order by TotalSize desc",
    "SELECT \tStateCode, StatusCode, OperationType, Count(*) AS Count
FROM  AsyncOperation WITH (nolock)
GROUP BY  StateCode, StatusCode, OperationType
ORDER BY Count DESC",
];

/// Three statements in one block; the third lacks a comma.
const FILE_STORAGE: &str =
    "SELECT count(*) AS FileStorageCount  FROM AsyncOperation  WHERE  DataBlobId IS NOT NULL
  
SELECT count(*)  AS DBCount  FROM AsyncOperation WHERE DataBlobId IS NULL
  
SELECT OperationTypeName, NAME, FriendlyMessage count(*) AS Jobs  
  FROM AsyncOperation
  WHERE DataBlobId IS NOT NULL 
  GROUP BY OperationTypeName, NAME, FriendlyMessage
  ORDER BY Jobs DESC
";

#[test]
fn every_published_text_plans() {
    for text in PUBLISHED {
        plan(text);
    }
}

#[test]
fn jobs_by_state_in_the_form_for_management_studio() {
    let text = PUBLISHED.last().expect("texts");
    assert!(text.contains('\t') && text.contains("WITH (nolock)"));
    assert_eq!(
        query(text).to_string(),
        "SELECT asyncoperation.statecode, asyncoperation.statuscode, \
         asyncoperation.operationtype, count(*) AS Count FROM asyncoperation \
         GROUP BY asyncoperation.statecode, asyncoperation.statuscode, \
         asyncoperation.operationtype ORDER BY Count DESC"
    );
    let lines = rows(text).expect("rows");
    assert_eq!(lines[0], "statecode | statuscode | operationtype | Count");
    assert_eq!(lines.len(), 4);
}

#[test]
fn the_alias_is_found_in_another_case() {
    let lines = rows(PUBLISHED[1]).expect("rows");
    assert_eq!(lines[0], "statecode | statuscode | operationtype | count");
    assert_eq!(lines.len(), 4);
}

#[test]
fn statements_need_no_semicolon_between_them() {
    let two = FILE_STORAGE.find("SELECT OperationTypeName").expect("the third statement");
    let statements = parse(&FILE_STORAGE[..two], &super::CATALOG).expect("two statements");
    assert!(matches!(statements.as_slice(), [Statement::Query(_), Statement::Query(_)]));
}

#[test]
fn the_missing_comma_is_pointed_at() {
    assert_eq!(
        error(FILE_STORAGE),
        (
            "SQL line 5, column 49: Incorrect syntax near 'count' (Msg 102); \
             is a comma missing before 'count'?"
                .to_owned(),
            "42601"
        )
    );
    let repaired = FILE_STORAGE.replace("FriendlyMessage count", "FriendlyMessage, count");
    assert_eq!(parse(&repaired, &super::CATALOG).expect("three statements").len(), 3);
}
