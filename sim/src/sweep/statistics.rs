//! The statistics of a summary: CPU times that can be merged, and what failures among so many say about the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many universes took how long. Times are cut to three digits, which bounds its size whatever is swept; cut alike
/// everywhere, merged histograms have the percentiles that one of everything would have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    /// Adds one time, in microseconds.
    pub fn add(&mut self, us: u64) {
        *self.0.entry(cut(us)).or_default() += 1;
    }

    /// Adds all times of another one.
    pub fn merge(&mut self, other: &Self) {
        for (us, count) in &other.0 {
            *self.0.entry(*us).or_default() += count;
        }
    }

    /// How many times are in it, unless they are more than can be counted.
    pub fn count(&self) -> Option<u64> {
        self.0.values().try_fold(0u64, |sum, count| sum.checked_add(*count))
    }

    /// The time that so many percent do not exceed; 0 if it is empty.
    pub fn percentile(&self, percent: u64) -> u64 {
        let total = self.count().unwrap_or(u64::MAX);
        let mut left = (u128::from(total) * u128::from(percent) / 100) as u64;
        for (us, count) in &self.0 {
            if left < *count {
                return *us;
            }
            left -= count;
        }
        self.0.last_key_value().map_or(0, |(us, _)| *us)
    }
}

/// A number with all digits but the first three made zero.
fn cut(n: u64) -> u64 {
    let unit = 10u64.pow(n.checked_ilog10().unwrap_or(0).saturating_sub(2));
    n / unit * unit
}

/// A bound on a rate: with 95 % confidence it is below this when nothing failed in so many (the "rule of three").
pub fn rule_of_three(n: u64) -> f64 {
    if n <= 3 { 1.0 } else { 3.0 / n as f64 }
}

/// The Wilson score interval of a rate, with 95 % confidence: `failed` of `n`, which is not 0.
pub fn wilson(failed: u64, n: u64) -> (f64, f64) {
    /// What 95 % of a normal distribution is within.
    const Z: f64 = 1.959_964;
    let (n, rate) = (n as f64, failed as f64 / n as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (rate + Z * Z / (2.0 * n)) / scale;
    let reach = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    ((middle - reach).max(0.0), (middle + reach).min(1.0))
}

/// Which way a percentage is rounded: a bound must stay one.
#[derive(Clone, Copy)]
pub enum Round {
    /// To a lower bound.
    Down,
    /// To what is nearest.
    Near,
    /// To an upper bound.
    Up,
}

/// A rate in percent, with two digits that count.
pub fn percent(rate: f64, round: Round) -> String {
    let percent = rate * 100.0;
    if percent <= 0.0 {
        return "0 %".into();
    }
    let decimals = (1 - percent.log10().floor() as i32).clamp(0, 12);
    let scale = 10f64.powi(decimals);
    // What floating point adds to an exact number must not become a digit.
    let scaled = match round {
        Round::Down => (percent * scale + 1e-6).floor(),
        Round::Near => (percent * scale).round(),
        Round::Up => (percent * scale - 1e-6).ceil(),
    };
    let digits = format!("{:.*}", decimals as usize, scaled / scale);
    let digits = if decimals > 0 { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_merged_histograms_are_those_of_everything() {
        bolero::check!().with_type().with_iterations(1_000).cloned().for_each(|(left, right): (Vec<u32>, Vec<u32>)| {
            let of = |times: &[u32]| {
                let mut histogram = Histogram::default();
                for us in times {
                    histogram.add(u64::from(*us));
                }
                histogram
            };
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let mut all = [left, right].concat();
            assert_eq!(merged, of(&all));
            assert_eq!(merged.count(), Some(all.len() as u64));
            all.sort_unstable();
            for percent in [0, 50, 99, 100] {
                let place = (all.len() * percent / 100).min(all.len().saturating_sub(1));
                let expected = all.get(place).map_or(0, |us| cut(u64::from(*us)));
                assert_eq!(merged.percentile(percent as u64), expected);
            }
        });
    }

    #[test]
    fn times_keep_three_digits() {
        for (us, kept) in
            [(0, 0), (7, 7), (999, 999), (1_234, 1_230), (98_765, 98_700), (u64::MAX, 18_400_000_000_000_000_000)]
        {
            assert_eq!(cut(us), kept);
        }
    }

    /// The intervals of the textbook: 10 of 100 is 5.5 % to 17.4 %; 1 of 10 is 1.8 % to 40.4 %.
    #[test]
    fn intervals_are_those_of_the_textbook() {
        let shown = |failed, n| {
            let (low, high) = wilson(failed, n);
            format!("{:.1} {:.1}", low * 100.0, high * 100.0)
        };
        assert_eq!(shown(10, 100), "5.5 17.4");
        assert_eq!(shown(1, 10), "1.8 40.4");
        assert_eq!(shown(10, 10), "72.2 100.0");
        assert_eq!(percent(rule_of_three(1_000), Round::Up), "0.3 %");
        assert_eq!(percent(rule_of_three(1), Round::Up), "100 %");
    }

    #[test]
    fn percentages_keep_two_digits_and_stay_bounds() {
        assert_eq!(percent(3.0 / 250.0, Round::Up), "1.2 %");
        assert_eq!(percent(3.0 / 7_000.0, Round::Up), "0.043 %");
        assert_eq!(percent(3.0 / 7_000.0, Round::Down), "0.042 %");
        assert_eq!(percent(0.000_012, Round::Near), "0.0012 %");
        assert_eq!(percent(0.3, Round::Up), "30 %");
        assert_eq!(percent(1.0, Round::Near), "100 %");
        assert_eq!(percent(0.0, Round::Down), "0 %");
    }
}
