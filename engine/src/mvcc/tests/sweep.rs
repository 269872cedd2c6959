//! Garbage collection that is interrupted, at each batch and again while it is finished.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::rc::Rc;

use bolero::check;

use crate::mvcc::{Store, Version};
use crate::storage::{Batch, Error, KeyRange, Memory, Pair, Status, Storage};

/// A storage that keeps what it held after each batch: what a crash there would leave.
#[derive(Clone, Default)]
struct Recorder {
    memory: Memory,
    states: Rc<RefCell<Vec<Memory>>>,
}

impl Recorder {
    fn of(memory: Memory) -> Self {
        Self { memory, states: Rc::default() }
    }
}

impl Storage for Recorder {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.memory.get(key)
    }

    fn scan(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Pair, Error>> + '_ {
        self.memory.scan(range)
    }

    fn scan_keys(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Vec<u8>, Error>> + '_ {
        self.memory.scan_keys(range)
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Error> {
        self.memory.apply(batch)?;
        self.states.borrow_mut().push(self.memory.clone());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.memory.flush()
    }

    fn status(&self) -> Status {
        self.memory.status()
    }
}

/// All that can be read at some positions.
fn readable(store: &Store<impl Storage>, positions: RangeInclusive<Version>) -> Vec<Vec<Pair>> {
    positions
        .map(|at| {
            let scan = store.snapshot_scan((Bound::Unbounded, Bound::Unbounded), at).unwrap();
            scan.map(Result::unwrap).collect()
        })
        .collect()
}

type Commit = Vec<(u8, Option<u8>)>;

/// The writes of a dozen commits to few keys.
fn writes(commits: &[Commit]) -> impl Iterator<Item = BTreeMap<Vec<u8>, Option<Vec<u8>>>> {
    commits
        .iter()
        .take(12)
        .map(|writes| writes.iter().map(|(key, value)| (vec![key % 5], value.map(|value| vec![value]))).collect())
}

#[test]
fn an_interrupted_sweep_is_finished() {
    let mut most = 0;
    check!().with_type::<(Vec<Commit>, u8, u8)>().with_iterations(1_000).for_each(|(commits, first, second)| {
        let mut store = Store::new(Recorder::default()).unwrap();
        for (version, writes) in (1..).zip(writes(commits)) {
            store.commit(version, writes, []).unwrap();
        }
        for chosen in [first, second] {
            let watermark = (store.applied() * u64::from(*chosen) / 255).max(store.watermark());
            let positions = watermark..=store.applied();
            let before = readable(&store, positions.clone());
            store.storage().states.borrow_mut().clear();
            store.collect(store.applied() + 1, watermark).unwrap();
            assert_eq!(readable(&store, positions.clone()), before);
            let states = store.storage().states.borrow().clone();
            most = most.max(states.len());
            for state in states {
                let reopened = Store::new(Recorder::of(state)).unwrap();
                assert_eq!(reopened.watermark(), watermark);
                assert_eq!(readable(&reopened, positions.clone()), before);
                assert_eq!(reopened.digest().unwrap(), store.digest().unwrap());
                for state in reopened.storage().states.borrow().iter() {
                    let again = Store::new(Recorder::of(state.clone())).unwrap();
                    assert_eq!(again.digest().unwrap(), store.digest().unwrap());
                }
            }
        }
    });
    assert!(most >= 3, "no sweep needed several batches");
}

/// What is left of a key is what the snapshots from the watermark on need, and no more.
#[test]
fn a_sweep_leaves_no_garbage() {
    check!().with_type::<(Vec<Commit>, u8)>().with_iterations(2_000).for_each(|(commits, chosen)| {
        let mut store = Store::new(Memory::new()).unwrap();
        let mut versions = BTreeSet::new();
        for (version, writes) in (1..).zip(writes(commits)) {
            versions.extend(writes.iter().map(|(key, value)| (key.clone(), version, value.is_none())));
            store.commit(version, writes, []).unwrap();
        }
        let watermark = store.applied() * u64::from(*chosen) / 255;
        let needed = versions.iter().filter(|(key, version, tombstone)| {
            let newer = versions.iter().any(|(k, v, _)| k == key && v > version && *v <= watermark);
            *version > watermark || !newer && !tombstone
        });
        let needed = needed.count() as u64;
        let removed = store.collect(store.applied() + 1, watermark).unwrap();
        assert_eq!(removed, versions.len() as u64 - needed);
        // Beside the versions there are the store's three positions.
        assert_eq!(store.storage().status().keys, needed + 3);
        assert_eq!(store.collect(store.applied() + 1, watermark).unwrap(), 0);
    });
}

#[test]
fn positions_out_of_order_are_refused() {
    use crate::mvcc::layout::{APPLIED, SWEPT, WATERMARK};
    let open = |positions: [u64; 3]| {
        let mut memory = Memory::new();
        let mut batch = Batch::default();
        for (key, position) in [APPLIED, WATERMARK, SWEPT].into_iter().zip(positions) {
            batch.set(key.to_vec(), position.to_be_bytes().to_vec());
        }
        memory.apply(batch).unwrap();
        Store::new(memory).map(|store| (store.applied(), store.watermark()))
    };
    assert_eq!(open([3, 2, 1]).unwrap(), (3, 2));
    assert!(open([1, 2, 2]).unwrap_err().to_string().contains("applied 1, watermark 2, swept 2 are out of order"));
    assert!(open([3, 1, 2]).is_err());
}
