//! Lists under strong snapshot isolation.

use super::{Transaction, Violation, a, concurrent, failed, historic, l, serial, txn, unknown};
use crate::Verdict;
use crate::history::{Micro, validate};
use crate::transactions::Level;

pub(super) fn check(transactions: &[Transaction]) -> Verdict {
    super::check(transactions, Level::StrongSnapshotIsolation)
}

#[track_caller]
fn legal(transactions: &[Transaction]) {
    validate(transactions).unwrap();
    let verdict = check(transactions);
    assert!(verdict.is_pass(), "{verdict:#?}");
}

#[track_caller]
fn illegal(transactions: &[Transaction], anomaly: &str) -> Violation {
    validate(transactions).unwrap();
    let verdict = check(transactions);
    let violation = verdict.violation().unwrap_or_else(|| panic!("{anomaly}: {verdict:?}"));
    assert_eq!(violation.anomaly, anomaly, "{verdict:#?}");
    explained(violation);
    violation.clone()
}

/// Holds the evidence of a cycle against its name: its edges follow each other back to where they begin, without two rw
/// edges in a row.
#[track_caller]
pub(super) fn explained(violation: &Violation) {
    assert!(!violation.message.is_empty() && !violation.evidence.is_empty(), "{violation:#?}");
    let Some(class) = violation.anomaly.strip_prefix("G").filter(|class| !["1a", "1b"].contains(class)) else { return };
    // A search tells what it ruled out as well.
    if violation.message.starts_with("no order of the writes") {
        return;
    }
    let hops: Vec<(&str, &str, &str)> = violation
        .evidence
        .iter()
        .map(|line| {
            let (from, rest) = line.split_once(" ─").expect("from");
            let (kind, rest) = rest.split_once("→ ").expect("kind");
            let (to, why) = rest.split_once(": ").expect("to");
            assert!(why.contains(from) && why.contains(to), "{line}");
            (from, kind, to)
        })
        .collect();
    for (at, (_, kind, to)) in hops.iter().enumerate() {
        let (next, other, _) = hops[(at + 1) % hops.len()];
        assert_eq!(*to, next, "{violation:#?}");
        assert!((*kind, other) != ("rw", "rw"), "{violation:#?}");
    }
    let count = |kind| hops.iter().filter(|hop| hop.1 == kind).count();
    let name = match (count("rw"), count("wr")) {
        (0, 0) => "0",
        (0, _) => "1c",
        (1, _) => "-single",
        _ => "-nonadjacent",
    };
    let suffix = match (count("so"), count("rt")) {
        (0, 0) => "",
        (_, 0) => "-process",
        (_, times) => {
            assert_eq!(times, 1, "{violation:#?}");
            "-realtime"
        }
    };
    assert_eq!(class, format!("{name}{suffix}"), "{violation:#?}");
}

#[test]
fn serial_histories_are_legal() {
    legal(&[]);
    assert_eq!(check(&[]), Verdict::Pass { comparisons: 0 });
    let history = serial(&[
        &[l(1, &[]), a(1, 1), l(1, &[1]), a(1, 2), l(1, &[1, 2]), a(2, 1)],
        &[l(1, &[1, 2]), a(1, 3)],
        &[l(2, &[1]), l(1, &[1, 2, 3]), l(3, &[])],
        &[Micro::Write { key: 1, value: Some(1) }, Micro::Read { key: 1, value: Some(1) }],
    ]);
    legal(&history);
    // 8 reads; ww 1 → 2 and twice wr from 1 and wr from 2; the rw of an update to itself is none.
    assert_eq!(check(&history), Verdict::Pass { comparisons: 8 + 1 + 3 });
}

#[test]
fn reads_agree_with_the_own_transaction() {
    illegal(&concurrent(&[&[a(1, 1), l(1, &[])]]), "internal");
    illegal(&concurrent(&[&[a(1, 1), a(1, 2), l(1, &[1])]]), "internal");
    illegal(&concurrent(&[&[a(1, 1), a(1, 2), l(1, &[2, 1])]]), "internal");
    illegal(&concurrent(&[&[l(1, &[]), l(1, &[1])], &[a(1, 1)]]), "non-repeatable-read");
    illegal(&concurrent(&[&[l(1, &[]), a(1, 2), l(1, &[1, 2])], &[a(1, 1)]]), "non-repeatable-read");
    legal(&concurrent(&[&[l(1, &[1]), a(1, 2), l(1, &[1, 2]), l(2, &[])], &[a(1, 1)]]));
    illegal(&concurrent(&[&[l(1, &[1]), a(1, 1)]]), "future-read");
    illegal(&concurrent(&[&[l(1, &[1]), a(1, 1)], &[l(1, &[1])]]), "future-read");
}

#[test]
fn what_is_read_was_appended_and_committed() {
    illegal(&concurrent(&[&[l(1, &[1])]]), "garbage-read");
    illegal(&concurrent(&[&[l(1, &[1])], &[a(2, 1)]]), "garbage-read");
    let writer = txn(1, (0, 9), vec![a(1, 1)]);
    let reader = txn(2, (0, 9), vec![l(1, &[1])]);
    legal(&[writer.clone(), reader.clone()]);
    legal(&[unknown(writer.clone()), reader.clone()]);
    let violation = illegal(&[failed(writer.clone()), reader.clone()], "G1a");
    assert_eq!(violation.evidence, ["T1 appended 1 to list 1 and failed", "T2 [0, 9] read list 1 as [1]"]);
    assert_eq!(violation.at, Some(9));
    // What others than committed transactions say they read is nothing.
    legal(&[failed(writer.clone()), failed(reader.clone())]);
    legal(&[failed(writer.clone()), unknown(reader)]);
    let over = txn(3, (0, 9), vec![a(1, 2)]);
    let violation = illegal(&[failed(writer), over, txn(2, (0, 9), vec![l(1, &[1, 2])])], "dirty-update");
    assert_eq!(violation.message, "T3 updated list 1 on top of T1, which failed");
}

#[test]
fn elements_are_read_once_and_in_one_order() {
    let writers: [&[Micro]; 2] = [&[a(1, 1)], &[a(1, 2)]];
    let with = |reads: &[&[i64]]| {
        let reads: Vec<[Micro; 1]> = reads.iter().map(|elements| [l(1, elements)]).collect();
        concurrent(&writers.into_iter().chain(reads.iter().map(|read| &read[..])).collect::<Vec<_>>())
    };
    legal(&with(&[&[1], &[1, 2], &[]]));
    legal(&with(&[&[2, 1], &[2]]));
    illegal(&with(&[&[1, 1]]), "duplicate-elements");
    illegal(&with(&[&[1], &[1, 2, 1]]), "duplicate-elements");
    illegal(&with(&[&[1, 2], &[1, 1]]), "duplicate-elements");
    illegal(&with(&[&[1, 2], &[2, 1]]), "incompatible-order");
    illegal(&with(&[&[1], &[2]]), "incompatible-order");
    illegal(&with(&[&[2], &[1, 2]]), "incompatible-order");
    // The other read tells more.
    illegal(&with(&[&[1, 2], &[1, 7]]), "garbage-read");
    illegal(&concurrent(&[&[a(1, 1), l(1, &[1, 1])]]), "duplicate-elements");
}

#[test]
fn appends_of_one_transaction_show_together() {
    let writer: &[Micro] = &[a(1, 1), a(1, 2), a(1, 3)];
    legal(&concurrent(&[writer, &[l(1, &[1, 2, 3])]]));
    legal(&concurrent(&[writer, &[l(1, &[])]]));
    illegal(&concurrent(&[writer, &[l(1, &[1])]]), "G1b");
    illegal(&concurrent(&[writer, &[l(1, &[1, 2])], &[l(1, &[1, 2, 3])]]), "G1b");
    illegal(&concurrent(&[writer, &[l(1, &[2, 3])]]), "incompatible-order");
    illegal(&concurrent(&[writer, &[l(1, &[2, 1, 3])]]), "incompatible-order");
    illegal(&concurrent(&[writer, &[a(1, 9)], &[l(1, &[1, 9])]]), "G0");
    illegal(&concurrent(&[writer, &[a(1, 9)], &[l(1, &[1, 9, 2, 3])]]), "G0");
}

#[test]
fn lost_updates_are_found_even_unread() {
    let update = |element| [l(1, &[]), a(1, element)];
    legal(&concurrent(&[&update(1)]));
    let violation = illegal(&concurrent(&[&update(1), &update(2)]), "lost-update");
    assert_eq!(violation.message, "T1 and T2 updated the same version of list 1");
    illegal(&concurrent(&[&update(1), &update(2), &[l(1, &[1, 2])]]), "lost-update");
    let history = |outcome: fn(Transaction) -> Transaction, read: &[i64]| {
        let [one, two] = [1, 2].map(|id| txn(id, (0, 9), update(id as i64).to_vec()));
        [one, outcome(two), txn(3, (0, 9), vec![l(1, read)])]
    };
    legal(&history(failed, &[1]));
    legal(&history(unknown, &[1]));
    illegal(&history(unknown, &[1, 2]), "lost-update");
}

#[test]
fn g0_is_a_cycle_of_appends() {
    let writers: [&[Micro]; 2] = [&[a(1, 1), a(2, 1)], &[a(1, 2), a(2, 2)]];
    legal(&concurrent(&[writers[0], writers[1], &[l(1, &[1, 2])], &[l(2, &[1, 2])]]));
    let violation = illegal(&concurrent(&[writers[0], writers[1], &[l(1, &[1, 2])], &[l(2, &[2, 1])]]), "G0");
    assert_eq!(
        violation.evidence,
        [
            "T1 ─ww→ T2: T2 appended 2 to list 1 right after T1's 1",
            "T2 ─ww→ T1: T1 appended 1 to list 2 right after T2's 2"
        ]
    );
    assert_eq!(violation.message, "T1, T2 overwrote each other in a cycle");
    // The append to list 2 that no read shows is after the one that was read.
    illegal(&concurrent(&[writers[0], writers[1], &[l(1, &[1, 2])], &[l(2, &[2])]]), "G0");
    // Nobody read either.
    legal(&concurrent(&[writers[0], writers[1], &[l(1, &[1, 2])]]));
}

#[test]
fn g1c_is_a_cycle_of_reads_and_appends() {
    let violation = illegal(&concurrent(&[&[a(1, 1), l(2, &[2])], &[a(2, 2), l(1, &[1])]]), "G1c");
    assert_eq!(
        violation.evidence,
        ["T1 ─wr→ T2: T2 read list 1 up to T1's 1", "T2 ─wr→ T1: T1 read list 2 up to T2's 2"]
    );
    let reads: &[Micro] = &[l(1, &[1, 2])];
    illegal(&concurrent(&[&[a(1, 1), l(2, &[2])], &[a(1, 2), a(2, 2)], reads]), "G1c");
    legal(&concurrent(&[&[a(1, 1), l(2, &[])], &[a(1, 2), a(2, 2)], reads]));
}

#[test]
fn g_single_is_read_skew() {
    let writer: &[Micro] = &[a(1, 1), a(2, 1)];
    legal(&concurrent(&[writer, &[l(1, &[1]), l(2, &[1])], &[l(1, &[]), l(2, &[])]]));
    let violation = illegal(&concurrent(&[writer, &[l(1, &[1]), l(2, &[])], &[l(2, &[1])]]), "G-single");
    assert_eq!(
        violation.evidence,
        ["T2 ─rw→ T1: T2 read list 2 as empty, without T1's 1", "T1 ─wr→ T2: T2 read list 1 up to T1's 1"]
    );
    assert_eq!(violation.message, "T2 missed an append of T1, though its snapshot holds it");
    // It is visible once both are over.
    let mut history = concurrent(&[writer, &[l(1, &[1]), l(2, &[])], &[l(2, &[1])]]);
    (history[0].complete, history[1].complete, history[2].complete) = (Some(20), Some(30), Some(40));
    assert_eq!(illegal(&history, "G-single").at, Some(30));
    // No read shows what was missed.
    let violation = illegal(&concurrent(&[writer, &[l(1, &[1]), l(2, &[])]]), "G-single");
    assert_eq!(violation.evidence[0], "T2 ─rw→ T1: T2 read list 2 as empty, without T1's 1, which no read shows");
    // If the writer is unknown, what was read shows that it committed.
    let mut history = concurrent(&[writer, &[l(1, &[1]), l(2, &[])]]);
    history[0] = unknown(history[0].clone());
    illegal(&history, "G-single");
    history[1].operations.remove(0);
    legal(&history);
}

#[test]
fn g_nonadjacent_is_a_long_fork() {
    let fork: [&[Micro]; 4] = [&[a(1, 1)], &[a(2, 2)], &[l(1, &[1]), l(2, &[])], &[l(1, &[]), l(2, &[2])]];
    let violation = illegal(&concurrent(&fork), "long-fork");
    assert_eq!(violation.evidence.len(), 4);
    assert_eq!(violation.message, "T3, T4 saw commits in orders that contradict");
    legal(&concurrent(&fork[..3]));
    // Each of the two readers alone may be right.
    legal(&concurrent(&[fork[0], fork[1], fork[3]]));
}

#[test]
fn write_skew_is_allowed() {
    let skew: [&[Micro]; 2] = [&[l(1, &[]), l(2, &[]), a(1, 1)], &[l(1, &[]), l(2, &[]), a(2, 2)]];
    legal(&concurrent(&skew));
    legal(&concurrent(&[skew[0], skew[1], &[l(1, &[1]), l(2, &[2])]]));
    // The read-only anomaly of Fekete et al. too.
    legal(&concurrent(&[&[l(1, &[]), l(2, &[]), a(1, 1)], &[l(2, &[]), a(2, 2)], &[l(1, &[]), l(2, &[2])]]));
}

#[test]
fn what_was_acknowledged_is_seen() {
    let (writer, later) = (txn(1, (10, 20), vec![a(1, 1)]), |invoke| txn(2, (invoke, 40), vec![l(1, &[])]));
    legal(&[writer.clone(), later(20)]);
    legal(&[unknown(writer.clone()), later(30)]);
    legal(&[writer.clone(), historic(later(30))]);
    let violation = illegal(&[writer.clone(), later(21)], "G-single-realtime");
    assert_eq!(
        violation.evidence,
        [
            "T2 ─rw→ T1: T2 read list 1 as empty, without T1's 1, which no read shows",
            "T1 ─rt→ T2: T1 was acknowledged at 20, before T2 was invoked at 21"
        ]
    );
    assert_eq!(violation.at, Some(40));
    // One reader saw what nobody acknowledged, and the next one does not.
    let seen = txn(3, (12, 14), vec![l(1, &[1])]);
    let open = Transaction { complete: None, ..unknown(writer.clone()) };
    illegal(&[open.clone(), seen.clone(), later(15)], "G-single-realtime");
    legal(&[open.clone(), seen.clone(), later(14)]);
    legal(&[open.clone(), seen.clone(), historic(later(15))]);
    // A historic reader shows as well what was committed when it returned, but need not see it.
    illegal(&[open.clone(), historic(seen.clone()), later(15)], "G-single-realtime");
    legal(&[open, historic(later(15)), seen]);
    // Nothing is read before it was asked for, by historic readers neither.
    let early = txn(3, (1, 5), vec![l(1, &[1])]);
    illegal(&[writer.clone(), early.clone()], "G1c-realtime");
    illegal(&[unknown(writer.clone()), early.clone()], "G1c-realtime");
    illegal(&[writer.clone(), historic(early)], "G1c-realtime");
    // Appends are in the order of time.
    let second = txn(2, (30, 31), vec![a(1, 2)]);
    let reads = |elements: &[i64]| txn(3, (0, 90), vec![l(1, elements)]);
    legal(&[writer.clone(), second.clone(), reads(&[1, 2])]);
    illegal(&[writer.clone(), second.clone(), reads(&[2, 1])], "G0-realtime");
    // Historic transactions that append are bound in their commit.
    illegal(&[writer.clone(), historic(second.clone()), reads(&[2, 1])], "G0-realtime");
    legal(&[writer, historic(second), reads(&[1, 2])]);
}

#[test]
fn a_long_fork_may_show_in_real_time_only() {
    // T3 saw 1 and not 2, T4 saw neither 1 nor 3, and 2 was over before 3 began.
    let history = [
        txn(1, (0, 90), vec![a(1, 1)]),
        txn(2, (0, 10), vec![a(2, 2)]),
        txn(3, (0, 90), vec![l(1, &[1]), l(2, &[])]),
        txn(4, (0, 90), vec![l(1, &[]), l(3, &[3])]),
        txn(5, (11, 90), vec![a(3, 3)]),
    ];
    let violation = illegal(&history, "G-nonadjacent-realtime");
    assert_eq!(violation.evidence.len(), 5);
    legal(&[&history[..4], &[Transaction { invoke: 10, ..history[4].clone() }]].concat());
}

#[test]
fn unknown_transactions_count_once_seen() {
    // T2 is known from T3, and T1 from T2, and T1 read what contradicts T4.
    let history = [
        unknown(txn(1, (0, 9), vec![l(3, &[3]), l(4, &[]), a(1, 1)])),
        unknown(txn(2, (0, 9), vec![l(1, &[1]), a(2, 2)])),
        txn(3, (0, 9), vec![l(2, &[2])]),
        txn(4, (0, 9), vec![a(3, 3), a(4, 4)]),
    ];
    illegal(&history, "G-single");
    legal(&[&history[..2], &history[3..]].concat());
    let unread = unknown(txn(9, (0, 9), vec![a(1, 9), a(2, 9)]));
    legal(&[unread, txn(10, (20, 30), vec![l(1, &[]), l(2, &[])])]);
}

#[test]
fn the_strongest_class_comes_first_and_the_shortest_cycle_of_it() {
    // A long fork over lists 1 and 2, and read skews of three and of two transactions.
    let fork: [&[Micro]; 4] = [&[a(1, 1)], &[a(2, 2)], &[l(1, &[1]), l(2, &[])], &[l(1, &[]), l(2, &[2])]];
    let long: [&[Micro]; 3] = [&[a(3, 1), a(4, 1)], &[l(3, &[1]), a(5, 1)], &[l(5, &[1]), l(4, &[])]];
    let short: [&[Micro]; 2] = [&[a(6, 1), a(7, 1)], &[l(6, &[1]), l(7, &[])]];
    assert_eq!(illegal(&concurrent(&fork), "long-fork").evidence.len(), 4);
    assert_eq!(illegal(&concurrent(&[&fork[..], &long].concat()), "G-single").evidence.len(), 3);
    assert_eq!(illegal(&concurrent(&[&fork[..], &long, &short].concat()), "G-single").evidence.len(), 2);
    // However long it is.
    let longest: [&[Micro]; 5] = [
        &[a(3, 1), a(4, 1)],
        &[l(3, &[1]), a(5, 1)],
        &[l(5, &[1]), a(12, 1)],
        &[l(12, &[1]), a(13, 1)],
        &[l(13, &[1]), l(4, &[])],
    ];
    assert_eq!(illegal(&concurrent(&[&fork[..], &longest].concat()), "G-single").evidence.len(), 5);
    let circle: [&[Micro]; 2] = [&[a(8, 1), l(9, &[2])], &[a(9, 2), l(8, &[1])]];
    illegal(&concurrent(&[&short[..], &circle].concat()), "G1c");
    let appends: [&[Micro]; 3] = [&[a(10, 1), a(11, 1)], &[a(10, 2), a(11, 2)], &[l(10, &[1, 2]), l(11, &[2])]];
    illegal(&concurrent(&[&circle[..], &appends].concat()), "G0");
    // A longer walk reaches the commit of T1 before the shorter one does, half a step behind.
    let crossing: [&[Micro]; 4] =
        [&[a(1, 1), a(2, 1)], &[l(1, &[]), l(3, &[3])], &[l(2, &[])], &[l(2, &[]), l(1, &[1]), a(3, 3)]];
    assert_eq!(illegal(&concurrent(&crossing), "G-single").evidence.len(), 2);
    // What time alone contradicts comes last.
    let mut history = concurrent(&fork);
    history.push(txn(8, (20, 30), vec![l(1, &[])]));
    illegal(&history, "long-fork");
    history.remove(2);
    illegal(&history, "G-single-realtime");
}

#[test]
fn ambiguous_elements_are_not_judged() {
    assert!(matches!(check(&concurrent(&[&[a(1, 5)], &[a(1, 5)]])), Verdict::GaveUp { comparisons: 0, .. }));
    legal(&concurrent(&[&[a(1, 5)], &[a(2, 5)]]));
}
