//! `OBJECT_ID`, `OBJECT_NAME`, `TYPE_NAME` and their like: names and numbers of
//! tables, schemas, columns and types. Of a constant they are a constant; of
//! anything else, such as a column, a `CASE` over all there are.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{CaseWhen, DataType, Expr};

use super::{Constant, Session, constant, nvarchar};
use crate::catalog::views::{readable, sql_server_type};
use crate::catalog::{Catalog, Column, ColumnType, Table};

/// The schemas and their numbers.
const SCHEMAS: &[(&str, i64)] = &[("dbo", 1), ("guest", 2), ("INFORMATION_SCHEMA", 3), ("sys", 4)];

/// SQL Server's types and their numbers.
const TYPES: &[(&str, i64)] = &[
    ("image", 34),
    ("text", 35),
    ("uniqueidentifier", 36),
    ("date", 40),
    ("time", 41),
    ("datetime2", 42),
    ("datetimeoffset", 43),
    ("tinyint", 48),
    ("smallint", 52),
    ("int", 56),
    ("smalldatetime", 58),
    ("real", 59),
    ("money", 60),
    ("datetime", 61),
    ("float", 62),
    ("sql_variant", 98),
    ("ntext", 99),
    ("bit", 104),
    ("decimal", 106),
    ("numeric", 108),
    ("smallmoney", 122),
    ("bigint", 127),
    ("hierarchyid", 128),
    ("varbinary", 165),
    ("varchar", 167),
    ("binary", 173),
    ("char", 175),
    ("timestamp", 189),
    ("nvarchar", 231),
    ("nchar", 239),
    ("xml", 241),
    ("sysname", 256),
];

/// The number of a table, as the catalog views have it.
fn object_id(table: &str, catalog: &Catalog) -> i64 {
    catalog.objects().table(table).map_or(0, i64::from)
}

/// The value of one of these functions; `None` when it is another one.
pub(super) fn call(
    name: &str,
    arguments: &[&Expr],
    catalog: &Catalog,
    session: &Session,
) -> Option<Expr> {
    let text = |at: usize| arguments.get(at).and_then(|a| constant(a, catalog, session)).flatten();
    let pairs: Vec<(String, i64)> = match name {
        "object_id" | "object_name" | "object_schema_name" | "objectproperty"
        | "objectpropertyex" => {
            let tables = catalog.all_tables();
            tables.map(|t| (t.logical_name.clone(), object_id(&t.logical_name, catalog))).collect()
        }
        "schema_id" | "schema_name" => owned(SCHEMAS),
        "type_id" | "type_name" => owned(TYPES),
        "col_name" | "col_length" => {
            return Some(of_column(name, text(0)?, text(1)?, catalog).expr());
        }
        "columnproperty" => {
            let property = text(2)?.to_lowercase();
            if NEVER.contains(&property.as_str()) && (text(0).is_none() || text(1).is_none()) {
                return Some(Constant::Int(0).expr());
            }
            return Some(column_property(&text(0)?, &text(1)?, &property, catalog).expr());
        }
        _ => return None,
    };
    let Some(first) = arguments.first() else {
        let dbo = if name == "schema_id" { Constant::Int(1) } else { Constant::text("dbo") };
        return Some(dbo.expr());
    };
    let value = |number: i64, name_of: &str| match name {
        "object_id" | "schema_id" | "type_id" => Constant::Int(number),
        "object_schema_name" => Constant::text("dbo"),
        "objectproperty" | "objectpropertyex" => {
            of_table(name, text(1).unwrap_or_default().as_str())
        }
        _ => Constant::text(name_of),
    };
    let by_name = ["object_id", "schema_id", "type_id"].contains(&name);
    let missing = || match name {
        "object_id" | "schema_id" | "type_id" | "objectproperty" | "objectpropertyex" => {
            Constant::Null(DataType::Int(None))
        }
        _ => Constant::Null(nvarchar()),
    };
    match constant(first, catalog, session) {
        Some(wanted) => {
            let found = wanted.and_then(|wanted| {
                let wanted = if name == "object_id" {
                    let kind = text(1).unwrap_or("u".into());
                    table_name(&wanted).filter(|_| kind.trim().eq_ignore_ascii_case("u"))?
                } else {
                    wanted
                };
                let same = |(name, number): &&(String, i64)| {
                    if by_name {
                        name.eq_ignore_ascii_case(&wanted)
                    } else {
                        number.to_string() == wanted
                    }
                };
                pairs.iter().find(same)
            });
            Some(found.map_or_else(missing, |(name, number)| value(*number, name)).expr())
        }
        None => {
            let when = |(name, number): &(String, i64)| CaseWhen {
                condition: match by_name {
                    true => Constant::text(name).expr(),
                    false => Constant::Int(*number).expr(),
                },
                result: value(*number, name).expr(),
            };
            Some(Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: Some(Box::new((*first).clone())),
                conditions: pairs.iter().map(when).collect(),
                else_result: Some(Box::new(missing().expr())),
            })
        }
    }
}

fn owned(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

/// What no column is.
const NEVER: &[&str] = &[
    "iscolumnset",
    "iscomputed",
    "iscursortype",
    "isdeterministic",
    "isfulltextindexed",
    "ishidden",
    "isidentity",
    "isidnotforrepl",
    "isoutparam",
    "isrowguidcol",
    "issparse",
    "isxmlindexable",
];

/// `COLUMNPROPERTY(table number, column, property)`.
fn column_property(table: &str, column: &str, property: &str, catalog: &Catalog) -> Constant {
    let nothing = Constant::Null(DataType::Int(None));
    let table =
        catalog.all_tables().find(|t| object_id(&t.logical_name, catalog).to_string() == table);
    let found = table.and_then(|table| {
        let mut columns = readable(table).enumerate();
        let named = columns.find(|(_, (_, c))| c.logical_name.eq_ignore_ascii_case(column));
        named.map(|(position, (index, _))| (table, position, index))
    });
    let Some((table, position, index)) = found else { return nothing };
    let its = sql_server_type(table, index);
    let is_text = its.name == "nvarchar";
    let characters = if its.max_length > 0 { its.max_length / 2 } else { its.max_length };
    match property {
        "allowsnull" => Constant::Int(table.schema().field(index).is_nullable().into()),
        "columnid" | "ordinal" => Constant::number(i64::try_from(position + 1).ok()),
        "precision" if is_text => Constant::Int(characters.into()),
        "precision" => Constant::Int(its.precision.into()),
        "charmaxlen" => Constant::number(is_text.then_some(characters.into())),
        "scale" if is_text => nothing,
        "scale" => Constant::Int(its.scale.into()),
        "usesansitrim" => Constant::number(is_text.then_some(1)),
        _ if NEVER.contains(&property) => Constant::Int(0),
        _ => nothing,
    }
}

/// A property of a table.
fn of_table(function: &str, property: &str) -> Constant {
    let property = property.to_lowercase();
    match property.as_str() {
        "basetype" if function == "objectpropertyex" => Constant::text("U "),
        "istable" | "isusertable" | "tablehasprimarykey" | "ownerid" | "schemaid" => {
            Constant::Int(1)
        }
        _ if property.starts_with("is") || property.starts_with("tablehas") => Constant::Int(0),
        _ => Constant::Null(DataType::Int(None)),
    }
}

/// `[sysjob].[dbo].[name]` without what stands before the name, if that is right.
fn table_name(written: &str) -> Option<String> {
    let parts: Vec<String> = written
        .split('.')
        .map(|part| part.trim().trim_matches(['[', ']', '"']).to_lowercase())
        .collect();
    let (name, before) = parts.split_last()?;
    let right = match before {
        [] => true,
        [schema] => ["", "dbo", "public"].contains(&schema.as_str()),
        [database, schema] => {
            ["", super::DATABASE].contains(&database.as_str())
                && ["", "dbo", "public"].contains(&schema.as_str())
        }
        _ => false,
    };
    right.then(|| name.clone())
}

/// `COL_NAME(table number, column number)`, `COL_LENGTH('table', 'column')`.
fn of_column(name: &str, table: String, column: String, catalog: &Catalog) -> Constant {
    let readable =
        |t: &Table| readable(t).map(|(_, column)| column.clone()).collect::<Vec<Column>>();
    if name == "col_name" {
        let table =
            catalog.all_tables().find(|t| object_id(&t.logical_name, catalog).to_string() == table);
        let number = column.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let found = table.and_then(|t| readable(t).get(number?).map(|c| c.logical_name.clone()));
        return Constant::name(found.as_deref());
    }
    let table = table_name(&table).and_then(|name| catalog.any_table(&name));
    let found = table.and_then(|t| {
        readable(t).into_iter().find(|c| c.logical_name.eq_ignore_ascii_case(&column))
    });
    match found {
        Some(column) => Constant::SmallInt(bytes(&column)),
        None => Constant::Null(DataType::SmallInt(None)),
    }
}

/// The greatest length of a column's values in bytes; -1 for text without limit.
fn bytes(column: &Column) -> i64 {
    match column.column_type {
        ColumnType::Uniqueidentifier
        | ColumnType::Lookup
        | ColumnType::Owner
        | ColumnType::Customer => 16,
        ColumnType::String | ColumnType::Virtual | ColumnType::EntityName => {
            column.max_length.map_or(-1, |length| i64::from(length) * 2)
        }
        ColumnType::Memo => -1,
        ColumnType::Integer | ColumnType::Picklist | ColumnType::State | ColumnType::Status => 4,
        ColumnType::Boolean => 1,
        ColumnType::BigInt | ColumnType::DateTime | ColumnType::Double | ColumnType::Money => 8,
        ColumnType::Decimal => 17,
    }
}
