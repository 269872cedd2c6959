//! Where a scan's rows are: its ranges as ranges of the store's keys, of which none overlap.

use std::ops::Bound;

use super::super::algebra;
use super::super::error::Failure;
use super::super::schema::keys::{self, KeyColumn};
use super::super::schema::{Index, Table};
use super::super::types::Value;
use super::evaluate::{Env, Tuple};
use crate::storage::KeyRange;

/// The keys to look at.
#[derive(Debug)]
pub(super) enum Place {
    /// At most one row, or entry of a unique index, which is under this key.
    Key(Vec<u8>),
    /// A range.
    Range(KeyRange),
}

/// A way to the rows of a table, as the store has it.
pub(super) struct Way<'a> {
    pub table: &'a Table,
    pub index: Option<&'a Index>,
}

impl<'a> Way<'a> {
    pub fn new(table: &'a Table, index: Option<usize>) -> Self {
        let index = index.map(|index| &table.indexes[index]);
        Self { table, index }
    }

    /// The columns of its keys.
    pub fn columns(&self) -> Vec<KeyColumn> {
        self.table.key_columns(self.index)
    }

    /// Whether a range is for one row by its whole primary key, as in most statements.
    pub fn is_row(&self, range: &algebra::KeyRange) -> bool {
        let columns = self.table.primary_key.len();
        self.index.is_none() && columns > 0 && range.prefix.len() == columns
    }

    /// The store's key of the row that a range is for; `None` if there cannot be such a row. Allocates nothing but the key.
    pub fn row_key(&self, range: &algebra::KeyRange, env: Env<'_>) -> Result<Option<Vec<u8>>, Failure> {
        let mut key = self.table.prefix(None);
        for (expr, &column) in range.prefix.iter().zip(&self.table.primary_key) {
            let value = env.value(expr, Tuple::of(&[]))?;
            let column = KeyColumn { column, datatype: self.table.columns[column].datatype, descending: false };
            if !keys::equal_into(&mut key, &value, &column) {
                return Ok(None);
            }
        }
        Ok(Some(key))
    }

    /// The places of some ranges in the order of their keys, each key in at most one of them.
    pub fn places(&self, ranges: &[algebra::KeyRange], env: Env<'_>) -> Result<Vec<Place>, Failure> {
        let mut places = Vec::with_capacity(ranges.len());
        let mut equal = Vec::new();
        let (columns, prefix) = (self.columns(), self.table.prefix(self.index));
        for range in ranges {
            equal.clear();
            let (low, high) = match values(range, env, &mut equal) {
                Ok(bounds) => bounds,
                // What has no value fails for the rows for which the filter asks for it, if there are any.
                Err(Failure::Sql(_)) => {
                    let whole = (Bound::Unbounded, Bound::Unbounded);
                    return Ok(keys::bounded(prefix, &columns, &[], &whole.0, &whole.1)
                        .map(Place::Range)
                        .into_iter()
                        .collect());
                }
                Err(failure) => return Err(failure),
            };
            let unique = self.index.is_none_or(|index| index.unique);
            if unique && !columns.is_empty() && equal.len() == columns.len() {
                places.extend(keys::point(&prefix, &columns, &equal).map(Place::Key));
            } else if let Some(range) = keys::bounded(prefix.clone(), &columns, &equal, &low, &high) {
                places.push(Place::Range(range));
            }
        }
        if places.len() > 1 {
            places = disjoint(places);
        }
        Ok(places)
    }
}

/// The values of a range: those of the first columns go to `equal`.
fn values(
    range: &algebra::KeyRange,
    env: Env<'_>,
    equal: &mut Vec<Value>,
) -> Result<(Bound<Value>, Bound<Value>), Failure> {
    for expr in &range.prefix {
        equal.push(env.evaluate(expr, Tuple::of(&[]))?);
    }
    Ok((bound(&range.low, env)?, bound(&range.high, env)?))
}

fn bound(bound: &Bound<algebra::Expr>, env: Env<'_>) -> Result<Bound<Value>, Failure> {
    Ok(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(expr) => Bound::Included(env.evaluate(expr, Tuple::of(&[]))?),
        Bound::Excluded(expr) => Bound::Excluded(env.evaluate(expr, Tuple::of(&[]))?),
    })
}

/// A first key, and a key to stop before, if any.
type Span = (Vec<u8>, Option<Vec<u8>>);

fn span(place: &Place) -> Span {
    // The next key after one is that one with a zero byte.
    let next = |key: &[u8]| [key, &[0]].concat();
    match place {
        Place::Key(key) => (key.clone(), Some(next(key))),
        Place::Range((start, end)) => {
            let start = match start {
                Bound::Included(key) => key.clone(),
                Bound::Excluded(key) => next(key),
                Bound::Unbounded => Vec::new(),
            };
            let end = match end {
                Bound::Included(key) => Some(next(key)),
                Bound::Excluded(key) => Some(key.clone()),
                Bound::Unbounded => None,
            };
            (start, end)
        }
    }
}

/// Sorts places, and joins those that overlap.
fn disjoint(places: Vec<Place>) -> Vec<Place> {
    let mut spans: Vec<(Span, Place)> = places.into_iter().map(|place| (span(&place), place)).collect();
    spans.retain(|((start, end), _)| end.as_ref().is_none_or(|end| start < end));
    spans.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
    let mut joined: Vec<(Span, Option<Place>)> = Vec::with_capacity(spans.len());
    for ((start, end), place) in spans {
        match joined.last_mut() {
            Some(((_, last), whole)) if last.as_ref().is_none_or(|last| start < *last) => {
                let longer = match (&last, &end) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(last), Some(end)) => end > last,
                };
                if longer {
                    *last = end;
                    *whole = None;
                }
            }
            _ => joined.push(((start, end), Some(place))),
        }
    }
    let place = |((start, end), place): (Span, Option<Place>)| {
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        place.unwrap_or(Place::Range((Bound::Included(start), end)))
    };
    joined.into_iter().map(place).collect()
}
