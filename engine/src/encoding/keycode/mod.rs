//! Keycode: keys whose bytes sort as their values do.
//!
//! A serde format. It is not self-describing: a key decodes only as the type that it was encoded from. The order of
//! the bytes is the order of the values as Rust derives it: field by field, variant by variant, sequences element by
//! element with a prefix first.
//!
//! | type | encoding |
//! |---|---|
//! | `bool` | one byte, 0 or 1 |
//! | unsigned integers | big-endian |
//! | signed integers | big-endian, sign bit flipped |
//! | floats | big-endian bits: all flipped when negative, else the sign bit (IEEE 754 total order) |
//! | strings, byte strings | each 0x00 followed by 0xff; ended by 0x00 0x00 |
//! | `Option` | 0, or 1 and the value |
//! | tuples, structs | one field after the other |
//! | sequences | 1 before each element; ended by 0 |
//! | enums | the variant's index as one byte, then its content |
//!
//! Maps cannot be keys. The approach is that of FoundationDB's tuple layer and toydb's keycode.

mod de;
mod ser;

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::storage::KeyRange;

impl serde::ser::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Key(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Key(message.to_string())
    }
}

/// Encodes a key.
pub fn serialize<T: Serialize + ?Sized>(key: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(32);
    serialize_into(&mut bytes, key)?;
    Ok(bytes)
}

/// Encodes a key at the end of `bytes`.
pub fn serialize_into<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, key: &T) -> Result<(), Error> {
    key.serialize(&mut ser::Serializer { bytes })
}

/// Decodes a key. Bytes that are left over are an error.
pub fn deserialize<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    let mut deserializer = de::Deserializer { bytes };
    let key = T::deserialize(&mut deserializer)?;
    match deserializer.bytes.len() {
        0 => Ok(key),
        n => Err(Error::Key(format!("{n} bytes are left over"))),
    }
}

/// The range of all keys that start with `prefix`.
pub fn prefix_range(prefix: &[u8]) -> KeyRange {
    // The end is the prefix with its last byte that is not 0xff incremented, and what follows cut off.
    let end = match prefix.iter().rposition(|&byte| byte != 0xff) {
        Some(position) => {
            let mut end = prefix[..=position].to_vec();
            end[position] += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    };
    (Bound::Included(prefix.to_vec()), end)
}

/// Appends a byte string with its escapes and its end.
pub fn escape_into(bytes: &mut Vec<u8>, content: &[u8]) {
    let mut rest = content;
    while let Some(position) = rest.iter().position(|&byte| byte == 0x00) {
        bytes.extend_from_slice(&rest[..=position]);
        bytes.push(0xff);
        rest = &rest[position + 1..];
    }
    bytes.extend_from_slice(rest);
    bytes.extend_from_slice(&[0x00, 0x00]);
}

/// Reads a byte string up to its end: its content, and what follows.
pub fn unescape(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), Error> {
    let mut content = Vec::new();
    let rest = unescape_into(&mut content, bytes)?;
    Ok((content, rest))
}

/// Appends a byte string that is read up to its end, and gives what follows.
pub fn unescape_into<'a>(content: &mut Vec<u8>, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    let mut rest = bytes;
    loop {
        let Some(position) = rest.iter().position(|&byte| byte == 0x00) else {
            return Err(Error::Key("a byte string does not end".into()));
        };
        content.extend_from_slice(&rest[..position]);
        match rest.get(position + 1) {
            Some(0x00) => return Ok(&rest[position + 2..]),
            Some(0xff) => content.push(0x00),
            Some(byte) => return Err(Error::Key(format!("0x00 is followed by {byte:#04x}"))),
            None => return Err(Error::Key("a byte string does not end".into())),
        }
        rest = &rest[position + 2..];
    }
}

#[cfg(test)]
mod tests;
