//! A group of members whose messages, time, disks and lives a test holds in its hands, with Raft's safety properties
//! checked after every step.

use std::collections::BTreeMap;

use super::super::*;

/// What a member has made durable.
#[derive(Clone, Default)]
struct Durable {
    hard_state: HardState,
    entries: Vec<Entry>,
}

pub struct Cluster {
    members: Vec<Raft>,
    durable: Vec<Durable>,
    up: Vec<bool>,
    pub messages: Vec<Envelope>,
    options: Options,
    lives: u64,
    proposals: u64,
    tokens: u64,
    /// The leader of each term.
    leaders: BTreeMap<Term, NodeId>,
    /// What has been committed anywhere.
    committed: Vec<Entry>,
    /// What had been committed when each read was asked for.
    reads: BTreeMap<u64, Index>,
    pub confirmed_reads: usize,
}

impl Cluster {
    pub fn new(size: u8) -> Self {
        let options =
            Options { election_ticks: 5, heartbeat_ticks: 2, max_entries_per_append: 2, ..Options::default() };
        Self::with(size, options)
    }

    pub fn with(size: u8, options: Options) -> Self {
        let mut cluster = Self {
            members: Vec::new(),
            durable: vec![Durable::default(); size.into()],
            up: vec![true; size.into()],
            messages: Vec::new(),
            options,
            lives: 0,
            proposals: 0,
            tokens: 0,
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            reads: BTreeMap::new(),
            confirmed_reads: 0,
        };
        for id in 1..=size {
            let member = cluster.recover(id, size);
            cluster.members.push(member);
        }
        cluster
    }

    pub fn size(&self) -> u8 {
        self.durable.len() as u8
    }

    fn recover(&mut self, id: NodeId, size: u8) -> Raft {
        self.lives += 1;
        let Durable { hard_state, entries } = self.durable[usize::from(id) - 1].clone();
        let peers = (1..=size).filter(|&peer| peer != id).collect();
        Raft::new(id, peers, self.options.clone(), self.lives, hard_state, entries)
    }

    pub fn member(&self, id: NodeId) -> &Raft {
        &self.members[usize::from(id) - 1]
    }

    pub fn leader(&self) -> Option<NodeId> {
        let leads = |id: &NodeId| self.up[usize::from(*id) - 1] && self.member(*id).role() == Role::Leader;
        (1..=self.size()).filter(leads).max_by_key(|&id| self.member(id).term())
    }

    pub fn tick(&mut self, id: NodeId) {
        self.change(id, Raft::tick);
    }

    pub fn propose(&mut self, id: NodeId) -> bool {
        self.proposals += 1;
        let command = self.proposals.to_be_bytes();
        let mut accepted = false;
        self.change(id, |member| accepted = member.propose(command.into()).is_ok());
        accepted
    }

    pub fn read(&mut self, id: NodeId) {
        self.tokens += 1;
        let token = self.tokens;
        self.reads.insert(token, self.committed.len() as Index);
        self.change(id, |member| member.read(token));
    }

    /// Takes a message out of the network.
    pub fn take(&mut self, position: usize) -> Option<Envelope> {
        (!self.messages.is_empty()).then(|| self.messages.remove(position % self.messages.len()))
    }

    pub fn deliver(&mut self, envelope: Envelope) {
        self.change(envelope.to, |member| member.step(envelope));
    }

    /// Changes a member and makes the outcome durable, as a host does.
    fn change(&mut self, id: NodeId, change: impl FnOnce(&mut Raft)) {
        if !self.up[usize::from(id) - 1] {
            return;
        }
        change(&mut self.members[usize::from(id) - 1]);
        self.check(id);
        while let Some(unpersisted) = self.members[usize::from(id) - 1].unpersisted() {
            let durable = &mut self.durable[usize::from(id) - 1];
            durable.hard_state = unpersisted.hard_state.unwrap_or(durable.hard_state);
            if let Some(first) = unpersisted.entries.first() {
                durable.entries.truncate(first.index as usize - 1);
                durable.entries.extend_from_slice(unpersisted.entries);
            }
            self.members[usize::from(id) - 1].persisted();
        }
        let messages = self.members[usize::from(id) - 1].take_messages();
        self.messages.extend(messages);
        for (token, index) in self.members[usize::from(id) - 1].take_reads() {
            let before = self.reads[&token];
            assert!(index >= before, "read {token} may see entry {index}, but {before} was committed before it");
            self.confirmed_reads += 1;
        }
        self.check(id);
    }

    /// Changes a member, and loses power before anything becomes durable or leaves.
    pub fn crash_during(&mut self, id: NodeId, change: impl FnOnce(&mut Raft)) {
        if self.up[usize::from(id) - 1] {
            change(&mut self.members[usize::from(id) - 1]);
        }
        self.up[usize::from(id) - 1] = false;
    }

    pub fn restart(&mut self, id: NodeId) {
        let size = self.size();
        self.members[usize::from(id) - 1] = self.recover(id, size);
        self.up[usize::from(id) - 1] = true;
    }

    fn check(&mut self, id: NodeId) {
        let member = &self.members[usize::from(id) - 1];
        if member.role() == Role::Leader {
            let leader = *self.leaders.entry(member.term()).or_insert(id);
            assert_eq!(leader, id, "election safety: two leaders in term {}", member.term());
            for entry in &self.committed {
                if self.committed.last().is_some_and(|last| last.term <= member.term()) {
                    assert_eq!(member.entry(entry.index), Some(entry), "leader completeness in term {}", member.term());
                }
            }
        }
        let commit = member.commit_index();
        for entry in member.entries(1, commit) {
            match self.committed.get(entry.index as usize - 1) {
                Some(committed) => assert_eq!(committed, entry, "state machine safety"),
                None => self.committed.push(entry.clone()),
            }
        }
        for other in &self.members {
            let last = other.last_index().min(member.last_index());
            let Some(equal) = (1..=last)
                .rev()
                .find(|&i| other.entry(i).map(|entry| entry.term) == member.entry(i).map(|entry| entry.term))
            else {
                continue;
            };
            assert_eq!(other.entries(1, equal), member.entries(1, equal), "log matching");
        }
    }

    /// Everyone is up and every message arrives, until a leader has committed a new entry everywhere.
    pub fn heal(&mut self) {
        for id in 1..=self.size() {
            if !self.up[usize::from(id) - 1] {
                self.restart(id);
            }
        }
        let mut target = None;
        for round in 0..400 {
            for id in 1..=self.size() {
                self.tick(id);
            }
            while let Some(envelope) = self.take(0) {
                self.deliver(envelope);
            }
            if let Some(leader) = self.leader()
                // A leader that is about to be deposed may lose the proposal.
                && (target.is_none() || round % 50 == 0)
                && self.propose(leader)
            {
                self.read(leader);
                target = Some(self.member(leader).last_index());
            }
            if let Some(target) = target
                && self.members.iter().all(|member| member.commit_index() >= target)
            {
                return;
            }
        }
        panic!("liveness: no progress after everything was healed");
    }
}
