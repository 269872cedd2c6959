//! A disk in memory: no faults, and gone with its last handle. What is written is there at once, so syncs only count.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Disk, Error, ErrorKind, File, check_path, parent};

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemDisk {
    state: Rc<State>,
}

/// What has been done to a [`MemDisk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemCounters {
    /// Reads of files.
    pub reads: u64,
    /// Writes to files, changes of length not included.
    pub writes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of directories.
    pub directory_syncs: u64,
}

#[derive(Debug, Default)]
struct State {
    entries: RefCell<BTreeMap<String, Entry>>,
    locks: RefCell<BTreeSet<String>>,
    counters: Cell<MemCounters>,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory,
    File(Rc<RefCell<Vec<u8>>>),
}

impl State {
    fn count(&self, add: impl FnOnce(&mut MemCounters)) {
        let mut counters = self.counters.get();
        add(&mut counters);
        self.counters.set(counters);
    }
}

impl MemDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been done so far.
    pub fn counters(&self) -> MemCounters {
        self.state.counters.get()
    }

    fn directory(&self, dir: &str) -> Result<(), ErrorKind> {
        if dir.is_empty() {
            return Ok(());
        }
        check_path(dir)?;
        match self.state.entries.borrow().get(dir) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(not_a_directory()),
            None => Err(ErrorKind::NotFound),
        }
    }

    fn file(&self, path: &str) -> Result<Option<Rc<RefCell<Vec<u8>>>>, ErrorKind> {
        check_path(path)?;
        match self.state.entries.borrow().get(path) {
            Some(Entry::File(bytes)) => Ok(Some(Rc::clone(bytes))),
            Some(Entry::Directory) => Err(is_a_directory()),
            None => Ok(None),
        }
    }

    fn open_file(&self, path: &str) -> Result<Rc<RefCell<Vec<u8>>>, ErrorKind> {
        if let Some(bytes) = self.file(path)? {
            return Ok(bytes);
        }
        self.directory(parent(path))?;
        let bytes = Rc::default();
        self.state.entries.borrow_mut().insert(path.to_owned(), Entry::File(Rc::clone(&bytes)));
        Ok(bytes)
    }

    fn rename_file(&self, from: &str, to: &str) -> Result<(), ErrorKind> {
        let bytes = self.file(from)?.ok_or(ErrorKind::NotFound)?;
        self.file(to)?;
        self.directory(parent(to))?;
        let mut entries = self.state.entries.borrow_mut();
        entries.remove(from);
        entries.insert(to.to_owned(), Entry::File(bytes));
        Ok(())
    }

    fn remove_file(&self, path: &str) -> Result<(), ErrorKind> {
        self.file(path)?.ok_or(ErrorKind::NotFound)?;
        self.state.entries.borrow_mut().remove(path);
        Ok(())
    }

    fn list_directory(&self, dir: &str) -> Result<Vec<String>, ErrorKind> {
        self.directory(dir)?;
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let entries = self.state.entries.borrow();
        let below = entries.range(prefix.clone()..).map_while(|(path, _)| path.strip_prefix(&prefix));
        Ok(below.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn create_directories(&self, dir: &str) -> Result<(), ErrorKind> {
        if dir.is_empty() {
            return Ok(());
        }
        check_path(dir)?;
        let mut entries = self.state.entries.borrow_mut();
        for end in dir.match_indices('/').map(|(end, _)| end).chain([dir.len()]) {
            match entries.get(&dir[..end]) {
                Some(Entry::Directory) => {}
                Some(Entry::File(_)) => return Err(not_a_directory()),
                None => _ = entries.insert(dir[..end].to_owned(), Entry::Directory),
            }
        }
        Ok(())
    }

    fn take_lock(&self, path: &str) -> Result<(), ErrorKind> {
        // On a real disk a lock is a file, so its directory must exist, and the lock leaves a file behind.
        self.open_file(path)?;
        if !self.state.locks.borrow_mut().insert(path.to_owned()) {
            return Err(ErrorKind::Locked);
        }
        Ok(())
    }
}

impl Disk for MemDisk {
    type File = MemFile;
    type Lock = MemLock;

    fn open(&self, path: &str) -> Result<MemFile, Error> {
        let bytes = self.open_file(path).map_err(|kind| Error::new("open", path, kind))?;
        Ok(MemFile { disk: self.clone(), path: path.into(), bytes })
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        if path.is_empty() {
            return Ok(true);
        }
        check_path(path).map_err(|kind| Error::new("look for", path, kind))?;
        Ok(self.state.entries.borrow().contains_key(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.rename_file(from, to).map_err(|kind| Error::new("rename", from, kind))
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.remove_file(path).map_err(|kind| Error::new("remove", path, kind))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        self.list_directory(dir).map_err(|kind| Error::new("list", dir, kind))
    }

    fn create_dir(&self, dir: &str) -> Result<(), Error> {
        self.create_directories(dir).map_err(|kind| Error::new("create directory", dir, kind))
    }

    fn sync_dir(&self, dir: &str) -> Result<(), Error> {
        self.directory(dir).map_err(|kind| Error::new("sync directory", dir, kind))?;
        self.state.count(|counters| counters.directory_syncs += 1);
        Ok(())
    }

    fn lock(&self, path: &str) -> Result<MemLock, Error> {
        self.take_lock(path).map_err(|kind| Error::new("lock", path, kind))?;
        Ok(MemLock { state: Rc::clone(&self.state), path: path.to_owned() })
    }
}

/// An open file of a [`MemDisk`]. It outlives its name, as on Unix.
#[derive(Clone, Debug)]
pub struct MemFile {
    disk: MemDisk,
    path: Rc<str>,
    bytes: Rc<RefCell<Vec<u8>>>,
}

impl MemFile {
    fn error(&self, operation: &'static str, kind: ErrorKind) -> Error {
        Error::new(operation, &*self.path, kind)
    }
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.disk.state.count(|counters| counters.reads += 1);
        let bytes = self.bytes.borrow();
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(buf.len())?));
        let found = range.and_then(|range| bytes.get(range));
        buf.copy_from_slice(found.ok_or_else(|| self.error("read", ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), Error> {
        self.disk.state.count(|counters| counters.writes += 1);
        if data.is_empty() {
            return Ok(());
        }
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(data.len())?));
        let range = range.ok_or_else(|| self.error("write", ErrorKind::NoSpace))?;
        let mut bytes = self.bytes.borrow_mut();
        if bytes.len() == range.start {
            bytes.extend_from_slice(data);
            return Ok(());
        }
        if bytes.len() < range.end {
            grow(&mut bytes, range.end).map_err(|kind| self.error("write", kind))?;
        }
        bytes[range].copy_from_slice(data);
        Ok(())
    }

    fn len(&self) -> Result<u64, Error> {
        Ok(self.bytes.borrow().len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let len = usize::try_from(len).map_err(|_| self.error("set length of", ErrorKind::NoSpace))?;
        let mut bytes = self.bytes.borrow_mut();
        if len <= bytes.len() {
            bytes.truncate(len);
            return Ok(());
        }
        grow(&mut bytes, len).map_err(|kind| self.error("set length of", kind))
    }

    fn sync(&self) -> Result<(), Error> {
        self.disk.state.count(|counters| counters.syncs += 1);
        Ok(())
    }
}

/// Held until dropped.
#[derive(Debug)]
pub struct MemLock {
    state: Rc<State>,
    path: String,
}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.state.locks.borrow_mut().remove(&self.path);
    }
}

/// Extends with zeros, or says that there is no memory for so many.
fn grow(bytes: &mut Vec<u8>, len: usize) -> Result<(), ErrorKind> {
    bytes.try_reserve(len - bytes.len()).map_err(|_| ErrorKind::NoSpace)?;
    bytes.resize(len, 0);
    Ok(())
}

fn is_a_directory() -> ErrorKind {
    ErrorKind::Other("is a directory".to_owned())
}

fn not_a_directory() -> ErrorKind {
    ErrorKind::Other("not a directory".to_owned())
}
