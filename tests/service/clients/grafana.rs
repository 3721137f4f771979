//! The dashboard in `grafana/`: every panel's query, with its macros expanded as
//! Grafana's PostgreSQL data source does, over the extended protocol.

use serde_json::Value;

use super::here;
use super::sql::{connect, jobs};
use crate::support::Service;

const FROM: &str = "2026-05-01T00:00:00Z";
const TO: &str = "2026-05-02T00:00:00Z";
const INTERVAL: (&str, u32) = ("1h", 3600);

/// The arguments of a macro where it stands next, and the text around it.
fn split<'a>(text: &'a str, name: &str) -> Option<(&'a str, Vec<&'a str>, &'a str)> {
    let (before, rest) = text.split_once(&format!("{name}("))?;
    let (arguments, after) = rest.split_once(')').expect("a macro is closed");
    Some((before, arguments.split(',').map(str::trim).collect(), after))
}

fn expand(query: &str) -> String {
    let mut text = query.replace("$__interval", INTERVAL.0);
    let group = |arguments: &[&str]| {
        assert_eq!(arguments[1].trim_matches('\''), INTERVAL.0);
        let seconds = INTERVAL.1;
        format!("floor(extract(epoch from {})/{seconds})*{seconds}", arguments[0])
    };
    while let Some((before, arguments, after)) = split(&text, "$__timeFilter") {
        text = format!("{before}{} BETWEEN '{FROM}' AND '{TO}'{after}", arguments[0]);
    }
    while let Some((before, arguments, after)) = split(&text, "$__timeGroupAlias") {
        text = format!("{before}{} AS \"time\"{after}", group(&arguments));
    }
    while let Some((before, arguments, after)) = split(&text, "$__timeGroup") {
        text = format!("{before}{}{after}", group(&arguments));
    }
    assert!(!text.contains("$__"), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_has_an_answer() {
    let text = std::fs::read_to_string(here("grafana/sysjob-dashboard.json")).expect("readable");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let folder = jobs(2000);
    let service = Service::start(&folder.path().join("data"), &["--no-scheduler"]);
    let client = connect(&service).await;
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() >= 8);
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let target = &panel["targets"][0];
        let query = expand(target["rawSql"].as_str().expect("a query"));
        let rows = client.query(&query, &[]).await;
        let rows = rows.unwrap_or_else(|e| panic!("{title}: {e:?}\n{query}"));
        if target["format"] == "time_series" && title.starts_with("Jobs") {
            assert_eq!(rows[0].columns()[0].name(), "time", "{title}");
            // Each hour's failed jobs, and so on: the first one begins at ten.
            assert!((rows[0].get::<_, f64>(0) - 1_777_629_600.0).abs() < 1e-6, "{title}");
        }
        let filled =
            ["Jobs created by status", "Jobs by state and status", "Suspended jobs by name"];
        assert!(!rows.is_empty() || !filled.contains(&title), "{title}");
    }
    drop(client);
    assert_eq!(service.terminate(), Some(0));
}
