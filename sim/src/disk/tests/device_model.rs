//! Failed syncs, dropped pages, damage and power losses against a model of one file that keeps every image in full.

use super::*;
use std::ops::Range;

const SECTORS: usize = 10;

/// What a sync, or a power loss that keeps everything, brings to the device.
enum Pending {
    Sector(usize, Vec<u8>),
    Len(usize),
}

/// A write in whole sectors: where, what was there before, and what it made of them.
#[derive(Clone)]
struct Landing {
    first: usize,
    before: Vec<u8>,
    after: Vec<u8>,
    /// Whether one can know what was there before.
    known: bool,
}

struct Model {
    sector: usize,
    cache: Vec<u8>,
    /// The cache as it was when nothing was pending.
    base: Vec<u8>,
    device: Vec<u8>,
    pending: Vec<Pending>,
    /// What the device cannot read, and what the process cannot either.
    lost: BTreeSet<usize>,
    unreadable: BTreeSet<usize>,
    /// Sectors that have rotted below the cache, where one cannot see which bits, and how often.
    rotten: BTreeMap<usize, u32>,
    /// The last write, and the last one that was synced.
    written: Option<Landing>,
    landed: Option<Landing>,
}

impl Model {
    fn new(sector: usize) -> Self {
        Self {
            sector,
            cache: Vec::new(),
            base: Vec::new(),
            device: Vec::new(),
            pending: Vec::new(),
            lost: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            rotten: BTreeMap::new(),
            written: None,
            landed: None,
        }
    }

    fn part<'a>(&self, bytes: &'a [u8], place: usize) -> &'a [u8] {
        bytes.chunks(self.sector).nth(place).unwrap_or_default()
    }

    fn touches(&self, place: usize) -> bool {
        self.pending.iter().any(|pending| match pending {
            Pending::Sector(touched, _) => *touched == place,
            Pending::Len(len) => *len < (place + 1) * self.sector,
        })
    }

    /// Whether the cache shows a durable sector as the device holds it. It cannot be told of one that has rotted below
    /// the cache, because a truncation may since have cut off just the rotten bits.
    fn is_clean(&self, place: usize) -> Option<bool> {
        if self.touches(place) {
            return Some(false);
        }
        let same = self.part(&self.base, place) == self.part(&self.device, place);
        (!self.rotten.contains_key(&place)).then_some(same)
    }

    /// A sector as a process reads it, if it can.
    fn observe(&self, place: usize, disk: &SimDisk) -> Option<Vec<u8>> {
        let mut found = vec![0; self.part(&self.device, place).len().min(self.part(&self.cache, place).len())];
        let file = disk.open("f").expect("open");
        file.read_at(&mut found, (place * self.sector) as u64).is_ok().then_some(found)
    }

    /// Returns whether it can be done.
    fn write(&mut self, offset: usize, data: &[u8]) -> bool {
        let end = offset + data.len();
        let touched = offset / self.sector..end.div_ceil(self.sector);
        let whole = |place: usize| {
            let start = place * self.sector;
            offset <= start && end >= self.cache.len().min(start + self.sector)
        };
        if touched.clone().any(|place| self.unreadable.contains(&place) && !whole(place)) {
            return false;
        }
        let image = |model: &Self| {
            touched.clone().flat_map(|place| model.part(&model.cache, place).to_vec()).collect::<Vec<u8>>()
        };
        let mut before = image(self);
        self.cache.resize(self.cache.len().max(end), 0);
        self.cache[offset..end].copy_from_slice(data);
        let after = image(self);
        before.resize(after.len(), 0);
        let known = touched.clone().all(|place| !self.unreadable.contains(&place));
        for place in touched.clone() {
            self.unreadable.remove(&place);
            self.pending.push(Pending::Sector(place, self.part(&self.cache, place).to_vec()));
        }
        self.written = Some(Landing { first: touched.start, before, after, known });
        true
    }

    fn set_len(&mut self, len: usize) {
        if len == self.cache.len() {
            return;
        }
        self.cache.resize(len, 0);
        self.pending.push(Pending::Len(len));
        self.unreadable.retain(|place| place * self.sector < len);
        for slot in [&mut self.written, &mut self.landed] {
            slot.take_if(|landing| landing.first * self.sector + landing.after.len() > len);
        }
    }

    /// Everything pending reaches the device.
    fn land(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Sector(place, bytes) => {
                    let start = place * self.sector;
                    self.device.resize(self.device.len().max(start + bytes.len()), 0);
                    let end = self.device.len().min(start + self.sector);
                    self.device[start..end].fill(0);
                    self.device[start..start + bytes.len()].copy_from_slice(&bytes);
                    self.lost.remove(&place);
                    self.rotten.remove(&place);
                }
                Pending::Len(len) => {
                    self.device.resize(len, 0);
                    self.lost.retain(|place| place * self.sector < len);
                    self.rotten.retain(|place, _| place * self.sector < len);
                }
            }
        }
    }

    fn sync(&mut self) {
        self.land();
        self.base.clone_from(&self.cache);
        self.landed = self.written.take().or(self.landed.take());
    }

    fn forget_touched(&mut self) {
        self.written = None;
        let touched = |landing: &Landing| {
            let count = landing.after.len().div_ceil(self.sector);
            (landing.first..landing.first + count).any(|place| self.touches(place))
        };
        self.landed = self.landed.clone().filter(|landing| !touched(landing));
    }

    fn drop_pages(&mut self) {
        self.forget_touched();
        self.pending.clear();
        self.base.clone_from(&self.cache);
    }

    /// The device is all that is left. What it shows of hidden rot is learnt from the disk.
    fn power_loss(&mut self, keep: bool, disk: &SimDisk) {
        self.forget_touched();
        if keep {
            self.land();
        }
        self.pending.clear();
        self.unreadable.clone_from(&self.lost);
        let file = disk.open("f").expect("open");
        assert_eq!(file.len(), Ok(self.device.len() as u64));
        for (place, times) in std::mem::take(&mut self.rotten) {
            if self.lost.contains(&place) {
                self.rotten.insert(place, times);
                continue;
            }
            let start = place * self.sector;
            let expected = self.part(&self.device, place).to_vec();
            let mut found = vec![0; expected.len()];
            file.read_at(&mut found, start as u64).expect("read");
            let flipped: u32 = expected.iter().zip(&found).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert!(flipped <= 8 * times, "{flipped} bits");
            self.device[start..start + found.len()].copy_from_slice(&found);
        }
        self.cache.clone_from(&self.device);
        self.base.clone_from(&self.device);
    }

    fn rot(&mut self, place: usize, disk: &SimDisk) {
        let expected = self.part(&self.device, place).to_vec();
        let found = self.observe(place, disk).filter(|found| found.len() == expected.len());
        let shown = found.filter(|found| !self.part(&self.cache, place).starts_with(found));
        match (self.is_clean(place), shown) {
            (Some(true) | None, Some(found)) => {
                let flipped: u32 = expected.iter().zip(&found).map(|(a, b)| (a ^ b).count_ones()).sum();
                assert!((1..=8).contains(&flipped) || self.rotten.contains_key(&place), "{flipped} bits");
                self.replace(place, &found, true);
            }
            (Some(true), None) => {
                assert!(self.unreadable.contains(&place), "rot does not show");
                *self.rotten.entry(place).or_default() += 1;
            }
            (Some(false), Some(_)) => panic!("rot shows through the cache"),
            (Some(false) | None, None) => *self.rotten.entry(place).or_default() += 1,
        }
    }

    fn lose(&mut self, place: usize, disk: &SimDisk) {
        self.lost.insert(place);
        if self.is_clean(place).unwrap_or_else(|| self.observe(place, disk).is_none()) {
            self.unreadable.insert(place);
        }
    }

    fn misdirect(&mut self, permille: usize, disk: &SimDisk) -> Option<Range<usize>> {
        let Landing { first, before, after, .. } = self.landed.clone()?;
        let (own, count) = (after.len().div_ceil(self.sector), self.device.len().div_ceil(self.sector));
        if own == count || first + own > count {
            return None;
        }
        self.landed = None;
        let places: Vec<usize> = (0..=count - own).filter(|place| *place != first).collect();
        let there = places[places.len() * permille / 1_001];
        // Where the two overlap, what was written is what stays.
        let mut images = BTreeMap::new();
        for (bytes, start) in [(before, first), (after, there)] {
            for (i, data) in bytes.chunks(self.sector).enumerate() {
                let len = self.part(&self.device, start + i).len();
                let mut sector = data[..len.min(data.len())].to_vec();
                sector.resize(len, 0);
                images.insert(start + i, sector);
            }
        }
        for (place, sector) in images {
            let clean = self.is_clean(place).unwrap_or_else(|| self.observe(place, disk).as_ref() == Some(&sector));
            self.replace(place, &sector, clean);
        }
        Some(first * self.sector..self.device.len().min((first + own) * self.sector))
    }

    /// Puts other bytes in the place of a sector's durable ones, and of the same ones in the cache if that is `clean`.
    fn replace(&mut self, place: usize, bytes: &[u8], clean: bool) {
        self.rotten.remove(&place);
        let images = [&mut self.device, &mut self.base, &mut self.cache];
        for image in images.into_iter().take(if clean { 3 } else { 1 }) {
            image[place * self.sector..][..bytes.len()].copy_from_slice(bytes);
        }
    }

    fn check(&self, disk: &SimDisk) {
        assert_eq!(disk.files(), [("f".to_owned(), self.device.len() as u64)]);
        let file = disk.open("f").expect("open");
        assert_eq!(file.len(), Ok(self.cache.len() as u64));
        for (place, expected) in self.cache.chunks(self.sector).enumerate() {
            let mut bytes = vec![0; expected.len()];
            let result = file.read_at(&mut bytes, (place * self.sector) as u64).map_err(|error| error.kind);
            if self.unreadable.contains(&place) {
                assert_eq!(result, Err(ErrorKind::Io));
            } else {
                assert!(result == Ok(()) && bytes == expected, "sector {place}: {result:?}, or other bytes");
            }
        }
    }
}

#[test]
fn a_file_and_its_device_part_and_meet_as_they_must() {
    let options = DiskOptions { keep_directory_ppm: 0, ..DiskOptions::default() };
    bolero::check!().with_type().with_iterations(3_000).cloned().for_each(
        |(seed, wide, keep, steps): (u64, bool, bool, Vec<(u8, u16, u16)>)| {
            let sector = if wide { 4_096 } else { 512 };
            let keep_unsynced_ppm = if keep { FULL } else { 0 };
            let device = DeviceOptions { sector: sector as u32, ..DeviceOptions::default() };
            let disk = on_device(DiskOptions { keep_unsynced_ppm, ..options }, device, seed);
            disk.remember_writes(true);
            let mut file = durable_file(&disk, "f", b"");
            let mut model = Model::new(sector);
            for (n, (action, a, b)) in steps.into_iter().enumerate() {
                let next_sync = disk.counters().syncs + disk.counters().directory_syncs + 1;
                let place = |damage: &Damage| {
                    assert_eq!((damage.path.as_str(), damage.offset as usize % sector), ("f", 0));
                    damage.offset as usize / sector
                };
                match action % 16 {
                    0 | 1 => {
                        file.sync().expect("sync");
                        model.sync();
                    }
                    2 => {
                        disk.fail_sync(next_sync);
                        assert_eq!(kind(file.sync()), ErrorKind::Io);
                    }
                    3 | 4 => {
                        disk.fail_sync(next_sync);
                        disk.decide(Decision::PagesDropped(next_sync));
                        let dropped = disk.counters().dropped_pages;
                        assert_eq!(kind(file.sync()), ErrorKind::Io);
                        assert_eq!(disk.counters().dropped_pages - dropped, model.pending.len() as u64);
                        if !model.pending.is_empty() {
                            model.drop_pages();
                        }
                    }
                    5 => {
                        let len = usize::from(a) % (SECTORS * sector);
                        file.set_len(len as u64).expect("truncate");
                        model.set_len(len);
                    }
                    6 => {
                        disk.power_loss();
                        disk.restart();
                        model.power_loss(keep, &disk);
                        file = disk.open("f").expect("open");
                    }
                    7 => {
                        disk.process_crash();
                        disk.restart();
                        file = disk.open("f").expect("open");
                    }
                    8 => match if b % 2 == 0 { disk.rot("f") } else { disk.rot_at("f", u32::from(a % 1_001)) } {
                        Some(damage) => model.rot(place(&damage), &disk),
                        None => assert!(model.device.is_empty()),
                    },
                    9 => match if b % 2 == 0 { disk.lose_sector("f") } else { disk.lose_sector_at("f", 500) } {
                        Some(damage) => model.lose(place(&damage), &disk),
                        None => assert!(model.device.is_empty()),
                    },
                    10 if model.landed.as_ref().is_none_or(|landing| landing.known) => {
                        let permille = usize::from(a % 1_001);
                        let damage = disk.misdirect_last_write_at("f", permille as u32);
                        let range = damage.map(|damage| damage.offset as usize..(damage.offset + damage.len) as usize);
                        assert_eq!(range, model.misdirect(permille, &disk));
                    }
                    _ => {
                        // Every other write appends, as a log does, and every fourth writes whole sectors.
                        let (offset, len) = match b % 4 {
                            0 | 1 => (model.cache.len(), usize::from(a) % (3 * sector)),
                            2 => (usize::from(a) % (SECTORS * sector), usize::from(b) % (3 * sector)),
                            _ => (usize::from(a) % SECTORS * sector, (1 + usize::from(b) % 3) * sector),
                        };
                        let len = len.min((SECTORS * sector).saturating_sub(offset));
                        let data: Vec<u8> = (offset..offset + len).map(|at| (at / 7) as u8 ^ n as u8).collect();
                        let done = len == 0 || model.write(offset, &data);
                        let expected = if done { Ok(()) } else { Err(ErrorKind::Io) };
                        assert_eq!(file.write_at(&data, offset as u64).map_err(|error| error.kind), expected);
                    }
                }
                model.check(&disk);
            }
        },
    );
}

/// What happened to PostgreSQL in 2018: the second sync is believed.
#[test]
fn a_sync_that_succeeds_after_a_failed_one_made_nothing_durable() {
    let options = DiskOptions { eio_sync_ppm: FULL, keep_unsynced_ppm: FULL, ..DiskOptions::default() };
    let disk = on_device(options, DeviceOptions { sync_failure_drops_ppm: FULL, ..DeviceOptions::default() }, 1);
    disk.set_faults_enabled(false);
    let old = [1; 3 * SECTOR];
    let file = durable_file(&disk, "f", &old);
    disk.set_faults_enabled(true);
    file.write_at(&[2; 3 * SECTOR], 0).expect("write");
    assert_eq!(kind(file.sync()), ErrorKind::Io);
    assert_eq!(read_all(&disk, "f"), [2; 3 * SECTOR], "reads show the new bytes");
    disk.set_faults_enabled(false);
    file.sync().expect("the next sync has nothing to do");
    disk.process_crash();
    disk.restart();
    assert_eq!(read_all(&disk, "f"), [2; 3 * SECTOR], "another process sees them too");
    let file = disk.open("f").expect("open");
    file.write_at(&[3; 10], SECTOR as u64 + 5).expect("write");
    file.sync().expect("sync");
    disk.power_loss();
    disk.restart();
    // The sector that was written again went to the device as the cache showed it.
    let mut expected = old;
    expected[SECTOR..2 * SECTOR].fill(2);
    expected[SECTOR + 5..SECTOR + 15].fill(3);
    assert_eq!(read_all(&disk, "f"), expected);
    assert_eq!(disk.counters().dropped_pages, 3);
    assert_eq!(disk.decisions(), [Decision::SyncFailed(3), Decision::PagesDropped(3)]);
}

#[test]
fn a_dropped_append_leaves_a_hole_below_the_next_one() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: FULL, ..DiskOptions::default() }, 1);
    let file = durable_file(&disk, "log", &[1; SECTOR]);
    disk.fail_sync(3);
    disk.decide(Decision::PagesDropped(3));
    file.write_at(&[2; SECTOR], SECTOR as u64).expect("write");
    assert_eq!(kind(file.sync()), ErrorKind::Io);
    assert_eq!(disk.files(), [("log".to_owned(), SECTOR as u64)]);
    file.write_at(&[3; SECTOR], 2 * SECTOR as u64).expect("write");
    file.sync().expect("sync");
    disk.power_loss();
    disk.restart();
    assert_eq!(read_all(&disk, "log"), [[1; SECTOR], [0; SECTOR], [3; SECTOR]].concat());
}
