//! What a transaction saw before its last writes: for a statement that reads while it writes.
//!
//! The undo log has what each write replaced. A [`Past`] keeps, of each key that was written since its savepoint, the first
//! of these, and takes in only what has come since it was last asked. So it costs no more than the writes did.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};

use super::view::{Merge, Own};
use super::{Change, Error, Isolation, Read, RowNumber, Savepoint, Scan, Store, Transaction, Txn};
use crate::storage::{KeyRange, Storage, is_empty_range};

/// A transaction as it was at a savepoint. It may not be rolled back to before that while this is used.
#[derive(Debug)]
pub struct Past {
    /// How much of the undo log has been taken in.
    known: usize,
    /// The keys that were written since, with the writes that they hid, if any.
    hidden: BTreeMap<Vec<u8>, Option<Change>>,
}

impl Past {
    /// The state at a savepoint.
    pub fn at(Savepoint(known): Savepoint) -> Self {
        Self { known, hidden: BTreeMap::new() }
    }

    fn catch_up(&mut self, undo: &[(Vec<u8>, Option<Change>)]) {
        for (key, before) in &undo[self.known..] {
            if let btree_map::Entry::Vacant(entry) = self.hidden.entry(key.clone()) {
                entry.insert(before.clone());
            }
        }
        self.known = undo.len();
    }
}

/// A transaction's snapshot of a store under the writes that it had made at some time. It takes no writes.
pub(super) struct PastView<'a, S: Storage> {
    store: &'a Store<S>,
    txn: &'a Txn,
    past: &'a Past,
}

impl<'a, S: Storage> PastView<'a, S> {
    pub fn new(store: &'a Store<S>, txn: &'a Txn, past: &'a mut Past) -> Self {
        past.catch_up(txn.undo());
        Self { store, txn, past }
    }
}

impl<S: Storage> Transaction for PastView<'_, S> {
    fn get(&self, key: &[u8], read: Read) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read(key, read)?.map(Cow::into_owned))
    }

    fn read(&self, key: &[u8], read: Read) -> Result<Option<Cow<'_, [u8]>>, Error> {
        let own = match self.past.hidden.get(key) {
            Some(before) => before.as_ref(),
            None => self.txn.own(key),
        };
        if let Some(value) = own {
            return Ok(value.as_deref().map(Cow::Borrowed));
        }
        self.txn.record_key(key, read);
        self.store.snapshot_read(key, self.txn.snapshot())
    }

    fn scan(&self, range: KeyRange, read: Read) -> Result<Scan<'_>, Error> {
        self.txn.record_range(&range, read);
        if is_empty_range(&range) {
            return self.store.snapshot_scan(range, self.txn.snapshot());
        }
        let hidden = &self.past.hidden;
        let bounds = (range.0.as_ref(), range.1.as_ref());
        let before = hidden.range::<Vec<u8>, _>(bounds).filter_map(|(key, before)| Some((key, before.as_ref()?)));
        let mut own: Vec<Own<'_>> = self.txn.own_in(&range).filter(|(key, _)| !hidden.contains_key(*key)).collect();
        own.extend(before);
        own.sort_unstable_by_key(|(key, _)| *key);
        let stored = self.store.snapshot_scan(range, self.txn.snapshot())?;
        Ok(Box::new(Merge::new(stored, own.into_iter())))
    }

    fn modes(&self) -> (Isolation, bool) {
        (self.txn.isolation(), self.txn.is_read_only())
    }

    fn set(&mut self, _: Vec<u8>, _: Vec<u8>) -> Result<(), Error> {
        Err(Error::ReadOnly)
    }

    fn delete(&mut self, _: Vec<u8>) -> Result<(), Error> {
        Err(Error::ReadOnly)
    }

    fn savepoint(&self) -> Savepoint {
        self.txn.savepoint()
    }

    fn rollback_to(&mut self, savepoint: Savepoint) {
        assert!(savepoint == self.txn.savepoint(), "the past has no writes to undo");
    }

    fn past<'a>(&'a self, _: &'a mut Past) -> Box<dyn Transaction + 'a> {
        Box::new(Self { store: self.store, txn: self.txn, past: self.past })
    }

    fn fresh_row(&mut self) -> RowNumber {
        unreachable!("no row is inserted into the past")
    }
}
