//! Rows and index entries in the store, and what must hold for a row by itself and among its table's.

use super::super::binder::{Check, Target, primary_key_name};
use super::super::error::{Error, Failure, SqlState};
use super::super::executor;
use super::super::schema::keys::{RowKey, encode_into};
use super::super::schema::{Index, Row, Table, row};
use super::super::types::Value;
use super::References;
use crate::mvcc::{Read, Transaction};

type Result<T> = std::result::Result<T, Failure>;

/// The longest text of a primary key or an index, in bytes. Storage has a limit of its own, which is above what the
/// encoding makes of this.
const MAX_KEY: usize = 8 << 10;

/// What becomes of a row.
pub(super) struct Change {
    pub key: RowKey,
    /// The row that was; `None` is a new one, whose key is still to be found.
    pub old: Option<Row>,
    pub new: Option<Row>,
}

/// All rows of a table, read for a constraint.
pub(in super::super) fn rows_of<'a>(
    table: &'a Table,
    txn: &'a dyn Transaction,
) -> Result<impl Iterator<Item = Result<(RowKey, Row)>> + 'a> {
    Ok(txn.scan(table.range(None), Read::Constraint)?.map(|pair| {
        let (key, bytes) = pair?;
        Ok((table.parse_row_key(&key)?, table.decode_row(&bytes)?))
    }))
}

/// Checks what holds for a row by itself, and gives it as it is stored.
pub(in super::super) fn check_row(target: &Target, mut row: Row, params: &[Value]) -> Result<Row> {
    let table = &target.table;
    for (column, value) in table.columns.iter().zip(&mut row) {
        match value {
            Value::Null if !column.nullable => {
                let message = format!("column {:?} of table {:?} is NOT NULL", column.name, table.name);
                return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message).into());
            }
            Value::Text(text) => {
                if let Some(max) = column.max_length
                    && text.len() as u64 > max
                    && text.chars().count() as u64 > max
                {
                    let name = &column.name;
                    let message = format!("the value is too long for column {name:?} of type VARCHAR({max})");
                    return Err(Error::new(SqlState::STRING_TOO_LONG, message).into());
                }
            }
            // Both zeros are stored as one, and all NaN: what is equal as a key is equal as a value.
            Value::Float(x) => *value = Value::float(*x + 0.0),
            _ => {}
        }
    }
    for &column in &table.primary_key {
        check_key(table, column, &row)?;
    }
    for index in &table.indexes {
        for by in &index.columns {
            check_key(table, by.column, &row)?;
        }
    }
    if !target.checks.is_empty() {
        let context = executor::Context::without_data(params);
        for Check { name, condition } in &target.checks {
            if executor::truth(condition, &row, &context)? == Some(false) {
                let message = format!("a row of table {:?} violates the constraint {name:?}", table.name);
                return Err(Error::new(SqlState::CHECK_VIOLATION, message).into());
            }
        }
    }
    Ok(row)
}

fn check_key(table: &Table, column: usize, row: &Row) -> Result<()> {
    if let Value::Text(text) = &row[column]
        && text.len() > MAX_KEY
    {
        let (name, length) = (&table.columns[column].name, text.len());
        let message =
            format!("the value of column {name:?} has {length} bytes: it is a key, which has at most {MAX_KEY}");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).into());
    }
    Ok(())
}

/// Whether a row's entry in an index has the values alone, so that it conflicts with another one of the same values.
pub(super) fn is_alone(index: &Index, row: &Row) -> bool {
    index.unique && !index.columns.iter().any(|by| matches!(row[by.column], Value::Null))
}

/// The key of a new row.
fn new_key(table: &Table, row: &Row, txn: &mut dyn Transaction) -> RowKey {
    if !table.primary_key.is_empty() {
        return RowKey::of(table, row);
    }
    let number = txn.fresh_row();
    let mut bytes = Vec::with_capacity(24);
    for part in [number.snapshot, number.count, number.transaction.0, number.transaction.1] {
        encode_into(&mut bytes, &Value::Integer(part as i64), false);
    }
    RowKey::number(&bytes)
}

/// Stores a row that must not be there, with its index entries.
pub(in super::super) fn put_row(table: &Table, row: &Row, txn: &mut dyn Transaction) -> Result<RowKey> {
    let key = new_key(table, row, txn);
    let row_key = table.row_key(&key);
    // Nobody else has a row number that is new.
    if !table.primary_key.is_empty() && txn.read(&row_key, Read::Constraint)?.is_some() {
        return Err(duplicate(table, &table.primary_key, row, &primary_key_name(table)));
    }
    for index in &table.indexes {
        put_entry(table, index, row, &key, txn)?;
    }
    txn.set(row_key, row::encode(row))?;
    Ok(key)
}

/// Stores an index entry. One of a unique index must not be there.
pub(in super::super) fn put_entry(
    table: &Table,
    index: &Index,
    row: &Row,
    key: &RowKey,
    txn: &mut dyn Transaction,
) -> Result<()> {
    let (entry, value) = table.index_entry(index, row, key);
    if is_alone(index, row) && txn.read(&entry, Read::Constraint)?.is_some() {
        let columns: Vec<usize> = index.columns.iter().map(|by| by.column).collect();
        return Err(duplicate(table, &columns, row, &index.name));
    }
    Ok(txn.set(entry, value)?)
}

pub(super) fn duplicate(table: &Table, columns: &[usize], row: &Row, name: &str) -> Failure {
    let names: Vec<&str> = columns.iter().map(|&column| table.columns[column].name.as_str()).collect();
    let values: Vec<String> = columns.iter().map(|&column| row[column].to_string()).collect();
    let (names, values) = (names.join(", "), values.join(", "));
    let message =
        format!("there is a row with ({names}) = ({values}) in table {:?}, where {name:?} is unique", table.name);
    Error::new(SqlState::UNIQUE_VIOLATION, message).into()
}

/// Changes rows of a table, all at once: what goes goes before what comes. Gives the keys of the rows that are there then.
pub(super) fn apply(
    table: &std::sync::Arc<Table>,
    changes: Vec<Change>,
    txn: &mut dyn Transaction,
    references: &mut References,
) -> Result<Vec<RowKey>> {
    let mut keys = Vec::with_capacity(changes.len());
    for Change { key, old, new } in &changes {
        let Some(old) = old else { continue };
        let moved = match new {
            None => true,
            Some(new) => !table.primary_key.is_empty() && RowKey::of(table, new) != *key,
        };
        for index in &table.indexes {
            let before = table.index_entry(index, old, key);
            if moved || new.as_ref().is_none_or(|new| table.index_entry(index, new, key) != before) {
                txn.delete(before.0)?;
            }
        }
        if moved {
            txn.delete(table.row_key(key))?;
        }
    }
    for Change { key, old, new } in changes {
        let Some(new) = new else {
            if let Some(old) = old {
                references.removed(table, old, None);
            }
            continue;
        };
        let stays = old.is_some() && (table.primary_key.is_empty() || RowKey::of(table, &new) == key);
        match (&old, stays) {
            (Some(old), true) => {
                for index in &table.indexes {
                    if table.index_entry(index, old, &key) != table.index_entry(index, &new, &key) {
                        put_entry(table, index, &new, &key, txn)?;
                    }
                }
                txn.set(table.row_key(&key), row::encode(&new))?;
                keys.push(key);
            }
            _ => keys.push(put_row(table, &new, txn)?),
        }
        match old {
            None => references.inserted(table, &new),
            Some(old) => {
                references.changed(table, &old, &new);
                references.removed(table, old, Some(new));
            }
        }
    }
    Ok(keys)
}
