//! Reading a range at a snapshot: of the versions of each key the newest that is visible, from both ends.

use std::iter::Fuse;

use super::layout::VersionKey;
use super::{Error, Version};
use crate::storage::{self, Pair};

/// Turns the versions of a range into the visible keys and values.
pub(super) struct SnapshotScan<I> {
    versions: Fuse<I>,
    at: Version,
    /// A version that one end has taken to see where its key ends. It lies beyond what that end has given out, so the
    /// other end reaches it last.
    front: Option<(VersionKey, Vec<u8>)>,
    back: Option<(VersionKey, Vec<u8>)>,
}

impl<I: DoubleEndedIterator<Item = Result<Pair, storage::Error>>> SnapshotScan<I> {
    pub fn new(versions: I, at: Version) -> Self {
        Self { versions: versions.fuse(), at, front: None, back: None }
    }

    /// The next version from the front; when the ends meet, what the other end holds.
    fn pull_front(&mut self) -> Result<Option<(VersionKey, Vec<u8>)>, Error> {
        match self.front.take() {
            Some(version) => Ok(Some(version)),
            None => match self.versions.next() {
                Some(pair) => parse(pair).map(Some),
                None => Ok(self.back.take()),
            },
        }
    }

    fn pull_back(&mut self) -> Result<Option<(VersionKey, Vec<u8>)>, Error> {
        match self.back.take() {
            Some(version) => Ok(Some(version)),
            None => match self.versions.next_back() {
                Some(pair) => parse(pair).map(Some),
                None => Ok(self.front.take()),
            },
        }
    }

    /// Goes through the first key's versions, oldest first, and so on until a key is visible.
    fn try_next(&mut self) -> Result<Option<Pair>, Error> {
        while let Some((mut key, mut value)) = self.pull_front()? {
            while let Some(next) = self.pull_front()? {
                if next.0.stem() != key.stem() {
                    self.front = Some(next);
                    break;
                }
                if next.0.version() <= self.at {
                    (key, value) = next;
                }
            }
            if key.version() <= self.at && !key.is_tombstone() {
                return Ok(Some((key.user_key()?, value)));
            }
        }
        Ok(None)
    }

    /// Goes through the last key's versions, newest first, and so on until a key is visible.
    fn try_next_back(&mut self) -> Result<Option<Pair>, Error> {
        while let Some((mut key, mut value)) = self.pull_back()? {
            while let Some(next) = self.pull_back()? {
                if next.0.stem() != key.stem() {
                    self.back = Some(next);
                    break;
                }
                if key.version() > self.at {
                    (key, value) = next;
                }
            }
            if key.version() <= self.at && !key.is_tombstone() {
                return Ok(Some((key.user_key()?, value)));
            }
        }
        Ok(None)
    }
}

fn parse(pair: Result<Pair, storage::Error>) -> Result<(VersionKey, Vec<u8>), Error> {
    let (key, value) = pair?;
    Ok((VersionKey::parse(key)?, value))
}

impl<I: DoubleEndedIterator<Item = Result<Pair, storage::Error>>> Iterator for SnapshotScan<I> {
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

impl<I: DoubleEndedIterator<Item = Result<Pair, storage::Error>>> DoubleEndedIterator for SnapshotScan<I> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.try_next_back().transpose()
    }
}
