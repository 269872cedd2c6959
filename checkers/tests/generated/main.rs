//! The judges against histories that are correct by construction and against mutated ones; the definitions say which of
//! these are illegal.

#[path = "../definitions/adya.rs"]
mod adya;
#[path = "../definitions/axioms.rs"]
mod axioms;
#[path = "../definitions/oracle.rs"]
mod oracle;
#[path = "../definitions/serial.rs"]
mod serial;
#[path = "../definitions/versions.rs"]
mod versions;

use checkers::generate::{Generated, Mutation, Options, Random, generate, mutate};
use checkers::transactions::{self, Finding, Level, judge};
use checkers::versions as positions;

use crate::oracle::is_possible;

/// A history that is small enough to try everything.
fn small(level: Level, seed: u64) -> Generated {
    let options = Options::varied(level, seed);
    generate(&Options { transactions: 3 + seed as usize % 4, operations: (1, 3), keys: 2, ..options }, seed)
}

fn black_box(generated: &Generated, level: Level) -> Finding {
    let options = transactions::Options { levels: vec![level], positions: false, ..Default::default() };
    judge(&generated.history, &options).findings.remove(&level).unwrap()
}

#[test]
fn generated_histories_are_possible_by_definition() {
    for level in Level::ALL {
        for seed in 0..300 {
            let generated = small(level, seed);
            let possible = is_possible(&generated.history, level);
            assert_ne!(possible, Some(false), "{level}, seed {seed}: {:#?}", generated.history.transactions);
        }
    }
}

#[test]
fn no_correct_history_is_rejected() {
    for level in Level::ALL {
        for seed in 0..300 {
            let generated = generate(&Options::varied(level, seed), seed);
            let options = transactions::Options { levels: vec![level], positions: false, ..Default::default() };
            let judgement = judge(&generated.history, &options);
            let rejected = judgement.findings.values().any(|finding| matches!(finding, Finding::Violated { .. }));
            assert!(!rejected, "{level}, seed {seed}: {judgement:#?}\n{:#?}", generated.history.transactions);
        }
    }
}

/// Where the definition says that the data alone are impossible, both judges say so; and the one without positions does
/// not reject what is fine by them, for they are one way in which it can have come about.
#[test]
fn mutated_histories_are_found_without_and_with_positions() {
    let (mut bad, mut without, mut decided, mut with) = (0, 0, 0, 0);
    for level in Level::ALL {
        for mutation in Mutation::ALL {
            for seed in 0..40 {
                let mut generated = small(level, seed);
                let Some(done) = mutate(&mut generated, mutation, &mut Random::new(seed)) else { continue };
                let what = || format!("{level}, seed {seed}: {}\n{:#?}", done.what, generated.history.transactions);
                let illegal = is_possible(&generated.history, level) == Some(false);
                let rejected = matches!(black_box(&generated, level), Finding::Violated { .. });
                assert!(illegal || !rejected, "{}", what());
                let by_position = positions::Options::of(level)
                    .map(|options| positions::check(&generated.history.transactions, options).violation().is_some());
                assert!(by_position != Some(false) || !rejected, "{}", what());
                if illegal {
                    bad += 1;
                    without += u32::from(rejected);
                    decided += u32::from(by_position.is_some());
                    with += u32::from(by_position == Some(true));
                }
            }
        }
    }
    assert!(bad > 200 && without * 100 > bad * 95, "{without} of {bad} found without positions");
    assert!(with == decided, "{with} of {decided} found with positions");
}
