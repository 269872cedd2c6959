//! Whole scenarios as a fuzz target: any bytes are a universe, and every universe must pass.
//!
//! `cargo test` plays a few. A coverage-guided fuzzer plays as many as it likes, and keeps the bytes that reached new code:
//! `RUSTFLAGS="--cfg madsim" cargo +nightly bolero test -p sim --sanitizer NONE universe`. It needs
//! `cargo install cargo-bolero` and a nightly toolchain for libFuzzer; it replaces the flags of `.cargo/config.toml`, so they
//! are said again. Its corpus directory, `sim/tests/__fuzz__/universe/corpus`, can be given to `sim sweep --guided --corpus`,
//! and the other way round. A failure is saved as a trace.

use std::path::Path;

use scenarios::{Overrides, expand};
use sim::guided;
use sim::trace::Trace;
use sim::verdict::Verdict;

/// Plays the universe of some bytes, which must pass. That nothing was tested is no failure here: a fuzzer may well
/// find scenarios without any work in them.
fn plays(bytes: &[u8]) {
    let overrides = Overrides { ops: Some(60), ..Overrides::default() };
    let (scenario, report) = guided::play(bytes, &overrides);
    if !matches!(report.outcome, Verdict::Pass | Verdict::Vacuous(_)) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}.json", report.digest));
        Trace::new(scenario, report.digest, report.outcome.clone()).save(&path).unwrap();
        panic!("{} | replay: cargo run -p sim -- replay {}", report.outcome.line(report.seed), path.display());
    }
}

#[test]
fn universe() {
    bolero::check!().with_iterations(60).for_each(plays);
}

#[test]
fn the_bytes_of_a_seed_are_its_universe() {
    for seed in 0..3 {
        let (scenario, report) = guided::play(&expand(seed), &Overrides::default());
        let drawn = scenarios::Scenario::draw(seed, &Overrides::default());
        assert_eq!((&scenario, report.digest), (&drawn, sim::play(&drawn).digest));
    }
}
