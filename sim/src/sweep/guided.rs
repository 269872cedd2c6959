//! A guided sweep: runs are chosen by what earlier ones have reached ([`crate::guided`]).
//!
//! Inputs are made and learnt from in batches of a fixed size, so that a sweep plays the same universes on any number of
//! cores. A run is named by its number, not by a seed: its scenario is in no seed's draw.

use std::sync::atomic::{AtomicUsize, Ordering};

use scenarios::Scenario;

use super::{Failure, Options, Part, Summary, cores, progress_bar};
use crate::guided::{self, Input, Search, corpus};
use crate::host::WallClock;
use crate::report::Report;
use crate::trace::{self, Trace};
use crate::verdict::REVISION;

/// Runs that are made from the same corpus.
const BATCH: usize = 16;

/// Why a guided sweep cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The corpus cannot be used.
    #[error(transparent)]
    Corpus(#[from] corpus::Error),
    /// The trace of a failure cannot be written.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

/// Plays as many universes as the range has seeds, which the first seed decides.
pub fn sweep_guided(options: &Options) -> Result<Summary, Error> {
    let clock = WallClock::start();
    let total = options.seeds.end - options.seeds.start;
    let bar = progress_bar(total, options.progress);
    let part = Part { revision: REVISION.to_string(), seeds: options.seeds.clone(), shard: options.shard };
    let mut summary = Summary { parts: vec![part], overrides: options.overrides.clone(), ..Summary::default() };
    let mut search = Search::new(options.seeds.start, options.overrides.clone(), true);
    if let Some(directory) = &options.corpus {
        corpus::load(directory, &mut search)?;
    }
    while summary.played < total && options.time_limit.is_none_or(|limit| clock.elapsed() < limit) {
        let count = BATCH.min((total - summary.played) as usize);
        let inputs: Vec<Input> = (0..count).map(|_| search.next_input()).collect();
        let next = AtomicUsize::new(0);
        let mut results: Vec<(usize, Scenario, Report)> = std::thread::scope(|scope| {
            let play = || {
                let mut played = Vec::new();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(place) else { return played };
                    let (scenario, report) = guided::play(&input.bytes, &options.overrides);
                    played.push((place, scenario, report));
                }
            };
            let threads: Vec<_> = (0..options.jobs).map(|_| scope.spawn(play)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("panics are caught within")).collect()
        });
        results.sort_by_key(|(place, ..)| *place);
        for (input, (_, scenario, mut report)) in inputs.into_iter().zip(results) {
            search.learn(input, &report);
            let run = options.seeds.start + summary.played;
            let seed = std::mem::replace(&mut report.seed, run);
            summary.add(&report, false);
            bar.inc(1);
            if !report.outcome.is_pass() {
                let path = options.failures.join(format!("guided-{run}.json"));
                Trace::new(scenario, report.digest, report.outcome.clone()).save(&path)?;
                let (scenario, outcome) = (report.scenario, report.outcome);
                let failure = Failure { seed, scenario, revision: REVISION.to_string(), outcome, trace: path };
                bar.suspend(|| eprintln!("{}", failure.line()));
                summary.failures.push(failure);
            }
        }
        let (champions, states) = search.progress();
        bar.set_message(format!("{champions} champions, {states} states, {} failed", summary.failures.len()));
    }
    bar.finish_and_clear();
    if let Some(directory) = &options.corpus {
        corpus::save(directory, &search)?;
    }
    summary.skipped = total - summary.played;
    summary.wall_us = clock.elapsed().as_micros() as u64;
    summary.cores = cores().min(options.jobs) as u64;
    summary.core_us = summary.wall_us * summary.cores;
    summary.finish();
    Ok(summary)
}
