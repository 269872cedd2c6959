//! The records of the log file: framing, checksums and contents.
//!
//! ```text
//! magic u32 | length u32 | synced u64 | content CRC u32 | header CRC u32 | content (length bytes)
//! ```
//!
//! in big-endian. `synced` is how much of the file was durable when the record was written. The header's checksum covers
//! the position of the record too, so that bytes that a disk put in the wrong place, or a copy of a record inside some
//! command, are no record. With a checksum of its own the header can be believed when its content is torn, and a length
//! is known to be right before anything is read or allocated by it. CRC-32 finds accidents, not attacks.
//!
//! The content is a kind, then one of these:
//!
//! - hard state: term, vote (one byte, 0 for none), and the amnesia that the node recovers from (0 for none);
//! - entries: each with index, term, and a kind of its own: empty; a command, as its length and bytes; or a
//!   reinstatement, as node (one byte) and nonce.
//!
//! Numbers are in big-endian, of 8 bytes, but for the lengths of 4. The first record of every log is a hard state.

use std::sync::Arc;

use super::message::{Entry, HardState, Nonce, Payload};
use crate::storage::Error;

const MAGIC: u32 = 0x4f52_4c32;
/// Every magic starts so.
pub(super) const FIRST_BYTE: u8 = MAGIC.to_be_bytes()[0];
/// The bytes before a record's content.
pub(super) const HEADER: usize = 24;
const KIND_HARD_STATE: u8 = 1;
const KIND_ENTRIES: u8 = 2;
const PAYLOAD_EMPTY: u8 = 0;
const PAYLOAD_COMMAND: u8 = 1;
const PAYLOAD_REINSTATE: u8 = 2;

/// A header that has proved right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The length of the content.
    pub length: u32,
    /// How much of the file was durable before.
    pub synced: u64,
    content_crc: u32,
}

impl Header {
    /// Reads the first [`HEADER`] bytes of a record at a position of the file, or `None` if they are not a header.
    pub fn decode(bytes: &[u8], position: u64) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let (magic, rest) = header.split_first_chunk()?;
        if u32::from_be_bytes(*magic) != MAGIC {
            return None;
        }
        let (length, rest) = rest.split_first_chunk()?;
        let (synced, rest) = rest.split_first_chunk()?;
        let (content_crc, rest) = rest.split_first_chunk()?;
        let (header_crc, _) = rest.split_first_chunk()?;
        let synced = u64::from_be_bytes(*synced);
        let right = u32::from_be_bytes(*header_crc) == header_checksum(header, position) && synced <= position;
        right.then_some(Self {
            length: u32::from_be_bytes(*length),
            synced,
            content_crc: u32::from_be_bytes(*content_crc),
        })
    }

    /// Whether this is the content that was written.
    pub fn matches(&self, content: &[u8]) -> bool {
        content.len() as u64 == u64::from(self.length) && crc32fast::hash(content) == self.content_crc
    }
}

fn header_checksum(header: &[u8; HEADER], position: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..HEADER - 4]);
    hasher.update(&position.to_be_bytes());
    hasher.finalize()
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The term, vote and status from now on.
    HardState(HardState),
    /// Entries that follow what is before the first one; whatever was there is replaced.
    Entries(Vec<Entry>),
}

impl Content {
    /// Reads a content, or says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut rest = bytes;
        let kind = rest.split_off_first().ok_or("the record has no kind")?;
        match *kind {
            KIND_HARD_STATE => {
                let term = take_u64(&mut rest).ok_or("the term is cut off")?;
                let vote = take_u8(&mut rest).ok_or("the vote is cut off")?;
                let recovering = Nonce::new(take_u64(&mut rest).ok_or("the amnesia is cut off")?);
                if !rest.is_empty() {
                    return Err("the hard state is too long");
                }
                Ok(Self::HardState(HardState { term, vote: (vote != 0).then_some(vote), recovering }))
            }
            KIND_ENTRIES => {
                let mut entries = Vec::new();
                while !rest.is_empty() {
                    entries.push(take_entry(&mut rest).ok_or("an entry is cut off, or of an unknown kind")?);
                }
                Ok(Self::Entries(entries))
            }
            _ => Err("the record's kind is unknown"),
        }
    }
}

fn take_u8(bytes: &mut &[u8]) -> Option<u8> {
    bytes.split_off_first().copied()
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.split_off(..4)?.first_chunk()?))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.split_off(..8)?.first_chunk()?))
}

fn take_entry(bytes: &mut &[u8]) -> Option<Entry> {
    let (index, term) = (take_u64(bytes)?, take_u64(bytes)?);
    let payload = match take_u8(bytes)? {
        PAYLOAD_EMPTY => Payload::Empty,
        PAYLOAD_COMMAND => {
            let length = usize::try_from(take_u32(bytes)?).ok()?;
            Payload::Command(Arc::from(bytes.split_off(..length)?))
        }
        PAYLOAD_REINSTATE => Payload::Reinstate { node: take_u8(bytes)?, nonce: Nonce::new(take_u64(bytes)?)? },
        _ => return None,
    };
    Some(Entry { index, term, payload })
}

/// Adds a record of a hard state to `buffer`, whose first byte goes to `position` of the file.
pub(super) fn encode_hard_state(
    buffer: &mut Vec<u8>,
    position: u64,
    synced: u64,
    hard_state: HardState,
) -> Result<(), Error> {
    encode(buffer, position, synced, |buffer| {
        buffer.push(KIND_HARD_STATE);
        buffer.extend_from_slice(&hard_state.term.to_be_bytes());
        buffer.push(hard_state.vote.unwrap_or(0));
        buffer.extend_from_slice(&hard_state.recovering.map_or(0, Nonce::get).to_be_bytes());
    })
}

/// Adds a record of entries to `buffer`, whose first byte goes to `position` of the file. An error if the commands do
/// not fit into one record.
pub(super) fn encode_entries(buffer: &mut Vec<u8>, position: u64, synced: u64, entries: &[Entry]) -> Result<(), Error> {
    encode(buffer, position, synced, |buffer| {
        buffer.push(KIND_ENTRIES);
        for entry in entries {
            buffer.extend_from_slice(&entry.index.to_be_bytes());
            buffer.extend_from_slice(&entry.term.to_be_bytes());
            match &entry.payload {
                Payload::Empty => buffer.push(PAYLOAD_EMPTY),
                Payload::Command(command) => {
                    buffer.push(PAYLOAD_COMMAND);
                    // A length that is cut here makes the content longer than the limit, which is checked below.
                    buffer.extend_from_slice(&(command.len() as u32).to_be_bytes());
                    buffer.extend_from_slice(command);
                }
                Payload::Reinstate { node, nonce } => {
                    buffer.push(PAYLOAD_REINSTATE);
                    buffer.push(*node);
                    buffer.extend_from_slice(&nonce.get().to_be_bytes());
                }
            }
        }
    })
}

/// Adds a record of any content.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    position: u64,
    synced: u64,
    content: impl FnOnce(&mut Vec<u8>),
) -> Result<(), Error> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEADER]);
    content(buffer);
    let (header, content) = buffer[start..].split_first_chunk_mut::<HEADER>().expect("the header was added above");
    let limit = u32::MAX as usize;
    let length = u32::try_from(content.len());
    let length = length.map_err(|_| Error::TooLarge { what: "log record", size: content.len(), limit })?;
    header[0..4].copy_from_slice(&MAGIC.to_be_bytes());
    header[4..8].copy_from_slice(&length.to_be_bytes());
    header[8..16].copy_from_slice(&synced.to_be_bytes());
    header[16..20].copy_from_slice(&crc32fast::hash(content).to_be_bytes());
    let crc = header_checksum(header, position + start as u64);
    header[20..24].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}
