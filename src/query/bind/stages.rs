//! Queries whose rows come from other queries: chained `$apply` transformations
//! and `concat`. What an inner query answers is described as a table, so that the
//! outer one names its columns as it names any.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;

use super::call::word;
use super::scalar::column_of;
use super::{BindOptions, bind};
use crate::catalog::{self, Catalog, ColumnKind, ColumnType, Table};
use crate::error::{Error, Result, codes};
use crate::query::bound::{BoundQuery, Output, OutputRole, PLACE, Stage};
use crate::query::{Aggregate, Context, Input, Name, Select};

/// The table that a query's rows come from, if it is made of other queries.
pub(super) struct StageTable {
    pub table: Arc<Table>,
    pub stages: Vec<Stage>,
    /// Columns that were behind navigation properties: their path and index.
    pub paths: Vec<(String, usize)>,
}

/// Binds the queries that a query's rows come from.
pub(super) fn stage_table(
    select: &Select,
    catalog: &Catalog,
    context: &Context,
) -> Result<Option<StageTable>> {
    let inner: Vec<&Select> = match &select.input {
        Input::Table => return Ok(None),
        Input::Select(one) => vec![one.as_ref()],
        Input::Concat(several) => several.iter().collect(),
    };
    // Lookups are sorted by names, which annotations need too.
    let options = BindOptions { annotations: true, version: false, context: context.clone() };
    let queries = inner
        .into_iter()
        .map(|select| bind(select, catalog, &options))
        .collect::<Result<Vec<BoundQuery>>>()?;
    let Some(first) = queries.first() else {
        return Err(Error::internal("a concatenation of nothing"));
    };
    let concat = matches!(select.input, Input::Concat(_));
    let mut made = Made { columns: Vec::new(), paths: Vec::new() };
    let maps =
        queries.iter().map(|query| made.add(query, &select.table)).collect::<Result<Vec<_>>>()?;
    let placed = concat || queries.iter().any(|query| !query.order.is_empty());
    if placed {
        made.columns.push(catalog::Column {
            read: false,
            ..catalog::Column::computed(PLACE, ColumnType::BigInt, None)
        });
    }
    let keyed = queries.iter().all(keeps_primary_key);
    let table = Arc::new(first.root.derived(made.columns, keyed));
    let stages = queries
        .into_iter()
        .zip(maps)
        .map(|(query, mut columns)| {
            columns.resize(table.columns.len() - usize::from(placed), None);
            Stage { query, columns }
        })
        .collect();
    Ok(Some(StageTable { table, stages, paths: made.paths }))
}

/// The columns of a stage in the making.
struct Made {
    columns: Vec<catalog::Column>,
    paths: Vec<(String, usize)>,
}

impl Made {
    /// Adds a query's outputs; for each column the output that fills it.
    fn add(&mut self, query: &BoundQuery, at: &Name) -> Result<Vec<Option<usize>>> {
        let mut map = vec![None; self.columns.len()];
        for (index, output) in query.outputs.iter().enumerate() {
            if output.hidden || output.nested.is_some() {
                continue;
            }
            let column = self.column(column_for(output), &mut map, index, at)?;
            if let Some(join) = output.column.source.checked_sub(1).map(|j| &query.joins[j])
                && holds_values(output)
            {
                let path = format!("{}/{}", join.alias, output.facts().property_name());
                self.paths.push((path, column));
            }
            if let Some(name) = output.name_output
                && self.columns[column].is_lookup()
            {
                let text = format!("{}name", self.columns[column].logical_name);
                let mut facts = catalog::Column::computed(&text, ColumnType::String, None);
                facts.kind = ColumnKind::LookupName(column);
                self.column(facts, &mut map, name, at)?;
            }
        }
        Ok(map)
    }

    /// The column of a name, new or known; its type widens to hold both.
    fn column(
        &mut self,
        facts: catalog::Column,
        map: &mut Vec<Option<usize>>,
        output: usize,
        at: &Name,
    ) -> Result<usize> {
        let known = self.columns.iter().position(|c| c.logical_name == facts.logical_name);
        let column = match known {
            None => {
                self.columns.push(facts);
                self.columns.len() - 1
            }
            Some(column) => {
                let (left, right) = (self.columns[column].data_type(), facts.data_type());
                if left != right {
                    let Some(wider) = wider(&left, &right) else {
                        let message = format!(
                            "'{}' is {} in one part of concat and {} in another",
                            facts.logical_name,
                            word(&left),
                            word(&right)
                        );
                        return Err(Error::invalid(codes::ODATA, message).at(at.at.clone()));
                    };
                    self.columns[column] = column_of(&facts.logical_name, &wider);
                }
                column
            }
        };
        if map.len() <= column {
            map.resize(column + 1, None);
        }
        map[column] = Some(output);
        Ok(column)
    }
}

/// What a column holds that an output fills.
fn column_for(output: &Output) -> catalog::Column {
    let facts = output.facts();
    let own_name = !output.aliased && output.column.source == 0;
    let name = if own_name { &facts.logical_name } else { &output.name };
    let of_type = |column_type, format| catalog::Column::computed(name, column_type, format);
    match output.role {
        OutputRole::Group(Some(_)) | OutputRole::CountChildren => {
            of_type(ColumnType::Integer, None)
        }
        OutputRole::Aggregate(Aggregate::Count | Aggregate::CountColumn { .. }) => {
            of_type(ColumnType::BigInt, None)
        }
        OutputRole::Aggregate(Aggregate::Sum) if facts.column_type == ColumnType::Integer => {
            of_type(ColumnType::BigInt, None)
        }
        OutputRole::Aggregate(Aggregate::Avg) if facts.column_type == ColumnType::Money => {
            of_type(ColumnType::Decimal, None)
        }
        // Under another name a lookup is a plain GUID.
        _ if facts.is_lookup() && !own_name => of_type(ColumnType::Uniqueidentifier, None),
        _ => catalog::Column {
            logical_name: name.clone(),
            attribute_of: None,
            kind: ColumnKind::Stored,
            ..facts.clone()
        },
    }
}

fn holds_values(output: &Output) -> bool {
    matches!(output.role, OutputRole::Plain | OutputRole::Group(None))
}

fn keeps_primary_key(query: &BoundQuery) -> bool {
    let key = query.root.primary_key();
    let is_key = |o: &Output| {
        o.role == OutputRole::Plain
            && o.column.source == 0
            && Some(o.column.column) == key
            && !o.aliased
            && !o.hidden
    };
    !query.distinct && query.input.len() < 2 && query.outputs.iter().any(is_key)
}

/// The type that holds numbers of both.
fn wider(left: &DataType, right: &DataType) -> Option<DataType> {
    let rank = |t: &DataType| match t {
        DataType::Int32 => Some(0),
        DataType::Int64 => Some(1),
        DataType::Decimal128(_, 4) => Some(2),
        DataType::Decimal128(..) => Some(3),
        DataType::Float64 => Some(4),
        _ => None,
    };
    let (l, r) = (rank(left)?, rank(right)?);
    Some(if l >= r { left.clone() } else { right.clone() })
}
