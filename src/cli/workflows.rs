//! `sysjob workflows`: the workflows of a running service, switched on and off.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use ureq::http::Method;

use super::Connection;
use super::remote::Remote;
use crate::encode::Format;
use crate::error::{Error, Result, codes};
use crate::value::{guid_text, parse_guid};

#[derive(Args)]
pub struct Workflows {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All workflows, with the jobs of each that have not ended
    List(List),
    /// Lets workflows raise jobs
    Activate(Named),
    /// Lets workflows raise no more jobs; those that wait are canceled when their turn comes
    Deactivate(Named),
}

/// A running service.
#[derive(Args)]
struct At {
    /// The running service
    #[arg(long, env = "SYSJOB_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    at: At,
    #[arg(long, value_enum, default_value = "table")]
    format: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Csv,
    Json,
    Jsonl,
}

#[derive(Args)]
struct Named {
    /// Ids, or names
    #[arg(required = true)]
    workflows: Vec<String>,
    #[command(flatten)]
    at: At,
}

const LIST: &str = "SELECT w.workflowid, w.name, w.statecodename AS state, w.primaryentity, \
     SUM(CASE WHEN a.statecode IN (0, 1) THEN 1 ELSE 0 END) AS waiting, \
     SUM(CASE WHEN a.statecode = 2 THEN 1 ELSE 0 END) AS running \
     FROM workflow AS w LEFT JOIN asyncoperation AS a ON a.owningextensionid = w.workflowid \
     WHERE w.type IS NULL OR w.type <> 2 \
     GROUP BY w.workflowid, w.name, w.statecodename, w.primaryentity ORDER BY w.name";

impl Workflows {
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::List(list) => {
                let format = match list.format {
                    Output::Table => Format::Table,
                    Output::Csv => Format::Csv,
                    Output::Json => Format::Json,
                    Output::Jsonl => Format::Jsonl,
                };
                let mut answer = list.at.remote()?.query("sql", LIST, format)?;
                let cut_off = |e| Error::data("the answer was cut off").caused_by(e);
                io::copy(&mut answer, &mut io::stdout()).map_err(cut_off)?;
            }
            Command::Activate(named) => named.switch(1)?,
            Command::Deactivate(named) => named.switch(0)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl At {
    fn remote(&self) -> Result<Remote> {
        Remote::new(&self.url, &self.connection)
    }
}

impl Named {
    /// Brings the workflows into a state: 0 draft, 1 activated.
    fn switch(&self, statecode: i32) -> Result<()> {
        let remote = self.at.remote()?;
        // A name that is wrong is told before anything is done.
        let found: Result<Vec<Workflow>> =
            self.workflows.iter().map(|text| Workflow::find(&remote, text)).collect();
        let mut out = io::stdout().lock();
        for workflow in found? {
            let Workflow { id, name, waiting } = workflow;
            let path = format!("/api/data/v9.2/workflows({id})");
            let body = json!({ "statecode": statecode, "statuscode": statecode + 1 });
            remote.call(Method::PATCH, &path, Some(&body))?;
            let text = match (statecode, waiting) {
                (1, _) => format!("activated '{name}' ({id})"),
                (_, 0) => format!("deactivated '{name}' ({id})"),
                (_, n) => format!(
                    "deactivated '{name}' ({id}); {n} of its jobs wait and are canceled when their turn comes"
                ),
            };
            let told = |e| Error::internal("the output is closed").caused_by(e);
            writeln!(out, "{text}").map_err(told)?;
        }
        Ok(())
    }
}

struct Workflow {
    id: String,
    name: String,
    /// Jobs of it that wait.
    waiting: u64,
}

impl Workflow {
    fn find(remote: &Remote, text: &str) -> Result<Self> {
        let condition = match parse_guid(text) {
            Some(id) => format!("w.workflowid = '{}'", guid_text(&id)),
            None => format!("w.name = N'{}'", text.replace('\'', "''")),
        };
        let query = format!(
            "SELECT w.workflowid, w.name, (SELECT COUNT(*) FROM asyncoperation AS a \
             WHERE a.owningextensionid = w.workflowid AND a.statecode IN (0, 1)) AS waiting \
             FROM workflow AS w WHERE {condition} AND (w.type IS NULL OR w.type <> 2)"
        );
        let rows = remote.rows("sql", &query)?;
        let wrong = |message: String| Err(Error::invalid(codes::OBJECT_DOES_NOT_EXIST, message));
        let string = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        match rows.as_slice() {
            [row] => Ok(Self {
                id: string(row, "workflowid"),
                name: string(row, "name"),
                waiting: row["waiting"].as_u64().unwrap_or(0),
            }),
            [] => wrong(format!("there is no workflow '{text}'")),
            several => {
                let ids: Vec<String> =
                    several.iter().map(|row| string(row, "workflowid")).collect();
                wrong(format!("several workflows are called '{text}': {}", ids.join(", ")))
            }
        }
    }
}
