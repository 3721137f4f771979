//! How the work of a job is done. A job names its handler in its `data`, as a
//! JSON object with one key, so that it is known again after a restart. A job
//! without a handler came from elsewhere: sysjob shows it and never runs it.

use serde::{Deserialize, Serialize};

/// The handler of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handler {
    /// Takes its time and ends as told; for replays and tests.
    Simulate(Simulation),
}

/// A simulated job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    pub duration_ms: f64,
    pub outcome: SimulatedOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errorcode: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SimulatedOutcome {
    Succeed,
    Fail,
    /// Ends as canceled, as if somebody had asked for it.
    Cancel,
    /// Never ends by itself.
    Hang,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Succeeded,
    Failed { errorcode: Option<i32>, message: Option<String> },
    Canceled,
}

impl Handler {
    /// The handler that a job's `data` names, if it names one.
    pub fn from_data(data: &str) -> Option<Self> {
        serde_json::from_str(data).ok()
    }

    pub fn to_data(&self) -> String {
        serde_json::to_string(self).expect("a handler is plain JSON")
    }
}

impl Simulation {
    /// How the job will end; nothing if it never does.
    pub fn end(&self) -> Option<Outcome> {
        match self.outcome {
            SimulatedOutcome::Succeed => Some(Outcome::Succeeded),
            SimulatedOutcome::Fail => {
                Some(Outcome::Failed { errorcode: self.errorcode, message: self.message.clone() })
            }
            SimulatedOutcome::Cancel => Some(Outcome::Canceled),
            SimulatedOutcome::Hang => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_survives_its_data_and_other_data_is_none() {
        let handler = Handler::Simulate(Simulation {
            duration_ms: 1.5,
            outcome: SimulatedOutcome::Fail,
            errorcode: Some(-2_147_220_891),
            message: Some("no".into()),
        });
        assert_eq!(Handler::from_data(&handler.to_data()), Some(handler));
        assert_eq!(Handler::from_data("<xml/>"), None);
        assert_eq!(Handler::from_data("{\"PrimaryEntityId\":1}"), None);
    }
}
