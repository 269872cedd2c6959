//! A disk for the log's file alone, which loses any part of what was not synced, and forgets names too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::disk::{Disk, Error, ErrorKind, File};

const SECTOR: usize = 512;
pub const PATH: &str = "node/raft/log";
pub const DIR: &str = "node/raft";

#[derive(Clone, Default)]
pub struct TestDisk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// What survives a crash for certain.
    durable: Vec<u8>,
    /// What a reader sees.
    current: Vec<u8>,
    /// What a sync would write.
    dirty: Vec<Change>,
    named: bool,
    synced_dirs: BTreeSet<String>,
    locked: bool,
    fail: Option<&'static str>,
    counts: Counts,
}

/// How often the file was written and synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub writes: usize,
    pub syncs: usize,
}

enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let end = offset + data.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(data);
            }
            Self::SetLen(length) => bytes.resize(*length, 0),
        }
    }

    /// The parts that a crash keeps or loses on their own.
    fn sectors(self) -> Vec<Self> {
        let Self::Write(mut offset, data) = self else { return vec![self] };
        let mut rest = &data[..];
        let mut sectors = Vec::new();
        while !rest.is_empty() {
            let (sector, after) = rest.split_at(rest.len().min(SECTOR - offset % SECTOR));
            sectors.push(Self::Write(offset, sector.to_vec()));
            offset += sector.len();
            rest = after;
        }
        sectors
    }
}

impl TestDisk {
    /// A disk whose log file holds these bytes, durably.
    pub fn with_bytes(bytes: &[u8]) -> Self {
        let disk = Self::default();
        disk.0.borrow_mut().durable = bytes.to_vec();
        disk.0.borrow_mut().current = bytes.to_vec();
        disk
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().current.clone()
    }

    pub fn durable(&self) -> Vec<u8> {
        self.0.borrow().durable.clone()
    }

    pub fn counts(&self) -> Counts {
        self.0.borrow().counts
    }

    /// Whether the file's name and those of its directories survive a crash.
    pub fn is_named(&self) -> bool {
        let state = self.0.borrow();
        state.named && ["", "node", DIR].iter().all(|&dir| state.synced_dirs.contains(dir))
    }

    /// Makes an operation fail from now on. A sync that fails marks the dirty pages clean, as Linux does.
    pub fn fail(&self, operation: Option<&'static str>) {
        self.0.borrow_mut().fail = operation;
    }

    /// Loses power: of each sector that was written and not synced, `keep` says whether it survives.
    pub fn crash(&self, mut keep: impl FnMut() -> bool) {
        let mut state = self.0.borrow_mut();
        let mut bytes = std::mem::take(&mut state.durable);
        for change in std::mem::take(&mut state.dirty).into_iter().flat_map(Change::sectors) {
            if keep() {
                change.apply(&mut bytes);
            }
        }
        state.current.clone_from(&bytes);
        state.durable = bytes;
    }

    fn check(&self, operation: &'static str) -> Result<(), Error> {
        match self.0.borrow().fail {
            Some(failing) if failing == operation => Err(Error::new(operation, PATH, ErrorKind::Io)),
            _ => Ok(()),
        }
    }

    fn change(&self, change: Change) {
        let mut state = self.0.borrow_mut();
        change.apply(&mut state.current);
        state.dirty.push(change);
    }
}

pub struct TestLock(TestDisk);

impl Drop for TestLock {
    fn drop(&mut self) {
        self.0.0.borrow_mut().locked = false;
    }
}

impl Disk for TestDisk {
    type File = Self;
    type Lock = TestLock;

    fn open(&self, path: &str) -> Result<Self, Error> {
        assert_eq!(path, PATH);
        self.0.borrow_mut().named = true;
        Ok(self.clone())
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        unreachable!("{path}: the log opens its file")
    }

    fn rename(&self, from: &str, _: &str) -> Result<(), Error> {
        unreachable!("{from}: the log renames nothing")
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        unreachable!("{path}: the log removes nothing")
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        unreachable!("{dir}: the log lists nothing")
    }

    fn create_dir(&self, dir: &str) -> Result<(), Error> {
        assert_eq!(dir, DIR);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> Result<(), Error> {
        let mut state = self.0.borrow_mut();
        // Syncing a directory before the file is in it would not do.
        if state.named {
            state.synced_dirs.insert(dir.to_owned());
        }
        Ok(())
    }

    fn lock(&self, path: &str) -> Result<TestLock, Error> {
        if std::mem::replace(&mut self.0.borrow_mut().locked, true) {
            return Err(Error::new("lock", path, ErrorKind::Locked));
        }
        Ok(TestLock(self.clone()))
    }
}

impl File for TestDisk {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.check("read")?;
        let state = self.0.borrow();
        let end = offset as usize + buf.len();
        let bytes = state.current.get(offset as usize..end);
        buf.copy_from_slice(bytes.ok_or_else(|| Error::new("read", PATH, ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), Error> {
        self.check("write")?;
        self.0.borrow_mut().counts.writes += 1;
        self.change(Change::Write(offset as usize, data.to_vec()));
        Ok(())
    }

    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.borrow().current.len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.change(Change::SetLen(len as usize));
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut state = self.0.borrow_mut();
        state.counts.syncs += 1;
        let dirty = std::mem::take(&mut state.dirty);
        drop(state);
        self.check("sync")?;
        for change in dirty {
            change.apply(&mut self.0.borrow_mut().durable);
        }
        Ok(())
    }
}
