//! An organization's own tables: catalog files in the shape of the built-in
//! ones, one table or an array of tables each. They are judged before anything
//! is opened, and an error names the file, the table and the column.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Catalog, Column, ColumnType, ManyToOne, Table, entity_names, nearest, relations};
use crate::error::{Error, Place, Result, codes};

/// Names longer than this are refused, as in Dataverse.
const NAME_LENGTH_MAX: usize = 128;

const OWNERSHIP: [&str; 5] =
    ["UserOwned", "TeamOwned", "BusinessOwned", "OrganizationOwned", "None"];
const REQUIRED: [&str; 4] = ["None", "Recommended", "ApplicationRequired", "SystemRequired"];
const DATE_BEHAVIOR: [&str; 3] = ["UserLocal", "DateOnly", "TimeZoneIndependent"];

/// Where in the files a table stands.
struct Origin<'a> {
    file: &'a Path,
    table: &'a str,
}

impl Origin<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        let place = format!("{}: table '{}'", self.file.display(), self.table);
        Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(place))
    }
}

/// The built-in tables and those of catalog files.
pub fn with_files(files: &[PathBuf]) -> Result<Catalog> {
    let mut tables = super::built_in_tables();
    let mut own: Vec<(&Path, Table)> = Vec::new();
    for file in files {
        own.extend(read(file)?.into_iter().map(|table| (file.as_path(), table)));
    }
    for (i, (file, table)) in own.iter().enumerate() {
        let origin = Origin { file, table: &table.logical_name };
        check_table(&origin, table)?;
        for column in &table.columns {
            check_column(&origin, table, column)?;
        }
        let others = tables.iter().chain(own[..i].iter().map(|(_, table)| table));
        check_unique(&origin, table, others)?;
    }
    let keys: HashMap<String, String> = tables
        .iter()
        .chain(own.iter().map(|(_, table)| table))
        .map(|table| (table.logical_name.clone(), table.primary_id.clone()))
        .collect();
    for (file, table) in &mut own {
        table.is_custom = true;
        relations::add_lookups(table, |name| keys.get(name).cloned());
        relations::add_regarding(&mut tables, table);
        check_relations(&Origin { file, table: &table.logical_name }, table, &keys)?;
    }
    for (_, mut table) in own {
        table.finish();
        entity_names::serve(&table.logical_name, table.object_type_code);
        tables.push(table);
    }
    Ok(Catalog::new(tables))
}

fn read(file: &Path) -> Result<Vec<Table>> {
    let place = Place::Part(file.display().to_string());
    let text = std::fs::read_to_string(file).map_err(|e| {
        let message = format!("the catalog file cannot be read: {e}");
        Error::invalid(codes::INVALID_ARGUMENT, message).at(place.clone()).caused_by(e)
    })?;
    let parsed = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text)
    } else {
        serde_json::from_str(&text).map(|table| vec![table])
    };
    parsed.map_err(|e| {
        let message = format!("the catalog file is not as expected: {e}");
        Error::invalid(codes::INVALID_ARGUMENT, message).at(place).caused_by(e)
    })
}

fn check_table(origin: &Origin<'_>, table: &Table) -> Result<()> {
    if !is_table_name(&table.logical_name) {
        let message = "a logical name is lower-case letters, digits and '_', begins with a letter, and not with 'pg_'";
        return Err(origin.error(message));
    }
    for (what, name) in
        [("schema_name", &table.schema_name), ("entity_set_name", &table.entity_set_name)]
    {
        if !is_identifier(name) {
            return Err(origin.error(format!("'{name}' cannot be a {what}")));
        }
    }
    one_of(origin, "ownership", &table.ownership, &OWNERSHIP)?;
    if !(1..entity_names::FIRST_DERIVED).contains(&table.object_type_code) {
        let last = entity_names::FIRST_DERIVED - 1;
        return Err(origin.error(format!(
            "object_type_code {} is not between 1 and {last}",
            table.object_type_code
        )));
    }
    let mut names = HashSet::new();
    for column in &table.columns {
        if !names.insert(&column.logical_name) {
            return Err(origin.error(format!("column '{}' is given twice", column.logical_name)));
        }
    }
    let column = |name: &str| table.columns.iter().find(|c| c.logical_name == *name);
    match column(&table.primary_id) {
        Some(id) if id.column_type == ColumnType::Uniqueidentifier && id.read => {}
        Some(_) => {
            let message = format!(
                "the primary key '{}' is not a readable Uniqueidentifier",
                table.primary_id
            );
            return Err(origin.error(message));
        }
        None => {
            return Err(missing(origin, "the primary key", &table.primary_id, table));
        }
    }
    if let Some(name) = &table.primary_name {
        match column(name) {
            Some(c) if c.column_type == ColumnType::String => {}
            Some(_) => {
                return Err(origin.error(format!("the primary name '{name}' is not a String")));
            }
            None => return Err(missing(origin, "the primary name", name, table)),
        }
    }
    Ok(())
}

fn check_column(origin: &Origin<'_>, table: &Table, column: &Column) -> Result<()> {
    let name = &column.logical_name;
    let wrong = |message: String| Err(origin.error(format!("column '{name}': {message}")));
    let lower = name.chars().all(|c| !c.is_ascii_uppercase());
    if !is_identifier(name) || !lower {
        return wrong("a logical name is lower-case letters, digits and '_'".into());
    }
    if !is_identifier(&column.schema_name) {
        return wrong(format!("'{}' cannot be a schema_name", column.schema_name));
    }
    one_of(origin, "required", &column.required, &REQUIRED)?;
    if let Some(behavior) = &column.date_behavior {
        one_of(origin, "date_behavior", behavior, &DATE_BEHAVIOR)?;
    }
    if let Some(of) = &column.attribute_of
        && (of == name || !table.columns.iter().any(|c| c.logical_name == *of))
    {
        return Err(missing(origin, &format!("column '{name}': attribute_of"), of, table));
    }
    match column.column_type {
        ColumnType::Virtual if column.attribute_of.is_none() && !column.is_file() => {
            return wrong("a Virtual column has attribute_of or the format 'File'".into());
        }
        ColumnType::Picklist | ColumnType::State | ColumnType::Status
            if column.options.is_empty() =>
        {
            return wrong("a choice has options".into());
        }
        ColumnType::Lookup | ColumnType::Owner | ColumnType::Customer
            if column.targets.is_empty() =>
        {
            return wrong("a lookup has targets".into());
        }
        _ => {}
    }
    if !column.options.is_empty() && !column.is_choice() {
        return wrong("only a choice has options".into());
    }
    if let (Some(min), Some(max)) = (column.min, column.max)
        && min > max
    {
        return wrong(format!("min {min} is above max {max}"));
    }
    check_options(origin, table, column)
}

fn check_options(origin: &Origin<'_>, table: &Table, column: &Column) -> Result<()> {
    let name = &column.logical_name;
    let (mut values, mut labels) = (HashSet::new(), HashSet::new());
    let states = table.columns.iter().find(|c| c.column_type == ColumnType::State);
    for option in &column.options {
        let value = option.value;
        if !values.insert(value) {
            return Err(origin.error(format!("column '{name}': option {value} is given twice")));
        }
        if !labels.insert(option.label.to_lowercase()) {
            let label = &option.label;
            return Err(origin.error(format!("column '{name}': label '{label}' is given twice")));
        }
        if column.column_type == ColumnType::Status {
            let known = option
                .state
                .is_some_and(|state| states.is_some_and(|column| column.label(state).is_some()));
            if !known {
                return Err(origin.error(format!(
                    "column '{name}': option {value} does not name a state of the table"
                )));
            }
        }
    }
    Ok(())
}

fn check_unique<'a>(
    origin: &Origin<'_>,
    table: &Table,
    others: impl Iterator<Item = &'a Table>,
) -> Result<()> {
    for other in others {
        let name = &other.logical_name;
        if *name == table.logical_name {
            return Err(origin.error("there is a table of this name already"));
        }
        if other.entity_set_name == table.entity_set_name {
            let set = &table.entity_set_name;
            return Err(origin.error(format!("the entity set '{set}' is that of '{name}'")));
        }
        if other.object_type_code == table.object_type_code {
            let code = table.object_type_code;
            return Err(origin.error(format!("object_type_code {code} is that of '{name}'")));
        }
    }
    match entity_names::standard(table.object_type_code) {
        Some(name) if name != table.logical_name => {
            let code = table.object_type_code;
            Err(origin.error(format!("object_type_code {code} is that of '{name}'")))
        }
        _ => Ok(()),
    }
}

/// `keys`: the served tables with their primary keys.
fn check_relations(
    origin: &Origin<'_>,
    table: &Table,
    keys: &HashMap<String, String>,
) -> Result<()> {
    let mut navigations = HashSet::new();
    let mut navigation = |name: &str| {
        if !is_identifier(name) {
            return Err(origin.error(format!("'{name}' cannot be a navigation property")));
        }
        let lookup = |c: &Column| c.is_lookup() || c.is_file();
        if table.columns.iter().any(|c| c.logical_name == name && !lookup(c)) {
            return Err(origin.error(format!("navigation property '{name}' is a column too")));
        }
        if !navigations.insert(name.to_owned()) {
            return Err(origin.error(format!("navigation property '{name}' is given twice")));
        }
        Ok(())
    };
    for relation in &table.many_to_one {
        let ManyToOne { schema_name, column, target, target_column, .. } = relation;
        navigation(&relation.navigation_property)?;
        match table.columns.iter().find(|c| c.logical_name == *column) {
            Some(column) if column.is_lookup() || column.is_file() => {}
            Some(_) => {
                let message = format!("relationship '{schema_name}': '{column}' is no lookup");
                return Err(origin.error(message));
            }
            None => {
                let what = format!("relationship '{schema_name}': column");
                return Err(missing(origin, &what, column, table));
            }
        }
        match keys.get(target) {
            Some(key) if key == target_column => {}
            Some(key) => {
                return Err(origin.error(format!(
                    "relationship '{schema_name}': '{target_column}' is not the key of '{target}', which is '{key}'"
                )));
            }
            None if target == "owner" || entity_names::is_standard(target) => {}
            None => return Err(unknown_table(origin, schema_name, target, keys)),
        }
    }
    for relation in &table.one_to_many {
        navigation(&relation.navigation_property)?;
        if !keys.contains_key(&relation.target) && !entity_names::is_standard(&relation.target) {
            return Err(unknown_table(origin, &relation.schema_name, &relation.target, keys));
        }
        if relation.column != table.primary_id {
            let what = format!("relationship '{}': column", relation.schema_name);
            return Err(origin.error(format!("{what} '{}' is not the key", relation.column)));
        }
    }
    Ok(())
}

fn unknown_table(
    origin: &Origin<'_>,
    relation: &str,
    target: &str,
    keys: &HashMap<String, String>,
) -> Error {
    let hint = nearest(target, keys.keys().map(String::as_str))
        .map(|n| format!("; did you mean '{n}'?"))
        .unwrap_or_default();
    origin.error(format!("relationship '{relation}': there is no table '{target}'{hint}"))
}

fn missing(origin: &Origin<'_>, what: &str, name: &str, table: &Table) -> Error {
    let hint = nearest(name, table.columns.iter().map(|c| c.logical_name.as_str()))
        .filter(|near| *near != name)
        .map(|n| format!("; did you mean '{n}'?"))
        .unwrap_or_default();
    origin.error(format!("{what} '{name}' is not another column of the table{hint}"))
}

fn one_of(origin: &Origin<'_>, what: &str, value: &str, allowed: &[&str]) -> Result<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(origin.error(format!("{what} '{value}' is none of {}", allowed.join(", "))))
}

/// What a table may be called.
pub(super) fn is_table_name(name: &str) -> bool {
    let lower = name.chars().all(|c| !c.is_ascii_uppercase());
    is_identifier(name) && lower && !name.starts_with("pg_")
}

/// A simple identifier of OData in ASCII, which SQL can name too.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= NAME_LENGTH_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::catalog::{entity_code, entity_name};

    fn widget() -> Json {
        serde_json::from_str(include_str!("../../tests/data/widget.json")).expect("JSON")
    }

    fn load(tables: &[Json]) -> Result<Catalog> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files: Vec<PathBuf> = tables
            .iter()
            .enumerate()
            .map(|(i, table)| {
                let file = folder.path().join(format!("{i}.json"));
                std::fs::write(&file, table.to_string()).expect("written");
                file
            })
            .collect();
        with_files(&files)
    }

    #[test]
    fn an_own_table_stands_beside_the_built_in_ones() {
        let catalog = load(&[widget()]).expect("a sound file");
        let table = catalog.entity_set("new_widgets").expect("served");
        assert!(table.is_custom && !catalog.tables()[0].is_custom);
        assert!(table.column("new_colorname").is_some(), "labels are added");
        assert_eq!(entity_code("new_widget"), 10_042);
        assert_eq!(entity_name(10_042).as_deref(), Some("new_widget"));
        // The lookup that has targets only.
        let account = table.navigation("new_AccountId").expect("made of the lookup");
        assert_eq!(
            (account.target.as_str(), account.target_column.as_str()),
            ("account", "accountid")
        );
        let accounts = catalog.table("account").expect("built in");
        assert!(accounts.one_to_many.iter().any(|r| r.target == "new_widget"));
        // Jobs may regard it.
        let jobs = catalog.table("asyncoperation").expect("built in");
        let regarding = jobs.navigation("regardingobjectid_new_widget").expect("added");
        assert_eq!(regarding.target_column, "new_widgetid");
        assert!(table.one_to_many.iter().any(|r| r.schema_name == "new_widget_AsyncOperations"));
    }

    #[test]
    fn a_file_may_have_several_tables_that_know_each_other() {
        let mut other = widget();
        other["logical_name"] = "new_part".into();
        other["entity_set_name"] = "new_parts".into();
        other["object_type_code"] = 10_043.into();
        other["columns"][3]["targets"] = json!(["new_widget"]);
        let catalog = load(&[json!([widget(), other])]).expect("a sound file");
        let lookup = catalog.table("new_part").expect("served").navigation("new_AccountId");
        assert_eq!(lookup.expect("a lookup").target, "new_widget");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let change = |path: &str, value: Json| {
            let mut table = widget();
            *table.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
            load(&[table]).expect_err(path).to_string()
        };
        for (path, value, part) in [
            ("/logical_name", json!("New_Widget"), "lower-case"),
            ("/logical_name", json!("account"), "a table of this name"),
            ("/entity_set_name", json!("accounts"), "is that of 'account'"),
            ("/entity_set_name", json!("a b"), "'a b' cannot be a entity_set_name"),
            ("/object_type_code", json!(4700), "is that of 'asyncoperation'"),
            ("/object_type_code", json!(4), "is that of 'lead'"),
            ("/object_type_code", json!(0), "is not between 1 and"),
            ("/primary_id", json!("new_widgetod"), "did you mean 'new_widgetid'?"),
            ("/primary_id", json!("new_name"), "is not a readable Uniqueidentifier"),
            ("/primary_name", json!("new_color"), "is not a String"),
            ("/ownership", json!("Mine"), "none of UserOwned"),
            ("/columns/1/logical_name", json!("new_widgetid"), "given twice"),
            ("/columns/4/logical_name", json!("new name"), "column 'new name'"),
            ("/columns/1/type", json!("Strng"), "unknown variant `Strng`"),
            ("/columns/1/required", json!("Always"), "required 'Always'"),
            ("/columns/2/options", json!([]), "column 'new_color': a choice has options"),
            (
                "/columns/2/options",
                json!([{ "value": 1, "label": "Red" }, { "value": 1, "label": "Blue" }]),
                "option 1 is given twice",
            ),
            ("/columns/3/targets", json!([]), "column 'new_accountid': a lookup has targets"),
            ("/columns/3/targets", json!(["acount"]), "did you mean 'account'?"),
        ] {
            let error = change(path, value);
            assert!(error.contains(part), "{path}: {error}");
            assert!(error.contains("0.json"), "{path}: {error}");
        }
        let mut table = widget();
        table["columns"][1]["attribute_of"] = "new_nam".into();
        let error = load(&[table]).expect_err("no such column").to_string();
        assert!(error.contains("attribute_of 'new_nam'"), "{error}");
        let mut table = widget();
        table["colums"] = json!([]);
        let error = load(&[table]).expect_err("a slip").to_string();
        assert!(error.contains("unknown field `colums`"), "{error}");
        let mut table = widget();
        table["many_to_one"] = json!([{ "schema_name": "x", "column": "new_acountid",
            "target": "account", "target_column": "accountid", "navigation_property": "x" }]);
        let error = load(&[table]).expect_err("no such column").to_string();
        assert!(error.contains("did you mean 'new_accountid'?"), "{error}");
        let error = load(&[widget(), widget()]).expect_err("twice").to_string();
        assert!(error.contains("1.json") && error.contains("of this name"), "{error}");
        let error = with_files(&["/nowhere/x.json".into()]).expect_err("no file").to_string();
        assert!(error.contains("/nowhere/x.json: the catalog file cannot be read"), "{error}");
    }
}
