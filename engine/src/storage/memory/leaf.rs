//! A run of pairs in order of their keys, in one piece of memory: a slotted page.
//!
//! The bytes of a pair are appended, and slots in the order of the keys say where they are. So pairs that came in order are
//! read in order, and one that comes between others moves their slots only. Some bytes of each key stand in its slot, so that
//! a search looks at little else. What replaced and removed pairs leave behind is given back when it is more than what is
//! there.

use std::cmp::Ordering;
use std::ops::Bound;

/// A leaf of more bytes of pairs is split, unless it is one pair. Tiny in tests, so that their few keys need several.
pub(super) const LEAF: usize = if cfg!(test) { 48 } else { 4096 };

/// How many bytes a leaf of small pairs takes at most with the lengths of their keys, for the most part.
const MOST: usize = LEAF + LEAF / 8;

/// How many bytes that all keys begin with are left out of their heads at most.
const SHARED: usize = if cfg!(test) { 2 } else { 24 };

/// Where a pair is: how long its key is (a [`Length`]), the key, and the value.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// What follows in the key after the first [`Leaf::common`] bytes, see [`head`].
    head: u64,
    start: u32,
    /// How many bytes the key and the value have together.
    size: u32,
}

/// How long a key is, as it stands before the key.
type Length = [u8; 4];

/// How many slots are as long as a cache line.
const LINE: usize = 64 / size_of::<Slot>();

impl Slot {
    /// Where the value ends.
    fn end(&self) -> usize {
        self.start as usize + size_of::<Length>() + self.size as usize
    }
}

/// Pairs in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    /// How many bytes the pairs take.
    live: usize,
    /// Bytes that all keys begin with, and how many.
    shared: [u8; SHARED],
    common: usize,
    /// Where the last new pair came, and whether right after the one before.
    last: usize,
    ascending: bool,
}

impl Leaf {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many bytes the pairs take.
    pub fn live(&self) -> usize {
        self.live
    }

    #[inline]
    fn key(&self, slot: &Slot) -> &[u8] {
        self.at(slot).0
    }

    /// The key and the value of a slot.
    #[inline]
    fn at(&self, slot: &Slot) -> (&[u8], &[u8]) {
        pair_at(&self.bytes, slot)
    }

    /// How many bytes the pairs take with the lengths of their keys.
    fn needed(&self) -> usize {
        self.live + self.len() * size_of::<Length>()
    }

    /// A pair by its position.
    pub fn pair(&self, position: usize) -> Option<(&[u8], &[u8])> {
        self.slots.get(position).map(|slot| self.at(slot))
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let position = self.find(key).ok()?;
        self.pair(position).map(|(_, value)| value)
    }

    /// Where a key is, or would be.
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let position = self.before(key);
        match self.slots.get(position) {
            Some(slot) if self.key(slot) == key => Ok(position),
            _ => Err(position),
        }
    }

    /// How many keys are before one.
    pub fn before(&self, key: &[u8]) -> usize {
        self.search(key, Ordering::is_lt)
    }

    /// How many keys are not after one.
    #[inline]
    pub fn up_to(&self, key: &[u8]) -> usize {
        self.search(key, Ordering::is_le)
    }

    /// How many keys there are whose order to one is as `wanted`.
    #[inline]
    fn search(&self, key: &[u8], wanted: impl Fn(Ordering) -> bool) -> usize {
        let shared = &self.shared[..self.common];
        match shared.cmp(&key[..shared.len().min(key.len())]) {
            Ordering::Less => self.len(),
            Ordering::Greater => 0,
            Ordering::Equal => {
                let head = head(&key[shared.len()..]);
                let from = self.heads_below(head);
                let alike = self.slots[from..].iter().take_while(|slot| slot.head == head).count();
                let alike = &self.slots[from..from + alike];
                from + alike.partition_point(|slot| wanted(self.key(slot).cmp(key)))
            }
        }
    }

    /// How many slots have a smaller head. Looks at one slot of each cache line, then at those between two of these: no look
    /// waits for what another one finds, as those of a binary search do, so that waiting for memory is done at once.
    #[inline]
    fn heads_below(&self, head: u64) -> usize {
        let below = |slot: &&Slot| slot.head < head;
        let lines = self.slots.iter().step_by(LINE).filter(below).count();
        let start = lines.saturating_sub(1) * LINE;
        start + self.slots[start..].iter().take(LINE).filter(below).count()
    }

    /// The pairs between two bounds, of which the first is not after the second.
    pub fn within(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + use<'_> {
        let start = match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.before(key),
            Bound::Excluded(key) => self.up_to(key),
        };
        let end = match end {
            Bound::Unbounded => self.len(),
            Bound::Included(key) => self.up_to(key),
            Bound::Excluded(key) => self.before(key),
        };
        self.slots[start..end].iter().map(|slot| self.at(slot))
    }

    /// Sets the value of a key. Returns how long the value was before, if there was one.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Option<usize> {
        match self.find(key) {
            Ok(position) => {
                let slot = self.slots[position];
                let (_, old) = self.at(&slot);
                let (old, end) = (old.len(), slot.end());
                if value.len() <= old {
                    let start = end - old;
                    self.bytes[start..start + value.len()].copy_from_slice(value);
                    self.slots[position].size = (key.len() + value.len()) as u32;
                } else {
                    self.slots[position] = self.push(key, value);
                }
                self.live = self.live + value.len() - old;
                self.tidy();
                Some(old)
            }
            Err(position) => {
                self.ascending = self.len() > 0 && position == self.last + 1;
                self.last = position;
                let slot = self.push(key, value);
                self.slots.insert(position, slot);
                self.live += key.len() + value.len();
                if position == 0 || position + 1 == self.len() {
                    self.share();
                }
                None
            }
        }
    }

    /// Appends the bytes of a pair.
    fn push(&mut self, key: &[u8], value: &[u8]) -> Slot {
        let length: Length = (key.len() as u32).to_le_bytes();
        let (start, needed) = (self.bytes.len(), length.len() + key.len() + value.len());
        if self.bytes.capacity() - start < needed {
            // No more than a full leaf needs: there are many.
            let room = (2 * self.bytes.capacity()).clamp(LEAF / 32, MOST).max(start + needed);
            self.bytes.reserve_exact(room - start);
        }
        self.bytes.extend_from_slice(&length);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        // Sizes are limited, so that one pair over the limit of a leaf, and as many bytes that are left behind, fit.
        let start = u32::try_from(start).expect("a leaf has less than 4 GiB");
        let head = head(key.get(self.common..).unwrap_or_default());
        Slot { head, start, size: (key.len() + value.len()) as u32 }
    }

    /// Finds out what all keys begin with, now that there is another first or last one.
    fn share(&mut self) {
        let [first, .., last] = self.slots.as_slice() else { return };
        // What the first and the last one have in common, those between them have.
        let (first, last) = (self.key(first), self.key(last));
        let common = first.iter().zip(last).take(SHARED).take_while(|(a, b)| a == b).count();
        if common != self.common {
            let mut shared = [0; SHARED];
            shared[..common].copy_from_slice(&first[..common]);
            (self.shared, self.common) = (shared, common);
            for slot in &mut self.slots {
                let (key, _) = pair_at(&self.bytes, slot);
                slot.head = head(&key[common..]);
            }
        }
    }

    /// Removes a key. Returns how long its value was, if there was one.
    pub fn remove(&mut self, key: &[u8]) -> Option<usize> {
        let position = self.find(key).ok()?;
        let slot = self.slots.remove(position);
        let (_, value) = self.at(&slot);
        let value = value.len();
        self.live -= slot.size as usize;
        if self.slots.is_empty() {
            self.common = 0;
        }
        self.tidy();
        Some(value)
    }

    /// Gives back what was left behind, if it is much.
    fn tidy(&mut self) {
        if self.bytes.len() > 2 * self.needed() + LEAF {
            *self = self.part(0, self.len(), (0, 0));
        }
    }

    /// Some of the pairs, with room for so many pairs and bytes.
    fn part(&self, start: usize, end: usize, (pairs, bytes): (usize, usize)) -> Self {
        let slots = &self.slots[start..end];
        let live = slots.iter().map(|slot| slot.size as usize).sum::<usize>();
        let mut part = Self { live, ..Self::default() };
        part.slots.reserve_exact(pairs.max(slots.len()));
        part.bytes.reserve_exact(bytes.max(live + slots.len() * size_of::<Length>()));
        part.extend(self, slots);
        part.share();
        part
    }

    fn extend(&mut self, other: &Self, slots: &[Slot]) {
        for slot in slots {
            let (key, value) = other.at(slot);
            let slot = self.push(key, value);
            self.slots.push(slot);
        }
    }

    /// The later pairs, if there are too many: none but the new one where pairs come in order, so that leaves fill up, and
    /// else the half.
    pub fn split(&mut self) -> Option<Self> {
        if self.live <= LEAF || self.len() == 1 {
            return None;
        }
        let from = if self.ascending {
            (self.last + 1).min(self.len() - 1)
        } else {
            let mut before = 0;
            let half = self.slots.iter().position(|slot| {
                before += slot.size as usize;
                2 * before > self.live
            });
            half.map_or(1, |half| half.clamp(1, self.len() - 1))
        };
        // Each will probably have as many.
        let room = (self.len(), self.needed().min(MOST));
        let right = self.part(from, self.len(), room);
        let cut = self.slots[from];
        self.slots.truncate(from);
        self.live -= right.live;
        if cut.end() == self.bytes.len() && right.len() == 1 {
            self.bytes.truncate(cut.start as usize);
        } else {
            *self = self.part(0, from, room);
        }
        self.last = self.len().saturating_sub(1);
        Some(right)
    }

    /// Appends pairs that come after all others.
    pub fn append(&mut self, other: &Self) {
        self.extend(other, &other.slots);
        self.live += other.live;
        self.share();
    }
}

/// The key and the value that a slot says.
#[inline]
fn pair_at<'a>(bytes: &'a [u8], slot: &Slot) -> (&'a [u8], &'a [u8]) {
    let bytes = &bytes[slot.start as usize..slot.end()];
    let (length, pair) = bytes.split_first_chunk().expect("a pair begins with the length of its key");
    pair.split_at(u32::from_le_bytes(*length) as usize)
}

/// The first bytes of some, with zeros after them, as a number: smaller only if they are.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(head)
}
