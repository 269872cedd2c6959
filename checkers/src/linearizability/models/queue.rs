//! A queue of numbers: first in, first out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::Hints;

/// The queue; its front is what is dequeued next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Queue(pub VecDeque<i64>);

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Returns [`Ret::Enqueued`].
    Enqueue(i64),
    /// Returns [`Ret::Dequeued`].
    Dequeue,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// The element is in the queue.
    Enqueued,
    /// The element that was first; `None` if the queue was empty.
    Dequeued(Option<i64>),
}

impl SequentialSpec for Queue {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Enqueue(element) => {
                self.0.push_back(*element);
                Ret::Enqueued
            }
            Op::Dequeue => Ret::Dequeued(self.0.pop_front()),
        }
    }
}

impl Hints<Self> for Queue {
    type Key = ();

    fn read_only(op: &Op, ret: Option<&Ret>) -> bool {
        matches!(op, Op::Dequeue) && ret == Some(&Ret::Dequeued(None))
    }

    fn bytes(state: &Self) -> usize {
        size_of_val(state) + state.0.capacity() * 8
    }
}
