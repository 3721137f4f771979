//! T-SQL's grammar as the parser knows it, with what it leaves out: `ROLLUP`,
//! `CUBE` and grouping sets after `GROUP BY`, and PostgreSQL's `FILTER` and `BETWEEN
//! SYMMETRIC`, which conflict with nothing.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, GranteesType, Statement};
use datafusion::sql::sqlparser::dialect::{Dialect, MsSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The grammar that texts are read with first.
#[derive(Debug)]
pub(super) struct TSql;

const BASE: MsSqlDialect = MsSqlDialect {};

impl Dialect for TSql {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MsSqlDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        BASE.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        BASE.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        BASE.is_identifier_part(ch)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        BASE.identifier_quote_style(identifier)
    }

    fn convert_type_before_value(&self) -> bool {
        true
    }

    fn supports_outer_join_operator(&self) -> bool {
        true
    }

    fn supports_dollar_as_money_prefix(&self) -> bool {
        true
    }

    fn supports_connect_by(&self) -> bool {
        true
    }

    fn supports_eq_alias_assignment(&self) -> bool {
        true
    }

    fn supports_try_convert(&self) -> bool {
        true
    }

    fn supports_boolean_literals(&self) -> bool {
        false
    }

    fn supports_named_fn_args_with_colon_operator(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        false
    }

    fn supports_start_transaction_modifier(&self) -> bool {
        true
    }

    fn supports_end_transaction_modifier(&self) -> bool {
        true
    }

    fn supports_set_stmt_without_operator(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_object_name_double_dot_notation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn get_reserved_grantees_types(&self) -> &[GranteesType] {
        &[GranteesType::Public]
    }

    fn is_select_item_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        !is_nothing(parser) && BASE.is_select_item_alias(explicit, kw, parser)
    }

    fn is_table_factor_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        BASE.is_table_factor_alias(explicit, kw, parser)
    }

    fn parse_statement(&self, parser: &mut Parser) -> Option<Result<Statement, ParserError>> {
        BASE.parse_statement(parser)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        BASE.get_next_precedence(parser)
    }

    /// PostgreSQL's own operators, such as `->>`, bind closer than comparisons.
    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::PgOther => BASE.prec_value(Precedence::Xor) + 1,
            other => BASE.prec_value(other),
        }
    }

    /// PostgreSQL's `x BETWEEN SYMMETRIC a AND b`: whichever comes first.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let is = |at: usize, name: &str| {
            matches!(parser.peek_nth_token(at).token, Token::Word(word)
                if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
        };
        let negated = is(0, "not");
        let first = usize::from(negated);
        if !is(first, "between") || !is(first + 1, "symmetric") {
            return None;
        }
        (0..first + 2).for_each(|_| {
            parser.next_token();
        });
        Some(self.symmetric(parser, expr, negated))
    }

    /// `ARRAY[…]` and `E'…'` are PostgreSQL's; here they would be a name with an alias.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let mut tokens = (0..2).map(|n| parser.peek_nth_token_no_skip(n).token);
        let (Some(Token::Word(word)), Some(next)) = (tokens.next(), tokens.next()) else {
            return None;
        };
        let is = |name: &str| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name);
        let postgres = match next {
            Token::Word(next) => next.quote_style == Some('[') && is("array"),
            Token::SingleQuotedString(_) => is("e"),
            _ => false,
        };
        postgres.then(|| Err(ParserError::ParserError("an expression is expected".to_owned())))
    }
}

impl TSql {
    fn symmetric(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        negated: bool,
    ) -> Result<Expr, ParserError> {
        let precedence = self.prec_value(Precedence::Between);
        let one = parser.parse_subexpr(precedence)?;
        parser.expect_keyword(Keyword::AND)?;
        let other = parser.parse_subexpr(precedence)?;
        let between = |low: &Expr, high: &Expr| {
            Box::new(Expr::Between {
                expr: Box::new(expr.clone()),
                negated,
                low: Box::new(low.clone()),
                high: Box::new(high.clone()),
            })
        };
        let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
        let (left, right) = (between(&one, &other), between(&other, &one));
        Ok(Expr::Nested(Box::new(Expr::BinaryOp { left, op, right })))
    }
}

/// Whether `[]` was read, which is no name: a type of PostgreSQL's arrays ends so.
fn is_nothing(parser: &Parser) -> bool {
    matches!(&parser.get_current_token().token, Token::Word(word)
        if word.quote_style == Some('[') && word.value.is_empty())
}
