//! What was done to a file since its last sync, and what of it reaches the device.
//!
//! A sector reaches the device as a whole, as the page cache held it right after some write that touched it. So a sync
//! or a power loss replays the journal against two images: the cache as it was when the journal began, and the device,
//! which takes over a touched sector whenever that sector of that write survives. Truncations survive or not like sectors
//! do. The device's file is as long as what survived makes it: a surviving sector after a lost one leaves zeros, or the
//! old bytes, in between.

use super::decisions::{Draws, Topic};
use std::collections::BTreeSet;
use std::ops::Range;

/// A journal whose buffer has grown beyond this gives it back at the next sync.
const KEEP: usize = 1 << 16;

/// A change that is not durable yet.
#[derive(Debug)]
enum Change {
    /// This many bytes, the next ones in [`Journal::written`], at an offset.
    Write { offset: usize, len: usize },
    /// A truncation, or an extension with zeros.
    SetLen(usize),
}

/// The changes of a file that are not durable yet, in order.
#[derive(Debug, Default)]
pub(super) struct Journal {
    changes: Vec<Change>,
    written: Vec<u8>,
}

/// What the device holds of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    /// The sectors that cannot be read.
    pub(super) lost: BTreeSet<usize>,
}

/// What a power loss did to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Sectors of writes, and truncations, that did not survive.
    pub(super) pieces: u64,
    /// Writes of which some sectors survived and others did not.
    pub(super) torn: u64,
}

/// How a power loss chooses.
#[derive(Clone, Copy)]
pub(super) struct Survival {
    pub(super) draws: Draws,
    /// The chance of each piece.
    pub(super) keep_ppm: u32,
    /// Whether the pieces of a write are its sectors, or it is one piece.
    pub(super) tear: bool,
}

impl Journal {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        self.changes.push(Change::Write { offset, len: data.len() });
        self.written.extend_from_slice(data);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.changes.push(Change::SetLen(len));
    }

    pub(super) fn clear(&mut self) {
        self.changes.clear();
        self.written.clear();
        if self.written.capacity() > KEEP {
            self.written = Vec::new();
        }
    }

    /// How many sectors of writes, and truncations, there are.
    pub(super) fn pieces(&self, sector: usize) -> u64 {
        let pieces = self.changes.iter().map(|change| match *change {
            Change::Write { offset, len } => sectors(sector, offset..offset + len).len() as u64,
            Change::SetLen(_) => 1,
        });
        pieces.sum()
    }

    /// Whether a change touches a sector, or cuts something off it.
    pub(super) fn touches(&self, sector: usize, place: usize) -> bool {
        self.changes.iter().any(|change| match *change {
            Change::Write { offset, len } => sectors(sector, offset..offset + len).contains(&place),
            Change::SetLen(len) => len < (place + 1) * sector,
        })
    }

    /// Brings the cache from where the journal began to where it ends, and every piece of it to the device.
    pub(super) fn land(&self, sector: usize, cache: &mut Vec<u8>, device: &mut Image) {
        self.replay(sector, cache, device, |_, _| true);
    }

    /// Brings what survives a power loss to the device. The cache was as it is given when the journal began.
    pub(super) fn survive(&self, sector: usize, mut cache: Vec<u8>, device: &mut Image, by: Survival) -> Loss {
        let Survival { draws, keep_ppm, tear } = by;
        let survives = |change: usize| draws.chance(Topic::Change, change as u64, keep_ppm);
        let whole = if tear { None } else { Some(self.surviving_writes(sector, survives)) };
        self.replay(sector, &mut cache, device, |change, piece| match (piece, &whole) {
            (None, _) => survives(change),
            (Some(_), Some(whole)) => whole[change],
            // A file has fewer sectors than 2^32.
            (Some(piece), None) => draws.chance(Topic::Sector, (change as u64) << 32 | piece as u64, keep_ppm),
        })
    }

    /// Replays the changes. A piece is a sector of a write, or none for a change of length.
    fn replay(
        &self,
        sector: usize,
        cache: &mut Vec<u8>,
        device: &mut Image,
        survives: impl Fn(usize, Option<usize>) -> bool,
    ) -> Loss {
        let mut loss = Loss::default();
        let mut unread = self.written.as_slice();
        for (i, change) in self.changes.iter().enumerate() {
            match *change {
                Change::Write { offset, len } => {
                    let (data, rest) = unread.split_at(len);
                    unread = rest;
                    overwrite(cache, offset, data);
                    let (mut kept, mut lost) = (0, 0);
                    for place in sectors(sector, offset..offset + len) {
                        if survives(i, Some(place)) {
                            copy_sector(sector, cache, &mut device.bytes, place);
                            device.lost.remove(&place);
                            kept += 1;
                        } else {
                            lost += 1;
                        }
                    }
                    loss.pieces += lost;
                    loss.torn += u64::from(kept > 0 && lost > 0);
                }
                Change::SetLen(len) => {
                    cache.resize(len, 0);
                    if survives(i, None) {
                        device.bytes.resize(len, 0);
                        device.lost.retain(|place| place * sector < len);
                    } else {
                        loss.pieces += 1;
                    }
                }
            }
        }
        loss
    }

    /// Which writes survive when they are atomic, by their place in the journal. The cache writes back a sector with all
    /// that was written to it by then, so a write that survives takes along the earlier ones with which it shares a
    /// sector; on a log that is appended to, a prefix survives.
    fn surviving_writes(&self, sector: usize, survives: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut chosen = vec![false; self.changes.len()];
        let mut taken = BTreeSet::new();
        for (i, change) in self.changes.iter().enumerate().rev() {
            if let Change::Write { offset, len } = *change {
                let mut touched = sectors(sector, offset..offset + len);
                chosen[i] = touched.clone().any(|place| taken.contains(&place)) || survives(i);
                if chosen[i] {
                    taken.extend(touched.by_ref());
                }
            }
        }
        chosen
    }
}

/// The sectors that a range of bytes touches.
pub(super) fn sectors(sector: usize, bytes: Range<usize>) -> Range<usize> {
    if bytes.is_empty() { 0..0 } else { bytes.start / sector..bytes.end.div_ceil(sector) }
}

pub(super) fn overwrite(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    // An append, the usual case, need not fill the new bytes twice.
    if offset == image.len() {
        image.extend_from_slice(data);
        return;
    }
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

/// Copies a sector that exists in `from`, and makes `to` at least as long as it needs.
fn copy_sector(sector: usize, from: &[u8], to: &mut Vec<u8>, place: usize) {
    let start = place * sector;
    let data = &from[start..from.len().min(start + sector)];
    if to.len() < start + data.len() {
        to.resize(start + data.len(), 0);
    }
    let end = to.len().min(start + sector);
    to[start..start + data.len()].copy_from_slice(data);
    // Past its end, the cache's sector holds zeros.
    to[start + data.len()..end].fill(0);
}
