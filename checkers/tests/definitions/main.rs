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
use checkers::transactions::{Finding, Level, Options, judge};

use crate::histories::{Shape, random};
use crate::oracle::is_possible;

const SHAPES: [Shape; 5] = [Shape::Registers, Shape::Lists, Shape::Rows, Shape::Mixed, Shape::Repeated];

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

#[test]
fn the_judge_agrees_with_the_definitions() {
    let mut seen: BTreeMap<(Level, bool), u32> = BTreeMap::new();
    let mut too_many = 0;
    let more = (1_000..4_000).map(|seed| random(seed, Shape::Repeated, 5));
    for history in all(1_000, 5).chain(more) {
        let judgement = judge(&history, &Options::default());
        for (level, finding) in &judgement.findings {
            let expected = is_possible(&history, *level);
            match (finding, expected) {
                (Finding::Holds, Some(true)) | (Finding::Violated { .. }, Some(false)) => {}
                (Finding::Undecided { .. }, None) => continue,
                (Finding::Undecided { .. }, _) if matches!(level, Level::CursorStability | Level::RepeatableRead) => {
                    continue;
                }
                // Whether the levels that ignore phantoms let a read go behind the initial state, they do not say.
                _ if *level <= Level::RepeatableRead && history.transactions.iter().any(|one| one.initial) => continue,
                (Finding::Undecided { reason }, _) if reason.starts_with("it is not known whether") => continue,
                // Too many ways to choose.
                (Finding::Undecided { reason }, _) if reason.contains(" both write ") => {
                    too_many += 1;
                    continue;
                }
                _ => {
                    let lines: Vec<String> = history.transactions.iter().map(|one| format!("{one:?}")).collect();
                    let lines = lines.join("\n");
                    panic!("{level} is {finding:?}, but {expected:?} by definition: {judgement:?}\n{lines}");
                }
            }
            *seen.entry((*level, *finding == Finding::Holds)).or_default() += 1;
        }
    }
    assert!(seen.len() == 2 * Level::ALL.len() && seen.values().all(|count| *count > 100), "{seen:?}");
    assert!(too_many < seen.values().sum::<u32>() / 100, "{too_many}");
}
