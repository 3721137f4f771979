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
        ("$filter=null lt 1", "$filter position 5: null is compared with 'eq' or 'ne' only"),
        ("$filter=5", "$filter position 0: a condition is needed here, not a value"),
        ("$filter=null", "$filter position 0: a condition is needed here, not a value"),
        ("$filter=a add 1", "$filter position 0: a condition is needed here, not a value"),
        ("$filter=a eq 1 and 'x'", "$filter position 11: a condition is needed here, not a value"),
        ("$filter=not 5", "$filter position 4: a condition is needed here, not a value"),
        (
            "$filter=not",
            "$filter position 3: expected '(' or a function after 'not', found the end",
        ),
        (
            "$filter=not a eq 1",
            "$filter position 4: expected '(' or a function after 'not', found 'a'",
        ),
        ("$filter=a/ eq 1", "$filter position 3: expected a column directly after '/', found 'eq'"),
        ("$filter=a in ()", "$filter position 6: expected a value, found ')'"),
        ("$filter=a in (1", "$filter position 7: expected ')', found the end"),
        ("$filter=a in 1", "$filter position 5: expected '(', found '1'"),
        (
            "$filter=contains(name)",
            "$filter position 0: function 'contains' takes 2 arguments, not 1",
        ),
        (
            "$filter=substring(name) eq 'x'",
            "$filter position 0: function 'substring' takes 2 or 3 arguments, not 1",
        ),
        (
            "$filter=now(1) gt createdon",
            "$filter position 0: function 'now' takes no argument, not 1",
        ),
        (
            "$filter=length(name 5",
            "$filter position 12: expected eq, ne, gt, ge, lt or le after 'name', found '5'",
        ),
        ("$filter=length(name", "$filter position 11: expected ',' or ')', found the end"),
        (
            "$filter=name eq guid'x'",
            "$filter position 8: a literal such as guid'…' is written without 'guid'",
        ),
        (
            "$filter=contain(name,'x')",
            "$filter position 0: function 'contain' does not exist; did you mean 'contains'?",
        ),
        (
            "$filter=name eq 'it's'",
            "$filter position 13: There is an unterminated literal at position 14 in \
             'name eq 'it's''.",
        ),
        ("$filter=name eq 'a%FFb'", "$filter: the percent-encoded bytes are not UTF-8"),
    ]);
}

#[test]
fn what_odata_has_and_sysjob_has_not_is_refused_by_name() {
    let cases = [
        ("$filter=a has 1", "$filter position 2: operator 'has' is not supported"),
        (
            "$filter=cast(a,Edm.String) eq '1'",
            "$filter position 0: function 'cast' is not supported",
        ),
        ("$filter=a eq duration'P1D'", "$filter position 5: literal duration'…' is not supported"),
        (
            "$filter=a eq Microsoft.Dynamics.CRM.Kind'One'",
            "$filter position 5: enumeration literal of 'Microsoft.Dynamics.CRM.Kind' is not supported",
        ),
        ("$filter=$root/a eq 1", "$filter position 0: '$root' in an expression is not supported"),
        (
            "$orderby=files/any()",
            "$orderby position 0: lambda operator 'any' in this place is not supported",
        ),
        (
            "$compute=Microsoft.Dynamics.CRM.Today(PropertyName='a') as b",
            "$compute position 0: a query function in this place is not supported",
        ),
        (
            "$apply=groupby((files/any(o:o/x eq 1)))",
            "$apply position 15: lambda operator 'any' in this place is not supported",
        ),
        ("$filter=files/$count gt 1", "$filter position 6: path segment '$count' is not supported"),
        (
            "$filter=ownerid/Microsoft.Dynamics.CRM.systemuser/fullname eq 'x'",
            "$filter position 8: type cast 'Microsoft.Dynamics.CRM.systemuser' is not supported",
        ),
        (
            "$apply=groupby((year(createdon)))",
            "$apply position 9: function 'year' in this place is not supported",
        ),
        (
            "$apply=groupby((a),filter(a eq 1))",
            "$apply position 12: the transformation 'filter' before aggregate in groupby is not supported",
        ),
        (
            "$apply=groupby((a),aggregate($count as n)/topcount(1,n))",
            "$apply position 35: the transformation 'topcount' in groupby is not supported",
        ),
        ("$apply=expand(a)", "$apply position 0: the transformation 'expand' is not supported"),
        ("$apply=search(a)", "$apply position 0: the transformation 'search' is not supported"),
        ("$apply=join(a as b)", "$apply position 0: the transformation 'join' is not supported"),
        (
            "$apply=ancestors($root/a,b,c)",
            "$apply position 0: the transformation 'ancestors' is not supported",
        ),
        ("$apply=My.Own(a)", "$apply position 0: the transformation 'My.Own' is not supported"),
        (
            "$apply=topsum(5,a add 1)",
            "$apply position 9: an expression in this place, which takes a column or a computed \
             value, is not supported",
        ),
        (
            "$apply=aggregate(a with sum from b with max as c)",
            "$apply position 21: 'from' in aggregate is not supported",
        ),
        (
            "$apply=groupby((a))&$expand=a",
            "$expand: $expand beside an $apply that is more than a filter is not supported",
        ),
        ("$expand=*", "$expand position 0: '*' in $expand is not supported"),
        ("$expand=files/$count", "$expand position 5: 'files/$count' in $expand is not supported"),
        (
            "$expand=ownerid/$ref($select=a)",
            "$expand position 12: options after '/$ref' in $expand is not supported",
        ),
        (
            "$expand=ownerid($select=a;$filter=b eq 1)",
            "$expand position 18: $filter within $expand of the single row 'ownerid' is not supported",
        ),
        ("$expand=files($skip=1)", "$expand position 6: $skip within $expand is not supported"),
        ("$expand=files($levels=1)", "$expand position 6: $levels within $expand is not supported"),
        (
            "$expand=files($filter=a eq @p)&@p=1",
            "$expand position 19: parameter alias '@p' in $expand is not supported",
        ),
        (
            "$select=ownerid/fullname",
            "$select position 7: a path such as 'ownerid/…' in $select is not supported; use $expand",
        ),
        ("$search=a", "OData query: option '$search' is not supported"),
        ("$format=json", "OData query: option '$format' is not supported"),
        ("$levels=1", "OData query: option '$levels' is not supported"),
        ("savedQuery=x", "OData query: option 'savedQuery' is not supported"),
        ("userQuery=x", "OData query: option 'userQuery' is not supported"),
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
            "$filter position 63: Invalid JSON. A comma character ',' was expected in scope \
             'Array'. Every two elements in an array and properties of an object must be separated \
             by commas.",
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
        ("$orderby=name DESC", "$orderby position 5: 'DESC' is no direction; did you mean 'desc'?"),
        (
            "$orderby=name 5",
            "$orderby position 5: expected 'asc', 'desc', ',' or the end, found '5'",
        ),
        ("$skip=-1", "$skip position 0: '-1' is not a whole number from 0"),
        (
            "$compute=a mul 2",
            "$compute position 7: expected 'as' and a name for the result, found the end",
        ),
        ("$compute=a as b.c", "$compute position 5: 'b.c' is no name: it has a dot"),
        ("$top=-1", "$top position 0: '-1' is not a whole number from 0"),
        ("$top=%2B1", "$top position 0: '+1' is not a whole number from 0"),
        ("$top=", "$top position 0: '' is not a whole number from 0"),
        (
            "$top=99999999999999999999",
            "$top position 0: '99999999999999999999' is not a whole number from 0",
        ),
        ("$count=True", "$count position 0: 'True' is neither 'true' nor 'false'"),
        ("$expand=a,a", "$expand position 2: 'a' is expanded twice"),
        ("$expand=a(b)", "$expand position 2: expected an option such as $select, found 'b'"),
        ("$expand=a()", "$expand position 2: expected an option such as $select, found ')'"),
        ("$expand=a($top=x)", "$expand position 7: expected a whole number from 0, found 'x'"),
        ("$expand=a($count=1)", "$expand position 9: expected 'true' or 'false', found '1'"),
        ("$expand=a($filter=b eq 1,c)", "$expand position 16: expected ';' or ')', found ','"),
        (
            "$expand=a($selct=b)",
            "$expand position 2: option '$selct' does not exist; did you mean '$select'?",
        ),
        ("$expand=a($select=b;$select=c)", "$expand position 12: $select is given twice"),
        ("$expand=a($select=b", "$expand position 11: expected ';' or ')', found the end"),
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
        ("$apply=groupby(())", "$apply position 9: expected a column, found ')'"),
        (
            "$apply=groupby((rollup($all,a)))",
            "$apply position 24: expected ',' and aggregate for rollup with '$all', found ')'",
        ),
        (
            "$apply=concat(identity)",
            "$apply position 15: expected ',' and a further sequence of transformations, found ')'",
        ),
        ("$apply=topcount(-1,a)", "$apply position 9: expected a whole number from 0, found '-1'"),
        ("$apply=toppercent(101,a)", "$apply position 11: a percentage is from 0 to 100"),
        ("$apply=topsum(INF,a)", "$apply position 7: expected a number, found 'INF'"),
        (
            "$apply=5",
            "$apply position 0: expected a transformation such as filter, groupby or aggregate, \
             found '5'",
        ),
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
        ("@p=1&@p=2", "OData query: option '@p' is given twice"),
        ("@1=1", "OData query: '@1' is no name of a parameter alias, such as @p1"),
        (
            "$fliter=a&$top=1&$colour=b&$search=c",
            "OData query: option '$fliter' does not exist; did you mean '$filter'? (wrong too: \
             '$colour', '$search')",
        ),
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

    let sum = format!("$filter=a eq 1{}", " add 1".repeat(DEPTH_MAX));
    assert_eq!(read(&sum).expect_err("too deep").kind, ErrorKind::Limit);
    let many = format!("$filter=a eq 0{}", " or a eq 1".repeat(10_000));
    assert!(read(&many).is_ok(), "alternatives stand beside each other");

    let chain = ["concat(identity,identity)"; 10].join("/");
    let error = read(&format!("$apply={chain}")).expect_err("too many").to_string();
    assert!(error.ends_with(": the transformations come to more than 64 queries"), "{error}");
    let chain = ["topcount(9,a)"; STAGES_MAX + 1].join("/");
    assert_eq!(read(&format!("$apply={chain}")).expect_err("too many").kind, ErrorKind::Limit);

    let value = format!("@p='{}'", "x".repeat(OPTION_LENGTH_MAX / 10));
    let uses = ["name eq @p"; 11].join(" or ");
    let error = read(&format!("{value}&$filter={uses}")).expect_err("too long").to_string();
    assert!(error.ends_with("the values of aliases are longer than 1048576 characters"), "{error}");

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
