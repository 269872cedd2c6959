//! The names on a disk: what a process sees, what is durable, and the changes in between.
//!
//! Names are kept flat, by full path; a directory is an entry of its own, and is never removed. Each creation, rename and
//! removal since the last sync of its directory is a change that a power loss keeps or loses by itself; what is kept is
//! applied in order, when it still makes sense: a rename or removal finds the very file it was about, a creation finds
//! its directory. A rename is atomic. One between two directories becomes durable as a whole, with everything before it
//! in both, when either directory is synced, as on a journalling file system.

use super::contents::Contents;
use super::decisions::{Draws, Topic};
use super::images::SavedImage;
use engine::disk::ErrorKind;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The longest name, in bytes.
const MAX_NAME_LEN: usize = 255;

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
    /// The name that it is about, or the first of two.
    fn path(&self) -> &str {
        match self {
            Self::Create { path, .. } | Self::Remove { path, .. } | Self::Rename { from: path, .. } => path,
        }
    }

    /// Whether it changes the entries of a directory.
    fn concerns(&self, dir: &str) -> bool {
        match self {
            Self::Create { path, .. } | Self::Remove { path, .. } => parent(path) == dir,
            Self::Rename { from, to, .. } => parent(from) == dir || parent(to) == dir,
        }
    }
}

/// The names on a disk.
#[derive(Debug)]
pub(super) struct Directory {
    /// Bytes of a sector of the files.
    sector: usize,
    current: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    journal: Vec<Change>,
}

impl Directory {
    pub(super) fn new(sector: usize) -> Self {
        Self { sector, current: BTreeMap::new(), durable: BTreeMap::new(), journal: Vec::new() }
    }

    /// The names and files of an image, all durable.
    pub(super) fn restored(sector: usize, image: SavedImage) -> Self {
        let entry = |file| match file {
            None => Entry::Directory,
            Some(image) => Entry::File(Rc::new(RefCell::new(Contents::from_image(sector, image)))),
        };
        let current: BTreeMap<String, Entry> =
            image.entries.into_iter().map(|(path, file)| (path, entry(file))).collect();
        Self { sector, durable: current.clone(), current, journal: Vec::new() }
    }

    /// A copy of what is durable.
    pub(super) fn save(&self) -> SavedImage {
        let entry = |entry: &Entry| match entry {
            Entry::Directory => None,
            Entry::File(file) => Some(file.borrow().image()),
        };
        let entries = reachable(&self.durable).iter().map(|(path, held)| (path.clone(), entry(held))).collect();
        SavedImage { entries }
    }

    /// The file at a path, and whether it was created for that, if there is room for it.
    pub(super) fn open(&mut self, path: &str, has_room: bool) -> Result<(FileRef, bool), ErrorKind> {
        check_path(path)?;
        match self.current.get(path) {
            Some(Entry::File(file)) => return Ok((Rc::clone(file), false)),
            Some(Entry::Directory) => return Err(is_a_directory()),
            None => {}
        }
        self.check_place(path)?;
        if !has_room {
            return Err(ErrorKind::NoSpace);
        }
        let file = Rc::new(RefCell::new(Contents::new(self.sector)));
        self.create(path, Entry::File(Rc::clone(&file)));
        Ok((file, true))
    }

    pub(super) fn exists(&self, path: &str) -> Result<bool, ErrorKind> {
        if path.is_empty() {
            return Ok(true);
        }
        check_path(path)?;
        if self.current.contains_key(path) {
            return Ok(true);
        }
        match self.check_place(path) {
            Ok(()) | Err(ErrorKind::NotFound) => Ok(false),
            Err(kind) if kind == not_a_directory() => Ok(false),
            Err(kind) => Err(kind),
        }
    }

    /// Renames a file. Returns the one that it replaces.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<Option<FileRef>, ErrorKind> {
        check_path(to)?;
        let file = self.file(from)?;
        match self.current.get(to) {
            Some(Entry::Directory) => return Err(is_a_directory()),
            Some(Entry::File(_)) => {}
            None => self.check_place(to)?,
        }
        if from == to {
            return Ok(None);
        }
        self.current.remove(from);
        let replaced = self.current.insert(to.to_owned(), Entry::File(Rc::clone(&file)));
        self.journal.push(Change::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(replaced.and_then(|entry| match entry {
            Entry::File(file) => Some(file),
            Entry::Directory => None,
        }))
    }

    /// Removes a file, and returns it.
    pub(super) fn remove(&mut self, path: &str) -> Result<FileRef, ErrorKind> {
        let file = self.file(path)?;
        self.current.remove(path);
        self.journal.push(Change::Remove { path: path.to_owned(), file: Rc::clone(&file) });
        Ok(file)
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
        check_text(dir)?;
        let ends = dir.match_indices('/').map(|(end, _)| end).chain([dir.len()]);
        for path in ends.map(|end| &dir[..end]) {
            match self.current.get(path) {
                None => {
                    self.check_place(path)?;
                    self.create(path, Entry::Directory);
                }
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

    /// Chooses what survives of the changes that were not synced, each with a chance of `keep_ppm`, in the power loss with
    /// this ordinal. Returns how many entries and changes are lost; afterwards [`Directory::files`] are the ones that
    /// survived.
    pub(super) fn power_loss(&mut self, draws: Draws, ordinal: u64, keep_ppm: u32) -> u64 {
        let mut lost = 0;
        // How many changes of each name there have been.
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for change in std::mem::take(&mut self.journal) {
            let nth = seen.entry(change.path().to_owned()).or_default();
            let survives = draws.of(Topic::NameLoss, ordinal, change.path()).chance(Topic::Name, *nth, keep_ppm);
            *nth += 1;
            if !survives || !apply(&mut self.durable, change) {
                lost += 1;
            }
        }
        self.current = reachable(&self.durable);
        lost += (self.durable.len() - self.current.len()) as u64;
        self.durable.clone_from(&self.current);
        lost
    }

    /// All files with their paths, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &FileRef)> {
        self.current.iter().filter_map(|(path, entry)| match entry {
            Entry::File(file) => Some((path.as_str(), file)),
            Entry::Directory => None,
        })
    }

    /// The file at a path, if there is one.
    pub(super) fn get(&self, path: &str) -> Option<FileRef> {
        self.file(path).ok()
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
            None => Err(self.absence(path)),
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
            None => Err(self.absence(dir)),
        }
    }

    /// Why there is nothing at a path where nothing is.
    fn absence(&self, path: &str) -> ErrorKind {
        self.check_place(path).err().unwrap_or(ErrorKind::NotFound)
    }

    /// Whether something can be created at a path where nothing is. The first name that hinders it gives the reason, as
    /// in an operating system, which walks along the path.
    fn check_place(&self, path: &str) -> Result<(), ErrorKind> {
        check_text(path)?;
        let mut start = 0;
        for (end, _) in path.match_indices('/') {
            check_name(&path[start..end])?;
            match self.current.get(&path[..end]) {
                Some(Entry::Directory) => start = end + 1,
                Some(Entry::File(_)) => return Err(not_a_directory()),
                None => return Err(ErrorKind::NotFound),
            }
        }
        check_name(&path[start..])
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

/// The entries that can be reached: what is in a lost directory cannot, even when the directory itself was synced.
fn reachable(durable: &BTreeMap<String, Entry>) -> BTreeMap<String, Entry> {
    let mut reached: BTreeMap<String, Entry> = BTreeMap::new();
    for (path, entry) in durable {
        let parent = parent(path);
        if parent.is_empty() || matches!(reached.get(parent), Some(Entry::Directory)) {
            reached.insert(path.clone(), entry.clone());
        }
    }
    reached
}

fn check_path(path: &str) -> Result<(), ErrorKind> {
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(ErrorKind::Other("not a relative path of plain names".to_owned()));
    }
    Ok(())
}

/// Refuses a path that an operating system cannot be told.
fn check_text(path: &str) -> Result<(), ErrorKind> {
    if path.contains('\0') { Err(ErrorKind::Other("a path with a zero byte".to_owned())) } else { Ok(()) }
}

fn check_name(name: &str) -> Result<(), ErrorKind> {
    if name.len() > MAX_NAME_LEN { Err(ErrorKind::Other("file name too long".to_owned())) } else { Ok(()) }
}

fn is_a_directory() -> ErrorKind {
    ErrorKind::Other("is a directory".to_owned())
}

fn not_a_directory() -> ErrorKind {
    ErrorKind::Other("not a directory".to_owned())
}
