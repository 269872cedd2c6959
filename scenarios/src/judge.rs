//! Hands what clients saw to the checkers that fit the workload.

use crate::recorder::Recorder;
use crate::scenario::{Scenario, Workload};
use crate::workload::{FinalRead, first_value};
use checkers::linearizability::register::Register;
use checkers::{Verdict, Violation, linearizability};

/// How many configurations the search for a legal order of one row's operations may visit.
const LINEARIZABILITY_BUDGET: u64 = 2_000_000;

/// How many impossible answers are shown.
const SHOWN: usize = 10;

/// What one checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The checker's name.
    pub checker: &'static str,
    /// Its verdict.
    pub verdict: Verdict,
}

impl CheckResult {
    /// How many comparisons the checker made: one that made none has not tested anything. A failure counts as one.
    pub fn comparisons(&self) -> u64 {
        match self.verdict {
            Verdict::Pass { comparisons } | Verdict::GaveUp { comparisons, .. } => comparisons,
            Verdict::Fail(_) => 1,
        }
    }
}

/// Judges a run: what all clients saw ([merged](Recorder::merge)), and what was there in the end.
pub fn judge(scenario: &Scenario, recorder: &Recorder, _final_read: Option<&FinalRead>) -> Vec<CheckResult> {
    let mut results = vec![CheckResult { checker: "answers", verdict: answers(recorder) }];
    if let Workload::Register { .. } = scenario.workload {
        results.push(CheckResult { checker: "linearizability", verdict: linearizable(recorder) });
    }
    results
}

/// No client got an answer that no right database gives.
fn answers(recorder: &Recorder) -> Verdict {
    let Some(first) = recorder.surprises.first() else {
        return Verdict::Pass { comparisons: recorder.attempts.len() as u64 };
    };
    Verdict::Fail(Violation {
        checker: "answers",
        anomaly: "impossible-answer".to_owned(),
        message: first.to_string(),
        evidence: recorder.surprises.iter().take(SHOWN).map(ToString::to_string).collect(),
        at: Some(first.at),
    })
}

/// The operations on each row have an order that explains the answers and keeps to real time.
fn linearizable(recorder: &Recorder) -> Verdict {
    let (mut total, mut gave_up) = (0, None);
    for (key, operations) in recorder.registers() {
        let initial = Register(Some(first_value(key)));
        match linearizability::check(&initial, &operations, LINEARIZABILITY_BUDGET) {
            Verdict::Pass { comparisons } => total += comparisons,
            Verdict::Fail(violation) => {
                let message = format!("row {key}: {}", violation.message);
                return Verdict::Fail(Violation { message, ..violation });
            }
            Verdict::GaveUp { reason, comparisons } => {
                total += comparisons;
                gave_up.get_or_insert(format!("row {key}: {reason}"));
            }
        }
    }
    match gave_up {
        Some(reason) => Verdict::GaveUp { reason, comparisons: total },
        None => Verdict::Pass { comparisons: total },
    }
}
