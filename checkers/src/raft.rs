//! Raft's safety properties, watched while a simulation runs.
//!
//! The simulator tells the [`Monitor`] what every node does, and the monitor keeps its own picture of every log as
//! rolling hashes: the hash at an index covers all entries up to it, so "the same log up to here" is one comparison and
//! every event costs amortised constant time. It checks the properties of figure 3 of the Raft paper (Ongaro and
//! Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014): election safety, log matching, leader
//! completeness and state machine safety; and what they rest on: terms and votes survive restarts, and so does what was
//! reported to be on disk, unless the node itself says that its disk has lost it; such a node gives no vote until it is a
//! voter again, since it could be its second one.
//!
//! Within one step of a node, events are to be reported in this order: term, vote, log, persisted, leader, committed,
//! applied. The monitor does not check liveness, and assumes logs that begin at index 1 and are never compacted.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::Violation;

/// An entry of a node's log: its term, and the hash of the log up to and including it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    term: u64,
    chain: u64,
}

/// What is known of one node.
#[derive(Debug, Default)]
struct Node {
    term: u64,
    /// The candidate voted for, by term.
    votes: BTreeMap<u64, u64>,
    log: Vec<Link>,
    /// The highest index reported committed in this life.
    committed: u64,
    /// The last index applied in this life; `None` after a restart, when the state machine's own state decides.
    applied: Option<u64>,
    /// The highest index reported on disk and not overwritten since.
    persisted: u64,
}

impl Node {
    /// The hash of the log up to `index`, if it reaches that far; 0 for the empty log.
    fn chain(&self, index: u64) -> Option<u64> {
        if index == 0 { Some(0) } else { self.log.get(index as usize - 1).map(|link| link.chain) }
    }
}

/// Watches all nodes of one Raft group.
#[derive(Debug)]
pub struct Monitor {
    nodes: Vec<Node>,
    /// By index - 1: the hash of the log up to it, for every term an entry there had; one or two terms in practice.
    matching: Vec<Vec<Link>>,
    /// By term.
    leaders: BTreeMap<u64, usize>,
    /// By index - 1: the log that is committed.
    committed: Vec<u64>,
    /// By the term of the reporting node, the highest index it knew to be committed; indexes ascend with terms.
    committed_by: BTreeMap<u64, u64>,
    /// By index - 1: the outcome of applying the entry.
    outcomes: Vec<Option<u64>>,
    comparisons: u64,
}

impl Monitor {
    /// Watches `nodes` nodes, named from 0, with empty logs.
    pub fn new(nodes: usize) -> Self {
        let node = || Node { applied: Some(0), ..Node::default() };
        Self {
            nodes: (0..nodes).map(|_| node()).collect(),
            matching: Vec::new(),
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            committed_by: BTreeMap::new(),
            outcomes: Vec::new(),
            comparisons: 0,
        }
    }

    /// How many comparisons were made.
    pub fn comparisons(&self) -> u64 {
        self.comparisons
    }

    /// The highest index any node reported committed.
    pub fn highest_committed(&self) -> u64 {
        self.committed.len() as u64
    }

    /// How far `node`'s log is on disk, as far as was reported.
    pub fn persisted_index(&self, node: usize) -> u64 {
        self.nodes[node].persisted
    }

    /// Whether `node` could forget everything without harm to the others' work: `quorum` of the `others` have all on disk that it
    /// has on disk, and each of them is beyond its last term, or has its vote of that term for the same candidate, if any.
    pub fn is_dispensable(&self, node: usize, others: &[usize], quorum: usize) -> bool {
        let state = &self.nodes[node];
        let (index, term) = (state.persisted, state.term);
        let (chain, vote) = (state.chain(index), state.votes.get(&term));
        let serves = |other: &&usize| {
            let other = &self.nodes[**other];
            let holds = other.persisted >= index && other.chain(index) == chain;
            let moved_on =
                other.term > term || (other.term == term && (vote.is_none() || other.votes.get(&term) == vote));
            holds && moved_on
        };
        others.iter().filter(serves).count() >= quorum
    }

    /// `node` is in `term`, which never decreases, across restarts too.
    ///
    /// # Errors
    /// If it did.
    pub fn term(&mut self, node: usize, term: u64) -> Result<(), Violation> {
        self.comparisons += 1;
        let known = &mut self.nodes[node].term;
        if term < *known {
            return violation("term-regression", format!("node {node} went from term {known} back to term {term}"));
        }
        *known = term;
        Ok(())
    }

    /// `node` voted for `candidate` in `term`; it has one vote per term, across restarts too.
    ///
    /// # Errors
    /// If it voted for another candidate before.
    pub fn vote(&mut self, node: usize, term: u64, candidate: u64) -> Result<(), Violation> {
        self.comparisons += 1;
        let first = *self.nodes[node].votes.entry(term).or_insert(candidate);
        if first != candidate {
            let message = format!("node {node} voted for {first} and then for {candidate} in term {term}");
            return violation("double-vote", message);
        }
        Ok(())
    }

    /// `node` cut its log to end before `first_index` and appended `entries`, each a term and a hash of the content.
    ///
    /// # Errors
    /// Log matching: an entry of this index and term follows another log elsewhere. A gap before `first_index`, a term
    /// that decreases along the log, or the loss of an entry this node had reported committed.
    pub fn appended(
        &mut self,
        node: usize,
        first_index: u64,
        entries: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<(), Violation> {
        let state = &mut self.nodes[node];
        let committed = (state.committed, state.chain(state.committed));
        if first_index == 0 || first_index > state.log.len() as u64 + 1 {
            let message = format!("node {node} wrote at index {first_index} of a log of {} entries", state.log.len());
            return violation("log-gap", message);
        }
        state.log.truncate(first_index as usize - 1);
        state.persisted = state.persisted.min(first_index - 1);
        self.extend(node, entries)?;
        if committed != (committed.0, self.nodes[node].chain(committed.0)) {
            let message = format!(
                "node {node} replaced its log from index {first_index} on, though it had reported index {} committed",
                committed.0
            );
            return violation("committed-entry-lost", message);
        }
        Ok(())
    }

    /// `node` is the leader of `term`.
    ///
    /// # Errors
    /// Election safety: the term has another leader. Leader completeness: the log lacks an entry that was committed in
    /// an earlier term.
    pub fn leader(&mut self, node: usize, term: u64) -> Result<(), Violation> {
        self.comparisons += 2;
        let first = *self.leaders.entry(term).or_insert(node);
        if first != node {
            return violation("two-leaders", format!("nodes {first} and {node} both lead term {term}"));
        }
        // A node may win a stale election late, so only what was committed before its term binds it. A node that knows
        // of a commitment is never in an earlier term than the leader that made it.
        let Some((by, &index)) = self.committed_by.range(..term).next_back() else { return Ok(()) };
        let (expected, found) = (self.committed[index as usize - 1], self.nodes[node].chain(index));
        if found != Some(expected) {
            let what = if found.is_some() { "has another entry" } else { "ends" };
            let message = format!(
                "node {node} leads term {term}, but its log {what} at or before index {index}, committed by term {by}"
            );
            return violation("leader-completeness", message);
        }
        Ok(())
    }

    /// `node` knows that its log is committed up to `index`.
    ///
    /// # Errors
    /// State machine safety: another log is committed up to that index; or the node does not have the entry, or its
    /// commit index decreased within a life.
    pub fn committed(&mut self, node: usize, index: u64) -> Result<(), Violation> {
        self.comparisons += 1;
        let state = &mut self.nodes[node];
        if index > state.log.len() as u64 {
            let message = format!("node {node} committed index {index}, but its log ends at index {}", state.log.len());
            return violation("committed-beyond-log", message);
        }
        if index < state.committed {
            let message = format!("node {node}'s commit index went from {} back to {index}", state.committed);
            return violation("commit-regression", message);
        }
        state.committed = index;
        let common = index.min(self.committed.len() as u64);
        if common > 0 && state.log[common as usize - 1].chain != self.committed[common as usize - 1] {
            let first = (0..common as usize).find(|&at| state.log[at].chain != self.committed[at]).unwrap_or(0) + 1;
            let message =
                format!("node {node} committed index {index}, but another log is committed from index {first} on");
            return violation("state-machine-safety", message);
        }
        self.committed.extend(state.log[common as usize..index as usize].iter().map(|link| link.chain));
        // Keeps only what says more than an earlier term did.
        let known = self.committed_by.range(..=state.term).next_back().map_or(0, |(_, &index)| index);
        if index > known {
            self.committed_by.insert(state.term, index);
            while let Some((&later, _)) =
                self.committed_by.range(state.term + 1..).next().filter(|&(_, &higher)| higher <= index)
            {
                self.committed_by.remove(&later);
            }
        }
        Ok(())
    }

    /// `node` applied the entry at `index` to its state machine; `outcome` is a hash of the result.
    ///
    /// # Errors
    /// State machine safety: the entry had another outcome elsewhere or is not the committed one; or the node left one
    /// out, or applied one twice in a life.
    pub fn applied(&mut self, node: usize, index: u64, outcome: u64) -> Result<(), Violation> {
        self.comparisons += 3;
        let state = &mut self.nodes[node];
        if let Some(last) = state.applied.filter(|last| last + 1 != index) {
            return violation("apply-order", format!("node {node} applied index {index} after index {last}"));
        }
        let committed = index.checked_sub(1).and_then(|at| self.committed.get(at as usize));
        if committed.is_none() || committed.copied() != state.chain(index) {
            let message = format!("node {node} applied index {index}, which is not a committed entry of its log");
            return violation("applied-uncommitted", message);
        }
        state.applied = Some(index);
        let at = index as usize - 1;
        if self.outcomes.len() <= at {
            self.outcomes.resize(at + 1, None);
        }
        let first = *self.outcomes[at].get_or_insert(outcome);
        if first != outcome {
            let message =
                format!("node {node} applied index {index} with outcome {outcome:016x}, another had {first:016x}");
            return violation("apply-divergence", message);
        }
        Ok(())
    }

    /// `node`, which has lost its log and is no voter, has a vote for `candidate` in `term`.
    ///
    /// # Errors
    /// Always: it may have voted for another before it forgot.
    pub fn forgotten_vote(&mut self, node: usize, term: u64, candidate: u64) -> Result<(), Violation> {
        let message = format!(
            "node {node} voted for {candidate} in term {term}, though it has forgotten whom it voted for before, and is no \
             voter"
        );
        violation("forgotten-vote", message)
    }

    /// `node` is about to overwrite its log on disk from `first_index` on. Until it is [persisted](Self::persisted), a crash
    /// may leave the old entries there or the new ones.
    pub fn overwriting(&mut self, node: usize, first_index: u64) {
        let state = &mut self.nodes[node];
        state.persisted = state.persisted.min(first_index.saturating_sub(1));
    }

    /// `node`'s log is on disk up to `index`: no crash may lose it.
    ///
    /// # Errors
    /// If the log does not reach so far.
    pub fn persisted(&mut self, node: usize, index: u64) -> Result<(), Violation> {
        self.comparisons += 1;
        let state = &mut self.nodes[node];
        if index > state.log.len() as u64 {
            let message = format!("node {node} persisted index {index}, but its log ends at index {}", state.log.len());
            return violation("persisted-beyond-log", message);
        }
        state.persisted = state.persisted.max(index);
        Ok(())
    }

    /// `node` has lost its log, and knows that it has: it may come back with any of it, or nothing, in an earlier term, and
    /// vote again where it voted before. What others have, and what anybody has reported committed, stays known. To be
    /// reported before its restart.
    pub fn forgot(&mut self, node: usize) {
        self.nodes[node] = Node::default();
    }

    /// `node` came back with the `log` it found on disk, each entry a term and a hash of the content.
    ///
    /// # Errors
    /// If an entry it had persisted vanished or changed, or the log breaks log matching.
    pub fn restarted(&mut self, node: usize, log: impl IntoIterator<Item = (u64, u64)>) -> Result<(), Violation> {
        self.comparisons += 1;
        let state = &mut self.nodes[node];
        let (persisted, expected) = (state.persisted, state.chain(state.persisted));
        let before = std::mem::take(&mut state.log);
        state.committed = 0;
        state.applied = None;
        let extended = self.extend(node, log);
        let state = &self.nodes[node];
        if state.chain(persisted) != expected {
            let index = (0..persisted as usize).find(|&at| state.log.get(at) != before.get(at)).unwrap_or_default() + 1;
            let what = if index > state.log.len() { "has lost" } else { "has changed" };
            let message = format!(
                "node {node} {what} index {index} over a restart, though its log was on disk up to index {persisted}"
            );
            return violation("persisted-entry-lost", message);
        }
        extended
    }

    /// Appends to the picture of a node's log and checks log matching.
    fn extend(&mut self, node: usize, entries: impl IntoIterator<Item = (u64, u64)>) -> Result<(), Violation> {
        let log = &mut self.nodes[node].log;
        let mut last = log.last().copied().unwrap_or(Link { term: 0, chain: 0 });
        for (term, content) in entries {
            self.comparisons += 1;
            let at = log.len();
            if term < last.term {
                let message = format!("node {node} has term {term} at index {} after term {}", at + 1, last.term);
                return violation("log-term-regression", message);
            }
            last = Link { term, chain: link(last.chain, term, content) };
            log.push(last);
            if self.matching.len() == at {
                self.matching.push(Vec::new());
            }
            match self.matching[at].iter().find(|link| link.term == term) {
                None => self.matching[at].push(last),
                Some(link) if *link == last => {}
                Some(_) => {
                    let message = format!(
                        "node {node}'s log up to index {} (term {term}) differs from another with that index and term",
                        at + 1
                    );
                    return violation("log-matching", message);
                }
            }
        }
        Ok(())
    }
}

/// The hash of a log that continues the log of hash `chain` by one entry.
fn link(chain: u64, term: u64, content: u64) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&chain.to_le_bytes());
    bytes[8..16].copy_from_slice(&term.to_le_bytes());
    bytes[16..].copy_from_slice(&content.to_le_bytes());
    xxh3_64(&bytes)
}

fn violation(anomaly: &str, message: String) -> Result<(), Violation> {
    Err(Violation { checker: "raft", anomaly: anomaly.into(), message, evidence: Vec::new(), at: None })
}

#[cfg(test)]
mod tests;
