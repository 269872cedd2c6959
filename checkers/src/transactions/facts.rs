//! What a history says without any inference: who wrote and read which version, and what of that cannot be.
//!
//! Only transactions that certainly committed say anything: those that were acknowledged, and those of unknown outcome
//! of which one of the former read a write, since what is read was committed. The reads of the latter count as well:
//! they were answered before the commit was lost, and it is the whole transaction that committed. If nobody saw it, it
//! may have aborted, and neither its writes nor its reads mean anything.
//!
//! Values are unique within a row or list, so a value tells who wrote it. Where two transactions that may have
//! committed wrote the same, the object is left out, and nothing that then holds is certain, unless it is
//! [chosen](super::choices) whose values were read. Rows and lists get dense
//! numbers, as do writes, which serve as versions: that of a list is the write of its last element.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::anomaly::{Anomaly, Name, Object};
use super::observe::observe;
use super::words::Words;
use crate::history::{History, Micro, Outcome, Transaction};

/// No write, or the version that was there before all writes.
pub(super) const NONE: u32 = u32::MAX;

/// A version that is absent, where more than one is.
pub(super) const UNSURE: u32 = u32::MAX - 1;

/// What is assumed of transactions of unknown outcome of which nobody read a write, where that matters: where one may
/// have deleted a row that somebody found absent, or may be why a row was not in the answer to a predicate read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// They did not commit.
    Absent,
    /// They committed, and what they read counts.
    Present,
    /// They committed, and what they read is left out. A history that is impossible then is impossible anyhow, since
    /// they bind nobody if they come last.
    Silent,
}

/// By transaction, place of the operation and object: the write that is taken to have left what was read.
pub(super) type Chosen = BTreeMap<(u32, u32, u32), u32>;

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
    /// A transaction that was assumed not to have committed, though that may be wrong.
    pub(super) hidden: Option<u32>,
    /// Why some of the history says nothing, so that no level is certain to hold.
    pub(super) gap: Option<String>,
    /// Who is taken to have written what was read, where more than one may have.
    pub(super) chosen: Option<&'a Chosen>,
    numbers: HashMap<Object, u32, FxBuildHasher>,
    /// By object and value: the write, of a failed transaction only if no other wrote the same.
    pub(super) by_value: HashMap<(u32, i64), u32, FxBuildHasher>,
    /// By transaction: where its writes begin.
    pub(super) written_by: Vec<u32>,
    /// By transaction and operation, one after the other: the number of the object.
    places: Vec<u32>,
    /// By transaction: where its operations begin.
    first_place: Vec<u32>,
}

impl<'a> Facts<'a> {
    /// Takes in a history.
    pub(super) fn new(history: &'a History, shown: usize, unseen: Unseen, chosen: Option<&'a Chosen>) -> Self {
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
            hidden: None,
            gap: None,
            chosen,
            numbers: HashMap::default(),
            by_value: HashMap::default(),
            written_by: Vec::with_capacity(transactions.len()),
            places: Vec::with_capacity(steps),
            first_place: Vec::with_capacity(transactions.len()),
        };
        facts.take_writes();
        observe(&mut facts, unseen);
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

    /// Whether an object is a row.
    pub(super) fn is_row(&self, object: u32) -> bool {
        matches!(self.objects[object as usize], Object::Row(_))
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
            Some(_) if self.chosen.is_some() && matches!(self.objects[object as usize], Object::Row(_)) => {}
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
