//! The service as an OData model: the CSDL document behind `$metadata`.
//!
//! Invariant: every type, partner and binding target that is named is also
//! declared. Relationships to tables that are not served are therefore left out,
//! and so are derived text columns, which Dataverse answers as annotations.
//! Definitions are open types: their many properties are not listed here.

mod operations;
mod own;

#[cfg(test)]
mod tests;

use std::fmt::Write;

use super::definitions::{METADATA_SETS, MetadataType, metadata_types};
use crate::catalog::{Catalog, Column, ColumnKind, ColumnType, ManyToOne, OneToMany, Table};

const HEAD: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
<edmx:DataServices>
<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EntityType Name="crmbaseentity" Abstract="true" />
<EntityType Name="principal" BaseType="mscrm.crmbaseentity">
<Key><PropertyRef Name="ownerid" /></Key>
<Property Name="ownerid" Type="Edm.Guid" Nullable="false" />
</EntityType>
<EntityType Name="activityparty" BaseType="mscrm.crmbaseentity">
<Key><PropertyRef Name="activitypartyid" /></Key>
<Property Name="activitypartyid" Type="Edm.Guid" Nullable="false" />
<Property Name="_partyid_value" Type="Edm.Guid" />
<Property Name="addressused" Type="Edm.String" />
</EntityType>
<EntityType Name="MetadataBase" Abstract="true">
<Key><PropertyRef Name="MetadataId" /></Key>
<Property Name="MetadataId" Type="Edm.Guid" Nullable="false" />
<Property Name="HasChanged" Type="Edm.Boolean" />
</EntityType>
"#;

/// The CSDL document of a catalog.
pub fn csdl(catalog: &Catalog) -> String {
    let mut out = String::from(HEAD);
    for table in catalog.tables() {
        entity_type(catalog, table, &mut out);
    }
    for of in metadata_types() {
        metadata_type(&of, &mut out);
    }
    operations::declare(catalog, &mut out);
    out.push_str("<EntityContainer Name=\"System\">\n");
    for table in catalog.tables() {
        entity_set(catalog, table, &mut out);
    }
    for (set, of) in METADATA_SETS {
        // The service document names sets of rows only.
        line(
            &mut out,
            format_args!(
                "<EntitySet Name=\"{set}\" EntityType=\"mscrm.{of}\" IncludeInServiceDocument=\"false\" />"
            ),
        );
    }
    operations::import(&mut out);
    out.push_str("</EntityContainer>\n</Schema>\n");
    out.push_str(own::SCHEMA);
    out.push_str("</edmx:DataServices>\n</edmx:Edmx>\n");
    out
}

fn entity_type(catalog: &Catalog, table: &Table, out: &mut String) {
    line(
        out,
        format_args!(
            "<EntityType Name=\"{}\" BaseType=\"mscrm.crmbaseentity\">",
            table.logical_name
        ),
    );
    line(out, format_args!("<Key><PropertyRef Name=\"{}\" /></Key>", table.primary_id));
    for column in table.columns.iter().filter(|c| is_property(c)) {
        let (name, edm_type) = (column.property_name(), edm_type(column));
        let scale = if edm_type == "Edm.Decimal" { " Scale=\"Variable\"" } else { "" };
        let required =
            if column.logical_name == table.primary_id { " Nullable=\"false\"" } else { "" };
        line(
            out,
            format_args!("<Property Name=\"{name}\" Type=\"{edm_type}\"{scale}{required} />"),
        );
    }
    for relation in lookups(catalog, table) {
        let partner = partner(catalog, &relation.target, |t| {
            collections(catalog, t)
                .find(|c| c.schema_name == relation.schema_name)
                .map(|c| c.navigation_property.as_str())
        });
        line(
            out,
            format_args!(
                "<NavigationProperty Name=\"{}\" Type=\"mscrm.{}\"{partner}>",
                relation.navigation_property, relation.target
            ),
        );
        line(
            out,
            format_args!(
                "<ReferentialConstraint Property=\"{}\" ReferencedProperty=\"{}\" />",
                table.column(&relation.column).map(Column::property_name).unwrap_or_default(),
                relation.target_column
            ),
        );
        out.push_str("</NavigationProperty>\n");
    }
    // Users and teams together; the only lookup whose targets share one property.
    if let Some(owner) = table.many_to_one.iter().find(|r| r.target == "owner") {
        let column = table.column(&owner.column).map(Column::property_name).unwrap_or_default();
        line(
            out,
            format_args!(
                "<NavigationProperty Name=\"{}\" Type=\"mscrm.principal\"><ReferentialConstraint Property=\"{column}\" ReferencedProperty=\"ownerid\" /></NavigationProperty>",
                owner.navigation_property
            ),
        );
    }
    for relation in collections(catalog, table) {
        let partner = partner(catalog, &relation.target, |t| {
            lookups(catalog, t)
                .find(|l| l.schema_name == relation.schema_name)
                .map(|l| l.navigation_property.as_str())
        });
        line(
            out,
            format_args!(
                "<NavigationProperty Name=\"{}\" Type=\"Collection(mscrm.{})\"{partner} />",
                relation.navigation_property, relation.target
            ),
        );
    }
    out.push_str("</EntityType>\n");
}

/// The type of a definition, with the way to others.
fn metadata_type(of: &MetadataType, out: &mut String) {
    let (name, base) = (of.name, of.base);
    line(
        out,
        format_args!("<EntityType Name=\"{name}\" BaseType=\"mscrm.{base}\" OpenType=\"true\">"),
    );
    for (navigation, target, many) in &of.navigations {
        let target =
            if *many { format!("Collection(mscrm.{target})") } else { format!("mscrm.{target}") };
        line(out, format_args!("<NavigationProperty Name=\"{navigation}\" Type=\"{target}\" />"));
    }
    out.push_str("</EntityType>\n");
}

fn entity_set(catalog: &Catalog, table: &Table, out: &mut String) {
    line(
        out,
        format_args!(
            "<EntitySet Name=\"{}\" EntityType=\"mscrm.{}\">",
            table.entity_set_name, table.logical_name
        ),
    );
    let single = lookups(catalog, table).map(|r| (&r.navigation_property, &r.target));
    let many = collections(catalog, table).map(|r| (&r.navigation_property, &r.target));
    for (navigation, target) in single.chain(many) {
        if let Some(target) = catalog.table(target) {
            line(
                out,
                format_args!(
                    "<NavigationPropertyBinding Path=\"{navigation}\" Target=\"{}\" />",
                    target.entity_set_name
                ),
            );
        }
    }
    out.push_str("</EntitySet>\n");
}

/// ` Partner="…"`, or nothing where the other side does not declare it.
fn partner<'a>(
    catalog: &'a Catalog,
    target: &str,
    find: impl FnOnce(&'a Table) -> Option<&'a str>,
) -> String {
    let name = catalog.table(target).and_then(|t| find(t));
    name.map(|n| format!(" Partner=\"{n}\"")).unwrap_or_default()
}

/// Lookups to served tables. A file column bears the name of its navigation
/// property; names must be unique in a type, and the property wins.
fn lookups<'a>(catalog: &'a Catalog, table: &'a Table) -> impl Iterator<Item = &'a ManyToOne> {
    table.many_to_one.iter().filter(|r| {
        catalog.table(&r.target).is_some()
            && table.column(&r.column).is_some_and(|c| is_property(c) && c.is_lookup())
    })
}

/// Lookups on served tables that point here.
fn collections<'a>(catalog: &'a Catalog, table: &'a Table) -> impl Iterator<Item = &'a OneToMany> {
    table.one_to_many.iter().filter(|r| catalog.table(&r.target).is_some())
}

fn is_property(column: &Column) -> bool {
    column.read && matches!(column.kind, ColumnKind::Stored | ColumnKind::WaitReason)
}

fn edm_type(column: &Column) -> &'static str {
    match column.column_type {
        ColumnType::Uniqueidentifier
        | ColumnType::Lookup
        | ColumnType::Owner
        | ColumnType::Customer => "Edm.Guid",
        ColumnType::Virtual if column.is_file() => "Edm.Guid",
        // Table names are codes inside and names outside.
        ColumnType::String | ColumnType::Memo | ColumnType::Virtual | ColumnType::EntityName => {
            "Edm.String"
        }
        ColumnType::Integer | ColumnType::Picklist | ColumnType::State | ColumnType::Status => {
            "Edm.Int32"
        }
        ColumnType::BigInt => "Edm.Int64",
        ColumnType::Boolean => "Edm.Boolean",
        ColumnType::DateTime if column.format.as_deref() == Some("DateOnly") => "Edm.Date",
        ColumnType::DateTime => "Edm.DateTimeOffset",
        ColumnType::Double => "Edm.Double",
        ColumnType::Decimal | ColumnType::Money => "Edm.Decimal",
    }
}

/// Names in the catalog are identifiers: nothing in them needs an XML escape.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}
