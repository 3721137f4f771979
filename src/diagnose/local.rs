//! Answers from one snapshot in this process.

use std::sync::Arc;

use futures::StreamExt;
use tokio::runtime::Handle;

use super::{Rows, Source};
use crate::ask;
use crate::dialect::Dialect;
use crate::encode::{Format, RowWriter};
use crate::engine::{Engine, failure};
use crate::error::{Error, Result};
use crate::query::Context;
use crate::store::Snapshot;

/// One snapshot, asked on a thread that may wait.
pub struct Local<'a> {
    pub engine: &'a Engine,
    pub snapshot: Arc<Snapshot>,
    pub runtime: Handle,
}

impl Local<'_> {
    fn answer(&self, sql: &str, format: Format) -> Result<Vec<u8>> {
        self.runtime.block_on(async {
            let (dialect, context) = (Some(Dialect::Sql), Context::default());
            let plan = ask::plan(self.engine, &self.snapshot, dialect, sql, context)?;
            let mut rows = self.engine.run(plan).await?;
            let mut writer = RowWriter::new(format, &rows.schema(), Vec::new())?;
            while let Some(batch) = rows.next().await {
                writer.write(&batch.map_err(failure)?)?;
            }
            writer.finish()
        })
    }
}

impl Source for Local<'_> {
    fn rows(&self, sql: &str) -> Result<Rows> {
        serde_json::from_slice(&self.answer(sql, Format::Json)?)
            .map_err(|e| Error::internal("an answer is not JSON rows").caused_by(e))
    }

    fn table(&self, sql: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.answer(sql, Format::Table)?).into_owned())
    }
}
