//! The same seed plays the same universe: alone, again, and within sweeps of one or two at a time.

use std::path::PathBuf;

use scenarios::{FaultsMode, Overrides, Scenario, expand};
use sim::guided;
use sim::report::FAULTS;
use sim::sweep::{Options, Shard, Summary, sweep};
use sim::{play, play_twice};

fn run_sweep(seeds: std::ops::Range<u64>, jobs: usize) -> Summary {
    let options = Options {
        seeds,
        shard: Shard::WHOLE,
        jobs,
        time_limit: None,
        overrides: Overrides::default(),
        failures: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("determinism"),
        corpus: None,
        recheck: 0,
        progress: false,
    };
    sweep(&options).unwrap()
}

#[test]
fn a_seed_has_one_digest_alone_and_in_sweeps() {
    let sweeps = [run_sweep(0..12, 1), run_sweep(0..12, 2), run_sweep(0..12, 2)];
    for seed in 0..12 {
        let alone = play(&Scenario::draw(seed, &Overrides::default()));
        for sweep in &sweeps {
            assert_eq!(sweep.digests[&seed], alone.digest, "seed {seed}");
        }
    }
    assert!(sweeps.iter().all(|sweep| sweep.digest == sweeps[0].digest && sweep.counts == sweeps[0].counts));
}

#[test]
fn the_bytes_of_a_seed_are_its_universe() {
    for seed in 0..3 {
        let (scenario, report) = guided::play(&expand(seed), &Overrides::default());
        let drawn = Scenario::draw(seed, &Overrides::default());
        assert_eq!((&scenario, report.digest), (&drawn, play(&drawn).digest));
    }
}

/// A kind that is counted under a name that nobody lists would never be missed.
#[test]
fn every_fault_that_fires_is_listed() {
    let faults = run_sweep(100..180, 2).counts.faults;
    for kind in faults.keys() {
        assert!(FAULTS.contains(&kind.as_str()), "{kind} is not listed");
    }
    assert!(faults.len() > FAULTS.len() * 3 / 4, "only {faults:?}");
}

#[test]
fn ten_runs_are_one() {
    let scenario = Scenario::draw(5, &Overrides::default());
    let first = play(&scenario);
    for _ in 0..9 {
        let again = play(&scenario);
        assert_eq!((&again.digest, &again.counts, &again.outcome), (&first.digest, &first.counts, &first.outcome));
    }
}

/// The digest covers what happens, or equal digests would mean nothing.
#[test]
fn different_universes_have_different_digests() {
    let digest = |scenario: &Scenario| play(scenario).digest;
    let scenario = Scenario::draw(5, &Overrides::default());
    let mut slower = scenario.clone();
    slower.network.latency.mean_us += 1;
    assert_ne!(digest(&scenario), digest(&slower), "one microsecond of latency");
    let mut fewer = scenario.clone();
    fewer.clients[0].steps.pop();
    assert_ne!(digest(&scenario), digest(&fewer), "one operation less");
}

#[test]
fn playing_twice_agrees_with_playing_once() {
    let overrides = Overrides { faults: Some(FaultsMode::Full), ..Overrides::default() };
    let scenario = Scenario::draw(77, &overrides);
    let (once, twice) = (play(&scenario), play_twice(&scenario));
    assert_eq!((once.outcome, once.digest), (twice.outcome, twice.digest));
}
