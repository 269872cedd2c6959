//! Read committed, read atomic and causal consistency, decided in nearly linear time.
//!
//! Biswas and Enea ("On the complexity of checking transactional consistency", OOPSLA 2019) define the levels alike:
//! there is an order of all transactions that keeps to sessions and to who read from whom, such that, whenever some
//! reader read an object from one writer although the write of another was visible to it, the other is before the one.
//! Visible is, under
//!
//! * read committed, whom the reader had read from before, in the order of its program;
//! * read atomic, whom it read from, and whoever is before it in its session;
//! * causal, whom it follows by any number of such steps.
//!
//! So what must be ordered follows from the observations alone, and all that is left is to look for a cycle. Only the
//! orders that do not follow from others are listed (as AWDIT does, PLDI 2025): of the writers in a session, the last
//! visible one; of the reads of an object after a read, the first that shows another writer. Causal order is kept as one
//! counter for each transaction and session, in blocks of sessions, so that memory is bounded.
//!
//! Whether what was read was written at all, and by a committed transaction, is for the caller to check before.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use serde::Serialize;

use super::search::{Arc, Kind};

/// A read of what another transaction left, by the number of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which step of the reader's program it was. What one step shows is seen at once.
    pub step: u32,
    /// The row or list.
    pub object: u32,
    /// Who left it so; `None` if it was as it had been before all writes.
    pub writer: Option<u32>,
}

/// Where a transaction stands in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which session.
    pub session: u32,
    /// How many of [`Observations::sessions`] are before it there.
    pub before: u32,
}

/// What committed transactions saw and did. Transactions are numbered from 0; whoever did not commit does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observations {
    /// For each transaction, what it read before writing it itself, in the order of its program. One step reads an object
    /// once.
    pub reads: Vec<Vec<Seen>>,
    /// For each transaction, the objects it wrote.
    pub writes: Vec<Vec<u32>>,
    /// For each session, the transactions after which others came, in order: all but those of unknown outcome, which
    /// may have committed later than what the session did next.
    pub sessions: Vec<Vec<u32>>,
    /// For each transaction, where it stands.
    pub places: Vec<Place>,
    /// The transaction that made the initial state, before all others.
    pub initial: Option<u32>,
    /// What else is before what, e.g. in the order of a list.
    pub known: Vec<Arc>,
}

/// The levels that can be decided by saturation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weak {
    /// Visible is what was read before.
    ReadCommitted,
    /// Visible is what was read, and the session so far.
    ReadAtomic,
    /// Visible is all that is causally before.
    Causal,
}

/// An order that a read enforces: the writer at the start was visible to the reader, who read from that at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Inference {
    /// An arc of kind [`Kind::Ww`], with the number of the object as tag.
    pub arc: Arc,
    /// Who read the object.
    pub reader: u32,
}

/// One step of a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// From whom to whom.
    pub arc: Arc,
    /// If it was inferred: the reader, and how the start was visible to it.
    pub inferred: Option<(u32, Vec<Arc>)>,
}

/// Whether a history is possible under a weak level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Saturated {
    /// It is. Whatever is stronger has to keep to these orders too.
    Possible(Vec<Inference>),
    /// It is not: these are before each other. A last step of kind [`Kind::Rw`] says that its start read the initial
    /// version of what its end had visibly written.
    Impossible(Vec<Step>),
}

/// How many counters are kept at once.
const COUNTERS: usize = 1 << 25;

/// Decides a level.
pub fn saturate(observations: &Observations, level: Weak) -> Saturated {
    let base = Base::new(observations);
    let Some(order) = base.sort(&[]) else {
        return Saturated::Impossible(base.cycle(&[], level));
    };
    let mut found = Found::default();
    match level {
        Weak::ReadCommitted => read_committed(observations, &mut found),
        Weak::ReadAtomic => read_atomic(observations, &mut found),
        Weak::Causal => causal(&base, &order, &mut found),
    }
    if let Some((writer, reader, object)) = found.missed {
        let missed = Arc { from: reader, to: writer, kind: Kind::Rw, tag: object };
        let seen = base.visible(writer, reader, object, level).into_iter().chain([missed]);
        return Saturated::Impossible(seen.map(|arc| Step { arc, inferred: None }).collect());
    }
    let mut inferences = found.inferences;
    inferences.sort_unstable();
    inferences.dedup_by_key(|inference| inference.arc);
    match base.sort(&inferences) {
        Some(_) => Saturated::Possible(inferences),
        None => Saturated::Impossible(base.cycle(&inferences, level)),
    }
}

/// What saturation finds.
#[derive(Debug, Default)]
struct Found {
    inferences: Vec<Inference>,
    /// A writer, a reader to which it was visible and who yet read the initial version, and the object.
    missed: Option<(u32, u32, u32)>,
}

impl Found {
    /// Notes that somebody read an object from one writer, or its initial version, while another writer was visible.
    fn add(&mut self, visible: u32, (object, writer): (u32, Option<u32>), reader: u32) {
        match writer {
            Some(writer) if writer == visible => {}
            Some(writer) => {
                let arc = Arc { from: visible, to: writer, kind: Kind::Ww, tag: object };
                self.inferences.push(Inference { arc, reader });
            }
            None => {
                self.missed.get_or_insert((visible, reader, object));
            }
        }
    }
}

/// The objects each transaction wrote, in ascending order and once each.
fn sorted_writes(observations: &Observations) -> Vec<Vec<u32>> {
    let sorted = observations.writes.iter().map(|writes| {
        let mut writes = writes.clone();
        writes.sort_unstable();
        writes.dedup();
        writes
    });
    sorted.collect()
}

/// The objects that were both written by a transaction and read as the table says: by a walk over whichever is smaller.
fn both<'a>(writes: &'a [u32], read: &'a BTreeMap<u32, Vec<Option<u32>>>, mut each: impl FnMut(u32, &[Option<u32>])) {
    if writes.len() <= read.len() {
        for object in writes {
            if let Some(writers) = read.get(object) {
                each(*object, writers);
            }
        }
    } else {
        for (object, writers) in read.iter().filter(|(object, _)| writes.binary_search(object).is_ok()) {
            each(*object, writers);
        }
    }
}

fn read_committed(observations: &Observations, found: &mut Found) {
    let writes = sorted_writes(observations);
    for (reads, reader) in observations.reads.iter().zip(0..) {
        let mut first_read = BTreeMap::new();
        for read in reads {
            first_read.entry(read.writer).or_insert(read.step);
        }
        // By object, the first two different writers it is read from after the read at hand. Those that follow are
        // after the second by inferences of their own.
        let mut later: BTreeMap<u32, Vec<Option<u32>>> = BTreeMap::new();
        for reads in reads.chunk_by(|one, other| one.step == other.step).rev() {
            for read in reads {
                if let Some(visible) = read.writer.filter(|_| first_read[&read.writer] == read.step) {
                    both(&writes[visible as usize], &later, |object, writers| {
                        let other = writers.iter().find(|writer| **writer != Some(visible));
                        if let Some(&writer) = other {
                            found.add(visible, (object, writer), reader);
                        }
                    });
                }
            }
            for read in reads {
                let writers = later.entry(read.object).or_default();
                if writers.first() != Some(&read.writer) {
                    writers.insert(0, read.writer);
                    writers.truncate(2);
                }
            }
        }
    }
}

fn read_atomic(observations: &Observations, found: &mut Found) {
    let writes = sorted_writes(observations);
    let mut by_session: Vec<Vec<u32>> = vec![Vec::new(); observations.sessions.len()];
    for (place, transaction) in observations.places.iter().zip(0..) {
        by_session[place.session as usize].push(transaction);
    }
    for (session, mut transactions) in observations.sessions.iter().zip(by_session) {
        transactions.sort_by_key(|transaction| observations.places[*transaction as usize].before);
        let mut passed = 0;
        let mut last_writer = BTreeMap::new();
        for reader in transactions {
            for before in &session[passed..observations.places[reader as usize].before as usize] {
                last_writer.extend(writes[*before as usize].iter().map(|object| (*object, *before)));
                passed += 1;
            }
            let mut read: BTreeMap<u32, Vec<Option<u32>>> = BTreeMap::new();
            let mut visible = Vec::new();
            for &Seen { object, writer, .. } in &observations.reads[reader as usize] {
                let writers = read.entry(object).or_default();
                if !writers.contains(&writer) {
                    writers.push(writer);
                    let initial = || {
                        let initial = observations.initial.filter(|initial| *initial != reader)?;
                        writes[initial as usize].binary_search(&object).is_ok().then_some(initial)
                    };
                    if let Some(before) = last_writer.get(&object).copied().or_else(initial) {
                        found.add(before, (object, writer), reader);
                    }
                }
                visible.extend(writer);
            }
            visible.sort_unstable();
            visible.dedup();
            for visible in visible {
                both(&writes[visible as usize], &read, |object, writers| {
                    for &writer in writers {
                        found.add(visible, (object, writer), reader);
                    }
                });
            }
        }
    }
}

/// A line of transactions each of which is after the one before it: a session, or one of unknown outcome.
struct Lines {
    count: usize,
    /// The line and the place in it of each transaction.
    of: Vec<(u32, u32)>,
}

impl Lines {
    fn new(observations: &Observations) -> Self {
        let mut of = vec![(u32::MAX, 0); observations.places.len()];
        for (session, line) in observations.sessions.iter().zip(0..) {
            for (transaction, place) in session.iter().zip(0..) {
                of[*transaction as usize] = (line, place);
            }
        }
        let mut count = observations.sessions.len();
        for (line, _) in of.iter_mut().filter(|(line, _)| *line == u32::MAX) {
            *line = count as u32;
            count += 1;
        }
        Self { count, of }
    }
}

fn causal(base: &Base, order: &[u32], found: &mut Found) {
    let Base { observations, .. } = base;
    let lines = Lines::new(observations);
    let transactions = observations.places.len();
    // By object and line, the places of its writers.
    let mut writers: BTreeMap<u32, BTreeMap<u32, Vec<(u32, u32)>>> = BTreeMap::new();
    for (writes, writer) in observations.writes.iter().zip(0..) {
        let (line, place) = lines.of[writer as usize];
        for object in writes {
            writers.entry(*object).or_default().entry(line).or_default().push((place, writer));
        }
    }
    for places in writers.values_mut().flat_map(BTreeMap::values_mut) {
        places.sort_unstable();
        places.dedup();
    }
    let width = (COUNTERS / transactions.max(1)).clamp(1, lines.count.max(1));
    for start in (0..lines.count).step_by(width) {
        let block = start as u32..(start + width).min(lines.count) as u32;
        let clocks = clocks(base, order, &lines, &block);
        for (reads, reader) in observations.reads.iter().zip(0u32..) {
            let clock = &clocks[reader as usize * block.len()..][..block.len()];
            for read in reads {
                let Some(writers) = writers.get(&read.object) else { continue };
                for (line, writers) in writers.range(block.clone()) {
                    let visible = clock[(line - block.start) as usize];
                    let before = writers.partition_point(|(place, _)| *place < visible);
                    let Some((place, last)) = before.checked_sub(1).map(|at| writers[at]) else { continue };
                    // What the writer that was read follows anyhow need not be said.
                    let follows = read.writer.is_some_and(|writer| {
                        clocks[writer as usize * block.len() + (line - block.start) as usize] > place
                    });
                    if !follows {
                        found.add(last, (read.object, read.writer), reader);
                    }
                }
            }
        }
    }
}

/// For each transaction and line of a block, how many of the line are causally before the transaction.
fn clocks(base: &Base, order: &[u32], lines: &Lines, block: &std::ops::Range<u32>) -> Vec<u32> {
    let width = block.len();
    let mut clocks = vec![0u32; lines.of.len() * width];
    for &transaction in order.iter().filter(|transaction| (**transaction as usize) < lines.of.len()) {
        let target = transaction as usize * width;
        for arc in base.causes(transaction) {
            let source = arc.from as usize * width;
            for column in 0..width {
                clocks[target + column] = clocks[target + column].max(clocks[source + column]);
            }
            let (line, place) = lines.of[arc.from as usize];
            if block.contains(&line) {
                let counter = &mut clocks[target + (line - block.start) as usize];
                *counter = (*counter).max(place + 1);
            }
        }
    }
    clocks
}

/// What is known without inference.
struct Base<'a> {
    observations: &'a Observations,
    /// Sessions, reads, and what else is known, by where they lead.
    arcs: Vec<Arc>,
    /// By transaction: where those that lead there begin. The last is where all end.
    into: Vec<u32>,
    vertices: usize,
}

impl<'a> Base<'a> {
    fn new(observations: &'a Observations) -> Self {
        let mut arcs = observations.known.clone();
        for (place, to) in observations.places.iter().zip(0..) {
            let session = &observations.sessions[place.session as usize];
            let before = place.before.checked_sub(1).map(|at| session[at as usize]);
            let from = before.or(observations.initial.filter(|initial| *initial != to));
            arcs.extend(from.map(|from| Arc { from, to, kind: Kind::Session, tag: 0 }));
        }
        for (reads, to) in observations.reads.iter().zip(0..) {
            let read = reads.iter().filter_map(|read| Some((read.writer?, read.object)));
            let others = read.filter(|(from, _)| *from != to);
            arcs.extend(others.map(|(from, tag)| Arc { from, to, kind: Kind::Wr, tag }));
        }
        arcs.sort_by_key(|arc| arc.to);
        let known = observations.known.iter().map(|arc| arc.from.max(arc.to) as usize + 1).max().unwrap_or(0);
        let vertices = observations.places.len().max(known);
        let mut into = Vec::with_capacity(vertices + 1);
        for vertex in 0..=vertices {
            into.push(arcs.partition_point(|arc| (arc.to as usize) < vertex) as u32);
        }
        Self { observations, arcs, into, vertices }
    }

    /// The arcs that lead to a transaction.
    fn arcs_into(&self, to: u32) -> &[Arc] {
        &self.arcs[self.into[to as usize] as usize..self.into[to as usize + 1] as usize]
    }

    /// The arcs by which others are causally before a transaction.
    fn causes(&self, to: u32) -> impl Iterator<Item = &Arc> {
        self.arcs_into(to).iter().filter(|arc| matches!(arc.kind, Kind::Session | Kind::Wr))
    }

    /// All transactions, each after what is before it; `None` if there is a cycle.
    fn sort(&self, inferences: &[Inference]) -> Option<Vec<u32>> {
        let next = self.next(inferences);
        let mut degree = vec![0u32; self.vertices];
        next.iter().flatten().for_each(|to| degree[*to as usize] += 1);
        let ready = (0..self.vertices as u32).filter(|vertex| degree[*vertex as usize] == 0);
        let mut ready: BinaryHeap<Reverse<u32>> = ready.map(Reverse).collect();
        let mut order = Vec::with_capacity(self.vertices);
        while let Some(Reverse(vertex)) = ready.pop() {
            order.push(vertex);
            for to in &next[vertex as usize] {
                degree[*to as usize] -= 1;
                if degree[*to as usize] == 0 {
                    ready.push(Reverse(*to));
                }
            }
        }
        (order.len() == self.vertices).then_some(order)
    }

    /// Who is directly after each transaction.
    fn next(&self, inferences: &[Inference]) -> Vec<Vec<u32>> {
        let mut next = vec![Vec::new(); self.vertices];
        for arc in self.arcs.iter().chain(inferences.iter().map(|inference| &inference.arc)) {
            next[arc.from as usize].push(arc.to);
        }
        next
    }

    /// A short cycle, if there is one.
    fn cycle(&self, inferences: &[Inference], level: Weak) -> Vec<Step> {
        let mut into: Vec<Vec<Step>> = vec![Vec::new(); self.vertices];
        for arc in &self.arcs {
            into[arc.to as usize].push(Step { arc: *arc, inferred: None });
        }
        for Inference { arc, reader } in inferences {
            into[arc.to as usize].push(Step { arc: *arc, inferred: Some((*reader, Vec::new())) });
        }
        // Whoever is before something is kept until nothing is before it: what is left leads back to a cycle.
        let mut degree: Vec<usize> = into.iter().map(Vec::len).collect();
        let next = self.next(inferences);
        let mut free: Vec<u32> = (0..self.vertices as u32).filter(|vertex| degree[*vertex as usize] == 0).collect();
        while let Some(vertex) = free.pop() {
            for to in &next[vertex as usize] {
                degree[*to as usize] -= 1;
                if degree[*to as usize] == 0 {
                    free.push(*to);
                }
            }
        }
        let is_left = |vertex: u32| degree[vertex as usize] > 0;
        let mut at = (0..self.vertices as u32).find(|vertex| is_left(*vertex)).expect("there is a cycle");
        let back = |vertex: u32| {
            let mut steps = into[vertex as usize].iter().map(|step| step.arc.from);
            steps.find(|from| is_left(*from)).expect("what is left is after something that is left")
        };
        for _ in 0..self.vertices {
            at = back(at);
        }
        let mut steps =
            walk(self.vertices, at, at, |vertex| into[vertex as usize].iter().map(|step| (step.arc.from, step)))
                .expect("it is on a cycle");
        steps.reverse();
        let mut cycle: Vec<Step> = steps.into_iter().cloned().collect();
        for step in &mut cycle {
            if let Some((reader, path)) = &mut step.inferred {
                *path = self.visible(step.arc.from, *reader, step.arc.tag, level);
            }
        }
        cycle
    }

    /// How a writer was visible to a reader.
    fn visible(&self, writer: u32, reader: u32, object: u32, level: Weak) -> Vec<Arc> {
        let read = self.causes(reader).find(|arc| arc.from == writer && arc.kind == Kind::Wr && arc.tag != object);
        let read = read.or_else(|| self.causes(reader).find(|arc| arc.from == writer && arc.kind == Kind::Wr));
        if let Some(arc) = read {
            return vec![*arc];
        }
        if level == Weak::ReadAtomic {
            return vec![Arc { from: writer, to: reader, kind: Kind::Session, tag: 0 }];
        }
        let mut path = walk(self.vertices, reader, writer, |vertex| self.causes(vertex).map(|arc| (arc.from, arc)))
            .unwrap_or_default();
        path.reverse();
        path.into_iter().copied().collect()
    }
}

/// The steps of a shortest walk of at least one step; each leads to the vertex beside it.
fn walk<'a, S, I>(vertices: usize, from: u32, to: u32, steps: impl Fn(u32) -> I) -> Option<Vec<&'a S>>
where
    I: Iterator<Item = (u32, &'a S)>,
{
    let mut reached: Vec<Option<(u32, &S)>> = vec![None; vertices];
    let mut queue = VecDeque::from([from]);
    while let Some(vertex) = queue.pop_front() {
        for (next, step) in steps(vertex) {
            if reached[next as usize].is_some() {
                continue;
            }
            reached[next as usize] = Some((vertex, step));
            if next == to {
                let mut path = Vec::new();
                let mut at = to;
                loop {
                    let (before, step) = reached[at as usize]?;
                    path.push(step);
                    at = before;
                    if at == from {
                        path.reverse();
                        return Some(path);
                    }
                }
            }
            queue.push_back(next);
        }
    }
    None
}

#[cfg(test)]
mod tests;
