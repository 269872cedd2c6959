//! The judge of transactions against the definitions of the levels, over small random histories.
//!
//! The [`oracle`] knows nothing of how histories are judged: it tries every order of commits, versions and snapshots.

mod adya;
mod axioms;
mod histories;
mod oracle;
mod serial;
mod versions;

use std::collections::BTreeMap;

use checkers::history::{History, validate};
use checkers::transactions::Level;

use crate::histories::{Shape, random};
use crate::oracle::is_possible;

const SHAPES: [Shape; 4] = [Shape::Registers, Shape::Lists, Shape::Rows, Shape::Mixed];

fn all(count: u64, most: u64) -> impl Iterator<Item = History> {
    SHAPES.into_iter().flat_map(move |shape| (0..count).map(move |seed| random(seed, shape, most)))
}

#[test]
fn stronger_levels_allow_less() {
    let mut possible: BTreeMap<Level, [u32; 2]> = BTreeMap::new();
    for history in all(400, 5) {
        validate(&history.transactions).unwrap();
        let found: BTreeMap<Level, bool> =
            Level::ALL.into_iter().filter_map(|level| Some((level, is_possible(&history, level)?))).collect();
        for (strong, is_strong) in &found {
            for (weak, is_weak) in &found {
                assert!(!is_strong || *is_weak || !strong.implies(*weak), "{strong} but not {weak}: {history:#?}");
            }
        }
        for (level, is_possible) in found {
            possible.entry(level).or_default()[usize::from(is_possible)] += 1;
        }
    }
    assert!(possible.values().flatten().all(|count| *count > 50), "{possible:?}");
}
