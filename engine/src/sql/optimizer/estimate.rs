//! How many rows there will be, and what they cost (after Selinger and others, 1979).
//!
//! Conditions are taken to be independent of each other, and each value of one side of a join to be among those of the
//! other. The unit of cost is what it takes to read one row of a scan, about.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::super::algebra::{
    AggregateMethod, Binary, Expr, Is, Join, JoinKind, JoinMethod, KeyRange, Node, Scan, SetOperator, SubqueryKind,
    Unary,
};
use super::super::types::Value;
use super::conjuncts::{comparison, equal_columns, split};
use super::facts::{ColumnFacts, Facts, origin};

/// Steps of work, as multiples of reading a row in a scan.
pub(super) mod weight {
    /// To look at a row of a table, or at an entry of an index.
    pub const ROW: f64 = 1.0;
    /// To find the place where a range begins.
    pub const SEEK: f64 = 4.0;
    /// To look up the row of an index's entry.
    pub const FETCH: f64 = 6.0;
    /// To evaluate a condition or another expression.
    pub const EXPR: f64 = 0.3;
    /// To copy a row.
    pub const COPY: f64 = 0.5;
    /// To put a row into a hash table.
    pub const BUILD: f64 = 2.0;
    /// To look a row up there.
    pub const PROBE: f64 = 1.0;
    /// To look at a pair of rows.
    pub const PAIR: f64 = 0.3;
    /// To start the right side of a lateral join.
    pub const START: f64 = 4.0;
    /// To advance one side of a merge.
    pub const MERGE: f64 = 1.3;
    /// To compare two rows that are sorted.
    pub const COMPARE: f64 = 0.25;
    /// To make a row ready to be sorted.
    pub const KEY: f64 = 1.5;
}

/// How many rows, and what they cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Estimate {
    /// How many rows come.
    pub rows: f64,
    /// What all of them cost.
    pub cost: f64,
}

/// Where the values of columns come from.
type Origins<'o> = &'o dyn Fn(usize) -> Option<ColumnFacts>;

impl Facts<'_> {
    /// What is known of a column of a plan's rows.
    fn column_of(&self, node: &Node, column: usize) -> Option<ColumnFacts> {
        origin(node, column).map(|(scan, column)| self.column(&scan.table, column))
    }

    /// How many different values an expression has over so many rows of a plan.
    pub fn distinct(&self, node: &Node, expr: &Expr, rows: f64) -> f64 {
        let distinct = match expr {
            Expr::Column(column) => self.column_of(node, *column).map(|column| column.distinct),
            expr if super::conjuncts::is_known(expr) => Some(1.0),
            _ => None,
        };
        distinct.unwrap_or(rows / 10.0).min(rows).max(1.0)
    }

    /// The share of the rows of a plan for which a condition holds.
    pub fn share(&self, node: &Node, condition: &Expr) -> f64 {
        let mut conditions = Vec::new();
        split(condition.clone(), &mut conditions);
        self.share_of_all(&conditions, &|column| self.column_of(node, column))
    }

    /// The share of rows for which all of some conditions hold.
    pub(super) fn share_of_all(&self, conditions: &[Expr], origins: Origins<'_>) -> f64 {
        let mut share = 1.0;
        // Two ends of a range say more together.
        let mut ranges: BTreeMap<usize, (ColumnFacts, Option<f64>, Option<f64>)> = BTreeMap::new();
        for condition in conditions {
            let ends = match condition {
                Expr::Between { expr, low, high, negated: false } => match &**expr {
                    Expr::Column(column) => Some((*column, Some(&**low), Some(&**high))),
                    _ => None,
                },
                condition => match comparison(condition) {
                    Some((Binary::Greater | Binary::GreaterOrEqual, column, value)) => {
                        Some((column, Some(value), None))
                    }
                    Some((Binary::Less | Binary::LessOrEqual, column, value)) => Some((column, None, Some(value))),
                    _ => None,
                },
            };
            let Some((column, low, high)) = ends else {
                share *= self.share_of(condition, origins);
                continue;
            };
            let Some(facts) = origins(column) else {
                share *= 0.1;
                continue;
            };
            let entry = ranges.entry(column).or_insert((facts, None, None));
            let least = |before: Option<f64>, share: f64| Some(before.map_or(share, |before: f64| before.min(share)));
            if let Some(low) = low {
                entry.1 = least(entry.1, entry.0.sides(constant(low)).1);
            }
            if let Some(high) = high {
                entry.2 = least(entry.2, entry.0.sides(constant(high)).0);
            }
        }
        for (facts, above, below) in ranges.into_values() {
            share *= range(&facts, above, below);
        }
        share
    }

    fn share_of(&self, condition: &Expr, origins: Origins<'_>) -> f64 {
        let share = |condition: &Expr| self.share_of(condition, origins);
        let shared = match condition {
            Expr::Constant(Value::Boolean(true)) => 1.0,
            Expr::Constant(_) => 0.0,
            Expr::Binary(Binary::And, ..) => {
                let mut conditions = Vec::new();
                split(condition.clone(), &mut conditions);
                self.share_of_all(&conditions, origins)
            }
            Expr::Binary(Binary::Or, a, b) => {
                let (a, b) = (share(a), share(b));
                a + b - a * b
            }
            Expr::Unary(Unary::Not, inner) => 1.0 - share(inner),
            Expr::Binary(Binary::Equal | Binary::Same, a, b) => match (&**a, &**b) {
                (Expr::Column(a), Expr::Column(b)) => match (origins(*a), origins(*b)) {
                    (Some(a), Some(b)) => 1.0 / a.distinct.max(b.distinct),
                    (Some(one), None) | (None, Some(one)) => 1.0 / one.distinct,
                    (None, None) => 0.05,
                },
                (Expr::Column(column), value) | (value, Expr::Column(column)) => {
                    origins(*column).map_or(0.05, |column| column.equal(constant(value)))
                }
                _ => 0.05,
            },
            Expr::Binary(Binary::NotEqual, a, b) => 1.0 - share(&Expr::Binary(Binary::Equal, a.clone(), b.clone())),
            Expr::Binary(Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual, ..)
                if comparison(condition).is_some() =>
            {
                self.share_of_all(std::slice::from_ref(condition), origins)
            }
            Expr::Binary(..) => 1.0 / 3.0,
            Expr::In { expr, list, negated } => {
                let each = |value: &Expr| match &**expr {
                    Expr::Column(column) => origins(*column).map_or(0.05, |column| column.equal(constant(value))),
                    _ => 0.05,
                };
                let found = list.iter().map(each).sum::<f64>().min(1.0);
                if *negated { 1.0 - found } else { found }
            }
            Expr::Between { negated: true, .. } => 0.9,
            Expr::Between { expr, .. } if matches!(**expr, Expr::Column(_)) => {
                self.share_of_all(std::slice::from_ref(condition), origins)
            }
            Expr::Between { .. } => 0.1,
            Expr::Is { expr, what: Is::Null, negated } => {
                let nulls = match &**expr {
                    Expr::Column(column) => origins(*column).map_or(0.05, |column| column.nulls.max(0.5 / column.rows)),
                    _ => 0.05,
                };
                if *negated { 1.0 - nulls } else { nulls }
            }
            Expr::Like { negated, .. } => {
                if *negated {
                    0.9
                } else {
                    0.1
                }
            }
            Expr::Column(_) => 0.5,
            _ => 1.0 / 3.0,
        };
        shared.clamp(0.0, 1.0)
    }

    /// How many keys a range of an index or of the primary key has, as a share of the table's rows.
    pub fn share_of_range(&self, scan: &Scan, columns: &[usize], unique: bool, range: &KeyRange) -> (f64, f64) {
        let mut equal = 1.0;
        for (&column, value) in columns.iter().zip(&range.prefix) {
            equal *= self.column(&scan.table, column).equal(constant(value));
        }
        if unique && range.prefix.len() == columns.len() && !columns.is_empty() {
            equal = 1.0 / self.rows(&scan.table).max(1.0);
        }
        let Some(&next) = columns.get(range.prefix.len()) else { return (equal, 1.0) };
        let end = |bound: &Bound<Expr>, above: bool| match bound {
            Bound::Unbounded => None,
            Bound::Included(value) | Bound::Excluded(value) => {
                let (below, over) = self.column(&scan.table, next).sides(constant(value));
                Some(if above { over } else { below })
            }
        };
        let (above, below) = (end(&range.low, true), end(&range.high, false));
        if above.is_none() && below.is_none() {
            return (equal, 1.0);
        }
        (equal, self::range(&self.column(&scan.table, next), above, below))
    }

    fn scan(&self, scan: &Scan) -> Estimate {
        let (columns, unique) = way(scan);
        let table_rows = self.rows(&scan.table);
        let (mut looked, mut equal) = (0.0, 0.0);
        for range in &scan.access.ranges {
            let (prefix, rest) = self.share_of_range(scan, &columns, unique, range);
            looked += prefix * rest;
            equal += prefix;
        }
        let looked = (table_rows * looked).min(table_rows);
        let filtered = scan.filter.as_ref().map_or(1.0, |filter| {
            let mut conditions = Vec::new();
            split(filter.clone(), &mut conditions);
            self.share_of_all(&conditions, &|column| Some(self.column(&scan.table, scan.columns[column])))
        });
        let rows = (table_rows * f64::min(equal, 1.0) * filtered).min(looked);
        Estimate { rows, cost: way_cost(scan, looked) }
    }

    /// How many rows a plan gives, and what they cost.
    pub fn estimate(&self, node: &Node) -> Estimate {
        let plain = |input: &Node, share: f64, each: f64| {
            let input = self.estimate(input);
            Estimate { rows: input.rows * share, cost: input.cost + input.rows * each }
        };
        match node {
            Node::Nothing { .. } => Estimate { rows: 0.0, cost: 0.0 },
            Node::Values { rows, .. } => Estimate { rows: rows.len() as f64, cost: rows.len() as f64 * weight::EXPR },
            Node::Rows { rows, .. } => Estimate { rows: rows.len() as f64, cost: rows.len() as f64 * weight::COPY },
            Node::Scan(scan) => {
                let mut estimate = self.scan(scan);
                if let Some(filter) = &scan.filter {
                    estimate.cost += self.queries(filter, estimate.rows);
                }
                estimate
            }
            Node::Filter { input, predicate } => {
                let below = self.estimate(input);
                let rows = below.rows * self.share(input, predicate);
                let queries = self.queries(predicate, below.rows);
                Estimate { rows, cost: below.cost + below.rows * weight::EXPR + queries }
            }
            Node::Project { input, exprs } => {
                let mut estimate = plain(input, 1.0, weight::COPY);
                for expr in exprs {
                    estimate.cost += self.queries(expr, estimate.rows);
                }
                estimate
            }
            Node::Join(join) => self.estimate_join(join),
            Node::Aggregate(aggregate) => {
                let input = self.estimate(&aggregate.input);
                let each = |group: &Expr| self.distinct(&aggregate.input, group, input.rows);
                let groups: f64 = aggregate.groups.iter().map(each).product();
                let rows = if aggregate.groups.is_empty() { 1.0 } else { groups.min(input.rows) };
                let each = match aggregate.method {
                    _ if aggregate.groups.is_empty() => 0.0,
                    AggregateMethod::Hash => weight::PROBE,
                    AggregateMethod::Sorted => weight::COPY,
                };
                let calls = aggregate.calls.len() as f64 * weight::EXPR;
                Estimate { rows, cost: input.cost + input.rows * (each + calls) + rows * weight::BUILD }
            }
            Node::Sort { input, first, .. } => {
                let input = self.estimate(input);
                let kept = first.as_ref().and_then(count).unwrap_or(input.rows).min(input.rows);
                Estimate { rows: kept, cost: input.cost + sort_cost(input.rows, kept) }
            }
            Node::Limit { input, offset, limit } => {
                let input = self.estimate(input);
                let skipped = offset.as_ref().map_or(0.0, |offset| count(offset).unwrap_or(0.0));
                let most = limit.as_ref().and_then(count).unwrap_or(input.rows);
                let made = (skipped + most).min(input.rows);
                let part = if input.rows > 0.0 { made / input.rows } else { 1.0 };
                Estimate { rows: (made - skipped).max(0.0), cost: input.cost * part }
            }
            Node::Distinct { input } => {
                let width = input.width();
                let estimate = plain(input, 1.0, weight::BUILD);
                let each = |column| self.distinct(input, &Expr::Column(column), estimate.rows);
                let distinct: f64 = (0..width).map(each).product();
                Estimate { rows: distinct.min(estimate.rows), ..estimate }
            }
            Node::Set { operator, all, left, right } => {
                let (left, right) = (self.estimate(left), self.estimate(right));
                let rows = match operator {
                    SetOperator::Union => left.rows + right.rows,
                    SetOperator::Intersect => left.rows.min(right.rows),
                    SetOperator::Except => left.rows,
                };
                let each = if *operator == SetOperator::Union && *all { 0.0 } else { weight::BUILD };
                Estimate { rows, cost: left.cost + right.cost + (left.rows + right.rows) * each }
            }
            Node::With { common, recursive, body, .. } => {
                let (common, body) = (self.estimate(common), self.estimate(body));
                let rounds = if recursive.is_some() { 10.0 } else { 1.0 };
                Estimate { rows: body.rows, cost: common.cost * rounds + body.cost }
            }
            Node::Common { .. } => Estimate { rows: 100.0, cost: 100.0 * weight::COPY },
        }
    }

    /// What the queries in an expression cost over so many rows.
    fn queries(&self, expr: &Expr, rows: f64) -> f64 {
        let mut cost = 0.0;
        expr.walk(0, &mut |depth, expr| {
            if let (0, Expr::Subquery(subquery)) = (depth, expr) {
                let once = self.estimate(&subquery.plan);
                let each = match subquery.kind {
                    SubqueryKind::Exists => once.cost / once.rows.max(1.0),
                    _ => once.cost,
                };
                let times = if subquery.outer.is_empty() { 1.0 } else { rows };
                cost += times * (weight::START + each) + rows * weight::PROBE;
            }
        });
        cost
    }

    fn estimate_join(&self, join: &Join) -> Estimate {
        let (left, right) = (self.estimate(&join.left), self.estimate(&join.right));
        let left_width = join.left.width();
        let mut conditions = Vec::new();
        if let Some(on) = &join.on {
            split(on.clone(), &mut conditions);
        }
        let origins = |column: usize| {
            if column < left_width {
                self.column_of(&join.left, column)
            } else {
                self.column_of(&join.right, column - left_width)
            }
        };
        let share = self.share_of_all(&conditions, &origins);
        let pairs = left.rows * right.rows * share;
        let rows = match join.kind {
            JoinKind::Inner => pairs,
            JoinKind::Left => pairs.max(left.rows),
            JoinKind::Right => pairs.max(right.rows),
            JoinKind::Full => pairs.max(left.rows).max(right.rows),
            JoinKind::Semi => left.rows * share_with_partner(&conditions, right.rows, share, left_width, &origins),
            JoinKind::Anti => {
                left.rows * (1.0 - share_with_partner(&conditions, right.rows, share, left_width, &origins)).max(0.1)
            }
        };
        let decided = matches!(join.kind, JoinKind::Semi | JoinKind::Anti);
        let cost = match &join.method {
            JoinMethod::NestedLoop => left.cost + right.cost + left.rows * right.rows * weight::PAIR,
            JoinMethod::Lateral => {
                let part = if decided && join.on.is_none() { 1.0 / right.rows.max(1.0) } else { 1.0 };
                left.cost + left.rows * (weight::START + right.cost * part)
            }
            JoinMethod::Hash { .. } => left.cost + right.cost + left.rows * weight::PROBE + right.rows * weight::BUILD,
            JoinMethod::Merge { .. } => left.cost + right.cost + (left.rows + right.rows) * weight::MERGE,
        };
        Estimate { rows, cost: cost + rows * weight::COPY }
    }
}

/// What it costs to look at so many rows by a scan's way.
pub(super) fn way_cost(scan: &Scan, looked: f64) -> f64 {
    let fetch = if scan.access.index.is_some() && !scan.access.only { weight::FETCH } else { 0.0 };
    let filter = if scan.filter.is_some() { weight::EXPR } else { 0.0 };
    let everything = scan.access.ranges == [KeyRange::all()];
    let seeks = if everything { 0.0 } else { scan.access.ranges.len() as f64 * weight::SEEK };
    seeks + looked * (weight::ROW + fetch + filter)
}

/// The share of left rows that have a partner on the right.
pub(super) fn share_with_partner(
    conditions: &[Expr],
    right_rows: f64,
    share: f64,
    left_width: usize,
    origins: Origins<'_>,
) -> f64 {
    let mut found = (right_rows * share).min(1.0);
    for (a, b) in conditions.iter().filter_map(equal_columns) {
        let (a, b) = if a < left_width { (a, b) } else { (b, a) };
        if let (Some(left), Some(right)) = (origins(a), origins(b)) {
            found = found.min((right.distinct.min(right_rows) / left.distinct).min(1.0));
        }
    }
    found
}

/// What sorting so many rows costs, of which so many are kept.
pub(super) fn sort_cost(rows: f64, kept: f64) -> f64 {
    rows * (weight::KEY + weight::COMPARE * libm::log2(kept.max(2.0))) + kept * weight::COPY
}

/// The columns of a scan's way, and whether no two rows have the same values in them.
pub(super) fn way(scan: &Scan) -> (Vec<usize>, bool) {
    match scan.access.index {
        None => (scan.table.primary_key.clone(), true),
        Some(index) => {
            let index = &scan.table.indexes[index];
            (index.columns.iter().map(|by| by.column).collect(), index.unique)
        }
    }
}

fn range(facts: &ColumnFacts, above: Option<f64>, below: Option<f64>) -> f64 {
    match (above, below) {
        // Fixed shares of both ends add up to less than everything.
        (Some(above), Some(below)) if above + below < 1.0 - facts.nulls => 0.3 * above.min(below),
        (Some(above), Some(below)) => (above + below - (1.0 - facts.nulls)).max(0.5 / facts.rows),
        (Some(share), None) | (None, Some(share)) => share.max(0.5 / facts.rows),
        (None, None) => 1.0,
    }
}

/// The value of an expression, if it is known now.
fn constant(expr: &Expr) -> Option<&Value> {
    if let Expr::Constant(value) = expr { Some(value) } else { None }
}

/// A number of rows, if it is known now.
fn count(expr: &Expr) -> Option<f64> {
    match constant(expr) {
        Some(Value::Integer(n)) => Some((*n).max(0) as f64),
        _ => None,
    }
}
