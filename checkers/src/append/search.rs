//! The search for a cycle of events: whether there is one, in linear time, and the shortest of the strongest class.
//!
//! Classes are tried from the strongest: ww edges only, wr edges too, one rw edge, any. Whether there is a cycle at all
//! and without rw edges is told by the strongly connected components (Tarjan, 1972); within them a breadth-first search
//! from every begin finds the shortest, and the only answer for one rw edge. Its work is bounded, so in a large tangle
//! the cycle may be the shortest of those looked at only.
//!
//! Real time needs no edges. Of several on one cycle, take that from the transaction which was acknowledged first: this
//! was before the edge ahead of it ended, so it may lead there as well and close a shorter cycle. So there is a cycle if
//! and only if there is one with a single such edge, which is so when an event leads to the commit of a transaction that
//! was acknowledged before the event's own was invoked. Once all other edges are free of cycles, the earliest
//! acknowledgement that each event leads to is found in one pass.

use super::timeline::{Edge, Event, Why, begin, commit};
use crate::history::Transaction;

/// How many steps a search for the shortest cycle may take before it starts from no further event.
const STEPS: u64 = 10_000_000;

/// Which edges a cycle may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// ww only: G0.
    Ww,
    /// Also wr: G1c.
    Wr,
    /// Also one rw: G-single.
    OneRw,
    /// Also any number of rw, no two in a row: G-nonadjacent.
    Rw,
}

const LEVELS: [Level; 4] = [Level::Ww, Level::Wr, Level::OneRw, Level::Rw];

impl Level {
    /// How many rw edges of a limited number were used after this edge, if it may be used after `rw` of them.
    fn admits(self, why: Why, rw: usize) -> Option<usize> {
        match (why, self) {
            (Why::Within | Why::Ww { .. } | Why::Unread { .. }, _) => Some(rw),
            (Why::Wr { .. }, _) => (self >= Self::Wr).then_some(rw),
            (Why::Rw { .. } | Why::End { .. }, Self::OneRw) => (rw == 0).then_some(1),
            (Why::Rw { .. } | Why::End { .. }, _) => (self == Self::Rw).then_some(rw),
        }
    }
}

/// An event, and whether a limited rw edge led to it.
type State = usize;

struct Graph<'a> {
    edges: &'a [Edge],
    /// Where the edges from each event begin, and where the last ones end.
    first: Vec<usize>,
}

/// A cycle among events that transactions and the given edges, sorted by where they begin, order: the places of its
/// edges. If they do not lead back to where they begin, the last event is before the first one in real time.
pub(super) fn cycle(transactions: &[Transaction], edges: &[Edge], events: usize) -> Option<Vec<usize>> {
    let graph = Graph::new(edges, events);
    let (order, component) = graph.components(Level::Rw);
    if cyclic(&component) {
        Some(graph.cycle_of_edges(transactions.len(), &component))
    } else {
        graph.cycle_in_time(transactions, &order)
    }
}

/// How many steps from one transaction to another an edge adds to a walk.
fn steps_over(why: Why) -> usize {
    match why {
        // The second step is the other half of one.
        Why::Within | Why::Unread { .. } => 0,
        Why::Ww { .. } | Why::Wr { .. } | Why::Rw { .. } | Why::End { .. } => 1,
    }
}

/// Whether any two events share a component.
fn cyclic(component: &[usize]) -> bool {
    component.iter().enumerate().any(|(event, root)| event != *root)
}

impl<'a> Graph<'a> {
    fn new(edges: &'a [Edge], events: usize) -> Self {
        let mut first = vec![0; events + 1];
        for edge in edges {
            first[edge.from + 1] += 1;
        }
        for event in 0..events {
            first[event + 1] += first[event];
        }
        Self { edges, first }
    }

    /// The places of the edges from an event.
    fn from(&self, event: Event) -> std::ops::Range<usize> {
        self.first[event]..self.first[event + 1]
    }

    /// Tarjan's strongly connected components: all events, each after those it leads to unless they share a component,
    /// and for each event one that stands for its component.
    fn components(&self, level: Level) -> (Vec<Event>, Vec<Event>) {
        const NEW: usize = usize::MAX;
        let events = self.first.len() - 1;
        let (mut order, mut component) = (Vec::with_capacity(events), vec![NEW; events]);
        // When each event was found, and the earliest found one of its component that is known.
        let (mut found, mut low) = (vec![NEW; events], vec![NEW; events]);
        let (mut open, mut path, mut count) = (Vec::new(), Vec::new(), 0);
        for root in 0..events {
            if found[root] != NEW {
                continue;
            }
            path.push((root, self.first[root]));
            while let Some((event, next)) = path.last_mut() {
                let event = *event;
                if found[event] == NEW {
                    (found[event], low[event]) = (count, count);
                    count += 1;
                    open.push(event);
                }
                if *next < self.first[event + 1] {
                    let edge = &self.edges[*next];
                    *next += 1;
                    if level.admits(edge.why, 0).is_none() {
                        continue;
                    }
                    if found[edge.to] == NEW {
                        path.push((edge.to, self.first[edge.to]));
                    } else if component[edge.to] == NEW {
                        low[event] = low[event].min(found[edge.to]);
                    }
                    continue;
                }
                path.pop();
                if let Some((parent, _)) = path.last() {
                    low[*parent] = low[*parent].min(low[event]);
                }
                if low[event] == found[event] {
                    while let Some(member) = open.pop() {
                        component[member] = event;
                        order.push(member);
                        if member == event {
                            break;
                        }
                    }
                }
            }
        }
        (order, component)
    }

    /// The shortest cycle of the strongest class, given the components under all edges, some of which are cycles.
    fn cycle_of_edges(&self, transactions: usize, component: &[Event]) -> Vec<usize> {
        let search = |level, component: &[Event]| {
            let mut size = vec![0_usize; component.len()];
            for root in component {
                size[*root] += 1;
            }
            // A cycle leaves the commit of a transaction only towards the begin of another.
            let starts = (0..transactions).map(begin).filter(|begin| size[component[*begin]] > 1);
            let useful = |start: Event, state: State| component[state / 2] == component[start];
            self.shortest(level, starts, useful, |start, event| event == start)
        };
        for level in [Level::Ww, Level::Wr] {
            let (_, component) = self.components(level);
            if cyclic(&component) {
                return search(level, &component).expect("a component holds a cycle");
            }
        }
        search(Level::OneRw, component)
            .or_else(|| search(Level::Rw, component))
            .expect("a component holds a cycle, and each of them a begin")
    }

    /// The shortest path of the strongest class that real time closes to a cycle, given an order in which each event
    /// comes after those it leads to.
    fn cycle_in_time(&self, transactions: &[Transaction], order: &[Event]) -> Option<Vec<usize>> {
        // By event: when the transaction was acknowledged that commits here, and until when another must have been to
        // precede the one that is bound here.
        let mut acknowledged = vec![u64::MAX; self.first.len() - 1];
        let mut bound = vec![0; self.first.len() - 1];
        for (at, transaction) in transactions.iter().enumerate() {
            acknowledged[commit(at)] = transaction.acknowledged().unwrap_or(u64::MAX);
            bound[if transaction.historic { commit(at) } else { begin(at) }] = transaction.invoke;
        }
        let earliest = |level: Level| {
            let mut earliest = vec![u64::MAX; 2 * acknowledged.len()];
            for &event in order {
                for rw in [0, 1] {
                    let next = self.from(event).filter_map(|edge| {
                        let edge = &self.edges[edge];
                        Some(earliest[2 * edge.to + level.admits(edge.why, rw)?])
                    });
                    earliest[2 * event + rw] = next.min().unwrap_or(u64::MAX).min(acknowledged[event]);
                }
            }
            earliest
        };
        let starts = |earliest: &[u64]| {
            (0..bound.len()).filter(|event| earliest[2 * event] < bound[*event]).collect::<Vec<Event>>()
        };
        if starts(&earliest(Level::Rw)).is_empty() {
            return None;
        }
        LEVELS.into_iter().find_map(|level| {
            let earliest = earliest(level);
            let useful = |start: Event, state: State| earliest[state] < bound[start];
            let closes = |start: Event, event: Event| acknowledged[event] < bound[start];
            self.shortest(level, starts(&earliest).into_iter(), useful, closes)
        })
    }

    /// The shortest walk over admitted edges, counted by transactions, from one of `starts` over useful states to an
    /// event that closes it. Earlier starts come first among those of one length.
    fn shortest(
        &self,
        level: Level,
        starts: impl Iterator<Item = Event>,
        useful: impl Fn(Event, State) -> bool,
        closes: impl Fn(Event, Event) -> bool,
    ) -> Option<Vec<usize>> {
        let mut best: Option<(usize, Vec<usize>)> = None;
        // By state that was reached: the edge and the state it was reached from.
        let mut reached: Vec<Option<(usize, State)>> = vec![None; 2 * (self.first.len() - 1)];
        // Walks of the present length and of the next, each with the last step and the state it leads to.
        let (mut walks, mut longer) = (Vec::new(), Vec::new());
        let (mut touched, mut steps) = (Vec::new(), 0);
        for start in starts {
            if steps > STEPS {
                break;
            }
            let mut length = 0;
            walks.push((None, 2 * start));
            let closing = loop {
                let Some((by, state)) = walks.pop() else {
                    length += 1;
                    if longer.is_empty() || best.as_ref().is_some_and(|(best, _)| length >= *best) {
                        break None;
                    }
                    std::mem::swap(&mut walks, &mut longer);
                    continue;
                };
                if reached[state].is_some() {
                    continue;
                }
                if by.is_some() {
                    reached[state] = by;
                    touched.push(state);
                    if closes(start, state / 2) {
                        break Some(state);
                    }
                }
                for at in self.from(state / 2) {
                    steps += 1;
                    let Edge { to, why, .. } = self.edges[at];
                    let Some(rw) = level.admits(why, state % 2) else { continue };
                    let to = 2 * to + rw;
                    if reached[to].is_none() && useful(start, to) {
                        let walks = if steps_over(why) == 0 { &mut walks } else { &mut longer };
                        walks.push((Some((at, state)), to));
                    }
                }
            };
            if let Some(mut state) = closing {
                let mut edges = Vec::new();
                while let Some((edge, from)) = reached[state] {
                    edges.push(edge);
                    state = from;
                    if state == 2 * start {
                        break;
                    }
                }
                edges.reverse();
                best = Some((length, edges));
            }
            walks.clear();
            longer.clear();
            for state in touched.drain(..) {
                reached[state] = None;
            }
        }
        best.map(|(_, edges)| edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::tests::{txn, unknown};

    /// Edges of every kind between a few transactions, some over points.
    fn graph(bytes: &[u8]) -> (Vec<Transaction>, Vec<Edge>, usize) {
        let mut bytes = bytes.iter().map(|byte| usize::from(*byte));
        let mut draw = |below: usize| bytes.next().unwrap_or(0) % below;
        let (count, points) = (2 + draw(5), draw(3));
        let transactions: Vec<Transaction> = (0..count)
            .map(|at| {
                let invoke = draw(20) as u64;
                let mut transaction = txn(at as u64, (invoke, invoke + draw(10) as u64), Vec::new());
                transaction.historic = draw(6) == 0;
                if draw(4) == 0 { unknown(transaction) } else { transaction }
            })
            .collect();
        let within = (0..count).map(|at| Edge { from: begin(at), to: commit(at), why: Why::Within });
        let mut edges: Vec<Edge> = within.collect();
        for _ in 0..draw(12) {
            let (one, two, point) = (draw(count), draw(count), 2 * count + draw(points.max(1)));
            let (key, element) = (0, 0);
            let (from, to, why) = match draw(5) {
                0 => (commit(one), begin(two), Why::Ww { key, before: 0, element, unread: false }),
                1 => (commit(one), begin(two), Why::Wr { key, element }),
                2 => (begin(one), commit(two), Why::Rw { key, seen: None, element }),
                3 if points > 0 => (begin(one), point, Why::End { key, seen: None }),
                4 if points > 0 => (point, commit(two), Why::Unread { element }),
                _ => continue,
            };
            if one != two {
                edges.push(Edge { from, to, why });
            }
        }
        edges.sort_by_key(|edge| edge.from);
        (transactions, edges, 2 * count + points)
    }

    /// The first level with a cycle and the length of its shortest, by the distances between all states.
    fn slow(transactions: &[Transaction], edges: &[Edge], events: usize, time: bool) -> Option<(Level, usize)> {
        const FAR: usize = 1_000_000;
        LEVELS.into_iter().find_map(|level| {
            let mut distance = vec![vec![FAR; 2 * events]; 2 * events];
            let mut edge = |from: State, to: State, length: usize| distance[from][to] = length.min(distance[from][to]);
            for rw in [0, 1] {
                for Edge { from, to, why } in edges {
                    if let Some(after) = level.admits(*why, rw) {
                        edge(2 * from + rw, 2 * to + after, steps_over(*why));
                    }
                }
                for (one, earlier) in transactions.iter().enumerate().filter(|_| time) {
                    for (two, later) in transactions.iter().enumerate() {
                        if earlier.acknowledged().is_some_and(|time| time < later.invoke) {
                            let bound = if later.historic { commit(two) } else { begin(two) };
                            edge(2 * commit(one) + rw, 2 * bound + rw, 1);
                        }
                    }
                }
            }
            for over in 0..2 * events {
                for from in 0..2 * events {
                    for to in 0..2 * events {
                        let sum = distance[from][over] + distance[over][to];
                        distance[from][to] = distance[from][to].min(sum);
                    }
                }
            }
            let cycles = (0..events).flat_map(|event| [0, 1].map(|rw| distance[2 * event][2 * event + rw]));
            cycles.min().filter(|length| *length < FAR).map(|length| (level, length))
        })
    }

    #[test]
    fn the_shortest_cycle_of_the_strongest_class_is_found() {
        bolero::check!().with_type::<[u8; 96]>().with_iterations(3000).for_each(|bytes| {
            let (transactions, edges, events) = graph(bytes);
            let found = cycle(&transactions, &edges, events).map(|cycle| {
                let cycle: Vec<&Edge> = cycle.iter().map(|edge| &edges[*edge]).collect();
                assert!(cycle.windows(2).all(|pair| pair[0].to == pair[1].from));
                let time = cycle[0].from != cycle[cycle.len() - 1].to;
                let length = cycle.iter().map(|edge| steps_over(edge.why)).sum::<usize>() + usize::from(time);
                let level = LEVELS.into_iter().find(|level| {
                    let rw = |rw, edge: &&Edge| level.admits(edge.why, rw);
                    cycle.iter().try_fold(0, rw).is_some()
                });
                (level.unwrap(), length, time)
            });
            let slow = |time| slow(&transactions, &edges, events, time).map(|(level, length)| (level, length, time));
            assert_eq!(found, slow(false).or_else(|| slow(true)), "{}", edges.len());
        });
    }
}
