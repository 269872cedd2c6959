//! The real machine: wall-clock and CPU time, which are reported and never decide anything in a universe.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "measures real time, outside of any universe")]

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A stopwatch of real time.
pub struct WallClock(Instant);

impl WallClock {
    /// Starts it.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// CPU time that this thread has used, in microseconds.
pub fn thread_cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}
