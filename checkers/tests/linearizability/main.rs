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
