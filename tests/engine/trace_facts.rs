//! Facts about the bundled trace that were computed without sysjob, asked for in
//! SQL, FetchXML and OData.

use std::sync::Arc;

use serde_json::Value;
use sysjob::dialect::Dialect;
use sysjob::engine::Engine;
use sysjob::store::Snapshot;

use crate::support::{Rows, rows, trace_store};

/// Jobs by status reason: Ready, In Progress, Succeeded, Failed, Canceled.
const STATUSES: [(i64, i64); 5] =
    [(0, 2880), (20, 11_079), (30, 124_116), (31, 30_226), (32, 44_539)];
const JOBS: i64 = 212_840;
const TOP_USERS: [(&str, i64); 5] =
    [("u328", 52_291), ("u526", 21_328), ("u407", 11_265), ("u556", 10_937), ("u165", 10_429)];
const FAILED_BY_TOP_USERS: [(&str, i64); 5] =
    [("u526", 10_717), ("u515", 7781), ("u153", 1557), ("u407", 1262), ("u204", 1199)];
const TOP_APPS: [(&str, i64); 5] =
    [("a6074", 15_337), ("a4653", 13_815), ("a5917", 11_518), ("a3445", 11_261), ("a3514", 10_429)];
const RUN_COUNT: i64 = 194_988;
const RUN_SUM_S: f64 = 491_559_777.990_203;
const RUN_MAX_S: f64 = 49_742.908_322;
const RUN_MEDIAN_S: f64 = 773.421_738;
const RUN_P95_S: f64 = 11_543.648_005;
const WAIT_COUNT: i64 = 206_067;
const WAIT_SUM_S: f64 = 28_552_847.902_937;
const WAIT_MAX_S: f64 = 14_248.606_648;
const WAIT_MEDIAN_S: f64 = 3.235_358;
const WAIT_P95_S: f64 = 464.894_914;

struct Facts {
    engine: Engine,
    snapshot: Arc<Snapshot>,
}

impl Facts {
    async fn ask(&self, dialect: Dialect, text: &str) -> Rows {
        rows(&self.engine, &self.snapshot, dialect, text)
            .await
            .unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    async fn fetch(&self, inner: &str) -> Rows {
        let text = format!(
            "<fetch aggregate='true'><entity name='asyncoperation'>{inner}</entity></fetch>"
        );
        self.ask(Dialect::FetchXml, &text).await
    }

    async fn apply(&self, apply: &str) -> Rows {
        self.ask(Dialect::OData, &format!("asyncoperations?$apply={apply}")).await
    }

    async fn sql(&self, text: &str) -> Rows {
        self.ask(Dialect::Sql, text).await
    }
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is a whole number"))
}

fn near(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is a number"));
    let error = (value - expected).abs() / expected.abs().max(1.0);
    assert!(error < 1e-9 || (value - expected).abs() < 1e-5, "{value} is not {expected}");
}

fn pairs(rows: &Rows, key: &str, count: &str) -> Vec<(i64, i64)> {
    let mut pairs: Vec<_> = rows.iter().map(|r| (int(&r[key]), int(&r[count]))).collect();
    pairs.sort_unstable();
    pairs
}

fn named(rows: &Rows, key: &str, count: &str) -> Vec<(String, i64)> {
    let text = |row: &serde_json::Map<String, Value>| row[key].as_str().unwrap_or("?").to_owned();
    rows.iter().map(|row| (text(row), int(&row[count]))).collect()
}

fn expected(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_facts_come_out_in_every_dialect() {
    let (_folder, store) = trace_store();
    let facts = Facts { engine: Engine::new(), snapshot: store.snapshot() };

    // Jobs and their statuses.
    let sql =
        facts.sql("SELECT statuscode, COUNT(*) AS n FROM asyncoperation GROUP BY statuscode").await;
    let fetch = facts
        .fetch("<attribute name='statuscode' alias='statuscode' groupby='true'/><attribute name='asyncoperationid' alias='n' aggregate='count'/>")
        .await;
    let odata = facts.apply("groupby((statuscode),aggregate($count as n))").await;
    for answer in [&sql, &fetch, &odata] {
        assert_eq!(pairs(answer, "statuscode", "n"), STATUSES);
    }
    let total: i64 = STATUSES.iter().map(|(_, n)| n).sum();
    assert_eq!(total, JOBS);

    // Users, by the name behind the owner.
    let sql = facts
        .sql("SELECT TOP (5) owneridname, COUNT(*) AS n FROM asyncoperation GROUP BY owneridname ORDER BY n DESC")
        .await;
    assert_eq!(named(&sql, "owneridname", "n"), expected(&TOP_USERS));
    let fetch = facts
        .fetch("<attribute name='asyncoperationid' alias='n' aggregate='count'/><link-entity name='systemuser' from='systemuserid' to='owninguser' alias='u'><attribute name='fullname' alias='name' groupby='true'/></link-entity><order alias='n' descending='true'/>")
        .await;
    assert_eq!(named(&fetch, "name", "n")[..5], expected(&TOP_USERS));
    let odata = facts
        .apply("groupby((owninguser/fullname),aggregate($count as n))&$orderby=n desc&$top=5")
        .await;
    assert_eq!(named(&odata, "systemuser_fullname", "n"), expected(&TOP_USERS));
    let sql = facts
        .sql("SELECT TOP (5) owneridname, COUNT(*) AS n FROM asyncoperation WHERE statuscode = 31 GROUP BY owneridname ORDER BY n DESC")
        .await;
    assert_eq!(named(&sql, "owneridname", "n"), expected(&FAILED_BY_TOP_USERS));

    // Applications, by the name behind the owning extension and of the job.
    let sql = facts
        .sql("SELECT TOP (5) owningextensionidname, COUNT(*) AS n FROM asyncoperation GROUP BY owningextensionidname ORDER BY n DESC")
        .await;
    assert_eq!(named(&sql, "owningextensionidname", "n"), expected(&TOP_APPS));
    let fetch = facts
        .fetch("<attribute name='name' alias='name' groupby='true'/><attribute name='asyncoperationid' alias='n' aggregate='count'/><order alias='n' descending='true'/>")
        .await;
    assert_eq!(named(&fetch, "name", "n")[..5], expected(&TOP_APPS));
    let odata = facts.apply("groupby((name),aggregate($count as n))&$orderby=n desc&$top=5").await;
    assert_eq!(named(&odata, "name", "n"), expected(&TOP_APPS));

    // Run times.
    let sql = facts
        .sql("SELECT COUNT(executiontimespan) AS n, SUM(executiontimespan) AS s, MAX(executiontimespan) AS m, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY executiontimespan) AS p50, PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY executiontimespan) AS p95 FROM asyncoperation")
        .await;
    near(&sql[0]["p50"], RUN_MEDIAN_S);
    near(&sql[0]["p95"], RUN_P95_S);
    let fetch = facts
        .fetch("<attribute name='executiontimespan' alias='n' aggregate='countcolumn'/><attribute name='executiontimespan' alias='s' aggregate='sum'/><attribute name='executiontimespan' alias='m' aggregate='max'/>")
        .await;
    let odata = facts
        .apply("filter(executiontimespan ne null)/aggregate($count as n,executiontimespan with sum as s,executiontimespan with max as m)")
        .await;
    for answer in [&sql, &fetch, &odata] {
        assert_eq!(int(&answer[0]["n"]), RUN_COUNT);
        near(&answer[0]["s"], RUN_SUM_S);
        near(&answer[0]["m"], RUN_MAX_S);
    }

    // Waits. FetchXML and OData have no date arithmetic: the times themselves are
    // asked for and subtracted here.
    let sql = facts
        .sql("SELECT COUNT(*) AS n, SUM(w) / 1000000.0 AS s, MAX(w) / 1000000.0 AS m, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY w) / 1000000.0 AS p50, PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY w) / 1000000.0 AS p95 FROM (SELECT CAST(DATEDIFF_BIG(microsecond, createdon, startedon) AS float) AS w FROM asyncoperation WHERE startedon IS NOT NULL) AS waits")
        .await;
    assert_eq!(int(&sql[0]["n"]), WAIT_COUNT);
    near(&sql[0]["s"], WAIT_SUM_S);
    near(&sql[0]["m"], WAIT_MAX_S);
    near(&sql[0]["p50"], WAIT_MEDIAN_S);
    near(&sql[0]["p95"], WAIT_P95_S);
    let fetch = facts
        .ask(Dialect::FetchXml, "<fetch><entity name='asyncoperation'><attribute name='createdon'/><attribute name='startedon'/><filter><condition attribute='startedon' operator='not-null'/></filter></entity></fetch>")
        .await;
    let odata = facts
        .ask(
            Dialect::OData,
            "asyncoperations?$select=createdon,startedon&$filter=startedon ne null",
        )
        .await;
    for answer in [&fetch, &odata] {
        let micros =
            |v: &Value| sysjob::value::parse_time(v.as_str().expect("a time")).expect("a time");
        let waits: Vec<i64> =
            answer.iter().map(|r| micros(&r["startedon"]) - micros(&r["createdon"])).collect();
        assert_eq!(waits.len() as i64, WAIT_COUNT);
        let sum: i64 = waits.iter().sum();
        near(&Value::from(sum as f64 / 1e6), WAIT_SUM_S);
        near(&Value::from(waits.iter().copied().max().unwrap_or(0) as f64 / 1e6), WAIT_MAX_S);
    }
}
