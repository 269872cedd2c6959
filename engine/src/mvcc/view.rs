//! A transaction over a store: what the SQL layer runs on.

use std::borrow::Cow;

use super::cursor::Pairs;
use super::past::{Past, PastView};
use super::{Change, Cursor, Error, Isolation, Read, RowNumber, Savepoint, Scan, Snapshot, Store, Transaction, Txn};
use crate::storage::{KeyRange, Pair, Storage, is_empty_range};

/// A transaction's snapshot of a store under the transaction's own writes.
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
        Ok(self.read(key, read)?.map(Cow::into_owned))
    }

    fn read(&self, key: &[u8], read: Read) -> Result<Option<Cow<'_, [u8]>>, Error> {
        // An own write says nothing of the store, so it is no read to validate, even if it is rolled back later.
        if let Some(value) = self.txn.own(key) {
            return Ok(value.as_deref().map(Cow::Borrowed));
        }
        self.txn.record_key(key, read);
        self.store.snapshot_read(key, self.txn.snapshot())
    }

    fn scan(&self, range: KeyRange, read: Read) -> Result<Scan<'_>, Error> {
        self.txn.record_range(&range, read);
        if !self.txn.has_writes() || is_empty_range(&range) {
            return self.store.snapshot_scan(range, self.txn.snapshot());
        }
        let own = self.txn.own_in(&range);
        let stored = self.store.snapshot_scan(range, self.txn.snapshot())?;
        Ok(Box::new(Merge::new(stored, own)))
    }

    fn cursor(&self, range: KeyRange, reverse: bool, read: Read) -> Result<Box<dyn Cursor + '_>, Error> {
        if is_empty_range(&range) || self.txn.own_in(&range).next().is_none() {
            self.txn.record_range(&range, read);
            return self.store.snapshot_cursor(&range, self.txn.snapshot(), reverse);
        }
        Ok(Box::new(Pairs::new(self.scan(range, read)?, reverse)))
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let is_bare = !self.txn.has_writes() && !self.txn.validates(Read::Schema);
        if is_bare { self.store.snapshot(self.txn.snapshot()) } else { None }
    }

    fn modes(&self) -> (Isolation, bool) {
        (self.txn.isolation(), self.txn.is_read_only())
    }

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Error> {
        self.txn.write(key, Some(value))
    }

    fn delete(&mut self, key: Vec<u8>) -> Result<(), Error> {
        self.txn.write(key, None)
    }

    fn savepoint(&self) -> Savepoint {
        self.txn.savepoint()
    }

    fn rollback_to(&mut self, savepoint: Savepoint) {
        self.txn.rollback_to(savepoint);
    }

    fn past<'a>(&'a self, past: &'a mut Past) -> Box<dyn Transaction + 'a> {
        Box::new(PastView::new(self.store, self.txn, past))
    }

    fn fresh_row(&mut self) -> RowNumber {
        self.txn.fresh_row()
    }
}

/// A key and what was written there.
pub(super) type Own<'a> = (&'a Vec<u8>, &'a Change);

/// Lays a transaction's own writes over what is stored, from both ends.
pub(super) struct Merge<'a, O> {
    stored: Scan<'a>,
    own: O,
    /// What each end has taken from either side and not given out yet.
    stored_front: Option<Pair>,
    stored_back: Option<Pair>,
    own_front: Option<Own<'a>>,
    own_back: Option<Own<'a>>,
}

impl<'a, O: DoubleEndedIterator<Item = Own<'a>>> Merge<'a, O> {
    pub fn new(stored: Scan<'a>, own: O) -> Self {
        Self { stored, own, stored_front: None, stored_back: None, own_front: None, own_back: None }
    }

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

impl<'a, O: DoubleEndedIterator<Item = Own<'a>>> Iterator for Merge<'a, O> {
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

impl<'a, O: DoubleEndedIterator<Item = Own<'a>>> DoubleEndedIterator for Merge<'a, O> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.try_next_back().transpose()
    }
}
