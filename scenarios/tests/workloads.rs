//! The workloads on a model of the database: a right one passes, and each way to be wrong is found.

mod model;

use model::{Backend, Bug, Database, Run, SqlBug, SqlDatabase, run};
use scenarios::{CheckResult, FaultsMode, Overrides, Scenario, SetupError, Stats, Verdict, WorkloadKind, judge};

fn scenario(seed: u64, kind: WorkloadKind) -> Scenario {
    Scenario::draw(seed, &Overrides { scenario: Some(kind), faults: Some(FaultsMode::None), ..Overrides::default() })
}

/// The failures that judging a run gives, as `checker: anomaly`.
fn failures(scenario: &Scenario, run: Result<Run, SetupError>) -> Vec<String> {
    let mut failures = Vec::new();
    let run = match run {
        Ok(run) => run,
        Err(error) => return vec![format!("answers: {error}")],
    };
    for result in judge(scenario, &run.recorder, Some(&run.final_read)) {
        match result.verdict {
            Verdict::Pass => {}
            Verdict::Fail { anomaly, .. } => failures.push(format!("{}: {anomaly}", result.checker)),
            Verdict::GaveUp { reason } => panic!("{} gave up: {reason}", result.checker),
        }
    }
    failures
}

/// The workloads whose few statements the model understands.
const MODELLED: [WorkloadKind; 3] = [WorkloadKind::Register, WorkloadKind::Bank, WorkloadKind::Append];

/// Runs workloads and asserts that they pass, and that passing means something.
fn passes<B: Backend + 'static>(kinds: &[WorkloadKind], seeds: u64, database: impl Fn() -> B) {
    for &kind in kinds {
        let mut total = Stats::default();
        for seed in 0..seeds {
            let scenario = scenario(seed, kind);
            // Some runs lose answers, some are stopped in their middle.
            let lossy = [0, 5, 30][seed as usize % 3];
            let until_us = if seed % 2 == 0 { u64::MAX } else { 3_000_000 };
            let run = run(&scenario, database(), lossy, until_us).unwrap();
            let stats = run.recorder.stats();
            for CheckResult { checker, verdict, comparisons } in judge(&scenario, &run.recorder, Some(&run.final_read))
            {
                match verdict {
                    Verdict::Pass => assert!(comparisons > 0, "{kind}, seed {seed}: {checker}"),
                    verdict => panic!("{kind}, seed {seed}, {stats:?}: {checker}: {verdict:#?}"),
                }
            }
            let commits = stats.commits > 1 || kind == WorkloadKind::Sql;
            assert!(stats.ok > 5 && commits, "{kind}, seed {seed}: {stats:?}");
            total.merge(&stats);
        }
        // Who runs scripts finds out, or goes on as if it did not matter.
        assert!(kind == WorkloadKind::Sql || total.unknown * 2 > seeds, "{kind}: {total:?}");
        // A statement that is its own transaction runs at one moment here, and meets no other.
        let alone = matches!(kind, WorkloadKind::Register | WorkloadKind::Index | WorkloadKind::Sql);
        assert!(alone || total.conflicts > 0, "{kind}: {total:?}");
        // A script does not say what of it was committed where.
        assert!(kind == WorkloadKind::Sql || total.commits * 8 > total.ok, "{kind}: {total:?}");
    }
}

#[test]
fn a_right_model_passes() {
    passes(&MODELLED, 60, || Database::new(None));
}

#[test]
fn the_engines_sql_passes() {
    passes(&WorkloadKind::ALL, 12, SqlDatabase::default);
}

#[test]
fn every_operation_is_performed() {
    for kind in WorkloadKind::ALL {
        let scenario = scenario(3, kind);
        let run = run(&scenario, SqlDatabase::default(), 0, u64::MAX).unwrap();
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
    let [one, two] = [(); 2].map(|()| run(&scenario, Database::new(None), 5, u64::MAX).unwrap());
    assert_eq!(one.final_read, two.final_read);
    assert_eq!(one.recorder.stats(), two.recorder.stats());
}

/// Every bug that a workload can show, with a checker that must find it.
#[test]
fn bugs_of_the_database_are_found() {
    for (kind, bug, checker) in [
        (WorkloadKind::Register, Bug::StaleRead, "linearizability: not-linearizable"),
        (WorkloadKind::Register, Bug::LyingSnapshot, "snapshot: stale-read"),
        (WorkloadKind::Register, Bug::LostCommit, "linearizability: not-linearizable"),
        (WorkloadKind::Register, Bug::LostCommit, "durability: stale-read"),
        (WorkloadKind::Register, Bug::ForgottenTombstone, "linearizability: not-linearizable"),
        (WorkloadKind::Register, Bug::MissingRow, "linearizability: not-linearizable"),
        (WorkloadKind::Bank, Bug::StaleRead, "snapshot: stale-snapshot"),
        (WorkloadKind::Bank, Bug::LyingSnapshot, "snapshot: stale-read"),
        (WorkloadKind::Bank, Bug::LostUpdate, "bank: wrong-total"),
        (WorkloadKind::Bank, Bug::LostUpdate, "snapshot: lost-update"),
        (WorkloadKind::Bank, Bug::LostCommit, "snapshot: stale-read"),
        (WorkloadKind::Bank, Bug::LostCommit, "durability: stale-read"),
        (WorkloadKind::Bank, Bug::FailedCommit, "snapshot: G1a"),
        (WorkloadKind::Bank, Bug::TornCommit, "bank: wrong-total"),
        (WorkloadKind::Bank, Bug::ForgottenTombstone, "bank: wrong-total"),
        (WorkloadKind::Bank, Bug::MissingRow, "answers: impossible-answer"),
        (WorkloadKind::Append, Bug::StaleRead, "append: G-single-realtime"),
        (WorkloadKind::Append, Bug::LostUpdate, "append: incompatible-order"),
        (WorkloadKind::Append, Bug::DoubleAppend, "append: duplicate-elements"),
        (WorkloadKind::Append, Bug::FailedCommit, "append: dirty-update"),
        (WorkloadKind::Append, Bug::StaleRead, "snapshot: stale-snapshot"),
        (WorkloadKind::Append, Bug::LyingSnapshot, "snapshot: lost-append"),
        (WorkloadKind::Append, Bug::LostUpdate, "snapshot: lost-update"),
        (WorkloadKind::Append, Bug::DoubleAppend, "snapshot: duplicate-element"),
        (WorkloadKind::Append, Bug::LostCommit, "durability: lost-append"),
        (WorkloadKind::Append, Bug::FailedCommit, "snapshot: G1a"),
        (WorkloadKind::Append, Bug::MissingRow, "answers: impossible-answer"),
    ] {
        let found = (0..20).flat_map(|seed| {
            let scenario = scenario(seed, kind);
            failures(&scenario, run(&scenario, Database::new(Some(bug)), 0, u64::MAX))
        });
        let found: Vec<String> = found.collect();
        assert!(found.iter().any(|failure| failure == checker), "{kind}: {bug:?} shows as {found:?}");
    }
}

/// The same for what takes the engine's SQL.
#[test]
fn bugs_below_the_sql_are_found() {
    for (kind, bug, checkers) in [
        (WorkloadKind::WriteSkew, SqlBug::ReadsNotValidated, &["isolation: G2-item", "snapshot: order-mismatch"][..]),
        (WorkloadKind::WriteSkew, SqlBug::NothingValidated, &["snapshot: lost-update"]),
        (WorkloadKind::LongFork, SqlBug::OldSnapshot, &["snapshot: stale-snapshot"]),
        (WorkloadKind::TimeTravel, SqlBug::LostCommit, &["snapshot: stale-read"]),
        (WorkloadKind::Unique, SqlBug::NothingValidated, &["rules: duplicate-name"]),
        (WorkloadKind::ForeignKey, SqlBug::ReadsNotValidated, &["rules: orphan"]),
        (WorkloadKind::Index, SqlBug::TornCommit, &["rules: index-disagrees"]),
        (WorkloadKind::Ddl, SqlBug::ReadsNotValidated, &["rules: schema-disagrees"]),
        (WorkloadKind::Sql, SqlBug::LostCommit, &["sql: other-answer"]),
        (WorkloadKind::Sql, SqlBug::TornCommit, &["sql: other-answer", "sql: other-table"]),
    ] {
        let found = (0..40).flat_map(|seed| {
            let scenario = scenario(seed, kind);
            failures(&scenario, run(&scenario, SqlDatabase::new(Some(bug)), 0, u64::MAX))
        });
        let found: Vec<String> = found.collect();
        for checker in checkers {
            assert!(found.iter().any(|failure| failure == checker), "{kind}: {bug:?} shows as {found:?}");
        }
    }
}
