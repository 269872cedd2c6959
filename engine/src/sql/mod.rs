//! SQL.

pub mod types;

use types::{Column, Value};

/// What a statement returns.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
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
        /// Rows.
        count: u64,
    },
    /// UPDATE.
    Update {
        /// Rows.
        count: u64,
    },
    /// DELETE.
    Delete {
        /// Rows.
        count: u64,
    },
    /// SELECT.
    Select {
        /// Columns.
        columns: Vec<Column>,
        /// Rows.
        rows: Vec<Vec<Value>>,
    },
    /// EXPLAIN.
    Explain {
        /// The plan.
        text: String,
    },
}

/// A SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// 23505.
    pub const UNIQUE_VIOLATION: Self = Self(*b"23505");
    /// 40001.
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    /// 08006.
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    /// 42P07.
    pub const DUPLICATE_TABLE: Self = Self(*b"42P07");
    /// The code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("?????")
    }
}

/// An error.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("{message} ({})", state.code())]
pub struct Error {
    /// SQLSTATE.
    pub state: SqlState,
    /// Message.
    pub message: String,
    /// Position.
    pub position: Option<(u32, u32)>,
    /// Hint.
    pub hint: Option<String>,
}
