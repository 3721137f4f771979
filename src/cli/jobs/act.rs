//! `sysjob jobs cancel`, `pause`, `resume`, `postpone` and `delete`.

use clap::Args;
use serde_json::{Value as Json, json};
use ureq::http::Method;

use super::print::{Form, rows};
use super::select::Selection;
use super::unexpected;
use crate::cli::remote::Remote;
use crate::error::Result;
use crate::job::Action;
use crate::value::time_text;

#[derive(Args)]
pub struct Act {
    #[command(flatten)]
    jobs: Selection,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Act on so many jobs at most
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Why, for the history of the jobs
    #[arg(long)]
    reason: Option<String>,
}

const COLUMNS: [&str; 5] = ["outcome", "jobs", "code", "message", "sample"];

impl Act {
    /// Whether nothing was skipped.
    pub fn run(&self, remote: &Remote, form: Form, action: Action) -> Result<bool> {
        let mut body = self.jobs.members(remote)?;
        body["action"] = action.name().into();
        if let Action::Postpone(until) = action {
            body["until"] = time_text(until).into();
        }
        if self.dry_run {
            body["dry_run"] = true.into();
        }
        if let Some(limit) = self.limit {
            body["limit"] = limit.into();
        }
        if let Some(reason) = &self.reason {
            body["reason"] = reason.as_str().into();
        }
        let answer = remote.call(Method::POST, "/sysjob/actions", Some(&body))?;
        let number = |name: &str| answer[name].as_u64().ok_or_else(|| unexpected(name));
        let (matched, done) = (number("matched")?, number("done")?);
        let skipped = answer["skipped"].as_array().ok_or_else(|| unexpected("skipped"))?;
        let left: u64 = skipped.iter().filter_map(|skipped| skipped["count"].as_u64()).sum();
        let due = matched.min(self.limit.unwrap_or(u64::MAX));
        let (outcome, jobs) = match (self.dry_run, answer["job"].as_str()) {
            (true, _) => (format!("would {}", action.name()), due - left.min(due)),
            (false, Some(job)) => (format!("left to system job {job}"), due),
            (false, None) => ("done".to_owned(), done),
        };
        let mut shown =
            vec![json!({ "outcome": outcome, "jobs": jobs, "sample": answer["sample"] })];
        shown.extend(skipped.iter().map(|skipped| {
            json!({
                "outcome": "skipped",
                "jobs": skipped["count"],
                "code": skipped["code"],
                "message": skipped["message"],
                "sample": skipped["sample"],
            })
        }));
        if matched > due {
            let beyond = "beyond --limit";
            shown.push(json!({ "outcome": "left", "jobs": matched - due, "message": beyond }));
        }
        rows(form, &COLUMNS, &shown, Some(&Json::clone(&answer)))?;
        Ok(left == 0)
    }
}
