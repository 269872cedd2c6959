//! ReadIndex: reads that are as fresh as writes without passing through the log (Raft §6.4).
//!
//! A read asks the leader for its commit index, and the leader first confirms that it still leads: a quorum must answer
//! an append that was sent after the request arrived. Requests share these rounds: one that arrives while a round is on
//! its way waits for the next. Before a leader has committed an entry of its term it does not know what its predecessors
//! have committed, so it holds requests until then.
//!
//! The answer is good whatever the asker has seen since: at the moment the request arrived nobody else could commit.

use super::core::State;
use super::{Index, Message, NodeId, Raft};

/// The reads that a leader works on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reads {
    /// The newest round whose number has been sent.
    round: u64,
    /// The newest round that a quorum has answered.
    confirmed: u64,
    /// Requests that wait for a round, in the order of their rounds.
    waiting: Vec<Waiting>,
    /// Requests that wait for the term's first commit.
    held: Vec<(Option<NodeId>, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    /// Who asks; `None` is this node.
    from: Option<NodeId>,
    token: u64,
    index: Index,
    round: u64,
}

impl Reads {
    pub fn round(&self) -> u64 {
        self.round
    }
}

impl Raft {
    /// Asks for a position that includes everything committed before now. The answer comes out of [`Raft::take_reads`];
    /// if there is no leader, or it changes, or a message is lost, no answer ever comes, and the caller asks again.
    pub fn read(&mut self, token: u64) {
        match &self.state {
            State::Leader(_) => self.read_for(None, token),
            State::Follower { leader: Some(leader) } => self.send(*leader, Message::ReadIndex { token }),
            _ => {}
        }
    }

    /// The leader takes a request; others ignore it.
    pub(super) fn read_for(&mut self, from: Option<NodeId>, token: u64) {
        let commit = self.commit;
        let State::Leader(leadership) = &mut self.state else { return };
        let reads = &mut leadership.reads;
        if commit < leadership.first_index {
            reads.held.push((from, token));
            return;
        }
        reads.waiting.push(Waiting { from, token, index: commit, round: reads.round + 1 });
        if reads.confirmed == reads.round {
            self.start_round();
        }
    }

    /// The first entry of the term is committed: the requests that came before it can go on.
    pub(super) fn release_held_reads(&mut self) {
        let State::Leader(leadership) = &mut self.state else { return };
        if self.commit >= leadership.first_index {
            for (from, token) in std::mem::take(&mut leadership.reads.held) {
                self.read_for(from, token);
            }
        }
    }

    fn start_round(&mut self) {
        let State::Leader(leadership) = &mut self.state else { unreachable!("only a leader confirms itself") };
        leadership.reads.round += 1;
        self.broadcast();
        self.count_round();
    }

    /// Answers the requests whose round a quorum has answered, and starts the next round if requests wait for it.
    pub(super) fn count_round(&mut self) {
        let quorum = self.quorum();
        let State::Leader(leadership) = &mut self.state else { return };
        let reads = &mut leadership.reads;
        if reads.confirmed == reads.round {
            return;
        }
        let answered = leadership.progress.values().filter(|progress| progress.round >= reads.round).count();
        if answered + 1 < quorum {
            return;
        }
        reads.confirmed = reads.round;
        let later = reads.waiting.partition_point(|waiting| waiting.round <= reads.confirmed);
        let rest = reads.waiting.split_off(later);
        let more = !rest.is_empty();
        for Waiting { from, token, index, .. } in std::mem::replace(&mut reads.waiting, rest) {
            match from {
                None => self.confirmed_reads.push((token, index)),
                Some(to) => self.send(to, Message::ReadIndexResponse { token, index }),
            }
        }
        if more {
            self.start_round();
        }
    }
}
