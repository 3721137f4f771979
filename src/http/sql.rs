//! `GET set?sql=SELECT …`: rows of a SQL query as an OData collection.

use super::answer::Collection;
use super::error::Result;
use super::formats;
use super::negotiate::Metadata;
use super::object::Object;
use super::prefer::PAGE_SIZE_MAX;
use super::query::{Options, Target, finish, head, next_link, only};
use super::request::Call;
use crate::ask;
use crate::catalog::Table;
use crate::dialect::tsql::{self, SelectedColumn, WebApiSelect};
use crate::encode::{Locale, WebApiEncoder};
use crate::engine::failure;
use crate::error::{Error, Place, codes};
use crate::query::bound::{self, Output, OutputRole};
use crate::query::{After, Page, Style};
use crate::service::Service;
use axum::response::Response;

/// The rows of the SQL in the options.
pub async fn answer(
    service: &Service,
    call: &Call,
    target: &Target,
    text: &str,
    token: Option<(Page, After)>,
    options: Options,
) -> Result<Response> {
    only(&options, &["sql"], "sql")?;
    let select = tsql::parse_web_api(text, service.store.catalog())?;
    same_table(&select.table, target)?;
    let snapshot = service.store.snapshot();
    let plan = service.engine.plan_sql(&select.query, &snapshot)?;
    if let Some(format) = call.wanted.rows {
        return Ok(formats::rows(format, service.engine.run(plan).await?).await?);
    }
    let size = call.prefer.max_page_size.unwrap_or(PAGE_SIZE_MAX);
    let page = token.map_or(Page { size, number: 1 }, |(page, _)| page);
    let rows = service.engine.run(ask::page(plan, page).map_err(failure)?).await?;
    let outputs: Vec<Output> = select.columns.iter().map(output).collect();
    let annotations = &call.prefer.annotations;
    // The annotations are those of FetchXML, which names columns by aliases too.
    let context = service.context(&snapshot, &call.caller, call.prefer.timezone);
    let locale = Locale {
        style: Style::FetchXml,
        timezone: context.timezone,
        fiscal_period: context.calendar.fiscal_period,
    };
    let mut encoder =
        WebApiEncoder::of(&outputs, &locale, select.distinct, annotations).with_nulls();
    if call.wanted.metadata == Metadata::None {
        encoder = encoder.without_versions();
    }
    let address = format!("{}{}", call.base, target.path);
    let options = call.for_link(options);
    let collection = Collection {
        rows,
        encoder,
        expansions: None,
        page_size: Some(page.size),
        head: head(Object::of(call, &format!("#{}", fragment(&select))), None, annotations),
        tail: Box::new(move |end| match end.more {
            true => next_link(&address, options, page, end),
            false => Vec::new(),
        }),
    };
    let mut response = collection.respond().await?;
    finish(call, true, &mut response);
    Ok(response)
}

fn same_table(table: &Table, target: &Target) -> Result<()> {
    if target.within.is_some() {
        let message = "'sql' goes with an entity set, not with the collection of a row";
        return Err(Error::unsupported(message).into());
    }
    if table.logical_name == target.table.logical_name {
        return Ok(());
    }
    let message = format!(
        "the first table of FROM is '{}'; send the query to its entity set '{}', not to '{}'",
        table.logical_name, table.entity_set_name, target.table.entity_set_name
    );
    Err(Error::invalid(codes::ENTITY_MISMATCH, message).at(Place::Part("sql".into())).into())
}

fn output(column: &SelectedColumn) -> Output {
    Output {
        name: column.name.clone(),
        role: column.aggregate.map_or(OutputRole::Plain, OutputRole::Aggregate),
        column: bound::Column { source: column.source, column: column.column },
        table: column.table.clone(),
        aliased: column.aliased,
        nested: None,
        hidden: false,
        name_output: None,
        type_output: None,
    }
}

/// The set, and the columns of its table that keep their names.
fn fragment(select: &WebApiSelect) -> String {
    let set = &select.table.entity_set_name;
    let own = select.columns.iter().filter(|c| c.source == 0 && !c.aliased);
    let names: Vec<&str> = own.map(|c| c.name.as_str()).collect();
    match select.aggregate || names.is_empty() {
        true => set.clone(),
        false => format!("{set}({})", names.join(",")),
    }
}
