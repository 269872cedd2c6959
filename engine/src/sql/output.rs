//! What statements give.

use serde::{Deserialize, Serialize};

use super::types::{Column, Value};

/// What a statement gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// BEGIN.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK.
    Rollback,
    /// CREATE TABLE.
    CreateTable,
    /// DROP TABLE.
    DropTable,
    /// INSERT.
    Insert {
        /// How many rows.
        count: u64,
    },
    /// UPDATE.
    Update {
        /// How many rows.
        count: u64,
    },
    /// DELETE.
    Delete {
        /// How many rows.
        count: u64,
    },
    /// SELECT, and SHOW.
    Select {
        /// Their names and types.
        columns: Vec<Column>,
        /// The rows, in order.
        rows: Vec<Vec<Value>>,
    },
    /// EXPLAIN.
    Explain {
        /// The plan as lines, each step indented below the one that pulls from it.
        text: String,
    },
    /// INSERT, UPDATE or DELETE with RETURNING.
    Returning {
        /// Which.
        write: Write,
        /// How many rows were written.
        count: u64,
        /// The names and types of what is returned.
        columns: Vec<Column>,
        /// What is returned.
        rows: Vec<Vec<Value>>,
    },
    /// CREATE INDEX.
    CreateIndex,
    /// DROP INDEX.
    DropIndex,
    /// CREATE VIEW.
    CreateView,
    /// DROP VIEW.
    DropView,
    /// ALTER TABLE.
    AlterTable,
    /// TRUNCATE.
    Truncate,
    /// ANALYZE.
    Analyze,
    /// SAVEPOINT.
    Savepoint,
    /// RELEASE.
    Release,
    /// SET.
    Set,
}

/// Which statement wrote rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}
