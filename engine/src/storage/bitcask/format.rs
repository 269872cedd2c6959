//! The bytes of a data file. Integers are big-endian.
//!
//! ```text
//! file       magic "OBC1" | generation u64 | base u64 | crc u32 |  records ...
//! record     magic "OBR1" | length u32 | synced u64 | content crc u32 | header crc u32 |  content (length bytes)
//! content    operations: key length u32 | value length u32, or ffffffff for a removal | key | value
//! ```
//!
//! A record's header checksum also covers the file's generation and the record's offset, which are not stored: a record
//! that was written elsewhere (misdirected, left over from an older file, or copied into a value by a user) is none here.
//! It covers the content's checksum, and so all of the record.

use std::fmt;

const FILE_MAGIC: [u8; 4] = *b"OBC1";
pub(super) const RECORD_MAGIC: [u8; 4] = *b"OBR1";

/// Bytes of a file's header.
pub(super) const FILE_HEADER: usize = 24;
/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 24;
/// Bytes of an operation besides its key and value.
pub(super) const OPERATION_HEADER: usize = 8;

/// A value length that marks a removal. No value is as long.
const REMOVAL: u32 = u32::MAX;

/// What a file says about itself. It is written last, and synced before the file gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// How many files came before, plus one.
    pub generation: u64,
    /// How many bytes were durable when the file got its name.
    pub base: u64,
}

impl FileHeader {
    pub(super) fn encode(self) -> [u8; FILE_HEADER] {
        let mut bytes = [0; FILE_HEADER];
        bytes[0..4].copy_from_slice(&FILE_MAGIC);
        bytes[4..12].copy_from_slice(&self.generation.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.base.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The header in the first [`FILE_HEADER`] bytes, or what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes[0..4] != FILE_MAGIC {
            return Err(Flaw::FileMagic);
        }
        if u32_at(bytes, 20) != crc32fast::hash(&bytes[..20]) {
            return Err(Flaw::FileHeader);
        }
        Ok(Self { generation: u64_at(bytes, 4), base: u64_at(bytes, 12) })
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Bytes of content.
    pub length: u32,
    /// How much of the file was known to be durable when the record was written.
    pub synced: u64,
    /// The checksum of the content.
    pub content_crc: u32,
}

impl RecordHeader {
    fn encode(self, generation: u64, offset: u64) -> [u8; RECORD_HEADER] {
        let mut bytes = [0; RECORD_HEADER];
        bytes[0..4].copy_from_slice(&RECORD_MAGIC);
        bytes[4..8].copy_from_slice(&self.length.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.synced.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.content_crc.to_be_bytes());
        let crc = Self::checksum(&bytes, generation, offset);
        bytes[20..24].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The header in the first [`RECORD_HEADER`] bytes, which were read at `offset`, or what is wrong with it.
    pub(super) fn decode(bytes: &[u8], generation: u64, offset: u64) -> Result<Self, Flaw> {
        if bytes[0..4] != RECORD_MAGIC {
            return Err(Flaw::RecordMagic);
        }
        if u32_at(bytes, 20) != Self::checksum(bytes, generation, offset) {
            return Err(Flaw::RecordHeader);
        }
        Ok(Self { length: u32_at(bytes, 4), synced: u64_at(bytes, 8), content_crc: u32_at(bytes, 16) })
    }

    fn checksum(bytes: &[u8], generation: u64, offset: u64) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&generation.to_be_bytes());
        hasher.update(&offset.to_be_bytes());
        hasher.update(&bytes[..20]);
        hasher.finalize()
    }
}

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    FileMagic,
    FileHeader,
    RecordMagic,
    RecordHeader,
    Content,
    Operation,
    End,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileMagic => "this is not a BitCask file, or one of another version",
            Self::FileHeader => "the checksum of the file's header does not match",
            Self::RecordMagic => "no record starts here",
            Self::RecordHeader => "the checksum of a record's header does not match",
            Self::Content => "the checksum of a record's content does not match",
            Self::Operation => "an operation goes past the end of its record",
            Self::End => "the file ends",
        })
    }
}

/// A record in the making, in a buffer that is used again.
#[derive(Debug)]
pub(super) struct RecordBuffer {
    bytes: Vec<u8>,
}

impl RecordBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; RECORD_HEADER] }
    }

    /// Starts another record. A buffer that had to grow beyond `keep` bytes gives them back.
    pub(super) fn clear(&mut self, keep: usize) {
        self.bytes.truncate(RECORD_HEADER);
        self.bytes.shrink_to(keep);
    }

    /// Bytes of content so far.
    pub(super) fn content_len(&self) -> usize {
        self.bytes.len() - RECORD_HEADER
    }

    /// Adds an operation.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.push_head(key, value.map_or(REMOVAL, |value| value.len() as u32));
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// Adds an operation that sets a key. Returns the position of the value in the record, and its bytes to be filled.
    pub(super) fn push_uninit(&mut self, key: &[u8], len: u32) -> (usize, &mut [u8]) {
        self.push_head(key, len);
        let start = self.bytes.len();
        self.bytes.resize(start + len as usize, 0);
        (start, &mut self.bytes[start..])
    }

    fn push_head(&mut self, key: &[u8], value_len: u32) {
        self.bytes.extend_from_slice(&(key.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(&value_len.to_be_bytes());
        self.bytes.extend_from_slice(key);
    }

    /// Adds bytes that need not be an operation.
    #[cfg(test)]
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes fit before it grows.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Completes the record, to be written at `offset`.
    pub(super) fn seal(&mut self, generation: u64, offset: u64, synced: u64) -> &[u8] {
        let (header, content) = self.bytes.split_at_mut(RECORD_HEADER);
        let content_crc = crc32fast::hash(content);
        let sealed = RecordHeader { length: content.len() as u32, synced, content_crc };
        header.copy_from_slice(&sealed.encode(generation, offset));
        &self.bytes
    }
}

/// One operation of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation<'a> {
    pub key: &'a [u8],
    /// `None` for a removal.
    pub value: Option<&'a [u8]>,
    /// Where the value starts in the content.
    pub position: usize,
}

/// The operations of a record's content. Ends after a flaw.
pub(super) fn operations(content: &[u8]) -> impl Iterator<Item = Result<Operation<'_>, Flaw>> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let operation = split_operation(&mut rest, content.len()).ok_or(Flaw::Operation);
        if operation.is_err() {
            rest = &[];
        }
        Some(operation)
    })
}

fn split_operation<'a>(rest: &mut &'a [u8], content_len: usize) -> Option<Operation<'a>> {
    let head = rest.split_off(..OPERATION_HEADER)?;
    let key = rest.split_off(..u32_at(head, 0) as usize)?;
    let position = content_len - rest.len();
    let value = match u32_at(head, 4) {
        REMOVAL => None,
        len => Some(rest.split_off(..len as usize)?),
    };
    Some(Operation { key, value, position })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
