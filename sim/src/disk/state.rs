//! The state that all handles of a disk share: whether it lives, what it has been told to do, and where its fates are
//! decided.

use super::contents::{Account, Contents};
use super::counters::Counters;
use super::decisions::{Decision, Decisions, Draws, KINDS, Kind, Topic};
use super::directory::{Directory, FileRef};
use super::images::SavedImage;
use super::journal::Survival;
use super::options::{DeviceOptions, DiskOptions};
use engine::disk::ErrorKind;
use std::collections::BTreeMap;

pub(super) struct State {
    pub(super) options: DiskOptions,
    pub(super) device: DeviceOptions,
    /// What an episode of failures adds to the rates of reads, writes and syncs that fail.
    pub(super) more_errors: [u32; 3],
    pub(super) draws: Draws,
    pub(super) decisions: Decisions,
    /// How many operations of each kind have begun, and how many while writes were unsynced.
    begun: [u64; KINDS],
    begun_in_flight: u64,
    /// Whether errors, stalls and misleading reads happen.
    pub(super) faults: bool,
    /// Whether the process lives.
    pub(super) running: bool,
    /// Whether the machine has power; without it, nothing is unsynced.
    pub(super) powered: bool,
    /// The process that lives, or lived last.
    pub(super) epoch: u64,
    pub(super) crash_after: Option<u32>,
    pub(super) stall_us: u64,
    pub(super) busy_us: u64,
    pub(super) names: Directory,
    /// What the files that have names count for together.
    pub(super) account: Account,
    /// In sectors.
    pub(super) capacity: Option<u64>,
    /// Whether files keep their last writes in mind.
    pub(super) remember_writes: bool,
    pub(super) saved_image: Option<SavedImage>,
    /// Who holds which path.
    pub(super) locks: BTreeMap<String, u64>,
    next_lock: u64,
    pub(super) counters: Counters,
}

impl State {
    pub(super) fn new(options: DiskOptions, device: DeviceOptions, seed: u64) -> Self {
        assert!(matches!(device.sector, 512 | 4096), "a sector has 512 or 4096 bytes, not {}", device.sector);
        Self {
            options,
            device,
            more_errors: [0; 3],
            draws: Draws::new(seed),
            decisions: Decisions::default(),
            begun: [0; KINDS],
            begun_in_flight: 0,
            faults: true,
            running: true,
            powered: true,
            epoch: 0,
            crash_after: None,
            stall_us: 0,
            busy_us: 0,
            names: Directory::new(device.sector as usize),
            account: Account::default(),
            capacity: None,
            remember_writes: false,
            saved_image: None,
            locks: BTreeMap::new(),
            next_lock: 0,
            counters: Counters::default(),
        }
    }

    /// Bytes of a sector.
    pub(super) fn sector(&self) -> usize {
        self.device.sector as usize
    }

    /// Lets one operation of a process begin, unless it is dead or dies here. Returns its ordinal among those of its kind.
    pub(super) fn begin(&mut self, epoch: u64, kind: Kind) -> Result<u64, ErrorKind> {
        if !self.running || epoch != self.epoch {
            return Err(ErrorKind::PowerLoss);
        }
        match &mut self.crash_after {
            Some(0) => return self.crash_mid_step(),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.account.unsynced > 0 {
            self.begun_in_flight += 1;
            if self.decide(Decision::CrashedInFlight(self.begun_in_flight), self.device.crash_in_flight_ppm) {
                self.counters.crashes_in_flight += 1;
                return self.crash_mid_step();
            }
        }
        self.counters.operations += 1;
        let begun = &mut self.begun[kind as usize];
        *begun += 1;
        let ordinal = *begun;
        let base = match kind {
            Kind::Look => 0,
            Kind::Read => self.options.read_us,
            Kind::Write | Kind::Name => self.options.write_us,
            Kind::Sync => self.options.sync_us,
        };
        // Options come from outside: absurd ones saturate.
        let more = self.draws.below(Topic::Time(kind), ordinal, base / 4 + 1);
        let mut taken = base.saturating_add(more).saturating_add(self.stall_us);
        if self.decide(Decision::Stalled(kind, ordinal), self.options.stall_ppm) {
            self.counters.stalls += 1;
            taken = taken.saturating_add(self.options.stall_us);
        }
        self.busy_us = self.busy_us.saturating_add(taken);
        Ok(ordinal)
    }

    /// Whether a fault that was given, or has this rate, happens.
    pub(super) fn decide(&mut self, decision: Decision, ppm: u32) -> bool {
        self.faults && self.decisions.decide(self.draws, decision, ppm)
    }

    pub(super) fn fail_read(&mut self, ordinal: u64) -> bool {
        self.decide(Decision::ReadFailed(ordinal), self.options.eio_read_ppm.saturating_add(self.more_errors[0]))
    }

    pub(super) fn fail_write(&mut self, ordinal: u64) -> bool {
        self.decide(Decision::WriteFailed(ordinal), self.options.eio_write_ppm.saturating_add(self.more_errors[1]))
    }

    pub(super) fn fail_sync(&mut self, ordinal: u64) -> bool {
        let ppm = self.options.eio_sync_ppm.saturating_add(self.more_errors[2]);
        let fails = self.decide(Decision::SyncFailed(ordinal), ppm);
        self.counters.eio_syncs += u64::from(fails);
        fails
    }

    /// Opens a file, or creates it if there is space.
    pub(super) fn open(&mut self, path: &str) -> Result<FileRef, ErrorKind> {
        let has_room = self.capacity.is_none_or(|capacity| self.account.sectors < capacity);
        let opened = self.names.open(path, has_room);
        match opened {
            // A new file is empty and synced.
            Ok((file, created)) => {
                self.account.sectors += u64::from(created);
                Ok(file)
            }
            Err(kind) => {
                self.counters.no_space += u64::from(kind == ErrorKind::NoSpace);
                Err(kind)
            }
        }
    }

    /// A file has lost its name.
    pub(super) fn unname(&mut self, file: &FileRef) {
        let contents = &mut *file.borrow_mut();
        let before = contents.account();
        contents.named = false;
        self.settle(before, contents.account());
    }

    /// A file counts for something else than before.
    pub(super) fn settle(&mut self, before: Account, after: Account) {
        self.account.sectors = self.account.sectors - before.sectors + after.sectors;
        self.account.unsynced = self.account.unsynced - before.unsynced + after.unsynced;
    }

    /// The length to which a file can grow.
    pub(super) fn room(&self, contents: &Contents) -> u64 {
        match self.capacity {
            Some(capacity) if contents.named => {
                let free = capacity.saturating_sub(self.account.sectors);
                (contents.cached_sectors() as u64).saturating_add(free).saturating_mul(self.sector() as u64)
            }
            _ => u64::MAX,
        }
    }

    pub(super) fn lock(&mut self, path: &str) -> Result<u64, ErrorKind> {
        if self.locks.contains_key(path) {
            return Err(ErrorKind::Locked);
        }
        let id = self.next_lock;
        self.next_lock += 1;
        self.locks.insert(path.to_owned(), id);
        Ok(id)
    }

    /// Ends the process.
    pub(super) fn stop(&mut self) {
        self.running = false;
        self.locks.clear();
        self.crash_after = None;
    }

    pub(super) fn power_loss(&mut self) {
        if !self.powered {
            return;
        }
        self.stop();
        self.powered = false;
        self.counters.power_losses += 1;
        let ordinal = self.counters.power_losses;
        let DiskOptions { keep_unsynced_ppm, tear, keep_directory_ppm, .. } = self.options;
        self.counters.lost_entries += self.names.power_loss(self.draws, ordinal, keep_directory_ppm);
        for (path, file) in self.names.files() {
            let draws = self.draws.of(Topic::FileLoss, ordinal, path);
            let loss = file.borrow_mut().power_loss(Survival { draws, keep_ppm: keep_unsynced_ppm, tear });
            self.counters.lost_pieces += loss.pieces;
            self.counters.torn_writes += loss.torn;
        }
        self.recount();
    }

    /// Counts anew what the files with names count for, after the names have changed as a whole.
    pub(super) fn recount(&mut self) {
        self.account = Account::default();
        for (_, file) in self.names.files() {
            let mut contents = file.borrow_mut();
            contents.named = true;
            let Account { sectors, unsynced } = contents.account();
            self.account.sectors += sectors;
            self.account.unsynced += unsynced;
        }
    }

    fn crash_mid_step(&mut self) -> Result<u64, ErrorKind> {
        self.counters.crashes_mid_step += 1;
        self.power_loss();
        Err(ErrorKind::PowerLoss)
    }
}
