//! Columns of the answer that are more than columns of the root: expanded rows,
//! numbers of children, further names.

use serde_json::json;

use super::{column, name, of, world};
use crate::error::codes;
use crate::query::*;

fn expand(navigation: &str, columns: &[&str], inner: Vec<Expand>) -> Expand {
    Expand {
        navigation: name(navigation),
        select: Some(columns.iter().map(|c| name(c)).collect()),
        filter: None,
        order: Vec::new(),
        top: None,
        count: false,
        expand: inner,
        reference: false,
    }
}

#[tokio::test]
async fn expanded_rows_nest() {
    let world = world();
    let contact = expand("primarycontactid", &["fullname"], vec![]);
    let parent = expand("parentaccountid", &["name"], vec![contact]);
    let mut select = of("account", "name", None);
    select.expand = vec![parent];
    let mut rows = world.rows(&select).await;
    rows.sort_by_key(|row| row["accountid"].to_string());
    assert_eq!(rows[0]["parentaccountid"], json!(null));
    assert_eq!(
        rows[1]["parentaccountid"],
        json!({
            "name": "Contoso",
            "accountid": "02020202-0202-0202-0202-020202020201",
            "primarycontactid": {
                "fullname": "Ann",
                "contactid": "01010101-0101-0101-0101-010101010101"
            }
        })
    );
    // A row without a further one, two deep.
    let grandparent = expand("parentaccountid", &["name"], vec![]);
    select.expand = vec![expand("parentaccountid", &["name"], vec![grandparent])];
    let rows = world.rows(&select).await;
    let fabrikam = rows.iter().find(|row| row["name"] == "Fabrikam").expect("a row");
    assert_eq!(fabrikam["parentaccountid"]["parentaccountid"], json!(null));
    let litware = rows.iter().find(|row| row["name"] == "Litware").expect("a row");
    assert_eq!(litware["parentaccountid"]["parentaccountid"]["name"], json!("Contoso"));
}

#[tokio::test]
async fn children_are_counted() {
    let world = world();
    let rows = world
        .fetch(
            "<fetch><entity name='account'><attribute name='name'/>
             <attribute name='accountid' alias='children' rowaggregate='CountChildren'/>
             <order attribute='accountid'/></entity></fetch>",
        )
        .await;
    // Contoso has Fabrikam and contoso, Fabrikam has Litware.
    assert_eq!(column(&rows, "children"), [json!(2), json!(1), json!(0), json!(0)]);
    for (attribute, code) in [
        ("<attribute name='accountid' rowaggregate='CountChildren'/>", codes::MISSING_ATTRIBUTE),
        ("<attribute name='name' alias='n' rowaggregate='CountChildren'/>", codes::BAD_AGGREGATE),
        ("<attribute name='accountid' alias='n' rowaggregate='Count'/>", codes::BAD_AGGREGATE),
    ] {
        let text = format!("<fetch><entity name='account'>{attribute}</entity></fetch>");
        let error = world.fetch_error(&text).await;
        assert_eq!(error.code, code, "{attribute}: {error}");
    }
    let error = world
        .fetch_error(
            "<fetch aggregate='true'><entity name='account'>
             <attribute name='accountid' alias='n' rowaggregate='CountChildren'/></entity></fetch>",
        )
        .await;
    assert_eq!(error.code, codes::BAD_AGGREGATE);
}

#[tokio::test]
async fn all_attributes_and_some_under_other_names() {
    let rows = world()
        .fetch(
            "<fetch><entity name='contact'><all-attributes/><attribute name='fullname'/>
             <attribute name='fullname' alias='who'/><order attribute='contactid'/></entity></fetch>",
        )
        .await;
    assert_eq!(column(&rows, "who"), [json!("Ann"), json!("Bob"), json!(null)]);
    assert_eq!(column(&rows, "fullname"), [json!("Ann"), json!("Bob"), json!(null)]);
}

#[tokio::test]
async fn join_columns_follow_from_the_only_relationship() {
    let world = world();
    let rows = world
        .fetch(
            "<fetch><entity name='asyncoperation'><attribute name='name'/>
             <link-entity name='account' to='regardingobjectid' alias='a'><attribute name='name'/>
             </link-entity><order attribute='name'/></entity></fetch>",
        )
        .await;
    assert_eq!(column(&rows, "name"), [json!("five"), json!("one"), json!("three"), json!("two")]);
    let error = world
        .fetch_error(
            "<fetch><entity name='account'><attribute name='name'/>
             <link-entity name='contact'/></entity></fetch>",
        )
        .await;
    assert_eq!(error.code, codes::AMBIGUOUS_RELATIONSHIP);
    let error = world
        .fetch_error(
            "<fetch><entity name='account'><attribute name='name'/>
             <link-entity name='plugintracelog'/></entity></fetch>",
        )
        .await;
    assert_eq!(error.code, codes::MISSING_ATTRIBUTE);
}
