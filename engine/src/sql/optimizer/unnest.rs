//! Subqueries that decide whether a row stays become joins.
//!
//! EXISTS, IN and `= ANY` as a part of a filter become a semijoin; NOT EXISTS an antijoin, and so NOT IN where neither side
//! can be NULL. What the query says of the row around it becomes the condition of the join (after Kim, 1982), if it stands
//! in filters at the query's top or above inner joins there. A query that may fail, or has to be run for each row, stays as
//! it is: it would be run for other rows than before. A common table that is read once takes its reader's place.

use super::super::algebra::{
    Binary, Expr, Join, JoinKind, JoinMethod, Node, Quantifier, Subquery, SubqueryKind, Unary,
};
use super::super::types::Value;
use super::conjuncts::{all, filtered, parts};
use super::fallible::{can_fail, plan_can_fail};
use super::push::substitute;

/// Makes joins of the subqueries of a plan, from the innermost ones outwards.
pub(super) fn unnest(node: Node) -> Node {
    let mut node = inlined(node);
    node.for_each_expr_mut(&mut in_expr);
    node.for_each_input_mut(&mut |input, _| {
        let inner = std::mem::replace(input, Node::Nothing { width: 0 });
        *input = unnest(inner);
    });
    match node {
        Node::Filter { input, predicate } => {
            let mut input = *input;
            let mut rest = Vec::new();
            for condition in parts(Some(predicate)) {
                match semijoin(condition, &input) {
                    Ok((right, kind, on)) => {
                        let method = JoinMethod::NestedLoop;
                        input = Node::Join(Box::new(Join { left: input, right, kind, on, method }));
                    }
                    Err(condition) => rest.push(*condition),
                }
            }
            filtered(input, rest)
        }
        node => node,
    }
}

fn in_expr(expr: &mut Expr) {
    expr.for_each_operand_mut(&mut in_expr);
    if let Expr::Subquery(subquery) = expr {
        let plan = std::mem::replace(&mut subquery.plan, Node::Nothing { width: 0 });
        **subquery = Subquery::new(subquery.kind.clone(), unnest(plan));
    }
}

/// A common table that is read once, and at the level of the query that it is for, in the place where it is read.
fn inlined(node: Node) -> Node {
    let Node::With { id, common, recursive: None, mut body } = node else { return node };
    let mut count = 0;
    body.for_each_common(&mut |other| count += usize::from(other == id));
    match count {
        0 => inlined(*body),
        1 => {
            let mut common = Some(*common);
            replace(&mut body, id, &mut common);
            match common {
                None => inlined(*body),
                Some(common) => Node::With { id, common: Box::new(common), recursive: None, body },
            }
        }
        _ => Node::With { id, common, recursive: None, body },
    }
}

/// Puts a common table in the place where it is read, unless that is run again and again.
fn replace(node: &mut Node, id: usize, common: &mut Option<Node>) {
    match node {
        Node::Common { id: other, .. } if *other == id => {
            if let Some(common) = common.take() {
                *node = common;
            }
        }
        Node::With { recursive: Some(_), common: first, body, .. } => {
            replace(first, id, common);
            replace(body, id, common);
        }
        node => node.for_each_input_mut(&mut |input, inwards| {
            if inwards == 0 {
                replace(input, id, common);
            }
        }),
    }
}

type Semijoin = (Node, JoinKind, Option<Expr>);

/// The right side, the kind and the condition of the join that does what a condition says, if there is one; else the
/// condition.
fn semijoin(condition: Expr, input: &Node) -> Result<Semijoin, Box<Expr>> {
    let (negated, subquery) = match &condition {
        Expr::Unary(Unary::Not, inner) => match &**inner {
            Expr::Subquery(subquery) => (true, subquery),
            _ => return Err(Box::new(condition)),
        },
        Expr::Subquery(subquery) => (false, subquery),
        _ => return Err(Box::new(condition)),
    };
    let anti = match &subquery.kind {
        SubqueryKind::Exists => negated,
        SubqueryKind::Quantified { op: Binary::Equal, quantifier: Quantifier::Any, .. } => negated,
        SubqueryKind::Quantified { op: Binary::NotEqual, quantifier: Quantifier::All, .. } if !negated => true,
        _ => return Err(Box::new(condition)),
    };
    let kind = if anti { JoinKind::Anti } else { JoinKind::Semi };
    match parts_of(subquery, input, anti) {
        Some((right, on)) => Ok((right, kind, on)),
        None => Err(Box::new(condition)),
    }
}

fn parts_of(subquery: &Subquery, input: &Node, anti: bool) -> Option<(Node, Option<Expr>)> {
    if plan_can_fail(&subquery.plan) {
        return None;
    }
    let mut plan = subquery.plan.clone();
    let compared = match &subquery.kind {
        SubqueryKind::Quantified { expr, .. } if can_fail(expr) => return None,
        SubqueryKind::Quantified { expr, .. } => {
            // With NULL on either side the comparison is unknown, and not false.
            if anti && (is_nullable_expr(expr, input) || is_nullable(&plan, 0)) {
                return None;
            }
            Some(expr.clone())
        }
        _ => None,
    };
    let mut value = Expr::Column(0);
    // What changes nothing about which rows there are.
    loop {
        plan = match plan {
            Node::Project { input, exprs } => {
                if compared.is_some() {
                    let mut substitutes = true;
                    value.walk(0, &mut |depth, expr| substitutes &= depth == 0 && !matches!(expr, Expr::Subquery(_)));
                    if !substitutes {
                        return None;
                    }
                    substitute(&mut value, &exprs);
                }
                *input
            }
            Node::Distinct { input } => *input,
            Node::Sort { input, first: None, .. } => *input,
            Node::Limit { input, offset: None, limit: Some(Expr::Constant(Value::Integer(1..))) }
                if compared.is_none() =>
            {
                *input
            }
            other => {
                plan = other;
                break;
            }
        };
    }
    let mut conditions = Vec::new();
    let mut plan = pulled(plan, 0, &mut conditions);
    let mut correlated = false;
    plan.for_each_outer_column(&mut |_| correlated = true);
    if correlated {
        return None;
    }
    let left_width = input.width();
    // From the query's point of view to that of the join: its rows follow those of the left.
    let outwards = |mut condition: Expr| {
        condition.map_columns(&mut |column| column + left_width);
        to_columns(&mut condition);
        condition.shift_outer(-1);
        condition
    };
    let mut on: Vec<Expr> = Vec::new();
    if let Some(compared) = compared {
        on.push(Expr::Binary(Binary::Equal, Box::new(compared), Box::new(outwards(value))));
    }
    on.extend(conditions.into_iter().map(outwards));
    plan.shift_outer(-1);
    Some((plan, all(on)))
}

/// Makes columns of the row around a query columns of the join's left row. There are no queries in the expression.
fn to_columns(expr: &mut Expr) {
    if let Expr::Outer { level: 1, column } = expr {
        *expr = Expr::Column(*column);
        return;
    }
    expr.for_each_operand_mut(&mut to_columns);
}

/// Takes the conditions on the row around a query out of its filters. `offset` is that of the columns in the rows on top.
fn pulled(node: Node, offset: usize, out: &mut Vec<Expr>) -> Node {
    match node {
        Node::Filter { input, predicate } => {
            let mut stay = Vec::new();
            for mut condition in parts(Some(predicate)) {
                if reads_outer(&condition) {
                    condition.map_columns(&mut |column| column + offset);
                    out.push(condition);
                } else {
                    stay.push(condition);
                }
            }
            filtered(pulled(*input, offset, out), stay)
        }
        Node::Join(mut join) if join.method != JoinMethod::Lateral => {
            let left_width = join.left.width();
            if join.kind == JoinKind::Inner {
                let mut stay = Vec::new();
                for mut condition in parts(join.on.take()) {
                    if reads_outer(&condition) {
                        condition.map_columns(&mut |column| column + offset);
                        out.push(condition);
                    } else {
                        stay.push(condition);
                    }
                }
                join.on = all(stay);
                join.right = pulled(join.right, offset + left_width, out);
            }
            if matches!(join.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti) {
                join.left = pulled(join.left, offset, out);
            }
            Node::Join(join)
        }
        node => node,
    }
}

/// Whether an expression without queries reads the row around its query. (With queries in it, it stays where it is.)
fn reads_outer(condition: &Expr) -> bool {
    let (mut found, mut queries) = (false, false);
    condition.walk(0, &mut |depth, expr| match expr {
        Expr::Subquery(_) => queries = true,
        Expr::Outer { level, .. } => found |= *level == depth + 1,
        _ => {}
    });
    found && !queries
}

/// Whether an expression over the rows of a plan may be NULL.
fn is_nullable_expr(expr: &Expr, input: &Node) -> bool {
    match expr {
        Expr::Constant(value) => matches!(value, Value::Null),
        Expr::Column(column) => is_nullable(input, *column),
        _ => true,
    }
}

/// Whether a column of a plan's rows may be NULL.
fn is_nullable(node: &Node, column: usize) -> bool {
    match node {
        Node::Nothing { .. } => false,
        Node::Scan(scan) => scan.table.columns.get(scan.columns[column]).is_some_and(|column| column.nullable),
        Node::Filter { input, .. }
        | Node::Sort { input, .. }
        | Node::Limit { input, .. }
        | Node::Distinct { input } => is_nullable(input, column),
        Node::Project { input, exprs } => is_nullable_expr(&exprs[column], input),
        Node::Aggregate(aggregate) => {
            aggregate.groups.get(column).is_none_or(|group| is_nullable_expr(group, &aggregate.input))
        }
        Node::Join(join) => {
            let left_width = join.left.width();
            match join.kind {
                _ if column >= left_width && matches!(join.kind, JoinKind::Left | JoinKind::Full) => true,
                JoinKind::Right | JoinKind::Full if column < left_width => true,
                _ if column < left_width => is_nullable(&join.left, column),
                _ => is_nullable(&join.right, column - left_width),
            }
        }
        _ => true,
    }
}
