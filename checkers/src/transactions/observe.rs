//! Takes in what committed transactions read: holds it against what was written, by whom, and with which outcome.
//!
//! A read of a list is held against the longest one of the list so far, of which it must be a prefix, or the other way
//! round. Reads after own writes, and repeated ones, must agree with those.

use std::collections::BTreeSet;

use super::anomaly::{Name, Object};
use super::facts::{Facts, NONE, Read, UNSURE, Unseen, Write};
use crate::history::{Micro, Outcome};

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
    next: usize,
    /// By number of the object.
    own: Vec<Own>,
}

/// Takes in every committed transaction, and finds which those are.
pub(super) fn observe(facts: &mut Facts, unseen: Unseen) {
    let queue = (0..facts.history.transactions.len() as u32).filter(|at| facts.committed[*at as usize]).collect();
    let own = vec![Own { transaction: NONE, write: NONE, read: NONE }; facts.objects.len()];
    Observer { facts, queue, next: 0, own }.observe(unseen);
}

impl<'a> Observer<'_, 'a> {
    /// Takes in what every committed transaction read, and finds which those are.
    fn observe(mut self, unseen: Unseen) {
        self.drain();
        for writer in self.unseen() {
            match unseen {
                Unseen::Absent => self.facts.hidden = Some(writer),
                Unseen::Present => self.saw(writer),
                Unseen::Silent => self.facts.committed[writer as usize] = true,
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(&reader) = self.queue.get(self.next) {
            self.next += 1;
            let first = self.facts.reads.len() as u32;
            self.take(reader);
            self.facts.read_by[reader as usize] = (first, self.facts.reads.len() as u32);
        }
    }

    /// Who may or may not have committed, where that matters.
    fn unseen(&self) -> Vec<u32> {
        let facts = &*self.facts;
        let absent: BTreeSet<u32> =
            facts.reads.iter().filter(|read| read.version == UNSURE).map(|read| read.object).collect();
        let may = facts.writes.iter().filter(|write| {
            !facts.committed[write.writer as usize]
                && facts.transaction(write.writer).outcome == Outcome::Unknown
                && matches!(facts.objects[write.object as usize], Object::Row(_))
                && (!facts.predicates.is_empty() || write.value.is_none() && absent.contains(&write.object))
        });
        let mut unseen: Vec<u32> = may.map(|write| write.writer).collect();
        unseen.dedup();
        unseen
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
            let chosen = self.chosen(reader, object, place);
            if self.facts.value_of(first.version) == value && chosen.is_none_or(|write| write == first.version) {
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

    /// Which write is taken to have left what an operation read of a row.
    fn chosen(&self, reader: u32, object: u32, place: u32) -> Option<u32> {
        self.facts.chosen?.get(&(reader, place, object)).copied()
    }

    /// Which write left what was read of a row, unless the read is wrong.
    fn version_of_row(&mut self, reader: u32, object: u32, value: Option<i64>, place: u32) -> Option<u32> {
        let Some(value) = value else {
            return Some(if self.facts.versions[object as usize].deleted { UNSURE } else { NONE });
        };
        let known = self.facts.by_value.get(&(object, value)).copied();
        let Some(write) = self.chosen(reader, object, place).or(known) else {
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
            let length = self.facts.length(object, version);
            let is_own = |write: &Write| write.object == object && (write.position as usize) < length;
            if let Some(at) = self.facts.writes_of(reader).iter().position(is_own) {
                let write = self.facts.written_by[reader as usize] + at as u32;
                // What it had appended by then stands at the end as well.
                let twice = own.write != NONE && write <= own.write;
                let name = if twice { Name::DuplicateElements } else { Name::FutureRead };
                self.facts.wrong(name, &[reader], |facts| {
                    let element = facts.words.version(facts.writes[write as usize].value);
                    let (who, list) =
                        (facts.words.transaction(reader), facts.words.object(facts.objects[object as usize]));
                    let how = if twice { "twice" } else { "before it appended it" };
                    let message = format!("{who} read {element} in {list} {how}");
                    (message, vec![facts.words.shows(reader, place as usize)])
                });
                return;
            }
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
            let message = if let Some((by, element)) = over {
                let (by, element) = (facts.words.transaction(by), facts.words.value(element));
                evidence.insert(1, format!("{by} appended {element} after it"));
                format!("{by} updated {list} on top of {failed}, which failed")
            } else {
                let Micro::ReadList { elements: read, .. } = &facts.transaction(reader).operations[place as usize]
                else {
                    unreachable!("a read of a list is one")
                };
                let read = facts.words.elements(read);
                format!("{who} read {list}={read}, but {failed} appended {element} and aborted")
            };
            (message, evidence)
        });
    }
}
