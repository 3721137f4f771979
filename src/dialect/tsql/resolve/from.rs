//! `FROM`: tables, derived tables and joins, and the names they give columns.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Spanned, TableAlias, TableFactor, TableFunctionArgs, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Resolver;
use super::scope::{self, Columns, Source};
use super::tables::is_table_function;
use crate::catalog::views::View;
use crate::dialect::tsql::report;
use crate::error::Result;

/// The only database.
const DATABASE: &str = "sysjob";

/// The schemas that tables may be written with.
const SCHEMAS: [&str; 2] = ["dbo", "public"];

/// How SQL Server is to read a table. Snapshots need none of it.
const TABLE_HINTS: &[&str] = &[
    "FORCESCAN",
    "FORCESEEK",
    "HOLDLOCK",
    "INDEX",
    "NOEXPAND",
    "NOLOCK",
    "NOWAIT",
    "PAGLOCK",
    "READCOMMITTED",
    "READCOMMITTEDLOCK",
    "READPAST",
    "READUNCOMMITTED",
    "REPEATABLEREAD",
    "ROWLOCK",
    "SERIALIZABLE",
    "SNAPSHOT",
    "TABLOCK",
    "TABLOCKX",
    "UPDLOCK",
    "XLOCK",
];

impl Resolver<'_> {
    /// All items of `FROM`.
    pub(super) fn from(&mut self, from: &mut [TableWithJoins]) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for item in from {
            let added = self.table_with_joins(item, &sources)?;
            sources.extend(added);
        }
        for (i, source) in sources.iter().enumerate() {
            let Some(name) = &source.name else { continue };
            let taken = |s: &&Source| s.name.as_deref().is_some_and(|n| scope::same(n, name));
            if let Some(other) = sources[..i].iter().find(taken) {
                let message = if source.bare_table || other.bare_table {
                    format!(
                        "Two tables of the FROM clause have the name '{name}' (Msg 1013); \
                         give one of them an alias"
                    )
                } else {
                    format!(
                        "The correlation name '{name}' is specified multiple times in a FROM \
                         clause (Msg 1011)"
                    )
                };
                return Err(report::invalid("42712", message, self.location));
            }
        }
        Ok(sources)
    }

    /// One table or parenthesized item; a nested join has several sources.
    /// `beside` are the tables that a lateral one sees.
    pub(super) fn factor(
        &mut self,
        factor: &mut TableFactor,
        beside: &[Source],
    ) -> Result<Vec<Source>> {
        let what = match factor {
            TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. }
                if is_table_function(name) =>
            {
                let (table, source) = self.table_function(
                    name,
                    &args.args,
                    alias.as_ref(),
                    *with_ordinality,
                    beside,
                )?;
                *factor = table;
                return Ok(vec![source]);
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                let (table, source) =
                    self.table_function(name, args, alias.as_ref(), *with_ordinality, beside)?;
                *factor = table;
                return Ok(vec![source]);
            }
            TableFactor::UNNEST {
                alias, array_exprs, with_offset: false, with_ordinality, ..
            } => {
                let args: Vec<_> = array_exprs
                    .iter()
                    .map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e.clone())))
                    .collect();
                let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new("unnest"))]);
                let (table, source) =
                    self.table_function(&name, &args, alias.as_ref(), *with_ordinality, beside)?;
                *factor = table;
                return Ok(vec![source]);
            }
            TableFactor::Table { .. } => return self.table(factor).map(|source| vec![source]),
            TableFactor::Derived { .. } => {
                return self.derived_table(factor, beside).map(|source| vec![source]);
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                return self.table_with_joins(table_with_joins, beside);
            }
            TableFactor::Pivot { .. } => return self.pivot(factor, beside).map(|s| vec![s]),
            TableFactor::Unpivot { .. } => return self.unpivot(factor, beside).map(|s| vec![s]),
            TableFactor::NestedJoin { .. } => "an alias for a parenthesized join",
            TableFactor::OpenJsonTable { .. } => "OPENJSON",
            TableFactor::TableFunction { .. } | TableFactor::UNNEST { .. } => {
                "a table-valued function"
            }
            TableFactor::JsonTable { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::SemanticView { .. } => "this kind of table",
        };
        Err(report::unsupported(what, self.location))
    }

    fn table(&mut self, factor: &mut TableFactor) -> Result<Source> {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = factor
        else {
            unreachable!("called for plain tables only")
        };
        let location = object_start(name).unwrap_or(self.location);
        let other = [
            (version.is_some(), "FOR SYSTEM_TIME"),
            (*with_ordinality, "WITH ORDINALITY"),
            (!partitions.is_empty(), "PARTITION"),
            (json_path.is_some(), "a path into a table"),
            (sample.is_some(), "TABLESAMPLE"),
            (!index_hints.is_empty(), "USE INDEX"),
        ];
        if let Some((_, what)) = other.into_iter().find(|(used, _)| *used) {
            return Err(report::unsupported(what, location));
        }
        drop_argument_hints(args, name, location)?;
        for hint in with_hints.drain(..) {
            let own = hint.span().start;
            check_hint(&hint, if own.line == 0 { location } else { own })?;
        }
        if let Some(alias) = alias {
            drop_alias_hints(alias);
        }
        let source = self.named_table(name)?;
        match alias {
            None => Ok(source),
            Some(alias) if alias.columns.is_empty() => {
                Ok(Source { name: Some(alias.name.value.clone()), bare_table: false, ..source })
            }
            Some(alias) => Self::derived(source.outputs(), Some(alias)),
        }
    }

    /// `sys.tables`, `INFORMATION_SCHEMA.COLUMNS`, `sysjob.sys.tables`.
    fn system_view(&self, qualifiers: &[Ident], last: &Ident) -> Option<&View> {
        let schema = match qualifiers {
            [schema] => schema,
            [database, schema] if scope::same(&database.value, DATABASE) => schema,
            _ => return None,
        };
        self.catalog.view(&schema.value, &last.value)
    }

    /// A name as a common table expression or a table of the catalog; the name
    /// becomes the exact one.
    fn named_table(&self, name: &mut ObjectName) -> Result<Source> {
        let location = object_start(name).unwrap_or(self.location);
        let parts: Option<Vec<Ident>> =
            name.0.iter().map(|part| part.as_ident().cloned()).collect();
        let Some((last, qualifiers)) = parts.as_deref().and_then(|parts| parts.split_last()) else {
            return Err(report::unsupported(name.to_string(), location));
        };
        if last.value.starts_with(['#', '@']) && last.quote_style.is_none() {
            let what = format!("the temporary table '{}'", last.value);
            return Err(report::unsupported(what, location));
        }
        let rename = |exact: &str| ObjectName(vec![part(exact, last)]);
        if qualifiers.is_empty()
            && let Some(cte) = self
                .ctes
                .iter()
                .rev()
                .find(|c| c.name.as_deref().is_some_and(|n| scope::same(n, &last.value)))
        {
            *name = rename(cte.name.as_deref().expect("found by its name"));
            return Ok(cte.clone());
        }
        if let Some(view) = self.system_view(qualifiers, last) {
            *name = ObjectName(vec![part(view.schema, last), part(view.name(), last)]);
            let columns = Columns::Table(view.table.clone());
            let name = Some(view.name().to_owned());
            return Ok(Source { bare_table: true, ..Source::new(name, columns) });
        }
        if qualifiers.last().is_some_and(is_view_schema) {
            let message = format!("Invalid object name '{name}' (Msg 208)");
            return Err(report::unknown_table(message, location));
        }
        check_qualifiers(qualifiers, name, location)?;
        let Some(table) = self.catalog.any_table(&last.value.to_lowercase()) else {
            let ctes = self.ctes.iter().filter_map(|c| c.name.as_deref());
            let nearest = crate::catalog::nearest(
                &last.value,
                ctes.chain(self.catalog.nearest_of_all_tables(&last.value)),
            );
            let message =
                format!("Invalid object name '{name}' (Msg 208){}", report::suggestion(nearest));
            return Err(report::unknown_table(message, location));
        };
        *name = rename(&table.logical_name);
        let columns = Columns::Table(table.clone());
        Ok(Source { bare_table: true, ..Source::new(Some(table.logical_name.clone()), columns) })
    }
}

/// Schemas of catalog views, which hold nothing else.
fn is_view_schema(schema: &Ident) -> bool {
    ["sys", "INFORMATION_SCHEMA"].iter().any(|name| scope::same(name, &schema.value))
}

/// A part of a name, at the place of `at`.
fn part(exact: &str, at: &Ident) -> ObjectNamePart {
    let ident = Ident { value: exact.to_owned(), quote_style: None, span: at.span };
    ObjectNamePart::Identifier(ident)
}

/// `dbo.`, `public.`, `sysjob.dbo.`, `sysjob..`.
pub(super) fn check_qualifiers(
    qualifiers: &[Ident],
    name: &ObjectName,
    location: Location,
) -> Result<()> {
    let (database, schema) = match qualifiers {
        [] => return Ok(()),
        [schema] => (None, schema),
        [database, schema] => (Some(database), schema),
        _ => {
            return Err(report::unsupported(format!("the name '{name}' with a server"), location));
        }
    };
    if let Some(database) = database
        && !database.value.is_empty()
        && !scope::same(&database.value, DATABASE)
    {
        let message = format!(
            "Reference to database '{}' is not supported (Msg 40515); the only one is '{DATABASE}'",
            database.value
        );
        return Err(report::at(
            crate::error::Error::unsupported(message).sqlstate("0A000"),
            location,
        ));
    }
    if schema.value.is_empty()
        || is_view_schema(schema)
        || SCHEMAS.iter().any(|s| scope::same(s, &schema.value))
    {
        return Ok(());
    }
    let message = format!(
        "Invalid object name '{name}' (Msg 208): there is no schema '{}', tables are in 'dbo'",
        schema.value
    );
    Err(report::unknown_table(message, location))
}

fn object_start(name: &ObjectName) -> Option<Location> {
    name.0.first()?.as_ident().map(report::start)
}

fn is_hint(name: &str) -> bool {
    TABLE_HINTS.iter().any(|hint| hint.eq_ignore_ascii_case(name))
}

/// `FROM t (NOLOCK)` parses as a function call; anything but hints is one.
fn drop_argument_hints(
    args: &mut Option<TableFunctionArgs>,
    name: &ObjectName,
    location: Location,
) -> Result<()> {
    let Some(arguments) = args.take() else { return Ok(()) };
    let hints = !arguments.args.is_empty()
        && arguments.settings.is_none()
        && arguments.args.iter().all(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                hint_name(expr).is_some_and(is_hint)
            }
            _ => false,
        });
    if hints {
        return Ok(());
    }
    Err(report::unsupported(format!("the table-valued function '{name}'"), location))
}

/// `FROM t a (NOLOCK)` parses as an alias with column names.
fn drop_alias_hints(alias: &mut TableAlias) {
    if alias.columns.iter().all(|c| c.data_type.is_none() && is_hint(&c.name.value)) {
        alias.columns.clear();
    }
}

fn check_hint(hint: &Expr, location: Location) -> Result<()> {
    if hint_name(hint).is_some_and(is_hint) {
        return Ok(());
    }
    let name = hint.to_string();
    let nearest = crate::catalog::nearest(&name, TABLE_HINTS.iter().copied());
    let message =
        format!("'{name}' is not a recognized table hint (Msg 321){}", report::suggestion(nearest));
    Err(report::invalid("42601", message, location))
}

/// `NOLOCK`, `INDEX(…)`, `INDEX = …`: the hint's first word.
fn hint_name(hint: &Expr) -> Option<&str> {
    match hint {
        Expr::Identifier(ident) => Some(&ident.value),
        Expr::Function(function) if function.args != FunctionArguments::None => {
            match function.name.0.as_slice() {
                [part] => part.as_ident().map(|i| i.value.as_str()),
                _ => None,
            }
        }
        Expr::BinaryOp { left, .. } => match left.as_ref() {
            Expr::Identifier(ident) => Some(&ident.value),
            _ => None,
        },
        _ => None,
    }
}
