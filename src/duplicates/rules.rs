//! When two rows of a table are duplicates of each other.

use std::collections::{HashMap, HashSet};

use crate::catalog::Table;
use crate::engine::collation;
use crate::store::Snapshot;
use crate::value::{Guid, Value};

/// Columns that two rows have to agree in, by table. They are the rules that Dataverse
/// comes with ("Set up duplicate detection rules to keep your data clean"); rows of
/// other tables agree in their name.
const RULES: &[(&str, &[&[&str]])] =
    &[("account", &[&["name"]]), ("contact", &[&["emailaddress1"], &["firstname", "lastname"]])];

/// Every row with every other row of its table that is a duplicate of it, in the order
/// of the rows.
pub fn duplicates(snapshot: &Snapshot, table: &Table, rows: &[Guid]) -> Vec<(Guid, Guid)> {
    let Some(all) = snapshot.table_named(&table.logical_name) else { return Vec::new() };
    let name = table.primary_name.as_deref();
    let own = RULES.iter().find(|(of, _)| *of == table.logical_name).map(|(_, rules)| *rules);
    let rules: Vec<Vec<usize>> = match own {
        Some(rules) => {
            let columns =
                |rule: &&[&str]| rule.iter().filter_map(|c| table.column_index(c)).collect();
            rules.iter().map(columns).collect()
        }
        None => vec![name.and_then(|name| table.column_index(name)).into_iter().collect()],
    };
    let key = table.primary_id_index();
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for columns in rules.iter().filter(|columns| !columns.is_empty()) {
        let mut groups: HashMap<Vec<String>, Vec<Guid>> = HashMap::new();
        let mut group_of: HashMap<Guid, Vec<String>> = HashMap::new();
        all.for_each(|cell| {
            let values: Option<Vec<String>> = columns.iter().map(|c| value(&cell(*c))).collect();
            if let (Value::Guid(id), Some(values)) = (cell(key), values) {
                groups.entry(values.clone()).or_default().push(id);
                group_of.insert(id, values);
            }
        });
        for row in rows {
            let group = group_of.get(row).and_then(|values| groups.get(values));
            for other in group.into_iter().flatten().filter(|other| *other != row) {
                if seen.insert((*row, *other)) {
                    found.push((*row, *other));
                }
            }
        }
    }
    found
}

/// A value as rules compare it: without case, accents and spaces around it. Nothing is
/// no duplicate of nothing.
fn value(cell: &Value) -> Option<String> {
    match cell {
        Value::Text(text) if !text.trim().is_empty() => {
            Some(collation::key(text.trim()).into_owned())
        }
        _ => None,
    }
}
