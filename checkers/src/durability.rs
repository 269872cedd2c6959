//! Durability: what was acknowledged is there in the end.
//!
//! The final state is judged as one last transaction that reads every key at the final snapshot, by the rules of the
//! [`versions`](crate::versions) checker: each row holds what its newest acknowledged writer left, or one of unknown
//! outcome that can be newer; each list holds every acknowledged append once and in order, and nothing else but
//! appends of unknown outcome. What transactions read along the way is left to that checker.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Micro, Outcome, Transaction};
use crate::versions::{Options, check as check_versions};
use crate::{Verdict, Violation};

/// The name of the transaction that reads the final state.
const FINAL: u64 = u64::MAX;

/// Checks the final rows and lists, read when all clients had stopped, against what was acknowledged; a key that is
/// missing there is absent or empty. `final_snapshot` is the commit position they were read at, the end if unknown.
pub fn check(
    transactions: &[Transaction],
    final_values: &BTreeMap<u64, i64>,
    final_lists: &BTreeMap<u64, Vec<i64>>,
    final_snapshot: Option<u64>,
) -> Verdict {
    let mut rows: BTreeSet<u64> = final_values.keys().copied().collect();
    let mut lists: BTreeSet<u64> = final_lists.keys().copied().collect();
    let mut history = Vec::with_capacity(transactions.len() + 1);
    for transaction in transactions {
        let mut writes = Vec::new();
        for micro in &transaction.operations {
            match micro {
                Micro::Write { key, .. } => rows.insert(*key),
                Micro::Append { key, .. } => lists.insert(*key),
                Micro::Read { .. } | Micro::ReadList { .. } | Micro::ReadRows { .. } => continue,
            };
            writes.push(micro.clone());
        }
        if !writes.is_empty() {
            // Only the end is judged here, so nobody's snapshot has to be recent.
            history.push(Transaction { operations: writes, historic: true, ..transaction.clone() });
        }
    }
    let rows = rows.into_iter().map(|key| Micro::Read { key, value: final_values.get(&key).copied() });
    let lists = lists
        .into_iter()
        .map(|key| Micro::ReadList { key, elements: final_lists.get(&key).cloned().unwrap_or_default() });
    history.push(Transaction {
        id: FINAL,
        client: FINAL,
        invoke: u64::MAX,
        complete: Some(u64::MAX),
        outcome: Outcome::Ok,
        snapshot: Some(final_snapshot.unwrap_or(u64::MAX)),
        commit: None,
        historic: false,
        initial: false,
        operations: rows.chain(lists).collect(),
    });
    match check_versions(&history, Options::default()) {
        Verdict::Fail(violation) => {
            let name = |text: String| text.replace(&format!("T{FINAL}"), "the final state");
            let message = name(violation.message);
            let evidence = violation.evidence.into_iter().filter(|line| !line.starts_with(&format!("T{FINAL}")));
            Verdict::Fail(Violation {
                checker: "durability",
                message,
                evidence: evidence.collect(),
                at: violation.at.filter(|at| *at != u64::MAX),
                ..violation
            })
        }
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(id: u64, outcome: Outcome) -> Transaction {
        Transaction {
            id,
            client: id,
            invoke: id * 10,
            complete: Some(id * 10 + 5),
            outcome,
            snapshot: Some(id),
            commit: (outcome == Outcome::Ok).then_some(id + 1),
            historic: false,
            initial: false,
            operations: vec![
                Micro::Write { key: 1, value: Some(id as i64) },
                Micro::Append { key: 1, element: id as i64 },
            ],
        }
    }

    fn judge(history: &[Transaction], value: Option<i64>, list: &[i64], snapshot: Option<u64>) -> Verdict {
        let values = value.map(|value| (1, value)).into_iter().collect();
        check(history, &values, &[(1, list.to_vec())].into(), snapshot)
    }

    #[track_caller]
    fn illegal(verdict: &Verdict, anomaly: &str) {
        assert_eq!(verdict.violation().map(|violation| violation.anomaly.as_str()), Some(anomaly), "{verdict:?}");
    }

    #[test]
    fn acknowledged_writes_are_there_and_failed_ones_are_not() {
        let history = [write(1, Outcome::Ok), write(2, Outcome::Failed), write(3, Outcome::Ok)];
        assert!(judge(&history, Some(3), &[1, 3], None).is_pass());
        assert!(judge(&history, Some(3), &[1, 3], Some(4)).is_pass());
        illegal(&judge(&history, Some(1), &[1, 3], None), "stale-read");
        illegal(&judge(&history, None, &[1, 3], None), "stale-read");
        illegal(&judge(&history, Some(2), &[1, 3], None), "G1a");
        illegal(&judge(&history, Some(9), &[1, 3], None), "garbage-read");
        illegal(&judge(&history, Some(3), &[1], None), "lost-append");
        illegal(&judge(&history, Some(3), &[3], None), "lost-append");
        illegal(&judge(&history, Some(3), &[1, 3, 3], None), "duplicate-element");
        illegal(&judge(&history, Some(3), &[1, 2, 3], None), "G1a");
        illegal(&judge(&history, Some(3), &[1, 3, 9], None), "garbage-read");
        // The final state itself is of the past.
        illegal(&judge(&history, Some(1), &[1], Some(3)), "stale-snapshot");
        // A key nobody mentions in the end is gone.
        illegal(&check(&history, &[(1, 3)].into(), &BTreeMap::new(), None), "lost-append");
    }

    #[test]
    fn unknown_writes_are_there_whole_or_not_at_all() {
        let history = [write(1, Outcome::Ok), write(3, Outcome::Unknown)];
        assert!(judge(&history, Some(3), &[1, 3], None).is_pass());
        assert!(judge(&history, Some(1), &[1], None).is_pass());
        assert!(!judge(&history, Some(1), &[1, 3], None).is_pass());
        illegal(&judge(&history, Some(3), &[1], None), "lost-append");
        let verdict = judge(&history, Some(3), &[3], None);
        assert!(verdict.violation().unwrap().message.starts_with("the final state read"), "{verdict:?}");
    }

    #[test]
    fn any_serial_history_is_durable_and_any_lost_append_is_found() {
        bolero::check!().with_type::<(Vec<u8>, u8)>().with_iterations(1000).for_each(|(fates, lost)| {
            let (mut history, mut list) = (Vec::new(), Vec::new());
            for (id, fate) in (1..).zip(fates) {
                let outcome = match fate % 4 {
                    0 => Outcome::Failed,
                    1 => Outcome::Unknown,
                    _ => Outcome::Ok,
                };
                if outcome == Outcome::Ok || (outcome == Outcome::Unknown && fate / 4 % 2 == 0) {
                    list.push(id as i64);
                }
                history.push(write(id, outcome));
            }
            let acknowledged = |id: i64| history[id as usize - 1].outcome == Outcome::Ok;
            assert!(judge(&history, list.last().copied(), &list, None).is_pass());
            if let Some(at) = usize::from(*lost).checked_rem(list.len()).filter(|at| acknowledged(list[*at])) {
                let value = list.last().copied();
                list.remove(at);
                illegal(&judge(&history, value, &list, None), "lost-append");
            }
        });
    }
}
