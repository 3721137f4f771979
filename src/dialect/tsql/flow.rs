//! Control of flow: one batch as steps in a row, `IF` and `WHILE` as jumps.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, DataType, Expr, Ident, SetExpr, Value,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::query::{Grammar, Part};
use super::script::Step;
use super::session::variable_type;
use super::syntax::Reader;
use super::tokens::{self, Batch};
use super::{Query, Statement, compound, convert, report, settings, statements};
use crate::error::{Error, ErrorKind, Result, codes};

/// How deep blocks may nest.
const MAX_DEPTH: usize = 32;

/// The words behind `BEGIN` that begin a transaction, not a block.
const TRANSACTION: [&str; 8] =
    ["TRAN", "TRANSACTION", "WORK", "ISOLATION", "READ", "NOT", "DEFERRABLE", "DISTRIBUTED"];

/// A batch that is being read.
pub(super) struct Compiler<'a> {
    pub(super) reader: Reader<'a>,
    pub steps: Vec<Step>,
    /// The variables that the batch declares.
    pub declared: Vec<(String, DataType)>,
    /// Names that may be used, in lower case.
    known: BTreeSet<String>,
    /// The steps that leave each loop around this place.
    loops: Vec<Loop>,
    depth: usize,
}

struct Loop {
    start: usize,
    breaks: Vec<usize>,
}

impl<'a> Compiler<'a> {
    pub fn new(grammar: Grammar, batch: &'a Batch, known: BTreeSet<String>) -> Self {
        let reader = Reader::new(grammar, batch);
        let (steps, declared, loops) = (Vec::new(), Vec::new(), Vec::new());
        Self { reader, steps, declared, known, loops, depth: 0 }
    }

    /// Reads the whole batch.
    pub fn batch(&mut self) -> Result<()> {
        while self.reader.more() {
            self.statement()?;
        }
        Ok(())
    }

    fn statement(&mut self) -> Result<()> {
        let word = self.reader.word().unwrap_or_default();
        let location = self.reader.location();
        match word.as_str() {
            "DECLARE" => self.declare(),
            "SET" => self.set(location),
            "IF" => self.nested(location, Self::branch),
            "WHILE" => self.nested(location, Self::repeat),
            "BEGIN" if self.begins_block()? => self.nested(location, Self::block),
            "EXEC" | "EXECUTE" if self.execute()? => Ok(()),
            "PRINT" => self.print(),
            "RETURN" => self.leave(location),
            "BREAK" | "CONTINUE" => self.jump_in_loop(&word, location),
            "ELSE" => Err(self.reader.unexpected("a statement")),
            _ => self.plain(),
        }
    }

    fn nested(&mut self, location: Location, read: fn(&mut Self) -> Result<()>) -> Result<()> {
        if self.depth == MAX_DEPTH {
            let message = format!("blocks are nested more than {MAX_DEPTH} levels deep (Msg 191)");
            let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
            return Err(report::at(error.sqlstate("54001"), location));
        }
        self.depth += 1;
        self.reader.skip();
        let result = read(self);
        self.depth -= 1;
        result
    }

    pub(super) fn push(&mut self, statement: Statement) {
        self.steps.push(Step::Do(statement));
    }

    /// A statement that has nothing to do with control of flow.
    fn plain(&mut self) -> Result<()> {
        let from = self.reader.parser.index();
        let parsed = self.reader.statement()?;
        self.check_variables(from)?;
        let alone = is_without_rows(&parsed.statement);
        match statements::statement(parsed)? {
            Statement::Fetch { variables, query } if alone => self.assign_each(variables, &query),
            other => self.push(other),
        }
        Ok(())
    }

    fn check_variables(&self, from: usize) -> Result<()> {
        self.reader.undeclared(from, |name| self.known.contains(name))
    }

    /// `SELECT @a = 1, @b = @a` is one assignment after the other.
    fn assign_each(&mut self, variables: Vec<String>, query: &Query) {
        let last = variables.len() - 1;
        for (at, variable) in variables.into_iter().enumerate() {
            let query = Query { part: Part::Item(at), ..query.clone() };
            let tag = if at == last { "SELECT" } else { "" };
            self.push(Statement::Assign { variable, query, tag });
        }
    }

    /// `DECLARE @a int = 1, @b nvarchar(50)`.
    fn declare(&mut self) -> Result<()> {
        self.reader.skip();
        let first = self.steps.len();
        loop {
            let location = self.reader.location();
            let name = self.variable()?;
            if self.reader.word().as_deref() == Some("AS") {
                self.reader.skip();
            }
            match self.reader.word().as_deref() {
                Some("TABLE") => {
                    return Err(report::unsupported(
                        format!("the table variable '{name}'"),
                        location,
                    ));
                }
                Some("CURSOR") => return Err(report::unsupported("a cursor", location)),
                _ => {}
            }
            let written = self.reader.data_type()?;
            let Some(data_type) = variable_type(written.clone()) else {
                let message = format!(
                    "The text, ntext, and image data types are invalid for local variables \
                     (Msg 2739): '{name}' is {written}"
                );
                return Err(report::invalid("42704", message, location));
            };
            check_type(&data_type, location)?;
            if !self.known.insert(name.to_lowercase()) {
                let message = format!(
                    "The variable name '{name}' has already been declared. Variable names must \
                     be unique within a query batch (Msg 134)"
                );
                return Err(report::invalid("42712", message, location));
            }
            self.declared.push((name.clone(), data_type));
            if self.reader.parser.consume_token(&Token::Eq) {
                let query = self.value(Part::Value)?;
                self.push(Statement::Assign { variable: name, query, tag: "" });
            }
            if !self.reader.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.reader.ended()?;
        match self.steps[first..].last_mut() {
            Some(Step::Do(Statement::Assign { tag, .. })) => *tag = "DECLARE",
            _ => self.push(Statement::Declare),
        }
        Ok(())
    }

    /// The name of a variable.
    pub(super) fn variable(&mut self) -> Result<String> {
        let token = self.reader.parser.peek_token();
        let name = tokens::word(&token.token).filter(|_| tokens::is_variable(&token.token));
        let Some(name) = name else {
            let cursor = (1..5).any(|n| self.reader.word_after(n).as_deref() == Some("CURSOR"));
            if cursor {
                return Err(report::unsupported("a cursor", token.span.start));
            }
            return Err(self.reader.unexpected("a variable such as @a"));
        };
        let name = name.value.clone();
        self.reader.skip();
        Ok(name)
    }

    /// An expression as a query.
    pub(super) fn value(&mut self, part: Part) -> Result<Query> {
        let (from, location) = (self.reader.parser.index(), self.reader.location());
        self.reader.expr()?;
        self.check_variables(from)?;
        Ok(self.reader.query(from, part, location))
    }

    /// `SET @a = …`, `SET @a += …`, or a setting.
    fn set(&mut self, location: Location) -> Result<()> {
        if !tokens::is_variable(&self.reader.parser.peek_nth_token_ref(1).token) {
            self.reader.skip();
            let from = self.reader.parser.index();
            if let Some(set) = settings::read(&mut self.reader.parser, location)? {
                self.reader.ended()?;
                self.check_variables(from)?;
                self.steps.extend(set.into_iter().map(Step::Do));
                return Ok(());
            }
            self.reader.parser.prev_token();
            return self.plain();
        }
        self.reader.skip();
        let from = self.reader.parser.index();
        let variable = self.variable()?;
        self.check_variables(from)?;
        let token = self.reader.parser.peek_token();
        let part = if compound::is_arithmetic(&token.token) {
            self.reader.skip();
            let name = Ident::with_span(token.span, variable.clone());
            Part::Compound { variable: name, op: operator(&token.token) }
        } else {
            Part::Value
        };
        if !self.reader.parser.consume_token(&Token::Eq) {
            return Err(self.reader.unexpected("="));
        }
        let query = self.value(part)?;
        self.reader.ended()?;
        self.push(Statement::Assign { variable, query, tag: "SET" });
        Ok(())
    }

    /// `PRINT …`: the value as text.
    fn print(&mut self) -> Result<()> {
        self.reader.skip();
        let query = self.value(Part::Text)?;
        self.reader.ended()?;
        self.push(Statement::Print(query));
        Ok(())
    }

    /// The one statement of a branch or loop.
    fn body(&mut self) -> Result<()> {
        if !self.reader.more() || self.reader.word().as_deref() == Some("END") {
            return Err(self.reader.unexpected("a statement"));
        }
        self.statement()
    }

    fn branch(&mut self) -> Result<()> {
        let condition = self.value(Part::Condition)?;
        let test = self.steps.len();
        self.steps.push(Step::Unless { condition, to: 0 });
        self.body()?;
        // An ELSE may come behind a semicolon.
        self.reader.more();
        if self.reader.word().as_deref() == Some("ELSE") {
            self.reader.skip();
            let jump = self.steps.len();
            self.steps.push(Step::Jump(0));
            self.aim(test);
            self.body()?;
            self.aim(jump);
        } else {
            self.aim(test);
        }
        Ok(())
    }

    fn repeat(&mut self) -> Result<()> {
        let condition = self.value(Part::Condition)?;
        let start = self.steps.len();
        self.steps.push(Step::Unless { condition, to: 0 });
        self.loops.push(Loop { start, breaks: Vec::new() });
        let body = self.body();
        let Loop { breaks, .. } = self.loops.pop().expect("pushed above");
        body?;
        self.steps.push(Step::Again(start));
        self.aim(start);
        breaks.into_iter().for_each(|jump| self.aim(jump));
        Ok(())
    }

    /// Lets a jump lead to the next step.
    fn aim(&mut self, jump: usize) {
        let next = self.steps.len();
        if let Step::Unless { to, .. } | Step::Jump(to) = &mut self.steps[jump] {
            *to = next;
        }
    }

    fn jump_in_loop(&mut self, word: &str, location: Location) -> Result<()> {
        let next = self.steps.len();
        let Some(around) = self.loops.last_mut() else {
            let message = format!(
                "Cannot use a {word} statement outside the scope of a WHILE statement (Msg {})",
                if word == "BREAK" { 135 } else { 136 }
            );
            return Err(report::syntax(message, location));
        };
        if word == "BREAK" {
            around.breaks.push(next);
            self.steps.push(Step::Jump(0));
        } else {
            let start = around.start;
            self.steps.push(Step::Again(start));
        }
        self.reader.skip();
        self.reader.ended()
    }

    fn leave(&mut self, location: Location) -> Result<()> {
        self.reader.skip();
        if self.reader.ended().is_err() {
            let message = "A RETURN statement with a return value cannot be used in this context \
                           (Msg 178)";
            return Err(report::syntax(message, location));
        }
        self.steps.push(Step::Return);
        Ok(())
    }

    /// Whether `BEGIN` opens a block; otherwise it begins a transaction.
    fn begins_block(&self) -> Result<bool> {
        let location = self.reader.location();
        match self.reader.word_after(1).as_deref() {
            Some("TRY" | "CATCH") => Err(report::unsupported("BEGIN TRY … BEGIN CATCH", location)),
            Some("ATOMIC" | "DIALOG" | "CONVERSATION") => {
                Err(report::unsupported("this form of BEGIN", location))
            }
            Some(word) => Ok(!TRANSACTION.contains(&word)),
            None => {
                let next = &self.reader.parser.peek_nth_token_ref(1).token;
                Ok(!matches!(next, Token::EOF | Token::SemiColon))
            }
        }
    }

    fn block(&mut self) -> Result<()> {
        let first = self.steps.len();
        loop {
            if !self.reader.more() {
                return Err(self.reader.unexpected("END"));
            }
            if self.reader.word().as_deref() == Some("END") {
                break;
            }
            self.statement()?;
        }
        if self.steps.len() == first {
            return Err(self.reader.unexpected("a statement"));
        }
        self.reader.skip();
        Ok(())
    }
}

/// A `SELECT` that has one row, whatever there is.
fn is_without_rows(statement: &ast::Statement) -> bool {
    let ast::Statement::Query(query) = statement else { return false };
    match query.body.as_ref() {
        SetExpr::Select(select) => {
            select.from.is_empty()
                && select.selection.is_none()
                && select.having.is_none()
                && select.top.is_none()
                && query.limit_clause.is_none()
                && query.fetch.is_none()
        }
        _ => false,
    }
}

fn operator(token: &Token) -> BinaryOperator {
    match token {
        Token::Plus => BinaryOperator::Plus,
        Token::Minus => BinaryOperator::Minus,
        Token::Mul => BinaryOperator::Multiply,
        Token::Div => BinaryOperator::Divide,
        Token::Mod => BinaryOperator::Modulo,
        Token::Ampersand => BinaryOperator::BitwiseAnd,
        Token::Pipe => BinaryOperator::BitwiseOr,
        _ => BinaryOperator::BitwiseXor,
    }
}

/// A type that nothing converts to is no variable's.
fn check_type(data_type: &DataType, location: Location) -> Result<()> {
    let mut cast = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::Null)),
        data_type: data_type.clone(),
        array: false,
        format: None,
    };
    convert::cast(&mut cast).map_err(|e| report::at(e, location))
}
