//! Reads that mislead once, and damage at rest.

use super::*;

fn flipped(a: &[u8], b: &[u8]) -> u32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// Bytes that tell every place of a file from every other.
fn telling(len: usize) -> Vec<u8> {
    (0..=len as u32 / 4).flat_map(u32::to_le_bytes).take(len).collect()
}

#[test]
fn a_rotten_read_is_wrong_in_one_bit_and_only_once() {
    let disk = on_device(DiskOptions::default(), DeviceOptions { rot_read_ppm: FULL, ..DeviceOptions::default() }, 1);
    let bytes = telling(3_000);
    let file = durable_file(&disk, "f", &bytes);
    let mut places = BTreeSet::new();
    for _ in 0..100 {
        let mut read = vec![0; 1_000];
        file.read_at(&mut read, 700).expect("read");
        assert_eq!(flipped(&read, &bytes[700..1_700]), 1);
        places.insert(read.iter().zip(&bytes[700..]).position(|(a, b)| a != b));
    }
    assert!(places.len() > 50);
    file.read_at(&mut [], 0).expect("nothing to rot");
    assert_eq!(disk.counters().rotten_reads, 100);
    disk.set_faults_enabled(false);
    assert_eq!(read_all(&disk, "f"), bytes);
}

#[test]
fn a_misdirected_read_returns_another_place() {
    for sector in [512, 4_096] {
        let device = DeviceOptions { sector, misdirect_read_ppm: FULL, ..DeviceOptions::default() };
        let disk = on_device(DiskOptions::default(), device, 1);
        let sector = sector as usize;
        let bytes = telling(8 * sector + 100);
        let file = durable_file(&disk, "f", &bytes);
        let mut shifts = BTreeSet::new();
        for round in 0..200 {
            let (offset, len) = (3 * sector + round, sector + round);
            let mut read = vec![0; len];
            file.read_at(&mut read, offset as u64).expect("read");
            let found = (0..=bytes.len() - len).find(|start| bytes[*start..].starts_with(&read));
            let found = found.expect("bytes of the file") as i64;
            assert!((found - offset as i64) % sector as i64 == 0 && found != offset as i64, "{found} for {offset}");
            shifts.insert((found - offset as i64) / sector as i64);
        }
        assert!(shifts.is_superset(&(-3..=3).filter(|shift| *shift != 0).collect()), "{shifts:?}");
        // No other place has as many bytes: what is missing reads as zeros.
        let mut read = vec![0; 8 * sector];
        file.read_at(&mut read, 0).expect("read");
        let shift = bytes.windows(8).position(|window| window == &read[..8]).expect("bytes of the file");
        assert!(shift >= sector && shift % sector == 0);
        assert_eq!(read, [&bytes[shift..], &vec![0; shift - 100][..]].concat());
        // A file of one sector has no other place.
        let small = durable_file(&disk, "small", &bytes[..sector]);
        let before = disk.counters().misdirected_reads;
        assert_eq!((before, read_all(&disk, "small")), (201, bytes[..sector].to_vec()));
        drop(small);
        assert_eq!(disk.counters().misdirected_reads, before);
    }
}

#[test]
fn rot_stays_and_hits_the_durable_bytes_of_one_sector() {
    for seed in 0..200 {
        let disk = disk(DiskOptions { keep_unsynced_ppm: 0, ..DiskOptions::default() }, seed);
        let bytes = telling(2_000);
        let file = durable_file(&disk, "f", &bytes);
        file.write_at(&[0xee; 3_000], 2_048).expect("write");
        let damage = disk.rot("f").expect("damage");
        assert!(damage.offset < 2_000 && damage.len == (2_000 - damage.offset).min(512), "{damage}");
        let seen = read_all(&disk, "f");
        let place = damage.offset as usize..(damage.offset + damage.len) as usize;
        let count = flipped(&seen[place.clone()], &bytes[place.clone()]);
        assert!((1..=8).contains(&count) && damage.text.starts_with(&count.to_string()), "{damage}");
        assert_eq!(flipped(&seen[..2_000], &bytes), count, "nothing else is hit");
        assert_eq!(&seen[2_000..], [vec![0; 48], vec![0xee; 3_000]].concat(), "least of all what is unsynced");
        disk.rename("f", "g").expect("rename");
        disk.sync_dir("").expect("sync");
        disk.power_loss();
        disk.restart();
        assert_eq!(read_all(&disk, "g"), seen[..2_000], "it stays through a power loss, under another name");
        let file = disk.open("g").expect("open");
        file.write_at(&bytes[place], damage.offset).expect("write");
        assert_eq!(read_all(&disk, "g"), bytes, "until it is written again");
        assert_eq!(disk.counters().rot, 1);
    }
}

/// The cache holds a newer version of the sector, so the rot shows only when that is lost, and is gone when it is written.
#[test]
fn rot_below_an_unsynced_write_shows_when_that_is_lost() {
    for keep_unsynced_ppm in [0, FULL] {
        let disk = disk(DiskOptions { keep_unsynced_ppm, ..DiskOptions::default() }, 1);
        let file = durable_file(&disk, "f", &[1; 100]);
        file.write_at(&[2; 10], 0).expect("write");
        let written = [vec![2; 10], vec![1; 90]].concat();
        disk.rot("f").expect("damage");
        assert_eq!(read_all(&disk, "f"), written);
        disk.power_loss();
        disk.restart();
        if keep_unsynced_ppm == 0 {
            assert!((1..=8).contains(&flipped(&read_all(&disk, "f"), &[1; 100])));
        } else {
            assert_eq!(read_all(&disk, "f"), written);
        }
    }
}

#[test]
fn a_lost_sector_fails_until_it_is_written_again() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: 0, ..DiskOptions::default() }, 1);
    let bytes = telling(1_500);
    let file = durable_file(&disk, "f", &bytes);
    let damage = disk.lose_sector_at("f", 500).expect("damage");
    assert_eq!((damage.offset, damage.len), (512, 512));
    let mut read = [0; 512];
    let mut read_at = |file: &SimFile, offset| file.read_at(&mut read, offset).map_err(|error| error.kind);
    assert_eq!(read_at(&file, 0), Ok(()));
    assert_eq!(read_at(&file, 1), Err(ErrorKind::Io));
    assert_eq!(read_at(&file, 900), Err(ErrorKind::Io));
    assert_eq!(read_at(&file, 700), Err(ErrorKind::Io), "again");
    disk.set_faults_enabled(false);
    assert_eq!(read_at(&file, 512), Err(ErrorKind::Io), "it is no fault of the moment");
    assert_eq!(kind(file.write_at(&[9; 10], 600)), ErrorKind::Io, "the rest must be read first");
    assert_eq!(kind(file.write_at(&[9; 511], 512)), ErrorKind::Io);
    file.write_at(&[9; 512], 512).expect("write");
    assert_eq!(read_at(&file, 512), Ok(()));
    disk.power_loss();
    disk.restart();
    let file = disk.open("f").expect("open");
    assert_eq!(read_at(&file, 512), Err(ErrorKind::Io), "the write was lost");
    file.write_at(&[9; 512], 512).expect("write");
    file.sync().expect("sync");
    disk.power_loss();
    disk.restart();
    assert_eq!(read_all(&disk, "f"), [&bytes[..512], &[9; 512], &bytes[1_024..]].concat());

    let file = disk.open("f").expect("open");
    let damage = disk.lose_sector_at("f", 1_000).expect("damage");
    assert_eq!((damage.offset, damage.len), (1_024, 476));
    assert_eq!(kind(file.write_at(b"x", 1_500)), ErrorKind::Io, "an append must read the last sector");
    file.write_at(&[7; 476], 1_024).expect("all that is in it");
    file.set_len(1_024).expect("truncate");
    file.write_at(b"x", 1_500).expect("it was cut off");
    file.sync().expect("sync");
    assert_eq!(disk.counters().lost_sectors, 2);
    assert_eq!((disk.counters().eio_reads, disk.counters().eio_writes), (5, 3));
    disk.lose_sector("f").expect("damage");
    disk.remove("f").expect("remove");
    durable_file(&disk, "f", &bytes);
    assert_eq!(read_all(&disk, "f"), bytes, "another file");
}

#[test]
fn the_last_synced_write_is_found_elsewhere() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: 0, ..DiskOptions::default() }, 1);
    let file = durable_file(&disk, "f", &telling(5_000));
    assert_eq!(disk.misdirect_last_write("f"), None, "nothing was remembered");
    disk.remember_writes(true);
    file.write_at(&[8; 512], 0).expect("write");
    file.write_at(&[9; 700], 4_608).expect("write");
    assert_eq!(disk.misdirect_last_write("f"), None, "nothing is synced");
    file.sync().expect("sync");
    file.write_at(&[7; 512], 1_024).expect("write");
    let damage = disk.misdirect_last_write_at("f", 200).expect("damage");
    assert_eq!((damage.offset, damage.len), (4_608, 700));
    assert_eq!(damage.text, "the last write stands at 512 instead", "of nine places, the second");
    // The sectors as a whole, with zeros behind the end of the bytes.
    let mut expected = telling(5_000);
    expected.resize(5_308, 0);
    expected[..512].fill(8);
    expected[512..1_212].fill(9);
    expected[1_212..1_536].fill(0);
    let mut cached = expected.clone();
    cached[1_024..1_536].fill(7);
    assert_eq!(read_all(&disk, "f"), cached, "what is unsynced hides what is below it");
    assert_eq!(disk.misdirect_last_write("f"), None, "only once");
    disk.power_loss();
    disk.restart();
    assert_eq!(read_all(&disk, "f"), expected);
    assert_eq!(disk.counters().misdirected_writes, 1);

    // A file that is all one write has no other place; and a write that was cut into is forgotten.
    durable_file(&disk, "g", &[1; 1_000]);
    assert_eq!(disk.misdirect_last_write("g"), None);
    let file = durable_file(&disk, "h", &[1; 1_000]);
    file.write_at(&[2; 1_000], 1_000).expect("write");
    file.sync().expect("sync");
    file.set_len(1_999).expect("truncate");
    assert_eq!(disk.misdirect_last_write("h"), None);
    // What was remembered is known after a power loss, unless something was written over it.
    for (offset, known) in [(0, true), (1_024, false)] {
        let file = disk.open("h").expect("open");
        file.write_at(&[2; 1_000], 1_024).expect("write");
        file.sync().expect("sync");
        file.write_at(&[3], offset).expect("write");
        disk.power_loss();
        disk.restart();
        assert_eq!(disk.misdirect_last_write("h").is_some(), known);
    }
}

#[test]
fn there_is_damage_only_where_there_is_something() {
    let disk = disk(DiskOptions::default(), 1);
    disk.remember_writes(true);
    disk.create_dir("d").expect("create");
    durable_file(&disk, "empty", b"");
    disk.open("new").expect("open").write_at(b"unsynced", 0).expect("write");
    for path in ["", "d", "x", "d/x", "../x", "empty", "new"] {
        let damage = [
            disk.rot(path),
            disk.lose_sector(path),
            disk.misdirect_last_write(path),
            disk.rot_at(path, 0),
            disk.lose_sector_at(path, 1_000),
            disk.misdirect_last_write_at(path, 1_000),
        ];
        assert_eq!(damage, [const { None }; 6], "{path}");
    }
    assert_eq!(disk.files(), [("empty".to_owned(), 0), ("new".to_owned(), 0)]);
}

/// The place of told damage, bit for bit, depends on nothing but the path and the permille.
#[test]
fn told_damage_is_the_same_whatever_came_before() {
    let struck = |earlier: u32| {
        let disk = disk(DiskOptions::default(), 5);
        durable_file(&disk, "other", &telling(4_000));
        for permille in 0..earlier {
            disk.rot("other").expect("damage");
            disk.lose_sector_at("other", permille).expect("damage");
        }
        durable_file(&disk, "f", &telling(10_000));
        let damage = [0, 333, 1_000, 5_000].map(|permille| disk.rot_at("f", permille).expect("damage"));
        assert_eq!(damage.clone().map(|damage| damage.offset), [0, 3_072, 9_728, 9_728]);
        (damage, read_all(&disk, "f"))
    };
    assert_eq!(struck(0), struck(7));
}

#[test]
fn damage_strikes_every_sector() {
    let disk = disk(DiskOptions::default(), 1);
    durable_file(&disk, "f", &telling(5_000));
    let rotten: BTreeSet<u64> = (0..200).map(|_| disk.rot("f").expect("damage").offset).collect();
    let lost: BTreeSet<u64> = (0..200).map(|_| disk.lose_sector("f").expect("damage").offset).collect();
    let all: BTreeSet<u64> = (0..10).map(|place| place * 512).collect();
    assert_eq!((rotten, lost), (all.clone(), all));
}

/// Large sectors tear in large pieces.
#[test]
fn a_sector_of_4096_bytes_survives_as_a_whole() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let disk = on_device(DiskOptions::default(), DeviceOptions { sector: 4_096, ..DeviceOptions::default() }, seed);
        let file = durable_file(&disk, "f", &[0; 2 * 4_096]);
        file.write_at(&[1; 2 * 4_096], 0).expect("write");
        disk.power_loss();
        disk.restart();
        let survived = read_all(&disk, "f");
        assert!(survived.chunks(4_096).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        outcomes.insert((survived[0], survived[4_096]));
    }
    assert_eq!(outcomes.len(), 4);
}

#[test]
#[should_panic(expected = "512 or 4096")]
fn other_sectors_are_refused() {
    on_device(DiskOptions::default(), DeviceOptions { sector: 1_000, ..DeviceOptions::default() }, 1);
}

#[test]
fn what_was_durable_before_a_file_last_grew_is_sealed() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: FULL, ..DiskOptions::default() }, 1);
    let sealed = |permille| disk.is_sealed_at("f", permille);
    assert!(!sealed(0), "there is no such file");
    let file = durable_file(&disk, "f", &telling(1_024));
    assert!(!sealed(0), "all of it is the last write");
    file.write_at(&telling(1_000), 1_024).expect("write");
    assert!(!sealed(0), "what is not synced says nothing");
    file.sync().expect("sync");
    assert!(sealed(0) && sealed(400), "two sectors before the last growth");
    assert!(!sealed(600) && !sealed(1_000));
    // Writing it again, or syncing nothing, does not make the file grow.
    file.write_at(&telling(1_000), 1_024).expect("write");
    file.sync().expect("sync");
    file.sync().expect("sync");
    assert!(sealed(0) && !sealed(600));
    // A sector that is durable in part is not sealed.
    file.write_at(&telling(3_000), 2_024).expect("write");
    file.sync().expect("sync");
    let share = |byte: u64| (byte * 1_000 / 5_024) as u32 + 1;
    assert!(
        sealed(share(1_529)) && !sealed(share(1_536)),
        "2,024 bytes were durable, of which three sectors are whole"
    );
    // What a power loss leaves of unsynced writes grows the file only when it is synced.
    file.write_at(&telling(1_000), 5_024).expect("write");
    disk.power_loss();
    disk.restart();
    assert!(!disk.is_sealed_at("f", 500));
    let file = disk.open("f").expect("open");
    file.sync().expect("sync");
    assert!(disk.is_sealed_at("f", 500) && !disk.is_sealed_at("f", 990));
    file.set_len(100).expect("set length");
    file.sync().expect("sync");
    assert!(!disk.is_sealed_at("f", 0), "a file that was cut has lost what sealed it");
}
