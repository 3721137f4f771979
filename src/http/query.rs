//! Reads of entity sets: from query options to a response. Text to plan is the
//! work of the dialects, the binder and the engine; this file settles what only
//! HTTP knows: page size, links, annotations, the context address.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Collection, End};
use super::error::{Failure, Result};
use super::expand::Expansions;
use super::form::{BoundAnswer, Form};
use super::formats;
use super::object::Object;
use super::paging;
use super::prefer::{PAGE_SIZE_MAX, Prefer};
use super::request::Call;
use super::sql;
use crate::ask;
use crate::catalog::{Catalog, Table};
use crate::dialect::{fetchxml, odata};
use crate::encode::{Annotations, Format, json_text, terms};
use crate::engine::failure;
use crate::error::{Error, codes};
use crate::query::limits::counted;
use crate::query::{After, Columns, Expand, Filter, Page, Select, Style};
use crate::service::Service;
use crate::store::Snapshot;

pub type Options = Vec<(String, String)>;

/// The rows that a collection has before the request's own options.
pub struct Target {
    pub table: Arc<Table>,
    /// Below the address of the Web API, for links.
    pub path: String,
    /// Only the rows that another row's collection holds.
    pub within: Option<Filter>,
}

impl Target {
    /// A whole entity set.
    pub fn set(table: Arc<Table>) -> Self {
        Self { path: table.entity_set_name.clone(), table, within: None }
    }

    /// The rows of the collection that a query lets through.
    fn restrict(&self, select: &mut Select) {
        if let Some(within) = &self.within {
            select.restrict(within);
        }
    }
}

/// `GET set`, `POST set/$query`: the rows a query finds.
pub async fn collection(
    service: &Service,
    call: &Call,
    target: &Target,
    mut options: Options,
) -> Result<Response> {
    let table = &target.table;
    let token = take_skip_token(&mut options)?;
    let whole = call.wanted.rows.is_some();
    let order = match service.settings.standard_order {
        true => odata::Order::ApplyFirst,
        false => odata::Order::FilterFirst,
    };
    let mut select = match odata::parse_query_in(order, table, &options)? {
        odata::Query::Select(select) if whole => *select,
        odata::Query::Select(select) => odata_page(*select, token, &call.prefer),
        odata::Query::FetchXml { text, count } => {
            let mut select =
                if whole { fetchxml::parse(&text)? } else { fetchxml_page(&text, token)? };
            same_table(&select, table, service.store.catalog())?;
            select.count |= count;
            select
        }
        odata::Query::Sql(text) => {
            return sql::answer(service, call, target, &text, token, options).await;
        }
    };
    target.restrict(&mut select);
    if let Some(format) = call.wanted.rows {
        return in_format(service, call, select, format).await;
    }
    let paged = select.style == Style::OData && select.page.is_some();
    let answer = answer(service, call, target, select, options).await?;
    let mut response = answer.respond().await?;
    finish(call, paged, &mut response);
    Ok(response)
}

/// All rows in another format than JSON; such an answer has no pages.
async fn in_format(
    service: &Service,
    call: &Call,
    select: Select,
    format: Format,
) -> Result<Response> {
    if let Some(expand) = select.expand.first() {
        let message = format!("the format '{}' has no rows inside rows", format.name());
        return Err(Error::unsupported(message).at(expand.navigation.at.clone()).into());
    }
    let snapshot = service.store.snapshot();
    let query = Form::of(service, &snapshot, call).bind(&select, snapshot.catalog())?.query;
    let plan = service.engine.plan(&query, &snapshot)?;
    let plan = ask::shown(plan, &query).map_err(failure)?;
    Ok(formats::rows(format, service.engine.run(plan).await?).await?)
}

/// `GET set/$count`: the bare number.
pub async fn count(
    service: &Service,
    call: &Call,
    target: &Target,
    options: Options,
) -> Result<Response> {
    only(&options, &["$filter"], "$count")?;
    let mut select = odata::parse(&target.table, &options)?;
    target.restrict(&mut select);
    let snapshot = service.store.snapshot();
    let query = Form::of(service, &snapshot, call).bind(&select, snapshot.catalog())?.query;
    let count = service.engine.count(&query, &snapshot).await?;
    let (count, _) = counted(count, service.settings.dataverse_limits);
    Ok(plain_text(count.to_string()))
}

/// A bare value.
pub fn plain_text(text: impl Into<Body>) -> Response {
    let kind = HeaderValue::from_static("text/plain");
    ([(header::CONTENT_TYPE, kind)], text.into()).into_response()
}

/// The answer to a query whose page is settled.
async fn answer(
    service: &Service,
    call: &Call,
    target: &Target,
    mut select: Select,
    options: Options,
) -> Result<Collection> {
    let table = &target.table;
    let annotations = call.prefer.annotations.clone();
    let limits = service.settings.dataverse_limits;
    let catalog = service.store.catalog();
    // Rows and total are of one moment.
    let snapshot: Arc<Snapshot> = service.store.snapshot();
    let form = Form::of(service, &snapshot, call);
    let context = format!("#{}", context_fragment(&select, table));
    let (page_size, turns_pages) = (call.prefer.max_page_size, select.turns_pages);
    let expand = option(&options, "$expand");
    let expansions = Expansions::take(&mut select, table, expand, page_size, catalog)?;
    let BoundAnswer { query, encoder } = form.bind(&select, catalog)?;
    let plan = service.engine.plan(&query, &snapshot)?;
    let total =
        if query.count { Some(service.engine.count(&query, &snapshot).await?) } else { None };
    let total = total.map(|rows| counted(rows, limits));
    let rows = service.engine.run(plan).await?;
    let address = format!("{}{}", call.base, target.path);
    let options = call.for_link(options);
    let (style, page) = (query.style, query.page);
    Ok(Collection {
        rows,
        encoder,
        expansions: expansions.start(&service.engine, &snapshot, &form),
        page_size: page.map(|p| p.size),
        head: head(Object::of(call, &context), total, &annotations),
        tail: Box::new(move |end| match (style, page) {
            (Style::OData, Some(page)) if end.more => next_link(&address, options, page, end),
            (Style::OData, _) => Vec::new(),
            (Style::FetchXml, page) => fetchxml_tail(&annotations, page, turns_pages, end),
        }),
    })
}

/// The value of an option that is not repeated.
pub fn option<'o>(options: &'o Options, name: &str) -> &'o str {
    options.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str())
}

/// Which rows of an OData query go into this answer. `$top` makes one answer
/// without a link, if `odata.maxpagesize` is not there or has room for as many
/// rows. A `$top` beyond the page size is ignored, as Dataverse documents, and so
/// it is on every page a skip token leads to.
fn odata_page(mut select: Select, token: Option<(Page, After)>, prefer: &Prefer) -> Select {
    let first = |size| Page { size, number: 1 };
    select.page = match (&token, prefer.max_page_size, select.top) {
        (Some((page, _)), ..) => Some(*page),
        (None, Some(size), Some(top)) if top <= size => None,
        (None, Some(size), _) => Some(first(size)),
        (None, None, Some(_)) => None,
        (None, None, None) => Some(first(PAGE_SIZE_MAX)),
    };
    select.after = token.map(|(_, after)| after);
    if select.page.is_some() {
        select.top = None;
    }
    select
}

fn fetchxml_page(text: &str, token: Option<(Page, After)>) -> Result<Select> {
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
fn take_skip_token(options: &mut Options) -> Result<Option<(Page, After)>> {
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

/// Refuses options that a resource does not take. A tag is for plug-ins, and
/// aliases are judged where they are used.
pub fn only(options: &Options, taken: &[&str], what: &str) -> Result<()> {
    let always = |name: &str| name == "tag" || name.starts_with('@');
    let other = |(name, _): &&(String, String)| !taken.contains(&name.as_str()) && !always(name);
    match options.iter().find(other) {
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

/// The set and the properties asked for: `asyncoperations(name,ownerid(fullname))`.
/// Aggregates and whole rows are just the set.
pub fn context_fragment(select: &Select, table: &Table) -> String {
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
    parts.extend(select.expand.iter().map(expanded));
    match parts.is_empty() {
        true => table.entity_set_name.clone(),
        false => format!("{}({})", table.entity_set_name, parts.join(",")),
    }
}

/// What an expanded property shows, down to what is expanded inside it.
fn expanded(expand: &Expand) -> String {
    let name = &expand.navigation.text;
    if expand.reference {
        return format!("{name}/$ref");
    }
    let columns = expand.select.iter().flatten().map(|column| column.text.clone());
    let parts: Vec<String> = columns.chain(expand.expand.iter().map(expanded)).collect();
    format!("{name}({})", parts.join(","))
}

/// The members before `value`.
pub fn head(mut head: Object, total: Option<(u64, bool)>, annotations: &Annotations) -> Vec<u8> {
    if let Some((total, _)) = total {
        head.raw("@odata.count", total.to_string());
    }
    if annotations.wants(terms::TOTAL_RECORD_COUNT) {
        let total = total.map_or("-1".to_owned(), |(t, _)| t.to_string());
        head.raw(&format!("@{}", terms::TOTAL_RECORD_COUNT), total);
    }
    if annotations.wants(terms::TOTAL_RECORD_COUNT_LIMIT_EXCEEDED) {
        let exceeded = total.is_some_and(|(_, exceeded)| exceeded).to_string();
        head.raw(&format!("@{}", terms::TOTAL_RECORD_COUNT_LIMIT_EXCEEDED), exceeded);
    }
    head.open()
}

/// The member that leads to the next page.
pub fn next_link(address: &str, mut options: Options, page: Page, end: End) -> Vec<u8> {
    options.push(("$skiptoken".into(), paging::skip_token(page, end.keys)));
    let mut tail = b",\"@odata.nextLink\":".to_vec();
    json_text(&paging::link(address, &options), &mut tail);
    tail
}

/// Whether there is more, and the cookie to get it with: on the last page none,
/// for clients read on as long as one comes. Clients that ask for pages by number
/// expect it without saying so in a preference.
fn fetchxml_tail(
    annotations: &Annotations,
    page: Option<Page>,
    turns_pages: bool,
    end: End,
) -> Vec<u8> {
    let wanted = turns_pages || annotations.wants(terms::PAGING_COOKIE);
    let mut tail = Vec::new();
    if annotations.wants(terms::MORE_RECORDS) {
        annotation(&mut tail, terms::MORE_RECORDS, if end.more { "true" } else { "false" });
    }
    if let Some(page) = page.filter(|_| end.more && wanted) {
        let mut cookie = Vec::new();
        json_text(&paging::fetchxml_cookie(page, end.keys), &mut cookie);
        annotation(&mut tail, terms::PAGING_COOKIE, &String::from_utf8_lossy(&cookie));
    }
    tail
}

/// `,"@term":value`
fn annotation(out: &mut Vec<u8>, term: &str, value: &str) {
    out.extend_from_slice(format!(",\"@{term}\":{value}").as_bytes());
}

/// The headers that say in which form an answer is. `paged`: the page size of
/// the client was honoured.
pub fn finish(call: &Call, paged: bool, response: &mut Response) {
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static(call.wanted.metadata.json());
    headers.insert(header::CONTENT_TYPE, kind);
    if let Some(applied) = call.prefer.applied(paged) {
        headers.insert("preference-applied", applied);
    }
}
