//! `bank`: money moves between accounts, and their total never changes. Accounts are closed and opened too, so that rows
//! come and go. Every balance that is written was computed from what the same transaction read, so that a lost update
//! makes or destroys money.

use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::recorder::Access;
use crate::scenario::Operation;
use engine::sql::types::Value;

pub(super) const CREATE: &str = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)";
const INSERT: &str = "INSERT INTO accounts (id, balance) VALUES ($1, $2)";
pub(super) const SELECT_ALL: &str = "SELECT id, balance FROM accounts";
const SELECT: &str = "SELECT balance FROM accounts WHERE id = $1";
const UPDATE: &str = "UPDATE accounts SET balance = $1 WHERE id = $2";
const DELETE: &str = "DELETE FROM accounts WHERE id = $1";

pub(super) async fn perform<C: Client>(session: &mut Session<'_, C>, operation: &Operation, oldest: u64) -> Ended {
    session.invoke(operation.name());
    let result = match *operation {
        Operation::Transfer { from, to, amount } => {
            let body = async |session: &mut Session<'_, C>| {
                let (Some(source), Some(target)) = (balance(session, from).await?, balance(session, to).await?) else {
                    return Ok(Finish::Commit);
                };
                if source < amount {
                    return Ok(Finish::Rollback);
                }
                write(session, from, source - amount).await?;
                write(session, to, target + amount).await?;
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
                session.access(Access::Write { key: account, value: None });
                session.change_one(DELETE, &[integer(account)]).await?;
                write(session, heir, target + money).await?;
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN", body).await
        }
        Operation::Open { account, from, amount } => {
            let body = async |session: &mut Session<'_, C>| {
                let (None, Some(source)) = (balance(session, account).await?, balance(session, from).await?) else {
                    return Ok(Finish::Rollback);
                };
                if source < amount {
                    return Ok(Finish::Rollback);
                }
                write(session, from, source - amount).await?;
                session.access(Access::Write { key: account, value: Some(amount) });
                session.change_one(INSERT, &[integer(account), Value::Integer(amount)]).await?;
                Ok(Finish::Commit)
            };
            session.transaction("BEGIN", body).await
        }
        Operation::ReadAccounts { back } => {
            let begin = match back {
                None => "BEGIN READ ONLY".to_owned(),
                Some(back) => {
                    session.attempt().as_of = true;
                    let position = session.position.saturating_sub(back).max(oldest);
                    format!("BEGIN READ ONLY AS OF SYSTEM TIME {position}")
                }
            };
            session.transaction(&begin, async |session: &mut Session<'_, C>| read_all(session).await).await
        }
        ref other => unreachable!("{} is no operation of bank: scenarios are validated", other.name()),
    };
    session.complete(result)
}

async fn read_all<C: Client>(session: &mut Session<'_, C>) -> Result<Finish, Stop> {
    for row in session.query(SELECT_ALL, &[]).await? {
        let [Value::Integer(id), Value::Integer(balance)] = row[..] else {
            return Err(session.surprise(SELECT_ALL, format!("the row {row:?}")));
        };
        session.access(Access::Read { key: id as u32, value: Some(balance) });
    }
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
    session.access(Access::Read { key: account, value });
    Ok(value)
}

async fn write<C: Client>(session: &mut Session<'_, C>, account: u32, balance: i64) -> Result<(), Stop> {
    session.access(Access::Write { key: account, value: Some(balance) });
    session.change_one(UPDATE, &[Value::Integer(balance), integer(account)]).await
}

fn integer(id: u32) -> Value {
    Value::Integer(i64::from(id))
}
