//! A whole text as steps: what a script does, one after the other.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::DataType;

use super::flow::Compiler;
use super::query::Grammar;
use super::tokens::{self, Batch};
use super::{Query, Session, Statement};
use crate::catalog::Catalog;
use crate::error::Result;

/// A text that was parsed; its names are not settled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    steps: Vec<Step>,
}

/// A step of a script. Jumps go to steps by their number.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A batch begins: its variables are there from the start, as nulls.
    StartBatch(Vec<(String, DataType)>),
    Do(Statement),
    /// Goes on elsewhere unless a query gives a row.
    Unless {
        condition: Query,
        to: usize,
    },
    Jump(usize),
    /// Back to the start of a loop.
    Again(usize),
    /// To the end of the batch.
    Return,
    /// A `GO` line: variables end, and the batch runs again as often as asked.
    EndBatch {
        start: usize,
        runs: usize,
    },
}

impl Script {
    /// Parses a text. T-SQL's grammar is tried first; a batch that it refuses
    /// may still be PostgreSQL's. `known` are variables declared before.
    pub fn parse<'n>(text: &str, known: impl Iterator<Item = &'n str>) -> Result<Self> {
        let mut known: BTreeSet<String> = known.map(str::to_owned).collect();
        let read = |grammar: Grammar| tokens::batches(text, grammar.dialect());
        let batches = match read(Grammar::TSql) {
            Ok(batches) => batches,
            // Nothing can be said of batches when not even the tokens are clear.
            Err(error) if error.sqlstate == Some("42601") => {
                let Ok(batches) = read(Grammar::Postgres) else { return Err(error) };
                let postgres = compiled(&batches, &mut known, |batch, known| {
                    steps(batch, Grammar::Postgres, known)
                });
                return match postgres {
                    Err(other) if other.sqlstate == Some("42601") => Err(error),
                    read => read,
                };
            }
            Err(error) => return Err(error),
        };
        let mut other: Option<Vec<Batch>> = None;
        let mut number = 0;
        compiled(&batches, &mut known, |batch, known| {
            number += 1;
            match steps(batch, Grammar::TSql, known) {
                Err(error) if error.sqlstate == Some("42601") => {
                    if other.is_none() {
                        other = read(Grammar::Postgres).ok();
                    }
                    let batch = other.as_ref().and_then(|batches| batches.get(number - 1));
                    match batch.map(|batch| steps(batch, Grammar::Postgres, known)) {
                        Some(Ok(read)) => Ok(read),
                        // Its options are PostgreSQL's only.
                        Some(Err(other)) if explains(batch) => Err(other),
                        _ => Err(error),
                    }
                }
                read => read,
            }
        })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The statements, if they simply follow each other and use no variables.
    pub fn plain(&self) -> Option<Vec<&Statement>> {
        let mut statements = Vec::new();
        for step in &self.steps {
            match step {
                Step::Do(
                    Statement::Fetch { .. }
                    | Statement::Assign { .. }
                    | Statement::Declare
                    | Statement::Execute(_)
                    | Statement::Print(_),
                ) => return None,
                Step::Do(statement) => statements.push(statement),
                Step::StartBatch(variables) if variables.is_empty() => {}
                Step::EndBatch { runs: 1, .. } => {}
                _ => return None,
            }
        }
        Some(statements)
    }

    /// The names of variables that are declared when the script has run.
    pub fn declares(&self) -> impl Iterator<Item = &str> {
        let ends = |step: &Step| matches!(step, Step::EndBatch { .. });
        let last = self.steps.iter().rposition(ends).map_or(0, |at| at + 1);
        self.steps[last..]
            .iter()
            .flat_map(|step| match step {
                Step::StartBatch(variables) => variables.as_slice(),
                _ => &[],
            })
            .map(|(name, _)| name.as_str())
    }

    /// Whether a `GO` line ends what was declared before.
    pub fn ends_batch(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::EndBatch { .. }))
    }

    /// Settles the names of a batch's queries before any of it runs. A table
    /// that is not there is no mistake before its statement's turn; queries with
    /// variables have to wait for their values.
    pub fn check(&self, start: usize, catalog: &Catalog, session: &Session) -> Result<()> {
        let batch = self.steps[start..].iter();
        let mut batch = batch.take_while(|step| !matches!(step, Step::EndBatch { .. }));
        let declares = matches!(self.steps.get(start), Some(Step::StartBatch(v)) if !v.is_empty());
        if declares || session.variables().next().is_some() {
            return Ok(());
        }
        batch.try_for_each(|step| match step {
            Step::Do(Statement::Query(query) | Statement::Explain { query, .. }) => {
                match query.resolve(catalog, session) {
                    Err(error) if error.sqlstate != Some("42P01") => Err(error),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        })
    }
}

/// Whether a batch starts with `EXPLAIN`.
fn explains(batch: Option<&Batch>) -> bool {
    batch.is_some_and(|batch| tokens::is_word(batch.tokens.first(), "explain"))
}

/// A batch's variables, and its steps with jumps from its own start.
type Compiled = (Vec<(String, DataType)>, Vec<Step>);

fn steps(batch: &Batch, grammar: Grammar, known: &BTreeSet<String>) -> Result<Compiled> {
    let mut compiler = Compiler::new(grammar, batch, known.clone());
    compiler.batch()?;
    Ok((compiler.declared, compiler.steps))
}

fn compiled(
    batches: &[Batch],
    known: &mut BTreeSet<String>,
    mut steps: impl FnMut(&Batch, &BTreeSet<String>) -> Result<Compiled>,
) -> Result<Script> {
    let mut all = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        let (variables, mut steps) = steps(batch, known)?;
        let start = all.len();
        if batch.runs == 0 {
            continue;
        }
        let last = number + 1 == batches.len();
        if last && steps.is_empty() {
            break;
        }
        all.push(Step::StartBatch(variables));
        let first = all.len();
        let end = first + steps.len();
        for step in &mut steps {
            match step {
                Step::Unless { to, .. } | Step::Jump(to) | Step::Again(to) => *to += first,
                Step::Return => *step = Step::Jump(end),
                _ => {}
            }
        }
        all.append(&mut steps);
        if !last {
            all.push(Step::EndBatch { start, runs: batch.runs });
            known.clear();
        }
    }
    Ok(Script { steps: all })
}
