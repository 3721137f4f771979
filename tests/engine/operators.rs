//! Condition operators over stored rows: which rows each keeps, null rows above
//! all; the caller's teams, hierarchy and time zone; parts of dates.

use std::sync::Arc;

use chrono_tz::Tz;
use futures::StreamExt;
use serde_json::{Map, Value as Json};
use sysjob::ask;
use sysjob::catalog::Catalog;
use sysjob::clock::ManualClock;
use sysjob::dialect::Dialect;
use sysjob::encode::{Format, RowWriter};
use sysjob::engine::Engine;
use sysjob::identity::{BUSINESS_UNIT, Caller, SYSTEM_USER};
use sysjob::query::Context;
use sysjob::relations;
use sysjob::service::Service;
use sysjob::store::{Change, Snapshot, Store};
use sysjob::value::{Guid, Value, parse_time};

fn guid(last: u8) -> Guid {
    let mut guid = [0; 16];
    guid[15] = last;
    guid
}

fn time(text: &str) -> Value {
    Value::Time(parse_time(text).expect("a time"))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

struct World {
    store: Arc<Store>,
    engine: Engine,
    snapshot: Arc<Snapshot>,
    _folder: tempfile::TempDir,
}

const SUBORDINATE: u8 = 0x21;
const OWN_TEAM: u8 = 0x31;
const OTHER_TEAM: u8 = 0x32;

/// Jobs by their owner and time, a team each for two users, three business units.
fn world() -> World {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let catalog = store.catalog().clone();
    let insert = |table: &str, cells: &[(&str, Value)]| {
        let table = catalog.table_index(table).expect("built in");
        let column = |name: &str| catalog.tables()[table].column_index(name).expect("a column");
        let values = cells.iter().map(|(name, value)| (column(name), value.clone())).collect();
        Change::Insert { table, values }
    };
    let job = |id: u8, name: &str, created: &str, owner: Value, unit: Value| {
        let created = if created.is_empty() { Value::Null } else { time(created) };
        insert(
            "asyncoperation",
            &[
                ("asyncoperationid", Value::Guid(guid(id))),
                ("name", text(name)),
                ("createdon", time("2024-01-01")),
                ("postponeuntil", created),
                ("ownerid", owner),
                ("owningbusinessunit", unit),
            ],
        )
    };
    let unit = |id: u8, parent: Value| {
        insert(
            "businessunit",
            &[("businessunitid", Value::Guid(guid(id))), ("parentbusinessunitid", parent)],
        )
    };
    let own = Value::Guid(SYSTEM_USER);
    let of = |id| Value::Guid(guid(id));
    let member = |id, user: Value, team| {
        insert(
            "teammembership",
            &[("teammembershipid", of(id)), ("systemuserid", user), ("teamid", of(team))],
        )
    };
    let changes = vec![
        // 23:30 on 31 December in UTC is the new year in Oslo.
        job(1, "new year", "2023-12-31T23:30:00Z", own.clone(), Value::Guid(BUSINESS_UNIT)),
        job(2, "march", "2024-03-15T08:00:00Z", of(SUBORDINATE), of(0x99)),
        job(3, "summer", "2024-07-01T00:00:00Z", of(OWN_TEAM), Value::Null),
        job(4, "autumn", "2024-10-26T22:00:00Z", of(OTHER_TEAM), Value::Null),
        job(5, "never", "", Value::Null, Value::Null),
        insert(
            "systemuser",
            &[("systemuserid", of(SUBORDINATE)), ("parentsystemuserid", own.clone())],
        ),
        member(0x41, own, OWN_TEAM),
        member(0x42, of(SUBORDINATE), OTHER_TEAM),
        unit(0x51, Value::Null),
        unit(0x52, of(0x51)),
        unit(0x53, of(0x52)),
    ];
    store.commit_blocking(changes).expect("durable");
    let snapshot = store.snapshot();
    World { store: Arc::new(store), engine: Engine::new(), snapshot, _folder: folder }
}

const NOW: &str = "2024-03-15T10:34:56Z";

impl World {
    fn context(&self, timezone: Tz) -> Context {
        let now = parse_time(NOW).expect("a time");
        relations::context(&self.snapshot, now, timezone, &Caller::default())
    }

    async fn rows(&self, fetch: &str, timezone: Tz) -> Vec<Map<String, Json>> {
        let dialect = Some(Dialect::FetchXml);
        let context = self.context(timezone);
        let plan = ask::plan(&self.engine, &self.snapshot, dialect, fetch, context);
        let plan = plan.unwrap_or_else(|e| panic!("{fetch}: {e}"));
        let mut rows = self.engine.run(plan).await.expect("runs");
        let mut writer = RowWriter::new(Format::Jsonl, &rows.schema(), Vec::new()).expect("writes");
        while let Some(batch) = rows.next().await {
            writer.write(&batch.expect("a batch")).expect("writes");
        }
        let lines = String::from_utf8(writer.finish().expect("writes")).expect("text");
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The last byte of the ids that a condition keeps.
    async fn kept(&self, table: &str, key: &str, condition: &str, timezone: Tz) -> Vec<u8> {
        let fetch = format!(
            "<fetch><entity name='{table}'><attribute name='{key}'/><order attribute='{key}'/>\
             <filter><condition {condition}</filter></entity></fetch>"
        );
        let ids = self.rows(&fetch, timezone).await;
        let last = |row: &Map<String, Json>| {
            let id = row[key].as_str().expect("a GUID");
            u8::from_str_radix(&id[34..], 16).expect("hexadecimal")
        };
        ids.iter().map(last).collect()
    }

    async fn jobs(&self, condition: &str) -> Vec<u8> {
        self.kept("asyncoperation", "asyncoperationid", condition, Tz::UTC).await
    }
}

#[tokio::test]
async fn rows_without_a_value() {
    let world = world();
    // Without a time no operator on times keeps a row.
    for (condition, kept) in [
        ("attribute='postponeuntil' operator='olderthan-x-days' value='1'/>", &[1][..]),
        ("attribute='postponeuntil' operator='today'/>", &[2]),
        ("attribute='postponeuntil' operator='on-or-before' value='2024-07-01'/>", &[1, 2, 3]),
        ("attribute='postponeuntil' operator='on-or-after' value='2024-07-01'/>", &[3, 4]),
        ("attribute='postponeuntil' operator='in-fiscal-period' value='4'/>", &[1, 4]),
        ("attribute='postponeuntil' operator='in-fiscal-period' value='2'/>", &[]),
        // Negative operators keep it.
        ("attribute='postponeuntil' operator='ne' value='2024-07-01'/>", &[1, 2, 4, 5]),
        ("attribute='postponeuntil' operator='ne' valueof='createdon'/>", &[1, 2, 3, 4, 5]),
        ("attribute='postponeuntil' operator='eq' valueof='startedon'/>", &[]),
        ("attribute='startedon' operator='ne' valueof='completedon'/>", &[]),
        (
            "attribute='postponeuntil' operator='not-between'><value>2024-01-01</value>\
             <value>2024-07-01</value></condition>",
            &[1, 4, 5],
        ),
        ("attribute='ownerid' operator='ne-userid'/>", &[2, 3, 4, 5]),
        ("attribute='owningbusinessunit' operator='ne-businessid'/>", &[2, 3, 4, 5]),
    ] {
        assert_eq!(world.jobs(condition).await, kept, "{condition}");
    }
}

#[tokio::test]
async fn the_caller_with_teams_and_subordinates() {
    let world = world();
    for (operator, kept) in [
        ("eq-userid", &[1][..]),
        ("eq-userteams", &[3]),
        ("eq-useroruserteams", &[1, 3]),
        ("eq-useroruserhierarchy", &[1, 2]),
        ("eq-useroruserhierarchyandteams", &[1, 2, 3, 4]),
    ] {
        let condition = format!("attribute='ownerid' operator='{operator}'/>");
        assert_eq!(world.jobs(&condition).await, kept, "{operator}");
    }
    let unit = "attribute='owningbusinessunit' operator='eq-businessid'/>";
    assert_eq!(world.jobs(unit).await, [1]);
}

#[tokio::test]
async fn places_in_a_hierarchy() {
    let world = world();
    for (column, operator, of, kept) in [
        ("businessunitid", "above", 0x53, &[0x51, 0x52][..]),
        ("businessunitid", "eq-or-above", 0x52, &[0x51, 0x52]),
        ("businessunitid", "under", 0x51, &[0x52, 0x53]),
        ("businessunitid", "under", 0x53, &[]),
        ("businessunitid", "eq-or-under", 0x52, &[0x52, 0x53]),
        ("businessunitid", "not-under", 0x52, &[0x51]),
        ("parentbusinessunitid", "under", 0x51, &[0x53]),
        // The topmost unit has no parent and is under none.
        ("parentbusinessunitid", "not-under", 0x51, &[0x51]),
    ] {
        let value = uuid::Uuid::from_bytes(guid(of)).braced();
        let condition = format!("attribute='{column}' operator='{operator}' value='{value}'/>");
        let found = world.kept("businessunit", "businessunitid", &condition, Tz::UTC).await;
        assert_eq!(found, kept, "{condition}");
    }
}

#[tokio::test]
async fn days_in_the_time_zone_of_the_caller() {
    let world = world();
    let on = |condition: &'static str, zone| {
        world.kept("asyncoperation", "asyncoperationid", condition, zone)
    };
    let this_year = "attribute='postponeuntil' operator='this-year'/>";
    assert_eq!(on(this_year, Tz::UTC).await, [2, 3, 4]);
    assert_eq!(on(this_year, Tz::Europe__Oslo).await, [1, 2, 3, 4]);
    let first_of_july = "attribute='postponeuntil' operator='on' value='2024-07-01'/>";
    assert_eq!(on(first_of_july, Tz::Asia__Kolkata).await, [3]);
    assert_eq!(on(first_of_july, Tz::America__New_York).await, Vec::<u8>::new());
    let fiscal = "attribute='postponeuntil' operator='in-fiscal-period' value='4'/>";
    assert_eq!(on(fiscal, Tz::Europe__Oslo).await, [4]);
    let midnight = "attribute='postponeuntil' operator='eq' value='2024-10-27'/>";
    assert_eq!(on(midnight, Tz::Europe__Oslo).await, [4]);
    assert_eq!(on(midnight, Tz::UTC).await, Vec::<u8>::new());
}

/// Groups of the times by a part, the rows without a time first.
async fn groups(world: &World, part: &str, local: bool, zone: Tz) -> Vec<(Option<i64>, i64)> {
    let fetch = format!(
        "<fetch aggregate='true'><entity name='asyncoperation'>\
         <attribute name='postponeuntil' alias='part' groupby='true' dategrouping='{part}' \
         usertimezone='{local}'/>\
         <attribute name='asyncoperationid' alias='jobs' aggregate='count'/>\
         <order alias='part'/></entity></fetch>"
    );
    let rows = world.rows(&fetch, zone).await;
    let number = |row: &Map<String, Json>, key| row.get(key).and_then(Json::as_i64);
    rows.iter().map(|r| (number(r, "part"), number(r, "jobs").expect("a count"))).collect()
}

#[tokio::test]
async fn parts_of_dates_are_local() {
    let world = world();
    let oslo = Tz::Europe__Oslo;
    let one = |parts: &[i64]| {
        let rows = parts.iter().map(|part| (Some(*part), 1));
        std::iter::once((None, 1)).chain(rows).collect::<Vec<_>>()
    };
    assert_eq!(groups(&world, "day", false, oslo).await, one(&[1, 15, 26, 31]));
    assert_eq!(
        groups(&world, "day", true, oslo).await,
        [(None, 1), (Some(1), 2), (Some(15), 1), (Some(27), 1)]
    );
    assert_eq!(groups(&world, "year", true, oslo).await, [(None, 1), (Some(2024), 4)]);
    assert_eq!(groups(&world, "week", true, oslo).await, one(&[1, 11, 27, 44]));
    assert_eq!(groups(&world, "week", true, Tz::UTC).await, one(&[11, 27, 43, 53]));
    assert_eq!(groups(&world, "month", true, oslo).await, one(&[1, 3, 7, 10]));
    assert_eq!(
        groups(&world, "quarter", true, oslo).await,
        [(None, 1), (Some(1), 2), (Some(3), 1), (Some(4), 1)]
    );
    assert_eq!(
        groups(&world, "fiscal-year", true, Tz::UTC).await,
        [(None, 1), (Some(2023), 1), (Some(2024), 3)]
    );
    assert_eq!(
        groups(&world, "fiscal-period", true, Tz::UTC).await,
        one(&[202_304, 202_401, 202_403, 202_404])
    );
}

/// What a plan says must not depend on a time zone that changes nothing.
#[tokio::test]
async fn a_caller_in_utc_has_the_plan_of_universal_time() {
    let world = world();
    let plan = |local: bool| {
        let fetch = format!(
            "<fetch aggregate='true'><entity name='asyncoperation'>\
             <attribute name='createdon' alias='day' groupby='true' dategrouping='day' \
             usertimezone='{local}'/></entity></fetch>"
        );
        let context = world.context(Tz::UTC);
        let dialect = Some(Dialect::FetchXml);
        let plan = ask::plan(&world.engine, &world.snapshot, dialect, &fetch, context);
        let plan = world.engine.optimized(plan.expect("a plan")).expect("optimized");
        plan.display_indent().to_string()
    };
    assert_eq!(plan(true), plan(false));
}

#[tokio::test]
async fn a_request_names_its_time_zone() {
    let world = world();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let clock = Arc::new(ManualClock::at(parse_time(NOW).expect("a time")));
    let service = Arc::new(Service { clock, ..Service::new(world.store.clone()) });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sysjob::http::serve(listener, service, async {
        // A sender that is gone means the same.
        let _ = stopped.await;
    }));
    let asked = tokio::task::spawn_blocking(move || {
        let url = format!(
            "http://{address}/api/data/v9.2/asyncoperations?fetchXml=%3Cfetch%3E%3Centity name='asyncoperation'%3E\
             %3Cattribute name='name'/%3E%3Cattribute name='postponeuntil'/%3E%3Cfilter%3E\
             %3Ccondition attribute='postponeuntil' operator='last-year'/%3E\
             %3C/filter%3E%3C/entity%3E%3C/fetch%3E"
        );
        let url = url.replace(' ', "%20").replace('\'', "%27");
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let ask = |prefer: &str| {
            let annotations = "odata.include-annotations=\"*\"";
            let prefer = format!("{annotations}{prefer}");
            let mut answer = agent.get(&url).header("prefer", prefer).call().expect("answers");
            let applied = answer.headers().get("preference-applied").cloned();
            let body = answer.body_mut().read_to_string().expect("text");
            let body: Json = serde_json::from_str(&body).expect("JSON");
            let applied = applied.map(|v| v.to_str().expect("ASCII").to_owned());
            (answer.status().as_u16(), applied.unwrap_or_default(), body)
        };
        [
            ask(""),
            ask(",odata.timezone=\"America/New_York\""),
            ask(",odata.timezone=\"Europe/Oslo\""),
            ask(",odata.timezone=\"Mars/Olympus\""),
        ]
    });
    let [utc, new_york, oslo, mars] = asked.await.expect("asked");
    stop.send(()).expect("still serving");
    serving.await.expect("ends").expect("without an error");
    let shown = |body: &Json| {
        let key = "postponeuntil@OData.Community.Display.V1.FormattedValue";
        body["value"][0][key].as_str().map(str::to_owned)
    };
    assert_eq!(shown(&utc.2).as_deref(), Some("12/31/2023 11:30 PM"));
    assert_eq!(shown(&new_york.2).as_deref(), Some("12/31/2023 6:30 PM"));
    assert!(new_york.1.ends_with("odata.timezone=\"America/New_York\""), "{}", new_york.1);
    assert_eq!(oslo.2["value"], serde_json::json!([]), "in Oslo it was this year");
    assert_eq!(mars.0, 400);
    let message = mars.2["error"]["message"].as_str().expect("a message");
    assert!(message.contains("'Mars/Olympus' is not a time zone"), "{message}");
}
