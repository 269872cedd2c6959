//! Shards: shares of the seeds that together are all of them, for machines that do not talk to each other.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most shards of one sweep.
pub const MAX_SHARDS: u64 = 100_000;

/// One of so many shares. A seed belongs to the shard `seed % of + 1`, whatever range is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, from 1.
    index: u64,
    /// How many there are.
    of: u64,
}

impl Shard {
    /// All seeds.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// The shards of a sweep that is cut into so many.
    pub fn all(of: u64) -> impl Iterator<Item = Self> {
        (1..=of).map(move |index| Self { index, of })
    }

    /// Which one this is, from 1.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many there are.
    pub fn of(self) -> u64 {
        self.of
    }

    /// How many seeds of a range are in this shard.
    pub fn count(self, seeds: &Range<u64>) -> u64 {
        match self.first(seeds) {
            Some(first) => (seeds.end - 1 - first) / self.of + 1,
            None => 0,
        }
    }

    /// The seed at a position, from 0, among those of a range that are in this shard.
    pub fn seed(self, seeds: &Range<u64>, position: u64) -> Option<u64> {
        (position < self.count(seeds)).then(|| seeds.start + self.offset(seeds) + position * self.of)
    }

    /// The one of so many shards that a seed is in.
    pub fn of_seed(seed: u64, of: u64) -> Self {
        Self { index: seed % of + 1, of }
    }

    /// The first seed of a range that is in this shard.
    fn first(self, seeds: &Range<u64>) -> Option<u64> {
        seeds.start.checked_add(self.offset(seeds)).filter(|first| *first < seeds.end)
    }

    /// How far the first seed of this shard is from the start of a range.
    fn offset(self, seeds: &Range<u64>) -> u64 {
        (self.index - 1 + self.of - seeds.start % self.of) % self.of
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (index, of) = text.split_once('/').ok_or("expected shard/shards, as in 1/4")?;
        let parse = |part: &str| part.parse::<u64>().map_err(|error| format!("{part:?} is not a number: {error}"));
        let (index, of) = (parse(index)?, parse(of)?);
        if !(1..=MAX_SHARDS).contains(&of) {
            return Err(format!("there can be 1 to {MAX_SHARDS} shards, not {of}"));
        }
        if !(1..=of).contains(&index) {
            return Err(format!("shards are counted from 1 to {of}, so there is no shard {index}"));
        }
        Ok(Self { index, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_and_written() {
        for text in ["1/1", "1/4", "4/4", "100000/100000"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in ["", "1", "x", "0/4", "5/4", "1/0", "1/x", "-1/4", "1/100001", "1/4/4", " 1/4"] {
            assert!(text.parse::<Shard>().is_err(), "{text:?}");
        }
    }

    /// Shards are disjoint, are everything together, and hold the same seeds whatever the range.
    #[test]
    fn each_seed_is_in_the_shard_of_its_number() {
        bolero::check!().with_type().with_iterations(2_000).cloned().for_each(
            |(near_the_end, start, length, of): (bool, u16, u8, u8)| {
                let (length, of) = (u64::from(length), u64::from(of).max(1));
                let start = if near_the_end { u64::MAX - length - u64::from(start) } else { u64::from(start) };
                let seeds = start..start + length;
                let mut all = Vec::new();
                for shard in Shard::all(of) {
                    let share: Vec<u64> = (0..).map_while(|position| shard.seed(&seeds, position)).collect();
                    let expected: Vec<u64> = seeds.clone().filter(|seed| seed % of == shard.index() - 1).collect();
                    assert_eq!(share, expected);
                    assert_eq!(shard.count(&seeds), share.len() as u64);
                    assert!(share.iter().all(|seed| Shard::of_seed(*seed, of) == shard));
                    all.extend(share);
                }
                all.sort_unstable();
                assert_eq!(all, seeds.collect::<Vec<_>>());
            },
        );
    }
}
