//! A log that is not what it was: it is never taken for a voter's, however the disk got there, and giving it up survives
//! a crash at any moment.

use super::super::{HardState, Log, Nonce, Opened, Recovered};
use super::durable_log::{DIR, PATH, entry, formatted, open, synced, voted, with_bytes};
use crate::disk::faulty::{Fault, FaultyDisk, Random};
use crate::disk::{Disk, ErrorKind, File, READ_TRIES};
use crate::storage::Error;

const DAMAGED: &str = "node/raft/log.damaged";

/// What the disk of a node can be when it has lost its log.
const LOSSES: [fn() -> FaultyDisk; 4] = [FaultyDisk::default, wiped, empty, damaged];

/// The directory is there, and nothing in it.
fn wiped() -> FaultyDisk {
    let disk = formatted();
    disk.remove(PATH).unwrap();
    disk.sync_dir(DIR).unwrap();
    disk
}

fn empty() -> FaultyDisk {
    with_bytes(&[])
}

fn damaged() -> FaultyDisk {
    let (disk, states) = synced();
    let mut bytes = disk.bytes(PATH).unwrap();
    bytes[states[1].0 + 3] ^= 4;
    with_bytes(&bytes)
}

fn lost(disk: &FaultyDisk) -> (super::super::Lost<FaultyDisk>, Error) {
    match Log::open(disk.clone(), DIR).unwrap() {
        Opened::Lost(lost, error) => (lost, error),
        Opened::Whole(_, recovered) => panic!("nothing is lost: {recovered:?}"),
    }
}

fn nonce(number: u64) -> Nonce {
    Nonce::new(number).unwrap()
}

/// What a node does when it is opened.
fn open_or_begin(disk: &FaultyDisk, number: u64) -> Result<(Log<FaultyDisk>, Recovered), Error> {
    match Log::open(disk.clone(), DIR)? {
        Opened::Whole(log, recovered) => Ok((log, recovered)),
        Opened::Lost(lost, _) => {
            lost.set_aside()?;
            lost.begin(nonce(number))
        }
    }
}

#[test]
fn a_log_that_was_never_formatted_is_lost() {
    for disk in [FaultyDisk::default(), wiped(), empty()] {
        let (_, error) = lost(&disk);
        assert_eq!(error, Error::NotFormatted { path: PATH.to_owned() });
    }
}

#[test]
fn a_log_that_was_given_up_is_begun_again_and_keeps_what_it_gets() {
    for disk in LOSSES.map(|lossy| lossy()) {
        let before = disk.bytes(PATH);
        let (lost, _) = lost(&disk);
        assert_eq!(disk.bytes(PATH), before, "opening changes nothing");
        lost.set_aside().unwrap();
        assert_eq!((disk.bytes(PATH), disk.bytes(DAMAGED)), (None, before));
        let (mut log, recovered) = lost.begin(nonce(7)).unwrap();
        let recovering = HardState { recovering: Some(nonce(7)), ..HardState::default() };
        assert_eq!(recovered, Recovered { hard_state: recovering, entries: vec![] });
        drop(log);
        disk.crash(|| false);
        (log, _) = open(&disk);
        let term = HardState { term: 3, ..recovering };
        log.append(Some(term), &[entry(1, 2, 10), entry(2, 3, 0)]).unwrap();
        log.sync().unwrap();
        drop(log);
        disk.crash(|| false);
        let recovered;
        (log, recovered) = open(&disk);
        assert_eq!(recovered, Recovered { hard_state: term, entries: vec![entry(1, 2, 10), entry(2, 3, 0)] });
        log.append(Some(voted(3)), &[]).unwrap();
        log.sync().unwrap();
        drop(log);
        disk.crash(|| false);
        assert_eq!(open(&disk).1.hard_state, voted(3), "a voter again");
    }
}

/// A later amnesia replaces what an earlier one has set aside.
#[test]
fn the_latest_damaged_log_is_kept() {
    let disk = damaged();
    open_or_begin(&disk, 1).unwrap();
    let mut bytes = disk.bytes(PATH).unwrap();
    bytes[5] ^= 1;
    disk.put(PATH, &bytes);
    let (_, recovered) = open_or_begin(&disk, 2).unwrap();
    assert_eq!(recovered.hard_state.recovering, Some(nonce(2)));
    assert_eq!(disk.bytes(DAMAGED), Some(bytes));
}

/// Power is lost at every operation of the first attempt and of the second.
#[test]
fn a_crash_while_a_log_is_given_up_never_makes_a_voter() {
    let crash_twice = |lossy: fn() -> FaultyDisk, seed: u64, at: [usize; 2]| {
        let disk = lossy();
        let mut random = Random(seed << 32 | (at[0] << 16 | at[1]) as u64);
        for (number, at) in (1..).zip(at) {
            disk.crash(|| true);
            disk.fault_at(at, Fault::PowerLoss);
            if let Ok((_, recovered)) = open_or_begin(&disk, number) {
                assert!(recovered.hard_state.recovering.is_some(), "{recovered:?}");
            }
            disk.lose_power(&mut random);
        }
        let (log, recovered) = open_or_begin(&disk, 3).unwrap();
        assert!(recovered.hard_state.recovering.is_some(), "{recovered:?} after crashes at {at:?}");
        drop(log);
        disk.crash(|| false);
        assert_eq!(open(&disk).1, recovered, "what was begun is durable");
    };
    for lossy in LOSSES {
        let disk = lossy();
        disk.crash(|| true);
        open_or_begin(&disk, 1).unwrap();
        let operations = disk.operations();
        assert!(operations > 12, "{operations}");
        for seed in 0..4 {
            (0..=operations).for_each(|at| (0..=operations).for_each(|again| crash_twice(lossy, seed, [at, again])));
        }
    }
}

/// A log that is whole, and turns out to lack something while it is in use.
#[test]
fn a_log_in_use_is_given_up_durably() {
    let disk = synced().0;
    let bytes = disk.bytes(PATH);
    let (mut log, recovered) = open(&disk);
    log.set_aside().unwrap();
    let last = recovered.entries.len() as u64;
    log.append(None, &[entry(last + 1, 9, 1)]).unwrap_err();
    log.sync().unwrap_err();
    drop(log);
    disk.crash(|| false);
    assert_eq!(disk.bytes(DAMAGED), bytes);
    assert!(matches!(lost(&disk).1, Error::NotFormatted { .. }));
}

/// A read that fails is tried again. What still cannot be read is lost, and nothing else about the disk is.
#[test]
fn a_log_that_cannot_be_read_is_lost() {
    let disk = synced().0;
    let whole = open(&disk).1;
    disk.restart_process();
    drop(open(&disk));
    let operations = disk.operations();
    let mut reads = 0;
    for at in 0..operations {
        disk.restart_process();
        disk.fault_at(at, Fault::Error);
        match Log::open(disk.clone(), DIR) {
            Ok(Opened::Whole(_, recovered)) => assert_eq!(recovered, whole),
            Ok(Opened::Lost(_, error)) => panic!("{error}"),
            Err(error) => assert!(matches!(error, Error::Disk(_)) && disk.hit() != Some("read"), "{error}"),
        }
        reads += usize::from(disk.hit() == Some("read"));
    }
    assert!(reads > 0 && reads < operations);

    disk.restart_process();
    disk.fail(Some(("read", ErrorKind::Io)));
    let (lost, error) = lost(&disk);
    assert!(matches!(error, Error::Unreadable(_)), "{error}");
    // The directory, the lock, the name, the file, its length, and the first read.
    assert_eq!(disk.operations(), 5 + READ_TRIES as usize);
    lost.set_aside().unwrap();
    lost.begin(nonce(1)).unwrap();
    disk.fail(None);
    assert_eq!(open(&disk).1.hard_state.recovering, Some(nonce(1)));

    // Without power there is no telling.
    disk.fail(Some(("read", ErrorKind::PowerLoss)));
    assert!(matches!(Log::open(disk, DIR), Err(Error::Disk(_))));
}

#[test]
fn formatting_survives_a_crash_and_may_be_repeated() {
    for seed in 0..20 {
        for at in 0..20 {
            let disk = FaultyDisk::default();
            let mut random = Random(seed << 32 | at);
            disk.fault_at(at as usize, Fault::PowerLoss);
            let formatted = Log::format(disk.clone(), DIR).is_ok();
            disk.lose_power(&mut random);
            if !formatted {
                Log::format(disk.clone(), DIR).unwrap();
                disk.crash(|| false);
            }
            assert_eq!(open(&disk).1, Recovered::default());
        }
    }
}

#[test]
fn formatting_leaves_a_disk_alone_that_has_been_in_use() {
    let (disk, states) = synced();
    Log::format(disk.clone(), DIR).unwrap();
    assert_eq!(open(&disk).1, states.last().unwrap().1);
    // In the middle of an amnesia there is no log.
    let (mut log, _) = open(&disk);
    log.set_aside().unwrap();
    drop(log);
    Log::format(disk.clone(), DIR).unwrap();
    lost(&disk);
}

/// A disk without space refuses to begin a log, and nothing is gone by it.
#[test]
fn a_full_disk_delays_recovery() {
    let disk = damaged();
    let bytes = disk.bytes(PATH);
    for space in [0, 1, 40] {
        disk.limit_space(space);
        let error = open_or_begin(&disk, 1).err().unwrap();
        assert!(matches!(&error, Error::Disk(error) if error.kind == ErrorKind::NoSpace), "{error}");
        assert_eq!(disk.bytes(DAMAGED), bytes);
        lost(&disk);
        disk.restart_process();
    }
    let (_, recovered) = open_or_begin(&disk, 2).unwrap();
    assert_eq!(recovered.hard_state.recovering, Some(nonce(2)));
    assert_eq!(disk.bytes(DAMAGED), bytes);
}

/// An append that does not fit ends the log, and leaves what was there.
#[test]
fn a_full_disk_loses_no_entries() {
    let disk = formatted();
    let (mut log, _) = open(&disk);
    log.append(Some(voted(1)), &[entry(1, 1, 600)]).unwrap();
    log.sync().unwrap();
    disk.limit_space(700);
    log.append(None, &[entry(2, 1, 600)]).unwrap();
    log.sync().unwrap();
    let error = log.append(None, &[entry(3, 1, 600)]).unwrap_err();
    assert!(matches!(&error, Error::Disk(error) if error.kind == ErrorKind::NoSpace), "{error}");
    assert_eq!(log.sync().unwrap_err(), error);
    drop(log);
    // The disk is still full, and what the failed write has left is cut.
    for _ in 0..2 {
        assert_eq!(open(&disk).1.entries, [entry(1, 1, 600), entry(2, 1, 600)]);
    }
    disk.restart_process();
    let (mut log, _) = open(&disk);
    log.append(None, &[entry(3, 1, 600)]).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(|| false);
    assert_eq!(open(&disk).1.entries.len(), 3);
    assert!(disk.open(PATH).unwrap().len().unwrap() > 1_800);
}
