//! The common form of a query: what FetchXML and OData parse to, names still
//! text with their place. [`bind`] turns it into a [`BoundQuery`], the only
//! step that judges names. T-SQL says more than this form can; it is carried as
//! a statement of its own (`dialect::tsql`) and meets the others at the plan.
//!
//! Semantics are FetchXML's: `Ne` and `NotLike` keep rows whose column is null.

pub mod bind;
pub mod bound;
mod text;

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
    pub columns: Columns,
    /// FetchXML `link-entity` elements, in document order.
    pub links: Vec<Link>,
    /// OData `$expand` of single-valued navigation properties.
    pub expand: Vec<Expand>,
    pub filter: Option<Filter>,
    /// `true`: every column is a group or an aggregate.
    pub aggregate: bool,
    pub distinct: bool,
    /// Root orders first, then those of links, as FetchXML has it.
    pub order: Vec<Order>,
    /// At most so many rows (`top`).
    pub top: Option<u64>,
    /// Rows a page, and the page from 1.
    pub page: Option<Page>,
    /// The total number of rows is wanted beside the rows.
    pub count: bool,
}

/// A page of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub size: u64,
    /// From 1.
    pub number: u64,
}

/// The columns asked of the root table or of a link.
#[derive(Clone, Debug)]
pub enum Columns {
    /// Every readable column.
    All,
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
    Group(Option<DatePart>),
    Aggregate(Aggregate),
}

/// FetchXML `dategrouping`: a part of a date, not a truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatePart {
    Day,
    Week,
    Month,
    Quarter,
    Year,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    Inner,
    Outer,
    /// The parent once if a linked row exists (`exists`, `in`).
    Exists,
}

/// A FetchXML `link-entity`.
#[derive(Clone, Debug)]
pub struct Link {
    pub link_type: LinkType,
    pub table: Name,
    /// Column of the linked table.
    pub from: Name,
    /// Column of the enclosing table.
    pub to: Name,
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
    pub navigation: Name,
    /// `None`: all columns.
    pub select: Option<Vec<Name>>,
}

/// A condition on rows. Three-valued: only rows where it is true remain.
#[derive(Clone, Debug)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Condition(Condition),
}

/// `column operator values`.
#[derive(Clone, Debug)]
pub struct Condition {
    pub column: ColumnRef,
    pub operator: Operator,
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

/// Condition operators. Negative ones keep null rows, as Dataverse does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    /// Operand: a LIKE pattern with `%`, `_`, `[abc]`, `[^abc]`.
    Like,
    NotLike,
    In,
    NotIn,
    /// Both ends included.
    Between,
    NotBetween,
    Null,
    NotNull,
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
}
