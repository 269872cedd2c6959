//! What pruning leaves: the open choices that can matter, as a problem for the solver.
//!
//! A cycle stays within a strongly connected component of everything that is or may be. So edges between components
//! are dropped, and a choice one way of which has no edges left is made that way; this is repeated until nothing
//! changes. A history of many independent transactions falls apart into few and small problems.
//!
//! A read that several versions explain is here a clause over the runs of versions that explain it: it read one of a run
//! if it saw the first of the run, and not the one after the last.

use super::budget::Budget;
use super::graph::{Choice, GIVEN, Graph, Sight};
use super::solver::{Literal, Outcome, Solver, negate};
use super::{Order, Problem, Unsure};

/// What a choice of the solver is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// A choice of the graph.
    Choice(Choice),
    /// Whether a read is explained by a run of versions.
    Read { object: u32, reader: u32, first: Option<u32> },
}

/// What a read that several versions explain demands.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    /// One of these holds.
    pub literals: Vec<Literal>,
    /// The object, by its tag, and who read it.
    pub read: (u32, u32),
}

/// The open choices.
pub(super) struct Rest {
    pub variables: Vec<Variable>,
    /// The edges of each literal, between events.
    pub edges: Vec<Vec<(u32, u32)>>,
    pub clauses: Vec<Clause>,
    /// Which choices have been made since they cannot matter.
    free: Vec<Option<bool>>,
    /// The component of each event, if it is not alone in it.
    components: Vec<u32>,
}

/// A literal, or what it would be if it is known.
#[derive(Clone, Copy, Debug)]
enum Truth {
    Known(bool),
    Open(Literal),
}

/// A clause under construction.
#[derive(Debug, Default)]
struct Draft {
    literals: Vec<Literal>,
    holds: bool,
}

impl Draft {
    fn or(mut self, truth: Truth) -> Self {
        match truth {
            Truth::Known(known) => self.holds |= known,
            Truth::Open(literal) => self.literals.push(literal),
        }
        self
    }

    fn unless(self, truth: Truth) -> Self {
        self.or(match truth {
            Truth::Known(known) => Truth::Known(!known),
            Truth::Open(literal) => Truth::Open(negate(literal)),
        })
    }
}

impl Rest {
    /// What is open in a graph.
    pub fn new(problem: &Problem, graph: &Graph) -> Self {
        let mut variables = Vec::new();
        for (object, chains) in (0..).zip(&graph.objects) {
            for one in 0..chains.all.len() {
                let open = chains.open(one).filter(|other| *other > one);
                variables.extend(
                    open.map(|other| Variable::Choice(Choice::Order { object, one: one as u32, other: other as u32 })),
                );
            }
        }
        let open = (0..).zip(&graph.sights).filter(|(_, sight)| sight.seen.is_none());
        variables.extend(open.map(|(at, _)| Variable::Choice(Choice::Sight { at })));
        let mut edges = Vec::with_capacity(2 * variables.len());
        for variable in &variables {
            let Variable::Choice(choice) = *variable else { continue };
            for way in [true, false] {
                edges.push(graph.chosen(choice, way, GIVEN).iter().map(|edge| (edge.from, edge.to)).collect());
            }
        }
        let components = Vec::new();
        let mut rest = Self { free: Vec::new(), clauses: Vec::new(), variables, edges, components };
        rest.reads(problem, graph);
        rest.free = vec![None; rest.variables.len()];
        rest.reduce(graph);
        rest
    }

    fn find(&self, choice: Choice) -> u32 {
        let wanted = Variable::Choice(choice);
        self.variables.binary_search(&wanted).expect("what is not known is a variable") as u32
    }

    /// Whether one chain is before another.
    fn is_before(&self, graph: &Graph, object: u32, one: u32, other: u32) -> Truth {
        let chains = &graph.objects[object as usize];
        if !chains.is_open(one as usize, other as usize) {
            return Truth::Known(chains.after.get(one as usize, other as usize));
        }
        let choice = Choice::Order { object, one: one.min(other), other: one.max(other) };
        Truth::Open(2 * self.find(choice) + u32::from(other < one))
    }

    /// Whether a read saw a version.
    fn is_seen(&self, graph: &Graph, object: u32, writer: u32, unsure: &Unsure) -> Truth {
        if writer == unsure.reader {
            return Truth::Known(false);
        }
        let key = (object, writer, unsure.reader, unsure.loose);
        let key_of = |sight: &Sight| (sight.object, sight.writer, sight.reader, sight.loose);
        let at = graph.sights.binary_search_by_key(&key, key_of);
        let at = at.expect("every version may have been seen") as u32;
        match graph.sights[at as usize].seen {
            Some(seen) => Truth::Known(seen),
            None => Truth::Open(2 * self.find(Choice::Sight { at })),
        }
    }

    /// Adds the clauses of all reads that several versions explain.
    fn reads(&mut self, problem: &Problem, graph: &Graph) {
        let choices = self.variables.len();
        let mut runs_of_reads = Vec::new();
        let mut clauses = Vec::new();
        for ((place, object), chains) in (0..).zip(&problem.objects).zip(&graph.objects) {
            for unsure in &object.unsure {
                let reader = unsure.reader;
                let mut add = |draft: Draft| {
                    if !draft.holds {
                        clauses.push(Clause { literals: draft.literals, read: (object.tag, reader) });
                    }
                };
                let writer = |version: u32| object.versions[version as usize].writer;
                let mut explained = Draft::default();
                for (chain, versions) in (0..).zip(chains.all.iter().map(|chain| &chain.versions)) {
                    let explains = |version: &Option<u32>| match version {
                        Some(version) => unsure.versions.binary_search(version).is_ok(),
                        None => unsure.initial,
                    };
                    let initial = (chain == 0).then_some(None);
                    let all: Vec<Option<u32>> = initial.into_iter().chain(versions.iter().copied().map(Some)).collect();
                    let mut at = 0;
                    while at < all.len() {
                        if !explains(&all[at]) {
                            at += 1;
                            continue;
                        }
                        let first = all[at];
                        let length = all[at..].iter().take_while(|version| explains(version)).count();
                        at += length;
                        let run = Truth::Open(2 * (choices + runs_of_reads.len()) as u32);
                        runs_of_reads.push(Variable::Read { object: place, reader, first: first.map(writer) });
                        explained = explained.or(run);
                        let whenever = || Draft::default().unless(run);
                        if let Some(first) = first {
                            add(whenever().or(self.is_seen(graph, place, writer(first), unsure)));
                        }
                        if let Some(Some(next)) = all.get(at).copied() {
                            add(whenever().unless(self.is_seen(graph, place, writer(next), unsure)));
                            continue;
                        }
                        for (other, following) in (0..).zip(&chains.all) {
                            let Some((head, _)) = following.ends.filter(|_| other != chain) else { continue };
                            let clause = whenever()
                                .unless(self.is_before(graph, place, chain, other))
                                .unless(self.is_seen(graph, place, head, unsure));
                            add(clause);
                        }
                    }
                }
                add(explained);
            }
        }
        self.edges.resize(2 * (choices + runs_of_reads.len()), Vec::new());
        self.variables.extend(runs_of_reads);
        self.clauses = clauses;
    }

    /// Makes the choices that cannot matter.
    fn reduce(&mut self, graph: &Graph) {
        let mut bound = vec![false; self.variables.len()];
        for literal in self.clauses.iter().flat_map(|clause| &clause.literals) {
            bound[*literal as usize / 2] = true;
        }
        loop {
            let fixed = graph.edges.iter().map(|edge| (edge.from, edge.to));
            let open = (0..self.edges.len()).filter(|literal| self.free[literal / 2].is_none());
            let all = fixed.chain(open.flat_map(|literal| self.edges[literal].iter().copied()));
            self.components = components(graph.nodes as usize, all);
            let mut changed = false;
            for (variable, free) in self.free.iter_mut().enumerate().filter(|(_, free)| free.is_none()) {
                for literal in [2 * variable, 2 * variable + 1] {
                    let components = &self.components;
                    self.edges[literal].retain(|(from, to)| components[*from as usize] == components[*to as usize]);
                    if self.edges[literal].is_empty() && !bound[variable] && free.is_none() {
                        *free = Some(literal % 2 == 0);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// How many choices are left.
    pub fn len(&self) -> usize {
        self.free.iter().filter(|free| free.is_none()).count()
    }

    /// Searches for a way to make all choices, or only some (and then only what all the clauses over these demand).
    pub fn solve(&self, graph: &Graph, rank: &[u32], only: Option<&[u32]>, budget: &mut Budget<'_>) -> Outcome {
        let open = || (0..self.variables.len() as u32).filter(|at| self.free[*at as usize].is_none());
        let chosen: Vec<u32> = only.map_or_else(|| open().collect(), <[u32]>::to_vec);
        let mut numbers = vec![None; self.variables.len()];
        for (variable, number) in chosen.iter().zip(0u32..) {
            numbers[*variable as usize] = Some(number);
        }
        // Only the events that share a component with another take part, in their order.
        let mut alone = vec![true; rank.len()];
        let inner = |from: u32, to: u32| self.components[from as usize] == self.components[to as usize];
        let fixed = graph.edges.iter().filter(|edge| inner(edge.from, edge.to));
        let fixed: Vec<(u32, u32)> = fixed.map(|edge| (edge.from, edge.to)).collect();
        let literals = || chosen.iter().flat_map(|variable| [2 * variable, 2 * variable + 1]);
        let choices = literals().flat_map(|literal| &self.edges[literal as usize]);
        for (from, to) in fixed.iter().chain(choices) {
            alone[*from as usize] = false;
            alone[*to as usize] = false;
        }
        let mut involved: Vec<u32> = (0..rank.len() as u32).filter(|node| !alone[*node as usize]).collect();
        involved.sort_unstable_by_key(|node| rank[*node as usize]);
        let mut places = vec![0u32; rank.len()];
        for (node, place) in involved.iter().zip(0..) {
            places[*node as usize] = place;
        }
        let place = |&(from, to): &(u32, u32)| (places[from as usize], places[to as usize]);
        let fixed: Vec<(u32, u32)> = fixed.iter().map(place).collect();
        let edges = literals().map(|literal| self.edges[literal as usize].iter().map(place).collect()).collect();
        let renamed = |literal: &Literal| Some(2 * numbers[*literal as usize / 2]? + literal % 2);
        let clauses = self.clauses.iter().filter_map(|clause| clause.literals.iter().map(renamed).collect());
        let clauses = clauses.collect();
        match Solver::new((0..involved.len() as u32).collect(), &fixed, edges).solve(clauses, budget) {
            Outcome::Satisfied(ways) => {
                let mut all: Vec<bool> = self.free.iter().map(|free| *free == Some(true)).collect();
                for (variable, way) in chosen.iter().zip(ways) {
                    all[*variable as usize] = way;
                }
                Outcome::Satisfied(all)
            }
            Outcome::Refuted(core) => Outcome::Refuted(core.iter().map(|number| chosen[*number as usize]).collect()),
            Outcome::Spent => Outcome::Spent,
        }
    }

    /// What a choice says, for people: the object's tag and the order.
    pub fn describe(&self, problem: &Problem, graph: &Graph, variable: u32, way: bool) -> (u32, Order) {
        match self.variables[variable as usize] {
            Variable::Choice(choice) => graph.describe(choice, way),
            Variable::Read { object, reader, first } => {
                let tag = problem.objects[object as usize].tag;
                (tag, if way { Order::Read(first, reader) } else { Order::Unread(first, reader) })
            }
        }
    }
}

/// The number of a vertex or component that has none yet.
const NEW: u32 = u32::MAX;

/// Numbers the strongly connected components (Tarjan's algorithm, without recursion), one for each vertex.
fn components(nodes: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Vec<u32> {
    let mut starts = vec![0u32; nodes + 1];
    edges.clone().for_each(|(from, _)| starts[from as usize + 1] += 1);
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    let mut targets = vec![0u32; starts[nodes] as usize];
    let mut free = starts.clone();
    edges.for_each(|(from, to)| {
        targets[free[from as usize] as usize] = to;
        free[from as usize] += 1;
    });
    let mut index = vec![NEW; nodes];
    let mut low = vec![0u32; nodes];
    let mut component = vec![NEW; nodes];
    let mut next = starts.clone();
    let (mut stack, mut path) = (Vec::new(), Vec::new());
    let (mut indexes, mut components) = (0, 0);
    for root in 0..nodes {
        if index[root] != NEW {
            continue;
        }
        path.push(root);
        while let Some(&node) = path.last() {
            if index[node] == NEW {
                index[node] = indexes;
                low[node] = indexes;
                indexes += 1;
                stack.push(node);
            }
            if next[node] < starts[node + 1] {
                let to = targets[next[node] as usize] as usize;
                next[node] += 1;
                if index[to] == NEW {
                    path.push(to);
                } else if component[to] == NEW {
                    low[node] = low[node].min(index[to]);
                }
                continue;
            }
            path.pop();
            if let Some(&parent) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == index[node] {
                while let Some(member) = stack.pop() {
                    component[member] = components;
                    if member == node {
                        break;
                    }
                }
                components += 1;
            }
        }
    }
    component
}
