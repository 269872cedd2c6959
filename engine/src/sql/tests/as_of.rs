//! Reads of the past by time, in one process.

use std::cell::Cell;

use crate::Database;
use crate::database::{DatabaseOptions, Session};
use crate::sql::types::Value;
use crate::sql::{Failure, Output, SqlState};
use crate::storage::Memory;

thread_local! {
    static TIME: Cell<u64> = const { Cell::new(0) };
}

fn set(time: u64) {
    TIME.set(time);
}

fn database() -> Session<Memory> {
    let options = DatabaseOptions { time: Some(|| TIME.get()), ..DatabaseOptions::default() };
    let mut session = Database::on(Memory::new(), options).unwrap().session();
    set(1_000);
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER); INSERT INTO t VALUES (1, 0)").unwrap();
    for value in 1..10 {
        set(1_000 * (value + 1));
        session.execute(&format!("UPDATE t SET a = {value}")).unwrap();
    }
    session
}

fn read(session: &mut Session<Memory>, past: &str) -> Result<Value, SqlState> {
    match session.execute(&format!("SELECT a FROM t AS OF SYSTEM TIME '{past}' LIMIT 1")) {
        Ok(outputs) => match &outputs[..] {
            [Output::Select { rows, .. }] => Ok(rows[0][0].clone()),
            other => panic!("{other:?}"),
        },
        Err(Failure::Sql(error)) => Err(error.state),
        Err(Failure::Storage(error)) => panic!("{error}"),
    }
}

#[test]
fn times_find_the_last_commit_before_them() {
    let mut session = database();
    assert_eq!(read(&mut session, "1970-01-01 00:00:05"), Ok(4.into()));
    assert_eq!(read(&mut session, "1970-01-01 00:00:04.999"), Ok(3.into()));
    assert_eq!(read(&mut session, "1970-01-01 01:00:04.999+01:00"), Ok(3.into()));
    assert_eq!(read(&mut session, "1970-01-01 00:00:10"), Ok(9.into()));
    assert_eq!(read(&mut session, "-0s"), Ok(9.into()));
    assert_eq!(read(&mut session, "-1ms"), Ok(8.into()));
    assert_eq!(read(&mut session, "-2.5s"), Ok(6.into()));
    assert_eq!(read(&mut session, "1970-01-01 00:00:10.001"), Err(SqlState::INVALID_PARAMETER_VALUE));
    assert_eq!(read(&mut session, "1970-01-01 00:00:00.999"), Err(SqlState::UNDEFINED_TABLE));
    assert_eq!(read(&mut session, "yesterday"), Err(SqlState::INVALID_DATETIME_FORMAT));
    // The clock stands still, and what is committed counts as later than what was read.
    session.execute("UPDATE t SET a = 10").unwrap();
    assert_eq!(read(&mut session, "1970-01-01 00:00:10"), Ok(9.into()));
    set(10_001);
    assert_eq!(read(&mut session, "1970-01-01 00:00:10.001"), Ok(10.into()));
}

#[test]
fn transactions_read_at_a_time() {
    let mut session = database();
    session.execute("BEGIN READ ONLY AS OF SYSTEM TIME '-3s'").unwrap();
    let two = session.execute("SELECT a FROM t; SELECT a FROM t WHERE id = 1").unwrap();
    for output in two {
        assert!(matches!(output, Output::Select { rows, .. } if rows == [[6.into()]]));
    }
    assert_eq!(read(&mut session, "-1s"), Err(SqlState::ACTIVE_TRANSACTION));
    session.execute("ROLLBACK").unwrap();
}

#[test]
fn collected_times_are_refused() {
    let options = DatabaseOptions { time: Some(|| TIME.get()), history: 100, ..DatabaseOptions::default() };
    let mut session = Database::on(Memory::new(), options).unwrap().session();
    set(1);
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER); INSERT INTO t VALUES (1, 0)").unwrap();
    let update = session.prepare("UPDATE t SET a = $1").unwrap();
    // Enough for a collection.
    for value in 2..20_000u64 {
        set(value);
        session.run(&update, &[Value::Integer(value as i64)]).unwrap();
    }
    assert_eq!(read(&mut session, "-0.1s"), Ok(19_899.into()));
    assert_eq!(read(&mut session, "1970-01-01 00:00:00.500"), Err(SqlState::SNAPSHOT_TOO_OLD));
    assert_eq!(read(&mut session, "1970-01-01 00:00:19.950"), Ok(19_950.into()));
}
