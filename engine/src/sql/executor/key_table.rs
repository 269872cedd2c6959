//! Distinct keys and their numbers. Nothing comes out in an order of its own: who asks for all keys asks by number, which is
//! the order in which they came.
//!
//! Keys that are one integer, and close to each other, have their numbers in a list ([`Dense`]); others in a hash table.

use hashbrown::HashTable;

use super::super::types::Value;
use super::arithmetic::same;
use super::dense::Dense;
use super::hash::{Image, Key};

/// With fewer integers than these there is no list.
const SOME: usize = 16;

/// Distinct keys of one width, numbered from 0 in the order in which they came.
#[derive(Default)]
pub(super) struct KeyTable {
    width: usize,
    values: Vec<Value>,
    hashes: Vec<u64>,
    /// The keys that `dense` does not have.
    table: HashTable<Entry>,
    /// All keys that are integers, or there is no list.
    dense: Option<Dense>,
    integers: Integers,
}

/// The number of a key, and its image without the hash.
#[derive(Clone, Copy)]
struct Entry {
    bits: u64,
    is_integer: bool,
    number: u32,
}

/// How many keys are integers, and between which they are.
#[derive(Clone, Copy)]
struct Integers {
    count: usize,
    least: i64,
    greatest: i64,
}

impl Default for Integers {
    fn default() -> Self {
        Self { count: 0, least: i64::MAX, greatest: i64::MIN }
    }
}

impl KeyTable {
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// About how many bytes a key takes.
    pub fn size_of(key: Key<'_>) -> usize {
        let texts = key.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 0 });
        40 + size_of::<Value>() * key.columns.len() + texts.sum::<usize>()
    }

    /// A key by its number.
    pub fn key(&self, number: usize) -> &[Value] {
        &self.values[number * self.width..(number + 1) * self.width]
    }

    /// The number of a key.
    #[inline]
    pub fn find(&self, image: Image, key: Key<'_>) -> Option<usize> {
        if image.is_integer
            && let Some(dense) = &self.dense
        {
            return dense.get(image.bits as i64).map(|number| number as usize);
        }
        let equal = |entry: &Entry| {
            (entry.bits, entry.is_integer) == (image.bits, image.is_integer)
                && (image.is_integer || self.key(entry.number as usize).iter().zip(key.iter()).all(|(a, b)| same(a, b)))
        };
        self.table.find(image.hash, equal).map(|entry| entry.number as usize)
    }

    /// Adds a key that is not there, and gives its number.
    pub fn insert(&mut self, image: Image, key: Key<'_>) -> usize {
        let number = self.hashes.len();
        self.values.extend(key.iter().cloned());
        self.hashes.push(image.hash);
        let Image { hash, bits, is_integer } = image;
        let entry = Entry { bits, is_integer, number: u32::try_from(number).expect("memory is limited to fewer keys") };
        if !is_integer || !self.insert_dense(entry) {
            let hashes = &self.hashes;
            self.table.insert_unique(hash, entry, |entry| hashes[entry.number as usize]);
        }
        number
    }

    /// Adds an integer to the list, if there is or shall be one.
    fn insert_dense(&mut self, entry: Entry) -> bool {
        let n = entry.bits as i64;
        let Integers { count, least, greatest } = self.integers;
        let (count, least, greatest) = (count + 1, n.min(least), n.max(greatest));
        self.integers = Integers { count, least, greatest };
        let hashes = &self.hashes;
        // Each time that their number has doubled, unless most keys are no integers. So to go to and fro takes no more, in
        // all, than to add them.
        let most = 2 * count >= self.hashes.len();
        if self.dense.is_none() && most && count >= SOME && count.is_power_of_two() {
            self.dense = Dense::between(least, greatest, count);
            if let Some(dense) = &mut self.dense {
                for entry in self.table.iter().filter(|entry| entry.is_integer) {
                    dense.set(entry.bits as i64, entry.number);
                }
                self.table.retain(|entry| !entry.is_integer);
                self.table.shrink_to_fit(|entry| hashes[entry.number as usize]);
            }
        }
        let Some(dense) = &mut self.dense else { return false };
        if dense.reach(least, greatest, count) {
            dense.set(n, entry.number);
            return true;
        }
        for (n, number) in dense.iter() {
            let entry = Entry { bits: n as u64, is_integer: true, number };
            self.table.insert_unique(hashes[number as usize], entry, |entry| hashes[entry.number as usize]);
        }
        self.dense = None;
        false
    }

    /// Forgets all keys. It takes no longer than to add them, though there may be room for many more.
    pub fn clear(&mut self) {
        self.values.clear();
        self.hashes.clear();
        if self.table.capacity() / 8 > self.table.len() {
            self.table = HashTable::new();
        }
        self.table.clear();
        (self.dense, self.integers) = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use bolero::check;

    use super::*;

    /// Keys one after the other: how far apart, from where, and how many.
    type Run = (u8, i64, u8);

    fn keys(runs: &[Run]) -> impl Iterator<Item = Value> {
        runs.iter().take(8).flat_map(|&(kind, start, count)| {
            let step = [1, -1, 3, 7, 40, i64::MAX / 100][usize::from(kind % 6)];
            let start = match kind >> 6 {
                0 => start % 1000,
                1 => i64::MIN.wrapping_add(start % 1000),
                2 => i64::MAX.wrapping_add(start % 1000),
                _ => start,
            };
            (0..i64::from(count % 64)).map(move |n| {
                let n = start.wrapping_add(n.wrapping_mul(step));
                match kind >> 3 & 7 {
                    0 if n % 5 == 0 => Value::Null,
                    1 if n % 3 == 0 => Value::Float(n as f64),
                    2 if n % 3 == 0 => Value::Float(n as f64 + 0.5),
                    3 if n % 3 == 0 => Value::from(n.to_string()),
                    _ => Value::Integer(n),
                }
            })
        })
    }

    #[test]
    fn keys_have_the_numbers_in_which_they_came() {
        check!().with_type::<(bool, Vec<Run>)>().with_iterations(2_000).for_each(|(two, runs)| {
            let width = if *two { 2 } else { 1 };
            let columns: Vec<usize> = (0..width).collect();
            let mut table = KeyTable::new(width);
            let mut model = Vec::<Vec<Value>>::new();
            for value in keys(runs) {
                let values = vec![value; width];
                let key = Key { values: &values, columns: &columns };
                let expected = model.iter().position(|other| other.iter().zip(&values).all(|(a, b)| same(a, b)));
                assert_eq!(table.find(key.image(), key), expected, "{values:?}");
                if expected.is_none() {
                    assert_eq!(table.insert(key.image(), key), model.len());
                    model.push(values);
                }
            }
            for (number, values) in model.iter().enumerate() {
                let key = Key { values, columns: &columns };
                assert_eq!(table.find(key.image(), key), Some(number), "{values:?}");
                assert!(table.key(number).iter().zip(values).all(|(a, b)| same(a, b)), "{values:?}");
            }
        });
    }

    #[test]
    fn to_forget_a_few_keys_takes_no_time_for_those_before() {
        let mut table = KeyTable::new(1);
        for count in [10_000, 1] {
            for n in 0..count {
                let key = Key { values: &[Value::Float(f64::from(n) + 0.5)], columns: &[0] };
                assert_eq!(table.insert(key.image(), key), n as usize);
            }
            table.clear();
            assert_eq!(table.len(), 0);
        }
        assert!(table.table.capacity() < 100, "room for {} keys is cleared each time", table.table.capacity());
    }
}
