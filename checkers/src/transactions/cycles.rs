//! The smallest cycle of a given shape.
//!
//! A shape is a small automaton over the links of a walk: it counts anti-dependencies up to two and knows whether the
//! last link was one. A breadth-first search over pairs of node and automaton state finds the shortest closed walk from
//! one start; the halves of links over points cost nothing. All starts are tried up to length 2, 3 and 4 first, which
//! settles most graphs, then each in full, shorter than the best so far. A start whose cycles are all known is taken out,
//! and with it all nodes that are on no cycle any more, so a long ring costs one search and a band that is wound around
//! costs a few. The work is bounded: when the budget is spent, the cycle is the smallest of those that were found.
//!
//! With real time a walk is closed if its last transaction was acknowledged before its first was invoked, see
//! [`graph`](super::graph).

use super::facts::NONE;
use super::graph::{ANTI, Graph, Labels, SESSION_COMMIT, SESSIONS, THROUGH, View, WR, WR_PREDICATE};
use crate::history::Transaction;

/// What a cycle consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Overwrites only: G0.
    Overwrites,
    /// Dependencies, at least one of them a read: G1c.
    Dependencies,
    /// One anti-dependency: G-single.
    Single,
    /// Several anti-dependencies, no two in a row: G-nonadjacent.
    Nonadjacent,
    /// Two anti-dependencies in a row: G2.
    Adjacent,
    /// Anything without two anti-dependencies in a row.
    Snapshot,
    /// Anything.
    Any,
}

/// How many states the automata have.
const SHAPES: u32 = 6;

/// Twice as many with whether the last link was one of a session.
const STATES: u32 = 2 * SHAPES;

/// Of the automata, for closed walks: bits 1 and 2 count anti-dependencies, and bit 0 says whether the last link was one.
/// [`Shape::Dependencies`] counts reads instead. A walk for [`Shape::Adjacent`] begins between two anti-dependencies; in
/// real time its states are instead 0 and 1 by the last link, and 2 once there were two in a row.
type At = u32;

impl Shape {
    fn next(self, at: At, label: Labels, timed: bool) -> Option<At> {
        let (count, anti) = (at >> 1, at & 1 == 1);
        if label & THROUGH != 0 {
            return Some(at);
        }
        match self {
            Self::Overwrites | Self::Any => Some(at),
            Self::Dependencies => Some(if label & (WR | WR_PREDICATE) != 0 { 2 } else { at & !1 }),
            Self::Single | Self::Nonadjacent | Self::Snapshot if label & ANTI != 0 => {
                let most = if self == Self::Single { 0 } else { 2 };
                (!anti && count <= most).then_some((count + 1).min(2) << 1 | 1)
            }
            // To a commit, from where no anti-dependency leads.
            Self::Single | Self::Nonadjacent | Self::Snapshot => {
                Some(count << 1 | Labels::from(label & SESSION_COMMIT != 0) as At)
            }
            Self::Adjacent if timed => Some(match (at, label & ANTI != 0) {
                (2, _) | (1, true) => 2,
                (_, anti) => anti as At,
            }),
            Self::Adjacent => match (at, label & ANTI != 0) {
                (0, false) => None,
                (_, true) => Some(3),
                (_, false) => Some(2),
            },
        }
    }

    /// Whether a walk may be closed that began in a state, which says whether an anti-dependency is to lead there.
    fn accepts(self, start: At, at: At, timed: bool) -> bool {
        let fits = timed || at & 1 == start & 1;
        match self {
            Self::Overwrites | Self::Any => true,
            Self::Snapshot => fits,
            Self::Dependencies => at == 2,
            Self::Single => at >> 1 == 1 && fits,
            Self::Nonadjacent => at >> 1 == 2 && fits,
            Self::Adjacent => at == if timed { 2 } else { 3 },
        }
    }

    /// The view of the graph in which all such cycles are cycles.
    pub(super) fn view(self, graph: &Graph, labels: Labels) -> View<'_> {
        let events = matches!(self, Self::Single | Self::Nonadjacent | Self::Snapshot);
        View { graph, labels: self.labels(labels), events }
    }

    /// Which of these labels take part at all.
    fn labels(self, labels: Labels) -> Labels {
        match self {
            Self::Overwrites => labels & !(ANTI | THROUGH | WR | WR_PREDICATE),
            Self::Dependencies => labels & !(ANTI | THROUGH),
            Self::Single | Self::Nonadjacent | Self::Snapshot => labels,
            // What may read the past is bound in its commit, and here has no other place.
            Self::Adjacent | Self::Any => labels & !SESSION_COMMIT,
        }
    }
}

/// What closes a walk.
#[derive(Clone, Copy)]
enum Closing<'a> {
    /// Its first node.
    Start,
    /// Any transaction that was acknowledged before this time.
    Before(u64, &'a [Transaction]),
}

/// How a search from one start ended.
enum Walk {
    /// The links, and their length.
    Closed(Vec<u32>, usize),
    /// There is none.
    None,
    /// There is none up to the limit.
    Limited,
}

/// A search in one graph.
pub(super) struct Search<'g> {
    graph: &'g Graph,
    /// By node and automaton state: which link led there, and from which such pair.
    reached: Vec<(u32, u32)>,
    touched: Vec<u32>,
    /// By node: whether it is left out.
    removed: Vec<bool>,
    /// How many links may yet be looked at.
    budget: u64,
}

impl<'g> Search<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        Self {
            graph,
            reached: vec![(NONE, NONE); graph.nodes() * STATES as usize],
            touched: Vec::new(),
            removed: vec![false; graph.nodes()],
            budget: 0,
        }
    }

    /// The shortest cycle of a shape with these labels: its links, as places in the graph. Transactions are the nodes
    /// below `transactions`.
    pub(super) fn cycle(&mut self, shape: Shape, labels: Labels, transactions: u32, budget: u64) -> Option<Vec<u32>> {
        self.budget = budget;
        let view = shape.view(self.graph, labels);
        let components = view.components();
        if !components.cyclic {
            return None;
        }
        // Only what is on some cycle takes part.
        let mut sizes = vec![0_u32; components.count as usize];
        for component in &components.of {
            sizes[*component as usize] += 1;
        }
        self.removed.fill(true);
        // A cycle of events passes some begin.
        let mut starts = Vec::new();
        for (state, component) in (0_u32..).zip(&components.of) {
            if sizes[*component as usize] > 1 {
                let node = view.node(state);
                self.removed[node as usize] = false;
                if node < transactions && !(view.events && state & 1 == 1) {
                    starts.push(node);
                }
            }
        }
        for limit in 2..=4 {
            for &start in &starts {
                if let Walk::Closed(links, _) = self.walk(shape, labels, start, 0, Closing::Start, limit) {
                    return Some(links);
                }
                if self.budget == 0 {
                    break;
                }
            }
        }
        self.in_full(shape, labels, transactions, &starts)
    }

    /// Searches from each start in full, and takes it out after.
    fn in_full(&mut self, shape: Shape, labels: Labels, transactions: u32, starts: &[u32]) -> Option<Vec<u32>> {
        let mut degrees = Degrees::new(self.graph, shape.labels(labels), &self.removed);
        let mut best: Option<(Vec<u32>, usize)> = None;
        // All cycles through a node: those that come to it over an anti-dependency, and the others. But those of adjacent
        // ones are looked for between the two only, so nothing can be taken out.
        let begins: &[At] = match shape {
            Shape::Single | Shape::Nonadjacent | Shape::Snapshot => &[0, 1],
            Shape::Overwrites | Shape::Dependencies | Shape::Adjacent | Shape::Any => &[0],
        };
        // Neighbours one after the other, so that what is taken out cuts the rest.
        let mut queued = self.removed.clone();
        let (mut queue, mut next) = (Vec::new(), 0);
        // The last search may be the first to find anything, so it is not cut short.
        self.budget = self.budget.max(self.graph.links.len() as u64 * u64::from(STATES));
        for &root in starts {
            if !std::mem::replace(&mut queued[root as usize], true) {
                queue.push(root);
            }
            while let Some(&node) = queue.get(next) {
                next += 1;
                for link in self.graph.from(node).1 {
                    if !std::mem::replace(&mut queued[link.to as usize], true) {
                        queue.push(link.to);
                    }
                }
                if self.removed[node as usize] || node >= transactions {
                    continue;
                }
                if self.budget == 0 {
                    return best.map(|(links, _)| links);
                }
                for &begin in begins {
                    let limit = best.as_ref().map_or(usize::MAX, |(_, length)| length - 1);
                    if let Walk::Closed(links, length) = self.walk(shape, labels, node, begin, Closing::Start, limit) {
                        best = Some((links, length));
                    }
                }
                if shape != Shape::Adjacent {
                    degrees.remove(self.graph, node, &mut self.removed);
                }
            }
        }
        best.map(|(links, _)| links)
    }

    /// The shortest walk of a shape from one of these transactions to one that was acknowledged before it was invoked.
    pub(super) fn cycle_in_time(
        &mut self,
        shape: Shape,
        labels: Labels,
        transactions: &[Transaction],
        starts: &[u32],
        budget: u64,
    ) -> Option<Vec<u32>> {
        self.budget = budget;
        self.removed.fill(false);
        let mut best: Option<(Vec<u32>, usize)> = None;
        for limit in [1, 2, 3, 4, usize::MAX] {
            let mut limited = false;
            for &start in starts {
                let limit = best.as_ref().map_or(limit, |(_, length)| limit.min(length - 1));
                let transaction = &transactions[start as usize];
                let closing = Closing::Before(transaction.invoke, transactions);
                // Whom real time binds in its commit only, no anti-dependency may follow.
                match self.walk(shape, labels, start, At::from(transaction.historic), closing, limit) {
                    Walk::Closed(links, 1) => return Some(links),
                    Walk::Closed(links, length) => best = Some((links, length)),
                    Walk::None => {}
                    Walk::Limited => limited = true,
                }
                if self.budget == 0 {
                    return best.map(|(links, _)| links);
                }
            }
            if best.is_some() || !limited {
                break;
            }
        }
        best.map(|(links, _)| links)
    }

    /// The shortest walk from one start that may be closed, no longer than `limit`.
    fn walk(&mut self, shape: Shape, labels: Labels, start: u32, begin: At, closing: Closing, limit: usize) -> Walk {
        let (timed, labels) = (matches!(closing, Closing::Before(..)), shape.labels(labels));
        let (mut now, mut later) = (vec![(start * STATES + begin, NONE, NONE)], Vec::new());
        let (mut length, mut found, mut limited) = (0, None, false);
        while found.is_none() {
            let Some((pair, by, from)) = now.pop() else {
                if later.is_empty() {
                    break;
                }
                if length == limit {
                    limited = true;
                    break;
                }
                length += 1;
                std::mem::swap(&mut now, &mut later);
                continue;
            };
            let (node, at) = (pair / STATES, pair % SHAPES);
            let in_session = pair % STATES >= SHAPES;
            if by != NONE {
                let closed = shape.accepts(begin, at, timed)
                    && match closing {
                        Closing::Start => node == start,
                        Closing::Before(time, transactions) => transactions
                            .get(node as usize)
                            .is_some_and(|last| !last.initial && last.acknowledged().is_some_and(|end| end < time)),
                    };
                if closed {
                    found = Some((by, from));
                    break;
                }
                if self.reached[pair as usize].0 != NONE || node == start {
                    continue;
                }
                self.reached[pair as usize] = (by, from);
                self.touched.push(pair);
            }
            let (first, links) = self.graph.from(node);
            self.budget = self.budget.saturating_sub(links.len() as u64 + 1);
            for (place, link) in (first as u32..).zip(links) {
                if link.label & labels == 0 || self.removed[link.to as usize] {
                    continue;
                }
                let Some(after) = shape.next(at, link.label, timed) else { continue };
                // Several steps along one session are one.
                let session = link.label & SESSIONS != 0;
                let to = link.to * STATES + after + if session { SHAPES } else { 0 };
                if self.reached[to as usize].0 == NONE {
                    let free = link.label & THROUGH != 0 || session && in_session;
                    let list = if free { &mut now } else { &mut later };
                    list.push((to, place, pair));
                }
            }
        }
        let walk = found.map(|(mut by, mut from)| {
            let mut links = Vec::new();
            loop {
                links.push(by);
                if from / STATES == start {
                    break;
                }
                (by, from) = self.reached[from as usize];
            }
            links.reverse();
            links
        });
        for pair in self.touched.drain(..) {
            self.reached[pair as usize] = (NONE, NONE);
        }
        match walk {
            Some(links) => Walk::Closed(links, length),
            None if limited => Walk::Limited,
            None => Walk::None,
        }
    }
}

/// How many links lead to and from each node, to find those on no cycle.
struct Degrees {
    labels: Labels,
    inward: Vec<u32>,
    outward: Vec<u32>,
    /// By node, where the links to it begin in `sources`.
    first: Vec<u32>,
    sources: Vec<u32>,
}

impl Degrees {
    fn new(graph: &Graph, labels: Labels, removed: &[bool]) -> Self {
        let nodes = graph.nodes();
        let (mut inward, mut outward, mut first) = (vec![0; nodes], vec![0; nodes], vec![0; nodes + 1]);
        let counts =
            |from: u32, to: u32, label: Labels| label & labels != 0 && !removed[from as usize] && !removed[to as usize];
        for link in graph.links.iter().filter(|link| counts(link.from, link.to, link.label)) {
            inward[link.to as usize] += 1;
            outward[link.from as usize] += 1;
            first[link.to as usize + 1] += 1;
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let mut next = first.clone();
        let mut sources = vec![NONE; first[nodes] as usize];
        for link in graph.links.iter().filter(|link| counts(link.from, link.to, link.label)) {
            let place = &mut next[link.to as usize];
            sources[*place as usize] = link.from;
            *place += 1;
        }
        Self { labels, inward, outward, first, sources }
    }

    /// Takes out a node, and all that are then on no cycle.
    fn remove(&mut self, graph: &Graph, node: u32, removed: &mut [bool]) {
        let mut queue = vec![node];
        while let Some(node) = queue.pop() {
            if std::mem::replace(&mut removed[node as usize], true) {
                continue;
            }
            for link in graph.from(node).1 {
                if link.label & self.labels != 0 && !removed[link.to as usize] {
                    let degree = &mut self.inward[link.to as usize];
                    *degree -= 1;
                    if *degree == 0 {
                        queue.push(link.to);
                    }
                }
            }
            let sources = self.first[node as usize] as usize..self.first[node as usize + 1] as usize;
            for &from in &self.sources[sources] {
                if !removed[from as usize] {
                    let degree = &mut self.outward[from as usize];
                    *degree -= 1;
                    if *degree == 0 {
                        queue.push(from);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transactions::graph::{INITIAL, Link, RW, RW_PREDICATE, SESSION, WW};

    const ALL: Labels = WW | WR | RW | WR_PREDICATE | RW_PREDICATE | INITIAL | SESSION | THROUGH;

    /// A step between two transactions: what it is, and the links that it takes.
    type Step = (usize, usize, Labels);

    /// Links of every kind between a few transactions, some over points.
    fn draw(bytes: &[u8]) -> (Graph, usize, Vec<Step>) {
        let mut bytes = bytes.iter().map(|byte| usize::from(*byte));
        let mut below = |bound: usize| bytes.next().unwrap_or(0) % bound;
        let (count, points) = (2 + below(5), below(3));
        let (mut links, mut steps) = (Vec::new(), Vec::new());
        let mut link = |from: usize, to: usize, label: Labels| {
            links.push(Link { from: from as u32, to: to as u32, label, object: 0, version: 0 });
        };
        for _ in 0..below(14) {
            let (from, to) = (below(count), below(count));
            let label = [WW, WR, RW, RW, WR_PREDICATE, RW_PREDICATE, INITIAL][below(7)];
            if from != to {
                link(from, to, label);
                steps.push((from, to, label));
            }
        }
        for one in 1..count {
            if below(3) == 0 {
                link(one - 1, one, SESSION);
                steps.push((one - 1, one, SESSION));
            }
        }
        for point in count..count + points {
            let (readers, writers) = (below(1 << count), below(1 << count));
            for one in (0..count).filter(|one| readers >> one & 1 == 1) {
                link(one, point, RW);
                for other in (0..count).filter(|other| writers & !readers >> other & 1 == 1) {
                    steps.push((one, other, RW));
                }
            }
            for other in (0..count).filter(|other| writers & !readers >> other & 1 == 1) {
                link(point, other, THROUGH);
            }
        }
        (Graph::new(count + points, &links), count, steps)
    }

    /// How long a walk is, several steps along a session in a row counted once.
    fn length(labels: &[Labels], closed: bool) -> usize {
        let session = |at: usize| labels[at] == SESSION;
        let joined = (1..labels.len()).filter(|at| session(*at) && session(at - 1)).count();
        let around = closed && labels.len() > 1 && session(0) && session(labels.len() - 1);
        labels.len() - joined - usize::from(around)
    }

    /// Whether a cycle is of a shape, by counting.
    fn is(shape: Shape, labels: &[Labels], timed: bool) -> bool {
        let anti = |at: usize| labels[at % labels.len()] & ANTI != 0;
        let end = if timed { labels.len() - 1 } else { labels.len() };
        let adjacent = (0..end).any(|at| anti(at) && anti(at + 1)) && labels.len() > 1;
        let count = (0..labels.len()).filter(|at| anti(*at)).count();
        let reads = labels.iter().any(|label| label & (WR | WR_PREDICATE) != 0);
        match shape {
            Shape::Overwrites => count == 0 && !reads,
            Shape::Dependencies => count == 0 && reads,
            Shape::Single => count == 1,
            Shape::Nonadjacent => count > 1 && !adjacent,
            Shape::Adjacent => adjacent,
            Shape::Snapshot | Shape::Any => false,
        }
    }

    /// All simple walks of steps from a transaction.
    fn walks(
        steps: &[Step],
        path: &mut Vec<usize>,
        labels: &mut Vec<Labels>,
        each: &mut impl FnMut(&[usize], &[Labels]),
    ) {
        let last = path[path.len() - 1];
        for &(_, to, label) in steps.iter().filter(|step| step.0 == last) {
            labels.push(label);
            path.push(to);
            each(path, labels);
            if !path[..path.len() - 1].contains(&to) {
                walks(steps, path, labels, each);
            }
            path.pop();
            labels.pop();
        }
    }

    #[test]
    fn the_smallest_cycle_of_each_shape_is_found() {
        bolero::check!().with_type::<[u8; 72]>().with_iterations(3000).for_each(|bytes| {
            let (graph, count, steps) = draw(bytes);
            let ends: Vec<(u64, u64)> =
                (0..count).map(|at| (u64::from(bytes[at]) % 9, u64::from(bytes[at + 9]) % 9)).collect();
            let transactions: Vec<Transaction> = ends
                .iter()
                .map(|(invoke, length)| crate::transactions::tests::txn(0, (*invoke, invoke + length), Vec::new()))
                .collect();
            let late: Vec<u32> = (0..count as u32).collect();
            let mut stronger = false;
            for shape in [Shape::Overwrites, Shape::Dependencies, Shape::Single, Shape::Nonadjacent, Shape::Adjacent] {
                let (mut closed, mut timed): (Option<usize>, Option<usize>) = (None, None);
                for start in 0..count {
                    walks(&steps, &mut vec![start], &mut Vec::new(), &mut |path, labels| {
                        let last = path[path.len() - 1];
                        if last == start && is(shape, labels, false) {
                            let length = length(labels, true);
                            closed = Some(closed.map_or(length, |least| least.min(length)));
                        }
                        if !path[..path.len() - 1].contains(&last)
                            && is(shape, labels, true)
                            && ends[last].0 + ends[last].1 < ends[start].0
                        {
                            let length = length(labels, false);
                            timed = Some(timed.map_or(length, |least| least.min(length)));
                        }
                    });
                }
                let measured = |links: Vec<u32>, closed: bool| {
                    let links: Vec<&Link> = links.iter().map(|link| &graph.links[*link as usize]).collect();
                    assert!(links.windows(2).all(|pair| pair[0].to == pair[1].from));
                    assert!(!closed || links[links.len() - 1].to == links[0].from);
                    let labels: Vec<Labels> =
                        links.iter().filter(|link| link.label != THROUGH).map(|link| link.label).collect();
                    assert!(is(shape, &labels, !closed), "{shape:?} {links:?}");
                    length(&labels, closed)
                };
                let mut search = Search::new(&graph);
                let found = search.cycle(shape, ALL, count as u32, u64::MAX).map(|links| measured(links, true));
                // Several anti-dependencies may also be two cycles that meet, each of a stronger shape.
                if shape != Shape::Nonadjacent || !stronger {
                    assert_eq!(found, closed, "{shape:?} {steps:?}");
                }
                let found = search.cycle_in_time(shape, ALL, &transactions, &late, u64::MAX);
                let found = found.map(|links| measured(links, false));
                // Without a cycle of data alone, a walk passes no transaction twice.
                stronger |= closed.is_some();
                if matches!(shape, Shape::Overwrites | Shape::Dependencies | Shape::Single) && !stronger {
                    assert_eq!(found, timed, "{shape:?} {steps:?} {ends:?}");
                }
            }
        });
    }
}
