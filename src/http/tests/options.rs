//! What OData's own query options find: expressions, lambda expressions, computed
//! columns and chained transformations.

use serde_json::json;

use super::*;

/// The rows without what says which row it is.
fn found(server: &Server, options: &str) -> Json {
    let path = format!("asyncoperations?{}", options.replace(' ', "%20").replace('"', "%22"));
    let answer = server.get(&path, &[]);
    assert_eq!(answer.status, 200, "{options}: {}", answer.text);
    let mut rows = answer.rows();
    for row in &mut rows {
        let members = row.as_object_mut().expect("a row");
        members.retain(|name, _| !name.contains('@') && name != "asyncoperationid");
    }
    Json::Array(rows)
}

fn check(server: &Server, cases: &[(&str, Json)]) {
    for (options, expected) in cases {
        assert_eq!(found(server, options), *expected, "{options}");
    }
}

fn names(numbers: &[u32]) -> Json {
    numbers.iter().map(|i| json!({"name": format!("job {i}")})).collect()
}

/// Jobs 0 to 5.
#[test]
fn filters_find_rows() {
    let server = server(6);
    for (filter, expected) in [
        ("statecode add statuscode gt 32", vec![0, 2, 4]),
        ("statecode mul 2 eq 6 and second(createdon) ge 2", vec![2, 4]),
        ("statuscode in (0,31)", vec![1, 3, 5]),
        ("tolower(name) eq 'job 3' or endswith(name,'4') eq true", vec![3, 4]),
        ("substring(name,4) eq '5' or indexof(name,'2') ge 0", vec![2, 5]),
        ("not (length(name) eq 5)", vec![]),
        ("concat(name,concat(' of ',owninguser/fullname)) eq 'job 1 of Ann Example'", vec![1]),
        (
            "createdon lt now() and date(createdon) eq 1970-01-01 and statecode eq -(-3)",
            vec![0, 2, 4],
        ),
        ("asyncoperation_FileAttachments/any()", vec![]),
        ("not asyncoperation_FileAttachments/any() and statecode eq 0", vec![1, 3, 5]),
        (
            "asyncoperation_FileAttachments/all(f:f/filesizeinbytes gt 5) and statecode eq 0",
            vec![1, 3, 5],
        ),
        ("retrycount eq @p and name eq @q&@q='job 2'", vec![2]),
        (
            "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=@v)&@v=['job 1',\"job 2\"]",
            vec![1, 2],
        ),
        (
            "Microsoft.Dynamics.CRM.Between(PropertyName='statuscode',PropertyValues=['29','31'])",
            vec![0, 2, 4],
        ),
        (
            "Microsoft.Dynamics.CRM.On(PropertyName='createdon',PropertyValue='1970-01-01') and statecode eq 0",
            vec![1, 3, 5],
        ),
        ("Microsoft.Dynamics.CRM.EqualUserId(PropertyName='ownerid')", vec![]),
        (
            "Microsoft.Dynamics.CRM.In(PropertyName='ownerid',PropertyValues=['aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa']) and statecode eq 0",
            vec![1, 3, 5],
        ),
        (
            "Microsoft.Dynamics.CRM.OlderThanXDays(PropertyName='createdon',PropertyValue=9) and statecode eq 0",
            vec![1, 3, 5],
        ),
    ] {
        let options = format!("$select=name&$orderby=createdon&$filter={filter}");
        assert_eq!(found(&server, &options), names(&expected), "{filter}");
    }
}

#[test]
fn lists_choose_order_and_compute() {
    let server = server(6);
    check(
        &server,
        &[
            (
                "$select=name&$orderby=second(createdon) mod 3,createdon desc&$skip=1&$top=2",
                names(&[0, 4]),
            ),
            (
                "$select=name,twice&$compute=second(createdon) mul 2 as twice&$filter=twice gt 7&$orderby=twice desc",
                json!([{"name": "job 5", "twice": 10}, {"name": "job 4", "twice": 8}]),
            ),
            ("$select=name&$top=0", json!([])),
        ],
    );
    let counted = server.get("asyncoperations?$apply=groupby((statecode))&$count=true&$top=1", &[]);
    assert_eq!(counted.json()["@odata.count"], 2, "{}", counted.text);
}

#[test]
fn transformations_follow_each_other() {
    let server = server(6);
    check(
        &server,
        &[
            (
                "$apply=groupby((statecode),aggregate($count as n))/filter(statecode eq 3)",
                json!([{"statecode": 3, "n": 3}]),
            ),
            (
                "$apply=groupby((name,statecode),aggregate($count as n))/groupby((statecode),aggregate($count as names,n with sum as jobs))&$orderby=statecode",
                json!([{"statecode": 0, "names": 3, "jobs": 3}, {"statecode": 3, "names": 3, "jobs": 3}]),
            ),
            (
                "$apply=aggregate(second(createdon) mul 2 with sum as s,$count as n)",
                json!([{"s": 30, "n": 6}]),
            ),
            (
                "$apply=compute(second(createdon) mod 2 as odd)/groupby((odd),aggregate($count as n))&$orderby=odd",
                json!([{"odd": 0, "n": 3}, {"odd": 1, "n": 3}]),
            ),
            (
                "$apply=orderby(createdon desc)/skip(1)/top(3)/filter(statecode eq 0)&$select=name",
                names(&[3]),
            ),
            ("$apply=topcount(2,createdon)&$select=name&$orderby=createdon", names(&[4, 5])),
            (
                "$apply=groupby((owninguser/fullname),aggregate($count as n))/filter(owninguser/fullname ne null)",
                json!([{"systemuser_fullname": "Ann Example", "n": 6}]),
            ),
            (
                "$apply=groupby((statecode),aggregate($count as n))&$select=n&$orderby=statecode desc&$skip=1",
                json!([{"n": 3}]),
            ),
            (
                "$apply=groupby((statecode),aggregate($count as n))&$compute=n mul statecode as m&$filter=name ne 'job 0'&$orderby=m",
                json!([{"statecode": 0, "n": 3, "m": 0}, {"statecode": 3, "n": 2, "m": 6}]),
            ),
            (
                "$apply=concat(aggregate($count as n),groupby((statecode),aggregate($count as n)))&$orderby=n desc,statecode",
                json!([{"n": 6}, {"statecode": 0, "n": 3}, {"statecode": 3, "n": 3}]),
            ),
            (
                "$apply=groupby((rollup($all,statecode,statuscode)),aggregate($count as n))/aggregate($count as rows,n with sum as s)",
                json!([{"rows": 5, "s": 18}]),
            ),
            (
                "$apply=compute(second(createdon) as s)/toppercent(60,s)&$select=name&$orderby=name",
                names(&[4, 5]),
            ),
            (
                "$apply=filter(statecode eq 3)/concat(identity,filter(name eq 'job 0'))/aggregate($count as n)",
                json!([{"n": 4}]),
            ),
        ],
    );
}
