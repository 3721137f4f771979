//! The common form of a query: what FetchXML and OData parse to, names still
//! text with their place. [`bind`] turns it into a [`BoundQuery`], the only
//! step that judges names. T-SQL says more than this form can; it is carried as
//! a statement of its own (`dialect::tsql`) and meets the others at the plan.
//!
//! Semantics are FetchXML's: `Ne` and `NotLike` keep rows whose column is null.

pub mod bind;
pub mod bound;
pub mod context;
pub mod cookie;
pub mod dates;
pub mod fiscal;
pub mod functions;
pub mod limits;
pub mod operators;
mod text;

pub use self::context::Context;
pub use self::cookie::Cookie;
pub use self::functions::Function;
pub use self::operators::{Operator, Test};

use crate::error::Place;

/// Which dialect's rules for names, result columns and sorting apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    FetchXml,
    OData,
}

/// A name or word from the query text and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub text: String,
    pub at: Place,
}

/// One query over one root table.
#[derive(Clone, Debug)]
pub struct Select {
    pub style: Style,
    /// Logical name of the root table.
    pub table: Name,
    pub input: Input,
    /// Values computed for each row of the input; the rest of the query knows
    /// them by their alias like columns of the root table.
    pub compute: Vec<Computed>,
    pub columns: Columns,
    /// FetchXML `link-entity` elements, in document order.
    pub links: Vec<Link>,
    /// OData `$expand`.
    pub expand: Vec<Expand>,
    pub filter: Option<Filter>,
    /// `true`: every column is a group or an aggregate.
    pub aggregate: bool,
    pub distinct: bool,
    /// Root orders first, then those of links, as FetchXML has it.
    pub order: Vec<Order>,
    /// FetchXML `useraworderby`: choices sort by number, not by label.
    pub raw_order: bool,
    /// FetchXML `aggregatelimit`: more rows to aggregate are an error.
    pub aggregate_limit: Option<u64>,
    /// Only the rows at the top that together make up a part of a sum.
    pub share: Option<Share>,
    /// Rows left out at the start of the order (`$skip`).
    pub skip: u64,
    /// At most so many rows (`top`).
    pub top: Option<u64>,
    /// Rows a page, and the page from 1.
    pub page: Option<Page>,
    /// The client reads page after page: it named the number of this one, or handed
    /// back a cookie.
    pub turns_pages: bool,
    /// The page starts after the row that a cookie tells, as far as rows have
    /// keys; else it is found by its number.
    pub after: Option<After>,
    /// The total number of rows is wanted beside the rows.
    pub count: bool,
}

impl Select {
    /// A query for all rows and columns of a table.
    pub fn of(style: Style, table: Name) -> Self {
        Self {
            style,
            table,
            input: Input::Table,
            compute: Vec::new(),
            columns: Columns::All,
            links: Vec::new(),
            expand: Vec::new(),
            filter: None,
            aggregate: false,
            distinct: false,
            order: Vec::new(),
            raw_order: false,
            aggregate_limit: None,
            share: None,
            skip: 0,
            top: None,
            page: None,
            turns_pages: false,
            after: None,
            count: false,
        }
    }

    /// Leaves out rows of the root table before anything else is done with them.
    pub fn restrict(&mut self, within: &Filter) {
        match &mut self.input {
            Input::Select(inner) => inner.restrict(within),
            Input::Concat(all) => all.iter_mut().for_each(|inner| inner.restrict(within)),
            Input::Table => {
                let asked = self.filter.take();
                let filters = [Some(within.clone()), asked].into_iter().flatten().collect();
                self.filter = Some(Filter::And(filters));
            }
        }
    }
}

/// Where the rows of a query come from.
#[derive(Clone, Debug)]
pub enum Input {
    /// The root table.
    Table,
    /// What earlier `$apply` transformations made of it. The columns are that
    /// query's outputs.
    Select(Box<Select>),
    /// `concat`: the rows of several, one after the other; a column that one of
    /// them lacks is null there.
    Concat(Vec<Select>),
}

/// `expression as alias`.
#[derive(Clone, Debug)]
pub struct Computed {
    pub value: Expression,
    pub alias: Name,
}

/// `topsum`, `toppercent` and their `bottom` forms: rows in the order of a value,
/// as many as are needed for their sum to reach an amount.
#[derive(Clone, Debug)]
pub struct Share {
    pub by: ColumnRef,
    pub amount: f64,
    /// The amount is a percentage of the sum of all rows.
    pub percent: bool,
    /// From the least value on, not from the greatest.
    pub bottom: bool,
}

/// A page of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub size: u64,
    /// From 1.
    pub number: u64,
}

/// Where the page before ended, as a client handed it back.
#[derive(Clone, Debug, PartialEq)]
pub struct After {
    pub cookie: Cookie,
    /// Where the cookie stands in the query.
    pub at: Place,
}

/// The columns asked of the root table or of a link.
#[derive(Clone, Debug)]
pub enum Columns {
    /// Every readable column.
    All,
    /// Every readable column, and some once more under names of their own.
    AllAnd(Vec<Column>),
    List(Vec<Column>),
}

/// One column of the answer.
#[derive(Clone, Debug)]
pub struct Column {
    pub column: ColumnRef,
    pub alias: Option<Name>,
    pub role: Role,
}

/// What a column does in the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    Plain,
    Group(Option<DateGrouping>),
    Aggregate(Aggregate),
    /// FetchXML `rowaggregate`: the number of direct children in the hierarchy.
    CountChildren,
}

/// FetchXML `dategrouping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateGrouping {
    pub part: DatePart,
    /// In the caller's time zone rather than UTC.
    pub local: bool,
}

/// A part of a date, not a truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatePart {
    Day,
    Week,
    Month,
    Quarter,
    Year,
    FiscalPeriod,
    FiscalYear,
}

impl DatePart {
    /// What FetchXML's `dategrouping` calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::FiscalPeriod => "fiscal-period",
            Self::FiscalYear => "fiscal-year",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Rows, nulls included. The column does not matter.
    Count,
    /// Values that are not null; `distinct` counts different ones.
    CountColumn {
        distinct: bool,
    },
    Sum,
    Avg,
    Min,
    Max,
}

/// A column by name, on the root table, a link or behind navigation properties.
#[derive(Clone, Debug)]
pub struct ColumnRef {
    pub path: Path,
    pub name: Name,
}

#[derive(Clone, Debug)]
pub enum Path {
    /// The table of the enclosing element.
    Here,
    /// FetchXML `entityname`: the alias of a link.
    Alias(Name),
    /// OData `nav/nav/column`: single-valued navigation properties.
    Navigation(Vec<Name>),
    /// OData `o/nav/column` inside a lambda expression, from its variable `o`.
    Variable { variable: Name, navigation: Vec<Name> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    Inner,
    Outer,
    /// The parent once if a linked row exists (`exists`, `in`).
    Exists,
    /// The parent once, with the columns of one matching row
    /// (`matchfirstrowusingcrossapply`); dropped where there is none.
    First,
}

/// A FetchXML `link-entity`.
#[derive(Clone, Debug)]
pub struct Link {
    pub link_type: LinkType,
    pub table: Name,
    /// Column of the linked table; the only relationship's where it is left out.
    pub from: Option<Name>,
    /// Column of the enclosing table.
    pub to: Option<Name>,
    pub alias: Option<Name>,
    pub columns: Columns,
    /// Part of the join condition.
    pub filter: Option<Filter>,
    pub links: Vec<Link>,
    pub order: Vec<Order>,
}

/// An OData `$expand` item.
#[derive(Clone, Debug)]
pub struct Expand {
    /// A single-valued navigation property or a collection.
    pub navigation: Name,
    /// `None`: all columns.
    pub select: Option<Vec<Name>>,
    /// The rest is for collections.
    pub filter: Option<Filter>,
    pub order: Vec<Order>,
    pub top: Option<u64>,
    pub count: bool,
    pub expand: Vec<Expand>,
    /// `nav/$ref`: only the address of the row.
    pub reference: bool,
}

/// A condition on rows. Three-valued: only rows where it is true remain.
#[derive(Clone, Debug)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Condition(Condition),
    /// FetchXML: a `link-entity` inside a `filter`.
    Related(Box<Related>),
    /// OData: `collection/any(…)`, `collection/all(…)`.
    Lambda(Box<Lambda>),
    /// OData: a yes/no expression that is more than a condition on one column.
    Expression(Expression),
}

/// A test for linked rows.
#[derive(Clone, Debug)]
pub struct Related {
    pub quantifier: Quantifier,
    /// Only its table, join columns, filter, and links inside count.
    pub link: Link,
}

/// The link types of FetchXML that stand inside filters. `All` is not what it
/// says: linked rows exist and none of them satisfies the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    Any,
    NotAny,
    All,
    NotAll,
}

/// A test over the rows of a collection-valued navigation property.
#[derive(Clone, Debug)]
pub struct Lambda {
    /// The variable that the path starts from, inside another lambda.
    pub from: Option<Name>,
    /// Single-valued properties, then the collection.
    pub path: Vec<Name>,
    /// The row of the collection; nothing for `any()`.
    pub variable: Option<Name>,
    /// Every row has to satisfy the filter, rather than one.
    pub all: bool,
    pub filter: Option<Filter>,
    pub at: Place,
}

/// A value made of columns and literals.
#[derive(Clone, Debug)]
pub enum Expression {
    Column(ColumnRef),
    Literal(Literal),
    Null(Place),
    Call { function: Function, arguments: Vec<Expression>, at: Place },
}

/// `column operator values`.
#[derive(Clone, Debug)]
pub struct Condition {
    pub column: ColumnRef,
    pub test: Test,
    pub operands: Vec<Operand>,
    pub at: Place,
}

#[derive(Clone, Debug)]
pub enum Operand {
    Value(Literal),
    /// FetchXML `valueof`, or a column on the right in OData.
    Column(ColumnRef),
}

/// A literal as written; its meaning depends on the column it is compared with.
#[derive(Clone, Debug)]
pub struct Literal {
    pub kind: LiteralKind,
    pub text: String,
    pub at: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralKind {
    /// FetchXML: any value; the column's type decides.
    Untyped,
    /// OData `'…'`.
    Text,
    /// OData numbers.
    Number,
    /// OData `true`, `false`.
    Boolean,
    /// OData bare GUID.
    Guid,
    /// OData bare date or date and time.
    DateTime,
}

/// One sort key.
#[derive(Clone, Debug)]
pub struct Order {
    pub by: OrderBy,
    pub descending: bool,
}

#[derive(Clone, Debug)]
pub enum OrderBy {
    Column(ColumnRef),
    /// The alias of a group or an aggregate.
    Alias(Name),
    /// OData: a computed value.
    Expression(Expression),
}
