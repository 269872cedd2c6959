//! An open transaction of a session, from BEGIN to its end: whether it has failed, the places that it can return to, and the
//! settings that it has changed. What runs sessions, in a process and on a node, differs in where transactions come from and
//! where they go; what lies between is here.
//!
//! As in PostgreSQL, a statement that fails ends the transaction but for its ROLLBACK (25P02), and what SET has changed goes
//! back with what the transaction has written; what SET LOCAL has changed goes back in any case.

use super::ast::{Kind, Statement};
use super::error::{Error, Failure, SqlState};
use super::output::Output;
use super::settings::{Setting, Variables};
use crate::mvcc::{Savepoint, Txn};

/// An open transaction of a session.
#[derive(Clone, Debug)]
pub struct Block {
    /// Snapshot, writes and reads.
    pub txn: Txn,
    failed: bool,
    /// In the order in which they were made. A name that is used again hides the older one.
    savepoints: Vec<(String, Savepoint, Option<Box<Changed>>)>,
    changed: Option<Box<Changed>>,
}

/// Settings that a transaction has changed.
#[derive(Clone, Debug)]
struct Changed {
    /// What they are until it ends.
    now: Variables,
    /// What they are after it, if it commits.
    after: Variables,
}

impl Block {
    /// A transaction that has just begun.
    pub fn new(txn: Txn) -> Self {
        Self { txn, failed: false, savepoints: Vec::new(), changed: None }
    }

    /// A statement has failed: all but ROLLBACK, and COMMIT, which then rolls back, is refused.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether a statement has failed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether a statement can run that is no control of the transaction.
    ///
    /// # Errors
    /// 25P02 if an earlier one has failed, 25001 if it reads another past than the transaction.
    pub fn check(&self, statement: &Statement) -> Result<(), Error> {
        self.check_state()?;
        if statement.as_of().is_some() {
            let message = "a statement in a transaction reads what the transaction reads";
            let hint = "write BEGIN READ ONLY AS OF SYSTEM TIME ..., or leave AS OF SYSTEM TIME out";
            return Err(Error::new(SqlState::ACTIVE_TRANSACTION, message).with_hint(hint));
        }
        Ok(())
    }

    fn check_state(&self) -> Result<(), Error> {
        if self.failed {
            let message = "an earlier statement of the transaction failed: only ROLLBACK is possible";
            return Err(Error::new(SqlState::IN_FAILED_TRANSACTION, message));
        }
        Ok(())
    }

    /// The settings within the transaction, of a session that had these before.
    pub fn variables<'a>(&'a self, session: &'a Variables) -> &'a Variables {
        self.changed.as_ref().map_or(session, |changed| &changed.now)
    }

    /// The transaction, and the settings within it.
    pub fn parts<'a>(&'a mut self, session: &'a Variables) -> (&'a mut Txn, &'a Variables) {
        (&mut self.txn, self.changed.as_ref().map_or(session, |changed| &changed.now))
    }

    /// What a statement does to its transaction itself, in a session with these settings.
    ///
    /// # Errors
    /// As the statement.
    ///
    /// # Panics
    /// If the statement is for its session.
    pub fn control(&mut self, kind: Kind, session: &Variables) -> Result<Output, Failure> {
        if !matches!(kind, Kind::RollbackTo(_)) {
            self.check_state()?;
        }
        Ok(match kind {
            Kind::Savepoint(name) => {
                self.savepoints.push((name, self.txn.savepoint(), self.changed.clone()));
                Output::Savepoint
            }
            // What was made after it goes as well.
            Kind::Release(name) => {
                let position = self.find(&name)?;
                self.savepoints.truncate(position);
                Output::Release
            }
            Kind::RollbackTo(name) => {
                let position = self.find(&name)?;
                self.savepoints.truncate(position + 1);
                let (_, savepoint, changed) = &self.savepoints[position];
                self.txn.rollback_to(*savepoint);
                self.changed.clone_from(changed);
                self.failed = false;
                Output::Rollback
            }
            Kind::SetTransaction { read_only, isolation, session: false } => {
                self.txn.set_modes(isolation, read_only)?;
                Output::Set
            }
            Kind::SetTransaction { read_only, isolation, session: true } => {
                self.change(session, false, |variables| {
                    variables.set_modes(isolation, read_only);
                    Ok(())
                })?;
                Output::Set
            }
            Kind::Set(setting) => {
                self.set(&setting, session)?;
                Output::Set
            }
            Kind::Begin { .. } | Kind::Commit | Kind::Rollback | Kind::Query => unreachable!("it is for its session"),
        })
    }

    fn set(&mut self, setting: &Setting, session: &Variables) -> Result<(), Error> {
        self.change(session, setting.local, |variables| variables.set(setting))
    }

    fn change(
        &mut self,
        session: &Variables,
        local: bool,
        change: impl Fn(&mut Variables) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let changed =
            self.changed.get_or_insert_with(|| Box::new(Changed { now: session.clone(), after: session.clone() }));
        change(&mut changed.now)?;
        if !local {
            change(&mut changed.after)?;
        }
        Ok(())
    }

    /// What is to be committed, and the settings of the session after it, if it has changed them.
    pub fn into_parts(self) -> (Txn, Option<Variables>) {
        (self.txn, self.changed.map(|changed| changed.after))
    }

    fn find(&self, name: &str) -> Result<usize, Error> {
        let error = || Error::new(SqlState::INVALID_SAVEPOINT, format!("there is no savepoint {name:?}"));
        self.savepoints.iter().rposition(|(other, ..)| other == name).ok_or_else(error)
    }
}
