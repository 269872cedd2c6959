//! One history for every way in which a search like this is known to go wrong.

use crate::history::Operation;
use crate::linearizability::cas_register::{CasRegister, Op, Ret};
use crate::linearizability::key_value::{self, KeyValue};
use crate::linearizability::{Decision, Options, Prunings, decide};

type Call = Operation<Op, Ret>;

fn write(span: (u64, u64), value: i64) -> Call {
    Call { client: 0, invoke: span.0, complete: Some(span.1), input: Op::Write(value), output: Some(Ret::Written) }
}

fn read(span: (u64, u64), value: i64) -> Call {
    let output = Some(Ret::Value(Some(value)));
    Call { client: 0, invoke: span.0, complete: Some(span.1), input: Op::Read, output }
}

fn cas(span: (u64, u64), from: i64, to: i64, held: bool) -> Call {
    let (input, output) = (Op::CompareAndSet { from, to }, Some(Ret::Compared(held)));
    Call { client: 0, invoke: span.0, complete: Some(span.1), input, output }
}

fn crashed(invoke: u64, input: Op) -> Call {
    Call { client: 0, invoke, complete: None, input, output: None }
}

/// The search alone, from 0, under every pruning and under none.
#[track_caller]
fn expect(legal: bool, operations: &[Call]) {
    expect_under(&[Prunings::ALL, Prunings::NONE], legal, operations);
}

#[track_caller]
fn expect_under(prunings: &[Prunings], legal: bool, operations: &[Call]) {
    for &prunings in prunings {
        let options = Options { prunings, special: false, ..Options::default() };
        let decision = decide::<CasRegister, CasRegister>(&CasRegister(Some(0)), operations, &options);
        assert_eq!(decision.is_linearizable(), legal, "{prunings:?}: {decision:?}");
        assert!(!matches!(decision, Decision::Unknown { .. }));
    }
}

#[test]
fn what_changes_nothing_now_may_be_needed_later() {
    // In the first state the write of 0 changes nothing; it has to wait for the write of 1.
    expect(true, &[write((0, 100), 0), write((1, 2), 1), read((3, 4), 0)]);
    expect(false, &[write((0, 1), 0), write((2, 3), 1), read((4, 5), 0)]);
    // The same for a compare-and-set that changes nothing because it succeeds.
    expect(true, &[cas((0, 100), 0, 0, true), write((1, 2), 1), cas((3, 4), 1, 0, true)]);
    // One that fails is read-only wherever that is legal.
    expect(true, &[cas((0, 100), 1, 2, false), write((1, 2), 1), read((3, 4), 1)]);
    expect(false, &[write((1, 2), 1), cas((3, 100), 1, 2, false), read((4, 5), 1)]);
}

#[test]
fn crashed_operations_keep_their_slots() {
    // Others come and go between the call of a crashed operation and its effect.
    let mut operations = vec![crashed(0, Op::Write(7))];
    operations.extend((0..20).map(|at| write((10 * at + 1, 10 * at + 5), at as i64)));
    expect(true, &[operations.clone(), vec![read((300, 301), 7), write((302, 303), 1), read((304, 305), 1)]].concat());
    expect(false, &[operations.clone(), vec![read((300, 301), 7), write((302, 303), 1), read((304, 305), 7)]].concat());
    expect(false, &[operations, vec![read((300, 301), 8)]].concat());
    // As many as do not fit into a word, or into two: the first and the last are not the same.
    for count in [63, 64, 65, 127, 128, 129, 200] {
        let many: Vec<Call> = (0..count).map(|at| crashed(at, Op::CompareAndSet { from: at as i64, to: -1 })).collect();
        let first = [read((1000, 1001), 0), read((1002, 1003), -1), write((1004, 1005), count as i64 - 1)];
        expect_under(&[Prunings::ALL], true, &[&many[..], &first, &[read((1006, 1007), -1)]].concat());
        let again = [read((1006, 1007), -1), write((1008, 1009), count as i64 - 1), read((1010, 1011), -1)];
        expect_under(&[Prunings::ALL], false, &[&many[..], &first, &again].concat());
    }
}

#[test]
fn only_crashed_operations_may_have_been_used_up_for_nothing() {
    // The write of 1 must be over before the write of 2. That it is still to come is not better: it has to come.
    expect(true, &[write((0, 100), 1), write((0, 10), 2), read((11, 20), 2), read((101, 110), 2)]);
    // For a crashed one it is better: it can still be used.
    expect(true, &[crashed(0, Op::Write(1)), write((0, 10), 2), read((11, 20), 2), read((101, 110), 2)]);
    expect(true, &[crashed(0, Op::Write(1)), write((0, 10), 2), read((11, 20), 2), read((101, 110), 1)]);
}

#[test]
fn an_equal_operation_that_is_not_called_yet_is_no_substitute() {
    // The second write of 1 returns first, but is called only after somebody has seen a 1.
    expect(true, &[write((0, 100), 1), write((50, 60), 1), read((10, 20), 1)]);
    expect(false, &[write((40, 100), 1), write((50, 60), 1), read((10, 20), 1)]);
    // And the same for crashed ones.
    expect(true, &[crashed(0, Op::Write(1)), crashed(50, Op::Write(1)), read((10, 20), 1)]);
    expect(false, &[crashed(21, Op::Write(1)), crashed(50, Op::Write(1)), read((10, 20), 1)]);
    // A completed one that is illegal just now is no substitute for a crashed one either.
    let never = [cas((0, 100), 0, 1, false), crashed(0, Op::CompareAndSet { from: 0, to: 1 })];
    expect(true, &[&never[..], &[read((10, 20), 1)]].concat());
    expect(false, &[&never[..1], &[read((10, 20), 1)]].concat());
}

#[test]
fn equal_times_are_concurrent() {
    expect(true, &[write((0, 10), 1), read((10, 20), 0)]);
    expect(false, &[write((0, 10), 1), read((11, 20), 0)]);
    expect(true, &[read((0, 10), 1), write((10, 20), 1)]);
    expect(false, &[read((0, 9), 1), write((10, 20), 1)]);
    expect(true, &[read((0, 10), 1), crashed(10, Op::Write(1))]);
    expect(false, &[read((0, 9), 1), crashed(10, Op::Write(1))]);
    // Operations that take no time, all at once, in whatever order it takes.
    expect(true, &[read((5, 5), 2), write((5, 5), 1), write((5, 5), 2), read((5, 5), 1), read((5, 5), 0)]);
    // The same without a search.
    for (read, legal) in [((10, 20), true), ((11, 20), false)] {
        let history = [write((0, 10), 1), self::read(read, 0)];
        let decision = decide::<CasRegister, CasRegister>(&CasRegister(Some(0)), &history, &Options::default());
        assert_eq!(decision.is_linearizable(), legal);
    }
}

/// The look-ahead must not cut what a write that forgets the past may still repair.
#[test]
fn a_put_may_repair_what_an_append_has_spoilt() {
    let call = |span: (u64, u64), input: key_value::Op, output: Option<&str>| Operation {
        client: 0,
        invoke: span.0,
        complete: Some(span.1),
        input,
        output: Some(output.map_or(key_value::Ret::Done, |value| key_value::Ret::Value(value.to_owned()))),
    };
    let key = || "k".to_owned();
    let put = |span, value: &str| call(span, key_value::Op::Put { key: key(), value: value.into() }, None);
    let append = |span, value: &str| call(span, key_value::Op::Append { key: key(), value: value.into() }, None);
    let get = |span, value| call(span, key_value::Op::Get { key: key() }, Some(value));
    let legal = |operations: &[_]| {
        let decision = decide::<KeyValue, KeyValue>(&KeyValue::default(), operations, &Options::default());
        decision.is_linearizable()
    };
    assert!(legal(&[append((0, 1), "x"), put((0, 100), "a"), get((2, 3), "a")]));
    assert!(legal(&[append((0, 1), "x"), put((2, 100), "a"), append((0, 100), "b"), get((3, 4), "ab")]));
    assert!(!legal(&[append((0, 1), "x"), put((5, 100), "a"), get((2, 3), "a")]));
    assert!(!legal(&[append((0, 1), "x"), put((0, 100), "b"), get((2, 3), "a")]));
    let crash = |operation: Operation<_, _>| Operation { complete: None, output: None, ..operation };
    assert!(legal(&[append((0, 1), "x"), crash(put((2, 100), "a")), get((3, 4), "a"), get((5, 6), "a")]));
    // What was taken already can not repair anything again.
    let spoilt = [crash(put((0, 0), "a")), get((1, 2), "a"), append((3, 4), "x"), get((5, 6), "a")];
    assert!(!legal(&spoilt));
    assert!(legal(&[&spoilt[..], &[crash(put((0, 0), "a"))]].concat()));
}
