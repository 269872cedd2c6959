//! Amnesia: what a node does that has lost its log, and how it becomes a voter again.
//!
//! A node whose disk was wiped, damaged or put back to an older state has forgotten promises: whom it voted for, and
//! which entries it has accepted. If it went on as if there had been none, it could vote twice in a term, or help to
//! elect a leader that lacks a committed entry which only it and another node had. So it *recovers*: it follows leaders and
//! stores what they send, but does not campaign, grants no vote, and says with every answer that it recovers, and from
//! which amnesia (a nonce). Such answers tell the leader what to send next, and count for nothing else: not for the commit
//! index, not for a round of reads, not as a sign that a quorum is there.
//!
//! When a leader hears of an amnesia, it appends an entry that [reinstates](super::Payload::Reinstate) the node, unless
//! its log holds that entry already. The node votes again when it knows that the entry of its present amnesia is
//! committed, and has everything up to it on disk. In the same record it takes the vote of its term for the leader that
//! it follows.
//!
//! # Why this is safe
//!
//! Let the node X forget, and let the entry r, which ends this amnesia, be committed in term T by a quorum Q. X is not in Q:
//! what it said before it forgot cannot be about r, which is younger, and what it says while it recovers is not counted.
//!
//! *Every leader of a term after T holds r, and was elected after X forgot.* Its electors and Q share a node Z, and since Z
//! is in Q, Z is not X. Z has accepted r in T, and has voted in a later term, so it voted after it accepted, and only for
//! a log at least as new as its own. By the usual induction over the terms between (Raft paper, 5.4.3) that log holds r.
//! And a log that holds r is younger than r, which is younger than the amnesia.
//!
//! So everything that X can have forgotten is void, or X has it again:
//!
//! - X voted in a term after T, or accepted an entry of one. That vote was for a log of before the amnesia, which cannot
//!   win; and there was no leader whose entry could be accepted.
//! - X voted in T, or accepted entries of T. T has its leader, and needs no votes. When X becomes a voter its term is at
//!   least T; and if it is T, X follows that leader, and has voted for it. Entries that X had accepted from it lie before
//!   r, because r came later, and X has everything up to r.
//! - X accepted an entry of a term before T. If it is ever committed, however late the news arrive, the leader of T holds
//!   it, by the usual argument: whatever part X had in it, and in the election, it had before it forgot. So it lies before
//!   r too.
//! - X voted in a term before T, or led one. X is in no such term any more. Nor does it lead a term twice: it campaigns in
//!   terms after the one in which it became a voter, and votes that it was given there for an earlier campaign are too
//!   few, since no node of Q gave one.
//!
//! Z may have forgotten too, between its two promises, and be a voter again. Then it has the first one again, or that is
//! void, by the same argument, made for Z at an earlier time: this is an induction over the order in which nodes become
//! voters.
//!
//! All this needs no bound on how many nodes forget; that nothing is lost does. Entries that were committed stay, as long
//! as some node has them that votes, in each quorum: a cluster of 2f + 1 survives f amnesias at a time. With more, the
//! others cannot commit, and nobody is reinstated.
//!
//! Messages that rely on what X has said can reach it after it forgot, when it may already follow an older leader and
//! hold other entries. So none of them may be taken on trust: an append names the entry before it as ever, and a word of
//! what is committed names the term of its entry.
//!
//! # How a loss is noticed
//!
//! Mostly when the log is opened ([`super::Log::open`]). An older image of a disk is a good log, though, and nothing on it
//! tells. Then the leader does: its appends say what the node has acknowledged in this term, and a log that does not
//! hold that has lost it ([`Forgot`]). An older image that is behind in votes only, or that no leader counts on, is not
//! noticed.

use super::core::{Raft, State};
use super::message::{HardState, Index, NodeId, Nonce, Payload, Term};

/// The node has lost entries that it had acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the leader counts on entry {acknowledged}, which this node had acknowledged, but its log ends at {last}, or differs"
)]
pub struct Forgot {
    /// What was acknowledged in this term.
    pub acknowledged: Index,
    /// The last index of the log.
    pub last: Index,
}

impl Raft {
    /// Whether the node has lost its log and has not been reinstated. It is no voter then.
    pub fn is_recovering(&self) -> bool {
        self.recovering().is_some()
    }

    /// The amnesia that the node recovers from.
    pub(super) fn recovering(&self) -> Option<Nonce> {
        self.hard_state.recovering
    }

    /// The leader counts on this node to have acknowledged an entry in this term: so it must hold it.
    ///
    /// It does, if it has forgotten nothing. Within a term there is one leader, whose log only grows. What the node
    /// acknowledged in this term was durable and equal to that log, so none of it was replaced since, and no restart has
    /// lost it. A message that comes late, or twice, or after later ones counts on less, never on more. Nor does a node
    /// that was reinstated fall short of what it acknowledged before its amnesia: that lies before the entry by which it
    /// was reinstated.
    ///
    /// A recovering node is not asked: late messages may count on what it said before it forgot.
    pub(super) fn check_acknowledged(&self, index: Index, term: Option<Term>) -> Result<(), Forgot> {
        let holds = match (self.log.term(index), term) {
            (Some(held), Some(term)) => held == term,
            (held, _) => held.is_some(),
        };
        if holds || self.is_recovering() {
            return Ok(());
        }
        probe!("a node found that it had forgotten what it acknowledged");
        Err(Forgot { acknowledged: index, last: self.log.last_index() })
    }

    /// Becomes a voter, if the entry that says so is committed, and all entries up to it are durable here.
    pub(super) fn accept_reinstatement(&mut self) {
        let Some(nonce) = self.recovering() else { return };
        let State::Follower { leader: Some(leader) } = self.state else { return };
        let entry = self.log.reinstatement(self.id, nonce);
        if entry.is_some_and(|index| index <= self.commit_index()) {
            probe!("a node got its vote back");
            let vote = self.vote().unwrap_or(leader);
            self.set_hard_state(HardState { vote: Some(vote), recovering: None, ..self.hard_state });
        }
    }

    /// As the leader, sees to it that a node gets its vote back, once for each amnesia. An entry that is in the log already
    /// will be committed there, if anything of this leader is.
    pub(super) fn reinstate(&mut self, node: NodeId, nonce: Nonce) {
        if self.log.reinstatement(node, nonce).is_none() {
            probe!("a leader reinstates a node");
            self.append(Payload::Reinstate { node, nonce });
        }
    }
}
