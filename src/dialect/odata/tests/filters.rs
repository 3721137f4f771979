//! What `$filter` texts mean.

use super::*;

#[test]
fn precedence_from_weak_to_strong() {
    for (text, meaning) in [
        ("a eq 1 or b eq 2 and c eq 3", "or(a Eq 1, and(b Eq 2, c Eq 3))"),
        ("a eq 1 and b eq 2 or c eq 3", "or(and(a Eq 1, b Eq 2), c Eq 3)"),
        ("(a eq 1 or b eq 2) and c eq 3", "and(or(a Eq 1, b Eq 2), c Eq 3)"),
        ("not (a eq 1) and b eq 2", "and(not(a Eq 1), b Eq 2)"),
        ("not (a eq 1 and b eq 2)", "not(and(a Eq 1, b Eq 2))"),
        ("not not (a eq 1)", "not(not(a Eq 1))"),
        ("a eq 1 and b eq 2 and c eq 3", "and(a Eq 1, b Eq 2, c Eq 3)"),
        ("((a eq 1))", "a Eq 1"),
        ("not(a eq 1)or(b eq 2)", "or(not(a Eq 1), b Eq 2)"),
    ] {
        assert_eq!(filter(text), meaning, "{text}");
    }
}

#[test]
fn comparisons_with_each_kind_of_literal() {
    for (text, meaning) in [
        ("statecode eq 3", "statecode Eq 3"),
        ("statecode ne -3", "statecode Ne -3"),
        ("executiontimespan gt 1.5", "executiontimespan Gt 1.5"),
        ("executiontimespan ge 2e3", "executiontimespan Ge 2e3"),
        ("retrycount lt 10", "retrycount Lt 10"),
        ("retrycount le 10", "retrycount Le 10"),
        ("name eq 'O''Brien'", "name Eq 'O'Brien'"),
        ("name eq ''", "name Eq ''"),
        ("name eq 'a%26b%25'", "name Eq 'a&b%'"),
        ("iswaitingforevent eq true", "iswaitingforevent Eq Boolean:true"),
        ("iswaitingforevent ne false", "iswaitingforevent Ne Boolean:false"),
        (
            "_ownerid_value eq 6BA7b810-9dad-11d1-80b4-00c04fd430c8",
            "_ownerid_value Eq Guid:6BA7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
        ("_ownerid_value eq 'x'", "_ownerid_value Eq 'x'"),
        ("createdon ge 2024-05-01", "createdon Ge DateTime:2024-05-01"),
        (
            "createdon ge 2024-05-01T10:00:00.123%2B02:00",
            "createdon Ge DateTime:2024-05-01T10:00:00.123+02:00",
        ),
        ("message eq null", "message Null"),
        ("message ne null", "message NotNull"),
        ("null ne message", "message NotNull"),
        ("modifiedon gt createdon", "modifiedon Gt createdon"),
        ("owninguser/fullname eq 'x'", "owninguser/fullname Eq 'x'"),
        (
            "owninguser/businessunitid/name eq owninguser/fullname",
            "owninguser/businessunitid/name Eq owninguser/fullname",
        ),
    ] {
        assert_eq!(filter(text), meaning, "{text}");
    }
}

#[test]
fn a_literal_on_the_left_turns_the_comparison_round() {
    for (text, meaning) in [
        ("3 eq statecode", "statecode Eq 3"),
        ("3 ne statecode", "statecode Ne 3"),
        ("3 lt statecode", "statecode Gt 3"),
        ("3 le statecode", "statecode Ge 3"),
        ("3 gt statecode", "statecode Lt 3"),
        ("3 ge statecode", "statecode Le 3"),
    ] {
        assert_eq!(filter(text), meaning, "{text}");
    }
}

#[test]
fn text_functions_are_patterns() {
    for (text, meaning) in [
        ("contains(name,'ab')", "name Like '%ab%'"),
        ("startswith(name,'ab')", "name Like 'ab%'"),
        ("endswith(name, 'ab')", "name Like '%ab'"),
        ("contains(name,'a_[bc]%25d')", "name Like '%a_[bc]%d%'"),
        ("contains(owninguser/fullname,'x')", "owninguser/fullname Like '%x%'"),
        ("not contains(name,'ab')", "name NotLike '%ab%'"),
        ("not (contains(name,'ab'))", "name NotLike '%ab%'"),
        ("not not contains(name,'ab')", "not(name NotLike '%ab%')"),
        (
            "not (contains(name,'a') or endswith(name,'b'))",
            "not(or(name Like '%a%', name Like '%b'))",
        ),
    ] {
        assert_eq!(filter(text), meaning, "{text}");
    }
}

#[test]
fn value_lists() {
    for (text, meaning) in [
        ("statuscode in (30,31)", "statuscode In 30 31"),
        ("name in ('a', 'b''c')", "name In 'a' 'b'c'"),
        ("not (statuscode in (30))", "not(statuscode In 30)"),
        (
            "Microsoft.Dynamics.CRM.In(PropertyName='statuscode',PropertyValues=['30','31'])",
            "statuscode In {30} {31}",
        ),
        (
            "Microsoft.Dynamics.CRM.NotIn(PropertyName='name',PropertyValues=[\"it's\",\"b\"])",
            "name NotIn {it's} {b}",
        ),
        (
            "Microsoft.Dynamics.CRM.Between( PropertyValues=[\"5\", 2000] , PropertyName='depth' )",
            "depth Between {5} {2000}",
        ),
        (
            "Microsoft.Dynamics.CRM.NotBetween(PropertyName='a/b',PropertyValues=['5','6'])",
            "a/b NotBetween {5} {6}",
        ),
        ("not Microsoft.Dynamics.CRM.In(PropertyName='a',PropertyValues=['5'])", "not(a In {5})"),
    ] {
        assert_eq!(filter(text), meaning, "{text}");
    }
}

#[test]
fn names_and_values_know_their_place() {
    let select = select("$filter=%20a eq 'å' and owninguser/b gt 5");
    let Some(Filter::And(all)) = select.filter else { panic!("two conditions") };
    let at = |position| Place::Option { name: "$filter".into(), position };
    let [Filter::Condition(first), Filter::Condition(second)] = all.as_slice() else {
        panic!("two conditions")
    };
    assert_eq!(first.column.name.at, at(1));
    assert_eq!((&second.at, &second.column.name.at), (&at(14), &at(25)));
    let Path::Navigation(names) = &second.column.path else { panic!("a path") };
    assert_eq!(names[0].at, at(14));
    let Operand::Value(five) = &second.operands[0] else { panic!("a value") };
    assert_eq!(five.at, at(30));
}

#[test]
fn the_name_within_a_query_function_knows_its_place() {
    let text = "$filter=Microsoft.Dynamics.CRM.In(PropertyName='a/bc',PropertyValues=['5'])";
    let Some(Filter::Condition(condition)) = select(text).filter else { panic!("a condition") };
    let start = "Microsoft.Dynamics.CRM.In(PropertyName='a/".len();
    assert_eq!(condition.column.name.at, Place::Option { name: "$filter".into(), position: start });
}
