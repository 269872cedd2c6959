//! The syntax of a statement, as parsing leaves it: names are not resolved, types not known.

use super::types::{DataType, Value};
use crate::mvcc::{Isolation, Version};

/// A parsed statement. It depends on nothing but its text, so it can be kept and run again.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement(pub(super) Node);

/// What a statement is to the session that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opens a transaction.
    Begin {
        /// Whether it may not write.
        read_only: bool,
        /// How isolated it is.
        isolation: Isolation,
        /// The position to read at; `None` is now.
        as_of: Option<Version>,
    },
    /// Commits it.
    Commit,
    /// Rolls it back.
    Rollback,
    /// Runs within one.
    Query,
}

impl Statement {
    /// What the statement is to its session.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Node::Transaction(kind) => *kind,
            _ => Kind::Query,
        }
    }

    /// Whether it certainly writes nothing.
    pub fn is_read_only(&self) -> bool {
        match &self.0 {
            Node::Transaction(_) | Node::Select(_) | Node::Explain(_) => true,
            Node::CreateTable(_) | Node::DropTable { .. } | Node::Insert(_) | Node::Update(_) | Node::Delete(_) => {
                false
            }
        }
    }
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Transaction(Kind),
    CreateTable(CreateTable),
    DropTable { names: Vec<String>, if_exists: bool },
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Select(Select),
    Explain(Box<Node>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CreateTable {
    pub name: String,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDef>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ColumnDef {
    pub name: String,
    pub datatype: DataType,
    /// The most characters of a VARCHAR(n).
    pub max_length: Option<u64>,
    pub primary_key: bool,
    pub nullable: Option<bool>,
    pub unique: bool,
    pub default: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Insert {
    pub table: String,
    pub columns: Vec<String>,
    /// `None` in a row stands for DEFAULT.
    pub rows: Vec<Vec<Option<Expr>>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Update {
    pub table: Table,
    /// `None` stands for DEFAULT.
    pub assignments: Vec<(String, Option<Expr>)>,
    pub filter: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delete {
    pub table: Table,
    pub filter: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    pub items: Vec<Item>,
    pub from: Option<Table>,
    pub filter: Option<Expr>,
    pub order_by: Vec<Order>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
}

/// A table in a statement, with the name it goes by there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub name: String,
    pub alias: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// `*` or `t.*`.
    All {
        table: Option<String>,
    },
    Expr {
        expr: Expr,
        alias: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Literal(Value),
    /// A column, perhaps with its table; and where it stands.
    Column {
        table: Option<String>,
        name: String,
        position: Option<(u64, u64)>,
    },
    /// `$1` is 1.
    Parameter(usize),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// IS NULL, IS TRUE, ...; `negated` for IS NOT.
    Is {
        expr: Box<Expr>,
        what: Is,
        negated: bool,
    },
    In {
        expr: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    Between {
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    Like {
        expr: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<char>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast(Box<Expr>, DataType),
    Function(Function, Vec<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Plus,
    Minus,
    Not,
    Factorial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Concat,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

impl Binary {
    /// Whether it computes a value, rather than a truth.
    pub fn is_scalar(self) -> bool {
        use Binary::{Add, Concat, Divide, Multiply, Power, Remainder, Subtract};
        matches!(self, Add | Subtract | Multiply | Divide | Remainder | Power | Concat)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Null,
    True,
    False,
    /// As NULL, of a condition.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Coalesce,
    Length,
    Lower,
    Nullif,
    Sqrt,
    Upper,
}
