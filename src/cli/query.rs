//! `sysjob query` and `sysjob explain`.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chrono_tz::Tz;
use clap::Args;
use futures::StreamExt;

use super::remote::Remote;
use super::{DialectArgument, Target, Timezone, runtime};
use crate::ask::Questions;
use crate::clock::{Clock, SystemClock};
use crate::encode::{Format, RowWriter};
use crate::engine::{Engine, failure};
use crate::error::{Error, Result, codes};
use crate::identity::Caller;
use crate::query::Context;
use crate::relations;
use crate::store::{Snapshot, Store};

/// The text of a question.
#[derive(Args)]
pub struct Text {
    /// The language of the text
    #[arg(long, value_enum, default_value = "auto")]
    dialect: DialectArgument,
    /// The text itself
    #[arg(short = 'e', value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    /// A file with the text; `-` is standard input
    file: Option<PathBuf>,
}

#[derive(Args)]
pub struct Query {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    text: Text,
    #[command(flatten)]
    timezone: Timezone,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Write the answer to a file
    #[arg(short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub struct Explain {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    text: Text,
    #[command(flatten)]
    timezone: Timezone,
    /// Show how the plan is executed
    #[arg(long)]
    physical: bool,
    /// Run it and show the time of each step
    #[arg(long)]
    analyze: bool,
}

impl Text {
    fn read(&self) -> Result<String> {
        let failed = |name: &str| {
            let message = format!("'{name}' cannot be read");
            move |e: io::Error| Error::data(format!("{message}: {e}")).caused_by(e)
        };
        match (&self.text, &self.file) {
            (Some(text), _) => Ok(text.clone()),
            (None, Some(file)) if file.as_os_str() != "-" => {
                std::fs::read_to_string(file).map_err(failed(&file.display().to_string()))
            }
            (None, Some(_)) => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).map_err(failed("standard input"))?;
                Ok(text)
            }
            (None, None) => Err(Error::invalid(
                codes::INVALID_ARGUMENT,
                "no question: give -e TEXT, a file, or - for standard input",
            )),
        }
    }
}

/// Opens the folder of a command that only asks; it has to be there.
pub fn open(target: &Target) -> Result<Store> {
    if !target.data_dir.join("journal").exists() {
        return Err(Error::invalid(
            codes::INVALID_ARGUMENT,
            format!("'{}' is no data folder; name one with --data-dir", target.data_dir.display()),
        ));
    }
    Store::open(&target.data_dir, target.catalog.load()?)
}

/// What a question over a folder means: the built-in user asks it now.
fn context(snapshot: &Arc<Snapshot>, zone: Timezone) -> Context {
    let zone = zone.timezone.unwrap_or(Tz::UTC);
    relations::context(snapshot, SystemClock.now(), zone, &Caller::default())
}

fn write_failed(e: io::Error) -> Error {
    Error::data(format!("the answer cannot be written: {e}")).caused_by(e)
}

impl Query {
    pub fn run(self) -> Result<ExitCode> {
        let text = self.text.read()?;
        let mut out: Box<dyn Write + Send> = match &self.output {
            Some(file) => Box::new(BufWriter::new(File::create(file).map_err(write_failed)?)),
            None => Box::new(BufWriter::new(io::stdout())),
        };
        match &self.target.url {
            Some(url) => {
                let dialect = self.text.dialect.word();
                let mut answer = Remote::new(url, &self.target.connection)?
                    .timezone(self.timezone.timezone)
                    .query(dialect, &text, self.format)?;
                io::copy(&mut answer, &mut out).map_err(write_failed)?;
                out.flush().map_err(write_failed)?;
            }
            None => {
                let store = open(&self.target)?;
                runtime()?.block_on(answer(&store, &self, &text, out))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn answer(
    store: &Store,
    query: &Query,
    text: &str,
    mut out: Box<dyn Write + Send>,
) -> Result<()> {
    let engine = Engine::new();
    let snapshot = store.snapshot();
    let context = context(&snapshot, query.timezone);
    let dialect = query.text.dialect.dialect();
    let mut questions = Questions::new(&engine, &snapshot, dialect, text, context)?;
    while let Some(plan) = questions.next().await? {
        let mut rows = engine.run(plan).await?;
        let mut writer = RowWriter::new(query.format, &rows.schema(), out)?;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(failure)?;
            count += batch.num_rows();
            writer.write(&batch)?;
        }
        questions.answered(count);
        out = writer.finish()?;
    }
    out.flush().map_err(write_failed)
}

impl Explain {
    pub fn run(self) -> Result<ExitCode> {
        let text = self.text.read()?;
        if let Some(url) = &self.target.url {
            let dialect = self.text.dialect.word();
            let mut plan = Remote::new(url, &self.target.connection)?
                .timezone(self.timezone.timezone)
                .explain(dialect, &text, self.physical, self.analyze)?;
            io::copy(&mut plan, &mut io::stdout()).map_err(write_failed)?;
            return Ok(ExitCode::SUCCESS);
        }
        let store = open(&self.target)?;
        runtime()?.block_on(async {
            let engine = Engine::new();
            let dialect = self.text.dialect.dialect();
            let snapshot = store.snapshot();
            let context = context(&snapshot, self.timezone);
            let mut questions = Questions::new(&engine, &snapshot, dialect, &text, context)?;
            while let Some(plan) = questions.next().await? {
                println!("{}", engine.explain(plan, self.physical, self.analyze).await?.trim_end());
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
