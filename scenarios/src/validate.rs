//! Checks a scenario that comes from outside, before anything believes it.
//!
//! The limits keep a universe within sane memory and time; everything that is drawn is well inside them.

use crate::fate::{End, Fate, MessageFate};
use crate::fault::{Fault, FaultKind, Partition, Side, When};
use crate::scenario::{DiskOptions, EngineOptions, Latency, NetworkOptions, Scenario, StorageOptions};
use crate::work::{ClientProgram, Number, Operation, RowOperation, Workload};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not the JSON of a scenario.
    #[error("not a scenario: {0}")]
    Json(String),
    /// A field holds what makes no sense.
    #[error("{field}: {reason}")]
    Field {
        /// Where, like `faults[3].kind.crash.node`.
        field: String,
        /// What does not hold.
        reason: String,
    },
}

const MILLION: u32 = 1_000_000;
/// A day of virtual time.
const DAY_US: u64 = 86_400_000_000;
/// An hour: the most that a clock may be off.
const HOUR_US: i64 = 3_600_000_000;
/// The most nodes of a scenario.
pub const MAX_NODES: u8 = 15;
/// The most clients of a scenario.
pub const MAX_CLIENTS: u32 = 1_024;
/// The most steps of all clients together.
pub const MAX_STEPS: usize = 1_000_000;
const MAX_FAULTS: usize = 10_000;
const MAX_FATES: usize = 1_000_000;
/// The most steps into which one fault may unfold.
const MAX_REPEATS: u32 = 1_000;
const MAX_KEYS: u32 = 100_000;
/// Unique values leave a client this many, see [`Operation`].
const MAX_STEPS_PER_CLIENT: usize = 100_000;
const MAX_CONFLICT_RETRIES: u32 = 5;
const MAX_MICRO_OPERATIONS: usize = 64;
/// The longest statement of a script, in bytes.
const MAX_STATEMENT: usize = 100_000;

impl Scenario {
    /// Reads a scenario from JSON and validates it.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let scenario: Self = serde_json::from_str(text).map_err(|error| Error::Json(error.to_string()))?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// Checks that the scenario can be run: ids in range, counts and times bounded, operations that fit the workload.
    pub fn validate(&self) -> Result<(), Error> {
        within("nodes", self.nodes, 1..=MAX_NODES)?;
        self.engine.validate()?;
        self.network.validate()?;
        self.disk.validate()?;
        if self.clocks.len() != usize::from(self.nodes) {
            return Err(error("clocks", format!("{} clocks for {} nodes", self.clocks.len(), self.nodes)));
        }
        for (i, clock) in self.clocks.iter().enumerate() {
            within(&format!("clocks[{i}].skew_us"), clock.skew_us, -HOUR_US..=HOUR_US)?;
            within(&format!("clocks[{i}].drift_ppm"), clock.drift_ppm, -500_000..=500_000)?;
        }
        within("restart_us", self.restart_us, 0..=DAY_US)?;
        within("client_timeout_ms", self.client_timeout_ms, 1..=600_000)?;
        within("patience", self.patience, 0..=1_000)?;
        within("safety_us", self.safety_us, 1..=DAY_US)?;
        within("liveness_us", self.liveness_us, 1..=DAY_US)?;
        within("conflict_retries", self.conflict_retries, 0..=MAX_CONFLICT_RETRIES)?;
        let kind = self.workload.kind().name().replace('-', "_");
        for (number, count) in self.workload.numbers() {
            within(&format!("workload.{kind}.{}", number.field), count, 1..=MAX_KEYS)?;
        }
        if let Workload::Bank { balance, .. } = self.workload {
            within("workload.bank.balance", balance, 0..=1_000_000_000)?;
        }
        self.validate_clients()?;
        within("faults.length", self.faults.len(), 0..=MAX_FAULTS)?;
        let clients: BTreeSet<u32> = self.clients.iter().map(|client| client.id).collect();
        for (i, fault) in self.faults.iter().enumerate() {
            let place = Place { field: format!("faults[{i}]"), nodes: self.nodes, clients: &clients };
            place.fault(fault)?;
        }
        within("fates.length", self.fates.len(), 0..=MAX_FATES)?;
        for (i, fate) in self.fates.iter().enumerate() {
            Place { field: format!("fates[{i}]"), nodes: self.nodes, clients: &clients }.fate(fate)?;
        }
        if let Some(node) = self.core.iter().find(|node| !(1..=self.nodes).contains(*node)) {
            return Err(error("core", format!("there is no node {node}: they are 1 to {}", self.nodes)));
        }
        Ok(())
    }

    fn validate_clients(&self) -> Result<(), Error> {
        within("clients.length", self.clients.len(), 1..=MAX_CLIENTS as usize)?;
        let mut ids = BTreeSet::new();
        let mut steps = 0;
        for (i, ClientProgram { id, steps: program }) in self.clients.iter().enumerate() {
            within(&format!("clients[{i}].id"), *id, 1..=MAX_CLIENTS)?;
            if !ids.insert(id) {
                return Err(error(&format!("clients[{i}].id"), format!("two clients have the id {id}")));
            }
            within(&format!("clients[{i}].steps.length"), program.len(), 0..=MAX_STEPS_PER_CLIENT)?;
            steps += program.len();
            for (j, step) in program.iter().enumerate() {
                let field = || format!("clients[{i}].steps[{j}]");
                if step.think_us > DAY_US {
                    return Err(error(&format!("{}.think_us", field()), "longer than a day"));
                }
                self.workload.accepts(&step.operation).map_err(|reason| error(&format!("{}.do", field()), reason))?;
            }
        }
        within("clients: all steps", steps, 0..=MAX_STEPS)
    }
}

impl Workload {
    fn accepts(&self, operation: &Operation) -> Result<(), String> {
        if !operation.fits(self.kind()) {
            return Err(format!("{:?} is no operation of {}", operation.name(), self.kind()));
        }
        let numbers = self.numbers();
        let mut known = Ok(());
        let mut check = |kind: usize, number: &mut u32| {
            let (Number { one, .. }, count) = numbers[kind];
            if *number >= count && known.is_ok() {
                known = Err(format!("{one} {number} is not one of the {count}, which count from 0"));
            }
        };
        if !matches!(operation, Operation::Script { .. }) {
            operation.clone().for_each_number_mut(&mut check);
        }
        known?;
        let distinct = |what: &str, a: u32, b: u32| {
            if a == b { Err(format!("both {what} are {a}")) } else { Ok(()) }
        };
        let positive = |amount: i64| {
            if (1..=1_000_000_000).contains(&amount) { Ok(()) } else { Err(format!("an amount of {amount}")) }
        };
        let several = |count: usize, what: &str| {
            if (1..=MAX_MICRO_OPERATIONS).contains(&count) {
                Ok(())
            } else {
                Err(format!("{count} {what}, not 1 to {MAX_MICRO_OPERATIONS}"))
            }
        };
        match *operation {
            Operation::Transfer { from, to, amount } => distinct("accounts", from, to).and(positive(amount)),
            Operation::Close { account, heir } => distinct("accounts", account, heir),
            Operation::Open { account, from, amount } => distinct("accounts", account, from).and(positive(amount)),
            Operation::Rename { from, to } => distinct("names", from, to),
            Operation::MoveItems { from, to } => distinct("buckets", from, to),
            Operation::Transaction { ref operations } => several(operations.len(), "operations"),
            Operation::OnRows { ref operations, back } => {
                several(operations.len(), "operations")?;
                if back.is_some() && operations.iter().any(|row| matches!(row, RowOperation::Put { .. })) {
                    return Err("the past cannot be written".to_owned());
                }
                Ok(())
            }
            Operation::Script { ref statements } => {
                several(statements.len(), "statements")?;
                match statements.iter().find(|sql| sql.len() > MAX_STATEMENT) {
                    Some(sql) => Err(format!("a statement of {} bytes, more than {MAX_STATEMENT}", sql.len())),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl EngineOptions {
    fn validate(&self) -> Result<(), Error> {
        within("engine.tick_ms", self.tick_ms, 1..=10_000)?;
        within("engine.election_ticks", self.election_ticks, 2..=1_000)?;
        within("engine.heartbeat_ticks", self.heartbeat_ticks, 1..=self.election_ticks - 1)?;
        within("engine.max_entries_per_append", self.max_entries_per_append, 1..=1_000_000)?;
        within("engine.max_bytes_per_append", self.max_bytes_per_append, 1..=1 << 30)?;
        within("engine.max_inflight", self.max_inflight, 1..=1_000_000)?;
        if let Some(retention) = self.retention {
            within("engine.retention", retention, 1..=u64::MAX / 2)?;
        }
        if let StorageOptions::BitCask { compact_garbage_percent, .. } = self.storage {
            within("engine.storage.bit_cask.compact_garbage_percent", compact_garbage_percent, 1..=100)?;
        }
        within("engine.flush_every", self.flush_every, 1..=1_000_000)?;
        within("engine.cached_statements", self.cached_statements, 1..=1_000_000)
    }
}

impl NetworkOptions {
    fn validate(&self) -> Result<(), Error> {
        latency("network.latency", self.latency)?;
        within("network.tail_us", self.tail_us, 0..=DAY_US)?;
        within("network.reorder_us", self.reorder_us, 0..=DAY_US)?;
        rate("network.tail_ppm", self.tail_ppm)?;
        rate("network.loss_ppm", self.loss_ppm)?;
        rate("network.duplicate_ppm", self.duplicate_ppm)?;
        rate("network.reorder_ppm", self.reorder_ppm)?;
        within("network.replay_us", self.replay_us, 0..=DAY_US)?;
        rate("network.replay_ppm", self.replay_ppm)
    }
}

impl DiskOptions {
    fn validate(&self) -> Result<(), Error> {
        latency("disk.write", self.write)?;
        latency("disk.sync", self.sync)?;
        rate("disk.eio_read_ppm", self.eio_read_ppm)?;
        rate("disk.eio_write_ppm", self.eio_write_ppm)?;
        rate("disk.eio_sync_ppm", self.eio_sync_ppm)?;
        rate("disk.stall_ppm", self.stall_ppm)?;
        within("disk.stall_ms", self.stall_ms, 0..=600_000)?;
        rate("disk.lose_unsynced_ppm", self.lose_unsynced_ppm)?;
        rate("disk.tear_ppm", self.tear_ppm)?;
        rate("disk.lose_dir_ppm", self.lose_dir_ppm)?;
        if !matches!(self.sector, 512 | 4_096) {
            return Err(error("disk.sector", format!("{} is not 512 or 4096", self.sector)));
        }
        rate("disk.rot_read_ppm", self.rot_read_ppm)?;
        rate("disk.misdirect_read_ppm", self.misdirect_read_ppm)?;
        rate("disk.drop_on_sync_failure_ppm", self.drop_on_sync_failure_ppm)?;
        rate("disk.crash_in_flight_ppm", self.crash_in_flight_ppm)
    }
}

/// Where in a scenario something is checked, and which ids exist.
struct Place<'a> {
    field: String,
    nodes: u8,
    clients: &'a BTreeSet<u32>,
}

impl Place<'_> {
    fn within(&self, field: &str) -> String {
        format!("{}.{field}", self.field)
    }

    fn fault(&self, fault: &Fault) -> Result<(), Error> {
        match fault.when {
            When::Time { us } => within(&self.within("when.time.us"), us, 0..=DAY_US)?,
            When::Synced { node, .. } => self.node("when.synced.node", node)?,
            When::Appended { node, .. } => self.node("when.appended.node", node)?,
            When::Applied { node, .. } => self.node("when.applied.node", node)?,
            When::Leads { node, .. } => self.node("when.leads.node", node)?,
            When::Votes { node, .. } => self.node("when.votes.node", node)?,
        }
        match &fault.kind {
            FaultKind::Crash { node, .. } => self.node("kind.crash.node", *node),
            FaultKind::Restart { node } => self.node("kind.restart.node", *node),
            FaultKind::Pause { node, for_us } => {
                self.node("kind.pause.node", *node).and(self.duration("kind.pause.for_us", *for_us))
            }
            FaultKind::Partition { shape, for_us } => {
                self.duration("kind.partition.for_us", *for_us).and(self.partition("kind.partition.shape", shape))
            }
            FaultKind::Heal => Ok(()),
            FaultKind::DiskStall { node, for_us } => {
                self.node("kind.disk_stall.node", *node).and(self.duration("kind.disk_stall.for_us", *for_us))
            }
            FaultKind::DiskErrors { node, for_us, read_ppm, write_ppm, sync_ppm } => {
                self.node("kind.disk_errors.node", *node)?;
                self.duration("kind.disk_errors.for_us", *for_us)?;
                rate(&self.within("kind.disk_errors.read_ppm"), *read_ppm)?;
                rate(&self.within("kind.disk_errors.write_ppm"), *write_ppm)?;
                rate(&self.within("kind.disk_errors.sync_ppm"), *sync_ppm)
            }
            FaultKind::ShortReigns { for_us, messages } => {
                self.duration("kind.short_reigns.for_us", *for_us)?;
                within(&self.within("kind.short_reigns.messages"), *messages, 1..=1_000_000)
            }
            FaultKind::LatencySpike { factor, for_us } => {
                within(&self.within("kind.latency_spike.factor"), *factor, 1..=1_000_000)?;
                self.duration("kind.latency_spike.for_us", *for_us)
            }
            FaultKind::Swizzle { cut, heal, every_us } => {
                cut.iter().try_for_each(|&node| self.node("kind.swizzle.cut", node))?;
                let (mut left, mut right) = (cut.clone(), heal.clone());
                left.sort_unstable();
                right.sort_unstable();
                if left.is_empty() || left != right || left.windows(2).any(|pair| pair[0] == pair[1]) {
                    let reason = "not the nodes of `cut`, each once, in any order";
                    return Err(error(&self.within("kind.swizzle.heal"), reason));
                }
                self.duration("kind.swizzle.every_us", *every_us)
            }
            FaultKind::LoseKind { kind: _, ppm, for_us } => {
                rate(&self.within("kind.lose_kind.ppm"), *ppm)?;
                self.duration("kind.lose_kind.for_us", *for_us)
            }
            FaultKind::CrashLoop { node, times, up_us, down_us, power_loss: _ } => {
                self.node("kind.crash_loop.node", *node)?;
                within(&self.within("kind.crash_loop.times"), *times, 1..=MAX_REPEATS)?;
                self.duration("kind.crash_loop.up_us", *up_us)?;
                self.duration("kind.crash_loop.down_us", *down_us)
            }
            FaultKind::ClockJump { node, by_us } => {
                self.node("kind.clock_jump.node", *node)?;
                within(&self.within("kind.clock_jump.by_us"), *by_us, -HOUR_US..=HOUR_US)
            }
            FaultKind::DiskFull { node, free: _, for_us } => {
                self.node("kind.disk_full.node", *node).and(self.duration("kind.disk_full.for_us", *for_us))
            }
            FaultKind::Rot { node, permille, .. } => self.damage("kind.rot", *node, *permille),
            FaultKind::LoseSector { node, permille, .. } => self.damage("kind.lose_sector", *node, *permille),
            FaultKind::Misdirect { node, permille, .. } => self.damage("kind.misdirect", *node, *permille),
            FaultKind::Wipe { node, down_us } => {
                self.node("kind.wipe.node", *node).and(self.duration("kind.wipe.down_us", *down_us))
            }
            FaultKind::SaveImage { node } => self.node("kind.save_image.node", *node),
            FaultKind::RestoreImage { node, down_us } => {
                self.node("kind.restore_image.node", *node)?;
                self.duration("kind.restore_image.down_us", *down_us)
            }
        }
    }

    fn damage(&self, field: &str, node: u8, permille: u32) -> Result<(), Error> {
        self.node(&format!("{field}.node"), node)?;
        within(&self.within(&format!("{field}.permille")), permille, 0..=1_000)
    }

    fn fate(&self, fate: &Fate) -> Result<(), Error> {
        match *fate {
            Fate::Message { from, to, count, what, .. } => {
                for (field, end) in [("message.from", from), ("message.to", to)] {
                    match end {
                        End::Node(node) => self.node(field, node)?,
                        // The clients of the setup and of the final read are no scenario's.
                        End::Client(_) => {}
                    }
                }
                within(&self.within("message.count"), count, 1..=u32::MAX)?;
                match what {
                    MessageFate::Lost => Ok(()),
                    MessageFate::Late { by_us: us } | MessageFate::Again { after_us: us } => {
                        within(&self.within("message.what"), us, 0..=DAY_US)
                    }
                }
            }
            Fate::Disk { node, what: _, count } => {
                self.node("disk.node", node)?;
                within(&self.within("disk.count"), count, 1..=u64::MAX)
            }
        }
    }

    fn partition(&self, field: &str, shape: &Partition) -> Result<(), Error> {
        let name = |part: &str| format!("{field}.{part}");
        match shape {
            Partition::Halves { left, right } => {
                self.side(&name("halves.left"), left)?;
                self.side(&name("halves.right"), right)?;
                self.disjoint(&name("halves"), left, right)
            }
            Partition::Isolate { node, .. } => self.node(&name("isolate.node"), *node),
            Partition::Bridge { node, left, right } => {
                self.node(&name("bridge.node"), *node)?;
                self.side(&name("bridge.left"), left)?;
                self.side(&name("bridge.right"), right)?;
                self.disjoint(&name("bridge"), left, right)?;
                if left.nodes.contains(node) || right.nodes.contains(node) {
                    return Err(error(&self.within(&name("bridge.node")), format!("node {node} is on a side too")));
                }
                Ok(())
            }
            Partition::Ring { nodes } => {
                nodes.iter().try_for_each(|&node| self.node(&name("ring.nodes"), node))?;
                let distinct: BTreeSet<&u8> = nodes.iter().collect();
                if distinct.len() < nodes.len() {
                    return Err(error(&self.within(&name("ring.nodes")), "a node is named twice"));
                }
                Ok(())
            }
            Partition::OneWay { from, to } => {
                self.side(&name("one_way.from"), from)?;
                self.side(&name("one_way.to"), to)
            }
            Partition::ClientSide { clients, nodes } => {
                let side = Side { nodes: nodes.clone(), clients: clients.clone() };
                self.side(&name("client_side"), &side)
            }
            Partition::Flapping { shape, cut_us, open_us } => {
                self.duration(&name("flapping.cut_us"), *cut_us)?;
                self.duration(&name("flapping.open_us"), *open_us)?;
                if matches!(**shape, Partition::Flapping { .. }) {
                    return Err(error(&self.within(&name("flapping.shape")), "flapping within flapping"));
                }
                self.partition(&name("flapping.shape"), shape)
            }
        }
    }

    fn node(&self, field: &str, node: u8) -> Result<(), Error> {
        if (1..=self.nodes).contains(&node) {
            Ok(())
        } else {
            Err(error(&self.within(field), format!("there is no node {node}: they are 1 to {}", self.nodes)))
        }
    }

    fn duration(&self, field: &str, duration_us: u64) -> Result<(), Error> {
        within(&self.within(field), duration_us, 1..=DAY_US)
    }

    fn side(&self, field: &str, side: &Side) -> Result<(), Error> {
        side.nodes.iter().try_for_each(|&node| self.node(field, node))?;
        match side.clients.iter().find(|client| !self.clients.contains(client)) {
            Some(client) => Err(error(&self.within(field), format!("there is no client {client}"))),
            None => Ok(()),
        }
    }

    fn disjoint(&self, field: &str, left: &Side, right: &Side) -> Result<(), Error> {
        if left.nodes.is_disjoint(&right.nodes) && left.clients.is_disjoint(&right.clients) {
            Ok(())
        } else {
            Err(error(&self.within(field), "the sides have a member in common"))
        }
    }
}

fn error(field: &str, reason: impl Into<String>) -> Error {
    Error::Field { field: field.to_owned(), reason: reason.into() }
}

#[expect(clippy::needless_pass_by_value, reason = "a range reads best where it is used")]
fn within<T: PartialOrd + Display>(field: &str, value: T, range: RangeInclusive<T>) -> Result<(), Error> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(error(field, format!("{value} is not within {} to {}", range.start(), range.end())))
    }
}

fn rate(field: &str, ppm: u32) -> Result<(), Error> {
    within(field, ppm, 0..=MILLION)
}

fn latency(field: &str, latency: Latency) -> Result<(), Error> {
    within(&format!("{field}.mean_us"), latency.mean_us, 0..=60_000_000)?;
    within(&format!("{field}.min_us"), latency.min_us, 0..=latency.mean_us)
}
