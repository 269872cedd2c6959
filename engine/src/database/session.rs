//! Sessions of a database: transactions, prepared statements, and rows one by one.

use std::ops::ControlFlow;
use std::rc::Rc;

use super::Shared;
use crate::mvcc::{self, Commit, Isolation, Time, Txn, Version, View};
use crate::node::Abort;
use crate::sql::executor::Settings;
use crate::sql::functions::Registry;
use crate::sql::types::Value;
use crate::sql::{self, AsOf, Block, Environment, Error, Failure, Kind, Output, Prepared, SqlState, Variables};
use crate::storage::Storage;

type Result<T> = std::result::Result<T, Failure>;

/// The least number of versions written between two garbage collections.
const COLLECT_AFTER: u64 = 1 << 14;

/// A session: what one user of a database has open.
pub struct Session<S: Storage> {
    shared: Rc<Shared<S>>,
    /// Who it is, for row numbers.
    number: u64,
    transactions: u64,
    open: Option<Block>,
    /// Its settings, but for those that the open transaction has changed.
    variables: Variables,
}

impl<S: Storage> Shared<S> {
    /// What time it is, if the database has a clock.
    fn now(&self) -> Option<Time> {
        self.options.time.map(|time| time())
    }

    /// The last position whose time is not after one that has come. No later commit is given that time or an earlier one.
    fn position_at(&self, time: Time) -> Result<Version> {
        let store = self.store.borrow();
        if time < store.time() {
            return Ok(store.position_at(time)?);
        }
        self.passed.set(self.passed.get().max(time + 1));
        Ok(store.applied())
    }

    /// What statements run with.
    fn environment<'a>(&'a self, functions: &'a Registry, variables: &'a Variables) -> Environment<'a> {
        let (options, spill, clock) = (variables.options(), self.spill.as_deref(), self.options.clock);
        Environment { functions, options, variables: Some(variables), spill, clock }
    }
}

impl<S: Storage> Session<S> {
    pub(super) fn new(shared: Rc<Shared<S>>, number: u64) -> Self {
        let variables = Variables::new(shared.options.statements, Settings::UNLIMITED);
        Self { shared, number, transactions: 0, open: None, variables }
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Runs the statements of a text, which semicolons separate, up to the first one that fails. Outside of BEGIN and COMMIT
    /// each is a transaction of its own.
    pub fn execute(&mut self, sql: &str) -> Result<Vec<Output>> {
        let statements = sql::parse_all_within(sql, self.variables().limits());
        let statements = statements.map_err(|error| self.fail(error.into()))?;
        statements.into_iter().map(|statement| self.run(&Prepared::new(statement), &[])).collect()
    }

    /// Parses a statement, to run it as often as needed.
    pub fn prepare(&self, sql: &str) -> Result<Prepared> {
        Ok(Prepared::new(sql::parse_within(sql, self.variables().limits())?))
    }

    /// Its settings now.
    fn variables(&self) -> &Variables {
        self.open.as_ref().map_or(&self.variables, |block| block.variables(&self.variables))
    }

    /// Runs a statement. All its rows are in what it gives; see also [`Session::query`].
    pub fn run(&mut self, prepared: &Prepared, params: &[Value]) -> Result<Output> {
        let result = match prepared.statement().kind() {
            Kind::Query => {
                self.in_a_transaction(prepared, |this, txn, variables| this.statement(prepared, params, txn, variables))
            }
            kind => self.control(kind),
        };
        result.map_err(|failure| self.fail(failure))
    }

    /// Runs a query and gives its rows to `row` one by one, until that breaks off. No more of them is kept than the query
    /// itself has to keep. Until it ends, other sessions can read but not commit. A statement that is no query is run
    /// as by [`Session::run`], without rows.
    pub fn query(
        &mut self,
        prepared: &Prepared,
        params: &[Value],
        mut row: impl FnMut(&[Value]) -> ControlFlow<()>,
    ) -> Result<()> {
        if prepared.statement().kind() != Kind::Query {
            return self.run(prepared, params).map(drop);
        }
        let result = self.in_a_transaction(prepared, |this, txn, variables| {
            let shared = Rc::clone(&this.shared);
            let store = shared.store.borrow();
            let mut view = View::new(&store, txn);
            let functions = shared.functions.borrow();
            let environment = shared.environment(&functions, variables);
            let plan = prepared.plan(params, &view, environment)?;
            {
                let context = environment.context(&view, params);
                if let Some(mut rows) = plan.open(&context)? {
                    while let Some(batch) = rows.next_batch()? {
                        if batch.iter().any(|values| row(values).is_break()) {
                            break;
                        }
                    }
                    return Ok(());
                }
            }
            plan.execute(params, &mut view, environment).map(drop)
        });
        result.map_err(|failure| self.fail(failure))
    }

    /// A statement that fails ends the transaction but for its ROLLBACK.
    fn fail(&mut self, failure: Failure) -> Failure {
        if let Some(open) = &mut self.open {
            open.fail();
        }
        failure
    }

    /// Runs something in the open transaction, or in one of its own.
    fn in_a_transaction<T>(
        &mut self,
        prepared: &Prepared,
        f: impl FnOnce(&Self, &mut Txn, &Variables) -> Result<T>,
    ) -> Result<T> {
        if let Some(mut open) = self.open.take() {
            let result = self.in_open(&mut open, prepared, f);
            self.open = Some(open);
            return result;
        }
        let (isolation, read_only) = self.variables.modes();
        let as_of = prepared.statement().as_of();
        // Nobody can commit while the statement has the store.
        let mut txn = self.begin(as_of, isolation, read_only || prepared.statement().is_read_only())?.alone();
        let result = f(self, &mut txn, &self.variables);
        self.ended(txn.snapshot());
        let result = result?;
        self.commit(txn)?;
        Ok(result)
    }

    fn in_open<T>(
        &self,
        open: &mut Block,
        prepared: &Prepared,
        f: impl FnOnce(&Self, &mut Txn, &Variables) -> Result<T>,
    ) -> Result<T> {
        open.check(prepared.statement())?;
        if open.txn.isolation() == Isolation::ReadCommitted {
            let before = open.txn.snapshot();
            {
                let store = self.shared.store.borrow();
                let now = store.applied();
                if let Err(conflict) = open.txn.advance(&store, now)? {
                    return Err(Error::from(Abort::from(conflict)).into());
                }
            }
            self.ended(before);
            self.began(open.txn.snapshot());
        }
        let (txn, variables) = open.parts(&self.variables);
        f(self, txn, variables)
    }

    fn statement(&self, prepared: &Prepared, params: &[Value], txn: &mut Txn, variables: &Variables) -> Result<Output> {
        let shared = Rc::clone(&self.shared);
        let store = shared.store.borrow();
        let mut view = View::new(&store, txn);
        let functions = shared.functions.borrow();
        prepared.execute(params, &mut view, shared.environment(&functions, variables))
    }

    /// What a statement does to the session itself.
    fn control(&mut self, kind: Kind) -> Result<Output> {
        Ok(match kind {
            // As in PostgreSQL, one transaction within another is the same one.
            Kind::Begin { .. } if self.open.is_some() => Output::Begin,
            Kind::Begin { read_only, isolation, as_of } => {
                let (usual, usually_read_only) = self.variables.modes();
                let read_only = read_only.unwrap_or(usually_read_only) || as_of.is_some();
                let txn = self.begin(as_of, isolation.unwrap_or(usual), read_only)?;
                self.open = Some(Block::new(txn));
                Output::Begin
            }
            Kind::Commit => match self.open.take() {
                None => Output::Commit,
                Some(open) => {
                    self.ended(open.txn.snapshot());
                    if open.has_failed() {
                        return Ok(Output::Rollback);
                    }
                    let (txn, variables) = open.into_parts();
                    self.commit(txn)?;
                    if let Some(variables) = variables {
                        self.variables = variables;
                    }
                    Output::Commit
                }
            },
            Kind::Rollback => {
                if let Some(open) = self.open.take() {
                    self.ended(open.txn.snapshot());
                }
                Output::Rollback
            }
            kind => match &mut self.open {
                Some(open) => open.control(kind, &self.variables)?,
                None if matches!(kind, Kind::SetTransaction { .. } | Kind::Set(_)) => {
                    self.variables.control(&kind)?;
                    Output::Set
                }
                None => return Err(Error::new(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction").into()),
            },
        })
    }

    fn begin(&mut self, as_of: Option<AsOf>, isolation: Isolation, read_only: bool) -> Result<Txn> {
        let (now, watermark) = {
            let store = self.shared.store.borrow();
            (store.applied(), store.watermark())
        };
        let snapshot = match as_of {
            None => now,
            Some(AsOf::Position(position)) => position,
            Some(past) => self.shared.position_at(past.time(self.shared.now())?)?,
        };
        if snapshot > now {
            return Err(mvcc::Error::Future { version: snapshot, latest: now }.into());
        }
        if snapshot < watermark {
            return Err(mvcc::Error::SnapshotTooOld { snapshot, watermark }.into());
        }
        self.transactions += 1;
        self.began(snapshot);
        Ok(Txn::new(snapshot, isolation, read_only).identified(self.number, self.transactions))
    }

    fn began(&self, snapshot: Version) {
        let mut snapshots = self.shared.snapshots.borrow_mut();
        let position = snapshots.partition_point(|other| *other <= snapshot);
        snapshots.insert(position, snapshot);
    }

    fn ended(&self, snapshot: Version) {
        let mut snapshots = self.shared.snapshots.borrow_mut();
        let position = snapshots.binary_search(&snapshot).expect("it has begun");
        snapshots.remove(position);
    }

    fn commit(&self, txn: Txn) -> Result<()> {
        if !txn.has_writes() {
            return Ok(());
        }
        let alone = txn.is_alone();
        let commit = txn.into_commit();
        let Ok(mut store) = self.shared.store.try_borrow_mut() else {
            let message = "a query of the same database is giving out its rows: commit after it";
            return Err(Error::new(SqlState::OBJECT_IN_USE, message).into());
        };
        assert!(!alone || commit.snapshot == store.applied(), "somebody has committed during a single statement");
        if let Err(conflict) = store.validate(&commit)? {
            return Err(Error::from(Abort::from(conflict)).into());
        }
        let Commit { writes, .. } = commit;
        let written = self.shared.written.get() + writes.len() as u64;
        let position = store.applied() + 1;
        let time = self.shared.now().map(|now| now.max(self.shared.passed.get()));
        store.commit_at(time, position, writes, [])?;
        // Old versions go when there are about as many as there is data, so that the work is in proportion.
        let enough = COLLECT_AFTER.max(store.storage().status().keys / 2);
        let oldest = self.shared.snapshots.borrow().first().copied().unwrap_or(position);
        let watermark = oldest.min(position.saturating_sub(self.shared.options.history));
        self.shared.written.set(written);
        if written > enough && watermark > store.watermark() {
            store.collect(position + 1, watermark)?;
            self.shared.written.set(0);
        }
        if self.shared.options.sync {
            store.storage_mut().flush()?;
        }
        Ok(())
    }
}

impl<S: Storage> Drop for Session<S> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            self.ended(open.txn.snapshot());
        }
    }
}
