//! Files that a run leaves behind: each appears whole or not at all, and is known to be writable before a long run.

#![expect(clippy::disallowed_methods, reason = "files of the host, outside of any universe")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// It cannot be written, or removed.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |reason| Error::Read { path, reason }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |reason| Error::Write { path, reason }
}

/// Writes a file, creating directories on the way. What was there is replaced in one step, when all is written.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let written = create_parent(path).and_then(|()| {
        let temporary = temporary(path);
        fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, path)).map_err(|reason| {
            // The first error is the one that matters, unless what it leaves behind cannot be removed.
            remove_if_there(&temporary).err().unwrap_or(reason)
        })
    });
    written.map_err(unwritable(path))
}

/// Checks that a file could be written, and leaves what is there as it is.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let checked = not_a_directory(path).and_then(|()| create_parent(path)).and_then(|()| {
        let temporary = temporary(path);
        fs::write(&temporary, b"")?;
        remove_if_there(&temporary)
    });
    checked.map_err(unwritable(path))
}

/// Appends to a file, which is made if it is not there. Appending nothing checks that it can be done.
pub fn append(path: &Path, content: &[u8]) -> Result<(), Error> {
    let appended = not_a_directory(path)
        .and_then(|()| create_parent(path))
        .and_then(|()| fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(content));
    appended.map_err(unwritable(path))
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> Result<(), Error> {
    remove_if_there(path.as_os_str()).map_err(unwritable(path))
}

/// The files of a directory, by name; none if it is not there.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable(directory))?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(unreadable(directory))?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// All bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(unreadable(path))
}

fn not_a_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory"));
    }
    Ok(())
}

fn create_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::create_dir_all(parent),
        _ => Ok(()),
    }
}

fn temporary(path: &Path) -> OsString {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name
}

/// Removes a file. One that is gone already is fine: processes that share a directory check the same path at once.
fn remove_if_there(path: &OsStr) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
