//! Power losses against a model that knows every state that a sector and the length may end in.

use super::*;

const SECTORS: usize = 12;

/// A file and all that could become of it. Sectors are padded with zeros.
#[derive(Default)]
struct Model {
    durable: Vec<u8>,
    cache: Vec<u8>,
    sectors: Vec<BTreeSet<[u8; SECTOR]>>,
    lens: BTreeSet<usize>,
}

impl Model {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            sectors: (0..SECTORS).map(|sector| BTreeSet::from([padded(&bytes, sector)])).collect(),
            lens: BTreeSet::from([bytes.len()]),
            durable: bytes.clone(),
            cache: bytes,
        }
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        self.cache.resize(self.cache.len().max(end), 0);
        self.cache[offset..end].copy_from_slice(data);
        for sector in (0..SECTORS).filter(|sector| sector * SECTOR < end && (sector + 1) * SECTOR > offset) {
            self.sectors[sector].insert(padded(&self.cache, sector));
            let sector_end = self.cache.len().min((sector + 1) * SECTOR);
            self.lens = self.lens.iter().flat_map(|&len| [len, len.max(sector_end)]).collect();
        }
    }

    fn set_len(&mut self, len: usize) {
        self.cache.resize(len, 0);
        self.lens.insert(len);
        for (sector, states) in self.sectors.iter_mut().enumerate() {
            let kept = len.saturating_sub(sector * SECTOR).min(SECTOR);
            let cut = states.iter().map(|state| padded(&state[..kept], 0));
            *states = cut.chain(states.iter().copied()).collect();
        }
    }

    fn check(&self, survived: &[u8]) {
        assert!(self.lens.contains(&survived.len()), "length {} is not of {:?}", survived.len(), self.lens);
        for (sector, states) in self.sectors.iter().enumerate() {
            if sector * SECTOR < survived.len() {
                assert!(states.contains(&padded(survived, sector)), "sector {sector} was never in this state");
            }
        }
    }
}

fn padded(bytes: &[u8], sector: usize) -> [u8; SECTOR] {
    let mut padded = [0; SECTOR];
    let start = bytes.len().min(sector * SECTOR);
    let part = &bytes[start..bytes.len().min(start + SECTOR)];
    padded[..part.len()].copy_from_slice(part);
    padded
}

#[test]
fn what_survives_was_there_and_what_was_synced_survives() {
    bolero::check!().with_type().with_iterations(4_000).cloned().for_each(
        |(seed, keep, steps): (u64, u8, Vec<(u8, u16, u16)>)| {
            let keep_unsynced_ppm = [0, FULL, 100_000, 500_000, 900_000][usize::from(keep % 5)];
            let disk = disk(DiskOptions { keep_unsynced_ppm, ..DiskOptions::default() }, seed);
            let mut file = durable_file(&disk, "f", b"");
            let mut model = Model::new(Vec::new());
            for (n, (action, a, b)) in steps.into_iter().enumerate() {
                match action % 8 {
                    0 => {
                        file.sync().expect("sync");
                        model = Model::new(model.cache);
                    }
                    1 => {
                        let len = usize::from(a) % (SECTORS * SECTOR);
                        file.set_len(len as u64).expect("truncate");
                        model.set_len(len);
                    }
                    2 => {
                        disk.power_loss();
                        disk.restart();
                        let survived = read_all(&disk, "f");
                        match keep_unsynced_ppm {
                            0 => assert_eq!(survived, model.durable),
                            FULL => assert_eq!(survived, model.cache),
                            _ => model.check(&survived),
                        }
                        file = disk.open("f").expect("open");
                        model = Model::new(survived);
                    }
                    _ => {
                        // Every other write appends, as a log does.
                        let offset = if b % 2 == 0 { model.cache.len() } else { usize::from(a) % (SECTORS * SECTOR) };
                        let len = (usize::from(b) % 1_500).min((SECTORS * SECTOR).saturating_sub(offset));
                        let data: Vec<u8> = (offset..offset + len).map(|at| (at / 7) as u8 ^ n as u8).collect();
                        file.write_at(&data, offset as u64).expect("write");
                        if len > 0 {
                            model.write(offset, &data);
                        }
                    }
                }
                assert_eq!(read_all(&disk, "f"), model.cache);
            }
        },
    );
}

/// Two sectors, written together twice: each may hold the old bytes, the first or the second write's, independently.
#[test]
fn every_combination_of_sectors_and_versions_happens() {
    let outcomes: BTreeSet<[u8; 2]> = (0..200)
        .map(|seed| {
            let disk = disk(DiskOptions::default(), seed);
            let file = durable_file(&disk, "f", &[0; 2 * SECTOR]);
            file.write_at(&[1; 2 * SECTOR], 0).expect("write");
            file.write_at(&[2; 2 * SECTOR], 0).expect("write");
            disk.power_loss();
            disk.restart();
            let survived = read_all(&disk, "f");
            [survived[0], survived[SECTOR]]
        })
        .collect();
    assert_eq!(outcomes.len(), 9, "{outcomes:?}");
}

#[test]
fn a_lost_truncation_brings_the_old_bytes_back() {
    let outcomes: BTreeSet<Vec<u8>> = (0..100)
        .map(|seed| {
            let disk = disk(DiskOptions::default(), seed);
            let file = durable_file(&disk, "f", b"old bytes");
            file.set_len(0).expect("truncate");
            file.write_at(b"new", 0).expect("write");
            disk.power_loss();
            disk.restart();
            read_all(&disk, "f")
        })
        .collect();
    // The sector of the write was zeros behind the new bytes when the cache held it.
    let expected: [&[u8]; 4] = [b"", b"new", b"new\0\0\0\0\0\0", b"old bytes"];
    assert_eq!(outcomes, expected.map(<[u8]>::to_vec).into());
}

#[test]
fn without_tearing_a_log_survives_in_whole_writes() {
    let mut lens = BTreeSet::new();
    for seed in 0..300 {
        let disk = disk(DiskOptions { tear: false, ..DiskOptions::default() }, seed);
        let file = durable_file(&disk, "f", b"");
        let log: Vec<u8> = (0..20).flat_map(|n| [n; 300]).collect();
        for (n, record) in log.chunks(300).enumerate() {
            file.write_at(record, n as u64 * 300).expect("write");
        }
        disk.power_loss();
        disk.restart();
        let survived = read_all(&disk, "f");
        assert!(log.starts_with(&survived) && survived.len().is_multiple_of(300), "{} bytes", survived.len());
        assert_eq!(disk.counters().torn_writes, 0);
        lens.insert(survived.len());
    }
    assert!(lens.len() > 5, "{lens:?}");
}

#[test]
fn without_tearing_writes_of_their_own_sectors_survive_independently() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let disk = disk(DiskOptions { tear: false, ..DiskOptions::default() }, seed);
        let file = durable_file(&disk, "f", &[9; 9 * SECTOR]);
        for n in 0..3u8 {
            file.write_at(&[n; 3 * SECTOR], u64::from(n) * 3 * SECTOR as u64).expect("write");
        }
        disk.power_loss();
        disk.restart();
        let survived = read_all(&disk, "f");
        assert!(survived.chunks(3 * SECTOR).all(|write| write.iter().all(|byte| *byte == write[0])));
        outcomes.insert([survived[0], survived[3 * SECTOR], survived[6 * SECTOR]]);
    }
    assert_eq!(outcomes.len(), 8, "{outcomes:?}");
}

#[test]
fn torn_writes_are_counted() {
    let mut counts = BTreeSet::new();
    for seed in 0..50 {
        let disk = disk(DiskOptions::default(), seed);
        let file = durable_file(&disk, "f", &[0; 2 * SECTOR]);
        file.write_at(&[1; 2 * SECTOR], 0).expect("write");
        disk.power_loss();
        disk.restart();
        let survived = read_all(&disk, "f");
        let torn = u64::from(survived[0] != survived[SECTOR]);
        let lost = survived.chunks(SECTOR).filter(|sector| sector[0] == 0).count() as u64;
        assert_eq!((disk.counters().torn_writes, disk.counters().lost_pieces), (torn, lost));
        counts.insert((torn, lost));
    }
    assert_eq!(counts, BTreeSet::from([(0, 0), (0, 2), (1, 1)]));
}

/// Without tearing, what survives is a set of whole writes, with all earlier ones that share a sector with one of them.
#[test]
fn without_tearing_overlapping_writes_survive_with_those_before_them() {
    bolero::check!().with_type().with_iterations(4_000).cloned().for_each(
        |(seed, mut places): (u64, Vec<(u16, u16)>)| {
            places.truncate(7);
            let disk = disk(DiskOptions { tear: false, ..DiskOptions::default() }, seed);
            let file = durable_file(&disk, "f", b"");
            let mut writes = Vec::new();
            for (n, (a, b)) in (1..).zip(places) {
                let (start, len) = (usize::from(a % 4_000), usize::from(b % 1_200) + 1);
                file.write_at(&vec![n; len], start as u64).expect("write");
                writes.push((n, start, start + len));
            }
            disk.power_loss();
            disk.restart();
            let survived = read_all(&disk, "f");
            let explains = |subset: u32| {
                let chosen = |i: usize| subset >> i & 1 != 0;
                let shares = |i: usize, j: usize| {
                    let (first, second): ((u8, usize, usize), (u8, usize, usize)) = (writes[i], writes[j]);
                    first.1 / SECTOR <= (second.2 - 1) / SECTOR && second.1 / SECTOR <= (first.2 - 1) / SECTOR
                };
                let closed = (0..writes.len()).all(|j| !chosen(j) || (0..j).all(|i| chosen(i) || !shares(i, j)));
                let mut bytes = Vec::new();
                for (_, &(n, start, end)) in writes.iter().enumerate().filter(|(i, _)| chosen(*i)) {
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[start..end].fill(n);
                }
                // The last sector may come with zeros that the cache held behind the write.
                let rest = survived.get(bytes.len()..);
                closed
                    && survived.starts_with(&bytes)
                    && rest.is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
                    && survived.len() <= bytes.len().next_multiple_of(SECTOR)
            };
            assert!((0..1 << writes.len()).any(explains), "no set of whole writes explains what survived");
        },
    );
}
