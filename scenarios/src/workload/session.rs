//! One client's session: runs statements and transactions, and puts on record what they saw.

use crate::client::{Client, Executed, Failure};
use crate::recorder::{Attempt, Finding, Recorder, Script, Surprise};
use checkers::history::{Micro, Outcome, Transaction};
use checkers::linearizability::register::{Op, Ret};
use engine::sql::types::Value;
use engine::sql::{Error, Output, SqlState};
use std::collections::BTreeMap;

/// Each client has this many values of its own, see [`crate::Operation`].
const VALUES_PER_CLIENT: i64 = 100_000_000;

/// A client at work.
pub(super) struct Session<'a, C: Client> {
    pub(super) client: &'a mut C,
    recorder: &'a mut Recorder,
    /// What this client last saw of each register.
    pub(super) seen: BTreeMap<u32, i64>,
    /// The newest log position that this client has seen.
    pub(super) position: u64,
    values: i64,
}

/// Why a transaction does not go on.
pub(super) enum Stop {
    /// A statement failed, or may have.
    Failure(Failure),
    /// A statement gave an answer that makes no sense.
    Surprise,
}

/// What to do at the end of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Commit,
    Rollback,
}

/// How an operation ended, for the program that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Ok,
    /// Lost against another transaction: worth another try.
    Conflict,
    Failed,
    Unknown,
}

impl<'a, C: Client> Session<'a, C> {
    /// A session that knows that `position` exists.
    pub(super) fn new(client: &'a mut C, recorder: &'a mut Recorder, position: u64) -> Self {
        Self { client, recorder, seen: BTreeMap::new(), position, values: 0 }
    }

    /// A value that no one else writes.
    pub(super) fn fresh_value(&mut self) -> i64 {
        self.values += 1;
        assert!(self.values < VALUES_PER_CLIENT, "a client's values are used up");
        self.client.id() as i64 * VALUES_PER_CLIENT + self.values
    }

    /// Puts an operation on record. It counts as failed until something is sent that may commit.
    pub(super) fn invoke(&mut self, name: &'static str) {
        let transaction = Transaction {
            // Named when the histories of all clients are put together.
            id: 0,
            client: self.client.id(),
            invoke: self.client.now(),
            complete: None,
            outcome: Outcome::Failed,
            snapshot: None,
            commit: None,
            historic: false,
            initial: false,
            operations: Vec::new(),
        };
        self.recorder.attempts.push(Attempt { name, transaction, conflict: false, whole: false, register: None });
    }

    fn attempt(&mut self) -> &mut Attempt {
        self.recorder.attempts.last_mut().expect("an operation was invoked")
    }

    /// The operation at hand.
    pub(super) fn record(&mut self) -> &mut Transaction {
        &mut self.attempt().transaction
    }

    /// Notes what is asked of a row.
    pub(super) fn ask(&mut self, key: u32, op: Op) {
        self.attempt().register = Some((u64::from(key), op, None));
    }

    /// Notes what the row answered.
    pub(super) fn answer(&mut self, answer: Ret) {
        let (_, _, output) = self.attempt().register.as_mut().expect("something was asked");
        *output = Some(answer);
    }

    pub(super) fn note_read(&mut self, key: impl Into<u64>, value: Option<i64>) {
        self.record().operations.push(Micro::Read { key: key.into(), value });
    }

    /// Notes a read of all rows at once, of which there can be `count`.
    pub(super) fn note_all(&mut self, rows: &BTreeMap<u64, i64>, count: u32) {
        self.attempt().whole = true;
        for key in 0..count {
            self.note_read(key, rows.get(&u64::from(key)).copied());
        }
    }

    /// Notes a write before it is sent: it may happen without an answer.
    pub(super) fn note_write(&mut self, key: impl Into<u64>, value: Option<i64>) {
        self.record().operations.push(Micro::Write { key: key.into(), value });
    }

    pub(super) fn note_list(&mut self, list: impl Into<u64>, elements: Vec<i64>) {
        self.record().operations.push(Micro::ReadList { key: list.into(), elements });
    }

    /// Notes an append before it is sent: it may happen without an answer.
    pub(super) fn note_append(&mut self, list: impl Into<u64>, element: i64) {
        self.record().operations.push(Micro::Append { key: list.into(), element });
    }

    /// Notes an answer that no right database gives.
    pub(super) fn surprise(&mut self, sql: &str, what: String) -> Stop {
        let (client, at) = (self.client.id(), self.client.now());
        self.recorder.surprises.push(Surprise { client, at, sql: sql.to_owned(), what });
        Stop::Surprise
    }

    /// Executes a statement of the operation at hand. An error that only a fault of the database explains is a surprise.
    pub(super) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<Output, Stop> {
        match self.execute_any(sql, params).await {
            Ok(output) => Ok(output),
            Err(stop) => Err(self.judge(sql, stop)),
        }
    }

    fn judge(&mut self, sql: &str, stop: Stop) -> Stop {
        if let Stop::Failure(Failure::Failed(error)) = &stop
            && !is_expected(error)
        {
            self.surprise(sql, format!("error: {error}"));
        }
        stop
    }

    /// Executes a statement of the operation at hand, whose errors the caller judges.
    async fn execute_any(&mut self, sql: &str, params: &[Value]) -> Result<Output, Stop> {
        match self.client.execute(sql, params).await {
            Ok(executed) => {
                self.note_positions(&executed);
                Ok(executed.output)
            }
            // The state says of itself that nothing is certain.
            Err(Failure::Failed(error)) if error.state == SqlState::STATEMENT_COMPLETION_UNKNOWN => {
                Err(Stop::Failure(Failure::Unknown { reason: error.to_string() }))
            }
            Err(failure) => Err(Stop::Failure(failure)),
        }
    }

    /// Executes a writing statement that is a transaction of its own: from here on, the outcome is unknown.
    pub(super) async fn execute_alone(&mut self, sql: &str, params: &[Value]) -> Result<Output, Stop> {
        self.record().outcome = Outcome::Unknown;
        self.execute(sql, params).await
    }

    /// Executes an insertion that is a transaction of its own. `None` when the row is there already.
    pub(super) async fn insert_alone(&mut self, sql: &str, params: &[Value]) -> Result<Option<Output>, Stop> {
        self.record().outcome = Outcome::Unknown;
        match self.execute_any(sql, params).await {
            Ok(output) => Ok(Some(output)),
            Err(Stop::Failure(Failure::Failed(error))) if error.state == SqlState::UNIQUE_VIOLATION => Ok(None),
            Err(stop) => Err(self.judge(sql, stop)),
        }
    }

    /// Executes a statement that may fail in ways that mean something: `accepted` says which.
    pub(super) async fn attempt_to(
        &mut self,
        sql: &str,
        params: &[Value],
        accepted: &[SqlState],
    ) -> Result<Result<Output, SqlState>, Stop> {
        match self.execute_any(sql, params).await {
            Ok(output) => Ok(Ok(output)),
            Err(Stop::Failure(Failure::Failed(error))) if accepted.contains(&error.state) => Ok(Err(error.state)),
            Err(stop) => Err(self.judge(sql, stop)),
        }
    }

    /// As [`Session::attempt_to`], of a statement that is a transaction of its own and writes.
    pub(super) async fn attempt_alone(
        &mut self,
        sql: &str,
        params: &[Value],
        accepted: &[SqlState],
    ) -> Result<Result<Output, SqlState>, Stop> {
        self.record().outcome = Outcome::Unknown;
        self.attempt_to(sql, params, accepted).await
    }

    /// What was noted as written is not written after all: the statement has failed.
    pub(super) fn forget_writes(&mut self) {
        self.record().operations.retain(|micro| !matches!(micro, Micro::Write { .. }));
    }

    /// A rule of the workload was looked at: notes it if it is broken.
    pub(super) fn compare(&mut self, holds: bool, anomaly: &'static str, what: impl FnOnce() -> String) {
        self.recorder.compared += 1;
        if !holds {
            let (client, at) = (self.client.id(), self.client.now());
            self.recorder.findings.push(Finding { anomaly, client, at, what: what() });
        }
    }

    /// Whether nothing was answered so far that no right database answers.
    pub(super) fn is_calm(&self) -> bool {
        self.recorder.surprises.is_empty()
    }

    /// Notes where a statement of the operation at hand has read, and where it has committed.
    pub(super) fn note_positions(&mut self, executed: &Executed) {
        let newest = executed.snapshot.max(executed.committed);
        self.position = self.position.max(newest.unwrap_or(0));
        let record = self.record();
        record.snapshot = executed.snapshot.or(record.snapshot);
        record.commit = executed.committed.or(record.commit);
    }

    /// Puts a script on record before it is sent: it may happen without an answer.
    pub(super) fn note_script(&mut self, statements: Vec<String>) {
        let (client, at) = (self.client.id(), self.client.now());
        self.recorder.scripts.push(Script { client, at, statements, answers: None });
    }

    /// Notes the answers to the script at hand.
    pub(super) fn note_answers(&mut self, answers: Vec<Result<Output, Error>>) {
        self.recorder.scripts.last_mut().expect("a script is on record").answers = Some(answers);
    }

    /// The script at hand has not happened, and never will.
    pub(super) fn forget_script(&mut self) {
        self.recorder.scripts.pop().expect("a script is on record");
    }

    /// Executes a query and takes its only value, or none if there is no row.
    pub(super) async fn query_one(&mut self, sql: &str, params: &[Value]) -> Result<Option<i64>, Stop> {
        let rows = self.query(sql, params).await?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] if let [Value::Integer(value)] = row.as_slice() => Ok(Some(*value)),
            rows => Err(self.surprise(sql, format!("the rows {rows:?}"))),
        }
    }

    /// Executes a query and takes its rows.
    pub(super) async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, Stop> {
        match self.execute(sql, params).await? {
            Output::Select { rows, .. } => Ok(rows),
            other => Err(self.surprise(sql, format!("a query returned {other:?}"))),
        }
    }

    /// Executes a statement that must change exactly one row.
    pub(super) async fn change_one(&mut self, sql: &str, params: &[Value]) -> Result<(), Stop> {
        match self.execute(sql, params).await? {
            Output::Insert { count: 1 } | Output::Update { count: 1 } | Output::Delete { count: 1 } => Ok(()),
            other => Err(self.surprise(sql, format!("a change of one row returned {other:?}"))),
        }
    }

    /// Runs a transaction: `begin`, the body, and what the body says to do in the end.
    pub(super) async fn transaction(
        &mut self,
        begin: &str,
        body: impl AsyncFnOnce(&mut Self) -> Result<Finish, Stop>,
    ) -> Result<(), Stop> {
        let result = match self.execute(begin, &[]).await {
            Ok(_) => body(self).await,
            Err(stop) => return Err(stop),
        };
        match result {
            Ok(Finish::Commit) => {
                if self.record().writes() {
                    self.record().outcome = Outcome::Unknown;
                }
                self.execute("COMMIT", &[]).await.map(|_| ())
            }
            Ok(Finish::Rollback) => self.execute("ROLLBACK", &[]).await.map(|_| ()),
            Err(stop) => {
                // The answer does not matter: a transaction that is not committed never happens.
                let _ = self.client.execute("ROLLBACK", &[]).await;
                Err(stop)
            }
        }
    }

    /// Puts the end of the operation at hand on record.
    pub(super) fn complete(&mut self, result: Result<(), Stop>) -> Ended {
        let now = self.client.now();
        let attempt = self.attempt();
        attempt.transaction.complete = Some(now);
        match result {
            Ok(()) => attempt.transaction.outcome = Outcome::Ok,
            Err(Stop::Failure(Failure::Failed(error))) => {
                attempt.transaction.outcome = Outcome::Failed;
                attempt.conflict = is_conflict(&error);
            }
            // What was noted at the time of sending holds: unknown if it could commit.
            Err(Stop::Failure(Failure::Unknown { .. }) | Stop::Surprise) => {}
        }
        match attempt.transaction.outcome {
            Outcome::Ok => Ended::Ok,
            Outcome::Failed if attempt.conflict => Ended::Conflict,
            Outcome::Failed => Ended::Failed,
            Outcome::Unknown => Ended::Unknown,
        }
    }
}

/// Whether the transaction lost against another.
pub(super) fn is_conflict(error: &Error) -> bool {
    error.state == SqlState::SERIALIZATION_FAILURE
}

/// Whether the error is one that faults and other clients explain. By SQLSTATE: the connection or the transaction was lost,
/// the transaction was rolled back, too few resources (class 53), the node is going away (class 57), the snapshot is too old.
pub(super) fn is_expected(error: &Error) -> bool {
    let code = error.state.code();
    matches!(code, "25P01" | "40000" | "40001" | "72000") || matches!(&code[..2], "08" | "53" | "57")
}
