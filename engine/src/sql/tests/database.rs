//! A database in one piece: sessions over one store, with commits that are validated as a node would.

use std::collections::BTreeMap;

use crate::mvcc::{Conflict, Store, Txn, View};
use crate::sql::types::Value;
use crate::sql::{self, AsOf, Error, Failure, Kind, Options, Output, SqlState, Statement};
use crate::storage::Memory;

/// With the optimizer.
pub(super) fn on() -> Options {
    Options::default()
}

/// Without it.
pub(super) fn off() -> Options {
    Options { optimize: false, ..Options::default() }
}

/// Sessions by name, over one store.
pub(super) struct Database {
    store: Store<Memory>,
    open: BTreeMap<String, Txn>,
    /// How many transactions there were.
    number: u64,
}

impl Database {
    pub fn new() -> Self {
        Self { store: Store::new(Memory::new()).unwrap(), open: BTreeMap::new(), number: 0 }
    }

    /// The position that a transaction reads at when it begins now.
    pub fn now(&self) -> u64 {
        self.store.applied()
    }

    /// Runs a statement for a session, in its open transaction or in one of its own.
    pub fn run(&mut self, session: &str, sql: &str, params: &[Value], options: Options) -> Result<Output, Error> {
        let statement = sql::parse(sql)?;
        match statement.kind() {
            Kind::Begin { read_only, isolation, as_of } => {
                let snapshot = match as_of {
                    Some(AsOf::Position(position)) => position,
                    Some(past) => panic!("no test reads {past:?}"),
                    None => self.now(),
                };
                self.number += 1;
                let txn = Txn::new(snapshot, isolation.unwrap_or_default(), read_only.unwrap_or(false))
                    .identified(0, self.number);
                self.open.insert(session.to_string(), txn);
                Ok(Output::Begin)
            }
            Kind::Commit => {
                let txn = self.open.remove(session).ok_or_else(no_transaction)?;
                self.commit(txn)?;
                Ok(Output::Commit)
            }
            Kind::Rollback => {
                self.open.remove(session).ok_or_else(no_transaction)?;
                Ok(Output::Rollback)
            }
            Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::RollbackTo(_)
            | Kind::SetTransaction { .. }
            | Kind::Set(_) => Err(Error::unsupported("this statement in this test")),
            Kind::Query => {
                if let Some(mut txn) = self.open.remove(session) {
                    let result = self.execute(&statement, params, &mut txn, options);
                    self.open.insert(session.to_string(), txn);
                    return result;
                }
                self.number += 1;
                let txn = Txn::new(self.now(), Default::default(), statement.is_read_only());
                let mut txn = txn.identified(0, self.number);
                let output = self.execute(&statement, params, &mut txn, options)?;
                self.commit(txn)?;
                Ok(output)
            }
        }
    }

    /// Runs a statement as [`Database::run`] would, and forgets what it did.
    pub fn try_out(&self, session: &str, sql: &str, params: &[Value], options: Options) -> Result<Output, Error> {
        let statement = sql::parse(sql)?;
        let mut txn = match self.open.get(session) {
            Some(txn) => txn.clone(),
            None => Txn::new(self.now(), Default::default(), false),
        };
        self.execute(&statement, params, &mut txn, options)
    }

    /// Statements are atomic: one that fails leaves the transaction's writes as they were.
    fn execute(
        &self,
        statement: &Statement,
        params: &[Value],
        txn: &mut Txn,
        options: Options,
    ) -> Result<Output, Error> {
        let before = txn.clone().into_commit().writes;
        let result = sql::execute_with(options, statement, params, &mut View::new(&self.store, txn));
        let writes = txn.clone().into_commit().writes;
        if result.is_err() || statement.is_read_only() {
            assert_eq!(writes, before, "{statement:?} left writes behind");
        }
        result.map_err(|failure| match failure {
            Failure::Sql(error) => error,
            Failure::Storage(error) => panic!("{error}"),
        })
    }

    fn commit(&mut self, txn: Txn) -> Result<(), Error> {
        if !txn.has_writes() {
            return Ok(());
        }
        let commit = txn.into_commit();
        if let Err(conflict) = self.store.validate(&commit).unwrap() {
            let what = match conflict {
                Conflict::Write { .. } => "a key that it wrote has changed",
                Conflict::Read { .. } => "a key that it read has changed",
                Conflict::TooOld { .. } => "its snapshot is too old",
            };
            return Err(Error::new(SqlState::SERIALIZATION_FAILURE, what));
        }
        self.store.commit(self.now() + 1, commit.writes, []).unwrap();
        Ok(())
    }
}

fn no_transaction() -> Error {
    Error::new(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction")
}
