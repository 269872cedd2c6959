//! A transaction's own state: its snapshot, the writes it buffers, and the reads that its commit will validate.
//!
//! The state is plain data and serialisable: it can be kept, sent, and resumed over any replica that has reached the
//! snapshot.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::{Error, Isolation, Read, Savepoint, Scan, Store, Transaction, Version};
use crate::storage::{KeyRange, Pair, Storage, is_empty_range};

/// A running transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Txn {
    snapshot: Version,
    isolation: Isolation,
    read_only: bool,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What `writes` held before each write: nothing, or an earlier write of this transaction.
    undo: Vec<(Vec<u8>, Option<Option<Vec<u8>>>)>,
    reads: RefCell<Reads>,
}

/// The reads that a commit validates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Reads {
    keys: BTreeSet<Vec<u8>>,
    ranges: Vec<KeyRange>,
}

/// A transaction that asks to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The position that it read at.
    pub snapshot: Version,
    /// Its writes by key; `None` is a removal.
    pub writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Keys that must not have changed since the snapshot.
    pub read_keys: Vec<Vec<u8>>,
    /// Ranges in which nothing must have changed since the snapshot.
    pub read_ranges: Vec<KeyRange>,
}

/// Why a commit is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A written key has a newer version.
    Write {
        /// The key.
        key: Vec<u8>,
        /// The newer version.
        version: Version,
    },
    /// A validated read has a newer version.
    Read {
        /// The key, or the start of the range.
        key: Vec<u8>,
        /// The newer version.
        version: Version,
    },
    /// The snapshot is below the watermark.
    TooOld {
        /// The watermark.
        watermark: Version,
    },
}

impl Txn {
    /// A transaction at a snapshot.
    pub fn new(snapshot: Version, isolation: Isolation, read_only: bool) -> Self {
        let (writes, undo, reads) = Default::default();
        Self { snapshot, isolation, read_only, writes, undo, reads }
    }

    /// The position that it reads at.
    pub fn snapshot(&self) -> Version {
        self.snapshot
    }

    /// How isolated it is.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Whether it was opened to only read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether there is something to commit.
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// What its commit consists of.
    pub fn into_commit(self) -> Commit {
        let Reads { keys, ranges } = self.reads.into_inner();
        // A key that is written is checked as such.
        let read_keys = keys.into_iter().filter(|key| !self.writes.contains_key(key)).collect();
        Commit { snapshot: self.snapshot, writes: self.writes.into_iter().collect(), read_keys, read_ranges: ranges }
    }

    fn validates(&self, read: Read) -> bool {
        !self.read_only && (read != Read::Data || self.isolation == Isolation::Serializable)
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), Error> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        let before = self.writes.insert(key.clone(), value);
        self.undo.push((key, before));
        Ok(())
    }
}

/// A transaction over a store: what the SQL layer runs on.
pub struct View<'a, S: Storage> {
    store: &'a Store<S>,
    txn: &'a mut Txn,
}

impl<'a, S: Storage> View<'a, S> {
    /// Runs `txn` over a replica's store, which must have reached its snapshot.
    pub fn new(store: &'a Store<S>, txn: &'a mut Txn) -> Self {
        Self { store, txn }
    }
}

impl<S: Storage> Transaction for View<'_, S> {
    fn get(&self, key: &[u8], read: Read) -> Result<Option<Vec<u8>>, Error> {
        if let Some(value) = self.txn.writes.get(key) {
            return Ok(value.clone());
        }
        if self.txn.validates(read) {
            let mut reads = self.txn.reads.borrow_mut();
            if !reads.keys.contains(key) {
                reads.keys.insert(key.to_vec());
            }
        }
        self.store.snapshot_get(key, self.txn.snapshot)
    }

    fn scan(&self, range: KeyRange, read: Read) -> Result<Scan<'_>, Error> {
        if self.txn.validates(read) {
            let mut reads = self.txn.reads.borrow_mut();
            if !reads.ranges.contains(&range) {
                reads.ranges.push(range.clone());
            }
        }
        let stored = self.store.snapshot_scan(range.clone(), self.txn.snapshot)?;
        if self.txn.writes.is_empty() || is_empty_range(&range) {
            return Ok(stored);
        }
        let bound = |bound: &Bound<Vec<u8>>| bound.clone();
        let own = self.txn.writes.range::<Vec<u8>, _>((bound(&range.0), bound(&range.1)));
        Ok(Box::new(Merge { stored, own, stored_front: None, stored_back: None, own_front: None, own_back: None }))
    }

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Error> {
        self.txn.write(key, Some(value))
    }

    fn delete(&mut self, key: Vec<u8>) -> Result<(), Error> {
        self.txn.write(key, None)
    }

    fn savepoint(&self) -> Savepoint {
        Savepoint(self.txn.undo.len())
    }

    fn rollback_to(&mut self, savepoint: Savepoint) {
        assert!(savepoint.0 <= self.txn.undo.len(), "the savepoint is of an earlier state of this transaction");
        for (key, before) in self.txn.undo.drain(savepoint.0..).rev() {
            match before {
                Some(value) => self.txn.writes.insert(key, value),
                None => self.txn.writes.remove(&key),
            };
        }
    }
}

type Own<'a> = (&'a Vec<u8>, &'a Option<Vec<u8>>);

/// Lays a transaction's own writes over what is stored, from both ends.
struct Merge<'a, I: Iterator<Item = Own<'a>>> {
    stored: Scan<'a>,
    own: I,
    /// What each end has taken from either side and not given out yet.
    stored_front: Option<Pair>,
    stored_back: Option<Pair>,
    own_front: Option<Own<'a>>,
    own_back: Option<Own<'a>>,
}

impl<'a, I: DoubleEndedIterator<Item = Own<'a>>> Merge<'a, I> {
    fn try_next(&mut self) -> Result<Option<Pair>, Error> {
        loop {
            if self.stored_front.is_none() {
                self.stored_front = self.stored.next().transpose()?.or_else(|| self.stored_back.take());
            }
            if self.own_front.is_none() {
                self.own_front = self.own.next().or_else(|| self.own_back.take());
            }
            let Some((key, value)) = self.own_front else { return Ok(self.stored_front.take()) };
            match &self.stored_front {
                Some((stored, _)) if stored < key => return Ok(self.stored_front.take()),
                Some((stored, _)) if stored == key => self.stored_front = None,
                _ => {}
            }
            self.own_front = None;
            if let Some(value) = value {
                return Ok(Some((key.clone(), value.clone())));
            }
        }
    }

    fn try_next_back(&mut self) -> Result<Option<Pair>, Error> {
        loop {
            if self.stored_back.is_none() {
                self.stored_back = self.stored.next_back().transpose()?.or_else(|| self.stored_front.take());
            }
            if self.own_back.is_none() {
                self.own_back = self.own.next_back().or_else(|| self.own_front.take());
            }
            let Some((key, value)) = self.own_back else { return Ok(self.stored_back.take()) };
            match &self.stored_back {
                Some((stored, _)) if stored > key => return Ok(self.stored_back.take()),
                Some((stored, _)) if stored == key => self.stored_back = None,
                _ => {}
            }
            self.own_back = None;
            if let Some(value) = value {
                return Ok(Some((key.clone(), value.clone())));
            }
        }
    }
}

impl<'a, I: DoubleEndedIterator<Item = Own<'a>>> Iterator for Merge<'a, I> {
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

impl<'a, I: DoubleEndedIterator<Item = Own<'a>>> DoubleEndedIterator for Merge<'a, I> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.try_next_back().transpose()
    }
}
