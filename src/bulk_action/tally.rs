//! What came of an action on many jobs.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::value::{Guid, guid_text};

/// Ids shown of each kind.
const SAMPLE_MAX: usize = 10;
/// Messages shown of one error code.
const MESSAGES_MAX: usize = 3;

/// Jobs done and jobs skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub done: u64,
    pub skipped: Vec<Skipped>,
    /// Some that were done.
    pub sample: Vec<String>,
}

/// Jobs skipped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The Dataverse error code, `0x8004…`.
    pub code: String,
    pub message: String,
    pub count: u64,
    pub sample: Vec<String>,
}

impl Tally {
    /// Counts what came of one job.
    pub fn count(&mut self, id: Guid, outcome: &Result<()>) {
        let Err(error) = outcome else {
            self.done += 1;
            if self.sample.len() < SAMPLE_MAX {
                self.sample.push(guid_text(&id));
            }
            return;
        };
        let (code, message) = (format!("0x{:08x}", error.code), error.to_string());
        match self.skipped.iter_mut().find(|skipped| skipped.code == code) {
            Some(skipped) => {
                skipped.count += 1;
                if skipped.sample.len() < SAMPLE_MAX {
                    skipped.sample.push(guid_text(&id));
                }
                let told = skipped.message.matches("; ").count() + 1;
                if told < MESSAGES_MAX && !skipped.message.contains(&message) {
                    skipped.message.push_str(&format!("; {message}"));
                }
            }
            None => {
                let sample = vec![guid_text(&id)];
                self.skipped.push(Skipped { code, message, count: 1, sample });
            }
        }
    }

    /// Jobs that were skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped.iter().map(|skipped| skipped.count).sum()
    }

    /// In words, as far as `total` jobs are done.
    pub fn progress(&self, total: usize) -> String {
        let (done, skipped) = (self.done, self.skipped());
        let mut text = format!("{} of {total}: {done} done, {skipped} skipped", done + skipped);
        for Skipped { code, message, count, .. } in &self.skipped {
            text.push_str(&format!("\n{count} with {code}: {message}"));
        }
        text
    }
}
