//! Both sides of relationships: a lookup on a served table makes a collection on
//! the table it points to, also where that table's reference does not list it.
//! For an organization's own tables, the relationships that Dataverse makes by
//! itself.

use super::{ManyToOne, OneToMany, Table};

/// Lookups that may point to any table, and the ending of the relationship's name.
const REGARDING: [(&str, &str, &str); 6] = [
    ("asyncoperation", "regardingobjectid", "AsyncOperations"),
    ("bulkdeletefailure", "regardingobjectid", "BulkDeleteFailures"),
    ("duplicaterecord", "baserecordid", "DuplicateBaseRecord"),
    ("duplicaterecord", "duplicaterecordid", "DuplicateMatchingRecord"),
    ("processsession", "regardingobjectid", "ProcessSession"),
    ("fileattachment", "objectid", "FileAttachments"),
];

/// Lets jobs, and what else may belong to any row, point to a table.
pub fn add_regarding(built_in: &mut [Table], own: &Table) {
    for (name, column, ending) in REGARDING {
        let Some(table) = built_in.iter_mut().find(|t| t.logical_name == name) else { continue };
        let target = own.logical_name.clone();
        table.many_to_one.push(ManyToOne {
            schema_name: format!("{target}_{ending}"),
            column: column.into(),
            target_column: own.primary_id.clone(),
            navigation_property: format!("{column}_{target}"),
            target: target.clone(),
        });
        if let Some(column) = table.columns.iter_mut().find(|c| c.logical_name == column) {
            column.targets.push(target);
        }
    }
}

/// Adds the relationships of lookups that only name their targets. One target
/// gives the lookup's schema name to the navigation property, several give it
/// their names as well, as in Dataverse. `key_of`: the key of a served table.
pub fn add_lookups(table: &mut Table, key_of: impl Fn(&str) -> Option<String>) {
    for column in &table.columns {
        for target in &column.targets {
            let known = table
                .many_to_one
                .iter()
                .any(|r| r.column == column.logical_name && r.target == *target);
            if known {
                continue;
            }
            let navigation_property = match column.targets.as_slice() {
                [_] => column.schema_name.clone(),
                _ => format!("{}_{target}", column.logical_name),
            };
            table.many_to_one.push(ManyToOne {
                schema_name: format!("{}_{target}_{}", table.logical_name, column.logical_name),
                column: column.logical_name.clone(),
                // The key of a table that is not served has the table's name.
                target_column: key_of(target).unwrap_or_else(|| format!("{target}id")),
                target: target.clone(),
                navigation_property,
            });
        }
    }
}

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
