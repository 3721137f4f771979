//! What the other options mean, alone and together.

use super::*;

#[test]
fn no_option_asks_for_everything() {
    let select = select("");
    assert_eq!(select.table.text, "asyncoperation");
    assert_eq!(columns(&select), ["*"]);
    assert!(select.filter.is_none() && select.order.is_empty() && select.top.is_none());
    assert!(!select.aggregate && !select.count && !select.distinct);
    assert_eq!(select.style, Style::OData);
}

#[test]
fn plain_options() {
    let select = select(
        "$select=name, _ownerid_value,name&$orderby=createdon desc,name asc,owninguser/fullname\
         &$top=5&$count=true",
    );
    assert_eq!(columns(&select), ["name", "_ownerid_value"]);
    assert_eq!(order(&select), ["createdon desc", "name", "owninguser/fullname"]);
    assert_eq!((select.top, select.count), (Some(5), true));
}

#[test]
fn a_star_selects_all_columns_and_top_may_be_zero() {
    let select = select("$select=*&$top=0&$count=false");
    assert_eq!(columns(&select), ["*"]);
    assert_eq!((select.top, select.count), (Some(0), false));
}

#[test]
fn the_three_ways_clients_encode_a_query_decode_alike() {
    for text in [
        "$select=name,message&$filter=statecode%20eq%201",
        "%24select=name%2Cmessage&%24filter=statecode+eq+1",
        "%24select=name%2Cmessage&%24filter=%28statecode%20eq%201%29",
        "$select=name,message&$filter=statecode eq 1",
    ] {
        let select = select(text);
        assert_eq!(columns(&select), ["name", "message"], "{text}");
        assert_eq!(show(&select.filter.expect("has a filter")), "statecode Eq 1", "{text}");
    }
}

#[test]
fn an_option_is_split_before_it_is_decoded() {
    let options = decode_options("a=b%3Dc%26d=e&&f&%20g%20=%2B+").expect("decodes");
    let expected = [("a", "b=c&d=e"), ("f", ""), (" g ", "+ ")];
    let expected = expected.map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(options, expected);
}

#[test]
fn expand_takes_columns_of_single_rows() {
    let select =
        select("$expand=createdby($select=fullname, domainname),owningteam,ownerid($select=*)");
    let items: Vec<_> = select
        .expand
        .iter()
        .map(|e| {
            let names = e.select.as_ref().map(|n| n.iter().map(|n| n.text.as_str()).collect());
            (e.navigation.text.as_str(), names)
        })
        .collect::<Vec<(_, Option<Vec<_>>)>>();
    assert_eq!(
        items,
        [
            ("createdby", Some(vec!["fullname", "domainname"])),
            ("owningteam", None),
            ("ownerid", None)
        ]
    );
}

#[test]
fn every_aggregate_and_its_name() {
    let select = select(
        "$apply=aggregate($count as n,retrycount with sum as s,retrycount with average as a,\
         createdon with min as first,createdon with max as last,\
         _ownerid_value with countdistinct as owners,owninguser/fullname with max as x)",
    );
    assert!(select.aggregate);
    assert_eq!(
        columns(&select),
        [
            "count asyncoperationid as n",
            "sum retrycount as s",
            "avg retrycount as a",
            "min createdon as first",
            "max createdon as last",
            "distinct _ownerid_value as owners",
            "max owninguser/fullname as x",
        ]
    );
}

#[test]
fn groups_keep_their_name_and_paths_get_the_target_tables() {
    let select =
        select("$apply=groupby((statecode,_ownerid_value,owninguser/fullname,ownerid/a/b))");
    assert!(select.aggregate && !select.distinct);
    assert_eq!(
        columns(&select),
        [
            "group statecode",
            "group _ownerid_value",
            "group owninguser/fullname as systemuser_fullname",
            "group ownerid/a/b",
        ]
    );
}

#[test]
fn all_filters_hold_before_aggregation() {
    for text in [
        "$filter=a eq 1 and b eq 2&$apply=filter(c eq 3)/filter((d eq 4 or d eq 5))/groupby((e))",
        "$apply=filter(c eq 3)/filter(d eq 4 or d eq 5)/groupby((e))&$filter=a eq 1 and b eq 2",
    ] {
        let select = select(text);
        assert_eq!(
            show(&select.filter.expect("has a filter")),
            "and(a Eq 1, b Eq 2, c Eq 3, or(d Eq 4, d Eq 5))"
        );
    }
}

#[test]
fn an_apply_of_filters_alone_does_not_aggregate() {
    let select = select("$apply=filter(a eq 1)&$select=name");
    assert!(!select.aggregate);
    assert_eq!(columns(&select), ["name"]);
}

#[test]
fn results_of_an_apply_can_be_sorted_by() {
    let select = select(
        "$apply=groupby((statecode,owninguser/fullname),aggregate($count as jobs))\
         &$orderby=jobs desc,statecode,owninguser/fullname,systemuser_fullname&$top=3",
    );
    assert_eq!(
        order(&select),
        ["alias jobs desc", "statecode", "owninguser/fullname", "alias systemuser_fullname"]
    );
    assert_eq!(select.top, Some(3));
}

#[test]
fn fetch_xml_comes_alone_or_with_a_count() {
    let table = CATALOG.table("asyncoperation").expect("built in");
    let read = |text: &str| parse_query(table, &decode_options(text).expect("decodes"));
    for (text, expected) in [
        ("fetchXml=%3Cfetch/%3E", false),
        ("fetchXml=<fetch/>&$count=true", true),
        ("$count=false&fetchXml=%3Cfetch%2F%3E", false),
    ] {
        let Ok(Query::FetchXml { text, count }) = read(text) else { panic!("{text}") };
        assert_eq!((text.as_str(), count), ("<fetch/>", expected));
    }
    let Ok(Query::Sql(text)) = read("sql=SELECT%20name%20FROM%20asyncoperation&tag=x") else {
        panic!("a statement")
    };
    assert_eq!(text, "SELECT name FROM asyncoperation");
    for (text, expected) in [
        ("fetchXml=x&$top=1", "OData query: option '$top' cannot be combined with fetchXml"),
        ("fetchXml=x&fetchXml=y", "OData query: option 'fetchXml' is given twice"),
        ("fetchXml=x&$count=true&$count=true", "OData query: option '$count' is given twice"),
        ("fetchXml=x&sql=y", "OData query: option 'sql' cannot be combined with fetchXml"),
        ("sql=x&$count=true", "OData query: option '$count' cannot be combined with sql"),
        ("sql=x&sql=y", "OData query: option 'sql' is given twice"),
    ] {
        assert_eq!(read(text).expect_err(text).to_string(), expected);
    }
}

#[test]
fn the_standard_order_filters_results() {
    let table = CATALOG.table("asyncoperation").expect("built in");
    let options = decode_options(
        "$apply=groupby((statecode),aggregate($count as n))&$filter=n gt 5&$orderby=n&$count=true",
    )
    .expect("decodes");
    let Ok(Query::Select(select)) = parse_query_in(super::Order::ApplyFirst, table, &options)
    else {
        panic!("a query")
    };
    assert_eq!(
        printed::query(&select),
        "from\n    from asyncoperation\n    column group statecode\n    \
         column count asyncoperationid as n\nwhere n Gt 5\norder n\ncount"
    );
}

#[test]
fn a_restriction_comes_before_all_transformations() {
    let within = select("$filter=retrycount gt 5").filter.expect("has a filter");
    let mut select =
        select("$apply=concat(top(1),groupby((name)))/filter(name ne null)&$filter=statecode eq 3");
    select.restrict(&within);
    assert_eq!(
        printed::query(&select),
        "from each\n    from asyncoperation\n    where and(retrycount Gt 5, statecode Eq 3)\n    \
         top 1\nfrom each\n    from asyncoperation\n    \
         where and(retrycount Gt 5, statecode Eq 3)\n    column group name\nwhere name NotNull"
    );
}
