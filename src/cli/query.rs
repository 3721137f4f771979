//! `sysjob query` and `sysjob explain`.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use chrono_tz::Tz;
use clap::Args;
use futures::StreamExt;
use tempfile::NamedTempFile;

use super::remote::Remote;
use super::{DialectArgument, Target, Timezone, runtime};
use crate::ask::Questions;
use crate::catalog::Attachment;
use crate::clock::{Clock, SystemClock};
use crate::encode::{Format, RowWriter};
use crate::engine::{Engine, QueryLimits, failure};
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
    pub dialect: DialectArgument,
    /// The text itself
    #[arg(short = 'e', value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    /// A file with the text; `-` is standard input
    file: Option<PathBuf>,
}

/// What answers are made of; a running service decides for itself.
#[derive(Args)]
pub struct FromRows {
    /// Answer from the rows, even where counts are kept
    #[arg(long, conflicts_with = "url")]
    no_pre_aggregates: bool,
    /// A Parquet file, or a folder of them, as a read-only table for SQL; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_delimiter = ',', conflicts_with = "url")]
    attach: Vec<Attachment>,
}

impl FromRows {
    fn engine(&self) -> Result<Engine> {
        let scanning = self.no_pre_aggregates;
        Engine::limited(QueryLimits { scanning, ..QueryLimits::default() })
    }
}

#[derive(Args)]
pub struct Query {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    text: Text,
    #[command(flatten)]
    timezone: Timezone,
    #[command(flatten)]
    rows: FromRows,
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
    #[command(flatten)]
    rows: FromRows,
    /// Show how the plan is executed
    #[arg(long)]
    physical: bool,
    /// Run it and show the time of each step
    #[arg(long)]
    analyze: bool,
}

impl Text {
    pub fn read(&self) -> Result<String> {
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

/// Opens the folder of a command that only asks; it has to be there. Files may be attached.
pub fn open(target: &Target, attachments: &[Attachment]) -> Result<Store> {
    if !target.data_dir.join("journal").exists() {
        return Err(Error::invalid(
            codes::INVALID_ARGUMENT,
            format!("'{}' is no data folder; name one with --data-dir", target.data_dir.display()),
        ));
    }
    Store::open(&target.data_dir, target.catalog.attaching(attachments)?)
}

/// What a question over a folder means: the built-in user asks it now.
pub fn context(snapshot: &Arc<Snapshot>, zone: Timezone) -> Context {
    let zone = zone.timezone.unwrap_or(Tz::UTC);
    relations::context(snapshot, SystemClock.now(), zone, &Caller::default())
}

fn write_failed(e: io::Error) -> Error {
    Error::data(format!("the answer cannot be written: {e}")).caused_by(e)
}

/// Where an answer goes. A file gets its name when it is complete, so that a
/// question that fails leaves none.
struct Output {
    part: Option<(NamedTempFile, PathBuf)>,
    out: Box<dyn Write + Send>,
}

impl Output {
    fn open(file: Option<&Path>, format: Format) -> Result<Self> {
        let Some(file) = file else {
            if is_binary(format) && io::stdout().is_terminal() {
                return Err(Error::invalid(
                    codes::INVALID_ARGUMENT,
                    format!("{} is not for a terminal; name a file with -o", format.name()),
                ));
            }
            return Ok(Self { part: None, out: Box::new(BufWriter::new(io::stdout())) });
        };
        // A device or a pipe takes what comes.
        if file.exists() && !file.is_file() {
            let out = File::options().write(true).open(file).map_err(write_failed)?;
            return Ok(Self { part: None, out: Box::new(BufWriter::new(out)) });
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let part = tempfile::Builder::new()
            .prefix(".sysjob-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(write_failed)?;
        let out = BufWriter::new(part.reopen().map_err(write_failed)?);
        Ok(Self { part: Some((part, file.to_owned())), out: Box::new(out) })
    }

    /// Everything has been written.
    fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(write_failed)?;
        if let Some((part, file)) = self.part {
            part.persist(file).map_err(|e| write_failed(e.error))?;
        }
        Ok(())
    }
}

fn is_binary(format: Format) -> bool {
    matches!(format, Format::Parquet | Format::Arrow)
}

impl Query {
    pub fn run(self) -> Result<ExitCode> {
        let text = self.text.read()?;
        let mut output = Output::open(self.output.as_deref(), self.format)?;
        match &self.target.url {
            Some(url) => {
                let dialect = self.text.dialect.word();
                let mut answer = Remote::new(url, &self.target.connection)?
                    .timezone(self.timezone.timezone)
                    .query(dialect, &text, self.format)?;
                io::copy(&mut answer, &mut output.out).map_err(write_failed)?;
            }
            None => {
                let store = open(&self.target, &self.rows.attach)?;
                output.out = runtime()?.block_on(answer(&store, &self, &text, output.out))?;
            }
        }
        output.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn answer(
    store: &Store,
    query: &Query,
    text: &str,
    mut out: Box<dyn Write + Send>,
) -> Result<Box<dyn Write + Send>> {
    let engine = query.rows.engine()?;
    let snapshot = store.snapshot();
    let context = context(&snapshot, query.timezone);
    let dialect = query.text.dialect.dialect();
    let mut questions = Questions::new(&engine, &snapshot, dialect, text, context)?;
    let mut answers = 0;
    while let Some(plan) = questions.next().await? {
        answers += 1;
        if answers > 1 && is_binary(query.format) {
            let format = query.format.name();
            return Err(Error::invalid(
                codes::INVALID_ARGUMENT,
                format!("{format} has the rows of one query, and the text holds several"),
            ));
        }
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
    Ok(out)
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
        let store = open(&self.target, &self.rows.attach)?;
        runtime()?.block_on(async {
            let engine = self.rows.engine()?;
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
