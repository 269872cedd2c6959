//! The durable log on a disk that loses what was not synced.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::*;
use crate::disk::{self, Disk, ErrorKind, File};
use crate::storage::Error;

/// A disk of files in memory whose bytes a test can change.
#[derive(Clone, Default)]
struct TestDisk(Rc<RefCell<TestFiles>>);

#[derive(Default)]
struct TestFiles {
    files: BTreeMap<String, Vec<u8>>,
    synced: usize,
    syncs: usize,
    writes: usize,
    fail_syncs: bool,
    locked: bool,
}

struct TestFile(TestDisk, String);

struct TestLock(TestDisk);

impl Drop for TestLock {
    fn drop(&mut self) {
        self.0.0.borrow_mut().locked = false;
    }
}

impl Disk for TestDisk {
    type File = TestFile;
    type Lock = TestLock;

    fn open(&self, path: &str) -> Result<TestFile, disk::Error> {
        self.0.borrow_mut().files.entry(path.into()).or_default();
        Ok(TestFile(self.clone(), path.into()))
    }

    fn exists(&self, path: &str) -> Result<bool, disk::Error> {
        Ok(self.0.borrow().files.contains_key(path))
    }

    fn rename(&self, _: &str, _: &str) -> Result<(), disk::Error> {
        unreachable!("the log renames nothing")
    }

    fn remove(&self, _: &str) -> Result<(), disk::Error> {
        unreachable!("the log removes nothing")
    }

    fn list(&self, _: &str) -> Result<Vec<String>, disk::Error> {
        unreachable!("the log lists nothing")
    }

    fn create_dir(&self, _: &str) -> Result<(), disk::Error> {
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> Result<(), disk::Error> {
        Ok(())
    }

    fn lock(&self, path: &str) -> Result<TestLock, disk::Error> {
        if std::mem::replace(&mut self.0.borrow_mut().locked, true) {
            return Err(disk::Error::new("lock", path, ErrorKind::Locked));
        }
        Ok(TestLock(self.clone()))
    }
}

impl File for TestFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), disk::Error> {
        let from = offset as usize;
        buf.copy_from_slice(&self.0.0.borrow().files[&self.1][from..from + buf.len()]);
        Ok(())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), disk::Error> {
        let mut disk = self.0.0.borrow_mut();
        disk.writes += 1;
        let file = disk.files.get_mut(&self.1).unwrap();
        assert_eq!(offset as usize, file.len(), "the log only appends");
        file.extend_from_slice(data);
        Ok(())
    }

    fn len(&self) -> Result<u64, disk::Error> {
        Ok(self.0.0.borrow().files[&self.1].len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<(), disk::Error> {
        self.0.0.borrow_mut().files.get_mut(&self.1).unwrap().truncate(len as usize);
        Ok(())
    }

    fn sync(&self) -> Result<(), disk::Error> {
        let mut disk = self.0.0.borrow_mut();
        disk.syncs += 1;
        if disk.fail_syncs {
            return Err(disk::Error::new("sync", self.1.clone(), ErrorKind::Io));
        }
        disk.synced = disk.files[&self.1].len();
        Ok(())
    }
}

impl TestDisk {
    fn bytes(&self) -> Vec<u8> {
        self.0.borrow().files["raft/log"].clone()
    }

    fn with_bytes(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.0.borrow_mut().files.insert("raft/log".into(), bytes);
        disk
    }
}

fn entry(index: Index, term: Term) -> Entry {
    Entry { index, term, payload: index.is_multiple_of(3).then_some(()).map_or(Some([7; 40].into()), |()| None) }
}

fn recover(bytes: Vec<u8>) -> Result<Recovered, Error> {
    Log::open(TestDisk::with_bytes(bytes), "raft").map(|(_, recovered)| recovered)
}

/// A log with three syncs; what was durable after each, with the file's length.
fn written() -> (TestDisk, Vec<(usize, Recovered)>) {
    let disk = TestDisk::default();
    let (mut log, recovered) = Log::open(disk.clone(), "raft").unwrap();
    let mut states = vec![(0, recovered)];
    let steps: [(Option<HardState>, Vec<Entry>); 3] = [
        (Some(HardState { term: 1, vote: Some(2) }), vec![entry(1, 1), entry(2, 1), entry(3, 1)]),
        (Some(HardState { term: 3, vote: None }), vec![entry(3, 3), entry(4, 3)]),
        (None, vec![entry(5, 3)]),
    ];
    for (hard_state, entries) in steps {
        log.append(hard_state, &entries).unwrap();
        log.sync().unwrap();
        drop(log);
        let recovered;
        (log, recovered) = Log::open(disk.clone(), "raft").unwrap();
        states.push((disk.bytes().len(), recovered));
    }
    let last = &states[3].1;
    assert_eq!(last.hard_state, HardState { term: 3, vote: None });
    assert_eq!(last.entries, [entry(1, 1), entry(2, 1), entry(3, 3), entry(4, 3), entry(5, 3)]);
    (disk, states)
}

#[test]
fn a_cut_at_any_byte_leaves_whole_records() {
    let (disk, states) = written();
    let bytes = disk.bytes();
    for cut in 0..=bytes.len() {
        let expected = states.iter().rev().find(|(len, _)| *len <= cut).unwrap();
        assert_eq!(recover(bytes[..cut].to_vec()).unwrap(), expected.1, "cut at {cut}");
    }
}

#[test]
fn a_changed_byte_in_durable_records_is_never_taken_for_the_end() {
    let (disk, states) = written();
    let bytes = disk.bytes();
    // The last record is what says that those before it are durable.
    let durable = states[2].0;
    for position in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] ^= flip;
            match recover(damaged) {
                Err(Error::Corrupt { offset, .. }) => assert!(position < durable && offset as usize <= position),
                Ok(recovered) => {
                    assert!(position >= durable, "damage at {position} was not noticed");
                    assert_eq!(recovered, states[2].1);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn lost_writes_before_later_ones_cut_the_tail() {
    let disk = TestDisk::default();
    let (mut log, _) = Log::open(disk.clone(), "raft").unwrap();
    log.append(Some(HardState { term: 1, vote: None }), &[entry(1, 1)]).unwrap();
    log.sync().unwrap();
    let synced = disk.bytes().len();
    // Two writes that are never synced; the first one is lost, the second one survives.
    log.append(None, &[entry(2, 1)]).unwrap();
    let hole = disk.bytes().len();
    log.append(None, &[entry(3, 1)]).unwrap();
    let mut bytes = disk.bytes();
    bytes[synced..hole].fill(0);
    let recovered = recover(bytes).unwrap();
    assert_eq!(recovered.entries, [entry(1, 1)]);
}

#[test]
fn an_append_is_one_write_and_no_sync() {
    let disk = TestDisk::default();
    let (mut log, _) = Log::open(disk.clone(), "raft").unwrap();
    let count = || (disk.0.borrow().writes, disk.0.borrow().syncs);
    let (writes, syncs) = count();
    log.append(Some(HardState { term: 1, vote: Some(1) }), &[entry(1, 1), entry(2, 1)]).unwrap();
    assert_eq!(count(), (writes + 1, syncs));
    log.sync().unwrap();
    assert_eq!(count(), (writes + 1, syncs + 1));
}

#[test]
fn a_failed_sync_is_not_tried_again() {
    let disk = TestDisk::default();
    let (mut log, _) = Log::open(disk.clone(), "raft").unwrap();
    log.append(Some(HardState { term: 1, vote: Some(1) }), &[]).unwrap();
    disk.0.borrow_mut().fail_syncs = true;
    log.sync().unwrap_err();
    disk.0.borrow_mut().fail_syncs = false;
    assert!(log.sync().unwrap_err().to_string().contains("must be reopened"));
    log.append(None, &[]).unwrap_err();
}

#[test]
fn a_log_has_one_owner() {
    let disk = TestDisk::default();
    let (log, _) = Log::open(disk.clone(), "raft").unwrap();
    let second = Log::open(disk.clone(), "raft").map(|_| ()).unwrap_err();
    assert_eq!(second, disk::Error::new("lock", "raft/lock", ErrorKind::Locked).into());
    drop(log);
    Log::open(disk, "raft").map(|_| ()).unwrap();
}

#[test]
fn records_that_contradict_each_other_are_corruption() {
    let disk = TestDisk::default();
    let (mut log, _) = Log::open(disk.clone(), "raft").unwrap();
    log.append(Some(HardState { term: 2, vote: Some(1) }), &[entry(1, 1)]).unwrap();
    log.append(Some(HardState { term: 2, vote: Some(3) }), &[]).unwrap();
    let message = recover(disk.bytes()).unwrap_err().to_string();
    assert!(message.contains("vote Some(3) cannot follow"), "{message}");
}
