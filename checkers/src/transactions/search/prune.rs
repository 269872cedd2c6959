//! Forces every choice of which one way closes a cycle, until no more can be forced.
//!
//! Each round sorts the events topologically and computes which of them reach the ends of open choices, in reverse
//! order, one bit a target. The targets are taken in blocks, so that the rows never take more than a fixed amount of
//! memory. What a round forces becomes edges for the next, without those that follow from others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::budget::Budget;
use super::graph::{Choice, Edge, GIVEN, Graph};

/// How many bits the rows of one block may have, over all events.
const BLOCK: usize = 1 << 30;

/// What had to be chosen, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided {
    pub choice: Choice,
    /// Which way.
    pub way: bool,
    /// The edges up to this one forbid the contrary.
    pub given: usize,
}

/// Edges by the vertex they leave.
pub(super) struct Adjacency {
    starts: Vec<u32>,
    edges: Vec<u32>,
}

impl Adjacency {
    /// Of these edges, by place.
    pub fn new(nodes: usize, edges: &[Edge], end: impl Fn(&Edge) -> u32) -> Self {
        let mut starts = vec![0u32; nodes + 1];
        for edge in edges {
            starts[end(edge) as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut free = starts.clone();
        let mut places = vec![0u32; edges.len()];
        for (edge, at) in edges.iter().zip(0..) {
            let free = &mut free[end(edge) as usize];
            places[*free as usize] = at;
            *free += 1;
        }
        Self { starts, edges: places }
    }

    /// The places of a vertex's edges.
    pub fn of(&self, node: u32) -> &[u32] {
        &self.edges[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
}

/// What came of pruning.
pub(super) enum Pruned {
    /// The rest needs a search. The events are in this order.
    Open { order: Vec<u32> },
    /// The edges have a cycle.
    Cyclic,
    /// The budget is spent.
    Spent,
}

/// Sorts the events so that every edge leads forward, those of low numbers first where the edges leave a choice; `None`
/// if there is a cycle.
pub(super) fn sort(graph: &Graph, edges: &[Edge], adjacency: &Adjacency) -> Option<Vec<u32>> {
    let nodes = graph.nodes as usize;
    let mut degree = vec![0u32; nodes];
    for edge in edges {
        degree[edge.to as usize] += 1;
    }
    // A vertex where readers meet stands for nothing and need not wait.
    let rank = |node: u32| (graph.events.vertex(node).unwrap_or(0), node);
    let ready = (0..graph.nodes).filter(|node| degree[*node as usize] == 0);
    let mut ready: BinaryHeap<_> = ready.map(|node| Reverse(rank(node))).collect();
    let mut order = Vec::with_capacity(nodes);
    while let Some(Reverse((_, node))) = ready.pop() {
        order.push(node);
        for &edge in adjacency.of(node) {
            let to = edges[edge as usize].to;
            degree[to as usize] -= 1;
            if degree[to as usize] == 0 {
                ready.push(Reverse(rank(to)));
            }
        }
    }
    (order.len() == nodes).then_some(order)
}

/// One end of an open choice: it is decided if a source reaches the target.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// The writer of a chain's last version: reached from the begin of a head that would come after.
    Tail { object: u32, chain: u32 },
    /// The readers of a chain's last version: reached from the commit of a head that would come after.
    Last { object: u32, chain: u32 },
    /// The commit of a writer: reached from the begin of a reader that would have seen it.
    Writer { sight: u32 },
    /// The begin of a reader: reached from the commit of a writer that it would not have seen.
    Reader { sight: u32 },
}

/// Forces what can be forced.
pub(super) fn prune(graph: &mut Graph, decided: &mut Vec<Decided>, budget: &mut Budget<'_>) -> Pruned {
    // The initial chain is before all others: that needs no reason, only its edges.
    let mut fresh: Vec<Vec<(u32, u32)>> = Vec::with_capacity(graph.objects.len());
    for object in &mut graph.objects {
        let others = 1..object.all.len();
        fresh.push(others.clone().map(|other| (0, other as u32)).collect());
        others.for_each(|other| object.order(0, other));
    }
    loop {
        let adjacency = Adjacency::new(graph.nodes as usize, &graph.edges, |edge| edge.from);
        let Some(order) = sort(graph, &graph.edges, &adjacency) else { return Pruned::Cyclic };
        let mut rank = vec![0u32; order.len()];
        for (node, at) in order.iter().zip(0..) {
            rank[*node as usize] = at;
        }
        let given = graph.edges.len();
        let found = round(graph, &adjacency, &order, &mut fresh, budget);
        let changed = fresh.iter().any(|fresh| !fresh.is_empty()) || !found.is_empty();
        for (object, fresh) in fresh.iter_mut().enumerate() {
            let fresh = std::mem::take(fresh);
            implied(graph, object, fresh, &rank, given, decided);
        }
        for (at, seen) in found {
            if graph.sights[at as usize].seen.replace(seen).is_none() {
                let origin = decided.len() as u32;
                decided.push(Decided { choice: Choice::Sight { at }, way: seen, given });
                let edge = graph.sighted(&graph.sights[at as usize], seen, origin);
                graph.edges.extend(edge);
            }
        }
        if budget.is_spent() {
            return Pruned::Spent;
        }
        if !changed {
            return Pruned::Open { order };
        }
    }
}

/// Finds what the edges force. Pairs of chains go to `fresh` by object, and are noted as ordered; sights are returned.
fn round(
    graph: &mut Graph,
    adjacency: &Adjacency,
    order: &[u32],
    fresh: &mut [Vec<(u32, u32)>],
    budget: &mut Budget<'_>,
) -> Vec<(u32, bool)> {
    let targets = targets(graph);
    let mut found = Vec::new();
    let nodes = graph.nodes as usize;
    let capacity = (BLOCK / nodes.max(1)).next_multiple_of(64).max(64);
    let mut rows: Vec<u64> = Vec::new();
    for block in targets.chunks(capacity) {
        let words = block.len().div_ceil(64);
        // A step is a word that has to be found in memory; these come in a row.
        let cost = (graph.edges.len() + nodes + block.len()) * words / 32 + 1;
        budget.spend(cost as u64);
        if budget.is_spent() {
            break;
        }
        reach(graph, adjacency, order, block, words, &mut rows);
        let reaches = |node: u32, column: usize| rows[node as usize * words + column / 64] >> (column % 64) & 1 == 1;
        for (column, (_, target)) in block.iter().enumerate() {
            match *target {
                Target::Tail { object, chain } | Target::Last { object, chain } => {
                    let is_tail = matches!(target, Target::Tail { .. });
                    let chains = &graph.objects[object as usize];
                    let mut forced = Vec::new();
                    for other in chains.open(chain as usize) {
                        let Some((head, _)) = chains.all[other].ends else { continue };
                        let source = if is_tail { graph.events.begin(head) } else { graph.events.commit(head) };
                        if reaches(source, column) {
                            forced.push(other);
                        }
                    }
                    for other in forced {
                        graph.objects[object as usize].order(other, chain as usize);
                        fresh[object as usize].push((other as u32, chain));
                    }
                }
                Target::Writer { sight } => {
                    let Sighted { reader, .. } = sighted(graph, sight);
                    if reaches(reader, column) {
                        found.push((sight, false));
                    }
                }
                Target::Reader { sight } => {
                    let Sighted { writer, .. } = sighted(graph, sight);
                    if reaches(writer, column) {
                        found.push((sight, true));
                    }
                }
            }
        }
    }
    found
}

struct Sighted {
    writer: u32,
    reader: u32,
}

/// The events between which a sight decides.
fn sighted(graph: &Graph, sight: u32) -> Sighted {
    let sight = &graph.sights[sight as usize];
    Sighted { writer: graph.events.commit(sight.writer), reader: graph.events.begin(sight.reader) }
}

/// The events that open choices need to know about.
fn targets(graph: &Graph) -> Vec<(u32, Target)> {
    let mut targets = Vec::new();
    for (object, chains) in graph.objects.iter().enumerate() {
        for (at, chain) in chains.all.iter().enumerate() {
            if chains.open(at).next().is_none() {
                continue;
            }
            let (object, at) = (object as u32, at as u32);
            if let Some((_, tail)) = chain.ends {
                targets.push((graph.events.commit(tail), Target::Tail { object, chain: at }));
            }
            if let Some(last) = chain.last {
                targets.push((last, Target::Last { object, chain: at }));
            }
        }
    }
    for (at, sight) in graph.sights.iter().enumerate().filter(|(_, sight)| sight.seen.is_none()) {
        targets.push((graph.events.commit(sight.writer), Target::Writer { sight: at as u32 }));
        if !sight.loose {
            targets.push((graph.events.begin(sight.reader), Target::Reader { sight: at as u32 }));
        }
    }
    targets
}

/// Computes for every event which targets of the block it reaches, itself included.
fn reach(
    graph: &Graph,
    adjacency: &Adjacency,
    order: &[u32],
    block: &[(u32, Target)],
    words: usize,
    rows: &mut Vec<u64>,
) {
    rows.clear();
    rows.resize(order.len() * words, 0);
    for (column, (node, _)) in block.iter().enumerate() {
        rows[*node as usize * words + column / 64] |= 1 << (column % 64);
    }
    for &node in order.iter().rev() {
        let at = node as usize * words;
        for &edge in adjacency.of(node) {
            let to = graph.edges[edge as usize].to as usize * words;
            let (low, high) = rows.split_at_mut(at.max(to));
            let (row, from) = if at < to {
                (&mut low[at..][..words], &high[..words])
            } else {
                (&mut high[..words], &low[to..][..words])
            };
            for (row, from) in row.iter_mut().zip(from) {
                *row |= from;
            }
        }
    }
}

/// Adds the edges of freshly ordered chains, but not those that follow from the others.
///
/// A pair follows if there is a chain between the two. Only pairs that agree with the order of events are left out,
/// and only for pairs that are closer together in it, so that none is left out for the sake of another that is.
fn implied(
    graph: &mut Graph,
    object: usize,
    fresh: Vec<(u32, u32)>,
    rank: &[u32],
    given: usize,
    decided: &mut Vec<Decided>,
) {
    if fresh.is_empty() {
        return;
    }
    let chains = &graph.objects[object];
    let place = |chain: usize| chains.all[chain].ends.map(|(head, _)| rank[graph.events.commit(head) as usize]);
    let mut by_place: Vec<(Option<u32>, usize)> = (0..chains.all.len()).map(|at| (place(at), at)).collect();
    by_place.sort_unstable();
    let mut rank_of = vec![0; by_place.len()];
    for (rank, (_, chain)) in by_place.iter().enumerate() {
        rank_of[*chain] = rank;
    }
    let mut of_first: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (first, second) in fresh {
        of_first.entry(first).or_default().push(second);
    }
    let mut wanted = Vec::new();
    for (first, mut seconds) in of_first {
        seconds.sort_unstable_by_key(|second| rank_of[*second as usize]);
        let own = rank_of[first as usize];
        let mut covered = vec![0u64; chains.after.row(first as usize).len()];
        let mut next = seconds.into_iter().peekable();
        while let Some(second) = next.next_if(|second| rank_of[*second as usize] < own) {
            wanted.push((first, second));
        }
        if next.peek().is_none() {
            continue;
        }
        let mut last = own;
        for second in next {
            // Whoever is between and after the first, known of old or since now, covers those after it.
            let rank = rank_of[second as usize];
            for (_, between) in &by_place[last + 1..=rank] {
                let is_covered = covered[between / 64] >> (between % 64) & 1 == 1;
                if !chains.after.get(first as usize, *between) || is_covered {
                    continue;
                }
                if *between == second as usize {
                    wanted.push((first, second));
                }
                for (covered, after) in covered.iter_mut().zip(chains.after.row(*between)) {
                    *covered |= after;
                }
            }
            last = rank;
        }
    }
    for (one, other) in wanted {
        let mut origin = GIVEN;
        if one != 0 {
            origin = decided.len() as u32;
            let choice = Choice::Order { object: object as u32, one, other };
            decided.push(Decided { choice, way: true, given });
        }
        let edges = graph.ordered(object, one as usize, other as usize, origin);
        graph.edges.extend(edges);
    }
}
