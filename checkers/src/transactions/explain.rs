//! Tells a cycle in words: its name, what happened, and why each edge is there.

use super::anomaly::{Anomaly, Class, Edge, Name, Object, Through, Why};
use super::facts::{Facts, NONE};
use super::graph::{INITIAL, Link, RW, RW_PREDICATE, SESSION, SESSION_COMMIT, SESSIONS, THROUGH, WR, WR_PREDICATE, WW};

impl Facts<'_> {
    /// The edges of a walk, those over points and those along one session joined.
    pub(super) fn edges(&self, links: &[Link]) -> Vec<Edge> {
        let mut edges = Vec::with_capacity(links.len());
        let mut from = NONE;
        for link in links {
            if link.to as usize >= self.history.transactions.len() {
                from = link.from;
                continue;
            }
            let from = if link.label == THROUGH { from } else { link.from };
            if let Some(Edge { to, why: Why::Session, .. }) = edges.last_mut()
                && link.label & SESSIONS != 0
            {
                *to = link.to as usize;
                continue;
            }
            edges.push(Edge { from: from as usize, to: link.to as usize, why: self.why(from, link) });
        }
        edges
    }

    /// The edges of a closed walk, which may have begun within a session.
    pub(super) fn closed(&self, links: &[Link]) -> Vec<Edge> {
        let mut edges = self.edges(links);
        if let [Edge { why: Why::Session, to, .. }, .., Edge { why: Why::Session, .. }] = edges[..] {
            edges.remove(0);
            if let Some(last) = edges.last_mut() {
                last.to = to;
            }
        }
        edges
    }

    fn why(&self, from: u32, link: &Link) -> Why {
        let &Link { to, label, object, version, .. } = link;
        let place = self.objects.get(object as usize).copied();
        let key = match place {
            Some(Object::Row(key) | Object::List(key)) => key,
            None => 0,
        };
        match (label, place) {
            (WW, Some(place)) => {
                let position = self.writes[version as usize].position;
                let versions = &self.versions[object as usize];
                let read = self.reads_of(to).iter().find(|read| read.object == object && read.first);
                let before = match (position, place) {
                    (NONE, Object::List(_)) => versions.order.last().copied(),
                    (NONE, Object::Row(_)) => read.map(|read| read.version),
                    (position, _) => (position as usize).checked_sub(1).map(|before| versions.order[before]),
                };
                let (before, after) = (before.unwrap_or(NONE), self.value_of(version));
                let shown = match place {
                    Object::List(_) => position != NONE,
                    Object::Row(_) => read.is_some_and(|read| read.version == before),
                };
                Why::Ww { object: place, before: self.value_of(before), after, shown }
            }
            (WR, Some(object)) => Why::Wr { object, version: self.value_of(version) },
            (RW | THROUGH, Some(place)) => {
                let mut reads = self.reads_of(from).iter().filter(|read| read.object == object);
                let seen = reads.next().map_or(NONE, |read| read.version);
                let shown = self.writes[version as usize].position != NONE || matches!(place, Object::Row(_));
                Why::Rw { object: place, seen: self.value_of(seen), next: self.value_of(version), shown }
            }
            (WR_PREDICATE, _) => Why::PredicateWr { key, version: self.value_of(version) },
            (RW_PREDICATE, _) => Why::PredicateRw { key, next: self.value_of(version) },
            (INITIAL, _) => Why::Initial,
            (SESSION | SESSION_COMMIT, _) => Why::Session,
            _ => unreachable!("a link has one of the labels, and those of data an object"),
        }
    }

    /// What a cycle of these edges is called.
    pub(super) fn name(edges: &[Edge]) -> Name {
        let labels: Vec<&str> = edges.iter().map(|edge| edge.why.label()).collect();
        let anti = |at: usize| matches!(labels[at % labels.len()], "rw" | "rwp");
        let missed = (0..labels.len()).filter(|at| anti(*at)).count();
        let adjacent = (0..labels.len()).any(|at| anti(at) && anti(at + 1));
        let reads = labels.iter().any(|label| matches!(*label, "wr" | "wrp"));
        let class = match missed {
            0 if reads => Class::G1c,
            0 => Class::G0,
            1 => Class::GSingle,
            _ if adjacent => Class::G2,
            2 if labels.len() == 4 && labels.iter().filter(|label| **label == "wr").count() == 2 => Class::LongFork,
            _ => Class::GNonadjacent,
        };
        let through = if labels.contains(&"rt") {
            Through::RealTime
        } else if labels.contains(&"session") {
            Through::Session
        } else {
            Through::Data
        };
        Name::Cycle { class, predicate: labels.contains(&"rwp"), through }
    }

    /// A cycle as an anomaly. It is turned so that it begins with an anti-dependency, and ends with real time.
    pub(super) fn cycle(&self, name: Name, mut edges: Vec<Edge>) -> Anomaly {
        let key = |edge: &Edge| match edge.why {
            Why::RealTime => 2,
            Why::Rw { .. } | Why::PredicateRw { .. } => 0,
            _ => 1,
        };
        if let Some(time) = edges.iter().position(|edge| edge.why == Why::RealTime) {
            let first = (time + 1) % edges.len();
            edges.rotate_left(first);
        } else {
            let first = (0..edges.len()).min_by_key(|at| (key(&edges[*at]), edges[*at].from)).unwrap_or(0);
            edges.rotate_left(first);
        }
        let evidence = edges.iter().map(|edge| self.sentence(edge)).collect();
        let transactions = edges.iter().map(|edge| edge.from).collect();
        Anomaly { name, message: self.message(name, &edges), evidence, transactions, cycle: edges }
    }

    fn message(&self, name: Name, edges: &[Edge]) -> String {
        let show = |at: usize| self.words.transaction(at as u32);
        let all = |anti: bool| {
            let edges =
                edges.iter().filter(|edge| !anti || matches!(edge.why, Why::Rw { .. } | Why::PredicateRw { .. }));
            edges.map(|edge| show(edge.from)).collect::<Vec<_>>().join(", ")
        };
        let Name::Cycle { class, through, .. } = name else { unreachable!("a cycle is called one") };
        let first = &edges[0];
        let (one, two) = (show(first.from), show(first.to));
        let missed = match edges.iter().find(|edge| matches!(edge.why, Why::Rw { .. } | Why::PredicateRw { .. })) {
            Some(Edge { from, to, why: Why::Rw { object: Object::List(_), .. } }) => {
                format!("{} missed an append of {}", show(*from), show(*to))
            }
            Some(Edge { from, to, .. }) => format!("{} missed a write of {}", show(*from), show(*to)),
            None => format!("{one} missed {two}"),
        };
        let mut message = match class {
            Class::G0 => format!("{} overwrote each other in a cycle", all(false)),
            Class::G1c => format!("{} each depend on the one before, in a cycle", all(false)),
            Class::GMonotonic => format!("{missed}, of which it had seen a write before"),
            Class::FracturedRead => format!("{missed}, of which it saw another write"),
            Class::Causality => format!("{missed}, which it depends on"),
            Class::GSingle => format!("{missed}, though its snapshot holds it"),
            Class::LongFork | Class::GNonadjacent => format!("{} saw commits in orders that contradict", all(true)),
            Class::G2 => format!("{} each missed a write, and no order of all explains that", all(true)),
        };
        message.push_str(match through {
            Through::Data => "",
            Through::Session => ", given in which order clients ran them",
            Through::RealTime => ", given which transactions were over before others began",
        });
        message
    }

    /// `T1 ─ww→ T2:` and why.
    pub(super) fn sentence(&self, edge: &Edge) -> String {
        let (one, two) = (self.words.transaction(edge.from as u32), self.words.transaction(edge.to as u32));
        let label = match edge.why {
            Why::Session => "so",
            _ => edge.why.label(),
        };
        format!("{one} ─{label}→ {two}: {}", self.reason(edge, &one, &two))
    }

    fn reason(&self, edge: &Edge, one: &str, two: &str) -> String {
        let (object, version) = (|object: Object| self.words.object(object), |value| self.words.version(value));
        let row = |key: u64| self.words.object(Object::Row(key));
        let to = &self.history.transactions[edge.to];
        match edge.why {
            Why::Ww { object: place @ Object::List(_), before, after, shown } => {
                let (list, before, after) = (object(place), version(before), version(after));
                if shown {
                    format!("{two} appended {after} to {list} right after {one}'s {before}")
                } else {
                    format!("{two} appended {after} to {list}, which no read shows, so after {one}'s {before}")
                }
            }
            Why::Ww { object: place @ Object::Row(_), before, after, shown } => {
                let (row, before, after) = (object(place), version(before), version(after));
                let why = if shown { ", having read it" } else { "" };
                format!("{two} wrote {after} to {row} over {one}'s {before}{why}")
            }
            Why::Wr { object: place @ Object::List(_), version: element } => {
                format!("{two} read {} up to {one}'s {}", object(place), version(element))
            }
            Why::Wr { object: place @ Object::Row(_), version: value } => {
                format!("{two} read {} as {one}'s {}", object(place), version(value))
            }
            Why::Rw { object: place @ Object::List(_), seen, next, shown } => {
                let (list, next) = (object(place), version(next));
                let seen = seen.map_or("as empty".to_owned(), |seen| format!("up to {}", self.words.value(seen)));
                let unread = if shown { "" } else { ", which no read shows" };
                format!("{one} read {list} {seen}, without {two}'s {next}{unread}")
            }
            Why::Rw { object: place @ Object::Row(_), seen, next, .. } => {
                format!("{one} read {} as {}, before {two} made it {}", object(place), version(seen), version(next))
            }
            Why::PredicateWr { key, version: value } => {
                format!("{two} did not get {}, which is {} since {one}", row(key), version(value))
            }
            Why::PredicateRw { key, next } => {
                format!("{one} did not get {}, which {two} made {}", row(key), version(next))
            }
            Why::Session => format!("client {} ran {one} before {two}", self.client(to.client)),
            Why::RealTime => {
                let end = self.history.transactions[edge.from].complete.map_or("?".to_owned(), |end| end.to_string());
                format!("{one} was acknowledged at {end}, before {two} was invoked at {}", to.invoke)
            }
            Why::Initial => format!("{one} made the initial state"),
        }
    }

    fn client(&self, client: u64) -> String {
        self.history.names.clients.get(&client).cloned().unwrap_or_else(|| client.to_string())
    }
}
