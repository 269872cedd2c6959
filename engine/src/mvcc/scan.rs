//! Reading a range at a snapshot: of the versions of each key the newest that is visible, from both ends.
//!
//! Which version that is can be told from the keys, so values are only read of those that are given out.

use std::iter::Fuse;

use super::layout::{self, VersionKey};
use super::{Error, Version};
use crate::storage::{self, Pair, Storage};

/// Turns the versions of a range into the visible keys and values.
pub(super) struct SnapshotScan<'a, S, I> {
    storage: &'a S,
    versions: Fuse<I>,
    at: Version,
    /// A version that one end has taken to see where its key ends. It lies beyond what that end has given out, so the
    /// other end reaches it last.
    front: Option<VersionKey>,
    back: Option<VersionKey>,
}

impl<'a, S: Storage, I: DoubleEndedIterator<Item = Result<Vec<u8>, storage::Error>>> SnapshotScan<'a, S, I> {
    /// Scans `versions`, storage keys of `storage` in order.
    pub fn new(storage: &'a S, versions: I, at: Version) -> Self {
        Self { storage, versions: versions.fuse(), at, front: None, back: None }
    }

    /// The next version from the front; when the ends meet, what the other end holds.
    fn pull_front(&mut self) -> Result<Option<VersionKey>, Error> {
        match self.front.take() {
            Some(version) => Ok(Some(version)),
            None => match self.versions.next() {
                Some(key) => VersionKey::parse(key?).map(Some),
                None => Ok(self.back.take()),
            },
        }
    }

    fn pull_back(&mut self) -> Result<Option<VersionKey>, Error> {
        match self.back.take() {
            Some(version) => Ok(Some(version)),
            None => match self.versions.next_back() {
                Some(key) => VersionKey::parse(key?).map(Some),
                None => Ok(self.front.take()),
            },
        }
    }

    /// The user's key and value of a version, unless it is not visible.
    fn visible(&self, key: VersionKey) -> Result<Option<Pair>, Error> {
        if key.version() > self.at || key.is_tombstone() {
            return Ok(None);
        }
        let user_key = key.user_key()?;
        let value = self.storage.get(&key.into_bytes())?;
        let value = value.ok_or_else(|| layout::invalid(format!("{user_key:02x?} has a version without a value")))?;
        Ok(Some((user_key, value)))
    }

    /// Goes through the first key's versions, oldest first, and so on until a key is visible.
    fn try_next(&mut self) -> Result<Option<Pair>, Error> {
        while let Some(mut key) = self.pull_front()? {
            while let Some(next) = self.pull_front()? {
                if next.stem() != key.stem() {
                    self.front = Some(next);
                    break;
                }
                if next.version() <= self.at {
                    key = next;
                }
            }
            if let Some(pair) = self.visible(key)? {
                return Ok(Some(pair));
            }
        }
        Ok(None)
    }

    /// Goes through the last key's versions, newest first, and so on until a key is visible.
    fn try_next_back(&mut self) -> Result<Option<Pair>, Error> {
        while let Some(mut key) = self.pull_back()? {
            while let Some(next) = self.pull_back()? {
                if next.stem() != key.stem() {
                    self.back = Some(next);
                    break;
                }
                if key.version() > self.at {
                    key = next;
                }
            }
            if let Some(pair) = self.visible(key)? {
                return Ok(Some(pair));
            }
        }
        Ok(None)
    }
}

impl<S: Storage, I: DoubleEndedIterator<Item = Result<Vec<u8>, storage::Error>>> Iterator for SnapshotScan<'_, S, I> {
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

impl<S: Storage, I: DoubleEndedIterator<Item = Result<Vec<u8>, storage::Error>>> DoubleEndedIterator
    for SnapshotScan<'_, S, I>
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.try_next_back().transpose()
    }
}
