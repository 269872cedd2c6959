//! Relational algebra: what a query asks for, as a tree of operators over rows, and how it is done, as choices at the
//! operators.
//!
//! The binder makes a tree with the plainest choices (full scans, nested loops), which is right as it is. The optimizer turns
//! it into one that gives the same rows with less work. The executor runs any tree, so the two can be compared. Names are
//! gone: columns are positions in the row that an operator is given, and every type has been checked.
//!
//! A row of a correlated subquery's enclosing query is an *outer* row: an expression reaches it by how many levels
//! outwards it is, and its position there. So a plan holds no state, and can be kept and run again with other parameters.

mod expression;
mod node;
mod walk;

pub use expression::{Binary, Expr, Is, Quantifier, Subquery, SubqueryKind, Unary};
pub use node::{
    Access, Aggregate, AggregateCall, AggregateMethod, Join, JoinKind, JoinMethod, KeyRange, Node, Recursive, Scan,
    SetOperator, SortKey,
};
