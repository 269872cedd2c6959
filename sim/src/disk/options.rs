//! What a disk is like: how fast, how faulty, and what kind of device it is.

use serde::{Deserialize, Serialize};

/// Bytes of a sector, unless [`DeviceOptions::sector`] says otherwise: what a device writes as a whole or not at all.
pub const SECTOR: usize = 512;

/// The longest file, in bytes; beyond that there is no space. It keeps a wild offset from eating the host's memory.
pub const MAX_FILE_LEN: u64 = 1 << 30;

/// Times, plain errors, and what a power loss does. Rates in parts per million, times in microseconds.
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

/// The device below, and how it and its driver mislead: what a disk does beside failing plainly. Rates in parts per
/// million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceOptions {
    /// Bytes of a sector: 512 or 4096.
    pub sector: u32,
    /// Reads that return one bit flipped, this time only.
    pub rot_read_ppm: u32,
    /// Reads that return the bytes of another place of the file, a whole number of sectors away, this time only.
    pub misdirect_read_ppm: u32,
    /// Failed syncs of files after which the unsynced changes count as written, although they never will be.
    pub sync_failure_drops_ppm: u32,
    /// Operations, of those that begin while the disk has unsynced writes, at which the power goes.
    pub crash_in_flight_ppm: u32,
}

/// Small sectors and an honest device.
impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            sector: SECTOR as u32,
            rot_read_ppm: 0,
            misdirect_read_ppm: 0,
            sync_failure_drops_ppm: 0,
            crash_in_flight_ppm: 0,
        }
    }
}
