//! What an expression is parsed to, before it is known whether a condition or a
//! value is wanted there, and what becomes of it then.
//!
//! A condition on one column and literals becomes a [`Condition`], so that the
//! same question has the same plan in every dialect; anything more becomes an
//! [`Expression`].

use super::cursor::{DEPTH_MAX, too_deep};
use crate::error::{Error, Place, Result, codes};
use crate::query::{
    ColumnRef, Condition, Expression, Filter, Function, Literal, LiteralKind, Operand, Operator,
    Test,
};

/// A part of an expression.
#[derive(Clone)]
pub(super) enum Node {
    Column(Box<ColumnRef>),
    Literal(Literal),
    Null(Place),
    /// `and` and `or` have all their operands, however many.
    Call {
        function: Function,
        arguments: Vec<Node>,
        at: Place,
        depth: usize,
    },
    /// A condition that no function stands for.
    Filter {
        filter: Box<Filter>,
        /// What it is called in messages.
        what: &'static str,
        at: Place,
        depth: usize,
    },
}

impl Node {
    pub fn call(function: Function, arguments: Vec<Node>, at: Place) -> Result<Self> {
        let depth = 1 + arguments.iter().map(Node::depth).max().unwrap_or(0);
        if depth > DEPTH_MAX {
            return Err(too_deep(at));
        }
        Ok(Self::Call { function, arguments, at, depth })
    }

    /// Levels of calls and filters.
    pub fn depth(&self) -> usize {
        match self {
            Self::Call { depth, .. } | Self::Filter { depth, .. } => *depth,
            Self::Column(_) | Self::Literal(_) | Self::Null(_) => 0,
        }
    }

    pub fn at(&self) -> &Place {
        match self {
            Self::Column(column) => &column.name.at,
            Self::Literal(literal) => &literal.at,
            Self::Null(at) | Self::Call { at, .. } | Self::Filter { at, .. } => at,
        }
    }

    /// Whether the result is surely true, false or unknown.
    fn is_condition(&self) -> bool {
        use Function::{
            And, Contains, EndsWith, Eq, Ge, Gt, In, Le, Lt, MatchesPattern, Ne, Not, Or,
            StartsWith,
        };
        match self {
            Self::Filter { .. } => true,
            Self::Call { function, .. } => matches!(
                function,
                And | Or
                    | Not
                    | Eq
                    | Ne
                    | Gt
                    | Ge
                    | Lt
                    | Le
                    | In
                    | Contains
                    | StartsWith
                    | EndsWith
                    | MatchesPattern
            ),
            Self::Column(_) | Self::Literal(_) | Self::Null(_) => false,
        }
    }

    /// `true` or `false`.
    fn truth(&self) -> Option<bool> {
        match self {
            Self::Literal(Literal { kind: LiteralKind::Boolean, text, .. }) => Some(text == "true"),
            _ => None,
        }
    }

    /// What it means where rows are to be tested.
    pub fn into_filter(self) -> Result<Filter> {
        let truth = self.truth().is_some();
        match self {
            Self::Filter { filter, .. } => Ok(*filter),
            Self::Call { function, arguments, at, depth } => {
                call_filter(function, arguments, at, depth)
            }
            // Whether the column has a yes/no value, its table tells.
            Self::Column(_) => self.into_expression().map(Filter::Expression),
            Self::Literal(_) if truth => self.into_expression().map(Filter::Expression),
            Self::Literal(_) | Self::Null(_) => Err(no_condition(self.at())),
        }
    }

    /// What it means where a value is wanted.
    pub fn into_expression(self) -> Result<Expression> {
        Ok(match self {
            Self::Column(column) => Expression::Column(*column),
            Self::Literal(literal) => Expression::Literal(literal),
            Self::Null(at) => Expression::Null(at),
            Self::Call { function, arguments, at, .. } => {
                let arguments: Vec<Expression> =
                    arguments.into_iter().map(Node::into_expression).collect::<Result<_>>()?;
                match function {
                    Function::And | Function::Or => in_pairs(function, arguments, &at),
                    _ => Expression::Call { function, arguments, at },
                }
            }
            Self::Filter { what, at, .. } => {
                return Err(
                    Error::unsupported(format!("{what} in this place is not supported")).at(at)
                );
            }
        })
    }
}

fn no_condition(at: &Place) -> Error {
    Error::invalid(codes::ODATA, "a condition is needed here, not a value").at(at.clone())
}

/// `and` and `or` of two operands each, nested as little as possible.
fn in_pairs(function: Function, mut operands: Vec<Expression>, at: &Place) -> Expression {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(first) = rest.next() {
            pairs.push(match rest.next() {
                Some(second) => {
                    Expression::Call { function, arguments: vec![first, second], at: at.clone() }
                }
                None => first,
            });
        }
        operands = pairs;
    }
    operands.pop().unwrap_or(Expression::Null(at.clone()))
}

fn call_filter(
    function: Function,
    mut arguments: Vec<Node>,
    at: Place,
    depth: usize,
) -> Result<Filter> {
    let all = |arguments: Vec<Node>| -> Result<Vec<Filter>> {
        arguments.into_iter().map(Node::into_filter).collect()
    };
    match function {
        Function::And => return all(arguments).map(Filter::And),
        Function::Or => return all(arguments).map(Filter::Or),
        Function::Not => {
            return match arguments.pop() {
                Some(operand) => operand.into_filter().map(negated),
                None => Err(Error::internal("'not' without an operand")),
            };
        }
        _ => {}
    }
    if let Some(operator) = comparison(function)
        && let [left, right] = arguments.as_slice()
    {
        if let Some(filter) = judged(operator, left, right) {
            return filter;
        }
        if let Some(condition) = compared(operator, left, right, &at) {
            return Ok(Filter::Condition(condition));
        }
    }
    let simple = match function {
        Function::In => listed(&arguments, &at),
        Function::Contains => patterned(&arguments, "%", "%", &at),
        Function::StartsWith => patterned(&arguments, "", "%", &at),
        Function::EndsWith => patterned(&arguments, "%", "", &at),
        _ => None,
    };
    if let Some(filter) = simple {
        return Ok(filter);
    }
    let call = Node::Call { function, arguments, at, depth };
    if !call.is_condition() {
        return Err(no_condition(call.at()));
    }
    call.into_expression().map(Filter::Expression)
}

/// Dataverse has an operator of its own for a text that does not match, which
/// keeps null rows.
fn negated(filter: Filter) -> Filter {
    match filter {
        Filter::Condition(condition) if condition.test == Test::Compare(Operator::Like) => {
            Filter::Condition(Condition { test: Test::Compare(Operator::NotLike), ..condition })
        }
        other => Filter::Not(Box::new(other)),
    }
}

fn comparison(function: Function) -> Option<Operator> {
    Some(match function {
        Function::Eq => Operator::Eq,
        Function::Ne => Operator::Ne,
        Function::Gt => Operator::Gt,
        Function::Ge => Operator::Ge,
        Function::Lt => Operator::Lt,
        Function::Le => Operator::Le,
        _ => return None,
    })
}

/// A condition compared with `true` or `false`, such as `contains(a,'x') eq true`.
fn judged(operator: Operator, left: &Node, right: &Node) -> Option<Result<Filter>> {
    let (condition, truth) = match (left.truth(), right.truth()) {
        (None, Some(truth)) => (left, truth),
        (Some(truth), None) => (right, truth),
        _ => return None,
    };
    if !condition.is_condition() {
        return None;
    }
    let condition = condition.clone();
    match (operator, truth) {
        (Operator::Eq, true) => Some(condition.into_filter()),
        (Operator::Eq, false) => {
            Some(condition.into_filter().map(|filter| Filter::Not(Box::new(filter))))
        }
        // Rows for which the condition is unknown are not equal to true.
        (Operator::Ne, true) => match condition.into_filter() {
            Ok(
                filter @ Filter::Condition(Condition {
                    test: Test::Compare(Operator::Like), ..
                }),
            ) => Some(Ok(negated(filter))),
            Ok(filter @ Filter::Lambda(_)) => Some(Ok(negated(filter))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        },
        _ => None,
    }
}

/// A comparison of a column with a literal, with null or with a column.
fn compared(operator: Operator, left: &Node, right: &Node, at: &Place) -> Option<Condition> {
    let (column, operator, operand) = match (left, right) {
        (Node::Column(column), Node::Null(_)) | (Node::Null(_), Node::Column(column)) => {
            let operator = match operator {
                Operator::Eq => Operator::Null,
                Operator::Ne => Operator::NotNull,
                _ => return None,
            };
            (column, operator, None)
        }
        (Node::Column(column), Node::Literal(literal)) => {
            (column, operator, Some(Operand::Value(literal.clone())))
        }
        (Node::Literal(literal), Node::Column(column)) => {
            (column, operator.flipped(), Some(Operand::Value(literal.clone())))
        }
        (Node::Column(column), Node::Column(other)) => {
            (column, operator, Some(Operand::Column((**other).clone())))
        }
        _ => return None,
    };
    let operands = operand.into_iter().collect();
    Some(Condition {
        column: (**column).clone(),
        test: Test::Compare(operator),
        operands,
        at: at.clone(),
    })
}

/// A column in a list of literals; null in the list finds rows without a value.
fn listed(arguments: &[Node], at: &Place) -> Option<Filter> {
    let (Node::Column(column), items) = arguments.split_first()? else { return None };
    let mut operands = Vec::new();
    let mut null = false;
    for item in items {
        match item {
            Node::Literal(literal) => operands.push(Operand::Value(literal.clone())),
            Node::Null(_) => null = true,
            _ => return None,
        }
    }
    let condition = |operator, operands| {
        let test = Test::Compare(operator);
        let column = (**column).clone();
        Filter::Condition(Condition { column, test, operands, at: at.clone() })
    };
    let nulls = null.then(|| condition(Operator::Null, Vec::new()));
    if operands.is_empty() {
        return nulls;
    }
    let values = condition(Operator::In, operands);
    Some(match nulls {
        Some(nulls) => Filter::Or(vec![values, nulls]),
        None => values,
    })
}

/// A text function of a column and a literal: the text is a LIKE pattern in
/// Dataverse, so its wildcards stay alive.
fn patterned(arguments: &[Node], before: &str, after: &str, at: &Place) -> Option<Filter> {
    let [Node::Column(column), Node::Literal(literal)] = arguments else { return None };
    if literal.kind != LiteralKind::Text {
        return None;
    }
    let literal = Literal { text: format!("{before}{}{after}", literal.text), ..literal.clone() };
    Some(Filter::Condition(Condition {
        column: (**column).clone(),
        test: Test::Compare(Operator::Like),
        operands: vec![Operand::Value(literal)],
        at: at.clone(),
    }))
}
