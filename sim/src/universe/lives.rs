//! Nodes and their processes: how they begin, stop, pause and end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;

use engine::node::Input;
use madsim::runtime::Handle;
use madsim::task::NodeId;
use rand_core::Rng as _;
use scenarios::streams::stream;

use super::schedule::Action;
use super::signal::Signal;
use super::{Universe, event, time};
use crate::clock::NodeClock;
use crate::disk::SimDisk;
use crate::film::What;
use crate::story::Change;

/// Why a process ended by itself.
#[derive(Debug)]
pub enum Death {
    /// The power went in the middle of a step.
    PowerLoss,
    /// The disk failed, and the engine stopped, as it must.
    DiskError(String),
    /// The engine says that durable data are damaged.
    Corruption(String),
    /// The engine says that it has lost what it had promised.
    Forgot(String),
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerLoss => f.write_str("the power is gone, in the middle of a step"),
            Self::DiskError(error) => write!(f, "the disk failed: {error}"),
            Self::Corruption(error) => write!(f, "durable data are damaged: {error}"),
            Self::Forgot(error) => write!(f, "it has forgotten something: {error}"),
        }
    }
}

/// The place of a node, which outlives its processes.
pub struct Slot {
    /// Its disk, as the next process gets it.
    pub disk: SimDisk,
    pub(super) clock: Cell<NodeClock>,
    /// Wakes the task that ticks, when the clock has jumped.
    pub(super) clock_signal: Signal,
    /// What has arrived and not been taken.
    pub inbox: RefCell<VecDeque<Input>>,
    /// Wakes the process when something has arrived.
    pub signal: Signal,
    pub(super) process: Cell<Option<NodeId>>,
    pub(super) lives: Cell<u32>,
    /// How often it became a leader.
    pub(super) reigns: Cell<u64>,
    /// How often it gave its vote to another.
    pub(super) votes: Cell<u64>,
    pub(super) up: Cell<bool>,
    pub(super) paused: Cell<bool>,
    /// Whether its log was damaged since it was opened.
    pub(super) rotten: Cell<bool>,
    /// Whether that may be such that the node does not notice.
    pub(super) silent: Cell<bool>,
    /// Whether it is recovering from the loss of its log.
    pub(super) recovering: Cell<bool>,
    /// How far its log was on disk when it may have lost some of it without noticing; 0 when it has not. It may notice yet.
    pub(super) forgotten: Cell<u64>,
    /// Whether its disk was ever damaged.
    pub(super) hurt: Cell<bool>,
    /// Whether an image of its disk is kept that knows of every amnesia it had.
    pub(super) image: Cell<bool>,
    /// Whether it has stored what it has not sent so far.
    pub(super) sending: Cell<bool>,
    /// Whether it leads.
    pub(super) leads: Cell<bool>,
    /// Whether it is down for good.
    pub(super) gone: Cell<bool>,
    /// Until when its disk answers nothing.
    pub stalled_until: Cell<u64>,
    /// Asks the process for the digest of its state.
    pub wanted: Cell<bool>,
    /// The position that the process has applied, and its digest there.
    pub state: Cell<Option<(u64, u64)>>,
    /// The position that it has applied, at the last look.
    pub applied: Cell<u64>,
}

impl Slot {
    /// Whether its log may not be what it was: from the damage until it is whole, or reinstated.
    pub(super) fn is_damaged(&self) -> bool {
        self.rotten.get() || self.recovering.get() || self.forgotten.get() > 0
    }
}

impl Universe {
    /// A process of a node begins. Returns the number of its life.
    pub fn begin_life(&self, id: u8) -> u32 {
        let slot = self.node(id);
        slot.lives.set(slot.lives.get() + 1);
        slot.up.set(true);
        slot.sending.set(false);
        slot.leads.set(false);
        slot.state.set(None);
        self.tell(id, Change::Starts);
        self.event(event::LIFE, &[u64::from(id), u64::from(slot.lives.get())]);
        self.film(Some(id), || What::Starts { life: slot.lives.get() });
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
        self.film(Some(id), || What::Stops { why: death.to_string() });
        tracing::info!(id, ?death, "the process has ended");
        slot.up.set(false);
        slot.inbox.borrow_mut().clear();
        match death {
            Death::PowerLoss => {
                engine::probe!("the power went between two disk operations of a step");
                self.count("crash mid-step");
                // Somebody sees to the power, unless the scenario does.
                self.plan(time::now_ns() + self.scenario.restart_us * 1_000, Action::Restart(id));
            }
            Death::DiskError(_) => {
                slot.disk.process_crash();
                self.count("stop on disk error");
                self.plan(time::now_ns() + self.scenario.restart_us * 1_000, Action::Restart(id));
            }
            Death::Corruption(message) | Death::Forgot(message) => {
                slot.disk.process_crash();
                // The next life begins with the loss.
                slot.rotten.set(true);
                if self.explains_damage(id) {
                    self.count("stop on damage");
                    self.plan(time::now_ns() + self.scenario.restart_us * 1_000, Action::Restart(id));
                } else {
                    self.report("durability", "corruption", message, Vec::new(), Some(id));
                }
            }
        }
    }

    /// Stops a node's process from outside.
    pub fn crash(&self, id: u8, power_loss: bool) {
        let slot = self.node(id);
        if slot.up.replace(false) {
            if slot.sending.get() {
                engine::probe!("a node crashed between its sync and its messages");
                if slot.leads.get() {
                    engine::probe!("a leader crashed between its sync and its messages");
                }
            }
            if slot.recovering.get() {
                engine::probe!("a recovering node crashed");
            }
            self.count(if power_loss { "power loss" } else { "process crash" });
            self.tell(id, Change::Stops);
            self.event(event::DEATH, &[u64::from(id), u64::from(power_loss)]);
            let why = if power_loss { "the power is gone" } else { "the process is killed" };
            self.film(Some(id), || What::Stops { why: why.to_string() });
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
        if slot.gone.get() {
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
}
