//! Reading a range at a snapshot in one direction, without a copy of what the storage has at hand.
//!
//! It gives what [`super::scan`] gives, which goes both ways and copies; the tests compare the two.

use super::layout::{self, VersionRef};
use super::{Cursor, Error, Lent, Scan, Version};
use crate::storage::{Entry, Pair, Storage};

/// The pairs of a scan, lent.
pub(super) struct Pairs<'a> {
    scan: Scan<'a>,
    reverse: bool,
    pair: Pair,
}

impl<'a> Pairs<'a> {
    pub fn new(scan: Scan<'a>, reverse: bool) -> Self {
        Self { scan, reverse, pair: Pair::default() }
    }
}

impl Cursor for Pairs<'_> {
    fn next(&mut self, _: bool) -> Result<Option<Lent<'_>>, Error> {
        let next = if self.reverse { self.scan.next_back() } else { self.scan.next() };
        let Some(pair) = next else { return Ok(None) };
        self.pair = pair?;
        Ok(Some((&self.pair.0, &self.pair.1)))
    }
}

/// The visible versions of a range.
pub(super) struct Visible<'a, S, I> {
    storage: &'a S,
    /// Versions in the order of the cursor.
    versions: I,
    at: Version,
    reverse: bool,
    /// A version that was taken to see where its key ends.
    held: Option<Entry<'a>>,
    /// The key that is lent, and a value that was read.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a, S: Storage, I: Iterator<Item = Result<Entry<'a>, crate::storage::Error>>> Visible<'a, S, I> {
    /// Reads `versions`, storage keys of `storage` in order, or against it.
    pub fn new(storage: &'a S, versions: I, at: Version, reverse: bool) -> Self {
        Self { storage, versions, at, reverse, held: None, key: Vec::new(), value: Vec::new() }
    }

    #[inline]
    fn pull(&mut self) -> Result<Option<Entry<'a>>, Error> {
        match self.held.take() {
            Some(entry) => Ok(Some(entry)),
            None => Ok(self.versions.next().transpose()?),
        }
    }

    /// The newest version of the next key that is not above the snapshot; or any above it, if all are.
    #[inline]
    fn advance(&mut self) -> Result<Option<Entry<'a>>, Error> {
        let Some(mut entry) = self.pull()? else { return Ok(None) };
        let mut version = VersionRef::parse(&entry.key)?.version();
        while let Some(next) = self.pull()? {
            let parsed = VersionRef::parse(&next.key)?;
            if !parsed.is_of_same_key(VersionRef::parse(&entry.key)?) {
                self.held = Some(next);
                break;
            }
            // Forward the versions ascend, and backward they descend.
            let better = if self.reverse { version > self.at } else { parsed.version() <= self.at };
            if better {
                version = parsed.version();
                entry = next;
            }
        }
        Ok(Some(entry))
    }
}

impl<'a, S: Storage, I: Iterator<Item = Result<Entry<'a>, crate::storage::Error>>> Cursor for Visible<'a, S, I> {
    fn next(&mut self, with_key: bool) -> Result<Option<Lent<'_>>, Error> {
        while let Some(entry) = self.advance()? {
            let version = VersionRef::parse(&entry.key)?;
            if version.version() > self.at || version.is_tombstone() {
                continue;
            }
            self.key.clear();
            if with_key {
                version.user_key_into(&mut self.key)?;
            }
            let value = if let Some(value) = entry.value {
                value
            } else {
                let missing = || layout::invalid(format!("{:02x?} has a version without a value", entry.key));
                self.value = self.storage.get(&entry.key)?.ok_or_else(missing)?;
                &self.value
            };
            return Ok(Some((&self.key, value)));
        }
        Ok(None)
    }
}
