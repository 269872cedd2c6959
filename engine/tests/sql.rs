//! SQL scripts in the format of sqllogictest, each on an embedded database: `tests/sql/*.slt`. The comment at the head of
//! each names the rows of the checklist that it proves.

#[path = "support/slt.rs"]
mod slt;

use engine::Database;
use engine::database::DatabaseOptions;
use engine::disk::MemDisk;
use engine::sql::functions::{Argument, Scalar};
use engine::sql::types::{DataType, Value};
use engine::storage::Storage;

/// Runs a script, which has to pass.
fn run<S: Storage>(script: &str, database: &Database<S>) {
    let report = slt::run(script, database);
    let failures: Vec<String> = report
        .failures
        .iter()
        .map(|failure| format!("line {}: {}: {}\n{}", failure.line, failure.cause, failure.detail, failure.sql))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(report.passed > 0 && report.skipped == 0, "a script runs whole");
}

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            run(include_str!(concat!("sql/", stringify!($name), ".slt")), &Database::in_memory());
        })*
    };
}

scripts! {
    aggregates, alter, conflicts, ctes, dialect, errors, everyday, executor, expressions, foreign_keys, functions,
    indexes, insert, joins, nan, nested_queries, optimizer, pg_catalog, rows, schema, select, sets, settings,
    subqueries, time_travel, transactions, types, unique, views,
}

/// A database with temporary files, and with a function that a program has added: `collatz(n)`, the number after one in its
/// sequence.
#[test]
fn embedded() {
    static COLLATZ: Scalar = Scalar::new("collatz", &[Argument::INTEGER], DataType::Integer, |args| match args {
        [Value::Integer(n)] if n % 2 == 0 => Ok(Value::Integer(n / 2)),
        [Value::Integer(n)] => Ok(n.checked_mul(3).and_then(|n| n.checked_add(1)).map_or(Value::Null, Value::Integer)),
        _ => Ok(Value::Null),
    });
    let database = Database::on_disk(MemDisk::new(), DatabaseOptions::default()).expect("the disk is empty");
    database.add_function(&COLLATZ).expect("there is no other of this name");
    run(include_str!("sql/embedded.slt"), &database);
}
