//! The optimizer: a plan that gives the same rows with less work.
//!
//! The binder's plan goes through these steps, each with a module of its own:
//!
//! 1. [`fold`]: what is constant is computed, conditions become simpler.
//! 2. [`unnest`]: subqueries that decide about rows become semijoins, and common tables that are read once go there.
//! 3. [`push`]: conditions go down to the rows that they are about; outer joins become inner ones.
//! 4. [`prune`]: columns that nobody reads go.
//! 5. Choices by cost ([`estimate`]), from what is known of the tables ([`facts`]): ways of scans ([`access`]), the order
//!    and methods of joins ([`joins`]), orders that need no sort, top-N, one end of an index for MIN and MAX ([`order`]).
//!
//! **It never makes a query fail that does not fail without it.** What can fail ([`fallible`]) is evaluated for no row for
//! which it would not be without the optimizer. (Which rows a LIMIT without an order meets is left to the plan.) Rows
//! without ORDER BY may come in another order. It needs nothing but the plan and what ANALYZE has found, so it makes
//! the same of the same on every replica.

mod access;
mod conjuncts;
mod estimate;
mod facts;
mod fallible;
mod fold;
mod graph;
mod joins;
mod order;
mod prune;
mod push;
mod unnest;

use super::algebra::{Binary, Expr, Node, SortKey, Subquery, SubqueryKind};
use super::functions;
use super::types::{DataType, Value};

pub(super) use facts::Facts;

/// The deepest plan that is optimized, queries in expressions included. Beyond, the time that it takes, which grows with
/// more than the square of the depth, would be felt.
const MAX_DEPTH: usize = 100;

/// Gives the same rows, with less work.
pub(super) fn optimize(mut node: Node, facts: &Facts<'_>) -> Node {
    if depth(&node) > MAX_DEPTH {
        return node;
    }
    fold::fold(&mut node);
    let node = unnest::unnest(node);
    facts.query(node, None)
}

fn depth(node: &Node) -> usize {
    let mut most = 0;
    node.for_each_input(&mut |input, _| most = most.max(depth(input)));
    node.for_each_expr(&mut |expr| most = most.max(depth_of_queries(expr)));
    most + 1
}

fn depth_of_queries(expr: &Expr) -> usize {
    let mut most = 0;
    expr.for_each_operand(&mut |operand| most = most.max(depth_of_queries(operand)));
    match expr {
        Expr::Subquery(subquery) => most.max(depth(&subquery.plan)),
        _ => most,
    }
}

impl Facts<'_> {
    /// Optimizes a query that has been folded and unnested; that of a subquery of this kind.
    fn query(&self, node: Node, kind: Option<&SubqueryKind>) -> Node {
        let node = push::push(node, Vec::new());
        let exists = matches!(kind, Some(SubqueryKind::Exists));
        let prune = |node: Node| if exists { prune::prune_all(node) } else { prune::prune(node) };
        let mut node = prune(node);
        self.subqueries(&mut node);
        prune(self.plan(node))
    }

    /// Optimizes the queries in the expressions of a plan.
    fn subqueries(&self, node: &mut Node) {
        node.for_each_expr_mut(&mut |expr| self.in_expr(expr));
        node.for_each_input_mut(&mut |input, _| self.subqueries(input));
    }

    fn in_expr(&self, expr: &mut Expr) {
        expr.for_each_operand_mut(&mut |operand| self.in_expr(operand));
        if let Expr::Subquery(subquery) = expr {
            let plan = std::mem::replace(&mut subquery.plan, Node::Nothing { width: 0 });
            let plan = self.query(plan, Some(&subquery.kind));
            **subquery = Subquery::new(subquery.kind.clone(), plan);
        }
    }

    /// Makes the choices of a plan.
    fn plan(&self, node: Node) -> Node {
        match node {
            Node::Scan(mut scan) => {
                self.choose(&mut scan);
                Node::Scan(scan)
            }
            Node::Join(join) => self.join(*join),
            Node::Aggregate(mut aggregate) => {
                aggregate.input = self.plan(aggregate.input);
                self.aggregated(*aggregate)
            }
            Node::Sort { input, keys, first: None } => self.sort(*input, keys, None),
            Node::Limit { input, offset, limit } => {
                let input = self.limited(*input, offset.as_ref(), limit.as_ref());
                Node::Limit { input: Box::new(input), offset, limit }
            }
            mut other => {
                other.for_each_input_mut(&mut |input, _| {
                    let inner = std::mem::replace(input, Node::Nothing { width: 0 });
                    *input = self.plan(inner);
                });
                other
            }
        }
    }

    fn sort(&self, input: Node, keys: Vec<SortKey>, first: Option<f64>) -> Node {
        let input = self.plan(input);
        // Values that are the same for all rows make no order.
        let keys: Vec<SortKey> = keys.into_iter().filter(|key| !matches!(key.expr, Expr::Constant(_))).collect();
        if keys.is_empty() { input } else { self.sorted(input, keys, first) }
    }

    /// Plans rows of which only the first ones are asked for.
    fn limited(&self, input: Node, offset: Option<&Expr>, limit: Option<&Expr>) -> Node {
        match input {
            Node::Project { input, exprs } => {
                Node::Project { input: Box::new(self.limited(*input, offset, limit)), exprs }
            }
            Node::Sort { input, keys, first: None } => {
                let first = first(offset, limit);
                let known = match &first {
                    Some(Expr::Constant(Value::Integer(n))) => Some((*n).max(0) as f64),
                    Some(_) => Some(100.0),
                    None => None,
                };
                match self.sort(*input, keys, known) {
                    Node::Sort { input, keys, first: None } => Node::Sort { input, keys, first },
                    other => other,
                }
            }
            other => self.plan(other),
        }
    }
}

/// How many of the first rows a LIMIT asks for, as an expression that cannot fail.
fn first(offset: Option<&Expr>, limit: Option<&Expr>) -> Option<Expr> {
    let limit = limit?;
    match (offset, limit) {
        (None | Some(Expr::Constant(Value::Null)), limit) => (!fallible::can_fail(limit)).then(|| limit.clone()),
        (Some(Expr::Constant(Value::Integer(offset))), Expr::Constant(Value::Integer(limit))) => {
            Some(Expr::Constant(Value::Integer(limit.saturating_add(*offset))))
        }
        (Some(offset), limit) if !fallible::can_fail(offset) && !fallible::can_fail(limit) => {
            // Numbers of rows beyond this one are all of them, and two of them can be added.
            let all = Expr::Constant(Value::Integer(1 << 61));
            let integer = Some(DataType::Integer);
            let least = functions::scalar("least", &[integer, integer]).ok()?.function;
            let capped = |expr: &Expr| Box::new(Expr::Call(least, vec![expr.clone(), all.clone()]));
            Some(Expr::Binary(Binary::Add, capped(limit), capped(offset)))
        }
        _ => None,
    }
}
