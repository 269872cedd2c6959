//! A lock. It does not know who holds it: whoever releases it, it is free.

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::Hints;

/// The lock; `Mutex::default()` is free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mutex {
    /// Whether somebody holds it.
    pub held: bool,
}

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Takes the lock if it is free.
    Acquire,
    /// Frees the lock if it is held.
    Release,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// It took effect.
    Done,
    /// The lock was held already, or free already.
    Refused,
}

impl SequentialSpec for Mutex {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        let held = matches!(op, Op::Acquire);
        if self.held == held {
            return Ret::Refused;
        }
        self.held = held;
        Ret::Done
    }
}

impl Hints<Self> for Mutex {
    type Key = ();

    fn read_only(_: &Op, ret: Option<&Ret>) -> bool {
        ret == Some(&Ret::Refused)
    }
}
