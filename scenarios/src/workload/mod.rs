//! Runs a scenario's workload against a [`Client`]: the setup, each client's program, and the final read.

mod append;
mod bank;
mod ddl;
mod families;
mod items;
mod names;
mod register;
mod rows;
mod script;
mod session;

use crate::client::{Client, Failure};
use crate::recorder::Recorder;
use crate::scenario::Scenario;
use crate::work::{ClientProgram, Isolation, Operation, Way, Workload};
use engine::sql::types::Value;
use engine::sql::{Error, Output, SqlState};
pub(crate) use register::first_value;
pub(crate) use script::FENCES;
use session::{Ended, Session, is_expected};
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
#[derive(Clone, Debug, PartialEq)]
pub struct FinalRead {
    /// The log position of the read.
    pub snapshot: Option<u64>,
    /// The values of a register or bank workload, by key.
    pub values: BTreeMap<u64, i64>,
    /// The elements of an append workload, by list.
    pub lists: BTreeMap<u64, Vec<i64>>,
    /// The rows of the tables that scripts have made, by table.
    pub tables: BTreeMap<String, Vec<Vec<Value>>>,
}

/// Why the setup or the final read cannot be done: no right database gives this answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// An error that no fault explains.
    #[error("{sql}: error: {error}")]
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
    let Content { create, insert, rows } = first_content(workload);
    for create in &create {
        persist(client, create, &[], SqlState::DUPLICATE_TABLE).await?;
    }
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
        sql: select_all(workload),
        reason: "the answer does not say at which position it was read".to_owned(),
    })?;
    let rows = rows.into_iter().map(Vec::from).collect();
    let written = everything(insert, read.snapshot, Output::Select { columns: Vec::new(), rows })?;
    if read != written {
        let reason = format!("{read:?} was read after {written:?} was written");
        return Err(SetupError::Answer { sql: select_all(workload), reason });
    }
    let mut session = Session::new(client, recorder, position);
    session.invoke("setup");
    for (&key, &value) in &read.values {
        session.note_write(key, Some(value));
    }
    let record = session.record();
    record.commit = record.writes().then_some(position);
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
            let ended = perform(&mut session, &scenario.workload, &step.operation, setup.position).await;
            if ended != Ended::Conflict {
                break;
            }
            session.client.sleep(backoff_us(attempt)).await;
        }
    }
}

/// Changes something, which shows that the cluster makes progress, and then reads everything in one transaction. Tries until
/// it is done, so that the caller must bound the time. The client must not be one that ran a program: it may have been
/// stopped in the middle of an operation, and a client has one at a time.
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
    if let Some(operation) = compare_everything(workload) {
        let mut tries = 0;
        let mut session = Session::new(client, recorder, 0);
        while perform(&mut session, workload, &operation, 0).await != Ended::Ok && session.is_calm() {
            session.client.sleep(backoff_us(tries)).await;
            tries += 1;
        }
    }
    let invoked = client.now();
    let mut read = read_everything(workload, client).await?;
    if *workload == (Workload::Sql {}) {
        read.tables = script::read_tables(client).await?;
    }
    let mut session = Session::new(client, recorder, 0);
    session.invoke("final read");
    session.record().invoke = invoked;
    session.record().snapshot = read.snapshot;
    match *workload {
        Workload::Append { lists } => {
            for list in 0..u64::from(lists) {
                session.note_list(list, read.lists.get(&list).cloned().unwrap_or_default());
            }
        }
        _ => session.note_all(&read.values, rows(workload)),
    }
    session.complete(Ok(()));
    Ok(read)
}

/// Performs an operation. Reads of the past go back to the position `oldest` at most.
async fn perform<C: Client>(
    session: &mut Session<'_, C>,
    workload: &Workload,
    operation: &Operation,
    oldest: u64,
) -> Ended {
    match *workload {
        Workload::Register { .. } => register::perform(session, operation).await,
        Workload::Bank { accounts, .. } => bank::perform(session, operation, accounts, oldest).await,
        Workload::Append { .. } => append::perform(session, operation).await,
        Workload::WriteSkew { isolation, .. } => rows::perform(session, operation, isolation, oldest).await,
        Workload::LongFork { .. } | Workload::TimeTravel { .. } => {
            rows::perform(session, operation, Isolation::Snapshot, oldest).await
        }
        Workload::Unique { names } => names::perform(session, operation, names).await,
        Workload::ForeignKey { parents, children, on_delete } => {
            families::perform(session, operation, families::Families { parents, children, on_delete }).await
        }
        Workload::Index { items, buckets } => items::perform(session, operation, items, buckets).await,
        Workload::Ddl { .. } => match operation {
            Operation::OnRows { .. } => rows::perform(session, operation, Isolation::Snapshot, oldest).await,
            _ => ddl::perform(session, operation).await,
        },
        Workload::Sql {} => script::perform(session, operation).await,
    }
}

/// What reads everything in more than one way, and compares.
fn compare_everything(workload: &Workload) -> Option<Operation> {
    match workload {
        Workload::Unique { .. } => Some(Operation::ReadNames {}),
        Workload::ForeignKey { .. } => Some(Operation::ReadFamilies {}),
        Workload::Index { .. } => Some(Operation::ReadItems {}),
        Workload::Ddl { .. } => Some(Operation::ReadThrough { key: 0, way: Way::Value }),
        _ => None,
    }
}

/// How many rows there can be.
fn rows(workload: &Workload) -> u32 {
    match *workload {
        Workload::Register { keys }
        | Workload::WriteSkew { keys, .. }
        | Workload::LongFork { keys }
        | Workload::TimeTravel { keys }
        | Workload::Ddl { keys } => keys,
        Workload::Bank { accounts, .. } => accounts,
        Workload::Append { lists } => lists,
        Workload::Unique { names } => names,
        Workload::ForeignKey { parents, children, .. } => parents + children,
        Workload::Index { items, .. } => items,
        Workload::Sql {} => 0,
    }
}

/// What a workload's tables are made of.
struct Content {
    create: Vec<String>,
    /// Inserts rows of two columns, without the rows.
    insert: &'static str,
    rows: Vec<[Value; 2]>,
}

fn first_content(workload: &Workload) -> Content {
    let row = |key: u32, value| [Value::Integer(i64::from(key)), value];
    let create = |create: &str| vec![create.to_owned()];
    let registers = || (0..rows(workload)).map(|key| row(key, Value::Integer(first_value(u64::from(key))))).collect();
    match *workload {
        Workload::Register { .. }
        | Workload::WriteSkew { .. }
        | Workload::LongFork { .. }
        | Workload::TimeTravel { .. }
        | Workload::Ddl { .. } => {
            Content { create: create(register::CREATE), insert: register::INSERT_ALL, rows: registers() }
        }
        Workload::Bank { accounts, balance } => Content {
            create: create(bank::CREATE),
            insert: "INSERT INTO accounts (id, balance) VALUES",
            rows: (0..accounts).map(|account| row(account, Value::Integer(balance))).collect(),
        },
        Workload::Append { lists } => Content {
            create: create(append::CREATE),
            insert: "INSERT INTO lists (k, items) VALUES",
            rows: (0..lists).map(|list| row(list, Value::from(""))).collect(),
        },
        Workload::Unique { .. } => Content { create: create(names::CREATE), insert: "", rows: Vec::new() },
        Workload::ForeignKey { parents, on_delete, .. } => Content {
            create: families::create(on_delete),
            insert: "INSERT INTO parents (id, v) VALUES",
            rows: (0..parents).map(|id| row(id, Value::Integer(first_value(u64::from(id))))).collect(),
        },
        Workload::Index { .. } => {
            Content { create: items::CREATE.map(str::to_owned).to_vec(), insert: "", rows: Vec::new() }
        }
        Workload::Sql {} => Content { create: create(script::CREATE), insert: "", rows: Vec::new() },
    }
}

fn select_all(workload: &Workload) -> String {
    match *workload {
        Workload::Register { .. }
        | Workload::WriteSkew { .. }
        | Workload::LongFork { .. }
        | Workload::TimeTravel { .. }
        | Workload::Ddl { .. } => register::SELECT_ALL.to_owned(),
        Workload::Bank { .. } => bank::SELECT_ALL.to_owned(),
        Workload::Append { .. } => append::SELECT_ALL.to_owned(),
        Workload::Unique { .. } => names::SELECT_ALL.to_owned(),
        Workload::ForeignKey { parents, .. } => families::select_all(parents),
        Workload::Index { .. } => items::SELECT_ALL.to_owned(),
        Workload::Sql {} => script::SELECT_NOTHING.to_owned(),
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
    let sql = &select_all(workload);
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
    let mut read = FinalRead { snapshot, values: BTreeMap::new(), lists: BTreeMap::new(), tables: BTreeMap::new() };
    for row in rows {
        let new = match row.as_slice() {
            [Value::Integer(key), value] if let Ok(key) = u64::try_from(*key) => match value {
                Value::Integer(value) => Some(read.values.insert(key, *value).is_none()),
                Value::Text(items) => append::parse(items).map(|elements| read.lists.insert(key, elements).is_none()),
                _ => None,
            },
            _ => None,
        };
        let Some(new) = new else {
            return Err(wrong(format!("the row {row:?}")));
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
