//! `sysjob diagnose`: asks the questions of `queries/`, and those of its rules, whose
//! answers it judges.
//!
//! Where the answers come from, a data folder or a running service, is the
//! caller's business ([`Source`]).
//!
//! Parts: [`mod@forecast`] says when what waits has run, [`questions`] are shown to people, [`rules`] find what is wrong, [`finding`] is
//! the shape of that, [`mod@html`] a page of it.

mod finding;
mod forecast;
mod html;
mod local;
mod questions;
mod rule;
mod rules;
#[cfg(test)]
pub(crate) mod tests;

use serde_json::{Map, Value, json};

use crate::error::Result;

pub use self::finding::{Finding, Severity, findings};
pub use self::forecast::{PoolSize, forecast};
pub use self::html::page;
pub use self::local::Local;
pub use self::questions::{DOCUMENTED, FURTHER, Question};

/// Rows of an answer, by column.
pub type Rows = Vec<Map<String, Value>>;

/// Answers SQL questions.
pub trait Source {
    /// The answer as JSON rows.
    fn rows(&self, sql: &str) -> Result<Rows>;

    /// The answer as an aligned table.
    fn table(&self, sql: &str) -> Result<String>;
}

/// A question's SQL as of a given time instead of now; the time is ISO 8601 UTC.
pub fn as_of(sql: &str, now: Option<&str>) -> String {
    match now {
        Some(now) => sql.replace("GETUTCDATE()", &format!("CAST('{now}' AS datetime2)")),
        None => sql.to_owned(),
    }
}

/// Findings in the shape that scripts read.
pub fn document(source: &dyn Source, found: &[Finding], generated: &str) -> Result<Value> {
    let jobs = source.rows("SELECT COUNT(*) AS jobs FROM asyncoperation")?;
    Ok(json!({
        "generated": generated,
        "jobs": jobs.first().and_then(|row| row.get("jobs")),
        "findings": found,
    }))
}

/// All questions with their answers, for people.
pub fn report(source: &dyn Source, now: Option<&str>) -> Result<String> {
    let mut text = String::new();
    for question in DOCUMENTED.iter().chain(&FURTHER) {
        text.push_str(&format!("\n{}\n", question.title()));
        text.push_str(&beginning(&source.table(&as_of(question.sql, now))?));
        text.push_str(&format!("{}\n", question.reading()));
    }
    Ok(text)
}

/// Heading, rule and rows of a table that a report shows.
const LINES_MAX: usize = 2 + 10;

/// The first rows of a table, and how many follow.
fn beginning(table: &str) -> String {
    let lines = table.lines().count();
    let mut text: String = table.split_inclusive('\n').take(LINES_MAX).collect();
    if lines > LINES_MAX {
        text.push_str(&format!("({} more rows)\n", lines - LINES_MAX));
    }
    text
}
