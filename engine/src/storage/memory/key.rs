//! Keys that lie where they are looked at.

use std::cmp::Ordering;

/// How many words stand in the key itself.
const WORDS: usize = if cfg!(test) { 1 } else { 3 };
/// How many bytes of a key they hold, beside its length.
const FEW: usize = 8 * WORDS - 1;

/// A key, of which few bytes stand here and many elsewhere, so that looking for one follows no pointer for each comparison.
/// Ordered as its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The bytes, zeros after them, and how many they are, as big-endian numbers. They have the order of the bytes: where one
    /// key is the start of the other, the zeros are less than what follows there, or the same, and then the longer one is
    /// greater.
    Few([u64; WORDS]),
    Many(Box<[u8]>),
}

impl Key {
    #[inline]
    pub fn new(content: &[u8]) -> Self {
        let mut bytes = [0; 8 * WORDS];
        match bytes[..FEW].get_mut(..content.len()) {
            Some(start) => start.copy_from_slice(content),
            None => return Self::Many(content.into()),
        }
        bytes[FEW] = content.len() as u8;
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        Self::Few(words)
    }

    /// The content of a short key with something after it, and how long it is.
    fn bytes(words: [u64; WORDS]) -> ([u8; 8 * WORDS], usize) {
        let mut bytes = [0; 8 * WORDS];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_be_bytes();
        }
        (bytes, usize::from(bytes[FEW]))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let few_and_many = |few: [u64; WORDS], many: &[u8]| {
            let (bytes, length) = Self::bytes(few);
            bytes[..length].cmp(many)
        };
        match (self, other) {
            (Self::Few(a), Self::Few(b)) => a.cmp(b),
            (Self::Few(a), Self::Many(b)) => few_and_many(*a, b),
            (Self::Many(a), Self::Few(b)) => few_and_many(*b, a).reverse(),
            (Self::Many(a), Self::Many(b)) => a.cmp(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use bolero::check;

    use super::*;

    #[test]
    fn keys_are_ordered_as_slices_are() {
        // Of three values, so that there are many starts of others, and zeros at their ends.
        let content = |bytes: &[u8]| bytes.iter().map(|byte| [0, 1, 255][usize::from(byte % 3)]).collect::<Vec<u8>>();
        check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().for_each(|(a, b, shared)| {
            let (a, mut b) = (content(a), content(b));
            b.splice(..0, a.iter().copied().take(usize::from(*shared)));
            assert_eq!(Key::new(&a).cmp(&Key::new(&b)), a.cmp(&b), "{a:?} and {b:?}");
        });
    }
}
