//! `CONTAINS`: words and phrases in text, told apart as comparisons tell them. There is
//! no index behind it; every text is read.

use std::iter::Peekable;
use std::str::CharIndices;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};

use super::arguments::Kind::Text;
use super::definition::{Call, Definition, Gives, MANY, refused};
use crate::engine::collation;

pub(super) static FUNCTIONS: &[Definition] = &[Definition {
    name: "sql_contains",
    arguments: &[Text],
    least: 2,
    most: MANY,
    gives: Gives::This(DataType::Boolean),
    compute: contains,
}];

/// How deep a condition may be nested.
const DEPTH_MAX: usize = 64;

/// The condition, then the texts; one text that meets it is enough.
fn contains(call: &Call) -> Result<ArrayRef> {
    let conditions = call.texts(0)?;
    let texts = (1..call.count()).map(|at| call.texts(at)).collect::<Result<Vec<_>>>()?;
    let mut last: Option<(String, Search)> = None;
    let mut meets = |i: usize| -> Result<bool> {
        let condition = conditions.get(i).unwrap_or_default();
        if last.as_ref().is_none_or(|(known, _)| known != condition) {
            last = Some((condition.to_owned(), Search::parse(condition)?));
        }
        let Some((_, search)) = &last else { return Ok(false) };
        let mut texts = texts.iter().filter_map(|text| text.get(i));
        Ok(texts.any(|text| search.meets(&words(text))))
    };
    Ok(Arc::new(call.rows().map(|i| meets(i).map(Some)).collect::<Result<BooleanArray>>()?))
}

/// The words of a text, folded.
fn words(text: &str) -> Vec<String> {
    let folded = collation::fold(text);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// What is searched for.
#[derive(Debug, PartialEq)]
enum Search {
    /// Words one after the other; each may be the start of a longer one.
    Phrase {
        words: Vec<String>,
        starts: bool,
    },
    Not(Box<Search>),
    All(Vec<Search>),
    Any(Vec<Search>),
}

impl Search {
    fn parse(condition: &str) -> Result<Self> {
        if condition.trim().is_empty() {
            return Err(refused("42601", "Null or empty full-text predicate (Msg 7645)"));
        }
        let mut reader = Reader { condition, chars: condition.char_indices().peekable(), depth: 0 };
        let search = reader.any()?;
        match reader.next() {
            None => Ok(search),
            Some(token) => Err(reader.wrong(&token)),
        }
    }

    fn meets(&self, text: &[String]) -> bool {
        match self {
            // Signs alone are no words, and are found nowhere.
            Self::Phrase { words, .. } if words.is_empty() => false,
            Self::Phrase { words, starts } => text.windows(words.len()).any(|there| {
                words.iter().zip(there).all(|(word, there)| match starts {
                    true => there.starts_with(word.as_str()),
                    false => there == word,
                })
            }),
            Self::Not(inner) => !inner.meets(text),
            Self::All(parts) => parts.iter().all(|part| part.meets(text)),
            Self::Any(parts) => parts.iter().any(|part| part.meets(text)),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    And,
    Or,
    Not,
    Open,
    Close,
    Phrase(String),
    /// What the grammar has and is not done: `NEAR`, `FORMSOF`, `ISABOUT`, or a sign.
    Other(String),
}

struct Reader<'c> {
    condition: &'c str,
    chars: Peekable<CharIndices<'c>>,
    depth: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Token> {
        while self.chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let (start, first) = self.chars.next()?;
        Some(match first {
            '&' => Token::And,
            '|' => Token::Or,
            '!' => Token::Not,
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => {
                let mut phrase = String::new();
                while let Some((_, c)) = self.chars.next() {
                    if c == '"' && self.chars.next_if(|(_, next)| *next == '"').is_none() {
                        break;
                    }
                    phrase.push(c);
                }
                Token::Phrase(phrase)
            }
            '~' | ',' => Token::Other(first.to_string()),
            _ => {
                let ends = |c: char| c.is_whitespace() || "&|!()\"~,".contains(c);
                let mut end = start + first.len_utf8();
                while let Some((at, c)) = self.chars.next_if(|(_, c)| !ends(*c)) {
                    end = at + c.len_utf8();
                }
                let word = &self.condition[start..end];
                match word.to_ascii_uppercase().as_str() {
                    "AND" => Token::And,
                    "OR" => Token::Or,
                    "NOT" => Token::Not,
                    "NEAR" | "FORMSOF" | "ISABOUT" => Token::Other(word.to_owned()),
                    _ => Token::Phrase(word.to_owned()),
                }
            }
        })
    }

    fn peek(&mut self) -> Option<Token> {
        let before = self.chars.clone();
        let token = self.next();
        self.chars = before;
        token
    }

    fn wrong(&self, token: &Token) -> DataFusionError {
        let near = match token {
            Token::And => "AND",
            Token::Or => "OR",
            Token::Not => "NOT",
            Token::Open => "(",
            Token::Close => ")",
            Token::Phrase(text) | Token::Other(text) => text,
        };
        let condition = self.condition;
        let message = format!(
            "Syntax error near '{near}' in the full-text search condition '{condition}' (Msg 7630)"
        );
        refused("42601", message)
    }

    fn any(&mut self) -> Result<Search> {
        let mut parts = vec![self.all()?];
        while self.peek() == Some(Token::Or) {
            self.next();
            parts.push(self.all()?);
        }
        Ok(single(parts, Search::Any))
    }

    fn all(&mut self) -> Result<Search> {
        let mut parts = vec![self.part()?];
        while self.peek() == Some(Token::And) {
            self.next();
            let negated = self.peek() == Some(Token::Not);
            if negated {
                self.next();
            }
            let part = self.part()?;
            parts.push(if negated { Search::Not(Box::new(part)) } else { part });
        }
        Ok(single(parts, Search::All))
    }

    fn part(&mut self) -> Result<Search> {
        match self.next() {
            Some(Token::Phrase(text)) => {
                Ok(Search::Phrase { words: words(&text), starts: text.trim_end().ends_with('*') })
            }
            Some(Token::Open) if self.depth < DEPTH_MAX => {
                self.depth += 1;
                let inner = self.any()?;
                self.depth -= 1;
                match self.next() {
                    Some(Token::Close) => Ok(inner),
                    other => Err(self.wrong(&other.unwrap_or(Token::Open))),
                }
            }
            Some(other) => Err(self.wrong(&other)),
            None => Err(self.wrong(&Token::Other(self.condition.to_owned()))),
        }
    }
}

fn single(mut parts: Vec<Search>, several: fn(Vec<Search>) -> Search) -> Search {
    match parts.len() {
        1 => parts.remove(0),
        _ => several(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_met_by_words() {
        let text = "Plug-in failed: the résumé was not saved (2 of 3)";
        for (condition, expected) in [
            ("failed", true),
            ("FAIL", false),
            ("\"fail*\"", true),
            ("resume", true),
            ("\"plug in\"", true),
            ("plug-in", true),
            ("\"in plug\"", false),
            ("\"plu* fai*\"", false),
            ("\"in* fai*\"", true),
            ("failed AND saved", true),
            ("failed & lost", false),
            ("lost OR saved", true),
            ("failed AND NOT saved", false),
            ("failed &! lost", true),
            ("lost OR failed AND saved", true),
            ("(lost | failed) AND nothing", false),
            ("\"-\"", false),
        ] {
            let search = Search::parse(condition).expect(condition);
            assert_eq!(search.meets(&words(text)), expected, "{condition}");
        }
        for condition in ["", " ", "a b", "a AND", "(a", "a)", "NOT a", "a NEAR b", "AND"] {
            assert!(Search::parse(condition).is_err(), "{condition}");
        }
    }
}
