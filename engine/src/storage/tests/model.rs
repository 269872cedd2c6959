//! Arbitrary operations on each store and on a map, compared step by step.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use bolero::{TypeGenerator, check};

use super::super::*;
use super::{InMemory, OnDisk, Subject, busy, frantic, lazy};
use crate::disk::MemDisk;

/// One key of few, so that they meet.
#[derive(Clone, Debug, TypeGenerator)]
struct Key(u8);

impl Key {
    fn bytes(&self) -> Vec<u8> {
        const KEYS: [&[u8]; 9] = [b"", &[0], &[0, 0], b"a", b"a\0", b"ab", b"b", &[0xff], &[0xff, 0xff]];
        KEYS[usize::from(self.0) % KEYS.len()].to_vec()
    }
}

/// One end of a range.
#[derive(Clone, Debug, TypeGenerator)]
enum End {
    Included(Key),
    Excluded(Key),
    Unbounded,
}

impl End {
    fn bound(&self) -> Bound<Vec<u8>> {
        match self {
            Self::Included(key) => Bound::Included(key.bytes()),
            Self::Excluded(key) => Bound::Excluded(key.bytes()),
            Self::Unbounded => Bound::Unbounded,
        }
    }
}

/// A value, some of them longer than a sector.
#[derive(Clone, Debug, TypeGenerator)]
struct Value(u8, u8);

impl Value {
    fn bytes(&self) -> Vec<u8> {
        const LENGTHS: [usize; 5] = [0, 1, 7, 30, 700];
        vec![self.0; LENGTHS[usize::from(self.1) % LENGTHS.len()]]
    }
}

fn batch(operations: &[(Key, Option<Value>)]) -> Batch {
    let bytes = |(key, value): &(Key, Option<Value>)| (key.bytes(), value.as_ref().map(Value::bytes));
    Batch { operations: operations.iter().map(bytes).collect() }
}

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    Apply(Vec<(Key, Option<Value>)>),
    Get(Key),
    /// The bits say which end to take from next; past the last bit it is the front.
    Scan(End, End, u16),
    ScanKeys(End, End, u16),
    Flush,
    Reopen,
}

/// Takes all items, from either end as the bits say, and returns them in order.
fn drain<T>(mut scan: impl DoubleEndedIterator<Item = Result<T, Error>>, mut bits: u16) -> Vec<T> {
    let (mut front, mut back) = (Vec::new(), Vec::new());
    loop {
        let from_back = bits & 1 == 1;
        bits >>= 1;
        let Some(item) = (if from_back { scan.next_back() } else { scan.next() }) else { break };
        if from_back { &mut back } else { &mut front }.push(item.expect("scans"));
    }
    assert!(scan.next().is_none() && scan.next_back().is_none(), "the end is the end");
    front.extend(back.into_iter().rev());
    front
}

fn play(mut subject: impl Subject, steps: &[Step]) {
    let mut store = subject.open();
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Apply(operations) => {
                let batch = batch(operations);
                for (key, value) in batch.operations.iter().cloned() {
                    match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                }
                store.apply(batch).expect("applies");
            }
            Step::Get(key) => {
                assert_eq!(store.get(&key.bytes()).expect("reads"), model.get(&key.bytes()).cloned());
            }
            Step::Scan(start, end, bits) => {
                let range = (start.bound(), end.bound());
                let inside = model.iter().filter(|(key, _)| range.contains(*key));
                let expected: Vec<Pair> = inside.map(|(key, value)| (key.clone(), value.clone())).collect();
                assert_eq!(drain(store.scan(range.clone()), *bits), expected);
            }
            Step::ScanKeys(start, end, bits) => {
                let range = (start.bound(), end.bound());
                let expected: Vec<Vec<u8>> = model.keys().filter(|key| range.contains(*key)).cloned().collect();
                assert_eq!(drain(store.scan_keys(range.clone()), *bits), expected);
            }
            Step::Flush => store.flush().expect("flushes"),
            Step::Reopen => store = subject.reopen(store),
        }
        let status = store.status();
        assert_eq!(status.keys, model.len() as u64);
        assert_eq!(status.size, model.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>());
        if status.disk_size > 0 {
            assert_eq!(status.live_disk_size, 24 + status.size + 8 * status.keys);
        }
        assert!(status.live_disk_size <= status.disk_size);
    }
    store = subject.reopen(store);
    let left: BTreeMap<_, _> = store.scan(super::all()).collect::<Result<_, _>>().expect("scans");
    assert_eq!(left, model);
}

fn compare<S: Subject>(subject: impl Fn() -> S + std::panic::RefUnwindSafe, iterations: usize) {
    check!().with_type::<Vec<Step>>().with_iterations(iterations).for_each(|steps| play(subject(), steps));
}

#[test]
fn memory_is_a_map() {
    compare(|| InMemory, 2_000);
}

#[test]
fn bitcask_is_a_map() {
    compare(|| OnDisk(MemDisk::new(), lazy()), 1_000);
}

#[test]
fn bitcask_is_a_map_while_it_compacts() {
    compare(|| OnDisk(MemDisk::new(), busy()), 1_000);
    compare(|| OnDisk(MemDisk::new(), frantic()), 500);
}

/// Sizes are the same after reopening, when nothing was compacted.
#[test]
fn bitcask_counts_the_same_after_reopening() {
    check!().with_type::<Vec<Vec<(Key, Option<Value>)>>>().with_iterations(500).for_each(|batches| {
        let mut subject = OnDisk(MemDisk::new(), lazy());
        let mut store = subject.open();
        for operations in batches {
            store.apply(batch(operations)).expect("applies");
        }
        let before = store.status();
        assert_eq!(subject.reopen(store).status(), before);
    });
}
