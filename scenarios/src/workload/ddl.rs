//! `ddl`: the register workload's table gets and loses an index, a column and a view while transactions read and write its
//! rows. No row may be lost by it, an index must find what is there however long it has been there itself, and a new
//! column holds its default.

use super::rows;
use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::work::{Operation, SchemaChange, Way};
use engine::sql::types::Value;
use engine::sql::{Output, SqlState};

/// The default of the column that comes and goes.
const DEFAULT: i64 = 7;

const BY_VALUE: &str = "SELECT k FROM registers WHERE v = $1";
const COLUMN: &str = "SELECT extra FROM registers WHERE k = $1";
const VIEW: &str = "SELECT v FROM seen WHERE k = $1";

pub(super) async fn perform<C: Client>(session: &mut Session<'_, C>, operation: &Operation) -> Ended {
    session.invoke(operation.name());
    let result = match *operation {
        Operation::Alter { change, with: None, undo: false } => {
            let (sql, accepted) = statement(change);
            match session.attempt_alone(sql, &[], accepted).await {
                Ok(done) => changed(session, sql, done),
                Err(stop) => Err(stop),
            }
        }
        Operation::Alter { change, with, undo } => {
            let (sql, accepted) = statement(change);
            let body = async |session: &mut Session<'_, C>| {
                if let Some(key) = with {
                    rows::put(session, key).await?;
                }
                let done = session.attempt_to(sql, &[], accepted).await?;
                if undo || done.is_err() {
                    session.forget_writes();
                    return Ok(Finish::Rollback);
                }
                changed(session, sql, done)?;
                if let Some(key) = with {
                    rows::get(session, key).await?;
                }
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN", body).await
        }
        Operation::ReadThrough { key, way } => {
            let body = async |session: &mut Session<'_, C>| {
                let value = rows::get(session, key).await?;
                through(session, key, value, way).await?;
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN READ ONLY", body).await
        }
        ref other => unreachable!("{} is no operation of ddl: scenarios are validated", other.name()),
    };
    session.complete(result)
}

/// A change's statement, and how it may fail.
fn statement(change: SchemaChange) -> (&'static str, &'static [SqlState]) {
    match change {
        SchemaChange::CreateIndex => ("CREATE INDEX by_value ON registers (v)", &[SqlState::DUPLICATE_TABLE]),
        SchemaChange::DropIndex => ("DROP INDEX by_value", &[SqlState::UNDEFINED_OBJECT]),
        SchemaChange::AddColumn => {
            ("ALTER TABLE registers ADD COLUMN extra INTEGER NOT NULL DEFAULT 7", &[SqlState::DUPLICATE_COLUMN])
        }
        SchemaChange::DropColumn => ("ALTER TABLE registers DROP COLUMN extra", &[SqlState::UNDEFINED_COLUMN]),
        SchemaChange::CreateView => ("CREATE VIEW seen AS SELECT k, v FROM registers", &[SqlState::DUPLICATE_TABLE]),
        SchemaChange::DropView => ("DROP VIEW seen", &[SqlState::UNDEFINED_TABLE]),
    }
}

fn changed<C: Client>(session: &mut Session<'_, C>, sql: &str, done: Result<Output, SqlState>) -> Result<(), Stop> {
    match done {
        Ok(Output::CreateIndex | Output::DropIndex | Output::AlterTable | Output::CreateView | Output::DropView)
        | Err(_) => Ok(()),
        Ok(other) => Err(session.surprise(sql, format!("a change of the schema returned {other:?}"))),
    }
}

/// Compares a row with what another way leads to.
async fn through<C: Client>(session: &mut Session<'_, C>, key: u32, value: Option<i64>, way: Way) -> Result<(), Stop> {
    let (sql, param, expected) = match (way, value) {
        (Way::Value, Some(value)) => (BY_VALUE, Value::Integer(value), Some(i64::from(key))),
        (Way::Value, None) => return Ok(()),
        (Way::Column, _) => (COLUMN, Value::Integer(i64::from(key)), value.map(|_| DEFAULT)),
        (Way::View, _) => (VIEW, Value::Integer(i64::from(key)), value),
    };
    let accepted = match way {
        Way::Value => &[][..],
        Way::Column => &[SqlState::UNDEFINED_COLUMN],
        Way::View => &[SqlState::UNDEFINED_TABLE],
    };
    let rows = match session.attempt_to(sql, &[param], accepted).await? {
        Ok(Output::Select { rows, .. }) => rows,
        Ok(other) => return Err(session.surprise(sql, format!("a query returned {other:?}"))),
        Err(_) => return Ok(()),
    };
    let expected: Vec<Vec<Value>> = expected.into_iter().map(|value| vec![Value::Integer(value)]).collect();
    session.compare(rows == expected, "schema-disagrees", || {
        format!("row {key} holds {value:?}; {sql:?} gave {rows:?}, not {expected:?}")
    });
    Ok(())
}
