//! Walks over all pages, by link and by cookie over real HTTP, while rows come, go
//! and change: every row that is there from start to end is met exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value as Json;
use sysjob::catalog::Catalog;
use sysjob::clock::SystemClock;
use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Handler, JobColumns};
use sysjob::scheduler::{Policies, Scheduler};
use sysjob::service::Service;
use sysjob::store::{Change, Store};
use sysjob::value::{Guid, Value, guid_text};

/// Rows at the start, of which the scheduler runs as many again.
const ROWS: u32 = 120;
const PAGE: usize = 7;
/// More pages than any walk has, should one go in circles.
const PAGES_MAX: usize = 400;
const USERS: [&str; 4] = ["Ann", "ÅSE", "ase", "Bo <&> \"x\""];
/// Texts that sort alike, have to be escaped, or are missing.
const TEXTS: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("Ärger"),
    Some("arger "),
    Some("b & <c> '\"%41+"),
    Some("line\nbreak\ttab"),
    Some("zebra"),
    None,
];

struct Table {
    store: Arc<Store>,
    /// Rows the scheduler does not know, and their number at the next insert.
    live: BTreeMap<u32, Guid>,
    next: u32,
}

/// Scattered, so that new rows come before and after the page that is read.
fn id(number: u32) -> Guid {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B1).to_be_bytes());
    id[12..].copy_from_slice(&number.to_be_bytes());
    id
}

fn user(number: usize) -> Guid {
    [number as u8 + 1; 16]
}

impl Table {
    fn new(store: Arc<Store>) -> Self {
        let catalog = store.catalog().clone();
        let users = catalog.table_index("systemuser").expect("built in");
        let column = |name| catalog.tables()[users].column_index(name).expect("documented");
        let changes = USERS.iter().enumerate().map(|(n, name)| Change::Insert {
            table: users,
            values: vec![
                (column("systemuserid"), Value::Guid(user(n))),
                (column("fullname"), Value::Text((*name).into())),
            ],
        });
        store.commit_blocking(changes.collect()).expect("durable");
        let mut table = Self { store, live: BTreeMap::new(), next: 0 };
        table.insert(ROWS);
        table
    }

    fn number(&self) -> usize {
        self.store.catalog().table_index("asyncoperation").expect("built in")
    }

    fn insert(&mut self, rows: u32) {
        let table = self.number();
        let catalog = self.store.catalog().clone();
        let column = |name| catalog.tables()[table].column_index(name).expect("documented");
        let mut changes = Vec::new();
        for _ in 0..rows {
            let n = self.next;
            let pick = n.wrapping_mul(0x85EB_CA6B) >> 8;
            let text = |shift: u32| {
                TEXTS[(pick >> shift) as usize % TEXTS.len()]
                    .map_or(Value::Null, |t| Value::Text(t.into()))
            };
            let owner = user(pick as usize % USERS.len());
            changes.push(Change::Insert {
                table,
                values: vec![
                    (column("asyncoperationid"), Value::Guid(id(n))),
                    (column("name"), text(3)),
                    (column("message"), text(7)),
                    (column("operationtype"), Value::Int32([10, 1, 54][pick as usize % 3])),
                    // Within one second: the fraction decides.
                    (
                        column("createdon"),
                        Value::Time(1_700_000_000_000_000 + i64::from(pick % 50)),
                    ),
                    (
                        column("executiontimespan"),
                        match pick % 5 {
                            0 => Value::Null,
                            x => Value::Float64(f64::from(x) / 3.0),
                        },
                    ),
                    (column("statecode"), Value::Int32(3)),
                    (column("statuscode"), Value::Int32(30)),
                    (column("ownerid"), Value::Guid(owner)),
                    (column("owneridtype"), Value::Int32(8)),
                    (column("owninguser"), Value::Guid(owner)),
                ],
            });
            self.live.insert(n, id(n));
            self.next += 1;
        }
        self.store.commit_blocking(changes).expect("durable");
    }

    /// What others do between two pages: new rows, rows that go, rows that change.
    fn disturb(&mut self, step: u32) {
        self.insert(2);
        let table = self.number();
        let column =
            self.store.catalog().tables()[table].column_index("statuscode").expect("documented");
        let numbers: Vec<u32> = self.live.keys().copied().collect();
        let at = |k: u32| numbers[(step.wrapping_mul(k) as usize) % numbers.len()];
        let gone: BTreeSet<u32> = [at(37), at(101)].into();
        let mut changes: Vec<Change> =
            gone.iter().map(|n| Change::Delete { table, id: self.live[n] }).collect();
        let changed = numbers.iter().filter(|n| !gone.contains(n)).step_by(3);
        changes.extend(changed.map(|n| Change::Update {
            table,
            id: self.live[n],
            values: vec![(column, Value::Int32(30 + (step % 3) as i32))],
        }));
        self.store.commit_blocking(changes).expect("durable");
        self.live.retain(|n, _| !gone.contains(n));
    }
}

/// One answer of a walk, and how to ask for the next.
struct Page {
    rows: Vec<Json>,
    next: Option<Question>,
}

#[derive(Clone)]
enum Question {
    Link(String),
    Fetch { xml: String, page: u64, cookie: Option<String> },
}

struct Client {
    address: SocketAddr,
    agent: ureq::Agent,
}

impl Client {
    fn get(&self, url: &str) -> Json {
        let request = self
            .agent
            .get(url)
            .header("Prefer", format!("odata.maxpagesize={PAGE},odata.include-annotations=\"*\""));
        let mut response = request.call().expect("an answer");
        let text = response.body_mut().read_to_string().expect("a body");
        assert_eq!(response.status(), 200, "{url}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn base(&self) -> String {
        format!("http://{}/api/data/v9.2/", self.address)
    }

    fn ask(&self, question: &Question) -> Page {
        match question {
            Question::Link(url) => {
                let answer = self.get(url);
                let next = answer["@odata.nextLink"].as_str().map(|l| Question::Link(l.into()));
                Page { rows: answer["value"].as_array().expect("rows").clone(), next }
            }
            Question::Fetch { xml, page, cookie } => {
                let attributes = match cookie {
                    None => format!("count='{PAGE}'"),
                    Some(cookie) => {
                        let cookie = cookie
                            .replace('&', "&amp;")
                            .replace('<', "&lt;")
                            .replace('"', "&quot;");
                        format!("count='{PAGE}' page='{page}' paging-cookie=\"{cookie}\"")
                    }
                };
                let text = xml.replacen("<fetch", &format!("<fetch {attributes}"), 1);
                let set = if xml.contains("entity name='systemuser'><attribute") {
                    "systemusers"
                } else {
                    "asyncoperations"
                };
                let encoded = percent_encoding::utf8_percent_encode(
                    &text,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                let answer = self.get(&format!("{}{set}?fetchXml={encoded}", self.base()));
                let more = answer["@Microsoft.Dynamics.CRM.morerecords"] == true;
                let cookie = answer["@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"].as_str();
                assert_eq!(more, cookie.is_some(), "a cookie as long as there is more");
                let next = cookie.map(|cookie| Question::Fetch {
                    xml: xml.clone(),
                    page: page + 1,
                    cookie: Some(inner(cookie)),
                });
                Page { rows: answer["value"].as_array().expect("rows").clone(), next }
            }
        }
    }
}

/// The inner cookie, as clients take it out: decoded twice, then cut out.
fn inner(outer: &str) -> String {
    let start = outer.find("pagingcookie=\"").expect("an attribute") + "pagingcookie=\"".len();
    let end = start + outer[start..].find('"').expect("its end");
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned()
    };
    decode(&decode(&outer[start..end]))
}

#[test]
fn every_row_that_stays_is_met_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let store = Arc::new(store);
    let mut table = Table::new(store.clone());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // The scheduler runs jobs of its own all the while.
    let (scheduler, handle) =
        Scheduler::new(store.clone(), Arc::new(SystemClock), Policies::with_concurrency(2));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = runtime.spawn(scheduler.run(stopped.clone()));
    let c = JobColumns::of(store.catalog());
    let job = |n: u32| {
        let simulation = Simulation::new(f64::from(n % 40), SimulatedOutcome::Succeed);
        let data = Value::Text(Handler::simulate(simulation).to_json());
        vec![(c.handler, data), (c.retrycount, Value::Int32(0))]
    };
    runtime.block_on(handle.submit((0..ROWS).map(job).collect())).expect("durable");
    let listener =
        runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let service = Arc::new(Service::new(store.clone()));
    let mut shutdown = stopped.clone();
    let serving = runtime.spawn(sysjob::http::serve(listener, service, async move {
        let _ = shutdown.wait_for(|stop| *stop).await;
    }));
    let client = Client { address, agent: ureq::Agent::new_with_defaults() };

    let set = |options: &str| Question::Link(format!("{}asyncoperations{options}", client.base()));
    let fetch = |inside: &str| Question::Fetch {
        xml: format!(
            "<fetch><entity name='asyncoperation'><attribute name='retrycount'/>{inside}</entity></fetch>"
        ),
        page: 1,
        cookie: None,
    };
    let users = Question::Fetch {
        xml: "<fetch><entity name='systemuser'><attribute name='fullname'/><order attribute='fullname' descending='true'/><link-entity name='asyncoperation' from='ownerid' to='systemuserid' alias='j'><attribute name='asyncoperationid'/><order attribute='message'/></link-entity></entity></fetch>".into(),
        page: 1,
        cookie: None,
    };
    let walks = [
        set(""),
        set("?$select=name&$orderby=name"),
        set("?$select=retrycount&$orderby=name%20desc&$count=true"),
        set("?$select=retrycount&$orderby=message,createdon%20desc"),
        set("?$select=retrycount&$orderby=createdon%20desc"),
        set("?$select=retrycount&$orderby=asyncoperationid%20desc"),
        set("?$select=retrycount&$orderby=_ownerid_value%20desc,operationtype"),
        set("?$select=retrycount&$orderby=owninguser/fullname"),
        set("?$select=retrycount&$orderby=executiontimespan%20desc"),
        fetch(""),
        fetch("<order attribute='createdon'/>"),
        fetch("<order attribute='createdon' descending='true'/><order attribute='name'/>"),
        fetch("<order attribute='name' descending='true'/>"),
        fetch("<order attribute='message'/>"),
        fetch("<order attribute='ownerid' descending='true'/>"),
        fetch(
            "<order attribute='operationtype' descending='true'/><order attribute='executiontimespan'/>",
        ),
        fetch(
            "<link-entity name='systemuser' from='systemuserid' to='ownerid' alias='u' link-type='outer'><order attribute='fullname'/></link-entity>",
        ),
        users,
    ];
    let mut step = 1;
    for first in walks {
        let title = match &first {
            Question::Link(url) => url.clone(),
            Question::Fetch { xml, .. } => xml.clone(),
        };
        let before: BTreeSet<String> = table.live.values().map(guid_text).collect();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut question = Some(first);
        let mut pages = 0;
        while let Some(asked) = question {
            let page = client.ask(&asked);
            for row in &page.rows {
                let id =
                    ["j.asyncoperationid", "asyncoperationid"].iter().find_map(|k| row[k].as_str());
                *seen.entry(id.expect("a row has its key").into()).or_default() += 1;
            }
            assert!(page.rows.len() == PAGE || page.next.is_none(), "{title}: a page is not full");
            question = page.next;
            pages += 1;
            assert!(pages < PAGES_MAX, "{title} has no end");
            table.disturb(step);
            step += 1;
        }
        let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{title}: met again: {twice:?}");
        let after: BTreeSet<String> = table.live.values().map(guid_text).collect();
        let missed: Vec<_> =
            before.intersection(&after).filter(|id| !seen.contains_key(*id)).collect();
        assert!(missed.is_empty(), "{title}: missed {missed:?}");
        assert!(pages > 10, "{title}: only {pages} pages");
    }
    stop.send(true).expect("they listen");
    runtime.block_on(running).expect("ends").expect("well");
    runtime.block_on(serving).expect("ends").expect("well");
}

/// GET with status, whatever it is.
fn status_of(agent: &ureq::Agent, url: &str) -> (u16, Json) {
    let request = agent.get(url).header("Prefer", "odata.include-annotations=\"*\"");
    let mut response = request.call().expect("an answer");
    let text = response.body_mut().read_to_string().expect("a body");
    let json = serde_json::from_str(&text).unwrap_or(Json::String(text));
    (response.status().as_u16(), json)
}

#[test]
fn limits_of_dataverse_are_kept_only_if_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let store = Arc::new(store);
    let mut table = Table::new(store.clone());
    table.insert(5001 - ROWS);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let bases = [false, true].map(|limits| {
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut service = Service::new(store.clone());
        service.settings.dataverse_limits = limits;
        let mut shutdown = stopped.clone();
        runtime.spawn(sysjob::http::serve(listener, Arc::new(service), async move {
            let _ = shutdown.wait_for(|stop| *stop).await;
        }));
        format!("http://{address}/api/data/v9.2/asyncoperations")
    });
    let fetch = |base: &str, xml: &str| {
        let set = percent_encoding::NON_ALPHANUMERIC;
        let text = percent_encoding::utf8_percent_encode(xml, set);
        status_of(&agent, &format!("{base}?fetchXml={text}"))
    };
    let [free, limited] = &bases;
    let total = "@Microsoft.Dynamics.CRM.totalrecordcount";
    let exceeded = "@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded";
    for (base, count, more) in [(free, 5001, false), (limited, 5000, true)] {
        let url = format!("{base}?$select=name&$count=true&$top=1");
        let (_, answer) = status_of(&agent, &url);
        assert_eq!((&answer["@odata.count"], &answer[exceeded]), (&count.into(), &more.into()));
        let xml = "<fetch count='1' returntotalrecordcount='true'><entity name='asyncoperation'><attribute name='name'/></entity></fetch>";
        let (_, answer) = fetch(base, xml);
        assert_eq!((&answer[total], &answer[exceeded]), (&count.into(), &more.into()));
        let (_, answer) = status_of(&agent, &format!("{base}/$count"));
        assert_eq!(answer, count);
        let (_, answer) = status_of(&agent, &format!("{base}?$select=name&$top=5001"));
        assert_eq!(answer["value"].as_array().expect("rows").len(), count as usize);
        // Beyond 50,000 rows Dataverse wants a cookie.
        let xml = "<fetch page='11'><entity name='asyncoperation'><attribute name='name'/></entity></fetch>";
        let (status, answer) = fetch(base, xml);
        assert_eq!(status, if more { 400 } else { 200 }, "{answer}");
        if more {
            assert_eq!(answer["error"]["code"], "0x8004430a");
        }
    }
    // A query's own limit holds everywhere; as many rows as it says are fine.
    let limit = |limit: u32, more: &str| {
        let xml = format!(
            "<fetch aggregate='true' aggregatelimit='{limit}'><entity name='asyncoperation'><attribute name='statecode' alias='n' aggregate='count'/>{more}</entity></fetch>"
        );
        fetch(free, &xml)
    };
    let (status, answer) = limit(5001, "");
    assert_eq!((status, &answer["value"][0]["n"]), (200, &5001.into()), "{answer}");
    let groups = "<attribute name='ownerid' alias='o' groupby='true'/><order alias='n'/>";
    assert_eq!(limit(5001, groups).1["value"].as_array().expect("groups").len(), USERS.len());
    for more in ["", groups] {
        let (status, answer) = limit(5000, more);
        assert_eq!((status, &answer["error"]["code"]), (400, &"0x8004e023".into()), "{answer}");
        let message = answer["error"]["message"].as_str().expect("text");
        assert!(message.starts_with("AggregateQueryRecordLimit exceeded. Cannot perform"));
    }
    stop.send(true).expect("they listen");
}
