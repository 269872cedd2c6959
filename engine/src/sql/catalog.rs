//! The schema, and how tables lie in the key space.
//!
//! Everything is in the same versioned keys as the data, so that DDL is as transactional as DML and time travel shows
//! the schema of its time:
//!
//! | key | value |
//! |---|---|
//! | `0` | the id of the next table |
//! | `1`, table name | the table's definition |
//! | `2`, table id, primary key | a row |
//! | `3`, table id, column, unique value | the row's primary key |

use serde::{Deserialize, Serialize};

use super::ast;
use super::error::{Error, Failure, SqlState};
use super::types::{DataType, Value};
use crate::encoding::{self, keycode, value};
use crate::mvcc::{Read, Transaction};
use crate::storage::{self, KeyRange};

const NEXT_TABLE: &[u8] = &[0];
const TABLE: u8 = 1;
const ROW: u8 = 2;
const UNIQUE: u8 = 3;

/// Names a table for good; names are reused, ids are not.
pub(super) type TableId = u32;

/// A row: a value for each column.
pub(super) type Row = Vec<Value>;

/// A table's definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Table {
    pub id: TableId,
    pub name: String,
    /// Which column is the primary key.
    pub primary_key: usize,
    pub columns: Vec<Column>,
}

/// A column's definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    pub name: String,
    pub datatype: DataType,
    /// The most characters of a VARCHAR(n).
    pub max_length: Option<u64>,
    pub nullable: bool,
    pub unique: bool,
    pub default: Value,
}

impl Table {
    /// The table of this name.
    pub fn get(txn: &impl Transaction, name: &str) -> Result<Option<Self>, Failure> {
        match txn.get(&Self::key(name), Read::Schema)? {
            Some(bytes) => Ok(Some(value::deserialize(&bytes)?)),
            None => Ok(None),
        }
    }

    /// The table of this name, or the error that there is none.
    pub fn must_get(txn: &impl Transaction, name: &str) -> Result<Self, Failure> {
        Self::get(txn, name)?
            .ok_or_else(|| Error::new(SqlState::UNDEFINED_TABLE, format!("there is no table {name:?}")).into())
    }

    /// Stores a new table, and gives it its id.
    pub fn create(&mut self, txn: &mut impl Transaction) -> Result<(), Failure> {
        self.id = match txn.get(NEXT_TABLE, Read::Schema)? {
            Some(bytes) => value::deserialize(&bytes)?,
            None => 1,
        };
        txn.set(NEXT_TABLE.to_vec(), value::serialize(&(self.id + 1))?)?;
        txn.set(Self::key(&self.name), value::serialize(self)?)?;
        Ok(())
    }

    /// Removes the table with its rows. Transactions that used it fail to commit, since they read its definition; and this
    /// one fails if rows came since its snapshot, which would be left behind.
    pub fn drop(&self, txn: &mut impl Transaction) -> Result<(), Failure> {
        for prefix in [ROW, UNIQUE] {
            let range = keycode::prefix_range(&self.prefix(prefix));
            let keys: Vec<Vec<u8>> =
                txn.scan(range, Read::Constraint)?.map(|pair| pair.map(|(key, _)| key)).collect::<Result<_, _>>()?;
            for key in keys {
                txn.delete(key)?;
            }
        }
        Ok(txn.delete(Self::key(&self.name))?)
    }

    fn key(name: &str) -> Vec<u8> {
        let mut key = vec![TABLE];
        keycode::escape_into(&mut key, name.as_bytes());
        key
    }

    fn prefix(&self, kind: u8) -> Vec<u8> {
        let mut key = Vec::with_capacity(24);
        key.push(kind);
        key.extend_from_slice(&self.id.to_be_bytes());
        key
    }

    /// The column that rows are stored by.
    pub fn key_column(&self) -> &Column {
        &self.columns[self.primary_key]
    }

    /// The key of the row with this primary key.
    pub fn row_key(&self, primary_key: &Value) -> Result<Vec<u8>, encoding::Error> {
        let mut key = self.prefix(ROW);
        encode_key(&mut key, primary_key)?;
        Ok(key)
    }

    /// The key of the entry for a value of a unique column.
    pub fn unique_key(&self, column: usize, value: &Value) -> Result<Vec<u8>, encoding::Error> {
        let mut key = self.prefix(UNIQUE);
        key.extend_from_slice(&(column as u16).to_be_bytes());
        encode_key(&mut key, value)?;
        Ok(key)
    }

    /// The keys of all rows.
    pub fn rows(&self) -> KeyRange {
        keycode::prefix_range(&self.prefix(ROW))
    }

    /// Which columns are unique besides the primary key.
    pub fn unique_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(|(_, column)| column.unique).map(|(position, _)| position)
    }

    /// The columns that a row's entries are kept for, with their keys: NULL and NaN have none, since they equal nothing.
    pub fn unique_entries(&self, row: &Row) -> Result<Vec<(usize, Vec<u8>)>, encoding::Error> {
        self.unique_columns()
            .filter(|&column| is_key(&row[column]))
            .map(|column| Ok((column, self.unique_key(column, &row[column])?)))
            .collect()
    }

    /// Decodes a stored row.
    pub fn decode_row(&self, bytes: &[u8]) -> Result<Row, storage::Error> {
        let row: Row = value::deserialize(bytes)?;
        if row.len() != self.columns.len() {
            let message = format!("a row of table {:?} has {} columns", self.name, row.len());
            return Err(encoding::Error::Value(message).into());
        }
        Ok(row)
    }

    /// The position of a column.
    pub fn column(&self, name: &str, position: Option<(u64, u64)>) -> Result<usize, Error> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| {
            let message = format!("table {:?} has no column {name:?}", self.name);
            let error = Error::new(SqlState::UNDEFINED_COLUMN, message).at(position);
            match nearest(name, self.columns.iter().map(|column| column.name.as_str())) {
                Some(nearest) => error.with_hint(format!("did you mean {nearest:?}?")),
                None => error,
            }
        })
    }
}

/// Whether a value can be looked up by equality.
pub(super) fn is_key(value: &Value) -> bool {
    !matches!(value, Value::Null) && !matches!(value, Value::Float(x) if x.is_nan())
}

/// Appends the order-preserving encoding of a value of a known type. Both zeros are one, also those of conditions.
fn encode_key(key: &mut Vec<u8>, value: &Value) -> Result<(), encoding::Error> {
    match value {
        Value::Null => Err(encoding::Error::Key("NULL is no key".into())),
        Value::Boolean(b) => keycode::serialize_into(key, b),
        Value::Integer(n) => keycode::serialize_into(key, n),
        Value::Float(x) => keycode::serialize_into(key, &(x + 0.0)),
        Value::Text(text) => keycode::serialize_into(key, text),
    }
}

/// The most similar name, if one is similar.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let limit = (length / 3 + 1).min(length - 1);
    names
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Makes a definition of a table, as CREATE TABLE has it.
pub(super) fn define(create: &ast::CreateTable) -> Result<Table, Error> {
    let invalid = |message: String| Error::new(SqlState::INVALID_TABLE_DEFINITION, message);
    let mut keys = create.columns.iter().enumerate().filter(|(_, column)| column.primary_key);
    let primary_key = match (keys.next(), keys.next()) {
        (Some((position, _)), None) => position,
        (Some(_), Some(_)) => return Err(invalid(format!("table {:?} has two primary keys", create.name))),
        (None, _) => {
            let error = Error::unsupported(format!("table {:?} without a PRIMARY KEY", create.name));
            return Err(error.with_hint("declare one column as PRIMARY KEY"));
        }
    };
    if create.columns.len() > usize::from(u16::MAX) {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a table has at most 65535 columns"));
    }
    let mut columns: Vec<Column> = Vec::with_capacity(create.columns.len());
    for (position, definition) in create.columns.iter().enumerate() {
        let ast::ColumnDef { name, datatype, max_length, primary_key: is_key, nullable, unique, default } = definition;
        if columns.iter().any(|column| column.name == *name) {
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, format!("column {name:?} is defined twice")));
        }
        if *is_key && *nullable == Some(true) {
            return Err(invalid(format!("column {name:?} is the primary key, so it cannot be NULL")));
        }
        let mut column = Column {
            name: name.clone(),
            datatype: *datatype,
            max_length: *max_length,
            nullable: nullable.unwrap_or(!is_key),
            // The primary key is unique by being the key.
            unique: *unique && position != primary_key,
            default: Value::Null,
        };
        if let Some(default) = default {
            let (value, literal) = super::plan::constant(default)?;
            column.default = column.assign(value, literal).map_err(|mut error| {
                error.message = format!("the default of column {name:?}: {}", error.message);
                error
            })?;
        }
        columns.push(column);
    }
    Ok(Table { id: 0, name: create.name.clone(), primary_key, columns })
}

impl Column {
    /// Converts a value that is assigned to the column: numbers to each other's type, anything to text, and a literal
    /// text to anything. NULL is checked with the whole row.
    pub fn assign(&self, value: Value, literal: bool) -> Result<Value, Error> {
        let allowed = match (value.datatype(), self.datatype) {
            (None, _) | (_, DataType::Text) => true,
            (Some(from), to) if from == to => true,
            (Some(DataType::Integer | DataType::Float), DataType::Integer | DataType::Float) => true,
            (Some(DataType::Text), _) => literal,
            _ => false,
        };
        if !allowed {
            let from = value.datatype().map_or_else(String::new, |from| from.to_string());
            let message =
                format!("column {:?} is of type {}, but the value is of type {from}", self.name, self.datatype);
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_hint("use CAST"));
        }
        let value = match value.cast(self.datatype)? {
            // Both zeros are stored as one: what is equal as a key is equal as a value.
            Value::Float(x) => Value::Float(x + 0.0),
            value => value,
        };
        if let (Value::Text(text), Some(max)) = (&value, self.max_length)
            && text.chars().count() as u64 > max
        {
            let message = format!("the value is too long for column {:?} of type VARCHAR({max})", self.name);
            return Err(Error::new(SqlState::STRING_TOO_LONG, message));
        }
        Ok(value)
    }
}
