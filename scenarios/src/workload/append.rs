//! `append`: transactions append to lists and read them. A list shows the order of all its writes, so that a checker can
//! rebuild who came before whom without trusting the database's versions (Elle); and a statement that takes effect twice
//! shows as an element that is there twice.

use super::session::{Ended, Finish, Session, Stop};
use crate::client::Client;
use crate::work::{MicroOperation, Operation};
use engine::sql::Output;
use engine::sql::types::Value;

pub(super) const CREATE: &str = "CREATE TABLE lists (k INTEGER PRIMARY KEY, items TEXT NOT NULL)";
pub(super) const SELECT_ALL: &str = "SELECT k, items FROM lists";
const SELECT: &str = "SELECT items FROM lists WHERE k = $1";
const UPDATE: &str = "UPDATE lists SET items = items || $1 WHERE k = $2";

pub(super) async fn perform<C: Client>(session: &mut Session<'_, C>, operation: &Operation) -> Ended {
    session.invoke(operation.name());
    let result = match operation {
        Operation::Append { list } => {
            let params = element(session, *list);
            match session.execute_alone(UPDATE, &params).await {
                Ok(Output::Update { count: 1 }) => Ok(()),
                Ok(other) => Err(session.surprise(UPDATE, format!("a change of one row returned {other:?}"))),
                Err(stop) => Err(stop),
            }
        }
        Operation::ReadList { list } => read(session, *list).await,
        Operation::Transaction { operations } => {
            let read_only = operations.iter().all(|micro| matches!(micro, MicroOperation::Read { .. }));
            let body = async |session: &mut Session<'_, C>| {
                for micro in operations {
                    match *micro {
                        MicroOperation::Append { list } => {
                            let params = element(session, list);
                            session.change_one(UPDATE, &params).await?;
                        }
                        MicroOperation::Read { list } => read(session, list).await?,
                    }
                }
                Ok(Finish::Commit)
            };
            session.transaction(if read_only { "BEGIN READ ONLY" } else { "BEGIN" }, body).await
        }
        other => unreachable!("{} is no operation of append: scenarios are validated", other.name()),
    };
    session.complete(result)
}

/// Draws a new element and notes its append; gives the statement's parameters.
fn element<C: Client>(session: &mut Session<'_, C>, list: u32) -> [Value; 2] {
    let element = session.fresh_value();
    session.note_append(list, element);
    [Value::from(format!("{element},")), Value::Integer(i64::from(list))]
}

async fn read<C: Client>(session: &mut Session<'_, C>, list: u32) -> Result<(), Stop> {
    let rows = session.query(SELECT, &[Value::Integer(i64::from(list))]).await?;
    let elements = match rows.as_slice() {
        [row] => match row.as_slice() {
            [Value::Text(items)] => parse(items),
            _ => None,
        },
        _ => None,
    };
    let Some(elements) = elements else {
        return Err(session.surprise(SELECT, format!("not one list: {rows:?}")));
    };
    session.note_list(list, elements);
    Ok(())
}

/// The elements of a list: each is followed by a comma.
pub(super) fn parse(items: &str) -> Option<Vec<i64>> {
    items.split_terminator(',').map(|element| element.parse().ok()).collect()
}
