//! What the catalogs say of the server and the session: schemas, databases,
//! roles, settings, activity.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use super::relations::{OWNER, namespace};
use crate::catalog::views::shape::{Cell, Row, Shape};
use crate::pgwire::metadata::{DATABASE, SCHEMA};
use crate::pgwire::settings::Listed;
use crate::pgwire::view::{Activity, Cursor, Statement, View};

/// The number of the one database.
pub const DATABASE_ID: i32 = 5;

/// The schemas there are.
pub const SCHEMAS: [&str; 3] = ["pg_catalog", SCHEMA, "information_schema"];

pub fn pg_namespace() -> Vec<Row> {
    SCHEMAS.map(|name| Row::new().with("oid", namespace(name)).with("nspname", name)).to_vec()
}

pub fn pg_database() -> Vec<Row> {
    vec![Row::new().with("oid", DATABASE_ID).with("datname", DATABASE)]
}

/// The rows of a table as a session sees them.
type Rows = fn(&View) -> Vec<Row>;

/// Tables whose rows depend on the session that asks.
pub const OF_SESSION: &[(&str, &str, Rows)] = &[
    ("pg_roles", ROLES, |session| role(session, "rol")),
    ("pg_authid", ROLES, |session| role(session, "rol")),
    ("pg_user", USERS, |session| role(session, "use")),
    ("pg_shadow", USERS, |session| role(session, "use")),
    ("pg_settings", SETTINGS, settings),
    ("pg_stat_activity", ACTIVITY, activity),
    ("pg_cursors", CURSORS, cursors),
    ("pg_prepared_statements", PREPARED, prepared),
];

fn user(view: &View) -> &str {
    view.settings.get("session_authorization").unwrap_or_default()
}

/// The user of the session; others are not shown.
fn role(session: &View, prefix: &str) -> Vec<Row> {
    let row = Row::new();
    vec![match prefix {
        "rol" => row.with("oid", OWNER).with("rolname", user(session)),
        _ => row.with("usesysid", OWNER).with("usename", user(session)),
    }]
}

fn settings(view: &View) -> Vec<Row> {
    let row = |setting: Listed<'_>| {
        Row::new()
            .with("name", setting.name)
            .with("setting", setting.value)
            .with("unit", setting.unit)
            .with("boot_val", setting.default)
            .with("reset_val", setting.initial)
            .with("context", if setting.fixed { "internal" } else { "user" })
            .with("vartype", setting.kind)
    };
    view.settings.listed().into_iter().map(row).collect()
}

fn activity(view: &View) -> Vec<Row> {
    let row = |session: &Activity| {
        Row::new()
            .with("datid", DATABASE_ID)
            .with("datname", DATABASE)
            .with("pid", session.process)
            .with("usesysid", OWNER)
            .with("usename", &session.user)
            .with("application_name", &session.application)
            .with("client_addr", session.address.map(|address| address.ip().to_string()))
            .with("client_port", session.address.map(|address| i32::from(address.port())))
            .with("backend_start", session.started)
            .with("xact_start", session.transaction)
            .with("query_start", session.asked)
            .with("state_change", session.changed)
            .with("wait_event_type", (session.state != "active").then_some("Client"))
            .with("wait_event", (session.state != "active").then_some("ClientRead"))
            .with("state", session.state)
            .with("query", session.text.as_ref())
            .with("backend_type", "client backend")
    };
    view.activities.iter().map(row).collect()
}

fn cursors(view: &View) -> Vec<Row> {
    let row = |cursor: &Cursor| {
        Row::new()
            .with("name", &cursor.name)
            .with("statement", cursor.text.as_ref())
            .with("is_holdable", cursor.hold)
            .with("is_binary", cursor.binary)
            .with("creation_time", cursor.opened)
    };
    view.cursors.iter().map(row).collect()
}

fn prepared(view: &View) -> Vec<Row> {
    let row = |statement: &Statement| {
        Row::new()
            .with("name", &statement.name)
            .with("statement", statement.text.as_ref())
            .with("prepare_time", statement.prepared)
            .with("parameter_types", Cell::Texts(statement.types.clone()))
            .with("from_sql", statement.from_sql)
    };
    view.statements.iter().map(row).collect()
}

/// A table of [`OF_SESSION`].
#[derive(Debug)]
pub struct OfSession {
    shape: Shape,
    schema: SchemaRef,
    rows: Rows,
}

impl OfSession {
    pub fn new(columns: &'static str, rows: Rows) -> Self {
        let shape = Shape::new(columns);
        Self { schema: shape.schema(false), shape, rows }
    }
}

#[async_trait]
impl TableProvider for OfSession {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let view = state.config().get_extension::<View>();
        let rows = view.map(|view| (self.rows)(&view)).unwrap_or_default();
        let batch = self.shape.batch(&rows, false)?;
        let table = MemTable::try_new(self.schema.clone(), vec![vec![batch]])?;
        table.scan(state, projection, filters, limit).await
    }
}

pub const PG_NAMESPACE: &str = "oid:o nspname:n nspowner:o=10 nspacl:s[]";

pub const PG_DATABASE: &str = "oid:o datname:n datdba:o=10 encoding:i=6 datlocprovider:s=c \
    datistemplate:b=0 datallowconn:b=1 datconnlimit:i=-1 datfrozenxid:i=0 datminmxid:i=0 \
    dattablespace:o=1663 datcollate:n=C datctype:n=C daticulocale:s daticurules:s \
    datcollversion:s datacl:s[] datlastsysoid:o=0";

const ROLES: &str = "oid:o rolname:n rolsuper:b=0 rolinherit:b=1 rolcreaterole:b=0 \
    rolcreatedb:b=0 rolcanlogin:b=1 rolreplication:b=0 rolconnlimit:i=-1 rolpassword:s \
    rolvaliduntil:t rolbypassrls:b=0 rolconfig:s[]";

const USERS: &str = "usename:n usesysid:o usecreatedb:b=0 usesuper:b=0 userepl:b=0 \
    usebypassrls:b=0 passwd:s valuntil:t useconfig:s[]";

const SETTINGS: &str = "name:s setting:s unit:s category:s=Session short_desc:s= extra_desc:s \
    context:s=user vartype:s source:s=session min_val:s max_val:s enumvals:s[] boot_val:s \
    reset_val:s sourcefile:s sourceline:i pending_restart:b=0";

const ACTIVITY: &str = "datid:o datname:n pid:i leader_pid:i usesysid:o usename:n \
    application_name:s client_addr:s client_hostname:s client_port:i backend_start:t \
    xact_start:t query_start:t state_change:t wait_event_type:s wait_event:s state:s \
    backend_xid:s backend_xmin:s query_id:l query:s backend_type:s";

const CURSORS: &str =
    "name:s statement:s is_holdable:b is_binary:b is_scrollable:b=0 creation_time:t";

const PREPARED: &str = "name:s statement:s prepare_time:t parameter_types:s[] from_sql:b \
    generic_plans:l=0 custom_plans:l=0";
