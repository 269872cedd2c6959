//! SQLite, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use engine::sql::types::Value;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use super::answer::Answer;

/// How often the virtual machine may run so many instructions.
const MAX_TURNS: u32 = 400;
const TURN: i32 = 10_000;

/// A table's name, and its rows.
pub type TableRows<'a> = (&'a str, &'a [Vec<Value>]);

/// A database of SQLite.
pub struct Sqlite {
    connection: Connection,
    /// How long the statement has run.
    turns: Arc<AtomicU32>,
}

impl Sqlite {
    /// An empty database.
    pub fn new() -> anyhow::Result<Self> {
        let mut connection = Connection::open_in_memory()?;
        // LIKE has case here.
        connection.execute_batch("PRAGMA case_sensitive_like = ON")?;
        connection.execute_batch("PRAGMA foreign_keys = ON")?;
        // Else a new name for a table fails for views that have nothing to do with it, and joins in parentheses.
        connection.execute_batch("PRAGMA legacy_alter_table = ON")?;
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        connection.progress_handler(TURN, Some(move || counted.fetch_add(1, Ordering::Relaxed) > MAX_TURNS))?;
        Ok(Self { connection, turns })
    }

    /// Runs a statement.
    pub fn run(&self, sql: &str) -> Answer {
        self.turns.store(0, Ordering::Relaxed);
        self.execute(sql).unwrap_or_else(|error| failure(&error))
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<Answer> {
        let mut statement = self.connection.prepare(sql)?;
        let width = statement.column_count();
        if width == 0 {
            let count = statement.execute([])?;
            let schema = sql.starts_with("CREATE") || sql.starts_with("ALTER");
            return Ok(if schema { Answer::Done } else { Answer::Count(count as u64) });
        }
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let mut values = Vec::with_capacity(width);
            for column in 0..width {
                values.push(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(n) => Value::Integer(n),
                    ValueRef::Real(x) => Value::Float(x),
                    ValueRef::Text(text) | ValueRef::Blob(text) => Value::from(&*String::from_utf8_lossy(text)),
                });
            }
            rows.push(values);
        }
        Ok(Answer::Rows { types: Vec::new(), rows })
    }

    /// Gives tables these rows instead of their own.
    pub fn replace(&self, tables: Vec<TableRows<'_>>) -> anyhow::Result<()> {
        self.connection.execute_batch("PRAGMA foreign_keys = OFF")?;
        for (table, rows) in tables {
            self.replace_rows(table, rows)?;
        }
        Ok(self.connection.execute_batch("PRAGMA foreign_keys = ON")?)
    }

    fn replace_rows(&self, table: &str, rows: &[Vec<Value>]) -> anyhow::Result<()> {
        self.connection.execute(&format!("DELETE FROM {table}"), [])?;
        for row in rows {
            let marks = vec!["?"; row.len()].join(", ");
            let values = row.iter().map(|value| match value {
                Value::Null => rusqlite::types::Value::Null,
                Value::Boolean(b) => rusqlite::types::Value::Integer((*b).into()),
                Value::Integer(n) => rusqlite::types::Value::Integer(*n),
                Value::Float(x) => rusqlite::types::Value::Real(*x),
                Value::Text(text) => rusqlite::types::Value::Text(text.to_string()),
            });
            self.connection
                .execute(&format!("INSERT INTO {table} VALUES ({marks})"), rusqlite::params_from_iter(values))?;
        }
        Ok(())
    }
}

/// An error, with the SQLSTATE that the engine has for it, where there is one.
fn failure(error: &rusqlite::Error) -> Answer {
    let message = error.to_string();
    let state = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => "57014",
        Some(ErrorCode::ConstraintViolation) if message.starts_with("UNIQUE") => "23505",
        Some(ErrorCode::ConstraintViolation) if message.starts_with("NOT NULL") => "23502",
        Some(ErrorCode::ConstraintViolation) if message.starts_with("CHECK") => "23514",
        Some(ErrorCode::ConstraintViolation) if message.starts_with("FOREIGN KEY") => "23503",
        _ if message.contains("ON CONFLICT clause does not match") => "42P10",
        _ if message.contains("nested too deep") => "54001",
        _ => "SQLite",
    };
    Answer::Error { state: state.to_string(), message }
}
