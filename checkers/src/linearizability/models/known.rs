//! What can be declared of stateright's own models.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::vec::{VecOp, VecRet};

use crate::linearizability::model::{Hints, Role};

/// Declarations about stateright's `Register` and `Vec`, e.g. for a [`Tester`](crate::linearizability::tester::Tester).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Known;

impl<T: Clone + Debug + Hash + PartialEq> Hints<Register<T>> for Known {
    type Key = ();

    fn read_only(op: &RegisterOp<T>, _: Option<&RegisterRet<T>>) -> bool {
        matches!(op, RegisterOp::Read)
    }

    fn role(op: &RegisterOp<T>, _: Option<&RegisterRet<T>>) -> Role {
        match op {
            RegisterOp::Read => Role::Read,
            RegisterOp::Write(_) => Role::Write,
        }
    }
}

impl<T: Clone + Debug + Hash + PartialEq> Hints<Vec<T>> for Known {
    type Key = ();

    fn read_only(op: &VecOp<T>, ret: Option<&VecRet<T>>) -> bool {
        matches!(op, VecOp::Len) || ret == Some(&VecRet::PopOk(None))
    }
}
