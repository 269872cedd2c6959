//! Storage in memory: a tree of leaves of packed pairs. Nothing survives the process; a node that uses it re-applies its
//! whole log.
//!
//! It has two levels (an ordered map of [`leaf::Leaf`]s by a key that is not after their first), so that a scan reads memory
//! in order, and a search passes few branches.

mod key;
mod leaf;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use self::key::Key;
use self::leaf::{LEAF, Leaf};
use super::bitcask::check_size;
use super::{Batch, Entry, Error, KeyRange, Pair, Status, Storage, is_empty_range};

/// A store in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// By a key that is greater than all of the leaf before, and not greater than any of the leaf: the empty one for the
    /// first. No leaf is empty.
    leaves: BTreeMap<Key, Leaf>,
    keys: u64,
    size: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The leaf where a key is, if it is anywhere.
    #[inline]
    fn leaf(&self, key: &[u8]) -> Option<(&Key, &Leaf)> {
        self.leaves.range(..=Key::new(key)).next_back()
    }

    /// The last pair up to a key.
    fn last_pair(&self, key: &[u8]) -> Option<(&[u8], &[u8])> {
        let (first, leaf) = self.leaf(key)?;
        match leaf.up_to(key) {
            0 => {
                let (_, before) = self.leaves.range(..first).next_back()?;
                before.pair(before.len() - 1)
            }
            count => leaf.pair(count - 1),
        }
    }

    /// The pairs of a range.
    fn pairs(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        let leaves = (!is_empty_range(&range)).then(|| {
            let start = match &range.0 {
                Bound::Included(key) | Bound::Excluded(key) => self.leaf(key).map(|(key, _)| key.clone()),
                Bound::Unbounded => None,
            };
            let end = range.1.as_ref().map(|key| Key::new(key));
            self.leaves.range((start.map_or(Bound::Unbounded, Bound::Included), end))
        });
        leaves.into_iter().flatten().flat_map(move |(_, leaf)| {
            leaf.within(range.0.as_ref().map(Vec::as_slice), range.1.as_ref().map(Vec::as_slice))
        })
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        let leaf = match self.leaves.range_mut(..=Key::new(key)).next_back() {
            Some((_, leaf)) => leaf,
            None => self.leaves.entry(Key::new(&[])).or_default(),
        };
        let old = leaf.set(key, value);
        if let Some(right) = leaf.split()
            && let Some((first, _)) = right.pair(0)
        {
            self.leaves.insert(Key::new(first), right);
        }
        self.keys += u64::from(old.is_none());
        let before = old.map_or(0, |old| key.len() + old);
        self.size = self.size + (key.len() + value.len()) as u64 - before as u64;
    }

    fn remove(&mut self, key: &[u8]) {
        let Some((first, leaf)) = self.leaves.range_mut(..=Key::new(key)).next_back() else { return };
        let Some(value) = leaf.remove(key) else { return };
        if leaf.live() < LEAF / 4 {
            let first = first.clone();
            self.join(&first);
        }
        self.size -= (key.len() + value) as u64;
        self.keys -= 1;
    }

    /// Puts the next leaf into one that has become small, if they are not much together.
    fn join(&mut self, first: &Key) {
        let mut leaves = self.leaves.range_mut(first..);
        let Some((_, leaf)) = leaves.next() else { return };
        match leaves.next() {
            Some((next, other)) if leaf.len() == 0 || leaf.live() + other.live() <= LEAF / 2 => {
                leaf.append(other);
                let next = next.clone();
                self.leaves.remove(&next);
            }
            None if leaf.len() == 0 => drop(self.leaves.remove(first)),
            _ => {}
        }
    }
}

impl Storage for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.leaf(key).and_then(|(_, leaf)| leaf.get(key)).map(<[u8]>::to_vec))
    }

    fn scan(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Pair, Error>> + '_ {
        self.pairs(range).map(|(key, value)| Ok((key.to_vec(), value.to_vec())))
    }

    fn scan_keys(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Vec<u8>, Error>> + '_ {
        self.pairs(range).map(|(key, _)| Ok(key.to_vec()))
    }

    fn entries(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<Entry<'_>, Error>> + '_ {
        self.pairs(range).map(|(key, value)| Ok(Entry { key: Cow::Borrowed(key), value: Some(value) }))
    }

    fn last_up_to(&self, key: &[u8]) -> Result<Option<Entry<'_>>, Error> {
        Ok(self.last_pair(key).map(|(key, value)| Entry { key: Cow::Borrowed(key), value: Some(value) }))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Error> {
        // The limits of the store on disk, so that what a replica can hold does not depend on its store.
        check_size(&batch)?;
        for (key, value) in &batch.operations {
            match value {
                Some(value) => self.set(key, value),
                None => self.remove(key),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn status(&self) -> Status {
        Status { name: "memory", keys: self.keys, size: self.size, disk_size: 0, live_disk_size: 0 }
    }
}

#[cfg(test)]
mod tests {
    use bolero::{TypeGenerator, check};

    use super::*;

    #[derive(Clone, Debug, TypeGenerator)]
    enum Step {
        /// Keys one after the other, from one on.
        Run(u16, u8, u8),
        Set(u16, u8),
        Remove(u16),
        RemoveRun(u16, u8),
    }

    fn key(number: u16) -> Vec<u8> {
        format!("{:03}", number % 400).into_bytes()
    }

    impl Step {
        fn batch(&self) -> Batch {
            let mut batch = Batch::default();
            match self {
                Self::Run(from, count, length) => {
                    (*from..from.saturating_add((*count).into()))
                        .for_each(|number| batch.set(key(number), vec![*count; usize::from(length % 40)]));
                }
                Self::Set(number, length) => batch.set(key(*number), vec![*length; usize::from(*length)]),
                Self::Remove(number) => batch.delete(key(*number)),
                Self::RemoveRun(from, count) => {
                    (*from..from.saturating_add((*count).into())).for_each(|number| batch.delete(key(number)));
                }
            }
            batch
        }
    }

    #[test]
    fn leaves_stay_in_order_and_few() {
        check!().with_type::<Vec<Step>>().with_iterations(3_000).for_each(|steps| {
            let (mut memory, mut model) = (Memory::new(), BTreeMap::new());
            for step in steps {
                let batch = step.batch();
                for (key, value) in batch.operations.clone() {
                    match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                }
                memory.apply(batch).unwrap();
                let found: Vec<Pair> = memory.scan((Bound::Unbounded, Bound::Unbounded)).map(Result::unwrap).collect();
                assert!(found.iter().map(|(key, value)| (key, value)).eq(&model));
                let mut leaves = memory.leaves.iter().peekable();
                let mut live = 0;
                while let Some((first, leaf)) = leaves.next() {
                    assert!(leaf.len() > 0, "a leaf is empty");
                    assert!(*first <= Key::new(leaf.pair(0).unwrap().0), "a leaf begins before its key");
                    let last = Key::new(leaf.pair(leaf.len() - 1).unwrap().0);
                    assert!(leaves.peek().is_none_or(|(next, _)| last < **next), "leaves overlap");
                    live += leaf.live() as u64;
                }
                assert_eq!(live, memory.size);
                for number in 0..400 {
                    let key = key(number);
                    assert_eq!(memory.get(&key).unwrap().as_ref(), model.get(&key));
                    let last = memory.last_up_to(&key).unwrap().map(|entry| entry.key.into_owned());
                    assert_eq!(last.as_ref(), model.range(..=key).next_back().map(|(key, _)| key));
                }
            }
        });
    }

    /// What comes in order fills the leaves, also where other keys follow.
    #[test]
    fn what_comes_in_order_is_packed() {
        for follows in [false, true] {
            let mut memory = Memory::new();
            if follows {
                memory.set(b"x", b"");
            }
            (0..400).for_each(|number| memory.set(&key(number), b"12345"));
            assert!(memory.leaves.len() <= 400 * 8 / 48 + 2, "{} leaves", memory.leaves.len());
        }
    }
}
