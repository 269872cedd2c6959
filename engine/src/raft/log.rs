//! The durable log: term, vote and entries, in one append-only file.
//!
//! Each [`Log::append`] adds one record with one write; nothing counts before [`Log::sync`]. A record of entries whose
//! first index is already in the log replaces that entry and all after it. On disk a record is
//!
//! ```text
//! magic u32 | length u32 | synced u64 | crc u32 | content (length bytes)
//! ```
//!
//! in big-endian, where the checksum covers all but itself, and `synced` is how much of the file was known to be durable
//! when the record was written. A crash can lose any of the writes since the last sync, so the file may end in holes
//! and fragments, which are cut off when it is opened. But a bad record that a later one calls synced is damage to
//! durable data, and is never taken for the end: opening fails, because dropping acknowledged entries would break
//! the promises that this node has made to its peers ("Protocol-Aware Recovery", Alagappan et al., FAST 2018).
//!
//! After any error the log refuses to go on: a sync that failed may have dropped what it should have made durable, and
//! a second one would then lie.

use std::sync::Arc;

use super::{Entry, HardState, Index};
use crate::disk::{Disk, File};
use crate::storage::Error;

const MAGIC: u32 = 0x4f52_4c31;
const HEADER: usize = 20;
const FILE: &str = "log";

/// The most bytes in a record: far above what a batch of appends holds.
const MAX_RECORD: usize = 1 << 30;

/// A member's durable log.
pub struct Log<D: Disk> {
    file: D::File,
    path: String,
    _lock: D::Lock,
    /// Where the next record goes.
    end: u64,
    /// How much of the file is known to be durable.
    synced: u64,
    failed: bool,
    buffer: Vec<u8>,
}

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The entries, contiguous from index 1.
    pub entries: Vec<Entry>,
}

impl<D: Disk> Log<D> {
    /// Opens the log in a directory, which is created if need be, and locks it.
    pub fn open(disk: D, dir: &str) -> Result<(Self, Recovered), Error> {
        disk.create_dir(dir)?;
        let lock = disk.lock(&format!("{dir}/lock"))?;
        let path = format!("{dir}/{FILE}");
        let file = disk.open(&path)?;
        let mut bytes = vec![0; file.len()? as usize];
        if !bytes.is_empty() {
            file.read_at(&mut bytes, 0)?;
        }
        let (recovered, end) = recover(&bytes, &path)?;
        if end < bytes.len() {
            tracing::info!(path, end, cut = bytes.len() - end, "cut the torn tail");
            file.set_len(end as u64)?;
        }
        // What was read may have been in the page cache only, and the file's name in no durable directory.
        file.sync()?;
        disk.sync_dir(dir)?;
        disk.sync_dir("")?;
        let end = end as u64;
        Ok((Self { file, path, _lock: lock, end, synced: end, failed: false, buffer: Vec::new() }, recovered))
    }

    /// Adds a record of a new term or vote, or entries, or both. Durable after [`Log::sync`].
    pub fn append(&mut self, hard_state: Option<HardState>, entries: &[Entry]) -> Result<(), Error> {
        self.check()?;
        self.buffer.clear();
        self.buffer.resize(HEADER, 0);
        encode(&mut self.buffer, hard_state, entries);
        let size = self.buffer.len() - HEADER;
        if size > MAX_RECORD {
            return Err(Error::TooLarge { what: "log record", size, limit: MAX_RECORD });
        }
        self.buffer[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        self.buffer[4..8].copy_from_slice(&(size as u32).to_be_bytes());
        self.buffer[8..16].copy_from_slice(&self.synced.to_be_bytes());
        let crc = checksum(&self.buffer);
        self.buffer[16..20].copy_from_slice(&crc.to_be_bytes());
        self.failed = true;
        self.file.write_at(&self.buffer, self.end)?;
        self.failed = false;
        self.end += self.buffer.len() as u64;
        Ok(())
    }

    /// Makes all records durable.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check()?;
        self.failed = true;
        self.file.sync()?;
        self.failed = false;
        self.synced = self.end;
        Ok(())
    }

    /// The size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.end
    }

    fn check(&self) -> Result<(), Error> {
        if self.failed {
            let kind =
                crate::disk::ErrorKind::Other("an earlier operation on the log failed; it must be reopened".into());
            return Err(crate::disk::Error::new("use", self.path.clone(), kind).into());
        }
        Ok(())
    }
}

/// The checksum of a record: everything but the checksum's own bytes.
fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..16]);
    hasher.update(&record[HEADER..]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The whole record at a position, if there is a good one.
fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = &bytes[at..];
    if rest.len() < HEADER || u32_at(rest, 0) != MAGIC {
        return None;
    }
    let end = HEADER.checked_add(u32_at(rest, 4) as usize).filter(|&end| end <= rest.len())?;
    let record = &rest[..end];
    (checksum(record) == u32_at(rest, 16)).then_some(record)
}

/// Reads all records. Returns what they hold, and where the good part of the file ends.
fn recover(bytes: &[u8], path: &str) -> Result<(Recovered, usize), Error> {
    let corrupt = |offset: usize, reason: String| Error::Corrupt { path: path.into(), offset: offset as u64, reason };
    let mut recovered = Recovered::default();
    let mut at = 0;
    while at < bytes.len() {
        let Some(record) = record_at(bytes, at) else { break };
        let (hard_state, entries) =
            decode(&record[HEADER..]).ok_or_else(|| corrupt(at, "a record's content does not decode".into()))?;
        replay(&mut recovered, hard_state, entries).map_err(|reason| corrupt(at, reason))?;
        at += record.len();
    }
    // Only a later record can tell durable data from a torn tail.
    for later in at + 1..bytes.len() {
        if let Some(record) = record_at(bytes, later) {
            let synced = u64_at(record, 8);
            if synced > at as u64 {
                let reason = format!(
                    "no good record, but the one at byte {later} says that the first {synced} bytes are durable"
                );
                return Err(corrupt(at, reason));
            }
        }
    }
    Ok((recovered, at))
}

/// Applies a record to what the ones before it say.
fn replay(recovered: &mut Recovered, hard_state: Option<HardState>, entries: Vec<Entry>) -> Result<(), String> {
    if let Some(next) = hard_state {
        let Recovered { hard_state: HardState { term, vote }, .. } = recovered;
        if next.term < *term || next.term == *term && vote.is_some() && next.vote != *vote {
            return Err(format!(
                "term {} and vote {:?} cannot follow term {term} and vote {vote:?}",
                next.term, next.vote
            ));
        }
        recovered.hard_state = next;
    }
    if let Some(first) = entries.first() {
        let last = recovered.entries.len() as Index;
        if first.index == 0 || first.index > last + 1 {
            return Err(format!("entry {} cannot follow entry {last}", first.index));
        }
        recovered.entries.truncate(first.index as usize - 1);
    }
    for entry in entries {
        let last = recovered.entries.last().map_or((0, 0), |entry| (entry.index, entry.term));
        if entry.index != last.0 + 1 || entry.term < last.1 || entry.term > recovered.hard_state.term {
            return Err(format!(
                "entry {} of term {} cannot follow entry {} of term {}",
                entry.index, entry.term, last.0, last.1
            ));
        }
        recovered.entries.push(entry);
    }
    Ok(())
}

/// A record's content: a flag and term and vote; then each entry with index, term, a flag for a payload, and that with
/// its length. A vote of 0 is none, since ids start at 1.
fn encode(bytes: &mut Vec<u8>, hard_state: Option<HardState>, entries: &[Entry]) {
    bytes.push(u8::from(hard_state.is_some()));
    if let Some(HardState { term, vote }) = hard_state {
        bytes.extend_from_slice(&term.to_be_bytes());
        bytes.push(vote.unwrap_or(0));
    }
    for Entry { index, term, payload } in entries {
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes.extend_from_slice(&term.to_be_bytes());
        bytes.push(u8::from(payload.is_some()));
        if let Some(payload) = payload {
            bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            bytes.extend_from_slice(payload);
        }
    }
}

/// The other way; `None` if it is not such a content.
fn decode(bytes: &[u8]) -> Option<(Option<HardState>, Vec<Entry>)> {
    let mut rest = bytes;
    let flag = |rest: &mut &[u8]| match rest.split_off_first()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    let number = |rest: &mut &[u8]| Some(u64::from_be_bytes(rest.split_off(..8)?.try_into().ok()?));
    let mut hard_state = None;
    if flag(&mut rest)? {
        let term = number(&mut rest)?;
        let vote = *rest.split_off_first()?;
        hard_state = Some(HardState { term, vote: (vote != 0).then_some(vote) });
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (index, term) = (number(&mut rest)?, number(&mut rest)?);
        let mut payload = None;
        if flag(&mut rest)? {
            let len = u32::from_be_bytes(rest.split_off(..4)?.try_into().ok()?) as usize;
            payload = Some(Arc::from(rest.split_off(..len)?));
        }
        entries.push(Entry { index, term, payload });
    }
    Some((hard_state, entries))
}
