//! Runs a scenario's workload against a [`Client`]: the setup, each client's program, and the final read.

mod append;
mod bank;
mod register;
mod session;

use crate::client::{Client, Failure};
use crate::recorder::{Access, Outcome, Recorder};
use crate::scenario::{ClientProgram, Scenario, Workload, WorkloadKind};
use engine::sql::types::Value;
use engine::sql::{Error, Output, SqlState};
use session::{Ended, Session, is_conflict, is_expected};
use std::collections::BTreeMap;

/// How long to wait after a failure before the next try, in microseconds, and how long at most as tries go on.
const BACKOFF_US: u64 = 1_000;
const MAX_BACKOFF_US: u64 = 200_000;

/// How many rows of the first content go into one statement.
const ROWS_PER_INSERT: usize = 100;

/// A table with one row, that is changed when the faults are over, to see that writes go through again.
const CREATE_PROGRESS: &str = "CREATE TABLE progress (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)";
const INSERT_PROGRESS: &str = "INSERT INTO progress (id, n) VALUES (1, 0)";
const UPDATE_PROGRESS: &str = "UPDATE progress SET n = n + 1 WHERE id = 1";

/// What holds once the setup is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// A log position at which all tables have their first content, and from which on any can be read.
    pub position: u64,
}

/// Everything that is in the tables after the faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalRead {
    /// The log position of the read.
    pub snapshot: Option<u64>,
    /// The values of a register or bank workload, by key.
    pub values: BTreeMap<u32, i64>,
    /// The elements of an append workload, by list.
    pub lists: BTreeMap<u32, Vec<i64>>,
}

/// Why the setup or the final read cannot be done: no right database gives this answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// An error that no fault explains.
    #[error("{sql}: error {}: {error}", error.state.code())]
    Sql {
        /// The statement.
        sql: String,
        /// Its error.
        error: Error,
    },
    /// An answer that makes no sense.
    #[error("{sql}: {reason}")]
    Answer {
        /// The statement.
        sql: String,
        /// What is wrong about it.
        reason: String,
    },
}

/// Creates the tables and their first content. Tries each statement until it is done, so that the caller must bound the time.
/// No other client may run yet.
pub async fn run_setup<C: Client>(
    workload: &Workload,
    client: &mut C,
    recorder: &mut Recorder,
) -> Result<Setup, SetupError> {
    let (create, insert, rows) = first_content(workload);
    persist(client, create, &[], SqlState::DUPLICATE_TABLE).await?;
    persist(client, CREATE_PROGRESS, &[], SqlState::DUPLICATE_TABLE).await?;
    persist(client, INSERT_PROGRESS, &[], SqlState::UNIQUE_VIOLATION).await?;
    for rows in rows.chunks(ROWS_PER_INSERT) {
        let places: Vec<String> = (0..rows.len()).map(|i| format!("(${}, ${})", 2 * i + 1, 2 * i + 2)).collect();
        let sql = format!("{insert} {}", places.join(", "));
        persist(client, &sql, rows.as_flattened(), SqlState::UNIQUE_VIOLATION).await?;
    }
    // The positions of the insertions are unknown when an answer was lost. Since nobody else writes yet, the content may as
    // well be said to have been written where it is read back.
    let read = read_everything(workload, client).await?;
    let position = read.snapshot.ok_or_else(|| SetupError::Answer {
        sql: select_all(workload).to_owned(),
        reason: "the answer does not say at which position it was read".to_owned(),
    })?;
    let mut session = Session::new(client, recorder, position);
    session.invoke("setup");
    for (&key, &value) in &read.values {
        session.access(Access::Write { key, value: Some(value) });
    }
    if read.values.len() + read.lists.len() != rows.len() || read.lists.values().any(|list| !list.is_empty()) {
        session.surprise(select_all(workload), format!("the setup's rows are not there: {read:?}"));
    }
    let attempt = session.attempt();
    attempt.committed = Some(position);
    attempt.outcome = Outcome::Unknown;
    session.complete(Ok(()));
    Ok(Setup { position })
}

/// Runs a client's program to its end. The future can be dropped at any time: what is on record stays right.
pub async fn run_client<C: Client>(
    scenario: &Scenario,
    program: &ClientProgram,
    setup: Setup,
    client: &mut C,
    recorder: &mut Recorder,
) {
    let mut session = Session::new(client, recorder, setup.position);
    for step in &program.steps {
        session.client.sleep(step.think_us).await;
        for attempt in 0..=scenario.conflict_retries {
            let ended = match scenario.workload.kind() {
                WorkloadKind::Register => register::perform(&mut session, &step.operation).await,
                WorkloadKind::Bank => bank::perform(&mut session, &step.operation, setup.position).await,
                WorkloadKind::Append => append::perform(&mut session, &step.operation).await,
            };
            if ended != Ended::Conflict {
                break;
            }
            session.client.sleep(backoff_us(attempt)).await;
        }
    }
}

/// Changes something, which shows that the cluster makes progress, and then reads everything in one transaction. Tries until
/// it is done, so that the caller must bound the time.
pub async fn run_final<C: Client>(
    workload: &Workload,
    client: &mut C,
    recorder: &mut Recorder,
) -> Result<FinalRead, SetupError> {
    let mut tries = 0;
    loop {
        match client.execute(UPDATE_PROGRESS, &[]).await {
            Ok(executed) if executed.output == (Output::Update { count: 1 }) => break,
            Ok(executed) => {
                let reason = format!("a change of one row returned {:?}", executed.output);
                return Err(SetupError::Answer { sql: UPDATE_PROGRESS.to_owned(), reason });
            }
            Err(failure) => retry(client, UPDATE_PROGRESS, failure, &mut tries).await?,
        }
    }
    let invoked = client.now();
    let read = read_everything(workload, client).await?;
    let mut session = Session::new(client, recorder, 0);
    session.invoke("final read");
    session.attempt().invoked = invoked;
    session.attempt().snapshot = read.snapshot;
    for (&key, &value) in &read.values {
        session.access(Access::Read { key, value: Some(value) });
    }
    for (&list, elements) in &read.lists {
        session.access(Access::ReadList { list, elements: elements.clone() });
    }
    session.complete(Ok(()));
    Ok(read)
}

fn first_content(workload: &Workload) -> (&'static str, &'static str, Vec<[Value; 2]>) {
    let row = |key: u32, value| [Value::Integer(i64::from(key)), value];
    match *workload {
        Workload::Register { keys } => {
            let rows = (0..keys).map(|key| row(key, Value::Integer(register::initial(key)))).collect();
            (register::CREATE, "INSERT INTO registers (k, v) VALUES", rows)
        }
        Workload::Bank { accounts, balance } => (
            bank::CREATE,
            "INSERT INTO accounts (id, balance) VALUES",
            (0..accounts).map(|account| row(account, Value::Integer(balance))).collect(),
        ),
        Workload::Append { lists } => (
            append::CREATE,
            "INSERT INTO lists (k, items) VALUES",
            (0..lists).map(|list| row(list, Value::Text(String::new()))).collect(),
        ),
    }
}

fn select_all(workload: &Workload) -> &'static str {
    match workload.kind() {
        WorkloadKind::Register => register::SELECT_ALL,
        WorkloadKind::Bank => bank::SELECT_ALL,
        WorkloadKind::Append => append::SELECT_ALL,
    }
}

/// Executes a statement until it is done; `done` is the error that says that it was done before.
async fn persist<C: Client>(client: &mut C, sql: &str, params: &[Value], done: SqlState) -> Result<(), SetupError> {
    let mut tries = 0;
    loop {
        match client.execute(sql, params).await {
            Ok(_) => return Ok(()),
            Err(Failure::Failed(error)) if error.state == done && tries > 0 => return Ok(()),
            Err(failure) => retry(client, sql, failure, &mut tries).await?,
        }
    }
}

/// Reads all of the workload's table in a transaction, again and again until it is done.
async fn read_everything<C: Client>(workload: &Workload, client: &mut C) -> Result<FinalRead, SetupError> {
    let sql = select_all(workload);
    let mut tries = 0;
    loop {
        match read_once(client, sql).await {
            Ok((snapshot, rows)) => return everything(sql, snapshot, rows),
            Err(failure) => {
                // The answer does not matter: there is nothing to undo.
                let _ = client.execute("ROLLBACK", &[]).await;
                retry(client, sql, failure, &mut tries).await?;
            }
        }
    }
}

async fn read_once<C: Client>(client: &mut C, sql: &str) -> Result<(Option<u64>, Output), Failure> {
    client.execute("BEGIN READ ONLY", &[]).await?;
    let read = client.execute(sql, &[]).await?;
    client.execute("COMMIT", &[]).await?;
    Ok((read.snapshot, read.output))
}

fn everything(sql: &str, snapshot: Option<u64>, output: Output) -> Result<FinalRead, SetupError> {
    let wrong = |reason| SetupError::Answer { sql: sql.to_owned(), reason };
    let Output::Select { rows, .. } = output else {
        return Err(wrong(format!("a query returned {output:?}")));
    };
    let mut read = FinalRead { snapshot, values: BTreeMap::new(), lists: BTreeMap::new() };
    for row in rows {
        let new = match row.as_slice() {
            [Value::Integer(key), Value::Integer(value)] => read.values.insert(*key as u32, *value).is_none(),
            [Value::Integer(key), Value::Text(items)] => match append::parse(items) {
                Some(elements) => read.lists.insert(*key as u32, elements).is_none(),
                None => return Err(wrong(format!("the list {items:?}"))),
            },
            _ => return Err(wrong(format!("the row {row:?}"))),
        };
        if !new {
            return Err(wrong(format!("two rows with the key of {row:?}")));
        }
    }
    Ok(read)
}

/// Waits before the next try, if the failure is one that passes.
async fn retry<C: Client>(client: &mut C, sql: &str, failure: Failure, tries: &mut u32) -> Result<(), SetupError> {
    if let Failure::Failed(error) = failure
        && !is_conflict(&error)
        && !is_expected(&error)
    {
        return Err(SetupError::Sql { sql: sql.to_owned(), error });
    }
    client.sleep(backoff_us(*tries)).await;
    *tries += 1;
    Ok(())
}

fn backoff_us(tries: u32) -> u64 {
    (BACKOFF_US << tries.min(16)).min(MAX_BACKOFF_US)
}
