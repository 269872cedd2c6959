//! A cluster whose messages, time, disks and lives a test holds in its hands. Every change is shown to [`Safety`].

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Entry, Envelope, Forgot, HardState, Index, NodeId, Nonce, Options, Raft, Recovered, Role};
use super::safety::Safety;

/// What a node has synced.
#[derive(Clone, Default)]
pub struct Stored {
    pub hard_state: HardState,
    pub entries: Vec<Entry>,
}

impl Stored {
    fn append(&mut self, hard_state: Option<HardState>, entries: &[Entry]) {
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        if let Some(first) = entries.first() {
            self.entries.truncate(first.index as usize - 1);
            self.entries.extend_from_slice(entries);
        }
    }
}

/// One node: what it stored, and its state while it runs.
#[derive(Default)]
pub struct Node {
    /// Reads in this life, which name themselves by counting.
    tokens: u64,
    pub stored: Stored,
    /// The logs that it stored and lost as a voter. Its word for them still counts.
    pub forgotten: Vec<Vec<Entry>>,
    pub raft: Option<Raft>,
}

impl Node {
    /// Whether it has promised to keep an entry: it has it as a voter, or had it.
    pub fn has_promised(&self, entry: &Entry) -> bool {
        let votes = self.stored.hard_state.recovering.is_none();
        let logs = self.forgotten.iter().chain(votes.then_some(&self.stored.entries));
        logs.into_iter().any(|log| log.get(entry.index as usize - 1) == Some(entry))
    }
}

pub struct Cluster {
    pub nodes: BTreeMap<NodeId, Node>,
    /// Messages on their way, in the order of sending.
    pub network: Vec<Envelope>,
    /// Links that lose what is sent, as (from, to).
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// Nodes for which no time passes in a round, though messages arrive.
    pub slow: BTreeSet<NodeId>,
    /// Reads that were confirmed, with their node.
    pub confirmed: Vec<(NodeId, u64, Index)>,
    /// Losses that were noticed by an honest message.
    pub noticed: Vec<(NodeId, Forgot)>,
    /// Nodes whose disk is an older image, and which may notice that.
    rolled_back: BTreeSet<NodeId>,
    pub safety: Safety,
    options: Options,
    /// How many lives all nodes have begun.
    lives: u64,
    commands: u64,
    wipes: u64,
}

impl Cluster {
    pub fn new(size: u8, options: Options) -> Self {
        let nodes = (1..=size).map(|id| (id, Node::default())).collect();
        let mut cluster = Self {
            nodes,
            network: Vec::new(),
            cut: BTreeSet::new(),
            slow: BTreeSet::new(),
            confirmed: Vec::new(),
            noticed: Vec::new(),
            rolled_back: BTreeSet::new(),
            safety: Safety::default(),
            options,
            lives: 0,
            commands: 0,
            wipes: 0,
        };
        for id in 1..=size {
            cluster.restart(id);
        }
        cluster
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub fn raft(&self, id: NodeId) -> Option<&Raft> {
        self.nodes[&id].raft.as_ref()
    }

    /// The running leader of the latest term.
    pub fn leader(&self) -> Option<NodeId> {
        let running = self.nodes.values().filter_map(|node| node.raft.as_ref());
        running.filter(|raft| raft.role() == Role::Leader).max_by_key(|raft| raft.term()).map(Raft::id)
    }

    /// Gives a node an input, without making anything durable. Nothing happens to a node that is down.
    pub fn input(&mut self, id: NodeId, input: impl FnOnce(&mut Raft)) {
        if let Some(raft) = &mut self.nodes.get_mut(&id).unwrap().raft {
            input(raft);
            self.safety.check(id, &self.nodes);
        }
    }

    /// Makes a node's promises durable, without sending anything.
    pub fn persist(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(raft) = &mut node.raft else { return };
        while let Some(unpersisted) = raft.unpersisted() {
            node.stored.append(unpersisted.hard_state, unpersisted.entries);
            raft.persisted();
        }
        self.safety.check(id, &self.nodes);
    }

    /// Ends a node's turn: what must be is made durable, messages leave, reads are answered.
    pub fn ready(&mut self, id: NodeId) {
        self.persist(id);
        let Some(raft) = &mut self.nodes.get_mut(&id).unwrap().raft else { return };
        let messages = raft.take_messages();
        let reads = raft.take_reads();
        self.network.extend(messages.into_iter().filter(|message| !self.cut.contains(&(message.from, message.to))));
        for (token, index) in reads {
            self.safety.check_read(id, token, index);
            self.confirmed.push((id, token, index));
        }
        self.safety.check(id, &self.nodes);
    }

    pub fn tick(&mut self, id: NodeId) {
        self.input(id, Raft::tick);
        self.ready(id);
    }

    /// Gives a node a message. One that finds out that it has lost something goes down, to recover when it is restarted.
    pub fn step(&mut self, envelope: Envelope) {
        let id = envelope.to;
        let mut result = Ok(());
        self.input(id, |raft| result = raft.step(envelope));
        if let Err(forgot) = result {
            assert!(self.rolled_back.remove(&id), "{id} has lost nothing, and believes: {forgot}");
            self.noticed.push((id, forgot));
            self.wipe(id);
        }
    }

    pub fn deliver(&mut self, envelope: Envelope) {
        let id = envelope.to;
        self.step(envelope);
        self.ready(id);
    }

    /// Proposes a new command. False when the node does not lead.
    pub fn propose(&mut self, id: NodeId) -> bool {
        self.commands += 1;
        self.propose_command(id, &self.commands.to_be_bytes())
    }

    pub fn propose_command(&mut self, id: NodeId, command: &[u8]) -> bool {
        let mut proposed = false;
        self.input(id, |raft| proposed = raft.propose(command.into()).is_ok());
        proposed
    }

    /// Asks for a read under a new token.
    pub fn read(&mut self, id: NodeId) -> u64 {
        let node = self.nodes.get_mut(&id).unwrap();
        node.tokens += 1;
        let token = node.tokens;
        self.safety.note_read(id, token);
        self.input(id, |raft| raft.read(token));
        token
    }

    /// Takes down a node: what is not stored is lost.
    pub fn crash(&mut self, id: NodeId) {
        self.nodes.get_mut(&id).unwrap().raft = None;
    }

    /// Takes down a node, and all that it stored.
    pub fn wipe(&mut self, id: NodeId) {
        self.crash(id);
        self.wipes += 1;
        let node = self.nodes.get_mut(&id).unwrap();
        let hard_state = HardState { recovering: Nonce::new(self.wipes), ..HardState::default() };
        let lost = std::mem::replace(&mut node.stored, Stored { hard_state, entries: Vec::new() });
        if lost.hard_state.recovering.is_none() {
            node.forgotten.push(lost.entries);
        }
        self.safety.forget_votes(id);
    }

    /// Whether a node can be wiped, and the others still have everything.
    pub fn can_spare(&self, id: NodeId) -> bool {
        let others = self.nodes.iter().filter(|&(&other, _)| other != id);
        let recovering = others.filter(|(_, node)| node.stored.hard_state.recovering.is_some());
        recovering.count() < (self.nodes.len() - 1) / 2
    }

    /// Takes down a node, and puts an older image in the place of what it stored.
    pub fn roll_back(&mut self, id: NodeId, image: Stored) {
        self.crash(id);
        let node = self.nodes.get_mut(&id).unwrap();
        node.forgotten.push(std::mem::replace(&mut node.stored, image).entries);
        self.rolled_back.insert(id);
        self.safety.forget_votes(id);
    }

    /// Starts a node that is down, from what it stored.
    pub fn restart(&mut self, id: NodeId) {
        let peers = self.nodes.keys().copied().filter(|&peer| peer != id).collect();
        let node = self.nodes.get_mut(&id).unwrap();
        let Stored { hard_state, entries } = node.stored.clone();
        if node.raft.is_none() {
            self.lives += 1;
            node.tokens = 0;
            let recovered = Recovered { hard_state, entries };
            node.raft = Some(Raft::new(id, peers, self.options.clone(), self.lives, recovered));
            self.safety.forget(id);
        }
    }

    /// Cuts all links between nodes of different groups, and heals all others. What is on its way is not affected.
    pub fn partition(&mut self, group_of: impl Fn(NodeId) -> u8) {
        let ids = self.ids();
        let pairs = ids.iter().flat_map(|&from| ids.iter().map(move |&to| (from, to)));
        self.cut = pairs.filter(|&(from, to)| group_of(from) != group_of(to)).collect();
    }

    /// Delivers what is on its way now, in order.
    pub fn deliver_round(&mut self) {
        for envelope in std::mem::take(&mut self.network) {
            self.deliver(envelope);
        }
    }

    /// Lets time pass for a node until it campaigns.
    pub fn campaign(&mut self, id: NodeId) {
        for _ in 0..2 * self.options.election_ticks {
            if self.raft(id).is_some_and(|raft| matches!(raft.role(), Role::Follower { .. })) {
                self.tick(id);
            }
        }
    }

    /// A unit of time for everyone who is not slow, in which all messages arrive.
    pub fn round(&mut self) {
        for id in self.ids().into_iter().filter(|id| !self.slow.contains(id)).collect::<Vec<_>>() {
            self.tick(id);
        }
        self.deliver_round();
    }

    /// Ends all faults, and demands progress: within a bounded time a leader commits a new entry, everyone has it and is a
    /// voter, all logs are equal, and every node's reads are answered.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.slow.clear();
        for id in self.ids() {
            self.restart(id);
        }
        // Messages of the past may be numerous; they all arrive now.
        self.deliver_round();
        let mut proposed: Option<(Index, u64)> = None;
        for _ in 0..20 * self.options.election_ticks {
            self.round();
            // A leader that is being deposed may lose the entry, so it is proposed again in a new term.
            let Some(leader) = self.leader() else { continue };
            let term = self.raft(leader).unwrap().term();
            if proposed.is_none_or(|(_, before)| before != term) {
                proposed = Some((self.raft(leader).unwrap().last_index() + 1, term));
                self.propose(leader);
                self.ready(leader);
            }
            let rafts = || self.nodes.values().map(|node| node.raft.as_ref().unwrap());
            let last = self.raft(leader).unwrap().last_index();
            let settled = |raft: &Raft| raft.commit_index() == last && !raft.is_recovering();
            if proposed.is_some_and(|(index, _)| last >= index) && rafts().all(settled) {
                let mut logs = rafts().map(|raft| raft.entries(1, raft.last_index()));
                let first = logs.next().unwrap();
                for log in logs {
                    assert_eq!(log, first, "logs differ after everyone has committed the leader's last entry");
                }
                return self.demand_reads();
            }
        }
        panic!("no progress after everything was healed");
    }

    fn demand_reads(&mut self) {
        let before = self.confirmed.len();
        let mut tokens = BTreeSet::new();
        for id in self.ids() {
            tokens.insert((id, self.read(id)));
            self.ready(id);
        }
        // To the leader, a round that is under way, the next one, and back.
        (0..6).for_each(|_| self.deliver_round());
        let confirmed: BTreeSet<_> = self.confirmed[before..].iter().map(|&(id, token, _)| (id, token)).collect();
        assert!(tokens.is_subset(&confirmed), "reads of a healthy cluster are answered");
    }
}
