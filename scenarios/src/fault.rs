//! The schedule of faults, as data. A fault names its nodes and clients outright, and when it comes: at a time, or at
//! something that happens to a node, so that it means the same in any run. Only short reigns fall on whoever leads.

use crate::fate::MessageKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Something that goes wrong, or right again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub when: When,
    /// What.
    pub kind: FaultKind,
}

/// When a fault comes. What waits for something to happen may wait for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// At a moment.
    Time {
        /// In microseconds of virtual time since the universe began.
        us: u64,
    },
    /// When a node has made so many syncs, over all its lives.
    Synced {
        /// The node.
        node: u8,
        /// How many.
        count: u64,
    },
    /// When a node has a log entry on its disk, for the first time.
    Appended {
        /// The node.
        node: u8,
        /// The entry's log index.
        index: u64,
    },
    /// When a node has applied a log entry, for the first time.
    Applied {
        /// The node.
        node: u8,
        /// The entry's log index.
        index: u64,
    },
    /// When a node becomes the leader for so manieth time.
    Leads {
        /// The node.
        node: u8,
        /// The how manieth time, from 1.
        count: u64,
    },
    /// When a node has given its vote to another for so manieth time: the answer is on its way.
    Votes {
        /// The node.
        node: u8,
        /// The how manieth time, from 1.
        count: u64,
    },
}

impl When {
    /// The moment, if it is one.
    pub fn us(self) -> Option<u64> {
        match self {
            Self::Time { us } => Some(us),
            _ => None,
        }
    }

    /// The node that it waits for, if it does.
    pub fn node(self) -> Option<u8> {
        match self {
            Self::Time { .. } => None,
            Self::Synced { node, .. }
            | Self::Appended { node, .. }
            | Self::Applied { node, .. }
            | Self::Leads { node, .. }
            | Self::Votes { node, .. } => Some(node),
        }
    }
}

/// A file of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Raft's log.
    Log,
    /// The store of applied state. Nothing happens when it is in memory.
    Store,
}

/// What goes wrong. Node ids count from 1, durations are in microseconds of virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Nodes are cut off one by one, and come back in another order ("swizzle-clogging" of FoundationDB).
    Swizzle {
        /// The nodes, in the order in which they are cut off.
        cut: Vec<u8>,
        /// The same nodes, in the order in which they come back.
        heal: Vec<u8>,
        /// The time between two steps.
        every_us: u64,
    },
    /// Messages of one kind are lost.
    LoseKind {
        /// The kind.
        kind: MessageKind,
        /// How many of them, in parts per million.
        ppm: u32,
        /// For how long.
        for_us: u64,
    },
    /// A node crashes, starts, and crashes again.
    CrashLoop {
        /// The node.
        node: u8,
        /// How many crashes.
        times: u32,
        /// How long it runs between two.
        up_us: u64,
        /// How long it is down after each.
        down_us: u64,
        /// Whether the machine loses power each time.
        power_loss: bool,
    },
    /// A node's clock jumps.
    ClockJump {
        /// The node.
        node: u8,
        /// By how much; negative is back.
        by_us: i64,
    },
    /// A node's disk has little space left.
    DiskFull {
        /// The node.
        node: u8,
        /// How many bytes can still be written.
        free: u64,
        /// For how long.
        for_us: u64,
    },
    /// A sector of a node's disk rots: some bits of what was durable are others.
    Rot {
        /// The node.
        node: u8,
        /// The file.
        file: Target,
        /// Where in the file, in thousandths of its length.
        permille: u32,
    },
    /// A sector of a node's disk can no longer be read, until it is written again.
    LoseSector {
        /// The node.
        node: u8,
        /// The file.
        file: Target,
        /// Where in the file, in thousandths of its length.
        permille: u32,
    },
    /// The last durable write turns out to have landed at another place of its file.
    Misdirect {
        /// The node.
        node: u8,
        /// The file.
        file: Target,
        /// Where it landed, in thousandths of the file's length.
        permille: u32,
    },
    /// A node loses its disk: it goes down, and comes back with an empty one.
    Wipe {
        /// The node.
        node: u8,
        /// How long it is down.
        down_us: u64,
    },
    /// Keeps an image of a node's disk for [`FaultKind::RestoreImage`].
    SaveImage {
        /// The node.
        node: u8,
    },
    /// A node goes down, and comes back with the disk as it was when the last image was kept. Without an image nothing
    /// happens.
    RestoreImage {
        /// The node.
        node: u8,
        /// How long it is down.
        down_us: u64,
    },
}

impl FaultKind {
    /// All names that [`FaultKind::name`] gives, partitions by their shape.
    pub const NAMES: [&'static str; 26] = [
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
        "swizzle",
        "lose kind",
        "crash loop",
        "clock jump",
        "disk full",
        "rot",
        "lose sector",
        "misdirect",
        "wipe",
        "save image",
        "restore image",
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
            Self::Swizzle { .. } => "swizzle",
            Self::LoseKind { .. } => "lose kind",
            Self::CrashLoop { .. } => "crash loop",
            Self::ClockJump { .. } => "clock jump",
            Self::DiskFull { .. } => "disk full",
            Self::Rot { .. } => "rot",
            Self::LoseSector { .. } => "lose sector",
            Self::Misdirect { .. } => "misdirect",
            Self::Wipe { .. } => "wipe",
            Self::SaveImage { .. } => "save image",
            Self::RestoreImage { .. } => "restore image",
        }
    }

    /// How long it lasts, if it does not happen at once.
    pub fn for_us(&self) -> Option<u64> {
        match self {
            Self::Pause { for_us, .. }
            | Self::Partition { for_us, .. }
            | Self::DiskStall { for_us, .. }
            | Self::DiskErrors { for_us, .. }
            | Self::ShortReigns { for_us, .. }
            | Self::LatencySpike { for_us, .. }
            | Self::LoseKind { for_us, .. }
            | Self::DiskFull { for_us, .. } => Some(*for_us),
            Self::Swizzle { cut, every_us, .. } => Some(2 * cut.len() as u64 * every_us),
            Self::CrashLoop { times, up_us, down_us, .. } => Some(u64::from(*times) * (up_us + down_us)),
            Self::Wipe { down_us, .. } | Self::RestoreImage { down_us, .. } => Some(*down_us),
            Self::Crash { .. }
            | Self::Restart { .. }
            | Self::Heal
            | Self::ClockJump { .. }
            | Self::Rot { .. }
            | Self::LoseSector { .. }
            | Self::Misdirect { .. }
            | Self::SaveImage { .. } => None,
        }
    }
}

/// One side of a cut. What a cut does not name keeps all its links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// Nodes, by id.
    pub nodes: BTreeSet<u8>,
    /// Clients, by id.
    #[serde(default)]
    pub clients: BTreeSet<u32>,
}

/// Which links are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// "at 1.250 s", "when n2 has entry 7 on its disk".
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { us } => write!(f, "at {}.{:06} s", us / 1_000_000, us % 1_000_000),
            Self::Synced { node, count } => write!(f, "at sync {count} of n{node}"),
            Self::Appended { node, index } => write!(f, "when n{node} has entry {index} on its disk"),
            Self::Applied { node, index } => write!(f, "when n{node} has applied entry {index}"),
            Self::Leads { node, count: 1 } => write!(f, "when n{node} first leads"),
            Self::Leads { node, count } => write!(f, "when n{node} leads for time {count}"),
            Self::Votes { node, count: 1 } => write!(f, "when n{node} has first voted for another"),
            Self::Votes { node, count } => write!(f, "when n{node} has voted for others {count} times"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Store => "store",
        })
    }
}

/// A sentence without an end: "n3 loses power".
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = |power: &bool| if *power { "loses power" } else { "crashes" };
        match self {
            Self::Crash { node, after_disk_ops: None, power_loss } => write!(f, "n{node} {}", power(power_loss)),
            Self::Crash { node, after_disk_ops: Some(count), power_loss: _ } => {
                write!(f, "n{node} loses power after {count} more disk operations")
            }
            Self::Restart { node } => write!(f, "n{node} starts again"),
            Self::Pause { node, for_us } => write!(f, "n{node} stands still for {}", Us(*for_us)),
            Self::Partition { shape, for_us } => write!(f, "the network is cut for {}: {shape}", Us(*for_us)),
            Self::Heal => write!(f, "all partitions end"),
            Self::DiskStall { node, for_us } => write!(f, "n{node}'s disk stalls for {}", Us(*for_us)),
            Self::DiskErrors { node, for_us, read_ppm, write_ppm, sync_ppm } => write!(
                f,
                "n{node}'s disk fails {read_ppm} reads, {write_ppm} writes and {sync_ppm} syncs of a million for {}",
                Us(*for_us)
            ),
            Self::ShortReigns { for_us, messages } => {
                write!(f, "leaders are cut off after {messages} messages or fewer, for {}", Us(*for_us))
            }
            Self::LatencySpike { factor, for_us } => {
                write!(f, "messages take {factor} times as long, for {}", Us(*for_us))
            }
            Self::Swizzle { cut, heal, every_us } => {
                let list = |nodes: &[u8]| nodes.iter().map(|node| format!("n{node}")).collect::<Vec<_>>().join(" ");
                write!(f, "{} are cut off, one each {}, and come back as {}", list(cut), Us(*every_us), list(heal))
            }
            Self::LoseKind { kind, ppm, for_us } => {
                write!(f, "{ppm} of a million {kind} messages are lost, for {}", Us(*for_us))
            }
            Self::CrashLoop { node, times, up_us, down_us, power_loss } => write!(
                f,
                "n{node} {} {times} times, up for {} and down for {}",
                power(power_loss),
                Us(*up_us),
                Us(*down_us)
            ),
            Self::ClockJump { node, by_us } => {
                let way = if *by_us < 0 { "back" } else { "ahead" };
                write!(f, "n{node}'s clock jumps {way} by {}", Us(by_us.unsigned_abs()))
            }
            Self::DiskFull { node, free, for_us } => {
                write!(f, "n{node}'s disk has {free} bytes left, for {}", Us(*for_us))
            }
            Self::Rot { node, file, permille } => {
                write!(f, "bits of n{node}'s {file} rot at {permille} thousandths of it")
            }
            Self::LoseSector { node, file, permille } => {
                write!(f, "a sector of n{node}'s {file} is lost at {permille} thousandths of it")
            }
            Self::Misdirect { node, file, permille } => {
                write!(f, "the last write of n{node}'s {file} landed at {permille} thousandths of it")
            }
            Self::Wipe { node, down_us } => write!(f, "n{node} gets an empty disk, and is down for {}", Us(*down_us)),
            Self::SaveImage { node } => write!(f, "an image of n{node}'s disk is kept"),
            Self::RestoreImage { node, down_us } => {
                write!(f, "n{node} gets the older image of its disk, and is down for {}", Us(*down_us))
            }
        }
    }
}

/// A duration in a unit that fits.
pub(crate) struct Us(pub u64);

impl fmt::Display for Us {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ 0..1_000 => write!(f, "{us} µs"),
            us @ 1_000..10_000 => write!(f, "{}.{} ms", us / 1_000, us / 100 % 10),
            us @ 10_000..1_000_000 => write!(f, "{} ms", us / 1_000),
            us => write!(f, "{}.{} s", us / 1_000_000, us / 100_000 % 10),
        }
    }
}
