//! The operating system's file system, below a root directory.
//!
//! A path that is not relative, or steps up or in place (`..`, `.`), is refused, so nothing outside the root can be
//! named. Symbolic links are followed: who can place them below the root can already read and write there.
//! A lock is an advisory lock of the operating system on a file, which ends with the process whatever becomes of it.

#![expect(clippy::disallowed_types, reason = "this is the one place where the engine's disk meets real files")]

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::{Disk, Error, ErrorKind, File, check_path};

/// A directory of the operating system as a disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct OsDisk {
    root: Rc<PathBuf>,
}

impl OsDisk {
    /// A disk whose root is an existing directory.
    pub fn new(root: PathBuf) -> Self {
        Self { root: Rc::new(root) }
    }

    /// A disk whose root is a directory, which is made if there is none.
    pub fn create(root: &std::path::Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(|error| failed("create", &root.to_string_lossy(), &error))?;
        Ok(Self::new(root.to_path_buf()))
    }

    /// The real path of a file, or of a directory other than the root.
    fn resolve(&self, operation: &'static str, path: &str) -> Result<PathBuf, Error> {
        check_path(path).map_err(|kind| Error::new(operation, path, kind))?;
        Ok(self.root.join(path))
    }

    fn resolve_directory(&self, operation: &'static str, dir: &str) -> Result<PathBuf, Error> {
        if dir.is_empty() { Ok(self.root.to_path_buf()) } else { self.resolve(operation, dir) }
    }

    fn open_file(&self, operation: &'static str, path: &str) -> Result<fs::File, Error> {
        let real = self.resolve(operation, path)?;
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(real);
        opened.map_err(|error| failed(operation, path, &error))
    }
}

impl Disk for OsDisk {
    type File = OsFile;
    type Lock = OsLock;

    fn open(&self, path: &str) -> Result<OsFile, Error> {
        Ok(OsFile { file: self.open_file("open", path)?, path: path.to_owned() })
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        let real = self.resolve_directory("look for", path)?;
        match fs::metadata(real) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(failed("look for", path, &error)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let (real_from, real_to) = (self.resolve("rename", from)?, self.resolve("rename", to)?);
        let metadata = fs::metadata(&real_from).map_err(|error| failed("rename", from, &error))?;
        if metadata.is_dir() {
            return Err(Error::new("rename", from, ErrorKind::Other("is a directory".to_owned())));
        }
        fs::rename(real_from, real_to).map_err(|error| failed("rename", from, &error))
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        fs::remove_file(self.resolve("remove", path)?).map_err(|error| failed("remove", path, &error))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, Error> {
        let real = self.resolve_directory("list", dir)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(real).map_err(|error| failed("list", dir, &error))? {
            let name = entry.map_err(|error| failed("list", dir, &error))?.file_name();
            names.push(name.into_string().map_err(|name| {
                Error::new("list", dir, ErrorKind::Other(format!("the name {} is not UTF-8", name.display())))
            })?);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> Result<(), Error> {
        let real = self.resolve_directory("create directory", dir)?;
        fs::create_dir_all(real).map_err(|error| failed("create directory", dir, &error))
    }

    fn sync_dir(&self, dir: &str) -> Result<(), Error> {
        let real = self.resolve_directory("sync directory", dir)?;
        let metadata = fs::metadata(&real).map_err(|error| failed("sync directory", dir, &error))?;
        if !metadata.is_dir() {
            return Err(Error::new("sync directory", dir, ErrorKind::Other("not a directory".to_owned())));
        }
        let synced = fs::File::open(real).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed("sync directory", dir, &error))
    }

    fn lock(&self, path: &str) -> Result<OsLock, Error> {
        let file = self.open_file("lock", path)?;
        match file.try_lock() {
            Ok(()) => Ok(OsLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::new("lock", path, ErrorKind::Locked)),
            Err(TryLockError::Error(error)) => Err(failed("lock", path, &error)),
        }
    }
}

/// An open file of an [`OsDisk`].
#[derive(Debug)]
pub struct OsFile {
    file: fs::File,
    path: String,
}

impl OsFile {
    fn failed(&self, operation: &'static str, error: &io::Error) -> Error {
        failed(operation, &self.path, error)
    }
}

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_exact_at(buf, offset).map_err(|error| self.failed("read", &error))
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), Error> {
        self.file.write_all_at(data, offset).map_err(|error| self.failed("write", &error))
    }

    fn len(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(|error| self.failed("length of", &error))?.len())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.file.set_len(len).map_err(|error| self.failed("set length of", &error))
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|error| self.failed("sync", &error))
    }
}

/// Held until dropped, or until the process ends.
#[derive(Debug)]
pub struct OsLock {
    _file: fs::File,
}

/// `EIO` on Linux, the BSDs and macOS; the standard library has no kind for it.
const EIO: i32 = 5;

fn failed(operation: &'static str, path: &str, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::UnexpectedEof => ErrorKind::UnexpectedEof,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::NoSpace,
        _ if error.raw_os_error() == Some(EIO) => ErrorKind::Io,
        _ => ErrorKind::Other(error.to_string()),
    };
    Error::new(operation, path, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_operating_system_have_their_class() {
        let kind = |code| failed("write", "a", &io::Error::from_raw_os_error(code)).kind;
        assert_eq!(kind(5), ErrorKind::Io);
        assert_eq!(kind(28), ErrorKind::NoSpace);
        assert_eq!(kind(2), ErrorKind::NotFound);
        assert!(matches!(kind(13), ErrorKind::Other(message) if message.contains("denied")));
    }
}
