//! Small tables, each with one trouble, and each just under the threshold.

pub(crate) mod samples;

use std::collections::BTreeSet;

use self::samples::{NOW, SAMPLES, Sample, World};
use super::{Finding, PoolSize, Severity, document, forecast, page};

fn ids(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.id).collect()
}

fn world(sample: impl Fn(&mut World)) -> World {
    let mut world = World::default();
    sample(&mut world);
    world
}

#[test]
fn a_healthy_table_has_no_findings() {
    assert_eq!(ids(&World::default().findings()), [""; 0], "an empty table");
    assert_eq!(ids(&world(samples::healthy).findings()), [""; 0]);
}

#[test]
fn each_trouble_is_found_alone_and_not_below_its_threshold() {
    for Sample { id, trouble, nearly } in SAMPLES {
        let found = world(trouble).findings();
        assert_eq!(ids(&found), [*id]);
        let finding = &found[0];
        assert!(finding.headline.len() > 20 && finding.meaning.len() > 40, "{finding:?}");
        assert!(finding.subject["kind"].is_string(), "{finding:?}");
        assert!(finding.figures.as_object().is_some_and(|figures| !figures.is_empty()));
        let rows = finding.evidence[0]["rows"].as_array().expect("rows");
        assert!(!rows.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
        // The evidence says what was asked, as of when.
        let text = finding.evidence[0]["text"].as_str().expect("the question");
        assert!(!text.contains("GETUTCDATE"), "{text}");
        assert_eq!(ids(&world(nearly).findings()), [""; 0], "nearly {id}");
    }
}

#[test]
fn every_rule_has_a_sample() {
    let sampled: BTreeSet<&str> = SAMPLES.iter().map(|sample| sample.id).collect();
    let ruled: BTreeSet<&str> = super::rules::all().map(|rule| rule.id).collect();
    assert_eq!(sampled, ruled);
    assert_eq!(ruled.len(), 16);
}

#[test]
fn the_worst_comes_first_with_its_figures() {
    let mut world = World::default();
    samples::loop_stopped(&mut world);
    (SAMPLES.iter().find(|s| s.id == "cleanup-overdue").expect("one").trouble)(&mut world);
    let found = world.findings();
    assert_eq!(ids(&found), ["loop", "cleanup-overdue"]);
    assert_eq!(found[0].severity, Severity::Critical);
    assert_eq!(
        found[0].headline,
        "workflow 'Renew <contracts>' is part of a loop: 1 job stopped at depth 9"
    );
    assert_eq!(found[0].subject["kind"], "workflow");
    assert_eq!(found[0].figures["stopped"], 1);
    assert_eq!(found[1].headline, "100 jobs ended more than 30 days ago");
    assert_eq!(found[1].severity, Severity::Info);
}

#[test]
fn a_page_shows_all_of_it_and_escapes() {
    let world = world(samples::loop_stopped);
    let found = world.findings();
    let document = world.ask(|source| document(source, &found, "2026-05-10T12:00:00Z"));
    let page = page(&document.expect("counted"), &found);
    for part in [
        "<h1>System jobs: 1 critical</h1>",
        "<section class=\"critical\" id=\"loop\">",
        "Renew &lt;contracts&gt;",
        "sysjob workflows deactivate",
        "<th>deepest</th>",
        "FROM asyncoperation",
    ] {
        assert!(page.contains(part), "'{part}' is not in {page}");
    }
    assert!(!page.contains("<contracts>"));
}

#[test]
fn what_waits_is_shared_by_the_places_of_its_pool() {
    let pool = |concurrency| PoolSize {
        name: "sync".into(),
        operationtypes: vec![Some(54)],
        concurrency,
        running: 0,
    };
    let said = |chained, concurrency| {
        let world = world(|world| samples::queue(world, chained));
        let said = world.ask(|s| forecast(s, &[pool(concurrency)], 64, "now", Some(NOW)));
        said.expect("said")["pools"][0].clone()
    };
    // 100 jobs of 60 s in 10 places; 20 an hour go on coming, a third of a place.
    let pool = said(0, 10);
    assert_eq!(pool["queued"], 100);
    assert_eq!(pool["drain_without_arrivals_s"], 600.0);
    assert_eq!(pool["drain_s"].as_f64().map(f64::round), Some(621.0));
    assert_eq!(pool["text"], "what waits has run in about 10 min");
    assert_eq!(pool["kinds"][0]["p95_s"], 60.0);
    // A chain takes its time, however many places there are.
    assert_eq!(said(30, 100)["drain_s"], 1800.0);
    // A type in no pool has one of its own; of a kind that never ran nobody can say.
    let world = world(|world| samples::queue(world, 0));
    let none = world.ask(|s| forecast(s, &[], 64, "now", Some(NOW))).expect("said");
    assert_eq!(none["pools"][0]["pool"], "type 54");
    assert_eq!(none["pools"][0]["concurrency"], 64);
    let unknown = self::world(samples::waiting);
    let said = unknown.ask(|s| forecast(s, &[], 64, "now", Some(NOW))).expect("said");
    assert_eq!(said["pools"][0]["drain_s"], serde_json::Value::Null);
    assert_eq!(said["queued"], 1);
}
