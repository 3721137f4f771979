//! A byte that has changed in a chunk's files or a write-ahead file of the journal is
//! noticed and named, or changes nothing.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sysjob::catalog::Catalog;
use sysjob::store::{Change, Store, check};
use sysjob::value::Value;

use super::guid;
use super::model::{Cells, Model, assert_same, batch, open};

/// Bytes of each file that are changed.
const BYTES: usize = 40;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => _ = fs::copy(&path, &target).expect("copied"),
        }
    }
}

/// A folder with single rows, a sealed chunk, changes and deletions, opened twice.
fn folder() -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let catalog = Arc::new(Catalog::built_in());
    let mut model = Model::default();
    let index = catalog.table_index("account").expect("built in");
    let table = &catalog.tables()[index];
    let (key, name) = (table.primary_id_index(), table.column_index("name").expect("a column"));
    let cells = |n: u32| -> Cells {
        [(key, Value::Guid(guid(n))), (name, Value::Text(format!("account {n}")))].into()
    };
    for _ in 0..2 {
        let store = open(folder.path());
        let rows: Vec<Cells> = (0..1_100).map(cells).collect();
        store.append(index, &batch(table, &rows)).expect("appends");
        model.append(&catalog, index, &rows);
        for n in 0..40 {
            let id = guid(n * 7);
            let values = vec![(name, Value::Text(format!("changed {n}")))];
            let new = cells(5_000 + n).into_iter().collect();
            let changes = vec![
                Change::Update { table: index, id, values },
                Change::Delete { table: index, id: guid(n * 7 + 1) },
                Change::Insert { table: index, values: new },
            ];
            store.commit_blocking(changes.clone()).expect("commits");
            model.commit(&catalog, &changes).expect("the rows are there");
        }
    }
    drop(open(folder.path()));
    (folder, model)
}

#[test]
fn a_changed_byte_is_named_or_harmless() {
    let (whole, model) = folder();
    let catalog = Arc::new(Catalog::built_in());
    let mut paths = Vec::new();
    files(whole.path(), &mut paths);
    paths.sort();
    let mut missed = Vec::new();
    let mut number = 0x9e37_79b9_7f4a_7c15u64;
    for path in &paths {
        let name = path.strip_prefix(whole.path()).expect("inside").to_path_buf();
        let bytes = fs::read(path).expect("readable");
        let ahead = name.extension().is_some_and(|extension| extension == "jnl");
        if !ahead && !name.starts_with("chunks") {
            continue;
        }
        for _ in 0..BYTES {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (number >> 16) as usize % bytes.len();
            let flip = 1u8 << ((number >> 60) % 8);
            let folder = tempfile::tempdir().expect("a temporary folder");
            copy(whole.path(), folder.path());
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            fs::write(folder.path().join(&name), damaged).expect("writes");
            let met = catch_unwind(AssertUnwindSafe(|| {
                let problems = check(folder.path(), &catalog).expect("looked at").problems;
                if !problems.is_empty() {
                    let part = name.file_name().expect("a name").to_string_lossy();
                    let journal = name.starts_with("journal");
                    let named =
                        |p: &String| p.contains(&*part) || (journal && p.contains("journal"));
                    assert!(problems.iter().any(named), "{problems:?}");
                    return;
                }
                let store = Store::open(folder.path(), catalog.clone()).expect("it is sound");
                assert_same(&store.snapshot(), &model, "it is sound");
            }));
            if let Err(panic) = met {
                let text = panic.downcast_ref::<String>().cloned();
                missed.push(format!("{} byte {at} ^ {flip}: {text:.300?}", name.display()));
            }
        }
    }
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}
