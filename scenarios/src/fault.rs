//! The schedule of faults, as data. A fault names its nodes and clients outright, so that it means the same in any run;
//! only short reigns fall on whoever leads.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Something that goes wrong, or right again, at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, in microseconds of virtual time since the universe began.
    pub at_us: u64,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong. Node ids count from 1, durations are in microseconds of virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// A node stops. Nothing happens when it is down already.
    Crash {
        /// The node.
        node: u8,
        /// Crash before the disk operation that follows this many more (0: the very next one), which may be in the
        /// middle of a step. `None` stops the node at once, between two steps.
        after_disk_ops: Option<u32>,
        /// Whether the machine loses power, and with it what was not synced. Otherwise only the process dies, and what
        /// it wrote stays.
        power_loss: bool,
    },
    /// A node starts again. Nothing happens when it is up, except that a crash still waiting for disk operations is
    /// called off.
    Restart {
        /// The node.
        node: u8,
    },
    /// A node does nothing for a while, like a stalled virtual machine; messages to it wait.
    Pause {
        /// The node.
        node: u8,
        /// For how long.
        for_us: u64,
    },
    /// Links are cut. Partitions may overlap: a link is free when none of them cuts it.
    Partition {
        /// Which links.
        shape: Partition,
        /// For how long.
        for_us: u64,
    },
    /// All partitions end now.
    Heal,
    /// A node's disk answers nothing until the time has passed.
    DiskStall {
        /// The node.
        node: u8,
        /// For how long.
        for_us: u64,
    },
    /// A node's disk fails at higher rates for a while. Rates are in parts per million of the operations, and add to
    /// those of [`crate::DiskOptions`].
    DiskErrors {
        /// The node.
        node: u8,
        /// For how long.
        for_us: u64,
        /// Reads that fail.
        read_ppm: u32,
        /// Writes that fail.
        write_ppm: u32,
        /// Syncs that fail.
        sync_ppm: u32,
    },
    /// For a while no leader lasts: each one reaches only some of the other nodes, and soon none, until there is another.
    /// Some do not notice, because their clocks stand still.
    /// What Raft's hardest rules are about (figure 8 of its paper) happens when leaders replicate a little and are gone.
    ShortReigns {
        /// For how long.
        for_us: u64,
        /// After how many messages from other nodes a leader is alone, at most; for some it is twenty times as many.
        messages: u32,
    },
    /// All messages take longer.
    LatencySpike {
        /// How many times longer.
        factor: u32,
        /// For how long.
        for_us: u64,
    },
}

impl FaultKind {
    /// All names that [`FaultKind::name`] gives, partitions by their shape.
    pub const NAMES: [&'static str; 15] = [
        "crash",
        "restart",
        "pause",
        "partition halves",
        "partition isolate",
        "partition bridge",
        "partition ring",
        "partition one-way",
        "partition client-side",
        "partition flapping",
        "heal",
        "disk stall",
        "disk errors",
        "short reigns",
        "latency spike",
    ];

    /// The kind's name, for counting; partitions are told apart by their shape.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Restart { .. } => "restart",
            Self::Pause { .. } => "pause",
            Self::Partition { shape, .. } => match shape {
                Partition::Halves { .. } => "partition halves",
                Partition::Isolate { .. } => "partition isolate",
                Partition::Bridge { .. } => "partition bridge",
                Partition::Ring { .. } => "partition ring",
                Partition::OneWay { .. } => "partition one-way",
                Partition::ClientSide { .. } => "partition client-side",
                Partition::Flapping { .. } => "partition flapping",
            },
            Self::Heal => "heal",
            Self::DiskStall { .. } => "disk stall",
            Self::DiskErrors { .. } => "disk errors",
            Self::ShortReigns { .. } => "short reigns",
            Self::LatencySpike { .. } => "latency spike",
        }
    }
}

/// One side of a cut. What a cut does not name keeps all its links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// Nodes, by id.
    pub nodes: BTreeSet<u8>,
    /// Clients, by id.
    #[serde(default)]
    pub clients: BTreeSet<u32>,
}

/// Which links are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Partition {
    /// Two sides that do not hear each other.
    Halves {
        /// One side.
        left: Side,
        /// The other.
        right: Side,
    },
    /// One node hears no other node.
    Isolate {
        /// The node.
        node: u8,
        /// Whether it does not hear clients either.
        clients: bool,
    },
    /// Two sides that do not hear each other, and a node between them that both hear.
    Bridge {
        /// The node between.
        node: u8,
        /// One side.
        left: Side,
        /// The other.
        right: Side,
    },
    /// Each node hears only the two beside it, so that every node sees a different majority.
    Ring {
        /// The nodes in their order; the last is beside the first.
        nodes: Vec<u8>,
    },
    /// Messages are lost in one direction.
    OneWay {
        /// Those who are not heard.
        from: Side,
        /// Those who do not hear them.
        to: Side,
    },
    /// Clients do not reach nodes that hear one another well.
    ClientSide {
        /// Clients, by id.
        clients: BTreeSet<u32>,
        /// Nodes, by id.
        nodes: BTreeSet<u8>,
    },
    /// A partition that comes and goes. It may be of any shape but this one.
    Flapping {
        /// Which links, while it is there.
        shape: Box<Partition>,
        /// How long it is there at a time.
        cut_us: u64,
        /// How long it is away at a time.
        open_us: u64,
    },
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.nodes.iter().map(|node| format!("n{node}"));
        let members: Vec<String> = nodes.chain(self.clients.iter().map(|client| format!("c{client}"))).collect();
        write!(f, "{}", members.join(" "))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halves { left, right } => write!(f, "{left} | {right}"),
            Self::Isolate { node, clients: false } => write!(f, "n{node} alone, but for its clients"),
            Self::Isolate { node, clients: true } => write!(f, "n{node} alone"),
            Self::Bridge { node, left, right } => write!(f, "{left} | {right} with n{node} between"),
            Self::Ring { nodes } => {
                let nodes: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
                write!(f, "ring {}", nodes.join(" "))
            }
            Self::OneWay { from, to } => write!(f, "{from} not heard by {to}"),
            Self::ClientSide { clients, nodes } => {
                let (clients, nodes) = (clients.clone(), nodes.clone());
                let (left, right) = (Side { nodes, ..Side::default() }, Side { clients, ..Side::default() });
                write!(f, "{right} | {left}, client side")
            }
            Self::Flapping { shape, cut_us, open_us } => {
                write!(f, "{shape}, {} ms cut and {} ms open by turns", cut_us / 1_000, open_us / 1_000)
            }
        }
    }
}
