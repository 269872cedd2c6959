//! What the page is given: one universe as plain data.
//!
//! All times are nanoseconds of virtual time since the run began. Nodes are counted from 1. A place in the cluster is
//! named like `n1` (a node) or `c3` (a client). The page works out everything else: who was up, who led, what was
//! in flight at a moment.

use serde::{Serialize, Serializer};

use crate::film::Event;
use crate::narrate::{Decisive, Sentence};

/// One universe, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The name of the page.
    pub title: String,
    /// The seed of the universe.
    #[serde(serialize_with = "exactly")]
    pub seed: u64,
    /// The revision of the source that played it.
    pub revision: String,
    /// The command that plays it again.
    pub replay: String,
    /// The verdict as the terminal shows it.
    pub verdict_line: String,
    /// Whether nothing was found. Then the fields that say what was found are empty.
    pub passed: bool,
    /// The class of the verdict: `safety`, `liveness` ...
    pub class: String,
    /// Who found it.
    pub checker: String,
    /// What was found, as a stable name: `lost-update` ...
    pub anomaly: String,
    /// What was found, in one sentence.
    pub message: String,
    /// Lines that show it.
    pub evidence: Vec<String>,
    /// The number of the event after which it was found.
    pub found_event: u64,
    /// When it was found.
    pub found_ns: u64,
    /// The node that it was found on, if it is about one.
    pub found_node: Option<u8>,
    /// The moment that matters most, if something was found.
    pub decisive: Option<Decisive>,
    /// How the blamed operations depend on each other: the cycle, if there is one.
    pub cycle: Vec<Edge>,
    /// What was drawn from the seed: label and text.
    pub drawn: Vec<(String, String)>,
    /// The run in words, in order.
    pub story: Vec<Sentence>,
    /// How many nodes there are.
    pub nodes: u8,
    /// The clients, in the order of their lanes.
    pub clients: Vec<u32>,
    /// When the run ended.
    pub end_ns: u64,
    /// When each phase began, and its name. In order.
    pub phases: Vec<(u64, String)>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What the clients asked for.
    pub operations: Vec<Operation>,
    /// The nearest run that passes, and where it parts from this one.
    pub passing: Option<Comparison>,
}

/// That one operation must come before another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The [`Operation::id`] of the earlier one.
    pub from: u64,
    /// The [`Operation::id`] of the later one.
    pub to: u64,
    /// Why: `rw x`, `ww x`, `real time` ...
    pub why: String,
}

/// Something that a client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Its number.
    pub id: u64,
    /// Who asked.
    pub client: u32,
    /// What it is called: `transfer`, `read` ...
    pub name: String,
    /// When it was sent.
    pub invoke_ns: u64,
    /// When its answer came, if one came.
    pub complete_ns: Option<u64>,
    /// `ok`, `failed` or `unknown`.
    pub outcome: String,
    /// What it read and wrote.
    pub text: String,
    /// The position that it read at.
    pub snapshot: Option<u64>,
    /// The position of its writes.
    pub commit: Option<u64>,
    /// Whether it is to blame: part of the evidence, or of what led to it.
    pub blamed: bool,
    /// Why it is to blame.
    pub why: String,
}

/// How a run that passes parts from this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// What is different about it: `the same without fault 3`.
    pub what: String,
    /// The number of the first event that differs in what matters.
    pub first_difference_event: u64,
    /// When that was.
    pub first_difference_ns: u64,
    /// How many differences come before it that matter less.
    pub passed_over: u64,
    /// What became of operations to blame, where that differs.
    pub fates: Vec<Fate>,
    /// The events around there: a sign (` ` in both, `-` only here, `+` only in the run that passes, `…` between places)
    /// and a text.
    pub lines: Vec<(String, String)>,
}

/// What became of an operation in either run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// The [`Operation::id`].
    pub operation: u64,
    /// In this run.
    pub here: String,
    /// In the run that passes.
    pub there: String,
}

/// Writes a number as text, since a browser keeps only 53 bits of one.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn exactly<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}
