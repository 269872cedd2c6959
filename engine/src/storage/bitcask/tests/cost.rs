//! What operations cost, when compaction happens, and what is refused.

use super::*;
use crate::disk::{ErrorKind, MemCounters};

/// What an action did to the disk.
fn cost<T>(disk: &MemDisk, action: impl FnOnce() -> T) -> MemCounters {
    let before = disk.counters();
    action();
    let after = disk.counters();
    MemCounters {
        reads: after.reads - before.reads,
        writes: after.writes - before.writes,
        syncs: after.syncs - before.syncs,
        directory_syncs: after.directory_syncs - before.directory_syncs,
    }
}

#[test]
fn each_operation_touches_the_disk_once() {
    let none = MemCounters::default();
    let disk = MemDisk::new();
    let mut store = open(&disk, BitCaskOptions::default()).unwrap();
    let operations: Vec<_> = (0..100).map(|key| (key, Some(100))).collect();
    assert_eq!(cost(&disk, || store.apply(batch(1, &operations)).unwrap()), MemCounters { writes: 1, ..none });
    assert_eq!(cost(&disk, || store.apply(Batch::default()).unwrap()), none);
    assert_eq!(cost(&disk, || store.flush().unwrap()), MemCounters { syncs: 1, ..none });
    assert_eq!(cost(&disk, || store.flush().unwrap()), none, "nothing to flush");
    assert_eq!(cost(&disk, || store.get(&[b'k', 7]).unwrap().unwrap()), MemCounters { reads: 1, ..none });
    assert_eq!(cost(&disk, || store.get(b"absent").unwrap()), none);
    let all = || (Bound::Unbounded, Bound::Unbounded);
    assert_eq!(cost(&disk, || store.scan(all()).take(3).count()), MemCounters { reads: 3, ..none }, "scans stream");
    assert_eq!(cost(&disk, || store.scan_keys(all()).count()), none);
    assert_eq!(cost(&disk, || store.status()), none);
    let compaction = cost(&disk, || store.compact().unwrap());
    assert_eq!(compaction, MemCounters { reads: 100, writes: 2, syncs: 1, directory_syncs: 1 });
    assert_eq!(cost(&disk, || store.flush().unwrap()), none, "a compaction flushes");
}

#[test]
fn compaction_comes_when_both_thresholds_are_passed() {
    let options = BitCaskOptions { compact_garbage_bytes: 500, compact_garbage_percent: 40, compact_on_open: false };
    let disk = MemDisk::new();
    let mut store = open(&disk, options).unwrap();
    store.apply(batch(0, &[(0, Some(2_000))])).unwrap();
    let mut compactions = 0;
    for number in 0..200 {
        let before = store.status();
        store.apply(batch(number, &[(1, Some(50))])).unwrap();
        let status = store.status();
        assert!(status.garbage_disk_size() < 500 || status.garbage_disk_size() * 100 < status.disk_size * 40);
        if status.disk_size < before.disk_size {
            compactions += 1;
            // By the percentage, 40 % of what is live and 60 % of what it then is: the bytes were passed long before.
            assert!(before.garbage_disk_size() > 1_300, "{before:?}");
            assert_eq!(status.garbage_disk_size(), RECORD_HEADER as u64, "one record is left");
        }
    }
    assert!(compactions >= 9, "{compactions}");
    assert_eq!(store.generation, 1 + compactions);
    assert_eq!(store.get(&[b'k', 1]).unwrap(), Some(vec![199; 50]));
}

#[test]
fn opening_compacts_only_when_it_shall() {
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    for number in 0..5 {
        store.apply(batch(number, &[(1, Some(100))])).unwrap();
    }
    let garbage = store.status().garbage_disk_size();
    drop(store);
    for (percent, on_open, compacts) in [(10, false, false), (90, true, false), (70, true, true)] {
        let options = BitCaskOptions {
            compact_garbage_bytes: u64::MAX,
            compact_garbage_percent: percent,
            compact_on_open: on_open,
        };
        let store = open(&disk, options).unwrap();
        assert_eq!(store.status().garbage_disk_size() < garbage, compacts, "{options:?}");
        assert_eq!(contents(&store).unwrap().len(), 1);
    }
}

/// A compaction that takes many records, some with many pairs, some with one that is larger than a record should be.
#[test]
fn a_large_store_is_compacted_record_by_record() {
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    let mut expected = Map::new();
    for number in 0..40_u8 {
        let len = if number % 10 == 3 { 3 << 20 } else { 200_000 };
        for batch in [batch(number, &[(number, Some(77))]), batch(number, &[(number, Some(len)), (99, Some(1))])] {
            expected = after(expected, &batch);
            store.apply(batch).unwrap();
        }
    }
    store.apply(batch(0, &[(99, None)])).unwrap();
    expected.remove(&vec![b'k', 99]);
    store.compact().unwrap();
    assert_eq!(contents(&store).unwrap(), expected);
    let status = store.status();
    assert!(status.garbage_disk_size() < 24 * 15, "{status:?}");
    assert!(bytes_of(&disk).len() as u64 == status.disk_size);
    drop(store);
    let store = open(&disk, LAZY).unwrap();
    assert_eq!(contents(&store).unwrap(), expected);
    assert_eq!(store.status(), status);
}

#[test]
fn only_one_may_have_it_open() {
    let disk = MemDisk::new();
    let store = open(&disk, LAZY).unwrap();
    let locked = |result: Result<BitCask<MemDisk>, Error>| match result.err().expect("must be refused") {
        Error::Disk(error) => assert_eq!(error.kind, ErrorKind::Locked),
        error => panic!("{error}"),
    };
    locked(open(&disk, LAZY));
    let other = BitCask::open(disk.clone(), "node/other", LAZY).unwrap();
    locked(open(&disk, LAZY));
    drop((store, other));
    drop(open(&disk, LAZY).unwrap());
    // A store may also be at the root of its disk.
    let root = MemDisk::new();
    let mut store = BitCask::open(root.clone(), "", LAZY).unwrap();
    store.apply(batch(1, &[(1, Some(1))])).unwrap();
    drop(store);
    assert_eq!(root.list("").unwrap(), ["data", "lock"]);
    assert_eq!(BitCask::open(root, "", LAZY).unwrap().status().keys, 1);
}

/// Too large is refused before anything is touched, and the store goes on.
#[test]
fn what_is_too_large_is_refused() {
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    store.apply(batch(1, &[(1, Some(1))])).unwrap();
    let status = store.status();
    // Zeroed memory that nobody touches costs nothing.
    let zeros = |len| vec![0_u8; len];
    let mut refuse = |operations: Vec<(Vec<u8>, Option<Vec<u8>>)>, expected: &str| {
        let error = cost_of_refusal(&disk, || store.apply(Batch { operations }).unwrap_err());
        assert_eq!(error.to_string(), expected);
    };
    refuse(vec![(zeros(MAX_KEY + 1), None)], "key of 16777217 bytes is over the limit of 16777216");
    let value = Some(zeros(MAX_VALUE + 1));
    refuse(
        vec![(vec![1], Some(vec![])), (vec![2], value)],
        "value of 1073741825 bytes is over the limit of 1073741824",
    );
    let value = || Some(zeros(MAX_VALUE));
    refuse(vec![(vec![1], value()), (vec![2], value())], "batch of 2147483666 bytes is over the limit of 2147483648");
    assert_eq!(store.status(), status);
    store.apply(batch(2, &[(2, Some(2))])).unwrap();
    let mut largest_key = Batch::default();
    largest_key.set(zeros(MAX_KEY), vec![1]);
    store.apply(largest_key).unwrap();
    assert_eq!(contents(&store).unwrap().len(), 3);
    assert!(store.record.capacity() > MAX_KEY);
    store.apply(batch(3, &[(3, Some(3))])).unwrap();
    assert!(store.record.capacity() <= KEEP_BUFFER, "a buffer for a large batch is given back");
}

fn cost_of_refusal<T>(disk: &MemDisk, action: impl FnOnce() -> T) -> T {
    let mut result = None;
    assert_eq!(cost(disk, || result = Some(action())), MemCounters::default());
    result.expect("it ran")
}
