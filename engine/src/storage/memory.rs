//! Storage in memory: an ordered map. Nothing survives the process; a node that uses it re-applies its whole log.

use std::collections::BTreeMap;

use super::{Batch, Error, KeyRange, Pair, Status, Storage, is_empty_range};

/// An ordered map as a store.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    data: BTreeMap<Vec<u8>, Vec<u8>>,
    size: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn range(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Vec<u8>)> {
        let range = (!is_empty_range(&range)).then_some(range);
        range.map(|range| self.data.range(range)).into_iter().flatten()
    }
}

impl Storage for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.data.get(key).cloned())
    }

    fn scan(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Pair, Error>> + '_ {
        self.range(range).map(|(key, value)| Ok((key.clone(), value.clone())))
    }

    fn scan_keys(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Vec<u8>, Error>> + '_ {
        self.range(range).map(|(key, _)| Ok(key.clone()))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Error> {
        for (key, value) in batch.operations {
            let key_size = key.len() as u64;
            let (added, old) = match value {
                Some(value) => (key_size + value.len() as u64, self.data.insert(key, value)),
                None => (0, self.data.remove(&key)),
            };
            self.size = self.size + added - old.map_or(0, |old| key_size + old.len() as u64);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn status(&self) -> Status {
        Status { name: "memory", keys: self.data.len() as u64, size: self.size, disk_size: 0, live_disk_size: 0 }
    }
}
