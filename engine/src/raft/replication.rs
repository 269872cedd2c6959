//! Replication: the leader's view of its peers, appends both ways, and the commit index.
//!
//! The leader probes a peer with one append at a time until it knows where their logs meet, then sends optimistically,
//! a bounded number of appends ahead of the answers. Every append names the entry before it, and a heartbeat is an
//! append without entries behind everything sent. So its answer either acknowledges all, or reveals that something is
//! missing and sends the peer back to probing: a lost append never stays lost.
//!
//! A peer that recovers from an amnesia is sent entries like any other, but what it has is kept apart from what counts.

use std::collections::BTreeMap;

use super::amnesia::Forgot;
use super::core::{Raft, State};
use super::memory::MemoryLog;
use super::message::{Append, Entry, Envelope, Index, Message, NodeId, Nonce, Term};
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
    /// Their logs are known to be equal up to here, durably, by a voter's word. 0 while the peer recovers.
    pub(super) matched: Index,
    /// What a peer has that is no voter, because it recovers.
    learner: Option<Learner>,
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

/// How far a recovering peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Learner {
    /// The amnesia it recovers from.
    nonce: Nonce,
    /// The logs are known to be equal up to here.
    learned: Index,
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
            learner: None,
            next,
            flow: Flow::Probe { waiting: false },
            sent_commit: 0,
            sent_round: 0,
            acked_round: 0,
            silent: 0,
            heartbeat_due: true,
        }
    }

    /// Where the logs are known to be equal, whether it counts or not.
    fn position(&self) -> Index {
        self.learner.map_or(self.matched, |learner| learner.learned)
    }

    fn may_send(&self, max_inflight_entries: u64) -> bool {
        match self.flow {
            Flow::Probe { waiting } => !waiting,
            Flow::Replicate => self.next - 1 - self.position() < max_inflight_entries,
        }
    }

    /// Notes whether the peer recovers. A late answer can make it look like what it was before; its next one settles it.
    fn note_status(&mut self, recovering: Option<Nonce>) {
        if self.learner.map(|learner| learner.nonce) == recovering {
            return;
        }
        self.learner = recovering.map(|nonce| Learner { nonce, learned: 0 });
        if recovering.is_some() {
            // It has forgotten what it had, and what it knew.
            (self.matched, self.sent_commit) = (0, 0);
            self.flow = Flow::Probe { waiting: false };
        }
    }

    /// Notes that the logs are equal up to `index`, by an answer of the peer as it is. Returns whether that is news.
    fn note_equal(&mut self, index: Index) -> bool {
        let position = self.learner.as_mut().map_or(&mut self.matched, |learner| &mut learner.learned);
        let advanced = index > *position;
        *position = index.max(*position);
        advanced
    }

    /// An append that starts after `prev_index`, noting what the peer will know from it.
    fn append(&mut self, log: &MemoryLog, prev_index: Index, entries: &[Entry], commit: Index, round: u64) -> Message {
        let prev_term = log.term(prev_index).expect("the leader holds all that its peers lack");
        self.heartbeat_due = false;
        self.sent_round = round;
        self.sent_commit = self.sent_commit.max(commit.min(prev_index + entries.len() as u64));
        let entries = entries.to_vec();
        Message::Append(Append { prev_index, prev_term, entries, commit, round, matched: self.matched })
    }
}

impl Raft {
    /// A leader's tick: heartbeats, and stepping down when a quorum is silent.
    pub(super) fn tick_leader(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let mut heard = 1;
        for peer in leader.peers.values_mut() {
            peer.silent = peer.silent.saturating_add(1);
            heard += usize::from(peer.learner.is_none() && peer.silent < self.options.election_ticks);
        }
        if !self.config.is_quorum(heard) {
            probe!("a leader stepped down because its quorum is silent");
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
                send(peer.append(log, peer.position(), &[], commit, round));
            } else if peer.sent_commit < commit.min(peer.position()) {
                let index = commit.min(peer.position());
                let index_term = log.term(index).expect("the leader holds what is committed");
                peer.sent_commit = index;
                send(Message::Commit { index, index_term });
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

    pub(super) fn step_append(&mut self, from: NodeId, append: Append) -> Result<(), Forgot> {
        if !is_well_formed(&append, self.term()) || !self.follow(from) {
            return Ok(());
        }
        let Append { prev_index, prev_term, entries, commit, round, matched } = append;
        let recovering = self.recovering();
        match self.log.term(prev_index) {
            Some(term) if term == prev_term => {}
            // A leader holds all committed entries.
            Some(_) if prev_index <= self.known_commit() => return Ok(()),
            conflict => {
                probe!("an append did not fit the log");
                self.check_acknowledged(matched, (matched == prev_index).then_some(prev_term))?;
                let (conflict_term, conflict_index) = match conflict {
                    // What is committed here matches, whatever its term.
                    Some(term) => (term, self.log.first_of_term(prev_index).max(self.known_commit() + 1)),
                    None => (0, self.log.last_index() + 1),
                };
                let message = Message::AppendRejected { prev_index, conflict_term, conflict_index, round, recovering };
                self.send(from, message);
                return Ok(());
            }
        }
        let last = prev_index + entries.len() as u64;
        // Entries that are here already stay: an append that was overtaken by a longer one must not shorten the log.
        let new = entries.iter().position(|entry| self.log.term(entry.index) != Some(entry.term));
        if let Some(new) = new {
            let first = entries[new].index;
            if first <= self.known_commit() {
                return Ok(());
            }
            if first <= self.log.last_index() {
                probe!("an append replaced entries of an earlier term");
                self.truncate_from(first);
            }
            for entry in entries.into_iter().skip(new) {
                self.log.push(entry);
            }
        }
        if last > prev_index && new.is_none() {
            probe!("an append brought nothing new");
        }
        if commit > last {
            probe!("a follower hears of commits before it has the entries");
        }
        // Beyond `last` this log may differ from the leader's.
        self.commit_to(commit.min(last));
        self.accept_reinstatement();
        self.send(from, Message::AppendAccepted { matched: last, round, recovering: self.recovering() });
        Ok(())
    }

    /// Takes what every answer to an append tells, if this node is the leader. False for what no correct peer says.
    pub(super) fn step_answer(&mut self, from: NodeId, round: u64, recovering: Option<Nonce>) -> bool {
        let State::Leader(leader) = &mut self.state else { return false };
        let Some(peer) = leader.peers.get_mut(&from) else { return false };
        if round > leader.rounds.current() {
            return false;
        }
        peer.note_status(recovering);
        match recovering {
            None => {
                // A refusal too comes from a follower of this term.
                peer.acked_round = peer.acked_round.max(round);
                self.confirm_round();
            }
            Some(nonce) => {
                probe!("the answer of a recovering node was not counted");
                self.reinstate(from, nonce);
            }
        }
        true
    }

    pub(super) fn step_accepted(&mut self, from: NodeId, index: Index, round: u64, recovering: Option<Nonce>) {
        if index > self.log.last_index() || !self.step_answer(from, round, recovering) {
            return;
        }
        let State::Leader(leader) = &mut self.state else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        let advanced = peer.note_equal(index);
        if !advanced && index > 0 && index < peer.position() {
            probe!("an answer to an append came late");
        }
        // The probed position matches. (A round of reads asks about less.)
        if index + 1 >= peer.next {
            peer.flow = Flow::Replicate;
        }
        peer.next = peer.next.max(peer.position() + 1);
        if advanced {
            self.advance_commit();
        }
    }

    pub(super) fn step_rejected(
        &mut self,
        from: NodeId,
        prev_index: Index,
        conflict_term: Term,
        conflict_index: Index,
    ) {
        let State::Leader(leader) = &mut self.state else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        // What a learner has counts for nothing, so that nothing is settled: its disk may be an older image, and a late answer
        // costs no more than a probe.
        if let Some(learner) = peer.learner.as_mut().filter(|learner| prev_index <= learner.learned) {
            probe!("a recovering peer has less than it had");
            learner.learned = 0;
            peer.sent_commit = 0;
        }
        // Answers to earlier appends may be late. What has matched since, or was not sent since, is settled.
        let current = match peer.flow {
            Flow::Probe { .. } => prev_index == peer.next - 1,
            Flow::Replicate => prev_index < peer.next,
        };
        if current && prev_index > peer.position() {
            // The logs can meet at the end of the conflicting term here, or else before it there.
            let shared = self.log.last_of_term(conflict_term, prev_index).filter(|_| conflict_term > 0);
            let next = shared.map_or(conflict_index, |shared| shared.saturating_add(1));
            if peer.flow == Flow::Replicate {
                probe!("a lost append sent a peer back to probing");
            }
            peer.next = next.clamp(peer.position() + 1, prev_index);
            peer.flow = Flow::Probe { waiting: false };
        }
    }

    pub(super) fn step_commit(&mut self, from: NodeId, index: Index, index_term: Term) -> Result<(), Forgot> {
        if index_term > self.term() || !self.follow(from) {
            return Ok(());
        }
        if self.log.term(index) == Some(index_term) {
            self.commit_to(index);
            self.accept_reinstatement();
        } else if index > self.known_commit() {
            self.check_acknowledged(index, Some(index_term))?;
        }
        Ok(())
    }

    /// Commits what a majority stores durably, if it is of this term: an entry of an earlier term on a majority can
    /// still be replaced (Raft paper, 5.4.2), unless one of this term stands behind it.
    pub(super) fn advance_commit(&mut self) {
        let State::Leader(leader) = &self.state else { return };
        let own = self.log.persisted_index();
        let matches = std::iter::once(own).chain(leader.peers.values().map(|peer| peer.matched));
        let index = self.config.reached(&matches).min(own);
        if index > self.known_commit() && self.log.term(index) != Some(self.term()) {
            probe!("an entry of an earlier term is on a majority and not committed");
        }
        if index > self.known_commit() && self.log.term(index) == Some(self.term()) {
            if self.log.term(self.known_commit() + 1) != Some(self.term()) {
                probe!("entries of earlier terms were committed with one of this term");
            }
            self.commit_to(index);
        }
    }
}

/// Whether an append could come from a leader of `term`.
fn is_well_formed(append: &Append, term: Term) -> bool {
    let &Append { prev_index, prev_term, ref entries, matched, .. } = append;
    let mut last = (prev_index, prev_term);
    let contiguous = entries.iter().all(|entry| {
        let follows = last.0.checked_add(1) == Some(entry.index) && entry.term >= last.1;
        last = (entry.index, entry.term);
        follows
    });
    let terms = (prev_index == 0) == (prev_term == 0) && last.1 <= term && entries.first().is_none_or(|e| e.term > 0);
    contiguous && terms && matched <= prev_index
}
