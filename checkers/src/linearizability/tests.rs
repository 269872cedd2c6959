use super::register::{Op, Register, Ret};
use super::*;
use stateright::semantics::SequentialSpec;

mod interfaces;
mod traps;

type Call = Operation<Op, Ret>;

fn call(client: u64, span: (u64, u64), input: Op, output: Ret) -> Call {
    Call { client, invoke: span.0, complete: Some(span.1), input, output: Some(output) }
}

fn crashed(client: u64, invoke: u64, input: Op) -> Call {
    Call { client, invoke, complete: None, input, output: None }
}

fn value(value: i64) -> Ret {
    Ret::Value(Some(value))
}

const CHANGED: Ret = Ret::Changed(true);

fn judge(operations: &[Call]) -> Verdict {
    check(&Register(Some(0)), operations, 100_000)
}

#[track_caller]
fn legal(operations: &[Call]) {
    assert!(judge(operations).is_pass(), "{:?}", judge(operations));
}

#[track_caller]
fn illegal(operations: &[Call]) -> Violation {
    judge(operations).violation().expect("must be rejected").clone()
}

#[test]
fn reads_see_the_latest_write_and_equal_times_are_concurrent() {
    let write = call(1, (10, 20), Op::Write(1), CHANGED);
    let stale = |invoke| call(2, (invoke, 30), Op::Read, value(0));
    legal(&[write.clone(), stale(20)]);
    let violation = illegal(&[write.clone(), stale(21)]);
    assert_eq!(violation.at, Some(30));
    assert!(violation.evidence[1].starts_with("cannot be placed: client 2 [21, 30] Read"), "{violation}");
    assert!(violation.evidence[2].ends_with("Value(Some(1))"), "{violation}");
    legal(&[write.clone(), call(2, (21, 30), Op::Read, value(1))]);
    // From the future, or not so.
    illegal(&[write.clone(), call(2, (1, 9), Op::Read, value(1))]);
    legal(&[write, call(2, (1, 10), Op::Read, value(1))]);
}

#[test]
fn concurrent_reads_agree_on_the_order() {
    let writes = [call(1, (0, 100), Op::Write(1), CHANGED), call(2, (0, 100), Op::Write(2), CHANGED)];
    let reads = |values: [i64; 3]| {
        let reads = values
            .iter()
            .enumerate()
            .map(|(at, v)| call(3, (at as u64 * 10 + 1, at as u64 * 10 + 9), Op::Read, value(*v)));
        writes.iter().cloned().chain(reads).collect::<Vec<_>>()
    };
    legal(&reads([1, 2, 2]));
    legal(&reads([0, 2, 1]));
    illegal(&reads([1, 2, 1]));
    illegal(&reads([1, 0, 2]));
}

#[test]
fn unknown_operations_take_effect_once_late_or_never() {
    let read = |at, v| call(2, (at, at + 5), Op::Read, value(v));
    let write = crashed(1, 10, Op::Write(1));
    legal(&[write.clone(), read(20, 0), read(30, 1), read(40, 1)]);
    legal(&[write.clone(), read(20, 0), read(30, 0)]);
    illegal(&[write.clone(), read(20, 1), read(30, 0)]);
    // Not before it was invoked.
    illegal(&[write.clone(), read(1, 1)]);
    // Twice needs two.
    let back = call(3, (30, 31), Op::Write(0), CHANGED);
    let twice = [write.clone(), read(20, 1), back, read(40, 1)];
    illegal(&twice);
    legal(&[&twice[..], &[crashed(4, 10, Op::Write(1))]].concat());
    // One that gave up may still take effect after that.
    let late = Call { complete: Some(12), ..write };
    legal(&[late, read(20, 0), read(30, 1)]);
}

#[test]
fn conditional_operations_report_whether_they_held() {
    let cas = |from, to, held| call(1, (10, 20), Op::CompareAndSet { from, to }, Ret::Changed(held));
    legal(&[cas(0, 1, true), call(1, (21, 22), Op::Read, value(1))]);
    illegal(&[cas(0, 1, false)]);
    illegal(&[cas(1, 2, true)]);
    legal(&[cas(1, 2, false)]);
    let rows = |inserted, deleted| {
        [
            call(1, (1, 2), Op::Delete, CHANGED),
            call(1, (3, 4), Op::Insert(5), Ret::Changed(inserted)),
            call(1, (5, 6), Op::Delete, Ret::Changed(deleted)),
            call(1, (7, 8), Op::Write(1), Ret::Changed(false)),
            call(1, (9, 10), Op::Read, Ret::Value(None)),
        ]
    };
    legal(&rows(true, true));
    illegal(&rows(false, true));
    illegal(&rows(true, false));
}

#[test]
fn two_increments_of_one_value_are_a_lost_update() {
    let cas = |client| call(client, (10, 20), Op::CompareAndSet { from: 0, to: 1 }, CHANGED);
    illegal(&[cas(1), cas(2)]);
    legal(&[cas(1), call(2, (10, 20), Op::CompareAndSet { from: 0, to: 1 }, Ret::Changed(false))]);
}

#[test]
fn many_unknown_operations_spill_over_the_slots_and_stay_cheap() {
    let mut operations: Vec<Call> = (0..300).map(|n| crashed(n, n, Op::Write(n as i64 % 7))).collect();
    operations.push(crashed(300, 300, Op::Write(99)));
    for n in 0..50 {
        operations.push(call(999, (1000 + n * 10, 1005 + n * 10), Op::Read, value(if n < 25 { 0 } else { 99 })));
    }
    legal(&operations);
    operations.push(call(999, (5000, 5001), Op::Read, value(100)));
    assert!(!judge(&operations).is_pass());
}

/// Unknown writes of different values could precede each other in any order; only those count whose value is seen.
#[test]
fn unknown_operations_that_nobody_needs_are_not_tried() {
    let mut operations: Vec<Call> = (1..60).map(|n| crashed(n, n, Op::Write(n as i64))).collect();
    let seen = [0, 5, 5, 9, 30, 31];
    let read = |n: usize, seen| call(999, (1_000 + 10 * n as u64, 1_005 + 10 * n as u64), Op::Read, value(seen));
    operations.extend(seen.iter().enumerate().map(|(n, &seen)| read(n, seen)));
    let Verdict::Pass { comparisons } = judge(&operations) else { panic!("{:?}", judge(&operations)) };
    assert!(comparisons < 5_000, "{comparisons} configurations");
    operations.push(read(seen.len(), 5));
    assert!(illegal(&operations).message.contains('5'));
}

#[test]
fn an_exhausted_budget_is_not_a_verdict() {
    let operations: Vec<Call> = (0..12)
        .map(|n| call(n, (0, 100), Op::Write(n as i64), CHANGED))
        .chain([call(99, (0, 100), Op::Read, value(77))])
        .collect();
    assert!(matches!(check(&Register(Some(0)), &operations, 50), Verdict::GaveUp { comparisons: 50, .. }));
    assert!(illegal(&operations).message.contains("77"));
}

#[test]
fn keys_are_checked_apart() {
    #[derive(Clone, Debug, PartialEq, Hash)]
    struct Keyed(Register);
    impl Hints<Keyed> for Keyed {
        type Key = ();
    }
    impl SequentialSpec for Keyed {
        type Op = (u64, Op);
        type Ret = Ret;
        fn invoke(&mut self, op: &(u64, Op)) -> Ret {
            self.0.invoke(&op.1)
        }
    }
    let write = Operation { client: 1, invoke: 1, complete: Some(2), input: (7, Op::Write(1)), output: Some(CHANGED) };
    let read =
        |key, v| Operation { client: 1, invoke: 3, complete: Some(4), input: (key, Op::Read), output: Some(value(v)) };
    let judge = |history: &[_]| check_by_key(history, |op: &(u64, Op)| op.0, |_| Keyed(Register(Some(0))), 1000);
    assert!(judge(&[write.clone(), read(7, 1), read(8, 0)]).is_pass());
    let verdict = judge(&[write, read(7, 0)]);
    assert!(verdict.violation().unwrap().message.starts_with("key 7:"), "{verdict:?}");
}

/// All orders of all subsets that contain every completed operation.
fn brute_force(state: &Register, rest: &[Call]) -> bool {
    let known = |call: &Call| call.complete.is_some() && call.output.is_some();
    if !rest.iter().any(known) {
        return true;
    }
    (0..rest.len()).any(|at| {
        let first = &rest[at];
        if rest.iter().any(|other| known(other) && other.complete.unwrap() < first.invoke) {
            return false;
        }
        let mut after = state.clone();
        let returned = after.invoke(&first.input);
        let rest = [&rest[..at], &rest[at + 1..]].concat();
        (!known(first) || first.output == Some(returned)) && brute_force(&after, &rest)
    })
}

#[test]
fn agrees_with_brute_force() {
    let (mut passed, mut failed) = (0, 0);
    bolero::check!().with_type::<[(u8, u8, u8, u8); 6]>().with_iterations(4000).for_each(|calls| {
        let operations: Vec<Call> = calls
            .iter()
            .enumerate()
            .map(|(client, &(op, span, argument, output))| {
                let (a, b) = (i64::from(argument % 3), i64::from(argument / 3 % 3));
                let input = match op % 6 {
                    0 | 1 => Op::Read,
                    2 => Op::Write(a),
                    3 => Op::CompareAndSet { from: a, to: b },
                    4 => Op::Insert(a),
                    _ => Op::Delete,
                };
                let output = match (&input, output % 4) {
                    (Op::Read, 0) => Ret::Value(None),
                    (Op::Read, n) => value(i64::from(n) - 1),
                    (_, n) => Ret::Changed(n > 0),
                };
                let invoke = u64::from(span % 8);
                let complete = invoke + u64::from(span / 8 % 6);
                match span / 48 {
                    0 => crashed(client as u64, invoke, input),
                    _ => call(client as u64, (invoke, complete), input, output),
                }
            })
            .collect();
        let expected = brute_force(&Register(Some(0)), &operations);
        *(if expected { &mut passed } else { &mut failed }) += 1;
        assert_eq!(judge(&operations).is_pass(), expected, "{operations:#?}");
    });
    assert!(passed > 20 && failed > 20, "{passed} legal, {failed} illegal");
}
