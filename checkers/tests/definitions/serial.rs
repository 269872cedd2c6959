//! Serializability and snapshot isolation, by running the transactions in every order.

use std::collections::{BTreeMap, BTreeSet};

use checkers::history::{Micro, Transaction};

use crate::oracle::{Committed, Object};

/// Rows and lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    rows: BTreeMap<u64, i64>,
    lists: BTreeMap<u64, Vec<i64>>,
}

impl State {
    /// What a transaction leaves, if it would have read what it did.
    fn run(&self, transaction: &Transaction) -> Option<Self> {
        let mut state = self.clone();
        for micro in &transaction.operations {
            let is_so = match micro {
                Micro::Read { key, value } => state.rows.get(key) == value.as_ref(),
                Micro::ReadList { key, elements } => {
                    state.lists.get(key).map_or(&[][..], Vec::as_slice) == elements.as_slice()
                }
                Micro::ReadRows { predicate, rows } => {
                    let seen: BTreeMap<u64, i64> = rows.iter().copied().collect();
                    let there = state.rows.iter().filter(|(_, value)| predicate.matches(Some(**value)));
                    let there: BTreeMap<u64, i64> = there.map(|(key, value)| (*key, *value)).collect();
                    seen == there && seen.len() == rows.len()
                }
                Micro::Write { .. } | Micro::Append { .. } => {
                    state.write(micro);
                    true
                }
            };
            if !is_so {
                return None;
            }
        }
        Some(state)
    }

    fn write(&mut self, micro: &Micro) {
        match *micro {
            Micro::Write { key, value: Some(value) } => {
                self.rows.insert(key, value);
            }
            Micro::Write { key, value: None } => {
                self.rows.remove(&key);
            }
            Micro::Append { key, element } => self.lists.entry(key).or_default().push(element),
            Micro::Read { .. } | Micro::ReadList { .. } | Micro::ReadRows { .. } => {}
        }
    }
}

/// Whether the transactions could have run one by one, in an order that keeps to `before`.
pub fn is_serial(committed: &Committed, before: &BTreeSet<(usize, usize)>) -> bool {
    let count = committed.transactions.len();
    let mut seen = BTreeSet::new();
    let mut open = vec![(0u32, State::default())];
    while let Some((done, state)) = open.pop() {
        if done == (1 << count) - 1 {
            return true;
        }
        if !seen.insert((done, state.clone())) {
            continue;
        }
        for next in ready(committed, before, done, done) {
            if let Some(state) = state.run(committed.transactions[next]) {
                open.push((done | 1 << next, state));
            }
        }
    }
    false
}

/// Who may begin, if these have begun and these are over.
fn ready<'a>(
    committed: &'a Committed,
    before: &'a BTreeSet<(usize, usize)>,
    begun: u32,
    over: u32,
) -> impl Iterator<Item = usize> + 'a {
    let initial = committed.initial();
    (0..committed.transactions.len()).filter(move |next| {
        begun >> next & 1 == 0
            && initial.is_none_or(|initial| initial == *next || over >> initial & 1 == 1)
            && before.iter().all(|(one, other)| other != next || over >> one & 1 == 1)
    })
}

/// Whether each transaction could have read a snapshot, begun after whoever is before it was committed, and committed
/// without another writer of the same between its snapshot and its commit.
pub fn has_snapshots(committed: &Committed, before: &BTreeSet<(usize, usize)>) -> bool {
    let count = committed.transactions.len();
    let written: Vec<BTreeSet<Object>> = (0..count).map(|at| committed.written(at).into_keys().collect()).collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![(0u32, 0u32, State::default())];
    while let Some((begun, over, state)) = open.pop() {
        if over == (1 << count) - 1 {
            return true;
        }
        if !seen.insert((begun, over, state.clone())) {
            continue;
        }
        for next in ready(committed, before, begun, over) {
            if state.run(committed.transactions[next]).is_some() {
                open.push((begun | 1 << next, over, state.clone()));
            }
        }
        let active = |at: &usize| (begun & !over) >> at & 1 == 1;
        for next in (0..count).filter(active) {
            let mut others = (0..count).filter(active).filter(|other| *other != next);
            if others.all(|other| written[other].is_disjoint(&written[next])) {
                let mut state = state.clone();
                committed.transactions[next].operations.iter().for_each(|micro| state.write(micro));
                open.push((begun, over | 1 << next, state));
            }
        }
    }
    false
}
