//! Conditions → typed predicates.

use datafusion::arrow::datatypes::DataType;

use super::Binder;
use super::literal;
use super::sources::Scope;
use crate::catalog::{ColumnType, Table};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::query::bound::{Column, Predicate};
use crate::query::{Condition, Filter, Literal, LiteralKind, Operand, Operator, Test};

/// Filters inside filters; parsers have bounds of their own, this one guards the stack.
const DEPTH_MAX: usize = 256;

impl Binder<'_> {
    pub(super) fn predicate(&mut self, filter: &Filter, scope: Scope) -> Result<Predicate> {
        self.nested_predicate(filter, scope, 0)
    }

    pub(super) fn nested_predicate(
        &mut self,
        filter: &Filter,
        scope: Scope,
        depth: usize,
    ) -> Result<Predicate> {
        if depth > DEPTH_MAX {
            let message = format!("conditions are nested deeper than {DEPTH_MAX}");
            return Err(Error::new(ErrorKind::Limit, self.code(codes::BAD_CONDITION), message));
        }
        Ok(match filter {
            Filter::And(parts) => Predicate::And(self.predicates(parts, scope, depth + 1)?),
            Filter::Or(parts) => Predicate::Or(self.predicates(parts, scope, depth + 1)?),
            Filter::Not(part) => {
                Predicate::Not(Box::new(self.nested_predicate(part, scope, depth + 1)?))
            }
            Filter::Condition(condition) => self.condition(condition, scope)?,
            Filter::Related(related) => self.related(related, scope, depth + 1)?,
            Filter::Lambda(lambda) => self.lambda(lambda, scope, depth + 1)?,
            Filter::Expression(expression) => Predicate::Holds(self.yes_or_no(expression, scope)?),
        })
    }

    /// The parts of a filter, or what is wrong with all of them.
    fn predicates(
        &mut self,
        parts: &[Filter],
        scope: Scope,
        depth: usize,
    ) -> Result<Vec<Predicate>> {
        let mut predicates = Vec::with_capacity(parts.len());
        let mut checked = Ok(());
        for part in parts {
            let predicate = self.nested_predicate(part, scope, depth);
            checked = self.both(checked, predicate.map(|predicate| predicates.push(predicate)));
        }
        checked.map(|()| predicates)
    }

    fn condition(&mut self, condition: &Condition, scope: Scope) -> Result<Predicate> {
        let Condition { test, operands, at, .. } = condition;
        let Test::Compare(operator) = test else {
            return self.operator_test(condition, scope);
        };
        let unknown = codes::CONDITION_ALIAS_UNKNOWN;
        // Of OData only query functions leave the type of a literal to the column.
        let left = match operands.first() {
            Some(Operand::Value(Literal { kind: LiteralKind::Untyped, .. })) => {
                self.attribute(&condition.column, scope, unknown)?
            }
            _ => self.reference(&condition.column, scope, unknown)?,
        };
        let table = self.sources[left.source].table.clone();
        let field = table.schema().field(left.column);
        let name = condition.column.name.text.as_str();
        if !fits(*operator, field.data_type()) {
            let message = format!(
                "{} cannot be used on '{name}', which holds {}",
                phrase(*operator),
                literal::kind_of(&table.columns[left.column], field.data_type())
            );
            let code = self.code(codes::OPERATOR_NOT_VALID);
            return Err(Error::invalid(code, message).at(at.clone()));
        }
        let bad = |message: String, code: u32| Err(Error::invalid(code, message).at(at.clone()));
        if !takes(*operator, operands.len()) {
            let code = self.code(codes::BAD_CONDITION);
            return bad(format!("the condition on '{name}' has {} values", operands.len()), code);
        }
        if let [Operand::Column(right)] = operands.as_slice()
            && is_comparison(*operator)
        {
            let column = self.reference(right, scope, unknown)?;
            if !self.same_type(&table, left, column) {
                let message = format!(
                    "'{name}' and '{}' cannot be compared: their types differ",
                    right.name.text
                );
                return bad(message, self.code(codes::BAD_CONDITION));
            }
            return Ok(Predicate::CompareColumns { left, operator: *operator, right: column });
        }
        let mut values = Vec::with_capacity(operands.len());
        for operand in operands {
            match operand {
                Operand::Value(literal) => values.push(literal::value(
                    literal,
                    name,
                    &table.columns[left.column],
                    field.data_type(),
                    self.context.timezone,
                )?),
                Operand::Column(right) => {
                    let message = format!(
                        "{} cannot compare '{name}' with the column '{}'",
                        phrase(*operator),
                        right.name.text
                    );
                    return bad(message, self.code(codes::BAD_CONDITION));
                }
            }
        }
        Ok(Predicate::Compare { column: left, operator: *operator, operands: values })
    }

    fn same_type(&self, table: &Table, left: Column, right: Column) -> bool {
        let other = &self.sources[right.source].table;
        let is_table = |table: &Table, column: usize| {
            table.columns[column].column_type == ColumnType::EntityName
        };
        let types = table.schema().field(left.column).data_type()
            == other.schema().field(right.column).data_type();
        types && is_table(table, left.column) == is_table(other, right.column)
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Ge, Gt, Le, Lt, Ne};
    matches!(operator, Eq | Ne | Gt | Ge | Lt | Le)
}

/// Whether an operator makes sense on a type: patterns on text only, no order
/// among GUIDs or yes/no values.
fn fits(operator: Operator, data_type: &DataType) -> bool {
    use Operator::{Between, Eq, Ge, Gt, In, Le, Like, Lt, Ne, NotBetween, NotIn, NotLike};
    match operator {
        Like | NotLike => *data_type == DataType::Utf8View,
        Gt | Ge | Lt | Le | Between | NotBetween => {
            !matches!(data_type, DataType::FixedSizeBinary(_) | DataType::Boolean)
        }
        Eq | Ne | In | NotIn | Operator::Null | Operator::NotNull => true,
    }
}

fn takes(operator: Operator, operands: usize) -> bool {
    match operator {
        Operator::Null | Operator::NotNull => operands == 0,
        Operator::Between | Operator::NotBetween => operands == 2,
        Operator::In | Operator::NotIn => operands > 0,
        _ => operands == 1,
    }
}

fn phrase(operator: Operator) -> &'static str {
    match operator {
        Operator::Like | Operator::NotLike => "a text pattern",
        Operator::Between | Operator::NotBetween => "a range",
        Operator::In | Operator::NotIn => "a list",
        Operator::Null | Operator::NotNull => "a null test",
        Operator::Eq | Operator::Ne => "an equality test",
        Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => "an order comparison",
    }
}
