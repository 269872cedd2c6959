//! Which versions the reads of a history may have seen: what the definitions by axioms and by graphs begin with.

use std::collections::BTreeMap;

use checkers::history::Micro;

use crate::oracle::{Committed, Left, Object};

/// A read of something that the reader had not written yet.
#[derive(Clone, Debug)]
pub struct Reading {
    pub reader: usize,
    pub object: Object,
    /// Which operation of the reader it was.
    pub place: usize,
    /// Who may have left what was read; `None` if nobody.
    pub versions: Vec<Option<usize>>,
    /// Of a list, all elements that were there, and whoever else appended one: they were read as well.
    pub elements: Vec<i64>,
    pub authors: Vec<usize>,
    /// Whether this is a row that the answer to a predicate read does not have.
    pub missed: Option<usize>,
}

/// All reads; `None` if one of them contradicts what its transaction did before, or nothing explains it.
pub fn readings(committed: &Committed) -> Option<Vec<Reading>> {
    let mut readings = Vec::new();
    for reader in 0..committed.transactions.len() {
        let mut own: BTreeMap<Object, Left> = BTreeMap::new();
        for (place, micro) in committed.transactions[reader].operations.iter().enumerate() {
            match micro {
                Micro::Write { key, value } => {
                    own.insert(Object::Row(*key), Left::Value(*value));
                }
                Micro::Append { key, element } => {
                    let left = own.entry(Object::List(*key)).or_insert(Left::Elements(Vec::new()));
                    if let Left::Elements(elements) = left {
                        elements.push(*element);
                    }
                }
                Micro::Read { key, value } => {
                    let wanted = |left: Option<i64>| left == *value;
                    row(committed, &own, &mut readings, (reader, place), (*key, wanted))?;
                }
                Micro::ReadList { key, elements } => {
                    let object = Object::List(*key);
                    let added = match own.get(&object) {
                        Some(Left::Elements(added)) => added.as_slice(),
                        _ => &[],
                    };
                    let elements = elements.strip_suffix(added)?.to_vec();
                    let versions = match elements.last() {
                        None => vec![None],
                        Some(last) => {
                            let by = |at: &usize| match committed.written(*at).get(&object) {
                                Some(Left::Elements(added)) => added.last() == Some(last),
                                _ => false,
                            };
                            (0..committed.transactions.len()).filter(|at| *at != reader).filter(by).map(Some).collect()
                        }
                    };
                    let is_author = |at: &usize| match committed.written(*at).get(&object) {
                        Some(Left::Elements(added)) => added.iter().any(|element| elements.contains(element)),
                        _ => false,
                    };
                    let all = 0..committed.transactions.len();
                    let authors = all.filter(|at| *at != reader && is_author(at)).collect();
                    readings.push(Reading { reader, object, place, versions, elements, authors, missed: None });
                }
                Micro::ReadRows { predicate, rows } => {
                    let mut seen = BTreeMap::new();
                    for (key, value) in rows {
                        if seen.insert(*key, *value).is_some() || !predicate.matches(Some(*value)) {
                            return None;
                        }
                    }
                    for object in committed.objects() {
                        let Object::Row(key) = object else { continue };
                        let value = seen.get(&key);
                        let wanted = |left: Option<i64>| match value {
                            Some(value) => left == Some(*value),
                            None => !predicate.matches(left),
                        };
                        let first = readings.len();
                        row(committed, &own, &mut readings, (reader, place), (key, wanted))?;
                        if value.is_none() {
                            readings[first..].iter_mut().for_each(|reading| reading.missed = Some(place));
                        }
                    }
                }
            }
        }
    }
    // That a row is not in an answer says nothing of the time before the initial state.
    if let Some(initial) = committed.initial() {
        let written = committed.written(initial);
        let others = readings.iter_mut().filter(|reading| reading.reader != initial);
        for reading in others.filter(|reading| reading.missed.is_some() && written.contains_key(&reading.object)) {
            reading.versions.retain(Option::is_some);
        }
    }
    readings.iter().all(|reading| !reading.versions.is_empty()).then_some(readings)
}

/// Adds the read of a row, unless the reader wrote it; `None` if it read something else than it wrote.
fn row(
    committed: &Committed,
    own: &BTreeMap<Object, Left>,
    readings: &mut Vec<Reading>,
    (reader, place): (usize, usize),
    (key, wanted): (u64, impl Fn(Option<i64>) -> bool),
) -> Option<()> {
    let object = Object::Row(key);
    if let Some(Left::Value(value)) = own.get(&object) {
        return wanted(*value).then_some(());
    }
    let mut versions = Vec::new();
    if wanted(None) {
        versions.push(None);
    }
    for writer in (0..committed.transactions.len()).filter(|writer| *writer != reader) {
        if let Some(Left::Value(value)) = committed.written(writer).get(&object)
            && wanted(*value)
        {
            versions.push(Some(writer));
        }
    }
    let (elements, authors) = (Vec::new(), Vec::new());
    readings.push(Reading { reader, object, place, versions, elements, authors, missed: None });
    Some(())
}

/// Every way to choose one version for each reading.
pub fn choices(readings: &[Reading]) -> Vec<Vec<Option<usize>>> {
    let mut choices = vec![Vec::new()];
    for reading in readings {
        let longer = |choice: &Vec<Option<usize>>| {
            let ways = reading.versions.iter().map(|version| choice.iter().copied().chain([*version]).collect());
            ways.collect::<Vec<Vec<Option<usize>>>>()
        };
        choices = choices.iter().flat_map(longer).collect();
    }
    choices
}

/// Whether a read saw all of a list that was appended up to its version, where this is the order of writers.
pub fn is_prefix(committed: &Committed, reading: &Reading, version: Option<usize>, order: &[usize]) -> bool {
    let upto = version.and_then(|version| order.iter().position(|at| *at == version));
    let mut elements = Vec::new();
    for writer in &order[..upto.map_or(0, |upto| upto + 1)] {
        if let Some(Left::Elements(added)) = committed.written(*writer).get(&reading.object) {
            elements.extend_from_slice(added);
        }
    }
    matches!(reading.object, Object::Row(_)) || elements == reading.elements
}
