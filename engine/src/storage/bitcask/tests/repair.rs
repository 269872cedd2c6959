//! What becomes of a store whose file is given up, of one that a failed sync has left in the page cache, and of one on a
//! full disk.

use super::faulty::{Fault, FaultyDisk, Random};
use super::*;

const DAMAGED: &str = "node/store/data.damaged";
const NEXT: &str = "node/store/data.next";

/// A store of a few batches, all flushed, and what it holds.
fn filled() -> (FaultyDisk, Map) {
    let disk = FaultyDisk::default();
    let mut store = open(&disk, LAZY).unwrap();
    for number in 1..6 {
        store.apply(batch(number, &[(number, Some(300)), (0, Some(700))])).unwrap();
        store.flush().unwrap();
    }
    let map = contents(&store).unwrap();
    (disk, map)
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Disk(error) if error.kind == ErrorKind::NoSpace)
}

#[test]
fn a_damaged_file_is_set_aside_for_an_empty_store() {
    let (disk, _) = filled();
    for round in 0..2 {
        let mut bytes = disk.bytes(DATA).unwrap();
        bytes[FILE_HEADER / 2 + round] ^= 1;
        disk.put(DATA, &bytes);
        assert!(open(&disk, LAZY).err().expect("is damaged").is_loss());
        assert_eq!(disk.bytes(DATA).unwrap(), bytes);
        let mut store = BitCask::open_empty(disk.clone(), DIR, LAZY).unwrap();
        assert_eq!(contents(&store).unwrap(), Map::new());
        assert_eq!(disk.bytes(DAMAGED).unwrap(), bytes, "the latest one is kept");
        store.apply(batch(9, &[(9, Some(9))])).unwrap();
        store.flush().unwrap();
        drop(store);
        disk.crash(|| false);
        assert_eq!(contents(&open(&disk, LAZY).unwrap()).unwrap().len(), 1);
    }
}

/// Whenever power is lost, the old file is there as it was, or an empty store is.
#[test]
fn a_crash_while_a_file_is_set_aside_leaves_one_or_the_other() {
    for seed in 0..10 {
        for at in 0..30 {
            let (disk, map) = filled();
            let mut random = Random(seed << 32 | at);
            disk.crash(|| true);
            disk.fault_at(at as usize, Fault::PowerLoss);
            let done = BitCask::open_empty(disk.clone(), DIR, LAZY).is_ok();
            disk.lose_power(&mut random);
            let found = contents(&open(&disk, LAZY).unwrap()).unwrap();
            assert!(found.is_empty() || (found == map && !done), "at {at}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_loss_and_one_failed_read_is_not() {
    let (disk, map) = filled();
    disk.fail(Some(("read", ErrorKind::Io)));
    let error = open(&disk, LAZY).err().expect("cannot be read");
    assert!(matches!(error, Error::Unreadable(_)), "{error}");
    disk.fail(None);
    let mut reads = 0;
    for at in 0..30 {
        disk.restart_process();
        disk.fault_at(at, Fault::Error);
        let result = open(&disk, LAZY);
        if disk.hit() == Some("read") {
            reads += 1;
            assert_eq!(contents(&result.expect("is tried again")).unwrap(), map);
        }
    }
    assert!(reads > 0);
}

/// After a failed sync the page cache shows bytes that no later sync would write. What is built upon them must not be
/// gone after a power failure.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_made_durable_when_read() {
    let (disk, mut map) = filled();
    let mut store = open(&disk, LAZY).unwrap();
    for number in 10..13 {
        let batch = batch(number, &[(number, Some(900))]);
        map = after(map, &batch);
        store.apply(batch).unwrap();
    }
    disk.fail(Some(("sync", ErrorKind::Io)));
    store.flush().unwrap_err();
    drop(store);
    disk.restart_process();
    let store = open(&disk, LAZY).unwrap();
    assert_eq!(contents(&store).unwrap(), map);
    drop(store);
    disk.crash(|| false);
    assert_eq!(contents(&open(&disk, LAZY).unwrap()).unwrap(), map);
}

/// A compaction that does not fit ends the store. Neither that nor opening it on the full disk loses anything.
#[test]
fn a_full_disk_ends_a_store_and_loses_nothing() {
    for space in [0, 10, 500, 1_500] {
        let (disk, map) = filled();
        let mut store = open(&disk, LAZY).unwrap();
        disk.limit_space(space);
        let error = store.compact().unwrap_err();
        assert!(is_full(&error), "{error}");
        store.get(b"absent").unwrap_err();
        drop(store);
        assert!(disk.exists(NEXT).unwrap(), "there is something to clear away");
        // Still full: it opens, or not if it is to compact at once, and then the same again.
        let busy = BitCaskOptions { compact_garbage_percent: 1, compact_on_open: true, ..LAZY };
        assert!(is_full(&open(&disk, busy).err().expect("does not fit")));
        assert_eq!(contents(&open(&disk, LAZY).unwrap()).unwrap(), map);
        assert!(!disk.exists(NEXT).unwrap());
        disk.restart_process();
        let mut store = open(&disk, busy).unwrap();
        assert_eq!(contents(&store).unwrap(), map);
        store.apply(batch(9, &[(9, Some(9))])).unwrap();
        assert_eq!(contents(&store).unwrap().len(), map.len() + 1);
    }
}

/// A batch that does not fit ends the store, and is gone as a whole.
#[test]
fn a_batch_that_does_not_fit_is_cut() {
    let (disk, map) = filled();
    let mut store = open(&disk, LAZY).unwrap();
    disk.limit_space(200);
    assert!(is_full(&store.apply(batch(9, &[(9, Some(600))])).unwrap_err()));
    drop(store);
    assert_eq!(contents(&open(&disk, LAZY).unwrap()).unwrap(), map);
    disk.crash(|| true);
    let mut store = open(&disk, LAZY).unwrap();
    assert_eq!(contents(&store).unwrap(), map);
    store.apply(batch(9, &[(9, Some(600))])).unwrap();
}
