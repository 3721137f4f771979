//! Hand-made batches and outputs against the JSON they must become.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, StringViewArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::catalog::{Catalog, Table};
use crate::query::bound;
use crate::query::context::Calendar;
use crate::query::{Aggregate, DateGrouping, DatePart};
use crate::value::Guid;

const ID: Guid = [0x11; 16];
const USER: Guid = [0x22; 16];

struct Answer {
    query: BoundQuery,
    arrays: Vec<ArrayRef>,
}

fn table(name: &str) -> Arc<Table> {
    Catalog::built_in().table(name).expect("built in").clone()
}

fn answer(style: Style, root: &str) -> Answer {
    let query = BoundQuery {
        style,
        root: table(root),
        input: vec![],
        computed: vec![],
        joins: vec![],
        filter: None,
        aggregate: false,
        distinct: false,
        aggregate_limit: None,
        outputs: vec![],
        order: vec![],
        share: None,
        skip: 0,
        top: None,
        page: None,
        page_keys: vec![],
        after: None,
        count: false,
        timezone: chrono_tz::Tz::UTC,
        calendar: Calendar::default(),
    };
    Answer { query, arrays: vec![] }
}

impl Answer {
    /// Adds a column under its property name; `change` adjusts the output.
    fn with(
        mut self,
        column: &str,
        array: impl datafusion::arrow::array::Array + 'static,
        change: impl FnOnce(&mut Output),
    ) -> Self {
        let table = self.query.root.clone();
        let mut output = Output {
            name: String::new(),
            role: OutputRole::Plain,
            column: bound::Column { source: 0, column: 0 },
            table,
            aliased: false,
            nested: None,
            hidden: false,
            name_output: None,
            type_output: None,
        };
        change(&mut output);
        output.column.column = output.table.column_index(column).expect("documented column");
        if output.name.is_empty() {
            output.name = output.facts().property_name();
        }
        self.query.outputs.push(output);
        self.arrays.push(Arc::new(array));
        self
    }

    fn encode(self, annotations: &str) -> (String, WebApiEncoder) {
        let fields: Vec<Field> = (self.arrays.iter().enumerate())
            .map(|(i, a)| Field::new(i.to_string(), a.data_type().clone(), true))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), self.arrays);
        let batch = batch.expect("columns of one length");
        let mut encoder = WebApiEncoder::new(&self.query, &Annotations::parse(annotations));
        let mut out = b"[".to_vec();
        for row in 0..batch.num_rows() {
            encoder.rows_json(&batch.slice(row, 1), &[], &mut out).expect("known types");
        }
        out.push(b']');
        let text = String::from_utf8(out).expect("JSON is UTF-8");
        serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON");
        (text, encoder)
    }
}

fn guids(ids: impl IntoIterator<Item = Option<Guid>>) -> FixedSizeBinaryArray {
    FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids.into_iter(), 16).expect("16 bytes")
}

fn jobs(style: Style) -> Answer {
    answer(style, "asyncoperation")
        .with("name", StringViewArray::from(vec![Some("x"), None]), |_| ())
        .with("statecode", Int32Array::from(vec![0, 3]), |_| ())
        .with("createdon", TimestampMicrosecondArray::from(vec![1_500_000, 0]), |_| ())
        .with("asyncoperationid", guids([Some(ID), Some(USER)]), |_| ())
}

#[test]
fn nulls_are_printed_for_select_and_left_out_of_fetchxml() {
    let (text, encoder) = jobs(Style::OData).encode("");
    assert_eq!(
        text,
        concat!(
            r#"[{"name":"x","statecode":0,"createdon":"1970-01-01T00:00:01Z","#,
            r#""asyncoperationid":"11111111-1111-1111-1111-111111111111"},"#,
            r#"{"name":null,"statecode":3,"createdon":"1970-01-01T00:00:00Z","#,
            r#""asyncoperationid":"22222222-2222-2222-2222-222222222222"}]"#
        )
    );
    assert_eq!((encoder.rows(), encoder.cookie_keys()), (2, Vec::new()));
    let (text, _) = jobs(Style::FetchXml).encode("");
    assert!(text.contains(r#"},{"statecode":3,"#), "{text}");
    let mut apply = jobs(Style::OData);
    apply.query.aggregate = true;
    assert!(!apply.encode("").0.contains("null"));
}

#[test]
fn cookies_carry_the_sort_keys_of_the_first_row_and_the_last() {
    let mut answer = jobs(Style::FetchXml);
    let key = |name: &str, output| bound::PageKey { name: name.into(), output };
    answer.query.page_keys =
        vec![key("name", 0), key("statecode", 1), key("createdon", 2), key("asyncoperationid", 3)];
    let (_, encoder) = answer.encode("");
    let keys = encoder.cookie_keys().into_iter().map(|k| (k.name, k.first, k.last));
    let text = |t: &str| Some(t.to_owned());
    let expected = [
        ("name".to_owned(), text("x"), None),
        ("statecode".to_owned(), text("0"), text("3")),
        ("createdon".to_owned(), text("1970-01-01T00:00:01.500000Z"), text("1970-01-01T00:00:00Z")),
        (
            "asyncoperationid".to_owned(),
            text("{11111111-1111-1111-1111-111111111111}"),
            text("{22222222-2222-2222-2222-222222222222}"),
        ),
    ];
    assert_eq!(keys.collect::<Vec<_>>(), expected);
}

#[test]
fn choices_times_and_counts_have_formatted_values_before_them() {
    let (text, _) = jobs(Style::OData).encode("OData.Community.Display.V1.FormattedValue");
    assert!(
        text.starts_with(concat!(
            r#"[{"name":"x","#,
            r#""statecode@OData.Community.Display.V1.FormattedValue":"Ready","statecode":0,"#,
            r#""createdon@OData.Community.Display.V1.FormattedValue":"1/1/1970 12:00 AM","#
        )),
        "{text}"
    );
    let count = OutputRole::Aggregate(Aggregate::Count);
    let (text, _) = answer(Style::FetchXml, "asyncoperation")
        .with("asyncoperationid", Int64Array::from(vec![4101]), |o| {
            (o.name, o.role, o.aliased) = ("jobs".into(), count, true);
        })
        .with("createdon", Int32Array::from(vec![2024]), |o| {
            (o.name, o.role) = (
                "year".into(),
                OutputRole::Group(Some(DateGrouping { part: DatePart::Year, local: true })),
            );
        })
        .encode("OData.Community.Display.V1.*");
    assert_eq!(
        text,
        concat!(
            r#"[{"jobs@OData.Community.Display.V1.AttributeName":"asyncoperationid","#,
            r#""jobs@OData.Community.Display.V1.FormattedValue":"4,101","jobs":4101,"#,
            r#""year@OData.Community.Display.V1.FormattedValue":"2024","year":2024}]"#
        )
    );
}

#[test]
fn times_and_fiscal_parts_are_shown_to_the_caller() {
    let group = |part| OutputRole::Group(Some(DateGrouping { part, local: true }));
    let mut shown = answer(Style::FetchXml, "asyncoperation")
        .with("createdon", TimestampMicrosecondArray::from(vec![0]), |_| ())
        .with("startedon", Int32Array::from(vec![202_303]), |o| {
            (o.name, o.role) = ("period".into(), group(DatePart::FiscalPeriod));
        })
        .with("startedon", Int32Array::from(vec![2023]), |o| {
            (o.name, o.role) = ("year".into(), group(DatePart::FiscalYear));
        });
    shown.query.timezone = chrono_tz::Tz::America__New_York;
    let (text, _) = shown.encode("OData.Community.Display.V1.FormattedValue");
    assert_eq!(
        text,
        concat!(
            r#"[{"createdon@OData.Community.Display.V1.FormattedValue":"12/31/1969 7:00 PM","#,
            r#""createdon":"1970-01-01T00:00:00Z","#,
            r#""period@OData.Community.Display.V1.FormattedValue":"Quarter 3 FY2023","#,
            r#""period":202303,"#,
            r#""year@OData.Community.Display.V1.FormattedValue":"FY2023","year":2023}]"#
        )
    );
}

#[test]
fn lookups_tell_name_table_and_navigation_property() {
    let (text, _) = answer(Style::OData, "asyncoperation")
        .with("ownerid", guids([Some(USER), None]), |o| {
            (o.name_output, o.type_output) = (Some(2), Some(3));
        })
        .with("regardingobjectid", guids([Some(ID), Some(ID)]), |o| o.type_output = Some(4))
        .with("owneridname", StringViewArray::from(vec!["Ann", "-"]), |o| o.hidden = true)
        .with("owneridtype", Int32Array::from(vec![8, 8]), |o| o.hidden = true)
        .with("regardingobjecttypecode", Int32Array::from(vec![Some(1), None]), |_| ())
        .encode("*");
    assert_eq!(
        text,
        concat!(
            r#"[{"_ownerid_value@OData.Community.Display.V1.FormattedValue":"Ann","#,
            r#""_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"systemuser","#,
            r#""_ownerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty":"ownerid","#,
            r#""_ownerid_value":"22222222-2222-2222-2222-222222222222","#,
            r#""_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"account","#,
            r#""_regardingobjectid_value@Microsoft.Dynamics.CRM.associatednavigationproperty":"#,
            r#""regardingobjectid_account","#,
            r#""_regardingobjectid_value":"11111111-1111-1111-1111-111111111111","#,
            r#""regardingobjecttypecode":"account"},"#,
            r#"{"_ownerid_value":null,"#,
            r#""_regardingobjectid_value":"11111111-1111-1111-1111-111111111111","#,
            r#""regardingobjecttypecode":null}]"#
        )
    );
    let (text, _) = answer(Style::OData, "asyncoperation")
        .with("createdby", guids([Some(USER)]), |_| ())
        .encode("Microsoft.Dynamics.CRM.lookuplogicalname");
    assert!(text.contains(r#"lookuplogicalname":"systemuser","_createdby_value""#), "{text}");
}

#[test]
fn expanded_rows_are_objects_or_null() {
    let nested = |o: &mut Output| {
        o.table = table("systemuser");
        o.column.source = 1;
        o.nested = Some("owninguser".into());
    };
    let expand = |style| {
        answer(style, "asyncoperation")
            .with("statecode", Int32Array::from(vec![0, 1]), |_| ())
            .with("fullname", StringViewArray::from(vec![None::<&str>, None]), nested)
            .with("systemuserid", guids([Some(USER), None]), |o| {
                nested(o);
                o.hidden = true;
            })
    };
    assert_eq!(
        expand(Style::OData).encode("").0,
        r#"[{"statecode":0,"owninguser":{"fullname":null}},{"statecode":1,"owninguser":null}]"#
    );
}

#[test]
fn the_row_version_is_the_etag() {
    let versioned = |distinct| {
        let mut a = answer(Style::OData, "account")
            .with("versionnumber", Int64Array::from(vec![5012]), |o| o.hidden = true)
            .with("name", StringViewArray::from(vec!["A"]), |_| ());
        a.query.distinct = distinct;
        a.encode("").0
    };
    assert_eq!(versioned(false), r#"[{"@odata.etag":"W/\"5012\"","name":"A"}]"#);
    assert_eq!(versioned(true), r#"[{"name":"A"}]"#);
}

#[test]
fn a_plan_with_other_columns_is_an_error() {
    let query = jobs(Style::OData).query;
    let encoder = WebApiEncoder::new(&query, &Annotations::default());
    let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![new_null_array(&DataType::Int32, 1)]);
    assert!(encoder.prepare(&batch.expect("one column")).is_err());
}
