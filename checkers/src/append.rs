//! Strong snapshot isolation, judged from lists and appends alone.
//!
//! Elements are unique, so a list that was read tells which appends came before it and in which order. From that the
//! checker infers, for every list, which transaction appended after which (ww), read from which (wr), and read a state
//! without the append of which (rw), and asks whether all of them fit on one `timeline` (Kingsbury & Alvaro, "Elle",
//! VLDB 2020; names of anomalies after Adya). Commit positions that the database reports play no part. Rows are not
//! judged; the `snapshot` checker does so.
//!
//! Only transactions that certainly committed say anything: those that were acknowledged, and those of unknown outcome
//! of which one of the former read an element, since what is read was committed. The reads of the latter count as well:
//! they were answered before the commit was lost, and it is the whole transaction that committed. If nobody saw it, it
//! may have aborted, and neither its appends nor its reads mean anything. That its appends are read nowhere does not
//! say either that it aborted, so it makes no edge. The appends of a committed transaction which no read shows stand
//! after all that were read, in an order among each other that is left open.

mod search;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use timeline::{Point, Timeline, Why};

use crate::history::{Micro, Outcome, Transaction, ambiguous_append};
use crate::{Verdict, Violation};

/// Checks that lists were read and appended to under strong snapshot isolation.
///
/// A transaction that asked for a historic snapshot need not see what was acknowledged before it, and is bound by all
/// else. Gives up on a history where an element was appended to a list more than once.
pub fn check(transactions: &[Transaction]) -> Verdict {
    if let Some(reason) = ambiguous_append(transactions) {
        return Verdict::GaveUp { reason, comparisons: 0 };
    }
    match judge(transactions) {
        Ok(comparisons) => Verdict::Pass { comparisons },
        Err(violation) => Verdict::Fail(violation),
    }
}

/// How many reads and edges agree.
fn judge(transactions: &[Transaction]) -> Result<u64, Violation> {
    let mut inference = Inference::new(transactions);
    inference.observe()?;
    Ok(inference.compared + inference.timeline()?.fit()?)
}

/// One append.
struct Append {
    /// Its transaction's place in the history.
    writer: usize,
    /// What the transaction appended to this list just before it.
    previous: Option<i64>,
    /// Whether the transaction appended nothing to this list after it.
    last: bool,
    /// Where it stands in the list, once it was read.
    position: Option<usize>,
}

/// What is known of one list: the longest prefix of it that was read.
#[derive(Default)]
struct List<'a> {
    elements: &'a [i64],
    /// Who appended each.
    writers: Vec<usize>,
    /// Who read that far first.
    reader: usize,
    /// The appends of committed transactions that nobody read.
    unread: Vec<(usize, i64)>,
    /// The moment before these, and after whoever read the list to its end.
    end: Option<Point>,
}

/// What a committed transaction read of a list before its own appends: one version, however often it read it.
struct Read<'a> {
    reader: usize,
    key: u64,
    /// All that the first read returned.
    elements: &'a [i64],
    /// How many of these the transaction did not append itself.
    version: usize,
    /// The first element that the transaction itself appends to the list.
    own: Option<i64>,
}

/// What follows from the reads of committed transactions.
struct Inference<'a> {
    transactions: &'a [Transaction],
    /// By list and element.
    appends: BTreeMap<(u64, i64), Append>,
    lists: BTreeMap<u64, List<'a>>,
    /// By place in the history: whether the transaction certainly committed.
    committed: Vec<bool>,
    reads: Vec<Read<'a>>,
    compared: u64,
}

impl<'a> Inference<'a> {
    fn new(transactions: &'a [Transaction]) -> Self {
        let mut appends: BTreeMap<(u64, i64), Append> = BTreeMap::new();
        let mut latest = BTreeMap::new();
        for (writer, transaction) in transactions.iter().enumerate() {
            latest.clear();
            for micro in &transaction.operations {
                if let Micro::Append { key, element } = micro {
                    let previous = latest.insert(*key, *element);
                    if let Some(append) = previous.and_then(|previous| appends.get_mut(&(*key, previous))) {
                        append.last = false;
                    }
                    appends.insert((*key, *element), Append { writer, previous, last: true, position: None });
                }
            }
        }
        Self {
            transactions,
            appends,
            lists: BTreeMap::new(),
            committed: transactions.iter().map(|transaction| transaction.outcome == Outcome::Ok).collect(),
            reads: Vec::new(),
            compared: 0,
        }
    }

    /// Takes in what every committed transaction read, and finds which those are.
    fn observe(&mut self) -> Result<(), Violation> {
        let mut queue: Vec<usize> = (0..self.transactions.len()).filter(|at| self.committed[*at]).collect();
        let mut next = 0;
        while let Some(&reader) = queue.get(next) {
            next += 1;
            let first = self.reads.len();
            self.internal(reader)?;
            for at in first..self.reads.len() {
                self.extend(at, &mut queue)?;
            }
        }
        Ok(())
    }

    /// Holds the reads of one transaction against each other and its own appends.
    fn internal(&mut self, reader: usize) -> Result<(), Violation> {
        let transaction = &self.transactions[reader];
        // By list: what it appended so far, and where its first read is.
        let mut known: BTreeMap<u64, (Vec<i64>, Option<usize>)> = BTreeMap::new();
        for micro in &transaction.operations {
            match micro {
                Micro::Append { key, element } => {
                    let (own, read) = known.entry(*key).or_default();
                    own.push(*element);
                    if let Some(read) = *read {
                        self.reads[read].own.get_or_insert(*element);
                    }
                }
                Micro::ReadList { key, elements } => {
                    self.compared += 1;
                    let (own, read) = known.entry(*key).or_default();
                    let Some(external) = elements.strip_suffix(own.as_slice()) else {
                        let message = format!("T{} appended {own:?} to list {key} and did not read it", transaction.id);
                        return Err(violation(
                            "internal",
                            message,
                            transaction,
                            vec![shows(transaction, *key, elements)],
                        ));
                    };
                    if let Some(first) = *read {
                        let first = &self.reads[first];
                        if external != &first.elements[..first.version] {
                            let message = format!("T{} read list {key} twice and saw it change", transaction.id);
                            let evidence =
                                vec![shows(transaction, *key, first.elements), shows(transaction, *key, elements)];
                            return Err(violation("internal", message, transaction, evidence));
                        }
                    } else {
                        *read = Some(self.reads.len());
                        let (version, own) = (external.len(), own.first().copied());
                        self.reads.push(Read { reader, key: *key, elements, version, own });
                    }
                }
                Micro::Read { .. } | Micro::Write { .. } | Micro::ReadRows { .. } => {}
            }
        }
        Ok(())
    }

    /// Holds one read against the longest one of its list, which it may become itself.
    fn extend(&mut self, read: usize, queue: &mut Vec<usize>) -> Result<(), Violation> {
        let &Read { reader, key, elements, version, .. } = &self.reads[read];
        let elements = &elements[..version];
        let list = self.lists.entry(key).or_default();
        let common = list.elements.len().min(version);
        if list.elements[..common] != elements[..common] {
            let (longest, other) = (list.elements, list.reader);
            let same = longest.iter().zip(elements).take_while(|(one, other)| one == other).count();
            self.authors(read, same)?;
            let [one, two] = [other, reader].map(|at| &self.transactions[at]);
            let message = format!("T{} and T{} saw list {key} in different orders", one.id, two.id);
            let evidence = vec![shows(one, key, longest), shows(two, key, elements)];
            return Err(violation("incompatible-order", message, two, evidence));
        }
        if common == version {
            return Ok(());
        }
        let authors = self.authors(read, common)?;
        let list = self.lists.entry(key).or_default();
        (list.elements, list.reader) = (elements, reader);
        for (position, writer) in (common..).zip(&authors) {
            if let Some(append) = self.appends.get_mut(&(key, elements[position])) {
                append.position = Some(position);
            }
            if !self.committed[*writer] {
                self.committed[*writer] = true;
                queue.push(*writer);
            }
        }
        list.writers.extend(authors);
        Ok(())
    }

    /// Who appended the elements of a read from the place `from`, up to which it agrees with the longest one.
    fn authors(&self, read: usize, from: usize) -> Result<Vec<usize>, Violation> {
        let &Read { reader, key, elements, version, .. } = &self.reads[read];
        let (transaction, elements) = (&self.transactions[reader], &elements[..version]);
        let name = transaction.id;
        let mut seen = BTreeSet::new();
        let mut authors = Vec::with_capacity(version - from);
        for (position, element) in elements.iter().enumerate().skip(from) {
            let Some(append) = self.appends.get(&(key, *element)) else {
                let message = format!("T{name} read {element} in list {key}, which nobody appended");
                return Err(violation("garbage-read", message, transaction, vec![shows(transaction, key, elements)]));
            };
            let writer = &self.transactions[append.writer];
            if writer.outcome == Outcome::Failed {
                let mut evidence = vec![
                    format!("T{} appended {element} to list {key} and failed", writer.id),
                    shows(transaction, key, elements),
                ];
                let over = elements[position..].iter().find_map(|element| {
                    let by = &self.transactions[self.appends.get(&(key, *element))?.writer];
                    (by.outcome != Outcome::Failed).then_some((by.id, *element))
                });
                let (anomaly, message) = match over {
                    Some((by, element)) => {
                        evidence.insert(1, format!("T{by} appended {element} after it"));
                        ("dirty-update", format!("T{by} updated list {key} on top of T{}, which failed", writer.id))
                    }
                    None => ("G1a", format!("T{name} read an append of T{} to list {key}, which failed", writer.id)),
                };
                return Err(violation(anomaly, message, transaction, evidence));
            }
            if append.position.is_some_and(|position| position < from) || !seen.insert(*element) {
                let message = format!("T{name} read {element} twice in list {key}");
                return Err(violation(
                    "duplicate-elements",
                    message,
                    transaction,
                    vec![shows(transaction, key, elements)],
                ));
            }
            authors.push(append.writer);
        }
        Ok(authors)
    }

    /// Infers who came before whom.
    fn timeline(&mut self) -> Result<Timeline<'a>, Violation> {
        let mut timeline = Timeline::new(self.transactions, &self.committed);
        for (&(key, element), append) in &self.appends {
            if !self.committed[append.writer] {
                continue;
            }
            let before = append.previous.and_then(|previous| self.appends.get(&(key, previous)));
            match append.position {
                None => self.lists.entry(key).or_default().unread.push((append.writer, element)),
                Some(position) => {
                    if let (Some(previous), Some(before)) = (append.previous, before)
                        && before.position.is_none_or(|before| before > position)
                    {
                        let (list, name) = (&self.lists[&key], self.transactions[append.writer].id);
                        let reader = &self.transactions[list.reader];
                        let message = format!("T{name} appended {previous} to list {key} before {element}");
                        let evidence = vec![message.clone(), shows(reader, key, list.elements)];
                        let message = format!("{message}, but the list does not have it there");
                        return Err(violation("incompatible-order", message, reader, evidence));
                    }
                }
            }
        }
        for (&key, list) in &mut self.lists {
            for (at, pair) in list.writers.windows(2).enumerate() {
                let (before, element) = (list.elements[at], list.elements[at + 1]);
                timeline.depends(pair[0], pair[1], Why::Ww { key, before, element, unread: false });
            }
            if list.unread.is_empty() {
                continue;
            }
            let end = *list.end.insert(timeline.point());
            for &(writer, element) in &list.unread {
                timeline.commits_after(end, writer, Why::Unread { element });
                if let (Some(&before), Some(&last)) = (list.elements.last(), list.writers.last()) {
                    timeline.depends(last, writer, Why::Ww { key, before, element, unread: true });
                }
            }
        }
        let mut updates = BTreeMap::new();
        for read in &self.reads {
            let &Read { reader, key, elements, version, own } = read;
            let (list, transaction) = (&self.lists[&key], &self.transactions[reader]);
            let seen = version.checked_sub(1).map(|last| (list.elements[last], list.writers[last]));
            if let Some(own) = own {
                if self.appends[&(key, own)].position.is_some_and(|position| position < version) {
                    let name = transaction.id;
                    let (anomaly, message) = if version < elements.len() {
                        ("duplicate-elements", format!("T{name} read its {own} in list {key} twice"))
                    } else {
                        ("future-read", format!("T{name} read {own} in list {key} before it appended it"))
                    };
                    return Err(violation(anomaly, message, transaction, vec![shows(transaction, key, elements)]));
                }
                if let Some(other) = updates.insert((key, version), reader) {
                    let [one, two] = [other, reader].map(|at| &self.transactions[at]);
                    let message = format!("T{} and T{} updated the same version of list {key}", one.id, two.id);
                    let evidence = [(one, two), (two, one)].map(|(by, other)| {
                        format!("{}, then appended to it, as T{} did", shows(by, key, &elements[..version]), other.id)
                    });
                    return Err(violation("lost-update", message, two, evidence.to_vec()));
                }
            }
            if let Some((element, writer)) = seen {
                if !self.appends[&(key, element)].last {
                    let (name, writer) = (transaction.id, self.transactions[writer].id);
                    let message = format!("T{name} read list {key} in the middle of the appends of T{writer}");
                    let evidence = vec![
                        format!("T{writer} appended more to list {key} after {element}"),
                        shows(transaction, key, elements),
                    ];
                    return Err(violation("G1b", message, transaction, evidence));
                }
                timeline.depends(writer, reader, Why::Wr { key, element });
            }
            let seen = seen.map(|(element, _)| element);
            if let (Some(&element), Some(&writer)) = (list.elements.get(version), list.writers.get(version)) {
                timeline.misses(reader, writer, Why::Rw { key, seen, element });
            } else if let Some(end) = list.end {
                timeline.begins_before(reader, end, Why::End { key, seen });
            }
        }
        Ok(timeline)
    }
}

/// What became visible when `by` was over.
fn violation(anomaly: &str, message: String, by: &Transaction, evidence: Vec<String>) -> Violation {
    Violation { checker: "append", anomaly: anomaly.into(), message, evidence, at: by.complete }
}

/// The line of evidence that a transaction read a list.
fn shows(reader: &Transaction, key: u64, elements: &[i64]) -> String {
    let time = |time: Option<u64>| time.map_or("?".into(), |time| time.to_string());
    format!("T{} [{}, {}] read list {key} as {elements:?}", reader.id, reader.invoke, time(reader.complete))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
