//! `sql`: each client runs statements of any kind on tables of its own. With nobody else there, they must have the answers that
//! they have in one process, whatever happens to the cluster.
//!
//! When it is unknown whether a script happened, the client commits something else before it goes on: then it has happened
//! before that, or never will.

use super::session::{Ended, Session, Stop, is_conflict, is_expected};
use super::{SetupError, backoff_us, retry};
use crate::client::{Client, Failure};
use crate::work::Operation;
use engine::sql::types::Value;
use engine::sql::{Error, Kind, Output, SqlState};
use std::collections::BTreeMap;

/// The table of what clients commit when they do not know.
pub(crate) const FENCES: &str = "fences";
pub(super) const CREATE: &str = "CREATE TABLE fences (client INTEGER PRIMARY KEY, n INTEGER NOT NULL)";
/// There is nothing that all clients share.
pub(super) const SELECT_NOTHING: &str = "SELECT client, n FROM fences WHERE client < 0";
const FENCE: &str = "INSERT INTO fences (client, n) VALUES ($1, 1) ON CONFLICT (client) DO UPDATE SET n = fences.n + 1";
const SELECT_TABLES: &str = "SELECT table_name FROM information_schema.tables \
                             WHERE table_type = 'BASE TABLE' AND table_schema = 'public' ORDER BY table_name";

/// How often a script is tried.
const TRIES: u32 = 30;

/// How a script ended, this time.
enum Tried {
    /// All statements were answered.
    Answered(Vec<Result<Output, Error>>),
    /// Nothing has happened.
    Failed(Error),
    Unknown,
}

pub(super) async fn perform<C: Client>(session: &mut Session<'_, C>, operation: &Operation) -> Ended {
    let Operation::Script { statements } = operation else {
        unreachable!("{} is no operation of sql: scenarios are validated", operation.name());
    };
    session.invoke(operation.name());
    session.note_script(statements.clone());
    for tries in 0..TRIES {
        match attempt(session, statements).await {
            Tried::Answered(answers) => {
                session.note_answers(answers);
                return session.complete(Ok(()));
            }
            Tried::Failed(error) if tries + 1 == TRIES => {
                session.forget_script();
                return session.complete(Err(Stop::Failure(Failure::Failed(error))));
            }
            Tried::Failed(_) => session.client.sleep(backoff_us(tries)).await,
            Tried::Unknown => {
                let result = fence(session).await;
                return session.complete(result);
            }
        }
    }
    unreachable!("the last try returns")
}

/// Commits something, which puts an end to what may still happen.
async fn fence<C: Client>(session: &mut Session<'_, C>) -> Result<(), Stop> {
    let params = [Value::Integer(session.client.id() as i64)];
    let mut tries = 0;
    loop {
        match session.execute(FENCE, &params).await {
            Ok(Output::Insert { count: 1 }) => return Ok(()),
            Ok(other) => return Err(session.surprise(FENCE, format!("an insertion of one row returned {other:?}"))),
            Err(Stop::Surprise) => return Err(Stop::Surprise),
            Err(Stop::Failure(Failure::Failed(error))) if !is_expected(&error) => {
                return Err(Stop::Failure(Failure::Failed(error)));
            }
            Err(Stop::Failure(_)) => session.client.sleep(backoff_us(tries)).await,
        }
        tries += 1;
    }
}

async fn attempt<C: Client>(session: &mut Session<'_, C>, statements: &[String]) -> Tried {
    let kind = |sql: &String| engine::sql::parse(sql).map_or(Kind::Query, |statement| statement.kind());
    let mut open = false;
    let mut answers = Vec::with_capacity(statements.len());
    for sql in statements {
        let kind = kind(sql);
        match session.client.execute(sql, &[]).await {
            Ok(executed) => {
                session.note_positions(&executed);
                answers.push(Ok(executed.output));
            }
            Err(Failure::Unknown { .. }) => return Tried::Unknown,
            Err(Failure::Failed(error)) if error.state == SqlState::STATEMENT_COMPLETION_UNKNOWN => {
                return Tried::Unknown;
            }
            Err(Failure::Failed(error)) if is_lost(&error, open) => {
                if open {
                    // The answer does not matter: a transaction that is not committed never happens.
                    let _ = session.client.execute("ROLLBACK", &[]).await;
                }
                return Tried::Failed(error);
            }
            Err(Failure::Failed(error)) => answers.push(Err(error)),
        }
        match kind {
            Kind::Begin { .. } => open = true,
            Kind::Commit | Kind::Rollback => open = false,
            _ => {}
        }
    }
    if open {
        // What shrinking has left of a transaction.
        let _ = session.client.execute("ROLLBACK", &[]).await;
    }
    Tried::Answered(answers)
}

/// Whether an error is for the faults to answer for, and not for the statement. A transaction can be gone without its
/// statements knowing.
fn is_lost(error: &Error, open: bool) -> bool {
    is_conflict(error) || (is_expected(error) && (open || error.state != SqlState::NO_ACTIVE_TRANSACTION))
}

/// The rows of all tables that scripts have made, at one position.
pub(super) async fn read_tables<C: Client>(client: &mut C) -> Result<BTreeMap<String, Vec<Vec<Value>>>, SetupError> {
    let mut tries = 0;
    loop {
        match read_tables_once(client).await {
            Ok(tables) => return Ok(tables),
            Err((sql, failure)) => {
                // The answer does not matter: there is nothing to undo.
                let _ = client.execute("ROLLBACK", &[]).await;
                retry(client, &sql, failure, &mut tries).await?;
            }
        }
    }
}

async fn read_tables_once<C: Client>(client: &mut C) -> Result<BTreeMap<String, Vec<Vec<Value>>>, (String, Failure)> {
    let mut tables = BTreeMap::new();
    select(client, "BEGIN READ ONLY").await?;
    for row in select(client, SELECT_TABLES).await? {
        let [Value::Text(table)] = row.as_slice() else {
            let error = Error::new(SqlState::INTERNAL_ERROR, format!("the row {row:?}"));
            return Err((SELECT_TABLES.to_owned(), Failure::Failed(error)));
        };
        if table != FENCES && table != "progress" {
            let rows = select(client, &format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""))).await?;
            tables.insert(table.to_string(), rows);
        }
    }
    select(client, "COMMIT").await?;
    Ok(tables)
}

async fn select<C: Client>(client: &mut C, sql: &str) -> Result<Vec<Vec<Value>>, (String, Failure)> {
    match client.execute(sql, &[]).await {
        Ok(executed) => match executed.output {
            Output::Select { rows, .. } => Ok(rows),
            _ => Ok(Vec::new()),
        },
        Err(failure) => Err((sql.to_owned(), failure)),
    }
}
