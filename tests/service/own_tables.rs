//! An organization's own table from a catalog file: imported, served and joined
//! in every dialect; without the file its rows rest untouched.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::Service;

const CATALOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/widget.json");

const ACCOUNT: &str = "aaaaaaaa-0000-0000-0000-000000000001";
const WIDGET: &str = "bbbbbbbb-0000-0000-0000-000000000001";
const OTHER: &str = "bbbbbbbb-0000-0000-0000-000000000002";

fn sysjob(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .arg(arguments[0])
        .arg("--data-dir")
        .arg(folder)
        .args(&arguments[1..])
        .output()
        .expect("sysjob runs")
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn ask(folder: &Path, text: &str) -> String {
    let output = sysjob(folder, &["query", "--catalog", CATALOG, "--format", "csv", "-e", text]);
    assert!(output.status.success(), "{text}: {}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// An account, two widgets, and a job about one of them.
fn import(folder: &Path) {
    let files = [
        ("account.jsonl", format!(r#"{{"accountid":"{ACCOUNT}","name":"Contoso"}}"#)),
        (
            "new_widget.csv",
            format!(
                "new_widgetid,new_name,new_color,new_accountid,new_weight,new_made\n\
                 {WIDGET},Bolt,100000000,{ACCOUNT},1.250,2024-05-01T10:00:00Z\n\
                 {OTHER},Nut,100000001,,,\n"
            ),
        ),
        (
            "asyncoperation.jsonl",
            format!(
                r#"{{"asyncoperationid":"cccccccc-0000-0000-0000-000000000001","name":"about it","operationtype":10,"statecode":3,"statuscode":30,"regardingobjectid":"{WIDGET}","regardingobjecttypecode":"new_widget"}}"#
            ),
        ),
    ];
    let inputs = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let file = inputs.path().join(name);
        std::fs::write(&file, text).expect("written");
        let file = file.display().to_string();
        let output = sysjob(folder, &["import", "--catalog", CATALOG, &file]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(" 0 rejected"), "{}", said(&output));
    }
}

#[test]
fn own_tables_are_asked_in_every_dialect() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    import(folder.path());
    let expected = "new_name,account\nBolt,Contoso\n";
    for text in [
        "SELECT w.new_name, a.name AS account FROM new_widget w \
         JOIN account a ON a.accountid = w.new_accountid WHERE w.new_colorname = 'Red'",
        "<fetch><entity name='new_widget'><attribute name='new_name' alias='new_name'/>\
         <filter><condition attribute='new_color' operator='eq' value='100000000'/></filter>\
         <link-entity name='account' from='accountid' to='new_accountid'>\
         <attribute name='name' alias='account'/></link-entity></entity></fetch>",
    ] {
        let answer = ask(folder.path(), text);
        let kept: Vec<&str> = answer.lines().filter(|l| !l.is_empty()).collect();
        assert!(kept.iter().any(|l| l.contains("Bolt") && l.contains("Contoso")), "{answer}");
        assert_eq!(kept.len(), expected.lines().count(), "{answer}");
    }
    let jobs = ask(
        folder.path(),
        "SELECT j.regardingobjecttypecode, w.new_name FROM asyncoperation j \
         JOIN new_widget w ON w.new_widgetid = j.regardingobjectid \
         WHERE j.regardingobjecttypecode = 'new_widget'",
    );
    assert!(jobs.contains("new_widget,Bolt"), "{jobs}");

    let service = Service::start(folder.path(), &["--no-scheduler", "--catalog", CATALOG]);
    let (status, answer) = service.get(
        "new_widgets",
        &[
            ("$select", "new_name,new_weight"),
            ("$filter", "new_AccountId/name eq 'Contoso'"),
            ("$expand", "new_AccountId($select=name)"),
        ],
    );
    assert_eq!(status, 200, "{answer}");
    let [row] = answer["value"].as_array().expect("rows").as_slice() else { panic!("{answer}") };
    assert_eq!(row["new_name"], "Bolt");
    assert_eq!(row["new_AccountId"]["name"], "Contoso");
    let (status, answer) =
        service.get("asyncoperations", &[("$filter", "regardingobjecttypecode eq 'new_widget'")]);
    assert_eq!((status, answer["value"].as_array().map(Vec::len)), (200, Some(1)), "{answer}");
    assert_eq!(answer["value"][0]["regardingobjecttypecode"], "new_widget");
    let (status, table) = service.get("EntityDefinitions(LogicalName='new_widget')", &[]);
    assert_eq!((status, &table["IsCustomEntity"]), (200, &true.into()));
    assert_eq!(table["DisplayCollectionName"]["UserLocalizedLabel"]["Label"], "Widgets");
    let (_, metadata) = service.get("$metadata", &[]);
    let metadata = metadata.as_str().expect("a document");
    for part in [
        r#"<EntitySet Name="new_widgets" EntityType="mscrm.new_widget">"#,
        r#"Name="regardingobjectid_new_widget" Type="mscrm.new_widget" Partner="new_widget_AsyncOperations""#,
    ] {
        assert!(metadata.contains(part), "{part}");
    }
    if let Some((success, out, error)) =
        service.psql(&["-t", "-c", "SELECT new_name FROM new_widget ORDER BY new_name"])
    {
        assert!(success, "{error}");
        assert_eq!(out, "Bolt\nNut\n");
    }
}

#[test]
fn rows_of_a_table_without_its_file_rest_untouched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    import(folder.path());
    let without = |text: &str| sysjob(folder.path(), &["query", "--format", "csv", "-e", text]);
    let unknown = without("SELECT new_name FROM new_widget");
    assert!(!unknown.status.success());
    assert!(said(&unknown).contains("new_widget"), "{}", said(&unknown));
    // The name behind the code stays known, and the folder takes new rows.
    let jobs = without("SELECT regardingobjecttypecode FROM asyncoperation");
    assert_eq!(String::from_utf8_lossy(&jobs.stdout), "regardingobjecttypecode\nnew_widget\n");
    let inputs = tempfile::tempdir().expect("a temporary folder");
    let file = inputs.path().join("team.csv");
    std::fs::write(&file, "teamid,name\ndddddddd-0000-0000-0000-000000000001,Red\n")
        .expect("written");
    let output = sysjob(folder.path(), &["import", &file.display().to_string()]);
    assert!(output.status.success(), "{}", said(&output));
    let widgets = ask(folder.path(), "SELECT new_name FROM new_widget ORDER BY new_name");
    assert_eq!(widgets, "new_name\nBolt\nNut\n");
}

#[test]
fn a_catalog_that_does_not_fit_the_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    import(folder.path());
    let text = std::fs::read_to_string(CATALOG).expect("the catalog file");
    let with = |text: String| {
        let inputs = tempfile::tempdir().expect("a temporary folder");
        let file = inputs.path().join("catalog.json");
        std::fs::write(&file, text).expect("written");
        let file = file.display().to_string();
        let question = "SELECT count(*) FROM new_widget";
        said(&sysjob(folder.path(), &["query", "--catalog", &file, "-e", question]))
    };
    let other_type = text.replace(r#""type": "Decimal""#, r#""type": "Integer""#);
    let error = with(other_type);
    assert!(error.contains("'new_weight' had another type"), "{error}");
    let other_name = text.replace("new_widget", "new_gadget");
    let error = with(other_name);
    assert!(error.contains("10042 as 'new_widget', the catalog as 'new_gadget'"), "{error}");
    let error = with(text.replace("\"columns\"", "\"colums\""));
    assert!(error.contains("unknown field `colums`"), "{error}");
    assert!(error.contains("catalog.json"), "{error}");
    let other_code = text.replace("10042", "10099");
    assert!(with(other_code).contains('2'), "another code for the same name is understood");
}

/// What dataverse-api asks of every table before it does anything.
#[test]
fn messages_say_what_a_table_takes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &["--no-scheduler", "--catalog", CATALOG]);
    for (table, expected) in [
        ("new_widget", &["CreateMultiple", "UpdateMultiple", "UpsertMultiple"][..]),
        ("asyncoperation", &["UpdateMultiple"]),
        ("nobody", &[]),
    ] {
        let filter = format!(
            "(sdkmessageid/name eq 'CreateMultiple' or sdkmessageid/name eq 'UpdateMultiple' or sdkmessageid/name eq 'UpsertMultiple') and primaryobjecttypecode eq '{table}'"
        );
        let (status, answer) = service.get(
            "sdkmessagefilters",
            &[
                ("$select", "sdkmessagefilterid"),
                ("$expand", "sdkmessageid($select=name)"),
                ("$filter", &filter),
            ],
        );
        assert_eq!(status, 200, "{answer}");
        let rows = answer["value"].as_array().expect("rows");
        let mut names: Vec<_> =
            rows.iter().filter_map(|r| r["sdkmessageid"]["name"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{table}");
    }
}
