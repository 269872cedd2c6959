//! Reading a data file again: replaying its records, and telling a torn tail from damage.
//!
//! A crash can lose any of the writes since the last sync, whole or in sectors, so the file may end in holes and
//! fragments, with good records among them. The first bad record ends the log, unless it lies in what was durable:
//! before the file's base, or before what some later record, by its header alone, says was synced when it was written.
//! That is damage, and never taken for the end, because acknowledged data would vanish silently (Alagappan et al.,
//! "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018).
//!
//! What was read may have been in the page cache only, even marked clean there if an earlier process saw its sync fail, in
//! which case no further sync would write it. So what no record calls durable is written again, byte for byte.
//!
//! What this cannot tell apart is damage to the last synced records while no record was written after that sync: it
//! looks like a torn tail, and is cut.

use super::format::{FILE_HEADER, FileHeader, Flaw, RECORD_HEADER, RECORD_MAGIC, RecordHeader, operations};
use super::keydir::{Entry, Keydir};
use crate::disk::{self, File};
use crate::storage::Error;

/// How much is read at once; a longer record is read whole.
const CHUNK: u64 = 1 << 20;

/// What a data file holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub keydir: Keydir,
    pub generation: u64,
    /// Where the good records end.
    pub end: u64,
    /// Where the file ends.
    pub len: u64,
}

/// Reads a data file, and writes again what may not be durable of its good records: it is after the next sync. A damaged
/// file is not touched.
pub(super) fn recover<F: File>(file: &F, path: &str) -> Result<Recovered, Error> {
    let corrupt = |offset, reason: String| Error::Corrupt { path: path.to_owned(), offset, reason };
    let mut reader = Reader { file, len: file.len()?, buffer: Vec::new(), start: 0 };
    let len = reader.len;
    let header = match reader.bytes(0, FILE_HEADER as u64)? {
        Some(bytes) => FileHeader::decode(bytes),
        None => Err(Flaw::End),
    };
    let FileHeader { generation, base } = header.map_err(|flaw| corrupt(0, flaw.to_string()))?;
    let mut keydir = Keydir::default();
    let (mut at, mut synced) = (FILE_HEADER as u64, base);
    let flaw = loop {
        match reader.record(generation, at)? {
            Ok((header, content)) => {
                synced = synced.max(header.synced);
                let start = at + RECORD_HEADER as u64;
                replay(&mut keydir, content, start).map_err(|flaw| corrupt(at, flaw.to_string()))?;
                at = start + content.len() as u64;
            }
            Err(flaw) => break flaw,
        }
    };
    if at < base {
        return Err(corrupt(at, format!("{flaw}, but the file's header says that the first {base} bytes are durable")));
    }
    if let Some((later, synced)) = reader.claim(generation, at)? {
        let reason = format!("{flaw}, but the record at byte {later} says that the first {synced} bytes are durable");
        return Err(corrupt(at, reason));
    }
    while synced < at {
        let bytes = reader.bytes(synced, CHUNK.min(at - synced))?.expect("read before");
        file.write_at(bytes, synced)?;
        synced += bytes.len() as u64;
    }
    Ok(Recovered { keydir, generation, end: at, len })
}

/// Applies a record, whose content starts at `start`, to the keydir.
fn replay(keydir: &mut Keydir, content: &[u8], start: u64) -> Result<(), Flaw> {
    for operation in operations(content) {
        let operation = operation?;
        let entry = operation.value.map(|value| Entry {
            offset: start + operation.position as u64,
            len: value.len() as u32,
            crc: crc32fast::hash(value),
        });
        keydir.put(operation.key.to_vec(), entry);
    }
    Ok(())
}

/// Reads a file front to back in large pieces.
struct Reader<'a, F> {
    file: &'a F,
    len: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer starts.
    start: u64,
}

impl<F: File> Reader<'_, F> {
    /// The `count` bytes at a position, unless the file ends before. Never holds more than the file does.
    fn bytes(&mut self, at: u64, count: u64) -> Result<Option<&[u8]>, Error> {
        if at.checked_add(count).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        if at < self.start || at + count > self.start + self.buffer.len() as u64 {
            // A failed read leaves nothing that looks read.
            self.buffer.clear();
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(count.max(CHUNK).min(self.len - at) as usize, 0);
            disk::read_steadily(self.file, &mut buffer, at).map_err(Error::from_read)?;
            (self.buffer, self.start) = (buffer, at);
        }
        let from = (at - self.start) as usize;
        Ok(Some(&self.buffer[from..from + count as usize]))
    }

    /// The header of the record at a position, or why there is none.
    fn header(&mut self, generation: u64, at: u64) -> Result<Result<RecordHeader, Flaw>, Error> {
        let bytes = self.bytes(at, RECORD_HEADER as u64)?;
        Ok(bytes.map_or(Err(Flaw::End), |bytes| RecordHeader::decode(bytes, generation, at)))
    }

    /// The record at a position, or why there is none.
    fn record(&mut self, generation: u64, at: u64) -> Result<Result<(RecordHeader, &[u8]), Flaw>, Error> {
        let header = match self.header(generation, at)? {
            Ok(header) => header,
            Err(flaw) => return Ok(Err(flaw)),
        };
        let content = self.bytes(at + RECORD_HEADER as u64, u64::from(header.length))?;
        Ok(match content {
            Some(content) if crc32fast::hash(content) == header.content_crc => Ok((header, content)),
            Some(_) => Err(Flaw::Content),
            None => Err(Flaw::End),
        })
    }

    /// The bytes from a position on that are at hand: enough for a record's header, unless the file ends before.
    fn window(&mut self, at: u64) -> Result<&[u8], Error> {
        self.bytes(at, (RECORD_HEADER as u64).min(self.len - at))?.expect("within the file");
        Ok(&self.buffer[(at - self.start) as usize..])
    }

    /// The first record header after `bad` which says that more than the first `bad` bytes were durable: where it is, and
    /// how many it says. It may start at any byte, because a bad record does not tell where the next one is.
    fn claim(&mut self, generation: u64, bad: u64) -> Result<Option<(u64, u64)>, Error> {
        let mut at = bad + 1;
        while at + RECORD_HEADER as u64 <= self.len {
            let window = self.window(at)?;
            let Some(found) = window.windows(RECORD_MAGIC.len()).position(|bytes| bytes == RECORD_MAGIC) else {
                // A magic number may begin at the end of one window and go on in the next.
                at += (window.len() - RECORD_MAGIC.len() + 1) as u64;
                continue;
            };
            at += found as u64;
            if let Ok(header) = self.header(generation, at)?
                && header.synced > bad
            {
                return Ok(Some((at, header.synced)));
            }
            at += 1;
        }
        Ok(None)
    }
}
