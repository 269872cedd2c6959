//! A node's state, its inputs and outputs, and the durability contract between them.
//!
//! What a node promises (a vote, an accepted entry) leaves it only through [`Raft::take_messages`], which refuses while
//! anything is unpersisted. So a message may be composed before the state behind it is durable, and even before that
//! state is superseded in the same turn: by the time it leaves, a state at least as new is on disk, and the node looks
//! to the others as if it had stored each step in turn.
//!
//! Bytes from a network can decode to any [`Envelope`]. Messages that no correct peer sends (from strangers, with gaps,
//! past the end, against committed entries) are ignored: they never panic and never change a committed entry. Raft does
//! not tolerate peers that lie plausibly.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::amnesia::Forgot;
use super::config::Config;
use super::log::Recovered;
use super::memory::MemoryLog;
use super::message::{Entry, Envelope, HardState, Index, Message, NodeId, Payload, Term};
use super::replication::Leader;

/// No honest cluster gets this far, and terms up to here can be incremented.
const MAX_TERM: Term = u64::MAX / 2;

/// Timing in ticks, and limits of replication.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// A follower that hears from no leader campaigns after `election_ticks..2 * election_ticks`; a leader that has not
    /// heard from a quorum for `election_ticks` steps down.
    pub election_ticks: u32,
    /// How often a leader sends heartbeats. Less than `election_ticks`.
    pub heartbeat_ticks: u32,
    /// The most entries in one append.
    pub max_entries_per_append: usize,
    /// The most bytes of entries in one append (one entry may be larger).
    pub max_bytes_per_append: usize,
    /// The most entries on their way to a peer without an answer; the last append may go over it.
    pub max_inflight_entries: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            election_ticks: 15,
            heartbeat_ticks: 3,
            max_entries_per_append: 128,
            max_bytes_per_append: 1 << 20,
            max_inflight_entries: 1024,
        }
    }
}

/// What a node is at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, if it knows one.
    Follower {
        /// The leader of the node's term.
        leader: Option<NodeId>,
    },
    /// Asks whether an election could be won.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Orders commands.
    Leader,
}

/// The node is not the leader, so it cannot propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the leader{}", leader.map(|leader| format!(", which is node {leader}")).unwrap_or_default())]
pub struct NotLeader {
    /// The leader, if known.
    pub leader: Option<NodeId>,
}

/// What must be durable before messages may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpersisted<'a> {
    /// The new term, vote and status, if they changed.
    pub hard_state: Option<HardState>,
    /// New entries, contiguous. Stored entries from the first one's index on are void.
    pub entries: &'a [Entry],
}

/// A role with what belongs to it alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Follower { leader: Option<NodeId> },
    PreCandidate { granted: BTreeSet<NodeId> },
    Candidate { granted: BTreeSet<NodeId> },
    Leader(Leader),
}

/// One node of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    pub(super) id: NodeId,
    pub(super) config: Config,
    pub(super) options: Options,
    pub(super) hard_state: HardState,
    /// What of `hard_state` is durable.
    pub(super) persisted_hard_state: HardState,
    pub(super) log: MemoryLog,
    /// Known to be committed; on a follower possibly not durable here yet.
    commit: Index,
    pub(super) state: State,
    /// Ticks since the leader was heard, or the role was taken.
    pub(super) elapsed: u32,
    /// Ticks after which a node that is not leader campaigns.
    pub(super) timeout: u32,
    pub(super) seed: u64,
    /// How many timeouts were drawn.
    pub(super) draws: u64,
    pub(super) messages: Vec<Envelope>,
    pub(super) reads: Vec<(u64, Index)>,
}

impl Raft {
    /// A node with what [`super::Log::open`] recovered. `peers` are the other voters. `seed` draws election timeouts, and
    /// marks this node's reads; it must differ in every life of the node.
    pub fn new(id: NodeId, peers: BTreeSet<NodeId>, options: Options, seed: u64, recovered: Recovered) -> Self {
        assert!(id != 0 && !peers.contains(&0), "node ids start at 1");
        assert!(!peers.contains(&id), "node {id} is its own peer");
        assert!(
            0 < options.heartbeat_ticks && options.heartbeat_ticks < options.election_ticks,
            "heartbeats must come more often than elections"
        );
        assert!(options.election_ticks <= u32::MAX / 2, "election timeouts overflow");
        assert!(options.max_entries_per_append > 0 && options.max_inflight_entries > 0, "limits of 0 stop replication");
        let Recovered { hard_state, entries } = recovered;
        let log = MemoryLog::new(entries);
        assert!(log.last_term() <= hard_state.term, "the log is of a later term than the hard state");
        let mut voters = peers;
        voters.insert(id);
        let mut raft = Self {
            id,
            config: Config::new(voters),
            options,
            hard_state,
            persisted_hard_state: hard_state,
            log,
            commit: 0,
            state: State::Follower { leader: None },
            elapsed: 0,
            timeout: 0,
            seed,
            draws: 0,
            messages: Vec::new(),
            reads: Vec::new(),
        };
        raft.restart_timer();
        raft
    }

    /// Lets one unit of time pass.
    pub fn tick(&mut self) {
        self.elapsed = self.elapsed.saturating_add(1);
        if matches!(self.state, State::Leader(_)) {
            self.tick_leader();
        } else if self.elapsed >= self.timeout {
            if self.is_recovering() {
                probe!("a recovering node lost its leader");
                // It can only wait for another leader.
                self.become_follower(self.term(), None);
            } else {
                self.pre_campaign();
            }
        }
    }

    /// Takes a message from a peer. Messages that make no sense are ignored.
    ///
    /// # Errors
    /// When the message reveals that this node has lost what it had acknowledged. Then it must not go on: its log is to be
    /// given up ([`super::Log::set_aside`]).
    pub fn step(&mut self, envelope: Envelope) -> Result<(), Forgot> {
        let Envelope { from, to, term, message } = envelope;
        if to != self.id || from == self.id || !self.config.contains(from) || term == 0 || term > MAX_TERM {
            return Ok(());
        }
        if term < self.term() {
            probe!("a message of an earlier term arrived");
            // Silence would leave the sender in its old term for good: with pre-vote nobody else tells it.
            if message.is_request() {
                self.send(from, Message::NewerTerm);
            }
            return Ok(());
        }
        // These two carry a term that nobody is in yet.
        match message {
            Message::PreVote { last_index, last_term } => {
                self.step_pre_vote(from, term, last_index, last_term);
                return Ok(());
            }
            Message::PreVoteGranted => {
                self.step_pre_vote_granted(from, term);
                return Ok(());
            }
            _ => {}
        }
        if term > self.term() {
            // Whoever campaigns against a live leader did not ask a quorum, or asked it long ago. Should the term be in
            // use already, the leader hears of it through its next append.
            if matches!(message, Message::Vote { .. }) && self.hears_leader() {
                probe!("a vote was asked for against a live leader");
                return Ok(());
            }
            if let State::Leader(leader) = &self.state {
                probe!("a leader heard of a later term");
                if leader.rounds.under_way() {
                    probe!("a deposed leader had reads that no quorum confirmed");
                }
            }
            if self.vote().is_some() && self.elapsed < self.options.election_ticks {
                probe!("the vote can change hands within a term's timeout");
            }
            self.become_follower(term, None);
        }
        if let State::Leader(leader) = &mut self.state {
            leader.heard_from(from);
        }
        match message {
            Message::Vote { last_index, last_term } => self.step_vote(from, last_index, last_term),
            Message::VoteGranted => self.step_vote_granted(from),
            Message::Append(append) => return self.step_append(from, append),
            Message::AppendAccepted { matched, round, recovering } => {
                self.step_accepted(from, matched, round, recovering);
            }
            Message::AppendRejected { prev_index, conflict_term, conflict_index, round, recovering } => {
                if self.step_answer(from, round, recovering) {
                    self.step_rejected(from, prev_index, conflict_term, conflict_index);
                }
            }
            Message::Commit { index, index_term } => return self.step_commit(from, index, index_term),
            Message::ReadIndex { token } => self.step_read_index(from, token),
            Message::ReadIndexResponse { token, index } => self.step_read_index_response(from, token, index),
            // Its term is all it says.
            Message::NewerTerm => {}
            Message::PreVote { .. } | Message::PreVoteGranted => unreachable!("handled above"),
        }
        Ok(())
    }

    /// Appends a command to the log of the leader, and returns where. It is committed when [`Raft::commit_index`]
    /// reaches that index while the entry there still has this term.
    pub fn propose(&mut self, command: Arc<[u8]>) -> Result<Index, NotLeader> {
        if !matches!(self.state, State::Leader(_)) {
            return Err(NotLeader { leader: self.leader() });
        }
        Ok(self.append(Payload::Command(command)))
    }

    /// What must be synced before [`Raft::take_messages`], or `None`.
    pub fn unpersisted(&self) -> Option<Unpersisted<'_>> {
        let hard_state = (self.hard_state != self.persisted_hard_state).then_some(self.hard_state);
        let entries = self.log.unpersisted();
        (hard_state.is_some() || !entries.is_empty()).then_some(Unpersisted { hard_state, entries })
    }

    /// The host has synced what [`Raft::unpersisted`] shows now (there was no other input in between). This can make
    /// the only node of a cluster its leader, with an entry to store: then [`Raft::unpersisted`] shows that.
    pub fn persisted(&mut self) {
        self.persisted_hard_state = self.hard_state;
        self.log.mark_persisted();
        match self.state {
            // A candidate has voted for itself once the vote cannot be forgotten.
            State::Candidate { .. } => self.count_vote(self.id),
            State::Leader(_) => self.advance_commit(),
            State::Follower { .. } | State::PreCandidate { .. } => {}
        }
    }

    /// Messages to send. A leader starts what is due here: replication, heartbeats, a round of reads.
    ///
    /// # Panics
    /// If there are messages, and the state behind them is not durable yet.
    pub fn take_messages(&mut self) -> Vec<Envelope> {
        if self.unpersisted().is_some() {
            assert!(self.messages.is_empty(), "no message leaves before the state behind it is durable");
            return Vec::new();
        }
        self.start_round();
        self.replicate();
        std::mem::take(&mut self.messages)
    }

    /// Confirmed reads: the token, and the index that must be applied before reading. Ask after
    /// [`Raft::take_messages`]. A token can be reported more than once; answers to an earlier life come under tokens that
    /// nobody knows.
    pub fn take_reads(&mut self) -> Vec<(u64, Index)> {
        std::mem::take(&mut self.reads)
    }

    /// The entries of a range, both ends included. Panics when the log does not hold them all.
    pub fn entries(&self, from: Index, to_inclusive: Index) -> &[Entry] {
        self.log.range(from, to_inclusive)
    }

    /// The entry at an index, if the log holds it.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index)
    }

    /// The last index of the log, durable or not.
    pub fn last_index(&self) -> Index {
        self.log.last_index()
    }

    /// The term of the last entry, or 0.
    pub fn last_term(&self) -> Term {
        self.log.last_term()
    }

    /// Entries up to here are committed, and durable on this node.
    pub fn commit_index(&self) -> Index {
        self.commit.min(self.log.persisted_index())
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Whom the node voted for in this term.
    pub fn vote(&self) -> Option<NodeId> {
        self.hard_state.vote
    }

    /// What the node is at present.
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower { leader } => Role::Follower { leader },
            State::PreCandidate { .. } => Role::PreCandidate,
            State::Candidate { .. } => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// The leader of this term, if known.
    pub fn leader(&self) -> Option<NodeId> {
        match self.state {
            State::Follower { leader } => leader,
            State::Leader(_) => Some(self.id),
            State::PreCandidate { .. } | State::Candidate { .. } => None,
        }
    }

    /// Whether a cluster of these peers and one more can commit without that one. If not, nobody could reinstate it.
    pub fn can_spare_one(id: NodeId, peers: &BTreeSet<NodeId>) -> bool {
        Config::new(peers.iter().copied().chain([id]).collect()).can_spare_one()
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Queues a message in the current term.
    pub(super) fn send(&mut self, to: NodeId, message: Message) {
        self.send_in(self.term(), to, message);
    }

    /// Queues a message in a given term.
    pub(super) fn send_in(&mut self, term: Term, to: NodeId, message: Message) {
        self.messages.push(Envelope { from: self.id, to, term, message });
    }

    /// Appends an entry of this term.
    pub(super) fn append(&mut self, payload: Payload) -> Index {
        let index = self.log.last_index() + 1;
        self.log.push(Entry { index, term: self.term(), payload });
        index
    }

    /// Changes term, vote or status, within the rules: terms only grow, a term has one vote, and no amnesia begins here.
    pub(super) fn set_hard_state(&mut self, new: HardState) {
        let old = self.hard_state;
        assert!(new.term >= old.term, "the term goes back from {} to {}", old.term, new.term);
        assert!(
            new.term > old.term || old.vote.is_none() || new.vote == old.vote,
            "the vote of term {} changes from {:?} to {:?}",
            old.term,
            old.vote,
            new.vote
        );
        assert!(new.recovering.is_none() || new.recovering == old.recovering, "an amnesia begins with a new log");
        self.hard_state = new;
    }

    /// What is known to be committed, durable here or not.
    pub(super) fn known_commit(&self) -> Index {
        self.commit
    }

    /// Learns that entries up to `index` are committed.
    pub(super) fn commit_to(&mut self, index: Index) {
        assert!(index <= self.log.last_index(), "commit {index} is past the log's end {}", self.log.last_index());
        self.commit = self.commit.max(index);
    }

    /// Removes the entries from `index` on, to make place for a leader's.
    pub(super) fn truncate_from(&mut self, index: Index) {
        assert!(index > self.commit, "entry {index} is committed (up to {}) and cannot be removed", self.commit);
        probe!("conflicting entries were cut");
        self.log.truncate_from(index);
    }
}
