//! Temporary files: what does not fit in memory, written in blocks and read back from the start.
//!
//! A file goes with the last handle to it, also when the statement fails. What a crash leaves behind is removed when the
//! place for temporary files is opened again. The checksums of a file's blocks stay in memory, so bytes that the disk
//! gives back wrong fail the statement, and never change what it gives.

use std::cell::Cell;
use std::rc::Rc;

use super::super::error::{Error, Failure, SqlState};
use super::super::schema::row;
use super::super::types::Value;
use super::{Batch, Context};
use crate::disk::{self, Disk, ErrorKind, File as _, READ_TRIES};
use crate::storage;

/// A place for temporary files.
pub trait Spill {
    /// Makes an empty file, which goes when it is dropped.
    fn create(&self) -> Result<Box<dyn SpillFile>, disk::Error>;
}

/// A temporary file.
pub trait SpillFile {
    /// Writes at a position.
    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), disk::Error>;
    /// Fills the buffer from a position.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), disk::Error>;
}

/// A directory of a disk as a place for temporary files. Nothing else may be in it.
pub struct DiskSpill<D: Disk> {
    disk: D,
    directory: String,
    next: Cell<u64>,
}

impl<D: Disk> DiskSpill<D> {
    /// Makes the directory, or removes what is left in it.
    pub fn open(disk: D, directory: impl Into<String>) -> Result<Self, disk::Error> {
        let directory = directory.into();
        disk.create_dir(&directory)?;
        for name in disk.list(&directory)? {
            disk.remove(&format!("{directory}/{name}"))?;
        }
        Ok(Self { disk, directory, next: Cell::new(0) })
    }
}

impl<D: Disk + 'static> Spill for DiskSpill<D>
where
    D::File: 'static,
{
    fn create(&self) -> Result<Box<dyn SpillFile>, disk::Error> {
        let number = self.next.replace(self.next.get() + 1);
        let path = format!("{}/{number:08}", self.directory);
        let file = self.disk.open(&path)?;
        Ok(Box::new(DiskSpillFile { disk: self.disk.clone(), path, file }))
    }
}

struct DiskSpillFile<D: Disk> {
    disk: D,
    path: String,
    file: D::File,
}

impl<D: Disk> SpillFile for DiskSpillFile<D> {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<(), disk::Error> {
        self.file.write_at(data, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), disk::Error> {
        self.file.read_at(buffer, offset)
    }
}

impl<D: Disk> Drop for DiskSpillFile<D> {
    fn drop(&mut self) {
        // If that fails, the file waits for the next opening of the directory.
        if let Err(error) = self.disk.remove(&self.path) {
            tracing::debug!(%error, "a temporary file stays");
        }
    }
}

/// The client is told of a disk that fails on a temporary file; only when the machine is gone does the process end.
fn failure(error: disk::Error) -> Failure {
    let state = match &error.kind {
        ErrorKind::PowerLoss => return Failure::Storage(storage::Error::Disk(error)),
        ErrorKind::NoSpace => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    Error::new(state, format!("a temporary file failed: {error}")).into()
}

/// About how long a block is, in bytes.
const BLOCK: usize = 64 << 10;

/// Where a block is, and its checksum.
#[derive(Clone, Copy)]
struct Block {
    offset: u64,
    length: usize,
    checksum: u32,
}

/// Writes records to a new file.
pub(super) struct Writer<'a> {
    ctx: &'a Context<'a>,
    file: File,
    buffer: Vec<u8>,
}

/// A file of records.
pub(super) struct File {
    bytes: Box<dyn SpillFile>,
    blocks: Vec<Block>,
    length: u64,
    /// The bytes of temporary files of the statement.
    total: Rc<Cell<u64>>,
}

impl Drop for File {
    fn drop(&mut self) {
        self.total.set(self.total.get() - self.length);
    }
}

impl<'a> Writer<'a> {
    /// Makes a file, or fails if the statement has no place for them.
    pub fn new(ctx: &'a Context<'a>) -> Result<Self, Failure> {
        let spill = ctx.spill().ok_or_else(|| ctx.out_of_memory())?;
        let file = spill.create().map_err(failure)?;
        let file = File { bytes: file, blocks: Vec::new(), length: 0, total: ctx.temporary() };
        Ok(Self { ctx, file, buffer: Vec::new() })
    }

    /// Appends a record, which `fill` appends to the bytes that it is given.
    pub fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        fill(&mut self.buffer);
        let length = (self.buffer.len() - start - 4) as u32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        if self.buffer.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Appends a row.
    pub fn write_row(&mut self, row: &[Value]) -> Result<(), Failure> {
        self.write(|bytes| row_into(bytes, row))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let length = self.buffer.len();
        if length > 0 {
            self.ctx.grow_temporary(length as u64)?;
            let offset = self.file.length;
            self.file.length += length as u64;
            self.file.bytes.write_at(&self.buffer, offset).map_err(failure)?;
            self.file.blocks.push(Block { offset, length, checksum: crc32fast::hash(&self.buffer) });
            self.buffer.clear();
        }
        Ok(())
    }

    /// The file, to be read.
    pub fn finish(mut self) -> Result<File, Failure> {
        self.flush()?;
        Ok(self.file)
    }
}

/// Reads the records of a file in order.
pub(super) struct Reader {
    file: Rc<File>,
    block: usize,
    buffer: Vec<u8>,
    position: usize,
}

impl Reader {
    pub fn new(file: Rc<File>) -> Self {
        Self { file, block: 0, buffer: Vec::new(), position: 0 }
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        if self.position == self.buffer.len() {
            let Some(block) = self.file.blocks.get(self.block).copied() else { return Ok(None) };
            self.buffer.resize(block.length, 0);
            let mut tries = 1;
            loop {
                match self.file.bytes.read_at(&mut self.buffer, block.offset) {
                    Ok(()) if crc32fast::hash(&self.buffer) == block.checksum => break,
                    Err(error) if tries == READ_TRIES || error.kind == ErrorKind::PowerLoss => {
                        return Err(failure(error));
                    }
                    Ok(()) if tries == READ_TRIES => {
                        return Err(Error::new(SqlState::IO_ERROR, "a temporary file came back changed").into());
                    }
                    _ => tries += 1,
                }
            }
            (self.block, self.position) = (self.block + 1, 0);
        }
        // The checksum says that these are the bytes that were written.
        let rest = &self.buffer[self.position..];
        let (length, rest) = rest.split_first_chunk::<4>().expect("a block holds whole records");
        let length = u32::from_le_bytes(*length) as usize;
        self.position += 4 + length;
        Ok(Some(&rest[..length]))
    }

    /// Appends the next rows to a batch until it has as many as it should; says whether there were any.
    pub fn read_rows(&mut self, batch: &mut Batch, most: usize) -> Result<bool, Failure> {
        let before = batch.len();
        while batch.len() < most {
            let Some(record) = self.next()? else { break };
            batch.try_push_with(|values| row_from(record, values))?;
        }
        Ok(batch.len() > before)
    }
}

/// Appends a row, as temporary files have it.
pub(super) fn row_into(bytes: &mut Vec<u8>, row: &[Value]) {
    for value in row {
        row::encode_into(bytes, value);
    }
}

/// Reads a row that takes up all the bytes.
pub(super) fn row_from(mut bytes: &[u8], values: &mut Vec<Value>) -> Result<(), Failure> {
    while !bytes.is_empty() {
        values.push(row::decode_value(&mut bytes)?);
    }
    Ok(())
}
