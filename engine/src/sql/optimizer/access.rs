//! Which way a scan goes to its rows: which ranges of the primary key or of an index, or all rows.
//!
//! What conditions say of the first columns of a key gives the ranges: equalities, lists, and then bounds on the next
//! column, or bounds that OR connects. Of several ways the one that costs least is taken; without statistics, that is the
//! one that looks most selective. A way whose index has all columns that are read does not look up the rows.

use std::ops::Bound;

use super::super::algebra::{Access, Binary, Expr, KeyRange, Scan};
use super::super::schema::Table;
use super::super::types::DataType;
use super::conjuncts::{all, comparison, is_known, parts};
use super::estimate::way_cost;
use super::facts::Facts;

/// The most ranges of one scan.
const MAX_RANGES: usize = 4096;

/// A way that conditions make possible.
struct Way {
    access: Access,
    /// The conditions that hold for all rows on the way.
    implied: Vec<usize>,
    /// At most one row is on it.
    single: bool,
}

type Bounds = (Bound<Expr>, Bound<Expr>);

/// What conditions say of a column.
#[derive(Default)]
struct Known {
    /// The values that it may have, with the condition that says so if nothing more needs to be asked.
    values: Option<(Vec<Expr>, Option<usize>)>,
    low: Option<Bound<Expr>>,
    high: Option<Bound<Expr>>,
    /// The ranges that it may be in.
    ranges: Option<Vec<Bounds>>,
}

impl Facts<'_> {
    /// Gives a scan the best way to the rows that its filter asks for.
    pub fn choose(&self, scan: &mut Scan) {
        if scan.access != Access::all() {
            return;
        }
        let conditions = parts(scan.filter.take());
        let ways = ways(scan, &conditions);
        let best = match ways.iter().position(|way| way.single) {
            Some(single) => Some(single),
            None if ways.is_empty() => None,
            None => {
                scan.filter = Some(Expr::Parameter(0));
                let mut best = (way_cost(scan, self.rows(&scan.table)), None);
                for (nth, way) in ways.iter().enumerate() {
                    scan.access = way.access.clone();
                    let cost = way_cost(scan, self.looked_at(scan));
                    if cost < best.0 {
                        best = (cost, Some(nth));
                    }
                }
                best.1
            }
        };
        scan.access = Access::all();
        let mut implied = Vec::new();
        if let Some(way) = best.and_then(|best| ways.into_iter().nth(best)) {
            (scan.access, implied) = (way.access, way.implied);
        }
        let kept = conditions.into_iter().enumerate().filter(|(nth, _)| !implied.contains(nth));
        scan.filter = all(kept.map(|(_, condition)| condition).collect());
    }

    /// How many rows or entries are on a scan's way.
    pub fn looked_at(&self, scan: &Scan) -> f64 {
        let (columns, unique) = super::estimate::way(scan);
        let share = |range: &KeyRange| {
            let (equal, within) = self.share_of_range(scan, &columns, unique, range);
            equal * within
        };
        self.rows(&scan.table) * scan.access.ranges.iter().map(share).sum::<f64>().min(1.0)
    }
}

/// Whether an index has all columns that a scan reads. It does not tell 0 from -0.
pub(super) fn is_covered(scan: &Scan, index: usize) -> bool {
    let table = &scan.table;
    scan.columns.iter().all(|&column| match table.columns.get(column) {
        None => true,
        Some(of) => {
            of.datatype != DataType::Float
                && (table.primary_key.contains(&column)
                    || table.indexes[index].columns.iter().any(|by| by.column == column))
        }
    })
}

/// The columns of each way to the rows of a table, the primary key first.
pub(super) fn keys(table: &Table) -> impl Iterator<Item = (Option<usize>, Vec<usize>, bool)> {
    let primary = (!table.primary_key.is_empty()).then(|| (None, table.primary_key.clone(), true));
    let indexes =
        table.indexes.iter().enumerate().map(|(position, index)| {
            (Some(position), index.columns.iter().map(|by| by.column).collect(), index.unique)
        });
    primary.into_iter().chain(indexes)
}

/// The ways that conditions make possible, other than to look at all rows.
fn ways(scan: &Scan, conditions: &[Expr]) -> Vec<Way> {
    let mut ways = Vec::new();
    if conditions.is_empty() {
        return ways;
    }
    for (index, columns, unique) in keys(&scan.table) {
        let mut prefixes: Vec<Vec<Expr>> = vec![Vec::new()];
        let mut implied = Vec::new();
        let mut ranges: Option<Vec<Bounds>> = None;
        let mut fixed = 0;
        for &column in &columns {
            let known = known(column, scan, conditions);
            if let Some((values, condition)) = known.values
                && prefixes.len() * values.len().max(1) <= MAX_RANGES
            {
                implied.extend(condition);
                let with = |prefix: &Vec<Expr>, value: &Expr| prefix.iter().chain([value]).cloned().collect();
                let each = |prefix: &Vec<Expr>| values.iter().map(|value| with(prefix, value)).collect::<Vec<_>>();
                prefixes = prefixes.iter().flat_map(each).collect();
                fixed += 1;
                continue;
            }
            ranges = match (known.low, known.high, known.ranges) {
                (None, None, Some(ranges)) if prefixes.len() * ranges.len() <= MAX_RANGES => Some(ranges),
                (None, None, _) => None,
                (low, high, _) => Some(vec![(low.unwrap_or(Bound::Unbounded), high.unwrap_or(Bound::Unbounded))]),
            };
            break;
        }
        if fixed == 0 && ranges.is_none() {
            continue;
        }
        let ranges = ranges.unwrap_or_else(|| vec![(Bound::Unbounded, Bound::Unbounded)]);
        let range = |prefix: &Vec<Expr>, (low, high): &Bounds| KeyRange {
            prefix: prefix.clone(),
            low: low.clone(),
            high: high.clone(),
        };
        let ranges: Vec<KeyRange> =
            prefixes.iter().flat_map(|prefix| ranges.iter().map(move |bounds| range(prefix, bounds))).collect();
        let single = unique && fixed == columns.len() && ranges.len() == 1;
        let only = index.is_some_and(|index| is_covered(scan, index));
        ways.push(Way { access: Access { index, ranges, only }, implied, single });
    }
    ways
}

/// What conditions say of a column of the table.
fn known(column: usize, scan: &Scan, conditions: &[Expr]) -> Known {
    let mut known = Known::default();
    let is_column = |position: usize| scan.columns.get(position) == Some(&column);
    // Values of the same class, so that the keys compare as the values do.
    let fits = |expr: &Expr| scan.table.columns.get(column).is_some_and(|column| is_value(expr, column.datatype));
    for (nth, condition) in conditions.iter().enumerate() {
        match condition {
            Expr::Between { expr, low, high, negated: false }
                if matches!(**expr, Expr::Column(column) if is_column(column)) && fits(low) && fits(high) =>
            {
                known.low.get_or_insert(Bound::Included((**low).clone()));
                known.high.get_or_insert(Bound::Included((**high).clone()));
            }
            Expr::In { expr, list, negated: false }
                if matches!(**expr, Expr::Column(column) if is_column(column)) && list.iter().all(fits) =>
            {
                if known.values.is_none() {
                    known.values = Some((list.clone(), list.iter().all(is_known).then_some(nth)));
                }
            }
            Expr::Binary(Binary::Or, ..) => {
                let mut ranges = Vec::new();
                if known.ranges.is_none() && alternatives(condition, &is_column, &fits, &mut ranges) {
                    known.ranges = Some(ranges);
                }
            }
            condition => {
                let Some((op, position, value)) = comparison(condition) else { continue };
                if !is_column(position) || !fits(value) {
                    continue;
                }
                if op == Binary::Equal {
                    // One value is better than a list.
                    if known.values.as_ref().is_none_or(|(values, _)| values.len() > 1) {
                        known.values = Some((vec![value.clone()], is_known(value).then_some(nth)));
                    }
                } else if let Some((low, high)) = bounds(op, value) {
                    if low == Bound::Unbounded {
                        known.high.get_or_insert(high);
                    } else {
                        known.low.get_or_insert(low);
                    }
                }
            }
        }
    }
    known
}

/// The ranges that a condition allows for a column, if it is about that alone.
fn alternatives(
    condition: &Expr,
    is_column: &dyn Fn(usize) -> bool,
    fits: &dyn Fn(&Expr) -> bool,
    ranges: &mut Vec<Bounds>,
) -> bool {
    let is_of_column = |expr: &Expr| matches!(expr, Expr::Column(column) if is_column(*column));
    let equal = |value: &Expr| (Bound::Included(value.clone()), Bound::Included(value.clone()));
    match condition {
        Expr::Binary(Binary::Or, a, b) => {
            alternatives(a, is_column, fits, ranges) && alternatives(b, is_column, fits, ranges)
        }
        Expr::Binary(Binary::And, a, b) => {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let both = alternatives(a, is_column, fits, &mut first) && alternatives(b, is_column, fits, &mut second);
            match (first.as_slice(), second.as_slice()) {
                ([(low, Bound::Unbounded)], [(Bound::Unbounded, high)])
                | ([(Bound::Unbounded, high)], [(low, Bound::Unbounded)])
                    if both =>
                {
                    ranges.push((low.clone(), high.clone()));
                    true
                }
                _ => false,
            }
        }
        Expr::Between { expr, low, high, negated: false } if is_of_column(expr) && fits(low) && fits(high) => {
            ranges.push((Bound::Included((**low).clone()), Bound::Included((**high).clone())));
            true
        }
        Expr::In { expr, list, negated: false } if is_of_column(expr) && list.iter().all(fits) => {
            ranges.extend(list.iter().map(equal));
            true
        }
        condition => match comparison(condition) {
            Some((Binary::Equal, column, value)) if is_column(column) && fits(value) => {
                ranges.push(equal(value));
                true
            }
            Some((op, column, value)) if is_column(column) && fits(value) => {
                let bounds = bounds(op, value);
                ranges.extend(bounds.clone());
                bounds.is_some()
            }
            _ => false,
        },
    }
}

fn bounds(op: Binary, value: &Expr) -> Option<Bounds> {
    let value = value.clone();
    match op {
        Binary::Less => Some((Bound::Unbounded, Bound::Excluded(value))),
        Binary::LessOrEqual => Some((Bound::Unbounded, Bound::Included(value))),
        Binary::Greater => Some((Bound::Excluded(value), Bound::Unbounded)),
        Binary::GreaterOrEqual => Some((Bound::Included(value), Bound::Unbounded)),
        _ => None,
    }
}

/// Whether an expression can be evaluated before the scan, and looked up among keys of a type. The binder has seen to it
/// that what is compared can be compared; and where the evaluation fails, the scan looks at all rows instead.
fn is_value(expr: &Expr, datatype: DataType) -> bool {
    match expr {
        Expr::Constant(_) | Expr::Parameter(_) | Expr::Outer { .. } => true,
        Expr::Cast(inner, to) => *to == datatype && is_value(inner, datatype),
        Expr::Unary(_, inner) => is_value(inner, datatype),
        _ => false,
    }
}
