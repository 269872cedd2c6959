//! Raft's safety properties (Raft paper, figure 3), and that of reads, checked on every state that a cluster goes through.

use std::collections::BTreeMap;

use super::super::{Entry, HardState, Index, NodeId, Raft, Role, Term};
use super::cluster::Node;

#[derive(Default)]
pub struct Safety {
    /// The leader of each term.
    leaders: BTreeMap<Term, NodeId>,
    /// Each node's term and vote, as last stored.
    votes: BTreeMap<NodeId, HardState>,
    /// What was committed anywhere, with the term of the node that first said so.
    pub committed: Vec<(Entry, Term)>,
    /// How much was committed when each read was asked for.
    reads: BTreeMap<(NodeId, u64), Index>,
    /// What each node called committed in this life.
    commits: BTreeMap<NodeId, Index>,
    /// Each node's last entry when its log was last compared.
    compared: BTreeMap<NodeId, (Index, Term)>,
}

impl Safety {
    /// Checks everything that a change of node `id` can break.
    pub fn check(&mut self, id: NodeId, nodes: &BTreeMap<NodeId, Node>) {
        let Some(raft) = &nodes[&id].raft else { return };
        let follows = matches!(raft.role(), Role::Follower { .. });
        assert!(follows || !raft.is_recovering(), "{id} recovers, and takes part in elections");
        self.check_vote(id, nodes[&id].stored.hard_state);
        self.check_election(raft);
        self.check_commit(raft, nodes);
        if self.compared.insert(id, (raft.last_index(), raft.last_term()))
            != Some((raft.last_index(), raft.last_term()))
        {
            for other in nodes.values().filter_map(|node| node.raft.as_ref()) {
                check_log_matching(raft, other);
            }
        }
    }

    /// What a node has stored is never taken back: terms grow, and a vote is for the whole term.
    fn check_vote(&mut self, id: NodeId, new: HardState) {
        let old = self.votes.insert(id, new).unwrap_or_default();
        let kept = new.term > old.term || (new.term == old.term && (old.vote.is_none() || old.vote == new.vote));
        assert!(kept, "{id} has stored {old:?}, and then {new:?}");
    }

    /// Election safety: a term has at most one leader. Leader completeness: it has all that earlier terms committed.
    fn check_election(&mut self, raft: &Raft) {
        if raft.role() != Role::Leader {
            return;
        }
        let (id, term) = (raft.id(), raft.term());
        let leader = *self.leaders.entry(term).or_insert_with(|| {
            for (entry, _) in self.committed.iter().filter(|(_, committed_in)| *committed_in < term) {
                assert_eq!(
                    raft.entry(entry.index),
                    Some(entry),
                    "leader completeness: {id} leads term {term} without it"
                );
            }
            id
        });
        assert_eq!(leader, id, "election safety: two leaders in term {term}");
    }

    /// State machine safety: nodes agree on committed entries. And a majority has promised to keep these.
    fn check_commit(&mut self, raft: &Raft, nodes: &BTreeMap<NodeId, Node>) {
        let (id, commit) = (raft.id(), raft.commit_index());
        assert!(commit <= nodes[&id].stored.entries.len() as u64, "{id} calls {commit} committed, but has less stored");
        let before = self.commits.insert(id, commit).unwrap_or(0);
        assert!(commit >= before, "the commit index of {id} goes back from {before} to {commit}");
        for entry in raft.entries(before + 1, commit) {
            if let Some((committed, _)) = self.committed.get(entry.index as usize - 1) {
                assert_eq!(committed, entry, "state machine safety: {id} commits another entry");
                continue;
            }
            let count = nodes.values().filter(|node| node.has_promised(entry)).count();
            assert!(count > nodes.len() / 2, "{id} commits {entry:?}, which only {count} voters have stored");
            self.committed.push((entry.clone(), raft.term()));
        }
    }

    /// A read was asked for: it must see all that is committed now.
    pub fn note_read(&mut self, id: NodeId, token: u64) {
        self.reads.insert((id, token), self.committed.len() as Index);
    }

    pub fn check_read(&self, id: NodeId, token: u64, index: Index) {
        // An answer to what was not asked in this life is no answer.
        let Some(&before) = self.reads.get(&(id, token)) else { return };
        assert!(
            index >= before,
            "stale read: {token} of {id} may see entry {index}, but {before} was committed before it"
        );
        assert!(
            index <= self.committed.len() as Index,
            "read {token} of {id} is to wait for {index}, which is not committed"
        );
    }

    /// A node has lost what it stored.
    pub fn forget_votes(&mut self, id: NodeId) {
        self.votes.remove(&id);
    }

    /// A node begins a new life, which may have forgotten what is committed.
    pub fn forget(&mut self, id: NodeId) {
        self.commits.remove(&id);
        self.compared.remove(&id);
        self.reads.retain(|&(asked_by, _), _| asked_by != id);
    }
}

/// Log matching: logs that have the same term at an index are equal up to there.
fn check_log_matching(a: &Raft, b: &Raft) {
    let same = |&index: &Index| a.entry(index).map(|entry| entry.term) == b.entry(index).map(|entry| entry.term);
    if let Some(equal) = (1..=a.last_index().min(b.last_index())).rev().find(same) {
        assert_eq!(a.entries(1, equal), b.entries(1, equal), "log matching: {} and {}", a.id(), b.id());
    }
}
