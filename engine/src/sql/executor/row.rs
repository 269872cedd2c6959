//! Operators that look at one row at a time.

use super::super::algebra::Expr;
use super::super::error::{Error, Failure, SqlState};
use super::super::types::{DataType, Value};
use super::batch::{BATCH, Batch};
use super::evaluate::{Env, Tuple};
use super::{Boxed, Context, Operator, Outer};

/// No rows.
pub(super) struct Nothing;

impl Operator for Nothing {
    fn next(&mut self, _: Option<&Outer<'_>>, _: usize) -> Result<Option<Batch>, Failure> {
        Ok(None)
    }
}

/// Rows of expressions.
pub(super) struct Values<'a> {
    ctx: &'a Context<'a>,
    rows: &'a [Vec<Expr>],
    width: usize,
}

impl<'a> Values<'a> {
    pub fn new(ctx: &'a Context<'a>, rows: &'a [Vec<Expr>], width: usize) -> Self {
        Self { ctx, rows, width }
    }
}

impl Operator for Values<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let count = self.rows.len().min(want);
        if count == 0 {
            return Ok(None);
        }
        self.ctx.step(count)?;
        let env = Env::new(self.ctx, outer);
        let (rows, rest) = self.rows.split_at(count);
        self.rows = rest;
        let mut batch = Batch::with_capacity(self.width, count);
        for row in rows {
            batch.try_push_with(|values| {
                for expr in row {
                    values.push(env.evaluate(expr, Tuple::of(&[]))?);
                }
                Ok::<_, Failure>(())
            })?;
        }
        Ok(Some(batch))
    }
}

/// Rows that are known.
pub(super) struct Known<'a> {
    ctx: &'a Context<'a>,
    rows: &'a [Vec<Value>],
    width: usize,
}

impl<'a> Known<'a> {
    pub fn new(ctx: &'a Context<'a>, rows: &'a [Vec<Value>], width: usize) -> Self {
        Self { ctx, rows, width }
    }
}

impl Operator for Known<'_> {
    fn next(&mut self, _: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let count = self.rows.len().min(want);
        if count == 0 {
            return Ok(None);
        }
        self.ctx.step(count)?;
        let (rows, rest) = self.rows.split_at(count);
        self.rows = rest;
        let mut batch = Batch::with_capacity(self.width, count);
        for row in rows {
            batch.push(row);
        }
        Ok(Some(batch))
    }
}

/// The rows for which a condition is true.
pub(super) struct Filter<'a> {
    ctx: &'a Context<'a>,
    input: Boxed<'a>,
    predicate: &'a Expr,
}

impl<'a> Filter<'a> {
    pub fn new(ctx: &'a Context<'a>, input: Boxed<'a>, predicate: &'a Expr) -> Self {
        Self { ctx, input, predicate }
    }
}

impl Operator for Filter<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let env = Env::new(self.ctx, outer);
        while let Some(mut batch) = self.input.next(outer, want)? {
            self.ctx.step(batch.len())?;
            batch.try_retain(|row| env.holds(Some(self.predicate), Tuple::of(row)))?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

/// The most bytes of texts that a batch is given, beyond its last row.
const MAX_TEXTS: usize = 1 << 20;

/// For each row one of other columns.
pub(super) struct Project<'a> {
    ctx: &'a Context<'a>,
    input: Boxed<'a>,
    exprs: &'a [Expr],
    /// For each expression, the column that it takes over: nothing else reads it.
    moved: Vec<Option<usize>>,
    /// Rows of the input that were not looked at yet, because the texts made of those before were long.
    pending: Option<(Batch, usize)>,
}

impl<'a> Project<'a> {
    pub fn new(ctx: &'a Context<'a>, input: Boxed<'a>, exprs: &'a [Expr]) -> Self {
        let mut used = Vec::new();
        let plain = exprs.iter().all(|expr| !reads_columns(expr) || matches!(expr, Expr::Column(_)));
        for expr in exprs {
            if let Expr::Column(column) = expr {
                used.push(*column);
            }
        }
        let moved = exprs.iter().map(|expr| match expr {
            Expr::Column(column) if plain && used.iter().filter(|other| *other == column).count() == 1 => Some(*column),
            _ => None,
        });
        Self { ctx, input, moved: moved.collect(), exprs, pending: None }
    }
}

/// Whether an expression may read a column of the row.
fn reads_columns(expr: &Expr) -> bool {
    !matches!(expr, Expr::Constant(_) | Expr::Parameter(_) | Expr::Outer { .. })
}

impl Operator for Project<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let (mut input, start) = match self.pending.take() {
            Some(pending) => pending,
            None => match self.input.next(outer, want)? {
                Some(batch) => (batch, 0),
                None => return Ok(None),
            },
        };
        let end = input.len().min(start + want);
        self.ctx.step(end - start)?;
        let env = Env::new(self.ctx, outer);
        let mut batch = Batch::with_capacity(self.exprs.len(), end - start);
        let mut texts = 0;
        for position in start..end {
            batch.try_push_with(|values| {
                for (expr, moved) in self.exprs.iter().zip(&self.moved) {
                    let value = match moved {
                        Some(column) => input.row_mut(position)[*column].take(),
                        None => env.evaluate(expr, Tuple::of(input.row(position)))?,
                    };
                    if let Value::Text(text) = &value {
                        texts += text.len();
                    }
                    values.push(value);
                }
                Ok::<_, Failure>(())
            })?;
            if position + 1 < input.len() && (texts > MAX_TEXTS || position + 1 == end) {
                self.pending = Some((input, position + 1));
                break;
            }
        }
        Ok(Some(batch))
    }
}

/// A part of the rows.
pub(super) struct Limit<'a> {
    ctx: &'a Context<'a>,
    input: Boxed<'a>,
    offset: Option<&'a Expr>,
    most: Option<&'a Expr>,
    /// How many rows are left to leave out, and to give, once that is known.
    left: Option<(usize, usize)>,
}

impl<'a> Limit<'a> {
    pub fn new(ctx: &'a Context<'a>, input: Boxed<'a>, offset: Option<&'a Expr>, limit: Option<&'a Expr>) -> Self {
        Self { ctx, input, offset, most: limit, left: None }
    }
}

/// The number of rows that an expression says, of a LIMIT or else of an OFFSET; `None` for NULL.
pub(super) fn count(expr: &Expr, env: Env<'_>, state: SqlState) -> Result<Option<usize>, Failure> {
    match env.evaluate(expr, Tuple::of(&[]))?.cast(DataType::Integer)? {
        Value::Null => Ok(None),
        Value::Integer(n) => match usize::try_from(n) {
            Ok(n) => Ok(Some(n)),
            Err(_) => Err(Error::new(state, format!("a number of rows cannot be {n}")).into()),
        },
        other => Err(Error::new(SqlState::INTERNAL_ERROR, format!("{other} is no INTEGER")).into()),
    }
}

impl Operator for Limit<'_> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let (mut skip, mut take) = if let Some(left) = self.left {
            left
        } else {
            let env = Env::new(self.ctx, outer);
            let skip = self.offset.map(|expr| count(expr, env, SqlState::INVALID_OFFSET)).transpose()?.flatten();
            let take = self.most.map(|expr| count(expr, env, SqlState::INVALID_LIMIT)).transpose()?.flatten();
            (skip.unwrap_or(0), take.unwrap_or(usize::MAX))
        };
        while take > 0 {
            // What is left out has to be made as well.
            let wanted = skip.saturating_add(take.min(want)).min(BATCH);
            let Some(mut batch) = self.input.next(outer, wanted)? else { break };
            let skipped = skip.min(batch.len());
            batch.skip(skipped);
            batch.truncate(take.min(want));
            skip -= skipped;
            take -= batch.len();
            if !batch.is_empty() {
                self.left = Some((skip, take));
                return Ok(Some(batch));
            }
        }
        self.left = Some((0, 0));
        Ok(None)
    }
}
