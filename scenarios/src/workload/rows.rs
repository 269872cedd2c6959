//! Transactions on the rows of the register workload's table: `write-skew` reads two and writes one, `long-fork` writes one
//! or reads several, `time-travel` reads several as they were, and `ddl` does all of it while the table changes.

use super::register;
use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::work::{Isolation, Operation, RowOperation};
use engine::sql::types::Value;

/// Performs an operation. Reads of the past go back to the position `oldest` at most.
pub(super) async fn perform<C: Client>(
    session: &mut Session<'_, C>,
    operation: &Operation,
    isolation: Isolation,
    oldest: u64,
) -> Ended {
    session.invoke(operation.name());
    let Operation::OnRows { operations, back } = operation else {
        unreachable!("{} is no operation on rows: scenarios are validated", operation.name());
    };
    let begin = match (back, isolation) {
        (Some(back), _) => {
            session.record().historic = true;
            if back % 2 == 1 {
                return perform_by_time(session, operations, *back, oldest).await;
            }
            let position = session.position.saturating_sub(*back).max(oldest);
            format!("BEGIN READ ONLY AS OF SYSTEM TIME {position}")
        }
        (None, Isolation::Snapshot) => "BEGIN ISOLATION LEVEL SNAPSHOT".to_owned(),
        (None, Isolation::Serializable) => "BEGIN ISOLATION LEVEL SERIALIZABLE".to_owned(),
    };
    let body = async |session: &mut Session<'_, C>| all(session, operations).await;
    let result = session.transaction(&begin, body).await;
    session.complete(result)
}

/// How long ago an operation reads by time, for each position that it would go back.
const BACK_MS: u64 = 10;

/// Reads rows as they were some time ago, by the clock of the node. Where that was before the table was there, nothing is read.
async fn perform_by_time<C: Client>(
    session: &mut Session<'_, C>,
    operations: &[RowOperation],
    back: u64,
    oldest: u64,
) -> Ended {
    let begin = format!("BEGIN READ ONLY AS OF SYSTEM TIME '-{}ms'", back * BACK_MS);
    let body = async |session: &mut Session<'_, C>| {
        if session.record().snapshot.is_none_or(|snapshot| snapshot < oldest) {
            return Ok(Finish::Rollback);
        }
        all(session, operations).await
    };
    let result = session.transaction(&begin, body).await;
    session.complete(result)
}

/// Performs what a transaction does with its rows.
async fn all<C: Client>(session: &mut Session<'_, C>, operations: &[RowOperation]) -> Result<Finish, Stop> {
    for &operation in operations {
        match operation {
            RowOperation::Get { key } => {
                get(session, key).await?;
            }
            RowOperation::Put { key } => put(session, key).await?,
        }
    }
    Ok(Finish::Commit)
}

/// Reads a row.
pub(super) async fn get<C: Client>(session: &mut Session<'_, C>, key: u32) -> Result<Option<i64>, Stop> {
    let value = session.query_one(register::SELECT, &[integer(key)]).await?;
    session.note_read(key, value);
    Ok(value)
}

/// Writes a row, which must be there.
pub(super) async fn put<C: Client>(session: &mut Session<'_, C>, key: u32) -> Result<(), Stop> {
    let value = session.fresh_value();
    session.note_write(key, Some(value));
    session.change_one(register::UPDATE, &[Value::Integer(value), integer(key)]).await
}

fn integer(key: u32) -> Value {
    Value::Integer(i64::from(key))
}
