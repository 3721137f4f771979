//! Single rows and what paths lead to from them: columns, the rows that lookups
//! point to, and the collections of rows that point back.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use super::answer::json;
use super::error::{Failure, Result};
use super::etag;
use super::expand::Expansions;
use super::form::{BoundAnswer, Form, one_of};
use super::object::Object;
use super::query::{self, Options, Target, context_fragment, finish, only, option, plain_text};
use super::request::Call;
use super::resource::{Key, Tail};
use crate::catalog::{ColumnType, Table};
use crate::dialect::odata;
use crate::engine::failure;
use crate::error::{Error, ErrorKind, Place, codes};
use crate::query::bind::{BindOptions, bind};
use crate::query::{
    Column, ColumnRef, Columns, Condition, Filter, Literal, LiteralKind, Name, Operand, Operator,
    Path, Role, Select, Style, Test,
};
use crate::service::Service;
use crate::store::Snapshot;
use crate::value::{Guid, guid_text};

/// `GET set(key)`: one row.
pub async fn row(
    service: &Service,
    call: &Call,
    table: &Arc<Table>,
    key: &Key,
    options: Options,
) -> Result<Response> {
    let snapshot = service.store.snapshot();
    let id = id_of(service, &snapshot, table, key).await?;
    let found = single(service, call, &snapshot, table, by_id(table, id), &options).await?;
    found.ok_or_else(|| missing(table, id))
}

/// The one row that a filter lets through, as an answer.
async fn single(
    service: &Service,
    call: &Call,
    snapshot: &Arc<Snapshot>,
    table: &Arc<Table>,
    filter: Filter,
    options: &Options,
) -> Result<Option<Response>> {
    only(options, &["$select", "$expand"], "a single row")?;
    let mut select = odata::parse(table, options)?;
    let context = format!("#{}/$entity", context_fragment(&select, table));
    select.filter = Some(filter);
    let catalog = service.store.catalog();
    let expand = option(options, "$expand");
    let page_size = call.prefer.max_page_size;
    let expansions = Expansions::take(&mut select, table, expand, page_size, catalog)?;
    let form = Form::of(service, snapshot, call);
    let BoundAnswer { query, encoder } = form.bind(&select, catalog)?;
    let mut rows = service.engine.run(service.engine.plan(&query, snapshot)?).await?;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(failure)?;
        if batch.num_rows() == 0 {
            continue;
        }
        let batch = batch.slice(0, 1);
        let prepared = encoder.prepare(&batch)?;
        let tag = encoder.version(&prepared, 0).map(|version| (version, etag::of(version)));
        let unchanged =
            |version| call.none_match.as_ref().is_some_and(|h| etag::matches(h, version));
        let mut response = match &tag {
            Some((version, _)) if unchanged(*version) => StatusCode::NOT_MODIFIED.into_response(),
            _ => {
                let head = Object::of(call, &context);
                let first = head.is_empty();
                let mut body = head.unclosed();
                encoder.row_members(&prepared, 0, first, &mut body);
                if let Some(expansions) = expansions.start(&service.engine, snapshot, &form) {
                    let members = expansions.members(&encoder, &batch).await?;
                    members.iter().for_each(|m| body.extend_from_slice(m));
                }
                body.push(b'}');
                let mut response = json(StatusCode::OK, body);
                finish(call, false, &mut response);
                response
            }
        };
        if let Some(tag) = tag.and_then(|(_, tag)| HeaderValue::from_str(&tag).ok()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        return Ok(Some(response));
    }
    Ok(None)
}

/// `GET set(key)/column`, `GET set(key)/column/$value`.
pub async fn property(
    service: &Service,
    call: &Call,
    table: &Arc<Table>,
    key: &Key,
    column: usize,
    raw: bool,
) -> Result<Response> {
    only(&call.options()?, &[], "a property")?;
    let snapshot = service.store.snapshot();
    let id = id_of(service, &snapshot, table, key).await?;
    let cell =
        cell(service, &snapshot, table, id, column).await?.ok_or_else(|| missing(table, id))?;
    let Some(cell) = cell else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    if raw {
        return Ok(plain_text(cell.text));
    }
    let name = table.columns[column].property_name();
    let context = format!("#{}({})/{name}", table.entity_set_name, guid_text(&id));
    let mut body = Object::of(call, &context);
    body.raw("value", cell.json);
    let mut response = json(StatusCode::OK, body.close());
    finish(call, false, &mut response);
    Ok(response)
}

/// A path from a row to other rows.
pub struct Related<'a> {
    pub table: &'a Arc<Table>,
    pub key: &'a Key,
    pub navigation: &'a str,
    pub member: Option<Guid>,
    pub tail: Tail,
}

/// `GET set(key)/navigation` and what may follow it.
pub async fn related(
    service: &Service,
    call: &Call,
    path: Related<'_>,
    options: Options,
) -> Result<Response> {
    let (table, snapshot) = (path.table, service.store.snapshot());
    let id = id_of(service, &snapshot, table, path.key).await?;
    match table.navigation(path.navigation) {
        Some(_) => lookup(service, call, &snapshot, &path, id, options).await,
        None => members(service, call, &snapshot, &path, id, options).await,
    }
}

/// The row that a lookup points to.
async fn lookup(
    service: &Service,
    call: &Call,
    snapshot: &Arc<Snapshot>,
    path: &Related<'_>,
    id: Guid,
    options: Options,
) -> Result<Response> {
    let (table, catalog) = (path.table, service.store.catalog());
    let unknown = || Error::internal(format!("'{}' has no column", path.navigation));
    let relation = table.navigation(path.navigation).ok_or_else(unknown)?;
    let column = table.column_index(&relation.column).ok_or_else(unknown)?;
    if path.member.is_some() {
        let message = format!("'{}' leads to one row and takes no key", path.navigation);
        return Err(Error::invalid(codes::ODATA, message).into());
    }
    let cell =
        cell(service, snapshot, table, id, column).await?.ok_or_else(|| missing(table, id))?;
    let Some(cell) = cell else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    // An owner is a user or a team; otherwise the property names one table, and
    // the lookup may point to another.
    let is_owner = catalog.table(&relation.target).is_none() && relation.target == "owner";
    let target = match (&cell.target, is_owner) {
        (Some(target), true) => target,
        (None, true) => "systemuser",
        (Some(other), false) if *other != relation.target && catalog.table(other).is_some() => {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        _ => &relation.target,
    };
    let target = catalog.table(target).ok_or_else(|| {
        let message =
            format!("'{}' leads to the table '{target}', which is not served", path.navigation);
        Failure::not_implemented(message)
    })?;
    let pointed = cell.guid.ok_or_else(unknown)?;
    if let Tail::Column { column, raw } = path.tail {
        return property(service, call, target, &Key::Id(pointed), column, raw).await;
    }
    if path.tail == Tail::Ref {
        only(&options, &[], "a reference")?;
        let mut body = Object::of(call, "#$ref");
        body.text("@odata.id", &address(call, target, &pointed));
        return Ok(json(StatusCode::OK, body.close()));
    }
    let key = if is_owner {
        Some(target.primary_id_index())
    } else {
        target.column_index(&relation.target_column)
    };
    let filter = one_of(target, key.ok_or_else(unknown)?, &[pointed]);
    let found = single(service, call, snapshot, target, filter, &options).await?;
    found.ok_or_else(|| missing(target, pointed))
}

/// The rows that point to a row, or one of them.
async fn members(
    service: &Service,
    call: &Call,
    snapshot: &Arc<Snapshot>,
    path: &Related<'_>,
    id: Guid,
    options: Options,
) -> Result<Response> {
    let (table, catalog) = (path.table, service.store.catalog());
    let relation = table.one_to_many.iter().find(|r| r.navigation_property == path.navigation);
    let relation = relation.ok_or_else(|| Error::internal("a path without a relationship"))?;
    let named =
        Name { text: path.navigation.to_owned(), at: Place::Part(table.entity_set_name.clone()) };
    let (child, column) = super::expand::served(relation, catalog, &named)?;
    if cell(service, snapshot, table, id, table.primary_id_index()).await?.is_none() {
        return Err(missing(table, id));
    }
    let within = one_of(&child, column, &[id]);
    if let Some(member) = path.member {
        let filter = Filter::And(vec![within, by_id(&child, member)]);
        let none = Options::new();
        let is_ref = path.tail == Tail::Ref;
        let asked = if is_ref { &none } else { &options };
        let found = single(service, call, snapshot, &child, filter, asked).await?;
        let found = found.ok_or_else(|| missing(&child, member))?;
        if !is_ref {
            return Ok(found);
        }
        let mut body = Object::of(call, "#$ref");
        body.text("@odata.id", &address(call, &child, &member));
        return Ok(json(StatusCode::OK, body.close()));
    }
    let link = format!("{}({})/{}", table.entity_set_name, guid_text(&id), path.navigation);
    let target = Target { table: child, path: link, within: Some(within) };
    match path.tail {
        Tail::Rows => query::collection(service, call, &target, options).await,
        Tail::Count => query::count(service, call, &target, options).await,
        Tail::Ref => references(service, call, snapshot, &target, options).await,
        Tail::Column { .. } => Err(Error::internal("a column of a collection").into()),
    }
}

/// The addresses of the rows of a collection.
async fn references(
    service: &Service,
    call: &Call,
    snapshot: &Arc<Snapshot>,
    target: &Target,
    options: Options,
) -> Result<Response> {
    only(&options, &["$filter", "$top", "$orderby"], "$ref")?;
    let table = &target.table;
    let mut select = odata::parse(table, &options)?;
    let within = target.within.clone();
    select.filter = Some(Filter::And(within.into_iter().chain(select.filter.take()).collect()));
    select.columns = columns(table, &[table.primary_id_index()]);
    let BoundAnswer { query, encoder } =
        Form::of(service, snapshot, call).bind(&select, service.store.catalog())?;
    let mut rows = service.engine.run(service.engine.plan(&query, snapshot)?).await?;
    let mut list = Vec::new();
    while let Some(batch) = rows.next().await {
        for id in encoder.primary_keys(&batch.map_err(failure)?)?.into_iter().flatten() {
            let mut reference = Object::new();
            reference.text("@odata.id", &address(call, table, &id));
            list.push(reference.close());
        }
    }
    let mut body = Object::of(call, "#Collection($ref)");
    body.raw("value", [b"[", list.join(&b","[..]).as_slice(), b"]"].concat());
    let mut response = json(StatusCode::OK, body.close());
    finish(call, false, &mut response);
    Ok(response)
}

fn address(call: &Call, table: &Table, id: &Guid) -> String {
    format!("{}{}({})", call.base, table.entity_set_name, guid_text(id))
}

pub fn missing(table: &Table, id: Guid) -> Failure {
    let message = format!("{} With Id = {} Does Not Exist", table.schema_name, guid_text(&id));
    Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message).into()
}

fn by_id(table: &Table, id: Guid) -> Filter {
    one_of(table, table.primary_id_index(), &[id])
}

/// The primary key of a row; whether there is one with a GUID is not looked up.
pub async fn id_of(
    service: &Service,
    snapshot: &Arc<Snapshot>,
    table: &Arc<Table>,
    key: &Key,
) -> Result<Guid> {
    let pairs = match key {
        Key::Id(id) => return Ok(*id),
        Key::Alternate(pairs) => pairs,
    };
    let conditions = pairs.iter().map(|(name, value)| equals(table, name, value)).collect();
    let mut select = of(table);
    select.columns = columns(table, &[table.primary_id_index()]);
    select.filter = Some(Filter::And(conditions));
    select.top = Some(2);
    let query = bind(&select, service.store.catalog(), &BindOptions::default())?;
    let encoder = crate::encode::WebApiEncoder::new(&query, &Default::default());
    let plan = service.engine.plan(&query, snapshot)?;
    let mut found = Vec::new();
    for batch in service.engine.collect(plan).await? {
        found.extend(encoder.primary_keys(&batch)?.into_iter().flatten());
    }
    let name = &table.logical_name;
    match found.as_slice() {
        [id] => Ok(*id),
        [] => {
            let message =
                format!("A record with the specified key values does not exist in {name} entity");
            Err(Error::new(ErrorKind::NotFound, codes::KEY_NOT_FOUND, message).into())
        }
        _ => {
            let message =
                format!("several records of the {name} entity have the specified key values");
            let error = Error::new(ErrorKind::Conflict, codes::KEY_NOT_UNIQUE, message);
            Err(Failure::new(StatusCode::PRECONDITION_FAILED, error))
        }
    }
}

/// `column eq value` of an alternate key. The quotes of the value are gone; the
/// column's type says what it is.
fn equals(table: &Table, name: &str, value: &str) -> Filter {
    let at = || Place::Part("key".into());
    let known = table.columns.iter().find(|c| c.logical_name == name || c.property_name() == name);
    let kind = match known.map(|c| c.column_type) {
        Some(
            ColumnType::Uniqueidentifier
            | ColumnType::Lookup
            | ColumnType::Owner
            | ColumnType::Customer,
        ) => LiteralKind::Guid,
        Some(ColumnType::Boolean) => LiteralKind::Boolean,
        Some(ColumnType::DateTime) => LiteralKind::DateTime,
        Some(
            ColumnType::Integer
            | ColumnType::BigInt
            | ColumnType::Double
            | ColumnType::Decimal
            | ColumnType::Money
            | ColumnType::Picklist
            | ColumnType::State
            | ColumnType::Status,
        ) => LiteralKind::Number,
        _ => LiteralKind::Text,
    };
    let text = known.map_or_else(|| name.to_owned(), |c| c.property_name());
    let column = ColumnRef { path: Path::Here, name: Name { text, at: at() } };
    let operand = Operand::Value(Literal { kind, text: value.to_owned(), at: at() });
    Filter::Condition(Condition {
        column,
        test: Test::Compare(Operator::Eq),
        operands: vec![operand],
        at: at(),
    })
}

fn of(table: &Table) -> Select {
    let at = Place::Part(table.entity_set_name.clone());
    Select::of(Style::OData, Name { text: table.logical_name.clone(), at })
}

fn columns(table: &Table, numbers: &[usize]) -> Columns {
    let at = || Place::Part(table.entity_set_name.clone());
    let column = |number: &usize| {
        let text = table.columns[*number].property_name();
        let column = ColumnRef { path: Path::Here, name: Name { text, at: at() } };
        Column { column, alias: None, role: Role::Plain }
    };
    Columns::List(numbers.iter().map(column).collect())
}

/// A value of a row that is not null.
struct Cell {
    json: Vec<u8>,
    text: Body,
    guid: Option<Guid>,
    /// The table a lookup points to, where the row tells.
    target: Option<String>,
}

/// A cell of a row: nothing when there is no such row, `Some(None)` for null.
async fn cell(
    service: &Service,
    snapshot: &Arc<Snapshot>,
    table: &Arc<Table>,
    id: Guid,
    column: usize,
) -> Result<Option<Option<Cell>>> {
    let mut select = of(table);
    select.columns = columns(table, &[column]);
    select.filter = Some(by_id(table, id));
    let options = BindOptions { annotations: true, ..BindOptions::default() };
    let query = bind(&select, service.store.catalog(), &options)?;
    let encoder = crate::encode::WebApiEncoder::new(&query, &Default::default());
    let plan = service.engine.plan(&query, snapshot)?;
    for batch in service.engine.collect(plan).await? {
        if batch.num_rows() == 0 {
            continue;
        }
        let prepared = encoder.prepare(&batch)?;
        let type_output = query.outputs.first().and_then(|o| o.type_output);
        let target = type_output.and_then(|i| prepared.text(i, 0));
        let cell = prepared.json(0, 0).zip(prepared.text(0, 0)).map(|(json, text)| Cell {
            json,
            text: Body::from(text),
            guid: prepared.guid(0, 0),
            target: target.map(|t| String::from_utf8_lossy(&t).into_owned()),
        });
        return Ok(Some(cell));
    }
    Ok(None)
}
