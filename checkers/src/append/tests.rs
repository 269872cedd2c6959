use std::collections::BTreeMap;

use super::*;

fn txn(id: u64, time: (u64, u64), operations: Vec<Micro>) -> Transaction {
    Transaction {
        id,
        client: id,
        invoke: time.0,
        complete: Some(time.1),
        outcome: Outcome::Ok,
        snapshot: None,
        commit: None,
        historic: false,
        operations,
    }
}

/// A transaction that is concurrent with all others like it.
fn t(id: u64, operations: Vec<Micro>) -> Transaction {
    txn(id, (1, 1_000), operations)
}

fn unknown(transaction: Transaction) -> Transaction {
    Transaction { outcome: Outcome::Unknown, complete: None, ..transaction }
}

fn failed(transaction: Transaction) -> Transaction {
    Transaction { outcome: Outcome::Failed, ..transaction }
}

fn a(key: u64, element: i64) -> Micro {
    Micro::Append { key, element }
}

fn l(key: u64, elements: &[i64]) -> Micro {
    Micro::ReadList { key, elements: elements.to_vec() }
}

#[track_caller]
fn legal(transactions: &[Transaction]) {
    let verdict = check(transactions);
    assert!(verdict.is_pass(), "{verdict:#?}");
}

#[track_caller]
fn illegal(transactions: &[Transaction], anomaly: &str) -> Violation {
    let verdict = check(transactions);
    let violation = verdict.violation().unwrap_or_else(|| panic!("{anomaly} is not found: {verdict:#?}"));
    assert_eq!(violation.anomaly, anomaly, "{violation}");
    violation.clone()
}

#[test]
fn a_transaction_agrees_with_itself() {
    legal(&[t(1, vec![l(1, &[]), a(1, 1), l(1, &[1]), a(1, 2), l(1, &[1, 2])])]);
    illegal(&[t(1, vec![a(1, 1), l(1, &[])])], "internal");
    illegal(&[t(1, vec![a(1, 1)]), t(2, vec![l(1, &[]), l(1, &[1])])], "internal");
    illegal(&[t(1, vec![a(1, 1)]), t(2, vec![a(1, 2), l(1, &[2, 1])])], "internal");
    illegal(&[t(1, vec![l(1, &[1]), a(1, 1)])], "future-read");
}

#[test]
fn elements_are_read_once_and_have_a_committed_writer() {
    let writer = t(1, vec![a(1, 1)]);
    let reader = |elements: &[i64]| t(2, vec![l(1, elements)]);
    legal(&[writer.clone(), reader(&[1])]);
    legal(&[writer.clone(), reader(&[])]);
    illegal(&[writer.clone(), reader(&[1, 1])], "duplicate-elements");
    illegal(&[writer.clone(), reader(&[1, 2])], "garbage-read");
    illegal(&[failed(writer.clone()), reader(&[1])], "G1a");
    legal(&[unknown(writer), reader(&[1])]);
}

#[test]
fn commits_are_seen_whole() {
    let writer = t(1, vec![a(1, 1), a(1, 2)]);
    let other = t(2, vec![a(1, 3)]);
    let reader = |elements: &[i64]| t(3, vec![l(1, elements)]);
    legal(&[writer.clone(), other.clone(), reader(&[3, 1, 2])]);
    illegal(&[writer.clone(), other.clone(), reader(&[1])], "G1b");
    illegal(&[writer, other, reader(&[1, 3])], "G1b");
}

#[test]
fn reads_begin_each_other() {
    let writers = [t(1, vec![a(1, 1)]), t(2, vec![a(1, 2)])];
    let with = |one: &[i64], other: &[i64]| [&writers[..], &[t(3, vec![l(1, one)]), t(4, vec![l(1, other)])]].concat();
    legal(&with(&[1], &[1, 2]));
    illegal(&with(&[1], &[2]), "incompatible-order");
    illegal(&with(&[1, 2], &[2]), "incompatible-order");
}

#[test]
fn updates_are_not_lost() {
    let update = |id, seen: &[i64]| t(id, vec![l(1, seen), a(1, id as i64)]);
    legal(&[update(1, &[]), update(2, &[1]), t(3, vec![l(1, &[1, 2])])]);
    illegal(&[update(1, &[]), update(2, &[])], "lost-update");
    legal(&[update(1, &[]), failed(update(2, &[]))]);
    // Nobody knows that the second has committed.
    legal(&[update(1, &[]), unknown(update(2, &[]))]);
    illegal(&[update(1, &[]), unknown(update(2, &[])), t(3, vec![l(1, &[1, 2])])], "lost-update");
}

#[test]
fn writes_have_one_order() {
    let history = [
        t(1, vec![a(1, 1), a(2, 1)]),
        t(2, vec![a(1, 2), a(2, 2)]),
        t(3, vec![l(1, &[1, 2])]),
        t(4, vec![l(2, &[2, 1])]),
    ];
    let violation = illegal(&history, "G0");
    assert_eq!(violation.evidence[0], "T1 ─ww→ T2: T2 appended 2 to list 1 after T1's 1");
    assert_eq!(violation.evidence[1], "T2 ─ww→ T1: T1 appended 1 to list 2 after T2's 2");
}

#[test]
fn information_does_not_flow_in_circles() {
    let history = [t(1, vec![a(1, 1), l(2, &[2])]), t(2, vec![a(2, 2), l(1, &[1])])];
    let violation = illegal(&history, "G1c");
    assert!(violation.message.contains("T1") && violation.message.contains("T2"), "{violation}");
    legal(&[t(1, vec![a(1, 1)]), t(2, vec![a(2, 2), l(1, &[1])])]);
}

#[test]
fn reads_are_not_skewed() {
    let writer = t(1, vec![a(1, 1), a(2, 1)]);
    legal(&[writer.clone(), t(2, vec![l(1, &[1]), l(2, &[1])])]);
    let violation = illegal(&[writer.clone(), t(2, vec![l(1, &[1]), l(2, &[])]), t(3, vec![l(2, &[1])])], "G-single");
    assert!(violation.evidence.contains(&"T2 ─rw→ T1: T2 read list 2 without T1's 1".to_string()), "{violation}");
    // The same when nobody ever read what it should have seen.
    illegal(&[writer, t(2, vec![l(1, &[1]), l(2, &[])])], "G-single");
}

#[test]
fn write_skew_is_allowed_and_a_long_fork_is_not() {
    legal(&[t(1, vec![l(1, &[]), a(2, 1)]), t(2, vec![l(2, &[]), a(1, 2)]), t(3, vec![l(1, &[2]), l(2, &[1])])]);
    let writers = [t(1, vec![a(1, 1)]), t(2, vec![a(2, 2)])];
    let fork = [t(3, vec![l(1, &[1]), l(2, &[])]), t(4, vec![l(1, &[]), l(2, &[2])])];
    illegal(&[&writers[..], &fork].concat(), "G-nonadjacent");
}

#[test]
fn real_time_counts() {
    let writer = txn(1, (1, 10), vec![a(1, 1)]);
    let stale = |invoke| txn(2, (invoke, 30), vec![l(1, &[])]);
    let seen = txn(3, (40, 50), vec![l(1, &[1])]);
    illegal(&[writer.clone(), stale(11), seen.clone()], "G-single-realtime");
    // Equal times are concurrent, an unknown writer is never over, and a historic snapshot may be old.
    legal(&[writer.clone(), stale(10), seen.clone()]);
    legal(&[unknown(writer.clone()), stale(11), seen.clone()]);
    legal(&[writer.clone(), Transaction { historic: true, ..stale(11) }, seen]);
    // But what it saw others see too.
    let historic = Transaction { historic: true, ..txn(2, (20, 30), vec![l(1, &[1])]) };
    illegal(&[historic, txn(3, (31, 32), vec![l(1, &[])]), txn(1, (1, 50), vec![a(1, 1)])], "G-single-realtime");
    // Writes keep to it as well.
    let later = txn(2, (11, 20), vec![a(1, 2)]);
    illegal(&[writer, later, txn(3, (21, 30), vec![l(1, &[2, 1])])], "G0-realtime");
}

#[test]
fn an_element_of_two_writers_is_not_judged() {
    assert!(matches!(check(&[t(1, vec![a(1, 1)]), t(2, vec![a(1, 1)])]), Verdict::GaveUp { .. }));
}

/// What is wrong with the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// Some transactions read an old snapshot.
    StaleSnapshot,
    /// Nobody checks for concurrent writers.
    NoConflicts,
    /// The first half of a commit becomes visible before the second.
    TornCommit,
    /// Acknowledged appends get lost.
    LostCommit,
    /// Aborted appends happen.
    FailedCommit,
}

/// A history of a store with snapshot isolation, from arbitrary bytes: transactions overlap, some ask for old snapshots,
/// some never hear how they ended.
fn history(bytes: &[u8], bug: Bug) -> Vec<Transaction> {
    /// A transaction that runs.
    struct Running {
        transaction: Transaction,
        snapshot: usize,
    }
    let mut log: Vec<Vec<(u64, i64)>> = Vec::new();
    let mut running: BTreeMap<u64, Running> = BTreeMap::new();
    let mut history = Vec::new();
    let (mut time, mut names, mut elements) = (0, 0_u64, 0_i64);
    let state = |log: &[Vec<(u64, i64)>], snapshot: usize, key: u64| -> Vec<i64> {
        let appends = log[..snapshot].iter().flatten();
        appends.filter(|(list, _)| *list == key).map(|(_, element)| *element).collect()
    };
    for chunk in bytes.chunks_exact(3) {
        let [client, action, detail] = [chunk[0] % 4, chunk[1], chunk[2]];
        let client = u64::from(client);
        time += u64::from(detail % 3);
        let Some(current) = running.get_mut(&client) else {
            names += 1;
            let historic = action % 8 == 0;
            let old = historic || bug == Bug::StaleSnapshot && action % 8 == 1;
            let snapshot = if old { usize::from(detail) % (log.len() + 1) } else { log.len() };
            let transaction = Transaction { client, historic, ..txn(names, (time, 0), Vec::new()) };
            running.insert(client, Running { transaction, snapshot });
            continue;
        };
        let key = u64::from(detail % 3);
        let operations = &mut current.transaction.operations;
        if action % 4 == 0 && !current.transaction.historic && operations.len() < 6 {
            elements += 1;
            operations.push(a(key, elements));
            continue;
        }
        if action % 4 < 3 && operations.len() < 6 {
            let own = operations.iter().filter_map(|micro| match *micro {
                Micro::Append { key: list, element } if list == key => Some(element),
                _ => None,
            });
            let elements: Vec<i64> = state(&log, current.snapshot, key).into_iter().chain(own).collect();
            operations.push(l(key, &elements));
            continue;
        }
        let Running { mut transaction, snapshot } = running.remove(&client).unwrap();
        let appends: Vec<(u64, i64)> = transaction
            .operations
            .iter()
            .filter_map(|micro| match *micro {
                Micro::Append { key, element } => Some((key, element)),
                _ => None,
            })
            .collect();
        let conflict = log[snapshot..].iter().flatten().any(|(list, _)| appends.iter().any(|(key, _)| key == list));
        transaction.complete = Some(time);
        // The client's luck.
        let (lost, committed) = (detail & 0x40 != 0, !conflict || bug == Bug::NoConflicts);
        transaction.outcome = match (lost, committed) {
            (true, _) if !appends.is_empty() => Outcome::Unknown,
            (_, true) => Outcome::Ok,
            (_, false) => Outcome::Failed,
        };
        let dropped = bug == Bug::LostCommit && action & 0x10 != 0;
        let applied = committed && !dropped || bug == Bug::FailedCommit;
        if applied && !appends.is_empty() {
            if bug == Bug::TornCommit {
                let (first, second) = appends.split_at(appends.len() / 2);
                log.push(first.to_vec());
                log.push(second.to_vec());
            } else {
                log.push(appends);
            }
        }
        history.push(transaction);
    }
    // Who never ended is unknown.
    history.extend(running.into_values().map(|running| unknown(running.transaction)));
    history
}

#[test]
fn a_correct_store_passes_whatever_clients_forget() {
    let mut comparisons = 0;
    let mut cases = 0;
    bolero::check!().with_type::<Vec<u8>>().with_iterations(3_000).with_max_len(600).for_each(|bytes| {
        let history = history(bytes, Bug::None);
        crate::history::validate(&history).unwrap();
        assert!(check(&history).is_pass(), "{:#?}", check(&history));
    });
    for seed in 0..200_u64 {
        match check(&history(&noise(seed), Bug::None)) {
            Verdict::Pass { comparisons: made } => comparisons += made,
            other => panic!("{other:#?}"),
        }
        cases += 1;
    }
    assert!(comparisons > cases * 100, "{comparisons} comparisons in {cases} cases");
}

#[test]
fn broken_stores_are_found() {
    for (bug, anomalies) in [
        (Bug::StaleSnapshot, &["G-single-realtime"][..]),
        (Bug::NoConflicts, &["lost-update"]),
        (Bug::TornCommit, &["G-single", "G1b"]),
        (Bug::LostCommit, &["lost-update", "G-single"]),
        (Bug::FailedCommit, &["G1a"]),
    ] {
        let mut found = BTreeMap::<String, u32>::new();
        for seed in 0..200 {
            if let Verdict::Fail(violation) = check(&history(&noise(seed), bug)) {
                *found.entry(violation.anomaly).or_default() += 1;
            }
        }
        for anomaly in anomalies {
            assert!(found.contains_key(*anomaly), "{bug:?} shows as {found:?}, never as {anomaly}");
        }
    }
}

/// Bytes that look random (Steele et al., `SplitMix64`).
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = (0..150).map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.flatten().collect()
}
