//! What is wrong, in the shape that scripts read.

use serde::Serialize;
use serde_json::{Value, json};

use super::rule::{Rule, Trouble};
use super::{Source, as_of};
use crate::error::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

impl Severity {
    /// Of something that is a warning at least.
    pub fn critical_if(critical: bool) -> Self {
        if critical { Self::Critical } else { Self::Warning }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub id: &'static str,
    pub severity: Severity,
    pub headline: String,
    pub subject: Value,
    pub since: Option<String>,
    pub figures: Value,
    pub evidence: Vec<Value>,
    pub meaning: &'static str,
    pub remedy: Vec<String>,
}

/// Everything wrong with the jobs of a source, worst first.
pub fn findings(source: &dyn Source, now: Option<&str>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for rule in super::rules::all() {
        let sql = as_of(rule.sql, now);
        let rows = source.rows(&sql)?;
        let troubles = (rule.judge)(&rows);
        found.extend(troubles.into_iter().map(|trouble| finding(rule, &sql, trouble)));
    }
    found.sort_by_key(|finding| finding.severity);
    Ok(found)
}

fn finding(rule: &Rule, sql: &str, trouble: Trouble) -> Finding {
    Finding {
        id: rule.id,
        severity: trouble.severity,
        headline: trouble.headline,
        subject: trouble.subject,
        since: trouble.since,
        figures: trouble.figures,
        evidence: vec![json!({ "dialect": "sql", "text": sql, "rows": trouble.rows })],
        meaning: rule.meaning,
        remedy: trouble.remedy,
    }
}
