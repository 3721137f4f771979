//! How the work of a job is done. A job's row names its handler as a JSON object
//! with one key, in a column that is not shown, so that it is known again after a
//! restart. A job without a handler came from elsewhere: sysjob shows it and never
//! runs it.

use serde::{Deserialize, Serialize};

use super::report::{Outcome, Report};
use crate::error::codes;

/// The handler of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handler {
    /// Takes its time and ends as told; for replays and tests.
    Simulate(Box<Simulation>),
    /// Waits until a worker, another process, claims it.
    Worker {},
    /// Posts the job's execution context to an address.
    Webhook { url: String },
    /// Posts it to the service endpoint of the step that the job belongs to.
    Endpoint {},
    /// Does the steps of the workflow that the job belongs to.
    Workflow {},
    /// The platform's own work, by operation type.
    Platform {},
}

/// A simulated job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    #[serde(default)]
    pub duration_ms: f64,
    pub outcome: SimulatedOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errorcode: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// This attempt and later ones succeed. Those before it end as told, or with a
    /// transient error if they are told to succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_until_success: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SimulatedOutcome {
    Succeed,
    Fail,
    Retry,
    Suspend,
    /// Ends as canceled, as if somebody had asked for it.
    Cancel,
    /// Never ends by itself.
    Hang,
}

impl Handler {
    /// The handler that a JSON text names, if it names one.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a handler is plain JSON")
    }

    /// A job that succeeds after a time.
    pub fn simulate(simulation: Simulation) -> Self {
        Self::Simulate(Box::new(simulation))
    }

    /// Whether another process does the work, under a lease.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Worker {})
    }
}

impl Simulation {
    /// A job that ends after a time.
    pub fn new(duration_ms: f64, outcome: SimulatedOutcome) -> Self {
        Self { duration_ms, outcome, errorcode: None, message: None, attempts_until_success: None }
    }

    /// How an attempt will end; nothing if it never does.
    pub fn end(&self, attempt: i32) -> Option<Report> {
        let told = |outcome| Report {
            errorcode: self.errorcode,
            message: self.message.clone(),
            friendlymessage: self.message.clone(),
            ..Report::of(outcome)
        };
        let enough = self.attempts_until_success.map(|enough| attempt >= enough);
        match self.outcome {
            _ if enough == Some(true) => Some(Report::of(Outcome::Succeeded)),
            SimulatedOutcome::Succeed if enough == Some(false) => {
                let errorcode = self.errorcode.or(Some(codes::SERVER_BUSY as i32));
                Some(Report { errorcode, ..told(Outcome::Retry) })
            }
            SimulatedOutcome::Succeed => Some(Report::of(Outcome::Succeeded)),
            SimulatedOutcome::Fail => Some(told(Outcome::Failed)),
            SimulatedOutcome::Retry => Some(told(Outcome::Retry)),
            SimulatedOutcome::Suspend => Some(told(Outcome::Suspended)),
            SimulatedOutcome::Cancel => Some(Report::of(Outcome::Canceled)),
            SimulatedOutcome::Hang => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_survives_its_text_and_other_texts_name_none() {
        let simulation = Simulation {
            errorcode: Some(-2_147_220_891),
            message: Some("no".into()),
            ..Simulation::new(1.5, SimulatedOutcome::Fail)
        };
        for handler in [Handler::simulate(simulation), Handler::Worker {}] {
            assert_eq!(Handler::from_json(&handler.to_json()), Some(handler));
        }
        assert_eq!(Handler::from_json("{\"worker\":{}}"), Some(Handler::Worker {}));
        let text = "{\"simulate\":{\"duration_ms\":5,\"outcome\":\"hang\"}}";
        assert!(matches!(Handler::from_json(text), Some(Handler::Simulate(_))));
        assert_eq!(Handler::from_json("<xml/>"), None);
        assert_eq!(Handler::from_json("{\"PrimaryEntityId\":1}"), None);
    }

    #[test]
    fn enough_attempts_end_in_success() {
        for (told, before) in [
            (SimulatedOutcome::Succeed, Some(Outcome::Retry)),
            (SimulatedOutcome::Retry, Some(Outcome::Retry)),
            (SimulatedOutcome::Fail, Some(Outcome::Failed)),
            (SimulatedOutcome::Suspend, Some(Outcome::Suspended)),
            (SimulatedOutcome::Hang, None),
        ] {
            let simulation =
                Simulation { attempts_until_success: Some(3), ..Simulation::new(1.0, told) };
            let outcome = |attempt| simulation.end(attempt).map(|report| report.outcome);
            assert_eq!(outcome(1), before, "{told:?}");
            assert_eq!(outcome(2), before, "{told:?}");
            assert_eq!(outcome(3), Some(Outcome::Succeeded), "{told:?}");
        }
    }
}
