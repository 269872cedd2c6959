//! Events and edges: what a problem looks like as one graph whose cycles are forbidden.
//!
//! For serializability a transaction is one vertex, for snapshot isolation two (begin and commit). The versions of an
//! object fall into chains in which each writer read the version before its own: nobody can come between (that would be
//! a lost update, at either level), so only the order of whole chains is open. The chain that starts at the initial
//! version is always there, possibly without a writer, and is before all others.

use super::{Arc, Isolation, Kind, Object, Order, Problem};

/// The origin of an edge that nothing had to force.
pub(super) const GIVEN: u32 = u32::MAX;

/// What an edge stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// A transaction begins before it commits.
    Within,
    /// An arc between the transactions of its ends. If the edge starts at a gathering vertex, the arc starts at the
    /// transaction from which the path came there.
    Arc(Kind, u32),
    /// A reader of a chain's last version leads to the vertex where all of them meet.
    Gather,
}

/// One edge between events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub from: u32,
    pub to: u32,
    pub label: Label,
    /// What forced it, see `prune`, or [`GIVEN`].
    pub origin: u32,
}

/// Which events there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Events {
    vertices: u32,
    isolation: Isolation,
}

impl Events {
    pub fn begin(self, vertex: u32) -> u32 {
        match self.isolation {
            Isolation::Serializable => vertex,
            Isolation::Snapshot => 2 * vertex,
        }
    }

    pub fn commit(self, vertex: u32) -> u32 {
        match self.isolation {
            Isolation::Serializable => vertex,
            Isolation::Snapshot => 2 * vertex + 1,
        }
    }

    /// The transaction of an event; a gathering vertex has none.
    pub fn vertex(self, node: u32) -> Option<u32> {
        let vertex = match self.isolation {
            Isolation::Serializable => node,
            Isolation::Snapshot => node / 2,
        };
        (vertex < self.vertices).then_some(vertex)
    }

    /// How many events there are, without the gathering vertices that follow them.
    fn count(self) -> u32 {
        match self.isolation {
            Isolation::Serializable => self.vertices,
            Isolation::Snapshot => 2 * self.vertices,
        }
    }

    fn edge(self, arc: &Arc, origin: u32) -> Edge {
        let (from, to) = match arc.kind {
            Kind::Rw => (self.begin(arc.from), self.commit(arc.to)),
            Kind::Ww | Kind::Wr | Kind::Session | Kind::RealTime => (self.commit(arc.from), self.begin(arc.to)),
        };
        Edge { from, to, label: Label::Arc(arc.kind, arc.tag), origin }
    }
}

/// Versions of an object that follow each other directly.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// The versions, as places in [`Object::versions`].
    pub versions: Vec<u32>,
    /// The writers of the first and the last; only the initial chain may have none.
    pub ends: Option<(u32, u32)>,
    /// The event after which every reader of the last version has begun.
    pub last: Option<u32>,
}

/// Rows of bits.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    words: usize,
    bits: Vec<u64>,
}

impl Matrix {
    pub fn new(rows: usize, columns: usize) -> Self {
        let words = columns.div_ceil(64);
        Self { words, bits: vec![0; rows * words] }
    }

    pub fn row(&self, row: usize) -> &[u64] {
        &self.bits[row * self.words..(row + 1) * self.words]
    }

    pub fn get(&self, row: usize, column: usize) -> bool {
        self.bits[row * self.words + column / 64] >> (column % 64) & 1 == 1
    }

    pub fn set(&mut self, row: usize, column: usize) {
        self.bits[row * self.words + column / 64] |= 1 << (column % 64);
    }
}

/// A choice for a read that several versions explain: whether it saw a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sight {
    pub object: u32,
    pub writer: u32,
    pub reader: u32,
    /// Whether only seeing it means anything.
    pub loose: bool,
    /// Once it is known.
    pub seen: Option<bool>,
}

/// The chains of an object, and what is known of their order.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    pub tag: u32,
    /// The first is the initial one.
    pub all: Vec<Chain>,
    /// Row `i` has the chains that are after chain `i`.
    pub after: Matrix,
    /// Row `i` has the chains that are before chain `i`.
    pub before: Matrix,
}

impl Chains {
    /// Whether nothing is known of the order of two chains.
    pub fn is_open(&self, one: usize, other: usize) -> bool {
        one != other && !self.after.get(one, other) && !self.before.get(one, other)
    }

    /// The chains whose order relative to this one is open.
    pub fn open(&self, chain: usize) -> impl Iterator<Item = usize> + '_ {
        let rows = self.after.row(chain).iter().zip(self.before.row(chain));
        let count = self.all.len();
        rows.enumerate().flat_map(move |(at, (after, before))| {
            let mut bits = !(after | before);
            std::iter::from_fn(move || {
                (bits != 0).then(|| {
                    let bit = bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    at * 64 + bit
                })
            })
            .filter(move |other| *other != chain && *other < count)
        })
    }

    /// Notes that chain `i` is before chain `j`.
    pub fn order(&mut self, i: usize, j: usize) {
        self.after.set(i, j);
        self.before.set(j, i);
    }
}

/// A choice of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    /// Whether one chain of an object is before another; true if the first named is.
    Order { object: u32, one: u32, other: u32 },
    /// Whether a read saw a version, by place in [`Graph::sights`].
    Sight { at: u32 },
}

/// The whole of a problem as a graph.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub events: Events,
    pub nodes: u32,
    pub edges: Vec<Edge>,
    pub objects: Vec<Chains>,
    pub sights: Vec<Sight>,
}

/// Why a problem has no graph.
pub(super) enum Obstacle {
    /// Two transactions read the same version of the object with this tag and overwrote it.
    LostUpdate { tag: u32, one: u32, other: u32 },
    /// The pairs of chains of one object are too many to be listed.
    TooMany { chains: usize },
}

/// How many pairs of chains are kept track of, over all objects: at two bits each, 512 MiB.
const PAIRS: usize = 1 << 31;

impl Graph {
    /// Builds the graph of what is known.
    pub fn new(problem: &Problem, isolation: Isolation) -> Result<Self, Obstacle> {
        let events = Events { vertices: problem.vertices, isolation };
        let mut edges = Vec::with_capacity(problem.known.len() + problem.vertices as usize);
        if isolation == Isolation::Snapshot {
            let within = |vertex| Edge {
                from: events.begin(vertex),
                to: events.commit(vertex),
                label: Label::Within,
                origin: GIVEN,
            };
            edges.extend((0..problem.vertices).map(within));
        }
        edges.extend(problem.known.iter().map(|arc| events.edge(arc, GIVEN)));
        let mut graph = Self { events, nodes: events.count(), edges, objects: Vec::new(), sights: Vec::new() };
        let mut pairs = 0;
        for object in &problem.objects {
            let chains = graph.chains(object)?;
            pairs += chains.len() * chains.len();
            if pairs > PAIRS {
                return Err(Obstacle::TooMany { chains: chains.len() });
            }
            let after = Matrix::new(chains.len(), chains.len());
            graph.sights(object);
            graph.objects.push(Chains { tag: object.tag, before: after.clone(), after, all: chains });
        }
        graph.sights.sort_unstable();
        graph.sights.dedup();
        Ok(graph)
    }

    /// How many choices are open.
    pub fn open(&self) -> usize {
        let pairs = self
            .objects
            .iter()
            .map(|object| (0..object.all.len()).map(|chain| object.open(chain).count()).sum::<usize>() / 2);
        pairs.sum::<usize>() + self.sights.iter().filter(|sight| sight.seen.is_none()).count()
    }

    fn add(&mut self, from: u32, to: u32, kind: Kind, tag: u32) {
        if from != to {
            self.edges.push(self.events.edge(&Arc { from, to, kind, tag }, GIVEN));
        }
    }

    /// Splits the versions into chains, and adds the edges of all that is certain about them.
    fn chains(&mut self, object: &Object) -> Result<Vec<Chain>, Obstacle> {
        let tag = object.tag;
        let mut by_writer: Vec<(u32, u32)> =
            object.versions.iter().zip(0..).map(|(version, at)| (version.writer, at)).collect();
        by_writer.sort_unstable();
        assert!(by_writer.windows(2).all(|pair| pair[0].0 != pair[1].0), "one version a writer");
        let version_of = |writer| by_writer.binary_search_by_key(&writer, |pair| pair.0).ok().map(|at| by_writer[at].1);

        // Who read a version and overwrote it, by version; the last place is for the initial version.
        let count = object.versions.len();
        let mut next: Vec<Option<u32>> = vec![None; count + 1];
        let mut has_previous = vec![false; count];
        let initial = (count, &object.initial);
        let versions = object.versions.iter().map(|version| &version.readers).enumerate();
        for (at, readers) in versions.chain([initial]) {
            let writer = object.versions.get(at).map(|version| version.writer);
            for &reader in readers {
                if let Some(writer) = writer {
                    self.add(writer, reader, Kind::Wr, tag);
                }
                let Some(own) = version_of(reader).filter(|own| *own as usize != at && next[at] != Some(*own)) else {
                    continue;
                };
                if let Some(first) = next[at].replace(own) {
                    let one = object.versions[first as usize].writer;
                    return Err(Obstacle::LostUpdate { tag, one, other: reader });
                }
                has_previous[own as usize] = true;
            }
        }

        let heads = (0..count as u32).filter(|at| !has_previous[*at as usize]);
        let starts = std::iter::once(count as u32).chain(heads);
        let mut chains = Vec::new();
        for start in starts {
            let mut versions = Vec::new();
            let mut at = start;
            loop {
                if (at as usize) < count {
                    versions.push(at);
                }
                let Some(following) = next[at as usize] else { break };
                self.follow(object, at, following);
                at = following;
            }
            let writer = |at: &u32| object.versions[*at as usize].writer;
            let ends = versions.first().map(writer).zip(versions.last().map(writer));
            let last = self.gather(object, at, ends.map(|ends| ends.1));
            chains.push(Chain { versions, ends, last });
        }
        Ok(chains)
    }

    /// Adds the edges from a version and its readers to the writer that read and overwrote it.
    fn follow(&mut self, object: &Object, version: u32, next: u32) {
        let writer = object.versions[next as usize].writer;
        let (previous, readers) = readers_of(object, version);
        if let Some(previous) = previous {
            self.add(previous, writer, Kind::Ww, object.tag);
        }
        for &reader in readers {
            self.add(reader, writer, Kind::Rw, object.tag);
        }
    }

    /// The event after which all readers of a version have begun.
    fn gather(&mut self, object: &Object, version: u32, writer: Option<u32>) -> Option<u32> {
        let readers = || readers_of(object, version).1.iter().copied().filter(|reader| Some(*reader) != writer);
        let first = readers().next()?;
        if readers().all(|reader| reader == first) {
            return Some(self.events.begin(first));
        }
        let meeting = self.nodes;
        self.nodes += 1;
        for reader in readers() {
            let from = self.events.begin(reader);
            self.edges.push(Edge { from, to: meeting, label: Label::Gather, origin: GIVEN });
        }
        Some(meeting)
    }

    /// Opens the question, for each read that several versions explain, which versions were there when it read.
    fn sights(&mut self, object: &Object) {
        let place = self.objects.len() as u32;
        for unsure in &object.unsure {
            let others = object.versions.iter().filter(|version| version.writer != unsure.reader);
            self.sights.extend(others.map(|version| Sight {
                object: place,
                writer: version.writer,
                reader: unsure.reader,
                loose: unsure.loose,
                seen: None,
            }));
        }
    }

    /// The edges that hold if chain `i` of an object is before chain `j`.
    pub fn ordered(&self, object: usize, i: usize, j: usize, origin: u32) -> impl Iterator<Item = Edge> + use<> {
        let Chains { tag, all, .. } = &self.objects[object];
        let (head, _) = all[j].ends.expect("only the initial chain has no writer, and nothing is before it");
        let (tag, to) = (*tag, self.events.commit(head));
        let overwrite =
            all[i].ends.map(|(_, tail)| self.events.edge(&Arc { from: tail, to: head, kind: Kind::Ww, tag }, origin));
        let unread = all[i].last.map(|from| Edge { from, to, label: Label::Arc(Kind::Rw, tag), origin });
        overwrite.into_iter().chain(unread)
    }

    /// The edges that hold if a choice is made one way.
    pub fn chosen(&self, choice: Choice, way: bool, origin: u32) -> Vec<Edge> {
        match choice {
            Choice::Order { object, one, other } => {
                let (first, second) = if way { (one, other) } else { (other, one) };
                self.ordered(object as usize, first as usize, second as usize, origin).collect()
            }
            Choice::Sight { at } => self.sighted(&self.sights[at as usize], way, origin).into_iter().collect(),
        }
    }

    /// What a choice says, for people: the object's tag and the order.
    pub fn describe(&self, choice: Choice, way: bool) -> (u32, Order) {
        match choice {
            Choice::Order { object, one, other } => {
                let (first, second) = if way { (one, other) } else { (other, one) };
                let Chains { tag, all, .. } = &self.objects[object as usize];
                let ends = all[first as usize].ends.zip(all[second as usize].ends);
                let ((_, tail), (head, _)) = ends.expect("the initial chain is before all others, without a choice");
                (*tag, Order::Before(tail, head))
            }
            Choice::Sight { at } => {
                let Sight { object, writer, reader, .. } = self.sights[at as usize];
                let tag = self.objects[object as usize].tag;
                (tag, if way { Order::Seen(writer, reader) } else { Order::Unseen(writer, reader) })
            }
        }
    }

    /// The edge that holds if a read saw a version, or did not.
    pub fn sighted(&self, sight: &Sight, seen: bool, origin: u32) -> Option<Edge> {
        let tag = self.objects[sight.object as usize].tag;
        let arc = if seen {
            Arc { from: sight.writer, to: sight.reader, kind: Kind::Wr, tag }
        } else {
            Arc { from: sight.reader, to: sight.writer, kind: Kind::Rw, tag }
        };
        (seen || !sight.loose).then(|| self.events.edge(&arc, origin))
    }
}

/// Who wrote and who read a version, where one past the last stands for the initial version.
fn readers_of(object: &Object, version: u32) -> (Option<u32>, &[u32]) {
    match object.versions.get(version as usize) {
        Some(version) => (Some(version.writer), &version.readers),
        None => (None, &object.initial),
    }
}
