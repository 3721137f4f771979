//! Both sides of relationships: a lookup on a served table makes a collection on
//! the table it points to, also where that table's reference does not list it.

use super::{OneToMany, Table};

/// Adds the collections that are missing, under the relationship's schema name,
/// as Dataverse names them.
pub fn complete(tables: &mut [Table]) {
    for referencing in 0..tables.len() {
        for lookup in 0..tables[referencing].many_to_one.len() {
            let relation = &tables[referencing].many_to_one[lookup];
            let target = relation.target.clone();
            let collection = OneToMany {
                schema_name: relation.schema_name.clone(),
                column: relation.target_column.clone(),
                target: tables[referencing].logical_name.clone(),
                target_column: relation.column.clone(),
                navigation_property: relation.schema_name.clone(),
            };
            let Some(referenced) = tables.iter_mut().find(|t| t.logical_name == target) else {
                continue;
            };
            let known = referenced
                .one_to_many
                .iter()
                .any(|r| r.schema_name == collection.schema_name && r.target == collection.target);
            if !known {
                referenced.one_to_many.push(collection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;

    #[test]
    fn every_lookup_between_served_tables_has_its_collection() {
        let catalog = Catalog::built_in();
        let mut lookups = 0;
        for table in catalog.tables() {
            for relation in &table.many_to_one {
                let Some(target) = catalog.table(&relation.target) else { continue };
                lookups += 1;
                let back = target.one_to_many.iter().filter(|r| {
                    r.schema_name == relation.schema_name && r.target == table.logical_name
                });
                assert_eq!(back.count(), 1, "{}", relation.schema_name);
            }
        }
        assert!(lookups > 100);
    }
}
