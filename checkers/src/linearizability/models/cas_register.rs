//! A register with compare-and-set, as Jepsen's tests of etcd and the like use it.

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::{Hints, Role};

/// The register; `CasRegister::default()` holds nothing, which differs from every value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CasRegister(pub Option<i64>);

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Returns [`Ret::Value`].
    Read,
    /// Returns [`Ret::Written`].
    Write(i64),
    /// Sets the value to `to` if it is `from`; returns [`Ret::Compared`].
    CompareAndSet {
        /// The value required.
        from: i64,
        /// The new value.
        to: i64,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// The value, `None` if there is none.
    Value(Option<i64>),
    /// A write is done.
    Written,
    /// Whether the comparison held, so that the new value is set.
    Compared(bool),
}

impl SequentialSpec for CasRegister {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Read => Ret::Value(self.0),
            Op::Write(value) => {
                self.0 = Some(value);
                Ret::Written
            }
            Op::CompareAndSet { from, to } => {
                let holds = self.0 == Some(from);
                if holds {
                    self.0 = Some(to);
                }
                Ret::Compared(holds)
            }
        }
    }
}

impl Hints<Self> for CasRegister {
    type Key = ();

    fn read_only(op: &Op, ret: Option<&Ret>) -> bool {
        match op {
            Op::Read => true,
            Op::Write(_) => false,
            Op::CompareAndSet { from, to } => from == to || ret == Some(&Ret::Compared(false)),
        }
    }

    fn role(op: &Op, _: Option<&Ret>) -> Role {
        match op {
            Op::Read => Role::Read,
            Op::Write(_) => Role::Write,
            Op::CompareAndSet { .. } => Role::Other,
        }
    }
}
