//! Episodes of the network that are about kinds of messages and orders of nodes: losing one kind, and swizzles.

use std::cell::{Cell, RefCell};

use scenarios::MessageKind;

use super::schedule::Action;
use super::{Universe, time};
use crate::draw::{Dice, chance};
use crate::network::{Address, Partition};

/// The episodes that are under way.
pub struct Episodes {
    seed: u64,
    /// Kinds that are lost, with the rate in parts per million and the end in nanoseconds.
    losing: RefCell<Vec<(MessageKind, u32, u64)>>,
    /// How many messages were looked at while something was lost.
    looked: Cell<u64>,
}

impl Episodes {
    /// None so far. The seed names their dice.
    pub fn new(seed: u64) -> Self {
        Self { seed, losing: RefCell::default(), looked: Cell::new(0) }
    }
}

impl Universe {
    /// From now on messages of a kind are lost.
    pub fn begin_losing(&self, kind: MessageKind, ppm: u32, until: u64) {
        self.episodes.losing.borrow_mut().push((kind, ppm, until));
    }

    /// No kind is lost any more.
    pub fn end_losing(&self) {
        self.episodes.losing.borrow_mut().clear();
    }

    /// Whether a message is lost because of its kind.
    pub fn loses(&self, from: Address, to: Address, kind: MessageKind) -> bool {
        let mut losing = self.episodes.losing.borrow_mut();
        if losing.is_empty() {
            return false;
        }
        let now = time::now_ns();
        losing.retain(|(_, _, until)| *until > now);
        let Some(&(_, ppm, _)) = losing.iter().find(|(lost, ..)| *lost == kind) else { return false };
        self.episodes.looked.set(self.episodes.looked.get() + 1);
        let link = super::address(from) << 8 ^ super::address(to) << 40;
        let mut dice = Dice::of([self.episodes.seed, link, kind as u64, self.episodes.looked.get()]);
        let lost = chance(&mut dice, ppm);
        if lost {
            self.count("message of a kind lost");
        }
        lost
    }

    /// Cuts nodes off one by one, and lets them come back in another order.
    pub fn swizzle(&self, cut: &[u8], heal: &[u8], every_us: u64) {
        let (start, every) = (time::now_ns(), every_us * 1_000);
        for (step, &node) in (0..).zip(cut) {
            let back = heal.iter().position(|&other| other == node).expect("a swizzle brings back whom it cuts") as u64;
            let end = start + (cut.len() as u64 + back) * every;
            self.plan(start + step * every, Action::Cut(Partition::Isolate { node, clients: false }, end));
        }
    }
}
