//! The surface as clients meet it: a real socket, a real store, plain HTTP.

mod actions;
mod batch;
mod calls;
mod collections;
mod definitions;
mod documents;
mod events;
mod expand;
mod fetchxml;
mod forms;
mod golden;
mod jobs;
mod options;
mod pages;
mod refusals;
mod rows;
mod sql;
mod translate;
mod writes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use ureq::http::{Request, Response};

use crate::catalog::Catalog;
use crate::handlers::{self, Handlers};
use crate::scheduler::{Policies, Scheduler};
use crate::service::Service;
use crate::store::{Change, Store};
use crate::value::Value;

const USER: [u8; 16] = [0xaa; 16];

struct Server {
    address: SocketAddr,
    agent: ureq::Agent,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    store: Option<Arc<Store>>,
    dir: Option<tempfile::TempDir>,
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
    let (dir, store) = stored(jobs);
    start(dir, store, false)
}

fn stored(jobs: u32) -> (tempfile::TempDir, Arc<Store>) {
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
    (dir, store)
}

/// Serves a store; `live` runs its jobs too.
fn start(dir: tempfile::TempDir, store: Arc<Store>, live: bool) -> Server {
    start_as(dir, store, live.then(|| Policies::with_concurrency(2)), |_| {})
}

/// Checks each file of a folder of golden files; `check` tells where one went otherwise.
fn each_golden_file(folder: &str, check: fn(&Path) -> Option<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the golden files")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    let differ: Vec<String> = files.iter().filter_map(|path| check(path)).collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Serves a store from a service that is set up as the test wants it; with policies it
/// runs the jobs.
fn start_as(
    dir: tempfile::TempDir,
    store: Arc<Store>,
    policies: Option<Policies>,
    set_up: impl FnOnce(&mut Service) + Send + 'static,
) -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket option");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let kept = store.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async move {
            let mut service = Service::new(store);
            set_up(&mut service);
            let (ended, end) = tokio::sync::watch::channel(false);
            let scheduler = policies.map(|policies| {
                let (store, clock) = (service.store.clone(), service.clock.clone());
                let (scheduler, handle) = Scheduler::new(store, clock, policies);
                service.scheduler = Some(handle);
                scheduler
            });
            let service = Arc::new(service);
            let scheduler = scheduler.map(|scheduler| {
                let handlers = Handlers::new(service.clone(), handlers::Settings::default());
                let handlers = Arc::new(handlers.expect("a client"));
                tokio::spawn(scheduler.with_runner(handlers).run(end))
            });
            let listener = tokio::net::TcpListener::from_std(listener).expect("in a runtime");
            let shutdown = async { stopped.await.unwrap_or_default() };
            super::serve(listener, service, shutdown).await.expect("serves to the end");
            ended.send_replace(true);
            if let Some(scheduler) = scheduler {
                scheduler.await.expect("no panic").expect("an orderly end");
            }
        });
    });
    // A refusal may end its connection; the next request has one of its own.
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .build()
        .new_agent();
    Server {
        address,
        agent,
        stop: Some(stop),
        thread: Some(thread),
        store: Some(kept),
        dir: Some(dir),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Server {
    fn end(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, None | Some(Ok(()))), "the server thread failed");
        }
    }

    /// Stops and serves the same folder anew.
    fn reopen(mut self) -> Self {
        self.end();
        // The folder has one owner at a time.
        self.store = None;
        let dir = self.dir.take().expect("not reopened before");
        let store = Store::open(dir.path(), Arc::new(Catalog::built_in())).expect("it opens");
        start(dir, Arc::new(store), false)
    }

    /// A request with a JSON body below the Web API's base.
    fn write(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Json) -> Answer {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend(headers);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, &format!("/api/data/v9.2/{path}"), &all, &body)
    }

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

    /// Adds a row to a table.
    fn insert(&self, table: &str, values: Vec<(&str, Value)>) {
        let store = self.store.as_ref().expect("not reopened");
        let number = store.catalog().table_index(table).expect("built in");
        let facts = &store.catalog().tables()[number];
        let column = |name| facts.column_index(name).expect("documented");
        let values = values.into_iter().map(|(name, value)| (column(name), value)).collect();
        let change = Change::Insert { table: number, values };
        store.commit_blocking(vec![change]).expect("durable");
    }

    /// The body of a GET below the Web API's base, whatever it holds.
    fn bytes(&self, path: &str) -> Vec<u8> {
        let url = format!("{}{path}", self.base());
        let mut response = self.agent.get(&url).call().expect("an answer");
        response.body_mut().read_to_vec().expect("a whole body")
    }

    /// GET below the Web API's base.
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let path = path.replace(' ', "%20");
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
