//! Which jobs a command is about: named by their ids, or found by a query in one of
//! three languages.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use super::usage;
use crate::cli::remote::Remote;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::value::{guid_text, parse_guid};

/// A query for jobs.
#[derive(Args)]
pub struct Query {
    /// Jobs that FetchXML in a file finds; `-` is standard input
    #[arg(long, value_name = "FILE")]
    fetch: Option<PathBuf>,
    /// Jobs that an OData filter finds, such as "statecode eq 1"
    #[arg(long, value_name = "ODATA")]
    filter: Option<String>,
    /// Jobs that a condition of SQL finds, such as "operationtype = 10"
    #[arg(long = "where", value_name = "SQL")]
    condition: Option<String>,
}

/// The query that was given.
pub enum Given {
    FetchXml(String),
    /// An expression for `$filter`.
    Filter(String),
    /// A condition for `WHERE`.
    Condition(String),
}

impl Query {
    /// At most one.
    pub fn given(&self) -> Result<Option<Given>> {
        match (&self.fetch, &self.filter, &self.condition) {
            (None, None, None) => Ok(None),
            (Some(file), None, None) => read(file).map(|text| Some(Given::FetchXml(text))),
            (None, Some(filter), None) => Ok(Some(Given::Filter(filter.clone()))),
            (None, None, Some(condition)) => Ok(Some(Given::Condition(condition.clone()))),
            _ => Err(usage("give one of --fetch, --filter and --where")),
        }
    }
}

/// Named jobs, or a query for them.
#[derive(Args)]
pub struct Selection {
    /// Ids of jobs, or how they begin
    ids: Vec<String>,
    #[command(flatten)]
    query: Query,
}

impl Selection {
    /// The members of a call that say which jobs are meant.
    pub fn members(&self, remote: &Remote) -> Result<Json> {
        let query = self.query.given()?;
        match (self.ids.as_slice(), query) {
            ([], None) => Err(usage("which jobs? give ids, --fetch, --filter or --where")),
            (ids, None) => Ok(json!({ "ids": ids_of(remote, ids)? })),
            ([], Some(Given::FetchXml(text))) => {
                Ok(json!({ "query": { "dialect": "fetchxml", "text": text } }))
            }
            ([], Some(Given::Filter(filter))) => {
                let text = format!("$filter={}", encoded(&filter));
                Ok(json!({ "query": { "dialect": "odata", "text": text } }))
            }
            ([], Some(Given::Condition(condition))) => {
                let text = format!("SELECT asyncoperationid FROM asyncoperation WHERE {condition}");
                Ok(json!({ "query": { "dialect": "sql", "text": text } }))
            }
            (_, Some(_)) => Err(usage("give ids or a query, not both")),
        }
    }
}

/// Digits of an id that are enough to look for it.
const BEGINNING_MIN: usize = 4;

/// The ids of jobs that are named by them or by how they begin.
pub fn ids_of(remote: &Remote, texts: &[String]) -> Result<Vec<String>> {
    let id = |text: &String| match parse_guid(text.trim()) {
        Some(id) => Ok(guid_text(&id)),
        None => beginning_with(remote, text.trim()),
    };
    texts.iter().map(id).collect()
}

/// The one job whose id begins so.
fn beginning_with(remote: &Remote, text: &str) -> Result<String> {
    const KEY: &str = "asyncoperationid";
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let plain = text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if !plain || digits < BEGINNING_MIN || text.len() >= 36 {
        return Err(usage(format!(
            "'{text}' is not a GUID, nor {BEGINNING_MIN} or more digits that one begins with"
        )));
    }
    let query = format!(
        "SELECT TOP 3 {KEY} FROM asyncoperation WHERE CAST({KEY} AS varchar(36)) LIKE '{text}%' ORDER BY {KEY}"
    );
    let rows = remote.rows("sql", &query)?;
    let ids: Vec<&str> = rows.iter().filter_map(|row| row[KEY].as_str()).collect();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => {
            let message = format!("there is no job whose id begins with '{text}'");
            Err(Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message))
        }
        several => Err(usage(format!(
            "several jobs have ids that begin with '{text}': {}{}",
            several[..2].join(", "),
            if several.len() > 2 { ", ..." } else { "" }
        ))),
    }
}

/// A value of a query option.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The text of a file, or of standard input.
pub fn read(file: &Path) -> Result<String> {
    let read = match file.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => std::fs::read_to_string(file),
    };
    read.map_err(|e| {
        Error::unsupported(format!("'{}' cannot be read: {e}", file.display())).caused_by(e)
    })
}
