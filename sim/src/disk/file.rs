//! Open files: reads, writes and syncs, with what goes wrong in each.

use super::SimDisk;
use super::contents::Contents;
use super::decisions::{Decision, Kind, Topic};
use super::directory::FileRef;
use super::journal::sectors;
use super::options::MAX_FILE_LEN;
use super::state::State;
use engine::disk::{Error, ErrorKind, File};
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

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
    pub(super) fn new(disk: SimDisk, path: &str, contents: FileRef) -> Self {
        Self { disk, path: path.into(), contents }
    }

    fn operate<T>(
        &self,
        operation: &'static str,
        kind: Kind,
        act: impl FnOnce(&mut State, &mut Contents, u64) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        self.disk.operate(operation, &self.path, kind, |state, ordinal| {
            // The contents are borrowed only once the disk lets the operation through: a power loss needs them itself.
            let contents = &mut *self.contents.borrow_mut();
            let before = contents.account();
            let result = act(state, contents, ordinal);
            state.settle(before, contents.account());
            result
        })
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.operate("read", Kind::Read, |state, contents, ordinal| {
            let range = range(offset, buf.len())?.ok_or(ErrorKind::UnexpectedEof)?;
            let bytes = contents.get(range.clone()).ok_or(ErrorKind::UnexpectedEof)?;
            state.counters.reads += 1;
            if !contents.is_readable(range.clone()) || state.fail_read(ordinal) {
                state.counters.eio_reads += 1;
                return Err(ErrorKind::Io);
            }
            buf.copy_from_slice(bytes);
            mislead(state, contents, ordinal, buf, range);
            state.counters.bytes_read += buf.len() as u64;
            Ok(())
        })
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), Error> {
        self.operate("write", Kind::Write, |state, contents, ordinal| {
            let range = range(offset, data.len())?.ok_or(ErrorKind::NoSpace)?;
            state.counters.writes += 1;
            if !contents.is_writable(range.clone()) {
                state.counters.eio_writes += 1;
                return Err(ErrorKind::Io);
            }
            let room = usize::try_from(state.room(contents)).unwrap_or(usize::MAX);
            let mut until = range.end.min(room);
            let failed = state.fail_write(ordinal);
            if failed {
                let touched = sectors(state.sector(), range.clone());
                let written = state.draws.below(Topic::WrittenPart, ordinal, touched.len() as u64) as usize;
                until = until.min((touched.start + written) * state.sector());
            }
            let written = &data[..until.saturating_sub(range.start)];
            contents.write(range.start, written, state.remember_writes);
            if failed {
                state.counters.eio_writes += 1;
                return Err(ErrorKind::Io);
            }
            if written.len() < data.len() {
                state.counters.no_space += 1;
                return Err(ErrorKind::NoSpace);
            }
            state.counters.bytes_written += data.len() as u64;
            Ok(())
        })
    }

    fn len(&self) -> Result<u64, Error> {
        self.operate("length of", Kind::Look, |_, contents, _| Ok(contents.len() as u64))
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.operate("set length of", Kind::Write, |state, contents, ordinal| {
            check_offset(len)?;
            if len > MAX_FILE_LEN {
                return Err(ErrorKind::NoSpace);
            }
            state.counters.writes += 1;
            if state.fail_write(ordinal) {
                state.counters.eio_writes += 1;
                return Err(ErrorKind::Io);
            }
            let fits = len.min(state.room(contents));
            contents.set_len(fits as usize);
            if fits < len {
                state.counters.no_space += 1;
                return Err(ErrorKind::NoSpace);
            }
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), Error> {
        self.operate("sync", Kind::Sync, |state, contents, ordinal| {
            state.counters.syncs += 1;
            if state.fail_sync(ordinal) {
                if contents.is_unsynced()
                    && state.decide(Decision::PagesDropped(ordinal), state.device.sync_failure_drops_ppm)
                {
                    state.counters.dropped_pages += contents.drop_unsynced();
                }
                return Err(ErrorKind::Io);
            }
            contents.sync();
            Ok(())
        })
    }
}

/// Puts other bytes in the place of those that were read, if it is so decided.
fn mislead(state: &mut State, contents: &Contents, ordinal: u64, buf: &mut [u8], range: Range<usize>) {
    if buf.is_empty() {
        return;
    }
    let sector = state.sector();
    if contents.cached_sectors() > 1
        && state.decide(Decision::ReadMisdirected(ordinal), state.device.misdirect_read_ppm)
    {
        state.counters.misdirected_reads += 1;
        let (first, within) = (range.start / sector, range.start % sector);
        // Places where as many bytes are, beside the right one. When there are none, what the file lacks reads as zeros.
        let whole = (contents.len() - within - buf.len()) / sector;
        let others = if whole > 0 { whole } else { contents.cached_sectors() - 1 };
        let chosen = state.draws.below(Topic::ReadTarget, ordinal, others as u64) as usize;
        let start = (if chosen < first { chosen } else { chosen + 1 }) * sector + within;
        let there = contents.get(start..contents.len().min(start + buf.len())).unwrap_or_default();
        buf[..there.len()].copy_from_slice(there);
        buf[there.len()..].fill(0);
    }
    if state.decide(Decision::ReadRotted(ordinal), state.device.rot_read_ppm) {
        state.counters.rotten_reads += 1;
        let bit = state.draws.below(Topic::RottenBit, ordinal, buf.len() as u64 * 8) as usize;
        buf[bit / 8] ^= 1 << (bit % 8);
    }
}

/// The bytes from an offset, or nothing when they go beyond the longest file. No bytes are nowhere, and so no matter.
fn range(offset: u64, len: usize) -> Result<Option<Range<usize>>, ErrorKind> {
    if len == 0 {
        return Ok(Some(0..0));
    }
    let end = offset.saturating_add(len as u64);
    check_offset(end)?;
    Ok((end <= MAX_FILE_LEN).then_some(offset as usize..end as usize))
}

/// Refuses an offset or length that an operating system, which has a sign in it, cannot express.
fn check_offset(offset: u64) -> Result<(), ErrorKind> {
    if i64::try_from(offset).is_err() {
        return Err(ErrorKind::Other("invalid argument".to_owned()));
    }
    Ok(())
}
