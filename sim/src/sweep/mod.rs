//! Sweeps: many universes in parallel, each alone on its thread, and a summary.
//!
//! [`sweep()`] plays the seeds of a range, or a [`Shard`] of them, and gives a [`Summary`]. A [`Results`] is a summary as a
//! file, with the traces of failures in it; [`merge()`] makes one of many, as if one process had played everything.
//! Beside its text, a summary can be had as JUnit XML and for GitHub Actions. How machines are given their shards, and
//! how results come together, is left to those who run them: `deploy/` has examples.

pub(crate) mod cli;
mod github;
mod guided;
mod junit;
mod merge;
mod results;
mod shard;
mod statistics;
mod summary;
mod text;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use scenarios::{Overrides, Scenario};
use xxhash_rust::xxh3::xxh3_64;

pub use self::guided::sweep_guided;
pub use self::merge::merge;
pub use self::results::Results;
pub use self::shard::Shard;
pub use self::statistics::Histogram;
pub use self::summary::{Failure, Part, Summary};
use crate::host::WallClock;
use crate::play::{play, play_twice};
use crate::report::Report;
use crate::trace::{self, Trace};
use crate::verdict::REVISION;

/// What to sweep, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seeds.
    pub seeds: Range<u64>,
    /// Which of them.
    pub shard: Shard,
    /// Universes at a time.
    pub jobs: usize,
    /// No universe starts after this long.
    pub time_limit: Option<Duration>,
    /// What the command line fixes of every scenario.
    pub overrides: Overrides,
    /// Where the traces of failures go.
    pub failures: PathBuf,
    /// Where a guided sweep begins, and leaves what it has learnt: files of bytes.
    pub corpus: Option<PathBuf>,
    /// How many percent of the universes to play twice, failing those that differ.
    pub recheck: u8,
    /// Whether to draw a progress bar.
    pub progress: bool,
}

/// Plays all seeds. The first error of saving a trace ends the sweep.
pub fn sweep(options: &Options) -> Result<Summary, trace::Error> {
    sweep_by(options, play, play_twice)
}

/// A function that plays a universe.
type Player = fn(&Scenario) -> Report;

/// Sweeps with other ways to play a universe once and twice.
fn sweep_by(options: &Options, once: Player, twice: Player) -> Result<Summary, trace::Error> {
    let Options { seeds, shard, jobs, overrides, .. } = options;
    let clock = WallClock::start();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel::<Played>();
    let total = shard.count(seeds);
    let bar = progress_bar(total, options.progress);
    let part = Part { revision: REVISION.to_string(), seeds: seeds.clone(), shard: *shard };
    let mut summary = Summary { parts: vec![part], overrides: overrides.clone(), ..Summary::default() };
    let mut result = Ok(());
    std::thread::scope(|scope| {
        for _ in 0..*jobs {
            let (sender, next, stop, clock) = (sender.clone(), &next, &stop, &clock);
            scope.spawn(move || {
                loop {
                    let late = options.time_limit.is_some_and(|limit| clock.elapsed() >= limit);
                    if late || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let Some(seed) = shard.seed(seeds, next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let scenario = Scenario::draw(seed, overrides);
                    let rechecked = is_rechecked(seed, options.recheck);
                    let report = if rechecked { twice(&scenario) } else { once(&scenario) };
                    let failed = (!report.outcome.is_pass()).then_some(scenario);
                    if sender.send(Played { report, rechecked, failed }).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for Played { report, rechecked, failed } in receiver {
            summary.add(&report, rechecked);
            if let Some(scenario) = failed {
                let Report { seed, scenario: name, outcome, digest, .. } = report;
                let path = options.failures.join(format!("{seed}.json"));
                if let Err(error) = Trace::new(scenario, digest, outcome.clone()).save(&path) {
                    stop.store(true, Ordering::Relaxed);
                    result = Err(error);
                    break;
                }
                let revision = REVISION.to_string();
                let failure = Failure { seed, scenario: name, revision, outcome, trace: path };
                bar.suspend(|| eprintln!("{}", failure.line()));
                summary.failures.push(failure);
                bar.set_message(format!("{} failed", summary.failures.len()));
            }
            bar.inc(1);
        }
    });
    bar.finish_and_clear();
    result?;
    summary.skipped = total - summary.played;
    summary.wall_us = clock.elapsed().as_micros() as u64;
    summary.cores = cores().min(*jobs) as u64;
    summary.core_us = summary.wall_us * summary.cores;
    summary.finish();
    Ok(summary)
}

struct Played {
    report: Report,
    rechecked: bool,
    /// The scenario, if the run failed.
    failed: Option<Scenario>,
}

/// Whether a universe is played twice when so many percent are. It depends on nothing but the seed, and not on what
/// decides its shard.
fn is_rechecked(seed: u64, percent: u8) -> bool {
    xxh3_64(&seed.to_le_bytes()) % 100 < u64::from(percent)
}

/// How many cores this process can use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn progress_bar(total: u64, visible: bool) -> ProgressBar {
    if !visible {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} universes, {per_sec}, {eta} left {msg:.red}")
        .expect("the template is a constant");
    ProgressBar::new(total).with_style(style)
}

#[cfg(test)]
mod tests {
    use scenarios::FaultsMode;

    use super::*;
    use crate::verdict::{Finding, Verdict};

    /// Says that a universe went differently, as [`play_twice`] would.
    fn diverge(scenario: &Scenario) -> Report {
        let finding = Finding {
            checker: "twice".into(),
            anomaly: "divergence".into(),
            message: "differs".into(),
            evidence: Vec::new(),
            event: 0,
            time_us: 0,
            node: None,
        };
        Report { outcome: Verdict::Determinism(finding), ..play(scenario) }
    }

    #[test]
    fn a_universe_that_diverges_is_found_if_it_is_rechecked() {
        let failures = std::env::temp_dir().join(format!("orrery-diverging-{}", std::process::id()));
        let options = Options {
            seeds: 0..20,
            shard: Shard::WHOLE,
            jobs: 2,
            time_limit: None,
            overrides: Overrides { ops: Some(20), faults: Some(FaultsMode::None), ..Overrides::default() },
            failures: failures.clone(),
            corpus: None,
            recheck: 30,
            progress: false,
        };
        let summary = sweep_by(&options, play, diverge).unwrap();
        std::fs::remove_dir_all(failures).unwrap();
        let failed: Vec<u64> = summary.failures.iter().map(|failure| failure.seed).collect();
        assert_eq!(failed, (0..20).filter(|seed| is_rechecked(*seed, 30)).collect::<Vec<_>>());
        assert!(!failed.is_empty() && failed.len() as u64 == summary.twice);
        assert_eq!(summary.exit_code(true), 4);
        assert!(summary.text(true).contains(" went differently"), "{}", summary.text(true));
    }

    #[test]
    fn so_many_percent_are_played_twice() {
        let chosen = |percent| (0..10_000).filter(|seed| is_rechecked(*seed, percent)).count();
        assert_eq!((chosen(0), chosen(100)), (0, 10_000));
        assert!((400..600).contains(&chosen(5)), "{}", chosen(5));
        let in_shard = (0..40_000).step_by(4).filter(|seed| is_rechecked(*seed, 5)).count();
        assert!((400..600).contains(&in_shard), "{in_shard}");
        assert!((0..1_000).all(|seed| !is_rechecked(seed, 5) || is_rechecked(seed, 6)), "more are chosen besides");
    }
}
