//! Nodes that exchange messages in order, over disks that outlive them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::disk::{Disk, MemDisk};
use crate::node::protocol::{Message, Reply, Request};
use crate::node::{self, Config, Error, Freshness, GatewayOptions, Input, Node, Ready};
use crate::raft::{self, NodeId, Role};
use crate::storage::{self, BitCask, BitCaskOptions};

type Replica = Node<MemDisk, BitCask<MemDisk>>;

/// Opens a node's store.
pub(super) fn open_store<D: Disk>(disk: &D) -> impl FnMut(Freshness) -> Result<BitCask<D>, storage::Error> {
    |freshness| match freshness {
        Freshness::Kept => BitCask::open(disk.clone(), "store", BitCaskOptions::default()),
        Freshness::Empty => BitCask::open_empty(disk.clone(), "store", BitCaskOptions::default()),
    }
}

struct Host {
    disk: MemDisk,
    node: Option<Replica>,
    lives: u64,
}

/// The nodes, and what is on its way between them.
pub(super) struct Cluster {
    hosts: BTreeMap<NodeId, Host>,
    network: Vec<Message>,
    isolated: BTreeSet<NodeId>,
    /// Whether proposals of commands get lost.
    pub lose_proposals: bool,
    /// What clients were answered, and not taken so far.
    pub replies: Vec<Arc<Reply>>,
    pub retention: Option<u64>,
    pub gateway: GatewayOptions,
    /// Nodes that have stopped with an error. Nobody expects that but a test that looks here.
    pub stopped: Option<Vec<(NodeId, Error)>>,
}

impl Cluster {
    pub fn new(size: u8) -> Self {
        let host = |id| {
            let disk = MemDisk::new();
            node::format(&disk).unwrap();
            (id, Host { disk, node: None, lives: 0 })
        };
        Self {
            hosts: (1..=size).map(host).collect(),
            network: Vec::new(),
            isolated: BTreeSet::new(),
            lose_proposals: false,
            replies: Vec::new(),
            retention: None,
            gateway: GatewayOptions::default(),
            stopped: None,
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().collect()
    }

    pub fn node(&self, id: NodeId) -> Option<&Replica> {
        self.hosts[&id].node.as_ref()
    }

    /// A node's disk, which a test may exchange while the node does not run.
    pub fn disk(&mut self, id: NodeId) -> &mut MemDisk {
        &mut self.hosts.get_mut(&id).unwrap().disk
    }

    /// Starts a node, from what its disk holds.
    pub fn start(&mut self, id: NodeId) {
        self.try_start(id).unwrap();
    }

    pub fn try_start(&mut self, id: NodeId) -> Result<(), Error> {
        let peers = self.hosts.keys().copied().filter(|&peer| peer != id).collect();
        let config = Config {
            buggify: 0,
            id,
            peers,
            raft: raft::Options::default(),
            gateway: self.gateway.clone(),
            flush_every: 4,
            retention: self.retention,
        };
        let host = self.hosts.get_mut(&id).unwrap();
        assert!(host.node.is_none(), "node {id} runs already");
        host.lives += 1;
        let seed = host.lives * 100 + u64::from(id);
        host.node = Some(Node::open(config, host.disk.clone(), seed, open_store(&host.disk))?);
        Ok(())
    }

    /// Ends a node's process. What it wrote stays.
    pub fn kill(&mut self, id: NodeId) {
        assert!(self.hosts.get_mut(&id).unwrap().node.take().is_some(), "node {id} does not run");
    }

    /// Cuts a node off from its peers, not from clients.
    pub fn isolate(&mut self, id: NodeId) {
        self.isolated.insert(id);
    }

    pub fn heal(&mut self) {
        self.isolated.clear();
    }

    /// Gives a node an input, and lets it finish its turn.
    pub fn input(&mut self, id: NodeId, input: Input) {
        let host = self.hosts.get_mut(&id).unwrap();
        let Some(node) = &mut host.node else { return };
        if let Err(error) = node.step(input) {
            host.node = None;
            return self.stopped.as_mut().unwrap_or_else(|| panic!("node {id} stops: {error}")).push((id, error));
        }
        let mut ready = Ready::default();
        let mut more = true;
        while more {
            more = node.ready(&mut ready).unwrap();
            let lost = |message: &Message| self.lose_proposals && matches!(message, Message::Propose { .. });
            self.network.extend(ready.messages.drain(..).filter(|message| !lost(message)));
            self.replies.append(&mut ready.replies);
        }
    }

    /// Delivers messages until all is quiet.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.network.is_empty() {
                return;
            }
            for message in std::mem::take(&mut self.network) {
                if !self.isolated.contains(&message.from()) && !self.isolated.contains(&message.to()) {
                    self.input(message.to(), Input::Peer(message));
                }
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Sets a node's clock, which stands still otherwise.
    pub fn tell_time(&mut self, id: NodeId, time: u64) {
        self.hosts.get_mut(&id).unwrap().node.as_mut().unwrap().tell_time(time);
    }

    pub fn tick(&mut self, id: NodeId) {
        self.input(id, Input::Tick);
        self.settle();
    }

    pub fn request(&mut self, id: NodeId, request: Request) {
        self.input(id, Input::Client(request));
        self.settle();
    }

    /// Lets time pass on all nodes until one that is not isolated leads, and returns it.
    pub fn elect(&mut self) -> NodeId {
        for _ in 0..200 {
            for id in self.ids() {
                let leads = self.node(id).is_some_and(|node| node.raft().role() == Role::Leader);
                if leads && !self.isolated.contains(&id) {
                    return id;
                }
            }
            self.ids().into_iter().for_each(|id| self.tick(id));
        }
        panic!("nobody is elected");
    }
}
