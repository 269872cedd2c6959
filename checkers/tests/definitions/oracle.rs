//! The levels by their definitions: every way in which a small history could have come about is tried.
//!
//! Which transactions of unknown outcome committed is tried as well. Their reads were answered, so they count if the
//! transaction committed; but whoever is of unknown outcome may commit as late as it likes, so neither its session nor
//! real time orders anything after it.

use std::collections::{BTreeMap, BTreeSet};

use checkers::history::{History, Micro, Outcome, Transaction};
use checkers::transactions::Level;

use crate::{adya, axioms, serial};

/// A row or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Row(u64),
    List(u64),
}

/// A history of which it is settled who committed.
pub struct Committed<'a> {
    pub transactions: Vec<&'a Transaction>,
    /// Whether the one is before the other in a session.
    pub session: BTreeSet<(usize, usize)>,
    /// Whether the one was over before the other began.
    pub real_time: BTreeSet<(usize, usize)>,
}

impl<'a> Committed<'a> {
    fn new(transactions: Vec<&'a Transaction>) -> Self {
        let mut session = BTreeSet::new();
        let mut real_time = BTreeSet::new();
        for (one, earlier) in transactions.iter().enumerate() {
            for (other, later) in transactions.iter().enumerate().filter(|(other, _)| *other != one) {
                if earlier.outcome == Outcome::Ok && earlier.client == later.client && one < other {
                    session.insert((one, other));
                }
                if earlier.acknowledged().is_some_and(|complete| complete < later.invoke) {
                    real_time.insert((one, other));
                }
            }
        }
        Self { transactions, session, real_time }
    }

    /// The one that made the initial state.
    pub fn initial(&self) -> Option<usize> {
        self.transactions.iter().position(|transaction| transaction.initial)
    }

    /// All objects, and all rows that may be there.
    pub fn objects(&self) -> BTreeSet<Object> {
        let micros = self.transactions.iter().flat_map(|transaction| &transaction.operations);
        micros.flat_map(objects_of).collect()
    }

    /// What a transaction leaves in an object that it writes: the value of a row, or what it adds to a list.
    pub fn written(&self, transaction: usize) -> BTreeMap<Object, Left> {
        let mut written = BTreeMap::new();
        for micro in &self.transactions[transaction].operations {
            match *micro {
                Micro::Write { key, value } => {
                    written.insert(Object::Row(key), Left::Value(value));
                }
                Micro::Append { key, element } => {
                    let left = written.entry(Object::List(key)).or_insert(Left::Elements(Vec::new()));
                    if let Left::Elements(elements) = left {
                        elements.push(element);
                    }
                }
                Micro::Read { .. } | Micro::ReadList { .. } | Micro::ReadRows { .. } => {}
            }
        }
        written
    }
}

/// What a transaction leaves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    Value(Option<i64>),
    Elements(Vec<i64>),
}

fn objects_of(micro: &Micro) -> Vec<Object> {
    match micro {
        Micro::Read { key, .. } | Micro::Write { key, .. } => vec![Object::Row(*key)],
        Micro::ReadList { key, .. } | Micro::Append { key, .. } => vec![Object::List(*key)],
        Micro::ReadRows { rows, .. } => rows.iter().map(|(key, _)| Object::Row(*key)).collect(),
    }
}

/// Whether a history is possible under a level; `None` if the level's definition needs what histories do not say.
pub fn is_possible(history: &History, level: Level) -> Option<bool> {
    match level {
        Level::CursorStability => {
            if !tried(history, adya::is_read_committed) {
                Some(false)
            } else if tried(history, adya::is_cursor_stable) {
                Some(true)
            } else {
                None
            }
        }
        Level::ReadCommitted => Some(tried(history, |committed| axioms::holds(committed, axioms::Visible::Read))),
        Level::ReadAtomic => Some(tried(history, |committed| axioms::holds(committed, axioms::Visible::Directly))),
        Level::Causal => Some(tried(history, |committed| axioms::holds(committed, axioms::Visible::Causally))),
        Level::RepeatableRead => Some(tried(history, adya::is_repeatable)),
        Level::Serializable => Some(tried(history, |committed| serial::is_serial(committed, &BTreeSet::new()))),
        Level::StrongSessionSerializable => {
            Some(tried(history, |committed| serial::is_serial(committed, &committed.session)))
        }
        Level::StrictSerializable => Some(tried(history, |committed| serial::is_serial(committed, &both(committed)))),
        Level::SnapshotIsolation => {
            Some(tried(history, |committed| serial::has_snapshots(committed, &BTreeSet::new())))
        }
        Level::StrongSessionSnapshotIsolation => {
            Some(tried(history, |committed| serial::has_snapshots(committed, &committed.session)))
        }
        Level::StrongSnapshotIsolation => {
            Some(tried(history, |committed| serial::has_snapshots(committed, &both(committed))))
        }
    }
}

fn both(committed: &Committed) -> BTreeSet<(usize, usize)> {
    committed.session.union(&committed.real_time).copied().collect()
}

/// Whether there is a choice of those that committed with which the history is possible.
fn tried(history: &History, is_possible: impl Fn(&Committed) -> bool) -> bool {
    let unknown = history.transactions.iter().filter(|transaction| transaction.outcome == Outcome::Unknown).count();
    (0..1u32 << unknown).any(|chosen| {
        let mut index = 0;
        let did_commit = |transaction: &&Transaction| match transaction.outcome {
            Outcome::Ok => true,
            Outcome::Failed => false,
            Outcome::Unknown => {
                index += 1;
                chosen >> (index - 1) & 1 == 1
            }
        };
        is_possible(&Committed::new(history.transactions.iter().filter(did_commit).collect()))
    })
}

/// All orders of some things.
pub fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    let Some((first, others)) = items.split_first() else { return vec![Vec::new()] };
    let shorter = permutations(others);
    let longer = |short: &Vec<usize>| {
        (0..=short.len()).map(|at| [&short[..at], &[*first], &short[at..]].concat()).collect::<Vec<_>>()
    };
    shorter.iter().flat_map(longer).collect()
}
