//! The data folder: one holder at a time, no leftovers, nothing that damage can
//! do but an error, and names that outlive the process.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sysjob::catalog::Catalog;
use sysjob::error::{Error, ErrorKind};
use sysjob::store::{Store, check};
use sysjob::value::Value;

use super::guid;
use super::model::{Cells, Model, assert_same, batch, open};

fn try_open(folder: &Path) -> Result<Store, Error> {
    Store::open(folder, Arc::new(Catalog::built_in()))
}

fn refusal(folder: &Path) -> Error {
    match try_open(folder) {
        Ok(_) => panic!("the folder opened"),
        Err(e) => e,
    }
}

/// A folder with `rows` accounts in one chunk file, and what it holds.
fn folder_with_chunk(rows: u32) -> (tempfile::TempDir, PathBuf, Model) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    let model = add_chunk(&store, 0, rows);
    drop(store);
    let mut files = chunk_files(folder.path());
    files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    assert_eq!(files.len(), 1, "{files:?}");
    (folder, files[0].clone(), model)
}

fn add_chunk(store: &Store, first: u32, rows: u32) -> Model {
    let catalog = store.catalog();
    let index = catalog.table_index("account").expect("built in");
    let table = &catalog.tables()[index];
    let at = |name: &str| table.column_index(name).expect("a column of the table");
    let rows: Vec<Cells> = (first..first + rows)
        .map(|key| {
            Cells::from([
                (table.primary_id_index(), Value::Guid(guid(key))),
                (at("name"), Value::Text(format!("account number {key}"))),
                (at("revenue"), Value::Decimal(i128::from(key) * 10_000)),
                (at("creditonhold"), Value::Boolean(key % 3 == 0)),
            ])
        })
        .collect();
    store.append(index, &batch(table, &rows)).expect("the append goes through");
    let mut model = Model::default();
    model.append(catalog, index, &rows);
    model
}

fn chunk_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("chunks")).expect("the folder of chunk files");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn name_of(file: &Path) -> String {
    file.file_name().expect("a file").to_string_lossy().into_owned()
}

#[test]
fn a_second_opener_is_told_who_has_the_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    let refused = refusal(folder.path());
    assert_eq!(refused.kind, ErrorKind::Conflict);
    let text = refused.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
    assert!(text.contains("--url"), "{text}");
    drop(store);
    open(folder.path());
}

#[test]
fn chunk_files_that_the_journal_does_not_name_are_removed() {
    let (folder, file, model) = folder_with_chunk(1_500);
    fs::write(folder.path().join("chunks/account-cut-off.parquet"), b"PAR1").expect("writes");
    let store = open(folder.path());
    let mut files = chunk_files(folder.path());
    files.sort();
    assert_eq!(files, [file.clone(), file.with_extension("summary")]);
    assert_same(&store.snapshot(), &model, "after the removal");
}

#[test]
fn a_chunk_file_that_is_gone_is_an_error_that_names_it() {
    let (folder, file, _) = folder_with_chunk(1_500);
    fs::remove_file(&file).expect("it is there");
    let refused = refusal(folder.path());
    assert_eq!(refused.kind, ErrorKind::Data);
    assert!(refused.to_string().contains(&name_of(&file)), "{refused}");
}

/// What a damaged folder does: the error at opening or at reading, or nothing when
/// all rows are as they were.
fn met(folder: &Path, model: &Model) -> Option<Error> {
    let store = match try_open(folder) {
        Ok(store) => store,
        Err(e) => return Some(e),
    };
    let snapshot = store.snapshot();
    for table in 0..snapshot.catalog().tables().len() {
        for chunk in snapshot.table(table).chunks() {
            for column in 0..snapshot.catalog().tables()[table].columns.len() {
                if let Err(e) = chunk.column(column) {
                    return Some(e);
                }
            }
        }
    }
    assert_same(&snapshot, model, "with damage");
    None
}

fn damages(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let len = whole.len();
    let mut damages: Vec<(String, Vec<u8>)> = [0, 1, 4, 100, len / 2, len - 9, len - 1]
        .into_iter()
        .map(|kept| (format!("cut after {kept} of {len} bytes"), whole[..kept].to_vec()))
        .collect();
    damages.push(("zeroed".into(), vec![0; len]));
    damages.push(("longer".into(), [whole, b"PAR1"].concat()));
    for at in (0..len).step_by((len / 60).max(1)) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x41;
        damages.push((format!("byte {at} of {len} changed"), bytes));
    }
    damages
}

#[test]
fn any_damage_of_a_chunk_file_is_an_error_that_names_it() {
    let (folder, file, model) = folder_with_chunk(1_500);
    let whole = fs::read(&file).expect("it is there");
    let mut damages = damages(&whole);
    // A sound file of the same table, but another one.
    let (_other_folder, other, _) = folder_with_chunk(1_499);
    damages.push(("another file".into(), fs::read(other).expect("it is there")));

    let mut missed = Vec::new();
    for (damage, bytes) in damages {
        // The marks at both ends and the metadata's length are not asked for anything.
        let harmless =
            bytes.len() == whole.len() && bytes[4..whole.len() - 8] == whole[4..whole.len() - 8];
        fs::write(&file, bytes).expect("writes");
        match catch_unwind(AssertUnwindSafe(|| met(folder.path(), &model))) {
            Err(_) => missed.push(format!("{damage}: a panic")),
            Ok(None) if harmless => {}
            Ok(None) => missed.push(format!("{damage}: not noticed")),
            Ok(Some(e)) if e.kind == ErrorKind::Data && e.message.contains(&name_of(&file)) => {}
            Ok(Some(e)) => missed.push(format!("{damage}: {e}")),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    fs::write(&file, whole).expect("writes");
    assert_same(&open(folder.path()).snapshot(), &model, "after the repair");
}

#[test]
fn a_damaged_summary_is_made_anew_from_the_chunk() {
    let (folder, file, model) = folder_with_chunk(1_500);
    let summary = file.with_extension("summary");
    let whole = fs::read(&summary).expect("it is there");
    for (damage, bytes) in damages(&whole).into_iter().step_by(5) {
        fs::write(&summary, bytes).expect("writes");
        assert_same(&open(folder.path()).snapshot(), &model, &damage);
        assert_eq!(fs::read(&summary).expect("it is there"), whole, "{damage}");
    }
    fs::remove_file(&summary).expect("it is there");
    assert_same(&open(folder.path()).snapshot(), &model, "after its loss");
}

/// Runs the real program; each run is a process that knows no names yet.
fn sysjob(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sysjob")).args(arguments).output().expect("sysjob runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn entity_names_outlive_the_process_in_rows_and_chunk_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join("data");
    let data_dir = data_dir.to_str().expect("UTF-8");
    // Few rows go to the journal, many to a chunk file.
    for (table, rows) in [("folder_gadget", 3), ("folder_gizmo", 1_200)] {
        let lines: String = (0..rows)
            .map(|_| {
                let id = uuid::Uuid::new_v4();
                format!(
                    "{{\"asyncoperationid\":\"{id}\",\"regardingobjectid\":\"{id}\",\
                     \"regardingobjecttypecode\":\"{table}\",\"statuscode\":30}}\n"
                )
            })
            .collect();
        let file = folder.path().join("asyncoperation.jsonl");
        fs::write(&file, lines).expect("writes");
        sysjob(&["import", "--data-dir", data_dir, file.to_str().expect("UTF-8")]);
    }
    let text = "SELECT regardingobjecttypecode, count(*) AS jobs FROM asyncoperation \
                GROUP BY regardingobjecttypecode ORDER BY jobs";
    let answer = sysjob(&["query", "--data-dir", data_dir, "--format", "csv", "-e", text]);
    let lines: Vec<&str> = answer.lines().skip(1).collect();
    assert_eq!(lines, ["folder_gadget,3", "folder_gizmo,1200"]);
}

#[test]
fn a_check_names_any_damage_and_changes_nothing() {
    let (folder, file, _) = folder_with_chunk(1_500);
    let catalog = Arc::new(Catalog::built_in());
    let problems = || check(folder.path(), &catalog).expect("it can be looked at").problems;
    assert_eq!(problems(), Vec::<String>::new());
    for file in [file.clone(), file.with_extension("summary")] {
        let whole = fs::read(&file).expect("it is there");
        for (damage, bytes) in damages(&whole).into_iter().step_by(4) {
            fs::write(&file, &bytes).expect("writes");
            let found = problems();
            assert!(found.iter().any(|p| p.contains(&name_of(&file))), "{damage}: {found:?}");
            assert_eq!(fs::read(&file).expect("it is there"), bytes, "{damage}");
        }
        fs::write(&file, &whole).expect("writes");
    }
    let checked = check(folder.path(), &catalog).expect("it can be looked at");
    assert_eq!((checked.rows, checked.chunks, checked.problems), (1_500, 1, Vec::new()));

    let store = open(folder.path());
    assert_eq!(check(folder.path(), &catalog).expect_err("in use").kind, ErrorKind::Conflict);
    drop(store);
    let nothing = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(check(nothing.path(), &catalog).expect_err("empty").kind, ErrorKind::NotFound);
}
