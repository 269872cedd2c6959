//! `register`: single rows that are read, written, compared and set, inserted and deleted, each in a statement of its own.

use super::session::{Ended, Session, Stop};
use crate::client::Client;
use crate::recorder::{Access, RegisterAnswer, RegisterCall};
use crate::scenario::Operation;
use engine::sql::Output;
use engine::sql::types::Value;

pub(super) const CREATE: &str = "CREATE TABLE registers (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)";
const INSERT: &str = "INSERT INTO registers (k, v) VALUES ($1, $2)";
pub(super) const SELECT_ALL: &str = "SELECT k, v FROM registers";
const SELECT: &str = "SELECT v FROM registers WHERE k = $1";
const UPDATE: &str = "UPDATE registers SET v = $1 WHERE k = $2";
const COMPARE_AND_SET: &str = "UPDATE registers SET v = $1 WHERE k = $2 AND v = $3";
const DELETE: &str = "DELETE FROM registers WHERE k = $1";

/// What a register holds in the beginning.
pub(super) fn initial(key: u32) -> i64 {
    i64::from(key)
}

pub(super) async fn perform<C: Client>(session: &mut Session<'_, C>, operation: &Operation) -> Ended {
    session.invoke(operation.name());
    let result = match *operation {
        Operation::Read { key } => read(session, key).await,
        Operation::Write { key } => {
            let value = session.fresh_value();
            session.call(key, RegisterCall::Write(value));
            change(session, key, Some(value), UPDATE, &[Value::Integer(value), integer(key)]).await
        }
        Operation::CompareAndSet { key } => {
            let from = session.seen.get(&key).copied().unwrap_or(initial(key));
            let to = session.fresh_value();
            session.call(key, RegisterCall::CompareAndSet { from, to });
            let params = [Value::Integer(to), integer(key), Value::Integer(from)];
            change(session, key, Some(to), COMPARE_AND_SET, &params).await
        }
        Operation::Insert { key } => {
            let value = session.fresh_value();
            session.call(key, RegisterCall::Insert(value));
            change(session, key, Some(value), INSERT, &[integer(key), Value::Integer(value)]).await
        }
        Operation::Delete { key } => {
            session.call(key, RegisterCall::Delete);
            change(session, key, None, DELETE, &[integer(key)]).await
        }
        ref other => unreachable!("{} is no operation of register: scenarios are validated", other.name()),
    };
    session.complete(result)
}

async fn read<C: Client>(session: &mut Session<'_, C>, key: u32) -> Result<(), Stop> {
    session.call(key, RegisterCall::Read);
    let rows = session.query(SELECT, &[integer(key)]).await?;
    let value = match rows.as_slice() {
        [] => None,
        [row] => match row.as_slice() {
            [Value::Integer(value)] => Some(*value),
            _ => return Err(session.surprise(SELECT, format!("the row {row:?}"))),
        },
        _ => return Err(session.surprise(SELECT, format!("{} rows for one primary key", rows.len()))),
    };
    if let Some(value) = value {
        session.seen.insert(key, value);
    }
    session.access(Access::Read { key, value });
    session.answer(RegisterAnswer::Value(value));
    Ok(())
}

/// Runs a statement that makes a register hold `value`, or be absent, if it changes anything.
async fn change<C: Client>(
    session: &mut Session<'_, C>,
    key: u32,
    value: Option<i64>,
    sql: &str,
    params: &[Value],
) -> Result<(), Stop> {
    session.access(Access::Write { key, value });
    let output = if sql == INSERT {
        session.insert_alone(sql, params).await?
    } else {
        Some(session.execute_alone(sql, params).await?)
    };
    let changed = match output {
        // The row was there: an answer like any other.
        None => false,
        Some(Output::Insert { count: 1 }) => true,
        Some(Output::Update { count } | Output::Delete { count }) if count <= 1 => count == 1,
        Some(other) => return Err(session.surprise(sql, format!("a change of one row returned {other:?}"))),
    };
    if !changed {
        session.attempt().accesses.clear();
    } else if let Some(value) = value {
        session.seen.insert(key, value);
    }
    session.answer(RegisterAnswer::Changed(changed));
    Ok(())
}

fn integer(key: u32) -> Value {
    Value::Integer(i64::from(key))
}
