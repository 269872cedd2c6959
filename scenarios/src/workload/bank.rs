//! `bank`: money moves between accounts, and their total never changes. Accounts are closed and opened too, so that rows
//! come and go. Every balance that is written was computed from what the same transaction read, so that a lost update
//! makes or destroys money.

use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::work::Operation;
use engine::sql::types::Value;
use std::collections::BTreeMap;

pub(super) const CREATE: &str = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)";
const INSERT: &str = "INSERT INTO accounts (id, balance) VALUES ($1, $2)";
pub(super) const SELECT_ALL: &str = "SELECT id, balance FROM accounts";
const SELECT: &str = "SELECT balance FROM accounts WHERE id = $1";
const UPDATE: &str = "UPDATE accounts SET balance = $1 WHERE id = $2";
const DELETE: &str = "DELETE FROM accounts WHERE id = $1";

/// Performs an operation. Reads of the past go back to the position `oldest` at most.
pub(super) async fn perform<C: Client>(
    session: &mut Session<'_, C>,
    operation: &Operation,
    accounts: u32,
    oldest: u64,
) -> Ended {
    session.invoke(operation.name());
    let result = match *operation {
        Operation::Transfer { from, to, amount } => {
            let body = async |session: &mut Session<'_, C>| {
                let (source, target) = (balance(session, from).await?, balance(session, to).await?);
                let Some(source) = source.filter(|&source| source >= amount) else {
                    return Ok(Finish::Rollback);
                };
                write(session, from, source - amount).await?;
                match target {
                    Some(target) => write(session, to, target + amount).await?,
                    None => open(session, to, amount).await?,
                }
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN", body).await
        }
        Operation::Close { account, heir } => {
            let body = async |session: &mut Session<'_, C>| {
                let (Some(money), Some(target)) = (balance(session, account).await?, balance(session, heir).await?)
                else {
                    return Ok(Finish::Rollback);
                };
                session.note_write(account, None);
                session.change_one(DELETE, &[integer(account)]).await?;
                write(session, heir, target + money).await?;
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN", body).await
        }
        Operation::Open { account, from, amount } => {
            let body = async |session: &mut Session<'_, C>| {
                let (old, source) = (balance(session, account).await?, balance(session, from).await?);
                match source {
                    Some(source) if old.is_none() && source >= amount => {
                        write(session, from, source - amount).await?;
                        open(session, account, amount).await?;
                        Ok(Finish::Commit)
                    }
                    // A transaction that only read is committed too.
                    _ => Ok(Finish::Commit),
                }
            };
            session.transaction("BEGIN", body).await
        }
        Operation::ReadAccounts { back } => {
            let begin = match back {
                None => "BEGIN READ ONLY".to_owned(),
                Some(back) => {
                    session.record().historic = true;
                    let position = session.position.saturating_sub(back).max(oldest);
                    format!("BEGIN READ ONLY AS OF SYSTEM TIME {position}")
                }
            };
            session.transaction(&begin, async |session: &mut Session<'_, C>| read_all(session, accounts).await).await
        }
        ref other => unreachable!("{} is no operation of bank: scenarios are validated", other.name()),
    };
    session.complete(result)
}

async fn read_all<C: Client>(session: &mut Session<'_, C>, accounts: u32) -> Result<Finish, Stop> {
    let mut balances = BTreeMap::new();
    for row in session.query(SELECT_ALL, &[]).await? {
        let new = match row[..] {
            [Value::Integer(id), Value::Integer(balance)] if (0..i64::from(accounts)).contains(&id) => {
                balances.insert(id as u64, balance).is_none()
            }
            _ => false,
        };
        if !new {
            return Err(session.surprise(SELECT_ALL, format!("the row {row:?}, or another with its key")));
        }
    }
    session.note_all(&balances, accounts);
    Ok(Finish::Commit)
}

async fn balance<C: Client>(session: &mut Session<'_, C>, account: u32) -> Result<Option<i64>, Stop> {
    let rows = session.query(SELECT, &[integer(account)]).await?;
    let value = match rows.as_slice() {
        [] => None,
        [row] => match row.as_slice() {
            [Value::Integer(value)] => Some(*value),
            _ => return Err(session.surprise(SELECT, format!("the row {row:?}"))),
        },
        _ => return Err(session.surprise(SELECT, format!("{} rows for one primary key", rows.len()))),
    };
    session.note_read(account, value);
    Ok(value)
}

async fn write<C: Client>(session: &mut Session<'_, C>, account: u32, balance: i64) -> Result<(), Stop> {
    session.note_write(account, Some(balance));
    session.change_one(UPDATE, &[Value::Integer(balance), integer(account)]).await
}

async fn open<C: Client>(session: &mut Session<'_, C>, account: u32, balance: i64) -> Result<(), Stop> {
    session.note_write(account, Some(balance));
    session.change_one(INSERT, &[integer(account), Value::Integer(balance)]).await
}

fn integer(id: u32) -> Value {
    Value::Integer(i64::from(id))
}
