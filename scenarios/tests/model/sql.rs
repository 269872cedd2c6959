//! The engine's SQL on its versioned store, without a cluster: it proves that the workloads' statements are understood.

use super::Backend;
use engine::mvcc::{Isolation, Store, Txn, View};
use engine::sql::types::Value;
use engine::sql::{self, Error, Failure, Kind, Output, SqlState};
use engine::storage::Memory;
use rand_chacha::ChaCha8Rng;
use scenarios::Executed;
use std::collections::BTreeMap;

pub struct SqlDatabase {
    store: Store<Memory>,
    /// Open transactions by client.
    open: BTreeMap<u64, Txn>,
}

impl Default for SqlDatabase {
    fn default() -> Self {
        Self { store: Store::new(Memory::new()).expect("an empty store"), open: BTreeMap::new() }
    }
}

impl SqlDatabase {
    fn run(&self, txn: &mut Txn, statement: &sql::Statement, params: &[Value]) -> Result<Output, Error> {
        sql::execute(statement, params, &mut View::new(&self.store, txn)).map_err(|failure| match failure {
            Failure::Sql(error) => error,
            Failure::Storage(error) => panic!("storage: {error}"),
        })
    }

    fn commit(&mut self, txn: Txn) -> Result<Option<u64>, Error> {
        if !txn.has_writes() {
            return Ok(None);
        }
        let commit = txn.into_commit();
        if let Err(conflict) = self.store.validate(&commit).expect("memory does not fail") {
            return Err(Error::new(SqlState::SERIALIZATION_FAILURE, format!("{conflict:?}")));
        }
        let version = self.store.applied() + 1;
        self.store.commit(version, commit.writes, []).expect("memory does not fail");
        Ok(Some(version))
    }
}

impl Backend for SqlDatabase {
    fn is_open(&self, client: u64) -> bool {
        self.open.contains_key(&client)
    }

    fn forget(&mut self, client: u64) {
        self.open.remove(&client);
    }

    fn execute(&mut self, client: u64, sql: &str, params: &[Value], _: &mut ChaCha8Rng) -> Result<Executed, Error> {
        let statement = sql::parse(sql)?;
        let latest = self.store.applied();
        match statement.kind() {
            Kind::Begin { read_only, isolation, as_of } => {
                assert!(!self.is_open(client), "BEGIN within a transaction");
                let snapshot = as_of.unwrap_or(latest);
                let isolation = isolation.unwrap_or_default();
                self.open.insert(client, Txn::new(snapshot, isolation, read_only || as_of.is_some()));
                Ok(Executed { output: Output::Begin, snapshot: Some(snapshot), committed: None })
            }
            Kind::Commit => {
                let txn = self
                    .open
                    .remove(&client)
                    .ok_or_else(|| Error::new(SqlState::NO_ACTIVE_TRANSACTION, "no transaction"))?;
                let snapshot = Some(txn.snapshot());
                Ok(Executed { output: Output::Commit, snapshot, committed: self.commit(txn)? })
            }
            Kind::Rollback => {
                self.forget(client);
                Ok(Executed { output: Output::Rollback, snapshot: None, committed: None })
            }
            kind @ (Kind::Savepoint(_) | Kind::Release(_) | Kind::RollbackTo(_) | Kind::SetTransaction { .. }) => {
                panic!("no workload uses {kind:?}")
            }
            Kind::Query => {
                if let Some(mut txn) = self.open.remove(&client) {
                    let result = self.run(&mut txn, &statement, params);
                    let snapshot = Some(txn.snapshot());
                    self.open.insert(client, txn);
                    return Ok(Executed { output: result?, snapshot, committed: None });
                }
                let mut txn = Txn::new(latest, Isolation::Snapshot, statement.is_read_only());
                let output = self.run(&mut txn, &statement, params)?;
                Ok(Executed { output, snapshot: Some(latest), committed: self.commit(txn)? })
            }
        }
    }
}
