//! Runs a plan: operators that pull batches of rows from each other.
//!
//! Each operator of the plan becomes one that gives a few hundred rows at a time ([`Batch`]), the first ones few, so that
//! who wants one row pays for little more. Nothing is computed before it is asked for, except what an operator has to
//! have whole: the groups of an aggregate, the rows of a sort, one side of a join, a common table.
//!
//! What an operator keeps counts against a limit of memory for the statement. Beyond it, sorts, joins, groups and the
//! rows of common tables go to temporary files where the statement has a [`Spill`], and fail with 53200 where it has
//! none. Steps (rows looked at) are counted and limited too, which is a timeout that is the same on every replica.
//!
//! Rows come in an order that the plan and the data determine. Numbers are compared by value, whether integer or float.
//! NULL equals nothing in conditions, joins and keys; groups, DISTINCT and set operations take it as one value.
//!
//! The outer rows of a correlated query are handed down with each pull, so operators hold no reference to them.

mod access;
mod accumulate;
mod aggregate;
mod arithmetic;
mod batch;
mod common;
mod context;
mod dense;
mod evaluate;
mod grace;
mod hash;
mod hash_join;
mod join;
mod key_table;
mod like;
mod merge_join;
mod pile;
mod row;
mod scan;
mod set;
mod sort;
mod sort_keys;
mod spill;
mod store;
mod subquery;

use super::algebra::{AggregateMethod, Expr, JoinMethod, Node, SetOperator};
use super::error::{Error, Failure, SqlState};
use super::schema::Row;
use super::types::Value;

pub use arithmetic::{binary, comparison, unary};
use batch::BATCH;
pub use batch::Batch;
pub use context::{Clock, Context, Profile, STEPS_PER_MILLISECOND, Settings, Tally};
pub use spill::{DiskSpill, Spill, SpillFile};

use evaluate::{Env, Tuple};

/// The deepest nesting of operators.
const MAX_DEPTH: usize = 256;

/// The row of an enclosing query, and those around it.
#[derive(Clone, Copy)]
struct Outer<'e> {
    row: Tuple<'e>,
    around: Option<&'e Self>,
}

/// What gives rows when it is asked.
trait Operator {
    /// The next rows, at least one; `None` when there are no more. The outer rows are the same at each call.
    ///
    /// No more than `want` rows are wanted now, which is at least one, and no more are given. What works row by row computes
    /// no more of them, so that a LIMIT does not meet the errors of rows behind it.
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure>;
}

type Boxed<'a> = Box<dyn Operator + 'a>;

/// Keeps what an operator gives beyond what is wanted: one that cannot stop between any two rows.
struct Surplus<O> {
    operator: O,
    /// Rows that were given already, and how many of them have gone on.
    rest: Option<(Batch, usize)>,
}

impl<'a, O: Operator + 'a> Surplus<O> {
    fn boxed(operator: O) -> Boxed<'a> {
        Box::new(Self { operator, rest: None })
    }
}

impl<O: Operator> Operator for Surplus<O> {
    fn next(&mut self, outer: Option<&Outer<'_>>, want: usize) -> Result<Option<Batch>, Failure> {
        let (mut batch, given) = match self.rest.take() {
            Some(rest) => rest,
            None => match self.operator.next(outer, want)? {
                Some(batch) if batch.len() <= want => return Ok(Some(batch)),
                Some(batch) => (batch, 0),
                None => return Ok(None),
            },
        };
        let part = batch.take(given, want);
        if given + part.len() < batch.len() {
            self.rest = Some((batch, given + part.len()));
        }
        Ok(Some(part))
    }
}

/// The rows of a plan, to be pulled.
pub struct Rows<'a> {
    operator: Boxed<'a>,
    width: usize,
}

impl Rows<'_> {
    /// The next rows, at least one; `None` when there are no more.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, Failure> {
        self.operator.next(None, BATCH)
    }

    /// How many columns the rows have.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All rows that are left.
    pub fn collect(mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        while let Some(batch) = self.next_batch()? {
            batch.into_rows(&mut rows);
        }
        Ok(rows)
    }
}

/// Starts to run a plan. Nothing is read before the first rows are pulled.
pub fn open<'a>(node: &'a Node, ctx: &'a Context<'a>) -> Result<Rows<'a>, Failure> {
    Ok(Rows { operator: build(node, ctx, 0)?, width: node.width() })
}

/// Runs a plan, and gives all its rows, which may take as much memory as the statement itself.
pub fn collect(node: &Node, ctx: &Context<'_>) -> Result<Vec<Row>, Failure> {
    let mut operator = build(node, ctx, 0)?;
    let (mut rows, mut size) = (Vec::new(), 0);
    while let Some(batch) = operator.next(None, BATCH)? {
        size += batch.size();
        if size > ctx.memory_limit() {
            return Err(ctx.out_of_memory());
        }
        batch.into_rows(&mut rows);
    }
    Ok(rows)
}

/// Evaluates an expression over a row: a default, a constraint, an assignment.
pub fn evaluate(expr: &Expr, row: &[Value], ctx: &Context<'_>) -> Result<Value, Failure> {
    Env::new(ctx, None).evaluate(expr, Tuple::of(row))
}

/// Evaluates a condition over a row; `None` is unknown.
pub fn truth(expr: &Expr, row: &[Value], ctx: &Context<'_>) -> Result<Option<bool>, Failure> {
    Env::new(ctx, None).truth(expr, Tuple::of(row))
}

fn build<'a>(node: &'a Node, ctx: &'a Context<'a>, depth: usize) -> Result<Boxed<'a>, Failure> {
    if depth > MAX_DEPTH {
        let message = format!("a query has more than {MAX_DEPTH} operators over one another");
        return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).into());
    }
    let below = |node: &'a Node| build(node, ctx, depth + 1);
    let operator: Boxed<'a> = match node {
        Node::Nothing { .. } => Box::new(row::Nothing),
        Node::Values { rows, width } => Box::new(row::Values::new(ctx, rows, *width)),
        Node::Rows { rows, width } => Box::new(row::Known::new(ctx, rows, *width)),
        Node::Scan(scan) => Box::new(scan::Scan::new(ctx, scan)?),
        Node::Filter { input, predicate } => Box::new(row::Filter::new(ctx, below(input)?, predicate)),
        Node::Project { input, exprs } => Box::new(row::Project::new(ctx, below(input)?, exprs)),
        Node::Join(join) => match &join.method {
            JoinMethod::NestedLoop => {
                Surplus::boxed(join::NestedLoop::new(ctx, join, below(&join.left)?, below(&join.right)?))
            }
            JoinMethod::Lateral => Box::new(join::Lateral::new(ctx, join, below(&join.left)?, depth + 1)?),
            JoinMethod::Hash { keys, residual } => Box::new(hash_join::HashJoin::new(
                ctx,
                join,
                (keys, residual.as_ref()),
                below(&join.left)?,
                below(&join.right)?,
            )),
            JoinMethod::Merge { keys, residual } => Surplus::boxed(merge_join::MergeJoin::new(
                ctx,
                join,
                (keys, residual.as_ref()),
                below(&join.left)?,
                below(&join.right)?,
            )),
        },
        Node::Aggregate(aggregate) => {
            let input = below(&aggregate.input)?;
            match aggregate.method {
                AggregateMethod::Hash => Box::new(aggregate::HashAggregate::new(ctx, aggregate, input)),
                AggregateMethod::Sorted => Box::new(aggregate::SortedAggregate::new(ctx, aggregate, input)),
            }
        }
        Node::Sort { input, keys, first } => {
            Box::new(sort::Sort::new(ctx, below(input)?, keys, first.as_ref(), input.width()))
        }
        Node::Limit { input, offset, limit } => {
            Box::new(row::Limit::new(ctx, below(input)?, offset.as_ref(), limit.as_ref()))
        }
        Node::Distinct { input } => Box::new(set::Distinct::new(ctx, below(input)?, input.width())),
        Node::Set { operator, all, left, right } => {
            let width = left.width();
            let (left, right) = (below(left)?, below(right)?);
            match (operator, all) {
                (SetOperator::Union, true) => Box::new(set::Concat::new(left, right)),
                (SetOperator::Union, false) => {
                    Box::new(set::Distinct::new(ctx, Box::new(set::Concat::new(left, right)), width))
                }
                // Each row of the left once, and then those that are not on the right.
                (SetOperator::Except, false) => {
                    let left = Box::new(set::Distinct::new(ctx, left, width));
                    Surplus::boxed(set::Match::new(ctx, (left, right), *operator, *all, width))
                }
                _ => Surplus::boxed(set::Match::new(ctx, (left, right), *operator, *all, width)),
            }
        }
        Node::With { id, common, recursive, body } => {
            Box::new(common::With::new(ctx, *id, common, recursive.as_deref(), body, depth + 1)?)
        }
        Node::Common { id, .. } => Surplus::boxed(common::Common::new(ctx, *id)),
    };
    Ok(match ctx.profile() {
        Some(profile) => Box::new(context::Counted::new(profile, node, operator)),
        None => operator,
    })
}

#[cfg(test)]
mod tests;
