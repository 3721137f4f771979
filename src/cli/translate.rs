//! `sysjob translate`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;
use ureq::http::Method;

use super::query::{Text, context};
use super::remote::Remote;
use super::{CatalogFiles, Connection, Timezone};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::store::{Snapshot, Store};
use crate::translate::translate;

/// A language to translate to.
#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Sql,
    Fetchxml,
    Odata,
}

impl Target {
    fn dialect(self) -> Dialect {
        match self {
            Self::Sql => Dialect::Sql,
            Self::Fetchxml => Dialect::FetchXml,
            Self::Odata => Dialect::OData,
        }
    }
}

#[derive(Args)]
pub struct Translate {
    /// The dialect to say it in
    #[arg(long, value_enum)]
    to: Target,
    #[command(flatten)]
    text: Text,
    /// A data folder, whose organization says when weeks begin
    #[arg(long, env = "SYSJOB_DATA_DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// A running service that translates, with the tables it has
    #[arg(long, env = "SYSJOB_URL")]
    url: Option<String>,
    #[command(flatten)]
    catalog: CatalogFiles,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    timezone: Timezone,
}

impl Translate {
    pub fn run(self) -> Result<ExitCode> {
        let text = self.text.read()?;
        let (text, notes) = match &self.url {
            Some(url) => self.remote(url, &text)?,
            None => self.local(&text)?,
        };
        for note in notes {
            eprintln!("note: {note}");
        }
        println!("{text}");
        Ok(ExitCode::SUCCESS)
    }

    fn local(&self, text: &str) -> Result<(String, Vec<String>)> {
        let catalog = self.catalog.load()?;
        let folder = self.data_dir.as_ref().filter(|folder| folder.join("journal").exists());
        let store = folder.map(|folder| Store::open(folder, catalog.clone())).transpose()?;
        let snapshot = match &store {
            Some(store) => store.snapshot(),
            None => Arc::new(Snapshot::empty(catalog)),
        };
        let context = context(&snapshot, self.timezone);
        let (from, to) = (self.text.dialect.dialect(), self.to.dialect());
        let made = translate(&Engine::new(), &snapshot, from, text, to, &context)?;
        Ok((made.text, made.notes))
    }

    fn remote(&self, url: &str, text: &str) -> Result<(String, Vec<String>)> {
        let to = self.to.dialect().word();
        let body = json!({ "dialect": self.text.dialect.word(), "text": text, "to": to });
        let remote = Remote::new(url, &self.connection)?.timezone(self.timezone.timezone);
        let answer = remote.call(Method::POST, "/sysjob/translate", Some(&body))?;
        let text = answer["text"].as_str();
        let text = text.ok_or_else(|| Error::data(format!("{url} answered no text")))?;
        let notes = answer["notes"].as_array().into_iter().flatten();
        let notes = notes.filter_map(|note| note.as_str().map(str::to_owned)).collect();
        Ok((text.to_owned(), notes))
    }
}
