//! The registered steps and the activated workflows, found by what has happened.
//! Each table is read once after it has changed; then a look-up is a few hashes.

use std::collections::HashMap;
use std::sync::Arc;

use super::{CREATE, DELETE, RecordChange, UPDATE};
use crate::catalog::{Table, entity_code, entity_code_or_none};
use crate::store::{Store, TableSnapshot};
use crate::value::{Guid, Value};

/// `statecode` of an enabled step.
const ENABLED: i32 = 0;
/// `mode` of an asynchronous step.
const ASYNCHRONOUS: i32 = 1;
/// `stage` after the operation, the only one of asynchronous steps.
const POST_OPERATION: i32 = 40;
/// `statecode` of an activated workflow.
const ACTIVATED: i32 = 1;

/// A registered step.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: Guid,
    pub name: String,
    rank: i32,
    createdon: i64,
    /// An update counts when it sets one of these columns; none: every update.
    filtering: Vec<String>,
    /// The user its work runs as, instead of the one who has caused it.
    pub impersonating: Option<Guid>,
    /// Its event handler is a service endpoint, and not plug-in code.
    pub has_endpoint: bool,
    pub configuration: Option<String>,
}

/// An activated background workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    pub id: Guid,
    pub name: String,
    createdon: i64,
    /// The row of its latest activation, or its own.
    pub activation: Guid,
    on_create: bool,
    on_delete: bool,
    on_update_of: Vec<String>,
    scope: i32,
    owner: Option<Guid>,
    business_unit: Option<Guid>,
    pub logic: Option<String>,
}

/// A match.
#[derive(Clone, Debug)]
pub enum Definition {
    Step(Arc<Step>),
    Workflow(Arc<Workflow>),
}

/// Messages by lower-case name.
struct Messages(HashMap<String, Vec<Guid>>);

/// Message filters by message and object type code.
struct Filters(HashMap<(Guid, i32), Vec<Guid>>);

/// Steps by filter; those without one by message.
struct Steps {
    by_filter: HashMap<Guid, Vec<Arc<Step>>>,
    by_message: HashMap<Guid, Vec<Arc<Step>>>,
}

/// Workflows by the object type code of their table.
struct Workflows(HashMap<i32, Vec<Arc<Workflow>>>);

/// The definitions as of one moment.
pub struct Definitions {
    messages: Option<Arc<Messages>>,
    filters: Option<Arc<Filters>>,
    steps: Option<Arc<Steps>>,
    workflows: Option<Arc<Workflows>>,
    units: Option<TableSnapshot>,
}

impl Definitions {
    /// The definitions as they are now.
    pub fn of(store: &Store) -> Self {
        let table = |name| store.catalog().table_index(name).map(|table| store.table(table));
        Self {
            messages: table("sdkmessage").map(|t| t.derived(messages)),
            filters: table("sdkmessagefilter").map(|t| t.derived(filters)),
            steps: table("sdkmessageprocessingstep").map(|t| t.derived(steps)),
            workflows: table("workflow").map(|t| t.derived(workflows)),
            units: table("businessunit"),
        }
    }

    /// The steps that a change concerns, in the order of their rank, then the
    /// workflows, in the order of their creation.
    pub fn matching(&self, change: &RecordChange) -> Vec<Definition> {
        let steps = self.steps(change).into_iter().map(Definition::Step);
        steps.chain(self.workflows(change).into_iter().map(Definition::Workflow)).collect()
    }

    fn steps(&self, change: &RecordChange) -> Vec<Arc<Step>> {
        let (Some(messages), Some(filters), Some(steps)) =
            (&self.messages, &self.filters, &self.steps)
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let named = messages.0.get(&change.message.to_lowercase());
        for message in named.into_iter().flatten() {
            found.extend(steps.by_message.get(message).into_iter().flatten());
            let key = (*message, entity_code_or_none(&change.table));
            for filter in filters.0.get(&key).into_iter().flatten() {
                found.extend(steps.by_filter.get(filter).into_iter().flatten());
            }
        }
        let mut found: Vec<Arc<Step>> =
            found.into_iter().filter(|s| sets_one(change, &s.filtering)).cloned().collect();
        found.sort_by_key(|step| (step.rank, step.createdon, step.id));
        found
    }

    fn workflows(&self, change: &RecordChange) -> Vec<Arc<Workflow>> {
        let Some(workflows) = &self.workflows else { return Vec::new() };
        let of_table = workflows.0.get(&entity_code_or_none(&change.table));
        let mut found: Vec<Arc<Workflow>> = of_table
            .into_iter()
            .flatten()
            .filter(|workflow| workflow.starts_with(change) && self.in_scope(workflow, change))
            .cloned()
            .collect();
        found.sort_by_key(|workflow| (workflow.createdon, workflow.id));
        found
    }

    /// Whether a record is one of those that the workflow is for. A record without
    /// an owner belongs to the whole organization.
    fn in_scope(&self, workflow: &Workflow, change: &RecordChange) -> bool {
        let same = |a: Option<Guid>, b: Option<Guid>| a.is_none() || b.is_none() || a == b;
        match workflow.scope {
            1 => same(workflow.owner, change.owner),
            2 => same(workflow.business_unit, change.business_unit),
            3 => self.is_below(workflow.business_unit, change.business_unit),
            _ => true,
        }
    }

    /// Whether a business unit is another one, or stands somewhere below it.
    fn is_below(&self, above: Option<Guid>, unit: Option<Guid>) -> bool {
        let (Some(above), Some(unit), Some(units)) = (above, unit, &self.units) else {
            return true;
        };
        let Some(parent) = units.table().column_index("parentbusinessunitid") else { return true };
        let parents = units.derived(|units| {
            let mut parents = HashMap::new();
            let key = units.table().primary_id_index();
            units.for_each(|cell| {
                if let (Some(id), Some(parent)) = (guid(cell(key)), guid(cell(parent))) {
                    parents.insert(id, parent);
                }
            });
            parents
        });
        let mut current = Some(unit);
        // Units that contain each other would go on for ever.
        for _ in 0..=parents.len() {
            match current {
                Some(unit) if unit == above => return true,
                Some(unit) => current = parents.get(&unit).copied(),
                None => return false,
            }
        }
        false
    }
}

impl Workflow {
    fn starts_with(&self, change: &RecordChange) -> bool {
        match change.message.as_str() {
            m if m.eq_ignore_ascii_case(CREATE) => self.on_create,
            m if m.eq_ignore_ascii_case(DELETE) => self.on_delete,
            m if m.eq_ignore_ascii_case(UPDATE) => {
                !self.on_update_of.is_empty() && sets_one(change, &self.on_update_of)
            }
            _ => false,
        }
    }
}

/// Whether an update sets one of some columns; of other messages it is not asked.
fn sets_one(change: &RecordChange, columns: &[String]) -> bool {
    columns.is_empty()
        || !change.message.eq_ignore_ascii_case(UPDATE)
        || change.attributes.iter().any(|(name, _)| columns.iter().any(|column| column == name))
}

/// Reads cells of a row by column name.
struct Cells<'a> {
    table: &'a Table,
    cell: &'a dyn Fn(usize) -> Value,
}

impl Cells<'_> {
    fn get(&self, name: &str) -> Value {
        self.table.column_index(name).map_or(Value::Null, self.cell)
    }

    fn guid(&self, name: &str) -> Option<Guid> {
        guid(self.get(name))
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.get(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn int(&self, name: &str) -> Option<i32> {
        match self.get(name) {
            Value::Int32(number) => Some(number),
            _ => None,
        }
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name) == Value::Boolean(true)
    }

    fn id(&self) -> Option<Guid> {
        guid((self.cell)(self.table.primary_id_index()))
    }

    fn createdon(&self) -> i64 {
        match self.get("createdon") {
            Value::Time(at) => at,
            _ => 0,
        }
    }

    /// Column names separated by commas.
    fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let names = text.split(',').map(|name| name.trim().to_lowercase());
        names.filter(|name| !name.is_empty()).collect()
    }
}

fn guid(value: Value) -> Option<Guid> {
    match value {
        Value::Guid(id) => Some(id),
        _ => None,
    }
}

fn each(table: &TableSnapshot, mut row: impl FnMut(&Cells<'_>)) {
    let facts = table.table().clone();
    table.for_each(|cell| row(&Cells { table: &facts, cell }));
}

fn messages(table: &TableSnapshot) -> Messages {
    let mut found: HashMap<String, Vec<Guid>> = HashMap::new();
    each(table, |row| {
        if let (Some(name), Some(id)) = (row.text("name"), row.id()) {
            found.entry(name.to_lowercase()).or_default().push(id);
        }
    });
    Messages(found)
}

fn filters(table: &TableSnapshot) -> Filters {
    let mut found: HashMap<(Guid, i32), Vec<Guid>> = HashMap::new();
    each(table, |row| {
        if let (Some(message), Some(code), Some(id)) =
            (row.guid("sdkmessageid"), row.int("primaryobjecttypecode"), row.id())
        {
            found.entry((message, code)).or_default().push(id);
        }
    });
    Filters(found)
}

fn steps(table: &TableSnapshot) -> Steps {
    let endpoint = entity_code("serviceendpoint");
    let mut steps = Steps { by_filter: HashMap::new(), by_message: HashMap::new() };
    each(table, |row| {
        let counts = row.int("statecode").unwrap_or(ENABLED) == ENABLED
            && row.int("mode") == Some(ASYNCHRONOUS)
            && row.int("stage") == Some(POST_OPERATION);
        let Some(id) = row.id().filter(|_| counts) else { return };
        let step = Arc::new(Step {
            id,
            name: row.text("name").unwrap_or_default(),
            rank: row.int("rank").unwrap_or(0),
            createdon: row.createdon(),
            filtering: row.list("filteringattributes"),
            impersonating: row.guid("impersonatinguserid"),
            has_endpoint: row.int("eventhandlertypecode") == Some(endpoint),
            configuration: row.text("configuration"),
        });
        match (row.guid("sdkmessagefilterid"), row.guid("sdkmessageid")) {
            (Some(filter), _) => steps.by_filter.entry(filter).or_default().push(step),
            (None, Some(message)) => steps.by_message.entry(message).or_default().push(step),
            (None, None) => {}
        }
    });
    steps
}

fn workflows(table: &TableSnapshot) -> Workflows {
    let mut found: HashMap<i32, Vec<Arc<Workflow>>> = HashMap::new();
    each(table, |row| {
        // A definition, not its activation or a template; a workflow, not a flow; in
        // the background.
        let counts = row.int("statecode") == Some(ACTIVATED)
            && row.int("type").unwrap_or(1) == 1
            && row.int("category").unwrap_or(0) == 0
            && row.int("mode").unwrap_or(0) == 0;
        let (Some(id), Some(code)) = (row.id().filter(|_| counts), row.int("primaryentity")) else {
            return;
        };
        found.entry(code).or_default().push(Arc::new(Workflow {
            id,
            name: row.text("name").unwrap_or_default(),
            createdon: row.createdon(),
            activation: row.guid("activeworkflowid").unwrap_or(id),
            on_create: row.is_true("triggeroncreate"),
            on_delete: row.is_true("triggerondelete"),
            on_update_of: row.list("triggeronupdateattributelist"),
            scope: row.int("scope").unwrap_or(4),
            owner: row.guid("ownerid"),
            business_unit: row.guid("owningbusinessunit"),
            logic: row.text("clientdata"),
        }));
    });
    Workflows(found)
}
