//! The versioned store: every version of every key, ordered within a [`Storage`].
//!
//! A version's storage key is the user's key, escaped and terminated, then the position big-endian; so the versions of
//! a key stand side by side, oldest first, and keys keep their order. Its value is a tag and the user's value, or the
//! tag of a tombstone. Beside them, in a key space of its own, is unversioned metadata: the applied position, the
//! watermark, and what the caller keeps there.

use std::ops::Bound;

use super::{Commit, Conflict, Error, Scan, Version};
use crate::encoding::keycode::{escape_into, unescape};
use crate::storage::{self, Batch, KeyRange, Pair, Storage};

/// First byte of the storage keys of metadata and of versions.
const META: u8 = 0;
const VERSIONED: u8 = 1;

/// The store's own metadata. The caller's keys have another first byte after [`META`].
const APPLIED: &[u8] = &[META, 0, 0];
const WATERMARK: &[u8] = &[META, 0, 1];

/// First byte of a version's value.
const TOMBSTONE: u8 = 0;
const VALUE: u8 = 1;

/// A versioned store over a [`Storage`].
pub struct Store<S: Storage> {
    storage: S,
    applied: Version,
    watermark: Version,
}

impl<S: Storage> Store<S> {
    /// Goes on from what a storage holds.
    pub fn new(storage: S) -> Result<Self, Error> {
        let read = |key| -> Result<Version, Error> {
            let Some(bytes) = storage.get(key)? else { return Ok(0) };
            let bytes = <[u8; 8]>::try_from(bytes.as_slice())
                .map_err(|_| invalid(format!("a position has {} bytes instead of 8", bytes.len())))?;
            Ok(Version::from_be_bytes(bytes))
        };
        let (applied, watermark) = (read(APPLIED)?, read(WATERMARK)?);
        Ok(Self { storage, applied, watermark })
    }

    /// The storage beneath.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// The storage beneath, to flush it.
    pub fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// The position of the last commit, 0 before the first.
    pub fn applied(&self) -> Version {
        self.applied
    }

    /// The oldest position that can be read.
    pub fn watermark(&self) -> Version {
        self.watermark
    }

    /// Reads a key as of a position.
    pub fn snapshot_get(&self, key: &[u8], at: Version) -> Result<Option<Vec<u8>>, Error> {
        self.check_readable(at)?;
        self.get_at(key, at)
    }

    fn get_at(&self, key: &[u8], at: Version) -> Result<Option<Vec<u8>>, Error> {
        let (start, end) = versions_between(key, 0, at);
        match self.storage.scan((Bound::Included(start), Bound::Included(end))).next_back() {
            Some(version) => Ok(content(version?.1)?),
            None => Ok(None),
        }
    }

    /// Scans a range of keys as of a position, both ways.
    pub fn snapshot_scan(&self, range: KeyRange, at: Version) -> Result<Scan<'_>, Error> {
        self.check_readable(at)?;
        let versions = self.storage.scan(storage_range(&range));
        Ok(Box::new(SnapshotScan { versions, at, front: None, back: None }))
    }

    fn check_readable(&self, at: Version) -> Result<(), Error> {
        if at < self.watermark {
            return Err(Error::SnapshotTooOld { snapshot: at, watermark: self.watermark });
        }
        if at > self.applied {
            return Err(Error::Future { version: at, latest: self.applied });
        }
        Ok(())
    }

    /// The newest version of a key; tombstones count.
    pub fn latest_version(&self, key: &[u8]) -> Result<Option<Version>, Error> {
        let (start, end) = versions_between(key, 0, Version::MAX);
        match self.storage.scan_keys((Bound::Included(start), Bound::Included(end))).next_back() {
            Some(key) => Ok(Some(version_of(&key?)?)),
            None => Ok(None),
        }
    }

    /// The first version found in a range of keys that is newer than `since`; tombstones count.
    pub fn changed_since(&self, range: &KeyRange, since: Version) -> Result<Option<Version>, Error> {
        for key in self.storage.scan_keys(storage_range(range)) {
            let version = version_of(&key?)?;
            if version > since {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Reads unversioned metadata.
    pub fn get_meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.storage.get(&meta_key(key))?)
    }

    /// Whether a commit may happen now: no key that it wrote, and none that it read under validation, has a version
    /// newer than its snapshot (first committer wins). A snapshot below the watermark cannot be judged, since the
    /// tombstone that would conflict may be gone.
    pub fn validate(&self, commit: &Commit) -> Result<Result<(), Conflict>, Error> {
        let Commit { snapshot, writes, read_keys, read_ranges } = commit;
        if *snapshot < self.watermark {
            return Ok(Err(Conflict::TooOld { watermark: self.watermark }));
        }
        for (key, _) in writes {
            if let Some(version) = self.latest_version(key)?.filter(|version| version > snapshot) {
                return Ok(Err(Conflict::Write { key: key.clone(), version }));
            }
        }
        for key in read_keys {
            if let Some(version) = self.latest_version(key)?.filter(|version| version > snapshot) {
                return Ok(Err(Conflict::Read { key: key.clone(), version }));
            }
        }
        for range in read_ranges {
            if let Some(version) = self.changed_since(range, *snapshot)? {
                let key = match &range.0 {
                    Bound::Included(key) | Bound::Excluded(key) => key.clone(),
                    Bound::Unbounded => Vec::new(),
                };
                return Ok(Err(Conflict::Read { key, version }));
            }
        }
        Ok(Ok(()))
    }

    /// Commits writes as versions at a new position, with changes of metadata, in one atomic batch.
    pub fn commit(
        &mut self,
        version: Version,
        writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        meta: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), Error> {
        assert!(version > self.applied, "position {version} is not after {}", self.applied);
        let mut batch = Batch::default();
        for (key, value) in writes {
            let value = match value {
                Some(mut value) => {
                    value.insert(0, VALUE);
                    value
                }
                None => vec![TOMBSTONE],
            };
            batch.set(version_key(&key, version), value);
        }
        batch.operations.extend(meta.into_iter().map(|(key, value)| (meta_key(&key), value)));
        batch.set(APPLIED.to_vec(), version.to_be_bytes().to_vec());
        self.storage.apply(batch)?;
        self.applied = version;
        Ok(())
    }

    /// Moves the watermark, and removes what no snapshot at or above it sees: of the versions of a key up to the
    /// watermark all but the newest, and that one too if it is a tombstone. One atomic batch. Returns how many
    /// versions it removed.
    pub fn collect(&mut self, watermark: Version) -> Result<u64, Error> {
        assert!(watermark >= self.watermark, "the watermark does not go back");
        assert!(watermark <= self.applied, "the watermark is not in the future");
        let mut batch = Batch::default();
        // The newest version so far of the present key that is not above the watermark, and whether it is a tombstone.
        let mut newest: Option<(Vec<u8>, bool)> = None;
        for pair in self.storage.scan((Bound::Included(vec![VERSIONED]), Bound::Excluded(vec![VERSIONED + 1]))) {
            let (key, value) = pair?;
            if let Some((previous, tombstone)) = newest.take() {
                let same_key = user_part(&key)? == user_part(&previous)?;
                if tombstone || (same_key && version_of(&key)? <= watermark) {
                    batch.delete(previous);
                }
            }
            if version_of(&key)? <= watermark {
                newest = Some((key, value.first() == Some(&TOMBSTONE)));
            }
        }
        if let Some((previous, true)) = newest {
            batch.delete(previous);
        }
        let removed = batch.operations.len() as u64;
        batch.set(WATERMARK.to_vec(), watermark.to_be_bytes().to_vec());
        self.storage.apply(batch)?;
        self.watermark = watermark;
        Ok(removed)
    }

    /// A stable digest of everything in the store, to compare replicas.
    pub fn digest(&self) -> Result<u64, Error> {
        let mut hasher = crc32fast::Hasher::new();
        let mut bytes = 0u64;
        for pair in self.storage.scan((Bound::Unbounded, Bound::Unbounded)) {
            let (key, value) = pair?;
            for part in [&key, &value] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(part);
                bytes += part.len() as u64;
            }
        }
        Ok(bytes << 32 | u64::from(hasher.finalize()))
    }
}

/// Turns the versions of a range into the newest visible one of each key, from both ends.
struct SnapshotScan<I: Iterator<Item = Result<Pair, storage::Error>>> {
    versions: I,
    at: Version,
    /// A version that one end has taken to see where its key ends.
    front: Option<Pair>,
    back: Option<Pair>,
}

impl<I: DoubleEndedIterator<Item = Result<Pair, storage::Error>>> SnapshotScan<I> {
    /// The next version from the front; when the ends meet, what the other end holds.
    fn pull_front(&mut self) -> Option<Result<Pair, storage::Error>> {
        self.front.take().map(Ok).or_else(|| self.versions.next()).or_else(|| self.back.take().map(Ok))
    }

    fn pull_back(&mut self) -> Option<Result<Pair, storage::Error>> {
        self.back.take().map(Ok).or_else(|| self.versions.next_back()).or_else(|| self.front.take().map(Ok))
    }

    /// Takes the newest version of the first key that is visible, if it is not a tombstone; and skips the key's others.
    fn try_next(&mut self) -> Result<Option<Pair>, Error> {
        while let Some(first) = self.pull_front() {
            let mut newest = first?;
            let mut visible = version_of(&newest.0)? <= self.at;
            while let Some(next) = self.pull_front() {
                let next = next?;
                if user_part(&next.0)? != user_part(&newest.0)? {
                    self.front = Some(next);
                    break;
                }
                if version_of(&next.0)? <= self.at {
                    newest = next;
                    visible = true;
                }
            }
            if visible && let Some(value) = content(newest.1)? {
                return Ok(Some((user_key(&newest.0)?, value)));
            }
        }
        Ok(None)
    }

    fn try_next_back(&mut self) -> Result<Option<Pair>, Error> {
        while let Some(last) = self.pull_back() {
            let last = last?;
            let mut newest = (version_of(&last.0)? <= self.at).then(|| last.clone());
            while let Some(next) = self.pull_back() {
                let next = next?;
                if user_part(&next.0)? != user_part(&last.0)? {
                    self.back = Some(next);
                    break;
                }
                if newest.is_none() && version_of(&next.0)? <= self.at {
                    newest = Some(next);
                }
            }
            if let Some((key, value)) = newest
                && let Some(value) = content(value)?
            {
                return Ok(Some((user_key(&key)?, value)));
            }
        }
        Ok(None)
    }
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

fn invalid(reason: String) -> Error {
    Error::Storage(crate::encoding::Error::Value(reason).into())
}

fn meta_key(key: &[u8]) -> Vec<u8> {
    [&[META, 1], key].concat()
}

/// The storage key of a user's key up to where its versions differ.
fn version_prefix(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 16);
    bytes.push(VERSIONED);
    escape_into(&mut bytes, key);
    bytes
}

fn version_key(key: &[u8], version: Version) -> Vec<u8> {
    let mut bytes = version_prefix(key);
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes
}

/// The storage keys of the first and the last version of a key between two positions.
fn versions_between(key: &[u8], first: Version, last: Version) -> (Vec<u8>, Vec<u8>) {
    let start = version_key(key, first);
    let mut end = Vec::with_capacity(start.len());
    end.extend_from_slice(&start[..start.len() - 8]);
    end.extend_from_slice(&last.to_be_bytes());
    (start, end)
}

/// The storage keys of all versions of a range of the user's keys.
fn storage_range((start, end): &KeyRange) -> KeyRange {
    let start = match start {
        Bound::Included(key) => Bound::Included(version_prefix(key)),
        Bound::Excluded(key) => Bound::Excluded(version_key(key, Version::MAX)),
        Bound::Unbounded => Bound::Included(vec![VERSIONED]),
    };
    let end = match end {
        Bound::Included(key) => Bound::Included(version_key(key, Version::MAX)),
        Bound::Excluded(key) => Bound::Excluded(version_prefix(key)),
        Bound::Unbounded => Bound::Excluded(vec![VERSIONED + 1]),
    };
    (start, end)
}

/// A storage key without the position.
fn user_part(key: &[u8]) -> Result<&[u8], Error> {
    key.len()
        .checked_sub(8)
        .map(|end| &key[..end])
        .ok_or_else(|| invalid(format!("a version's key has {} bytes", key.len())))
}

fn user_key(key: &[u8]) -> Result<Vec<u8>, Error> {
    let (content, _) = unescape(&user_part(key)?[1..]).map_err(storage::Error::from)?;
    Ok(content)
}

fn version_of(key: &[u8]) -> Result<Version, Error> {
    match key.last_chunk::<8>() {
        Some(bytes) => Ok(Version::from_be_bytes(*bytes)),
        None => Err(invalid(format!("a version's key has {} bytes", key.len()))),
    }
}

/// The user's value of a version; `None` for a tombstone.
fn content(mut value: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
    match value.first() {
        Some(&VALUE) => {
            value.remove(0);
            Ok(Some(value))
        }
        Some(&TOMBSTONE) if value.len() == 1 => Ok(None),
        _ => Err(invalid("a version has neither a value nor a tombstone".into())),
    }
}
