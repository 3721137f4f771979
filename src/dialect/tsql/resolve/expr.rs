//! Expressions: names settled, T-SQL's operators and literals put into the
//! forms that the planner knows. Chains of operators are walked in a loop, so
//! a long `OR` needs no deep stack.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CeilFloorKind, DataType, DateTimeField, Expr, Ident, ObjectName,
    ObjectNamePart, Spanned, Subscript, UnaryOperator, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::scope::{self, Found, Holds, Scope, Source};
use super::{Resolver, postgres, rows, xml_list};
use crate::dialect::tsql::functions::Width;
use crate::dialect::tsql::{arrays, convert, functions, report, server};
use crate::engine::functions::{SqlType, is_collation};
use crate::error::Result;

impl Resolver<'_> {
    /// Resolves an expression in place.
    pub(super) fn expr(&mut self, expr: &mut Expr) -> Result<()> {
        // `next` is the left operand, where chains are deep; the others recurse.
        let mut next = Some(expr);
        while let Some(expr) = next {
            next = self.step(expr)?;
        }
        Ok(())
    }

    fn boxed(&mut self, exprs: &mut [&mut Box<Expr>]) -> Result<()> {
        exprs.iter_mut().try_for_each(|e| self.expr(e))
    }

    /// Resolves all but the leftmost operand, which it returns.
    fn step<'e>(&mut self, expr: &'e mut Expr) -> Result<Option<&'e mut Expr>> {
        if let Expr::Like { any: false, expr: value, pattern, .. } = expr {
            trim_varchar(value, pattern);
        }
        if let Some(plainer) = rows::among(expr, self.location)? {
            *expr = plainer;
        }
        let plainer = || rows::compared(expr).or_else(|| rows::similar(expr));
        let plainer = || plainer().or_else(|| postgres::plainer(expr));
        if let Some(plainer) = plainer().or_else(|| xml_list::joined(expr)) {
            *expr = plainer;
        }
        match expr {
            // PostgreSQL's members of JSON texts.
            Expr::BinaryOp { left, op, right }
                if matches!(op, BinaryOperator::Arrow | BinaryOperator::LongArrow) =>
            {
                self.expr(left)?;
                self.expr(right)?;
                let name =
                    if *op == BinaryOperator::Arrow { "pg_json_get" } else { "pg_json_text" };
                let args = [left, right].map(|side| std::mem::replace(side.as_mut(), nothing()));
                *expr = functions::call(name, args.into());
                Ok(None)
            }
            Expr::BinaryOp { left, op, right } => {
                self.check_operator(op)?;
                self.expr(right)?;
                // What may join text takes a table's name, not its code.
                if matches!(op, BinaryOperator::StringConcat | BinaryOperator::Plus) {
                    self.named(right);
                    if is_name(left) {
                        self.text_of(left)?;
                        return Ok(None);
                    }
                }
                Ok(Some(left))
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.expr(right)?;
                Ok(Some(left))
            }
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::Nested(inner) => Ok(Some(inner)),
            Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr: operand } => {
                self.expr(operand)?;
                let operand = std::mem::replace(operand.as_mut(), nothing());
                *expr = functions::call("sql_bitwise_not", vec![operand]);
                Ok(None)
            }
            Expr::UnaryOp { op, expr } => match op {
                UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not => Ok(Some(expr)),
                _ => Err(report::unsupported(format!("the operator {op}"), self.location)),
            },
            Expr::InList { expr, list, .. } => {
                list.iter_mut().try_for_each(|e| self.expr(e))?;
                Ok(Some(expr))
            }
            Expr::InSubquery { expr, subquery, .. } => {
                self.subquery(subquery, true)?;
                Ok(Some(expr))
            }
            Expr::Between { expr, low, high, .. } => {
                self.boxed(&mut [low, high])?;
                Ok(Some(expr))
            }
            Expr::Like { any: false, expr, pattern, escape_char, .. }
            | Expr::ILike { any: false, expr, pattern, escape_char, .. } => {
                if let Some(escape) = escape_char {
                    plain_literal(escape);
                    check_escape(escape)?;
                }
                self.expr(pattern)?;
                Ok(Some(expr))
            }
            other => self.leaf(other).map(|()| None),
        }
    }

    /// Expressions whose parts are all walked by recursion.
    fn leaf(&mut self, expr: &mut Expr) -> Result<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.name(expr),
            Expr::Value(ValueWithSpan { value: Value::Placeholder(name), span })
                if name.starts_with('@') =>
            {
                let ident = Ident::with_span(*span, name.clone());
                *expr = self.column(&ident)?;
                Ok(())
            }
            Expr::Value(value) => {
                if self.session.dollars
                    && let Value::Placeholder(amount) = &mut value.value
                    && amount.strip_prefix('$').is_some_and(|n| n.parse::<u64>().is_ok())
                {
                    amount.push_str(".0");
                }
                plain_literal(value);
                if let Some(literal) = typed_number(&value.value) {
                    *expr = literal;
                }
                Ok(())
            }
            Expr::TypedString(typed) => {
                plain_literal(&mut typed.value);
                let start = typed.value.span.start;
                convert::typed_literal(expr).map_err(|e| report::at(e, start))
            }
            Expr::Interval(interval) => self.expr(&mut interval.value),
            // `$1::int4[]`; what has no type here takes it from what it is compared with.
            Expr::Cast { expr: inner, data_type, .. }
                if matches!(data_type, DataType::Array(_)) && is_parameter(inner) =>
            {
                match arrays::engine_type(data_type) {
                    Some(known) => *data_type = known,
                    None => *expr = std::mem::replace(inner.as_mut(), nothing()),
                }
                Ok(())
            }
            // `ARRAY[…]::int[]` and `'{…}'::int[]` are arrays of what is cast.
            Expr::Cast { expr: inner, data_type: DataType::Array(element), kind, .. } => {
                if let Some(array) = arrays::cast(inner, element, kind) {
                    *expr = array;
                    return self.expr(expr);
                }
                convert::cast(expr).map_err(|e| report::at(e, self.place_of(expr)))
            }
            // PostgreSQL's intervals are the engine's.
            Expr::Cast { expr: inner, data_type: DataType::Interval { .. }, .. } => {
                self.expr(inner)
            }
            Expr::Cast { expr: inner, .. } => {
                self.text_of(inner)?;
                convert::cast(expr).map_err(|e| report::at(e, self.place_of(expr)))
            }
            Expr::Convert { expr: inner, styles, .. } => {
                self.text_of(inner)?;
                styles.iter_mut().try_for_each(|style| self.expr(style))?;
                convert::convert(expr).map_err(|e| report::at(e, self.place_of(expr)))
            }
            Expr::Function(_) => self.function(expr),
            Expr::Case { operand, conditions, else_result, .. } => {
                for operand in operand.iter_mut().chain(else_result) {
                    self.text_of(operand)?;
                }
                for when in conditions {
                    self.text_of(&mut when.condition)?;
                    self.text_of(&mut when.result)?;
                }
                Ok(())
            }
            Expr::Collate { .. } => self.collate(expr),
            Expr::Exists { subquery, .. } => self.subquery(subquery, false),
            Expr::Subquery(subquery) => self.subquery(subquery, true),
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
                if let Some(array) = arrays::written(right) {
                    **right = array;
                }
                self.boxed(&mut [left, right])
            }
            Expr::Extract { expr: inner, .. }
            | Expr::Ceil {
                expr: inner,
                field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            }
            | Expr::Floor {
                expr: inner,
                field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            } => {
                self.expr(inner)?;
                functions::spelled_out(expr);
                Ok(())
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                self.boxed(&mut [timestamp, time_zone])?;
                functions::spelled_out(expr);
                Ok(())
            }
            Expr::Overlay { expr: inner, overlay_what, overlay_from, overlay_for } => {
                self.boxed(&mut [inner, overlay_what, overlay_from])?;
                overlay_for.iter_mut().try_for_each(|e| self.expr(e))?;
                functions::spelled_out(expr);
                Ok(())
            }
            Expr::Position { expr, r#in } => self.boxed(&mut [expr, r#in]),
            Expr::Trim { trim_what, expr: inner, trim_characters: None, .. } => {
                if let Some(what) = trim_what {
                    self.text_of(what)?;
                }
                self.text_of(inner)?;
                functions::trim(expr);
                Ok(())
            }
            Expr::Substring { expr: inner, substring_from, substring_for, .. } => {
                self.text_of(inner)?;
                for bound in substring_from.iter_mut().chain(substring_for) {
                    self.expr(bound)?;
                }
                functions::substring(expr);
                Ok(())
            }
            Expr::Array(array) => array.elem.iter_mut().try_for_each(|e| self.text_of(e)),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let subscripts = access_chain.iter_mut().map(|access| match access {
                    AccessExpr::Subscript(
                        subscript @ (Subscript::Index { .. }
                        | Subscript::Slice { stride: None, .. }),
                    ) => Some(subscript),
                    _ => None,
                });
                let Some(subscripts) = subscripts.collect::<Option<Vec<_>>>() else {
                    return Err(report::unsupported(format!("'{expr}'"), self.place_of(expr)));
                };
                self.expr(root)?;
                let mut found = std::mem::replace(root.as_mut(), nothing());
                for subscript in subscripts {
                    found = match subscript {
                        Subscript::Index { index } => {
                            self.expr(index)?;
                            let index = std::mem::replace(index, nothing());
                            functions::call("array_element", vec![found, index])
                        }
                        Subscript::Slice { lower_bound, upper_bound, .. } => {
                            for bound in lower_bound.iter_mut().chain(upper_bound.iter_mut()) {
                                self.expr(bound)?;
                            }
                            arrays::slice(found, lower_bound.take(), upper_bound.take())
                        }
                    };
                }
                *expr = found;
                Ok(())
            }
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                sets.iter_mut().flatten().try_for_each(|e| self.expr(e))
            }
            other => {
                let what = match &*other {
                    Expr::Tuple(_) => "a row of values".to_owned(),
                    Expr::SimilarTo { .. } => "SIMILAR TO a pattern that is computed".to_owned(),
                    other => format!("'{other}'"),
                };
                Err(report::unsupported(what, self.place_of(other)))
            }
        }
    }

    /// `text COLLATE name`.
    fn collate(&mut self, expr: &mut Expr) -> Result<()> {
        let Expr::Collate { expr: text, collation } = expr else { return Ok(()) };
        self.text_of(text)?;
        let name = collation.0.last().and_then(|part| part.as_ident());
        let (name, place) = match name {
            Some(name) => (name.value.clone(), report::start(name)),
            None => (collation.to_string(), self.location),
        };
        if !is_collation(&name) {
            let message = format!("Invalid collation '{name}' (Msg 448)");
            return Err(report::invalid("42704", message, place));
        }
        let text = std::mem::replace(&mut **text, nothing());
        *expr = functions::call("sql_collate", vec![text, functions::text(&name)]);
        Ok(())
    }

    /// Resolves an expression of which a table's name is wanted, not its code.
    pub(super) fn text_of(&mut self, expr: &mut Expr) -> Result<()> {
        self.expr(expr)?;
        self.named(expr);
        Ok(())
    }

    /// Puts the table's name in place of a resolved column with its code.
    fn named(&self, expr: &mut Expr) {
        if holds(expr, &self.scopes) == Holds::TableName {
            let code = std::mem::replace(expr, nothing());
            *expr = functions::call("sql_table_name", vec![code]);
        }
    }

    /// Where an expression starts, or its `SELECT`.
    fn place_of(&self, expr: &Expr) -> Location {
        let start = expr.span().start;
        if start.line == 0 { self.location } else { start }
    }

    fn check_operator(&self, op: &BinaryOperator) -> Result<()> {
        use BinaryOperator as Op;
        match op {
            Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::StringConcat
            | Op::Gt
            | Op::Lt
            | Op::GtEq
            | Op::LtEq
            | Op::Eq
            | Op::NotEq
            | Op::And
            | Op::Or
            | Op::BitwiseOr
            | Op::BitwiseAnd
            | Op::BitwiseXor
            | Op::PGRegexMatch
            | Op::PGRegexIMatch
            | Op::PGRegexNotMatch
            | Op::PGRegexNotIMatch => Ok(()),
            _ => Err(report::unsupported(format!("the operator {op}"), self.location)),
        }
    }

    /// A query used as a value or a list of values: one column.
    fn subquery(
        &mut self,
        query: &mut datafusion::sql::sqlparser::ast::Query,
        single: bool,
    ) -> Result<()> {
        let location = self.location;
        self.check_inner_order(query)?;
        let outputs = self.query(query)?;
        if single && outputs.len() != 1 {
            let message = format!(
                "A subquery used as an expression must have one column, not {} (Msg 116)",
                outputs.len()
            );
            return Err(report::invalid("42601", message, location));
        }
        Ok(())
    }

    fn name(&mut self, expr: &mut Expr) -> Result<()> {
        let found = match expr {
            Expr::Identifier(ident) => self.column(ident)?,
            Expr::CompoundIdentifier(parts) => self.qualified_column(parts)?,
            _ => return Ok(()),
        };
        *expr = found;
        Ok(())
    }

    fn column(&self, ident: &Ident) -> Result<Expr> {
        let bare = ident.quote_style.is_none();
        if bare && ident.value.starts_with('@') {
            let mut value = server::variable(ident, self.session)?;
            convert::cast(&mut value).map_err(|e| report::at(e, report::start(ident)))?;
            return Ok(value);
        }
        for (depth, scope) in self.scopes.iter().rev().enumerate() {
            let found = match scope.column(ident)? {
                None if depth == 0 => scope.alias(ident),
                found => found,
            };
            if let Some(found) = found {
                return Ok(found.expr);
            }
        }
        // T-SQL has no such literals; PostgreSQL's clients write them.
        if bare && ["true", "false"].iter().any(|l| l.eq_ignore_ascii_case(&ident.value)) {
            let value = ident.value.eq_ignore_ascii_case("true");
            return Ok(Expr::Value(ValueWithSpan {
                value: Value::Boolean(value),
                span: ident.span,
            }));
        }
        if bare && let Some(value) = server::name(&ident.value, self.session) {
            return Ok(value);
        }
        let empty = Scope::default();
        let scope = self.scopes.last().unwrap_or(&empty);
        Err(scope::unknown(ident, &scope.sources, &scope.aliases))
    }

    fn qualified_column(&self, parts: &[Ident]) -> Result<Expr> {
        let Some((column, qualifiers)) = parts.split_last() else {
            return Err(report::unsupported("an empty name", self.location));
        };
        let source = self.qualified_source(qualifiers)?;
        let Found { expr, .. } = scope::column_of(&source, column)?;
        Ok(expr)
    }

    /// The source that `t`, `dbo.t` or `sysjob.dbo.t` names.
    pub(super) fn qualified_source(&self, qualifiers: &[Ident]) -> Result<Source> {
        let Some((name, schema)) = qualifiers.split_last() else {
            return Err(report::unsupported("an empty name", self.location));
        };
        let whole =
            ObjectName(qualifiers.iter().cloned().map(ObjectNamePart::Identifier).collect());
        super::from::check_qualifiers(schema, &whole, report::start(&qualifiers[0]))?;
        let found = self
            .scopes
            .iter()
            .rev()
            .find_map(|scope| scope.source(&name.value, !schema.is_empty()));
        if let Some(source) = found {
            return Ok(source.clone());
        }
        let names: Vec<&str> = self
            .scopes
            .iter()
            .rev()
            .flat_map(|scope| &scope.sources)
            .filter_map(|source| source.name.as_deref())
            .collect();
        let known: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        // Any two one-letter aliases are near to each other.
        let nearest = if name.value.len() > 1 {
            crate::catalog::nearest(&name.value, names.iter().copied())
        } else {
            None
        };
        let message = format!(
            "The multi-part identifier starting with '{whole}' could not be bound (Msg 4104): \
             the tables of the query are {}{}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            report::suggestion(nearest)
        );
        Err(report::unknown_table(message, report::start(&qualifiers[0])))
    }
}

/// Numbers whose type is told by how they are written: `1e0` is a float and
/// `$1.50` money.
fn typed_number(value: &Value) -> Option<Expr> {
    match value {
        Value::Number(number, _) if number.contains(['e', 'E']) => {
            Some(convert::literal(number, SqlType::Float))
        }
        Value::Placeholder(text) if text.starts_with('$') && text.contains('.') => {
            Some(convert::literal(&text[1..], SqlType::Money))
        }
        _ => None,
    }
}

/// `varchar LIKE varchar`: blanks at the end of the value do not count, as long as
/// the pattern asks for none; those of `nvarchar`, as of columns, do.
fn trim_varchar(value: &mut Expr, pattern: &Expr) {
    let narrow = |e: &Expr| functions::width(e) == Width::Varchar;
    let exact = match pattern {
        Expr::Value(pattern) => match &pattern.value {
            Value::SingleQuotedString(text) => !text.ends_with([' ', '_', ']']),
            _ => false,
        },
        _ => false,
    };
    if exact && narrow(value) && narrow(pattern) {
        let whole = std::mem::replace(value, nothing());
        *value = functions::call("rtrim", vec![whole]);
    }
}

/// `ESCAPE` takes one character.
fn check_escape(escape: &ValueWithSpan) -> Result<()> {
    match &escape.value {
        Value::SingleQuotedString(text) if text.chars().count() != 1 => {
            let message = format!(
                "The invalid escape character \"{text}\" was specified in a LIKE predicate (Msg 506)"
            );
            Err(report::invalid("22019", message, escape.span.start))
        }
        _ => Ok(()),
    }
}

/// A literal without a dialect's decoration: `N'…'`, `E'…'`.
fn plain_literal(literal: &mut ValueWithSpan) {
    let text = match &mut literal.value {
        Value::NationalStringLiteral(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text) => std::mem::take(text),
        Value::DollarQuotedString(text) => std::mem::take(&mut text.value),
        _ => return,
    };
    literal.value = Value::SingleQuotedString(text);
}

/// A stand-in while an expression is taken apart.
fn nothing() -> Expr {
    Expr::value(Value::Null)
}

fn is_parameter(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

fn is_name(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// What a resolved expression is known to hold.
pub(super) fn holds(expr: &Expr, scopes: &[Scope]) -> Holds {
    match expr {
        Expr::Nested(inner) => holds(inner, scopes),
        Expr::Case { conditions, .. } => {
            conditions.first().map_or(Holds::Other, |when| holds(&when.result, scopes))
        }
        Expr::Identifier(ident) => held(scopes, |scope| {
            let found = scope.column(ident).ok().flatten();
            found.or_else(|| scope.alias(ident))
        }),
        Expr::CompoundIdentifier(parts) => {
            let [source, column] = parts.as_slice() else { return Holds::Other };
            held(scopes, |scope| {
                let source = scope.source(&source.value, false)?;
                scope::column_of(source, column).ok()
            })
        }
        _ => Holds::Other,
    }
}

fn held(scopes: &[Scope], find: impl Fn(&Scope) -> Option<Found>) -> Holds {
    scopes.iter().rev().find_map(find).map_or(Holds::Other, |found| found.holds)
}
