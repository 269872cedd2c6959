//! The virtual disk of one node: hostile, and exactly repeatable.
//!
//! A [`SimDisk`] outlives the processes that use it. It keeps what is durable apart from what is only written, at the
//! granularity of sectors for contents and of single changes for directories. A power loss ([`SimDisk::power_loss`], or
//! in the middle of a process's step through [`SimDisk::crash_after`]) keeps any subset of what was not synced; the
//! death of the process alone ([`SimDisk::process_crash`]) loses nothing, because the operating system lives on, but what
//! was not synced then can still be lost later. Reads, writes and syncs fail with EIO at given rates. [`SimDisk::restart`]
//! begins a new process: handles from before fail from then on, so a dead process never writes.
//!
//! A failed sync leaves the file as unsynced as it was. A failed write has written none or some of its sectors.
//! Operations take virtual time, which the disk only adds up: the host asks for it with [`SimDisk::take_busy_us`] and
//! lets so much time pass before it releases what the process sent. Full, rotting and misdirecting disks, and failed
//! syncs that drop their pages, are not modelled.

mod contents;
mod directory;

use crate::draw::{below, chance};
use contents::Contents;
use directory::{Directory, FileRef};
use engine::disk::{Disk, Error, ErrorKind, File};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// Bytes of a sector: what a device writes as a whole or not at all.
pub const SECTOR: usize = 512;

/// The longest file, in bytes; beyond that there is no space. It keeps a wild offset from eating the host's memory.
pub const MAX_FILE_LEN: u64 = 1 << 30;

/// Rates in parts per million, times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskOptions {
    /// Reads that fail.
    pub eio_read_ppm: u32,
    /// Writes and truncations that fail, having written none or some of their sectors.
    pub eio_write_ppm: u32,
    /// Syncs of files and directories that fail.
    pub eio_sync_ppm: u32,
    /// Operations that stall.
    pub stall_ppm: u32,
    /// How long a stall lasts.
    pub stall_us: u64,
    /// The time that a read takes, and up to a quarter more.
    pub read_us: u64,
    /// The time that a write, a truncation or a change of names takes, and up to a quarter more.
    pub write_us: u64,
    /// The time that a sync takes, and up to a quarter more.
    pub sync_us: u64,
    /// The chance that an unsynced piece of a file survives a power loss.
    pub keep_unsynced_ppm: u32,
    /// Whether a write can survive in some sectors and be lost in others. Else it is atomic.
    pub tear: bool,
    /// The chance that an unsynced creation, rename or removal survives a power loss.
    pub keep_directory_ppm: u32,
}

/// A good disk that still loses what was not synced.
impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            eio_read_ppm: 0,
            eio_write_ppm: 0,
            eio_sync_ppm: 0,
            stall_ppm: 0,
            stall_us: 0,
            read_us: 20,
            write_us: 5,
            sync_us: 100,
            keep_unsynced_ppm: 500_000,
            tear: true,
            keep_directory_ppm: 500_000,
        }
    }
}

/// What happened on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Operations begun, of every kind.
    pub operations: u64,
    /// Reads.
    pub reads: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Writes and truncations.
    pub writes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of directories.
    pub directory_syncs: u64,
    /// Reads that failed.
    pub eio_reads: u64,
    /// Writes and truncations that failed.
    pub eio_writes: u64,
    /// Syncs, of files and directories, that failed.
    pub eio_syncs: u64,
    /// Operations that stalled.
    pub stalls: u64,
    /// Power losses, in the middle of a step or between two.
    pub power_losses: u64,
    /// Power losses between two operations of one step.
    pub crashes_mid_step: u64,
    /// Deaths of a process alone.
    pub process_crashes: u64,
    /// Unsynced sectors of writes, and truncations, lost in power losses.
    pub lost_pieces: u64,
    /// Writes that survived a power loss in part.
    pub torn_writes: u64,
    /// Names, and changes of names, lost in power losses.
    pub lost_entries: u64,
}

impl Counters {
    /// Adds another disk's counts.
    pub fn merge(&mut self, other: &Self) {
        self.operations += other.operations;
        self.reads += other.reads;
        self.bytes_read += other.bytes_read;
        self.writes += other.writes;
        self.bytes_written += other.bytes_written;
        self.syncs += other.syncs;
        self.directory_syncs += other.directory_syncs;
        self.eio_reads += other.eio_reads;
        self.eio_writes += other.eio_writes;
        self.eio_syncs += other.eio_syncs;
        self.stalls += other.stalls;
        self.power_losses += other.power_losses;
        self.crashes_mid_step += other.crashes_mid_step;
        self.process_crashes += other.process_crashes;
        self.lost_pieces += other.lost_pieces;
        self.torn_writes += other.torn_writes;
        self.lost_entries += other.lost_entries;
    }
}

/// A node's disk, as a handle of one process. Clones are the same disk and belong to the same process; the methods that
/// are not of [`Disk`] work with any handle, whatever has become of its process.
#[derive(Clone)]
pub struct SimDisk {
    state: Rc<RefCell<State>>,
    /// The process that the handle belongs to.
    epoch: Cell<u64>,
}

impl SimDisk {
    /// An empty disk, running, with faults on, drawing from `rng`.
    pub fn new(options: DiskOptions, rng: ChaCha8Rng) -> Self {
        let state = State {
            options,
            more_errors: [0; 3],
            rng,
            faults: true,
            running: true,
            powered: true,
            epoch: 0,
            crash_after: None,
            stall_us: 0,
            busy_us: 0,
            names: Directory::default(),
            locks: BTreeMap::new(),
            next_lock: 0,
            counters: Counters::default(),
        };
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

    /// Turns errors and stalls on or off. Turning them off also disarms [`SimDisk::crash_after`] and ends
    /// [`SimDisk::set_stall`]. A power loss stays what it is.
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

    /// The time, in microseconds, that operations have taken since this was last asked.
    pub fn take_busy_us(&self) -> u64 {
        std::mem::take(&mut self.state.borrow_mut().busy_us)
    }

    /// What has happened so far, over all processes.
    pub fn counters(&self) -> Counters {
        self.state.borrow().counters
    }

    /// Runs one operation of the process that this handle belongs to.
    fn operate<T>(
        &self,
        operation: &'static str,
        path: &str,
        service: Service,
        act: impl FnOnce(&mut State) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let mut state = self.state.borrow_mut();
        let result = state.begin(self.epoch.get(), service).and_then(|()| act(&mut state));
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
        let contents = self.operate("open", path, Service::Write, |state| state.names.open(path))?;
        Ok(SimFile { disk: self.clone(), path: path.into(), contents })
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        self.operate("look for", path, Service::Look, |state| state.names.exists(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.operate("rename", from, Service::Write, |state| state.names.rename(from, to))
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.operate("remove", path, Service::Write, |state| state.names.remove(path))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        self.operate("list", dir, Service::Look, |state| state.names.list(dir))
    }

    fn create_dir(&self, dir: &str) -> Result<(), Error> {
        self.operate("create directory", dir, Service::Write, |state| state.names.create_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> Result<(), Error> {
        self.operate("sync directory", dir, Service::Sync, |state| {
            state.counters.directory_syncs += 1;
            state.fail_sync()?;
            state.names.sync(dir)
        })
    }

    fn lock(&self, path: &str) -> Result<SimLock, Error> {
        let id = self.operate("lock", path, Service::Look, |state| state.lock(path))?;
        Ok(SimLock { state: Rc::clone(&self.state), path: path.to_owned(), id })
    }
}

/// An open file of a [`SimDisk`].
pub struct SimFile {
    disk: SimDisk,
    path: Rc<str>,
    contents: FileRef,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SimFile {
    fn operate<T>(
        &self,
        operation: &'static str,
        service: Service,
        act: impl FnOnce(&mut State, &mut Contents) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        // The contents are borrowed only once the disk lets the operation through: a power loss needs them itself.
        self.disk.operate(operation, &self.path, service, |state| act(state, &mut self.contents.borrow_mut()))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.operate("read", Service::Read, |state, contents| {
            let end = offset.checked_add(buf.len() as u64).ok_or(ErrorKind::UnexpectedEof)?;
            let bytes = contents.get(offset as usize..end as usize).ok_or(ErrorKind::UnexpectedEof)?;
            state.counters.reads += 1;
            if state.fails(state.options.eio_read_ppm.saturating_add(state.more_errors[0])) {
                state.counters.eio_reads += 1;
                return Err(ErrorKind::Io);
            }
            buf.copy_from_slice(bytes);
            state.counters.bytes_read += buf.len() as u64;
            Ok(())
        })
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), Error> {
        self.operate("write", Service::Write, |state, contents| {
            let end = offset.checked_add(data.len() as u64).filter(|end| *end <= MAX_FILE_LEN);
            let end = end.ok_or(ErrorKind::NoSpace)? as usize;
            let offset = offset as usize;
            state.counters.writes += 1;
            if state.fails(state.options.eio_write_ppm.saturating_add(state.more_errors[1])) {
                state.counters.eio_writes += 1;
                let first = offset / SECTOR;
                let written = below(&mut state.rng, (end.div_ceil(SECTOR) - first) as u64) as usize;
                let until = ((first + written) * SECTOR).max(offset);
                contents.write(offset, &data[..until - offset]);
                return Err(ErrorKind::Io);
            }
            contents.write(offset, data);
            state.counters.bytes_written += data.len() as u64;
            Ok(())
        })
    }

    fn len(&self) -> Result<u64, Error> {
        self.operate("length of", Service::Look, |_, contents| Ok(contents.len() as u64))
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.operate("set length of", Service::Write, |state, contents| {
            if len > MAX_FILE_LEN {
                return Err(ErrorKind::NoSpace);
            }
            state.counters.writes += 1;
            if state.fails(state.options.eio_write_ppm.saturating_add(state.more_errors[1])) {
                state.counters.eio_writes += 1;
                return Err(ErrorKind::Io);
            }
            contents.set_len(len as usize);
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), Error> {
        self.operate("sync", Service::Sync, |state, contents| {
            state.counters.syncs += 1;
            state.fail_sync()?;
            contents.sync();
            Ok(())
        })
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

/// What an operation costs.
#[derive(Clone, Copy)]
enum Service {
    Look,
    Read,
    Write,
    Sync,
}

struct State {
    options: DiskOptions,
    /// What an episode of failures adds to the rates of reads, writes and syncs that fail.
    more_errors: [u32; 3],
    rng: ChaCha8Rng,
    /// Whether errors and stalls happen.
    faults: bool,
    /// Whether the process lives.
    running: bool,
    /// Whether the machine has power; without it, nothing is unsynced.
    powered: bool,
    /// The process that lives, or lived last.
    epoch: u64,
    crash_after: Option<u32>,
    stall_us: u64,
    busy_us: u64,
    names: Directory,
    /// Who holds which path.
    locks: BTreeMap<String, u64>,
    next_lock: u64,
    counters: Counters,
}

impl State {
    /// Lets one operation of a process begin, unless it is dead or dies here.
    fn begin(&mut self, epoch: u64, service: Service) -> Result<(), ErrorKind> {
        if !self.running || epoch != self.epoch {
            return Err(ErrorKind::PowerLoss);
        }
        match &mut self.crash_after {
            Some(0) => {
                self.counters.crashes_mid_step += 1;
                self.power_loss();
                return Err(ErrorKind::PowerLoss);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.counters.operations += 1;
        let base = match service {
            Service::Look => 0,
            Service::Read => self.options.read_us,
            Service::Write => self.options.write_us,
            Service::Sync => self.options.sync_us,
        };
        // Options come from outside: absurd ones saturate.
        let mut taken = base.saturating_add(below(&mut self.rng, base / 4 + 1)).saturating_add(self.stall_us);
        if self.fails(self.options.stall_ppm) {
            self.counters.stalls += 1;
            taken = taken.saturating_add(self.options.stall_us);
        }
        self.busy_us = self.busy_us.saturating_add(taken);
        Ok(())
    }

    /// Draws whether a fault with this rate happens.
    fn fails(&mut self, ppm: u32) -> bool {
        self.faults && chance(&mut self.rng, ppm)
    }

    fn fail_sync(&mut self) -> Result<(), ErrorKind> {
        if self.fails(self.options.eio_sync_ppm.saturating_add(self.more_errors[2])) {
            self.counters.eio_syncs += 1;
            return Err(ErrorKind::Io);
        }
        Ok(())
    }

    fn lock(&mut self, path: &str) -> Result<u64, ErrorKind> {
        if self.locks.contains_key(path) {
            return Err(ErrorKind::Locked);
        }
        let id = self.next_lock;
        self.next_lock += 1;
        self.locks.insert(path.to_owned(), id);
        Ok(id)
    }

    fn stop(&mut self) {
        self.running = false;
        self.locks.clear();
        self.crash_after = None;
    }

    fn power_loss(&mut self) {
        if !self.powered {
            return;
        }
        self.stop();
        self.powered = false;
        self.counters.power_losses += 1;
        let DiskOptions { keep_unsynced_ppm, tear, keep_directory_ppm, .. } = self.options;
        self.counters.lost_entries += self.names.power_loss(&mut self.rng, keep_directory_ppm);
        for file in self.names.files() {
            let loss = file.borrow_mut().power_loss(&mut self.rng, keep_unsynced_ppm, tear);
            self.counters.lost_pieces += loss.pieces;
            self.counters.torn_writes += loss.torn;
        }
    }
}

#[cfg(test)]
mod tests;
