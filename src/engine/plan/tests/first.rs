//! Links of type `matchfirstrowusingcrossapply`.

use serde_json::json;

use super::{column, world};
use crate::error::ErrorKind;

#[tokio::test]
async fn the_parent_comes_once_with_the_first_row() {
    let world = world();
    let rows = world
        .fetch(
            "<fetch><entity name='contact'><attribute name='fullname'/>
             <link-entity name='account' from='primarycontactid' to='contactid' alias='a'
              link-type='matchfirstrowusingcrossapply'><attribute name='name'/></link-entity>
             <order attribute='fullname'/></entity></fetch>",
        )
        .await;
    // Ann's accounts are Contoso and Fabrikam; the third contact has none.
    assert_eq!(column(&rows, "fullname"), [json!("Ann"), json!("Bob")]);
    assert_eq!(column(&rows, "Name"), [json!("Contoso"), json!("contoso ")]);
}

#[tokio::test]
async fn filters_and_links_inside_take_part_in_the_choice() {
    let world = world();
    let rows = world
        .fetch(
            "<fetch><entity name='contact'><attribute name='fullname'/>
             <link-entity name='account' from='primarycontactid' to='contactid'
              link-type='matchfirstrowusingcrossapply'><attribute name='name'/>
              <filter><condition attribute='numberofemployees' operator='gt' value='5'/></filter>
             </link-entity></entity></fetch>",
        )
        .await;
    assert_eq!(column(&rows, "Name"), [json!("Fabrikam")]);
    let rows = world
        .fetch(
            "<fetch><entity name='contact'><attribute name='fullname'/>
             <link-entity name='account' from='primarycontactid' to='contactid' alias='a'
              link-type='matchfirstrowusingcrossapply'><attribute name='name'/>
              <link-entity name='asyncoperation' from='regardingobjectid' to='accountid' alias='j'>
               <attribute name='name'/></link-entity>
             </link-entity><order attribute='fullname'/></entity></fetch>",
        )
        .await;
    assert_eq!(column(&rows, "Name"), [json!("Contoso"), json!("contoso ")]);
    assert_eq!(column(&rows, "j.name"), [json!("one"), json!("three")]);
}

#[tokio::test]
async fn text_columns_join_by_their_collation() {
    let rows = world()
        .fetch(
            "<fetch><entity name='account'><attribute name='name'/>
             <link-entity name='account' from='name' to='name' alias='o'
              link-type='matchfirstrowusingcrossapply'><attribute name='accountid'/></link-entity>
             <filter><condition attribute='name' operator='eq' value='CONTOSO'/></filter>
             </entity></fetch>",
        )
        .await;
    let first = json!("02020202-0202-0202-0202-020202020201");
    assert_eq!(column(&rows, "AccountId"), [first.clone(), first]);
}

#[tokio::test]
async fn a_choice_that_depends_on_the_parent_is_refused() {
    let error = world()
        .fetch_error(
            "<fetch><entity name='contact'><attribute name='fullname'/>
             <link-entity name='account' from='primarycontactid' to='contactid' alias='a'/>
             <link-entity name='account' from='primarycontactid' to='contactid' alias='b'
              link-type='matchfirstrowusingcrossapply'>
              <filter><condition attribute='name' operator='eq' valueof='a.name'/></filter>
             </link-entity></entity></fetch>",
        )
        .await;
    assert_eq!(error.kind, ErrorKind::Unsupported);
}
