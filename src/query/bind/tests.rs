//! The OData side of binding, on queries made by hand; FetchXML's is covered by
//! the golden files, which go through its parser.

use super::{BindOptions, bind};
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Place, codes};
use crate::query::*;

fn name(text: &str) -> Name {
    Name { text: text.into(), at: Place::Option { name: "$here".into(), position: 7 } }
}

/// `a/b/column`: the last part is the column.
fn reference(path: &str) -> ColumnRef {
    let mut names: Vec<Name> = path.split('/').map(name).collect();
    let column = names.pop().expect("a path has a last part");
    let path = if names.is_empty() { Path::Here } else { Path::Navigation(names) };
    ColumnRef { path, name: column }
}

fn plain(path: &str) -> Column {
    Column { column: reference(path), alias: None, role: Role::Plain }
}

fn select(columns: &[&str]) -> Select {
    Select {
        columns: Columns::List(columns.iter().map(|c| plain(c)).collect()),
        ..Select::of(Style::OData, name("asyncoperation"))
    }
}

fn condition(path: &str, operator: Operator, values: &[(LiteralKind, &str)]) -> Filter {
    let literal = |(kind, text): &(LiteralKind, &str)| {
        Operand::Value(Literal { kind: *kind, text: (*text).into(), at: name("").at })
    };
    Filter::Condition(Condition {
        column: reference(path),
        test: Test::Compare(operator),
        operands: values.iter().map(literal).collect(),
        at: name("").at,
    })
}

fn expand(navigation: &str, columns: &[&str]) -> Expand {
    let select = Some(columns.iter().map(|c| name(c)).collect());
    Expand {
        navigation: name(navigation),
        select,
        filter: None,
        order: Vec::new(),
        top: None,
        count: false,
        expand: Vec::new(),
        reference: false,
    }
}

fn by(path: &str) -> Order {
    Order { by: OrderBy::Column(reference(path)), descending: false }
}

fn bound(select: &Select) -> String {
    bind(select, &Catalog::built_in(), &BindOptions::default()).expect("binds").to_string()
}

fn refused(select: &Select) -> Error {
    bind(select, &Catalog::built_in(), &BindOptions::default()).expect_err("is refused")
}

/// What is said about a name in `$filter`, after the type's name.
fn hint_for(property: &str) -> String {
    let mut query = select(&["name"]);
    query.filter = Some(condition(property, Operator::Null, &[]));
    let error = refused(&query);
    assert_eq!(error.code, codes::ODATA);
    error.to_string()
}

#[test]
fn select_takes_both_names_of_a_lookup() {
    let query = select(&["ownerid", "_ownerid_value", "statecodename", "owneridname"]);
    assert_eq!(
        bound(&query),
        "from asyncoperation
column 0 _ownerid_value: asyncoperation.ownerid
column 1 statecodename: asyncoperation.statecodename
column 2 owneridname: asyncoperation.owneridname
column 3 asyncoperationid: asyncoperation.asyncoperationid"
    );
}

#[test]
fn wrong_names_are_told_with_their_place_and_the_nearest_right_one() {
    assert_eq!(
        hint_for("statuscod"),
        "$here position 7: Could not find a property named 'statuscod' on type \
         'Microsoft.Dynamics.CRM.asyncoperation'; did you mean 'statuscode'?"
    );
    assert!(hint_for("_owneri_value").ends_with("did you mean '_ownerid_value'?"));
    assert!(hint_for("owneri").ends_with("did you mean '_ownerid_value'?"));
    assert!(hint_for("_statecode_value").contains("Could not find a property"));
    assert_eq!(
        hint_for("ownerid"),
        "$here position 7: 'ownerid' is a navigation property and has no value of its own; \
         did you mean '_ownerid_value'?"
    );
    assert!(hint_for("createdb/fullname").ends_with("did you mean 'createdby'?"));
    assert!(hint_for("createdby/fulname").ends_with("systemuser'; did you mean 'fullname'?"));
    let mut query = select(&["name"]);
    query.order = vec![by("ownerid")];
    assert!(refused(&query).message.ends_with("did you mean '_ownerid_value'?"));
}

#[test]
fn one_join_for_each_navigation_path() {
    let text = |text| [(LiteralKind::Text, text)];
    let mut query = select(&["name"]);
    query.expand = vec![expand("createdby", &["fullname"]), expand("owningteam", &["teamid"])];
    query.filter = Some(Filter::And(vec![
        condition("createdby/fullname", Operator::Eq, &text("A")),
        condition("createdby/businessunitid/name", Operator::Eq, &text("B")),
        condition("modifiedby/businessunitid/name", Operator::Ne, &text("C")),
    ]));
    query.order = vec![by("createdby/businessunitid/name")];
    assert_eq!(
        bound(&query),
        "from asyncoperation
outer systemuser as createdby on asyncoperation.createdby = createdby.systemuserid
outer team as owningteam on asyncoperation.owningteam = owningteam.teamid
outer businessunit as createdby/businessunitid on createdby.businessunitid = \
createdby/businessunitid.businessunitid
outer systemuser as modifiedby on asyncoperation.modifiedby = modifiedby.systemuserid
outer businessunit as modifiedby/businessunitid on modifiedby.businessunitid = \
modifiedby/businessunitid.businessunitid
where (createdby.fullname eq \"A\" and createdby/businessunitid.name eq \"B\" and \
modifiedby/businessunitid.name ne \"C\")
column 0 name: asyncoperation.name
column 1 asyncoperationid: asyncoperation.asyncoperationid
column 2 createdby/fullname: createdby.fullname
column 3 createdby/systemuserid: createdby.systemuserid
column 4 owningteam/teamid: owningteam.teamid
order createdby/businessunitid.name"
    );
}

#[test]
fn expanded_columns_are_annotated_too() {
    let mut query = select(&["_ownerid_value"]);
    query.expand = vec![expand("owninguser", &["_businessunitid_value"])];
    let options = BindOptions { annotations: true, ..BindOptions::default() };
    let query = bind(&query, &Catalog::built_in(), &options).expect("binds");
    assert_eq!(
        query.to_string(),
        "from asyncoperation
outer systemuser as owninguser on asyncoperation.owninguser = owninguser.systemuserid
column 0 _ownerid_value: asyncoperation.ownerid, name in 4, table in 5
column 1 asyncoperationid: asyncoperation.asyncoperationid
column 2 owninguser/_businessunitid_value: owninguser.businessunitid, name in 6
column 3 owninguser/systemuserid: owninguser.systemuserid
hidden 4 _ownerid_value:owneridname: asyncoperation.owneridname
hidden 5 _ownerid_value:owneridtype: asyncoperation.owneridtype
hidden 6 owninguser/_businessunitid_value:businessunitidname: owninguser.businessunitidname"
    );
}

#[test]
fn what_cannot_be_expanded_is_named() {
    let said = |navigation: &str| {
        let mut query = select(&["name"]);
        query.expand = vec![expand(navigation, &["name"])];
        let error = refused(&query);
        (error.kind, error.message)
    };
    let (kind, message) = said("ownerid");
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("'ownerid' leads to the table 'owner', which is not served"));
    assert_eq!(said("owningusr").0, ErrorKind::Invalid);
    assert!(said("owningusr").1.ends_with("did you mean 'owninguser'?"));
    let collection = Catalog::built_in();
    let jobs = collection.table("asyncoperation").expect("built in");
    let (kind, message) = said(&jobs.one_to_many[0].navigation_property);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("collection"), "{message}");
    let mut query = select(&["name"]);
    query.expand = vec![expand("owninguser", &[]), expand("owninguser", &[])];
    assert_eq!(refused(&query).message, "'owninguser' is expanded twice");
}

#[test]
fn literals_have_the_kind_of_their_column() {
    use LiteralKind::{Boolean, DateTime, Guid, Number, Text};
    let guid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    let table = [
        ("statecode", Number, "3", true),
        ("statecode", Text, "3", false),
        ("statecode", Boolean, "true", false),
        ("name", Text, "x", true),
        ("name", Number, "1", false),
        ("iswaitingforevent", Boolean, "false", true),
        ("iswaitingforevent", Number, "0", false),
        ("_ownerid_value", Guid, guid, true),
        ("_ownerid_value", Text, guid, true),
        ("_ownerid_value", Text, "somebody", false),
        ("datablobid", Guid, guid, true),
        ("createdon", DateTime, "2024-05-01T00:00:00Z", true),
        ("createdon", DateTime, "2024-05-01", true),
        ("createdon", Text, "2024-05-01", false),
        ("regardingobjecttypecode", Text, "account", true),
        ("regardingobjecttypecode", Number, "1", true),
        ("executiontimespan", Number, "0.5", true),
        ("retrycount", Number, "0.5", false),
    ];
    for (property, kind, text, fits) in table {
        let mut query = select(&["name"]);
        query.filter = Some(condition(property, Operator::Eq, &[(kind, text)]));
        let result = bind(&query, &Catalog::built_in(), &BindOptions::default());
        match result {
            Ok(_) => assert!(fits, "{property} eq {text} as {kind:?} was taken"),
            Err(error) => {
                assert!(!fits, "{property} eq {text} as {kind:?}: {error}");
                assert_eq!(error.code, codes::ODATA);
                assert!(error.message.contains(property) && error.message.contains(text));
            }
        }
    }
}

#[test]
fn choices_sort_by_number_and_lookups_by_name() {
    let mut query = select(&["name"]);
    query.order = vec![by("statecode"), by("_ownerid_value"), by("iswaitingforevent")];
    query.page = Some(Page { size: 10, number: 1 });
    let text = bound(&query);
    let order: Vec<&str> = text.lines().filter(|l| l.starts_with("order ")).collect();
    assert_eq!(
        order,
        [
            "order asyncoperation.statecode",
            "order asyncoperation.owneridname",
            "order asyncoperation.iswaitingforevent",
            "order asyncoperation.asyncoperationid"
        ]
    );
}

fn grouped() -> Select {
    let mut query = select(&[]);
    query.aggregate = true;
    let group = |path| Column { column: reference(path), alias: None, role: Role::Group(None) };
    let count = Column {
        column: reference("asyncoperationid"),
        alias: Some(name("count")),
        role: Role::Aggregate(Aggregate::Count),
    };
    let groups = ["statecode", "_ownerid_value", "createdby/fullname"].map(group);
    query.columns = Columns::List(groups.into_iter().chain([count]).collect());
    query
}

#[test]
fn groups_keep_their_name_and_can_be_sorted_by() {
    let mut query = grouped();
    query.order = vec![by("createdby/fullname"), by("_ownerid_value"), by("statecode")];
    assert_eq!(
        bound(&query),
        "from asyncoperation
outer systemuser as createdby on asyncoperation.createdby = createdby.systemuserid
column 0 statecode: group asyncoperation.statecode
column 1 _ownerid_value: group asyncoperation.ownerid
column 2 systemuser_fullname: group createdby.fullname
column 3 count: count rows
hidden 4 _ownerid_value:owneridname: max asyncoperation.owneridname
order column 2
order column 4
order column 0"
    );
    query.order = vec![by("name")];
    assert!(refused(&query).message.contains("ordered by its groups; 'name' is none"));
}

#[test]
fn aggregates_are_checked() {
    let mut query = grouped();
    let Columns::List(columns) = &mut query.columns else { unreachable!("grouped has a list") };
    columns.push(Column {
        column: reference("name"),
        alias: Some(name("mean")),
        role: Role::Aggregate(Aggregate::Avg),
    });
    let error = refused(&query);
    assert_eq!(error.code, codes::ODATA);
    assert!(error.message.contains("'average' cannot be applied to 'name' of type String"));
    let mut query = grouped();
    query.expand = vec![expand("createdby", &["fullname"])];
    assert_eq!(refused(&query).kind, ErrorKind::Unsupported);
}

#[test]
fn nesting_is_bounded() {
    let mut filter = condition("statecode", Operator::Null, &[]);
    for _ in 0..1000 {
        filter = Filter::Not(Box::new(filter));
    }
    let mut query = select(&["name"]);
    query.filter = Some(filter);
    assert_eq!(refused(&query).kind, ErrorKind::Limit);
}
