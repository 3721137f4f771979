//! Random questions that all three dialects can ask.

use proptest::collection::vec;
use proptest::prelude::*;

use super::data::TEXTS;

/// A column of the job, or of the user who owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Id,
    Name,
    Message,
    State,
    Type,
    Retries,
    Span,
    Created,
    Completed,
    User,
    UserName,
    /// Of a bulk delete operation, inside a test for such rows.
    Failures,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Guid,
    Text,
    Int,
    Float,
    Time,
}

impl Field {
    pub fn kind(self) -> Kind {
        match self {
            Self::Id | Self::User => Kind::Guid,
            Self::Name | Self::Message | Self::UserName => Kind::Text,
            Self::State | Self::Type | Self::Retries | Self::Failures => Kind::Int,
            Self::Span => Kind::Float,
            Self::Created | Self::Completed => Kind::Time,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Text(String),
    Int(i64),
    Float(f64),
    /// Microseconds since 1970.
    Time(i64),
    Guid([u8; 16]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    In,
    NotIn,
    Between,
    NotBetween,
    Null,
    NotNull,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Debug)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Condition {
        field: Field,
        op: Op,
        values: Vec<Literal>,
    },
    /// `Eq`, `Ne`, … between two columns of one type.
    Columns {
        left: Field,
        op: Op,
        right: Field,
    },
    /// The job has, or has not, a bulk delete operation for which the filter holds.
    Child {
        negated: bool,
        filter: Option<Box<Filter>>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Count,
    CountDistinct(Field),
    Sum(Field),
    Avg(Field),
    Min(Field),
    Max(Field),
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// Ordered, the id last, so that the order is certain.
    Rows {
        columns: Vec<Field>,
        order: Vec<(Field, bool)>,
        page: Option<(usize, usize)>,
    },
    Groups {
        groups: Vec<Field>,
        aggregates: Vec<Aggregate>,
    },
}

#[derive(Clone, Debug)]
pub struct Question {
    pub filter: Option<Filter>,
    pub answer: Answer,
}

impl Filter {
    /// Whether it names the owner's name anywhere.
    pub fn needs_user(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::needs_user),
            Self::Condition { field, .. } => *field == Field::UserName,
            Self::Columns { left, right, .. } => [left, right].contains(&&Field::UserName),
            Self::Child { .. } => false,
        }
    }
}

impl Filter {
    /// Whether OData, without operators of its own for ranges and lists inside a
    /// lambda expression, says it with several conditions.
    pub fn spelled_out(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::spelled_out),
            Self::Child { filter: Some(filter), .. } => matches!(
                **filter,
                Self::Condition { op: Op::NotIn | Op::Between | Op::NotBetween, .. }
            ),
            _ => false,
        }
    }
}

impl Question {
    pub fn needs_user(&self) -> bool {
        let ordered = match &self.answer {
            Answer::Rows { order, .. } => order.iter().any(|(f, _)| *f == Field::UserName),
            Answer::Groups { .. } => false,
        };
        ordered || self.filter.as_ref().is_some_and(Filter::needs_user)
    }
}

fn literal(kind: Kind) -> BoxedStrategy<Literal> {
    match kind {
        Kind::Guid => (0..4_u8).prop_map(|n| Literal::Guid([0x20 + n; 16])).boxed(),
        Kind::Text => {
            prop::sample::select(&TEXTS[..]).prop_map(|text| Literal::Text(text.to_owned())).boxed()
        }
        Kind::Int => {
            prop::sample::select(vec![-2_i64, 0, 1, 2, 3, 10, 31]).prop_map(Literal::Int).boxed()
        }
        Kind::Float => prop::sample::select(vec![0.5, 1.0, 2.0]).prop_map(Literal::Float).boxed(),
        Kind::Time => {
            (0..40_i64).prop_map(|h| Literal::Time((1_777_600_000 + h * 3600) * 1_000_000)).boxed()
        }
    }
}

fn ops(kind: Kind) -> Vec<Op> {
    let mut ops = vec![Op::Eq, Op::Ne, Op::In, Op::NotIn, Op::Null, Op::NotNull];
    if kind != Kind::Guid {
        ops.extend([Op::Gt, Op::Ge, Op::Lt, Op::Le]);
    }
    match kind {
        Kind::Text => ops.extend([Op::Contains, Op::NotContains, Op::StartsWith, Op::EndsWith]),
        Kind::Guid => {}
        _ => ops.extend([Op::Between, Op::NotBetween]),
    }
    ops
}

fn condition(fields: Vec<Field>) -> BoxedStrategy<Filter> {
    prop::sample::select(fields)
        .prop_flat_map(|field| {
            let kind = field.kind();
            (Just(field), prop::sample::select(ops(kind)), vec(literal(kind), 3))
        })
        .prop_map(|(field, op, mut values)| {
            values.truncate(match op {
                Op::Null | Op::NotNull => 0,
                Op::In | Op::NotIn => 3,
                Op::Between | Op::NotBetween => 2,
                _ => 1,
            });
            Filter::Condition { field, op, values }
        })
        .boxed()
}

fn filter() -> impl Strategy<Value = Filter> {
    let fields = vec![
        Field::Name,
        Field::Message,
        Field::State,
        Field::Type,
        Field::Retries,
        Field::Span,
        Field::Created,
        Field::Completed,
        Field::User,
        Field::UserName,
    ];
    let columns = (
        prop::sample::select(vec![
            (Field::Name, Field::Message),
            (Field::Created, Field::Completed),
            (Field::State, Field::Retries),
        ]),
        prop::sample::select(vec![Op::Eq, Op::Ne, Op::Gt, Op::Le]),
    )
        .prop_map(|((left, right), op)| Filter::Columns { left, op, right });
    let child =
        (any::<bool>(), prop::option::of(condition(vec![Field::Failures]).prop_map(Box::new)))
            .prop_map(|(negated, filter)| Filter::Child { negated, filter });
    let leaf = prop_oneof![6 => condition(fields), 1 => columns, 2 => child];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Filter::And),
            vec(inner, 2..4).prop_map(Filter::Or),
        ]
    })
}

fn rows() -> impl Strategy<Value = Answer> {
    let columns = vec![
        Field::Name,
        Field::Message,
        Field::State,
        Field::Type,
        Field::Retries,
        Field::Span,
        Field::Created,
        Field::Completed,
        Field::User,
    ];
    // Choices and lookups do not sort alike in the three dialects.
    let keys = vec![
        Field::Name,
        Field::Message,
        Field::Retries,
        Field::Span,
        Field::Created,
        Field::Completed,
        Field::UserName,
    ];
    (
        prop::sample::subsequence(columns, 1..5),
        prop::sample::subsequence(keys, 0..3).prop_shuffle(),
        vec(any::<bool>(), 3),
        prop::option::of((1..4_usize, 1..8_usize)),
    )
        .prop_map(|(columns, keys, descending, page)| Answer::Rows {
            columns,
            order: keys.into_iter().zip(descending).collect(),
            page,
        })
}

fn groups() -> impl Strategy<Value = Answer> {
    let groups = vec![Field::Name, Field::State, Field::Type, Field::Retries, Field::User];
    let aggregates = vec![
        Aggregate::Count,
        Aggregate::CountDistinct(Field::Message),
        Aggregate::CountDistinct(Field::Retries),
        Aggregate::Sum(Field::Retries),
        Aggregate::Sum(Field::Span),
        Aggregate::Avg(Field::Retries),
        Aggregate::Avg(Field::Span),
        Aggregate::Min(Field::Retries),
        Aggregate::Max(Field::Completed),
    ];
    (prop::sample::subsequence(groups, 0..3), prop::sample::subsequence(aggregates, 1..4))
        .prop_map(|(groups, aggregates)| Answer::Groups { groups, aggregates })
}

pub fn question() -> impl Strategy<Value = Question> {
    (prop::option::weighted(0.9, filter()), prop_oneof![2 => rows(), 1 => groups()])
        .prop_map(|(filter, answer)| Question { filter, answer })
}
