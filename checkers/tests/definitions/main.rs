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

use checkers::history::{History, Micro, Outcome, Predicate, Transaction, validate};
use checkers::transactions::{Finding, Judgement, Level, Options, judge};

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
        agrees_with_itself(&history, &judgement);
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
                    let lines = lines(&history);
                    panic!("{level} is {finding:?}, but {expected:?} by definition: {judgement:?}\n{lines}");
                }
            }
            *seen.entry((*level, *finding == Finding::Holds)).or_default() += 1;
        }
    }
    assert!(seen.len() == 2 * Level::ALL.len() && seen.values().all(|count| *count > 100), "{seen:?}");
    assert!(too_many < seen.values().sum::<u32>() / 100, "{too_many}");
}

fn lines(history: &History) -> String {
    let lines: Vec<String> = history.transactions.iter().map(|one| format!("{one:?}")).collect();
    lines.join("\n")
}

/// Every anomaly violates what its name says, and every level falls with all that are weaker.
fn agrees_with_itself(history: &History, judgement: &Judgement) {
    let told = || format!("{judgement:#?}\n{}", lines(history));
    for (level, finding) in &judgement.findings {
        let accused = judgement.anomalies.iter().any(|anomaly| anomaly.name.violates(*level));
        assert_eq!(matches!(finding, Finding::Violated { .. }), accused, "{level}: {}", told());
        let wrong = judgement.violation(*level);
        assert!(wrong.is_none_or(|anomaly| anomaly.name.violates(*level)), "{level}: {}", told());
        for (weaker, other) in judgement.findings.iter().filter(|(weaker, _)| level.implies(**weaker)) {
            let is_monotone = match finding {
                Finding::Holds => *other == Finding::Holds,
                Finding::Undecided { .. } => !matches!(other, Finding::Violated { .. }),
                Finding::Violated { .. } => true,
            };
            assert!(is_monotone, "{level} and {weaker}: {}", told());
        }
    }
}

/// All by clients of their own, at the same time.
fn concurrent(operations: &[&[Micro]]) -> History {
    let transactions = (1..).zip(operations).map(|(id, operations)| Transaction {
        id,
        client: id,
        invoke: 0,
        complete: Some(9),
        outcome: Outcome::Ok,
        snapshot: None,
        commit: None,
        historic: false,
        initial: false,
        operations: operations.to_vec(),
    });
    History { transactions: transactions.collect(), timed: true, ..History::default() }
}

/// The levels that a history is impossible under, by definition and by the judge.
#[track_caller]
fn impossible(history: &History, levels: &[Level]) {
    let defined: Vec<Level> =
        Level::ALL.into_iter().filter(|level| is_possible(history, *level) == Some(false)).collect();
    let judgement = judge(history, &Options::default());
    let found: Vec<Level> = Level::ALL.into_iter().filter(|level| judgement.violation(*level).is_some()).collect();
    assert_eq!((defined.as_slice(), found.as_slice()), (levels, levels), "{judgement:#?}");
}

#[test]
fn a_predicate_read_that_misses_half_of_a_transaction_is_fractured() {
    let w = |key, value| Micro::Write { key, value: Some(value) };
    let r = |key, value| Micro::Read { key, value };
    let positive = |rows: &[(u64, i64)]| Micro::ReadRows { predicate: Predicate::Greater(0), rows: rows.to_vec() };
    let unbothered = [Level::ReadCommitted, Level::CursorStability, Level::RepeatableRead];
    let others: Vec<Level> = Level::ALL.into_iter().filter(|level| !unbothered.contains(level)).collect();
    impossible(&concurrent(&[&[w(1, 1), w(2, 2)], &[positive(&[(1, 1)])]]), &others);
    // The row that was not found was one that no longer matched, and who made it so wrote a row that was not there.
    let between: [&[Micro]; 3] =
        [&[w(1, 1), w(3, 3)], &[r(1, Some(1)), w(1, -1), w(2, 2)], &[r(3, Some(3)), r(2, None), positive(&[(3, 3)])]];
    impossible(&concurrent(&between), &others);
}
