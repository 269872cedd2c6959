//! A model of the database that knows the workloads' few statements: versions in a map, snapshot isolation, first committer
//! wins. Written apart from the engine, and breakable.

use super::Backend;
use engine::sql::types::{Column, Value};
use engine::sql::{Error, Output, SqlState};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng as _;
use scenarios::Executed;
use std::collections::BTreeMap;

/// A way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// One in eight transactions reads at a snapshot that is older than what was acknowledged, and says so.
    StaleRead,
    /// As before, but it says that it read the newest.
    LyingSnapshot,
    /// No conflict is noticed.
    LostUpdate,
    /// One in eight appends is applied twice.
    DoubleAppend,
    /// One in eight commits is acknowledged and dropped.
    LostCommit,
    /// One in eight conflicts is reported, but committed all the same.
    FailedCommit,
    /// One in eight commits of several writes becomes visible in two halves.
    TornCommit,
    /// Rows that were deleted are seen again.
    ForgottenTombstone,
    /// One in sixteen queries leaves its first row out.
    MissingRow,
}

type Row = (String, i64);

pub struct Database {
    bug: Option<Bug>,
    /// Open transactions by client.
    open: BTreeMap<u64, Transaction>,
    tables: BTreeMap<String, u64>,
    /// Versions of each row, oldest first.
    rows: BTreeMap<Row, Vec<(u64, Option<Value>)>>,
    version: u64,
}

struct Transaction {
    snapshot: u64,
    claimed_snapshot: u64,
    failed: bool,
    writes: BTreeMap<Row, Option<Value>>,
}

impl Database {
    pub fn new(bug: Option<Bug>) -> Self {
        // Positions do not start at 1 in a cluster either.
        Self { bug, open: BTreeMap::new(), tables: BTreeMap::new(), rows: BTreeMap::new(), version: 7 }
    }

    fn strikes(&self, bug: Bug, one_in: u64, rng: &mut ChaCha8Rng) -> bool {
        // The setup goes well.
        self.version > 14 && self.bug == Some(bug) && rng.next_u64().is_multiple_of(one_in)
    }

    fn begin(&self, as_of: Option<u64>, rng: &mut ChaCha8Rng) -> Transaction {
        let claimed = as_of.unwrap_or(self.version);
        let stale = self.strikes(Bug::StaleRead, 8, rng);
        let lying = self.strikes(Bug::LyingSnapshot, 8, rng);
        let snapshot = if stale || lying { claimed.saturating_sub(4).max(12.min(claimed)) } else { claimed };
        let claimed_snapshot = if lying { claimed } else { snapshot };
        Transaction { snapshot, claimed_snapshot, failed: false, writes: BTreeMap::new() }
    }

    fn commit(&mut self, transaction: Transaction, rng: &mut ChaCha8Rng) -> Result<Option<u64>, Error> {
        if transaction.writes.is_empty() {
            return Ok(None);
        }
        let newer = |row: &Row| {
            self.rows
                .get(row)
                .and_then(|versions| versions.last())
                .is_some_and(|(version, _)| *version > transaction.snapshot)
        };
        let conflict = self.bug != Some(Bug::LostUpdate) && transaction.writes.keys().any(newer);
        if conflict && !self.strikes(Bug::FailedCommit, 8, rng) {
            return Err(Error::new(SqlState::SERIALIZATION_FAILURE, "conflict"));
        }
        self.version += 1 + rng.next_u64() % 2;
        let version = self.version;
        if self.strikes(Bug::LostCommit, 8, rng) {
            return Ok(Some(version));
        }
        let torn = transaction.writes.len() > 1 && self.strikes(Bug::TornCommit, 8, rng);
        for (place, (row, value)) in transaction.writes.into_iter().enumerate() {
            let late = torn && place > 0;
            self.rows.entry(row).or_default().push((if late { version + 1 } else { version }, value));
        }
        if torn {
            self.version += 1;
        }
        if conflict { Err(Error::new(SqlState::SERIALIZATION_FAILURE, "conflict")) } else { Ok(Some(version)) }
    }

    fn get(&self, transaction: &Transaction, row: &Row) -> Option<Value> {
        if let Some(value) = transaction.writes.get(row) {
            return value.clone();
        }
        let versions = self.rows.get(row)?;
        let mut visible = versions.iter().filter(|(version, _)| *version <= transaction.snapshot).rev();
        if self.bug == Some(Bug::ForgottenTombstone) {
            return visible.find_map(|(_, value)| value.clone());
        }
        visible.next().and_then(|(_, value)| value.clone())
    }

    fn all(&self, transaction: &Transaction, table: &str) -> Vec<(i64, Value)> {
        let own = transaction.writes.keys();
        let mut rows: Vec<&Row> = self.rows.keys().chain(own).filter(|row| row.0 == table).collect();
        rows.sort();
        rows.dedup();
        rows.into_iter().filter_map(|row| Some((row.1, self.get(transaction, row)?))).collect()
    }

    fn statement(
        &mut self,
        transaction: &mut Transaction,
        sql: &str,
        params: &[Value],
        rng: &mut ChaCha8Rng,
    ) -> Result<Output, Error> {
        let words: Vec<&str> = sql.split_whitespace().collect();
        let key = |place: usize| match &params[place] {
            Value::Integer(key) => *key,
            other => panic!("{sql}: the key {other:?}"),
        };
        match words.as_slice() {
            ["CREATE", "TABLE", table, ..] => {
                if self.tables.contains_key(*table) {
                    return Err(Error::new(SqlState::DUPLICATE_TABLE, "there already"));
                }
                self.version += 1;
                self.tables.insert((*table).to_owned(), self.version);
                Ok(Output::CreateTable)
            }
            ["INSERT", "INTO", table, .., "VALUES", "(1,", "0)"] => {
                self.insert(transaction, table, vec![(1, Value::Integer(0))])
            }
            ["INSERT", "INTO", table, ..] => {
                let rows = (0..params.len() / 2).map(|i| (key(2 * i), params[2 * i + 1].clone())).collect();
                self.insert(transaction, table, rows)
            }
            ["SELECT", _, "FROM", table, "WHERE", _, "=", "$1"] => {
                let value = self.get(transaction, &((*table).to_owned(), key(0)));
                Ok(self.select(value.into_iter().map(|value| vec![value]).collect(), rng))
            }
            ["SELECT", _, _, "FROM", table] => {
                let rows = self.all(transaction, table);
                Ok(self.select(rows.into_iter().map(|(key, value)| vec![Value::Integer(key), value]).collect(), rng))
            }
            ["UPDATE", table, "SET", _, "=", "n", "+", "1", ..] => {
                let row = ((*table).to_owned(), 1);
                let Some(Value::Integer(n)) = self.get(transaction, &row) else { panic!("no progress row") };
                transaction.writes.insert(row, Some(Value::Integer(n + 1)));
                Ok(Output::Update { count: 1 })
            }
            ["UPDATE", table, "SET", _, "=", value @ .., "WHERE", _, "=", "$2"]
            | ["UPDATE", table, "SET", _, "=", value @ .., "WHERE", _, "=", "$2", "AND", _, "=", "$3"] => {
                let row = ((*table).to_owned(), key(1));
                let old = self.get(transaction, &row);
                if old.is_none() || (params.len() == 3 && old.as_ref() != Some(&params[2])) {
                    return Ok(Output::Update { count: 0 });
                }
                let new = match (value, &params[0], old) {
                    (["$1"], new, _) => new.clone(),
                    (["items", "||", "$1"], Value::Text(new), Some(Value::Text(old))) => {
                        let times = if self.strikes(Bug::DoubleAppend, 8, rng) { 2 } else { 1 };
                        Value::from(format!("{old}{}", new.repeat(times)))
                    }
                    other => panic!("{sql}: {other:?}"),
                };
                transaction.writes.insert(row, Some(new));
                Ok(Output::Update { count: 1 })
            }
            ["DELETE", "FROM", table, "WHERE", _, "=", "$1"] => {
                let row = ((*table).to_owned(), key(0));
                if self.get(transaction, &row).is_none() {
                    return Ok(Output::Delete { count: 0 });
                }
                transaction.writes.insert(row, None);
                Ok(Output::Delete { count: 1 })
            }
            _ => panic!("the model does not know {sql}"),
        }
    }

    fn insert(&self, transaction: &mut Transaction, table: &str, rows: Vec<(i64, Value)>) -> Result<Output, Error> {
        let count = rows.len() as u64;
        for (key, value) in rows {
            let row = (table.to_owned(), key);
            if self.get(transaction, &row).is_some() {
                return Err(Error::new(SqlState::UNIQUE_VIOLATION, "there already"));
            }
            transaction.writes.insert(row, Some(value));
        }
        Ok(Output::Insert { count })
    }

    fn select(&self, mut rows: Vec<Vec<Value>>, rng: &mut ChaCha8Rng) -> Output {
        if !rows.is_empty() && self.strikes(Bug::MissingRow, 16, rng) {
            rows.remove(0);
        }
        Output::Select { columns: Vec::<Column>::new(), rows }
    }
}

impl Backend for Database {
    fn is_open(&self, client: u64) -> bool {
        self.open.contains_key(&client)
    }

    fn forget(&mut self, client: u64) {
        self.open.remove(&client);
    }

    fn execute(&mut self, client: u64, sql: &str, params: &[Value], rng: &mut ChaCha8Rng) -> Result<Executed, Error> {
        match sql {
            "COMMIT" => {
                let transaction = self
                    .open
                    .remove(&client)
                    .ok_or_else(|| Error::new(SqlState::NO_ACTIVE_TRANSACTION, "no transaction"))?;
                let snapshot = Some(transaction.claimed_snapshot);
                let committed = self.commit(transaction, rng)?;
                return Ok(Executed { output: Output::Commit, snapshot, committed });
            }
            "ROLLBACK" => {
                self.forget(client);
                return Ok(Executed { output: Output::Rollback, snapshot: None, committed: None });
            }
            _ if sql.starts_with("BEGIN") => {
                assert!(!self.is_open(client), "BEGIN within a transaction");
                let as_of = sql.strip_prefix("BEGIN READ ONLY AS OF SYSTEM TIME ").map(|text| {
                    // A time is some positions ago.
                    let ago = text.strip_prefix("'-").and_then(|text| text.strip_suffix("ms'"));
                    match ago {
                        Some(ago) => self.version.saturating_sub(ago.parse::<u64>().unwrap() / 10),
                        None => text.parse().unwrap(),
                    }
                });
                assert!(as_of.is_some() || matches!(sql, "BEGIN" | "BEGIN READ ONLY"), "{sql}");
                let transaction = self.begin(as_of, rng);
                let snapshot = Some(transaction.claimed_snapshot);
                self.open.insert(client, transaction);
                return Ok(Executed { output: Output::Begin, snapshot, committed: None });
            }
            _ => {}
        }
        let open = self.open.remove(&client);
        let alone = open.is_none();
        let mut transaction = open.unwrap_or_else(|| self.begin(None, rng));
        assert!(!transaction.failed, "{sql} after a failure");
        let result = self.statement(&mut transaction, sql, params, rng);
        let snapshot = Some(transaction.claimed_snapshot);
        if alone {
            let output = result?;
            let committed = self.commit(transaction, rng)?;
            return Ok(Executed { output, snapshot, committed });
        }
        transaction.failed = result.is_err();
        self.open.insert(client, transaction);
        Ok(Executed { output: result?, snapshot, committed: None })
    }
}
