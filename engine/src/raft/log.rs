//! The durable log of a node: its term, vote and entries, in one append-only file.
//!
//! [`Log::append`] makes one write, and [`Log::sync`] makes everything written durable. A record of entries replaces
//! what the log held from its first entry's index on, so nothing is ever overwritten. How records look is in `record`,
//! how a file is read again in `recovery`: a torn tail is cut, and damage to durable records is an error.
//!
//! After any error the log refuses to go on. In particular no sync is tried again: the kernel may have dropped what the
//! first one failed to write, and the second would succeed without it (PostgreSQL's "fsyncgate", 2018).
//!
//! The file is never compacted. A snapshot would begin a new file, whose first record tells where its entries start.

use super::message::{Entry, HardState, Index};
use super::record;
use super::recovery::{self, Recovery};
use crate::disk::{self, Disk, File};
use crate::storage::Error;

/// A node's log on disk.
pub struct Log<D: Disk> {
    file: D::File,
    /// Keeps other processes out.
    _lock: D::Lock,
    /// Where the next record goes.
    end: u64,
    /// How much of the file is durable.
    synced: u64,
    hard_state: HardState,
    last_index: Index,
    buffer: Vec<u8>,
    /// The error after which the file's state is unknown.
    failed: Option<disk::Error>,
}

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// All entries, contiguous from index 1.
    pub entries: Vec<Entry>,
}

impl<D: Disk> Log<D> {
    /// Opens the log in a directory, creating both if need be. Fails with [`Error::Corrupt`] when durable data is
    /// damaged, and with [`disk::ErrorKind::Locked`] when the log is open already. What it returns is durable, names of
    /// files and directories included.
    #[expect(clippy::needless_pass_by_value, reason = "a disk is a cheap handle, given like anywhere else")]
    pub fn open(disk: D, dir: &str) -> Result<(Self, Recovered), Error> {
        let inside = |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        disk.create_dir(dir)?;
        let lock = disk.lock(&inside("lock"))?;
        let path = inside("log");
        let file = disk.open(&path)?;
        let Recovery { recovered, end } = recovery::recover(&file, &path)?;
        let mut parent = dir;
        disk.sync_dir(parent)?;
        while !parent.is_empty() {
            parent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
            disk.sync_dir(parent)?;
        }
        let log = Self {
            file,
            _lock: lock,
            end,
            synced: end,
            hard_state: recovered.hard_state,
            last_index: recovered.entries.last().map_or(0, |entry| entry.index),
            buffer: Vec::new(),
            failed: None,
        };
        Ok((log, recovered))
    }

    /// Writes a new term and vote, or entries, or both (as [`super::Unpersisted`] shows them). Durable after
    /// [`Log::sync`]. Entries must follow on each other, and the first one on an entry of the log.
    pub fn append(&mut self, hard_state: Option<HardState>, entries: &[Entry]) -> Result<(), Error> {
        self.check()?;
        self.buffer.clear();
        // The term first: what survives of a torn write must not hold entries of a term that the node has not seen.
        if let Some(hard_state) = hard_state {
            assert!(hard_state.term >= self.hard_state.term, "the durable term never decreases");
            record::encode_hard_state(&mut self.buffer, self.end, self.synced, hard_state)?;
        }
        if let Some(first) = entries.first() {
            assert!(first.index > 0 && first.index <= self.last_index + 1, "entry {} leaves a gap", first.index);
            assert!(entries.is_sorted_by(|a, b| a.index + 1 == b.index), "entries are contiguous");
            record::encode_entries(&mut self.buffer, self.end, self.synced, entries)?;
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_at(&self.buffer, self.end);
        self.poison_on_error(written)?;
        self.end += self.buffer.len() as u64;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        self.last_index = entries.last().map_or(self.last_index, |entry| entry.index);
        Ok(())
    }

    /// Makes everything that was appended durable.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check()?;
        let synced = self.file.sync();
        self.poison_on_error(synced)?;
        self.synced = self.end;
        Ok(())
    }

    /// The size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.end
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), |error| Err(error.into()))
    }

    fn poison_on_error(&mut self, result: Result<(), disk::Error>) -> Result<(), Error> {
        result.map_err(|error| {
            self.failed = Some(error.clone());
            error.into()
        })
    }
}
