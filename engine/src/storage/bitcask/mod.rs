//! An append-only log of batches with all keys in memory, after Bitcask (Sheehy and Smith, "Bitcask: A Log-Structured
//! Hash Table for Fast Key/Value Data", 2010), with an ordered map for its keydir.
//!
//! One batch is one record of one file, written with one write and checked as a whole, so a batch is there or it is not.
//! The keydir says where in the file each live key's value is, and what its checksum must be: a read is one lookup and
//! one read of the disk, and what does not match is reported, never returned. [`recovery`] rebuilds the keydir from the
//! records when the file is opened, cuts a torn tail, and refuses a file that is damaged where it was durable, or that
//! cannot be read. Who has the data elsewhere goes on with [`BitCask::open_empty`], which sets the old file aside.
//!
//! What is overwritten or removed stays in the file until [`compaction`] writes the live pairs to a new one and renames
//! it over the old. There is never more than one file to read, so a removed key has no older file to come back from.
//!
//! Every error of the disk, and every corruption, is final: the store refuses all work from then on, because after a
//! failed write or sync nobody knows what the file holds. It has to be opened again. A full disk is such an error too; with
//! space again, opening removes what an unfinished compaction has left, and everything flushed is there.

mod compaction;
mod format;
mod keydir;
mod recovery;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;

use super::{Batch, Error, KeyRange, Pair, Status, Storage};
use crate::disk::{self, Disk, ErrorKind, File};
use format::{FILE_HEADER, OPERATION_HEADER, RECORD_HEADER, RecordBuffer};
use keydir::{Entry, Keydir};
use recovery::Recovered;

/// The longest key, in bytes.
pub const MAX_KEY: usize = 1 << 24;
/// The longest value, in bytes.
pub const MAX_VALUE: usize = 1 << 30;
/// The largest batch, in bytes of its keys, values and 8 bytes for each operation.
pub const MAX_BATCH: usize = 1 << 31;

/// How large a record's buffer may stay when the record is written.
const KEEP_BUFFER: usize = 1 << 20;

/// When to compact. Both conditions must hold.
///
/// Garbage is all of the file but its header and the operations that set live keys; so the headers of records count as
/// garbage too, of which a compaction leaves one in a mebibyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitCaskOptions {
    /// Compact only when this many bytes are garbage.
    pub compact_garbage_bytes: u64,
    /// Compact only when so much of the file is garbage, in percent.
    pub compact_garbage_percent: u8,
    /// Whether to compact when the file is opened, however few the bytes: the percentage alone must be reached.
    pub compact_on_open: bool,
}

impl Default for BitCaskOptions {
    fn default() -> Self {
        Self { compact_garbage_bytes: 16 << 20, compact_garbage_percent: 50, compact_on_open: false }
    }
}

/// A store in one append-only file.
pub struct BitCask<D: Disk> {
    disk: D,
    paths: Paths,
    options: BitCaskOptions,
    file: D::File,
    generation: u64,
    keydir: Keydir,
    /// Where the next record goes.
    end: u64,
    /// How much of the file is known to be durable.
    synced: u64,
    record: RecordBuffer,
    /// The error that ended this store.
    failure: OnceCell<Error>,
    /// Dropped last, when nothing touches the file any more.
    _lock: D::Lock,
}

/// The names in a store's directory.
struct Paths {
    dir: String,
    data: String,
    /// The next data file, until it is complete and durable.
    next: String,
    /// A data file that was given up.
    damaged: String,
    lock: String,
}

impl Paths {
    fn new(dir: &str) -> Self {
        let path = |name| if dir.is_empty() { String::from(name) } else { format!("{dir}/{name}") };
        Self {
            dir: dir.to_owned(),
            data: path("data"),
            next: path("data.next"),
            damaged: path("data.damaged"),
            lock: path("lock"),
        }
    }

    /// Makes the names of the directory durable, and the directory's own.
    fn sync<D: Disk>(&self, disk: &D) -> Result<(), disk::Error> {
        disk.sync_dir(&self.dir)?;
        for (end, _) in self.dir.rmatch_indices('/') {
            disk.sync_dir(&self.dir[..end])?;
        }
        if self.dir.is_empty() { Ok(()) } else { disk.sync_dir("") }
    }
}

impl<D: Disk> BitCask<D> {
    /// Opens the store in a directory, which is created if need be, and locks it. A torn tail is cut, and what an
    /// interrupted compaction left is removed.
    ///
    /// Fails with [`ErrorKind::Locked`] while another handle has the store open, with [`Error::Corrupt`] when the file is
    /// damaged where it was durable, and with [`Error::Unreadable`] when it cannot be read.
    pub fn open(disk: D, dir: &str, options: BitCaskOptions) -> Result<Self, Error> {
        let (paths, lock) = Self::enter(&disk, dir)?;
        Self::recover(disk, paths, lock, options)
    }

    /// Opens an empty store in a directory. A data file that is there becomes `data.damaged`, durably, and replaces an
    /// older one of that name.
    pub fn open_empty(disk: D, dir: &str, options: BitCaskOptions) -> Result<Self, Error> {
        let (paths, lock) = Self::enter(&disk, dir)?;
        if disk.exists(&paths.data)? {
            probe!("a store was set aside");
            disk.rename(&paths.data, &paths.damaged)?;
        }
        Self::recover(disk, paths, lock, options)
    }

    /// Takes a directory, creating it if need be.
    fn enter(disk: &D, dir: &str) -> Result<(Paths, D::Lock), Error> {
        let paths = Paths::new(dir);
        disk.create_dir(dir)?;
        let lock = disk.lock(&paths.lock)?;
        Ok((paths, lock))
    }

    fn recover(disk: D, paths: Paths, lock: D::Lock, options: BitCaskOptions) -> Result<Self, Error> {
        if disk.exists(&paths.next)? {
            probe!("an interrupted compaction left a file");
            tracing::info!(path = paths.next, "removed what an interrupted compaction left");
            disk.remove(&paths.next)?;
        }
        // Before anything is written, so that a name which is gone stays gone, whatever comes after.
        paths.sync(&disk)?;
        if !disk.exists(&paths.data)? {
            compaction::create(&disk, &paths)?;
        }
        let file = disk.open(&paths.data)?;
        let Recovered { keydir, generation, end, len } = recovery::recover(&file, &paths.data)?;
        if end < len {
            probe!("torn record at the tail of the store");
            tracing::info!(path = paths.data, end, cut = len - end, "cut the torn tail");
            file.set_len(end)?;
        }
        file.sync()?;
        let mut store = Self {
            disk,
            paths,
            options,
            file,
            generation,
            keydir,
            end,
            synced: end,
            record: RecordBuffer::new(),
            failure: OnceCell::new(),
            _lock: lock,
        };
        if options.compact_on_open && store.has_garbage(0) {
            store.compact()?;
        }
        Ok(store)
    }

    /// Writes the live pairs to a new file, which replaces the old. Afterwards all batches are durable.
    pub fn compact(&mut self) -> Result<(), Error> {
        self.check()?;
        let result = self.rewrite();
        self.or_fail(result)
    }

    /// Whether there is so much garbage, and the percentage is reached.
    fn has_garbage(&self, bytes: u64) -> bool {
        let status = self.status();
        let garbage = status.garbage_disk_size();
        let percent = u128::from(self.options.compact_garbage_percent);
        garbage >= bytes && u128::from(garbage) * 100 >= u128::from(status.disk_size) * percent
    }

    /// Writes a batch as a record, and points the keydir at it.
    fn append(&mut self, batch: Batch) -> Result<(), Error> {
        self.record.clear(KEEP_BUFFER);
        for (key, value) in &batch.operations {
            self.record.push(key, value.as_deref());
        }
        assert!(self.synced <= self.end, "what is not written is not durable");
        let record = self.record.seal(self.generation, self.end, self.synced);
        self.file.write_at(record, self.end)?;
        let mut at = self.end + RECORD_HEADER as u64;
        self.end += record.len() as u64;
        for (key, value) in batch.operations {
            at += (OPERATION_HEADER + key.len()) as u64;
            let entry = value.map(|value| {
                let entry = Entry { offset: at, len: value.len() as u32, crc: crc32fast::hash(&value) };
                at += value.len() as u64;
                entry
            });
            self.keydir.put(key, entry);
        }
        assert_eq!(at, self.end, "the keydir points where the record put its values");
        Ok(())
    }

    /// Reads a value.
    fn read(&self, entry: Entry) -> Result<Vec<u8>, Error> {
        let mut value = vec![0; entry.len as usize];
        let result = read_value(&self.file, &self.paths.data, entry, &mut value);
        self.or_fail(result)?;
        Ok(value)
    }

    /// Refuses to go on after an error.
    fn check(&self) -> Result<(), Error> {
        let Some(first) = self.failure.get() else { return Ok(()) };
        let kind = ErrorKind::Other(format!("the store must be opened again after an error: {first}"));
        Err(disk::Error::new("use", self.paths.data.clone(), kind).into())
    }

    /// Remembers an error, which ends this store.
    fn or_fail<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            tracing::warn!(path = self.paths.data, %error, "the store failed");
            self.failure.get_or_init(|| error.clone());
        }
        result
    }

    /// Iterates over a range, unless this store has failed.
    fn entries(
        &self,
        range: KeyRange,
    ) -> impl DoubleEndedIterator<Item = Result<(&Vec<u8>, Entry), Error>> + use<'_, D> {
        let failure = self.check().err();
        let range = failure.is_none().then(|| self.keydir.range(range));
        let entries = range.into_iter().flatten().map(|(key, &entry)| Ok((key, entry)));
        failure.into_iter().map(Err).chain(entries)
    }
}

impl<D: Disk> Storage for BitCask<D> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.check()?;
        self.keydir.get(key).map(|entry| self.read(entry)).transpose()
    }

    fn scan(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Pair, Error>> + '_ {
        self.entries(range).map(|entry| {
            let (key, entry) = entry?;
            self.check()?;
            Ok((key.clone(), self.read(entry)?))
        })
    }

    fn scan_keys(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Vec<u8>, Error>> + '_ {
        self.entries(range).map(|entry| entry.map(|(key, _)| key.clone()))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Error> {
        self.check()?;
        check_size(&batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        let result = self.append(batch);
        self.or_fail(result)?;
        if self.has_garbage(self.options.compact_garbage_bytes) { self.compact() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.check()?;
        if self.synced == self.end {
            return Ok(());
        }
        let result = self.file.sync().map_err(Error::from);
        self.or_fail(result)?;
        self.synced = self.end;
        Ok(())
    }

    /// The sizes on disk are those of the data file; [`BitCaskOptions`] says what of it is live.
    fn status(&self) -> Status {
        Status {
            name: "bitcask",
            keys: self.keydir.len(),
            size: self.keydir.size(),
            disk_size: self.end,
            live_disk_size: FILE_HEADER as u64 + self.keydir.disk_size(),
        }
    }
}

/// Fills `value`, which is as long as the entry says, and verifies it.
fn read_value<F: File>(file: &F, path: &str, entry: Entry, value: &mut [u8]) -> Result<(), Error> {
    file.read_at(value, entry.offset)?;
    if crc32fast::hash(value) != entry.crc {
        // It may be wrong this time only.
        disk::read_steadily(file, value, entry.offset)?;
    }
    if crc32fast::hash(value) != entry.crc {
        probe!("a value of the store does not match its checksum");
        let reason = format!("the checksum of a value of {} bytes does not match", entry.len);
        return Err(Error::Corrupt { path: path.to_owned(), offset: entry.offset, reason });
    }
    Ok(())
}

/// Refuses what the format cannot hold.
pub(super) fn check_size(batch: &Batch) -> Result<(), Error> {
    let check = |what, size, limit| if size > limit { Err(Error::TooLarge { what, size, limit }) } else { Ok(()) };
    let mut size = 0;
    for (key, value) in &batch.operations {
        let value_len = value.as_ref().map_or(0, Vec::len);
        check("key", key.len(), MAX_KEY)?;
        check("value", value_len, MAX_VALUE)?;
        size += OPERATION_HEADER + key.len() + value_len;
    }
    check("batch", size, MAX_BATCH)
}
