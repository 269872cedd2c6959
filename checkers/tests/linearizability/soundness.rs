//! Compares the search under every pruning with brute force and with stateright's tester.

use checkers::history::Operation;
use checkers::linearizability::minimal::{Drop, minimal};
use checkers::linearizability::online::{Fault, Monitor};
use checkers::linearizability::partial::{moments, partials};
use checkers::linearizability::tester::Tester;
use checkers::linearizability::{Decision, Hints, Options, Order, Prunings, decide};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use super::histories::{Asked, Dice, History, brute_force, history};
use checkers::linearizability::{cas_register, counter, key_value, multi_register, mutex, queue, register, set};

/// How many histories were compared, and how many of them were legal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// All.
    pub histories: u64,
    /// Those with an order.
    pub legal: u64,
    /// Those with a crashed operation.
    pub crashed: u64,
    /// How many verdicts were compared with brute force.
    pub verdicts: u64,
}

/// Everything on, everything off, each pruning off alone, and each on alone.
pub fn variants() -> Vec<Prunings> {
    let switches: [fn(&mut Prunings, bool); 7] = [
        |prunings, on| prunings.read_only = on,
        |prunings, on| prunings.symmetry = on,
        |prunings, on| prunings.dominance = on,
        |prunings, on| prunings.unneeded = on,
        |prunings, on| prunings.lookahead = on,
        |prunings, on| prunings.independence = on,
        |prunings, on| prunings.order = if on { Order::Return } else { Order::Call },
    ];
    let mut variants = vec![Prunings::ALL, Prunings::NONE];
    for (start, on) in [(Prunings::ALL, false), (Prunings::NONE, true)] {
        for switch in switches {
            let mut prunings = start;
            switch(&mut prunings, on);
            variants.push(prunings);
        }
    }
    variants
}

/// Compares history number `seed`, with `all` variants or a few, of the model whose turn it is.
pub fn compare(seed: u64, all: bool, tally: &mut Tally) {
    match seed % 9 {
        0 => one::<register::Register>(seed, all, tally),
        1 => one::<cas_register::CasRegister>(seed, all, tally),
        2 => one::<key_value::KeyValue>(seed, all, tally),
        3 => one::<multi_register::MultiRegister>(seed, all, tally),
        4 => one::<mutex::Mutex>(seed, all, tally),
        5 => one::<queue::Queue>(seed, all, tally),
        6 => one::<set::Set>(seed, all, tally),
        7 => one::<counter::Counter>(seed, all, tally),
        _ => one::<super::histories::Unique>(seed, all, tally),
    }
}

fn one<M: Asked + Hints<M>>(seed: u64, all: bool, tally: &mut Tally) {
    let mut dice = Dice::new(seed);
    let model = M::initial(&mut dice);
    let operations = history(&model, 7, &mut dice);
    let expected = brute_force(&model, &operations.iter().collect::<Vec<_>>());
    tally.histories += 1;
    tally.legal += u64::from(expected);
    tally.crashed += u64::from(operations.iter().any(|one| one.output.is_none()));
    let say =
        |what: &str| format!("history {seed}: {what}, and brute force says {expected}: {model:?} {operations:#?}");

    let variants = variants();
    let some = [0, 1, 2 + dice.below(7) as usize, 9 + dice.below(7) as usize];
    let chosen: Vec<usize> = if all { (0..variants.len()).collect() } else { some.to_vec() };
    for (turn, at) in chosen.into_iter().enumerate() {
        let prunings = variants[at];
        let split = (seed / 9 + turn as u64).is_multiple_of(2);
        let options = Options { prunings, split, special: split, verify: true, ..Options::default() };
        let decision = decide::<M, M>(&model, &operations, &options);
        assert_eq!(decision.is_linearizable(), expected, "{}", say(&format!("{prunings:?} says {decision:?}")));
        witness(&model, &operations, &decision);
        tally.verdicts += 1;
    }
    let options = Options { verify: true, ..Options::default() };
    let plain = decide::<M, ()>(&model, &operations, &options);
    assert_eq!(plain.is_linearizable(), expected, "{}", say("without hints it is otherwise"));
    tally.verdicts += 1;
    assert_eq!(stateright(&model, &operations), expected, "{}", say("stateright says otherwise"));
    tally.verdicts += 1;
    others(&model, &operations, expected, &say);
    tally.verdicts += 2;
}

/// Compares the tester, the monitor, the cores and the partial orders.
fn others<M: Asked + Hints<M>>(model: &M, operations: &History<M>, expected: bool, say: &dyn Fn(&str) -> String) {
    let mut tester = Tester::<u64, M, M>::new(model.clone());
    feed(&mut tester, operations);
    assert_eq!(tester.is_consistent(), expected, "{}", say("the tester says otherwise"));

    let options = Options { split: false, verify: true, ..Options::default() };
    let decision = decide::<M, M>(model, operations, &options);
    assert_eq!(monitor(model, operations), decision.illegal().map(|illegal| illegal.stuck), "{}", say("the monitor"));

    let found = partials::<M, M>(model, operations, &options);
    assert!(found.complete);
    for (at, longest) in found.longest.iter().enumerate() {
        let Some(order) = longest.map(|longest| &found.orders[longest]) else { continue };
        assert!(order.contains(&at), "{}", say("an order without its operation"));
        assert!(legal(model, operations, order), "{}", say("an order that is not legal"));
        let moments = moments(operations, order);
        let spans = order.iter().zip(&moments).all(|(at, moment)| {
            let Operation { invoke, complete, output, .. } = &operations[*at];
            invoke <= moment && (output.is_none() || complete.is_none_or(|complete| *moment <= complete))
        });
        assert!(spans && moments.is_sorted(), "{}", say("a moment outside of the operation's span"));
    }

    let Some(illegal) = decision.illegal() else { return };
    for drop in [Drop::Forget, Drop::Delete] {
        let core = minimal::<M, M>(model, operations, illegal, drop, (&options, 1000));
        assert!(core.minimal, "{}", say("a core that is not minimal"));
        let with = |kept: &dyn Fn(usize) -> bool| {
            let mut rest: History<M> = Vec::new();
            for (at, operation) in operations.iter().enumerate() {
                let mut operation = operation.clone();
                if core.possible.contains(&at) || core.operations.contains(&at) && !kept(at) && drop == Drop::Forget {
                    operation.output = None;
                } else if !core.operations.contains(&at) || !kept(at) {
                    continue;
                }
                rest.push(operation);
            }
            brute_force(model, &rest.iter().collect::<Vec<_>>())
        };
        assert!(!with(&|_| true), "{}", say(&format!("{drop:?}: {core:?} is legal")));
        for &dropped in &core.operations {
            assert!(with(&|at| at != dropped), "{}", say(&format!("{drop:?}: {core:?} needs no {dropped}")));
        }
    }
}

/// Whether the model answers so in this order, and no operation comes before one that had returned when it was called.
fn legal<M: Asked>(model: &M, operations: &History<M>, order: &[usize]) -> bool {
    let known = |at: usize| operations[at].output.is_some() && operations[at].complete.is_some();
    let mut state = model.clone();
    order.iter().enumerate().all(|(place, &at)| {
        let answer = state.invoke(&operations[at].input);
        let late = |before: usize| {
            known(before)
                && operations[before].complete < Some(operations[at].invoke)
                && !order[..place].contains(&before)
        };
        (!known(at) || operations[at].output == Some(answer)) && !(0..operations.len()).any(late)
    })
}

/// What the monitor cannot explain.
fn monitor<M: Asked + Hints<M>>(model: &M, operations: &History<M>) -> Option<usize> {
    let mut monitor = Monitor::<M, M>::new(model.clone(), 100_000);
    for (_, returned, at) in events(operations) {
        let Operation { client, input, output, .. } = &operations[at];
        let result = match output {
            _ if !returned => monitor.invoke(*client, input.clone()),
            None => monitor.crash(*client),
            Some(ret) => monitor.respond(*client, ret),
        };
        match result {
            Ok(()) => {}
            Err(Fault::Illegal(_)) => return Some(at),
            Err(fault) => panic!("{fault:?}"),
        }
    }
    None
}

/// Calls (`false`) and returns (`true`) of the operations by time, calls first.
fn events<I, O>(operations: &[Operation<I, O>]) -> Vec<(u64, bool, usize)> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        events.push((operation.invoke, false, at));
        events.extend(operation.complete.map(|complete| (complete, true, at)));
    }
    events.sort_unstable();
    events
}

fn feed<M: Asked, T: ConsistencyTester<u64, M>>(tester: &mut T, operations: &History<M>) {
    for (_, returned, at) in events(operations) {
        let Operation { client, input, output, .. } = &operations[at];
        match output.clone() {
            _ if !returned => tester.on_invoke(*client, input.clone()).map(|_| ()),
            Some(output) => tester.on_return(*client, output).map(|_| ()),
            None => Ok(()),
        }
        .expect("a well-formed history");
    }
}

/// Checks what comes with a verdict against brute force.
fn witness<M: Asked + Hints<M>>(model: &M, operations: &History<M>, decision: &Decision<M>) {
    let known = |at: usize| operations[at].output.is_some() && operations[at].complete.is_some();
    match decision {
        Decision::Linearizable { order, .. } => {
            let mut state = model.clone();
            let mut seen = vec![false; operations.len()];
            for (place, &at) in order.iter().enumerate() {
                assert!(!std::mem::replace(&mut seen[at], true), "each once");
                let answer = state.invoke(&operations[at].input);
                assert!(!known(at) || operations[at].output == Some(answer), "{order:?} {operations:#?}");
                for &later in &order[place + 1..] {
                    assert!(
                        !known(later) || operations[later].complete >= Some(operations[at].invoke),
                        "{later} had returned before {at}: {order:?} {operations:#?}"
                    );
                }
            }
            assert!((0..operations.len()).all(|at| seen[at] || !known(at)), "all that returned");
        }
        Decision::Illegal(illegal) => {
            // The prefix until just before the return has an order, and with the return it has none.
            let until = |last: (Option<u64>, usize), with: bool| {
                let mut prefix: History<M> = operations.clone();
                for (at, one) in prefix.iter_mut().enumerate() {
                    let returned = (one.complete, at);
                    if returned > last || returned == last && !with {
                        one.output = None;
                    }
                }
                prefix.retain(|one| Some(one.invoke) <= last.0);
                brute_force(model, &prefix.iter().collect::<Vec<_>>())
            };
            let last = (operations[illegal.stuck].complete, illegal.stuck);
            if illegal.part.is_none() {
                assert!(until(last, false), "the prefix has an order: {illegal:?} {operations:#?}");
                assert!(!until(last, true), "none with the stuck operation: {illegal:?} {operations:#?}");
            }
            assert!(!illegal.frontier.is_empty());
            for frontier in &illegal.frontier {
                assert_ne!(Some(&frontier.answer), operations[illegal.stuck].output.as_ref(), "{operations:#?}");
            }
        }
        Decision::Unknown { why, .. } => panic!("{why}"),
    }
}

/// What stateright's tester says. Calls come before returns at equal times.
fn stateright<M: Asked>(model: &M, operations: &History<M>) -> bool {
    let mut tester = LinearizabilityTester::new(model.clone());
    feed(&mut tester, operations);
    tester.is_consistent()
}
