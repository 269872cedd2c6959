//! Damage at rest: durable bytes that rot, cannot be read, or turn out to have been written elsewhere.
//!
//! The host calls for it at moments of its choosing; where exactly it strikes is drawn, or told as permille of the
//! file's durable length. Damage is to a file, and follows it through renames and crashes, until its sectors are written
//! again, cut off, or gone with the file. A sector with unsynced changes is hit below what the cache shows of it.

use super::SimDisk;
use super::contents::Contents;
use super::decisions::{Draws, Topic};
use super::state::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What was done to a file at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The file.
    pub path: String,
    /// The first byte of the sectors that are no longer what they were.
    pub offset: u64,
    /// How many bytes they have.
    pub len: u64,
    /// What happened, in a few words.
    pub text: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset, len, text } = self;
        write!(f, "{path}, bytes {offset} to {}: {text}", offset + len)
    }
}

/// What strikes.
#[derive(Clone, Copy)]
enum Blow {
    Rot,
    Lose,
    Misdirect,
}

impl SimDisk {
    /// Flips 1 to 8 bits within a sector of a file's durable bytes. Does nothing, and returns none, when there is no such
    /// file or nothing in it is durable.
    pub fn rot(&self, file: &str) -> Option<Damage> {
        self.strike(Blow::Rot, file, None)
    }

    /// Like [`SimDisk::rot`], in the sector at so many thousandths of the durable length. The bits depend on the path and
    /// the place alone: a second time flips them back.
    pub fn rot_at(&self, file: &str, permille: u32) -> Option<Damage> {
        self.strike(Blow::Rot, file, Some(permille))
    }

    /// Whether the sector that [`SimDisk::rot_at`] would strike holds nothing but bytes that were durable before the file
    /// last grew by a sync. Who notes in each record how much of the file was durable when it was written, as logs do, is
    /// told by a later record that these bytes were no torn write.
    pub fn is_sealed_at(&self, file: &str, permille: u32) -> bool {
        let state = self.state.borrow();
        let Some(file) = state.names.get(file) else { return false };
        let contents = file.borrow();
        let target = Target { path: "", permille: Some(u64::from(permille.min(1_000))) };
        let sector = target.sector(state.draws, state.sector(), &contents);
        sector.is_some_and(|(_, offset, len)| offset + len <= contents.sealed() as u64)
    }

    /// Makes a durable sector of a file unreadable: reads that touch it, and writes that cover it in part, fail with EIO
    /// until it is written as a whole, cut off, or removed. Returns none as [`SimDisk::rot`] does.
    pub fn lose_sector(&self, file: &str) -> Option<Damage> {
        self.strike(Blow::Lose, file, None)
    }

    /// Like [`SimDisk::lose_sector`], with the sector at so many thousandths of the durable length.
    pub fn lose_sector_at(&self, file: &str, permille: u32) -> Option<Damage> {
        self.strike(Blow::Lose, file, Some(permille))
    }

    /// The last synced write of a file is found to have gone elsewhere in it: its sectors hold what they held before
    /// (zeros where there was nothing; the length stays), and what it wrote stands in other sectors. Returns none when
    /// no write is remembered ([`SimDisk::remember_writes`]), or it fills the file. A write is forgotten when it was
    /// misdirected or cut into, when a power loss may have replaced it, and when the disk is restored.
    pub fn misdirect_last_write(&self, file: &str) -> Option<Damage> {
        self.strike(Blow::Misdirect, file, None)
    }

    /// Like [`SimDisk::misdirect_last_write`], to the place at so many thousandths of those that there are.
    pub fn misdirect_last_write_at(&self, file: &str, permille: u32) -> Option<Damage> {
        self.strike(Blow::Misdirect, file, Some(permille))
    }

    /// Whether files keep their last synced write in mind, at the cost of a copy of each write.
    pub fn remember_writes(&self, remember: bool) {
        self.state.borrow_mut().remember_writes = remember;
    }

    /// All files by their paths, with the length that is durable of each.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state.borrow();
        state.names.files().map(|(path, file)| (path.to_owned(), file.borrow().durable_len() as u64)).collect()
    }

    fn strike(&self, blow: Blow, path: &str, permille: Option<u32>) -> Option<Damage> {
        let state = &mut *self.state.borrow_mut();
        let file = state.names.get(path)?;
        let contents = &mut *file.borrow_mut();
        let target = Target { path, permille: permille.map(|permille| u64::from(permille.min(1_000))) };
        match blow {
            Blow::Rot => target.rot(state, contents),
            Blow::Lose => target.lose(state, contents),
            Blow::Misdirect => target.misdirect(state, contents),
        }
    }
}

/// Where to strike.
struct Target<'a> {
    path: &'a str,
    permille: Option<u64>,
}

impl Target<'_> {
    fn rot(&self, state: &mut State, contents: &mut Contents) -> Option<Damage> {
        let draws = match self.permille {
            None => state.draws.of(Topic::Rot, state.counters.rot, self.path),
            Some(permille) => state.draws.of(Topic::RotAt, permille, self.path),
        };
        let (place, offset, len) = self.sector(draws, state.sector(), contents)?;
        let amount = 1 + draws.below(Topic::Amount, 0, 8) as usize;
        // Every durable sector has 8 bits at least.
        let bits = (0..).map(|i| draws.below(Topic::Bit, i, len * 8) as usize);
        let mut flipped = BTreeSet::new();
        for bit in bits {
            flipped.insert(bit);
            if flipped.len() == amount {
                break;
            }
        }
        contents.damage(place, |bytes| {
            for bit in &flipped {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        });
        state.counters.rot += 1;
        let bits = if amount == 1 { "bit" } else { "bits" };
        Some(self.damage(offset, len, format!("{amount} {bits} flipped")))
    }

    fn lose(&self, state: &mut State, contents: &mut Contents) -> Option<Damage> {
        let draws = state.draws.of(Topic::LostSector, state.counters.lost_sectors, self.path);
        let (place, offset, len) = self.sector(draws, state.sector(), contents)?;
        contents.lose(place);
        state.counters.lost_sectors += 1;
        Some(self.damage(offset, len, "cannot be read any more".to_owned()))
    }

    fn misdirect(&self, state: &mut State, contents: &mut Contents) -> Option<Damage> {
        let draws = state.draws.of(Topic::MisdirectedWrite, state.counters.misdirected_writes, self.path);
        let (range, there) = contents.misdirect_last_write(|places| match self.permille {
            None => draws.below(Topic::Place, 0, places as u64) as usize,
            Some(permille) => places * permille as usize / 1_001,
        })?;
        state.counters.misdirected_writes += 1;
        Some(self.damage(range.start as u64, range.len() as u64, format!("the last write stands at {there} instead")))
    }

    /// A durable sector: its number, offset and length in bytes.
    fn sector(&self, draws: Draws, sector: usize, contents: &Contents) -> Option<(usize, u64, u64)> {
        let durable = contents.durable_len() as u64;
        let sector = sector as u64;
        let place = match self.permille {
            None => draws.below(Topic::Place, 0, durable.div_ceil(sector)),
            Some(permille) => (durable * permille / 1_000).min(durable.checked_sub(1)?) / sector,
        };
        let offset = place * sector;
        Some((place as usize, offset, (durable - offset).min(sector))).filter(|(_, _, len)| *len > 0)
    }

    fn damage(&self, offset: u64, len: u64, text: String) -> Damage {
        Damage { path: self.path.to_owned(), offset, len, text }
    }
}
