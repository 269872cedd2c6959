//! Guided search: a sweep that learns.
//!
//! Scenarios are bytes ([`scenarios::expand`]), as for a fuzzer. Each run gives *features*: the probes that it passed, and the
//! abstract states that the cluster was in (who leads or campaigns, how far terms, logs and commits are apart). For each
//! feature that few runs have, the search remembers the bytes of the shortest run that had it, by the number of its events.
//! Three of four runs are made from those: by other dice, by taking over whole regions (the network, the faults, the
//! options) or single faults from the bytes of another rare feature, or by a few random bytes. The rest are fresh seeds.
//! All is decided by the first seed: the same search always plays the same universes.
//!
//! After AFL's feedback loop and its favoured inputs (Zalewski), and the rare branches of `FairFuzz` (Lemieux and Sen, 2018),
//! with the structure of the bytes known.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

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

/// A feature is rare when fewer than one of so many runs had it.
const RARE: u64 = 20;

/// From how many rare features the rarest is picked.
const CANDIDATES: usize = 3;

/// A search.
pub struct Search {
    dice: Dice,
    next_seed: u64,
    overrides: Overrides,
    runs: u64,
    seen: BTreeMap<u64, Feature>,
    /// Inputs that come before all others.
    given: Vec<Vec<u8>>,
    /// Whether what is learnt is used; without it, every run is a fresh seed.
    guided: bool,
}

/// What is known of a feature.
struct Feature {
    /// How many runs had it.
    runs: u64,
    /// The number of events of the shortest run that had it.
    events: u64,
    /// The bytes of that run.
    input: Rc<[u8]>,
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
        Self { dice, next_seed: seed, overrides, runs: 0, seen: BTreeMap::new(), given: Vec::new(), guided }
    }

    /// How many features were seen, and how many of them are rare.
    pub fn progress(&self) -> (usize, usize) {
        (self.seen.len(), self.rare().len())
    }

    /// Begins with the members of an earlier search or a fuzzer.
    pub fn add_input(&mut self, input: Vec<u8>) {
        self.given.push(input);
    }

    /// The bytes that are worth changing: those of rare features.
    pub fn inputs(&self) -> BTreeSet<Rc<[u8]>> {
        self.rare().into_iter().map(|feature| Rc::clone(&feature.input)).collect()
    }

    /// The bytes of the next run.
    pub fn next_input(&mut self) -> Vec<u8> {
        if let Some(input) = self.given.pop() {
            return input;
        }
        let fresh = !self.guided || below(&mut self.dice, 4) == 0;
        let (Some(input), Some(other)) = (self.pick(), self.pick()) else { return self.fresh() };
        if fresh {
            return self.fresh();
        }
        let mut input = input.to_vec();
        let other = if below(&mut self.dice, 4) == 0 { expand(self.dice.draw()) } else { other.to_vec() };
        for _ in 0..=below(&mut self.dice, 2) {
            mutate(&mut self.dice, &mut input, &other);
        }
        input
    }

    fn fresh(&mut self) -> Vec<u8> {
        let seed = self.next_seed;
        self.next_seed = self.next_seed.wrapping_add(1);
        expand(seed)
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
        let (input, events): (Rc<[u8]>, u64) = (input.into(), report.counts.events);
        self.runs += 1;
        for feature in features_of(report) {
            let new = || Feature { runs: 0, events, input: Rc::clone(&input) };
            let feature = self.seen.entry(feature).or_insert_with(new);
            feature.runs += 1;
            if events < feature.events {
                (feature.events, feature.input) = (events, Rc::clone(&input));
            }
        }
        self.seen.len() - before
    }

    fn rare(&self) -> Vec<&Feature> {
        self.seen.values().filter(|feature| feature.runs * RARE < self.runs).collect()
    }

    /// The bytes of a rare feature: of some at random, the rarest.
    fn pick(&mut self) -> Option<Rc<[u8]>> {
        let count = self.rare().len() as u64;
        if count == 0 {
            return None;
        }
        let places: Vec<usize> = (0..CANDIDATES).map(|_| below(&mut self.dice, count) as usize).collect();
        let rare = self.rare();
        let rarest = places.into_iter().min_by_key(|&place| rare[place].runs)?;
        Some(Rc::clone(&rare[rarest].input))
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
    let probes = report.probes.keys().map(|name| xxh3_64(name.as_bytes()));
    report.states.iter().copied().chain(probes).collect()
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
        let (digests, (features, rare)) = search(true);
        assert_eq!(search(true).0, digests);
        assert!(features > 50 && rare > 5, "{features} features, {rare} rare");
        assert_ne!(search(false).0, digests);
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
