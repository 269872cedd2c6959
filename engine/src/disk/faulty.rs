//! A disk for tests that can fail at any operation, or run full, and loses any subset of what was not synced when the
//! power goes.
//!
//! Contents are lost in pieces: each write is as many as it touches sectors, each change of length is one. Names are lost
//! one change at a time. What survives is applied in order to what was durable.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Disk, Error, ErrorKind, File, parent};

const SECTOR: usize = 512;

/// A generator of random numbers (Steele et al., `SplitMix64`).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, with no effect if it is a sync, and perhaps some otherwise. Later ones work.
    Error,
    /// The power goes, and nothing works until a restart.
    PowerLoss,
}

#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    names: BTreeMap<String, Entry>,
    durable_names: BTreeMap<String, Entry>,
    changes: Vec<Change>,
    files: Vec<Contents>,
    locks: BTreeSet<String>,
    /// Operations since the last restart.
    operations: usize,
    fault: Option<(usize, Fault)>,
    /// The operation that the fault has hit.
    hit: Option<&'static str>,
    /// The operations that fail from now on, all of one name, and how.
    failing: Option<(&'static str, ErrorKind)>,
    /// Bytes that files may still grow by.
    space: Option<usize>,
    powerless: bool,
    counts: Counts,
}

/// How often files were written and synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub writes: usize,
    pub syncs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Directory,
    File(usize),
}

enum Change {
    Create(String, Entry),
    Rename(String, String, Entry),
    Remove(String, Entry),
}

#[derive(Default)]
struct Contents {
    current: Vec<u8>,
    durable: Vec<u8>,
    pieces: Vec<Piece>,
}

enum Piece {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Piece {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            Self::SetLen(len) => bytes.resize(*len, 0),
        }
    }
}

impl Change {
    fn path(&self) -> &str {
        let (Self::Create(path, _) | Self::Rename(path, ..) | Self::Remove(path, _)) = self;
        path
    }

    /// Applies the change, if what it is about is there.
    fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        match self {
            Self::Create(path, entry) => _ = names.insert(path.clone(), *entry),
            Self::Rename(from, to, entry) if names.get(from) == Some(entry) => {
                names.remove(from);
                names.insert(to.clone(), *entry);
            }
            Self::Remove(path, entry) if names.get(path) == Some(entry) => _ = names.remove(path),
            Self::Rename(..) | Self::Remove(..) => {}
        }
    }
}

impl FaultyDisk {
    /// Lets the fault happen at an operation, counted from the last restart.
    pub(crate) fn fault_at(&self, operation: usize, fault: Fault) {
        self.0.borrow_mut().fault = Some((operation, fault));
    }

    /// Lets no fault happen any more.
    pub(crate) fn disarm(&self) {
        self.0.borrow_mut().fault = None;
    }

    /// The operation that the fault has hit, if it has.
    pub(crate) fn hit(&self) -> Option<&'static str> {
        self.0.borrow().hit
    }

    /// Makes all operations of a name fail from now on. A sync that fails so marks what it did not write clean, as Linux
    /// does: it is there to be read, and no later sync writes it.
    pub(crate) fn fail(&self, failing: Option<(&'static str, ErrorKind)>) {
        self.0.borrow_mut().failing = failing;
    }

    /// Lets files grow by so many bytes only, until the next restart. The write that needs more fails in the middle.
    pub(crate) fn limit_space(&self, bytes: usize) {
        self.0.borrow_mut().space = Some(bytes);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.borrow().counts
    }

    /// Gives a file durable bytes, instead of what it holds.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        for (end, _) in path.match_indices('/') {
            state.durable_names.insert(path[..end].to_owned(), Entry::Directory);
            state.names.insert(path[..end].to_owned(), Entry::Directory);
        }
        let entry = Entry::File(state.files.len());
        let contents = Contents { current: bytes.to_vec(), durable: bytes.to_vec(), pieces: Vec::new() };
        state.files.push(contents);
        state.durable_names.insert(path.to_owned(), entry);
        state.names.insert(path.to_owned(), entry);
    }

    /// What a reader of a file sees, if there is one.
    pub(crate) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        let Entry::File(file) = *state.names.get(path)? else { return None };
        Some(state.files[file].current.clone())
    }

    /// Operations since the last restart.
    pub(crate) fn operations(&self) -> usize {
        self.0.borrow().operations
    }

    /// Whether the power is gone.
    pub(crate) fn is_powerless(&self) -> bool {
        self.0.borrow().powerless
    }

    /// A new process, after a power loss that keeps a random subset of what was not synced.
    pub(crate) fn lose_power(&self, random: &mut Random) {
        // Sometimes everything or nothing survives, sometimes most, sometimes little.
        let keep_of_8 = [0, 8, 4, 1, 7][(random.next() % 5) as usize];
        self.crash(|| random.next() % 8 < keep_of_8);
    }

    /// A new process, after a power loss. What was not synced is asked about one by one: changes of names, then sectors and
    /// lengths.
    pub(crate) fn crash(&self, mut keeps: impl FnMut() -> bool) {
        let state = &mut *self.0.borrow_mut();
        for change in std::mem::take(&mut state.changes) {
            if keeps() {
                change.apply(&mut state.durable_names);
            }
        }
        let names = &mut state.durable_names;
        let all = names.clone();
        names.retain(|path, _| path.match_indices('/').all(|(end, _)| all.contains_key(&path[..end])));
        state.names.clone_from(names);
        for file in &mut state.files {
            for piece in std::mem::take(&mut file.pieces) {
                if keeps() {
                    piece.apply(&mut file.durable);
                }
            }
            file.current.clone_from(&file.durable);
        }
        Self::restart(state);
    }

    /// A new process on a machine that went on: everything written is still there, and still not durable.
    pub(crate) fn restart_process(&self) {
        Self::restart(&mut self.0.borrow_mut());
    }

    fn restart(state: &mut State) {
        state.locks.clear();
        (state.operations, state.fault, state.hit, state.powerless) = (0, None, None, false);
        (state.failing, state.space) = (None, None);
    }

    /// Runs one operation, or fails it. `sync` operations have no effect when they fail.
    fn operate<T>(
        &self,
        operation: &'static str,
        path: &str,
        sync: bool,
        act: impl FnOnce(&mut State) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let state = &mut *self.0.borrow_mut();
        let error = |kind| Error::new(operation, path, kind);
        if state.powerless {
            return Err(error(ErrorKind::PowerLoss));
        }
        state.operations += 1;
        if let Some((_, kind)) = state.failing.clone().filter(|&(failing, _)| failing == operation) {
            return Err(error(kind));
        }
        match state.fault {
            Some((at, fault)) if at + 1 == state.operations => {
                state.hit = Some(operation);
                if !sync {
                    // It may have been done, all or in part: what is not synced is lost in any subset anyway.
                    act(state).map_err(error)?;
                }
                if fault == Fault::Error {
                    return Err(error(ErrorKind::Io));
                }
                state.powerless = true;
                Err(error(ErrorKind::PowerLoss))
            }
            _ => act(state).map_err(error),
        }
    }
}

impl State {
    /// Takes space for a file to reach a length. Returns how long it can get.
    fn take_space(&mut self, file: usize, len: usize) -> usize {
        let old = self.files[file].current.len();
        let Some(space) = &mut self.space else { return len };
        let grows = len.saturating_sub(old).min(*space);
        *space -= grows;
        len.min(old + grows)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn has_directory(&self, dir: &str) -> Result<(), ErrorKind> {
        let found = dir.is_empty() || self.names.get(dir) == Some(&Entry::Directory);
        if found { Ok(()) } else { Err(ErrorKind::NotFound) }
    }

    fn file(&self, path: &str) -> Result<Entry, ErrorKind> {
        self.names.get(path).copied().filter(|entry| *entry != Entry::Directory).ok_or(ErrorKind::NotFound)
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;
    type Lock = FaultyLock;

    fn open(&self, path: &str) -> Result<FaultyFile, Error> {
        let file = self.operate("open", path, false, |state| {
            if let Ok(Entry::File(file)) = state.file(path) {
                return Ok(file);
            }
            state.has_directory(parent(path))?;
            let file = state.files.len();
            state.files.push(Contents::default());
            state.change(Change::Create(path.to_owned(), Entry::File(file)));
            Ok(file)
        })?;
        Ok(FaultyFile { disk: self.clone(), path: path.to_owned(), file })
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        self.operate("look for", path, false, |state| Ok(state.names.contains_key(path)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        assert_eq!(parent(from), parent(to), "renames stay in their directory");
        self.operate("rename", from, false, |state| {
            let file = state.file(from)?;
            state.change(Change::Rename(from.to_owned(), to.to_owned(), file));
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.operate("remove", path, false, |state| {
            let file = state.file(path)?;
            state.change(Change::Remove(path.to_owned(), file));
            Ok(())
        })
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        self.operate("list", dir, false, |state| {
            let inside = state.names.keys().filter(|path| parent(path) == dir);
            Ok(inside.map(|path| path[dir.len()..].trim_start_matches('/').to_owned()).collect())
        })
    }

    fn create_dir(&self, dir: &str) -> Result<(), Error> {
        self.operate("create directory", dir, false, |state| {
            for end in dir.match_indices('/').map(|(end, _)| end).chain([dir.len()]) {
                if state.has_directory(&dir[..end]).is_err() {
                    state.change(Change::Create(dir[..end].to_owned(), Entry::Directory));
                }
            }
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &str) -> Result<(), Error> {
        self.operate("sync directory", dir, true, |state| {
            state.has_directory(dir)?;
            for change in std::mem::take(&mut state.changes) {
                if parent(change.path()) == dir {
                    change.apply(&mut state.durable_names);
                } else {
                    state.changes.push(change);
                }
            }
            Ok(())
        })
    }

    fn lock(&self, path: &str) -> Result<FaultyLock, Error> {
        let free = self.operate("lock", path, false, |state| Ok(state.locks.insert(path.to_owned())))?;
        if free {
            Ok(FaultyLock(self.clone(), path.to_owned()))
        } else {
            Err(Error::new("lock", path, ErrorKind::Locked))
        }
    }
}

pub(crate) struct FaultyFile {
    disk: FaultyDisk,
    path: String,
    file: usize,
}

impl FaultyFile {
    fn operate<T>(
        &self,
        operation: &'static str,
        sync: bool,
        act: impl FnOnce(&mut Contents) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        self.disk.operate(operation, &self.path, sync, |state| act(&mut state.files[self.file]))
    }
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.operate("read", false, |contents| {
            let offset = offset as usize;
            let bytes = contents.current.get(offset..offset + buf.len()).ok_or(ErrorKind::UnexpectedEof)?;
            buf.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), Error> {
        self.disk.operate("write", &self.path, false, |state| {
            state.counts.writes += 1;
            let fits = state.take_space(self.file, offset as usize + data.len());
            let (mut offset, mut rest) = (offset as usize, data);
            let missing = offset + data.len() - fits;
            rest = &rest[..data.len().saturating_sub(missing)];
            let contents = &mut state.files[self.file];
            while !rest.is_empty() {
                let (sector, later) = rest.split_at(rest.len().min(SECTOR - offset % SECTOR));
                let piece = Piece::Write(offset, sector.to_vec());
                piece.apply(&mut contents.current);
                contents.pieces.push(piece);
                (offset, rest) = (offset + sector.len(), later);
            }
            if missing == 0 { Ok(()) } else { Err(ErrorKind::NoSpace) }
        })
    }

    fn len(&self) -> Result<u64, Error> {
        self.operate("length of", false, |contents| Ok(contents.current.len() as u64))
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.operate("set length of", false, |contents| {
            let piece = Piece::SetLen(len as usize);
            piece.apply(&mut contents.current);
            contents.pieces.push(piece);
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), Error> {
        self.disk.0.borrow_mut().counts.syncs += 1;
        let synced = self.operate("sync", true, |contents| {
            for piece in contents.pieces.drain(..) {
                piece.apply(&mut contents.durable);
            }
            Ok(())
        });
        let state = &mut *self.disk.0.borrow_mut();
        if synced.is_err() && matches!(state.failing, Some(("sync", _))) {
            state.files[self.file].pieces.clear();
        }
        synced
    }
}

/// Held until dropped, or until the process ends.
pub(crate) struct FaultyLock(FaultyDisk, String);

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.0.0.borrow_mut().locks.remove(&self.1);
    }
}
