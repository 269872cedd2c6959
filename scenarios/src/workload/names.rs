//! `unique`: names of which each has one owner at most. They are claimed, released, and swapped by many at a time, and what
//! the constraint says is compared with what the same transaction sees: it must refuse whenever there is an owner, and
//! never else.

use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::work::Operation;
use engine::sql::types::Value;
use engine::sql::{Output, SqlState};
use std::collections::BTreeMap;

pub(super) const CREATE: &str = "CREATE TABLE names (id INTEGER PRIMARY KEY, name INTEGER NOT NULL UNIQUE)";
pub(super) const SELECT_ALL: &str = "SELECT name, id FROM names";
const SELECT: &str = "SELECT id FROM names WHERE name = $1";
const INSERT: &str = "INSERT INTO names (id, name) VALUES ($1, $2)";
const UPDATE: &str = "UPDATE names SET name = $1 WHERE name = $2";
const DELETE: &str = "DELETE FROM names WHERE name = $1";

const TAKEN: &[SqlState] = &[SqlState::UNIQUE_VIOLATION];

pub(super) async fn perform<C: Client>(session: &mut Session<'_, C>, operation: &Operation, names: u32) -> Ended {
    session.invoke(operation.name());
    let result = match *operation {
        Operation::Claim { name, look: false } => claim(session, name).await,
        Operation::Claim { name, look: true } => {
            let body = async |session: &mut Session<'_, C>| {
                let owner = owner(session, name).await?;
                let id = session.fresh_value();
                session.note_write(name, Some(id));
                let inserted = session.attempt_to(INSERT, &[Value::Integer(id), integer(name)], TAKEN).await?;
                finish(session, inserted, &Output::Insert { count: 1 }, owner.is_some(), name)
            };
            session.transaction("BEGIN", body).await
        }
        Operation::Release { name } => {
            session.note_write(name, None);
            match session.execute_alone(DELETE, &[integer(name)]).await {
                Ok(Output::Delete { count }) => {
                    session.compare(count <= 1, "duplicate-name", || format!("{count} rows had the name {name}"));
                    if count == 0 {
                        session.forget_writes();
                    }
                    Ok(())
                }
                Ok(other) => Err(session.surprise(DELETE, format!("a deletion returned {other:?}"))),
                Err(stop) => Err(stop),
            }
        }
        Operation::Rename { from, to } => {
            let body = async |session: &mut Session<'_, C>| {
                let (id, taken) = (owner(session, from).await?, owner(session, to).await?);
                if let Some(id) = id {
                    session.note_write(from, None);
                    session.note_write(to, Some(id));
                }
                let updated = session.attempt_to(UPDATE, &[integer(to), integer(from)], TAKEN).await?;
                let count = u64::from(id.is_some());
                finish(session, updated, &Output::Update { count }, id.is_some() && taken.is_some(), to)
            };
            session.transaction("BEGIN", body).await
        }
        Operation::ReadNames {} => {
            let body = async |session: &mut Session<'_, C>| {
                read_all(session, names).await?;
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN READ ONLY", body).await
        }
        ref other => unreachable!("{} is no operation of unique: scenarios are validated", other.name()),
    };
    session.complete(result)
}

/// Claims a name in a statement of its own.
async fn claim<C: Client>(session: &mut Session<'_, C>, name: u32) -> Result<(), Stop> {
    let id = session.fresh_value();
    session.note_write(name, Some(id));
    match session.attempt_alone(INSERT, &[Value::Integer(id), integer(name)], TAKEN).await? {
        Ok(Output::Insert { count: 1 }) => Ok(()),
        Ok(other) => Err(session.surprise(INSERT, format!("an insertion of one row returned {other:?}"))),
        Err(_) => {
            session.forget_writes();
            Ok(())
        }
    }
}

/// Compares what the constraint said with what the transaction saw.
fn finish<C: Client>(
    session: &mut Session<'_, C>,
    done: Result<Output, SqlState>,
    expected: &Output,
    taken: bool,
    name: u32,
) -> Result<Finish, Stop> {
    let Ok(output) = done else {
        session.compare(taken, "refused-without-reason", || format!("name {name} was refused, and nobody had it"));
        session.forget_writes();
        return Ok(Finish::Rollback);
    };
    session.compare(!taken, "duplicate-name", || format!("name {name} was given away, and it had an owner"));
    if output != *expected {
        return Err(session.surprise(CREATE, format!("{output:?}, not {expected:?}")));
    }
    Ok(Finish::Commit)
}

/// Who has a name, found by the constraint's index.
async fn owner<C: Client>(session: &mut Session<'_, C>, name: u32) -> Result<Option<i64>, Stop> {
    let rows = session.query(SELECT, &[integer(name)]).await?;
    session.compare(rows.len() <= 1, "duplicate-name", || format!("name {name} has {} owners: {rows:?}", rows.len()));
    let owner = match rows.first().map(Vec::as_slice) {
        None => None,
        Some([Value::Integer(id)]) => Some(*id),
        Some(row) => return Err(session.surprise(SELECT, format!("the row {row:?}"))),
    };
    session.note_read(name, owner);
    Ok(owner)
}

async fn read_all<C: Client>(session: &mut Session<'_, C>, names: u32) -> Result<(), Stop> {
    let mut owners = BTreeMap::new();
    for row in session.query(SELECT_ALL, &[]).await? {
        let [Value::Integer(name), Value::Integer(id)] = row[..] else {
            return Err(session.surprise(SELECT_ALL, format!("the row {row:?}")));
        };
        let earlier = owners.insert(name as u64, id);
        session.compare(earlier.is_none(), "duplicate-name", || {
            format!("name {name} has the owners {earlier:?} and {id}")
        });
    }
    session.note_all(&owners, names);
    Ok(())
}

fn integer(name: u32) -> Value {
    Value::Integer(i64::from(name))
}
