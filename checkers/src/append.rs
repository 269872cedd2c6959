//! Strong snapshot isolation, judged from list-append histories alone.
//!
//! After Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020), with
//! Adya's names. A list shows the order in which its elements were written, and every element tells its writer, so the
//! reads alone give the dependencies between transactions: who wrote after whom (ww), read from whom (wr), and read
//! what somebody then overwrote (rw). Positions that the database reports are ignored: it may lie about them.
//!
//! First come single observations that no snapshot could give, then cycles of dependencies. With the two moments of a
//! transaction, its start (the snapshot) and its commit, every dependency puts one moment before another: ww and wr the
//! writer's commit before the other's start (two writers of a key are never concurrent under snapshot isolation), rw
//! the reader's start before the other's commit, and real time a completion before what is invoked after it. A history
//! is impossible exactly if moments precede each other in a circle (Fekete et al., "Making Snapshot Isolation
//! Serializable", 2005; Cerone and Gotsman, "Analysing Snapshot Isolation", 2018). Write skew makes no circle.
//!
//! Of a transaction of unknown outcome nothing is taken until one of its elements is seen: then it has committed, and
//! what it read is as good as any other read. Appends of unknown outcome that nobody saw may not exist.

mod graph;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Micro, Outcome, Transaction, ambiguous_append};
use crate::{Verdict, Violation};
use graph::{Edge, Graph};

/// A list and one of its elements.
type Element = (u64, i64);

/// Checks the lists that transactions read against strong snapshot isolation. A transaction that asked for a historic
/// snapshot is not bound to see what was acknowledged before it.
///
/// Gives up on a history where an element was appended to a list more than once, since reads do not tell whose it is.
pub fn check(transactions: &[Transaction]) -> Verdict {
    if let Some(reason) = ambiguous_append(transactions) {
        return Verdict::GaveUp { reason, comparisons: 0 };
    }
    let mut check = Check::new(transactions);
    match check.run() {
        Ok(()) => Verdict::Pass { comparisons: check.comparisons },
        Err(violation) => Verdict::Fail(violation),
    }
}

struct Check<'a> {
    transactions: &'a [Transaction],
    /// Who appended each element, as a place in the history.
    writers: BTreeMap<Element, usize>,
    /// Elements after which their transaction appended more to the same list, with what it appended next.
    intermediate: BTreeMap<Element, i64>,
    /// What each transaction saw of each list when it first read it, without its own appends.
    reads: Vec<BTreeMap<u64, Vec<i64>>>,
    /// Whether each transaction is known to have committed.
    committed: Vec<bool>,
    /// The longest read of each list, which all others begin.
    orders: BTreeMap<u64, Vec<i64>>,
    comparisons: u64,
}

impl<'a> Check<'a> {
    fn new(transactions: &'a [Transaction]) -> Self {
        let (mut writers, mut intermediate) = (BTreeMap::new(), BTreeMap::new());
        for (at, transaction) in transactions.iter().enumerate() {
            let mut last = BTreeMap::new();
            for micro in &transaction.operations {
                if let &Micro::Append { key, element } = micro {
                    writers.insert((key, element), at);
                    intermediate.extend(last.insert(key, element).map(|earlier| ((key, earlier), element)));
                }
            }
        }
        let committed = transactions.iter().map(|transaction| transaction.outcome == Outcome::Ok).collect();
        Self {
            transactions,
            writers,
            intermediate,
            reads: vec![BTreeMap::new(); transactions.len()],
            committed,
            orders: BTreeMap::new(),
            comparisons: 0,
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        for at in 0..self.transactions.len() {
            if self.transactions[at].outcome != Outcome::Failed {
                self.internal(at)?;
            }
        }
        self.find_committed();
        for at in 0..self.transactions.len() {
            if self.committed[at] {
                self.external(at)?;
            }
        }
        self.lost_updates()?;
        self.cycles()
    }

    /// A transaction sees its own appends, in their place, and else one unchanging state of each list.
    fn internal(&mut self, at: usize) -> Result<(), Violation> {
        let transaction = &self.transactions[at];
        let mut own: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for micro in &transaction.operations {
            match micro {
                Micro::Append { key, element } => own.entry(*key).or_default().push(*element),
                Micro::ReadList { key, elements } => {
                    self.comparisons += 1;
                    let own = own.get(key).map_or(&[][..], Vec::as_slice);
                    let Some(base) = elements.strip_suffix(own) else {
                        let message = format!(
                            "T{} read list {key} as {elements:?} after it had appended {own:?}",
                            transaction.id
                        );
                        return Err(violation("internal", message, [transaction]));
                    };
                    let first = self.reads[at].entry(*key).or_insert_with(|| base.to_vec());
                    if first != base {
                        let message = format!(
                            "T{} read list {key} as {base:?}, and before that as {first:?} (its own appends left out)",
                            transaction.id
                        );
                        return Err(violation("internal", message, [transaction]));
                    }
                }
                Micro::Read { .. } | Micro::Write { .. } => {}
            }
        }
        Ok(())
    }

    /// Transactions of unknown outcome have committed if somebody who has saw an element of theirs.
    fn find_committed(&mut self) {
        let mut news: Vec<usize> = (0..self.transactions.len()).filter(|&at| self.committed[at]).collect();
        while let Some(reader) = news.pop() {
            for (&key, elements) in &self.reads[reader] {
                for &element in elements {
                    if let Some(&writer) = self.writers.get(&(key, element))
                        && self.transactions[writer].outcome == Outcome::Unknown
                        && !std::mem::replace(&mut self.committed[writer], true)
                    {
                        news.push(writer);
                    }
                }
            }
        }
    }

    /// What a transaction saw of others was appended, once, by somebody who did not fail, and is a beginning of what
    /// everybody else saw.
    fn external(&mut self, at: usize) -> Result<(), Violation> {
        let transaction = &self.transactions[at];
        let name = transaction.id;
        for (&key, elements) in &self.reads[at] {
            let mut seen = BTreeSet::new();
            for &element in elements {
                self.comparisons += 1;
                if !seen.insert(element) {
                    let message = format!("T{name} read {element} twice in list {key}: {elements:?}");
                    return Err(violation("duplicate-elements", message, [transaction]));
                }
                let Some(&writer) = self.writers.get(&(key, element)) else {
                    let message = format!("T{name} read {element} in list {key}, which nobody appended");
                    return Err(violation("garbage-read", message, [transaction]));
                };
                let writer = &self.transactions[writer];
                if writer.id == name {
                    let message = format!("T{name} read {element} in list {key} before it appended it");
                    return Err(violation("future-read", message, [transaction]));
                }
                if writer.outcome == Outcome::Failed {
                    let message =
                        format!("T{name} read {element} in list {key}, which T{} appended and failed", writer.id);
                    return Err(violation("G1a", message, [writer, transaction]));
                }
            }
            for (place, &element) in elements.iter().enumerate() {
                if let Some(next) = self.intermediate.get(&(key, element))
                    && elements.get(place + 1) != Some(next)
                {
                    let writer = &self.transactions[self.writers[&(key, element)]];
                    let message = format!(
                        "T{name} read {element} in list {key} without {next}, which T{} appended next",
                        writer.id
                    );
                    return Err(violation("G1b", message, [writer, transaction]));
                }
            }
            let order = self.orders.entry(key).or_default();
            if !order.starts_with(elements) {
                if !elements.starts_with(order) {
                    let message =
                        format!("T{name} read list {key} as {elements:?}, and another transaction as {order:?}");
                    return Err(violation("incompatible-order", message, [transaction]));
                }
                order.clone_from(elements);
            }
        }
        Ok(())
    }

    /// No two transactions append to the same list after they saw the same state of it.
    fn lost_updates(&mut self) -> Result<(), Violation> {
        let mut updaters: BTreeMap<(u64, usize), usize> = BTreeMap::new();
        for (at, transaction) in self.transactions.iter().enumerate().filter(|&(at, _)| self.committed[at]) {
            let appended = transaction.operations.iter().filter_map(|micro| match micro {
                Micro::Append { key, .. } => Some(*key),
                _ => None,
            });
            for key in appended.collect::<BTreeSet<u64>>() {
                let Some(elements) = self.reads[at].get(&key) else { continue };
                self.comparisons += 1;
                if let Some(other) = updaters.insert((key, elements.len()), at) {
                    let other = &self.transactions[other];
                    let message = format!(
                        "T{} and T{} both read list {key} as {elements:?}, and both appended to it",
                        other.id, transaction.id
                    );
                    return Err(violation("lost-update", message, [other, transaction]));
                }
            }
        }
        Ok(())
    }

    /// No moments precede each other in a circle.
    fn cycles(&mut self) -> Result<(), Violation> {
        let graph = self.graph();
        self.comparisons += graph.edges();
        let Some(cycle) = graph.worst_cycle() else { return Ok(()) };
        let names: Vec<String> = cycle.steps.iter().map(|&(from, _, _)| self.name(from)).collect();
        let message = format!("{} depend on each other in a circle", names.join(", "));
        let mut evidence: Vec<String> =
            cycle.steps.iter().map(|&(from, edge, to)| self.explain(from, edge, to)).collect();
        evidence.extend(cycle.steps.iter().map(|&(from, _, _)| show(&self.transactions[from])));
        Err(Violation { checker: "append", anomaly: cycle.class(), message, evidence, at: None })
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new(self.transactions.len());
        let read: BTreeSet<Element> =
            self.orders.iter().flat_map(|(&key, order)| order.iter().map(move |&element| (key, element))).collect();
        let mut unread: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
        for (&element, &writer) in self.writers.iter().filter(|&(element, _)| !read.contains(element)) {
            if self.committed[writer] {
                unread.entry(element.0).or_default().insert(writer);
            }
        }
        let mut ends = BTreeMap::new();
        for (&key, order) in &self.orders {
            let writers: Vec<usize> = order.iter().map(|&element| self.writers[&(key, element)]).collect();
            for pair in writers.windows(2).filter(|pair| pair[0] != pair[1]) {
                graph.write_write(pair[0], pair[1], key);
            }
            if let Some(unread) = unread.get(&key) {
                // What is committed and in no read comes after the longest one.
                ends.insert(key, graph.before_commits(unread));
                if let Some(&last) = writers.last() {
                    for &writer in unread {
                        graph.write_write(last, writer, key);
                    }
                }
            }
        }
        for (at, reads) in self.reads.iter().enumerate().filter(|&(at, _)| self.committed[at]) {
            for (key, elements) in reads {
                if let Some(last) = elements.last() {
                    graph.write_read(self.writers[&(*key, *last)], at, *key);
                }
                match self.orders[key].get(elements.len()) {
                    Some(next) if self.writers[&(*key, *next)] != at => {
                        graph.read_write(at, self.writers[&(*key, *next)], *key);
                    }
                    // After its own append there is an edge between writers, which says more.
                    Some(_) => {}
                    None => {
                        if let Some(&end) = ends.get(key) {
                            graph.read_before(at, end, *key);
                        }
                    }
                }
            }
        }
        let committed = self.transactions.iter().enumerate().filter(|&(at, _)| self.committed[at]);
        graph.real_time(committed.map(|(at, transaction)| {
            // A historic snapshot can be of any age; but it is older than any that is asked for later.
            (at, (!transaction.historic).then_some(transaction.invoke), transaction.acknowledged())
        }));
        graph
    }

    fn name(&self, at: usize) -> String {
        format!("T{}", self.transactions[at].id)
    }

    /// The observation behind an edge.
    fn explain(&self, from: usize, edge: Edge, to: usize) -> String {
        let (one, other) = (self.name(from), self.name(to));
        let appended = |at: usize, key: u64| {
            let elements = self.transactions[at].operations.iter().filter_map(move |micro| match *micro {
                Micro::Append { key: list, element } if list == key => Some(element.to_string()),
                _ => None,
            });
            elements.collect::<Vec<_>>().join(", ")
        };
        match edge {
            Edge::WriteWrite(key) => format!(
                "{one} ─ww→ {other}: {other} appended {} to list {key} after {one}'s {}",
                appended(to, key),
                appended(from, key)
            ),
            Edge::WriteRead(key) => {
                format!("{one} ─wr→ {other}: {other} read list {key} with {one}'s {}", appended(from, key))
            }
            Edge::ReadWrite(key) => {
                format!("{one} ─rw→ {other}: {one} read list {key} without {other}'s {}", appended(to, key))
            }
            Edge::RealTime => format!(
                "{one} ─rt→ {other}: {one} was over at {} ns, before {other} began at {} ns",
                self.transactions[from].complete.unwrap_or_default(),
                self.transactions[to].invoke
            ),
        }
    }
}

fn show(transaction: &Transaction) -> String {
    let Transaction { id, client, invoke, complete, outcome, operations, .. } = transaction;
    let complete = complete.map_or("?".to_string(), |time| time.to_string());
    format!("T{id} of client {client} [{invoke}, {complete}] {outcome:?}: {operations:?}")
}

fn violation<'a>(anomaly: &str, message: String, transactions: impl IntoIterator<Item = &'a Transaction>) -> Violation {
    let evidence = transactions.into_iter().map(show).collect();
    Violation { checker: "append", anomaly: anomaly.into(), message, evidence, at: None }
}
