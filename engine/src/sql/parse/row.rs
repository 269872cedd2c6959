//! Row values: `(a, b) = (1, 2)`, `(a, b) IN (SELECT ...)`. They are written in terms of their columns, so nothing behind the
//! parser knows of them.
//!
//! `(a, b) < (c, d)` is `a < c OR a = c AND b < d`, which is unknown where PostgreSQL has it so. IN of a query is an EXISTS with a
//! condition that says when the two rows are the same; where it matters whether IN is false or unknown, a second EXISTS
//! looks for a row of which that is unknown.

use std::fmt::{self, Write};

use sqlparser::ast;

use super::super::algebra::{Binary, Is, Unary};
use super::super::ast::{Alias, Body, Expr, From, Item, Query, Select};
use super::super::error::{Error, SqlState};
use super::super::types::Value;
use super::expression::convert;
use super::{Position, Result, query};

/// The most columns of a row value, each of which makes a comparison deeper.
const MAX_WIDTH: usize = 32;
/// The most that comparisons of rows may grow to, since they name their columns several times: bytes of their debug text.
const MAX_SIZE: usize = 1 << 20;
/// The same for lists, which are long themselves.
const MAX_LIST_SIZE: usize = 16 << 20;

/// Counts what is written, and stops where it is too much.
struct Measure {
    left: usize,
}

impl Write for Measure {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Refuses to write down something so many times that it is too much. Row values within row values would grow without bound.
fn check_size(what: &impl fmt::Debug, times: usize, most: usize) -> Result<()> {
    let mut measure = Measure { left: most / times.max(1) };
    write!(measure, "{what:?}").map_err(|_| {
        let message = "a comparison of row values is too large";
        Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).with_hint("compare their columns one by one")
    })
}

/// The columns of a row value, or the expression again if it is none.
pub(super) fn columns(expr: ast::Expr) -> std::result::Result<Vec<ast::Expr>, Box<ast::Expr>> {
    match expr {
        ast::Expr::Tuple(columns) => Ok(columns),
        ast::Expr::Nested(inner) if is_row(&inner) => columns(*inner),
        other => Err(Box::new(other)),
    }
}

/// Whether an expression is a row value.
pub(super) fn is_row(expr: &ast::Expr) -> bool {
    let mut expr = expr;
    while let ast::Expr::Nested(inner) = expr {
        expr = inner;
    }
    matches!(expr, ast::Expr::Tuple(_))
}

fn converted(columns: Vec<ast::Expr>) -> Result<Vec<Expr>> {
    if columns.len() > MAX_WIDTH {
        let message = format!("a row value has {} columns, at most {MAX_WIDTH} are allowed", columns.len());
        return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message));
    }
    columns.into_iter().map(convert).collect()
}

/// The columns of one side of a comparison: those of a row value, or of a query that gives one row.
fn side(expr: ast::Expr, width: usize) -> Result<Vec<Expr>> {
    match columns(expr) {
        Ok(columns) => same_width(converted(columns)?, width),
        Err(other) => {
            let ast::Expr::Subquery(query) = *other else { return Err(mismatch()) };
            let query = query::convert(*query)?;
            check_size(&query, width, MAX_SIZE)?;
            let column = |name: String| Expr::Scalar(Box::new(rows(query.clone(), width, vec![column(&name)], None)));
            Ok((0..width).map(|position| column(name(position))).collect())
        }
    }
}

fn same_width(columns: Vec<Expr>, width: usize) -> Result<Vec<Expr>> {
    if columns.len() == width { Ok(columns) } else { Err(mismatch()) }
}

fn mismatch() -> Error {
    Error::new(SqlState::SYNTAX_ERROR, "a row value is compared with what has another number of columns")
}

/// A comparison of which one side is a row value at least.
pub(super) fn compare(op: Binary, left: ast::Expr, right: ast::Expr) -> Result<Expr> {
    let (left, right) = match (columns(left), columns(right)) {
        (Ok(left), Ok(right)) => {
            let left = converted(left)?;
            let right = same_width(converted(right)?, left.len())?;
            (left, right)
        }
        (Ok(left), Err(right)) => {
            let left = converted(left)?;
            let right = side(*right, left.len())?;
            (left, right)
        }
        (Err(left), Ok(right)) => {
            let right = converted(right)?;
            (side(*left, right.len())?, right)
        }
        (Err(_), Err(_)) => unreachable!("the caller has seen a row value"),
    };
    compared(op, left, right)
}

fn compared(op: Binary, left: Vec<Expr>, right: Vec<Expr>) -> Result<Expr> {
    check_size(&(&left, &right), 2, MAX_SIZE)?;
    let (all, each) = match op {
        Binary::Equal | Binary::Same => (Binary::And, op),
        Binary::NotEqual | Binary::NotSame => (Binary::Or, op),
        Binary::Less | Binary::LessOrEqual => return Ok(ordered(op, Binary::Less, left, right)),
        Binary::Greater | Binary::GreaterOrEqual => return Ok(ordered(op, Binary::Greater, left, right)),
        _ => return Err(Error::unsupported("this operator with row values")),
    };
    let columns = left.into_iter().zip(right).map(|(left, right)| binary(each, left, right));
    Ok(columns.reduce(|a, b| binary(all, a, b)).unwrap_or(Expr::Literal(Value::Boolean(all == Binary::And))))
}

/// An order of rows: the last columns decide by `last`, those before by `strict`.
fn ordered(last: Binary, strict: Binary, left: Vec<Expr>, right: Vec<Expr>) -> Expr {
    let mut result: Option<Expr> = None;
    for (left, right) in left.into_iter().zip(right).rev() {
        result = Some(match result {
            None => binary(last, left, right),
            Some(rest) => {
                let same = binary(Binary::And, binary(Binary::Equal, left.clone(), right.clone()), rest);
                binary(Binary::Or, binary(strict, left, right), same)
            }
        });
    }
    result.unwrap_or(Expr::Literal(Value::Boolean(last != strict)))
}

/// IN of a list of row values.
pub(super) fn in_list(row: Vec<ast::Expr>, list: Vec<ast::Expr>, negated: bool) -> Result<Expr> {
    let row = converted(row)?;
    check_size(&row, list.len(), MAX_LIST_SIZE)?;
    let mut same = Vec::with_capacity(list.len());
    for other in list {
        same.push(compared(Binary::Equal, row.clone(), side(other, row.len())?)?);
    }
    // Of a list, not of a chain, so that a long one is not deep.
    while same.len() > 1 {
        let mut pairs = same.into_iter();
        let mut halved = Vec::with_capacity(pairs.len() / 2 + 1);
        while let Some(first) = pairs.next() {
            halved.push(match pairs.next() {
                Some(second) => binary(Binary::Or, first, second),
                None => first,
            });
        }
        same = halved;
    }
    Ok(not(negated, same.pop().unwrap_or(Expr::Literal(Value::Boolean(false)))))
}

/// IN of a query. As a `condition`, it need not tell what is unknown from what is false.
pub(super) fn in_query(row: Vec<ast::Expr>, query: ast::Query, negated: bool, condition: bool) -> Result<Expr> {
    let row = converted(row)?;
    let query = query::convert(query)?;
    check_size(&(&row, &query), 2, MAX_SIZE)?;
    let width = row.len();
    let own = (0..width).map(|position| column(&name(position))).collect();
    let same = compared(Binary::Equal, row, own)?;
    let exists = |filter: Expr| {
        let one = vec![Expr::Literal(Value::Integer(1))];
        Expr::Exists(Box::new(rows(query.clone(), width, one, Some(filter))))
    };
    let found = exists(same.clone());
    if condition && !negated {
        return Ok(found);
    }
    let unknown = Expr::Is { expr: Box::new(same), what: Is::Null, negated: false };
    let perhaps = binary(Binary::And, Expr::Literal(Value::Null), exists(unknown));
    Ok(not(negated, binary(Binary::Or, found, perhaps)))
}

/// IS \[NOT\] NULL: all columns are, or none is.
pub(super) fn is_null(row: Vec<ast::Expr>, negated: bool) -> Result<Expr> {
    let each = converted(row)?.into_iter().map(|expr| Expr::Is { expr: Box::new(expr), what: Is::Null, negated });
    Ok(each.reduce(|a, b| binary(Binary::And, a, b)).unwrap_or(Expr::Literal(Value::Boolean(true))))
}

fn not(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Unary(Unary::Not, Box::new(expr)) } else { expr }
}

fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

/// The names of a query's columns, which nothing else has: names of users have no `$` at their start unless in quotes.
fn name(position: usize) -> String {
    format!("$row{position}")
}

fn column(name: &str) -> Expr {
    Expr::Column { table: Some("$row".to_string()), name: name.to_string(), position: Position::default() }
}

/// A query over the rows of another, whose columns have names of ours. If they are not as many, the alias says so: it is one
/// of just so many columns.
fn rows(query: Query, width: usize, items: Vec<Expr>, filter: Option<Expr>) -> Query {
    let columns = (0..width).map(name).collect();
    let alias = Some(Alias { name: "$row".to_string(), columns, whole: true });
    let from = vec![From::Query { query: Box::new(query), lateral: false, alias }];
    let items = items.into_iter().map(|expr| Item::Expr { expr, alias: None }).collect();
    let select = Select { distinct: false, items, from, filter, group_by: Vec::new(), having: None };
    let body = Body::Select(Box::new(select));
    Query { recursive: false, with: Vec::new(), body, order_by: Vec::new(), limit: None, offset: None }
}
