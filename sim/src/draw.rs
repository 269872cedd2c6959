//! Integer draws from a random stream: chances in parts per million, bounded numbers, exponential delays.
//!
//! Everything a universe draws while it runs must be the same on every platform, so nothing here touches a float or
//! the platform's mathematical library. A draw that cannot matter (a chance of zero or of one, a range of one value)
//! takes nothing from the stream, so that a run without faults pays nothing for them.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;
use xxhash_rust::xxh3::xxh3_64;

/// A source of random numbers.
pub trait Draw {
    /// 64 random bits.
    fn draw(&mut self) -> u64;
}

impl Draw for ChaCha8Rng {
    fn draw(&mut self) -> u64 {
        self.next_u64()
    }
}

/// The dice for one thing, named by numbers that say which: the twelfth append from node 1 to node 3. What is drawn for it
/// does not depend on what was drawn for anything else, so that a universe with a little more or less in it decides all
/// the rest as before. A hash of the name starts the generator of Steele, Lea and Flood (2014), which is enough for a
/// handful of draws.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a name.
    pub fn of(name: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        for (place, part) in bytes.chunks_exact_mut(8).zip(name) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        Self(xxh3_64(&bytes))
    }
}

impl Draw for Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A million: the whole of a rate in parts per million.
pub const MILLION: u32 = 1_000_000;

/// True with a chance of `ppm` in a million.
pub fn chance(rng: &mut impl Draw, ppm: u32) -> bool {
    match ppm {
        0 => false,
        MILLION.. => true,
        _ => below(rng, u64::from(MILLION)) < u64::from(ppm),
    }
}

/// A number below `bound`, or 0 when `bound` is 0 or 1. The bias, at most `bound` / 2^64, is of no consequence.
pub fn below(rng: &mut impl Draw, bound: u64) -> u64 {
    if bound <= 1 {
        return 0;
    }
    ((u128::from(rng.draw()) * u128::from(bound)) >> 64) as u64
}

/// An exponentially distributed number with the given mean, at most about 45 times the mean.
///
/// This is inversion, -mean * ln(u), with the logarithm in fixed point: the leading zeros of `u` give its whole part in
/// base two, and a parabola through the mantissa the rest, off by less than 0.01.
pub fn exponential(rng: &mut impl Draw, mean: u64) -> u64 {
    /// ln 2 in units of 2^-16.
    const LN_2: u128 = 45_426;
    /// How far log2(1 + f) rises above f, as a share of f (1 - f), in units of 2^-16.
    const BULGE: u64 = 22_544;
    if mean == 0 {
        return 0;
    }
    let u = rng.draw() | 1;
    let zeros = u.leading_zeros();
    // The 16 bits after the leading one: the mantissa's fraction, in units of 2^-16.
    let fraction = ((u << zeros) << 1) >> 48;
    let log2 = fraction + ((((fraction * (65_536 - fraction)) >> 16) * BULGE) >> 16);
    let minus_log2 = (u64::from(zeros) << 16) + (65_536 - log2);
    let scaled = (u128::from(mean) * ((u128::from(minus_log2) * LN_2) >> 16)) >> 16;
    scaled.min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng as _;

    #[test]
    fn chances_come_out_near_their_rate() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for ppm in [0, 1_000, 250_000, 999_000, MILLION, u32::MAX] {
            let hits = (0..100_000).filter(|_| chance(&mut rng, ppm)).count() as i64;
            let expected = i64::from(ppm.min(MILLION)) / 10;
            assert!((hits - expected).abs() <= 600, "{ppm} ppm gave {hits} of 100000");
        }
        assert!((0..1_000).all(|_| !chance(&mut rng, 0) && chance(&mut rng, MILLION)));
    }

    #[test]
    fn a_certain_draw_takes_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let before = rng.clone();
        assert!(!chance(&mut rng, 0) && chance(&mut rng, MILLION));
        assert_eq!((below(&mut rng, 0), below(&mut rng, 1), exponential(&mut rng, 0)), (0, 0, 0));
        assert_eq!(rng, before);
    }

    #[test]
    fn exponential_has_the_quantiles_of_its_name() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut samples: Vec<u64> = (0..100_000).map(|_| exponential(&mut rng, 1_000_000)).collect();
        samples.sort_unstable();
        // Quantiles of Exp(1) in millionths: ln(1 / (1 - q)).
        for (quantile, expected) in [(10_000, 105_361), (50_000, 693_147), (90_000, 2_302_585), (99_000, 4_605_170)] {
            let got = samples[quantile] as i64;
            assert!((got - expected).abs() <= expected / 50 + 10_000, "quantile {quantile}: {got}, not {expected}");
        }
        let mean = samples.iter().sum::<u64>() / samples.len() as u64;
        assert!((985_000..1_015_000).contains(&mean), "mean {mean}");
    }
}
