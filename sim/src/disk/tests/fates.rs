//! Chance by logical place: no operation moves the fate of another, and faults can be decided instead of drawn.

use super::*;

const HOSTILE: DiskOptions = DiskOptions {
    eio_read_ppm: 100_000,
    eio_write_ppm: 100_000,
    eio_sync_ppm: 200_000,
    stall_ppm: 50_000,
    stall_us: 1_000,
    read_us: 100,
    write_us: 100,
    sync_us: 100,
    keep_unsynced_ppm: 500_000,
    tear: true,
    keep_directory_ppm: 500_000,
};

const LYING: DeviceOptions = DeviceOptions {
    sector: 512,
    rot_read_ppm: 100_000,
    misdirect_read_ppm: 100_000,
    sync_failure_drops_ppm: 500_000,
    crash_in_flight_ppm: 5_000,
};

/// The syncs that fail do not depend on what is done beside them, and the same holds for writes and reads.
#[test]
fn other_operations_do_not_move_a_fate() {
    let failures = |others: usize, which: usize| {
        let device = DeviceOptions { crash_in_flight_ppm: 0, ..LYING };
        let disk = on_device(HOSTILE, device, 7);
        let file = disk.open("f").expect("open");
        let operations: [&dyn Fn() -> bool; 3] =
            [&|| file.read_at(&mut [], 0).is_ok(), &|| file.write_at(&[1], 0).is_ok(), &|| {
                file.sync().is_ok() && disk.exists("f").expect("exists")
            }];
        let mut failures = Vec::new();
        for round in 0..100 {
            for (i, operation) in operations.iter().enumerate().filter(|(i, _)| *i != which) {
                for _ in 0..others * (i + round % 3) {
                    operation();
                }
            }
            failures.push(operations[which]());
        }
        failures
    };
    for which in 0..3 {
        let quiet = failures(0, which);
        assert!(quiet.contains(&true) && quiet.contains(&false));
        assert_eq!(quiet, failures(1, which));
        assert_eq!(quiet, failures(3, which));
    }
}

/// A change of a file, by two numbers.
type Change = (u16, u16);

/// What a power loss keeps of one file does not depend on what was done to another.
#[test]
fn other_files_do_not_move_what_survives() {
    bolero::check!().with_type().with_iterations(1_000).cloned().for_each(
        |(seed, script, more): (u64, Vec<Change>, Vec<Change>)| {
            let survived = |noise: &[Change]| {
                let disk = disk(DiskOptions::default(), seed);
                let file = durable_file(&disk, "f", &[1; 3_000]);
                let mut noise = noise.iter();
                let mut disturb = || {
                    if let Some(&(a, b)) = noise.next() {
                        let other = disk.open(["a", "z"][usize::from(a % 2)]).expect("open");
                        other.write_at(&vec![3; usize::from(b % 2_000)], u64::from(a % 500)).expect("write");
                        if b % 4 == 0 {
                            disk.remove("z").ok();
                        }
                    }
                };
                for &(a, b) in script.iter().take(20) {
                    disturb();
                    if b % 5 == 0 {
                        file.set_len(u64::from(a % 4_000)).expect("truncate");
                    } else {
                        file.write_at(&vec![a as u8; usize::from(b % 1_500)], u64::from(a % 3_000)).expect("write");
                    }
                }
                disturb();
                let renamed = script.len() % 2 == 0;
                if renamed {
                    disk.rename("f", "g").expect("rename");
                }
                disk.power_loss();
                disk.restart();
                (disk.exists("f"), contents(&disk, if disk.exists("f") == Ok(true) { "f" } else { "g" }))
            };
            assert_eq!(survived(&[]), survived(&more));
        },
    );
}

/// What a process sees of a disk while a script runs, with the deaths in between. A hostile disk fails it all the time.
fn run(disk: &SimDisk, script: &[(u8, u16, u16)]) -> Vec<String> {
    let mut seen = Vec::new();
    for &(action, a, b) in script {
        if !disk.is_running() {
            disk.restart();
        }
        let path = ["a", "b"][usize::from(a % 2)];
        let outcome = disk.open(path).and_then(|file| {
            let mut bytes = vec![0; usize::from(b % 700)];
            match action % 8 {
                0 => file.sync()?,
                1 => disk.sync_dir("")?,
                2 => file.set_len(u64::from(b % 3_000))?,
                3 => file.read_at(&mut bytes, 0)?,
                4 | 5 => file.read_at(&mut bytes, u64::from(a % 1_000))?,
                6 if b % 8 == 0 => disk.power_loss(),
                6 if b % 8 == 1 => disk.process_crash(),
                _ => file.write_at(&vec![a as u8; usize::from(b % 2_000)], u64::from(a % 2_000))?,
            }
            Ok(bytes)
        });
        seen.push(format!("{outcome:?}"));
    }
    disk.set_faults_enabled(false);
    disk.power_loss();
    disk.restart();
    seen.extend(["a", "b"].map(|path| format!("{:?}", contents(disk, path))));
    seen
}

/// A shrinker can turn rates into events: with rates of zero, the faults that fired, given one by one, are the same run.
#[test]
fn decisions_replay_without_rates() {
    bolero::check!().with_type().with_iterations(2_000).cloned().for_each(
        |(seed, script): (u64, Vec<(u8, u16, u16)>)| {
            let hostile = on_device(HOSTILE, LYING, seed);
            let happened = run(&hostile, &script);
            let calm = DiskOptions { eio_read_ppm: 0, eio_write_ppm: 0, eio_sync_ppm: 0, stall_ppm: 0, ..HOSTILE };
            let replay = on_device(calm, DeviceOptions::default(), seed);
            for decision in hostile.decisions() {
                replay.decide(decision);
            }
            assert_eq!(run(&replay, &script), happened);
            assert_eq!(replay.decisions(), hostile.decisions());
            assert_eq!(replay.counters(), hostile.counters());
            assert_eq!(replay.take_busy_us(), hostile.take_busy_us());
        },
    );
}

/// Of several faults, one can be left out, and the others still hit the operations that they hit.
#[test]
fn a_decision_left_out_does_not_move_the_others() {
    let script: Vec<_> = (0..200u16).map(|i| ((i % 6) as u8, i, i * 131)).collect();
    let hostile = on_device(HOSTILE, DeviceOptions::default(), 3);
    run(&hostile, &script);
    let failures: Vec<Decision> =
        hostile.decisions().into_iter().filter(|decision| !matches!(decision, Decision::Stalled(..))).collect();
    assert!(failures.len() > 10, "{failures:?}");
    for left_out in 0..failures.len() {
        let replay = disk(DiskOptions::default(), 3);
        let mut given = failures.clone();
        given.remove(left_out);
        for &decision in &given {
            replay.decide(decision);
        }
        run(&replay, &script);
        assert_eq!(replay.decisions(), given);
    }
}

#[test]
fn the_operation_that_was_named_fails_and_no_other() {
    let disk = disk(DiskOptions::default(), 1);
    // This cuts the file, writes, and syncs it and its directory, so two writes and two syncs are done.
    let file = durable_file(&disk, "f", b"bytes");
    for nth in [2, 4] {
        disk.fail_read(nth);
        disk.fail_write(2 + nth);
        disk.fail_sync(2 + nth);
    }
    let operations: [[&dyn Fn() -> Result<(), Error>; 2]; 3] = [
        [&|| file.read_at(&mut [0], 0), &|| file.read_at(&mut [0], 1)],
        [&|| file.write_at(b"B", 0), &|| file.set_len(3)],
        [&|| file.sync(), &|| disk.sync_dir("")],
    ];
    for [first, second] in operations {
        let results = [first, first, second, second, first].map(|operation| operation().map_err(|error| error.kind));
        let failed = Err(ErrorKind::Io);
        assert_eq!(results, [Ok(()), failed.clone(), Ok(()), failed, Ok(())]);
    }
    let failed = |nth| [Decision::ReadFailed(nth), Decision::WriteFailed(2 + nth), Decision::SyncFailed(2 + nth)];
    let decisions: BTreeSet<Decision> = disk.decisions().into_iter().collect();
    assert_eq!(decisions, [failed(2), failed(4)].concat().into_iter().collect());
}

#[test]
fn faults_that_are_off_do_not_happen_even_if_decided() {
    let disk = disk(DiskOptions::default(), 1);
    let file = durable_file(&disk, "f", b"bytes");
    disk.fail_read(1);
    disk.fail_read(2);
    disk.set_faults_enabled(false);
    file.read_at(&mut [0], 0).expect("read");
    disk.set_faults_enabled(true);
    assert_eq!(kind(file.read_at(&mut [0], 0)), ErrorKind::Io);
    assert_eq!(disk.decisions(), [Decision::ReadFailed(2)]);
}
