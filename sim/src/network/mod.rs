//! The network: the fate of each message.
//!
//! [`Network::send`] decides at once whether a message is lost, when it arrives, and whether it arrives twice;
//! [`Network::pop_due`] hands out what has arrived. Partitions are looked at twice, when a message leaves and when it would
//! arrive, so that a cut also takes what is on its way. Without faults a link is like a TCP connection: what one
//! endpoint sends to another arrives in the order it was sent; a message that draws the reordering fault, and the copy
//! of a duplicated one, leave that order. Lost messages are never reported to anyone.
//!
//! The model holds no time of its own: moments are nanoseconds of the universe and come in with each call. Its draws are
//! integers from [`Dice`] that are named by the message (the twelfth of its kind from one endpoint to another), so one message more
//! or less changes the fate of no other; a [`Fate`] given from outside overrules them. [`Partition`] says which links a cut
//! blocks.

mod partition;

pub use partition::{Endpoints, Partition, PartitionError, Shape};

use crate::draw::{Dice, Draw, below, chance, exponential};
use partition::{Cut, Matrix};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

/// Node ids are below this.
pub const MAX_NODES: u8 = 32;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    /// A node of the cluster, below [`MAX_NODES`].
    Node(u8),
    /// A client. Clients whose numbers are equal modulo 32 share their links' cuts and order.
    Client(u32),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "n{id}"),
            Self::Client(id) => write!(f, "c{id}"),
        }
    }
}

impl Address {
    /// The row and column of this endpoint in a matrix of links: nodes come first, then clients.
    fn class(self) -> usize {
        match self {
            Self::Node(id) => {
                assert!(id < MAX_NODES, "node {id} is beyond the {MAX_NODES} that a network holds");
                usize::from(id)
            }
            Self::Client(id) => usize::from(MAX_NODES) + (id % 32) as usize,
        }
    }
}

/// Rates in parts per million, times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOptions {
    /// The least latency.
    pub latency_min_us: u64,
    /// The mean latency without the tail: what exceeds the least is exponentially distributed.
    pub latency_mean_us: u64,
    /// How much a message in the tail takes longer, at most (evenly distributed).
    pub latency_tail_us: u64,
    /// How many messages are in the tail.
    pub tail_ppm: u32,
    /// How many messages are lost.
    pub loss_ppm: u32,
    /// How many messages arrive twice, each with a latency of its own.
    pub duplicate_ppm: u32,
    /// How many messages leave the order of their link.
    pub reorder_ppm: u32,
    /// How much later a reordered message arrives, at most (evenly distributed).
    pub reorder_us: u64,
    /// How many messages arrive once more when they are out of date.
    pub replay_ppm: u32,
    /// How much later, at most (evenly distributed).
    pub replay_us: u64,
}

/// A healthy local network without faults.
impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            latency_min_us: 100,
            latency_mean_us: 300,
            latency_tail_us: 2_000,
            tail_ppm: 1_000,
            loss_ppm: 0,
            duplicate_ppm: 0,
            reorder_ppm: 0,
            reorder_us: 0,
            replay_ppm: 0,
            replay_us: 0,
        }
    }
}

/// What happened to messages. Every sent message and every copy is in the end delivered, dropped, or still on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Messages given to [`Network::send`].
    pub sent: u64,
    /// Messages and copies handed out.
    pub delivered: u64,
    /// Messages lost by the loss rate.
    pub lost: u64,
    /// Messages and copies that ran into a partition, by its shape.
    pub partitioned: BTreeMap<Shape, u64>,
    /// Copies made.
    pub duplicated: u64,
    /// Messages taken out of the order of their link.
    pub reordered: u64,
    /// Copies made to arrive when they are out of date.
    pub replayed: u64,
    /// Messages in the tail of the latency distribution.
    pub tail: u64,
    /// Partitions that began.
    pub partitions: u64,
}

impl Counters {
    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.lost += other.lost;
        for (&shape, count) in &other.partitioned {
            *self.partitioned.entry(shape).or_default() += count;
        }
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.replayed += other.replayed;
        self.tail += other.tail;
        self.partitions += other.partitions;
    }
}

/// A message that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<M> {
    /// The sender.
    pub from: Address,
    /// The receiver.
    pub to: Address,
    /// What was sent.
    pub message: M,
    /// When it was sent, in nanoseconds.
    pub sent_at: u64,
    /// Its number among all messages and copies.
    pub number: u64,
}

/// Kinds of messages are below this.
pub const MAX_KINDS: usize = 16;

/// Names a message: who sends it to whom, its kind, and the how manieth of them it is, from 1.
pub type Name = (Address, Address, u8, u32);

/// What can become of a message, other than arriving once and in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It leaves the order of its link, and arrives so many microseconds later.
    Late(u64),
    /// It arrives once more, so many microseconds later.
    Again(u64),
}

/// What was decided about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Due {
        /// When it arrives, in nanoseconds, unless it runs into a partition.
        at: u64,
        /// Its number among all messages and copies.
        number: u64,
    },
    /// It was lost.
    Lost,
    /// It ran into a partition.
    Cut(Shape),
}

/// Names a partition that is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId(u64);

/// The network between nodes and clients, carrying messages of type `M`.
#[derive(Clone, Debug)]
pub struct Network<M> {
    options: NetworkOptions,
    seed: u64,
    /// How many messages of each kind went over each link.
    counts: Vec<u32>,
    /// What overrules the dice.
    fates: BTreeMap<Name, Vec<Fate>>,
    /// The decisions that the dice made, if they are kept.
    decisions: Option<Vec<(Name, Fate)>>,
    faults: bool,
    latency_factor: u32,
    /// Arrivals by time, then by the order in which they were decided; the last field is a place in `flights`.
    arrivals: BinaryHeap<Reverse<(u64, u64, u32)>>,
    /// Messages on their way. Kept out of the heap, so that it moves small things only.
    flights: Vec<Option<Delivery<M>>>,
    /// Empty places of `flights`.
    vacant: Vec<u32>,
    sequence: u64,
    /// When the last message in order arrives, by sender's and receiver's class.
    last_arrival: Box<[[u64; 64]]>,
    cuts: BTreeMap<PartitionId, Cut>,
    /// All links that a cut in place may block; tells in one look that most links are free.
    cut_links: Matrix,
    next_partition: u64,
    counters: Counters,
}

impl<M: Clone> Network<M> {
    /// A network without partitions, with faults on. The seed names its dice.
    pub fn new(options: NetworkOptions, seed: u64) -> Self {
        Self {
            options,
            seed,
            counts: vec![0; 64 * 64 * MAX_KINDS],
            fates: BTreeMap::new(),
            decisions: None,
            faults: true,
            latency_factor: 1,
            arrivals: BinaryHeap::new(),
            flights: Vec::new(),
            vacant: Vec::new(),
            sequence: 0,
            last_arrival: vec![[0; 64]; 64].into_boxed_slice(),
            cuts: BTreeMap::new(),
            cut_links: Matrix::default(),
            next_partition: 0,
            counters: Counters::default(),
        }
    }

    /// Decides by itself what becomes of a message, whatever the rates say. Faults must be on for it.
    pub fn set_fate(&mut self, name: Name, fate: Fate) {
        self.fates.entry(name).or_default().push(fate);
    }

    /// Keeps what the dice decide from now on, for [`Network::decisions`].
    pub fn keep_decisions(&mut self) {
        self.decisions.get_or_insert_default();
    }

    /// What the dice have decided: all that was lost, late or came again, in the order of sending.
    pub fn decisions(&self) -> &[(Name, Fate)] {
        self.decisions.as_deref().unwrap_or_default()
    }

    /// Decides the fate of a message of a kind (below [`MAX_KINDS`]) that leaves at `now_ns`.
    pub fn send(&mut self, now_ns: u64, from: Address, to: Address, kind: u8, message: M) -> Sent {
        self.counters.sent += 1;
        let (row, column) = (from.class(), to.class());
        let count = &mut self.counts[(row * 64 + column) * MAX_KINDS + usize::from(kind)];
        *count += 1;
        let name = (from, to, kind, *count);
        if let Some(shape) = self.blocked(now_ns, from, to) {
            self.count_partitioned(shape);
            return Sent::Cut(shape);
        }
        let link = (row as u64) << 16 | (column as u64) << 8 | u64::from(kind);
        let mut dice = Dice::of([self.seed, link, u64::from(name.3), 0]);
        let latency = self.latency_ns(&mut dice);
        let (mut late, mut again) = (None, [None; 2]);
        if self.faults {
            let options = &self.options;
            if chance(&mut dice, options.loss_ppm) {
                self.counters.lost += 1;
                self.note(name, Fate::Lost);
                return Sent::Lost;
            }
            let mut drawn = |ppm, most: u64| chance(&mut dice, ppm).then(|| below(&mut dice, most.saturating_add(1)));
            again[0] = drawn(options.duplicate_ppm, options.reorder_us);
            late = drawn(options.reorder_ppm, options.reorder_us);
            again[1] = drawn(options.replay_ppm, options.replay_us);
            self.counters.duplicated += u64::from(again[0].is_some());
            self.counters.replayed += u64::from(again[1].is_some());
            if let Some(us) = late {
                self.note(name, Fate::Late(us));
            }
            for us in again.into_iter().flatten() {
                self.note(name, Fate::Again(us));
            }
            if !self.fates.is_empty() {
                for fate in self.fates.get(&name).into_iter().flatten() {
                    match *fate {
                        Fate::Lost => {
                            self.counters.lost += 1;
                            return Sent::Lost;
                        }
                        Fate::Late(us) => late = Some(us),
                        Fate::Again(us) => {
                            let place = usize::from(again[0].is_some());
                            self.counters.duplicated += 1;
                            again[place] = Some(us);
                        }
                    }
                }
            }
        }
        let plain = now_ns.saturating_add(latency);
        for us in again.into_iter().flatten() {
            let copy = Delivery { from, to, message: message.clone(), sent_at: now_ns, number: 0 };
            self.depart(plain.saturating_add(nanoseconds(us)), copy);
        }
        let due = if let Some(us) = late {
            self.counters.reordered += 1;
            plain.saturating_add(nanoseconds(us))
        } else {
            let last = &mut self.last_arrival[row][column];
            *last = plain.max(*last);
            *last
        };
        let number = self.depart(due, Delivery { from, to, message, sent_at: now_ns, number: 0 });
        Sent::Due { at: due, number }
    }

    fn note(&mut self, name: Name, fate: Fate) {
        if let Some(decisions) = &mut self.decisions {
            decisions.push((name, fate));
        }
    }

    /// The earliest moment at which [`Network::pop_due`] has something to look at, if anything is on its way.
    pub fn next_due(&self) -> Option<u64> {
        self.arrivals.peek().map(|Reverse((due, _, _))| *due)
    }

    /// The next message that has arrived by `now_ns`, or nothing when no more has. The second part tells of a message that
    /// ran into a partition instead.
    pub fn pop_due(&mut self, now_ns: u64) -> Option<(Delivery<M>, Option<Shape>)> {
        let &Reverse((due, _, place)) = self.arrivals.peek()?;
        if due > now_ns {
            return None;
        }
        self.arrivals.pop();
        self.vacant.push(place);
        let delivery = self.flights[place as usize].take().expect("an arrival has its message");
        // A cut is judged at the moment of arrival, however late the host asks.
        let blocked = self.blocked(due, delivery.from, delivery.to);
        match blocked {
            None => self.counters.delivered += 1,
            Some(shape) => self.count_partitioned(shape),
        }
        Some((delivery, blocked))
    }

    /// How many messages and copies are on their way.
    pub fn in_flight(&self) -> usize {
        self.arrivals.len()
    }

    /// Begins a partition at `now_ns`. Several may be in place at once; a link is free when none of them blocks it.
    pub fn partition(&mut self, now_ns: u64, partition: &Partition) -> PartitionId {
        let id = PartitionId(self.next_partition);
        self.next_partition += 1;
        self.counters.partitions += 1;
        let cut = Cut::new(now_ns, partition);
        self.cut_links.add(cut.links());
        self.cuts.insert(id, cut);
        id
    }

    /// Ends a partition; false when it has ended before.
    pub fn heal(&mut self, id: PartitionId) -> bool {
        let healed = self.cuts.remove(&id).is_some();
        self.cut_links = Matrix::default();
        for cut in self.cuts.values() {
            self.cut_links.add(cut.links());
        }
        healed
    }

    /// Ends all partitions; says how many there were.
    pub fn heal_all(&mut self) -> usize {
        let count = self.cuts.len();
        self.cuts.clear();
        self.cut_links = Matrix::default();
        count
    }

    /// The shape of a partition that blocks messages from one endpoint to another at `now_ns`, if one does.
    pub fn blocked(&self, now_ns: u64, from: Address, to: Address) -> Option<Shape> {
        let (from, to) = (from.class(), to.class());
        if !self.cut_links.has(from, to) {
            return None;
        }
        self.cuts.values().find(|cut| cut.blocks(now_ns, from, to)).map(Cut::shape)
    }

    /// Multiplies the latency of everything sent from now on: a spike. 1 is normal; 0 counts as 1.
    pub fn set_latency_factor(&mut self, factor: u32) {
        self.latency_factor = factor.max(1);
    }

    /// Turns loss, duplication and reordering on or off. Turning them off also heals every partition and ends a latency
    /// spike; messages on their way stay there, and partitions can still be begun by hand.
    pub fn set_faults_enabled(&mut self, enabled: bool) {
        self.faults = enabled;
        if !enabled {
            self.heal_all();
            self.latency_factor = 1;
        }
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    // Options come from outside: absurd ones saturate.
    fn latency_ns(&mut self, dice: &mut impl Draw) -> u64 {
        let NetworkOptions { latency_min_us, latency_mean_us, latency_tail_us, tail_ppm, .. } = self.options;
        let spread = exponential(dice, nanoseconds(latency_mean_us.saturating_sub(latency_min_us)));
        let mut latency = nanoseconds(latency_min_us).saturating_add(spread);
        if chance(dice, tail_ppm) {
            self.counters.tail += 1;
            latency = latency.saturating_add(below(dice, nanoseconds(latency_tail_us).saturating_add(1)));
        }
        latency.saturating_mul(u64::from(self.latency_factor))
    }

    /// Puts a message on its way; says which number it got.
    fn depart(&mut self, due: u64, delivery: Delivery<M>) -> u64 {
        let number = self.sequence;
        let delivery = Delivery { number, ..delivery };
        let place = if let Some(place) = self.vacant.pop() {
            self.flights[place as usize] = Some(delivery);
            place
        } else {
            self.flights.push(Some(delivery));
            (self.flights.len() - 1) as u32
        };
        self.arrivals.push(Reverse((due, number, place)));
        self.sequence += 1;
        number
    }

    fn count_partitioned(&mut self, shape: Shape) {
        *self.counters.partitioned.entry(shape).or_default() += 1;
    }
}

fn nanoseconds(us: u64) -> u64 {
    us.saturating_mul(1_000)
}

#[cfg(test)]
mod tests;
