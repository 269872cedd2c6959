//! How versions and metadata lie in a storage.
//!
//! The storage key of a version is the user's key, escaped and terminated, then the position big-endian, then the
//! kind: so the versions of a key stand side by side, oldest first, and keys keep their order. Since the kind is a part
//! of the key, conflict checks and garbage collection read no values, and a value is stored as the user gave it.
//! Unversioned metadata has a key space of its own: the store's positions, and what the caller keeps there.

use std::ops::Bound;

use super::{Error, Version};
use crate::encoding::keycode::{escape_into, unescape, unescape_into};
use crate::storage::{self, KeyRange};

/// First byte of the storage keys of metadata and of versions.
const META: u8 = 0;
const VERSIONED: u8 = 1;

/// The store's own metadata. The caller's keys have another byte after [`META`].
pub(super) const APPLIED: &[u8] = &[META, 0, 0];
pub(super) const WATERMARK: &[u8] = &[META, 0, 1];
pub(super) const SWEPT: &[u8] = &[META, 0, 2];
/// What the keys of times begin with. A position follows, big-endian; the value is the time of the commits from there on.
const TIME: &[u8] = &[META, 0, 3];

/// The key of the time from a position on.
pub(super) fn time_key(version: Version) -> Vec<u8> {
    [TIME, &version.to_be_bytes()].concat()
}

/// Takes the key of a time apart; `None` if it is another key.
pub(super) fn time_position(key: &[u8]) -> Option<Version> {
    let position = key.strip_prefix(TIME)?;
    Some(Version::from_be_bytes(position.try_into().ok()?))
}

/// Last byte of a version's storage key.
const TOMBSTONE: u8 = 0;
const VALUE: u8 = 1;

/// How many bytes follow the user's key: the position and the kind.
const SUFFIX: usize = 9;

/// The storage key of a version.
#[derive(Clone, Debug)]
pub(super) struct VersionKey(Vec<u8>);

impl VersionKey {
    pub fn new(key: &[u8], version: Version, tombstone: bool) -> Self {
        let mut bytes = prefix(key);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.push(if tombstone { TOMBSTONE } else { VALUE });
        Self(bytes)
    }

    /// Takes a key from storage.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        match bytes.as_slice() {
            [VERSIONED, .., TOMBSTONE | VALUE] if bytes.len() > SUFFIX => Ok(Self(bytes)),
            _ => Err(invalid(format!("{bytes:02x?} is no key of a version"))),
        }
    }

    /// What the versions of one key have in common, and no other key has.
    pub fn stem(&self) -> &[u8] {
        &self.0[..self.0.len() - SUFFIX]
    }

    pub fn version(&self) -> Version {
        let start = self.0.len() - SUFFIX;
        Version::from_be_bytes(self.0[start..start + 8].try_into().expect("eight bytes"))
    }

    pub fn is_tombstone(&self) -> bool {
        self.0.ends_with(&[TOMBSTONE])
    }

    pub fn user_key(&self) -> Result<Vec<u8>, Error> {
        let (key, _) = unescape(&self.stem()[1..]).map_err(storage::Error::from)?;
        Ok(key)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a storage key is that of a version of the same key.
    pub fn is_of_same_key(&self, other: &[u8]) -> bool {
        other.len() == self.0.len() && other.starts_with(self.stem())
    }
}

/// The storage key of a version, as it lies in the storage.
#[derive(Clone, Copy)]
pub(super) struct VersionRef<'a>(&'a [u8]);

impl<'a> VersionRef<'a> {
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes {
            [VERSIONED, .., TOMBSTONE | VALUE] if bytes.len() > SUFFIX => Ok(Self(bytes)),
            _ => Err(invalid(format!("{bytes:02x?} is no key of a version"))),
        }
    }

    /// See [`VersionKey::stem`].
    #[inline]
    pub fn stem(self) -> &'a [u8] {
        &self.0[..self.0.len() - SUFFIX]
    }

    #[inline]
    pub fn version(self) -> Version {
        let start = self.0.len() - SUFFIX;
        Version::from_be_bytes(self.0[start..start + 8].try_into().expect("eight bytes"))
    }

    #[inline]
    pub fn is_tombstone(self) -> bool {
        self.0.ends_with(&[TOMBSTONE])
    }

    /// Whether the other one is a version of the same key. Neighbours differ at the end of the key for the most part, so
    /// that is looked at first.
    #[inline]
    pub fn is_of_same_key(self, other: Self) -> bool {
        let (a, b) = (self.stem(), other.stem());
        a.len() == b.len() && a.last_chunk::<8>() == b.last_chunk::<8>() && a == b
    }

    /// Appends the user's key.
    pub fn user_key_into(self, key: &mut Vec<u8>) -> Result<(), Error> {
        unescape_into(key, &self.stem()[1..]).map_err(storage::Error::from)?;
        Ok(())
    }
}

/// The storage key of the caller's metadata.
pub(super) fn meta_key(key: &[u8]) -> Vec<u8> {
    [&[META, 1], key].concat()
}

/// All versions of all keys.
pub(super) fn all_versions() -> KeyRange {
    (Bound::Included(vec![VERSIONED]), Bound::Excluded(vec![VERSIONED + 1]))
}

/// All versions of a range of keys.
pub(super) fn versions_in((start, end): &KeyRange) -> KeyRange {
    let last = |key: &[u8]| VersionKey::new(key, Version::MAX, false).0;
    let (first_of_all, end_of_all) = all_versions();
    let start = match start {
        Bound::Included(key) => Bound::Included(prefix(key)),
        Bound::Excluded(key) => Bound::Excluded(last(key)),
        Bound::Unbounded => first_of_all,
    };
    let end = match end {
        Bound::Included(key) => Bound::Included(last(key)),
        Bound::Excluded(key) => Bound::Excluded(prefix(key)),
        Bound::Unbounded => end_of_all,
    };
    (start, end)
}

/// The storage key of a user's key up to where its versions differ.
fn prefix(key: &[u8]) -> Vec<u8> {
    // One byte before the key, two after it, the suffix, and a few escapes.
    let mut bytes = Vec::with_capacity(key.len() + SUFFIX + 7);
    bytes.push(VERSIONED);
    escape_into(&mut bytes, key);
    bytes
}

pub(super) fn invalid(reason: String) -> Error {
    Error::Storage(crate::encoding::Error::Value(reason).into())
}
