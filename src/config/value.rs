//! A value of the configuration: from a TOML file as it is, from an option or an
//! environment variable as text.

use std::time::Duration;

use toml::de::DeValue;

/// No time that is set is longer: ten years.
const SECONDS_MAX: f64 = 315_360_000.0;

/// A value before it is known what it is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Whole(i64),
    Number(f64),
    Flag(bool),
    Text(String),
    List(Vec<Value>),
    /// As an option or a variable has it.
    Given(String),
    /// What nothing here takes, by the name of its type.
    Other(&'static str),
}

/// What a setter makes of a value; the message says what is expected.
pub type Read<T> = Result<T, String>;

impl Value {
    pub fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::Integer(whole) => {
                let read = i64::from_str_radix(whole.as_str(), whole.radix());
                read.map_or(Self::Other("integer beyond 64 bits"), Self::Whole)
            }
            DeValue::Float(number) => {
                number.as_str().parse().map_or(Self::Other("float"), Self::Number)
            }
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Array(list) => {
                Self::List(list.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            other => Self::Other(other.type_str()),
        }
    }

    /// The value as messages show it.
    fn shown(&self) -> String {
        match self {
            Self::Whole(whole) => whole.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) | Self::Given(text) => format!("'{text}'"),
            Self::List(_) => "an array".into(),
            Self::Other(name) => format!("a value of type {name}"),
        }
    }

    fn expected(&self, what: impl std::fmt::Display) -> String {
        format!("{what} is expected, not {}", self.shown())
    }

    /// A whole number of at least `least`.
    pub fn whole<T: TryFrom<i64>>(&self, least: i64) -> Read<T> {
        let number = match self {
            Self::Whole(whole) => Some(*whole),
            Self::Given(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| *number >= least).and_then(|n| T::try_from(n).ok());
        number.ok_or_else(|| self.expected(format_args!("a whole number of at least {least}")))
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(whole) => Some(*whole as f64),
            Self::Number(number) => Some(*number),
            Self::Given(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A number in a range, with or without a fraction.
    pub fn within(&self, least: f64, most: f64) -> Read<f64> {
        let number = self.number().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.expected(format_args!("a number from {least} to {most}")))
    }

    /// A number of seconds, zero or more.
    pub fn seconds(&self) -> Read<Duration> {
        self.within(0.0, SECONDS_MAX).map(Duration::from_secs_f64)
    }

    /// A number of seconds above zero, in microseconds.
    pub fn micros_above_zero(&self) -> Read<i64> {
        match self.micros()? {
            0 => Err(self.expected("a number of seconds above 0")),
            micros => Ok(micros),
        }
    }

    /// A number of seconds, in microseconds.
    pub fn micros(&self) -> Read<i64> {
        self.within(0.0, SECONDS_MAX).map(|seconds| (seconds * 1e6) as i64)
    }

    /// A number of days.
    pub fn days(&self) -> Read<f64> {
        self.within(0.0, SECONDS_MAX / 86_400.0)
    }

    pub fn flag(&self) -> Read<bool> {
        match self {
            Self::Flag(flag) => Ok(*flag),
            Self::Given(text) if text.trim() == "true" => Ok(true),
            Self::Given(text) if text.trim() == "false" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A list; an option has commas between its values, with or without brackets.
    fn items(&self, of: &str) -> Read<Vec<Value>> {
        match self {
            Self::List(items) => Ok(items.clone()),
            Self::Given(text) => {
                let text = text.trim();
                let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
                let items = inner.unwrap_or(text).split(',').map(str::trim);
                let items = items.map(|item| item.trim_matches(['"', '\'']));
                let items = items.filter(|item| !item.is_empty());
                Ok(items.map(|item| Self::Given(item.to_owned())).collect())
            }
            _ => Err(self.expected(format_args!("an array of {of}"))),
        }
    }

    /// A list of whole numbers.
    pub fn wholes(&self) -> Read<Vec<i32>> {
        self.items("whole numbers")?.iter().map(|item| item.whole(0)).collect()
    }

    /// A list of texts that are not empty.
    pub fn texts(&self) -> Read<Vec<String>> {
        let text = |item: &Value| match item {
            Self::Text(text) | Self::Given(text) if !text.trim().is_empty() => {
                Ok(text.trim().to_owned())
            }
            other => Err(other.expected("a text")),
        };
        self.items("texts")?.iter().map(text).collect()
    }
}
