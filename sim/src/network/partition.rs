//! Partitions: which links a cut blocks.
//!
//! A [`Partition`] is data, as a scenario draws it. Placing it compiles it into a [`Matrix`] with a bit for every
//! directed link between the 64 classes of endpoints (32 nodes, 32 classes of clients), so that looking a link up costs a
//! load and a mask. Bits of absent nodes and clients do no harm.

use super::{Address, MAX_NODES};
use serde::{Deserialize, Serialize};

/// All 32 node classes.
const NODES: u64 = (1 << MAX_NODES) - 1;

/// A set of endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoints(u64);

impl Endpoints {
    /// Every node, present or not.
    pub const ALL_NODES: Self = Self(NODES);
    /// Every client.
    pub const ALL_CLIENTS: Self = Self(!NODES);

    /// The nodes with these ids.
    pub fn nodes(ids: impl IntoIterator<Item = u8>) -> Self {
        ids.into_iter().map(Address::Node).collect()
    }

    /// The clients with these numbers (and those that share their class).
    pub fn clients(numbers: impl IntoIterator<Item = u32>) -> Self {
        numbers.into_iter().map(Address::Client).collect()
    }

    /// The endpoints in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the endpoint is in the set.
    pub fn contains(self, address: Address) -> bool {
        self.0 & (1 << address.class()) != 0
    }
}

impl FromIterator<Address> for Endpoints {
    fn from_iter<I: IntoIterator<Item = Address>>(addresses: I) -> Self {
        Self(addresses.into_iter().fold(0, |set, address| set | 1 << address.class()))
    }
}

/// A cut through the network. Endpoints that it does not name keep all their links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partition {
    /// Endpoints of different groups cannot reach each other: two halves, or any other split.
    Groups(Vec<Endpoints>),
    /// One node cannot reach any other, nor be reached. With `clients`, its clients are cut off as well; without, it
    /// keeps answering them, which is how a deposed leader serves stale reads.
    Isolate {
        /// The lonely node.
        node: u8,
        /// Whether its links with clients are cut too.
        clients: bool,
    },
    /// Two sides that cannot reach each other, and a bridge that reaches both.
    Bridge {
        /// The node in between; it is in neither side, even if named there.
        bridge: u8,
        /// One side.
        left: Endpoints,
        /// The other side.
        right: Endpoints,
    },
    /// Each of these nodes reaches only its two neighbours in this order, so that all see a different majority.
    Ring(Vec<u8>),
    /// What `from` sends does not reach `to`; the way back is open.
    OneWay {
        /// The senders who are not heard.
        from: Endpoints,
        /// The receivers who do not hear.
        to: Endpoints,
    },
    /// These clients and these nodes cannot reach each other.
    ClientSide {
        /// The clients.
        clients: Endpoints,
        /// The nodes.
        nodes: Endpoints,
    },
    /// Another partition that comes and goes: cut first, then open, and so on.
    Flapping {
        /// What comes and goes.
        partition: Box<Partition>,
        /// How long each cut lasts, in microseconds.
        cut_us: u64,
        /// How long the network is whole in between, in microseconds.
        open_us: u64,
    },
}

/// The name of a partition's form, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// [`Partition::Groups`]
    Groups,
    /// [`Partition::Isolate`]
    Isolate,
    /// [`Partition::Bridge`]
    Bridge,
    /// [`Partition::Ring`]
    Ring,
    /// [`Partition::OneWay`]
    OneWay,
    /// [`Partition::ClientSide`]
    ClientSide,
    /// [`Partition::Flapping`]
    Flapping,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 7] =
        [Self::Groups, Self::Isolate, Self::Bridge, Self::Ring, Self::OneWay, Self::ClientSide, Self::Flapping];

    /// The name that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Isolate => "isolate",
            Self::Bridge => "bridge",
            Self::Ring => "ring",
            Self::OneWay => "one-way",
            Self::ClientSide => "client-side",
            Self::Flapping => "flapping",
        }
    }
}

impl Partition {
    /// The name of its form.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Groups(_) => Shape::Groups,
            Self::Isolate { .. } => Shape::Isolate,
            Self::Bridge { .. } => Shape::Bridge,
            Self::Ring(_) => Shape::Ring,
            Self::OneWay { .. } => Shape::OneWay,
            Self::ClientSide { .. } => Shape::ClientSide,
            Self::Flapping { .. } => Shape::Flapping,
        }
    }

    /// Checks what comes from outside, before [`super::Network::partition`], which asserts it.
    pub fn validate(&self) -> Result<(), PartitionError> {
        let known = |node: u8| if node < MAX_NODES { Ok(()) } else { Err(PartitionError::UnknownNode(node)) };
        match self {
            Self::Groups(groups) if groups.len() > 64 => Err(PartitionError::TooManyGroups(groups.len())),
            Self::Isolate { node, .. } => known(*node),
            Self::Bridge { bridge, .. } => known(*bridge),
            Self::Ring(nodes) => {
                nodes.iter().try_for_each(|&node| known(node))?;
                match nodes.iter().enumerate().find(|(i, node)| nodes[..*i].contains(node)) {
                    Some((_, &node)) => Err(PartitionError::RepeatedNode(node)),
                    None => Ok(()),
                }
            }
            Self::Flapping { partition, .. } => partition.validate(),
            Self::Groups(_) | Self::OneWay { .. } | Self::ClientSide { .. } => Ok(()),
        }
    }

    /// Whether it blocks messages from one endpoint to another, at the times at which it blocks any.
    pub fn blocks(&self, from: Address, to: Address) -> bool {
        self.links().has(from.class(), to.class())
    }

    /// The links it blocks, at the times at which it blocks any.
    fn links(&self) -> Matrix {
        let mut links = Matrix::default();
        match self {
            Self::Groups(groups) => {
                for (i, &left) in groups.iter().enumerate() {
                    for &right in &groups[i + 1..] {
                        // An endpoint named twice is on both sides, and so bridges them.
                        let shared = left.0 & right.0;
                        links.block_both(left.0 & !shared, right.0 & !shared);
                    }
                }
            }
            &Self::Isolate { node, clients } => {
                let node = 1 << Address::Node(node).class();
                let others = if clients { u64::MAX } else { NODES };
                links.block_both(node, others & !node);
            }
            Self::Bridge { bridge, left, right } => {
                let shared = left.0 & right.0 | 1 << Address::Node(*bridge).class();
                links.block_both(left.0 & !shared, right.0 & !shared);
            }
            Self::Ring(nodes) => {
                for (i, &left) in nodes.iter().enumerate() {
                    for (j, &right) in nodes.iter().enumerate().skip(i + 2) {
                        // The last and the first are neighbours.
                        if j - i != nodes.len() - 1 {
                            links.block_both(1 << Address::Node(left).class(), 1 << Address::Node(right).class());
                        }
                    }
                }
            }
            Self::OneWay { from, to } => links.block(from.0, to.0),
            Self::ClientSide { clients, nodes } => links.block_both(clients.0 & !NODES, nodes.0 & NODES),
            Self::Flapping { partition, .. } => links = partition.links(),
        }
        links
    }
}

/// Why a partition makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// A node id beyond what a network holds.
    #[error("node {0} is beyond the {MAX_NODES} nodes that a network holds")]
    UnknownNode(u8),
    /// More groups than endpoints.
    #[error("{0} groups are more than the 64 classes of endpoints that a network holds")]
    TooManyGroups(usize),
    /// A ring passes a node twice.
    #[error("the ring passes node {0} twice")]
    RepeatedNode(u8),
}

/// A set of directed links: for each sender's class, the receivers' classes as bits. No endpoint is ever cut from itself.
#[derive(Clone, Debug)]
pub(super) struct Matrix([u64; 64]);

impl Default for Matrix {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Matrix {
    #[inline]
    pub(super) fn has(&self, from: usize, to: usize) -> bool {
        self.0[from] >> to & 1 != 0
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (row, added) in self.0.iter_mut().zip(&other.0) {
            *row |= added;
        }
    }

    fn block(&mut self, from: u64, to: u64) {
        for (class, row) in self.0.iter_mut().enumerate() {
            if from >> class & 1 != 0 {
                *row |= to & !(1 << class);
            }
        }
    }

    fn block_both(&mut self, left: u64, right: u64) {
        self.block(left, right);
        self.block(right, left);
    }
}

/// A partition in place.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    shape: Shape,
    links: Matrix,
    since: u64,
    /// For each level of flapping: how long the cut and the whole period last, in nanoseconds.
    periods: Vec<(u64, u64)>,
}

impl Cut {
    pub(super) fn new(since: u64, partition: &Partition) -> Self {
        let mut periods = Vec::new();
        let mut inner = partition;
        while let Partition::Flapping { partition, cut_us, open_us } = inner {
            let cut_ns = cut_us.saturating_mul(1_000);
            // A period of nothing would be no period: such a partition never blocks.
            periods.push((cut_ns, cut_ns.saturating_add(open_us.saturating_mul(1_000)).max(1)));
            inner = partition;
        }
        Self { shape: partition.shape(), links: partition.links(), since, periods }
    }

    pub(super) fn links(&self) -> &Matrix {
        &self.links
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn blocks(&self, now_ns: u64, from: usize, to: usize) -> bool {
        let Some(elapsed) = now_ns.checked_sub(self.since) else { return false };
        self.links.has(from, to) && self.periods.iter().all(|(cut, period)| elapsed % period < *cut)
    }
}
