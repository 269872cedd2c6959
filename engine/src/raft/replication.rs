//! Replication: how a leader brings its followers' logs to equal its own, and what is committed.

use super::core::State;
use super::{Entry, Index, Message, NodeId, Raft, Term};

/// What a leader knows of a follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    /// The follower's log is known to equal the leader's up to here, durably.
    matched: Index,
    /// The next entry to send.
    next: Index,
    /// Whether entries are sent without waiting for answers; if not, `next` is a guess that the next answer corrects.
    pipelined: bool,
    /// Whether it has answered since the quorum was last checked.
    active: bool,
    /// The newest round of confirming the leadership that it has answered.
    pub round: u64,
}

impl Progress {
    pub fn new(next: Index) -> Self {
        Self { matched: 0, next, pipelined: false, active: true, round: 0 }
    }

    /// Whether it has answered since the last call.
    pub fn take_active(&mut self) -> bool {
        std::mem::take(&mut self.active)
    }
}

impl Raft {
    /// Sends an append to every follower: what it lacks, or a heartbeat. A heartbeat is an append without entries: a
    /// follower that has lost one on the way rejects it, and so is found out.
    pub(super) fn broadcast(&mut self) {
        if let State::Leader(leadership) = &mut self.state {
            leadership.since_heartbeat = 0;
        }
        for peer in self.peers.clone() {
            self.send_append(peer);
        }
    }

    /// Sends entries that have just become durable here to the followers that keep up.
    pub(super) fn send_new_entries(&mut self) {
        let last = self.log.last_index();
        let State::Leader(leadership) = &self.state else { return };
        let behind: Vec<NodeId> = leadership
            .progress
            .iter()
            .filter(|(_, progress)| progress.pipelined && progress.next <= last)
            .map(|(&peer, _)| peer)
            .collect();
        for peer in behind {
            self.send_append(peer);
        }
    }

    fn send_append(&mut self, to: NodeId) {
        let State::Leader(leadership) = &mut self.state else { unreachable!("only a leader sends appends") };
        let round = leadership.reads.round();
        let progress = leadership.progress.get_mut(&to).expect("every peer has its progress");
        let prev_index = progress.next - 1;
        let prev_term = self.log.term(prev_index).expect("a leader has every entry that it has sent");
        let room = if progress.pipelined {
            (progress.matched + self.options.max_inflight_entries).saturating_sub(prev_index)
        } else {
            u64::MAX
        };
        let limit = room.min(self.options.max_entries_per_append as u64);
        // Entries that are not durable here do not leave, so that a follower never has what the leader could lose.
        let last = self.persisted.min(prev_index + limit);
        let mut bytes = 0;
        let entries: Vec<Entry> = self
            .log
            .slice(progress.next, last)
            .iter()
            .enumerate()
            .take_while(|(position, entry)| {
                bytes += entry.payload.as_ref().map_or(0, |payload| payload.len());
                *position == 0 || bytes <= self.options.max_bytes_per_append
            })
            .map(|(_, entry)| entry.clone())
            .collect();
        if progress.pipelined {
            progress.next += entries.len() as Index;
        }
        let commit = self.commit;
        self.send(to, Message::Append { prev_index, prev_term, entries, commit, round });
    }

    /// A follower takes an append from the leader of its term.
    pub(super) fn append(
        &mut self,
        from: NodeId,
        prev_index: Index,
        prev_term: Term,
        entries: Vec<Entry>,
        commit: Index,
        round: u64,
    ) {
        let term = self.hard.term;
        assert!(
            !matches!(self.state, State::Leader(_)),
            "election safety: node {from} leads in term {term}, which node {} leads",
            self.id
        );
        let contiguous =
            entries.iter().zip(prev_index..).all(|(entry, before)| Some(entry.index) == before.checked_add(1));
        let ordered = entries.is_sorted_by_key(|entry| entry.term)
            && entries.first().is_none_or(|entry| entry.term >= prev_term)
            && entries.last().is_none_or(|entry| entry.term <= term);
        if !contiguous || !ordered || prev_index.checked_add(entries.len() as u64).is_none() {
            tracing::warn!(from, prev_index, "ignored an append that makes no sense");
            return;
        }
        self.become_follower(term, Some(from));
        self.elapsed = 0;
        let present = self.log.term(prev_index);
        if present != Some(prev_term) {
            let (conflict_term, conflict_index) = match present {
                Some(present) => (Some(present), self.log.first_of_term_at(prev_index)),
                None => (None, self.log.last_index() + 1),
            };
            self.send(from, Message::AppendRejected { prev_index, conflict_term, conflict_index, round });
            return;
        }
        let matched = prev_index + entries.len() as Index;
        for entry in entries {
            match self.log.term(entry.index) {
                Some(present) if present == entry.term => continue,
                Some(present) => {
                    assert!(
                        entry.index > self.commit,
                        "state machine safety: entry {} of term {present} is committed, but the leader of term {term} has \
                         one of term {} there",
                        entry.index,
                        entry.term
                    );
                    self.log.truncate(entry.index - 1);
                    self.persisted = self.persisted.min(entry.index - 1);
                }
                None => {}
            }
            self.log.push(entry);
        }
        // What lies beyond the message may differ from the leader's, so it must not be committed by it.
        self.commit = self.commit.max(commit.min(matched));
        self.send(from, Message::AppendAccepted { matched, round });
    }

    pub(super) fn append_accepted(&mut self, from: NodeId, matched: Index, round: u64) {
        let last = self.log.last_index();
        let State::Leader(leadership) = &mut self.state else { return };
        if matched > last {
            tracing::warn!(from, matched, last, "ignored an answer about entries that were never sent");
            return;
        }
        let progress = leadership.progress.get_mut(&from).expect("every peer has its progress");
        progress.active = true;
        progress.round = progress.round.max(round);
        let advanced = matched > progress.matched;
        progress.matched = progress.matched.max(matched);
        progress.next = progress.next.max(matched + 1);
        progress.pipelined = true;
        if advanced {
            self.advance_commit();
        }
        self.count_round();
        if self.lacks_entries(from) {
            self.send_append(from);
        }
    }

    fn lacks_entries(&self, peer: NodeId) -> bool {
        let State::Leader(leadership) = &self.state else { return false };
        let progress = &leadership.progress[&peer];
        progress.next <= self.persisted && progress.next - progress.matched <= self.options.max_inflight_entries
    }

    pub(super) fn append_rejected(
        &mut self,
        from: NodeId,
        prev_index: Index,
        conflict_term: Option<Term>,
        conflict_index: Index,
        round: u64,
    ) {
        let State::Leader(leadership) = &mut self.state else { return };
        let progress = leadership.progress.get_mut(&from).expect("every peer has its progress");
        progress.active = true;
        progress.round = progress.round.max(round);
        // An answer to an append that has since been overtaken says nothing new.
        let stale = prev_index <= progress.matched || prev_index >= progress.next;
        if !stale {
            // The logs can agree at most up to the last entry here of the conflicting term or an earlier one (Raft §3.5).
            let before = conflict_index.saturating_sub(1).min(prev_index - 1);
            let agreed = match conflict_term.map(|term| (term, self.log.last_up_to_term(term, prev_index - 1))) {
                Some((term, index)) if self.log.term(index) == Some(term) => index,
                _ => before,
            };
            progress.pipelined = false;
            progress.next = agreed.max(progress.matched) + 1;
        }
        self.count_round();
        if !stale {
            self.send_append(from);
        }
    }

    /// Commits what a quorum has, if it is of this term: an older entry could still be overwritten (Raft §3.6.2).
    pub(super) fn advance_commit(&mut self) {
        let quorum = self.quorum();
        let State::Leader(leadership) = &self.state else { unreachable!("only a leader counts") };
        let mut matched: Vec<Index> = leadership.progress.values().map(|progress| progress.matched).collect();
        matched.push(self.persisted);
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let index = matched[quorum - 1];
        if index > self.commit && self.log.term(index) == Some(self.hard.term) {
            self.commit = index;
            self.release_held_reads();
            // Followers are gateways, whose clients wait for the commit.
            self.broadcast();
        }
    }
}
