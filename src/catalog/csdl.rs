//! The catalog as an OData model: the CSDL document behind `$metadata`.
//!
//! Invariant: every type, partner and binding target that is named is also
//! declared. Relationships to tables that are not served are therefore left out,
//! and so are derived text columns, which Dataverse answers as annotations.

use std::fmt::Write;

use super::{Catalog, Column, ColumnKind, ColumnType, ManyToOne, OneToMany, Table};

const HEAD: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
<edmx:DataServices>
<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EntityType Name="crmbaseentity" Abstract="true" />
"#;

const FUNCTIONS: &str = r#"<ComplexType Name="WhoAmIResponse">
<Property Name="BusinessUnitId" Type="Edm.Guid" Nullable="false" />
<Property Name="UserId" Type="Edm.Guid" Nullable="false" />
<Property Name="OrganizationId" Type="Edm.Guid" Nullable="false" />
</ComplexType>
<ComplexType Name="RetrieveVersionResponse">
<Property Name="Version" Type="Edm.String" Nullable="false" />
</ComplexType>
<Function Name="WhoAmI"><ReturnType Type="mscrm.WhoAmIResponse" Nullable="false" /></Function>
<Function Name="RetrieveVersion"><ReturnType Type="mscrm.RetrieveVersionResponse" Nullable="false" /></Function>
"#;

const FUNCTION_IMPORTS: &str = r#"<FunctionImport Name="WhoAmI" Function="mscrm.WhoAmI" />
<FunctionImport Name="RetrieveVersion" Function="mscrm.RetrieveVersion" />
"#;

/// The CSDL document of a catalog.
pub fn csdl(catalog: &Catalog) -> String {
    let mut out = String::from(HEAD);
    for table in catalog.tables() {
        entity_type(catalog, table, &mut out);
    }
    out.push_str(FUNCTIONS);
    out.push_str("<EntityContainer Name=\"System\">\n");
    for table in catalog.tables() {
        entity_set(catalog, table, &mut out);
    }
    out.push_str(FUNCTION_IMPORTS);
    out.push_str("</EntityContainer>\n</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n");
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
    column.read && column.kind == ColumnKind::Stored
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

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use quick_xml::Reader;
    use quick_xml::events::{BytesStart, Event};

    use super::*;

    fn attributes(element: &BytesStart<'_>) -> HashMap<String, String> {
        element
            .attributes()
            .map(|a| {
                let a = a.expect("well-formed attribute");
                (a.key.as_ref().to_owned(), a.value.into_owned())
            })
            .collect()
    }

    /// Elements in document order: name and attributes.
    fn elements(xml: &str) -> Vec<(String, HashMap<String, String>)> {
        let mut reader = Reader::from_str(xml);
        let mut found = Vec::new();
        loop {
            match reader.read_event().expect("well-formed XML") {
                Event::Start(e) | Event::Empty(e) => {
                    let name = e.name().as_ref().to_owned();
                    found.push((name, attributes(&e)));
                }
                Event::Eof => return found,
                _ => {}
            }
        }
    }

    #[test]
    fn everything_named_is_declared_once() {
        let catalog = Catalog::built_in();
        let elements = elements(&csdl(&catalog));
        let mut members: HashMap<&str, HashSet<&str>> = HashMap::new();
        let mut current = "";
        for (element, a) in &elements {
            match element.as_str() {
                "EntityType" => current = &a["Name"],
                "Property" | "NavigationProperty" => {
                    let new = members.entry(current).or_default().insert(&a["Name"]);
                    assert!(new, "{current}.{} is declared twice", a["Name"]);
                }
                "ComplexType" => current = &a["Name"],
                _ => {}
            }
        }
        for table in catalog.tables() {
            assert!(members[table.logical_name.as_str()].contains(table.primary_id.as_str()));
        }
        let sets: HashSet<&str> =
            catalog.tables().iter().map(|t| t.entity_set_name.as_str()).collect();
        let mut target = "";
        for (element, a) in &elements {
            match element.as_str() {
                "EntityType" => current = &a["Name"],
                "NavigationProperty" => {
                    let named = a["Type"].trim_start_matches("Collection(").trim_end_matches(')');
                    target = named.strip_prefix("mscrm.").expect("a type of the schema");
                    assert!(members.contains_key(target), "{target}");
                    if let Some(partner) = a.get("Partner") {
                        assert!(members[target].contains(partner.as_str()), "{target}.{partner}");
                    }
                }
                "ReferentialConstraint" => {
                    assert!(members[current].contains(a["Property"].as_str()), "{a:?}");
                    assert!(members[target].contains(a["ReferencedProperty"].as_str()), "{a:?}");
                }
                "EntitySet" => current = a["EntityType"].strip_prefix("mscrm.").expect("alias"),
                "NavigationPropertyBinding" => {
                    assert!(sets.contains(a["Target"].as_str()), "{a:?}");
                    assert!(members[current].contains(a["Path"].as_str()), "{a:?}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn jobs_have_the_types_clients_expect() {
        let xml = csdl(&Catalog::built_in());
        for property in [
            r#"<Property Name="asyncoperationid" Type="Edm.Guid" Nullable="false" />"#,
            r#"<Property Name="statecode" Type="Edm.Int32" />"#,
            r#"<Property Name="createdon" Type="Edm.DateTimeOffset" />"#,
            r#"<Property Name="_ownerid_value" Type="Edm.Guid" />"#,
            r#"<Property Name="sequence" Type="Edm.Int64" />"#,
            r#"<Property Name="regardingobjecttypecode" Type="Edm.String" />"#,
            r#"<Property Name="executiontimespan" Type="Edm.Double" />"#,
            r#"<NavigationProperty Name="owninguser" Type="mscrm.systemuser""#,
        ] {
            assert!(xml.contains(property), "{property}");
        }
        assert!(!xml.contains("statecodename"));
    }
}
