//! What every store must do, on each of them, beside a map.

mod golden;
mod model;

use std::ops::Bound;

use super::*;
#[cfg(unix)]
use crate::disk::{OsDisk, tests::Scratch};

/// A kind of store under test.
trait Subject {
    type Store: Storage;
    /// Opens the store for the first time, or again.
    fn open(&mut self) -> Self::Store;
    /// Ends one life of the store in good order, and begins the next.
    fn reopen(&mut self, store: Self::Store) -> Self::Store {
        drop(store);
        self.open()
    }
}

struct InMemory;

impl Subject for InMemory {
    type Store = Memory;

    fn open(&mut self) -> Memory {
        Memory::new()
    }

    /// There is no next life.
    fn reopen(&mut self, store: Memory) -> Memory {
        store
    }
}

struct OnDisk<D>(D, BitCaskOptions);

impl<D: disk::Disk> Subject for OnDisk<D> {
    type Store = BitCask<D>;

    fn open(&mut self) -> BitCask<D> {
        BitCask::open(self.0.clone(), "a/store", self.1).expect("opens")
    }
}

fn lazy() -> BitCaskOptions {
    BitCaskOptions { compact_garbage_bytes: u64::MAX, compact_garbage_percent: 100, compact_on_open: false }
}

fn busy() -> BitCaskOptions {
    BitCaskOptions { compact_garbage_bytes: 600, compact_garbage_percent: 30, compact_on_open: true }
}

fn frantic() -> BitCaskOptions {
    BitCaskOptions { compact_garbage_bytes: 0, compact_garbage_percent: 0, compact_on_open: true }
}

/// Each rule becomes a test on each store.
macro_rules! conformance {
    ($($rule:ident),* $(,)?) => {
        mod memory {
            $(#[test]
            fn $rule() {
                super::$rule(super::InMemory);
            })*
        }

        mod bitcask {
            use crate::disk::MemDisk;

            $(#[test]
            fn $rule() {
                super::$rule(super::OnDisk(MemDisk::new(), super::lazy()));
                super::$rule(super::OnDisk(MemDisk::new(), super::busy()));
                super::$rule(super::OnDisk(MemDisk::new(), super::frantic()));
            })*
        }

        #[cfg(unix)]
        mod bitcask_on_files {
            $(#[test]
            fn $rule() {
                let scratch = super::Scratch::new(concat!("storage-", stringify!($rule)));
                super::$rule(super::OnDisk::<super::OsDisk>(scratch.disk(), super::busy()));
            })*
        }
    };
}

conformance!(
    an_empty_store_has_nothing,
    what_is_set_is_there_until_it_is_removed,
    a_later_operation_of_a_batch_wins,
    an_empty_batch_changes_nothing,
    ranges_have_all_kinds_of_bounds,
    a_backward_range_is_empty,
    scans_go_both_ways_at_once,
    keys_and_values_may_be_any_bytes,
);

fn batch(operations: &[(&str, Option<&str>)]) -> Batch {
    let bytes = |text: &str| text.as_bytes().to_vec();
    Batch { operations: operations.iter().map(|&(key, value)| (bytes(key), value.map(bytes))).collect() }
}

fn all() -> KeyRange {
    (Bound::Unbounded, Bound::Unbounded)
}

fn pairs(store: &impl Storage) -> Vec<Pair> {
    store.scan(all()).collect::<Result<_, _>>().expect("scans")
}

fn keys(store: &impl Storage, range: KeyRange) -> String {
    let keys: Vec<Vec<u8>> = store.scan_keys(range.clone()).collect::<Result<_, _>>().expect("scans");
    let scanned: Vec<Vec<u8>> = store.scan(range).map(|pair| pair.expect("scans").0).collect();
    assert_eq!(keys, scanned);
    String::from_utf8(keys.concat()).expect("text")
}

fn an_empty_store_has_nothing(mut subject: impl Subject) {
    let store = subject.open();
    assert_eq!(store.get(b"a").unwrap(), None);
    assert_eq!(pairs(&store), []);
    assert_eq!((store.status().keys, store.status().size), (0, 0));
    let store = subject.reopen(store);
    assert_eq!(pairs(&store), []);
}

fn what_is_set_is_there_until_it_is_removed(mut subject: impl Subject) {
    let mut store = subject.open();
    store.apply(batch(&[("a", Some("1")), ("b", Some("2")), ("c", Some(""))])).unwrap();
    store.apply(batch(&[("b", None), ("x", None), ("a", Some("one"))])).unwrap();
    for _ in 0..2 {
        assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.get(b"b").unwrap(), None);
        assert_eq!(store.get(b"c").unwrap(), Some(vec![]));
        assert_eq!(pairs(&store), [(b"a".to_vec(), b"one".to_vec()), (b"c".to_vec(), vec![])]);
        assert_eq!((store.status().keys, store.status().size), (2, 5));
        store.flush().unwrap();
        store = subject.reopen(store);
    }
}

fn a_later_operation_of_a_batch_wins(mut subject: impl Subject) {
    let mut store = subject.open();
    store.apply(batch(&[("a", Some("1")), ("b", Some("1")), ("a", None), ("b", Some("22")), ("c", None)])).unwrap();
    store.apply(batch(&[("c", None), ("c", Some("3"))])).unwrap();
    store = subject.reopen(store);
    assert_eq!(pairs(&store), [(b"b".to_vec(), b"22".to_vec()), (b"c".to_vec(), b"3".to_vec())]);
    assert_eq!((store.status().keys, store.status().size), (2, 5));
}

fn an_empty_batch_changes_nothing(mut subject: impl Subject) {
    let mut store = subject.open();
    store.apply(batch(&[("a", Some("1"))])).unwrap();
    let before = store.status();
    assert!(Batch::default().is_empty());
    store.apply(Batch::default()).unwrap();
    assert_eq!(store.status(), before);
    assert_eq!(keys(&store, all()), "a");
}

fn ranges_have_all_kinds_of_bounds(mut subject: impl Subject) {
    use Bound::{Excluded, Included, Unbounded};
    let mut store = subject.open();
    store.apply(batch(&[("a", Some("")), ("b", Some("")), ("c", Some("")), ("d", Some(""))])).unwrap();
    let bound = |text: &str| text.as_bytes().to_vec();
    for (start, end, expected) in [
        (Unbounded, Unbounded, "abcd"),
        (Included(bound("b")), Unbounded, "bcd"),
        (Excluded(bound("b")), Unbounded, "cd"),
        (Unbounded, Included(bound("c")), "abc"),
        (Unbounded, Excluded(bound("c")), "ab"),
        (Included(bound("b")), Included(bound("c")), "bc"),
        (Included(bound("b")), Excluded(bound("c")), "b"),
        (Excluded(bound("b")), Included(bound("c")), "c"),
        (Excluded(bound("a")), Excluded(bound("d")), "bc"),
        (Excluded(bound("aa")), Included(bound("cc")), "bc"),
        (Included(bound("b")), Included(bound("b")), "b"),
        (Included(bound("")), Excluded(bound("a")), ""),
        (Excluded(bound("d")), Unbounded, ""),
        (Unbounded, Excluded(bound("")), ""),
    ] {
        assert_eq!(keys(&store, (start.clone(), end.clone())), expected, "{start:?} {end:?}");
    }
}

fn a_backward_range_is_empty(mut subject: impl Subject) {
    use Bound::{Excluded, Included};
    let mut store = subject.open();
    store.apply(batch(&[("a", Some("")), ("b", Some("")), ("c", Some(""))])).unwrap();
    let bounds = |text: &str| [Included(text.as_bytes().to_vec()), Excluded(text.as_bytes().to_vec())];
    for start in bounds("c") {
        for end in bounds("a") {
            assert_eq!(keys(&store, (start.clone(), end)), "");
        }
    }
    let [included, excluded] = bounds("b");
    for range in
        [(excluded.clone(), excluded.clone()), (included.clone(), excluded.clone()), (excluded.clone(), included)]
    {
        assert_eq!(keys(&store, range), "");
    }
}

fn scans_go_both_ways_at_once(mut subject: impl Subject) {
    let mut store = subject.open();
    store.apply(batch(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3")), ("d", Some("4"))])).unwrap();
    let mut scan = store.scan(all()).map(|pair| pair.unwrap().1[0]);
    let order = [scan.next_back(), scan.next(), scan.next(), scan.next_back(), scan.next_back(), scan.next()];
    assert_eq!(order, [Some(b'4'), Some(b'1'), Some(b'2'), Some(b'3'), None, None]);
    let mut scan = store.scan_keys(all()).map(|key| key.unwrap()[0]);
    let order = [scan.next(), scan.next_back(), scan.next_back(), scan.next_back(), scan.next(), scan.next_back()];
    assert_eq!(order, [Some(b'a'), Some(b'd'), Some(b'c'), Some(b'b'), None, None]);
}

fn keys_and_values_may_be_any_bytes(mut subject: impl Subject) {
    let mut store = subject.open();
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for byte in 0..=255_u8 {
        expected.push((vec![byte], vec![byte; usize::from(byte)]));
        expected.push((vec![byte, 0], vec![0; 3]));
    }
    expected.push((vec![0xff; 3_000], b"long".to_vec()));
    expected.push((vec![], b"empty".to_vec()));
    for (key, value) in expected.iter().rev().cloned() {
        batch.set(key, value);
    }
    store.apply(batch).unwrap();
    expected.sort();
    store = subject.reopen(store);
    assert_eq!(pairs(&store), expected);
    assert_eq!(store.get(b"").unwrap(), Some(b"empty".to_vec()));
}
