//! The search for linearizability against brute force and stateright, over many small histories.

mod histories;
mod soundness;

#[test]
fn agrees_with_brute_force_and_with_stateright() {
    let mut tally = soundness::Tally::default();
    for seed in 0..100_000 {
        soundness::compare(seed, false, &mut tally);
    }
    assert!(tally.legal > 20_000 && tally.legal < 80_000, "{tally:?}");
    assert!(tally.crashed > 20_000, "{tally:?}");
}

/// Longer histories, where brute force is too slow: registers with unique writes, without a search and with one.
#[test]
fn registers_with_unique_writes_need_no_search() {
    use checkers::linearizability::{Hints, Options, decide};
    use histories::{Asked, Dice, Unique, history};

    let (mut special, mut legal) = (0, 0);
    for seed in 0..6_000 {
        let mut dice = Dice::new(1_000_000 + seed);
        let model = Unique::initial(&mut dice);
        let operations = history(&model, 30, &mut dice);
        let verdict = |special| {
            let options = Options { special, ..Options::default() };
            decide::<Unique, Unique>(&model, &operations, &options)
        };
        let (with, without) = (verdict(true), verdict(false));
        assert_eq!(with.is_linearizable(), without.is_linearizable(), "history {seed}: {operations:#?}");
        if let (Some(with), Some(without)) = (with.illegal(), without.illegal()) {
            assert_eq!(with.stuck, without.stuck, "history {seed}: {operations:#?}");
        }
        let writes =
            operations.iter().filter(|one| Unique::role(&one.input, None) == checkers::linearizability::Role::Write);
        special += u64::from(
            writes.filter(|one| one.input == checkers::linearizability::cas_register::Op::Write(0)).count() < 2,
        );
        legal += u64::from(with.is_linearizable());
    }
    assert!(special > 3_000 && legal > 1_000 && legal < 5_000, "{special} {legal}");
}
