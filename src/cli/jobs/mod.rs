//! `sysjob jobs …`: what a running service has, and what is asked of its jobs. Exit 0
//! done, 1 refused or not done for some, 2 wrong usage, 3 no answer from the service.
//!
//! Parts: [`select`] which jobs, [`list`] and [`show`] what they are, [`act`] what is
//! asked of them, [`submit`] new ones, [`print`] answers in any form.

mod act;
mod list;
mod print;
mod select;
mod show;
mod submit;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::act::Act;
use self::print::Form;
use super::remote::Remote;
use super::{Connection, complain};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::job::Action;
use crate::value::parse_time;

/// Some jobs were skipped, or the service has refused.
const SKIPPED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;

/// Look at the jobs of a running service, and act on them.
///
/// Exit codes: 0 done, 1 refused or some jobs skipped, 2 wrong usage, 3 the service gave
/// no answer.
#[derive(Args)]
pub struct Jobs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    service: Target,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "table", global = true)]
    format: Form,
}

/// The running service.
#[derive(Args)]
struct Target {
    /// A running service
    #[arg(long, env = "SYSJOB_URL", default_value = "http://127.0.0.1:8080", global = true)]
    url: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Subcommand)]
enum Command {
    /// List jobs, newest first
    List(list::List),
    /// Show all of a job, and its history
    Show(show::Show),
    /// Say why jobs are where they are
    Why(show::Why),
    /// Cancel jobs
    Cancel(Act),
    /// Pause jobs that run
    Pause(Act),
    /// Let suspended jobs go on
    Resume(Act),
    /// Hold jobs until a time
    Postpone {
        /// The time, such as 2026-05-01T12:00:00Z, or 30m, 2h or 1d from now
        #[arg(long)]
        until: String,
        #[command(flatten)]
        act: Act,
    },
    /// Delete jobs with what belongs to them
    Delete(Act),
    /// Submit new jobs
    Submit(submit::Submit),
}

impl Jobs {
    pub fn run(self) -> ExitCode {
        match self.perform() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(SKIPPED),
            Err(error) => {
                complain(&error);
                ExitCode::from(match error.kind {
                    ErrorKind::Unsupported => USAGE,
                    ErrorKind::Closed => UNREACHABLE,
                    _ => SKIPPED,
                })
            }
        }
    }

    /// Whether all of it was done.
    fn perform(&self) -> Result<bool> {
        let remote = Remote::new(&self.service.url, &self.service.connection)?;
        let (remote, form) = (&remote, self.format);
        match &self.command {
            Command::List(list) => list.run(remote, form),
            Command::Show(show) => show.run(remote, form),
            Command::Why(why) => why.run(remote, form),
            Command::Cancel(act) => act.run(remote, form, Action::Cancel),
            Command::Pause(act) => act.run(remote, form, Action::Pause),
            Command::Resume(act) => act.run(remote, form, Action::Resume),
            Command::Postpone { until, act } => {
                let time = parse_time(until).or_else(|| from_now(until, SystemClock.now()));
                let time = time.ok_or_else(|| usage(format!("--until '{until}' is not a time")))?;
                act.run(remote, form, Action::Postpone(time))
            }
            Command::Delete(act) => act.run(remote, form, Action::Delete),
            Command::Submit(submit) => submit.run(remote, form),
        }
    }
}

/// The time that is so far from now: `45s`, `30m`, `2h`, `1d`, `1w`.
fn from_now(text: &str, now: i64) -> Option<i64> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
    let (number, seconds) = units.iter().find_map(|(unit, seconds)| {
        Some((text.trim().strip_suffix(*unit)?.parse::<u32>().ok()?, *seconds))
    })?;
    Some(now + i64::from(number) * seconds * 1_000_000)
}

/// What the command line got wrong.
fn usage(message: impl Into<String>) -> Error {
    Error::unsupported(message)
}

/// An answer that is not as it should be.
fn unexpected(what: &str) -> Error {
    Error::invalid(codes::UNEXPECTED, format!("the service's answer has no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_from_now_have_a_unit() {
        assert_eq!(from_now("45s", 0), Some(45_000_000));
        assert_eq!(from_now("2h", 5), Some(7_200_000_005));
        assert_eq!(from_now("1w", 0), Some(604_800_000_000));
        for text in ["", "h", "2", "-2h", "2y", "1.5h", "2 h"] {
            assert_eq!(from_now(text, 0), None, "{text}");
        }
    }
}
