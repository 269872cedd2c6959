//! The values of expressions over rows.

use std::borrow::Cow;

use super::super::algebra::{Binary, Expr, Is, Unary};
use super::super::error::{Error, Failure, SqlState};
use super::super::functions::Function;
use super::super::types::Value;
use super::arithmetic::{and, binary, comparison, or, unary};
use super::like::like;
use super::{Context, Outer};

/// A row in two parts, of which the second follows the first: a pair of a join, without a copy of either.
#[derive(Clone, Copy)]
pub(super) struct Tuple<'r> {
    first: &'r [Value],
    second: &'r [Value],
}

impl<'r> Tuple<'r> {
    /// A row in one part.
    pub fn of(row: &'r [Value]) -> Self {
        Self { first: row, second: &[] }
    }

    /// A pair.
    pub fn pair(first: &'r [Value], second: &'r [Value]) -> Self {
        Self { first, second }
    }

    /// A value by its position.
    #[inline]
    pub fn get(self, column: usize) -> &'r Value {
        match self.first.get(column) {
            Some(value) => value,
            None => &self.second[column - self.first.len()],
        }
    }
}

/// Where expressions are evaluated: for a statement, and within outer rows.
#[derive(Clone, Copy)]
pub(super) struct Env<'e> {
    pub ctx: &'e Context<'e>,
    pub outer: Option<&'e Outer<'e>>,
}

impl<'e> Env<'e> {
    pub fn new(ctx: &'e Context<'e>, outer: Option<&'e Outer<'e>>) -> Self {
        Self { ctx, outer }
    }

    /// The value in a column of an outer row.
    pub fn outer_value(self, level: usize, column: usize) -> Result<&'e Value, Failure> {
        let mut outer = self.outer;
        for _ in 1..level {
            outer = outer.and_then(|outer| outer.around);
        }
        let error = || Error::new(SqlState::INTERNAL_ERROR, format!("there is no outer row {level} levels out"));
        Ok(outer.ok_or_else(error)?.row.get(column))
    }

    /// The value for a row.
    pub fn evaluate(self, expr: &Expr, row: Tuple<'_>) -> Result<Value, Failure> {
        Ok(match expr {
            Expr::Constant(value) => value.clone(),
            Expr::Parameter(position) => self.ctx.param(*position)?.clone(),
            Expr::Column(column) => row.get(*column).clone(),
            Expr::Outer { level, column } => self.outer_value(*level, *column)?.clone(),
            Expr::Unary(op, expr) if *op != Unary::Not => unary(*op, &*self.value(expr, row)?)?,
            Expr::Binary(op, a, b) if is_scalar(*op) => binary(*op, &*self.value(a, row)?, &*self.value(b, row)?)?,
            Expr::Case { operand, branches, otherwise } => {
                let operand = match operand {
                    Some(operand) => Some(self.value(operand, row)?),
                    None => None,
                };
                for (condition, result) in branches {
                    let holds = match &operand {
                        Some(operand) => comparison(Binary::Equal, operand, &*self.value(condition, row)?),
                        None => self.truth(condition, row)?,
                    };
                    if holds == Some(true) {
                        return self.evaluate(result, row);
                    }
                }
                match otherwise {
                    Some(otherwise) => self.evaluate(otherwise, row)?,
                    None => Value::Null,
                }
            }
            Expr::Cast(expr, to) => self.evaluate(expr, row)?.cast(*to)?,
            Expr::Call(Function::Coalesce, args) => {
                for arg in args {
                    let value = self.evaluate(arg, row)?;
                    if !matches!(value, Value::Null) {
                        return Ok(value);
                    }
                }
                Value::Null
            }
            Expr::Call(function, args) => match args.as_slice() {
                [a] => function.call(&[&*self.value(a, row)?])?,
                [a, b] => function.call(&[&*self.value(a, row)?, &*self.value(b, row)?])?,
                args => {
                    let args = args.iter().map(|arg| self.value(arg, row)).collect::<Result<Vec<_>, _>>()?;
                    function.call(&args.iter().map(|arg| &**arg).collect::<Vec<_>>())?
                }
            },
            Expr::Subquery(subquery) => self.subquery(subquery, row)?,
            condition => self.truth(condition, row)?.map_or(Value::Null, Value::Boolean),
        })
    }

    /// The value for a row where that is a column or a constant, as in most comparisons.
    #[inline]
    fn standing<'v>(self, expr: &'v Expr, row: Tuple<'v>) -> Option<&'v Value>
    where
        'e: 'v,
    {
        match expr {
            Expr::Column(column) => Some(row.get(*column)),
            Expr::Constant(value) => Some(value),
            Expr::Parameter(position) => self.ctx.param(*position).ok(),
            _ => None,
        }
    }

    /// The value for a row, borrowed where it stands somewhere.
    #[inline]
    pub fn value<'v>(self, expr: &'v Expr, row: Tuple<'v>) -> Result<Cow<'v, Value>, Failure>
    where
        'e: 'v,
    {
        Ok(match expr {
            Expr::Column(column) => Cow::Borrowed(row.get(*column)),
            Expr::Constant(value) => Cow::Borrowed(value),
            Expr::Parameter(position) => Cow::Borrowed(self.ctx.param(*position)?),
            Expr::Outer { level, column } => Cow::Borrowed(self.outer_value(*level, *column)?),
            other => Cow::Owned(self.evaluate(other, row)?),
        })
    }

    /// Hands the value for a row to something. One that stands somewhere is handed on as it is, which costs less than
    /// [`Env::value`]'s choice of owned and borrowed.
    #[inline]
    pub fn with_value<T>(
        self,
        expr: &Expr,
        row: Tuple<'_>,
        take: impl FnOnce(&Value) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self.standing(expr, row) {
            Some(value) => take(value),
            None => take(&*self.value(expr, row)?),
        }
    }

    /// The truth of a condition for a row; `None` is unknown.
    pub fn truth(self, expr: &Expr, row: Tuple<'_>) -> Result<Option<bool>, Failure> {
        let negate = |truth: Option<bool>, negated: bool| truth.map(|truth| truth != negated);
        Ok(match expr {
            Expr::Unary(Unary::Not, expr) => negate(self.truth(expr, row)?, true),
            Expr::Binary(Binary::And, a, b) => match self.truth(a, row)? {
                Some(false) => Some(false),
                a => and(a, self.truth(b, row)?),
            },
            Expr::Binary(Binary::Or, a, b) => match self.truth(a, row)? {
                Some(true) => Some(true),
                a => or(a, self.truth(b, row)?),
            },
            Expr::Binary(op, a, b) if !is_scalar(*op) => match (self.standing(a, row), self.standing(b, row)) {
                (Some(a), Some(b)) => comparison(*op, a, b),
                _ => comparison(*op, &*self.value(a, row)?, &*self.value(b, row)?),
            },
            Expr::Is { expr, what, negated } => {
                let value = self.value(expr, row)?;
                let holds = match (what, &*value) {
                    (Is::Null | Is::Unknown, value) => matches!(value, Value::Null),
                    (Is::True, value) => matches!(value, Value::Boolean(true)),
                    (Is::False, value) => matches!(value, Value::Boolean(false)),
                    (Is::Nan, Value::Null) => return Ok(None),
                    (Is::Nan, value) => matches!(value, Value::Float(x) if x.is_nan()),
                };
                Some(holds != *negated)
            }
            Expr::In { expr, list, negated } => {
                let value = self.value(expr, row)?;
                let mut found = Some(false);
                for item in list {
                    found = or(found, comparison(Binary::Equal, &value, &*self.value(item, row)?));
                    if found == Some(true) {
                        break;
                    }
                }
                negate(found, *negated)
            }
            Expr::Between { expr, low, high, negated } => {
                let value = self.value(expr, row)?;
                let within = match comparison(Binary::GreaterOrEqual, &value, &*self.value(low, row)?) {
                    Some(false) => Some(false),
                    above => and(above, comparison(Binary::LessOrEqual, &value, &*self.value(high, row)?)),
                };
                negate(within, *negated)
            }
            Expr::Like { expr, pattern, escape, insensitive, negated } => {
                match (&*self.value(expr, row)?, &*self.value(pattern, row)?) {
                    (Value::Text(text), Value::Text(pattern)) => {
                        Some(like(self.ctx, text, pattern, *escape, *insensitive)? != *negated)
                    }
                    (Value::Null, _) | (_, Value::Null) => None,
                    (a, b) => return Err(type_error("LIKE", a, b)),
                }
            }
            other => match &*self.value(other, row)? {
                Value::Boolean(truth) => Some(*truth),
                Value::Null => None,
                other => {
                    let message = format!("a condition is {other}, which is neither true nor false");
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).into());
                }
            },
        })
    }

    /// Whether a condition is true; it is if there is none.
    #[inline]
    pub fn holds(self, condition: Option<&Expr>, row: Tuple<'_>) -> Result<bool, Failure> {
        match condition {
            Some(Expr::Binary(Binary::And, a, b)) => self.both_hold(a, b, row),
            Some(condition) => Ok(self.truth(condition, row)? == Some(true)),
            None => Ok(true),
        }
    }

    /// The second one is not evaluated where the first one is unknown, as if each was in a filter of its own: filters are
    /// put together, and must not fail for a row that has not come so far before.
    fn both_hold(self, a: &Expr, b: &Expr, row: Tuple<'_>) -> Result<bool, Failure> {
        Ok(self.holds(Some(a), row)? && self.holds(Some(b), row)?)
    }
}

fn type_error(op: &str, a: &Value, b: &Value) -> Failure {
    Error::new(SqlState::DATATYPE_MISMATCH, format!("{op} does not take {a:?} and {b:?}")).into()
}

/// Whether the operator gives another value than a truth.
fn is_scalar(op: Binary) -> bool {
    use Binary::{Add, Concat, Divide, Multiply, Power, Remainder, Subtract};
    matches!(op, Add | Subtract | Multiply | Divide | Remainder | Power | Concat)
}
