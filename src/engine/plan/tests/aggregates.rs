//! Groups and aggregates: nulls, empty groups, overflow, the order of groups.

use serde_json::json;

use super::{World, column, world};
use crate::error::codes;

async fn jobs(world: &World, inside: &str) -> Vec<serde_json::Value> {
    let text =
        format!("<fetch aggregate='true'><entity name='asyncoperation'>{inside}</entity></fetch>");
    world.fetch(&text).await
}

#[tokio::test]
async fn nothing_to_aggregate() {
    let world = world();
    let all = "<attribute name='retrycount' alias='s' aggregate='sum'/>
               <attribute name='retrycount' alias='a' aggregate='avg'/>
               <attribute name='retrycount' alias='l' aggregate='min'/>
               <attribute name='createdon' alias='h' aggregate='max'/>
               <attribute name='retrycount' alias='c' aggregate='countcolumn'/>
               <attribute name='retrycount' alias='n' aggregate='count'/>";
    let nobody = "<filter><condition attribute='name' operator='eq' value='nobody'/></filter>";
    assert_eq!(jobs(&world, &format!("{all}{nobody}")).await, [json!({"c": 0, "n": 0})]);
    let group = "<attribute name='statecode' alias='g' groupby='true'/>";
    assert!(jobs(&world, &format!("{group}{all}{nobody}")).await.is_empty());
    // A group of nulls only: the third job is the only one about the second contoso.
    let three = "<filter><condition attribute='name' operator='eq' value='three'/></filter>";
    let rows = jobs(&world, &format!("{all}{three}")).await;
    assert_eq!(rows, [json!({"h": "1970-01-01T00:00:20Z", "c": 0, "n": 1})]);
}

#[tokio::test]
async fn null_is_a_group() {
    let world = world();
    let rows = jobs(
        &world,
        "<attribute name='regardingobjectid' alias='about' groupby='true'/>
         <attribute name='asyncoperationid' alias='n' aggregate='count'/>
         <attribute name='retrycount' alias='c' aggregate='countcolumn' distinct='true'/>
         <order alias='about'/>",
    )
    .await;
    // By name: none, Contoso and contoso, Litware.
    assert_eq!(rows[0], json!({"n": 1, "c": 1}));
    assert_eq!(rows[3]["about"], json!("02020202-0202-0202-0202-020202020204"));
    assert_eq!(rows.len(), 4);
}

#[tokio::test]
async fn choices_are_grouped_by_number_and_sorted_by_label() {
    let rows = jobs(
        &world(),
        "<attribute name='statecode' alias='g' groupby='true'/>
         <attribute name='asyncoperationid' alias='n' aggregate='count'/><order alias='g'/>",
    )
    .await;
    // Completed, Ready, Suspended.
    assert_eq!(column(&rows, "g"), [json!(3), json!(0), json!(1)]);
    assert_eq!(column(&rows, "n"), [json!(2), json!(2), json!(1)]);
}

#[tokio::test]
async fn an_order_inside_a_link_names_its_aggregate() {
    let rows = world()
        .fetch(
            "<fetch aggregate='true'><entity name='account'>
             <attribute name='accountid' alias='id' groupby='true'/>
             <link-entity name='asyncoperation' from='regardingobjectid' to='accountid' alias='j'>
             <attribute name='retrycount' alias='sum' aggregate='sum'/>
             <order alias='sum' descending='true'/></link-entity></entity></fetch>",
        )
        .await;
    assert_eq!(column(&rows, "sum"), [json!(10), json!(2), json!(null)]);
}

#[tokio::test]
async fn every_type_is_counted_and_few_have_a_sum() {
    let world = world();
    for name in ["name", "statecode", "createdon", "regardingobjectid", "iswaitingforevent"] {
        let count = format!("<attribute name='{name}' alias='c' aggregate='countcolumn'/>");
        assert!(jobs(&world, &count).await[0]["c"].is_u64(), "{name}");
        let error = world
            .fetch_error(&format!(
                "<fetch aggregate='true'><entity name='asyncoperation'>
                 <attribute name='{name}' alias='s' aggregate='sum'/></entity></fetch>"
            ))
            .await;
        assert_eq!(error.code, codes::AGGREGATE_TYPE, "{name}: {error}");
        assert!(error.message.contains("'sum'") && error.message.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_an_error() {
    let world = world();
    let half = crate::query::Computed {
        value: super::call(
            crate::query::Function::Add,
            vec![super::num("9000000000000000000"), super::col("numberofemployees")],
        ),
        alias: super::name("half"),
    };
    let mut select = super::grouped(
        crate::query::Select::of(crate::query::Style::OData, super::name("account")),
        &[],
        &[("half", crate::query::Aggregate::Sum, "sum")],
    );
    select.compute = vec![half];
    let error = world.try_rows(&select).await.expect_err("too much");
    assert_eq!(error.code, codes::OVERFLOW, "{error}");
    let twice = super::call(
        crate::query::Function::Mul,
        vec![super::num("9000000000000000000"), super::col("numberofemployees")],
    );
    select.compute[0].value = twice;
    let error = world.try_rows(&select).await.expect_err("too much");
    assert_eq!(error.code, codes::OVERFLOW, "{error}");
}
