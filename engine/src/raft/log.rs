//! The durable log of a node: its term, vote and entries, in one append-only file.
//!
//! [`Log::append`] makes one write, and [`Log::sync`] makes everything written durable. A record of entries replaces
//! what the log held from its first entry's index on, so nothing is ever overwritten. How records look is in `record`,
//! how a file is read again in `recovery`: a torn tail is cut, and damage to durable records is reported.
//!
//! A log begins in one of two ways, and both write its first record, of a hard state, before the file gets its name.
//! [`Log::format`] begins the log of a new cluster's voter. [`Lost::begin`] begins that of a node which has lost its log,
//! and so is no voter until the others have reinstated it. A file without a first record, or none at all, is a loss: it
//! is never taken for a new log, since a node that has forgotten a vote would vote again. The old file is set aside
//! before the new one is begun, and a crash between the two leaves no log, which again is a loss.
//!
//! After any error the log refuses to go on. In particular no sync is tried again: the kernel may have dropped what the
//! first one failed to write, and the second would succeed without it (PostgreSQL's "fsyncgate", 2018).
//!
//! The file is never compacted. A snapshot would begin a new file, whose first record tells where its entries start.

use super::message::{Entry, HardState, Index, Nonce};
use super::record;
use super::recovery::{self, Recovery};
use crate::disk::{self, Disk, ErrorKind, File};
use crate::storage::Error;

/// The log's file.
const FILE: &str = "log";
/// A new log, until it is durable.
const NEXT: &str = "log.next";
/// A log that was given up, for an operator to look at.
const DAMAGED: &str = "log.damaged";

/// The directory of a log, held against other processes.
struct Place<D: Disk> {
    disk: D,
    dir: String,
    _lock: D::Lock,
}

impl<D: Disk> Place<D> {
    /// Takes a directory, creating it if need be.
    fn enter(disk: D, dir: &str) -> Result<Self, Error> {
        disk.create_dir(dir)?;
        let lock = disk.lock(&join(dir, "lock"))?;
        Ok(Self { disk, dir: dir.to_owned(), _lock: lock })
    }

    fn path(&self, name: &str) -> String {
        join(&self.dir, name)
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        Ok(self.disk.exists(&self.path(name))?)
    }

    /// Makes the names in the directory durable, and its own.
    fn sync(&self) -> Result<(), Error> {
        let mut dir = &self.dir[..];
        self.disk.sync_dir(dir)?;
        while !dir.is_empty() {
            dir = dir.rsplit_once('/').map_or("", |(parent, _)| parent);
            self.disk.sync_dir(dir)?;
        }
        Ok(())
    }

    /// Begins a log with its first record, in place of any that is there. Returns the file and its length.
    fn begin(&self, first: HardState) -> Result<(D::File, u64), Error> {
        let mut record = Vec::new();
        record::encode_hard_state(&mut record, 0, 0, first)?;
        let next = self.disk.open(&self.path(NEXT))?;
        // An earlier attempt may have left something.
        next.set_len(0)?;
        next.write_at(&record, 0)?;
        next.sync()?;
        self.disk.rename(&self.path(NEXT), &self.path(FILE))?;
        self.sync()?;
        Ok((self.disk.open(&self.path(FILE))?, record.len() as u64))
    }

    /// Takes the log out of the way, durably, if there is one. The one that was set aside before is replaced.
    fn set_aside(&self) -> Result<(), Error> {
        if self.has(FILE)? {
            self.disk.rename(&self.path(FILE), &self.path(DAMAGED))?;
        }
        self.sync()
    }
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// A node's log on disk.
pub struct Log<D: Disk> {
    file: D::File,
    /// Where the next record goes.
    end: u64,
    /// How much of the file is durable.
    synced: u64,
    hard_state: HardState,
    last_index: Index,
    buffer: Vec<u8>,
    /// The error after which the file's state is unknown.
    failed: Option<disk::Error>,
    /// Let go of last, when nothing touches the file any more.
    place: Place<D>,
}

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term, vote and status.
    pub hard_state: HardState,
    /// All entries, contiguous from index 1.
    pub entries: Vec<Entry>,
}

/// What opening a log finds.
pub enum Opened<D: Disk> {
    /// The log, and what it holds.
    Whole(Log<D>, Recovered),
    /// The log has lost something, or is not there: why ([`Error::is_loss`]). It was not changed.
    Lost(Lost<D>, Error),
}

/// The place of a log that has lost something.
pub struct Lost<D: Disk> {
    place: Place<D>,
}

impl<D: Disk> Lost<D> {
    /// Takes the log out of the way, durably: it becomes `log.damaged`, and replaces an older one of that name. From now
    /// on the directory has no log, which is a loss too.
    pub fn set_aside(&self) -> Result<(), Error> {
        self.place.set_aside()
    }

    /// Begins an empty log that says durably that its node has forgotten everything, under a nonce that is new.
    pub fn begin(self, nonce: Nonce) -> Result<(Log<D>, Recovered), Error> {
        let hard_state = HardState { recovering: Some(nonce), ..HardState::default() };
        let (file, end) = self.place.begin(hard_state)?;
        let recovered = Recovered { hard_state, entries: Vec::new() };
        Ok((Log::new(self.place, file, end, &recovered), recovered))
    }
}

impl<D: Disk> Log<D> {
    /// Begins the log of a voter of a new cluster, durably. Only for a disk that has never been in use: the log of one that
    /// has is gone for good, and what the node has promised by it with it. A directory that has a log already, or had
    /// one, is left as it is.
    pub fn format(disk: D, dir: &str) -> Result<(), Error> {
        let place = Place::enter(disk, dir)?;
        if place.has(FILE)? || place.has(DAMAGED)? {
            return place.sync();
        }
        place.begin(HardState::default())?;
        Ok(())
    }

    /// Opens the log in a directory, which is created if need be. Fails with [`ErrorKind::Locked`] when the log is open
    /// already. What it returns is durable, names of files and directories included.
    pub fn open(disk: D, dir: &str) -> Result<Opened<D>, Error> {
        let place = Place::enter(disk, dir)?;
        let path = place.path(FILE);
        if !place.has(FILE)? {
            probe!("a disk without a log");
            return Ok(Opened::Lost(Lost { place }, Error::NotFormatted { path }));
        }
        let file = place.disk.open(&path)?;
        match recovery::recover(&file, &path) {
            Ok(Recovery { recovered, end }) => {
                place.sync()?;
                Ok(Opened::Whole(Self::new(place, file, end, &recovered), recovered))
            }
            Err(error) if error.is_loss() => Ok(Opened::Lost(Lost { place }, error)),
            Err(error) => Err(error),
        }
    }

    fn new(place: Place<D>, file: D::File, end: u64, recovered: &Recovered) -> Self {
        Self {
            file,
            end,
            synced: end,
            hard_state: recovered.hard_state,
            last_index: recovered.entries.last().map_or(0, |entry| entry.index),
            buffer: Vec::new(),
            failed: None,
            place,
        }
    }

    /// Gives up a log that turned out to lack something.
    pub fn into_lost(self) -> Lost<D> {
        Lost { place: self.place }
    }

    /// Takes the log out of the way, like [`Lost::set_aside`], and refuses everything else from then on.
    pub fn set_aside(&mut self) -> Result<(), Error> {
        let kind = ErrorKind::Other("the log was set aside".to_owned());
        self.failed = Some(disk::Error::new("use", self.place.path(FILE), kind));
        self.place.set_aside()
    }

    /// Writes a new hard state, or entries, or both (as [`super::Unpersisted`] shows them). Durable after
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
