//! What a history says without any inference: who wrote and read which version, and what of that cannot be.
//!
//! Only transactions that certainly committed say anything: those that were acknowledged, and those of unknown outcome
//! of which one of the former read a write, since what is read was committed. The reads of the latter count as well:
//! they were answered before the commit was lost, and it is the whole transaction that committed. If nobody saw it, it
//! may have aborted, and neither its writes nor its reads mean anything.
//!
//! Values are unique within a row or list, so a value tells who wrote it. Where two transactions that may have
//! committed wrote the same, the object is left out, and nothing that then holds is certain. Rows and lists get dense
//! numbers, as do writes, which serve as versions: that of a list is the write of its last element.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::anomaly::{Anomaly, Name, Object};
use super::words::Words;
use crate::history::{History, Micro, Outcome, Transaction};

/// No write, or the version that was there before all writes.
pub(super) const NONE: u32 = u32::MAX;

/// A version that is absent, where more than one is.
pub(super) const UNSURE: u32 = u32::MAX - 1;

/// One write or append.
pub(super) struct Write {
    /// Its transaction.
    pub(super) writer: u32,
    /// The row or list.
    pub(super) object: u32,
    /// What was written; `None` deletes the row.
    pub(super) value: Option<i64>,
    /// What the transaction wrote to the object just before.
    pub(super) previous: u32,
    /// Whether the transaction wrote nothing to the object after it.
    pub(super) last: bool,
    /// Where it stands in [`Versions::order`].
    pub(super) position: u32,
}

/// A version that a committed transaction saw of an object before its own writes.
pub(super) struct Read {
    pub(super) reader: u32,
    pub(super) object: u32,
    /// The write that left it, or [`NONE`] or [`UNSURE`].
    pub(super) version: u32,
    /// A write of the reader to the object that it must have done on top of the version: of a list its first append, of
    /// a row its last write.
    pub(super) own: u32,
    /// Which operation of the reader it was.
    pub(super) place: u32,
    /// Whether it was the first of the object.
    pub(super) first: bool,
}

/// What is known of the versions of an object.
#[derive(Default)]
pub(super) struct Versions<'a> {
    /// Those of which the order is known, from the first.
    pub(super) order: Vec<u32>,
    /// The others that were committed: in a list after those, in a row anywhere.
    pub(super) loose: Vec<u32>,
    /// Of a list, the elements in their order, as the longest read shows them.
    pub(super) longest: &'a [i64],
    /// Who read the longest.
    pub(super) reader: u32,
    /// Whether somebody deleted the row.
    pub(super) deleted: bool,
    /// Whether two writes cannot be told apart.
    pub(super) ambiguous: bool,
}

/// What every transaction wrote, and every committed one read.
pub(super) struct Facts<'a> {
    pub(super) history: &'a History,
    pub(super) words: Words<'a>,
    /// By number of the object.
    pub(super) objects: Vec<Object>,
    /// By number of the object.
    pub(super) versions: Vec<Versions<'a>>,
    pub(super) writes: Vec<Write>,
    /// In no order but that the reads of one transaction are together.
    pub(super) reads: Vec<Read>,
    /// By transaction: where its reads begin and end.
    pub(super) read_by: Vec<(u32, u32)>,
    /// Predicate reads: the transaction, and which operation of it.
    pub(super) predicates: Vec<(u32, u32)>,
    /// By transaction: whether it certainly committed.
    pub(super) committed: Vec<bool>,
    pub(super) found: Found,
    pub(super) compared: u64,
    /// Why some of the history says nothing, so that no level is certain to hold.
    pub(super) gap: Option<String>,
    numbers: HashMap<Object, u32, FxBuildHasher>,
    by_value: HashMap<(u32, i64), u32, FxBuildHasher>,
    /// By transaction: where its writes begin.
    pub(super) written_by: Vec<u32>,
    /// By transaction and operation, one after the other: the number of the object.
    places: Vec<u32>,
    /// By transaction: where its operations begin.
    first_place: Vec<u32>,
}

/// What the transaction at work did to an object so far.
#[derive(Clone, Copy)]
struct Own {
    /// Whose this is.
    transaction: u32,
    /// What it wrote last.
    write: u32,
    /// Its first read.
    read: u32,
}

/// What takes in one committed transaction after the other.
struct Observer<'f, 'a> {
    facts: &'f mut Facts<'a>,
    /// Committed transactions to take in, and how many were.
    queue: Vec<u32>,
    /// By number of the object.
    own: Vec<Own>,
}

impl<'a> Facts<'a> {
    /// Takes in a history.
    pub(super) fn new(history: &'a History, shown: usize) -> Self {
        let transactions = &history.transactions;
        let steps = transactions.iter().map(|transaction| transaction.operations.len()).sum();
        let mut facts = Self {
            history,
            words: Words::new(history),
            objects: Vec::new(),
            versions: Vec::new(),
            writes: Vec::new(),
            reads: Vec::with_capacity(steps),
            read_by: vec![(0, 0); transactions.len()],
            predicates: Vec::new(),
            committed: transactions.iter().map(|transaction| transaction.outcome == Outcome::Ok).collect(),
            found: Found::new(shown),
            compared: 0,
            gap: None,
            numbers: HashMap::default(),
            by_value: HashMap::default(),
            written_by: Vec::with_capacity(transactions.len()),
            places: Vec::with_capacity(steps),
            first_place: Vec::with_capacity(transactions.len()),
        };
        facts.take_writes();
        let queue = (0..transactions.len() as u32).filter(|at| facts.committed[*at as usize]).collect();
        let own = vec![Own { transaction: NONE, write: NONE, read: NONE }; facts.objects.len()];
        Observer { facts: &mut facts, queue, own }.observe();
        facts
    }

    /// A transaction by its number.
    pub(super) fn transaction(&self, at: u32) -> &'a Transaction {
        &self.history.transactions[at as usize]
    }

    /// What one transaction read.
    pub(super) fn reads_of(&self, reader: u32) -> &[Read] {
        let (from, to) = self.read_by[reader as usize];
        &self.reads[from as usize..to as usize]
    }

    /// What one transaction wrote.
    pub(super) fn writes_of(&self, writer: u32) -> &[Write] {
        let from = self.written_by[writer as usize] as usize;
        let to = self.written_by.get(writer as usize + 1).map_or(self.writes.len(), |to| *to as usize);
        &self.writes[from..to]
    }

    /// The number of the object of an operation, unless it is a predicate read.
    pub(super) fn object_at(&self, transaction: u32, place: usize) -> u32 {
        self.places[self.first_place[transaction as usize] as usize + place]
    }

    /// The number of a row that is written, or read by itself.
    pub(super) fn row(&self, key: u64) -> Option<u32> {
        self.numbers.get(&Object::Row(key)).copied()
    }

    /// Notes something that is wrong. The message and the evidence are only made if they will be shown.
    pub(super) fn wrong(&mut self, name: Name, transactions: &[u32], say: impl FnOnce(&Self) -> (String, Vec<String>)) {
        if self.found.wanted(name) {
            let (message, evidence) = say(self);
            let mut transactions: Vec<usize> = transactions.iter().map(|at| *at as usize).collect();
            let mut seen = Vec::new();
            transactions.retain(|at| {
                !seen.contains(at) && {
                    seen.push(*at);
                    true
                }
            });
            self.found.anomalies.push(Anomaly { name, message, evidence, transactions, cycle: Vec::new() });
        }
    }

    /// Notes that something is not judged.
    pub(super) fn gap(&mut self, reason: String) {
        self.gap.get_or_insert(reason);
    }

    fn number(&mut self, object: Object) -> u32 {
        *self.numbers.entry(object).or_insert_with(|| {
            self.objects.push(object);
            self.versions.push(Versions::default());
            self.objects.len() as u32 - 1
        })
    }

    fn take_writes(&mut self) {
        // By object: who wrote it last of those looked at, and what.
        let mut latest: Vec<(u32, u32)> = Vec::new();
        for (writer, transaction) in self.history.transactions.iter().enumerate() {
            let writer = writer as u32;
            self.written_by.push(self.writes.len() as u32);
            self.first_place.push(self.places.len() as u32);
            for micro in &transaction.operations {
                let (object, value) = match micro {
                    Micro::Read { key, .. } => (Object::Row(*key), None),
                    Micro::Write { key, value } => (Object::Row(*key), Some(*value)),
                    Micro::ReadList { key, .. } => (Object::List(*key), None),
                    Micro::Append { key, element } => (Object::List(*key), Some(Some(*element))),
                    Micro::ReadRows { .. } => {
                        self.places.push(NONE);
                        continue;
                    }
                };
                let object = self.number(object);
                self.places.push(object);
                if let Some(value) = value {
                    latest.resize(self.objects.len(), (NONE, NONE));
                    let write = self.writes.len() as u32;
                    let (by, previous) = std::mem::replace(&mut latest[object as usize], (writer, write));
                    let previous = if by == writer { previous } else { NONE };
                    if let Some(previous) = self.writes.get_mut(previous as usize) {
                        previous.last = false;
                    }
                    self.writes.push(Write { writer, object, value, previous, last: true, position: NONE });
                    self.take_value(write);
                }
            }
        }
    }

    /// Notes whose a value is. If a failed transaction wrote it as well, it is not that one's.
    fn take_value(&mut self, write: u32) {
        let &Write { writer, object, value, .. } = &self.writes[write as usize];
        let Some(value) = value else {
            self.versions[object as usize].deleted |= self.transaction(writer).outcome != Outcome::Failed;
            return;
        };
        let failed = |facts: &Self, write: u32| {
            facts.transaction(facts.writes[write as usize].writer).outcome == Outcome::Failed
        };
        match self.by_value.get(&(object, value)).copied() {
            Some(other) if failed(self, other) => {
                self.by_value.insert((object, value), write);
            }
            Some(_) if self.transaction(writer).outcome == Outcome::Failed => {}
            Some(other) => {
                self.versions[object as usize].ambiguous = true;
                let [one, two] = [other, write].map(|write| self.words.transaction(self.writes[write as usize].writer));
                let (name, value) = (self.objects[object as usize], self.words.value(value));
                let place = self.words.object(name);
                self.gap(match name {
                    Object::Row(_) => format!("{one} and {two} both write {value} to {place}"),
                    Object::List(_) => format!("{one} and {two} both append {value} to {place}"),
                });
            }
            None => {
                self.by_value.insert((object, value), write);
            }
        }
    }
}

impl<'a> Observer<'_, 'a> {
    /// Takes in what every committed transaction read, and finds which those are.
    fn observe(mut self) {
        let mut next = 0;
        while let Some(&reader) = self.queue.get(next) {
            next += 1;
            let first = self.facts.reads.len() as u32;
            self.take(reader);
            self.facts.read_by[reader as usize] = (first, self.facts.reads.len() as u32);
        }
    }

    fn take(&mut self, reader: u32) {
        let transaction = self.facts.transaction(reader);
        let mut write = self.facts.written_by[reader as usize];
        for (place, micro) in transaction.operations.iter().enumerate() {
            let object = self.facts.object_at(reader, place);
            match micro {
                Micro::Write { .. } | Micro::Append { .. } => {
                    let list = matches!(micro, Micro::Append { .. });
                    let own = self.own(reader, object);
                    own.write = write;
                    if let Some(read) = self.facts.reads.get_mut(self.own[object as usize].read as usize)
                        && (read.own == NONE || !list)
                    {
                        read.own = write;
                    }
                    write += 1;
                }
                Micro::Read { value, .. } => self.read_row(reader, object, *value, place as u32),
                Micro::ReadList { elements, .. } => self.read_list(reader, object, elements, place as u32),
                Micro::ReadRows { predicate, rows } => {
                    self.facts.predicates.push((reader, place as u32));
                    for (key, value) in rows {
                        self.facts.compared += 1;
                        if !predicate.matches(Some(*value)) {
                            self.facts.wrong(Name::Internal, &[reader], |facts| {
                                let (who, value) = (facts.words.transaction(reader), facts.words.value(*value));
                                let row = facts.words.object(Object::Row(*key));
                                let message =
                                    format!("{who} was given {row} as {value}, which is not what it asked for");
                                (message, vec![facts.words.shows(reader, place)])
                            });
                        }
                        match self.facts.row(*key) {
                            Some(object) => self.read_row(reader, object, Some(*value), place as u32),
                            None => self.garbage(reader, Object::Row(*key), *value, place as u32),
                        }
                    }
                }
            }
        }
    }

    fn own(&mut self, reader: u32, object: u32) -> &mut Own {
        let own = &mut self.own[object as usize];
        if own.transaction != reader {
            *own = Own { transaction: reader, write: NONE, read: NONE };
        }
        own
    }

    fn read_row(&mut self, reader: u32, object: u32, value: Option<i64>, place: u32) {
        if self.facts.versions[object as usize].ambiguous {
            return;
        }
        self.facts.compared += 1;
        let own = *self.own(reader, object);
        if let Some(write) = self.facts.writes.get(own.write as usize) {
            if write.value != value {
                let written = write.value;
                self.facts.wrong(Name::Internal, &[reader], |facts| {
                    let (who, row) =
                        (facts.words.transaction(reader), facts.words.object(facts.objects[object as usize]));
                    let written = facts.words.version(written);
                    let message = format!("{who} wrote {written} to {row} and read something else");
                    (message, vec![facts.words.shows(reader, place as usize)])
                });
            }
            return;
        }
        if let Some(first) = self.facts.reads.get(own.read as usize) {
            if self.facts.value_of(first.version) == value {
                return;
            }
            self.changed(reader, object, first.place, place);
        }
        if let Some(version) = self.version_of_row(reader, object, value, place) {
            self.note(Read { reader, object, version, own: NONE, place, first: own.read == NONE });
        }
    }

    fn note(&mut self, read: Read) {
        if read.first {
            self.own[read.object as usize].read = self.facts.reads.len() as u32;
        }
        self.facts.reads.push(read);
    }

    /// Which write left what was read of a row, unless the read is wrong.
    fn version_of_row(&mut self, reader: u32, object: u32, value: Option<i64>, place: u32) -> Option<u32> {
        let Some(value) = value else {
            return Some(if self.facts.versions[object as usize].deleted { UNSURE } else { NONE });
        };
        let Some(&write) = self.facts.by_value.get(&(object, value)) else {
            self.garbage(reader, self.facts.objects[object as usize], value, place);
            return None;
        };
        let &Write { writer, last, .. } = &self.facts.writes[write as usize];
        let say = move |facts: &Facts, what: &str| {
            let (who, by) = (facts.words.transaction(reader), facts.words.transaction(writer));
            let row = facts.words.object(facts.objects[object as usize]);
            let value = facts.words.value(value);
            let evidence =
                vec![format!("{by} wrote {value} to {row}{what}"), facts.words.shows(reader, place as usize)];
            (who, by, row, value, evidence)
        };
        if self.facts.transaction(writer).outcome == Outcome::Failed {
            self.facts.wrong(Name::G1a, &[reader, writer], |facts| {
                let (who, by, row, value, evidence) = say(facts, " and failed");
                (format!("{who} read {row} as {value}, but {by} wrote that and aborted"), evidence)
            });
            return None;
        }
        if writer == reader {
            self.facts.wrong(Name::FutureRead, &[reader], |facts| {
                let (who, _, row, value, evidence) = say(facts, " later");
                (format!("{who} read {value} in {row} before it wrote it"), evidence)
            });
            return None;
        }
        self.saw(writer);
        if !last {
            self.facts.wrong(Name::G1b, &[reader, writer], |facts| {
                let (who, by, row, value, evidence) = say(facts, ", and then something else");
                (format!("{who} read {row} as {value}, between two writes of {by}"), evidence)
            });
            return None;
        }
        Some(write)
    }

    /// Notes that a transaction committed, since a committed one saw a write of it.
    fn saw(&mut self, writer: u32) {
        if !std::mem::replace(&mut self.facts.committed[writer as usize], true) {
            self.queue.push(writer);
        }
    }

    fn garbage(&mut self, reader: u32, object: Object, value: i64, place: u32) {
        self.facts.wrong(Name::GarbageRead, &[reader], |facts| {
            let (who, value) = (facts.words.transaction(reader), facts.words.value(value));
            let verb = if matches!(object, Object::Row(_)) { "wrote" } else { "appended" };
            let message = format!("{who} read {value} in {}, which nobody {verb}", facts.words.object(object));
            (message, vec![facts.words.shows(reader, place as usize)])
        });
    }

    fn changed(&mut self, reader: u32, object: u32, first: u32, place: u32) {
        self.facts.wrong(Name::NonRepeatableRead, &[reader], |facts| {
            let object = facts.words.object(facts.objects[object as usize]);
            let message = format!("{} read {object} twice and saw it change", facts.words.transaction(reader));
            (message, [first, place].map(|place| facts.words.shows(reader, place as usize)).to_vec())
        });
    }

    fn read_list(&mut self, reader: u32, object: u32, elements: &'a [i64], place: u32) {
        if self.facts.versions[object as usize].ambiguous {
            return;
        }
        self.facts.compared += 1;
        let own = *self.own(reader, object);
        let (mut version, mut write, mut first_own) = (elements.len(), own.write, NONE);
        while let Some(append) = self.facts.writes.get(write as usize) {
            if version == 0 || Some(elements[version - 1]) != append.value {
                self.facts.wrong(Name::Internal, &[reader], |facts| {
                    let who = facts.words.transaction(reader);
                    let list = facts.words.object(facts.objects[object as usize]);
                    let mut appended = vec![];
                    let mut write = own.write;
                    while let Some(append) = facts.writes.get(write as usize) {
                        appended.extend(append.value);
                        write = append.previous;
                    }
                    appended.reverse();
                    let appended = facts.words.elements(&appended);
                    let message = format!("{who} appended {appended} to {list} and did not read it");
                    (message, vec![facts.words.shows(reader, place as usize)])
                });
                return;
            }
            version -= 1;
            (first_own, write) = (write, append.previous);
        }
        let external = &elements[..version];
        if let Some(first) = self.facts.reads.get(own.read as usize) {
            let Micro::ReadList { elements: before, .. } =
                &self.facts.transaction(reader).operations[first.place as usize]
            else {
                unreachable!("a read of a list is one")
            };
            let length = self.facts.length(object, first.version);
            if external == &before[..length] {
                return;
            }
            self.changed(reader, object, first.place, place);
        }
        if let Some(version) = self.extend(reader, object, external, place) {
            self.note(Read { reader, object, version, own: first_own, place, first: own.read == NONE });
        }
    }

    /// Holds a read against the longest one of its list, which it may become itself. Says which version it is.
    fn extend(&mut self, reader: u32, object: u32, elements: &'a [i64], place: u32) -> Option<u32> {
        let list = &self.facts.versions[object as usize];
        let common = list.longest.len().min(elements.len());
        if list.longest[..common] != elements[..common] {
            let same = list.longest.iter().zip(elements).take_while(|(one, other)| one == other).count();
            let (other, object_name) = (list.reader, self.facts.objects[object as usize]);
            self.authors(reader, object, elements, same, place)?;
            self.facts.wrong(Name::IncompatibleOrder, &[other, reader], |facts| {
                let [one, two] = [other, reader].map(|at| facts.words.transaction(at));
                let message = format!("{one} and {two} saw {} in different orders", facts.words.object(object_name));
                let longest = facts.versions[object as usize].longest;
                let evidence = vec![
                    facts.words.shows_list(other, object_name, longest),
                    facts.words.shows(reader, place as usize),
                ];
                (message, evidence)
            });
            return None;
        }
        if common < elements.len() {
            let authors = self.authors(reader, object, elements, common, place)?;
            for write in &authors {
                self.saw(self.facts.writes[*write as usize].writer);
            }
            let list = &mut self.facts.versions[object as usize];
            (list.longest, list.reader) = (elements, reader);
            list.order.extend(authors);
        }
        let last = elements.len().checked_sub(1);
        Some(last.map_or(NONE, |last| self.facts.versions[object as usize].order[last]))
    }

    /// The appends of the elements of a read from the place `from`, up to which it agrees with the longest one. If the
    /// read extends that, they get their places.
    fn authors(&mut self, reader: u32, object: u32, elements: &[i64], from: usize, place: u32) -> Option<Vec<u32>> {
        let extends = from == self.facts.versions[object as usize].longest.len();
        let (mut authors, mut seen) = (Vec::with_capacity(elements.len() - from), BTreeSet::new());
        for (position, &element) in elements.iter().enumerate().skip(from) {
            let Some(&write) = self.facts.by_value.get(&(object, element)) else {
                self.garbage(reader, self.facts.objects[object as usize], element, place);
                self.forget(&authors, extends);
                return None;
            };
            let append = &mut self.facts.writes[write as usize];
            let writer = append.writer;
            let twice = if extends {
                append.position != NONE
            } else {
                (append.position as usize) < from || !seen.insert(write)
            };
            if self.facts.history.transactions[writer as usize].outcome == Outcome::Failed {
                self.aborted(reader, object, &elements[position..], place);
                self.forget(&authors, extends);
                return None;
            }
            if twice {
                self.facts.wrong(Name::DuplicateElements, &[reader], |facts| {
                    let (who, element) = (facts.words.transaction(reader), facts.words.value(element));
                    let list = facts.words.object(facts.objects[object as usize]);
                    let message = format!("{who} read {element} twice in {list}");
                    (message, vec![facts.words.shows(reader, place as usize)])
                });
                self.forget(&authors, extends);
                return None;
            }
            if extends {
                append.position = position as u32;
            }
            authors.push(write);
        }
        Some(authors)
    }

    /// Takes back the places of appends that were given to them on trial.
    fn forget(&mut self, writes: &[u32], extends: bool) {
        for write in writes.iter().filter(|_| extends) {
            self.facts.writes[*write as usize].position = NONE;
        }
    }

    /// Tells of a read of an element that a failed transaction appended, the first of those given.
    fn aborted(&mut self, reader: u32, object: u32, elements: &[i64], place: u32) {
        let by = |facts: &Facts, element: i64| {
            let write = facts.by_value.get(&(object, element))?;
            Some(facts.writes[*write as usize].writer)
        };
        let Some(failed) = by(self.facts, elements[0]) else { return };
        let over = elements.iter().find_map(|element| {
            let writer = by(self.facts, *element)?;
            (self.facts.transaction(writer).outcome != Outcome::Failed).then_some((writer, *element))
        });
        let name = if over.is_some() { Name::DirtyUpdate } else { Name::G1a };
        let transactions: Vec<u32> = [reader, failed].into_iter().chain(over.map(|(by, _)| by)).collect();
        self.facts.wrong(name, &transactions, |facts| {
            let [who, failed] = [reader, failed].map(|at| facts.words.transaction(at));
            let (list, element) = (facts.words.object(facts.objects[object as usize]), facts.words.value(elements[0]));
            let mut evidence = vec![
                format!("{failed} appended {element} to {list} and failed"),
                facts.words.shows(reader, place as usize),
            ];
            let message = match over {
                Some((by, element)) => {
                    let (by, element) = (facts.words.transaction(by), facts.words.value(element));
                    evidence.insert(1, format!("{by} appended {element} after it"));
                    format!("{by} updated {list} on top of {failed}, which failed")
                }
                None => {
                    let Micro::ReadList { elements: read, .. } = &facts.transaction(reader).operations[place as usize]
                    else {
                        unreachable!("a read of a list is one")
                    };
                    let read = facts.words.elements(read);
                    format!("{who} read {list}={read}, but {failed} appended {element} and aborted")
                }
            };
            (message, evidence)
        });
    }
}

impl Facts<'_> {
    /// How many elements a version of a list has.
    pub(super) fn length(&self, object: u32, version: u32) -> usize {
        debug_assert!(version == NONE || self.writes[version as usize].object == object);
        self.writes.get(version as usize).map_or(0, |append| append.position as usize + 1)
    }

    /// What a version of a row holds.
    pub(super) fn value_of(&self, version: u32) -> Option<i64> {
        self.writes.get(version as usize).and_then(|write| write.value)
    }
}

/// What is wrong, up to so many of each name.
pub(super) struct Found {
    pub(super) anomalies: Vec<Anomaly>,
    shown: usize,
    counts: BTreeMap<Name, usize>,
}

impl Found {
    fn new(shown: usize) -> Self {
        Self { anomalies: Vec::new(), shown: shown.max(1), counts: BTreeMap::new() }
    }

    /// Counts one more of a name, and says whether it is to be shown.
    pub(super) fn wanted(&mut self, name: Name) -> bool {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        *count <= self.shown
    }
}
