//! The columns of `asyncoperation` that have behaviour, by their place in the
//! catalog.

use crate::catalog::{Catalog, Table};

pub const TABLE: &str = "asyncoperation";

/// The columns that a job's life changes after its creation.
pub const LIFECYCLE_COLUMNS: &[&str] = &[
    "statecode",
    "statuscode",
    "startedon",
    "completedon",
    "modifiedon",
    "modifiedby",
    "postponeuntil",
    "retrycount",
    "errorcode",
    "message",
    "friendlymessage",
    "executiontimespan",
    "expanderstarttime",
    "hostid",
    "iswaitingforevent",
    "workflowstagename",
    "workflowstate",
    "recurrencepattern",
    "recurrencestarttime",
    "sysjob_attempt",
    "sysjob_leaseuntil",
    "sysjob_waitcause",
    "versionnumber",
];

/// Column numbers, looked up once.
#[derive(Clone, Copy, Debug)]
pub struct JobColumns {
    pub table: usize,
    pub asyncoperationid: usize,
    pub createdon: usize,
    pub sequence: usize,
    pub operationtype: usize,
    pub statecode: usize,
    pub statuscode: usize,
    pub startedon: usize,
    pub completedon: usize,
    pub modifiedon: usize,
    pub createdby: usize,
    pub modifiedby: usize,
    pub ownerid: usize,
    pub owneridtype: usize,
    pub owninguser: usize,
    pub owningbusinessunit: usize,
    pub correlationid: usize,
    pub correlationupdatedtime: usize,
    pub utcconversiontimezonecode: usize,
    pub timezoneruleversionnumber: usize,
    pub expanderstarttime: usize,
    pub postponeuntil: usize,
    pub retrycount: usize,
    pub errorcode: usize,
    pub message: usize,
    pub friendlymessage: usize,
    pub executiontimespan: usize,
    pub hostid: usize,
    pub data: usize,
    pub datablobid: usize,
    pub dependencytoken: usize,
    pub owningextensionid: usize,
    pub regardingobjectid: usize,
    pub depth: usize,
    pub recurrencepattern: usize,
    pub recurrencestarttime: usize,
    pub retainjobhistory: usize,
    pub iswaitingforevent: usize,
    pub workflowstate: usize,
    pub workflowstagename: usize,
    /// Columns that are not shown.
    pub handler: usize,
    pub attempt: usize,
    pub leaseuntil: usize,
    pub waitcause: usize,
}

impl JobColumns {
    /// Column numbers in a catalog, which always has this table.
    pub fn of(catalog: &Catalog) -> Self {
        let table = catalog.table_index(TABLE).expect("every catalog has asyncoperation");
        let facts: &Table = &catalog.tables()[table];
        let at = |name: &str| facts.column_index(name).expect("a column of asyncoperation");
        Self {
            table,
            asyncoperationid: at("asyncoperationid"),
            createdon: at("createdon"),
            sequence: at("sequence"),
            operationtype: at("operationtype"),
            statecode: at("statecode"),
            statuscode: at("statuscode"),
            startedon: at("startedon"),
            completedon: at("completedon"),
            modifiedon: at("modifiedon"),
            createdby: at("createdby"),
            modifiedby: at("modifiedby"),
            ownerid: at("ownerid"),
            owneridtype: at("owneridtype"),
            owninguser: at("owninguser"),
            owningbusinessunit: at("owningbusinessunit"),
            correlationid: at("correlationid"),
            correlationupdatedtime: at("correlationupdatedtime"),
            utcconversiontimezonecode: at("utcconversiontimezonecode"),
            timezoneruleversionnumber: at("timezoneruleversionnumber"),
            expanderstarttime: at("expanderstarttime"),
            postponeuntil: at("postponeuntil"),
            retrycount: at("retrycount"),
            errorcode: at("errorcode"),
            message: at("message"),
            friendlymessage: at("friendlymessage"),
            executiontimespan: at("executiontimespan"),
            hostid: at("hostid"),
            data: at("data"),
            datablobid: at("datablobid"),
            dependencytoken: at("dependencytoken"),
            owningextensionid: at("owningextensionid"),
            regardingobjectid: at("regardingobjectid"),
            depth: at("depth"),
            recurrencepattern: at("recurrencepattern"),
            recurrencestarttime: at("recurrencestarttime"),
            retainjobhistory: at("retainjobhistory"),
            iswaitingforevent: at("iswaitingforevent"),
            workflowstate: at("workflowstate"),
            workflowstagename: at("workflowstagename"),
            handler: at("sysjob_handler"),
            attempt: at("sysjob_attempt"),
            leaseuntil: at("sysjob_leaseuntil"),
            waitcause: at("sysjob_waitcause"),
        }
    }
}
