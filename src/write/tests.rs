//! Transactions on a store: roles, visibility within, all or nothing.

use std::sync::Arc;

use serde_json::json;

use super::{Object, Precondition, Transaction};
use crate::catalog::Catalog;
use crate::error::{Error, codes};
use crate::identity::{Caller, Role};
use crate::job::Action;
use crate::store::{Change, Store};
use crate::value::Value;

struct Folder {
    store: Arc<Store>,
    accounts: usize,
    contacts: usize,
    jobs: usize,
    _dir: tempfile::TempDir,
}

fn folder() -> Folder {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let catalog = Arc::new(Catalog::built_in());
    let store = Arc::new(Store::open(dir.path(), catalog.clone()).expect("a new folder"));
    let table = |name| catalog.table_index(name).expect("built in");
    let (accounts, contacts, jobs) = (table("account"), table("contact"), table("asyncoperation"));
    Folder { store, accounts, contacts, jobs, _dir: dir }
}

fn object(json: serde_json::Value) -> Object {
    json.as_object().expect("an object").clone()
}

async fn begin(folder: &Folder, role: Role) -> Transaction {
    Transaction::begin(&folder.store, None, Caller { role, ..Caller::default() }, 1_000_000).await
}

fn denied<T>(answer: Result<T, Error>) -> bool {
    answer.is_err_and(|e| e.code == codes::PRIVILEGE_DENIED)
}

#[tokio::test]
async fn each_role_may_what_it_is_for() {
    let folder = folder();
    let c = crate::job::JobColumns::of(folder.store.catalog());
    let values = vec![(c.asyncoperationid, Value::Guid([1; 16])), (c.statuscode, Value::Int32(0))];
    let job = Change::Insert { table: folder.jobs, values };
    folder.store.commit(vec![job]).await.expect("durable");
    for (role, rows, jobs) in [
        (Role::Reader, false, false),
        (Role::Operator, false, true),
        (Role::Administrator, true, true),
    ] {
        let mut tx = begin(&folder, role).await;
        let body = object(json!({"name": "A"}));
        assert_eq!(denied(tx.create(folder.accounts, &body)), !rows, "{role:?}");
        assert_eq!(denied(tx.update(folder.accounts, [9; 16], &body)), !rows, "{role:?}");
        assert_eq!(denied(tx.delete(folder.accounts, [9; 16])), !rows, "{role:?}");
        assert_eq!(denied(tx.act([1; 16], Action::Cancel, None)), !jobs, "{role:?}");
        let body = object(json!({"statecode": 3}));
        assert_eq!(denied(tx.update(folder.jobs, [1; 16], &body)), !jobs, "{role:?}");
        assert_eq!(denied(tx.delete(folder.jobs, [1; 16])), !jobs, "{role:?}");
    }
}

#[tokio::test]
async fn later_writes_see_earlier_ones_and_nobody_else_does() {
    let folder = folder();
    let mut tx = begin(&folder, Role::Administrator).await;
    let id = tx.create(folder.accounts, &object(json!({"name": "A"}))).expect("new");
    let bind = format!("/accounts({})", crate::value::guid_text(&id));
    let body = object(json!({"lastname": "L", "parentcustomerid_account@odata.bind": bind}));
    let contact = tx.create(folder.contacts, &body).expect("its account is there");
    tx.update(folder.accounts, id, &object(json!({"name": "B"}))).expect("it is there");
    tx.expect(folder.accounts, &id, &Precondition::Exists).expect("it is there");
    assert!(folder.store.row(folder.accounts, &id).is_none(), "not before the commit");
    tx.commit().await.expect("durable");
    let facts = folder.store.catalog().tables()[folder.accounts].clone();
    let row = folder.store.row(folder.accounts, &id).expect("committed");
    assert_eq!(row[facts.column_index("name").expect("a column")], Value::Text("B".into()));
    assert!(folder.store.row(folder.contacts, &contact).is_some());

    let mut tx = begin(&folder, Role::Administrator).await;
    tx.delete(folder.accounts, id).expect("it is there");
    assert!(tx.update(folder.accounts, id, &object(json!({}))).is_err(), "it is gone here");
    drop(tx);
    assert!(folder.store.row(folder.accounts, &id).is_some(), "not committed, not done");
}

#[tokio::test]
async fn a_job_recurs_as_it_was_made_to() {
    let folder = folder();
    let columns = crate::job::JobColumns::of(folder.store.catalog());
    let key = (columns.asyncoperationid, Value::Guid([1; 16]));
    let job = Change::Insert { table: folder.jobs, values: vec![key] };
    folder.store.commit(vec![job]).await.expect("durable");
    let mut tx = begin(&folder, Role::Administrator).await;
    let body = object(json!({"recurrencepattern": "FREQ=DAILY;"}));
    let refused = tx.update(folder.jobs, [1; 16], &body).expect_err("it does not recur");
    assert_eq!(refused.code, 0x8004_4168);
    drop(tx);
    let values = vec![(columns.recurrencepattern, Value::Text("FREQ=DAILY;".into()))];
    let change = Change::Update { table: folder.jobs, id: [1; 16], values };
    folder.store.commit(vec![change]).await.expect("durable");
    let mut tx = begin(&folder, Role::Administrator).await;
    for name in ["recurrencepattern", "recurrencestarttime"] {
        let body = object(json!({name: "FREQ=WEEKLY;"}));
        let refused = tx.update(folder.jobs, [1; 16], &body).expect_err("it is fixed");
        assert_eq!(refused.code, 0x8004_4169);
    }
}

#[tokio::test]
async fn a_deleted_job_takes_its_files_and_logs_along() {
    let folder = folder();
    let catalog = folder.store.catalog().clone();
    let insert = |name: &str, cells: &[(&str, Value)]| {
        let table = catalog.table_index(name).expect("built in");
        let column = |name| catalog.tables()[table].column_index(name).expect("a column");
        let values = cells.iter().map(|(name, value)| (column(name), value.clone())).collect();
        Change::Insert { table, values }
    };
    let guid = |n: u8| Value::Guid([n; 16]);
    let changes = vec![
        insert(
            "asyncoperation",
            &[
                ("asyncoperationid", guid(1)),
                ("datablobid", guid(11)),
                ("statuscode", Value::Int32(30)),
            ],
        ),
        insert("fileattachment", &[("fileattachmentid", guid(11))]),
        insert("fileattachment", &[("fileattachmentid", guid(12)), ("objectid", guid(1))]),
        insert("fileattachment", &[("fileattachmentid", guid(13)), ("objectid", guid(2))]),
        insert("workflowlog", &[("workflowlogid", guid(21)), ("asyncoperationid", guid(1))]),
    ];
    folder.store.commit(changes).await.expect("durable");
    let mut tx = begin(&folder, Role::Operator).await;
    tx.delete(folder.jobs, [1; 16]).expect("it is there");
    tx.commit().await.expect("durable");
    let snapshot = folder.store.snapshot();
    let rows = |name: &str| snapshot.table_named(name).expect("built in").rows();
    assert_eq!((rows("asyncoperation"), rows("fileattachment"), rows("workflowlog")), (0, 1, 0));
}
