//! The messages of the protocol.

use serde::{Deserialize, Serialize};

use super::{Entry, Index, NodeId, Term};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's term.
    pub term: Term,
    /// The content.
    pub message: Message,
}

/// The kinds of messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Would you vote for me in this term?
    PreVote {
        /// The term that the sender would start.
        term: Term,
        /// The sender's last entry.
        last_index: Index,
        /// Its term.
        last_term: Term,
    },
    /// Answer to a pre-vote.
    PreVoteResponse {
        /// The term that was asked about.
        term: Term,
        /// Whether the vote would be given.
        granted: bool,
    },
    /// Vote for me in the envelope's term.
    Vote {
        /// The sender's last entry.
        last_index: Index,
        /// Its term.
        last_term: Term,
    },
    /// Answer to a vote request, in the envelope's term.
    VoteResponse {
        /// Whether the vote is given.
        granted: bool,
    },
    /// Entries from the leader; without entries, a heartbeat.
    Append {
        /// The entry before the first one.
        prev_index: Index,
        /// Its term.
        prev_term: Term,
        /// Contiguous entries from `prev_index + 1`.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
        /// The leader's newest round of confirming its leadership.
        round: u64,
    },
    /// The follower's log equals the leader's up to `matched`, durably.
    AppendAccepted {
        /// The last entry that the message covered.
        matched: Index,
        /// The round of the message.
        round: u64,
    },
    /// The follower's log has no entry like the message's `prev`.
    AppendRejected {
        /// The message's `prev_index`.
        prev_index: Index,
        /// The term of the follower's entry there, if it has one.
        conflict_term: Option<Term>,
        /// The first index of that term in the follower's log; without an entry there, the index after its last.
        conflict_index: Index,
        /// The round of the message.
        round: u64,
    },
    /// Which position must I have applied, to read everything committed before now?
    ReadIndex {
        /// The sender's name for the request.
        token: u64,
    },
    /// Answer to a read request.
    ReadIndexResponse {
        /// The request.
        token: u64,
        /// The position.
        index: Index,
    },
}
