//! The nodes that faults and fates name, and the same faults and fates with other numbers for them.
//!
//! Which fields name nodes is written here once: to list the nodes of a fault is to renumber it and see what is asked for.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::fate::{End, Fate};
use crate::fault::{Fault, FaultKind, Partition, Side, When};

impl Fault {
    /// The same fault with the numbers that `new` gives to its nodes; nothing when it is about one that has none.
    pub fn renumbered(&self, new: &dyn Fn(u8) -> Option<u8>) -> Option<Self> {
        let mut when = self.when;
        match &mut when {
            When::Time { .. } => {}
            When::Synced { node, .. }
            | When::Appended { node, .. }
            | When::Applied { node, .. }
            | When::Leads { node, .. }
            | When::Votes { node, .. } => *node = new(*node)?,
        }
        Some(Self { when, kind: self.kind.renumbered(new)? })
    }
}

impl FaultKind {
    /// The nodes that it names, in order.
    pub fn nodes(&self) -> Vec<u8> {
        let named = RefCell::new(BTreeSet::new());
        self.renumbered(&|node| {
            named.borrow_mut().insert(node);
            Some(node)
        });
        named.into_inner().into_iter().collect()
    }

    fn renumbered(&self, new: &dyn Fn(u8) -> Option<u8>) -> Option<Self> {
        let mut kind = self.clone();
        match &mut kind {
            Self::Crash { node, .. }
            | Self::Restart { node }
            | Self::Pause { node, .. }
            | Self::DiskStall { node, .. }
            | Self::DiskErrors { node, .. }
            | Self::CrashLoop { node, .. }
            | Self::ClockJump { node, .. }
            | Self::DiskFull { node, .. }
            | Self::Rot { node, .. }
            | Self::LoseSector { node, .. }
            | Self::Misdirect { node, .. }
            | Self::Wipe { node, .. }
            | Self::SaveImage { node }
            | Self::RestoreImage { node, .. } => *node = new(*node)?,
            Self::Swizzle { cut, heal, .. } => {
                *cut = cut.iter().filter_map(|&node| new(node)).collect();
                *heal = heal.iter().filter_map(|&node| new(node)).collect();
            }
            Self::Partition { shape, .. } => *shape = shape.renumbered(new)?,
            Self::Heal | Self::ShortReigns { .. } | Self::LatencySpike { .. } | Self::LoseKind { .. } => {}
        }
        Some(kind)
    }
}

impl Partition {
    fn renumbered(&self, new: &dyn Fn(u8) -> Option<u8>) -> Option<Self> {
        let nodes = |nodes: &BTreeSet<u8>| nodes.iter().filter_map(|&node| new(node)).collect::<BTreeSet<u8>>();
        let side = |side: &Side| Side { nodes: nodes(&side.nodes), clients: side.clients.clone() };
        Some(match self {
            Self::Halves { left, right } => Self::Halves { left: side(left), right: side(right) },
            Self::Isolate { node, clients } => Self::Isolate { node: new(*node)?, clients: *clients },
            Self::Bridge { node, left, right } => {
                Self::Bridge { node: new(*node)?, left: side(left), right: side(right) }
            }
            Self::Ring { nodes: ring } => Self::Ring { nodes: ring.iter().filter_map(|&node| new(node)).collect() },
            Self::OneWay { from, to } => Self::OneWay { from: side(from), to: side(to) },
            Self::ClientSide { clients, nodes: named } => {
                Self::ClientSide { clients: clients.clone(), nodes: nodes(named) }
            }
            Self::Flapping { shape, cut_us, open_us } => {
                Self::Flapping { shape: Box::new(shape.renumbered(new)?), cut_us: *cut_us, open_us: *open_us }
            }
        })
    }
}

impl Fate {
    /// The same fate with the numbers that `new` gives to its nodes; nothing when it is about one that has none.
    pub fn renumbered(&self, new: &dyn Fn(u8) -> Option<u8>) -> Option<Self> {
        let end = |end: End| match end {
            End::Node(node) => new(node).map(End::Node),
            End::Client(client) => Some(End::Client(client)),
        };
        Some(match *self {
            Self::Message { from, to, kind, count, what } => {
                Self::Message { from: end(from)?, to: end(to)?, kind, count, what }
            }
            Self::Disk { node, what, count } => Self::Disk { node: new(node)?, what, count },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_listed_and_renumbered_alike() {
        let halves = |left: &[u8], right: &[u8]| {
            let side = |nodes: &[u8]| Side { nodes: nodes.iter().copied().collect(), ..Side::default() };
            let shape = Partition::Halves { left: side(left), right: side(right) };
            let shape = Partition::Flapping { shape: Box::new(shape), cut_us: 1, open_us: 2 };
            FaultKind::Partition { shape, for_us: 3 }
        };
        let fault = Fault { when: When::Synced { node: 4, count: 1 }, kind: halves(&[4, 2], &[1]) };
        assert_eq!(fault.kind.nodes(), [1, 2, 4]);
        let new = |node: u8| (node != 1).then_some(node - 1);
        let renumbered = Fault { when: When::Synced { node: 3, count: 1 }, kind: halves(&[3, 1], &[]) };
        assert_eq!(fault.renumbered(&new), Some(renumbered));
        assert_eq!(Fault { when: When::Synced { node: 1, count: 1 }, ..fault }.renumbered(&new), None);
        let swizzle = FaultKind::Swizzle { cut: vec![3, 1], heal: vec![1, 3], every_us: 1 };
        assert_eq!(swizzle.nodes(), [1, 3]);
        assert_eq!(FaultKind::Crash { node: 1, after_disk_ops: None, power_loss: true }.renumbered(&new), None);
        assert!(FaultKind::Heal.nodes().is_empty());
    }
}
