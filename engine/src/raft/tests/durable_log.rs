//! The log on disk: what was synced is never lost silently, what was not is cut at a whole record, whatever a crash does.

use std::sync::Arc;

use bolero::TypeGenerator;

use super::super::record::{self, HEADER};
use super::super::recovery::CHUNK;
use super::super::{Entry, HardState, Index, Log, Nonce, Opened, Payload, Recovered, Term};
use crate::disk::faulty::{Counts, FaultyDisk};
use crate::disk::{self, ErrorKind};
use crate::storage::Error;

pub const DIR: &str = "node/raft";
pub const PATH: &str = "node/raft/log";
/// The length of the first record.
const BEGIN: usize = HEADER + 18;

pub fn open(disk: &FaultyDisk) -> (Log<FaultyDisk>, Recovered) {
    match Log::open(disk.clone(), DIR).unwrap() {
        Opened::Whole(log, recovered) => (log, recovered),
        Opened::Lost(_, error) => panic!("{error}"),
    }
}

/// A disk with the log of a new voter.
pub fn formatted() -> FaultyDisk {
    let disk = FaultyDisk::default();
    Log::format(disk.clone(), DIR).unwrap();
    disk
}

pub fn with_bytes(bytes: &[u8]) -> FaultyDisk {
    let disk = FaultyDisk::default();
    disk.put(PATH, bytes);
    disk
}

fn recover(bytes: &[u8]) -> Result<Recovered, Error> {
    let disk = with_bytes(bytes);
    match Log::open(disk.clone(), DIR)? {
        Opened::Whole(_, recovered) => Ok(recovered),
        Opened::Lost(_, error) => {
            assert_eq!(disk.bytes(PATH).unwrap(), bytes, "a log that has lost something is not changed");
            Err(error)
        }
    }
}

pub fn entry(index: Index, term: Term, size: usize) -> Entry {
    let command: Vec<u8> = (0..size).map(|n| (n as u64 + index + term) as u8).collect();
    let payload = if size > 0 { Payload::Command(Arc::from(command)) } else { Payload::Empty };
    Entry { index, term, payload }
}

pub fn voted(term: Term) -> HardState {
    HardState { term, vote: Some(1), recovering: None }
}

/// What a log holds after a record of each kind.
fn apply(state: &mut Recovered, hard_state: Option<HardState>, entries: &[Entry]) {
    state.hard_state = hard_state.unwrap_or(state.hard_state);
    if let Some(first) = entries.first() {
        state.entries.truncate(first.index as usize - 1);
        state.entries.extend_from_slice(entries);
    }
}

type Append = (Option<HardState>, Vec<Entry>);

fn appends() -> Vec<Append> {
    vec![
        (Some(voted(1)), vec![entry(1, 1, 0), entry(2, 1, 30), entry(3, 1, 700)]),
        (None, vec![entry(4, 1, 9)]),
        (Some(voted(3)), vec![]),
        (None, vec![entry(3, 3, 0), entry(4, 3, 1_200), entry(5, 3, 1)]),
        (Some(voted(4)), vec![entry(6, 4, 10)]),
    ]
}

/// A log with all appends synced one by one; the file's length and the content after each, from the empty one on.
pub fn synced() -> (FaultyDisk, Vec<(usize, Recovered)>) {
    let disk = formatted();
    let (mut log, mut state) = open(&disk);
    let mut states = vec![(BEGIN, state.clone())];
    for (hard_state, entries) in appends() {
        log.append(hard_state, &entries).unwrap();
        log.sync().unwrap();
        apply(&mut state, hard_state, &entries);
        states.push((log.size() as usize, state.clone()));
    }
    (disk, states)
}

#[test]
fn a_log_returns_what_was_appended() {
    let (disk, states) = synced();
    for (length, state) in states {
        assert_eq!(recover(&disk.bytes(PATH).unwrap()[..length]).unwrap(), state);
    }
}

#[test]
fn a_crash_at_any_byte_of_the_tail_leaves_whole_records() {
    let appends = appends();
    let disk = formatted();
    let (mut log, mut state) = open(&disk);
    log.append(appends[0].0, &appends[0].1).unwrap();
    log.sync().unwrap();
    apply(&mut state, appends[0].0, &appends[0].1);
    let mut states = vec![(log.size() as usize, state.clone())];
    for (hard_state, entries) in &appends[1..] {
        // Term and entries are two records of one write, so a crash can come between them.
        for (hard_state, entries) in [(*hard_state, &[][..]), (None, entries)] {
            log.append(hard_state, entries).unwrap();
            apply(&mut state, hard_state, entries);
            states.push((log.size() as usize, state.clone()));
        }
    }
    let bytes = disk.bytes(PATH).unwrap();
    for cut in states[0].0..=bytes.len() {
        let whole = states.iter().rposition(|(length, _)| *length <= cut).unwrap();
        let expected = &states[whole].1;
        // The file may end there, or go on with sectors that were allocated but not written.
        let torn = with_bytes(&bytes[..cut]);
        assert_eq!(open(&torn).1, *expected, "cut at {cut}");
        let seen = torn.bytes(PATH).unwrap();
        torn.crash(|| false);
        assert!(seen.len() <= cut && torn.bytes(PATH).unwrap() == seen, "the tail is cut durably");
        let mut zeros = bytes.clone();
        zeros[cut..].fill(0);
        // Zeros may be what was there, to the end of the record.
        let next = states.iter().find(|(length, _)| *length > cut);
        let (_, expected) = next.filter(|(end, _)| zeros[..*end] == bytes[..*end]).unwrap_or(&states[whole]);
        assert!(recover(&zeros).unwrap() == *expected, "zeros from {cut}");
    }
}

#[test]
fn a_flipped_bit_in_synced_records_is_corruption() {
    let (disk, states) = synced();
    let bytes = disk.bytes(PATH).unwrap();
    // What the last append wrote is called synced by nothing yet: this is the limit of what can be told.
    let (covered, before_last) = &states[states.len() - 2];
    let all = &states[states.len() - 1].1;
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match recover(&damaged) {
            Err(Error::Corrupt { path, offset, .. }) => {
                assert_eq!(path, PATH);
                assert!(offset <= bit as u64 / 8 && bit / 8 < *covered, "bit {bit} is said to be at {offset}");
            }
            Err(error) => panic!("{error}"),
            Ok(recovered) => {
                assert!(bit / 8 >= *covered, "a flip of bit {bit} goes unnoticed");
                let mut between = before_last.clone();
                between.hard_state = all.hard_state;
                assert!(recovered == *before_last || recovered == between, "bit {bit}");
            }
        }
    }
}

#[test]
fn a_lost_sector_of_synced_records_is_corruption() {
    let (disk, states) = synced();
    let bytes = disk.bytes(PATH).unwrap();
    let covered = states[states.len() - 2].0;
    for start in (0..covered).step_by(512) {
        let mut damaged = bytes.clone();
        damaged[start..(start + 512).min(covered)].fill(0);
        assert!(matches!(recover(&damaged), Err(Error::Corrupt { .. })), "sector at {start}");
    }
}

/// The file is searched in chunks, and the only proof of damage may lie across two of them.
#[test]
fn damage_is_found_across_chunks() {
    for before in 0..=2 * HEADER {
        let disk = formatted();
        let (mut log, _) = open(&disk);
        // The first append fills the file up to some bytes before the end of a chunk.
        let frame = 2 * BEGIN + HEADER + 22;
        log.append(Some(voted(1)), &[entry(1, 1, CHUNK as usize - before - frame)]).unwrap();
        assert_eq!(log.size() as usize, CHUNK as usize - before);
        log.sync().unwrap();
        log.append(None, &[entry(2, 1, 1)]).unwrap();
        let mut bytes = disk.bytes(PATH).unwrap();
        bytes[BEGIN] ^= 1;
        let at = BEGIN as u64;
        assert!(matches!(recover(&bytes), Err(Error::Corrupt { offset, .. }) if offset == at), "{before} bytes before");
    }
}

#[test]
fn unsynced_records_after_a_hole_are_no_proof_of_damage() {
    let disk = formatted();
    let (mut log, _) = open(&disk);
    log.append(Some(voted(1)), &[entry(1, 1, 600)]).unwrap();
    log.sync().unwrap();
    log.append(None, &[entry(2, 1, 2_000)]).unwrap();
    log.append(None, &[entry(3, 1, 2_000)]).unwrap();
    // The first write is lost, the second one is not.
    let mut sector = 0;
    drop(log);
    disk.crash(|| {
        sector += 1;
        sector > 5
    });
    let (mut log, recovered) = open(&disk);
    assert_eq!(recovered.entries, [entry(1, 1, 600)]);
    // What is written now does not meet the remains.
    log.append(None, &[entry(2, 1, 10)]).unwrap();
    log.sync().unwrap();
    drop(log);
    disk.crash(|| false);
    assert_eq!(open(&disk).1.entries, [entry(1, 1, 600), entry(2, 1, 10)]);
}

#[test]
fn a_record_within_a_payload_is_no_record() {
    let disk = formatted();
    let (mut log, _) = open(&disk);
    log.append(Some(voted(1)), &[entry(1, 1, 600)]).unwrap();
    log.sync().unwrap();
    let synced = log.size();
    // A record that could stand further on, and would call more synced than is.
    let mut image = Vec::new();
    record::encode_hard_state(&mut image, synced + 2_000, synced + 1, HardState { term: 1, ..HardState::default() })
        .unwrap();
    log.append(None, &[Entry { index: 2, term: 1, payload: Payload::Command(image.into()) }, entry(3, 1, 600)])
        .unwrap();
    let mut bytes = disk.bytes(PATH).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(recover(&bytes).unwrap().entries, [entry(1, 1, 600)]);
}

#[test]
fn records_that_contradict_each_other_are_corruption() {
    let one = |hard_state: Option<HardState>, entries: &[Entry]| {
        let mut bytes = Vec::new();
        record::encode_hard_state(&mut bytes, 0, 0, voted(2)).unwrap();
        record::encode_entries(&mut bytes, 0, 0, &[entry(1, 2, 5)]).unwrap();
        let position = bytes.len() as u64;
        if let Some(hard_state) = hard_state {
            record::encode_hard_state(&mut bytes, 0, 0, hard_state).unwrap();
        }
        if !entries.is_empty() {
            record::encode_entries(&mut bytes, 0, 0, entries).unwrap();
        }
        match recover(&bytes) {
            Err(Error::Corrupt { offset, reason, .. }) => {
                assert_eq!(offset, position, "{reason}");
                reason
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(one(Some(HardState { term: 1, ..HardState::default() }), &[]).contains("cannot follow"));
    assert!(one(Some(HardState { recovering: Some(Nonce::MIN), ..voted(2) }), &[]).contains("cannot follow"));
    assert!(one(Some(HardState { vote: Some(3), ..voted(2) }), &[]).contains("cannot follow"));
    assert_eq!(one(None, &[entry(3, 2, 0)]), "entry 3 cannot follow entry 1");
    assert_eq!(one(None, &[entry(0, 2, 0)]), "entry 0 cannot follow entry 1");
    assert_eq!(one(None, &[entry(2, 1, 0)]), "entry 2 of term 1 cannot follow entry 1 of term 2 in term 2");
    assert_eq!(one(None, &[entry(2, 3, 0)]), "entry 2 of term 3 cannot follow entry 1 of term 2 in term 2");
    assert_eq!(
        one(None, &[entry(2, 2, 0), entry(4, 2, 0)]),
        "entry 4 of term 2 cannot follow entry 2 of term 2 in term 2"
    );
    assert_eq!(
        one(None, &[entry(2, 2, 0), entry(Index::MAX, 2, 0)]),
        format!("entry {} of term 2 cannot follow entry 2 of term 2 in term 2", Index::MAX)
    );
}

#[test]
fn an_append_is_one_write_and_nothing_else_syncs() {
    let disk = formatted();
    let (mut log, _) = open(&disk);
    let Counts { writes, syncs } = disk.counts();
    log.append(Some(voted(1)), &[entry(1, 1, 1), entry(2, 1, 1)]).unwrap();
    assert_eq!(disk.counts(), Counts { writes: writes + 1, syncs });
    log.sync().unwrap();
    assert_eq!(disk.counts(), Counts { writes: writes + 1, syncs: syncs + 1 });
    log.append(None, &[]).unwrap();
    assert_eq!(disk.counts(), Counts { writes: writes + 1, syncs: syncs + 1 });
}

#[test]
fn an_error_is_final() {
    for operation in ["write", "sync"] {
        let disk = formatted();
        let (mut log, _) = open(&disk);
        disk.fail(Some((operation, ErrorKind::Io)));
        let run = |log: &mut Log<FaultyDisk>| log.append(Some(voted(1)), &[entry(1, 1, 1)]).and_then(|()| log.sync());
        let error = run(&mut log).unwrap_err();
        assert_eq!(error, disk::Error::new(operation, PATH, ErrorKind::Io).into());
        disk.fail(None);
        assert_eq!(log.append(Some(voted(1)), &[]).unwrap_err(), error);
        assert_eq!(log.sync().unwrap_err(), error, "a sync is never tried again");
    }
}

/// After a failed sync the page cache shows bytes that no later sync would write. A restarted process must not promise
/// by them what it will not find after a power failure.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_made_durable_when_read() {
    let disk = formatted();
    let (mut log, _) = open(&disk);
    log.append(Some(voted(1)), &[entry(1, 1, 300)]).unwrap();
    log.sync().unwrap();
    log.append(Some(voted(2)), &[entry(2, 2, 3_000)]).unwrap();
    disk.fail(Some(("sync", ErrorKind::Io)));
    log.sync().unwrap_err();
    disk.fail(None);
    drop(log);
    let (log, seen) = open(&disk);
    assert_eq!(seen.entries.len(), 2);
    drop(log);
    disk.crash(|| false);
    assert_eq!(open(&disk).1, seen);
}

#[test]
fn names_are_durable_once_the_log_is_formatted() {
    let disk = formatted();
    disk.crash(|| false);
    open(&disk);
}

#[test]
fn a_log_has_one_owner() {
    let disk = formatted();
    let (log, _) = open(&disk);
    let error = Log::open(disk.clone(), DIR).map(|_| ()).unwrap_err();
    assert_eq!(error, disk::Error::new("lock", "node/raft/lock", ErrorKind::Locked).into());
    drop(log);
    open(&disk);
}

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    /// Appends entries of a size, some steps back from the end, perhaps in a new term.
    Append {
        back: u8,
        count: u8,
        size: u16,
        new_term: bool,
    },
    Sync,
    /// Loses sectors by the bits of a pattern.
    Crash(u64),
    Reopen,
}

#[test]
fn crashes_lose_only_what_was_not_synced() {
    bolero::check!().with_type::<Vec<Step>>().with_iterations(2_000).for_each(|steps| {
        let disk = formatted();
        let (mut log, mut state) = open(&disk);
        // What a crash may leave: the content at the last sync, or after any record since.
        let mut possible = vec![state.clone()];
        for step in steps {
            match *step {
                Step::Append { back, count, size, new_term } => {
                    let seen = state.hard_state.term;
                    let hard_state =
                        (new_term || seen == 0).then_some(HardState { term: seen + 1, ..HardState::default() });
                    let last = state.entries.len() as Index;
                    // Only a later term replaces entries.
                    let back = if hard_state.is_some() { last.min(Index::from(back % 4)) } else { 0 };
                    let term = hard_state.map_or(seen, |hard_state| hard_state.term);
                    let entries: Vec<Entry> = (last + 1 - back..)
                        .take(usize::from(count % 4))
                        .map(|index| entry(index, term, usize::from(size % 1_500)))
                        .collect();
                    log.append(hard_state, &entries).unwrap();
                    for (hard_state, entries) in [(hard_state, &[][..]), (None, &entries)] {
                        apply(&mut state, hard_state, entries);
                        possible.push(state.clone());
                    }
                }
                Step::Sync => {
                    log.sync().unwrap();
                    possible = vec![state.clone()];
                }
                Step::Crash(pattern) => {
                    drop(log);
                    let mut pattern = pattern;
                    disk.crash(|| {
                        pattern = pattern.rotate_left(1);
                        pattern & 1 == 1
                    });
                    (log, state) = open(&disk);
                    assert!(possible.contains(&state), "{state:?} is not among {possible:?}");
                    possible = vec![state.clone()];
                }
                Step::Reopen => {
                    drop(log);
                    let recovered;
                    (log, recovered) = open(&disk);
                    assert_eq!(recovered, state);
                    possible = vec![state.clone()];
                }
            }
        }
    });
}

/// Whatever a file holds, opening it ends with a content or an error.
#[test]
fn arbitrary_files_do_not_panic() {
    let (disk, _) = synced();
    let bytes = disk.bytes(PATH).unwrap();
    bolero::check!().with_type::<(Vec<u8>, u16, bool)>().with_iterations(2_000).for_each(|(noise, at, valid)| {
        if *valid {
            // Content that passes its checksums.
            let mut file = Vec::new();
            record::encode(&mut file, 0, 0, |content| content.extend_from_slice(noise)).unwrap();
            drop(recover(&file));
        } else {
            let mut file = bytes.clone();
            let at = usize::from(*at) % file.len();
            let end = (at + noise.len()).min(file.len());
            file[at..end].copy_from_slice(&noise[..end - at]);
            drop(recover(&file));
        }
    });
}
