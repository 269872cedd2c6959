//! One file's bytes: what the page cache shows, what is durable, and everything in between.
//!
//! The cache is one vector. The durable image is not kept apart but can be rebuilt: before a durable sector is first
//! overwritten or cut off, its bytes are saved; bytes past the durable length need no saving, so a log that only appends
//! saves nothing. Beside that, a journal holds every write and truncation since the last sync, so that a power loss can
//! choose among *all* states that a sector was in, not only the oldest and the newest.
//!
//! A sector reaches the device as a whole, as the page cache held it right after some write that touched it. So the
//! outcome of a power loss is drawn by replaying the journal against two images: the cache as it was then, and the
//! device, which takes over a touched sector whenever that sector of that write survives. Truncations survive or not
//! like sectors do. The file is as long as what survived makes it: a surviving sector after a lost one leaves zeros, or
//! the old bytes, in between.

use super::SECTOR;
use crate::draw::chance;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A journal whose buffer has grown beyond this gives it back at the next sync.
const JOURNAL_KEEP: usize = 1 << 16;

/// A change that is not durable yet.
#[derive(Debug)]
enum Change {
    /// This many bytes, the next ones in [`Contents::written`], at an offset.
    Write { offset: usize, len: usize },
    /// A truncation, or an extension with zeros.
    SetLen(usize),
}

/// What a power loss did to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Sectors of writes, and truncations, that did not survive.
    pub(super) pieces: u64,
    /// Writes of which some sectors survived and others did not.
    pub(super) torn: u64,
}

/// The bytes of a file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    cached: Vec<u8>,
    durable_len: usize,
    /// By sector: the durable bytes of sectors whose bytes in `cached` may be others. Short at the durable end.
    saved: BTreeMap<usize, Box<[u8]>>,
    journal: Vec<Change>,
    written: Vec<u8>,
}

impl Contents {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    /// The bytes in a range, if the file is that long.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        self.cached.get(range)
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len();
        self.save(offset..end);
        overwrite(&mut self.cached, offset, data);
        self.journal.push(Change::Write { offset, len: data.len() });
        self.written.extend_from_slice(data);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        if len == self.cached.len() {
            return;
        }
        self.save(len..usize::MAX);
        self.cached.resize(len, 0);
        self.journal.push(Change::SetLen(len));
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        self.durable_len = self.cached.len();
        self.saved.clear();
        self.journal.clear();
        self.written.clear();
        if self.written.capacity() > JOURNAL_KEEP {
            self.written = Vec::new();
        }
    }

    /// Chooses what survives of everything unsynced, each piece with a chance of `keep_ppm`. The pieces of a write are
    /// its sectors if it may `tear`, else the whole write.
    pub(super) fn power_loss(&mut self, rng: &mut ChaCha8Rng, keep_ppm: u32, tear: bool) -> Loss {
        let mut loss = Loss::default();
        if self.journal.is_empty() {
            return loss;
        }
        let whole = if tear { None } else { Some(self.surviving_writes(rng, keep_ppm)) };
        let mut device = self.take_durable();
        let mut cache = device.clone();
        let mut unread = self.written.as_slice();
        for (i, change) in self.journal.iter().enumerate() {
            match *change {
                Change::Write { offset, len } => {
                    let (data, rest) = unread.split_at(len);
                    unread = rest;
                    overwrite(&mut cache, offset, data);
                    let (mut kept, mut lost) = (0, 0);
                    for sector in sectors(offset..offset + len) {
                        if whole.as_ref().map_or_else(|| chance(rng, keep_ppm), |whole| whole[i]) {
                            copy_sector(&cache, &mut device, sector);
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
                    if chance(rng, keep_ppm) {
                        device.resize(len, 0);
                    } else {
                        loss.pieces += 1;
                    }
                }
            }
        }
        self.cached = device;
        self.sync();
        loss
    }

    /// Draws which writes survive when they are atomic, by their place in the journal. The cache writes back a sector
    /// with all that was written to it by then, so a write that survives takes along the earlier ones with which it
    /// shares a sector; on a log that is appended to, a prefix survives.
    fn surviving_writes(&self, rng: &mut ChaCha8Rng, keep_ppm: u32) -> Vec<bool> {
        let mut survives = vec![false; self.journal.len()];
        let mut taken = BTreeSet::new();
        for (i, change) in self.journal.iter().enumerate().rev() {
            if let Change::Write { offset, len } = *change {
                let mut touched = sectors(offset..offset + len);
                survives[i] = touched.clone().any(|sector| taken.contains(&sector)) || chance(rng, keep_ppm);
                if survives[i] {
                    taken.extend(touched.by_ref());
                }
            }
        }
        survives
    }

    /// Saves the durable bytes of the sectors in a range that is about to change.
    fn save(&mut self, range: Range<usize>) {
        for sector in sectors(range.start..range.end.min(self.durable_len)) {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.durable_len);
            let cached = &self.cached;
            self.saved.entry(sector).or_insert_with(|| cached[start..end].into());
        }
    }

    /// The durable image, rebuilt in the place of the cache.
    fn take_durable(&mut self) -> Vec<u8> {
        let mut image = std::mem::take(&mut self.cached);
        image.resize(self.durable_len, 0);
        for (sector, bytes) in &self.saved {
            image[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
        }
        image
    }
}

/// The sectors that a range of bytes touches.
fn sectors(bytes: Range<usize>) -> Range<usize> {
    if bytes.is_empty() { 0..0 } else { bytes.start / SECTOR..bytes.end.div_ceil(SECTOR) }
}

fn overwrite(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
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
fn copy_sector(from: &[u8], to: &mut Vec<u8>, sector: usize) {
    let start = sector * SECTOR;
    let data = &from[start..from.len().min(start + SECTOR)];
    if to.len() < start + data.len() {
        to.resize(start + data.len(), 0);
    }
    let end = to.len().min(start + SECTOR);
    to[start..start + data.len()].copy_from_slice(data);
    // Past its end, the cache's sector holds zeros.
    to[start + data.len()..end].fill(0);
}
