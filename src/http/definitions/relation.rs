//! Relationships, and the types of which there are no instances: alternate keys
//! and many-to-many relationships.

use serde_json::{Value as Json, json};

use super::parts::{label, managed, metadata_id};
use crate::catalog::{Catalog, ManyToOne, Table};

/// A lookup between two served tables.
#[derive(Clone, Copy)]
pub struct Relation<'a> {
    pub lookup: &'a ManyToOne,
    /// The table with the lookup.
    pub referencing: &'a Table,
    /// The table it points to.
    pub referenced: &'a Table,
}

/// A property's name and its value for a relationship.
pub type Row = (&'static str, fn(&Relation<'_>) -> Json);

/// What all relationships have.
pub const BASE: &[Row] = &[
    ("MetadataId", |r| id(r).into()),
    ("HasChanged", |_| Json::Null),
    ("SchemaName", |r| r.lookup.schema_name.as_str().into()),
    ("RelationshipType", |_| "OneToManyRelationship".into()),
    ("IsCustomRelationship", |r| (r.referencing.is_custom || r.referenced.is_custom).into()),
    ("IsCustomizable", |_| managed(false, "iscustomizable")),
    ("IsManaged", |r| (!r.referencing.is_custom && !r.referenced.is_custom).into()),
    ("IsValidForAdvancedFind", |_| true.into()),
    ("IntroducedVersion", |_| "1.0.0.0".into()),
    ("SecurityTypes", |_| "None".into()),
];

/// What a one-to-many relationship has besides.
pub const ONE_TO_MANY: &[Row] = &[
    ("ReferencedEntity", |r| r.referenced.logical_name.as_str().into()),
    ("ReferencedAttribute", |r| r.lookup.target_column.as_str().into()),
    ("ReferencedEntityNavigationPropertyName", |r| collection(r).into()),
    ("ReferencingEntity", |r| r.referencing.logical_name.as_str().into()),
    ("ReferencingAttribute", |r| r.lookup.column.as_str().into()),
    ("ReferencingEntityNavigationPropertyName", |r| r.lookup.navigation_property.as_str().into()),
    ("IsHierarchical", |_| false.into()),
    ("EntityKey", |_| Json::Null),
    ("IsRelationshipAttributeDenormalized", |_| false.into()),
    ("IsDenormalizedLookup", |_| false.into()),
    ("DenormalizedAttributeName", |_| Json::Null),
    ("RelationshipBehavior", |_| 0.into()),
    ("RelationshipAttributes", |_| json!([])),
    ("AssociatedMenuConfiguration", |_| {
        json!({
            "Behavior": "DoNotDisplay",
            "Group": "Details",
            "Order": null,
            "IsCustomizable": false,
            "Icon": null,
            "ViewId": "00000000-0000-0000-0000-000000000000",
            "AvailableOffline": false,
            "MenuId": null,
            "QueryApi": null,
            "Label": label("", &[]),
        })
    }),
    ("CascadeConfiguration", |_| {
        json!({
            "Assign": "NoCascade",
            "Delete": "RemoveLink",
            "Archive": "NoCascade",
            "Merge": "NoCascade",
            "Reparent": "NoCascade",
            "Share": "NoCascade",
            "Unshare": "NoCascade",
            "RollupView": "NoCascade",
        })
    }),
];

/// What a many-to-many relationship has besides; the catalog has none.
pub const MANY_TO_MANY: &[&str] = &[
    "Entity1LogicalName",
    "Entity1IntersectAttribute",
    "Entity1NavigationPropertyName",
    "Entity1AssociatedMenuConfiguration",
    "Entity2LogicalName",
    "Entity2IntersectAttribute",
    "Entity2NavigationPropertyName",
    "Entity2AssociatedMenuConfiguration",
    "IntersectEntityName",
    "IntersectAttribute",
];

/// The properties of `EntityKeyMetadata`; the catalog has no alternate keys.
pub const KEY: &[&str] = &[
    "MetadataId",
    "HasChanged",
    "LogicalName",
    "SchemaName",
    "EntityLogicalName",
    "DisplayName",
    "KeyAttributes",
    "EntityKeyIndexStatus",
    "IsManaged",
    "IsCustomizable",
    "IsExportKey",
    "IsSecondaryKey",
    "IsSynchronous",
    "IntroducedVersion",
    "AsyncJob",
];

/// The id of a relationship's definition.
pub fn id(relation: &Relation<'_>) -> String {
    let referencing = &relation.referencing.logical_name;
    metadata_id(&["RelationshipMetadata", referencing, &relation.lookup.schema_name])
}

/// The navigation property on the referenced side.
fn collection<'a>(relation: &Relation<'a>) -> Option<&'a str> {
    relation
        .referenced
        .one_to_many
        .iter()
        .find(|r| {
            r.schema_name == relation.lookup.schema_name
                && r.target == relation.referencing.logical_name
        })
        .map(|r| r.navigation_property.as_str())
}

/// All relationships between served tables. Those to other tables lead nowhere.
pub fn all(catalog: &Catalog) -> impl Iterator<Item = Relation<'_>> {
    catalog.tables().iter().flat_map(|referencing| {
        referencing.many_to_one.iter().filter_map(|lookup| {
            let referenced = catalog.table(&lookup.target)?;
            Some(Relation { lookup, referencing, referenced })
        })
    })
}
