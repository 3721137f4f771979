//! The options of `COPY`: as they are written, and what they come to.

use std::collections::HashSet;

use pgwire::error::PgWireResult;

use super::super::error::{plain, state};

/// How it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Options {
    Binary,
    Text(Text),
    Csv(Csv),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Csv {
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    pub quote: u8,
    pub escape: u8,
    pub force_quote: Force,
}

/// Which columns are always quoted.
#[derive(Clone, Debug, PartialEq)]
pub enum Force {
    All,
    Columns(Vec<String>),
}

impl Options {
    /// Whether values are written in their binary form.
    pub fn binary(&self) -> bool {
        matches!(self, Self::Binary)
    }
}

/// What an option is set to.
pub(super) enum Setting {
    Nothing,
    Value(String),
    Columns(Vec<String>),
    All,
}

/// The options as they were written.
#[derive(Default)]
pub(super) struct Given {
    names: HashSet<String>,
    pub format: Option<String>,
    header: bool,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<Force>,
}

impl Given {
    /// Whether nothing was written.
    pub fn empty(&self) -> bool {
        self.names.is_empty() && self.format.is_none()
    }

    /// Keeps an option.
    pub fn set(&mut self, name: &str, value: Setting) -> PgWireResult<()> {
        if !self.names.insert(name.to_owned()) || (name == "format" && self.format.is_some()) {
            return Err(plain(state::SYNTAX, "conflicting or redundant options"));
        }
        let text = |value: Setting| match value {
            Setting::Value(text) => Ok(Some(text)),
            _ => Err(plain(state::SYNTAX, format!("{name} requires a parameter"))),
        };
        match name {
            "format" => self.format = text(value)?.map(|format| format.to_lowercase()),
            "delimiter" => self.delimiter = text(value)?,
            "null" => self.null = text(value)?,
            "quote" => self.quote = text(value)?,
            "escape" => self.escape = text(value)?,
            "header" => self.header = header(value)?,
            "force_quote" => {
                self.force_quote = Some(match value {
                    Setting::Columns(names) => Force::Columns(names),
                    Setting::All => Force::All,
                    Setting::Nothing | Setting::Value(_) => {
                        let message = "argument to option \"force_quote\" must be a list of \
                                       column names";
                        return Err(plain(state::INVALID_PARAMETER, message));
                    }
                });
            }
            "encoding" => {
                let encoding = text(value)?.unwrap_or_default().to_lowercase();
                if !matches!(encoding.as_str(), "utf8" | "utf-8" | "unicode") {
                    let message = format!("COPY encoding '{encoding}': only UTF8 is offered");
                    return Err(plain(state::NOT_SUPPORTED, message));
                }
            }
            "freeze" | "force_not_null" | "force_null" => {
                let message = format!("COPY {name} only available using COPY FROM");
                return Err(plain(state::NOT_SUPPORTED, message));
            }
            _ => {
                let message = format!("option \"{name}\" not recognized");
                return Err(plain(state::SYNTAX, message));
            }
        }
        Ok(())
    }

    /// The options, checked together.
    pub fn settled(self) -> PgWireResult<Options> {
        let format = self.format.as_deref().unwrap_or("text");
        if !matches!(format, "text" | "csv" | "binary") {
            let message = format!("COPY format \"{format}\" not recognized");
            return Err(plain(state::INVALID_PARAMETER, message));
        }
        let csv = format == "csv";
        for (given, name) in [
            (self.quote.is_some(), "quote"),
            (self.escape.is_some(), "escape"),
            (self.force_quote.is_some(), "force quote"),
        ] {
            if given && !csv {
                let message = format!("COPY {name} available only in CSV mode");
                return Err(plain(state::NOT_SUPPORTED, message));
            }
        }
        if format == "binary" {
            for (given, name) in [
                (self.delimiter.is_some(), "DELIMITER"),
                (self.null.is_some(), "NULL"),
                (self.header, "HEADER"),
            ] {
                if given {
                    let message = format!("cannot specify {name} in BINARY mode");
                    return Err(plain(state::SYNTAX, message));
                }
            }
            return Ok(Options::Binary);
        }
        let delimiter = one(self.delimiter, if csv { "," } else { "\t" }, "delimiter")?;
        let null = self.null.unwrap_or_else(|| if csv { "" } else { "\\N" }.to_owned());
        if null.contains(['\n', '\r']) {
            let message = "COPY null representation cannot use newline or carriage return";
            return Err(plain(state::INVALID_PARAMETER, message));
        }
        if null.as_bytes().contains(&delimiter) {
            let message = "COPY delimiter must not appear in the NULL specification";
            return Err(plain(state::INVALID_PARAMETER, message));
        }
        if !csv {
            if delimiter == b'\\' || delimiter == b'.' || delimiter.is_ascii_alphanumeric() {
                let message = format!("COPY delimiter cannot be \"{}\"", char::from(delimiter));
                return Err(plain(state::INVALID_PARAMETER, message));
            }
            return Ok(Options::Text(Text { delimiter, null, header: self.header }));
        }
        let quote = one(self.quote, "\"", "quote")?;
        let escape = match self.escape {
            None => quote,
            given => one(given, "", "escape")?,
        };
        if delimiter == quote {
            let message = "COPY delimiter and quote must be different";
            return Err(plain(state::INVALID_PARAMETER, message));
        }
        if null.as_bytes().contains(&quote) {
            let message = "CSV quote character must not appear in the NULL specification";
            return Err(plain(state::INVALID_PARAMETER, message));
        }
        let force_quote = self.force_quote.unwrap_or_else(|| Force::Columns(Vec::new()));
        Ok(Options::Csv(Csv { delimiter, null, header: self.header, quote, escape, force_quote }))
    }
}

fn header(value: Setting) -> PgWireResult<bool> {
    match value {
        Setting::Nothing => Ok(true),
        Setting::Value(text) => match text.to_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            "match" => {
                let message = "cannot use \"match\" with HEADER in COPY TO";
                Err(plain(state::NOT_SUPPORTED, message))
            }
            _ => Err(plain(state::SYNTAX, "header requires a Boolean value or \"match\"")),
        },
        _ => Err(plain(state::SYNTAX, "header requires a Boolean value or \"match\"")),
    }
}

/// A character that has one byte.
fn one(given: Option<String>, default: &str, what: &str) -> PgWireResult<u8> {
    match given.as_deref().unwrap_or(default).as_bytes() {
        [b'\n' | b'\r'] => {
            let message = format!("COPY {what} cannot be newline or carriage return");
            Err(plain(state::INVALID_PARAMETER, message))
        }
        [byte] => Ok(*byte),
        _ => {
            let message = format!("COPY {what} must be a single one-byte character");
            Err(plain(state::NOT_SUPPORTED, message))
        }
    }
}
