//! What to show of a history that is not linearizable, and how to be sure of one that is.

use std::collections::BTreeMap;

use super::decide::{Part, search};
use super::model::{Hints, Model};
use super::plan::Call;
use super::search::Progress;
use super::unique::{self, Unique};
use super::{Decision, Frontier, Illegal, Operation, Options, Prunings, Verdict, Violation};

/// How many operations before the impossible one are shown.
const SHOWN: usize = 12;
/// How many states of the frontier are kept.
const STATES: usize = 64;
/// How many configurations may be explored to find all states of the frontier.
const FRONTIER: u64 = 20_000;

/// Asserts that an order is legal: the bare model answers as it did, and no operation comes before one that had returned
/// when it was called.
pub(super) fn replay<'a, M: Model + 'a>(model: &M, order: impl Iterator<Item = &'a Call<'a, M>>, calls: usize) {
    let (mut model, mut now, mut seen) = (model.clone(), 0, 0);
    for call in order {
        now = now.max(call.invoke);
        seen += 1;
        match call.ret {
            Some(ret) => {
                assert!(model.is_valid_step(call.op, ret), "{:?} -> {ret:?} is not legal where it was placed", call.op);
                assert!(now <= call.complete, "{:?} -> {ret:?} was placed after its return", call.op);
            }
            None => {
                model.invoke(call.op);
            }
        }
    }
    assert!(seen <= calls, "an operation was placed twice");
}

/// The calls of the history's prefix up to and with the return of `last`, in the order of returns. What returned later is
/// of unknown outcome.
fn prefix<'a, M: Model>(calls: &[Call<'a, M>], last: &Call<'a, M>) -> Vec<Call<'a, M>> {
    let until = (last.complete, last.place);
    let called = calls.iter().filter(|call| call.invoke <= last.complete);
    called.map(|call| if (call.complete, call.place) <= until { *call } else { call.crashed() }).collect()
}

/// Finds the shortest prefix that has no order. `deepest` returns are known to be explained.
pub(super) fn illegal<M: Model, H: Hints<M>>(
    part: &Part<'_, M>,
    deepest: usize,
    explored: u64,
    options: &Options,
) -> Illegal<M> {
    let mut returns: Vec<Call<'_, M>> = part.calls.iter().filter(|call| call.ret.is_some()).copied().collect();
    returns.sort_by_key(|call| (call.complete, call.place));
    let deepest = deepest.min(returns.len() - 1);
    if !options.evidence {
        let (stuck, part) = (returns[deepest].place, part.name.clone());
        return Illegal { stuck, part, prefix: Vec::new(), frontier: Vec::new(), complete: false, explored };
    }
    // What a prefix costs is about what the whole did; what costs more than ten times that is not worth it.
    let budget = explored.saturating_mul(10).saturating_add(10_000).min(options.configurations);
    let explained = |at: usize| {
        let calls = prefix(&part.calls, &returns[at]);
        match if options.special { unique::decide::<M, H>(&part.model, &calls) } else { Unique::Other } {
            Unique::Legal(_) => true,
            Unique::Illegal => false,
            Unique::Other => {
                search::<M, H>(&part.model, &calls, options.prunings, options.verify).run(budget) != Progress::Illegal
            }
        }
    };
    // The whole is illegal, so the last return is an upper bound; the first guess is that the search stopped there.
    let (mut good, mut bad, mut step) = (deepest, returns.len() - 1, 1);
    let mut guess = deepest;
    while good < bad {
        if explained(guess) {
            good = guess + 1;
            guess = (guess + step).min(good + (bad - good) / 2);
            step *= 2;
        } else {
            bad = guess;
            guess = good + (bad - good) / 2;
        }
    }
    let stuck = returns[bad];
    let (prefix, states, complete) = frontier::<M, H>(part, &returns, bad, budget, options);
    let states = states.into_iter().take(STATES);
    let frontier = states.map(|state| Frontier { answer: state.clone().invoke(stuck.op), state }).collect::<Vec<_>>();
    Illegal { stuck: stuck.place, part: part.name.clone(), prefix, frontier, complete, explored }
}

/// A legal order of what returned before `returns[bad]`, and the states in which such orders end.
fn frontier<M: Model, H: Hints<M>>(
    part: &Part<'_, M>,
    returns: &[Call<'_, M>],
    bad: usize,
    budget: u64,
    options: &Options,
) -> (Vec<usize>, Vec<M>, bool) {
    let calls = prefix(&part.calls, &returns[bad]);
    // Without the look-ahead, which would cut all that lead to what cannot be placed.
    let prunings = Prunings { lookahead: false, ..options.prunings };
    let mut all = search::<M, H>(&part.model, &calls, prunings, options.verify);
    all.want(bad);
    if all.run(FRONTIER.min(budget)) == Progress::Illegal
        && let Some(order) = all.wanted()
    {
        return (order, all.frontier(bad), true);
    }
    let Some(last) = bad.checked_sub(1) else { return (Vec::new(), vec![part.model.clone()], false) };
    let calls = prefix(&part.calls, &returns[last]);
    let special = if options.special { unique::decide::<M, H>(&part.model, &calls) } else { Unique::Other };
    let order = if let Unique::Legal(order) = special {
        order
    } else {
        let mut one = search::<M, H>(&part.model, &calls, options.prunings, options.verify);
        if one.run(budget) != Progress::Legal {
            return (Vec::new(), Vec::new(), false);
        }
        one.order()
    };
    let mut state = part.model.clone();
    let ops: BTreeMap<usize, &M::Op> = calls.iter().map(|call| (call.place, call.op)).collect();
    // The operation itself may have to be in that order, with another answer: then what matters is the state before it.
    for place in order.iter().take_while(|place| **place != returns[bad].place) {
        if let Some(op) = ops.get(place) {
            state.invoke(op);
        }
    }
    (order, vec![state], false)
}

/// A decision as the verdict of a checker.
pub(super) fn verdict<M: Model>(operations: &[Operation<M::Op, M::Ret>], decision: Decision<M>) -> Verdict {
    match decision {
        Decision::Linearizable { explored, .. } => Verdict::Pass { comparisons: explored },
        Decision::Unknown { why, explored } => Verdict::GaveUp { reason: why, comparisons: explored },
        Decision::Illegal(illegal) => Verdict::Fail(violation(operations, &illegal)),
    }
}

fn violation<M: Model>(operations: &[Operation<M::Op, M::Ret>], illegal: &Illegal<M>) -> Violation {
    let Illegal { stuck, part, prefix, frontier, complete, .. } = illegal;
    let show = |operation: &Operation<M::Op, M::Ret>| {
        let output = operation.output.as_ref().filter(|_| operation.complete.is_some());
        let output = output.map_or("unknown".into(), |output| format!("{output:?}"));
        let complete = operation.complete.map_or("?".into(), |time| time.to_string());
        let Operation { client, invoke, input, .. } = operation;
        format!("client {client} [{invoke}, {complete}] {input:?} -> {output}")
    };
    let mut evidence = Vec::new();
    if prefix.len() > SHOWN {
        evidence.push(format!("after {} earlier operations:", prefix.len() - SHOWN));
    }
    evidence.extend(prefix[prefix.len().saturating_sub(SHOWN)..].iter().map(|at| show(&operations[*at])));
    evidence.push(format!("cannot be placed: {}", show(&operations[*stuck])));
    let mut answers: Vec<String> = Vec::new();
    for Frontier { answer, .. } in frontier {
        let answer = format!("{answer:?}");
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    let (last, others) = (answers.pop(), answers);
    if let Some(last) = last {
        let answers = if others.is_empty() { last } else { format!("{} or {last}", others.join(", ")) };
        let after = if *complete { "every longest legal order" } else { "a longest legal order" };
        evidence.push(format!("after {after} it would have returned {answers}"));
    }
    let key = part.as_ref().map(|part| format!("key {part}: ")).unwrap_or_default();
    Violation {
        checker: "linearizability",
        anomaly: "not-linearizable".into(),
        message: format!("{key}no order of the operations explains {}", show(&operations[*stuck])),
        evidence,
        at: operations[*stuck].complete,
    }
}
