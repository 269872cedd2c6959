//! Hands what clients saw to the checkers that fit the workload.

use crate::recorder::Recorder;
use crate::scenario::Scenario;
use crate::workload::FinalRead;

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
        /// What shows it, in lines.
        evidence: Vec<String>,
    },
    /// The checker stopped before it knew.
    GaveUp {
        /// Why.
        reason: String,
    },
}

/// Judges a run: what all clients saw ([merged](Recorder::merge)), and what was there in the end.
pub fn judge(_scenario: &Scenario, recorder: &Recorder, _final_read: Option<&FinalRead>) -> Vec<CheckResult> {
    vec![answers(recorder)]
}

/// No client got an answer that no right database gives.
fn answers(recorder: &Recorder) -> CheckResult {
    let evidence: Vec<String> = recorder.surprises.iter().take(10).map(ToString::to_string).collect();
    let verdict = if evidence.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Fail { anomaly: "impossible answer".to_owned(), evidence }
    };
    CheckResult { checker: "answers", verdict, comparisons: recorder.attempts.len() as u64 }
}
