//! A counter.

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::Hints;

/// The counter. It wraps around, so that no history can overflow it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter(pub i64);

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Returns [`Ret::Value`].
    Read,
    /// Adds a number, which may be negative; returns [`Ret::Added`].
    Add(i64),
    /// Adds a number and returns the sum, as [`Ret::Value`].
    AddAndGet(i64),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// The value.
    Value(i64),
    /// It is done.
    Added,
}

impl SequentialSpec for Counter {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Read => Ret::Value(self.0),
            Op::Add(number) => {
                self.0 = self.0.wrapping_add(*number);
                Ret::Added
            }
            Op::AddAndGet(number) => {
                self.0 = self.0.wrapping_add(*number);
                Ret::Value(self.0)
            }
        }
    }
}

impl Hints<Self> for Counter {
    type Key = ();

    fn read_only(op: &Op, _: Option<&Ret>) -> bool {
        matches!(op, Op::Read | Op::Add(0) | Op::AddAndGet(0))
    }
}
