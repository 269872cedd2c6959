//! The judge of reported positions against histories that are correct by construction, against ones that are not, and
//! against a judge that knows no positions.

use std::sync::Arc;

use checkers::Verdict;
use checkers::generate::{Event, Mutation, Options, Random, Run, generate, mutate};
use checkers::history::Transaction;
use checkers::transactions::{self, Finding, Level, judge};
use checkers::versions::{self, Checker};

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

#[test]
fn a_stream_is_judged_as_the_whole() {
    for level in LEVELS {
        let (mut found, mut all) = (0, 0);
        for mutation in Mutation::ALL {
            for seed in 0..300 {
                let mut generated = generate(&Options::varied(level, seed), seed);
                let Some(done) = mutate(&mut generated, mutation, &mut Random::new(seed)) else { continue };
                let transactions = &generated.history.transactions;
                let (whole, online) = (batch(level, transactions), stream(level, transactions));
                let agree = whole.violation().is_some() == online.violation().is_some();
                assert!(agree, "{level}, seed {seed}: {}\n{whole:#?}\n{online:#?}", done.what);
                all += 1;
                found += u32::from(!whole.is_pass());
            }
        }
        assert!(all > 2000 && found * 10 > all * 8, "{level}: {found} of {all}");
    }
}

/// What is kept does not grow with the length of the run.
#[test]
fn memory_is_bounded_by_keys_and_concurrency() {
    let options = Options {
        clients: 10,
        keys: 20,
        kinds: (1, 0, 0),
        unknown: 0,
        ..Options::new(Level::StrongSnapshotIsolation, 20_000)
    };
    let mut checker = Checker::new(versions::Options { remember: 100, ..versions::Options::default() });
    for event in Run::new(&options, 7) {
        match event {
            Event::Invoked { id, time } => checker.invoked(id, time),
            Event::Over(transaction) => checker.push(Arc::new(transaction)),
        }
        let kept = checker.kept();
        assert!(kept.running <= 10 && kept.rows <= 20 && kept.waiting < 100 && kept.unknown == 0, "{kept:?}");
    }
    assert!(checker.finish().is_pass());
}

/// The judge that looks at data alone never rejects what is fine by the positions, for they are one way in which it can
/// have come about. What it does not see while positions do are reads that another order of commits explains.
#[test]
fn the_judge_without_positions_agrees() {
    let level = Level::StrongSnapshotIsolation;
    let options = transactions::Options { levels: vec![level], positions: false, ..transactions::Options::default() };
    let (mut both, mut positions) = (0, 0);
    for mutation in [None].into_iter().chain(Mutation::ALL.map(Some)) {
        for seed in 0..150 {
            let mut generated = generate(&Options::varied(level, seed), seed);
            if let Some(mutation) = mutation
                && mutate(&mut generated, mutation, &mut Random::new(seed)).is_none()
            {
                continue;
            }
            let known = batch(level, &generated.history.transactions).violation().is_some();
            let judgement = judge(&generated.history, &options);
            let blind = matches!(judgement.findings[&level], Finding::Violated { .. });
            assert!(known || !blind, "{mutation:?}, seed {seed}: {judgement:#?}");
            if known && !mutation.is_some_and(Mutation::only_positions) {
                positions += 1;
                both += u32::from(blind);
            }
        }
    }
    assert!(positions > 500 && both * 10 > positions * 8, "{both} of {positions}");
}
