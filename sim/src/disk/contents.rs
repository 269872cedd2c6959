//! One file's bytes: what the page cache shows, what is durable, and everything in between.
//!
//! The cache is one vector. As long as nothing has gone wrong, the durable image is not kept apart but can be rebuilt:
//! before a durable sector is first overwritten or cut off, its bytes are saved; bytes past the durable length need no
//! saving, so a log that only appends saves nothing. Beside that, a journal holds every change since the last sync, so
//! that a power loss can choose among *all* states that a sector was in, not only the oldest and the newest.
//!
//! When the cache and the device have come to differ in something that is not in the journal (pages dropped by a failed
//! sync, damage below what is cached, a sector that cannot be read), both are kept in full, with the cache as it was
//! when the journal began; a sync then replays the journal. Once they agree again, the file goes back to the cheap way.

use super::journal::{Image, Journal, Loss, Survival, overwrite, sectors};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct Contents {
    /// Bytes of a sector.
    sector: usize,
    cached: Vec<u8>,
    journal: Journal,
    durable: Durable,
    /// Whether a name leads here. Without one, the file takes no space, and what is unsynced in it does not count.
    pub(super) named: bool,
    remembered: Option<Box<Remembered>>,
    /// The length at the last sync, and what it was before it last grew.
    synced: usize,
    sealed: usize,
}

/// What the device holds.
#[derive(Debug)]
enum Durable {
    /// What the cache held at the last sync.
    Followed {
        len: usize,
        /// By sector: the durable bytes of sectors whose bytes in the cache may be others. Short at the durable end.
        saved: BTreeMap<usize, Box<[u8]>>,
    },
    Apart(Box<Apart>),
}

impl Default for Durable {
    fn default() -> Self {
        Self::Followed { len: 0, saved: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct Apart {
    device: Image,
    /// The cache as it was when the journal began.
    base: Vec<u8>,
    /// Those of the device's lost sectors that the cache does not have either.
    unreadable: BTreeSet<usize>,
}

/// The last writes, for the case that one turns out to have gone astray.
#[derive(Debug, Default)]
struct Remembered {
    synced: Option<Landing>,
    pending: Option<Landing>,
}

/// Where a write went, in whole sectors, the last one perhaps short.
#[derive(Clone, Debug)]
struct Landing {
    first: usize,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Landing {
    fn sectors(&self, sector: usize) -> Range<usize> {
        self.first..self.first + self.after.len().div_ceil(sector)
    }
}

/// What a file counts for on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// One for the file itself, and those of its bytes.
    pub(super) sectors: u64,
    /// Whether something in it is not synced: 0 or 1.
    pub(super) unsynced: u64,
}

impl Contents {
    /// An empty file.
    pub(super) fn new(sector: usize) -> Self {
        Self::from_image(sector, Image::default())
    }

    /// A file that is durable as it is.
    pub(super) fn from_image(sector: usize, image: Image) -> Self {
        let mut contents = Self {
            sector,
            cached: Vec::new(),
            journal: Journal::default(),
            durable: Durable::default(),
            named: true,
            remembered: None,
            synced: image.bytes.len(),
            sealed: 0,
        };
        contents.read_back(image);
        contents
    }

    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn durable_len(&self) -> usize {
        match &self.durable {
            Durable::Followed { len, .. } => *len,
            Durable::Apart(apart) => apart.device.bytes.len(),
        }
    }

    /// How long the file was before it last grew by a sync; 0 when it was cut since, or is not known.
    pub(super) fn sealed(&self) -> usize {
        self.sealed
    }

    pub(super) fn is_unsynced(&self) -> bool {
        !self.journal.is_empty()
    }

    pub(super) fn account(&self) -> Account {
        if !self.named {
            return Account::default();
        }
        Account { sectors: 1 + self.cached_sectors() as u64, unsynced: u64::from(self.is_unsynced()) }
    }

    /// How many sectors the file has, as the cache shows it.
    pub(super) fn cached_sectors(&self) -> usize {
        self.cached.len().div_ceil(self.sector)
    }

    /// The bytes in a range, if the file is that long.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        self.cached.get(range)
    }

    /// Whether no byte of a range is in a lost sector.
    pub(super) fn is_readable(&self, range: Range<usize>) -> bool {
        match &self.durable {
            Durable::Followed { .. } => true,
            Durable::Apart(apart) => apart.unreadable.range(sectors(self.sector, range)).next().is_none(),
        }
    }

    /// Whether a range of bytes can be written: not when it covers a lost sector in part, whose rest must be read first.
    pub(super) fn is_writable(&self, range: Range<usize>) -> bool {
        let Durable::Apart(apart) = &self.durable else { return true };
        let touched = sectors(self.sector, range.clone());
        apart.unreadable.range(touched).all(|&place| {
            let start = place * self.sector;
            range.start <= start && range.end >= self.cached.len().min(start + self.sector)
        })
    }

    /// Writes, and keeps in mind where, for [`Contents::misdirect_last_write`], if it is to `remember`.
    pub(super) fn write(&mut self, offset: usize, data: &[u8], remember: bool) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len();
        let before = remember.then(|| part(&self.cached, self.sector, sectors(self.sector, offset..end)).to_vec());
        self.save(offset..end);
        overwrite(&mut self.cached, offset, data);
        self.journal.write(offset, data);
        if let Durable::Apart(apart) = &mut self.durable {
            for place in sectors(self.sector, offset..end) {
                apart.unreadable.remove(&place);
            }
        }
        match before {
            Some(before) => self.remember(offset..end, before),
            None => self.remembered = None,
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        if len == self.cached.len() {
            return;
        }
        self.save(len..usize::MAX);
        self.cached.resize(len, 0);
        self.journal.set_len(len);
        if let Durable::Apart(apart) = &mut self.durable {
            apart.unreadable.retain(|place| place * self.sector < len);
        }
        self.forget(|landing, sector| landing.first * sector + landing.after.len() > len);
    }

    /// Makes everything durable, except what an earlier sync has dropped.
    pub(super) fn sync(&mut self) {
        match &mut self.durable {
            Durable::Followed { len, saved } => {
                *len = self.cached.len();
                saved.clear();
            }
            Durable::Apart(apart) => {
                self.journal.land(self.sector, &mut apart.base, &mut apart.device);
                assert_eq!(apart.base.len(), self.cached.len(), "the journal leads to what the cache shows");
                if apart.device.lost.is_empty() && apart.device.bytes == self.cached {
                    self.durable = Durable::Followed { len: self.cached.len(), saved: BTreeMap::new() };
                }
            }
        }
        self.journal.clear();
        match self.cached.len() {
            len if len > self.synced => self.sealed = self.synced,
            len if len < self.synced => self.sealed = 0,
            _ => {}
        }
        self.synced = self.cached.len();
        if let Some(remembered) = &mut self.remembered
            && let Some(landing) = remembered.pending.take()
        {
            remembered.synced = Some(landing);
        }
    }

    /// Marks everything unsynced as written, although it is not. Returns how many sectors of writes, and truncations,
    /// that is.
    pub(super) fn drop_unsynced(&mut self) -> u64 {
        let dropped = self.journal.pieces(self.sector);
        self.forget_touched();
        self.keep_apart();
        self.journal.clear();
        if let Durable::Apart(apart) = &mut self.durable {
            apart.base.clone_from(&self.cached);
        }
        dropped
    }

    /// Chooses what survives of everything unsynced, and shows what the device then holds.
    pub(super) fn power_loss(&mut self, by: Survival) -> Loss {
        if self.journal.is_empty() && matches!(self.durable, Durable::Followed { .. }) {
            return Loss::default();
        }
        self.forget_touched();
        let (mut device, base) = match std::mem::take(&mut self.durable) {
            Durable::Followed { len, saved } => {
                let bytes = rebuilt(self.sector, std::mem::take(&mut self.cached), len, &saved);
                let base = bytes.clone();
                (Image { bytes, lost: BTreeSet::new() }, base)
            }
            Durable::Apart(apart) => (apart.device, apart.base),
        };
        let loss = self.journal.survive(self.sector, base, &mut device, by);
        self.journal.clear();
        self.read_back(device);
        loss
    }

    /// What the device holds.
    pub(super) fn image(&self) -> Image {
        match &self.durable {
            Durable::Followed { len, saved } => {
                let bytes = rebuilt(self.sector, self.cached.clone(), *len, saved);
                Image { bytes, lost: BTreeSet::new() }
            }
            Durable::Apart(apart) => apart.device.clone(),
        }
    }

    /// Changes the durable bytes of a sector, of which there must be some. The cache shows it unless it holds another
    /// version of the sector, which then heals it when it is written.
    pub(super) fn damage(&mut self, place: usize, change: impl Fn(&mut [u8])) {
        let clean = self.is_clean(place);
        if !clean {
            self.keep_apart();
        }
        let start = place * self.sector;
        let range = start..self.durable_len().min(start + self.sector);
        if clean {
            change(&mut self.cached[range.clone()]);
        }
        if let Durable::Apart(apart) = &mut self.durable {
            if clean {
                change(&mut apart.base[range.clone()]);
            }
            change(&mut apart.device.bytes[range]);
        }
    }

    /// Makes a durable sector unreadable, unless the cache holds another version of it, which hides that until it is gone
    /// and mends it when it is written.
    pub(super) fn lose(&mut self, place: usize) {
        let clean = self.is_clean(place);
        self.keep_apart();
        if let Durable::Apart(apart) = &mut self.durable {
            apart.device.lost.insert(place);
            if clean {
                apart.unreadable.insert(place);
            }
        }
    }

    /// Undoes the last synced write in its place, and does it in another, chosen by a number below what `choose` is
    /// given. Returns its place in bytes, and the first byte of the other. Does nothing when no write is remembered or
    /// there is no other place.
    pub(super) fn misdirect_last_write(
        &mut self,
        choose: impl FnOnce(usize) -> usize,
    ) -> Option<(Range<usize>, usize)> {
        let count = self.durable_len().div_ceil(self.sector);
        let remembered = self.remembered.as_deref_mut()?;
        let own = remembered.synced.as_ref()?.sectors(self.sector);
        // The file may be shorter than what is remembered when an extension was dropped.
        if own.end > count || own.len() == count {
            return None;
        }
        let Landing { before, after, .. } = remembered.synced.take()?;
        let chosen = choose(count - own.len());
        let first = if chosen < own.start { chosen } else { chosen + 1 };
        for (bytes, start) in [(before, own.start), (after, first)] {
            for (data, place) in bytes.chunks(self.sector).zip(start..) {
                self.damage(place, |sector| {
                    let len = data.len().min(sector.len());
                    sector[..len].copy_from_slice(&data[..len]);
                    // A sector is written as a whole, with zeros behind the end of the bytes.
                    sector[len..].fill(0);
                });
            }
        }
        let end = (own.end * self.sector).min(self.durable_len());
        Some((own.start * self.sector..end, first * self.sector))
    }

    /// Shows what the device holds, and nothing else.
    fn read_back(&mut self, device: Image) {
        if device.lost.is_empty() {
            self.durable = Durable::Followed { len: device.bytes.len(), saved: BTreeMap::new() };
            self.cached = device.bytes;
        } else {
            self.cached.clone_from(&device.bytes);
            let (base, unreadable) = (device.bytes.clone(), device.lost.clone());
            self.durable = Durable::Apart(Box::new(Apart { device, base, unreadable }));
        }
    }

    /// Whether the cache shows a durable sector as the device holds it, and nothing unsynced touches it.
    fn is_clean(&self, place: usize) -> bool {
        !self.journal.touches(self.sector, place)
            && match &self.durable {
                Durable::Followed { .. } => true,
                Durable::Apart(apart) => {
                    let [cached, durable] =
                        [&apart.base, &apart.device.bytes].map(|bytes| part(bytes, self.sector, place..place + 1));
                    cached == durable
                }
            }
    }

    /// Keeps the device's image apart from the cache.
    fn keep_apart(&mut self) {
        if matches!(self.durable, Durable::Followed { .. }) {
            let device = self.image();
            let base = device.bytes.clone();
            self.durable = Durable::Apart(Box::new(Apart { device, base, unreadable: BTreeSet::new() }));
        }
    }

    fn remember(&mut self, written: Range<usize>, mut before: Vec<u8>) {
        let touched = sectors(self.sector, written);
        let (first, after) = (touched.start, part(&self.cached, self.sector, touched).to_vec());
        before.resize(after.len(), 0);
        self.remembered.get_or_insert_default().pending = Some(Landing { first, before, after });
    }

    /// Forgets the remembered writes whose sectors unsynced changes touch, and so those that are unsynced themselves.
    fn forget_touched(&mut self) {
        let journal = std::mem::take(&mut self.journal);
        self.forget(|landing, sector| landing.sectors(sector).any(|place| journal.touches(sector, place)));
        self.journal = journal;
    }

    /// Forgets some of the remembered writes, with the bytes of a sector at hand.
    fn forget(&mut self, which: impl Fn(&Landing, usize) -> bool) {
        if let Some(remembered) = &mut self.remembered {
            for slot in [&mut remembered.synced, &mut remembered.pending] {
                slot.take_if(|landing| which(landing, self.sector));
            }
        }
    }

    /// Saves the durable bytes of the sectors in a range that is about to change.
    fn save(&mut self, range: Range<usize>) {
        let Durable::Followed { len, saved } = &mut self.durable else { return };
        for place in sectors(self.sector, range.start..range.end.min(*len)) {
            let start = place * self.sector;
            let end = (start + self.sector).min(*len);
            let cached = &self.cached;
            saved.entry(place).or_insert_with(|| cached[start..end].into());
        }
    }
}

/// The bytes of some sectors, as far as there are any.
fn part(bytes: &[u8], sector: usize, places: Range<usize>) -> &[u8] {
    let len = bytes.len();
    &bytes[len.min(places.start * sector)..len.min(places.end * sector)]
}

/// The durable image, rebuilt in the place of the cache.
fn rebuilt(sector: usize, cached: Vec<u8>, len: usize, saved: &BTreeMap<usize, Box<[u8]>>) -> Vec<u8> {
    let mut image = cached;
    image.resize(len, 0);
    for (place, bytes) in saved {
        image[place * sector..][..bytes.len()].copy_from_slice(bytes);
    }
    image
}
