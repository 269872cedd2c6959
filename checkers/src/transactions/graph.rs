//! Which transaction comes before which: a graph in compressed rows, and its strongly connected components.
//!
//! Nodes are transactions and a few points, which stand for nobody and keep the links linear where every one of many
//! readers precedes every one of many writers. There are two [views](View) of the graph:
//!
//! * As *transactions*: any cycle is forbidden. This is serializability.
//! * As *events*: every transaction begins (takes its snapshot) and later commits. A dependency leads from commit to
//!   begin, an anti-dependency from begin to commit; so a cycle of events is one of transactions without two
//!   anti-dependencies in a row, which is what snapshot isolation forbids (Fekete et al., "Making snapshot isolation
//!   serializable", TODS 2005; Cerone and Gotsman, "Analysing snapshot isolation", JACM 2018). Twice the nodes, no more
//!   edges.
//!
//! Components are Tarjan's (1972), without recursion: two arrays and a stack. Real time needs no links. Of several such
//! on one cycle take that from the transaction which was acknowledged first: this was before the link ahead of it ended,
//! so it may lead there as well and close a shorter cycle. So there is a cycle with real time if and only if there is
//! one with a single such link, which is so when a node leads to a transaction that was acknowledged before the node's
//! own was invoked. The earliest acknowledgement that each node leads to is found in one pass over the components.

use super::facts::NONE;
use crate::history::Transaction;

/// What kinds of links there are, as bits.
pub(super) type Labels = u16;

/// Overwrites.
pub(super) const WW: Labels = 1;
/// Read of what was written.
pub(super) const WR: Labels = 1 << 1;
/// Read of what was then overwritten.
pub(super) const RW: Labels = 1 << 2;
/// Decides a predicate read.
pub(super) const WR_PREDICATE: Labels = 1 << 3;
/// Would have changed the answer to a predicate read.
pub(super) const RW_PREDICATE: Labels = 1 << 4;
/// From what made the initial state.
pub(super) const INITIAL: Labels = 1 << 5;
/// Order of a client.
pub(super) const SESSION: Labels = 1 << 6;
/// Order of a client that binds only the commit of the second transaction, not its reads.
pub(super) const SESSION_COMMIT: Labels = 1 << 7;
/// The second half of an anti-dependency, from a point.
pub(super) const THROUGH: Labels = 1 << 8;

/// Anti-dependencies.
pub(super) const ANTI: Labels = RW | RW_PREDICATE;
/// What data says of rows and lists alone.
pub(super) const ITEMS: Labels = WW | WR | RW | WR_PREDICATE | INITIAL | THROUGH;
/// What data says.
pub(super) const DATA: Labels = ITEMS | RW_PREDICATE;
/// The order of clients.
pub(super) const SESSIONS: Labels = SESSION | SESSION_COMMIT;

/// That one node comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) label: Labels,
    /// What was read and written.
    pub(super) object: u32,
    /// The write that makes the difference: the later one of an overwrite, the one that was read, or the one that was
    /// not yet there.
    pub(super) version: u32,
}

/// Links by where they begin.
pub(super) struct Graph {
    /// By node, where its links begin, and where the last ones end.
    pub(super) first: Vec<u32>,
    pub(super) links: Vec<Link>,
}

impl Graph {
    pub(super) fn new(nodes: usize, links: &[Link]) -> Self {
        let mut first = vec![0_u32; nodes + 1];
        for link in links {
            first[link.from as usize + 1] += 1;
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let mut next = first.clone();
        let mut sorted = vec![Link { from: 0, to: 0, label: 0, object: NONE, version: NONE }; links.len()];
        for link in links {
            let place = &mut next[link.from as usize];
            sorted[*place as usize] = *link;
            *place += 1;
        }
        Self { first, links: sorted }
    }

    pub(super) fn nodes(&self) -> usize {
        self.first.len() - 1
    }

    /// The links from a node, and where they begin.
    pub(super) fn from(&self, node: u32) -> (usize, &[Link]) {
        let (from, to) = (self.first[node as usize] as usize, self.first[node as usize + 1] as usize);
        (from, &self.links[from..to])
    }
}

/// A graph as seen by a level: by some of its links, between transactions or between events.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) graph: &'a Graph,
    /// Which links count.
    pub(super) labels: Labels,
    /// Whether nodes are split into begin and commit.
    pub(super) events: bool,
}

/// A place in a view: a node, or twice the node for its begin and one more for its commit.
pub(super) type State = u32;

impl View<'_> {
    fn states(&self) -> usize {
        self.graph.nodes() << u32::from(self.events)
    }

    /// The node of a state.
    pub(super) fn node(&self, state: State) -> u32 {
        state >> u32::from(self.events)
    }

    /// Where a link leads from a state, if it leaves there at all.
    fn step(&self, state: State, link: &Link) -> Option<State> {
        if link.label & self.labels == 0 {
            return None;
        }
        if !self.events {
            return Some(link.to);
        }
        let at_begin = state & 1 == 0;
        if link.label & ANTI != 0 {
            at_begin.then_some(2 * link.to + 1)
        } else if at_begin {
            None
        } else {
            Some(2 * link.to + u32::from(link.label & (THROUGH | SESSION_COMMIT) != 0))
        }
    }

    /// The strongly connected components.
    pub(super) fn components(&self) -> Components {
        let states = self.states();
        let mut component = vec![NONE; states];
        // When each state was found, and the earliest found one of its component that is known.
        let (mut found, mut low) = (vec![NONE; states], vec![NONE; states]);
        let (mut order, mut open, mut path) = (Vec::with_capacity(states), Vec::new(), Vec::<(State, u32)>::new());
        let (mut time, mut count, mut cyclic) = (0_u32, 0_u32, false);
        for root in 0..states as u32 {
            if found[root as usize] != NONE {
                continue;
            }
            (found[root as usize], low[root as usize]) = (time, time);
            time += 1;
            open.push(root);
            path.push((root, self.graph.first[self.node(root) as usize]));
            while let Some((state, next)) = path.last_mut() {
                let state = *state;
                let end = self.graph.first[self.node(state) as usize + 1];
                let mut child = NONE;
                // A begin leads to its commit before all else.
                if self.events && state & 1 == 0 && found[state as usize + 1] == NONE {
                    child = state + 1;
                } else {
                    if self.events && state & 1 == 0 && component[state as usize + 1] == NONE {
                        low[state as usize] = low[state as usize].min(found[state as usize + 1]);
                    }
                    while *next < end {
                        let link = &self.graph.links[*next as usize];
                        *next += 1;
                        let Some(to) = self.step(state, link) else { continue };
                        if found[to as usize] == NONE {
                            child = to;
                            break;
                        }
                        if component[to as usize] == NONE {
                            low[state as usize] = low[state as usize].min(found[to as usize]);
                        }
                    }
                }
                if child != NONE {
                    (found[child as usize], low[child as usize]) = (time, time);
                    time += 1;
                    open.push(child);
                    path.push((child, self.graph.first[self.node(child) as usize]));
                    continue;
                }
                path.pop();
                if let Some((parent, _)) = path.last() {
                    low[*parent as usize] = low[*parent as usize].min(low[state as usize]);
                }
                if low[state as usize] == found[state as usize] {
                    let first = order.len();
                    while let Some(member) = open.pop() {
                        component[member as usize] = count;
                        order.push(member);
                        if member == state {
                            break;
                        }
                    }
                    cyclic |= order.len() - first > 1;
                    count += 1;
                }
            }
        }
        Components { of: component, order, count, cyclic }
    }

    /// The earliest acknowledgement that each component leads to, its own included.
    pub(super) fn earliest(&self, components: &Components, transactions: &[Transaction]) -> Vec<u64> {
        let mut earliest = vec![u64::MAX; components.count as usize];
        for &state in &components.order {
            let node = self.node(state);
            let mut least = if self.events && state & 1 == 0 {
                earliest[components.of[state as usize + 1] as usize]
            } else {
                let transaction = transactions.get(node as usize).filter(|transaction| !transaction.initial);
                transaction.and_then(Transaction::acknowledged).unwrap_or(u64::MAX)
            };
            for link in self.graph.from(node).1 {
                if let Some(to) = self.step(state, link) {
                    least = least.min(earliest[components.of[to as usize] as usize]);
                }
            }
            let slot = &mut earliest[components.of[state as usize] as usize];
            *slot = least.min(*slot);
        }
        earliest
    }

    /// The state at which real time binds a transaction, if at all: one that may read the past is bound in its commit.
    pub(super) fn bound(&self, at: usize, transaction: &Transaction) -> Option<State> {
        match (transaction.initial, transaction.historic, self.events) {
            (true, ..) | (_, true, false) => None,
            (_, false, false) => Some(at as u32),
            (_, historic, true) => Some(2 * at as u32 + u32::from(historic)),
        }
    }

    /// Who leads to a transaction that was acknowledged before it was invoked.
    pub(super) fn late<'t>(
        &'t self,
        components: &'t Components,
        transactions: &'t [Transaction],
    ) -> impl Iterator<Item = u32> + 't {
        let earliest = self.earliest(components, transactions);
        transactions.iter().enumerate().filter_map(move |(at, transaction)| {
            let state = self.bound(at, transaction)?;
            let least = earliest[components.of[state as usize] as usize];
            (least < transaction.invoke).then_some(at as u32)
        })
    }
}

/// The strongly connected components of a view.
pub(super) struct Components {
    /// By state: its component, which has a higher number than those it leads to.
    pub(super) of: Vec<u32>,
    /// All states, component by component.
    pub(super) order: Vec<State>,
    pub(super) count: u32,
    /// Whether there is a cycle.
    pub(super) cyclic: bool,
}
