//! A universe: nodes, clients, network, disks and clocks of one scenario, on one thread, in virtual time.
//!
//! madsim gives the executor, the timers and the processes; everything else is Orrery's own. Shared state lives in
//! [`Universe`], which all tasks of the thread reach; what happens is hashed into a digest as it happens.

mod client;
mod damage;
mod episode;
mod film;
mod ledger;
mod lives;
mod observe;
mod packet;
mod phases;
mod process;
mod reigns;
mod schedule;
mod signal;
mod time;
mod trigger;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use checkers::raft::Monitor;
use engine::node::protocol::Reply;
use engine::node::{Config, GatewayOptions, Input};
use engine::raft;
use madsim::runtime::Handle;
use rand_core::Rng as _;
use scenarios::streams::stream;
use scenarios::{DiskFate, End, Fate, FaultKind, MessageFate, MessageKind, Scenario, When, Workload};

use crate::clock::NodeClock;
use crate::digest::Digest;
use crate::disk::{self, SimDisk};
use crate::film::{Event, What};
use crate::network::{self, Address, Delivery, Network, NetworkOptions, Sent};
use crate::story::{Change, Moment};
use crate::verdict::Finding;
use client::Sort;
use episode::Episodes;
use film::Camera;
pub use lives::Death;
use lives::Slot;
pub use packet::Packet;
use packet::address;
pub use phases::{Played, run, wreck};
use reigns::Reigns;
use schedule::Timeline;
use signal::Signal;
use trigger::Triggers;

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
    /// When the last event was.
    last_ns: Cell<u64>,
    monitor: RefCell<Monitor>,
    /// The first thing that was found wrong while it happened.
    violation: RefCell<Option<Finding>>,
    /// Wakes the phases when something was found wrong.
    found: Signal,
    timeline: Timeline,
    triggers: Triggers,
    episodes: Episodes,
    reigns: Reigns,
    /// The terms that had a leader.
    leaders: RefCell<BTreeSet<u64>>,
    /// What happened to the nodes.
    story: RefCell<Vec<Moment>>,
    /// When something was wrong, from and to, in nanoseconds.
    troubles: RefCell<Vec<(u64, u64)>>,
    /// When the faults stopped.
    peace: Cell<Option<u64>>,
    /// The log position at which the tables have had their first content.
    filled: Cell<Option<u64>>,
    /// The abstract states of the cluster so far, if they are kept.
    states: RefCell<Option<BTreeSet<u64>>>,
    /// What each node was at the last look: role, term, last index, commit index.
    nature: RefCell<Vec<[u64; 4]>>,
    /// Films the run, if it was asked for.
    camera: RefCell<Option<Camera>>,
    statements: RefCell<BTreeMap<String, (Arc<str>, Sort)>>,
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

/// When universes begin: in milliseconds since 1970, by a clock that is right.
const BEGINNING_MS: u64 = 1_700_000_000_000;

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
    fn begin(scenario: Rc<Scenario>, watch: Watch) -> Rc<Self> {
        let seed = scenario.seed;
        let nodes = (1..=scenario.nodes)
            .map(|id| {
                let disk = formatted_disk(&scenario, id);
                let clock = scenario.clocks[usize::from(id) - 1];
                Slot {
                    disk,
                    clock: Cell::new(NodeClock::new(clock.skew_us, clock.drift_ppm)),
                    clock_signal: Signal::default(),
                    inbox: RefCell::default(),
                    signal: Signal::default(),
                    process: Cell::new(None),
                    lives: Cell::new(0),
                    reigns: Cell::new(0),
                    votes: Cell::new(0),
                    up: Cell::new(false),
                    paused: Cell::new(false),
                    rotten: Cell::new(false),
                    silent: Cell::new(false),
                    recovering: Cell::new(false),
                    forgotten: Cell::new(0),
                    hurt: Cell::new(false),
                    image: Cell::new(false),
                    gone: Cell::new(false),
                    sending: Cell::new(false),
                    leads: Cell::new(false),
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
            replay_ppm: options.replay_ppm,
            replay_us: options.replay_us,
        };
        let mut network = Network::new(options, stream(seed, "network", 0).next_u64());
        for fate in &scenario.fates {
            if let Some((name, fate)) = message_fate(fate) {
                network.set_fate(name, fate);
            }
        }
        if watch.decisions {
            network.keep_decisions();
        }
        let universe = Rc::new(Self {
            network: RefCell::new(network),
            nodes,
            mailboxes: RefCell::default(),
            sent: Signal::default(),
            digest: RefCell::new(Digest::new()),
            last_ns: Cell::new(0),
            monitor: RefCell::new(Monitor::new(usize::from(scenario.nodes) + 1)),
            violation: RefCell::default(),
            found: Signal::default(),
            timeline: Timeline::default(),
            triggers: Triggers::default(),
            episodes: Episodes::new(stream(seed, "episodes", 0).next_u64()),
            reigns: Reigns::new(stream(seed, "reigns", 0).next_u64()),
            leaders: RefCell::default(),
            story: RefCell::default(),
            troubles: RefCell::default(),
            peace: Cell::new(None),
            filled: Cell::new(None),
            states: RefCell::new(watch.states.then(BTreeSet::new)),
            nature: RefCell::new(vec![[0; 4]; usize::from(scenario.nodes)]),
            camera: RefCell::new(watch.film.then(|| Camera::new(scenario.nodes))),
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

    /// What can be had of this thread's universe after a panic: the number of events, the time of the last, and the film.
    fn rescue() -> Option<(u64, u64, Vec<Event>)> {
        UNIVERSE.with(|universe| {
            let universe = universe.try_borrow().ok()?;
            let universe = universe.as_ref()?;
            let events = universe.digest.try_borrow().map_or(0, |digest| digest.events());
            let camera = universe.camera.try_borrow_mut().ok().and_then(|mut camera| camera.take());
            Some((events, universe.last_ns.get(), camera.map(Camera::into_events).unwrap_or_default()))
        })
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
            gateway: GatewayOptions {
                resend_ticks: u64::from(options.election_ticks),
                cached_statements: options.cached_statements as usize,
                ..GatewayOptions::default()
            },
            flush_every: u64::from(options.flush_every),
            retention: options.retention,
            buggify: self.scenario.buggify,
        }
    }

    /// Something has happened to a node.
    fn tell(&self, node: u8, change: Change) {
        match change {
            Change::Pauses => self.film(Some(node), || What::Pauses),
            Change::Resumes => self.film(Some(node), || What::Resumes),
            Change::Starts | Change::Stops | Change::Leads => {}
        }
        self.story.borrow_mut().push(Moment { at_us: time::now_ns() / 1_000, node, change });
    }

    /// Counts a fault that has fired.
    pub fn count(&self, kind: &'static str) {
        *self.faults.borrow_mut().entry(kind).or_default() += 1;
    }

    /// Adds an event to the digest, and the moment at which it happens.
    fn event(&self, kind: u8, parts: &[u64]) {
        let mut digest = self.digest.borrow_mut();
        let now = time::now_ns();
        self.last_ns.set(now);
        digest.event(kind, &[now]);
        digest.event(kind, parts);
    }

    /// Notes what was found wrong, if it is the first.
    fn report(&self, checker: &str, anomaly: &str, message: String, evidence: Vec<String>, node: Option<u8>) {
        let mut violation = self.violation.borrow_mut();
        if violation.is_none() {
            self.film(node, || What::Violation { text: message.clone() });
            *violation = Some(Finding { node, ..self.finding(checker, anomaly, message, evidence) });
            self.found.notify();
        }
    }

    /// Sends a packet.
    pub fn send(&self, from: Address, to: Address, packet: Packet) {
        let (kind, term, fingerprint) = (packet.kind(), packet.term(), packet.fingerprint());
        self.digest.borrow_mut().event(event::SEND, &[address(from), address(to), fingerprint]);
        let filmed = self.packet_words(&packet);
        let mut network = self.network.borrow_mut();
        let before = network.next_due();
        let sent = if self.loses(from, to, kind) {
            Sent::Lost
        } else {
            network.send(time::now_ns(), from, to, kind as u8, packet)
        };
        if network.next_due() != before {
            self.sent.notify();
        }
        drop(network);
        if let Some(text) = filmed {
            self.film_sent(from, to, kind, term, text, sent);
        }
        if let (Address::Node(id), MessageKind::VoteGranted) = (from, kind) {
            let votes = &self.node(id).votes;
            votes.set(votes.get() + 1);
            self.happened(|when| matches!(when, When::Votes { node, count } if node == id && count <= votes.get()));
        }
    }

    /// Delivers packets as they fall due, for as long as the universe lasts.
    async fn deliver_packets(self: Rc<Self>) {
        loop {
            self.sent.wait_until(|| self.network.borrow().next_due()).await;
            loop {
                // The borrow ends before the delivery, which wakes others.
                let due = self.network.borrow_mut().pop_due(time::now_ns());
                let Some((delivery, blocked)) = due else { break };
                self.film_arrival(&delivery, blocked);
                if blocked.is_some() {
                    continue;
                }
                let Delivery { from, to, message, .. } = delivery;
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

    /// A shared copy of a statement's text, and what it is to a client.
    fn intern(&self, sql: &str) -> (Arc<str>, Sort) {
        let mut statements = self.statements.borrow_mut();
        if let Some(statement) = statements.get(sql) {
            return statement.clone();
        }
        let statement = (sql.into(), Sort::of(sql));
        statements.insert(sql.to_string(), statement.clone());
        statement
    }

    /// What a node's clock says the time is, in milliseconds since 1970, if the workload reads the past by time. Where none
    /// does, nodes are told none, and commits have no time.
    pub fn time_of(&self, id: u8) -> Option<u64> {
        let tells = matches!(self.scenario.workload, Workload::TimeTravel { .. });
        tells.then(|| BEGINNING_MS + self.clock(id).local(time::now_ns()) / 1_000_000)
    }

    /// A node's clock.
    pub fn clock(&self, id: u8) -> NodeClock {
        self.node(id).clock.get()
    }
}

/// What is kept of a run, beside what it comes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Every event.
    pub film: bool,
    /// The decisions of the dice, as fates.
    pub decisions: bool,
    /// The abstract states of the cluster, as hashes.
    pub states: bool,
}

/// A fate as the network has it, if it is about a message.
fn message_fate(fate: &Fate) -> Option<(network::Name, network::Fate)> {
    let Fate::Message { from, to, kind, count, what } = *fate else { return None };
    let end = |end: End| match end {
        End::Node(id) => Address::Node(id),
        End::Client(id) => Address::Client(id),
    };
    let fate = match what {
        MessageFate::Lost => network::Fate::Lost,
        MessageFate::Late { by_us } => network::Fate::Late(by_us),
        MessageFate::Again { after_us } => network::Fate::Again(after_us),
    };
    Some(((end(from), end(to), kind as u8, count), fate))
}

/// The disk of a node, formatted before time begins.
fn formatted_disk(scenario: &Scenario, id: u8) -> SimDisk {
    let options = &scenario.disk;
    let device = disk::DeviceOptions {
        sector: options.sector,
        rot_read_ppm: options.rot_read_ppm,
        misdirect_read_ppm: options.misdirect_read_ppm,
        sync_failure_drops_ppm: options.drop_on_sync_failure_ppm,
        crash_in_flight_ppm: options.crash_in_flight_ppm,
    };
    let dice = stream(scenario.seed, "disk", u64::from(id));
    let disk = SimDisk::on_device(disk_options(scenario), device, dice);
    disk.set_faults_enabled(false);
    engine::node::format(&disk).expect("a new disk can be formatted");
    disk.set_faults_enabled(true);
    disk.take_busy_us();
    for fate in &scenario.fates {
        if let Fate::Disk { node, what, count } = *fate
            && node == id
        {
            disk.decide(match what {
                DiskFate::ReadFails => disk::Decision::ReadFailed(count),
                DiskFate::ReadRots => disk::Decision::ReadRotted(count),
                DiskFate::ReadMisdirected => disk::Decision::ReadMisdirected(count),
                DiskFate::WriteFails => disk::Decision::WriteFailed(count),
                DiskFate::SyncFails => disk::Decision::SyncFailed(count),
                DiskFate::PagesDropped => disk::Decision::PagesDropped(count),
                DiskFate::PowerGone => disk::Decision::CrashedInFlight(count),
            });
        }
    }
    let misdirects = |kind: &FaultKind| matches!(kind, FaultKind::Misdirect { node, .. } if *node == id);
    disk.remember_writes(scenario.faults.iter().any(|fault| misdirects(&fault.kind)));
    disk
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
