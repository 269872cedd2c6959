//! Many cases, by number.

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use rustix::time::{ClockId, clock_gettime};

use crate::ast::Case;
use crate::coverage::Tally;
use crate::judge::{Mismatch, judge};
use crate::shrink::shrink;

/// The fewest and the most bytes of a case.
const BYTES: (usize, usize) = (1_000, 8_000);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How many queries at least, unless something is found before.
    pub queries: u64,
    /// Which.
    pub seed: u64,
    /// How many threads.
    pub jobs: u64,
    /// After how many mismatches to stop.
    pub most: u64,
    /// The only case, if there is to be one.
    pub case: Option<u64>,
}

/// A mismatch, and where.
#[derive(Clone, Debug)]
pub struct Found {
    /// The number of the case.
    pub case: u64,
    /// How many queries had been run by then, by the same thread.
    pub queries: u64,
    /// The case, made small.
    pub small: Case,
    /// The mismatch in it.
    pub mismatch: Mismatch,
}

/// The bytes of a case of a seed.
pub fn bytes(seed: u64, number: u64) -> Vec<u8> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    let length = BYTES.0 + (rng.next_u64() as usize) % (BYTES.1 - BYTES.0);
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A case of a seed.
pub fn case(seed: u64, number: u64) -> Case {
    crate::case_of(&bytes(seed, number))
}

/// Judges a case, and makes what is found small.
pub fn play(case: Case, tally: &mut Tally) -> anyhow::Result<Option<(Case, Mismatch)>> {
    judge(&case, tally)?.map(|mismatch| shrink(case, mismatch)).transpose()
}

/// Runs cases until there were enough queries or mismatches, each of which is told at once. Gives what was met and found, and the seconds of CPU.
pub fn run(run: &Run, tell: &(dyn Fn(&Found) + Sync)) -> anyhow::Result<(Tally, Vec<Found>, f64)> {
    let bar = ProgressBar::new(run.queries);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} queries, {eta} left, {msg}")?;
    bar.set_style(style);
    // Panics are caught and reported as what they are; where they were is in their script.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(0));
    let results: Vec<anyhow::Result<(Tally, Vec<Found>)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..run.jobs).map(|_| scope.spawn(|| work(run, &bar, &next, &found, tell))).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    std::panic::set_hook(hook);
    bar.finish_and_clear();
    let (mut tally, mut all) = (Tally::default(), Vec::new());
    for result in results {
        let (some, found) = result?;
        tally.add(some);
        all.extend(found);
    }
    all.sort_by_key(|found| found.case);
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok((tally, all, time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9))
}

fn work(
    run: &Run,
    bar: &ProgressBar,
    next: &AtomicU64,
    found: &AtomicU64,
    tell: &(dyn Fn(&Found) + Sync),
) -> anyhow::Result<(Tally, Vec<Found>)> {
    let mut tally = Tally::default();
    let mut mine = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let number = match run.case {
            Some(_) if number > 0 => break,
            Some(only) => only,
            None if bar.position() >= run.queries => break,
            None => number,
        };
        if found.load(Ordering::Relaxed) >= run.most {
            break;
        }
        let before = tally.queries;
        if let Some((small, mismatch)) = play(case(run.seed, number), &mut tally)? {
            let total = found.fetch_add(1, Ordering::Relaxed) + 1;
            bar.set_message(format!("{total} mismatches"));
            let found = Found { case: number, queries: tally.queries, small, mismatch };
            bar.suspend(|| tell(&found));
            mine.push(found);
        }
        bar.inc(tally.queries - before);
    }
    Ok((tally, mine))
}
