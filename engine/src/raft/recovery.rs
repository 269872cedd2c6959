//! Reading a log file again, after a clean stop or a crash.
//!
//! A crash can lose any of the writes since the last sync, whole or by sectors, so a file may end in holes and
//! fragments with whole records after them. The records are read up to the first bad one. Then the rest of the file is
//! searched for a header that calls the bad place synced: that is damage to durable data, which is never taken for the
//! end ("Protocol-Aware Recovery", Alagappan et al., FAST 2018). Otherwise the tail was never acknowledged, and is cut.
//! A file is made with its first record in it, and so has lost something when it does not begin with one.
//!
//! What cannot be seen here: damage to the last synced records, which nothing after them calls synced yet; and a file
//! that has become shorter. When that has lost entries, the leader that counts on them will tell.

use super::log::Recovered;
use super::message::{Entry, HardState, Index};
use super::record::{self, Content, HEADER, Header};
use crate::disk::{self, File};
use crate::storage::Error;

/// The bytes that are read at once.
pub(super) const CHUNK: u64 = 256 * 1024;

/// What a file holds.
pub(super) struct Recovery {
    pub recovered: Recovered,
    /// The length of the file after the tail was cut.
    pub end: u64,
}

/// Reads a file, cuts its torn tail, and makes the rest durable. When the file has lost something
/// ([`Error::is_loss`]), nothing of it is changed.
pub(super) fn recover<F: File>(file: &F, path: &str) -> Result<Recovery, Error> {
    let corrupt = |offset, reason| Error::Corrupt { path: path.to_owned(), offset, reason };
    let mut reader = Reader { file, length: file.len()?, start: 0, buffer: Vec::new() };
    let mut recovered = Recovered::default();
    let (mut end, mut synced) = (0, 0);
    if reader.length == 0 {
        return Err(Error::NotFormatted { path: path.to_owned() });
    }
    while let Some((header, content)) = reader.record(end)? {
        let content = Content::decode(content).map_err(|reason| corrupt(end, reason.to_owned()))?;
        if end == 0 && !matches!(content, Content::HardState(_)) {
            return Err(corrupt(end, "the first record is not a hard state".to_owned()));
        }
        replay(&mut recovered, content, end == 0).map_err(|reason| corrupt(end, reason))?;
        synced = header.synced;
        end += HEADER as u64 + u64::from(header.length);
    }
    if end == 0 {
        return Err(corrupt(0, "the first record, which the file was made with, is not valid".to_owned()));
    }
    if let Some((position, synced)) = reader.find_synced_beyond(end)? {
        probe!("durable records of the log are damaged");
        let reason =
            format!("no valid record, but the one at byte {position} was written when {synced} bytes were durable");
        return Err(corrupt(end, reason));
    }
    // The last records may be in the page cache only, even marked clean if an earlier process saw its sync fail. Writing
    // them again, byte for byte, makes the sync mean them.
    while synced < end {
        probe!("the tail of the log was written again before the first sync");
        let bytes = reader.bytes(synced, CHUNK.min(end - synced))?;
        file.write_at(bytes, synced)?;
        synced += bytes.len() as u64;
    }
    if end < reader.length {
        probe!("torn record at the tail of the log");
        file.set_len(end)?;
    }
    file.sync()?;
    Ok(Recovery { recovered, end })
}

/// Applies a record, which may be the first one, to what those before it say; or says why it cannot follow them.
fn replay(recovered: &mut Recovered, content: Content, first: bool) -> Result<(), String> {
    match content {
        Content::HardState(new) => {
            let HardState { term, vote, recovering } = recovered.hard_state;
            let voted = new.term == term && vote.is_some() && new.vote != vote;
            // An amnesia begins with a new file.
            let forgot = !first && new.recovering.is_some() && new.recovering != recovering;
            if new.term < term || voted || forgot {
                return Err(format!("{new:?} cannot follow {:?}", recovered.hard_state));
            }
            recovered.hard_state = new;
        }
        Content::Entries(entries) => {
            let Entry { index, .. } = *entries.first().ok_or("a record of no entries")?;
            let last = recovered.entries.len() as Index;
            if index == 0 || index > last.saturating_add(1) {
                return Err(format!("entry {index} cannot follow entry {last}"));
            }
            recovered.entries.truncate(index as usize - 1);
            for entry in entries {
                let (index, term) = recovered.entries.last().map_or((0, 0), |last: &Entry| (last.index, last.term));
                if entry.index != index + 1 || entry.term < term || entry.term > recovered.hard_state.term {
                    let Entry { index: next, term: next_term, .. } = entry;
                    let seen = recovered.hard_state.term;
                    return Err(format!(
                        "entry {next} of term {next_term} cannot follow entry {index} of term {term} in term {seen}"
                    ));
                }
                recovered.entries.push(entry);
            }
        }
    }
    Ok(())
}

/// Reads a file through a window.
struct Reader<'a, F> {
    file: &'a F,
    length: u64,
    /// Where the window starts.
    start: u64,
    buffer: Vec<u8>,
}

impl<F: File> Reader<'_, F> {
    /// Some bytes of the file, which are all inside of it.
    fn bytes(&mut self, position: u64, length: u64) -> Result<&[u8], Error> {
        let end = position + length;
        assert!(end <= self.length, "reads stay inside the file");
        if position < self.start || end > self.start + self.buffer.len() as u64 {
            self.buffer.resize(length.max(CHUNK).min(self.length - position) as usize, 0);
            self.start = position;
            disk::read_steadily(self.file, &mut self.buffer, position).map_err(Error::from_read)?;
        }
        let offset = (position - self.start) as usize;
        Ok(&self.buffer[offset..offset + length as usize])
    }

    /// The valid record at a position.
    fn record(&mut self, position: u64) -> Result<Option<(Header, &[u8])>, Error> {
        let rest = self.length - position;
        if rest < HEADER as u64 {
            return Ok(None);
        }
        let Some(header) = Header::decode(self.bytes(position, HEADER as u64)?, position) else { return Ok(None) };
        let length = u64::from(header.length);
        if length > rest - HEADER as u64 {
            return Ok(None);
        }
        let content = self.bytes(position + HEADER as u64, length)?;
        Ok(header.matches(content).then_some((header, content)))
    }

    /// The first header after `bad` that calls more than the bytes before `bad` synced: its position, and what it says.
    fn find_synced_beyond(&mut self, bad: u64) -> Result<Option<(u64, u64)>, Error> {
        let mut position = bad;
        while position + HEADER as u64 <= self.length {
            let bytes = self.bytes(position, CHUNK.min(self.length - position))?;
            let starts = bytes.len() - HEADER + 1;
            for offset in (0..starts).filter(|&offset| bytes[offset] == record::FIRST_BYTE) {
                let at = position + offset as u64;
                if let Some(header) = Header::decode(&bytes[offset..], at)
                    && header.synced > bad
                {
                    return Ok(Some((at, header.synced)));
                }
            }
            position += starts as u64;
        }
        Ok(None)
    }
}
