//! What passes between clients, nodes and their peers.
//!
//! A client has one connection to one gateway and at most one request in flight. It numbers its requests, so that a
//! request that the network delivers twice is executed once, and it numbers its transactions, so that a commit whose
//! answer was lost can be asked about on any node: the numbers are kept in replicated state (see
//! `machine`). A gateway that restarts knows none of its old connections; the connection number it hands out
//! differs in every life of the process, so a late duplicate from an old life is refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::mvcc::Version;
use crate::raft::{Envelope, NodeId};
use crate::sql::{Error, Output, types::Value};

/// Identifies a client for as long as its transaction numbers must be remembered.
pub type ClientId = u64;

/// What a client asks of its gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub client: ClientId,
    /// The number that [`ReplyBody::Connected`] gave; 0 in [`Body::Connect`].
    pub connection: u64,
    /// Increases with each new request of the client; the same when a request is sent again.
    pub request: u64,
    /// What is asked.
    pub body: Body,
}

/// The kinds of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Opens a connection, and ends the client's earlier connection to this node with its open transaction.
    Connect,
    /// Ends the connection, and rolls back its open transaction.
    Disconnect,
    /// Executes one SQL statement.
    Execute {
        /// The statement.
        sql: Arc<str>,
        /// Values of `$1`, `$2`, ...
        params: Vec<Value>,
        /// The client's number of the transaction: increases with each BEGIN and each statement outside of BEGIN,
        /// and is the same when such a statement, or a COMMIT, is tried again.
        transaction: u64,
        /// Whether the client has begun this transaction with BEGIN (on this connection or a lost one).
        begun: bool,
        /// Whether an earlier attempt at this statement or COMMIT may still take effect.
        retry: bool,
    },
}

/// What a gateway answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Who asked.
    pub client: ClientId,
    /// Which request this answers.
    pub request: u64,
    /// The answer.
    pub body: ReplyBody,
}

/// The kinds of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ReplyBody {
    /// The connection's number, for all further requests.
    Connected(u64),
    /// The connection is not known: this process was restarted, or the client connected again. What was asked did
    /// not happen now; an earlier delivery of the same request may have happened.
    NotConnected,
    /// The statement took effect.
    Executed {
        /// Its result.
        output: Output,
        /// The log position that its reads saw; `None` when the answer comes from an earlier attempt.
        snapshot: Option<Version>,
        /// The log position of its commit, when it committed writes.
        committed: Option<Version>,
    },
    /// The statement had no effect, and will have none.
    Failed(Error),
}

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Raft's own.
    Raft(Envelope),
    /// A gateway asks the leader to propose a command. It needs no answer: the gateway sees the command applied, or
    /// sends it again.
    Propose {
        /// The gateway.
        from: NodeId,
        /// The node that the gateway believes to be the leader.
        to: NodeId,
        /// An encoded [`super::command::Command`].
        command: Arc<[u8]>,
    },
}

impl Message {
    /// The sender.
    pub fn from(&self) -> NodeId {
        match self {
            Self::Raft(envelope) => envelope.from,
            Self::Propose { from, .. } => *from,
        }
    }

    /// The receiver.
    pub fn to(&self) -> NodeId {
        match self {
            Self::Raft(envelope) => envelope.to,
            Self::Propose { to, .. } => *to,
        }
    }
}
