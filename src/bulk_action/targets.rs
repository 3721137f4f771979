//! Which jobs a query finds, in any dialect, as of one snapshot.

use std::collections::HashSet;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use crate::ask::Questions;
use crate::dialect::{Dialect, detect, fetchxml, odata};
use crate::engine::failure;
use crate::error::{Error, Result, codes};
use crate::identity::Caller;
use crate::job;
use crate::query::bind::{BindOptions, bind};
use crate::query::{Context, Select};
use crate::service::Service;
use crate::store::Snapshot;
use crate::value::Guid;

/// The primary key of jobs.
const KEY: &str = "asyncoperationid";

/// The jobs that a query finds, each once, in the query's order.
pub async fn matching(
    service: &Service,
    caller: &Caller,
    timezone: Option<Tz>,
    dialect: Option<Dialect>,
    text: &str,
) -> Result<Vec<Guid>> {
    let snapshot = service.store.snapshot();
    let context = service.context(&snapshot, caller, timezone);
    // Options may come with the mark that divides them from a path.
    let text = text.trim();
    let text = text.strip_prefix('?').unwrap_or(text);
    let select = match dialect.unwrap_or_else(|| detect(text)) {
        Dialect::Sql => return by_sql(service, &snapshot, text, context).await,
        Dialect::FetchXml => fetchxml::parse(text)?,
        Dialect::OData => {
            // The options alone are about jobs.
            let request = match text.starts_with(['$', '%']) {
                true => format!("asyncoperations?{text}"),
                false => text.to_owned(),
            };
            match odata::parse_request(&request, service.store.catalog())?.query {
                odata::Query::Select(select) => *select,
                odata::Query::FetchXml { text, .. } => fetchxml::parse(&text)?,
                odata::Query::Sql(text) => {
                    return by_sql(service, &snapshot, &text, context).await;
                }
            }
        }
    };
    selected(service, &snapshot, &select, context).await
}

async fn selected(
    service: &Service,
    snapshot: &Arc<Snapshot>,
    select: &Select,
    context: Context,
) -> Result<Vec<Guid>> {
    let options = BindOptions { context, ..BindOptions::default() };
    let bound = bind(select, snapshot.catalog(), &options)?;
    if bound.root.logical_name != job::TABLE {
        return Err(unusable(&format!(
            "the query is about '{}'; an action needs one about '{}'",
            bound.root.logical_name,
            job::TABLE
        )));
    }
    let of_jobs = |output: &&crate::query::bound::Output| {
        output.facts().logical_name == KEY && output.table.logical_name == job::TABLE
    };
    let key = bound.outputs.iter().find(|output| output.name == KEY).filter(of_jobs);
    let key = key.and_then(|key| bound.outputs.iter().position(|output| output.name == key.name));
    let Some(key) = key.filter(|_| !bound.aggregate) else {
        return Err(unusable(&format!(
            "the rows of the query have no '{KEY}': groups, aggregates and distinct rows are no jobs"
        )));
    };
    let rows = service.engine.run(service.engine.plan(&bound, snapshot)?).await?;
    let size =
        bound.page.map_or(usize::MAX, |page| usize::try_from(page.size).unwrap_or(usize::MAX));
    keys(rows, key, size).await
}

/// The jobs of a `SELECT` that yields their keys.
async fn by_sql(
    service: &Service,
    snapshot: &Arc<Snapshot>,
    text: &str,
    context: Context,
) -> Result<Vec<Guid>> {
    let engine = &service.engine;
    let mut questions = Questions::new(engine, snapshot, Some(Dialect::Sql), text, context)?;
    let plan = questions.next().await?;
    let plan = plan.ok_or_else(|| unusable("the text came to no query"))?;
    let rows = engine.run(plan).await?;
    let schema = rows.schema();
    let fields = schema.fields();
    let key = fields.iter().position(|field| field.name().eq_ignore_ascii_case(KEY));
    let key = key.ok_or_else(|| unusable(&format!("the SELECT does not yield '{KEY}'")))?;
    if *fields[key].data_type() != DataType::FixedSizeBinary(16) {
        return Err(unusable(&format!("'{KEY}' of the SELECT is no uniqueidentifier")));
    }
    let ids = keys(rows, key, usize::MAX).await?;
    questions.answered(ids.len());
    if questions.next().await?.is_some() {
        return Err(unusable("the text holds several queries; an action needs one"));
    }
    Ok(ids)
}

/// The keys of the first rows, each once.
async fn keys(mut rows: SendableRecordBatchStream, key: usize, size: usize) -> Result<Vec<Guid>> {
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    let mut left = size;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(failure)?;
        let column = batch.column(key).as_fixed_size_binary();
        let taken = column.len().min(left);
        left -= taken;
        for row in (0..taken).filter(|row| column.is_valid(*row)) {
            if let Ok(id) = Guid::try_from(column.value(row))
                && seen.insert(id)
            {
                ids.push(id);
            }
        }
        if left == 0 {
            break;
        }
    }
    Ok(ids)
}

fn unusable(message: &str) -> Error {
    Error::invalid(codes::INVALID_ARGUMENT, message)
}
