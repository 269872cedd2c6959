//! Raft: agreement on a log of commands, as plain data.
//!
//! [`Raft`] is the protocol: a value that changes with ticks and messages, and does no I/O. What must be durable before
//! any message may leave is shown by [`Raft::unpersisted`]; [`Log`] keeps it on a disk. The split makes the protocol
//! cloneable, comparable and hashable, for model checkers, and lets a host make many changes durable in one sync.
//!
//! It is Ongaro's Raft ("Consensus: Bridging Theory and Practice", 2014) with pre-vote, check-quorum, leader
//! stickiness, conflict hints, pipelined appends and ReadIndex. The membership is fixed, and the log is never compacted;
//! `entries` keeps an offset for the day that it is. Peers are trusted to follow the protocol: a message that does not
//! make sense is ignored, but one that contradicts a committed entry stops the node.

mod core;
mod election;
mod entries;
mod log;
mod message;
mod read;
mod replication;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::core::{Raft, Role, Unpersisted};
pub use log::{Log, Recovered};
pub use message::{Envelope, Message};

/// A member of the group. Ids start at 1.
pub type NodeId = u8;
/// A leader's reign. 0 is before the first election.
pub type Term = u64;
/// A position in the log. The first entry has 1.
pub type Index = u64;

/// A log entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its position.
    pub index: Index,
    /// The term of the leader that made it.
    pub term: Term,
    /// The command; `None` is the no-op with which a leader begins its term.
    pub payload: Option<Arc<[u8]>>,
}

/// What a member must never forget, besides its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The newest term that the member has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
}

/// Timeouts, in ticks, and batch limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// An election starts after this many to twice this many ticks without a leader.
    pub election_ticks: u32,
    /// A leader shows itself this often; less than `election_ticks`.
    pub heartbeat_ticks: u32,
    /// The most entries in one append message.
    pub max_entries_per_append: usize,
    /// The most payload bytes in one append message, but for a first entry that is larger.
    pub max_bytes_per_append: usize,
    /// The most entries on their way to a follower without an answer.
    pub max_inflight_entries: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            election_ticks: 15,
            heartbeat_ticks: 3,
            max_entries_per_append: 128,
            max_bytes_per_append: 1 << 20,
            max_inflight_entries: 1024,
        }
    }
}

/// The node does not lead, so it cannot propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the leader{}", leader.map(|id| format!("; node {id} is")).unwrap_or_default())]
pub struct NotLeader {
    /// Who leads, as far as the node knows.
    pub leader: Option<NodeId>,
}

#[cfg(test)]
mod tests;
