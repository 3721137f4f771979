//! `EntityMetadata`: what a table's definition says.

use serde_json::{Value as Json, json};

use super::parts::{label, managed, metadata_id, plural, spelled_out};
use crate::catalog::{ColumnType, Table};

/// A property's name and its value for a table.
pub type Row = (&'static str, fn(&Table) -> Json);

/// The properties of `EntityMetadata` in the order they are answered.
pub const PROPERTIES: &[Row] = &[
    ("MetadataId", |t| id(t).into()),
    ("HasChanged", |_| Json::Null),
    ("LogicalName", |t| t.logical_name.as_str().into()),
    ("SchemaName", |t| t.schema_name.as_str().into()),
    ("EntitySetName", |t| t.entity_set_name.as_str().into()),
    ("LogicalCollectionName", |t| t.entity_set_name.as_str().into()),
    ("CollectionSchemaName", |t| plural(&t.schema_name).into()),
    ("ObjectTypeCode", |t| t.object_type_code.into()),
    ("PrimaryIdAttribute", |t| t.primary_id.as_str().into()),
    ("PrimaryNameAttribute", |t| t.primary_name.as_deref().into()),
    ("PrimaryImageAttribute", |_| Json::Null),
    ("DisplayName", |t| label(&display_name(t), &["table", &t.logical_name])),
    ("DisplayCollectionName", |t| label(&plural(&display_name(t)), &["tables", &t.logical_name])),
    ("Description", |t| label(&t.description, &["description", &t.logical_name])),
    ("OwnershipType", |t| t.ownership.as_str().into()),
    ("TableType", |_| "Standard".into()),
    ("IsCustomEntity", |t| t.is_custom.into()),
    ("IsManaged", |t| (!t.is_custom).into()),
    ("IsPrivate", |_| false.into()),
    ("IsIntersect", |_| false.into()),
    ("IsActivity", |_| false.into()),
    ("IsActivityParty", |_| false.into()),
    ("IsLogicalEntity", |_| false.into()),
    ("IsChildEntity", |_| false.into()),
    ("IsStateModelAware", |t| t.columns.iter().any(|c| c.column_type == ColumnType::State).into()),
    ("EnforceStateTransitions", |_| false.into()),
    ("IsImportable", |_| true.into()),
    ("IsValidForAdvancedFind", |_| true.into()),
    ("IsAvailableOffline", |_| false.into()),
    ("IsBPFEntity", |_| false.into()),
    ("IsDocumentManagementEnabled", |_| false.into()),
    ("IsKnowledgeManagementEnabled", |_| false.into()),
    ("IsOneNoteIntegrationEnabled", |_| false.into()),
    ("IsQuickCreateEnabled", |_| false.into()),
    ("IsReadingPaneEnabled", |_| false.into()),
    ("IsSLAEnabled", |_| false.into()),
    ("IsSolutionAware", |_| false.into()),
    ("IsEnabledForCharts", |_| false.into()),
    ("IsEnabledForTrace", |_| false.into()),
    ("AutoCreateAccessTeams", |_| false.into()),
    ("AutoRouteToOwnerQueue", |_| false.into()),
    ("ActivityTypeMask", |_| 0.into()),
    ("CanTriggerWorkflow", |_| true.into()),
    ("ChangeTrackingEnabled", |_| false.into()),
    ("HasActivities", |_| false.into()),
    ("HasNotes", |_| false.into()),
    ("HasFeedback", |_| false.into()),
    ("HasEmailAddresses", |_| false.into()),
    ("SyncToExternalSearchIndex", |_| false.into()),
    ("UsesBusinessDataLabelTable", |_| false.into()),
    ("DaysSinceRecordLastModified", |_| 0.into()),
    ("IntroducedVersion", |_| "1.0.0.0".into()),
    ("DataProviderId", |_| Json::Null),
    ("DataSourceId", |_| Json::Null),
    ("EntityColor", |_| Json::Null),
    ("EntityHelpUrl", |_| Json::Null),
    ("EntityHelpUrlEnabled", |_| false.into()),
    ("ExternalName", |_| Json::Null),
    ("ExternalCollectionName", |_| Json::Null),
    ("IconLargeName", |_| Json::Null),
    ("IconMediumName", |_| Json::Null),
    ("IconSmallName", |_| Json::Null),
    ("IconVectorName", |_| Json::Null),
    ("MobileOfflineFilters", |_| Json::Null),
    ("RecurrenceBaseEntityLogicalName", |_| Json::Null),
    ("ReportViewName", |t| t.schema_name.as_str().into()),
    ("SettingOf", |_| Json::Null),
    ("Privileges", |_| json!([])),
    ("Settings", |_| json!([])),
    ("CanBeInCustomEntityAssociation", |_| managed(false, "canbeincustomentityassociation")),
    ("CanBeInManyToMany", |_| managed(false, "canbeinmanytomany")),
    ("CanBePrimaryEntityInRelationship", |_| managed(false, "canbeprimaryentityinrelationship")),
    ("CanBeRelatedEntityInRelationship", |_| managed(false, "canberelatedentityinrelationship")),
    ("CanChangeHierarchicalRelationship", |_| managed(false, "canchangehierarchicalrelationship")),
    ("CanChangeTrackingBeEnabled", |_| managed(false, "canchangetrackingbeenabled")),
    ("CanCreateAttributes", |_| managed(false, "cancreateattributes")),
    ("CanCreateCharts", |_| managed(false, "cancreatecharts")),
    ("CanCreateForms", |_| managed(false, "cancreateforms")),
    ("CanCreateViews", |_| managed(false, "cancreateviews")),
    ("CanEnableSyncToExternalSearchIndex", |_| {
        managed(false, "canenablesynctoexternalsearchindex")
    }),
    ("CanModifyAdditionalSettings", |_| managed(false, "canmodifyadditionalsettings")),
    ("IsAuditEnabled", |_| managed(false, "canmodifyauditsettings")),
    ("IsConnectionsEnabled", |_| managed(false, "canmodifyconnectionsettings")),
    ("IsCustomizable", |_| managed(false, "iscustomizable")),
    ("IsDuplicateDetectionEnabled", |_| managed(false, "canmodifyduplicatedetectionsettings")),
    ("IsMailMergeEnabled", |_| managed(false, "canmodifymailmergesettings")),
    ("IsMappable", |_| managed(false, "ismappable")),
    ("IsOfflineInMobileClient", |_| managed(false, "canmodifymobileclientoffline")),
    ("IsReadOnlyInMobileClient", |_| managed(false, "canmodifymobileclientreadonly")),
    ("IsRenameable", |_| managed(false, "isrenameable")),
    ("IsValidForQueue", |_| managed(false, "canmodifyqueuesettings")),
    ("IsVisibleInMobile", |_| managed(false, "canmodifymobilevisibility")),
    ("IsVisibleInMobileClient", |_| managed(false, "canmodifymobileclientvisibility")),
];

/// The id of a table's definition.
pub fn id(table: &Table) -> String {
    metadata_id(&["EntityMetadata", &table.logical_name])
}

fn display_name(table: &Table) -> String {
    table.display_name.clone().unwrap_or_else(|| spelled_out(&table.schema_name))
}
