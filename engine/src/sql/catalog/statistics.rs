//! What ANALYZE finds of a table: how many rows, and for each column how many values, how many NULLs, which values are
//! common, and how the others are spread (an equi-depth histogram: Piatetsky-Shapiro and Connell, 1984).
//!
//! All rows are counted, and a sample of them is looked at (reservoir sampling, Vitter, 1985), which the table's number
//! and its rows determine. The number of values in a large table is estimated from those in the sample that came once
//! (Haas and Stokes, 1998).

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::super::error::Failure;
use super::super::schema::{Row, Table};
use super::super::types::Value;
use crate::encoding::value;
use crate::mix::splitmix64;
use crate::mvcc::{Read, Transaction};

const STATISTICS: u8 = 3;
/// The most rows that are looked at.
const SAMPLE: usize = 30_000;
/// The most buckets of a histogram.
const BUCKETS: usize = 64;
/// The most common values that are kept.
const COMMON: usize = 32;
/// The longest text that is kept, in characters.
const MAX_BOUND: usize = 64;

/// What is known of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// How many rows it has.
    pub rows: u64,
    /// What is known of its columns.
    pub columns: Vec<ColumnStatistics>,
}

/// What is known of a column. What was found of a sample is scaled to all rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// How many rows are NULL in it.
    pub nulls: u64,
    /// How many different values it has besides NULL.
    pub distinct: u64,
    /// Values that are more common than others, each with how many rows have it; the most common one first.
    pub common: Vec<(Value, u64)>,
    /// The other values from least to greatest, at equal distances in the number of rows; the first and the last among
    /// them. Long texts are cut.
    pub bounds: Vec<Value>,
}

impl Statistics {
    /// What was found of a table, if ANALYZE has run.
    pub fn get(txn: &dyn Transaction, table: u32) -> Result<Option<Self>, Failure> {
        let bytes = txn.get(&key(table), Read::Schema)?;
        Self::decode(bytes.as_deref())
    }

    pub(super) fn decode(bytes: Option<&[u8]>) -> Result<Option<Self>, Failure> {
        Ok(bytes.map(value::deserialize).transpose()?)
    }

    /// Forgets what was found of a table.
    pub fn remove(txn: &mut dyn Transaction, table: u32) -> Result<(), Failure> {
        if txn.get(&key(table), Read::Schema)?.is_some() {
            txn.delete(key(table))?;
        }
        Ok(())
    }

    /// Counts the rows of a table, looks at some, and stores what is found.
    pub fn collect(txn: &mut dyn Transaction, table: &Table) -> Result<(), Failure> {
        let mut sample: Vec<Row> = Vec::new();
        let mut rows = 0u64;
        for pair in txn.scan(table.range(None), Read::Data)? {
            let (_, bytes) = pair?;
            // Each row is in the sample with the same chance, and takes the place of one of those before.
            if sample.len() < SAMPLE {
                sample.push(table.decode_row(&bytes)?);
            } else {
                let place = splitmix64(splitmix64(u64::from(table.id)) ^ rows) % (rows + 1);
                if let Some(row) = usize::try_from(place).ok().and_then(|place| sample.get_mut(place)) {
                    *row = table.decode_row(&bytes)?;
                }
            }
            rows += 1;
        }
        let columns = (0..table.columns.len()).map(|column| {
            let values = sample.iter_mut().map(|row| std::mem::replace(&mut row[column], Value::Null)).collect();
            self::column(values, rows)
        });
        let statistics = Self { rows, columns: columns.collect() };
        txn.set(key(table.id), value::serialize(&statistics)?)?;
        Ok(())
    }
}

/// What the values of a sample say of the column of so many rows.
fn column(mut values: Vec<Value>, rows: u64) -> ColumnStatistics {
    let sampled = values.len() as u64;
    let scaled = |count: u64| if sampled == 0 { 0 } else { (count as f64 * rows as f64 / sampled as f64) as u64 };
    values.retain(|value| !matches!(value, Value::Null));
    let nulls = sampled - values.len() as u64;
    values.sort_by(Value::sort_order);
    let mut runs: Vec<(usize, u64)> = Vec::new();
    for (position, value) in values.iter().enumerate() {
        match runs.last_mut() {
            Some((first, count)) if values[*first].sort_order(value).is_eq() => *count += 1,
            _ => runs.push((position, 1)),
        }
    }
    let distinct = if sampled == rows {
        runs.len() as u64
    } else {
        let (n, d) = (values.len() as f64, runs.len() as f64);
        let once = runs.iter().filter(|(_, count)| *count == 1).count() as f64;
        let all = rows as f64 * n / sampled as f64;
        let estimate = if n == 0.0 { 0.0 } else { n * d / (n - once + once * n / all) };
        estimate.clamp(d, all.max(d)) as u64
    };
    // Common is what comes at least twice, and more often than values do on average.
    let mut common: Vec<(usize, u64)> = runs.clone();
    let average = values.len() as u64 / (runs.len() as u64).max(1);
    common.retain(|(_, count)| *count > 1 && *count > average + average / 4);
    common.sort_by_key(|(first, count)| (Reverse(*count), *first));
    common.truncate(COMMON);
    let is_common = |first: usize| common.iter().any(|(other, _)| *other == first);
    let others: Vec<usize> = runs
        .iter()
        .filter(|(first, _)| !is_common(*first))
        .flat_map(|&(first, count)| first..first + count as usize)
        .collect();
    let kept = |position: usize| match &values[position] {
        Value::Text(text) => Value::Text(text.chars().take(MAX_BOUND).collect()),
        value => value.clone(),
    };
    let buckets = BUCKETS.min(others.len().saturating_sub(1));
    let bounds = match buckets {
        0 => others.first().map(|&first| kept(first)).into_iter().collect(),
        buckets => (0..=buckets).map(|n| kept(others[n * (others.len() - 1) / buckets])).collect(),
    };
    let common = common.into_iter().filter(|(first, _)| match &values[*first] {
        Value::Text(text) => text.chars().count() <= MAX_BOUND,
        _ => true,
    });
    let common = common.map(|(first, count)| (values[first].clone(), scaled(count))).collect();
    ColumnStatistics { nulls: scaled(nulls), distinct, common, bounds }
}

/// The key that what was found of a table is stored under.
pub(super) fn key(table: u32) -> Vec<u8> {
    let mut key = vec![STATISTICS];
    key.extend_from_slice(&table.to_be_bytes());
    key
}
