//! Draws the schedule of faults.
//!
//! What comes at a time is over by the horizon: what crashed starts again, what was cut is healed. Any number of nodes may be
//! down at a time when faults are full, since what was acknowledged is durable.

use super::Size;
use super::environment::class;
use super::region::{Record, Region};
use crate::fate::MessageKind;
use crate::fault::{Fault, FaultKind, Partition, Side, Target, When};
use crate::scenario::FaultsMode;
use std::collections::BTreeSet;

/// Elections and setup get this long before the first fault, more or less.
const QUIET_US: u64 = 300_000;

/// In so many of a hundred times that a disk is wiped, voters are wiped too in the middle of an election.
const FORGETFUL_ELECTION: u64 = 40;

/// The bytes of the region of faults before those of the first fault.
pub const FAULTS_HEADER: usize = 128;
/// The bytes of each fault.
pub const FAULT_RECORD: usize = 48;

const CRASH: usize = 0;
const PAUSE: usize = 1;
const PARTITION: usize = 2;
const DISK_STALL: usize = 3;
const DISK_ERRORS: usize = 4;
const LATENCY_SPIKE: usize = 5;
const SHORT_REIGNS: usize = 6;
const SWIZZLE: usize = 7;
const LOSE_KIND: usize = 8;
const CRASH_LOOP: usize = 9;
const CLOCK_JUMP: usize = 10;
const DISK_FULL: usize = 11;
const DAMAGE: usize = 12;
const WIPE: usize = 13;
const OLDER_IMAGE: usize = 14;
const CLASSES: usize = 15;

/// What is destroyed, or takes several nodes at a time, is not for light faults.
const HEAVY: [usize; 6] = [SWIZZLE, CRASH_LOOP, DAMAGE, WIPE, OLDER_IMAGE, DISK_FULL];

pub(super) fn schedule(region: &mut Region<'_>, size: &Size, mode: FaultsMode) -> Vec<Fault> {
    let mut all: Record<FAULTS_HEADER> = region.record();
    let mut weights = [0; CLASSES];
    for (kind, weight) in weights.iter_mut().enumerate() {
        let on = class(&mut all, mode) && (mode == FaultsMode::Full || !HEAVY.contains(&kind));
        let drawn = all.range(1, 4) * if matches!(kind, CRASH | PARTITION) { 2 } else { 1 };
        *weight = if on { drawn } else { 0 };
    }
    let count = match mode {
        FaultsMode::None => 0,
        FaultsMode::Light => all.range(1, 5),
        FaultsMode::Full => all.scale(4, 40),
    };
    if weights == [0; CLASSES] {
        return Vec::new();
    }
    let longest_us = all.scale(500_000, 8_000_000);
    let mut schedule = Schedule { faults: Vec::new(), size, mode, longest_us, down: Vec::new() };
    let messages = all.scale(4, 16) as u32;
    if size.unsettled && mode == FaultsMode::Full {
        schedule.push(QUIET_US, FaultKind::ShortReigns { for_us: size.horizon_us * 3 / 4, messages });
    }
    for _ in 0..count {
        schedule.add(&mut region.record(), &weights);
    }
    let mut faults = schedule.faults;
    // Stable: what happens at one time stays in the order of the draw.
    faults.sort_by_key(|fault| fault.when);
    faults
}

struct Schedule<'a> {
    faults: Vec<Fault>,
    size: &'a Size,
    mode: FaultsMode,
    longest_us: u64,
    /// When some node is down, from and to.
    down: Vec<(u64, u64)>,
}

impl Schedule<'_> {
    fn add(&mut self, record: &mut Record<FAULT_RECORD>, weights: &[u64; CLASSES]) {
        let class = record.weighted(weights);
        let horizon_us = self.size.horizon_us;
        let at_us = record.range(QUIET_US, horizon_us * 9 / 10);
        let for_us = record.scale(30_000, self.longest_us).min(horizon_us - at_us);
        let node = 1 + record.below(u64::from(self.size.nodes)) as u8;
        match class {
            CRASH => self.crash(record, node, at_us, for_us),
            PAUSE => self.push(at_us, FaultKind::Pause { node, for_us }),
            PARTITION => {
                let shape = partition(record, self.size, node);
                self.push(at_us, FaultKind::Partition { shape, for_us });
                if record.percent(15) {
                    self.push(at_us + for_us / 2, FaultKind::Heal);
                }
            }
            DISK_STALL => self.push(at_us, FaultKind::DiskStall { node, for_us: for_us.min(3_000_000) }),
            DISK_ERRORS => {
                let mut rate = |most| if record.percent(60) { record.scale(most / 64, most) as u32 } else { 0 };
                let (read_ppm, write_ppm, sync_ppm) = (rate(50_000), rate(50_000), rate(200_000));
                self.push(at_us, FaultKind::DiskErrors { node, for_us, read_ppm, write_ppm, sync_ppm });
            }
            LATENCY_SPIKE => {
                let factor = record.range(2, 40) as u32;
                self.push(at_us, FaultKind::LatencySpike { factor, for_us });
            }
            SHORT_REIGNS => {
                let for_us = (2 * for_us).max(1_000_000).min(horizon_us - at_us);
                self.push(at_us, FaultKind::ShortReigns { for_us, messages: record.scale(4, 64) as u32 });
            }
            SWIZZLE => {
                let every_us = (for_us / (2 * u64::from(self.size.nodes))).max(1_000);
                let (cut, heal) = (self.some_nodes(record), record.byte());
                let mut back = cut.clone();
                back.rotate_left(usize::from(heal) % cut.len());
                if heal & 0x80 != 0 {
                    back.reverse();
                }
                self.push(at_us, FaultKind::Swizzle { cut, heal: back, every_us });
            }
            LOSE_KIND => {
                let kind = record.choose(&MessageKind::ALL);
                let ppm = if record.percent(40) { 1_000_000 } else { record.range(100_000, 900_000) as u32 };
                self.push(at_us, FaultKind::LoseKind { kind, ppm, for_us: for_us.min(2_000_000) });
            }
            CRASH_LOOP => {
                let times = record.range(1, 6) as u32;
                let (up_us, down_us) = (record.scale(2_000, 400_000), record.scale(5_000, 400_000));
                let power_loss = record.percent(60);
                let when = moment(record, node, at_us);
                self.push_when(when, FaultKind::CrashLoop { node, times, up_us, down_us, power_loss });
            }
            CLOCK_JUMP => {
                let (ahead, us) = (record.percent(50), record.scale(1_000, 16_000_000) as i64);
                self.push(at_us, FaultKind::ClockJump { node, by_us: if ahead { us } else { -us } });
            }
            DISK_FULL => {
                let free = record.below(3) * record.scale(16, 16_384);
                self.push(at_us, FaultKind::DiskFull { node, free, for_us: for_us.min(4_000_000) });
            }
            DAMAGE => {
                let file = if record.percent(60) { Target::Log } else { Target::Store };
                // The end of a file is where it is hardest to tell what was there.
                let permille = if record.percent(40) { 1_000 } else { record.range(0, 999) as u32 };
                let kind = match record.below(3) {
                    0 => FaultKind::Rot { node, file, permille },
                    1 => FaultKind::LoseSector { node, file, permille },
                    _ => FaultKind::Misdirect { node, file, permille },
                };
                let when = moment(record, node, at_us);
                self.push_when(when, kind);
                if record.percent(70) {
                    // Damage is seen when a node starts.
                    let down_us = for_us.min(1_000_000);
                    let kind = FaultKind::CrashLoop { node, times: 1, up_us: 1, down_us, power_loss: false };
                    self.push_when(when, kind);
                }
            }
            WIPE => {
                let when = moment(record, node, at_us);
                self.push_when(when, FaultKind::Wipe { node, down_us: for_us.min(2_000_000) });
                if record.percent(FORGETFUL_ELECTION) {
                    self.forgetful_elections(record, at_us, for_us);
                }
            }
            OLDER_IMAGE => {
                self.push(at_us, FaultKind::SaveImage { node });
                let (later_us, down_us) = (for_us, record.scale(5_000, 1_000_000));
                self.push(at_us + later_us, FaultKind::RestoreImage { node, down_us });
            }
            _ => unreachable!("a class has a weight"),
        }
    }

    fn crash(&mut self, record: &mut Record<FAULT_RECORD>, node: u8, at_us: u64, for_us: u64) {
        let power_loss = record.percent(60);
        let counted = record.percent(60);
        let after_disk_ops = record.below(40) as u32;
        let extent = record.weighted(&[80, 12, 8]);
        let mask = record.byte();
        if self.mode == FaultsMode::Light && self.down.iter().any(|&(from, to)| from <= at_us + for_us && at_us <= to) {
            return;
        }
        self.down.push((at_us, at_us + for_us));
        let crashing = |other: u8| match extent {
            0 => other == node,
            1 => other == node || mask & (1 << (other % 8)) != 0,
            _ => true,
        };
        for other in (1..=self.size.nodes).filter(|&other| crashing(other)) {
            if self.mode == FaultsMode::Light && other != node {
                continue;
            }
            // A power failure takes all machines at the same moment.
            let after_disk_ops = (counted && other == node).then_some(after_disk_ops);
            self.push(at_us, FaultKind::Crash { node: other, after_disk_ops, power_loss });
            self.push(at_us + for_us, FaultKind::Restart { node: other });
        }
    }

    /// Elections whose voters forget whom they have voted for before they are over, and in which candidates meet.
    fn forgetful_elections(&mut self, record: &mut Record<FAULT_RECORD>, at_us: u64, for_us: u64) {
        let (first, times) = (record.range(1, 3), record.range(1, 5));
        let down_us = record.scale(100, 20_000);
        for node in self.some_nodes(record) {
            for count in first..first + times {
                self.push_when(When::Votes { node, count }, FaultKind::Wipe { node, down_us });
            }
        }
        if record.percent(60) {
            let factor = record.range(2, 16) as u32;
            self.push(at_us, FaultKind::LatencySpike { factor, for_us });
        }
    }

    /// At least one node, in some order.
    fn some_nodes(&self, record: &mut Record<FAULT_RECORD>) -> Vec<u8> {
        let (mask, turn) = (record.byte(), record.byte());
        let mut nodes: Vec<u8> = (1..=self.size.nodes).filter(|&id| mask & (1 << (id % 8)) != 0).collect();
        if nodes.is_empty() {
            nodes = (1..=self.size.nodes).collect();
        }
        let turn = usize::from(turn) % nodes.len();
        nodes.rotate_left(turn);
        nodes
    }

    fn push(&mut self, at_us: u64, kind: FaultKind) {
        self.push_when(When::Time { us: at_us }, kind);
    }

    fn push_when(&mut self, when: When, kind: FaultKind) {
        self.faults.push(Fault { when, kind });
    }
}

/// A moment that is near `at_us`, or something that happens to a node.
fn moment(record: &mut Record<FAULT_RECORD>, node: u8, at_us: u64) -> When {
    match record.weighted(&[60, 15, 15, 5, 5]) {
        0 => When::Time { us: at_us },
        1 => When::Synced { node, count: record.scale(2, 400) },
        2 => When::Appended { node, index: record.scale(2, 200) },
        3 => When::Applied { node, index: record.scale(2, 200) },
        _ => When::Leads { node, count: record.range(1, 3) },
    }
}

/// A partition of any shape that the number of nodes allows; `node` is in its middle.
fn partition(record: &mut Record<FAULT_RECORD>, size: &Size, node: u8) -> Partition {
    let mask = u16::from_le_bytes([record.byte(), record.byte()]);
    let client_mask = u16::from_le_bytes([record.byte(), record.byte()]);
    let shape = record.below(7);
    let flapping_us = record.scale(10_000, 500_000);
    let clients_too = record.percent(50);
    let drawn = |bits: u16, id: u32| bits & (1 << (id % 16)) != 0;

    let nodes: BTreeSet<u8> = (1..=size.nodes).collect();
    let marked: BTreeSet<u8> = nodes.iter().copied().filter(|&id| drawn(mask, u32::from(id))).collect();
    let (left, right) = sides(&nodes, &marked, node);
    let clients: BTreeSet<u32> = (1..=size.clients).filter(|&id| drawn(client_mask, id)).collect();
    let other_clients: BTreeSet<u32> = (1..=size.clients).filter(|id| !clients.contains(id)).collect();
    let with_clients = |nodes: BTreeSet<u8>, clients: &BTreeSet<u32>| Side {
        nodes,
        clients: if clients_too { clients.clone() } else { BTreeSet::new() },
    };
    let client_side = || {
        let clients = if clients.is_empty() { (1..=size.clients).collect() } else { clients.clone() };
        Partition::ClientSide { clients, nodes: left.clone() }
    };
    let halves = || Partition::Halves {
        left: with_clients(left.clone(), &clients),
        right: with_clients(right.clone(), &other_clients),
    };
    match (shape, size.nodes) {
        (_, 1) | (5, _) => client_side(),
        (0, _) => halves(),
        (1, _) => Partition::Isolate { node, clients: clients_too },
        (2, 3..) => {
            let others: BTreeSet<u8> = nodes.into_iter().filter(|&other| other != node).collect();
            let (left, right) = sides(&others, &marked, 1 + node % size.nodes);
            let side = |nodes| Side { nodes, clients: BTreeSet::new() };
            Partition::Bridge { node, left: side(left), right: side(right) }
        }
        (3, 4..) => {
            // Starting elsewhere makes no other ring; leaping over one does, where the number of nodes allows.
            let nodes: Vec<u8> =
                if mask & 1 == 0 { nodes.into_iter().collect() } else { nodes.into_iter().rev().collect() };
            Partition::Ring { nodes }
        }
        (4, _) => Partition::OneWay { from: with_clients(left, &clients), to: with_clients(right, &other_clients) },
        (6, _) => {
            let shape = if clients_too { halves() } else { Partition::Isolate { node, clients: true } };
            let open_us = flapping_us / 2 + 5_000;
            Partition::Flapping { shape: Box::new(shape), cut_us: flapping_us, open_us }
        }
        _ => halves(),
    }
}

/// Two sides of some nodes: those that are marked, and the others. When one side would have nobody, `node` stands alone.
fn sides(nodes: &BTreeSet<u8>, marked: &BTreeSet<u8>, node: u8) -> (BTreeSet<u8>, BTreeSet<u8>) {
    let mut left: BTreeSet<u8> = nodes & marked;
    if left.is_empty() || left.len() == nodes.len() {
        left = BTreeSet::from([node]);
    }
    let right = nodes - &left;
    (left, right)
}
