//! Operators on values: arithmetic that is checked, comparisons and logic of three values.

use std::cmp::Ordering;
use std::fmt;

use super::super::algebra::{Binary, Unary};
use super::super::error::{Error, SqlState};
use super::super::functions::check_length;
use super::super::types::{DataType, SmolStr, Value};

type Result<T> = std::result::Result<T, Error>;

/// AND of what may be unknown.
pub(super) fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// OR of what may be unknown.
pub(super) fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// Whether two values are one for groups, DISTINCT and IS NOT DISTINCT FROM: NULL is as NULL.
#[inline]
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Null, Value::Null) => true,
        (Value::Float(a), Value::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (a, b) => a.compare(b).is_some_and(Ordering::is_eq),
    }
}

/// The truth of a comparison; `None` is unknown.
///
/// # Panics
/// If the operator is no comparison.
#[inline]
pub fn comparison(op: Binary, a: &Value, b: &Value) -> Option<bool> {
    match op {
        Binary::Same => return Some(same(a, b)),
        Binary::NotSame => return Some(!same(a, b)),
        _ => {}
    }
    let order = match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Null, _) | (_, Value::Null) => return None,
        // What is of types that do not compare is unequal.
        (a, b) => match a.compare(b) {
            Some(order) => order,
            None => return Some(op == Binary::NotEqual),
        },
    };
    Some(match op {
        Binary::Equal => order.is_eq(),
        Binary::NotEqual => order.is_ne(),
        Binary::Less => order.is_lt(),
        Binary::LessOrEqual => order.is_le(),
        Binary::Greater => order.is_gt(),
        Binary::GreaterOrEqual => order.is_ge(),
        other => unreachable!("{other:?} is no comparison"),
    })
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "INTEGER is out of range")
}

fn mismatch(op: impl fmt::Debug, values: &[&Value]) -> Error {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    Error::new(SqlState::UNDEFINED_FUNCTION, format!("{op:?} does not take {}", values.join(" and ")))
}

/// The value of an operator of one operand.
pub fn unary(op: Unary, value: &Value) -> Result<Value> {
    Ok(match (op, value) {
        (_, Value::Null) => Value::Null,
        (Unary::Plus, Value::Integer(_) | Value::Float(_)) => value.clone(),
        (Unary::Minus, Value::Integer(n)) => Value::Integer(n.checked_neg().ok_or_else(overflow)?),
        (Unary::Minus, Value::Float(x)) => Value::float(-x),
        (Unary::Not, Value::Boolean(b)) => Value::Boolean(!b),
        (Unary::Factorial, Value::Integer(n)) => {
            if *n < 0 {
                let message = "the factorial of a negative number is undefined";
                return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message));
            }
            // 21! is beyond the range, so this ends soon.
            let product = (1..=(*n).min(21)).try_fold(1, i64::checked_mul);
            Value::Integer(product.ok_or_else(overflow)?)
        }
        (op, value) => return Err(mismatch(op, &[value])),
    })
}

/// The value of an operator of two operands.
pub fn binary(op: Binary, a: &Value, b: &Value) -> Result<Value> {
    use Value::{Boolean, Float, Integer, Null};
    Ok(match (op, a, b) {
        (Binary::And, Null | Boolean(_), Null | Boolean(_)) => and(truth(a), truth(b)).map_or(Null, Boolean),
        (Binary::Or, Null | Boolean(_), Null | Boolean(_)) => or(truth(a), truth(b)).map_or(Null, Boolean),
        (Binary::And | Binary::Or, a, b) => return Err(mismatch(op, &[a, b])),
        (op, a, b) if is_comparison(op) => comparison(op, a, b).map_or(Null, Boolean),
        (_, Null, _) | (_, _, Null) => Null,
        (Binary::Concat, a, b) => {
            let (a, b) = (text(a)?, text(b)?);
            check_length(a.len() + b.len())?;
            [a.as_str(), b.as_str()].concat().into()
        }
        (op, Integer(a), Integer(b)) => Integer(integers(op, *a, *b)?),
        (op, Float(a), Float(b)) => Value::float(floats(op, *a, *b)),
        (op, Integer(a), Float(b)) => Value::float(floats(op, *a as f64, *b)),
        (op, Float(a), Integer(b)) => Value::float(floats(op, *a, *b as f64)),
        (op, a, b) => return Err(mismatch(op, &[a, b])),
    })
}

fn truth(value: &Value) -> Option<bool> {
    if let Value::Boolean(b) = value { Some(*b) } else { None }
}

fn is_comparison(op: Binary) -> bool {
    use Binary::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, NotSame, Same};
    matches!(op, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual | Same | NotSame)
}

fn text(value: &Value) -> Result<SmolStr> {
    match value.clone().cast(DataType::Text)? {
        Value::Text(text) => Ok(text),
        other => Err(mismatch(Binary::Concat, &[&other])),
    }
}

fn integers(op: Binary, a: i64, b: i64) -> Result<i64> {
    match op {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide | Binary::Remainder if b == 0 => {
            return Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        Binary::Divide => a.checked_div(b),
        // The least integer divided by -1 overflows; its remainder is 0 all the same.
        Binary::Remainder => Some(a.checked_rem(b).unwrap_or(0)),
        Binary::Power => {
            if b < 0 {
                let message = "a negative exponent of an INTEGER";
                return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message).with_hint("use a FLOAT"));
            }
            match (a, u32::try_from(b)) {
                (0 | 1, _) => Some(if b == 0 { 1 } else { a }),
                (-1, _) => Some(if b % 2 == 0 { 1 } else { -1 }),
                (_, Ok(b)) => a.checked_pow(b),
                (_, Err(_)) => None,
            }
        }
        _ => unreachable!("{op:?} is no arithmetic"),
    }
    .ok_or_else(overflow)
}

fn floats(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Remainder => a % b,
        // The system's function may differ from platform to platform.
        Binary::Power => libm::pow(a, b),
        _ => unreachable!("{op:?} is no arithmetic"),
    }
}
