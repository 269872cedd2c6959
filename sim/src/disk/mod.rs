//! The virtual disk of one node: hostile, and exactly repeatable.
//!
//! A [`SimDisk`] outlives the processes that use it. It keeps what is durable apart from what is only written, at the
//! granularity of sectors for contents and of single changes for directories. A power loss ([`SimDisk::power_loss`], or
//! in the middle of a process's step through [`SimDisk::crash_after`] or by chance while writes are in flight) keeps any
//! subset of what was not synced; the death of the process alone ([`SimDisk::process_crash`]) loses nothing, because the
//! operating system lives on, but what was not synced then can still be lost later. [`SimDisk::restart`] begins a new
//! process: handles from before fail from then on, so a dead process never writes.
//!
//! What goes wrong beside that:
//! - Reads, writes and syncs fail with EIO. A failed write has written none or some of its sectors. A failed sync leaves
//!   the file as unsynced as it was, or else marks what was unsynced as written: it still reads as new, later syncs
//!   succeed without it, and a power loss brings the old bytes back where nothing was written since.
//! - A read returns a flipped bit or the bytes of another place, this time only.
//! - At rest, durable sectors rot or become unreadable, and a synced write turns out to have gone elsewhere ([`Damage`]).
//! - Space runs out ([`SimDisk::set_capacity`]): a write takes what fits. What is removed is free at once, even while it
//!   is open, or a power loss could still bring it back; the disk is then fuller than its capacity for a while.
//! - The disk comes back as it was once ([`SimDisk::restore_image`]) or empty ([`SimDisk::wipe`]).
//! - Operations stall. They take virtual time, which the disk only adds up: the host asks for it with
//!   [`SimDisk::take_busy_us`] and lets so much time pass before it releases what the process sent.
//!
//! Every fate is a hash of the disk's seed and a logical place (the twelfth sync, a sector of a change in the third power
//! loss), never the next number of a sequence, so one operation more or less moves no other. Which faults came by chance
//! is kept ([`SimDisk::decisions`]), and each can be decided from outside instead ([`SimDisk::decide`]).
//!
//! Not modelled: sparse files and allocation that fails only at the sync; failed syncs of directories that drop their
//! changes; damage to names; sectors torn within; a device that acknowledges a sync and did nothing; files that locks
//! leave behind; links, permissions, and the removal of directories.

mod contents;
mod counters;
mod damage;
mod decisions;
mod directory;
mod file;
mod images;
mod journal;
mod options;
mod state;

pub use counters::Counters;
pub use damage::Damage;
pub use decisions::{Decision, Kind};
pub use file::SimFile;
pub use options::{DeviceOptions, DiskOptions, MAX_FILE_LEN, SECTOR};

use engine::disk::{Disk, Error, ErrorKind};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;
use state::State;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// A node's disk, as a handle of one process. Clones are the same disk and belong to the same process; the methods that
/// are not of [`Disk`] work with any handle, whatever has become of its process.
#[derive(Clone)]
pub struct SimDisk {
    state: Rc<RefCell<State>>,
    /// The process that the handle belongs to.
    epoch: Cell<u64>,
}

impl SimDisk {
    /// An empty disk on an honest device, running, with faults on. What becomes of it depends on the next number of `rng`.
    pub fn new(options: DiskOptions, rng: ChaCha8Rng) -> Self {
        Self::on_device(options, DeviceOptions::default(), rng)
    }

    /// An empty disk on a device of some kind, running, with faults on. What becomes of it depends on the next number of
    /// `rng`.
    ///
    /// # Panics
    ///
    /// When the device has sectors of another size than 512 or 4096 bytes.
    pub fn on_device(options: DiskOptions, device: DeviceOptions, mut rng: ChaCha8Rng) -> Self {
        let state = State::new(options, device, rng.next_u64());
        Self { state: Rc::new(RefCell::new(state)), epoch: Cell::new(0) }
    }

    /// Lets `operations` more operations through, and takes the power away at the one after them. It and all later ones
    /// fail with [`ErrorKind::PowerLoss`] until [`SimDisk::restart`].
    pub fn crash_after(&self, operations: u32) {
        self.state.borrow_mut().crash_after = Some(operations);
    }

    /// Takes the power away now: chooses what survives of everything unsynced, and fails every operation until
    /// [`SimDisk::restart`]. Without power already, it does nothing.
    pub fn power_loss(&self) {
        self.state.borrow_mut().power_loss();
    }

    /// Ends the process, but not the machine: nothing is lost yet, nothing becomes durable, and every operation fails until
    /// [`SimDisk::restart`]. When the process has ended already, it does nothing.
    pub fn process_crash(&self) {
        let mut state = self.state.borrow_mut();
        if state.running {
            state.counters.process_crashes += 1;
            state.stop();
        }
    }

    /// Begins a new process. This handle, and clones made of it from now on, belong to it; all others are dead.
    pub fn restart(&self) {
        let mut state = self.state.borrow_mut();
        state.stop();
        state.running = true;
        state.powered = true;
        state.epoch += 1;
        self.epoch.set(state.epoch);
    }

    /// Whether the process runs: false from a crash until the restart.
    pub fn is_running(&self) -> bool {
        self.state.borrow().running
    }

    /// Turns errors, stalls, misleading reads and crashes in flight on or off, whether they come by chance or were decided
    /// from outside. Turning them off also disarms [`SimDisk::crash_after`] and ends [`SimDisk::set_stall`]. A power loss
    /// stays what it is, as do damage and a full disk.
    pub fn set_faults_enabled(&self, enabled: bool) {
        let mut state = self.state.borrow_mut();
        state.faults = enabled;
        if !enabled {
            state.crash_after = None;
            state.stall_us = 0;
            state.more_errors = [0; 3];
        }
    }

    /// Calls off a crash that [`SimDisk::crash_after`] has announced, if it has not happened.
    pub fn call_off_crash(&self) {
        self.state.borrow_mut().crash_after = None;
    }

    /// An episode of failures: more reads, writes and syncs fail, in parts per million, until this is set to 0.
    pub fn set_more_errors(&self, read_ppm: u32, write_ppm: u32, sync_ppm: u32) {
        self.state.borrow_mut().more_errors = [read_ppm, write_ppm, sync_ppm];
    }

    /// A slow episode: every operation takes so much longer, until this is set to 0.
    pub fn set_stall(&self, extra_us_per_operation: u64) {
        self.state.borrow_mut().stall_us = extra_us_per_operation;
    }

    /// Decides that a fault happens, whatever its rate. An operation that cannot have it (a read past the end cannot rot)
    /// goes on as it would.
    pub fn decide(&self, decision: Decision) {
        self.state.borrow_mut().decisions.give(decision);
    }

    /// Decides that a read fails: the one with this ordinal among all reads of the disk's life, counted from 1.
    pub fn fail_read(&self, ordinal: u64) {
        self.decide(Decision::ReadFailed(ordinal));
    }

    /// Decides that a write or change of length fails, by its ordinal among them.
    pub fn fail_write(&self, ordinal: u64) {
        self.decide(Decision::WriteFailed(ordinal));
    }

    /// Decides that a sync fails, by its ordinal among those of files and directories.
    pub fn fail_sync(&self, ordinal: u64) {
        self.decide(Decision::SyncFailed(ordinal));
    }

    /// The faults that have happened so far, by chance or by [`SimDisk::decide`], in order. The same operations with rates
    /// of zero meet them again when each is decided from outside. What a power loss keeps is not among them: it
    /// depends on the chances of survival and on logical places alone.
    pub fn decisions(&self) -> Vec<Decision> {
        self.state.borrow().decisions.fired().to_vec()
    }

    /// Sets how many bytes all files may have together, rounded down to sectors, or that there is no limit. It may be
    /// less than they have: then nothing grows until enough is removed.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        let mut state = self.state.borrow_mut();
        state.capacity = bytes.map(|bytes| bytes / state.sector() as u64);
    }

    /// How many bytes all files that have names take: one sector for each, and those of its contents as they are cached.
    pub fn used(&self) -> u64 {
        let state = self.state.borrow();
        state.account.sectors * state.sector() as u64
    }

    /// The time, in microseconds, that operations have taken since this was last asked.
    pub fn take_busy_us(&self) -> u64 {
        std::mem::take(&mut self.state.borrow_mut().busy_us)
    }

    /// What has happened so far, over all processes.
    pub fn counters(&self) -> Counters {
        self.state.borrow().counters
    }

    /// Runs one operation of the process that this handle belongs to, with its ordinal.
    fn operate<T>(
        &self,
        operation: &'static str,
        path: &str,
        kind: Kind,
        act: impl FnOnce(&mut State, u64) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let mut state = self.state.borrow_mut();
        let result = state.begin(self.epoch.get(), kind).and_then(|ordinal| act(&mut state, ordinal));
        result.map_err(|kind| Error::new(operation, path, kind))
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("epoch", &self.epoch.get()).finish_non_exhaustive()
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn open(&self, path: &str) -> Result<SimFile, Error> {
        let contents = self.operate("open", path, Kind::Name, |state, _| state.open(path))?;
        Ok(SimFile::new(self.clone(), path, contents))
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        self.operate("look for", path, Kind::Look, |state, _| state.names.exists(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.operate("rename", from, Kind::Name, |state, _| {
            if let Some(replaced) = state.names.rename(from, to)? {
                state.unname(&replaced);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.operate("remove", path, Kind::Name, |state, _| {
            let file = state.names.remove(path)?;
            state.unname(&file);
            Ok(())
        })
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        self.operate("list", dir, Kind::Look, |state, _| state.names.list(dir))
    }

    fn create_dir(&self, dir: &str) -> Result<(), Error> {
        self.operate("create directory", dir, Kind::Name, |state, _| state.names.create_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> Result<(), Error> {
        self.operate("sync directory", dir, Kind::Sync, |state, ordinal| {
            state.counters.directory_syncs += 1;
            if state.fail_sync(ordinal) {
                return Err(ErrorKind::Io);
            }
            state.names.sync(dir)
        })
    }

    fn lock(&self, path: &str) -> Result<SimLock, Error> {
        let id = self.operate("lock", path, Kind::Look, |state, _| state.lock(path))?;
        Ok(SimLock { state: Rc::clone(&self.state), path: path.to_owned(), id })
    }
}

/// A path that a process holds exclusively, until this is dropped or the process ends.
pub struct SimLock {
    state: Rc<RefCell<State>>,
    path: String,
    id: u64,
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        // After a crash the path may be held by another process.
        if state.locks.get(&self.path) == Some(&self.id) {
            state.locks.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
