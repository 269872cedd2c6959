//! A row as a sequential object: it is absent or holds one value.

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::{Hints, Role};

/// The row; `Register::default()` is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Register(pub Option<i64>);

/// What can be asked of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Returns [`Ret::Value`]; all others return [`Ret::Changed`].
    Read,
    /// Sets the value if the row is present, like `UPDATE`.
    Write(i64),
    /// Sets the value if it is `from`.
    CompareAndSet {
        /// The value required.
        from: i64,
        /// The new value.
        to: i64,
    },
    /// Creates the row if it is absent.
    Insert(i64),
    /// Deletes the row if it is present.
    Delete,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// The value, `None` if the row is absent.
    Value(Option<i64>),
    /// Whether the operation's condition held, so that it took effect.
    Changed(bool),
}

impl SequentialSpec for Register {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        let (holds, after) = match *op {
            Op::Read => return Ret::Value(self.0),
            Op::Write(value) => (self.0.is_some(), Some(value)),
            Op::CompareAndSet { from, to } => (self.0 == Some(from), Some(to)),
            Op::Insert(value) => (self.0.is_none(), Some(value)),
            Op::Delete => (self.0.is_some(), None),
        };
        if holds {
            self.0 = after;
        }
        Ret::Changed(holds)
    }
}

impl Hints<Self> for Register {
    type Key = ();

    fn read_only(op: &Op, ret: Option<&Ret>) -> bool {
        match op {
            Op::Read => true,
            Op::CompareAndSet { from, to } if from == to => true,
            _ => ret == Some(&Ret::Changed(false)),
        }
    }

    fn role(op: &Op, ret: Option<&Ret>) -> Role {
        match op {
            Op::Read => Role::Read,
            // Of unknown outcome, it would depend on whether the row is there.
            Op::Write(_) if ret == Some(&Ret::Changed(true)) => Role::Write,
            _ => Role::Other,
        }
    }
}
