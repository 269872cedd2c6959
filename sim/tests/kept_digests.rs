//! Digests of some seeds, kept in the repository: they are the same in debug and release, on every machine, and change only
//! with a commit that means it. `UPDATE_GOLDENFILES=1 cargo test -p sim --test kept_digests` writes them anew.

#![expect(clippy::disallowed_methods, reason = "tests files of the host")]

use std::fmt::Write as _;
use std::path::Path;

use scenarios::{Overrides, Scenario};

/// How many seeds, from 0.
const SEEDS: u64 = 20;

#[test]
fn the_digests_are_those_that_were_kept() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept_digests.txt");
    let mut found = String::new();
    for seed in 0..SEEDS {
        let report = sim::play(&Scenario::draw(seed, &Overrides::default()));
        assert!(report.outcome.is_pass(), "seed {seed}: {:?}", report.outcome);
        writeln!(found, "{seed} {} {}", report.digest, report.counts.events).unwrap();
    }
    if std::env::var("UPDATE_GOLDENFILES").is_ok() {
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, kept, "seed, digest and number of events; see the head of this test if this is meant");
}
