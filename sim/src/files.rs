//! Files that a run leaves behind: each appears whole or not at all, and is known to be writable before a long run.

#![expect(clippy::disallowed_methods, reason = "files of the host, outside of any universe")]

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes a file, creating directories on the way. What was there is replaced in one step, when all is written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    create_parent(path)?;
    let temporary = temporary(path);
    fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, path)).map_err(|reason| {
        // The first error is the one that matters, unless what it leaves behind cannot be removed.
        match remove(&temporary) {
            Err(other) => other,
            Ok(()) => reason,
        }
    })
}

/// Checks that a file could be written, and leaves what is there as it is.
pub fn check_writable(path: &Path) -> io::Result<()> {
    not_a_directory(path)?;
    create_parent(path)?;
    let temporary = temporary(path);
    fs::write(&temporary, b"")?;
    remove(&temporary)
}

/// Appends to a file, which is made if it is not there. Appending nothing checks that it can be done.
pub fn append(path: &Path, content: &[u8]) -> io::Result<()> {
    not_a_directory(path)?;
    create_parent(path)?;
    fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(content)
}

/// The files of a directory, by name; none if it is not there.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// All bytes of a file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
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
fn remove(path: &OsString) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
