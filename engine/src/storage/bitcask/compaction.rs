//! Writing a new data file: of the live pairs, or of nothing for a new store.
//!
//! The new file is written beside the old one, made durable, and renamed over it, so at every moment the name stands for
//! one whole file. A crash before the new name is durable leaves the old file, with all that was flushed to it; nothing
//! is appended to the new one before that. The file's header, written last, tells recovery how much was durable from the
//! beginning, so damage to any of it is noticed.

use super::format::{FILE_HEADER, FileHeader, RecordBuffer};
use super::{BitCask, Error, KEEP_BUFFER, Paths, read_value};
use crate::disk::{Disk, File};

/// How much content a record holds, at least, before the next one starts.
const RECORD_CONTENT: usize = 1 << 20;

/// Creates an empty data file.
pub(super) fn create<D: Disk>(disk: &D, paths: &Paths) -> Result<(), Error> {
    let file = disk.open(&paths.next)?;
    install(disk, paths, &file, FileHeader { generation: 1, base: FILE_HEADER as u64 })
}

/// Completes a new data file, and puts it in the place of the old one.
fn install<D: Disk>(disk: &D, paths: &Paths, file: &D::File, header: FileHeader) -> Result<(), Error> {
    file.write_at(&header.encode(), 0)?;
    file.sync()?;
    disk.rename(&paths.next, &paths.data)?;
    disk.sync_dir(&paths.dir)?;
    Ok(())
}

impl<D: Disk> BitCask<D> {
    /// Moves the live pairs to a new file. After an error the keydir is of no use.
    pub(super) fn rewrite(&mut self) -> Result<(), Error> {
        let Self { disk, paths, file: old, keydir, record, .. } = self;
        let generation = self.generation + 1;
        let new = disk.open(&paths.next)?;
        let mut end = FILE_HEADER as u64;
        let write = |record: &mut RecordBuffer, end: &mut u64| -> Result<(), Error> {
            let bytes = record.seal(generation, *end, 0);
            new.write_at(bytes, *end)?;
            *end += bytes.len() as u64;
            record.clear(KEEP_BUFFER);
            Ok(())
        };
        record.clear(KEEP_BUFFER);
        for (key, entry) in keydir.iter_mut() {
            let (position, value) = record.push_uninit(key, entry.len);
            read_value(old, &paths.data, *entry, value)?;
            entry.offset = end + position as u64;
            if record.content_len() >= RECORD_CONTENT {
                write(record, &mut end)?;
            }
        }
        if record.content_len() > 0 {
            write(record, &mut end)?;
        }
        probe!("a store was compacted");
        install(disk, paths, &new, FileHeader { generation, base: end })?;
        tracing::debug!(path = paths.data, generation, from = self.end, to = end, "compacted");
        (self.file, self.generation, self.end, self.synced) = (new, generation, end, end);
        Ok(())
    }
}
