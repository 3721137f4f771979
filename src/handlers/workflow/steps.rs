//! The logic of a workflow: a list of steps, written as JSON in `clientdata`, and how
//! far a job has come in it. Nothing here waits, sends or writes.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result, codes};
use crate::job::handler::Simulation;

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Goes on after a time, or when something happens to the job's record; the job has
    /// no place in its pool meanwhile.
    Wait(Wait),
    /// Posts the execution context.
    Webhook(Webhook),
    /// Changes a record: that of the job, where none is named.
    Update(Update),
    /// Ends as failed.
    Fail(Fail),
    /// Ends as succeeded.
    Stop(Nothing),
    /// Takes a time and ends as told.
    Simulate(Simulation),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    Seconds(f64),
    Event(Nothing),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub attributes: Map<String, Json>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    #[serde(default, deserialize_with = "error_code", skip_serializing_if = "Option::is_none")]
    pub errorcode: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A signed number, the same without its sign, or hexadecimal text.
fn error_code<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    let unsigned = |number: u32| Some(number.cast_signed());
    let code = match Json::deserialize(from)? {
        Json::Null => return Ok(None),
        Json::Number(number) => number.as_i64().and_then(|number| {
            i32::try_from(number).ok().or_else(|| unsigned(u32::try_from(number).ok()?))
        }),
        Json::String(text) => {
            let digits = text.trim().strip_prefix("0x").or(text.trim().strip_prefix("0X"));
            match digits {
                Some(digits) => u32::from_str_radix(digits, 16).ok().and_then(unsigned),
                None => text.trim().parse().ok(),
            }
        }
        _ => None,
    };
    code.map(Some).ok_or_else(|| D::Error::custom("'errorcode' is a 32-bit number or 0x…"))
}

/// Logic as it is registered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Logic {
    steps: Vec<Step>,
}

/// How far a job has come. It keeps the steps it began with, so that a workflow that
/// is changed meanwhile does not change the jobs under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    steps: Vec<Step>,
    next: usize,
    /// The wait under way.
    pub wait: Option<Waiting>,
}

/// A wait: until when, if not for an event, and the row of the log that tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub until: Option<i64>,
    pub since: i64,
    pub log: String,
}

impl Progress {
    /// The beginning of a workflow's logic.
    pub fn begin(logic: &str) -> Result<Self> {
        let logic: Logic = serde_json::from_str(logic).map_err(|e| {
            let message = format!("the logic of the workflow cannot be read: {e}");
            Error::invalid(codes::WORKFLOW_UNREADABLE, message)
        })?;
        Ok(Self { steps: logic.steps, next: 0, wait: None })
    }

    /// Where a job has stopped.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("steps are plain JSON")
    }

    /// The step to do; nothing at the end.
    pub fn current(&self) -> Option<&Step> {
        self.steps.get(self.next)
    }

    /// The step is done.
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// No further step is done.
    pub fn stop(&mut self) {
        self.next = self.steps.len();
    }

    /// What the step is called: `2 webhook`.
    pub fn stage(&self) -> String {
        let name = self.current().map_or("end", Step::name);
        format!("{} {name}", self.next + 1)
    }
}

impl Step {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::Webhook(_) => "webhook",
            Self::Update(_) => "update",
            Self::Fail(_) => "fail",
            Self::Stop(_) => "stop",
            Self::Simulate(_) => "simulate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_read_and_kept() {
        let logic = r#"{"steps":[{"wait":{"seconds":1.5}},{"wait":{"event":{}}},{"webhook":{"url":"http://h/"}},
            {"update":{"table":"account","id":"x","attributes":{"name":null}}},
            {"update":{"attributes":{}}},{"simulate":{"duration_ms":1,"outcome":"succeed"}},
            {"fail":{"errorcode":"0x80040265","message":"no"}},{"stop":{}}]}"#;
        let mut progress = Progress::begin(logic).expect("valid");
        let mut names = Vec::new();
        while let Some(step) = progress.current() {
            names.push(step.name());
            assert_eq!(Progress::read(&progress.to_text()), Some(progress.clone()));
            progress.advance();
        }
        let all = ["wait", "wait", "webhook", "update", "update", "simulate", "fail", "stop"];
        assert_eq!(names, all);
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for logic in [
            "",
            "{}",
            "[]",
            r#"{"steps":{}}"#,
            r#"{"steps":[{"wat":{}}]}"#,
            r#"{"steps":[{"wait":{}}]}"#,
            r#"{"steps":[{"wait":{"seconds":"1"}}]}"#,
            r#"{"steps":[{"wait":{"seconds":1,"event":{}}}]}"#,
            r#"{"steps":[{"wait":{"event":{"x":1}}}]}"#,
            r#"{"steps":[{"stop":{"x":1}}]}"#,
            r#"{"steps":[{"webhook":{"url":"u","x":1}}]}"#,
            r#"{"steps":[{"fail":{"errorcode":"x"}}]}"#,
            r#"{"steps":[],"more":1}"#,
        ] {
            let error = Progress::begin(logic).expect_err(logic);
            assert_eq!(error.code, 0x8004_4304, "{logic}");
        }
    }

    #[test]
    fn error_codes_are_read_in_every_spelling() {
        let code = |text: &str| {
            let logic = format!(r#"{{"steps":[{{"fail":{{"errorcode":{text}}}}}]}}"#);
            match Progress::begin(&logic).expect("valid").current() {
                Some(Step::Fail(fail)) => fail.errorcode,
                other => panic!("{other:?}"),
            }
        };
        let expected = Some(0x8004_0265_u32.cast_signed());
        for text in ["-2147220891", "2147746405", "\"0x80040265\"", "\"-2147220891\""] {
            assert_eq!(code(text), expected, "{text}");
        }
        assert_eq!(code("null"), None);
    }
}
