//! When two transactions are known to read the same.

use crate::mvcc::{Isolation, Snapshot, Store, Transaction, Txn, View};
use crate::storage::Memory;

fn store() -> Store<Memory> {
    let mut store = Store::new(Memory::new()).unwrap();
    for version in 1..=2 {
        store.commit(version, [(b"a".to_vec(), Some(vec![version as u8]))], []).unwrap();
    }
    store
}

fn of(store: &Store<Memory>, txn: &mut Txn) -> Option<Snapshot> {
    View::new(store, txn).snapshot()
}

fn reader(version: u64) -> Txn {
    Txn::new(version, Isolation::Snapshot, true)
}

#[test]
fn a_snapshot_is_of_one_store_and_position() {
    let (one, other) = (store(), store());
    let first = of(&one, &mut reader(1));
    assert!(first.is_some());
    assert_eq!(first, of(&one, &mut reader(1)));
    assert_ne!(first, of(&one, &mut reader(2)));
    assert_ne!(first, of(&other, &mut reader(1)));
}

#[test]
fn what_cannot_be_read_is_no_snapshot() {
    let mut store = store();
    assert_eq!(of(&store, &mut reader(3)), None);
    store.collect(3, 2).unwrap();
    assert_eq!(of(&store, &mut reader(1)), None);
    assert!(of(&store, &mut reader(2)).is_some());
}

#[test]
fn what_a_transaction_wrote_is_in_no_snapshot() {
    let store = store();
    let mut txn = Txn::new(2, Isolation::Snapshot, false).alone();
    let mut view = View::new(&store, &mut txn);
    let before = view.savepoint();
    assert!(view.snapshot().is_some());
    view.set(b"b".to_vec(), vec![]).unwrap();
    assert_eq!(view.snapshot(), None);
    view.rollback_to(before);
    assert!(view.snapshot().is_some());
}

/// What it reads has to be in its commit, also where it is known.
#[test]
fn a_transaction_that_validates_its_reads_has_none() {
    assert_eq!(of(&store(), &mut Txn::new(2, Isolation::Snapshot, false)), None);
}
