//! A scenario as data: everything that a universe needs, in the form in which a trace keeps it.
//!
//! Times are integers with their unit in the name, rates are integers in parts per million: a scenario means exactly
//! the same on every platform. Node and client ids count from 1. A scenario that comes from outside must pass
//! [`Scenario::validate`] before it is run; [`Scenario::from_json`] does both.

use crate::fate::Fate;
use crate::fault::Fault;
use crate::work::{ClientProgram, Workload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Everything that a universe needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Names the [streams](crate::streams) of what is decided while the universe runs.
    pub seed: u64,
    /// How hostile the universe was drawn; what is in it, is in the other fields.
    pub faults_mode: FaultsMode,
    /// What the faults may do, and what is asked of the database then.
    pub mode: Mode,
    /// How many nodes there are; their ids are 1 to this.
    pub nodes: u8,
    /// The nodes' options.
    pub engine: EngineOptions,
    /// The network.
    pub network: NetworkOptions,
    /// Every node's disk.
    pub disk: DiskOptions,
    /// Each node's clock, node 1 first.
    pub clocks: Vec<Clock>,
    /// What goes wrong; faults of one moment in this order.
    pub faults: Vec<Fault>,
    /// Single decisions that overrule the rates.
    pub fates: Vec<Fate>,
    /// Where the engine acts up by itself, legally; 0 is nowhere.
    pub buggify: u64,
    /// The nodes that run and reach one another in the liveness phase; the others are down for good. More of them run if
    /// these are no quorum with good disks.
    pub core: BTreeSet<u8>,
    /// How long a node stays down that stopped by itself, because its disk failed.
    pub restart_us: u64,
    /// How long a client waits for an answer before it asks again.
    pub client_timeout_ms: u32,
    /// How many times a client asks again before the outcome is unknown.
    pub patience: u32,
    /// When the safety phase ends at the latest: operations that are not done then are unknown.
    pub safety_us: u64,
    /// How long the healed cluster may take to make progress and to converge.
    pub liveness_us: u64,
    /// The data that clients work on.
    pub workload: Workload,
    /// How many times a client repeats an operation that failed for a conflict, each time as a new operation.
    pub conflict_retries: u32,
    /// What each client does.
    pub clients: Vec<ClientProgram>,
}

/// How hostile a drawn universe is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultsMode {
    /// Nothing goes wrong.
    None,
    /// Rates are low, and at most one node is down at a time.
    Light,
    /// Anything goes; whole classes of faults are off by the draw of the seed.
    #[default]
    Full,
}

/// What faults may do, and what is asked of the database then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A fault that destroys durable data is held back while the data have no good copies on a quorum of other nodes. The
    /// database must be safe, and live when the faults are over.
    #[default]
    Recoverable,
    /// Any number of disks may be destroyed, as long as it can be noticed. The database must be safe: it may stop, but not lie.
    Unrestricted,
}

/// The nodes' options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineOptions {
    /// How often a node is woken, in milliseconds of its own clock.
    pub tick_ms: u32,
    /// The shortest election timeout, in ticks; the longest is twice that.
    pub election_ticks: u32,
    /// Time between a leader's heartbeats, in ticks.
    pub heartbeat_ticks: u32,
    /// The most log entries in one message.
    pub max_entries_per_append: u32,
    /// The most bytes of log entries in one message, unless a single entry is longer.
    pub max_bytes_per_append: u32,
    /// The most messages with entries that are on their way to one follower.
    pub max_inflight: u32,
    /// How many log positions back can be read; older versions are garbage-collected. `None` keeps all.
    pub retention: Option<u64>,
    /// Where applied state is kept.
    pub storage: StorageOptions,
    /// How many log entries are applied between two flushes of the storage.
    pub flush_every: u32,
    /// How many parsed statements a gateway keeps.
    pub cached_statements: u32,
}

/// The storage of applied state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StorageOptions {
    /// In memory: a restarted node applies its whole log again.
    Memory,
    /// An append-only file of records, with the keys in memory.
    BitCask {
        /// Compact when at least this much of the file is garbage, in percent.
        compact_garbage_percent: u8,
        /// Never compact for less garbage than this many bytes.
        compact_min_bytes: u64,
    },
}

/// A distribution of latencies: never less than the minimum, exponential above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The least.
    pub min_us: u64,
    /// The mean. At least the minimum.
    pub mean_us: u64,
}

/// The network between nodes and clients. Rates are in parts per million of the messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkOptions {
    /// How long a message takes.
    pub latency: Latency,
    /// How many messages are in the tail.
    pub tail_ppm: u32,
    /// How much longer a message in the tail takes, at most.
    pub tail_us: u64,
    /// How many messages are lost.
    pub loss_ppm: u32,
    /// How many messages arrive twice.
    pub duplicate_ppm: u32,
    /// How many messages leave the order of their link.
    pub reorder_ppm: u32,
    /// How much later such a message arrives, at most.
    pub reorder_us: u64,
    /// How many messages arrive once more, when they are long out of date.
    pub replay_ppm: u32,
    /// How much later, at most.
    pub replay_us: u64,
}

/// A node's disk. Rates are in parts per million.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskOptions {
    /// How long a write takes.
    pub write: Latency,
    /// How long a sync takes.
    pub sync: Latency,
    /// How many reads fail.
    pub eio_read_ppm: u32,
    /// How many writes fail.
    pub eio_write_ppm: u32,
    /// How many syncs fail.
    pub eio_sync_ppm: u32,
    /// How many operations stall.
    pub stall_ppm: u32,
    /// How long a stalled operation takes, at most.
    pub stall_ms: u32,
    /// How many unsynced sectors are lost when the power fails. Which ones is drawn for each: any subset can go.
    pub lose_unsynced_ppm: u32,
    /// Whether writes in flight can be torn when the power fails, so that some of their sectors persist and some do not: if
    /// this is not 0.
    pub tear_ppm: u32,
    /// How many unsynced changes of a directory are lost when the power fails.
    pub lose_dir_ppm: u32,
    /// Bytes of a sector, 512 or 4096: what is written as a whole or not at all.
    pub sector: u32,
    /// How many reads return a wrong bit, this time.
    pub rot_read_ppm: u32,
    /// How many reads return another place of the file, this time.
    pub misdirect_read_ppm: u32,
    /// How many of the syncs that fail drop what they should have written, so that the next one succeeds without it.
    pub drop_on_sync_failure_ppm: u32,
    /// How many operations on a disk with unsynced writes find the power gone.
    pub crash_in_flight_ppm: u32,
}

/// The error of a node's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// How far ahead it is when the universe begins.
    pub skew_us: i64,
    /// How much too fast it runs, in parts per million.
    pub drift_ppm: i32,
}

impl Scenario {
    /// The name of what is run, as given to `--scenario`.
    pub fn name(&self) -> &'static str {
        self.workload.kind().name()
    }

    /// How many operations all clients have to do.
    pub fn operations(&self) -> usize {
        self.clients.iter().map(|client| client.steps.len()).sum()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recoverable => "recoverable",
            Self::Unrestricted => "unrestricted",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "recoverable" => Ok(Self::Recoverable),
            "unrestricted" => Ok(Self::Unrestricted),
            _ => Err(format!("there is no mode {name:?}: choose recoverable or unrestricted")),
        }
    }
}

impl fmt::Display for FaultsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Light => "light",
            Self::Full => "full",
        })
    }
}

impl FromStr for FaultsMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "none" => Ok(Self::None),
            "light" => Ok(Self::Light),
            "full" => Ok(Self::Full),
            _ => Err(format!("there is no faults mode {name:?}: choose one of none, light, full")),
        }
    }
}
