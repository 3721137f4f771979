//! What comparisons, groups, orders and averages mean: the same rules behind
//! every dialect, on a handful of rows that a person can check.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use sysjob::catalog::{Catalog, entity_code};
use sysjob::dialect::Dialect;
use sysjob::engine::Engine;
use sysjob::store::{Change, Snapshot, Store};
use sysjob::value::{Value, parse_guid};

use crate::support::rows;

/// name, createdon, retrycount, message, regardingobjecttypecode, iswaitingforevent
type Job =
    (&'static str, i64, Option<i32>, Option<&'static str>, Option<&'static str>, Option<bool>);

const JOBS: [Job; 6] = [
    ("Alpha", 2, Some(1), Some("x%y"), Some("account"), Some(true)),
    ("alpha", 1, Some(2), Some("xzy"), Some("contact"), Some(false)),
    ("ÁLPHA  ", 3, Some(2), None, Some("account"), None),
    ("beta", 4, None, Some("x[y"), None, None),
    ("Beta", 5, Some(-7), None, Some("new_widget"), Some(false)),
    ("gamma", 6, Some(0), Some(""), None, Some(true)),
];

struct World {
    engine: Engine,
    snapshot: Arc<Snapshot>,
    _store: Store,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let table = store.catalog().table_index("asyncoperation").expect("built in");
    let facts = store.catalog().tables()[table].clone();
    let at = |name: &str| facts.column_index(name).expect("a column");
    let changes = JOBS.iter().enumerate().map(
        |(n, (name, created, retries, message, regarding, waiting))| {
            let text = |v: &Option<&str>| v.map_or(Value::Null, |t| Value::Text(t.into()));
            Change::Insert {
                table,
                values: vec![
                    (at("asyncoperationid"), Value::Guid([n as u8 + 1; 16])),
                    (at("name"), Value::Text((*name).into())),
                    (at("createdon"), Value::Time(created * 1_000_000)),
                    (at("retrycount"), retries.map_or(Value::Null, Value::Int32)),
                    (at("message"), text(message)),
                    (
                        at("regardingobjecttypecode"),
                        regarding.map_or(Value::Null, |t| Value::Int32(entity_code(t))),
                    ),
                    (at("iswaitingforevent"), waiting.map_or(Value::Null, Value::Boolean)),
                    (at("statecode"), Value::Int32(n as i32 % 4)),
                ],
            }
        },
    );
    store.commit_blocking(changes.collect()).expect("durable");
    World { engine: Engine::new(), snapshot: store.snapshot(), _store: store, _folder: folder }
}

impl World {
    async fn ask(&self, dialect: Dialect, text: &str) -> Vec<Json> {
        let answer = rows(&self.engine, &self.snapshot, dialect, text).await;
        answer.unwrap_or_else(|e| panic!("{text}: {e}")).into_iter().map(Json::Object).collect()
    }

    /// `createdon` seconds of the jobs that a condition selects, in each dialect.
    async fn selected(&self, dialect: Dialect, condition: &str) -> Vec<u32> {
        let text = match dialect {
            Dialect::Sql => {
                format!("SELECT createdon FROM asyncoperation WHERE {condition} ORDER BY createdon")
            }
            Dialect::FetchXml => format!(
                "<fetch><entity name='asyncoperation'><attribute name='createdon'/><filter>{condition}</filter><order attribute='createdon'/></entity></fetch>"
            ),
            Dialect::OData => {
                format!("asyncoperations?$select=createdon&$filter={condition}&$orderby=createdon")
            }
        };
        let second = |row: &Json| {
            let text = row["createdon"].as_str().expect("a time");
            text[17..19].parse().expect("seconds")
        };
        self.ask(dialect, &text).await.iter().map(second).collect()
    }
}

/// Jobs by the seconds of their `createdon`.
type Selected = &'static [u32];

/// One condition in SQL, FetchXML and OData, and the jobs it selects in SQL and
/// in the others: SQL's negative operators leave out nulls, theirs keep them.
type Condition = (&'static str, &'static str, &'static str, Selected, Selected);

const CONDITIONS: [Condition; 14] = [
    (
        "name = 'ALPHA'",
        "<condition attribute='name' operator='eq' value='ALPHA'/>",
        "name eq 'ALPHA'",
        &[1, 2, 3],
        &[1, 2, 3],
    ),
    (
        "name <> 'álpha '",
        "<condition attribute='name' operator='ne' value='álpha '/>",
        "name ne 'álpha '",
        &[4, 5, 6],
        &[4, 5, 6],
    ),
    (
        "message <> 'XZY'",
        "<condition attribute='message' operator='ne' value='XZY'/>",
        "message ne 'XZY'",
        &[2, 4, 6],
        &[2, 3, 4, 5, 6],
    ),
    (
        "name IN ('BETA', 'gamma ')",
        "<condition attribute='name' operator='in'><value>BETA</value><value>gamma </value></condition>",
        "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['BETA','gamma '])",
        &[4, 5, 6],
        &[4, 5, 6],
    ),
    (
        "retrycount NOT IN (1, 2)",
        "<condition attribute='retrycount' operator='not-in'><value>1</value><value>2</value></condition>",
        "Microsoft.Dynamics.CRM.NotIn(PropertyName='retrycount',PropertyValues=['1','2'])",
        &[5, 6],
        &[4, 5, 6],
    ),
    (
        "retrycount BETWEEN 0 AND 1",
        "<condition attribute='retrycount' operator='between'><value>0</value><value>1</value></condition>",
        "Microsoft.Dynamics.CRM.Between(PropertyName='retrycount',PropertyValues=['0','1'])",
        &[2, 6],
        &[2, 6],
    ),
    (
        "retrycount NOT BETWEEN 0 AND 1",
        "<condition attribute='retrycount' operator='not-between'><value>0</value><value>1</value></condition>",
        "Microsoft.Dynamics.CRM.NotBetween(PropertyName='retrycount',PropertyValues=['0','1'])",
        &[1, 3, 5],
        &[1, 3, 4, 5],
    ),
    (
        "message LIKE 'X[%]Y'",
        "<condition attribute='message' operator='like' value='X[%]Y'/>",
        "contains(message,'X[%]Y')",
        &[2],
        &[2],
    ),
    (
        "message LIKE 'x[[]y'",
        "<condition attribute='message' operator='like' value='x[[]y'/>",
        "startswith(message,'x[[]')",
        &[4],
        &[4],
    ),
    (
        "name NOT LIKE '%a'",
        "<condition attribute='name' operator='not-like' value='%a'/>",
        "not endswith(name,'a')",
        &[3],
        &[3],
    ),
    (
        "message NOT LIKE 'x%'",
        "<condition attribute='message' operator='not-like' value='x%'/>",
        "not startswith(message,'x')",
        &[6],
        &[3, 5, 6],
    ),
    (
        "regardingobjecttypecode = 'ACCOUNT'",
        "<condition attribute='regardingobjecttypecode' operator='eq' value='account'/>",
        "regardingobjecttypecode eq 'account'",
        &[2, 3],
        &[2, 3],
    ),
    (
        "iswaitingforevent = 1",
        "<condition attribute='iswaitingforevent' operator='eq' value='1'/>",
        "iswaitingforevent eq true",
        &[2, 6],
        &[2, 6],
    ),
    (
        "asyncoperationid = '{01010101-0101-0101-0101-010101010101}' OR (retrycount IS NULL AND NOT name = 'gamma')",
        "<filter type='or'><condition attribute='asyncoperationid' operator='eq' value='{01010101-0101-0101-0101-010101010101}'/><condition attribute='retrycount' operator='null'/></filter>",
        "asyncoperationid eq 01010101-0101-0101-0101-010101010101 or (retrycount eq null and not (name eq 'gamma'))",
        &[2, 4],
        &[2, 4],
    ),
];

#[tokio::test]
async fn conditions_select_the_same_jobs_in_every_dialect() {
    assert!(parse_guid("01010101-0101-0101-0101-010101010101").is_some());
    let world = world();
    for (sql, fetch, odata, with_sql, with_others) in CONDITIONS {
        assert_eq!(world.selected(Dialect::Sql, sql).await, with_sql, "{sql}");
        assert_eq!(world.selected(Dialect::FetchXml, fetch).await, with_others, "{fetch}");
        assert_eq!(world.selected(Dialect::OData, odata).await, with_others, "{odata}");
    }
}

#[tokio::test]
async fn a_group_of_texts_shows_the_oldest() {
    let world = world();
    let expected = [("alpha", 3), ("beta", 2), ("gamma", 1)];
    for (dialect, text) in [
        (
            Dialect::Sql,
            "SELECT name, COUNT(*) AS n FROM asyncoperation GROUP BY name ORDER BY name",
        ),
        (
            Dialect::FetchXml,
            "<fetch aggregate='true'><entity name='asyncoperation'><attribute name='name' alias='name' groupby='true'/><attribute name='name' alias='n' aggregate='count'/><order alias='name'/></entity></fetch>",
        ),
        (
            Dialect::OData,
            "asyncoperations?$apply=groupby((name),aggregate($count as n))&$orderby=name",
        ),
    ] {
        let answer = world.ask(dialect, text).await;
        let found: Vec<_> = answer
            .iter()
            .map(|row| (row["name"].as_str().expect("a text"), row["n"].as_i64().expect("a count")))
            .collect();
        assert_eq!(found, expected, "{dialect:?}");
    }
    let distinct = world.ask(Dialect::Sql, "SELECT DISTINCT name FROM asyncoperation").await;
    assert_eq!(distinct.len(), 3);
    let counted = world
        .ask(
            Dialect::Sql,
            "SELECT COUNT(DISTINCT name) AS n, MIN(name) AS a, MAX(name) AS z FROM asyncoperation",
        )
        .await;
    assert_eq!(counted[0]["n"], json!(3));
    assert_eq!(counted[0]["z"], json!("gamma"));
    assert_eq!(
        counted[0]["a"].as_str().map(str::to_lowercase).as_deref().map(|a| &a[a.len() - 3..]),
        Some("pha")
    );
}

#[tokio::test]
async fn nulls_come_first_and_last() {
    let world = world();
    for (dialect, up, down) in [
        (
            Dialect::Sql,
            "SELECT retrycount FROM asyncoperation ORDER BY retrycount",
            "SELECT retrycount FROM asyncoperation ORDER BY retrycount DESC",
        ),
        (
            Dialect::OData,
            "asyncoperations?$select=retrycount&$orderby=retrycount",
            "asyncoperations?$select=retrycount&$orderby=retrycount desc",
        ),
        (
            Dialect::FetchXml,
            "<fetch><entity name='asyncoperation'><attribute name='retrycount'/><order attribute='retrycount'/></entity></fetch>",
            "<fetch><entity name='asyncoperation'><attribute name='retrycount'/><order attribute='retrycount' descending='true'/></entity></fetch>",
        ),
    ] {
        let column =
            |rows: Vec<Json>| rows.iter().map(|r| r["retrycount"].as_i64()).collect::<Vec<_>>();
        let expected = [None, Some(-7), Some(0), Some(1), Some(2), Some(2)];
        assert_eq!(column(world.ask(dialect, up).await), expected, "{dialect:?}");
        let mut expected = expected.to_vec();
        expected.reverse();
        assert_eq!(column(world.ask(dialect, down).await), expected, "{dialect:?}");
    }
}

#[tokio::test]
async fn averages_of_whole_numbers_are_whole_and_leave_out_nulls() {
    let world = world();
    // 1 + 2 + 2 - 7 + 0 = -2, over five values: -0.4, truncated toward zero.
    for (dialect, text) in [
        (
            Dialect::Sql,
            "SELECT AVG(retrycount) AS a, SUM(retrycount) AS s, COUNT(retrycount) AS c, COUNT(*) AS n FROM asyncoperation",
        ),
        (
            Dialect::FetchXml,
            "<fetch aggregate='true'><entity name='asyncoperation'><attribute name='retrycount' alias='a' aggregate='avg'/><attribute name='retrycount' alias='s' aggregate='sum'/><attribute name='retrycount' alias='c' aggregate='countcolumn'/><attribute name='retrycount' alias='n' aggregate='count'/></entity></fetch>",
        ),
    ] {
        let answer = world.ask(dialect, text).await;
        assert_eq!(answer, [json!({ "a": 0, "s": -2, "c": 5, "n": 6 })], "{dialect:?}");
    }
    let odata = world
        .ask(
            Dialect::OData,
            "asyncoperations?$apply=aggregate(retrycount with average as a,$count as n)",
        )
        .await;
    assert_eq!(odata, [json!({ "a": 0, "n": 6 })]);
    // Nothing to average.
    let none = world
        .ask(
            Dialect::Sql,
            "SELECT AVG(retrycount) AS a, COUNT(*) AS n FROM asyncoperation WHERE name = 'nobody'",
        )
        .await;
    assert_eq!(none, [json!({ "a": null, "n": 0 })]);
}

#[tokio::test]
async fn choices_sort_by_label_in_fetchxml_and_by_number_elsewhere() {
    let world = world();
    let states = |rows: Vec<Json>| {
        rows.iter().map(|r| r["statecode"].as_i64().expect("a state")).collect::<Vec<_>>()
    };
    // Completed, Locked, Ready, Suspended.
    let fetch = world.ask(Dialect::FetchXml, "<fetch><entity name='asyncoperation'><attribute name='statecode'/><order attribute='statecode'/></entity></fetch>").await;
    assert_eq!(states(fetch), [3, 2, 0, 0, 1, 1]);
    let odata =
        world.ask(Dialect::OData, "asyncoperations?$select=statecode&$orderby=statecode").await;
    assert_eq!(states(odata), [0, 0, 1, 1, 2, 3]);
    let sql = world
        .ask(Dialect::Sql, "SELECT statecode, statecodename FROM asyncoperation ORDER BY statecode")
        .await;
    assert_eq!(sql[5]["statecodename"], json!("Completed"));
    assert_eq!(states(sql), [0, 0, 1, 1, 2, 3]);
}
