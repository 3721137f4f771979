//! `sysjob diagnose`: exit 0 healthy, 1 warnings, 2 critical, 3 could not run.

use std::io::Read;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::query::open;
use super::remote::Remote;
use super::{Target, complain, runtime};
use crate::diagnose::{Finding, Local, Rows, Severity, Source, document, findings, page, report};
use crate::encode::Format;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::value::{parse_time, time_text};

#[derive(Args)]
pub struct Diagnose {
    #[command(flatten)]
    target: Target,
    /// text for people, json for scripts, html for a browser
    #[arg(long, value_enum, default_value = "text")]
    format: DiagnosisFormat,
    /// Judge the jobs as of this time, such as 2026-05-01T12:00:00Z
    #[arg(long)]
    now: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DiagnosisFormat {
    Text,
    Json,
    Html,
}

impl Diagnose {
    pub fn run(self) -> ExitCode {
        match self.diagnose() {
            Ok(worst) => ExitCode::from(match worst {
                Some(Severity::Critical) => 2,
                Some(Severity::Warning) => 1,
                Some(Severity::Info) | None => 0,
            }),
            Err(error) => {
                complain(&error);
                ExitCode::from(3)
            }
        }
    }

    fn diagnose(&self) -> Result<Option<Severity>> {
        let now = match &self.now {
            Some(text) => Some(time_text(parse_time(text).ok_or_else(|| {
                Error::invalid(codes::INVALID_ARGUMENT, format!("--now '{text}' is not a time"))
            })?)),
            None => None,
        };
        let now = now.as_deref().map(|n| n.trim_end_matches('Z'));
        match &self.target.url {
            Some(url) => self.print(&Remote::new(url, &self.target.connection)?, now),
            None => {
                let store = open(&self.target, &[])?;
                let runtime = runtime()?;
                let local = Local {
                    engine: &Engine::new(),
                    snapshot: store.snapshot(),
                    runtime: runtime.handle().clone(),
                };
                self.print(&local, now)
            }
        }
    }

    fn print(&self, source: &dyn Source, now: Option<&str>) -> Result<Option<Severity>> {
        let found = findings(source, now)?;
        match self.format {
            DiagnosisFormat::Text => print!("{}", text(source, &found, now)?),
            form => {
                let generated = time_text(chrono::Utc::now().timestamp_micros());
                let document = document(source, &found, &generated)?;
                match form {
                    DiagnosisFormat::Html => print!("{}", page(&document, &found)),
                    _ => println!("{document:#}"),
                }
            }
        }
        Ok(found.first().map(|finding| finding.severity))
    }
}

/// Answers and findings for people.
pub fn text(source: &dyn Source, found: &[Finding], now: Option<&str>) -> Result<String> {
    let mut text = report(source, now)?;
    text.push_str(if found.is_empty() {
        "\nNothing is wrong.\n"
    } else {
        "\nFindings, worst first\n"
    });
    for finding in found {
        let severity = finding.severity.name();
        text.push_str(&format!("  {severity:8} {}: {}\n", finding.id, finding.headline));
        text.push_str(&format!("           {}\n", finding.meaning));
        for command in &finding.remedy {
            text.push_str(&format!("           $ {command}\n"));
        }
    }
    Ok(text)
}

impl Source for Remote {
    fn rows(&self, sql: &str) -> Result<Rows> {
        read_rows(&read_all(self.query("sql", sql, Format::Json)?)?)
    }

    fn table(&self, sql: &str) -> Result<String> {
        let bytes = read_all(self.query("sql", sql, Format::Table)?)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn read_all(mut answer: Box<dyn Read>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    answer
        .read_to_end(&mut bytes)
        .map_err(|e| Error::data(format!("the answer broke off: {e}")).caused_by(e))?;
    Ok(bytes)
}

fn read_rows(json: &[u8]) -> Result<Rows> {
    serde_json::from_slice(json)
        .map_err(|e| Error::internal("an answer is not JSON rows").caused_by(e))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;
    use crate::diagnose::tests::samples::{SAMPLES, World};

    /// The words of a command as a shell reads them; what stands between double quotes is one.
    fn words(command: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in command.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().expect("there is one").push(c),
            }
        }
        assert!(!quoted, "an open quote: {command}");
        words
    }

    #[test]
    fn every_remedy_is_a_command() {
        for sample in SAMPLES {
            let mut world = World::default();
            (sample.trouble)(&mut world);
            for finding in world.findings() {
                assert!(!finding.remedy.is_empty(), "{}", finding.id);
                for command in &finding.remedy {
                    let parsed = Cli::try_parse_from(words(command));
                    assert!(parsed.is_ok(), "{}: {command}: {:?}", finding.id, parsed.err());
                }
            }
        }
    }
}
