//! The reads that a commit validates: keys, and disjoint ranges of keys.
//!
//! Ranges that overlap or touch are merged and keys within them dropped, so that a transaction that reads the same data
//! again and again, or a neighbourhood piece by piece, records it once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::storage::KeyRange;

/// A set of keys and ranges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reads {
    keys: BTreeSet<Vec<u8>>,
    /// Each range's end by its first key. No two ranges overlap or touch, and none is empty.
    ranges: BTreeMap<Vec<u8>, End>,
}

/// The end of a range. A later end is greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum End {
    Before(Vec<u8>),
    Never,
}

impl End {
    fn is_after(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => end.as_slice() > key,
            Self::Never => true,
        }
    }
}

impl Reads {
    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }

    /// Adds a key.
    pub fn add_key(&mut self, key: &[u8]) {
        if !self.keys.contains(key) && !self.covers(key) {
            self.keys.insert(key.to_vec());
        }
    }

    /// Adds a range.
    pub fn add_range(&mut self, (start, end): &KeyRange) {
        // Every key has a next one: itself and a zero byte. So each bound is a first key, or a key to stop before.
        let next = |key: &[u8]| [key, &[0]].concat();
        let mut start = match start {
            Bound::Included(key) => key.clone(),
            Bound::Excluded(key) => next(key),
            Bound::Unbounded => Vec::new(),
        };
        let mut end = match end {
            Bound::Included(key) => End::Before(next(key)),
            Bound::Excluded(key) => End::Before(key.clone()),
            Bound::Unbounded => End::Never,
        };
        if !end.is_after(&start) || self.last_up_to(&start).is_some_and(|(_, last)| *last >= end) {
            return;
        }
        // Absorb the ranges that the new one overlaps or touches, from the last one on backwards.
        while let Some((first, last)) = match &end {
            End::Before(key) => self.last_up_to(key),
            End::Never => self.ranges.last_key_value(),
        } && (first >= &start || *last >= End::Before(start.clone()))
        {
            let first = first.clone();
            end = end.max(self.ranges.remove(&first).expect("the range was found just now"));
            start = start.min(first);
        }
        self.ranges.insert(start, end);
    }

    /// The keys that no range covers, and the ranges, in order.
    pub fn into_parts(mut self) -> (BTreeSet<Vec<u8>>, Vec<KeyRange>) {
        let mut keys = std::mem::take(&mut self.keys);
        keys.retain(|key| !self.covers(key));
        let bounds = |(start, end)| match end {
            End::Before(end) => (Bound::Included(start), Bound::Excluded(end)),
            End::Never => (Bound::Included(start), Bound::Unbounded),
        };
        (keys, self.ranges.into_iter().map(bounds).collect())
    }

    fn covers(&self, key: &[u8]) -> bool {
        self.last_up_to(key).is_some_and(|(_, end)| end.is_after(key))
    }

    /// The last range that starts at a key or before it.
    fn last_up_to(&self, key: &[u8]) -> Option<(&Vec<u8>, &End)> {
        self.ranges.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use bolero::check;

    use super::*;

    /// Keys with successors that are keys too.
    const KEYS: [&[u8]; 8] = [b"", b"\0", b"a", b"a\0", b"a\0\0", b"b", b"b\xff", b"c"];

    fn bound(kind: u8, key: u8) -> Bound<Vec<u8>> {
        let key = KEYS[usize::from(key) % KEYS.len()].to_vec();
        match kind % 5 {
            0 | 1 => Bound::Included(key),
            2 | 3 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        }
    }

    #[test]
    fn holds_exactly_what_was_added() {
        check!().with_type::<(Vec<u8>, Vec<(u8, u8, u8, u8)>, Vec<u8>)>().with_iterations(20_000).for_each(
            |(before, ranges, after)| {
                let key = |index: &u8| KEYS[usize::from(*index) % KEYS.len()];
                let ranges: Vec<KeyRange> = ranges.iter().map(|(a, b, c, d)| (bound(*a, *b), bound(*c, *d))).collect();
                let mut reads = Reads::default();
                for index in before {
                    reads.add_key(key(index));
                }
                for range in &ranges {
                    reads.add_range(range);
                }
                for index in after {
                    reads.add_key(key(index));
                }
                let (keys, merged) = reads.into_parts();

                for probe in KEYS {
                    let in_range = ranges.iter().any(|range| range.contains(&probe.to_vec()));
                    let in_merged = merged.iter().filter(|range| range.contains(&probe.to_vec())).count();
                    assert_eq!(in_merged, usize::from(in_range), "{probe:x?} in {ranges:x?}: {merged:x?}");
                    let added = before.iter().chain(after).any(|index| key(index) == probe);
                    assert_eq!(keys.contains(probe), added && !in_range, "{probe:x?}");
                }
                for pair in merged.windows(2) {
                    let (Bound::Excluded(end), Bound::Included(start)) = (&pair[0].1, &pair[1].0) else {
                        panic!("an unbounded range is not alone: {merged:x?}")
                    };
                    assert!(end < start, "ranges overlap or touch: {merged:x?}");
                }
            },
        );
    }

    #[test]
    fn a_range_that_is_read_again_takes_no_more_room() {
        let mut reads = Reads::default();
        for n in 0..100u8 {
            reads.add_range(&(Bound::Included(vec![n]), Bound::Excluded(vec![n + 1])));
            reads.add_range(&(Bound::Included(vec![10]), Bound::Included(vec![20])));
            reads.add_key(&[n]);
        }
        let (keys, ranges) = reads.into_parts();
        assert_eq!((keys.len(), ranges), (0, vec![(Bound::Included(vec![0]), Bound::Excluded(vec![100]))]));
    }
}
