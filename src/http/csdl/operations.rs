//! Functions and actions of the service, and the types of what they take and
//! give, as rows. The query functions of `$filter` come from the table of
//! condition operators.

use std::collections::HashSet;

use super::line;
use crate::catalog::{Catalog, Table};
use crate::query::Test;
use crate::query::operators::{Arguments, Dates, Meaning, OPERATORS};

/// Names with types.
type Members = &'static [(&'static str, &'static str)];

/// A function or action.
struct Operation {
    name: &'static str,
    action: bool,
    /// The type of the row it belongs to.
    bound: Option<&'static str>,
    parameters: Members,
    returns: &'static str,
}

const fn function(name: &'static str, parameters: Members, returns: &'static str) -> Operation {
    Operation { name, action: false, bound: None, parameters, returns }
}

const fn action(name: &'static str, parameters: Members, returns: &'static str) -> Operation {
    Operation { name, action: true, bound: None, parameters, returns }
}

const OPERATIONS: &[Operation] = &[
    function("WhoAmI", &[], "mscrm.WhoAmIResponse"),
    function("RetrieveVersion", &[], "mscrm.RetrieveVersionResponse"),
    function("RetrieveAvailableLanguages", &[], "mscrm.RetrieveAvailableLanguagesResponse"),
    function(
        "RetrieveCurrentOrganization",
        &[("AccessType", "mscrm.EndpointAccessType")],
        "mscrm.RetrieveCurrentOrganizationResponse",
    ),
    function(
        "RetrieveTotalRecordCount",
        &[("EntityNames", "Collection(Edm.String)")],
        "mscrm.RetrieveTotalRecordCountResponse",
    ),
    function(
        "RetrieveMetadataChanges",
        &[("Query", "mscrm.EntityQueryExpression"), ("ClientVersionStamp", "Edm.String")],
        "mscrm.RetrieveMetadataChangesResponse",
    ),
    action(
        "BulkDelete",
        &[
            ("QuerySet", "Collection(mscrm.QueryExpression)"),
            ("JobName", "Edm.String"),
            ("SendEmailNotification", "Edm.Boolean"),
            ("ToRecipients", "Collection(mscrm.activityparty)"),
            ("CCRecipients", "Collection(mscrm.activityparty)"),
            ("RecurrencePattern", "Edm.String"),
            ("StartDateTime", "Edm.DateTimeOffset"),
            ("SourceImportId", "Edm.Guid"),
            ("RunNow", "Edm.Boolean"),
            ("Options", "mscrm.BulkDeleteOptions"),
        ],
        "mscrm.BulkDeleteResponse",
    ),
    action(
        "BulkDetectDuplicates",
        &[
            ("Query", "mscrm.QueryExpression"),
            ("JobName", "Edm.String"),
            ("SendEmailNotification", "Edm.Boolean"),
            ("TemplateId", "Edm.Guid"),
            ("ToRecipients", "Collection(Edm.Guid)"),
            ("CCRecipients", "Collection(Edm.Guid)"),
            ("RecurrencePattern", "Edm.String"),
            ("RecurrenceStartTime", "Edm.DateTimeOffset"),
        ],
        "mscrm.BulkDetectDuplicatesResponse",
    ),
    Operation {
        name: "ExecuteWorkflow",
        action: true,
        bound: Some("workflow"),
        parameters: &[("EntityId", "Edm.Guid")],
        returns: "mscrm.asyncoperation",
    },
];

/// Actions on the rows of a set, for every table.
const BULK: [(&str, &str); 3] = [
    ("CreateMultiple", "mscrm.CreateMultipleResponse"),
    ("UpdateMultiple", ""),
    ("UpsertMultiple", ""),
];

const ENUMS: &[(&str, &[&str])] = &[
    ("EndpointAccessType", &["Default", "Internet", "Intranet"]),
    ("EndpointType", &["OrganizationService", "OrganizationDataService", "WebApplication"]),
    ("OrganizationState", &["Enabled", "Disabled"]),
    ("LogicalOperator", &["And", "Or"]),
    ("OrderType", &["Ascending", "Descending"]),
    (
        "JoinOperator",
        &[
            "Inner",
            "LeftOuter",
            "Natural",
            "MatchFirstRowUsingCrossApply",
            "In",
            "Exists",
            "Any",
            "NotAny",
            "All",
            "NotAll",
        ],
    ),
    (
        "MetadataConditionOperator",
        &["Equals", "NotEquals", "In", "NotIn", "GreaterThan", "LessThan"],
    ),
    // In the order of Microsoft's reference, which numbers them.
    (
        "ConditionOperator",
        &[
            "Equal",
            "NotEqual",
            "GreaterThan",
            "LessThan",
            "GreaterEqual",
            "LessEqual",
            "Like",
            "NotLike",
            "In",
            "NotIn",
            "Between",
            "NotBetween",
            "Null",
            "NotNull",
            "Yesterday",
            "Today",
            "Tomorrow",
            "Last7Days",
            "Next7Days",
            "LastWeek",
            "ThisWeek",
            "NextWeek",
            "LastMonth",
            "ThisMonth",
            "NextMonth",
            "On",
            "OnOrBefore",
            "OnOrAfter",
            "LastYear",
            "ThisYear",
            "NextYear",
            "LastXHours",
            "NextXHours",
            "LastXDays",
            "NextXDays",
            "LastXWeeks",
            "NextXWeeks",
            "LastXMonths",
            "NextXMonths",
            "LastXYears",
            "NextXYears",
            "EqualUserId",
            "NotEqualUserId",
            "EqualBusinessId",
            "NotEqualBusinessId",
            "ChildOf",
            "Mask",
            "NotMask",
            "MasksSelect",
            "Contains",
            "DoesNotContain",
            "EqualUserLanguage",
            "NotOn",
            "OlderThanXMonths",
            "BeginsWith",
            "DoesNotBeginWith",
            "EndsWith",
            "DoesNotEndWith",
            "ThisFiscalYear",
            "ThisFiscalPeriod",
            "NextFiscalYear",
            "NextFiscalPeriod",
            "LastFiscalYear",
            "LastFiscalPeriod",
            "LastXFiscalYears",
            "LastXFiscalPeriods",
            "NextXFiscalYears",
            "NextXFiscalPeriods",
            "InFiscalYear",
            "InFiscalPeriod",
            "InFiscalPeriodAndYear",
            "InOrBeforeFiscalPeriodAndYear",
            "InOrAfterFiscalPeriodAndYear",
            "EqualUserTeams",
            "EqualUserOrUserTeams",
            "Above",
            "Under",
            "NotUnder",
            "AboveOrEqual",
            "UnderOrEqual",
            "EqualUserOrUserHierarchy",
            "EqualUserOrUserHierarchyAndTeams",
            "OlderThanXYears",
            "OlderThanXWeeks",
            "OlderThanXDays",
            "OlderThanXHours",
            "OlderThanXMinutes",
            "ContainValues",
            "DoesNotContainValues",
        ],
    ),
];

const COMPLEX: &[(&str, Members)] = &[
    (
        "WhoAmIResponse",
        &[("BusinessUnitId", "Edm.Guid"), ("UserId", "Edm.Guid"), ("OrganizationId", "Edm.Guid")],
    ),
    ("RetrieveVersionResponse", &[("Version", "Edm.String")]),
    ("RetrieveAvailableLanguagesResponse", &[("LocaleIds", "Collection(Edm.Int32)")]),
    ("RetrieveCurrentOrganizationResponse", &[("Detail", "mscrm.OrganizationDetail")]),
    (
        "OrganizationDetail",
        &[
            ("OrganizationId", "Edm.Guid"),
            ("FriendlyName", "Edm.String"),
            ("OrganizationVersion", "Edm.String"),
            ("EnvironmentId", "Edm.String"),
            ("DatacenterId", "Edm.Guid"),
            ("Geo", "Edm.String"),
            ("TenantId", "Edm.String"),
            ("UrlName", "Edm.String"),
            ("UniqueName", "Edm.String"),
            ("State", "mscrm.OrganizationState"),
            ("Endpoints", "mscrm.EndpointCollection"),
        ],
    ),
    (
        "EndpointCollection",
        &[
            ("Count", "Edm.Int32"),
            ("IsReadOnly", "Edm.Boolean"),
            ("Keys", "Collection(mscrm.EndpointType)"),
            ("Values", "Collection(Edm.String)"),
        ],
    ),
    (
        "RetrieveTotalRecordCountResponse",
        &[("EntityRecordCountCollection", "mscrm.EntityRecordCountCollection")],
    ),
    (
        "EntityRecordCountCollection",
        &[
            ("Count", "Edm.Int32"),
            ("IsReadOnly", "Edm.Boolean"),
            ("Keys", "Collection(Edm.String)"),
            ("Values", "Collection(Edm.Int64)"),
        ],
    ),
    (
        "RetrieveMetadataChangesResponse",
        &[
            ("EntityMetadata", "Collection(mscrm.ComplexEntityMetadata)"),
            ("ServerVersionStamp", "Edm.String"),
            ("DeletedMetadata", "mscrm.DeletedMetadataCollection"),
        ],
    ),
    (
        "ComplexEntityMetadata",
        &[("MetadataId", "Edm.Guid"), ("HasChanged", "Edm.Boolean"), ("LogicalName", "Edm.String")],
    ),
    (
        "DeletedMetadataCollection",
        &[
            ("Count", "Edm.Int32"),
            ("Keys", "Collection(Edm.String)"),
            ("Values", "Collection(Edm.Guid)"),
        ],
    ),
    (
        "EntityQueryExpression",
        &[
            ("Properties", "mscrm.MetadataPropertiesExpression"),
            ("Criteria", "mscrm.MetadataFilterExpression"),
            ("AttributeQuery", "mscrm.MetadataQueryExpression"),
            ("RelationshipQuery", "mscrm.MetadataQueryExpression"),
            ("KeyQuery", "mscrm.MetadataQueryExpression"),
        ],
    ),
    (
        "MetadataQueryExpression",
        &[
            ("Properties", "mscrm.MetadataPropertiesExpression"),
            ("Criteria", "mscrm.MetadataFilterExpression"),
        ],
    ),
    (
        "MetadataPropertiesExpression",
        &[("AllProperties", "Edm.Boolean"), ("PropertyNames", "Collection(Edm.String)")],
    ),
    (
        "MetadataFilterExpression",
        &[
            ("FilterOperator", "mscrm.LogicalOperator"),
            ("Conditions", "Collection(mscrm.MetadataConditionExpression)"),
            ("Filters", "Collection(mscrm.MetadataFilterExpression)"),
        ],
    ),
    (
        "MetadataConditionExpression",
        &[
            ("PropertyName", "Edm.String"),
            ("ConditionOperator", "mscrm.MetadataConditionOperator"),
            ("Value", "mscrm.Object"),
        ],
    ),
    ("Object", &[("Type", "Edm.String"), ("Value", "Edm.String")]),
    (
        "QueryExpression",
        &[
            ("EntityName", "Edm.String"),
            ("ColumnSet", "mscrm.ColumnSet"),
            ("Criteria", "mscrm.FilterExpression"),
            ("LinkEntities", "Collection(mscrm.LinkEntity)"),
            ("Orders", "Collection(mscrm.OrderExpression)"),
            ("PageInfo", "mscrm.PagingInfo"),
            ("Distinct", "Edm.Boolean"),
            ("NoLock", "Edm.Boolean"),
            ("TopCount", "Edm.Int32"),
            ("DataSource", "Edm.String"),
        ],
    ),
    ("ColumnSet", &[("AllColumns", "Edm.Boolean"), ("Columns", "Collection(Edm.String)")]),
    (
        "FilterExpression",
        &[
            ("FilterOperator", "mscrm.LogicalOperator"),
            ("Conditions", "Collection(mscrm.ConditionExpression)"),
            ("Filters", "Collection(mscrm.FilterExpression)"),
        ],
    ),
    (
        "ConditionExpression",
        &[
            ("EntityName", "Edm.String"),
            ("AttributeName", "Edm.String"),
            ("Operator", "mscrm.ConditionOperator"),
            ("Values", "Collection(mscrm.Object)"),
        ],
    ),
    (
        "LinkEntity",
        &[
            ("LinkFromEntityName", "Edm.String"),
            ("LinkFromAttributeName", "Edm.String"),
            ("LinkToEntityName", "Edm.String"),
            ("LinkToAttributeName", "Edm.String"),
            ("JoinOperator", "mscrm.JoinOperator"),
            ("EntityAlias", "Edm.String"),
            ("Columns", "mscrm.ColumnSet"),
            ("LinkCriteria", "mscrm.FilterExpression"),
            ("LinkEntities", "Collection(mscrm.LinkEntity)"),
        ],
    ),
    (
        "OrderExpression",
        &[
            ("AttributeName", "Edm.String"),
            ("OrderType", "mscrm.OrderType"),
            ("Alias", "Edm.String"),
        ],
    ),
    (
        "PagingInfo",
        &[
            ("PageNumber", "Edm.Int32"),
            ("Count", "Edm.Int32"),
            ("ReturnTotalRecordCount", "Edm.Boolean"),
            ("PagingCookie", "Edm.String"),
        ],
    ),
    (
        "BulkDeleteOptions",
        &[
            ("CanRecoverDeletedRecords", "Edm.Boolean"),
            ("RunJobForSandbox", "Edm.Boolean"),
            ("IsSolutionAware", "Edm.Boolean"),
        ],
    ),
    ("BulkDeleteResponse", &[("JobId", "Edm.Guid")]),
    ("BulkDetectDuplicatesResponse", &[("JobId", "Edm.Guid")]),
    ("CreateMultipleResponse", &[("Ids", "Collection(Edm.Guid)")]),
];

/// Complex types that answer more than they declare.
const OPEN: [&str; 2] = ["OrganizationDetail", "ComplexEntityMetadata"];

/// The types and the operations themselves.
pub fn declare(catalog: &Catalog, out: &mut String) {
    for (name, members) in ENUMS {
        line(out, format_args!("<EnumType Name=\"{name}\">"));
        for (value, member) in members.iter().enumerate() {
            line(out, format_args!("<Member Name=\"{member}\" Value=\"{value}\" />"));
        }
        out.push_str("</EnumType>\n");
    }
    for (name, members) in COMPLEX {
        let open = if OPEN.contains(name) { " OpenType=\"true\"" } else { "" };
        line(out, format_args!("<ComplexType Name=\"{name}\"{open}>"));
        for (member, of) in *members {
            line(out, format_args!("<Property Name=\"{member}\" Type=\"{of}\" />"));
        }
        out.push_str("</ComplexType>\n");
    }
    for operation in OPERATIONS {
        operation.declare(out);
    }
    for table in catalog.tables() {
        bulk(table, out);
    }
    query_functions(out);
}

/// What is called without a set or row.
pub fn import(out: &mut String) {
    for operation in OPERATIONS.iter().filter(|o| o.bound.is_none()) {
        let (kind, name) = (operation.kind(), operation.name);
        line(out, format_args!("<{kind}Import Name=\"{name}\" {kind}=\"mscrm.{name}\" />"));
    }
}

impl Operation {
    fn kind(&self) -> &'static str {
        if self.action { "Action" } else { "Function" }
    }

    fn declare(&self, out: &mut String) {
        let (kind, name) = (self.kind(), self.name);
        let bound = if self.bound.is_some() { " IsBound=\"true\"" } else { "" };
        line(out, format_args!("<{kind} Name=\"{name}\"{bound}>"));
        if let Some(table) = self.bound {
            parameter("entity", &format!("mscrm.{table}"), out);
        }
        for (name, of) in self.parameters {
            line(out, format_args!("<Parameter Name=\"{name}\" Type=\"{of}\" />"));
        }
        line(out, format_args!("<ReturnType Type=\"{}\" Nullable=\"false\" />", self.returns));
        line(out, format_args!("</{kind}>"));
    }
}

fn parameter(name: &str, of: &str, out: &mut String) {
    line(out, format_args!("<Parameter Name=\"{name}\" Type=\"{of}\" Nullable=\"false\" />"));
}

/// Jobs are not created over the Web API.
fn bulk(table: &Table, out: &mut String) {
    let rows = format!("Collection(mscrm.{})", table.logical_name);
    let jobs = table.logical_name == "asyncoperation";
    for (name, returns) in BULK.iter().filter(|(name, _)| !jobs || *name == "UpdateMultiple") {
        line(out, format_args!("<Action Name=\"{name}\" IsBound=\"true\">"));
        parameter("entityset", &rows, out);
        parameter("Targets", &rows, out);
        if !returns.is_empty() {
            line(out, format_args!("<ReturnType Type=\"{returns}\" Nullable=\"false\" />"));
        }
        out.push_str("</Action>\n");
    }
}

/// What `$filter` calls with the namespace in front.
fn query_functions(out: &mut String) {
    let mut declared = HashSet::new();
    for operator in OPERATORS {
        let Some(name) = operator.query_function.filter(|name| declared.insert(*name)) else {
            continue;
        };
        let number = matches!(
            operator.meaning,
            Meaning::Test(Test::Dates(
                Dates::Last { .. }
                    | Dates::Next { .. }
                    | Dates::OlderThan(_)
                    | Dates::InFiscalYear
                    | Dates::InFiscalPeriod
            ))
        );
        let compares = matches!(operator.meaning, Meaning::Test(Test::Compare(_)));
        let values: &[(&str, &str)] = match operator.arguments {
            Arguments::None => &[],
            Arguments::One if number => &[("PropertyValue", "Edm.Int64")],
            Arguments::One => &[("PropertyValue", "Edm.String")],
            Arguments::Two if !compares => {
                &[("PropertyValue1", "Edm.Int64"), ("PropertyValue2", "Edm.Int64")]
            }
            Arguments::Two | Arguments::Many => &[("PropertyValues", "Collection(Edm.String)")],
        };
        line(out, format_args!("<Function Name=\"{name}\">"));
        parameter("PropertyName", "Edm.String", out);
        for (name, of) in values {
            parameter(name, of, out);
        }
        out.push_str("<ReturnType Type=\"Edm.Boolean\" Nullable=\"false\" />\n</Function>\n");
    }
}
