//! Rows are made as the client takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt, poll, stream};
use pgwire::api::portal::Format;
use pgwire::api::results::SendableRowStream;
use pgwire::tokio::server::negotiate_tls;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::encode::{self, Batches, Rows};
use super::super::prepared::Prepared;
use super::super::send::send_rows;
use super::raw::startup;

/// A megabyte, more or less.
const BATCH_ROWS: usize = 1024;
const BATCHES: usize = 100;

/// Batches of text, and how many of them were asked for.
fn batches(schema: &SchemaRef) -> (Batches, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let text = "x".repeat(1024);
    let column = Arc::new(StringArray::from_iter_values((0..BATCH_ROWS).map(|_| &text)));
    let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("one column");
    let counter = asked.clone();
    let batches = stream::iter(0..BATCHES).map(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(batch.clone())
    });
    (batches.boxed(), asked)
}

#[tokio::test]
async fn a_client_that_stops_reading_stops_the_query() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut client = TcpStream::connect(address).await.expect("listening");
    let (socket, _) = listener.accept().await.expect("connected");
    tokio::io::AsyncWriteExt::write_all(&mut client, &startup(0x0003_0000, &[]))
        .await
        .expect("connected");
    let socket = negotiate_tls::<Arc<Prepared>>(socket, None).await.expect("plain");
    let mut socket = socket.expect("plain");

    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, false)]));
    let (batches, asked) = batches(&schema);
    let fields = Arc::new(encode::fields(&schema, &Format::UnifiedText).expect("known"));
    let mut rows: SendableRowStream = Box::pin(Rows::new(batches, schema, fields, "".into()));
    let mut sending = Box::pin(send_rows(&mut socket, &mut rows, 0));

    // What the system keeps for a client that does not read is limited, so the
    // work comes to rest long before the end.
    let mut rest = usize::MAX;
    while rest != asked.load(Ordering::Relaxed) {
        rest = asked.load(Ordering::Relaxed);
        for _ in 0..100 {
            assert!(poll!(&mut sending).is_pending(), "all was sent to nobody");
            tokio::task::yield_now().await;
        }
    }
    assert!(rest < BATCHES / 2, "{rest} batches were made for nobody");

    // It goes on when the client does.
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 20];
        while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    let (sent, _) = sending.await.expect("sent");
    assert_eq!(sent, BATCHES * BATCH_ROWS);
    assert_eq!(asked.load(Ordering::Relaxed), BATCHES);
    drop(socket);
    reading.await.expect("no panic");
}
