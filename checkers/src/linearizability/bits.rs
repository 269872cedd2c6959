//! Sets of slots: one machine word where that is enough, and as many as it takes where not.

use std::hash::Hash;

/// A set of small numbers. Equal sets are equal and hash alike.
pub(super) trait Bits: Clone + Default + Eq + Hash {
    fn contains(&self, slot: u32) -> bool;
    fn insert(&mut self, slot: u32);
    fn remove(&mut self, slot: u32);
    fn is_subset(&self, other: &Self) -> bool;
    /// How many bytes it holds outside of itself.
    fn heap(&self) -> usize {
        0
    }
}

macro_rules! word {
    ($word:ty) => {
        impl Bits for $word {
            fn contains(&self, slot: u32) -> bool {
                self >> slot & 1 == 1
            }

            fn insert(&mut self, slot: u32) {
                *self |= 1 << slot;
            }

            fn remove(&mut self, slot: u32) {
                *self &= !(1 << slot);
            }

            fn is_subset(&self, other: &Self) -> bool {
                self & !other == 0
            }
        }
    };
}

word!(u64);
word!(u128);

/// Any number of slots, without trailing words of zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Wide(Vec<u64>);

impl Bits for Wide {
    fn contains(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (slot % 64);
    }

    fn remove(&mut self, slot: u32) {
        if let Some(word) = self.0.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn is_subset(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    fn heap(&self) -> usize {
        self.0.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn agrees<B: Bits>(steps: &[(u8, bool)], width: u32) {
        let (mut set, mut other) = (B::default(), B::default());
        let (mut expected, mut all) = (BTreeSet::new(), BTreeSet::new());
        for &(slot, insert) in steps {
            let slot = u32::from(slot) % width;
            if insert {
                set.insert(slot);
                expected.insert(slot);
                other.insert(slot);
                all.insert(slot);
            } else {
                set.remove(slot);
                expected.remove(&slot);
            }
            assert!(
                (0..width + 64).filter(|slot| *slot < width).all(|slot| set.contains(slot) == expected.contains(&slot))
            );
            assert!(set.is_subset(&other));
            assert_eq!(other.is_subset(&set), expected == all);
            let mut again = B::default();
            for slot in &expected {
                again.insert(*slot);
            }
            assert!(again == set, "equal sets are equal");
        }
    }

    #[test]
    fn sets_are_sets_at_every_width() {
        bolero::check!().with_type::<Vec<(u8, bool)>>().with_iterations(300).for_each(|steps| {
            agrees::<u64>(steps, 64);
            agrees::<u128>(steps, 128);
            agrees::<Wide>(steps, 256);
        });
    }
}
