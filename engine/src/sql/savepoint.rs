//! The savepoints of a transaction, by name.

use super::error::{Error, SqlState};
use crate::mvcc::{Savepoint, Txn};

/// Savepoints in the order in which they were made. A name that is used again hides the older one.
#[derive(Clone, Debug, Default)]
pub struct Savepoints(Vec<(String, Savepoint)>);

impl Savepoints {
    /// Marks the present state of the writes.
    pub fn set(&mut self, name: String, txn: &Txn) {
        self.0.push((name, txn.savepoint()));
    }

    /// Forgets a savepoint, and all that were made after it.
    pub fn release(&mut self, name: &str) -> Result<(), Error> {
        let position = self.find(name)?;
        self.0.truncate(position);
        Ok(())
    }

    /// Undoes all writes since a savepoint, which stays.
    pub fn rollback_to(&mut self, name: &str, txn: &mut Txn) -> Result<(), Error> {
        let position = self.find(name)?;
        self.0.truncate(position + 1);
        txn.rollback_to(self.0[position].1);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, Error> {
        let error = || Error::new(SqlState::INVALID_SAVEPOINT, format!("there is no savepoint {name:?}"));
        self.0.iter().rposition(|(other, _)| other == name).ok_or_else(error)
    }
}
