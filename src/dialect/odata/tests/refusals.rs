//! Every refusal names its thing and place.

use super::*;
use crate::error::ErrorKind;

fn check(cases: &[(&str, &str)]) {
    for (options, expected) in cases {
        assert_eq!(error(options), *expected, "{options}");
    }
}

#[test]
fn wrong_syntax_in_filters() {
    check(&[
        ("$filter=", "$filter position 0: the option is empty"),
        ("$filter=%20", "$filter position 1: the option is empty"),
        (
            "$filter=statecode",
            "$filter position 9: expected eq, ne, gt, ge, lt or le after 'statecode', found the end",
        ),
        (
            "$filter=statecode like 3",
            "$filter position 10: expected eq, ne, gt, ge, lt or le after 'statecode', found 'like'",
        ),
        ("$filter=statecode EQ 3", "$filter position 10: 'EQ' is no operator; did you mean 'eq'?"),
        ("$filter=statecode = 3", "$filter position 10: '=' is no operator; write 'eq'"),
        ("$filter=statecode <> 3", "$filter position 10: '<' is no operator; write 'ne'"),
        ("$filter=statecode >= 3", "$filter position 10: '>' is no operator; write 'ge'"),
        (
            "$filter=a eq 1 AND b eq 2",
            "$filter position 7: 'AND' is no operator; did you mean 'and'?",
        ),
        ("$filter=a eq 1 b eq 2", "$filter position 7: expected 'and', 'or' or the end, found 'b'"),
        ("$filter=a eq", "$filter position 4: expected a value or a column, found the end"),
        ("$filter=a eq 1 and", "$filter position 10: expected a condition, found the end"),
        ("$filter=(a eq 1", "$filter position 7: expected ')', found the end"),
        ("$filter=a eq 1)", "$filter position 6: expected 'and', 'or' or the end, found ')'"),
        (
            "$filter=a eq \"x\"",
            "$filter position 5: a text stands in single quotes, not in double quotes",
        ),
        ("$filter=a eq True", "$filter position 5: 'True' is no literal; write 'true'"),
        ("$filter=NULL ne a", "$filter position 0: 'NULL' is no literal; write 'null'"),
        ("$filter=a gt null", "$filter position 2: null is compared with 'eq' or 'ne' only"),
        ("$filter=1 eq 1", "$filter position 0: a comparison needs a column on one side"),
        ("$filter=null eq null", "$filter position 0: a comparison needs a column on one side"),
        (
            "$filter=not a eq 1",
            "$filter position 4: expected '(' or a function after 'not', found 'a'",
        ),
        ("$filter=a/ eq 1", "$filter position 3: expected a column directly after '/', found 'eq'"),
        ("$filter=a in ()", "$filter position 6: expected a value other than null, found ')'"),
        (
            "$filter=a in (1,null)",
            "$filter position 8: expected a value other than null, found 'null'",
        ),
        ("$filter=a in 1", "$filter position 5: expected '(', found '1'"),
        ("$filter=1 in (1)", "$filter position 0: 'in' needs a column on its left"),
        ("$filter=contains('x',name)", "$filter position 9: expected a column, found the text 'x'"),
        (
            "$filter=contains(name,message)",
            "$filter position 14: expected a text in single quotes, found 'message'",
        ),
        (
            "$filter=contain(name,'x')",
            "$filter position 0: function 'contain' does not exist; did you mean 'contains'?",
        ),
        (
            "$filter=name eq 'it's'",
            "$filter position 13: There is an unterminated string literal at position 13 in \
             'name eq 'it's''.",
        ),
        ("$filter=name eq 'a%FFb'", "$filter: the percent-encoded bytes are not UTF-8"),
    ]);
}

#[test]
fn what_odata_has_and_sysjob_has_not_is_refused_by_name() {
    let cases = [
        ("$filter=tolower(name) eq 'x'", "$filter position 0: function 'tolower' is not supported"),
        ("$filter='x' eq tolower(name)", "$filter position 7: function 'tolower' is not supported"),
        (
            "$filter=contains(tolower(name),'x')",
            "$filter position 9: function 'tolower' in this place is not supported",
        ),
        ("$filter=a add 1 eq 2", "$filter position 2: arithmetic operator 'add' is not supported"),
        ("$filter=a eq 1 mul 2", "$filter position 7: arithmetic operator 'mul' is not supported"),
        ("$filter=a has 1", "$filter position 2: operator 'has' is not supported"),
        ("$filter=a eq @p1", "$filter position 5: parameter alias '@p1' is not supported"),
        (
            "$filter=files/any(o:o/x eq 1)",
            "$filter position 6: lambda operator 'any' is not supported",
        ),
        (
            "$filter=a/files/all(o:o/x eq 1)",
            "$filter position 8: lambda operator 'all' is not supported",
        ),
        ("$filter=files/$count gt 1", "$filter position 6: path segment '$count' is not supported"),
        (
            "$filter=ownerid/Microsoft.Dynamics.CRM.systemuser/fullname eq 'x'",
            "$filter position 8: type cast 'Microsoft.Dynamics.CRM.systemuser' is not supported",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.Today(PropertyName='createdon')",
            "$filter position 0: query function 'Microsoft.Dynamics.CRM.Today' is not supported",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.In(PropertyName=@a,PropertyValues=['1'])",
            "$filter position 39: parameter alias '@a' is not supported",
        ),
        ("$apply=groupby((rollup(a,b)))", "$apply position 9: rollup in groupby is not supported"),
        (
            "$apply=groupby((year(createdon)))",
            "$apply position 9: function 'year' in this place is not supported",
        ),
        (
            "$apply=groupby((a))/filter(a eq 1)",
            "$apply position 13: the transformation 'filter' after 'groupby' is not supported",
        ),
        (
            "$apply=aggregate($count as n)/groupby((n))",
            "$apply position 23: the transformation 'groupby' after 'aggregate' is not supported",
        ),
        (
            "$apply=topcount(5,a)",
            "$apply position 0: the transformation 'topcount' is not supported",
        ),
        (
            "$apply=groupby((a),filter(a eq 1))",
            "$apply position 12: the transformation 'filter' in groupby is not supported",
        ),
        (
            "$apply=groupby((a),aggregate($count as n)/filter(n gt 1))",
            "$apply position 34: a further transformation in groupby is not supported",
        ),
        (
            "$apply=aggregate(a mul b with sum as c)",
            "$apply position 12: arithmetic operator 'mul' is not supported",
        ),
        (
            "$apply=aggregate(a with sum from b with max as c)",
            "$apply position 21: 'from' in aggregate is not supported",
        ),
        (
            "$apply=groupby((a))&$select=a",
            "$select: $select beside an aggregating $apply is not supported",
        ),
        (
            "$apply=groupby((a))&$expand=a",
            "$expand: $expand beside an aggregating $apply is not supported",
        ),
        ("$expand=*", "$expand position 0: '*' in $expand is not supported"),
        ("$expand=ownerid/$ref", "$expand position 7: 'ownerid/$ref' in $expand is not supported"),
        (
            "$expand=ownerid($expand=a)",
            "$expand position 8: $expand within $expand is not supported",
        ),
        (
            "$expand=ownerid($select=a;$filter=b eq 1)",
            "$expand position 18: $filter within $expand is not supported",
        ),
        (
            "$expand=createdby,asyncoperation_FileAttachments($select=a)",
            "$expand position 10: $expand of the collection 'asyncoperation_FileAttachments' is \
             not supported",
        ),
        (
            "$select=ownerid/fullname",
            "$select position 7: a path such as 'ownerid/…' in $select is not supported; use $expand",
        ),
        ("$skip=5", "OData query: option '$skip' is not supported"),
        ("$search=a", "OData query: option '$search' is not supported"),
        ("$format=json", "OData query: option '$format' is not supported"),
        ("$compute=a", "OData query: option '$compute' is not supported"),
        ("$levels=1", "OData query: option '$levels' is not supported"),
        ("sql=SELECT", "OData query: option 'sql' is not supported"),
        ("savedQuery=x", "OData query: option 'savedQuery' is not supported"),
        ("@p1=5", "OData query: parameter alias '@p1' is not supported"),
    ];
    check(&cases);
    for (options, _) in cases {
        assert_eq!(read(options).expect_err(options).kind, ErrorKind::Unsupported, "{options}");
    }
}

#[test]
fn wrong_query_functions() {
    check(&[
        (
            "$filter=Microsoft.Dynamics.CRM.NotIm(PropertyName='a')",
            "$filter position 0: query function 'Microsoft.Dynamics.CRM.NotIm' does not exist; did \
             you mean 'Microsoft.Dynamics.CRM.NotIn'?",
        ),
        (
            "$filter=Between(PropertyName='a')",
            "$filter position 0: function 'Between' does not exist; did you mean \
             'Microsoft.Dynamics.CRM.Between'?",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.In(PropertyNam='a')",
            "$filter position 26: parameter 'PropertyNam' does not exist; did you mean 'PropertyName'?",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.In(PropertyName='a')",
            "$filter position 42: expected the parameter PropertyValues, found ')'",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.In(PropertyName='a',PropertyName='b')",
            "$filter position 55: the parameter is given twice",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.In(PropertyName='a',PropertyValues=[])",
            "$filter position 59: expected a value in quotes, found ']'",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.In(PropertyName='a',PropertyValues=['1' '2'])",
            "$filter position 63: expected ',' or ']', found the text '2'",
        ),
        (
            "$filter=Microsoft.Dynamics.CRM.Between(PropertyName='a',PropertyValues=['1'])",
            "$filter position 63: Microsoft.Dynamics.CRM.Between needs two values, not 1",
        ),
    ]);
}

#[test]
fn wrong_lists_and_values() {
    check(&[
        ("$select=", "$select position 0: the option is empty"),
        ("$select=name,", "$select position 5: expected a column, found the end"),
        ("$select=name message", "$select position 5: expected ',' or the end, found 'message'"),
        ("$select=*,name", "$select position 1: expected the end after '*', found ','"),
        ("$orderby=name DESC", "$orderby position 5: 'DESC' is no direction; did you mean 'desc'?"),
        (
            "$orderby=name 5",
            "$orderby position 5: expected 'asc', 'desc', ',' or the end, found '5'",
        ),
        (
            "$orderby=tolower(name)",
            "$orderby position 0: function 'tolower' in this place is not supported",
        ),
        ("$top=-1", "$top position 0: '-1' is not a whole number from 0"),
        ("$top=%2B1", "$top position 0: '+1' is not a whole number from 0"),
        ("$top=", "$top position 0: '' is not a whole number from 0"),
        (
            "$top=99999999999999999999",
            "$top position 0: '99999999999999999999' is not a whole number from 0",
        ),
        ("$count=True", "$count position 0: 'True' is neither 'true' nor 'false'"),
        ("$expand=a,a", "$expand position 2: 'a' is expanded twice"),
        ("$expand=a(b)", "$expand position 2: expected $select, found 'b'"),
        (
            "$expand=a($selct=b)",
            "$expand position 2: option '$selct' does not exist; did you mean '$select'?",
        ),
        ("$expand=a($select=b;$select=c)", "$expand position 12: $select is given twice"),
        ("$expand=a($select=b", "$expand position 11: expected ')', found the end"),
        (
            "$apply=grupby((a))",
            "$apply position 0: the transformation 'grupby' does not exist; did you mean 'groupby'?",
        ),
        ("$apply=groupby(a)", "$apply position 8: expected '(', found 'a'"),
        ("$apply=groupby((a)", "$apply position 11: expected ')', found the end"),
        (
            "$apply=aggregate($count)",
            "$apply position 16: expected 'as' and a name for the result, found ')'",
        ),
        (
            "$apply=aggregate(a with avrage as b)",
            "$apply position 17: the method 'avrage' does not exist; did you mean 'average'?",
        ),
        (
            "$apply=aggregate(a with median as b)",
            "$apply position 17: the method 'median' does not exist; there are sum, average, min, \
             max and countdistinct",
        ),
        ("$apply=aggregate(a as b)", "$apply position 12: expected 'with', found 'as'"),
        ("$apply=groupby((a)) x", "$apply position 13: expected '/' or the end, found 'x'"),
    ]);
}

#[test]
fn wrong_options() {
    check(&[
        ("$fliter=a", "OData query: option '$fliter' does not exist; did you mean '$filter'?"),
        ("filter=a", "OData query: option 'filter' does not exist; did you mean '$filter'?"),
        ("$Filter=a", "OData query: option '$Filter' does not exist; did you mean '$filter'?"),
        ("fetchxml=a", "OData query: option 'fetchxml' does not exist; did you mean 'fetchXml'?"),
        ("$colour=a", "OData query: option '$colour' does not exist"),
        ("$top=1&$top=2", "OData query: option '$top' is given twice"),
        (
            "$skiptoken=x",
            "OData query: $skiptoken is taken from an @odata.nextLink of this server only",
        ),
    ]);
}

#[test]
fn limits_have_errors_of_their_own() {
    let nested = |depth: usize| format!("$filter={}a eq 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(read(&nested(DEPTH_MAX)).is_ok());
    let error = read(&nested(DEPTH_MAX + 1)).expect_err("too deep");
    assert_eq!(error.to_string(), "$filter position 100: nested deeper than 100 levels");
    assert_eq!(error.kind, ErrorKind::Limit);
    let nots = format!("$filter={}(a eq 1)", "not ".repeat(100_000));
    assert_eq!(read(&nots).expect_err("too deep").kind, ErrorKind::Limit);

    let long = format!("$filter=name eq '{}'", "x".repeat(OPTION_LENGTH_MAX));
    let error = read(&long).expect_err("too long");
    assert_eq!(error.to_string(), "$filter position 0: longer than 1048576 characters");
    assert_eq!(error.kind, ErrorKind::Limit);

    let items: Vec<_> = (0..=EXPAND_MAX).map(|i| format!("n{i}")).collect();
    assert!(read(&format!("$expand={}", items[1..].join(","))).is_ok());
    let error = read(&format!("$expand={}", items.join(","))).expect_err("too many");
    assert_eq!(error.to_string(), "$expand position 50: more than 15 navigation properties");
    assert_eq!(error.kind, ErrorKind::Limit);
}

#[test]
fn wrong_requests() {
    for (text, expected) in [
        (
            "asyncoperation?$top=1",
            "OData request: entity set 'asyncoperation' does not exist; did you mean \
             'asyncoperations'?",
        ),
        ("GET /api/data/v9.2/widgets", "OData request: entity set 'widgets' does not exist"),
        (
            "GET /api/data/v8.2/asyncoperations",
            "OData request: Web API version 'v8.2' is not served; use v9.2",
        ),
        (
            "$filter=a eq 1",
            "OData request: no entity set such as asyncoperations stands before the query options",
        ),
        (
            "",
            "OData request: no entity set such as asyncoperations stands before the query options",
        ),
        (
            "POST /api/data/v9.2/asyncoperations",
            "OData request: method POST in the text of a query is not supported",
        ),
        (
            "asyncoperations/$count?$filter=a eq 1",
            "OData request: '/$count' after 'asyncoperations' in the text of a query is not \
             supported",
        ),
        (
            "asyncoperations(6ba7b810-9dad-11d1-80b4-00c04fd430c8)",
            "OData request: a single row such as \
             'asyncoperations(6ba7b810-9dad-11d1-80b4-00c04fd430c8)' in the text of a query is \
             not supported",
        ),
        ("GET /asyncoperations?$top=1\nAccept: x\n\n{}", "OData line 4: '{}' is no header"),
    ] {
        assert_eq!(parse_request(text, &CATALOG).expect_err(text).to_string(), expected, "{text}");
    }
}
