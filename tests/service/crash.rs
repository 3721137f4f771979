//! `kill -9` of real processes, and disks that fail under them: what was acknowledged
//! is there, nothing twice.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::array::types::Int32Type;
use serde_json::json;
use sysjob::catalog::Catalog;
use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Handler, JobColumns};
use sysjob::store::{Change, Store};
use sysjob::value::{Guid, Value};

use crate::support::Service;

fn open(folder: &Path) -> Store {
    Store::open(folder, Arc::new(Catalog::built_in())).expect("the store opens")
}

/// Ids and status reasons of all jobs; no id may come twice.
fn jobs(store: &Store) -> std::collections::BTreeMap<Guid, i32> {
    let columns = JobColumns::of(store.catalog());
    let snapshot = store.snapshot();
    let table = snapshot.table(columns.table);
    let mut jobs = std::collections::BTreeMap::new();
    for chunk in table.chunks() {
        let ids = chunk
            .array(columns.asyncoperationid, table.table().schema())
            .expect("a readable column");
        let statuses =
            chunk.array(columns.statuscode, table.table().schema()).expect("a readable column");
        for row in 0..chunk.rows() {
            if chunk.alive().is_none_or(|alive| alive.value(row)) {
                let id: Guid = ids.as_fixed_size_binary().value(row).try_into().expect("16 bytes");
                let status = statuses.as_primitive::<Int32Type>().value(row);
                assert!(jobs.insert(id, status).is_none(), "a job is there twice");
            }
        }
    }
    assert_eq!(jobs.len(), table.rows());
    jobs
}

fn id(n: u32) -> Guid {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    id
}

#[test]
fn an_import_that_is_killed_can_be_done_again() {
    const ROWS: u32 = 150_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("asyncoperation.csv");
    let mut csv = std::io::BufWriter::new(std::fs::File::create(&file).expect("a file"));
    writeln!(csv, "asyncoperationid,name,statecode,statuscode,createdon").expect("written");
    for n in 0..ROWS {
        let id = sysjob::value::guid_text(&id(n));
        writeln!(csv, "{id},job {n},3,30,2026-05-01T00:00:00Z").expect("written");
    }
    drop(csv);
    let data = folder.path().join("data");
    let import = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sysjob"));
        command.arg("import").arg("--data-dir").arg(&data).arg(&file).stdout(Stdio::piped());
        command
    };
    // Killed as soon as its first chunk is there, with more to come.
    let mut child = import().spawn().expect("sysjob starts");
    let chunks = data.join("chunks");
    let arrived = || std::fs::read_dir(&chunks).is_ok_and(|d| d.count() > 0);
    while !arrived() && child.try_wait().expect("a status").is_none() {
        std::thread::yield_now();
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let before = jobs(&open(&data));
    assert!(before.len() < ROWS as usize, "it was killed too late to prove anything");
    assert_eq!(before.len() % 65_536, 0, "whole chunks or nothing");

    let output = import().output().expect("sysjob runs");
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("{ROWS} loaded ({} replaced)", before.len())), "{said}");
    assert_eq!(jobs(&open(&data)).len(), ROWS as usize);
}

#[test]
fn live_transitions_survive_a_kill() {
    const JOBS: u32 = 3000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    let c = JobColumns::of(store.catalog());
    let simulation = Simulation::new(1.0, SimulatedOutcome::Succeed);
    let data = Handler::simulate(simulation).to_json();
    let changes = (0..JOBS).map(|n| Change::Insert {
        table: c.table,
        values: vec![
            (c.asyncoperationid, Value::Guid(id(n))),
            (c.createdon, Value::Time(i64::from(n))),
            (c.sequence, Value::Int64(i64::from(n))),
            (c.statecode, Value::Int32(0)),
            (c.statuscode, Value::Int32(0)),
            (c.retrycount, Value::Int32(0)),
            (c.handler, Value::Text(data.clone())),
        ],
    });
    store.commit_blocking(changes.collect()).expect("durable");
    drop(store);

    // Whoever is told that a job is done finds it done after the kill.
    let mut done = 0;
    for round in 0.. {
        let service = Service::start(folder.path(), &["--capacity", "8"]);
        let target = (done + i64::from(JOBS) / 4).min(i64::from(JOBS));
        while done < target {
            let (status, answer) =
                service.get("asyncoperations/$count", &[("$filter", "statuscode eq 30")]);
            assert_eq!(status, 200);
            let now = answer.as_i64().or_else(|| answer.as_str().and_then(|t| t.parse().ok()));
            let now = now.expect("a number");
            assert!(now >= done, "a finished job is finished for good");
            done = now;
        }
        service.kill();
        let jobs = jobs(&open(folder.path()));
        assert_eq!(jobs.len(), JOBS as usize, "no job is lost");
        let ended = jobs.values().filter(|status| **status == 30).count() as i64;
        assert!(ended >= done, "{ended} jobs are done, {done} were seen done");
        assert!(jobs.values().all(|status| matches!(status, 0 | 20 | 30)));
        done = ended;
        if done == i64::from(JOBS) {
            assert!(round > 0, "it was killed in between");
            break;
        }
    }
}

#[test]
fn a_second_process_is_told_who_holds_the_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .args(["serve", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sysjob starts");
    let said: Vec<String> =
        BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok).collect();
    assert!(!child.wait().expect("ended").success());
    let said = said.join("\n");
    assert!(said.contains("in use by process") && said.contains("--url"), "{said}");
    assert_eq!(service.terminate(), Some(0));
}

/// Adds accounts until one is refused, because the disk fails when `fail` has been
/// called; then looks at what is left, in the same process and in the next one.
fn a_failing_disk(command: Command, folder: &Path, fail: impl Fn()) {
    let service = Service::start_by(command, folder, &[]);
    let add = |service: &Service, n: u32| {
        let id = sysjob::value::guid_text(&id(n));
        let body = json!({ "accountid": id, "description": "n".repeat(2_000) });
        service.post("/api/data/v9.2/accounts", &body)
    };
    let count = |service: &Service| {
        let rows = service.sql("SELECT count(*) AS n FROM account");
        rows[0]["n"].as_i64().expect("a number")
    };
    let before = count(&service);
    let mut added = 0;
    let refused = loop {
        if added == 20 {
            fail();
        }
        let (status, answer) = add(&service, added);
        if status >= 400 {
            break answer;
        }
        added += 1;
        assert!(added < 5_000, "the disk never fails");
    };
    assert!(added >= 20, "it fails from the beginning: {refused}");
    let said = refused["error"]["message"].as_str().expect("a message");
    assert!(said.contains("restart sysjob"), "{said}");
    // Whatever else is to be written is refused too, and questions are answered.
    let (status, answer) = add(&service, added + 1);
    assert_eq!(status, 503, "{answer}");
    assert_eq!(count(&service), before + i64::from(added));
    let (status, _) =
        service.post("/sysjob/jobs", &json!({ "name": "a job", "operationtype": 10 }));
    assert_eq!(status, 503);
    assert_eq!(count(&service), before + i64::from(added));
    service.kill();

    let service = Service::start(folder, &[]);
    let kept = count(&service) - before;
    // The change that was refused may have reached the disk.
    assert!((0..=1).contains(&(kept - i64::from(added))), "{added} were added, {kept} are there");
    let (status, answer) = add(&service, added + 2);
    assert_eq!(status, 204, "{answer}");
    assert_eq!(service.terminate(), Some(0));
}

/// A folder whose journal has no room set aside any more.
fn used_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(Service::start(folder.path(), &[]).terminate(), Some(0));
    assert_eq!(Service::start(folder.path(), &[]).terminate(), Some(0));
    folder
}

#[test]
fn a_full_disk_ends_writing_and_loses_nothing() {
    let folder = used_folder();
    // No file may get longer than 512 KiB; the write that would is cut short.
    let mut command = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    command.args(["-c", limited, env!("CARGO_BIN_EXE_sysjob")]);
    a_failing_disk(command, folder.path(), || {});
}

#[test]
fn a_failed_sync_ends_writing_and_loses_nothing() {
    const SHIM: &str = r#"
        #include <errno.h>
        #include <stdlib.h>
        #include <unistd.h>
        #include <sys/syscall.h>
        static int fails(void) { return access(getenv("SYNC_FAILS"), F_OK) == 0; }
        int fdatasync(int fd) {
            if (fails()) { errno = EIO; return -1; }
            return syscall(SYS_fdatasync, fd);
        }
        int fsync(int fd) {
            if (fails()) { errno = EIO; return -1; }
            return syscall(SYS_fsync, fd);
        }
    "#;
    let tools = tempfile::tempdir().expect("a temporary folder");
    let (source, library) = (tools.path().join("shim.c"), tools.path().join("shim.so"));
    std::fs::write(&source, SHIM).expect("written");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    if !built.is_ok_and(|status| status.success()) {
        println!("skipped: no C compiler runs here");
        return;
    }
    let folder = used_folder();
    let sign = tools.path().join("fails");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sysjob"));
    command.env("LD_PRELOAD", &library).env("SYNC_FAILS", &sign);
    a_failing_disk(command, folder.path(), || std::fs::write(&sign, "").expect("written"));
}
