//! The state of a member, and how it takes time, messages and proposals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entries::Entries;
use super::read::Reads;
use super::replication::Progress;
use super::{Entry, Envelope, HardState, Index, Message, NodeId, NotLeader, Options, Term};

/// A member of a Raft group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    pub(super) id: NodeId,
    /// The other members.
    pub(super) peers: BTreeSet<NodeId>,
    pub(super) options: Options,
    seed: u64,
    /// How many timeouts have been drawn.
    draws: u64,
    pub(super) hard: HardState,
    pub(super) log: Entries,
    pub(super) commit: Index,
    /// What is durable.
    persisted_hard: HardState,
    pub(super) persisted: Index,
    pub(super) state: State,
    /// Ticks since a leader was heard of, or since the last campaign began.
    pub(super) elapsed: u32,
    /// When `elapsed` leads to a campaign.
    pub(super) timeout: u32,
    messages: Vec<Envelope>,
    pub(super) confirmed_reads: Vec<(u64, Index)>,
}

/// What a member does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Follower { leader: Option<NodeId> },
    PreCandidate { votes: BTreeSet<NodeId> },
    Candidate { votes: BTreeSet<NodeId> },
    Leader(Leadership),
}

/// What a leader knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leadership {
    pub progress: BTreeMap<NodeId, Progress>,
    pub since_heartbeat: u32,
    pub since_quorum: u32,
    /// The index of the no-op that began the term: once it is committed, so is everything before it.
    pub first_index: Index,
    pub reads: Reads,
}

/// What a member is, for observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, if it knows one.
    Follower {
        /// The leader of the term.
        leader: Option<NodeId>,
    },
    /// Asks whether it could win an election.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// What must become durable before messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpersisted<'a> {
    /// The term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// New entries. If the first one's index is in the durable log, it and all after it are replaced.
    pub entries: &'a [Entry],
}

impl Raft {
    /// A member that goes on from what it has made durable: term and vote, and contiguous entries from index 1. The
    /// seed makes its timeouts differ from other members', and should differ in every life.
    ///
    /// # Panics
    /// If the entries are not contiguous, or the options make no sense.
    pub fn new(
        id: NodeId,
        peers: BTreeSet<NodeId>,
        options: Options,
        seed: u64,
        hard_state: HardState,
        entries: Vec<Entry>,
    ) -> Self {
        assert!(!peers.contains(&id), "a member is not its own peer");
        assert!(options.heartbeat_ticks > 0, "a heartbeat takes at least a tick");
        assert!(options.election_ticks > options.heartbeat_ticks, "heartbeats come more often than elections");
        assert!(options.max_entries_per_append > 0 && options.max_inflight_entries > 0, "a batch holds an entry");
        let log = Entries::new(entries);
        assert!(log.last_term() <= hard_state.term, "the log has no term that the member has not seen");
        let mut raft = Self {
            id,
            peers,
            options,
            seed,
            draws: 0,
            hard: hard_state,
            persisted: log.last_index(),
            log,
            commit: 0,
            persisted_hard: hard_state,
            state: State::Follower { leader: None },
            elapsed: 0,
            timeout: 0,
            messages: Vec::new(),
            confirmed_reads: Vec::new(),
        };
        raft.draw_timeout();
        raft
    }

    /// A unit of time has passed.
    pub fn tick(&mut self) {
        self.elapsed = self.elapsed.saturating_add(1);
        if matches!(self.state, State::Leader(_)) {
            self.tick_leader();
        } else if self.elapsed >= self.timeout {
            self.start_pre_vote();
        }
    }

    /// Takes a message. One from a stranger, or one that makes no sense, is ignored.
    pub fn step(&mut self, envelope: Envelope) {
        let Envelope { from, to, term, message } = envelope;
        if to != self.id || !self.peers.contains(&from) {
            tracing::warn!(from, to, "ignored a message between others");
            return;
        }
        match message {
            // What does not depend on the sender's term being ours.
            Message::PreVote { term: next, last_index, last_term } => self.pre_vote(from, next, last_index, last_term),
            Message::ReadIndex { token } => self.read_for(Some(from), token),
            Message::ReadIndexResponse { token, index } => self.confirmed_reads.push((token, index)),
            Message::PreVoteResponse { term: asked, granted: true } => self.pre_vote_granted(from, asked),
            message => self.step_in_term(from, term, message),
        }
    }

    /// Takes a message that counts in its sender's term only.
    fn step_in_term(&mut self, from: NodeId, term: Term, message: Message) {
        if term > self.hard.term {
            if matches!(message, Message::Vote { .. }) && self.hears_leader() {
                // A member that was cut off must not depose a leader whom a quorum still hears.
                self.send(from, Message::VoteResponse { granted: false });
                return;
            }
            self.become_follower(term, None);
        } else if term < self.hard.term {
            // The answer's higher term makes a deposed leader, or a candidate that has missed something, catch up.
            match message {
                Message::Vote { .. } => self.send(from, Message::VoteResponse { granted: false }),
                Message::Append { prev_index, round, .. } => {
                    let (conflict_term, conflict_index) = (None, self.log.last_index() + 1);
                    self.send(from, Message::AppendRejected { prev_index, conflict_term, conflict_index, round });
                }
                _ => {}
            }
            return;
        }
        match message {
            Message::Vote { last_index, last_term } => self.vote(from, last_index, last_term),
            Message::VoteResponse { granted } => self.vote_response(from, granted),
            Message::Append { prev_index, prev_term, entries, commit, round } => {
                self.append(from, prev_index, prev_term, entries, commit, round);
            }
            Message::AppendAccepted { matched, round } => self.append_accepted(from, matched, round),
            Message::AppendRejected { prev_index, conflict_term, conflict_index, round } => {
                self.append_rejected(from, prev_index, conflict_term, conflict_index, round);
            }
            // A refused pre-vote has done its work by its term.
            Message::PreVoteResponse { granted: _, term: _ } => {}
            Message::PreVote { .. } | Message::ReadIndex { .. } | Message::ReadIndexResponse { .. } => {
                unreachable!("handled without regard to the term")
            }
        }
    }

    /// Appends a command to the log, if this member leads. It is committed when [`Raft::commit_index`] reaches its index
    /// while the entry there is of the same term.
    pub fn propose(&mut self, command: Arc<[u8]>) -> Result<Index, NotLeader> {
        if !matches!(self.state, State::Leader(_)) {
            return Err(NotLeader { leader: self.leader() });
        }
        let index = self.log.last_index() + 1;
        self.log.push(Entry { index, term: self.hard.term, payload: Some(command) });
        Ok(index)
    }

    /// What must become durable before [`Raft::take_messages`].
    pub fn unpersisted(&self) -> Option<Unpersisted<'_>> {
        let hard_state = (self.hard != self.persisted_hard).then_some(self.hard);
        let entries = self.log.slice(self.persisted + 1, self.log.last_index());
        (hard_state.is_some() || !entries.is_empty()).then_some(Unpersisted { hard_state, entries })
    }

    /// What [`Raft::unpersisted`] shows has become durable.
    pub fn persisted(&mut self) {
        self.persisted_hard = self.hard;
        self.persisted = self.log.last_index();
        match &self.state {
            State::Leader(_) => {
                self.advance_commit();
                self.send_new_entries();
            }
            // Only now does the member's own vote count.
            State::Candidate { .. } => self.count_votes(),
            State::Follower { .. } | State::PreCandidate { .. } => {}
        }
    }

    /// The messages that may leave now.
    ///
    /// # Panics
    /// If something must become durable first.
    pub fn take_messages(&mut self) -> Vec<Envelope> {
        assert!(
            self.messages.is_empty() || self.unpersisted().is_none(),
            "no message leaves before what it speaks of is durable"
        );
        std::mem::take(&mut self.messages)
    }

    /// Reads that were confirmed: their tokens, and the index that must be applied before reading.
    pub fn take_reads(&mut self) -> Vec<(u64, Index)> {
        std::mem::take(&mut self.confirmed_reads)
    }

    /// This member.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The newest term that it has seen.
    pub fn term(&self) -> Term {
        self.hard.term
    }

    /// Whom it voted for in this term.
    pub fn vote_of_term(&self) -> Option<NodeId> {
        self.hard.vote
    }

    /// What it does.
    pub fn role(&self) -> Role {
        match &self.state {
            State::Follower { leader } => Role::Follower { leader: *leader },
            State::PreCandidate { .. } => Role::PreCandidate,
            State::Candidate { .. } => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// The leader of this term, if it knows one.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.state {
            State::Leader(_) => Some(self.id),
            State::Follower { leader } => *leader,
            State::PreCandidate { .. } | State::Candidate { .. } => None,
        }
    }

    /// The last index that is committed and durable here.
    pub fn commit_index(&self) -> Index {
        self.commit.min(self.persisted)
    }

    /// The index of the last entry, durable or not.
    pub fn last_index(&self) -> Index {
        self.log.last_index()
    }

    /// The term of the last entry.
    pub fn last_term(&self) -> Term {
        self.log.last_term()
    }

    /// The entry at an index.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index)
    }

    /// The entries from `from` to `to`, both included; those that exist.
    pub fn entries(&self, from: Index, to: Index) -> &[Entry] {
        self.log.slice(from, to)
    }

    pub(super) fn quorum(&self) -> usize {
        self.peers.len().div_ceil(2) + 1
    }

    pub(super) fn send(&mut self, to: NodeId, message: Message) {
        self.messages.push(Envelope { from: self.id, to, term: self.hard.term, message });
    }

    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        assert!(term >= self.hard.term, "the term never decreases");
        if term > self.hard.term {
            self.hard = HardState { term, vote: None };
        }
        if !matches!(self.state, State::Follower { .. }) {
            self.draw_timeout();
        }
        self.state = State::Follower { leader };
    }

    /// Draws the next timeout, and starts to count.
    pub(super) fn draw_timeout(&mut self) {
        self.draws += 1;
        let base = self.options.election_ticks;
        let random = mix(self.seed ^ mix(u64::from(self.id) << 32 ^ self.draws));
        self.timeout = base + (random % u64::from(base)) as u32;
        self.elapsed = 0;
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): spreads a counter over all bits.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
