//! Models that only recorded histories need: many objects by key, and a set whose adds say no more than that they are done.

use std::collections::BTreeMap;

use stateright::semantics::SequentialSpec;

use crate::linearizability::set::{Op, Ret, Set};
use crate::linearizability::{Hints, Model, Role};

/// One object for every key, each beginning alike. Calls without a key share one object.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Keyed<M> {
    initial: M,
    /// The objects that are no longer in their initial state.
    changed: BTreeMap<Option<u64>, M>,
}

impl<M> Keyed<M> {
    pub(super) fn new(initial: M) -> Self {
        Self { initial, changed: BTreeMap::new() }
    }

    /// The object of a key.
    pub(super) fn at(&self, key: Option<u64>) -> &M {
        self.changed.get(&key).unwrap_or(&self.initial)
    }
}

impl<M: Model> SequentialSpec for Keyed<M> {
    type Op = (Option<u64>, M::Op);
    type Ret = M::Ret;

    fn invoke(&mut self, (key, op): &Self::Op) -> M::Ret {
        let mut object = self.at(*key).clone();
        let ret = object.invoke(op);
        self.set(*key, object);
        ret
    }

    fn is_valid_step(&mut self, (key, op): &Self::Op, ret: &M::Ret) -> bool {
        let mut object = self.at(*key).clone();
        let valid = object.is_valid_step(op, ret);
        self.set(*key, object);
        valid
    }
}

impl<M: Model> Keyed<M> {
    /// A state has one form only: what is as at first is not kept.
    fn set(&mut self, key: Option<u64>, object: M) {
        if object == self.initial {
            self.changed.remove(&key);
        } else {
            self.changed.insert(key, object);
        }
    }
}

impl<M: Model + Hints<M>> Hints<Self> for Keyed<M> {
    type Key = Option<u64>;

    fn key((key, _): &(Option<u64>, M::Op)) -> Option<Option<u64>> {
        Some(*key)
    }

    fn read_only((_, op): &(Option<u64>, M::Op), ret: Option<&M::Ret>) -> bool {
        M::read_only(op, ret)
    }

    fn observer((_, op): &(Option<u64>, M::Op)) -> bool {
        M::observer(op)
    }

    fn reset((_, op): &(Option<u64>, M::Op)) -> bool {
        M::reset(op)
    }

    fn reach(state: &Self, (key, op): &(Option<u64>, M::Op), ret: &M::Ret) -> bool {
        M::reach(state.at(*key), op, ret)
    }

    /// Holds for each key apart: keys that are not checked apart must not be checked as registers.
    fn role((_, op): &(Option<u64>, M::Op), ret: Option<&M::Ret>) -> Role {
        M::role(op, ret)
    }

    fn bytes(state: &Self) -> usize {
        state.changed.values().map(|object| M::bytes(object) + 64).sum::<usize>() + M::bytes(&state.initial)
    }
}

/// A set of which some answers are not known: `None` says only that the operation is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RecordedSet(pub Set);

impl SequentialSpec for RecordedSet {
    type Op = Op;
    type Ret = Option<Ret>;

    fn invoke(&mut self, op: &Op) -> Option<Ret> {
        Some(self.0.invoke(op))
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Option<Ret>) -> bool {
        let answer = self.0.invoke(op);
        ret.as_ref().is_none_or(|ret| *ret == answer)
    }
}

impl Hints<Self> for RecordedSet {
    type Key = <Set as Hints<Set>>::Key;

    fn key(op: &Op) -> Option<Self::Key> {
        Set::key(op)
    }

    fn read_only(op: &Op, ret: Option<&Option<Ret>>) -> bool {
        Set::read_only(op, ret.and_then(Option::as_ref))
    }

    fn observer(op: &Op) -> bool {
        Set::observer(op)
    }

    fn reset(op: &Op) -> bool {
        Set::reset(op)
    }

    fn reach(state: &Self, op: &Op, ret: &Option<Ret>) -> bool {
        ret.as_ref().is_none_or(|ret| Set::reach(&state.0, op, ret))
    }

    fn bytes(state: &Self) -> usize {
        Set::bytes(&state.0)
    }
}
