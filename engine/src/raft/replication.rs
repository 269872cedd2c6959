//! Replication: the leader's view of its peers, appends both ways, and the commit index.
//!
//! The leader probes a peer with one append at a time until it knows where their logs meet, then sends optimistically,
//! a bounded number of appends ahead of the answers. Every append names the entry before it, and a heartbeat is an
//! append without entries behind everything sent. So its answer either acknowledges all, or reveals that something is
//! missing and sends the peer back to probing: a lost append never stays lost.

use std::collections::BTreeMap;

use super::core::{Raft, State};
use super::memory::MemoryLog;
use super::message::{Entry, Envelope, Index, Message, NodeId, Term};
use super::read::Rounds;

/// What only a leader knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    pub(super) peers: BTreeMap<NodeId, Progress>,
    /// Ticks since the last heartbeat.
    heartbeat_elapsed: u32,
    /// The first entry of this term. Until it is committed, the commit index may be behind an earlier leader's.
    pub(super) term_start: Index,
    pub(super) rounds: Rounds,
}

impl Leader {
    pub(super) fn new(others: impl Iterator<Item = NodeId>, next: Index) -> Self {
        let peers = others.map(|id| (id, Progress::new(next))).collect();
        Self { peers, heartbeat_elapsed: 0, term_start: next, rounds: Rounds::default() }
    }

    /// Notes a sign of life.
    pub(super) fn heard_from(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.silent = 0;
        }
    }
}

/// How far a peer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    /// Their logs are known to be equal up to here, durably.
    pub(super) matched: Index,
    /// The next entry to send.
    next: Index,
    flow: Flow,
    /// What the peer will know as committed once it has all that was sent to it.
    sent_commit: Index,
    /// The latest round of reads that an append carried to the peer.
    sent_round: u64,
    /// The latest round that the peer has answered.
    pub(super) acked_round: u64,
    /// Ticks since the peer was heard.
    silent: u32,
    heartbeat_due: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Flow {
    /// Looking for where the logs meet; `waiting` for an answer to the entries sent.
    Probe { waiting: bool },
    /// Sending ahead of the answers.
    Replicate,
}

impl Progress {
    fn new(next: Index) -> Self {
        Self {
            matched: 0,
            next,
            flow: Flow::Probe { waiting: false },
            sent_commit: 0,
            sent_round: 0,
            acked_round: 0,
            silent: 0,
            heartbeat_due: true,
        }
    }

    fn may_send(&self, max_inflight_entries: u64) -> bool {
        match self.flow {
            Flow::Probe { waiting } => !waiting,
            Flow::Replicate => self.next - 1 - self.matched < max_inflight_entries,
        }
    }

    /// An append that starts after `prev_index`, noting what the peer will know from it.
    fn append(&mut self, log: &MemoryLog, prev_index: Index, entries: &[Entry], commit: Index, round: u64) -> Message {
        let prev_term = log.term(prev_index).expect("the leader holds all that its peers lack");
        self.heartbeat_due = false;
        self.sent_round = round;
        self.sent_commit = self.sent_commit.max(commit.min(prev_index + entries.len() as u64));
        Message::Append { prev_index, prev_term, entries: entries.to_vec(), commit, round }
    }
}

impl Raft {
    /// A leader's tick: heartbeats, and stepping down when a quorum is silent.
    pub(super) fn tick_leader(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let mut heard = 1;
        for peer in leader.peers.values_mut() {
            peer.silent = peer.silent.saturating_add(1);
            heard += usize::from(peer.silent < self.options.election_ticks);
        }
        if !self.config.is_quorum(heard) {
            return self.become_follower(self.term(), None);
        }
        leader.heartbeat_elapsed += 1;
        if leader.heartbeat_elapsed >= self.options.heartbeat_ticks {
            leader.heartbeat_elapsed = 0;
            leader.peers.values_mut().for_each(|peer| peer.heartbeat_due = true);
        }
    }

    /// Sends each peer what it lacks: entries, else a heartbeat if one is due or a round of reads began, else an
    /// advanced commit index.
    pub(super) fn replicate(&mut self) {
        let term = self.term();
        let commit = self.known_commit();
        let State::Leader(leader) = &mut self.state else { return };
        let round = leader.rounds.current();
        let log = &self.log;
        for (&to, peer) in &mut leader.peers {
            let mut send = |message| self.messages.push(Envelope { from: self.id, to, term, message });
            while peer.next <= log.last_index() && peer.may_send(self.options.max_inflight_entries) {
                let (max_entries, max_bytes) = (self.options.max_entries_per_append, self.options.max_bytes_per_append);
                let entries = log.batch(peer.next, max_entries, max_bytes);
                send(peer.append(log, peer.next - 1, entries, commit, round));
                let last = peer.next - 1 + entries.len() as u64;
                match &mut peer.flow {
                    Flow::Probe { waiting } => *waiting = true,
                    Flow::Replicate => peer.next = last + 1,
                }
            }
            if peer.heartbeat_due {
                send(peer.append(log, peer.next - 1, &[], commit, round));
            } else if peer.sent_round < round {
                // Nothing is due for checking, so ask about what surely matches: appends that are merely late must not
                // look lost.
                send(peer.append(log, peer.matched, &[], commit, round));
            } else if peer.sent_commit < commit.min(peer.matched) {
                peer.sent_commit = commit.min(peer.matched);
                send(Message::Commit { index: peer.sent_commit });
            }
        }
    }

    /// Follows the sender of an append or commit in this term. False when that cannot be: a term has one leader.
    fn follow(&mut self, from: NodeId) -> bool {
        match self.state {
            State::Leader(_) => return false,
            State::Follower { leader: Some(leader) } if leader != from => return false,
            State::Follower { leader: Some(_) } => self.elapsed = 0,
            State::Follower { leader: None } | State::PreCandidate { .. } | State::Candidate { .. } => {
                self.become_follower(self.term(), Some(from));
            }
        }
        true
    }

    pub(super) fn step_append(
        &mut self,
        from: NodeId,
        prev_index: Index,
        prev_term: Term,
        entries: Vec<Entry>,
        commit: Index,
        round: u64,
    ) {
        if !is_well_formed(prev_index, prev_term, &entries, self.term()) || !self.follow(from) {
            return;
        }
        match self.log.term(prev_index) {
            Some(term) if term == prev_term => {}
            // A leader holds all committed entries.
            Some(_) if prev_index <= self.known_commit() => return,
            conflict => {
                let (conflict_term, conflict_index) = match conflict {
                    // What is committed here matches, whatever its term.
                    Some(term) => (term, self.log.first_of_term(prev_index).max(self.known_commit() + 1)),
                    None => (0, self.log.last_index() + 1),
                };
                return self.send(from, Message::AppendRejected { prev_index, conflict_term, conflict_index, round });
            }
        }
        let last = prev_index + entries.len() as u64;
        // Entries that are here already stay: an append that was overtaken by a longer one must not shorten the log.
        let new = entries.iter().position(|entry| self.log.term(entry.index) != Some(entry.term));
        if let Some(new) = new {
            let first = entries[new].index;
            if first <= self.known_commit() {
                return;
            }
            if first <= self.log.last_index() {
                self.truncate_from(first);
            }
            for entry in entries.into_iter().skip(new) {
                self.log.push(entry);
            }
        }
        // Beyond `last` this log may differ from the leader's.
        self.commit_to(commit.min(last));
        self.send(from, Message::AppendAccepted { matched: last, round });
    }

    pub(super) fn step_accepted(&mut self, from: NodeId, index: Index, round: u64) {
        let last_index = self.log.last_index();
        let State::Leader(leader) = &mut self.state else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        if index > last_index || round > leader.rounds.current() {
            return;
        }
        peer.acked_round = peer.acked_round.max(round);
        let advanced = index > peer.matched;
        if advanced {
            peer.matched = index;
        }
        // The probed position matches. (A round of reads asks about less.)
        if index + 1 >= peer.next {
            peer.flow = Flow::Replicate;
        }
        peer.next = peer.next.max(peer.matched + 1);
        if advanced {
            self.advance_commit();
        }
        self.confirm_round();
    }

    pub(super) fn step_rejected(
        &mut self,
        from: NodeId,
        prev_index: Index,
        conflict_term: Term,
        conflict_index: Index,
        round: u64,
    ) {
        let State::Leader(leader) = &mut self.state else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        if round > leader.rounds.current() {
            return;
        }
        // A refusal too comes from a follower of this term.
        peer.acked_round = peer.acked_round.max(round);
        // Answers to earlier appends may be late. What has matched since, or was not sent since, is settled.
        let current = match peer.flow {
            Flow::Probe { .. } => prev_index == peer.next - 1,
            Flow::Replicate => prev_index < peer.next,
        };
        if current && prev_index > peer.matched {
            // The logs can meet at the end of the conflicting term here, or else before it there.
            let shared = self.log.last_of_term(conflict_term, prev_index).filter(|_| conflict_term > 0);
            let next = shared.map_or(conflict_index, |shared| shared.saturating_add(1));
            peer.next = next.clamp(peer.matched + 1, prev_index);
            peer.flow = Flow::Probe { waiting: false };
        }
        self.confirm_round();
    }

    pub(super) fn step_commit(&mut self, from: NodeId, index: Index) {
        if self.follow(from) && index <= self.log.last_index() {
            self.commit_to(index);
        }
    }

    /// Commits what a majority stores durably, if it is of this term: an entry of an earlier term on a majority can
    /// still be replaced (Raft paper, 5.4.2), unless one of this term stands behind it.
    pub(super) fn advance_commit(&mut self) {
        let State::Leader(leader) = &self.state else { return };
        let own = self.log.persisted_index();
        let matches = std::iter::once(own).chain(leader.peers.values().map(|peer| peer.matched));
        let index = self.config.reached(&matches).min(own);
        if index > self.known_commit() && self.log.term(index) == Some(self.term()) {
            self.commit_to(index);
        }
    }
}

/// Whether an append could come from a leader of `term`.
fn is_well_formed(prev_index: Index, prev_term: Term, entries: &[Entry], term: Term) -> bool {
    let mut last = (prev_index, prev_term);
    let contiguous = entries.iter().all(|entry| {
        let follows = last.0.checked_add(1) == Some(entry.index) && entry.term >= last.1;
        last = (entry.index, entry.term);
        follows
    });
    contiguous && (prev_index == 0) == (prev_term == 0) && last.1 <= term && entries.first().is_none_or(|e| e.term > 0)
}
