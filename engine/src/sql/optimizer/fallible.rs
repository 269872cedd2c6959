//! What can fail: expressions whose evaluation may end in an error for some row.
//!
//! The optimizer must not make a query fail that does not fail without it. So an expression that can fail is evaluated only
//! for rows for which it would be evaluated without the optimizer, and only those that cannot move freely. Limits of
//! memory, steps and time are no failures in this sense.

use super::super::algebra::{AggregateCall, Binary, Expr, Node, SubqueryKind, Unary};
use super::super::functions::AggregateFunction;
use super::super::types::{DataType, Value};

/// Whether the evaluation of an expression may fail. The binder has seen to the types, so comparisons cannot.
pub(super) fn can_fail(expr: &Expr) -> bool {
    use Binary::{Add, Concat, Divide, Multiply, Power, Remainder, Subtract};
    let here = match expr {
        Expr::Constant(_)
        | Expr::Parameter(_)
        | Expr::Column(_)
        | Expr::Outer { .. }
        | Expr::Is { .. }
        | Expr::In { .. }
        | Expr::Between { .. }
        | Expr::Case { .. } => false,
        Expr::Unary(Unary::Not | Unary::Plus, _) => false,
        Expr::Unary(Unary::Minus, operand) => !is_float(operand),
        Expr::Unary(Unary::Factorial, _) => true,
        // Floats have a value for everything, and integers are checked.
        Expr::Binary(Add | Subtract | Multiply | Divide | Remainder | Power, a, b) => !is_float(a) && !is_float(b),
        Expr::Binary(Concat, ..) => true,
        Expr::Binary(..) => false,
        Expr::Like { pattern, escape, .. } => match &**pattern {
            Expr::Constant(Value::Text(pattern)) => !is_pattern(pattern, *escape),
            Expr::Constant(Value::Null) => false,
            _ => true,
        },
        Expr::Cast(_, DataType::Text) => false,
        Expr::Cast(operand, DataType::Float) => !is_number(operand),
        Expr::Cast(..) => true,
        Expr::Call(function, _) => !function.is_total(),
        Expr::Subquery(_) => true,
    };
    let mut found = here;
    if !found {
        expr.for_each_operand(&mut |operand| found = found || can_fail(operand));
    }
    found
}

/// Whether a plan may fail, if all its rows are asked for.
pub(super) fn plan_can_fail(node: &Node) -> bool {
    let mut found = match node {
        Node::Limit { offset, limit, .. } => {
            let is_count = |expr: &Expr| matches!(expr, Expr::Constant(Value::Null | Value::Integer(0..)));
            !offset.iter().chain(limit).all(is_count)
        }
        Node::Aggregate(aggregate) => aggregate.calls.iter().any(call_can_fail),
        // It may never end.
        Node::With { recursive, .. } => recursive.is_some(),
        _ => false,
    };
    node.for_each_expr(&mut |expr| {
        found = found
            || match expr {
                Expr::Subquery(subquery) => {
                    let compared = matches!(&subquery.kind, SubqueryKind::Quantified { expr, .. } if can_fail(expr));
                    matches!(subquery.kind, SubqueryKind::Scalar) || compared || plan_can_fail(&subquery.plan)
                }
                expr => can_fail(expr),
            };
    });
    node.for_each_input(&mut |input, _| found = found || plan_can_fail(input));
    found
}

fn call_can_fail(call: &AggregateCall) -> bool {
    match call.function {
        AggregateFunction::Sum => !call.args.iter().all(is_float),
        AggregateFunction::Concat => true,
        _ => false,
    }
}

/// Whether a value is certainly a float, or NULL.
fn is_float(expr: &Expr) -> bool {
    use Binary::{Add, Divide, Multiply, Power, Remainder, Subtract};
    match expr {
        Expr::Constant(Value::Float(_)) | Expr::Cast(_, DataType::Float) => true,
        Expr::Unary(Unary::Plus | Unary::Minus, operand) => is_float(operand),
        Expr::Binary(Add | Subtract | Multiply | Divide | Remainder | Power, a, b) => is_float(a) || is_float(b),
        _ => false,
    }
}

/// Whether a value is certainly a number, or NULL.
fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant(Value::Integer(_) | Value::Null)) || is_float(expr)
}

/// Whether a pattern of LIKE does not end in its escape character.
fn is_pattern(pattern: &str, escape: Option<char>) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape && chars.next().is_none() {
            return false;
        }
    }
    true
}
