//! Turns a contradiction into what a person can follow: cycles between transactions, and what was forced before them.

use std::collections::{BTreeMap, VecDeque};

use super::budget::Budget;
use super::graph::{Choice, Edge, GIVEN, Graph, Label};
use super::prune::{Adjacency, Decided};
use super::rest::{Rest, Variable};
use super::solver::{Literal, Outcome, negate};
use super::{Arc, Contradiction, Forced, Kind, Order, Problem, Refutation};

/// How many two-way cases a refutation may have, one within the other.
const DEPTH: usize = 6;

/// A refutation of more choices than this names only the choices.
const CASES: usize = 40;

/// How many events cycles through them are looked for at, to report the shortest.
const STARTS: usize = 64;

/// Walks the edges of a graph, and some more that are added and taken away.
struct Walker<'a> {
    graph: &'a Graph,
    adjacency: Adjacency,
    more: Vec<Edge>,
    more_of: BTreeMap<u32, Vec<usize>>,
    /// By which edge each event was reached, and in which walk.
    reached: Vec<(u32, u32)>,
    walk: u32,
    queue: VecDeque<u32>,
}

impl<'a> Walker<'a> {
    fn new(graph: &'a Graph) -> Self {
        let nodes = graph.nodes as usize;
        let adjacency = Adjacency::new(nodes, &graph.edges, |edge| edge.from);
        let reached = vec![(0, 0); nodes];
        Self { graph, adjacency, more: Vec::new(), more_of: BTreeMap::new(), reached, walk: 0, queue: VecDeque::new() }
    }

    fn edge(&self, at: usize) -> Edge {
        self.graph.edges.get(at).copied().unwrap_or_else(|| self.more[at - self.graph.edges.len()])
    }

    fn push(&mut self, edge: Edge) {
        self.more_of.entry(edge.from).or_default().push(self.graph.edges.len() + self.more.len());
        self.more.push(edge);
    }

    fn truncate(&mut self, len: usize) {
        while self.more.len() > len {
            let Some(edge) = self.more.pop() else { break };
            if let Some(places) = self.more_of.get_mut(&edge.from) {
                places.pop();
            }
        }
    }

    /// A shortest path over the first edges, so many of them; empty if it goes nowhere.
    fn path(&mut self, from: u32, to: u32, given: usize) -> Option<Vec<Edge>> {
        self.walk += 1;
        self.queue.clear();
        self.queue.push_back(from);
        self.reached[from as usize].1 = self.walk;
        while let Some(node) = self.queue.pop_front() {
            if node == to {
                let mut path = Vec::new();
                let mut at = to;
                while at != from {
                    let edge = self.edge(self.reached[at as usize].0 as usize);
                    path.push(edge);
                    at = edge.from;
                }
                path.reverse();
                return Some(path);
            }
            let more = self.more_of.get(&node).into_iter().flatten().copied();
            let edges = self.adjacency.of(node).iter().map(|at| *at as usize).chain(more);
            for at in edges.take_while(|at| *at < given) {
                let next = self.edge(at).to;
                let reached = &mut self.reached[next as usize];
                if reached.1 != self.walk {
                    *reached = (at as u32, self.walk);
                    self.queue.push_back(next);
                }
            }
        }
        None
    }

    /// The shortest cycle that one of these edges closes.
    fn closed(&mut self, edges: &[Edge], given: usize) -> Option<Vec<Edge>> {
        let cycles = edges.iter().filter_map(|edge| {
            let mut cycle = self.path(edge.to, edge.from, given)?;
            cycle.push(*edge);
            Some(cycle)
        });
        cycles.min_by_key(Vec::len)
    }
}

/// What a cycle of edges says of transactions.
fn arcs(graph: &Graph, cycle: &[Edge]) -> Vec<Arc> {
    let vertex = |node| graph.events.vertex(node);
    let start = cycle.iter().position(|edge| vertex(edge.from).is_some()).unwrap_or(0);
    let mut arcs = Vec::new();
    let mut reader = None;
    for edge in cycle[start..].iter().chain(&cycle[..start]) {
        match edge.label {
            Label::Within => {}
            Label::Gather => reader = vertex(edge.from),
            Label::Arc(kind, tag) => {
                let from = vertex(edge.from).or(reader);
                arcs.extend(from.zip(vertex(edge.to)).map(|(from, to)| Arc { from, to, kind, tag }));
            }
        }
    }
    arcs
}

/// Why two transactions cannot both have overwritten what they read.
pub(super) fn lost_update(tag: u32, one: u32, other: u32) -> Refutation {
    let way = |first, second| {
        let overwrites = Arc { from: first, to: second, kind: Kind::Ww, tag };
        let missed = Arc { from: second, to: first, kind: Kind::Rw, tag };
        let end = Contradiction::Cycle(vec![overwrites, missed]);
        (Order::Before(first, second), Box::new(Refutation { forced: Vec::new(), end }))
    };
    let end = Contradiction::Cases { tag, one: way(one, other), other: way(other, one) };
    Refutation { forced: Vec::new(), end }
}

/// Why the edges of a graph have a cycle.
pub(super) fn cyclic(graph: &Graph, decided: &[Decided]) -> Refutation {
    let mut walker = Walker::new(graph);
    let cycle = shortest(graph, &mut walker);
    let forced = forced(&mut walker, decided, &cycle);
    Refutation { forced, end: Contradiction::Cycle(arcs(graph, &cycle)) }
}

/// A short cycle: the shortest through any of several events on some cycle.
fn shortest(graph: &Graph, walker: &mut Walker) -> Vec<Edge> {
    // Whoever has no predecessor left is on no cycle; then every predecessor has a predecessor, up to a cycle.
    let nodes = graph.nodes as usize;
    let mut degree = vec![0u32; nodes];
    graph.edges.iter().for_each(|edge| degree[edge.to as usize] += 1);
    let mut free: Vec<u32> = (0..graph.nodes).filter(|node| degree[*node as usize] == 0).collect();
    while let Some(node) = free.pop() {
        for at in walker.adjacency.of(node) {
            let to = graph.edges[*at as usize].to;
            degree[to as usize] -= 1;
            if degree[to as usize] == 0 {
                free.push(to);
            }
        }
    }
    let mut previous = vec![None; nodes];
    for edge in graph.edges.iter().filter(|edge| degree[edge.from as usize] > 0) {
        previous[edge.to as usize].get_or_insert(edge.from);
    }
    let mut at = (0..graph.nodes).find(|node| degree[*node as usize] > 0).expect("there is a cycle");
    for _ in 0..nodes {
        at = previous[at as usize].expect("what is left has a predecessor that is left");
    }
    let mut on_cycle = vec![at];
    while let Some(node) = previous[on_cycle[on_cycle.len() - 1] as usize].filter(|node| *node != at) {
        on_cycle.push(node);
    }
    let mut best: Option<Vec<Edge>> = None;
    for node in on_cycle.into_iter().take(STARTS) {
        let edges: Vec<Edge> = walker.adjacency.of(node).iter().map(|at| graph.edges[*at as usize]).collect();
        let found = walker.closed(&edges, graph.edges.len());
        let length = |cycle: &[Edge]| cycle.iter().filter(|edge| edge.label != Label::Within).count();
        if let Some(found) = found
            && best.as_ref().is_none_or(|best| length(&found) < length(best))
        {
            best = Some(found);
        }
    }
    best.expect("each of them is on a cycle")
}

/// Everything forced that a cycle rests on, in the order in which it was.
fn forced(walker: &mut Walker, decided: &[Decided], cycle: &[Edge]) -> Vec<Forced> {
    let mut needed = BTreeMap::new();
    let mut next: Vec<u32> = cycle.iter().map(|edge| edge.origin).filter(|origin| *origin != GIVEN).collect();
    while let Some(origin) = next.pop() {
        let Some(&Decided { choice, way, given }) = decided.get(origin as usize) else { continue };
        if needed.contains_key(&origin) {
            continue;
        }
        let graph = walker.graph;
        let because = walker.closed(&graph.chosen(choice, !way, GIVEN), given).unwrap_or_default();
        next.extend(because.iter().map(|edge| edge.origin).filter(|origin| *origin != GIVEN));
        let (tag, order) = graph.describe(choice, way);
        needed.insert(origin, Forced { tag, order, because: arcs(graph, &because) });
    }
    needed.into_values().collect()
}

/// Makes what the solver needed to refute a problem as small as the budget allows, and explains it by cases.
pub(super) fn refuted(
    problem: &Problem,
    graph: &Graph,
    decided: &[Decided],
    rest: &Rest,
    rank: &[u32],
    mut core: Vec<u32>,
    budget: &mut Budget<'_>,
) -> Refutation {
    let mut at = 0;
    while at < core.len() && core.len() <= CASES && !budget.is_spent() {
        let mut fewer = core.clone();
        fewer.remove(at);
        match rest.solve(graph, rank, Some(&fewer), budget) {
            // Those before this one stay needed, as fewer choices forbid less.
            Outcome::Refuted(smaller) => {
                at = smaller.iter().take_while(|choice| core[..at].contains(choice)).count();
                core = smaller;
            }
            Outcome::Satisfied(_) | Outcome::Spent => at += 1,
        }
    }
    let mut cases = Cases { problem, graph, rest, walker: Walker::new(graph), needed: Vec::new() };
    let found = if core.len() <= CASES { cases.refute(core.clone(), &mut Vec::new(), DEPTH) } else { None };
    let Some(mut refutation) = found else {
        let choices = core.iter().map(|choice| rest.describe(problem, graph, *choice, true)).collect();
        return Refutation { forced: Vec::new(), end: Contradiction::Choices(choices) };
    };
    // What was forced by pruning comes first.
    let needed = std::mem::take(&mut cases.needed);
    let mut before = forced(&mut cases.walker, decided, &needed);
    before.append(&mut refutation.forced);
    refutation.forced = before;
    refutation
}

/// A refutation by cases under construction.
struct Cases<'a> {
    problem: &'a Problem,
    graph: &'a Graph,
    rest: &'a Rest,
    walker: Walker<'a>,
    /// All edges of the cycles found.
    needed: Vec<Edge>,
}

/// What is left of a clause.
enum Left {
    /// Nothing explains this read, of an object by its tag and by whom.
    Nothing((u32, u32)),
    /// An open choice, by its place, has to be made this way.
    One(usize, Literal),
}

impl Cases<'_> {
    fn edges(&self, literal: Literal) -> Vec<Edge> {
        match self.rest.variables[literal as usize / 2] {
            // The edges of choices that are only assumed need no reason, so they have no origin.
            Variable::Choice(choice @ (Choice::Order { .. } | Choice::Sight { .. })) => {
                self.graph.chosen(choice, literal.is_multiple_of(2), GIVEN)
            }
            Variable::Read { .. } => Vec::new(),
        }
    }

    fn describe(&self, literal: Literal) -> (u32, Order) {
        self.rest.describe(self.problem, self.graph, literal / 2, literal.is_multiple_of(2))
    }

    fn note(&mut self, cycle: &[Edge]) -> Vec<Arc> {
        self.needed.extend_from_slice(cycle);
        arcs(self.graph, cycle)
    }

    /// Refutes the open choices, given what is assumed; `None` if it takes too many cases.
    fn refute(&mut self, mut open: Vec<u32>, assumed: &mut Vec<Literal>, depth: usize) -> Option<Refutation> {
        let mut forced = Vec::new();
        loop {
            let mut found = None;
            for (at, choice) in open.iter().enumerate() {
                for literal in [2 * choice, 2 * choice + 1] {
                    let given = self.graph.edges.len() + self.walker.more.len();
                    let edges = self.edges(negate(literal));
                    if let Some(cycle) = self.walker.closed(&edges, given) {
                        found = Some((at, literal, self.note(&cycle)));
                    }
                }
                if found.is_some() {
                    break;
                }
            }
            if found.is_none() {
                found = match self.explained(&open, assumed) {
                    Some(Left::Nothing((tag, reader))) => {
                        return Some(Refutation { forced, end: Contradiction::Unexplained { tag, reader } });
                    }
                    Some(Left::One(at, literal)) => Some((at, literal, Vec::new())),
                    None => None,
                };
            }
            let Some((at, literal, because)) = found else { break };
            let (tag, order) = self.describe(literal);
            forced.push(Forced { tag, order, because });
            open.remove(at);
            assumed.push(literal);
            if let Some(end) = self.assume(literal) {
                return Some(Refutation { forced, end });
            }
        }
        let choice = (depth > 0).then(|| open.first().copied()).flatten()?;
        let others: Vec<u32> = open.into_iter().filter(|other| *other != choice).collect();
        let mut ways = Vec::new();
        for literal in [2 * choice, 2 * choice + 1] {
            let (edges, length) = (self.walker.more.len(), assumed.len());
            assumed.push(literal);
            let refutation = match self.assume(literal) {
                Some(end) => Refutation { forced: Vec::new(), end },
                None => self.refute(others.clone(), assumed, depth - 1)?,
            };
            self.walker.truncate(edges);
            assumed.truncate(length);
            ways.push((self.describe(literal).1, Box::new(refutation)));
        }
        let tag = self.describe(2 * choice).0;
        let mut ways = ways.into_iter();
        let end = Contradiction::Cases { tag, one: ways.next()?, other: ways.next()? };
        Some(Refutation { forced, end })
    }

    /// Adds the edges of a literal; the contradiction if they close a cycle.
    fn assume(&mut self, literal: Literal) -> Option<Contradiction> {
        for edge in self.edges(literal) {
            let given = self.graph.edges.len() + self.walker.more.len();
            if let Some(cycle) = self.walker.closed(&[edge], given) {
                return Some(Contradiction::Cycle(self.note(&cycle)));
            }
            self.walker.push(edge);
        }
        None
    }

    /// What is left of a clause of which at most one literal is.
    fn explained(&self, open: &[u32], assumed: &[Literal]) -> Option<Left> {
        self.rest.clauses.iter().find_map(|clause| {
            let mut left = clause.literals.iter().filter(|literal| !assumed.contains(&negate(**literal)));
            let Some(&literal) = left.next() else { return Some(Left::Nothing(clause.read)) };
            let at = open.iter().position(|choice| *choice == literal / 2)?;
            left.next().is_none().then_some(Left::One(at, literal))
        })
    }
}
