//! Storage in memory: an ordered map. Nothing survives the process; a node that uses it re-applies its whole log.
//!
//! Short keys and values lie in the nodes of the map, so that looking for a key follows no pointer for each comparison.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use super::{Batch, Entry, Error, KeyRange, Pair, Status, Storage, is_empty_range};

/// An ordered map as a store.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    data: BTreeMap<Key, Value>,
    size: u64,
}

type Key = Bytes<22>;
type Value = Bytes<30>;

/// Bytes, of which few stand here and many elsewhere. Ordered as such.
#[derive(Clone, Debug)]
enum Bytes<const N: usize> {
    /// With zeros after them.
    Few {
        length: u8,
        bytes: [u8; N],
    },
    Many(Box<[u8]>),
}

impl<const N: usize> Bytes<N> {
    fn new(content: Vec<u8>) -> Self {
        Self::few(&content).unwrap_or_else(|| Self::Many(content.into_boxed_slice()))
    }

    /// Bytes that are few enough to stand here.
    #[inline]
    fn few(content: &[u8]) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..content.len())?.copy_from_slice(content);
        Some(Self::Few { length: content.len() as u8, bytes })
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Few { length, bytes } => &bytes[..usize::from(*length)],
            Self::Many(bytes) => bytes,
        }
    }
}

impl<const N: usize> Borrow<[u8]> for Bytes<N> {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl<const N: usize> PartialEq for Bytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<const N: usize> Eq for Bytes<N> {}

impl<const N: usize> PartialOrd for Bytes<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Bytes<N> {
    /// The order of the slices, which few bytes have with their zeros too: where one is the start of the other, the zeros are
    /// less than what follows there, or the same, and then the longer one is greater. Since the length is then known when
    /// this is compiled, it takes no call.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Few { length: a_length, bytes: a }, Self::Few { length: b_length, bytes: b }) => {
                a.cmp(b).then(a_length.cmp(b_length))
            }
            _ => self.as_slice().cmp(other.as_slice()),
        }
    }
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last pair up to a key.
    fn last_pair(&self, key: &[u8]) -> Option<(&Key, &Value)> {
        match Key::few(key) {
            Some(key) => self.data.range(..=key).next_back(),
            None => self.data.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back(),
        }
    }

    fn range(&self, range: &KeyRange) -> Option<Range<'_, Key, Value>> {
        let (start, end) = range;
        let borrowed = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        (!is_empty_range(range)).then(|| self.data.range::<[u8], _>(borrowed))
    }
}

impl Storage for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = match Key::few(key) {
            Some(key) => self.data.get(&key),
            None => self.data.get(key),
        };
        Ok(value.map(|value| value.as_slice().to_vec()))
    }

    fn scan(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Pair, Error>> + '_ {
        let pairs = self.range(&range).into_iter().flatten();
        pairs.map(|(key, value)| Ok((key.as_slice().to_vec(), value.as_slice().to_vec())))
    }

    fn scan_keys(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Vec<u8>, Error>> + '_ {
        self.range(&range).into_iter().flatten().map(|(key, _)| Ok(key.as_slice().to_vec()))
    }

    fn entries(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Entry<'_>, Error>> + '_ {
        let pairs = self.range(&range).unwrap_or_default();
        pairs.map(|(key, value)| Ok(Entry { key: Cow::Borrowed(key.as_slice()), value: Some(value.as_slice()) }))
    }

    fn last_up_to(&self, key: &[u8]) -> Result<Option<Entry<'_>>, Error> {
        Ok(self
            .last_pair(key)
            .map(|(key, value)| Entry { key: Cow::Borrowed(key.as_slice()), value: Some(value.as_slice()) }))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Error> {
        for (key, value) in batch.operations {
            let key_size = key.len() as u64;
            let (added, old) = match value {
                Some(value) => (key_size + value.len() as u64, self.data.insert(Key::new(key), Value::new(value))),
                None => (0, self.data.remove(&Key::new(key))),
            };
            self.size = self.size + added - old.map_or(0, |old| key_size + old.as_slice().len() as u64);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn status(&self) -> Status {
        Status { name: "memory", keys: self.data.len() as u64, size: self.size, disk_size: 0, live_disk_size: 0 }
    }
}

#[cfg(test)]
mod tests {
    use bolero::check;

    use super::*;

    #[test]
    fn bytes_are_ordered_as_slices_are() {
        // Of three values, so that there are many starts of others, and zeros at their ends.
        let content = |bytes: &[u8]| bytes.iter().map(|byte| [0, 1, 255][usize::from(byte % 3)]).collect::<Vec<u8>>();
        check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().for_each(|(a, b, shared)| {
            let (a, mut b) = (content(a), content(b));
            b.splice(..0, a.iter().copied().take(usize::from(*shared)));
            assert_eq!(Bytes::<4>::new(a.clone()).cmp(&Bytes::new(b.clone())), a.cmp(&b), "{a:?} and {b:?}");
        });
    }
}
