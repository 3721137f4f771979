//! Questions over the wire: a prepared look-up of one row, the count by state,
//! status and type, and all rows. The tables stand still.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::dataset::Dataset;
use super::measure::{median, report};
use super::{postgres, questions, sysjob};

struct Question {
    what: &'static str,
    text: &'static str,
    repeats: usize,
    /// It answers all rows.
    all: bool,
}

const QUESTIONS: [Question; 5] = [
    Question {
        what: "round trip that reads nothing",
        text: "SELECT 1",
        repeats: 2_000,
        all: false,
    },
    Question {
        what: "one job by its id, prepared",
        text: "SELECT asyncoperationid, name, statecode, statuscode, createdon \
               FROM asyncoperation WHERE asyncoperationid = $1",
        repeats: 2_000,
        all: false,
    },
    Question {
        what: "count by state, status and type, prepared",
        text: "SELECT statecode, statuscode, operationtype, count(*) FROM asyncoperation \
               GROUP BY statecode, statuscode, operationtype",
        repeats: 101,
        all: false,
    },
    Question {
        what: "all rows, five columns",
        text: "SELECT asyncoperationid, name, statecode, statuscode, createdon FROM asyncoperation",
        repeats: 5,
        all: true,
    },
    Question {
        what: "all rows, eleven columns",
        text: "SELECT asyncoperationid, statecode, statuscode, operationtype, name, ownerid, \
               owningextensionid, datablobid, createdon, executiontimespan, sequence \
               FROM asyncoperation",
        repeats: 5,
        all: true,
    },
];

/// Runs each question on both servers in turn.
pub async fn run(folder: &Path, jobs: usize) {
    let dataset = Dataset::write(folder, jobs);
    let data = folder.join("jobs");
    sysjob::import(&data, &[dataset.parquet(0), dataset.parquet(1)]);
    let sysjob = sysjob::Server::start(&data, &["--no-scheduler"]);
    let Some(postgres) = postgres::Server::start(folder).await else {
        println!("skipped: PostgreSQL's initdb and postgres are not installed");
        return;
    };
    postgres.load(&dataset).await;
    let (ours, theirs) = (sysjob.wire.connect().await, postgres.wire.connect().await);
    let id = Id(questions::some_id(jobs));
    for question in &QUESTIONS {
        let parameters: &[&(dyn ToSql + Sync)] =
            if question.text.contains("$1") { &[&id] } else { &[] };
        let prepared = (
            ours.prepare(question.text).await.expect("prepared"),
            theirs.prepare(question.text).await.expect("prepared"),
        );
        let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
        for repeat in 0..question.repeats + 1 {
            let (time, rows) = timed(&ours, &prepared.0, parameters).await;
            let (other, other_rows) = timed(&theirs, &prepared.1, parameters).await;
            assert_eq!(rows, other_rows, "{}", question.what);
            // The first run warms the caches.
            if repeat > 0 {
                our_times.push(time);
                their_times.push(other);
            }
        }
        let (time, other) = (median(&our_times), median(&their_times));
        report(question.what, time, other);
        if question.all {
            let rate = |time: Duration| jobs as f64 / time.as_secs_f64();
            println!("    rows a second: sysjob {:.0}, PostgreSQL {:.0}", rate(time), rate(other));
        }
    }
}

/// The time of one execution, from sending it to its last row, and its rows.
async fn timed(
    client: &Client,
    statement: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
) -> (Duration, usize) {
    let start = Instant::now();
    let parameters = parameters.iter().map(|p| *p as &dyn ToSql);
    let rows = client.query_raw(statement, parameters).await.expect("runs");
    let mut rows = std::pin::pin!(rows);
    let mut count = 0;
    while rows.try_next().await.expect("a row").is_some() {
        count += 1;
    }
    (start.elapsed(), count)
}

/// A UUID as both servers take it.
#[derive(Debug)]
struct Id(String);

impl ToSql for Id {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(uuid::Uuid::parse_str(&self.0)?.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(kind: &tokio_postgres::types::Type) -> bool {
        *kind == tokio_postgres::types::Type::UUID
    }

    tokio_postgres::types::to_sql_checked!();
}
