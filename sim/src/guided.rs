//! Guided search: a sweep that learns.
//!
//! Scenarios are bytes ([`scenarios::expand`]), as for a fuzzer. Each run gives *features*: the probes that it passed, by
//! orders of magnitude, and the abstract states that the cluster was in (who has which role, how far terms, logs and commits are
//! apart). Bytes that reach a feature which few runs had join the corpus, and later runs are made from it: by other dice, by
//! taking over whole regions (the network, the faults, the options) or single faults from another member, or by a few random
//! bytes. Members whose rarest feature is rarest are picked most. Every fourth run is a fresh seed. All is decided by the
//! first seed: the same search always plays the same universes.
//!
//! After AFL's feedback loop (Zalewski) and the rare branches of FairFuzz (Lemieux and Sen, 2018), with the structure of the
//! bytes known.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Unstructured;
use scenarios::{Overrides, Scenario, expand, regions};
use xxhash_rust::xxh3::xxh3_64;

use crate::draw::{Dice, Draw, below};
use crate::play::watch;
use crate::report::Report;
use crate::universe::Watch;

/// Bytes of one fault of a scenario's bytes, and of what comes before the first.
const FAULT: usize = scenarios::FAULT_RECORD;
const FAULTS_HEADER: usize = scenarios::FAULTS_HEADER;

/// The most members of a corpus; the oldest are forgotten first.
const CORPUS: usize = 512;

/// A feature is rare when so many runs had it, or fewer.
const RARE: u32 = 3;

/// How many of its rarest features a member is known by.
const RAREST: usize = 8;

/// From how many members one is picked.
const CANDIDATES: usize = 6;

/// A search.
pub struct Search {
    dice: Dice,
    next_seed: u64,
    overrides: Overrides,
    /// How many runs had each feature.
    seen: BTreeMap<u64, u32>,
    corpus: Vec<Member>,
    /// Inputs that come before all others.
    given: Vec<Vec<u8>>,
    /// Whether what is learnt is used; without it, every run is a fresh seed.
    guided: bool,
}

/// Bytes that are worth changing.
struct Member {
    input: Vec<u8>,
    /// The rarest features of its run, when it joined.
    rare: Vec<u64>,
}

/// One run of a search.
pub struct Found {
    /// What was played.
    pub scenario: Scenario,
    /// How it went.
    pub report: Report,
    /// Features that no run had before.
    pub new: usize,
}

impl Search {
    /// A search from a seed. Its fresh seeds count from there.
    pub fn new(seed: u64, overrides: Overrides, guided: bool) -> Self {
        let dice = Dice::of([seed, 0, 0, 0x6775_6964_6564]);
        Self { dice, next_seed: seed, overrides, seen: BTreeMap::new(), corpus: Vec::new(), given: Vec::new(), guided }
    }

    /// How many features were seen, and how many members the corpus has.
    pub fn progress(&self) -> (usize, usize) {
        (self.seen.len(), self.corpus.len())
    }

    /// Begins with the members of an earlier search or a fuzzer.
    pub fn add_input(&mut self, input: Vec<u8>) {
        self.given.push(input);
    }

    /// The members of the corpus.
    pub fn inputs(&self) -> impl Iterator<Item = &[u8]> {
        self.corpus.iter().map(|member| member.input.as_slice())
    }

    /// The bytes of the next run.
    pub fn next_input(&mut self) -> Vec<u8> {
        if let Some(input) = self.given.pop() {
            return input;
        }
        if !self.guided || self.corpus.is_empty() || below(&mut self.dice, 4) == 0 {
            let seed = self.next_seed;
            self.next_seed = self.next_seed.wrapping_add(1);
            return expand(seed);
        }
        let (a, b) = (self.pick(), self.pick());
        let mut input = self.corpus[a].input.clone();
        let other = if below(&mut self.dice, 3) == 0 { expand(self.dice.draw()) } else { self.corpus[b].input.clone() };
        for _ in 0..=below(&mut self.dice, 3) {
            mutate(&mut self.dice, &mut input, &other);
        }
        input
    }

    /// Plays some bytes, and learns from it.
    pub fn play(&mut self, input: Vec<u8>) -> Found {
        let (scenario, report) = play(&input, &self.overrides);
        let new = self.learn(input, &report);
        Found { scenario, report, new }
    }

    /// Learns from a run: how many of its features are new.
    pub fn learn(&mut self, input: Vec<u8>, report: &Report) -> usize {
        let before = self.seen.len();
        let mut features: Vec<(u32, u64)> = Vec::new();
        for feature in features_of(report) {
            let runs = self.seen.entry(feature).or_default();
            *runs += 1;
            features.push((*runs, feature));
        }
        features.sort_unstable();
        features.truncate(RAREST);
        let rare = features.first().is_some_and(|(runs, _)| *runs <= RARE);
        if rare && self.guided {
            if self.corpus.len() >= CORPUS {
                self.corpus.remove(0);
            }
            self.corpus.push(Member { input, rare: features.into_iter().map(|(_, feature)| feature).collect() });
        }
        self.seen.len() - before
    }

    /// Of some members at random, the one whose rarest feature is had by the fewest runs.
    fn pick(&mut self) -> usize {
        let count = self.corpus.len() as u64;
        let candidates: Vec<usize> = (0..CANDIDATES).map(|_| below(&mut self.dice, count) as usize).collect();
        let rarity = |place: &usize| self.corpus[*place].rare.iter().filter_map(|feature| self.seen.get(feature)).min();
        candidates.into_iter().min_by_key(|place| rarity(place).copied()).expect("there are candidates")
    }
}

/// Plays the scenario of some bytes, with its features.
pub fn play(input: &[u8], overrides: &Overrides) -> (Scenario, Report) {
    let seed = input.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let rest = input.get(8..).unwrap_or_default();
    let scenario = Scenario::arbitrary_with(&mut Unstructured::new(rest), seed, overrides)
        .expect("any bytes are a scenario: missing ones come from the seed");
    let (report, _) = watch(&scenario, Watch { states: true, ..Watch::default() });
    (scenario, report)
}

/// What a run has reached, as hashes.
pub fn features_of(report: &Report) -> BTreeSet<u64> {
    let mut features = report.states.clone();
    for (name, hits) in &report.probes {
        // More than seen before counts by powers of four.
        for magnitude in 0..=hits.ilog2() / 2 {
            features.insert(xxh3_64(name.as_bytes()) ^ u64::from(magnitude) << 56);
        }
    }
    features
}

/// Changes some bytes: the dice, a region, a fault, or a few bytes of a region.
fn mutate(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8]) {
    let regions = regions();
    input.resize(input.len().max(regions.last().map_or(8, |(_, range)| range.end)), 0);
    let pick = below(dice, regions.len() as u64) as usize;
    match below(dice, 10) {
        0..4 => input[..8].copy_from_slice(&dice.draw().to_le_bytes()),
        4 | 5 => {
            let (_, range) = regions[pick.min(REGIONS_OF_THE_WORLD)].clone();
            if let Some(bytes) = other.get(range.clone()) {
                input[range].copy_from_slice(bytes);
            }
        }
        6..9 => {
            let faults = regions.iter().find(|(name, _)| *name == "faults").expect("scenarios have faults").1.clone();
            let count = (faults.len() - FAULTS_HEADER) / FAULT;
            // The first ones are those that come to pass in most runs.
            let place = |dice: &mut Dice| below(dice, count as u64 / 2) as usize;
            let (to, from) = (place(dice), place(dice));
            let (to, from) = (faults.start + FAULTS_HEADER + to * FAULT, faults.start + FAULTS_HEADER + from * FAULT);
            if let Some(bytes) = other.get(from..from + FAULT) {
                input[to..to + FAULT].copy_from_slice(bytes);
            }
        }
        _ => {
            let (_, range) = regions[pick].clone();
            for _ in 0..=below(dice, 4) {
                let at = range.start + below(dice, range.len() as u64) as usize;
                input[at] = dice.draw() as u8;
            }
        }
    }
}

/// Regions up to here are the world; after them come the clients.
const REGIONS_OF_THE_WORLD: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_repeats_itself_and_learns() {
        let search = |guided| {
            let mut search = Search::new(7, Overrides { ops: Some(30), ..Overrides::default() }, guided);
            let digests: Vec<String> = (0..30)
                .map(|_| {
                    let input = search.next_input();
                    search.play(input).report.digest
                })
                .collect();
            (digests, search.progress())
        };
        let (digests, (features, corpus)) = search(true);
        assert_eq!(search(true).0, digests);
        assert!(features > 50 && corpus > 5, "{features} features, {corpus} members");
        let (fresh, (_, none)) = search(false);
        assert_ne!(fresh, digests);
        assert_eq!(none, 0);
    }

    #[test]
    fn mutants_are_valid() {
        let mut dice = Dice::of([1, 2, 3, 4]);
        let mut input = expand(1);
        for seed in 0..200 {
            mutate(&mut dice, &mut input, &expand(seed));
            let mut bytes = Unstructured::new(&input[8..]);
            let scenario = Scenario::arbitrary_with(&mut bytes, seed, &Overrides::default()).unwrap();
            assert_eq!(scenario.validate(), Ok(()));
        }
    }
}
