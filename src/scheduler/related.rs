//! What goes with a deleted job: its files, the log of its workflow, the duplicates it
//! has found.

use datafusion::common::HashSet;

use crate::job::JobColumns;
use crate::store::{Change, Store};
use crate::value::{Guid, Value};

const FILES: &str = "fileattachment";

/// Tables whose rows belong to a job, and the lookup that says to which.
const OWNED: [(&str, &str); 3] = [
    (FILES, "objectid"),
    ("workflowlog", "asyncoperationid"),
    ("duplicaterecord", "asyncoperationid"),
];

/// The deletions of all rows that belong to some jobs. Nothing else deletes rows
/// of these tables, so they are still there when the changes are committed.
pub fn deletions(store: &Store, columns: &JobColumns, jobs: &[Guid]) -> Vec<Change> {
    let snapshot = store.snapshot();
    let ids: HashSet<Guid> = jobs.iter().copied().collect();
    let mut changes = Vec::new();
    for (name, lookup) in OWNED {
        let Some(table) = store.catalog().table_index(name) else { continue };
        let Some(column) = store.catalog().tables()[table].column_index(lookup) else { continue };
        let mut owned = snapshot.table(table).ids_where(column, &ids);
        if name == FILES {
            // A file may be known by the job's own reference only.
            owned.extend(jobs.iter().filter_map(|job| {
                match store.row(columns.table, job)?.swap_remove(columns.datablobid) {
                    Value::Guid(file) if store.contains(table, &file) => Some(file),
                    _ => None,
                }
            }));
        }
        owned.sort_unstable();
        owned.dedup();
        changes.extend(owned.into_iter().map(|id| Change::Delete { table, id }));
    }
    changes
}
