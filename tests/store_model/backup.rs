//! Backups: what is restored is what was there at one commit, whatever goes on
//! meanwhile, and damage is never restored.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sysjob::catalog::Catalog;
use sysjob::error::ErrorKind;
use sysjob::store::{Change, check, restore};
use sysjob::value::Value;

use super::model::{assert_same, open, read};
use super::{Run, Step, guid};

/// Jobs in the journal and in a sealed chunk, some of them changed and deleted.
fn some_rows() -> Run {
    let mut run = Run::new();
    let name = run.catalog.tables()[run.tables[1]].column_index("name").expect("a column");
    let cells = vec![[(name, Value::Text("an account".into()))].into_iter().collect()];
    run.take(Step::Append { table: 1, keys: (0..1_200).collect(), cells: cells.clone(), skip: 0 });
    run.take(Step::Append { table: 1, keys: (1_300..1_320).collect(), cells, skip: 0 });
    let table = run.tables[1];
    let values = vec![(name, Value::Text("another one".into()))];
    let changes = vec![
        Change::Update { table, id: guid(3), values },
        Change::Delete { table, id: guid(4) },
        Change::Delete { table, id: guid(1_301) },
    ];
    run.store().commit_blocking(changes.clone()).expect("commits");
    run.model.commit(&run.catalog.clone(), &changes).expect("the rows are there");
    run
}

fn backed_up(run: &Run) -> Vec<u8> {
    let mut bytes = Vec::new();
    let done = run.store().backup(&mut bytes).expect("a backup");
    assert_eq!((done.chunks, done.bytes), (1, bytes.len() as u64));
    bytes
}

#[test]
fn a_restored_folder_holds_what_was_backed_up() {
    let run = some_rows();
    let bytes = backed_up(&run);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    restore(&data, &mut bytes.as_slice()).expect("restores");
    let checked = check(&data, &Arc::new(Catalog::built_in())).expect("it can be looked at");
    assert_eq!((checked.rows, checked.problems), (1_218, Vec::new()));
    assert_same(&open(&data).snapshot(), &run.model, "restored");
    // Whatever is there stays there.
    let refused = restore(&data, &mut bytes.as_slice()).expect_err("not empty");
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert_same(&open(&data).snapshot(), &run.model, "after the refusal");
}

#[test]
fn a_backup_is_one_commit_whatever_goes_on() {
    let run = some_rows();
    let table = run.tables[1];
    let key = run.catalog.tables()[table].primary_id_index();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Pairs of rows come and go together, and chunks are written anew.
        scope.spawn(|| {
            for round in 0u32.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let insert = |key_of: u32| Change::Insert {
                    table,
                    values: vec![(key, Value::Guid(guid(key_of)))],
                };
                let (a, b) = (10_000 + 2 * round, 10_001 + 2 * round);
                run.store().commit_blocking(vec![insert(a), insert(b)]).expect("commits");
                if round % 7 == 3 {
                    run.store().seal().expect("seals");
                    run.store().compact().expect("compacts");
                }
            }
        });
        for _ in 0..6 {
            let mut bytes = Vec::new();
            run.store().backup(&mut bytes).expect("a backup");
            let folder = tempfile::tempdir().expect("a temporary folder");
            restore(folder.path(), &mut bytes.as_slice()).expect("restores");
            let restored = read(&open(folder.path()).snapshot());
            let rows = &restored.tables[&table];
            assert_eq!(rows.len() % 2, 0, "half a commit");
            assert!(rows.len() >= 1_218);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let bytes = backed_up(&some_rows());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let steps = bytes.len() / 150;
    let flipped = (0..bytes.len()).step_by(steps).map(|at| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x20;
        bytes
    });
    let cut = (0..bytes.len()).step_by(steps * 5).map(|at| bytes[..at].to_vec());
    let longer = [[bytes.clone(), vec![0]].concat()];
    for damaged in flipped.chain(cut).chain(longer) {
        let refused = restore(folder.path(), &mut damaged.as_slice()).expect_err("damaged");
        assert_eq!(refused.kind, ErrorKind::Data, "{refused}");
        assert!(refused.message.contains("backup"), "{refused}");
        let left = fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(left, 0, "{refused}");
    }
}
