//! What was not there, under the levels that [saturation](super::saturation) decides.
//!
//! A row that is missing from the answer to a predicate read was seen in some version that does not match, and one that a
//! read found absent either before all writes or after some delete. Which version it was is chosen. One more read only
//! makes a history harder to explain, so the choices are made one after the other, each is held against the level at
//! once, and the next way is taken where it fails. Where only one version will do there is nothing to choose.
//!
//! The number of attempts is bounded, and so is the time: levels that nothing refutes by then are left open.

use super::anomaly::{Anomaly, Class, Name, Through};
use super::facts::{Facts, UNSURE};
use super::saturation::{Observations, Saturated, Seen, Step, Weak, saturate};
use super::weak::through;
use crate::history::Micro;

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
    (attempts, stop): (u64, &mut dyn FnMut() -> bool),
) -> Option<bool> {
    let mut told = told.clone();
    let (sure, open): (Vec<Absent>, Vec<Absent>) =
        absences(facts).into_iter().partition(|absent| absent.writers.len() == 1);
    if let Some(absent) = open.iter().find(|absent| absent.writers.is_empty()) {
        note(facts, unexplained(facts, absent, level));
        return Some(false);
    }
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
    let (mut ways, mut way, mut left): (Vec<usize>, usize, u64) = (Vec::new(), 0, attempts);
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
        if left == 0 || stop() {
            return None;
        }
        left -= 1;
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

/// Everything that was not found, but for rows that nobody else wrote.
fn absences(facts: &Facts) -> Vec<Absent> {
    let mut absences: Vec<Absent> = Vec::new();
    let mut add = |reader: u32, step: usize, object: u32, (initial, versions): (bool, Vec<u32>)| {
        let writers = versions.iter().map(|write| Some(facts.writes[*write as usize].writer));
        let writers = writers.chain(initial.then_some(None)).collect();
        absences.push(Absent { reader, step: step as u32, object, writers });
    };
    let rows: Vec<u32> = (0..facts.objects.len() as u32).filter(|object| facts.is_row(*object)).collect();
    for reader in (0..facts.history.transactions.len() as u32).filter(|at| facts.committed[*at as usize]) {
        let mut written: Vec<u32> = Vec::new();
        let of_others = |object: u32| {
            let versions = &facts.versions[object as usize];
            let mut writes = versions.order.iter().chain(&versions.loose);
            writes.any(|write| facts.writes[*write as usize].writer != reader)
        };
        for (step, micro) in facts.transaction(reader).operations.iter().enumerate() {
            match micro {
                Micro::Write { .. } => written.push(facts.object_at(reader, step)),
                Micro::Read { value: None, .. } => {
                    let object = facts.object_at(reader, step);
                    let unsure = |read: &super::facts::Read| read.object == object && read.version == UNSURE;
                    if !written.contains(&object) && facts.reads_of(reader).iter().any(unsure) {
                        add(reader, step, object, facts.candidates(reader, object, |value| value.is_none()));
                    }
                }
                Micro::ReadRows { predicate, rows: answer } => {
                    let mut answered: Vec<u32> = answer.iter().filter_map(|(key, _)| facts.row(*key)).collect();
                    answered.sort_unstable();
                    let missed = rows.iter().copied().filter(|object| {
                        answered.binary_search(object).is_err() && !written.contains(object) && of_others(*object)
                    });
                    for object in missed {
                        let candidates = facts.candidates(reader, object, |value| !predicate.matches(value));
                        add(reader, step, object, candidates);
                    }
                }
                Micro::Append { .. } | Micro::Read { .. } | Micro::ReadList { .. } => {}
            }
        }
    }
    absences
}
