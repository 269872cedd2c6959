//! The film of a run: every event in order, as data for people.
//!
//! A universe is filmed on request only. A film tells of everything that the digest covers, and of more: so two films of
//! runs with different digests differ somewhere, and the first place is where they part. On disk a film is JSON lines: a
//! header with the format, then an event a line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the film's format.
pub const FORMAT: u32 = 2;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: how many events the digest had covered when it happened.
    pub n: u64,
    /// When, in nanoseconds of virtual time.
    pub at_ns: u64,
    /// The node that it happened on, if it is about one.
    pub node: Option<u8>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A message was sent.
    Message {
        /// The sender, as in `n1` or `c3`.
        from: String,
        /// The receiver.
        to: String,
        /// Its kind.
        kind: String,
        /// Its term, if it has one.
        term: Option<u64>,
        /// What it says.
        text: String,
        /// When it arrives; `None` if it never does.
        arrives_ns: Option<u64>,
        /// `delivered`, `lost`, `cut off`, `node down`, or `on its way` at the end.
        fate: String,
    },
    /// A message, or a copy of one, has arrived.
    Arrives {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
        /// Its kind.
        kind: String,
    },
    /// A process of the node begins.
    Starts {
        /// The how manieth.
        life: u32,
    },
    /// The node's process ends.
    Stops {
        /// Why.
        why: String,
    },
    /// The node takes a role.
    Role {
        /// `follower`, `pre-candidate`, `candidate`, `leader` or `recovering`.
        role: String,
        /// In this term.
        term: u64,
    },
    /// The node's log, after a step that changed it.
    Log {
        /// The last index.
        last: u64,
        /// The commit index.
        commit: u64,
        /// What is applied.
        applied: u64,
        /// The term.
        term: u64,
    },
    /// The node is the first to store an entry of the log.
    Entry {
        /// Its index.
        index: u64,
        /// Its term.
        term: u64,
        /// What it is.
        text: String,
    },
    /// The node applies an entry.
    Applies {
        /// Its index.
        index: u64,
        /// What it is.
        entry: String,
        /// What that comes to.
        ruling: String,
        /// Whether no right state machine decides so.
        wrong: bool,
        /// A hash of what it decided.
        decided: u64,
    },
    /// The node's time stands still.
    Pauses,
    /// It goes on.
    Resumes,
    /// Something goes wrong.
    Fault {
        /// Its kind.
        kind: String,
        /// What it does.
        text: String,
        /// The nodes that it names.
        nodes: Vec<u8>,
        /// When it is over, if it lasts.
        until_ns: Option<u64>,
        /// The links that it cuts.
        cut: Vec<(String, String)>,
    },
    /// Something happened on the node's disk.
    Disk {
        /// What.
        text: String,
    },
    /// A rare place in the code was passed.
    Probe {
        /// Its name.
        name: String,
        /// How often so far, with this time.
        count: u64,
    },
    /// Anything else that is worth a line.
    Note {
        /// What.
        text: String,
    },
    /// A rule was broken.
    Violation {
        /// How.
        text: String,
    },
}

/// In a few words, without time and node.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { from, to, kind, term, text, arrives_ns: _, fate } => {
                let term = term.map(|term| format!(" of term {term}")).unwrap_or_default();
                write!(f, "{from} → {to} {kind}{term}: {text} ({fate})")
            }
            Self::Arrives { from, to, kind } => write!(f, "{from} → {to} {kind} arrives"),
            Self::Starts { life } => write!(f, "starts life {life}"),
            Self::Stops { why } => write!(f, "stops: {why}"),
            Self::Role { role, term } => write!(f, "is {role} in term {term}"),
            Self::Log { last, commit, applied, term } => {
                write!(f, "log up to {last}, commit {commit}, applied {applied}, term {term}")
            }
            Self::Entry { index, term, text } => write!(f, "has entry {index} of term {term} first: {text}"),
            Self::Applies { index, entry, ruling, .. } => write!(f, "applies entry {index}, {entry}: {ruling}"),
            Self::Pauses => write!(f, "stands still"),
            Self::Resumes => write!(f, "goes on"),
            Self::Fault { text, .. } => write!(f, "fault: {text}"),
            Self::Disk { text } => write!(f, "disk: {text}"),
            Self::Probe { name, count: 1 } => write!(f, "first time: {name}"),
            Self::Probe { name, count } => write!(f, "time {count}: {name}"),
            Self::Note { text } => write!(f, "{text}"),
            Self::Violation { text } => write!(f, "broken: {text}"),
        }
    }
}
