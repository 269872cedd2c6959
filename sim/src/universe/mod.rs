//! A universe: nodes, clients, network, disks and clocks of one scenario, on one thread, in virtual time.
//!
//! madsim gives the executor, the timers and the processes; everything else is Orrery's own. Shared state lives in
//! [`Universe`], which all tasks of the thread reach; what happens is hashed into a digest as it happens.

mod client;
mod observe;
mod phases;
mod process;
mod reigns;
mod schedule;
mod signal;
mod time;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use checkers::raft::Monitor;
use engine::node::protocol::{Message, Reply, Request};
use engine::node::{Config, GatewayOptions, Input};
use engine::raft;
use madsim::runtime::Handle;
use madsim::task::NodeId;
use rand_core::Rng as _;
use scenarios::Scenario;
use scenarios::streams::stream;

use crate::clock::NodeClock;
use crate::digest::Digest;
use crate::disk::{self, SimDisk};
use crate::network::{Address, Delivery, Network, NetworkOptions};
use crate::story::{Change, Moment};
use crate::verdict::Finding;
pub use phases::{Played, run};
use reigns::Reigns;
use schedule::{Action, Timeline};
use signal::Signal;

/// What travels on the network.
#[derive(Clone, Debug)]
pub enum Packet {
    /// Between nodes.
    Peer(Message),
    /// From a client to its gateway.
    Request(Request),
    /// Back.
    Reply(Arc<Reply>),
}

/// Why a process ended by itself.
#[derive(Debug)]
pub enum Death {
    /// The power went in the middle of a step.
    PowerLoss,
    /// The disk failed, and the engine stopped, as it must.
    DiskError(String),
    /// The engine says that durable data is damaged, which no fault of the scenario explains.
    Corruption(String),
}

/// The place of a node, which outlives its processes.
pub struct Slot {
    /// Its disk, as the next process gets it.
    pub disk: SimDisk,
    clock: NodeClock,
    /// What has arrived and not been taken.
    pub inbox: RefCell<VecDeque<Input>>,
    /// Wakes the process when something has arrived.
    pub signal: Signal,
    process: Cell<Option<NodeId>>,
    lives: Cell<u32>,
    up: Cell<bool>,
    paused: Cell<bool>,
    /// Until when its disk answers nothing.
    pub stalled_until: Cell<u64>,
    /// Asks the process for the digest of its state.
    pub wanted: Cell<bool>,
    /// The position that the process has applied, and its digest there.
    pub state: Cell<Option<(u64, u64)>>,
    /// The position that it has applied, at the last look.
    pub applied: Cell<u64>,
}

/// What a client waits for.
#[derive(Default)]
struct Mailbox {
    reply: Option<Arc<Reply>>,
    signal: Rc<Signal>,
}

/// A universe.
pub struct Universe {
    /// What is played.
    pub scenario: Rc<Scenario>,
    /// The network.
    pub network: RefCell<Network<Packet>>,
    nodes: Vec<Slot>,
    mailboxes: RefCell<BTreeMap<u32, Mailbox>>,
    /// Wakes the task that delivers messages.
    sent: Signal,
    digest: RefCell<Digest>,
    monitor: RefCell<Monitor>,
    /// The first thing that was found wrong while it happened.
    violation: RefCell<Option<Finding>>,
    /// Wakes the phases when something was found wrong.
    found: Signal,
    timeline: Timeline,
    reigns: Reigns,
    /// The terms that had a leader.
    leaders: RefCell<BTreeSet<u64>>,
    /// What happened to the nodes.
    story: RefCell<Vec<Moment>>,
    statements: RefCell<BTreeMap<String, Arc<str>>>,
    /// Faults that fired, by kind.
    pub faults: RefCell<BTreeMap<&'static str, u64>>,
}

thread_local! {
    /// The universe of this thread. A madsim process starts from a closure that must be `Send`, so it finds it here.
    static UNIVERSE: RefCell<Option<Rc<Universe>>> = const { RefCell::new(None) };
}

/// The virtual time of the universe that this thread plays, if it does, in nanoseconds.
pub fn here() -> Option<u64> {
    UNIVERSE.with(|universe| universe.try_borrow().ok()?.as_ref().map(|_| time::now_ns()))
}

/// Kinds of events in the digest.
mod event {
    pub const SEND: u8 = 1;
    pub const DELIVER: u8 = 2;
    pub const LIFE: u8 = 3;
    pub const DEATH: u8 = 4;
    pub const FAULT: u8 = 5;
    pub const APPLY: u8 = 6;
    pub const PHASE: u8 = 7;
}

impl Universe {
    /// Sets up the universe of this thread.
    fn begin(scenario: Rc<Scenario>) -> Rc<Self> {
        let seed = scenario.seed;
        let nodes = (1..=scenario.nodes)
            .map(|id| {
                let disk = SimDisk::new(disk_options(&scenario), stream(seed, "disk", u64::from(id)));
                // Before time begins, when nothing fails.
                disk.set_faults_enabled(false);
                engine::node::format(&disk).expect("a new disk can be formatted");
                disk.set_faults_enabled(true);
                disk.take_busy_us();
                let clock = scenario.clocks[usize::from(id) - 1];
                Slot {
                    disk,
                    clock: NodeClock::new(clock.skew_us, clock.drift_ppm),
                    inbox: RefCell::default(),
                    signal: Signal::default(),
                    process: Cell::new(None),
                    lives: Cell::new(0),
                    up: Cell::new(false),
                    paused: Cell::new(false),
                    stalled_until: Cell::new(0),
                    wanted: Cell::new(false),
                    state: Cell::new(None),
                    applied: Cell::new(0),
                }
            })
            .collect();
        let options = &scenario.network;
        let options = NetworkOptions {
            latency_min_us: options.latency.min_us,
            latency_mean_us: options.latency.mean_us,
            latency_tail_us: options.tail_us,
            tail_ppm: options.tail_ppm,
            loss_ppm: options.loss_ppm,
            duplicate_ppm: options.duplicate_ppm,
            reorder_ppm: options.reorder_ppm,
            reorder_us: options.reorder_us,
        };
        let universe = Rc::new(Self {
            network: RefCell::new(Network::new(options, stream(seed, "network", 0))),
            nodes,
            mailboxes: RefCell::default(),
            sent: Signal::default(),
            digest: RefCell::new(Digest::new()),
            monitor: RefCell::new(Monitor::new(usize::from(scenario.nodes) + 1)),
            violation: RefCell::default(),
            found: Signal::default(),
            timeline: Timeline::default(),
            reigns: Reigns::new(stream(seed, "reigns", 0)),
            leaders: RefCell::default(),
            story: RefCell::default(),
            statements: RefCell::default(),
            faults: RefCell::default(),
            scenario,
        });
        UNIVERSE.set(Some(Rc::clone(&universe)));
        for id in 1..=universe.scenario.nodes {
            let process = Handle::current()
                .create_node()
                .name(format!("node {id}"))
                .init(move || process::live(Self::current(), id))
                .build();
            universe.node(id).process.set(Some(process.id()));
        }
        universe
    }

    /// Lets go of everything that refers to the universe.
    fn end(&self) {
        UNIVERSE.set(None);
        for slot in &self.nodes {
            if let Some(process) = slot.process.get() {
                Handle::current().kill(process);
            }
        }
    }

    /// The universe of this thread.
    fn current() -> Rc<Self> {
        UNIVERSE.with_borrow(|universe| Rc::clone(universe.as_ref().expect("a process runs in a universe")))
    }

    /// A node's place. Ids start at 1.
    pub fn node(&self, id: u8) -> &Slot {
        &self.nodes[usize::from(id) - 1]
    }

    /// How a node is set up.
    pub fn config(&self, id: u8) -> Config {
        let options = &self.scenario.engine;
        let peers: BTreeSet<u8> = (1..=self.scenario.nodes).filter(|&peer| peer != id).collect();
        Config {
            id,
            peers,
            raft: raft::Options {
                election_ticks: options.election_ticks,
                heartbeat_ticks: options.heartbeat_ticks,
                max_entries_per_append: options.max_entries_per_append as usize,
                max_bytes_per_append: options.max_bytes_per_append as usize,
                max_inflight_entries: u64::from(options.max_inflight) * u64::from(options.max_entries_per_append),
            },
            gateway: GatewayOptions { resend_ticks: u64::from(options.election_ticks), ..GatewayOptions::default() },
            flush_every: u64::from(options.flush_every),
            retention: options.retention,
        }
    }

    /// Something has happened to a node.
    fn tell(&self, node: u8, change: Change) {
        self.story.borrow_mut().push(Moment { at_us: time::now_ns() / 1_000, node, change });
    }

    /// A process of a node begins. Returns the number of its life.
    pub fn begin_life(&self, id: u8) -> u32 {
        let slot = self.node(id);
        slot.lives.set(slot.lives.get() + 1);
        slot.up.set(true);
        slot.state.set(None);
        self.tell(id, Change::Starts);
        self.event(event::LIFE, &[u64::from(id), u64::from(slot.lives.get())]);
        slot.lives.get()
    }

    /// The engine's seed for a life.
    pub fn life_seed(&self, id: u8, life: u32) -> u64 {
        stream(self.scenario.seed, "node", u64::from(id) << 32 | u64::from(life)).next_u64()
    }

    /// A process has ended by itself.
    pub fn die(&self, id: u8, death: Death) {
        let slot = self.node(id);
        self.tell(id, Change::Stops);
        self.event(event::DEATH, &[u64::from(id)]);
        tracing::info!(id, ?death, "the process has ended");
        slot.up.set(false);
        slot.inbox.borrow_mut().clear();
        match death {
            Death::PowerLoss => self.count("crash mid-step"),
            Death::DiskError(_) => {
                slot.disk.process_crash();
                self.count("stop on disk error");
                self.plan(time::now_ns() + self.scenario.restart_us * 1_000, Action::Restart(id));
            }
            Death::Corruption(message) => {
                slot.disk.process_crash();
                self.report("durability", "corruption", message, Vec::new(), Some(id));
            }
        }
    }

    /// Stops a node's process from outside.
    pub fn crash(&self, id: u8, power_loss: bool) {
        let slot = self.node(id);
        if slot.up.replace(false) {
            self.count(if power_loss { "power loss" } else { "process crash" });
            self.tell(id, Change::Stops);
            self.event(event::DEATH, &[u64::from(id), u64::from(power_loss)]);
            self.resume(id);
            if let Some(process) = slot.process.get() {
                Handle::current().kill(process);
            }
        }
        slot.inbox.borrow_mut().clear();
        if power_loss {
            slot.disk.power_loss();
        } else {
            slot.disk.process_crash();
        }
    }

    /// Starts a node's next process, if it has none.
    pub fn restart(&self, id: u8) {
        let slot = self.node(id);
        if slot.up.get() {
            slot.disk.call_off_crash();
            return;
        }
        self.count("restart");
        slot.disk.restart();
        if let Some(process) = slot.process.get() {
            Handle::current().restart(process);
        }
    }

    /// Stops a node's time.
    pub fn pause(&self, id: u8) {
        let slot = self.node(id);
        if slot.up.get() && !slot.paused.replace(true) {
            self.count("pause");
            self.tell(id, Change::Pauses);
            if let Some(process) = slot.process.get() {
                Handle::current().pause(process);
            }
        }
    }

    /// Lets it go on.
    pub fn resume(&self, id: u8) {
        let slot = self.node(id);
        if slot.paused.replace(false) {
            self.tell(id, Change::Resumes);
            if let Some(process) = slot.process.get() {
                Handle::current().resume(process);
            }
        }
    }

    /// Counts a fault that has fired.
    pub fn count(&self, kind: &'static str) {
        *self.faults.borrow_mut().entry(kind).or_default() += 1;
    }

    /// Adds an event to the digest.
    fn event(&self, kind: u8, parts: &[u64]) {
        let mut digest = self.digest.borrow_mut();
        digest.event(kind, &[time::now_ns()]);
        digest.event(kind, parts);
    }

    /// Notes what was found wrong, if it is the first.
    fn report(&self, checker: &str, anomaly: &str, message: String, evidence: Vec<String>, node: Option<u8>) {
        let mut violation = self.violation.borrow_mut();
        if violation.is_none() {
            *violation = Some(Finding { node, ..self.finding(checker, anomaly, message, evidence) });
            self.found.notify();
        }
    }

    /// Sends a packet.
    pub fn send(&self, from: Address, to: Address, packet: Packet) {
        let mut network = self.network.borrow_mut();
        let before = network.next_due();
        self.digest.borrow_mut().event(event::SEND, &[address(from), address(to), fingerprint(&packet)]);
        network.send(time::now_ns(), from, to, packet);
        if network.next_due() != before {
            self.sent.notify();
        }
    }

    /// Delivers packets as they fall due, for as long as the universe lasts.
    async fn deliver_packets(self: Rc<Self>) {
        loop {
            self.sent.wait_until(|| self.network.borrow().next_due()).await;
            loop {
                // The borrow ends before the delivery, which wakes others.
                let delivery = self.network.borrow_mut().pop_due(time::now_ns());
                let Some(Delivery { from, to, message, .. }) = delivery else { break };
                self.event(event::DELIVER, &[address(from), address(to)]);
                match (to, message) {
                    (Address::Node(id), Packet::Peer(message)) => {
                        self.deliver(id, Input::Peer(message));
                        self.note_message(id);
                    }
                    (Address::Node(id), Packet::Request(request)) => self.deliver(id, Input::Client(request)),
                    (Address::Client(id), Packet::Reply(reply)) => {
                        if let Some(mailbox) = self.mailboxes.borrow_mut().get_mut(&id) {
                            mailbox.reply = Some(reply);
                            mailbox.signal.notify();
                        }
                    }
                    (to, packet) => unreachable!("{packet:?} was sent to {to}"),
                }
            }
        }
    }

    /// Hands an input to a node's process, if it has one.
    pub fn deliver(&self, id: u8, input: Input) {
        let slot = self.node(id);
        if slot.up.get() {
            slot.inbox.borrow_mut().push_back(input);
            slot.signal.notify();
        }
    }

    /// Waits for the answer to a client's request, until a moment.
    pub async fn wait_for_reply(&self, client: u32, request: u64, deadline: u64) -> Option<Arc<Reply>> {
        let signal = Rc::clone(&self.mailboxes.borrow_mut().entry(client).or_default().signal);
        let mut alarm = time::Alarm::at(deadline);
        poll_fn(|context| {
            let reply = self.mailboxes.borrow_mut().get_mut(&client).and_then(|mailbox| mailbox.reply.take());
            // An answer to an earlier request, or a second one, is dropped.
            if let Some(reply) = reply.filter(|reply| reply.request == request) {
                return Poll::Ready(Some(reply));
            }
            signal.set(context.waker());
            alarm.ring(context).map(|()| None)
        })
        .await
    }

    /// A shared copy of a statement's text.
    pub fn intern(&self, sql: &str) -> Arc<str> {
        let mut statements = self.statements.borrow_mut();
        if let Some(statement) = statements.get(sql) {
            return Arc::clone(statement);
        }
        let statement: Arc<str> = sql.into();
        statements.insert(sql.to_string(), Arc::clone(&statement));
        statement
    }

    /// A node's clock.
    pub fn clock(&self, id: u8) -> NodeClock {
        self.node(id).clock
    }
}

fn disk_options(scenario: &Scenario) -> disk::DiskOptions {
    let options = &scenario.disk;
    disk::DiskOptions {
        eio_read_ppm: options.eio_read_ppm,
        eio_write_ppm: options.eio_write_ppm,
        eio_sync_ppm: options.eio_sync_ppm,
        stall_ppm: options.stall_ppm,
        stall_us: u64::from(options.stall_ms) * 1_000,
        read_us: 1,
        write_us: options.write.mean_us,
        sync_us: options.sync.mean_us,
        keep_unsynced_ppm: 1_000_000 - options.lose_unsynced_ppm,
        tear: options.tear_ppm > 0,
        keep_directory_ppm: 1_000_000 - options.lose_dir_ppm,
    }
}

/// An address as a number.
fn address(address: Address) -> u64 {
    match address {
        Address::Node(id) => u64::from(id),
        Address::Client(id) => 1 << 32 | u64::from(id),
    }
}

/// What tells one packet from another, without looking at all of its bytes.
fn fingerprint(packet: &Packet) -> u64 {
    match packet {
        Packet::Peer(Message::Raft(envelope)) => {
            let (kind, detail) = match &envelope.message {
                raft::Message::PreVote { last_index, .. } => (1, *last_index),
                raft::Message::PreVoteGranted => (2, 0),
                raft::Message::Vote { last_index, .. } => (3, *last_index),
                raft::Message::VoteGranted => (4, 0),
                raft::Message::Append(raft::Append { prev_index, entries, commit, .. }) => {
                    (5, prev_index << 40 ^ (entries.len() as u64) << 20 ^ commit)
                }
                raft::Message::AppendAccepted { matched, .. } => (6, *matched),
                raft::Message::AppendRejected { prev_index, .. } => (7, *prev_index),
                raft::Message::ReadIndex { token } => (8, *token),
                raft::Message::ReadIndexResponse { index, .. } => (9, *index),
                raft::Message::Commit { index, .. } => (10, *index),
                raft::Message::NewerTerm => (11, 0),
            };
            kind << 60 ^ envelope.term << 48 ^ detail
        }
        Packet::Peer(Message::Propose { command, .. }) => 12 << 60 ^ xxhash_rust::xxh3::xxh3_64(command) >> 4,
        Packet::Request(request) => 13 << 60 ^ request.client << 32 ^ request.request,
        Packet::Reply(reply) => 14 << 60 ^ reply.client << 32 ^ reply.request,
    }
}
