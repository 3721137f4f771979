//! SQL that a script makes itself: `EXEC sp_executesql N'…', N'@a int', @a = 1`
//! and `EXEC (…)`. Other procedures are refused.

use datafusion::sql::sqlparser::ast::DataType;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::flow::Compiler;
use super::query::{Grammar, Part};
use super::session::variable_type;
use super::{Query, Script, Statement, report, tokens};
use crate::error::Result;

/// A text that is run as a batch of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    /// The text.
    pub statement: Query,
    /// The text that declares its parameters.
    pub parameters: Option<Query>,
    pub arguments: Vec<Argument>,
}

/// A value for a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The parameter's name; without one its place counts.
    pub name: Option<String>,
    pub value: Query,
    /// The variable that gets the parameter's last value.
    pub output: Option<String>,
}

/// A parameter of such a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub data_type: DataType,
    pub output: bool,
}

impl Compiler<'_> {
    /// `EXEC …`, if it runs a text; otherwise nothing was read.
    pub(super) fn execute(&mut self) -> Result<bool> {
        let start = self.reader.parser.index();
        self.reader.skip();
        if self.reader.parser.consume_token(&Token::LParen) {
            self.check_text()?;
            let statement = self.value(Part::Text)?;
            if !self.reader.parser.consume_token(&Token::RParen) {
                return Err(self.reader.unexpected(")"));
            }
            self.reader.ended()?;
            let (parameters, arguments) = (None, Vec::new());
            self.push(Statement::Execute(Execute { statement, parameters, arguments }.into()));
            return Ok(true);
        }
        if !self.names_executesql() {
            while self.reader.parser.index() > start {
                self.reader.parser.prev_token();
            }
            return Ok(false);
        }
        self.check_text()?;
        let Argument { value: statement, .. } = self.argument(Part::Text)?;
        let mut parameters = None;
        let mut arguments = Vec::new();
        if self.reader.parser.consume_token(&Token::Comma) {
            parameters = Some(self.argument(Part::Text)?.value);
            while self.reader.parser.consume_token(&Token::Comma) {
                arguments.push(self.argument(Part::Value)?);
            }
        }
        self.reader.ended()?;
        self.push(Statement::Execute(Execute { statement, parameters, arguments }.into()));
        Ok(true)
    }

    /// Refuses a text that writes before anything runs, where the text is written
    /// out. What else is wrong with it is for its turn.
    fn check_text(&self) -> Result<()> {
        let token = self.reader.parser.peek_token_ref();
        let (Token::SingleQuotedString(text) | Token::NationalStringLiteral(text)) = &token.token
        else {
            return Ok(());
        };
        match Script::parse(text, std::iter::empty()) {
            Err(mut error) if error.sqlstate == Some("25006") => {
                error.place = None;
                Err(report::at(error, token.span.start))
            }
            _ => Ok(()),
        }
    }

    /// Goes past `[sys.]sp_executesql`.
    fn names_executesql(&mut self) -> bool {
        loop {
            let Some(word) = self.reader.word() else { return false };
            self.reader.skip();
            if self.reader.parser.consume_token(&Token::Period) {
                continue;
            }
            return word == "SP_EXECUTESQL";
        }
    }

    /// `[@name =] value [OUTPUT]`.
    fn argument(&mut self, part: Part) -> Result<Argument> {
        let mut name = None;
        if self.reader.parser.peek_nth_token_ref(1).token == Token::Eq
            && tokens::is_variable(&self.reader.parser.peek_token_ref().token)
        {
            name = Some(self.variable()?);
            self.reader.skip();
        }
        let variable = tokens::word(&self.reader.parser.peek_token_ref().token)
            .filter(|_| tokens::is_variable(&self.reader.parser.peek_token_ref().token))
            .map(|word| word.value.clone());
        let value = self.value(part)?;
        let location = self.reader.location();
        let output = matches!(self.reader.word().as_deref(), Some("OUTPUT" | "OUT"));
        if !output {
            return Ok(Argument { name, value, output: None });
        }
        self.reader.skip();
        let Some(variable) = variable else {
            let message = "Cannot use the OUTPUT option when passing a constant to a stored \
                           procedure (Msg 179)";
            return Err(report::syntax(message, location));
        };
        Ok(Argument { name, value, output: Some(variable) })
    }

    /// `@a int, @b nvarchar(50) OUTPUT`.
    fn parameters(&mut self) -> Result<Vec<Parameter>> {
        let mut parameters = Vec::new();
        while self.reader.more() {
            let location = self.reader.location();
            let name = self.variable()?;
            if self.reader.word().as_deref() == Some("AS") {
                self.reader.skip();
            }
            let written = self.reader.data_type()?;
            let Some(data_type) = variable_type(written.clone()) else {
                let what = format!("the type {written} of the parameter '{name}'");
                return Err(report::unsupported(what, location));
            };
            let output = matches!(self.reader.word().as_deref(), Some("OUTPUT" | "OUT"));
            if output {
                self.reader.skip();
            }
            parameters.push(Parameter { name, data_type, output });
            if !self.reader.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        if self.reader.more() {
            return Err(self.reader.unexpected("a parameter such as @a int"));
        }
        Ok(parameters)
    }
}

/// Reads a declaration of parameters.
pub fn parameters(text: &str) -> Result<Vec<Parameter>> {
    let batches = tokens::batches(text, Grammar::TSql.dialect())?;
    let Some(batch) = batches.first() else { return Ok(Vec::new()) };
    Compiler::new(Grammar::TSql, batch, Default::default()).parameters()
}

/// The error of an argument that does not fit the parameters.
pub fn unfit(message: String) -> crate::error::Error {
    report::invalid("42P02", message, Location::empty())
}
