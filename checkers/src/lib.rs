//! Judges of histories.
//!
//! A checker is a function from what a test observed to a [`Verdict`]. The checkers know no engine: they take plain
//! histories ([`history`]), final states and Raft events, so the same judge serves a simulation, a recorded file and a
//! test of the judge itself. None of them trusts the database more than its module says, and each is sound first: a
//! correct database is never accused, also when clients do not know the outcome of what they asked for.

pub mod bank;
#[cfg(feature = "command")]
pub mod cli;
pub mod durability;
pub mod evidence;
pub mod formats;
pub mod generate;
pub mod history;
pub mod linearizability;
pub mod raft;
pub mod replicas;
pub mod transactions;
pub mod versions;

use serde::Serialize;

/// What a checker found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which checker found it, e.g. `raft`.
    pub checker: &'static str,
    /// The anomaly's name in the field's terms, e.g. `G-single`.
    pub anomaly: String,
    /// One sentence that says what happened.
    pub message: String,
    /// The observations that contradict each other, one a line, in an order that can be followed.
    pub evidence: Vec<String>,
    /// When it became visible, in nanoseconds of the history's clock, if the checker knows.
    pub at: Option<u64>,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.checker, self.anomaly, self.message)?;
        self.evidence.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Violation {}

/// The judgement over one history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Nothing contradicts the model.
    Pass {
        /// How many observations or configurations were compared; 0 means that nothing was tested.
        comparisons: u64,
    },
    /// The history is impossible under the model.
    Fail(Violation),
    /// The search was cut off before either answer was certain.
    GaveUp {
        /// Why it stopped.
        reason: String,
        /// How much was compared until then.
        comparisons: u64,
    },
}

impl Verdict {
    /// Whether the history was found to be legal.
    pub fn is_pass(&self) -> bool {
        matches!(self, Self::Pass { .. })
    }

    /// The violation, if one was found.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Fail(violation) => Some(violation),
            Self::Pass { .. } | Self::GaveUp { .. } => None,
        }
    }
}
