//! One million jobs of the [`generator`] in a store.

pub mod generator;

use datafusion::arrow::array::{RecordBatch, new_null_array};
use sysjob::catalog::Table;
use sysjob::store::Store;

use self::generator::{Columns, Generator};

pub const JOBS: usize = 1_000_000;

fn batch(table: &Table, columns: &Columns) -> RecordBatch {
    let schema = table.schema();
    let rows = columns[0].1.len();
    let arrays = schema
        .fields()
        .iter()
        .map(|field| {
            let given = columns.iter().find(|(name, _)| name == field.name());
            given.map_or_else(|| new_null_array(field.data_type(), rows), |(_, a)| a.clone())
        })
        .collect();
    RecordBatch::try_new(schema.clone(), arrays).expect("the columns fit the schema")
}

/// Puts all of them into a store.
pub fn fill(store: &Store) {
    let catalog = store.catalog().clone();
    let index = |name| catalog.table_index(name).expect("built in");
    let (jobs, files) = (index("asyncoperation"), index("fileattachment"));
    for part in Generator::new(JOBS) {
        for (table, columns) in [(jobs, &part.jobs), (files, &part.files)] {
            store.append(table, &batch(&catalog.tables()[table], columns)).expect("appended");
        }
    }
}
