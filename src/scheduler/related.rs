//! What goes with a deleted job: its files, the log of its workflow, the duplicates it
//! has found. Whose rows they are is looked up in an index, which is made when the first
//! job is deleted and takes in the rows that have come since with each further one.

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::job::JobColumns;
use crate::store::{Change, Store};
use crate::value::{Guid, Value};

const FILES: &str = "fileattachment";

/// Tables whose rows belong to a job, and the lookup that says to which. Their rows
/// keep their job, and go with it only.
const OWNED: [(&str, &str); 3] = [
    (FILES, "objectid"),
    ("workflowlog", "asyncoperationid"),
    ("duplicaterecord", "asyncoperationid"),
];

/// The rows that belong to jobs.
pub struct Related {
    columns: JobColumns,
    tables: Vec<Owned>,
}

/// Those of one table.
struct Owned {
    table: usize,
    lookup: usize,
    files: bool,
    /// Rows from this number on have not been taken in yet.
    next: u64,
    /// What a row belongs to, and the row.
    rows: BTreeSet<(Guid, Guid)>,
}

impl Related {
    pub fn new(catalog: &Catalog) -> Self {
        let owned = |(name, lookup): (&str, &str)| {
            let table = catalog.table_index(name)?;
            let lookup = catalog.tables()[table].column_index(lookup)?;
            Some(Owned { table, lookup, files: name == FILES, next: 0, rows: BTreeSet::new() })
        };
        let tables = OWNED.into_iter().filter_map(owned).collect();
        Self { columns: JobColumns::of(catalog), tables }
    }

    /// The deletions of all rows that belong to some jobs. Nothing else deletes them,
    /// so they are still there when the changes are committed.
    pub fn deletions(&mut self, store: &Store, jobs: &[Guid]) -> Vec<Change> {
        let columns = self.columns;
        let mut changes = Vec::new();
        for owned in &mut self.tables {
            owned.take_in(store);
            let mut gone: Vec<Guid> = jobs.iter().flat_map(|job| owned.of(store, job)).collect();
            if owned.files {
                // A file may be known by the job's own reference only.
                gone.extend(jobs.iter().filter_map(|job| {
                    match store.value(columns.table, job, columns.datablobid)? {
                        Value::Guid(file) if store.contains(owned.table, &file) => Some(file),
                        _ => None,
                    }
                }));
            }
            gone.sort_unstable();
            gone.dedup();
            let table = owned.table;
            changes.extend(gone.into_iter().map(|id| Change::Delete { table, id }));
        }
        changes
    }
}

impl Owned {
    /// Takes in the rows that have come since the last time.
    fn take_in(&mut self, store: &Store) {
        let mut come = Vec::new();
        let rows = store.table(self.table);
        self.next = rows.guids_from(self.next, self.lookup, |of, row| come.push((of, row)));
        if self.rows.is_empty() {
            // Many at once are sorted, and not put in one by one.
            self.rows = come.into_iter().collect();
        } else {
            self.rows.extend(come);
        }
    }

    /// The rows of a job; they are forgotten with it.
    fn of(&mut self, store: &Store, job: &Guid) -> Vec<Guid> {
        let range = (*job, Guid::default())..=(*job, [u8::MAX; 16]);
        let found: Vec<(Guid, Guid)> = self.rows.range(range).copied().collect();
        found.iter().for_each(|pair| _ = self.rows.remove(pair));
        // A row that was replaced may belong to another job by now.
        let is_of =
            |row: &Guid| store.value(self.table, row, self.lookup) == Some(Value::Guid(*job));
        found.into_iter().map(|(_, row)| row).filter(is_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key(n: u8) -> Guid {
        [n; 16]
    }

    #[test]
    fn rows_go_with_their_job_whenever_they_came() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("opens");
        let catalog = store.catalog().clone();
        let c = JobColumns::of(&catalog);
        let table = |name: &str| catalog.table_index(name).expect("built in");
        let insert = |name: &str, cells: &[(&str, Guid)]| {
            let facts = &catalog.tables()[table(name)];
            let cell = |(column, id): &(&str, Guid)| {
                (facts.column_index(column).expect("documented"), Value::Guid(*id))
            };
            Change::Insert { table: table(name), values: cells.iter().map(cell).collect() }
        };
        let job = |n: u8| insert("asyncoperation", &[("asyncoperationid", key(n))]);
        let log = |n: u8, of: u8| {
            insert("workflowlog", &[("workflowlogid", key(n)), ("asyncoperationid", key(of))])
        };
        let file = |n: u8, of: u8| {
            insert("fileattachment", &[("fileattachmentid", key(n)), ("objectid", key(of))])
        };
        let mut changes = vec![job(1), job(2), job(3), file(11, 1), file(13, 9)];
        changes.extend([log(21, 1), log(22, 1), log(23, 2)]);
        let named = vec![(c.datablobid, Value::Guid(key(13)))];
        changes.push(Change::Update { table: c.table, id: key(3), values: named });
        store.commit_blocking(changes).expect("durable");

        let mut related = Related::new(&catalog);
        let mut gone = |jobs: &[u8]| {
            let jobs: Vec<Guid> = jobs.iter().copied().map(key).collect();
            let changes = related.deletions(&store, &jobs);
            let ids = changes.iter().map(|change| match change {
                Change::Delete { id, .. } => id[0],
                other => panic!("{other:?}"),
            });
            let ids = ids.collect::<Vec<u8>>();
            store.commit_blocking(changes).expect("durable");
            ids
        };
        assert_eq!(gone(&[1]), [11, 21, 22]);
        assert_eq!(gone(&[1]), [0; 0], "they have gone");
        assert_eq!(gone(&[3]), [13], "its own reference");
        store.commit_blocking(vec![log(24, 2), file(14, 2), log(21, 2)]).expect("durable");
        assert_eq!(gone(&[4, 2]), [14, 21, 23, 24]);
        store.commit_blocking(vec![log(25, 5), log(26, 5)]).expect("durable");
        assert_eq!(gone(&[6]), [0; 0]);
        store.commit_blocking(vec![log(25, 6)]).expect("replaced");
        assert_eq!(gone(&[5]), [26], "one row belongs to another job now");
        assert_eq!(gone(&[6]), [25]);
    }
}
