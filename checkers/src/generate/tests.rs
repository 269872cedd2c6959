use super::*;
use crate::history::validate;

#[test]
fn histories_are_well_formed_and_depend_on_the_seed_alone() {
    for level in Level::ALL {
        for seed in 0..60 {
            let options = Options::varied(level, seed);
            let generated = generate(&options, seed);
            assert_eq!(generated.history.transactions.len(), options.transactions);
            validate(&generated.history.transactions).unwrap();
            assert_eq!(generated.history, generate(&options, seed).history);
        }
        let options = Options::new(level, 30);
        assert_ne!(generate(&options, 1).history, generate(&options, 2).history);
    }
}

/// Each level shows what it allows, and everything happens that a judge must cope with.
#[test]
fn histories_show_what_there_is_to_see() {
    let all: Vec<Generated> =
        (0..200).map(|seed| generate(&Options::varied(Level::SnapshotIsolation, seed), seed)).collect();
    let any = |wanted: &dyn Fn(&Generated, &Transaction) -> bool| {
        let count = all.iter().filter(|one| one.history.transactions.iter().any(|t| wanted(one, t))).count();
        assert!(count > 10, "{count} of {}", all.len());
    };
    let committed = |one: &Generated, t: &Transaction| one.commits[t.id as usize].is_some();
    any(&|one, t| t.outcome == Outcome::Unknown && committed(one, t));
    any(&|one, t| t.outcome == Outcome::Unknown && !committed(one, t) && t.writes());
    any(&|_, t| t.outcome == Outcome::Failed && t.writes());
    any(&|_, t| t.complete.is_none());
    any(&|_, t| t.operations.iter().any(|m| matches!(m, Micro::ReadRows { rows, .. } if !rows.is_empty())));
    any(&|_, t| t.operations.iter().any(|m| matches!(m, Micro::ReadList { elements, .. } if elements.len() > 2)));
    any(&|_, t| t.operations.iter().any(|m| matches!(m, Micro::Write { value: None, .. })));
    // Somebody reads what a writer of unknown outcome wrote.
    any(&|one, t| {
        t.operations.iter().any(|m| match m {
            Micro::Read { key, value: Some(value) } => one.history.transactions.iter().any(|other| {
                let write = Micro::Write { key: *key, value: Some(*value) };
                other.outcome == Outcome::Unknown && other.id != t.id && other.operations.contains(&write)
            }),
            _ => false,
        })
    });
}

#[test]
fn every_mutation_finds_a_place_and_changes_something() {
    for mutation in Mutation::ALL {
        let mut done = 0;
        for seed in 0..50 {
            let options = Options { aborted: 200, ..Options::new(Level::StrongSnapshotIsolation, 40) };
            let before = generate(&options, seed);
            let mut after = before.clone();
            if let Some(change) = mutate(&mut after, mutation, &mut Random::new(seed)) {
                assert_eq!(change.mutation, mutation);
                assert!(!change.transactions.is_empty() && !change.what.is_empty());
                assert_ne!(after.history, before.history, "{change:?}");
                validate(&after.history.transactions).unwrap();
                done += 1;
            } else {
                assert_eq!(after.history, before.history);
            }
        }
        assert!(done > 10, "{mutation:?}: {done}");
    }
}
