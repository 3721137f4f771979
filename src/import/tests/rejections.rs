//! Rows put aside, and files refused.

use super::*;

fn reasons(report: &Report) -> Vec<(u64, &str)> {
    report.first_rejections.iter().map(|r| (r.line, r.reason.as_str())).collect()
}

#[test]
fn csv_rows_at_fault_are_put_aside_with_line_and_reason() {
    let mut csv = format!(
        "asyncoperationid,name,statecode,statuscode,startedon\n\
         {ID1},\"two\nlines\",3,30,\n\
         nonsense,a,3,30,\n\
         ,b,3,30,\n\
         {ID1},c,3,20,\n\
         {ID1},d,3,30,soon\n\
         {ID1},e,3\n\
         {ID2},ok,3,30,2024-05-01\n"
    )
    .into_bytes();
    csv.extend_from_slice(format!("{ID1},f,3,30,\n{ID1},").as_bytes());
    csv.extend_from_slice(b"g\xFF,3,30,\n");
    let files = Files::new();
    let path = files.file("asyncoperation.csv", &csv);
    let (kept, report) = import(&path, None).expect("imports");
    assert_eq!(kept.column("asyncoperation", "name"), ["two\nlines", "ok", "f"]);
    assert_eq!((report.read, report.loaded, report.rejected), (9, 3, 6));
    assert_eq!(
        reasons(&report),
        [
            (4, "asyncoperationid: 'nonsense' is not a GUID"),
            (5, "asyncoperationid: the primary key is missing"),
            (6, "statecode 3 and statuscode 20 do not belong together"),
            (7, "startedon: 'soon' is not a date and time such as 2024-05-01T10:00:00Z"),
            (8, "3 fields where the headings are 5"),
            (11, "name: not valid UTF-8"),
        ]
    );
    let rejected = report.rejected_file.expect("rows were rejected");
    assert_eq!(rejected, path.with_file_name("asyncoperation.csv.rejected"));
    let text = std::fs::read(&rejected).expect("written");
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    assert_eq!(lines[0], b"@rejected,asyncoperationid,name,statecode,statuscode,startedon");
    assert_eq!(lines[1], b"line 4: asyncoperationid: 'nonsense' is not a GUID,nonsense,a,3,30,");
    assert!(lines[6].ends_with(b"g\xFF,3,30,"));
    assert_eq!(lines.len(), 8, "heading, six rows, and nothing after the last line end");
}

#[test]
fn a_corrected_rejected_file_imports_as_it_is() {
    let csv = format!("asyncoperationid,statuscode\n{ID1},99\n");
    let json = format!("{{\"asyncoperationid\":\"{ID1}\",\"statuscode\":99}}\n");
    for (name, content) in [("asyncoperation.csv", csv), ("asyncoperation.jsonl", json)] {
        let files = Files::new();
        let (_, report) = import(&files.file(name, content.as_bytes()), None).expect("imports");
        let rejected = std::fs::read_to_string(report.rejected_file.expect("one")).expect("text");
        assert!(rejected.contains("line "), "{rejected}");
        let (_, report) =
            imported(name, rejected.replace("99", "30").replace("code 30", "").as_bytes());
        assert_eq!((report.loaded, report.rejected), (1, 0), "{rejected}");
    }
}

#[test]
fn json_lines_at_fault_are_put_aside() {
    let jsonl = format!(
        "{{\"asyncoperationid\":\"{ID1}\",\"statuscode\":30}}\n\
         {{\"asyncoperationid\":\"{ID2}\",\n\
         \n\
         [1]\n\
         {{\"asyncoperationid\":\"{ID2}\",\"statuscode\":30,\"statuscod\":1}}\n\
         {{\"asyncoperationid\":\"{ID2}\",\"statuscode\":30,\"name\":{{}}}}\n\
         {{\"asyncoperationid\":\"{ID2}\",\"statuscode\":30}} x\n"
    );
    let files = Files::new();
    let path = files.file("asyncoperation.jsonl", jsonl.as_bytes());
    let (_, report) = import(&path, None).expect("imports");
    assert_eq!((report.loaded, report.rejected), (1, 5));
    let reasons = reasons(&report);
    assert_eq!(reasons.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 5, 6, 7]);
    assert!(reasons[0].1.starts_with("not a valid JSON object: EOF"), "{}", reasons[0].1);
    assert!(reasons[2].1.contains("'statuscod'") && reasons[2].1.contains("'statuscode'"));
    assert_eq!(reasons[3].1, "name: an object or array is not a text");
    let rejected = std::fs::read_to_string(report.rejected_file.expect("some")).expect("text");
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[1], "[1]", "what is no object is kept as it was");
    assert!(lines[2].starts_with("{\"@rejected\":\"line 5: column"), "{}", lines[2]);
}

#[test]
fn elements_of_an_answer_at_fault_are_put_aside() {
    let answer = format!(
        "{{\"value\":[\n\
         {{\"asyncoperationid\":\"{ID1}\",\"statuscode\":30}},\n\
         {{\"asyncoperationid\":\"{ID2}\",\n\"statuscode\":\"x\"}},\n\
         7,\n\
         {{\"asyncoperationid\":\"{ID2}\",\"statuscode\""
    );
    let files = Files::new();
    let path = files.file("asyncoperation.json", answer.as_bytes());
    let (_, report) = import(&path, None).expect("imports");
    assert_eq!(report.loaded, 1);
    let lines: Vec<u64> = report.first_rejections.iter().map(|r| r.line).collect();
    assert_eq!(lines, [3, 5, 6]);
    assert_eq!(report.first_rejections[2].reason, "the file ends inside this row");
    assert!(report.warnings[0].contains("cut short"), "{:?}", report.warnings);
}

#[test]
fn a_file_that_stops_being_readable_keeps_what_came_before() {
    let mut csv = "asyncoperationid,statuscode\n".to_owned();
    for i in 0..50_000 {
        csv.push_str(&format!("00000000-0000-0000-0000-{:012},30\n", i * 7919 % 100_003));
    }
    let whole = gzip(csv.as_bytes());
    let files = Files::new();
    let path = files.0.path().join("asyncoperation.csv.gz");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("writable");
    let mut kept = Kept::new();
    let error = import_file(&path, None, &Catalog::built_in(), &mut kept, &mut |_| {})
        .expect_err("cut short")
        .to_string();
    let loaded = kept.rows("asyncoperation");
    assert!(loaded > 0);
    assert!(error.contains(&format!("the {loaded} rows read before")), "{error}");
}

#[test]
fn files_that_cannot_be_right_are_refused_whole() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "asyncoperation.csv",
            "asyncoperationid,statuscod\n",
            "asyncoperation.csv line 1: column 'statuscod' does not exist on 'asyncoperation'; \
             did you mean 'statuscode'?",
        ),
        (
            "asyncoperation.csv",
            "ownerid,asyncoperationid,_ownerid_value\n",
            "asyncoperation.csv line 1: column 'ownerid' is there twice, \
             the second time as '_ownerid_value'",
        ),
        (
            "asyncoperation.csv",
            "name\n",
            "asyncoperation.csv line 1: the primary key column 'asyncoperationid' is missing",
        ),
        ("asyncoperation.csv", "", "asyncoperation.csv: the file has no heading line"),
        (
            "asyncoperation.jsonl",
            "\n{\"statuscod\":1}\n",
            "asyncoperation.jsonl line 2: column 'statuscod' does not exist on 'asyncoperation'; \
             did you mean 'statuscode'?",
        ),
        (
            "asyncoperation.json",
            "{\"a\":1}",
            "asyncoperation.json: no array 'value' in it; JSON with one row a line is read from .jsonl",
        ),
        (
            "asyncoperation.json",
            "[{\"asyncoperation_FileAttachments\":[]}]",
            "asyncoperation.json line 1: 'asyncoperation_FileAttachments' holds expanded rows \
             of another table; import 'asyncoperation' without it and the other table from a \
             file of its own",
        ),
        (
            "asyncoperation.json",
            "[{\"owninguser\":{\"fullname\":\"Kari\"}}]",
            "asyncoperation.json line 1: 'owninguser' holds expanded rows \
             of another table; import 'asyncoperation' without it and the other table from a \
             file of its own",
        ),
    ];
    for (name, content, expected) in cases {
        assert_eq!(refused(name, content.as_bytes()), *expected);
    }
    assert!(refused("asyncoperation.parquet", b"PAR").contains("cannot be read as Parquet"));
    let absent = import(Path::new("/nowhere/asyncoperation.csv"), None).err().expect("refused");
    assert_eq!(absent.kind, crate::error::ErrorKind::NotFound);
}
