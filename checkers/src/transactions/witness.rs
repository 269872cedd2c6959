//! Finds the smallest cycle of each class, in each strongly connected component.
//!
//! Classes are searched with rows and lists alone first, then with predicate reads, then with the order of clients; what
//! is found with less is not searched with more, since it violates all levels that the other would. Every component is
//! copied into a small graph of its own. What only real time closes is searched in the whole graph, from those
//! transactions that lead to one which was acknowledged before they were invoked.

use super::anomaly::{Edge, Why};
use super::cycles::{Search, Shape};
use super::facts::{Facts, NONE};
use super::graph::{Components, DATA, Graph, ITEMS, Labels, Link, SESSIONS};

const SHAPES: [Shape; 5] = [Shape::Overwrites, Shape::Dependencies, Shape::Single, Shape::Nonadjacent, Shape::Adjacent];

/// Which links to search with, in this order.
const LABELS: [Labels; 4] = [ITEMS, DATA, ITEMS | SESSIONS, DATA | SESSIONS];

/// How many links one search may look at.
const STEPS: u64 = 2_500_000;

/// The same with real time.
const TIMED: [Labels; 2] = [ITEMS | SESSIONS, DATA | SESSIONS];

impl Facts<'_> {
    /// Notes the smallest cycles without real time, in the components of the view of all links between transactions.
    pub(super) fn smallest_cycles(&mut self, graph: &Graph, components: &Components) {
        let mut local = vec![NONE; graph.nodes()];
        let mut from = 0;
        while from < components.order.len() {
            let component = components.of[components.order[from] as usize];
            let size = components.order[from..]
                .iter()
                .take_while(|state| components.of[**state as usize] == component)
                .count();
            let members = &components.order[from..from + size];
            from += size;
            if size > 1 {
                self.in_component(graph, members, &mut local);
            }
        }
    }

    fn in_component(&mut self, graph: &Graph, members: &[u32], local: &mut [u32]) {
        let mut members = members.to_vec();
        // Transactions before points.
        members.sort_unstable();
        let transactions = members.partition_point(|node| (*node as usize) < self.history.transactions.len()) as u32;
        for (at, node) in (0_u32..).zip(&members) {
            local[*node as usize] = at;
        }
        let mut links = Vec::new();
        for node in &members {
            for link in graph.from(*node).1 {
                let (from, to) = (local[link.from as usize], local[link.to as usize]);
                if to != NONE {
                    links.push(Link { from, to, ..*link });
                }
            }
        }
        for node in &members {
            local[*node as usize] = NONE;
        }
        let small = Graph::new(members.len(), &links);
        let mut search = Search::new(&small);
        for shape in SHAPES {
            for labels in LABELS {
                let Some(cycle) = search.cycle(shape, labels, transactions, STEPS) else { continue };
                let cycle: Vec<Link> = cycle
                    .into_iter()
                    .map(|link| {
                        let link = small.links[link as usize];
                        Link { from: members[link.from as usize], to: members[link.to as usize], ..link }
                    })
                    .collect();
                let edges = self.closed(&cycle);
                if simple(&edges) {
                    self.note_cycle(edges);
                    break;
                }
            }
        }
    }

    /// Notes a cycle, unless enough of its name are known.
    pub(super) fn note_cycle(&mut self, edges: Vec<Edge>) {
        let name = Self::name(&edges);
        if self.found.wanted(name) {
            let anomaly = self.cycle(name, edges);
            self.found.anomalies.push(anomaly);
        }
    }

    /// Notes the smallest cycles that real time closes.
    pub(super) fn smallest_cycles_in_time(&mut self, graph: &Graph) {
        let transactions = &self.history.transactions;
        let mut search: Option<Search> = None;
        for shape in SHAPES {
            for labels in TIMED {
                let view = shape.view(graph, labels);
                let late: Vec<u32> = view.late(&view.components(), transactions).collect();
                if late.is_empty() {
                    continue;
                }
                let search = search.get_or_insert_with(|| Search::new(graph));
                let Some(walk) = search.cycle_in_time(shape, labels, transactions, &late, STEPS) else {
                    continue;
                };
                let walk: Vec<Link> = walk.into_iter().map(|link| graph.links[link as usize]).collect();
                let mut edges = self.edges(&walk);
                let (Some(first), Some(last)) = (edges.first(), edges.last()) else { continue };
                edges.push(Edge { from: last.to, to: first.from, why: Why::RealTime });
                if simple(&edges) {
                    self.note_cycle(edges);
                    // The classes that follow violate no other levels.
                    return;
                }
            }
        }
    }
}

impl Facts<'_> {
    /// Notes some cycle of a view that has one, or has one with real time.
    pub(super) fn some_cycle(&mut self, graph: &Graph, shape: Shape, labels: Labels, timed: bool) {
        let transactions = &self.history.transactions;
        let mut search = Search::new(graph);
        let found = if timed {
            let view = shape.view(graph, labels);
            let late: Vec<u32> = view.late(&view.components(), transactions).collect();
            search.cycle_in_time(shape, labels, transactions, &late, u64::MAX)
        } else {
            search.cycle(shape, labels, transactions.len() as u32, 0)
        };
        let Some(links) = found else { return };
        let links: Vec<Link> = links.into_iter().map(|link| graph.links[link as usize]).collect();
        let mut edges = if timed { self.edges(&links) } else { self.closed(&links) };
        if let (true, Some(first), Some(last)) = (timed, edges.first(), edges.last()) {
            edges.push(Edge { from: last.to, to: first.from, why: Why::RealTime });
        }
        self.note_cycle(edges);
    }
}

/// Whether a cycle passes each transaction once.
fn simple(edges: &[Edge]) -> bool {
    let mut nodes: Vec<usize> = edges.iter().map(|edge| edge.from).collect();
    nodes.sort_unstable();
    nodes.windows(2).all(|pair| pair[0] != pair[1])
}
