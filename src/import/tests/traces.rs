//! The traces as rows: figures against those published with the traces, the
//! state of things at a cut, and what is replayed after it.

use std::collections::{BTreeMap, HashMap};

use datafusion::arrow::array::types::{Float64Type, Int32Type, TimestampMicrosecondType};

use super::*;
use crate::import::trace::{self, Outcome, Trace};
use crate::value::Value;

/// Counts of the values of a column, the most frequent first.
fn top(kept: &Kept, column: &str) -> Vec<(String, usize)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for value in kept.column("asyncoperation", column) {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

/// The same for a lookup, with the names of the rows it points to.
fn top_by_name(kept: &Kept, lookup: &str, to: &[(&str, &str, &str)]) -> Vec<(String, usize)> {
    let mut names = HashMap::new();
    for (table, id, name) in to {
        names.extend(kept.column(table, id).into_iter().zip(kept.column(table, name)));
    }
    top(kept, lookup).into_iter().map(|(id, n)| (names[&id].clone(), n)).collect()
}

fn users(kept: &Kept) -> Vec<(String, usize)> {
    top_by_name(kept, "ownerid", &[("systemuser", "systemuserid", "fullname")])
}

fn definitions(kept: &Kept) -> Vec<(String, usize)> {
    let to = [
        ("workflow", "workflowid", "name"),
        ("sdkmessageprocessingstep", "sdkmessageprocessingstepid", "name"),
    ];
    top_by_name(kept, "owningextensionid", &to)
}

/// Rows by status reason.
fn statuses(kept: &Kept) -> BTreeMap<i32, usize> {
    let mut counts = BTreeMap::new();
    for batch in kept.batches("asyncoperation") {
        let codes = batch.column_by_name("statuscode").expect("column").as_primitive::<Int32Type>();
        for code in codes {
            *counts.entry(code.expect("every job has one")).or_default() += 1;
        }
    }
    counts
}

/// Microseconds of wait summed, seconds of run time summed, and their numbers.
fn times(kept: &Kept) -> (i64, usize, f64, usize) {
    let (mut wait, mut waits, mut run, mut runs) = (0, 0, 0.0, 0);
    for batch in kept.batches("asyncoperation") {
        let time = |name| {
            let array = batch.column_by_name(name).expect("column");
            array.as_primitive::<TimestampMicrosecondType>()
        };
        for (started, created) in time("startedon").iter().zip(time("createdon")) {
            if let Some(started) = started {
                wait += started - created.expect("every job has one");
                waits += 1;
            }
        }
        let spans = batch.column_by_name("executiontimespan").expect("column");
        for seconds in spans.as_primitive::<Float64Type>().iter().flatten() {
            run += seconds;
            runs += 1;
        }
    }
    (wait, waits, run, runs)
}

fn named(list: &[(&str, usize)]) -> Vec<(String, usize)> {
    list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

fn near(a: f64, b: f64) -> bool {
    ((a - b) / b).abs() < 1e-9
}

#[test]
fn the_bundled_trace_has_its_published_figures() {
    let files = Files::new();
    let path = files.0.path().join("any name.csv.gz");
    std::fs::write(&path, trace::bundled()).expect("writable");
    let (kept, report) = import(&path, None).expect("imports");

    assert_eq!((report.table.as_str(), report.loaded), ("asyncoperation", 212_840));
    assert_eq!(report.replaced, 0, "ids are unique");
    let expected =
        BTreeMap::from([(0, 2_880), (20, 11_079), (30, 124_116), (31, 30_226), (32, 44_539)]);
    assert_eq!(statuses(&kept), expected);
    assert_eq!(
        users(&kept)[..5],
        named(&[
            ("u328", 52291),
            ("u526", 21328),
            ("u407", 11265),
            ("u556", 10937),
            ("u165", 10429)
        ])
    );
    assert_eq!(
        definitions(&kept)[..5],
        named(&[
            ("a6074", 15337),
            ("a4653", 13815),
            ("a5917", 11518),
            ("a3445", 11261),
            ("a3514", 10429)
        ])
    );
    assert_eq!(definitions(&kept).len(), 1_938);
    assert_eq!(
        top(&kept, "workload")[..5],
        named(&[
            ("prio2", 104_378),
            ("prio0", 69_471),
            ("prio4", 18_653),
            ("prio1", 17_169),
            ("prio8", 1_665)
        ])
    );
    assert_eq!(top(&kept, "operationtype").len(), 8, "one type a queue");
    assert_eq!(top(&kept, "requestid").len(), 5_062, "one request a group");
    assert_eq!(top(&kept, "correlationid").len(), 167_402, "one correlation a task");
    assert_eq!(
        top(&kept, "errorcode")[1..],
        named(&[("-2147204346", 22_586), ("-2147220891", 7_640)]),
        "evictions may be tried again, failures not"
    );
    let (wait, waits, run, runs) = times(&kept);
    assert_eq!((wait, waits), (28_552_847_902_937, 206_067));
    assert!(near(run, 491_559_777.990203), "{run}");
    assert_eq!(runs, 194_988);

    let related: HashMap<&str, u64> =
        report.related.iter().map(|(t, n)| (t.as_str(), *n)).collect();
    assert_eq!(
        (related["systemuser"], related["organization"], related["businessunit"]),
        (134, 1, 1)
    );
    assert_eq!(related["workflow"] + related["sdkmessageprocessingstep"], 1_938);
    check_files(&kept);
}

/// About one job in fifty has a file, all above 4 MiB.
fn check_files(kept: &Kept) {
    let jobs = kept.column("asyncoperation", "asyncoperationid");
    let blobs = kept.column("asyncoperation", "datablobid");
    let mut of_jobs: Vec<(String, String)> =
        jobs.into_iter().zip(blobs).filter(|(_, blob)| blob != "-").collect();
    let mut of_files: Vec<(String, String)> = kept
        .column("fileattachment", "objectid")
        .into_iter()
        .zip(kept.column("fileattachment", "fileattachmentid"))
        .collect();
    of_jobs.sort();
    of_files.sort();
    assert_eq!(of_jobs, of_files);
    assert!((4_000..4_500).contains(&of_files.len()), "{}", of_files.len());
    for size in kept.column("fileattachment", "filesizeinbytes") {
        assert!(size.parse::<i64>().expect("a number") > 4_194_304);
    }
    assert!(kept.column("fileattachment", "objectidtypecode").iter().all(|code| code == "4700"));
}

#[test]
fn the_lpc_trace_has_its_published_figures() {
    let folder = std::env::var("SYSJOB_TRACES")
        .map(PathBuf::from)
        .unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let path = folder.join("lpc-egee-2004.csv.gz");
    if !path.is_file() {
        println!("skipped: {} is not there; SYSJOB_TRACES names its folder", path.display());
        return;
    }
    let (kept, report) = import(&path, None).expect("imports");
    assert_eq!(report.loaded, 234_889);
    let expected = BTreeMap::from([(30, 207_825), (31, 10_490), (32, 16_574)]);
    assert_eq!(statuses(&kept), expected);
    assert_eq!(
        users(&kept)[..5],
        named(&[("u1", 33665), ("u27", 32651), ("u2", 24039), ("u24", 23273), ("u16", 22994)])
    );
    assert!(users(&kept).contains(&("SYSTEM".into(), 14_194)), "jobs without a user");
    assert_eq!(
        definitions(&kept),
        named(&[
            ("short", 79732),
            ("infinite", 52152),
            ("test", 48062),
            ("long", 33666),
            ("day", 19764),
            ("batch", 1513)
        ])
    );
    let (wait, waits, run, runs) = times(&kept);
    assert_eq!((wait, waits), (1_740_516_607_000_000, 220_695));
    assert!(near(run, 705_375_722.0), "{run}");
    assert_eq!(runs, 220_695);
}

const HEADING: &str = "job_id,submit_time,start_time,end_time,status,user_id,group_id,app_id,\
                       queue,requested_seconds,preceding_job_id,think_seconds,attempt,source_status";

/// Four jobs, submitted at seconds 0, 10, 20 and 30 of a day.
fn small() -> Trace {
    let at = |s: u32| format!("2024-05-01T00:00:{s:02}.000001Z");
    let text = format!(
        "{HEADING}\n\
         1-0,{},{},{},failed,u1,1,a1,prio2,,,,1,evict\n\
         1-0,{},{},,,u1,1,a1,prio2,,,0,2,\n\
         2-0,{},{},{},succeeded,,2,a2,prio0,,,,1,finish\n\
         3-0,{},,{},cancelled,u2,2,a2,elsewhere,,,,1,kill\n",
        at(0),
        at(5),
        at(9),
        at(10),
        at(15),
        at(20),
        at(25),
        at(35),
        at(30),
        at(40),
    );
    trace::read(text.as_bytes()).expect("a trace")
}

const DAY: i64 = 1_714_521_600_000_000;

#[test]
fn history_up_to_a_cut_is_as_things_stood_then() {
    let states = |cut: Option<i64>| {
        let mut kept = Kept::new();
        let until = cut.map(|s| DAY + s * 1_000_000);
        small().history(&Catalog::built_in(), 0, until, &mut kept).expect("loads");
        (kept.column("asyncoperation", "statuscode").join(" "), kept)
    };
    assert_eq!(states(Some(0)).0, "");
    assert_eq!(states(Some(5)).0, "0");
    assert_eq!(states(Some(6)).0, "20");
    assert_eq!(states(Some(27)).0, "31 20 20");
    let (all, kept) = states(None);
    assert_eq!(all, "31 20 30 32");
    let is = |column: &str, expected: [&str; 4]| {
        assert_eq!(kept.column("asyncoperation", column), expected, "{column}");
    };
    is("name", ["a1", "a1", "a2", "a2"]);
    is("retrycount", ["0", "1", "0", "0"]);
    is("sequence", ["1", "2", "3", "4"]);
    is("operationtype", ["10", "10", "1", "54"]);
    is("executiontimespan", ["4.0", "-", "10.0", "-"]);
    is("hostid", ["-", "trace", "-", "-"]);
    is(
        "startedon",
        [
            "2024-05-01T00:00:05.000001",
            "2024-05-01T00:00:15.000001",
            "2024-05-01T00:00:25.000001",
            "-",
        ],
    );
    is(
        "modifiedon",
        [
            "2024-05-01T00:00:09.000001",
            "2024-05-01T00:00:15.000001",
            "2024-05-01T00:00:35.000001",
            "2024-05-01T00:00:40.000001",
        ],
    );
    let workflow = kept.column("workflow", "workflowid");
    assert_eq!(kept.column("workflow", "name"), ["a1"]);
    assert_eq!(kept.column("asyncoperation", "workflowactivationid")[..2], [&*workflow[0]; 2]);
    assert_eq!(kept.column("asyncoperation", "workflowactivationid")[2..], ["-", "-"]);
    assert_eq!(users(&kept), named(&[("u1", 2), ("SYSTEM", 1), ("u2", 1)]).to_vec());
}

#[test]
fn what_history_leaves_out_arrives() {
    let catalog = Catalog::built_in();
    let trace = small();
    let cut = DAY + 12_000_000;
    let arrivals: Vec<_> = trace.arrivals(&catalog, cut).collect();
    assert_eq!(arrivals.iter().map(|a| a.at - DAY).collect::<Vec<_>>(), [20_000_001, 30_000_001]);
    assert_eq!(arrivals[0].duration_us, Some(10_000_000));
    assert_eq!(arrivals[0].outcome, Outcome::Succeeded);
    assert_eq!((arrivals[1].duration_us, &arrivals[1].outcome), (None, &Outcome::Canceled));

    let table = catalog.table("asyncoperation").expect("built in");
    let value = |values: &[(usize, Value)], name: &str| {
        let column = table.column_index(name);
        values.iter().find(|(c, _)| Some(*c) == column).map(|(_, v)| v.clone())
    };
    let shifted = arrivals[0].clone().shifted(7);
    assert_eq!(shifted.at, DAY + 20_000_008);
    for column in ["createdon", "modifiedon", "correlationupdatedtime"] {
        assert_eq!(value(&shifted.values, column), Some(Value::Time(DAY + 20_000_008)), "{column}");
    }
    assert_eq!(value(&shifted.values, "statuscode"), Some(Value::Int32(0)));
    assert_eq!(value(&shifted.values, "startedon"), None);

    let unfinished: Vec<_> = trace.unfinished(&catalog, cut).collect();
    assert_eq!(unfinished.len(), 1, "the second attempt, which ends nowhere");
    assert_eq!(unfinished[0].outcome, Outcome::Endless);
    let early = trace.unfinished(&catalog, DAY + 6_000_000).next().expect("the first attempt");
    let Outcome::Failed { errorcode, friendlymessage, .. } = early.outcome else {
        panic!("evicted: {:?}", early.outcome)
    };
    assert_eq!(errorcode as u32, 0x8004_4306);
    assert!(!friendlymessage.is_empty());
}

#[test]
fn shifted_history_keeps_all_spans() {
    let load = |shift| {
        let mut kept = Kept::new();
        small().history(&Catalog::built_in(), shift, None, &mut kept).expect("loads");
        kept
    };
    let (still, moved) = (load(0), load(3_600_000_000));
    assert_eq!(times(&still), times(&moved));
    assert_eq!(
        moved.column("asyncoperation", "createdon")[0],
        still.column("asyncoperation", "createdon")[0].replace("T00", "T01")
    );
    assert_eq!(
        still.column("asyncoperation", "asyncoperationid"),
        moved.column("asyncoperation", "asyncoperationid")
    );
}

#[test]
fn a_trace_that_cannot_be_right_is_refused_with_its_line() {
    let good = "1,2024-05-01T00:00:00Z,,2024-05-01T00:00:09Z,cancelled,u,g,a,q,,,,1,kill";
    let cases = [
        (good.replace(",1,kill", ",0,kill"), "attempt: '0' is not a number from 1"),
        (good.replace("cancelled", "lost"), "status: 'lost' is not succeeded, failed or cancelled"),
        (good.replace("cancelled", ""), "end_time needs a status"),
        (good.replace(",2024-05-01T00:00:09Z", ","), "status 'cancelled' needs an end_time"),
        (good.replace("05-01T00:00:09Z", "x"), "end_time: '2024-x' is not a date and time"),
        (
            good.replace("05-01T00:00:09", "04-01T00:00:09"),
            "submit_time, start_time and end_time are not in this order",
        ),
        (good.replace(",kill", ""), "13 fields where the headings are 14"),
    ];
    for (line, reason) in cases {
        let text = format!("{HEADING}\n{good}\n{line}\n");
        assert_eq!(refused("jobs.csv", text.as_bytes()), format!("jobs.csv line 3: {reason}"));
    }
    let heading = HEADING.replace(",queue", "");
    assert!(refused("jobs.csv", heading.as_bytes()).contains("headings of a job trace"));
    let files = Files::new();
    let path = files.file("jobs.csv", format!("{HEADING}\n{good}\n").as_bytes());
    assert!(import(&path, Some("systemuser")).is_err());
    assert!(import(&path, Some("asyncoperation")).is_ok());
}
