//! Checked T-SQL statements as DataFusion plans: the tables are those of a
//! snapshot, the functions those of the engine's session.

mod aggregates;
mod grouped;
mod implicit;
mod operators;
mod placing;
mod recursion;
mod typing;
mod values;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Column, DataFusionError, Result, TableReference, plan_err};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, Cast, Expr, HigherOrderUDF, LogicalPlan, Projection, ScalarUDF, TableSource,
    WindowUDF,
};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::planner::{NullOrdering, ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast;

use super::attached::AttachedTable;
use super::failure::failure;
use super::provider::SnapshotTable;
use super::views;
use crate::error::{Error, Place};
use crate::store::Snapshot;

/// The plan of a query whose names are canonical.
fn plan(
    query: ast::Query,
    snapshot: &Arc<Snapshot>,
    session: &SessionState,
) -> Result<LogicalPlan> {
    let planners: Vec<Arc<dyn ExprPlanner>> =
        std::iter::once(Arc::new(operators::TsqlOperators) as Arc<dyn ExprPlanner>)
            .chain(session.expr_planners().iter().cloned())
            .collect();
    let provider = Tables { snapshot, session, planners };
    let options = ParserOptions::new()
        .with_enable_ident_normalization(false)
        .with_parse_float_as_decimal(true)
        .with_map_string_types_to_utf8view(true)
        .with_default_null_ordering(NullOrdering::NullsMin);
    let statement = ast::Statement::Query(Box::new(query));
    let plan = SqlToRel::new_with_options(&provider, options)
        .statement_to_plan(DfStatement::Statement(Box::new(statement)))?;
    whole_nulls(typing::apply(recursion::apply(grouped::apply(plan)?)?)?)
}

/// The same, or how the query is refused, with the place of the part that is wrong.
pub fn plan_or_refuse(
    query: &ast::Query,
    snapshot: &Arc<Snapshot>,
    session: &SessionState,
) -> Result<LogicalPlan, Error> {
    let planned = plan(query.clone(), snapshot, session).or_else(|error| {
        match values::united(&error, query) {
            Some(query) => plan(query, snapshot, session),
            None => Err(error),
        }
    });
    planned.map_err(|error| refusal(error, query, snapshot, session))
}

/// What a query is refused with: the error, and the place of the part that it is about.
fn refusal(
    error: DataFusionError,
    query: &ast::Query,
    snapshot: &Arc<Snapshot>,
    session: &SessionState,
) -> Error {
    let error = failure(error);
    if error.place.is_some() {
        return error;
    }
    let refused = |part: ast::Query| {
        let refusal = plan(part, snapshot, session).err().map(failure);
        refusal.is_some_and(|refusal| refusal.message == error.message)
    };
    let found = placing::place(query, &refused);
    let place = found.and_then(|at| {
        let (line, column) = (u32::try_from(at.line).ok()?, u32::try_from(at.column).ok()?);
        Some(Place::Line { dialect: "SQL", line, column })
    });
    match place {
        Some(place) => error.at(place),
        None => error,
    }
}

/// A column that is `NULL` and nothing else is an `int`, unless a parameter may give
/// it another type.
fn whole_nulls(plan: LogicalPlan) -> Result<LogicalPlan> {
    let null = |field: &Field| *field.data_type() == DataType::Null;
    let schema = plan.schema().clone();
    if !schema.fields().iter().any(|field| null(field)) || !plan.get_parameter_names()?.is_empty() {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(relation, field)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if !null(field) {
            return column;
        }
        let whole = Expr::Cast(Cast::new(Box::new(column), DataType::Int32));
        whole.alias_qualified(relation.cloned(), field.name())
    });
    let columns = columns.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// Types that the engine has no word for: GUIDs, as elements of arrays.
#[derive(Debug)]
struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let guid = || Field::new("", DataType::FixedSizeBinary(16), true).into();
        Ok((*sql_type == ast::DataType::Uuid).then(guid))
    }
}

struct Tables<'a> {
    snapshot: &'a Arc<Snapshot>,
    session: &'a SessionState,
    /// Those of T-SQL, then the engine's.
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl ContextProvider for Tables<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        if let Some(view) =
            name.schema().and_then(|s| self.snapshot.catalog().view(s, name.table()))
        {
            let rows = views::rows(view, self.snapshot)?;
            return Ok(provider_as_source(Arc::new(MemTable::try_new(
                rows.schema(),
                vec![vec![rows]],
            )?)));
        }
        if let Some(attached) = self.snapshot.catalog().attached_table(name.table()) {
            return Ok(provider_as_source(Arc::new(AttachedTable(attached.clone()))));
        }
        match self.snapshot.catalog().table_index(name.table()) {
            Some(index) => {
                Ok(provider_as_source(Arc::new(SnapshotTable::new(self.snapshot.clone(), index))))
            }
            None => plan_err!("Invalid object name '{}' (Msg 208)", name.table()),
        }
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.session.udf(name).ok()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        if name == "avg" {
            return Some(Arc::new(AggregateUDF::from(aggregates::PlannedAverage::default())));
        }
        self.session.udaf(name).ok()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.session.udwf(name).ok()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.session.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.session.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.session.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.session.window_functions().keys().cloned().collect()
    }
}
