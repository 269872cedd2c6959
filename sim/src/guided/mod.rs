//! Guided search: a sweep that learns.
//!
//! Scenarios are bytes ([`scenarios::expand`]), as for a fuzzer. Each run gives *features*: how often it passed each probe
//! for the number of its events, and the abstract states that the cluster was in (who leads or campaigns, how far terms,
//! logs and commits are apart). A probe is a near miss: a scenario that passes it again and again gives a bug beside it as many
//! chances, and the shape of a scenario is inherited, while one run's luck is not. So the search keeps three kinds of runs:
//! for each probe, the *champions* that passed it at the highest rate; the *troubled*, which passed many probes more often than
//! other runs do, since most bugs need several things to go wrong together; and for each state that few runs had, the shortest
//! one. In the end three of four runs are made from those: by other dice for the most part, by taking over a whole region (the
//! network, the faults, the options) or a single fault from another one, or by a few random bytes. The rest are fresh seeds.
//!
//! Only runs that were not made from others become champions or troubled. A search that breeds them for their rates ends
//! with universes that pass probes and do little else: it found six times fewer failures of reads without a quorum than one
//! that does not breed, and half as many as fresh seeds did.
//!
//! All is decided by the first seed and the [`corpus`]: the same search always plays the same universes.
//!
//! A search that begins with nothing has to learn first, which takes it longer than most bugs take fresh seeds: what it has
//! learnt is kept in the corpus, for the next one.
//!
//! After AFL's feedback loop (Zalewski), `PerfFuzz`'s search for the inputs that reach each place most often (Lemieux, Padhye,
//! Sen and Song, 2018), and the rare branches of `FairFuzz` (Lemieux and Sen, 2018), with the structure of the bytes known.

pub mod corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use arbitrary::Unstructured;
use scenarios::{Overrides, Scenario, expand, regions};

use crate::draw::{Dice, Draw, below};
use crate::play::watch;
use crate::report::Report;
use crate::universe::Watch;

/// Bytes of one fault of a scenario's bytes, and of what comes before the first.
const FAULT: usize = scenarios::FAULT_RECORD;
const FAULTS_HEADER: usize = scenarios::FAULTS_HEADER;

/// Rates are counted for so many events.
const UNIT: u64 = 1_000_000_000;

/// How many champions a probe has.
const CHAMPIONS: usize = 2;

/// How many runs are troubled.
const TROUBLED: usize = 48;

/// After so many fresh seeds, three of four runs are made from others; the fewer it knows, the fewer.
const KNOWN: u64 = 2_400;

/// A state is rare when fewer than one of so many runs had it.
const RARE: u64 = 20;

/// From how many rare states the rarest is picked.
const CANDIDATES: usize = 3;

/// A search.
pub struct Search {
    dice: Dice,
    next_seed: u64,
    overrides: Overrides,
    runs: u64,
    /// The runs that were not made from others, and their events.
    fresh: u64,
    events: u64,
    /// By probe.
    probes: BTreeMap<String, Probe>,
    /// The most troubled first.
    troubled: Vec<Champion>,
    states: BTreeMap<u64, State>,
    /// Inputs that come before all others.
    given: Vec<Vec<u8>>,
    /// Whether what is learnt is used; without it, every run is a fresh seed.
    guided: bool,
}

/// What is known of a probe.
#[derive(Default)]
struct Probe {
    /// How often all runs passed it that were not made from others.
    passes: u64,
    /// The best first.
    champions: Vec<Champion>,
}

/// An input whose run passed a probe often, or many.
#[derive(Clone)]
pub struct Champion {
    /// How often, for a thousand million events and half a mean run more: a short run that passed it once is none. Of a
    /// troubled run, a sum over all probes: how many times the mean rate, as a logarithm.
    pub rate: u64,
    /// The bytes of the run.
    pub input: Rc<[u8]>,
}

/// What is known of an abstract state.
struct State {
    /// How many runs had it.
    runs: u64,
    /// The number of events of the shortest run that had it.
    events: u64,
    /// The bytes of that run.
    input: Rc<[u8]>,
}

/// What is to be played.
pub struct Input {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it was made from an earlier one.
    pub mutant: bool,
}

/// One run of a search.
pub struct Found {
    /// What was played.
    pub scenario: Scenario,
    /// How it went.
    pub report: Report,
    /// States that no run was in before, and probes of which it is a champion.
    pub new: usize,
}

impl Search {
    /// A search from a seed. Its fresh seeds count from there.
    pub fn new(seed: u64, overrides: Overrides, guided: bool) -> Self {
        Self {
            dice: Dice::of([seed, 0, 0, 0x6775_6964_6564]),
            next_seed: seed,
            overrides,
            runs: 0,
            fresh: 0,
            events: 0,
            probes: BTreeMap::new(),
            troubled: Vec::new(),
            states: BTreeMap::new(),
            given: Vec::new(),
            guided,
        }
    }

    /// How many inputs are kept for what their runs passed, and how many states were seen.
    pub fn progress(&self) -> (usize, usize) {
        let champions = self.probes.values().flat_map(|probe| &probe.champions);
        let inputs: BTreeSet<&Rc<[u8]>> = champions.chain(&self.troubled).map(|champion| &champion.input).collect();
        (inputs.len(), self.states.len())
    }

    /// Begins with a member of an earlier search or a fuzzer, of which nothing is known.
    pub fn add_input(&mut self, input: Vec<u8>) {
        self.given.push(input);
    }

    /// What the next run plays.
    pub fn next_input(&mut self) -> Input {
        if let Some(bytes) = self.given.pop() {
            return Input { bytes, mutant: false };
        }
        if !self.guided || below(&mut self.dice, KNOWN + KNOWN / 3) >= self.fresh.min(KNOWN) {
            return self.fresh();
        }
        let (Some(input), Some(other)) = (self.pick(), self.pick()) else { return self.fresh() };
        let mut bytes = input.to_vec();
        let other = if below(&mut self.dice, 4) == 0 { expand(self.dice.draw()) } else { other.to_vec() };
        mutate(&mut self.dice, &mut bytes, &other);
        Input { bytes, mutant: true }
    }

    fn fresh(&mut self) -> Input {
        let seed = self.next_seed;
        self.next_seed = self.next_seed.wrapping_add(1);
        Input { bytes: expand(seed), mutant: false }
    }

    /// Plays something, and learns from it.
    pub fn play(&mut self, input: Input) -> Found {
        let (scenario, report) = play(&input.bytes, &self.overrides);
        let new = self.learn(input, &report);
        Found { scenario, report, new }
    }

    /// Learns from a run: how many of its features are new.
    pub fn learn(&mut self, Input { bytes, mutant }: Input, report: &Report) -> usize {
        let (input, events): (Rc<[u8]>, u64) = (bytes.into(), report.counts.events);
        self.runs += 1;
        let mut new = 0;
        for &state in &report.states {
            let state = self.states.entry(state).or_insert_with(|| {
                new += 1;
                State { runs: 0, events, input: Rc::clone(&input) }
            });
            state.runs += 1;
            if events < state.events {
                (state.events, state.input) = (events, Rc::clone(&input));
            }
        }
        if mutant {
            return new;
        }
        self.fresh += 1;
        self.events += events;
        let length = (events + self.events / self.fresh / 2).max(1);
        let mut trouble = 0;
        for (name, passed) in &report.probes {
            let rate = passed.saturating_mul(UNIT) / length;
            let probe = match self.probes.get_mut(name) {
                Some(probe) => probe,
                None => self.probes.entry(name.clone()).or_default(),
            };
            probe.passes += passed;
            new += usize::from(insert(&mut probe.champions, CHAMPIONS, Champion { rate, input: Rc::clone(&input) }));
            let mean = probe.passes.saturating_mul(UNIT) / self.events.max(1);
            trouble += times(rate, mean);
        }
        new + usize::from(insert(&mut self.troubled, TROUBLED, Champion { rate: trouble, input }))
    }

    /// Bytes that are worth changing: a troubled run for the most part, or the champion of some probe, or a run with a rare
    /// state.
    fn pick(&mut self) -> Option<Rc<[u8]>> {
        let champions = match below(&mut self.dice, 8) {
            0 => return self.pick_rare(),
            1..4 => {
                let probe = below(&mut self.dice, (self.probes.len() as u64).max(1)) as usize;
                &self.probes.values().nth(probe)?.champions
            }
            _ => &self.troubled,
        };
        let place = below(&mut self.dice, (champions.len() as u64).max(1)) as usize;
        champions.get(place).map(|champion| Rc::clone(&champion.input))
    }

    /// The bytes of a rare state: of some at random, the rarest.
    fn pick_rare(&mut self) -> Option<Rc<[u8]>> {
        let rare: Vec<&State> = self.states.values().filter(|state| state.runs * RARE < self.runs).collect();
        if rare.is_empty() {
            return None;
        }
        let places = (0..CANDIDATES).map(|_| below(&mut self.dice, rare.len() as u64) as usize);
        places.map(|place| rare[place]).min_by_key(|state| state.runs).map(|state| Rc::clone(&state.input))
    }
}

/// Puts a champion among the `most` best, if it is one of them. Of equal ones, the first stay.
fn insert(champions: &mut Vec<Champion>, most: usize, champion: Champion) -> bool {
    let place = champions.partition_point(|other| other.rate >= champion.rate);
    if place >= most {
        return false;
    }
    champions.insert(place, champion);
    champions.truncate(most);
    true
}

/// How many times the mean a rate is, as a logarithm: 0 below an eighth of it, and 1 more for every doubling.
fn times(rate: u64, mean: u64) -> u64 {
    (rate.saturating_mul(8) / mean.max(1)).checked_ilog2().map_or(0, |log| u64::from(log) + 1)
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

/// Changes some bytes: the dice for the most part, a region, a fault, or a few bytes of a region.
fn mutate(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8]) {
    let regions = regions();
    input.resize(input.len().max(regions.last().map_or(8, |(_, range)| range.end)), 0);
    let pick = below(dice, regions.len() as u64) as usize;
    match below(dice, 20) {
        0..14 => input[..8].copy_from_slice(&dice.draw().to_le_bytes()),
        14..17 => {
            let (_, range) = regions[pick.min(REGIONS_OF_THE_WORLD)].clone();
            if let Some(bytes) = other.get(range.clone()) {
                input[range].copy_from_slice(bytes);
            }
        }
        17..19 => {
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
            search.fresh = KNOWN;
            let digests: Vec<String> = (0..30)
                .map(|_| {
                    let input = search.next_input();
                    search.play(input).report.digest
                })
                .collect();
            (digests, search.progress())
        };
        let (digests, (champions, states)) = search(true);
        assert_eq!(search(true).0, digests);
        assert!(champions >= 5 && states > 50, "{champions} champions, {states} states");
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
