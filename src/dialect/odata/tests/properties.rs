//! What must hold for any input.

use proptest::prelude::*;

use super::*;

/// Pieces that steer random texts into every corner of the grammar.
const PIECES: [&str; 75] = [
    "statecode",
    "name",
    "owninguser",
    "eq",
    "ne",
    "gt",
    "and",
    "or",
    "not",
    "in",
    "null",
    "true",
    "contains",
    "startswith",
    "tolower",
    "any",
    "Microsoft.Dynamics.CRM.In",
    "PropertyName",
    "PropertyValues",
    "filter",
    "groupby",
    "aggregate",
    "$count",
    "with",
    "sum",
    "as",
    "desc",
    "$select",
    "'a'",
    "'",
    "\"x\"",
    "\"",
    "12",
    "-",
    "2024-05-01",
    "(",
    ")",
    "[",
    "]",
    ",",
    "/",
    "=",
    ";",
    "%",
    "add",
    "divby",
    "mod",
    "-",
    "owninguser/fullname",
    "files/any",
    "all",
    "o:o/name",
    "$it/name",
    "has",
    "now",
    "year",
    "@p1",
    "Microsoft.Dynamics.CRM.Today",
    "PropertyValue",
    "concat",
    "compute",
    "topcount",
    "toppercent",
    "rollup",
    "$all",
    "identity",
    "orderby",
    "skip",
    "$expand",
    "$ref",
    "$filter=",
    "INF",
    "duration'P1D'",
    "2024-05-01T10:00:00.000Z",
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES.as_slice()).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let separator = prop::sample::select(["", " ", "\n"].as_slice());
    prop::collection::vec((piece, separator), 0..30)
        .prop_map(|parts| parts.into_iter().flat_map(|(p, s)| [p, s.to_owned()]).collect())
}

proptest! {
    #[test]
    fn no_text_makes_an_option_panic(text in text()) {
        let table = CATALOG.table("asyncoperation").expect("built in");
        for option in crate::dialect::odata::options::OFFERED {
            let options = [(option.to_owned(), text.clone())];
            if let Err(error) = parse(table, &options) {
                let within = match error.place {
                    Some(Place::Option { name, position }) => {
                        name == option && position <= text.chars().count()
                    }
                    other => panic!("{option}={text}: an error without a position: {other:?}"),
                };
                prop_assert!(within, "{option}={text}: {}", error.message);
            }
        }
    }

    #[test]
    fn no_text_makes_a_request_panic(start in 0..4_usize, text in text(), noise in any::<String>()) {
        let start = ["", "GET ", "asyncoperations?$filter=", "[x]/api/data/v9.2/"][start];
        let _ = parse_request(&format!("{start}{text}"), &CATALOG);
        let _ = parse_request(&format!("{start}{noise}"), &CATALOG);
        crate::dialect::detect(&noise);
    }

    #[test]
    fn a_text_literal_survives_quoting_and_encoding(content in any::<String>()) {
        let quoted = content.replace('\'', "''");
        let all = percent_encoding::NON_ALPHANUMERIC;
        let encoded = percent_encoding::utf8_percent_encode(&quoted, all);
        let select = select(&format!("$filter=name%20eq%20%27{encoded}%27"));
        prop_assert_eq!(show(&select.filter.expect("has a filter")), format!("name Eq '{content}'"));
    }
}
