//! A set of numbers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::Hints;

/// The set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set(pub BTreeSet<i64>);

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Adds an element; returns whether it was new, as [`Ret::Was`].
    Add(i64),
    /// Takes an element away; returns whether it was there, as [`Ret::Was`].
    Remove(i64),
    /// Returns whether an element is there, as [`Ret::Was`].
    Contains(i64),
    /// Returns [`Ret::Elements`]. With it, a history can not be checked by element.
    Read,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// Whether the element was new ([`Op::Add`]) or there.
    Was(bool),
    /// All elements.
    Elements(BTreeSet<i64>),
}

impl SequentialSpec for Set {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Add(element) => Ret::Was(self.0.insert(*element)),
            Op::Remove(element) => Ret::Was(self.0.remove(element)),
            Op::Contains(element) => Ret::Was(self.0.contains(element)),
            Op::Read => Ret::Elements(self.0.clone()),
        }
    }
}

impl Hints<Self> for Set {
    type Key = i64;

    fn key(op: &Op) -> Option<i64> {
        match op {
            Op::Add(element) | Op::Remove(element) | Op::Contains(element) => Some(*element),
            Op::Read => None,
        }
    }

    fn read_only(op: &Op, ret: Option<&Ret>) -> bool {
        match op {
            Op::Read | Op::Contains(_) => true,
            Op::Add(_) | Op::Remove(_) => ret == Some(&Ret::Was(false)),
        }
    }

    fn observer(op: &Op) -> bool {
        matches!(op, Op::Read)
    }

    fn reset(op: &Op) -> bool {
        matches!(op, Op::Remove(_))
    }

    /// Without a removal, a set only grows.
    fn reach(state: &Self, _: &Op, ret: &Ret) -> bool {
        match ret {
            Ret::Elements(elements) => state.0.is_subset(elements),
            Ret::Was(_) => true,
        }
    }

    fn bytes(state: &Self) -> usize {
        size_of_val(state) + state.0.len() * 16
    }
}
