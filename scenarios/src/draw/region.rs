//! The bytes that a scenario is read from, one region for each component.
//!
//! A region is a fixed part of the input. Where the input ends, the region goes on with the component's named
//! [stream](crate::streams), as if the input held its bytes; so an empty input is the scenario of the seed, and a
//! fuzzer that changes a byte changes one decision of one component. Things that come in numbers (a fault, a step of a client)
//! are read as records of a fixed size, so that nothing shifts what follows.

use crate::streams::stream;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::ops::Range;

/// How many clients have a region in the input; others are drawn from their streams only.
pub(super) const CLIENT_REGIONS: u32 = 16;

/// Names and sizes of the regions before those of the clients.
pub(super) const REGIONS: [(&str, usize); 6] =
    [("options", 192), ("network", 128), ("disk", 160), ("clocks", 144), ("workload", 64), ("faults", 2_400)];

pub(super) const CLIENT: &str = "client";
pub(super) const CLIENT_REGION: usize = 1_536;

/// The region of one component.
pub(super) struct Region<'a> {
    input: &'a [u8],
    stream: ChaCha8Rng,
}

impl<'a> Region<'a> {
    /// The region called `name` in `input`.
    pub(super) fn new(input: &'a [u8], seed: u64, name: &str) -> Self {
        let before: usize = REGIONS.iter().take_while(|(other, _)| *other != name).map(|(_, size)| size).sum();
        let (_, size) = REGIONS.iter().find(|(other, _)| *other == name).expect("a region of the list");
        Self { input: part(input, before, *size), stream: stream(seed, name, 0) }
    }

    /// The region of a client, by its id.
    pub(super) fn client(input: &'a [u8], seed: u64, id: u32) -> Self {
        let stream = stream(seed, CLIENT, u64::from(id));
        let before: usize = REGIONS.iter().map(|(_, size)| size).sum();
        let input = match id.checked_sub(1) {
            Some(place) if place < CLIENT_REGIONS => {
                part(input, before + place as usize * CLIENT_REGION, CLIENT_REGION)
            }
            _ => &[],
        };
        Self { input, stream }
    }

    /// The next `N` bytes.
    pub(super) fn record<const N: usize>(&mut self) -> Record<N> {
        let mut bytes = [0; N];
        self.stream.fill_bytes(&mut bytes);
        let (given, rest) = self.input.split_at(self.input.len().min(N));
        bytes[..given.len()].copy_from_slice(given);
        self.input = rest;
        Record { bytes, position: 0 }
    }
}

/// Names and places of all regions in the bytes of a seed, which begin with the seed's own 8.
pub fn regions() -> Vec<(&'static str, Range<usize>)> {
    let clients = (0..CLIENT_REGIONS).map(|_| (CLIENT, CLIENT_REGION));
    let mut start = 8;
    let place = |(name, size): (&'static str, usize)| {
        let range = start..start + size;
        start = range.end;
        (name, range)
    };
    REGIONS.into_iter().chain(clients).map(place).collect()
}

fn part(input: &[u8], start: usize, size: usize) -> &[u8] {
    let start = start.min(input.len());
    let end = (start + size).min(input.len());
    &input[start..end]
}

/// Some bytes, read as decisions from first to last. Reading more than there is, is a mistake of the reader.
pub(super) struct Record<const N: usize> {
    bytes: [u8; N],
    position: usize,
}

impl<const N: usize> Record<N> {
    fn take<const K: usize>(&mut self) -> [u8; K] {
        let end = self.position + K;
        let bytes = self.bytes[self.position..end].try_into().expect("K bytes");
        self.position = end;
        bytes
    }

    /// Many more bytes, which 8 of these determine.
    pub(super) fn more<const M: usize>(&mut self) -> Record<M> {
        let mut bytes = [0; M];
        ChaCha8Rng::seed_from_u64(u64::from_le_bytes(self.take())).fill_bytes(&mut bytes);
        Record { bytes, position: 0 }
    }

    /// Whether nothing is left but a few bytes.
    pub(super) fn is_short(&self) -> bool {
        N - self.position < 64
    }

    /// One byte as it is.
    pub(super) fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    /// A number from 0 up to `bound`, without `bound`; 0 when that is nothing. Takes 2 bytes, fit for bounds up to some thousands.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (u64::from(u16::from_le_bytes(self.take())) * bound) >> 16
    }

    /// A number within a range, both ends included. Takes 4 bytes.
    pub(super) fn range(&mut self, low: u64, high: u64) -> u64 {
        let count = high.saturating_sub(low) + 1;
        low + ((u64::from(u32::from_le_bytes(self.take())) * count) >> 32)
    }

    /// A number within a range, both ends included, with small ones likelier: every doubling is as likely as the
    /// next. Takes 4 bytes. `low` is at least 1.
    pub(super) fn scale(&mut self, low: u64, high: u64) -> u64 {
        let doublings = (high / low).max(1).ilog2() + 1;
        let base = low << self.below(u64::from(doublings));
        let within = self.below(base);
        (base + within).min(high)
    }

    /// True in so many of a hundred. Takes 2 bytes.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of some choices. Takes 2 bytes.
    pub(super) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// An index, each as likely as its weight says. All weights 0 gives 0. Takes 2 bytes.
    pub(super) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut ticket = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if ticket < weight {
                return index;
            }
            ticket -= weight;
        }
        0
    }
}
