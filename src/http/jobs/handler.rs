//! The handler that a client names for a job: an object with one member.

use axum::http::Uri;
use serde_json::Value as Json;

use super::members::{Members, wrong};
use crate::catalog::nearest;
use crate::error::{Error, Result};
use crate::job::Handler;
use crate::job::handler::{SimulatedOutcome, Simulation};

/// What clients may name.
const HANDLERS: [&str; 3] = ["simulate", "webhook", "worker"];

const OUTCOMES: [(&str, SimulatedOutcome); 6] = [
    ("succeed", SimulatedOutcome::Succeed),
    ("fail", SimulatedOutcome::Fail),
    ("retry", SimulatedOutcome::Retry),
    ("suspend", SimulatedOutcome::Suspend),
    ("cancel", SimulatedOutcome::Cancel),
    ("hang", SimulatedOutcome::Hang),
];

/// A year: nobody waits for longer simulated work.
const DURATION_MS_MAX: f64 = 365.0 * 86_400_000.0;

/// Reads a handler; `place` is what errors call it.
pub fn read(json: &Json, place: &str) -> Result<Handler> {
    let members = Members::of(json, place)?;
    let names: Vec<&String> = members.keys().collect();
    let [name] = names.as_slice() else {
        return Err(wrong(
            place,
            "an object with one member is expected: simulate, webhook or worker",
        ));
    };
    let inside = format!("{place}.{name}");
    let json = members.get(name).unwrap_or(&Json::Null);
    match name.as_str() {
        "simulate" => simulate(&Members::of(json, &inside)?),
        "webhook" => webhook(&Members::of(json, &inside)?),
        "worker" => {
            Members::of(json, &inside)?.known(&[])?;
            Ok(Handler::Worker {})
        }
        other => {
            let near = nearest(other, HANDLERS.into_iter());
            let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
            let message =
                format!("'{other}' is no handler; there are {}{hint}", HANDLERS.join(", "));
            Err(wrong(place, message))
        }
    }
}

fn simulate(members: &Members) -> Result<Handler> {
    members.known(&["duration_ms", "outcome", "errorcode", "message", "attempts_until_success"])?;
    let words = OUTCOMES.map(|(word, _)| word);
    let word = members.word("outcome", &words)?;
    let row = OUTCOMES.iter().find(|(known, _)| *known == word);
    let (_, outcome) = *row.ok_or_else(|| Error::internal("an outcome without a row"))?;
    let duration_ms = match members.get("duration_ms") {
        None => 0.0,
        Some(json) => {
            let number = json.as_f64().filter(|ms| (0.0..=DURATION_MS_MAX).contains(ms));
            number.ok_or_else(|| {
                let message = format!(
                    "a number of milliseconds from 0 to {DURATION_MS_MAX} is expected, not {json}"
                );
                members.wrong("duration_ms", message)
            })?
        }
    };
    Ok(Handler::simulate(Simulation {
        errorcode: members.error_code("errorcode")?,
        message: members.text("message")?.map(str::to_owned),
        attempts_until_success: members.int("attempts_until_success", 0)?,
        ..Simulation::new(duration_ms, outcome)
    }))
}

fn webhook(members: &Members) -> Result<Handler> {
    members.known(&["url"])?;
    let url = members.required_text("url")?.trim();
    let uri = url.parse::<Uri>().ok();
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    if matches!(scheme, Some("http" | "https")) {
        return Ok(Handler::Webhook { url: url.to_owned() });
    }
    Err(members
        .wrong("url", format!("'{url}' is not the address of a web server, http:// or https://")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn handlers_are_read_as_their_rows_keep_them() {
        for json in [
            json!({"worker": {}}),
            json!({"webhook": {"url": "http://127.0.0.1:9/x?y=1"}}),
            json!({"simulate": {"duration_ms": 5.0, "outcome": "hang"}}),
            json!({"simulate": {
                "duration_ms": 0.5, "outcome": "fail", "errorcode": -2_147_220_891,
                "message": "no", "attempts_until_success": 3
            }}),
        ] {
            let handler = read(&json, "handler").expect("a handler");
            assert_eq!(serde_json::from_str::<Json>(&handler.to_json()).expect("JSON"), json);
        }
        let hexadecimal = json!({"simulate": {"outcome": "fail", "errorcode": "0x80040265"}});
        let Ok(Handler::Simulate(simulation)) = read(&hexadecimal, "handler") else {
            panic!("a handler");
        };
        assert_eq!(simulation.errorcode, Some(-2_147_220_891));
    }

    #[test]
    fn other_handlers_are_refused_by_name() {
        for (json, message) in [
            (json!("worker"), "handler: a JSON object is expected, not a text"),
            (
                json!({}),
                "handler: an object with one member is expected: simulate, webhook or worker",
            ),
            (json!({"worker": {}, "webhook": {}}), "handler: an object with one member"),
            (json!({"workers": {}}), "did you mean 'worker'?"),
            (
                json!({"platform": {}}),
                "'platform' is no handler; there are simulate, webhook, worker",
            ),
            (json!({"worker": null}), "handler.worker: a JSON object is expected, not null"),
            (json!({"worker": {"x": 1}}), "handler.worker: 'x' is no member"),
            (json!({"webhook": {}}), "handler.webhook.url: a text is required"),
            (json!({"webhook": {"url": "ftp://x/"}}), "handler.webhook.url: 'ftp://x/' is not"),
            (json!({"webhook": {"url": "localhost"}}), "is not the address of a web server"),
            (json!({"webhook": {"uri": "http://x/"}}), "did you mean 'url'?"),
            (json!({"simulate": {}}), "handler.simulate.outcome: a text is required"),
            (json!({"simulate": {"outcome": "success"}}), "did you mean 'succeed'?"),
            (json!({"simulate": {"outcome": "hang", "duration_ms": -1}}), "from 0 to"),
            (json!({"simulate": {"outcome": "hang", "duration_ms": "5"}}), "from 0 to"),
            (
                json!({"simulate": {"outcome": "hang", "duration": 5}}),
                "did you mean 'duration_ms'?",
            ),
            (
                json!({"simulate": {"outcome": "fail", "errorcode": 1.5}}),
                "handler.simulate.errorcode",
            ),
        ] {
            let refused = read(&json, "handler").expect_err("refused").to_string();
            assert!(refused.contains(message), "{json}: {refused}");
        }
    }
}
