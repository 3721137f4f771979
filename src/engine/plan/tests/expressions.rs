//! Computed values: in filters, orders and as columns of the root.

use serde_json::{Value as Json, json};

use super::{World, by, call, col, column, grouped, literal, name, num, of, quoted, world};
use crate::error::codes;
use crate::query::*;

/// A value computed for every account, in the order of their keys.
async fn accounts(world: &World, value: Expression) -> Vec<Json> {
    computed(world, "account", "accountid", value).await
}

async fn jobs(world: &World, value: Expression) -> Vec<Json> {
    computed(world, "asyncoperation", "asyncoperationid", value).await
}

async fn computed(world: &World, table: &str, key: &str, value: Expression) -> Vec<Json> {
    let select = Select {
        compute: vec![Computed { value, alias: name("v") }],
        order: vec![by(key, false)],
        ..of(table, "v", None)
    };
    column(&world.rows(&select).await, "v")
}

/// Names of the accounts for which a condition holds.
async fn where_(world: &World, condition: Expression) -> Vec<String> {
    let select = Select {
        order: vec![by("accountid", false)],
        ..of("account", "name", Some(Filter::Expression(condition)))
    };
    let rows = world.rows(&select).await;
    column(&rows, "name").iter().map(|n| n.as_str().expect("a name").into()).collect()
}

fn time(text: &str) -> Expression {
    Expression::Literal(literal(LiteralKind::DateTime, text))
}

#[tokio::test]
async fn arithmetic_keeps_what_it_can() {
    use Function::{Add, Div, DivBy, Mod, Mul, Negate, Sub};
    let world = world();
    let employees = || col("numberofemployees");
    // Employees are 5, 10, null and 20; revenues 100, 50.5, null, null.
    for (value, expected) in [
        (call(Add, vec![employees(), num("1")]), json!([6, 11, null, 21])),
        (call(Div, vec![employees(), num("3")]), json!([1, 3, null, 6])),
        (call(DivBy, vec![employees(), num("4")]), json!([1.25, 2.5, null, 5])),
        (call(Mod, vec![employees(), num("3")]), json!([2, 1, null, 2])),
        (call(Negate, vec![employees()]), json!([-5, -10, null, -20])),
        (
            call(Mul, vec![employees(), num("2000000000")]),
            json!([10_000_000_000_i64, 20_000_000_000_i64, null, 40_000_000_000_i64]),
        ),
        (
            call(Sub, vec![call(Mul, vec![employees(), num("2")]), num("1")]),
            json!([9, 19, null, 39]),
        ),
        (call(Mul, vec![col("revenue"), num("2")]), json!([200, 101, null, null])),
        (call(Add, vec![col("revenue"), num("0.25")]), json!([100.25, 50.75, null, null])),
        (call(Div, vec![col("revenue"), num("8")]), json!([12.5, 6.3125, null, null])),
        (call(Add, vec![employees(), num("1e2")]), json!([105, 110, null, 120])),
        (
            call(Add, vec![employees(), Expression::Null(name("").at)]),
            json!([null, null, null, null]),
        ),
    ] {
        let found = accounts(&world, value.clone()).await;
        let close = |a: &Json, b: &Json| match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            _ => a == b,
        };
        let expected = expected.as_array().expect("a list");
        assert!(found.iter().zip(expected).all(|(a, b)| close(a, b)), "{value:?}: {found:?}");
    }
    let halves = |function| call(function, vec![call(DivBy, vec![employees(), num("4")])]);
    for (function, expected) in [
        (Function::Round, [json!(1), json!(3), json!(null), json!(5)]),
        (Function::Floor, [json!(1), json!(2), json!(null), json!(5)]),
        (Function::Ceiling, [json!(2), json!(3), json!(null), json!(5)]),
    ] {
        let found = accounts(&world, halves(function)).await;
        let found: Vec<_> = found.iter().map(Json::as_f64).collect();
        assert_eq!(found, expected.map(|v| v.as_f64()), "{function:?}");
    }
}

#[tokio::test]
async fn texts_are_taken_apart_without_regard_to_case() {
    use Function::{
        Concat, Contains, EndsWith, IndexOf, Length, MatchesPattern, StartsWith, Substring,
        ToLower, ToUpper, Trim,
    };
    let world = world();
    let of_name = |function, more: Vec<Expression>| {
        call(function, std::iter::once(col("name")).chain(more).collect())
    };
    for (value, expected) in [
        (of_name(Length, vec![]), json!([7, 8, 8, 7])),
        (of_name(IndexOf, vec![quoted("SO")]), json!([5, -1, 5, -1])),
        (of_name(Substring, vec![num("3")]), json!(["toso", "rikam", "toso ", "ware"])),
        (of_name(Substring, vec![num("0"), num("2")]), json!(["Co", "Fa", "co", "Li"])),
        (of_name(ToLower, vec![]), json!(["contoso", "fabrikam", "contoso ", "litware"])),
        (
            call(ToUpper, vec![of_name(Trim, vec![])]),
            json!(["CONTOSO", "FABRIKAM", "CONTOSO", "LITWARE"]),
        ),
        (
            call(Concat, vec![of_name(Trim, vec![]), quoted("!")]),
            json!(["Contoso!", "Fabrikam!", "contoso!", "Litware!"]),
        ),
    ] {
        let found = accounts(&world, value.clone()).await;
        assert_eq!(json!(found), expected, "{value:?}");
    }
    // Null in, null out.
    let contact = call(Concat, vec![col("primarycontactid/fullname"), quoted("x")]);
    assert_eq!(
        accounts(&world, contact).await,
        [json!("Annx"), json!("Annx"), json!("Bobx"), json!(null)]
    );
    for (condition, expected) in [
        (of_name(Contains, vec![quoted("OSO")]), vec!["Contoso", "contoso "]),
        (
            call(StartsWith, vec![call(ToUpper, vec![col("name")]), quoted("con")]),
            vec!["Contoso", "contoso "],
        ),
        (
            call(Contains, vec![of_name(ToLower, vec![]), call(ToLower, vec![quoted("RIK")])]),
            vec!["Fabrikam"],
        ),
        (of_name(EndsWith, vec![quoted("[mn]")]), vec!["Fabrikam"]),
        (of_name(MatchesPattern, vec![quoted("^(fab|lit).*$")]), vec!["Fabrikam", "Litware"]),
        (
            call(Function::Eq, vec![call(ToUpper, vec![col("name")]), quoted("contoso")]),
            vec!["Contoso", "contoso "],
        ),
    ] {
        assert_eq!(where_(&world, condition.clone()).await, expected, "{condition:?}");
    }
}

#[tokio::test]
async fn parts_of_times() {
    use Function::{Date, Day, Hour, Minute, Month, Second, Time, TotalOffsetMinutes, Year};
    let world = world();
    let created = || vec![col("createdon")];
    // Seconds 40, 30, 20 of 1970-01-01, and 1970-02-10.
    for (function, first, last) in [
        (Year, json!(1970), json!(1970)),
        (Month, json!(1), json!(2)),
        (Day, json!(1), json!(10)),
        (Hour, json!(0), json!(0)),
        (Minute, json!(0), json!(0)),
        (Second, json!(40), json!(0)),
        (TotalOffsetMinutes, json!(0), json!(0)),
        (Date, json!("1970-01-01"), json!("1970-02-10")),
        (Time, json!("00:00:40"), json!("00:00:00")),
    ] {
        let found = jobs(&world, call(function, created())).await;
        assert_eq!((&found[0], &found[4]), (&first, &last), "{function:?}");
    }
    let fraction = jobs(&world, call(Function::FractionalSeconds, created())).await;
    assert_eq!(fraction[0].as_f64(), Some(0.0));
    // It is second 100.
    let later = call(Function::Gt, vec![col("createdon"), call(Function::Now, vec![])]);
    let filter = Some(Filter::Expression(later));
    let rows = world.rows(&of("asyncoperation", "name", filter)).await;
    assert_eq!(column(&rows, "name"), [json!("five"), json!("four")]);
    let that_day = call(Function::Eq, vec![call(Date, created()), time("1970-02-10")]);
    let rows = world.rows(&of("asyncoperation", "name", Some(Filter::Expression(that_day)))).await;
    assert_eq!(column(&rows, "name"), [json!("five"), json!("four")]);
}

#[tokio::test]
async fn comparisons_with_null_and_lists() {
    use Function::{Add, Eq, Ge, In, Ne, Not};
    let world = world();
    let more = || call(Add, vec![col("numberofemployees"), num("1")]);
    let null = || Expression::Null(name("").at);
    for (condition, expected) in [
        (call(Eq, vec![more(), null()]), vec!["contoso "]),
        (call(Ne, vec![more(), null()]), vec!["Contoso", "Fabrikam", "Litware"]),
        (call(Ne, vec![more(), num("6")]), vec!["Fabrikam", "contoso ", "Litware"]),
        (call(Ge, vec![more(), num("10.5")]), vec!["Fabrikam", "Litware"]),
        (call(In, vec![more(), num("6"), num("21")]), vec!["Contoso", "Litware"]),
        (call(In, vec![more(), num("6"), null()]), vec!["Contoso", "contoso "]),
        (call(Not, vec![call(Eq, vec![more(), num("6")])]), vec!["Fabrikam", "Litware"]),
        (call(Eq, vec![num("1"), num("1")]), vec!["Contoso", "Fabrikam", "contoso ", "Litware"]),
    ] {
        assert_eq!(where_(&world, condition.clone()).await, expected, "{condition:?}");
    }
}

#[tokio::test]
async fn wrong_types_are_named() {
    use Function::{Add, And, Contains, Eq, Gt, Substring, Year};
    let world = world();
    for (condition, said) in [
        (
            call(Contains, vec![col("numberofemployees"), quoted("1")]),
            "'contains': takes a text, not a whole number",
        ),
        (
            call(Eq, vec![call(Add, vec![col("name"), num("1")]), num("1")]),
            "'add': takes a number, not a text",
        ),
        (
            call(Eq, vec![call(Year, vec![col("name")]), num("1")]),
            "'year': takes a date, not a text",
        ),
        (
            call(Eq, vec![call(Add, vec![col("numberofemployees"), num("1")]), quoted("x")]),
            "'eq': a whole number cannot be compared with 'x'",
        ),
        (call(Gt, vec![col("accountid"), col("accountid")]), "'gt': a GUID has no order"),
        (
            call(Eq, vec![col("name"), col("numberofemployees")]),
            "'eq': a text cannot be compared with a whole number",
        ),
        (call(And, vec![col("name"), col("name")]), "'and': takes true or false, not a text"),
        (
            call(Eq, vec![call(Substring, vec![col("name"), quoted("a")]), quoted("x")]),
            "'substring': takes a whole number, not a text",
        ),
        (col("name"), "a condition is true or false, not a text"),
        (call(Eq, vec![call(Add, vec![col("nam"), num("1")]), num("1")]), "'nam'"),
    ] {
        let filter = Some(Filter::Expression(condition));
        let error = world.try_rows(&of("account", "name", filter)).await.expect_err(said);
        assert!(error.message.contains(said), "{said}: {error}");
        assert_eq!(error.code, codes::ODATA, "{error}");
        assert!(error.place.is_some());
    }
    let pattern = call(Function::MatchesPattern, vec![col("name"), quoted("(")]);
    let select = of("account", "name", Some(Filter::Expression(pattern)));
    let error = world.try_rows(&select).await.expect_err("a bad pattern");
    assert_eq!(error.kind, crate::error::ErrorKind::Invalid, "{error}");
    let zero = call(Function::Div, vec![col("numberofemployees"), num("0")]);
    let select = Select {
        compute: vec![Computed { value: zero, alias: name("v") }],
        ..of("account", "v", None)
    };
    let error = world.try_rows(&select).await.expect_err("a division by zero");
    assert_eq!(error.kind, crate::error::ErrorKind::Invalid, "{error}");
    let taken = Select {
        compute: vec![Computed { value: num("1"), alias: name("revenue") }],
        ..of("account", "name", None)
    };
    let error = world.try_rows(&taken).await.expect_err("a name that is taken");
    assert!(error.message.contains("needs another name"), "{error}");
}

#[tokio::test]
async fn the_rest_of_the_query_names_what_is_computed() {
    let world = world();
    let compute = || {
        let size = call(Function::Div, vec![col("numberofemployees"), num("10")]);
        let double = call(Function::Mul, vec![col("size"), num("2")]);
        vec![
            Computed { value: size, alias: name("size") },
            Computed { value: double, alias: name("double") },
        ]
    };
    let filter = super::condition("size", Operator::Ge, &[(LiteralKind::Number, "1")]);
    let select = Select {
        compute: compute(),
        order: vec![by("double", true)],
        ..of("account", "double", Some(filter))
    };
    assert_eq!(column(&world.rows(&select).await, "double"), [json!(4), json!(2)]);
    let mut select = grouped(
        Select::of(Style::OData, name("account")),
        &["size"],
        &[("double", Aggregate::Sum, "sum"), ("accountid", Aggregate::Count, "n")],
    );
    select.compute = compute();
    select.order = vec![by("size", false)];
    let rows = world.rows(&select).await;
    assert_eq!(column(&rows, "size"), [json!(null), json!(0), json!(1), json!(2)]);
    assert_eq!(column(&rows, "sum"), [json!(null), json!(0), json!(2), json!(4)]);
    // An order by a value that nobody sees.
    let length = OrderBy::Expression(call(Function::Length, vec![col("name")]));
    let select = Select {
        order: vec![Order { by: length, descending: true }, by("name", false)],
        ..of("account", "name", None)
    };
    let found = column(&world.rows(&select).await, "name");
    assert_eq!(found[1], json!("Fabrikam"));
    assert_eq!(found[3], json!("Litware"));
}
