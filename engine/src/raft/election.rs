//! Elections: timers, pre-vote, votes, and taking a role.
//!
//! A node whose timer ends first asks whether a majority would vote for it (pre-vote), without touching its term; so a
//! node that was cut off cannot depose a working leader when it returns. Nodes that hear from a leader refuse. Timeouts
//! are drawn from the seed, the node, the term and a counter that is part of the state: equal states act equally.

use std::collections::BTreeSet;

use super::core::{Raft, State};
use super::message::{HardState, Index, Message, NodeId, Payload, Term};
use super::replication::Leader;
use crate::mix::splitmix64;

impl Raft {
    /// Starts waiting anew, with a fresh timeout.
    pub(super) fn restart_timer(&mut self) {
        self.draws += 1;
        let election_ticks = self.options.election_ticks;
        let draw = [u64::from(self.id), self.term(), self.draws]
            .into_iter()
            .fold(self.seed, |hash, value| splitmix64(hash ^ splitmix64(value)));
        self.elapsed = 0;
        self.timeout = election_ticks + (draw % u64::from(election_ticks)) as u32;
    }

    /// Whether this node leads, or has heard from a leader within the shortest election timeout. A leader that loses
    /// its quorum steps down by itself (check-quorum), so this ends.
    pub(super) fn hears_leader(&self) -> bool {
        match self.state {
            State::Leader(_) => true,
            State::Follower { leader } => leader.is_some() && self.elapsed < self.options.election_ticks,
            State::PreCandidate { .. } | State::Candidate { .. } => false,
        }
    }

    /// Follows `leader`, or nobody yet, in a term that is not older. The vote is kept within the term.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        if term > self.term() {
            self.set_hard_state(HardState { term, vote: None, ..self.hard_state });
        }
        assert_eq!(term, self.term(), "a node does not follow into an older term");
        self.state = State::Follower { leader };
        self.restart_timer();
    }

    /// Asks for pre-votes.
    pub(super) fn pre_campaign(&mut self) {
        assert!(!self.is_recovering(), "a node that has forgotten its promises does not campaign");
        if matches!(self.state, State::Candidate { .. }) {
            probe!("a candidacy came to nothing");
        }
        if matches!(self.state, State::PreCandidate { .. }) {
            probe!("a majority did not answer a pre-vote");
        }
        self.restart_timer();
        self.state = State::PreCandidate { granted: BTreeSet::new() };
        let message = Message::PreVote { last_index: self.log.last_index(), last_term: self.log.last_term() };
        self.send_to_others(self.term() + 1, &message);
        // Nothing is promised by this, so it needs no disk.
        self.count_pre_vote(self.id);
    }

    /// Asks for votes in a new term. The node's own vote counts when it is durable: [`Raft::persisted`].
    fn campaign(&mut self) {
        self.set_hard_state(HardState { term: self.term() + 1, vote: Some(self.id), ..self.hard_state });
        self.restart_timer();
        self.state = State::Candidate { granted: BTreeSet::new() };
        let message = Message::Vote { last_index: self.log.last_index(), last_term: self.log.last_term() };
        self.send_to_others(self.term(), &message);
    }

    /// Leads the term. Its first entry is empty: committing it commits what earlier leaders left behind.
    fn become_leader(&mut self) {
        assert_eq!(self.vote(), Some(self.id), "a leader has voted for itself");
        if self.log.last_index() > self.known_commit() {
            probe!("a leader begins with entries that it does not know to be committed");
        }
        let next = self.log.last_index() + 1;
        self.elapsed = 0;
        self.state = State::Leader(Leader::new(self.config.others(self.id), next));
        self.append(Payload::Empty);
    }

    fn send_to_others(&mut self, term: Term, message: &Message) {
        let config = self.config.clone();
        for to in config.others(self.id) {
            self.send_in(term, to, message.clone());
        }
    }

    /// Whether a candidate's log holds everything that can be committed, as far as this node knows: the last entries'
    /// terms decide, then their indexes.
    fn is_up_to_date(&self, last_index: Index, last_term: Term) -> bool {
        (last_term, last_index) >= (self.log.last_term(), self.log.last_index())
    }

    /// `term` is not older than this node's; the candidate would campaign in it.
    pub(super) fn step_pre_vote(&mut self, from: NodeId, term: Term, last_index: Index, last_term: Term) {
        if term == self.term() {
            probe!("a candidate was a term behind");
            // The candidate is a term behind.
            self.send(from, Message::NewerTerm);
        } else if self.hears_leader() {
            probe!("a pre-vote was refused because the leader is heard");
        } else if !self.is_recovering() && self.is_up_to_date(last_index, last_term) {
            self.send_in(term, from, Message::PreVoteGranted);
        }
    }

    pub(super) fn step_pre_vote_granted(&mut self, from: NodeId, term: Term) {
        if term == self.term() + 1 {
            self.count_pre_vote(from);
        }
    }

    fn count_pre_vote(&mut self, from: NodeId) {
        if let State::PreCandidate { granted } = &mut self.state {
            granted.insert(from);
            if self.config.is_quorum(granted.len()) {
                self.campaign();
            }
        }
    }

    pub(super) fn step_vote(&mut self, from: NodeId, last_index: Index, last_term: Term) {
        let free = self.vote().is_none_or(|vote| vote == from);
        if !free {
            probe!("a vote was refused because another had it");
        }
        if !self.is_up_to_date(last_index, last_term) {
            probe!("a vote was refused because the candidate's log is behind");
        }
        if self.is_recovering() {
            probe!("a vote was refused because the node has forgotten its promises");
        }
        let following = matches!(self.state, State::Follower { .. } | State::PreCandidate { .. });
        if free && following && !self.is_recovering() && self.is_up_to_date(last_index, last_term) {
            self.set_hard_state(HardState { vote: Some(from), ..self.hard_state });
            self.elapsed = 0;
            self.send(from, Message::VoteGranted);
        }
    }

    pub(super) fn step_vote_granted(&mut self, from: NodeId) {
        // Before the candidacy is durable nobody has been asked.
        if self.hard_state == self.persisted_hard_state {
            self.count_vote(from);
        }
    }

    pub(super) fn count_vote(&mut self, from: NodeId) {
        if let State::Candidate { granted } = &mut self.state {
            granted.insert(from);
            if self.config.is_quorum(granted.len()) {
                self.become_leader();
            }
        }
    }
}
