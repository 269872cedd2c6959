//! Elections: pre-votes, votes, and when a leader gives up.

use std::collections::BTreeSet;

use super::core::{Leadership, State};
use super::read::Reads;
use super::replication::Progress;
use super::{Entry, HardState, Index, Message, NodeId, Raft, Term};

impl Raft {
    /// Whether a leader was heard of within the least election timeout; a leader hears itself.
    pub(super) fn hears_leader(&self) -> bool {
        match self.state {
            State::Leader(_) => true,
            State::Follower { leader } => leader.is_some() && self.elapsed < self.options.election_ticks,
            State::PreCandidate { .. } | State::Candidate { .. } => false,
        }
    }

    /// Whether a log that ends so is at least as up to date as ours (Raft §3.6.1).
    fn is_up_to_date(&self, last_index: Index, last_term: Term) -> bool {
        (last_term, last_index) >= (self.log.last_term(), self.log.last_index())
    }

    /// Asks whether an election could be won, before disturbing anyone with a new term (Raft §9.6).
    pub(super) fn start_pre_vote(&mut self) {
        self.draw_timeout();
        self.state = State::PreCandidate { votes: BTreeSet::from([self.id]) };
        tracing::debug!(term = self.hard.term, "asks for pre-votes");
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for peer in self.peers.clone() {
            self.send(peer, Message::PreVote { term: self.hard.term + 1, last_index, last_term });
        }
        self.count_pre_votes();
    }

    pub(super) fn pre_vote(&mut self, from: NodeId, term: Term, last_index: Index, last_term: Term) {
        // A refusal carries our term, so that a candidate that is behind learns it.
        let granted = term > self.hard.term && !self.hears_leader() && self.is_up_to_date(last_index, last_term);
        self.send(from, Message::PreVoteResponse { term, granted });
    }

    pub(super) fn pre_vote_granted(&mut self, from: NodeId, asked: Term) {
        if let State::PreCandidate { votes } = &mut self.state
            && asked == self.hard.term + 1
        {
            votes.insert(from);
            self.count_pre_votes();
        }
    }

    fn count_pre_votes(&mut self) {
        if let State::PreCandidate { votes } = &self.state
            && votes.len() >= self.quorum()
        {
            self.campaign();
        }
    }

    fn campaign(&mut self) {
        self.draw_timeout();
        self.hard = HardState { term: self.hard.term + 1, vote: Some(self.id) };
        self.state = State::Candidate { votes: BTreeSet::from([self.id]) };
        tracing::debug!(term = self.hard.term, "asks for votes");
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for peer in self.peers.clone() {
            self.send(peer, Message::Vote { last_index, last_term });
        }
    }

    pub(super) fn vote(&mut self, from: NodeId, last_index: Index, last_term: Term) {
        let free = match self.hard.vote {
            None => matches!(self.state, State::Follower { leader: None } | State::PreCandidate { .. }),
            Some(vote) => vote == from,
        };
        let granted = free && self.is_up_to_date(last_index, last_term);
        if granted {
            self.hard.vote = Some(from);
            if !matches!(self.state, State::Follower { .. }) {
                self.become_follower(self.hard.term, None);
            }
            // Gives the candidate time to win.
            self.elapsed = 0;
        }
        self.send(from, Message::VoteResponse { granted });
    }

    pub(super) fn vote_response(&mut self, from: NodeId, granted: bool) {
        if let State::Candidate { votes } = &mut self.state
            && granted
        {
            votes.insert(from);
            self.count_votes();
        }
    }

    /// Becomes the leader if a quorum votes for it. A vote can only come after the member's own vote is durable, since the
    /// request for it leaves after that.
    pub(super) fn count_votes(&mut self) {
        if let State::Candidate { votes } = &self.state
            && votes.len() >= self.quorum()
        {
            self.become_leader();
        }
    }

    fn become_leader(&mut self) {
        let next = self.log.last_index() + 1;
        tracing::info!(term = self.hard.term, last_index = next - 1, "leads");
        self.state = State::Leader(Leadership {
            progress: self.peers.iter().map(|&peer| (peer, Progress::new(next))).collect(),
            since_heartbeat: 0,
            since_quorum: 0,
            first_index: next,
            reads: Reads::default(),
        });
        self.elapsed = 0;
        // Only an entry of the new term can be committed by counting, and takes all before it along (Raft §3.6.2).
        self.log.push(Entry { index: next, term: self.hard.term, payload: None });
        self.broadcast();
    }

    /// Time passes for a leader: heartbeats, and whether a quorum still answers (check-quorum, Raft §6.2).
    pub(super) fn tick_leader(&mut self) {
        let quorum = self.quorum();
        let State::Leader(leadership) = &mut self.state else { unreachable!("only a leader gets here") };
        leadership.since_quorum += 1;
        if leadership.since_quorum >= self.options.election_ticks {
            leadership.since_quorum = 0;
            let active = leadership.progress.values_mut().filter_map(|peer| peer.take_active().then_some(())).count();
            if active + 1 < quorum {
                tracing::info!(term = self.hard.term, "steps down: no quorum answers");
                self.become_follower(self.hard.term, None);
                return;
            }
        }
        leadership.since_heartbeat += 1;
        if leadership.since_heartbeat >= self.options.heartbeat_ticks {
            self.broadcast();
        }
    }
}
