//! The surface as clients meet it: a real socket, a real store, plain HTTP.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value as Json;
use ureq::http::{Request, Response};

use crate::catalog::Catalog;
use crate::service::Service;
use crate::store::{Change, Store};
use crate::value::{Value, guid_text};

const USER: [u8; 16] = [0xaa; 16];

struct Server {
    address: SocketAddr,
    agent: ureq::Agent,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: u16,
    response: Response<()>,
    text: String,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |v| v.to_str().expect("ASCII"))
    }

    fn rows(&self) -> Vec<Json> {
        self.json()["value"].as_array().unwrap_or_else(|| panic!("{}", self.text)).clone()
    }

    fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_else(|| panic!("{}", self.text)).into()
    }
}

/// Job `i` has this id; ids sort as their numbers.
fn job_id(i: u32) -> [u8; 16] {
    let mut id = [0; 16];
    id[12..].copy_from_slice(&i.to_be_bytes());
    id
}

/// One user, and jobs 0, 1, … of which the even ones are completed.
fn server(jobs: u32) -> Server {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let catalog = Arc::new(Catalog::built_in());
    let store = Arc::new(Store::open(dir.path(), catalog.clone()).expect("a new folder"));
    let insert = |table: &str, values: Vec<(&str, Value)>| {
        let number = catalog.table_index(table).expect("built in");
        let column = |name| catalog.tables()[number].column_index(name).expect("documented");
        let values = values.into_iter().map(|(name, value)| (column(name), value)).collect();
        Change::Insert { table: number, values }
    };
    let text = |text: &str| Value::Text(text.into());
    let mut changes = vec![insert(
        "systemuser",
        vec![("systemuserid", Value::Guid(USER)), ("fullname", text("Ann Example"))],
    )];
    changes.extend((0..jobs).map(|i| {
        let done = i % 2 == 0;
        insert(
            "asyncoperation",
            vec![
                ("asyncoperationid", Value::Guid(job_id(i))),
                ("name", text(&format!("job {i}"))),
                ("operationtype", Value::Int32(10)),
                ("statecode", Value::Int32(if done { 3 } else { 0 })),
                ("statuscode", Value::Int32(if done { 30 } else { 0 })),
                ("createdon", Value::Time(i64::from(i) * 1_000_000 + 5)),
                ("ownerid", Value::Guid(USER)),
                ("owneridtype", Value::Int32(8)),
                ("owninguser", Value::Guid(USER)),
            ],
        )
    }));
    store.commit_blocking(changes).expect("durable");
    let service = Arc::new(Service::new(store));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket option");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("in a runtime");
            let shutdown = async { stopped.await.unwrap_or_default() };
            super::serve(listener, service, shutdown).await.expect("serves to the end");
        });
    });
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    Server { address, agent, stop: Some(stop), thread: Some(thread), _dir: dir }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the server thread failed");
        }
    }
}

impl Server {
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("http://{}{path}", self.address)
        };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            "" => self.agent.run(request.body(()).expect("a request")),
            _ => self.agent.run(request.body(body).expect("a request")),
        };
        let (parts, mut body) = response.expect("an answer").into_parts();
        let text = body.with_config().limit(1 << 30).read_to_string().expect("a whole body");
        Answer { status: parts.status.as_u16(), response: Response::from_parts(parts, ()), text }
    }

    /// GET below the Web API's base.
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", &format!("/api/data/v9.2/{path}"), headers, "")
    }

    fn base(&self) -> String {
        format!("http://{}/api/data/v9.2/", self.address)
    }
}

fn fetch(xml: &str) -> String {
    let encode = percent_encoding::NON_ALPHANUMERIC;
    format!("asyncoperations?fetchXml={}", percent_encoding::utf8_percent_encode(xml, encode))
}

const ALL: (&str, &str) = ("Prefer", "odata.include-annotations=\"*\"");

#[test]
fn a_select_has_context_columns_and_headers() {
    let server = server(3);
    let answer = server.get("asyncoperations?$select=name,ownerid&$filter=statecode%20eq%200", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json; odata.metadata=minimal");
    assert_eq!(answer.header("odata-version"), "4.0");
    assert!(!answer.header("x-ms-service-request-id").is_empty());
    assert_eq!(answer.header("preference-applied"), "");
    let expected = format!(
        concat!(
            r#"{{"@odata.context":"{}$metadata#asyncoperations(name,_ownerid_value)","value":["#,
            r#"{{"name":"job 1","_ownerid_value":"{}","asyncoperationid":"{}"}}]}}"#
        ),
        server.base(),
        guid_text(&USER),
        guid_text(&job_id(1)),
    );
    assert_eq!(answer.text, expected);
}

#[test]
fn annotations_and_expanded_rows() {
    let server = server(1);
    let path = "asyncoperations?$select=statecode,ownerid&$expand=owninguser($select=fullname)";
    let answer = server.get(path, &[ALL]);
    assert_eq!(answer.header("preference-applied"), "odata.include-annotations=\"*\"");
    let row = &answer.rows()[0];
    assert_eq!(row["statecode@OData.Community.Display.V1.FormattedValue"], "Completed");
    assert_eq!(row["_ownerid_value@OData.Community.Display.V1.FormattedValue"], "Ann Example");
    assert_eq!(row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], "systemuser");
    assert_eq!(row["owninguser"]["fullname"], "Ann Example");
    let context = answer.json()["@odata.context"].as_str().expect("text").to_owned();
    assert!(context.ends_with("#asyncoperations(statecode,_ownerid_value,owninguser(fullname))"));
    assert!(!row.as_object().expect("a row").contains_key("owneridname"), "{row}");
}

#[test]
fn pages_are_linked_and_join_to_the_whole() {
    let server = server(7);
    let first = server.get(
        "asyncoperations?%24select=name&$filter=contains(name,'job')&$count=true&$top=1",
        &[("Prefer", "odata.maxpagesize=3")],
    );
    assert_eq!(first.header("preference-applied"), "odata.maxpagesize=3");
    assert_eq!(first.json()["@odata.count"], 7);
    let mut names = BTreeSet::new();
    let mut sizes = Vec::new();
    let mut page = first;
    loop {
        sizes.push(page.rows().len());
        names.extend(page.rows().iter().map(|r| r["name"].as_str().expect("text").to_owned()));
        let json = page.json();
        let Some(link) = json["@odata.nextLink"].as_str() else { break };
        assert!(link.starts_with(&server.base()), "{link}");
        // Not repeated: the link keeps the page size.
        page = server.send("GET", link, &[], "");
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(names.len(), 7);
}

#[test]
fn top_alone_has_no_link_and_a_full_last_page_neither() {
    let server = server(4);
    let top = server.get("asyncoperations?$top=2", &[]);
    assert_eq!(top.rows().len(), 2);
    assert!(!top.text.contains("nextLink"));
    let exact = server.get("asyncoperations", &[("Prefer", "odata.maxpagesize=4")]);
    assert_eq!(exact.rows().len(), 4);
    assert!(!exact.text.contains("nextLink"));
}

#[test]
fn long_answers_are_streamed_and_cut_at_the_page_size() {
    let server = server(5001);
    let answer = server.get("asyncoperations", &[]);
    assert_eq!(answer.header("transfer-encoding"), "chunked");
    assert_eq!(answer.rows().len(), 5000);
    let link = answer.json()["@odata.nextLink"].as_str().expect("one more row").to_owned();
    let last = server.send("GET", &link, &[], "");
    assert_eq!(last.rows().len(), 1);
    assert_eq!(last.header("transfer-encoding"), "", "one piece has a length");
    let all = server.get("asyncoperations?$select=name&$top=6000", &[]);
    assert_eq!(all.rows().len(), 5001);
}

#[test]
fn fetchxml_pages_by_cookie() {
    let server = server(5);
    let page = |number: u32| {
        let xml = format!(
            "<fetch count=\"2\" page=\"{number}\"><entity name=\"asyncoperation\"><attribute name=\"name\"/></entity></fetch>"
        );
        server.get(&fetch(&xml), &[ALL]).json()
    };
    let first = page(1);
    assert_eq!(first["@Microsoft.Dynamics.CRM.morerecords"], true);
    assert_eq!(first["@Microsoft.Dynamics.CRM.totalrecordcount"], -1);
    let cookie = first["@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"].as_str().expect("text");
    assert!(cookie.starts_with("<cookie pagenumber=\"2\" pagingcookie=\"%253C"), "{cookie}");
    let last = page(3);
    assert_eq!(last["value"].as_array().expect("rows").len(), 1);
    assert_eq!(last["@Microsoft.Dynamics.CRM.morerecords"], false);
    assert!(last.get("@Microsoft.Dynamics.CRM.fetchxmlpagingcookie").is_none());
}

#[test]
fn fetchxml_counts_with_labels_and_leaves_nulls_out() {
    let server = server(3);
    let xml = concat!(
        "<fetch aggregate='true'><entity name='asyncoperation'>",
        "<attribute name='asyncoperationid' alias='jobs' aggregate='count'/>",
        "<attribute name='statecode' alias='state' groupby='true'/>",
        "<order alias='jobs' descending='true'/></entity></fetch>"
    );
    let answer = server.get(&fetch(xml), &[ALL]);
    let row = &answer.rows()[0];
    assert_eq!((&row["jobs"], &row["state"]), (&Json::from(2), &Json::from(3)));
    assert_eq!(row["state@OData.Community.Display.V1.FormattedValue"], "Completed");
    assert_eq!(row["state@OData.Community.Display.V1.AttributeName"], "statecode");
    assert!(answer.json()["@odata.context"].as_str().expect("text").ends_with("#asyncoperations"));
    let plain = "<fetch top='1'><entity name='asyncoperation'><attribute name='name'/><attribute name='message'/></entity></fetch>";
    assert!(server.get(&fetch(plain), &[]).rows()[0].get("message").is_none());
    let counted = "<fetch returntotalrecordcount='true' count='1'><entity name='asyncoperation'><attribute name='name'/></entity></fetch>";
    let counted = server.get(&fetch(counted), &[ALL]).json();
    assert_eq!(counted["@Microsoft.Dynamics.CRM.totalrecordcount"], 3);
    assert_eq!(counted["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"], false);
}

#[test]
fn options_come_in_a_body_too() {
    let server = server(3);
    let body = "$apply=groupby((statecode),aggregate($count as jobs))&$orderby=statecode";
    for kind in ["text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"] {
        let path = "/api/data/v9.2/asyncoperations/$query";
        let answer = server.send("POST", path, &[("Content-Type", kind)], body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.rows()[0]["jobs"], 1);
        assert_eq!(answer.rows()[1]["jobs"], 2);
    }
    let json = server.send(
        "POST",
        "/api/data/v9.2/asyncoperations/$query",
        &[("Content-Type", "application/json")],
        "{}",
    );
    assert_eq!(json.status, 415);
    let page = server.send(
        "POST",
        "/api/data/v9.2/asyncoperations/$query",
        &[("Prefer", "odata.maxpagesize=2"), ("Content-Type", "text/plain")],
        "$select=name&$filter=startswith(name,'job')",
    );
    let link = page.json()["@odata.nextLink"].as_str().expect("a third job").to_owned();
    assert_eq!(server.send("GET", &link, &[], "").rows().len(), 1);
}

#[test]
fn counts_are_bare_numbers() {
    let server = server(5);
    let count = server.get("asyncoperations/$count", &[]);
    assert_eq!((count.text.as_str(), count.header("content-type")), ("5", "text/plain"));
    let some = server.get("asyncoperations/$count?$filter=statecode+eq+0", &[]);
    assert_eq!(some.text, "2");
    let refused = server.get("asyncoperations/$count?$top=1", &[]);
    assert_eq!(refused.status, 400);
    assert!(refused.message().contains("'$top'"), "{}", refused.text);
}

#[test]
fn one_row_by_its_key() {
    let server = server(3);
    let id = guid_text(&job_id(2));
    let row = server.get(&format!("asyncoperations({})?$select=name", id.to_uppercase()), &[]);
    assert_eq!(
        row.text,
        format!(
            r#"{{"@odata.context":"{}$metadata#asyncoperations(name)/$entity","name":"job 2","asyncoperationid":"{id}"}}"#,
            server.base()
        )
    );
    let missing = server.get(&format!("asyncoperations({})", guid_text(&job_id(9))), &[]);
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &"0x80040217".into()));
    assert!(missing.message().contains(&guid_text(&job_id(9))));
    assert_eq!(server.get(&format!("asyncoperations({id})?$filter=x"), &[]).status, 400);
}

#[test]
fn errors_name_what_is_wrong() {
    let server = server(1);
    let entity = fetch("<fetch><entity name='workflow'/></fetch>");
    let unknown = fetch("<fetch><entity name='asyncoperatio'/></fetch>");
    let typo = fetch(
        "<fetch>\n<entity name='asyncoperation'>\n<attribute name='statuscod'/></entity></fetch>",
    );
    for (path, status, code, part) in [
        ("asyncoperation", 404, "0x8006088a", "'asyncoperations'"),
        ("asyncoperations?$select=nam", 400, "0x80060888", "'name'"),
        ("asyncoperations?$skip=1", 400, "", "$skip"),
        ("asyncoperations?$skiptoken=7", 400, "0x8004112a", "$skiptoken"),
        (&entity, 400, "0x80041128", "'workflow'"),
        (&unknown, 400, "0x80041102", "'asyncoperation'"),
        (&typo, 400, "0x80041103", "line 3: attribute 'statuscod'"),
        ("$batch", 501, "0x80040315", "'$batch'"),
    ] {
        let answer = server.get(path, &[]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.message().contains(part), "{path}: {}", answer.text);
        let given = answer.json()["error"]["code"].as_str().expect("text").to_owned();
        assert!(code.is_empty() || given == code, "{path}: {given}");
    }
    let old = server.send("GET", "/api/data/v8.2/asyncoperations", &[], "");
    assert_eq!((old.status, old.message().contains("'v8.2'")), (404, true));
    assert_eq!(server.send("GET", "/nowhere", &[], "").status, 404);
    let long = format!("asyncoperations?$filter={}", "x".repeat(33_000));
    assert_eq!(server.get(&long, &[]).status, 414);
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let server = server(0);
    let body = "x".repeat(crate::service::Limits::default().body_bytes + 1);
    let answer = server.send("POST", "/api/data/v9.2/asyncoperations/$query", &[], &body);
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert!(answer.message().contains("67108864 bytes"), "{}", answer.text);
}

#[test]
fn other_methods_are_refused_by_name() {
    let server = server(1);
    let row = format!("/api/data/v9.2/asyncoperations({})", guid_text(&job_id(0)));
    for (method, path, status, part) in [
        ("POST", "/api/data/v9.2/asyncoperations", 405, "'Create'"),
        ("POST", "/api/data/v9.2/accounts", 501, "'accounts'"),
        ("DELETE", "/api/data/v9.2/asyncoperations", 405, "DELETE"),
        ("PATCH", row.as_str(), 501, "PATCH"),
        ("DELETE", row.as_str(), 501, "DELETE"),
        ("GET", "/api/data/v9.2/asyncoperations/$query", 405, "POST"),
        ("POST", "/healthz", 405, "/healthz"),
    ] {
        let answer = server.send(method, path, &[], "");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(answer.message().contains(part), "{method} {path}: {}", answer.text);
    }
}

#[test]
fn what_needs_no_rows() {
    let server = server(0);
    assert_eq!(server.send("GET", "/healthz", &[], "").text, "ok\n");
    assert_eq!(server.send("GET", "/readyz", &[], "").text, "ready\n");
    for path in ["/api/data/v9.2", "/api/data/v9.0/"] {
        let document = server.send("GET", path, &[], "").json();
        assert_eq!(document["value"][0]["url"], "asyncoperations");
        assert_eq!(document["value"][0]["kind"], "EntitySet");
    }
    assert_eq!(server.get("WhoAmI", &[]).json(), server.get("WhoAmI()", &[]).json());
    assert!(server.get("WhoAmI", &[]).json()["UserId"].is_string());
    assert_eq!(server.get("RetrieveVersion()", &[]).json()["Version"], "9.2.0.0");
    let metadata = server.get("$metadata", &[]);
    assert_eq!(metadata.header("content-type"), "application/xml");
    assert!(metadata.text.contains("<EntitySet Name=\"asyncoperations\""));
    assert!(server.get("asyncoperations", &[]).text.ends_with(r#""value":[]}"#));
}

/// The request line of a printed request: what stands before the headers.
fn printed_target(text: &str) -> String {
    let is_header = |line: &&str| {
        line.split_once(": ")
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_alphabetic() || c == '-'))
    };
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|l| !is_header(l)).collect();
    let whole = lines.concat().replace(' ', "%20");
    whole.split_once("/api/data/v9.2/").expect("a Web API address").1.to_owned()
}

#[test]
fn the_documented_questions_are_answered_alike_in_both_dialects() {
    let server = server(7);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let mut asked = 0;
    for question in std::fs::read_dir(folder).expect("the questions") {
        let path = question.expect("readable").path();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).ok();
        let (Some(odata), Some(xml)) = (read("odata.txt"), read("fetch.xml")) else { continue };
        let odata = server.get(&printed_target(&odata), &[ALL]);
        let xml = server.get(&fetch(&xml), &[ALL]);
        assert_eq!((odata.status, xml.status), (200, 200), "{path:?} {} {}", odata.text, xml.text);
        assert_eq!(odata.rows().len(), xml.rows().len(), "{path:?}");
        asked += 1;
    }
    assert!(asked >= 8, "only {asked} questions were found");
}
