//! Queries of actions, beside the FetchXML that means the same.

use serde_json::json;

use super::*;
use crate::query::bind::{BindOptions, bind};

fn bound(json: &Json) -> Result<String> {
    let catalog = Catalog::built_in();
    let select = parse(json, "QuerySet[0]", &catalog)?;
    Ok(bind(&select, &catalog, &BindOptions::default())?.to_string())
}

#[test]
fn it_means_what_the_same_fetchxml_means() {
    let query = json!({
        "@odata.type": "Microsoft.Dynamics.CRM.QueryExpression",
        "EntityName": "asyncoperation",
        "ColumnSet": {"AllColumns": false, "Columns": []},
        "Criteria": {"FilterOperator": "And", "Conditions": [
            {"AttributeName": "operationtype", "Operator": "Equal",
             "Values": [{"Value": "10", "Type": "System.Int32"}]},
            {"AttributeName": "asyncoperationid", "Operator": "In",
             "Values": [{"Value": "6f9619ff-8b86-d011-b42d-00c04fc964ff", "Type": "System.Guid"}]},
        ], "Filters": [{"FilterOperator": "Or", "Conditions": [
            {"AttributeName": "name", "Operator": "BeginsWith", "Values": ["a"]},
            {"AttributeName": "statecode", "Operator": "NotEqual", "Values": [3]},
        ]}]},
        "LinkEntities": [{"LinkFromAttributeName": "ownerid", "LinkToEntityName": "systemuser",
            "LinkToAttributeName": "systemuserid", "EntityAlias": "u", "LinkCriteria":
            {"Conditions": [{"AttributeName": "isdisabled", "Operator": "Equal", "Values": [true]}]}}],
        "Orders": [{"AttributeName": "createdon", "OrderType": "Descending"}],
        "TopCount": 5,
    });
    let fetchxml = "<fetch top='5'><entity name='asyncoperation'>\
        <attribute name='asyncoperationid'/><filter>\
        <condition attribute='operationtype' operator='eq' value='10'/>\
        <condition attribute='asyncoperationid' operator='in'>\
        <value>6f9619ff-8b86-d011-b42d-00c04fc964ff</value></condition>\
        <filter type='or'><condition attribute='name' operator='begins-with' value='a'/>\
        <condition attribute='statecode' operator='ne' value='3'/></filter></filter>\
        <order attribute='createdon' descending='true'/>\
        <link-entity name='systemuser' from='systemuserid' to='ownerid' alias='u'><filter>\
        <condition attribute='isdisabled' operator='eq' value='true'/></filter></link-entity>\
        </entity></fetch>";
    let catalog = Catalog::built_in();
    let select = crate::dialect::fetchxml::parse(fetchxml).expect("valid");
    let expected = bind(&select, &catalog, &BindOptions::default()).expect("valid").to_string();
    assert_eq!(bound(&query).expect("valid"), expected);
}

#[test]
fn operators_that_fetchxml_has_not() {
    let one = |name: &str, operator: &str, value: &str| {
        let condition = json!({"AttributeName": name, "Operator": operator, "Values": [value]});
        json!({"EntityName": "asyncoperation", "Criteria": {"Conditions": [condition]}})
    };
    let fetched = |filter: &str| {
        let text = format!(
            "<fetch><entity name='asyncoperation'><attribute name='asyncoperationid'/>\
             <filter>{filter}</filter></entity></fetch>"
        );
        let select = crate::dialect::fetchxml::parse(&text).expect("valid");
        let bound = bind(&select, &Catalog::built_in(), &BindOptions::default());
        bound.expect("valid").to_string()
    };
    assert_eq!(
        bound(&one("name", "Contains", "50%_[x]")).expect("valid"),
        fetched("<condition attribute='name' operator='like' value='%50[%][_][[]x]%'/>")
    );
    assert_eq!(
        bound(&one("message", "DoesNotContain", "SQL")).expect("valid"),
        fetched("<condition attribute='message' operator='not-like' value='%SQL%'/>")
    );
    let not_on = bound(&one("createdon", "NotOn", "2026-05-01")).expect("valid").to_lowercase();
    assert!(not_on.contains("not") && not_on.contains("null"), "{not_on}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let one = |condition: Json| json!({"EntityName": "asyncoperation", "Criteria": {"Conditions": [condition]}});
    for (query, part) in [
        (json!({}), "QuerySet[0]: 'EntityName' is missing"),
        (json!([]), "a JSON object"),
        (json!({"EntityName": "account", "Criterias": {}}), "did you mean 'Criteria'?"),
        (json!({"EntityName": "accoun"}), "account"),
        (json!({"EntityName": "account", "TopCount": 0}), "'TopCount'"),
        (one(json!({"Operator": "Equal"})), "Criteria.Conditions[0]: 'AttributeName'"),
        (
            one(json!({"AttributeName": "name", "Operator": "Equals", "Values": ["a"]})),
            "did you mean 'Equal'?",
        ),
        (one(json!({"AttributeName": "name", "Operator": "Equal"})), "number of values"),
        (
            one(json!({"AttributeName": "name", "Operator": "EqualRoleBusinessId"})),
            "'EqualRoleBusinessId' is for internal use",
        ),
        (
            one(json!({"AttributeName": "name", "Operator": "NotOn", "Values": ["2026-05-01"]})),
            "name",
        ),
        (
            one(json!({"AttributeName": "name", "Operator": "Contain", "Values": ["a"]})),
            "'Contains'",
        ),
        (one(json!({"AttributeName": "nam", "Operator": "Null"})), "'nam'"),
        (one(json!({"AttributeName": "statecode", "Operator": "Equal", "Values": ["x"]})), "'x'"),
        (one(json!({"AttributeName": "name", "Operator": "Equal", "Values": [null]})), "Values[0]"),
    ] {
        let error = bound(&query).expect_err(part).to_string();
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
}
