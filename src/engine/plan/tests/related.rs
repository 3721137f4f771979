//! Links inside filters and lambda expressions, with nulls on both sides.

use serde_json::json;

use super::{World, column, condition, name, of, world};
use crate::error::{ErrorKind, codes};
use crate::query::*;

/// The accounts' names for which a filter holds, in their order.
async fn accounts(world: &World, filter: &str) -> Vec<String> {
    let rows = world
        .fetch(&format!(
            "<fetch><entity name='account'><attribute name='name'/><attribute name='accountid'/>
             <filter>{filter}</filter><order attribute='accountid'/></entity></fetch>"
        ))
        .await;
    column(&rows, "name").iter().map(|n| n.as_str().expect("a name").into()).collect()
}

fn jobs(link_type: &str, inside: &str) -> String {
    format!(
        "<link-entity name='asyncoperation' from='regardingobjectid' to='accountid' \
         link-type='{link_type}'>{inside}</link-entity>"
    )
}

const RETRIED: &str =
    "<filter><condition attribute='retrycount' operator='gt' value='1'/></filter>";

#[tokio::test]
async fn the_four_link_types_mean_what_is_documented() {
    let world = world();
    // Jobs: Contoso has retries 1 and 9, the second contoso null, Litware 2.
    for (link_type, expected) in [
        ("any", vec!["Contoso", "Litware"]),
        ("not all", vec!["Contoso", "Litware"]),
        ("not any", vec!["Fabrikam", "contoso "]),
        // There are jobs, and none is retried.
        ("all", vec!["contoso "]),
    ] {
        let found = accounts(&world, &jobs(link_type, RETRIED)).await;
        assert_eq!(found, expected, "{link_type}");
    }
    assert_eq!(accounts(&world, &jobs("not any", "")).await, ["Fabrikam"]);
    assert!(accounts(&world, &jobs("all", "")).await.is_empty());
}

#[tokio::test]
async fn they_obey_the_filter_around() {
    let world = world();
    let or = format!(
        "<filter type='or'><condition attribute='name' operator='eq' value='fabrikam'/>{}</filter>",
        jobs("any", RETRIED)
    );
    assert_eq!(accounts(&world, &or).await, ["Contoso", "Fabrikam", "Litware"]);
    let neither =
        format!("<filter type='or'>{}{}</filter>", jobs("all", RETRIED), jobs("not any", ""));
    assert_eq!(accounts(&world, &neither).await, ["Fabrikam", "contoso "]);
    // A null on the outside belongs to no row: Litware has no contact.
    let contact = |link_type: &str| {
        format!(
            "<filter type='or'><link-entity name='contact' from='contactid' to='primarycontactid' \
             link-type='{link_type}'/><condition attribute='name' operator='eq' value='x'/></filter>"
        )
    };
    assert_eq!(accounts(&world, &contact("any")).await, ["Contoso", "Fabrikam", "contoso "]);
    assert_eq!(accounts(&world, &contact("not any")).await, ["Litware"]);
}

#[tokio::test]
async fn they_nest() {
    let world = world();
    let inside = "<filter><link-entity name='account' from='primarycontactid' to='contactid' \
                  link-type='any'><filter type='or'>\
                  <condition attribute='name' operator='eq' value='Fabrikam'/>\
                  <link-entity name='asyncoperation' from='regardingobjectid' to='accountid' \
                  link-type='any'><filter><condition attribute='name' operator='eq' value='three'/>\
                  </filter></link-entity></filter></link-entity></filter>";
    let filter = |quantifier: &str| {
        format!(
            "<link-entity name='contact' from='contactid' to='primarycontactid' \
             link-type='{quantifier}'>{inside}</link-entity>"
        )
    };
    assert_eq!(accounts(&world, &filter("any")).await, ["Contoso", "Fabrikam", "contoso "]);
    assert_eq!(accounts(&world, &filter("not any")).await, ["Litware"]);
    // A link inside is part of what is looked for.
    let linked = "<link-entity name='account' from='accountid' to='parentaccountid' alias='p'>\
                  <filter><condition attribute='name' operator='eq' value='Contoso'/></filter>\
                  </link-entity><filter><condition entityname='p' attribute='numberofemployees' \
                  operator='eq' value='5'/></filter>";
    let children = format!(
        "<link-entity name='account' from='accountid' to='accountid' link-type='any'>{linked}\
         </link-entity>"
    );
    assert_eq!(accounts(&world, &children).await, ["Fabrikam", "contoso "]);
}

#[tokio::test]
async fn the_filter_of_a_link_can_hold_one() {
    let world = world();
    let fetch = |kind: &str| {
        format!(
            "<fetch><entity name='contact'><attribute name='fullname'/>\
             <link-entity name='account' from='primarycontactid' to='contactid' alias='a' \
             link-type='{kind}'><attribute name='name'/><filter>{}</filter></link-entity>\
             <order attribute='contactid'/></entity></fetch>",
            jobs("any", RETRIED)
        )
    };
    let inner = world.fetch(&fetch("inner")).await;
    assert_eq!(column(&inner, "a.name"), [json!("Contoso")]);
    let outer = world.fetch(&fetch("outer")).await;
    assert_eq!(column(&outer, "a.name"), [json!("Contoso"), json!(null), json!(null)]);
}

#[tokio::test]
async fn what_makes_no_sense_in_a_filter_is_refused() {
    let world = world();
    for (inside, code) in [
        (jobs("inner", ""), codes::BAD_LINK_TYPE),
        (jobs("anny", ""), codes::BAD_LINK_TYPE),
        (jobs("any", "<attribute name='name'/>"), codes::INVALID_ARGUMENT),
        (jobs("any", "<order attribute='name'/>"), codes::INVALID_ARGUMENT),
        (
            jobs("any", "<filter><condition attribute='nam' operator='null'/></filter>"),
            codes::UNKNOWN_ATTRIBUTE,
        ),
        (
            jobs(
                "any",
                "<filter><condition entityname='o' attribute='name' operator='null'/></filter>",
            ),
            codes::CONDITION_ALIAS_UNKNOWN,
        ),
    ] {
        let error = world
            .fetch_error(&format!(
                "<fetch><entity name='account'><attribute name='name'/><filter>{inside}</filter>\
                 <link-entity name='contact' from='contactid' to='primarycontactid' alias='o'/>\
                 </entity></fetch>"
            ))
            .await;
        assert_eq!(error.code, code, "{inside}: {error}");
        assert!(error.place.is_some(), "{inside}: {error}");
    }
}

fn lambda(path: &str, variable: &str, all: bool, filter: Option<Filter>) -> Filter {
    let mut path: Vec<Name> = path.split('/').map(name).collect();
    let from = (path[0].text.len() == 1).then(|| path.remove(0));
    let variable = filter.is_some().then(|| name(variable));
    Filter::Lambda(Box::new(Lambda { from, path, variable, all, filter, at: name("").at }))
}

async fn names(world: &World, filter: Filter) -> Vec<String> {
    let mut select = of("account", "name", Some(filter));
    select.order[0].by = OrderBy::Column(super::reference("accountid"));
    let rows = world.rows(&select).await;
    column(&rows, "name").iter().map(|n| n.as_str().expect("a name").into()).collect()
}

#[tokio::test]
async fn lambda_expressions_test_collections() {
    use LiteralKind::{Number, Text};
    let world = world();
    let jobs = "Account_AsyncOperations";
    let retried = || condition("j/retrycount", Operator::Gt, &[(Number, "1")]);
    let any = |filter| lambda(jobs, "j", false, filter);
    let all = |filter| lambda(jobs, "j", true, Some(filter));
    assert_eq!(names(&world, any(None)).await, ["Contoso", "contoso ", "Litware"]);
    assert_eq!(names(&world, any(Some(retried()))).await, ["Contoso", "Litware"]);
    // True for the empty collection; a job without a number fails.
    assert_eq!(names(&world, all(retried())).await, ["Fabrikam", "Litware"]);
    let not = |filter| Filter::Not(Box::new(filter));
    assert_eq!(names(&world, not(any(Some(retried())))).await, ["Fabrikam", "contoso "]);
    assert_eq!(names(&world, not(all(retried()))).await, ["Contoso", "contoso "]);
    let or =
        Filter::Or(vec![all(retried()), condition("name", Operator::Eq, &[(Text, "CONTOSO")])]);
    assert_eq!(names(&world, or).await, ["Contoso", "Fabrikam", "contoso ", "Litware"]);
    // Navigation from the variable.
    let through = condition("j/regardingobjectid_account/name", Operator::Eq, &[(Text, "litware")]);
    assert_eq!(names(&world, any(Some(through))).await, ["Litware"]);
}

#[tokio::test]
async fn lambda_expressions_see_the_rows_around() {
    use LiteralKind::{Number, Text};
    let world = world();
    let compare = |left: &str, operator, right: &str| {
        Filter::Condition(Condition {
            column: super::reference(left),
            test: Test::Compare(operator),
            operands: vec![Operand::Column(super::reference(right))],
            at: name("").at,
        })
    };
    let jobs = "Account_AsyncOperations";
    // A job with more retries than the account has employees: nine of five.
    let more = compare("j/retrycount", Operator::Gt, "numberofemployees");
    assert_eq!(names(&world, lambda(jobs, "j", false, Some(more))).await, ["Contoso"]);
    // An account whose child accounts have jobs; the outermost row named two deep.
    let inner = Filter::And(vec![
        condition("j/retrycount", Operator::Eq, &[(Number, "2")]),
        compare("j/retrycount", Operator::Lt, "numberofemployees"),
        condition("c/name", Operator::Eq, &[(Text, "Litware")]),
    ]);
    let deep = lambda(
        "account_parent_account",
        "c",
        false,
        Some(lambda("c/Account_AsyncOperations", "j", false, Some(inner))),
    );
    assert_eq!(names(&world, deep).await, ["Fabrikam"]);
    // The outermost row through a lookup, inside.
    let contact = condition("primarycontactid/fullname", Operator::Eq, &[(Text, "ann")]);
    let found = names(&world, lambda(jobs, "j", false, Some(contact))).await;
    assert_eq!(found, ["Contoso"]);
}

#[tokio::test]
async fn lambda_expressions_over_something_else_are_refused() {
    let world = world();
    for (filter, said) in [
        (
            lambda("primarycontactid/contact_customer_contacts", "c", false, None),
            "cannot be tested through the lookup 'primarycontactid'",
        ),
        (lambda("primarycontactid", "c", false, None), "leads to one row"),
        (
            lambda("Account_AsyncOperation", "c", false, None),
            "did you mean 'Account_AsyncOperations'",
        ),
        (lambda("x/Account_AsyncOperations", "c", false, None), "variable 'x' is not known"),
    ] {
        let error = world.try_rows(&of("account", "name", Some(filter))).await.expect_err(said);
        assert!(error.message.contains(said), "{error}");
        assert_eq!((error.kind, error.code), (ErrorKind::Invalid, codes::ODATA));
    }
}
