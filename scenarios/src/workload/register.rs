//! `register`: single rows that are read, written, compared and set, inserted and deleted, each in a statement of its own.

use super::session::{Ended, Session, Stop};
use crate::client::Client;
use crate::work::Operation;
use checkers::linearizability::register::{Op, Ret};
use engine::sql::Output;
use engine::sql::types::Value;

pub(super) const CREATE: &str = "CREATE TABLE registers (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)";
pub(super) const INSERT_ALL: &str = "INSERT INTO registers (k, v) VALUES";
const INSERT: &str = "INSERT INTO registers (k, v) VALUES ($1, $2)";
pub(super) const SELECT_ALL: &str = "SELECT k, v FROM registers";
pub(super) const SELECT: &str = "SELECT v FROM registers WHERE k = $1";
pub(super) const UPDATE: &str = "UPDATE registers SET v = $1 WHERE k = $2";
const COMPARE_AND_SET: &str = "UPDATE registers SET v = $1 WHERE k = $2 AND v = $3";
const DELETE: &str = "DELETE FROM registers WHERE k = $1";

/// What a register holds in the beginning.
pub(crate) fn first_value(key: u64) -> i64 {
    key as i64
}

pub(super) async fn perform<C: Client>(session: &mut Session<'_, C>, operation: &Operation) -> Ended {
    session.invoke(operation.name());
    let result = match *operation {
        Operation::Read { key } => read(session, key).await,
        Operation::Write { key } => {
            let value = session.fresh_value();
            session.ask(key, Op::Write(value));
            change(session, key, Some(value), UPDATE, &[Value::Integer(value), integer(key)]).await
        }
        Operation::CompareAndSet { key } => {
            let from = session.seen.get(&key).copied().unwrap_or(first_value(u64::from(key)));
            let to = session.fresh_value();
            session.ask(key, Op::CompareAndSet { from, to });
            let params = [Value::Integer(to), integer(key), Value::Integer(from)];
            change(session, key, Some(to), COMPARE_AND_SET, &params).await
        }
        Operation::Insert { key } => {
            let value = session.fresh_value();
            session.ask(key, Op::Insert(value));
            change(session, key, Some(value), INSERT, &[integer(key), Value::Integer(value)]).await
        }
        Operation::Delete { key } => {
            session.ask(key, Op::Delete);
            change(session, key, None, DELETE, &[integer(key)]).await
        }
        ref other => unreachable!("{} is no operation of register: scenarios are validated", other.name()),
    };
    session.complete(result)
}

async fn read<C: Client>(session: &mut Session<'_, C>, key: u32) -> Result<(), Stop> {
    session.ask(key, Op::Read);
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
    session.note_read(key, value);
    session.answer(Ret::Value(value));
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
    session.note_write(key, value);
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
        session.record().operations.clear();
    } else if let Some(value) = value {
        session.seen.insert(key, value);
    }
    session.answer(Ret::Changed(changed));
    Ok(())
}

fn integer(key: u32) -> Value {
    Value::Integer(i64::from(key))
}
