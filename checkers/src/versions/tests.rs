use std::collections::BTreeMap;

use super::*;
use crate::history::{Micro, Predicate};

fn check_versions(transactions: &[Transaction]) -> Verdict {
    check(transactions, Options::default())
}

fn txn(id: u64, time: (u64, u64), positions: (u64, Option<u64>), operations: Vec<Micro>) -> Transaction {
    Transaction {
        id,
        client: id,
        invoke: time.0,
        complete: Some(time.1),
        outcome: Outcome::Ok,
        snapshot: Some(positions.0),
        commit: positions.1,
        historic: false,
        initial: false,
        operations,
    }
}

fn unknown(transaction: Transaction) -> Transaction {
    Transaction { outcome: Outcome::Unknown, complete: None, commit: None, ..transaction }
}

fn failed(transaction: Transaction) -> Transaction {
    Transaction { outcome: Outcome::Failed, commit: None, ..transaction }
}

fn w(key: u64, value: i64) -> Micro {
    Micro::Write { key, value: Some(value) }
}

fn r(key: u64, value: i64) -> Micro {
    Micro::Read { key, value: Some(value) }
}

fn absent(key: u64) -> Micro {
    Micro::Read { key, value: None }
}

fn a(key: u64, element: i64) -> Micro {
    Micro::Append { key, element }
}

fn l(key: u64, elements: &[i64]) -> Micro {
    Micro::ReadList { key, elements: elements.to_vec() }
}

#[track_caller]
fn legal(transactions: &[Transaction]) {
    let verdict = check_versions(transactions);
    assert!(verdict.is_pass(), "{verdict:#?}");
}

#[track_caller]
fn illegal(transactions: &[Transaction], anomaly: &str) {
    let verdict = check_versions(transactions);
    assert_eq!(verdict.violation().map(|violation| violation.anomaly.as_str()), Some(anomaly), "{verdict:#?}");
}

#[test]
fn positions_are_reported_unique_and_ordered() {
    let one = txn(1, (1, 2), (0, Some(5)), vec![w(1, 1)]);
    let two = |positions| txn(2, (1, 2), positions, vec![w(2, 1)]);
    legal(&[one.clone(), two((0, Some(6)))]);
    illegal(&[one.clone(), two((0, Some(5)))], "commit-twice");
    illegal(&[one.clone(), two((6, Some(6)))], "commit-order");
    illegal(&[one.clone(), two((0, None))], "commit-missing");
    illegal(&[Transaction { snapshot: None, ..one.clone() }], "snapshot-missing");
    legal(&[failed(Transaction { snapshot: None, ..one.clone() }), unknown(Transaction { snapshot: None, ..one })]);
}

#[test]
fn reads_see_the_newest_commit_of_their_snapshot() {
    let writers = [txn(1, (1, 2), (0, Some(5)), vec![w(1, 1)]), txn(2, (3, 4), (5, Some(8)), vec![w(1, 2), w(1, 3)])];
    let read = |snapshot, micro| [&writers[..], &[txn(9, (1, 9), (snapshot, None), vec![micro])]].concat();
    for (snapshot, micro) in [(4, absent(1)), (5, r(1, 1)), (7, r(1, 1)), (8, r(1, 3)), (9, r(1, 3)), (9, absent(2))] {
        legal(&read(snapshot, micro));
    }
    illegal(&read(4, r(1, 1)), "future-read");
    illegal(&read(8, r(1, 1)), "stale-read");
    illegal(&read(8, absent(1)), "stale-read");
    illegal(&read(8, r(1, 2)), "G1b");
    illegal(&read(8, r(1, 4)), "garbage-read");
    illegal(&read(8, r(2, 4)), "garbage-read");
}

#[test]
fn transactions_read_their_own_writes() {
    let own = |operations| [txn(1, (1, 2), (0, Some(1)), operations)];
    legal(&own(vec![absent(1), w(1, 1), r(1, 1), Micro::Write { key: 1, value: None }, absent(1)]));
    illegal(&own(vec![w(1, 1), absent(1)]), "internal");
    illegal(&own(vec![w(1, 1), w(1, 2), r(1, 1)]), "internal");
    legal(&own(vec![l(1, &[]), a(1, 1), l(1, &[1]), a(1, 2), l(1, &[1, 2])]));
    illegal(&own(vec![l(1, &[]), a(1, 1), l(1, &[])]), "internal");
    illegal(&own(vec![a(1, 1), l(1, &[])]), "internal");
}

#[test]
fn failed_writes_are_never_read() {
    let writer = txn(1, (1, 2), (0, Some(5)), vec![w(1, 1), a(1, 1)]);
    let row = txn(2, (3, 4), (5, None), vec![r(1, 1)]);
    let list = txn(3, (3, 4), (5, None), vec![l(1, &[1])]);
    legal(&[writer.clone(), row.clone(), list.clone()]);
    illegal(&[failed(writer.clone()), row], "G1a");
    illegal(&[failed(writer), list], "G1a");
}

#[test]
fn first_committer_wins() {
    let one = txn(1, (1, 9), (0, Some(5)), vec![w(1, 1)]);
    let two = |snapshot, key| txn(2, (1, 9), (snapshot, Some(6)), vec![w(key, 2)]);
    illegal(&[one.clone(), two(4, 1)], "lost-update");
    legal(&[one.clone(), two(5, 1)]);
    // Write skew is no business of this level.
    legal(&[one, two(4, 2)]);
}

#[test]
fn snapshots_hold_what_was_acknowledged() {
    let writer = txn(1, (1, 10), (0, Some(5)), vec![w(1, 1)]);
    let reader =
        |invoke, snapshot| txn(2, (invoke, 20), (snapshot, None), vec![if snapshot < 5 { absent(1) } else { r(1, 1) }]);
    illegal(&[writer.clone(), reader(11, 4)], "stale-snapshot");
    legal(&[writer.clone(), reader(10, 4)]);
    legal(&[writer.clone(), reader(11, 5)]);
    legal(&[writer.clone(), Transaction { historic: true, ..reader(11, 4) }]);
    legal(&[unknown(writer.clone()), reader(11, 4)]);
    // Two readers, the later one further in the past.
    let first = txn(3, (1, 10), (7, None), vec![]);
    illegal(&[writer.clone(), first.clone(), reader(11, 6)], "stale-snapshot");
    legal(&[writer, first, reader(11, 7)]);
}

#[test]
fn unknown_writers_may_have_committed_or_not() {
    let known = txn(1, (1, 2), (0, Some(5)), vec![w(1, 1), w(2, 1)]);
    let maybe = unknown(txn(2, (3, 4), (5, None), vec![w(1, 2), w(2, 2)]));
    let read = |id, snapshot, micro: Vec<Micro>| txn(id, (5, 6), (snapshot, None), micro);
    let base = [known.clone(), maybe.clone()];
    let with = |reads: &[Transaction]| [&base[..], reads].concat();
    legal(&with(&[read(3, 9, vec![r(1, 1), r(2, 1)])]));
    legal(&with(&[read(3, 9, vec![r(1, 2), r(2, 2)])]));
    legal(&with(&[read(3, 7, vec![r(1, 1)]), read(4, 9, vec![r(1, 2)])]));
    // Seen, then gone; and half of it.
    illegal(&with(&[read(3, 7, vec![r(1, 2)]), read(4, 9, vec![r(1, 1)])]), "stale-read");
    illegal(&with(&[read(4, 9, vec![r(1, 1)]), read(3, 7, vec![r(1, 2)])]), "stale-read");
    illegal(&with(&[read(3, 9, vec![r(1, 2), r(2, 1)])]), "stale-read");
    // No position is free, or its snapshot is too new.
    illegal(&with(&[read(3, 5, vec![r(1, 2)])]), "impossible-read");
    let taken = txn(7, (1, 2), (0, Some(6)), vec![w(7, 7)]);
    illegal(&with(&[taken.clone(), read(3, 6, vec![r(1, 2)])]), "impossible-read");
    legal(&with(&[taken, read(3, 7, vec![r(1, 2)])]));
    // First committer wins holds for it too.
    let old = unknown(txn(2, (3, 4), (4, None), vec![w(1, 2)]));
    illegal(&[known.clone(), old, read(3, 9, vec![r(1, 2)])], "impossible-read");
    // Not before it was invoked.
    let late = Transaction { invoke: 7, ..maybe };
    illegal(&[known, late, read(3, 9, vec![r(1, 2)])], "impossible-read");
}

/// Nothing is known of its snapshot, so that its bounds come from what others saw.
#[test]
fn bounds_close_in_without_a_snapshot() {
    let known = txn(1, (1, 2), (0, Some(5)), vec![w(1, 1)]);
    let maybe = Transaction { snapshot: None, ..unknown(txn(2, (1, 4), (0, None), vec![w(1, 2)])) };
    let read = |id, snapshot, micro| txn(id, (3, 9), (snapshot, None), vec![micro]);
    let base = [known, maybe, read(3, 7, r(1, 2))];
    legal(&base);
    // Seen and missed at one snapshot.
    illegal(&[&base[..2], &[read(3, 7, r(1, 1)), read(4, 7, r(1, 2))]].concat(), "impossible-read");
    // Overwritten by one that did not see it, though it can only have.
    let next = |snapshot| txn(5, (3, 9), (snapshot, Some(12)), vec![w(1, 3)]);
    legal(&[&base[..], &[next(6)]].concat());
    illegal(&[&base[..], &[next(5)]].concat(), "lost-update");
}

/// What matches must be in the answer, also if it is a writer of unknown outcome that makes it so.
#[test]
fn answers_to_predicates_are_whole() {
    let rows = |predicate, rows: &[(u64, i64)]| Micro::ReadRows { predicate, rows: rows.to_vec() };
    let writers = [txn(1, (1, 2), (0, Some(3)), vec![w(1, 4), w(2, 5)]), txn(2, (3, 4), (3, Some(6)), vec![w(2, 8)])];
    let maybe = unknown(txn(3, (3, 4), (6, None), vec![w(1, 7)]));
    let read = |snapshot, micro| [&writers[..], &[txn(9, (1, 9), (snapshot, None), vec![micro])]].concat();
    let even = Predicate::Modulo { divisor: 2, remainder: 0 };
    legal(&read(3, rows(even, &[(1, 4)])));
    legal(&read(6, rows(even, &[(2, 8), (1, 4)])));
    illegal(&read(6, rows(even, &[(2, 8)])), "predicate-read-miss");
    illegal(&read(6, rows(Predicate::Greater(4), &[(2, 5)])), "stale-read");
    illegal(&read(6, rows(Predicate::Any, &[(1, 4)])), "predicate-read-miss");
    illegal(&read(3, rows(Predicate::Any, &[(1, 4), (2, 8)])), "future-read");
    illegal(&read(3, rows(even, &[(1, 4), (2, 5)])), "internal");
    illegal(&read(3, rows(Predicate::Any, &[(1, 4), (1, 4), (2, 5)])), "internal");
    let with = |snapshot, reads: Vec<Micro>| {
        [&writers[..], &[maybe.clone(), txn(9, (1, 9), (snapshot, None), reads)]].concat()
    };
    legal(&with(9, vec![rows(even, &[(2, 8)])]));
    legal(&with(9, vec![rows(even, &[(1, 4), (2, 8)])]));
    illegal(&with(6, vec![rows(even, &[(2, 8)])]), "predicate-read-miss");
    // It has seen that the row does not match any more, and what it was before.
    illegal(&with(9, vec![rows(even, &[(2, 8)]), r(1, 4)]), "stale-read");
    // Its own writes count.
    legal(&read(6, rows(Predicate::Equal(5), &[])));
    let own = |answer: &[(u64, i64)]| {
        let operations = vec![w(3, 2), rows(even, answer)];
        [&writers[..], &[txn(9, (1, 9), (6, Some(9)), operations)]].concat()
    };
    legal(&own(&[(1, 4), (2, 8), (3, 2)]));
    illegal(&own(&[(1, 4), (2, 8)]), "internal");
}

#[test]
fn lists_hold_the_appends_of_their_snapshot_in_order() {
    let writers = [txn(1, (1, 2), (0, Some(3)), vec![a(1, 1), a(1, 2)]), txn(2, (3, 4), (3, Some(7)), vec![a(1, 3)])];
    let read = |snapshot, list: &[i64]| [&writers[..], &[txn(9, (1, 9), (snapshot, None), vec![l(1, list)])]].concat();
    legal(&read(2, &[]));
    legal(&read(3, &[1, 2]));
    legal(&read(7, &[1, 2, 3]));
    illegal(&read(7, &[1, 2]), "lost-append");
    illegal(&read(7, &[3]), "lost-append");
    illegal(&read(7, &[3, 1, 2]), "lost-append");
    illegal(&read(6, &[1, 2, 3]), "future-read");
    illegal(&read(3, &[1]), "G1b");
    illegal(&read(3, &[2, 1]), "G1b");
    illegal(&read(3, &[1, 2, 1]), "duplicate-element");
    illegal(&read(3, &[1, 2, 9]), "garbage-read");
}

#[test]
fn unknown_appends_stay_once_seen() {
    let known = [txn(1, (1, 2), (0, Some(3)), vec![a(1, 1)]), txn(2, (3, 4), (5, Some(7)), vec![a(1, 2)])];
    let maybe = unknown(txn(3, (3, 4), (3, None), vec![a(1, 8), a(1, 9)]));
    let read = |id, snapshot, list: &[i64]| txn(id, (4, 6), (snapshot, None), vec![l(1, list)]);
    let with = |reads: &[Transaction]| [&known[..], std::slice::from_ref(&maybe), reads].concat();
    legal(&with(&[read(4, 7, &[1, 8, 9, 2]), read(5, 3, &[1])]));
    legal(&with(&[read(4, 7, &[1, 2]), read(5, 9, &[1, 2])]));
    illegal(&with(&[read(4, 7, &[1, 8, 2])]), "G1b");
    illegal(&with(&[read(4, 7, &[8, 9, 1, 2])]), "impossible-read");
    illegal(&with(&[read(4, 7, &[1, 8, 9, 2]), read(5, 9, &[1, 2])]), "lost-append");
    illegal(&with(&[read(4, 9, &[1, 2, 8, 9]), read(5, 7, &[1, 8, 9, 2])]), "impossible-read");
    let failed = failed(maybe.clone());
    illegal(&[&known[..], &[failed, read(4, 7, &[1, 8, 9, 2])]].concat(), "G1a");
}

#[test]
fn equal_elements_are_judged_unless_one_may_not_be_there() {
    let writer = |id, element| txn(id, (1, 9), (id, Some(id + 1)), vec![a(1, element)]);
    let read = |list: &[i64]| txn(9, (1, 9), (3, None), vec![l(1, list)]);
    legal(&[writer(1, 5), writer(2, 5), read(&[5, 5])]);
    illegal(&[writer(1, 5), writer(2, 5), read(&[5])], "lost-append");
    let maybe = unknown(writer(3, 5));
    let verdict = check_versions(&[writer(1, 5), maybe.clone(), read(&[5, 5])]);
    assert!(matches!(verdict, Verdict::GaveUp { .. }), "{verdict:?}");
    legal(&[writer(1, 6), maybe, txn(9, (1, 9), (5, None), vec![l(1, &[6, 5])])]);
}

/// A serial snapshot-isolated database with forgotten outcomes is never accused, and a flipped read always is.
#[test]
fn a_correct_database_passes_whatever_clients_forget() {
    bolero::check!().with_type::<Vec<(u8, u8, u8)>>().with_iterations(3000).for_each(|steps| {
        type State = (BTreeMap<u64, i64>, BTreeMap<u64, Vec<i64>>);
        let mut versions: Vec<(u64, State)> = vec![(0, State::default())];
        let mut written: BTreeMap<(bool, u64), u64> = BTreeMap::new();
        let (mut history, mut now) = (Vec::new(), 0);
        for (id, &(lag, keys, fate)) in steps.iter().enumerate() {
            let id = id as u64;
            // Transactions overlap: the snapshot is up to three commits old.
            let at = versions.len() - 1 - usize::from(lag % 4).min(versions.len() - 1);
            let (snapshot, (rows, lists)) = versions[at].clone();
            let (one, two, unique) = (u64::from(keys % 3), u64::from(keys / 3 % 3), id as i64 + 1);
            let mut operations = vec![
                Micro::Read { key: one, value: rows.get(&one).copied() },
                Micro::ReadList { key: two, elements: lists.get(&two).cloned().unwrap_or_default() },
            ];
            now += 10;
            let mut transaction =
                Transaction { invoke: now - 40.min(now), ..txn(id, (now, now), (snapshot, None), Vec::new()) };
            transaction.historic = true;
            let conflict = |key| written.get(&key).is_some_and(|position| *position > snapshot);
            if fate % 8 > 1 {
                operations.extend([w(one, unique), a(two, unique)]);
                let position = versions.last().unwrap().0 + 1 + u64::from(fate / 64);
                let commits = !conflict((false, one)) && !conflict((true, two)) && fate % 8 != 2;
                if commits {
                    let (mut rows, mut lists) = versions.last().unwrap().1.clone();
                    rows.insert(one, unique);
                    lists.entry(two).or_default().push(unique);
                    versions.push((position, (rows, lists)));
                    written.extend([((false, one), position), ((true, two), position)]);
                }
                transaction.commit = commits.then_some(position);
                transaction.outcome = if commits { Outcome::Ok } else { Outcome::Failed };
                if fate % 8 > 5 {
                    transaction = unknown(transaction);
                }
            }
            transaction.operations = operations;
            history.push(transaction);
        }
        legal(&history);
        let victim = history.iter().position(|transaction| transaction.outcome == Outcome::Ok);
        if let Some(victim) = victim {
            history[victim].operations[0] = r(0, -1);
            assert!(!check_versions(&history).is_pass());
        }
    });
}
