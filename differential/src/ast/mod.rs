//! Statements as data: what is drawn, rendered for each database, and made smaller.
//!
//! Every expression has a type, so that a part can be replaced by another of the same type. Result columns are called
//! `c0`, `c1`, ...; tables get an alias of their own wherever they stand, so no name is captured.

mod schema;
mod walk;

use engine::sql::types::{DataType, Value};

pub use schema::{Alter, Alteration, Column, ForeignKey, Index, Shape, Table, acts, family};
pub use walk::{Part, Walk};

/// A schema, data and statements, in the order in which they run.
#[derive(Clone, Debug)]
pub struct Case {
    /// Values and operators that SQLite has not: NaN, infinity, overflow, `^`, `!`.
    pub wild: bool,
    /// Whether it is written into a directory in the end, and read again.
    pub reopen: bool,
    /// The statements.
    pub steps: Vec<Step>,
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Step {
    /// CREATE TABLE.
    Table(Table),
    /// CREATE INDEX.
    Index(Index),
    /// ALTER TABLE.
    Alter(Alter),
    /// CREATE VIEW of a name, with columns `c0`, ...
    View(String, Query),
    /// INSERT, UPDATE, DELETE.
    Write(Write),
    /// A query.
    Query(Checked<Query>),
    /// A query of which the rows are cut into parts.
    Parts(Checked<Parts>),
}

/// A statement, and whether it may fail where it is evaluated: by overflow or a division by zero.
#[derive(Clone, Debug)]
pub struct Checked<T> {
    /// The statement.
    pub statement: T,
    /// Whether errors of class 22 are allowed.
    pub fallible: bool,
}

/// A statement that writes.
#[derive(Clone, Debug)]
pub struct Write {
    /// The table.
    pub table: String,
    /// What to do.
    pub kind: WriteKind,
    /// RETURNING.
    pub returning: Vec<Expr>,
    /// Whether errors of class 22 are allowed.
    pub fallible: bool,
}

/// What a statement writes.
#[derive(Clone, Debug)]
pub enum WriteKind {
    /// INSERT.
    Insert {
        /// The columns.
        columns: Vec<String>,
        /// The rows; `None` is DEFAULT.
        source: Source,
        /// ON CONFLICT.
        conflict: Option<Conflict>,
    },
    /// UPDATE.
    Update {
        /// Columns and their values.
        set: Set,
        /// FROM. If the values name it, no row finds partners that make a difference.
        from: Vec<From>,
        /// WHERE.
        filter: Option<Expr>,
    },
    /// DELETE.
    Delete {
        /// USING.
        using: Vec<From>,
        /// WHERE.
        filter: Option<Expr>,
    },
}

/// The rows of an INSERT.
#[derive(Clone, Debug)]
pub enum Source {
    /// VALUES; `None` is DEFAULT.
    Values(Vec<Vec<Option<Expr>>>),
    /// SELECT.
    Query(Box<Query>),
}

/// Columns and their new values.
pub type Set = Vec<(String, Expr)>;

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The columns; empty is any conflict.
    pub target: Vec<String>,
    /// DO UPDATE SET ... WHERE; `None` is DO NOTHING.
    pub update: Option<(Set, Option<Expr>)>,
}

/// A SELECT whose rows, or groups, a predicate cuts into three parts.
#[derive(Clone, Debug)]
pub struct Parts {
    /// How the parts make up the whole.
    pub kind: PartsKind,
    /// The whole.
    pub select: Select,
    /// What cuts it.
    pub predicate: Expr,
}

/// How parts make up the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsKind {
    /// By WHERE: all the rows.
    Where,
    /// By WHERE: each row once.
    Distinct,
    /// By WHERE: each group once.
    Group,
    /// By WHERE: counts and sums add up, and so on.
    Aggregate,
    /// By HAVING: all the groups.
    Having,
    /// The rows of WHERE are as many as those for which the predicate is true when it is a column.
    Count,
}

/// A query.
#[derive(Clone, Debug)]
pub struct Query {
    /// WITH.
    pub with: Vec<Common>,
    /// What gives the rows.
    pub body: Body,
    /// ORDER BY.
    pub order: Vec<Order>,
    /// LIMIT; only with an order that is total.
    pub limit: Option<u64>,
    /// OFFSET; likewise.
    pub offset: Option<u64>,
}

/// A common table, with columns `c0`, ...
#[derive(Clone, Debug)]
pub struct Common {
    /// Its name.
    pub name: String,
    /// How many columns it has.
    pub width: usize,
    /// Its rows, or the first of them.
    pub query: Query,
    /// The recursive part, and whether it is UNION ALL.
    pub step: Option<(Select, bool)>,
}

/// What gives rows.
#[derive(Clone, Debug)]
pub enum Body {
    /// SELECT.
    Select(Box<Select>),
    /// VALUES.
    Values(Vec<Vec<Expr>>),
    /// UNION and the like.
    Set {
        /// UNION, INTERSECT or EXCEPT.
        operator: &'static str,
        /// ALL.
        all: bool,
        /// The left side.
        left: Box<Query>,
        /// The right side.
        right: Box<Query>,
    },
}

/// SELECT.
#[derive(Clone, Debug)]
pub struct Select {
    /// DISTINCT.
    pub distinct: bool,
    /// `*` instead of the items, which are the same columns then.
    pub star: bool,
    /// The items.
    pub items: Vec<Expr>,
    /// What stands between the commas of FROM.
    pub from: Vec<From>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// GROUP BY.
    pub group: Vec<Group>,
    /// HAVING.
    pub having: Option<Expr>,
}

/// A key of GROUP BY.
#[derive(Clone, Debug)]
pub enum Group {
    /// An expression.
    Expr(Expr),
    /// The position of an item, from 1.
    Ordinal(usize),
    /// The alias of an item, from 0.
    Alias(usize),
}

/// A key of ORDER BY.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to order by.
    pub key: Group,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST or LAST.
    pub nulls_first: Option<bool>,
}

/// What stands in FROM.
#[derive(Clone, Debug)]
pub enum From {
    /// A table, a view or a common table.
    Table {
        /// Its name.
        name: String,
        /// What it is called here.
        alias: String,
    },
    /// A query.
    Query {
        /// The query.
        query: Box<Query>,
        /// What it is called here.
        alias: String,
        /// LATERAL.
        lateral: bool,
    },
    /// A join.
    Join {
        /// INNER, LEFT, RIGHT, FULL or CROSS.
        kind: &'static str,
        /// The left side.
        left: Box<From>,
        /// The right side.
        right: Box<From>,
        /// The condition.
        on: On,
    },
}

/// The condition of a join.
#[derive(Clone, Debug)]
pub enum On {
    /// CROSS JOIN has none.
    None,
    /// ON.
    Expr(Expr),
    /// USING.
    Using(Vec<String>),
    /// NATURAL.
    Natural,
}

/// An expression.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A value that is not NULL.
    Literal(Value),
    /// NULL, of a type that is written as a CAST unless it is `bare`.
    Null {
        /// The type.
        datatype: DataType,
        /// Without CAST.
        bare: bool,
    },
    /// A column.
    Column {
        /// The alias of its table; `None` if the name is enough.
        table: Option<String>,
        /// Its name.
        name: String,
        /// Its type.
        datatype: DataType,
    },
    /// `-`, NOT, or the postfix `!`.
    Unary(&'static str, Box<Expr>),
    /// An operator between two operands.
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// IS \[NOT\] NULL, TRUE, FALSE, UNKNOWN, NAN.
    Is {
        /// The operand.
        expr: Box<Expr>,
        /// What it is.
        what: &'static str,
        /// NOT.
        negated: bool,
    },
    /// IN of a list.
    In {
        /// The operand.
        expr: Box<Expr>,
        /// The list.
        list: Vec<Expr>,
        /// NOT.
        negated: bool,
    },
    /// IN of a query.
    InQuery {
        /// The operand.
        expr: Box<Expr>,
        /// The query.
        query: Box<Query>,
        /// NOT.
        negated: bool,
    },
    /// A comparison with ANY or ALL of a query.
    Quantified {
        /// The operand.
        expr: Box<Expr>,
        /// The comparison.
        op: &'static str,
        /// ALL, not ANY.
        all: bool,
        /// The query.
        query: Box<Query>,
    },
    /// BETWEEN.
    Between {
        /// The operand.
        expr: Box<Expr>,
        /// The lower limit.
        low: Box<Expr>,
        /// The upper limit.
        high: Box<Expr>,
        /// NOT.
        negated: bool,
    },
    /// LIKE.
    Like {
        /// The operand.
        expr: Box<Expr>,
        /// The pattern.
        pattern: String,
        /// ESCAPE, unless it is the backslash.
        escape: Option<char>,
        /// NOT.
        negated: bool,
    },
    /// CASE.
    Case {
        /// What is compared, if anything.
        operand: Option<Box<Expr>>,
        /// Conditions and results.
        branches: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// CAST.
    Cast(Box<Expr>, DataType),
    /// A call of a function.
    Call(&'static str, Vec<Expr>),
    /// An aggregate; without an argument it is COUNT(*).
    Aggregate {
        /// Its name.
        name: &'static str,
        /// DISTINCT.
        distinct: bool,
        /// The argument.
        arg: Option<Box<Expr>>,
        /// FILTER.
        filter: Option<Box<Expr>>,
    },
    /// A query that gives one value.
    Scalar(Box<Query>, DataType),
    /// EXISTS.
    Exists(Box<Query>),
}

impl Expr {
    /// The type of what it gives.
    pub fn datatype(&self) -> DataType {
        use DataType::{Boolean, Float, Integer, Text};
        match self {
            Self::Literal(value) => value.datatype().unwrap_or(Text),
            Self::Null { datatype, .. } | Self::Column { datatype, .. } => *datatype,
            Self::Unary("NOT", _) => Boolean,
            Self::Unary(_, expr) => expr.datatype(),
            Self::Binary(op, a, b) => match *op {
                "+" | "-" | "*" | "/" | "%" | "^" => match (a.datatype(), b.datatype()) {
                    (Integer, Integer) => Integer,
                    _ => Float,
                },
                "||" => Text,
                _ => Boolean,
            },
            Self::Is { .. }
            | Self::In { .. }
            | Self::InQuery { .. }
            | Self::Quantified { .. }
            | Self::Between { .. }
            | Self::Like { .. }
            | Self::Exists(_) => Boolean,
            Self::Case { branches, otherwise, .. } => match (branches.first(), otherwise) {
                (Some((_, result)), _) => result.datatype(),
                (None, Some(otherwise)) => otherwise.datatype(),
                (None, None) => Text,
            },
            Self::Cast(_, datatype) | Self::Scalar(_, datatype) => *datatype,
            Self::Call(name, args) => match *name {
                "LENGTH" | "INSTR" => Integer,
                "UPPER" | "LOWER" | "SUBSTR" | "REPLACE" | "TRIM" | "LTRIM" | "RTRIM" | "LEFT" | "REVERSE" => Text,
                "SQRT" => Float,
                _ => args.first().map_or(Text, Self::datatype),
            },
            Self::Aggregate { name, arg, .. } => match (*name, arg) {
                ("COUNT", _) | (_, None) => Integer,
                ("AVG" | "TOTAL", _) => Float,
                ("BOOL_AND" | "BOOL_OR", _) => Boolean,
                (_, Some(arg)) => arg.datatype(),
            },
        }
    }

    /// A boxed binary operator.
    pub fn binary(op: &'static str, a: Self, b: Self) -> Self {
        Self::Binary(op, Box::new(a), Box::new(b))
    }

    /// `a AND b`, where `a` may be missing.
    pub fn and(a: Option<Self>, b: Self) -> Self {
        match a {
            Some(a) => Self::binary("AND", a, b),
            None => b,
        }
    }
}

impl From {
    /// What the tables and queries in it are called.
    pub fn aliases(&self) -> Vec<&str> {
        match self {
            Self::Table { alias, .. } | Self::Query { alias, .. } => vec![alias],
            Self::Join { left, right, .. } => [left.aliases(), right.aliases()].concat(),
        }
    }
}

impl Query {
    /// A query that is just a SELECT.
    pub fn of(select: Select) -> Self {
        Self { with: Vec::new(), body: Body::Select(Box::new(select)), order: Vec::new(), limit: None, offset: None }
    }
}
