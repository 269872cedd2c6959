//! Conditions as lists of what AND connects, in the order in which they are evaluated.

use std::cmp::Ordering;

use super::super::algebra::{Binary, Expr, Is, Node};
use super::super::types::Value;
use super::fallible::can_fail;

/// Takes a condition apart at its ANDs.
pub(super) fn split(condition: Expr, parts: &mut Vec<Expr>) {
    match condition {
        Expr::Binary(Binary::And, a, b) => {
            split(*a, parts);
            split(*b, parts);
        }
        condition => parts.push(condition),
    }
}

/// The parts of a condition.
pub(super) fn parts(condition: Option<Expr>) -> Vec<Expr> {
    let mut parts = Vec::new();
    if let Some(condition) = condition {
        split(condition, &mut parts);
    }
    parts
}

/// How many conditions are put together one after the other. More are in groups, so that they are not as deep as there are
/// many.
const GROUP: usize = 16;

/// Puts conditions together, the first one first.
pub(super) fn all(mut conditions: Vec<Expr>) -> Option<Expr> {
    while conditions.len() > GROUP {
        let mut rest = conditions.into_iter();
        conditions = std::iter::from_fn(|| chain(rest.by_ref().take(GROUP))).collect();
    }
    chain(conditions.into_iter())
}

fn chain(conditions: impl Iterator<Item = Expr>) -> Option<Expr> {
    conditions.reduce(|a, b| Expr::Binary(Binary::And, Box::new(a), Box::new(b)))
}

/// The rows of a plan for which conditions hold.
pub(super) fn filtered(input: Node, conditions: Vec<Expr>) -> Node {
    match all(conditions) {
        Some(predicate) => Node::Filter { input: Box::new(input), predicate },
        None => input,
    }
}

/// Divides conditions into those that `below` makes ones of rows further down, and the others. Each still comes after
/// those that it came after, if it can fail.
pub(super) fn divide(conditions: Vec<Expr>, mut below: impl FnMut(&Expr) -> Option<Expr>) -> (Vec<Expr>, Vec<Expr>) {
    let (mut down, mut here) = (Vec::new(), Vec::new());
    for condition in conditions {
        let blocked = !here.is_empty() && can_fail(&condition);
        match if blocked { None } else { below(&condition) } {
            Some(condition) => down.push(condition),
            None => here.push(condition),
        }
    }
    (down, here)
}

/// Whether an expression is known before the rows of its query are: it is the same for all of them, and cannot fail.
pub(super) fn is_known(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant(_) | Expr::Parameter(_) | Expr::Outer { .. })
}

/// The other way round: `a < b` is `b > a`.
pub(super) fn mirrored(op: Binary) -> Binary {
    match op {
        Binary::Less => Binary::Greater,
        Binary::LessOrEqual => Binary::GreaterOrEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterOrEqual => Binary::LessOrEqual,
        op => op,
    }
}

/// A comparison of a column with something else, the column on the left.
pub(super) fn comparison(condition: &Expr) -> Option<(Binary, usize, &Expr)> {
    let Expr::Binary(op, a, b) = condition else { return None };
    match (&**a, &**b) {
        (Expr::Column(column), other) if !matches!(other, Expr::Column(_)) => Some((*op, *column, other)),
        (other, Expr::Column(column)) if !matches!(other, Expr::Column(_)) => Some((mirrored(*op), *column, other)),
        _ => None,
    }
}

/// Two columns that must be equal.
pub(super) fn equal_columns(condition: &Expr) -> Option<(usize, usize)> {
    match condition {
        Expr::Binary(Binary::Equal, a, b) => match (&**a, &**b) {
            (Expr::Column(a), Expr::Column(b)) => Some((*a, *b)),
            _ => None,
        },
        _ => None,
    }
}

/// The conditions without those that say nothing; `None` if no row can fulfil them all.
pub(super) fn consistent(conditions: Vec<Expr>) -> Option<Vec<Expr>> {
    let mut kept: Vec<Expr> = Vec::with_capacity(conditions.len());
    for condition in conditions {
        match condition {
            Expr::Constant(Value::Boolean(true)) => {}
            Expr::Constant(Value::Boolean(false) | Value::Null) => return None,
            condition if kept.contains(&condition) => {}
            condition => kept.push(condition),
        }
    }
    for (nth, condition) in kept.iter().enumerate() {
        if kept[..nth].iter().any(|other| contradict(other, condition)) {
            return None;
        }
    }
    Some(kept)
}

/// Whether two conditions on one column are never true together.
fn contradict(a: &Expr, b: &Expr) -> bool {
    if asks_null_of_compared(a, b) || asks_null_of_compared(b, a) {
        return true;
    }
    let (Some((op, column, Expr::Constant(x))), Some((other, same, Expr::Constant(y)))) =
        (comparison(a), comparison(b))
    else {
        return false;
    };
    let Some(order) = x.compare(y).filter(|_| column == same) else { return false };
    let is_low = |op| matches!(op, Binary::Greater | Binary::GreaterOrEqual);
    let is_high = |op| matches!(op, Binary::Less | Binary::LessOrEqual);
    let strict = |op| matches!(op, Binary::Less | Binary::Greater);
    match (op, other) {
        (Binary::Equal, Binary::Equal) => order != Ordering::Equal,
        // No value is both at least x and at most y.
        (low, high) if (is_low(low) || low == Binary::Equal) && (is_high(high) || high == Binary::Equal) => {
            order == Ordering::Greater || order == Ordering::Equal && (strict(low) || strict(high))
        }
        (high, low) if (is_high(high) || high == Binary::Equal) && (is_low(low) || low == Binary::Equal) => {
            order == Ordering::Less || order == Ordering::Equal && (strict(low) || strict(high))
        }
        _ => false,
    }
}

/// Whether one condition asks for NULL where the other compares.
fn asks_null_of_compared(is: &Expr, compared: &Expr) -> bool {
    match (is, comparison(compared)) {
        (Expr::Is { expr, what: Is::Null, negated: false }, Some((op, column, _))) => {
            **expr == Expr::Column(column) && is_order(op)
        }
        _ => false,
    }
}

/// Whether an operator compares by `=`, `<` and the like, and so is NULL of NULL.
pub(super) fn is_order(op: Binary) -> bool {
    use Binary::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    matches!(op, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
}
