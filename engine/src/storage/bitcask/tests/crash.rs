//! Crashes at every operation, with every kind of loss: what is there afterwards is a prefix of the batches, with all that
//! were flushed.

use bolero::{TypeGenerator, check};

use super::faulty::{Fault, FaultyDisk, Random};
use super::*;

/// Compacts often.
const BUSY: BitCaskOptions =
    BitCaskOptions { compact_garbage_bytes: 700, compact_garbage_percent: 30, compact_on_open: true };

/// What a store may hold: the state after each batch, from the last that is certainly durable.
struct Possible {
    states: Vec<Map>,
}

impl Possible {
    fn new() -> Self {
        Self { states: vec![Map::new()] }
    }

    fn last(&self) -> &Map {
        self.states.last().expect("never empty")
    }

    /// A batch was applied, or was being applied when the store failed.
    fn apply(&mut self, batch: &Batch) {
        self.states.push(after(self.last().clone(), batch));
    }

    /// Everything applied is durable.
    fn flush(&mut self) {
        self.states.drain(..self.states.len() - 1);
    }

    /// The store was found to hold this, and that is durable from now on.
    fn found(&mut self, map: Map) {
        assert!(self.states.contains(&map), "neither durable nor a prefix: {map:?} is not of {:?}", self.states);
        self.states = vec![map];
    }
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Batch),
    Flush,
    Compact,
}

/// Does the steps until one fails.
fn run(store: &mut BitCask<FaultyDisk>, possible: &mut Possible, steps: &[Step]) -> Result<(), Error> {
    for step in steps {
        match step {
            Step::Apply(batch) => {
                possible.apply(batch);
                store.apply(batch.clone())?;
                continue;
            }
            Step::Flush => store.flush()?,
            Step::Compact => store.compact()?,
        }
        possible.flush();
    }
    assert_eq!(contents(store)?, *possible.last());
    Ok(())
}

/// Steps with overwriting, removals, values over many sectors, batches over sector ends, and compactions.
fn script() -> Vec<Step> {
    let apply = |number, operations: &[_]| Step::Apply(batch(number, operations));
    vec![
        apply(1, &[(1, Some(10)), (2, Some(20)), (3, Some(30))]),
        Step::Flush,
        apply(2, &[(1, Some(600)), (2, None)]),
        apply(3, &[(4, Some(5))]),
        Step::Flush,
        apply(4, &[(3, None), (5, Some(1_300))]),
        apply(5, &[(1, Some(3)), (4, Some(0))]),
        Step::Compact,
        apply(6, &[(5, Some(100)), (2, Some(9))]),
        apply(7, &[(1, None), (5, Some(700))]),
        Step::Flush,
        apply(8, &[(5, Some(20))]),
    ]
}

/// Runs the script with a fault at each operation, and hands what is left to `examine`, with the operation's number.
fn with_each_fault(fault: Fault, options: BitCaskOptions, examine: impl Fn(&FaultyDisk, Possible, u64)) {
    for at in 0.. {
        let disk = FaultyDisk::default();
        let mut possible = Possible::new();
        disk.fault_at(at, fault);
        let result = open(&disk, options).and_then(|mut store| {
            let result = run(&mut store, &mut possible, &script());
            if result.is_err() {
                refuses_everything(&mut store);
            }
            result
        });
        if disk.operations() <= at {
            result.expect("no fault, no failure");
            assert!(at > 40, "only {at} operations");
            return;
        }
        // Recovery tries its reads again.
        assert!(result.is_err() || (fault, disk.hit()) == (Fault::Error, Some("read")), "the fault was hidden");
        examine(&disk, possible, at as u64);
    }
}

fn refuses_everything(store: &mut BitCask<FaultyDisk>) {
    let operations = store.disk.operations();
    let refused = |error: Error| {
        assert!(error.to_string().contains("must be opened again after an error"), "{error}");
    };
    refused(store.get(b"absent").unwrap_err());
    refused(store.apply(batch(9, &[(9, Some(9))])).unwrap_err());
    refused(store.apply(Batch::default()).unwrap_err());
    refused(store.flush().unwrap_err());
    refused(store.compact().unwrap_err());
    let range = || (Bound::Included(b"x".to_vec()), Bound::Excluded(b"x".to_vec()));
    refused(store.scan(range()).next().unwrap().unwrap_err());
    refused(store.scan_keys(range()).next_back().unwrap().unwrap_err());
    assert_eq!(store.disk.operations(), operations, "the disk is left alone");
}

/// Opens the store as often as it takes, where each attempt may lose power too, and checks what it holds. Then goes on
/// with it, to see that it can.
fn recovers(disk: &FaultyDisk, options: BitCaskOptions, mut possible: Possible, random: &mut Random) {
    let mut store = loop {
        match open(disk, options) {
            Ok(store) => break store,
            Err(error) => {
                assert!(disk.is_powerless(), "{error}");
                disk.lose_power(random);
            }
        }
    };
    disk.disarm();
    let found = contents(&store).expect("reads");
    assert!(!disk.exists(&store.paths.next).unwrap());
    possible.found(found);
    run(&mut store, &mut possible, &script()[..4]).expect("goes on");
    drop(store);
    disk.lose_power(random);
    let mut store = open(disk, options).expect("opens");
    possible.found(contents(&store).expect("reads"));
    run(&mut store, &mut possible, &[Step::Compact]).expect("compacts");
}

#[test]
fn power_is_lost_at_every_operation() {
    for options in [LAZY, BUSY] {
        for seed in 0..10 {
            with_each_fault(Fault::PowerLoss, options, |disk, possible, at| {
                let mut random = Random(seed << 32 | at);
                disk.lose_power(&mut random);
                recovers(disk, options, possible, &mut random);
            });
        }
    }
}

#[test]
fn power_is_lost_again_at_every_operation_of_recovery() {
    for seed in 0..4 {
        for again in 0..25 {
            with_each_fault(Fault::PowerLoss, BUSY, |disk, possible, at| {
                let mut random = Random(seed << 32 | again << 16 | at);
                disk.lose_power(&mut random);
                disk.fault_at(again as usize, Fault::PowerLoss);
                recovers(disk, BUSY, possible, &mut random);
            });
        }
    }
}

#[test]
fn every_failed_operation_ends_the_store() {
    for seed in 0..4 {
        with_each_fault(Fault::Error, BUSY, |disk, possible, at| {
            let mut random = Random(seed << 32 | at);
            // The process ends. The machine goes on, or loses power at some time.
            if random.next().is_multiple_of(2) {
                disk.restart_process();
            } else {
                disk.lose_power(&mut random);
            }
            recovers(disk, BUSY, possible, &mut random);
        });
    }
}

/// A process that ended without a power loss leaves all its writes, but they are durable only once they are synced: what a
/// new process has read must survive.
#[test]
fn what_recovery_found_is_durable() {
    for seed in 0..50 {
        let disk = FaultyDisk::default();
        let mut random = Random(seed);
        let mut store = open(&disk, LAZY).unwrap();
        let mut possible = Possible::new();
        run(&mut store, &mut possible, &script()[..7]).unwrap();
        drop(store);
        disk.restart_process();
        possible.flush();
        drop(open(&disk, LAZY).unwrap());
        disk.lose_power(&mut random);
        possible.found(contents(&open(&disk, LAZY).unwrap()).unwrap());
    }
}

/// One life of a process, and how it ends.
#[derive(Clone, Debug, TypeGenerator)]
struct Life {
    steps: Vec<(u8, u8, u8)>,
    /// The operation at which power is lost, if it gets so far.
    crash_at: u8,
    options: u8,
    power_loss: bool,
}

impl Life {
    fn steps(&self) -> Vec<Step> {
        const LENGTHS: [Option<usize>; 7] = [None, Some(0), Some(9), Some(200), None, Some(511), Some(1_500)];
        let len = |kind: u8| LENGTHS[usize::from(kind) % LENGTHS.len()];
        let steps = self.steps.iter().map(|&(kind, a, b)| match kind % 8 {
            0 | 1 => Step::Flush,
            2 if a % 4 == 0 => Step::Compact,
            3 => Step::Apply(batch(kind, &[(a % 5, len(b)), (b % 5, len(a)), (a % 3, len(kind))])),
            _ => Step::Apply(batch(kind ^ a, &[(a % 5, len(b))])),
        });
        steps.collect()
    }

    fn options(&self) -> BitCaskOptions {
        let on_open = self.options.is_multiple_of(2);
        [LAZY, BitCaskOptions { compact_on_open: on_open, ..BUSY }][usize::from(self.options / 2 % 2)]
    }
}

/// Any lives, one after the other, on one disk.
#[test]
fn any_lives_lose_nothing_that_was_flushed() {
    check!().with_type::<(u64, Vec<Life>)>().with_iterations(3_000).with_max_len(2_000).for_each(|(seed, lives)| {
        let mut random = Random(*seed);
        let disk = FaultyDisk::default();
        let mut possible = Possible::new();
        for life in lives {
            disk.fault_at(usize::from(life.crash_at), Fault::PowerLoss);
            let result = open(&disk, life.options()).and_then(|mut store| {
                possible.found(contents(&store)?);
                run(&mut store, &mut possible, &life.steps())
            });
            if let Err(error) = result {
                assert!(disk.is_powerless(), "{error}");
            }
            if disk.is_powerless() || life.power_loss {
                disk.lose_power(&mut random);
            } else {
                disk.restart_process();
            }
        }
        possible.found(contents(&open(&disk, LAZY).expect("opens")).expect("reads"));
    });
}

/// Cuts the file after every byte of what was not synced: whole batches are there, and nothing of the torn one.
#[test]
fn a_tail_torn_at_every_byte_is_cut() {
    let disk = MemDisk::new();
    let mut store = open(&disk, LAZY).unwrap();
    let (mut states, mut ends, mut synced) = (vec![Map::new()], vec![store.end], 0);
    for step in script() {
        match step {
            Step::Apply(batch) => {
                states.push(after(states.last().unwrap().clone(), &batch));
                store.apply(batch).unwrap();
                ends.push(store.end);
            }
            Step::Flush if states.len() < 6 => {
                store.flush().unwrap();
                synced = store.end;
            }
            Step::Flush | Step::Compact => {}
        }
    }
    drop(store);
    let bytes = bytes_of(&disk);
    assert!(bytes.len() as u64 > synced + 2_000);
    for len in synced..=bytes.len() as u64 {
        let whole = ends.partition_point(|&end| end <= len) - 1;
        let disk = disk_with(&bytes[..len as usize]);
        let store = open(&disk, LAZY).expect("opens");
        assert_eq!(contents(&store).expect("reads"), states[whole], "cut at {len}");
        assert_eq!(bytes_of(&disk).len() as u64, ends[whole], "the torn tail is gone");
    }
}
