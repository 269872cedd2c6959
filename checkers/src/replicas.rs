//! Replicas: state machines that applied the same log are equal, and in the end all applied all of it.
//!
//! Compares digests of whole states that replicas report with the position they had applied. It can tell that two
//! replicas differ, not which of them is right, and nothing about positions that only one replica reported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Verdict, Violation};

/// The state of one replica at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The replica.
    pub node: u64,
    /// The position in the log up to which it applied.
    pub position: u64,
    /// A hash of its state there.
    pub digest: u64,
}

/// Checks that replicas were equal wherever they reported the same position, and that all of them reached one
/// position in the end.
pub fn check(digests: &[Digest]) -> Verdict {
    let fail = |anomaly: &str, message: String, evidence: [&Digest; 2]| {
        let evidence = evidence.map(|Digest { node, position, digest }| {
            format!("node {node} had state {digest:016x} at position {position}")
        });
        let (checker, anomaly) = ("replicas", anomaly.into());
        Verdict::Fail(Violation { checker, anomaly, message, evidence: evidence.into(), at: None })
    };
    let (mut first, mut last): (BTreeMap<u64, &Digest>, BTreeMap<u64, &Digest>) = Default::default();
    for digest in digests {
        let Digest { node, position, .. } = digest;
        let other = *first.entry(*position).or_insert(digest);
        if other.digest != digest.digest {
            let message = format!("nodes {} and {node} differ at position {position}", other.node);
            return fail("divergence", message, [other, digest]);
        }
        let newest = last.entry(*node).or_insert(digest);
        if newest.position < *position {
            *newest = digest;
        }
    }
    let behind = last.values().min_by_key(|digest| digest.position);
    let ahead = last.values().max_by_key(|digest| digest.position);
    if let (Some(behind), Some(ahead)) = (behind, ahead)
        && behind.position < ahead.position
    {
        let message = format!(
            "node {} ended at position {}, node {} at {}",
            behind.node, behind.position, ahead.node, ahead.position
        );
        return fail("not-converged", message, [behind, ahead]);
    }
    Verdict::Pass { comparisons: (digests.len() - first.len()) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(digests: &[(u64, u64, u64)]) -> Verdict {
        let digest = |&(node, position, digest): &_| Digest { node, position, digest };
        check(&digests.iter().map(digest).collect::<Vec<_>>())
    }

    #[track_caller]
    fn illegal(digests: &[(u64, u64, u64)], anomaly: &str) {
        let verdict = judge(digests);
        assert_eq!(verdict.violation().map(|violation| violation.anomaly.as_str()), Some(anomaly), "{verdict:?}");
    }

    #[test]
    fn replicas_are_equal_at_equal_positions_and_converge() {
        assert_eq!(
            judge(&[(1, 5, 50), (1, 9, 90), (2, 9, 90), (3, 5, 50), (3, 9, 90)]),
            Verdict::Pass { comparisons: 3 }
        );
        illegal(&[(1, 5, 50), (1, 9, 90), (2, 9, 90), (3, 5, 51), (3, 9, 90)], "divergence");
        illegal(&[(1, 5, 50), (1, 9, 90), (2, 5, 50)], "not-converged");
        // One replica against itself, before and after a restart.
        illegal(&[(1, 5, 50), (1, 5, 51)], "divergence");
    }

    #[test]
    fn a_function_of_the_position_never_diverges() {
        bolero::check!().with_type::<(Vec<(u8, u8)>, u8)>().with_iterations(1000).for_each(|(samples, flipped)| {
            let digest = |node: u64, position: u64| (node, position, position * 77);
            let mut digests: Vec<_> =
                samples.iter().map(|&(node, position)| digest(u64::from(node % 3), u64::from(position))).collect();
            digests.extend([digest(0, 300), digest(1, 300), digest(2, 300)]);
            assert!(judge(&digests).is_pass());
            let (node, position, digest) = digests[usize::from(*flipped) % digests.len()];
            digests.push((node, position, digest + 1));
            illegal(&digests, "divergence");
        });
    }
}
