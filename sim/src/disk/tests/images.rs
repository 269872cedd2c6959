//! Disks that come back as they were, or empty.

use super::*;

/// Everything that a process finds, by path: no bytes for a directory.
fn everything(disk: &SimDisk) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for name in disk.list(&dir).expect("list") {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if disk.list(&path).is_ok() {
                dirs.push(path.clone());
                found.insert(path, None);
            } else {
                let bytes = read_all(disk, &path);
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

#[test]
fn an_older_image_is_exactly_what_was_durable() {
    let disk = disk(DiskOptions::default(), 1);
    assert!(!disk.restore_image(), "there is none");
    disk.create_dir("d").expect("create");
    durable_file(&disk, "d/f", b"old");
    durable_file(&disk, "g", &[7; 2_000]);
    let file = disk.open("d/f").expect("open");
    file.write_at(b"unsynced", 0).expect("write");
    disk.open("unsynced").expect("open");
    disk.remove("g").expect("remove");
    disk.save_image();
    file.sync().expect("sync");
    durable_file(&disk, "new", b"new");
    disk.process_crash();
    assert!(disk.restore_image());
    disk.restart();
    let expected = BTreeMap::from([
        ("d".to_owned(), None),
        ("d/f".to_owned(), Some(b"old".to_vec())),
        ("g".to_owned(), Some(vec![7; 2_000])),
    ]);
    assert_eq!(everything(&disk), expected);
    assert_eq!(disk.used(), 512 * (2 + 1 + 4));
    assert_eq!(disk.files(), [("d/f".to_owned(), 3), ("g".to_owned(), 2_000)]);
    // Nothing is unsynced, so a power loss changes nothing; and it can come back again.
    disk.power_loss();
    disk.restart();
    assert_eq!(everything(&disk), expected);
    disk.remove("g").expect("remove");
    disk.process_crash();
    assert!(disk.restore_image());
    disk.restart();
    assert_eq!(everything(&disk), expected);
    assert_eq!(disk.counters().images_restored, 2);
}

/// What is saved is what a power loss that keeps nothing leaves, whatever was done before.
#[test]
fn an_image_is_what_the_worst_power_loss_leaves() {
    const PATHS: [&str; 4] = ["a", "b", "d/a", "d/b"];
    bolero::check!().with_type().with_iterations(2_000).cloned().for_each(
        |(seed, steps): (u64, Vec<(u8, u8, u16, u16)>)| {
            let disk =
                disk(DiskOptions { keep_unsynced_ppm: 0, keep_directory_ppm: 0, ..DiskOptions::default() }, seed);
            for (action, which, a, b) in steps {
                let (path, other) = (PATHS[usize::from(which % 4)], PATHS[usize::from(a % 4)]);
                match action % 8 {
                    0 => disk.create_dir("d").expect("create"),
                    1 => drop(disk.rename(path, other)),
                    2 => drop(disk.remove(path)),
                    3 => drop(disk.sync_dir(["", "d"][usize::from(b % 2)])),
                    action => {
                        let Ok(file) = disk.open(path) else { continue };
                        match action {
                            4 => file.sync().expect("sync"),
                            5 => file.set_len(u64::from(b % 2_000)).expect("truncate"),
                            _ => {
                                let data = vec![b as u8; usize::from(b % 900)];
                                file.write_at(&data, u64::from(a % 900)).expect("write");
                            }
                        }
                    }
                }
            }
            disk.save_image();
            disk.power_loss();
            disk.restart();
            let worst = everything(&disk);
            let used = disk.used();
            disk.process_crash();
            disk.wipe();
            assert_eq!((disk.used(), disk.files().len()), (0, 0));
            assert!(disk.restore_image());
            disk.restart();
            assert_eq!((everything(&disk), disk.used()), (worst, used));
        },
    );
}

#[test]
fn a_wiped_disk_is_empty_and_dead_handles_stay_dead() {
    let disk = disk(DiskOptions::default(), 1);
    let file = durable_file(&disk, "f", b"old");
    file.write_at(b"unsynced", 0).expect("write");
    disk.process_crash();
    disk.wipe();
    disk.restart();
    assert_eq!(kind(file.sync()), ErrorKind::PowerLoss);
    assert_eq!(disk.list("").expect("list"), [""; 0]);
    assert_eq!((disk.used(), disk.counters().wipes), (0, 1));
    durable_file(&disk, "f", b"new");
    disk.power_loss();
    disk.restart();
    assert_eq!(read_all(&disk, "f"), b"new");
}

#[test]
#[should_panic(expected = "while no process runs")]
fn a_running_disk_is_not_wiped() {
    disk(DiskOptions::default(), 1).wipe();
}

#[test]
fn an_image_keeps_its_damage() {
    let disk = disk(DiskOptions::default(), 1);
    durable_file(&disk, "f", &[1; 1_000]);
    disk.lose_sector_at("f", 999).expect("damage");
    disk.save_image();
    disk.power_loss();
    disk.wipe();
    assert!(disk.restore_image());
    disk.restart();
    let file = disk.open("f").expect("open");
    file.read_at(&mut [0; 512], 0).expect("the first sector is there");
    assert_eq!(kind(file.read_at(&mut [0], 512)), ErrorKind::Io);
}
