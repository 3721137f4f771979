//! Definitions and their types: which properties each type has, what a
//! definition says for one, and where its navigation properties lead.

use serde_json::Value as Json;

use super::attribute::{self, Attribute, AttributeType};
use super::relation::{self, Relation};
use super::table;
use crate::catalog::{Catalog, ColumnType, Table};

/// What types are qualified with.
pub const NAMESPACE: &str = "Microsoft.Dynamics.CRM.";

/// The type of a definition, or of a place where definitions stand.
#[derive(Clone, Copy)]
pub enum Type {
    Entity,
    Attribute,
    AttributeOf(&'static AttributeType),
    Relationship,
    OneToMany,
    ManyToMany,
    Key,
    OptionSetBase,
    OptionSet,
    BooleanOptionSet,
}

/// A definition.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    Table(&'a Table),
    Attribute(Attribute<'a>),
    Relation(Relation<'a>),
    OptionSet(Attribute<'a>),
}

/// What a navigation property leads to.
pub enum Navigation<'a> {
    One(Option<Item<'a>>),
    Many(Vec<Item<'a>>),
}

/// A type of definitions as the model of the service declares it.
pub struct MetadataType {
    pub name: &'static str,
    pub base: &'static str,
    /// Name, type it leads to, whether to many.
    pub navigations: Vec<(&'static str, &'static str, bool)>,
}

/// All types of definitions, bases first.
pub fn metadata_types() -> Vec<MetadataType> {
    let derived = |of: &'static AttributeType| (Type::AttributeOf(of), "AttributeMetadata");
    let roots = [
        (Type::Entity, "MetadataBase"),
        (Type::Attribute, "MetadataBase"),
        (Type::Relationship, "MetadataBase"),
        (Type::OneToMany, "RelationshipMetadataBase"),
        (Type::ManyToMany, "RelationshipMetadataBase"),
        (Type::Key, "MetadataBase"),
        (Type::OptionSetBase, "MetadataBase"),
        (Type::OptionSet, "OptionSetMetadataBase"),
        (Type::BooleanOptionSet, "OptionSetMetadataBase"),
    ];
    roots
        .into_iter()
        .chain(attribute::TYPES.iter().map(derived))
        .map(|(of, base)| {
            let many = matches!(of, Type::Entity);
            let navigations =
                of.navigations().into_iter().map(|(name, to)| (name, to.name(), many)).collect();
            MetadataType { name: of.name(), base, navigations }
        })
        .collect()
}

fn names<T>(rows: &'static [(&'static str, T)]) -> impl Iterator<Item = &'static str> {
    rows.iter().map(|(name, _)| *name)
}

impl Type {
    /// Without the namespace.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entity => "EntityMetadata",
            Self::Attribute => "AttributeMetadata",
            Self::AttributeOf(of) => of.name,
            Self::Relationship => "RelationshipMetadataBase",
            Self::OneToMany => "OneToManyRelationshipMetadata",
            Self::ManyToMany => "ManyToManyRelationshipMetadata",
            Self::Key => "EntityKeyMetadata",
            Self::OptionSetBase => "OptionSetMetadataBase",
            Self::OptionSet => "OptionSetMetadata",
            Self::BooleanOptionSet => "BooleanOptionSetMetadata",
        }
    }

    /// The names of its properties, navigation properties left out.
    pub fn properties(self) -> Vec<&'static str> {
        use attribute::{BASE, BOOLEAN_OPTION_SET, OPTION_SET, OPTION_SET_BASE};
        match self {
            Self::Entity => names(table::PROPERTIES).collect(),
            Self::Attribute => names(BASE).collect(),
            Self::AttributeOf(of) => names(BASE).chain(names(of.properties)).collect(),
            Self::Relationship => names(relation::BASE).collect(),
            Self::OneToMany => names(relation::BASE).chain(names(relation::ONE_TO_MANY)).collect(),
            Self::ManyToMany => {
                names(relation::BASE).chain(relation::MANY_TO_MANY.iter().copied()).collect()
            }
            Self::Key => relation::KEY.to_vec(),
            Self::OptionSetBase => names(OPTION_SET_BASE).collect(),
            Self::OptionSet => names(OPTION_SET_BASE).chain(names(OPTION_SET)).collect(),
            Self::BooleanOptionSet => {
                names(OPTION_SET_BASE).chain(names(BOOLEAN_OPTION_SET)).collect()
            }
        }
    }

    /// The names of its properties and of those of the types derived from it.
    pub fn all_properties(self) -> Vec<&'static str> {
        let derived: &[AttributeType] =
            if matches!(self, Self::Attribute) { attribute::TYPES } else { &[] };
        let own = derived.iter().flat_map(|t| names(t.properties));
        self.properties().into_iter().chain(own).collect()
    }

    /// Its navigation properties and the types they lead to.
    pub fn navigations(self) -> Vec<(&'static str, Type)> {
        match self {
            Self::Entity => vec![
                ("Attributes", Self::Attribute),
                ("OneToManyRelationships", Self::OneToMany),
                ("ManyToOneRelationships", Self::OneToMany),
                ("ManyToManyRelationships", Self::ManyToMany),
                ("Keys", Self::Key),
            ],
            Self::AttributeOf(of) if of.choice => {
                let boolean = of.name == "BooleanAttributeMetadata";
                let set = if boolean { Self::BooleanOptionSet } else { Self::OptionSet };
                vec![("OptionSet", set), ("GlobalOptionSet", set)]
            }
            _ => Vec::new(),
        }
    }

    /// The derived type with this name, or the type itself.
    pub fn derived(self, name: &str) -> Option<Self> {
        if self.name() == name {
            return Some(self);
        }
        match self {
            Self::Attribute => {
                attribute::TYPES.iter().find(|t| t.name == name).map(Self::AttributeOf)
            }
            Self::Relationship => {
                [Self::OneToMany, Self::ManyToMany].into_iter().find(|t| t.name() == name)
            }
            Self::OptionSetBase => {
                [Self::OptionSet, Self::BooleanOptionSet].into_iter().find(|t| t.name() == name)
            }
            _ => None,
        }
    }
}

impl<'a> Item<'a> {
    /// Its most derived type.
    pub fn type_of(self) -> Type {
        match self {
            Self::Table(_) => Type::Entity,
            Self::Attribute(a) => {
                attribute::type_of(a.column).map_or(Type::Attribute, Type::AttributeOf)
            }
            Self::Relation(_) => Type::OneToMany,
            Self::OptionSet(a) if a.column.column_type == ColumnType::Boolean => {
                Type::BooleanOptionSet
            }
            Self::OptionSet(_) => Type::OptionSet,
        }
    }

    /// Whether it stands where only this type may stand.
    pub fn is(self, of: Type) -> bool {
        match (self, of) {
            (Self::Attribute(a), Type::AttributeOf(of)) => (of.has)(a.column),
            (item, of) => {
                item.type_of().name() == of.name() || of.derived(item.type_of().name()).is_some()
            }
        }
    }

    /// What it says for a property; null for one that its type does not have.
    pub fn property(self, name: &str) -> Json {
        use attribute::{BASE, BOOLEAN_OPTION_SET, OPTION_SET, OPTION_SET_BASE};
        match self {
            Self::Table(table) => value(&[table::PROPERTIES], name, table),
            Self::Attribute(a) => {
                let own = attribute::type_of(a.column).map_or(&[][..], |t| t.properties);
                value(&[BASE, own], name, &a)
            }
            Self::Relation(r) => value(&[relation::BASE, relation::ONE_TO_MANY], name, &r),
            Self::OptionSet(a) if a.column.column_type == ColumnType::Boolean => {
                value(&[OPTION_SET_BASE, BOOLEAN_OPTION_SET], name, &a)
            }
            Self::OptionSet(a) => value(&[OPTION_SET_BASE, OPTION_SET], name, &a),
        }
    }

    /// Follows a navigation property of its type.
    pub fn navigate(self, catalog: &'a Catalog, name: &str) -> Navigation<'a> {
        match (self, name) {
            (Self::Table(table), "Attributes") => Navigation::Many(
                table
                    .columns
                    .iter()
                    .map(|column| Item::Attribute(Attribute { table, column }))
                    .collect(),
            ),
            (Self::Table(table), "OneToManyRelationships") => Navigation::Many(
                relation::all(catalog)
                    .filter(|r| r.referenced.logical_name == table.logical_name)
                    .map(Item::Relation)
                    .collect(),
            ),
            (Self::Table(table), "ManyToOneRelationships") => Navigation::Many(
                relation::all(catalog)
                    .filter(|r| r.referencing.logical_name == table.logical_name)
                    .map(Item::Relation)
                    .collect(),
            ),
            (Self::Attribute(a), "OptionSet") => Navigation::One(Some(Item::OptionSet(a))),
            // No option set is shared between columns.
            (Self::Attribute(_), _) => Navigation::One(None),
            _ => Navigation::Many(Vec::new()),
        }
    }
}

/// A property's name and its value.
type Property<T> = (&'static str, fn(&T) -> Json);

fn value<T>(lists: &[&[Property<T>]], name: &str, of: &T) -> Json {
    let found = lists.iter().flat_map(|list| list.iter()).find(|(n, _)| *n == name);
    found.map_or(Json::Null, |(_, value)| value(of))
}
