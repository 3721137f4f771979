//! `sysjob replay`: drives a running service with the jobs of a trace, as they once
//! arrived or at an even rate, and compares the waits.
//!
//! Parts: this file submits, [`account`] asks what came of it.

mod account;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use ureq::http::Method;
use uuid::Uuid;

use self::account::Account;
use super::Connection;
use super::remote::Remote;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::import::trace::{self, Outcome, Submission};
use crate::value::guid_text;

/// Jobs of one request.
const BATCH: usize = 1000;

/// A service that does not answer is asked again for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// An extension's own failure, 0x80040265: no failure of a trace is retried by the
/// service, since the trace has its own further attempts.
const FAILED: u32 = codes::PLUGIN_FAILED;

/// The operation type of asynchronous plug-ins, which have no dependency tokens.
const PLUGIN: i32 = 1;

#[derive(Args)]
pub struct Replay {
    /// A job trace, .csv or .csv.gz
    file: PathBuf,
    /// The running service
    #[arg(long, env = "SYSJOB_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(flatten)]
    connection: Connection,
    /// How many times faster than once jobs arrive and run, such as 60x
    #[arg(long, env = "SYSJOB_SPEED", default_value = "60x", value_parser = speed)]
    speed: f64,
    /// Jobs arrive evenly instead, so many a second, such as 500/s
    #[arg(long, env = "SYSJOB_RATE", value_name = "N/s", value_parser = rate)]
    rate: Option<f64>,
    /// The first N jobs of the trace only
    #[arg(long, env = "SYSJOB_JOBS", value_name = "N")]
    jobs: Option<usize>,
    /// Every job posts to this address, instead of taking the time it took
    #[arg(long, env = "SYSJOB_WEBHOOK", value_name = "URL")]
    webhook: Option<String>,
}

/// A factor such as `60x`.
pub fn speed(text: &str) -> Result<f64, String> {
    above_zero(text.strip_suffix(['x', 'X']).unwrap_or(text))
}

fn rate(text: &str) -> Result<f64, String> {
    above_zero(text.strip_suffix("/s").unwrap_or(text))
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "a number above 0 is expected".to_owned())
}

impl Replay {
    pub fn run(self) -> Result<ExitCode> {
        let remote = Remote::new(&self.url, &self.connection)?;
        let trace = trace::read_file(&self.file)?;
        let jobs: Vec<Submission<'_>> =
            trace.submissions().take(self.jobs.unwrap_or(usize::MAX)).collect();
        if jobs.is_empty() {
            let message = format!("'{}' has no jobs", self.file.display());
            return Err(Error::invalid(codes::INVALID_ARGUMENT, message));
        }
        // All jobs of a replay have it, so that they are found again.
        let replay = Uuid::new_v4();
        println!("replay {replay}: {} jobs of {}", jobs.len(), self.file.display());
        let bar = bar(jobs.len());
        let began = Instant::now();
        let late = self.submit(&remote, &jobs, replay, &bar)?;
        let took = began.elapsed().as_secs_f64();
        println!(
            "submitted in {took:.1} s, at most {:.3} s later than their time",
            late.as_secs_f64()
        );
        let account = Account { remote: &remote, replay, patience: PATIENCE };
        bar.set_prefix("ended");
        account.wait(&bar)?;
        bar.finish_and_clear();
        // At a rate, the times of the trace have nothing to do with those here.
        let scale = self.rate.is_none().then_some(self.speed);
        print!("{}", account.summary(&jobs, scale)?);
        Ok(ExitCode::SUCCESS)
    }

    /// Submits the jobs at their times; the longest that one came late.
    fn submit(
        &self,
        remote: &Remote,
        jobs: &[Submission<'_>],
        replay: Uuid,
        bar: &ProgressBar,
    ) -> Result<Duration> {
        let (began, first) = (Instant::now(), jobs[0].at);
        let due = |index: usize| {
            Duration::from_secs_f64(match self.rate {
                Some(rate) => index as f64 / rate,
                None => jobs[index].at.saturating_sub(first).max(0) as f64 / 1e6 / self.speed,
            })
        };
        let (mut next, mut late) = (0, Duration::ZERO);
        while next < jobs.len() {
            let now = began.elapsed();
            if let Some(wait) = due(next).checked_sub(now)
                && !wait.is_zero()
            {
                sleep(wait);
                continue;
            }
            late = late.max(now.saturating_sub(due(next)));
            let count = (next..jobs.len()).take(BATCH).take_while(|i| due(*i) <= now).count();
            let body = (next..next + count).map(|index| self.job(&jobs[index], index, replay));
            let body = Value::Array(body.collect());
            patiently(PATIENCE, || remote.call(Method::POST, "/sysjob/jobs", Some(&body)))?;
            next += count;
            bar.set_position(next as u64);
        }
        Ok(late)
    }

    /// A job as `POST /sysjob/jobs` takes it. The id follows from replay and place, so
    /// that a request that is sent again makes no second job.
    fn job(&self, job: &Submission<'_>, index: usize, replay: Uuid) -> Value {
        let id = id_of(replay, index);
        let mut body = json!({
            "asyncoperationid": id.to_string(),
            "name": job.name,
            "operationtype": job.operationtype,
            "correlationid": replay.to_string(),
            "handler": self.handler(job),
        });
        if let (Some(task), false) = (&job.task, job.operationtype == PLUGIN) {
            // Attempts of one task never overlap, and those of two replays may.
            body["dependencytoken"] = json!(format!("{replay}/{}", guid_text(task)));
        }
        body
    }

    fn handler(&self, job: &Submission<'_>) -> Value {
        if let Some(url) = &self.webhook {
            return json!({ "webhook": { "url": url } });
        }
        let duration_ms = job.runs.max(0) as f64 / 1000.0 / self.speed;
        json!({ "simulate": match &job.outcome {
            Outcome::Succeeded => json!({ "duration_ms": duration_ms, "outcome": "succeed" }),
            Outcome::Failed { message, .. } => json!({
                "duration_ms": duration_ms,
                "outcome": "fail",
                "errorcode": FAILED.cast_signed(),
                "message": message,
            }),
            Outcome::Canceled | Outcome::Endless => {
                json!({ "duration_ms": duration_ms, "outcome": "cancel" })
            }
        } })
    }
}

/// The id of a replay's job, by its place in the trace.
fn id_of(replay: Uuid, index: usize) -> Uuid {
    Uuid::new_v5(&replay, &index.to_be_bytes())
}

/// Tries again as long as nobody answers.
fn patiently<T>(patience: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(error) if error.kind == ErrorKind::Closed && began.elapsed() < patience => {
                sleep(AGAIN);
            }
            answer => return answer,
        }
    }
}

fn bar(jobs: usize) -> ProgressBar {
    let bar = ProgressBar::new(jobs as u64).with_prefix("submitted");
    let style = "{prefix} {wide_bar} {pos}/{len} jobs, {elapsed}";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is well formed"));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_and_rates_are_numbers_with_their_units() {
        assert_eq!(speed("60x"), Ok(60.0));
        assert_eq!(speed("0.5"), Ok(0.5));
        assert_eq!(rate("500/s"), Ok(500.0));
        for text in ["", "x", "0x", "-1", "nan", "inf", "fast"] {
            assert!(speed(text).is_err(), "{text}");
        }
    }
}
