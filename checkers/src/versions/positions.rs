//! Which commit positions are somebody's.
//!
//! A writer of unknown outcome can only have committed at a position that no other writer reports. Positions are taken
//! in ascending order and kept as runs without a gap, so that a database that numbers its commits one by one costs one
//! run. Of a database that leaves gaps only the newest runs are kept: below them every position counts as free, which
//! accuses nobody.

use std::collections::VecDeque;

/// How many runs are kept.
const RUNS: usize = 1 << 16;

/// Runs of taken positions, ascending: first and last.
#[derive(Debug, Default)]
pub(super) struct Positions(VecDeque<(u64, u64)>);

impl Positions {
    /// Takes a position above all that were taken before.
    pub(super) fn take(&mut self, position: u64) {
        match self.0.back_mut() {
            Some((_, last)) if *last + 1 == position => *last = position,
            back => {
                debug_assert!(back.is_none_or(|(_, last)| *last < position), "positions are taken in order");
                self.0.push_back((position, position));
                if self.0.len() > RUNS {
                    self.0.pop_front();
                }
            }
        }
    }

    /// Whether a position after `after` and up to `upto` may be free.
    pub(super) fn free(&self, after: u64, upto: u64) -> bool {
        if after >= upto {
            return false;
        }
        let next = self.0.partition_point(|(first, _)| *first <= upto);
        match next.checked_sub(1).map(|at| self.0[at]) {
            Some((first, last)) if last >= upto => first > after + 1,
            Some(_) | None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_free_unless_it_was_taken() {
        let mut positions = Positions::default();
        for position in [3, 4, 5, 7, 8, 20] {
            positions.take(position);
        }
        for after in 0..22 {
            for upto in 0..22 {
                let free = (after + 1..=upto).any(|position| ![3, 4, 5, 7, 8, 20].contains(&position));
                assert_eq!(positions.free(after, upto), free, "after {after} up to {upto}");
            }
        }
        assert!(positions.free(20, u64::MAX) && !positions.free(u64::MAX, u64::MAX));
    }
}
