//! Shrinking: a failing scenario made small, while it keeps failing in the same way.
//!
//! A pass proposes smaller scenarios; the first that still fails with the same [signature](crate::verdict::Verdict::signature)
//! is the next to be made smaller. Lists (clients, operations, faults, single decisions) are cut by delta debugging (Zeller
//! and Hildebrandt, 2002). The passes go round until none of them gets any further, or the time is over.
//! A candidate in whose history some judge finds nothing to compare, though it found something before, is refused: once the
//! bug is mended, its trace would be *vacuous*, and not pass.
//!
//! What the dice have decided is turned into [fates](scenarios::Fate) on the way, one for each message that was lost or disk
//! operation that failed, so that each can be taken away by itself; and faults that come at a time are tied to what happens
//! there, so that the trace still fails when the code around the bug has changed. Candidates are played in parallel and
//! adopted in order: the result does not depend on the number of threads, unless time runs out.

mod ddmin;
mod passes;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use scenarios::{Recorder, Scenario};
use serde::Serialize;

use crate::host::WallClock;
use crate::play::{Footage, play, watch};
use crate::report::{Report, number, row, seconds};
use crate::trace::{self, Trace};
use crate::universe::Watch;

/// How many other dice the result is tried with.
pub const OTHER_DICE: u64 = 20;

/// How to shrink.
#[derive(Clone, Debug)]
pub struct Options {
    /// Universes at a time.
    pub jobs: usize,
    /// No universe starts after this long.
    pub time_limit: Duration,
    /// Where each step that was adopted is kept as a trace.
    pub steps: Option<PathBuf>,
    /// Whether to show what is going on.
    pub progress: bool,
}

/// How large a scenario is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Clients.
    pub clients: usize,
    /// Operations of all clients.
    pub operations: usize,
    /// Faults and single decisions, and rates that are not 0.
    pub faults: usize,
}

/// What came of shrinking.
#[derive(Debug, Serialize)]
pub struct Shrunk {
    /// The smallest scenario that fails alike.
    pub scenario: Scenario,
    /// How it went.
    pub report: Report,
    /// The size before.
    pub before: Size,
    /// The size after.
    pub after: Size,
    /// Under how many of [`OTHER_DICE`] other dice it fails alike: the more, the less the failure hangs on one moment's luck.
    pub steadiness: u64,
    /// Universes that were played.
    pub played: u64,
    /// Smaller scenarios that were adopted.
    pub steps: u64,
    /// CPU time of all universes, in microseconds.
    pub cpu_us: u64,
    /// Whether time ran out before the passes did.
    pub out_of_time: bool,
}

/// Why nothing can be shrunk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario passes.
    #[error("it does not fail (any more): there is nothing to shrink")]
    Passes,
    /// A step cannot be written.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

/// Makes a failing scenario small.
pub fn shrink(scenario: &Scenario, options: &Options) -> Result<Shrunk, Error> {
    let (report, footage) = watch(scenario, Watch::default());
    if report.outcome.is_pass() {
        return Err(Error::Passes);
    }
    let mut shrinker = Shrinker {
        signature: report.outcome.signature(),
        idle: idle(scenario, &footage.record),
        writes: report.counts.committed > 0,
        best: scenario.clone(),
        played: 1,
        steps: 0,
        cpu_us: report.cpu_us,
        clock: WallClock::start(),
        options,
        bar: progress_bar(options.progress),
        failure: None,
    };
    passes::run(&mut shrinker);
    shrinker.bar.finish_and_clear();
    if let Some(error) = shrinker.failure {
        return Err(error.into());
    }
    let (before, after) = (Size::of(scenario), Size::of(&shrinker.best));
    let out_of_time = shrinker.out_of_time();
    let others = passes::with_other_dice(&shrinker.best, OTHER_DICE).split_off(1);
    let steadiness = shrinker.alike(&others).into_iter().filter(|alike| *alike).count() as u64;
    let report = play(&shrinker.best);
    let Shrinker { best: scenario, played, steps, cpu_us, .. } = shrinker;
    Ok(Shrunk { scenario, report, before, after, steadiness, played, steps, cpu_us, out_of_time })
}

/// A scenario on its way to become small.
struct Shrinker<'a> {
    /// What every candidate has to fail with.
    signature: String,
    /// The judges that had nothing to compare from the beginning.
    idle: BTreeSet<&'static str>,
    /// Whether it has to commit something too: without its bug, what is left should test something.
    writes: bool,
    /// The smallest so far.
    best: Scenario,
    played: u64,
    steps: u64,
    cpu_us: u64,
    clock: WallClock,
    options: &'a Options,
    bar: ProgressBar,
    /// The error that ends everything.
    failure: Option<trace::Error>,
}

impl Shrinker<'_> {
    fn out_of_time(&self) -> bool {
        self.failure.is_some() || self.clock.elapsed() >= self.options.time_limit
    }

    /// Which candidate is the first to fail in the same way, if any does.
    fn first(&mut self, candidates: &[Scenario]) -> Option<usize> {
        for (round, batch) in candidates.chunks(self.options.jobs.max(1)).enumerate() {
            if self.out_of_time() {
                return None;
            }
            if let Some(place) = self.alike(batch).into_iter().position(|alike| alike) {
                return Some(round * self.options.jobs.max(1) + place);
            }
        }
        None
    }

    /// Which candidates fail in the same way. As many are played at a time as there are jobs.
    fn alike(&mut self, candidates: &[Scenario]) -> Vec<bool> {
        let mut alike = Vec::with_capacity(candidates.len());
        for batch in candidates.chunks(self.options.jobs.max(1)) {
            let runs: Vec<Option<(Report, Footage)>> = std::thread::scope(|scope| {
                let played =
                    |candidate: &Scenario| candidate.validate().is_ok().then(|| watch(candidate, Watch::default()));
                let threads: Vec<_> = batch.iter().map(|candidate| scope.spawn(move || played(candidate))).collect();
                threads.into_iter().map(|thread| thread.join().expect("panics are caught within")).collect()
            });
            for (report, _) in runs.iter().flatten() {
                self.played += 1;
                self.cpu_us += report.cpu_us;
            }
            self.bar.set_position(self.played);
            alike.extend(batch.iter().zip(&runs).map(|(candidate, run)| {
                run.as_ref().is_some_and(|(report, footage)| {
                    report.outcome.signature() == self.signature
                        && (report.counts.committed > 0 || !self.writes)
                        && idle(candidate, &footage.record).is_subset(&self.idle)
                })
            }));
        }
        alike
    }

    /// Goes on with the first candidate that fails in the same way, if any does.
    fn adopt(&mut self, mut candidates: Vec<Scenario>) -> bool {
        candidates.retain(|candidate| *candidate != self.best);
        let Some(place) = self.first(&candidates) else { return false };
        self.take(candidates.swap_remove(place));
        true
    }

    /// Goes on with a scenario that fails in the same way.
    fn take(&mut self, scenario: Scenario) {
        self.best = scenario;
        self.steps += 1;
        let Size { nodes, clients, operations, faults } = Size::of(&self.best);
        self.bar.set_message(format!("{nodes} nodes, {clients} clients, {operations} operations, {faults} faults"));
        if let Some(directory) = &self.options.steps {
            let report = play(&self.best);
            let path = directory.join(format!("{:04}.json", self.steps));
            let saved = Trace::new(self.best.clone(), report.digest, report.outcome).save(&path);
            self.failure = self.failure.take().or(saved.err());
        }
    }
}

/// The judges who find nothing to compare in what the clients saw.
fn idle(scenario: &Scenario, record: &Recorder) -> BTreeSet<&'static str> {
    let checks = scenarios::judge(scenario, record, None);
    checks.into_iter().filter(|check| check.comparisons == 0).map(|check| check.checker).collect()
}

impl Size {
    /// The size of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let Scenario { network, disk, .. } = scenario;
        let rates = [
            network.loss_ppm,
            network.duplicate_ppm,
            network.reorder_ppm,
            network.replay_ppm,
            disk.eio_read_ppm,
            disk.eio_write_ppm,
            disk.eio_sync_ppm,
            disk.stall_ppm,
            disk.rot_read_ppm,
            disk.misdirect_read_ppm,
            disk.crash_in_flight_ppm,
        ];
        Self {
            nodes: usize::from(scenario.nodes),
            clients: scenario.clients.len(),
            operations: scenario.operations(),
            faults: scenario.faults.len() + scenario.fates.len() + rates.iter().filter(|&&ppm| ppm > 0).count(),
        }
    }
}

impl Shrunk {
    /// What came of it, for a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: String| row(&mut text, &format!("  {label:<11} "), &value);
        let (a, b) = (self.before, self.after);
        line("nodes", format!("{} → {}", a.nodes, b.nodes));
        line("clients", format!("{} → {}", a.clients, b.clients));
        line("operations", format!("{} → {}", a.operations, b.operations));
        line("faults", format!("{} → {}", a.faults, b.faults));
        line("dice", format!("fails alike with {} of {OTHER_DICE} others", self.steadiness));
        let stopped = if self.out_of_time { "; the time limit came first" } else { "" };
        let (played, steps) = (number(self.played), number(self.steps));
        line("effort", format!("{played} universes, {steps} steps, {} of CPU{stopped}", seconds(self.cpu_us)));
        text
    }
}

fn progress_bar(visible: bool) -> ProgressBar {
    if !visible {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} universes, {elapsed}: {msg}")
        .expect("the template is a constant");
    ProgressBar::new_spinner().with_style(style)
}
