//! Tests of the executor: random plans against a model of what they mean, random scans, and what statements may use.

mod limits;
mod model;
mod plans;
mod scans;
mod subqueries;

use super::super::algebra::{Binary, Expr, Node};
use super::super::schema::Row;
use super::super::types::Value;
use super::{Context, open};
use crate::sql::error::Failure;

/// Bytes that decide what is random; zeros when they are used up.
pub(super) struct Dice<'b>(std::slice::Iter<'b, u8>);

impl<'b> Dice<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes.iter())
    }

    /// A number below another one.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % n
    }

    pub fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A value of few, so that many are equal.
    pub fn value(&mut self) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => Value::Float(f64::NAN),
            2 => Value::Float(0.5),
            3 => Value::Float(1.0),
            4 => Value::Float(-0.0),
            n => Value::Integer(n as i64 % 5),
        }
    }

    /// Rows of two columns: numbers, of which many are equal.
    pub fn rows(&mut self, most: usize) -> Vec<Row> {
        (0..self.below(most + 1)).map(|_| vec![self.value(), self.value()]).collect()
    }
}

pub(super) fn rows(rows: Vec<Row>) -> Node {
    Node::Rows { rows: rows.into(), width: 2 }
}

pub(super) fn column(column: usize) -> Expr {
    Expr::Column(column)
}

pub(super) fn compare(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

pub(super) fn integer(n: i64) -> Expr {
    Expr::Constant(Value::Integer(n))
}

pub(super) fn collect(node: &Node, ctx: &Context<'_>) -> Result<Vec<Row>, Failure> {
    open(node, ctx)?.collect()
}

/// The rows of a plan that reads no tables.
pub(super) fn run(node: &Node) -> Vec<Row> {
    collect(node, &Context::without_data(&[])).unwrap()
}
