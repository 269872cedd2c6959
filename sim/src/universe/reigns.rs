//! Short reigns: a fault that follows whoever leads.
//!
//! A new leader reaches only some of the other nodes, and after a few of their messages none, until there is another
//! leader. So entries reach minorities, their leaders are replaced and come back, and are gone between two
//! acknowledgements: figure 8 of the Raft paper, and its relatives.

use std::cell::{Cell, RefCell};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;

use super::{Universe, time};
use crate::network::{Endpoints, Partition, PartitionId};

/// The reign of the present leader.
pub struct Reigns {
    rng: RefCell<ChaCha8Rng>,
    /// After how many messages a leader is alone at most, while reigns are short.
    pub longest: Cell<Option<u32>>,
    /// The leader, and how many messages it has left.
    leader: Cell<Option<(u8, u32)>>,
    /// What separates it, or the one before it, from others.
    cut: Cell<Option<PartitionId>>,
}

impl Reigns {
    /// Reigns are not short so far.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { rng: RefCell::new(rng), longest: Cell::new(None), leader: Cell::new(None), cut: Cell::new(None) }
    }
}

impl Universe {
    /// A node has become the leader of a term.
    pub fn note_leader(&self, node: u8) {
        let Some(longest) = self.reigns.longest.get() else { return };
        self.count("short reigns");
        let (unreachable, messages) = {
            let mut rng = self.reigns.rng.borrow_mut();
            (rng.next_u64(), (rng.next_u64() % (u64::from(longest) + 1)) as u32)
        };
        self.reigns.leader.set(Some((node, messages)));
        self.cut_off_leader(node, |other| messages == 0 || unreachable & 1 << other != 0);
    }

    /// A node has got a message from another.
    pub fn note_message(&self, node: u8) {
        match self.reigns.leader.get() {
            Some((leader, 1)) if leader == node => {
                self.reigns.leader.set(None);
                self.cut_off_leader(node, |_| true);
            }
            Some((leader, left)) if leader == node => self.reigns.leader.set(Some((leader, left.saturating_sub(1)))),
            _ => {}
        }
    }

    /// Leaders may last again.
    pub fn end_short_reigns(&self) {
        self.reigns.longest.set(None);
        self.reigns.leader.set(None);
        self.reunite();
    }

    /// Cuts a leader off from some nodes, and reunites the one before it with the rest.
    fn cut_off_leader(&self, node: u8, from: impl Fn(u8) -> bool) {
        self.reunite();
        let others = (1..=self.scenario.nodes).filter(|&other| other != node && from(other));
        let shape = Partition::Groups(vec![Endpoints::nodes([node]), Endpoints::nodes(others)]);
        self.reigns.cut.set(Some(self.network.borrow_mut().partition(time::now_ns(), &shape)));
    }

    fn reunite(&self) {
        if let Some(id) = self.reigns.cut.take() {
            self.network.borrow_mut().heal(id);
        }
    }
}
