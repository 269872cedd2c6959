//! A conflict-driven search over two-way choices whose theory is that a graph stays acyclic.
//!
//! The usual clause learning (watched literals, first unique implication point, activities, Luby restarts), after
//! `MiniSat`. Every literal may add edges; a cycle becomes a clause of the literals on it, which is how `MonoSAT` and the
//! checkers built on it work. A decision goes the way that the current order of the graph already agrees with, so
//! that a legal history is mostly a matter of confirming an order.
//!
//! Every learnt clause remembers what it was derived from, so that a refutation names the choices it needs.

use super::budget::Budget;
use super::order::{Dynamic, FIXED};

/// A choice and a way: twice the number of the choice, plus one if the way is the second.
pub(super) type Literal = u32;

/// The same choice, the other way.
pub(super) fn negate(literal: Literal) -> Literal {
    literal ^ 1
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Clause {
    literals: Vec<Literal>,
    /// The clauses it was derived from; none if it was given or is a cycle of the graph.
    parents: Vec<u32>,
}

/// What came of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A way for each choice, true for the first.
    Satisfied(Vec<bool>),
    /// There is no way; these choices suffice for that, in ascending order.
    Refuted(Vec<u32>),
    /// The budget was spent.
    Spent,
}

/// The search.
pub(super) struct Solver {
    order: Dynamic,
    /// The edges of each literal.
    edges: Vec<Vec<(u32, u32)>>,
    clauses: Vec<Clause>,
    /// For each literal, the clauses that watch its negation become true, that is, in which it is watched.
    watches: Vec<Vec<u32>>,
    /// For each choice: whether it is made, and which way.
    values: Vec<Option<bool>>,
    reasons: Vec<u32>,
    levels: Vec<u32>,
    trail: Vec<Literal>,
    /// How much of the trail there was when each decision was made, and how many edges.
    limits: Vec<(usize, usize)>,
    /// How much of the trail clauses have seen, and how much of it the graph has.
    clauses_seen: usize,
    graph_seen: usize,
    heap: Heap,
    increment: f64,
    marked: Vec<bool>,
}

impl Solver {
    /// Over a graph with these edges, which must agree with the places in `rank`, and choices of which each literal
    /// adds some more.
    pub fn new(rank: Vec<u32>, fixed: &[(u32, u32)], edges: Vec<Vec<(u32, u32)>>) -> Self {
        let mut order = Dynamic::new(rank);
        for &(from, to) in fixed {
            assert!(order.insert(from, to, FIXED).is_ok(), "what is known has no cycle");
        }
        let choices = edges.len() / 2;
        Self {
            order,
            edges,
            clauses: Vec::new(),
            watches: vec![Vec::new(); 2 * choices],
            values: vec![None; choices],
            reasons: vec![NONE; choices],
            levels: vec![0; choices],
            trail: Vec::with_capacity(choices),
            limits: Vec::new(),
            clauses_seen: 0,
            graph_seen: 0,
            heap: Heap::new(choices),
            increment: 1.0,
            marked: vec![false; choices],
        }
    }

    /// Demands that one of the literals hold, and searches until the budget is spent.
    pub fn solve(mut self, given: Vec<Vec<Literal>>, budget: &mut Budget<'_>) -> Outcome {
        for mut literals in given {
            literals.sort_unstable();
            literals.dedup();
            if literals.windows(2).any(|pair| pair[1] == negate(pair[0])) {
                continue;
            }
            if let Some(conflict) = self.assume(literals) {
                return Outcome::Refuted(self.core(conflict));
            }
        }
        let mut restarts = 1;
        let mut conflicts_left = 100 * luby(restarts);
        loop {
            let before = self.order.steps;
            let conflict = self.propagate();
            budget.spend(self.order.steps - before + 1);
            if let Some(conflict) = conflict {
                if self.limits.is_empty() {
                    return Outcome::Refuted(self.core(conflict));
                }
                self.learn(conflict);
                budget.spend(self.trail.len() as u64 / 16);
                conflicts_left = conflicts_left.saturating_sub(1);
            } else if budget.is_spent() {
                return Outcome::Spent;
            } else if conflicts_left == 0 {
                restarts += 1;
                conflicts_left = 100 * luby(restarts);
                self.backtrack(0);
            } else {
                let Some(choice) = self.next_choice() else {
                    return Outcome::Satisfied(self.values.iter().map(|value| *value == Some(true)).collect());
                };
                self.limits.push((self.trail.len(), self.order.len()));
                let literal = self.likely(choice);
                self.set(literal, NONE);
            }
        }
    }

    fn value(&self, literal: Literal) -> Option<bool> {
        self.values[literal as usize / 2].map(|value| value == literal.is_multiple_of(2))
    }

    fn set(&mut self, literal: Literal, reason: u32) {
        let choice = literal as usize / 2;
        self.values[choice] = Some(literal.is_multiple_of(2));
        self.reasons[choice] = reason;
        self.levels[choice] = self.limits.len() as u32;
        self.trail.push(literal);
    }

    /// Adds a given clause before the search; returns it if it already fails.
    fn assume(&mut self, mut literals: Vec<Literal>) -> Option<u32> {
        // Those that are not false come first, so that they are watched.
        literals.sort_by_key(|literal| self.value(*literal) == Some(false));
        let open = literals.iter().filter(|literal| self.value(**literal) != Some(false)).count();
        let first = literals.first().copied();
        let clause = self.add(literals, Vec::new());
        match (open, first) {
            (0, _) | (_, None) => Some(clause),
            (1, Some(first)) => {
                if self.value(first).is_none() {
                    self.set(first, clause);
                }
                None
            }
            _ => None,
        }
    }

    fn add(&mut self, literals: Vec<Literal>, parents: Vec<u32>) -> u32 {
        let at = self.clauses.len() as u32;
        if let [one, other, ..] = literals[..] {
            self.watches[one as usize].push(at);
            self.watches[other as usize].push(at);
        }
        self.clauses.push(Clause { literals, parents });
        at
    }

    /// Draws all conclusions; returns a clause that fails, if there is one.
    fn propagate(&mut self) -> Option<u32> {
        loop {
            while let Some(&literal) = self.trail.get(self.clauses_seen) {
                self.clauses_seen += 1;
                if let Some(conflict) = self.visit(negate(literal)) {
                    return Some(conflict);
                }
            }
            let &literal = self.trail.get(self.graph_seen)?;
            self.graph_seen += 1;
            for &(from, to) in &self.edges[literal as usize] {
                if let Err(path) = self.order.insert(from, to, literal) {
                    let mut cycle: Vec<Literal> = path.iter().map(|literal| negate(*literal)).collect();
                    cycle.push(negate(literal));
                    cycle.sort_unstable();
                    cycle.dedup();
                    // It is watched by its latest literals, which backtracking frees first.
                    cycle.sort_by_key(|literal| std::cmp::Reverse(self.levels[*literal as usize / 2]));
                    return Some(self.add(cycle, Vec::new()));
                }
            }
        }
    }

    /// Looks at the clauses that watch a literal which has become false.
    fn visit(&mut self, literal: Literal) -> Option<u32> {
        let mut watching = std::mem::take(&mut self.watches[literal as usize]);
        let mut conflict = None;
        watching.retain(|&at| {
            if conflict.is_some() {
                return true;
            }
            self.order.steps += 1;
            let value =
                |literal: Literal| self.values[literal as usize / 2].map(|value| value == literal.is_multiple_of(2));
            let literals = &mut self.clauses[at as usize].literals;
            if literals[0] == literal {
                literals.swap(0, 1);
            }
            let first = literals[0];
            if value(first) == Some(true) {
                return true;
            }
            if let Some(other) = (2..literals.len()).find(|other| value(literals[*other]) != Some(false)) {
                literals.swap(1, other);
                let watched = literals[1];
                self.watches[watched as usize].push(at);
                return false;
            }
            if value(first) == Some(false) {
                conflict = Some(at);
            } else {
                self.values[first as usize / 2] = Some(first.is_multiple_of(2));
                self.reasons[first as usize / 2] = at;
                self.levels[first as usize / 2] = self.limits.len() as u32;
                self.trail.push(first);
            }
            true
        });
        // Nothing was added meanwhile: a clause moves only to a literal that is not false.
        self.watches[literal as usize] = watching;
        conflict
    }

    /// Derives a clause from a conflict, goes back to where it is first useful, and sets what it says there.
    fn learn(&mut self, conflict: u32) {
        let level = self.limits.len() as u32;
        let mut learnt = vec![0];
        let mut parents = vec![conflict];
        let mut seen = Vec::new();
        let mut open = 0;
        let mut at = self.trail.len();
        let mut clause = conflict;
        loop {
            for place in 0..self.clauses[clause as usize].literals.len() {
                let literal = self.clauses[clause as usize].literals[place];
                let choice = literal as usize / 2;
                if self.marked[choice] || self.value(literal) != Some(false) {
                    continue;
                }
                self.marked[choice] = true;
                seen.push(choice);
                if self.levels[choice] == 0 {
                    parents.push(self.reasons[choice]);
                    continue;
                }
                self.bump(choice);
                if self.levels[choice] == level {
                    open += 1;
                } else {
                    learnt.push(literal);
                }
            }
            loop {
                at -= 1;
                if self.marked[self.trail[at] as usize / 2] {
                    break;
                }
            }
            open -= 1;
            if open == 0 {
                break;
            }
            clause = self.reasons[self.trail[at] as usize / 2];
            parents.push(clause);
        }
        learnt[0] = negate(self.trail[at]);
        for choice in seen {
            self.marked[choice] = false;
        }
        learnt[1..].sort_by_key(|literal| std::cmp::Reverse(self.levels[*literal as usize / 2]));
        let back = learnt.get(1).map_or(0, |literal| self.levels[*literal as usize / 2]);
        self.backtrack(back);
        let first = learnt[0];
        let clause = self.add(learnt, parents);
        self.set(first, clause);
        self.increment /= 0.95;
    }

    fn backtrack(&mut self, level: u32) {
        let Some(&(trail, edges)) = self.limits.get(level as usize) else { return };
        for literal in self.trail.drain(trail..) {
            let choice = literal as usize / 2;
            self.values[choice] = None;
            self.heap.insert(choice as u32);
        }
        self.order.truncate(edges);
        self.limits.truncate(level as usize);
        self.clauses_seen = trail;
        self.graph_seen = trail;
    }

    fn bump(&mut self, choice: usize) {
        if self.heap.bump(choice as u32, self.increment) > 1e100 {
            self.heap.scale(1e-100);
            self.increment *= 1e-100;
        }
    }

    fn next_choice(&mut self) -> Option<u32> {
        loop {
            let choice = self.heap.pop()?;
            if self.values[choice as usize].is_none() {
                return Some(choice);
            }
        }
    }

    /// The way of a choice that contradicts the order of the graph the least.
    fn likely(&self, choice: u32) -> Literal {
        let against = |literal: Literal| {
            self.edges[literal as usize].iter().filter(|(from, to)| !self.order.agrees(*from, *to)).count()
        };
        if against(2 * choice) <= against(2 * choice + 1) { 2 * choice } else { 2 * choice + 1 }
    }

    /// The choices that a conflict without any decision rests on.
    fn core(&self, conflict: u32) -> Vec<u32> {
        let mut needed = vec![false; self.clauses.len()];
        let mut choices = vec![false; self.values.len()];
        let mut next = vec![conflict];
        while let Some(at) = next.pop() {
            if at == NONE || std::mem::replace(&mut needed[at as usize], true) {
                continue;
            }
            let Clause { literals, parents } = &self.clauses[at as usize];
            next.extend(parents);
            for literal in literals {
                let choice = *literal as usize / 2;
                if parents.is_empty() {
                    choices[choice] = true;
                }
                if self.values[choice].is_some() && self.levels[choice] == 0 {
                    next.push(self.reasons[choice]);
                }
            }
        }
        (0..).zip(choices).filter(|(_, needed)| *needed).map(|(choice, _)| choice).collect()
    }
}

/// How long the next run is, in units: 1, 1, 2, 1, 1, 2, 4, …
fn luby(mut index: u64) -> u64 {
    loop {
        let size = (index + 1).next_power_of_two();
        if index + 1 == size {
            return size / 2;
        }
        index -= size / 2 - 1;
    }
}

/// Choices by activity, the most active first; among equals, that of the lowest number.
struct Heap {
    activity: Vec<f64>,
    queue: Vec<u32>,
    /// Where each choice is in the heap.
    places: Vec<u32>,
}

impl Heap {
    fn new(count: usize) -> Self {
        let all = 0..count as u32;
        Self { activity: vec![0.0; count], queue: all.clone().collect(), places: all.collect() }
    }

    fn precedes(&self, one: u32, other: u32) -> bool {
        let (left, right) = (self.activity[one as usize], self.activity[other as usize]);
        left > right || (left == right && one < other)
    }

    fn put(&mut self, place: usize, choice: u32) {
        self.queue[place] = choice;
        self.places[choice as usize] = place as u32;
    }

    fn rise(&mut self, mut place: usize) {
        let choice = self.queue[place];
        while place > 0 && self.precedes(choice, self.queue[(place - 1) / 2]) {
            self.put(place, self.queue[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        self.put(place, choice);
    }

    fn sink(&mut self, mut place: usize) {
        let choice = self.queue[place];
        loop {
            let mut child = 2 * place + 1;
            if child >= self.queue.len() {
                break;
            }
            if child + 1 < self.queue.len() && self.precedes(self.queue[child + 1], self.queue[child]) {
                child += 1;
            }
            if !self.precedes(self.queue[child], choice) {
                break;
            }
            self.put(place, self.queue[child]);
            place = child;
        }
        self.put(place, choice);
    }

    fn insert(&mut self, choice: u32) {
        if self.places[choice as usize] == NONE {
            self.queue.push(choice);
            self.rise(self.queue.len() - 1);
        }
    }

    fn pop(&mut self) -> Option<u32> {
        let first = *self.queue.first()?;
        let last = self.queue.pop()?;
        self.places[first as usize] = NONE;
        if last != first {
            self.put(0, last);
            self.sink(0);
        }
        Some(first)
    }

    fn bump(&mut self, choice: u32, increment: f64) -> f64 {
        self.activity[choice as usize] += increment;
        let place = self.places[choice as usize];
        if place != NONE {
            self.rise(place as usize);
        }
        self.activity[choice as usize]
    }

    fn scale(&mut self, factor: f64) {
        self.activity.iter_mut().for_each(|activity| *activity *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solve(choices: usize, clauses: &[Vec<Literal>]) -> Outcome {
        Solver::new(Vec::new(), &[], vec![Vec::new(); 2 * choices])
            .solve(clauses.to_vec(), &mut Budget::new(100_000_000, &mut || false))
    }

    #[test]
    fn seven_do_not_fit_into_six() {
        // Choice 6 p + h: pigeon p is in hole h. It takes many conflicts, and so restarts.
        let mut clauses: Vec<Vec<Literal>> =
            (0..7).map(|pigeon| (0..6).map(|hole| 2 * (6 * pigeon + hole)).collect()).collect();
        for hole in 0..6 {
            for one in 0..7 {
                clauses.extend((0..one).map(|other| vec![2 * (6 * one + hole) + 1, 2 * (6 * other + hole) + 1]));
            }
        }
        assert_eq!(solve(42, &clauses), Outcome::Refuted((0..42).collect()));
        clauses.remove(0);
        assert!(matches!(solve(42, &clauses), Outcome::Satisfied(_)));
    }

    #[test]
    fn agrees_with_trying_all() {
        bolero::check!().with_type::<Vec<[u8; 3]>>().with_iterations(3_000).for_each(|clauses| {
            let clauses: Vec<Vec<Literal>> =
                clauses.iter().map(|clause| clause.iter().map(|literal| u32::from(*literal) % 14).collect()).collect();
            let holds = |ways: u32, literal: Literal| (ways >> (literal / 2) & 1 == 1) == literal.is_multiple_of(2);
            let fits = |ways: u32| clauses.iter().all(|clause| clause.iter().any(|literal| holds(ways, *literal)));
            match solve(7, &clauses) {
                Outcome::Satisfied(ways) => {
                    assert!(fits(ways.iter().enumerate().map(|(at, way)| u32::from(*way) << at).sum()));
                }
                Outcome::Refuted(core) => {
                    assert!(!(0..1 << 7).any(fits) && core.iter().all(|choice| *choice < 7));
                }
                Outcome::Spent => panic!("the budget suffices"),
            }
        });
    }
}
