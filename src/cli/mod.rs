//! The commands. Each file has one of them; none has rules of its own.

mod backup;
mod bulk_delete;
mod check;
mod config;
mod demo;
mod diagnose;
mod import;
mod jobs;
mod limits;
mod memory;
mod query;
mod remote;
mod replay;
mod security;
mod serve;
mod translate;
mod workflows;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::catalog::{Attachment, Catalog};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::priority;
use crate::query::context::timezone;

/// The Dataverse asynchronous service as a local service: system jobs that run,
/// and that FetchXML, OData and SQL can ask about.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load the bundled trace of real jobs, run its later part live, serve, diagnose
    Demo(demo::Demo),
    /// Serve a data folder over HTTP and SQL
    Serve(serve::Serve),
    /// Load rows from files
    Import(import::Import),
    /// Read everything in a data folder and say whether it is sound
    Check(check::Check),
    /// Write everything in a data folder, or of a running service, to one file
    Backup(backup::Backup),
    /// Make a new data folder of a backup
    Restore(backup::Restore),
    /// Ask one question in SQL, FetchXML or OData
    Query(query::Query),
    /// Show the plan of a question
    Explain(query::Explain),
    /// Say a question in another dialect
    Translate(translate::Translate),
    /// Ask the canned questions and say what is wrong
    Diagnose(diagnose::Diagnose),
    /// Look at the jobs of a running service, and act on them
    Jobs(jobs::Jobs),
    /// List the workflows of a running service, switch them on and off
    Workflows(workflows::Workflows),
    /// Let a running service delete what a fetch finds, once or again and again
    BulkDelete(bulk_delete::BulkDelete),
    /// Drive a running service with the jobs of a trace
    Replay(replay::Replay),
}

/// An organization's own tables.
#[derive(Args)]
struct CatalogFiles {
    /// A file with the metadata of an organization's own tables; may be repeated
    #[arg(long, env = "SYSJOB_CATALOG", value_name = "FILE", value_delimiter = ',')]
    catalog: Vec<PathBuf>,
}

impl CatalogFiles {
    /// The built-in tables and those of the files.
    fn load(&self) -> Result<Arc<Catalog>> {
        self.attaching(&[])
    }

    /// The same with attached tables.
    fn attaching(&self, attachments: &[Attachment]) -> Result<Arc<Catalog>> {
        let catalog = Catalog::with_files(&self.catalog)?.attach(attachments)?;
        for table in catalog.attached() {
            for (column, of) in table.unreadable() {
                let table = &table.table.logical_name;
                eprintln!("warning: column '{column}' of '{table}' cannot be read: it is {of}");
            }
        }
        Ok(Arc::new(catalog))
    }
}

/// Where questions go.
#[derive(Args)]
struct Target {
    /// The data folder
    #[arg(long, env = "SYSJOB_DATA_DIR", default_value = "sysjob-data", conflicts_with = "url")]
    data_dir: PathBuf,
    /// A running service, such as http://127.0.0.1:8080
    #[arg(long, env = "SYSJOB_URL")]
    url: Option<String>,
    #[command(flatten)]
    catalog: CatalogFiles,
    #[command(flatten)]
    connection: Connection,
}

/// How a running service is reached.
#[derive(Args)]
struct Connection {
    /// The certificate of the authority that vouches for an https service, PEM;
    /// those that the system trusts if not given
    #[arg(long, env = "SYSJOB_CACERT", value_name = "FILE", global = true)]
    cacert: Option<PathBuf>,
    /// A bearer token of the service
    #[arg(long, env = "SYSJOB_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
}

/// Whose days and months dates are told in.
#[derive(Args, Clone, Copy)]
struct Timezone {
    /// Time zone of FetchXML and OData questions that name none, such as Europe/Oslo; UTC by default
    #[arg(long, env = "SYSJOB_TIMEZONE", value_parser = timezone)]
    timezone: Option<Tz>,
}

impl Timezone {
    /// The zone of callers who name none.
    fn zone(self) -> Tz {
        self.timezone.unwrap_or(Tz::UTC)
    }
}

/// Which language a text is in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DialectArgument {
    Auto,
    Sql,
    Fetchxml,
    Odata,
}

impl DialectArgument {
    fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Auto => None,
            Self::Sql => Some(Dialect::Sql),
            Self::Fetchxml => Some(Dialect::FetchXml),
            Self::Odata => Some(Dialect::OData),
        }
    }

    /// The word that `/sysjob/query` takes.
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Sql => "sql",
            Self::Fetchxml => "fetchxml",
            Self::Odata => "odata",
        }
    }
}

/// The exit code of a command that could not do its work.
const FAILED: u8 = 1;

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Query(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Translate(command) => command.run(),
        Command::Workflows(command) => command.run(),
        Command::BulkDelete(command) => command.run(),
        Command::Replay(command) => command.run(),
        // Their exit codes are their own.
        Command::Diagnose(command) => return command.run(),
        Command::Jobs(command) => return command.run(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::from(FAILED)
        }
    }
}

/// Prints an error with what caused it.
fn complain(error: &Error) {
    eprintln!("sysjob: {error}");
    let mut cause = std::error::Error::source(error);
    let mut said = error.to_string();
    while let Some(next) = cause {
        // Many errors repeat their cause; once is enough.
        let text = next.to_string();
        if !said.contains(&text) {
            eprintln!("  caused by: {text}");
        }
        said = text;
        cause = next.source();
    }
}

/// Expressions are handled by recursion, a level for each condition in a row of
/// them; with as many as `query::limits` lets through the usual 2 MiB overflow.
/// Only what is used of it becomes memory.
const STACK: usize = 64 << 20;

/// A runtime for a command that waits for something. Its threads answer questions: they
/// take what the scheduler and the writer of the store leave them of a busy machine.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK)
        .on_thread_start(priority::answering)
        .enable_all()
        .build()
        .map_err(|e| Error::internal("the async runtime cannot start").caused_by(e))
}
