//! What a sweep found, as data that can be merged: everything in it is a sum, a maximum, or a map by seed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use scenarios::{FaultsMode, Overrides};
use serde::{Deserialize, Serialize};

use super::{Histogram, Shard};
use crate::digest::Digest;
use crate::report::{Counts, Report};
use crate::verdict::Verdict;

/// The exit code of a sweep that played nothing: that of [`Verdict::Vacuous`].
const VACUOUS: u8 = 5;

/// The largest sum that a sweep may have: larger numbers are not exact in every reader of JSON.
const LARGEST: u64 = 1 << 53;

/// A sweep of a range of seeds, or of a shard of it, by one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The revision of the source that played it.
    pub revision: String,
    /// The range of seeds.
    pub seeds: Range<u64>,
    /// Which of them.
    pub shard: Shard,
}

/// A failure of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The name of the scenario.
    pub scenario: String,
    /// The revision of the source that played it.
    pub revision: String,
    /// How it ended.
    pub outcome: Verdict,
    /// Its trace.
    pub trace: PathBuf,
}

/// What one sweep found, or several that were merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// What was swept: one part, unless sweeps were merged.
    pub parts: Vec<Part>,
    /// What the command line fixed of every scenario.
    pub overrides: Overrides,
    /// Universes that were played.
    pub played: u64,
    /// How many of them were played twice, to see that they go alike.
    pub twice: u64,
    /// Seeds that the time limit left out.
    pub skipped: u64,
    /// Universes by scenario.
    pub scenarios: BTreeMap<String, u64>,
    /// What happened in all of them.
    pub counts: Counts,
    /// Comparisons by checker.
    pub checks: BTreeMap<String, u64>,
    /// How often each probe was passed, those included that never were.
    pub probes: BTreeMap<String, u64>,
    /// Whether a probe that was never passed fails the sweep.
    pub require_probes: bool,
    /// CPU time of all universes, in microseconds, each played once.
    pub cpu_us: u64,
    /// CPU time of playing universes again, in microseconds.
    pub twice_cpu_us: u64,
    /// CPU time of the median and of the 99th percentile of the universes, in microseconds.
    pub cpu_us_p50: u64,
    /// See `cpu_us_p50`.
    pub cpu_us_p99: u64,
    /// Universes by their CPU time in microseconds.
    pub cpu_us_histogram: Histogram,
    /// Wall-clock time, in microseconds: that of the longest part.
    pub wall_us: u64,
    /// How many cores there were, of all parts together.
    pub cores: u64,
    /// Wall-clock time of all cores together, in microseconds.
    pub core_us: u64,
    /// The digest of every universe, by seed.
    pub digests: BTreeMap<u64, String>,
    /// The digest over all of them, in hexadecimal: equal sweeps have equal ones, whatever the order they ran in, and
    /// however they were cut into shards.
    pub digest: String,
    /// The failures, by seed.
    pub failures: Vec<Failure>,
}

/// Whether probes may be left to other shards.
fn partial_probes(partial: bool, parts: &[Part]) -> bool {
    partial && parts.iter().any(|part| part.shard.of() > 1)
}

impl Summary {
    /// Adds a universe, which was played once or twice.
    pub(super) fn add(&mut self, report: &Report, twice: bool) {
        let once = if twice { report.cpu_us / 2 } else { report.cpu_us };
        self.played += 1;
        self.twice += u64::from(twice);
        *self.scenarios.entry(report.scenario.clone()).or_default() += 1;
        self.counts.add(&report.counts);
        for (checker, comparisons) in &report.checks {
            *self.checks.entry(checker.clone()).or_default() += comparisons;
        }
        if self.probes.is_empty() {
            self.probes = engine::probe::all().into_iter().map(|probe| (probe.name.to_string(), 0)).collect();
        }
        for (probe, passes) in &report.probes {
            *self.probes.entry(probe.clone()).or_default() += passes;
        }
        self.cpu_us += once;
        self.twice_cpu_us += report.cpu_us - once;
        self.cpu_us_histogram.add(once);
        self.digests.insert(report.seed, report.digest.clone());
    }

    /// Adds another sweep with the same overrides and other seeds. What is worked out from all comes with
    /// [`Summary::finish`].
    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            parts,
            overrides: _,
            played,
            twice,
            skipped,
            scenarios,
            counts,
            checks,
            probes,
            require_probes,
            cpu_us,
            twice_cpu_us,
            cpu_us_p50: _,
            cpu_us_p99: _,
            cpu_us_histogram,
            wall_us,
            cores,
            core_us,
            digests,
            digest: _,
            failures,
        } = other;
        self.parts.extend(parts);
        self.played += played;
        self.twice += twice;
        self.skipped += skipped;
        for (scenario, universes) in scenarios {
            *self.scenarios.entry(scenario).or_default() += universes;
        }
        self.counts.add(&counts);
        for (checker, comparisons) in checks {
            *self.checks.entry(checker).or_default() += comparisons;
        }
        for (probe, passes) in probes {
            *self.probes.entry(probe).or_default() += passes;
        }
        self.require_probes |= require_probes;
        self.cpu_us += cpu_us;
        self.twice_cpu_us += twice_cpu_us;
        self.cpu_us_histogram.merge(&cpu_us_histogram);
        self.wall_us = self.wall_us.max(wall_us);
        self.cores += cores;
        self.core_us += core_us;
        self.digests.extend(digests);
        self.failures.extend(failures);
    }

    /// Puts everything in order, and works out what depends on all universes.
    pub(super) fn finish(&mut self) {
        self.parts.sort_by_key(|part| (part.seeds.start, part.seeds.end, part.shard));
        self.failures.sort_by_key(|failure| failure.seed);
        self.cpu_us_p50 = self.cpu_us_histogram.percentile(50);
        self.cpu_us_p99 = self.cpu_us_histogram.percentile(99);
        self.digest = self.digest_of_digests();
    }

    fn digest_of_digests(&self) -> String {
        let mut digest = Digest::new();
        for (&seed, of_universe) in &self.digests {
            digest.event(0, &[seed]);
            digest.bytes(of_universe.as_bytes());
        }
        digest.to_string()
    }

    /// The shards that have seeds and are in no part.
    pub fn missing(&self) -> Vec<(Range<u64>, Shard)> {
        let mut missing = Vec::new();
        for ((start, end, of), there) in self.sweeps() {
            let absent = Shard::all(of).filter(|shard| shard.count(&(start..end)) > 0 && !there.contains(shard));
            missing.extend(absent.map(|shard| (start..end, shard)));
        }
        missing
    }

    /// The shards that are there, by the start and the end of the seeds and the number of shards that they were cut into.
    pub(super) fn sweeps(&self) -> BTreeMap<(u64, u64, u64), BTreeSet<Shard>> {
        let mut sweeps: BTreeMap<_, BTreeSet<Shard>> = BTreeMap::new();
        for Part { seeds, shard, .. } in &self.parts {
            sweeps.entry((seeds.start, seeds.end, shard.of())).or_default().insert(*shard);
        }
        sweeps
    }

    /// The revisions that played it.
    pub fn revisions(&self) -> BTreeSet<&str> {
        self.parts.iter().map(|part| part.revision.as_str()).collect()
    }

    /// Whether every kind of fault could fire.
    pub(super) fn hostile(&self) -> bool {
        self.overrides.faults.unwrap_or_default() == FaultsMode::Full
    }

    /// The probes that were never passed.
    pub fn silent_probes(&self) -> Vec<&str> {
        self.probes.iter().filter(|(_, passes)| **passes == 0).map(|(probe, _)| probe.as_str()).collect()
    }

    /// What is wrong with the sweep as a whole. That shards are missing is not, if it is `partial`.
    pub fn problems(&self, partial: bool) -> Vec<String> {
        /// More are not listed one by one.
        const LISTED: usize = 20;
        let mut problems = Vec::new();
        if self.played == 0 {
            problems.push("vacuous: no universe was played".to_string());
        }
        let silent = self.silent_probes();
        if self.require_probes && !partial_probes(partial, &self.parts) && !silent.is_empty() {
            problems.push(format!("vacuous: {} probes were never passed: {}", silent.len(), silent.join(", ")));
        }
        let missing = self.missing();
        if !partial && !missing.is_empty() {
            let listed = missing.iter().take(LISTED).map(|(seeds, shard)| {
                let (start, end) = (seeds.start, seeds.end);
                format!("{shard} of {start}..{end}")
            });
            let mut listed = listed.collect::<Vec<_>>().join(", ");
            if missing.len() > LISTED {
                listed = format!("{listed} and {} more", missing.len() - LISTED);
            }
            problems.push(format!("missing shards: {listed}"));
        }
        problems
    }

    /// The exit code: that of the failures if they agree, else 1. A sweep that played nothing is vacuous, and one with
    /// missing shards has failed, unless it is `partial`.
    pub fn exit_code(&self, partial: bool) -> u8 {
        let mut codes: BTreeSet<u8> = self.failures.iter().map(|failure| failure.outcome.exit_code()).collect();
        let silent = self.require_probes && !partial_probes(partial, &self.parts) && !self.silent_probes().is_empty();
        if self.played == 0 || silent {
            codes.insert(VACUOUS);
        }
        if !partial && !self.missing().is_empty() {
            codes.insert(1);
        }
        match (codes.pop_first(), codes.is_empty()) {
            (None, _) => 0,
            (Some(code), true) => code,
            (Some(_), false) => 1,
        }
    }

    /// Says what does not fit in a summary that comes from outside, and where.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.parts.is_empty() {
            return Err("parts: it is of no sweep".into());
        }
        for Part { seeds, shard, .. } in &self.parts {
            let (start, end) = (seeds.start, seeds.end);
            if shard.count(seeds) == 0 {
                return Err(format!("parts: shard {shard} of {start}..{end} holds no seed"));
            }
        }
        let sweeps = self.sweeps();
        let of_part = |seed: u64| {
            let mut around = sweeps.iter().filter(|((start, end, _), _)| (*start..*end).contains(&seed));
            around.any(|((_, _, of), shards)| shards.contains(&Shard::of_seed(seed, *of)))
        };
        if let Some(seed) = self.digests.keys().find(|seed| !of_part(**seed)) {
            return Err(format!("digests: seed {seed} is of none of the parts"));
        }
        let seeds = self.parts.iter().map(|part| u128::from(part.shard.count(&part.seeds))).sum::<u128>();
        if u128::from(self.played) + u128::from(self.skipped) != seeds {
            return Err(format!("played: {} and {} skipped are not the {seeds} seeds", self.played, self.skipped));
        }
        let sum = |counts: &BTreeMap<String, u64>| counts.values().try_fold(0u64, |sum, n| sum.checked_add(*n));
        for (what, found) in [
            ("digests", Some(self.digests.len() as u64)),
            ("scenarios", sum(&self.scenarios)),
            ("cpu_us_histogram", self.cpu_us_histogram.count()),
        ] {
            if found != Some(self.played) {
                return Err(format!("{what}: not as many as the {} universes that were played", self.played));
            }
        }
        if self.twice > self.played {
            return Err("twice: more than were played".into());
        }
        self.check_sizes()?;
        let digest = self.digest_of_digests();
        if digest != self.digest {
            return Err(format!("digest: it is {}, but the digests of the universes give {digest}", self.digest));
        }
        for (place, Failure { seed, scenario, outcome, .. }) in self.failures.iter().enumerate() {
            let fault = if !self.digests.contains_key(seed) {
                "was not played"
            } else if outcome.is_pass() {
                "has passed"
            } else if !self.scenarios.contains_key(scenario) {
                "has a scenario that was not played"
            } else if place > 0 && self.failures[place - 1].seed >= *seed {
                "is not in order"
            } else {
                continue;
            };
            return Err(format!("failures[{place}]: seed {seed} {fault}"));
        }
        Ok(())
    }

    /// Says which sum is so large that it is no real one. What passes can be added once without an overflow.
    pub(super) fn check_sizes(&self) -> Result<(), String> {
        let Self { counts, checks, cpu_us, twice_cpu_us, wall_us, cores, core_us, .. } = self;
        let sums = serde_json::json!({
            "counts": counts,
            "checks": checks,
            "cpu_us": cpu_us,
            "twice_cpu_us": twice_cpu_us,
            "wall_us": wall_us,
            "cores": cores,
            "core_us": core_us,
        });
        match too_large(&sums) {
            None => Ok(()),
            Some(place) => Err(format!("{place}: over {LARGEST}, which cannot be")),
        }
    }
}

/// Where in a tree of sums one is too large.
fn too_large(sums: &serde_json::Value) -> Option<String> {
    match sums {
        serde_json::Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let place = too_large(value)?;
            Some(if place.is_empty() { name.clone() } else { format!("{name}.{place}") })
        }),
        serde_json::Value::Array(items) => items.iter().find_map(too_large),
        serde_json::Value::Number(number) => number.as_u64().is_some_and(|n| n > LARGEST).then(String::new),
        _ => None,
    }
}
