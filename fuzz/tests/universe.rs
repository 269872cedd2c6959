//! Whole scenarios as a fuzz target: any bytes are a universe, and every universe must pass.
//!
//! The corpus of a fuzzer, `fuzz/tests/__fuzz__/universe/corpus`, can be given to `sim sweep --guided --corpus`, and the
//! other way round. A failure is saved as a trace.

use std::path::Path;

use scenarios::Overrides;
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
