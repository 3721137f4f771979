//! `sysjob jobs list`.

use clap::Args;
use serde_json::{Value as Json, json};
use ureq::http::Method;

use super::print::{Form, rows};
use super::select::{Given, Query, encoded};
use super::unexpected;
use crate::cli::remote::Remote;
use crate::error::Result;

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    query: Query,
    /// So many jobs at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5000))]
    limit: u32,
}

const COLUMNS: [&str; 8] = [
    "asyncoperationid",
    "name",
    "operationtypename",
    "statuscodename",
    "waitreason",
    "createdon",
    "completedon",
    "errorcode",
];

impl List {
    pub fn run(&self, remote: &Remote, form: Form) -> Result<bool> {
        let condition = match self.query.given()? {
            None => None,
            Some(Given::Condition(condition)) => Some(condition),
            Some(Given::Filter(filter)) => {
                let text = format!(
                    "asyncoperations?$select=asyncoperationid&$filter={}&$orderby=createdon desc,sequence desc&$top={}",
                    encoded(&filter),
                    self.limit
                );
                Some(among(&ask(remote, "odata", &text)?))
            }
            Some(Given::FetchXml(text)) => Some(among(&ask(remote, "fetchxml", &text)?)),
        };
        let filter = condition.map(|c| format!(" WHERE {c}")).unwrap_or_default();
        let text = format!(
            "SELECT TOP ({}) {} FROM asyncoperation{filter} ORDER BY createdon DESC, sequence DESC",
            self.limit,
            COLUMNS.join(", ")
        );
        rows(form, &COLUMNS, &ask(remote, "sql", &text)?, None)?;
        Ok(true)
    }
}

/// The condition that a job is one of those that were found.
fn among(found: &[Json]) -> String {
    let ids = found.iter().filter_map(|row| row["asyncoperationid"].as_str());
    let ids: Vec<String> = ids.map(|id| format!("'{id}'")).collect();
    match ids.is_empty() {
        true => "1 = 0".into(),
        false => format!("asyncoperationid IN ({})", ids.join(", ")),
    }
}

/// The rows of a query.
pub fn ask(remote: &Remote, dialect: &str, text: &str) -> Result<Vec<Json>> {
    let body = json!({ "dialect": dialect, "text": text, "format": "json" });
    match remote.call(Method::POST, "/sysjob/query", Some(&body))? {
        Json::Array(rows) => Ok(rows),
        _ => Err(unexpected("rows")),
    }
}
