//! Hands what clients saw to the checkers that fit the workload.

use crate::recorder::Recorder;
use crate::scenario::Scenario;
use crate::scripts;
use crate::work::{Isolation, Workload};
use crate::workload::{FinalRead, first_value};
use checkers::history::{History, Operation};
use checkers::linearizability::register::{Op, Register, Ret};
use checkers::transactions::{Level, Options};
use checkers::{Violation, bank, durability, linearizability, transactions, versions};

/// How many configurations the search for a legal order of one row's operations may visit.
const LINEARIZABILITY_BUDGET: u64 = 2_000_000;

/// The same for the question whether operations that failed have happened nevertheless, which is asked once for each.
const SUSPECTS_BUDGET: u64 = 20_000;

/// How many impossible answers are shown.
const SHOWN: usize = 10;

/// What one checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The checker's name.
    pub checker: &'static str,
    /// Its verdict.
    pub verdict: Verdict,
    /// How many comparisons it made: a checker that made none has not tested anything.
    pub comparisons: u64,
}

/// A checker's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing wrong was found.
    Pass,
    /// A rule is broken.
    Fail {
        /// What is broken, in the field's terms.
        anomaly: String,
        /// What shows it, in lines; the first says what happened.
        evidence: Vec<String>,
    },
    /// The checker stopped before it knew.
    GaveUp {
        /// Why.
        reason: String,
    },
}

impl CheckResult {
    fn new(checker: &'static str, verdict: checkers::Verdict) -> Self {
        match verdict {
            checkers::Verdict::Pass { comparisons } => Self { checker, verdict: Verdict::Pass, comparisons },
            checkers::Verdict::Fail(Violation { anomaly, message, mut evidence, .. }) => {
                evidence.insert(0, message);
                Self { checker, verdict: Verdict::Fail { anomaly, evidence }, comparisons: 1 }
            }
            checkers::Verdict::GaveUp { reason, comparisons } => {
                Self { checker, verdict: Verdict::GaveUp { reason }, comparisons }
            }
        }
    }
}

/// Judges a run: what all clients saw ([merged](Recorder::merge)), and what was there in the end.
pub fn judge(scenario: &Scenario, recorder: &Recorder, final_read: Option<&FinalRead>) -> Vec<CheckResult> {
    let history = History { transactions: recorder.history(), timed: true, ..History::default() };
    let mut results = vec![answers(recorder)];
    match scenario.workload {
        Workload::Register { .. } => results.push(CheckResult::new("linearizability", linearizable(recorder))),
        Workload::Bank { accounts, balance } => {
            let total = i64::from(accounts) * balance;
            results.push(CheckResult::new("bank", bank::check(&recorder.views(), total)));
        }
        Workload::Append { .. } => {
            let lists = level(&history, "append", Level::StrongSnapshotIsolation, false);
            results.push(CheckResult::new("append", lists));
        }
        Workload::WriteSkew { .. } | Workload::LongFork { .. } | Workload::TimeTravel { .. } | Workload::Ddl { .. } => {
            let demanded = demanded(&scenario.workload);
            results.push(CheckResult::new("isolation", level(&history, "isolation", demanded, true)));
        }
        Workload::Unique { .. } | Workload::ForeignKey { .. } | Workload::Index { .. } | Workload::Sql {} => {}
    }
    if matches!(
        scenario.workload,
        Workload::Unique { .. } | Workload::ForeignKey { .. } | Workload::Index { .. } | Workload::Ddl { .. }
    ) {
        results.push(rules(recorder));
    }
    if scenario.workload == (Workload::Sql {}) {
        results.push(CheckResult::new("sql", scripts::check(recorder, final_read)));
        return results;
    }
    let options = versions::Options::of(demanded(&scenario.workload)).expect("positions decide it");
    results.push(CheckResult::new("snapshot", versions::check(&history.transactions, options)));
    if let Some(FinalRead { snapshot, values, lists, tables: _ }) = final_read {
        results
            .push(CheckResult::new("durability", durability::check(&history.transactions, values, lists, *snapshot)));
    }
    results
}

/// The level that transactions must have.
fn demanded(workload: &Workload) -> Level {
    match workload {
        Workload::WriteSkew { isolation: Isolation::Serializable, .. } => Level::StrictSerializable,
        _ => Level::StrongSnapshotIsolation,
    }
}

/// Transactions had a level; with or without what the database says of commit positions.
fn level(history: &History, checker: &'static str, level: Level, positions: bool) -> checkers::Verdict {
    let options = Options { levels: vec![level], positions, ..Options::default() };
    transactions::judge(history, &options).verdict(checker, history, level)
}

/// The rules of the workload held.
fn rules(recorder: &Recorder) -> CheckResult {
    let verdict = match recorder.findings.first() {
        None => Verdict::Pass,
        Some(first) => {
            let alike = recorder.findings.iter().filter(|finding| finding.anomaly == first.anomaly);
            let evidence = alike.take(SHOWN).map(ToString::to_string).collect();
            Verdict::Fail { anomaly: first.anomaly.to_owned(), evidence }
        }
    };
    CheckResult { checker: "rules", verdict, comparisons: recorder.compared }
}

/// No client got an answer that no right database gives.
fn answers(recorder: &Recorder) -> CheckResult {
    let evidence: Vec<String> = recorder.surprises.iter().take(SHOWN).map(ToString::to_string).collect();
    let verdict = if evidence.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Fail { anomaly: "impossible-answer".to_owned(), evidence }
    };
    CheckResult { checker: "answers", verdict, comparisons: recorder.attempts.len() as u64 }
}

/// Names operations whose failure was a lie, if everything else is legal once those have happened. None of them could be left out.
fn suspects(recorder: &Recorder, row: u64, initial: &Register, operations: Vec<Operation<Op, Ret>>) -> Vec<String> {
    let seen = operations.len();
    let mut all = operations;
    all.extend(recorder.failed_on(row));
    let explained = |operations: &[_]| linearizability::check(initial, operations, SUSPECTS_BUDGET).is_pass();
    if all.len() == seen || !explained(&all) {
        return Vec::new();
    }
    for place in (seen..all.len()).rev() {
        let innocent = all.remove(place);
        if !explained(&all) {
            all.insert(place, innocent);
        }
    }
    let lies = all[seen..].iter().take(SHOWN);
    lies.map(|Operation { client, invoke, input, .. }| {
        format!(
            "all would be legal if client {client}'s {input:?}, invoked at {invoke}, had happened; it was told that it failed"
        )
    })
    .collect()
}

/// The operations on each row have an order that explains the answers and keeps to real time.
fn linearizable(recorder: &Recorder) -> checkers::Verdict {
    let (mut total, mut gave_up) = (0, None);
    for (key, operations) in recorder.registers() {
        let initial = Register(Some(first_value(key)));
        match linearizability::check(&initial, &operations, LINEARIZABILITY_BUDGET) {
            checkers::Verdict::Pass { comparisons } => total += comparisons,
            checkers::Verdict::Fail(mut violation) => {
                violation.message = format!("row {key}: {}", violation.message);
                violation.evidence.extend(suspects(recorder, key, &initial, operations));
                return checkers::Verdict::Fail(violation);
            }
            checkers::Verdict::GaveUp { reason, comparisons } => {
                total += comparisons;
                gave_up.get_or_insert(format!("row {key}: {reason}"));
            }
        }
    }
    match gave_up {
        Some(reason) => checkers::Verdict::GaveUp { reason, comparisons: total },
        None => checkers::Verdict::Pass { comparisons: total },
    }
}

#[cfg(test)]
mod tests {
    use checkers::history::{Outcome, Transaction};

    use super::*;
    use crate::recorder::Attempt;

    fn attempt(id: u64, outcome: Outcome, input: Op, output: Option<Ret>) -> Attempt {
        let transaction = Transaction {
            id,
            client: id,
            invoke: id * 10,
            complete: Some(id * 10 + 5),
            outcome,
            snapshot: None,
            commit: None,
            historic: false,
            initial: false,
            operations: Vec::new(),
        };
        Attempt { name: "test", transaction, conflict: false, whole: false, register: Some((0, input, output)) }
    }

    #[test]
    fn a_failure_that_was_a_lie_is_named() {
        let mut recorder = Recorder::new();
        recorder.attempts = vec![
            attempt(1, Outcome::Failed, Op::Write(7), None),
            attempt(2, Outcome::Failed, Op::Write(8), None),
            attempt(3, Outcome::Ok, Op::Read, Some(Ret::Value(Some(8)))),
        ];
        let checkers::Verdict::Fail(violation) = linearizable(&recorder) else { panic!("nobody wrote 8") };
        let named: Vec<&String> =
            violation.evidence.iter().filter(|line| line.contains("told that it failed")).collect();
        assert_eq!(named.len(), 1, "{named:?}");
        assert!(named[0].contains("client 2's") && named[0].contains("invoked at 20"), "{named:?}");

        // No failure explains a value that nobody asked for.
        recorder.attempts.push(attempt(4, Outcome::Ok, Op::Read, Some(Ret::Value(Some(9)))));
        let checkers::Verdict::Fail(violation) = linearizable(&recorder) else { panic!("nobody wrote 9") };
        assert!(!violation.evidence.iter().any(|line| line.contains("told that it failed")), "{violation}");
    }
}
