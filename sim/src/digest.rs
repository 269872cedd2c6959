//! The digest of a run: a rolling hash over every event, in order.
//!
//! Equal seeds must give equal digests: in debug and release, on every machine. The hash folds one 64-bit word at a time
//! into two lanes by a rotation, an exclusive or and an odd multiplication, each a bijection of the lane, so that two
//! runs that differ in a single word differ in both lanes from then on; [`Digest::value`] mixes the lanes with xxh3.
//! Byte strings come in as their xxh3-128. It guards against accidents, not against forgery.

use std::fmt;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Multipliers and start values: the fractional digits of pi, made odd.
const MULTIPLIER_A: u64 = 0x243f_6a88_85a3_08d3;
const MULTIPLIER_B: u64 = 0x1319_8a2e_0370_7345;
const START_A: u64 = 0xa409_3822_299f_31d0;
const START_B: u64 = 0x082e_fa98_ec4e_6c89;

/// A rolling hash over events. Shown as 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    a: u64,
    b: u64,
    events: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { a: START_A, b: START_B, events: 0 }
    }
}

impl Digest {
    /// The digest of no events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds in one event: its kind, and its parts in an order that the kind fixes. The number of parts counts too, so
    /// that no two lists of events are spelled alike.
    #[inline]
    pub fn event(&mut self, kind: u8, parts: &[u64]) {
        self.events += 1;
        self.word(u64::from(kind) | (parts.len() as u64) << 8);
        for &part in parts {
            self.word(part);
        }
    }

    /// Folds in a byte string, as a further part of the event before it.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let hash = xxh3_128(bytes);
        self.word(bytes.len() as u64);
        self.word(hash as u64);
        self.word((hash >> 64) as u64);
    }

    /// The hash of everything so far. The digest can go on from here.
    pub fn value(&self) -> u64 {
        let mut words = [0; 24];
        words[..8].copy_from_slice(&self.a.to_le_bytes());
        words[8..16].copy_from_slice(&self.b.to_le_bytes());
        words[16..].copy_from_slice(&self.events.to_le_bytes());
        xxh3_64(&words)
    }

    /// How many events were folded in.
    pub fn events(&self) -> u64 {
        self.events
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.a = (self.a.rotate_left(29) ^ word).wrapping_mul(MULTIPLIER_A);
        self.b = (self.b.rotate_left(41) ^ word).wrapping_mul(MULTIPLIER_B);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(events: &[(u8, &[u64])]) -> u64 {
        let mut digest = Digest::new();
        for (kind, parts) in events {
            digest.event(*kind, parts);
        }
        digest.value()
    }

    /// Kept digests: another platform or profile that computes others would make every trace unreplayable.
    #[test]
    fn golden() {
        let mut digest = Digest::new();
        assert_eq!(digest.to_string(), "b1d20bb39575057d");
        digest.event(1, &[]);
        digest.event(2, &[3, u64::MAX]);
        assert_eq!(digest.to_string(), "5ba0bad1e4fade75");
        digest.bytes(b"");
        digest.bytes(b"the same sky");
        assert_eq!((digest.to_string().as_str(), digest.events()), ("a931f1414aebca6f", 2));
    }

    #[test]
    fn order_kind_and_grouping_matter() {
        let different = [
            of(&[]),
            of(&[(0, &[])]),
            of(&[(0, &[]), (0, &[])]),
            of(&[(0, &[0])]),
            of(&[(0, &[0, 0])]),
            of(&[(1, &[0])]),
            of(&[(0, &[1]), (0, &[2])]),
            of(&[(0, &[2]), (0, &[1])]),
            of(&[(0, &[1, 2])]),
            of(&[(0, &[1]), (2, &[])]),
        ];
        for (i, left) in different.iter().enumerate() {
            assert!(different[i + 1..].iter().all(|right| left != right), "number {i} is not alone");
        }
        let split = |parts: &[&[u8]]| {
            let mut digest = Digest::new();
            for part in parts {
                digest.bytes(part);
            }
            digest.value()
        };
        assert_ne!(split(&[b"ab", b"c"]), split(&[b"a", b"bc"]));
    }

    #[test]
    fn any_single_changed_word_changes_the_digest() {
        bolero::check!().with_type().with_iterations(1_000).cloned().for_each(
            |(words, place, flip): (Vec<u64>, usize, u64)| {
                if words.is_empty() || flip == 0 {
                    return;
                }
                let mut changed = words.clone();
                let place = place % words.len();
                changed[place] ^= flip;
                assert_ne!(of(&[(7, &words)]), of(&[(7, &changed)]));
            },
        );
    }
}
