//! Linearizability of operations on an object, decided exactly.
//!
//! A depth-first search in the line of Wing and Gong, with Lowe's memory of visited configurations ("Testing for
//! linearizability", 2017). Operations are sorted by return; a configuration is the next return, the set of pending
//! operations that took effect already, and the state of the object. Pending operations are named by slots that are
//! reused once an operation returned, so a configuration stays small however long the history is. What makes it fast:
//! states are interned and transitions computed once; the operation that returns next is tried first; of the
//! operations without known outcome ("crashed"), which stay pending for ever, only those that change the state are
//! tried, only the earliest of equal ones, none whose effect the next operation wipes out, and a configuration that used
//! up more of them than an equal one is dropped.
//!
//! The verdict is exact unless the budget of configurations runs out. Keys are independent objects: use
//! [`check_by_key`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use stateright::semantics::SequentialSpec;
use xxhash_rust::xxh3::Xxh3Default;

use crate::history::Operation;
use crate::{Verdict, Violation};

pub mod register;

/// A call of a model's object.
type Call<M> = Operation<<M as SequentialSpec>::Op, <M as SequentialSpec>::Ret>;

/// How many operations before the impossible one are shown.
const SHOWN: usize = 12;

/// Whether `operations` are linearizable with respect to `model` in its initial state, visiting at most `budget`
/// configurations.
pub fn check<M>(model: &M, operations: &[Operation<M::Op, M::Ret>], budget: u64) -> Verdict
where
    M: SequentialSpec + Clone + PartialEq + Hash,
    M::Op: Clone + Debug + PartialEq,
    M::Ret: Clone + Debug + PartialEq,
{
    let operations: Vec<_> = operations.iter().collect();
    Search::new(model, &operations).run(budget)
}

/// Checks every key's operations against its own `model`, each with its own `budget`; the history is linearizable if
/// and only if every key's is.
pub fn check_by_key<M, K>(
    operations: &[Operation<M::Op, M::Ret>],
    key: impl Fn(&M::Op) -> K,
    model: impl Fn(&K) -> M,
    budget: u64,
) -> Verdict
where
    K: Ord + Debug,
    M: SequentialSpec + Clone + PartialEq + Hash,
    M::Op: Clone + Debug + PartialEq,
    M::Ret: Clone + Debug + PartialEq,
{
    let mut parts: BTreeMap<K, Vec<&Call<M>>> = BTreeMap::new();
    for operation in operations {
        parts.entry(key(&operation.input)).or_default().push(operation);
    }
    let (mut total, mut gave_up) = (0, None);
    for (key, operations) in &parts {
        match Search::new(&model(key), operations).run(budget) {
            Verdict::Pass { comparisons } => total += comparisons,
            Verdict::Fail(mut violation) => {
                violation.message = format!("key {key:?}: {}", violation.message);
                return Verdict::Fail(violation);
            }
            Verdict::GaveUp { reason, comparisons } => {
                total += comparisons;
                gave_up.get_or_insert(format!("key {key:?}: {reason}"));
            }
        }
    }
    match gave_up {
        Some(reason) => Verdict::GaveUp { reason, comparisons: total },
        None => Verdict::Pass { comparisons: total },
    }
}

/// A set of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Slots {
    low: u128,
    /// Slots from 128 on; without trailing zeros, so that equal sets are equal.
    high: Vec<u64>,
}

impl Slots {
    fn contains(&self, slot: usize) -> bool {
        match slot.checked_sub(128) {
            None => self.low >> slot & 1 == 1,
            Some(slot) => self.high.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1),
        }
    }

    fn insert(&mut self, slot: usize) {
        match slot.checked_sub(128) {
            None => self.low |= 1 << slot,
            Some(slot) => {
                if self.high.len() <= slot / 64 {
                    self.high.resize(slot / 64 + 1, 0);
                }
                self.high[slot / 64] |= 1 << (slot % 64);
            }
        }
    }

    fn remove(&mut self, slot: usize) {
        match slot.checked_sub(128) {
            None => self.low &= !(1 << slot),
            Some(slot) => {
                if let Some(word) = self.high.get_mut(slot / 64) {
                    *word &= !(1 << (slot % 64));
                }
                while self.high.last() == Some(&0) {
                    self.high.pop();
                }
            }
        }
    }

    fn is_subset(&self, other: &Self) -> bool {
        self.low & !other.low == 0
            && self.high.len() <= other.high.len()
            && self.high.iter().zip(&other.high).all(|(a, b)| a & !b == 0)
    }
}

/// What remains to be linearized, and from where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration {
    /// How many operations have returned.
    returned: usize,
    /// The object's state.
    state: usize,
    /// The pending operations that took effect.
    done: Slots,
}

/// A configuration on the search's path.
struct Frame {
    configuration: Configuration,
    crashed: Slots,
    /// Which candidate to try next.
    next: usize,
    /// The operation that led here.
    by: Option<usize>,
    /// The state before it, if it is one without known outcome.
    unproven: Option<usize>,
}

struct Search<'a, M: SequentialSpec> {
    operations: &'a [&'a Operation<M::Op, M::Ret>],
    /// Completed operations by return.
    returns: Vec<usize>,
    /// By operation: its slot, among completed or among crashed ones.
    slots: Vec<usize>,
    /// By return: which operations may take effect before it: completed ones by return, as a range of `candidates`,
    /// and how many of `crashed`.
    pending: Vec<(std::ops::Range<usize>, usize)>,
    candidates: Vec<usize>,
    /// Operations without known outcome, by invocation.
    crashed: Vec<usize>,
    /// By place in `crashed`: the place of the one before that asks the same.
    same_before: Vec<Option<usize>>,
    states: Vec<M>,
    interned: BTreeMap<u64, Vec<usize>>,
    /// By state and operation: the state after it, if that is legal.
    transitions: BTreeMap<(usize, usize), Option<usize>>,
}

impl<'a, M> Search<'a, M>
where
    M: SequentialSpec + Clone + PartialEq + Hash,
    M::Op: Clone + Debug + PartialEq,
    M::Ret: Clone + Debug + PartialEq,
{
    fn new(model: &M, operations: &'a [&'a Operation<M::Op, M::Ret>]) -> Self {
        let complete = |at: &usize| operations[*at].complete.filter(|_| operations[*at].output.is_some());
        let mut returns: Vec<usize> = (0..operations.len()).filter(|at| complete(at).is_some()).collect();
        returns.sort_by_key(|at| (complete(at), *at));
        let mut crashed: Vec<usize> = (0..operations.len()).filter(|at| complete(at).is_none()).collect();
        crashed.sort_by_key(|at| (operations[*at].invoke, *at));
        let same_before = (0..crashed.len())
            .map(|at| {
                let input = &operations[crashed[at]].input;
                (0..at).rev().find(|before| operations[crashed[*before]].input == *input)
            })
            .collect();

        let mut slots = vec![0; operations.len()];
        for (slot, at) in crashed.iter().enumerate() {
            slots[*at] = slot;
        }
        let mut invocations = returns.clone();
        invocations.sort_by_key(|at| (operations[*at].invoke, *at));
        let mut rank = vec![0; operations.len()];
        for (at, operation) in returns.iter().enumerate() {
            rank[*operation] = at;
        }
        let (mut open, mut free, mut used) = (Vec::new(), Vec::new(), 0);
        let (mut invoked, mut invoked_crashed) = (0, 0);
        let (mut pending, mut candidates) = (Vec::with_capacity(returns.len()), Vec::new());
        for at in &returns {
            // At equal times the invocation comes first: the two are concurrent.
            let now = complete(at).unwrap_or_default();
            while let Some(&operation) = invocations.get(invoked).filter(|other| operations[**other].invoke <= now) {
                slots[operation] = free.pop().unwrap_or_else(|| {
                    used += 1;
                    used - 1
                });
                let place = open.partition_point(|other: &usize| rank[*other] < rank[operation]);
                open.insert(place, operation);
                invoked += 1;
            }
            while crashed.get(invoked_crashed).is_some_and(|other| operations[*other].invoke <= now) {
                invoked_crashed += 1;
            }
            let start = candidates.len();
            candidates.extend_from_slice(&open);
            pending.push((start..candidates.len(), invoked_crashed));
            free.push(slots[open.remove(0)]);
        }
        let mut search = Self {
            operations,
            returns,
            slots,
            pending,
            candidates,
            crashed,
            same_before,
            states: Vec::new(),
            interned: BTreeMap::new(),
            transitions: BTreeMap::new(),
        };
        search.intern(model.clone());
        search
    }

    fn run(mut self, budget: u64) -> Verdict {
        // The configurations seen, each with the minimal sets of crashed operations it was reached with.
        let mut seen: BTreeMap<Configuration, Vec<Slots>> = BTreeMap::new();
        let start = Configuration { returned: 0, state: 0, done: Slots::default() };
        let mut path =
            vec![Frame { configuration: start, crashed: Slots::default(), next: 0, by: None, unproven: None }];
        let (mut visited, mut best) = (1_u64, None::<(usize, usize, Vec<usize>)>);
        while let Some(frame) = path.last_mut() {
            let returned = frame.configuration.returned;
            if returned == self.returns.len() {
                return Verdict::Pass { comparisons: visited };
            }
            let (candidates, crashed) = self.pending[returned].clone();
            let tried = frame.next;
            if tried == candidates.len() + crashed {
                if best.as_ref().is_none_or(|(deepest, ..)| returned > *deepest) {
                    let state = frame.configuration.state;
                    best = Some((returned, state, path.iter().filter_map(|frame| frame.by).collect()));
                }
                path.pop();
                continue;
            }
            frame.next += 1;
            let unproven = frame.unproven;
            let (mut configuration, mut used) = (frame.configuration.clone(), frame.crashed.clone());
            let operation = if tried < candidates.len() {
                let operation = self.candidates[candidates.start + tried];
                if configuration.done.contains(self.slots[operation]) {
                    continue;
                }
                operation
            } else {
                let place = tried - candidates.len();
                if used.contains(place) || self.same_before[place].is_some_and(|before| !used.contains(before)) {
                    continue;
                }
                self.crashed[place]
            };
            let Some(state) = self.step(configuration.state, operation) else { continue };
            // What nobody needs has not happened: the same follows without the operation of unknown outcome before.
            if unproven.is_some_and(|before| self.step(before, operation) == Some(state)) {
                continue;
            }
            let before = configuration.state;
            if tried < candidates.len() {
                configuration.done.insert(self.slots[operation]);
            } else if state == configuration.state {
                continue;
            } else {
                used.insert(self.slots[operation]);
            }
            configuration.state = state;
            while let Some(slot) = self
                .returns
                .get(configuration.returned)
                .map(|at| self.slots[*at])
                .filter(|s| configuration.done.contains(*s))
            {
                configuration.done.remove(slot);
                configuration.returned += 1;
            }
            let known = seen.entry(configuration.clone()).or_default();
            if known.iter().any(|other| other.is_subset(&used)) {
                continue;
            }
            known.retain(|other| !used.is_subset(other));
            known.push(used.clone());
            visited += 1;
            if visited > budget {
                let reason = format!("more than {budget} configurations");
                return Verdict::GaveUp { reason, comparisons: visited };
            }
            let unproven = (tried >= candidates.len()).then_some(before);
            path.push(Frame { configuration, crashed: used, next: 0, by: Some(operation), unproven });
        }
        match best {
            Some((returned, state, path)) => Verdict::Fail(self.explain(returned, state, &path)),
            None => Verdict::Pass { comparisons: visited },
        }
    }

    /// The state after `operation`, unless it cannot have returned what it did.
    fn step(&mut self, state: usize, operation: usize) -> Option<usize> {
        if let Some(known) = self.transitions.get(&(state, operation)) {
            return *known;
        }
        let Operation { complete, input, output, .. } = self.operations[operation];
        let mut model = self.states[state].clone();
        let returned = model.invoke(input);
        // Without a completion time, an answer that is there nevertheless says nothing.
        let legal = complete.is_none() || output.as_ref().is_none_or(|output| *output == returned);
        let after = legal.then(|| self.intern(model));
        self.transitions.insert((state, operation), after);
        after
    }

    fn intern(&mut self, state: M) -> usize {
        let mut hasher = Xxh3Default::new();
        state.hash(&mut hasher);
        let same = self.interned.entry(hasher.finish()).or_default();
        if let Some(known) = same.iter().find(|known| self.states[**known] == state) {
            return *known;
        }
        same.push(self.states.len());
        self.states.push(state);
        self.states.len() - 1
    }

    fn explain(&self, returned: usize, state: usize, path: &[usize]) -> Violation {
        let stuck = self.operations[self.returns[returned]];
        let expected = self.states[state].clone().invoke(&stuck.input);
        let show = |operation: &Operation<M::Op, M::Ret>| {
            let output = operation.output.as_ref().filter(|_| operation.complete.is_some());
            let output = output.map_or("unknown".into(), |output| format!("{output:?}"));
            let complete = operation.complete.map_or("?".into(), |time| time.to_string());
            let Operation { client, invoke, input, .. } = operation;
            format!("client {client} [{invoke}, {complete}] {input:?} -> {output}")
        };
        let mut evidence = Vec::new();
        if path.len() > SHOWN {
            evidence.push(format!("after {} earlier operations:", path.len() - SHOWN));
        }
        evidence.extend(path[path.len().saturating_sub(SHOWN)..].iter().map(|at| show(self.operations[*at])));
        evidence.push(format!("cannot be placed: {}", show(stuck)));
        evidence.push(format!("after the longest legal order it would have returned {expected:?}"));
        Violation {
            checker: "linearizability",
            anomaly: "not-linearizable".into(),
            message: format!("no order of the operations explains {}", show(stuck)),
            evidence,
            at: stuck.complete,
        }
    }
}

#[cfg(test)]
mod tests;
