//! What a transaction knows by itself: what it wrote, and what it read before.
//!
//! A read that it knows the answer to must give that answer. All others are external: the database decides.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::blame::{self, show};
use crate::Violation;
use crate::history::{Micro, Predicate, Transaction};

/// Up to this many keys are looked through one by one.
const FEW: usize = 16;

/// What a transaction learnt from the database.
#[derive(Debug)]
pub(super) enum External<'a> {
    /// The value of a row.
    Row(u64, Option<i64>),
    /// The elements of a list.
    List(u64, &'a [i64]),
    /// No other row than these, ascending, matches.
    Rest { predicate: Predicate, except: Vec<u64> },
}

/// Values by key, for few keys without hashing.
#[derive(Debug)]
struct Known<V> {
    entries: Vec<(u64, V)>,
    places: HashMap<u64, usize, FxBuildHasher>,
}

impl<V> Known<V> {
    fn new() -> Self {
        Self { entries: Vec::new(), places: HashMap::default() }
    }

    fn place(&self, key: u64) -> Option<usize> {
        if self.entries.len() <= FEW {
            self.entries.iter().position(|(known, _)| *known == key)
        } else {
            self.places.get(&key).copied()
        }
    }

    fn get(&self, key: u64) -> Option<&V> {
        self.place(key).map(|at| &self.entries[at].1)
    }

    fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.place(key).map(|at| &mut self.entries[at].1)
    }

    fn insert(&mut self, key: u64, value: V) {
        if let Some(known) = self.get_mut(key) {
            *known = value;
            return;
        }
        self.entries.push((key, value));
        if self.entries.len() == FEW + 1 {
            self.places = self.entries.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
        } else if self.entries.len() > FEW {
            self.places.insert(key, self.entries.len() - 1);
        }
    }
}

/// What a transaction knows of a list.
#[derive(Debug, Default)]
struct OwnList<'a> {
    /// What it read first.
    read: Option<&'a [i64]>,
    /// What it has appended, since the read if there was one.
    appended: Vec<i64>,
}

impl OwnList<'_> {
    fn is(&self, elements: &[i64]) -> bool {
        self.read.is_some_and(|read| elements.strip_prefix(read) == Some(&self.appended))
    }
}

/// The external reads of a transaction, if the others are as it must know them.
pub(super) fn externals<'a>(
    transaction: &'a Transaction,
    comparisons: &mut u64,
) -> Result<Vec<External<'a>>, Violation> {
    let mut external = Vec::new();
    let (mut rows, mut lists) = (Known::<Option<i64>>::new(), Known::<OwnList>::new());
    let fail = |message: String| Err(blame::violation("internal", message, transaction));
    let id = transaction.id;
    for micro in &transaction.operations {
        match micro {
            Micro::Write { key, value } => rows.insert(*key, *value),
            Micro::Append { key, element } => match lists.get_mut(*key) {
                Some(list) => list.appended.push(*element),
                None => lists.insert(*key, OwnList { read: None, appended: vec![*element] }),
            },
            Micro::Read { key, value } => {
                *comparisons += 1;
                match rows.get(*key) {
                    Some(known) if known == value => {}
                    Some(known) => {
                        return fail(format!("T{id} had {} in row {key}, then read {}", show(*known), show(*value)));
                    }
                    None => {
                        external.push(External::Row(*key, *value));
                        rows.insert(*key, *value);
                    }
                }
            }
            Micro::ReadList { key, elements } => {
                *comparisons += 1 + elements.len() as u64;
                match lists.get_mut(*key) {
                    Some(list) if list.read.is_some() => {
                        if !list.is(elements) {
                            let known = [list.read.unwrap_or_default(), &list.appended].concat();
                            return fail(format!("T{id} had {known:?} in list {key}, then read {elements:?}"));
                        }
                    }
                    Some(list) => {
                        let Some(before) = elements.strip_suffix(list.appended.as_slice()) else {
                            let own = &list.appended;
                            return fail(format!("T{id} appended {own:?} to list {key}, then read {elements:?}"));
                        };
                        external.push(External::List(*key, before));
                        *list = OwnList { read: Some(elements), appended: Vec::new() };
                    }
                    None => {
                        external.push(External::List(*key, elements));
                        lists.insert(*key, OwnList { read: Some(elements), appended: Vec::new() });
                    }
                }
            }
            Micro::ReadRows { predicate, rows: found } => {
                *comparisons += 1 + found.len() as u64;
                let mut answer = BTreeMap::new();
                for (key, value) in found {
                    if answer.insert(*key, *value).is_some() {
                        return fail(format!("T{id} got row {key} twice for {predicate:?}"));
                    }
                    if !predicate.matches(Some(*value)) {
                        return fail(format!("T{id} got row {key} with {value} for {predicate:?}"));
                    }
                }
                // What it knows must be in the answer as it is, or not at all.
                let mut except: Vec<u64> = answer.keys().copied().collect();
                for (key, known) in &rows.entries {
                    let wanted = known.filter(|_| predicate.matches(*known));
                    let got = answer.remove(key);
                    if got != wanted {
                        let (known, got) = (show(*known), show(got));
                        return fail(format!("T{id} had {known} in row {key}, then got {got} for {predicate:?}"));
                    }
                    except.push(*key);
                }
                except.sort_unstable();
                except.dedup();
                for (key, value) in answer {
                    external.push(External::Row(key, Some(value)));
                    rows.insert(key, Some(value));
                }
                external.push(External::Rest { predicate: *predicate, except });
            }
        }
    }
    Ok(external)
}

/// What a transaction leaves in rows, by row.
pub(super) fn last_writes(transaction: &Transaction) -> BTreeMap<u64, Option<i64>> {
    let writes = transaction.operations.iter().filter_map(|micro| match micro {
        Micro::Write { key, value } => Some((*key, *value)),
        _ => None,
    });
    writes.collect()
}

/// What a transaction appends to lists, by list.
pub(super) fn appends(transaction: &Transaction) -> BTreeMap<u64, Vec<i64>> {
    let mut lists: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for micro in &transaction.operations {
        if let Micro::Append { key, element } = micro {
            lists.entry(*key).or_default().push(*element);
        }
    }
    lists
}
