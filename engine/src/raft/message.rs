//! What Raft nodes store and say: entries, hard state, and the messages between peers.
//!
//! Every message travels in an [`Envelope`] with its sender's term. A request of an older term is answered with
//! [`Message::NewerTerm`], so that nobody waits for a node that has moved on; answers of an older term are dropped.

use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A node of the cluster, from 1.
pub type NodeId = u8;
/// A leader's reign; each has at most one leader. 0 is before the first election.
pub type Term = u64;
/// A position in the log, from 1. 0 is before the first entry.
pub type Index = u64;
/// Names one amnesia of a node: different each time that it loses its log.
pub type Nonce = NonZeroU64;

/// One entry of the replicated log. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its position.
    pub index: Index,
    /// The term of the leader that created it.
    pub term: Term,
    /// What it holds.
    pub payload: Payload,
}

impl Entry {
    /// The size that batch limits count, in bytes: the command and an allowance for the rest.
    pub(super) fn size(&self) -> usize {
        16 + self.payload.command().map_or(0, |command| command.len())
    }
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: the entry with which a new leader begins its term.
    Empty,
    /// A command for the state machine.
    Command(#[serde(with = "bytes")] Arc<[u8]>),
    /// Gives a node that had lost its log its vote back.
    Reinstate {
        /// The node.
        node: NodeId,
        /// Its amnesia. Another one needs another entry.
        nonce: Nonce,
    },
}

impl Payload {
    /// The command, if it is one.
    pub fn command(&self) -> Option<&Arc<[u8]>> {
        match self {
            Self::Command(command) => Some(command),
            Self::Empty | Self::Reinstate { .. } => None,
        }
    }
}

/// What a node must never forget, apart from the log. The default is that of a new cluster's node: term 0, with a vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term the node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// The amnesia that the node has not recovered from. Until then it is no voter, and nothing that it says counts.
    pub recovering: Option<Nonce>,
}

/// A message on its way between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's term; for [`Message::PreVote`] and [`Message::PreVoteGranted`] the term that the candidate would
    /// campaign in, which is nobody's term yet.
    pub term: Term,
    /// The content.
    pub message: Message,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Would you vote for me, if I campaigned in this term?
    PreVote {
        /// The candidate's last entry.
        last_index: Index,
        /// Its term.
        last_term: Term,
    },
    /// I would. (A refusal is silent, unless the candidate's term is over: [`Message::NewerTerm`].)
    PreVoteGranted,
    /// A candidate asks for a vote.
    Vote {
        /// The candidate's last entry.
        last_index: Index,
        /// Its term.
        last_term: Term,
    },
    /// The vote is given, and durable.
    VoteGranted,
    /// Entries from the leader. Always answered.
    Append(Append),
    /// The follower's log equals the leader's up to `matched`, durably.
    AppendAccepted {
        /// The last position that the answered append covered.
        matched: Index,
        /// The round of the answered append.
        round: u64,
        /// The amnesia that the follower recovers from. Its answer then counts for nothing but what to send next.
        recovering: Option<Nonce>,
    },
    /// The follower's log differs from the leader's at `prev_index`, or ends before it.
    AppendRejected {
        /// Of the answered append.
        prev_index: Index,
        /// The term of the follower's entry at `prev_index`, or 0 when its log ends before.
        conflict_term: Term,
        /// The follower's first entry of `conflict_term` that may differ; or where its log ends, plus one.
        conflict_index: Index,
        /// The round of the answered append.
        round: u64,
        /// The amnesia that the follower recovers from.
        recovering: Option<Nonce>,
    },
    /// The entries up to `index`, which this follower has accepted, are committed. Not answered.
    Commit {
        /// The commit index, as far as the follower is known to hold it.
        index: Index,
        /// The term of the entry there, by which a follower that has forgotten it is found out.
        index_term: Term,
    },
    /// A follower asks the leader for a position to read at.
    ReadIndex {
        /// The follower's name for the read, different in each of its lives.
        token: u64,
    },
    /// A read that sees the state at `index` or later sees everything that was committed when it was asked for.
    ReadIndexResponse {
        /// The follower's name for the read.
        token: u64,
        /// The position.
        index: Index,
    },
    /// The request was of an older term than the sender's.
    NewerTerm,
}

/// Entries from the leader. Without entries it is a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Append {
    /// The position before the first entry; the follower must hold the same entry there.
    pub prev_index: Index,
    /// The term of the entry at `prev_index`.
    pub prev_term: Term,
    /// Entries from `prev_index + 1` on.
    pub entries: Vec<Entry>,
    /// The leader's commit index.
    pub commit: Index,
    /// The leader's latest round of reads.
    pub round: u64,
    /// What the follower has acknowledged in this term; 0 when nothing is known. At most `prev_index`.
    pub matched: Index,
}

impl Message {
    /// Whether the sender waits for an answer, so that silence could keep it in an old term.
    pub(super) fn is_request(&self) -> bool {
        matches!(self, Self::PreVote { .. } | Self::Vote { .. } | Self::Append(_) | Self::ReadIndex { .. })
    }
}

/// Commands as byte strings: serde's own impl for `Arc<[u8]>` goes byte by byte.
mod bytes {
    use std::fmt;
    use std::sync::Arc;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    struct BytesVisitor;

    impl Visitor<'_> for BytesVisitor {
        type Value = Arc<[u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Arc<[u8]>, E> {
            Ok(bytes.into())
        }
    }

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }
}
