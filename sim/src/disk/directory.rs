//! The names on a disk: what a process sees, what is durable, and the changes in between.
//!
//! Names are kept flat, by full path; a directory is an entry of its own, and is never removed. Each creation, rename and
//! removal since the last sync of its directory is a change that a power loss keeps or loses by itself; what is kept is
//! applied in order, when it still makes sense: a rename or removal finds the very file it was about, a creation finds
//! its directory. A rename is atomic. One between two directories becomes durable as a whole, with everything before it
//! in both, when either directory is synced, as on a journalling file system.

use super::contents::Contents;
use crate::draw::chance;
use engine::disk::ErrorKind;
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A file, by whichever name; handles keep it alive after its last name is gone.
pub(super) type FileRef = Rc<RefCell<Contents>>;

#[derive(Clone, Debug)]
enum Entry {
    Directory,
    File(FileRef),
}

/// A change of names that is not durable yet.
#[derive(Debug)]
enum Change {
    Create { path: String, entry: Entry },
    Rename { from: String, to: String, file: FileRef },
    Remove { path: String, file: FileRef },
}

impl Change {
    /// Whether it changes the entries of a directory.
    fn concerns(&self, dir: &str) -> bool {
        match self {
            Self::Create { path, .. } | Self::Remove { path, .. } => parent(path) == dir,
            Self::Rename { from, to, .. } => parent(from) == dir || parent(to) == dir,
        }
    }
}

/// The names on a disk.
#[derive(Debug, Default)]
pub(super) struct Directory {
    current: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    journal: Vec<Change>,
}

impl Directory {
    /// The file at a path, created empty when there is none.
    pub(super) fn open(&mut self, path: &str) -> Result<FileRef, ErrorKind> {
        check_path(path)?;
        match self.current.get(path) {
            Some(Entry::File(file)) => return Ok(Rc::clone(file)),
            Some(Entry::Directory) => return Err(is_a_directory()),
            None => {}
        }
        self.check_directory(parent(path))?;
        let file = FileRef::default();
        self.create(path, Entry::File(Rc::clone(&file)));
        Ok(file)
    }

    pub(super) fn exists(&self, path: &str) -> Result<bool, ErrorKind> {
        if path.is_empty() {
            return Ok(true);
        }
        check_path(path)?;
        Ok(self.current.contains_key(path))
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), ErrorKind> {
        check_path(to)?;
        let file = self.file(from)?;
        self.check_directory(parent(to))?;
        if let Some(Entry::Directory) = self.current.get(to) {
            return Err(is_a_directory());
        }
        if from != to {
            self.current.remove(from);
            self.current.insert(to.to_owned(), Entry::File(Rc::clone(&file)));
            self.journal.push(Change::Rename { from: from.to_owned(), to: to.to_owned(), file });
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), ErrorKind> {
        let file = self.file(path)?;
        self.current.remove(path);
        self.journal.push(Change::Remove { path: path.to_owned(), file });
        Ok(())
    }

    pub(super) fn list(&self, dir: &str) -> Result<Vec<String>, ErrorKind> {
        self.check_directory(dir)?;
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let below = self.current.range(prefix.clone()..).map_while(|(path, _)| path.strip_prefix(&prefix));
        Ok(below.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    pub(super) fn create_dir(&mut self, dir: &str) -> Result<(), ErrorKind> {
        if dir.is_empty() {
            return Ok(());
        }
        check_path(dir)?;
        let ends = dir.match_indices('/').map(|(end, _)| end).chain([dir.len()]);
        for path in ends.map(|end| &dir[..end]) {
            match self.current.get(path) {
                None => self.create(path, Entry::Directory),
                Some(Entry::Directory) => {}
                Some(Entry::File(_)) => return Err(not_a_directory()),
            }
        }
        Ok(())
    }

    /// Makes the entries of a directory durable.
    pub(super) fn sync(&mut self, dir: &str) -> Result<(), ErrorKind> {
        self.check_directory(dir)?;
        // Renames across directories pull in the other side.
        let mut dirs = vec![dir.to_owned()];
        let mut next = 0;
        while next < dirs.len() {
            for change in &self.journal {
                if let Change::Rename { from, to, .. } = change
                    && change.concerns(&dirs[next])
                {
                    for side in [parent(from), parent(to)] {
                        if !dirs.iter().any(|dir| dir == side) {
                            dirs.push(side.to_owned());
                        }
                    }
                }
            }
            next += 1;
        }
        for change in std::mem::take(&mut self.journal) {
            if dirs.iter().any(|dir| change.concerns(dir)) {
                assert!(apply(&mut self.durable, change), "everything before it in its directories is durable");
            } else {
                self.journal.push(change);
            }
        }
        Ok(())
    }

    /// Chooses what survives of the changes that were not synced, each with a chance of `keep_ppm`. Returns how many
    /// entries and changes are lost; afterwards [`Directory::files`] are the ones that survived.
    pub(super) fn power_loss(&mut self, rng: &mut ChaCha8Rng, keep_ppm: u32) -> u64 {
        let mut lost = 0;
        for change in std::mem::take(&mut self.journal) {
            if !chance(rng, keep_ppm) || !apply(&mut self.durable, change) {
                lost += 1;
            }
        }
        // What is in a lost directory cannot be reached, even when the directory itself was synced.
        self.current.clear();
        for (path, entry) in &self.durable {
            if parent_exists(&self.current, path) {
                self.current.insert(path.clone(), entry.clone());
            } else {
                lost += 1;
            }
        }
        self.durable.clone_from(&self.current);
        lost
    }

    /// All files, in the order of their paths.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.current.values().filter_map(|entry| match entry {
            Entry::File(file) => Some(file),
            Entry::Directory => None,
        })
    }

    fn create(&mut self, path: &str, entry: Entry) {
        self.current.insert(path.to_owned(), entry.clone());
        self.journal.push(Change::Create { path: path.to_owned(), entry });
    }

    fn file(&self, path: &str) -> Result<FileRef, ErrorKind> {
        check_path(path)?;
        match self.current.get(path) {
            Some(Entry::File(file)) => Ok(Rc::clone(file)),
            Some(Entry::Directory) => Err(is_a_directory()),
            None => Err(ErrorKind::NotFound),
        }
    }

    fn check_directory(&self, dir: &str) -> Result<(), ErrorKind> {
        if dir.is_empty() {
            return Ok(());
        }
        check_path(dir)?;
        match self.current.get(dir) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(not_a_directory()),
            None => Err(ErrorKind::NotFound),
        }
    }
}

/// Applies a change, and says whether it still made sense.
fn apply(durable: &mut BTreeMap<String, Entry>, change: Change) -> bool {
    let holds = |durable: &BTreeMap<String, Entry>, path: &str, file: &FileRef| matches!(durable.get(path), Some(Entry::File(held)) if Rc::ptr_eq(held, file));
    match change {
        Change::Create { path, entry } => {
            durable.insert(path, entry);
        }
        Change::Rename { from, to, file } => {
            if !holds(durable, &from, &file) {
                return false;
            }
            durable.remove(&from);
            durable.insert(to, Entry::File(file));
        }
        Change::Remove { path, file } => {
            if !holds(durable, &path, &file) {
                return false;
            }
            durable.remove(&path);
        }
    }
    true
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn parent_exists(entries: &BTreeMap<String, Entry>, path: &str) -> bool {
    let parent = parent(path);
    parent.is_empty() || matches!(entries.get(parent), Some(Entry::Directory))
}

fn check_path(path: &str) -> Result<(), ErrorKind> {
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(ErrorKind::Other("not a relative path of plain names".to_owned()));
    }
    Ok(())
}

fn is_a_directory() -> ErrorKind {
    ErrorKind::Other("is a directory".to_owned())
}

fn not_a_directory() -> ErrorKind {
    ErrorKind::Other("not a directory".to_owned())
}
