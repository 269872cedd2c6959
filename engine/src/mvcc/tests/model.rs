//! The store and transactions beside a model: for every key, what each commit position made of it.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use bolero::{TypeGenerator, check};

use crate::mvcc::*;
use crate::storage::{Batch, KeyRange, Memory, Pair, Storage};

type Model = BTreeMap<Vec<u8>, BTreeMap<Version, Option<Vec<u8>>>>;

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    Begin {
        serializable: bool,
        age: u8,
    },
    Set(Slot, Key, u8),
    Delete(Slot, Key),
    Get(Slot, Key),
    Scan(Slot, Limits, Vec<bool>),
    Savepoint(Slot),
    /// Reads what there was at the savepoint.
    Past(Slot, Limits),
    Rollback(Slot),
    Commit(Slot),
    Resume(Slot),
    Collect(u8),
}

type Slot = u8;
type Limits = (u8, Key, u8, Key);

#[derive(Clone, Debug, TypeGenerator)]
struct Key(#[generator(0..6)] u8);

impl Key {
    /// Keys that are prefixes of each other, with zeros in them.
    fn bytes(&self) -> Vec<u8> {
        [&b"a"[..], b"a\0", b"a\0\xff", b"ab", b"b", b""][usize::from(self.0)].to_vec()
    }
}

fn range((a, from, b, to): &Limits) -> KeyRange {
    let bound = |kind: u8, key: &Key| match kind % 3 {
        0 => Bound::Included(key.bytes()),
        1 => Bound::Excluded(key.bytes()),
        _ => Bound::Unbounded,
    };
    (bound(*a, from), bound(*b, to))
}

type Own = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

struct Running {
    txn: Txn,
    /// What the transaction has written, by the model, and at its savepoint.
    own: Own,
    saved: Option<(Savepoint, Own)>,
    read: Vec<KeyRange>,
}

fn visible(model: &Model, at: Version, own: &Own) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for (key, versions) in model {
        if let Some((_, Some(value))) = versions.range(..=at).next_back() {
            state.insert(key.clone(), value.clone());
        }
    }
    for (key, value) in own {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
    state
}

fn play(steps: &[Step]) {
    let mut store = Store::new(Memory::new()).unwrap();
    let mut model = Model::new();
    let mut running: Vec<Running> = Vec::new();
    for step in steps {
        if let Step::Begin { serializable, age } = step {
            let snapshot = store.applied().saturating_sub(u64::from(age % 4));
            let isolation = if *serializable { Isolation::Serializable } else { Isolation::Snapshot };
            let (own, saved, read) = Default::default();
            running.push(Running { txn: Txn::new(snapshot, isolation, false), own, saved, read });
            continue;
        }
        if let Step::Collect(age) = step {
            let watermark = store.applied().saturating_sub(u64::from(age % 8)).max(store.watermark());
            store.collect(store.applied() + 1, watermark).unwrap();
            continue;
        }
        let (Step::Set(slot, ..)
        | Step::Delete(slot, ..)
        | Step::Get(slot, ..)
        | Step::Scan(slot, ..)
        | Step::Savepoint(slot)
        | Step::Past(slot, _)
        | Step::Rollback(slot)
        | Step::Commit(slot)
        | Step::Resume(slot)) = step
        else {
            unreachable!("handled above")
        };
        if running.is_empty() {
            continue;
        }
        let slot = usize::from(*slot) % running.len();
        let Running { txn, own, saved, read } = &mut running[slot];
        let at = txn.snapshot();
        let too_old = at < store.watermark();
        match step {
            Step::Begin { .. } | Step::Collect(_) => unreachable!("handled above"),
            Step::Set(_, key, value) => {
                View::new(&store, txn).set(key.bytes(), vec![*value]).unwrap();
                own.insert(key.bytes(), Some(vec![*value]));
            }
            Step::Delete(_, key) => {
                View::new(&store, txn).delete(key.bytes()).unwrap();
                own.insert(key.bytes(), None);
            }
            Step::Get(_, key) => {
                let got = View::new(&store, txn).get(&key.bytes(), Read::Data);
                if too_old && !own.contains_key(&key.bytes()) {
                    assert!(matches!(got, Err(Error::SnapshotTooOld { .. })));
                } else {
                    assert_eq!(got.unwrap().as_ref(), visible(&model, at, own).get(&key.bytes()));
                    if !own.contains_key(&key.bytes()) {
                        read.push((Bound::Included(key.bytes()), Bound::Included(key.bytes())));
                    }
                }
            }
            Step::Scan(_, limits, ends) => {
                let range = range(limits);
                let view = View::new(&store, txn);
                let scan = view.scan(range.clone(), Read::Data);
                if too_old {
                    assert!(matches!(scan, Err(Error::SnapshotTooOld { .. })));
                    continue;
                }
                let mut scan = scan.unwrap();
                let mut expected = visible(&model, at, own);
                expected.retain(|key, _| range.contains(key));
                for reverse in [false, true] {
                    let mut cursor = view.cursor(range.clone(), reverse, Read::Data).unwrap();
                    let mut pairs: Vec<Pair> = Vec::new();
                    while let Some((key, value)) = cursor.next(true).unwrap() {
                        pairs.push((key.to_vec(), value.to_vec()));
                    }
                    if reverse {
                        pairs.reverse();
                    }
                    assert_eq!(pairs, expected.clone().into_iter().collect::<Vec<_>>());
                }
                // From both ends in any order, then what is left.
                for &front in ends {
                    let (got, pair) = if front {
                        (scan.next(), expected.pop_first())
                    } else {
                        (scan.next_back(), expected.pop_last())
                    };
                    assert_eq!(got.transpose().unwrap(), pair);
                }
                let rest: Vec<Pair> = scan.map(Result::unwrap).collect();
                assert_eq!(rest, expected.into_iter().collect::<Vec<_>>());
                read.push(range);
            }
            Step::Savepoint(_) => *saved = Some((View::new(&store, txn).savepoint(), own.clone())),
            Step::Past(_, limits) => {
                let Some((savepoint, then)) = saved.as_ref().filter(|_| !too_old) else { continue };
                let range = range(limits);
                let view = View::new(&store, txn);
                let mut past = Past::at(*savepoint);
                let past = view.past(&mut past);
                let mut expected = visible(&model, at, then);
                for key in (0..6).map(|key| Key(key).bytes()) {
                    assert_eq!(past.get(&key, Read::Data).unwrap().as_ref(), expected.get(&key));
                    if !then.contains_key(&key) {
                        read.push((Bound::Included(key.clone()), Bound::Included(key)));
                    }
                }
                expected.retain(|key, _| range.contains(key));
                let pairs: Vec<Pair> = past.scan(range.clone(), Read::Data).unwrap().map(Result::unwrap).collect();
                assert_eq!(pairs, expected.into_iter().collect::<Vec<_>>());
                read.push(range);
            }
            Step::Rollback(_) => {
                if let Some((savepoint, then)) = saved.take() {
                    View::new(&store, txn).rollback_to(savepoint);
                    *own = then;
                }
            }
            Step::Resume(_) => {
                let bytes = crate::encoding::value::serialize(txn).unwrap();
                *txn = crate::encoding::value::deserialize(&bytes).unwrap();
            }
            Step::Commit(_) => {
                let Running { txn, own, read, .. } = running.swap_remove(slot);
                let serializable = txn.isolation() == Isolation::Serializable;
                let commit = txn.into_commit();
                let changed = |range: &KeyRange| {
                    model.iter().any(|(key, versions)| range.contains(key) && versions.range(at + 1..).next().is_some())
                };
                let key_range = |key: &Vec<u8>| (Bound::Included(key.clone()), Bound::Included(key.clone()));
                let conflict =
                    own.keys().any(|key| changed(&key_range(key))) || serializable && read.iter().any(changed);
                match store.validate(&commit).unwrap() {
                    Ok(()) => {
                        assert!(!too_old && !conflict, "a conflict was missed: {commit:?}");
                        let version = store.applied() + 1;
                        store.commit(version, commit.writes, []).unwrap();
                        for (key, value) in own {
                            model.entry(key).or_default().insert(version, value);
                        }
                    }
                    Err(Conflict::TooOld { .. }) => assert!(too_old),
                    Err(found) => assert!(conflict, "no conflict, but {found:?}"),
                }
            }
        }
    }
    // Every position that is still readable reads as it did when it was written.
    for at in store.watermark()..=store.applied() {
        let state: BTreeMap<_, _> =
            store.snapshot_scan((Bound::Unbounded, Bound::Unbounded), at).unwrap().map(Result::unwrap).collect();
        assert_eq!(state, visible(&model, at, &BTreeMap::new()));
    }
}

#[test]
fn transactions_behave_as_the_model() {
    check!().with_type::<Vec<Step>>().with_iterations(3_000).for_each(|steps| play(steps));
}

/// Long runs of few kinds of steps, which arbitrary bytes seldom give.
#[test]
fn busy_transactions_behave_as_the_model() {
    check!().with_type::<Vec<(Key, u8, bool, u8)>>().with_iterations(3_000).for_each(|rounds| {
        let mut steps = Vec::new();
        for (key, value, delete, age) in rounds {
            steps.push(Step::Begin { serializable: value % 2 == 0, age: 0 });
            steps.push(Step::Get(*value, Key(age % 6)));
            steps.push(if *delete { Step::Delete(*age, key.clone()) } else { Step::Set(*age, key.clone(), *value) });
            steps.push(Step::Scan(*age, (*value, Key(age % 6), *age, key.clone()), vec![*delete, true, false]));
            if value % 3 == 0 {
                steps.push(Step::Collect(*age));
            }
            steps.push(Step::Commit(value.wrapping_mul(*age)));
        }
        play(&steps);
    });
}

#[test]
fn a_store_goes_on_where_it_was() {
    let mut store = Store::new(Memory::new()).unwrap();
    store.commit(3, [(b"k".to_vec(), Some(b"v".to_vec()))], [(b"m".to_vec(), Some(b"x".to_vec()))]).unwrap();
    store.collect(4, 2).unwrap();
    let store = Store::new(store.storage().clone()).unwrap();
    assert_eq!((store.applied(), store.watermark()), (4, 2));
    assert_eq!(store.get_meta(b"m").unwrap(), Some(b"x".to_vec()));
    assert!(matches!(store.snapshot_get(b"k", 1), Err(Error::SnapshotTooOld { snapshot: 1, watermark: 2 })));
    assert!(matches!(store.snapshot_get(b"k", 5), Err(Error::Future { version: 5, latest: 4 })));
}

#[test]
fn read_only_transactions_refuse_writes() {
    let store = Store::new(Memory::new()).unwrap();
    let mut txn = Txn::new(0, Isolation::Snapshot, true);
    assert_eq!(View::new(&store, &mut txn).set(vec![1], vec![1]), Err(Error::ReadOnly));
    assert!(!txn.has_writes());
}

#[test]
fn schema_and_constraint_reads_are_validated_under_snapshot_isolation() {
    for (read, validated) in [(Read::Schema, true), (Read::Constraint, true), (Read::Data, false)] {
        let mut store = Store::new(Memory::new()).unwrap();
        let mut txn = Txn::new(0, Isolation::Snapshot, false);
        let mut view = View::new(&store, &mut txn);
        view.get(b"probe", read).unwrap();
        view.set(b"other".to_vec(), vec![]).unwrap();
        store.commit(1, [(b"probe".to_vec(), Some(vec![]))], []).unwrap();
        let conflict = store.validate(&txn.into_commit()).unwrap();
        assert_eq!(conflict == Err(Conflict::Read { key: b"probe".to_vec(), version: 1 }), validated);
    }
}

#[test]
fn writes_out_of_order_are_refused() {
    let mut store = Store::new(Memory::new()).unwrap();
    let write = |key: &[u8]| (key.to_vec(), Some(vec![]));
    for keys in [[b"a", b"a"], [b"b", b"a"]] {
        let error = store.commit(1, keys.map(|key| write(key)), []).unwrap_err();
        assert!(error.to_string().contains("the writes at position 1 are not in order"), "{error}");
    }
    assert_eq!((store.applied(), store.storage().status().keys), (0, 0));
    store.commit(1, [write(b""), write(b"a"), write(b"a\0"), write(b"b")], []).unwrap();
}

#[test]
fn a_commit_from_the_future_cannot_be_judged() {
    let mut store = Store::new(Memory::new()).unwrap();
    store.commit(1, [], []).unwrap();
    let commit = Txn::new(2, Isolation::Snapshot, false).into_commit();
    assert_eq!(store.validate(&commit), Err(Error::Future { version: 2, latest: 1 }));
}

/// What a storage gives out as versions is checked, since it may have been written by something else.
#[test]
fn keys_that_are_no_versions_are_errors() {
    for key in [&[1][..], &[1, 0, 0, 0, 0, 0, 0, 0, 0], b"\x01a\0\0\0\0\0\0\0\0\0\x01\x07"] {
        let mut memory = Memory::new();
        let mut batch = Batch::default();
        batch.set(key.to_vec(), vec![]);
        memory.apply(batch).unwrap();
        let mut store = Store::new(memory).unwrap();
        store.commit(1, [], []).unwrap();
        let all = || (Bound::Unbounded, Bound::Unbounded);
        assert!(store.snapshot_scan(all(), 1).unwrap().next().unwrap().is_err());
        assert!(store.snapshot_scan(all(), 1).unwrap().next_back().unwrap().is_err());
        assert!(store.changed_since(&all(), 0).is_err());
        let error = store.collect(2, 1).unwrap_err().to_string();
        assert!(error.contains("is no key of a version"), "{error}");
    }
}
