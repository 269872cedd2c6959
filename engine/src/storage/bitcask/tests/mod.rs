//! BitCask on disks that fail, lose power and rot, and what it costs on one that does not.

mod cost;
mod crash;
mod damage;
mod repair;

use std::collections::BTreeMap;
use std::ops::Bound;

use super::*;
use crate::disk::MemDisk;
use crate::disk::faulty;

const DIR: &str = "node/store";
const DATA: &str = "node/store/data";

/// Never compacts by itself.
const LAZY: BitCaskOptions =
    BitCaskOptions { compact_garbage_bytes: u64::MAX, compact_garbage_percent: 100, compact_on_open: false };

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn open<D: Disk>(disk: &D, options: BitCaskOptions) -> Result<BitCask<D>, Error> {
    BitCask::open(disk.clone(), DIR, options)
}

/// All pairs, each read also by its key.
fn contents<D: Disk>(store: &BitCask<D>) -> Result<Map, Error> {
    let map: Map = store.scan((Bound::Unbounded, Bound::Unbounded)).collect::<Result<_, _>>()?;
    for (key, value) in &map {
        assert_eq!(store.get(key)?.as_ref(), Some(value));
    }
    assert_eq!(store.status().keys, map.len() as u64);
    Ok(map)
}

/// What a map is after a batch.
fn after(mut map: Map, batch: &Batch) -> Map {
    for (key, value) in batch.operations.iter().cloned() {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
    map
}

/// A batch of operations: keys with the length of their new value, or `None` for a removal. The value tells which batch it
/// came from.
fn batch(number: u8, operations: &[(u8, Option<usize>)]) -> Batch {
    let operation = |&(key, len): &(u8, Option<usize>)| (vec![b'k', key], len.map(|len| vec![number; len]));
    Batch { operations: operations.iter().map(operation).collect() }
}

/// A disk with these bytes as its data file.
fn disk_with(bytes: &[u8]) -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir(DIR).unwrap();
    disk.open(DATA).unwrap().write_at(bytes, 0).unwrap();
    disk
}

/// The bytes of a disk's data file.
fn bytes_of(disk: &MemDisk) -> Vec<u8> {
    let file = disk.open(DATA).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}
