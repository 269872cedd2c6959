//! `index`: items in buckets, which are found by an index and by looking at all of them. In every snapshot both ways must
//! lead to the same.

use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::work::Operation;
use engine::sql::Output;
use engine::sql::types::Value;
use std::collections::BTreeMap;

pub(super) const CREATE: [&str; 3] = [
    "CREATE TABLE items (id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, v INTEGER NOT NULL)",
    "CREATE INDEX items_by_bucket ON items (bucket)",
    "CREATE UNIQUE INDEX items_by_v ON items (v DESC)",
];
pub(super) const SELECT_ALL: &str = "SELECT id, v FROM items";
const SELECT: &str = "SELECT id, bucket, v FROM items";
const PUT: &str = "INSERT INTO items (id, bucket, v) VALUES ($1, $2, $3) \
                   ON CONFLICT (id) DO UPDATE SET bucket = excluded.bucket, v = excluded.v";
const DELETE: &str = "DELETE FROM items WHERE id = $1";
const MOVE: &str = "UPDATE items SET bucket = $1 WHERE bucket = $2";
const BY_BUCKET: &str = "SELECT id, v FROM items WHERE bucket = $1";
const BY_VALUE: &str = "SELECT id FROM items WHERE v = $1";

pub(super) async fn perform<C: Client>(
    session: &mut Session<'_, C>,
    operation: &Operation,
    items: u32,
    buckets: u32,
) -> Ended {
    session.invoke(operation.name());
    let result = match *operation {
        Operation::PutItem { item, bucket } => {
            let v = session.fresh_value();
            session.note_write(item, Some(v));
            match session.execute_alone(PUT, &[integer(item), integer(bucket), Value::Integer(v)]).await {
                Ok(Output::Insert { count: 1 }) => Ok(()),
                Ok(other) => Err(session.surprise(PUT, format!("an insertion of one row returned {other:?}"))),
                Err(stop) => Err(stop),
            }
        }
        Operation::DropItem { item } => {
            session.note_write(item, None);
            match session.execute_alone(DELETE, &[integer(item)]).await {
                Ok(Output::Delete { count: 1 }) => Ok(()),
                Ok(Output::Delete { count: 0 }) => {
                    session.forget_writes();
                    Ok(())
                }
                Ok(other) => Err(session.surprise(DELETE, format!("a deletion returned {other:?}"))),
                Err(stop) => Err(stop),
            }
        }
        // Values stay what they are, so this is no write to the checkers of values.
        Operation::MoveItems { from, to } => match session.execute_alone(MOVE, &[integer(to), integer(from)]).await {
            Ok(Output::Update { .. }) => Ok(()),
            Ok(other) => Err(session.surprise(MOVE, format!("a change returned {other:?}"))),
            Err(stop) => Err(stop),
        },
        Operation::ReadBucket { bucket } => {
            let body = async |session: &mut Session<'_, C>| {
                let found = by_bucket(session, bucket).await?;
                let all = all(session).await?;
                compare(session, bucket, &found, &all);
                if let Some((&id, &v)) = found.first_key_value() {
                    let by_value = session.query_one(BY_VALUE, &[Value::Integer(v)]).await?;
                    session.compare(by_value == Some(id as i64), "index-disagrees", || {
                        format!("item {id} holds {v}; the index on values leads to {by_value:?}")
                    });
                }
                note(session, items, &all);
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN READ ONLY", body).await
        }
        Operation::ReadItems {} => {
            let body = async |session: &mut Session<'_, C>| {
                let all = all(session).await?;
                for bucket in 0..buckets {
                    let found = by_bucket(session, bucket).await?;
                    compare(session, bucket, &found, &all);
                }
                note(session, items, &all);
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN READ ONLY", body).await
        }
        ref other => unreachable!("{} is no operation of index: scenarios are validated", other.name()),
    };
    session.complete(result)
}

/// All items: bucket and value by id.
async fn all<C: Client>(session: &mut Session<'_, C>) -> Result<BTreeMap<u64, (i64, i64)>, Stop> {
    let mut all = BTreeMap::new();
    for row in session.query(SELECT, &[]).await? {
        let [Value::Integer(id), Value::Integer(bucket), Value::Integer(v)] = row[..] else {
            return Err(session.surprise(SELECT, format!("the row {row:?}")));
        };
        if all.insert(id as u64, (bucket, v)).is_some() {
            return Err(session.surprise(SELECT, format!("item {id} twice")));
        }
    }
    Ok(all)
}

/// The items of a bucket, by way of the index: values by id.
async fn by_bucket<C: Client>(session: &mut Session<'_, C>, bucket: u32) -> Result<BTreeMap<u64, i64>, Stop> {
    let mut found = BTreeMap::new();
    for row in session.query(BY_BUCKET, &[integer(bucket)]).await? {
        let [Value::Integer(id), Value::Integer(v)] = row[..] else {
            return Err(session.surprise(BY_BUCKET, format!("the row {row:?}")));
        };
        if found.insert(id as u64, v).is_some() {
            return Err(session.surprise(BY_BUCKET, format!("item {id} twice")));
        }
    }
    Ok(found)
}

fn compare<C: Client>(
    session: &mut Session<'_, C>,
    bucket: u32,
    found: &BTreeMap<u64, i64>,
    all: &BTreeMap<u64, (i64, i64)>,
) {
    let there = all.iter().filter(|(_, (of, _))| *of == i64::from(bucket)).map(|(&id, &(_, v))| (id, v));
    let there: BTreeMap<u64, i64> = there.collect();
    session.compare(there == *found, "index-disagrees", || {
        format!("the items of bucket {bucket} are {there:?}; the index leads to {found:?}")
    });
}

fn note<C: Client>(session: &mut Session<'_, C>, items: u32, all: &BTreeMap<u64, (i64, i64)>) {
    session.note_all(&all.iter().map(|(&id, &(_, v))| (id, v)).collect(), items);
}

fn integer(number: u32) -> Value {
    Value::Integer(i64::from(number))
}
