//! The document as a strict client reads it: well-formed, every name declared
//! once, every type, partner and target there.

use std::collections::{HashMap, HashSet};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::*;

/// An element with its attributes and children.
#[derive(Default)]
struct Element {
    name: String,
    attributes: HashMap<String, String>,
    children: Vec<Element>,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Self {
        let attributes = start
            .attributes()
            .map(|a| {
                let a = a.expect("a well-formed attribute");
                (a.key.as_ref().to_owned(), a.value.into_owned())
            })
            .collect();
        Self { name: start.name().as_ref().to_owned(), attributes, children: Vec::new() }
    }

    fn get(&self, attribute: &str) -> &str {
        self.attributes
            .get(attribute)
            .unwrap_or_else(|| panic!("{} {:?} without {attribute}", self.name, self.attributes))
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.name == name)
    }
}

fn schema(xml: &str) -> Element {
    let mut reader = Reader::from_str(xml);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(e) => open.push(Element::of(&e)),
            Event::Empty(e) => {
                let element = Element::of(&e);
                open.last_mut().expect("open").children.push(element);
            }
            Event::End(_) => {
                let element = open.pop().expect("open");
                open.last_mut().expect("open").children.push(element);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let mut element = open.pop().expect("the document");
    for name in ["edmx:Edmx", "edmx:DataServices", "Schema"] {
        let at = element.children.iter().position(|c| c.name == name).expect(name);
        element = element.children.swap_remove(at);
    }
    element
}

/// Properties and navigation properties of a type and of its bases.
fn members<'a>(types: &HashMap<&str, &'a Element>, name: &str) -> HashMap<&'a str, &'a Element> {
    let of = types[name];
    let mut found = match of.attributes.get("BaseType") {
        Some(base) => members(types, base.strip_prefix("mscrm.").expect("the alias")),
        None => HashMap::new(),
    };
    for member in &of.children {
        if matches!(member.name.as_str(), "Property" | "NavigationProperty") {
            let new = found.insert(member.get("Name"), member).is_none();
            assert!(new, "{name}.{} is declared twice", member.get("Name"));
        }
    }
    found
}

const PRIMITIVES: [&str; 10] = [
    "Boolean",
    "Date",
    "DateTimeOffset",
    "Decimal",
    "Double",
    "Guid",
    "Int32",
    "Int64",
    "String",
    "Binary",
];

fn inner(of: &str) -> &str {
    of.strip_prefix("Collection(").and_then(|t| t.strip_suffix(')')).unwrap_or(of)
}

fn check(catalog: &Catalog) {
    let schema = schema(&csdl(catalog));
    let mut types = HashMap::new();
    let mut names = HashSet::new();
    for child in &schema.children {
        let name = child.get("Name");
        let simple = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        assert!(simple, "'{name}' is no identifier");
        match child.name.as_str() {
            "EntityType" | "ComplexType" | "EnumType" => {
                assert!(types.insert(name, child).is_none(), "{name} is declared twice");
            }
            "Function" | "Action" => {
                // Overloads differ in what they are bound to.
                let bound = child.attributes.contains_key("IsBound");
                let to = child.all("Parameter").next().filter(|_| bound).map(|p| p.get("Type"));
                assert!(names.insert((name, to)), "{name} is declared twice");
            }
            "EntityContainer" => {}
            other => panic!("an element {other}"),
        }
    }
    for (name, _) in &names {
        assert!(!types.contains_key(name), "{name} is a type and an operation");
    }
    let known = |of: &str| {
        let of = inner(of);
        let fine = match of.split_once('.') {
            Some(("Edm", name)) => PRIMITIVES.contains(&name),
            Some(("mscrm", name)) => types.contains_key(name),
            _ => false,
        };
        assert!(fine, "the type {of} is not declared");
    };
    for child in &schema.children {
        for part in &child.children {
            if let Some(of) = part.attributes.get("Type") {
                known(of);
            }
        }
    }
    for (name, of) in &types {
        if of.name != "EntityType" {
            continue;
        }
        let own = members(&types, name);
        let key = of.all("Key").next().map(|k| k.children[0].get("Name"));
        if let Some(key) = key {
            assert_eq!(own[key].get("Nullable"), "false", "{name}.{key}");
        }
        for navigation in of.all("NavigationProperty") {
            let target = inner(navigation.get("Type")).trim_start_matches("mscrm.");
            let there = members(&types, target);
            if let Some(partner) = navigation.attributes.get("Partner") {
                let back = there.get(partner.as_str()).expect("the partner");
                assert_eq!(back.get("Partner"), navigation.get("Name"), "{name}.{partner}");
                assert_eq!(inner(back.get("Type")), format!("mscrm.{name}"));
            }
            for constraint in navigation.all("ReferentialConstraint") {
                let (from, to) = (constraint.get("Property"), constraint.get("ReferencedProperty"));
                assert_eq!(own[from].get("Type"), there[to].get("Type"), "{name}.{from}");
                let key = types[target].all("Key").next().expect("a key");
                assert_eq!(key.children[0].get("Name"), to, "{name}.{from}");
            }
        }
    }
    let container = schema.children.last().expect("the container");
    let sets: HashSet<&str> = container.all("EntitySet").map(|s| s.get("Name")).collect();
    let mut named = HashSet::new();
    for child in &container.children {
        assert!(named.insert(child.get("Name")), "{} twice", child.get("Name"));
        match child.name.as_str() {
            "EntitySet" => {
                let of = child.get("EntityType").trim_start_matches("mscrm.");
                let own = members(&types, of);
                for binding in &child.children {
                    assert!(sets.contains(binding.get("Target")));
                    assert_eq!(own[binding.get("Path")].name, "NavigationProperty");
                }
            }
            import => {
                let kind = import.strip_suffix("Import").expect("an import");
                let operation = child.get(kind).trim_start_matches("mscrm.");
                assert!(names.contains(&(operation, None)), "{operation}");
            }
        }
    }
    for table in catalog.tables() {
        assert!(sets.contains(table.entity_set_name.as_str()), "{}", table.entity_set_name);
    }
}

#[test]
fn a_strict_client_finds_no_fault() {
    check(&Catalog::built_in());
}

#[test]
fn jobs_have_the_types_clients_expect() {
    let xml = csdl(&Catalog::built_in());
    for part in [
        r#"<Property Name="asyncoperationid" Type="Edm.Guid" Nullable="false" />"#,
        r#"<Property Name="statecode" Type="Edm.Int32" />"#,
        r#"<Property Name="createdon" Type="Edm.DateTimeOffset" />"#,
        r#"<Property Name="_ownerid_value" Type="Edm.Guid" />"#,
        r#"<Property Name="sequence" Type="Edm.Int64" />"#,
        r#"<Property Name="regardingobjecttypecode" Type="Edm.String" />"#,
        r#"<Property Name="executiontimespan" Type="Edm.Double" />"#,
        r#"<NavigationProperty Name="owninguser" Type="mscrm.systemuser""#,
        r#"<NavigationProperty Name="ownerid" Type="mscrm.principal">"#,
        r#"<FunctionImport Name="WhoAmI" Function="mscrm.WhoAmI" />"#,
        r#"<ActionImport Name="BulkDelete" Action="mscrm.BulkDelete" />"#,
        r#"<Function Name="LastXDays">"#,
        r#"<Parameter Name="PropertyValue" Type="Edm.Int64" Nullable="false" />"#,
        r#"<EntitySet Name="EntityDefinitions" EntityType="mscrm.EntityMetadata" IncludeInServiceDocument="false" />"#,
        r#"<Member Name="OlderThanXMonths" Value="53" />"#,
        r#"<Member Name="DoesNotContainValues" Value="88" />"#,
    ] {
        assert!(xml.contains(part), "{part}");
    }
    assert!(!xml.contains("statecodename"));
}
