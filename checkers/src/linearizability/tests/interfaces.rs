//! Budgets, turns, the tester and the monitor.

use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::vec::{VecOp, VecRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::history::Operation;
use crate::linearizability::cas_register::{CasRegister, Op, Ret};
use crate::linearizability::key_value::{self, KeyValue};
use crate::linearizability::known::Known;
use crate::linearizability::online::{Fault, Monitor};
use crate::linearizability::tester::Tester;
use crate::linearizability::{Decision, Hints, Options, decide, decide_until};

/// Puts of different values that all overlap, and a get of what nobody put.
fn hopeless(key: &str, puts: u64) -> Vec<Operation<key_value::Op, key_value::Ret>> {
    let key = || key.to_owned();
    let put = |n: u64| Operation {
        client: n,
        invoke: 0,
        complete: Some(100 + n),
        input: key_value::Op::Put { key: key(), value: n.to_string() },
        output: Some(key_value::Ret::Done),
    };
    let get = Operation {
        client: puts,
        invoke: 1000,
        complete: Some(1001),
        input: key_value::Op::Get { key: key() },
        output: Some(key_value::Ret::Value("nobody's".to_owned())),
    };
    (0..puts).map(put).chain([get]).collect()
}

/// Nothing is seen of the future.
fn blind() -> Options {
    let mut options = Options::default();
    options.prunings.lookahead = false;
    options
}

#[test]
fn parts_take_turns_so_that_a_bad_one_is_found_early() {
    let operations = [hopeless("a", 13), hopeless("b", 2)].concat();
    let decision = decide::<KeyValue, KeyValue>(&KeyValue::default(), &operations, &blind());
    let illegal = decision.illegal().unwrap();
    assert_eq!((illegal.part.as_deref(), illegal.stuck), (Some("\"b\""), 16));
    assert!(illegal.explored < 1000, "{}", illegal.explored);
    let alone = decide::<KeyValue, KeyValue>(&KeyValue::default(), &operations[..14], &blind());
    assert!(alone.illegal().unwrap().explored > 20_000, "the other is expensive");
}

#[test]
fn whatever_runs_out_is_named() {
    let operations = hopeless("a", 13);
    let unknown = |options: &Options, stop: &mut dyn FnMut() -> bool| match decide_until::<KeyValue, KeyValue>(
        &KeyValue::default(),
        &operations,
        options,
        stop,
    ) {
        Decision::Unknown { why, explored } => (why, explored),
        other => panic!("{other:?}"),
    };
    let (why, explored) = unknown(&Options { configurations: 1000, ..blind() }, &mut || false);
    assert_eq!((why.as_str(), explored), ("key \"a\": more than 1000 configurations", 1000));
    let (why, explored) = unknown(&Options { bytes: 1 << 20, ..blind() }, &mut || false);
    assert_eq!(why, "key \"a\": more than 1048576 bytes");
    assert!(explored < 40_000, "{explored}");
    let mut asked = 0;
    let (why, explored) = unknown(&blind(), &mut || {
        asked += 1;
        asked == 3
    });
    assert_eq!(why, "key \"a\": no more time");
    assert!(explored < 40_000, "{explored}");
    // The look-ahead sees at once that nothing can come of it.
    let decision = decide::<KeyValue, KeyValue>(&KeyValue::default(), &operations, &Options::default());
    assert!(decision.illegal().unwrap().explored < 100);
}

#[derive(Debug)]
struct Wrong;

impl Hints<CasRegister> for Wrong {
    type Key = ();

    fn read_only(_: &Op, _: Option<&Ret>) -> bool {
        true
    }
}

#[test]
#[should_panic(expected = "was declared to be read-only, but changed the state")]
fn wrong_declarations_are_found_out() {
    let (input, output) = (Op::Write(1), Some(Ret::Written));
    let operations = [Operation { client: 0, invoke: 0, complete: Some(1), input, output }];
    decide::<CasRegister, Wrong>(&CasRegister(None), &operations, &Options { verify: true, ..Options::default() });
}

#[test]
fn the_tester_stands_in_for_staterights() {
    fn both<S: crate::linearizability::Model>(initial: S, events: &[(u8, Result<S::Op, S::Ret>)]) -> bool
    where
        Known: Hints<S>,
    {
        let mut theirs = LinearizabilityTester::new(initial.clone());
        let (mut ours, mut told) = (Tester::<u8, S>::new(initial.clone()), Tester::<u8, S, Known>::new(initial));
        for (thread, event) in events {
            let ok = match event.clone() {
                Ok(op) => {
                    theirs.on_invoke(*thread, op.clone()).is_ok()
                        && ours.on_invoke(*thread, op.clone()).is_ok()
                        && told.on_invoke(*thread, op).is_ok()
                }
                Err(ret) => {
                    theirs.on_return(*thread, ret.clone()).is_ok()
                        && ours.on_return(*thread, ret.clone()).is_ok()
                        && told.on_return(*thread, ret).is_ok()
                }
            };
            assert!(ok);
        }
        assert_eq!(ours.len(), theirs.len());
        assert_eq!(ours.is_consistent(), theirs.is_consistent());
        assert_eq!(told.is_consistent(), theirs.is_consistent());
        assert_eq!(ours.serialized_history().is_some(), theirs.serialized_history().is_some());
        theirs.is_consistent()
    }
    let (write, read) = (|value| Ok(RegisterOp::Write(value)), || Ok(RegisterOp::Read));
    let (written, value) = (|| Err(RegisterRet::WriteOk), |value| Err(RegisterRet::ReadOk(value)));
    assert!(both(Register('A'), &[(0, write('B')), (1, read()), (1, value('A'))]));
    assert!(both(Register('A'), &[(0, read()), (1, write('B')), (0, value('B'))]));
    assert!(!both(Register('A'), &[(0, read()), (0, value('B')), (1, write('B'))]));
    assert!(!both(Register('A'), &[(1, write('B')), (1, written()), (0, read()), (0, value('A'))]));
    let (push, pop) = (|value| Ok(VecOp::Push(value)), || Ok(VecOp::Pop));
    let popped = |value| Err(VecRet::PopOk(value));
    assert!(both(Vec::new(), &[(0, push(10)), (1, pop()), (1, popped(Some(10)))]));
    assert!(both(Vec::new(), &[(0, push(10)), (1, pop()), (1, popped(None)), (1, Ok(VecOp::Len))]));
    assert!(!both(Vec::new(), &[(1, pop()), (1, popped(Some(10))), (0, push(10))]));
}

#[test]
fn the_tester_refuses_what_is_no_history() {
    let mut tester = Tester::<u8, _>::new(Register('A'));
    assert!(tester.is_empty() && tester.is_consistent());
    tester.on_invoke(1, RegisterOp::Read).unwrap();
    assert!(tester.on_invoke(1, RegisterOp::Read).unwrap_err().contains("in flight already"));
    assert!(tester.on_return(1, RegisterRet::WriteOk).unwrap_err().contains("no history already"));
    assert!(!tester.is_consistent() && tester.serialized_history().is_none());
    let mut tester = Tester::<u8, _>::new(Register('A'));
    assert!(tester.on_return(1, RegisterRet::WriteOk).unwrap_err().contains("no operation in flight"));
}

#[test]
fn testers_with_equal_histories_are_equal() {
    let tester = |events: &[(u8, bool)]| {
        let mut tester = Tester::<u8, _>::new(Register('A'));
        for &(thread, invoke) in events {
            if invoke {
                tester.on_invoke(thread, RegisterOp::Read).unwrap();
            } else {
                tester.on_return(thread, RegisterRet::ReadOk('A')).unwrap();
            }
        }
        tester
    };
    let first = tester(&[(1, true), (2, true), (1, false), (2, false), (3, true)]);
    assert_eq!(first, tester(&[(2, true), (1, true), (2, false), (1, false), (3, true)]));
    assert_ne!(first, tester(&[(1, true), (2, true), (1, false), (3, true), (2, false)]));
    assert_ne!(first, tester(&[(1, true), (1, false), (2, true), (2, false), (3, true)]));
}

#[test]
fn a_monitor_holds_no_more_than_what_is_pending() {
    let mut monitor = Monitor::<CasRegister, CasRegister>::new(CasRegister(None), 10_000);
    let mut register = CasRegister(None);
    let (mut word, mut most) = (1_u64, 0);
    for serial in 0..60_000 {
        // Three clients call, two take effect and return, and the third gives up now and then; a write of its is
        // forgotten when a read has seen it.
        let ops = [Op::Write(serial), Op::Read, Op::Write(-serial)];
        for (client, op) in ops.iter().enumerate() {
            monitor.invoke(client as u64, op.clone()).unwrap();
        }
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut order = [0, 1];
        if word >> 60 & 1 == 1 {
            order = [1, 0];
        }
        for client in order {
            let answer = register.invoke(&ops[client]);
            monitor.respond(client as u64, &answer).unwrap();
        }
        let answer = register.invoke(&ops[2]);
        if word >> 40 & 15 == 0 {
            monitor.crash(2).unwrap();
            monitor.invoke(3, Op::Read).unwrap();
            monitor.respond(3, &Ret::Value(Some(-serial))).unwrap();
        } else {
            monitor.respond(2, &answer).unwrap();
        }
        let holding = monitor.holding();
        assert!(holding.configurations < 20 && holding.slots <= 5, "{serial}: {holding:?}");
        assert!(holding.states < 1200 && holding.transitions < 12_000, "{serial}: {holding:?}");
        most = most.max(holding.states);
    }
    assert!(most > 1000, "there was something to collect");
    monitor.invoke(7, Op::Read).unwrap();
    let Err(Fault::Illegal(frontier)) = monitor.respond(7, &Ret::Value(None)) else { panic!("illegal") };
    assert!(frontier.iter().any(|one| one.answer == Ret::Value(register.0)), "{frontier:?}");
    assert_eq!(monitor.invoke(8, Op::Read), Err(Fault::Over));
}

#[test]
fn a_monitor_refuses_what_is_no_history_and_what_is_too_much() {
    let new = |most| Monitor::<CasRegister, CasRegister>::new(CasRegister(None), most);
    let mut monitor = new(100);
    monitor.invoke(1, Op::Read).unwrap();
    assert_eq!(monitor.invoke(1, Op::Read), Err(Fault::Open));
    assert_eq!(monitor.respond(1, &Ret::Value(None)), Err(Fault::Over));
    assert_eq!(new(100).respond(1, &Ret::Written), Err(Fault::NotOpen));
    assert_eq!(new(100).crash(1), Err(Fault::NotOpen));
    let mut monitor = new(100);
    for client in 0..10 {
        monitor.invoke(client, Op::Write(client as i64)).unwrap();
    }
    assert_eq!(monitor.respond(1, &Ret::Written), Err(Fault::Full));
}
