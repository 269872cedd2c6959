//! The judge of reported positions against histories that are correct by construction, against ones that are not, and
//! against a judge that knows no positions.

use std::sync::Arc;

use checkers::generate::{Generated, Mutation, Options, Random, generate, mutate};
use checkers::history::{Micro, Outcome, Transaction};
use checkers::transactions::Level;
use checkers::versions::{self, Checker};
use checkers::{Verdict, append};

/// The levels that positions decide.
const LEVELS: [Level; 6] = [
    Level::SnapshotIsolation,
    Level::StrongSessionSnapshotIsolation,
    Level::StrongSnapshotIsolation,
    Level::Serializable,
    Level::StrongSessionSerializable,
    Level::StrictSerializable,
];

fn batch(level: Level, transactions: &[Transaction]) -> Verdict {
    versions::check(transactions, versions::Options::of(level).unwrap())
}

/// Tells of everything when it happened, as a run does.
fn stream(level: Level, transactions: &[Transaction]) -> Verdict {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (at, transaction) in transactions.iter().enumerate() {
        events.push((transaction.invoke, false, at));
        events.push((transaction.complete.unwrap_or(transaction.invoke), true, at));
    }
    events.sort_unstable();
    let mut checker = Checker::new(versions::Options::of(level).unwrap());
    for (time, over, at) in events {
        if over {
            checker.push(Arc::new(transactions[at].clone()));
        } else {
            checker.invoked(transactions[at].id, time);
        }
    }
    checker.finish()
}

#[test]
fn correct_histories_pass_at_once_and_as_a_stream() {
    for level in LEVELS {
        for seed in 0..3000 {
            let generated = generate(&Options::varied(level, seed), seed);
            let transactions = &generated.history.transactions;
            let verdict = batch(level, transactions);
            assert!(verdict.is_pass(), "{level}, seed {seed}: {verdict:#?}");
            let verdict = stream(level, transactions);
            assert!(verdict.is_pass(), "{level}, seed {seed}: {verdict:#?}");
        }
    }
}

/// A mutated history, if there is a place for the mutation.
fn mutated(level: Level, mutation: Mutation, seed: u64, options: Options) -> Option<(Generated, String)> {
    let mut generated = generate(&Options { level, ..options }, seed);
    let done = mutate(&mut generated, mutation, &mut Random::new(seed))?;
    Some((generated, done.what))
}

#[test]
fn mutated_histories_are_found() {
    for level in LEVELS {
        for mutation in Mutation::ALL {
            let (mut found, mut all) = (0, 0);
            for seed in 0..400 {
                let Some((generated, what)) = mutated(level, mutation, seed, Options::varied(level, seed)) else {
                    continue;
                };
                let verdict = batch(level, &generated.history.transactions);
                let online = stream(level, &generated.history.transactions);
                assert_eq!(
                    verdict.is_pass(),
                    online.is_pass(),
                    "{level}, seed {seed}: {what}\n{verdict:?}\n{online:?}"
                );
                all += 1;
                found += u32::from(!verdict.is_pass());
            }
            println!("{level} {mutation:?}: {found} of {all}");
        }
    }
}
