//! Named random streams.
//!
//! Each component that draws while a universe runs has a stream of its own, named by the seed, the component, and an index
//! (a node, a client): so that changing one part of a scenario does not shift the decisions of another.
//!
//! The stream is `ChaCha8` (zero nonce, from block 0) under a 32-byte key: the seed (8 bytes), the index (8 bytes), and the
//! 128-bit FNV-1a hash of the component's name (16 bytes), all little-endian. This is part of the trace format: a
//! change would give old traces other runs.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;

/// The stream of a component.
pub fn stream(seed: u64, component: &str, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&index.to_le_bytes());
    key[16..].copy_from_slice(&fnv1a(component.as_bytes()).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The 128-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u128 {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET_BASIS, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng as _;

    #[test]
    fn fnv1a_of_published_examples() {
        assert_eq!(fnv1a(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv1a(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(fnv1a(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn golden_values() {
        // From an independent implementation of ChaCha8.
        let first = |seed, component, index| stream(seed, component, index).next_u64();
        assert_eq!(first(0, "", 0), 0x328a_fa9d_439a_61c8);
        assert_eq!(first(1, "network", 0), 0xae4a_2f64_436c_cf8a);
        assert_eq!(first(1, "disk", 0), 0x42c1_3a97_743a_ac82);
        assert_eq!(first(1, "disk", 1), 0x78d3_f53c_318a_aca4);
        assert_eq!(first(u64::MAX, "disk", u64::MAX), 0x8af4_0ef2_5819_a119);
    }

    #[test]
    fn streams_differ_in_every_part_of_their_name() {
        let firsts: std::collections::BTreeSet<u64> = (0..10)
            .flat_map(|seed| (0..10).map(move |index| (seed, index)))
            .flat_map(|(seed, index)| ["disk", "network", "clock"].map(|name| stream(seed, name, index).next_u64()))
            .collect();
        assert_eq!(firsts.len(), 300);
    }
}
