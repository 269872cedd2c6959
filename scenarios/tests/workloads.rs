//! The workloads on a model of the database: a right one passes, and each way to be wrong is found.

mod model;

use model::{Bug, Run, run};
use scenarios::{FaultsMode, Overrides, Scenario, Verdict, WorkloadKind, judge};

fn scenario(seed: u64, kind: WorkloadKind) -> Scenario {
    Scenario::draw(seed, &Overrides { scenario: Some(kind), faults: Some(FaultsMode::None), ..Overrides::default() })
}

/// The failures that judging a run gives, as `checker: anomaly`.
fn failures(scenario: &Scenario, run: &Run) -> Vec<String> {
    let mut failures = Vec::new();
    for result in judge(scenario, &run.recorder, Some(&run.final_read)) {
        match result.verdict {
            Verdict::Pass => {}
            Verdict::Fail { anomaly, .. } => failures.push(format!("{}: {anomaly}", result.checker)),
            Verdict::GaveUp { reason } => panic!("{} gave up: {reason}", result.checker),
        }
    }
    failures
}

#[test]
fn a_right_database_passes() {
    for kind in WorkloadKind::ALL {
        for seed in 0..30 {
            let scenario = scenario(seed, kind);
            // Some runs lose answers, some are stopped in their middle.
            let lossy = [0, 5, 30][seed as usize % 3];
            let until_us = if seed % 2 == 0 { u64::MAX } else { 3_000_000 };
            let run = run(&scenario, None, lossy, until_us);
            let stats = run.recorder.stats();
            assert_eq!(failures(&scenario, &run), Vec::<String>::new(), "{kind}, seed {seed}: {stats:?}");
            for result in judge(&scenario, &run.recorder, Some(&run.final_read)) {
                assert!(result.comparisons > 0, "{kind}, seed {seed}: {} compared nothing", result.checker);
            }
            assert!(stats.ok > 5 && stats.commits > 1, "{kind}, seed {seed}: {stats:?}");
            assert!(lossy < 30 || stats.unknown > 0, "{kind}, seed {seed}: {stats:?}");
        }
    }
}

#[test]
fn every_operation_is_performed() {
    for kind in WorkloadKind::ALL {
        let scenario = scenario(3, kind);
        let run = run(&scenario, None, 0, u64::MAX);
        let stats = run.recorder.stats();
        // The setup and the final read are two more, and conflicts are repeated.
        assert!(stats.ok + stats.failed >= scenario.operations() as u64 + 2, "{stats:?}");
        assert!(stats.ok * 10 >= scenario.operations() as u64 * 7, "{kind}: {stats:?}");
        assert_eq!(stats.unknown, 0);
        for step in scenario.clients.iter().flat_map(|client| &client.steps) {
            assert!(stats.by_operation.contains_key(step.operation.name()), "{stats:?}");
        }
    }
}

#[test]
fn equal_scenarios_run_alike() {
    let scenario = scenario(11, WorkloadKind::Bank);
    let (one, two) = (run(&scenario, None, 5, u64::MAX), run(&scenario, None, 5, u64::MAX));
    assert_eq!(one.final_read, two.final_read);
    assert_eq!(one.recorder.stats(), two.recorder.stats());
}

/// Asserts that a bug is found within some seeds, by one of the checkers.
fn finds(bug: Bug, kind: WorkloadKind, checkers: &[&str]) {
    let mut found = Vec::new();
    for seed in 0..20 {
        let scenario = scenario(seed, kind);
        found.extend(failures(&scenario, &run(&scenario, Some(bug), 0, u64::MAX)));
        if found.iter().any(|failure| checkers.iter().any(|checker| failure.starts_with(checker))) {
            return;
        }
    }
    panic!("{bug:?} on {kind} was not found by any of {checkers:?}, but: {found:?}");
}
