//! What must hold of a row before it may be stored, whatever file it is from,
//! and what is filled in because it follows from the rest.
//!
//! A row needs its primary key; its state and status reason belong together,
//! and either is derived when the other leaves no choice. A job without both
//! is refused: it would be in no state that the service knows.

use crate::catalog::{ColumnType, Table, entity_code};
use crate::value::Value;

use super::columns::Rows;
use super::headings;

/// The rules of one table.
pub struct Rules {
    primary_id: usize,
    state: Option<StateColumns>,
    /// Owner columns with the column that tells user from team.
    owners: Vec<(usize, usize)>,
    user: i32,
}

struct StateColumns {
    state: usize,
    status: usize,
    required: bool,
    /// Status reason and its state.
    pairs: Vec<(i32, i32)>,
}

impl Rules {
    pub fn of(table: &Table) -> Self {
        let owners = (0..table.columns.len())
            .filter(|i| table.columns[*i].column_type == ColumnType::Owner)
            .filter_map(|i| Some((i, headings::type_of(table, i)?)))
            .collect();
        Self {
            primary_id: table.primary_id_index(),
            state: state_columns(table),
            owners,
            user: entity_code("systemuser"),
        }
    }

    /// Completes the current row, or says why it cannot be stored.
    pub fn complete(&self, rows: &mut Rows) -> Result<(), String> {
        if *rows.get(self.primary_id) == Value::Null {
            return Err(format!("{}: the primary key is missing", rows.table().primary_id));
        }
        if let Some(columns) = &self.state {
            columns.complete(rows)?;
        }
        for (owner, owner_type) in &self.owners {
            if *rows.get(*owner) != Value::Null && *rows.get(*owner_type) == Value::Null {
                rows.set(*owner_type, Value::Int32(self.user));
            }
        }
        Ok(())
    }
}

fn state_columns(table: &Table) -> Option<StateColumns> {
    let status = table.column_index("statuscode")?;
    let pairs: Vec<(i32, i32)> = table.columns[status]
        .options
        .iter()
        .filter_map(|option| Some((option.value, option.state?)))
        .collect();
    Some(StateColumns {
        state: table.column_index("statecode")?,
        status,
        required: table.logical_name == "asyncoperation",
        pairs,
    })
}

impl StateColumns {
    fn complete(&self, rows: &mut Rows) -> Result<(), String> {
        match (rows.get(self.state), rows.get(self.status)) {
            (Value::Int32(state), Value::Int32(status)) => {
                if self.pairs.contains(&(*status, *state)) {
                    return Ok(());
                }
                Err(format!("statecode {state} and statuscode {status} do not belong together"))
            }
            (Value::Null, Value::Int32(status)) => {
                let Some((_, state)) = self.pairs.iter().find(|(s, _)| s == status) else {
                    return Err(format!("statuscode {status} belongs to no statecode"));
                };
                rows.set(self.state, Value::Int32(*state));
                Ok(())
            }
            (Value::Int32(state), _) => {
                let mut of_state = self.pairs.iter().filter(|(_, s)| s == state).map(|(s, _)| *s);
                match (of_state.next(), of_state.next()) {
                    (Some(only), None) => {
                        rows.set(self.status, Value::Int32(only));
                        Ok(())
                    }
                    (None, _) => Err(format!("statecode {state} does not exist")),
                    _ => Err(format!(
                        "statuscode is missing and does not follow from statecode {state}"
                    )),
                }
            }
            _ if self.required => Err("statecode and statuscode are both missing".into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn job(state: Option<i32>, status: Option<i32>) -> Result<(Value, Value), String> {
        let catalog = Catalog::built_in();
        let table = catalog.table("asyncoperation").expect("built in");
        let at = |name: &str| table.column_index(name).expect("documented column");
        let mut rows = Rows::new(table);
        rows.set(table.primary_id_index(), Value::Guid([7; 16]));
        for (column, value) in [("statecode", state), ("statuscode", status)] {
            rows.set(at(column), value.map_or(Value::Null, Value::Int32));
        }
        Rules::of(table).complete(&mut rows)?;
        Ok((rows.get(at("statecode")).clone(), rows.get(at("statuscode")).clone()))
    }

    #[test]
    fn exactly_the_documented_pairs_are_accepted() {
        let documented = [(0, 0), (1, 10), (2, 20), (2, 21), (2, 22), (3, 30), (3, 31), (3, 32)];
        for state in -1..5 {
            for status in [-1, 0, 1, 10, 20, 21, 22, 30, 31, 32, 33] {
                let accepted = job(Some(state), Some(status)).is_ok();
                assert_eq!(accepted, documented.contains(&(state, status)), "{state}/{status}");
            }
        }
    }

    #[test]
    fn one_of_the_two_is_derived_where_the_other_decides() {
        assert_eq!(job(None, Some(31)), Ok((Value::Int32(3), Value::Int32(31))));
        assert_eq!(job(Some(1), None), Ok((Value::Int32(1), Value::Int32(10))));
        assert!(job(Some(3), None).expect_err("ambiguous").contains("does not follow"));
        assert!(job(None, None).is_err());
    }
}
