//! What a session remembers from one statement to the next: variables, the
//! settings that change answers, and who asks.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{
    CastKind, CharacterLength, DataType, Expr, Ident, ObjectName, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::report;
use crate::error::Result;

/// Who asks, as far as `@@SPID`, `SUSER_SNAME()` and their like tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    pub login: String,
    pub host: Option<String>,
    pub program: Option<String>,
    /// The number of the session.
    pub process: i16,
    /// 1 within a transaction.
    pub transactions: i32,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            login: "sysjob".into(),
            host: None,
            program: Some("sysjob".into()),
            process: 51,
            transactions: 0,
        }
    }
}

/// The settings that have an effect or can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The first day of the week, from 1 for Monday to 7 for Sunday.
    pub datefirst: u8,
    /// `SET ROWCOUNT`: the rows that a query answers with at most.
    pub rowcount: Option<u64>,
    pub textsize: i32,
    pub lock_timeout: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self { datefirst: 7, rowcount: None, textsize: i32::MAX, lock_timeout: -1 }
    }
}

/// The state of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// By name in lower case, `@` included.
    variables: Variables,
    pub options: Options,
    pub client: Client,
    /// The rows of the last query, `@@ROWCOUNT`.
    pub rows: i64,
    /// `$1` is an amount of money, not a parameter.
    pub dollars: bool,
}

/// The variables of a batch.
pub type Variables = BTreeMap<String, Variable>;

/// A variable's type and value.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    data_type: DataType,
    /// `None` is null.
    value: Option<String>,
}

impl Session {
    /// The start of a client's session.
    pub fn of(client: Client) -> Self {
        Self { client, ..Self::default() }
    }

    /// Declares a variable; it is null.
    pub fn declare(&mut self, name: &str, data_type: DataType) {
        self.variables.insert(name.to_lowercase(), Variable { data_type, value: None });
    }

    /// The names of all variables, in lower case.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// Variables end with their batch.
    pub fn forget_variables(&mut self) {
        self.variables.clear();
    }

    /// Puts the variables aside, for a batch that does not see them.
    pub fn take_variables(&mut self) -> Variables {
        std::mem::take(&mut self.variables)
    }

    /// Takes up the variables that were put aside.
    pub fn restore_variables(&mut self, variables: Variables) {
        self.variables = variables;
    }

    /// A variable's value as text; `None` is null.
    pub fn value_text(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// Gives a variable a value, as text that converts to its type.
    pub fn assign(&mut self, name: &str, value: Option<String>) {
        if let Some(variable) = self.variables.get_mut(&name.to_lowercase()) {
            variable.value = value;
        }
    }

    /// An expression converted to a variable's type, as an assignment does.
    pub(super) fn converted(&self, name: &str, expr: Expr) -> Expr {
        match self.variables.get(&name.to_lowercase()) {
            Some(variable) => cast(expr, variable.data_type.clone()),
            None => expr,
        }
    }

    /// A variable's value as text; `None` is null, or no variable.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(&name.to_lowercase())?.value.as_deref()
    }

    /// A variable's type.
    pub(super) fn type_of(&self, name: &str) -> Option<&DataType> {
        Some(&self.variables.get(&name.to_lowercase())?.data_type)
    }

    /// A variable's value as an expression of its type.
    pub(super) fn value(&self, name: &str) -> Option<Expr> {
        let Variable { data_type, value } = self.variables.get(&name.to_lowercase())?;
        let Some(text) = value else {
            return Some(cast(Expr::value(Value::Null), data_type.clone()));
        };
        Some(match data_type {
            // Literals that have the type by themselves.
            DataType::Int(_) | DataType::Integer(_) => number(text),
            _ if super::convert::is_text_type(data_type) => {
                Expr::value(Value::SingleQuotedString(text.clone()))
            }
            DataType::Binary(_) | DataType::Varbinary(_) => {
                cast(Expr::value(Value::HexStringLiteral(text.clone())), data_type.clone())
            }
            _ => cast(Expr::value(Value::SingleQuotedString(text.clone())), data_type.clone()),
        })
    }

    /// Carries out `SET name value`. What is not listed here has no effect.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let value = match self.variables.get(&value.to_lowercase()) {
            Some(variable) => variable.value.clone().unwrap_or_default(),
            None => value.to_owned(),
        };
        let invalid = |message: String| report::invalid("22023", message, Location::empty());
        match name {
            "rowcount" => {
                let rows: u64 = value.trim().parse().map_err(|_| {
                    invalid(
                        "Invalid argument for SET ROWCOUNT. Must be a non-null non-negative \
                         integer (Msg 507)"
                            .into(),
                    )
                })?;
                self.options.rowcount = Some(rows).filter(|rows| *rows > 0);
            }
            "datefirst" => match value.trim().parse() {
                Ok(first @ 1..=7) => self.options.datefirst = first,
                _ => {
                    return Err(invalid(format!(
                        "SET DATEFIRST {value} is out of range (Msg 2742)"
                    )));
                }
            },
            "textsize" => self.options.textsize = whole(name, &value)?,
            "lock_timeout" => self.options.lock_timeout = whole(name, &value)?,
            _ => {}
        }
        Ok(())
    }
}

fn whole(name: &str, value: &str) -> Result<i32> {
    value.trim().parse().map_err(|_| {
        let message = format!("SET {name} takes a whole number, not '{value}' (Msg 102)");
        report::syntax(message, Location::empty())
    })
}

fn number(text: &str) -> Expr {
    let literal = |digits: &str| Expr::value(Value::Number(digits.to_owned(), false));
    match text.strip_prefix('-') {
        Some(digits) => Expr::UnaryOp {
            op: datafusion::sql::sqlparser::ast::UnaryOperator::Minus,
            expr: Box::new(literal(digits)),
        },
        None => literal(text),
    }
}

pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// The type of a variable: without a length, text and bytes have one
/// character. `None`: variables cannot have the type.
pub(super) fn variable_type(data_type: DataType) -> Option<DataType> {
    use DataType as Type;
    let one = |length: Option<CharacterLength>| {
        length.or(Some(CharacterLength::IntegerLength { length: 1, unit: None }))
    };
    Some(match data_type {
        Type::Varchar(length) => Type::Varchar(one(length)),
        Type::Nvarchar(length) => Type::Nvarchar(one(length)),
        Type::Char(length) => Type::Char(one(length)),
        Type::Character(length) => Type::Character(one(length)),
        Type::CharVarying(length) => Type::CharVarying(one(length)),
        Type::CharacterVarying(length) => Type::CharacterVarying(one(length)),
        Type::Binary(None) => Type::Binary(Some(1)),
        Type::Text => return None,
        Type::Custom(name, arguments) => {
            let lower = name.to_string().to_lowercase();
            match lower.as_str() {
                "ntext" | "image" => return None,
                "nchar" if arguments.is_empty() => {
                    let name = ObjectName::from(vec![Ident::new("nchar")]);
                    Type::Custom(name, vec!["1".into()])
                }
                _ => Type::Custom(name, arguments),
            }
        }
        other => other,
    })
}
