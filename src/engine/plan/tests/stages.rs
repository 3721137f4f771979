//! Queries over the answers of queries: chained transformations, parts of rows.

use serde_json::{Value as Json, json};

use super::{after, by, call, col, column, condition, grouped, name, of, world};
use crate::query::*;

fn jobs() -> Select {
    Select::of(Style::OData, name("asyncoperation"))
}

fn accounts() -> Select {
    Select::of(Style::OData, name("account"))
}

fn by_account() -> Select {
    let count = ("asyncoperationid", Aggregate::Count, "n");
    let sum = ("retrycount", Aggregate::Sum, "retries");
    grouped(jobs(), &["_regardingobjectid_value"], &[count, sum])
}

#[tokio::test]
async fn groups_can_be_filtered_and_grouped_again() {
    let world = world();
    // Contoso has two jobs with ten retries, contoso one, Litware one with two, none one with two.
    let many = condition("n", Operator::Gt, &[(LiteralKind::Number, "1")]);
    let select = Select { filter: Some(many), ..after(by_account()) };
    let rows = world.rows(&select).await;
    assert_eq!(column(&rows, "retries"), [json!(10)]);
    let id = json!("02020202-0202-0202-0202-020202020201");
    assert_eq!(column(&rows, "_regardingobjectid_value"), [id]);

    let count = ("whatever", Aggregate::Count, "accounts");
    let mean = ("retries", Aggregate::Avg, "mean");
    let mut select = grouped(by_account(), &["n"], &[count, mean]);
    select.order = vec![by("n", false)];
    let rows = world.rows(&select).await;
    assert_eq!(
        rows,
        [json!({"n": 1, "accounts": 3, "mean": 2}), json!({"n": 2, "accounts": 1, "mean": 10})]
    );
    let most = [("n", Aggregate::Max, "most"), ("retries", Aggregate::Sum, "all")];
    let rows = world.rows(&grouped(by_account(), &[], &most)).await;
    assert_eq!(rows, [json!({"most": 2, "all": 14})]);
    let distinct = ("retries", Aggregate::CountColumn { distinct: true }, "different");
    let rows = world.rows(&grouped(by_account(), &[], &[distinct])).await;
    assert_eq!(rows, [json!({"different": 2})]);
}

#[tokio::test]
async fn computed_columns_of_groups() {
    let world = world();
    let value = call(Function::DivBy, vec![col("retries"), col("n")]);
    let select = Select {
        compute: vec![Computed { value, alias: name("mean") }],
        order: vec![by("mean", true)],
        ..after(by_account())
    };
    let found = column(&world.rows(&select).await, "mean");
    let found: Vec<_> = found.iter().map(Json::as_f64).collect();
    assert_eq!(found, [Some(5.0), Some(2.0), Some(2.0), None]);
}

#[tokio::test]
async fn paths_and_lookups_survive() {
    let world = world();
    let count = ("accountid", Aggregate::Count, "n");
    let groups = grouped(accounts(), &["primarycontactid/fullname"], &[count]);
    let ann = condition("primarycontactid/fullname", Operator::Eq, &[(LiteralKind::Text, "ANN")]);
    let select = Select { filter: Some(ann), ..after(groups.clone()) };
    assert_eq!(world.rows(&select).await, [json!({"contact_fullname": "Ann", "n": 2})]);
    let select = Select { order: vec![by("contact_fullname", true)], ..after(groups) };
    let rows = world.rows(&select).await;
    assert_eq!(column(&rows, "n"), [json!(1), json!(2), json!(1)]);
    // A lookup that is grouped by still leads to its row.
    let groups =
        grouped(accounts(), &["_primarycontactid_value"], &[("accountid", Aggregate::Count, "n")]);
    let ann = condition("primarycontactid/fullname", Operator::Eq, &[(LiteralKind::Text, "Ann")]);
    let select = Select { filter: Some(ann), ..after(groups) };
    assert_eq!(column(&world.rows(&select).await, "n"), [json!(2)]);
}

fn top(mut select: Select, key: &str, descending: bool, rows: u64) -> Select {
    select.order = vec![by(key, descending)];
    select.top = Some(rows);
    select
}

#[tokio::test]
async fn parts_keep_their_order() {
    let world = world();
    let two = top(accounts(), "numberofemployees", true, 2);
    let names = Columns::List(vec![Column {
        column: super::reference("name"),
        alias: None,
        role: Role::Plain,
    }]);
    let select = Select { columns: names.clone(), ..after(two.clone()) };
    assert_eq!(column(&world.rows(&select).await, "name"), [json!("Litware"), json!("Fabrikam")]);
    // Of the rest of the top, in the order of the top.
    let rest = Select { skip: 1, ..after(two.clone()) };
    let select = Select { columns: names.clone(), ..after(rest) };
    assert_eq!(column(&world.rows(&select).await, "name"), [json!("Fabrikam")]);
    let sum = [("numberofemployees", Aggregate::Sum, "sum")];
    assert_eq!(world.rows(&grouped(two, &[], &sum)).await, [json!({"sum": 30})]);
    let skipped = Select { skip: 2, top: Some(1), columns: names, ..of("account", "name", None) };
    assert_eq!(column(&world.rows(&skipped).await, "name"), [json!("Fabrikam")]);
}

#[tokio::test]
async fn shares_of_a_sum() {
    let world = world();
    // 20, 10, 5 and null.
    for (amount, percent, bottom, expected) in [
        (20.0, false, false, vec!["Litware"]),
        (21.0, false, false, vec!["Litware", "Fabrikam"]),
        (1000.0, false, false, vec!["Litware", "Fabrikam", "Contoso"]),
        (0.0, false, false, vec![]),
        (5.5, false, true, vec!["Contoso", "Fabrikam"]),
        (50.0, true, false, vec!["Litware"]),
        (60.0, true, false, vec!["Litware", "Fabrikam"]),
        (10.0, true, true, vec!["Contoso"]),
        (100.0, true, true, vec!["Contoso", "Fabrikam", "Litware"]),
    ] {
        let by = super::reference("numberofemployees");
        let share = Some(Share { by, amount, percent, bottom });
        let select = Select { share, order: vec![], ..of("account", "name", None) };
        let found = column(&world.rows(&select).await, "name");
        assert_eq!(found, expected, "{amount} {percent} {bottom}");
    }
    let by = super::reference("name");
    let share = Some(Share { by, amount: 1.0, percent: false, bottom: false });
    let error = world.try_rows(&Select { share, ..of("account", "name", None) }).await;
    assert!(error.expect_err("text").message.contains("only numbers have a sum"));
}

#[tokio::test]
async fn concatenations_have_all_columns() {
    let world = world();
    let states = grouped(jobs(), &["statecode"], &[("asyncoperationid", Aggregate::Count, "n")]);
    let states = Select { order: vec![by("statecode", true)], ..states };
    let all = grouped(
        jobs(),
        &[],
        &[("retrycount", Aggregate::Sum, "retries"), ("asyncoperationid", Aggregate::Count, "n")],
    );
    let select = Select { input: Input::Concat(vec![all, states]), ..jobs() };
    let rows = world.rows(&select).await;
    assert_eq!(
        rows,
        [
            json!({"retries": 14, "n": 5}),
            json!({"statecode": 3, "n": 2}),
            json!({"statecode": 1, "n": 1}),
            json!({"statecode": 0, "n": 2}),
        ]
    );
    let names = of("account", "name", None);
    let numbers = grouped(accounts(), &[], &[("numberofemployees", Aggregate::Max, "name")]);
    let select = Select { input: Input::Concat(vec![names, numbers]), ..accounts() };
    let error = world.try_rows(&select).await.expect_err("two types");
    assert!(error.message.contains("'name' is a text in one part of concat"), "{error}");
}

#[tokio::test]
async fn rows_without_a_key_have_pages() {
    let world = world();
    let page = Some(Page { size: 2, number: 2 });
    let select = Select { page, order: vec![by("retries", true)], ..after(by_account()) };
    let rows = world.rows(&select).await;
    assert_eq!(rows.len(), 2);
    let error = Select { order: vec![by("name", false)], ..after(by_account()) };
    let error = world.try_rows(&error).await.expect_err("no such column");
    assert!(error.message.contains("Could not find a property named 'name'"), "{error}");
}

#[tokio::test]
async fn dates_can_be_grouped_by() {
    let world = world();
    let mut select =
        grouped(jobs(), &["createdon"], &[("asyncoperationid", Aggregate::Count, "n")]);
    select.order = vec![by("createdon", true)];
    let rows = world.rows(&select).await;
    assert_eq!(rows[0], json!({"createdon": "1970-02-10T00:00:00Z", "n": 2}));
    // By the day, which is computed.
    let day = call(Function::Date, vec![col("createdon")]);
    let mut select = grouped(jobs(), &["day"], &[("asyncoperationid", Aggregate::Count, "n")]);
    select.compute = vec![Computed { value: day, alias: name("day") }];
    select.order = vec![by("day", false)];
    let rows = world.rows(&select).await;
    assert_eq!(rows, [json!({"day": "1970-01-01", "n": 3}), json!({"day": "1970-02-10", "n": 2})]);
}
