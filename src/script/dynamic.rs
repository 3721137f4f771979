//! `sp_executesql` and `EXEC (…)`: a text that is run as a batch of its own, with
//! variables of its own.

use std::sync::Arc;

use crate::dialect::tsql::{
    Argument, Execute, Parameter, Script, Session, Variables, parameters, unfit,
};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::store::Snapshot;

use super::{Run, evaluated};

/// How deep texts may run texts.
const MAX_DEPTH: usize = 32;

/// Where to go on when a text has been run.
#[derive(Debug)]
pub(super) struct Frame {
    script: Arc<Script>,
    at: usize,
    runs: usize,
    variables: Variables,
    /// Parameters whose last values go to variables outside.
    outputs: Vec<(String, String)>,
}

impl Run {
    /// Begins to run a text.
    pub(super) async fn enter(
        &mut self,
        execute: &Execute,
        engine: &Engine,
        snapshot: &Arc<Snapshot>,
        session: &mut Session,
    ) -> Result<()> {
        if self.outer.len() == MAX_DEPTH {
            let message = format!(
                "Maximum stored procedure, function, trigger, or view nesting level exceeded \
                 (limit {MAX_DEPTH}) (Msg 217)"
            );
            let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
            return Err(error.sqlstate("54001"));
        }
        let catalog = snapshot.catalog();
        let mut value = None;
        for query in std::iter::once(&execute.statement).chain(&execute.parameters) {
            let query = query.resolve(catalog, session)?;
            let row = evaluated(&query, engine, snapshot, &mut self.arguments).await?.last_row;
            let text = row.and_then(|row| row.into_iter().next()).flatten();
            value = Some((value.map(|(statement, _)| statement).unwrap_or(text.clone()), text));
        }
        let (statement, declared) = value.unwrap_or_default();
        let declared = match (&execute.parameters, declared) {
            (Some(_), Some(text)) => parameters(&text).map_err(inside)?,
            _ => Vec::new(),
        };
        let names: Vec<String> = declared.iter().map(|p| p.name.to_lowercase()).collect();
        // A text that is null does nothing.
        let statement = statement.unwrap_or_default();
        let script = Script::parse(&statement, names.iter().map(String::as_str));
        let script = Arc::new(script.map_err(inside)?);
        let mut outputs = Vec::new();
        let mut values = vec![None; declared.len()];
        for (place, argument) in execute.arguments.iter().enumerate() {
            let at = place_of(argument, place, &names)?;
            let Parameter { name, data_type, output } = &declared[at];
            let query = argument.value.resolve_as(data_type, catalog, session)?;
            let row = evaluated(&query, engine, snapshot, &mut self.arguments).await?.last_row;
            values[at] = Some(row.and_then(|row| row.into_iter().next()).flatten());
            match &argument.output {
                Some(variable) if *output => outputs.push((name.clone(), variable.clone())),
                Some(_) => {
                    return Err(unfit(format!(
                        "The formal parameter \"{name}\" was not declared as an OUTPUT \
                         parameter, but the actual parameter passed in requested output (Msg 8162)"
                    )));
                }
                None => {}
            }
        }
        let variables = session.take_variables();
        let frame =
            Frame { script: self.script.clone(), at: self.at, runs: self.runs, variables, outputs };
        self.outer.push(frame);
        for (Parameter { name, data_type, output }, value) in declared.into_iter().zip(values) {
            if value.is_none() && !output {
                return Err(unfit(format!(
                    "The parameterized query expects the parameter '{name}', which was not \
                     supplied (Msg 8178)"
                )));
            }
            session.declare(&name, data_type);
            session.assign(&name, value.flatten());
        }
        (self.script, self.at, self.runs) = (script, 0, 0);
        Ok(())
    }

    /// Goes back to where a text was run from; whether there is such a place.
    pub(super) fn leave(&mut self, session: &mut Session) -> bool {
        let Some(Frame { script, at, runs, variables, outputs }) = self.outer.pop() else {
            return false;
        };
        let values: Vec<_> = outputs
            .into_iter()
            .map(|(parameter, variable)| (variable, session.value_text(&parameter)))
            .collect();
        session.restore_variables(variables);
        for (variable, value) in values {
            session.assign(&variable, value);
        }
        (self.script, self.at, self.runs) = (script, at, runs);
        true
    }

    /// Gives up all texts that are being run. A place in them is none in the
    /// client's text.
    pub(super) fn abandon(&mut self, error: Error, session: &mut Session) -> Error {
        if self.outer.is_empty() {
            return error;
        }
        while self.leave(session) {}
        inside(error)
    }
}

fn inside(mut error: Error) -> Error {
    error.place = None;
    error
}

/// Which parameter an argument is for.
fn place_of(argument: &Argument, place: usize, names: &[String]) -> Result<usize> {
    let at = match &argument.name {
        Some(name) => names.iter().position(|known| *known == name.to_lowercase()),
        None => (place < names.len()).then_some(place),
    };
    at.ok_or_else(|| match &argument.name {
        Some(name) => unfit(format!("{name} is not a parameter for the statement (Msg 8145)")),
        None => unfit("The statement has too many arguments specified (Msg 8144)".to_owned()),
    })
}
