//! Questions over the PostgreSQL protocol, which sysjob and PostgreSQL both speak:
//! the text goes out as psql sends it, and all rows come back.

use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::measure::Times;

/// Where a server is.
#[derive(Clone)]
pub struct Wire {
    pub config: String,
}

impl Wire {
    /// A connection whose own task ends with it.
    pub async fn connect(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.config, NoTls).await.expect("connected");
        tokio::spawn(connection);
        client
    }

    /// Asks several times over one connection, after once to warm the caches.
    pub async fn ask(&self, text: &str, repeats: usize) -> Times {
        let client = self.connect().await;
        timed(&client, text).await?;
        let mut times = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            times.push(timed(&client, text).await?);
        }
        Ok(times)
    }

    /// Asks in a loop over several connections at once.
    pub async fn crowd(&self, text: &str, clients: usize, lasting: Duration) -> Times {
        let end = Instant::now() + lasting;
        let asking = (0..clients).map(|_| {
            let (wire, text) = (self.clone(), text.to_owned());
            tokio::spawn(async move {
                let client = wire.connect().await;
                let mut times = Vec::new();
                while Instant::now() < end || times.is_empty() {
                    times.push(timed(&client, &text).await?);
                }
                Ok::<_, String>(times)
            })
        });
        let mut all = Vec::new();
        for asked in asking.collect::<Vec<_>>() {
            all.extend(asked.await.expect("it ends")?);
        }
        Ok(all)
    }

    /// The one number that a question answers.
    pub async fn number(&self, text: &str) -> i64 {
        let messages = self.connect().await.simple_query(text).await.expect("answered");
        let row = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        row.and_then(|text| text.parse().ok()).expect("a number")
    }
}

async fn timed(client: &Client, text: &str) -> Result<Duration, String> {
    let start = Instant::now();
    match client.simple_query(text).await {
        Ok(_) => Ok(start.elapsed()),
        Err(e) => Err(e.as_db_error().map_or_else(|| e.to_string(), |e| e.message().to_owned())),
    }
}
