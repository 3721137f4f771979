//! The same rows in every format, and which table a file is for.

use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;

use super::*;

/// What every format below says of two jobs.
fn check_two_jobs(kept: &Kept, report: &Report) {
    assert_eq!((report.table.as_str(), report.read, report.loaded), ("asyncoperation", 2, 2));
    assert!(report.rejected_file.is_none() && report.warnings.is_empty(), "{report:?}");
    let is = |column: &str, expected: [&str; 2]| {
        assert_eq!(kept.column("asyncoperation", column), expected, "{column}");
    };
    is("asyncoperationid", [ID1, ID2]);
    is("name", ["Say \"hi\", twice", "-"]);
    is("operationtype", ["10", "1"]);
    is("statecode", ["3", "0"]);
    is("statuscode", ["31", "0"]);
    is("startedon", ["2024-05-01T10:00:00.250", "-"]);
    is("ownerid", [OWNER, OWNER]);
    is("owneridtype", ["8", "9"]);
    is("owneridname", ["Kari Nordmann", "-"]);
    is("errorcode", ["-2147220891", "-"]);
    is("operationtypename", ["-", "-"]);
}

const CSV: &str = "\
AsyncOperationId,name,operationtype,operationtypename,statecode,statuscode,startedon,_ownerid_value,owneridtype,owneridname,errorcode
{00000000-0000-0000-0000-000000000001},\"Say \"\"hi\"\", twice\",10,Arbeidsflyt,3,31,2024-05-01T10:00:00.25Z,00000000-0000-0000-0000-0000000000AA,,Kari Nordmann,-2147220891
00000000-0000-0000-0000-000000000002,,System Event,,Ready,,,00000000-0000-0000-0000-0000000000AA,team,,
";

const LINES: &str = r#"
{"asyncoperationid":"00000000-0000-0000-0000-000000000001","name":"Say \"hi\", twice","operationtype":10,"statecode":3,"statuscode":31,"startedon":"2024-05-01T12:00:00.25+02:00","ownerid":"00000000-0000-0000-0000-0000000000aa","owneridname":"Kari Nordmann","errorcode":-2147220891}

{"asyncoperationid":"00000000-0000-0000-0000-000000000002","operationtype":"System Event","statuscode":"Waiting For Resources","ownerid":"00000000-0000-0000-0000-0000000000aa","owneridtype":"team","name":null}
"#;

const ANSWER: &str = r#"{
 "@odata.context":"https://org.crm.dynamics.com/api/data/v9.2/$metadata#asyncoperations(name,statecode)",
 "@Microsoft.Dynamics.CRM.totalrecordcount":-1,
 "value":[
  {"@odata.etag":"W/\"5012\"",
   "asyncoperationid":"00000000-0000-0000-0000-000000000001",
   "name":"Say \"hi\", twice",
   "operationtype@OData.Community.Display.V1.FormattedValue":"Workflow","operationtype":10,
   "statecode@OData.Community.Display.V1.FormattedValue":"Completed","statecode":3,"statuscode":31,
   "startedon@OData.Community.Display.V1.FormattedValue":"5/1/2024 12:00 PM",
   "startedon":"2024-05-01T10:00:00.25Z",
   "_ownerid_value@OData.Community.Display.V1.FormattedValue":"Kari Nordmann",
   "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"systemuser",
   "_ownerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty":"ownerid",
   "_ownerid_value":"00000000-0000-0000-0000-0000000000aa",
   "errorcode":-2147220891},
  {"@odata.etag":"W/\"5013\"",
   "asyncoperationid":"00000000-0000-0000-0000-000000000002","name":null,"operationtype":1,
   "statecode":0,"statuscode":0,"startedon":null,
   "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"team",
   "_ownerid_value":"00000000-0000-0000-0000-0000000000aa","errorcode":null}
 ]}"#;

#[test]
fn every_text_format_gives_the_same_rows() {
    let array = format!("[{}]", LINES.trim().replace("\n\n", ","));
    let files = [
        ("asyncoperation.csv", CSV.to_owned()),
        ("asyncoperations.csv.gz", format!("\u{feff}{}", CSV.replace('\n', "\r\n"))),
        ("asyncoperation.jsonl", LINES.to_owned()),
        ("asyncoperation.jsonl.gz", LINES.replace('\n', "\r\n")),
        ("asyncoperation.json", array),
        ("export.json", ANSWER.to_owned()),
        ("export.json.gz", ANSWER.to_owned()),
    ];
    for (name, content) in files {
        println!("{name}");
        let (kept, report) = imported(name, content.as_bytes());
        check_two_jobs(&kept, &report);
    }
}

#[test]
fn parquet_gives_the_same_rows() {
    let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let guids = |a: u8, b: u8| {
        let guid = |last: u8| {
            let mut bytes = [0; 16];
            bytes[15] = last;
            bytes
        };
        let ids = FixedSizeBinaryArray::try_from_iter([guid(a), guid(b)].into_iter());
        Arc::new(ids.expect("16 bytes each")) as ArrayRef
    };
    let first_start = 1_714_557_600_250;
    let start = TimestampMillisecondArray::from(vec![Some(first_start), None]).with_timezone("UTC");
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("asyncoperationid", guids(1, 2), false),
        ("name", text(vec![Some("Say \"hi\", twice"), None]), true),
        ("operationtype", Arc::new(Int64Array::from(vec![10, 1])) as ArrayRef, true),
        ("statuscode", text(vec![Some("31"), Some("Waiting For Resources")]), true),
        ("startedon", Arc::new(start) as ArrayRef, true),
        ("ownerid", text(vec![Some(OWNER), Some(OWNER)]), true),
        ("owneridtype", text(vec![None, Some("team")]), true),
        ("owneridname", text(vec![Some("Kari Nordmann"), None]), true),
        ("errorcode", Arc::new(Int64Array::from(vec![Some(-2147220891), None])) as ArrayRef, true),
    ])
    .expect("a batch");
    let files = Files::new();
    let (kept, report) = import(&parquet(&files, &batch), None).expect("imports");
    check_two_jobs(&kept, &report);
}

fn parquet(files: &Files, batch: &RecordBatch) -> PathBuf {
    let path = files.file("asyncoperation.parquet", b"");
    let file = File::create(&path).expect("writable");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a schema");
    writer.write(batch).expect("writes");
    writer.close().expect("closes");
    path
}

#[test]
fn parquet_rows_at_fault_are_put_aside_as_json_lines() {
    let batch = RecordBatch::try_from_iter([
        ("asyncoperationid", Arc::new(StringArray::from(vec![ID1, ID2])) as ArrayRef),
        ("statuscode", Arc::new(Int64Array::from(vec![30, 99])) as ArrayRef),
    ])
    .expect("a batch");
    let files = Files::new();
    let (_, report) = import(&parquet(&files, &batch), None).expect("imports");
    assert_eq!((report.loaded, report.rejected, report.first_rejections[0].line), (1, 1, 2));
    let rejected = std::fs::read_to_string(report.rejected_file.expect("one")).expect("text");
    assert_eq!(
        rejected,
        format!(
            "{{\"@rejected\":\"line 2: statuscode 99 belongs to no statecode\",\
             \"asyncoperationid\":\"{ID2}\",\"statuscode\":99}}\n"
        )
    );
    let renamed = RecordBatch::try_from_iter([("statuscod", batch.column(1).clone())]).expect("ok");
    let error = import(&parquet(&files, &renamed), None).err().expect("refused").to_string();
    assert!(error.contains("did you mean 'statuscode'"), "{error}");
}

#[test]
fn rows_that_are_there_are_replaced_and_counted() {
    let files = Files::new();
    let path = files.file("asyncoperation.csv", CSV.as_bytes());
    let mut kept = Kept::new();
    let catalog = Catalog::built_in();
    let mut run = || import_file(&path, None, &catalog, &mut kept, &mut |_| {}).expect("imports");
    assert_eq!((run().loaded, run().replaced), (2, 2));
    let twice = format!("{CSV}{}\n", CSV.lines().nth(1).expect("a row"));
    let (_, report) = imported("asyncoperation.csv", twice.as_bytes());
    assert_eq!((report.loaded, report.replaced), (3, 1));
}

#[test]
fn many_rows_come_in_several_batches_and_progress_is_told() {
    let mut csv = "asyncoperationid,statuscode,depth\n".to_owned();
    for i in 0..70_000 {
        // The column is first met in the second half of a batch.
        let depth = if i == 40_000 { "5" } else { "" };
        csv.push_str(&format!("00000000-0000-0000-0000-{i:012},30,{depth}\n"));
    }
    let files = Files::new();
    let path = files.file("asyncoperation.csv", csv.as_bytes());
    let mut kept = Kept::new();
    let mut told = Vec::new();
    import_file(&path, None, &Catalog::built_in(), &mut kept, &mut |p| told.push(p))
        .expect("imports");
    let sizes: Vec<usize> = kept.batches("asyncoperation").map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [65_536, 4_464]);
    let depths = kept.column("asyncoperation", "depth");
    assert_eq!(depths.iter().position(|d| d == "5"), Some(40_000));
    assert_eq!(depths.iter().filter(|d| *d == "-").count(), 69_999);
    assert!(told.is_sorted_by_key(|p| (p.bytes_read, p.rows)));
    let last = told.last().expect("told");
    assert_eq!((last.bytes_read, last.rows), (csv.len() as u64, 70_000));
}

#[test]
fn the_table_comes_from_the_caller_then_the_context_then_the_name() {
    let user = format!("[{{\"systemuserid\":\"{ID1}\",\"fullname\":\"Kari\"}}]");
    let files = Files::new();
    let path = files.file("asyncoperation.json", user.as_bytes());
    let (kept, _) = import(&path, Some("SystemUsers")).expect("imports");
    assert_eq!(kept.column("systemuser", "fullname"), ["Kari"]);

    let answer =
        format!("{{\"@odata.context\":\"x/$metadata#systemusers(fullname)\",\"value\":{user}}}");
    let (kept, _) = imported("asyncoperation.json", answer.as_bytes());
    assert_eq!(kept.rows("systemuser"), 1);

    assert!(refused("export.json", user.as_bytes()).contains("--table"));
    let unknown = import(&path, Some("systemusr")).err().expect("refused").to_string();
    assert!(unknown.contains("'systemusr'") && unknown.contains("did you mean 'systemuser'"));
    let answer = answer.replace("#systemusers", "#systemuserz");
    assert!(refused("x.json", answer.as_bytes()).contains("'systemuserz'"));
}
