//! What is known of tables: what ANALYZE found, and something fixed where it has not run.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::algebra::{Expr, Node, Scan};
use super::super::catalog::{Catalog, Statistics};
use super::super::error::Failure;
use super::super::schema::Table;
use super::super::types::{DataType, Value};

/// How many rows a table is taken to have that ANALYZE has not seen.
const ROWS: f64 = 1000.0;
/// How many rows a table is taken to have at least: it may have grown since.
const FEWEST: f64 = 10.0;

/// What is known of tables. It is looked up when it is asked for, and what was looked up is among what the plan was made
/// from.
pub(in super::super) struct Facts<'a> {
    catalog: &'a Catalog<'a>,
    found: RefCell<BTreeMap<u32, Option<Rc<Statistics>>>>,
    failure: RefCell<Option<Failure>>,
}

impl<'a> Facts<'a> {
    pub fn new(catalog: &'a Catalog<'a>) -> Self {
        Self { catalog, found: RefCell::default(), failure: RefCell::default() }
    }

    /// The catalog that they are looked up in.
    pub fn catalog(&self) -> &'a Catalog<'a> {
        self.catalog
    }

    /// The failure of a look-up, if there was one.
    pub fn into_failure(self) -> Option<Failure> {
        self.failure.into_inner()
    }

    fn statistics(&self, table: &Table) -> Option<Rc<Statistics>> {
        if let Some(found) = self.found.borrow().get(&table.id) {
            return found.clone();
        }
        let found = self.catalog.statistics(table.id).unwrap_or_else(|failure| {
            *self.failure.borrow_mut() = Some(failure);
            None
        });
        // What was found before a column was added says nothing of it.
        let found = found.map(Rc::new);
        self.found.borrow_mut().insert(table.id, found.clone());
        found
    }

    /// How many rows a table has.
    pub fn rows(&self, table: &Table) -> f64 {
        self.statistics(table).map_or(ROWS, |statistics| (statistics.rows as f64).max(FEWEST))
    }

    /// What is known of a column of a table.
    pub(super) fn column(&self, table: &Table, column: usize) -> ColumnFacts {
        let statistics = self.statistics(table);
        let rows = self.rows(table);
        let analyzed = statistics.as_ref().and_then(|statistics| statistics.columns.get(column));
        let distinct = match analyzed {
            Some(analyzed) => analyzed.distinct as f64,
            None if is_unique(table, column) => rows,
            None => match table.columns.get(column).map(|column| column.datatype) {
                Some(DataType::Boolean) => 2.0,
                // The row's key.
                None => rows,
                _ => rows / 10.0,
            },
        };
        let nulls = analyzed.map_or(0.0, |analyzed| analyzed.nulls as f64 / rows.max(1.0));
        let analyzed = analyzed.is_some();
        ColumnFacts { rows: rows.max(1.0), distinct: distinct.max(1.0), nulls, statistics, column, analyzed }
    }
}

/// Whether no two rows have the same value in a column.
fn is_unique(table: &Table, column: usize) -> bool {
    table.primary_key == [column]
        || table.indexes.iter().any(|index| index.unique && matches!(&index.columns[..], [by] if by.column == column))
}

/// What is known of a column.
pub(super) struct ColumnFacts {
    /// How many rows the table has, at least one.
    pub rows: f64,
    /// How many values there are besides NULL, at least one.
    pub distinct: f64,
    /// The share of NULLs.
    pub nulls: f64,
    statistics: Option<Rc<Statistics>>,
    column: usize,
    analyzed: bool,
}

/// The share of rows in a range of which one end is not known, or nothing is known of the column.
const OPEN: f64 = 0.1;

impl ColumnFacts {
    /// The share of rows with a value, which is not always known.
    pub fn equal(&self, value: Option<&Value>) -> f64 {
        let any = (1.0 - self.nulls) / self.distinct;
        let Some(value) = value else { return any };
        if matches!(value, Value::Null) {
            return 0.0;
        }
        let Some(found) = self.statistics.as_ref().and_then(|statistics| statistics.columns.get(self.column)) else {
            return any;
        };
        if let Some((_, count)) =
            found.common.iter().find(|(common, _)| common.compare(value).is_some_and(Ordering::is_eq))
        {
            return *count as f64 / self.rows;
        }
        let common: u64 = found.common.iter().map(|(_, count)| count).sum();
        let rest = (1.0 - self.nulls - common as f64 / self.rows).max(0.0);
        let others = (self.distinct - found.common.len() as f64).max(1.0);
        let outside = match (found.bounds.first(), found.bounds.last()) {
            (Some(first), Some(last)) => value.sort_order(first).is_lt() || value.sort_order(last).is_gt(),
            _ => true,
        };
        if outside { 0.5 / self.rows } else { rest / others }
    }

    /// The share of rows below a value, if it is known.
    pub fn below(&self, value: &Value) -> Option<f64> {
        if !self.analyzed {
            return None;
        }
        let found = self.statistics.as_ref().and_then(|statistics| statistics.columns.get(self.column))?;
        let is_below = |other: &Value| other.sort_order(value).is_lt();
        let common: u64 = found.common.iter().map(|(_, count)| count).sum();
        let below: u64 = found.common.iter().filter(|(other, _)| is_below(other)).map(|(_, count)| count).sum();
        let rest = (1.0 - self.nulls - common as f64 / self.rows).max(0.0);
        let bounds = &found.bounds;
        let position = bounds.partition_point(is_below);
        let part = match position {
            0 => 0.0,
            position if position == bounds.len() => 1.0,
            position => {
                let within = match (number(&bounds[position - 1]), number(value), number(&bounds[position])) {
                    (Some(low), Some(x), Some(high)) if high > low => ((x - low) / (high - low)).clamp(0.0, 1.0),
                    _ => 0.5,
                };
                ((position - 1) as f64 + within) / (bounds.len() - 1) as f64
            }
        };
        Some(below as f64 / self.rows + part * rest)
    }

    /// The share of rows below a value, and of those above it; where that is not known, something fixed.
    pub fn sides(&self, value: Option<&Value>) -> (f64, f64) {
        if matches!(value, Some(Value::Null)) {
            return (0.0, 0.0);
        }
        match value.and_then(|value| self.below(value)) {
            Some(below) => (below, (1.0 - self.nulls - below).max(0.0)),
            None => (OPEN, OPEN),
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

/// Where the values of a column come from, if that is a table: its scan, and the column there.
pub(super) fn origin(node: &Node, column: usize) -> Option<(&Scan, usize)> {
    match node {
        Node::Scan(scan) => Some((scan, scan.columns[column])),
        Node::Filter { input, .. }
        | Node::Sort { input, .. }
        | Node::Limit { input, .. }
        | Node::Distinct { input } => origin(input, column),
        Node::Project { input, exprs } => match exprs[column] {
            Expr::Column(column) => origin(input, column),
            _ => None,
        },
        Node::Join(join) => {
            let left_width = join.left.width();
            if column < left_width { origin(&join.left, column) } else { origin(&join.right, column - left_width) }
        }
        Node::Aggregate(aggregate) => match aggregate.groups.get(column) {
            Some(Expr::Column(column)) => origin(&aggregate.input, *column),
            _ => None,
        },
        Node::With { body, .. } => origin(body, column),
        _ => None,
    }
}
