//! `sysjob bulk-delete`: a running service deletes what a fetch finds, once or again
//! and again.

use std::fs;
use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::json;
use ureq::http::Method;

use super::Connection;
use super::remote::Remote;
use crate::dialect::fetchxml;
use crate::error::{Error, Result, codes};

/// Days between two runs, at most.
const DAYS_MAX: u32 = 365;

/// The condition operators for units of time.
const OLDER: &[(char, &str)] = &[
    ('m', "olderthan-x-minutes"),
    ('h', "olderthan-x-hours"),
    ('d', "olderthan-x-days"),
    ('w', "olderthan-x-weeks"),
];

/// Rows that a dry run names.
const SAMPLE: usize = 5;

#[derive(Args)]
pub struct BulkDelete {
    /// A file with the fetch that finds the rows; - is standard input
    #[arg(long, value_name = "FILE")]
    fetch: PathBuf,
    /// Only rows that are so old, such as 30d (m, h, d or w): jobs by their completion,
    /// other rows by their creation
    #[arg(long, value_name = "AGE", value_parser = older)]
    older_than: Option<(u32, &'static str)>,
    /// Again every so many days, such as 30d (1d to 365d)
    #[arg(long, value_name = "DAYS", value_parser = every)]
    every: Option<u32>,
    /// The name of the job
    #[arg(long)]
    name: Option<String>,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// The running service
    #[arg(long, env = "SYSJOB_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(flatten)]
    connection: Connection,
}

fn number(text: &str) -> Option<(u32, char)> {
    let unit = text.chars().last().filter(char::is_ascii_alphabetic)?;
    let number = text.strip_suffix(unit)?.parse().ok().filter(|n| *n > 0)?;
    Some((number, unit))
}

fn older(text: &str) -> Result<(u32, &'static str), String> {
    let (number, unit) = number(text).ok_or("a number with m, h, d or w is expected")?;
    let operator = OLDER.iter().find(|(known, _)| *known == unit);
    operator
        .map(|(_, operator)| (number, *operator))
        .ok_or_else(|| format!("'{unit}' is none of m, h, d and w"))
}

fn every(text: &str) -> Result<u32, String> {
    let days = match number(text) {
        Some((days, 'd')) => Some(days),
        Some((weeks, 'w')) => weeks.checked_mul(7),
        _ => None,
    };
    let days = days.filter(|days| (1..=DAYS_MAX).contains(days));
    days.ok_or_else(|| format!("a number of days from 1d to {DAYS_MAX}d is expected"))
}

impl BulkDelete {
    pub fn run(self) -> Result<ExitCode> {
        let text = self.text()?;
        let table = fetchxml::parse(&text)?.table.text;
        let fetch = match self.older_than {
            Some((number, operator)) => {
                let column = if table == "asyncoperation" { "completedon" } else { "createdon" };
                with_condition(&text, column, operator, number)?
            }
            None => text,
        };
        let remote = Remote::new(&self.url, &self.connection)?;
        if self.dry_run {
            return dry_run(&remote, &table, &fetch);
        }
        let name = self.name.unwrap_or_else(|| format!("Bulk deletion of {table}"));
        let pattern =
            self.every.map_or(String::new(), |days| format!("FREQ=DAILY;INTERVAL={days};"));
        let body = json!({
            "QuerySet": [{ "@odata.type": "Microsoft.Dynamics.CRM.FetchExpression", "Query": fetch }],
            "JobName": name,
            "SendEmailNotification": false,
            "ToRecipients": [],
            "CCRecipients": [],
            "RecurrencePattern": pattern,
        });
        let answer = remote.call(Method::POST, "/api/data/v9.2/BulkDelete", Some(&body))?;
        let job = answer["JobId"].as_str().unwrap_or_default();
        match self.every {
            Some(days) => println!("bulk deletion {job} '{name}' runs now and every {days} days"),
            None => println!("bulk deletion {job} '{name}' runs now"),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self) -> Result<String> {
        let name = self.fetch.display();
        let unreadable = |e: std::io::Error| {
            Error::invalid(codes::INVALID_ARGUMENT, format!("'{name}' cannot be read: {e}"))
                .caused_by(e)
        };
        if self.fetch.as_os_str() == "-" {
            let mut text = String::new();
            stdin().read_to_string(&mut text).map_err(unreadable)?;
            return Ok(text);
        }
        fs::read_to_string(&self.fetch).map_err(unreadable)
    }
}

/// Counts the rows and names some.
fn dry_run(remote: &Remote, table: &str, fetch: &str) -> Result<ExitCode> {
    let rows = remote.rows("fetchxml", fetch)?;
    println!("{} rows of {table} would be deleted", rows.len());
    for row in rows.iter().take(SAMPLE) {
        println!("  {row}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The fetch with one more condition, which all rows have to meet.
fn with_condition(text: &str, column: &str, operator: &str, value: u32) -> Result<String> {
    let filter = format!(
        "<filter><condition attribute=\"{column}\" operator=\"{operator}\" value=\"{value}\"/></filter>"
    );
    let unreadable = |e: quick_xml::Error| {
        Error::invalid(codes::INVALID_XML, format!("the fetch is no XML: {e}"))
    };
    let mut reader = Reader::from_str(text);
    let mut depth = 0;
    loop {
        let start = position(&reader);
        let event = reader.read_event().map_err(unreadable)?;
        let end = position(&reader);
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => {
                depth -= 1;
                // The end of the entity, which is the only element within the fetch.
                if depth == 1 {
                    return Ok(format!("{}{filter}{}", &text[..start], &text[start..]));
                }
            }
            Event::Empty(element) if depth == 1 && element.name().as_ref() == "entity" => {
                let head = text[..end].trim_end_matches("/>");
                return Ok(format!("{head}>{filter}</entity>{}", &text[end..]));
            }
            Event::Eof => {
                return Err(Error::invalid(codes::INVALID_XML, "the fetch has no entity"));
            }
            _ => {}
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_intervals_have_units() {
        assert_eq!(older("30d"), Ok((30, "olderthan-x-days")));
        assert_eq!(older("2w"), Ok((2, "olderthan-x-weeks")));
        assert!(older("30").is_err() && older("0d").is_err() && older("3y").is_err());
        assert_eq!(every("30d"), Ok(30));
        assert_eq!(every("2w"), Ok(14));
        assert!(every("366d").is_err() && every("1h").is_err() && every("d").is_err());
    }

    #[test]
    fn the_age_is_one_more_filter_of_the_entity() {
        let fetch =
            |inner: &str| format!("<fetch>\n<entity name='asyncoperation'{inner}\n</fetch>");
        let filter = "<filter><condition attribute=\"completedon\" operator=\"olderthan-x-days\" value=\"30\"/></filter>";
        for (inner, expected) in [
            ("/>", format!(">{filter}</entity>")),
            ("></entity>", format!(">{filter}</entity>")),
            (
                "><filter><condition attribute='statuscode' operator='eq' value='30'/></filter></entity>",
                format!(
                    "><filter><condition attribute='statuscode' operator='eq' value='30'/></filter>{filter}</entity>"
                ),
            ),
            (
                "><link-entity name='workflow' from='workflowid' to='owningextensionid'><filter/></link-entity></entity>",
                format!(
                    "><link-entity name='workflow' from='workflowid' to='owningextensionid'><filter/></link-entity>{filter}</entity>"
                ),
            ),
        ] {
            let made = with_condition(&fetch(inner), "completedon", "olderthan-x-days", 30);
            assert_eq!(made.expect("a fetch"), fetch(&expected));
        }
    }
}
