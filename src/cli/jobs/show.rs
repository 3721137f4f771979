//! `sysjob jobs show` and `sysjob jobs why`.

use clap::Args;
use serde_json::{Map, Value as Json, json};
use ureq::http::Method;

use super::list::ask;
use super::print::{Form, rows, text};
use super::select::ids_of;
use super::unexpected;
use crate::cli::remote::Remote;
use crate::error::Result;

#[derive(Args)]
pub struct Show {
    /// Id of the job, or how it begins
    id: String,
}

const HISTORY: [&str; 6] =
    ["createdon", "fromstatuscode", "tostatuscode", "attempt", "actor", "reason"];

const FORMATTED: &str = "@OData.Community.Display.V1.FormattedValue";

impl Show {
    pub fn run(&self, remote: &Remote, form: Form) -> Result<bool> {
        let id = ids_of(remote, std::slice::from_ref(&self.id))?.remove(0);
        let row =
            remote.call(Method::GET, &format!("/api/data/v9.2/asyncoperations({id})"), None)?;
        let Json::Object(mut row) = row else { return Err(unexpected("job")) };
        let history = format!(
            "SELECT {} FROM jobhistory WHERE asyncoperationid = '{id}' ORDER BY jobhistoryid",
            HISTORY.join(", ")
        );
        let history = ask(remote, "sql", &history)?;
        if matches!(form, Form::Json | Form::Jsonl) {
            row.insert("history".into(), history.into());
            rows(form, &[], &[], Some(&Json::Object(row)))?;
            return Ok(true);
        }
        rows(form, &["column", "value"], &cells(&row), None)?;
        if form == Form::Table {
            println!();
            rows(form, &HISTORY, &history, None)?;
        }
        Ok(true)
    }
}

/// The columns that have a value, with what people read of it.
fn cells(row: &Map<String, Json>) -> Vec<Json> {
    let filled = row.iter().filter(|(name, value)| !name.contains('@') && !value.is_null());
    let cell = |(name, value): (&String, &Json)| {
        let value = match row.get(&format!("{name}{FORMATTED}")).map(text) {
            Some(label) if label != text(value) => format!("{} ({label})", text(value)),
            _ => text(value),
        };
        json!({ "column": name, "value": value })
    };
    filled.map(cell).collect()
}

#[derive(Args)]
pub struct Why {
    /// Ids of jobs, or how they begin
    #[arg(required = true)]
    ids: Vec<String>,
}

impl Why {
    pub fn run(&self, remote: &Remote, form: Form) -> Result<bool> {
        let mut answers = Vec::new();
        for id in ids_of(remote, &self.ids)? {
            let path = format!("/api/data/v9.2/asyncoperations({id})/sysjob.Why");
            let Json::Object(mut why) = remote.call(Method::GET, &path, None)? else {
                return Err(unexpected("verdict"));
            };
            why.remove("@odata.context");
            let mut answer = Map::from_iter([("asyncoperationid".to_owned(), Json::from(id))]);
            answer.append(&mut why);
            answers.push(Json::Object(answer));
        }
        rows(form, &["asyncoperationid", "verdict", "text"], &answers, None)?;
        Ok(true)
    }
}
