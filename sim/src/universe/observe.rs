//! What the checker of Raft's safety sees of a node, after each of its steps.

use checkers::Violation;
use engine::disk::Disk;
use engine::node::{Node, Ready};
use engine::raft::{Entry, Payload, Role};
use engine::storage::Storage;
use xxhash_rust::xxh3::xxh3_64;

use super::{Universe, event};
use crate::story::Change;

/// A hash of what an entry holds.
fn content(entry: &Entry) -> (u64, u64) {
    let hash = match &entry.payload {
        Payload::Empty => 0,
        Payload::Command(command) => xxh3_64(command),
        Payload::Reinstate { node, nonce } => u64::from(*node) ^ nonce.get(),
    };
    (entry.term, hash)
}

impl Universe {
    /// A node was recovered from its disk.
    pub fn observe_restart<D: Disk, S: Storage>(&self, node: &Node<D, S>) {
        let (raft, id) = (node.raft(), usize::from(node.id()));
        let entries = raft.entries(1, raft.last_index()).iter().map(content);
        let result = self.monitor.borrow_mut().restarted(id, entries);
        self.judge(result, node.id());
        self.observe_role(node);
    }

    /// A node is about to write what is not durable yet; it may die over it.
    pub fn observe_write<D: Disk, S: Storage>(&self, node: &Node<D, S>) {
        if let Some(first) = node.raft().unpersisted().and_then(|unpersisted| unpersisted.entries.first()) {
            self.monitor.borrow_mut().overwriting(usize::from(node.id()), first.index);
        }
    }

    /// A node has made durable what it had to, and will send what `ready` holds when its disk is done.
    pub fn observe<D: Disk, S: Storage>(&self, node: &Node<D, S>, ready: &Ready) {
        let (raft, id) = (node.raft(), usize::from(node.id()));
        if let Some((first, last)) = ready.persisted {
            let entries = raft.entries(first, last).iter().map(content);
            let mut monitor = self.monitor.borrow_mut();
            let result = monitor.appended(id, first, entries).and_then(|()| monitor.persisted(id, last));
            drop(monitor);
            self.judge(result, node.id());
        }
        self.observe_role(node);
        if let Some((last, _)) = ready.applied.last() {
            let mut monitor = self.monitor.borrow_mut();
            let mut result = monitor.committed(id, raft.commit_index());
            for &(index, outcome) in &ready.applied {
                result = result.and_then(|()| monitor.applied(id, index, outcome));
            }
            drop(monitor);
            self.judge(result, node.id());
            self.event(
                event::APPLY,
                &[u64::from(node.id()), *last, ready.applied.iter().fold(0, |sum, (_, o)| sum ^ o)],
            );
            self.node(node.id()).applied.set(*last);
        }
        if self.node(node.id()).wanted.replace(false)
            && let Ok(digest) = node.machine().store().digest()
        {
            self.node(node.id()).state.set(Some((node.machine().applied(), digest)));
        }
    }

    fn observe_role<D: Disk, S: Storage>(&self, node: &Node<D, S>) {
        let (raft, id) = (node.raft(), usize::from(node.id()));
        let mut monitor = self.monitor.borrow_mut();
        let mut result = monitor.term(id, raft.term());
        if let Some(candidate) = raft.vote() {
            result = result.and_then(|()| monitor.vote(id, raft.term(), u64::from(candidate)));
        }
        if raft.role() == Role::Leader {
            if self.leaders.borrow_mut().insert(raft.term()) {
                self.tell(node.id(), Change::Leads);
                self.note_leader(node.id());
            }
            result = result.and_then(|()| monitor.leader(id, raft.term()));
        }
        drop(monitor);
        self.judge(result, node.id());
    }

    fn judge(&self, result: Result<(), Violation>, node: u8) {
        let Err(Violation { checker, anomaly, message, evidence, at: _ }) = result else { return };
        self.report(checker, &anomaly, message, evidence, Some(node));
    }
}
