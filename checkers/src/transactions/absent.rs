//! What was not there, under the levels that [saturation](super::saturation) decides.
//!
//! A row that is missing from the answer to a predicate read was seen in some version that does not match, and one that a
//! read found absent either before all writes or after some delete. Which version it was is chosen. One more read only
//! makes a history harder to explain, so the choices are made one after the other, each is held against the level at
//! once, and the next way is taken where it fails. Where only one version will do there is nothing to choose.
//!
//! The number of attempts is bounded, and so is the time: levels that nothing refutes by then are left open, as are those
//! of histories in which there is too much that was not found.

use super::anomaly::{Anomaly, Class, Name, Through};
use super::facts::{Facts, Read, UNSURE};
use super::saturation::{Observations, Saturated, Seen, Step, Weak, saturate};
use super::weak::through;
use crate::history::Micro;

/// How many versions are looked at, of all rows that all reads did not find.
const MOST: usize = 1 << 25;

/// A row that a transaction did not find.
struct Absent {
    reader: u32,
    /// Which operation of the reader it was, and the row.
    step: u32,
    object: u32,
    /// Who may have left the version that it saw; `None` is the one before all writes.
    writers: Vec<Option<u32>>,
}

impl Absent {
    fn seen(&self, way: usize) -> Seen {
        Seen { step: self.step, object: self.object, writer: self.writers[way] }
    }
}

/// Whether a level explains everything that was not there; `None` if the attempts or the time do not suffice. What is
/// wrong is noted.
pub(super) fn explained(
    facts: &mut Facts,
    told: &Observations,
    level: Weak,
    (left, stop): (&mut u64, &mut dyn FnMut() -> bool),
) -> Option<bool> {
    let (sure, open): (Vec<Absent>, Vec<Absent>) =
        absences(facts)?.into_iter().partition(|absent| absent.writers.len() == 1);
    if let Some(absent) = open.iter().find(|absent| absent.writers.is_empty()) {
        note(facts, unexplained(facts, absent, level));
        return Some(false);
    }
    let mut told = told.clone();
    for absent in &sure {
        insert(&mut told, absent.reader, absent.seen(0));
    }
    if let Saturated::Impossible(steps) = saturate(&told, level) {
        let anomaly = anomaly(facts, &told, level, &steps, through(&told, &steps));
        note(facts, anomaly);
        return Some(false);
    }
    // What failed first, and whether sessions had a part in any failure.
    let (mut first, mut part): (Option<Anomaly>, _) = (None, Through::Data);
    let (mut ways, mut way): (Vec<usize>, usize) = (Vec::new(), 0);
    while let Some(absent) = open.get(ways.len()) {
        if way == absent.writers.len() {
            let Some(before) = ways.pop() else {
                let first = first.expect("there was a way to choose, and it failed");
                note(facts, Anomaly { name: name(level, part), ..first });
                return Some(false);
            };
            let absent = &open[ways.len()];
            remove(&mut told, absent.reader, absent.seen(before));
            way = before + 1;
            continue;
        }
        if *left == 0 || stop() {
            return None;
        }
        *left -= 1;
        insert(&mut told, absent.reader, absent.seen(way));
        if let Saturated::Impossible(steps) = saturate(&told, level) {
            part = part.max(through(&told, &steps));
            first.get_or_insert_with(|| anomaly(facts, &told, level, &steps, part));
            remove(&mut told, absent.reader, absent.seen(way));
            way += 1;
        } else {
            ways.push(way);
            way = 0;
        }
    }
    Some(true)
}

fn insert(told: &mut Observations, reader: u32, seen: Seen) {
    let reads = &mut told.reads[reader as usize];
    reads.insert(reads.partition_point(|read| read.step <= seen.step), seen);
}

fn remove(told: &mut Observations, reader: u32, seen: Seen) {
    let reads = &mut told.reads[reader as usize];
    if let Some(at) = reads.iter().rposition(|read| *read == seen) {
        reads.remove(at);
    }
}

fn name(level: Weak, through: Through) -> Name {
    let class = match level {
        Weak::ReadCommitted => Class::GMonotonic,
        Weak::ReadAtomic => Class::FracturedRead,
        Weak::Causal => Class::Causality,
    };
    Name::Cycle { class, predicate: true, through }
}

fn anomaly(facts: &Facts, told: &Observations, level: Weak, steps: &[Step], through: Through) -> Anomaly {
    let mut anomaly = facts.contradiction(told, steps, name(level, through));
    anomaly
        .evidence
        .push("no version of the rows that were not found, or not there, explains what was seen".to_owned());
    anomaly
}

/// A row that is missing though it is there in every version.
fn unexplained(facts: &Facts, absent: &Absent, level: Weak) -> Anomaly {
    let (who, row) = (facts.words.transaction(absent.reader), facts.objects[absent.object as usize]);
    Anomaly {
        name: name(level, Through::Data),
        message: format!("{who} did not find {}, which every version has", facts.words.object(row)),
        evidence: vec![facts.words.shows(absent.reader, absent.step as usize)],
        transactions: vec![absent.reader as usize],
        cycle: Vec::new(),
    }
}

fn note(facts: &mut Facts, anomaly: Anomaly) {
    if facts.found.wanted(anomaly.name) {
        facts.found.anomalies.push(anomaly);
    }
}

/// Everything that was not found, but for rows that every version explains: whoever saw the last one that is visible has
/// seen nothing new. `None` if there is too much of it.
fn absences(facts: &Facts) -> Option<Vec<Absent>> {
    let rows: Vec<u32> = (0..facts.objects.len() as u32).filter(|object| facts.is_row(*object)).collect();
    let versions = |object: u32| {
        let versions = &facts.versions[object as usize];
        versions.order.iter().chain(&versions.loose).map(|write| &facts.writes[*write as usize])
    };
    // What nobody knows to have committed may have read anything.
    let mut told = vec![false; facts.history.transactions.len()];
    for (reader, _) in &facts.predicates {
        told[*reader as usize] = true;
    }
    let mut found = Vec::new();
    let mut most = MOST;
    let mut add = |reader: u32, step: usize, object: u32, fits: &dyn Fn(Option<i64>) -> bool| {
        most = most.checked_sub(1 + versions(object).count())?;
        if versions(object).any(|write| write.writer != reader && !fits(write.value)) {
            let (initial, versions) = facts.candidates(reader, object, fits);
            let writers = versions.iter().map(|write| Some(facts.writes[*write as usize].writer));
            let writers = writers.chain(initial.then_some(None)).collect();
            found.push(Absent { reader, step: step as u32, object, writers });
        }
        Some(())
    };
    for reader in (0..facts.history.transactions.len() as u32).filter(|at| facts.committed[*at as usize]) {
        let mut written: Vec<u32> = Vec::new();
        for (step, micro) in facts.transaction(reader).operations.iter().enumerate() {
            match micro {
                Micro::Write { .. } => written.push(facts.object_at(reader, step)),
                Micro::Read { value: None, .. } => {
                    let object = facts.object_at(reader, step);
                    let unsure = |read: &Read| read.object == object && read.version == UNSURE;
                    if !written.contains(&object) && facts.reads_of(reader).iter().any(unsure) {
                        add(reader, step, object, &|value| value.is_none())?;
                    }
                }
                Micro::ReadRows { predicate, rows: answer } if told[reader as usize] => {
                    let mut known: Vec<u32> = answer.iter().filter_map(|(key, _)| facts.row(*key)).collect();
                    known.extend(&written);
                    known.sort_unstable();
                    for object in rows.iter().filter(|object| known.binary_search(object).is_err()) {
                        add(reader, step, *object, &|value| !predicate.matches(value))?;
                    }
                }
                Micro::Append { .. } | Micro::Read { .. } | Micro::ReadList { .. } | Micro::ReadRows { .. } => {}
            }
        }
    }
    Some(found)
}
