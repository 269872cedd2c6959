//! Compares the search for linearizability with brute force and stateright's tester, over as many small random histories
//! as its argument says (by default a million), under every pruning on and off.

#[path = "../tests/linearizability/histories.rs"]
mod histories;
#[path = "../tests/linearizability/soundness.rs"]
mod soundness;

#[expect(clippy::print_stdout, reason = "a program that says what it found")]
fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let mut tally = soundness::Tally::default();
    for seed in 0..count {
        soundness::compare(seed, true, &mut tally);
    }
    println!("no mismatch: {tally:?}");
}
