//! The protocol end to end: real sockets, `tokio-postgres` and psql.

mod extended;
mod psql;
mod script;
mod simple;

use std::future::Future;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int32Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, new_null_array,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_postgres::{Client, NoTls};

use super::serve;
use crate::catalog::{Catalog, entity_code};
use crate::service::Service;
use crate::store::Store;
use crate::value::Guid;

/// 2024-05-01 10:00:00 UTC.
const NOON: i64 = 1_714_557_600_000_000;

/// A server on a free port, over three jobs.
struct Server {
    port: u16,
    service: Arc<Service>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = Arc::new(Catalog::built_in());
        let store = Store::open(folder.path(), catalog.clone()).expect("a store");
        let service = Arc::new(Service::new(Arc::new(store)));
        add_jobs(&service, &[(1, "first", 0, 0), (2, "Second", 3, 30), (3, "third", 3, 31)]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let task = tokio::spawn(serve(listener, service.clone(), shutdown));
        Self { port, service, stop, task, _folder: folder }
    }

    async fn connect(&self) -> Client {
        let config = format!("host=127.0.0.1 port={} user=someone dbname=sysjob", self.port);
        let (client, connection) =
            tokio_postgres::connect(&config, NoTls).await.expect("connected");
        tokio::spawn(connection);
        client
    }

    async fn stop(self) {
        self.stop.send(()).expect("running");
        self.task.await.expect("no panic").expect("no error");
    }
}

/// The id of the job with this number.
fn id(number: u8) -> Guid {
    let mut guid = [0xab; 16];
    guid[15] = number;
    guid
}

/// Appends jobs: number, name, state, status.
fn add_jobs(service: &Service, jobs: &[(u8, &str, i32, i32)]) {
    let catalog = service.store.catalog();
    let number = catalog.tables().iter().position(|t| t.logical_name == "asyncoperation");
    let number = number.expect("built in");
    let schema = catalog.tables()[number].schema();
    let column = |field: &datafusion::arrow::datatypes::Field| -> ArrayRef {
        match field.name().as_str() {
            "asyncoperationid" => {
                let ids = jobs.iter().map(|j| id(j.0));
                Arc::new(FixedSizeBinaryArray::try_from_iter(ids).expect("16 bytes"))
            }
            "name" => Arc::new(StringViewArray::from_iter_values(jobs.iter().map(|j| j.1))),
            "statecode" => Arc::new(Int32Array::from_iter_values(jobs.iter().map(|j| j.2))),
            "statuscode" => Arc::new(Int32Array::from_iter_values(jobs.iter().map(|j| j.3))),
            "createdon" => {
                let times = jobs.iter().map(|j| NOON + i64::from(j.0) * 250_000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times))
            }
            "regardingobjecttypecode" => {
                let codes = jobs.iter().map(|_| entity_code("account"));
                Arc::new(Int32Array::from_iter_values(codes))
            }
            _ => new_null_array(field.data_type(), jobs.len()),
        }
    };
    let columns = schema.fields().iter().map(|f| column(f)).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).expect("the table's schema");
    service.store.append(number, &batch).expect("appended");
}

/// The SQLSTATE, message and position of a failure.
fn failure(error: &tokio_postgres::Error) -> (String, String, Option<u32>) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("from the server: {error:?}"));
    let position = match error.position() {
        Some(tokio_postgres::error::ErrorPosition::Original(at)) => Some(*at),
        _ => None,
    };
    (error.code().code().to_owned(), error.message().to_owned(), position)
}

async fn fails_with<T>(
    state: &str,
    what: &str,
    result: impl Future<Output = Result<T, tokio_postgres::Error>>,
) {
    match result.await {
        Ok(_) => panic!("{what}: should fail with {state}"),
        Err(error) => assert_eq!(failure(&error).0, state, "{what}: {error:?}"),
    }
}
