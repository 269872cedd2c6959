//! The order of moments: a graph over the starts and commits of transactions, and its circles.
//!
//! Two vertices a transaction, and a few more that edges pass through, so that "before everything that comes later" is
//! linear in size. A circle is looked for with Tarjan's algorithm on ever larger sets of edges, so that the gravest class
//! of anomaly is reported; within a component the circle with the fewest rw edges, and then the shortest, is shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// A dependency between two transactions; about which list, if it is about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    /// The second wrote after the first.
    WriteWrite(u64),
    /// The second read what the first wrote.
    WriteRead(u64),
    /// The first read what was there before the second wrote.
    ReadWrite(u64),
    /// The first was over before the second began.
    RealTime,
}

/// One transaction comes before another.
pub(super) type Step = (usize, Edge, usize);

/// What a way costs: rw edges, and edges in all.
type Cost = (usize, usize);

/// The cheapest way to a vertex: what it costs, and where from it comes.
type Way = (Cost, usize, Option<Edge>);

/// A circle: transactions, each with what makes it come before the next.
pub(super) struct Cycle {
    pub steps: Vec<Step>,
}

impl Cycle {
    /// The anomaly's name, after Adya and Elle.
    pub fn class(&self) -> String {
        let count = |is: fn(&Edge) -> bool| self.steps.iter().filter(|(_, edge, _)| is(edge)).count();
        let class = match count(|edge| matches!(edge, Edge::ReadWrite(_))) {
            0 if count(|edge| matches!(edge, Edge::WriteRead(_))) == 0 => "G0",
            0 => "G1c",
            1 => "G-single",
            _ => "G-nonadjacent",
        };
        let real_time = if count(|edge| matches!(edge, Edge::RealTime)) > 0 { "-realtime" } else { "" };
        format!("{class}{real_time}")
    }
}

/// An edge to another vertex. Edges without a kind lead from a transaction's start to its commit, or on from a vertex
/// that is passed through.
type Arrow = (usize, Option<Edge>);

pub(super) struct Graph {
    transactions: usize,
    arrows: Vec<Vec<Arrow>>,
    edges: u64,
}

/// How many vertices of a component are tried as the beginning of its shortest circle.
const BEGINNINGS: usize = 64;

impl Graph {
    pub fn new(transactions: usize) -> Self {
        let mut arrows = vec![Vec::new(); 2 * transactions];
        for at in 0..transactions {
            arrows[start(at)].push((commit(at), None));
        }
        Self { transactions, arrows, edges: 0 }
    }

    /// How many dependencies there are.
    pub fn edges(&self) -> u64 {
        self.edges
    }

    pub fn write_write(&mut self, first: usize, second: usize, key: u64) {
        self.add(commit(first), start(second), Some(Edge::WriteWrite(key)));
    }

    pub fn write_read(&mut self, writer: usize, reader: usize, key: u64) {
        self.add(commit(writer), start(reader), Some(Edge::WriteRead(key)));
    }

    pub fn read_write(&mut self, reader: usize, writer: usize, key: u64) {
        self.add(start(reader), commit(writer), Some(Edge::ReadWrite(key)));
    }

    /// A vertex before the commits of some transactions.
    pub fn before_commits(&mut self, writers: &BTreeSet<usize>) -> usize {
        let vertex = self.vertex();
        for &writer in writers {
            self.arrows[vertex].push((commit(writer), None));
        }
        vertex
    }

    /// A reader saw nothing of the transactions behind a vertex.
    pub fn read_before(&mut self, reader: usize, vertex: usize, key: u64) {
        self.add(start(reader), vertex, Some(Edge::ReadWrite(key)));
    }

    /// Puts every completion before what is invoked strictly later. Takes transactions with both times, of which either
    /// may not bind.
    pub fn real_time(&mut self, spans: impl Iterator<Item = (usize, Option<u64>, Option<u64>)>) {
        let (mut completions, mut invocations) = (BTreeMap::<u64, Vec<usize>>::new(), Vec::new());
        for (at, invoke, complete) in spans {
            if let Some(complete) = complete {
                completions.entry(complete).or_default().push(at);
            }
            invocations.extend(invoke.map(|invoke| (invoke, at)));
        }
        let mut barriers = BTreeMap::new();
        let mut previous = None;
        for (time, over) in completions {
            let barrier = self.vertex();
            if let Some(previous) = previous.replace(barrier) {
                self.arrows[previous].push((barrier, None));
            }
            for at in over {
                self.add(commit(at), barrier, Some(Edge::RealTime));
            }
            barriers.insert(time, barrier);
        }
        for (invoke, at) in invocations {
            if let Some((_, &barrier)) = barriers.range(..invoke).next_back() {
                self.arrows[barrier].push((start(at), None));
            }
        }
    }

    /// A circle of the gravest class that there is.
    pub fn worst_cycle(&self) -> Option<Cycle> {
        type Kinds = fn(Edge) -> bool;
        let masks: [Kinds; 5] = [
            |edge| matches!(edge, Edge::WriteWrite(_)),
            |edge| matches!(edge, Edge::WriteWrite(_) | Edge::WriteRead(_)),
            |edge| !matches!(edge, Edge::RealTime),
            |edge| !matches!(edge, Edge::ReadWrite(_)),
            |_| true,
        ];
        masks.into_iter().find_map(|kinds| {
            let components = self.components(kinds);
            let circles = components.iter().filter_map(|component| self.shortest(component, kinds));
            circles.min_by_key(|steps| cost(steps)).map(|steps| Cycle { steps })
        })
    }

    fn add(&mut self, from: usize, to: usize, edge: Option<Edge>) {
        self.arrows[from].push((to, edge));
        self.edges += 1;
    }

    fn vertex(&mut self) -> usize {
        self.arrows.push(Vec::new());
        self.arrows.len() - 1
    }

    /// The strongly connected components of more than one vertex, over the edges of some kinds (Tarjan, 1972).
    fn components(&self, kinds: fn(Edge) -> bool) -> Vec<BTreeSet<usize>> {
        const NEW: usize = usize::MAX;
        let count = self.arrows.len();
        let (mut number, mut low) = (vec![NEW; count], vec![0; count]);
        let (mut on_stack, mut stack) = (vec![false; count], Vec::new());
        let (mut next, mut components) = (0, Vec::new());
        for root in 0..count {
            if number[root] != NEW {
                continue;
            }
            // The path from the root, with the place among each vertex's arrows.
            let mut path = vec![(root, 0)];
            while let Some(&mut (vertex, ref mut place)) = path.last_mut() {
                if *place == 0 {
                    (number[vertex], low[vertex]) = (next, next);
                    next += 1;
                    stack.push(vertex);
                    on_stack[vertex] = true;
                }
                if let Some(&(to, edge)) = self.arrows[vertex].get(*place) {
                    *place += 1;
                    if edge.is_some_and(|edge| !kinds(edge)) {
                        // Not among these edges. The first arrow of a vertex is looked at with its number given.
                    } else if number[to] == NEW {
                        path.push((to, 0));
                    } else if on_stack[to] {
                        low[vertex] = low[vertex].min(number[to]);
                    }
                    continue;
                }
                path.pop();
                if let Some(&(parent, _)) = path.last() {
                    low[parent] = low[parent].min(low[vertex]);
                }
                if low[vertex] == number[vertex] {
                    let mut component = BTreeSet::new();
                    while let Some(member) = stack.pop() {
                        on_stack[member] = false;
                        component.insert(member);
                        if member == vertex {
                            break;
                        }
                    }
                    if component.len() > 1 {
                        components.push(component);
                    }
                }
            }
        }
        components
    }

    /// The circle of a component with the fewest rw edges, and of those the shortest.
    fn shortest(&self, component: &BTreeSet<usize>, kinds: fn(Edge) -> bool) -> Option<Vec<Step>> {
        let transactions = component.iter().copied().filter(|&vertex| vertex < 2 * self.transactions);
        let circles = transactions.take(BEGINNINGS).filter_map(|vertex| self.circle(vertex, component, kinds));
        circles.min_by_key(|steps| cost(steps))
    }

    /// The cheapest way from a vertex back to itself (Dijkstra, 1959).
    fn circle(&self, origin: usize, component: &BTreeSet<usize>, kinds: fn(Edge) -> bool) -> Option<Vec<Step>> {
        let mut best: BTreeMap<usize, Way> = BTreeMap::new();
        let mut done = BTreeSet::new();
        let mut queue = BinaryHeap::from([Reverse(((0, 0), origin))]);
        while let Some(Reverse((so_far, vertex))) = queue.pop() {
            if vertex == origin && so_far != (0, 0) {
                return Some(self.steps(origin, &best));
            }
            if !done.insert(vertex) && vertex != origin {
                continue;
            }
            for &(to, edge) in &self.arrows[vertex] {
                if !component.contains(&to) || edge.is_some_and(|edge| !kinds(edge)) {
                    continue;
                }
                let rw = usize::from(matches!(edge, Some(Edge::ReadWrite(_))));
                let cost = (so_far.0 + rw, so_far.1 + 1);
                if best.get(&to).is_none_or(|(known, _, _)| cost < *known) {
                    best.insert(to, (cost, vertex, edge));
                    queue.push(Reverse((cost, to)));
                }
            }
        }
        None
    }

    /// Follows the way back to its origin, which is a moment of a transaction, and leaves out what is only passed through.
    fn steps(&self, origin: usize, best: &BTreeMap<usize, Way>) -> Vec<Step> {
        let mut path = Vec::new();
        let mut vertex = origin;
        loop {
            let (_, from, edge) = best[&vertex];
            path.push((from, edge, vertex));
            vertex = from;
            if vertex == origin {
                break;
            }
        }
        path.reverse();
        let mut steps = Vec::new();
        let mut begun = None;
        for (from, edge, to) in path {
            begun = edge.map(|edge| (from / 2, edge)).or(begun);
            if to < 2 * self.transactions {
                steps.extend(begun.take().map(|(from, edge)| (from, edge, to / 2)));
            }
        }
        steps
    }
}

fn cost(steps: &[Step]) -> Cost {
    let rw = steps.iter().filter(|(_, edge, _)| matches!(edge, Edge::ReadWrite(_))).count();
    (rw, steps.len())
}

fn start(transaction: usize) -> usize {
    2 * transaction
}

fn commit(transaction: usize) -> usize {
    2 * transaction + 1
}
