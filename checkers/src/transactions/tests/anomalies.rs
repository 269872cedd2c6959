//! Every anomaly by its name in a history written by hand, with the levels that it leaves intact, beside the nearest
//! history without it.

use super::{a, failed, l, txn};
use crate::history::{History, Micro, Predicate, Transaction, validate};
use crate::transactions::{Finding, Judgement, Level, Options, judge};

use Level::{
    Causal, CursorStability, ReadAtomic, ReadCommitted, RepeatableRead, Serializable, SnapshotIsolation,
    StrictSerializable, StrongSessionSerializable, StrongSessionSnapshotIsolation, StrongSnapshotIsolation,
};

fn w(key: u64, value: i64) -> Micro {
    Micro::Write { key, value: Some(value) }
}

fn delete(key: u64) -> Micro {
    Micro::Write { key, value: None }
}

fn r(key: u64, value: i64) -> Micro {
    Micro::Read { key, value: Some(value) }
}

/// Reads a row as absent.
fn none(key: u64) -> Micro {
    Micro::Read { key, value: None }
}

fn rows(predicate: Predicate, rows: &[(u64, i64)]) -> Micro {
    Micro::ReadRows { predicate, rows: rows.to_vec() }
}

/// Each by a client of its own, all at the same time.
fn apart(operations: &[&[Micro]]) -> Vec<Transaction> {
    super::concurrent(operations)
}

fn judged(transactions: &[Transaction]) -> Judgement {
    validate(transactions).unwrap();
    let history = History { transactions: transactions.to_vec(), timed: true, ..History::default() };
    let judgement = judge(&history, &Options::default());
    for anomaly in &judgement.anomalies {
        assert!(!anomaly.message.is_empty() && !anomaly.evidence.is_empty(), "{anomaly:#?}");
        assert!(!anomaly.transactions.is_empty(), "{anomaly:#?}");
        for (edge, next) in anomaly.cycle.iter().zip(anomaly.cycle.iter().cycle().skip(1)) {
            assert_eq!(edge.to, next.from, "{anomaly:#?}");
        }
    }
    judgement
}

/// The gravest anomaly is this one, and these levels, and no others, are not violated.
#[track_caller]
fn bad(transactions: &[Transaction], name: &str, intact: &[Level]) {
    let judgement = judged(transactions);
    let first = judgement.anomalies.first().map(|anomaly| anomaly.name.to_string());
    assert_eq!(first.as_deref(), Some(name), "{judgement:#?}");
    let holds = |level: &Level| !matches!(judgement.findings[level], Finding::Violated { .. });
    let left: Vec<Level> = Level::ALL.into_iter().filter(holds).collect();
    assert_eq!(left, intact, "{judgement:#?}");
}

/// All levels hold.
#[track_caller]
fn good(transactions: &[Transaction]) {
    let judgement = judged(transactions);
    assert!(judgement.anomalies.is_empty(), "{judgement:#?}");
    assert!(judgement.findings.values().all(|finding| *finding == Finding::Holds), "{judgement:#?}");
}

/// What is left if only snapshots of the past are asked of a history, not serializability.
const SNAPSHOTS: [Level; 7] = [
    ReadCommitted,
    ReadAtomic,
    Causal,
    CursorStability,
    SnapshotIsolation,
    StrongSessionSnapshotIsolation,
    StrongSnapshotIsolation,
];

/// What is left if the order of clients breaks all that knows of it.
const SESSIONLESS: [Level; 4] = [CursorStability, RepeatableRead, SnapshotIsolation, Serializable];

/// What is left if only real time is against a history.
const TIMELESS: [Level; 9] = [
    ReadCommitted,
    ReadAtomic,
    Causal,
    CursorStability,
    RepeatableRead,
    SnapshotIsolation,
    StrongSessionSnapshotIsolation,
    Serializable,
    StrongSessionSerializable,
];

#[test]
fn reads_of_what_nobody_wrote() {
    bad(&apart(&[&[r(1, 1)]]), "garbage-read", &[]);
    bad(&apart(&[&[w(2, 1)], &[r(1, 1)]]), "garbage-read", &[]);
    bad(&apart(&[&[rows(Predicate::Any, &[(1, 1)])]]), "garbage-read", &[]);
    good(&apart(&[&[w(1, 1)], &[r(1, 1)]]));
    good(&apart(&[&[w(1, 1)], &[rows(Predicate::Any, &[(1, 1)])]]));
    good(&apart(&[&[none(1)], &[rows(Predicate::Any, &[])]]));
}

#[test]
fn reads_that_contradict_their_own_transaction() {
    bad(&apart(&[&[w(1, 1), none(1)]]), "internal", &[]);
    bad(&apart(&[&[w(1, 1), delete(1), r(1, 1)]]), "internal", &[]);
    bad(&apart(&[&[w(1, 1), w(1, 2), r(1, 1)]]), "internal", &[]);
    bad(&apart(&[&[w(1, 1), rows(Predicate::Equal(1), &[])]]), "internal", &[]);
    bad(&apart(&[&[w(1, 1), rows(Predicate::Equal(2), &[(1, 1)])]]), "internal", &[]);
    good(&apart(&[&[w(1, 1), r(1, 1), w(1, 2), r(1, 2), delete(1), none(1)]]));
    good(&apart(&[&[w(1, 1), rows(Predicate::Equal(1), &[(1, 1)]), rows(Predicate::Equal(2), &[])]]));
    bad(&apart(&[&[r(1, 1), w(1, 1)]]), "future-read", &[]);
    bad(&apart(&[&[l(1, &[1]), a(1, 1)]]), "future-read", &[]);
    good(&apart(&[&[none(1), w(1, 1), r(1, 1)], &[none(1)]]));
}

#[test]
fn reads_of_what_did_not_commit_or_was_not_final() {
    let writer =
        |outcome: fn(Transaction) -> Transaction, operations: &[Micro]| outcome(txn(1, (0, 9), operations.to_vec()));
    let reader = |operations: &[Micro]| txn(2, (0, 9), operations.to_vec());
    bad(&[writer(failed, &[w(1, 1)]), reader(&[r(1, 1)])], "G1a", &[]);
    bad(&[writer(failed, &[a(1, 1)]), reader(&[l(1, &[1])])], "G1a", &[]);
    good(&[writer(failed, &[w(1, 1)]), reader(&[none(1)])]);
    good(&[writer(super::unknown, &[w(1, 1)]), reader(&[r(1, 1)])]);
    bad(&[writer(|it| it, &[w(1, 1), w(1, 2)]), reader(&[r(1, 1)])], "G1b", &[]);
    bad(&[writer(|it| it, &[a(1, 1), a(1, 2)]), reader(&[l(1, &[1])])], "G1b", &[]);
    good(&[writer(|it| it, &[w(1, 1), w(1, 2)]), reader(&[r(1, 2)])]);
    let over = txn(3, (0, 9), vec![a(1, 2)]);
    bad(&[writer(failed, &[a(1, 1)]), reader(&[l(1, &[1, 2])]), over.clone()], "dirty-update", &[]);
    good(&[writer(failed, &[a(1, 1)]), reader(&[l(1, &[2])]), over]);
    // A failed transaction that wrote what another wrote as well is not whom it was read from.
    good(&[writer(failed, &[w(1, 1)]), reader(&[r(1, 1)]), txn(3, (0, 9), vec![w(1, 1)])]);
}

#[test]
fn lists_have_one_order_and_every_element_once() {
    let with = |one: &[i64], two: &[i64]| apart(&[&[a(1, 1)], &[a(1, 2)], &[l(1, one)], &[l(1, two)]]);
    bad(&with(&[1, 2], &[2, 1]), "incompatible-order", &[]);
    bad(&with(&[1, 1], &[]), "duplicate-elements", &[]);
    good(&with(&[2, 1], &[2]));
}

#[test]
fn two_reads_of_one_row() {
    bad(&apart(&[&[w(1, 1)], &[none(1), r(1, 1)]]), "non-repeatable-read", &[ReadCommitted, CursorStability]);
    bad(&apart(&[&[a(1, 1)], &[l(1, &[]), l(1, &[1])]]), "non-repeatable-read", &[ReadCommitted, CursorStability]);
    good(&apart(&[&[w(1, 1)], &[r(1, 1), r(1, 1)], &[none(1), none(1)]]));
    // What it saw once it must see again, even for read committed.
    bad(&apart(&[&[w(1, 1)], &[r(1, 1), none(1)]]), "non-repeatable-read", &[CursorStability]);
}

#[test]
fn two_updates_of_one_version() {
    let weak = [ReadCommitted, ReadAtomic, Causal, CursorStability];
    bad(&apart(&[&[none(1), w(1, 1)], &[none(1), w(1, 2)]]), "lost-update", &weak);
    bad(&apart(&[&[l(1, &[]), a(1, 1)], &[l(1, &[]), a(1, 2)]]), "lost-update", &weak);
    good(&apart(&[&[none(1), w(1, 1)], &[r(1, 1), w(1, 2)]]));
    good(&apart(&[&[none(1), w(1, 1)], &[w(1, 2)]]));
}

#[test]
fn cycles_of_dependencies() {
    let order = |list: u64, elements: [i64; 2]| [l(list, &elements)];
    let writers: [&[Micro]; 2] = [&[a(1, 1), a(2, 1)], &[a(1, 2), a(2, 2)]];
    bad(&apart(&[writers[0], writers[1], &order(1, [1, 2]), &order(2, [2, 1])]), "G0", &[]);
    good(&apart(&[writers[0], writers[1], &order(1, [1, 2]), &order(2, [1, 2])]));
    bad(&apart(&[&[w(1, 1), r(2, 1)], &[w(2, 1), r(1, 1)]]), "G1c", &[]);
    good(&apart(&[&[w(1, 1), none(2)], &[w(2, 1), r(1, 1)]]));
}

#[test]
fn reads_that_go_back_behind_what_was_seen() {
    let writer: &[Micro] = &[w(1, 1), w(2, 1)];
    let left = [CursorStability];
    bad(&apart(&[writer, &[r(1, 1), none(2)]]), "G-monotonic", &left);
    // The other way round it is read committed: the writer may have committed between the reads.
    bad(&apart(&[writer, &[none(2), r(1, 1)]]), "fractured-read", &[ReadCommitted, CursorStability]);
    good(&apart(&[writer, &[r(2, 1), r(1, 1)], &[none(1), none(2)]]));
}

#[test]
fn causes_that_are_not_seen() {
    let chain: [&[Micro]; 2] = [&[w(1, 1)], &[r(1, 1), w(2, 2)]];
    bad(
        &apart(&[chain[0], chain[1], &[none(1), r(2, 2)]]),
        "causality-violation",
        &[ReadCommitted, ReadAtomic, CursorStability],
    );
    good(&apart(&[chain[0], chain[1], &[r(1, 1), r(2, 2)], &[none(1), none(2)]]));
}

#[test]
fn skewed_reads() {
    // It overwrote a version of which the reader saw what followed, and nothing else shows that.
    let history: [&[Micro]; 4] = [&[a(1, 1)], &[a(1, 2), a(2, 1)], &[l(2, &[1]), a(3, 1)], &[l(1, &[1]), l(3, &[1])]];
    let judgement = judged(&apart(&history));
    assert!(judgement.anomalies.iter().any(|anomaly| anomaly.name.to_string() == "G-single"), "{judgement:#?}");
    good(&apart(&[history[0], history[1], history[2], &[l(1, &[1, 2]), l(3, &[1])]]));
    // Rows: two overwrites of which only one was seen, by who did not follow the other.
    bad(
        &apart(&[&[w(1, 1)], &[w(2, 2)], &[r(1, 1), none(2)], &[none(1), r(2, 2)]]),
        "long-fork",
        &[ReadCommitted, ReadAtomic, Causal, CursorStability],
    );
    good(&apart(&[&[w(1, 1)], &[w(2, 2)], &[r(1, 1), none(2)], &[none(1), none(2)]]));
    // The same with an overwrite in place of a read.
    let fork: [&[Micro]; 5] =
        [&[a(1, 1)], &[a(2, 2)], &[l(1, &[1]), l(2, &[])], &[l(1, &[]), a(2, 3)], &[l(2, &[2, 3])]];
    bad(&apart(&fork), "G-nonadjacent", &[ReadCommitted, ReadAtomic, Causal, CursorStability]);
    good(&apart(&[fork[0], fork[1], fork[2], &[l(1, &[1]), a(2, 3)], fork[4]]));
}

#[test]
fn skewed_writes() {
    bad(&apart(&[&[none(1), none(2), w(1, 1)], &[none(1), none(2), w(2, 2)]]), "G2-item", &SNAPSHOTS);
    good(&apart(&[&[none(1), none(2), w(1, 1)], &[r(1, 1), none(2), w(2, 2)]]));
    let asks = |found: &[(u64, i64)]| rows(Predicate::Greater(0), found);
    let phantom = [RepeatableRead].into_iter().chain(SNAPSHOTS);
    let mut intact: Vec<Level> = phantom.collect();
    intact.sort_unstable();
    bad(&apart(&[&[asks(&[]), w(1, 1)], &[asks(&[]), w(2, 2)]]), "G2", &intact);
    good(&apart(&[&[asks(&[]), w(1, 1)], &[asks(&[(1, 1)]), w(2, 2)]]));
}

#[test]
fn skewed_predicate_reads() {
    let asks = |found: &[(u64, i64)]| rows(Predicate::Greater(0), found);
    let judgement = judged(&apart(&[&[w(1, 1), w(2, 2)], &[asks(&[(1, 1)])]]));
    let names: Vec<String> = judgement.anomalies.iter().map(|anomaly| anomaly.name.to_string()).collect();
    assert_eq!(names, ["fractured-read", "G-single-predicate"], "{judgement:#?}");
    assert!(matches!(judgement.findings[&SnapshotIsolation], Finding::Violated { .. }), "{judgement:#?}");
    assert_eq!(judgement.findings[&RepeatableRead], Finding::Holds, "{judgement:#?}");
    good(&apart(&[&[w(1, 1), w(2, 2)], &[asks(&[(1, 1), (2, 2)])], &[asks(&[])]]));
    // A row that no longer matches is not missed, nor one that was deleted.
    good(&apart(&[&[w(1, 1)], &[r(1, 1), w(1, -1)], &[asks(&[])], &[asks(&[(1, 1)])]]));
    good(&apart(&[&[w(1, 1)], &[r(1, 1), delete(1)], &[asks(&[]), none(1)]]));
    // It did match between what the reader saw before and after.
    let matched: [&[Micro]; 3] =
        [&[w(1, 1), w(3, 3)], &[r(1, 1), w(1, -1), w(2, 2)], &[r(3, 3), none(2), asks(&[(3, 3)])]];
    // No run of versions explains that, so it is no single cycle.
    bad(&apart(&matched), "fractured-read", &[ReadCommitted, CursorStability, RepeatableRead]);
    let anomalies = judged(&apart(&matched)).anomalies;
    assert!(anomalies.iter().any(|anomaly| anomaly.name.to_string() == "G-nonadjacent-predicate"), "{anomalies:#?}");
    // What is there from the beginning is missed by whoever does not get it.
    let initial = Transaction { initial: true, ..txn(9, (0, 9), vec![w(1, 1)]) };
    let history = |answer: &[(u64, i64)]| [&[initial.clone()][..], &apart(&[&[asks(answer)]])].concat();
    good(&history(&[(1, 1)]));
    let judgement = judged(&history(&[]));
    assert!(matches!(judgement.findings[&SnapshotIsolation], Finding::Violated { .. }), "{judgement:#?}");
}

/// All by one client, one after the other.
fn one_client(operations: &[&[Micro]]) -> Vec<Transaction> {
    let transactions = super::serial(operations).into_iter();
    transactions.map(|transaction| Transaction { client: 1, ..transaction }).collect()
}

#[test]
fn clients_see_what_they_did() {
    bad(
        &one_client(&[&[a(1, 1)], &[l(1, &[])]]),
        "fractured-read-process",
        &[ReadCommitted].into_iter().chain(SESSIONLESS).collect::<Vec<_>>(),
    );
    good(&one_client(&[&[a(1, 1)], &[l(1, &[1])]]));
    bad(&one_client(&[&[l(1, &[1])], &[a(1, 1)]]), "G1c-process", &SESSIONLESS);
    good(&one_client(&[&[l(1, &[])], &[a(1, 1)]]));
    let reads = |elements: &[i64]| one_client(&[&[a(1, 1)], &[a(1, 2)], &[l(1, elements)]]);
    bad(&reads(&[2, 1]), "G0-process", &SESSIONLESS);
    good(&reads(&[1, 2]));
    let skew: [&[Micro]; 2] = [&[a(2, 1)], &[a(1, 1)]];
    let other = |elements: &[i64]| Transaction { client: 2, ..txn(9, (0, 90), vec![l(2, elements), l(1, &[1])]) };
    good(&[&one_client(&skew)[..], &[other(&[1])]].concat());
    let judgement = judged(&[&one_client(&skew)[..], &[other(&[])]].concat());
    assert!(judgement.anomalies.iter().any(|anomaly| anomaly.name.to_string().ends_with("-process")), "{judgement:#?}");
    assert_eq!(judgement.findings[&Serializable], Finding::Holds, "{judgement:#?}");
    assert!(matches!(judgement.findings[&StrongSessionSerializable], Finding::Violated { .. }), "{judgement:#?}");
}

#[test]
fn what_is_over_is_seen() {
    let serial = |operations: &[&[Micro]]| super::serial(operations);
    bad(&serial(&[&[a(1, 1)], &[l(1, &[])]]), "G-single-realtime", &TIMELESS);
    bad(&serial(&[&[w(1, 1)], &[none(1)]]), "G-single-realtime", &TIMELESS);
    good(&serial(&[&[w(1, 1)], &[r(1, 1)]]));
    good(&apart(&[&[w(1, 1)], &[none(1)]]));
    bad(&serial(&[&[l(1, &[1])], &[a(1, 1)]]), "G1c-realtime", &TIMELESS);
    bad(&serial(&[&[a(1, 1)], &[a(1, 2)], &[l(1, &[2, 1])]]), "G0-realtime", &TIMELESS);
    // Blind writes of rows, of which nobody saw the order.
    let judgement = judged(&serial(&[&[w(1, 1)], &[w(1, 2)], &[r(1, 1)]]));
    assert!(matches!(judgement.findings[&StrictSerializable], Finding::Violated { .. }), "{judgement:#?}");
    assert!(matches!(judgement.findings[&StrongSnapshotIsolation], Finding::Violated { .. }), "{judgement:#?}");
    assert_eq!(judgement.findings[&StrongSessionSnapshotIsolation], Finding::Holds, "{judgement:#?}");
    good(&serial(&[&[w(1, 1)], &[w(1, 2)], &[r(1, 2)]]));
}

#[test]
fn without_times_nothing_is_said_of_real_time() {
    let untimed = |transactions: Vec<Transaction>| {
        judge(&History { transactions, timed: false, ..History::default() }, &Options::default())
    };
    let judgement = untimed(super::serial(&[&[w(1, 1)], &[none(1)]]));
    for level in Level::ALL {
        let finding = &judgement.findings[&level];
        match level {
            StrictSerializable | StrongSnapshotIsolation => assert!(matches!(finding, Finding::Undecided { .. })),
            _ => assert_eq!(*finding, Finding::Holds, "{level}"),
        }
    }
    // What is weaker than they is, and so are they.
    let judgement = untimed(apart(&[&[w(1, 1), r(2, 1)], &[w(2, 1), r(1, 1)]]));
    assert!(judgement.findings.values().all(|finding| matches!(finding, Finding::Violated { .. })));
    // One client runs in real time what it runs in order.
    let judgement = untimed(one_client(&[&[w(1, 1)], &[r(1, 1)]]));
    assert!(judgement.findings.values().all(|finding| *finding == Finding::Holds));
}

#[test]
fn reported_positions_prove_and_do_not_accuse() {
    let commit = |id, position, operations: &[Micro]| Transaction {
        commit: Some(position),
        ..txn(id, (0, 9), operations.to_vec())
    };
    let history = |one, two| {
        [
            commit(1, one, &[w(1, 1)]),
            commit(2, two, &[w(1, 2)]),
            txn(3, (0, 9), vec![r(1, 2)]),
            txn(4, (0, 9), vec![r(1, 1)]),
        ]
    };
    good(&history(1, 2));
    good(&history(2, 1));
    // The database has them in an order that cannot be, but there is another.
    let mut impossible = super::serial(&[&[w(1, 1)], &[w(1, 2)], &[r(1, 2)]]);
    (impossible[0].commit, impossible[1].commit) = (Some(2), Some(1));
    good(&impossible);
}
