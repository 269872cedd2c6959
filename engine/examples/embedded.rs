//! SQL in a process: `cargo run -p engine --example embedded -- DIRECTORY`, or without a directory in memory.

#![expect(clippy::print_stdout, reason = "a command")]

use std::ops::ControlFlow;

use engine::database::{Database, Session};
use engine::sql::types::Value;
use engine::sql::{Failure, Output, SqlState};
use engine::storage::Storage;

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1) {
        Some(directory) => show(&Database::open(directory)?),
        None => show(&Database::in_memory()),
    }
}

fn show<S: Storage>(database: &Database<S>) -> Result<(), Failure> {
    let mut session = database.session();
    session.execute(
        "CREATE TABLE IF NOT EXISTS accounts (
             id INTEGER PRIMARY KEY,
             owner TEXT NOT NULL,
             balance INTEGER NOT NULL DEFAULT 0 CHECK (balance >= 0)
         );
         INSERT INTO accounts (id, owner) VALUES (1, 'Ada'), (2, 'Grace') ON CONFLICT DO NOTHING",
    )?;

    // A statement that is prepared is parsed and planned once.
    let pay = session.prepare("UPDATE accounts SET balance = balance + $2 WHERE id = $1")?;
    for amount in 1..=10 {
        session.run(&pay, &[1.into(), amount.into()])?;
    }

    // Rows one by one.
    let query = session.prepare("SELECT owner, balance FROM accounts ORDER BY balance DESC, owner")?;
    session.query(&query, &[], |row| {
        println!("{}: {}", row[0], row[1]);
        ControlFlow::Continue(())
    })?;

    // A transaction that fails is undone, and says why.
    let transfer = "BEGIN;
        UPDATE accounts SET balance = balance + 1000 WHERE id = 2;
        UPDATE accounts SET balance = balance - 1000 WHERE id = 1;
        COMMIT";
    match session.execute(transfer) {
        Err(Failure::Sql(error)) if error.state == SqlState::CHECK_VIOLATION => println!("{error}"),
        other => println!("{other:?}"),
    }
    session.execute("ROLLBACK")?;
    println!("in all: {}", total(&mut session)?);

    // Two sessions that change the same row: the first one to commit wins.
    let mut other = database.session();
    session.execute("BEGIN; UPDATE accounts SET balance = 0 WHERE id = 1")?;
    other.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")?;
    match session.execute("COMMIT") {
        Err(Failure::Sql(error)) if error.state == SqlState::SERIALIZATION_FAILURE => println!("{error}"),
        other => println!("{other:?}"),
    }
    Ok(())
}

fn total<S: Storage>(session: &mut Session<S>) -> Result<Value, Failure> {
    let outputs = session.execute("SELECT SUM(balance) FROM accounts")?;
    Ok(match &outputs[..] {
        [Output::Select { rows, .. }] => rows[0][0].clone(),
        _ => Value::Null,
    })
}
