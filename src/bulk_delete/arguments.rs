//! The arguments of the actions that make bulk jobs: what they have alike.

use serde_json::{Map, Value as Json};

use crate::catalog::nearest;
use crate::error::{Error, Place, Result, codes};
use crate::value::parse_time;

/// The arguments that a client gave.
#[derive(Clone, Copy)]
pub struct Arguments<'a>(&'a Map<String, Json>);

impl<'a> Arguments<'a> {
    /// Those of an action, which has these parameters and no others.
    pub fn of(action: &str, parameters: &[&str], arguments: &'a Map<String, Json>) -> Result<Self> {
        let known = |name: &str| name.contains('@') || parameters.contains(&name);
        let Some(unknown) = arguments.keys().find(|name| !known(name)) else {
            return Ok(Self(arguments));
        };
        let near = nearest(unknown, parameters.iter().copied());
        let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
        let message = format!("'{unknown}' is no parameter of {action}{hint}");
        Err(Error::invalid(codes::ODATA, message))
    }

    /// One that is not null.
    pub fn get(&self, name: &str) -> Option<&'a Json> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a text is expected")),
        }
    }

    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name, "true or false is expected")),
        }
    }

    /// A time; an empty text is none.
    pub fn time(&self, name: &str) -> Result<Option<i64>> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        let expected = "a date and time such as 2024-05-01T10:00:00Z is expected";
        text.map(|text| parse_time(text).ok_or_else(|| wrong(name, expected))).transpose()
    }

    /// The name of the job.
    pub fn job_name(&self) -> Result<String> {
        let name = self.text("JobName")?.filter(|name| !name.trim().is_empty());
        Ok(name.ok_or_else(|| wrong("JobName", "a name is required"))?.to_owned())
    }

    /// Refuses a notice by e-mail.
    pub fn without_notice(&self) -> Result<()> {
        for name in ["ToRecipients", "CCRecipients"] {
            if self.get(name).is_some_and(|list| !list.is_array()) {
                return Err(wrong(name, "a list is expected"));
            }
        }
        if self.flag("SendEmailNotification")? {
            let error = Error::unsupported("e-mail notifications are not sent");
            return Err(error.at(Place::Part("SendEmailNotification".into())));
        }
        Ok(())
    }

    /// All of them as they came.
    pub fn body(&self) -> String {
        Json::Object(self.0.clone()).to_string()
    }
}

/// What is wrong with an argument.
pub fn wrong(name: &str, message: &str) -> Error {
    Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(name.to_owned()))
}
