//! Operators over rows.

use std::ops::Bound;
use std::sync::Arc;

use super::super::functions::AggregateFunction;
use super::super::schema::Table;
use super::super::types::Value;
use super::Expr;

/// An operator with its inputs. Each gives rows of a fixed width.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// No rows.
    Nothing {
        /// How many columns they would have.
        width: usize,
    },
    /// Rows of expressions without columns. SELECT without FROM is over one row without columns.
    Values {
        /// The rows, all of `width`.
        rows: Vec<Vec<Expr>>,
        /// How many columns they have.
        width: usize,
    },
    /// Rows that were known when the plan was made: a system table.
    Rows {
        /// The rows, all of `width`.
        rows: Arc<Vec<Vec<Value>>>,
        /// How many columns they have.
        width: usize,
    },
    /// The rows of a table.
    Scan(Box<Scan>),
    /// The rows for which a condition is true.
    Filter {
        /// The rows.
        input: Box<Self>,
        /// The condition; NULL is not true.
        predicate: Expr,
    },
    /// For each row one of other columns.
    Project {
        /// The rows.
        input: Box<Self>,
        /// The columns.
        exprs: Vec<Expr>,
    },
    /// Pairs of rows: the columns of the left, then those of the right.
    Join(Box<Join>),
    /// A row for each group: its keys, then what each aggregate makes of its rows.
    Aggregate(Box<Aggregate>),
    /// The rows in an order. Rows that are equal in it keep theirs.
    Sort {
        /// The rows.
        input: Box<Self>,
        /// The order.
        keys: Vec<SortKey>,
        /// Top-N: only so many of the first rows are needed, as an expression without columns.
        first: Option<Expr>,
    },
    /// A part of the rows.
    Limit {
        /// The rows.
        input: Box<Self>,
        /// How many are left out first, as an expression without columns; NULL is none.
        offset: Option<Expr>,
        /// The most that come then, as an expression without columns; NULL is all.
        limit: Option<Expr>,
    },
    /// Each row once; NULL is as NULL here.
    Distinct {
        /// The rows.
        input: Box<Self>,
    },
    /// UNION, INTERSECT and EXCEPT; NULL is as NULL here.
    Set {
        /// Which.
        operator: SetOperator,
        /// With duplicates, as many as bag semantics says.
        all: bool,
        /// One input.
        left: Box<Self>,
        /// The other, of the same width.
        right: Box<Self>,
    },
    /// Gives a query a common table, whose rows are made once and read by each `Common` with its number.
    With {
        /// The number, unique in the statement.
        id: usize,
        /// The common table.
        common: Box<Self>,
        /// WITH RECURSIVE: what comes of the newest rows, which `Common` with the same number gives in it, until there are
        /// none.
        recursive: Option<Box<Recursive>>,
        /// The query that uses it.
        body: Box<Self>,
    },
    /// The rows of a common table.
    Common {
        /// Its number.
        id: usize,
        /// How many columns it has.
        width: usize,
    },
}

/// The part of a recursive common table that is run again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Recursive {
    /// What comes of the newest rows.
    pub step: Node,
    /// UNION ALL: rows that were there before are kept too.
    pub all: bool,
}

/// The rows of a table, by way of its primary key or of an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The table.
    pub table: Arc<Table>,
    /// What it is called in the statement.
    pub alias: String,
    /// The columns of the table that the rows have, in this order. Those that nobody reads are not here.
    pub columns: Vec<usize>,
    /// The way to the rows.
    pub access: Access,
    /// Against the order of the way.
    pub reverse: bool,
    /// What must be true of the rows that are given out, over `columns`.
    pub filter: Option<Expr>,
}

/// A way to the rows of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The position of the index among the table's; `None` is the primary key (or the row number).
    pub index: Option<usize>,
    /// The ranges of it, one after the other. They may overlap, and a row is given once. The expressions have no columns of
    /// their own: constants, parameters, and outer columns. One that is NULL finds nothing.
    pub ranges: Vec<KeyRange>,
    /// All that is read stands in the index, so the rows themselves need not be looked up.
    pub only: bool,
}

/// A range of keys: the first columns are equal to values, the next one is in a range. NULLs are in no range with a bound;
/// without any bound and prefix, it is everything.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRange {
    /// Values of the first columns.
    pub prefix: Vec<Expr>,
    /// Where the next column starts, in the order of values, also where the index descends.
    pub low: Bound<Expr>,
    /// Where it ends.
    pub high: Bound<Expr>,
}

/// A join.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The left side.
    pub left: Node,
    /// The right side. With [`JoinMethod::Lateral`], `Outer { level: 1, .. }` in it is a column of the left row.
    pub right: Node,
    /// Which rows come out.
    pub kind: JoinKind,
    /// The condition, over the columns of the left and then of the right; `None` is always true.
    pub on: Option<Expr>,
    /// How.
    pub method: JoinMethod,
}

/// Which rows of a join come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs for which the condition is true.
    Inner,
    /// And left rows without a partner, with NULLs on the right.
    Left,
    /// And right rows without a partner, with NULLs on the left.
    Right,
    /// And both.
    Full,
    /// Left rows with a partner, once, without its columns.
    Semi,
    /// Left rows without a partner, without columns of the right.
    Anti,
}

/// How a join is done. The whole condition stays in `on`; what the method checks by itself need not be checked again.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinMethod {
    /// All pairs; the right side is kept.
    NestedLoop,
    /// For each left row, the right side is run again (an index lookup for the most part).
    Lateral,
    /// The right side in a hash table.
    Hash {
        /// Pairs of expressions over the left and over the right row that must be equal.
        keys: Vec<(Expr, Expr)>,
        /// What must hold besides, over both.
        residual: Option<Expr>,
    },
    /// Both sides in the order of the keys.
    Merge {
        /// Pairs of expressions over the left and over the right row that must be equal.
        keys: Vec<(Expr, Expr)>,
        /// What must hold besides, over both.
        residual: Option<Expr>,
    },
}

/// Groups of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The rows.
    pub input: Node,
    /// The keys of a group; NULL is as NULL. Without keys there is one group, even without rows.
    pub groups: Vec<Expr>,
    /// What is made of its rows.
    pub calls: Vec<AggregateCall>,
    /// How.
    pub method: AggregateMethod,
}

/// An aggregate over the rows of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// The function.
    pub function: AggregateFunction,
    /// Its arguments; none for COUNT(*).
    pub args: Vec<Expr>,
    /// Each value once.
    pub distinct: bool,
    /// FILTER (WHERE …).
    pub filter: Option<Expr>,
}

/// How rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateMethod {
    /// By a hash table.
    Hash,
    /// The rows come in the order of the groups.
    Sorted,
}

/// A key of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// The value.
    pub expr: Expr,
    /// From the greatest.
    pub descending: bool,
    /// NULLs before all values.
    pub nulls_first: bool,
}

/// UNION, INTERSECT and EXCEPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperator {
    /// Rows of either.
    Union,
    /// Rows of both.
    Intersect,
    /// Rows of the left only.
    Except,
}

impl Scan {
    /// All rows of a table with all columns, in the order of the primary key.
    pub fn all(table: Arc<Table>, alias: String) -> Self {
        let columns = (0..table.columns.len()).collect();
        Self { table, alias, columns, access: Access::all(), reverse: false, filter: None }
    }
}

impl Access {
    /// All rows, by the primary key.
    pub fn all() -> Self {
        Self { index: None, ranges: vec![KeyRange::all()], only: false }
    }
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { prefix: Vec::new(), low: Bound::Unbounded, high: Bound::Unbounded }
    }
}

impl Node {
    /// How many columns the rows have.
    pub fn width(&self) -> usize {
        match self {
            Self::Nothing { width }
            | Self::Values { width, .. }
            | Self::Rows { width, .. }
            | Self::Common { width, .. } => *width,
            Self::Scan(scan) => scan.columns.len(),
            Self::Filter { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input } => input.width(),
            Self::Project { exprs, .. } => exprs.len(),
            Self::Join(join) => Self::width_of_join(join.kind, join.left.width(), join.right.width()),
            Self::Aggregate(aggregate) => aggregate.groups.len() + aggregate.calls.len(),
            Self::Set { left, .. } => left.width(),
            Self::With { body, .. } => body.width(),
        }
    }

    /// How many columns the rows of a join have, by how many those of its sides have.
    pub fn width_of_join(kind: JoinKind, left: usize, right: usize) -> usize {
        match kind {
            JoinKind::Semi | JoinKind::Anti => left,
            _ => left + right,
        }
    }
}
