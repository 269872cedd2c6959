//! Several registers that are read and written in transactions, each of which is one atomic operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stateright::semantics::SequentialSpec;

use crate::linearizability::model::Hints;

/// The registers; one that is not there holds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MultiRegister(pub BTreeMap<String, i64>);

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Reads a register.
    Read(String),
    /// Writes a register.
    Write(String, i64),
}

impl SequentialSpec for MultiRegister {
    /// A transaction: its steps in order.
    type Op = Vec<Step>;
    /// What its reads saw, in order.
    type Ret = Vec<Option<i64>>;

    fn invoke(&mut self, op: &Vec<Step>) -> Vec<Option<i64>> {
        let mut seen = Vec::new();
        for step in op {
            match step {
                Step::Read(register) => seen.push(self.0.get(register).copied()),
                Step::Write(register, value) => {
                    self.0.insert(register.clone(), *value);
                }
            }
        }
        seen
    }
}

impl Hints<Self> for MultiRegister {
    type Key = ();

    fn read_only(op: &Vec<Step>, _: Option<&Vec<Option<i64>>>) -> bool {
        op.iter().all(|step| matches!(step, Step::Read(_)))
    }

    fn bytes(state: &Self) -> usize {
        size_of_val(state) + (state.0.len() / 6 + 1) * 380
    }
}
