//! The plain part of optimizing: conditions go down to the tables that they are about, and become ranges of keys there.
//!
//! A filter is taken apart at its ANDs. Each part goes through projections of plain columns and to the side of a join that
//! it is about, as far as that changes no row of an outer join. What arrives at a scan is its filter; and where it says that
//! the first columns of the primary key or of an index are equal to values, or in a range, the scan reads no more than that.
//! Which of several joins to do first, and how, is not looked at here.

use std::ops::Bound;

use super::algebra::{Access, Binary, Expr, Join, JoinKind, KeyRange, Node, Scan};
use super::types::{DataType, Value};

/// Gives the same rows, with less work.
pub(super) fn optimize(mut node: Node) -> Node {
    node = push(node, Vec::new());
    each_subquery(&mut node);
    node
}

/// Optimizes the queries in expressions.
fn each_subquery(node: &mut Node) {
    node.for_each_expr_mut(&mut in_expr);
    node.for_each_input_mut(&mut |input, _| each_subquery(input));
}

fn in_expr(expr: &mut Expr) {
    if let Expr::Subquery(subquery) = expr {
        let plan = std::mem::replace(&mut subquery.plan, Node::Nothing { width: 0 });
        subquery.plan = optimize(plan);
    }
    expr.for_each_operand_mut(&mut in_expr);
}

/// Pushes conditions down into a plan.
fn push(node: Node, mut conditions: Vec<Expr>) -> Node {
    match node {
        Node::Filter { input, predicate } => {
            split(predicate, &mut conditions);
            push(*input, conditions)
        }
        Node::Join(join) => self::join(*join, conditions),
        Node::Scan(mut scan) => {
            if let Some(filter) = scan.filter.take() {
                split(filter, &mut conditions);
            }
            choose(&mut scan, &conditions);
            scan.filter = all(conditions);
            Node::Scan(scan)
        }
        Node::Project { input, exprs } => {
            let plain = exprs.iter().all(|expr| matches!(expr, Expr::Column(_)));
            let (below, above): (Vec<Expr>, Vec<Expr>) =
                conditions.into_iter().partition(|condition| plain && !has_query(condition));
            let mut below = below;
            for condition in &mut below {
                condition.walk_mut(0, &mut |_, expr| {
                    if let Expr::Column(column) = expr
                        && let Expr::Column(inner) = exprs[*column]
                    {
                        *column = inner;
                    }
                });
            }
            let input = Box::new(push(*input, below));
            filtered(Node::Project { input, exprs }, above)
        }
        Node::Set { operator, all, left, right } => {
            let (left, right) = (Box::new(push(*left, Vec::new())), Box::new(push(*right, Vec::new())));
            filtered(Node::Set { operator, all, left, right }, conditions)
        }
        mut other => {
            other.for_each_input_mut(&mut |input, _| {
                let inner = std::mem::replace(input, Node::Nothing { width: 0 });
                *input = push(inner, Vec::new());
            });
            filtered(other, conditions)
        }
    }
}

fn filtered(input: Node, conditions: Vec<Expr>) -> Node {
    match all(conditions) {
        Some(predicate) => Node::Filter { input: Box::new(input), predicate },
        None => input,
    }
}

fn join(mut join: Join, conditions: Vec<Expr>) -> Node {
    let left_width = join.left.width();
    let width = left_width + join.right.width();
    let (mut left, mut right, mut on, mut above) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let lateral = join.method == super::algebra::JoinMethod::Lateral;
    if let Some(condition) = join.on.take() {
        split(condition, &mut on);
    }
    // What an inner join's condition says may as well be said of its rows, and the other way round.
    let mut conditions = conditions;
    if join.kind == JoinKind::Inner {
        conditions.append(&mut on);
    }
    let outer_left = matches!(join.kind, JoinKind::Right | JoinKind::Full);
    let outer_right = matches!(join.kind, JoinKind::Left | JoinKind::Full);
    for condition in conditions {
        match side(&condition, left_width, width) {
            _ if has_query(&condition) => above.push(condition),
            Some(Side::Left) if !outer_left => left.push(condition),
            Some(Side::Right) if !outer_right && !matches!(join.kind, JoinKind::Semi | JoinKind::Anti) && !lateral => {
                right.push(moved(condition, left_width));
            }
            _ if join.kind == JoinKind::Inner => on.push(condition),
            _ => above.push(condition),
        }
    }
    // The condition of an outer join decides for rows of the side that is not kept whether they are there at all.
    if matches!(join.kind, JoinKind::Left | JoinKind::Right) {
        let mut kept = Vec::new();
        for condition in on {
            match side(&condition, left_width, width) {
                _ if has_query(&condition) => kept.push(condition),
                Some(Side::Right) if join.kind == JoinKind::Left && !lateral => {
                    right.push(moved(condition, left_width));
                }
                Some(Side::Left) if join.kind == JoinKind::Right => left.push(condition),
                _ => kept.push(condition),
            }
        }
        on = kept;
    }
    join.left = push(join.left, left);
    join.right = push(join.right, right);
    join.on = all(on);
    filtered(Node::Join(Box::new(join)), above)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Which side of a join alone a condition is about.
fn side(condition: &Expr, left_width: usize, width: usize) -> Option<Side> {
    let (mut left, mut right) = (false, false);
    condition.walk(0, &mut |_, expr| {
        if let Expr::Column(column) = expr {
            left |= *column < left_width;
            right |= (left_width..width).contains(column);
        }
    });
    match (left, right) {
        (true, false) => Some(Side::Left),
        (false, true) => Some(Side::Right),
        _ => None,
    }
}

fn moved(mut condition: Expr, left_width: usize) -> Expr {
    condition.walk_mut(0, &mut |_, expr| {
        if let Expr::Column(column) = expr {
            *column -= left_width;
        }
    });
    condition
}

/// Whether there is a query in a condition, whose outer columns are columns of the row too.
fn has_query(condition: &Expr) -> bool {
    let mut found = false;
    condition.walk(0, &mut |_, expr| found |= matches!(expr, Expr::Subquery(_)));
    found
}

/// Takes a condition apart at its ANDs.
fn split(condition: Expr, parts: &mut Vec<Expr>) {
    match condition {
        Expr::Binary(Binary::And, a, b) => {
            split(*a, parts);
            split(*b, parts);
        }
        condition => parts.push(condition),
    }
}

/// Puts conditions together, the first one first.
fn all(conditions: Vec<Expr>) -> Option<Expr> {
    conditions.into_iter().reduce(|a, b| Expr::Binary(Binary::And, Box::new(a), Box::new(b)))
}

/// What conditions say of a column.
#[derive(Default)]
struct Known<'e> {
    equal: Option<&'e Expr>,
    list: Option<&'e [Expr]>,
    low: Option<(&'e Expr, bool)>,
    high: Option<(&'e Expr, bool)>,
}

/// Gives a scan the best way to the rows for which conditions hold, if there is a better one than all rows.
fn choose(scan: &mut Scan, conditions: &[Expr]) {
    if scan.access != Access::all() {
        return;
    }
    let table = std::sync::Arc::clone(&scan.table);
    let known = |column: usize| {
        let mut known = Known::default();
        for condition in conditions {
            say(condition, column, scan, &mut known);
        }
        known
    };
    let mut best: Option<(usize, Access)> = None;
    let ways = std::iter::once((None, table.primary_key.clone(), !table.primary_key.is_empty())).chain(
        table.indexes.iter().enumerate().map(|(position, index)| {
            (Some(position), index.columns.iter().map(|by| by.column).collect(), index.unique)
        }),
    );
    for (index, columns, unique) in ways {
        let mut range = KeyRange::all();
        let mut list: Option<Vec<Expr>> = None;
        for &column in &columns {
            let known = known(column);
            if let Some(equal) = known.equal {
                range.prefix.push(equal.clone());
                continue;
            }
            // A list is for the last column of the prefix, so that its ranges come one after the other.
            if let Some(values) = known.list {
                list = Some(values.to_vec());
                break;
            }
            let bound = |end: Option<(&Expr, bool)>| match end {
                None => Bound::Unbounded,
                Some((value, true)) => Bound::Included(value.clone()),
                Some((value, false)) => Bound::Excluded(value.clone()),
            };
            (range.low, range.high) = (bound(known.low), bound(known.high));
            break;
        }
        let fixed = range.prefix.len() + usize::from(list.is_some());
        let bounds = usize::from(range.low != Bound::Unbounded) + usize::from(range.high != Bound::Unbounded);
        if fixed == 0 && bounds == 0 {
            continue;
        }
        // One row at most, then as many equal columns as can be; the primary key needs one lookup less.
        let whole = unique && fixed == columns.len();
        let score = usize::from(whole) * 1000 + fixed * 10 + bounds * 3 + usize::from(index.is_none()) * 2;
        if best.as_ref().is_none_or(|(other, _)| score > *other) {
            let ranges = match list {
                None => vec![range],
                Some(values) => {
                    let with = |value: Expr| {
                        let prefix = range.prefix.iter().cloned().chain([value]).collect();
                        KeyRange { prefix, ..KeyRange::all() }
                    };
                    values.into_iter().map(with).collect()
                }
            };
            best = Some((score, Access { index, ranges, only: false }));
        }
    }
    if let Some((_, access)) = best {
        scan.access = access;
    }
}

/// Adds what a condition says of a column of the table.
fn say<'e>(condition: &'e Expr, column: usize, scan: &Scan, known: &mut Known<'e>) {
    let is_column =
        |expr: &Expr| matches!(expr, Expr::Column(position) if scan.columns.get(*position) == Some(&column));
    // Values of the same class, so that the keys compare as the values do.
    let fits = |expr: &Expr| is_value(expr, scan.table.columns[column].datatype);
    match condition {
        Expr::Binary(op, a, b) => {
            let (op, value) = if is_column(a) && fits(b) {
                (*op, &**b)
            } else if is_column(b) && fits(a) {
                (mirrored(*op), &**a)
            } else {
                return;
            };
            match op {
                Binary::Equal => known.equal = known.equal.or(Some(value)),
                Binary::Less => known.high = known.high.or(Some((value, false))),
                Binary::LessOrEqual => known.high = known.high.or(Some((value, true))),
                Binary::Greater => known.low = known.low.or(Some((value, false))),
                Binary::GreaterOrEqual => known.low = known.low.or(Some((value, true))),
                _ => {}
            }
        }
        Expr::Between { expr, low, high, negated: false } if is_column(expr) && fits(low) && fits(high) => {
            known.low = known.low.or(Some((low, true)));
            known.high = known.high.or(Some((high, true)));
        }
        Expr::In { expr, list, negated: false } if is_column(expr) && list.iter().all(fits) => {
            known.list = known.list.or(Some(list));
        }
        _ => {}
    }
}

fn mirrored(op: Binary) -> Binary {
    match op {
        Binary::Less => Binary::Greater,
        Binary::LessOrEqual => Binary::GreaterOrEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterOrEqual => Binary::LessOrEqual,
        op => op,
    }
}

/// Whether an expression is known before the scan, and can be looked up among keys of a type, without a chance to fail. The
/// binder has seen to it that what is compared can be compared.
fn is_value(expr: &Expr, datatype: DataType) -> bool {
    match expr {
        Expr::Constant(_) | Expr::Parameter(_) | Expr::Outer { .. } => true,
        Expr::Cast(inner, to) => *to == datatype && never_fails(inner, datatype),
        Expr::Unary(_, inner) => matches!(**inner, Expr::Constant(Value::Float(_) | Value::Integer(1..))),
        _ => false,
    }
}

/// Whether a cast of an expression to a type gives a value whatever happens.
fn never_fails(expr: &Expr, to: DataType) -> bool {
    match expr {
        Expr::Constant(Value::Integer(_)) => matches!(to, DataType::Float | DataType::Text),
        Expr::Constant(value) => value.datatype().is_none_or(|from| from == to),
        _ => false,
    }
}
