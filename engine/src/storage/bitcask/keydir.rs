//! Where the value of each live key is, and what the live pairs amount to.

use std::collections::BTreeMap;
use std::collections::btree_map::{IterMut, Range};

use super::format::OPERATION_HEADER;
use crate::storage::{KeyRange, is_empty_range};

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its first byte in the data file.
    pub offset: u64,
    /// Its length.
    pub len: u32,
    /// Its checksum: what is read later must still match.
    pub crc: u32,
}

/// The live keys, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keydir {
    entries: BTreeMap<Vec<u8>, Entry>,
    size: u64,
}

impl Keydir {
    pub(super) fn get(&self, key: &[u8]) -> Option<Entry> {
        self.entries.get(key).copied()
    }

    /// The entries of a range, which may be any.
    pub(super) fn range(&self, range: KeyRange) -> Range<'_, Vec<u8>, Entry> {
        if is_empty_range(&range) { Range::default() } else { self.entries.range(range) }
    }

    /// All entries, to move their values: their keys and lengths stay.
    pub(super) fn iter_mut(&mut self) -> IterMut<'_, Vec<u8>, Entry> {
        self.entries.iter_mut()
    }

    /// Sets a key's entry, or removes it.
    pub(super) fn put(&mut self, key: Vec<u8>, entry: Option<Entry>) {
        let key_len = key.len() as u64;
        let (added, old) = match entry {
            Some(entry) => (key_len + u64::from(entry.len), self.entries.insert(key, entry)),
            None => (0, self.entries.remove(&key)),
        };
        self.size = self.size + added - old.map_or(0, |old| key_len + u64::from(old.len));
    }

    /// Live keys.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Bytes of the live keys and values.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the operations that set the live keys.
    pub(super) fn disk_size(&self) -> u64 {
        self.size + self.len() * OPERATION_HEADER as u64
    }
}
