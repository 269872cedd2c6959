//! A store of strings by key, with append, as in the labs of MIT's course on distributed systems and in porcupine's tests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::Hints;

/// The store; a key that is not there holds the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyValue(pub BTreeMap<String, String>);

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Returns [`Ret::Value`].
    Get {
        /// Of what.
        key: String,
    },
    /// Sets the value; returns [`Ret::Done`].
    Put {
        /// Of what.
        key: String,
        /// The new value.
        value: String,
    },
    /// Appends to the value; returns [`Ret::Done`].
    Append {
        /// Of what.
        key: String,
        /// What is appended.
        value: String,
    },
}

impl Op {
    fn key(&self) -> &String {
        match self {
            Self::Get { key } | Self::Put { key, .. } | Self::Append { key, .. } => key,
        }
    }
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// The value.
    Value(String),
    /// A write is done.
    Done,
}

impl KeyValue {
    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

impl SequentialSpec for KeyValue {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Get { key } => return Ret::Value(self.get(key).to_owned()),
            // An empty string is as good as none, and a state has one form only.
            Op::Put { key, value } if value.is_empty() => drop(self.0.remove(key)),
            Op::Append { value, .. } if value.is_empty() => {}
            Op::Put { key, value } => drop(self.0.insert(key.clone(), value.clone())),
            Op::Append { key, value } => match self.0.get_mut(key) {
                Some(present) => {
                    // Searches keep each state for long, and there are many: room to grow would double them.
                    present.reserve_exact(value.len());
                    present.push_str(value);
                }
                None => drop(self.0.insert(key.clone(), value.clone())),
            },
        }
        Ret::Done
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        match (op, ret) {
            (Op::Get { key }, Ret::Value(value)) => self.get(key) == value,
            _ => self.invoke(op) == *ret,
        }
    }
}

impl Hints<Self> for KeyValue {
    type Key = String;

    fn key(op: &Op) -> Option<String> {
        Some(op.key().clone())
    }

    fn read_only(op: &Op, _: Option<&Ret>) -> bool {
        matches!(op, Op::Get { .. })
    }

    fn observer(op: &Op) -> bool {
        matches!(op, Op::Get { .. })
    }

    fn reset(op: &Op) -> bool {
        matches!(op, Op::Put { .. })
    }

    /// Without a put, a value only grows at its end.
    fn reach(state: &Self, op: &Op, ret: &Ret) -> bool {
        match ret {
            Ret::Value(value) => value.starts_with(state.get(op.key())),
            Ret::Done => true,
        }
    }

    /// A put forgets what was there before.
    fn reach_after(reset: &Op, _: &Op, ret: &Ret) -> bool {
        match (reset, ret) {
            (Op::Put { value: put, .. }, Ret::Value(value)) => value.starts_with(put.as_str()),
            _ => true,
        }
    }

    fn bytes(state: &Self) -> usize {
        // A node of a B-tree has room for eleven entries.
        let strings: usize = state.0.iter().map(|(key, value)| key.capacity() + value.capacity()).sum();
        size_of_val(state) + (state.0.len() / 6 + 1) * 550 + strings
    }
}
