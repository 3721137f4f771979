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
use crate::catalog::views::shape::{Row, Shape};
use crate::pgwire::metadata::{DATABASE, SCHEMA};
use crate::pgwire::settings::Settings;

/// The number of the one database.
pub const DATABASE_ID: i32 = 5;
/// The number of this process; nobody looks for another one.
const PROCESS: i32 = 1;

/// The schemas there are.
pub const SCHEMAS: [&str; 3] = ["pg_catalog", SCHEMA, "information_schema"];

pub fn pg_namespace() -> Vec<Row> {
    SCHEMAS.map(|name| Row::new().with("oid", namespace(name)).with("nspname", name)).to_vec()
}

pub fn pg_database() -> Vec<Row> {
    vec![Row::new().with("oid", DATABASE_ID).with("datname", DATABASE)]
}

/// The rows of a table as a session sees them.
type Rows = fn(&Settings) -> Vec<Row>;

/// Tables whose rows depend on the session that asks.
pub const OF_SESSION: &[(&str, &str, Rows)] = &[
    ("pg_roles", ROLES, |session| role(session, "rol")),
    ("pg_authid", ROLES, |session| role(session, "rol")),
    ("pg_user", USERS, |session| role(session, "use")),
    ("pg_shadow", USERS, |session| role(session, "use")),
    ("pg_settings", SETTINGS, settings),
    ("pg_stat_activity", ACTIVITY, activity),
];

fn user(session: &Settings) -> &str {
    session.get("session_authorization").unwrap_or_default()
}

/// The user of the session; others are not shown.
fn role(session: &Settings, prefix: &str) -> Vec<Row> {
    let row = Row::new();
    vec![match prefix {
        "rol" => row.with("oid", OWNER).with("rolname", user(session)),
        _ => row.with("usesysid", OWNER).with("usename", user(session)),
    }]
}

fn settings(session: &Settings) -> Vec<Row> {
    let row = |(name, value): (&String, &String)| {
        Row::new()
            .with("name", name)
            .with("setting", value)
            .with("boot_val", value)
            .with("reset_val", value)
            .with("vartype", if value.parse::<i64>().is_ok() { "integer" } else { "string" })
    };
    session.all().iter().map(row).collect()
}

fn activity(session: &Settings) -> Vec<Row> {
    let name = session.get("application_name").unwrap_or_default();
    vec![
        Row::new()
            .with("datid", DATABASE_ID)
            .with("datname", DATABASE)
            .with("pid", PROCESS)
            .with("usesysid", OWNER)
            .with("usename", user(session))
            .with("application_name", name),
    ]
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
        let session = state.config().get_extension::<Settings>();
        let rows = session.map(|session| (self.rows)(&session)).unwrap_or_default();
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
    xact_start:t query_start:t state_change:t wait_event_type:s wait_event:s state:s=active \
    backend_xid:s backend_xmin:s query_id:l query:s= backend_type:s=client";
