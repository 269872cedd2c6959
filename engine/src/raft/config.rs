//! Who takes part: the set of voters, and what a majority of them is.
//!
//! The set is fixed when a node starts. Membership change will replace this value, and nothing else counts voters.

use std::collections::BTreeSet;

use super::message::NodeId;

/// The voters of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Config {
    voters: BTreeSet<NodeId>,
}

impl Config {
    pub(super) fn new(voters: BTreeSet<NodeId>) -> Self {
        assert!(!voters.is_empty(), "a cluster has at least one voter");
        Self { voters }
    }

    pub(super) fn contains(&self, id: NodeId) -> bool {
        self.voters.contains(&id)
    }

    /// The voters other than `id`, in order.
    pub(super) fn others(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.voters.iter().copied().filter(move |&voter| voter != id)
    }

    /// Whether `count` different voters are a majority.
    pub(super) fn is_quorum(&self, count: usize) -> bool {
        count > self.voters.len() / 2
    }

    /// Whether the voters can commit without one of them.
    pub(super) fn can_spare_one(&self) -> bool {
        self.is_quorum(self.voters.len() - 1)
    }

    /// The largest value that a majority has reached, given each voter's value. Quadratic in the number of voters, which
    /// is cheaper than a sorted copy for the handful there are.
    pub(super) fn reached(&self, values: &(impl Iterator<Item = u64> + Clone)) -> u64 {
        let reached = |bound: u64| values.clone().filter(|&value| value >= bound).count();
        values.clone().filter(|&value| self.is_quorum(reached(value))).max().unwrap_or(0)
    }
}
