//! Single decisions, as data: what becomes of one message or one disk operation, whatever the rates say.
//!
//! A universe decides by rates and by dice whose number is named by what they are for (the 12th append from node 1 to node
//! 3, the 40th sync of node 2). A fate overrules them for that one thing. So a run whose rates are turned into the fates
//! that fired goes the same way, and each of them can be taken away by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What becomes of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fate {
    /// A message.
    Message {
        /// Who sends it.
        from: End,
        /// Who gets it.
        to: End,
        /// Its kind.
        kind: MessageKind,
        /// It is the how manieth of its kind between the two, from 1.
        count: u32,
        /// What happens to it.
        what: MessageFate,
    },
    /// An operation of a node's disk goes wrong.
    Disk {
        /// The node.
        node: u8,
        /// How.
        what: DiskFate,
        /// It is the how manieth of its kind on this disk, over all lives, from 1.
        count: u64,
    },
}

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// A node, by its id.
    Node(u8),
    /// A client, by its id. 0 fills the tables, and 9999 reads them in the end.
    Client(u32),
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MessageFate {
    /// It never arrives.
    Lost,
    /// It leaves the order of its link.
    Late {
        /// How much later it arrives.
        by_us: u64,
    },
    /// It arrives once more.
    Again {
        /// How much later than it would by itself.
        after_us: u64,
    },
}

/// How a disk operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskFate {
    /// A read fails.
    ReadFails,
    /// A read returns a wrong bit.
    ReadRots,
    /// A read returns another place of the file.
    ReadMisdirected,
    /// A write, or a change of a file's length, fails.
    WriteFails,
    /// A sync of a file or a directory fails.
    SyncFails,
    /// A sync that fails drops what it should have written.
    PagesDropped,
    /// The power goes at an operation, of those that begin while writes are unsynced.
    PowerGone,
}

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A candidate asks whether it could win.
    PreVote,
    /// It could.
    PreVoteGranted,
    /// A candidate asks for a vote.
    Vote,
    /// The vote is given.
    VoteGranted,
    /// Entries from the leader.
    Append,
    /// An append without entries.
    Heartbeat,
    /// An append was stored.
    Accepted,
    /// An append does not fit.
    Rejected,
    /// Entries are committed.
    Commit,
    /// A follower asks for a position to read at.
    ReadIndex,
    /// The position.
    ReadIndexResponse,
    /// The sender is in a later term.
    NewerTerm,
    /// A gateway hands a command to the leader.
    Propose,
    /// A client asks.
    Request,
    /// A gateway answers.
    Reply,
}

impl MessageKind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::PreVote,
        Self::PreVoteGranted,
        Self::Vote,
        Self::VoteGranted,
        Self::Append,
        Self::Heartbeat,
        Self::Accepted,
        Self::Rejected,
        Self::Commit,
        Self::ReadIndex,
        Self::ReadIndexResponse,
        Self::NewerTerm,
        Self::Propose,
        Self::Request,
        Self::Reply,
    ];

    /// The name that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreVote => "pre-vote",
            Self::PreVoteGranted => "pre-vote-granted",
            Self::Vote => "vote",
            Self::VoteGranted => "vote-granted",
            Self::Append => "append",
            Self::Heartbeat => "heartbeat",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Commit => "commit",
            Self::ReadIndex => "read-index",
            Self::ReadIndexResponse => "read-index-response",
            Self::NewerTerm => "newer-term",
            Self::Propose => "propose",
            Self::Request => "request",
            Self::Reply => "reply",
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "n{id}"),
            Self::Client(id) => write!(f, "c{id}"),
        }
    }
}

/// A sentence without an end.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { from, to, kind, count, what } => {
                write!(f, "{kind} {count} from {from} to {to} ")?;
                match what {
                    MessageFate::Lost => write!(f, "is lost"),
                    MessageFate::Late { by_us } => write!(f, "is late by {}", crate::fault::Us(*by_us)),
                    MessageFate::Again { after_us } => {
                        write!(f, "comes again {} later", crate::fault::Us(*after_us))
                    }
                }
            }
            Self::Disk { node, what, count } => match what {
                DiskFate::ReadFails => write!(f, "read {count} of n{node}'s disk fails"),
                DiskFate::ReadRots => write!(f, "read {count} of n{node}'s disk returns a wrong bit"),
                DiskFate::ReadMisdirected => write!(f, "read {count} of n{node}'s disk returns another place"),
                DiskFate::WriteFails => write!(f, "write {count} of n{node}'s disk fails"),
                DiskFate::SyncFails => write!(f, "sync {count} of n{node}'s disk fails"),
                DiskFate::PagesDropped => write!(f, "sync {count} of n{node}'s disk drops its pages, if it fails"),
                DiskFate::PowerGone => write!(f, "n{node} loses power at its operation {count} with writes in flight"),
            },
        }
    }
}
