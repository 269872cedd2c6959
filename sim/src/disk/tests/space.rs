//! A disk that fills up, and has room again.

use super::*;

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again() {
    let disk = disk(DiskOptions::default(), 1);
    // A sector for each of two files, and four for what is in them.
    disk.set_capacity(Some(6 * 512 + 511));
    let (log, other) = (disk.open("log").expect("open"), disk.open("other").expect("open"));
    other.write_at(&[9; 600], 0).expect("fits");
    assert_eq!(disk.used(), 4 * 512);
    assert_eq!(kind(log.write_at(&[1; 2_000], 100)), ErrorKind::NoSpace);
    assert_eq!(read_all(&disk, "log"), [vec![0; 100], vec![1; 924]].concat(), "the two sectors that fit");
    assert_eq!(disk.used(), 6 * 512);
    assert_eq!(kind(log.write_at(b"x", 1_024)), ErrorKind::NoSpace);
    assert_eq!(kind(log.set_len(1_025)), ErrorKind::NoSpace);
    assert_eq!(kind(disk.open("third")), ErrorKind::NoSpace);
    assert_eq!(disk.exists("third"), Ok(false));
    log.write_at(&[2; 1_024], 0).expect("overwriting needs nothing");
    other.write_at(&[9; 424], 600).expect("nor does the rest of a sector");
    disk.create_dir("d").expect("a directory needs nothing");
    disk.rename("log", "d/log").expect("nor does another name");
    assert_eq!(disk.counters().no_space, 4);

    disk.remove("other").expect("remove");
    assert_eq!(disk.used(), 3 * 512);
    log.write_at(&[3; 1_200], 1_024).expect("what was removed is free");
    assert_eq!(kind(disk.open("third")), ErrorKind::NoSpace);
    log.set_len(1).expect("truncate");
    disk.open("third").expect("what was cut off is free");
    other.write_at(&[9; 10_000], 0).expect("a file without a name takes no space");
    assert_eq!(disk.used(), 3 * 512);
    disk.open("fourth").expect("open").write_at(&[4; 512], 0).expect("write");
    disk.rename("third", "fourth").expect("rename");
    assert_eq!(disk.used(), 3 * 512, "what was replaced is free");
    disk.set_capacity(None);
    log.write_at(&[3; 10_000], 0).expect("no limit");
}

#[test]
fn what_a_power_loss_brings_back_takes_space() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: 0, keep_directory_ppm: 0, ..DiskOptions::default() }, 1);
    disk.set_capacity(Some(4 * 512));
    let file = durable_file(&disk, "f", &[1; 1_000]);
    durable_file(&disk, "g", b"");
    file.set_len(0).expect("truncate");
    disk.remove("g").expect("remove");
    disk.open("h").expect("open").write_at(&[1; 1_000], 0).expect("write");
    disk.power_loss();
    disk.restart();
    assert_eq!((disk.used(), disk.list("").expect("list").len()), (4 * 512, 2));
    assert_eq!(kind(disk.open("f").expect("open").write_at(&[2; 1_000], 500)), ErrorKind::NoSpace);
    disk.remove("g").expect("it has a name again");
    assert_eq!(disk.used(), 3 * 512);
}

/// What to do, with which file, and two numbers.
type Step = (u8, u8, u16, u16);

/// Against a model that adds up all files each time.
#[test]
fn space_is_what_all_files_take() {
    bolero::check!().with_type().with_iterations(3_000).cloned().for_each(
        |(seed, wide, limit, steps): (u64, bool, u8, Vec<Step>)| {
            let sector: u64 = if wide { 4_096 } else { 512 };
            let capacity = u64::from(limit % 24);
            let device = DeviceOptions { sector: sector as u32, ..DeviceOptions::default() };
            let disk = on_device(DiskOptions::default(), device, seed);
            disk.set_capacity(Some(capacity * sector));
            let mut model: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
            let taken = |model: &BTreeMap<&str, Vec<u8>>| {
                model.values().map(|bytes| 1 + (bytes.len() as u64).div_ceil(sector)).sum::<u64>()
            };
            for (action, which, a, b) in steps {
                let path = ["a", "b", "c"][usize::from(which % 3)];
                let free = capacity.saturating_sub(taken(&model));
                let file = match disk.open(path) {
                    Ok(file) => file,
                    Err(error) => {
                        assert_eq!((error.kind, model.contains_key(path), free), (ErrorKind::NoSpace, false, 0));
                        continue;
                    }
                };
                let free = if model.contains_key(path) { free } else { free - 1 };
                let bytes = model.entry(path).or_default();
                let room = ((bytes.len() as u64).div_ceil(sector) + free) as usize * sector as usize;
                let (offset, len) = (usize::from(a % 9_000), usize::from(b % 9_000));
                match action % 8 {
                    0 => {
                        disk.remove(path).expect("remove");
                        model.remove(path);
                    }
                    1 => {
                        let to = ["a", "b", "c"][usize::from(a % 3)];
                        disk.rename(path, to).expect("rename");
                        let bytes = model.remove(path).expect("opened above");
                        model.insert(to, bytes);
                    }
                    2 => {
                        let expected = if len <= room { Ok(()) } else { Err(ErrorKind::NoSpace) };
                        assert_eq!(file.set_len(len as u64).map_err(|error| error.kind), expected);
                        bytes.resize(len.min(room), 0);
                    }
                    3 => {
                        // What survives is what the model goes on with.
                        disk.power_loss();
                        disk.restart();
                        model = BTreeMap::new();
                        for path in ["a", "b", "c"] {
                            if disk.exists(path) == Ok(true) {
                                model.insert(path, read_all(&disk, path));
                            }
                        }
                    }
                    4 => {
                        file.sync().expect("sync");
                        disk.sync_dir("").expect("sync");
                    }
                    _ => {
                        let data = vec![a as u8; len];
                        let fits = if len == 0 { 0 } else { len.min(room.saturating_sub(offset)) };
                        let expected = if fits == len { Ok(()) } else { Err(ErrorKind::NoSpace) };
                        assert_eq!(file.write_at(&data, offset as u64).map_err(|error| error.kind), expected);
                        if fits > 0 {
                            bytes.resize(bytes.len().max(offset + fits), 0);
                            bytes[offset..offset + fits].copy_from_slice(&data[..fits]);
                        }
                    }
                }
                assert_eq!(disk.used(), taken(&model) * sector);
                for (path, bytes) in &model {
                    assert_eq!(read_all(&disk, path), *bytes);
                }
            }
        },
    );
}

/// A failed write on a full disk writes no more than fits either.
#[test]
fn an_error_and_a_full_disk_at_once() {
    let disk = disk(DiskOptions { eio_write_ppm: FULL, ..DiskOptions::default() }, 1);
    disk.set_capacity(Some(2 * 512));
    let file = disk.open("f").expect("open");
    for _ in 0..100 {
        assert_eq!(kind(file.write_at(&[1; 5_000], 0)), ErrorKind::Io);
        assert!(disk.used() <= 2 * 512);
    }
    assert_eq!(file.len(), Ok(512));
}

#[test]
fn power_goes_while_writes_are_in_flight_and_only_then() {
    let device = DeviceOptions { crash_in_flight_ppm: FULL, ..DeviceOptions::default() };
    let disk = on_device(DiskOptions { keep_unsynced_ppm: 0, ..DiskOptions::default() }, device, 1);
    disk.set_faults_enabled(false);
    let file = durable_file(&disk, "f", b"old");
    disk.set_faults_enabled(true);
    file.len().expect("nothing is in flight");
    disk.open("g").expect("open");
    disk.remove("g").expect("names are not writes");
    file.write_at(b"new", 0).expect("nothing is in flight before it");
    assert_eq!(kind(file.sync()), ErrorKind::PowerLoss);
    assert!(!disk.is_running());
    disk.restart();
    assert_eq!(read_all(&disk, "f"), b"old");
    let counters = disk.counters();
    assert_eq!((counters.crashes_in_flight, counters.crashes_mid_step, counters.power_losses), (1, 1, 1));
    // The first that began in flight was the sync above, while faults were off.
    assert_eq!(disk.decisions(), [Decision::CrashedInFlight(2)]);

    disk.set_faults_enabled(false);
    let file = disk.open("f").expect("open");
    file.write_at(b"new", 0).expect("write");
    file.len().expect("faults are off");
    file.sync().expect("sync");
    disk.set_faults_enabled(true);
    file.len().expect("nothing is in flight after a sync");

    // A file without a name has nothing to lose.
    file.write_at(b"gone", 0).expect("write");
    disk.set_faults_enabled(false);
    disk.remove("f").expect("remove");
    disk.set_faults_enabled(true);
    file.write_at(b"gone", 0).expect("write");
    file.len().expect("nothing is in flight");
    // But when its process dies and another opens what was unsynced before, that still is.
    let file = disk.open("h").expect("open");
    file.write_at(b"unsynced", 0).expect("write");
    disk.process_crash();
    disk.restart();
    assert_eq!(kind(disk.exists("h")), ErrorKind::PowerLoss);
}

/// With a chance of one in ten, the crashes come out near it, over the operations that could have been hit.
#[test]
fn crashes_in_flight_come_at_their_rate() {
    let device = DeviceOptions { crash_in_flight_ppm: 100_000, ..DeviceOptions::default() };
    let disk = on_device(DiskOptions::default(), device, 1);
    let mut begun = 0;
    for _ in 0..20_000 {
        let unsynced = disk.open("f").and_then(|file| file.write_at(b"x", 0));
        if unsynced.is_ok() {
            begun += 1;
            disk.exists("f").ok();
        }
        if !disk.is_running() {
            disk.restart();
            continue;
        }
        disk.set_faults_enabled(false);
        disk.open("f").and_then(|file| file.sync()).expect("sync");
        disk.set_faults_enabled(true);
    }
    let crashes = disk.counters().crashes_in_flight;
    assert!((begun * 9 / 100..begun * 11 / 100).contains(&crashes), "{crashes} of {begun}");
}
