//! What ANALYZE finds of a table: how many rows, and for each column how many values, how many NULLs, and how the values
//! are spread (an equi-depth histogram, as in System R's successors).

use serde::{Deserialize, Serialize};

use super::super::error::Failure;
use super::super::schema::Table;
use super::super::types::Value;
use crate::encoding::value;
use crate::mvcc::{Read, Transaction};

const STATISTICS: u8 = 3;
/// The most buckets of a histogram.
const BUCKETS: usize = 64;
/// The longest text that a histogram keeps, in characters.
const MAX_BOUND: usize = 64;

/// What is known of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// How many rows it has.
    pub rows: u64,
    /// What is known of its columns.
    pub columns: Vec<ColumnStatistics>,
}

/// What is known of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// How many rows are NULL in it.
    pub nulls: u64,
    /// How many different values it has besides NULL.
    pub distinct: u64,
    /// Its values from least to greatest, at equal distances in the number of rows; the first and the last among them. Long
    /// texts are cut.
    pub bounds: Vec<Value>,
}

impl Statistics {
    /// What was found of a table, if ANALYZE has run.
    pub fn get(txn: &dyn Transaction, table: u32) -> Result<Option<Self>, Failure> {
        let bytes = txn.get(&key(table), Read::Schema)?;
        Ok(bytes.as_deref().map(value::deserialize).transpose()?)
    }

    /// Forgets what was found of a table.
    pub fn remove(txn: &mut dyn Transaction, table: u32) -> Result<(), Failure> {
        if txn.get(&key(table), Read::Schema)?.is_some() {
            txn.delete(key(table))?;
        }
        Ok(())
    }

    /// Looks at all rows of a table, and stores what is found.
    pub fn collect(txn: &mut dyn Transaction, table: &Table) -> Result<(), Failure> {
        let mut values: Vec<Vec<Value>> = table.columns.iter().map(|_| Vec::new()).collect();
        let mut rows = 0;
        for pair in txn.scan(table.range(None), Read::Data)? {
            let row = table.decode_row(&pair?.1)?;
            rows += 1;
            for (column, value) in values.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let columns = values.into_iter().map(|values| column(values, rows)).collect();
        txn.set(key(table.id), value::serialize(&Self { rows, columns })?)?;
        Ok(())
    }
}

fn column(mut values: Vec<Value>, rows: u64) -> ColumnStatistics {
    values.retain(|value| !matches!(value, Value::Null));
    values.sort_by(Value::sort_order);
    let changes = values.windows(2).filter(|pair| pair[0].sort_order(&pair[1]).is_ne()).count();
    let distinct = changes as u64 + u64::from(!values.is_empty());
    let buckets = BUCKETS.min(values.len().saturating_sub(1));
    let bound = |index: usize| match &values[index] {
        Value::Text(text) => Value::Text(text.chars().take(MAX_BOUND).collect()),
        value => value.clone(),
    };
    let bounds = match buckets {
        0 => values.first().map(|_| bound(0)).into_iter().collect(),
        buckets => (0..=buckets).map(|n| bound(n * (values.len() - 1) / buckets)).collect(),
    };
    ColumnStatistics { nulls: rows - values.len() as u64, distinct, bounds }
}

fn key(table: u32) -> Vec<u8> {
    let mut key = vec![STATISTICS];
    key.extend_from_slice(&table.to_be_bytes());
    key
}
