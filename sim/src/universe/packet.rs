//! What travels on the network: its kind, its name for the digest, and its words for people.

use std::sync::Arc;

use engine::node::protocol::{Message, Reply, Request};
use engine::raft;
use scenarios::MessageKind;

use super::ledger::Ledger;
use crate::network::Address;

/// What travels on the network.
#[derive(Clone, Debug)]
pub enum Packet {
    /// Between nodes.
    Peer(Message),
    /// From a client to its gateway.
    Request(Request),
    /// Back.
    Reply(Arc<Reply>),
}

impl Packet {
    /// Its kind.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Peer(Message::Raft(envelope)) => match &envelope.message {
                raft::Message::PreVote { .. } => MessageKind::PreVote,
                raft::Message::PreVoteGranted => MessageKind::PreVoteGranted,
                raft::Message::Vote { .. } => MessageKind::Vote,
                raft::Message::VoteGranted => MessageKind::VoteGranted,
                raft::Message::Append(append) if append.entries.is_empty() => MessageKind::Heartbeat,
                raft::Message::Append(_) => MessageKind::Append,
                raft::Message::AppendAccepted { .. } => MessageKind::Accepted,
                raft::Message::AppendRejected { .. } => MessageKind::Rejected,
                raft::Message::Commit { .. } => MessageKind::Commit,
                raft::Message::ReadIndex { .. } => MessageKind::ReadIndex,
                raft::Message::ReadIndexResponse { .. } => MessageKind::ReadIndexResponse,
                raft::Message::NewerTerm => MessageKind::NewerTerm,
            },
            Self::Peer(Message::Propose { .. }) => MessageKind::Propose,
            Self::Request(_) => MessageKind::Request,
            Self::Reply(_) => MessageKind::Reply,
        }
    }

    /// Its term, if it has one.
    pub fn term(&self) -> Option<u64> {
        match self {
            Self::Peer(Message::Raft(envelope)) => Some(envelope.term),
            _ => None,
        }
    }

    /// What tells one packet from another, without looking at all of its bytes.
    pub fn fingerprint(&self) -> u64 {
        let kind = self.kind() as u64 + 1;
        match self {
            Self::Peer(Message::Raft(envelope)) => {
                let detail = match &envelope.message {
                    raft::Message::PreVote { last_index, .. } | raft::Message::Vote { last_index, .. } => *last_index,
                    raft::Message::Append(raft::Append { prev_index, entries, commit, .. }) => {
                        prev_index << 40 ^ (entries.len() as u64) << 20 ^ commit
                    }
                    raft::Message::AppendAccepted { matched, .. } => *matched,
                    raft::Message::AppendRejected { prev_index, .. } => *prev_index,
                    raft::Message::ReadIndex { token } => *token,
                    raft::Message::ReadIndexResponse { index, .. } | raft::Message::Commit { index, .. } => *index,
                    raft::Message::PreVoteGranted | raft::Message::VoteGranted | raft::Message::NewerTerm => 0,
                };
                kind << 60 ^ envelope.term << 48 ^ detail
            }
            Self::Peer(Message::Propose { command, .. }) => kind << 60 ^ xxhash_rust::xxh3::xxh3_64(command) >> 4,
            Self::Request(request) => kind << 60 ^ request.client << 32 ^ request.request,
            Self::Reply(reply) => kind << 60 ^ reply.client << 32 ^ reply.request,
        }
    }

    /// What it says, for people.
    pub fn text(&self, ledger: &mut Ledger) -> String {
        match self {
            Self::Peer(Message::Raft(envelope)) => match &envelope.message {
                raft::Message::PreVote { last_index, last_term } | raft::Message::Vote { last_index, last_term } => {
                    format!("my log ends at {last_index} of term {last_term}")
                }
                raft::Message::Append(raft::Append { prev_index, prev_term, entries, commit, round, .. }) => {
                    let entries = if entries.is_empty() { "no entries".to_string() } else { ledger.entries(entries) };
                    format!("{entries}; after {prev_index} of term {prev_term}, commit {commit}, round {round}")
                }
                raft::Message::AppendAccepted { matched, round, .. } => {
                    format!("stored up to {matched}, round {round}")
                }
                raft::Message::AppendRejected { prev_index, conflict_term, conflict_index, .. } => {
                    format!("not after {prev_index}: conflict at {conflict_index} of term {conflict_term}")
                }
                raft::Message::Commit { index, .. } => format!("up to {index}"),
                raft::Message::ReadIndexResponse { index, .. } => format!("read at {index}"),
                raft::Message::ReadIndex { .. }
                | raft::Message::PreVoteGranted
                | raft::Message::VoteGranted
                | raft::Message::NewerTerm => String::new(),
            },
            Self::Peer(Message::Propose { command, .. }) => ledger.proposal(command),
            Self::Request(request) => ledger.request(request),
            Self::Reply(reply) => ledger.reply(reply),
        }
    }
}

/// An address as a number.
pub fn address(address: Address) -> u64 {
    match address {
        Address::Node(id) => u64::from(id),
        Address::Client(id) => 1 << 32 | u64::from(id),
    }
}
