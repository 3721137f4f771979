//! The one error that crosses module borders: what kind of trouble, where,
//! and in words a user can act on. Each surface maps it once: HTTP to the
//! Dataverse JSON error, SQL to an SQLSTATE, the command line to an exit code.

use std::fmt;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Correct the input.
    Invalid,
    /// The input is understood but not offered; the message names the part.
    Unsupported,
    /// A row, table or resource does not exist.
    NotFound,
    /// The state of things does not allow it now.
    Conflict,
    /// A limit was reached; the message names it.
    Limit,
    /// The service is stopping, or stopped writing after a failed flush.
    Closed,
    /// Stored data is damaged or unreadable.
    Data,
    /// A defect of sysjob.
    Internal,
}

/// Where in the text of a query something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Line and column, both from 1; the dialect's name leads the message.
    Line { dialect: &'static str, line: u32, column: u32 },
    /// A part of an OData request such as `$filter`, and the character in it, from 0.
    Option { name: String, position: usize },
    /// A part of an input without a finer place.
    Part(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { dialect, line, column } if *dialect == "SQL" => {
                write!(f, "{dialect} line {line}, column {column}")
            }
            Self::Line { dialect, line, .. } => write!(f, "{dialect} line {line}"),
            Self::Option { name, position } => write!(f, "{name} position {position}"),
            Self::Part(part) => f.write_str(part),
        }
    }
}

/// Of the further mistakes in a text so many are told in full.
const FURTHER_SHOWN: usize = 9;

/// An error with everything a surface needs to report it.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    /// The Dataverse error code, `0x8004…`; see [`codes`].
    pub code: u32,
    /// The SQLSTATE, where a more precise one than the kind's is known.
    pub sqlstate: Option<&'static str>,
    pub place: Option<Place>,
    pub message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything in sysjob that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: ErrorKind, code: u32, message: impl Into<String>) -> Self {
        Self { kind, code, sqlstate: None, place: None, message: message.into(), source: None }
    }

    /// Input that has to be corrected.
    pub fn invalid(code: u32, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, message)
    }

    /// Input that asks for something not offered.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, codes::NOT_SUPPORTED, message)
    }

    /// Damaged or unreadable stored data, or a failing disk.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, codes::UNEXPECTED, message)
    }

    /// A defect of sysjob.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, codes::UNEXPECTED, message)
    }

    /// Two mistakes in one text; the first goes in front. A mistake in a text has
    /// no cause but the text, so the further ones stand where a cause would.
    pub fn and(mut self, mut other: Self) -> Self {
        let mut further = self.take_further();
        let more = other.take_further();
        further.push(other);
        further.extend(more);
        self.source = Some(Box::new(Further(further)));
        self
    }

    fn take_further(&mut self) -> Vec<Self> {
        if self.further().is_empty() {
            return Vec::new();
        }
        let further = self.source.take().and_then(|source| source.downcast::<Further>().ok());
        further.map(|further| further.0).unwrap_or_default()
    }

    /// Further mistakes in the same text.
    fn further(&self) -> &[Self] {
        let further = self.source.as_deref().and_then(|source| source.downcast_ref::<Further>());
        further.map_or(&[], |further| &further.0)
    }

    pub fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    pub fn sqlstate(mut self, state: &'static str) -> Self {
        self.sqlstate = Some(state);
        self
    }

    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message)?,
            None => f.write_str(&self.message)?,
        }
        match &self.source {
            Some(source) if source.is::<Further>() => source.fmt(f),
            _ => Ok(()),
        }
    }
}

/// What else is wrong with a text.
#[derive(Debug)]
struct Further(Vec<Error>);

impl fmt::Display for Further {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " (and {} more", self.0.len())?;
        for (i, problem) in self.0.iter().take(FURTHER_SHOWN).enumerate() {
            f.write_str(if i == 0 { ": " } else { "; " })?;
            match &problem.place {
                Some(Place::Line { line, .. }) => write!(f, "line {line}: {}", problem.message)?,
                _ => problem.fmt(f)?,
            }
        }
        f.write_str(if self.0.len() > FURTHER_SHOWN { "; …)" } else { ")" })
    }
}

impl std::error::Error for Further {}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.source.as_deref().filter(|source| !source.is::<Further>());
        cause.map(|cause| cause as _)
    }
}

/// Dataverse error codes, from Microsoft's web service error code list.
pub mod codes {
    pub const INVALID_XML: u32 = 0x8004_0201;
    pub const INVALID_ARGUMENT: u32 = 0x8004_0203;
    pub const UNEXPECTED: u32 = 0x8004_0216;
    pub const OBJECT_DOES_NOT_EXIST: u32 = 0x8004_0217;
    /// The caller lacks the privilege for the operation.
    pub const PRIVILEGE_DENIED: u32 = 0x8004_0220;
    /// A row with the same key exists.
    pub const DUPLICATE_RECORD: u32 = 0x8004_0237;
    pub const DATE_TOO_EARLY: u32 = 0x8004_0239;
    pub const BAD_RECURRENCE_RULE: u32 = 0x8004_0246;
    pub const NOT_SUPPORTED: u32 = 0x8004_0315;
    pub const MALFORMED_FETCHXML: u32 = 0x8004_0303;
    pub const BAD_USERAWORDERBY: u32 = 0x8004_10FD;
    pub const UNKNOWN_ENTITY: u32 = 0x8004_1102;
    pub const UNKNOWN_ATTRIBUTE: u32 = 0x8004_1103;
    pub const PLAIN_ATTRIBUTE_IN_AGGREGATE: u32 = 0x8004_1107;
    pub const INVALID_VALUE: u32 = 0x8004_1139;
    pub const BAD_CONDITION: u32 = 0x8004_1106;
    pub const CONDITION_ALIAS_UNKNOWN: u32 = 0x8004_110A;
    pub const VALUE_MUST_BE_POSITIVE: u32 = 0x8004_110C;
    /// Which relationship joins two tables is not certain.
    pub const AMBIGUOUS_RELATIONSHIP: u32 = 0x8004_110E;
    pub const BAD_DISTINCT: u32 = 0x8004_1115;
    pub const BAD_MAPPING: u32 = 0x8004_1116;
    pub const BAD_LINK_TYPE: u32 = 0x8004_1117;
    pub const BAD_NO_LOCK: u32 = 0x8004_1118;
    pub const BAD_DESCENDING: u32 = 0x8004_1119;
    pub const BAD_AGGREGATE: u32 = 0x8004_111A;
    pub const INVALID_NODE: u32 = 0x8004_111C;
    pub const UTC_OFFSET: u32 = 0x8004_111D;
    pub const MISSING_ATTRIBUTE: u32 = 0x8004_111E;
    pub const UNKNOWN_OPERATOR: u32 = 0x8004_1120;
    pub const BAD_FILTER_TYPE: u32 = 0x8004_1122;
    pub const MISSING_ELEMENT: u32 = 0x8004_1123;
    pub const EMPTY_XML: u32 = 0x8004_1124;
    pub const NO_DOCUMENT_ELEMENT: u32 = 0x8004_1125;
    pub const LINK_FOR_ORDER: u32 = 0x8004_1126;
    pub const ENTITY_MISMATCH: u32 = 0x8004_1128;
    /// The paging cookie has other sort keys than the query.
    pub const COOKIE_MISMATCH: u32 = 0x8004_1129;
    /// The paging cookie holds an invalid page or value.
    pub const BAD_COOKIE: u32 = 0x8004_112A;
    pub const NO_ATTRS_DISTINCT: u32 = 0x8004_112C;
    pub const BAD_GROUPBY: u32 = 0x8004_112E;
    pub const AGGREGATE_TYPE: u32 = 0x8004_112F;
    pub const DUPLICATE_ALIAS: u32 = 0x8004_1130;
    pub const ORDER_ATTRIBUTE_IN_AGGREGATE: u32 = 0x8004_1131;
    pub const ORDER_ALIAS_IN_PLAIN: u32 = 0x8004_1132;
    pub const ORDER_WITHOUT_ALIAS: u32 = 0x8004_1133;
    pub const ORDER_WITHOUT_ATTRIBUTE: u32 = 0x8004_1134;
    pub const BAD_DATEGROUPING: u32 = 0x8004_1135;
    pub const OVERFLOW: u32 = 0x8004_1136;
    pub const AGGREGATE_AND_GROUPBY: u32 = 0x8004_1137;
    /// A choice's value is none of its options.
    pub const OPTION_OUT_OF_RANGE: u32 = 0x8004_431A;
    pub const NUMBER_OUT_OF_RANGE: u32 = 0x8004_4330;
    pub const TEXT_TOO_LONG: u32 = 0x8004_4331;
    /// A status reason that does not belong to the state.
    pub const INVALID_STATUS: u32 = 0x8004_8408;
    pub const CANNOT_BE_DELETED: u32 = 0x8004_8435;
    /// A message that the platform does not have for a table.
    pub const OPERATION_NOT_SUPPORTED: u32 = 0x8004_0800;
    /// Changes of a system job's state.
    pub const INVALID_TRANSITION: u32 = 0x8004_4162;
    pub const CHANGED_MEANWHILE: u32 = 0x8004_4163;
    pub const CANNOT_BE_COMPLETED: u32 = 0x8004_4165;
    pub const CANNOT_BE_READY: u32 = 0x8004_4166;
    pub const CANNOT_UPDATE_NONRECURRING: u32 = 0x8004_4168;
    pub const CANNOT_UPDATE_RECURRING: u32 = 0x8004_4169;
    pub const TYPE_NOT_RECOGNIZED: u32 = 0x8004_4303;
    pub const CANNOT_CANCEL: u32 = 0x8004_4F00;
    pub const CANNOT_PAUSE: u32 = 0x8004_4F01;
    /// What a system job ended with.
    pub const PLUGIN_FAILED: u32 = 0x8004_0265;
    pub const TIME_LIMIT: u32 = 0x8004_4171;
    pub const TIME_LIMIT_HOST: u32 = 0x8004_4172;
    pub const TIME_LIMIT_WORKER: u32 = 0x8004_4173;
    pub const NO_RESPONSE: u32 = 0x8008_1111;
    pub const NO_WORKER: u32 = 0x8004_418D;
    pub const NO_HOST: u32 = 0x8004_418E;
    pub const DEPTH_EXCEEDED: u32 = 0x8004_4182;
    pub const NETWORK_ERROR: u32 = 0x8004_4306;
    pub const WORKFLOWS_PAUSED: u32 = 0x8004_5017;
    pub const WORKFLOW_RECORD_MISSING: u32 = 0x8004_5031;
    pub const WORKFLOW_REPLACED: u32 = 0x8004_5042;
    pub const SERVER_BUSY: u32 = 0x8004_A001;
    pub const ORGANIZATION_DISABLED: u32 = 0x8004_A104;
    pub const ORGANIZATION_DISABLED_TOO: u32 = 0x8004_A107;
    /// Why a system job waits.
    pub const POSTPONED_AFTER_FAILURES: u32 = 0x8004_0328;
    pub const TYPE_THROTTLED: u32 = 0x8006_0916;
    pub const EXCEPTION_THROTTLED: u32 = 0x8006_0917;
    /// An operation type that is none.
    pub const UNKNOWN_JOB_TYPE: u32 = 0x8004_4303;
    /// The logic of a job cannot be read.
    pub const WORKFLOW_UNREADABLE: u32 = 0x8004_4304;
    /// A post to a service endpoint failed.
    pub const ENDPOINT_FAILED: u32 = 0x8004_4175;
    pub const ENDPOINT_POSTPONED: u32 = 0x8004_4179;
    /// Webhooks.
    pub const WEBHOOK_NOT_SUCCESSFUL: u32 = 0x8005_0201;
    pub const WEBHOOK_TIMED_OUT: u32 = 0x8005_0202;
    pub const WEBHOOK_HEADERS: u32 = 0x8005_0203;
    pub const WEBHOOK_QUERY: u32 = 0x8005_0204;
    pub const WEBHOOK_FAILED: u32 = 0x8005_0205;
    pub const WEBHOOK_DISABLED: u32 = 0x8005_0206;
    /// The row changed since the client read it.
    pub const VERSION_MISMATCH: u32 = 0x8006_0882;
    pub const WORKFLOW_NOT_ACTIVATED: u32 = 0x8004_5055;
    pub const WORKFLOW_NOT_ON_DEMAND: u32 = 0x8004_5059;
    pub const RECURRENCE_NOT_DAILY: u32 = 0x8004_D2A0;
    pub const RECURRENCE_INTERVAL: u32 = 0x8004_D2A1;
    pub const BAD_RECURRENCE_PATTERN: u32 = 0x8004_E100;
    /// No row has the values of an alternate key.
    pub const KEY_NOT_FOUND: u32 = 0x8006_0891;
    pub const KEY_NOT_UNIQUE: u32 = 0x8006_0892;
    /// Anything the OData parser refuses.
    pub const ODATA: u32 = 0x8006_0888;
    pub const UNKNOWN_SEGMENT: u32 = 0x8006_088A;
    /// A condition operator that does not fit the column's type.
    pub const OPERATOR_NOT_VALID: u32 = 0x8004_8415;
    /// Limits of Dataverse itself.
    pub const PAGED_TOO_FAR: u32 = 0x8004_430A;
    pub const TOO_MANY_CONDITIONS: u32 = 0x8004_430C;
    pub const TOO_MANY_LINKS: u32 = 0x8004_430D;
    pub const TOO_MANY_VALUES: u32 = 0x8004_430E;
    pub const AGGREGATE_LIMIT: u32 = 0x8004_E023;
    pub const ACCESS_DENIED: u32 = 0x8004_8405;
    /// A query took too long.
    pub const SQL_TIMEOUT: u32 = 0x8004_4151;
}
