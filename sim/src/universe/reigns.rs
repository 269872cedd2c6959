//! Short reigns: a fault that follows whoever leads.
//!
//! A new leader reaches only some of the other nodes, and after a few of their messages none, until its successor is
//! deposed in turn. So entries reach minorities, their leaders are replaced and come back, and are gone between two
//! acknowledgements: figure 8 of the Raft paper, and its relatives. For some the clock stands still meanwhile: they do not
//! notice, and go on as leaders beside their successor for as long as their clients come to them.

use std::cell::Cell;

use super::{Universe, time};
use crate::draw::{Dice, Draw, below};
use crate::network::{Endpoints, Partition, PartitionId};

/// How much longer one reign of four is.
const LONGER: u32 = 20;

/// The reign of the present leader, and the exile of the one before.
pub struct Reigns {
    seed: u64,
    /// After how many messages most leaders are alone at most, while reigns are short.
    pub longest: Cell<Option<u32>>,
    leader: Cell<Option<Leader>>,
    /// What separates the leader from some others.
    reach: Cell<Option<PartitionId>>,
    /// What separates the leader that was deposed last from all others.
    exile: Cell<Option<PartitionId>>,
    /// The node whose clock stands still.
    stopped: Cell<Option<u8>>,
}

/// A leader whose end is near.
#[derive(Clone, Copy)]
struct Leader {
    node: u8,
    /// How many messages it has left.
    messages: u32,
    /// Whether its clock will stand still.
    stops: bool,
}

impl Reigns {
    /// Reigns are not short so far. The seed names the dice of each.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            longest: Cell::new(None),
            leader: Cell::new(None),
            reach: Cell::new(None),
            exile: Cell::new(None),
            stopped: Cell::new(None),
        }
    }
}

impl Universe {
    /// A node has become the leader of a term.
    pub fn note_leader(&self, node: u8, term: u64) {
        let Some(longest) = self.reigns.longest.get() else { return };
        self.count("short reigns");
        let mut dice = Dice::of([self.reigns.seed, u64::from(node), term, 0]);
        let (bits, messages) = (dice.draw(), below(&mut dice, u64::from(longest) + 1) as u32);
        // Some reigns last long enough for clients to see two leaders at work.
        let messages = if (bits >> 32).is_multiple_of(4) { messages * LONGER } else { messages };
        let leader = Leader { node, messages, stops: bits & 1 == 1 };
        if messages == 0 {
            self.depose(leader);
        } else {
            self.reigns.leader.set(Some(leader));
            self.separate(&self.reigns.reach, node, |other| bits & 1 << other != 0);
        }
    }

    /// A node has got a message from another.
    pub fn note_message(&self, node: u8) {
        let Some(leader) = self.reigns.leader.get().filter(|leader| leader.node == node) else { return };
        let messages = leader.messages - 1;
        if messages == 0 {
            self.depose(leader);
        } else {
            self.reigns.leader.set(Some(Leader { messages, ..leader }));
        }
    }

    /// Whether a node does not feel time pass.
    pub fn clock_stands_still(&self, node: u8) -> bool {
        self.reigns.stopped.get() == Some(node)
    }

    /// Leaders may last again.
    pub fn end_short_reigns(&self) {
        self.reigns.longest.set(None);
        self.reigns.leader.set(None);
        self.reigns.stopped.set(None);
        self.reunite(&self.reigns.reach);
        self.reunite(&self.reigns.exile);
    }

    /// Cuts a leader off from all others, and lets the one before it come back.
    fn depose(&self, Leader { node, stops, .. }: Leader) {
        self.reigns.leader.set(None);
        self.reunite(&self.reigns.reach);
        self.separate(&self.reigns.exile, node, |_| true);
        self.reigns.stopped.set(stops.then_some(node));
    }

    /// Cuts a node off from some others, instead of what `place` has cut off before.
    fn separate(&self, place: &Cell<Option<PartitionId>>, node: u8, from: impl Fn(u8) -> bool) {
        self.reunite(place);
        let others = (1..=self.scenario.nodes).filter(|&other| other != node && from(other));
        let shape = Partition::Groups(vec![Endpoints::nodes([node]), Endpoints::nodes(others)]);
        place.set(Some(self.network.borrow_mut().partition(time::now_ns(), &shape)));
    }

    fn reunite(&self, place: &Cell<Option<PartitionId>>) {
        if let Some(id) = place.take() {
            self.network.borrow_mut().heal(id);
        }
    }
}
