//! Ordered key-value storage with atomic batches.
//!
//! [`Storage::apply`] changes many keys at once: after a crash either all of a batch is there or none of it, and
//! what is there is always a prefix of the applied batches. A batch is durable only after [`Storage::flush`]; in a
//! cluster the Raft log is what makes commits durable, and a restarted node re-applies what storage had lost.

mod bitcask;
mod memory;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Bound;

pub use bitcask::{BitCask, BitCaskOptions};
pub use memory::Memory;

use crate::disk;

/// A range of keys, either end open or closed.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A key, and its value where the store has it at hand; else [`Storage::get`] reads it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// An ordered key-value store.
pub trait Storage {
    /// Reads one value.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;
    /// Iterates over a range in key order; `next_back` goes the other way. A range whose start is after its end is empty.
    fn scan(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Pair, Error>> + '_;
    /// Iterates over the keys of a range without reading values.
    fn scan_keys(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Vec<u8>, Error>> + '_;
    /// Iterates over a range without copying what the store has at hand.
    fn entries(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Entry<'_>, Error>> + '_ {
        self.scan_keys(range).map(|key| Ok(Entry { key: Cow::Owned(key?), value: None }))
    }
    /// The last key that is not after a key.
    fn last_up_to(&self, key: &[u8]) -> Result<Option<Entry<'_>>, Error> {
        self.entries((Bound::Unbounded, Bound::Included(key.to_vec()))).next_back().transpose()
    }
    /// Applies a batch atomically, in order: a later operation on a key wins. Durable after [`Storage::flush`].
    fn apply(&mut self, batch: Batch) -> Result<(), Error>;
    /// Makes all applied batches durable.
    fn flush(&mut self) -> Result<(), Error>;
    /// Sizes and counts.
    fn status(&self) -> Status;
}

/// Operations that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Keys in order of the calls, with the new value or `None` for a removal.
    pub operations: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a key.
    pub fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.operations.push((key, Some(value)));
    }

    /// Removes a key, which need not exist.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.operations.push((key, None));
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

/// What a store holds. Sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The kind of store.
    pub name: &'static str,
    /// Live keys.
    pub keys: u64,
    /// Size of the live keys and values.
    pub size: u64,
    /// Size on disk, 0 when the store has none.
    pub disk_size: u64,
    /// Size on disk of what holds the live keys and values.
    pub live_disk_size: u64,
}

impl Status {
    /// Size on disk of what compaction would drop.
    pub fn garbage_disk_size(&self) -> u64 {
        self.disk_size - self.live_disk_size
    }
}

/// Why storage cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// Data that was durable does not match its checksum, or makes no sense.
    #[error("{path:?} is corrupt at byte {offset}: {reason}")]
    Corrupt {
        /// The file.
        path: String,
        /// Where the bad record starts.
        offset: u64,
        /// What does not hold.
        reason: String,
    },
    /// Data that is needed to open cannot be read, however often it is tried ([`disk::READ_TRIES`]).
    #[error("{0}, again and again")]
    Unreadable(disk::Error),
    /// Where a node's log should be, there is none: the disk is new, or was wiped.
    #[error("{path:?} is not there, or empty: this disk was never formatted, or has lost what it held")]
    NotFormatted {
        /// The file that is missing.
        path: String,
    },
    /// A value does not decode.
    #[error(transparent)]
    Encoding(#[from] crate::encoding::Error),
    /// A key or a value is longer than the format can hold.
    #[error("{what} of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// `key` or `value` or `batch`.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The most that is allowed.
        limit: usize,
    },
}

impl Error {
    /// Whether it says that stored data is lost, and not that the disk failed to do something now.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Unreadable(_) | Self::NotFormatted { .. })
    }

    /// The error of a read that was tried again and again.
    pub(crate) fn from_read(error: disk::Error) -> Self {
        if error.kind == disk::ErrorKind::Io { Self::Unreadable(error) } else { Self::Disk(error) }
    }
}

/// Whether a range certainly holds no key because it ends before it starts. (`BTreeMap` panics on such ranges.)
pub(crate) fn is_empty_range(range: &KeyRange) -> bool {
    match range {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
    }
}
