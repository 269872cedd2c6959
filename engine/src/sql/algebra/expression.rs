//! Expressions over a row.

use super::super::functions::Function;
use super::super::types::{DataType, Value};
use super::Node;

/// An expression, with names resolved and types checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A value.
    Constant(Value),
    /// A parameter, counted from 0: its value comes with each execution, and has the type that the plan was made for.
    Parameter(usize),
    /// A column of the row at hand.
    Column(usize),
    /// A column of an outer row: level 1 is the row of the query around this one.
    Outer {
        /// How many queries outwards, from 1.
        level: usize,
        /// The column of that row.
        column: usize,
    },
    /// One operand.
    Unary(Unary, Box<Self>),
    /// Two operands.
    Binary(Binary, Box<Self>, Box<Self>),
    /// IS or IS NOT something, which is never NULL (but `NULL IS NAN` is).
    Is {
        /// What is looked at.
        expr: Box<Self>,
        /// What it may be.
        what: Is,
        /// IS NOT.
        negated: bool,
    },
    /// IN a list. An empty list is allowed.
    In {
        /// What is looked for.
        expr: Box<Self>,
        /// Where.
        list: Vec<Self>,
        /// NOT IN.
        negated: bool,
    },
    /// BETWEEN, both ends included.
    Between {
        /// What is looked at.
        expr: Box<Self>,
        /// The lower end.
        low: Box<Self>,
        /// The upper end.
        high: Box<Self>,
        /// NOT BETWEEN.
        negated: bool,
    },
    /// LIKE, and ILIKE.
    Like {
        /// The text.
        expr: Box<Self>,
        /// The pattern.
        pattern: Box<Self>,
        /// The character that takes its meaning from `%` and `_`; by default a backslash.
        escape: Option<char>,
        /// ILIKE: letters of either case are equal.
        insensitive: bool,
        /// NOT LIKE.
        negated: bool,
    },
    /// CASE, with an operand that is compared with each branch, or with conditions.
    Case {
        /// What is compared.
        operand: Option<Box<Self>>,
        /// WHEN … THEN ….
        branches: Vec<(Self, Self)>,
        /// ELSE; NULL without it.
        otherwise: Option<Box<Self>>,
    },
    /// CAST.
    Cast(Box<Self>, DataType),
    /// A call of a scalar function.
    Call(Function, Vec<Self>),
    /// A query within the expression.
    Subquery(Box<Subquery>),
}

/// Operators of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// NOT
    Not,
    /// Postfix `!`
    Factorial,
}

/// Operators of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
    /// `^`
    Power,
    /// `||`
    Concat,
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// IS NOT DISTINCT FROM: as `=`, with NULL equal to NULL. Never NULL.
    Same,
    /// IS DISTINCT FROM.
    NotSame,
    /// AND
    And,
    /// OR
    Or,
}

/// What IS asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// IS NULL.
    Null,
    /// IS TRUE.
    True,
    /// IS FALSE.
    False,
    /// IS UNKNOWN: as NULL, of a condition.
    Unknown,
    /// IS NAN, of a float; NULL of NULL.
    Nan,
}

/// A query within an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is made of its rows.
    pub kind: SubqueryKind,
    /// The query. In it, `Outer { level: 1, .. }` is a column of the row that the expression is over.
    pub plan: Node,
    /// The columns of outer rows that the query reads, by level (1 is the row that the expression is over) and column, each
    /// once. If there are none, it gives the same for all rows, and runs at most once for each execution of the statement.
    pub outer: Vec<(usize, usize)>,
}

/// What is made of a subquery's rows.
#[derive(Clone, Debug, PartialEq)]
pub enum SubqueryKind {
    /// The value of its only row, which has one column; NULL without a row, an error (21000) with several.
    Scalar,
    /// Whether it has a row.
    Exists,
    /// Whether a comparison with its rows, which have one column, holds for any or for all. IN is `= ANY`, and NOT IN is
    /// `<> ALL`.
    Quantified {
        /// The left side.
        expr: Expr,
        /// The comparison.
        op: Binary,
        /// ANY or ALL.
        quantifier: Quantifier,
    },
}

/// How many rows of a subquery a comparison must hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// At least one.
    Any,
    /// Each.
    All,
}
