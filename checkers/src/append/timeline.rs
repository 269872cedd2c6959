//! Whether transactions fit on one timeline, and if not, which cycle keeps them from it.
//!
//! Under strong snapshot isolation every transaction begins (takes its snapshot) and later commits, and
//!
//! * ww and wr, T → U: T committed before U began (for ww since first committer wins);
//! * rw, T → U: T began before U committed;
//! * real time, T → U: T was acknowledged before U was invoked, so T committed before U began.
//!
//! These are edges between events, two for every transaction, and a timeline exists if and only if they form no cycle.
//! Seen as a graph of transactions, such a cycle is one without two rw edges in a row (Fekete et al., "Making snapshot
//! isolation serializable", TODS 2005; Cerone and Gotsman, "Analysing snapshot isolation", JACM 2018), so write skew is
//! none. What nobody read of a list hangs on one more event, a point, which keeps the edges linear in the reads.
//!
//! A historic transaction may begin before its invocation, but commits after it, so what was acknowledged before binds
//! only its commit. What it saw was committed before it was acknowledged all the same, so those invoked later are bound
//! by it like by any other.

use super::search::cycle;
use crate::Violation;
use crate::history::Transaction;

/// A moment: twice a transaction's place in the history is its begin, one more its commit, and higher ones are points.
pub(super) type Event = usize;

/// When a transaction took its snapshot.
pub(super) fn begin(transaction: usize) -> Event {
    2 * transaction
}

/// When a transaction committed.
pub(super) fn commit(transaction: usize) -> Event {
    2 * transaction + 1
}

/// An event that belongs to no transaction.
#[derive(Clone, Copy)]
pub(super) struct Point(Event);

/// Why one event comes before another.
#[derive(Clone, Copy)]
pub(super) enum Why {
    /// A transaction begins before it commits.
    Within,
    /// The second appended next after the first; `unread` if no read shows it.
    Ww { key: u64, before: i64, element: i64, unread: bool },
    /// The second read up to what the first appended.
    Wr { key: u64, element: i64 },
    /// The first read a list without what the second appended next.
    Rw { key: u64, seen: Option<i64>, element: i64 },
    /// The first read all that was ever read of a list; leads to a point before the appends that no read shows.
    End { key: u64, seen: Option<i64> },
    /// The point is before an append that no read shows.
    Unread { element: i64 },
}

/// Two events that are ordered.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) from: Event,
    pub(super) to: Event,
    pub(super) why: Why,
}

/// Transactions and what orders their events.
pub(super) struct Timeline<'a> {
    transactions: &'a [Transaction],
    edges: Vec<Edge>,
    events: usize,
}

impl<'a> Timeline<'a> {
    /// A timeline where each committed transaction begins before it commits, and nothing else is ordered.
    pub(super) fn new(transactions: &'a [Transaction], committed: &[bool]) -> Self {
        let edges = (0..transactions.len())
            .filter(|at| committed[*at])
            .map(|at| Edge { from: begin(at), to: commit(at), why: Why::Within })
            .collect();
        Self { transactions, edges, events: 2 * transactions.len() }
    }

    /// Adds a point.
    pub(super) fn point(&mut self) -> Point {
        self.events += 1;
        Point(self.events - 1)
    }

    /// Adds a ww or wr edge, unless it is from a transaction to itself.
    pub(super) fn depends(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges.push(Edge { from: commit(from), to: begin(to), why });
        }
    }

    /// Adds a rw edge, unless it is from a transaction to itself.
    pub(super) fn misses(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges.push(Edge { from: begin(from), to: commit(to), why });
        }
    }

    /// Adds the first half of rw edges over a point.
    pub(super) fn begins_before(&mut self, from: usize, to: Point, why: Why) {
        self.edges.push(Edge { from: begin(from), to: to.0, why });
    }

    /// Adds the second half of rw edges over a point.
    pub(super) fn commits_after(&mut self, from: Point, to: usize, why: Why) {
        self.edges.push(Edge { from: from.0, to: commit(to), why });
    }

    /// Orders the events, and says how many edges they agree with.
    pub(super) fn fit(mut self) -> Result<u64, Violation> {
        self.edges.sort_by_key(|edge| edge.from);
        match cycle(self.transactions, &self.edges, self.events) {
            Some(cycle) => Err(self.violation(&cycle)),
            None => Ok(self.edges.len() as u64),
        }
    }

    /// Names a cycle. If its edges do not lead back to where they begin, real time does.
    fn violation(&self, cycle: &[usize]) -> Violation {
        let edges: Vec<&Edge> = cycle.iter().map(|edge| &self.edges[*edge]).collect();
        let of = |event: Event| &self.transactions[event / 2];
        let show = |ids: &[u64]| ids.iter().map(|id| format!("T{id}")).collect::<Vec<_>>().join(", ");
        let (mut ids, mut evidence) = (Vec::new(), Vec::new());
        let (mut reads, mut misses) = (0, Vec::new());
        // A hop between two transactions goes over one edge, or over two with a point between them.
        for (at, edge) in edges.iter().enumerate() {
            let (first, kind) = match edge.why {
                Why::Within | Why::End { .. } => continue,
                Why::Unread { .. } => (edges[at - 1], "rw"),
                Why::Rw { .. } => (*edge, "rw"),
                Why::Ww { .. } => (*edge, "ww"),
                Why::Wr { .. } => (*edge, "wr"),
            };
            let (one, two) = (of(first.from).id, of(edge.to).id);
            match kind {
                "rw" => misses.push((one, two)),
                "wr" => reads += 1,
                _ => {}
            }
            ids.push(one);
            evidence.push(format!("T{one} ─{kind}→ T{two}: {}", explain(one, two, first.why, edge.why)));
        }
        let (first, last) = (edges[0].from, edges[edges.len() - 1].to);
        let real_time = first != last;
        if real_time {
            let (one, two) = (of(last), of(first));
            let acknowledged = one.complete.map_or("?".into(), |time| time.to_string());
            ids.push(one.id);
            evidence.push(format!(
                "T{} ─rt→ T{}: T{} was acknowledged at {acknowledged}, before T{} was invoked at {}",
                one.id, two.id, one.id, two.id, two.invoke
            ));
        }
        let (mut anomaly, mut message) = match *misses.as_slice() {
            [] if reads == 0 => ("G0".to_owned(), format!("{} overwrote each other in a cycle", show(&ids))),
            [] => ("G1c".into(), format!("{} each depend on the one before, in a cycle", show(&ids))),
            [(reader, missed)] => {
                ("G-single".into(), format!("T{reader} missed an append of T{missed}, though its snapshot holds it"))
            }
            _ => {
                let readers: Vec<u64> = misses.iter().map(|(reader, _)| *reader).collect();
                ("G-nonadjacent".into(), format!("{} saw commits in orders that contradict", show(&readers)))
            }
        };
        if real_time {
            anomaly.push_str("-realtime");
            message.push_str(", given which transactions were over before others began");
        }
        let at = edges.iter().filter_map(|edge| self.transactions.get(edge.from / 2)?.complete).max();
        Violation { checker: "append", anomaly, message, evidence, at }
    }
}

/// Says how a hop from `one` to `two` is known, over one edge or over two.
fn explain(one: u64, two: u64, first: Why, last: Why) -> String {
    let upto = |seen: Option<i64>| seen.map_or("as empty".into(), |seen| format!("up to {seen}"));
    match (first, last) {
        (Why::Ww { key, before, element, unread: false }, _) => {
            format!("T{two} appended {element} to list {key} right after T{one}'s {before}")
        }
        (Why::Ww { key, before, element, unread: true }, _) => {
            format!("T{two} appended {element} to list {key}, which no read shows, so after T{one}'s {before}")
        }
        (Why::Wr { key, element }, _) => format!("T{two} read list {key} up to T{one}'s {element}"),
        (Why::Rw { key, seen, element }, _) => {
            format!("T{one} read list {key} {}, without T{two}'s {element}", upto(seen))
        }
        (Why::End { key, seen }, Why::Unread { element }) => {
            format!("T{one} read list {key} {}, without T{two}'s {element}, which no read shows", upto(seen))
        }
        (Why::Within | Why::End { .. } | Why::Unread { .. }, _) => unreachable!("no hop between transactions"),
    }
}
