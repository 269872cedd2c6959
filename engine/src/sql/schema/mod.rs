//! What tables are: columns, keys, indexes and constraints, and how their rows lie in the store.
//!
//! A table's rows are stored under its primary key, or under a row number where it has none. Each index has an entry
//! for each row: the indexed values, then the row's key. Where a unique index has no NULL in its values, the entry is
//! the values alone, so that two transactions that insert the same write the same key, and the second one fails.

pub mod keys;
pub mod row;

use serde::{Deserialize, Serialize};

use super::types::{DataType, Value};

pub use keys::RowKey;

/// A row: a value for each column.
pub type Row = Vec<Value>;

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The number that its keys begin with; never given out again.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its columns. A dropped column stays, without a name, since rows have it.
    pub columns: Vec<Column>,
    /// The positions of the primary key's columns; none, and rows have numbers.
    pub primary_key: Vec<usize>,
    /// What its primary key is called, if that was said. It lies beside the table in the store.
    #[serde(skip)]
    pub key_name: Option<String>,
    /// Its indexes, also those of unique constraints.
    pub indexes: Vec<Index>,
    /// CHECK constraints.
    pub checks: Vec<Check>,
    /// Foreign keys that it has.
    pub foreign_keys: Vec<ForeignKey>,
    /// Names of the tables that have foreign keys to this one.
    pub referenced_by: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub datatype: DataType,
    /// The most characters of a VARCHAR(n).
    pub max_length: Option<u64>,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// The text of the DEFAULT expression.
    pub default: Option<String>,
    /// The value in rows that are older than the column (ALTER TABLE ADD COLUMN).
    pub missing: Value,
    /// Whether it was dropped. Nothing can name it then.
    pub dropped: bool,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Its number within the table; never given out again.
    pub id: u32,
    /// Its name, unique in the database.
    pub name: String,
    /// The indexed columns, in order.
    pub columns: Vec<IndexColumn>,
    /// No two rows have the same values; rows with a NULL in them may.
    pub unique: bool,
    /// Whether it is that of a UNIQUE constraint, and cannot be dropped by itself.
    pub constraint: bool,
}

/// A column of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// Its position in the table.
    pub column: usize,
    /// Whether the entries descend.
    pub descending: bool,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// The text of the condition, which must not be false.
    pub condition: String,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// The positions of its columns.
    pub columns: Vec<usize>,
    /// The table that it refers to.
    pub table: String,
    /// The positions of the columns there, which are its primary key or those of a unique index, in the same order.
    pub referenced: Vec<usize>,
    /// What becomes of its rows when the row that they refer to is deleted.
    pub on_delete: Action,
    /// What becomes of its rows when the key that they refer to changes.
    pub on_update: Action,
}

/// What becomes of rows whose foreign key would refer to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The statement fails (also RESTRICT).
    Refuse,
    /// They go, or change, too.
    Cascade,
    /// Their columns become NULL.
    SetNull,
    /// Their columns become what they are by default.
    SetDefault,
}
