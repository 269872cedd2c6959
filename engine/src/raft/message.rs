//! What Raft nodes store and say: entries, hard state, and the messages between peers.
//!
//! Every message travels in an [`Envelope`] with its sender's term. A request of an older term is answered with
//! [`Message::NewerTerm`], so that nobody waits for a node that has moved on; answers of an older term are dropped.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A node of the cluster, from 1.
pub type NodeId = u8;
/// A leader's reign; each has at most one leader. 0 is before the first election.
pub type Term = u64;
/// A position in the log, from 1. 0 is before the first entry.
pub type Index = u64;

/// One entry of the replicated log. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its position.
    pub index: Index,
    /// The term of the leader that created it.
    pub term: Term,
    /// The command, or `None` for the entry with which a new leader begins its term.
    #[serde(with = "payload")]
    pub payload: Option<Arc<[u8]>>,
}

impl Entry {
    /// The size that batch limits count, in bytes: the payload and an allowance for the rest.
    pub(super) fn size(&self) -> usize {
        16 + self.payload.as_ref().map_or(0, |payload| payload.len())
    }
}

/// What a node must never forget, apart from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term the node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
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
    /// Entries from the leader. Without entries it is a heartbeat. Always answered.
    Append {
        /// The position before the first entry; the follower must hold the same entry there.
        prev_index: Index,
        /// The term of the entry at `prev_index`.
        prev_term: Term,
        /// Entries from `prev_index + 1` on.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
        /// The leader's latest round of reads.
        round: u64,
    },
    /// The follower's log equals the leader's up to `matched`, durably.
    AppendAccepted {
        /// The last position that the answered append covered.
        matched: Index,
        /// The round of the answered append.
        round: u64,
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
    },
    /// The entries up to `index`, which this follower has accepted, are committed. Not answered.
    Commit {
        /// The commit index, as far as the follower is known to hold it.
        index: Index,
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

impl Message {
    /// Whether the sender waits for an answer, so that silence could keep it in an old term.
    pub(super) fn is_request(&self) -> bool {
        matches!(self, Self::PreVote { .. } | Self::Vote { .. } | Self::Append { .. } | Self::ReadIndex { .. })
    }
}

/// Payloads as byte strings: serde's own impl for `Arc<[u8]>` goes byte by byte.
mod payload {
    use std::fmt;
    use std::sync::Arc;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;
    use serde::{Deserialize, Serialize};

    struct Bytes<'a>(&'a [u8]);

    impl Serialize for Bytes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    struct Shared(Arc<[u8]>);

    impl<'de> Deserialize<'de> for Shared {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct BytesVisitor;
            impl Visitor<'_> for BytesVisitor {
                type Value = Shared;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Shared, E> {
                    Ok(Shared(bytes.into()))
                }
            }
            deserializer.deserialize_bytes(BytesVisitor)
        }
    }

    #[expect(clippy::ref_option, reason = "the signature that serde's `with` asks for")]
    pub(super) fn serialize<S: Serializer>(payload: &Option<Arc<[u8]>>, serializer: S) -> Result<S::Ok, S::Error> {
        payload.as_deref().map(Bytes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<[u8]>>, D::Error> {
        Ok(Option::<Shared>::deserialize(deserializer)?.map(|shared| shared.0))
    }
}
