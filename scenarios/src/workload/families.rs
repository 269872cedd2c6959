//! `foreign-key`: children that have parents. Both come and go at many clients at a time; in no snapshot there is a child whose
//! parent is not, and a statement is refused whenever the transaction sees why, and never else.

use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::work::{OnDelete, Operation};
use engine::sql::types::Value;
use engine::sql::{Output, SqlState};
use std::collections::BTreeMap;

const SELECT_PARENTS: &str = "SELECT id, v FROM parents";
const SELECT_PARENT: &str = "SELECT v FROM parents WHERE id = $1";
const INSERT_PARENT: &str = "INSERT INTO parents (id, v) VALUES ($1, $2)";
const DELETE_PARENT: &str = "DELETE FROM parents WHERE id = $1";
const SELECT_CHILDREN: &str = "SELECT id, parent, v FROM children";
const SELECT_CHILDREN_OF: &str = "SELECT id, v FROM children WHERE parent = $1";
const SELECT_CHILD: &str = "SELECT v FROM children WHERE id = $1";
const INSERT_CHILD: &str = "INSERT INTO children (id, parent, v) VALUES ($1, $2, $3)";
const MOVE_CHILD: &str = "UPDATE children SET parent = $1, v = $2 WHERE id = $3";
const DELETE_CHILD: &str = "DELETE FROM children WHERE id = $1";

/// How many there can be, and what becomes of children without parents.
#[derive(Clone, Copy)]
pub(super) struct Families {
    pub(super) parents: u32,
    pub(super) children: u32,
    pub(super) on_delete: OnDelete,
}

/// The tables.
pub(super) fn create(on_delete: OnDelete) -> Vec<String> {
    let action = match on_delete {
        OnDelete::NoAction => "NO ACTION",
        OnDelete::Cascade => "CASCADE",
        OnDelete::SetNull => "SET NULL",
    };
    vec![
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)".to_owned(),
        format!(
            "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) ON DELETE {action}, \
             v INTEGER NOT NULL)"
        ),
    ]
}

/// Both tables as one, with the children after the parents.
pub(super) fn select_all(parents: u32) -> String {
    format!("SELECT id, v FROM parents UNION ALL SELECT id + {parents}, v FROM children")
}

pub(super) async fn perform<C: Client>(
    session: &mut Session<'_, C>,
    operation: &Operation,
    families: Families,
) -> Ended {
    session.invoke(operation.name());
    let key = |child: u32| families.parents + child;
    let result = match *operation {
        Operation::AddParent { parent } => {
            let v = session.fresh_value();
            insert(session, parent, v, INSERT_PARENT, &[integer(parent), Value::Integer(v)]).await
        }
        Operation::RemoveParent { parent } => {
            let body = async |session: &mut Session<'_, C>| remove(session, families, parent).await;
            session.transaction("BEGIN", body).await
        }
        Operation::AddChild { child, parent, look: false } => {
            let v = session.fresh_value();
            insert(session, key(child), v, INSERT_CHILD, &[integer(child), integer(parent), Value::Integer(v)]).await
        }
        Operation::AddChild { child, parent, look: true } => {
            let body = async |session: &mut Session<'_, C>| {
                let (mother, before) = look(session, key(child), child, parent).await?;
                let v = session.fresh_value();
                session.note_write(key(child), Some(v));
                let params = [integer(child), integer(parent), Value::Integer(v)];
                let done = session.attempt_to(INSERT_CHILD, &params, REFUSALS).await?;
                let count = 1;
                let refused = mother.is_none() || before.is_some();
                finish(session, done, &Output::Insert { count }, refused, &format!("child {child} of {parent}"))
            };
            session.transaction("BEGIN", body).await
        }
        Operation::MoveChild { child, parent } => {
            let body = async |session: &mut Session<'_, C>| {
                let (mother, before) = look(session, key(child), child, parent).await?;
                let v = session.fresh_value();
                if before.is_some() {
                    session.note_write(key(child), Some(v));
                }
                let params = [integer(parent), Value::Integer(v), integer(child)];
                let done = session.attempt_to(MOVE_CHILD, &params, REFUSALS).await?;
                let count = u64::from(before.is_some());
                let refused = mother.is_none() && before.is_some();
                finish(session, done, &Output::Update { count }, refused, &format!("child {child} of {parent}"))
            };
            session.transaction("BEGIN", body).await
        }
        Operation::RemoveChild { child } => {
            session.note_write(key(child), None);
            match session.execute_alone(DELETE_CHILD, &[integer(child)]).await {
                Ok(Output::Delete { count: 1 }) => Ok(()),
                Ok(Output::Delete { count: 0 }) => {
                    session.forget_writes();
                    Ok(())
                }
                Ok(other) => Err(session.surprise(DELETE_CHILD, format!("a deletion returned {other:?}"))),
                Err(stop) => Err(stop),
            }
        }
        Operation::ReadFamilies {} => {
            let body = async |session: &mut Session<'_, C>| read_all(session, families).await;
            session.transaction("BEGIN READ ONLY", body).await
        }
        ref other => unreachable!("{} is no operation of foreign-key: scenarios are validated", other.name()),
    };
    session.complete(result)
}

/// Why an insertion or a change may be refused.
const REFUSALS: &[SqlState] = &[SqlState::UNIQUE_VIOLATION, SqlState::FOREIGN_KEY_VIOLATION];

/// Inserts a row in a statement of its own.
async fn insert<C: Client>(
    session: &mut Session<'_, C>,
    key: u32,
    v: i64,
    sql: &str,
    params: &[Value],
) -> Result<(), Stop> {
    session.note_write(key, Some(v));
    match session.attempt_alone(sql, params, REFUSALS).await? {
        Ok(Output::Insert { count: 1 }) => Ok(()),
        Ok(other) => Err(session.surprise(sql, format!("an insertion of one row returned {other:?}"))),
        Err(_) => {
            session.forget_writes();
            Ok(())
        }
    }
}

/// The parent and the child as they are.
async fn look<C: Client>(
    session: &mut Session<'_, C>,
    key: u32,
    child: u32,
    parent: u32,
) -> Result<(Option<i64>, Option<i64>), Stop> {
    let mother = session.query_one(SELECT_PARENT, &[integer(parent)]).await?;
    session.note_read(parent, mother);
    let before = session.query_one(SELECT_CHILD, &[integer(child)]).await?;
    session.note_read(key, before);
    Ok((mother, before))
}

/// Compares what the constraints said with what the transaction saw.
fn finish<C: Client>(
    session: &mut Session<'_, C>,
    done: Result<Output, SqlState>,
    expected: &Output,
    refused: bool,
    what: &str,
) -> Result<Finish, Stop> {
    match done {
        Ok(output) => {
            session.compare(!refused, "constraint-broken", || format!("{what} was accepted, against what was there"));
            if !refused && output != *expected {
                return Err(session.surprise(what, format!("{output:?}, not {expected:?}")));
            }
            Ok(Finish::Commit)
        }
        Err(state) => {
            let code = state.code().to_owned();
            session.compare(refused, "refused-without-reason", || format!("{what} was refused with {code}"));
            session.forget_writes();
            Ok(Finish::Rollback)
        }
    }
}

/// Deletes a parent.
async fn remove<C: Client>(session: &mut Session<'_, C>, families: Families, parent: u32) -> Result<Finish, Stop> {
    let before = session.query_one(SELECT_PARENT, &[integer(parent)]).await?;
    session.note_read(parent, before);
    let mut children = Vec::new();
    for row in session.query(SELECT_CHILDREN_OF, &[integer(parent)]).await? {
        let [Value::Integer(child), Value::Integer(v)] = row[..] else {
            return Err(session.surprise(SELECT_CHILDREN_OF, format!("the row {row:?}")));
        };
        let child = families.parents + child as u32;
        session.note_read(child, Some(v));
        children.push(child);
    }
    let orphans = before.is_none() && !children.is_empty();
    session
        .compare(!orphans, "orphan", || format!("parent {parent} is not there, and {} children are", children.len()));
    if before.is_some() {
        session.note_write(parent, None);
        if families.on_delete == OnDelete::Cascade {
            for &child in &children {
                session.note_write(child, None);
            }
        }
    }
    let done = session.attempt_to(DELETE_PARENT, &[integer(parent)], REFUSALS).await?;
    let refused = families.on_delete == OnDelete::NoAction && !children.is_empty();
    let count = u64::from(before.is_some());
    finish(session, done, &Output::Delete { count }, refused, &format!("removal of parent {parent}"))
}

async fn read_all<C: Client>(session: &mut Session<'_, C>, families: Families) -> Result<Finish, Stop> {
    let mut all = BTreeMap::new();
    for row in session.query(SELECT_PARENTS, &[]).await? {
        let [Value::Integer(parent), Value::Integer(v)] = row[..] else {
            return Err(session.surprise(SELECT_PARENTS, format!("the row {row:?}")));
        };
        all.insert(parent as u64, v);
    }
    for row in session.query(SELECT_CHILDREN, &[]).await? {
        let (child, parent, v) = match row[..] {
            [Value::Integer(child), Value::Integer(parent), Value::Integer(v)] => (child, Some(parent), v),
            [Value::Integer(child), Value::Null, Value::Integer(v)] => (child, None, v),
            _ => return Err(session.surprise(SELECT_CHILDREN, format!("the row {row:?}"))),
        };
        let orphan = parent.is_some_and(|parent| !all.contains_key(&(parent as u64)));
        session.compare(!orphan, "orphan", || format!("child {child} has the parent {parent:?}, who is not there"));
        all.insert(u64::from(families.parents) + child as u64, v);
    }
    session.note_all(&all, families.parents + families.children);
    Ok(Finish::Commit)
}

fn integer(id: u32) -> Value {
    Value::Integer(i64::from(id))
}
