//! The newest version of every row, and which rows match a predicate.
//!
//! The index by value is kept from the first predicate read on, so that the answer to one costs its size and not the
//! size of the table; what divides by a number has an index of its own per divisor, for the first few divisors.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::unknown::Name;
use crate::history::Predicate;

/// How many divisors have an index; for others all rows are looked at.
const DIVISORS: usize = 16;

/// What the newest known writer of a row left.
#[derive(Clone, Debug)]
pub(super) struct Row<T> {
    pub(super) commit: u64,
    pub(super) value: Option<i64>,
    pub(super) writer: T,
}

/// Writers of unknown outcome that may still be read in one row.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// With what they leave in it.
    pub(super) writers: Vec<(Name, Option<i64>)>,
    /// Up to here after the newest known commit, none of them committed.
    pub(super) clean: u64,
}

/// All rows.
#[derive(Debug)]
pub(super) struct Rows<T> {
    newest: HashMap<u64, Row<T>, FxBuildHasher>,
    /// By row.
    pub(super) pending: BTreeMap<u64, Pending>,
    index: Option<Index>,
}

/// Rows that exist, by value.
#[derive(Debug, Default)]
struct Index {
    values: BTreeSet<(i64, u64)>,
    /// By divisor: rows by remainder.
    remainders: BTreeMap<i64, BTreeSet<(i64, u64)>>,
}

impl<T> Rows<T> {
    pub(super) fn new() -> Self {
        Self { newest: HashMap::default(), pending: BTreeMap::new(), index: None }
    }

    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    pub(super) fn get(&self, key: u64) -> Option<&Row<T>> {
        self.newest.get(&key)
    }

    /// Makes `row` the newest version.
    pub(super) fn set(&mut self, key: u64, row: Row<T>) {
        let value = row.value;
        let before = self.newest.insert(key, row).and_then(|row| row.value);
        if let Some(index) = &mut self.index {
            index.replace(key, before, value);
        }
        if let Some(pending) = self.pending.get_mut(&key) {
            pending.clean = 0;
        }
    }

    /// The rows whose newest known version matches, and for which no writer of unknown outcome is pending, by key.
    pub(super) fn matching(&mut self, predicate: &Predicate) -> BTreeMap<u64, i64> {
        let index = self.index.get_or_insert_with(|| {
            let mut index = Index::default();
            for (key, row) in &self.newest {
                index.replace(*key, None, row.value);
            }
            index
        });
        let rows = |found: &mut dyn Iterator<Item = (i64, u64)>| {
            let known = found.filter(|(_, key)| !self.pending.contains_key(key));
            known.map(|(value, key)| (key, value)).collect()
        };
        match *predicate {
            Predicate::Any => rows(&mut index.values.iter().copied()),
            Predicate::Equal(value) => rows(&mut index.values.range((value, 0)..=(value, u64::MAX)).copied()),
            Predicate::Less(value) => rows(&mut index.values.range(..(value, 0)).copied()),
            Predicate::Greater(value) => {
                let above = value.checked_add(1).map(|next| index.values.range((next, 0)..));
                rows(&mut above.into_iter().flatten().copied())
            }
            Predicate::Modulo { divisor, remainder } => match index.remainders(divisor) {
                Some(remainders) => {
                    let keys = remainders.range((remainder, 0)..=(remainder, u64::MAX)).map(|(_, key)| *key);
                    let value = |key: u64| self.newest.get(&key).and_then(|row| row.value);
                    rows(&mut keys.filter_map(|key| Some((value(key)?, key))))
                }
                None => rows(&mut index.values.iter().copied().filter(|(value, _)| predicate.matches(Some(*value)))),
            },
        }
    }
}

impl Index {
    fn replace(&mut self, key: u64, before: Option<i64>, after: Option<i64>) {
        if before == after {
            return;
        }
        if let Some(value) = before {
            self.values.remove(&(value, key));
        }
        if let Some(value) = after {
            self.values.insert((value, key));
        }
        for (divisor, remainders) in &mut self.remainders {
            if let Some(value) = before {
                remainders.remove(&(value.wrapping_rem_euclid(*divisor), key));
            }
            if let Some(value) = after {
                remainders.insert((value.wrapping_rem_euclid(*divisor), key));
            }
        }
    }

    fn remainders(&mut self, divisor: i64) -> Option<&BTreeSet<(i64, u64)>> {
        if divisor == 0 || (self.remainders.len() >= DIVISORS && !self.remainders.contains_key(&divisor)) {
            return None;
        }
        let values = &self.values;
        let index = || values.iter().map(|(value, key)| (value.wrapping_rem_euclid(divisor), *key)).collect();
        Some(self.remainders.entry(divisor).or_insert_with(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index answers what looking at every row does, whatever was written since it was made.
    #[test]
    fn the_index_finds_what_matches() {
        bolero::check!().with_type::<Vec<(u8, Option<i8>, u8, i8)>>().with_iterations(2000).for_each(|steps| {
            let (mut rows, mut plain) = (Rows::new(), BTreeMap::new());
            for (at, (key, value, kind, number)) in steps.iter().enumerate() {
                let (key, value, number) = (u64::from(key % 8), value.map(i64::from), i64::from(*number));
                rows.set(key, Row { commit: at as u64, value, writer: () });
                plain.insert(key, value);
                let predicate = match kind % 6 {
                    0 => Predicate::Any,
                    1 => Predicate::Equal(number),
                    2 => Predicate::Greater(number),
                    3 => Predicate::Less(number),
                    _ => Predicate::Modulo { divisor: number / 4, remainder: i64::from(kind / 6) % 4 },
                };
                let matching = plain.iter().filter(|(_, value)| predicate.matches(**value));
                let expected: BTreeMap<u64, i64> = matching.map(|(key, value)| (*key, value.unwrap())).collect();
                assert_eq!(rows.matching(&predicate), expected, "{predicate:?}");
            }
        });
    }

    #[test]
    fn the_greatest_value_has_none_above_and_zero_divides_nothing() {
        let mut rows = Rows::new();
        rows.set(1, Row { commit: 1, value: Some(i64::MAX), writer: () });
        assert!(rows.matching(&Predicate::Greater(i64::MAX)).is_empty());
        assert!(rows.matching(&Predicate::Modulo { divisor: 0, remainder: 0 }).is_empty());
        assert_eq!(rows.matching(&Predicate::Equal(i64::MAX)).len(), 1);
    }
}
