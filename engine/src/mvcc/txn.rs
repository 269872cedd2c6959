//! A transaction's own state: its snapshot, the writes it buffers, and the reads that its commit will validate.
//!
//! The state is plain data and serialisable: it can be kept, sent, and resumed over any replica that has reached the
//! snapshot.

use std::cell::RefCell;
use std::collections::{BTreeMap, btree_map};

use serde::{Deserialize, Serialize};

use super::reads::Reads;
use super::{Change, Error, Isolation, Read, RowNumber, Savepoint, Store, Version};
use crate::storage::{KeyRange, Storage};

/// A running transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Txn {
    snapshot: Version,
    isolation: Isolation,
    read_only: bool,
    writes: BTreeMap<Vec<u8>, Change>,
    /// What `writes` held before each write: nothing, or an earlier write of this transaction.
    undo: Vec<(Vec<u8>, Option<Change>)>,
    reads: RefCell<Reads>,
    /// The client, and its number for the transaction.
    identity: (u64, u64),
    /// How many row numbers it has given.
    rows: u64,
    /// Whether nobody else commits between its snapshot and its commit. One that is kept or sent is not.
    #[serde(skip)]
    alone: bool,
}

/// A transaction that asks to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The position that it read at.
    pub snapshot: Version,
    /// Its writes in ascending order of their keys, each key once; `None` is a removal.
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
        /// The key; in a range, the first one that changed.
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
        let (writes, undo, reads, identity, rows, alone) = Default::default();
        Self { snapshot, isolation, read_only, writes, undo, reads, identity, rows, alone }
    }

    /// Says who the transaction is: its client, and the client's number for it. No other transaction at the same snapshot may
    /// have the same identity, unless at most one of them can commit.
    #[must_use]
    pub fn identified(self, client: u64, number: u64) -> Self {
        Self { identity: (client, number), ..self }
    }

    /// Says that nobody else commits before the transaction does, as with a single statement of an embedded database: what it
    /// reads need not be kept for validation. Who says so has to see to it that the store is at the snapshot still when
    /// it commits.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// See [`Txn::alone`].
    pub fn is_alone(&self) -> bool {
        self.alone
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
        let (keys, read_ranges) = self.reads.into_inner().into_parts();
        // A key that is written is checked as such.
        let read_keys = keys.into_iter().filter(|key| !self.writes.contains_key(key)).collect();
        Commit { snapshot: self.snapshot, writes: self.writes.into_iter().collect(), read_keys, read_ranges }
    }

    /// What it has written at a key; inside, `None` is a removal.
    pub(super) fn own(&self, key: &[u8]) -> Option<&Change> {
        self.writes.get(key)
    }

    /// What it has written in a range, which must not end before it starts.
    pub(super) fn own_in(&self, (start, end): &KeyRange) -> btree_map::Range<'_, Vec<u8>, Change> {
        self.writes.range::<Vec<u8>, _>((start.as_ref(), end.as_ref()))
    }

    /// What each write has replaced, in order.
    pub(super) fn undo(&self) -> &[(Vec<u8>, Option<Change>)] {
        &self.undo
    }

    pub(super) fn record_key(&self, key: &[u8], read: Read) {
        if self.validates(read) {
            self.reads.borrow_mut().add_key(key);
        }
    }

    pub(super) fn record_range(&self, range: &KeyRange, read: Read) {
        if self.validates(read) {
            self.reads.borrow_mut().add_range(range);
        }
    }

    /// Whether its commit validates such a read.
    pub(super) fn validates(&self, read: Read) -> bool {
        !self.read_only && !self.alone && (read != Read::Data || self.isolation == Isolation::Serializable)
    }

    pub(super) fn write(&mut self, key: Vec<u8>, value: Change) -> Result<(), Error> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        let before = self.writes.insert(key.clone(), value);
        self.undo.push((key, before));
        Ok(())
    }

    /// See [`super::Transaction::fresh_row`]. Rolling back does not take numbers back.
    pub(super) fn fresh_row(&mut self) -> RowNumber {
        let count = self.rows;
        self.rows += 1;
        RowNumber { snapshot: self.snapshot, count, transaction: self.identity }
    }

    /// Changes how the transaction reads; an error if it has read under validation or written.
    pub fn set_modes(&mut self, isolation: Option<Isolation>, read_only: Option<bool>) -> Result<(), Error> {
        if self.has_writes() || !self.reads.borrow().is_empty() {
            return Err(Error::Running);
        }
        self.isolation = isolation.unwrap_or(self.isolation);
        self.read_only = read_only.unwrap_or(self.read_only);
        Ok(())
    }

    /// Moves a READ COMMITTED transaction to a later snapshot, if what it has written, and read under validation, has not
    /// changed meanwhile: else its commit could not know of the change.
    pub fn advance<S: Storage>(&mut self, store: &Store<S>, to: Version) -> Result<Result<(), Conflict>, Error> {
        assert!(self.isolation == Isolation::ReadCommitted, "the other levels have one snapshot");
        if to <= self.snapshot {
            return Ok(Ok(()));
        }
        if self.has_writes() || !self.reads.borrow().is_empty() {
            let commit = self.clone().into_commit();
            if let Err(conflict) = store.validate(&commit)? {
                return Ok(Err(conflict));
            }
        }
        self.snapshot = to;
        Ok(Ok(()))
    }

    /// Marks the present state of the writes.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Undoes all writes since a mark.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        assert!(savepoint.0 <= self.undo.len(), "the savepoint is not of an earlier state of this transaction");
        for (key, before) in self.undo.drain(savepoint.0..).rev() {
            match before {
                Some(value) => self.writes.insert(key, value),
                None => self.writes.remove(&key),
            };
        }
    }
}
