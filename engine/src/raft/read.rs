//! Linearizable reads: ReadIndex (thesis, 6.4) in shared rounds.
//!
//! A round takes the leader's commit index when it starts, and is confirmed when a quorum has answered appends that
//! carry its number. Nobody else can have led, and so committed, a later term before the round started; hence the index
//! covers everything that was committed when its reads were asked for. Reads that come while a round is under way wait
//! for the next one, however many they are. A lost message costs nothing but time: every heartbeat carries the number.
//!
//! A follower asks the leader, and gives up silently when the leader changes: its host asks again.

use super::core::{Raft, State};
use super::message::{Envelope, Index, Message, NodeId};
use crate::mix::splitmix64;

/// The reads that wait at a leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rounds {
    /// The latest round. Counts from 1 in each term; answers of other terms never get here.
    round: u64,
    /// The commit index when it started.
    index: Index,
    /// Who asked for what it confirms. Empty when no round is under way.
    confirming: Vec<(NodeId, u64)>,
    /// Who asked since.
    waiting: Vec<(NodeId, u64)>,
}

impl Rounds {
    /// The latest round that has started.
    pub(super) fn current(&self) -> u64 {
        self.round
    }

    /// Whether reads wait for a quorum to confirm them.
    pub(super) fn under_way(&self) -> bool {
        !self.confirming.is_empty()
    }
}

impl Raft {
    /// Asks for a position to read at, which [`Raft::take_reads`] reports under `token`. If it does not, because a
    /// message was lost or there is no leader, ask again, under another token: answers can be late, and come twice.
    pub fn read(&mut self, token: u64) {
        match &mut self.state {
            State::Leader(leader) => leader.rounds.waiting.push((self.id, token)),
            &mut State::Follower { leader: Some(leader) } => {
                let token = self.mark(token);
                self.send(leader, Message::ReadIndex { token });
            }
            State::Follower { leader: None } | State::PreCandidate { .. } | State::Candidate { .. } => {}
        }
    }

    pub(super) fn step_read_index(&mut self, from: NodeId, token: u64) {
        if let State::Leader(leader) = &mut self.state {
            leader.rounds.waiting.push((from, token));
        } else {
            probe!("a read was asked of a node that does not lead");
        }
    }

    /// Only answers of this term get here. One of an earlier term would be right too, since its round began after the
    /// read was asked for; but then every rule about terms would have an exception, to save one question.
    pub(super) fn step_read_index_response(&mut self, from: NodeId, token: u64, index: Index) {
        if self.leader() == Some(from) {
            let token = self.mark(token);
            self.reads.push((token, index));
        } else {
            probe!("an answer to a read came from a node that does not lead any more");
        }
    }

    /// Turns the host's token into the one on the wire, and back. A host that was restarted may count its tokens from the
    /// start again, and an answer to its earlier life must not answer a later question.
    fn mark(&self, token: u64) -> u64 {
        token ^ splitmix64(self.seed)
    }

    /// Starts a round for the waiting reads, unless one is under way. A leader that has committed nothing in its term
    /// does not know yet what earlier leaders have committed.
    pub(super) fn start_round(&mut self) {
        let commit = self.commit_index();
        let State::Leader(leader) = &mut self.state else { return };
        let rounds = &mut leader.rounds;
        if !rounds.waiting.is_empty() && !rounds.confirming.is_empty() {
            probe!("reads waited for the round before theirs");
        }
        if !rounds.waiting.is_empty() && commit < leader.term_start {
            probe!("reads waited for the first commit of the term");
        }
        if rounds.waiting.is_empty() || !rounds.confirming.is_empty() || commit < leader.term_start {
            return;
        }
        std::mem::swap(&mut rounds.waiting, &mut rounds.confirming);
        rounds.round += 1;
        rounds.index = commit;
        self.confirm_round();
    }

    /// Answers the reads of the round under way, if a quorum has confirmed it.
    pub(super) fn confirm_round(&mut self) {
        let term = self.term();
        let State::Leader(leader) = &mut self.state else { return };
        let rounds = &mut leader.rounds;
        if rounds.confirming.is_empty() {
            return;
        }
        let acked = std::iter::once(rounds.round).chain(leader.peers.values().map(|peer| peer.acked_round));
        if self.config.reached(&acked) < rounds.round {
            return;
        }
        let index = rounds.index;
        if rounds.confirming.len() > 1 {
            probe!("several reads shared a round");
        }
        for (from, token) in rounds.confirming.drain(..) {
            if from == self.id {
                self.reads.push((token, index));
            } else {
                let message = Message::ReadIndexResponse { token, index };
                self.messages.push(Envelope { from: self.id, to: from, term, message });
            }
        }
    }
}
