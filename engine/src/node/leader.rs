//! What a node does as the leader: puts commands into the log, each once.
//!
//! Gateways send a proposal again when it is late. While the first copy waits in the leader's log, another would only make
//! everything later; a cluster that is slow for a moment would drown in its own retries. So the leader remembers what it
//! has proposed in its term and not seen applied. A copy in the log of an earlier leader is not recognised, and harmless.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::command::Command;
use crate::mvcc::Version;
use crate::raft::{Entry, Index, NotLeader, Raft, Term};

/// The proposals of this node's reigns.
#[derive(Default)]
pub(super) struct Leader {
    /// The term that the rest is about.
    term: Term,
    /// Commands that this node has put into its log, and not applied.
    waiting: BTreeSet<Arc<[u8]>>,
    /// Where the last proposal to collect versions stands in the log, so that it is not made again before it applies.
    collecting: Index,
}

impl Leader {
    /// Puts a command into the log if this node leads and the log does not hold it already. A node that does not lead
    /// lets it drop: the gateway asks again, where it then sees the leader.
    pub fn propose(&mut self, command: Arc<[u8]>, raft: &mut Raft) {
        self.enter(raft.term());
        if self.waiting.contains(&command) {
            probe!("a copy of a proposal that waits was dropped");
            return;
        }
        match raft.propose(Arc::clone(&command)) {
            Ok(_) => {
                self.waiting.insert(command);
            }
            Err(NotLeader { leader }) => {
                probe!("a proposal reached a node that does not lead");
                tracing::debug!(?leader, "dropped a proposal: not the leader");
            }
        }
    }

    /// Proposes to collect the versions below a watermark, unless such a command is on its way: not yet `applied` here.
    pub fn propose_collection(&mut self, watermark: Version, applied: Index, raft: &mut Raft) {
        self.enter(raft.term());
        if applied < self.collecting {
            return;
        }
        match (Command::Collect { watermark }).encode() {
            Ok(command) => self.collecting = raft.propose(command).unwrap_or(self.collecting),
            Err(error) => unreachable!("a watermark encodes: {error}"),
        }
    }

    /// An entry is about to be applied.
    pub fn applied(&mut self, entry: &Entry) {
        if let Some(command) = entry.payload.command() {
            self.waiting.remove(command);
        }
    }

    /// In a new term the log may have lost what this node proposed in an earlier one.
    fn enter(&mut self, term: Term) {
        if term != self.term {
            *self = Self { term, ..Self::default() };
        }
    }
}
