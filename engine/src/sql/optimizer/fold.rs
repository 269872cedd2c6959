//! Folding: what is known when the plan is made is computed then.
//!
//! An expression of constants becomes its value, unless its evaluation fails: then it stays, and fails for the rows for
//! which it would. Conditions lose what says nothing (`x AND TRUE`, `x OR FALSE`), a comparison with NULL is NULL, and
//! equalities of one column that OR connects become an IN.

use super::super::algebra::{Binary, Expr, Node, Unary};
use super::super::executor::{self, Context};
use super::super::functions::Function;
use super::super::types::Value;
use super::fallible::can_fail;

/// The longest text that a fold leaves in a plan, in bytes.
const MAX_TEXT: usize = 4096;

/// Folds all expressions of a plan, also those in queries in expressions.
pub(super) fn fold(node: &mut Node) {
    node.for_each_expr_mut(&mut fold_expr);
    node.for_each_input_mut(&mut |input, _| fold(input));
}

/// Folds an expression.
pub(super) fn fold_expr(expr: &mut Expr) {
    expr.for_each_operand_mut(&mut fold_expr);
    if let Expr::Subquery(subquery) = expr {
        fold(&mut subquery.plan);
        return;
    }
    if let Some(value) = value(expr) {
        *expr = Expr::Constant(value);
        return;
    }
    if let Some(simpler) = simpler(expr) {
        *expr = simpler;
    }
}

/// The value of an expression of constants, if it has one.
fn value(expr: &Expr) -> Option<Value> {
    if matches!(expr, Expr::Constant(_) | Expr::Parameter(_) | Expr::Column(_) | Expr::Outer { .. }) {
        return None;
    }
    let mut constant = true;
    expr.for_each_operand(&mut |operand| constant &= matches!(operand, Expr::Constant(_)));
    if !constant {
        return None;
    }
    match executor::evaluate(expr, &[], &Context::without_data(&[])) {
        Ok(Value::Text(text)) if text.len() > MAX_TEXT => None,
        Ok(value) => Some(value),
        // It fails when it is evaluated, if ever.
        Err(_) => None,
    }
}

fn is(expr: &Expr, truth: bool) -> bool {
    matches!(expr, Expr::Constant(Value::Boolean(b)) if *b == truth)
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant(Value::Null))
}

/// A simpler expression with the same value.
fn simpler(expr: &mut Expr) -> Option<Expr> {
    let take = |expr: &mut Expr| std::mem::replace(expr, Expr::Constant(Value::Null));
    match expr {
        Expr::Binary(Binary::And, a, b) => match () {
            () if is(a, false) || is(b, false) && !can_fail(a) => Some(Expr::Constant(Value::Boolean(false))),
            () if is(a, true) => Some(take(b)),
            () if is(b, true) => Some(take(a)),
            () => None,
        },
        Expr::Binary(Binary::Or, a, b) => match () {
            () if is(a, true) || is(b, true) && !can_fail(a) => Some(Expr::Constant(Value::Boolean(true))),
            () if is(a, false) => Some(take(b)),
            () if is(b, false) => Some(take(a)),
            () => as_list(a, b),
        },
        Expr::Binary(
            Binary::Equal
            | Binary::NotEqual
            | Binary::Less
            | Binary::LessOrEqual
            | Binary::Greater
            | Binary::GreaterOrEqual,
            a,
            b,
        ) if is_null(a) && !can_fail(b) || is_null(b) && !can_fail(a) => Some(Expr::Constant(Value::Null)),
        Expr::Unary(Unary::Not, inner) => match &mut **inner {
            Expr::Unary(Unary::Not, inner) => Some(take(inner)),
            _ => None,
        },
        Expr::In { expr, list, negated } if list.len() == 1 => {
            let op = if *negated { Binary::NotEqual } else { Binary::Equal };
            Some(Expr::Binary(op, Box::new(take(expr)), Box::new(list.pop()?)))
        }
        Expr::Case { operand: None, branches, otherwise } => {
            branches.retain(|(condition, _)| !is(condition, false) && !is_null(condition));
            match branches.first_mut() {
                None => Some(otherwise.as_mut().map_or(Expr::Constant(Value::Null), |otherwise| take(otherwise))),
                Some((condition, result)) if is(condition, true) => Some(take(result)),
                Some(_) => None,
            }
        }
        Expr::Call(Function::Coalesce, args) => match args.first_mut() {
            Some(first @ Expr::Constant(_)) if !is_null(first) => Some(take(first)),
            _ => None,
        },
        _ => None,
    }
}

/// Two conditions of which one must hold as an IN, if they are equalities of one column with what is known before its row.
fn as_list(a: &Expr, b: &Expr) -> Option<Expr> {
    let (column, mut list) = equalities(a)?;
    let (other, more) = equalities(b)?;
    if column != other {
        return None;
    }
    list.extend(more);
    Some(Expr::In { expr: Box::new(Expr::Column(column)), list: list.into_iter().cloned().collect(), negated: false })
}

fn equalities(expr: &Expr) -> Option<(usize, Vec<&Expr>)> {
    let is_value = |expr: &Expr| matches!(expr, Expr::Constant(_) | Expr::Parameter(_) | Expr::Outer { .. });
    match expr {
        Expr::Binary(Binary::Equal, a, b) => match (&**a, &**b) {
            (Expr::Column(column), value) | (value, Expr::Column(column)) if is_value(value) => {
                Some((*column, vec![value]))
            }
            _ => None,
        },
        Expr::In { expr, list, negated: false } if list.iter().all(is_value) => match &**expr {
            Expr::Column(column) => Some((*column, list.iter().collect())),
            _ => None,
        },
        _ => None,
    }
}
