//! The disk as the engine sees it: files with positioned reads and writes, and directories whose entries are made
//! durable apart from the files' contents.
//!
//! A host implements [`Disk`] and [`File`]. Handles share their disk, so a clone of a `Disk` is the same disk. The
//! engine treats every error as the end of the process: it never retries a write or a sync, because after a failed
//! sync the kernel may have dropped the dirty pages (PostgreSQL's fsyncgate). Only the reads of recovery are tried again
//! ([`READ_TRIES`]), because what cannot be read then has to be given up. Paths are relative to the disk's root,
//! UTF-8, separated by `/`.

#[cfg(test)]
pub(crate) mod faulty;
mod memory;
#[cfg(unix)]
mod os;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

pub use memory::{MemCounters, MemDisk, MemFile, MemLock};
#[cfg(unix)]
pub use os::{OsDisk, OsFile, OsLock};

/// A file system, as a cheap handle. Clones are the same disk.
pub trait Disk: Clone {
    /// An open file.
    type File: File;
    /// Held for as long as this process owns a path; dropped when the process ends.
    type Lock;

    /// Opens a file for reading and writing, creating it empty when it does not exist. The new directory entry is
    /// durable only after [`Disk::sync_dir`] of its parent.
    fn open(&self, path: &str) -> Result<Self::File, Error>;
    /// Whether a file or directory exists at this path.
    fn exists(&self, path: &str) -> Result<bool, Error>;
    /// Renames a file atomically, replacing a file at `to`. Durable after `sync_dir` of the parents.
    fn rename(&self, from: &str, to: &str) -> Result<(), Error>;
    /// Removes a file. Durable after `sync_dir` of the parent.
    fn remove(&self, path: &str) -> Result<(), Error>;
    /// Names (not paths) of the files and directories in a directory, sorted.
    fn list(&self, dir: &str) -> Result<Vec<String>, Error>;
    /// Creates a directory and its parents; existing ones are fine.
    fn create_dir(&self, dir: &str) -> Result<(), Error>;
    /// Makes the entries of a directory durable (not the contents of its files). The root is `""`.
    fn sync_dir(&self, dir: &str) -> Result<(), Error>;
    /// Takes an exclusive lock on a path, so that a second process (or a second handle) cannot open what it guards.
    fn lock(&self, path: &str) -> Result<Self::Lock, Error>;
}

/// An open file of a [`Disk`].
pub trait File {
    /// Fills `buf` from `offset`; an end of file before that is [`ErrorKind::UnexpectedEof`].
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error>;
    /// Writes all of `data` at `offset`, extending the file (with zeros) when needed. Not durable before [`File::sync`].
    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), Error>;
    /// The length in bytes.
    fn len(&self) -> Result<u64, Error>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }
    /// Truncates or extends (with zeros) to `len` bytes. Not durable before [`File::sync`].
    fn set_len(&self, len: u64) -> Result<(), Error>;
    /// Makes the contents and length durable.
    fn sync(&self) -> Result<(), Error>;
}

/// How often recovery tries a read that the device fails, before it takes the bytes for lost.
pub const READ_TRIES: u32 = 4;

/// Fills `buf` from `offset`, and tries again when the device fails.
pub(crate) fn read_again<F: File>(file: &F, buf: &mut [u8], offset: u64) -> Result<(), Error> {
    let mut tries = 1;
    loop {
        match file.read_at(buf, offset) {
            Err(Error { kind: ErrorKind::Io, .. }) if tries < READ_TRIES => tries += 1,
            result => return result,
        }
    }
}

/// Reads until two reads in a row agree, so that a bit that is wrong only this time, or another place that the disk has read
/// by mistake, is not taken for what the disk holds. Each read is [tried again](read_again) when it fails. When no two
/// agree, the last one has to do: whoever reads checks it.
pub(crate) fn read_steadily<F: File>(file: &F, buf: &mut [u8], offset: u64) -> Result<(), Error> {
    read_again(file, buf, offset)?;
    let mut before = vec![0; buf.len()];
    for _ in 1..READ_TRIES {
        before.copy_from_slice(buf);
        read_again(file, buf, offset)?;
        if before == buf {
            break;
        }
        probe!("two reads of one place differ");
    }
    Ok(())
}

/// What went wrong on a disk, where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {path:?}: {kind}")]
pub struct Error {
    /// The operation, as a verb: `open`, `read`, `write`, `sync`, ...
    pub operation: &'static str,
    /// The file or directory.
    pub path: String,
    /// The class of the error.
    pub kind: ErrorKind,
}

impl Error {
    /// An error of `kind` in `operation` on `path`.
    pub fn new(operation: &'static str, path: impl Into<String>, kind: ErrorKind) -> Self {
        Self { operation, path: path.into(), kind }
    }
}

/// The class of a disk error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such file or directory.
    NotFound,
    /// Another process holds the lock.
    Locked,
    /// A read went past the end of the file.
    UnexpectedEof,
    /// The device failed (EIO).
    Io,
    /// No space is left.
    NoSpace,
    /// The machine lost power; nothing more happens on this disk until a restart.
    PowerLoss,
    /// Anything else that the operating system reports, in its words.
    Other(String),
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such file or directory"),
            Self::Locked => f.write_str("locked by another process"),
            Self::UnexpectedEof => f.write_str("unexpected end of file"),
            Self::Io => f.write_str("input/output error"),
            Self::NoSpace => f.write_str("no space left on device"),
            Self::PowerLoss => f.write_str("power lost"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

/// Refuses a path that is not made of plain names, and so could lead out of the root or name one file in two ways.
fn check_path(path: &str) -> Result<(), ErrorKind> {
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(ErrorKind::Other("not a relative path of plain names".to_owned()));
    }
    Ok(())
}

/// The directory that a path is in; the root is `""`.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
