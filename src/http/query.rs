//! Reads of entity sets: from query options to a response. Text to plan is the
//! work of the dialects, the binder and the engine; this file settles what only
//! HTTP knows: page size, links, annotations, the context address.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use super::answer::{Collection, End, json};
use super::error::{Failure, Result};
use super::paging;
use super::prefer::{PAGE_SIZE_MAX, Prefer};
use super::request::Call;
use crate::catalog::{Catalog, Table};
use crate::dialect::{fetchxml, odata};
use crate::encode::{Annotations, WebApiEncoder, json_text, terms};
use crate::engine::failure;
use crate::error::{Error, ErrorKind, Place, codes};
use crate::query::bind::{BindOptions, bind};
use crate::query::{
    ColumnRef, Columns, Condition, Filter, Literal, LiteralKind, Name, Operand, Operator, Page,
    Path, Select, Style, Test,
};
use crate::service::Service;
use crate::store::Snapshot;
use crate::value::{Guid, guid_text};

type Options = Vec<(String, String)>;

/// `GET set`, `POST set/$query`: the rows a query finds.
pub async fn collection(
    service: &Service,
    call: &Call,
    table: &Arc<Table>,
    mut options: Options,
) -> Result<Response> {
    let token = take_skip_token(&mut options)?;
    let order = match service.settings.standard_order {
        true => odata::Order::ApplyFirst,
        false => odata::Order::FilterFirst,
    };
    let select = match odata::parse_query_in(order, table, &options)? {
        odata::Query::Select(select) => odata_page(*select, token, &call.prefer),
        odata::Query::FetchXml { text, count } => {
            let mut select = fetchxml_page(&text, token)?;
            same_table(&select, table, service.store.catalog())?;
            select.count |= count;
            select
        }
        odata::Query::Sql(_) => {
            let message = "option 'sql' is not supported";
            return Err(Error::unsupported(message).at(Place::Part("OData query".into())).into());
        }
    };
    let paged = select.style == Style::OData && select.page.is_some();
    let answer = answer(service, call, table, select, options).await?;
    let mut response = answer.respond().await?;
    apply_preferences(&call.prefer, paged, &mut response);
    Ok(response)
}

/// `GET set(guid)`: one row.
pub async fn row(
    service: &Service,
    call: &Call,
    table: &Arc<Table>,
    id: Guid,
    options: Options,
) -> Result<Response> {
    only(&options, &["$select", "$expand"], "a single row")?;
    let mut select = odata::parse(table, &options)?;
    let context = context_fragment(&select, table);
    select.filter = Some(has_primary_id(table, id));
    let annotations = &call.prefer.annotations;
    let query = bind(&select, service.store.catalog(), &bind_options(annotations))?;
    let encoder = WebApiEncoder::new(&query, annotations);
    let plan = service.engine.plan(&query, &service.store.snapshot())?;
    let mut rows = service.engine.run(plan).await?;
    let mut body = b"{\"@odata.context\":".to_vec();
    json_text(&format!("{}$metadata#{context}/$entity", call.base), &mut body);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(failure)?;
        if batch.num_rows() > 0 {
            encoder.row_members(&batch, 0, &mut body)?;
            body.push(b'}');
            let mut response = json(StatusCode::OK, body);
            apply_preferences(&call.prefer, false, &mut response);
            return Ok(response);
        }
    }
    let message = format!("{} With Id = {} Does Not Exist", table.schema_name, guid_text(&id));
    Err(Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message).into())
}

/// `GET set/$count`: the bare number.
pub async fn count(service: &Service, table: &Arc<Table>, options: Options) -> Result<Response> {
    only(&options, &["$filter"], "$count")?;
    let select = odata::parse(table, &options)?;
    let query = bind(&select, service.store.catalog(), &BindOptions::default())?;
    let count = service.engine.count(&query, &service.store.snapshot()).await?;
    let kind = HeaderValue::from_static("text/plain");
    Ok(([(header::CONTENT_TYPE, kind)], Body::from(count.to_string())).into_response())
}

/// The answer to a query whose page is settled.
async fn answer(
    service: &Service,
    call: &Call,
    table: &Arc<Table>,
    select: Select,
    options: Options,
) -> Result<Collection> {
    let annotations = call.prefer.annotations.clone();
    let query = bind(&select, service.store.catalog(), &bind_options(&annotations))?;
    // Rows and total are of one moment.
    let snapshot: Arc<Snapshot> = service.store.snapshot();
    let plan = service.engine.plan(&query, &snapshot)?;
    let total =
        if query.count { Some(service.engine.count(&query, &snapshot).await?) } else { None };
    let rows = service.engine.run(plan).await?;
    let context = format!("{}$metadata#{}", call.base, context_fragment(&select, table));
    let address = format!("{}{}", call.base, table.entity_set_name);
    let (style, page) = (query.style, query.page);
    let primary_id = table.primary_id.clone();
    Ok(Collection {
        rows,
        encoder: WebApiEncoder::new(&query, &annotations),
        page_size: page.map(|p| p.size),
        head: head(&context, total, &annotations),
        tail: Box::new(move |end| match (style, page) {
            (Style::OData, Some(page)) if end.more => {
                next_link(&address, options, page, end, &primary_id)
            }
            (Style::OData, _) => Vec::new(),
            (Style::FetchXml, page) => fetchxml_tail(&annotations, page, end, &primary_id),
        }),
    })
}

/// Which rows of an OData query go into this answer. With
/// `odata.maxpagesize`, `$top` is ignored, as Dataverse documents; so it is on
/// every page a skip token leads to. `$top` alone makes one page of its size.
fn odata_page(mut select: Select, token: Option<Page>, prefer: &Prefer) -> Select {
    let first = |size| Page { size, number: 1 };
    select.page = match (token, prefer.max_page_size) {
        (Some(page), _) => Some(page),
        (None, Some(size)) => Some(first(size)),
        (None, None) if select.top.is_some() => None,
        (None, None) => Some(first(PAGE_SIZE_MAX)),
    };
    if select.page.is_some() {
        select.top = None;
    }
    select
}

fn fetchxml_page(text: &str, token: Option<Page>) -> Result<Select> {
    if token.is_some() {
        let message = "$skiptoken does not go with fetchXml, which pages by itself";
        return Err(Error::invalid(codes::ODATA, message).into());
    }
    let mut select = fetchxml::parse(text)?;
    if select.top.is_none() {
        select.page.get_or_insert(Page { size: PAGE_SIZE_MAX, number: 1 });
    }
    Ok(select)
}

/// A fetch is sent to the set of its entity. A name that no table has is left
/// to the binder, which knows the nearest.
fn same_table(select: &Select, table: &Table, catalog: &Catalog) -> Result<()> {
    let name = &select.table;
    if name.text == table.logical_name || catalog.table(&name.text).is_none() {
        return Ok(());
    }
    let message = format!(
        "the entity '{}' of the fetch is not that of the entity set '{}', which is '{}'",
        name.text, table.entity_set_name, table.logical_name
    );
    Err(Error::invalid(codes::ENTITY_MISMATCH, message).at(name.at.clone()).into())
}

/// Takes the skip token out of the options; it is the service's own.
fn take_skip_token(options: &mut Options) -> Result<Option<Page>> {
    let mut page = None;
    let mut failed = None;
    options.retain(|(name, value)| {
        if name != "$skiptoken" {
            return true;
        }
        match paging::read_skip_token(value) {
            Ok(read) => page = Some(read),
            Err(error) => failed = Some(error),
        }
        false
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(page),
    }
}

/// Refuses options that a resource does not take.
fn only(options: &Options, taken: &[&str], what: &str) -> Result<()> {
    match options.iter().find(|(name, _)| !taken.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(Failure::from(Error::invalid(
            codes::ODATA,
            format!(
                "the option '{name}' does not go with {what}, which takes {}",
                taken.join(", ")
            ),
        ))),
    }
}

fn bind_options(annotations: &Annotations) -> BindOptions {
    BindOptions { annotations: annotations.wants_values(), ..BindOptions::default() }
}

/// `primarykey eq guid`.
fn has_primary_id(table: &Table, id: Guid) -> Filter {
    let at = || Place::Part(table.entity_set_name.clone());
    Filter::Condition(Condition {
        column: ColumnRef {
            path: Path::Here,
            name: Name { text: table.primary_id.clone(), at: at() },
        },
        test: Test::Compare(Operator::Eq),
        operands: vec![Operand::Value(Literal {
            kind: LiteralKind::Guid,
            text: guid_text(&id),
            at: at(),
        })],
        at: at(),
    })
}

/// The set and the properties asked for: `asyncoperations(name,ownerid(fullname))`.
/// Aggregates and whole rows are just the set.
fn context_fragment(select: &Select, table: &Table) -> String {
    let property = |table: &Table, name: &str| {
        table.column(name).map_or_else(|| name.to_owned(), |c| c.property_name())
    };
    let mut parts: Vec<String> = Vec::new();
    match &select.columns {
        Columns::List(list) if !select.aggregate => {
            let own = list.iter().filter(|c| c.alias.is_none());
            parts.extend(own.map(|c| property(table, &c.column.name.text)));
        }
        _ => {}
    }
    for expand in &select.expand {
        let columns = expand.select.iter().flatten().map(|name| name.text.clone());
        let columns: Vec<String> = columns.collect();
        parts.push(format!("{}({})", expand.navigation.text, columns.join(",")));
    }
    match parts.is_empty() {
        true => table.entity_set_name.clone(),
        false => format!("{}({})", table.entity_set_name, parts.join(",")),
    }
}

/// The members before `value`.
fn head(context: &str, total: Option<u64>, annotations: &Annotations) -> Vec<u8> {
    let mut head = b"{\"@odata.context\":".to_vec();
    json_text(context, &mut head);
    if let Some(total) = total {
        head.extend_from_slice(format!(",\"@odata.count\":{total}").as_bytes());
    }
    if annotations.wants(terms::TOTAL_RECORD_COUNT) {
        let total = total.map_or("-1".to_owned(), |t| t.to_string());
        annotation(&mut head, terms::TOTAL_RECORD_COUNT, &total);
    }
    if annotations.wants(terms::TOTAL_RECORD_COUNT_LIMIT_EXCEEDED) {
        annotation(&mut head, terms::TOTAL_RECORD_COUNT_LIMIT_EXCEEDED, "false");
    }
    head.push(b',');
    head
}

fn next_link(
    address: &str,
    mut options: Options,
    page: Page,
    end: End,
    primary_id: &str,
) -> Vec<u8> {
    options.push(("$skiptoken".into(), paging::skip_token(page, end.ends, primary_id)));
    let mut tail = b",\"@odata.nextLink\":".to_vec();
    json_text(&paging::link(address, &options), &mut tail);
    tail
}

/// Whether there is more, and the cookie to get it with: on the last page none,
/// for clients read on as long as one comes.
fn fetchxml_tail(
    annotations: &Annotations,
    page: Option<Page>,
    end: End,
    primary_id: &str,
) -> Vec<u8> {
    let mut tail = Vec::new();
    if annotations.wants(terms::MORE_RECORDS) {
        annotation(&mut tail, terms::MORE_RECORDS, if end.more { "true" } else { "false" });
    }
    if let Some(page) = page.filter(|_| end.more && annotations.wants(terms::PAGING_COOKIE)) {
        let mut cookie = Vec::new();
        json_text(&paging::fetchxml_cookie(page, end.ends, primary_id), &mut cookie);
        annotation(&mut tail, terms::PAGING_COOKIE, &String::from_utf8_lossy(&cookie));
    }
    tail
}

/// `,"@term":value`
fn annotation(out: &mut Vec<u8>, term: &str, value: &str) {
    out.extend_from_slice(format!(",\"@{term}\":{value}").as_bytes());
}

fn apply_preferences(prefer: &Prefer, paged: bool, response: &mut Response) {
    if let Some(applied) = prefer.applied(paged) {
        response.headers_mut().insert("preference-applied", applied);
    }
}
