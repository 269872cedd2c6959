//! Judges histories of transactions: which consistency levels hold, and what shows that others do not.
//!
//! [`judge`] takes a [`History`] of reads and writes of rows, lists and appends, and predicate reads, and says for each
//! [`Level`] whether it [holds, is violated or cannot be decided](Finding). What violates a level is an [`Anomaly`]: it
//! has the field's [name](Name), the transactions that took part, and the reasons in words; if it is a cycle of
//! dependencies, each [edge](Edge) says why it is there.

mod absent;
mod anomaly;
mod choices;
mod cycles;
mod explain;
mod facts;
mod graph;
mod level;
mod levels;
mod links;
mod observe;
mod orders;
pub mod saturation;
pub mod search;
mod undetermined;
mod weak;
mod witness;
mod words;

pub use anomaly::{Anomaly, Class, Edge, Name, Object, Through, Why};
pub use level::Level;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::History;
use crate::{Verdict, Violation};

/// What is known of one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The history is possible under this level.
    Holds,
    /// It is not.
    Violated {
        /// What shows it: a place in [`Judgement::anomalies`].
        anomaly: usize,
    },
    /// The history does not tell, or the search for an answer was cut off.
    Undecided {
        /// Why.
        reason: String,
    },
}

/// What was found in one history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Everything that is wrong, the gravest first.
    pub anomalies: Vec<Anomaly>,
    /// By level that was asked for.
    pub findings: BTreeMap<Level, Finding>,
    /// How many observations and dependencies were compared; 0 means that nothing was tested.
    pub comparisons: u64,
}

impl Judgement {
    /// Lets every level that an anomaly violates be violated, by the first that does.
    fn point(&mut self) {
        for (level, finding) in &mut self.findings {
            match self.anomalies.iter().position(|anomaly| anomaly.name.violates(*level)) {
                Some(anomaly) => {
                    let name = self.anomalies[anomaly].name;
                    assert!(*finding != Finding::Holds, "{level} holds in spite of {name}");
                    *finding = Finding::Violated { anomaly };
                }
                None => assert!(!matches!(finding, Finding::Violated { .. }), "{level} is violated by something"),
            }
        }
    }

    /// The gravest anomaly that violates a level.
    pub fn violation(&self, level: Level) -> Option<&Anomaly> {
        match self.findings.get(&level)? {
            Finding::Violated { anomaly } => self.anomalies.get(*anomaly),
            Finding::Holds | Finding::Undecided { .. } => None,
        }
    }

    /// The verdict on one level that was asked for, in the terms of all checkers.
    pub fn verdict(&self, checker: &'static str, history: &History, level: Level) -> Verdict {
        let comparisons = self.comparisons;
        match self.findings.get(&level) {
            Some(Finding::Holds) => Verdict::Pass { comparisons },
            Some(Finding::Undecided { reason }) => Verdict::GaveUp { reason: reason.clone(), comparisons },
            None => Verdict::GaveUp { reason: format!("{level} was not judged"), comparisons },
            Some(Finding::Violated { anomaly }) => {
                let Anomaly { name, message, evidence, transactions, .. } = &self.anomalies[*anomaly];
                Verdict::Fail(Violation {
                    checker,
                    anomaly: name.to_string(),
                    message: message.clone(),
                    evidence: evidence.clone(),
                    at: transactions.iter().filter_map(|at| history.transactions[*at].complete).max(),
                })
            }
        }
    }
}

/// What to judge, and how hard to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The levels to decide.
    pub levels: Vec<Level>,
    /// How many steps, of some nanoseconds each, a search for an order of writes that nobody saw may take. There may be
    /// one for every level from repeatable read on, and one for the versions that [read committed](Level::ReadCommitted),
    /// read atomic and causal reads did not find.
    pub budget: u64,
    /// How many anomalies of one name are reported.
    pub shown: usize,
    /// Whether the commit positions that the database reports may prove a level: rows were then written in that order.
    pub positions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { levels: Level::ALL.to_vec(), budget: 1_000_000_000, shown: 10, positions: true }
    }
}

/// Says which levels a history is possible under.
///
/// The history is well formed, see [`crate::history::validate`].
pub fn judge(history: &History, options: &Options) -> Judgement {
    judge_until(history, options, &mut || false)
}

/// Like [`judge`], and gives the search for an order of writes up soon after `stop` says so. It is asked between slices of
/// some milliseconds; levels that need no search are decided all the same.
pub fn judge_until(history: &History, options: &Options, stop: &mut dyn FnMut() -> bool) -> Judgement {
    levels::judge(history, options, stop)
}

#[cfg(test)]
mod tests;
