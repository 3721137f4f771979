//! The complex values that definitions are made of: labels, managed properties,
//! options; and the ids of definitions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::{Choice, Column, ColumnType, Table};

/// English, the only language labels are kept in.
pub const LANGUAGE: i32 = 1033;

/// Ids of definitions are made of their names below this one, so that they are
/// the same in every process, as clients keep them.
const NAMESPACE: Uuid = uuid::uuid!("5e5ab5e0-0000-4000-8000-00000000000d");

/// The id of a definition with this kind and these names.
pub fn metadata_id(path: &[&str]) -> String {
    Uuid::new_v5(&NAMESPACE, path.join("/").as_bytes()).to_string()
}

/// A label in the one language, or none.
pub fn label(text: &str, path: &[&str]) -> Json {
    if text.is_empty() {
        return json!({ "LocalizedLabels": [], "UserLocalizedLabel": null });
    }
    let label = json!({
        "Label": text,
        "LanguageCode": LANGUAGE,
        "IsManaged": true,
        "MetadataId": metadata_id(&[path, &["label"]].concat()),
        "HasChanged": null,
    });
    json!({ "LocalizedLabels": [label.clone()], "UserLocalizedLabel": label })
}

/// A property whose changeability is a property too; nothing here can be changed.
pub fn managed(value: impl Into<Json>, logical_name: &str) -> Json {
    json!({
        "Value": value.into(),
        "CanBeChanged": false,
        "ManagedPropertyLogicalName": logical_name,
    })
}

/// What people read for a schema name: `new_StatusCode` → `Status Code`.
pub fn spelled_out(schema_name: &str) -> String {
    let name = schema_name.split_once('_').map_or(schema_name, |(prefix, rest)| {
        // A publisher's prefix is lower case.
        if prefix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
            rest
        } else {
            schema_name
        }
    });
    let mut text = String::new();
    let mut before = ' ';
    for c in name.chars() {
        match c {
            '_' => text.push(' '),
            c if text.is_empty() => text.extend(c.to_uppercase()),
            c => {
                if c.is_uppercase() && before.is_lowercase() {
                    text.push(' ');
                }
                text.push(c);
            }
        }
        before = c;
    }
    text
}

/// The English plural, as far as names of tables need it.
pub fn plural(name: &str) -> String {
    match name.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if name.ends_with('s') => format!("{name}es"),
        _ => format!("{name}s"),
    }
}

/// The options of a choice column.
pub fn options(table: &Table, column: &Column) -> Json {
    column.options.iter().map(|choice| option(table, column, choice)).collect()
}

/// A yes/no column's text for a value.
pub fn boolean_option(table: &Table, column: &Column, value: i32) -> Json {
    let text = column.label(value).unwrap_or(if value == 0 { "No" } else { "Yes" });
    option_value(table, column, value, text)
}

fn option(table: &Table, column: &Column, choice: &Choice) -> Json {
    let mut option = option_value(table, column, choice.value, &choice.label);
    match column.column_type {
        ColumnType::Status => {
            option["@odata.type"] = "#Microsoft.Dynamics.CRM.StatusOptionMetadata".into();
            option["State"] = choice.state.into();
            option["TransitionData"] = Json::Null;
        }
        ColumnType::State => {
            let status = table.columns.iter().find(|c| c.column_type == ColumnType::Status);
            let default = status.and_then(|status| {
                let mut reasons = status.options.iter().filter(|o| o.state == Some(choice.value));
                let first = reasons.clone().next();
                reasons.find(|o| o.is_default).or(first)
            });
            option["@odata.type"] = "#Microsoft.Dynamics.CRM.StateOptionMetadata".into();
            option["DefaultStatus"] = default.map(|o| o.value).into();
            option["InvariantName"] = choice.label.as_str().into();
        }
        _ => {}
    }
    option
}

fn option_value(table: &Table, column: &Column, value: i32, text: &str) -> Json {
    let number = value.to_string();
    let path = ["option", &table.logical_name, &column.logical_name, &number];
    json!({
        "Value": value,
        "Color": null,
        "IsManaged": true,
        "ExternalValue": null,
        "ParentValues": [],
        "Tag": null,
        "IsHidden": false,
        "MetadataId": null,
        "HasChanged": null,
        "Label": label(text, &path),
        "Description": label("", &path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_names_are_spelled_out() {
        for (name, text) in [
            ("StatusCode", "Status Code"),
            ("new_WidgetColor", "Widget Color"),
            ("new_name", "Name"),
            ("Address1_City", "Address1 City"),
            ("UTCConversionTimeZoneCode", "UTCConversion Time Zone Code"),
            ("name", "Name"),
        ] {
            assert_eq!(spelled_out(name), text);
        }
    }

    #[test]
    fn plurals_are_english() {
        for (one, many) in
            [("Process", "Processes"), ("Facility", "Facilities"), ("Key", "Keys"), ("Job", "Jobs")]
        {
            assert_eq!(plural(one), many);
        }
    }
}
