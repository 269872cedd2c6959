//! Sweeps: many universes in parallel, each alone on its thread, and a summary.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use scenarios::{FaultsMode, Overrides, Scenario};
use serde::Serialize;

use crate::digest::Digest;
use crate::host::WallClock;
use crate::play::{play, play_twice};
use crate::report::{self, Counts, FAULTS, Report, faults, number, seconds};
use crate::trace::{self, Trace};
use crate::verdict::Verdict;

/// What to sweep, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seeds.
    pub seeds: Range<u64>,
    /// Universes at a time.
    pub jobs: usize,
    /// No universe starts after this long.
    pub time_limit: Option<Duration>,
    /// What the command line fixes of every scenario.
    pub overrides: Overrides,
    /// Where the traces of failures go.
    pub failures: PathBuf,
    /// Whether to play every universe twice, and fail those that differ.
    pub twice: bool,
    /// Whether to draw a progress bar.
    pub progress: bool,
}

/// A failure of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Verdict,
    /// Its trace.
    pub trace: PathBuf,
}

/// What a sweep found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Universes that were played.
    pub played: u64,
    /// Seeds that the time limit left out.
    pub skipped: u64,
    /// Universes by scenario.
    pub scenarios: BTreeMap<String, u64>,
    /// Whether every kind of fault could fire.
    pub hostile: bool,
    /// What happened in all of them.
    pub counts: Counts,
    /// Comparisons by checker.
    pub checks: BTreeMap<String, u64>,
    /// CPU time of all universes, in microseconds.
    pub cpu_us: u64,
    /// CPU time of the median and of the 99th percentile of the universes, in microseconds.
    pub cpu_us_p50: u64,
    /// See `cpu_us_p50`.
    pub cpu_us_p99: u64,
    /// The digest of every universe, by seed.
    pub digests: BTreeMap<u64, String>,
    /// The digest over all of them, in hexadecimal: equal sweeps have equal ones, whatever the order they ran in.
    pub digest: String,
    /// Wall-clock time, in microseconds.
    pub wall_us: u64,
    /// The failures, by seed.
    pub failures: Vec<Failure>,
}

/// Plays all seeds. The first error of saving a trace ends the sweep.
pub fn sweep(options: &Options) -> Result<Summary, trace::Error> {
    let clock = WallClock::start();
    let next = AtomicU64::new(options.seeds.start);
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel::<Played>();
    let total = options.seeds.end - options.seeds.start;
    let bar = progress_bar(total, options.progress);
    let hostile = options.overrides.faults.unwrap_or_default() == FaultsMode::Full;
    let mut summary = Summary { hostile, ..Summary::default() };
    let mut cpu = Vec::new();
    let mut result = Ok(());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            let (sender, next, stop, clock) = (sender.clone(), &next, &stop, &clock);
            scope.spawn(move || {
                loop {
                    let late = options.time_limit.is_some_and(|limit| clock.elapsed() >= limit);
                    if late || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.seeds.end {
                        return;
                    }
                    let scenario = Scenario::draw(seed, &options.overrides);
                    let report = if options.twice { play_twice(&scenario) } else { play(&scenario) };
                    let scenario = (!report.outcome.is_pass()).then_some(scenario);
                    if sender.send(Played { report, failed: scenario }).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for Played { report, failed } in receiver {
            summary.add(&report);
            cpu.push(report.cpu_us);
            if let Some(scenario) = failed {
                let Report { seed, outcome, digest, .. } = report;
                let path = options.failures.join(format!("{seed}.json"));
                if let Err(error) = Trace::new(scenario, digest, outcome.clone()).save(&path) {
                    stop.store(true, Ordering::Relaxed);
                    result = Err(error);
                    break;
                }
                bar.suspend(|| eprintln!("{}", failure_line(seed, &outcome, &path)));
                summary.failures.push(Failure { seed, outcome, trace: path });
                bar.set_message(format!("{} failed", summary.failures.len()));
            }
            bar.inc(1);
        }
    });
    bar.finish_and_clear();
    result?;
    cpu.sort_unstable();
    summary.cpu_us_p50 = percentile(&cpu, 50);
    summary.cpu_us_p99 = percentile(&cpu, 99);
    summary.skipped = total - summary.played;
    let mut digest = Digest::new();
    for (&seed, of_universe) in &summary.digests {
        digest.event(0, &[seed]);
        digest.bytes(of_universe.as_bytes());
    }
    summary.digest = digest.to_string();
    summary.failures.sort_by_key(|failure| failure.seed);
    summary.wall_us = clock.elapsed().as_micros() as u64;
    Ok(summary)
}

struct Played {
    report: Report,
    /// The scenario, if the run failed.
    failed: Option<Scenario>,
}

/// A failure's verdict, with the command that plays it again.
pub fn failure_line(seed: u64, outcome: &Verdict, trace: &std::path::Path) -> String {
    format!("{} | replay: cargo run -p sim -- replay {}", outcome.line(seed), trace.display())
}

fn progress_bar(total: u64, visible: bool) -> ProgressBar {
    if !visible {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} universes, {per_sec}, {eta} left {msg:.red}")
        .expect("the template is a constant");
    ProgressBar::new(total).with_style(style)
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

impl Summary {
    fn add(&mut self, report: &Report) {
        self.played += 1;
        *self.scenarios.entry(report.scenario.clone()).or_default() += 1;
        self.counts.add(&report.counts);
        for (checker, comparisons) in &report.checks {
            *self.checks.entry(checker.clone()).or_default() += comparisons;
        }
        self.cpu_us += report.cpu_us;
        self.digests.insert(report.seed, report.digest.clone());
    }

    /// The exit code: that of the failures if they agree, else 1.
    pub fn exit_code(&self) -> u8 {
        let mut codes = self.failures.iter().map(|failure| failure.outcome.exit_code());
        match codes.next() {
            None => 0,
            Some(first) if codes.all(|code| code == first) => first,
            Some(_) => 1,
        }
    }

    /// The summary for a terminal.
    pub fn text(&self) -> String {
        let Self { played, skipped, counts, cpu_us, wall_us, .. } = self;
        let cpu = (*cpu_us).max(1);
        let per_second = |n: u64| number((u128::from(n) * 1_000_000 / u128::from(cpu)) as u64);
        let by_name = |map: &BTreeMap<String, u64>| {
            map.iter().map(|(name, n)| format!("{name} {}", number(*n))).collect::<Vec<_>>().join(", ")
        };
        let mut text = String::new();
        let mut row = |label: &str, value: String| report::row(&mut text, &format!("  {label:<11} "), &value);
        row("universes", format!("{} played, {} failed", number(*played), self.failures.len()));
        if *skipped > 0 {
            row("", format!("{} not played: the time limit came first", number(*skipped)));
        }
        row("scenarios", by_name(&self.scenarios));
        let rate = u128::from(*played) * 10_000_000 / u128::from((*wall_us).max(1));
        row(
            "speed",
            format!(
                "{}.{} universes/s; {} CPU, median {} ms and p99 {} ms a universe",
                rate / 10,
                rate % 10,
                seconds(*cpu_us),
                self.cpu_us_p50 / 1_000,
                self.cpu_us_p99 / 1_000
            ),
        );
        row(
            "",
            format!(
                "virtual : CPU time {} : 1; {} messages and {} committed writes a CPU second",
                counts.virtual_us / cpu,
                per_second(counts.messages),
                per_second(counts.committed)
            ),
        );
        row(
            "operations",
            format!("{} ok, {} failed, {} unknown", number(counts.ok), number(counts.failed), number(counts.unknown)),
        );
        row("faults", faults(&counts.faults));
        let missing: Vec<&str> = FAULTS.into_iter().filter(|kind| !counts.faults.contains_key(*kind)).collect();
        if self.hostile && !missing.is_empty() {
            row("", format!("never fired: {}", missing.join(", ")));
        }
        row("checked", by_name(&self.checks));
        if self.failures.is_empty() && *played > 0 {
            // With no failure in n runs, the rate is below 3/n with 95 % confidence ("rule of three").
            let bound = 3_000_000 / played;
            row("confidence", format!("a failure rate under {bound} in a million (95 %)"));
        }
        for Failure { seed, outcome, trace } in &self.failures {
            text.push_str(&failure_line(*seed, outcome, trace));
            text.push('\n');
        }
        text
    }
}
