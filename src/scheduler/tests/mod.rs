//! Golden scripts of the scheduler: what people, handlers, workers and time do to a
//! few jobs, `----`, and what comes of it, line by line as it would stand in the
//! history, with the columns that change. `UPDATE_GOLDEN=1` writes the answers anew,
//! for review with `git diff`.
//!
//! [`script`] reads a script and carries it out, [`world`] is a core with the rows of
//! its jobs in memory, under a time that only scripts set, [`coverage`] says which
//! documented rows no script shows.

mod coverage;
mod script;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;

/// The golden files, sorted.
fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/scheduler");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the golden files")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

/// Runs the scripts of a file: the file with the answers as they are now.
fn run(golden: &str, shown: &mut BTreeSet<String>) -> String {
    let cases = golden.split("\n====\n").map(|case| {
        let (script, _) = case.split_once("\n----\n").unwrap_or((case.trim_end(), ""));
        format!("{script}\n----\n{}", script::run(script, shown))
    });
    cases.collect::<Vec<_>>().join("\n====\n") + "\n"
}

#[test]
fn scripts_end_as_written() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differ = Vec::new();
    for path in files() {
        let golden = std::fs::read_to_string(&path).expect("a text");
        let actual = run(&golden, &mut BTreeSet::new());
        if golden == actual {
            continue;
        }
        if update {
            std::fs::write(&path, actual).expect("the file is written");
            continue;
        }
        let line = golden.lines().zip(actual.lines()).position(|(a, b)| a != b).unwrap_or(0);
        let (expected, found) = (golden.lines().nth(line), actual.lines().nth(line));
        differ.push(format!("{}:{}: {expected:?}, not {found:?}", path.display(), line + 1));
    }
    assert!(differ.is_empty(), "\n{}\n", differ.join("\n"));
}
