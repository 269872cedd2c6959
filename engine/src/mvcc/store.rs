//! The versioned store: every version of every key within a [`Storage`], read as of any position that is kept.
//!
//! A commit is one atomic batch: its versions, the caller's metadata, and its position. Garbage collection, which takes
//! a position too, moves the watermark, the oldest position that can be read, and removes what none from there on sees.

use std::borrow::Cow;
use std::ops::Bound;
use std::rc::Rc;

use super::cursor::Visible;
use super::layout::{self, APPLIED, SWEPT, VersionKey, VersionRef, WATERMARK, invalid};
use super::scan::SnapshotScan;
use super::{Commit, Conflict, Cursor, Error, Scan, Snapshot, Time, Version};
use crate::storage::{Batch, Entry, KeyRange, Storage};

/// The most versions that garbage collection removes in one batch. Tiny in tests, so that their few keys need several.
const SWEEP_BATCH: usize = if cfg!(test) { 3 } else { 4096 };

/// A versioned store over a [`Storage`].
pub struct Store<S: Storage> {
    storage: S,
    applied: Version,
    watermark: Version,
    /// The time of the last commit that had one, 0 before the first.
    time: Time,
    /// What tells it from other stores.
    identity: Rc<()>,
}

impl<S: Storage> Store<S> {
    /// Goes on from what a storage holds. Finishes a garbage collection that was interrupted.
    pub fn new(storage: S) -> Result<Self, Error> {
        let read = |key| -> Result<Version, Error> {
            let Some(bytes) = storage.get(key)? else { return Ok(0) };
            let bytes = <[u8; 8]>::try_from(bytes.as_slice())
                .map_err(|_| invalid(format!("a position has {} bytes instead of 8", bytes.len())))?;
            Ok(Version::from_be_bytes(bytes))
        };
        let (applied, watermark, swept) = (read(APPLIED)?, read(WATERMARK)?, read(SWEPT)?);
        if swept > watermark || watermark > applied {
            return Err(invalid(format!("applied {applied}, watermark {watermark}, swept {swept} are out of order")));
        }
        let mut store = Self { storage, applied, watermark, time: 0, identity: Rc::default() };
        store.time = store.time_up_to(Version::MAX)?;
        if swept < watermark {
            store.sweep(applied, watermark)?;
        }
        Ok(store)
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

    /// Itself as of a position, if that can be read.
    pub(super) fn snapshot(&self, position: Version) -> Option<Snapshot> {
        let is_readable = (self.watermark..=self.applied).contains(&position);
        is_readable.then(|| Snapshot { store: Rc::clone(&self.identity), position })
    }

    /// Reads a key as of a position.
    pub fn snapshot_get(&self, key: &[u8], at: Version) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.snapshot_read(key, at)?.map(Cow::into_owned))
    }

    /// Reads a key as of a position, without a copy of what the storage has at hand.
    pub fn snapshot_read(&self, key: &[u8], at: Version) -> Result<Option<Cow<'_, [u8]>>, Error> {
        self.check_readable(at)?;
        // The versions of a key lie side by side, so this is the newest of them up to there, unless there is none.
        let last = VersionKey::new(key, at, false);
        let Some(Entry { key, value }) = self.storage.last_up_to(last.as_bytes())? else { return Ok(None) };
        if !last.is_of_same_key(&key) || VersionRef::parse(&key)?.is_tombstone() {
            return Ok(None);
        }
        match value {
            Some(value) => Ok(Some(Cow::Borrowed(value))),
            None => match self.storage.get(&key)? {
                Some(value) => Ok(Some(Cow::Owned(value))),
                None => Err(invalid(format!("{key:02x?} has a version without a value"))),
            },
        }
    }

    /// Reads a range of keys as of a position in one direction.
    pub fn snapshot_cursor(&self, range: &KeyRange, at: Version, reverse: bool) -> Result<Box<dyn Cursor + '_>, Error> {
        self.check_readable(at)?;
        let versions = self.storage.entries(layout::versions_in(range));
        Ok(if reverse {
            Box::new(Visible::new(&self.storage, versions.rev(), at, true))
        } else {
            Box::new(Visible::new(&self.storage, versions, at, false))
        })
    }

    /// Scans a range of keys as of a position, both ways.
    pub fn snapshot_scan(&self, range: KeyRange, at: Version) -> Result<Scan<'_>, Error> {
        self.check_readable(at)?;
        let versions = self.storage.scan_keys(layout::versions_in(&range));
        Ok(Box::new(SnapshotScan::new(&self.storage, versions, at)))
    }

    fn check_readable(&self, at: Version) -> Result<(), Error> {
        if at < self.watermark {
            probe!("a read is older than the watermark");
            return Err(Error::SnapshotTooOld { snapshot: at, watermark: self.watermark });
        }
        if at > self.applied {
            return Err(Error::Future { version: at, latest: self.applied });
        }
        Ok(())
    }

    /// The newest version of a key; tombstones count.
    pub fn latest_version(&self, key: &[u8]) -> Result<Option<Version>, Error> {
        let last = VersionKey::new(key, Version::MAX, false);
        let newest = self.storage.last_up_to(last.as_bytes())?.filter(|entry| last.is_of_same_key(&entry.key));
        newest.map(|entry| Ok(VersionRef::parse(&entry.key)?.version())).transpose()
    }

    /// The first version found in a range of keys that is newer than `since`; tombstones count.
    pub fn changed_since(&self, range: &KeyRange, since: Version) -> Result<Option<Version>, Error> {
        Ok(self.change_since(range, since)?.map(|key| key.version()))
    }

    fn change_since(&self, range: &KeyRange, since: Version) -> Result<Option<VersionKey>, Error> {
        for entry in self.storage.entries(layout::versions_in(range)) {
            let Entry { key, .. } = entry?;
            if VersionRef::parse(&key)?.version() > since {
                return Ok(Some(VersionKey::parse(key.into_owned())?));
            }
        }
        Ok(None)
    }

    /// Reads unversioned metadata.
    pub fn get_meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.storage.get(&layout::meta_key(key))?)
    }

    /// Whether a commit may happen now: no key that it wrote, and none that it read under validation, has a version
    /// newer than its snapshot (first committer wins). A snapshot below the watermark cannot be judged, since the
    /// tombstone that would conflict may be gone.
    pub fn validate(&self, commit: &Commit) -> Result<Result<(), Conflict>, Error> {
        let Commit { snapshot, writes, read_keys, read_ranges } = commit;
        if *snapshot < self.watermark {
            return Ok(Err(Conflict::TooOld { watermark: self.watermark }));
        }
        self.check_readable(*snapshot)?;
        if *snapshot == self.applied {
            // Nothing at all has happened since.
            return Ok(Ok(()));
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
            if let Some(change) = self.change_since(range, *snapshot)? {
                return Ok(Err(Conflict::Read { key: change.user_key()?, version: change.version() }));
            }
        }
        Ok(Ok(()))
    }

    /// The time of the last commit that had one, 0 before the first. No later commit has an earlier time, so what happened
    /// before it is known.
    pub fn time(&self) -> Time {
        self.time
    }

    /// The time of the last commit up to a position.
    fn time_up_to(&self, position: Version) -> Result<Time, Error> {
        let key = layout::time_key(position);
        let Some(Entry { key, value }) = self.storage.last_up_to(&key)? else { return Ok(0) };
        if layout::time_position(&key).is_none() {
            return Ok(0);
        }
        let value = match value {
            Some(value) => Some(value.to_vec()),
            None => self.storage.get(&key)?,
        };
        let bytes = value.and_then(|value| <[u8; 8]>::try_from(value).ok());
        Ok(Time::from_be_bytes(bytes.ok_or_else(|| invalid(format!("{key:02x?} has no time")))?))
    }

    /// The last position whose time is not after `time`, which must be before [`Store::time`]: then it stays what it is. An
    /// error if that position, or what its time was, has been collected.
    pub fn position_at(&self, time: Time) -> Result<Version, Error> {
        assert!(time < self.time, "a commit may still come that has the time {time}");
        if self.watermark > 0 && self.time_up_to(self.watermark)? > time {
            return Err(Error::TimeTooOld { watermark: self.watermark });
        }
        // The last position has a later time, and the times ascend.
        let (mut first, mut last) = (self.watermark, self.applied);
        while last - first > 1 {
            let middle = first + (last - first) / 2;
            if self.time_up_to(middle)? <= time {
                first = middle;
            } else {
                last = middle;
            }
        }
        Ok(first)
    }

    /// As [`Store::commit`], at a time, or at that of the commit before if that is later.
    pub fn commit_at(
        &mut self,
        time: Option<Time>,
        version: Version,
        writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        meta: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), Error> {
        // Commits that have their time in common need one entry for it.
        let later = time.filter(|time| *time > self.time);
        self.commit_batch(version, writes, meta, later.map(|time| (layout::time_key(version), time)))?;
        self.time = later.unwrap_or(self.time);
        Ok(())
    }

    /// Commits writes as versions at a new position, with changes of metadata, in one atomic batch. The writes are in
    /// ascending order of their keys, each key once, as [`Commit::writes`] are; anything else is an error.
    pub fn commit(
        &mut self,
        version: Version,
        writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        meta: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), Error> {
        self.commit_batch(version, writes, meta, None)
    }

    fn commit_batch(
        &mut self,
        version: Version,
        writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        meta: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        time: Option<(Vec<u8>, Time)>,
    ) -> Result<(), Error> {
        assert!(version > self.applied, "position {version} is not after {}", self.applied);
        let mut batch = Batch::default();
        let mut previous: Option<Vec<u8>> = None;
        for (key, value) in writes {
            if previous.is_some_and(|previous| previous >= key) {
                return Err(invalid(format!("the writes at position {version} are not in order: {key:02x?}")));
            }
            let storage_key = VersionKey::new(&key, version, value.is_none());
            batch.set(storage_key.into_bytes(), value.unwrap_or_default());
            previous = Some(key);
        }
        batch.operations.extend(meta.into_iter().map(|(key, value)| (layout::meta_key(&key), value)));
        if let Some((key, time)) = time {
            batch.set(key, time.to_be_bytes().to_vec());
        }
        batch.set(APPLIED.to_vec(), version.to_be_bytes().to_vec());
        self.storage.apply(batch)?;
        self.applied = version;
        Ok(())
    }

    /// Collects garbage, as what happens at a new position: moves the watermark, and removes what no snapshot at or
    /// above it sees, which is of the versions of a key up to the watermark all but the newest, and that one too if it
    /// is a tombstone. Returns how many versions it removed.
    ///
    /// The batches are of bounded size: the first moves the watermark and the applied position, the last one says that
    /// the sweep is over, and [`Store::new`] finishes one that was interrupted between them. So what an open store
    /// holds depends on its position only.
    pub fn collect(&mut self, version: Version, watermark: Version) -> Result<u64, Error> {
        assert!(version > self.applied, "position {version} is not after {}", self.applied);
        assert!(watermark >= self.watermark, "watermark {watermark} is before {}", self.watermark);
        assert!(watermark <= version, "watermark {watermark} is after position {version}");
        self.sweep(version, watermark)
    }

    fn sweep(&mut self, version: Version, watermark: Version) -> Result<u64, Error> {
        // The times that no position has any more go first.
        let times = self.obsolete_times(watermark)?;
        for keys in times.chunks(SWEEP_BATCH) {
            let mut batch = Batch::default();
            for key in keys {
                batch.delete(key.clone());
            }
            self.sweep_batch(batch, version, watermark)?;
        }
        let mut removed = 0;
        let (mut start, _) = layout::all_versions();
        loop {
            let (mut batch, rest) = self.obsolete(start, watermark)?;
            removed += batch.operations.len() as u64;
            if rest.is_none() {
                batch.set(SWEPT.to_vec(), watermark.to_be_bytes().to_vec());
            }
            self.sweep_batch(batch, version, watermark)?;
            match rest {
                Some(key) => start = Bound::Included(key),
                None => return Ok(removed),
            }
        }
    }

    /// Applies one batch of a sweep.
    fn sweep_batch(&mut self, mut batch: Batch, version: Version, watermark: Version) -> Result<(), Error> {
        batch.set(APPLIED.to_vec(), version.to_be_bytes().to_vec());
        batch.set(WATERMARK.to_vec(), watermark.to_be_bytes().to_vec());
        self.storage.apply(batch)?;
        (self.applied, self.watermark) = (version, watermark);
        Ok(())
    }

    /// The keys of the times before that of the watermark.
    fn obsolete_times(&self, watermark: Version) -> Result<Vec<Vec<u8>>, Error> {
        let range = (Bound::Included(layout::time_key(0)), Bound::Included(layout::time_key(watermark)));
        let mut keys = self.storage.scan_keys(range).collect::<Result<Vec<_>, _>>()?;
        keys.pop();
        Ok(keys)
    }

    /// The removals of a sweep from `start` on, and where to go on if a batch does not hold them all. A key's versions
    /// go oldest first, its tombstone last, so that a sweep which stops anywhere brings no removed key back.
    fn obsolete(&self, start: Bound<Vec<u8>>, watermark: Version) -> Result<(Batch, Option<Vec<u8>>), Error> {
        let mut batch = Batch::default();
        let (_, end) = layout::all_versions();
        // The storage key before, if its version is not above the watermark: the newest so far of its key that is not.
        let mut newest: Option<Cow<'_, [u8]>> = None;
        for entry in self.storage.entries((start, end)) {
            let Entry { key, .. } = entry?;
            let version = VersionRef::parse(&key)?;
            let collectable = version.version() <= watermark;
            if let Some(previous) = newest.take() {
                let parsed = VersionRef::parse(&previous)?;
                if parsed.is_tombstone() || collectable && version.is_of_same_key(parsed) {
                    if parsed.is_tombstone() {
                        probe!("a deleted row's last trace was collected");
                    }
                    batch.delete(previous.into_owned());
                }
            }
            if batch.operations.len() == SWEEP_BATCH {
                return Ok((batch, Some(key.into_owned())));
            }
            newest = collectable.then_some(key);
        }
        if let Some(previous) = newest
            && VersionRef::parse(&previous)?.is_tombstone()
        {
            batch.delete(previous.into_owned());
        }
        Ok((batch, None))
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
