//! Expanded collections. They are no part of the query for the rows they hang
//! on: once some of those rows are known, one query fetches the rows of a
//! collection for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use futures::StreamExt;
use futures::future::BoxFuture;

use super::expand_text;
use super::form::{BoundAnswer, Form, one_of};
use super::object::Object;
use super::paging;
use super::prefer::PAGE_SIZE_MAX;
use crate::catalog::{Catalog, OneToMany, Table};
use crate::encode::WebApiEncoder;
use crate::engine::{Engine, failure};
use crate::error::{Error, Result, codes};
use crate::query::cookie::CookieKey;
use crate::query::{
    Column, ColumnRef, Columns, Expand, Filter, Name, Order, OrderBy, Page, Path, Role, Select,
    Style,
};
use crate::store::Snapshot;
use crate::value::{Guid, guid_text};

/// The collections to fetch for the rows of a query.
pub struct Expansions {
    engine: Arc<Engine>,
    snapshot: Arc<Snapshot>,
    form: Form,
    list: Vec<Expansion>,
}

/// One collection, and those inside it.
struct Expansion {
    navigation: String,
    /// The entity set that the rows with the collection are in.
    set: String,
    /// The table of its rows, and the column that points back.
    table: Arc<Table>,
    lookup: usize,
    /// The rows of the collection, whosever they are.
    select: Select,
    /// Rows for each row it hangs on.
    limit: u64,
    /// Pages of the collection lead on; without it the link gives the same rows.
    paged: bool,
    count: bool,
    /// The options of the collection, for the link.
    options: Vec<(String, String)>,
    list: Vec<Expansion>,
}

/// The rows of a collection that belong to one row.
#[derive(Default)]
struct Group {
    total: u64,
    rows: Vec<Vec<u8>>,
    ends: Option<(Guid, Guid)>,
}

impl Expansions {
    /// Takes the expanded collections out of a query. `text` is its `$expand`.
    pub fn take(
        select: &mut Select,
        table: &Table,
        text: &str,
        page_size: Option<u64>,
        catalog: &Catalog,
    ) -> Result<Pending> {
        let nested = select.expand.iter().any(|e| !e.expand.is_empty());
        let size = page_size.filter(|_| nested);
        let list = take(&mut select.expand, table, text, nested, size, catalog)?;
        if !list.is_empty() && (select.aggregate || select.distinct) {
            let message = format!("'{}' cannot be expanded in groups", list[0].navigation);
            return Err(Error::unsupported(message));
        }
        Ok(Pending(list))
    }

    /// For each row, by its key: the members that its collections make, each
    /// with a comma before it.
    pub async fn members(
        &self,
        encoder: &WebApiEncoder,
        rows: &RecordBatch,
    ) -> Result<Vec<Vec<u8>>> {
        self.of_keys(&self.list, encoder.primary_keys(rows)?).await
    }

    fn of_keys<'a>(
        &'a self,
        list: &'a [Expansion],
        keys: Vec<Option<Guid>>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>>> {
        Box::pin(async move {
            let mut members = vec![Vec::new(); keys.len()];
            let wanted: Vec<Guid> = keys.iter().flatten().copied().collect();
            if wanted.is_empty() {
                return Ok(members);
            }
            for expansion in list {
                let mut groups = self.fetch(expansion, &wanted).await?;
                for (key, out) in keys.iter().zip(&mut members) {
                    let Some(key) = key else { continue };
                    let group = groups.remove(key).unwrap_or_default();
                    expansion.write(group, key, &self.form.base, out);
                }
            }
            Ok(members)
        })
    }

    /// The rows of a collection by the row they belong to.
    async fn fetch(&self, expansion: &Expansion, parents: &[Guid]) -> Result<HashMap<Guid, Group>> {
        let mut select = expansion.select.clone();
        let belongs = one_of(&expansion.table, expansion.lookup, parents);
        select.filter = Some(match select.filter.take() {
            Some(filter) => Filter::And(vec![belongs, filter]),
            None => belongs,
        });
        let BoundAnswer { query, encoder } = self.form.bind(&select, self.snapshot.catalog())?;
        let is_lookup = |o: &crate::query::bound::Output| {
            o.nested.is_none() && o.column.source == 0 && o.column.column == expansion.lookup
        };
        let lookup = query.outputs.iter().position(is_lookup);
        let lookup = lookup.ok_or_else(|| Error::internal("a collection without its lookup"))?;
        let mut groups: HashMap<Guid, Group> = HashMap::new();
        let mut batches = self.engine.run(self.engine.plan(&query, &self.snapshot)?).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(failure)?;
            let prepared = encoder.prepare(&batch)?;
            let keys = encoder.primary_keys(&batch)?;
            let mut kept = Vec::new();
            for row in 0..batch.num_rows() {
                let Some(parent) = prepared.guid(lookup, row) else { continue };
                let group = groups.entry(parent).or_default();
                group.total += 1;
                if group.total <= expansion.limit {
                    kept.push((parent, row));
                }
            }
            let kept_keys = kept.iter().map(|(_, row)| keys[*row]).collect();
            let more = match expansion.list.as_slice() {
                [] => Vec::new(),
                list => self.of_keys(list, kept_keys).await?,
            };
            for (i, (parent, row)) in kept.into_iter().enumerate() {
                let mut json = Vec::new();
                encoder.row_json(&prepared, row, more.get(i).map_or(&[], Vec::as_slice), &mut json);
                let group = groups.entry(parent).or_default();
                group.rows.push(json);
                if let Some(key) = keys[row] {
                    group.ends = Some((group.ends.map_or(key, |(first, _)| first), key));
                }
            }
        }
        Ok(groups)
    }
}

/// Collections that wait for a snapshot to be fetched from.
pub struct Pending(Vec<Expansion>);

impl Pending {
    pub fn start(
        self,
        engine: &Arc<Engine>,
        snapshot: &Arc<Snapshot>,
        form: &Form,
    ) -> Option<Expansions> {
        let (engine, snapshot, form) = (engine.clone(), snapshot.clone(), form.clone());
        (!self.0.is_empty()).then_some(Expansions { engine, snapshot, form, list: self.0 })
    }
}

impl Expansion {
    fn write(&self, group: Group, parent: &Guid, base: &str, out: &mut Vec<u8>) {
        let mut object = Object::new();
        let name = &self.navigation;
        if self.count {
            object.raw(&format!("{name}@odata.count"), group.total.to_string());
        }
        let rows = group.rows.join(&b","[..]);
        object.raw(name, [b"[", rows.as_slice(), b"]"].concat());
        let more = group.total > self.limit;
        if !self.paged || more {
            let address = format!("{base}{}({})/{name}", self.set, guid_text(parent));
            let mut options = self.options.clone();
            if self.paged {
                let page = Page { size: self.limit, number: 1 };
                let text = |id: Guid| Some(format!("{{{}}}", guid_text(&id).to_uppercase()));
                let key = group.ends.map(|(first, last)| CookieKey {
                    name: self.table.primary_id.clone(),
                    last: text(last),
                    first: text(first),
                });
                let token = paging::skip_token(page, key.into_iter().collect());
                options.push(("$skiptoken".into(), token));
            }
            object.text(&format!("{name}@odata.nextLink"), &paging::link(&address, &options));
        }
        // Without its braces it is more of the row.
        let members = object.close();
        out.push(b',');
        out.extend_from_slice(&members[1..members.len() - 1]);
    }
}

fn take(
    expands: &mut Vec<Expand>,
    table: &Table,
    text: &str,
    nested: bool,
    page_size: Option<u64>,
    catalog: &Catalog,
) -> Result<Vec<Expansion>> {
    let texts = expand_text::options(text);
    let mut taken = Vec::new();
    let mut left = Vec::new();
    for (i, mut expand) in std::mem::take(expands).into_iter().enumerate() {
        let name = expand.navigation.text.as_str();
        let Some(relation) = table.one_to_many.iter().find(|r| r.navigation_property == name)
        else {
            no_collection_inside(&expand, table, catalog)?;
            left.push(expand);
            continue;
        };
        let options = texts.get(i).cloned().unwrap_or_default();
        let child = served(relation, catalog, &expand.navigation)?;
        let inner = options.iter().find(|(name, _)| name == "$expand");
        let inner = inner.map_or("", |(_, text)| text.as_str());
        let list = take(&mut expand.expand, &child.0, inner, nested, page_size, catalog)?;
        taken.push(expansion(expand, table, child, list, nested, page_size, options)?);
    }
    *expands = left;
    Ok(taken)
}

/// A collection on a row that is itself expanded is not offered.
fn no_collection_inside(expand: &Expand, table: &Table, catalog: &Catalog) -> Result<()> {
    let target = table.navigation(&expand.navigation.text).and_then(|r| catalog.table(&r.target));
    let Some(target) = target else { return Ok(()) };
    for inner in &expand.expand {
        let name = inner.navigation.text.as_str();
        if target.one_to_many.iter().any(|r| r.navigation_property == name) {
            let message = format!(
                "the collection '{name}' inside '{}' is not supported",
                expand.navigation.text
            );
            return Err(Error::unsupported(message).at(inner.navigation.at.clone()));
        }
        no_collection_inside(inner, target, catalog)?;
    }
    Ok(())
}

/// The table of a collection and the column of it that points back.
pub fn served(
    relation: &OneToMany,
    catalog: &Catalog,
    named: &Name,
) -> Result<(Arc<Table>, usize)> {
    let table = catalog.table(&relation.target);
    let column = table.and_then(|t| t.column_index(&relation.target_column));
    table.cloned().zip(column).ok_or_else(|| {
        let message = format!(
            "the collection '{}' holds rows of the table '{}', which is not served",
            named.text, relation.target
        );
        Error::unsupported(message).at(named.at.clone())
    })
}

fn expansion(
    expand: Expand,
    table: &Table,
    (child, lookup): (Arc<Table>, usize),
    list: Vec<Expansion>,
    nested: bool,
    page_size: Option<u64>,
    options: Vec<(String, String)>,
) -> Result<Expansion> {
    let at = expand.navigation.at.clone();
    if expand.reference {
        let message = "Expand with $ref is only supported on lookup type navigation property.";
        return Err(Error::invalid(codes::ODATA, message).at(at));
    }
    if nested && (expand.top.is_some() || !expand.order.is_empty()) {
        let message = "Only $select and $filter clause can be provided while doing $expand on many-to-one relationship or nested one-to-many relationship.";
        return Err(Error::invalid(codes::ODATA, message).at(at));
    }
    let here = |name: &str| ColumnRef {
        path: Path::Here,
        name: Name { text: name.to_owned(), at: at.clone() },
    };
    let back = child.columns[lookup].property_name();
    let columns = match expand.select {
        None => Columns::All,
        Some(names) => {
            let mut columns: Vec<Column> = Vec::new();
            for name in names {
                let column = ColumnRef { path: Path::Here, name };
                columns.push(Column { column, alias: None, role: Role::Plain });
            }
            columns.push(Column { column: here(&back), alias: None, role: Role::Plain });
            Columns::List(columns)
        }
    };
    let mut order = expand.order;
    let by = OrderBy::Column(here(&child.primary_id));
    order.push(Order { by, descending: false });
    let root = Name { text: child.logical_name.clone(), at: at.clone() };
    Ok(Expansion {
        navigation: expand.navigation.text,
        set: table.entity_set_name.clone(),
        table: child,
        lookup,
        select: Select {
            columns,
            expand: expand.expand,
            filter: expand.filter,
            order,
            ..Select::of(Style::OData, root)
        },
        limit: expand.top.or(page_size).unwrap_or(PAGE_SIZE_MAX),
        paged: nested,
        count: expand.count,
        options,
        list,
    })
}
