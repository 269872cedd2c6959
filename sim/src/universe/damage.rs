//! Faults that destroy what was durable, and the atlas that keeps enough of it.
//!
//! The *atlas* knows, from Raft's monitor, what each node has made durable. In the recoverable mode it lets a disk be
//! destroyed only while a quorum of nodes keeps good ones. What a node may not notice (an older image, damage at the very end
//! of the log, which looks like a torn write) makes it forget promises without knowing; no protocol survives that if the
//! promises counted. So in both modes such damage is held back unless a quorum of *other* good nodes holds all that the
//! node has stored, and has moved beyond its last vote. A held back fault is counted, and does nothing.

use engine::node::Repair;
use scenarios::{DiskFate, Fate, Mode, Target};

use super::schedule::Action;
use super::{Universe, time};
use crate::disk::Decision;
use crate::film::What;

/// A kind of damage to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bits are others.
    Rot,
    /// A sector cannot be read.
    LoseSector,
    /// The last write landed elsewhere.
    Misdirect,
}

/// How many log entries the clients get before all disks may be destroyed.
const WRITTEN: u64 = 25;

/// Where a node keeps its log and its store.
const LOG: &str = "raft/log";
const STORE: &str = "store/data";

impl Universe {
    /// Damages a file of a node, if the atlas allows it.
    pub fn damage(&self, node: u8, file: Target, damage: Damage, permille: u32) {
        let slot = self.node(node);
        let path = match file {
            Target::Log => LOG,
            Target::Store => STORE,
        };
        // The end of the log looks like a torn write, unless it cannot be read.
        let silent = match damage {
            Damage::Rot => !slot.disk.is_sealed_at(path, permille),
            Damage::LoseSector => false,
            Damage::Misdirect => true,
        };
        // The store can be made again from the log.
        if file == Target::Log && !(self.may_destroy(node) && (!silent || self.may_forget(node))) {
            return self.hold_back(node);
        }
        let done = match damage {
            Damage::Rot => slot.disk.rot_at(path, permille),
            Damage::LoseSector => slot.disk.lose_sector_at(path, permille),
            Damage::Misdirect => slot.disk.misdirect_last_write_at(path, permille),
        };
        let Some(done) = done else { return };
        if file == Target::Log {
            slot.rotten.set(true);
            slot.silent.set(slot.silent.get() || silent);
            if !silent {
                engine::probe!("damage to a log that its node cannot miss");
            }
        }
        slot.hurt.set(true);
        self.count(match (damage, file) {
            (Damage::Rot, Target::Log) => "log rotten",
            (Damage::Rot, Target::Store) => "store rotten",
            (Damage::LoseSector, Target::Log) => "log sector lost",
            (Damage::LoseSector, Target::Store) => "store sector lost",
            (Damage::Misdirect, Target::Log) => "log write misdirected",
            (Damage::Misdirect, Target::Store) => "store write misdirected",
        });
        self.film(Some(node), || What::Disk { text: done.text });
    }

    /// Takes a node down, and gives it an empty disk.
    pub fn wipe(&self, node: u8, until: u64) {
        if !self.may_destroy(node) {
            return self.hold_back(node);
        }
        self.crash(node, true);
        let slot = self.node(node);
        slot.disk.wipe();
        slot.rotten.set(true);
        slot.hurt.set(true);
        self.count("disk wiped");
        self.film(Some(node), || What::Disk { text: "the disk is empty".to_string() });
        self.plan(until, Action::Restart(node));
    }

    /// Takes a node down, and gives it an older image of its disk.
    pub fn restore_image(&self, node: u8, until: u64) {
        let slot = self.node(node);
        // An image from before an amnesia would make a voter of a node that has forgotten what it promised since.
        let knows = slot.image.get() && !slot.is_damaged();
        if !(knows && self.may_destroy(node) && self.may_forget(node)) {
            return self.hold_back(node);
        }
        self.crash(node, true);
        if slot.disk.restore_image() {
            slot.rotten.set(true);
            slot.silent.set(true);
            slot.hurt.set(true);
            engine::probe!("a disk came back as an older image");
            self.count("older image");
            self.film(Some(node), || What::Disk { text: "the disk is an older image".to_string() });
        }
        self.plan(until, Action::Restart(node));
    }

    /// Whether a disk may be destroyed when its node will notice: a quorum of others keep theirs, unless any may go.
    fn may_destroy(&self, node: u8) -> bool {
        let good = (1..=self.scenario.nodes).filter(|&other| other != node && !self.node(other).is_damaged()).count();
        // A universe in which hardly anything was written would test nothing.
        let written = self.monitor.borrow().highest_committed();
        let worth_it = self.filled.get().is_some_and(|filled| written >= filled + WRITTEN);
        self.scenario.mode == Mode::Unrestricted && worth_it || good >= self.quorum()
    }

    /// Whether a node may forget something without noticing.
    fn may_forget(&self, node: u8) -> bool {
        let others = (1..=self.scenario.nodes).filter(|&other| other != node && !self.node(other).is_damaged());
        let others: Vec<usize> = others.map(usize::from).collect();
        self.monitor.borrow().is_dispensable(usize::from(node), &others, self.quorum())
    }

    /// A node was opened: what it may have lost, it has lost now.
    pub fn note_opened(&self, node: u8, repair: &Repair, recovering: bool) {
        let slot = self.node(node);
        slot.rotten.set(false);
        // What it cannot miss it has noticed, or it has lost nothing: that is for the monitor to see.
        let silent = slot.silent.replace(false);
        slot.recovering.set(recovering);
        match repair {
            Repair::LogLost(_) => {
                slot.image.set(false);
                self.count("log given up");
            }
            Repair::StoreRebuilt(_) => self.count("store rebuilt"),
            Repair::Nothing => {}
        }
        if silent || matches!(repair, Repair::LogLost(_)) {
            let mut monitor = self.monitor.borrow_mut();
            slot.forgotten.set(if recovering { 0 } else { monitor.persisted_index(usize::from(node)) });
            monitor.forgot(usize::from(node));
        }
    }

    /// Whether a fault explains that a node finds durable data damaged.
    pub fn explains_damage(&self, node: u8) -> bool {
        let slot = self.node(node);
        let counters = slot.disk.counters();
        slot.hurt.get() || counters.rotten_reads + counters.misdirected_reads > 0
    }

    /// What the dice of the disks decided, as fates.
    pub fn disk_decisions(&self) -> Vec<Fate> {
        let fate = |node: u8, decision: Decision| {
            let (what, count) = match decision {
                Decision::ReadFailed(count) => (DiskFate::ReadFails, count),
                Decision::ReadRotted(count) => (DiskFate::ReadRots, count),
                Decision::ReadMisdirected(count) => (DiskFate::ReadMisdirected, count),
                Decision::WriteFailed(count) => (DiskFate::WriteFails, count),
                Decision::SyncFailed(count) => (DiskFate::SyncFails, count),
                Decision::PagesDropped(count) => (DiskFate::PagesDropped, count),
                Decision::CrashedInFlight(count) => (DiskFate::PowerGone, count),
                // Only time passes.
                Decision::Stalled(..) => return None,
            };
            Some(Fate::Disk { node, what, count })
        };
        let of = |id: u8| self.node(id).disk.decisions().into_iter().filter_map(move |decision| fate(id, decision));
        (1..=self.scenario.nodes).flat_map(of).collect()
    }

    /// So many nodes are a majority.
    pub fn quorum(&self) -> usize {
        usize::from(self.scenario.nodes) / 2 + 1
    }

    fn hold_back(&self, node: u8) {
        engine::probe!("the atlas held a fault back");
        self.count("held back by the atlas");
        self.film(Some(node), || What::Note {
            text: "the atlas holds a fault back: there would be no good copies on a quorum".to_string(),
        });
        tracing::info!(node, at = time::now_ns(), "the atlas held a fault back");
    }
}
