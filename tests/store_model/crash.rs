//! A history that is cut off at any of its writes: the process dies in the middle of a
//! write, before a sync, a rename or a removal. What was acknowledged is there then, and of what
//! was under way all of a commit or nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sysjob::store::Change;

use super::model::{Model, open, read};
use super::{Run, Step, append, op};

/// How many of the writes of the history end it, evenly spread.
const CUTS: u64 = 24;

/// The process that is cut off, a test of its own.
const VICTIM: &str = "crash::a_history_that_is_cut_off";

/// What a step leaves behind is told by a line like this.
const DONE: &str = "step done";

/// Counts what changes regular files, and ends the process at the call it is told: a write
/// is half done then, anything else not begun.
const SHIM: &str = r#"
    #define _GNU_SOURCE
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/types.h>
    #include <unistd.h>
    static long calls;
    static int regular(int fd) {
        struct stat about;
        return fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
    }
    static int last(void) {
        const char *at = getenv("DIES_AT");
        return __sync_add_and_fetch(&calls, 1) == (at ? atol(at) : -1);
    }
    static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }
    ssize_t write(int fd, const void *data, size_t size) {
        if (regular(fd) && last()) { syscall(SYS_write, fd, data, size / 2); die(); }
        return syscall(SYS_write, fd, data, size);
    }
    int fdatasync(int fd) {
        if (regular(fd) && last()) die();
        return syscall(SYS_fdatasync, fd);
    }
    int fsync(int fd) {
        if (regular(fd) && last()) die();
        return syscall(SYS_fsync, fd);
    }
    int rename(const char *from, const char *to) {
        if (last()) die();
        return syscall(SYS_rename, from, to);
    }
    int unlink(const char *path) {
        if (last()) die();
        return syscall(SYS_unlink, path);
    }
    __attribute__((destructor)) static void tell(void) {
        const char *path = getenv("CALLS");
        FILE *file = path ? fopen(path, "w") : NULL;
        if (file) { fprintf(file, "%ld", calls); fclose(file); }
    }
"#;

/// The same steps in every process: each kind of write, and rows of all kinds.
fn steps() -> Vec<Step> {
    let mut runner = TestRunner::deterministic();
    let mut some =
        |strategy: BoxedStrategy<Step>| strategy.new_tree(&mut runner).expect("a step").current();
    let commits = || vec(vec(op(), 1..5), 2..4).prop_map(Step::Commits).boxed();
    let plain = |step: Step| Just(step).boxed();
    [
        commits(),
        append(6..20).boxed(),
        plain(Step::Seal),
        commits(),
        append(1_030..1_040).boxed(),
        commits(),
        plain(Step::Compact),
        plain(Step::Reopen(1 << 30)),
        commits(),
        plain(Step::Seal),
        commits(),
        plain(Step::Compact),
        plain(Step::Reopen(0)),
        commits(),
    ]
    .into_iter()
    .map(&mut some)
    .collect()
}

#[test]
#[ignore = "another test starts it as a process of its own and cuts it off"]
fn a_history_that_is_cut_off() {
    let Some(folder) = std::env::var_os("HISTORY") else { return };
    let mut run = Run::at(folder.into());
    for step in steps() {
        run.take(step);
        println!("{DONE}");
    }
}

/// Runs the history in a process that dies at a call; how many steps were acknowledged.
fn cut_off(folder: &Path, shim: &Path, at: u64) -> (bool, usize) {
    let ran = Command::new(std::env::current_exe().expect("this program"))
        .args([VICTIM, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", shim)
        .env("HISTORY", folder)
        .env("DIES_AT", at.to_string())
        .env("CALLS", folder.with_extension("calls"))
        .stderr(Stdio::null())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    (ran.status.success(), said.lines().filter(|line| line.ends_with(DONE)).count())
}

/// What the rows may be when a step was under way: those before it, and those after each of
/// its commits.
fn allowed(run: &mut Run, step: &Step) -> Vec<Model> {
    let mut states = vec![run.model.clone()];
    let catalog = run.catalog.clone();
    match step {
        Step::Commits(commits) => {
            for ops in commits {
                let changes: Vec<Change> = ops.iter().map(|op| run.change(op.clone())).collect();
                // One that is refused changes nothing.
                let _ = run.model.commit(&catalog, &changes);
                states.push(run.model.clone());
            }
        }
        Step::Append { .. } | Step::Seal => {
            run.take(step.clone());
            states.push(run.model.clone());
        }
        Step::Remember | Step::Compact | Step::Reopen(_) => {}
    }
    states
}

fn with_rows(mut model: Model) -> Model {
    model.tables.retain(|_, rows| !rows.is_empty());
    model
}

#[test]
fn a_crash_at_any_write_loses_nothing_that_was_acknowledged() {
    let tools = tempfile::tempdir().expect("a temporary folder");
    let (source, shim) = (tools.path().join("shim.c"), tools.path().join("shim.so"));
    std::fs::write(&source, SHIM).expect("written");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).status();
    if !built.is_ok_and(|status| status.success()) {
        println!("skipped: no C compiler runs here");
        return;
    }
    let whole = tools.path().join("whole");
    let steps = steps();
    assert_eq!(cut_off(&whole, &shim, u64::MAX), (true, steps.len()));
    let calls = std::fs::read_to_string(whole.with_extension("calls")).expect("told");
    let calls: u64 = calls.parse().expect("a number");
    assert!(calls > CUTS, "{calls} writes");

    for at in (1..=calls).step_by(usize::try_from(calls / CUTS).expect("few")) {
        let folder = tools.path().join(at.to_string());
        let (_, acknowledged) = cut_off(&folder, &shim, at);
        let mut run = Run::new();
        let (done, rest) = steps.split_at(acknowledged);
        done.iter().for_each(|step| run.take(step.clone()));
        let states = match rest.first() {
            Some(step) => allowed(&mut run, step),
            None => vec![run.model.clone()],
        };
        let store = open(&folder);
        let shown = with_rows(read(&store.snapshot()));
        assert!(
            states.into_iter().map(with_rows).any(|state| state == shown),
            "write {at} of {calls}, after {acknowledged} steps: {:?}",
            rest.first()
        );
        // It goes on.
        let id = super::guid(super::KEYS * 100);
        let table = run.tables[1];
        let key = run.catalog.tables()[table].primary_id_index();
        let values = vec![(key, sysjob::value::Value::Guid(id))];
        store.commit_blocking(vec![Change::Insert { table, values }]).expect("it is committed");
    }
}
