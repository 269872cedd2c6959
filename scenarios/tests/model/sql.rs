//! The engine's SQL on its versioned store, without a cluster: it proves that the workloads' statements are understood.

use super::Backend;
use engine::mvcc::{Isolation, Store, Txn, View};
use engine::sql::types::Value;
use engine::sql::{self, AsOf, Block, Error, Failure, Kind, Output, SqlState, Variables};
use engine::storage::Memory;
use rand_chacha::ChaCha8Rng;
use scenarios::Executed;
use std::collections::BTreeMap;

/// A way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlBug {
    /// What a commit has read is not looked at.
    ReadsNotValidated,
    /// Nothing that a commit says is looked at.
    NothingValidated,
    /// Some commits are acknowledged and forgotten.
    LostCommit,
    /// Some transactions read an old snapshot, and say so.
    OldSnapshot,
    /// Some commits lose their last write.
    TornCommit,
}

pub struct SqlDatabase {
    store: Store<Memory>,
    /// Open transactions by client.
    open: BTreeMap<u64, Block>,
    /// What every session starts from.
    variables: Variables,
    bug: Option<SqlBug>,
    /// How often there was an occasion for the bug.
    occasions: u64,
}

impl Default for SqlDatabase {
    fn default() -> Self {
        Self::new(None)
    }
}

impl SqlDatabase {
    /// A database with a bug, or a right one.
    pub fn new(bug: Option<SqlBug>) -> Self {
        let store = Store::new(Memory::new()).expect("an empty store");
        Self { store, open: BTreeMap::new(), variables: Variables::default(), bug, occasions: 0 }
    }

    /// Whether the bug strikes, which it does now and then.
    fn strikes(&mut self, bug: SqlBug) -> bool {
        self.occasions += u64::from(self.bug == Some(bug));
        self.bug == Some(bug) && self.occasions.is_multiple_of(7)
    }

    fn run(&self, txn: &mut Txn, statement: &sql::Statement, params: &[Value]) -> Result<Output, Error> {
        sql::execute(statement, params, &mut View::new(&self.store, txn)).map_err(|failure| match failure {
            Failure::Sql(error) => error,
            Failure::Storage(error) => panic!("storage: {error}"),
        })
    }

    fn begin(&mut self, client: u64, isolation: Isolation, read_only: bool, as_of: Option<AsOf>) -> Txn {
        let latest = self.store.applied();
        let old = as_of.is_none() && self.strikes(SqlBug::OldSnapshot);
        let snapshot = match as_of {
            Some(AsOf::Position(position)) => position,
            // A time is some positions ago.
            Some(AsOf::Ago(milliseconds)) => latest.saturating_sub(milliseconds / 10),
            Some(past) => panic!("no workload reads {past:?}"),
            None if old => latest.saturating_sub(3).max(latest.min(5)),
            None => latest,
        };
        // The store's version is as good a number of a transaction as any: two that have it in common do not both write.
        Txn::new(snapshot, isolation, read_only || as_of.is_some()).identified(client, self.store.applied())
    }

    fn commit(&mut self, txn: Txn) -> Result<Option<u64>, Error> {
        if !txn.has_writes() {
            return Ok(None);
        }
        let mut commit = txn.into_commit();
        if matches!(self.bug, Some(SqlBug::ReadsNotValidated | SqlBug::NothingValidated)) {
            commit.read_keys.clear();
            commit.read_ranges.clear();
        }
        let checked = self.bug != Some(SqlBug::NothingValidated);
        if let Err(conflict) = self.store.validate(&commit).expect("memory does not fail")
            && checked
        {
            return Err(Error::new(SqlState::SERIALIZATION_FAILURE, format!("{conflict:?}")));
        }
        let version = self.store.applied() + 1;
        if self.strikes(SqlBug::LostCommit) {
            commit.writes.clear();
        }
        if self.strikes(SqlBug::TornCommit) {
            commit.writes.pop();
        }
        self.store.commit(version, commit.writes, []).expect("memory does not fail");
        Ok(Some(version))
    }

    /// SAVEPOINT and the like.
    fn place(&mut self, client: u64, kind: Kind) -> Result<Output, Error> {
        let no_transaction = || Error::new(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction");
        let open = self.open.get_mut(&client).ok_or_else(no_transaction)?;
        open.control(kind, &self.variables).map_err(|failure| match failure {
            Failure::Sql(error) => error,
            Failure::Storage(error) => panic!("storage: {error}"),
        })
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
        let statement = match sql::parse(sql) {
            Ok(statement) => statement,
            Err(error) => {
                self.open.entry(client).and_modify(Block::fail);
                return Err(error);
            }
        };
        match statement.kind() {
            Kind::Begin { read_only, isolation, as_of } => {
                assert!(!self.is_open(client), "BEGIN within a transaction");
                let txn = self.begin(client, isolation.unwrap_or_default(), read_only.unwrap_or(false), as_of);
                let snapshot = txn.snapshot();
                self.open.insert(client, Block::new(txn));
                Ok(Executed { output: Output::Begin, snapshot: Some(snapshot), committed: None })
            }
            Kind::Commit => {
                let Some(block) = self.open.remove(&client) else {
                    return Err(Error::new(SqlState::NO_ACTIVE_TRANSACTION, "no transaction"));
                };
                let snapshot = Some(block.txn.snapshot());
                if block.has_failed() {
                    return Ok(Executed { output: Output::Rollback, snapshot, committed: None });
                }
                let (txn, _) = block.into_parts();
                Ok(Executed { output: Output::Commit, snapshot, committed: self.commit(txn)? })
            }
            Kind::Rollback => {
                self.forget(client);
                Ok(Executed { output: Output::Rollback, snapshot: None, committed: None })
            }
            Kind::Query => {
                if let Some(mut open) = self.open.remove(&client) {
                    let result = open.check(&statement).and_then(|()| self.run(&mut open.txn, &statement, params));
                    let snapshot = Some(open.txn.snapshot());
                    if result.is_err() {
                        open.fail();
                    }
                    self.open.insert(client, open);
                    return Ok(Executed { output: result?, snapshot, committed: None });
                }
                let mut txn = self.begin(client, Isolation::Snapshot, statement.is_read_only(), None);
                let snapshot = Some(txn.snapshot());
                let output = self.run(&mut txn, &statement, params)?;
                Ok(Executed { output, snapshot, committed: self.commit(txn)? })
            }
            kind => {
                let done = self.place(client, kind);
                if let (Err(_), Some(open)) = (&done, self.open.get_mut(&client)) {
                    open.fail();
                }
                Ok(Executed { output: done?, snapshot: None, committed: None })
            }
        }
    }
}
