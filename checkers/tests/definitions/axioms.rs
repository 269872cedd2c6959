//! Read committed, read atomic and causal consistency, by the axioms of Biswas and Enea: an order of all transactions is
//! looked for in which nobody read an object from one writer while a later writer of it was visible.

use std::collections::BTreeSet;

use crate::oracle::{Committed, permutations};
use crate::versions::{Reading, choices, is_prefix, readings};

/// What is visible to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Whom the reader had read from before.
    Read,
    /// Whom it read from, and its session.
    Directly,
    /// Whatever it follows.
    Causally,
}

/// Whether there is such an order.
pub fn holds(committed: &Committed, visible: Visible) -> bool {
    let Some(readings) = readings(committed) else { return false };
    let all: Vec<usize> = (0..committed.transactions.len()).collect();
    let mut session = committed.session.clone();
    if let Some(initial) = committed.initial() {
        session.retain(|(_, other)| *other != initial);
        session.extend(all.iter().filter(|other| **other != initial).map(|other| (initial, *other)));
    }
    let choices = choices(&readings);
    let orders = permutations(&all);
    choices.iter().any(|choice| {
        let mut follows = session.clone();
        for (reading, version) in readings.iter().zip(choice) {
            follows.extend(version.iter().chain(&reading.authors).map(|writer| (*writer, reading.reader)));
        }
        if visible == Visible::Causally {
            loop {
                let pairs = follows
                    .iter()
                    .flat_map(|one| follows.iter().filter(|two| two.0 == one.1).map(|two| (one.0, two.1)));
                let more: BTreeSet<(usize, usize)> = pairs.chain(follows.iter().copied()).collect();
                if more.len() == follows.len() {
                    break;
                }
                follows = more;
            }
        }
        orders.iter().any(|order| keeps(committed, &readings, choice, &follows, visible, order))
    })
}

fn keeps(
    committed: &Committed,
    readings: &[Reading],
    choice: &[Option<usize>],
    follows: &BTreeSet<(usize, usize)>,
    visible: Visible,
    order: &[usize],
) -> bool {
    let place = |transaction: usize| order.iter().position(|at| *at == transaction);
    let before = |one: usize, other: usize| place(one) < place(other);
    follows.iter().all(|(one, other)| before(*one, *other))
        && readings.iter().zip(choice).all(|(reading, version)| {
            let is_visible = |other: usize| match visible {
                Visible::Read => readings.iter().zip(choice).any(|(earlier, version)| {
                    let is_read = *version == Some(other) || earlier.authors.contains(&other);
                    earlier.reader == reading.reader && earlier.place < reading.place && is_read
                }),
                Visible::Directly | Visible::Causally => follows.contains(&(other, reading.reader)),
            };
            let is_stale = |other: &usize| {
                *version != Some(*other)
                    && is_visible(*other)
                    && committed.written(*other).contains_key(&reading.object)
                    && version.is_none_or(|version| !before(*other, version))
            };
            !order.iter().any(is_stale) && is_prefix(committed, reading, *version, order)
        })
}
