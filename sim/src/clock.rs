//! A node's clock: what it shows when the universe's own time is given.
//!
//! Each node's clock is off by a constant (skew) and runs a little fast or slow (drift). A host asks [`NodeClock::local`]
//! for the time to hand to the node, and [`NodeClock::universe`] for the moment at which to wake it. Integers only, so
//! that every platform agrees to the nanosecond. A clock that jumps is replaced by [`NodeClock::jumped`].

use serde::{Deserialize, Serialize};

/// What a perfect clock shows when the universe begins, in nanoseconds: an hour, so that a clock that is behind need not
/// show a negative time.
pub const EPOCH_NS: u64 = 3_600_000_000_000;

/// The largest skew, in microseconds, either way: the hour before [`EPOCH_NS`].
pub const MAX_SKEW_US: i64 = (EPOCH_NS / 1_000) as i64;

/// The largest drift, in parts per million, either way: such a clock runs at half or one and a half times the true rate.
pub const MAX_DRIFT_PPM: i32 = 500_000;

const MILLION: i128 = 1_000_000;

/// The clock of one node. The default is a perfect one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClock {
    /// How far ahead of a perfect clock this one is when the universe begins, in microseconds. Within [`MAX_SKEW_US`].
    pub skew_us: i64,
    /// How much faster than the universe it runs, in parts per million. Within [`MAX_DRIFT_PPM`].
    pub drift_ppm: i32,
}

impl NodeClock {
    /// A clock with this error; errors beyond [`MAX_SKEW_US`] and [`MAX_DRIFT_PPM`] are cut to them.
    pub fn new(skew_us: i64, drift_ppm: i32) -> Self {
        Self {
            skew_us: skew_us.clamp(-MAX_SKEW_US, MAX_SKEW_US),
            drift_ppm: drift_ppm.clamp(-MAX_DRIFT_PPM, MAX_DRIFT_PPM),
        }
    }

    /// What the clock shows at `now_ns` of the universe. Never decreases as the universe's time goes on.
    pub fn local(self, now_ns: u64) -> u64 {
        let shown = self.origin_ns() + (i128::from(now_ns) * self.rate()).div_euclid(MILLION);
        shown.clamp(0, i128::from(u64::MAX)) as u64
    }

    /// The first moment of the universe, in nanoseconds, at which the clock shows `local_ns` or later.
    pub fn universe(self, local_ns: u64) -> u64 {
        let elapsed = (i128::from(local_ns) - self.origin_ns()).max(0);
        // Rounded up: at the moment before, the clock still shows less.
        let moment = (elapsed * MILLION + self.rate() - 1) / self.rate();
        moment.min(i128::from(u64::MAX)) as u64
    }

    /// The same clock after a jump, ahead or back. The error stays within [`MAX_SKEW_US`].
    #[must_use]
    pub fn jumped(self, by_us: i64) -> Self {
        Self::new(self.skew_us.saturating_add(by_us), self.drift_ppm)
    }

    /// What it shows when the universe begins.
    fn origin_ns(self) -> i128 {
        i128::from(EPOCH_NS) + i128::from(self.skew_us) * 1_000
    }

    /// Local nanoseconds per million of the universe's. Positive by the bound on the drift.
    fn rate(self) -> i128 {
        let rate = MILLION + i128::from(self.drift_ppm);
        assert!(rate > 0, "a drift of {} ppm would stop the clock or turn it back", self.drift_ppm);
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples() {
        assert_eq!(NodeClock::default().local(0), EPOCH_NS);
        assert_eq!(NodeClock::default().local(123), EPOCH_NS + 123);
        assert_eq!(NodeClock::new(5, 0).local(7), EPOCH_NS + 5_007);
        assert_eq!(NodeClock::new(-5, 0).local(7), EPOCH_NS - 4_993);
        // 100 ppm fast: a tenth of a millisecond gained in a second.
        assert_eq!(NodeClock::new(0, 100).local(1_000_000_000), EPOCH_NS + 1_000_100_000);
        assert_eq!(NodeClock::new(0, -100).local(1_000_000_000), EPOCH_NS + 999_900_000);
        assert_eq!(NodeClock::new(0, -100).universe(EPOCH_NS + 999_900_000), 1_000_000_000);
        assert_eq!(NodeClock::new(-1, 0).universe(EPOCH_NS), 1_000);
        assert_eq!(NodeClock::new(i64::MIN, i32::MIN), NodeClock { skew_us: -MAX_SKEW_US, drift_ppm: -MAX_DRIFT_PPM });
    }

    #[test]
    fn never_runs_backwards() {
        bolero::check!().with_type().with_iterations(2_000).cloned().for_each(
            |(skew, drift, now, step): (i64, i32, u64, u32)| {
                let clock = NodeClock::new(skew, drift);
                let later = now.saturating_add(u64::from(step));
                assert!(clock.local(now) <= clock.local(later));
            },
        );
    }

    #[test]
    fn the_inverse_is_the_first_moment() {
        bolero::check!().with_type().with_iterations(2_000).cloned().for_each(
            |(skew, drift, local, wide): (i64, i32, u32, u64)| {
                let clock = NodeClock::new(skew, drift);
                // A century at most, so that the result is far from the ends of u64.
                for local in [EPOCH_NS + u64::from(local), wide >> 2] {
                    let moment = clock.universe(local);
                    assert!(clock.local(moment) >= local, "woken too early");
                    assert!(moment == 0 || clock.local(moment - 1) < local, "woken too late");
                }
            },
        );
    }
}
