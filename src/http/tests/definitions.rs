//! Definitions as clients ask for them: each request line is one that a published
//! client sends.

use serde_json::Value as Json;

use super::{Server, server};

fn enc(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn ok(server: &Server, path: &str) -> Json {
    let answer = server.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    assert!(answer.header("content-type").starts_with("application/json"), "{path}");
    answer.json()
}

fn rows(server: &Server, path: &str) -> Vec<Json> {
    ok(server, path)["value"].as_array().unwrap_or_else(|| panic!("{path}")).clone()
}

fn names(rows: &[Json]) -> Vec<&str> {
    rows.iter().map(|row| row["LogicalName"].as_str().expect("a name")).collect()
}

#[test]
fn tables_are_found_by_name() {
    let server = server(0);
    let json = ok(
        &server,
        "EntityDefinitions?$select=LogicalName,EntitySetName,PrimaryIdAttribute&$filter=LogicalName%20eq%20'asyncoperation'",
    );
    assert_eq!(
        json["@odata.context"],
        format!(
            "{}$metadata#EntityDefinitions(LogicalName,EntitySetName,PrimaryIdAttribute)",
            server.base()
        )
    );
    let [table] = json["value"].as_array().expect("rows").as_slice() else { panic!("{json}") };
    assert_eq!(table["LogicalName"], "asyncoperation");
    assert_eq!(table["EntitySetName"], "asyncoperations");
    assert_eq!(table["PrimaryIdAttribute"], "asyncoperationid");
    let id = table["MetadataId"].as_str().expect("an id").to_owned();
    assert_eq!(table.as_object().map(serde_json::Map::len), Some(4));

    // The same by id, in either case, and by key.
    for key in [id.clone(), id.to_uppercase(), "LogicalName='asyncoperation'".into()] {
        let table = ok(&server, &format!("EntityDefinitions({key})?$select=ObjectTypeCode"));
        assert_eq!(table["ObjectTypeCode"], 4700);
        assert_eq!(table["MetadataId"], id.as_str());
        let context = table["@odata.context"].as_str().unwrap_or_default();
        assert!(context.ends_with("$metadata#EntityDefinitions(ObjectTypeCode)/$entity"));
    }
    let none = rows(&server, "EntityDefinitions?$filter=LogicalName%20eq%20'nobody'");
    assert!(none.is_empty(), "an unknown table is an empty answer");
}

#[test]
fn all_tables_come_in_one_answer() {
    let server = server(0);
    let all = rows(&server, "EntityDefinitions?$select=EntitySetName,LogicalName");
    assert!(all.len() >= 15);
    for filter in [
        "IsPrivate eq false",
        "IsPrivate eq false and (ObjectTypeCode gt 0)",
        "IsIntersect ne true or LogicalName eq null",
        "not (IsPrivate eq true)",
        "OwnershipType ne Microsoft.Dynamics.CRM.OwnershipTypes'BusinessParented'",
        "IsAuditEnabled/Value eq false",
    ] {
        let found = rows(&server, &format!("EntityDefinitions?$filter={}", enc(filter)));
        assert_eq!(found.len(), all.len(), "{filter}");
    }
    for (filter, expected) in [
        ("startswith(LogicalName,'plugin')", &["plugintracelog"][..]),
        ("endswith(LogicalName,'operation')", &["asyncoperation", "bulkdeleteoperation"]),
        ("contains(SchemaName,'deUn')", &[]),
        ("LogicalName in ('team','contact')", &["team", "contact"]),
        ("LogicalName eq @p1", &["account"]),
        ("ObjectTypeCode le 2", &["account", "contact"]),
    ] {
        let path =
            format!("EntityDefinitions?$select=LogicalName&@p1='account'&$filter={}", enc(filter));
        assert_eq!(names(&rows(&server, &path)), expected, "{filter}");
    }
    let json = ok(&server, "EntityDefinitions?$select=LogicalName&$top=2&$count=true");
    assert_eq!(json["@odata.count"], all.len());
    assert_eq!(json["value"].as_array().map(Vec::len), Some(2));
    let count = server.get("EntityDefinitions/$count?$filter=IsPrivate%20eq%20false", &[]);
    assert_eq!((count.status, count.text), (200, all.len().to_string()));
}

#[test]
fn labels_are_where_clients_read_them() {
    let server = server(0);
    let all = rows(
        &server,
        "EntityDefinitions?$select=LogicalName,EntitySetName,DisplayName,IsCustomEntity,MetadataId",
    );
    for table in &all {
        let labels = &table["DisplayName"]["LocalizedLabels"];
        assert!(labels[0]["Label"].as_str().is_some_and(|l| !l.is_empty()), "{table}");
        assert_eq!(labels[0]["LanguageCode"], 1033);
        assert_eq!(table["IsCustomEntity"], false);
    }
    assert_eq!(all[0]["DisplayName"]["UserLocalizedLabel"]["Label"], "System Job");
}

#[test]
fn columns_are_listed_and_found() {
    let server = server(0);
    let table = ok(&server, "EntityDefinitions(LogicalName='asyncoperation')");
    let id = table["MetadataId"].as_str().expect("an id");
    assert!(table.get("Attributes").is_none(), "only on request");
    assert_eq!(table["CollectionSchemaName"], "AsyncOperations");

    let all = rows(&server, &format!("EntityDefinitions({id})/Attributes"));
    let plain = rows(
        &server,
        &format!(
            "EntityDefinitions({id})/Attributes?$select=LogicalName,AttributeType&$filter=AttributeType%20ne%20'Virtual'"
        ),
    );
    assert!(all.len() > plain.len() && plain.len() > 30);
    assert!(plain.iter().all(|c| c["AttributeType"] != "Virtual"));
    let of = |name: &str| all.iter().find(|c| c["LogicalName"] == name).expect("a column");
    let name = of("name");
    assert_eq!(name["@odata.type"], "#Microsoft.Dynamics.CRM.StringAttributeMetadata");
    assert_eq!(name["AttributeTypeName"]["Value"], "StringType");
    assert_eq!((&name["MaxLength"], &name["IsPrimaryName"]), (&256.into(), &true.into()));
    assert_eq!(name["FormatName"]["Value"], "Text");
    assert_eq!(of("asyncoperationid")["IsPrimaryId"], true);
    assert_eq!(of("statecodename")["AttributeOf"], "statecode");
    assert_eq!(of("ownerid")["AttributeType"], "Owner");
    assert_eq!(of("ownerid")["Targets"], serde_json::json!(["systemuser", "team"]));
    assert_eq!(of("createdon")["DateTimeBehavior"]["Value"], "UserLocal");
    assert_eq!(of("createdon")["RequiredLevel"]["Value"], "None");
    assert_eq!(of("depth")["MinValue"], 0);

    let one = rows(
        &server,
        &format!(
            "EntityDefinitions({id})/Attributes?$select=MetadataId,SchemaName&$filter=LogicalName%20eq%20'name'"
        ),
    );
    assert_eq!(one.len(), 1);
    assert_eq!(one[0]["MetadataId"], name["MetadataId"]);
    for key in ["LogicalName='name'", name["MetadataId"].as_str().expect("an id")] {
        let column = ok(&server, &format!("EntityDefinitions({id})/Attributes({key})"));
        assert_eq!(column["SchemaName"], "Name");
    }
    let value = ok(
        &server,
        "EntityDefinitions(LogicalName='asyncoperation')/Attributes(LogicalName='name')/SchemaName",
    );
    assert_eq!(value["value"], "Name");
}

#[test]
fn casts_give_option_sets() {
    let server = server(0);
    let table = "EntityDefinitions(LogicalName='asyncoperation')/Attributes";
    let crm = "Microsoft.Dynamics.CRM";
    let picklists = rows(
        &server,
        &format!(
            "{table}/{crm}.PicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet($select=Options)"
        ),
    );
    let types = picklists.iter().find(|c| c["LogicalName"] == "operationtype").expect("a choice");
    let options = types["OptionSet"]["Options"].as_array().expect("options");
    assert_eq!(options.len(), 117);
    let workflow = options.iter().find(|o| o["Value"] == 10).expect("a documented value");
    assert_eq!(workflow["Label"]["LocalizedLabels"][0]["Label"], "Workflow");
    assert!(types.get("@odata.type").is_none(), "the cast says it");

    let states = rows(
        &server,
        &format!("{table}/{crm}.StateAttributeMetadata?$expand=OptionSet,GlobalOptionSet"),
    );
    let ready = &states[0]["OptionSet"]["Options"][0];
    assert_eq!(ready["Label"]["UserLocalizedLabel"]["Label"], "Ready");
    assert_eq!((&ready["Value"], &ready["DefaultStatus"]), (&0.into(), &0.into()));
    assert_eq!(states[0]["GlobalOptionSet"], Json::Null);

    let status = format!("{table}(LogicalName='statuscode')/{crm}.StatusAttributeMetadata");
    let column = ok(&server, &format!("{status}?$select=LogicalName&$expand=OptionSet"));
    let options = column["OptionSet"]["Options"].as_array().expect("options");
    assert!(options.iter().any(|o| o["Value"] == 31 && o["State"] == 3));
    let set = ok(&server, &format!("{status}/OptionSet?$select=Name,Options"));
    assert_eq!(set["Name"], "asyncoperation_statuscode");
    assert_eq!(server.get(&format!("{status}/GlobalOptionSet"), &[]).status, 204);

    let booleans =
        rows(&server, &format!("{table}/{crm}.BooleanAttributeMetadata?$expand=OptionSet"));
    assert!(booleans.iter().all(|b| b["OptionSet"]["TrueOption"]["Value"] == 1));
    for cast in [
        "MultiSelectPicklist",
        "Image",
        "Lookup",
        "String",
        "Memo",
        "Integer",
        "BigInt",
        "DateTime",
        "Money",
        "Decimal",
        "Double",
        "EntityName",
        "UniqueIdentifier",
        "Enum",
        "File",
    ] {
        ok(&server, &format!("{table}/{crm}.{cast}AttributeMetadata?$select=LogicalName"));
    }
    let none = "EntityDefinitions(LogicalName='fileattachment')/Attributes";
    assert!(rows(&server, &format!("{none}/{crm}.StateAttributeMetadata")).is_empty());
    let wrong =
        server.get(&format!("{table}(LogicalName='name')/{crm}.StateAttributeMetadata"), &[]);
    assert_eq!(wrong.status, 404);
}

#[test]
fn relationships_have_both_ends() {
    let server = server(0);
    let table = "EntityDefinitions(LogicalName='asyncoperation')";
    let keys = rows(&server, &format!("{table}/Keys?$select=SchemaName,KeyAttributes"));
    assert!(keys.is_empty());
    let fields = "SchemaName,ReferencedEntity,ReferencingEntity,ReferencingAttribute,ReferencingEntityNavigationPropertyName,ReferencedEntityNavigationPropertyName";
    for side in ["OneToManyRelationships", "ManyToOneRelationships"] {
        let relations = rows(&server, &format!("{table}/{side}?$select={fields}"));
        assert!(!relations.is_empty());
        for relation in &relations {
            for field in fields.split(',') {
                assert!(relation[field].is_string(), "{field}: {relation}");
            }
        }
    }
    let lookups = rows(&server, &format!("{table}/ManyToOneRelationships"));
    let owner = lookups
        .iter()
        .find(|r| r["ReferencingEntityNavigationPropertyName"] == "owninguser")
        .expect("a documented lookup");
    assert_eq!(owner["ReferencedEntity"], "systemuser");
    assert_eq!(owner["ReferencedAttribute"], "systemuserid");
    let expanded = ok(
        &server,
        &format!(
            "{table}?$select=LogicalName&$expand=OneToManyRelationships,ManyToOneRelationships,ManyToManyRelationships"
        ),
    );
    assert_eq!(expanded["ManyToOneRelationships"].as_array().map(Vec::len), Some(lookups.len()));
    assert_eq!(expanded["ManyToManyRelationships"], serde_json::json!([]));

    let name = owner["SchemaName"].as_str().expect("a name");
    let relation = ok(&server, &format!("RelationshipDefinitions(SchemaName='{name}')"));
    assert_eq!(relation["@odata.type"], "#Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata");
    assert_eq!(relation["MetadataId"], owner["MetadataId"]);
    let all = rows(&server, "RelationshipDefinitions");
    let cast = "RelationshipDefinitions/Microsoft.Dynamics.CRM";
    assert_eq!(rows(&server, &format!("{cast}.OneToManyRelationshipMetadata")).len(), all.len());
    assert!(rows(&server, &format!("{cast}.ManyToManyRelationshipMetadata")).is_empty());
    assert!(rows(&server, "GlobalOptionSetDefinitions").is_empty());
}

#[test]
fn attributes_are_expanded_with_options_of_their_own() {
    let server = server(0);
    let found = rows(
        &server,
        "EntityDefinitions?$select=LogicalName&$filter=LogicalName%20eq%20'team'&$expand=Attributes($select=LogicalName;$filter=AttributeType%20eq%20Microsoft.Dynamics.CRM.AttributeTypeCode'Picklist')",
    );
    let columns = found[0]["Attributes"].as_array().expect("columns");
    assert!(!columns.is_empty());
    assert!(
        columns
            .iter()
            .all(|c| c["@odata.type"] == "#Microsoft.Dynamics.CRM.PicklistAttributeMetadata")
    );
}

#[test]
fn metadata_queries_in_json() {
    let server = server(0);
    let ask = |query: &str| {
        ok(&server, &format!("RetrieveMetadataChanges(Query=@p1)?@p1={}", enc(query)))
    };
    let json = ask(
        r#"{"Criteria":{"FilterOperator":"And","Conditions":[{"ConditionOperator":"Equals",
            "PropertyName":"LogicalName","Value":{"Type":"System.String","Value":"asyncoperation"}}]},
            "Properties":{"AllProperties":false,"PropertyNames":["SchemaName","Attributes"]},
            "AttributeQuery":{"Properties":{"AllProperties":false,
              "PropertyNames":["LogicalName","AttributeType","MaxLength","OptionSet"]},
            "Criteria":{"FilterOperator":"And","Conditions":[
              {"ConditionOperator":"Equals","PropertyName":"IsValidForCreate",
               "Value":{"Type":"System.Boolean","Value":"True"}},
              {"ConditionOperator":"NotEquals","PropertyName":"AttributeTypeName",
               "Value":{"Type":"Microsoft.Xrm.Sdk.Metadata.AttributeTypeDisplayName","Value":"VirtualType"}}]}},
            "LabelQuery":{"FilterLanguages":[1033],"MissingLabelBehavior":0}}"#,
    );
    let table = &json["EntityMetadata"][0];
    assert_eq!(json["EntityMetadata"].as_array().map(Vec::len), Some(1));
    assert_eq!(table["SchemaName"], "AsyncOperation");
    let columns = table["Attributes"].as_array().expect("columns");
    let of = |name: &str| columns.iter().find(|c| c["LogicalName"] == name);
    assert_eq!(of("name").expect("a column")["MaxLength"], 256);
    assert!(of("operationtype").expect("a choice")["OptionSet"]["Options"].is_array());
    assert!(of("statecodename").is_none() && of("modifiedon").is_none());

    let json = ask(r#"{"Properties":{"AllProperties":"False","PropertyNames":["LogicalName"]},
            "Criteria":{"FilterOperator":"And","Conditions":[{"ConditionOperator":"NotIn",
            "PropertyName":"LogicalName","Value":{"Type":"System.String[]","Value":"['team','contact']"}}]}}"#);
    let tables = json["EntityMetadata"].as_array().expect("tables");
    assert!(tables.iter().all(|t| t["LogicalName"] != "team") && tables.len() >= 13);
    let stamp = json["ServerVersionStamp"].as_str().expect("a stamp");
    let later = ok(
        &server,
        &format!("RetrieveMetadataChanges(Query=@p1,ClientVersionStamp='{stamp}')?@p1=%7B%7D"),
    );
    assert_eq!(later["EntityMetadata"], serde_json::json!([]));
    for (query, part) in [
        ("", "the parameter is missing"),
        ("Query=@p1", "not an EntityQueryExpression"),
        ("ClientVersionStamp='old'", "ClientVersionStamp"),
    ] {
        let answer = server.get(&format!("RetrieveMetadataChanges({query})?@p1=x"), &[]);
        assert_eq!(answer.status, 400);
        assert!(answer.message().contains(part), "{}", answer.text);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let server = server(0);
    let table = "EntityDefinitions(LogicalName='team')";
    for (path, status, part) in [
        ("EntityDefinitions(LogicalName='teem')", 404, "did you mean 'team'?"),
        ("EntityDefinitions(00000000-0000-0000-0000-000000000000)", 404, "entity key"),
        ("EntityDefinitions(12)", 400, "'12' is not a GUID"),
        ("EntityDefinitions(Color='x')", 400, "'Color' is no key"),
        (
            "EntityDefinitions?$select=LogicalNam",
            400,
            "Could not find a property named 'LogicalNam' on type 'Microsoft.Dynamics.CRM.EntityMetadata'",
        ),
        ("EntityDefinitions?$filter=LogicalNam%20eq%201", 400, "$filter position 0"),
        ("EntityDefinitions?$filter=LogicalName%20eq%201", 400, "incompatible types"),
        ("EntityDefinitions?$filter=IsPrivate%20eq%20'x'", 400, "incompatible types"),
        ("EntityDefinitions?$filter=LogicalName", 400, "expected one of eq"),
        ("EntityDefinitions?$filter=tolower(LogicalName)%20eq%20'x'", 400, "'tolower'"),
        ("EntityDefinitions?$orderby=LogicalName", 400, "'$orderby' is not supported"),
        ("EntityDefinitions?$expand=Attribute", 400, "Did you mean 'Attributes'?"),
        ("EntityDefinitions?$top=x", 400, "$top position 0"),
        ("EntityDefinitions?LabelLanguages=1044", 400, "1033"),
        (&format!("{table}/Nothing"), 404, "segment 'Nothing'"),
        (&format!("{table}/Attributes(LogicalName='nam')"), 404, "did you mean 'name'?"),
        (&format!("{table}/Attributes?$select=MaxLength"), 400, "AttributeMetadata'"),
        (&format!("{table}/Attributes?$expand=OptionSet"), 400, "'OptionSet'"),
        (
            &format!("{table}/Attributes/Microsoft.Dynamics.CRM.ColorAttributeMetadata"),
            400,
            "is not derived from",
        ),
        ("GlobalOptionSetDefinitions(Name='x')", 404, "Name 'x' does not exist"),
    ] {
        let answer = server.get(path, &[]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.message().contains(part), "{path}: {}", answer.text);
    }
    let write = server.send("POST", "/api/data/v9.2/EntityDefinitions", &[], "{}");
    assert_eq!(write.status, 405);
}
