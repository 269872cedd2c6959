//! One database node: the gateway of its clients, a replica of the state machine, and a member of the Raft group.
//!
//! A host feeds a [`Node`] inputs with [`Node::step`] and then calls [`Node::ready`], which makes everything durable
//! that must be, in one sync, and only then hands out messages and replies. Feeding many inputs before one `ready` is
//! group commit. Time comes in as [`Input::Tick`]: the node never sees a clock, so nothing but timeouts can depend on
//! one. Every error ends the node: the host drops it, and opens it again from what the disk holds.
//!
//! A disk is prepared once with [`format()`], before the node's first start. What a disk has lost since then is noticed when
//! the node is opened, or later by its leader, and repaired from the node's own log or from its peers (`repair`).
//!
//! A transaction runs on the node that its client is connected to (`session`), at a snapshot that the leader has
//! confirmed with ReadIndex, and commits as one Raft command (`command`) that every replica validates alike when it
//! applies it (`machine`).

mod answers;
mod command;
mod gateway;
mod leader;
mod machine;
mod options;
mod past;
pub mod protocol;
mod repair;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use command::{Abort, Command, Outcome};
pub use machine::{Applied, Decided, Machine};
pub use options::GatewayOptions;
use protocol::{Message, Reply, Request};
pub use repair::{Freshness, Repair, format};

use crate::buggify::{Buggify, Site};
use crate::disk::Disk;
use crate::mvcc;
use crate::raft::{self, Index, Log, NodeId, Raft};
use crate::storage::{self, Storage};
use gateway::Gateway;
use leader::Leader;
use repair::Parts;

/// How a node is set up. It must not change while its disk is in use, but for the options.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The other nodes of the cluster.
    pub peers: BTreeSet<NodeId>,
    /// Timeouts and batch limits of Raft.
    pub raft: raft::Options,
    /// Timeouts and limits of sessions.
    pub gateway: GatewayOptions,
    /// Storage is flushed after this many applied entries, at least 1. A restart re-applies at most so many.
    pub flush_every: u64,
    /// How many of the latest positions stay readable with AS OF SYSTEM TIME; `None` keeps all.
    pub retention: Option<u64>,
    /// Where the node acts up by itself, legally ([`Buggify`]); 0 is nowhere.
    pub buggify: u64,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// One unit of time has passed.
    Tick,
    /// A message from a peer.
    Peer(Message),
    /// A request from a client.
    Client(Request),
}

/// What goes out, after it is safe to.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// To other nodes.
    pub messages: Vec<Message>,
    /// To clients of this node.
    pub replies: Vec<Arc<Reply>>,
    /// The log entries that were made durable: first and last index.
    pub persisted: Option<(Index, Index)>,
    /// Entries that were applied: their index, and what applying them decided, if they were about a transaction.
    pub applied: Vec<(Index, Option<Decided>)>,
}

/// Why a node cannot go on, or not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The log or the store failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The node has lost entries that it had acknowledged: its disk is an older image. Its log was set aside, if its peers
    /// are enough to give it back: then the node recovers when it is opened again.
    #[error(transparent)]
    Forgot(#[from] raft::Forgot),
    /// The store has applied entries that the log does not hold.
    #[error("the store has applied entry {applied}, but the log ends at {last}: one of them was replaced or lost")]
    StoreAheadOfLog {
        /// What the store has applied.
        applied: Index,
        /// The last index of the log.
        last: Index,
    },
}

impl From<mvcc::Error> for Error {
    fn from(error: mvcc::Error) -> Self {
        match error {
            mvcc::Error::Storage(error) => Self::Storage(error),
            other => unreachable!("replicated state is only read within its bounds: {other}"),
        }
    }
}

/// A database node over a disk and a store.
pub struct Node<D: Disk, S: Storage> {
    config: Config,
    raft: Raft,
    log: Log<D>,
    machine: Machine<S>,
    gateway: Gateway,
    leader: Leader,
    repair: Repair,
    buggify: Buggify,
    /// What the next `ready` hands out.
    out: Ready,
}

impl<D: Disk, S: Storage> Node<D, S> {
    /// Recovers a node from its disk. `open_store` opens its store, which lives on the same disk or in memory: what it lacks
    /// is applied again from the log. It is called a second time, for an empty store, when the first one is damaged or the
    /// log is lost. `seed` must differ in every life of the node.
    ///
    /// # Errors
    /// When the disk fails; and when the log is lost, but the node's peers are too few to give it back.
    pub fn open(
        config: Config,
        disk: D,
        seed: u64,
        open_store: impl FnMut(Freshness) -> Result<S, storage::Error>,
    ) -> Result<Self, Error> {
        let Parts { log, recovered, machine, repair } = repair::open(&config, disk, seed, open_store)?;
        let raft = Raft::new(config.id, config.peers.clone(), config.raft.clone(), seed, recovered);
        tracing::info!(
            term = raft.term(),
            last = raft.last_index(),
            applied = machine.applied(),
            recovering = raft.is_recovering(),
            "opened"
        );
        let gateway = Gateway::new(config.gateway.clone(), seed);
        // Another life acts up elsewhere in time.
        let buggify = if config.buggify == 0 { Buggify::OFF } else { Buggify::new(config.buggify, seed) };
        let (leader, out) = (Leader::default(), Ready::default());
        Ok(Self { config, raft, log, machine, gateway, leader, repair, buggify, out })
    }

    /// Tells the node what time it is: milliseconds since the beginning of 1970, UTC, by its host's clock, which should not
    /// go backwards. It is what AS OF SYSTEM TIME knows times by, and nothing else depends on it; a node that is never told
    /// knows none. Its precision is that of how often it is told.
    pub fn tell_time(&mut self, time: mvcc::Time) {
        self.gateway.tell_time(time);
    }

    /// Takes one input. Nothing leaves the node before [`Node::ready`].
    ///
    /// # Errors
    /// When the disk fails; and when the input reveals that the node has lost what it had acknowledged. Then its log was
    /// set aside, unless its peers are too few to give it back.
    pub fn step(&mut self, input: Input) -> Result<(), Error> {
        match input {
            Input::Tick => {
                self.raft.tick();
                let early = self.buggify.fires(Site::AskEarly);
                self.gateway.tick(self.raft.leader(), early);
                self.propose_collection();
            }
            Input::Peer(Message::Raft(envelope)) => {
                if let Err(forgot) = self.raft.step(envelope) {
                    tracing::warn!(%forgot, "the log has lost entries");
                    if Raft::can_spare_one(self.config.id, &self.config.peers) {
                        self.log.set_aside()?;
                    }
                    return Err(forgot.into());
                }
            }
            // What is in the log must decode on every replica, so nothing gets there unseen.
            Input::Peer(Message::Propose { from, command, .. }) => match Command::decode(&command) {
                Ok(_) => self.leader.propose(command, &mut self.raft),
                Err(error) => tracing::warn!(from, %error, "dropped a proposal that does not decode"),
            },
            Input::Client(request) if self.buggify.seldom(Site::EndSession) => {
                probe!("a session ended for no reason");
                self.gateway.drop_session(request.client);
                self.gateway.request(request, &self.machine, &mut self.out)?;
            }
            Input::Client(request) => self.gateway.request(request, &self.machine, &mut self.out)?,
        }
        self.advance()
    }

    /// Makes durable what must be, in at most one sync, then moves what may go out into `ready`. Returns whether it
    /// must be called again at once, because what became durable has led to more that must be.
    pub fn ready(&mut self, ready: &mut Ready) -> Result<bool, Error> {
        self.gateway.start_reads(&mut self.raft);
        self.send_proposals();
        if let Some(unpersisted) = self.raft.unpersisted() {
            let (mut hard_state, entries) = (unpersisted.hard_state, unpersisted.entries);
            if hard_state.is_some() && !entries.is_empty() && self.buggify.fires(Site::SyncHardStateApart) {
                probe!("a term was durable before the entries that came with it");
                self.log.append(hard_state.take(), &[])?;
                self.log.sync()?;
            }
            self.log.append(hard_state, entries)?;
            self.log.sync()?;
            if let (Some(first), Some(last)) = (unpersisted.entries.first(), unpersisted.entries.last()) {
                self.out.persisted = Some((first.index, last.index));
            }
            self.raft.persisted();
        }
        self.out.messages.extend(self.raft.take_messages().into_iter().map(Message::Raft));
        self.advance()?;
        self.send_proposals();
        *ready = std::mem::take(&mut self.out);
        Ok(self.raft.unpersisted().is_some() || self.gateway.has_reads_to_start())
    }

    /// Applies what is committed, and lets the sessions that waited for it go on.
    fn advance(&mut self) -> Result<(), Error> {
        let (applied, commit) = (self.machine.applied(), self.raft.commit_index());
        if commit > applied {
            for entry in self.raft.entries(applied + 1, commit) {
                self.leader.applied(entry);
                let decided = self.machine.apply(entry)?;
                if self.buggify.fires(Site::FlushEarly) {
                    self.machine.flush()?;
                }
                self.out.applied.push((entry.index, decided.as_ref().map(Decided::from)));
                if let Some(decided) = decided {
                    self.gateway.settle(decided, &mut self.out);
                }
            }
        }
        self.gateway.time_passed(&self.machine);
        for (token, index) in self.raft.take_reads() {
            self.gateway.read_confirmed(token, index);
        }
        self.gateway.run_reads(&self.machine, &mut self.out)
    }

    /// Sends the gateway's commands to the leader, which may be this node.
    fn send_proposals(&mut self) {
        for command in self.gateway.take_proposals() {
            match self.raft.leader() {
                Some(to) if to == self.config.id => self.leader.propose(command, &mut self.raft),
                Some(to) => self.out.messages.push(Message::Propose { from: self.config.id, to, command }),
                None => {}
            }
        }
    }

    /// The leader moves the watermark once twice the retention has piled up.
    fn propose_collection(&mut self) {
        let Some(retention) = self.config.retention else { return };
        let (applied, watermark) = (self.machine.applied(), self.machine.store().watermark());
        if self.raft.role() == raft::Role::Leader && applied >= watermark + 2 * retention.max(1) {
            self.leader.propose_collection(applied - retention, applied, &mut self.raft);
        }
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// Whether the node has lost its log, and not got its vote back so far.
    pub fn is_recovering(&self) -> bool {
        self.raft.is_recovering()
    }

    /// What opening the node has done to its disk.
    pub fn repaired(&self) -> &Repair {
        &self.repair
    }

    /// The state of the Raft protocol, for observers.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The replicated state, for observers.
    pub fn machine(&self) -> &Machine<S> {
        &self.machine
    }

    /// The clients that are connected.
    pub fn connections(&self) -> usize {
        self.gateway.connections()
    }
}
