//! `AttributeMetadata` and the types derived from it: what a column's definition
//! says.

use serde_json::{Value as Json, json};

use super::parts::{boolean_option, label, managed, metadata_id, options, spelled_out};
use crate::catalog::{Column, ColumnKind, ColumnType, Table};

/// A column and where it stands.
#[derive(Clone, Copy)]
pub struct Attribute<'a> {
    pub table: &'a Table,
    pub column: &'a Column,
}

/// A property's name and its value for a column.
pub type Row = (&'static str, fn(&Attribute<'_>) -> Json);

/// A type derived from `AttributeMetadata`.
pub struct AttributeType {
    /// Without the namespace.
    pub name: &'static str,
    pub has: fn(&Column) -> bool,
    /// What it has besides [`BASE`].
    pub properties: &'static [Row],
    /// Whether it has the navigation properties of a choice.
    pub choice: bool,
}

/// A column is of the first type that has it.
pub const TYPES: &[AttributeType] = &[
    plain("UniqueIdentifierAttributeMetadata", |c| is(c, ColumnType::Uniqueidentifier), &[]),
    plain("StringAttributeMetadata", |c| is(c, ColumnType::String), STRING),
    plain("MemoAttributeMetadata", |c| is(c, ColumnType::Memo), TEXT),
    plain("IntegerAttributeMetadata", |c| is(c, ColumnType::Integer), INTEGER),
    plain("BigIntAttributeMetadata", |c| is(c, ColumnType::BigInt), BIG_INT),
    plain("DateTimeAttributeMetadata", |c| is(c, ColumnType::DateTime), DATE_TIME),
    plain("DoubleAttributeMetadata", |c| is(c, ColumnType::Double), NUMBER),
    plain("DecimalAttributeMetadata", |c| is(c, ColumnType::Decimal), NUMBER),
    plain("MoneyAttributeMetadata", |c| is(c, ColumnType::Money), MONEY),
    plain("LookupAttributeMetadata", Column::is_lookup, LOOKUP),
    plain("FileAttributeMetadata", Column::is_file, FILE),
    choice("PicklistAttributeMetadata", |c| is(c, ColumnType::Picklist), PICKLIST),
    choice("StateAttributeMetadata", |c| is(c, ColumnType::State), CHOICE),
    choice("StatusAttributeMetadata", |c| is(c, ColumnType::Status), CHOICE),
    choice("BooleanAttributeMetadata", |c| is(c, ColumnType::Boolean), BOOLEAN),
    choice("EntityNameAttributeMetadata", |c| is(c, ColumnType::EntityName), ENTITY_NAME),
    // What the catalog has no columns of, and the common base of choices.
    choice("MultiSelectPicklistAttributeMetadata", |_| false, PICKLIST),
    plain("ImageAttributeMetadata", |_| false, &[]),
    plain("ManagedPropertyAttributeMetadata", |_| false, &[]),
    choice("EnumAttributeMetadata", |c| c.is_choice() && !is(c, ColumnType::Boolean), CHOICE),
];

const fn plain(
    name: &'static str,
    has: fn(&Column) -> bool,
    properties: &'static [Row],
) -> AttributeType {
    AttributeType { name, has, properties, choice: false }
}

const fn choice(
    name: &'static str,
    has: fn(&Column) -> bool,
    properties: &'static [Row],
) -> AttributeType {
    AttributeType { name, has, properties, choice: true }
}

fn is(column: &Column, column_type: ColumnType) -> bool {
    column.column_type == column_type
}

/// The derived type of a column; the label of a choice has none.
pub fn type_of(column: &Column) -> Option<&'static AttributeType> {
    TYPES.iter().find(|t| (t.has)(column))
}

/// What all columns have, in the order it is answered.
pub const BASE: &[Row] = &[
    ("MetadataId", |a| id(a).into()),
    ("HasChanged", |_| Json::Null),
    ("LogicalName", |a| a.column.logical_name.as_str().into()),
    ("SchemaName", |a| a.column.schema_name.as_str().into()),
    ("EntityLogicalName", |a| a.table.logical_name.as_str().into()),
    ("AttributeType", |a| attribute_type(a.column).into()),
    ("AttributeTypeName", |a| json!({ "Value": format!("{}Type", type_name(a.column)) })),
    ("AttributeOf", |a| a.column.attribute_of.as_deref().into()),
    ("ColumnNumber", |a| a.number().into()),
    ("DisplayName", |a| label(&a.display_name(), &a.path("name"))),
    ("Description", |a| label(&a.column.description, &a.path("description"))),
    ("RequiredLevel", |a| managed(a.column.required.as_str(), "canmodifyrequirementlevelsettings")),
    ("IsPrimaryId", |a| (a.column.logical_name == a.table.primary_id).into()),
    ("IsPrimaryName", |a| (a.table.primary_name.as_deref() == Some(&a.column.logical_name)).into()),
    ("IsValidForCreate", |a| a.column.create.into()),
    ("IsValidForRead", |a| a.column.read.into()),
    ("IsValidForUpdate", |a| a.column.update.into()),
    ("IsValidForForm", |_| false.into()),
    ("IsValidForGrid", |a| a.column.read.into()),
    ("IsValidODataAttribute", |a| {
        (a.column.read && matches!(a.column.kind, ColumnKind::Stored | ColumnKind::WaitReason))
            .into()
    }),
    ("IsLogical", |a| (a.column.kind != ColumnKind::Stored).into()),
    ("IsRetrievable", |a| a.column.read.into()),
    ("IsFilterable", |_| false.into()),
    ("IsSearchable", |_| false.into()),
    ("IsCustomAttribute", |a| a.table.is_custom.into()),
    ("IsManaged", |a| (!a.table.is_custom).into()),
    ("IsSecured", |_| false.into()),
    ("IsDataSourceSecret", |_| false.into()),
    ("IsRequiredForForm", |_| false.into()),
    ("CanBeSecuredForCreate", |_| false.into()),
    ("CanBeSecuredForRead", |_| false.into()),
    ("CanBeSecuredForUpdate", |_| false.into()),
    ("SourceType", |_| Json::Null),
    ("AutoNumberFormat", |_| Json::Null),
    ("DeprecatedVersion", |_| Json::Null),
    ("ExternalName", |_| Json::Null),
    ("InheritsFrom", |_| Json::Null),
    ("LinkedAttributeId", |_| Json::Null),
    ("IntroducedVersion", |_| "1.0.0.0".into()),
    ("Settings", |_| json!([])),
    ("CanModifyAdditionalSettings", |_| managed(false, "canmodifyadditionalsettings")),
    ("IsAuditEnabled", |_| managed(false, "canmodifyauditsettings")),
    ("IsCustomizable", |_| managed(false, "iscustomizable")),
    ("IsGlobalFilterEnabled", |_| managed(false, "canmodifyglobalfiltersettings")),
    ("IsRenameable", |_| managed(false, "isrenameable")),
    ("IsSortableEnabled", |_| managed(false, "canmodifyissortablesettings")),
    ("IsValidForAdvancedFind", |_| managed(false, "canmodifysearchsettings")),
];

const STRING: &[Row] = &[
    ("MaxLength", |a| a.column.max_length.into()),
    ("DatabaseLength", |a| a.column.max_length.map(|l| l.saturating_mul(2)).into()),
    ("Format", |a| a.format("Text").into()),
    ("FormatName", |a| json!({ "Value": a.format("Text") })),
    ("ImeMode", |_| "Auto".into()),
    ("IsLocalizable", |_| false.into()),
    ("YomiOf", |_| Json::Null),
    ("FormulaDefinition", |_| "".into()),
    ("SourceTypeMask", |_| 0.into()),
];

const TEXT: &[Row] = &[
    ("MaxLength", |a| a.column.max_length.into()),
    ("Format", |a| a.format("TextArea").into()),
    ("FormatName", |a| json!({ "Value": a.format("TextArea") })),
    ("ImeMode", |_| "Auto".into()),
    ("IsLocalizable", |_| false.into()),
];

const INTEGER: &[Row] = &[
    ("Format", |a| a.format("None").into()),
    ("MinValue", |a| a.column.min.map_or(i64::from(i32::MIN), |v| v as i64).into()),
    ("MaxValue", |a| a.column.max.map_or(i64::from(i32::MAX), |v| v as i64).into()),
    ("FormulaDefinition", |_| "".into()),
    ("SourceTypeMask", |_| 0.into()),
];

const BIG_INT: &[Row] = &[
    ("MinValue", |a| a.column.min.map_or(i64::MIN, |v| v as i64).into()),
    ("MaxValue", |a| a.column.max.map_or(i64::MAX, |v| v as i64).into()),
];

const NUMBER: &[Row] = &[
    ("MinValue", |a| a.column.min.unwrap_or(-100_000_000_000.0).into()),
    ("MaxValue", |a| a.column.max.unwrap_or(100_000_000_000.0).into()),
    ("Precision", |a| a.column.precision.unwrap_or(2).into()),
    ("ImeMode", |_| "Auto".into()),
];

const MONEY: &[Row] = &[
    ("MinValue", |a| a.column.min.unwrap_or(-922_337_203_685_477.0).into()),
    ("MaxValue", |a| a.column.max.unwrap_or(922_337_203_685_477.0).into()),
    ("Precision", |a| a.column.precision.unwrap_or(2).into()),
    ("PrecisionSource", |_| 2.into()),
    ("CalculationOf", |_| Json::Null),
    ("IsBaseCurrency", |a| a.column.logical_name.ends_with("_base").into()),
    ("ImeMode", |_| "Auto".into()),
];

const DATE_TIME: &[Row] = &[
    ("Format", |a| a.format("DateAndTime").into()),
    (
        "DateTimeBehavior",
        |a| json!({ "Value": a.column.date_behavior.as_deref().unwrap_or("UserLocal") }),
    ),
    ("CanChangeDateTimeBehavior", |_| managed(false, "canchangedatetimebehavior")),
    ("MinSupportedValue", |_| "1753-01-01T00:00:00Z".into()),
    ("MaxSupportedValue", |_| "9999-12-30T23:59:59Z".into()),
    ("ImeMode", |_| "Inactive".into()),
    ("FormulaDefinition", |_| "".into()),
    ("SourceTypeMask", |_| 0.into()),
];

const LOOKUP: &[Row] =
    &[("Targets", |a| a.column.targets.clone().into()), ("Format", |_| Json::Null)];

const FILE: &[Row] = &[("MaxSizeInKB", |_| 131_072.into())];

const CHOICE: &[Row] = &[("DefaultFormValue", |a| a.default_value().into())];

const PICKLIST: &[Row] = &[
    ("DefaultFormValue", |a| a.default_value().into()),
    ("ParentPicklistLogicalName", |_| Json::Null),
    ("ChildPicklistLogicalNames", |_| json!([])),
    ("FormulaDefinition", |_| "".into()),
    ("SourceTypeMask", |_| 0.into()),
];

const BOOLEAN: &[Row] = &[
    ("DefaultValue", |a| (a.default_value() == Some(1)).into()),
    ("FormulaDefinition", |_| "".into()),
    ("SourceTypeMask", |_| 0.into()),
];

const ENTITY_NAME: &[Row] =
    &[("DefaultFormValue", |_| Json::Null), ("IsEntityReferenceStored", |_| false.into())];

/// What all option sets have.
pub const OPTION_SET_BASE: &[Row] = &[
    ("MetadataId", |a| metadata_id(&a.path("OptionSetMetadata")).into()),
    ("HasChanged", |_| Json::Null),
    ("Name", |a| a.option_set_name().into()),
    ("DisplayName", |a| label(&a.display_name(), &a.path("options"))),
    ("Description", |a| label(&a.column.description, &a.path("options description"))),
    ("OptionSetType", |a| option_set_type(a.column).into()),
    ("IsGlobal", |_| false.into()),
    ("IsCustomOptionSet", |a| a.table.is_custom.into()),
    ("IsManaged", |a| (!a.table.is_custom).into()),
    ("IsCustomizable", |_| managed(false, "iscustomizable")),
    ("ExternalTypeName", |_| Json::Null),
    ("IntroducedVersion", |_| "1.0.0.0".into()),
];

/// What the option set of a choice has besides.
pub const OPTION_SET: &[Row] =
    &[("ParentOptionSetName", |_| Json::Null), ("Options", |a| options(a.table, a.column))];

/// What the option set of a yes/no column has besides.
pub const BOOLEAN_OPTION_SET: &[Row] = &[
    ("TrueOption", |a| boolean_option(a.table, a.column, 1)),
    ("FalseOption", |a| boolean_option(a.table, a.column, 0)),
];

/// The id of a column's definition.
pub fn id(attribute: &Attribute<'_>) -> String {
    metadata_id(&attribute.path("AttributeMetadata"))
}

impl<'a> Attribute<'a> {
    fn path(&self, kind: &'a str) -> [&'a str; 3] {
        [kind, &self.table.logical_name, &self.column.logical_name]
    }

    fn number(&self) -> Option<usize> {
        self.table.column_index(&self.column.logical_name).map(|index| index + 1)
    }

    fn display_name(&self) -> String {
        let name = self.column.display_name.clone();
        name.unwrap_or_else(|| spelled_out(&self.column.schema_name))
    }

    fn format(&self, default: &'a str) -> &'a str {
        self.column.format.as_deref().unwrap_or(default)
    }

    fn default_value(&self) -> Option<i32> {
        let options = &self.column.options;
        options.iter().find(|o| o.is_default).map(|o| o.value)
    }

    fn option_set_name(&self) -> String {
        format!("{}_{}", self.table.logical_name, self.column.logical_name)
    }
}

/// The value of `AttributeType`.
fn attribute_type(column: &Column) -> &'static str {
    match column.column_type {
        ColumnType::Uniqueidentifier => "Uniqueidentifier",
        ColumnType::String => "String",
        ColumnType::Memo => "Memo",
        ColumnType::Integer => "Integer",
        ColumnType::BigInt => "BigInt",
        ColumnType::Boolean => "Boolean",
        ColumnType::DateTime => "DateTime",
        ColumnType::Picklist => "Picklist",
        ColumnType::State => "State",
        ColumnType::Status => "Status",
        ColumnType::Lookup => "Lookup",
        ColumnType::Owner => "Owner",
        ColumnType::Customer => "Customer",
        ColumnType::EntityName => "EntityName",
        ColumnType::Double => "Double",
        ColumnType::Decimal => "Decimal",
        ColumnType::Money => "Money",
        ColumnType::Virtual => "Virtual",
    }
}

/// The value of `AttributeTypeName` without its ending.
fn type_name(column: &Column) -> &'static str {
    if column.is_file() { "File" } else { attribute_type(column) }
}

fn option_set_type(column: &Column) -> &'static str {
    match column.column_type {
        ColumnType::Boolean => "Boolean",
        ColumnType::State => "State",
        ColumnType::Status => "Status",
        _ => "Picklist",
    }
}
