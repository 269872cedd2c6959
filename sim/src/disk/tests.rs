use super::*;
use engine::disk::File as _;
use rand_core::SeedableRng as _;
use std::collections::{BTreeMap, BTreeSet};

mod conformance;
mod contents_model;
mod damage;
mod device_model;
mod directory_model;
mod fates;
mod images;
mod space;

const FULL: u32 = 1_000_000;

fn disk(options: DiskOptions, seed: u64) -> SimDisk {
    SimDisk::new(options, ChaCha8Rng::seed_from_u64(seed))
}

fn on_device(options: DiskOptions, device: DeviceOptions, seed: u64) -> SimDisk {
    SimDisk::on_device(options, device, ChaCha8Rng::seed_from_u64(seed))
}

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    result.err().expect("an error").kind
}

fn contents(disk: &SimDisk, path: &str) -> Result<Vec<u8>, Error> {
    let file = disk.open(path)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn read_all(disk: &SimDisk, path: &str) -> Vec<u8> {
    contents(disk, path).expect("read")
}

/// A file with these bytes, durable with its name.
fn durable_file(disk: &SimDisk, path: &str, bytes: &[u8]) -> SimFile {
    let file = disk.open(path).expect("open");
    file.set_len(0).expect("truncate");
    file.write_at(bytes, 0).expect("write");
    file.sync().expect("sync");
    disk.sync_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir)).expect("sync directory");
    file
}

#[test]
fn files_read_what_was_written() {
    let disk = disk(DiskOptions::default(), 1);
    let file = disk.open("f").expect("open");
    assert!(file.is_empty().expect("length"));
    file.write_at(b"hello", 3).expect("write");
    assert_eq!(read_all(&disk, "f"), b"\0\0\0hello");
    assert_eq!(kind(file.read_at(&mut [0; 2], 7)), ErrorKind::UnexpectedEof);
    assert!(matches!(kind(file.read_at(&mut [0; 2], u64::MAX)), ErrorKind::Other(_)));
    file.read_at(&mut [], 8).expect("nothing, at the end");
    file.read_at(&mut [], u64::MAX).expect("nothing, anywhere");
    file.set_len(5).expect("truncate");
    file.set_len(7).expect("extend");
    assert_eq!(read_all(&disk, "f"), b"\0\0\0he\0\0");
    assert_eq!(kind(file.write_at(b"x", MAX_FILE_LEN)), ErrorKind::NoSpace);
    assert!(matches!(kind(file.write_at(b"x", u64::MAX)), ErrorKind::Other(_)));
    assert!(matches!(kind(file.set_len(u64::MAX)), ErrorKind::Other(_)));
    file.write_at(b"", u64::MAX).expect("nothing, anywhere");
    assert_eq!(kind(file.set_len(MAX_FILE_LEN + 1)), ErrorKind::NoSpace);
    assert_eq!(file.len().expect("length"), 7);
}

#[test]
fn errors_say_what_and_where() {
    let disk = disk(DiskOptions::default(), 1);
    disk.create_dir("a/b").expect("create");
    disk.open("a/f").expect("open");
    let is_dir = ErrorKind::Other("is a directory".into());
    let not_dir = ErrorKind::Other("not a directory".into());
    assert_eq!(disk.open("x/f").expect_err("no parent").to_string(), r#"open "x/f": no such file or directory"#);
    assert_eq!(kind(disk.open("a")), is_dir);
    assert_eq!(kind(disk.open("a/f/g")), not_dir);
    assert_eq!(kind(disk.create_dir("a/f/g")), not_dir);
    assert_eq!(kind(disk.remove("a/b")), is_dir);
    assert_eq!(kind(disk.remove("a/x")), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename("a/f", "a/b")), is_dir);
    assert_eq!(kind(disk.rename("a/b", "a/c")), is_dir);
    assert_eq!(kind(disk.rename("a/x", "a/c")), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename("a/f", "x/c")), ErrorKind::NotFound);
    assert_eq!(kind(disk.list("x")), ErrorKind::NotFound);
    assert_eq!(kind(disk.list("a/f")), not_dir);
    assert_eq!(kind(disk.sync_dir("x")), ErrorKind::NotFound);
    for path in ["/", "/a", "a/", "a//b", ".", "a/../b"] {
        assert!(matches!(kind(disk.open(path)), ErrorKind::Other(_)), "{path}");
        assert!(matches!(kind(disk.create_dir(path)), ErrorKind::Other(_)), "{path}");
    }
    assert!(matches!(kind(disk.open("")), ErrorKind::Other(_)));
}

#[test]
fn lists_are_sorted_names_of_one_directory() {
    let disk = disk(DiskOptions::default(), 1);
    disk.create_dir("a/b/c").expect("create");
    disk.create_dir("a/b").expect("again");
    disk.create_dir("").expect("the root is there");
    for path in ["z", "a/z", "a/b/y", "ab", "a/b-", "a/b/x"] {
        disk.open(path).expect("open");
    }
    assert_eq!(disk.list("").expect("list"), ["a", "ab", "z"]);
    assert_eq!(disk.list("a").expect("list"), ["b", "b-", "z"]);
    assert_eq!(disk.list("a/b").expect("list"), ["c", "x", "y"]);
    assert_eq!(disk.list("a/b/c").expect("list"), [""; 0]);
    for (path, exists) in [("", true), ("a/b", true), ("a/b/x", true), ("b", false), ("a/b/xx", false)] {
        assert_eq!(disk.exists(path), Ok(exists), "{path}");
    }
}

#[test]
fn a_removed_or_replaced_file_lives_on_in_its_handles() {
    let disk = disk(DiskOptions::default(), 1);
    let (old, new) = (durable_file(&disk, "old", b"old"), durable_file(&disk, "new", b"new"));
    disk.rename("new", "old").expect("rename");
    disk.rename("old", "old").expect("onto itself");
    assert_eq!((read_all(&disk, "old").as_slice(), disk.exists("new")), (&b"new"[..], Ok(false)));
    disk.remove("old").expect("remove");
    for (file, expected) in [(old, b"old"), (new, b"new")] {
        let mut bytes = [0; 3];
        file.read_at(&mut bytes, 0).expect("read");
        assert_eq!(&bytes, expected);
    }
}

#[test]
fn a_power_loss_keeps_what_was_synced_and_nothing_else_when_told_so() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: 0, keep_directory_ppm: 0, ..DiskOptions::default() }, 1);
    let file = durable_file(&disk, "f", &[1; 2_000]);
    file.write_at(&[2; 2_000], 1_000).expect("write");
    file.set_len(100).expect("truncate");
    file.write_at(&[3; 5_000], 50).expect("write");
    let gone = disk.open("gone").expect("open");
    gone.write_at(b"synced, but without a name", 0).expect("write");
    gone.sync().expect("sync");
    disk.power_loss();
    assert_eq!(kind(disk.exists("f")), ErrorKind::PowerLoss);
    disk.restart();
    assert_eq!(read_all(&disk, "f"), [1; 2_000]);
    assert_eq!(disk.list("").expect("list"), ["f"]);
    let counters = disk.counters();
    assert_eq!((counters.power_losses, counters.lost_entries, counters.torn_writes), (1, 1, 0));
    assert_eq!(counters.lost_pieces, 5 + 1 + 10);
}

#[test]
fn a_process_crash_loses_nothing_until_the_power_goes() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: 0, ..DiskOptions::default() }, 1);
    let file = durable_file(&disk, "f", b"durable");
    file.write_at(b"written", 0).expect("write");
    disk.process_crash();
    disk.process_crash();
    assert_eq!(kind(file.len()), ErrorKind::PowerLoss);
    disk.restart();
    assert_eq!(read_all(&disk, "f"), b"written");
    disk.process_crash();
    disk.power_loss();
    disk.power_loss();
    disk.restart();
    assert_eq!(read_all(&disk, "f"), b"durable");
    let counters = disk.counters();
    assert_eq!((counters.process_crashes, counters.power_losses, counters.lost_pieces), (2, 1, 1));
}

#[test]
fn a_dead_process_never_touches_the_disk_again() {
    let host = disk(DiskOptions::default(), 1);
    let dead = host.clone();
    let file = durable_file(&dead, "f", b"durable");
    let lock = dead.lock("lock").expect("lock");
    assert_eq!(kind(host.lock("lock")), ErrorKind::Locked);
    host.lock("another").expect("another path");
    host.process_crash();
    host.restart();
    for result in [
        file.write_at(b"ghost", 0),
        file.set_len(0),
        file.sync(),
        file.read_at(&mut [0], 0),
        dead.remove("f"),
        dead.clone().rename("f", "g"),
        dead.open("g").map(drop),
        dead.sync_dir(""),
    ] {
        assert_eq!(kind(result), ErrorKind::PowerLoss);
    }
    let second = host.lock("lock").expect("released by the crash");
    drop(lock);
    assert_eq!(kind(host.lock("lock")), ErrorKind::Locked, "the dead holder must not release the new lock");
    drop(second);
    host.lock("lock").expect("released");
    assert_eq!(read_all(&host, "f"), b"durable");
    assert!(host.is_running());
}

/// A crash armed for every place of a script: exactly so many operations complete, and all later ones fail.
#[test]
fn a_crash_can_come_between_any_two_operations() {
    type Step = fn(&SimDisk, &SimFile) -> Result<(), Error>;
    let script: [Step; 13] = [
        |_, file| file.write_at(&[7; 1_200], 0),
        |_, file| file.len().map(drop),
        |_, file| file.sync(),
        |disk, _| disk.open("new").map(drop),
        |disk, _| disk.exists("new").map(drop),
        |disk, _| disk.sync_dir(""),
        |disk, _| disk.create_dir("d"),
        |_, file| file.set_len(3),
        |_, file| file.read_at(&mut [0; 3], 0),
        |disk, _| disk.list("").map(drop),
        |disk, _| disk.rename("new", "d/new"),
        |disk, _| disk.lock("lock").map(drop),
        |disk, _| disk.remove("d/new"),
    ];
    for place in 0..=script.len() {
        let disk = disk(DiskOptions::default(), place as u64);
        let file = durable_file(&disk, "f", b"");
        let before = disk.counters().operations;
        disk.crash_after(place as u32);
        let done = script.iter().take_while(|step| step(&disk, &file).is_ok()).count();
        assert_eq!((done, disk.counters().operations - before), (place, place as u64));
        assert_eq!(disk.is_running(), place == script.len());
        assert_eq!(disk.counters().crashes_mid_step, u64::from(place < script.len()));
        if place < script.len() {
            assert!(
                script.iter().all(|step| step(&disk, &file).map_err(|error| error.kind) == Err(ErrorKind::PowerLoss))
            );
            disk.restart();
            // Operation 2 made the write durable, and 7 truncates it, perhaps durably.
            let len = read_all(&disk, "f").len();
            assert!(if place <= 2 { len <= 1_200 } else { len == 1_200 || (len == 3 && place > 7) }, "{place}: {len}");
        }
    }
}

#[test]
fn a_crash_in_the_middle_of_a_step_loses_what_was_not_synced() {
    let disk = disk(DiskOptions { keep_unsynced_ppm: 0, ..DiskOptions::default() }, 1);
    let file = durable_file(&disk, "f", b"old");
    disk.crash_after(1);
    file.write_at(b"new", 0).expect("write");
    assert_eq!(kind(file.sync()), ErrorKind::PowerLoss);
    disk.restart();
    assert_eq!(read_all(&disk, "f"), b"old");
    assert_eq!((disk.counters().power_losses, disk.counters().lost_pieces), (1, 1));
}

#[test]
fn every_error_is_injected_and_counted() {
    let options = DiskOptions { eio_read_ppm: FULL, eio_write_ppm: FULL, eio_sync_ppm: FULL, ..DiskOptions::default() };
    let disk = disk(options, 1);
    let file = disk.open("f").expect("open");
    assert_eq!(kind(file.write_at(b"x", 0)), ErrorKind::Io);
    assert_eq!(kind(file.set_len(9)), ErrorKind::Io);
    assert_eq!(kind(file.sync()), ErrorKind::Io);
    assert_eq!(kind(disk.sync_dir("")), ErrorKind::Io);
    assert_eq!(kind(file.read_at(&mut [], 0)), ErrorKind::Io);
    let counters = disk.counters();
    assert_eq!((counters.eio_writes, counters.eio_syncs, counters.eio_reads), (2, 2, 1));
    assert_eq!(file.len(), Ok(0), "one sector is not written in part");
    disk.set_faults_enabled(false);
    disk.crash_after(0);
    disk.set_faults_enabled(false);
    file.write_at(b"x", 0).expect("write");
    file.sync().expect("sync");
    file.read_at(&mut [0], 0).expect("read");
}

#[test]
fn a_failed_write_leaves_a_prefix_of_its_sectors() {
    let disk = disk(DiskOptions { eio_write_ppm: FULL, ..DiskOptions::default() }, 1);
    let mut lengths = BTreeSet::new();
    for i in 0..100 {
        let file = disk.open(&format!("f{i}")).expect("open");
        file.write_at(&[1; 2 * SECTOR], 100).expect_err("fails");
        lengths.insert(file.len().expect("length"));
    }
    assert_eq!(lengths, BTreeSet::from([0, 512, 1024]));
}

/// A failed sync made nothing durable for sure, and nothing unwritten.
#[test]
fn a_failed_sync_leaves_everything_unsynced() {
    let disk = disk(DiskOptions { eio_sync_ppm: FULL, keep_unsynced_ppm: 0, ..DiskOptions::default() }, 1);
    disk.set_faults_enabled(false);
    let file = durable_file(&disk, "f", b"old");
    disk.set_faults_enabled(true);
    file.write_at(b"new", 0).expect("write");
    assert_eq!(kind(file.sync()), ErrorKind::Io);
    assert_eq!(read_all(&disk, "f"), b"new");
    disk.power_loss();
    disk.restart();
    assert_eq!(read_all(&disk, "f"), b"old");
}

#[test]
fn operations_take_time() {
    let options = DiskOptions { read_us: 100, write_us: 1_000, sync_us: 10_000, ..DiskOptions::default() };
    let quiet = disk(options, 1);
    let file = quiet.open("f").expect("open");
    assert!((1_000..=1_250).contains(&quiet.take_busy_us()));
    assert_eq!(quiet.take_busy_us(), 0);
    file.len().expect("length");
    assert_eq!(quiet.take_busy_us(), 0);
    file.write_at(b"x", 0).expect("write");
    file.sync().expect("sync");
    file.read_at(&mut [0], 0).expect("read");
    assert!((11_100..=13_875).contains(&quiet.take_busy_us()));
    quiet.set_stall(1_000_000);
    file.len().expect("length");
    assert_eq!(quiet.take_busy_us(), 1_000_000);
    quiet.set_faults_enabled(false);
    file.len().expect("length");
    assert_eq!((quiet.take_busy_us(), quiet.counters().stalls), (0, 0));

    let stalling = disk(DiskOptions { stall_ppm: FULL, stall_us: 77, ..options }, 1);
    stalling.exists("f").expect("exists");
    assert_eq!((stalling.take_busy_us(), stalling.counters().stalls), (77, 1));
    let absurd = disk(DiskOptions { sync_us: u64::MAX, stall_ppm: FULL, stall_us: u64::MAX, ..options }, 1);
    absurd.set_stall(u64::MAX);
    absurd.sync_dir("").expect("sync");
    assert_eq!(absurd.take_busy_us(), u64::MAX);
}

/// The same seed and operations give the same bytes, errors, times and counts; another seed gives others.
#[test]
fn the_same_seed_has_the_same_outcome() {
    let run = |seed| {
        let options = DiskOptions {
            eio_read_ppm: 50_000,
            eio_write_ppm: 50_000,
            eio_sync_ppm: 150_000,
            stall_ppm: 50_000,
            stall_us: 1_000,
            ..DiskOptions::default()
        };
        let device = DeviceOptions {
            rot_read_ppm: 50_000,
            misdirect_read_ppm: 50_000,
            sync_failure_drops_ppm: 500_000,
            crash_in_flight_ppm: 2_000,
            ..DeviceOptions::default()
        };
        let disk = on_device(options, device, seed);
        disk.remember_writes(true);
        disk.set_capacity(Some(40_000));
        disk.save_image();
        let mut seen = Vec::new();
        for round in 0..20 {
            for i in 0..20u8 {
                let path = format!("f{}", i % 4);
                let mut read = [0; 10];
                let written = disk.open(&path).and_then(|file| {
                    file.write_at(&[i; 1_500], u64::from(i) * 700)?;
                    file.read_at(&mut read, 0)?;
                    if i % 4 == 0 { file.sync() } else { Ok(()) }
                });
                seen.push(format!("{written:?} {read:?} {:?}", disk.take_busy_us()));
            }
            disk.sync_dir("").ok();
            disk.remove(&format!("f{}", round % 4)).ok();
            if round % 3 == 0 {
                disk.process_crash();
            } else {
                disk.power_loss();
            }
            match round % 8 {
                6 => disk.wipe(),
                7 => assert!(disk.restore_image()),
                _ => {}
            }
            disk.restart();
            disk.set_faults_enabled(false);
            for path in disk.list("").expect("list") {
                let damage = [disk.rot(&path), disk.misdirect_last_write(&path)];
                seen.push(format!("{path}: {damage:?} {:?}", contents(&disk, &path)));
                if round % 5 == 0 {
                    seen.push(format!("{:?}", disk.lose_sector(&path)));
                }
            }
            disk.set_faults_enabled(true);
            disk.crash_after(200);
        }
        (seen, disk.counters())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    let counters = run(1).1;
    let json = serde_json::to_value(counters).expect("serialisable");
    let silent: Vec<_> = json.as_object().expect("an object").iter().filter(|(_, count)| **count == 0).collect();
    assert!(silent.is_empty(), "never happened: {silent:?}");

    let mut sum = counters;
    sum.merge(&counters);
    let doubled = serde_json::to_value(sum).expect("serialisable");
    for (name, count) in json.as_object().expect("an object") {
        assert_eq!(doubled[name], 2 * count.as_u64().expect("a count"), "{name}");
    }
}
